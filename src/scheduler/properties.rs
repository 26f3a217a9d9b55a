//! Whatever the cluster: the scheduler that has heard of one change after the other decides as one that sees the same
//! cluster for the first time and looks at every node; and it never places a Pod where the plugins refuse it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{bound, node, node_change, object, pod_change, pod_with};
use super::*;
use crate::api::Phase;
use crate::api::taint::{Taint, TaintEffect};
use crate::scheduler::framework::{Nominator, Shapes, Snapshot};

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    AddNode {
        name: usize,
        zone: usize,
        cpu: i64,
    },
    RemoveNode(usize),
    Cordon(usize, bool),
    Taint(usize, bool),
    /// A taint that only makes a node less welcome.
    Dislike(usize, bool),
    Relabel(usize, usize),
    /// The node holds the image of some Pods.
    Pull(usize, bool),
    AddPod {
        shape: usize,
        cpu: i64,
        priority: i32,
    },
    FinishPod(usize),
    DeletePod(usize),
    Schedule,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..12, 0usize..3, 500i64..4000).prop_map(|(name, zone, cpu)| Step::AddNode { name, zone, cpu }),
        1 => (0usize..12).prop_map(Step::RemoveNode),
        1 => (0usize..12, any::<bool>()).prop_map(|(n, on)| Step::Cordon(n, on)),
        1 => (0usize..12, any::<bool>()).prop_map(|(n, on)| Step::Taint(n, on)),
        1 => (0usize..12, any::<bool>()).prop_map(|(n, on)| Step::Dislike(n, on)),
        1 => (0usize..12, 0usize..4).prop_map(|(n, zone)| Step::Relabel(n, zone)),
        1 => (0usize..12, any::<bool>()).prop_map(|(n, on)| Step::Pull(n, on)),
        6 => (0usize..SORTS, 50i64..900, 0i32..3).prop_map(|(shape, cpu, priority)| Step::AddPod { shape, cpu, priority }),
        1 => (0usize..40).prop_map(Step::FinishPod),
        1 => (0usize..40).prop_map(Step::DeletePod),
        8 => Just(Step::Schedule),
    ]
}

/// How many sorts of Pods there are.
const SORTS: usize = 14;
const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Pods of all sorts that plugins look at.
fn shaped(name: &str, shape: usize, cpu: i64, priority: i32) -> Object {
    let own = json!({"matchLabels": {"sort": shape.to_string()}});
    let sort = |sort: usize| json!({"matchLabels": {"sort": sort.to_string()}});
    pod_with(name, cpu, |pod| {
        pod["metadata"]["labels"] = json!({"sort": shape.to_string()});
        pod["spec"]["priority"] = json!(priority);
        let spec = &mut pod["spec"];
        match shape {
            1 => spec["tolerations"] = json!([{"operator": "Exists"}]),
            2 => spec["containers"][0]["ports"] = json!([{"containerPort": 80, "hostPort": 80}]),
            3 => spec["topologySpreadConstraints"] = json!([spread(ZONE, 1, "DoNotSchedule", &own)]),
            4 => spec["affinity"] = affinity("podAffinity", ZONE, &own),
            5 => spec["affinity"] = affinity("podAntiAffinity", HOST, &own),
            6 => spec["affinity"] = preferred("podAffinity", ZONE, &sort(0)),
            7 => {
                spec["topologySpreadConstraints"] =
                    json!([spread(ZONE, 1, "ScheduleAnyway", &own), spread(HOST, 2, "ScheduleAnyway", &own)]);
            }
            8 => {
                spec["topologySpreadConstraints"] = json!([
                    spread(HOST, 2, "DoNotSchedule", &own),
                    spread(ZONE, 3, "DoNotSchedule", &sort(0))
                ]);
            }
            9 => {
                let claim = format!("claim-{}", cpu % 3);
                spec["volumes"] = json!([{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]);
            }
            10 => {
                spec["affinity"] = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 5, "preference": {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["z1"]}]}}]}});
            }
            11 => spec["containers"][0]["image"] = json!("big:1"),
            12 => pod["metadata"]["labels"]["app"] = json!("served"),
            13 => spec["affinity"] = affinity("podAntiAffinity", ZONE, &sort(4)),
            _ => {}
        }
    })
}

