//! Round trips through lowering and raising, for every kind.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::to_json;
use crate::api::lower::object;
use crate::api::object::{KINDS, Kind};

/// Lowers, raises, lowers again: nothing may change; gives the raised form.
fn round_trip(value: Value) -> Value {
    let lowered = object(value.clone()).unwrap_or_else(|e| panic!("{e:?}: {value}"));
    let raised = to_json(&lowered);
    let again = object(raised.clone()).unwrap_or_else(|e| panic!("{e:?}: {raised}"));
    assert_eq!(lowered, again, "{raised}");
    assert_eq!(raised, to_json(&again));
    raised
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}, "annotations": {"x": "y"}},
        "spec": {
            "containers": [{
                "name": "c", "image": "nginx:1.27", "env": [{"name": "A", "value": "1"}],
                "ports": [{"containerPort": 80, "name": "http"}],
                "readinessProbe": {"httpGet": {"port": "http"}, "periodSeconds": 5},
                "resources": {"requests": {"cpu": "0.25", "memory": "128Mi"}, "limits": {"memory": "0.25Gi"}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app": "a"}}}],
        },
    })
}

fn selector() -> Value {
    json!({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}]})
}

/// One rich example of each kind: `(kind, everything but apiVersion, kind and metadata)`.
fn examples() -> Vec<(Kind, Value)> {
    let mut all = workloads();
    all.extend(storage());
    all.extend(others());
    all
}

