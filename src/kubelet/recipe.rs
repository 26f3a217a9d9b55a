//! What a Pod's spec asks of a node, worked out once for all Pods that share it.

use super::status::unready_message;
use crate::api::k8s::core::v1 as core;
use crate::api::resources::EPHEMERAL_STORAGE;
use crate::api::volume::VolumeSource;
use crate::api::{Container, PodSpec, ResourceList};
use crate::base::{Quantity, SimDuration, Str};

/// A ConfigMap that every namespace gets from its own controller.
const ROOT_CA: &str = "kube-root-ca.crt";

/// What a spec asks of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// What it takes of the node's resources.
    pub requests: ResourceList,
    /// What its containers may write together: `limits` of `ephemeral-storage`; none: anything.
    pub disk_limit: Option<Quantity>,
    /// Ports of the node: port, protocol.
    pub host_ports: Vec<(i32, Str)>,
    /// Volumes that are claims and that a container mounts: the volume's name and the claim's; none for an ephemeral one.
    pub claims: Vec<(Str, Option<Str>)>,
    /// Whether containers mount something that they could write into.
    pub keeps_data: bool,
    /// ConfigMaps and Secrets that are mounted.
    pub mounts: Vec<(Str, Reference)>,
    /// ConfigMaps and Secrets in environments, per container.
    pub env: Vec<Vec<Reference>>,
    /// How long `postStart` hooks take, per container; none: there is no such hook.
    pub post_start: Vec<Option<SimDuration>>,
    /// The same of `preStop` hooks.
    pub pre_stop: Vec<Option<SimDuration>>,
    /// What its condition says while no container is ready.
    pub unready: Str,
}

/// A ConfigMap or Secret that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `ConfigMap` or `Secret`.
    pub kind: &'static str,
    /// Its name.
    pub name: Str,
    /// The key that must be in it; none: whatever it holds.
    pub key: Option<Str>,
}

impl Recipe {
    /// Works it out.
    pub fn of(spec: &PodSpec) -> Self {
        let raw = &spec.raw;
        let containers = || raw.init_containers.iter().flatten().chain(&raw.containers);
        let hook = |of: fn(&core::Lifecycle) -> Option<&core::LifecycleHandler>| {
            containers().map(|c| c.lifecycle.as_ref().and_then(of).map(hook_time)).collect()
        };
        let all = || spec.init_containers.iter().chain(&spec.containers);
        Self {
            requests: requests(spec),
            disk_limit: total(spec, |c| &c.limits).get(EPHEMERAL_STORAGE).filter(|limit| !limit.is_zero()),
            host_ports: all().flat_map(host_ports).collect(),
            claims: spec.volumes.iter().filter(|v| is_mounted(raw, &v.name)).filter_map(claim).collect(),
            keeps_data: spec.volumes.iter().any(|volume| keeps_data(&volume.source)),
            mounts: raw.volumes.iter().flatten().flat_map(mounts).collect(),
            env: containers().map(environment).collect(),
            post_start: hook(|l| l.post_start.as_ref()),
            pre_stop: hook(|l| l.pre_stop.as_ref()),
            unready: unready_message(
                spec.init_containers.iter().filter(|init| init.sidecar).chain(&spec.containers),
            ),
        }
    }
}

/// Upstream: `component-helpers/resource/helpers.go` `PodRequests`, v1.34.
fn requests(spec: &PodSpec) -> ResourceList {
    let mut sum = total(spec, |c| &c.requests);
    if let Some(whole) = &spec.pod_requests {
        sum.0.extend(whole.0.iter().map(|(name, amount)| (name.clone(), *amount)));
    }
    sum.add(&spec.overhead);
    sum
}

/// What all containers have together: regular ones and sidecars at once, or an init container in its turn if
/// that is more.
fn total(spec: &PodSpec, of: fn(&Container) -> &ResourceList) -> ResourceList {
    let mut sum = ResourceList::default();
    spec.containers.iter().for_each(|c| sum.add(of(c)));
    let (mut sidecars, mut peak) = (ResourceList::default(), ResourceList::default());
    for init in &spec.init_containers {
        let mut step = sidecars.clone();
        step.add(of(init));
        peak.raise_to(&step);
        if init.sidecar {
            sidecars = step;
        }
    }
    sum.add(&sidecars);
    sum.raise_to(&peak);
    sum
}

fn host_ports(container: &Container) -> impl Iterator<Item = (i32, Str)> {
    container.ports.iter().filter(|p| p.host_port > 0).map(|p| (p.host_port, p.protocol.clone()))
}

/// Whether a container mounts a volume; upstream passes over others.
fn is_mounted(spec: &core::PodSpec, volume: &str) -> bool {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let used = |c: &core::Container| {
        c.volume_mounts.iter().flatten().any(|m| m.name == volume)
            || c.volume_devices.iter().flatten().any(|d| d.name == volume)
    };
    containers.into_iter().any(used)
}

