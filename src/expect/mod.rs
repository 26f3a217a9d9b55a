//! Expectations: what must hold at an instant, by an instant, during a span or at the end.
//!
//! * [`spec`]: what an expectation is, as data. [`count`]: exact numbers and comparisons.
//! * [`cause`]: stable names for the reasons why a Pod is not scheduled.
//! * `evaluate`: the judge, fed with the changes of objects as they happen.
//!
//! Nothing here steers: an evaluator sees changes and has no way to make one.

pub mod cause;
pub mod count;
pub mod spec;

pub use cause::Cause;
pub use count::Count;
pub use spec::{Expectation, Subject, When};
