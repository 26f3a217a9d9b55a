//! Kubernetes' `scheduler_perf`: its workloads by their names, with its numbers.
//!
//! Upstream: `test/integration/scheduler_perf/{misc,affinity,topology_spreading,volumes}/performance-config.yaml`, v1.34.
//!
//! # Fidelity
//! Sizes that differ by feature gates only are one. Left out are the workloads of dynamic resource allocation and of event
//! handling.

use serde_json::{Value, json};

use super::templates::{
    claim, light_pod, named_node, node, pod, preferred, required, sized_pod, spread, team_term, term, volume,
    with,
};
use super::{Row, case, many, measured, nodes, pods};
use crate::api::node::{HOSTNAME_LABEL, ZONE_LABEL};
use crate::base::SimDuration;
use crate::bench::template::Template;
use crate::bench::workload::{
    Amount, Barrier, Case, Churn, CreateNodes, CreatePods, DeletePods, Op, Prepare,
};

const USUAL: &[&str] = &["initNodes", "initPods", "measurePods"];
const NAMESPACES: &[&str] = &["initNodes", "initPodsPerNamespace", "initNamespaces", "measurePods"];
const VOLUME_SIZES: &[Row] = &[
    ("5Nodes", &[5, 5, 10]),
    ("500Nodes", &[500, 500, 1000]),
    ("5000Nodes", &[5000, 5000, 1000]),
    ("5000Nodes_5000Pods", &[5000, 5000, 5000]),
];
const EBS: &str = "ebs.csi.aws.com";

/// All of them.
pub fn cases() -> Vec<Case> {
    let mut all = basic();
    all.extend(preemption_and_churn());
    all.extend(affinity());
    all.extend(affinity_by_namespace());
    all.extend(spreading());
    all.extend(volumes());
    all
}

fn zones(values: &[&str]) -> Prepare {
    let values = values.iter().map(|value| (*value).into()).collect();
    Prepare { label: Some((ZONE_LABEL.into(), values)), ..Prepare::default() }
}

fn one_node() -> Op {
    let template = Template::new(named_node());
    Op::CreateNodes(CreateNodes { count: Amount::Fixed(1), template, prepare: Prepare::default() })
}

/// Nodes, Pods that are there, and Pods of the same or another kind that are measured.
fn two_waves(first: Value, second: Value, prepare: Prepare) -> Vec<Op> {
    vec![
        nodes("initNodes", node(), prepare),
        Op::CreatePods(pods("initPods", None, Template::new(first))),
        measured(pods("measurePods", None, Template::new(second))),
    ]
}

fn basic() -> Vec<Case> {
    let daemon = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["scheduler-perf-node"]}]}]}}});
    let zone = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": ZONE_LABEL, "operator": "In", "values": ["zone1", "zone2"]}]}]}}});
    let zoned = with(pod(json!({})), "affinity", zone);
    let gated = with(light_pod(json!({})), "schedulingGates", json!([{"name": "test.k8s.io/hold"}]));
    let held_back = CreatePods { goes_on: true, ..pods("gatedPods", None, Template::new(gated)) };
    let light = |param| pods(param, None, Template::new(light_pod(json!({}))));
    let going = DeletePods {
        namespace: "namespace-1".into(),
        labels: Default::default(),
        per_second: 50,
        goes_on: true,
    };
    vec![
        case(
            "SchedulingBasic",
            USUAL,
            "500Nodes",
            &[
                ("5Nodes", &[5, 5, 10]),
                ("500Nodes", &[500, 500, 1000]),
                ("5000Nodes", &[5000, 1000, 1000]),
                ("5000Nodes_10000Pods", &[5000, 1000, 10_000]),
                ("5000Nodes_50000Pods", &[5000, 5000, 50_000]),
            ],
            two_waves(pod(json!({})), pod(json!({})), Prepare::default()),
        ),
        case(
            "SchedulingDaemonset",
            &["initNodes", "measurePods"],
            "15000Nodes",
            &[("5Nodes", &[5, 10]), ("15000Nodes", &[15_000, 30_000])],
            vec![
                one_node(),
                nodes("initNodes", node(), Prepare::default()),
                measured(pods(
                    "measurePods",
                    None,
                    Template::new(with(light_pod(json!({})), "affinity", daemon)),
                )),
            ],
        ),
        case(
            "SchedulingNodeAffinity",
            USUAL,
            "500Nodes",
            &[
                ("5Nodes", &[5, 5, 10]),
                ("500Nodes", &[500, 500, 1000]),
                ("5000Nodes", &[5000, 5000, 1000]),
                ("5000Nodes_10000Pods", &[5000, 5000, 10_000]),
            ],
            two_waves(zoned.clone(), zoned, zones(&["zone1"])),
        ),
        case(
            "SchedulingWhileGated",
            &["gatedPods", "deletingPods", "measurePods"],
            "1Node_10000GatedPods",
            &[("1Node_10GatedPods", &[10, 10, 10]), ("1Node_10000GatedPods", &[10_000, 20_000, 20_000])],
            vec![
                one_node(),
                Op::CreatePods(held_back),
                Op::Barrier(Barrier { attempted: true, ..Barrier::default() }),
                Op::CreatePods(light("deletingPods")),
                Op::DeletePods(going),
                measured(light("measurePods")),
            ],
        ),
    ]
}

