//! Patches on JSON values.
