//! What a cluster costs: node-hours by group and machine type, their price, and how much of it is requested and used.
//!
//! A ledger hears of every change of nodes and Pods and keeps sums over time; it never looks at all of them.
//!
//! # Fidelity
//! A machine is paid for from the registration of its Node to the end of it; clouds bill from the start of the machine,
//! some seconds before. Prices are those on demand; disks, traffic, load balancers and the control plane cost nothing.
//! What Pods use is looked at about once a minute while things happen.

use std::collections::BTreeMap;

use super::Count;
use crate::api::node::{INSTANCE_TYPE_LABEL, NODE_GROUP_LABEL};
use crate::api::{Node, Pod};
use crate::base::{Arc, LookupMap, SimDuration, SimTime, Str};
use crate::scheduler::framework::resources::{RequestOptions, pod_requests};
use crate::store::Change;

/// Usage is looked at again after so long.
const SAMPLE_EVERY: SimDuration = SimDuration::from_mins(1);
const NANOS_PER_HOUR: i128 = 3_600_000_000_000;

/// CPU in millicores and memory in bytes: at an instant, or times nanoseconds over a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Millicores.
    pub cpu: i128,
    /// Bytes.
    pub memory: i128,
}

impl Amounts {
    /// From millicores and bytes.
    pub fn new(cpu: i64, memory: i64) -> Self {
        Self { cpu: cpu.into(), memory: memory.into() }
    }

    fn add(&mut self, other: Self, times: i128) {
        self.cpu += other.cpu * times;
        self.memory += other.memory * times;
    }

    /// Millicore-hours and byte-hours of an amount that was summed up over nanoseconds.
    fn per_hour(self) -> Self {
        Self { cpu: self.cpu / NANOS_PER_HOUR, memory: self.memory / NANOS_PER_HOUR }
    }
}

/// A rate that holds until it is changed, and its sum over time.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    rate: Amounts,
    sum: Amounts,
    since: SimTime,
}

impl Meter {
    fn at(&self, now: SimTime) -> Amounts {
        let mut sum = self.sum;
        sum.add(self.rate, now.since(self.since).as_nanos().into());
        sum
    }

    fn change(&mut self, now: SimTime, by: Amounts, times: i128) {
        self.sum = self.at(now);
        self.since = now;
        self.rate.add(by, times);
    }

    fn set(&mut self, now: SimTime, rate: Amounts) {
        self.sum = self.at(now);
        self.since = now;
        self.rate = rate;
    }
}

/// Machines that cost the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    group: Str,
    instance_type: Str,
    price: u32,
}

/// Prices of machines in hundred-thousandths of a dollar per hour.
#[derive(Clone, Debug, Default)]
pub struct Prices {
    /// Of the machines of a node group of the scenario.
    pub by_group: BTreeMap<Str, u32>,
    /// Of other machines, by their type.
    pub by_type: BTreeMap<Str, u32>,
}

impl Prices {
    fn line(&self, node: &Node) -> Line {
        let label = |key: &str| node.meta.labels.get(key).cloned().unwrap_or_default();
        let (group, instance_type) = (label(NODE_GROUP_LABEL), label(INSTANCE_TYPE_LABEL));
        let known = self.by_group.get(&group).or_else(|| self.by_type.get(&instance_type));
        let price = known.copied().unwrap_or(0);
        Line { group, instance_type, price }
    }
}

/// Keeps account of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    prices: Prices,
    /// Nodes by what they cost: how many there are, and their sum over time (as `cpu` of a meter).
    machines: BTreeMap<Line, Meter>,
    allocatable: Meter,
    requested: BTreeMap<Str, Meter>,
    used: BTreeMap<Str, Meter>,
    sampled: Option<SimTime>,
    /// What Pods of a spec ask for, by its fingerprint.
    by_spec: LookupMap<u64, Amounts>,
}

/// Whether two states of a Pod count for the same, as can be told without adding up: only a resize changes what a Pod asks
/// for while its desired state stays.
fn asks_the_same(a: &Pod, b: &Pod) -> bool {
    Arc::ptr_eq(&a.spec, &b.spec) && !a.is_resized() && !b.is_resized()
}

