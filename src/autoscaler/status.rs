//! The ConfigMap `cluster-autoscaler-status` of `kube-system`.
//!
//! Upstream: `cluster-autoscaler/clusterstate/{clusterstate,api/types,utils/status}.go`, 1.34.
//!
//! # Fidelity
//! Upstream writes the ConfigMap in every loop; here it is written when something in it changes but the instants of
//! the probes, which are therefore those of that loop.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::registry::Readiness;
use super::{ClusterAutoscaler, Ctx};
use crate::api::{Inert, Labels, Lasting, ObjectKey};
use crate::base::text::lit;
use crate::base::{Str, Timestamp};
use crate::cloud::fleet::{GroupFleet, GroupId};

/// Name of the ConfigMap.
pub const NAME: &str = "cluster-autoscaler-status";
const UPDATED: &str = "cluster-autoscaler.kubernetes.io/last-updated";

/// What was written, and since when each of its conditions is as it is.
#[derive(Clone, Debug, Default)]
pub struct Status {
    since: BTreeMap<(Str, &'static str), (&'static str, Timestamp)>,
    written: String,
}

/// A condition as it is to be written.
struct Condition {
    status: &'static str,
    probed: Timestamp,
    since: Timestamp,
}

impl Status {
    /// A condition of the cluster (empty scope) or a group.
    fn condition(
        &mut self,
        scope: &Str,
        kind: &'static str,
        status: &'static str,
        now: Timestamp,
    ) -> Condition {
        let entry = self.since.entry((scope.clone(), kind)).or_insert((status, now));
        if entry.0 != status {
            *entry = (status, now);
        }
        Condition { status, probed: now, since: entry.1 }
    }
}

impl ClusterAutoscaler {
    /// Writes the ConfigMap if anything in it has changed.
    pub(super) fn write_status(&mut self, ctx: &mut Ctx<'_>) {
        if !self.flags.write_status_configmap {
            return;
        }
        let now = ctx.store.timestamp();
        let mut page = Page::default();
        self.cluster_wide(ctx, &mut page, now);
        if ctx.fleet.groups().any(|(_, group)| group.group.bounds.is_some()) {
            page.line(0, "nodeGroups:");
        }
        for (id, group) in ctx.fleet.groups().filter(|(_, group)| group.group.bounds.is_some()) {
            self.node_group(ctx, &mut page, (id, group), now);
        }
        if page.lasting == self.status.written {
            return;
        }
        self.status.written = page.lasting;
        let time = format!("{} +0000 UTC", now.to_rfc3339().replace('T', " ").trim_end_matches('Z'));
        write(ctx, &time, &format!("time: {time}\nautoscalerStatus: Running\n{}", page.text));
    }

    fn cluster_wide(&mut self, ctx: &Ctx<'_>, page: &mut Page, now: Timestamp) {
        let nobody = Str::new();
        let mut groups = ctx.fleet.groups();
        let scaling_up = groups.any(|(id, group)| self.registry.is_scaling_up(id, group));
        page.line(0, "clusterWide:");
        let healthy = if self.registry.is_healthy(&self.flags) { "Healthy" } else { "Unhealthy" };
        let health = self.status.condition(&nobody, "health", healthy, now);
        page.health(1, &health, self.registry.total(), None);
        let up = if scaling_up { "InProgress" } else { "NoActivity" };
        let up = self.status.condition(&nobody, "scaleUp", up, now);
        page.head(1, "scaleUp", &up);
        page.times(2, &up);
        let candidates = self.unneeded.len();
        let down = self.status.condition(&nobody, "scaleDown", candidates_status(candidates), now);
        page.scale_down(1, &down, candidates);
    }

    fn node_group(
        &mut self,
        ctx: &Ctx<'_>,
        page: &mut Page,
        (id, group): (GroupId, &GroupFleet),
        now: Timestamp,
    ) {
        let name = &group.group.name;
        let readiness = self.registry.of(id);
        let is_healthy = self.registry.is_group_healthy(&self.flags, id, group);
        let backoff = self.registry.backoffs.status(id, ctx.store.now()).cloned();
        let up = match &backoff {
            _ if self.registry.is_scaling_up(id, group) => "InProgress",
            _ if !is_healthy => "Unhealthy",
            Some(_) => "Backoff",
            None => "NoActivity",
        };
        page.line(0, &format!("- name: {name}"));
        let healthy = if is_healthy { "Healthy" } else { "Unhealthy" };
        let health = self.status.condition(name, "health", healthy, now);
        page.health(1, &health, &readiness, Some(group));
        let up = self.status.condition(name, "scaleUp", up, now);
        page.head(1, "scaleUp", &up);
        if let (Some((code, message)), "Backoff") = (&backoff, up.status) {
            page.line(2, "backoffInfo:");
            page.line(3, &format!("errorCode: {code}"));
            page.line(3, &format!("errorMessage: {message}"));
        }
        page.times(2, &up);
        let candidates = self.unneeded.keys().filter(|node| ctx.fleet.group_of(node) == Some(id)).count();
        let down = self.status.condition(name, "scaleDown", candidates_status(candidates), now);
        page.scale_down(1, &down, candidates);
    }
}

