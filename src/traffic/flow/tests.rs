use std::collections::BTreeMap;

use super::*;
use crate::api::LabelSelector;
use crate::api::{Condition, ConditionStatus, Meta};
use crate::base::{Quantity, SourceId, Span, Timestamp};
use crate::params::behaviour::{CpuUse, Matches};
use crate::params::traffic::{Call, Rate, TrafficTarget};
use crate::testkit;

/// A store with a node of two CPUs, and traffic that hears of everything. Whatever is worked out is compared with what
/// comes out if nothing is left out.
struct Rig {
    store: Store,
    traffic: Traffic,
    behaviours: Vec<Behaviour>,
    health: BTreeMap<ObjId, Health>,
    load: BTreeMap<ObjId, i64>,
    facts: Vec<Fact>,
    runs: u32,
}

const ORIGIN: Span = Span { source: SourceId(0), start: 0, end: 0 };

fn service(app: &str, rps: u64, calls: Vec<Call>) -> Plan {
    Plan {
        name: app.into(),
        namespace: "default".into(),
        to: TrafficTarget::Selector(LabelSelector::parse(&format!("app={app}")).unwrap()),
        rate: (rps > 0).then(|| Rate::constant(rps * 1000)),
        calls,
        patience: SimDuration::from_secs(2),
        origin: ORIGIN,
    }
}

/// Requests to the Pods of an app cost so many millicore-seconds.
fn cost(app: &str, idle: i64, per_request: i64) -> Behaviour {
    let selector = LabelSelector::parse(&format!("app={app}")).unwrap();
    let matches = Matches { image: None, namespace: None, pod: None, selector, container: None };
    Behaviour { cpu: Some(CpuUse { idle, per_request }), ..Behaviour::of(matches, ORIGIN) }
}

impl Rig {
    fn new(services: &[Plan], behaviours: Vec<Behaviour>) -> Self {
        let mut store = testkit::store();
        for name in ["node-a", "node-b", "node-c"] {
            let mut node = Node { meta: Meta::named("", name), ..Node::default() };
            node.status.allocatable.0.insert("cpu".into(), Quantity::from_units(2));
            store.create(node).unwrap();
        }
        let traffic = Traffic::new(services, testkit::calendar(), Seed(1));
        let (health, load) = (BTreeMap::new(), BTreeMap::new());
        Self { store, traffic, behaviours, health, load, facts: Vec::new(), runs: 0 }
    }

    /// A Ready Pod of an app on the first node, with a CPU request and limit (0: none).
    fn pod(&mut self, name: &str, app: &str, request: i64, limit: i64) -> ObjId {
        self.pod_on("node-a", name, app, (request, limit))
    }

    fn pod_on(&mut self, node: &str, name: &str, app: &str, (request, limit): (i64, i64)) -> ObjId {
        let mut pod = testkit::pod(name, &format!("app={app}"));
        let mut spec = (*pod.spec).clone();
        let container = &mut spec.containers[0];
        for (list, milli) in [(&mut container.requests, request), (&mut container.limits, limit)] {
            if milli > 0 {
                list.0.insert("cpu".into(), Quantity::from_milli(milli));
            }
        }
        // The store keeps specs of one fingerprint once.
        spec.fingerprint = crate::api::fingerprint::of(name);
        pod.spec = Arc::new(spec);
        pod.node_name = Some(node.into());
        pod.status.conditions =
            vec![Condition::new("Ready", ConditionStatus::True, "", "", Timestamp::new(0))];
        let key = pod.meta.key();
        self.store.create(pod).unwrap();
        let id = self.store.id_of::<Pod>(&key).unwrap();
        self.health.insert(id, Health::Answers);
        id
    }

