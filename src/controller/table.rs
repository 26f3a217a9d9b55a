//! The list of all controllers.

use super::framework::Controller;

/// A row of the table: makes one controller.
type Make = fn() -> Box<dyn Controller>;

/// All controllers, in the order in which they hear of changes.
pub const TABLE: &[(&str, Make)] = &[("statefulset", super::statefulset::StatefulSetController::boxed)];

/// Makes them all.
pub fn all() -> Vec<Box<dyn Controller>> {
    TABLE.iter().map(|(_, make)| make()).collect()
}
