//! Pods from their start to their end.

use super::*;

/// §7.2, §7.6, §7.8, §13.11, §13.33.
#[test]
fn a_pod_starts_and_ends() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    rig.run(5);
    assert_eq!(rig.trace(), ["0 web Pending 0/1 ContainerCreating", "1 web Running 1/1 Ready"]);
    let status = &rig.get("web").status;
    assert_eq!((status.host_ip.as_str(), status.pod_ip.as_str()), ("10.0.0.10", "10.244.0.1"));
    let kinds: Vec<&str> = status.conditions.iter().map(|c| c.kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    );
    rig.delete("web", None);
    rig.run(20);
    assert_eq!(
        rig.trace(),
        ["5 web Running 1/1 Ready deleted", "6.01 web Succeeded 0/1 Completed(0) deleted", "6.01 web gone",]
    );
    assert_eq!(rig.reasons("web"), ["Pulling", "Pulled", "Created", "Started", "Killing"]);
    assert!(rig.timers.is_empty(), "nothing ticks for nothing: {:?}", rig.timers);
}

/// §7.4, §7.8: what ends while its Pod is being deleted stays ended.
#[test]
fn a_pod_that_is_being_deleted_starts_nothing_anew() {
    let mut rig = Rig::new();
    rig.behave("p", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(20))));
    rig.behaviours[0].matches.container = Some("slow".into());
    rig.pod("p", json!({"containers": [{"name": "slow", "image": "a"}, {"name": "quick", "image": "b"}]}));
    rig.run(10);
    let key = ObjectKey::new("default", "p");
    // It crashes, and the Pod is deleted before it starts anew.
    assert_eq!(rig.with(|k, ctx| k.crash(&key, Some("quick"), 3, &"Error".into(), ctx)), 1);
    rig.settle();
    rig.delete("p", None);
    rig.trace();
    rig.run(60);
    assert_eq!(
        rig.trace(),
        ["30.01 p Failed 0/2 Completed(0) Error(3) deleted", "30.01 p gone"],
        "{:?}",
        rig.events("p")
    );
}

/// §7.4: a process without a handler for SIGTERM ends with 143, one that is killed after its grace with 137.
#[test]
fn what_sigterm_makes_of_a_process_is_its_behaviour() {
    for (shutdown, expected) in [(1, "Failed 0/1 Error(143)"), (60, "Failed 0/1 Error(137)")] {
        let mut rig = Rig::new();
        rig.behave("web", |b| {
            b.shutdown = Some(Delay::Constant(SimDuration::from_secs(shutdown)));
            b.shutdown_exit_code = Some(143);
        });
        rig.pod("web", app());
        rig.run(10);
        rig.delete("web", None);
        rig.trace();
        rig.run(60);
        assert!(rig.trace()[0].ends_with(&format!("web {expected} deleted")));
    }
}

/// §7.8, §13.9.
#[test]
fn grace_and_shutdown_decide_how_a_pod_ends() {
    // Grace asked for, seconds of shutdown, seconds of preStop: when it is gone and with which code.
    for (grace, shutdown, hook, expected) in [
        (None, None, 0, "11.01 Completed(0)"),
        (Some(1), None, 0, "11.01 Completed(0)"),
        (None, Some(4), 0, "14.01 Completed(0)"),
        (None, Some(60), 0, "40.01 Error(137)"),
        (Some(1), Some(60), 0, "12.01 Error(137)"),
        (None, Some(4), 5, "19.01 Completed(0)"),
        (Some(5), Some(4), 5, "17.01 Error(137)"),
        (None, None, 5, "16.01 Completed(0)"),
    ] {
        let mut rig = Rig::new();
        if let Some(seconds) = shutdown {
            rig.behave("web", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(seconds))));
        }
        let hook = match hook {
            0 => json!({}),
            n => json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", format!("sleep {n}")]}}}}),
        };
        rig.pod("web", container(hook));
        rig.run(10);
        rig.trace();
        rig.delete("web", grace);
        rig.run(200);
        let trace = rig.trace();
        let end = trace.iter().find(|line| line.contains('(')).unwrap();
        let words: Vec<&str> = end.split(' ').collect();
        assert_eq!(format!("{} {}", words[0], words[4]), expected, "{trace:#?}");
    }
}

/// §0.2, §7.8.
#[test]
fn a_shorter_grace_hurries() {
    let mut rig = Rig::new();
    rig.behave("web", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(60))));
    rig.pod("web", app());
    rig.run(10);
    rig.delete("web", Some(50));
    rig.run(15);
    rig.trace();
    rig.delete("web", Some(10));
    rig.run(100);
    assert_eq!(rig.trace()[1], "25.01 web Failed 0/1 Error(137) deleted");
}

/// §0.2, §7.8.
#[test]
fn a_force_deleted_pod_frees_its_room_at_once() {
    let mut rig = Rig::new();
    let spec = container(json!({"resources": {"requests": {"cpu": "2"}}}));
    rig.pod("one", spec.clone());
    rig.run(5);
    rig.delete("one", Some(0));
    rig.pod("two", spec);
    rig.run(10);
    assert_eq!(rig.trace().last().unwrap(), "6 two Running 1/1 Ready");
}

