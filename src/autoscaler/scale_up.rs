//! Buys nodes.
//!
//! Upstream: `cluster-autoscaler/core/scaleup/orchestrator/{orchestrator,executor,skippedreasons}.go`,
//! `processors/status/eventing_scale_up_processor.go`, 1.34.

use std::collections::BTreeMap;

use super::estimator::estimate;
use super::expander::{self, Choice, Circumstances};
use super::pending::{self, Group};
use super::similar::are_similar;
use super::simulator::Simulator;
use super::taints;
use super::template::Template;
use super::{Chances, ClusterAutoscaler, Ctx, Effect, Launch, status_config_map};
use crate::api::{EventType, Inert, Node, ObjectKey, ObjectRef};
use crate::base::Str;
use crate::base::text::lit;
use crate::cloud::fleet::GroupId;
use crate::scheduler::framework::PodInfo;

/// Why Pods do not make groups grow: for each Pod (by its place), what each group said.
type Refusals = BTreeMap<usize, Vec<String>>;

/// What can be had: a template per group, and the Pods (by the places of their groups) that would fit it.
#[derive(Clone, Copy)]
struct Market<'a> {
    templates: &'a BTreeMap<GroupId, Template>,
    passing: &'a BTreeMap<GroupId, Vec<usize>>,
}

impl ClusterAutoscaler {
    /// Buys nodes of one group (and its like) for these Pods. Whether anything was bought.
    pub(super) fn scale_up(
        &mut self,
        ctx: &mut Ctx<'_>,
        simulator: &Simulator<'_>,
        templates: &BTreeMap<GroupId, Template>,
        waiting: &[PodInfo],
    ) -> bool {
        let groups = pending::groups(waiting);
        let mut refusals = Refusals::new();
        let mut passing: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
        for (id, template) in templates {
            if let Some(reason) = self.skip_reason(ctx, *id) {
                for place in 0..groups.len() {
                    refusals.entry(place).or_default().push(reason.to_owned());
                }
                continue;
            }
            passing.insert(*id, schedulable(simulator, template, &groups, &mut refusals));
        }
        let market = Market { templates, passing: &passing };
        let choices = self.choices(ctx, simulator, &groups, market);
        let Some(choice) = self.choose(ctx, choices) else {
            // Pods that would fit a new node of some group may be helped another time: nothing is said of them.
            let fits = |place: &usize| passing.values().any(|fits| fits.contains(place));
            self.explain_refusals(ctx, &groups, &refusals, fits);
            return false;
        };
        let capped = self.cap(ctx, choice.estimate.nodes, templates);
        if capped == 0 {
            return false;
        }
        let similar = self.similar(ctx, choice.group, market);
        self.grow(ctx, &choice, capped, &similar);
        true
    }

    /// What each group could do.
    fn choices(
        &self,
        ctx: &Ctx<'_>,
        simulator: &Simulator<'_>,
        groups: &[Group],
        market: Market<'_>,
    ) -> Vec<Choice> {
        let mut choices = Vec::new();
        for (id, fits) in market.passing {
            let template = &market.templates[id];
            let similar = self.similar(ctx, *id, market);
            let room = self.room(ctx, *id, &similar, market.templates);
            let fitting: Vec<&Group> = fits.iter().map(|place| &groups[*place]).collect();
            let estimate = estimate(simulator, template, &fitting, room);
            if estimate.pods.is_empty() || estimate.nodes == 0 {
                continue;
            }
            let group = &ctx.fleet.group(*id).group;
            choices.push(Choice {
                group: *id,
                name: group.name.clone(),
                estimate,
                capacity: template.node.status.capacity.clone(),
                price: group.template.price,
            });
        }
        choices
    }

    fn choose(&mut self, ctx: &mut Ctx<'_>, choices: Vec<Choice>) -> Option<Choice> {
        let priorities = priorities(ctx);
        if self.flags.expander.iter().any(|name| name == "priority") && !priorities.is_empty() {
            self.say_unmatched(ctx, &expander::unmatched(&choices, &priorities), choices.len());
        }
        let circumstances = Circumstances {
            chain: &self.flags.expander,
            priorities: &priorities,
            cluster_size: ctx.snapshot.len(),
        };
        let now = ctx.store.now().as_nanos().to_le_bytes();
        let mut stream = ctx.store.seed().stream_of("expander", &[&now]);
        expander::best(choices, circumstances, &mut stream)
    }

    /// The priority expander warns of groups that its ConfigMap does not name.
    fn say_unmatched(&mut self, ctx: &mut Ctx<'_>, unmatched: &[Str], choices: usize) {
        let about = || ObjectRef {
            kind: lit!("ConfigMap"),
            namespace: lit!("kube-system"),
            name: lit!("cluster-autoscaler-priority-expander"),
            ..ObjectRef::default()
        };
        for name in unmatched {
            let text = format!(
                "Priority expander: node group {name} not found in priority expander configuration. The group won't be used."
            );
            self.say(ctx, about(), EventType::Warning, lit!("PriorityConfigMapNotMatchedGroup"), text);
        }
        if !unmatched.is_empty() && unmatched.len() == choices {
            let text = "Priority expander: no priorities info found for any of the expansion options. No options filtered.";
            self.say(
                ctx,
                about(),
                EventType::Warning,
                lit!("PriorityConfigMapNoGroupMatched"),
                text.to_owned(),
            );
        }
    }

