//! Every field and verb of the scenario file.

use super::shape::{Field, Shape, Type, defaulted, optional, required};
use super::traces::tables::{NODE_FILE, TRACE, TRACE_CHECK};

/// `apiVersion` of a scenario.
pub const API_VERSION: &str = "wavetank.dev/v1alpha1";
/// `kind` of a scenario.
pub const KIND: &str = "Scenario";

/// The whole file.
pub static SCENARIO: Shape = Shape {
    name: "Scenario",
    doc: "The whole file.",
    fields: &[&[
        required("apiVersion", Type::Words(&[API_VERSION]), "`wavetank.dev/v1alpha1`."),
        required("kind", Type::Words(&[KIND]), "`Scenario`."),
        required("metadata", Type::Shape(&METADATA), "What the scenario is called."),
        required("spec", Type::Shape(&SPEC), "What happens."),
    ]],
};

/// What the scenario is called.
pub static METADATA: Shape = Shape {
    name: "Metadata",
    doc: "What the scenario is called.",
    fields: &[&[
        required("name", Type::Text, "The name, in output and test reports."),
        optional("description", Type::Text, "What the scenario shows."),
        optional("labels", Type::TextMap, "For the reader; means nothing to the run."),
        optional("annotations", Type::TextMap, "For the reader; means nothing to the run."),
    ]],
};

/// What happens.
pub static SPEC: Shape = Shape {
    name: "Spec",
    doc: "What happens.",
    fields: &[&[
        defaulted(
            "seed",
            Type::Integer(0),
            "0",
            "What all randomness is derived from; `--seed` overrides it.",
        ),
        defaulted("start", Type::Time, "2026-01-05T08:00:00Z", "The virtual wall clock at t = 0."),
        defaulted(
            "duration",
            Type::Duration,
            "until nothing can happen any more",
            "How long the run lasts; `--until` overrides it.",
        ),
        defaulted("cluster", Type::Shape(&CLUSTER), "no nodes", "What the cluster is made of."),
        defaulted(
            "manifests",
            Type::List(&MANIFEST),
            "none",
            "Files, folders (not their subfolders), globs, relative to this file, or documents in place; applied in this order at t = 0, each by a server-side apply.",
        ),
        defaulted(
            "behaviour",
            Type::List(&Type::Shape(&BEHAVIOUR)),
            "containers start, become ready and run",
            "What the containers do. The first entry that matches a container and says something about a matter decides that matter.",
        ),
        defaulted(
            "traces",
            Type::List(&Type::Shape(&TRACE)),
            "none",
            "Pods that arrive one after the other, from files or drawn from distributions.",
        ),
        defaulted(
            "traffic",
            Type::List(&Type::Shape(&TRAFFIC)),
            "none",
            "Services and the requests they get.",
        ),
        defaulted("metrics", Type::List(&Type::Shape(&METRIC)), "none", "Custom and external metrics."),
        defaulted("steps", Type::List(&Type::Shape(&STEP)), "none", "What is done to the cluster, and when."),
        defaulted("expect", Type::List(&Type::Shape(&EXPECTATION)), "none", "What must hold."),
        optional(
            "recording",
            Type::Shape(&RECORDING),
            "For comparing the run with a recording of the real thing.",
        ),
    ]],
};

/// For comparing the run with a recording of the real thing.
pub static RECORDING: Shape = Shape {
    name: "Recording",
    doc: "For comparing the run with a recording of the real thing.",
    fields: &[&[required(
        "zeroAt",
        Type::Duration,
        "The instant that the recording calls zero. Changes nothing in the run.",
    )]],
};

/// What the cluster is made of.
pub static CLUSTER: Shape = Shape {
    name: "Cluster",
    doc: "What the cluster is made of.",
    fields: &[&[
        defaulted(
            "version",
            Type::Version,
            "\"1.34\"",
            "The release whose words the components use, from 1.28 on; behaviour is 1.34's.",
        ),
        defaulted(
            "zones",
            Type::List(&Type::Text),
            "those the nodes name",
            "All zones, in the order in which node groups are dealt out to them.",
        ),
        optional("nodeGroups", Type::List(&Type::Shape(&NODE_GROUP)), "Groups of equal nodes."),
        optional(
            "nodes",
            Type::List(&Type::Shape(&NODE)),
            "Nodes by name. They, like the nodes of the groups, are Ready, with their CSINode, before the first manifest is applied.",
        ),
        optional(
            "nodeFiles",
            Type::List(&Type::Shape(&NODE_FILE)),
            "Files with a node in every row, named or not.",
        ),
        optional("settings", Type::Settings, "Flags of upstream's components, by component."),
        optional("latencies", Type::Latencies, "How long hardware and clouds take."),
        optional(
            "drivers",
            Type::List(&Type::Shape(&DRIVER)),
            "What storage drivers do otherwise than usual.",
        ),
    ]],
};

/// What a storage driver does otherwise than usual, from an instant on.
pub static DRIVER: Shape = Shape {
    name: "Driver",
    doc: "What a storage driver does otherwise than usual: from the start (`cluster.drivers`) or from a step on. What is not mentioned stays as it was. Operations are `create`, `delete`, `attach`, `detach`, `expand`, `snapshot`, `mount`.",
    fields: &[&[
        required("name", Type::Text, "The driver: `ebs.csi.aws.com`."),
        defaulted(
            "denied",
            Type::List(&Type::Words(crate::params::Operation::WORDS)),
            "none",
            "Operations that the cloud forbids it, as with a missing permission. `[]`: it may do everything again.",
        ),
        defaulted(
            "errorRates",
            Type::MapOf(&Type::Number),
            "none",
            "Which part of its calls fails, by operation: `{attach: 0.1}`.",
        ),
        defaulted(
            "latencies",
            Type::MapOf(&Type::Delay),
            "those of the cluster",
            "How long its calls take, by operation.",
        ),
        defaulted(
            "room",
            Type::MapOf(&Type::Quantity),
            "no end",
            "How much its volumes in a zone may hold together, by zone.",
        ),
        defaulted(
            "attachLimit",
            Type::Integer(0),
            "what the CSINode says",
            "How many volumes a machine really takes.",
        ),
        defaulted(
            "mountTargets",
            Type::List(&Type::Text),
            "every zone",
            "EFS: the zones in which its file systems have a mount target. Elsewhere mounts fail.",
        ),
    ]],
};

