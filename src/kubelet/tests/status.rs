//! Conditions, init containers and sidecars.

use super::*;
use crate::params::behaviour::{Outage, ProbeKind, ProbeOutage};

/// `type status reason message` of the conditions that are asked for.
fn conditions(rig: &Rig, name: &str, kinds: &[&str]) -> Vec<String> {
    let list = &rig.get(name).status.conditions;
    let found = kinds.iter().filter_map(|kind| condition::find(list, kind));
    found.map(|c| format!("{} {} {} {}", c.kind, c.status, c.reason, c.message).trim().to_owned()).collect()
}

/// §7.6: reasons and messages of conditions, names in the order of the spec; the class of service and the phase are
/// there from the creation, the start time when the kubelet has seen the Pod.
#[test]
fn conditions_name_the_containers_that_are_not_ready() {
    let kinds = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];
    let mut rig = Rig::new();
    rig.exits("p", 10, 0);
    rig.behaviours[0].matches.container = None;
    rig.behaviours[0].matches.image = Some("app:*".into());
    let init = |name: &str| json!({"name": name, "image": "i:v1"});
    let mut slow = init("side");
    slow["restartPolicy"] = json!("Always");
    slow["readinessProbe"] = json!({"tcpSocket": {"port": 1}});
    rig.run(3);
    rig.pod(
        "p",
        json!({"restartPolicy": "OnFailure", "initContainers": [slow, init("one"), init("two")],
               "containers": [{"name": "c", "image": "app:v1"}, {"name": "d", "image": "app:v1"}]}),
    );
    let status = &rig.get("p").status;
    assert_eq!(
        (status.qos, status.phase),
        (crate::api::pod::QosClass::BestEffort, crate::api::Phase::Pending)
    );
    assert_eq!(status.start_time, Some(rig.store.calendar().timestamp(SimTime::from_secs(3))));
    assert_eq!(
        conditions(&rig, "p", &kinds),
        [
            "PodReadyToStartContainers False",
            "Initialized False ContainersNotInitialized containers with incomplete status: [side one two]",
            "ContainersReady False ContainersNotReady containers with unready status: [side c d]",
            "Ready False ContainersNotReady containers with unready status: [side c d]",
        ]
    );
    rig.run(5);
    assert_eq!(
        conditions(&rig, "p", &kinds)[..2],
        [
            "PodReadyToStartContainers True",
            "Initialized False ContainersNotInitialized containers with incomplete status: [two]",
        ]
    );
    rig.run(8);
    assert_eq!(
        conditions(&rig, "p", &kinds),
        ["PodReadyToStartContainers True", "Initialized True", "ContainersReady True", "Ready True"]
    );
    rig.run(60);
    assert_eq!(
        conditions(&rig, "p", &kinds),
        [
            "PodReadyToStartContainers False",
            "Initialized True PodCompleted",
            "ContainersReady False PodCompleted",
            "Ready False PodCompleted",
        ]
    );
    let mut rig = Rig::new();
    rig.exits("f", 5, 1);
    rig.pod("f", json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "app:v1"}]}));
    rig.run(20);
    assert_eq!(
        conditions(&rig, "f", &kinds)[2..],
        ["ContainersReady False PodFailed", "Ready False PodFailed"]
    );
}

fn with_sidecar(more: Value) -> Value {
    let mut side = json!({"name": "side", "image": "s:v1", "restartPolicy": "Always"});
    side.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"initContainers": [side], "containers": [{"name": "c", "image": "app:v1"}]})
}

/// What the Pod's containers are in: init containers first.
fn lives(rig: &Rig, name: &str) -> Vec<(bool, u32)> {
    let status = &rig.get(name).status;
    let all = status.init_containers.iter().chain(&status.containers);
    all.map(|c| (matches!(c.state, ContainerState::Running { .. }), c.restart_count)).collect()
}

/// §7.5, §13.35: the next container waits until a sidecar has started, not until it is ready; its readiness counts for
/// the Pod; it restarts always, alone, and whatever its end is it does not decide the phase.
#[test]
fn sidecars_gate_by_start_and_count_for_readiness() {
    let get = json!({"httpGet": {"port": 80}, "failureThreshold": 1});
    let slow = |rig: &mut Rig| {
        rig.behave("p", |b| b.startup = Some(Delay::Constant(SimDuration::from_secs(12))));
        rig.behaviours[0].matches.container = Some("side".into());
    };
    // By its startup probe, which passes at 20.
    let mut rig = Rig::new();
    slow(&mut rig);
    rig.pod("p", with_sidecar(json!({"startupProbe": {"httpGet": {"port": 80}, "failureThreshold": 9}})));
    rig.run(19);
    assert_eq!(lives(&rig, "p"), [(true, 0), (false, 0)]);
    rig.run(20);
    assert_eq!(lives(&rig, "p"), [(true, 0), (true, 0)]);
    // Not by its readiness.
    let mut rig = Rig::new();
    slow(&mut rig);
    rig.pod("p", with_sidecar(json!({"readinessProbe": get})));
    rig.run(5);
    assert_eq!(lives(&rig, "p"), [(true, 0), (true, 0)]);
    assert_eq!(
        conditions(&rig, "p", &["Ready"]),
        ["Ready False ContainersNotReady containers with unready status: [side]"]
    );
    rig.run(30);
    assert!(rig.get("p").is_ready());
    // A failing liveness probe restarts the sidecar alone.
    let mut rig = Rig::new();
    let second = |n| Delay::Constant(SimDuration::from_secs(n));
    let outage = Outage { after: second(15), lasts: Some(second(10)) };
    rig.behave("p", |b| b.probes = vec![ProbeOutage { kind: ProbeKind::Liveness, outage }]);
    rig.behaviours[0].matches.container = Some("side".into());
    rig.pod("p", with_sidecar(json!({"livenessProbe": get})));
    rig.run(25);
    assert_eq!(lives(&rig, "p"), [(true, 1), (true, 0)]);
    // One that fails does not make the Pod fail.
    let mut rig = Rig::new();
    rig.exits("p", 10, 0);
    rig.exits("p", 4, 3);
    rig.behaviours[1].matches.container = Some("side".into());
    rig.behaviours[0].matches.container = Some("c".into());
    let mut spec = with_sidecar(json!({}));
    spec["restartPolicy"] = json!("Never");
    rig.pod("p", spec);
    rig.run(60);
    assert_eq!(rig.get("p").status.phase, crate::api::Phase::Succeeded);
    assert_eq!(rig.get("p").status.init_containers[0].restart_count, 1);
}

