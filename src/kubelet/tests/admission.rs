//! Whom a node takes, and whom it ends for it.

use super::*;

fn fill(rig: &mut Rig, what: Scarce, percent: u32) {
    assert!(rig.with(|k, ctx| k.fill_node("n1", (what, InUse::Percent(percent), SimDuration::ZERO), ctx)));
}

fn verdict(rig: &Rig, name: &str) -> (String, String) {
    let status = &rig.get(name).status;
    (status.reason.to_string(), status.message.to_string())
}

/// §7.9: a node short of memory alone turns away who asked for nothing and does not tolerate it; one short of disk or
/// process numbers turns away everybody who is not critical.
#[test]
fn nodes_under_pressure_choose_their_guests() {
    let requests = container(json!({"resources": {"requests": {"cpu": "10m"}}}));
    let mut tolerant = app();
    tolerant["tolerations"] = json!([{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}]);
    let mut critical = app();
    critical["priority"] = json!(2_000_000_000);
    for (what, percent, refused) in [
        (Scarce::Memory, 99, &["plain"][..]),
        (Scarce::Disk, 95, &["plain", "burstable", "tolerant"]),
        (Scarce::Pids, 95, &["plain", "burstable", "tolerant"]),
    ] {
        let mut rig = Rig::new();
        rig.settings.eviction_hard.push(crate::params::settings::Threshold {
            signal: "pid.available".into(),
            limit: crate::params::settings::ThresholdLimit::Percent(10),
        });
        fill(&mut rig, what, percent);
        rig.run(15);
        for (name, spec) in [
            ("plain", app()),
            ("burstable", requests.clone()),
            ("tolerant", tolerant.clone()),
            ("vital", critical.clone()),
        ] {
            rig.pod(name, spec);
        }
        let rejected: Vec<&str> = ["plain", "burstable", "tolerant", "vital"]
            .into_iter()
            .filter(|name| verdict(&rig, name).0 == "Evicted")
            .collect();
        assert_eq!(rejected, refused, "{what:?}");
        let message = format!("Pod was rejected: The node had condition: [{}]. ", what.condition());
        assert_eq!(verdict(&rig, "plain").1, message);
    }
}

/// §7.1, §7.9: the number of Pods, and taints that are not tolerated; static Pods do not mind the latter.
#[test]
fn pods_are_counted_and_taints_are_looked_at() {
    let mut rig = Rig::without_nodes();
    let (mut node, csi) = Rig::node("n1");
    node.status.allocatable.0.insert(PODS.into(), Quantity::from_units(1));
    rig.with(|kubelets, ctx| kubelets.join_ready(node, csi, ctx)).unwrap();
    rig.pod("one", app());
    rig.pod("two", app());
    assert_eq!(
        verdict(&rig, "two"),
        (
            "OutOfpods".to_owned(),
            "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1"
                .to_owned()
        )
    );
    let mut rig = Rig::new();
    rig.store
        .update_spec::<Node>(&ObjectKey::cluster("n1"), |node| {
            node.taints.push(crate::api::Taint {
                key: "mine".into(),
                value: Str::new(),
                effect: crate::api::TaintEffect::NoExecute,
                time_added: None,
            });
        })
        .unwrap();
    rig.pod("plain", app());
    assert_eq!(
        verdict(&rig, "plain"),
        (
            "TaintToleration".to_owned(),
            "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate".to_owned()
        )
    );
    rig.create(&json!({
        "metadata": {"name": "static", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}},
        "spec": app(),
    }));
    rig.run(5);
    assert!(rig.get("static").is_ready());
}

fn asks(cpu: &str, guaranteed: bool, priority: i64) -> Value {
    let list = json!({"cpu": cpu, "memory": "10Mi"});
    let limits = if guaranteed { list.clone() } else { json!({}) };
    let mut spec = container(json!({"resources": {"requests": list, "limits": limits}}));
    spec["priority"] = json!(priority);
    spec
}

const CRITICAL: i64 = 2_000_000_000;