/// What a Pod asks for.
fn asked(pod: &Pod) -> Amounts {
    let requests = pod_requests(pod, RequestOptions { use_status: true, ..RequestOptions::default() });
    Amounts::new(requests.cpu_milli(), requests.memory())
}

impl Ledger {
    /// An empty one with these prices.
    pub fn new(prices: Prices) -> Self {
        Self { prices, ..Self::default() }
    }

    /// Hears of a change.
    pub fn change(&mut self, change: &Change) {
        if let Some((old, new)) = change.of::<Node>() {
            self.node(change.at, old.map(AsRef::as_ref), new.map(AsRef::as_ref));
        } else if let Some((old, new)) = change.of::<Pod>() {
            let counts = |pod: &&Pod| pod.node_name.is_some() && !pod.is_terminal();
            let (old, new) = (old.map(AsRef::as_ref).filter(counts), new.map(AsRef::as_ref).filter(counts));
            if let (Some(a), Some(b)) = (old, new)
                && asks_the_same(a, b)
            {
                return;
            }
            for (pod, sign) in [(old, -1), (new, 1)] {
                if let Some(pod) = pod {
                    self.pod(change.at, pod, sign);
                }
            }
        }
    }

    fn node(&mut self, now: SimTime, old: Option<&Node>, new: Option<&Node>) {
        let (was, is) = (old.map(|n| self.prices.line(n)), new.map(|n| self.prices.line(n)));
        if was != is {
            let one = Amounts { cpu: 1, memory: 0 };
            for (line, sign) in [(was, -1), (is, 1)] {
                if let Some(line) = line {
                    self.machines.entry(line).or_default().change(now, one, sign);
                }
            }
        }
        let room = |node: Option<&Node>| {
            let list = node.map(|n| &n.status.allocatable);
            list.map_or(Amounts::default(), |list| Amounts::new(list.cpu_milli(), list.memory()))
        };
        let (was, is) = (room(old), room(new));
        if was != is {
            self.allocatable.change(now, was, -1);
            self.allocatable.change(now, is, 1);
        }
    }

    fn pod(&mut self, now: SimTime, pod: &Pod, sign: i128) {
        let amounts = if pod.is_resized() {
            asked(pod)
        } else {
            *self.by_spec.or_insert_with(pod.spec.fingerprint, || asked(pod))
        };
        self.requested.entry(pod.meta.namespace.clone()).or_default().change(now, amounts, sign);
    }

    /// Whether it is time to look at what Pods use.
    pub fn wants_usage(&self, now: SimTime) -> bool {
        self.sampled.is_none_or(|at| now >= at + SAMPLE_EVERY)
    }

    /// What the Pods of each namespace use from now on.
    pub fn usage(&mut self, now: SimTime, by_namespace: BTreeMap<Str, Amounts>) {
        self.sampled = Some(now);
        for (namespace, meter) in &mut self.used {
            if !by_namespace.contains_key(namespace) {
                meter.set(now, Amounts::default());
            }
        }
        for (namespace, amounts) in by_namespace {
            self.used.entry(namespace).or_default().set(now, amounts);
        }
    }

    /// What was spent up to `now`, if nothing changes until then.
    pub fn bill(&self, now: SimTime) -> Bill {
        let machines = self.machines.iter().map(|(line, meter)| {
            let node_nanos = meter.at(now).cpu;
            MachineCost {
                group: line.group.clone(),
                instance_type: line.instance_type.clone(),
                price: line.price,
                node_nanos,
            }
        });
        let names: std::collections::BTreeSet<&Str> = self.requested.keys().chain(self.used.keys()).collect();
        let sum = |meters: &BTreeMap<Str, Meter>, name: &Str| {
            meters.get(name).map_or(Amounts::default(), |meter| meter.at(now).per_hour())
        };
        let namespaces = names.into_iter().map(|name| NamespaceUse {
            namespace: name.clone(),
            requested: sum(&self.requested, name),
            used: sum(&self.used, name),
        });
        Bill {
            machines: machines.filter(|m| m.node_nanos > 0).collect(),
            allocatable: self.allocatable.at(now).per_hour(),
            namespaces: namespaces
                .filter(|n| n.requested != Amounts::default() || n.used != Amounts::default())
                .collect(),
        }
    }
}

