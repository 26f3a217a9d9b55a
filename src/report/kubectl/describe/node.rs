//! Nodes: what they have, and who uses it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as BoundaryQuantity;

use super::{Scene, Sheet, date, date_of};
use crate::api::k8s::core::v1::{self as core, NodeCondition};
use crate::api::policy::Lease;
use crate::api::resources::{CPU, EPHEMERAL_STORAGE, MEMORY, PODS};
use crate::api::{Node, Pod, ResourceList, raise};
use crate::base::Quantity;
use crate::report::kubectl::columns::roles;

/// The namespace of the nodes' leases.
const LEASES: &str = "kube-node-lease";

/// A node.
pub(super) fn node(sheet: &mut Sheet, node: &Node, scene: &Scene<'_>) {
    let raised = raise::raise_node(node);
    let (spec, status) = (raised.spec.clone().unwrap_or_default(), raised.status.clone().unwrap_or_default());
    sheet.field(0, "Name", &node.meta.name);
    sheet.field(0, "Roles", roles(&node.meta.labels));
    sheet.labels(0, "Labels", raised.metadata.labels.as_ref());
    sheet.annotations("Annotations", raised.metadata.annotations.as_ref());
    sheet.field(0, "CreationTimestamp", date(raised.metadata.creation_timestamp.as_ref()));
    let mut taints: Vec<_> = node.taints.iter().collect();
    taints.sort_by_key(|t| (t.effect.as_str(), t.key.clone()));
    sheet.list(0, "Taints", &taints.iter().map(ToString::to_string).collect::<Vec<_>>());
    sheet.field(0, "Unschedulable", node.unschedulable);
    lease(sheet, node, scene);
    conditions(sheet, status.conditions.as_deref().unwrap_or_default());
    sheet.line(0, "Addresses:");
    for address in status.addresses.iter().flatten() {
        sheet.field(1, &address.type_, &address.address);
    }
    amounts(sheet, "Capacity", status.capacity.as_ref());
    amounts(sheet, "Allocatable", status.allocatable.as_ref());
    system_info(sheet, &status.node_info.unwrap_or_default());
    sheet.field_opt(0, "PodCIDR", Some(&node.pod_cidr).filter(|c| !c.is_empty()));
    sheet.field_opt(0, "PodCIDRs", spec.pod_cidrs.filter(|c| !c.is_empty()).map(|c| c.join(",")));
    sheet.field_opt(0, "ProviderID", Some(&node.provider_id).filter(|p| !p.is_empty()));
    usage(sheet, node, scene);
    scene.events(sheet);
}

fn lease(sheet: &mut Sheet, node: &Node, scene: &Scene<'_>) {
    let Some(lease) = scene.store.find::<Lease>(LEASES, &node.meta.name) else {
        let why = format!("leases.coordination.k8s.io {:?} not found", node.meta.name.as_str());
        sheet.field(0, "Lease", format_args!("Failed to get lease: {why}"));
        return;
    };
    let calendar = scene.store.calendar();
    let now = scene.store.now();
    let renewed = lease.last_renewal(now, calendar).map(|at| date_of(calendar.timestamp(at)));
    sheet.line(0, "Lease:");
    sheet.field(1, "HolderIdentity", if lease.holder.is_empty() { "<unset>" } else { &lease.holder });
    sheet.field(1, "AcquireTime", "<unset>");
    sheet.field(1, "RenewTime", renewed.as_deref().unwrap_or("<unset>"));
}

fn conditions(sheet: &mut Sheet, conditions: &[NodeCondition]) {
    if conditions.is_empty() {
        return;
    }
    sheet.line(0, "Conditions:");
    sheet.line(1, "Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage");
    sheet.line(1, "----\t------\t-----------------\t------------------\t------\t-------");
    for c in conditions {
        let (beat, changed) = (date(c.last_heartbeat_time.as_ref()), date(c.last_transition_time.as_ref()));
        let (reason, message) =
            (c.reason.as_deref().unwrap_or_default(), c.message.as_deref().unwrap_or_default());
        sheet.line(1, format_args!("{} \t{} \t{beat} \t{changed} \t{reason} \t{message}", c.type_, c.status));
    }
}

fn amounts(sheet: &mut Sheet, title: &str, amounts: Option<&BTreeMap<String, BoundaryQuantity>>) {
    let Some(amounts) = amounts.filter(|a| !a.is_empty()) else { return };
    sheet.line(0, format_args!("{title}:"));
    for (name, amount) in amounts {
        sheet.field(1, name, &amount.0);
    }
}

fn system_info(sheet: &mut Sheet, info: &core::NodeSystemInfo) {
    sheet.line(0, "System Info:");
    for (name, value) in [
        ("Machine ID", &info.machine_id),
        ("System UUID", &info.system_uuid),
        ("Boot ID", &info.boot_id),
        ("Kernel Version", &info.kernel_version),
        ("OS Image", &info.os_image),
        ("Operating System", &info.operating_system),
        ("Architecture", &info.architecture),
        ("Container Runtime Version", &info.container_runtime_version),
        ("Kubelet Version", &info.kubelet_version),
        ("Kube-Proxy Version", &info.kube_proxy_version),
    ] {
        sheet.field(1, name, value);
    }
}

