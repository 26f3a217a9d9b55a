//! Which volume fits a claim: the one that is reserved for it, else the smallest that does.
//!
//! Upstream: `component-helpers/storage/volume/pv_helpers.go` (`FindMatchingVolume`), v1.34.

use super::places::Places;
use crate::api::storage::{PersistentVolume, PersistentVolumeClaim, VolumePhase};
use crate::api::{Labels, NodeSelector};
use crate::base::{Arc, Str};

/// Whether the volume's `claimRef` names this claim.
pub fn is_reserved_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    volume.claim_ref.as_ref().is_some_and(|r| {
        r.key.name == claim.meta.name
            && r.key.namespace == claim.meta.namespace
            && (r.uid.is_empty() || r.uid == claim.meta.uid)
    })
}

/// Whether a volume with this node affinity can be reached from a node with these labels. As upstream, a term
/// over the node's name matches no node.
pub fn reaches(affinity: Option<&NodeSelector>, labels: &Labels) -> bool {
    affinity.is_none_or(|selector| selector.matches("", labels))
}

/// The volumes that fit a claim, whichever node it is for.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// Those reserved for it, by name.
    reserved: Vec<Arc<PersistentVolume>>,
    /// The others, the smallest first; equal ones by name.
    free: Vec<Arc<PersistentVolume>>,
    places: Places,
}

impl Candidates {
    /// Finds them among the volumes of the claim's class, which come by name.
    ///
    /// # Fidelity
    /// Among volumes of one size upstream takes whichever comes first from a hash map; here the name decides.
    pub fn new<'a>(
        claim: &PersistentVolumeClaim,
        volumes: impl Iterator<Item = &'a Arc<PersistentVolume>>,
    ) -> Self {
        let mut found = Self::default();
        for volume in volumes {
            if !could_hold(volume, claim) {
                continue;
            }
            if is_reserved_for(volume, claim) {
                found.reserved.push(volume.clone());
            } else if is_free_for(volume, claim) {
                found.free.push(volume.clone());
            }
        }
        found.free.sort_by_key(|volume| volume.size().nanos());
        for (index, volume) in found.free.iter().enumerate() {
            found.places.add_selected(index, volume.node_affinity.as_ref());
        }
        found
    }

    /// The volume to take on a node with these labels, other than those `taken` for other claims of the Pod.
    pub fn choose(&self, labels: &Labels, taken: &[Str]) -> Option<&Arc<PersistentVolume>> {
        let is_left = |v: &&Arc<PersistentVolume>| !taken.contains(&v.meta.name);
        let fits = |v: &&Arc<PersistentVolume>| reaches(v.node_affinity.as_ref(), labels);
        match self.reserved.iter().find(is_left) {
            // A claim with a reserved volume takes no other.
            Some(reserved) => Some(reserved).filter(fits),
            None => {
                let suits = |index: usize| is_left(&&self.free[index]) && fits(&&self.free[index]);
                self.places.first(labels, suits).map(|index| &self.free[index])
            }
        }
    }
}

/// Whether the volume belongs to nobody else, is large enough and of the right mode and attributes.
fn could_hold(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let attributes = |class: &Option<Str>| class.clone().unwrap_or_default();
    (volume.claim_ref.is_none() || is_reserved_for(volume, claim))
        && volume.size() >= claim.requested()
        && volume.block == claim.spec.block
        && attributes(&volume.attributes_class) == attributes(&claim.spec.attributes_class)
        && !volume.meta.is_deleting()
}

/// Whether a volume that is not reserved may be taken.
fn is_free_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    volume.phase == VolumePhase::Available
        && claim.spec.selector.as_ref().is_none_or(|s| s.matches(&volume.meta.labels))
        && volume.class() == claim.class()
        && claim.spec.access_modes.iter().all(|mode| volume.access_modes.contains(mode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::storage::{AccessMode, ClaimRef, PvSource};
    use crate::api::{LabelSelector, Lasting, Meta, ObjectKey};
    use crate::base::Quantity;
    use crate::testkit::labels;

    /// `name size phase modes [labels]`, with `for=<claim>` to reserve it.
    fn volume(text: &str) -> Arc<PersistentVolume> {
        let mut words = text.split(' ');
        let mut next = || words.next().unwrap_or("");
        let (name, size, phase, modes, rest) = (next(), next(), next(), next(), next());
        let reserved = rest
            .strip_prefix("for=")
            .map(|claim| ClaimRef { key: ObjectKey::new("default", claim), uid: Str::new() });
        Arc::new(PersistentVolume {
            meta: Lasting { labels: labels(rest), ..Lasting::named("", name) }.into(),
            capacity: [("storage", Quantity::parse(size).unwrap())].into_iter().collect(),
            access_modes: modes.split('+').map(|m| AccessMode::parse(m).unwrap()).collect(),
            claim_ref: reserved,
            reclaim_policy: Default::default(),
            storage_class: "local".into(),
            block: false,
            node_affinity: None,
            source: PvSource::HostPath("/".into()),
            attributes_class: None,
            mount_options: Vec::new(),
            rest: None,
            phase: if phase == "free" { VolumePhase::Available } else { VolumePhase::Pending },
            reason: Str::new(),
            message: Str::new(),
        })
    }

    fn chosen(volumes: &[&str], selector: &str, taken: &[&str]) -> Option<String> {
        let mut claim = PersistentVolumeClaim { meta: Meta::named("default", "data"), ..Default::default() };
        claim.spec.storage_class = Some("local".into());
        claim.spec.access_modes = vec![AccessMode::ReadWriteOnce];
        claim.spec.requests = [("storage", Quantity::parse("5Gi").unwrap())].into_iter().collect();
        claim.spec.selector = (!selector.is_empty()).then(|| LabelSelector::parse(selector).unwrap());
        let volumes: Vec<_> = volumes.iter().map(|v| volume(v)).collect();
        let taken: Vec<Str> = taken.iter().map(|t| Str::from(*t)).collect();
        let candidates = Candidates::new(&claim, volumes.iter());
        candidates.choose(&Labels::default(), &taken).map(|v| v.meta.name.to_string())
    }

    /// autoscaling-storage.md §5.3, on the scheduler's path.
    #[test]
    fn the_smallest_that_fits_is_taken_unless_one_is_reserved() {
        const RWO: &str = "ReadWriteOnce";
        let v = |text: &str| text.replace("RWO", RWO).replace("ROX", "ReadOnlyMany");
        for (volumes, selector, taken, expected) in [
            (vec!["a 9Gi free RWO", "b 6Gi free RWO+ROX", "c 4Gi free RWO"], "", vec![], Some("b")),
            (vec!["a 9Gi free RWO", "b 6Gi free RWO"], "", vec!["b"], Some("a")),
            (vec!["a 9Gi free ROX", "b 6Gi pending RWO"], "", vec![], None),
            (vec!["a 9Gi free RWO tier=x", "b 6Gi free RWO"], "tier=x", vec![], Some("a")),
            (vec!["a 6Gi free RWO", "b 9Gi pending ROX for=data"], "", vec![], Some("b")),
            (vec!["a 6Gi free RWO", "b 4Gi free RWO for=data"], "", vec![], Some("a")),
            (vec!["a 6Gi free RWO for=other"], "", vec![], None),
        ] {
            let texts: Vec<String> = volumes.iter().map(|t| v(t)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            assert_eq!(chosen(&texts, selector, &taken).as_deref(), expected, "{volumes:?}");
        }
    }
}
