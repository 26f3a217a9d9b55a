//! Placement policies for shared GPUs, compared on a trace: Pods arrive until they ask for 130 % of all GPUs, none of
//! them ends, and what counts is how much of the GPUs is given away by then.
//!
//! So *Beware of Fragmentation* (USENIX ATC 2023) compares its policies, by the traces `openb_pod_list_*.csv` on the nodes of
//! `openb_node_list_gpu_node.csv` (Alibaba, cluster-trace-gpu-v2023); columns have the names that they have there.
//!
//! # Fidelity
//! The policies are asked as a scheduling cycle asks them, over every node that a Pod fits on by CPU, memory, model and
//! devices. Nodes are shuffled once a run, and of nodes with equal scores the first is taken, as the paper's simulator does (it
//! puts random numbers before the names of nodes, and its kube-scheduler takes the first by name); kube-scheduler itself draws
//! anew for every Pod, and what FGD, GpuPacking and GpuClustering achieve depends on that by several points. Shuffling and drawing
//! are seeded as ours are, so that single runs differ from those of that simulator, while means over seeds do not.

use crate::base::{Arc, Str};
use crate::kernel::Seed;
use crate::kernel::rng::Stream;
use crate::scheduler::plugins::gpu_share::fragmentation::POPULARITY;
use crate::scheduler::plugins::gpu_share::{Demand, Machine, Policy, Typical};
use crate::trace::rows::Rows;
use crate::trace::{BadRow, Format};

/// What Pods ask for in the end, in percent of all GPUs.
pub const ARRIVED_MAX: usize = 130;
/// CPU that a Pod counts for which names none, in thousandths.
const CPU_DEFAULT: i64 = 100;

/// A Pod of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Job {
    /// Its kind: its place among all kinds.
    kind: usize,
}

/// A kind of Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KindOfJob {
    demand: Demand,
    memory_mib: i64,
}

/// Nodes by name, Pods, and what Pods are usually like.
#[derive(Clone, Debug)]
pub struct Experiment {
    machines: Vec<Machine>,
    memory_mib: Vec<i64>,
    kinds: Vec<KindOfJob>,
    jobs: Vec<Job>,
    typical: Typical,
    /// All GPUs in thousandths.
    total: i64,
}

/// How much of all GPUs was given away, by how much had been asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// In percent of all GPUs, after that many percent of them were asked for.
    pub allocated: Vec<Option<f64>>,
    /// Pods that found no node.
    pub failed: usize,
}

impl Experiment {
    /// Reads nodes and Pods, packed or not.
    ///
    /// # Errors
    /// What is wrong with a row, or that there is nothing to compare.
    pub fn read(nodes: Vec<u8>, pods: Vec<u8>) -> Result<Self, String> {
        let told = |what: &str, bad: BadRow| {
            let column = bad.column.map(|column| format!(", column `{column}`")).unwrap_or_default();
            format!("{what}: line {}{column}: {}", bad.line, bad.message)
        };
        let mut all = Self {
            machines: Vec::new(),
            memory_mib: Vec::new(),
            kinds: Vec::new(),
            jobs: Vec::new(),
            typical: Typical::default(),
            total: 0,
        };
        all.read_nodes(nodes).map_err(|bad| told("nodes", bad))?;
        all.read_pods(pods).map_err(|bad| told("Pods", bad))?;
        all.typical = Typical::of(all.jobs.iter().map(|job| &all.kinds[job.kind].demand), POPULARITY);
        all.total = all.machines.iter().map(Machine::idle).sum();
        let asked: i64 = all.kinds.iter().map(|kind| kind.demand.total()).sum();
        if all.total == 0 || asked == 0 {
            return Err("no node has a GPU, or no Pod asks for one".to_owned());
        }
        Ok(all)
    }

    fn read_nodes(&mut self, bytes: Vec<u8>) -> Result<(), BadRow> {
        let columns = ["cpu_milli", "memory_mib", "gpu", "model", "sn"];
        let mut nodes = Vec::new();
        each_row(bytes, &columns, &mut |row| {
            let devices = usize::try_from(number(row, 2)?).unwrap_or(0).min(64);
            let machine = Machine::new(number(row, 0)?, devices, row.value(3));
            nodes.push((Str::from(row.value(4)), machine, number(row, 1)?));
            Ok(())
        })?;
        nodes.sort_by(|a, b| a.0.cmp(&b.0));
        for (_, machine, memory_mib) in nodes {
            self.machines.push(machine);
            self.memory_mib.push(memory_mib);
        }
        Ok(())
    }

