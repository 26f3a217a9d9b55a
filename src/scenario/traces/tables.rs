//! Fields of `spec.traces`, of `cluster.nodeFiles` and of the expectation `trace`.

use crate::scenario::shape::{Field, Shape, Type, defaulted, optional, required};
use crate::trace::TimeUnit;

/// Pods that arrive one after the other.
pub static TRACE: Shape = Shape {
    name: "Trace",
    doc: "Pods that arrive one after the other: those of a file's rows (`file`), or drawn from distributions (`generate`). They are bare Pods with `restartPolicy: Never` and the label `wavetank.dev/trace`; their containers run for as long as the annotation `wavetank.dev/runs-for` says.",
    fields: &[
        &[
            required(
                "name",
                Type::Text,
                "The trace's name, the first part of the names of Pods that bring none.",
            ),
            defaulted("namespace", Type::Text, "default", "Where its Pods live."),
        ],
        FILE,
        &[
            optional("columns", Type::Shape(&TRACE_COLUMNS), "What is in which column, in which unit."),
            defaulted(
                "badRows",
                Type::Words(&["refuse", "skip"]),
                "refuse",
                "Rows that cannot be read: the scenario is refused, or they are passed over and counted.",
            ),
            optional("generate", Type::Shape(&GENERATE), "Distributions that the Pods are drawn from."),
            defaulted(
                "template",
                Type::Json,
                "a container `main` that asks for nothing, of an image that nodes pull once",
                "What every Pod begins with: `metadata` and `spec`, as in the template of a Job. Columns and distributions set the requests of its first container.",
            ),
            defaulted("at", Type::Duration, "0s", "When the first Pod arrives."),
            defaulted(
                "speed",
                Type::Number,
                "1",
                "How much faster than in the trace time goes by: `10` lets Pods arrive after a tenth of the time and run for a tenth of it.",
            ),
            defaulted("limit", Type::Integer(0), "all", "At most so many rows are used."),
            defaulted(
                "window",
                Type::Shape(&WINDOW),
                "the whole trace",
                "The part of the trace that is used, by the time since its first row.",
            ),
            defaulted(
                "ttlSecondsAfterFinished",
                Type::Integer(0),
                "until the Pod garbage collector takes the oldest of more than `terminated-pod-gc-threshold`",
                "How long Pods stay after they have ended.",
            ),
        ],
    ],
};

/// A file that is a table.
const FILE: &[Field] = &[
    optional(
        "file",
        Type::Text,
        "A table, relative to this file; packed by gzip or not. Lines that begin with `#` are passed over.",
    ),
    defaulted(
        "format",
        Type::Words(&["csv", "ndjson"]),
        "by the file's name",
        "Comma-separated values, or a JSON object in every line (a column `a.b` is then inside the object `a`).",
    ),
    defaulted("delimiter", Type::Text, "\",\"", "What separates the values: one character."),
    defaulted(
        "header",
        Type::Bool,
        "true",
        "The first row names the columns. If not, they are called `\"1\"`, `\"2\"` and so on.",
    ),
];

/// A part of a trace.
pub(super) static WINDOW: Shape = Shape {
    name: "Window",
    doc: "A part of a trace, by the time since its first row.",
    fields: &[&[
        defaulted("from", Type::Duration, "0s", "From here on; it becomes the trace's begin."),
        defaulted("to", Type::Duration, "the end", "To just before here."),
    ]],
};

/// What is in which column.
pub(super) static TRACE_COLUMNS: Shape = Shape {
    name: "TraceColumns",
    doc: "What is in which column of a trace. A plain name stands for `{column: name}`.",
    fields: &[&[
        required(
            "arrival",
            Type::OneOf(&[Type::Text, Type::Shape(&TIME_COLUMN)]),
            "When the row's Pods arrive; counted from the earliest row.",
        ),
        defaulted(
            "duration",
            Type::OneOf(&[Type::Text, Type::Shape(&DURATION_COLUMN)]),
            "until something else ends them",
            "How long they run; where nothing is in the column, until something else ends them.",
        ),
        defaulted("name", Type::Text, "`<trace>-<row>`", "Their name; made a name that Kubernetes takes."),
        defaulted("count", Type::Text, "1", "How many Pods the row stands for."),
        optional("priority", Type::Text, "Their priority, a whole number."),
        optional(
            "requests",
            Type::MapOf(&Type::OneOf(&[Type::Text, Type::Shape(&AMOUNT_COLUMN)])),
            "What they request, by resource; for extended resources (`nvidia.com/gpu`) it is their limit too.",
        ),
        optional("labels", Type::MapOf(&Type::Text), "Their labels."),
        optional(
            "nodeSelector",
            Type::MapOf(&Type::OneOf(&[Type::Text, Type::Shape(&SELECTOR_COLUMN)])),
            "Labels that their node must have; where nothing is in the column, any node will do.",
        ),
    ]],
};

/// A column of instants.
pub(super) static TIME_COLUMN: Shape = Shape {
    name: "TimeColumn",
    doc: "A column of instants.",
    fields: &[&[
        required("column", Type::Text, "The column."),
        defaulted(
            "unit",
            Type::Words(TimeUnit::WORDS),
            "s",
            "What its numbers count; `rfc3339`: they are dates.",
        ),
    ]],
};

/// A column of durations, or of ends.
pub(super) static DURATION_COLUMN: Shape = Shape {
    name: "DurationColumn",
    doc: "A column of durations, or of the instants at which something ended.",
    fields: &[&[
        required("column", Type::Text, "The column."),
        defaulted("unit", Type::Words(TimeUnit::WORDS), "s", "What its numbers count."),
        optional(
            "since",
            Type::Text,
            "The column holds the end of what began at the instant in this one (or, where nothing is in it, at the arrival): the duration is the difference.",
        ),
    ]],
};

