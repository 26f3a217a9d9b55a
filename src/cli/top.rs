//! `wavetank get top pods` and `wavetank get top nodes`: what they use at an instant.

use super::args::Get;
use super::exit::Exit;
use super::get::world_at;
use super::output::Context;
use crate::api::{LabelSelector, Node, Pod};
use crate::report::kubectl::top;

/// Shows what the Pods or the nodes of the cluster use, by metrics-server.
pub fn main(args: &Get, context: &Context) -> Exit {
    let selector = match args.selector.as_deref().map(LabelSelector::parse).transpose() {
        Ok(selector) => selector.unwrap_or(LabelSelector::everything()),
        Err(why) => return refuse(context, &format!("--selector: {why}")),
    };
    let (kind, names) = match args.what.get(1..) {
        Some([kind, names @ ..]) => (kind.as_str(), names),
        _ => return refuse(context, "write `get top pods` or `get top nodes`"),
    };
    let world = match world_at(&args.look, context) {
        Ok(world) => world,
        Err(exit) => return exit,
    };
    let (store, metrics) = (world.store(), world.metrics());
    if metrics.resource_metrics().is_err() {
        return refuse(context, "error: Metrics API not available");
    }
    let named = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    match kind {
        "pod" | "pods" | "po" => {
            let namespace = args.namespace.as_deref().unwrap_or("default");
            let mut pods: Vec<&Pod> = store.list::<Pod>().map(AsRef::as_ref).collect();
            pods.retain(|pod| args.all_namespaces || pod.meta.namespace == namespace);
            pods.retain(|pod| named(&pod.meta.name) && selector.matches(&pod.meta.labels));
            pods.sort_by_key(|pod| pod.meta.key());
            if pods.is_empty() {
                let place =
                    if args.all_namespaces { String::new() } else { format!(" in {namespace} namespace.") };
                context.say(&format!("No resources found{place}"));
                return Exit::Fine;
            }
            match top::pods(&pods, store, metrics, args.all_namespaces) {
                text if text.is_empty() => refuse(context, "error: metrics not available yet"),
                text => context.print(&text),
            }
        }
        "node" | "nodes" | "no" => {
            let mut nodes: Vec<&Node> = store.list::<Node>().map(AsRef::as_ref).collect();
            nodes.retain(|node| named(&node.meta.name) && selector.matches(&node.meta.labels));
            nodes.sort_by_key(|node| node.meta.key());
            context.print(&top::nodes(&nodes, store, metrics))
        }
        other => refuse(context, &format!("`get top {other}`: metrics are known of `pods` and `nodes`")),
    }
}

fn refuse(context: &Context, why: &str) -> Exit {
    context.complain(why);
    Exit::Input
}
