//! Manifests that the API server refuses, with its words and the place they point at.

use crate::api::manifest::{Manifests, read};
use crate::base::SourceMap;

fn load(text: &str) -> Manifests {
    let mut sources = SourceMap::default();
    let id = sources.add("test.yaml", text);
    read(&sources, &[id])
}

/// What is said of `text`, without the name of the object: `place | message`.
fn said(text: &str) -> Vec<String> {
    let all = load(text).diagnostics.into_iter();
    all.map(|d| {
        let place = d.label.map_or("", |(span, _)| &text[span.range()]).to_owned();
        let message = d.message.split_once(" is invalid: ").map_or(d.message.as_str(), |(_, m)| m);
        format!("{place} | {message}")
    })
    .collect()
}

fn check(text: &str, expected: &[&str]) {
    assert_eq!(said(text), expected, "{text}");
}

/// A Pod with `spec` as its flow mapping's inside.
fn pod(spec: &str) -> String {
    format!("{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, spec: {{{spec}}}}}")
}

/// A Pod whose one container also has `fields`.
fn container(fields: &str) -> String {
    pod(&format!("containers: [{{name: c, image: i, {fields}}}], volumes: [{{name: v, emptyDir: {{}}}}]"))
}

/// A Deployment with `fields` added to its spec.
fn deployment(fields: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: web}}, spec: {{selector: {{matchLabels: {{app: web}}}}, \
         template: {{metadata: {{labels: {{app: web}}}}, spec: {{containers: [{{name: c, image: i}}]}}}}, {fields}}}}}"
    )
}

#[test]
fn plain_objects_pass() {
    check(&pod("containers: [{name: c, image: i}]"), &[]);
    check(&deployment("replicas: 3"), &[]);
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}\n",
        &[],
    );
}