const fn candidates_status(candidates: usize) -> &'static str {
    if candidates > 0 { "CandidatesPresent" } else { "NoCandidates" }
}

/// YAML as it is written: once in full, once without the instants of probes.
#[derive(Default)]
struct Page {
    text: String,
    lasting: String,
}

impl Page {
    fn line(&mut self, depth: usize, line: &str) {
        for page in [&mut self.text, &mut self.lasting] {
            // Writing to a text does not fail.
            let _ = writeln!(page, "{:1$}{line}", "", 2 * depth);
        }
    }

    fn head(&mut self, depth: usize, kind: &str, condition: &Condition) {
        self.line(depth, &format!("{kind}:"));
        self.line(depth + 1, &format!("status: {}", condition.status));
    }

    fn times(&mut self, depth: usize, condition: &Condition) {
        let probed = condition.probed.to_rfc3339();
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{:1$}lastProbeTime: \"{probed}\"", "", 2 * depth);
        self.line(depth, &format!("lastTransitionTime: \"{}\"", condition.since.to_rfc3339()));
    }

    fn health(
        &mut self,
        depth: usize,
        condition: &Condition,
        readiness: &Readiness,
        group: Option<&GroupFleet>,
    ) {
        self.head(depth, "health", condition);
        let inner = depth + 1;
        self.line(inner, "nodeCounts:");
        self.line(inner + 1, "registered:");
        let registered = [
            ("total", readiness.registered),
            ("ready", readiness.ready),
            ("notStarted", u32::try_from(readiness.not_started.len()).unwrap_or(u32::MAX)),
        ];
        for (name, count) in registered {
            self.line(inner + 2, &format!("{name}: {count}"));
        }
        if readiness.deleted > 0 {
            self.line(inner + 2, &format!("beingDeleted: {}", readiness.deleted));
        }
        if readiness.unready > 0 {
            self.line(inner + 2, "unready:");
            self.line(inner + 3, &format!("total: {}", readiness.unready));
            self.line(inner + 3, "resourceUnready: 0");
        }
        self.line(inner + 1, &format!("longUnregistered: {}", readiness.long_unregistered.len()));
        self.line(inner + 1, &format!("unregistered: {}", readiness.unregistered));
        if let Some(group) = group {
            let (min, max) = group.group.bounds.unwrap_or_default();
            self.line(inner, &format!("cloudProviderTarget: {}", group.target));
            self.line(inner, &format!("minSize: {min}"));
            self.line(inner, &format!("maxSize: {max}"));
        }
        self.times(inner, condition);
    }

    fn scale_down(&mut self, depth: usize, condition: &Condition, candidates: usize) {
        self.head(depth, "scaleDown", condition);
        if candidates > 0 {
            self.line(depth + 1, &format!("candidates: {candidates}"));
        }
        self.times(depth + 1, condition);
    }
}

fn write(ctx: &mut Ctx<'_>, time: &str, status: &str) {
    let body: crate::base::Arc<str> = serde_json::json!({"data": {"status": status}}).to_string().into();
    let key = ObjectKey::new("kube-system", Inert::table_name("ConfigMap", NAME));
    let annotations: Labels = [(UPDATED, time)].into_iter().collect();
    if ctx.store.get::<Inert>(&key).is_some() {
        // A ConfigMap that goes in this very moment is written again in the next loop.
        let _ = ctx.store.update::<Inert>(&key, |map| {
            map.meta.annotations = map.meta.annotations.merged(&annotations);
            map.body = body;
        });
        return;
    }
    let created = ctx.store.create(Inert {
        meta: Lasting { annotations, ..Lasting::named("kube-system", NAME) }.into(),
        api_version: lit!("v1"),
        kind: lit!("ConfigMap"),
        namespaced: true,
        body,
    });
    debug_assert!(created.is_ok(), "the status cannot be written: {created:?}");
}
