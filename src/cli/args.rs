//! What can be typed.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Simulates Kubernetes clusters: deterministic, in milliseconds, without a cluster.
#[derive(Debug, Parser)]
#[command(name = "wavetank", version, max_term_width = 100)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Say only what failed
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, tell the story, judge the expectations
    Run(Run),
    /// Run every scenario under the paths on all cores; a line each, failures in full
    Test(Test),
    /// Read scenarios and manifests, run nothing, report every mistake
    Lint(Lint),
    /// The cluster at an instant, in kubectl's tables
    Get(Get),
    /// What was said up to an instant, in the order of time, as `kubectl events` shows it
    Events(Events),
    /// An object at an instant, as kubectl describes it
    Describe(Describe),
    /// Why a Pod is where it is, or nowhere
    Explain(Explain),
    /// Place the pending Pods of a snapshot as kube-scheduler would
    Schedule(Schedule),
    /// Measure how fast the scheduler places Pods, on the workloads of Kubernetes' scheduler_perf
    Bench(Bench),
    /// The JSON Schema of the scenario file
    Schema,
    /// Shell completions
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// Scenario files; `-` is standard input
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// The seed, instead of the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Stop at this instant
    #[arg(long, value_name = "T")]
    pub until: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t = RunOutput::Text)]
    pub output: RunOutput,
    /// Write every change of an object to this file, as newline-delimited JSON
    #[arg(long, value_name = "FILE")]
    pub timeline: Option<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<String>,
    /// Say on standard error where the time went: events and their time, by what was due
    #[arg(long)]
    pub stats: bool,
}

/// How a run is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunOutput {
    /// A story
    Text,
    /// One JSON document per run
    Json,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct Test {
    /// Scenario files, folders or globs
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// Run each scenario with all seeds of the range `FROM..TO` (TO not included)
    #[arg(long, value_name = "FROM..TO")]
    pub seeds: Option<String>,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<String>,
    /// Worker threads; all cores by default
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Scenario files, manifests, folders or globs; `-` is standard input
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<String>,
}

/// Where and when to look at a cluster.
#[derive(Debug, Args)]
pub struct Look {
    /// The scenario file
    #[arg(short, long, value_name = "SCENARIO")]
    pub file: String,
    /// The instant; the end of the run by default
    #[arg(long, value_name = "T")]
    pub at: Option<String>,
    /// The seed, instead of the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    /// What to show: `pods`, `deploy,svc`, `all`, `top pods`; with names behind it, or as `pod/web-0`
    #[arg(value_name = "KIND", required = true, num_args = 1..)]
    pub what: Vec<String>,
    /// Where and when
    #[command(flatten)]
    pub look: Look,
    /// The namespace; `default` if none is given
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// With all labels
    #[arg(long)]
    pub show_labels: bool,
    /// With a column for each of these labels
    #[arg(short = 'L', long, value_name = "LABEL", value_delimiter = ',')]
    pub label_columns: Vec<String>,
    /// In the order of this field: `.metadata.creationTimestamp`; without it by namespace and name
    #[arg(long, value_name = "FIELD")]
    pub sort_by: Option<String>,
    /// How to show it
    #[arg(short, long, value_enum, default_value_t = GetOutput::Table)]
    pub output: GetOutput,
}

/// Arguments of `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Where and when
    #[command(flatten)]
    pub look: Look,
    /// The namespace; `default` if none is given
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only Events about this object: `pod/web-0`
    #[arg(long = "for", value_name = "KIND/NAME")]
    pub of: Option<String>,
    /// Only Events of these types
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
}

/// How `get` shows objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GetOutput {
    /// kubectl's table
    Table,
    /// With more columns
    Wide,
    /// The objects as YAML
    Yaml,
    /// The objects as JSON
    Json,
    /// Kind and name
    Name,
}

/// Arguments of `describe`.
#[derive(Debug, Args)]
pub struct Describe {
    /// What to describe: `pod/web-0`, or a kind with names behind it, or a kind for all objects
    #[arg(value_name = "KIND/NAME", required = true, num_args = 1..)]
    pub what: Vec<String>,
    /// Where and when
    #[command(flatten)]
    pub look: Look,
    /// The namespace; `default` if none is given
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only objects with these labels
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The Pod, or the code of a diagnostic: `WT0107`
    #[arg(value_name = "POD|CODE")]
    pub subject: String,
    /// The scenario file, or files with API objects
    #[arg(short, long, value_name = "SCENARIO")]
    pub file: Vec<String>,
    /// The instant; the end of the run by default
    #[arg(long, value_name = "T")]
    pub at: Option<String>,
    /// The seed, instead of the scenario's own
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The namespace
    #[arg(short, long)]
    pub namespace: Option<String>,
}

/// Arguments of `schedule`.
#[derive(Debug, Args)]
pub struct Schedule {
    /// Files with API objects; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Only these Pods, in this order: `NAMESPACE/NAME`
    #[arg(long, value_name = "NS/NAME")]
    pub pod: Vec<String>,
    /// The release whose words are used
    #[arg(long, value_name = "VERSION", default_value = "1.34.1")]
    pub kube_version: String,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t = RunOutput::Text)]
    pub output: RunOutput,
    /// Fail if a Pod finds no node
    #[arg(long)]
    pub require_all: bool,
    /// Instead of placing each Pod once, place copies of one Pod until none fits any more
    #[arg(long)]
    pub replicas_until_full: bool,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct Bench {
    /// The workloads: `SchedulingBasic`, `peer`, or with a size `SchedulingBasic/5000Nodes`; all of them if none is named
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// List the workloads and their sizes, run nothing
    #[arg(long)]
    pub list: bool,
    /// So many nodes, instead of the size's own number
    #[arg(long, value_name = "N")]
    pub nodes: Option<usize>,
    /// Measure so many Pods, instead of the size's own number
    #[arg(long, value_name = "M")]
    pub pods: Option<usize>,
    /// Run every size, not only the usual one
    #[arg(long)]
    pub every_size: bool,
    /// Read the workloads from a file in the format of scheduler_perf's `performance-config.yaml`
    #[arg(long, value_name = "FILE")]
    pub config: Option<String>,
    /// `percentageOfNodesToScore`; 0 is adaptive
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(i32).range(0..=100))]
    pub percentage: Option<i32>,
    /// Ask every plugin of every node in every cycle, and keep nothing of earlier ones; placements are the same
    #[arg(long)]
    pub plain: bool,
    /// Measure the whole simulation, with API server, controllers and kubelets, instead of the scheduler alone
    #[arg(long, conflicts_with = "plain")]
    pub whole: bool,
    /// Run each workload so often, and show the run of median cost
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// What draws among equal nodes are made from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Show how many times as fast each is as in this file, which `-o json` wrote before
    #[arg(long, value_name = "FILE")]
    pub compare: Option<String>,
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t = RunOutput::Text)]
    pub output: RunOutput,
}
