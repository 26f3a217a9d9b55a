use super::*;
use crate::api::pod::{
    Affinity, ContainerState, ContainerStatus, Phase, Pod, PodSpec, PodStatus, QosClass, RestartPolicy,
    Terminated, cond,
};
use crate::api::service::{Endpoint, EndpointSlice};
use crate::api::storage::{ClaimPhase, PersistentVolumeClaim};
use crate::api::{
    Condition, ConditionStatus, Event, EventType, Inert, LabelSelector, Labels, Lasting, Meta, Node,
    ObjectRef,
};
use crate::base::{Arc, SimDuration, SourceId, Span, Timestamp};
use crate::expect::Cause;
use crate::expect::spec::{
    EndpointsSubject, ExistsSubject, NumberField, ObjectSubject, ObjectsSubject, PodsSubject, ResourceKind,
    TextField,
};
use crate::store::{ObjId, Verb};

fn s(seconds: u64) -> SimTime {
    SimTime::from_secs(seconds)
}

fn expectation(when: When, subject: Subject) -> Expectation {
    let origin = Span { source: SourceId(0), start: 0, end: 0 };
    Expectation { name: "it".into(), when, subject, origin }
}

fn change(at: u64, verb: Verb, object: impl Into<Object>) -> Change {
    Change::of_object((s(at), 0), verb, ObjId(0), None, object.into())
}

fn judge(when: When, subject: &Subject, changes: &[Change], end: u64) -> (Verdict, String) {
    let mut evaluator =
        Evaluator::new(&[expectation(when, subject.clone())], Costs::default(), Tallies::default());
    for change in changes {
        evaluator.change(change);
    }
    let judgement = evaluator.finish(s(end)).remove(0);
    (judgement.verdict, judgement.message)
}

fn claim(phase: ClaimPhase) -> Object {
    PersistentVolumeClaim { meta: Meta::named("shop", "data"), phase, ..Default::default() }.into()
}

fn claim_bound() -> Subject {
    Subject::Object(ObjectSubject {
        kind: Kind::PersistentVolumeClaim,
        namespace: "shop".into(),
        name: "data".into(),
        checks: vec![Check::Text(TextField::Phase, "Bound".into())],
    })
}

fn story() -> Vec<Change> {
    vec![
        change(1, Verb::Added, claim(ClaimPhase::Pending)),
        change(5, Verb::Modified, claim(ClaimPhase::Bound)),
        change(20, Verb::Modified, claim(ClaimPhase::Lost)),
        change(30, Verb::Deleted, claim(ClaimPhase::Lost)),
    ]
}

#[test]
fn at_looks_at_the_end_of_the_instant() {
    for (at, verdict, message) in [
        (0, Verdict::Failed, "no PersistentVolumeClaim `data` at 0s (wanted phase Bound)"),
        (4, Verdict::Failed, "phase Pending at 4s (wanted phase Bound)"),
        (5, Verdict::Passed, "phase Bound, since 5s"),
        (19, Verdict::Passed, "phase Bound, since 5s"),
        (20, Verdict::Failed, "phase Lost at 20s (wanted phase Bound)"),
        (40, Verdict::Failed, "no PersistentVolumeClaim `data` at 40s (wanted phase Bound)"),
        (41, Verdict::NotReached, "the run ended at 40s, too early to say at 41s"),
    ] {
        let got = judge(When::At(s(at)), &claim_bound(), &story(), 40);
        assert_eq!(got, (verdict, message.to_owned()), "at {at}");
    }
}

#[test]
fn by_needs_one_good_instant() {
    for (by, verdict, message) in [
        (4, Verdict::Failed, "phase Pending still at 4s (wanted phase Bound)"),
        (5, Verdict::Passed, "phase Bound, since 5s"),
        (99, Verdict::Passed, "phase Bound, since 5s"),
    ] {
        let got = judge(When::By(s(by)), &claim_bound(), &story(), 40);
        assert_eq!(got, (verdict, message.to_owned()), "by {by}");
    }
}