/// §7.5: regular containers are stopped together, then each sidecar after all that stand after it; what was waited for
/// is taken off its grace, of which two seconds stay.
#[test]
fn sidecars_are_stopped_last_in_reverse_order() {
    for (grace, codes, ends) in [(30, [0, 0, 0], [3, 6, 9]), (4, [0, 137, 137], [3, 5, 7])] {
        let mut rig = Rig::new();
        rig.behave("p", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(3))));
        rig.behaviours[0].matches.image = Some("*".into());
        let side = |name: &str| json!({"name": name, "image": "s:v1", "restartPolicy": "Always"});
        rig.pod(
            "p",
            json!({"initContainers": [side("a"), side("b")], "containers": [{"name": "c", "image": "app:v1"}]}),
        );
        rig.run(10);
        rig.store
            .update::<Pod>(&ObjectKey::new("default", "p"), |p| p.meta.finalizers.push("x/y".into()))
            .unwrap();
        rig.delete("p", Some(grace));
        rig.run(60);
        let status = &rig.get("p").status;
        let of = |c: &crate::api::ContainerStatus| match &c.state {
            ContainerState::Terminated(end) => {
                (end.exit_code, rig.store.calendar().instant(end.finished_at).as_secs() - 10)
            }
            other => panic!("{other:?}"),
        };
        let (a, b, c) =
            (of(&status.init_containers[0]), of(&status.init_containers[1]), of(&status.containers[0]));
        assert_eq!([c, b, a], [(codes[0], ends[0]), (codes[1], ends[1]), (codes[2], ends[2])], "{grace}");
    }
}

/// §7.5: once regular containers exist, init containers that are done do not run again, unless the sandbox is made anew.
#[test]
fn init_containers_run_again_with_a_new_sandbox_only() {
    let mut rig = Rig::new();
    rig.pod(
        "p",
        json!({"initContainers": [{"name": "init", "image": "i:v1"}], "containers": [{"name": "c", "image": "a"}]}),
    );
    rig.run(10);
    let key = ObjectKey::new("default", "p");
    rig.with(|k, ctx| k.crash(&key, Some("c"), 1, &"Error".into(), ctx));
    rig.run(20);
    assert_eq!(lives(&rig, "p"), [(false, 0), (true, 1)]);
    rig.with(|k, ctx| k.fail_node("n1", ctx));
    rig.run(30);
    rig.with(|k, ctx| k.restore_node("n1", ctx));
    rig.run(60);
    assert_eq!(lives(&rig, "p"), [(false, 1), (true, 2)]);
    assert!(
        rig.events("p")
            .contains(&"SandboxChanged: Pod sandbox changed, it will be killed and re-created.".to_owned())
    );
}

/// §7.2: regular containers start in the order of the spec, without waiting for readiness, but for a `postStart` hook.
#[test]
fn a_post_start_hook_holds_the_next_container_back() {
    let mut rig = Rig::new();
    let hook = json!({"postStart": {"exec": {"command": ["sleep", "5"]}}});
    let unready = json!({"httpGet": {"port": 80}, "initialDelaySeconds": 60});
    rig.pod(
        "p",
        json!({"containers": [{"name": "a", "image": "a", "readinessProbe": unready},
                              {"name": "b", "image": "b", "lifecycle": hook},
                              {"name": "c", "image": "c"}]}),
    );
    rig.run(20);
    let started = |name: &str| {
        let message = format!("Started container {name}");
        let event = rig.store.events().find(|e| e.message == message.as_str()).unwrap();
        rig.store.calendar().instant(event.first).as_secs()
    };
    assert_eq!(["a", "b", "c"].map(started), [1, 1, 6]);
    assert_eq!(
        rig.events("p").iter().filter(|e| e.starts_with("Created")).collect::<Vec<_>>(),
        ["Created: Created container: a", "Created: Created container: b", "Created: Created container: c"]
    );
}
