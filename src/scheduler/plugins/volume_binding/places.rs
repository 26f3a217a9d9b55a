//! Finds, for the labels of a node, which of many volumes or capacities can match, without trying all of them.

use crate::api::selector::{Operator, Requirement};
use crate::api::{LabelSelector, Labels, NodeSelector};
use crate::base::{LookupMap, Str};

/// Items by a label value that each of them needs. Local disks need their node's name, others a zone.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Items that no single value rules out.
    anywhere: Vec<usize>,
    by_key: Vec<(Str, LookupMap<Str, Vec<usize>>)>,
}

impl Places {
    /// Adds an item that matches where the node selector does; everywhere if there is none. Items are added in
    /// rising order.
    pub fn add_selected(&mut self, item: usize, selector: Option<&NodeSelector>) {
        let Some(selector) = selector else { return self.anywhere.push(item) };
        let needs: Option<Vec<&Requirement>> =
            selector.terms.iter().map(|term| needed(&term.expressions)).collect();
        match needs {
            Some(needs) => needs.into_iter().for_each(|need| self.add(item, need)),
            None => self.anywhere.push(item),
        }
    }

    /// Adds an item that matches where the label selector does.
    pub fn add_labelled(&mut self, item: usize, selector: &LabelSelector) {
        let LabelSelector::Requirements(all) = selector else { return };
        match needed(all) {
            Some(need) => self.add(item, need),
            None => self.anywhere.push(item),
        }
    }

    fn add(&mut self, item: usize, need: &Requirement) {
        let at = self.by_key.iter().position(|(key, _)| *key == need.key).unwrap_or_else(|| {
            self.by_key.push((need.key.clone(), LookupMap::new()));
            self.by_key.len() - 1
        });
        for value in &need.values {
            let items = self.by_key[at].1.or_insert_with(value.clone(), Vec::new);
            if items.last() != Some(&item) {
                items.push(item);
            }
        }
    }

    /// The first item that `fits`, of those that can match a node with these labels.
    pub fn first(&self, labels: &Labels, fits: impl Fn(usize) -> bool) -> Option<usize> {
        let here = self.by_key.iter().filter_map(|(key, values)| values.get(labels.get(key)?));
        let lists = std::iter::once(&self.anywhere).chain(here);
        lists.filter_map(|items| items.iter().copied().find(|item| fits(*item))).min()
    }
}

/// A requirement that names the values it takes.
fn needed(all: &[Requirement]) -> Option<&Requirement> {
    all.iter().find(|r| r.operator == Operator::In)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::selector::NodeSelectorTerm;
    use crate::testkit::labels;

    #[test]
    fn only_what_can_match_is_tried() {
        let selector = |texts: &[&str]| NodeSelector {
            terms: texts
                .iter()
                .map(|text| match LabelSelector::parse(text).unwrap() {
                    LabelSelector::Requirements(expressions) => {
                        NodeSelectorTerm { expressions, fields: Vec::new() }
                    }
                    LabelSelector::Nothing => NodeSelectorTerm::default(),
                })
                .collect(),
        };
        let mut places = Places::default();
        places.add_selected(0, Some(&selector(&["host=b"])));
        places.add_selected(1, Some(&selector(&["zone in (x,y)", "host=a"])));
        places.add_selected(2, None);
        places.add_selected(3, Some(&selector(&["host=a", "special"])));
        let tried = |text: &str| {
            let tried = std::cell::RefCell::new(Vec::new());
            places.first(&labels(text), |item| {
                tried.borrow_mut().push(item);
                false
            });
            let mut tried = tried.into_inner();
            tried.sort_unstable();
            tried.dedup();
            tried
        };
        assert_eq!(tried("host=a"), [1, 2, 3]);
        assert_eq!(tried("host=b,zone=y"), [0, 1, 2, 3]);
        assert_eq!(tried(""), [2, 3]);
        assert_eq!(places.first(&labels("host=b,zone=y"), |item| item > 0), Some(1));
    }
}