    fn read_pods(&mut self, bytes: Vec<u8>) -> Result<(), BadRow> {
        let columns = ["cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec"];
        each_row(bytes, &columns, &mut |row| {
            let gpus = usize::try_from(number(row, 2)?).unwrap_or(0);
            let models = row.value(4).split('|').filter(|model| !model.is_empty());
            let models: Vec<Str> = models.map(Str::from).collect();
            let milli_gpu = if gpus == 0 { 0 } else { number(row, 3)?.min(1000) };
            let milli_cpu = number(row, 0)?;
            let demand = Demand {
                milli_cpu: if milli_cpu == 0 { CPU_DEFAULT } else { milli_cpu },
                milli_gpu,
                gpus: if milli_gpu == 0 { 0 } else { gpus },
                models: if gpus == 0 { Vec::new() } else { models },
            };
            let kind = KindOfJob { demand, memory_mib: number(row, 1)? };
            let place = self.kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
                self.kinds.push(kind);
                self.kinds.len() - 1
            });
            self.jobs.push(Job { kind: place });
            Ok(())
        })
    }

    /// All GPUs.
    pub const fn gpus(&self) -> i64 {
        self.total / 1000
    }

    /// The trace in another order, made longer or shorter by Pods drawn from it until all of them ask for so many percent of
    /// all GPUs.
    fn tuned(&self, seed: Seed, percent: i64) -> Vec<usize> {
        let mut stream = seed.stream("placement", "workload");
        let mut order: Vec<usize> = self.jobs.iter().map(|job| job.kind).collect();
        shuffle(&mut order, &mut stream);
        let target = self.total * percent / 100;
        let of = |kind: usize| &self.kinds[kind].demand;
        let mut asked: i64 = order.iter().map(|kind| of(*kind).total()).sum();
        while asked > target && !order.is_empty() {
            asked -= of(order.remove(draw(&mut stream, order.len()))).total();
        }
        loop {
            let kind = self.jobs[draw(&mut stream, self.jobs.len())].kind;
            // Upstream counts one device of the Pod that would be too much.
            if asked + of(kind).milli_gpu > target {
                return order;
            }
            asked += of(kind).total();
            order.push(kind);
        }
    }

    /// Places all Pods by a policy.
    pub fn run(&self, policy: Policy, seed: u64) -> Curve {
        let seed = Seed(seed);
        let mut stream = seed.stream("placement", policy.as_str());
        let mut board = Board::new(self, policy, seed);
        let (mut arrived, mut given, mut failed) = (0, 0, 0);
        let mut sums = vec![(0.0, 0u32); ARRIVED_MAX + 2];
        for kind in self.tuned(seed, ARRIVED_MAX as i64) {
            let total = self.kinds[kind].demand.total();
            arrived += total;
            match board.choose(kind, &mut stream) {
                Some(node) => {
                    board.put(node, kind, &mut stream);
                    given += total;
                }
                None => failed += 1,
            }
            let percent = |milli: i64| milli as f64 * 100.0 / self.total as f64;
            // Upstream rounds to the even one of two numbers that are as near.
            let place = libm::rint(percent(arrived)) as usize;
            if let Some((sum, count)) = sums.get_mut(place) {
                *sum += percent(given);
                *count += 1;
            }
        }
        sums.truncate(ARRIVED_MAX + 1);
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        Curve { allocated: sums.into_iter().map(mean).collect(), failed }
    }
}

/// Nodes while they fill, with what the policy said of them for each kind of Pod.
struct Board<'a> {
    experiment: &'a Experiment,
    policy: Policy,
    /// In the order of this run.
    machines: Vec<Machine>,
    memory_mib: Vec<i64>,
    /// How often each node has changed.
    versions: Vec<u32>,
    /// By kind and node: the version that was looked at, and the score; none: it does not fit.
    scores: Vec<Vec<(u32, Option<i64>)>>,
}

impl<'a> Board<'a> {
    /// All policies see the same order of nodes with a seed.
    fn new(experiment: &'a Experiment, policy: Policy, seed: Seed) -> Self {
        let nodes = experiment.machines.len();
        let mut order: Vec<usize> = (0..nodes).collect();
        shuffle(&mut order, &mut seed.stream("placement", "nodes"));
        Self {
            experiment,
            policy,
            machines: order.iter().map(|node| experiment.machines[*node].clone()).collect(),
            memory_mib: order.iter().map(|node| experiment.memory_mib[*node]).collect(),
            versions: vec![1; nodes],
            scores: vec![vec![(0, None); nodes]; experiment.kinds.len()],
        }
    }

