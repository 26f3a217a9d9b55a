//! Reads `spec.expect`.

use super::code;
use super::read::{Fields, Reader, list};
use super::scalar::{amount, boolean, count, duration, instant, name, selector, text, word};
use super::shape::{Shape, Type};
use super::tables::{self, SUBJECTS};
use super::target::{self, Known};
use super::traces::tables::{TRACE_CHECK, WAITED};
use crate::api::manifest::tree::{Tree, Value};
use crate::api::{ConditionStatus, EventType, Kind, LabelSelector, ObjectKey, Phase, TaintEffect};
use crate::base::Str;
use crate::base::diag::did_you_mean;
use crate::expect::cost::{CostSubject, DOLLAR_DIGITS, HOUR_DIGITS, Share, Which};
use crate::expect::fields::fields_of;
use crate::expect::spec::{
    Check, DataSubject, EndpointsSubject, EventSubject, ExistsSubject, Expectation, ObjectSubject,
    ObjectsSubject, PodsSubject, Subject, When, Whose,
};
use crate::expect::trace::{TraceCheck, TraceNumber, TraceSubject};
use crate::expect::traffic::{TrafficCheck, TrafficSubject};
use crate::expect::{Cause, Count};
use crate::plan::Target;

/// Subjects that look into objects of a kind, by their word.
const KIND_SUBJECTS: &[(&str, Kind)] = &[
    ("deployment", Kind::Deployment),
    ("statefulset", Kind::StatefulSet),
    ("daemonset", Kind::DaemonSet),
    ("replicaset", Kind::ReplicaSet),
    ("replicationcontroller", Kind::ReplicationController),
    ("job", Kind::Job),
    ("cronjob", Kind::CronJob),
    ("hpa", Kind::HorizontalPodAutoscaler),
    ("pdb", Kind::PodDisruptionBudget),
    ("pvc", Kind::PersistentVolumeClaim),
    ("pv", Kind::PersistentVolume),
    ("volumeattachment", Kind::VolumeAttachment),
    ("node", Kind::Node),
    ("namespace", Kind::Namespace),
];

/// Reads one expectation.
pub fn expectation(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<Expectation> {
    let Some(entries) = tree.as_map() else {
        return reader.expected(tree, "an expectation: a subject such as `pods`, and when");
    };
    let mut subjects = Vec::new();
    let mut wrong = false;
    for (key, _) in entries.iter().filter(|(key, _)| !is_when(&key.text)) {
        match subject_word(&key.text) {
            Some(word) => subjects.push((word, key)),
            None => {
                wrong = true;
                unknown_subject(reader, key);
            }
        }
    }
    let mut when = when(reader, tree);
    let given = tree.get("name").filter(|t| !t.is_null()).and_then(|t| name(reader, t));
    let (word, argument) = match subjects[..] {
        [(word, key)] => (word, tree.get(&key.text)?),
        [] if wrong => return None,
        [] => {
            let words: Vec<_> = SUBJECTS.iter().map(|s| s.name).collect();
            let help = format!("subjects are {}", list(&words));
            return reader.cure(code::BAD_SUBJECT, tree.head_span(), "the expectation has no subject", help);
        }
        [(_, first), (_, key), ..] => {
            return reader.cure(
                code::BAD_SUBJECT,
                key.span,
                format!("the expectation has two subjects, `{}` and `{}`", first.text, key.text),
                "write two expectations",
            );
        }
    };
    let subject = subject(reader, word, argument, known);
    if matches!(subject, Some(Subject::Traffic(_))) {
        when = counted_over(reader, when, tree, argument);
    }
    let (when, subject) = (when?, subject?);
    if matches!((&subject, when), (Subject::Cost(_), When::By(_) | When::During(..))) {
        let message = "what was spent is judged at an instant";
        return reader.cure(
            code::BAD_WHEN,
            tree.head_span(),
            message,
            "write `at: 20m`, or nothing for the end",
        );
    }
    let name = given.unwrap_or_else(|| derived_name(&subject, when).into());
    Some(Expectation { name, when, subject, origin: tree.head_span() })
}

fn is_when(key: &str) -> bool {
    ["name", "at", "by", "during"].contains(&key)
}

/// The subject that a key means: as listed, or another of kubectl's words for the same kind.
fn subject_word(key: &str) -> Option<&'static str> {
    if let Some(subject) = SUBJECTS.iter().find(|s| s.name == key) {
        return Some(subject.name);
    }
    match key {
        "pod" => Some("pods"),
        "events" => Some("event"),
        _ => {
            let kind = Kind::parse(key)?;
            KIND_SUBJECTS.iter().find(|(_, k)| *k == kind).map(|(word, _)| *word)
        }
    }
}

