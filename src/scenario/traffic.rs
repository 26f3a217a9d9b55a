//! Reads `spec.traffic`: services with their requests, and who calls whom; and `spec.metrics`.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

use super::code;
use super::manifests::Manifests;
use super::read::{Fields, Reader};
use super::scalar::{boolean, duration, instant, labels, name, selector, text, thousandths};
use super::shape::Shape;
use super::tables;
use crate::api::manifest::tree::{Tree, Value};
use crate::base::{SimDuration, SimTime, Span, Str};
use crate::params::metrics::{Metric, MetricOf};
use crate::params::traffic::{Call, Curve, PATIENCE, RESOLUTION, Rate, Traffic, TrafficTarget};

/// How finely a day is followed.
const DAILY_RESOLUTION: SimDuration = SimDuration::from_mins(1);
/// When a day has its peak.
const DAILY_PEAK: SimDuration = SimDuration::from_mins(20 * 60);
/// At most so many points of one rate.
const POINTS_MAX: usize = 1_000_000;

/// A call as written: whom, how often, where it stands.
struct Written {
    from: usize,
    namespace: Str,
    to: Str,
    per_request: u64,
    span: Span,
}

/// Reads all entries; services that are only called are added behind them.
pub fn traffic(reader: &mut Reader<'_>, trees: &[Tree], manifests: &Manifests<'_>) -> Vec<Traffic> {
    let mut services = Vec::new();
    let mut calls = Vec::new();
    for tree in trees {
        let Some(service) = entry(reader, tree, manifests, (services.len(), &mut calls)) else { continue };
        let same = |other: &&Traffic| other.name == service.name && other.namespace == service.namespace;
        if services.iter().any(|other| same(&other)) {
            let message = format!("two entries are called `{}`", service.name);
            reader.cure::<()>(code::DUPLICATE, service.origin, message, "give one of them another `name`");
        }
        services.push(service);
    }
    for call in calls {
        let to = find(&services, &call).unwrap_or_else(|| {
            services.push(called_only(&call));
            services.len() - 1
        });
        let known: &mut Vec<Call> = &mut services[call.from].calls;
        if known.iter().any(|other| other.to == to) {
            let message = format!("`{}` is called twice", call.to);
            reader.cure::<()>(code::DUPLICATE, call.span, message, "say how often in one `perRequest`");
        }
        known.push(Call { to, per_request: call.per_request });
    }
    refuse_circles(reader, &services);
    services
}

fn entry(
    reader: &mut Reader<'_>,
    tree: &Tree,
    manifests: &Manifests<'_>,
    (index, calls): (usize, &mut Vec<Written>),
) -> Option<Traffic> {
    let fields = Fields::open(reader, tree, &tables::TRAFFIC)?;
    let given = fields.read(reader, "name", name);
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let to = match fields.one_of(reader, &["service", "selector"]) {
        Some("service") => fields.read(reader, "service", name).map(TrafficTarget::Service),
        Some(_) => fields.read(reader, "selector", selector).map(TrafficTarget::Selector),
        None => None,
    };
    let curve = fields.read(reader, "rate", |reader, tree| curve(reader, tree, manifests));
    let daily = matches!(curve, Some(Curve::Daily { .. }));
    let resolution = fields.read(reader, "resolution", duration);
    if resolution.is_some_and(SimDuration::is_zero) {
        let message = "a resolution of zero would never let time go on";
        reader.error::<()>(code::OUT_OF_RANGE, fields.key_span("resolution"), message);
    }
    let resolution = resolution.unwrap_or(if daily { DAILY_RESOLUTION } else { RESOLUTION });
    let noise = fields.read(reader, "noise", boolean).unwrap_or(false);
    let patience = fields.read(reader, "timeout", duration).unwrap_or(PATIENCE);
    if let Some(list) = fields.get("calls") {
        for element in reader.elements(list, "call") {
            calls.extend(call(reader, element, index, &namespace));
        }
    }
    if fields.present(&["rate", "calls", "timeout"]).is_empty() {
        let help = "give it a `rate`, or `calls` if other services call it";
        return reader.cure(code::CHOICE, fields.span(), "the entry says nothing about its service", help);
    }
    let to = to?;
    let name = given.unwrap_or_else(|| match &to {
        TrafficTarget::Service(service) => service.clone(),
        TrafficTarget::Selector(selector) => Str::from(selector.to_string()),
    });
    let rate = curve.map(|curve| Rate { curve, resolution, noise });
    Some(Traffic { name, namespace, to, rate, calls: Vec::new(), patience, origin: fields.span() })
}

fn call(reader: &mut Reader<'_>, tree: &Tree, from: usize, own: &Str) -> Option<Written> {
    let fields = Fields::open(reader, tree, &tables::CALL)?;
    let to = fields.read(reader, "service", name);
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| own.clone());
    let per_request = fields.read(reader, "perRequest", thousandths).unwrap_or(1000);
    Some(Written { from, namespace, to: to?, per_request, span: fields.span() })
}

