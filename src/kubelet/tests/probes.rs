//! When probes are asked, how often they must agree, and what they lead to.

use super::*;
use crate::api::k8s::core::v1 as core;
use crate::api::{Object, lower, raise};
use crate::params::behaviour::{Outage, ProbeKind, ProbeOutage};

fn seconds(n: u64) -> Delay {
    Delay::Constant(SimDuration::from_secs(n))
}

/// The first instant at which the Pod was ready.
fn ready_at(rig: &mut Rig) -> String {
    let trace = rig.trace();
    let line = trace.iter().find(|line| line.ends_with(" Ready")).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// §7.7: asked first at the first tick that lies the initial delay after the start, then every period; the grid of
/// liveness and startup begins when the Pod was seen. So many answers in a row must agree.
#[test]
fn probes_have_their_grid_and_thresholds() {
    for (startup, probe, expected) in [
        // The manual run at the start.
        (0, json!({}), "1"),
        (0, json!({"initialDelaySeconds": 7, "periodSeconds": 5}), "11"),
        (4, json!({"periodSeconds": 3}), "7"),
        (0, json!({"periodSeconds": 3, "successThreshold": 3}), "7"),
        (4, json!({"periodSeconds": 3, "successThreshold": 3}), "13"),
    ] {
        let mut rig = Rig::new();
        rig.behave("web", |b| b.startup = Some(seconds(startup)));
        let mut full = json!({"tcpSocket": {"port": 80}});
        full.as_object_mut().unwrap().extend(probe.as_object().unwrap().clone());
        rig.pod("web", container(json!({"readinessProbe": full})));
        rig.run(60);
        assert_eq!(ready_at(&mut rig), expected, "{startup} {probe}");
    }
}

/// §7.7: failures must come in a row; a success between them begins anew.
#[test]
fn only_failures_in_a_row_count() {
    let mut rig = Rig::new();
    for (after, lasts) in [(15, 20), (45, 20)] {
        let outage = Outage { after: seconds(after), lasts: Some(seconds(lasts)) };
        rig.behave("web", |b| b.probes = vec![ProbeOutage { kind: ProbeKind::Liveness, outage }]);
    }
    // Each entry alone decides the matter, so both outages stand in one.
    let second = rig.behaviours.pop().unwrap();
    rig.behaviours[0].probes.extend(second.probes);
    rig.pod("web", container(json!({"livenessProbe": {"httpGet": {"port": 80}, "failureThreshold": 3}})));
    rig.run(200);
    // Fails at 20, 30; passes at 40; fails at 50, 60; passes at 70.
    assert_eq!(rig.get("web").status.containers[0].restart_count, 0);
    let said = rig.events("web").into_iter().find(|e| e.starts_with("Unhealthy")).unwrap();
    assert!(said.ends_with("x4"), "{said}");
}

/// §7.2, §7.7: what a failed liveness or startup probe leads to, in the kubelet's words; its own grace period counts.
#[test]
fn a_container_is_killed_for_its_probe_with_the_probe_s_grace() {
    for (kind, policy, expected) in [
        ("livenessProbe", "Always", "Killing: Container c failed liveness probe, will be restarted"),
        ("livenessProbe", "Never", "Killing: Container c failed liveness probe"),
        ("startupProbe", "Always", "Killing: Container c failed startup probe, will be restarted"),
    ] {
        let mut rig = Rig::new();
        rig.behave("web", |b| {
            b.startup = Some(seconds(1000));
            b.shutdown = Some(seconds(1000));
        });
        let probe =
            json!({"httpGet": {"port": 80}, "failureThreshold": 2, "terminationGracePeriodSeconds": 5});
        let mut spec = container(json!({kind: probe}));
        spec["restartPolicy"] = json!(policy);
        rig.pod("web", spec);
        rig.run(30);
        assert!(rig.events("web").contains(&expected.to_owned()), "{:#?}", rig.events("web"));
        // Asked at 10 and 20, then five seconds of grace.
        let status = &rig.get("web").status.containers[0];
        let end = match (&status.state, &status.last_termination) {
            (ContainerState::Terminated(end), _) | (_, Some(end)) => end.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (end.exit_code, rig.store.calendar().instant(end.finished_at).as_secs()),
            (137, 25),
            "{kind} {policy}"
        );
    }
}

/// §7.2, §7.4: a container whose image changes is restarted, and its back-off begins anew.
#[test]
fn another_image_restarts_and_forgets_the_back_off() {
    let mut rig = Rig::new();
    rig.exits("web", 1, 1);
    rig.pod("web", app());
    rig.run(200);
    assert!(rig.get("web").status.containers[0].restart_count >= 5, "backing off for minutes");
    rig.behaviours.clear();
    let mut json = raise::to_json(&Object::from(rig.get("web").clone()));
    json["spec"]["containers"][0]["image"] = json!("app:v2");
    rig.store.replace_object(lower::object(json).unwrap()).unwrap();
    rig.settle();
    rig.trace();
    rig.run(230);
    assert!(
        rig.trace().iter().any(|line| line.contains("Running 1/1")),
        "{:?}",
        rig.get("web").status.containers
    );
    let mut json = raise::to_json(&Object::from(rig.get("web").clone()));
    json["spec"]["containers"][0]["image"] = json!("app:v3");
    rig.store.replace_object(lower::object(json).unwrap()).unwrap();
    rig.settle();
    rig.run(240);
    assert!(
        rig.events("web").contains(&"Killing: Container c definition changed, will be restarted".to_owned()),
        "{:#?}",
        rig.events("web")
    );
    assert!(rig.get("web").is_ready());
}

/// §7.7: the words of a probe that fails, by its handler.
#[test]
fn each_handler_fails_in_its_own_words() {
    for (handler, expected) in [
        (
            json!({"httpGet": {"port": 80, "path": "/up", "scheme": "HTTPS"}}),
            "Get \"https://10.244.0.1:80/up\": dial tcp 10.244.0.1:80: connect: connection refused",
        ),
        (json!({"tcpSocket": {"port": 81}}), "dial tcp 10.244.0.1:81: connect: connection refused"),
        (
            json!({"grpc": {"port": 82}}),
            "timeout: failed to connect service \"10.244.0.1:82\" within 1s: context deadline exceeded",
        ),
    ] {
        let mut rig = Rig::new();
        rig.behave("web", |b| b.startup = Some(seconds(1000)));
        let _: core::Probe = serde_json::from_value(handler.clone()).unwrap();
        rig.pod("web", container(json!({"readinessProbe": handler})));
        rig.run(5);
        assert!(rig.events("web").contains(&format!("Unhealthy: Readiness probe failed: {expected}")));
    }
}

/// §7.4: the key of a back-off contains the resources: a resize begins it anew.
#[test]
fn a_resize_forgets_the_back_off() {
    for resized in [false, true] {
        let mut rig = Rig::new();
        rig.exits("web", 1, 1);
        rig.pod("web", container(json!({"resources": {"requests": {"cpu": "100m"}}})));
        rig.run(182);
        // It ended at 180, and waits for 160 s.
        if resized {
            let mut json = raise::to_json(&Object::from(rig.get("web").clone()));
            json["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("200m");
            let Ok(Object::Pod(pod)) = lower::object(json) else { panic!() };
            rig.store.resize_pod(crate::base::Arc::unwrap_or_clone(pod)).unwrap();
            rig.settle();
        }
        rig.trace();
        rig.run(200);
        assert_eq!(rig.trace().iter().any(|line| line.contains("Running 1/1")), resized);
    }
}
