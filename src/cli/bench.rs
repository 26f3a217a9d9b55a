//! `wavetank bench`: how fast the scheduler places Pods.
//!
//! The one place where the clocks of the real world are read.

use std::fmt::Write;

use super::args::{Bench, RunOutput};
use super::exit::Exit;
use super::files::DiskFiles;
use super::output::Context;
use super::progress::Progress;
use crate::base::{Severity, SourceMap};
use crate::bench::result::{Baseline, document, table};
use crate::bench::workload::{Case, Size};
use crate::bench::{Measured, Meter, Options, catalogue, run, run_whole};
use crate::scenario::Files;

/// Runs workloads and says how fast they were.
pub fn main(args: &Bench, context: &Context) -> Exit {
    match measure(args, context) {
        Ok(Some(written)) => context.print(&written),
        Ok(None) => Exit::Input,
        Err(why) => {
            context.complain(&why);
            Exit::Input
        }
    }
}

/// What is written. Nothing if the mistakes have been told already.
fn measure(args: &Bench, context: &Context) -> Result<Option<String>, String> {
    let Some(cases) = cases(args, context) else { return Ok(None) };
    if args.list {
        return Ok(Some(list(&cases)));
    }
    let baseline = args.compare.as_deref().map(baseline).transpose()?;
    let chosen = chosen(args, &cases)?;
    let options = Options { percentage: args.percentage, seed: args.seed, plain: args.plain };
    let mut progress = Progress::of_many(chosen.len() * args.runs as usize, context);
    let mut results = Vec::new();
    for (case, size) in &chosen {
        let mut all = Vec::new();
        for _ in 0..args.runs {
            let carry_out = if args.whole { run_whole } else { run };
            let measured = carry_out(case, size, options, &mut Clocks::default());
            all.push(measured.map_err(|why| format!("{}/{}: {why}", case.name, size.name))?);
            progress.step();
        }
        results.push(median(all));
    }
    drop(progress);
    Ok(Some(match args.output {
        RunOutput::Json => format!("{:#}\n", document(&results)),
        RunOutput::Text => table(&results, baseline.as_ref()),
    }))
}

/// The workloads to choose from; none if the file that has them cannot be read.
fn cases(args: &Bench, context: &Context) -> Option<Vec<Case>> {
    let Some(path) = &args.config else { return Some(catalogue::all()) };
    let mut sources = SourceMap::default();
    let (cases, diagnostics) = crate::bench::config::load(&DiskFiles, path, &mut sources);
    context.diagnose(&diagnostics, &sources);
    let sound = !diagnostics.iter().any(|d| d.severity == Severity::Error);
    sound.then_some(cases)
}

fn baseline(path: &str) -> Result<Baseline, String> {
    let bytes = DiskFiles.read(path).map_err(|why| format!("{path}: {why}"))?;
    let document = serde_json::from_slice(&bytes).map_err(|why| format!("{path}: {why}"))?;
    Baseline::from_json(&document).map_err(|why| format!("{path}: {why}"))
}

/// The cases and sizes that are asked for, with their numbers.
fn chosen<'c>(args: &Bench, cases: &'c [Case]) -> Result<Vec<(&'c Case, Size)>, String> {
    let mut chosen = Vec::new();
    for wanted in args.workloads.iter().map(String::as_str).chain(args.workloads.is_empty().then_some("")) {
        let before = chosen.len();
        for case in cases {
            let named = wanted.is_empty() || is_within(&case.name, wanted);
            let usual = case.usual().map(|size| size.name.as_str());
            for size in &case.sizes {
                let asked = is_within(&format!("{}/{}", case.name, size.name), wanted);
                let ours = if named { args.every_size || usual == Some(size.name.as_str()) } else { asked };
                if ours {
                    chosen.push((case, resized(case, size, args)?));
                }
            }
        }
        if chosen.len() == before {
            let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
            let near = crate::base::diag::did_you_mean(wanted, names.iter().copied());
            let help = near
                .map_or_else(|| "`--list` lists them".to_owned(), |near| format!("did you mean `{near}`?"));
            return Err(format!("there is no workload `{wanted}`; {help}"));
        }
    }
    Ok(chosen)
}

/// Whether a name with slashes is another one or lies within it.
fn is_within(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A size with the numbers of nodes and Pods that are asked for.
fn resized(case: &Case, size: &Size, args: &Bench) -> Result<Size, String> {
    let mut size = size.clone();
    for (what, number, param) in
        [("nodes", args.nodes, case.nodes_param()), ("pods", args.pods, case.pods_param())]
    {
        let Some(number) = number else { continue };
        let param = param.ok_or_else(|| format!("{}: `--{what}` has nothing to set here", case.name))?;
        size.params.insert(param.to_owned(), number);
        size.name = format!("{}:{what}={number}", size.name);
    }
    Ok(size)
}

fn median(mut all: Vec<Measured>) -> Measured {
    all.sort_by_key(Measured::cost);
    let middle = all.len() / 2;
    all.swap_remove(middle)
}

fn list(cases: &[Case]) -> String {
    let mut out = String::new();
    for case in cases {
        let sizes: Vec<&str> = case.sizes.iter().map(|size| size.name.as_str()).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}  {}", case.name, sizes.join(" "));
    }
    out
}

/// The machine's clocks.
#[derive(Debug)]
#[allow(clippy::disallowed_types, reason = "measuring is what this command is for")]
struct Clocks {
    begin: std::time::Instant,
}

#[allow(clippy::disallowed_types, reason = "measuring is what this command is for")]
impl Default for Clocks {
    fn default() -> Self {
        Self { begin: std::time::Instant::now() }
    }
}

impl Meter for Clocks {
    fn wall(&mut self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    #[cfg(unix)]
    fn cpu(&mut self) -> Option<u64> {
        use rustix::time::{ClockId, clock_gettime};
        let spent = clock_gettime(ClockId::ProcessCPUTime);
        u64::try_from(spent.tv_sec)
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(u64::try_from(spent.tv_nsec).ok()?)
    }

    #[cfg(not(unix))]
    fn cpu(&mut self) -> Option<u64> {
        None
    }
}
