//! From the plugins that a profile enables and disables to the lists of the extension points.
//!
//! Upstream: `pkg/scheduler/framework/runtime/framework.go` (`NewFramework`, `expandMultiPointPlugins`),
//! `pkg/scheduler/apis/config/v1/default_plugins.go` (`mergePlugins`), v1.34.

use std::collections::BTreeMap;

use super::decision::Wording;
use super::framework::runtime::{At, Registration, Weighted};
use super::framework::{ActionType, ClusterEvent, EventResource, Extensions, Framework, PluginArgs, Setup};
use super::plugins::{DEFAULT, registry::Registry};
use crate::base::Str;
use crate::base::text::lit;

/// An extension point, in the order in which upstream expands them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// PreFilter.
    PreFilter,
    /// Filter.
    Filter,
    /// PostFilter.
    PostFilter,
    /// Reserve.
    Reserve,
    /// PreScore.
    PreScore,
    /// Score.
    Score,
    /// PreBind.
    PreBind,
    /// Bind.
    Bind,
    /// PostBind.
    PostBind,
    /// Permit.
    Permit,
    /// PreEnqueue.
    PreEnqueue,
    /// QueueSort.
    QueueSort,
}

impl Point {
    /// All of them, with the field's name in a configuration and the name of upstream's interface.
    pub const ALL: [(Self, &'static str, &'static str); 12] = [
        (Self::PreFilter, "preFilter", "PreFilterPlugin"),
        (Self::Filter, "filter", "FilterPlugin"),
        (Self::PostFilter, "postFilter", "PostFilterPlugin"),
        (Self::Reserve, "reserve", "ReservePlugin"),
        (Self::PreScore, "preScore", "PreScorePlugin"),
        (Self::Score, "score", "ScorePlugin"),
        (Self::PreBind, "preBind", "PreBindPlugin"),
        (Self::Bind, "bind", "BindPlugin"),
        (Self::PostBind, "postBind", "PostBindPlugin"),
        (Self::Permit, "permit", "PermitPlugin"),
        (Self::PreEnqueue, "preEnqueue", "PreEnqueuePlugin"),
        (Self::QueueSort, "queueSort", "QueueSortPlugin"),
    ];

    /// Whether a plugin implements it.
    fn is_in(self, plugin: &Extensions) -> bool {
        match self {
            Self::PreFilter => plugin.pre_filter.is_some(),
            Self::Filter => plugin.filter.is_some(),
            Self::PostFilter => plugin.post_filter.is_some(),
            Self::Reserve | Self::PreBind => plugin.reserve.is_some(),
            Self::PreScore => plugin.pre_score.is_some(),
            Self::Score => plugin.score.is_some(),
            Self::Bind => plugin.binds,
            Self::PostBind | Self::Permit => false,
            Self::PreEnqueue => plugin.pre_enqueue.is_some(),
            Self::QueueSort => plugin.queue_sort.is_some(),
        }
    }
}

/// A plugin by name with its weight; 0 if none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// The plugin.
    pub name: Str,
    /// What its scores are multiplied by.
    pub weight: i64,
}

/// What a profile enables and disables at one extension point, or everywhere (`multiPoint`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PluginSet {
    /// Enabled, in order.
    pub enabled: Vec<Enabled>,
    /// Disabled by name; `*` is all.
    pub disabled: Vec<Str>,
}

impl PluginSet {
    fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|d| d == name)
    }

    /// This set with what a profile says laid over it.
    fn merged(&self, custom: &Self) -> Self {
        let disabled: Vec<Str> = custom.disabled.iter().chain(&self.disabled).cloned().collect();
        let is_disabled = |name: &str| disabled.iter().any(|d| d == name);
        let mut replaced = vec![false; custom.enabled.len()];
        let mut enabled = Vec::new();
        if !is_disabled("*") {
            for plugin in self.enabled.iter().filter(|p| !is_disabled(&p.name)) {
                // Upstream keeps the last of equal names.
                match custom.enabled.iter().rposition(|c| c.name == plugin.name) {
                    Some(index) => {
                        replaced[index] = true;
                        enabled.push(custom.enabled[index].clone());
                    }
                    None => enabled.push(plugin.clone()),
                }
            }
        }
        let added = custom.enabled.iter().zip(&replaced).filter(|(_, replaced)| !**replaced);
        enabled.extend(added.map(|(plugin, _)| plugin.clone()));
        Self { enabled, disabled }
    }
}

/// What a profile enables and disables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plugins {
    /// Everywhere the plugin has something to do.
    pub multi_point: PluginSet,
    /// At single extension points.
    pub points: BTreeMap<Point, PluginSet>,
}

impl Plugins {
    /// The default profile.
    pub fn default_profile() -> Self {
        let enabled = |e: &super::plugins::Entry| Enabled { name: lit_name(e.name), weight: e.weight };
        let multi_point = PluginSet { enabled: DEFAULT.iter().map(enabled).collect(), disabled: Vec::new() };
        Self { multi_point, points: BTreeMap::new() }
    }

