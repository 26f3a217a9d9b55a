//! Writes random scenarios: a cluster, all kinds of workloads, and (in [`super::faults`]) what befalls them.

use wavetank::kernel::{Seed, Stream};

/// Faults happen up to here, in seconds; then everything is mended.
pub const FAULTS_UNTIL: u64 = 600;
/// By then all must be well.
pub const END: u64 = 2700;

pub const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];

/// Writes one scenario from a stream of random numbers.
pub struct Author {
    pub random: Stream,
    pub nodes: Vec<String>,
    /// `kind/name` of what has a template with a container `app`, with its namespace.
    pub workloads: Vec<(String, &'static str)>,
    pub cron_jobs: Vec<String>,
    pub text: String,
}

/// What a Pod template says beside its container.
struct Template {
    labels: String,
    spec: String,
    container: String,
}

impl Author {
    /// The scenario of a number.
    pub fn scenario(number: u64) -> String {
        let random = Seed(number).stream("swarm", "scenario");
        let mut author = Self {
            random,
            nodes: Vec::new(),
            workloads: Vec::new(),
            cron_jobs: Vec::new(),
            text: String::new(),
        };
        author.head(number);
        author.manifests();
        author.steps();
        author.text
    }

    pub fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    pub fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.random.below(to - from + 1)
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    pub fn node(&mut self) -> String {
        let at = self.random.below(self.nodes.len() as u64) as usize;
        self.nodes[at].clone()
    }

    pub fn node_line(&mut self, name: &str) -> String {
        let zone = self.one_of(&ZONES);
        let cpu = self.one_of(&["1", "2", "4"]);
        let pods = self.one_of(&["8", "29", "110"]);
        let labels = self.one_of(&["", "", ", labels: {tier: gold}"]);
        let taints =
            self.one_of(&["", "", "", "", ", taints: [{key: dedicated, value: batch, effect: NoSchedule}]"]);
        format!(
            "{{name: {name}, zone: {zone}, capacity: {{cpu: '{cpu}', memory: 8Gi, ephemeral-storage: 50Gi, pods: '{pods}'}}{labels}{taints}}}"
        )
    }

    fn head(&mut self, number: u64) {
        self.line(format!(
            "apiVersion: wavetank.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: swarm-{number}}}\nspec:\n  seed: {number}\n  \
             duration: {END}s\n  cluster:\n    zones: [zone-a, zone-b, zone-c]\n    nodes:"
        ));
        for n in 0..self.between(2, 7) {
            let line = self.node_line(&format!("node-{n}"));
            self.nodes.push(format!("node-{n}"));
            self.line(format!("      - {line}"));
        }
        self.line(
            "  behaviour:\n    - {image: '*:bad', pull: fails}\n    - {selector: kind=job, completes: {after: 20s, exitCode: 1, failFirst: 1}}\n    \
             - {selector: kind=tick, completes: {after: 25s}}\n    - {selector: kind=web, startup: 3s}",
        );
    }

    fn manifests(&mut self) {
        self.line("  manifests:");
        self.document("{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: disk}, provisioner: ebs.csi.aws.com, volumeBindingMode: WaitForFirstConsumer}");
        for (name, value, policy) in
            [("low", 100, ""), ("high", 1000, ""), ("shy", 500, ", preemptionPolicy: Never")]
        {
            self.document(format!(
                "{{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {{name: {name}}}, value: {value}{policy}}}"
            ));
        }
        for n in 0..self.between(1, 4) {
            self.web(&format!("web-{n}"), "default");
        }
        if self.once_in(4) {
            self.autoscaler();
        }
        if self.once_in(2) {
            self.database();
        }
        if self.once_in(2) {
            self.agent();
        }
        if self.once_in(2) {
            self.job();
        }
        if self.once_in(3) {
            self.cron_job();
        }
        if self.once_in(3) {
            let pod = self.template("lone", "web");
            self.document(format!(
                "{{apiVersion: v1, kind: Pod, metadata: {{name: lone, labels: {{{}}}}}, spec: {{{}containers: [{}]}}}}",
                pod.labels, pod.spec, pod.container
            ));
        }
        if self.once_in(3) {
            self.team();
        }
    }

    pub fn document(&mut self, text: impl AsRef<str>) {
        self.line(format!("    - inline: {}", text.as_ref()));
    }