/// A group of equal nodes, one group per zone underneath.
pub static NODE_GROUP: Shape = Shape {
    name: "NodeGroup",
    doc: "A group of equal nodes, one group per zone underneath. Its nodes are called `<group>-<zone>-<number>`.",
    fields: &[&[
        required("name", Type::Text, "The group's name."),
        optional(
            "instanceType",
            Type::Text,
            "A machine type of the built-in catalogue; capacity, allocatable, architecture and volume limit follow from it.",
        ),
        defaulted(
            "capacity",
            Type::QuantityMap,
            "the instance type's, else 4 CPUs, 16Gi, 100Gi of disk, 110 Pods",
            "What a machine has: `cpu`, `memory`, `ephemeral-storage`, `pods`, extended resources.",
        ),
        defaulted(
            "allocatable",
            Type::QuantityMap,
            "capacity less kube-reserved, system-reserved and eviction-hard",
            "What Pods may use.",
        ),
        required("size", Type::Integer(0), "Nodes at the start, dealt out to the zones in turn."),
        defaulted(
            "min",
            Type::Integer(0),
            "the group is left alone",
            "With `max`: the cluster autoscaler manages the group; `min` and `max` are dealt out like `size`.",
        ),
        defaulted("max", Type::Integer(0), "the group is left alone", "See `min`."),
        defaulted("zones", Type::List(&Type::Text), "all zones of the cluster", "Narrows the zones."),
        defaulted(
            "spansZones",
            Type::Bool,
            "false",
            "One autoscaling group over all its zones instead of one per zone: the cloud picks the zone of a new machine (where the group has fewest), and evens zones out by terminating machines, without a drain. Its nodes are called `<group>-<number>`.",
        ),
        defaulted(
            "price",
            Type::Number,
            "the instance type's, else 0",
            "Dollars per hour of a machine, for the outcome's cost and the expander `price`.",
        ),
        defaulted(
            "nodeTemplate",
            Type::Shape(&NODE_TEMPLATE),
            "the group's labels and taints",
            "What the cluster autoscaler is told of a machine while the group has none (the tags `k8s.io/cluster-autoscaler/node-template/…`).",
        ),
        optional("labels", Type::TextMap, "Labels beyond the well-known ones."),
        optional("taints", Type::List(&Type::Shape(&TAINT)), "Taints."),
        defaulted(
            "volumeLimits",
            Type::IntegerMap,
            "ebs.csi.aws.com with the instance type's limit, else 25",
            "CSI drivers on the nodes, with the number of volumes each can attach. Volumes are made by known drivers, by those named here and by those with a CSIDriver.",
        ),
    ]],
};

/// What the cluster autoscaler is told of a machine of a group that has none.
pub static NODE_TEMPLATE: Shape = Shape {
    name: "NodeTemplate",
    doc: "What the cluster autoscaler is told of a machine of a group that has none. The provider knows architecture, system, instance type, region and zone (`topology.kubernetes.io/zone`, `topology.ebs.csi.aws.com/zone`) by itself.",
    fields: &[&[
        optional("labels", Type::TextMap, "Labels."),
        optional("taints", Type::List(&Type::Shape(&TAINT)), "Taints."),
        optional(
            "withoutLabels",
            Type::List(&Type::Text),
            "Labels that a provider could know and this one does not.",
        ),
    ]],
};

/// A node by name.
pub static NODE: Shape = Shape {
    name: "Node",
    doc: "A node by name. `kubernetes.io/hostname`, `os` (linux) and `arch` (amd64) are added to its labels.",
    fields: &[&[
        required("name", Type::Text, "The node's name."),
        optional("zone", Type::Text, "Becomes the label `topology.kubernetes.io/zone`."),
        optional(
            "instanceType",
            Type::Text,
            "A machine type of the catalogue; capacity, allocatable, architecture and volume limit follow from it.",
        ),
        defaulted(
            "capacity",
            Type::QuantityMap,
            "the instance type's, else 4 CPUs, 16Gi, 100Gi of disk, 110 Pods",
            "What the machine has.",
        ),
        defaulted(
            "allocatable",
            Type::QuantityMap,
            "`capacity`; with an instance type: less reservations",
            "What Pods may use.",
        ),
        optional("labels", Type::TextMap, "Labels beyond the well-known ones."),
        optional("taints", Type::List(&Type::Shape(&TAINT)), "Taints."),
        defaulted(
            "volumeLimits",
            Type::IntegerMap,
            "ebs.csi.aws.com with the instance type's limit, else 25",
            "CSI drivers on the node: the CSINode's allocatable counts.",
        ),
    ]],
};

/// A taint as the API has it.
pub static TAINT: Shape = Shape {
    name: "Taint",
    doc: "A taint as the API has it.",
    fields: &[&[
        required("key", Type::Text, "The key."),
        optional("value", Type::Text, "The value."),
        required("effect", Type::Words(&["NoSchedule", "PreferNoSchedule", "NoExecute"]), "What it does."),
    ]],
};

static MANIFEST: Type = Type::OneOf(&[Type::Text, Type::Shape(&INLINE)]);

/// Manifests in place.
pub static INLINE: Shape = Shape {
    name: "Inline",
    doc: "Manifests in place.",
    fields: &[&[required("inline", Type::Json, "Documents as a text block, or one document as it is.")]],
};

/// What the containers that an entry matches do.
pub static BEHAVIOUR: Shape = Shape {
    name: "Behaviour",
    doc: "What the containers that an entry matches do. All of `selector`, `namespace`, `pod`, `container` and `image` that are given must match.",
    fields: &[&[
        optional("selector", Type::Selector, "Labels of the Pod."),
        defaulted("namespace", Type::Text, "all", "Namespace of the Pod."),
        defaulted("container", Type::Text, "all", "Name of the container."),
        optional("image", Type::Text, "The image; `*` stands for any text, `?` for any character."),
        optional("pod", Type::Text, "Name of the Pod, with the same signs: `db-0`, `web-*`."),
        optional(
            "pull",
            Type::Words(&["fails"]),
            "`fails`: the image cannot be pulled: ErrImagePull and ImagePullBackOff by turns; the Pod stays Pending.",
        ),
        defaulted("size", Type::Quantity, "100M", "Bytes of the image, for the time its pull takes."),
        defaulted(
            "startup",
            Type::Delay,
            "0s",
            "From container start to being able to answer; probes decide the rest.",
        ),
        defaulted(
            "shutdown",
            Type::Delay,
            "`latencies.podTermination`",
            "From SIGTERM to the container's end; the grace period cuts it off.",
        ),
        defaulted(
            "shutdownExitCode",
            Type::Integer(0),
            "0",
            "The exit code of a process that ends on SIGTERM: 143 if it has no handler for it. One that is killed after its grace has 137.",
        ),
        optional(
            "postStart",
            Type::Words(&["fails"]),
            "`fails`: the `postStart` hook of the spec fails, for which the container is killed: PostStartHookError.",
        ),
        optional(
            "preStop",
            Type::Words(&["fails"]),
            "`fails`: the `preStop` hook of the spec fails, which is said and changes nothing else.",
        ),
        optional("completes", Type::Shape(&COMPLETES), "The containers end by themselves."),
        optional("cpu", Type::Shape(&CPU_USE), "CPU usage."),
        optional("memory", Type::Shape(&MEMORY_USE), "Memory usage."),
        defaulted(
            "latency",
            Type::Duration,
            "0s",
            "What a request waits for beside CPU and the services it calls: a disk, a third party.",
        ),
        optional("disk", Type::Shape(&GROWING), "Disk that the container writes: bytes."),
        optional("processes", Type::Shape(&GROWING), "Processes that the container has."),
        optional(
            "hangs",
            Type::Shape(&OUTAGE),
            "The containers run on but answer nothing: their probes fail.",
        ),
        optional(
            "probes",
            Type::List(&Type::Shape(&PROBE_OUTAGE)),
            "Single probes fail for a while, though the containers answer.",
        ),
    ]],
};