/// §7.4, §7.6.
#[test]
fn restart_policies_decide_what_an_end_means() {
    for (policy, code, expected) in [
        ("Never", 0, &["4 p Succeeded 0/1 Completed(0)"][..]),
        ("Never", 3, &["4 p Failed 0/1 Error(3)"]),
        ("OnFailure", 0, &["4 p Succeeded 0/1 Completed(0)"]),
        ("OnFailure", 3, &["4 p Running 0/1 Error(3)", "5 p Running 1/1 x1 Ready"]),
        ("Always", 0, &["4 p Running 0/1 Completed(0)", "5 p Running 1/1 x1 Ready"]),
    ] {
        let mut rig = Rig::new();
        rig.exits("p", 3, code);
        let mut spec = app();
        spec["restartPolicy"] = policy.into();
        rig.pod("p", spec);
        rig.run(5);
        assert_eq!(rig.trace()[2..], *expected);
    }
}

#[test]
fn the_first_ends_of_a_controller_fail() {
    let mut rig = Rig::new();
    rig.behave("p", |b| {
        let after = Delay::Constant(SimDuration::from_secs(2));
        b.completes = Some(Completion { after, exit_code: 7, fail_first: Some(1) });
    });
    let mut spec = app();
    spec["restartPolicy"] = "OnFailure".into();
    rig.pod("p", spec);
    rig.run(10);
    assert_eq!(
        rig.trace()[2..],
        ["3 p Running 0/1 Error(7)", "4 p Running 1/1 x1 Ready", "6 p Succeeded 0/1 Completed(0) x1"]
    );
}

/// §7.5, §13.35.
#[test]
fn init_containers_go_one_by_one_and_sidecars_stay() {
    let mut rig = Rig::new();
    rig.exits("p", 10, 0);
    rig.pod(
        "p",
        json!({
            "restartPolicy": "Never",
            "initContainers": [
                {"name": "one", "image": "i:v1"},
                {"name": "side", "image": "s:v1", "restartPolicy": "Always"},
                {"name": "two", "image": "i:v1"},
            ],
            "containers": [{"name": "c", "image": "app:v1"}],
        }),
    );
    rig.run(60);
    assert_eq!(
        rig.trace(),
        [
            "0 p Pending 0/1 PodInitializing PodInitializing PodInitializing PodInitializing",
            "1 p Pending 0/1 PodInitializing PodInitializing PodInitializing",
            "2 p Pending 0/1 Completed(0) PodInitializing",
            "3 p Running 1/1 Completed(0) Completed(0) Ready",
            "13 p Running 0/1 Completed(0) Completed(0) Completed(0)",
            "14.01 p Succeeded 0/1 Completed(0) Completed(0) Completed(0) Completed(0)",
        ]
    );
}

/// §7.5, §7.6.
#[test]
fn a_failed_init_container_fails_the_pod_or_is_tried_again() {
    for (policy, expected) in [
        ("Never", "2 p Failed 0/1 Error(1) PodInitializing"),
        ("Always", "2 p Pending 0/1 Error(1) PodInitializing"),
    ] {
        let mut rig = Rig::new();
        rig.exits("p", 1, 1);
        rig.behaviours[0].matches.container = Some("init".into());
        let init = json!({"name": "init", "image": "i:v1"});
        rig.pod(
            "p",
            json!({"restartPolicy": policy, "initContainers": [init], "containers": [{"name": "c", "image": "a"}]}),
        );
        rig.run(3);
        let trace = rig.trace();
        assert_eq!(trace[2], expected);
        let again = trace.get(3).map(String::as_str);
        assert_eq!(again, (policy == "Always").then_some("3 p Pending 0/1 PodInitializing x1"));
    }
}

/// §7.2.
#[test]
fn a_deadline_fails_the_pod() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["activeDeadlineSeconds"] = 20.into();
    rig.pod("p", spec);
    rig.run(60);
    assert_eq!(rig.trace().last().unwrap(), "21.01 p Failed 0/1 Completed(0)");
    let status = &rig.get("p").status;
    assert_eq!(status.reason, "DeadlineExceeded");
    assert_eq!(status.message, "Pod was active on the node longer than the specified deadline");
}

/// §7.10, §13.12.
#[test]
fn an_evicted_pod_stays_as_failed() {
    let mut rig = Rig::new();
    rig.pod("p", app());
    rig.run(5);
    let key = ObjectKey::new("default", "p");
    let message = Str::from("The node was low on resource: memory. ");
    assert!(rig.with(|k, ctx| k.evict(&key, &message, SimDuration::from_secs(1), ctx)));
    rig.run(60);
    assert_eq!(rig.trace().last().unwrap(), "6.01 p Failed 0/1 Completed(0)");
    let status = &rig.get("p").status;
    assert_eq!((status.reason.as_str(), &status.message), ("Evicted", &message));
    let disruption = condition::find(&status.conditions, "DisruptionTarget").unwrap();
    assert_eq!(disruption.reason, "TerminationByKubelet");
}

/// §7.6.
#[test]
fn readiness_gates_are_waited_for() {
    let mut rig = Rig::new();
    let mut spec = app();
    spec["readinessGates"] = json!([{"conditionType": "lb"}]);
    rig.pod("web", spec);
    rig.run(5);
    let ready = rig.get("web").ready_condition().unwrap().clone();
    assert_eq!(ready.reason, "ReadinessGatesNotReady");
    assert_eq!(ready.message, "corresponding condition of pod readiness gate \"lb\" does not exist.");
    let at = rig.store.timestamp();
    rig.store
        .update::<Pod>(&ObjectKey::new("default", "web"), |pod| {
            let gate = crate::api::Condition::new("lb", crate::api::ConditionStatus::True, "", "", at);
            condition::set(&mut pod.status.conditions, gate);
        })
        .unwrap();
    rig.settle();
    assert!(rig.get("web").is_ready());
}
