//! Codes of what can be wrong with a scenario. Codes never change their meaning.

/// A field that does not exist.
pub const UNKNOWN_FIELD: &str = "WT0201";
/// A field that must be there is not.
pub const MISSING_FIELD: &str = "WT0202";
/// A value of the wrong type, or one that cannot be read.
pub const BAD_VALUE: &str = "WT0203";
/// The file is not a scenario.
pub const NOT_A_SCENARIO: &str = "WT0204";
/// A step without a verb, or with an unknown one, or with several.
pub const BAD_STEP: &str = "WT0205";
/// A kind of object that nobody knows.
pub const UNKNOWN_KIND: &str = "WT0206";
/// A file that cannot be read, or a pattern that matches none.
pub const FILE: &str = "WT0207";
/// An instance type that is not in the catalogue.
pub const UNKNOWN_INSTANCE_TYPE: &str = "WT0208";
/// A zone, node or node group that the cluster does not have.
pub const UNKNOWN_PLACE: &str = "WT0209";
/// Two things of one name.
pub const DUPLICATE: &str = "WT0210";
/// Fields that exclude one another, or of which one must be there.
pub const CHOICE: &str = "WT0211";
/// A value out of its range.
pub const OUT_OF_RANGE: &str = "WT0212";
/// A component or flag that does not exist.
pub const UNKNOWN_FLAG: &str = "WT0213";
/// A Kubernetes version whose words are not known.
pub const UNKNOWN_VERSION: &str = "WT0214";
/// More than the scenario may have.
pub const LIMIT: &str = "WT0215";
/// A manifest that would be accepted as text but is none for an apply.
pub const BAD_MANIFEST: &str = "WT0216";
/// A row of a file that cannot be read, or a file that is no table.
pub const BAD_ROW: &str = "WT0217";

/// A value that a component of Kubernetes refuses; the manifests' own code.
pub const INVALID_VALUE: &str = "WT0111";

/// An expectation without a subject, or with an unknown one, or with several.
pub const BAD_SUBJECT: &str = "WT0301";
/// An expectation with more than one of `at`, `by` and `during`, or with a span that ends before it begins.
pub const BAD_WHEN: &str = "WT0302";
/// A cause that does not exist.
pub const UNKNOWN_CAUSE: &str = "WT0303";
/// An expectation that asks nothing.
pub const ASKS_NOTHING: &str = "WT0304";

/// An expectation about an object that no manifest or step defines.
pub const LINT_UNDEFINED: &str = "WT0401";
/// A step after the end of the run.
pub const LINT_LATE_STEP: &str = "WT0402";
/// A behaviour that matches no container.
pub const LINT_IDLE_BEHAVIOUR: &str = "WT0403";
/// Zonal volumes are made before the Pod has a node.
pub const LINT_IMMEDIATE: &str = "WT0404";
/// An expectation that looks at the cluster after the end of the run.
pub const LINT_LATE_EXPECTATION: &str = "WT0405";
/// A step that acts on an object that no manifest or step defines.
pub const LINT_STEP_TARGET: &str = "WT0406";
/// Two expectations of one name.
pub const LINT_SAME_NAME: &str = "WT0407";
/// A cluster without nodes, though something wants to run.
pub const LINT_NO_NODES: &str = "WT0408";
/// A class whose provisioner nobody runs, though there are claims for it.
pub const LINT_NO_DRIVER: &str = "WT0409";
/// Data that stay on a node when their Pod goes.
pub const LINT_HOST_PATH: &str = "WT0410";
/// Replicas on several nodes that share a volume of one node.
pub const LINT_SHARED_DISK: &str = "WT0411";
/// A claim whose class does not exist.
pub const LINT_NO_CLASS: &str = "WT0412";
/// A node group over several zones, whose autoscaler cannot choose the zone of a volume.
pub const LINT_SPANNING_GROUP: &str = "WT0413";
/// A claim for which its class makes no volume.
pub const LINT_NO_VOLUME: &str = "WT0414";
