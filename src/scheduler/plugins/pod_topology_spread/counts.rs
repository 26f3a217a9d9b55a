//! Counts by domain that can be tried out: a shared base with a few entries changed on top.

use std::sync::Arc;

use crate::base::{LookupMap, Str};

/// So many domains are looked through; beyond that they are hashed.
const LOOKED_THROUGH: usize = 8;

/// Matching Pods in each domain of one topology key, in the order the domains were met.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    index: LookupMap<Str, usize>,
    entries: Vec<(Str, i64)>,
}

impl Domains {
    /// Makes sure the domain exists, and adds to its count.
    pub fn add(&mut self, value: &Str, count: i64) {
        let at = self.place(value);
        self.entries[at].1 += count;
    }

    /// Makes sure the domain exists: its place among the domains.
    pub fn place(&mut self, value: &Str) -> usize {
        self.find(value).unwrap_or_else(|| {
            self.index.insert(value.clone(), self.entries.len());
            self.entries.push((value.clone(), 0));
            self.entries.len() - 1
        })
    }

    /// A few domains are found faster by looking through them than by hashing.
    fn find(&self, value: &str) -> Option<usize> {
        if self.entries.len() <= LOOKED_THROUGH {
            return self.entries.iter().position(|(have, _)| have == value);
        }
        self.index.get(value).copied()
    }

    /// The count of the domain at a place that [`Self::place`] gave.
    pub fn at(&self, place: usize) -> i64 {
        self.entries[place].1
    }

    /// The count of a domain; none if the domain does not exist.
    pub fn get(&self, value: &str) -> Option<i64> {
        self.find(value).map(|at| self.entries[at].1)
    }

    /// How many domains there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The two least counts with their domains, the least first.
    fn least(&self) -> [Option<(Str, i64)>; 2] {
        let mut first: Option<&(Str, i64)> = None;
        let mut second: Option<&(Str, i64)> = None;
        for entry in &self.entries {
            if first.is_none_or(|f| entry.1 < f.1) {
                second = first.replace(entry);
            } else if second.is_none_or(|s| entry.1 < s.1) {
                second = Some(entry);
            }
        }
        [first.cloned(), second.cloned()]
    }
}

/// Counts of one constraint with changes of at most one domain on top, which is all that a dry run makes: it
/// touches the Pods of one node. Cloning costs a counter increment.
#[derive(Clone, Debug)]
pub struct Trial {
    base: Arc<Domains>,
    /// The two least counts of `base`: one of them is not of the changed domain.
    least: [Option<(Str, i64)>; 2],
    changed: Option<(Str, i64)>,
}

impl Trial {
    /// Nothing changed yet.
    pub fn new(base: Domains) -> Self {
        Self { least: base.least(), base: Arc::new(base), changed: None }
    }

    /// The count of a domain, 0 if it does not exist.
    pub fn get(&self, value: &str) -> i64 {
        match &self.changed {
            Some((changed, count)) if changed == value => *count,
            _ => self.base.get(value).unwrap_or(0),
        }
    }

    /// Adds to the count of a domain.
    pub fn add(&mut self, value: &Str, delta: i64) {
        let count = self.get(value) + delta;
        if self.changed.as_ref().is_some_and(|(changed, _)| changed != value) {
            self.settle();
        }
        self.changed = Some((value.clone(), count));
    }

    /// Makes the change part of the base, for the rare caller that goes on to another domain.
    fn settle(&mut self) {
        let Some((value, count)) = self.changed.take() else { return };
        let base = Arc::make_mut(&mut self.base);
        let before = base.get(&value).unwrap_or(0);
        base.add(&value, count - before);
        self.least = base.least();
    }

    /// How many domains there are.
    pub fn domains(&self) -> usize {
        let new = self.changed.as_ref().is_some_and(|(value, _)| self.base.get(value).is_none());
        self.base.len() + usize::from(new)
    }

    /// The least count of all domains; none if there is no domain.
    pub fn least(&self) -> Option<i64> {
        let Some((value, count)) = &self.changed else { return self.least[0].as_ref().map(|l| l.1) };
        let other = self.least.iter().flatten().find(|(other, _)| other != value);
        Some(other.map_or(*count, |(_, least)| (*least).min(*count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains(text: &str) -> Domains {
        let mut domains = Domains::default();
        for part in text.split_whitespace() {
            let (value, count) = part.split_once('=').unwrap();
            domains.add(&value.into(), count.parse().unwrap());
        }
        domains
    }

    #[test]
    fn the_least_count_follows_what_is_tried() {
        let mut trial = Trial::new(domains("a=1 b=2 c=3"));
        assert_eq!((trial.least(), trial.domains()), (Some(1), 3));
        for (value, delta, least) in
            [("c", -3, 0), ("c", 3, 1), ("a", 4, 2), ("b", 4, 3), ("new", 1, 1), ("a", -5, 0)]
        {
            trial.add(&value.into(), delta);
            assert_eq!(trial.least(), Some(least), "{value} {delta}");
        }
        assert_eq!((trial.get("a"), trial.get("new"), trial.get("none"), trial.domains()), (0, 1, 0, 4));
    }

    #[test]
    fn a_trial_leaves_its_original_alone() {
        let original = Trial::new(domains("a=1 b=1"));
        let mut copy = original.clone();
        copy.add(&"a".into(), -1);
        assert_eq!((copy.least(), original.least()), (Some(0), Some(1)));
        assert_eq!(Trial::new(Domains::default()).least(), None);
    }
}
