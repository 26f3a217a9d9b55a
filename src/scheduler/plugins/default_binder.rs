//! DefaultBinder: Pods are bound through the API.
//!
//! The binding itself is written by whoever runs the scheduler, from [`Decision::Bind`]; a profile without a Bind
//! plugin is refused.
//!
//! Upstream: `pkg/scheduler/framework/plugins/defaultbinder/default_binder.go`, v1.34.
//!
//! [`Decision::Bind`]: crate::scheduler::Decision::Bind

use crate::scheduler::framework::{Extensions, Setup};

/// The plugin's name.
pub const NAME: &str = "DefaultBinder";

/// Makes the plugin.
pub fn new(_: &Setup<'_>) -> Extensions {
    Extensions::of(NAME, ()).binds().done()
}