    /// A Deployment with its Service, and sometimes a budget.
    fn web(&mut self, name: &str, namespace: &'static str) {
        let replicas = self.between(0, 9);
        let strategy = self.one_of(&[
            "",
            "",
            "strategy: {type: Recreate}, ",
            "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, ",
            "strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}, ",
            "strategy: {rollingUpdate: {maxSurge: '100%', maxUnavailable: '50%'}}, minReadySeconds: 4, ",
        ]);
        self.workload("apps/v1", "Deployment", name, namespace, &format!("{strategy}replicas: {replicas}, "));
        self.document(format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{selector: {{app: {name}}}, ports: [{{port: 80}}]}}}}"
        ));
        if self.once_in(3) {
            let budget = match self.random.below(3) {
                0 => format!("minAvailable: {}", self.between(0, 3)),
                1 => format!("minAvailable: '{}%'", self.between(0, 4) * 25),
                _ => format!("maxUnavailable: {}", self.between(0, 2)),
            };
            self.document(format!(
                "{{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{budget}, selector: {{matchLabels: {{app: {name}}}}}}}}}"
            ));
        }
    }

    /// An autoscaler of the first Deployment.
    fn autoscaler(&mut self) {
        let (min, max) = (self.between(1, 2), self.between(3, 8));
        self.document(format!(
            "{{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {{name: web-0}}, spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web-0}}, \
             minReplicas: {min}, maxReplicas: {max}, metrics: [{{type: Resource, resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 60}}}}}}]}}}}"
        ));
    }

    fn database(&mut self) {
        let policy = self.one_of(&["OrderedReady", "Parallel"]);
        let claims = self.one_of(&[
            "",
            "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: disk, resources: {requests: {storage: 1Gi}}}}], ",
            "volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: disk, resources: {requests: {storage: 1Gi}}}}], \
             persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}, ",
        ]);
        let head = format!(
            "serviceName: db, podManagementPolicy: {policy}, replicas: {}, {claims}",
            self.between(1, 3)
        );
        self.workload("apps/v1", "StatefulSet", "db", "default", &head);
    }

    fn agent(&mut self) {
        let strategy =
            self.one_of(&["", "", "updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}, "]);
        self.workload("apps/v1", "DaemonSet", "agent", "default", strategy);
    }

    fn job(&mut self) {
        let (completions, parallelism) = (self.between(1, 8), self.between(1, 4));
        let more = self.one_of(&["", "", "completionMode: Indexed, ", "ttlSecondsAfterFinished: 60, "]);
        let pod = self.template("job", "job");
        self.document(format!(
            "{{apiVersion: batch/v1, kind: Job, metadata: {{name: job}}, spec: {{completions: {completions}, parallelism: {parallelism}, {more}template: {{metadata: {{labels: {{{}}}}}, \
             spec: {{{}restartPolicy: Never, containers: [{{name: app, image: 'job:1', resources: {{requests: {{cpu: 100m}}}}}}]}}}}}}}}",
            pod.labels, pod.spec
        ));
    }

    fn cron_job(&mut self) {
        let policy = self.one_of(&["Allow", "Forbid", "Replace"]);
        let schedule = self.one_of(&["* * * * *", "*/2 * * * *"]);
        self.cron_jobs.push("tick".to_owned());
        self.document(format!(
            "{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: tick}}, spec: {{schedule: '{schedule}', concurrencyPolicy: {policy}, jobTemplate: {{spec: {{template: {{metadata: \
             {{labels: {{kind: tick, app: tick}}}}, spec: {{restartPolicy: OnFailure, containers: [{{name: app, image: 'tick:1', resources: {{requests: {{cpu: 50m}}}}}}]}}}}}}}}}}}}"
        ));
    }

    /// A namespace with a quota and a Deployment that may be too large for it.
    fn team(&mut self) {
        self.document("{apiVersion: v1, kind: Namespace, metadata: {name: team}}");
        let (pods, cpu) = (self.between(1, 8), self.between(1, 4));
        self.document(format!(
            "{{apiVersion: v1, kind: ResourceQuota, metadata: {{name: team, namespace: team}}, spec: {{hard: {{pods: '{pods}', requests.cpu: '{cpu}'}}}}}}"
        ));
        self.web("shop", "team");
    }

    fn workload(&mut self, version: &str, kind: &str, name: &str, namespace: &'static str, head: &str) {
        let pod = self.template(name, "web");
        let Template { labels, spec, container } = pod;
        self.workloads.push((format!("{}/{name}", kind.to_lowercase()), namespace));
        self.document(format!(
            "{{apiVersion: {version}, kind: {kind}, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{{head}selector: {{matchLabels: {{app: {name}}}}}, template: {{metadata: \
             {{labels: {{{labels}}}}}, spec: {{{spec}containers: [{container}]}}}}}}}}"
        ));
    }

    /// A template of one container, with a random choice of what decides where it may run.
    fn template(&mut self, app: &str, kind: &str) -> Template {
        let cpu = self.one_of(&["50m", "200m", "700m"]);
        let memory = self.one_of(&["64Mi", "64Mi", "1Gi"]);
        let grace = self.one_of(&["0", "5", "30"]);
        let own = format!("labelSelector: {{matchLabels: {{app: {app}}}}}");
        let mut spec = format!("terminationGracePeriodSeconds: {grace}, ");
        match self.random.below(8) {
            0 => {
                spec += &format!(
                    "topologySpreadConstraints: [{{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway, {own}}}], "
                )
            }
            1 => {
                spec += &format!(
                    "topologySpreadConstraints: [{{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: DoNotSchedule, {own}}}], "
                )
            }
            2 => {
                spec += &format!(
                    "topologySpreadConstraints: [{{maxSkew: 2, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, nodeTaintsPolicy: Honor, {own}}}], "
                )
            }
            3 => {
                spec += &format!(
                    "affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [{{topologyKey: kubernetes.io/hostname, {own}}}]}}}}, "
                )
            }
            4 => {
                spec += "affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 5, preference: {matchExpressions: [{key: tier, operator: Exists}]}}]}}, "
            }
            _ => {}
        }
        spec += self.one_of(&["", "", "", "", "", "nodeSelector: {tier: gold}, "]);
        spec += self.one_of(&[
            "",
            "",
            "",
            "tolerations: [{key: dedicated, operator: Exists}], ",
            "tolerations: [{key: fault, operator: Exists, effect: NoExecute, tolerationSeconds: 20}], ",
            "tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}], ",
        ]);
        spec += self.one_of(&[
            "",
            "",
            "",
            "priorityClassName: low, ",
            "priorityClassName: high, ",
            "priorityClassName: shy, ",
        ]);
        let ports =
            self.one_of(&["", "", "", "", "", "", "", ", ports: [{containerPort: 80, hostPort: 8080}]"]);
        let liveness =
            self.one_of(&["", "", ", livenessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 10}"]);
        let container = format!(
            "{{name: app, image: '{app}:1', resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}, readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 5}}{liveness}{ports}}}"
        );
        Template { labels: format!("app: {app}, kind: {kind}"), spec, container }
    }
}
