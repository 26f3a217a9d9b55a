//! Memory and disk that run short.

use super::*;

const MI: i64 = 1 << 20;

/// §7.11, §13.37.
#[test]
fn a_leak_ends_at_the_memory_limit() {
    let mut rig = Rig::new();
    rig.behave("leak", |b| b.memory = Some(MemoryUse { idle: 40 * MI, per_request: 0, growth: 2 * MI }));
    rig.pod("leak", container(json!({"resources": {"limits": {"memory": "100Mi"}}})));
    rig.run(40);
    let trace = rig.trace();
    assert_eq!(trace[1], "1 leak Running 1/1 Ready");
    // Over the limit after 30 s.
    assert!(
        trace[2].starts_with("31.") && trace[2].ends_with("leak Running 0/1 OOMKilled(137)"),
        "{trace:#?}"
    );
    assert!(trace[3].starts_with("32.") && trace[3].ends_with("leak Running 1/1 x1 Ready"), "{trace:#?}");
    let end = rig.get("leak").status.containers[0].last_termination.clone().unwrap();
    assert_eq!((end.exit_code, end.reason.as_str()), (137, "OOMKilled"));
}

/// §7.11: requests in flight take memory; a process that was killed for them starts without any.
#[test]
fn requests_in_flight_count_towards_the_memory_limit() {
    let mut rig = Rig::new();
    rig.behave("app", |b| b.memory = Some(MemoryUse { idle: 40 * MI, per_request: 2 * MI, growth: 0 }));
    rig.pod("app", container(json!({"resources": {"limits": {"memory": "100Mi"}}})));
    rig.run(10);
    rig.trace();
    let id = rig.store.id_of::<Pod>(&rig.get("app").meta.key()).unwrap();
    let bear = |rig: &mut Rig, count: f64, per_second: f64| {
        let burden = Burden { from: rig.store.now(), count, per_second };
        rig.with(|kubelets, ctx| kubelets.bear(id, burden, ctx));
        assert_eq!(rig.kubelets.burden(id), Some(burden));
    };
    bear(&mut rig, 20.0, 0.0);
    rig.run(20);
    assert!(rig.trace().is_empty(), "80Mi of 100Mi");
    // Each second one request more, of 2Mi: too many after ten.
    bear(&mut rig, 20.0, 1.0);
    rig.run(60);
    let trace = rig.trace();
    assert!(trace[0].starts_with("30."), "{trace:#?}");
    let status = &rig.get("app").status.containers[0];
    assert_eq!(status.restart_count, 1);
    assert_eq!(status.last_termination.as_ref().map(|end| end.reason.as_str()), Some("OOMKilled"));
    assert_eq!(rig.kubelets.burden(id), Some(Burden::default()));
}

/// §6.9, §7.9, §7.10, §13.36.
#[test]
fn a_node_short_of_memory_evicts_the_greediest() {
    let mut rig = Rig::new();
    for (name, mi) in [("modest", 200), ("greedy", 900)] {
        rig.behave(name, |b| b.memory = Some(MemoryUse { idle: mi * MI, per_request: 0, growth: 0 }));
    }
    rig.pod("modest", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.pod("greedy", container(json!({"resources": {"requests": {"memory": "500Mi"}}})));
    rig.run(15);
    rig.trace();
    let none = SimDuration::ZERO;
    assert!(rig.with(|k, ctx| k.fill_node("n1", (Scarce::Memory, InUse::Amount(2950 * MI), none), ctx)));
    rig.run(60);
    assert_eq!(rig.trace(), ["21.01 greedy Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("greedy").status.message,
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 46Mi. \
         Container c was using 900Mi, request is 500Mi, has larger consumption of memory. "
    );
    let pressure = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        condition::find(&node.status.conditions, "MemoryPressure").map(|c| c.reason.to_string()).unwrap()
    };
    assert_eq!(pressure(&rig), "KubeletHasInsufficientMemory");
    // Pods that asked for nothing are turned away meanwhile.
    rig.pod("late", app());
    assert_eq!(rig.get("late").status.reason, "Evicted");
    assert_eq!(
        rig.get("late").status.message,
        "Pod was rejected: The node had condition: [MemoryPressure]. "
    );
    rig.run(1000);
    assert_eq!(pressure(&rig), "KubeletHasSufficientMemory");
    assert_eq!(
        rig.reasons("n1"),
        ["NodeHasInsufficientMemory", "EvictionThresholdMet", "NodeHasSufficientMemory"]
    );
    assert!(rig.timers.is_empty());
}

/// §7.10.
#[test]
fn a_container_that_writes_more_than_it_may_is_evicted() {
    let mut rig = Rig::new();
    rig.pod("logs", container(json!({"resources": {"limits": {"ephemeral-storage": "1Gi"}}})));
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "logs");
    let minute = SimDuration::from_mins(1);
    assert!(rig.with(|k, ctx| k.fill_pod(
        &key,
        Place::Container(None),
        (Scarce::Disk, InUse::Percent(200), minute),
        ctx
    )));
    rig.run(100);
    // Half of the minute, then the monitor's next turn.
    assert_eq!(rig.trace(), ["41.01 logs Failed 0/1 Completed(0)"]);
    assert_eq!(
        rig.get("logs").status.message,
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. "
    );
}

