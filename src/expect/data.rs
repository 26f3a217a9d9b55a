//! Expectations about data: what is on whose volume.

use std::collections::BTreeMap;

use super::Count;
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim};
use crate::api::{Kind, LabelSelector, Labels, ObjectKey};
use crate::base::{SimTime, Str};
use crate::facts::{Content, DataChange, DataFact, Place};
use crate::store::Change;

/// What must be true of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSubject {
    /// Whose.
    pub whose: Whose,
    /// What was written until this instant must be there.
    pub holds: Option<SimTime>,
    /// What was written at this instant must not.
    pub lacks: Option<SimTime>,
    /// Whether there must be none at all.
    pub empty: Option<bool>,
    /// The Pod that wrote last, by name.
    pub writer: Option<Str>,
    /// How many Pods must have such data; of other subjects there is one.
    pub count: Count,
}

/// Whose data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the volumes that containers of Pods have mounted.
    Pods {
        /// Their namespace; none: all.
        namespace: Option<Str>,
        /// By name.
        name: Option<Str>,
        /// By labels.
        selector: LabelSelector,
        /// The volume's name within the Pod; none: any.
        mount: Option<Str>,
    },
    /// Of a claim's volume.
    Claim(ObjectKey),
    /// Of a PersistentVolume.
    Volume(Str),
    /// Of a directory of a node.
    Directory {
        /// The node.
        node: Str,
        /// The directory.
        path: Str,
    },
}

/// Data that are looked at, and how they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Whose.
    pub(super) name: String,
    /// What there is.
    pub(super) told: String,
    /// Whether it is as wanted.
    pub(super) satisfied: bool,
}

/// What is known of data: where they are and who has them mounted.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    contents: BTreeMap<Place, (Option<Content>, bool)>,
    mounts: BTreeMap<ObjectKey, (Labels, BTreeMap<Str, Place>)>,
    volumes: BTreeMap<Str, Place>,
    claims: BTreeMap<ObjectKey, Str>,
}

impl Ledger {
    /// Hears what happened to data.
    pub(super) fn data(&mut self, fact: &DataFact) {
        if let DataChange::Opened { pod, labels, volume, .. } = &fact.what {
            let (known, mounts) = self.mounts.entry(pod.clone()).or_default();
            known.clone_from(labels);
            mounts.insert(volume.clone(), fact.place.clone());
        }
        if matches!(fact.what, DataChange::Destroyed { .. }) {
            self.contents.remove(&fact.place);
        } else {
            self.contents.insert(fact.place.clone(), (fact.content.clone(), fact.busy));
        }
    }

    /// Hears of a change of an object. True if data may be others' now.
    pub(super) fn change(&mut self, change: &Change) -> bool {
        let key = || change.key();
        match change.kind() {
            Kind::Pod if change.new().is_none() => self.mounts.remove(&key()).is_some(),
            Kind::PersistentVolume => {
                let Some((old, new)) = change.of::<PersistentVolume>() else { return false };
                if old.is_some() == new.is_some() {
                    return false;
                }
                match new.and_then(|volume| Place::of_volume(volume, "")) {
                    Some(place) => self.volumes.insert(key().name, place),
                    None => self.volumes.remove(&key().name),
                };
                true
            }
            Kind::PersistentVolumeClaim => {
                let Some((_, new)) = change.of::<PersistentVolumeClaim>() else { return false };
                let name = new.map(|claim| claim.spec.volume_name.clone()).filter(|name| !name.is_empty());
                match name {
                    Some(name) => self.claims.insert(key(), name.clone()) != Some(name),
                    None => self.claims.remove(&key()).is_some(),
                }
            }
            _ => false,
        }
    }

    /// The data that a subject is about.
    pub(super) fn look(&self, subject: &DataSubject) -> Vec<Found> {
        let one = |name: String, place: Option<Place>| vec![self.found(subject, name, place.as_ref())];
        match &subject.whose {
            Whose::Pods { namespace, name, selector, mount } => {
                let meant = |(pod, (labels, _)): &(&ObjectKey, &(Labels, BTreeMap<Str, Place>))| {
                    namespace.as_ref().is_none_or(|n| *n == pod.namespace)
                        && name.as_ref().is_none_or(|n| *n == pod.name)
                        && selector.matches(labels)
                };
                let pods = self.mounts.iter().filter(meant);
                pods.filter_map(|(pod, (_, mounts))| {
                    let named = |volume: &Str| mount.as_ref().is_none_or(|m| m == volume);
                    let looked = mounts
                        .iter()
                        .filter(|(volume, _)| named(volume))
                        .map(|(volume, place)| self.found(subject, format!("{pod} {volume}"), Some(place)));
                    // A Pod counts once: by the volume that is as wanted, if one is.
                    let all: Vec<Found> = looked.collect();
                    all.iter().find(|f| f.satisfied).or(all.first()).cloned()
                })
                .collect()
            }
            Whose::Claim(key) => {
                let place = self.claims.get(key).and_then(|volume| self.volumes.get(volume));
                one(format!("claim {key}"), place.cloned())
            }
            Whose::Volume(name) => one(format!("volume {name}"), self.volumes.get(name).cloned()),
            Whose::Directory { node, path } => {
                let place = Place::Directory { node: node.clone(), path: path.clone() };
                one(format!("{path} of {node}"), Some(place))
            }
        }
    }

    fn found(&self, subject: &DataSubject, name: String, place: Option<&Place>) -> Found {
        let entry = place.and_then(|place| self.contents.get(place));
        let content = entry.and_then(|(content, busy)| Some((content.as_ref()?, *busy)));
        let reaches = |at: SimTime| content.is_some_and(|(c, busy)| c.reaches(at, busy));
        let satisfied = subject.holds.is_none_or(&reaches)
            && subject.lacks.is_none_or(|at| !reaches(at))
            && subject.empty.is_none_or(|empty| empty == content.is_none())
            && subject.writer.as_ref().is_none_or(|w| content.is_some_and(|(c, _)| c.writer.name == *w));
        let told = match (content, place) {
            (Some((c, busy)), _) => {
                let when = if busy { format!("from {} on", c.first().cut_to_millis()) } else { c.when() };
                format!("{name}: written {when} by {}", c.writer.name)
            }
            (None, Some(_)) => format!("{name}: empty"),
            (None, None) => format!("{name}: no volume"),
        };
        Found { name, told, satisfied }
    }
}

impl DataSubject {
    /// What is wanted: `data of 5m0s`.
    pub fn wanted(&self) -> String {
        let mut words = Vec::new();
        words.extend(self.holds.map(|at| format!("data of {at}")));
        words.extend(self.lacks.map(|at| format!("no data of {at}")));
        words.extend(self.empty.map(|empty| if empty { "no data" } else { "data" }.to_owned()));
        words.extend(self.writer.as_ref().map(|writer| format!("data by {writer}")));
        let count = match &self.whose {
            Whose::Pods { .. } => format!(", count {}", self.count),
            Whose::Claim(_) | Whose::Volume(_) | Whose::Directory { .. } => String::new(),
        };
        format!("{}{count}", words.join(", "))
    }

    /// Whether what was found is as wanted.
    pub(super) fn holds(&self, found: &[Found]) -> bool {
        let satisfied = found.iter().filter(|f| f.satisfied).count();
        self.count.holds(i64::try_from(satisfied).unwrap_or(i64::MAX))
    }
}