    /// Lets `secs` pass, working out everything that is due.
    fn pass(&mut self, secs: u64) {
        let end = self.store.now() + SimDuration::from_secs(secs);
        loop {
            for change in self.store.drain_changes() {
                self.traffic.on_change(&change, &self.store, &Delay::millis(1000));
            }
            let Some(at) = self.traffic.next().filter(|at| *at <= end) else { break };
            self.store.advance(at.max(self.store.now()));
            let mut whole = self.traffic.whole();
            self.run(&mut whole, &mut Vec::new());
            let mut traffic = self.traffic.clone();
            let mut facts = std::mem::take(&mut self.facts);
            self.run(&mut traffic, &mut facts);
            (self.traffic, self.facts) = (traffic, facts);
            assert_eq!(self.traffic.difference(&whole), None);
            self.runs += 1;
        }
        self.store.advance(end);
    }

    fn run(&self, traffic: &mut Traffic, out: &mut Vec<Fact>) {
        let health = |pod: ObjId| (self.health.get(&pod).copied().unwrap_or(Health::Refuses), None);
        traffic.run(&mut Ctx {
            store: &self.store,
            behaviours: &self.behaviours,
            health: &health,
            load: &|pod, _| self.load.get(&pod).copied().unwrap_or(0),
            out,
        });
    }

    /// Changes what becomes of requests to a Pod.
    fn set(&mut self, pod: ObjId, health: Health) {
        self.health.insert(pod, health);
        self.traffic.touch(pod, || (health, None));
    }

    /// What became of the requests to a service in the next `secs`: those that came, that were answered, that failed.
    fn count(&mut self, service: usize, secs: u64) -> (i64, i64, [i64; 5]) {
        let before = self.traffic.meters(self.store.now())[service].1.clone();
        self.pass(secs);
        let after = self.traffic.meters(self.store.now())[service].1.clone();
        let whole = |a: f64, b: f64| (a - b).round() as i64;
        let failed = std::array::from_fn(|why| whole(after.failed[why], before.failed[why]));
        (whole(after.offered, before.offered), whole(after.succeeded, before.succeeded), failed)
    }

    fn used(&self, pod: ObjId) -> i64 {
        self.traffic.used(pod).map_or(-1, |milli| milli.round() as i64)
    }
}

#[test]
fn endpoints_share_requests_evenly_and_pay_for_them() {
    let mut rig = Rig::new(&[service("web", 100, Vec::new())], vec![cost("web", 20, 4)]);
    let pods = [rig.pod("a", "web", 100, 0), rig.pod("b", "web", 100, 0)];
    rig.pass(5);
    assert_eq!(pods.map(|pod| rig.used(pod)), [220, 220]);
    assert_eq!(rig.count(0, 60), (6000, 6000, [0; 5]));
}

#[test]
fn requests_follow_a_change_of_endpoints_after_a_second() {
    let mut rig = Rig::new(&[service("web", 100, Vec::new())], vec![cost("web", 0, 1)]);
    assert_eq!(rig.count(0, 10), (1000, 0, [1000, 0, 0, 0, 0]), "nobody is there");
    rig.pod("a", "web", 100, 0);
    assert_eq!(rig.count(0, 10), (1000, 900, [100, 0, 0, 0, 0]));
}

#[test]
fn what_is_wrong_with_a_pod_says_how_its_share_fails() {
    for (health, failed) in
        [(Health::Refuses, [0, 500, 0, 0, 0]), (Health::Silent, [0, 0, 500, 0, 0]), (Health::Answers, [0; 5])]
    {
        let mut rig = Rig::new(&[service("web", 100, Vec::new())], vec![cost("web", 0, 1)]);
        let pod = rig.pod("a", "web", 100, 0);
        rig.pod("b", "web", 100, 0);
        rig.pass(5);
        rig.set(pod, health);
        let (offered, _, got) = rig.count(0, 10);
        assert_eq!((offered, got), (1000, failed), "{health:?}");
    }
}

#[test]
fn a_limit_throttles_and_what_comes_too_much_times_out() {
    // 500m answer 50 requests per second of 10 ms each.
    let mut rig = Rig::new(&[service("web", 80, Vec::new())], vec![cost("web", 0, 10)]);
    let pod = rig.pod("a", "web", 100, 500);
    rig.pass(30);
    assert_eq!(rig.used(pod), 500);
    let (offered, answered, failed) = rig.count(0, 100);
    assert_eq!((offered, answered, failed), (8000, 5000, [0, 0, 0, 3000, 0]));
}