/// §7.9, §13.50: a critical Pod without room has others ended for it, the lower classes of service first, of each class
/// who comes nearest to what is missing, one after the other.
#[test]
fn a_critical_pod_finds_room() {
    // Two cores. What runs: name, CPU, whether guaranteed; then what a critical Pod asks for, and who goes.
    type Case<'a> = (&'a [(&'a str, &'a str, bool)], &'a str, &'a [&'a str]);
    let cases: [Case<'_>; 5] = [
        (&[("a", "500m", false), ("b", "1", true)], "500m", &[]),
        (&[("a", "500m", false), ("b", "1500m", true)], "500m", &["a"]),
        (&[("a", "500m", false), ("b", "1500m", true)], "1", &["b"]),
        // The nearest: 600m is enough where 500m and 900m would do worse.
        (&[("a", "500m", false), ("b", "600m", false), ("c", "900m", false)], "600m", &["b"]),
        (&[("a", "500m", true), ("b", "500m", false), ("c", "1", false)], "1200m", &["b", "c"]),
    ];
    for (running, asked, gone) in cases {
        let mut rig = Rig::new();
        for (name, cpu, guaranteed) in running {
            rig.pod(name, asks(cpu, *guaranteed, 0));
        }
        rig.run(10);
        rig.pod("vital", asks(asked, false, CRITICAL));
        rig.run(60);
        assert!(rig.get("vital").is_ready(), "{asked} {running:?}");
        let preempted: Vec<&str> = running
            .iter()
            .map(|(name, ..)| *name)
            .filter(|name| verdict(&rig, name).0 == "Preempting")
            .collect();
        assert_eq!(preempted, gone, "{asked} {running:?}");
    }
}

/// §7.2, §7.9: in the kubelet's words, and after the victims have ended with their own grace.
#[test]
fn victims_of_a_critical_pod_end_first() {
    let mut rig = Rig::new();
    rig.behave("first", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(5))));
    rig.behave("second", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(7))));
    rig.pod("first", asks("1", false, 0));
    rig.pod("second", asks("1", true, 0));
    rig.run(10);
    rig.trace();
    rig.pod("vital", asks("2", false, CRITICAL));
    rig.run(11);
    rig.pod("late", asks("100m", false, 0));
    assert_eq!(verdict(&rig, "late").0, "OutOfcpu", "the room is taken already");
    rig.run(60);
    let trace: Vec<String> = rig.trace().into_iter().filter(|line| !line.contains("late")).collect();
    assert_eq!(
        trace,
        [
            "15.01 first Failed 0/1 Completed(0)",
            "22.02 second Failed 0/1 Completed(0)",
            "22.02 vital Pending 0/1 ContainerCreating",
            "23.02 vital Running 1/1 Ready",
        ]
    );
    let message = "Preempted in order to admit critical pod";
    assert_eq!(verdict(&rig, "first"), ("Preempting".to_owned(), message.to_owned()));
    assert!(rig.events("first").contains(&format!("Preempting: {message}")));
    let target = condition::find(&rig.get("first").status.conditions, "DisruptionTarget").unwrap();
    assert_eq!(
        (target.reason.as_str(), target.message.as_str()),
        ("TerminationByKubelet", "Pod was preempted by Kubelet to accommodate a critical pod.")
    );
}

/// §7.9: nobody is ended in vain, and critical Pods give way to more important ones only.
#[test]
fn a_critical_pod_that_cannot_find_room_is_refused() {
    let mut rig = Rig::new();
    rig.pod("small", asks("500m", false, 0));
    rig.pod("peer", asks("1500m", false, CRITICAL));
    rig.run(10);
    rig.pod("vital", asks("1", false, CRITICAL));
    assert_eq!(
        verdict(&rig, "vital"),
        (
            "UnexpectedAdmissionError".to_owned(),
            "Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: \
             error finding a set of pods to preempt: no set of running pods found to reclaim resources: [(res: cpu, q: 500), ]"
                .to_owned()
        )
    );
    let mut elsewhere = asks("1", false, CRITICAL + 1000);
    elsewhere["nodeSelector"] = json!({"pool": "b"});
    rig.pod("elsewhere", elsewhere);
    assert_eq!(verdict(&rig, "elsewhere").0, "NodeAffinity", "what is no matter of room comes first");
    assert!(rig.get("small").is_ready() && rig.get("peer").is_ready());
    rig.pod("more", asks("2", false, CRITICAL + 1000));
    rig.run(30);
    assert!(rig.get("more").is_ready());
    assert_eq!(verdict(&rig, "peer").0, "Preempting");
}