/// Something that a container uses.
pub static GROWING: Shape = Shape {
    name: "Growing",
    doc: "Something that a container uses, and that grows while it runs.",
    fields: &[&[
        defaulted("idle", Type::Quantity, "0", "From the container's start."),
        defaulted("growth", Type::Quantity, "0", "Added every second."),
    ]],
};

/// A span of a container's life.
pub static OUTAGE: Shape = Shape {
    name: "Outage",
    doc: "A span of a container's life in which something fails; anew in each of its lives.",
    fields: &[OUTAGE_FIELDS],
};

static OUTAGE_FIELDS: &[Field] = &[
    defaulted("after", Type::Delay, "0s", "When it begins, from the container's start."),
    defaulted("lasts", Type::Delay, "as long as the container", "How long it lasts."),
];

/// A probe fails for a while.
pub static PROBE_OUTAGE: Shape = Shape {
    name: "ProbeOutage",
    doc: "A probe fails for a while.",
    fields: &[
        &[required("probe", Type::Words(&["startup", "readiness", "liveness"]), "Which probe.")],
        OUTAGE_FIELDS,
    ],
};

/// Containers end by themselves.
pub static COMPLETES: Shape = Shape {
    name: "Completes",
    doc: "Containers end by themselves.",
    fields: &[&[
        required("after", Type::Delay, "From their start."),
        defaulted(
            "exitCode",
            Type::Integer(0),
            "0",
            "With this code; with `failFirst`, only the first ones.",
        ),
        defaulted(
            "failFirst",
            Type::Integer(0),
            "all",
            "The first so many that end, per controller (Job), with `exitCode`, the others with 0.",
        ),
    ]],
};

/// CPU usage of a container.
pub static CPU_USE: Shape = Shape {
    name: "CpuUse",
    doc: "CPU usage of a container.",
    fields: &[&[
        defaulted("idle", Type::Quantity, "0", "Cores without any request."),
        defaulted("perRequest", Type::Quantity, "0", "Core-seconds per request: `4m` is 4 ms of one core."),
    ]],
};

/// Memory usage of a container.
pub static MEMORY_USE: Shape = Shape {
    name: "MemoryUse",
    doc: "Memory usage of a container.",
    fields: &[&[
        defaulted("idle", Type::Quantity, "0", "Bytes without any request."),
        defaulted(
            "perRequest",
            Type::Quantity,
            "0",
            "Bytes per request that a Pod works on, or that waits in its queue or for others (`traffic`).",
        ),
        defaulted("growth", Type::Quantity, "0", "Bytes that leak away every second."),
    ]],
};

/// A service that gets requests, from outside, from other services, or both.
pub static TRAFFIC: Shape = Shape {
    name: "Traffic",
    doc: "A service that gets requests: from outside at a `rate`, from other entries by their `calls`, or both. Requests reach the endpoints of a Service or the Ready Pods of a selector, and cost what `behaviour` says (`cpu.perRequest`, `latency`).",
    fields: &[&[
        defaulted("name", Type::Text, "the service or selector", "What it is called in output."),
        defaulted("namespace", Type::Text, "default", "Where the Service or the Pods live."),
        optional("service", Type::Text, "Name of the Service. Either this or `selector`."),
        optional("selector", Type::Selector, "Labels of the Pods. Either this or `service`."),
        optional(
            "rate",
            Type::OneOf(&[Type::Number, Type::List(&Type::Shape(&RATE)), Type::Shape(&CURVE)]),
            "Requests per second from outside: a number, points from which a rate holds until the next, or a curve.",
        ),
        defaulted(
            "noise",
            Type::Bool,
            "false",
            "Whether requests come at random (a Poisson process with that rate) instead of evenly.",
        ),
        defaulted(
            "resolution",
            Type::Duration,
            "10s; 1m for `daily`",
            "How finely slopes and noise are followed. A `daily` rate changes on this grid, where it has moved by a fiftieth of its swing (peak less mean); a gentle slope in steps of a hundredth of its higher end.",
        ),
        optional(
            "calls",
            Type::List(&Type::Shape(&CALL)),
            "What each request asks of other services, one after the other.",
        ),
        defaulted("timeout", Type::Duration, "10s", "How long callers wait before they give a request up."),
    ]],
};

/// From an instant on, a rate.
pub static RATE: Shape = Shape {
    name: "Rate",
    doc: "From an instant on, a rate.",
    fields: &[&[
        required("at", Type::Duration, "The instant."),
        required("rps", Type::Number, "Requests per second from then on."),
    ]],
};

/// A rate that changes all the time, in one of several forms.
pub static CURVE: Shape = Shape {
    name: "Curve",
    doc: "A rate that changes all the time: one of these.",
    fields: &[&[
        optional("ramp", Type::List(&Type::Shape(&RATE)), "Straight lines between these points."),
        optional("daily", Type::Shape(&DAILY), "A sine over the day."),
        optional("flash", Type::Shape(&FLASH), "A flash crowd: a peak that comes and goes."),
        optional(
            "csv",
            Type::Text,
            "A file of lines `seconds,requests per second` (a header may stand first); each rate holds until the next. Relative to the scenario.",
        ),
    ]],
};

/// A sine over the day.
pub static DAILY: Shape = Shape {
    name: "Daily",
    doc: "A sine over the day of the virtual wall clock (`spec.start`).",
    fields: &[&[
        required("mean", Type::Number, "Requests per second in the mean."),
        required(
            "peak",
            Type::Number,
            "Requests per second at the peak; the trough lies as far below the mean.",
        ),
        defaulted("peakAt", Type::Duration, "20h", "When the peak is, from midnight (UTC)."),
    ]],
};

/// A flash crowd.
pub static FLASH: Shape = Shape {
    name: "Flash",
    doc: "A flash crowd: a peak that comes and goes, in straight lines.",
    fields: &[&[
        required("base", Type::Number, "Requests per second before and after."),
        required("peak", Type::Number, "Requests per second at the peak."),
        required("at", Type::Duration, "When it begins."),
        defaulted("rise", Type::Duration, "1m", "How long it grows."),
        defaulted("hold", Type::Duration, "5m", "How long the peak lasts."),
        defaulted("fall", Type::Duration, "10m", "How long it ebbs away."),
    ]],
};

