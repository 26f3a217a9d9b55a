//! What is told of data: that they were found again, are elsewhere, or are lost.

use std::collections::{BTreeMap, BTreeSet};

use super::{Narrator, Sort};
use crate::api::{Labels, ObjectKey};
use crate::base::Str;
use crate::facts::{Content, DataChange, DataFact, Place};

/// Labels by which the Pods of one template differ from release to release.
const REVISION_LABELS: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// What the narrator knows of data.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Pods and their volumes that it has been told of.
    opened: BTreeSet<(ObjectKey, Str)>,
    /// By Pods that stand for one another and volume: how many use one now, and where the last of them wrote.
    last: BTreeMap<(Str, Labels, Str), (BTreeSet<ObjectKey>, Place)>,
}

impl Narrator {
    pub(super) fn data(&mut self, fact: &DataFact) {
        match &fact.what {
            DataChange::Opened { pod, labels, volume, found } => {
                self.opened(fact, pod, (labels, volume), found.as_ref());
            }
            DataChange::Destroyed { lost: Some(lost) } if !matches!(fact.place, Place::Scratch { .. }) => {
                let text = format!("is gone with its data, written {}", lost.when());
                self.tell(fact.at, Sort::Storage, fact.place.to_string(), text);
            }
            DataChange::Copied { from } => {
                let written =
                    fact.content.as_ref().map_or_else(String::new, |c| format!(", written {}", c.when()));
                let text = format!("has the data of {from}{written}");
                self.tell(fact.at, Sort::Storage, fact.place.to_string(), text);
            }
            DataChange::Closed { pod } => {
                for (users, _) in self.data.last.values_mut() {
                    users.remove(pod);
                }
            }
            DataChange::Destroyed { .. } => {}
        }
    }

    fn opened(
        &mut self,
        fact: &DataFact,
        pod: &ObjectKey,
        (labels, volume): (&Labels, &Str),
        found: Option<&Content>,
    ) {
        let identity = REVISION_LABELS.iter().fold(labels.clone(), |labels, key| labels.without(key));
        let key = (pod.namespace.clone(), identity, volume.clone());
        let before =
            self.data.last.get(&key).filter(|(users, _)| users.is_empty()).map(|(_, place)| place.clone());
        let (users, place) =
            self.data.last.entry(key).or_insert_with(|| (BTreeSet::new(), fact.place.clone()));
        users.insert(pod.clone());
        place.clone_from(&fact.place);
        let is_new = self.data.opened.insert((pod.clone(), volume.clone()));
        if !is_new || matches!(fact.place, Place::Scratch { .. }) {
            return;
        }
        let text = match (found, before) {
            (Some(found), _) if found.last() < fact.at => {
                format!("finds the data of its volume {volume}, written {}", found.when())
            }
            (None, Some(before)) if before != fact.place => {
                format!("starts with an empty volume {volume}: the data are in {before}")
            }
            (Some(_) | None, _) => return,
        };
        self.tell(fact.at, Sort::Storage, pod.to_string(), text);
    }

    /// A Pod is gone: another of its name is another one.
    pub(super) fn data_pod_gone(&mut self, pod: &ObjectKey) {
        if self.data.opened.is_empty() {
            return;
        }
        let first = (pod.clone(), Str::new());
        let own: Vec<_> = self.data.opened.range(first..).take_while(|(p, _)| p == pod).cloned().collect();
        for entry in own {
            self.data.opened.remove(&entry);
        }
    }
}