    fn skip_reason(&self, ctx: &Ctx<'_>, id: GroupId) -> Option<&'static str> {
        let group = ctx.fleet.group(id);
        let (_, max) = group.group.bounds?;
        if !self.registry.is_group_healthy(&self.flags, id, group) {
            Some("not ready for scale-up")
        } else if self.registry.backoffs.status(id, ctx.store.now()).is_some() {
            Some("in backoff after failed scale-up")
        } else if group.target >= max {
            Some("max node group size reached")
        } else {
            None
        }
    }

    /// How many nodes are ready.
    pub(super) fn ready_nodes(&self, ctx: &Ctx<'_>) -> i64 {
        let ready = ctx.store.list::<Node>().filter(|node| taints::is_ready(&self.flags, node)).count();
        i64::try_from(ready).unwrap_or(i64::MAX)
    }

    /// Ready nodes, and those that are to come.
    fn nodes_now(&self, ctx: &Ctx<'_>, templates: &BTreeMap<GroupId, Template>) -> i64 {
        let coming = templates.keys().map(|id| self.registry.upcoming(*id, ctx.fleet.group(*id)).0);
        self.ready_nodes(ctx) + coming.map(i64::from).sum::<i64>()
    }

    /// How many nodes a group and its like may get.
    fn room(
        &self,
        ctx: &Ctx<'_>,
        id: GroupId,
        similar: &[GroupId],
        templates: &BTreeMap<GroupId, Template>,
    ) -> usize {
        let headroom = |id: GroupId| {
            let group = ctx.fleet.group(id);
            group.group.bounds.map_or(0, |(_, max)| max.saturating_sub(group.target)) as usize
        };
        let groups = headroom(id) + similar.iter().map(|other| headroom(*other)).sum::<usize>();
        let per_scale_up = usize::try_from(self.flags.max_nodes_per_scaleup).unwrap_or(usize::MAX);
        let cluster = match self.flags.max_nodes_total {
            0 => usize::MAX,
            max => usize::try_from(max - self.nodes_now(ctx, templates)).unwrap_or(0),
        };
        groups.min(per_scale_up).min(cluster)
    }

    /// As many of these nodes as the cluster may have.
    fn cap(&mut self, ctx: &mut Ctx<'_>, nodes: usize, templates: &BTreeMap<GroupId, Template>) -> usize {
        let left = self.flags.max_nodes_total - self.nodes_now(ctx, templates);
        if self.flags.max_nodes_total == 0 || usize::try_from(left).is_ok_and(|left| nodes <= left) {
            return nodes;
        }
        self.say_nodes_max(ctx);
        usize::try_from(left).unwrap_or(0)
    }

    /// Groups that are like this one, may grow, and would do for the same Pods.
    fn similar(&self, ctx: &Ctx<'_>, id: GroupId, market: Market<'_>) -> Vec<GroupId> {
        let Some(own) = market.passing.get(&id).filter(|fits| !fits.is_empty()) else { return Vec::new() };
        if !self.flags.balance_similar_node_groups {
            return Vec::new();
        }
        let may_grow = |other: GroupId| {
            let group = ctx.fleet.group(other);
            self.registry.backoffs.status(other, ctx.store.now()).is_none()
                && self.registry.is_group_healthy(&self.flags, other, group)
        };
        market
            .passing
            .iter()
            .filter(|(other, fits)| **other != id && own.iter().all(|place| fits.contains(place)))
            .map(|(other, _)| *other)
            .filter(|other| may_grow(*other))
            .filter(|other| are_similar(&self.flags, &market.templates[&id], &market.templates[other]))
            .collect()
    }

    /// Adds the nodes one by one to the smallest of the groups, and says so.
    fn grow(&mut self, ctx: &mut Ctx<'_>, choice: &Choice, nodes: usize, similar: &[GroupId]) {
        let groups: Vec<GroupId> = std::iter::once(choice.group).chain(similar.iter().copied()).collect();
        let mut parts: Vec<(GroupId, u32, u32)> = groups
            .into_iter()
            .map(|id| (id, ctx.fleet.group(id).target, ctx.fleet.group(id).target))
            .collect();
        for _ in 0..nodes {
            let open = parts
                .iter_mut()
                .filter(|(id, _, new)| ctx.fleet.group(*id).group.bounds.is_some_and(|(_, max)| *new < max));
            let Some(smallest) = open.min_by_key(|(_, _, new)| *new) else { break };
            smallest.2 += 1;
        }
        parts.sort_by_key(|(_, old, _)| *old);
        let mut texts = Vec::new();
        for (id, old, new) in parts.into_iter().filter(|(_, old, new)| old != new) {
            let (name, max) = self.resize(ctx, id, old, new);
            texts.push(format!("{name} {old}->{new} (max: {max})"));
        }
        let text = format!("pod triggered scale-up: [{{{}}}]", texts.join("} {"));
        for pod in &choice.estimate.pods {
            let about = ObjectRef::to(&*pod.pod);
            self.say(ctx, about, EventType::Normal, lit!("TriggeredScaleUp"), text.clone());
        }
    }

    /// Asks for the nodes that a group lacks to its new size. Its name and its largest size.
    fn resize(&mut self, ctx: &mut Ctx<'_>, id: GroupId, old: u32, new: u32) -> (Str, u32) {
        let (now, chances) = (ctx.store.now(), Chances { latencies: ctx.latencies, seed: ctx.store.seed() });
        let group = &ctx.fleet.group(id).group;
        let (name, max) = (group.name.clone(), group.bounds.map_or(0, |(_, max)| max));
        for text in [
            format!("Scale-up: setting group {name} size to {new} instead of {old} (max: {max})"),
            format!("Scale-up: group {name} size set to {new} instead of {old} (max: {max})"),
        ] {
            self.say(ctx, status_config_map(), EventType::Normal, lit!("ScaledUpGroup"), text);
        }
        for _ in old..new {
            if let Launch::Boots(at, node) = ctx.fleet.request(id, now, chances) {
                ctx.out.push(Effect::Joins(at, node));
            }
        }
        self.registry.ask(id, new - old, now);
        (name, max)
    }

    /// Fills up groups that are smaller than they may be (`--enforce-node-group-min-size`).
    pub(super) fn fill_up(&mut self, ctx: &mut Ctx<'_>) {
        let short: Vec<(GroupId, u32, u32)> = ctx
            .fleet
            .groups()
            .filter_map(|(id, group)| Some((id, group.target, group.group.bounds?.0)))
            .filter(|(_, target, min)| target < min)
            .collect();
        for (id, target, min) in short {
            let off = self.registry.backoffs.status(id, ctx.store.now()).is_some();
            if !off && self.registry.is_group_healthy(&self.flags, id, ctx.fleet.group(id)) {
                self.resize(ctx, id, target, min);
                self.last_up = Some(ctx.store.now());
            }
        }
    }

    fn explain_refusals(
        &mut self,
        ctx: &mut Ctx<'_>,
        groups: &[Group],
        refusals: &Refusals,
        fits: impl Fn(&usize) -> bool,
    ) {
        for (place, group) in groups.iter().enumerate().filter(|(place, _)| !fits(place)) {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for reason in refusals.get(&place).into_iter().flatten() {
                *counts.entry(reason).or_default() += 1;
            }
            let reasons: Vec<String> =
                counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let text = format!("pod didn't trigger scale-up: {}", reasons.join(", "));
            for pod in &group.pods {
                let about = ObjectRef::to(&*pod.pod);
                self.say(ctx, about, EventType::Normal, lit!("NotTriggerScaleUp"), text.clone());
            }
        }
    }
}

/// Which groups of Pods fit a new node; the others' reasons are noted.
fn schedulable(
    simulator: &Simulator<'_>,
    template: &Template,
    groups: &[Group],
    refusals: &mut Refusals,
) -> Vec<usize> {
    let mut with_node = simulator.clone();
    let name: Str = template.add_to(&mut with_node, 0);
    let mut fits = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        match with_node.fits(group.sample(), &name) {
            Ok(()) => fits.push(place),
            Err(status) => {
                let reasons = status.reasons().map(|reason| reason.text.to_string());
                refusals.entry(place).or_default().extend(reasons);
            }
        }
    }
    fits
}

