//! How metrics-server comes to know what Pods use: it asks every kubelet on a grid, keeps the last two answers and
//! serves the mean between them.
//!
//! Upstream: metrics-server v0.8.0 `pkg/storage/{storage,pod,types}.go`.
//!
//! # Fidelity
//! All kubelets are asked in one instant, and their counters are as new as the question (cAdvisor's are up to 15 s old); they
//! answer at once, so that `--kubelet-request-timeout` plays no part. metrics-server is there from the start and stays: its own
//! readiness, 20 s after its start, is not waited for. Its binary's period of 60 s is not the default here, the shipped manifest's 15 s
//! is, and periods below 10 s are not refused.

use crate::base::{Few, LookupMap, SimDuration, SimTime};
use crate::store::ObjId;

/// A container that is younger than this when it is asked has no usable point yet.
const FRESH_MIN: SimDuration = SimDuration::from_secs(10);

/// When kubelets are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrapes {
    /// From the start of the run to the first question, less than the period.
    pub phase: SimDuration,
    /// From one to the next. Never zero.
    pub period: SimDuration,
}

/// What can be said of a Pod: the mean over a span that ends with the last scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The older point.
    pub from: SimTime,
    /// The newer point: the sample's timestamp.
    pub to: SimTime,
}

impl Scrapes {
    /// The last scrape at or before `now`; none before the first.
    pub fn last(&self, now: SimTime) -> Option<SimTime> {
        let past = now.as_nanos().checked_sub(self.phase.as_nanos())?;
        let period = self.period.as_nanos().max(1);
        Some(SimTime::from_nanos(self.phase.as_nanos() + past / period * period))
    }

    /// The first scrape after `now`.
    pub fn next(&self, now: SimTime) -> SimTime {
        self.last(now).map_or(SimTime::ZERO + self.phase, |last| last + self.period)
    }

    /// What is known at `now` of a Pod whose last container runs since `since`; none: it is not listed yet.
    ///
    /// One scrape suffices if it met the container between ten seconds and a period after its start; then the start,
    /// with no CPU used, is the older point.
    pub fn window(&self, since: SimTime, now: SimTime) -> Option<Window> {
        let last = self.last(now).filter(|last| *last >= since + FRESH_MIN)?;
        let before = last.minus(self.period);
        Some(Window { from: before.max(since), to: last })
    }

    /// The first scrape that lists a Pod whose last container runs since `since`.
    pub fn first_of(&self, since: SimTime) -> SimTime {
        let ready = since + FRESH_MIN;
        if self.last(ready) == Some(ready) { ready } else { self.next(ready) }
    }
}

/// The CPU that Pods have used, as far back as a window reaches.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    of: LookupMap<ObjId, History>,
}

/// A level and since when it holds, and those before it, the oldest first. Most Pods have had one only.
#[derive(Clone, Debug)]
struct History {
    since: SimTime,
    milli: f64,
    earlier: Few<(SimTime, f64)>,
}

impl History {
    /// All levels with their beginnings, the oldest first.
    fn all(&self) -> impl Iterator<Item = (SimTime, f64)> {
        self.earlier.iter().copied().chain([(self.since, self.milli)])
    }

    /// Forgets what ended at `oldest` or before.
    fn forget_before(&mut self, oldest: SimTime) {
        let ended = self.all().skip(1).take_while(|(end, _)| *end <= oldest).count();
        if ended == self.earlier.len() {
            self.earlier = Few::new();
        } else if ended > 0 {
            self.earlier.drain(..ended);
        }
    }
}

impl Levels {
    /// From `at` on a Pod uses so many millicores. What ended before `oldest` is forgotten. A Pod of which nothing is known
    /// uses nothing, so that one which never does is not put down.
    pub fn set(&mut self, pod: ObjId, at: SimTime, milli: f64, oldest: SimTime) {
        if milli == 0.0 && !self.of.contains_key(&pod) {
            return;
        }
        let new = || History { since: at, milli, earlier: Few::new() };
        let history = self.of.or_insert_with(pod, new);
        if history.milli == milli {
            return;
        }
        if history.since != at {
            history.earlier.push((history.since, history.milli));
            history.since = at;
        }
        history.milli = milli;
        history.forget_before(oldest);
    }