/// The entry that a call means: by its name, or by its Service.
fn find(services: &[Traffic], call: &Written) -> Option<usize> {
    let by_name = |s: &Traffic| s.namespace == call.namespace && s.name == call.to;
    let by_service = |s: &Traffic| {
        s.namespace == call.namespace && matches!(&s.to, TrafficTarget::Service(name) if *name == call.to)
    };
    services.iter().position(by_name).or_else(|| services.iter().position(by_service))
}

/// A service that no entry describes.
fn called_only(call: &Written) -> Traffic {
    Traffic {
        name: call.to.clone(),
        namespace: call.namespace.clone(),
        to: TrafficTarget::Service(call.to.clone()),
        rate: None,
        calls: Vec::new(),
        patience: PATIENCE,
        origin: call.span,
    }
}

/// A request that comes back to its own service would never end.
fn refuse_circles(reader: &mut Reader<'_>, services: &[Traffic]) {
    let mut graph: DiGraph<usize, ()> = DiGraph::new();
    let nodes: Vec<_> = (0..services.len()).map(|index| graph.add_node(index)).collect();
    for (from, service) in services.iter().enumerate() {
        for call in &service.calls {
            graph.add_edge(nodes[from], nodes[call.to], ());
        }
    }
    for circle in kosaraju_scc(&graph) {
        let mut members: Vec<usize> = circle.iter().map(|node| graph[*node]).collect();
        members.sort_unstable();
        let first = members[0];
        if members.len() == 1 && !graph.contains_edge(nodes[first], nodes[first]) {
            continue;
        }
        let names: Vec<&str> = members.iter().map(|index| services[*index].name.as_str()).collect();
        let message = match names[..] {
            [one] => format!("`{one}` calls itself"),
            _ => format!("`{}` call one another in a circle", names.join("`, `")),
        };
        let help = "a request would never end; leave one of the calls out";
        reader.cure::<()>(code::CHOICE, services[first].origin, message, help);
    }
}

/// Reads an entry of `metrics`.
pub fn metric(reader: &mut Reader<'_>, tree: &Tree) -> Option<Metric> {
    let fields = Fields::open(reader, tree, &tables::METRIC)?;
    let called = fields.read(reader, "name", name);
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let labels = fields.read(reader, "labels", labels).unwrap_or_default();
    let value = fields.read(reader, "value", value);
    let pods = fields.read(reader, "pods", selector);
    let object = fields.read(reader, "object", text);
    if let [_, second] = fields.present(&["pods", "object"])[..] {
        let message = "`pods` and `object` exclude one another";
        return reader.error(code::CHOICE, fields.key_span(second), message);
    }
    let of = match (pods, object) {
        (Some(pods), _) => MetricOf::Pods(pods),
        (None, Some(object)) => match object.split_once('/') {
            Some((kind, name)) => MetricOf::Object(kind.into(), name.into()),
            None => {
                let message = format!("`{object}` is not `kind/name`");
                return reader.error(code::BAD_VALUE, fields.key_span("object"), message);
            }
        },
        (None, None) => MetricOf::External,
    };
    if value.is_none() && fields.get("value").is_none() && !matches!(of, MetricOf::Pods(_)) {
        let help = "only metrics of `pods` have a value of their own: the requests that each answers";
        return reader.cure(code::CHOICE, fields.span(), "the metric has no `value`", help);
    }
    Some(Metric { name: called?, namespace, labels, of, value, origin: fields.span() })
}

fn value(reader: &mut Reader<'_>, tree: &Tree) -> Option<Curve> {
    if !matches!(tree.value, Value::Seq(_)) {
        return thousandths(reader, tree).map(|value| Curve::Steps(vec![(SimTime::ZERO, value)]));
    }
    points_of(reader, tree, &tables::VALUE, "value").map(Curve::Steps)
}

/// Without a `duration` a run ends when nothing is due any more, and such rates are always due.
pub fn refuse_endless(reader: &mut Reader<'_>, services: &[Traffic]) {
    let endless = |rate: &Rate| rate.noise || matches!(rate.curve, Curve::Daily { .. });
    for service in services.iter().filter(|s| s.rate.as_ref().is_some_and(endless)) {
        let message = format!("the requests to `{}` never end, and neither would the run", service.name);
        reader.cure::<()>(code::CHOICE, service.origin, message, "say how long it lasts: `spec.duration`");
    }
}