    /// The default profile with what a profile says laid over it.
    pub fn over_default(custom: &Self) -> Self {
        let default = Self::default_profile();
        Self { multi_point: default.multi_point.merged(&custom.multi_point), points: custom.points.clone() }
    }
}

fn lit_name(name: &'static str) -> Str {
    if name.is_empty() { lit!("") } else { Str::from(name) }
}

/// A profile: a scheduler name and what runs for its Pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// `schedulerName`.
    pub scheduler_name: Str,
    /// `percentageOfNodesToScore`, if the profile has its own.
    pub percentage_of_nodes_to_score: Option<i32>,
    /// Plugins, the default ones included.
    pub plugins: Plugins,
    /// Their arguments.
    pub args: PluginArgs,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            scheduler_name: lit!("default-scheduler"),
            percentage_of_nodes_to_score: None,
            plugins: Plugins::default_profile(),
            args: PluginArgs::default(),
        }
    }
}

/// A plugin that was made, with its bit in skip sets.
struct Made {
    extensions: Extensions,
    bit: u64,
}

impl Profile {
    /// Makes the plugins and puts them in order.
    ///
    /// # Errors
    /// In kube-scheduler's words, why the profile cannot be.
    pub fn build(&self, registry: &Registry, wording: Wording, percentage: i32) -> Result<Framework, String> {
        let made = self.make(registry, wording)?;
        let mut lists: BTreeMap<Point, Vec<usize>> = BTreeMap::new();
        for (point, _, interface) in Point::ALL {
            let set = self.plugins.points.get(&point).cloned().unwrap_or_default();
            let explicit = explicit(&made, point, interface, &set)?;
            lists.insert(point, expand(&made, point, interface, &set, &explicit, &self.plugins.multi_point)?);
        }
        let len = |point| lists.get(&point).map_or(0, Vec::len);
        if len(Point::QueueSort) != 1 {
            return Err(format!(
                "only one queue sort plugin required for profile with scheduler name \"{}\", but got {}",
                self.scheduler_name,
                len(Point::QueueSort)
            ));
        }
        if len(Point::Bind) == 0 {
            return Err(format!(
                "at least one bind plugin is needed for profile with scheduler name \"{}\"",
                self.scheduler_name
            ));
        }
        let weights = self.weights(&made)?;
        Ok(self.assemble(&made, &lists, &weights, percentage))
    }

    /// The name of the plugin that sorts the queue.
    pub fn queue_sort(&self, registry: &Registry) -> Option<&'static str> {
        let all = self.plugins.points.get(&Point::QueueSort).into_iter().flat_map(|s| &s.enabled);
        all.chain(&self.plugins.multi_point.enabled).find_map(|plugin| {
            let made =
                registry.make(&plugin.name, &Setup { args: &self.args, wording: Wording::default() })?;
            made.queue_sort.is_some().then_some(made.name)
        })
    }

    fn make(&self, registry: &Registry, wording: Wording) -> Result<Vec<Made>, String> {
        let setup = Setup { args: &self.args, wording };
        let points = self.plugins.points.values().flat_map(|set| &set.enabled);
        let mut made: Vec<Made> = Vec::new();
        for plugin in self.plugins.multi_point.enabled.iter().chain(points) {
            if made.iter().any(|m| m.extensions.name == plugin.name) {
                continue;
            }
            if let Some(extensions) = registry.make(&plugin.name, &setup) {
                let Some(bit) = 1u64.checked_shl(made.len() as u32) else {
                    return Err("more than 64 plugins in one profile".to_owned());
                };
                made.push(Made { extensions, bit });
            }
        }
        Ok(made)
    }

    fn weights(&self, made: &[Made]) -> Result<BTreeMap<&'static str, i64>, String> {
        let mut weights = BTreeMap::new();
        let mut total = 0i64;
        let score = self.plugins.points.get(&Point::Score).into_iter().flat_map(|set| &set.enabled);
        for plugin in score.chain(&self.plugins.multi_point.enabled) {
            let Some(m) = made.iter().find(|m| m.extensions.name == plugin.name) else { continue };
            if m.extensions.score.is_none() || weights.contains_key(m.extensions.name) {
                continue;
            }
            let weight = if plugin.weight == 0 { 1 } else { plugin.weight };
            let most = weight.saturating_mul(super::framework::MAX_NODE_SCORE);
            if most > i64::MAX - total {
                return Err("total score of Score plugins could overflow".to_owned());
            }
            total += most;
            weights.insert(m.extensions.name, weight);
        }
        Ok(weights)
    }

    fn assemble(
        &self,
        made: &[Made],
        lists: &BTreeMap<Point, Vec<usize>>,
        weights: &BTreeMap<&'static str, i64>,
        percentage: i32,
    ) -> Framework {
        fn at<T: ?Sized>(made: &Made, plugin: &Option<std::sync::Arc<T>>) -> Option<At<T>> {
            let plugin = plugin.clone()?;
            let Extensions { name, local, of_object, .. } = made.extensions;
            Some(At { name, bit: made.bit, local, of_object, plugin })
        }
        let of = |point| lists.get(&point).into_iter().flatten().map(|i| &made[*i]);
        Framework {
            profile_name: self.scheduler_name.clone(),
            percentage_of_nodes_to_score: self.percentage_of_nodes_to_score.unwrap_or(percentage),
            pre_enqueue: of(Point::PreEnqueue).filter_map(|m| at(m, &m.extensions.pre_enqueue)).collect(),
            queue_sort: of(Point::QueueSort).find_map(|m| m.extensions.queue_sort.clone()),
            pre_filter: of(Point::PreFilter).filter_map(|m| at(m, &m.extensions.pre_filter)).collect(),
            filter: of(Point::Filter).filter_map(|m| at(m, &m.extensions.filter)).collect(),
            post_filter: of(Point::PostFilter).filter_map(|m| at(m, &m.extensions.post_filter)).collect(),
            pre_score: of(Point::PreScore).filter_map(|m| at(m, &m.extensions.pre_score)).collect(),
            score: of(Point::Score)
                .filter_map(|m| at(m, &m.extensions.score))
                .map(|at| Weighted { weight: weights.get(at.name).copied().unwrap_or(1), at })
                .collect(),
            reserve: of(Point::Reserve).filter_map(|m| at(m, &m.extensions.reserve)).collect(),
            registrations: made.iter().flat_map(|m| registrations(&m.extensions)).collect(),
        }
    }
}

