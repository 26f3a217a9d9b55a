//! Which of several groups grows.
//!
//! Upstream: `cluster-autoscaler/expander/{waste,mostpods,leastnodes,priority,price,random}`, 1.34.
//!
//! # Fidelity
//! Patterns of the priority expander know `.*`, `^` and `$`; upstream takes any regular expression. The price expander
//! prices Pods by the model of the GCE provider; the AWS provider has none. The gRPC expander is not simulated.

use super::estimator::Estimate;
use crate::api::ResourceList;
use crate::base::Str;
use crate::cloud::fleet::GroupId;
use crate::kernel::Stream;
use crate::scheduler::framework::PodInfo;

/// A group that could grow.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The group.
    pub group: GroupId,
    /// Its name.
    pub name: Str,
    /// Nodes and the Pods that they would hold.
    pub estimate: Estimate,
    /// What a node of it has.
    pub capacity: ResourceList,
    /// Price of a node in hundred-thousandths of a dollar per hour.
    pub price: u32,
}

/// What expanders know of the cluster.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The chain of expanders by name.
    pub chain: &'a [Str],
    /// Priorities with the patterns of the groups that have them.
    pub priorities: &'a [(i64, Vec<Str>)],
    /// Nodes of the cluster.
    pub cluster_size: usize,
}

/// Runs the chain; what it leaves is drawn from.
pub fn best(
    mut choices: Vec<Choice>,
    circumstances: Circumstances<'_>,
    stream: &mut Stream,
) -> Option<Choice> {
    for name in circumstances.chain {
        choices = match name.as_str() {
            "least-waste" => lowest(choices, waste),
            "most-pods" => lowest(choices, |c| -(c.estimate.pods.len() as f64)),
            "least-nodes" => lowest(choices, |c| c.estimate.nodes as f64),
            "price" => lowest(choices, |c| price(c, circumstances.cluster_size)),
            "priority" => by_priority(choices, circumstances.priorities),
            _ => choices,
        };
        if choices.len() <= 1 {
            break;
        }
    }
    if choices.len() > 1 {
        let index = stream.below(choices.len() as u64) as usize;
        return choices.into_iter().nth(index);
    }
    choices.pop()
}

/// The choices of the lowest value, exact ties kept.
fn lowest(choices: Vec<Choice>, value: impl Fn(&Choice) -> f64) -> Vec<Choice> {
    let least = choices.iter().map(&value).fold(f64::INFINITY, f64::min);
    choices.into_iter().filter(|choice| value(choice) <= least).collect()
}

fn requested(pods: &[PodInfo]) -> (f64, f64) {
    pods.iter().fold((0.0, 0.0), |(cpu, memory), pod| {
        let requests = &pod.resources.requests;
        (cpu + requests.milli_cpu as f64, memory + requests.memory as f64)
    })
}

/// The shares of CPU and memory that would lie idle, added up.
fn waste(choice: &Choice) -> f64 {
    let count = choice.estimate.nodes as f64;
    let (cpu, memory) = requested(&choice.estimate.pods);
    let idle = |have: f64, asked: f64| if have > 0.0 { (have - asked) / have } else { 0.0 };
    idle(choice.capacity.cpu_milli() as f64 * count, cpu)
        + idle(choice.capacity.memory() as f64 * count, memory)
}

/// Dollars per core and per GiB that a Pod of the price model costs an hour.
const PRICE_OF_CORE: f64 = 0.033_174;
const PRICE_OF_GIB: f64 = 0.004_446;
/// Machines with GPUs are for Pods that need them.
const GPU_UNFITNESS: f64 = 1000.0;
const GPU: &str = "nvidia.com/gpu";
const GIB: f64 = (1u64 << 30) as f64;

