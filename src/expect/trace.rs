//! Expectations about the Pods of traces: how many started, how long they waited.

use std::collections::BTreeMap;
use std::fmt;

use super::Count;
use super::traffic::short;
use crate::api::pod::TRACE_LABEL;
use crate::api::{Phase, Pod};
use crate::base::{LookupMap, SimDuration, SimTime, Str, fetch};
use crate::store::{Change, ObjId};

/// The Pods of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSubject {
    /// The trace's place in the scenario's list.
    pub trace: usize,
    /// Its name.
    pub name: Str,
    /// What must be true; never empty.
    pub checks: Vec<TraceCheck>,
}

/// One thing that must be true of the Pods of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceCheck {
    /// So many are, or were.
    Number(TraceNumber, Count),
    /// So many percent of those that got a node had waited for no longer.
    Within(u32, SimDuration),
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// So many Pods.
    Number(i64),
    /// They waited for so long; none if none got a node.
    Waited(Option<SimDuration>),
}

/// Numbers of Pods of a trace, up to an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceNumber {
    /// They were created.
    Arrived,
    /// They got a node.
    Scheduled,
    /// Their containers started.
    Started,
    /// They wait for a node.
    Pending,
    /// They ended well.
    Succeeded,
    /// They ended badly.
    Failed,
}

impl TraceNumber {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Arrived, Self::Scheduled, Self::Started, Self::Pending, Self::Succeeded, Self::Failed];

    /// The name in the scenario file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Scheduled => "scheduled",
            Self::Started => "started",
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl TraceSubject {
    /// What is wanted, in words.
    pub fn wanted(&self) -> String {
        self.checks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    /// What each check looks at, in their order.
    pub fn read(&self, tally: &Tally) -> Vec<Reading> {
        let read = |check: &TraceCheck| match check {
            TraceCheck::Number(number, _) => Reading::Number(tally.number(*number)),
            TraceCheck::Within(share, _) => Reading::Waited(tally.waited.percentile(*share)),
        };
        self.checks.iter().map(read).collect()
    }

    /// Whether all checks hold. As long as no Pod got a node, nothing can be said of how long they waited.
    pub fn holds(&self, readings: &[Reading]) -> bool {
        readings.len() == self.checks.len()
            && self.checks.iter().zip(readings).all(|(check, reading)| match (check, reading) {
                (TraceCheck::Number(_, count), Reading::Number(number)) => count.holds(*number),
                (TraceCheck::Within(_, time), Reading::Waited(Some(waited))) => waited <= time,
                (TraceCheck::Number(..) | TraceCheck::Within(..), _) => false,
            })
    }

    /// What there is.
    pub fn actual(&self, readings: &[Reading]) -> String {
        let told = self.checks.iter().zip(readings).map(|(check, reading)| match (check, reading) {
            (TraceCheck::Number(number, _), Reading::Number(n)) => format!("{} {n}", number.as_str()),
            (TraceCheck::Within(share, _), Reading::Waited(Some(time))) => {
                format!("{} {}", percentile(*share), short(*time))
            }
            (TraceCheck::Number(..) | TraceCheck::Within(..), _) => "no Pod got a node".to_owned(),
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

fn percentile(share: u32) -> String {
    if share == 100 { "max".to_owned() } else { format!("p{share}") }
}

impl fmt::Display for TraceCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number, count) => write!(f, "{} {count}", number.as_str()),
            Self::Within(share, time) => write!(f, "{} at most {time}", percentile(*share)),
        }
    }
}

/// What has become of the Pods of one trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The trace.
    pub name: Str,
    /// Pods that were created.
    pub arrived: i64,
    /// Pods that got a node.
    pub scheduled: i64,
    /// Pods whose containers started.
    pub started: i64,
    /// Pods that wait for a node.
    pub pending: i64,
    /// Pods that ended well.
    pub succeeded: i64,
    /// Pods that ended badly.
    pub failed: i64,
    /// How long those that got a node had waited for it, from their creation on.
    pub waited: Waits,
}

impl Tally {
    /// A number of it.
    pub const fn number(&self, number: TraceNumber) -> i64 {
        match number {
            TraceNumber::Arrived => self.arrived,
            TraceNumber::Scheduled => self.scheduled,
            TraceNumber::Started => self.started,
            TraceNumber::Pending => self.pending,
            TraceNumber::Succeeded => self.succeeded,
            TraceNumber::Failed => self.failed,
        }
    }
}

/// Bits of a class: spans are told apart by their first eight bits, so to less than one percent.
const BITS: u32 = 7;
/// Spans shorter than a microsecond are one class.
const UNIT: u64 = 1000;
/// Classes up to the longest span there is.
const CLASSES: usize = ((64 - BITS as usize) + 1) << BITS;

/// Spans of time, counted in classes that widen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Empty before the first span.
    classes: Vec<u32>,
    count: u64,
    longest: SimDuration,
}

impl Waits {
    /// Counts a span.
    pub fn add(&mut self, span: SimDuration) {
        if self.classes.is_empty() {
            self.classes = vec![0; CLASSES];
        }
        let class = &mut self.classes[class_of(span)];
        *class = class.saturating_add(1);
        self.count += 1;
        self.longest = self.longest.max(span);
    }