/// A column of amounts.
pub(super) static AMOUNT_COLUMN: Shape = Shape {
    name: "AmountColumn",
    doc: "A column of amounts of a resource.",
    fields: &[&[
        required("column", Type::Text, "The column."),
        defaulted(
            "unit",
            Type::Text,
            "none: quantities as Kubernetes writes them",
            "The suffix that makes its numbers quantities: `m` for thousandths of a core, `Mi` for mebibytes.",
        ),
        optional("times", Type::Text, "A column to multiply it with."),
    ]],
};

/// A column of label values.
pub(super) static SELECTOR_COLUMN: Shape = Shape {
    name: "SelectorColumn",
    doc: "A column of values of a label that nodes must have.",
    fields: &[&[
        required("column", Type::Text, "The column."),
        optional("separator", Type::Text, "What separates several values, of which the node must have one."),
    ]],
};

/// Distributions that Pods are drawn from.
pub(super) static GENERATE: Shape = Shape {
    name: "Generate",
    doc: "Distributions that Pods are drawn from, by the seed.",
    fields: &[&[
        required("count", Type::Integer(0), "How many Pods."),
        optional("over", Type::Duration, "They arrive evenly over this time."),
        optional(
            "interval",
            Type::Delay,
            "Or: from one arrival to the next; `{exponential: {mean: 2s}}` lets them arrive at random.",
        ),
        defaulted("duration", Type::Delay, "until something else ends them", "How long each runs."),
        optional(
            "requests",
            Type::MapOf(&Type::OneOf(&[Type::Quantity, Type::Shape(&DRAW)])),
            "What each requests, by resource: a quantity, or how it is drawn.",
        ),
    ]],
};

/// How an amount is drawn.
pub(super) static DRAW: Shape = Shape {
    name: "Draw",
    doc: "How an amount of a resource is drawn: exactly one of these.",
    fields: &[&[
        optional("uniform", Type::Shape(&UNIFORM), "Evenly spread."),
        optional(
            "oneOf",
            Type::IntegerMap,
            "One of these amounts, each with its weight: `{\"0\": 70, \"1\": 25, \"8\": 5}`.",
        ),
        optional("per", Type::Shape(&PER), "In proportion to another resource."),
    ]],
};

/// Evenly spread amounts.
pub(super) static UNIFORM: Shape = Shape {
    name: "UniformDraw",
    doc: "Evenly spread amounts: `min`, `min + step` and so on up to `max`.",
    fields: &[&[
        required("min", Type::Quantity, "The least."),
        required("max", Type::Quantity, "The most."),
        required("step", Type::Quantity, "From one to the next."),
    ]],
};

/// In proportion to another resource.
pub(super) static PER: Shape = Shape {
    name: "PerDraw",
    doc: "In proportion to another resource of the same Pod, which stands before it.",
    fields: &[&[
        required("resource", Type::Text, "The other resource: `cpu`."),
        required("amount", Type::Quantity, "For every whole unit of it: `4Gi` for every core."),
    ]],
};

/// A file with a node in every row.
pub static NODE_FILE: Shape = Shape {
    name: "NodeFile",
    doc: "A file with a node in every row, as `cluster.nodes` have them: what is not said of allocatable is capacity.",
    fields: &[
        FILE,
        &[
            required("columns", Type::Shape(&NODE_COLUMNS), "What is in which column, in which unit."),
            defaulted("limit", Type::Integer(0), "all", "At most so many rows are used."),
        ],
    ],
};

/// What is in which column of a file of nodes.
pub(super) static NODE_COLUMNS: Shape = Shape {
    name: "NodeColumns",
    doc: "What is in which column of a file of nodes. A plain name stands for `{column: name}`.",
    fields: &[&[
        defaulted("name", Type::Text, "`node-<row>`", "The node's name."),
        defaulted(
            "count",
            Type::Text,
            "1",
            "How many such nodes there are; where there are several, their names end in a number.",
        ),
        optional("zone", Type::Text, "Its zone."),
        optional(
            "capacity",
            Type::MapOf(&Type::OneOf(&[Type::Text, Type::Shape(&AMOUNT_COLUMN)])),
            "What it has, by resource; the rest as in `cluster.nodes`.",
        ),
        optional("labels", Type::MapOf(&Type::Text), "Its labels."),
    ]],
};

/// What became of the Pods of a trace.
pub static TRACE_CHECK: Shape = Shape {
    name: "TraceCheck",
    doc: "What became of the Pods of a trace by an instant. Pods wait from their creation until they get a node; those that still wait are counted by `pending` alone.",
    fields: &[&[
        required("name", Type::Text, "The trace."),
        optional("arrived", Type::Count, "Pods that were created."),
        optional("scheduled", Type::Count, "Pods that got a node."),
        optional("started", Type::Count, "Pods whose containers started."),
        optional("pending", Type::Count, "Pods that wait for a node."),
        optional("succeeded", Type::Count, "Pods that ended well."),
        optional("failed", Type::Count, "Pods that ended badly."),
        optional("waited", Type::Shape(&WAITED), "How long those that got a node had waited."),
    ]],
};

/// How long Pods waited.
pub static WAITED: Shape = Shape {
    name: "Waited",
    doc: "How long Pods waited for a node, at most: to less than one percent, `max` exactly.",
    fields: &[&[
        optional("p50", Type::Duration, "Half of them."),
        optional("p90", Type::Duration, "Nine in ten."),
        optional("p95", Type::Duration, "Nineteen in twenty."),
        optional("p99", Type::Duration, "Ninety-nine in a hundred."),
        optional("max", Type::Duration, "All of them."),
    ]],
};