/// Machines of a group and type, and what they cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineCost {
    /// The scenario's node group; empty for nodes by name.
    pub group: Str,
    /// The machine type; empty if it has none.
    pub instance_type: Str,
    /// Hundred-thousandths of a dollar per hour; 0 if unknown.
    pub price: u32,
    /// Nanoseconds of nodes.
    pub node_nanos: i128,
}

impl MachineCost {
    /// Thousandths of an hour.
    pub const fn node_millihours(&self) -> i128 {
        self.node_nanos / (NANOS_PER_HOUR / 1000)
    }

    /// Hundred-thousandths of a dollar.
    pub fn cost(&self) -> i128 {
        self.node_nanos * i128::from(self.price) / NANOS_PER_HOUR
    }
}

/// What the Pods of a namespace asked for and used: millicore-hours and byte-hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceUse {
    /// The namespace.
    pub namespace: Str,
    /// Requested by Pods on nodes.
    pub requested: Amounts,
    /// Used.
    pub used: Amounts,
}

/// What a run cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    /// By group and type.
    pub machines: Vec<MachineCost>,
    /// What Pods could have used: millicore-hours and byte-hours.
    pub allocatable: Amounts,
    /// By namespace.
    pub namespaces: Vec<NamespaceUse>,
}

impl Bill {
    /// Whether any of these machines has a price.
    pub fn is_priced(&self, which: &Which) -> bool {
        self.machines.iter().any(|m| m.price > 0 && which.covers(m))
    }

    /// Whether some of these machines have none.
    fn lacks_prices(&self, which: &Which) -> bool {
        self.machines.iter().any(|m| m.price == 0 && which.covers(m))
    }

    /// Hundred-thousandths of a dollar that some machines cost.
    pub fn dollars(&self, which: &Which) -> i64 {
        let machines = self.machines.iter().filter(|m| which.covers(m));
        let nanos: i128 = machines.map(|m| m.node_nanos * i128::from(m.price)).sum();
        i64::try_from(nanos / NANOS_PER_HOUR).unwrap_or(i64::MAX)
    }

    /// Thousandths of node-hours of some machines.
    pub fn node_millihours(&self, which: &Which) -> i64 {
        let machines = self.machines.iter().filter(|m| which.covers(m));
        let nanos: i128 = machines.map(|m| m.node_nanos).sum();
        i64::try_from(nanos / (NANOS_PER_HOUR / 1000)).unwrap_or(i64::MAX)
    }

    /// Hundredths of what all Pods could have used, rounded down: what those of a namespace, or all, made of it.
    pub fn share(&self, share: Share, namespace: Option<&Str>) -> i64 {
        let sum = |of: &dyn Fn(&NamespaceUse) -> i128| {
            let some = self.namespaces.iter().filter(|n| namespace.is_none_or(|name| n.namespace == *name));
            some.map(of).sum::<i128>()
        };
        let (part, whole) = match share {
            Share::CpuRequested => (sum(&|n| n.requested.cpu), self.allocatable.cpu),
            Share::CpuUsed => (sum(&|n| n.used.cpu), self.allocatable.cpu),
            Share::MemoryRequested => (sum(&|n| n.requested.memory), self.allocatable.memory),
            Share::MemoryUsed => (sum(&|n| n.used.memory), self.allocatable.memory),
        };
        if whole == 0 { 0 } else { i64::try_from(part * 100 / whole).unwrap_or(i64::MAX) }
    }
}

/// Some of the machines; all if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Of this node group.
    pub group: Option<Str>,
    /// Of this type.
    pub instance_type: Option<Str>,
}

