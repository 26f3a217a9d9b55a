//! Placement policies for shared GPUs, side by side: the table of *Beware of Fragmentation* (USENIX ATC 2023), worked out
//! anew on the same trace, with the paper's figures beside it.
//!
//! `cargo run --release --example gpu_placement -- NODES PODS [EXPECTED WORKLOAD]`: two files as the trace has them, packed
//! or not, and, if there is one, a table of expected means with the name of the workload in it. The exit status is 1 if a
//! mean is more than one percentage point from the expected one, or if two policies of which the table tells which is better
//! are the other way round. It tells that of two whose means are further apart than twice the standard error of their
//! difference; closer ones are no more than draws of ten seeds.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wavetank::bench::placement::{ARRIVED_MAX, Curve, Experiment};
use wavetank::scheduler::plugins::gpu_share::Policy;

/// The seeds of the paper.
const SEEDS: std::ops::Range<u64> = 42..52;
/// How much was asked for, in percent of all GPUs, where means are shown.
const AT: [usize; 8] = [10, 50, 70, 85, 95, 100, 110, ARRIVED_MAX];
/// How far a mean may be from the expected one, in percentage points.
const TOLERANCE: f64 = 1.0;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [nodes, pods, rest @ ..] = &args[..] else {
        return Err("usage: gpu_placement NODES PODS [EXPECTED WORKLOAD]".into());
    };
    let experiment = Experiment::read(std::fs::read(nodes)?, std::fs::read(pods)?)?;
    let expected = match rest {
        [file, workload] => Some((std::fs::read_to_string(file)?, workload.as_str())),
        _ => None,
    };
    let means = means(&experiment);
    let mut sound = true;
    show(&format!(
        "{} GPUs, {} seeds; given away, in percent of all GPUs, by percent asked for",
        experiment.gpus(),
        SEEDS.end - SEEDS.start
    ));
    show(&line("", &AT.map(|at| format!("{at} %"))));
    let mut ranks = Vec::new();
    for (policy, mean) in &means {
        show(&line(policy.as_str(), &AT.map(|at| written(mean[at]))));
        let Some((table, workload)) = &expected else { continue };
        let paper = AT.map(|at| figure(table, workload, *policy, "mean", at));
        if paper.iter().all(Option::is_none) {
            return Err(format!("the table has no row for {policy} on {workload}").into());
        }
        show(&line("  expected", &paper.map(written)));
        let beyond = AT.iter().zip(paper).filter(|(at, paper)| match (mean[**at], paper) {
            (Some(ours), Some(paper)) => (ours - paper).abs() > TOLERANCE,
            _ => true,
        });
        for (at, _) in beyond {
            sound = false;
            show(&format!("  {policy}: more than {TOLERANCE} points apart at {at} %"));
        }
        ranks.push(Rank {
            policy: *policy,
            ours: mean[ARRIVED_MAX].unwrap_or_default(),
            paper: paper[AT.len() - 1].unwrap_or_default(),
            spread: figure(table, workload, *policy, "std", ARRIVED_MAX).unwrap_or_default(),
        });
    }
    if expected.is_some() {
        let order = |by: fn(&Rank) -> f64| {
            let mut sorted: Vec<&Rank> = ranks.iter().collect();
            sorted.sort_by(|a, b| by(a).total_cmp(&by(b)));
            sorted.iter().map(|rank| rank.policy.as_str()).collect::<Vec<_>>().join(" < ")
        };
        let end = format!("order at {ARRIVED_MAX} %");
        show(&format!("{end}: {}; expected {}", order(|rank| rank.ours), order(|rank| rank.paper)));
        for better in &ranks {
            for worse in ranks.iter().filter(|worse| better.surpasses(worse) && better.ours <= worse.ours) {
                sound = false;
                show(&format!("{end}: {} is not better than {}", better.policy, worse.policy));
            }
        }
        show(if sound { "as expected" } else { "NOT as expected" });
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How well a policy does in the end.
struct Rank {
    policy: Policy,
    /// Our mean.
    ours: f64,
    /// The mean of the paper, with the standard deviation over its seeds.
    paper: f64,
    spread: f64,
}

impl Rank {
    /// Whether the paper tells that this one is the better.
    fn surpasses(&self, other: &Self) -> bool {
        let seeds = (SEEDS.end - SEEDS.start) as f64;
        let error = ((self.spread.powi(2) + other.spread.powi(2)) / seeds).sqrt();
        self.paper - other.paper > 2.0 * error
    }
}

/// The mean curve of every policy over all seeds.
fn means(experiment: &Experiment) -> Vec<(Policy, Vec<Option<f64>>)> {
    let tasks: Vec<(Policy, u64)> =
        Policy::ALL.into_iter().flat_map(|policy| SEEDS.map(move |seed| (policy, seed))).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::<(Policy, Curve)>::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((policy, seed)) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let curve = experiment.run(*policy, *seed);
                    if let Ok(mut done) = done.lock() {
                        done.push((*policy, curve));
                    }
                }
            });
        }
    });
    let curves = done.into_inner().unwrap_or_default();
    let mean = |policy: Policy, at: usize| {
        let values: Vec<f64> = curves
            .iter()
            .filter(|(of, _)| *of == policy)
            .filter_map(|(_, curve)| curve.allocated.get(at).copied().flatten())
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Policy::ALL.map(|policy| (policy, (0..=ARRIVED_MAX).map(|at| mean(policy, at)).collect())).to_vec()
}

/// What a table of expected figures says: a row per workload and policy, columns `mean@…` and `std@…` per percent asked for.
fn figure(table: &str, workload: &str, policy: Policy, what: &str, at: usize) -> Option<f64> {
    let mut lines = table.lines();
    let wanted = format!("{what}@{at}");
    let column = lines.next()?.split(',').position(|name| name == wanted)?;
    let of = |line: &&str| {
        let mut cells = line.split(',');
        cells.next() == Some(workload)
            && cells.next().is_some_and(|name| name.ends_with(&format!("-{policy}")))
    };
    lines.find(of)?.split(',').nth(column)?.parse().ok()
}

fn written(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn line(name: &str, cells: &[String; AT.len()]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>7}")).collect();
    format!("{name:<14}{}", cells.join(""))
}

#[allow(clippy::print_stdout, reason = "an example tells what it found")]
fn show(text: &str) {
    println!("{text}");
}
