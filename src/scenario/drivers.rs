//! Reads what is said of storage drivers: `spec.cluster.drivers` and the verb `driver`.

use super::code;
use super::read::{Fields, Reader};
use super::scalar::{delay, integer, name, quantity, thousandths, word};
use super::tables;
use crate::api::manifest::tree::Tree;
use crate::base::{Quantity, Str};
use crate::params::operations::{DriverChange, Operation};

/// Reads what is said of one driver.
pub fn driver(reader: &mut Reader<'_>, tree: &Tree) -> Option<DriverChange> {
    let fields = Fields::open(reader, tree, &tables::DRIVER)?;
    let driver = fields.read(reader, "name", name);
    let denied = fields.get("denied").is_some().then(|| {
        let words = fields.each(reader, "denied", |r, t| word(r, t, Operation::WORDS));
        words.into_iter().filter_map(Operation::parse).collect()
    });
    let error_rates = fields.read(reader, "errorRates", |reader, tree| {
        by_operation(reader, tree, |reader, tree| {
            let rate = thousandths(reader, tree)?;
            if rate > 1000 {
                return reader.error(code::OUT_OF_RANGE, tree.span, "more calls fail than are made");
            }
            Some(rate)
        })
    });
    let latencies = fields.read(reader, "latencies", |reader, tree| by_operation(reader, tree, delay));
    let room = fields.read(reader, "room", |reader, tree| Some(by_zone(reader, tree)));
    let attach_limit = fields.read(reader, "attachLimit", integer::<u32>);
    let mount_targets =
        fields.get("mountTargets").is_some().then(|| fields.each(reader, "mountTargets", name));
    Some(DriverChange {
        driver: driver?,
        denied,
        error_rates: error_rates.unwrap_or_default(),
        latencies: latencies.unwrap_or_default(),
        room: room.unwrap_or_default(),
        mount_targets,
        attach_limit: attach_limit.and_then(|limit| usize::try_from(limit).ok()),
    })
}

/// Something for each operation that is named.
fn by_operation<T>(
    reader: &mut Reader<'_>,
    tree: &Tree,
    read: impl Fn(&mut Reader<'_>, &Tree) -> Option<T>,
) -> Option<Vec<(Operation, T)>> {
    let mut out = Vec::new();
    for (key, tree) in reader.entries(tree, "something by operation") {
        match Operation::parse(&key.text) {
            Some(operation) => out.extend(read(reader, tree).map(|value| (operation, value))),
            None => {
                let known = Operation::WORDS;
                reader.unknown_word::<()>(code::UNKNOWN_FIELD, key.span, ("operation", &key.text), known);
            }
        }
    }
    Some(out)
}

fn by_zone(reader: &mut Reader<'_>, tree: &Tree) -> Vec<(Str, Quantity)> {
    let mut out = Vec::new();
    for (key, tree) in reader.entries(tree, "quantities by zone") {
        out.extend(quantity(reader, tree).map(|room| (Str::from(key.text.as_str()), room)));
    }
    out
}
