//! Plugins by name: the default ones and any that a user adds.
//!
//! Upstream: `pkg/scheduler/framework/runtime/registry.go`, v1.34.

use std::fmt;
use std::sync::Arc;

use super::{DEFAULT, MORE};
use crate::scheduler::framework::{Extensions, Setup};

type Make = Arc<dyn Fn(&Setup<'_>) -> Extensions + Send + Sync>;

/// Plugins by name.
#[derive(Clone)]
pub struct Registry {
    plugins: Vec<(&'static str, Make)>,
}

impl Default for Registry {
    /// The plugins of the default profile, and those beside them.
    fn default() -> Self {
        let make = |make: fn(&Setup<'_>) -> Extensions| -> Make { Arc::new(make) };
        Self { plugins: DEFAULT.iter().chain(MORE).map(|entry| (entry.name, make(entry.make))).collect() }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.plugins.iter().map(|(name, _)| name)).finish()
    }
}

impl Registry {
    /// Adds a plugin. It runs in profiles that enable it.
    ///
    /// # Errors
    /// A plugin of this name is there already.
    pub fn register(
        &mut self,
        name: &'static str,
        make: impl Fn(&Setup<'_>) -> Extensions + Send + Sync + 'static,
    ) -> Result<(), String> {
        if self.plugins.iter().any(|(have, _)| *have == name) {
            return Err(format!("a plugin named {name} already exists"));
        }
        self.plugins.push((name, Arc::new(make)));
        Ok(())
    }

    /// Makes a plugin; none if there is none of this name.
    pub fn make(&self, name: &str, setup: &Setup<'_>) -> Option<Extensions> {
        let (name, make) = self.plugins.iter().find(|(have, _)| *have == name)?;
        let mut made = make(setup);
        made.name = name;
        Some(made)
    }
}