#[test]
fn a_queue_is_worked_off_after_the_peak() {
    let mut plan = service("web", 0, Vec::new());
    let s = SimTime::from_secs;
    let curve = crate::params::traffic::Curve::Steps(vec![(s(5), 150_000), (s(7), 20_000)]);
    plan.rate = Some(Rate { curve, ..Rate::constant(0) });
    let mut rig = Rig::new(&[plan], vec![cost("web", 0, 10)]);
    rig.pod("a", "web", 100, 1000);
    rig.pass(5);
    // Two seconds of 150 per second leave 100 of them waiting, a second's work: nobody loses patience.
    let (offered, answered, failed) = rig.count(0, 2);
    assert_eq!((offered, answered, failed), (300, 200, [0; 5]));
    let (offered, answered, failed) = rig.count(0, 20);
    assert_eq!((offered, answered, failed), (400, 500, [0; 5]), "those that waited are answered later");
}

#[test]
fn calls_multiply_requests_and_their_failures() {
    let calls = vec![Call { to: 1, per_request: 2000 }];
    let services = [service("web", 50, calls), service("db", 0, Vec::new())];
    let mut rig = Rig::new(&services, vec![cost("web", 0, 1), cost("db", 0, 3)]);
    rig.pod("web", "web", 100, 0);
    let db = [rig.pod("db-0", "db", 100, 0), rig.pod("db-1", "db", 100, 0)];
    rig.pass(5);
    assert_eq!(db.map(|pod| rig.used(pod)), [150, 150]);
    assert_eq!(rig.count(1, 10).0, 1000);
    // Half of the calls fail; a request makes two, so a quarter of the requests survives.
    rig.set(db[0], Health::Silent);
    assert_eq!(rig.count(0, 100), (5000, 1250, [0, 0, 0, 0, 3750]));
}

#[test]
fn neighbours_share_a_node_that_runs_short_by_their_requests() {
    let mut rig =
        Rig::new(&[service("web", 120, Vec::new())], vec![cost("web", 0, 10), cost("batch", 8000, 0)]);
    let web = rig.pod("web", "web", 500, 0);
    rig.pass(5);
    assert_eq!(rig.used(web), 1200);
    let batch = rig.pod("batch", "batch", 1000, 0);
    rig.pass(60);
    assert_eq!((rig.used(web), rig.used(batch)), (667, 1333));
    assert_eq!(rig.count(0, 60).1, 4000);
}

#[test]
fn nothing_happens_while_nothing_changes() {
    let mut rig = Rig::new(&[service("web", 100, Vec::new())], vec![cost("web", 0, 1)]);
    rig.pod("a", "web", 100, 0);
    rig.pass(5);
    assert_eq!(rig.traffic.next(), None);
    let said = rig.facts.len();
    rig.pass(86_400);
    assert_eq!(rig.facts.len(), said);
}

#[test]
fn callers_come_before_those_they_call() {
    let call = |to| vec![Call { to, per_request: 1000 }];
    let services = [
        service("c", 0, Vec::new()),
        service("b", 0, call(0)),
        service("a", 1, call(1)),
        service("d", 1, call(0)),
    ];
    let order = graph::order(&services);
    let place = |index| order.iter().position(|i| *i == index).unwrap();
    assert!(place(2) < place(1) && place(1) < place(0) && place(3) < place(0));
}

#[test]
fn as_many_requests_are_in_a_pod_as_come_while_one_is_answered() {
    let calls = vec![Call { to: 1, per_request: 2000 }];
    let services = [service("web", 50, calls), service("db", 0, Vec::new())];
    let mut rig = Rig::new(&services, vec![cost("web", 0, 1), cost("db", 0, 3)]);
    rig.traffic.watch_in_flight();
    let (web, db) = (rig.pod("web", "web", 100, 0), rig.pod("db", "db", 100, 0));
    rig.pass(5);
    let held = |rig: &Rig, pod| (rig.traffic.in_flight(pod).0 * 1000.0).round() as i64;
    // 100 requests per second of 3 ms each, and next to no wait; 50 of 1 ms that hold two of those.
    assert!((300..320).contains(&held(&rig, db)), "{}", held(&rig, db));
    assert!((350..375).contains(&held(&rig, web)), "{}", held(&rig, web));
    rig.set(db, Health::Refuses);
    rig.pass(5);
    assert_eq!(held(&rig, db), 0);
}

