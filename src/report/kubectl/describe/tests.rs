use serde_json::{Value, json};

use super::*;
use crate::api::{EventType, Kind, ObjectKey, ObjectRef, lower};
use crate::base::SimTime;
use crate::store::Emit;
use crate::testkit;

/// A store with these objects, two minutes after the start.
fn store(objects: &[Value]) -> Store {
    let mut store = testkit::store();
    for json in objects {
        let object = lower::object(json.clone()).unwrap_or_else(|e| panic!("{e:?}"));
        store.create_object(object).unwrap_or_else(|e| panic!("{e}"));
    }
    store.advance(SimTime::from_secs(125));
    store
}

fn described(store: &Store, kind: Kind, name: &str) -> String {
    let namespace = if kind.info().namespaced { "default" } else { "" };
    describe(&store.get_object(kind, &ObjectKey::new(namespace, name)).unwrap(), store)
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "main", "image": "web:v1",
            "ports": [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090}],
            "args": ["--port=8080"],
            "env": [
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                {"name": "TEXT", "value": "two\nlines"},
            ],
            "resources": {"requests": {"cpu": "500m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]},
    })
}

fn pod() -> Value {
    let mut pod = template();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "web-0".into();
    pod["metadata"]["namespace"] = "default".into();
    pod["spec"]["nodeName"] = "n1".into();
    pod["status"] = json!({
        "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}],
        "startTime": "2026-01-05T08:00:02Z",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{
            "name": "main", "image": "web:v1", "imageID": "", "ready": true, "restartCount": 1, "started": true,
            "state": {"running": {"startedAt": "2026-01-05T08:01:00Z"}},
            "lastState": {"terminated": {
                "exitCode": 137, "reason": "OOMKilled",
                "startedAt": "2026-01-05T08:00:03Z", "finishedAt": "2026-01-05T08:00:50Z"}},
        }],
    });
    pod
}

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}},
        "spec": {"taints": [{"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "v", "effect": "NoExecute"}]},
        "status": {
            "capacity": {"cpu": "2", "memory": "4Gi", "pods": "29", "example.com/gpu": "1"},
            "allocatable": {"cpu": "1930m", "memory": "3Gi", "pods": "29", "example.com/gpu": "1"},
            "conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
                "lastHeartbeatTime": "2026-01-05T08:00:00Z", "lastTransitionTime": "2026-01-05T08:00:00Z"}],
        },
    })
}

fn say(store: &mut Store, regarding: ObjectRef, reason: &str, message: &str) {
    store.emit(Emit {
        source: "kubelet".into(),
        host: "n1".into(),
        regarding,
        event_type: EventType::Normal,
        reason: reason.into(),
        message: message.into(),
        series: false,
    });
}

#[test]
fn a_pod_is_described() {
    let mut store = store(&[node(), pod()]);
    let about = store.get_object(Kind::Pod, &ObjectKey::new("default", "web-0")).unwrap().reference();
    say(&mut store, about.clone(), "Pulled", "Container image \"web:v1\" already present on machine");
    store.advance(SimTime::from_secs(140));
    say(&mut store, about.clone(), "Started", "Started container main");
    store.advance(SimTime::from_secs(150));
    say(&mut store, about, "Started", "Started container main");
    insta::assert_snapshot!(described(&store, Kind::Pod, "web-0"));
}

#[test]
fn a_node_is_described_with_what_uses_it() {
    let store = store(&[node(), pod()]);
    insta::assert_snapshot!(described(&store, Kind::Node, "n1"));
}

#[test]
fn a_deployment_names_its_replica_sets() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 3, "selector": selector, "template": template()},
    });
    let mut store = store(&[deployment]);
    let owner = store.get_object(Kind::Deployment, &ObjectKey::new("default", "web")).unwrap();
    for (name, image) in [("web-new", "web:v1"), ("web-old", "web:v0")] {
        let mut template = template();
        template["metadata"]["labels"]["pod-template-hash"] = name.into();
        template["spec"]["containers"][0]["image"] = image.into();
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": name, "namespace": "default", "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "controller": true,
                "uid": owner.meta().uid.as_str()}]},
            "spec": {"replicas": 2, "selector": selector, "template": template},
        });
        store.create_object(lower::object(set).unwrap()).unwrap();
    }
    insta::assert_snapshot!(described(&store, Kind::Deployment, "web"));
}

#[test]
fn other_kinds_are_described() {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "clusterIP": "10.96.0.20",
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": (1..=5).map(|i| json!({"addresses": [format!("10.1.0.{i}")], "conditions": {"ready": i != 2}}))
                .collect::<Vec<_>>()}),
        json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "default"},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
                "resources": {"requests": {"storage": "10Gi"}}}}),
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv-1"},
            "spec": {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "gp3",
                "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": "vol-1"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                    {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a", "b"]}]}]}}}}),
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3"},
            "provisioner": "ebs.csi.aws.com", "parameters": {"type": "gp3"},
            "volumeBindingMode": "WaitForFirstConsumer"}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web", "namespace": "default"},
            "spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "web"}}}}),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once", "namespace": "default"},
            "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}),
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits", "namespace": "default"},
            "spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "max": {"cpu": "2"}}]}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", "namespace": "default"},
            "data": {"a.conf": "x = 1\n"}, "binaryData": {"b": "AAEC"}}),
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"},
            "spec": {"maxSize": 3, "parts": [{"name": "p"}, "q"]}}),
    ];
    let store = store(&objects);
    let mut told = String::new();
    for (kind, name) in [
        (Kind::Service, "web"),
        (Kind::EndpointSlice, "web-x"),
        (Kind::PersistentVolumeClaim, "data"),
        (Kind::PersistentVolume, "pv-1"),
        (Kind::StorageClass, "gp3"),
        (Kind::PodDisruptionBudget, "web"),
        (Kind::Job, "once"),
        (Kind::Namespace, "default"),
        (Kind::Inert, "ConfigMap/conf"),
        (Kind::Inert, "Widget/w"),
    ] {
        let namespace = if kind.info().namespaced { "default" } else { "" };
        let uid = store.get_object(kind, &ObjectKey::new(namespace, name)).unwrap().meta().uid.to_string();
        told += &format!("--- {kind} {name}\n{}", described(&store, kind, name).replace(&uid, "<uid>"));
    }
    insta::assert_snapshot!(told);
}
