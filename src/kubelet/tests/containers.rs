//! Containers: images, restarts, probes, crashes.

use super::*;

/// §7.1, §7.2, §7.4, §11.3, §13.31, §13.33: the first restart is immediate, then 10 s, 20 s, 40 s; the plain end shows
/// until the next sync.
#[test]
fn restarts_back_off() {
    let mut rig = Rig::new();
    rig.exits("crash", 1, 1);
    rig.pod("crash", app());
    rig.run(200);
    let trace = rig.trace();
    let starts: Vec<&str> =
        trace.iter().filter(|l| l.contains("Running 1/1")).filter_map(|l| l.split(' ').next()).collect();
    // With the next relist, then 10 s, 20 s, 40 s, 80 s after the end, rounded up to the next sync.
    assert_eq!(starts, ["1", "3", "17", "43", "93", "179"]);
    assert_eq!(
        trace[1..9],
        [
            "1 crash Running 1/1 Ready",
            "2 crash Running 0/1 Error(1)",
            "3 crash Running 1/1 x1 Ready",
            "4 crash Running 0/1 Error(1) x1",
            "16 crash Running 0/1 CrashLoopBackOff x1",
            "17 crash Running 1/1 x2 Ready",
            "18 crash Running 0/1 Error(1) x2",
            "30 crash Running 0/1 CrashLoopBackOff x2",
        ]
    );
    // At every sync that finds it backing off: 4; 18, 30; 44 to 80; 94 to 166; 180 and 192, of which the last shows.
    let said = rig.events("crash").into_iter().find(|e| e.starts_with("BackOff")).unwrap();
    assert!(
        said.starts_with("BackOff: Back-off restarting failed container c in pod crash_default("),
        "{said}"
    );
    assert!(said.ends_with(" x16"), "{said}");
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
    // Asked for at 1, 13, 37; in between, and after the runtime's event about the sandbox, it backs off.
    let said = rig.events("bad");
    for words in [
        "Pulling: Pulling image \"app:v1\" x3",
        "Failed: Error: ErrImagePull x3",
        "BackOff: Back-off pulling image \"app:v1\" x3",
        "Failed: Error: ImagePullBackOff x3",
    ] {
        assert!(said.contains(&words.to_owned()), "{words}: {said:#?}");
    }
    let back_off = rig.store.events().find(|e| e.reason == "BackOff").unwrap();
    assert_eq!(back_off.event_type, crate::api::EventType::Normal);
    rig.run(75);
    let ContainerState::Waiting { message, .. } = &rig.get("bad").status.containers[0].state else {
        panic!("not waiting");
    };
    assert!(
        message.starts_with("Back-off pulling image \"app:v1\": ErrImagePull: rpc error: code = NotFound"),
        "{message}"
    );
}

