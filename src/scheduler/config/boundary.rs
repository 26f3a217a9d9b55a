//! The configuration as people write it, field by field.
//!
//! Upstream: `kube-scheduler/config/v1/types.go`, v1.34.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::lower::json::from_value;
use crate::scheduler::profile::Point;

pub(super) const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";
/// Where upstream's scheme is made, as its messages say.
const SCHEME: &str = "pkg/scheduler/apis/config/scheme/scheme.go:29";

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(dead_code, reason = "fields that are read and not used are known all the same")]
pub(super) struct Configuration {
    api_version: Option<String>,
    kind: Option<String>,
    pub parallelism: Option<i32>,
    leader_election: Option<Value>,
    client_connection: Option<Value>,
    enable_profiling: Option<bool>,
    enable_contention_profiling: Option<bool>,
    pub percentage_of_nodes_to_score: Option<i32>,
    pub pod_initial_backoff_seconds: Option<i64>,
    pub pod_max_backoff_seconds: Option<i64>,
    pub profiles: Vec<BoundaryProfile>,
    pub extenders: Vec<Value>,
    delay_cache_until_active: Option<bool>,
}

impl Configuration {
    pub fn initial_backoff(&self) -> i64 {
        self.pod_initial_backoff_seconds.unwrap_or(1)
    }

    pub fn max_backoff(&self) -> i64 {
        self.pod_max_backoff_seconds.unwrap_or(10)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BoundaryProfile {
    pub scheduler_name: Option<String>,
    pub percentage_of_nodes_to_score: Option<i32>,
    pub plugins: Option<BoundaryPlugins>,
    pub plugin_config: Vec<PluginConfig>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct BoundaryPlugins {
    pre_enqueue: BoundaryPluginSet,
    queue_sort: BoundaryPluginSet,
    pre_filter: BoundaryPluginSet,
    filter: BoundaryPluginSet,
    post_filter: BoundaryPluginSet,
    pre_score: BoundaryPluginSet,
    score: BoundaryPluginSet,
    reserve: BoundaryPluginSet,
    permit: BoundaryPluginSet,
    pre_bind: BoundaryPluginSet,
    bind: BoundaryPluginSet,
    post_bind: BoundaryPluginSet,
    pub multi_point: BoundaryPluginSet,
}

impl BoundaryPlugins {
    pub const fn at(&self, point: Point) -> &BoundaryPluginSet {
        match point {
            Point::PreFilter => &self.pre_filter,
            Point::Filter => &self.filter,
            Point::PostFilter => &self.post_filter,
            Point::Reserve => &self.reserve,
            Point::PreScore => &self.pre_score,
            Point::Score => &self.score,
            Point::PreBind => &self.pre_bind,
            Point::Bind => &self.bind,
            Point::PostBind => &self.post_bind,
            Point::Permit => &self.permit,
            Point::PreEnqueue => &self.pre_enqueue,
            Point::QueueSort => &self.queue_sort,
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct BoundaryPluginSet {
    pub enabled: Vec<BoundaryPlugin>,
    pub disabled: Vec<BoundaryPlugin>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub(super) struct BoundaryPlugin {
    pub name: String,
    pub weight: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PluginConfig {
    pub name: String,
    pub args: Option<Value>,
}

/// Decodes strictly.
///
/// # Errors
/// The first value of a wrong type, or all fields that do not exist.
pub(super) fn decode(json: &Value) -> Result<Configuration, Vec<String>> {
    let word = |field: &str| json.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (word("apiVersion"), word("kind"));
    if kind.is_empty() {
        return Err(vec![format!("Object 'Kind' is missing in '{json}'")]);
    }
    if kind != KIND || version != API_VERSION {
        return Err(vec![format!(
            "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{SCHEME}\""
        )]);
    }
    let (configuration, unknown) = strict::<Configuration>(json).map_err(|error| vec![error])?;
    let mut wrong: Vec<String> = unknown;
    for (i, profile) in configuration.profiles.iter().enumerate() {
        for (j, config) in profile.plugin_config.iter().enumerate() {
            match super::args::check(config) {
                Ok(unknown) if unknown.is_empty() => {}
                Ok(unknown) => wrong.push(format!(
                    "decoding .profiles[{i}].pluginConfig[{j}]: strict decoding error: decoding args for plugin {}: \
                     strict decoding error: {}",
                    config.name,
                    unknown.join(", ")
                )),
                Err(why) => return Err(vec![format!("decoding .profiles[{i}].pluginConfig[{j}]: {why}")]),
            }
        }
    }
    if wrong.is_empty() {
        Ok(configuration)
    } else {
        Err(vec![format!("strict decoding error: {}", wrong.join(", "))])
    }
}

/// Reads a value and names the fields in it that do not exist, in upstream's words.
pub(super) fn strict<T: DeserializeOwned>(json: &Value) -> Result<(T, Vec<String>), String> {
    let read = from_value::<T>(json.clone()).map_err(|error| error.to_string())?;
    let mut unknown = Vec::new();
    // Types were checked above, so only unknown fields are left to find.
    let _ = serde_ignored::deserialize::<_, _, T>(json, |path| {
        unknown.push(format!("unknown field \"{}\"", dotted(&path.to_string())));
    });
    Ok((read, unknown))
}

/// `profiles.0.plugins.?.x` as upstream writes it: `profiles[0].plugins.x`.
fn dotted(path: &str) -> String {
    let mut text = String::new();
    for part in path.split('.').filter(|part| *part != "?") {
        if part.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
            text.push_str(&format!("[{part}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
    }
    text
}