fn affinity(kind: &str, key: &str, selector: &Value) -> Value {
    json!({kind: {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": selector}]}})
}

fn preferred(kind: &str, key: &str, selector: &Value) -> Value {
    json!({kind: {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 10, "podAffinityTerm": {"topologyKey": key, "labelSelector": selector}}]}})
}

fn spread(key: &str, skew: i64, when: &str, selector: &Value) -> Value {
    json!({"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when, "labelSelector": selector})
}

/// What is there from the beginning: a Service, three claims with volumes of two zones and of none, drivers with limits.
fn surroundings() -> Vec<Object> {
    use crate::api::Kind;
    let service = json!({"metadata": {"name": "served", "namespace": "default"}, "spec": {"selector": {"app": "served"}}});
    let mut all = vec![object(Kind::Service, service)];
    for number in 0..3 {
        let (claim, volume) = (format!("claim-{number}"), format!("volume-{number}"));
        let mut pv = json!({"metadata": {"name": volume}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "disk.example.com", "volumeHandle": volume},
            "claimRef": {"kind": "PersistentVolumeClaim", "namespace": "default", "name": claim, "uid": claim}}});
        if number < 2 {
            pv["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": ZONE, "operator": "In", "values": [format!("z{number}")]}]}]}});
        }
        all.push(object(Kind::PersistentVolume, pv));
        all.push(object(Kind::PersistentVolumeClaim, json!({
            "metadata": {"name": claim, "namespace": "default", "uid": claim,
                "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {"volumeName": volume, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Bound"}})));
    }
    for number in 0..260 {
        all.push(object(
            Kind::CsiNode,
            json!({"metadata": {"name": format!("n{number}")}, "spec": {"drivers": [
            {"name": "disk.example.com", "nodeID": "n", "allocatable": {"count": number % 3}}]}}),
        ));
    }
    all
}

/// The cluster as the API has it, and a scheduler that hears of every change.
struct Cluster {
    nodes: Vec<Option<Object>>,
    pods: Vec<Object>,
    scheduler: Scheduler,
    /// How many Pods there ever were.
    born: usize,
    draws: u64,
}

impl Cluster {
    fn put(&mut self, old: Option<&Object>, new: Option<&Object>) {
        self.scheduler.change(SimTime::ZERO, old, new);
    }

    fn set_node(&mut self, index: usize, new: Option<Object>) {
        let old = std::mem::replace(&mut self.nodes[index], new.clone());
        if old.is_some() || new.is_some() {
            self.put(old.as_ref(), new.as_ref());
        }
    }

    fn change_node(&mut self, index: usize, change: impl FnOnce(&mut crate::api::Node)) {
        if let Some(have) = self.nodes[index].clone() {
            self.set_node(index, Some(node_change(&have, change)));
        }
    }