/// A metric that an adapter serves.
pub static METRIC: Shape = Shape {
    name: "Metric",
    doc: "A metric that an adapter serves to autoscalers: of Pods or of an object (`custom.metrics.k8s.io`), or of neither (`external.metrics.k8s.io`).",
    fields: &[&[
        required("name", Type::Text, "The metric's name."),
        defaulted("namespace", Type::Text, "default", "Where it is served."),
        defaulted("labels", Type::TextMap, "none", "Labels of the series, by which autoscalers select."),
        optional("pods", Type::Selector, "It is of each of these Pods."),
        optional(
            "object",
            Type::Text,
            "It is of this object, `kind/name`. Without `pods` and `object` it is external.",
        ),
        defaulted(
            "value",
            Type::OneOf(&[Type::Quantity, Type::List(&Type::Shape(&VALUE))]),
            "of `pods`: the requests per second that each answers",
            "Its value: a number, or points from which a value holds until the next.",
        ),
    ]],
};

/// From an instant on, a value.
pub static VALUE: Shape = Shape {
    name: "MetricValue",
    doc: "From an instant on, a value.",
    fields: &[&[
        required("at", Type::Duration, "The instant."),
        required("value", Type::Quantity, "The value from then on."),
    ]],
};

/// What a request asks of another service.
pub static CALL: Shape = Shape {
    name: "Call",
    doc: "What a request asks of another service.",
    fields: &[&[
        required("service", Type::Text, "The Service, or the `name` of an entry of `traffic`."),
        defaulted("namespace", Type::Text, "the caller's", "Where the Service lives."),
        defaulted("perRequest", Type::Number, "1", "How many calls a request makes on average."),
    ]],
};

/// Fields by which verbs name objects.
static TARGET: &[Field] = &[
    optional(
        "resource",
        Type::Text,
        "`kind/name` (any kubectl kind or short name), or a plural kind with a selector.",
    ),
    defaulted("namespace", Type::Text, "default", "Where the object lives."),
    optional("selector", Type::Selector, "Selects by labels."),
    optional("fieldSelector", Type::Text, "Selects by fields: `spec.nodeName=node-a,status.phase!=Running`."),
    optional("nth", Type::Integer(0), "Of those selected only the n-th by creation time, then name, from 0."),
    defaulted("all", Type::Bool, "false", "All objects of the kind, where no selector is given."),
    defaulted("allNamespaces", Type::Bool, "false", "In all namespaces."),
];

/// Fields by which verbs name nodes.
static NODE_SET: &[Field] = &[
    optional("nodes", Type::OneOf(&[Type::Text, Type::List(&Type::Text)]), "Nodes by name."),
    optional("selector", Type::Selector, "Nodes by labels."),
    optional("zone", Type::Text, "All nodes of a zone."),
    optional("group", Type::Text, "All nodes of a node group."),
    optional(
        "hosting",
        Type::Text,
        "`pod/name`: the node that Pod is on at that moment; later steps that name the same Pod mean the same node.",
    ),
    defaulted("namespace", Type::Text, "default", "Namespace of the Pod in `hosting`."),
];

/// Which nodes.
pub static NODES: Shape = Shape {
    name: "Nodes",
    doc: "Which nodes: exactly one of `nodes`, `selector`, `zone`, `group`, `hosting`. A name or a list of names may stand for the mapping.",
    fields: &[NODE_SET],
};

const NODES_TYPE: Type = Type::OneOf(&[Type::Text, Type::List(&Type::Text), Type::Shape(&NODES)]);

/// The verbs.
pub static VERBS: &[Field] = &[
    optional(
        "apply",
        Type::OneOf(&[Type::Text, Type::List(&MANIFEST)]),
        "`kubectl apply -f`: files, folders, globs or documents in place.",
    ),
    optional("delete", Type::Shape(&DELETE), "`kubectl delete --wait=false`."),
    optional("scale", Type::Shape(&SCALE), "`kubectl scale`."),
    optional("set", Type::Shape(&SET), "`kubectl set image`, `set resources`, `set env`."),
    optional("rollout", Type::Shape(&ROLLOUT), "`kubectl rollout undo`, `restart`, `pause`, `resume`."),
    optional("patch", Type::Shape(&PATCH), "`kubectl patch`."),
    optional("driver", Type::Shape(&DRIVER), "From now on a storage driver does otherwise."),
    optional("cordon", NODES_TYPE, "`kubectl cordon`."),
    optional("uncordon", NODES_TYPE, "`kubectl uncordon`."),
    optional(
        "drain",
        Type::OneOf(&[Type::Text, Type::List(&Type::Text), Type::Shape(&DRAIN)]),
        "`kubectl drain`, all nodes at once; a refused eviction is tried again every 5 s.",
    ),
    optional("taint", Type::Shape(&TAINT_STEP), "`kubectl taint --overwrite`."),
    optional("label", Type::Shape(&LABEL), "`kubectl label --overwrite`."),
    optional("annotate", Type::Shape(&ANNOTATE), "`kubectl annotate --overwrite`."),
    optional("failNode", NODES_TYPE, "The machines lose power: kubelet and containers stop at once."),
    optional(
        "shutdownNode",
        NODES_TYPE,
        "The machines are shut down: with `shutdown-grace-period` their Pods are ended first, critical ones last; without it as `failNode`.",
    ),
    optional("restoreNode", NODES_TYPE, "The machines come back, without running containers."),
    optional("failZone", Type::Text, "All machines of the zone lose power, and its disks cannot be reached."),
    optional("restoreZone", Type::Text, "The zone comes back."),
    optional("stopKubelet", NODES_TYPE, "The kubelet stops; containers run on, nobody looks after them."),
    optional("startKubelet", NODES_TYPE, "The kubelet starts again."),
    optional("partition", NODES_TYPE, "The nodes send nothing and touch no Pod; containers run on."),
    optional(
        "heal",
        NODES_TYPE,
        "The partition ends: lease and status at once, Pods after `latencies.podResync`.",
    ),
    optional(
        "addNodes",
        Type::Shape(&ADD_NODES),
        "Machines join: Node objects at once, Ready after `latencies.nodeReady`; or so many more of a node group, through the cloud.",
    ),
    optional("removeNode", NODES_TYPE, "The machines are terminated at the cloud."),
    optional(
        "outOfCapacity",
        Type::Shape(&OUT_OF_CAPACITY),
        "The cloud has no machines of a type, or in a zone, to give: what node groups ask for there does not come.",
    ),
    optional("evict", Type::Shape(&EVICT), "The eviction API is asked once for each Pod."),
    optional("crash", Type::Shape(&CRASH), "Containers end at once."),
    optional("hang", Type::Shape(&HANG), "Containers run on but answer nothing: their probes fail."),
    optional("fill", Type::Shape(&FILL), "Memory, disk or process numbers of Pods or nodes fill up."),
    optional(
        "load",
        Type::Shape(&LOAD),
        "CPU usage of Pods is set, until the next `load` with the same selector.",
    ),
];