fn churn(recreate: bool, number: usize, millis: u64, templates: Vec<Value>) -> Op {
    let templates = templates.into_iter().map(Template::new).collect();
    Op::Churn(Churn {
        recreate,
        number,
        interval: SimDuration::from_millis(millis),
        namespace: None,
        templates,
    })
}

fn prioritized(mut pod: Value, priority: i32, name: &str) -> Value {
    pod["metadata"]["generateName"] = json!(name);
    with(pod, "priority", json!(priority))
}

fn preemption_and_churn() -> Vec<Case> {
    let low = || sized_pod(json!({}), "900m", "500Mi");
    let high = || prioritized(sized_pod(json!({}), "3000m", "500Mi"), 10, "pod-high-priority-");
    let huge = || prioritized(sized_pod(json!({}), "9", "500Mi"), 10, "pod-h-");
    let churned_node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"generateName": "node-churn-"},
        "status": {"capacity": {"pods": "0"}, "conditions": [{"type": "Ready", "status": "True"}]}});
    let churned_service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "service-churn-"},
        "spec": {"selector": {"app": "foo"}, "ports": [{"protocol": "TCP", "port": 8080, "targetPort": 8080}]}});
    let with_churn = |mut ops: Vec<Op>, at: usize, churn: Op| {
        ops.insert(at, churn);
        ops
    };
    vec![
        case(
            "PreemptionBasic",
            USUAL,
            "1000Nodes",
            &[("5Nodes", &[5, 20, 5]), ("1000Nodes", &[1000, 4000, 1000])],
            two_waves(low(), high(), Prepare::default()),
        ),
        case(
            "PreemptionAsync",
            USUAL,
            "500Nodes",
            &[("5Nodes", &[5, 20, 5]), ("500Nodes", &[500, 2000, 500]), ("5000Nodes", &[5000, 20_000, 5000])],
            with_churn(
                two_waves(low(), pod(json!({})), Prepare::default()),
                2,
                churn(false, 0, 200, vec![high()]),
            ),
        ),
        case(
            "Unschedulable",
            USUAL,
            "500Nodes/10Init/1kPods",
            &[
                ("5Nodes/1Init/10Pods", &[5, 1, 10]),
                ("500Nodes/10Init/1kPods", &[500, 10, 1000]),
                ("5kNodes/100Init/1kPods", &[5000, 100, 1000]),
                ("5kNodes/100Init/10kPods", &[5000, 100, 10_000]),
                ("5kNodes/20kInit/10kPods", &[5000, 20_000, 10_000]),
            ],
            with_churn(
                two_waves(pod(json!({})), pod(json!({})), Prepare::default()),
                2,
                churn(false, 0, 200, vec![huge()]),
            ),
        ),
        case(
            "SchedulingWithMixedChurn",
            &["initNodes", "measurePods"],
            "1000Nodes",
            &[
                ("10Nodes", &[10, 100]),
                ("1000Nodes", &[1000, 1000]),
                ("5000Nodes", &[5000, 2000]),
                ("5000Nodes_10000Pods", &[5000, 10_000]),
            ],
            vec![
                nodes("initNodes", node(), Prepare::default()),
                churn(true, 1, 1000, vec![churned_node, huge(), churned_service]),
                measured(pods("measurePods", None, Template::new(pod(json!({}))))),
            ],
        ),
    ]
}

/// Nodes, two namespaces, and one wave of Pods in each.
fn in_two_namespaces(pod: Value, prepare: Prepare) -> Vec<Op> {
    vec![
        nodes("initNodes", node(), prepare),
        Op::CreateNamespaces { count: Amount::Fixed(2), prefix: "sched".into(), template: None },
        Op::CreatePods(pods("initPods", Some("sched-0"), Template::new(pod.clone()))),
        measured(pods("measurePods", Some("sched-1"), Template::new(pod))),
    ]
}