    /// The span that so many percent are not longer than, to less than one percent; none if there is none. `100`: the
    /// longest, exactly.
    pub fn percentile(&self, share: u32) -> Option<SimDuration> {
        if self.count == 0 {
            return None;
        }
        let rank = (u128::from(self.count) * u128::from(share)).div_ceil(100).max(1);
        let mut passed = 0;
        for (class, count) in self.classes.iter().enumerate() {
            passed += u128::from(*count);
            if passed >= rank {
                return Some(if share >= 100 { self.longest } else { upper(class).min(self.longest) });
            }
        }
        Some(self.longest)
    }
}

/// The class of a span: exact below 2^BITS units, then by its first bits.
fn class_of(span: SimDuration) -> usize {
    let units = span.as_nanos() / UNIT;
    let shift = (u64::BITS - units.leading_zeros()).saturating_sub(BITS + 1);
    // Less than CLASSES, which fits.
    ((u64::from(shift) << BITS) + (units >> shift)) as usize
}

/// The longest span of a class.
fn upper(class: usize) -> SimDuration {
    let class = class as u64;
    // The shift is one less from the second doubling on: its first bit is set in every class.
    let shift = (class >> BITS).saturating_sub(1);
    let first = class - (shift << BITS);
    let units = (u128::from(first) + 1) << shift;
    let nanos = units * u128::from(UNIT) - 1;
    SimDuration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// A Pod that has not ended.
#[derive(Clone, Copy, Debug)]
struct Live {
    trace: usize,
    since: SimTime,
    scheduled: bool,
    started: bool,
}

/// Keeps count of the Pods of all traces.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    tallies: Vec<Tally>,
    places: BTreeMap<Str, usize>,
    live: LookupMap<ObjId, Live>,
}

impl Tallies {
    /// Of these traces, before anything has arrived.
    pub fn new(names: impl IntoIterator<Item = Str>) -> Self {
        let tallies: Vec<Tally> = names.into_iter().map(|name| Tally { name, ..Tally::default() }).collect();
        let places = tallies.iter().enumerate().map(|(place, tally)| (tally.name.clone(), place)).collect();
        Self { tallies, places, live: LookupMap::new() }
    }

    /// All of them, in the order of the scenario.
    pub fn all(&self) -> &[Tally] {
        &self.tallies
    }

    /// Fetches from memory what is known of these Pods, which are about to end.
    pub fn fetch(&self, pods: &[ObjId]) {
        fetch(pods.iter().map(|pod| u64::from(self.live.contains_key(pod))));
    }

    /// Hears of a change; the trace whose numbers it changes.
    pub(super) fn change(&mut self, change: &Change) -> Option<usize> {
        if self.tallies.is_empty() {
            return None;
        }
        let (_, new) = change.of::<Pod>()?;
        let Some(live) = self.live.get_mut(&change.id) else {
            let pod = new?;
            let trace = *self.places.get(pod.meta.labels.get(TRACE_LABEL)?)?;
            if change.old().is_some() {
                return None;
            }
            let tally = &mut self.tallies[trace];
            tally.arrived += 1;
            tally.pending += 1;
            let live = Live { trace, since: change.at, scheduled: false, started: false };
            self.live.insert(change.id, live);
            return Some(trace);
        };
        let (trace, before) = (live.trace, *live);
        let tally = &mut self.tallies[trace];
        let Some(pod) = new else {
            tally.pending -= i64::from(!live.scheduled);
            self.live.remove(&change.id);
            return Some(trace);
        };
        if !live.scheduled && pod.node_name.is_some() {
            live.scheduled = true;
            tally.scheduled += 1;
            tally.pending -= 1;
            tally.waited.add(change.at.since(live.since));
        }
        let ended = pod.is_terminal();
        // One that ends well has run, though nobody may have reported it while it did.
        if !live.started && matches!(pod.status.phase, Phase::Running | Phase::Succeeded) {
            live.started = true;
            tally.started += 1;
        }
        let changed = ended || before.scheduled != live.scheduled || before.started != live.started;
        if ended {
            tally.succeeded += i64::from(pod.status.phase == Phase::Succeeded);
            tally.failed += i64::from(pod.status.phase == Phase::Failed);
            tally.pending -= i64::from(!live.scheduled);
            self.live.remove(&change.id);
        }
        changed.then_some(trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_to_less_than_one_percent() {
        let mut waits = Waits::default();
        assert_eq!(waits.percentile(50), None);
        for millis in 1..=1000 {
            waits.add(SimDuration::from_millis(millis));
        }
        for (share, millis) in [(1, 10.0), (50, 500.0), (99, 990.0), (100, 1000.0)] {
            let found = waits.percentile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((millis..millis * 1.01).contains(&found), "p{share}: {found}");
        }
        for nanos in [0, 1, 999, 1000, 127_999, 128_000, 255_999, 256_000, 1 << 40, u64::MAX] {
            let span = SimDuration::from_nanos(nanos);
            let class = class_of(span);
            assert!(class < CLASSES && upper(class) >= span, "{nanos}");
            assert!(class == 0 || upper(class - 1) < span, "{nanos}");
        }
    }
}
