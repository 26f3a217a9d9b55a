//! Expectations: what must hold at an instant, by an instant, during a span or at the end.
//!
//! * [`spec`]: what an expectation is, as data. [`count`]: exact numbers and comparisons.
//! * [`cause`]: stable names for the reasons why a Pod is not scheduled.
//! * [`fields`], [`pods`], [`event`]: what can be read of objects. [`data`]: what is on volumes.
//! * [`traffic`]: what becomes of requests. [`cost`]: what nodes cost and what is made of them.
//! * [`evaluate`]: the judge, fed with the changes of objects as they happen. [`verdict`]: what it says.
//!
//! Nothing here steers: an evaluator sees changes and has no way to make one.

pub mod cause;
pub mod cost;
pub mod count;
pub mod data;
pub mod evaluate;
pub mod event;
pub mod fields;
pub mod pods;
pub mod spec;
pub mod trace;
pub mod traffic;
pub mod verdict;

pub use cause::Cause;
pub use cost::Bill;
pub use count::Count;
pub use evaluate::Evaluator;
pub use spec::{Expectation, Subject, When};
pub use verdict::{Judgement, Verdict};