#[test]
fn during_needs_every_instant() {
    for (from, to, verdict, message) in [
        (5, 19, Verdict::Passed, "phase Bound, since 5s"),
        (4, 10, Verdict::Failed, "not so from 4s to 5s: phase Pending (wanted phase Bound)"),
        (6, 20, Verdict::Failed, "not so from 20s on: phase Lost (wanted phase Bound)"),
        (
            0,
            25,
            Verdict::Failed,
            "not so from 0s to 5s: no PersistentVolumeClaim `data`; from 20s on: phase Lost (wanted phase Bound)",
        ),
        (0, 99, Verdict::Failed, ""),
        (50, 60, Verdict::NotReached, "the run ended at 40s, too early to say from 50s to 1m0s"),
    ] {
        let got = judge(When::During(s(from), s(to)), &claim_bound(), &story(), 40);
        assert_eq!(got.0, verdict, "{from} {to}: {}", got.1);
        assert!(message.is_empty() || got.1 == message, "{from} {to}: {}", got.1);
    }
}

#[test]
fn the_end_is_the_last_instant() {
    assert_eq!(judge(When::End, &claim_bound(), &story(), 40).0, Verdict::Failed);
    assert_eq!(
        judge(When::End, &claim_bound(), &story()[..2], 40),
        (Verdict::Passed, "phase Bound, since 5s".to_owned())
    );
    assert_eq!(judge(When::End, &claim_bound(), &story()[..2], 5).0, Verdict::Passed);
}

#[test]
fn objects_are_counted_by_selector_and_checks() {
    let subject = |count| {
        Subject::Objects(ObjectsSubject {
            kind: Kind::PersistentVolumeClaim,
            namespace: Some("shop".into()),
            selector: LabelSelector::everything(),
            checks: vec![Check::Text(TextField::Phase, "Bound".into())],
            count,
        })
    };
    assert_eq!(judge(When::At(s(6)), &subject(Count::exactly(1)), &story(), 40).0, Verdict::Passed);
    assert_eq!(judge(When::At(s(20)), &subject(Count::exactly(0)), &story(), 40).0, Verdict::Passed);
    let other = change(
        2,
        Verb::Added,
        PersistentVolumeClaim {
            meta: Meta::named("other", "data"),
            phase: ClaimPhase::Bound,
            ..Default::default()
        },
    );
    assert_eq!(judge(When::At(s(3)), &subject(Count::at_least(1)), &[other], 4).0, Verdict::Failed);
}

#[test]
fn numbers_are_compared() {
    let budget = |allowed| crate::api::policy::PodDisruptionBudget {
        meta: Meta::named("shop", "db"),
        disruptions_allowed: allowed,
        ..Default::default()
    };
    let subject = Subject::Object(ObjectSubject {
        kind: Kind::PodDisruptionBudget,
        namespace: "shop".into(),
        name: "db".into(),
        checks: vec![Check::Number(NumberField::DisruptionsAllowed, Count::at_least(1))],
    });
    let changes = [change(1, Verb::Added, budget(0)), change(9, Verb::Modified, budget(2))];
    assert_eq!(
        judge(When::By(s(10)), &subject, &changes, 10),
        (Verdict::Passed, "disruptionsAllowed 2, since 9s".to_owned())
    );
    assert_eq!(
        judge(When::At(s(8)), &subject, &changes, 10),
        (Verdict::Failed, "disruptionsAllowed 0 at 8s (wanted disruptionsAllowed >= 1)".to_owned())
    );
}