/// §7.3: a node asks its registry for ten images at once and for five a second in the long run; what is more fails.
#[test]
fn a_registry_is_not_asked_too_often() {
    let mut rig = Rig::new();
    rig.settings.serialize_image_pulls = false;
    rig.settings.max_parallel_image_pulls = 0;
    rig.latencies.image_pull = ImagePull::Given(Delay::Constant(SimDuration::from_secs(1)));
    for index in 0..12 {
        rig.pod(
            &format!("p{index}"),
            json!({"containers": [{"name": "c", "image": format!("app:{index}")}]}),
        );
    }
    rig.run(40);
    let failed = |rig: &Rig, index: usize| {
        rig.events(&format!("p{index}")).iter().filter(|e| e.contains("pull QPS exceeded")).count()
    };
    let counts: Vec<usize> = (0..12).map(|index| failed(&rig, index)).collect();
    assert_eq!(counts, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert!(
        rig.events("p11").contains(&"Failed: Failed to pull image \"app:11\": pull QPS exceeded".to_owned())
    );
    assert!(rig.get("p11").is_ready(), "the next sync finds the registry willing");
}

/// §7.3: pulls side by side, up to a limit.
#[test]
fn pulls_side_by_side_have_a_limit() {
    for (limit, expected) in [(0, [5, 5, 5]), (2, [5, 5, 9])] {
        let mut rig = Rig::new();
        rig.settings.serialize_image_pulls = false;
        rig.settings.max_parallel_image_pulls = limit;
        rig.latencies.image_pull = ImagePull::Given(Delay::Constant(SimDuration::from_secs(4)));
        for index in 0..3 {
            rig.pod(
                &format!("p{index}"),
                json!({"containers": [{"name": "c", "image": format!("app:{index}")}]}),
            );
        }
        rig.run(30);
        let started = |index: usize| match &rig.get(&format!("p{index}")).status.containers[0].state {
            ContainerState::Running { started_at } => rig.store.calendar().instant(*started_at).as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!([0, 1, 2].map(started), expected, "{limit}");
    }
}

/// §7.2, §7.3: an image that may not be pulled.
#[test]
fn an_image_that_is_never_pulled_must_be_there() {
    let mut rig = Rig::new();
    rig.pod("p", container(json!({"imagePullPolicy": "Never"})));
    rig.run(5);
    assert_eq!(rig.trace()[1..], ["1 p Pending 0/1 ErrImageNeverPull"]);
    let why = "Container image \"app:v1\" is not present with pull policy of Never";
    let ContainerState::Waiting { message, .. } = &rig.get("p").status.containers[0].state else { panic!() };
    assert_eq!(message, why);
    assert_eq!(
        rig.events("p"),
        [format!("ErrImageNeverPull: {why} x2"), "Failed: Error: ErrImageNeverPull x2".to_owned()]
    );
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
    // By the probe: asked at the start, then every 5 s. Before its first answer the container is not ready.
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
    let starts = |rig: &Rig| rig.get("web").status.containers[0].started;
    assert!(starts(&rig));
    assert_eq!(
        rig.trace()[1..],
        ["1 web Running 0/1", "30 web Running 0/1", "30 web Running 1/1 Ready"],
        "started, then ready"
    );
    assert!(rig.timers.is_empty());
}

/// §7.7, §13.34: whatever ended it, a container that starts anew is neither started nor ready until its probes pass.
#[test]
fn a_container_that_starts_anew_must_pass_its_probes_again() {
    let get = json!({"httpGet": {"port": 80}});
    let startup = json!({"startupProbe": get, "readinessProbe": get});
    for (probes, expected) in [
        (json!({}), &["20 web Running 0/1 Error(1)", "21 web Running 1/1 x1 Ready"][..]),
        (
            json!({"readinessProbe": get}),
            &["20 web Running 0/1 Error(1)", "21 web Running 0/1 x1", "21 web Running 1/1 x1 Ready"],
        ),
        (
            startup,
            &[
                "20 web Running 0/1 Error(1)",
                "21 web Running 0/1 x1",
                "30 web Running 0/1 x1",
                "30 web Running 1/1 x1 Ready",
            ],
        ),
    ] {
        let mut rig = Rig::new();
        rig.pod("web", container(probes));
        rig.run(20);
        rig.trace();
        let key = ObjectKey::new("default", "web");
        assert_eq!(rig.with(|k, ctx| k.crash(&key, None, 1, &"Error".into(), ctx)), 1);
        rig.settle();
        let status = &rig.get("web").status.containers[0];
        assert_eq!((status.ready, status.started), (false, false));
        rig.run(60);
        assert_eq!(rig.trace(), expected);
    }
    // Killed for its liveness probe: the sync that stops it starts it again.
    let mut rig = Rig::new();
    rig.pod("web", container(json!({"livenessProbe": get, "readinessProbe": get})));
    rig.run(20);
    rig.trace();
    let key = ObjectKey::new("default", "web");
    rig.with(|k, ctx| k.hang(&key, None, None, ctx));
    rig.run(90);
    assert_eq!(rig.trace()[1..], ["71 web Running 0/1 x1", "71 web Running 1/1 x1 Ready"]);
}

/// §7.4: a restart for a probe goes through the back-off too, which counts from the end before: the first costs nothing.
#[test]
fn restarts_for_a_probe_back_off_by_the_end_before() {
    let mut rig = Rig::new();
    rig.behave("web", |b| b.startup = Some(Delay::Constant(SimDuration::from_mins(60))));
    let probe = json!({"httpGet": {"port": 80}, "periodSeconds": 5, "failureThreshold": 1});
    rig.pod("web", container(json!({"livenessProbe": probe})));
    rig.run(100);
    // Killed at 5, at 10 (no back-off before: it begins), at 15 (10 s from the end before); then after 20 s, 40 s …
    assert_eq!(
        rig.trace()[1..],
        [
            "1 web Running 1/1 Ready",
            "6 web Running 1/1 x1 Ready",
            "11 web Running 1/1 x2 Ready",
            "16 web Running 0/1 CrashLoopBackOff x2",
            "29 web Running 1/1 x3 Ready",
            "31 web Running 0/1 CrashLoopBackOff x3",
            "56 web Running 1/1 x4 Ready",
            "61 web Running 0/1 CrashLoopBackOff x4",
        ]
    );
}

/// §7.7, §7.8: readiness goes on being asked while a Pod ends; liveness does not.
#[test]
fn readiness_is_asked_until_the_end() {
    let probe = json!({"httpGet": {"port": 80}, "periodSeconds": 2, "failureThreshold": 1});
    let hook = json!({"preStop": {"sleep": {"seconds": 3}}});
    let mut rig = Rig::new();
    rig.behave("web", |b| b.shutdown = Some(Delay::Constant(SimDuration::from_secs(8))));
    rig.pod("web", container(json!({"readinessProbe": probe, "livenessProbe": probe, "lifecycle": hook})));
    rig.run(10);
    rig.delete("web", None);
    rig.trace();
    rig.run(60);
    // Its process gets SIGTERM at 13 and answers no more.
    assert_eq!(
        rig.trace(),
        ["13 web Running 0/1 deleted", "21.01 web Succeeded 0/1 Completed(0) deleted", "21.01 web gone"]
    );
    let said = rig.events("web");
    assert!(said.iter().any(|e| e.starts_with("Unhealthy: Readiness probe failed")), "{said:#?}");
    assert!(!said.iter().any(|e| e.contains("Liveness")), "{said:#?}");
}

/// §7.2, §7.4: a failed `postStart` hook kills its container, and a failed `preStop` hook only says so.
#[test]
fn hooks_may_fail() {
    let hook = |name: &str, seconds: u64| {
        let command = json!(["sh", "-c", format!("sleep {seconds}")]);
        container(json!({"lifecycle": {name: {"exec": {"command": command}}}}))
    };
    let mut rig = Rig::new();
    rig.behave("post", |b| b.post_start_fails = true);
    rig.pod("post", hook("postStart", 2));
    rig.run(12);
    // Nothing is ready before the hook has ended; the container obeys a second later, and is started anew at once.
    assert_eq!(
        rig.trace()[1..],
        ["4 post Running 0/1 PostStartHookError", "8 post Running 0/1 PostStartHookError x1"]
    );
    let ContainerState::Waiting { message, .. } = &rig.get("post").status.containers[0].state else {
        panic!()
    };
    assert!(
        message
            .starts_with("Exec lifecycle hook ([sh -c sleep 2]) for Container \"c\" in Pod \"post_default("),
        "{message}"
    );
    let said = rig.events("post");
    assert!(said.contains(&"FailedPostStartHook: PostStartHook failed x2".to_owned()), "{said:#?}");
    assert!(said.contains(&"Killing: FailedPostStartHook x2".to_owned()), "{said:#?}");
    // A hook that fails, and one that takes longer than the grace period and dies with its container.
    for (fails, seconds, ends) in [(true, 3, "14.01"), (false, 60, "42.01"), (false, 3, "14.01")] {
        let mut rig = Rig::new();
        rig.behave("pre", |b| {
            b.pre_stop_fails = fails;
            b.shutdown = Some(Delay::Constant(SimDuration::from_secs(if seconds > 30 { 60 } else { 1 })));
        });
        rig.pod("pre", hook("preStop", seconds));
        rig.run(10);
        rig.delete("pre", None);
        rig.trace();
        rig.run(100);
        assert!(rig.trace()[0].starts_with(ends), "{fails} {seconds}");
        let said = rig.events("pre").contains(&"FailedPreStopHook: PreStopHook failed".to_owned());
        assert_eq!(said, fails || seconds > 30, "{fails} {seconds}");
    }
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
    let end = rig.get("web").status.containers[0].last_termination.clone().unwrap();
    assert_eq!((end.exit_code, end.reason.as_str()), (137, "Error"));
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
    assert_eq!(rig.trace(), ["5 web Running 0/1 Error(139)", "6 web Running 1/1 x1 Ready"]);
    assert_eq!(rig.get("web").status.containers[0].last_termination.as_ref().unwrap().exit_code, 139);
}
