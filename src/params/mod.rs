//! Parameters of the model: what hardware, clouds and containers do, since none of them is here.
//!
//! Data with documented defaults and their sources; read by the kubelet, the controllers and the cloud,
//! filled in by a plan.

pub mod behaviour;
pub mod drivers;
pub mod ebs;
pub mod latency;
pub mod metrics;
pub mod mounts;
pub mod operations;
pub mod settings;
pub mod traffic;
pub mod version;
pub mod watch;

pub use behaviour::Behaviour;
pub use latency::{Delay, ImagePull, Latencies};
pub use metrics::Metric;
pub use operations::{DriverChange, Operation, Operations};
pub use settings::Settings;
pub use traffic::Traffic;
pub use version::KubeVersion;
pub use watch::Watch;
