//! What Pods and nodes use, as `kubectl top` prints it.
//!
//! Upstream: `kubectl/pkg/metricsutil/metrics_printer.go`, v1.34.
//!
//! # Fidelity
//! A node uses what its Pods use: the system's own processes use nothing.

use crate::api::resources::{CPU, MEMORY};
use crate::api::{Node, Pod};
use crate::report::table;
use crate::store::Store;
use crate::store::metrics::{MetricsApi, PodSample};

/// Millicores and bytes.
type Used = (i64, i64);

/// What a Pod uses; none if metrics-server does not list it.
fn used(store: &Store, metrics: &dyn MetricsApi, pod: &Pod) -> Option<Used> {
    let id = store.id_of::<Pod>(&pod.meta.key())?;
    let one = |resource| match metrics.pod_usage(store, id, pod, resource, None) {
        PodSample::Value(sample) => Some(sample.milli),
        PodSample::Missing | PodSample::NoContainer => None,
    };
    Some((one(CPU)?, one(MEMORY)? / 1000))
}

fn cells((cpu, memory): Used) -> [String; 2] {
    [format!("{cpu}m"), format!("{}Mi", memory / (1 << 20))]
}

/// `kubectl top pods`; empty if nothing is listed.
pub fn pods(pods: &[&Pod], store: &Store, metrics: &dyn MetricsApi, namespace: bool) -> String {
    let mut rows = Vec::new();
    for pod in pods {
        let Some(used) = used(store, metrics, pod) else { continue };
        let mut row = if namespace { vec![pod.meta.namespace.to_string()] } else { Vec::new() };
        row.push(pod.meta.name.to_string());
        row.extend(cells(used));
        rows.push(row);
    }
    let mut header = vec!["NAME", "CPU(cores)", "MEMORY(bytes)"];
    if namespace {
        header.insert(0, "NAMESPACE");
    }
    if rows.is_empty() { String::new() } else { table::render(&header, &rows) }
}

/// `kubectl top nodes`.
pub fn nodes(nodes: &[&Node], store: &Store, metrics: &dyn MetricsApi) -> String {
    let row = |node: &&Node| {
        let mut sum: Used = (0, 0);
        for pod in store.pods_on(&node.meta.name) {
            let (cpu, memory) = used(store, metrics, pod).unwrap_or_default();
            sum = (sum.0 + cpu, sum.1 + memory);
        }
        if !node.is_ready() {
            let unknown = "<unknown>".to_owned();
            return [vec![node.meta.name.to_string()], vec![unknown; 4]].concat();
        }
        let share = |used: i64, of: i64| format!("{}%", if of > 0 { used * 100 / of } else { 0 });
        let [cpu, memory] = cells(sum);
        let room = &node.status.allocatable;
        let (of_cpu, of_memory) = (share(sum.0, room.cpu_milli()), share(sum.1, room.memory()));
        vec![node.meta.name.to_string(), cpu, of_cpu, memory, of_memory]
    };
    let rows: Vec<Vec<String>> = nodes.iter().map(row).collect();
    table::render(&["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"], &rows)
}
