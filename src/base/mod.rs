//! Values that everything else is made of: time, quantities, strings, diagnostics.
//!
//! Nothing here knows of events, of Kubernetes objects or of files.

pub mod diag;
pub mod diag_codes;
pub mod fetch;
pub mod few;
pub mod lookup;
pub mod number_set;
pub mod paged;
pub mod quantity;
pub mod sha256;
pub mod shared;
pub mod text;
pub mod time;

pub use diag::{Diagnostic, Severity, SourceId, SourceMap, Span};
pub use fetch::{Skim, fetch, gather};
pub use few::{Few, Sparse};
pub use lookup::{LookupMap, LookupSet};
pub use number_set::NumberSet;
pub use paged::Paged;
pub use quantity::Quantity;
pub use shared::{Arc, Shared};
pub use text::Str;
pub use time::{SimDuration, SimTime, Timestamp};
