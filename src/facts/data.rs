//! What lies on disks: data, who wrote them and when.
//!
//! The API knows nothing of data. A claim that is bound again says nothing of what is on its volume, and that is what people
//! want to know after an outage. So whatever a container may write into is a [`Place`], and every place remembers
//! from when to when it was written into: its [`Content`].

use std::fmt;

use crate::api::node::HOSTNAME_LABEL;
use crate::api::storage::{PersistentVolume, PvSource};
use crate::api::{Labels, ObjectKey, Uid};
use crate::base::{SimTime, Str};

/// Where data lie.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A volume of a driver.
    Disk {
        /// The driver.
        driver: Str,
        /// The driver's name for it.
        handle: Str,
    },
    /// A snapshot at a driver.
    Snapshot {
        /// The driver.
        driver: Str,
        /// The driver's name for it.
        handle: Str,
    },
    /// A directory of a file server.
    Share {
        /// The server.
        server: Str,
        /// The directory.
        path: Str,
    },
    /// A directory of a node.
    Directory {
        /// The node.
        node: Str,
        /// The directory.
        path: Str,
    },
    /// Scratch space that dies with its Pod.
    Scratch {
        /// The Pod's identity.
        pod: Uid,
        /// The volume's name within the Pod.
        volume: Str,
    },
}

impl Place {
    /// Where a volume's data lie; on `node`, if they are a directory of whichever node. None: not known.
    pub fn of_volume(volume: &PersistentVolume, node: &str) -> Option<Self> {
        if let Some((driver, handle)) = volume.source.csi() {
            return Some(Self::Disk { driver, handle });
        }
        match &volume.source {
            PvSource::Nfs { server, path } => {
                Some(Self::Share { server: server.clone(), path: path.clone() })
            }
            PvSource::HostPath(path) | PvSource::Local(path) => {
                let node = own_node(volume).unwrap_or_else(|| node.into());
                Some(Self::Directory { node, path: path.clone() })
            }
            PvSource::Csi { .. }
            | PvSource::AwsEbs(_)
            | PvSource::GcePd(_)
            | PvSource::AzureDisk(_)
            | PvSource::Other(_) => None,
        }
    }
}

/// The node of a volume that names it.
fn own_node(volume: &PersistentVolume) -> Option<Str> {
    let terms = volume.node_affinity.iter().flat_map(|affinity| &affinity.terms);
    let mut named =
        terms.flat_map(|term| &term.expressions).filter(|r| r.key == HOSTNAME_LABEL).flat_map(|r| &r.values);
    named.next().cloned()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { handle, .. } => write!(f, "volume {handle}"),
            Self::Snapshot { handle, .. } => write!(f, "snapshot {handle}"),
            Self::Share { server, path } => write!(f, "share {server}:{path}"),
            Self::Directory { node, path } => write!(f, "directory {path} of node {node}"),
            Self::Scratch { volume, .. } => write!(f, "scratch volume {volume}"),
        }
    }
}

/// Data: what was written from when to when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// Spans in which it was written, in order; of the last one the end, if nobody writes now. Pauses of a volume's writers
    /// belong to its span. Between two spans is what was written elsewhere after a copy was taken.
    pub spans: Vec<(SimTime, SimTime)>,
    /// The Pod that wrote last.
    pub writer: ObjectKey,
}

impl Content {
    /// When the first of it was written.
    pub fn first(&self) -> SimTime {
        self.spans.first().map_or(SimTime::ZERO, |(first, _)| *first)
    }

    /// When the last of it was written, if nobody writes now.
    pub fn last(&self) -> SimTime {
        self.spans.last().map_or(SimTime::ZERO, |(_, last)| *last)
    }

    /// From when to when it was written, if nobody writes now, as it is told.
    pub fn when(&self) -> String {
        let (first, last) = (self.first().cut_to_millis(), self.last().cut_to_millis());
        if first == last { format!("at {first}") } else { format!("from {first} to {last}") }
    }

    /// Its last writer stops.
    pub fn end(&mut self, at: SimTime) {
        if let Some((_, last)) = self.spans.last_mut() {
            *last = at;
        }
    }

    /// Whether what was written at an instant is part of it; `busy`: somebody writes on.
    pub fn reaches(&self, at: SimTime, busy: bool) -> bool {
        let end = self.spans.len().saturating_sub(1);
        self.spans
            .iter()
            .enumerate()
            .any(|(n, (first, last))| *first <= at && (at <= *last || busy && n == end))
    }
}

/// Something that happened to the data of a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DataFact {
    /// When.
    pub at: SimTime,
    /// Where.
    pub place: Place,
    /// What lies there now; none: nothing, or nothing that is known of.
    pub content: Option<Content>,
    /// Whether somebody is writing now.
    pub busy: bool,
    /// What happened.
    pub what: DataChange,
}

/// What happened to data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataChange {
    /// Containers of a Pod began to use them.
    Opened {
        /// The Pod.
        pod: ObjectKey,
        /// Its labels.
        labels: Labels,
        /// The volume's name within the Pod.
        volume: Str,
        /// What they found.
        found: Option<Content>,
    },
    /// Containers of a Pod ceased to.
    Closed {
        /// The Pod.
        pod: ObjectKey,
    },
    /// They were copied from elsewhere.
    Copied {
        /// From there.
        from: Place,
    },
    /// They were destroyed.
    Destroyed {
        /// What is lost.
        lost: Option<Content>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_one_instant_is_told_so() {
        for (until, told) in [(2_000, "at 2s"), (2_500, "from 2s to 2.5s")] {
            let at = |millis: u64| SimTime::from_nanos(millis * 1_000_000);
            let content = Content { spans: vec![(at(2_000), at(until))], writer: ObjectKey::default() };
            assert_eq!(content.when(), told);
        }
    }
}
