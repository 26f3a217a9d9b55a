//! `KubeSchedulerConfiguration` v1: profiles, plugins, their arguments.
//!
//! Wrong ones are refused in kube-scheduler's words: first what cannot be decoded, then what cannot be valid, then what
//! cannot be built.
//!
//! Upstream: `pkg/scheduler/apis/config`, `cmd/kube-scheduler/app/options/configfile.go`, v1.34.
//!
//! # Fidelity
//! Extenders are refused, since nothing answers their calls. `leaderElection`, `clientConnection`, `parallelism` and
//! the debugging switches are read and not used.

mod args;
mod boundary;
mod field;
#[cfg(test)]
mod tests;
mod validation;

use serde_json::Value;

use super::decision::Wording;
use super::framework::Framework;
use super::plugins::registry::Registry;
use super::profile::{Enabled, PluginSet, Plugins, Point, Profile};
use super::queue::backoff::Backoff;
use crate::base::SimDuration;
use crate::base::text::lit;
use boundary::{BoundaryPluginSet, BoundaryProfile, Configuration};

/// What a scheduler runs with.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Profiles, at least one, with different names.
    pub profiles: Vec<Profile>,
    /// `percentageOfNodesToScore`; 0 is adaptive.
    pub percentage_of_nodes_to_score: i32,
    /// `podInitialBackoffSeconds` and `podMaxBackoffSeconds`.
    pub backoff: Backoff,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            profiles: vec![Profile::default()],
            percentage_of_nodes_to_score: 0,
            backoff: Backoff::default(),
        }
    }
}

impl Config {
    /// Reads a configuration whose plugins are all default ones.
    ///
    /// # Errors
    /// In kube-scheduler's words, everything that is wrong.
    pub fn from_json(json: &Value) -> Result<Self, Vec<String>> {
        Self::from_json_with(json, &Registry::default())
    }

    /// Reads a configuration that may enable plugins of one's own.
    ///
    /// # Errors
    /// In kube-scheduler's words, everything that is wrong.
    pub fn from_json_with(json: &Value, registry: &Registry) -> Result<Self, Vec<String>> {
        let configuration = boundary::decode(json)?;
        let mut errors = validation::validate(&configuration);
        let (profiles, wrong_args) = profiles(&configuration);
        errors.extend(wrong_args);
        if !errors.is_empty() {
            return Err(errors);
        }
        let config = Self {
            profiles,
            percentage_of_nodes_to_score: configuration.percentage_of_nodes_to_score.unwrap_or(0),
            backoff: Backoff {
                initial: SimDuration::from_api_secs(configuration.initial_backoff()),
                max: SimDuration::from_api_secs(configuration.max_backoff()),
            },
        };
        config.build(registry, Wording::default()).map_err(|why| vec![why])?;
        config.one_queue_sort(registry).map_err(|why| vec![why])?;
        Ok(config)
    }

    /// Makes the profiles with the default plugins.
    ///
    /// # Errors
    /// In kube-scheduler's words, why a profile cannot be.
    pub fn frameworks(&self, wording: Wording) -> Result<Vec<Framework>, String> {
        self.build(&Registry::default(), wording)
    }

    /// Makes the profiles.
    ///
    /// # Errors
    /// In kube-scheduler's words, why a profile cannot be.
    pub fn build(&self, registry: &Registry, wording: Wording) -> Result<Vec<Framework>, String> {
        let build = |profile: &Profile| {
            profile.build(registry, wording, self.percentage_of_nodes_to_score).map_err(|why| {
                format!(
                    "initializing profiles: creating profile for scheduler name {}: {why}",
                    profile.scheduler_name
                )
            })
        };
        self.profiles.iter().map(build).collect()
    }

    /// All profiles sort the one queue alike.
    fn one_queue_sort(&self, registry: &Registry) -> Result<(), String> {
        let sorts: Vec<_> =
            self.profiles.iter().map(|p| p.queue_sort(registry).unwrap_or_default()).collect();
        for (profile, sort) in self.profiles.iter().zip(&sorts) {
            if *sort != sorts[0] {
                return Err(format!(
                    "initializing profiles: different queue sort plugins for profile \"{}\": \"{sort}\", first: \"{}\"",
                    profile.scheduler_name, sorts[0]
                ));
            }
        }
        Ok(())
    }
}

/// The profiles, with what is wrong with the arguments of their plugins.
fn profiles(configuration: &Configuration) -> (Vec<Profile>, Vec<String>) {
    if configuration.profiles.is_empty() {
        return (vec![Profile::default()], Vec::new());
    }
    let alone = configuration.profiles.len() == 1;
    let mut errors = Vec::new();
    let mut all = Vec::new();
    for (index, profile) in configuration.profiles.iter().enumerate() {
        let name = match (&profile.scheduler_name, alone) {
            (Some(name), _) => name.as_str().into(),
            (None, true) => lit!("default-scheduler"),
            (None, false) => lit!(""),
        };
        let (args, wrong) = args::of_profile(profile, &format!("profiles[{index}]"), &name);
        errors.extend(wrong);
        all.push(Profile {
            scheduler_name: name,
            percentage_of_nodes_to_score: profile.percentage_of_nodes_to_score,
            plugins: plugins(profile),
            args,
        });
    }
    (all, errors)
}

fn plugins(profile: &BoundaryProfile) -> Plugins {
    let Some(custom) = &profile.plugins else { return Plugins::default_profile() };
    let points = Point::ALL.iter().map(|(point, ..)| (*point, set(custom.at(*point))));
    Plugins::over_default(&Plugins { multi_point: set(&custom.multi_point), points: points.collect() })
}

fn set(boundary: &BoundaryPluginSet) -> PluginSet {
    let enabled = boundary.enabled.iter().map(|plugin| Enabled {
        name: plugin.name.as_str().into(),
        weight: i64::from(plugin.weight.unwrap_or(0)),
    });
    PluginSet {
        enabled: enabled.collect(),
        disabled: boundary.disabled.iter().map(|plugin| plugin.name.as_str().into()).collect(),
    }
}