fn node_condition(rig: &Rig, kind: &str) -> String {
    let node = rig.store.find::<Node>("", "n1").unwrap();
    condition::find(&node.status.conditions, kind).map(|c| format!("{} {}", c.status, c.reason)).unwrap()
}

fn fill_pod(rig: &mut Rig, pod: &str, place: Place<'_>, how: (Scarce, InUse)) -> bool {
    let key = ObjectKey::new("default", pod.to_owned());
    rig.with(|k, ctx| k.fill_pod(&key, place, (how.0, how.1, SimDuration::ZERO), ctx))
}

fn fill_node(rig: &mut Rig, what: Scarce, amount: InUse) -> bool {
    rig.with(|k, ctx| k.fill_node("n1", (what, amount, SimDuration::ZERO), ctx))
}

/// §7.10: limits of local storage need no threshold; the volume is looked at first, then the Pod, then its containers.
#[test]
fn limits_of_local_storage_evict_without_pressure() {
    let gi = 1 << 30;
    let disk = |limit: &str| json!({"limits": {"ephemeral-storage": limit}});
    let cases: [(&str, Place<'_>, i64, Option<&str>); 6] = [
        ("scratch", Place::Volume("tmp"), gi, None),
        (
            "scratch",
            Place::Volume("tmp"),
            gi + 1,
            Some("Usage of EmptyDir volume \"tmp\" exceeds the limit \"1Gi\". "),
        ),
        (
            "two",
            Place::Container(Some("a")),
            gi + 1,
            Some("Container a exceeded its local ephemeral storage limit \"1Gi\". "),
        ),
        ("two", Place::Container(Some("b")), gi + 1, None),
        (
            "two",
            Place::Container(Some("b")),
            4 * gi,
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 3Gi. "),
        ),
        // A volume without a limit of its own counts for the Pod.
        (
            "two",
            Place::Volume("tmp"),
            4 * gi,
            Some("Pod ephemeral local storage usage exceeds the total limit of containers 3Gi. "),
        ),
    ];
    for (name, place, bytes, expected) in cases {
        let mut rig = Rig::new();
        let containers = json!([{"name": "a", "image": "app:v1", "resources": disk("1Gi")},
                                {"name": "b", "image": "app:v1", "resources": disk("2Gi")}]);
        rig.pod("two", json!({"containers": containers, "volumes": [{"name": "tmp", "emptyDir": {}}]}));
        let volumes = json!([{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]);
        rig.pod("scratch", json!({"containers": [{"name": "c", "image": "app:v1"}], "volumes": volumes}));
        rig.run(5);
        assert!(fill_pod(&mut rig, name, place, (Scarce::Disk, InUse::Amount(bytes))));
        rig.run(60);
        let pod = rig.get(name);
        assert_eq!(pod.status.message, expected.unwrap_or_default(), "{place:?} {bytes}");
        // Such an eviction is the Pod's own doing, no disruption.
        assert!(condition::find(&pod.status.conditions, "DisruptionTarget").is_none());
        assert_eq!(node_condition(&rig, "DiskPressure"), "False KubeletHasNoDiskPressure");
    }
    let mut rig = Rig::new();
    rig.pod("app", app());
    rig.run(5);
    assert!(
        !fill_pod(&mut rig, "app", Place::Volume("tmp"), (Scarce::Disk, InUse::Amount(1))),
        "no such volume"
    );
}

/// §7.10, §6.9: process numbers; no threshold by default, and then the least important goes, whatever it asked for.
#[test]
fn process_numbers_run_short_only_with_a_threshold() {
    for threshold in [false, true] {
        let mut rig = Rig::new();
        if threshold {
            rig.settings.eviction_hard.push(crate::params::settings::Threshold {
                signal: "pid.available".into(),
                limit: crate::params::settings::ThresholdLimit::Percent(10),
            });
        }
        rig.behave("fork", |b| b.processes = Some(Growing { idle: 0, growth: 1000 }));
        rig.pod("fork", app());
        rig.pod("calm", app());
        rig.run(15);
        assert!(fill_node(&mut rig, Scarce::Pids, InUse::Percent(89)));
        rig.run(90);
        if !threshold {
            assert_eq!(node_condition(&rig, "PIDPressure"), "False KubeletHasSufficientPID");
            continue;
        }
        assert_eq!(node_condition(&rig, "PIDPressure"), "True KubeletHasInsufficientPID");
        assert_eq!(rig.get("calm").status.reason, "");
        assert_eq!(
            rig.get("fork").status.message,
            "The node was low on resource: pids. Threshold quantity: 419430, available: 412374. "
        );
        rig.pod("late", app());
        assert_eq!(
            rig.get("late").status.message,
            "Pod was rejected: The node had condition: [PIDPressure]. "
        );
        assert_eq!(rig.reasons("n1"), ["NodeHasInsufficientPID", "EvictionThresholdMet"]);
    }
}

/// §7.1, §7.10: unused images go before any Pod does, and before pressure where the collector looks in time.
#[test]
fn unused_images_are_deleted_before_pods_are_evicted() {
    let gi = 1_i64 << 30;
    let rig_with_images = || {
        let mut rig = Rig::new();
        rig.latencies.image_pull =
            ImagePull::BySize { bytes_per_second: 1 << 40, overhead: SimDuration::ZERO, default_size: 0 };
        for name in ["old", "new"] {
            rig.behave(name, |b| {
                b.size = Some(10 * gi);
                b.completes = (name == "old").then_some(Completion {
                    after: Delay::Constant(SimDuration::from_secs(20)),
                    exit_code: 0,
                    fail_first: None,
                });
            });
            let containers = json!([{"name": "c", "image": format!("{name}:v1")}]);
            rig.pod(name, json!({"restartPolicy": "Never", "containers": containers}));
        }
        rig.run(200);
        rig
    };
    let images = |rig: &Rig| {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        node.status.images.iter().map(|(names, _)| names[0].to_string()).collect::<Vec<_>>()
    };
    // The disk passes 85 %: the monitor's next turn deletes what nobody uses, and that suffices.
    let mut rig = rig_with_images();
    assert_eq!(images(&rig).len(), 2);
    assert!(fill_node(&mut rig, Scarce::Disk, InUse::Amount(70 * gi)));
    rig.run(215);
    assert_eq!(images(&rig), ["docker.io/library/new:v1"]);
    assert_eq!(rig.get("new").status.reason, "");
    assert_eq!(rig.reasons("n1"), ["NodeHasDiskPressure", "EvictionThresholdMet"]);
    // More than the collector can free: it says so every five minutes; at 85 % sharp nothing is short yet.
    let mut rig = rig_with_images();
    assert!(fill_node(&mut rig, Scarce::Disk, InUse::Amount(65 * gi)));
    rig.run(301);
    assert_eq!(images(&rig), ["docker.io/library/new:v1"], "{:?}", rig.events("n1"));
    assert!(fill_node(&mut rig, Scarce::Disk, InUse::Amount(75 * gi)));
    rig.run(310);
    assert!(rig.events("n1").is_empty());
    rig.run(601);
    let message = "FreeDiskSpaceFailed: Failed to garbage collect required amount of images. Attempted to free 5368709120 bytes, but only found 0 bytes eligible to free.";
    assert_eq!(rig.events("n1"), [message]);
}

/// §7.11: a node without memory kills by the kernel's score: what asked for nothing first, guaranteed Pods last.
#[test]
fn a_node_that_runs_out_of_memory_kills_by_score() {
    let mut rig = Rig::new();
    // Faster than the monitor looks.
    for name in ["besteffort", "burstable", "guaranteed"] {
        rig.behave(name, |b| b.memory = Some(MemoryUse { idle: 900 * MI, per_request: 0, growth: 0 }));
    }
    rig.pod("besteffort", app());
    rig.pod("burstable", container(json!({"resources": {"requests": {"memory": "1Gi"}}})));
    let both = json!({"cpu": "100m", "memory": "1Gi"});
    rig.pod("guaranteed", container(json!({"resources": {"requests": both, "limits": both}})));
    rig.run(12);
    rig.trace();
    assert!(fill_node(&mut rig, Scarce::Memory, InUse::Amount(2000 * MI)));
    rig.run(13);
    // It starts again at once, its second life ends in the same instant, and then it waits.
    let last = |rig: &Rig, name| rig.get(name).status.containers[0].last_termination.clone();
    assert_eq!(
        last(&rig, "besteffort").map(|end| (end.exit_code, end.reason.clone())),
        Some((137, "OOMKilled".into()))
    );
    assert!(last(&rig, "burstable").is_none() && last(&rig, "guaranteed").is_none());
    assert!(rig.events("n1").is_empty(), "only a process outside of all Pods makes it a SystemOOM");
    let pod = |rig: &Rig, name: &str| {
        let id = rig.store.id_of::<Pod>(&ObjectKey::new("default", name.to_owned())).unwrap();
        rig.kubelets.pods.get(&id).unwrap().oom_score_adj(0, 4 << 30)
    };
    assert_eq!(["besteffort", "burstable", "guaranteed"].map(|name| pod(&rig, name)), [1000, 750, -997]);
}

/// §7.2: what uses up a node's memory outside of all Pods is killed like anything else, and the node says so.
#[test]
fn a_node_out_of_memory_may_kill_what_is_no_pod() {
    let mut rig = Rig::new();
    rig.pod("app", app());
    rig.run(11);
    assert!(fill_node(&mut rig, Scarce::Memory, InUse::Amount(5000 * MI)));
    rig.run(12);
    assert_eq!(rig.events("n1"), ["SystemOOM: System OOM encountered"]);
    assert!(rig.get("app").is_ready());
}

/// §7.11: what all Pods together may use ends before the node does where something is reserved.
#[test]
fn reserved_memory_is_not_for_pods() {
    let mut rig = Rig::without_nodes();
    let (mut node, csi) = Rig::node("n1");
    node.status.allocatable.0.insert(MEMORY.into(), Quantity::from_bytes(1024 * MI));
    rig.with(|kubelets, ctx| kubelets.join_ready(node, csi, ctx)).unwrap();
    rig.behave("fat", |b| b.memory = Some(MemoryUse { idle: 1100 * MI, per_request: 0, growth: 0 }));
    rig.pod("fat", app());
    rig.run(30);
    assert_eq!(
        rig.get("fat").status.message,
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 24Mi. \
         Container c was using 1100Mi, request is 0, has larger consumption of memory. "
    );
}

fn uses(rig: &mut Rig, name: &str, mi: i64) {
    rig.behave(name, |b| b.memory = Some(MemoryUse { idle: mi * MI, per_request: 0, growth: 0 }));
}

fn threshold(signal: &str, amount: i64) -> crate::params::settings::Threshold {
    let limit = crate::params::settings::ThresholdLimit::Amount(Quantity::from_bytes(amount));
    crate::params::settings::Threshold { signal: signal.into(), limit }
}

/// §7.10: a soft threshold sets the condition at once and evicts after its grace period, with a grace of the Pod's own
/// that has a bound; what recovers in time evicts nobody.
#[test]
fn soft_thresholds_are_patient() {
    for (recovers, longest, expected) in [
        (None, 20, &["70.01 app Failed 0/1 Error(137)"][..]),
        (None, 3600, &["80.01 app Failed 0/1 Error(137)"]),
        (None, 0, &["52.01 app Failed 0/1 Error(137)"]),
        (Some(45), 20, &[]),
    ] {
        let mut rig = Rig::new();
        rig.settings.eviction_soft = vec![threshold("memory.available", 500 * MI)];
        rig.settings.eviction_soft_grace_period =
            vec![("memory.available".into(), SimDuration::from_secs(30))];
        rig.settings.eviction_max_pod_grace_period = longest;
        uses(&mut rig, "app", 1000);
        rig.behave("app", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_mins(10))));
        rig.pod("app", app());
        rig.run(15);
        rig.trace();
        assert!(fill_node(&mut rig, Scarce::Memory, InUse::Amount(2796 * MI)));
        rig.run(20);
        assert_eq!(node_condition(&rig, "MemoryPressure"), "True KubeletHasInsufficientMemory");
        if let Some(at) = recovers {
            rig.run(at);
            assert!(fill_node(&mut rig, Scarce::Memory, InUse::Amount(0)));
        }
        rig.run(100);
        assert_eq!(rig.trace(), expected, "{longest}");
        if expected.is_empty() {
            assert_eq!(node_condition(&rig, "MemoryPressure"), "True KubeletHasInsufficientMemory");
            rig.run(335);
            assert_eq!(node_condition(&rig, "MemoryPressure"), "True KubeletHasInsufficientMemory");
            rig.run(345);
            assert_eq!(node_condition(&rig, "MemoryPressure"), "False KubeletHasSufficientMemory");
            continue;
        }
        assert_eq!(
            rig.get("app").status.message,
            "The node was low on resource: memory. Threshold quantity: 500Mi, available: 300Mi. \
             Container c was using 1000Mi, request is 0, has larger consumption of memory. "
        );
    }
}

