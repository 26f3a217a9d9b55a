//! Six workloads that have been measured with the code of the real scheduler, one Pod after the other and without an API
//! server: nodes of 4 CPUs in three zones, Pods of 500m, some Pods there before.

use serde_json::{Value, json};

use super::templates::{claim, node, required, sized_pod, spread, volume, with};
use super::{Row, case, measured, nodes, pods};
use crate::api::node::{HOSTNAME_LABEL, ZONE_LABEL};
use crate::bench::template::Template;
use crate::bench::workload::{Case, CreatePods, Op, Prepare};

const PARAMS: &[&str] = &["initNodes", "initPods", "measurePods"];
const SIZES: &[Row] =
    &[("100Nodes", &[100, 100, 650]), ("1000Nodes", &[1000, 500, 1000]), ("5000Nodes", &[5000, 500, 1000])];
/// With affinity all Pods are in one zone, which has room for fewer.
const ZONE_SIZES: &[Row] =
    &[("100Nodes", &[100, 100, 137]), ("1000Nodes", &[1000, 500, 1000]), ("5000Nodes", &[5000, 500, 1000])];
const ZONES: [&str; 3] = ["zone-0", "zone-1", "zone-2"];
const DRIVER: &str = "ebs.csi.aws.com";

/// All of them.
pub fn cases() -> Vec<Case> {
    let app = ("app", "web");
    let zoned = |when| {
        with(pod(json!({"app": "web"})), "topologySpreadConstraints", spread(app, ZONE_LABEL, 5, when))
    };
    let near = json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": ZONE_LABEL});
    let colours = (0..10).map(|number| {
        let colour = format!("colour-{number}");
        let term =
            json!({"labelSelector": {"matchLabels": {"colour": colour}}, "topologyKey": HOSTNAME_LABEL});
        with(pod(json!({"colour": colour})), "affinity", required("podAntiAffinity", term))
    });
    vec![
        of("peer/basic", SIZES, plain(pod(json!({})))),
        of("peer/antiaffinity", SIZES, pods("initPods", None, Template::in_turn(colours))),
        of(
            "peer/affinity",
            ZONE_SIZES,
            plain(with(pod(json!({"app": "web"})), "affinity", required("podAffinity", near))),
        ),
        of("peer/spread", SIZES, plain(zoned("DoNotSchedule"))),
        of("peer/prefspread", SIZES, plain(zoned("ScheduleAnyway"))),
        zonal_volumes(),
    ]
}

fn pod(labels: Value) -> Value {
    sized_pod(labels, "500m", "500Mi")
}

fn plain(pod: Value) -> CreatePods {
    pods("initPods", None, Template::new(pod))
}

/// Nodes in three zones, Pods that are there, and as many of the same kind as are measured.
fn of(name: &str, sizes: &[Row], these: CreatePods) -> Case {
    let zones = ZONES.iter().map(|zone| (*zone).into()).collect();
    let prepare = Prepare { label: Some((ZONE_LABEL.into(), zones)), ..Prepare::default() };
    ops(name, sizes, these, prepare)
}

fn ops(name: &str, sizes: &[Row], these: CreatePods, prepare: Prepare) -> Case {
    let these = CreatePods { namespace: Some("default".into()), ..these };
    let more = CreatePods { count: super::many("measurePods"), ..these.clone() };
    case(
        name,
        PARAMS,
        "1000Nodes",
        sizes,
        vec![nodes("initNodes", node(), prepare), Op::CreatePods(these), measured(more)],
    )
}

/// One bound CSI volume for each Pod, reached from one zone.
fn zonal_volumes() -> Case {
    let volumes = ZONES.iter().map(|zone| {
        let mut volume = volume("ReadWriteOnce", "csi", json!({"driver": DRIVER}));
        volume["spec"]["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": ZONE_LABEL, "operator": "In", "values": [zone]}]}]}});
        volume
    });
    let of_pod = Some((Template::in_turn(volumes), Template::new(claim("ReadWriteOnce"))));
    let these = CreatePods { volumes: of_pod, ..plain(pod(json!({}))) };
    let zones = ZONES.iter().map(|zone| (*zone).into()).collect();
    let prepare = Prepare {
        label: Some((ZONE_LABEL.into(), zones)),
        drivers: vec![(DRIVER.into(), 39)],
        ..Prepare::default()
    };
    ops("peer/zonalpv", SIZES, these, prepare)
}