fn pod_spec() -> Arc<PodSpec> {
    Arc::new(PodSpec {
        raw: Arc::default(),
        fingerprint: 0,
        containers: Vec::new(),
        init_containers: Vec::new(),
        restart_policy: RestartPolicy::Always,
        termination_grace_seconds: 30,
        active_deadline_seconds: None,
        node_selector: Labels::default(),
        affinity: Affinity::default(),
        tolerations: Vec::new(),
        topology_spread: Vec::new(),
        scheduler_name: "default-scheduler".into(),
        priority: 0,
        priority_class_name: Str::new(),
        never_preempts: false,
        scheduling_gates: Vec::new(),
        host_network: false,
        volumes: Vec::new(),
        overhead: Default::default(),
        pod_requests: None,
        pod_limits: None,
        readiness_gates: Vec::new(),
        service_account: Str::new(),
        resource_claims: Vec::new(),
        qos: QosClass::BestEffort,
    })
}

fn pod(name: &str) -> Pod {
    let labels = [("app", name)].into_iter().collect();
    Pod {
        meta: Lasting { labels, ..Lasting::named("shop", name) }.into(),
        spec: pod_spec(),
        node_name: None,
        status: PodStatus::default(),
    }
}

fn pending(name: &str, message: &str) -> Pod {
    let mut pod = pod(name);
    pod.status.conditions = vec![Condition::new(
        cond::POD_SCHEDULED,
        ConditionStatus::False,
        "Unschedulable",
        message,
        Timestamp::new(0),
    )];
    pod
}

fn running(name: &str, node: &str) -> Pod {
    let mut pod = pod(name);
    pod.node_name = Some(node.into());
    pod.status.phase = Phase::Running;
    pod.status.conditions =
        vec![Condition::new(cond::READY, ConditionStatus::True, "", "", Timestamp::new(0))];
    pod
}

fn crashing(name: &str) -> Pod {
    let mut pod = running(name, "n1");
    let ended = Terminated {
        exit_code: 1,
        reason: "OOMKilled".into(),
        message: Str::new(),
        started_at: Timestamp::new(0),
        finished_at: Timestamp::new(1),
    };
    pod.status.conditions.clear();
    pod.status.containers = vec![ContainerStatus {
        name: "c".into(),
        image: "i".into(),
        state: ContainerState::Waiting { reason: "CrashLoopBackOff".into(), message: Str::new() },
        last_termination: Some(Arc::new(ended)),
        ready: false,
        started: false,
        restart_count: 4,
        resized: None,
    }];
    pod
}

fn pods(describe: impl FnOnce(&mut PodsSubject)) -> Subject {
    let mut subject = PodsSubject {
        namespace: None,
        name: None,
        selector: LabelSelector::everything(),
        phase: None,
        cause: None,
        node: None,
        zone: None,
        ready: None,
        scheduled: None,
        terminating: None,
        reason: None,
        restarts: None,
        condition: None,
        count: Count::exactly(1),
    };
    describe(&mut subject);
    Subject::Pods(subject)
}

/// Three Pods: one waits, one runs on `n1` in zone `a`, one crashes there.
fn cluster() -> Vec<Change> {
    let labels = [("topology.kubernetes.io/zone", "a")].into_iter().collect();
    let node = Node { meta: Lasting { labels, ..Lasting::named("", "n1") }.into(), ..Node::default() };
    vec![
        change(0, Verb::Added, node),
        change(1, Verb::Added, pending("db", "0/1 nodes are available: 1 Insufficient cpu.")),
        change(1, Verb::Added, running("web", "n1")),
        change(1, Verb::Added, crashing("job")),
    ]
}

#[test]
fn every_word_about_pods_selects() {
    let check = |describe: fn(&mut PodsSubject), expected: &str| {
        let (verdict, message) = judge(When::End, &pods(describe), &cluster(), 2);
        assert_eq!(verdict, Verdict::Passed, "{message}");
        assert_eq!(message, format!("count 1 (shop/{expected}), since 1s"));
    };
    check(|p| p.name = Some("web".into()), "web");
    check(|p| p.selector = LabelSelector::parse("app=job").unwrap(), "job");
    check(|p| p.phase = Some(Phase::Pending), "db");
    check(|p| p.cause = Some(Cause::InsufficientCpu), "db");
    check(|p| (p.node, p.ready) = (Some("n1".into()), Some(true)), "web");
    check(|p| (p.zone, p.ready) = (Some("a".into()), Some(false)), "job");
    check(|p| p.scheduled = Some(false), "db");
    check(|p| p.reason = Some("CrashLoopBackOff".into()), "job");
    check(|p| p.reason = Some("OOMKilled".into()), "job");
    check(|p| p.reason = Some("Unschedulable".into()), "db");
    check(|p| p.restarts = Some(Count::at_least(3)), "job");
    check(|p| p.condition = Some(("PodScheduled".into(), ConditionStatus::False)), "db");
}