/// §7.10: once something had to go, as much more is reclaimed as is asked for; one Pod at a time, and the next look comes
/// when it is gone.
#[test]
fn a_minimum_may_be_reclaimed() {
    for (minimum, expected) in [
        (0, &["21.01 b Failed 0/1 Completed(0)"][..]),
        (500, &["21.01 b Failed 0/1 Completed(0)", "23.01 a Failed 0/1 Completed(0)"]),
    ] {
        let mut rig = Rig::new();
        rig.settings.eviction_minimum_reclaim = vec![threshold("memory.available", minimum * MI)];
        for (name, mi) in [("a", 300), ("b", 400), ("c", 200)] {
            uses(&mut rig, name, mi);
            rig.pod(name, app());
        }
        rig.run(15);
        rig.trace();
        assert!(fill_node(&mut rig, Scarce::Memory, InUse::Amount(3146 * MI)));
        rig.run(60);
        assert_eq!(rig.trace(), expected, "{minimum}");
    }
}

/// §7.10, §13.6, §13.36, §13.50: who goes first: over the request, then the lower priority, then the greater excess; the
/// class of service does not count, and critical Pods stay. For process numbers the priority, then their number.
#[test]
fn pressure_has_an_order_of_victims() {
    // Name, use in Mi or thousands of processes, request in Mi, priority.
    type Pods<'a> = &'a [(&'a str, i64, i64, i64)];
    let cases: [(Scarce, Pods<'_>, &str); 7] = [
        (Scarce::Memory, &[("within", 900, 1000, 0), ("over", 50, 10, 5000)], "over"),
        (Scarce::Memory, &[("low", 50, 10, 0), ("high", 900, 10, 100)], "low"),
        (Scarce::Memory, &[("much", 900, 100, 0), ("little", 850, 100, 0)], "much"),
        // It asked for more and has the better class, and goes since it exceeds by more.
        (Scarce::Memory, &[("none", 100, 0, 0), ("some", 900, 500, 0)], "some"),
        (Scarce::Memory, &[("vital", 900, 0, 2_000_000_000), ("small", 10, 0, 0)], "small"),
        (Scarce::Pids, &[("important", 900, 0, 100), ("plain", 10, 0, 0)], "plain"),
        (Scarce::Pids, &[("many", 900, 0, 0), ("few", 10, 0, 0)], "many"),
    ];
    for (what, pods, first) in cases {
        let mut rig = Rig::new();
        rig.settings.eviction_hard.push(crate::params::settings::Threshold {
            signal: "pid.available".into(),
            limit: crate::params::settings::ThresholdLimit::Percent(10),
        });
        for (name, used, request, priority) in pods {
            uses(&mut rig, name, if what == Scarce::Memory { *used } else { 1 });
            rig.behaviours.last_mut().unwrap().processes = Some(Growing { idle: used * 1000, growth: 0 });
            let mut spec = container(json!({"resources": {"requests": {"memory": format!("{request}Mi")}}}));
            spec["priority"] = json!(priority);
            rig.pod(name, spec);
        }
        rig.run(15);
        let percent = if what == Scarce::Memory { 70 } else { 75 };
        assert!(fill_node(&mut rig, what, InUse::Percent(percent)));
        let full = if what == Scarce::Memory { 4050 - pods.iter().map(|p| p.1).sum::<i64>() } else { 0 };
        if what == Scarce::Memory {
            assert!(fill_node(&mut rig, what, InUse::Amount(full * MI)));
        }
        rig.run(21);
        let evicted: Vec<&str> = pods
            .iter()
            .map(|p| p.0)
            .filter(|name| rig.reasons(name).contains(&"Evicted".to_owned()))
            .collect();
        assert_eq!(evicted, [first], "{pods:?}");
    }
}

/// §6.9, §7.10: the conditions and Events of a node under pressure, each in its words; memory is looked after first.
#[test]
fn a_node_says_what_is_short() {
    let mut rig = Rig::new();
    rig.settings.eviction_hard.push(crate::params::settings::Threshold {
        signal: "pid.available".into(),
        limit: crate::params::settings::ThresholdLimit::Percent(10),
    });
    let said = |rig: &Rig| -> Vec<String> {
        let node = rig.store.find::<Node>("", "n1").unwrap();
        let of = |kind: &&str| condition::find(&node.status.conditions, kind).cloned();
        let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure"];
        kinds.iter().filter_map(of).map(|c| format!("{} {}: {}", c.status, c.reason, c.message)).collect()
    };
    let calm = [
        "False KubeletHasSufficientMemory: kubelet has sufficient memory available",
        "False KubeletHasNoDiskPressure: kubelet has no disk pressure",
        "False KubeletHasSufficientPID: kubelet has sufficient PID available",
    ];
    assert_eq!(said(&rig), calm);
    for what in Scarce::ALL {
        assert!(fill_node(&mut rig, what, InUse::Percent(99)));
    }
    rig.run(15);
    assert_eq!(
        said(&rig),
        [
            "True KubeletHasInsufficientMemory: kubelet has insufficient memory available",
            "True KubeletHasDiskPressure: kubelet has disk pressure",
            "True KubeletHasInsufficientPID: kubelet has insufficient PID available",
        ]
    );
    for what in Scarce::ALL {
        assert!(fill_node(&mut rig, what, InUse::Amount(0)));
    }
    rig.run(400);
    assert_eq!(said(&rig), calm);
    let told = |reason: &str| format!("{reason}: Node n1 status is now: {reason}");
    assert_eq!(
        rig.events("n1"),
        [
            told("NodeHasInsufficientMemory"),
            told("NodeHasDiskPressure"),
            told("NodeHasInsufficientPID"),
            "EvictionThresholdMet: Attempting to reclaim memory".to_owned(),
            told("NodeHasSufficientMemory"),
            told("NodeHasNoDiskPressure"),
            told("NodeHasSufficientPID"),
        ]
    );
}