/// Upstream: `expander/price/price.go`; Pods are priced by the model of the GCE provider, as nobody else has one.
fn price(choice: &Choice, cluster_size: usize) -> f64 {
    let pod_price = |cpu: f64, memory: f64| cpu / 1000.0 * PRICE_OF_CORE + memory / GIB * PRICE_OF_GIB;
    let stabilization = pod_price(500.0, 500.0 * f64::from(1 << 20));
    let count = choice.estimate.nodes as f64;
    let (cpu, memory) = requested(&choice.estimate.pods);
    let nodes = f64::from(choice.price) / 100_000.0 * count;
    let relative = (nodes + stabilization) / (pod_price(cpu, memory) + stabilization);
    let preferred = match cluster_size {
        0..=2 => 1.0,
        3..=6 => 2.0,
        7..=20 => 4.0,
        21..=60 => 8.0,
        61..=200 => 16.0,
        _ => 32.0,
    };
    let actual = choice.capacity.cpu_milli() as f64 / 1000.0;
    let has_gpu = choice.capacity.get(GPU).is_some_and(|count| count.value() > 0);
    let suppressed = if has_gpu || actual <= 0.0 {
        GPU_UNFITNESS
    } else {
        let unfitness = (preferred / actual).max(actual / preferred);
        (unfitness - 1.0) * (1.0 - libm::tanh((count - 1.0) / 15.0)) + 1.0
    };
    suppressed * relative
}

/// The priority of a group; none if no pattern of a priority of at least zero is found in its name.
fn priority_of(name: &str, priorities: &[(i64, Vec<Str>)]) -> Option<i64> {
    let matching = priorities.iter().filter(|(_, patterns)| patterns.iter().any(|p| found(p, name)));
    matching.map(|(priority, _)| *priority).filter(|priority| *priority >= 0).max()
}

/// Groups that no pattern matches: the priority expander says so of its ConfigMap.
pub fn unmatched(choices: &[Choice], priorities: &[(i64, Vec<Str>)]) -> Vec<Str> {
    let matched = |name: &str| priorities.iter().any(|(_, patterns)| patterns.iter().any(|p| found(p, name)));
    choices.iter().map(|choice| &choice.name).filter(|name| !matched(name)).cloned().collect()
}

/// The groups of the highest priority that has a match; without any match all of them.
fn by_priority(choices: Vec<Choice>, priorities: &[(i64, Vec<Str>)]) -> Vec<Choice> {
    let priority = |choice: &Choice| priority_of(&choice.name, priorities);
    match choices.iter().filter_map(priority).max() {
        Some(highest) => choices.into_iter().filter(|choice| priority(choice) == Some(highest)).collect(),
        None => choices,
    }
}