fn curve(reader: &mut Reader<'_>, tree: &Tree, manifests: &Manifests<'_>) -> Option<Curve> {
    match &tree.value {
        Value::Seq(_) => points(reader, tree).map(Curve::Steps),
        Value::Map(_) => {
            let fields = Fields::open(reader, tree, &tables::CURVE)?;
            match fields.one_of(reader, &["ramp", "daily", "flash", "csv"])? {
                "ramp" => fields.read(reader, "ramp", points).map(Curve::Lines),
                "daily" => fields.read(reader, "daily", daily),
                "flash" => fields.read(reader, "flash", flash).map(Curve::Lines),
                _ => fields.read(reader, "csv", |r, t| csv(r, t, manifests)).map(Curve::Steps),
            }
        }
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Str(_) => {
            thousandths(reader, tree).map(|rate| Curve::Steps(vec![(SimTime::ZERO, rate)]))
        }
    }
}

/// Points in the order of time.
fn points(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<(SimTime, u64)>> {
    points_of(reader, tree, &tables::RATE, "rps")
}

fn points_of(
    reader: &mut Reader<'_>,
    tree: &Tree,
    shape: &'static Shape,
    number: &'static str,
) -> Option<Vec<(SimTime, u64)>> {
    let mut points: Vec<(SimTime, u64)> = Vec::new();
    for element in reader.elements(tree, "point") {
        let Some(fields) = Fields::open(reader, element, shape) else { continue };
        let at = fields.read(reader, "at", instant);
        let rps = fields.read(reader, number, thousandths);
        let (Some(at), Some(rps)) = (at, rps) else { continue };
        if points.last().is_some_and(|(last, _)| *last >= at) {
            let message = format!("{at} is not later than the point before");
            reader.error::<()>(code::OUT_OF_RANGE, fields.key_span("at"), message);
        }
        points.push((at, rps));
    }
    Some(points)
}

fn daily(reader: &mut Reader<'_>, tree: &Tree) -> Option<Curve> {
    let fields = Fields::open(reader, tree, &tables::DAILY)?;
    let mean = fields.read(reader, "mean", thousandths);
    let peak = fields.read(reader, "peak", thousandths);
    let peak_at = fields.read(reader, "peakAt", duration).unwrap_or(DAILY_PEAK);
    let (mean, peak) = (mean?, peak?);
    if peak < mean {
        let message = "the peak lies below the mean";
        return reader.error(code::OUT_OF_RANGE, fields.key_span("peak"), message);
    }
    Some(Curve::Daily { mean, peak, peak_at })
}

fn flash(reader: &mut Reader<'_>, tree: &Tree) -> Option<Vec<(SimTime, u64)>> {
    let fields = Fields::open(reader, tree, &tables::FLASH)?;
    let base = fields.read(reader, "base", thousandths);
    let peak = fields.read(reader, "peak", thousandths);
    let at = fields.read(reader, "at", instant);
    let mut span = |name, usual| fields.read(reader, name, duration).unwrap_or(SimDuration::from_mins(usual));
    let (rise, hold, fall) = (span("rise", 1), span("hold", 5), span("fall", 10));
    let (base, peak, at) = (base?, peak?, at?);
    let (top, ebb) = (at + rise, at + rise + hold);
    let mut points = vec![(at, base), (top, peak), (ebb, peak), (ebb + fall, base)];
    // Where a span is zero the rate jumps: the later point holds.
    points.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    Some(points)
}

/// Lines `seconds,requests per second`.
fn csv(reader: &mut Reader<'_>, tree: &Tree, manifests: &Manifests<'_>) -> Option<Vec<(SimTime, u64)>> {
    let path = text(reader, tree)?;
    let content = match manifests.text(&path) {
        Ok(content) => content,
        Err(why) => {
            let help = "paths are relative to the scenario file";
            return reader.cure(code::FILE, tree.span, format!("`{path}`: {why}"), help);
        }
    };
    let mut points: Vec<(SimTime, u64)> = Vec::new();
    let lines = content.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'));
    for (number, line) in lines {
        let Some(point) = csv_point(line) else {
            if points.is_empty() && number == 0 {
                continue;
            }
            let message =
                format!("`{path}` line {}: `{line}` is not `seconds,requests per second`", number + 1);
            return reader.error(code::BAD_VALUE, tree.span, message);
        };
        if points.last().is_some_and(|(last, _)| *last >= point.0) {
            let message = format!("`{path}` line {}: not later than the line before", number + 1);
            return reader.error(code::OUT_OF_RANGE, tree.span, message);
        }
        if points.len() == POINTS_MAX {
            return reader.error(
                code::LIMIT,
                tree.span,
                format!("`{path}` has more than {POINTS_MAX} lines"),
            );
        }
        points.push(point);
    }
    Some(points)
}

fn csv_point(line: &str) -> Option<(SimTime, u64)> {
    let (at, rate) = line.split_once(',')?;
    let (at, rate): (f64, f64) = (at.trim().parse().ok()?, rate.trim().parse().ok()?);
    let sound = |x: f64| x.is_finite() && (0.0..1e9).contains(&x);
    (sound(at) && sound(rate)).then(|| {
        let nanos = libm::round(at * 1e9) as u64;
        (SimTime::from_nanos(nanos), libm::round(rate * 1000.0) as u64)
    })
}