    /// The node for a Pod of a kind: of those with the highest score the first, at random any.
    fn choose(&mut self, kind: usize, stream: &mut Stream) -> Option<usize> {
        let KindOfJob { demand, memory_mib } = &self.experiment.kinds[kind];
        let (mut best, mut equals) = (i64::MIN, Vec::new());
        for (node, seen) in self.scores[kind].iter_mut().enumerate() {
            if seen.0 != self.versions[node] {
                let machine = &self.machines[node];
                let fits = self.memory_mib[node] >= *memory_mib && machine.fits(demand);
                let score = fits.then(|| self.policy.score(machine, demand, &self.experiment.typical));
                *seen = (self.versions[node], score);
            }
            let Some(score) = seen.1 else { continue };
            if score > best {
                best = score;
                equals.clear();
            }
            if score == best {
                equals.push(node);
            }
        }
        let place = match self.policy {
            Policy::Random => draw(stream, equals.len()),
            Policy::DotProd | Policy::GpuClustering | Policy::GpuPacking | Policy::BestFit | Policy::Fgd => 0,
        };
        equals.get(place).copied()
    }

    fn put(&mut self, node: usize, kind: usize, stream: &mut Stream) {
        let KindOfJob { demand, memory_mib } = &self.experiment.kinds[kind];
        let machine = &mut self.machines[node];
        let mut draw = |bound: u64| stream.below(bound);
        let devices = self.policy.devices(machine, demand, &self.experiment.typical, &mut draw);
        machine.put(demand, &devices);
        self.memory_mib[node] -= memory_mib;
        self.versions[node] += 1;
    }
}

/// Puts a list into an order of which any is as likely.
fn shuffle(list: &mut [usize], stream: &mut Stream) {
    for last in (1..list.len()).rev() {
        list.swap(last, draw(stream, last + 1));
    }
}

/// A place in a list of this length.
fn draw(stream: &mut Stream, length: usize) -> usize {
    usize::try_from(stream.below(length as u64)).unwrap_or(0)
}

fn each_row(
    bytes: Vec<u8>,
    columns: &[&str],
    take: &mut dyn FnMut(&Rows) -> Result<(), BadRow>,
) -> Result<(), BadRow> {
    let columns: Vec<Str> = columns.iter().map(|column| Str::from(*column)).collect();
    let format = Format::Csv { delimiter: b',', header: true };
    let mut rows = Rows::open(&Arc::new(bytes), format, &columns)?;
    while let Some(row) = rows.advance() {
        row?;
        take(&rows)?;
    }
    Ok(())
}

/// A whole number in a column; nothing there is zero.
fn number(row: &Rows, column: usize) -> Result<i64, BadRow> {
    let text = row.value(column);
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().ok().filter(|n| (0..1 << 40).contains(n)).ok_or_else(|| BadRow {
        line: row.line(),
        column: Some(row.name(column)),
        message: format!("`{text}` is no whole number from 0 on"),
        help: String::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str =
        "sn,cpu_milli,memory_mib,gpu,model\na,64000,262144,4,T4\nb,64000,262144,4,P100\nc,96000,65536,0,\n";
    const PODS: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n\
                        p,2000,1024,1,500,\nq,8000,4096,2,1000,T4|P100\nr,4000,2048,0,0,\ns,2000,1024,1,300,\n";

    fn experiment() -> Experiment {
        Experiment::read(NODES.into(), PODS.into()).unwrap()
    }

    #[test]
    fn pods_are_drawn_until_they_ask_for_more_than_there_is() {
        let experiment = experiment();
        assert_eq!(experiment.gpus(), 8);
        for percent in [10, 130] {
            let order = experiment.tuned(Seed(1), percent);
            let asked: i64 = order.iter().map(|kind| experiment.kinds[*kind].demand.total()).sum();
            let target = 80 * percent;
            // The last one that was drawn may ask for a device more.
            assert!((target - 2000..target + 1000).contains(&asked), "{percent}: {asked} of {target}");
        }
        assert_ne!(experiment.tuned(Seed(1), 130), experiment.tuned(Seed(2), 130));
    }

    #[test]
    fn what_is_asked_for_is_given_until_nothing_is_left_that_fits() {
        let experiment = experiment();
        for policy in Policy::ALL {
            let curve = experiment.run(policy, 42);
            assert_eq!(curve, experiment.run(policy, 42), "{policy}");
            let points: Vec<(usize, f64)> =
                curve.allocated.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?))).collect();
            assert!(
                points.iter().all(|(at, value)| *value <= *at as f64 + 0.5 && *value <= 100.0),
                "{policy}"
            );
            assert!(points.is_sorted_by(|a, b| a.1 <= b.1), "{policy}");
            assert!(curve.failed > 0, "{policy}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        for (nodes, pods, told) in [
            (
                "sn,cpu_milli,memory_mib,gpu\n",
                PODS,
                "nodes: line 1, column `model`: the file has no column `model`",
            ),
            (
                &NODES.replace("64000", "x"),
                PODS,
                "nodes: line 2, column `cpu_milli`: `x` is no whole number from 0 on",
            ),
            (
                NODES,
                "cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n",
                "no node has a GPU, or no Pod asks for one",
            ),
        ] {
            assert_eq!(Experiment::read(nodes.into(), pods.into()).unwrap_err(), told);
        }
    }
}
