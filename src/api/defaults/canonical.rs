//! Fields that Go's `omitempty` drops: `false`, `""`, `0` and empty collections of non-pointer fields.
//!
//! Without this a manifest that writes `hostNetwork: false` would differ from one that leaves it out.

use std::collections::BTreeMap;

use crate::api::k8s::core::v1 as core;

/// Drops `false`.
pub(crate) fn no_false(field: &mut Option<bool>) {
    if *field == Some(false) {
        *field = None;
    }
}

/// Drops an empty text.
pub(crate) fn no_empty(field: &mut Option<String>) {
    if field.as_deref() == Some("") {
        *field = None;
    }
}

/// Drops a zero.
pub(crate) fn no_zero(field: &mut Option<i32>) {
    if *field == Some(0) {
        *field = None;
    }
}

/// Drops an empty map.
pub(crate) fn no_empty_map<K, V>(field: &mut Option<BTreeMap<K, V>>) {
    if field.as_ref().is_some_and(BTreeMap::is_empty) {
        *field = None;
    }
}

/// Drops an empty list.
pub(crate) fn no_empty_list<T>(field: &mut Option<Vec<T>>) {
    if field.as_ref().is_some_and(Vec::is_empty) {
        *field = None;
    }
}

/// Drops what Go drops from a Pod's spec.
pub(crate) fn pod_spec(spec: &mut core::PodSpec) {
    for field in [&mut spec.host_network, &mut spec.host_pid, &mut spec.host_ipc] {
        no_false(field);
    }
    for field in [&mut spec.hostname, &mut spec.subdomain, &mut spec.node_name, &mut spec.priority_class_name]
    {
        no_empty(field);
    }
    no_empty_map(&mut spec.node_selector);
    no_empty_list(&mut spec.volumes);
    no_empty_list(&mut spec.init_containers);
    no_empty_list(&mut spec.tolerations);
    no_empty_list(&mut spec.image_pull_secrets);
    no_empty_list(&mut spec.topology_spread_constraints);
    no_empty_list(&mut spec.scheduling_gates);
    for toleration in spec.tolerations.iter_mut().flatten() {
        for field in
            [&mut toleration.key, &mut toleration.operator, &mut toleration.value, &mut toleration.effect]
        {
            no_empty(field);
        }
    }
}

/// Drops what Go drops from a container.
pub(crate) fn container(container: &mut core::Container) {
    for field in [&mut container.stdin, &mut container.stdin_once, &mut container.tty] {
        no_false(field);
    }
    no_empty(&mut container.working_dir);
    no_empty_list(&mut container.command);
    no_empty_list(&mut container.args);
    no_empty_list(&mut container.env);
    no_empty_list(&mut container.ports);
    for env in container.env.iter_mut().flatten() {
        no_empty(&mut env.value);
    }
    for mount in container.volume_mounts.iter_mut().flatten() {
        no_false(&mut mount.read_only);
        no_empty(&mut mount.sub_path);
    }
    for port in container.ports.iter_mut().flatten() {
        no_empty(&mut port.name);
        no_empty(&mut port.host_ip);
        no_zero(&mut port.host_port);
    }
}
