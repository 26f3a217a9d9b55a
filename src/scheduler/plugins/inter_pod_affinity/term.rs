//! Terms of the Pod to be placed, with namespaces found.
//!
//! Upstream: `pkg/scheduler/framework/plugins/interpodaffinity/plugin.go`
//! (`mergeAffinityTermNamespacesIfNotEmpty`), v1.34.

use crate::api::{LabelSelector, Labels};
use crate::base::Str;
use crate::scheduler::framework::Snapshot;
use crate::scheduler::framework::looks::{Look, Looks};
use crate::scheduler::framework::pod_info::AffinityTerm;

/// A term whose namespaces are known by name: what its selector selects now has been added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnTerm {
    /// Namespaces, sorted; none if any will do.
    namespaces: Option<Vec<Str>>,
    selector: LabelSelector,
    /// The label whose equal values make one place, as the snapshot numbers it; none if no node has ever had it.
    pub key: Option<usize>,
}

impl OwnTerm {
    /// Finds the namespaces that the term selects.
    pub fn new(term: &AffinityTerm, snapshot: &Snapshot) -> Self {
        let listers = &snapshot.listers;
        let namespaces = (!term.namespace_selector.is_everything()).then(|| {
            let mut names = term.namespaces.clone();
            if term.namespace_selector != LabelSelector::Nothing {
                let selected =
                    listers.namespaces.iter().filter(|n| term.namespace_selector.matches(&n.meta.labels));
                names.extend(selected.map(|n| n.meta.name.clone()));
            }
            names.sort_unstable();
            names.dedup();
            names
        });
        Self { namespaces, selector: term.selector.clone(), key: snapshot.topology().key(&term.topology_key) }
    }

    /// Whether a Pod of this namespace with these labels is meant.
    pub fn matches(&self, namespace: &str, labels: &Labels) -> bool {
        let inside = self
            .namespaces
            .as_ref()
            .is_none_or(|all| all.binary_search_by(|n| n.as_str().cmp(namespace)).is_ok());
        inside && self.selector.matches(labels)
    }

    /// Pods with a node that are meant, by what they look like.
    pub fn looks<'a>(&'a self, looks: &'a Looks) -> impl Iterator<Item = &'a Look> {
        let namespaces: Vec<&Str> = match &self.namespaces {
            Some(named) => named.iter().collect(),
            None => looks.namespaces().collect(),
        };
        namespaces.into_iter().flat_map(|namespace| looks.selected(namespace, &self.selector))
    }
}

/// Whether a Pod of this namespace with these labels is meant by all terms. No terms mean nobody.
pub fn all_match(terms: &[OwnTerm], namespace: &str, labels: &Labels) -> bool {
    !terms.is_empty() && terms.iter().all(|t| t.matches(namespace, labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Object;
    use crate::api::service::Namespace;
    use crate::base::Arc;
    use crate::testkit::{labels, namespace};

    #[test]
    fn namespaces_are_those_named_and_those_selected() {
        let mut snapshot = Snapshot::default();
        for (name, team) in [("one", "team=a"), ("two", "team=b")] {
            let mut object: Namespace = namespace(name);
            object.meta.labels = labels(team);
            snapshot.listers.change(None, Some(&Object::Namespace(Arc::new(object))));
        }
        let inside = |names: &[&str], selector: LabelSelector| {
            let term = AffinityTerm {
                namespaces: names.iter().map(|n| Str::from(*n)).collect(),
                namespace_selector: selector,
                selector: LabelSelector::parse("app=web").unwrap(),
                topology_key: "zone".into(),
            };
            let own = OwnTerm::new(&term, &snapshot);
            ["one", "two", "three"].map(|n| own.matches(n, &labels("app=web")))
        };
        let team = LabelSelector::parse("team=a").unwrap();
        assert_eq!(inside(&["three"], LabelSelector::Nothing), [false, false, true]);
        assert_eq!(inside(&["three"], team), [true, false, true]);
        assert_eq!(inside(&[], LabelSelector::everything()), [true, true, true]);
        assert_eq!(inside(&[], LabelSelector::parse("team=z").unwrap()), [false, false, false]);
    }
}
