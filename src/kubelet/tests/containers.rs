//! Containers: images, restarts, probes, crashes.

use super::*;

/// §7.4, §11.3, §13.31: the first restart is immediate, then 10 s, 20 s, 40 s.
#[test]
fn restarts_back_off() {
    let mut rig = Rig::new();
    rig.exits("crash", 1, 1);
    rig.pod("crash", app());
    rig.run(200);
    let trace = rig.trace();
    let starts: Vec<&str> =
        trace.iter().filter(|l| l.contains("Running 1/1")).filter_map(|l| l.split(' ').next()).collect();
    // At once, then 10 s, 20 s, 40 s, 80 s after the end, rounded up to the next sync.
    assert_eq!(starts, ["1", "2", "15", "40", "89", "174"]);
    assert_eq!(trace[3], "3 crash Running 0/1 CrashLoopBackOff x1");
    let ContainerState::Waiting { message, .. } = &rig.get("crash").status.containers[0].state else {
        panic!("not waiting");
    };
    assert!(
        message.starts_with("back-off 2m40s restarting failed container=c pod=crash_default("),
        "{message}"
    );
}

/// §7.3, §13.31, §13.33.
#[test]
fn images_that_cannot_be_had_back_off() {
    let mut rig = Rig::new();
    rig.behave("bad", |b| b.pull_fails = true);
    rig.pod("bad", app());
    rig.run(60);
    assert_eq!(
        rig.trace(),
        [
            "0 bad Pending 0/1 ContainerCreating",
            "1 bad Pending 0/1 ErrImagePull",
            "13 bad Pending 0/1 ImagePullBackOff",
            "25 bad Pending 0/1 ErrImagePull",
            "37 bad Pending 0/1 ImagePullBackOff",
            "49 bad Pending 0/1 ErrImagePull",
        ]
    );
    assert!(rig.events("bad").contains(&"BackOff: Back-off pulling image \"app:v1\" x2".to_owned()));
}

/// §7.2, §7.3.
#[test]
fn images_are_pulled_one_at_a_time_and_kept() {
    let mut rig = Rig::new();
    rig.latencies.image_pull = Latencies::default().image_pull;
    rig.behave("a", |b| b.size = Some(100_000_000));
    rig.pod("a", app());
    rig.pod("b", json!({"containers": [{"name": "c", "image": "other:v1"}]}));
    rig.run(20);
    rig.pod("late", app());
    rig.run(30);
    let running: Vec<String> = rig.trace().into_iter().filter(|l| l.contains("Running")).collect();
    assert_eq!(running, ["5.5 a Running 1/1 Ready", "10 b Running 1/1 Ready", "21 late Running 1/1 Ready"]);
    assert_eq!(
        rig.events("b")[1],
        "Pulled: Successfully pulled image \"other:v1\" in 4.5s (9s including waiting). Image size: 100000000 bytes."
    );
    let images = &rig.store.find::<Node>("", "n1").unwrap().status.images;
    assert_eq!(*images, [(vec![Str::from("docker.io/library/app:v1")], 100_000_000)]);
    assert_eq!(rig.events("late")[0], "Pulled: Container image \"app:v1\" already present on machine");
}

/// §7.7, §13.34.
#[test]
fn readiness_comes_with_the_probe_that_passes() {
    let probe = json!({"readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 5}});
    // By the probe: asked at the start, then every 5 s.
    let mut rig = Rig::new();
    rig.behave("web", |b| b.startup = Some(Delay::Constant(SimDuration::from_secs(8))));
    rig.pod("web", container(probe.clone()));
    rig.run(60);
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "11 web Running 1/1 Ready"]);
    assert_eq!(
        rig.events("web").last().unwrap(),
        "Unhealthy: Readiness probe failed: Get \"http://10.244.0.1:80/\": dial tcp 10.244.0.1:80: connect: connection refused x2"
    );
    // By the latency, if it is given.
    let mut rig = Rig::new();
    rig.latencies.probe_ready = Some(Delay::Constant(SimDuration::from_secs(2)));
    rig.pod("web", container(probe));
    rig.run(60);
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "3 web Running 1/1 Ready"]);
    assert!(rig.timers.is_empty());
}

/// §7.7, §13.34.
#[test]
fn a_startup_probe_holds_the_others_back() {
    let mut rig = Rig::new();
    rig.behave("web", |b| b.startup = Some(Delay::Constant(SimDuration::from_secs(25))));
    rig.pod(
        "web",
        container(json!({
            "startupProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 10, "failureThreshold": 5},
            "livenessProbe": {"tcpSocket": {"port": 80}, "periodSeconds": 3, "failureThreshold": 1},
            "readinessProbe": {"tcpSocket": {"port": 80}},
        })),
    );
    rig.run(100);
    // Up at 26 s; the startup probe's next turn is at 30 s.
    assert_eq!(rig.trace()[1..], ["1 web Running 0/1", "30 web Running 1/1 Ready"]);
    assert!(rig.timers.is_empty());
}

/// §7.7.
#[test]
fn a_container_that_hangs_is_found_by_its_probes() {
    let mut rig = Rig::new();
    rig.latencies.probe_ready = Some(Delay::Constant(SimDuration::from_secs(2)));
    rig.pod(
        "web",
        container(json!({
            "livenessProbe": {"httpGet": {"port": 80}, "timeoutSeconds": 2},
            "readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 2},
        })),
    );
    rig.run(15);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    assert_eq!(rig.with(|k, ctx| k.hang(&key, None, None, ctx)), 1);
    let id = rig.store.id_of::<Pod>(&key).unwrap();
    assert!(!rig.kubelets.answers(id, rig.store.now()));
    rig.run(200);
    // Readiness is asked at 21 s and 31 s and waits a second each; liveness at 20, 30, 40 and waits two.
    // The process does not obey SIGTERM: 30 s of grace.
    assert_eq!(rig.trace(), ["32 web Running 0/1", "72 web Running 0/1 x1", "74 web Running 1/1 x1 Ready"]);
    let events = rig.events("web");
    assert!(events.contains(&"Killing: Container c failed liveness probe, will be restarted".to_owned()));
    assert!(
        events.iter().any(|e| e.starts_with("Unhealthy: Liveness probe failed: Get") && e.ends_with("x3")),
        "{events:#?}"
    );
    assert!(rig.kubelets.answers(id, rig.store.now()));
    assert!(rig.timers.is_empty());
}

#[test]
fn a_hang_may_pass() {
    let mut rig = Rig::new();
    rig.pod("web", container(json!({"readinessProbe": {"httpGet": {"port": 80}, "failureThreshold": 1}})));
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    rig.with(|k, ctx| k.hang(&key, Some("c"), Some(SimDuration::from_secs(30)), ctx));
    rig.run(100);
    assert_eq!(rig.trace(), ["12 web Running 0/1", "41 web Running 1/1 Ready"]);
}

/// §7.4.
#[test]
fn a_crash_is_an_end_like_any_other() {
    let mut rig = Rig::new();
    rig.pod("web", app());
    rig.run(5);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    assert_eq!(rig.with(|k, ctx| k.crash(&key, None, 139, &"Error".into(), ctx)), 1);
    rig.run(6);
    assert_eq!(rig.trace(), ["5 web Running 1/1 x1 Ready"]);
    assert_eq!(rig.get("web").status.containers[0].last_termination.as_ref().unwrap().exit_code, 139);
}