#[test]
fn words_about_pods_that_fit_nothing_select_nothing() {
    let check = |describe: fn(&mut PodsSubject)| {
        let (verdict, message) = judge(When::End, &pods(describe), &cluster(), 2);
        assert_eq!((verdict, message.as_str()), (Verdict::Failed, "count 0 at 2s (wanted count 1)"));
    };
    check(|p| p.namespace = Some("elsewhere".into()));
    check(|p| p.zone = Some("b".into()));
    check(|p| p.cause = Some(Cause::TooManyPods));
    check(|p| p.terminating = Some(true));
}

#[test]
fn pods_leave_the_set_when_they_change_or_go() {
    let subject = pods(|p| (p.phase, p.count) = (Some(Phase::Pending), Count::exactly(0)));
    let changes = [
        change(1, Verb::Added, pod("a")),
        change(1, Verb::Added, pod("b")),
        change(4, Verb::Modified, running("a", "n1")),
        change(7, Verb::Deleted, pod("b")),
    ];
    assert_eq!(
        judge(When::By(s(9)), &subject, &changes[1..], 10),
        (Verdict::Passed, "count 0, since 0s".to_owned()),
        "before the first Pod there is none"
    );
    assert_eq!(
        judge(When::During(s(2), s(9)), &subject, &changes, 10),
        (Verdict::Failed, "not so from 2s to 7s: count 2 (shop/a, shop/b) (wanted count 0)".to_owned())
    );
    assert_eq!(
        judge(When::During(s(7), s(9)), &subject, &changes, 10),
        (Verdict::Passed, "count 0, since 7s".to_owned())
    );
}

fn event(uid: &str, count: i32) -> Event {
    Event {
        meta: Lasting { uid: uid.into(), ..Lasting::named("shop", uid) }.into(),
        regarding: ObjectRef {
            kind: "Pod".into(),
            namespace: "shop".into(),
            name: "db-0".into(),
            uid: Str::new(),
        },
        reason: "FailedScheduling".into(),
        message: "0/1 nodes are available: 1 Insufficient cpu.".into(),
        event_type: EventType::Warning,
        source: "default-scheduler".into(),
        host: Str::new(),
        first: Timestamp::new(0),
        last: Timestamp::new(0),
        count,
        series: false,
    }
}

fn said(count: Count) -> EventSubject {
    EventSubject {
        reason: Some("FailedScheduling".into()),
        event_type: Some(EventType::Warning),
        object: Some(("Pod".into(), Some("db-0".into()))),
        namespace: Some("shop".into()),
        message: Some("Insufficient*".into()),
        count,
    }
}

#[test]
fn events_count_repeats_and_outlive_their_expiry() {
    let changes = [
        change(1, Verb::Added, event("a", 1)),
        change(5, Verb::Modified, event("a", 3)),
        Change::of_object((s(6), 0), Verb::Added, ObjId(1), None, event("b", 1).into()),
        change(8, Verb::Deleted, event("a", 3)),
    ];
    let subject = Subject::Event(said(Count::exactly(4)));
    assert_eq!(
        judge(When::End, &subject, &changes, 10),
        (Verdict::Passed, "said 4 times, since 6s".to_owned())
    );
    assert_eq!(
        judge(When::At(s(2)), &subject, &changes, 10),
        (Verdict::Failed, "said once at 2s (wanted 4)".to_owned())
    );
}

