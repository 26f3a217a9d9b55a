//! Buys nodes.
//!
//! Upstream: `cluster-autoscaler/core/scaleup/orchestrator/{orchestrator,executor,skippedreasons}.go`,
//! `processors/status/eventing_scale_up_processor.go`, 1.34.

use std::collections::BTreeMap;

use super::estimator::estimate;
use super::expander::{self, Choice, Circumstances};
use super::pending::{self, Group};
use super::simulator::Simulator;
use super::template::Template;
use super::{ClusterAutoscaler, Ctx, Effect, status_config_map};
use crate::api::{EventType, Inert, ObjectKey, ObjectRef};
use crate::base::Str;
use crate::base::text::lit;
use crate::cloud::fleet::GroupId;
use crate::scheduler::framework::PodInfo;

/// Why Pods do not make groups grow: for each Pod (by its place), what each group said.
type Refusals = BTreeMap<usize, Vec<String>>;

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
        let mut choices = Vec::new();
        let mut passing: BTreeMap<GroupId, Vec<usize>> = BTreeMap::new();
        for (id, template) in templates {
            if let Some(reason) = self.skip_reason(ctx, *id) {
                for place in 0..groups.len() {
                    refusals.entry(place).or_default().push(reason.to_owned());
                }
                continue;
            }
            let fits = schedulable(simulator, template, &groups, &mut refusals);
            passing.insert(*id, fits);
        }
        for (id, fits) in &passing {
            let template = &templates[id];
            let similar = self.similar(ctx, *id, &passing);
            let room = self.room(ctx, *id, &similar);
            let fitting: Vec<&Group> = fits.iter().map(|place| &groups[*place]).collect();
            let estimate = estimate(simulator, template, &fitting, room);
            if !estimate.pods.is_empty() {
                let group = &ctx.fleet.group(*id).group;
                choices.push(Choice {
                    group: *id,
                    name: group.name.clone(),
                    estimate,
                    capacity: template.node.status.capacity.clone(),
                    price: group.template.price,
                });
            }
        }
        let chosen = self.choose(ctx, choices);
        match chosen {
            Some(choice) => {
                let similar = self.similar(ctx, choice.group, &passing);
                self.grow(ctx, &choice, &similar);
                true
            }
            None => {
                self.explain_refusals(ctx, &groups, &refusals);
                false
            }
        }
    }

    fn choose(&self, ctx: &Ctx<'_>, choices: Vec<Choice>) -> Option<Choice> {
        let priorities = priorities(ctx);
        let circumstances = Circumstances {
            chain: &self.flags.expander,
            priorities: &priorities,
            cluster_size: ctx.snapshot.len(),
        };
        let now = ctx.store.now().as_nanos().to_le_bytes();
        let mut stream = ctx.store.seed().stream_of("expander", &[&now]);
        expander::best(choices, circumstances, &mut stream)
    }

    fn skip_reason(&self, ctx: &Ctx<'_>, id: GroupId) -> Option<&'static str> {
        let group = ctx.fleet.group(id);
        let (_, max) = group.group.bounds?;
        if self.backoffs.is_off(id, ctx.store.now()) {
            Some("in backoff after failed scale-up")
        } else if group.target >= max {
            Some("max node group size reached")
        } else {
            None
        }
    }

    /// How many nodes a group and its like may get.
    fn room(&self, ctx: &Ctx<'_>, id: GroupId, similar: &[GroupId]) -> usize {
        let headroom = |id: GroupId| {
            let group = ctx.fleet.group(id);
            group.group.bounds.map_or(0, |(_, max)| max.saturating_sub(group.target)) as usize
        };
        let groups = headroom(id) + similar.iter().map(|other| headroom(*other)).sum::<usize>();
        let per_scale_up = usize::try_from(self.flags.max_nodes_per_scaleup).unwrap_or(usize::MAX);
        let total = ctx.fleet.groups().map(|(_, g)| i64::from(g.target)).sum::<i64>();
        let cluster = match self.flags.max_nodes_total {
            0 => usize::MAX,
            max => usize::try_from(max - total).unwrap_or(0),
        };
        groups.min(per_scale_up).min(cluster)
    }

    /// Groups that are like this one but for the zone, and for which the same Pods would do.
    fn similar(&self, ctx: &Ctx<'_>, id: GroupId, passing: &BTreeMap<GroupId, Vec<usize>>) -> Vec<GroupId> {
        if !self.flags.balance_similar_node_groups {
            return Vec::new();
        }
        let template = &ctx.fleet.group(id).group.template;
        passing
            .iter()
            .filter(|(other, fits)| **other != id && Some(*fits) == passing.get(&id))
            .map(|(other, _)| *other)
            .filter(|other| ctx.fleet.group(*other).group.template == *template)
            .collect()
    }

    /// Adds the nodes one by one to the smallest of the groups, and says so.
    fn grow(&mut self, ctx: &mut Ctx<'_>, choice: &Choice, similar: &[GroupId]) {
        let before: BTreeMap<GroupId, u32> = std::iter::once(choice.group)
            .chain(similar.iter().copied())
            .map(|id| (id, ctx.fleet.group(id).target))
            .collect();
        let (now, seed) = (ctx.store.now(), ctx.store.seed());
        for _ in 0..choice.estimate.nodes {
            let open = before.keys().copied().filter(|id| {
                let group = ctx.fleet.group(*id);
                group.group.bounds.is_some_and(|(_, max)| group.target < max)
            });
            let first = |id: &GroupId| (ctx.fleet.group(*id).target, *id != choice.group, *id);
            let Some(id) = open.min_by_key(first) else { break };
            let (at, node) = ctx.fleet.request(id, now, ctx.latencies, seed);
            ctx.out.push(Effect::Joins(at, Box::new(node)));
        }
        let mut parts = Vec::new();
        for (id, old) in before {
            let group = ctx.fleet.group(id);
            let (name, new) = (group.group.name.clone(), group.target);
            let max = group.group.bounds.map_or(0, |(_, max)| max);
            if new == old {
                continue;
            }
            parts.push(format!("{name} {old}->{new} (max: {max})"));
            for text in [
                format!("Scale-up: setting group {name} size to {new} instead of {old} (max: {max})"),
                format!("Scale-up: group {name} size set to {new} instead of {old} (max: {max})"),
            ] {
                self.say(ctx, status_config_map(), EventType::Normal, lit!("ScaledUpGroup"), text);
            }
        }
        let text = format!("pod triggered scale-up: [{{{}}}]", parts.join("} {"));
        for pod in &choice.estimate.pods {
            let about = ObjectRef::to(&*pod.pod);
            self.say(ctx, about, EventType::Normal, lit!("TriggeredScaleUp"), text.clone());
        }
    }

    fn explain_refusals(&mut self, ctx: &mut Ctx<'_>, groups: &[Group], refusals: &Refusals) {
        for (place, group) in groups.iter().enumerate() {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for reason in refusals.get(&place).into_iter().flatten() {
                *counts.entry(reason).or_default() += 1;
            }
            let reasons: Vec<String> =
                counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let text = match reasons.is_empty() {
                true => "pod didn't trigger scale-up".to_owned(),
                false => format!("pod didn't trigger scale-up: {}", reasons.join(", ")),
            };
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