impl Which {
    fn covers(&self, machines: &MachineCost) -> bool {
        self.group.as_ref().is_none_or(|group| machines.group == *group)
            && self.instance_type.as_ref().is_none_or(|kind| machines.instance_type == *kind)
    }
}

/// A part of what Pods could have used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Share {
    /// CPU that was requested.
    CpuRequested,
    /// CPU that was used.
    CpuUsed,
    /// Memory that was requested.
    MemoryRequested,
    /// Memory that was used.
    MemoryUsed,
}

impl Share {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::CpuRequested, Self::CpuUsed, Self::MemoryRequested, Self::MemoryUsed];

    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CpuRequested => "cpuRequested",
            Self::CpuUsed => "cpuUsed",
            Self::MemoryRequested => "memoryRequested",
            Self::MemoryUsed => "memoryUsed",
        }
    }
}

/// What a run may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostSubject {
    /// Of these machines.
    pub which: Which,
    /// Of the Pods of this namespace; none: of all Pods.
    pub namespace: Option<Str>,
    /// Dollars, in hundred-thousandths.
    pub dollars: Option<Count>,
    /// Hours of nodes, in thousandths.
    pub node_hours: Option<Count>,
    /// Shares in hundredths.
    pub shares: Vec<(Share, Count)>,
}

/// Digits after the point of [`CostSubject::dollars`].
pub const DOLLAR_DIGITS: u32 = 5;
/// Digits after the point of [`CostSubject::node_hours`].
pub const HOUR_DIGITS: u32 = 3;

impl CostSubject {
    /// Whether a bill is as wanted.
    pub fn holds(&self, bill: &Bill) -> bool {
        // Nobody knows what machines without a price cost.
        let is_known = bill.is_priced(&self.which) || !bill.lacks_prices(&self.which);
        self.dollars.is_none_or(|count| is_known && count.holds(bill.dollars(&self.which)))
            && self.node_hours.is_none_or(|count| count.holds(bill.node_millihours(&self.which)))
            && self.shares.iter().all(|(share, count)| count.holds(self.share(bill, *share)))
    }

    fn share(&self, bill: &Bill, share: Share) -> i64 {
        bill.share(share, self.namespace.as_ref())
    }

    /// Of what: the machines and the namespace that were named.
    pub fn of(&self) -> String {
        let named = [&self.which.group, &self.which.instance_type, &self.namespace];
        named.into_iter().flatten().map(Str::as_str).collect::<Vec<_>>().join(", ")
    }

    /// What a bill says of what is asked.
    pub fn actual(&self, bill: &Bill) -> String {
        let mut parts = Vec::new();
        if self.dollars.is_some() {
            let dollars = decimal(bill.dollars(&self.which), DOLLAR_DIGITS);
            parts.push(match (bill.is_priced(&self.which), bill.lacks_prices(&self.which)) {
                (false, true) => "no price is known".to_owned(),
                (true, true) => format!("${dollars} without machines of unknown price"),
                (_, false) => format!("${dollars}"),
            });
        }
        if self.node_hours.is_some() {
            let hours = decimal(bill.node_millihours(&self.which), HOUR_DIGITS);
            parts.push(format!("{hours} node-hours"));
        }
        let shares = self.shares.iter();
        parts.extend(shares.map(|(share, _)| format!("{} {} %", share.as_str(), self.share(bill, *share))));
        parts.join(", ")
    }

    /// What is wanted.
    pub fn wanted(&self) -> String {
        let mut parts = Vec::new();
        if let Some(count) = self.dollars {
            parts.push(format!("dollars {}", count.scaled(DOLLAR_DIGITS)));
        }
        if let Some(count) = self.node_hours {
            parts.push(format!("nodeHours {}", count.scaled(HOUR_DIGITS)));
        }
        parts.extend(self.shares.iter().map(|(share, count)| format!("{} {count}", share.as_str())));
        parts.join(", ")
    }
}

