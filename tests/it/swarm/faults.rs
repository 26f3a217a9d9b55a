//! What befalls a random cluster, and how it is mended.

use super::author::{Author, FAULTS_UNTIL, ZONES};

impl Author {
    pub fn steps(&mut self) {
        self.line("  steps:");
        let mut steps = Vec::new();
        for n in 0..self.between(3, 16) {
            let at = self.between(20, FAULTS_UNTIL);
            let step = self.fault(n);
            steps.push(format!("    - {{at: {at}s, {step}}}"));
        }
        steps.extend(self.mended());
        steps.into_iter().for_each(|step| self.line(step));
    }

    /// Everything is switched on again, and every workload gets an image that works.
    fn mended(&self) -> Vec<String> {
        let at = FAULTS_UNTIL + 60;
        let mut steps: Vec<String> =
            ZONES.iter().map(|z| format!("    - {{at: {at}s, restoreZone: {z}}}")).collect();
        steps.push(format!(
            "    - {{at: {at}s, driver: {{name: ebs.csi.aws.com, denied: [], errorRates: {{create: 0, attach: 0, detach: 0, mount: 0}}, \
             latencies: {{attach: 2s, mount: 1s}}}}}}"
        ));
        for node in &self.nodes {
            for verb in ["restoreNode", "startKubelet", "heal", "uncordon"] {
                steps.push(format!("    - {{at: {at}s, {verb}: {node}}}"));
            }
            steps.push(format!("    - {{at: {at}s, taint: {{nodes: [{node}], taints: ['fault-']}}}}"));
        }
        for name in &self.cron_jobs {
            steps.push(format!(
                "    - {{at: {at}s, patch: {{resource: cronjob/{name}, patch: {{spec: {{suspend: true}}}}}}}}"
            ));
        }
        for (workload, namespace) in &self.workloads {
            let (kind, name) = workload.split_once('/').expect("a kind and a name");
            if kind == "deployment" {
                steps.push(format!(
                    "    - {{at: {at}s, rollout: {{resume: {workload}, namespace: {namespace}}}}}"
                ));
            }
            steps.push(format!(
                "    - {{at: {at}s, set: {{resource: {workload}, namespace: {namespace}, image: {{app: '{name}:3'}}}}}}"
            ));
            // A StatefulSet does not replace a Pod that never became Ready.
            if kind == "statefulset" {
                let at = at + 5;
                steps.push(format!("    - {{at: {at}s, delete: {{resource: pods, selector: app={name}}}}}"));
            }
        }
        steps
    }

    fn workload_at_random(&mut self) -> (String, &'static str) {
        let at = self.random.below(self.workloads.len() as u64) as usize;
        self.workloads[at].clone()
    }

    fn fault(&mut self, number: u64) -> String {
        match self.random.below(10) {
            0..=2 => self.of_nodes(number),
            3..=5 => self.of_workloads(),
            6 => self.of_storage(),
            _ => self.of_pods(),
        }
    }

    fn of_nodes(&mut self, number: u64) -> String {
        let node = self.node();
        match self.random.below(15) {
            0 | 1 => format!("failNode: {node}"),
            2 => format!("restoreNode: {node}"),
            3 => format!("cordon: {node}"),
            4 => format!("drain: {{nodes: [{node}], ignoreDaemonsets: true, force: true, timeout: 2m}}"),
            5 => format!(
                "drain: {{nodes: [{node}], ignoreDaemonsets: true, disableEviction: true, timeout: 1m}}"
            ),
            6 => format!(
                "taint: {{nodes: [{node}], taints: ['fault=on:{}']}}",
                self.one_of(&["NoExecute", "NoSchedule"])
            ),
            7 => format!("partition: {node}"),
            8 => format!("stopKubelet: {node}"),
            9 => format!("startKubelet: {node}"),
            10 => format!("failZone: {}", self.one_of(&ZONES)),
            11 => format!("restoreZone: {}", self.one_of(&ZONES)),
            12 => format!("delete: {{resource: node/{node}}}"),
            13 => format!("removeNode: {node}"),
            _ => {
                let name = format!("extra-{number}");
                let line = self.node_line(&name);
                self.nodes.push(name);
                format!("addNodes: {{nodes: [{line}]}}")
            }
        }
    }

    fn of_storage(&mut self) -> String {
        match self.random.below(3) {
            0 => format!(
                "driver: {{name: ebs.csi.aws.com, denied: [{}]}}",
                self.one_of(&["create", "attach", "detach", "mount", "delete, create"])
            ),
            1 => {
                let rate = self.one_of(&["0.2", "0.5", "0.9"]);
                format!(
                    "driver: {{name: ebs.csi.aws.com, errorRates: {{attach: {rate}, detach: {rate}, mount: {rate}, create: {rate}}}}}"
                )
            }
            _ => format!(
                "driver: {{name: ebs.csi.aws.com, latencies: {{attach: {}, mount: {}}}}}",
                self.one_of(&["1s", "30s", "3m"]),
                self.one_of(&["1s", "20s"])
            ),
        }
    }

    fn of_workloads(&mut self) -> String {
        let (workload, namespace) = self.workload_at_random();
        let (kind, name) = workload.split_once('/').expect("a kind and a name");
        let of = format!("resource: {workload}, namespace: {namespace}");
        match self.random.below(11) {
            0 | 1 if kind != "daemonset" => format!("scale: {{{of}, replicas: {}}}", self.between(0, 12)),
            2 | 3 => format!("set: {{{of}, image: {{app: '{name}:2'}}}}"),
            4 => format!("set: {{{of}, image: {{app: '{name}:bad'}}}}"),
            5 => format!("rollout: {{undo: {workload}, namespace: {namespace}}}"),
            6 => format!("rollout: {{restart: {workload}, namespace: {namespace}}}"),
            7 if kind == "deployment" => format!("rollout: {{pause: {workload}, namespace: {namespace}}}"),
            8 => {
                format!("delete: {{{of}, cascade: {}}}", self.one_of(&["background", "foreground", "orphan"]))
            }
            9 if namespace == "team" => "delete: {resource: namespace/team}".to_owned(),
            10 => format!(
                "set: {{{of}, resources: {{app: {{requests: {{cpu: {}}}}}}}}}",
                self.one_of(&["20m", "300m", "900m"])
            ),
            _ => format!(
                "load: {{selector: app={name}, namespace: {namespace}, total: {}}}",
                self.one_of(&["10m", "500m", "3000m"])
            ),
        }
    }

    fn of_pods(&mut self) -> String {
        let (workload, namespace) = self.workload_at_random();
        let (_, name) = workload.split_once('/').expect("a kind and a name");
        let name = if self.once_in(8) { "job" } else { name };
        let of = format!("resource: pods, namespace: {namespace}, selector: app={name}");
        match self.random.below(9) {
            0 => format!("delete: {{{of}}}"),
            1 => format!("delete: {{{of}, force: true, gracePeriod: 0s}}"),
            2 => format!("delete: {{{of}, nth: 0}}"),
            3 => format!("crash: {{{of}}}"),
            4 => format!("crash: {{{of}, nth: 0, reason: OOMKilled}}"),
            5 => format!("evict: {{{of}}}"),
            6 => format!("hang: {{{of}, nth: 0, for: {}s}}", self.between(5, 120)),
            7 => format!(
                "delete: {{resource: replicasets, namespace: {namespace}, selector: app={name}, nth: 0}}"
            ),
            _ => format!("evict: {{{of}, nth: 0}}"),
        }
    }
}