/// Requests and limits of a Pod as kubectl counts them: containers and sidecars together, or the largest init container
/// with the sidecars before it, and the overhead on top.
fn requests_and_limits(pod: &Pod) -> (ResourceList, ResourceList) {
    let spec = &pod.spec;
    let count = |of: fn(&crate::api::Container) -> &ResourceList, pod_level: Option<&ResourceList>| {
        let mut sum = ResourceList::default();
        spec.containers.iter().for_each(|c| sum.add(of(c)));
        let (mut sidecars, mut init) = (ResourceList::default(), ResourceList::default());
        for container in &spec.init_containers {
            if container.sidecar {
                sidecars.add(of(container));
                init.raise_to(&sidecars);
            } else {
                let mut together = sidecars.clone();
                together.add(of(container));
                init.raise_to(&together);
            }
        }
        sum.add(&sidecars);
        sum.raise_to(&init);
        for (name, amount) in pod_level.iter().flat_map(|l| &l.0) {
            sum.0.insert(name.clone(), *amount);
        }
        sum
    };
    let mut requests = count(|c| &c.requests, spec.pod_requests.as_ref());
    let mut limits = count(|c| &c.limits, spec.pod_limits.as_ref());
    requests.add(&spec.overhead);
    for (name, amount) in &spec.overhead.0 {
        // Without a limit there is nothing that the overhead could be added to.
        if let Some(limit) = limits.0.get_mut(name) {
            *limit = limit.plus(*amount);
        }
    }
    (requests, limits)
}

/// Hundredths of an allocatable amount, cut.
fn percent(amount: i64, of: i64) -> i64 {
    // upstream: float64
    if of == 0 { 0 } else { (amount as f64 / of as f64 * 100.0) as i64 }
}

fn usage(sheet: &mut Sheet, node: &Node, scene: &Scene<'_>) {
    let status = &node.status;
    let have = if status.allocatable.is_empty() { &status.capacity } else { &status.allocatable };
    let mut pods: Vec<&Pod> =
        scene.store.pods_on(&node.meta.name).map(AsRef::as_ref).filter(|p| !p.is_terminal()).collect();
    pods.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
    sheet.field(0, "Non-terminated Pods", format_args!("({} in total)", pods.len()));
    sheet.line(1, "Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge");
    sheet.line(1, "---------\t----\t\t------------\t----------\t---------------\t-------------\t---");
    let (mut all_requests, mut all_limits) = (ResourceList::default(), ResourceList::default());
    for pod in pods {
        let (requests, limits) = requests_and_limits(pod);
        let cells = [
            share(&requests, have, CPU),
            share(&limits, have, CPU),
            share(&requests, have, MEMORY),
            share(&limits, have, MEMORY),
        ];
        let age = crate::report::kubectl::age::since(pod.meta.created, scene.now);
        let (namespace, name) = (&pod.meta.namespace, &pod.meta.name);
        sheet.line(1, format_args!("{namespace}\t{name}\t\t{}\t{age}", cells.join("\t")));
        all_requests.add(&requests);
        all_limits.add(&limits);
    }
    sheet.line(0, "Allocated resources:");
    sheet.line(1, "(Total limits may be over 100 percent, i.e., overcommitted.)");
    sheet.line(1, "Resource\tRequests\tLimits");
    sheet.line(1, "--------\t--------\t------");
    let is_huge = |name: &str| name.starts_with("hugepages-");
    let huge = have.0.keys().map(AsRef::as_ref).filter(|name| is_huge(name));
    for name in [CPU, MEMORY, EPHEMERAL_STORAGE].into_iter().chain(huge) {
        let (requests, limits) = (share(&all_requests, have, name), share(&all_limits, have, name));
        sheet.line(1, format_args!("{name}\t{requests}\t{limits}"));
    }
    let common = |name: &str| [CPU, MEMORY, EPHEMERAL_STORAGE, PODS].contains(&name) || is_huge(name);
    for name in have.0.keys().filter(|name| !common(name)) {
        let text = |list: &ResourceList| list.get(name).map_or_else(|| "0".to_owned(), |q| q.to_string());
        sheet.line(1, format_args!("{name}\t{}\t{}", text(&all_requests), text(&all_limits)));
    }
}

/// `500m (25%)`.
fn share(amounts: &ResourceList, have: &ResourceList, name: &str) -> String {
    let units = |q: Option<Quantity>| q.map_or(0, |q| if name == CPU { q.milli_value() } else { q.value() });
    let amount = amounts.get(name);
    let text = amount.map_or_else(|| "0".to_owned(), |q| q.to_string());
    format!("{text} ({}%)", percent(units(amount), units(have.get(name))))
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn shares_are_cut_to_whole_percent() {
        assert_eq!((percent(500, 1930), percent(1, 0), percent(2999, 1000)), (25, 0, 299));
    }
}
