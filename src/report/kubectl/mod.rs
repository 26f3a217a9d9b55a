//! Objects as `kubectl get` and `kubectl describe` print them.
//!
//! * [`age`]: durations as kubectl rounds them. * [`pod_status`]: the STATUS column. * [`columns`]: columns per kind.
//! * [`describe`]: `kubectl describe`. * [`sort`]: `--sort-by`. * [`top`]: `kubectl top`.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`, `kubectl/pkg/describe/describe.go`, v1.34.

pub mod age;
pub mod columns;
pub mod describe;
pub mod pod_status;
pub mod sort;
pub mod top;

use crate::api::{Event, Object};
use crate::base::{Arc, Timestamp};

/// The table of objects of one kind: a header and a row per object.
pub fn table(objects: &[Object], now: Timestamp, options: &TableOptions) -> String {
    let Some(first) = objects.first() else { return String::new() };
    let columns = match first {
        Object::Inert(inert) => columns::of_inert(&inert.kind, options.wide),
        other => columns::of(other.kind(), options.wide),
    };
    let mut header: Vec<String> = columns.header.iter().map(|h| (*h).to_owned()).collect();
    if options.namespace {
        header.insert(0, "NAMESPACE".to_owned());
    }
    header
        .extend(options.label_columns.iter().map(|key| key.rsplit('/').next().unwrap_or(key).to_uppercase()));
    if options.labels {
        header.push("LABELS".to_owned());
    }
    let rows: Vec<Vec<String>> = objects
        .iter()
        .map(|object| {
            let mut row = (columns.row)(object, now, options.wide);
            if options.kind_prefix
                && let Some(name) = row.get_mut(columns.name_column)
            {
                *name = format!("{}/{name}", resource_name(object));
            }
            if options.namespace {
                row.insert(0, object.meta().namespace.to_string());
            }
            let labels = &object.meta().labels;
            row.extend(
                options
                    .label_columns
                    .iter()
                    .map(|key| labels.get(key).cloned().unwrap_or_default().to_string()),
            );
            if options.labels {
                row.push(columns::labels_text(labels));
            }
            row
        })
        .collect();
    super::table::render(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}

/// Events as `kubectl events` prints them.
///
/// Upstream: `kubectl/pkg/cmd/events/event_printer.go`, v1.34.
pub fn events(events: &[Arc<Event>], now: Timestamp, namespace: bool) -> String {
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let mut row = vec![
                columns::last_seen(event, now),
                event.event_type.as_str().to_owned(),
                event.reason.to_string(),
                format!("{}/{}", event.regarding.kind, event.regarding.name),
                event.message.trim().to_owned(),
            ];
            if namespace {
                row.insert(0, event.meta.namespace.to_string());
            }
            row
        })
        .collect();
    let header = ["NAMESPACE", "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];
    super::table::render(&header[usize::from(!namespace)..], &rows)
}

/// How a table is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// With more columns.
    pub wide: bool,
    /// With the namespace in front.
    pub namespace: bool,
    /// With the kind before the name, as kubectl does when several kinds are shown.
    pub kind_prefix: bool,
    /// With all labels behind.
    pub labels: bool,
    /// With a column for each of these labels.
    pub label_columns: Vec<String>,
}

/// `deployment.apps`, `pod`: the kind with its group, as kubectl prefixes names.
pub fn resource_name(object: &Object) -> String {
    let (api_version, kind) = (object.api_version(), object.kind_name().to_lowercase());
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind,
    }
}