/// Whether a pattern is found in a name: `.*` stands for anything, `^` and `$` for the ends.
fn found(pattern: &str, name: &str) -> bool {
    let (pattern, anchored) = pattern.strip_prefix('^').map_or((pattern, false), |rest| (rest, true));
    let (pattern, closed) = pattern.strip_suffix('$').map_or((pattern, false), |rest| (rest, true));
    let glob = pattern.replace(".*", "*");
    let (before, after) = (if anchored { "" } else { "*" }, if closed { "" } else { "*" });
    crate::params::behaviour::glob_matches(&format!("{before}{glob}{after}"), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Arc;
    use crate::base::Quantity;
    use crate::kernel::Seed;
    use crate::testkit;

    /// `name cpu GiB nodes pods price`; each Pod asks for 1 core and 1 GiB.
    fn choices(text: &str) -> Vec<Choice> {
        let parse = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |i: usize| words[i].parse::<i64>().unwrap();
            let mut pod = testkit::pod("p", "app=p");
            Arc::make_mut(&mut pod.spec).containers[0].requests =
                [("cpu", Quantity::from_units(1)), ("memory", Quantity::from_bytes(1 << 30))]
                    .into_iter()
                    .collect();
            let pod = PodInfo::new(Arc::new(pod));
            Choice {
                group: GroupId(0),
                name: words[0].into(),
                estimate: Estimate { nodes: number(3) as usize, pods: vec![pod; number(4) as usize] },
                capacity: [
                    ("cpu", Quantity::from_units(number(1))),
                    ("memory", Quantity::from_bytes(number(2) << 30)),
                ]
                .into_iter()
                .collect(),
                price: number(5) as u32,
            }
        };
        text.split(';').map(parse).collect()
    }

    fn check(chain: &str, text: &str, expected: &str) {
        let chain: Vec<Str> = chain.split(',').map(Str::from).collect();
        let priorities =
            vec![(10, vec![Str::from(".*")]), (50, vec![Str::from("^spot-.*"), Str::from("cheap$")])];
        let circumstances = Circumstances { chain: &chain, priorities: &priorities, cluster_size: 5 };
        let found = best(choices(text), circumstances, &mut Seed(1).stream("expander", "test"));
        assert_eq!(found.map(|c| c.name).unwrap_or_default(), expected, "{chain:?} {text}");
    }

    /// `§3.5`, a row of the table after the other.
    #[test]
    fn each_expander_has_its_own_taste() {
        // Name, cores, GiB, nodes, Pods (1 core and 1 GiB each), price.
        for (chain, text, expected) in [
            ("least-waste", "small 2 8 2 3 100;large 8 32 1 3 400", "small"),
            ("least-waste", "cpu 4 8 1 3 100;memory 4 64 1 3 100", "cpu"),
            // Two half-empty nodes waste as much as one of twice their size that is half empty: a tie, the next decides.
            ("least-waste,least-nodes", "two 2 2 2 2 100;one 4 4 1 2 100", "one"),
            ("least-waste", "full 2 2 1 2 100;half 4 4 1 2 100", "full"),
            ("most-pods", "few 4 8 1 3 100;many 4 8 3 9 100", "many"),
            ("most-pods,least-waste", "a 8 8 1 3 100;b 4 4 1 3 100", "b"),
            ("least-nodes", "two 2 8 2 3 100;one 4 16 1 3 100", "one"),
            ("least-nodes,most-pods", "few 2 8 1 1 100;many 4 16 1 3 100", "many"),
            ("price", "dear 2 8 2 3 20000;cheap 2 8 2 3 5000", "cheap"),
            // A cluster of five prefers two cores: a machine of 32 for a single Pod is cheaper and unfit.
            ("price", "fit 2 8 1 1 9000;giant 32 32 1 1 5000", "fit"),
            ("priority", "general 2 8 2 3 100;spot-a 2 8 2 3 100", "spot-a"),
            ("priority", "general 2 8 2 3 100;so-cheap 2 8 2 3 100;cheap-not 2 8 1 1 1", "so-cheap"),
            ("most-pods,least-nodes", "a 2 8 3 3 100;b 4 16 1 3 100;c 4 16 1 2 100", "b"),
            ("least-waste", "only 2 8 3 3 100", "only"),
        ] {
            check(chain, text, expected);
        }
    }

    /// `§3.5`: groups without a match are out, and all are in if no group has one.
    #[test]
    fn without_any_match_priorities_decide_nothing() {
        let priorities = vec![(10, vec![Str::from("^spot")]), (-5, vec![Str::from("never")])];
        let names = |text| {
            let left = by_priority(choices(text), &priorities);
            left.into_iter().map(|choice| choice.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("spot 2 8 1 1 1;other 2 8 1 1 1"), "spot");
        assert_eq!(names("never 2 8 1 1 1;other 2 8 1 1 1"), "never other");
        assert_eq!(unmatched(&choices("spot 2 8 1 1 1;other 2 8 1 1 1"), &priorities), ["other"]);
    }

    #[test]
    fn what_is_left_is_drawn_from() {
        let names: std::collections::BTreeSet<Str> = (0..50)
            .map(|seed| {
                let circumstances =
                    Circumstances { chain: &["random".into()], priorities: &[], cluster_size: 1 };
                let mut stream = Seed(seed).stream("expander", "test");
                best(choices("a 2 8 1 1 1;b 2 8 1 1 1"), circumstances, &mut stream).unwrap().name
            })
            .collect();
        assert_eq!(names.len(), 2);
    }
}