/// Pods of the four kinds of affinity: the name of the kind, and the Pod.
fn affine_pods() -> [(&'static str, Value); 4] {
    let both = || json!(["sched-1", "sched-0"]);
    let of = |colour: &str, affinity: Value| with(pod(json!({"color": colour})), "affinity", affinity);
    let (blue, green, red, yellow) =
        (("color", "blue"), ("color", "green"), ("color", "red"), ("color", "yellow"));
    [
        (
            "SchedulingPodAntiAffinity",
            of("green", required("podAntiAffinity", term(green, HOSTNAME_LABEL, both()))),
        ),
        ("SchedulingPodAffinity", of("blue", required("podAffinity", term(blue, ZONE_LABEL, both())))),
        (
            "SchedulingPreferredPodAffinity",
            of("red", preferred("podAffinity", term(red, HOSTNAME_LABEL, both()))),
        ),
        (
            "SchedulingPreferredPodAntiAffinity",
            of("yellow", preferred("podAntiAffinity", term(yellow, HOSTNAME_LABEL, both()))),
        ),
    ]
}

fn affinity() -> Vec<Case> {
    const MANY: &[Row] = &[
        ("5Nodes", &[5, 5, 10]),
        ("500Nodes", &[500, 500, 1000]),
        ("5000Nodes", &[5000, 5000, 1000]),
        ("5000Nodes_5000Pods", &[5000, 5000, 5000]),
    ];
    const ONE_PER_NODE: &[Row] = &[
        ("5Nodes", &[5, 1, 4]),
        ("500Nodes", &[500, 100, 400]),
        ("5000Nodes", &[5000, 1000, 1000]),
        ("5000Nodes_2000Pods", &[5000, 1000, 2000]),
    ];
    let mut all: Vec<Case> = affine_pods()
        .into_iter()
        .map(|(name, pod)| {
            let rows = if name == "SchedulingPodAntiAffinity" { ONE_PER_NODE } else { MANY };
            let prepare =
                if name == "SchedulingPodAffinity" { zones(&["zone1"]) } else { Prepare::default() };
            case(name, USUAL, "500Nodes", rows, in_two_namespaces(pod, prepare))
        })
        .collect();
    let mut mixed = vec![
        nodes("initNodes", node(), zones(&["zone1"])),
        Op::CreateNamespaces { count: Amount::Fixed(1), prefix: "sched".into(), template: None },
        Op::CreatePods(pods("initPods", Some("sched-0"), Template::new(pod(json!({}))))),
    ];
    let order = [1, 0, 2, 3];
    let kinds = affine_pods();
    mixed.extend(
        order.map(|i| Op::CreatePods(pods("initPods", Some("sched-0"), Template::new(kinds[i].1.clone())))),
    );
    mixed.push(measured(pods("measurePods", None, Template::new(pod(json!({}))))));
    let rows: &[Row] = &[
        ("5Nodes", &[5, 2, 10]),
        ("500Nodes", &[500, 200, 1000]),
        ("5000Nodes", &[5000, 2000, 1000]),
        ("5000Nodes_5000Pods", &[5000, 2000, 5000]),
    ];
    all.push(case("MixedSchedulingBasePod", USUAL, "500Nodes", rows, mixed));
    all.push(gated_with_affinity());
    all
}

fn gated_with_affinity() -> Case {
    let near =
        json!({"labelSelector": {"matchLabels": {"app": "scheduler-perf"}}, "topologyKey": HOSTNAME_LABEL});
    let labels = || json!({"app": "scheduler-perf"});
    let gated = with(light_pod(labels()), "schedulingGates", json!([{"name": "scheduling-gate-1"}]));
    let gated = with(gated, "affinity", required("podAffinity", near));
    case(
        "SchedulingGatedPodsWithPodAffinityImpactForThroughput",
        &["gatedPods", "measurePods"],
        "1Node_10000GatedPods",
        &[("1Node_10GatedPods", &[10, 10]), ("1Node_10000GatedPods", &[10_000, 20_000])],
        vec![
            one_node(),
            Op::CreatePods(CreatePods { goes_on: true, ..pods("gatedPods", None, Template::new(gated)) }),
            Op::Barrier(Barrier { attempted: true, ..Barrier::default() }),
            measured(pods("measurePods", None, Template::new(light_pod(labels())))),
        ],
    )
}

fn affinity_by_namespace() -> Vec<Case> {
    let of = |colour: &str, affinity: Value| with(pod(json!({"color": colour})), "affinity", affinity);
    let (blue, green, red) = (("color", "blue"), ("color", "green"), ("color", "red"));
    let near_zone = of("blue", required("podAffinity", team_term(blue, ZONE_LABEL)));
    let far = of("green", required("podAntiAffinity", team_term(green, HOSTNAME_LABEL)));
    let rather_near = of("red", preferred("podAffinity", team_term(red, HOSTNAME_LABEL)));
    let rather_far = of("green", preferred("podAntiAffinity", team_term(green, HOSTNAME_LABEL)));
    let team = || {
        Some(Template::new(
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": {"team": "devops"}}}),
        ))
    };
    let ops = |pod: Value, prepare: Prepare| {
        vec![
            nodes("initNodes", node(), prepare),
            Op::CreateNamespaces {
                count: many("initNamespaces"),
                prefix: "init-ns".into(),
                template: team(),
            },
            Op::CreateNamespaces { count: Amount::Fixed(1), prefix: "measure-ns".into(), template: team() },
            Op::CreatePodSets {
                count: many("initNamespaces"),
                prefix: "init-ns".into(),
                pods: pods("initPodsPerNamespace", None, Template::new(pod.clone())),
            },
            measured(pods("measurePods", Some("measure-ns-0"), Template::new(pod))),
        ]
    };
    let rows: [&[Row]; 4] = [
        &[
            ("10Nodes", &[10, 2, 2, 6]),
            ("500Nodes", &[500, 4, 10, 100]),
            ("5000Nodes", &[5000, 40, 100, 1000]),
            ("5000Nodes_2000Pods", &[6000, 40, 100, 2000]),
        ],
        &[
            ("10Nodes", &[10, 2, 2, 10]),
            ("500Nodes", &[500, 4, 10, 100]),
            ("5000Nodes", &[5000, 40, 100, 1000]),
            ("5000Nodes_2000Pods", &[5000, 40, 100, 2000]),
        ],
        &[
            ("10Nodes", &[10, 2, 2, 10]),
            ("500Nodes", &[500, 4, 10, 100]),
            ("5000Nodes", &[5000, 50, 100, 1000]),
            ("5000Nodes_2000Pods", &[5000, 50, 100, 2000]),
        ],
        &[
            ("10Nodes", &[10, 2, 2, 10]),
            ("500Nodes", &[500, 4, 10, 100]),
            ("5000Nodes", &[5000, 50, 100, 1000]),
            ("5000Nodes_5000Pods", &[5000, 50, 100, 5000]),
        ],
    ];
    [
        ("SchedulingRequiredPodAntiAffinityWithNSSelector", far, Prepare::default()),
        ("SchedulingPreferredAntiAffinityWithNSSelector", rather_far, Prepare::default()),
        ("SchedulingRequiredPodAffinityWithNSSelector", near_zone, zones(&["zone1"])),
        ("SchedulingPreferredAffinityWithNSSelector", rather_near, Prepare::default()),
    ]
    .into_iter()
    .zip(rows)
    .map(|((name, pod, prepare), rows)| case(name, NAMESPACES, "500Nodes", rows, ops(pod, prepare)))
    .collect()
}

fn spreading() -> Vec<Case> {
    const ROWS: &[Row] = &[
        ("5Nodes", &[5, 10, 10]),
        ("500Nodes", &[500, 1000, 1000]),
        ("5000Nodes", &[5000, 5000, 2000]),
        ("5000Nodes_5000Pods", &[5000, 5000, 5000]),
    ];
    let moons = || zones(&["moon-1", "moon-2", "moon-3"]);
    let spreading = |when| {
        let constraint = spread(("color", "blue"), ZONE_LABEL, 5, when);
        with(pod(json!({"color": "blue"})), "topologySpreadConstraints", constraint)
    };
    let mut inclusion = spread(("foo", "bar"), HOSTNAME_LABEL, 1, "DoNotSchedule");
    inclusion[0]["nodeAffinityPolicy"] = json!("Honor");
    inclusion[0]["nodeTaintsPolicy"] = json!("Honor");
    let mut tainted = with(node(), "taints", json!([{"key": "foo", "effect": "NoSchedule"}]));
    tainted["metadata"]["generateName"] = json!("taint-node-");
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"generateName": "service-"},
        "spec": {"selector": {"app": "scheduler-perf"}, "ports": [{"protocol": "TCP", "port": 80, "targetPort": 8000}]}});
    let served =
        pods("measurePods", Some("service-ns"), Template::new(light_pod(json!({"app": "scheduler-perf"}))));
    vec![
        case(
            "TopologySpreading",
            USUAL,
            "500Nodes",
            ROWS,
            two_waves(pod(json!({})), spreading("DoNotSchedule"), moons()),
        ),
        case(
            "PreferredTopologySpreading",
            USUAL,
            "500Nodes",
            ROWS,
            two_waves(pod(json!({})), spreading("ScheduleAnyway"), moons()),
        ),
        case(
            "DefaultTopologySpreading",
            USUAL,
            "500Nodes",
            &[
                ("5Nodes", &[5, 10, 10]),
                ("500Nodes", &[500, 1000, 1000]),
                ("5000Nodes_10000Pods", &[5000, 5000, 10_000]),
                ("5000Nodes_50000Pods", &[5000, 5000, 50_000]),
            ],
            vec![
                nodes("initNodes", node(), moons()),
                Op::CreateAny {
                    count: Amount::Fixed(1),
                    namespace: "service-ns".into(),
                    template: Template::new(service),
                },
                Op::CreatePods(pods("initPods", None, Template::new(pod(json!({}))))),
                measured(served),
            ],
        ),
        case(
            "SchedulingWithNodeInclusionPolicy",
            &["taintNodes", "normalNodes", "measurePods"],
            "500Nodes",
            &[("5Nodes", &[1, 4, 4]), ("500Nodes", &[100, 400, 400]), ("5000Nodes", &[1000, 4000, 4000])],
            vec![
                nodes("normalNodes", node(), Prepare::default()),
                nodes("taintNodes", tainted, Prepare::default()),
                measured(pods(
                    "measurePods",
                    None,
                    Template::new(with(pod(json!({"foo": "bar"})), "topologySpreadConstraints", inclusion)),
                )),
            ],
        ),
    ]
}