/// A step.
pub static STEP: Shape = Shape {
    name: "Step",
    doc: "One key beside `at`, and that key is the verb. Steps never wait for their effect, but for `drain`. A step happens before everything else that is due at its instant.",
    fields: &[&[required("at", Type::Duration, "When, from the start of the simulation.")], VERBS],
};

/// What is deleted.
pub static DELETE: Shape = Shape {
    name: "Delete",
    doc: "What is deleted.",
    fields: &[
        TARGET,
        &[
            defaulted(
                "cascade",
                Type::Words(&["background", "foreground", "orphan"]),
                "background",
                "What becomes of the dependents.",
            ),
            defaulted("force", Type::Bool, "false", "`--force`."),
            defaulted("gracePeriod", Type::Duration, "the object's own", "`--grace-period`."),
        ],
    ],
};

/// What is scaled, and to how many.
pub static SCALE: Shape = Shape {
    name: "Scale",
    doc: "What is scaled, and to how many.",
    fields: &[TARGET, &[required("replicas", Type::Integer(0), "The wanted number.")]],
};

/// What is set, by container; `*` means all containers.
pub static SET: Shape = Shape {
    name: "Set",
    doc: "What is set, by container; `*` means all containers.",
    fields: &[
        TARGET,
        &[
            optional("image", Type::TextMap, "`{container: image}`."),
            optional(
                "resources",
                Type::MapOf(&Type::Shape(&SET_RESOURCES)),
                "`{container: {requests: {cpu: 200m}, limits: {…}}}`.",
            ),
            optional(
                "env",
                Type::MapOf(&Type::TextMap),
                "`{container: {NAME: value}}`; `null` removes the variable.",
            ),
        ],
    ],
};

/// Requests and limits; what is not named stays.
pub static SET_RESOURCES: Shape = Shape {
    name: "SetResources",
    doc: "Requests and limits; what is not named stays.",
    fields: &[&[
        optional("requests", Type::QuantityMap, "Requests."),
        optional("limits", Type::QuantityMap, "Limits."),
    ]],
};

/// Exactly one of `undo`, `restart`, `pause`, `resume`, with the workload as `kind/name`.
pub static ROLLOUT: Shape = Shape {
    name: "Rollout",
    doc: "Exactly one of `undo`, `restart`, `pause`, `resume`, with the workload as `kind/name`.",
    fields: &[&[
        optional("undo", Type::Text, "Back to the revision before, or to `toRevision`."),
        optional("toRevision", Type::Integer(0), "For `undo`."),
        optional("restart", Type::Text, "All Pods are replaced."),
        optional("pause", Type::Text, "The rollout is held."),
        optional("resume", Type::Text, "It goes on."),
        defaulted("namespace", Type::Text, "default", "Where the workload lives."),
    ]],
};

/// What is patched, and how.
pub static PATCH: Shape = Shape {
    name: "Patch",
    doc: "What is patched, and how.",
    fields: &[
        TARGET,
        &[
            required("patch", Type::Json, "The patch."),
            optional(
                "subresource",
                Type::Words(&["resize"]),
                "`resize`: CPU and memory of running Pods, in place.",
            ),
            defaulted("type", Type::Words(&["strategic", "merge", "json"]), "strategic", "How it is meant."),
        ],
    ],
};

/// Which nodes are drained, and how.
pub static DRAIN: Shape = Shape {
    name: "Drain",
    doc: "Which nodes are drained, and how. Done when the Pods are gone, which is looked at once a second.",
    fields: &[
        NODE_SET,
        &[
            defaulted(
                "ignoreDaemonsets",
                Type::Bool,
                "false",
                "Without it, Pods of DaemonSets refuse the drain.",
            ),
            defaulted(
                "deleteEmptyDirData",
                Type::Bool,
                "false",
                "Without it, Pods with emptyDir volumes refuse the drain.",
            ),
            defaulted(
                "force",
                Type::Bool,
                "false",
                "Without it, Pods without a controller refuse the drain.",
            ),
            defaulted(
                "disableEviction",
                Type::Bool,
                "false",
                "Delete instead of evicting: budgets are not asked.",
            ),
            defaulted("podSelector", Type::Selector, "all", "Only these Pods."),
            defaulted("gracePeriod", Type::Duration, "the Pods' own", "Overrides the Pods' grace period."),
            defaulted("timeout", Type::Duration, "none", "When kubectl gives up."),
            defaulted(
                "skipWaitForDeleteTimeout",
                Type::Duration,
                "none",
                "Pods that should have been gone for longer than this are not waited for.",
            ),
        ],
    ],
};

/// Which nodes are tainted.
pub static TAINT_STEP: Shape = Shape {
    name: "TaintStep",
    doc: "Which nodes are tainted.",
    fields: &[
        NODE_SET,
        &[required(
            "taints",
            Type::List(&Type::Text),
            "`key=value:Effect`, `key:Effect`; `key-` or `key:Effect-` to remove.",
        )],
    ],
};

/// What gets labels.
pub static LABEL: Shape = Shape {
    name: "Label",
    doc: "What gets labels.",
    fields: &[TARGET, &[required("labels", Type::TextMap, "New values; `null` removes.")]],
};

/// What gets annotations.
pub static ANNOTATE: Shape = Shape {
    name: "Annotate",
    doc: "What gets annotations.",
    fields: &[TARGET, &[required("annotations", Type::TextMap, "New values; `null` removes.")]],
};

/// Either `nodes`, or `group` and `count`.
pub static ADD_NODES: Shape = Shape {
    name: "AddNodes",
    doc: "Either `nodes`, or `group` and `count`.",
    fields: &[&[
        optional("nodes", Type::List(&Type::Shape(&NODE)), "Nodes as in `cluster.nodes`."),
        optional("group", Type::Text, "A node group."),
        defaulted("count", Type::Integer(1), "1", "How many more of it."),
    ]],
};

/// Which Pods are evicted.
pub static EVICT: Shape = Shape {
    name: "Evict",
    doc: "Which Pods are evicted.",
    fields: &[
        TARGET,
        &[defaulted("gracePeriod", Type::Duration, "the Pods' own", "Overrides the Pods' grace period.")],
    ],
};

/// Whose containers end, and how.
pub static CRASH: Shape = Shape {
    name: "Crash",
    doc: "Whose containers end, and how.",
    fields: &[
        TARGET,
        &[
            defaulted("container", Type::Text, "all regular ones", "Which container."),
            defaulted("exitCode", Type::Integer(0), "1, or 137 with `reason: OOMKilled`", "The exit code."),
            defaulted(
                "reason",
                Type::Text,
                "Error, or Completed with `exitCode: 0`",
                "As the runtime reports it: `Error`, `OOMKilled` …",
            ),
        ],
    ],
};

