//! Files of nodes.

use super::file::{self, amounts, column, labels, told};
use super::tables;
use crate::api::manifest::tree::Tree;
use crate::api::{Labels, ResourceList};
use crate::base::{Span, Str};
use crate::cloud::PlannedNode;
use crate::scenario::cluster::{self, Cluster, NODES_MAX};
use crate::scenario::code;
use crate::scenario::manifests::Manifests;
use crate::scenario::read::{Fields, Reader};
use crate::scenario::scalar::integer;
use crate::trace::rows::Rows;
use crate::trace::{Amount, BadRow};

/// Bad rows that are told one by one.
const TOLD_MAX: usize = 10;

/// What is in which column; numbers are places in `names`.
#[derive(Default)]
struct NodeColumns {
    names: Vec<Str>,
    name: Option<usize>,
    count: Option<usize>,
    zone: Option<usize>,
    capacity: Vec<Amount>,
    labels: Vec<(Str, usize)>,
}

/// Reads an entry of `cluster.nodeFiles`.
pub fn nodes(
    reader: &mut Reader<'_>,
    tree: &Tree,
    cluster: &Cluster,
    manifests: &Manifests<'_>,
) -> Option<Vec<(PlannedNode, Span)>> {
    let fields = Fields::open(reader, tree, &tables::NODE_FILE)?;
    if fields.get("file").is_none() {
        return reader.error(code::MISSING_FIELD, fields.span(), "`file` is missing");
    }
    let file = file::open(reader, &fields, manifests);
    let columns = fields.read(reader, "columns", columns);
    let limit = fields.read(reader, "limit", integer::<u64>).unwrap_or(u64::MAX);
    let (file, columns) = (file?, columns?);
    let span = fields.key_span("file");
    let mut rows = match Rows::open(&file.bytes, file.format, &columns.names) {
        Ok(rows) => rows,
        Err(bad) => {
            reader.note(told(&file.path, &bad, span));
            return None;
        }
    };
    let (mut nodes, mut wrong) = (Vec::new(), 0);
    for number in 0..limit {
        let Some(row) = rows.advance() else { break };
        match row.and_then(|()| machines(&columns, &rows, number, cluster)) {
            Ok(made) => nodes.extend(made.into_iter().map(|node| (node, span))),
            Err(bad) => {
                wrong += 1;
                if wrong <= TOLD_MAX {
                    reader.note(told(&file.path, &bad, span));
                }
            }
        }
        if nodes.len() as u64 > NODES_MAX {
            let message = format!("`{}` has more than {NODES_MAX} nodes", file.path);
            return reader.error(code::LIMIT, span, message);
        }
    }
    Some(nodes)
}

fn columns(reader: &mut Reader<'_>, tree: &Tree) -> Option<NodeColumns> {
    let fields = Fields::open(reader, tree, &tables::NODE_COLUMNS)?;
    let before = reader.diagnostics.len();
    let mut columns = NodeColumns::default();
    let mut place = |reader: &mut Reader<'_>, field| {
        let name = fields.read(reader, field, column)?;
        columns.names.push(name);
        Some(columns.names.len() - 1)
    };
    let (name, count, zone) = (place(reader, "name"), place(reader, "count"), place(reader, "zone"));
    (columns.name, columns.count, columns.zone) = (name, count, zone);
    if let Some(tree) = fields.get("capacity") {
        columns.capacity = amounts(reader, tree, &mut columns.names);
    }
    if let Some(tree) = fields.get("labels") {
        columns.labels = labels(reader, tree, &mut columns.names);
    }
    (reader.diagnostics.len() == before).then_some(columns)
}

/// The nodes of a row.
fn machines(
    columns: &NodeColumns,
    row: &Rows,
    number: u64,
    cluster: &Cluster,
) -> Result<Vec<PlannedNode>, BadRow> {
    let value = |column: Option<usize>| column.map_or("", |column| row.value(column));
    let mut capacity = ResourceList::default();
    for amount in &columns.capacity {
        let quantity = crate::trace::read::amount(amount, row)?;
        if !quantity.is_zero() {
            capacity.0.extend([(amount.resource.clone(), quantity)]);
        }
    }
    let count: u32 = match value(columns.count) {
        "" => 1,
        text => text.parse().ok().filter(|n| u64::from(*n) <= NODES_MAX).ok_or_else(|| BadRow {
            line: row.line(),
            column: columns.count.map(|column| row.name(column)),
            message: format!("`{text}` is no number of nodes"),
            help: "expected a number such as `4`".to_owned(),
        })?,
    };
    let labels: Labels = columns
        .labels
        .iter()
        .filter(|(_, column)| !row.value(*column).is_empty())
        .map(|(key, column)| (key.clone(), row.value(*column)))
        .collect();
    let base = match value(columns.name) {
        "" => format!("node-{number}"),
        name => name.to_owned(),
    };
    let zone = Str::from(value(columns.zone));
    let named = |index| if count == 1 { base.clone() } else { format!("{base}-{index}") };
    Ok((0..count)
        .map(|index| {
            cluster::plain_node(named(index).into(), &zone, capacity.clone(), labels.clone(), cluster)
        })
        .collect())
}