/// The events that may help Pods that a plugin refused.
///
/// Upstream: `pkg/scheduler/scheduler.go` `buildQueueingHintMap`, `framework.go` `fillEnqueueExtensions`, v1.34. A
/// plugin that hears of new nodes but not of changed taints hears of those too, without a hint.
fn registrations(plugin: &Extensions) -> Vec<Registration> {
    let refuses = plugin.pre_enqueue.is_some()
        || plugin.pre_filter.is_some()
        || plugin.filter.is_some()
        || plugin.reserve.is_some();
    if !refuses {
        return Vec::new();
    }
    let Some(hints) = &plugin.enqueue else {
        let all = |resource| Registration {
            plugin: plugin.name,
            event: ClusterEvent::new(resource, ActionType::ALL),
            hints: None,
        };
        return EventResource::REGISTRABLE.into_iter().map(all).collect();
    };
    let events = hints.events();
    let on_node = |action: ActionType| {
        events.iter().any(|e| e.resource == EventResource::Node && e.actions.meets(action))
    };
    let taints =
        (on_node(ActionType::ADD) && !on_node(ActionType::UPDATE_NODE_TAINT)).then(|| Registration {
            plugin: plugin.name,
            event: ClusterEvent::new(EventResource::Node, ActionType::UPDATE_NODE_TAINT),
            hints: None,
        });
    let register = |event: &ClusterEvent| Registration {
        plugin: plugin.name,
        event: *event,
        hints: Some(hints.clone()),
    };
    events.iter().map(register).chain(taints).collect()
}

/// The plugins that are enabled at the point itself.
fn explicit(made: &[Made], point: Point, interface: &str, set: &PluginSet) -> Result<Vec<usize>, String> {
    let mut list = Vec::new();
    for plugin in &set.enabled {
        let name = &plugin.name;
        let Some(index) = made.iter().position(|m| m.extensions.name == *name) else {
            return Err(format!("{interface} \"{name}\" does not exist"));
        };
        if !point.is_in(&made[index].extensions) {
            return Err(format!("plugin \"{name}\" does not extend {interface} plugin"));
        }
        if list.contains(&index) {
            return Err(format!("plugin \"{name}\" already registered as \"{interface}\""));
        }
        list.push(index);
    }
    Ok(list)
}

/// Adds the plugins that are enabled everywhere: first those that the point re-configures, in the point's order, then
/// the others from everywhere, then what only the point has.
fn expand(
    made: &[Made],
    point: Point,
    interface: &str,
    set: &PluginSet,
    explicit: &[usize],
    multi_point: &PluginSet,
) -> Result<Vec<usize>, String> {
    if set.disables("*") {
        return Ok(explicit.to_vec());
    }
    let (mut everywhere, mut overridden) = (Vec::new(), Vec::new());
    for plugin in &multi_point.enabled {
        let name = &plugin.name;
        let Some(index) = made.iter().position(|m| m.extensions.name == *name) else {
            return Err(format!("{interface} \"{name}\" does not exist"));
        };
        if !point.is_in(&made[index].extensions) || set.disables(name) {
            continue;
        }
        if explicit.contains(&index) {
            overridden.push(index);
        } else if everywhere.contains(&index) {
            return Err(format!("plugin \"{name}\" already registered as \"{interface}\""));
        } else {
            everywhere.push(index);
        }
    }
    let first = explicit.iter().copied().filter(|i| overridden.contains(i));
    let last = explicit.iter().copied().filter(|i| !overridden.contains(i));
    Ok(first.chain(everywhere.iter().copied()).chain(last).collect())
}
