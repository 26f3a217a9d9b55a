//! A run as one JSON document.

use serde::Serialize;

use std::collections::BTreeMap;

use super::RunReport;
use crate::base::SimTime;
use crate::expect::Bill;
use crate::expect::cost::{Share, Which};
use crate::expect::traffic::whole;
use crate::facts::traffic::{Failure, Meter};
use crate::sim::outcome::TraceOutcome;

#[derive(Serialize)]
struct Document<'a> {
    scenario: &'a str,
    source: &'a str,
    seed: u64,
    digest: String,
    verdict: String,
    #[serde(rename = "simulatedSeconds")]
    simulated_seconds: f64,
    events: u64,
    expectations: Vec<Expectation<'a>>,
    pods: Pods,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    traces: Vec<Trace<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    requests: Vec<Requests<'a>>,
    cost: Cost<'a>,
    #[serde(rename = "refusedSteps")]
    refused_steps: Vec<RefusedStep<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Expectation<'a> {
    name: &'a str,
    when: String,
    verdict: &'static str,
    since: Option<f64>,
    message: &'a str,
}

#[derive(Serialize)]
struct Pods {
    running: u32,
    ready: u32,
    pending: u32,
    succeeded: u32,
    failed: u32,
    terminating: u32,
}

/// Pods of a trace; times are in seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace<'a> {
    name: &'a str,
    arrived: i64,
    scheduled: i64,
    started: i64,
    succeeded: i64,
    failed: i64,
    pending: i64,
    refused: u64,
    waited_p50_seconds: Option<f64>,
    waited_p99_seconds: Option<f64>,
    waited_max_seconds: Option<f64>,
    pending_because: Vec<Because<'a>>,
}

#[derive(Serialize)]
struct Because<'a> {
    message: &'a str,
    pods: u32,
}

impl<'a> Trace<'a> {
    fn of(trace: &'a TraceOutcome) -> Self {
        let tally = &trace.tally;
        let waited = |share| tally.waited.percentile(share).map(|time| time.as_secs_f64());
        Self {
            name: &tally.name,
            arrived: tally.arrived,
            scheduled: tally.scheduled,
            started: tally.started,
            succeeded: tally.succeeded,
            failed: tally.failed,
            pending: tally.pending,
            refused: trace.refused.0,
            waited_p50_seconds: waited(50),
            waited_p99_seconds: waited(99),
            waited_max_seconds: waited(100),
            pending_because: trace
                .pending
                .iter()
                .map(|(message, pods)| Because { message, pods: *pods })
                .collect(),
        }
    }
}

/// Requests are whole numbers, times are in milliseconds.
#[derive(Serialize)]
struct Requests<'a> {
    service: &'a str,
    offered: i64,
    succeeded: i64,
    failed: BTreeMap<&'static str, i64>,
    #[serde(rename = "availabilityPercent")]
    availability: Option<f64>,
    #[serde(rename = "p50Milliseconds")]
    p50: Option<f64>,
    #[serde(rename = "p99Milliseconds")]
    p99: Option<f64>,
}

impl<'a> Requests<'a> {
    fn of(service: &'a str, meter: &Meter) -> Self {
        let time = |share| meter.percentile(share).map(|t| t.as_secs_f64() * 1000.0);
        Self {
            service,
            offered: whole(meter.offered),
            succeeded: whole(meter.succeeded),
            failed: Failure::ALL
                .iter()
                .map(|why| (why.as_str(), whole(meter.failed[*why as usize])))
                .collect(),
            availability: meter.availability().map(|percent| libm::round(percent * 1e6) / 1e6),
            p50: time(50.0),
            p99: time(99.0),
        }
    }
}

