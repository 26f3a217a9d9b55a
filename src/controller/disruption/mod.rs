//! PodDisruptionBudgets and evictions.

pub mod eviction;