/// Whose containers hang.
pub static HANG: Shape = Shape {
    name: "Hang",
    doc: "Whose containers hang.",
    fields: &[
        TARGET,
        &[
            defaulted("container", Type::Text, "all regular ones", "Which container."),
            defaulted("for", Type::Duration, "until the container is restarted", "How long."),
        ],
    ],
};

/// Machines that the cloud does not have to give.
pub static OUT_OF_CAPACITY: Shape = Shape {
    name: "OutOfCapacity",
    doc: "Machines that the cloud does not have to give: of `instanceType`, in `zone`, or of that type in that zone; at least one of the two.",
    fields: &[&[
        optional("instanceType", Type::Text, "The machine type of node groups."),
        optional("zone", Type::Text, "The zone."),
        defaulted("for", Type::Duration, "for the rest of the run", "How long."),
    ]],
};

/// What fills up.
pub static FILL: Shape = Shape {
    name: "Fill",
    doc: "What fills up: Pods by `resource`, or nodes by `nodes`, `zone`, `group` or `hosting`; and exactly one of `memory`, `disk` and `processes`.",
    fields: &[
        TARGET,
        &[
            optional("nodes", Type::OneOf(&[Type::Text, Type::List(&Type::Text)]), "Nodes by name."),
            optional("zone", Type::Text, "All nodes of a zone."),
            optional("group", Type::Text, "All nodes of a node group."),
            optional("hosting", Type::Text, "`pod/name`: the node that Pod is on."),
            defaulted("container", Type::Text, "the first one", "Which container of the Pods."),
            optional(
                "memory",
                Type::QuantityOrPercent,
                "Memory in use then: bytes, or a percentage of the container's limit or the node's capacity.",
            ),
            optional("disk", Type::QuantityOrPercent, "Disk in use then, likewise."),
            optional(
                "processes",
                Type::QuantityOrPercent,
                "Processes then: a number, or a percentage of the node's 4194304.",
            ),
            optional(
                "volume",
                Type::Text,
                "With `disk`: an `emptyDir` volume of the Pods instead of a container; a percentage is one of its `sizeLimit`.",
            ),
            defaulted("over", Type::Duration, "0s", "How long filling takes, at an even pace."),
        ],
    ],
};

/// Either `total` (with or without `cap`) or `perPod`.
pub static LOAD: Shape = Shape {
    name: "Load",
    doc: "Either `total` (with or without `cap`) or `perPod`.",
    fields: &[&[
        required("selector", Type::Selector, "Which Pods."),
        defaulted("namespace", Type::Text, "default", "Where they live."),
        optional("total", Type::Quantity, "CPU of the whole app, shared by its Ready, not terminating Pods."),
        optional("cap", Type::Quantity, "At most, per Pod."),
        optional("perPod", Type::Quantity, "CPU of each Pod."),
    ]],
};

/// Fields of an expectation beside its subject.
pub static WHEN: &[Field] = &[
    defaulted("name", Type::Text, "made from the subject", "What people call it."),
    optional("at", Type::Duration, "It must be true at this instant."),
    optional("by", Type::Duration, "It must be true at some instant no later than this."),
    optional(
        "during",
        Type::List(&Type::Duration),
        "`[from, to]`: it must be true at every instant of the span.",
    ),
];

/// Subjects of expectations.
pub static SUBJECTS: &[Field] = &[
    optional("pods", Type::Shape(&PODS), "How many Pods are as described."),
    optional("event", Type::Shape(&EVENT), "How often something was said by then."),
    optional("endpoints", Type::Shape(&ENDPOINTS), "How many endpoints a Service has."),
    optional("object", Type::Shape(&OBJECT), "Whether an object of any kind exists."),
    optional("data", Type::Shape(&DATA), "What is on volumes: whether what was written is still there."),
    optional(
        "trace",
        Type::Shape(&TRACE_CHECK),
        "What became of the Pods of a trace: how many started, how long they waited for a node.",
    ),
    optional("cost", Type::Shape(&COST), "What the nodes have cost, and how much of them was made use of."),
    optional("deployment", Type::Shape(&DEPLOYMENT), "A Deployment."),
    optional("statefulset", Type::Shape(&STATEFUL_SET), "A StatefulSet."),
    optional("daemonset", Type::Shape(&DAEMON_SET), "A DaemonSet."),
    optional("replicaset", Type::Shape(&REPLICA_SET), "A ReplicaSet."),
    optional("replicationcontroller", Type::Shape(&REPLICA_SET), "A ReplicationController."),
    optional("job", Type::Shape(&JOB), "A Job."),
    optional("cronjob", Type::Shape(&CRON_JOB), "A CronJob."),
    optional("hpa", Type::Shape(&HPA), "A HorizontalPodAutoscaler."),
    optional("pdb", Type::Shape(&PDB), "A PodDisruptionBudget."),
    optional("pvc", Type::Shape(&PVC), "A PersistentVolumeClaim."),
    optional("pv", Type::Shape(&PV), "A PersistentVolume."),
    optional("volumeattachment", Type::Shape(&VOLUME_ATTACHMENT), "A VolumeAttachment."),
    optional("node", Type::Shape(&NODE_CHECK), "A node."),
    optional("namespace", Type::Shape(&NAMESPACE), "A namespace."),
    optional("availability", Type::Shape(&AVAILABILITY), "How many requests succeed, over a span."),
    optional("latency", Type::Shape(&LATENCY_CHECK), "How long answers take, over a span."),
];

static REQUESTS: &[Field] = &[
    required("service", Type::Text, "The Service or the `name` of an entry of `traffic`."),
    defaulted("namespace", Type::Text, "default", "Where the Service lives."),
    defaulted(
        "during",
        Type::List(&Type::Duration),
        "the whole run",
        "`[from, to]`: requests of this span count. It may stand beside the subject as well.",
    ),
];

/// How many requests succeed.
pub static AVAILABILITY: Shape = Shape {
    name: "Availability",
    doc: "How many requests succeed, over a span.",
    fields: &[
        REQUESTS,
        &[
            optional(
                "atLeast",
                Type::OneOf(&[Type::Text, Type::Number]),
                "The least part that must be answered well, in percent: `99.9%`.",
            ),
            count("failed", "Requests that fail."),
            count("requests", "Requests that come."),
        ],
    ],
};

/// How long answers take.
pub static LATENCY_CHECK: Shape = Shape {
    name: "LatencyCheck",
    doc: "How long good answers take, over a span: the longest that so many percent of them may take.",
    fields: &[
        REQUESTS,
        &[
            optional("p50", Type::Duration, "Half of them."),
            optional("p90", Type::Duration, "Nine of ten."),
            optional("p95", Type::Duration, "Nineteen of twenty."),
            optional("p99", Type::Duration, "99 of a hundred."),
        ],
    ],
};

