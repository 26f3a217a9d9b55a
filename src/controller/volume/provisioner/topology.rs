//! Where a new volume goes, and from which nodes it can be reached.
//!
//! Upstream: kubernetes-csi/external-provisioner v6.1 `pkg/controller/topology.go`.

use crate::api::node::{EBS_ZONE_LABEL, ZONE_LABEL};
use crate::api::selector::{NodeSelector, NodeSelectorTerm, Operator, Requirement};
use crate::api::storage::{CsiNode, PersistentVolume, StorageClass};
use crate::api::{Labels, Node};
use crate::base::Str;
use crate::params::drivers::{self, Driver};
use crate::store::Store;

/// One place: labels with their values, ordered by key.
pub(super) type Segment = Vec<(Str, Str)>;

/// Why there is no place, in upstream's words.
pub(super) enum Unplaced {
    /// What the chosen node says of its drivers is gone: another must be chosen.
    Gone(String),
    /// It may be otherwise later.
    Now(String),
}

/// The place for the volume of a claim; none if the driver does not know of places.
///
/// # Errors
/// Why not, without the part in front that says that requirements could not be generated.
pub(super) fn place(
    store: &Store,
    driver: &str,
    class: &StorageClass,
    claim: &str,
    selected: Option<&Node>,
) -> Result<Option<Segment>, Unplaced> {
    let known = drivers::find(driver);
    if drivers::of(driver).volume_keys.is_empty() {
        return Ok(None);
    }
    let registered = || store.list::<CsiNode>().find_map(|node| keys_of(node, driver));
    let Some(node) = selected else {
        let assumed = || known.map(assumed_keys);
        let Some(keys) = registered().or_else(assumed) else { return Ok(None) };
        return immediate(store, &keys, class, claim).map(Some).map_err(Unplaced::Now);
    };
    let csi_node = store.find::<CsiNode>("", &node.meta.name);
    let keys = match csi_node.and_then(|csi| keys_of(csi, driver)) {
        Some(keys) => keys,
        None if registered().is_some() => {
            let name = &node.meta.name;
            return Err(match csi_node {
                Some(_) => Unplaced::Now(format!("no topology key found for node {name}")),
                None => Unplaced::Gone(format!(
                    "failed to get selected CSINode {name}: csinode.storage.k8s.io \"{name}\" not found"
                )),
            });
        }
        // No node at all says that it has the driver: then those that are known are taken to run everywhere.
        None => match known {
            Some(driver) => assumed_keys(driver),
            None => return Ok(None),
        },
    };
    delayed(node, &keys, class).map(Some).map_err(Unplaced::Now)
}

fn keys_of(node: &CsiNode, driver: &str) -> Option<Vec<Str>> {
    let entry = node.drivers.iter().find(|d| d.name == driver)?;
    (!entry.topology_keys.is_empty()).then(|| entry.topology_keys.clone())
}

/// The keys of a driver that no node lists; the zone label alone is what nodes without the driver carry.
fn assumed_keys(driver: &Driver) -> Vec<Str> {
    driver.volume_keys.iter().map(|key| Str::from(*key)).collect()
}

/// The values of `keys` among `labels`; none if one is missing.
fn segment(labels: &Labels, keys: &[Str]) -> Option<Segment> {
    let mut pairs: Segment =
        keys.iter().map(|key| Some((key.clone(), labels.get(key)?.clone()))).collect::<Option<_>>()?;
    pairs.sort_unstable();
    Some(pairs)
}

/// `allowedTopologies` as places: the values of all keys of a term combined.
fn flatten(allowed: &[NodeSelectorTerm]) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    for term in allowed {
        let mut places: Vec<Segment> = Vec::new();
        for requirement in &term.expressions {
            let pair = |value: &Str| (requirement.key.clone(), value.clone());
            places = if places.is_empty() {
                requirement.values.iter().map(|value| vec![pair(value)]).collect()
            } else {
                let longer = |value: &Str| {
                    let pair = pair(value);
                    places
                        .iter()
                        .map(|p| p.iter().cloned().chain([pair.clone()]).collect())
                        .collect::<Vec<_>>()
                };
                requirement.values.iter().flat_map(longer).collect()
            };
        }
        all.extend(places);
    }
    all.iter_mut().for_each(|place| place.sort_unstable());
    sorted(all)
}

/// Upstream's order: shorter places first, then by keys and values; each once.
fn sorted(mut places: Vec<Segment>) -> Vec<Segment> {
    places.sort_unstable_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    places.dedup();
    places
}

/// The first choice for a claim whose node the scheduler has chosen: where that node is.
fn delayed(node: &Node, keys: &[Str], class: &StorageClass) -> Result<Segment, String> {
    let Some(own) = segment(&node.meta.labels, keys) else {
        let labels: Vec<String> = node.meta.labels.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        return Err(format!(
            "topology labels from selected node map[{}] does not match topology keys from CSINode [{}]",
            labels.join(" "),
            keys.join(" ")
        ));
    };
    let allowed = flatten(&class.allowed_topologies);
    if allowed.is_empty() {
        return Ok(own);
    }
    let within = |place: &&Segment| place.iter().all(|pair| own.contains(pair));
    allowed.iter().find(within).cloned().ok_or_else(|| {
        format!(
            "topology {} from selected node \"{}\" is not in requisite: [{}]",
            show(&own),
            node.meta.name,
            allowed.iter().map(show).collect::<Vec<_>>().join(" ")
        )
    })
}