fn workloads() -> Vec<(Kind, Value)> {
    let condition = json!({"type": "Available", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let job = json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed", "backoffLimitPerIndex": 1, "template": template(),
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]}, "ttlSecondsAfterFinished": 60});
    vec![
        (
            Kind::Pod,
            json!({"spec": {"nodeName": "n", "priority": 5, "schedulingGates": [{"name": "g"}], "containers": template()["spec"]["containers"]},
            "status": {"phase": "Running", "podIP": "10.0.0.9", "hostIP": "10.0.0.1", "startTime": "2026-01-01T00:00:00Z", "conditions": [condition],
                "containerStatuses": [
                    {"name": "c", "image": "i", "imageID": "", "ready": true, "started": true, "restartCount": 1, "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}},
                     "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "2026-01-01T00:00:01Z", "finishedAt": "2026-01-01T00:00:02Z"}},
                     "allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "500m"}}},
                    {"name": "d", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}},
                ]}}),
        ),
        (
            Kind::Deployment,
            json!({"spec": {"replicas": 3, "selector": selector(), "template": template(), "paused": true, "minReadySeconds": 5,
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": "10%"}}}, "status": {"replicas": 3, "conditions": [condition]}}),
        ),
        (
            Kind::ReplicaSet,
            json!({"spec": {"replicas": 0, "selector": selector(), "template": template()}, "status": {"replicas": 2, "readyReplicas": 1}}),
        ),
        (Kind::ReplicationController, json!({"spec": {"template": template()}})),
        (
            Kind::StatefulSet,
            json!({"spec": {"selector": selector(), "template": template(), "serviceName": "s", "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"}, "ordinals": {"start": 2},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]},
            "status": {"replicas": 1, "currentRevision": "x-1"}}),
        ),
        (
            Kind::DaemonSet,
            json!({"spec": {"selector": selector(), "template": template(), "updateStrategy": {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": "20%"}}},
            "status": {"currentNumberScheduled": 1, "desiredNumberScheduled": 2, "numberMisscheduled": 0, "numberReady": 1}}),
        ),
        (Kind::ControllerRevision, json!({"revision": 3, "data": {"spec": {"template": template()}}})),
        (
            Kind::Job,
            json!({"spec": job, "status": {"startTime": "2026-01-01T00:00:00Z", "active": 1, "uncountedTerminatedPods": {"failed": ["u"]}}}),
        ),
        (
            Kind::CronJob,
            json!({"spec": {"schedule": "@hourly", "timeZone": "Etc/UTC", "jobTemplate": {"spec": job}}, "status": {"active": [{"name": "j", "uid": "u"}]}}),
        ),
        (
            Kind::HorizontalPodAutoscaler,
            json!({"spec": {"maxReplicas": 9, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "target": {"type": "AverageValue", "averageValue": "10"}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
            "status": {"desiredReplicas": 2, "currentMetrics": [{"type": "Pods", "pods": {"metric": {"name": "rps"}, "current": {"averageValue": "7"}}}]}}),
        ),
    ]
}

fn storage() -> Vec<(Kind, Value)> {
    vec![
        (
            Kind::PersistentVolume,
            json!({"spec": {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "x",
            "csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"a": "b"}}, "claimRef": {"namespace": "n", "name": "c", "uid": "u"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}},
            "status": {"phase": "Bound"}}),
        ),
        (
            Kind::PersistentVolumeClaim,
            json!({"spec": {"storageClassName": "", "selector": {"matchLabels": {"a": "b"}}, "dataSource": {"kind": "PersistentVolumeClaim", "name": "o"},
            "resources": {"requests": {"storage": "1Gi"}, "limits": {"storage": "2Gi"}}}, "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}),
        ),
        (
            Kind::StorageClass,
            json!({"provisioner": "p", "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true, "parameters": {"type": "gp3"},
            "allowedTopologies": [{"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]}]}),
        ),
        (
            Kind::CsiNode,
            json!({"spec": {"drivers": [{"name": "d", "nodeID": "i", "topologyKeys": ["zone"], "allocatable": {"count": 25}}]}}),
        ),
        (Kind::CsiDriver, json!({"spec": {"storageCapacity": true, "fsGroupPolicy": "File"}})),
        (
            Kind::CsiStorageCapacity,
            json!({"storageClassName": "x", "capacity": "5Gi", "nodeTopology": {"matchLabels": {"zone": "a"}}}),
        ),
        (
            Kind::VolumeAttachment,
            json!({"spec": {"attacher": "d", "nodeName": "n", "source": {"persistentVolumeName": "p"}}, "status": {"attached": false, "attachError": {"message": "no"}}}),
        ),
    ]
}

fn others() -> Vec<(Kind, Value)> {
    vec![
        (
            Kind::Node,
            json!({"spec": {"podCIDR": "10.1.0.0/24", "taints": [{"key": "k", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}]},
            "status": {"capacity": {"cpu": "8", "memory": "32Gi"}, "images": [{"names": ["a:1"], "sizeBytes": 5}], "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}],
                "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "ExternalIP", "address": "1.1.1.1"}],
                "nodeInfo": {"architecture": "arm64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "v1.34.0", "machineID": "", "operatingSystem": "linux", "osImage": "x", "systemUUID": ""}}}),
        ),
        (
            Kind::Namespace,
            json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"}}),
        ),
        (
            Kind::Service,
            json!({"spec": {"type": "NodePort", "selector": {"app": "a"}, "sessionAffinity": "ClientIP", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1", "fd00::1"],
            "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080}]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}}),
        ),
        (
            Kind::EndpointSlice,
            json!({"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::1"], "conditions": {"ready": false, "serving": true, "terminating": true}, "nodeName": "n", "targetRef": {"kind": "Pod", "name": "p", "uid": "u"}}], "ports": [{"name": "", "port": 80}]}),
        ),
        (
            Kind::Event,
            json!({"involvedObject": {"kind": "Pod", "name": "p"}, "reason": "Failed", "message": "m", "type": "Warning", "eventTime": "2026-01-01T00:00:00.000000Z", "reportingComponent": "c", "series": {"count": 3, "lastObservedTime": "2026-01-01T00:01:00.000000Z"}}),
        ),
        (
            Kind::ResourceQuota,
            json!({"spec": {"hard": {"pods": "5"}, "scopes": ["NotTerminating"], "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]}}, "status": {"used": {"pods": "1"}}}),
        ),
        (Kind::LimitRange, json!({"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}}]}})),
        (
            Kind::PodDisruptionBudget,
            json!({"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["c"]}]}, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
            "status": {"currentHealthy": 1, "desiredHealthy": 1, "disruptionsAllowed": 0, "expectedPods": 2, "disruptedPods": {"p": "2026-01-01T00:00:00Z"}}}),
        ),
        (
            Kind::PriorityClass,
            json!({"value": 1000, "globalDefault": true, "preemptionPolicy": "Never", "description": "x"}),
        ),
        (
            Kind::Lease,
            json!({"spec": {"holderIdentity": "n", "leaseDurationSeconds": 40, "renewTime": "2026-01-01T00:00:00.000000Z"}}),
        ),
        (Kind::Inert, json!({"data": {"k": "v"}})),
    ]
}

fn with_metadata(kind: Kind, body: Value) -> Value {
    let mut value = body;
    let inert = kind == Kind::Inert;
    value["apiVersion"] = if inert { "v1" } else { kind.info().api_version }.into();
    value["kind"] = if inert { "ConfigMap" } else { kind.name() }.into();
    value["metadata"] = json!({
        "name": "x", "namespace": "ns", "uid": "u-1", "resourceVersion": "42", "generation": 3, "labels": {"l": "1"}, "annotations": {"a": "2"},
        "creationTimestamp": "2026-01-01T00:00:00Z", "deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30, "finalizers": ["f/x"],
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u-2", "controller": true, "blockOwnerDeletion": true}],
    });
    value
}

#[test]
fn every_kind_survives_the_round_trip() {
    let examples = examples();
    for info in KINDS {
        assert!(examples.iter().any(|(kind, _)| *kind == info.kind), "{:?} has no example", info.kind);
    }
    for (kind, body) in examples {
        let value = with_metadata(kind, body.clone());
        let raised = round_trip(value.clone());
        let keys: Vec<&str> = raised.as_object().unwrap().keys().map(String::as_str).take(3).collect();
        assert_eq!(keys, ["apiVersion", "kind", "metadata"]);
        // Except for a Namespace, which gets its name as a label.
        if kind != Kind::Namespace {
            assert_eq!(raised["metadata"], value["metadata"], "{kind}");
        }
        assert_contains(&raised, &body, kind.name());
        let bare =
            json!({"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": {"name": "x"}});
        if object(bare.clone()).is_ok() {
            round_trip(bare);
        }
    }
}

/// What was written is still there, but for amounts that are written otherwise now.
fn assert_contains(raised: &Value, written: &Value, path: &str) {
    match written {
        Value::Object(fields) => {
            for (name, value) in fields {
                assert_contains(&raised[name], value, &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                assert_contains(&raised[index], item, &format!("{path}[{index}]"));
            }
        }
        Value::String(text) if text == "0.25" => assert_eq!(raised, "250m", "{path}"),
        Value::String(text) if text == "0.25Gi" => assert_eq!(raised, "256Mi", "{path}"),
        // Zeros and empty texts that Go leaves out.
        Value::Number(number) if number.as_i64() == Some(0) && raised.is_null() => {}
        Value::String(text) if text.is_empty() && raised.is_null() => {}
        scalar => assert_eq!(raised, scalar, "{path}"),
    }
}

/// Any JSON, with the field names of a Pod among the keys, so that it gets past the surface.
fn any_json() -> impl Strategy<Value = Value> {
    let keys = prop::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "containers",
        "name",
        "labels",
        "resources",
        "requests",
        "cpu",
        "template",
        "selector",
        "matchLabels",
        "replicas",
        "phase",
        "ports",
        "rollingUpdate",
        "maxSurge",
        "strategy",
        "type",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[0-9]{1,3}(m|Ki|Mi|%)?".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys.clone(), inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn anything_is_lowered_or_refused(kind in 0..KINDS.len(), value in any_json()) {
        if let Ok(lowered) = crate::api::lower::from_json(KINDS[kind].kind, value) {
            let raised = to_json(&lowered);
            prop_assert_eq!(object(raised), Ok(lowered));
        }
    }

    #[test]
    fn workloads_with_any_numbers_survive(replicas in any::<i32>(), surge in 0..200i32, percent in 0..100i32, cpu in 0..100_000i64, memory in 0..1i64 << 50) {
        let mut template = template();
        template["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": format!("{cpu}m")}, "limits": {"memory": memory}});
        round_trip(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {
            "replicas": replicas, "selector": selector(), "template": template,
            "strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": format!("{percent}%")}}}}));
    }
}