/// An expectation.
pub static EXPECTATION: Shape = Shape {
    name: "Expectation",
    doc: "One subject, and at most one of `at`, `by` and `during`; without them: at the end of the run.",
    fields: &[WHEN, SUBJECTS],
};

/// What the nodes have cost by an instant, from the start of the run.
pub static COST: Shape = Shape {
    name: "Cost",
    doc: "What the nodes have cost by an instant (`at`, or the end), from the start of the run, at the prices on demand of the catalogue or of the group.",
    fields: &[&[
        optional("group", Type::Text, "Of this node group only, for `dollars` and `nodeHours`."),
        optional("instanceType", Type::Text, "Of machines of this type only, for `dollars` and `nodeHours`."),
        optional(
            "namespace",
            Type::Text,
            "Of the Pods of this namespace only, for what was requested and used.",
        ),
        optional(
            "dollars",
            Type::Amount,
            "Dollars; machines without a known price are left out, and if there are no others nothing holds.",
        ),
        optional("nodeHours", Type::Amount, "Hours of nodes."),
        optional(
            "cpuRequested",
            Type::Count,
            "CPU that Pods on nodes requested, in percent of what Pods could have used.",
        ),
        optional("cpuUsed", Type::Count, "CPU that Pods used, in percent of what Pods could have used."),
        optional("memoryRequested", Type::Count, "The same for memory that was requested."),
        optional("memoryUsed", Type::Count, "The same for memory that was used."),
    ]],
};

