//! Counts by domain that can be tried out: a shared base with one entry changed on top.

use crate::base::Arc;

/// The count of a place that is no domain.
const NONE: i64 = i64::MIN;

/// Matching Pods in each domain of one topology key; a domain is a place that counts.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    counts: Vec<i64>,
    len: usize,
}

impl Domains {
    /// No domain yet, of so many places.
    pub fn of_places(places: usize) -> Self {
        Self { counts: vec![NONE; places], len: 0 }
    }

    /// Makes sure that the place is a domain.
    pub fn open(&mut self, place: usize) {
        if place >= self.counts.len() {
            self.counts.resize(place + 1, NONE);
        }
        if self.counts[place] == NONE {
            self.counts[place] = 0;
            self.len += 1;
        }
    }

    /// Adds to the count of a place if it is a domain.
    pub fn add(&mut self, place: usize, count: i64) {
        if let Some(have) = self.counts.get_mut(place).filter(|have| **have != NONE) {
            *have += count;
        }
    }

    /// The count of a domain; none if the place is no domain.
    pub fn get(&self, place: usize) -> Option<i64> {
        self.counts.get(place).copied().filter(|count| *count != NONE)
    }

    /// How many domains there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The two least counts with their places, the least first.
    fn least(&self) -> [Option<(usize, i64)>; 2] {
        let mut least = [None; 2];
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count != NONE) {
            match least {
                [Some((_, first)), second] if *count >= first => {
                    if second.is_none_or(|(_, second): (usize, i64)| *count < second) {
                        least[1] = Some((place, *count));
                    }
                }
                [first, _] => least = [Some((place, *count)), first],
            }
        }
        least
    }
}

/// Counts of one constraint with changes of at most one domain on top, which is all that a dry run makes: it
/// touches the Pods of one node. Cloning costs a counter increment.
#[derive(Clone, Debug)]
pub struct Trial {
    base: Arc<Domains>,
    /// The two least counts of `base`: one of them is not of the changed domain.
    least: [Option<(usize, i64)>; 2],
    changed: Option<(usize, i64)>,
}

impl Trial {
    /// Nothing changed yet.
    pub fn new(base: Domains) -> Self {
        Self { least: base.least(), base: Arc::new(base), changed: None }
    }

    /// The count of a domain, 0 if it does not exist.
    pub fn get(&self, place: usize) -> i64 {
        match self.changed {
            Some((changed, count)) if changed == place => count,
            _ => self.base.get(place).unwrap_or(0),
        }
    }

    /// Adds to the count of a domain.
    pub fn add(&mut self, place: usize, delta: i64) {
        let count = self.get(place) + delta;
        if self.changed.is_some_and(|(changed, _)| changed != place) {
            self.settle();
        }
        self.changed = Some((place, count));
    }

    /// Makes the change part of the base, for the rare caller that goes on to another domain.
    fn settle(&mut self) {
        let Some((place, count)) = self.changed.take() else { return };
        let base = Arc::make_mut(&mut self.base);
        let before = base.get(place).unwrap_or(0);
        base.open(place);
        base.add(place, count - before);
        self.least = base.least();
    }

    /// How many domains there are.
    pub fn domains(&self) -> usize {
        let new = self.changed.is_some_and(|(place, _)| self.base.get(place).is_none());
        self.base.len() + usize::from(new)
    }

    /// The least count of all domains; none if there is no domain.
    pub fn least(&self) -> Option<i64> {
        let Some((place, count)) = self.changed else { return self.least[0].map(|(_, least)| least) };
        let other = self.least.iter().flatten().find(|(other, _)| *other != place);
        Some(other.map_or(count, |(_, least)| (*least).min(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts by place; a dash is no domain.
    fn domains(text: &str) -> Domains {
        let counts: Vec<&str> = text.split_whitespace().collect();
        let mut domains = Domains::of_places(counts.len());
        for (place, count) in counts.iter().enumerate() {
            if let Ok(count) = count.parse() {
                domains.open(place);
                domains.add(place, count);
            }
        }
        domains
    }

    #[test]
    fn the_least_count_follows_what_is_tried() {
        let mut trial = Trial::new(domains("1 2 3 -"));
        assert_eq!((trial.least(), trial.domains()), (Some(1), 3));
        for (place, delta, least) in [(2, -3, 0), (2, 3, 1), (0, 4, 2), (1, 4, 3), (3, 1, 1), (0, -5, 0)] {
            trial.add(place, delta);
            assert_eq!(trial.least(), Some(least), "{place} {delta}");
        }
        assert_eq!((trial.get(0), trial.get(3), trial.get(4), trial.domains()), (0, 1, 0, 4));
    }

    #[test]
    fn a_trial_leaves_its_original_alone() {
        let original = Trial::new(domains("1 1"));
        let mut copy = original.clone();
        copy.add(0, -1);
        assert_eq!((copy.least(), original.least()), (Some(0), Some(1)));
        assert_eq!(Trial::new(Domains::default()).least(), None);
    }

    #[test]
    fn only_places_that_were_opened_count() {
        let mut domains = domains("- 4 -");
        domains.add(0, 7);
        domains.add(1, 1);
        domains.add(9, 1);
        assert_eq!(([0, 1, 9].map(|place| domains.get(place)), domains.len()), ([None, Some(5), None], 1));
    }
}