fn unknown_subject(reader: &mut Reader<'_>, key: &crate::api::manifest::tree::Key) {
    let words: Vec<_> = tables::WHEN.iter().chain(SUBJECTS).map(|f| f.name).collect();
    let help = match did_you_mean(&key.text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("subjects are {}", list(&SUBJECTS.iter().map(|s| s.name).collect::<Vec<_>>())),
    };
    reader.cure::<()>(code::BAD_SUBJECT, key.span, format!("unknown subject `{}`", key.text), help);
}

fn when(reader: &mut Reader<'_>, tree: &Tree) -> Option<When> {
    let entry = |name: &str| tree.entry(name).filter(|(_, value)| !value.is_null());
    let given: Vec<_> = ["at", "by", "during"].iter().filter_map(|name| entry(name)).collect();
    match given[..] {
        [] => Some(When::End),
        [(key, value)] => match key.text.as_str() {
            "at" => instant(reader, value).map(When::At),
            "by" => instant(reader, value).map(When::By),
            _ => during(reader, value),
        },
        [(first, _), (second, _), ..] => {
            let message = format!("`{}` and `{}` exclude one another", first.text, second.text);
            reader.cure(code::BAD_WHEN, second.span, message, "write two expectations")
        }
    }
}

fn during(reader: &mut Reader<'_>, tree: &Tree) -> Option<When> {
    let Some([from, to]) = tree.as_seq() else {
        return reader.cure(
            code::BAD_WHEN,
            tree.head_span(),
            "a span has two ends",
            "write `during: [12m, 20m]`",
        );
    };
    let (from_at, to_at) = (instant(reader, from), instant(reader, to));
    let (from_at, to_at) = (from_at?, to_at?);
    if from_at > to_at {
        return reader.error(
            code::BAD_WHEN,
            to.span,
            format!("the span ends at {to_at}, before it begins at {from_at}"),
        );
    }
    Some(When::During(from_at, to_at))
}

fn subject(reader: &mut Reader<'_>, word: &'static str, tree: &Tree, known: &Known) -> Option<Subject> {
    match word {
        "pods" => pods(reader, tree, known).map(Subject::Pods),
        "event" => event(reader, tree, known).map(Subject::Event),
        "endpoints" => endpoints(reader, tree).map(Subject::Endpoints),
        "object" => object(reader, tree, known).map(Subject::Exists),
        "data" => data(reader, tree).map(Subject::Data),
        "availability" => availability(reader, tree, known).map(Subject::Traffic),
        "latency" => latency(reader, tree, known).map(Subject::Traffic),
        "cost" => cost(reader, tree, known).map(Subject::Cost),
        "trace" => trace(reader, tree, known).map(Subject::Trace),
        _ => {
            let (_, kind) = KIND_SUBJECTS.iter().find(|(w, _)| *w == word)?;
            let field = SUBJECTS.iter().find(|s| s.name == word)?;
            let Type::Shape(shape) = field.takes else { return None };
            of_kind(reader, tree, *kind, shape, known)
        }
    }
}