/// How many Pods are as described.
pub static PODS: Shape = Shape {
    name: "Pods",
    doc: "How many Pods are as described. Everything that is given must be true of a Pod for it to count.",
    fields: &[&[
        defaulted("namespace", Type::Text, "all", "Their namespace."),
        optional("name", Type::Text, "The Pod of this name."),
        optional("selector", Type::Selector, "By labels."),
        optional(
            "phase",
            Type::Words(&["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
            "`status.phase`.",
        ),
        optional("cause", Type::Cause, "Not scheduled, for this cause among others."),
        optional("node", Type::Text, "On this node."),
        optional("zone", Type::Text, "On a node of this zone."),
        optional("ready", Type::Bool, "Ready or not."),
        optional("scheduled", Type::Bool, "Bound to a node or not."),
        optional("terminating", Type::Bool, "Being deleted or not."),
        optional(
            "reason",
            Type::Text,
            "Why it ended, or why a container waits or ended: `Evicted`, `CrashLoopBackOff`, `OOMKilled` …",
        ),
        optional("restarts", Type::Count, "Restarts of its containers together."),
        optional("condition", Type::OneOf(&[Type::Text, Type::Shape(&CONDITION)]), "A condition it has."),
        defaulted("count", Type::Count, "\">= 1\"", "How many."),
    ]],
};

/// How often something was said, repeats counted, Events that have expired included.
pub static EVENT: Shape = Shape {
    name: "Event",
    doc: "How often something was said, repeats counted, Events that have expired included.",
    fields: &[&[
        optional("reason", Type::Text, "The reason."),
        optional("type", Type::Words(&["Normal", "Warning"]), "Good or bad news."),
        optional("object", Type::Text, "`Kind/name` or `Kind`: what it is about."),
        defaulted("namespace", Type::Text, "all", "Namespace of that object."),
        optional("message", Type::Text, "A part of the message; `*` stands for any text."),
        defaulted("count", Type::Count, "\">= 1\"", "How often."),
    ]],
};

/// How many endpoints a Service has.
pub static ENDPOINTS: Shape = Shape {
    name: "Endpoints",
    doc: "How many endpoints a Service has.",
    fields: &[&[
        required("service", Type::Text, "The Service."),
        defaulted("namespace", Type::Text, "default", "Its namespace."),
        optional("ready", Type::Count, "Ready ones."),
        optional("serving", Type::Count, "Ones that can answer."),
        optional("terminating", Type::Count, "Ones that are being deleted."),
    ]],
};

/// Whether an object of any kind exists.
pub static OBJECT: Shape = Shape {
    name: "Object",
    doc: "Whether an object of any kind exists.",
    fields: &[&[
        required("resource", Type::Text, "`kind/name`."),
        defaulted("namespace", Type::Text, "default", "Its namespace."),
        defaulted("exists", Type::Bool, "true", "Whether it must exist."),
        optional("absent", Type::Bool, "`true` is the same as `exists: false`."),
    ]],
};

/// What is on volumes.
pub static DATA: Shape = Shape {
    name: "Data",
    doc: "What is on volumes. Containers write into every volume that they mount (`volumeMounts`, not `readOnly`) as long as they run. Pods are meant, by `pod` or `selector`, unless `claim`, `volume` or `node` and `path` are given.",
    fields: &[&[
        defaulted(
            "namespace",
            Type::Text,
            "all; for `claim`: default",
            "Namespace of the Pods or of the claim.",
        ),
        optional("pod", Type::Text, "The Pod of this name: data on the volumes that it has mounted."),
        optional("selector", Type::Selector, "Pods by labels."),
        defaulted("mount", Type::Text, "any", "The name of the volume within the Pods."),
        optional("claim", Type::Text, "Data on the volume that this claim is bound to."),
        optional("volume", Type::Text, "Data on this PersistentVolume."),
        optional("node", Type::Text, "With `path`: data in a directory of this node."),
        optional("path", Type::Text, "See `node`."),
        optional("holds", Type::Duration, "What was written until this instant is there."),
        optional("lacks", Type::Duration, "What was written at this instant is not there."),
        optional("empty", Type::Bool, "Whether there is nothing at all."),
        optional("writer", Type::Text, "The name of the Pod that wrote last."),
        defaulted("count", Type::Count, "\">= 1\"", "How many Pods have such data."),
    ]],
};

/// A condition of an object.
pub static CONDITION: Shape = Shape {
    name: "Condition",
    doc: "A condition of an object. Its type alone may stand for the mapping.",
    fields: &[&[
        required("type", Type::Text, "The condition's type."),
        defaulted("status", Type::Words(&["True", "False", "Unknown"]), "True", "Its status."),
        optional("reason", Type::Text, "Its reason."),
    ]],
};

/// Fields by which expectations name objects of namespaced kinds.
static NAMED: &[Field] = &[
    optional("name", Type::Text, "The object's name; without it, objects are counted."),
    defaulted("namespace", Type::Text, "default with a name, else all", "Its namespace."),
    optional("selector", Type::Selector, "Counts those with these labels."),
    defaulted("count", Type::Count, "\">= 1\"", "Without a name: how many must be as described."),
];

/// Fields by which expectations name objects of cluster-scoped kinds.
static CLUSTER_NAMED: &[Field] = &[
    optional("name", Type::Text, "The object's name; without it, objects are counted."),
    optional("selector", Type::Selector, "Counts those with these labels."),
    defaulted("count", Type::Count, "\">= 1\"", "Without a name: how many must be as described."),
];

const TERMINATING: Field = optional("terminating", Type::Bool, "Being deleted or not.");
static CONDITION_FORMS: [Type; 2] = [Type::Text, Type::Shape(&CONDITION)];
const CONDITION_FIELD: Field = optional("condition", Type::OneOf(&CONDITION_FORMS), "A condition it has.");
const ROLLED_OUT: Field =
    optional("rolledOut", Type::Bool, "Whether `kubectl rollout status` says that the rollout is done.");
const SUSPENDED: Field = optional("suspended", Type::Bool, "Held or not.");

const fn count(name: &'static str, doc: &'static str) -> Field {
    optional(name, Type::Count, doc)
}

/// What must be true of a Deployment.
pub static DEPLOYMENT: Shape = Shape {
    name: "DeploymentCheck",
    doc: "What must be true of a Deployment.",
    fields: &[
        NAMED,
        &[
            count("replicas", "Pods it has."),
            count("desired", "Pods it wants."),
            count("ready", "Ready Pods."),
            count("available", "Available Pods."),
            count("unavailable", "Missing Pods."),
            count("updated", "Pods of the newest template."),
            count("revision", "The rollout's revision."),
            ROLLED_OUT,
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a StatefulSet.
pub static STATEFUL_SET: Shape = Shape {
    name: "StatefulSetCheck",
    doc: "What must be true of a StatefulSet.",
    fields: &[
        NAMED,
        &[
            count("replicas", "Pods it has."),
            count("desired", "Pods it wants."),
            count("ready", "Ready Pods."),
            count("available", "Available Pods."),
            count("updated", "Pods of the update revision."),
            count("current", "Pods of the current revision."),
            ROLLED_OUT,
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a DaemonSet.
pub static DAEMON_SET: Shape = Shape {
    name: "DaemonSetCheck",
    doc: "What must be true of a DaemonSet.",
    fields: &[
        NAMED,
        &[
            count("desired", "Nodes that should have a Pod."),
            count("current", "Nodes that have one and should."),
            count("ready", "Nodes with a ready Pod."),
            count("available", "Nodes with an available Pod."),
            count("unavailable", "Nodes without an available Pod."),
            count("updated", "Nodes with an updated Pod."),
            count("misscheduled", "Nodes that have a Pod and should not."),
            ROLLED_OUT,
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a ReplicaSet or ReplicationController.
pub static REPLICA_SET: Shape = Shape {
    name: "ReplicaSetCheck",
    doc: "What must be true of a ReplicaSet or ReplicationController.",
    fields: &[
        NAMED,
        &[
            count("replicas", "Pods it has."),
            count("desired", "Pods it wants."),
            count("ready", "Ready Pods."),
            count("available", "Available Pods."),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a Job.
pub static JOB: Shape = Shape {
    name: "JobCheck",
    doc: "What must be true of a Job.",
    fields: &[
        NAMED,
        &[
            count("active", "Pods that run."),
            count("ready", "Ready Pods."),
            count("succeeded", "Pods that succeeded."),
            count("failed", "Pods that failed."),
            count("desired", "Successes wanted."),
            SUSPENDED,
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a CronJob.
pub static CRON_JOB: Shape = Shape {
    name: "CronJobCheck",
    doc: "What must be true of a CronJob.",
    fields: &[NAMED, &[count("active", "Jobs that run."), SUSPENDED, TERMINATING]],
};

/// What must be true of a HorizontalPodAutoscaler.
pub static HPA: Shape = Shape {
    name: "HorizontalPodAutoscalerCheck",
    doc: "What must be true of a HorizontalPodAutoscaler.",
    fields: &[
        NAMED,
        &[
            count("replicas", "Replicas it sees."),
            count("desired", "Replicas it wants."),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a PodDisruptionBudget.
pub static PDB: Shape = Shape {
    name: "PodDisruptionBudgetCheck",
    doc: "What must be true of a PodDisruptionBudget.",
    fields: &[
        NAMED,
        &[
            count("disruptionsAllowed", "Evictions it would grant now."),
            count("currentHealthy", "Healthy Pods it sees."),
            count("desired", "Healthy Pods there must be."),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a PersistentVolumeClaim.
pub static PVC: Shape = Shape {
    name: "PersistentVolumeClaimCheck",
    doc: "What must be true of a PersistentVolumeClaim.",
    fields: &[
        NAMED,
        &[
            optional("phase", Type::Words(&["Pending", "Bound", "Lost"]), "`status.phase`."),
            optional("storageClass", Type::Text, "Its storage class."),
            optional("volume", Type::Text, "The volume it is bound to."),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a PersistentVolume.
pub static PV: Shape = Shape {
    name: "PersistentVolumeCheck",
    doc: "What must be true of a PersistentVolume.",
    fields: &[
        CLUSTER_NAMED,
        &[
            optional(
                "phase",
                Type::Words(&["Pending", "Available", "Bound", "Released", "Failed"]),
                "`status.phase`.",
            ),
            optional("storageClass", Type::Text, "Its storage class."),
            optional("claim", Type::Text, "Its claim, `namespace/name`."),
            optional("zone", Type::Text, "A zone from which it can be reached."),
            TERMINATING,
        ],
    ],
};

/// What must be true of a VolumeAttachment.
pub static VOLUME_ATTACHMENT: Shape = Shape {
    name: "VolumeAttachmentCheck",
    doc: "What must be true of a VolumeAttachment.",
    fields: &[
        CLUSTER_NAMED,
        &[
            optional("node", Type::Text, "The node."),
            optional("volume", Type::Text, "The volume."),
            optional("attached", Type::Bool, "Attached or not."),
            TERMINATING,
        ],
    ],
};

/// What must be true of a node.
pub static NODE_CHECK: Shape = Shape {
    name: "NodeCheck",
    doc: "What must be true of a node.",
    fields: &[
        CLUSTER_NAMED,
        &[
            optional("zone", Type::Text, "Its zone."),
            optional("group", Type::Text, "Its node group."),
            optional("ready", Type::Bool, "Ready or not; Unknown is not."),
            optional("cordoned", Type::Bool, "Cordoned or not."),
            optional(
                "taint",
                Type::Text,
                "A taint it has: `key`, `key=value`, `key:Effect` or `key=value:Effect`.",
            ),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};

/// What must be true of a namespace.
pub static NAMESPACE: Shape = Shape {
    name: "NamespaceCheck",
    doc: "What must be true of a namespace.",
    fields: &[
        CLUSTER_NAMED,
        &[
            optional("phase", Type::Words(&["Active", "Terminating"]), "`status.phase`."),
            CONDITION_FIELD,
            TERMINATING,
        ],
    ],
};
