//! What a configuration that can be decoded may not say.
//!
//! Upstream: `pkg/scheduler/apis/config/validation/validation.go`, v1.34.

use super::boundary::{API_VERSION, BoundaryProfile, Configuration};
use super::field::{duplicate, invalid, invalid_text, required};
use crate::scheduler::profile::Point;

/// Plugins that were removed before v1.
const REMOVED: [&str; 4] = ["AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"];

/// Everything that is wrong.
pub(super) fn validate(configuration: &Configuration) -> Vec<String> {
    let mut errors = Vec::new();
    if let Some(parallelism) = configuration.parallelism.filter(|p| *p <= 0) {
        errors.push(invalid("parallelism", parallelism, "should be an integer value greater than zero"));
    }
    errors.extend(profiles(configuration));
    errors.extend(percentage("percentageOfNodesToScore", configuration.percentage_of_nodes_to_score));
    let (initial, max) = (configuration.initial_backoff(), configuration.max_backoff());
    if initial <= 0 {
        errors.push(invalid("podInitialBackoffSeconds", initial, "must be greater than 0"));
    }
    if max < initial {
        let why = "must be greater than or equal to PodInitialBackoffSeconds";
        errors.push(invalid("podMaxBackoffSeconds", max, why));
    }
    if !configuration.extenders.is_empty() {
        errors.push("extenders: not simulated: nothing would answer an extender's calls".to_owned());
    }
    errors
}

fn profiles(configuration: &Configuration) -> Vec<String> {
    let mut errors = Vec::new();
    let all = &configuration.profiles;
    for (index, profile) in all.iter().enumerate() {
        let path = format!("profiles[{index}]");
        let name = profile.scheduler_name.as_deref();
        if name == Some("") || (name.is_none() && all.len() > 1) {
            errors.push(required(&format!("{path}.schedulerName"), ""));
        }
        let own = format!("{path}.percentageOfNodesToScore");
        errors.extend(percentage(&own, profile.percentage_of_nodes_to_score));
        errors.extend(removed_plugins(&path, profile));
        errors.extend(plugin_config(&path, profile));
        if let Some(first) = all[..index].iter().rposition(|p| p.scheduler_name == profile.scheduler_name) {
            let other = format!("profiles[{first}].schedulerName");
            errors.push(duplicate(&format!("{path}.schedulerName"), &other));
        }
    }
    errors.extend(common_queue_sort(all));
    errors
}

fn percentage(path: &str, percentage: Option<i32>) -> Option<String> {
    let wrong = percentage.filter(|p| !(0..=100).contains(p))?;
    Some(invalid(path, wrong, "not in valid range [0-100]"))
}

fn removed() -> String {
    format!(
        "was invalid in version \"{API_VERSION}\" (KubeSchedulerConfiguration is version \"{API_VERSION}\")"
    )
}

fn removed_plugins(path: &str, profile: &BoundaryProfile) -> Vec<String> {
    let Some(plugins) = &profile.plugins else { return Vec::new() };
    let mut errors = Vec::new();
    for (point, field, _) in Point::ALL {
        for (index, plugin) in plugins.at(point).enabled.iter().enumerate() {
            if REMOVED.contains(&plugin.name.as_str()) {
                let at = format!("{path}.plugins.{field}.enabled[{index}]");
                errors.push(invalid_text(&at, &plugin.name, &removed()));
            }
        }
    }
    errors
}

fn plugin_config(path: &str, profile: &BoundaryProfile) -> Vec<String> {
    let mut errors = Vec::new();
    for (index, config) in profile.plugin_config.iter().enumerate() {
        let at = format!("{path}.pluginConfig[{index}]");
        if profile.plugin_config[..index].iter().any(|c| c.name == config.name) {
            errors.push(duplicate(&at, &config.name));
        }
        if REMOVED.contains(&config.name.as_str()) {
            errors.push(invalid_text(&at, &config.name, &removed()));
        }
    }
    errors
}

fn common_queue_sort(profiles: &[BoundaryProfile]) -> Vec<String> {
    let sort = |p: &BoundaryProfile| {
        p.plugins.as_ref().map(|plugins| plugins.at(Point::QueueSort).clone()).unwrap_or_default()
    };
    let Some(canon) = profiles.first().map(sort) else { return Vec::new() };
    let mut errors = Vec::new();
    if canon.enabled.len() > 1 {
        let at = "profiles[0].plugins.queueSort.Enabled";
        errors.push(invalid(at, canon.enabled.len(), "only one queue sort plugin can be enabled"));
    }
    for (index, profile) in profiles.iter().enumerate().skip(1) {
        let own = sort(profile);
        if own != canon {
            let names = |set: &[super::boundary::BoundaryPlugin]| {
                let all: Vec<String> = set
                    .iter()
                    .map(|p| format!("{{\"Name\":\"{}\",\"Weight\":{}}}", p.name, p.weight.unwrap_or(0)))
                    .collect();
                if all.is_empty() { "null".to_owned() } else { format!("[{}]", all.join(",")) }
            };
            let value =
                format!("{{\"Enabled\":{},\"Disabled\":{}}}", names(&own.enabled), names(&own.disabled));
            let at = format!("profiles[{index}].plugins.queueSort");
            errors.push(invalid(&at, value, "must be the same for all profiles"));
        }
    }
    errors
}
