//! Stable names for the reasons why a Pod is not scheduled, whatever the release's words are.

use std::fmt;

macro_rules! causes {
    ($($variant:ident, $doc:literal, [$($text:literal),* $(,)?];)*) => {
        /// Why a Pod is not scheduled.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause { $(#[doc = $doc] $variant,)* }

        impl Cause {
            /// All causes.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }

            /// What it means.
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }

            /// The texts by which the scheduler says so, in any release from 1.28 on.
            pub const fn texts(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($text),*],)* }
            }
        }
    };
}

causes! {
    InsufficientCpu, "Not enough CPU is free.", ["Insufficient cpu"];
    InsufficientMemory, "Not enough memory is free.", ["Insufficient memory"];
    InsufficientEphemeralStorage, "Not enough ephemeral storage is free.", ["Insufficient ephemeral-storage"];
    InsufficientResource, "Not enough of any resource is free, extended ones included.", ["Insufficient "];
    TooManyPods, "The node holds as many Pods as it may.", ["Too many pods"];
    UntoleratedTaint, "The Pod does not tolerate a taint.", ["node(s) had untolerated taint"];
    NodeAffinity, "The node is not one the Pod asks for.", [
        "node(s) didn't match Pod's node affinity/selector",
        "node(s) didn't match scheduler-enforced node affinity",
    ];
    NodeName, "The Pod names another node.", ["node(s) didn't match the requested node name"];
    NodeUnschedulable, "The node is cordoned.", ["node(s) were unschedulable"];
    NodePorts, "A host port is taken.", ["node(s) didn't have free ports for the requested pod ports"];
    PodAffinity, "No Pod to be near to is there.", ["node(s) didn't match pod affinity rules"];
    PodAntiAffinity, "A Pod to keep away from is there.", [
        "node(s) didn't match pod anti-affinity rules",
        "node(s) didn't satisfy existing pods anti-affinity rules",
    ];
    TopologySpread, "The Pods would be spread too unevenly.", [
        "node(s) didn't match pod topology spread constraints",
    ];
    VolumeNodeAffinityConflict, "The Pod's volume cannot be reached from the node.", [
        "node(s) had volume node affinity conflict",
        "node(s) didn't match PersistentVolume's node affinity",
    ];
    VolumeBindConflict, "No volume fits the Pod's claims.", [
        "node(s) didn't find available persistent volumes to bind",
    ];
    NotEnoughStorage, "No room for a new volume.", ["node(s) did not have enough free storage"];
    UnboundImmediateClaims, "A claim of the Pod is not bound yet.", [
        "pod has unbound immediate PersistentVolumeClaims",
    ];
    ClaimNotFound, "A claim of the Pod does not exist.", [
        "persistentvolumeclaim \"*\" not found",
        "waiting for ephemeral volume controller to create the persistentvolumeclaim",
    ];
    ClaimBeingDeleted, "A claim of the Pod is being deleted.", ["persistentvolumeclaim \"*\" is being deleted"];
    VolumeNotFound, "The volume of a bound claim is gone.", [
        "bound to non-existent persistentvolume",
        "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
    ];
    MaxVolumeCount, "The node has as many volumes attached as it may.", ["node(s) exceed max volume count"];
    VolumeZone, "The Pod's volume is in another zone, by its labels.", ["node(s) had no available volume zone"];
    GpuDevices, "No device, or not enough of them, has as much left as the Pod asks of each (plugin GpuShare).", [
        "node(s) didn't have enough free GPU devices",
        "is neither a part of a device nor whole ones",
    ];
    DiskConflict, "Another Pod has the disk.", ["node(s) had no available disk"];
    ReadWriteOncePodInUse, "Another Pod has the ReadWriteOncePod claim.", [
        "PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod",
        "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
    ];
    SchedulingGated, "The Pod has scheduling gates.", ["Scheduling is blocked due to non-empty scheduling gates"];
    NoNodes, "There are no nodes.", ["no nodes available to schedule pods", "0/0 nodes are available"];
}

impl Cause {
    /// Reads the stable name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.as_str() == text)
    }

    /// Whether the text of a `PodScheduled` condition or a `FailedScheduling` Event names this cause.
    ///
    /// What follows `preemption:` says why evicting others would not help and is left out.
    pub fn is_in(self, message: &str) -> bool {
        let message = message.split("preemption:").next().unwrap_or(message);
        self.texts().iter().any(|text| match text.split_once('*') {
            None => message.contains(text),
            Some((head, tail)) => {
                message.find(head).is_some_and(|at| message[at + head.len()..].contains(tail))
            }
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn causes(message: &str) -> Vec<Cause> {
        Cause::ALL.iter().copied().filter(|c| c.is_in(message)).collect()
    }

    #[test]
    fn causes_are_found_in_the_words_of_every_release() {
        let message = "0/6 nodes are available: 2 node(s) had untolerated taint(s), 3 Insufficient cpu. \
                       preemption: 0/6 nodes are available: 3 No preemption victims found for incoming pod, \
                       1 node(s) were unschedulable.";
        assert_eq!(
            causes(message),
            [Cause::InsufficientCpu, Cause::InsufficientResource, Cause::UntoleratedTaint]
        );
        for words in [
            "1 node(s) had volume node affinity conflict.",
            "1 node(s) didn't match PersistentVolume's node affinity.",
        ] {
            assert_eq!(causes(words), [Cause::VolumeNodeAffinityConflict]);
        }
        assert_eq!(causes("persistentvolumeclaim \"a\" not found"), [Cause::ClaimNotFound]);
        assert_eq!(causes("something else"), []);
    }

    #[test]
    fn names_read_back() {
        for cause in Cause::ALL {
            assert_eq!(Cause::parse(cause.as_str()), Some(*cause));
        }
        assert_eq!(Cause::parse("insufficientcpu"), None);
    }

    #[test]
    fn every_text_names_its_own_cause() {
        for cause in Cause::ALL {
            for text in cause.texts() {
                assert!(cause.is_in(&text.replace('*', "x")), "{text}");
            }
        }
    }
}