#[test]
fn a_pod_that_is_as_it_was_causes_no_work() {
    let mut rig = Rig::new(&[service("web", 100, Vec::new())], vec![cost("web", 0, 1)]);
    let pod = rig.pod("a", "web", 100, 0);
    rig.pass(5);
    let runs = rig.runs;
    rig.set(pod, Health::Answers);
    rig.pass(5);
    assert_eq!(rig.runs, runs);
    rig.set(pod, Health::Silent);
    rig.pass(5);
    assert_eq!(rig.runs, runs + 1);
}

/// Shapes of services, by index: whom each calls.
fn call_graph(shape: u64, count: usize) -> Vec<Plan> {
    let mut bits = shape;
    let mut draw = |below: u64| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (bits >> 33) % below
    };
    (0..count)
        .map(|index| {
            let later = (index + 1..count).filter(|_| draw(3) == 0).collect::<Vec<_>>();
            let calls = later.into_iter().map(|to| Call { to, per_request: 200 + draw(1500) }).collect();
            let rps = if draw(2) == 0 { draw(120) } else { 0 };
            let mut plan = service(&format!("s{index}"), rps, calls);
            if draw(3) == 0 {
                let curve = crate::params::traffic::Curve::Lines(vec![
                    (SimTime::ZERO, 1000 * draw(50)),
                    (SimTime::from_secs(60), 1000 * draw(300)),
                    (SimTime::from_secs(90), 1000 * draw(50)),
                ]);
                plan.rate = Some(Rate { curve, ..Rate::constant(0) });
            }
            plan
        })
        .collect()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]

    /// Pods come and go, fail and recover, loads and limits change, on nodes that run short: what follows from a change
    /// alone is, to the last bit, what working everything out gives. [`Rig::pass`] compares.
    #[test]
    fn following_a_change_gives_what_working_out_everything_gives(
        shape in 0u64..u64::MAX,
        count in 1usize..7,
        steps in proptest::collection::vec((0u8..8, 0usize..64, 0u64..20), 1..40),
    ) {
        let services = call_graph(shape, count);
        let behaviours = (0..count).map(|i| cost(&format!("s{i}"), 10 * i as i64, 1 + 3 * (i as i64 % 3))).collect();
        let mut rig = Rig::new(&services, behaviours);
        let mut pods: Vec<(ObjId, String)> = Vec::new();
        for (number, (what, which, secs)) in steps.into_iter().enumerate() {
            let chosen = pods.get(which % pods.len().max(1)).cloned();
            match (what, chosen) {
                (0..=2, _) | (_, None) => {
                    let (name, app) = (format!("p{number}"), format!("s{}", which % count));
                    let node = ["node-a", "node-b", "node-c"][which % 3];
                    let limit = [0, 300, 1000][which / 3 % 3];
                    pods.push((rig.pod_on(node, &name, &app, (50 * (which as i64 % 4), limit)), name));
                }
                (3, Some((pod, _))) => rig.set(pod, [Health::Refuses, Health::Silent][which % 2]),
                (4, Some((pod, _))) => rig.set(pod, Health::Answers),
                (5, Some((pod, _))) => {
                    rig.load.insert(pod, 100 * (which as i64 % 9));
                    rig.traffic.load_changed();
                }
                (6, Some((pod, name))) => {
                    rig.store
                        .delete::<Pod>(&crate::api::ObjectKey::new("default", name.as_str()), &crate::store::DeleteOptions::force())
                        .unwrap();
                    pods.retain(|(id, _)| *id != pod);
                }
                (_, Some((pod, _))) => {
                    rig.set(pod, Health::Refuses);
                    rig.set(pod, Health::Answers);
                }
            }
            rig.pass(secs);
        }
        rig.pass(60);
    }
}