    /// The level of a Pod at an instant of the last window.
    pub fn at(&self, pod: ObjId, at: SimTime) -> f64 {
        let levels = self.of.get(&pod).into_iter().flat_map(History::all);
        levels.take_while(|(since, _)| *since <= at).last().map_or(0.0, |(_, level)| level)
    }

    /// Forgets a Pod.
    pub fn forget(&mut self, pod: ObjId) {
        self.of.remove(&pod);
    }

    /// Millicores that a Pod used in the mean of a span.
    pub fn mean(&self, pod: ObjId, window: Window) -> f64 {
        let Some(history) = self.of.get(&pod) else { return 0.0 };
        let span = window.to.since(window.from).as_secs_f64();
        if span <= 0.0 {
            return history.milli;
        }
        let mut sum = 0.0;
        let ends = history.all().skip(1).map(|(since, _)| since).chain([window.to]);
        for ((since, milli), until) in history.all().zip(ends) {
            let (from, to) = (since.max(window.from), until.min(window.to));
            if to > from {
                sum += milli * to.since(from).as_secs_f64();
            }
        }
        sum / span
    }

    /// The first scrape after `now` whose answer about a Pod can differ from the one before it.
    pub fn next_change(&self, pod: ObjId, scrapes: Scrapes, now: SimTime) -> Option<SimTime> {
        // A change is seen by the first scrape after it, half; by the second, whole.
        let changed = self.of.get(&pod)?.since;
        let last_seen = scrapes.next(changed) + scrapes.period;
        let next = scrapes.next(now);
        (next <= last_seen).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAPES: Scrapes = Scrapes { phase: SimDuration::from_secs(5), period: SimDuration::from_secs(15) };

    fn s(secs: u64) -> SimTime {
        SimTime::from_secs(secs)
    }

    /// §1.11: CPU is the difference of two points, a fresh container's start being the older one.
    #[test]
    fn a_pod_is_listed_by_the_first_scrape_that_meets_it_ten_seconds_old() {
        let window =
            |since, now| SCRAPES.window(s(since), s(now)).map(|w| (w.from.as_secs(), w.to.as_secs()));
        assert_eq!(window(0, 4), None);
        assert_eq!(window(0, 19), None, "five seconds old at the scrape of 5 s");
        assert_eq!(window(0, 20), Some((5, 20)));
        assert_eq!(window(8, 20), Some((8, 20)), "twelve seconds old: the start is the older point");
        assert_eq!(window(12, 34), None);
        assert_eq!(window(12, 36), Some((20, 35)));
        assert_eq!([0, 10, 12, 25].map(|since| SCRAPES.first_of(s(since)).as_secs()), [20, 20, 35, 35]);
    }

    /// §1.11: a jump of the load is seen half by the first scrape after it and whole by the second.
    #[test]
    fn a_jump_shows_over_two_scrapes() {
        let pod = ObjId(1);
        let mut levels = Levels::default();
        levels.set(pod, s(0), 100.0, s(0));
        levels.set(pod, s(30), 400.0, s(0));
        let seen = |now| SCRAPES.window(s(0), s(now)).map(|w| levels.mean(pod, w).round() as i64);
        assert_eq!([20, 34, 35, 49, 50].map(seen), [100, 100, 200, 200, 400].map(Some));
        let next = |now| levels.next_change(pod, SCRAPES, s(now)).map(SimTime::as_secs);
        assert_eq!([30, 35, 49, 50].map(next), [Some(35), Some(50), Some(50), None]);
    }

    #[test]
    fn what_no_window_reaches_is_forgotten() {
        let pod = ObjId(1);
        let mut levels = Levels::default();
        for second in 0..100 {
            levels.set(pod, s(second), second as f64, s(second.saturating_sub(30)));
        }
        assert!(levels.of.get(&pod).is_some_and(|kept| kept.all().count() <= 32));
        levels.forget(pod);
        assert_eq!(levels.mean(pod, Window { from: s(0), to: s(10) }), 0.0);
    }
}