fn claim(volume: &crate::api::volume::Volume) -> Option<(Str, Option<Str>)> {
    match &volume.source {
        VolumeSource::Claim { claim, .. } => Some((volume.name.clone(), Some(claim.clone()))),
        VolumeSource::Ephemeral => Some((volume.name.clone(), None)),
        VolumeSource::EmptyDir { .. }
        | VolumeSource::HostPath(_)
        | VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. }
        | VolumeSource::InlineCsi { .. }
        | VolumeSource::Other => None,
    }
}

fn keeps_data(source: &VolumeSource) -> bool {
    match source {
        VolumeSource::Claim { .. }
        | VolumeSource::Ephemeral
        | VolumeSource::EmptyDir { .. }
        | VolumeSource::HostPath(_)
        | VolumeSource::Other => true,
        VolumeSource::ConfigMap { .. }
        | VolumeSource::Secret { .. }
        | VolumeSource::AwsEbs { .. }
        | VolumeSource::GcePd { .. }
        | VolumeSource::Iscsi { .. }
        | VolumeSource::Rbd { .. }
        | VolumeSource::InlineCsi { .. } => false,
    }
}

fn reference(kind: &'static str, name: &str, key: Option<&str>, optional: Option<bool>) -> Option<Reference> {
    let wanted = !name.is_empty() && name != ROOT_CA && optional != Some(true);
    wanted.then(|| Reference { kind, name: name.into(), key: key.map(Str::from) })
}

fn mounts(volume: &core::Volume) -> Vec<(Str, Reference)> {
    let mut found = Vec::new();
    if let Some(source) = &volume.config_map {
        found.extend(reference("ConfigMap", &source.name, None, source.optional));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or("");
        found.extend(reference("Secret", name, None, source.optional));
    }
    for part in volume.projected.iter().flat_map(|p| p.sources.iter().flatten()) {
        if let Some(source) = &part.config_map {
            found.extend(reference("ConfigMap", &source.name, None, source.optional));
        }
        if let Some(source) = &part.secret {
            found.extend(reference("Secret", &source.name, None, source.optional));
        }
    }
    found.into_iter().map(|reference| (volume.name.as_str().into(), reference)).collect()
}

fn environment(container: &core::Container) -> Vec<Reference> {
    let mut found = Vec::new();
    for source in container.env_from.iter().flatten() {
        if let Some(from) = &source.config_map_ref {
            found.extend(reference("ConfigMap", &from.name, None, from.optional));
        }
        if let Some(from) = &source.secret_ref {
            found.extend(reference("Secret", &from.name, None, from.optional));
        }
    }
    for source in container.env.iter().flatten().filter_map(|e| e.value_from.as_ref()) {
        if let Some(from) = &source.config_map_key_ref {
            found.extend(reference("ConfigMap", &from.name, Some(&from.key), from.optional));
        }
        if let Some(from) = &source.secret_key_ref {
            found.extend(reference("Secret", &from.name, Some(&from.key), from.optional));
        }
    }
    found
}

/// How long a hook takes: a `sleep` action, or a command that sleeps. All others are instant.
fn hook_time(hook: &core::LifecycleHandler) -> SimDuration {
    if let Some(sleep) = &hook.sleep {
        return SimDuration::from_api_secs(sleep.seconds);
    }
    let command = hook.exec.as_ref().and_then(|e| e.command.as_ref());
    command.map_or(SimDuration::ZERO, |words| sleep_in(&words.join(" ")))
}

/// The sum of all `sleep N` in a command.
fn sleep_in(command: &str) -> SimDuration {
    let split = |c: char| c.is_whitespace() || matches!(c, ';' | '&' | '|' | '"' | '\'' | '(' | ')');
    let words: Vec<&str> = command.split(split).filter(|w| !w.is_empty()).collect();
    let is_sleep = |word: &str| word == "sleep" || word.ends_with("/sleep");
    let time = |text: &str| {
        let text =
            if text.ends_with(|c: char| c.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
        SimDuration::parse_go(&text).ok()
    };
    words.windows(2).filter(|pair| is_sleep(pair[0])).filter_map(|pair| time(pair[1])).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_sleep_take_their_time() {
        for (command, millis) in [
            ("sleep 10", 10_000),
            ("/bin/sh -c sleep 5; nginx -s quit", 5000),
            ("sh -c /bin/sleep 1m && sleep 0.5", 60_500),
            ("nginx -s quit", 0),
            ("sleep", 0),
            ("sleep forever", 0),
        ] {
            assert_eq!(sleep_in(command).as_millis(), millis, "{command}");
        }
    }
}