/// A number of so many digits after the point, without zeros at its end beyond two digits.
pub fn decimal(number: i64, digits: u32) -> String {
    let unit = 10_i64.pow(digits);
    let sign = if number < 0 { "-" } else { "" };
    let (whole, rest) = (number.abs() / unit, number.abs() % unit);
    let mut rest = format!("{rest:0width$}", width = digits as usize);
    while rest.len() > 2 && rest.ends_with('0') {
        rest.pop();
    }
    format!("{sign}{whole}.{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::pod::{ContainerStatus, ResizedResources};
    use crate::api::{ObjectKey, ResourceList};
    use crate::base::Quantity;
    use crate::expect::count::Comparison;
    use crate::store::{DeleteOptions, Store};
    use crate::testkit;

    fn node(name: &str, group: &str, instance_type: &str) -> Node {
        let mut node = Node { meta: crate::api::Meta::named("", name), ..Node::default() };
        node.meta.labels =
            [(NODE_GROUP_LABEL, group), (INSTANCE_TYPE_LABEL, instance_type)].into_iter().collect();
        let room: ResourceList =
            [("cpu", Quantity::from_milli(2000)), ("memory", Quantity::from_bytes(8 << 30))]
                .into_iter()
                .collect();
        node.status.allocatable = room;
        node
    }

    fn hear(ledger: &mut Ledger, store: &mut Store) {
        for change in store.drain_changes() {
            ledger.change(&change);
        }
    }

    fn hours(count: u64) -> SimTime {
        SimTime::ZERO + SimDuration::from_mins(60 * count)
    }

    #[test]
    fn nodes_are_paid_for_while_they_are_there() {
        let mut ledger = Ledger::new(Prices {
            by_group: [("own".into(), 12_345)].into_iter().collect(),
            by_type: [("m6i.large".into(), 9_600)].into_iter().collect(),
        });
        let mut store = testkit::store();
        store.create(node("a", "own", "")).unwrap();
        store.create(node("b", "", "m6i.large")).unwrap();
        store.create(node("c", "", "")).unwrap();
        hear(&mut ledger, &mut store);
        store.advance(hours(1));
        store.delete::<Node>(&ObjectKey::cluster("a"), &DeleteOptions::default()).unwrap();
        hear(&mut ledger, &mut store);
        let bill = ledger.bill(hours(3));
        let all = Which::default();
        assert_eq!(bill.node_millihours(&all), 7000);
        // One hour of the own price and three of m6i.large at 0.096.
        assert_eq!(bill.dollars(&all), 12_345 + 3 * 9_600);
        assert_eq!(bill.dollars(&Which { group: Some("own".into()), ..Which::default() }), 12_345);
        let large = Which { instance_type: Some("m6i.large".into()), ..Which::default() };
        assert_eq!((bill.dollars(&large), bill.node_millihours(&large)), (3 * 9_600, 3000));
        assert_eq!(bill.allocatable.cpu, 2000 + 3 * 4000);
        assert!(bill.is_priced(&all));
    }

    #[test]
    fn requests_count_while_a_pod_holds_a_node_and_usage_as_it_was_seen() {
        let mut ledger = Ledger::new(Prices::default());
        let mut store = testkit::store();
        store.create(node("a", "", "")).unwrap();
        let mut pod = testkit::pod("p", "app=p");
        crate::base::Arc::make_mut(&mut pod.spec).containers[0].requests =
            [("cpu", Quantity::from_milli(500)), ("memory", Quantity::from_bytes(1 << 30))]
                .into_iter()
                .collect();
        store.create(pod).unwrap();
        hear(&mut ledger, &mut store);
        store.advance(hours(1));
        let key = ObjectKey::new("default", "p");
        store.update::<Pod>(&key, |pod| pod.node_name = Some("a".into())).unwrap();
        hear(&mut ledger, &mut store);
        assert!(ledger.wants_usage(hours(1)));
        ledger.usage(hours(1), [("default".into(), Amounts::new(200, 0))].into_iter().collect());
        assert!(!ledger.wants_usage(hours(1) + SimDuration::from_secs(59)));
        store.advance(hours(3));
        ledger.usage(hours(3), BTreeMap::new());
        store.update::<Pod>(&key, |pod| pod.status.phase = crate::api::Phase::Succeeded).unwrap();
        hear(&mut ledger, &mut store);
        let bill = ledger.bill(hours(4));
        // Two of four hours 500m of 2000m, and 200m.
        let of = |share, namespace: Option<&str>| bill.share(share, namespace.map(Str::from).as_ref());
        assert_eq!(of(Share::CpuRequested, None), 12);
        assert_eq!(of(Share::CpuUsed, None), 5);
        assert_eq!(of(Share::MemoryRequested, None), 6);
        assert_eq!(of(Share::CpuRequested, Some("default")), 12);
        assert_eq!(of(Share::CpuRequested, Some("other")), 0);
        assert_eq!(bill.namespaces[0].requested, Amounts::new(1000, 2 << 30));
        assert!(!bill.is_priced(&Which::default()));
    }

    #[test]
    fn a_pod_that_is_resized_counts_for_what_it_has_then() {
        let (mut ledger, mut store) = (Ledger::new(Prices::default()), testkit::store());
        let mut pod = testkit::pod("p", "app=p");
        let cpu = |milli| -> ResourceList { [("cpu", Quantity::from_milli(milli))].into_iter().collect() };
        Arc::make_mut(&mut pod.spec).containers[0].requests = cpu(500);
        pod.node_name = Some("a".into());
        let container = pod.spec.containers[0].name.clone();
        store.create(pod).unwrap();
        hear(&mut ledger, &mut store);
        let key = ObjectKey::new("default", "p");
        let mut resize = |hour, milli: Option<i64>| {
            store.advance(hours(hour));
            let resized = milli.map(|milli| {
                Arc::new(ResizedResources {
                    actual_requests: Some(cpu(milli)),
                    ..ResizedResources::default()
                })
            });
            let status = ContainerStatus { resized, ..testkit::container_status(&container, 0) };
            store.update::<Pod>(&key, |pod| pod.status.containers = vec![status]).unwrap();
            hear(&mut ledger, &mut store);
            ledger.bill(hours(hour)).namespaces.first().map_or(0, |namespace| namespace.requested.cpu)
        };
        assert_eq!(resize(1, Some(2000)), 500);
        assert_eq!(resize(2, Some(1000)), 2500);
        assert_eq!(resize(3, None), 3500);
        assert_eq!(resize(4, Some(3000)), 4000);
    }

    #[test]
    fn what_has_no_price_costs_nobody_knows_what() {
        let mut ledger = Ledger::new(Prices {
            by_group: BTreeMap::new(),
            by_type: [("m6i.large".into(), 9_600)].into_iter().collect(),
        });
        let mut store = testkit::store();
        store.create(node("a", "own", "")).unwrap();
        store.create(node("b", "more", "m6i.large")).unwrap();
        hear(&mut ledger, &mut store);
        let bill = ledger.bill(hours(1));
        for (group, holds, said) in [
            (Some("more"), true, "$0.096"),
            (Some("own"), false, "no price is known"),
            (None, true, "$0.096 without machines of unknown price"),
            (Some("nobody"), true, "$0.00"),
        ] {
            let subject = CostSubject {
                which: Which { group: group.map(Str::from), ..Which::default() },
                namespace: None,
                dollars: Some(Count { comparison: Comparison::AtMost, number: 10_000 }),
                node_hours: None,
                shares: Vec::new(),
            };
            assert_eq!((subject.holds(&bill), subject.actual(&bill).as_str()), (holds, said), "{group:?}");
        }
    }

    #[test]
    fn numbers_are_told_with_as_many_digits_as_they_have() {
        for (number, digits, text) in
            [(9_600, 5, "0.096"), (150_000, 5, "1.50"), (7, 3, "0.007"), (-1500, 3, "-1.50")]
        {
            assert_eq!(decimal(number, digits), text);
        }
    }
}