fn cost(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<CostSubject> {
    let fields = Fields::open(reader, tree, &tables::COST)?;
    let which = Which {
        group: fields.read(reader, "group", |r, t| target::group(r, t, known)),
        instance_type: fields.read(reader, "instanceType", text),
    };
    let namespace = fields.read(reader, "namespace", text);
    let dollars = fields.read(reader, "dollars", |r, t| amount(r, t, DOLLAR_DIGITS));
    let node_hours = fields.read(reader, "nodeHours", |r, t| amount(r, t, HOUR_DIGITS));
    let mut shares = Vec::new();
    for share in Share::ALL {
        if let Some(wanted) = fields.read(reader, share.as_str(), count) {
            shares.push((share, wanted));
        }
    }
    if dollars.is_none() && node_hours.is_none() && shares.is_empty() {
        return reader.expected(tree, "something to compare: `dollars`, `nodeHours`, `cpuRequested` …");
    }
    Some(CostSubject { which, namespace, dollars, node_hours, shares })
}

/// An expectation about objects of a kind: one by name, or as many as are as described.
fn of_kind(
    reader: &mut Reader<'_>,
    tree: &Tree,
    kind: Kind,
    shape: &'static Shape,
    known: &Known,
) -> Option<Subject> {
    let fields = Fields::open(reader, tree, shape)?;
    let checks = checks(reader, &fields, kind, known);
    let called = fields.read(reader, "name", name);
    let namespaced = kind.info().namespaced;
    let namespace = if namespaced { fields.read(reader, "namespace", name) } else { None };
    let by_labels = fields.read(reader, "selector", selector);
    let wanted = fields.read(reader, "count", count);
    let checks = checks?;
    let Some(called) = called else {
        return Some(Subject::Objects(ObjectsSubject {
            kind,
            namespace,
            selector: by_labels.unwrap_or(LabelSelector::everything()),
            checks,
            count: wanted.unwrap_or(Count::at_least(1)),
        }));
    };
    if let Some(stray) = fields.present(&["selector", "count"]).first() {
        let message = format!("`{stray}` counts objects, and `name` names one");
        return reader.error(code::CHOICE, fields.key_span(stray), message);
    }
    if checks.is_empty() {
        return reader.cure(
            code::ASKS_NOTHING,
            fields.span(),
            format!("nothing is asked of {} `{called}`", kind.name()),
            format!(
                "say what must be true of it, or write `object: {{resource: {}/{called}}}`",
                kind.info().plural.trim_end_matches('s')
            ),
        );
    }
    let namespace = match (namespaced, namespace) {
        (true, Some(namespace)) => namespace,
        (true, None) => "default".into(),
        (false, _) => Str::new(),
    };
    Some(Subject::Object(ObjectSubject { kind, namespace, name: called, checks }))
}

/// What must be true, in the order of the table; none if a value cannot be read.
fn checks(reader: &mut Reader<'_>, fields: &Fields<'_>, kind: Kind, known: &Known) -> Option<Vec<Check>> {
    let of_kind = fields_of(kind)?;
    let mut checks = Vec::new();
    let mut complete = true;
    let mut push = |given: bool, check: Option<Check>| {
        complete &= !given || check.is_some();
        checks.extend(check);
    };
    for field in of_kind.numbers {
        let given = fields.get(field.as_str()).is_some();
        let check = fields.read(reader, field.as_str(), count).map(|c| Check::Number(*field, c));
        push(given, check);
    }
    for field in of_kind.texts {
        let name = field.as_str();
        let given = fields.get(name).is_some();
        let check = fields.read(reader, name, |reader, tree| match fields.words(name) {
            Some(words) => word(reader, tree, words).map(Str::from),
            None if name == "zone" && kind == Kind::Node => target::zone(reader, tree, known),
            None if name == "group" => target::group(reader, tree, known),
            None => text(reader, tree),
        });
        push(given, check.map(|t| Check::Text(*field, t)));
    }
    for field in of_kind.flags {
        let given = fields.get(field.as_str()).is_some();
        let check = fields.read(reader, field.as_str(), boolean).map(|b| Check::Flag(*field, b));
        push(given, check);
    }
    if of_kind.conditions {
        let given = fields.get("condition").is_some();
        let check = fields.read(reader, "condition", condition);
        push(given, check.map(|(kind, status, reason)| Check::Condition { kind, status, reason }));
    }
    if of_kind.taints {
        let given = fields.get("taint").is_some();
        let check = fields.read(reader, "taint", taint);
        push(given, check);
    }
    complete.then_some(checks)
}

/// A condition: its type, or its type with status and reason.
fn condition(reader: &mut Reader<'_>, tree: &Tree) -> Option<(Str, ConditionStatus, Option<Str>)> {
    if matches!(tree.value, Value::Str(_)) {
        return name(reader, tree).map(|kind| (kind, ConditionStatus::True, None));
    }
    let fields = Fields::open(reader, tree, &tables::CONDITION)?;
    let kind = fields.read(reader, "type", name);
    let status = match fields.get("status") {
        None => Some(ConditionStatus::True),
        Some(tree) => word(reader, tree, &["True", "False", "Unknown"]).map(ConditionStatus::parse),
    };
    let reason = fields.read(reader, "reason", name);
    Some((kind?, status?, reason))
}

/// `key`, `key=value`, `key:Effect` or `key=value:Effect`.
fn taint(reader: &mut Reader<'_>, tree: &Tree) -> Option<Check> {
    let written = name(reader, tree)?;
    let (head, effect) = match written.rsplit_once(':') {
        None => (written.as_str(), None),
        Some((head, effect)) => match TaintEffect::parse(effect) {
            Some(effect) => (head, Some(effect)),
            None => {
                let help = "effects are NoSchedule, PreferNoSchedule, NoExecute";
                return reader.cure(code::BAD_VALUE, tree.span, format!("unknown effect `{effect}`"), help);
            }
        },
    };
    let (key, value) = match head.split_once('=') {
        None => (head, None),
        Some((key, value)) => (key, Some(Str::from(value))),
    };
    Some(Check::Taint { key: key.into(), value, effect })
}

fn pods(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<PodsSubject> {
    let fields = Fields::open(reader, tree, &tables::PODS)?;
    let before = reader.diagnostics.len();
    let phases = &["Pending", "Running", "Succeeded", "Failed", "Unknown"];
    let subject = PodsSubject {
        namespace: fields.read(reader, "namespace", name),
        name: fields.read(reader, "name", name),
        selector: fields.read(reader, "selector", selector).unwrap_or(LabelSelector::everything()),
        phase: fields.read(reader, "phase", |r, t| word(r, t, phases)).and_then(Phase::parse),
        cause: fields.read(reader, "cause", cause),
        node: fields.read(reader, "node", name),
        zone: fields.read(reader, "zone", |r, t| target::zone(r, t, known)),
        ready: fields.read(reader, "ready", boolean),
        scheduled: fields.read(reader, "scheduled", boolean),
        terminating: fields.read(reader, "terminating", boolean),
        reason: fields.read(reader, "reason", name),
        restarts: fields.read(reader, "restarts", count),
        condition: fields.read(reader, "condition", condition).map(|(kind, status, _)| (kind, status)),
        count: fields.read(reader, "count", count).unwrap_or(Count::at_least(1)),
    };
    (reader.diagnostics.len() == before).then_some(subject)
}

fn cause(reader: &mut Reader<'_>, tree: &Tree) -> Option<Cause> {
    let written = text(reader, tree)?;
    if let Some(cause) = Cause::parse(&written) {
        return Some(cause);
    }
    let names: Vec<_> = Cause::ALL.iter().map(|c| c.as_str()).collect();
    reader.unknown_word(code::UNKNOWN_CAUSE, tree.span, ("cause", &written), &names)
}

fn event(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<EventSubject> {
    let fields = Fields::open(reader, tree, &tables::EVENT)?;
    let before = reader.diagnostics.len();
    let kinds = &["Normal", "Warning"];
    let subject = EventSubject {
        reason: fields.read(reader, "reason", name),
        event_type: fields
            .read(reader, "type", |r, t| word(r, t, kinds))
            .map(|w| if w == "Normal" { EventType::Normal } else { EventType::Warning }),
        object: fields.read(reader, "object", |r, t| regarding(r, t, known)),
        namespace: fields.read(reader, "namespace", name),
        message: fields.read(reader, "message", text),
        count: fields.read(reader, "count", count).unwrap_or(Count::at_least(1)),
    };
    (reader.diagnostics.len() == before).then_some(subject)
}

/// `Kind/name` or `Kind`.
fn regarding(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<(Str, Option<Str>)> {
    let written = name(reader, tree)?;
    let (word, called) = match written.split_once('/') {
        None => (written.as_str(), None),
        Some((word, called)) => (word, Some(Str::from(called)).filter(|n| !n.is_empty())),
    };
    let kind = target::kind(reader, word, tree.span, known)?;
    Some((kind.kind.to_string().into(), called))
}

fn endpoints(reader: &mut Reader<'_>, tree: &Tree) -> Option<EndpointsSubject> {
    let fields = Fields::open(reader, tree, &tables::ENDPOINTS)?;
    let before = reader.diagnostics.len();
    let service = fields.read(reader, "service", name);
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let ready = fields.read(reader, "ready", count);
    let serving = fields.read(reader, "serving", count);
    let terminating = fields.read(reader, "terminating", count);
    if fields.present(&["ready", "serving", "terminating"]).is_empty() {
        let help = "say how many must be `ready`, `serving` or `terminating`";
        return reader.cure(code::ASKS_NOTHING, fields.span(), "nothing is asked of the endpoints", help);
    }
    let service = service?;
    let subject = EndpointsSubject { namespace, service, ready, serving, terminating };
    (reader.diagnostics.len() == before).then_some(subject)
}

fn object(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<ExistsSubject> {
    let fields = Fields::open(reader, tree, &tables::OBJECT)?;
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let exists = fields.read(reader, "exists", boolean);
    let absent = fields.read(reader, "absent", boolean);
    if let [_, second] = fields.present(&["exists", "absent"])[..] {
        let message = "`exists` and `absent` exclude one another";
        return reader.error(code::CHOICE, fields.key_span(second), message);
    }
    let exists = exists.or(absent.map(|a| !a)).unwrap_or(true);
    match fields.read(reader, "resource", |r, t| target::named(r, t, &namespace, known))? {
        Target::Named { kind, namespace, name } => Some(ExistsSubject { kind, namespace, name, exists }),
        Target::Selected { .. } => None,
    }
}

fn data(reader: &mut Reader<'_>, tree: &Tree) -> Option<DataSubject> {
    let fields = Fields::open(reader, tree, &tables::DATA)?;
    let before = reader.diagnostics.len();
    let whose = whose(reader, &fields)?;
    let subject = DataSubject {
        whose,
        holds: fields.read(reader, "holds", instant),
        lacks: fields.read(reader, "lacks", instant),
        empty: fields.read(reader, "empty", boolean),
        writer: fields.read(reader, "writer", name),
        count: fields.read(reader, "count", count).unwrap_or(Count::at_least(1)),
    };
    if fields.present(&["holds", "lacks", "empty", "writer"]).is_empty() {
        let help = "say what must be true of them: `holds`, `lacks`, `empty`, `writer`";
        return reader.cure(code::ASKS_NOTHING, fields.span(), "nothing is asked of the data", help);
    }
    (reader.diagnostics.len() == before).then_some(subject)
}

/// Whose data are meant: exactly one of the four ways to say it.
fn whose(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Whose> {
    let ways: [&[&str]; 4] = [&["pod", "selector", "mount"], &["claim"], &["volume"], &["node", "path"]];
    let given: Vec<&str> = ways.iter().filter_map(|way| fields.present(way).first().copied()).collect();
    if let [first, second, ..] = given[..] {
        let message = format!("`{first}` and `{second}` exclude one another");
        return reader.error(code::CHOICE, fields.key_span(second), message);
    }
    let namespace = fields.read(reader, "namespace", name);
    if let Some(claim) = fields.read(reader, "claim", name) {
        return Some(Whose::Claim(ObjectKey {
            namespace: namespace.unwrap_or_else(|| "default".into()),
            name: claim,
        }));
    }
    if let Some(stray) = fields
        .present(&["count"])
        .first()
        .filter(|_| !matches!(given[..], [] | ["pod" | "selector" | "mount"]))
    {
        let message = format!("`{stray}` counts Pods");
        return reader.error(code::CHOICE, fields.key_span(stray), message);
    }
    if let Some(volume) = fields.read(reader, "volume", name) {
        return Some(Whose::Volume(volume));
    }
    let (node, path) = (fields.read(reader, "node", name), fields.read(reader, "path", text));
    match (node, path) {
        (Some(node), Some(path)) => Some(Whose::Directory { node, path }),
        (None, None) => Some(Whose::Pods {
            namespace,
            name: fields.read(reader, "pod", name),
            selector: fields.read(reader, "selector", selector).unwrap_or(LabelSelector::everything()),
            mount: fields.read(reader, "mount", name),
        }),
        (Some(_), None) | (None, Some(_)) => {
            let help = "a directory is named by `node` and `path`";
            reader.cure(code::CHOICE, fields.span(), "half of a directory's name", help)
        }
    }
}

/// The span over which requests count: `during` beside the subject or in it.
fn counted_over(reader: &mut Reader<'_>, outer: Option<When>, tree: &Tree, inner: &Tree) -> Option<When> {
    let inner = inner.entry("during").filter(|(_, value)| !value.is_null());
    match (outer?, inner) {
        (When::At(_) | When::By(_), _) => {
            let word = if tree.get("at").is_some() { "at" } else { "by" };
            let span = tree.entry(word).map_or(tree.head_span(), |(key, _)| key.span);
            let help = "write `during: [5m, 20m]`, or leave it out for the whole run";
            reader.cure(code::BAD_WHEN, span, "requests are counted over a span, not at an instant", help)
        }
        (When::During(..), Some((key, _))) => {
            reader.error(code::BAD_WHEN, key.span, "`during` stands beside the subject already")
        }
        (When::End, Some((_, value))) => during(reader, value),
        (when, None) => Some(when),
    }
}

/// The service that an expectation names, by its place in the plan.
fn requests_of(reader: &mut Reader<'_>, fields: &Fields<'_>, known: &Known) -> Option<(usize, Str)> {
    let namespace = fields.read(reader, "namespace", name).unwrap_or_else(|| "default".into());
    let called = fields.read(reader, "service", name)?;
    let by_name = |(ns, name, _): &(Str, Str, Option<Str>)| *ns == namespace && *name == called;
    let by_service =
        |(ns, _, service): &(Str, Str, Option<Str>)| *ns == namespace && service.as_ref() == Some(&called);
    let found = known.traffic.iter().position(by_name).or_else(|| known.traffic.iter().position(by_service));
    let Some(index) = found else {
        let names: Vec<&str> = known.traffic.iter().map(|(_, name, _)| name.as_str()).collect();
        let span = fields.get("service").map_or(fields.span(), |t| t.span);
        let message = format!("no entry of `traffic` is about `{namespace}/{called}`");
        let help = match (did_you_mean(&called, names.iter().copied()), names.is_empty()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, true) => "describe the requests under `spec.traffic`".to_owned(),
            (None, false) => format!("requests are known of {}", list(&names)),
        };
        return reader.cure(code::UNKNOWN_PLACE, span, message, help);
    };
    Some((index, known.traffic[index].1.clone()))
}

fn availability(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<TrafficSubject> {
    let fields = Fields::open(reader, tree, &tables::AVAILABILITY)?;
    let before = reader.diagnostics.len();
    let service = requests_of(reader, &fields, known);
    let mut checks = Vec::new();
    checks.extend(fields.read(reader, "atLeast", percent).map(TrafficCheck::AtLeast));
    checks.extend(fields.read(reader, "failed", count).map(TrafficCheck::Failed));
    checks.extend(fields.read(reader, "requests", count).map(TrafficCheck::Requests));
    if fields.present(&["atLeast", "failed", "requests"]).is_empty() {
        let help = "say `atLeast: 99.9%`, or how many may have `failed`";
        return reader.cure(code::ASKS_NOTHING, fields.span(), "nothing is asked of the requests", help);
    }
    let (service, name) = service?;
    (reader.diagnostics.len() == before).then_some(TrafficSubject { service, name, checks })
}

fn latency(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<TrafficSubject> {
    let fields = Fields::open(reader, tree, &tables::LATENCY_CHECK)?;
    let before = reader.diagnostics.len();
    let service = requests_of(reader, &fields, known);
    let shares = [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)];
    let within =
        |(field, share)| fields.read(reader, field, duration).map(|time| TrafficCheck::Within(share, time));
    let checks: Vec<TrafficCheck> = shares.into_iter().filter_map(within).collect();
    if fields.present(&["p50", "p90", "p95", "p99"]).is_empty() {
        let help = "say for example `p99: 300ms`";
        return reader.cure(code::ASKS_NOTHING, fields.span(), "nothing is asked of the answers", help);
    }
    let (service, name) = service?;
    (reader.diagnostics.len() == before).then_some(TrafficSubject { service, name, checks })
}

fn trace(reader: &mut Reader<'_>, tree: &Tree, known: &Known) -> Option<TraceSubject> {
    let fields = Fields::open(reader, tree, &TRACE_CHECK)?;
    let before = reader.diagnostics.len();
    let called = fields.read(reader, "name", name);
    let numbers = TraceNumber::ALL.iter().filter_map(|number| {
        fields.read(reader, number.as_str(), count).map(|count| TraceCheck::Number(*number, count))
    });
    let mut checks: Vec<TraceCheck> = numbers.collect();
    if let Some(tree) = fields.get("waited") {
        let fields = Fields::open(reader, tree, &WAITED)?;
        let shares = [("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99), ("max", 100)];
        checks.extend(shares.into_iter().filter_map(|(field, share)| {
            fields.read(reader, field, duration).map(|time| TraceCheck::Within(share, time))
        }));
    }
    if reader.diagnostics.len() > before {
        return None;
    }
    if checks.is_empty() {
        let help = "say for example `pending: 0`, or `waited: {p99: 30s}`";
        return reader.cure(code::ASKS_NOTHING, fields.span(), "nothing is asked of the trace", help);
    }
    let name = called?;
    let Some(trace) = known.traces.iter().position(|trace| *trace == name) else {
        let words: Vec<&str> = known.traces.iter().map(Str::as_str).collect();
        return reader.unknown_word(code::BAD_VALUE, fields.key_span("name"), ("trace", &name), &words);
    };
    Some(TraceSubject { trace, name, checks })
}

/// `99.9%` or `99.9`, in thousandths of a percent.
fn percent(reader: &mut Reader<'_>, tree: &Tree) -> Option<u32> {
    let written = match &tree.value {
        Value::Str(text) => text.trim().trim_end_matches('%').trim().to_owned(),
        Value::Int(_) | Value::UInt(_) | Value::Float(_) => reader.raw(tree.span).to_owned(),
        Value::Null | Value::Bool(_) | Value::Seq(_) | Value::Map(_) => {
            return reader.expected(tree, "a percentage such as `99.9%`");
        }
    };
    let value = written.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
    match value {
        Some(value) => Some(libm::round(value * 1000.0) as u32),
        None => reader.cure(
            code::BAD_VALUE,
            tree.span,
            format!("`{written}` is not a percentage from 0 to 100"),
            "write for example `99.9%`",
        ),
    }
}

/// A name for an expectation that was given none.
fn derived_name(subject: &Subject, when: When) -> String {
    let what = match subject {
        Subject::Object(s) => {
            let checks: Vec<_> = s.checks.iter().map(Check::wanted).collect();
            format!("{}/{}: {}", s.kind.name().to_ascii_lowercase(), s.name, checks.join(", "))
        }
        Subject::Objects(s) => {
            let checks: Vec<_> = s.checks.iter().map(Check::wanted).collect();
            format!("{} with {}: {}", s.kind.info().plural, checks.join(", "), s.count)
        }
        Subject::Pods(s) => {
            let mut words = Vec::new();
            words.extend(s.namespace.as_ref().map(|n| format!("in {n}")));
            words.extend(s.name.as_ref().map(|n| format!("called {n}")));
            if !s.selector.is_everything() {
                words.push(format!("with {}", s.selector));
            }
            words.extend(s.phase.map(|p| p.as_str().to_owned()));
            words.extend(s.cause.map(|c| c.to_string()));
            words.extend(s.reason.as_ref().map(ToString::to_string));
            words.extend(s.ready.map(|r| if r { "ready" } else { "not ready" }.to_owned()));
            format!("pods {}: {}", words.join(" "), s.count)
        }
        Subject::Cost(s) => match s.of().as_str() {
            "" => format!("cost: {}", s.wanted()),
            of => format!("cost of {of}: {}", s.wanted()),
        },
        Subject::Trace(s) => format!("trace {}: {}", s.name, s.wanted()),
        Subject::Event(s) => {
            let reason = s.reason.as_ref().map_or("event", Str::as_str);
            match &s.object {
                Some((kind, Some(name))) => format!("{reason} of {kind}/{name}: {}", s.count),
                Some((kind, None)) => format!("{reason} of {kind}: {}", s.count),
                None => format!("{reason}: {}", s.count),
            }
        }
        Subject::Endpoints(s) => format!("endpoints of {}/{}", s.namespace, s.service),
        Subject::Data(s) => {
            let whose = match &s.whose {
                Whose::Pods { name: Some(name), .. } => format!("pod {name}"),
                Whose::Pods { selector, .. } => format!("pods with {selector}"),
                Whose::Claim(key) => format!("claim {key}"),
                Whose::Volume(name) => format!("volume {name}"),
                Whose::Directory { node, path } => format!("{path} of node {node}"),
            };
            format!("data of {whose}: {}", s.wanted())
        }
        Subject::Traffic(s) => format!("requests to {}: {}", s.name, s.wanted()),
        Subject::Exists(s) => {
            let kind = s.kind.to_string().to_ascii_lowercase();
            format!("{kind}/{} {}", s.name, if s.exists { "exists" } else { "is absent" })
        }
    };
    format!("{what}, {when}")
}