fn volumes() -> Vec<Case> {
    let secret =
        with(pod(json!({})), "volumes", json!([{"name": "secret", "secret": {"secretName": "secret"}}]));
    let ebs = || volume("ReadOnlyMany", "awsElasticBlockStore", json!({"volumeID": ""}));
    let csi = || volume("ReadOnlyMany", "csi", json!({"driver": EBS}));
    let with_volumes = |volume: Value, prepare: Prepare| {
        let volumes = || Some((Template::new(volume.clone()), Template::new(claim("ReadOnlyMany"))));
        let of =
            |param| CreatePods { volumes: volumes(), ..pods(param, None, Template::new(pod(json!({})))) };
        vec![nodes("initNodes", node(), prepare), Op::CreatePods(of("initPods")), measured(of("measurePods"))]
    };
    let limited = |migrated: &[&str]| Prepare {
        allocatable: vec![(format!("attachable-volumes-csi-{EBS}").into(), "39".into())],
        drivers: vec![(EBS.into(), 39)],
        migrated: migrated.iter().map(|name| (*name).into()).collect(),
        ..Prepare::default()
    };
    let mut preempting = two_waves(
        sized_pod(json!({}), "900m", "500Mi"),
        sized_pod(json!({}), "3000m", "500Mi"),
        Prepare::default(),
    );
    if let Some(Op::CreatePods(last)) = preempting.last_mut() {
        last.template =
            Template::new(prioritized(sized_pod(json!({}), "3000m", "500Mi"), 10, "pod-high-priority-"));
        last.volumes = Some((Template::new(ebs()), Template::new(claim("ReadOnlyMany"))));
    }
    vec![
        case(
            "SchedulingSecrets",
            USUAL,
            "500Nodes",
            &[
                ("5Nodes", &[5, 5, 10]),
                ("500Nodes", &[500, 500, 1000]),
                ("5000Nodes", &[5000, 5000, 1000]),
                ("5000Nodes_10000Pods", &[5000, 1000, 10_000]),
            ],
            two_waves(secret.clone(), secret, Prepare::default()),
        ),
        case(
            "SchedulingInTreePVs",
            USUAL,
            "500Nodes",
            &[
                ("5Nodes", &[5, 5, 10]),
                ("500Nodes", &[500, 500, 1000]),
                ("5000Nodes", &[5000, 5000, 1000]),
                ("5000Nodes_2000Pods", &[5000, 1000, 2000]),
            ],
            with_volumes(ebs(), Prepare::default()),
        ),
        case(
            "SchedulingMigratedInTreePVs",
            USUAL,
            "500Nodes",
            VOLUME_SIZES,
            with_volumes(ebs(), limited(&["kubernetes.io/aws-ebs"])),
        ),
        case("SchedulingCSIPVs", USUAL, "500Nodes", VOLUME_SIZES, with_volumes(csi(), limited(&[]))),
        case(
            "PreemptionPVs",
            USUAL,
            "1000Nodes",
            &[("5Nodes", &[5, 20, 5]), ("1000Nodes", &[1000, 4000, 1000])],
            preempting,
        ),
    ]
}
