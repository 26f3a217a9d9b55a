//! The fields of a file of workloads.
//!
//! Upstream: `test/integration/scheduler_perf/scheduler_perf.go` and `create.go`, v1.34.

use crate::scenario::shape::{Field, Shape, Type, optional, required};

const COUNT: Field = optional("count", Type::Integer(0), "How many.");
const COUNT_PARAM: Field = optional(
    "countParam",
    Type::Text,
    "The parameter that says how many, with a dollar sign before its name.",
);
const OPCODE: Field = required("opcode", Type::Text, "What is done.");
const NAMESPACE: Field = optional("namespace", Type::Text, "The namespace; one of its own if none is given.");
const SKIP_WAIT: Field = optional(
    "skipWaitToCompletion",
    Type::Bool,
    "Whether the next operation begins before this one is done.",
);
const LABEL_SELECTOR: Field = optional("labelSelector", Type::TextMap, "Only Pods with these labels.");

/// A test case.
pub static CASE: Shape = Shape {
    name: "TestCase",
    doc: "A workload in several sizes.",
    fields: &[&[
        required("name", Type::Text, "Its name."),
        optional("labels", Type::List(&Type::Text), "Not used."),
        optional("featureGates", Type::Json, "Not used."),
        optional("metricsCollectorConfig", Type::Json, "Not used."),
        optional("thresholdMetricSelector", Type::Json, "Not used."),
        optional("schedulerConfigPath", Type::Text, "A file with a KubeSchedulerConfiguration."),
        optional("defaultPodTemplatePath", Type::Text, "What Pods are whose operation does not say."),
        required("workloadTemplate", Type::List(&Type::Json), "What is done, in order."),
        required("workloads", Type::List(&Type::Json), "The sizes."),
    ]],
};

/// A size.
pub static WORKLOAD: Shape = Shape {
    name: "Workload",
    doc: "The numbers of one size.",
    fields: &[&[
        required("name", Type::Text, "Its name."),
        optional("params", Type::Json, "Numbers by parameter."),
        optional("labels", Type::List(&Type::Text), "A size labelled `performance` is the usual one."),
        optional("featureGates", Type::Json, "Not used."),
        optional("threshold", Type::Number, "Not used."),
        optional("thresholdMetricSelector", Type::Json, "Not used."),
    ]],
};