#[test]
fn every_word_about_events_selects() {
    let covers = |change: fn(&mut EventSubject)| {
        let mut subject = said(Count::exactly(1));
        change(&mut subject);
        subject.covers(&event("a", 1).said())
    };
    assert!(covers(|_| {}));
    assert!(covers(|e| e.object = Some(("Pod".into(), None))));
    assert!(!covers(|e| e.reason = Some("Scheduled".into())));
    assert!(!covers(|e| e.event_type = Some(EventType::Normal)));
    assert!(!covers(|e| e.object = Some(("Pod".into(), Some("db-1".into())))));
    assert!(!covers(|e| e.object = Some(("Node".into(), None))));
    assert!(!covers(|e| e.namespace = Some("other".into())));
    assert!(!covers(|e| e.message = Some("memory".into())));
}

#[test]
fn endpoints_of_all_slices_of_a_service_count() {
    let slice = |name: &str, service: &str, ready: &[bool]| {
        let labels = [("kubernetes.io/service-name", service)].into_iter().collect();
        let endpoints =
            ready.iter().map(|r| Endpoint { ready: *r, serving: true, ..Endpoint::default() }).collect();
        EndpointSlice {
            meta: Lasting { labels, ..Lasting::named("shop", name) }.into(),
            endpoints,
            ports: Vec::new(),
        }
    };
    let subject = |ready, serving| {
        Subject::Endpoints(EndpointsSubject {
            namespace: "shop".into(),
            service: "web".into(),
            ready: Some(Count::exactly(ready)),
            serving: Some(Count::exactly(serving)),
            terminating: None,
        })
    };
    let changes = [
        change(1, Verb::Added, slice("web-a", "web", &[true, false])),
        change(2, Verb::Added, slice("web-b", "web", &[true])),
        change(2, Verb::Added, slice("api-a", "api", &[true, true])),
        change(5, Verb::Deleted, slice("web-a", "web", &[true, false])),
    ];
    assert_eq!(judge(When::At(s(3)), &subject(2, 3), &changes, 9).0, Verdict::Passed);
    assert_eq!(
        judge(When::End, &subject(2, 3), &changes, 9),
        (Verdict::Failed, "ready 1, serving 1, terminating 0 at 9s (wanted ready 2, serving 3)".to_owned())
    );
}

#[test]
fn objects_exist_or_not() {
    let config = |name: &str| Inert {
        meta: Meta::named("shop", name),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
        body: "{}".into(),
    };
    let subject = |exists| {
        Subject::Exists(ExistsSubject {
            kind: ResourceKind::Inert("ConfigMap".into()),
            namespace: "shop".into(),
            name: "settings".into(),
            exists,
        })
    };
    let changes = [
        change(1, Verb::Added, config("other")),
        change(3, Verb::Added, config("settings")),
        change(6, Verb::Deleted, config("settings")),
    ];
    assert_eq!(judge(When::At(s(2)), &subject(false), &changes, 9).0, Verdict::Passed);
    assert_eq!(judge(When::At(s(3)), &subject(true), &changes, 9).0, Verdict::Passed);
    assert_eq!(
        judge(When::End, &subject(true), &changes, 9),
        (Verdict::Failed, "it does not exist at 9s (wanted it to exist)".to_owned())
    );
}

#[test]
fn changes_of_other_kinds_cost_nothing_and_failures_are_known_early() {
    let mut evaluator =
        Evaluator::new(&[expectation(When::At(s(2)), claim_bound())], Costs::default(), Tallies::default());
    evaluator.change(&change(1, Verb::Added, pod("a")));
    assert_eq!(evaluator.failed(), 0);
    evaluator.change(&change(3, Verb::Added, pod("b")));
    assert_eq!(evaluator.failed(), 1);
    let end = s(3) + SimDuration::from_nanos(0);
    assert_eq!(evaluator.finish(end)[0].verdict, Verdict::Failed);
}