    fn set_pod(&mut self, index: usize, new: Object) {
        let old = std::mem::replace(&mut self.pods[index], new.clone());
        self.put(Some(&old), Some(&new));
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::AddNode { name, zone, cpu } => {
                self.set_node(*name, Some(node(&format!("n{name}"), &format!("z{zone}"), *cpu)));
            }
            Step::RemoveNode(index) => self.set_node(*index, None),
            Step::Cordon(index, on) => self.change_node(*index, |n| n.unschedulable = *on),
            Step::Taint(index, on) => self.change_node(*index, |n| {
                n.taints.clear();
                if *on {
                    let (key, value) = ("k".into(), Str::new());
                    n.taints.push(Taint { key, value, effect: TaintEffect::NoSchedule, time_added: None });
                }
            }),
            Step::Dislike(index, on) => self.change_node(*index, |n| {
                n.taints.retain(|taint| taint.effect != TaintEffect::PreferNoSchedule);
                if *on {
                    let (key, value) = ("dislike".into(), Str::new());
                    n.taints.push(Taint {
                        key,
                        value,
                        effect: TaintEffect::PreferNoSchedule,
                        time_added: None,
                    });
                }
            }),
            Step::Relabel(index, zone) => self.change_node(*index, |n| {
                let mut labels: Vec<(Str, Str)> = n
                    .meta
                    .labels
                    .iter()
                    .filter(|(key, _)| *key != ZONE)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                // A node of the fourth zone lacks the label.
                labels.extend((*zone < 3).then(|| (ZONE.into(), format!("z{zone}").into())));
                n.meta.labels = labels.into_iter().collect();
            }),
            Step::Pull(index, on) => self.change_node(*index, |n| {
                let image = (vec!["big:1".into()], 800 * 1024 * 1024);
                n.status.images = if *on { vec![image] } else { Vec::new() };
            }),
            Step::AddPod { shape, cpu, priority } => {
                let pod = shaped(&format!("p{}", self.born), *shape, *cpu, *priority);
                self.born += 1;
                self.pods.push(pod.clone());
                self.put(None, Some(&pod));
            }
            Step::FinishPod(index) if *index < self.pods.len() => {
                let ended = pod_change(&self.pods[*index], |pod| pod.status.phase = Phase::Succeeded);
                self.set_pod(*index, ended);
            }
            Step::DeletePod(index) if *index < self.pods.len() => {
                let old = self.pods.remove(*index);
                self.put(Some(&old), None);
            }
            Step::FinishPod(_) | Step::DeletePod(_) => {}
            Step::Schedule => self.schedule()?,
        }
        Ok(())
    }

    /// The cluster as somebody sees it who hears of it all at once. Nodes in the same order as the scheduler's, since
    /// that order depends on when they came.
    fn fresh(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.listers = self.scheduler.snapshot().listers.clone();
        for info in self.scheduler.snapshot().nodes() {
            snapshot.set_node(info.node());
        }
        let mut shapes = Shapes::default();
        for pod in &self.pods {
            let Object::Pod(pod) = pod else { continue };
            if let Some(node) = pod.node_name.as_ref().filter(|_| !pod.is_terminal()) {
                snapshot.add_pod(node, Arc::new(shapes.info(pod.clone())));
            }
        }
        snapshot
    }

    fn schedule(&mut self) -> Result<(), TestCaseError> {
        self.scheduler.wake(SimTime::ZERO);
        let Some(queued) = self.scheduler.pop(SimTime::ZERO) else { return Ok(()) };
        let pod = queued.info.pod.clone();
        let index = self.pods.iter().position(|p| p.meta().uid == pod.meta.uid);
        let fresh = self.fresh();
        let nominator = self.scheduler.queue.nominator.clone();
        let by_force = brute_force(&fresh, &nominator, &queued.info);
        self.draws += 1;
        let attempt = decide_twice(&mut self.scheduler, queued, self.draws)?;
        match (&attempt.decision, by_force) {
            (Decision::Bind(binding), Ok(ties)) => {
                prop_assert!(ties.contains(&binding.node), "{} is none of {ties:?}", binding.node);
                if let Some(index) = index {
                    let placed = bound(&self.pods[index], &binding.node);
                    self.scheduler.finish_binding(SimTime::ZERO, &pod.meta.key(), &pod.meta.uid);
                    self.set_pod(index, placed);
                }
            }
            (Decision::Failed(failure), Err(message)) => {
                prop_assert!(failure.message.starts_with(&message), "{} is not {message}", failure.message);
                self.scheduler.preemption_issued(SimTime::ZERO, &pod.meta.key(), &pod.meta.uid);
            }
            (decision, by_force) => prop_assert!(false, "{decision:?} but {by_force:?}"),
        }
        Ok(())
    }
}