/// The operations, with their fields.
pub static OPS: &[(&str, Shape)] = &[
    (
        "createNodes",
        Shape {
            name: "createNodes",
            doc: "Nodes join.",
            fields: &[&[
                OPCODE,
                COUNT,
                COUNT_PARAM,
                optional("nodeTemplatePath", Type::Text, "What the nodes are."),
                optional("labelNodePrepareStrategy", Type::Json, "A label that takes values in turn."),
                optional(
                    "uniqueNodeLabelStrategy",
                    Type::Json,
                    "A label whose value is another for every node.",
                ),
                optional("nodeAllocatableStrategy", Type::Json, "What is added to the node and its CSINode."),
            ]],
        },
    ),
    (
        "createNamespaces",
        Shape {
            name: "createNamespaces",
            doc: "Namespaces `prefix-0`, `prefix-1` and so on.",
            fields: &[&[
                OPCODE,
                COUNT,
                COUNT_PARAM,
                required("prefix", Type::Text, "How their names begin."),
                optional("namespaceTemplatePath", Type::Text, "What they are, if more than a name."),
            ]],
        },
    ),
    (
        "createPods",
        Shape {
            name: "createPods",
            doc: "Pods are made and placed.",
            fields: &[&[
                OPCODE,
                COUNT,
                COUNT_PARAM,
                NAMESPACE,
                SKIP_WAIT,
                optional("podTemplatePath", Type::Text, "What the Pods are."),
                optional("collectMetrics", Type::Bool, "Whether placing them is measured."),
                optional("persistentVolumeTemplatePath", Type::Text, "A volume for each Pod."),
                optional(
                    "persistentVolumeClaimTemplatePath",
                    Type::Text,
                    "A claim for each Pod, bound to its volume.",
                ),
                optional("steadyState", Type::Bool, "Whether placed Pods are replaced by new ones."),
                optional("duration", Type::Duration, "For how long they are."),
            ]],
        },
    ),
    (
        "createPodSets",
        Shape {
            name: "createPodSets",
            doc: "The same Pods in several namespaces.",
            fields: &[&[
                OPCODE,
                COUNT,
                COUNT_PARAM,
                required("namespacePrefix", Type::Text, "How the names of the namespaces begin."),
                required("createPodsOp", Type::Json, "A `createPods`."),
            ]],
        },
    ),
    (
        "createAny",
        Shape {
            name: "createAny",
            doc: "Objects of any kind.",
            fields: &[&[
                OPCODE,
                COUNT,
                COUNT_PARAM,
                NAMESPACE,
                required("templatePath", Type::Text, "What the objects are."),
            ]],
        },
    ),
    (
        "deletePods",
        Shape {
            name: "deletePods",
            doc: "Pods go.",
            fields: &[&[
                OPCODE,
                required("namespace", Type::Text, "From where."),
                LABEL_SELECTOR,
                SKIP_WAIT,
                optional("deletePodsPerSecond", Type::Integer(0), "How fast; all at once if 0."),
            ]],
        },
    ),
    (
        "churn",
        Shape {
            name: "churn",
            doc: "Objects come and go beside what follows.",
            fields: &[&[
                OPCODE,
                required("mode", Type::Words(&["create", "recreate"]), "Whether they go again."),
                optional("number", Type::Integer(0), "How many rounds."),
                optional("intervalMilliseconds", Type::Integer(1), "Time between rounds."),
                NAMESPACE,
                required("templatePaths", Type::List(&Type::Text), "One object of each in a round."),
            ]],
        },
    ),
    (
        "barrier",
        Shape {
            name: "barrier",
            doc: "Waits for Pods.",
            fields: &[&[
                OPCODE,
                optional(
                    "namespaces",
                    Type::List(&Type::Text),
                    "Of these namespaces; of all if none is given.",
                ),
                LABEL_SELECTOR,
                optional("stageRequirement", Type::Words(&["Scheduled", "Attempted"]), "What is waited for."),
            ]],
        },
    ),
    (
        "sleep",
        Shape {
            name: "sleep",
            doc: "Lets virtual time pass.",
            fields: &[&[OPCODE, required("duration", Type::Duration, "How long.")]],
        },
    ),
    (
        "startCollectingMetrics",
        Shape {
            name: "startCollectingMetrics",
            doc: "What follows is measured.",
            fields: &[&[
                OPCODE,
                optional("name", Type::Text, "Not used."),
                optional("namespaces", Type::List(&Type::Text), "Not used."),
                LABEL_SELECTOR,
            ]],
        },
    ),
    (
        "stopCollectingMetrics",
        Shape { name: "stopCollectingMetrics", doc: "What follows is not measured.", fields: &[&[OPCODE]] },
    ),
];

/// Operations of upstream that are not carried out here.
pub const NOT_HERE: &[&str] =
    &["allocResourceClaims", "createResourceClaims", "createResourceDriver", "updateAny"];

/// `labelNodePrepareStrategy`.
pub static LABELS: Shape = Shape {
    name: "labelNodePrepareStrategy",
    doc: "A label that takes values in turn.",
    fields: &[&[
        required("labelKey", Type::Text, "The label."),
        required("labelValues", Type::List(&Type::Text), "Its values."),
    ]],
};

/// `uniqueNodeLabelStrategy`.
pub static UNIQUE: Shape = Shape {
    name: "uniqueNodeLabelStrategy",
    doc: "A label whose value is another for every node.",
    fields: &[&[required("labelKey", Type::Text, "The label.")]],
};

/// `nodeAllocatableStrategy`.
pub static ALLOCATABLE: Shape = Shape {
    name: "nodeAllocatableStrategy",
    doc: "What is added to the node and its CSINode.",
    fields: &[&[
        optional("nodeAllocatable", Type::TextMap, "Resources of the node."),
        optional("csiNodeAllocatable", Type::Json, "Drivers with how many volumes each can attach."),
        optional("migratedPlugins", Type::List(&Type::Text), "In-tree plugins that are migrated."),
    ]],
};

/// One driver of `csiNodeAllocatable`.
pub static DRIVER: Shape = Shape {
    name: "csiNodeAllocatable",
    doc: "How much a driver can attach.",
    fields: &[&[required("count", Type::Integer(0), "How many volumes.")]],
};
