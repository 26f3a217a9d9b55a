//! What plugins remember within one scheduling cycle.
//!
//! Upstream: `pkg/scheduler/framework/cycle_state.go`, v1.34; there keyed by text, here by type.

use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// Data that a plugin keeps from PreFilter to Filter, or from PreScore to Score. One type, one entry.
///
/// The dry runs of preemption copy the state of the cycle; an entry is copied only when it is then changed.
pub trait StateData: Any + Send + Sync + fmt::Debug {
    /// A copy behind a new pointer.
    fn copy(&self) -> Arc<dyn StateData>;
    /// The value, to be looked at as what it is.
    fn as_any(&self) -> &dyn Any;
    /// The value, to be changed as what it is.
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

impl<T: Clone + fmt::Debug + Send + Sync + 'static> StateData for T {
    fn copy(&self) -> Arc<dyn StateData> {
        Arc::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// The state of one cycle: at most one value of each type, and which plugins have nothing to do in it.
#[derive(Clone, Debug, Default)]
pub struct CycleState {
    entries: Vec<(TypeId, Arc<dyn StateData>)>,
    /// Plugins (by their index in the profile) whose PreFilter said that Filter is not needed.
    pub(in crate::scheduler) skip_filter: u64,
    /// Plugins whose PreScore said that Score is not needed.
    pub(in crate::scheduler) skip_score: u64,
}

impl CycleState {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps `value`, in place of an earlier one of its type.
    pub fn write<T: StateData>(&mut self, value: T) {
        let id = TypeId::of::<T>();
        match self.entries.iter_mut().find(|(have, _)| *have == id) {
            Some(entry) => entry.1 = Arc::new(value),
            None => self.entries.push((id, Arc::new(value))),
        }
    }

    /// The value of this type.
    pub fn read<T: StateData>(&self) -> Option<&T> {
        let id = TypeId::of::<T>();
        let (_, data) = self.entries.iter().find(|(have, _)| *have == id)?;
        (**data).as_any().downcast_ref()
    }

    /// The value of this type, to be changed; no other copy of the state sees the change.
    pub fn read_mut<T: StateData>(&mut self) -> Option<&mut T> {
        let id = TypeId::of::<T>();
        let (_, data) = self.entries.iter_mut().find(|(have, _)| *have == id)?;
        if Arc::get_mut(data).is_none() {
            *data = (**data).copy();
        }
        Arc::get_mut(data)?.as_any_mut().downcast_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Count(u32);
    #[derive(Clone, Debug, PartialEq)]
    struct Name(&'static str);

    #[test]
    fn a_copy_changes_alone() {
        let mut state = CycleState::new();
        state.write(Count(1));
        state.write(Name("a"));
        let mut copy = state.clone();
        copy.read_mut::<Count>().unwrap().0 = 2;
        assert_eq!((state.read(), copy.read()), (Some(&Count(1)), Some(&Count(2))));
        assert_eq!(copy.read(), Some(&Name("a")));
        copy.write(Count(3));
        assert_eq!(copy.read(), Some(&Count(3)));
        assert_eq!(CycleState::new().read::<Count>(), None);
    }
}
