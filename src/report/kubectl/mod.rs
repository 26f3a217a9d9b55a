//! Objects as `kubectl get` and `kubectl describe` print them.
//!
//! * [`age`]: durations as kubectl rounds them. * [`pod_status`]: the STATUS column. * [`columns`]: columns per kind.
//! * [`describe`]: `kubectl describe`.
//!
//! Upstream: `pkg/printers/internalversion/printers.go`, `kubectl/pkg/describe/describe.go`, v1.34.

pub mod age;
pub mod columns;
pub mod describe;
pub mod pod_status;

use crate::api::{Kind, Object};
use crate::base::Timestamp;

/// A kind's table: header and a row per object. Wide tables have more columns.
pub fn table(kind: Kind, objects: &[Object], now: Timestamp, options: TableOptions) -> String {
    let columns = columns::of(kind, options.wide);
    let mut header: Vec<&str> = columns.header.to_vec();
    if options.namespace {
        header.insert(0, "NAMESPACE");
    }
    let rows: Vec<Vec<String>> = objects
        .iter()
        .map(|object| {
            let mut row = (columns.row)(object, now, options.wide);
            if options.kind_prefix && let Some(name) = row.get_mut(columns.name_column) {
                *name = format!("{}/{name}", resource_name(object));
            }
            if options.namespace {
                row.insert(0, object.meta().namespace.to_string());
            }
            row
        })
        .collect();
    super::table::render(&header, &rows)
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    /// With more columns.
    pub wide: bool,
    /// With the namespace in front.
    pub namespace: bool,
    /// With the kind before the name, as kubectl does when several kinds are shown.
    pub kind_prefix: bool,
}

/// `deployment.apps`, `pod`: the kind with its group, as kubectl prefixes names.
pub fn resource_name(object: &Object) -> String {
    let (api_version, kind) = (object.api_version(), object.kind_name().to_lowercase());
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind,
    }
}