/// A place as Go prints it.
fn show(place: &Segment) -> String {
    let pairs: Vec<String> = place.iter().map(|(k, v)| format!("{{{k} {v}}}")).collect();
    format!("[{}]", pairs.join(" "))
}

/// The first choice for a claim that is bound at once: all places, starting where the claim's name points to, so
/// that the claims of a StatefulSet's members lie in one place after the other.
fn immediate(store: &Store, keys: &[Str], class: &StorageClass, claim: &str) -> Result<Segment, String> {
    let mut places = flatten(&class.allowed_topologies);
    if places.is_empty() {
        let of_nodes = store.list::<Node>().filter_map(|node| segment(&node.meta.labels, keys));
        places = sorted(of_nodes.collect());
        if places.is_empty() {
            return Err(format!("topologyKeys [{}] were not found on any nodes", keys.join(" ")));
        }
    }
    let (hash, index) = hash_and_index(claim);
    let first = hash.wrapping_add(index) as usize % places.len();
    Ok(places.swap_remove(first))
}

/// A hash of what a claim is named after, and its number: `data-web-3` is number 3 of `web`.
fn hash_and_index(claim: &str) -> (u32, u32) {
    let numbered =
        claim.rsplit_once('-').and_then(|(front, number)| Some((front, number.parse::<u32>().ok()?)));
    let (name, index) = match numbered {
        Some((front, index)) => (front.rsplit('-').next().unwrap_or(front), index),
        None => (claim, 0),
    };
    // FNV-1 of 32 bits, as Go's `fnv.New32`.
    let hash =
        name.bytes().fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    (hash, index)
}

/// Where a volume lies, if it lies in one place.
pub(super) fn of_volume(volume: &PersistentVolume) -> Option<Segment> {
    let [term] = volume.node_affinity.as_ref()?.terms.as_slice() else { return None };
    let pairs = term.expressions.iter().map(|r| match r.values.as_slice() {
        [value] => Some((r.key.clone(), value.clone())),
        _ => None,
    });
    pairs.collect()
}

/// Whether a volume in `place` can be reached from a node.
pub(super) fn reaches(place: &Segment, node: &Node) -> bool {
    place.iter().all(|(key, value)| node.meta.labels.get(key) == Some(value))
}

/// The labels that the driver puts on a volume in this place.
pub(super) fn affinity(driver: &str, place: &Segment) -> Option<NodeSelector> {
    let wanted = drivers::find(driver).map_or(&[][..], |d| d.volume_keys);
    let value = |key: &str| place.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
    let own = |key: &&str| {
        // The EBS driver knows a zone by either label.
        let other = || if *key == ZONE_LABEL { value(EBS_ZONE_LABEL) } else { None };
        Some((Str::from(*key), value(key).or_else(other)?))
    };
    let mut pairs: Segment = wanted.iter().filter_map(own).collect();
    if pairs.is_empty() {
        pairs.clone_from(place);
    }
    let expressions: Vec<Requirement> = pairs
        .into_iter()
        .map(|(key, value)| Requirement { key, operator: Operator::In, values: vec![value] })
        .collect();
    let term = NodeSelectorTerm { expressions, fields: Vec::new() };
    (!term.expressions.is_empty()).then(|| NodeSelector { terms: vec![term] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_a_set_follow_one_another() {
        // autoscaling-storage.md §5.5, Immediate.
        let (hash, index) = hash_and_index("data-web-2");
        assert_eq!((hash, index), (hash_and_index("logs-web-0").0, 2));
        assert_eq!(hash_and_index("web-1"), (hash, 1), "the name alone counts");
        assert_eq!(hash_and_index("scratch").1, 0);
        // Published values of FNV-1.
        assert_eq!((hash_and_index("").0, hash_and_index("a").0), (0x811c_9dc5, 0x050c_5d7e));
    }

    #[test]
    fn allowed_topologies_are_multiplied_out() {
        let requirement = |key: &str, values: &[&str]| Requirement {
            key: key.into(),
            operator: Operator::In,
            values: values.iter().map(|v| Str::from(*v)).collect(),
        };
        let term = NodeSelectorTerm {
            expressions: vec![requirement("zone", &["b", "a"]), requirement("rack", &["1", "2"])],
            fields: Vec::new(),
        };
        let shown: Vec<String> = flatten(&[term]).iter().map(show).collect();
        let expected =
            ["[{rack 1} {zone a}]", "[{rack 1} {zone b}]", "[{rack 2} {zone a}]", "[{rack 2} {zone b}]"];
        assert_eq!(shown, expected);
    }
}