#[derive(Serialize)]
struct Cost<'a> {
    dollars: Option<f64>,
    #[serde(rename = "nodeHours")]
    node_hours: f64,
    #[serde(rename = "cpuRequestedPercent")]
    cpu_requested: i64,
    #[serde(rename = "cpuUsedPercent")]
    cpu_used: i64,
    #[serde(rename = "memoryRequestedPercent")]
    memory_requested: i64,
    #[serde(rename = "memoryUsedPercent")]
    memory_used: i64,
    machines: Vec<Machines<'a>>,
    namespaces: Vec<Namespace<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Machines<'a> {
    group: &'a str,
    instance_type: &'a str,
    node_hours: f64,
    price_per_hour: Option<f64>,
    dollars: Option<f64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Namespace<'a> {
    namespace: &'a str,
    cpu_core_hours_requested: f64,
    cpu_core_hours_used: f64,
    memory_gib_hours_requested: f64,
    memory_gib_hours_used: f64,
}

fn cost(bill: &Bill) -> Cost<'_> {
    let thousandths = |n: i128| n as f64 / 1000.0;
    let gib = |bytes: i128| bytes as f64 / f64::from(1 << 30);
    let dollars = |n: i128| n as f64 / 100_000.0;
    let machines = bill.machines.iter().map(|m| Machines {
        group: &m.group,
        instance_type: &m.instance_type,
        node_hours: thousandths(m.node_millihours()),
        price_per_hour: (m.price > 0).then(|| dollars(m.price.into())),
        dollars: (m.price > 0).then(|| dollars(m.cost())),
    });
    let namespaces = bill.namespaces.iter().map(|n| Namespace {
        namespace: &n.namespace,
        cpu_core_hours_requested: thousandths(n.requested.cpu),
        cpu_core_hours_used: thousandths(n.used.cpu),
        memory_gib_hours_requested: gib(n.requested.memory),
        memory_gib_hours_used: gib(n.used.memory),
    });
    Cost {
        dollars: bill.is_priced(&Which::default()).then(|| dollars(bill.dollars(&Which::default()).into())),
        node_hours: thousandths(bill.node_millihours(&Which::default()).into()),
        cpu_requested: bill.share(Share::CpuRequested, None),
        cpu_used: bill.share(Share::CpuUsed, None),
        memory_requested: bill.share(Share::MemoryRequested, None),
        memory_used: bill.share(Share::MemoryUsed, None),
        machines: machines.collect(),
        namespaces: namespaces.collect(),
    }
}

#[derive(Serialize)]
struct RefusedStep<'a> {
    at: f64,
    verb: &'a str,
    message: &'a str,
}

/// The document, indented.
pub fn render(report: &RunReport) -> String {
    let outcome = &report.outcome;
    let document = Document {
        scenario: &outcome.scenario,
        source: &report.source,
        seed: outcome.seed,
        digest: outcome.digest.to_string(),
        verdict: outcome.verdict().to_string(),
        simulated_seconds: outcome.simulated.as_secs_f64(),
        events: outcome.events,
        expectations: outcome
            .expectations
            .iter()
            .map(|e| Expectation {
                name: &e.name,
                when: e.when.to_string(),
                verdict: e.verdict.as_str(),
                since: e.since.map(SimTime::as_secs_f64),
                message: &e.message,
            })
            .collect(),
        pods: Pods {
            running: outcome.pods.running,
            ready: outcome.pods.ready,
            pending: outcome.pods.pending,
            succeeded: outcome.pods.succeeded,
            failed: outcome.pods.failed,
            terminating: outcome.pods.terminating,
        },
        traces: outcome.traces.iter().map(Trace::of).collect(),
        requests: outcome.requests.iter().map(|(name, meter)| Requests::of(name, meter)).collect(),
        cost: cost(&outcome.cost),
        refused_steps: outcome
            .refused_steps
            .iter()
            .map(|(at, verb, message)| RefusedStep { at: at.as_secs_f64(), verb, message })
            .collect(),
        notes: &report.notes,
    };
    // Only strings and finite numbers: serialising them cannot fail.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}
