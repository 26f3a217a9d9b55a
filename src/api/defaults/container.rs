//! Defaults of containers and probes.

use super::{canonical, number, resource_list, text};
use crate::api::k8s::core::v1 as core;

/// Fills in a container.
///
/// Upstream: `pkg/apis/core/v1/defaults.go` `SetDefaults_Container`, v1.34.
pub(crate) fn container(container: &mut core::Container) {
    canonical::container(container);
    text(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
    text(&mut container.termination_message_path, "/dev/termination-log");
    text(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        text(&mut port.protocol, "TCP");
    }
    for env in container.env.iter_mut().flatten() {
        let Some(source) = &mut env.value_from else { continue };
        if let Some(field) = &mut source.field_ref {
            text(&mut field.api_version, "v1");
        }
        if let Some(file) = &mut source.file_key_ref {
            file.optional.get_or_insert(false);
        }
    }
    // Upstream's `resources` is no pointer: it is always written, as `{}` if empty.
    let resources = container.resources.get_or_insert_default();
    resource_list(&mut resources.limits);
    resource_list(&mut resources.requests);
    for each in [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe]
    {
        each.iter_mut().for_each(probe);
    }
    if let Some(lifecycle) = &mut container.lifecycle {
        for handler in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
            handler.http_get.iter_mut().for_each(http_get);
        }
    }
}

/// The pull policy that an image's tag implies: `Always` for `latest` or none.
///
/// Upstream: `pkg/util/parsers/parsers.go` `ParseImageName`, v1.34; an image that cannot be read has no tag `latest`.
pub(crate) fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last = name.rsplit('/').next().unwrap_or(name);
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let latest = tag.map_or(digest.is_none() && !image.is_empty(), |tag| tag == "latest");
    if latest { "Always" } else { "IfNotPresent" }
}

fn probe(probe: &mut core::Probe) {
    canonical::no_zero(&mut probe.initial_delay_seconds);
    number(&mut probe.timeout_seconds, 1);
    number(&mut probe.period_seconds, 10);
    number(&mut probe.success_threshold, 1);
    number(&mut probe.failure_threshold, 3);
    probe.http_get.iter_mut().for_each(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

fn http_get(action: &mut core::HTTPGetAction) {
    text(&mut action.path, "/");
    text(&mut action.scheme, "HTTP");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §7.3.
    #[test]
    fn the_tag_decides_the_pull_policy() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("registry:5000/nginx", "Always"),
            ("registry:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:abc", "IfNotPresent"),
            ("nginx:latest@sha256:abc", "Always"),
            ("", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    /// §7.7.
    #[test]
    fn probes_get_upstreams_timing() {
        let mut p = core::Probe { grpc: Some(core::GRPCAction::default()), ..Default::default() };
        probe(&mut p);
        assert_eq!(
            (
                p.initial_delay_seconds,
                p.timeout_seconds,
                p.period_seconds,
                p.success_threshold,
                p.failure_threshold
            ),
            (None, Some(1), Some(10), Some(1), Some(3))
        );
        assert_eq!(p.grpc.and_then(|g| g.service).as_deref(), Some(""));
    }
}
