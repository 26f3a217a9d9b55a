//! The cluster as it stands before anything happens: namespaces, the API's own Service, nodes that are Ready.

use super::event::Event;
use super::world::World;
use crate::api::service::{Namespace, Service, ServicePort};
use crate::api::{Labels, Lasting};
use crate::base::{SimTime, Str, text::lit};
use crate::controller::Manager;
use crate::controller::manager::ManagerConfig;
use crate::controller::table::{self, ControllerParams};
use crate::params::Operations;
use crate::plan::{Plan, PlannedNode, Step};
use crate::scheduler::plugins::registry::Registry;
use crate::scheduler::{Config, Scheduler, Wording};

/// Namespaces that every cluster has.
const NAMESPACES: [Str; 4] =
    [lit!("default"), lit!("kube-node-lease"), lit!("kube-public"), lit!("kube-system")];

/// The controllers of a plan, with its settings.
pub fn controllers(plan: &Plan) -> Manager {
    let settings = &plan.settings.kube_controller_manager;
    let config = ManagerConfig {
        api_qps: settings.kube_api_qps,
        api_burst: u32::try_from(settings.kube_api_burst).unwrap_or(0),
        watch_delay: plan.latencies.watch,
        ..ManagerConfig::default()
    };
    let params = ControllerParams {
        settings: plan.settings.clone(),
        latencies: plan.latencies.clone(),
        operations: operations(plan),
    };
    let flags = &params.settings.kube_controller_manager;
    Manager::new(table::all(&params), config, SimTime::ZERO)
        .with_workers(|name| table::workers_of(name, flags))
}

/// What the plan says of drivers, at the start and by its steps.
pub fn operations(plan: &Plan) -> Operations {
    let start = plan.drivers.iter().map(|change| (SimTime::ZERO, change.clone()));
    let later = plan.steps.iter().filter_map(|timed| match &timed.step {
        Step::Driver(change) => Some((timed.at, (**change).clone())),
        _ => None,
    });
    Operations::new(start.chain(later).collect())
}

/// The scheduler of a plan, with its configuration, whose plugins are in the registry.
///
/// # Errors
/// In kube-scheduler's words, why the configuration cannot be used.
pub fn scheduler(plan: &Plan, registry: &Registry) -> Result<Scheduler, Vec<String>> {
    let settings = &plan.settings.kube_scheduler;
    let config = match settings.config.as_deref() {
        Some(json) => Config::from_json_with(json, registry)?,
        None => Config::default(),
    };
    let wording = Wording::of_release(&plan.version.to_string());
    let scheduler = Scheduler::with_plugins(config, wording, registry).map_err(|why| vec![why])?;
    Ok(scheduler.parking_for(settings.pod_max_in_unschedulable_pods_duration))
}

/// Puts the cluster up and applies the manifests.
pub(super) fn set_up(world: &mut World) {
    let settings = &world.plan.settings.kube_apiserver;
    let (not_ready, unreachable) =
        (settings.default_not_ready_toleration_seconds, settings.default_unreachable_toleration_seconds);
    world.store.keep_events_for(settings.event_ttl);
    let admission = world.store.admission_mut();
    admission.not_ready_toleration_seconds = not_ready;
    admission.unreachable_toleration_seconds = unreachable;
    for name in NAMESPACES {
        create(world, namespace(name));
    }
    create(world, kubernetes_service());
    let nodes = world.plan.nodes.clone();
    for PlannedNode { node, csi_node, .. } in nodes.iter().cloned() {
        let name = node.meta.name.clone();
        if let Err(error) = world.with_kubelets(|kubelets, ctx| kubelets.join_ready(node, csi_node, ctx)) {
            world.refuse("nodes", format!("node {name}: {error}"));
        }
    }
    world.settle();
    let manifests = world.plan.manifests.clone();
    if let Err(message) = world.apply_all(&manifests) {
        world.refuse("apply", message);
    }
    for index in 0..world.plan.steps.len() {
        let at = world.plan.steps[index].at;
        world.schedule(at, Event::Step(index));
    }
    world.begin_traces();
    world.settle();
}

/// Creates an object of an empty cluster, where nothing can refuse it.
fn create<T: crate::store::Stored>(world: &mut World, object: T) {
    let created = world.store.create(object);
    debug_assert!(created.is_ok(), "an empty cluster refused {created:?}");
}

fn namespace(name: Str) -> Namespace {
    let labels: Labels = [(lit!("kubernetes.io/metadata.name"), name.clone())].into_iter().collect();
    Namespace {
        meta: Lasting { labels, ..Lasting::named("", name) }.into(),
        spec_finalizers: vec![lit!("kubernetes")],
        ..Namespace::default()
    }
}

fn kubernetes_service() -> Service {
    let labels: Labels = [("component", "apiserver"), ("provider", "kubernetes")].into_iter().collect();
    Service {
        meta: Lasting { labels, ..Lasting::named("default", "kubernetes") }.into(),
        service_type: lit!("ClusterIP"),
        cluster_ip: lit!("10.96.0.1"),
        ports: vec![ServicePort {
            name: lit!("https"),
            protocol: lit!("TCP"),
            port: 443,
            target_port: lit!("6443"),
            ..ServicePort::default()
        }],
        ..Service::default()
    }
}
