//! The string of the simulation: immutable, shared, one pointer wide.

/// An immutable, reference-counted string; literals cost no allocation.
///
/// Object names, labels, reasons and messages are all `Str`: copying one is a counter
/// increment, so a hundred thousand Pods of one template share their texts.
pub use arcstr::ArcStr as Str;

/// Makes a [`Str`] from a string literal without allocating.
pub use arcstr::literal as lit;