/// Decides, after a copy of the scheduler that keeps nothing of earlier cycles has decided the same.
fn decide_twice(scheduler: &mut Scheduler, queued: Queued, seed: u64) -> Result<Attempt, TestCaseError> {
    let decide = |scheduler: &mut Scheduler, queued: Queued| {
        let mut draws = seed;
        let mut draw = |below: u64| {
            draws = draws.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (draws >> 33) % below
        };
        let attempt = scheduler.schedule_one(SimTime::ZERO, queued, &mut Choice::Random(&mut draw));
        (attempt, draws)
    };
    let mut plain = scheduler.clone();
    plain.keep_verdicts(false);
    let (by_asking, draws) = decide(&mut plain, queued.clone());
    let (attempt, drawn) = decide(scheduler, queued);
    prop_assert_eq!(format!("{:?}", attempt.decision), format!("{:?}", by_asking.decision));
    prop_assert_eq!((attempt.evaluated, attempt.feasible), (by_asking.evaluated, by_asking.feasible));
    if matches!(attempt.decision, Decision::Bind(_)) {
        prop_assert_eq!(drawn, draws, "as many equals");
    }
    Ok(attempt)
}

/// The best nodes of a cluster for a Pod, found without any shortcut; or why there are none.
fn brute_force(
    snapshot: &Snapshot,
    nominator: &Nominator,
    pod: &framework::PodInfo,
) -> Result<Vec<Str>, String> {
    let frameworks = Config::default().frameworks(Wording::default()).map_err(|why| why.to_string())?;
    let view = View { framework: &frameworks[0], snapshot, nominator };
    let found = view.evaluate(pod).evaluation;
    if found.ties.is_empty() {
        Err(found.fit_message.or(found.error).unwrap_or_default())
    } else {
        Ok(found.ties)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hearing_of_changes_one_by_one_decides_as_seeing_all_at_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut scheduler = Scheduler::default();
        surroundings().iter().for_each(|object| scheduler.change(SimTime::ZERO, None, Some(object)));
        let mut cluster = Cluster { nodes: vec![None; 12], pods: Vec::new(), scheduler, born: 0, draws: 0 };
        for step in &steps {
            cluster.apply(step)?;
        }
        let (have, fresh) = (cluster.scheduler.snapshot(), cluster.fresh());
        for info in have.nodes() {
            let other = fresh.get(info.name());
            prop_assert_eq!(other.map(|o| o.requested()), Some(info.requested()), "{}", info.name());
            prop_assert_eq!(other.map(|o| o.pods().len()), Some(info.pods().len()), "{}", info.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn looking_at_a_part_of_the_nodes_never_places_where_plugins_refuse(
        nodes in 100usize..260, sizes in prop::collection::vec(200i64..2000, 20..80), seed in any::<u64>(),
    ) {
        let mut scheduler = Scheduler::default();
        surroundings().iter().for_each(|object| scheduler.change(SimTime::ZERO, None, Some(object)));
        for i in 0..nodes {
            let cpu = 500 + (i as i64 * 37) % 1500;
            scheduler.change(SimTime::ZERO, None, Some(&node(&format!("n{i}"), &format!("z{}", i % 3), cpu)));
        }
        for (i, cpu) in sizes.iter().enumerate() {
            scheduler.change(SimTime::ZERO, None, Some(&shaped(&format!("p{i}"), i % SORTS, *cpu / 500 * 500 + 100, 0)));
            let queued = scheduler.pop(SimTime::ZERO).expect("a Pod waits");
            let info = queued.info.clone();
            let passes = scheduler.view(&info.pod).map(|view| view.feasible(&info)).unwrap_or_default();
            let attempt = decide_twice(&mut scheduler, queued, seed.wrapping_add(i as u64))?;
            match attempt.decision {
                Decision::Bind(binding) => {
                    prop_assert!(passes.contains(&binding.node));
                    let enough = cycle::num_feasible_nodes_to_find(0, nodes);
                    prop_assert_eq!(attempt.feasible, passes.len().min(enough));
                }
                Decision::Failed(_) => prop_assert!(passes.is_empty()),
                Decision::Skipped(why) => prop_assert!(false, "{why:?}"),
            }
        }
        let tally = scheduler.tally();
        prop_assert!(tally.short > 0 && tally.long.keys().all(|why| *why == "no node fits"), "{tally:?}");
        // Soft spreading is told by places.
        prop_assert!(!tally.asked.contains_key("PodTopologySpread"), "{tally:?}");
    }
}