/// The ConfigMap of the priority expander: numbers with patterns of group names.
fn priorities(ctx: &Ctx<'_>) -> Vec<(i64, Vec<Str>)> {
    let key = ObjectKey::new("kube-system", "cluster-autoscaler-priority-expander");
    let Some(map) = ctx.store.list::<Inert>().find(|o| o.kind == "ConfigMap" && o.meta.key() == key) else {
        return Vec::new();
    };
    let body: serde_json::Value = serde_json::from_str(&map.body).unwrap_or_default();
    let text = body.pointer("/data/priorities").and_then(serde_json::Value::as_str).unwrap_or_default();
    parse_priorities(text)
}

/// Numbers, each followed by a list of patterns, as the ConfigMap writes them.
fn parse_priorities(text: &str) -> Vec<(i64, Vec<Str>)> {
    let mut priorities: Vec<(i64, Vec<Str>)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(number) = line.strip_suffix(':').and_then(|number| number.trim().parse().ok()) {
            priorities.push((number, Vec::new()));
        } else if let (Some(pattern), Some((_, patterns))) = (line.strip_prefix('-'), priorities.last_mut()) {
            patterns.push(pattern.trim().trim_matches(['"', '\'']).into());
        }
    }
    priorities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_read_as_the_config_map_writes_them() {
        let text = "10:\n  - .*\n50: \n  - '^spot-.*'\n  - \"cheap\"\n";
        let expected: Vec<(i64, Vec<Str>)> =
            vec![(10, vec![".*".into()]), (50, vec!["^spot-.*".into(), "cheap".into()])];
        assert_eq!(parse_priorities(text), expected);
        assert!(parse_priorities("nonsense").is_empty());
    }
}