#[test]
fn pods() {
    check(&pod(""), &["spec | spec.containers: Required value"]);
    check(
        &container("ports: [{containerPort: 0}]"),
        &["0 | spec.containers[0].ports[0].containerPort: Required value"],
    );
    check(
        &container("ports: [{containerPort: 70000, protocol: tcp}]"),
        &[
            "70000 | spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "tcp | spec.containers[0].ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    check(
        &container("resources: {requests: {cpu: 2, memory: -1}, limits: {cpu: 1}}"),
        &[
            "2 | spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1",
            "-1 | spec.containers[0].resources.requests[memory]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
    check(
        &container("resources: {requests: {nvidia.com/gpu: 1}, limits: {gpu: 1}}"),
        &[
            "1 | spec.containers[0].resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource for containers",
            "1 | spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources",
        ],
    );
    check(
        &container("volumeMounts: [{name: w, mountPath: /a}, {name: v, mountPath: /a}]"),
        &[
            "w | spec.containers[0].volumeMounts[0].name: Not found: \"w\"",
            "/a | spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
        ],
    );
    check(
        &container("readinessProbe: {periodSeconds: -1, httpGet: {path: /, port: 0}, tcpSocket: {port: 80}}"),
        &[
            "tcpSocket | spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "0 | spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "-1 | spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    check(
        &container("livenessProbe: {successThreshold: 2}"),
        &[
            "livenessProbe | spec.containers[0].livenessProbe: Required value: must specify a handler type",
            "2 | spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    check(
        &pod(
            "containers: [{name: c, image: i}, {name: c, image: i}], initContainers: [{name: d, image: i, readinessProbe: {tcpSocket: {port: 1}}}]",
        ),
        &[
            "c | spec.containers[1].name: Duplicate value: \"c\"",
            "readinessProbe | spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
        ],
    );
}

#[test]
fn scheduling_of_pods() {
    let with = |fields: &str| pod(&format!("containers: [{{name: c, image: i}}], {fields}"));
    check(
        &with("tolerations: [{operator: Equal}, {key: a, operator: Like}, {key: a, operator: Exists, tolerationSeconds: 3}]"),
        &[
            "Equal | spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
            "Like | spec.tolerations[1].operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\"",
            "tolerations | spec.tolerations[2].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
        ]
        .map(|s| s.replace("tolerations | ", "{key: a, operator: Exists, tolerationSeconds: 3} | "))
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>(),
    );
    check(
        &with(
            "topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: Never, minDomains: 1}]",
        ),
        &[
            "0 | spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "Never | spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Never\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            "1 | spec.topologySpreadConstraints[0].minDomains: Invalid value: 1: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not Never",
        ],
    );
    check(
        &with(
            "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 200, podAffinityTerm: {topologyKey: ''}}]}}",
        ),
        &[
            "200 | spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 200: must be in the range 1-100",
            "'' | spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.topologyKey: Required value: can not be empty",
        ],
    );
    check(
        &with(
            "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In}]}]}}}",
        ),
        &[
            "{key: a, operator: In} | spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ],
    );
}

#[test]
fn workloads() {
    check(
        &deployment("replicas: -1"),
        &["-1 | spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
    );
    check(
        &deployment("").replace("labels: {app: web}", "labels: {app: wbe}"),
        &[
            "labels | spec.template.metadata.labels: Invalid value: {\"app\":\"wbe\"}: `selector` does not match template `labels`",
        ],
    );
    check(
        &deployment(
            "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}, minReadySeconds: 10, progressDeadlineSeconds: 5",
        ),
        &[
            "0% | spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            "5 | spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ],
    );
    check(
        &deployment("").replace("spec: {containers", "spec: {restartPolicy: Never, containers"),
        &[
            "Never | spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ],
    );
    check(
        &deployment("")
            .replace("kind: Deployment", "kind: StatefulSet")
            .replace("name: web}", "name: web.1}"),
        &["web.1 | metadata.name: Invalid value: \"web.1\": must not contain dots"],
    );
    check(
        &deployment("updateStrategy: {rollingUpdate: {maxUnavailable: 0}}")
            .replace("kind: Deployment", "kind: DaemonSet"),
        &[
            "0 | spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ],
    );
}

#[test]
fn jobs() {
    let job = |fields: &str, pod: &str| {
        format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: j}}, spec: {{template: {{spec: {{containers: [{{name: c, image: i}}]{pod}}}}}{fields}}}}}"
        )
    };
    check(&job("", ", restartPolicy: Never"), &[]);
    check(
        &job(", parallelism: -1", ""),
        &[
            "-1 | spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
            "spec | spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\"",
        ],
    );
    check(
        &job(", completionMode: Indexed", ", restartPolicy: OnFailure"),
        &["spec | spec.completions: Required value: when completion mode is Indexed"],
    );
    let cron = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c}\nspec:\n  schedule: '61 * * * *'\n  concurrencyPolicy: Never\n  jobTemplate:\n    spec:\n      template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}\n";
    check(
        cron,
        &[
            "'61 * * * *' | spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61",
            "Never | spec.concurrencyPolicy: Unsupported value: \"Never\": supported values: \"Allow\", \"Forbid\", \"Replace\"",
        ],
    );
}

#[test]
fn services_and_storage() {
    check(
        "apiVersion: v1\nkind: Service\nmetadata: {name: 1s}\nspec: {ports: [{port: 80, nodePort: 80}, {name: b, port: 0}]}\n",
        &[
            "1s | metadata.name: Invalid value: \"1s\": a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
            "{port: 80, nodePort: 80} | spec.ports[0].name: Required value",
            "80 | spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            "0 | spec.ports[1].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    );
    check(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {accessModes: [ReadWriteTwice], resources: {requests: {}}}\n",
        &[
            "ReadWriteTwice | spec.accessModes: Unsupported value: \"ReadWriteTwice\": supported values: \"ReadOnlyMany\", \"ReadWriteMany\", \"ReadWriteOnce\", \"ReadWriteOncePod\"",
            "requests | spec.resources[storage]: Required value",
        ],
    );
    check(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: v}\nspec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, local: {path: /x}, hostPath: {path: /y}}\n",
        &[
            "local | spec.local: Forbidden: may not specify more than 1 volume type",
            "spec | spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    );
    check(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: s}\nvolumeBindingMode: Later\n",
        &[
            "apiVersion | provisioner: Required value",
            "Later | volumeBindingMode: Unsupported value: \"Later\": supported values: \"Immediate\", \"WaitForFirstConsumer\"",
        ],
    );
}

/// Facts §5.1: one of two fields of a budget; §9.3: what is reserved of PriorityClasses.
#[test]
fn policies() {
    check(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: p}\nspec: {minAvailable: 150%, maxUnavailable: x}\n",
        &[
            "spec | spec: Invalid value: {\"maxUnavailable\":\"x\",\"minAvailable\":\"150%\"}: minAvailable and maxUnavailable cannot be both set",
            "150% | spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%",
            "x | spec.maxUnavailable: Invalid value: \"x\": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')",
        ],
    );
    check(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {minReplicas: 3, maxReplicas: 2, scaleTargetRef: {kind: Deployment}, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization}}}]}\n",
        &[
            "2 | spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "scaleTargetRef | spec.scaleTargetRef.name: Required value",
            "target | spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization",
        ],
    );
    check(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: p}\nvalue: 2000000000\n",
        &["2000000000 | value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    );
    check(
        "apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: system-mine}\nvalue: 5\n",
        &[
            "system-mine | metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class",
        ],
    );
    check(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: {pods: -1}, scopes: [Best]}\n",
        &[
            "-1 | spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0",
            "Best | spec.scopes: Invalid value: [\"Best\"]: unsupported scope Best",
        ],
    );
    check(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\nspec: {limits: [{type: Container, min: {cpu: 2}, max: {cpu: 1}}, {type: Pod, default: {cpu: 1}}]}\n",
        &[
            "2 | spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
            "default | spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
        ],
    );
    check(
        "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nspec: {taints: [{key: a, effect: NoRun}]}\nstatus: {capacity: {cpu: -1}}\n",
        &[
            "NoRun | spec.taints[0].effect: Unsupported value: \"NoRun\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
            "-1 | status.capacity[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ],
    );
}

#[test]
fn metadata() {
    check(
        "{apiVersion: v1, kind: Namespace}",
        &["apiVersion | metadata.name: Required value: name or generateName is required"],
    );
    check(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_b, labels: {-x: 'a b'}}\ndata: {a/b: c}\n",
        &[
            "A_b | metadata.name: Invalid value: \"A_b\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "'a b' | metadata.labels: Invalid value: \"-x\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "'a b' | metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "c | data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ],
    );
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\nspec: {containers: [{name: c, image: i}]}\n",
        &[],
    );
}
