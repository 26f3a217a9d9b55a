//! Lets the Pods of traces arrive, and takes those that have ended out again.

use std::collections::{BTreeMap, VecDeque};

use super::ahead::GONE_TOGETHER;
use super::alarm::Alarm;
use super::event::Event;
use super::outcome::TraceOutcome;
use super::world::World;
use crate::api::pod::{RUNS_FOR, TRACE_LABEL, cond};
use crate::api::{Lasting, Pod, PodStatus, condition};
use crate::base::{Arc, LookupMap, SimTime, Str};
use crate::expect::Evaluator;
use crate::kernel::Seed;
use crate::store::{ApiError, Change, DeleteOptions, ObjId};
use crate::trace::{Arrival, Stream, Trace};

/// The traces of a run, each one row ahead of the clock.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    feeds: Vec<Feed>,
    /// Traces whose ended Pods go, by name.
    reaped: LookupMap<Str, usize>,
    /// Traces that may be due at another instant than before.
    touched: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Feed {
    stream: Stream,
    next: Option<Arrival>,
    /// Ended Pods, and when they go.
    ended: VecDeque<(SimTime, ObjId)>,
    /// So many of them, the first ones, have been fetched from memory.
    fetched: usize,
    alarm: Alarm,
    /// How many Pods the API server refused, and what it said of the first.
    refused: (u64, Str),
}

impl Feed {
    /// When a Pod comes or goes next.
    fn due(&self) -> Option<SimTime> {
        let comes = self.next.as_ref().map(|arrival| arrival.at);
        let goes = self.ended.front().map(|(at, _)| *at);
        comes.into_iter().chain(goes).min()
    }
}

impl Feeds {
    /// Of these traces, before anything has arrived.
    pub fn new(traces: &[Arc<Trace>], seed: Seed) -> Self {
        let mut feeds = Self::default();
        for trace in traces {
            if trace.ttl.is_some() {
                feeds.reaped.insert(trace.name.clone(), feeds.feeds.len());
            }
            let mut stream = Stream::new(trace, seed);
            let next = stream.next();
            let (ended, fetched, alarm) = (VecDeque::new(), 0, Alarm::default());
            feeds.feeds.push(Feed { stream, next, ended, fetched, alarm, refused: (0, Str::new()) });
        }
        feeds
    }

    /// Takes note of Pods that have ended.
    pub fn on_change(&mut self, change: &Change) {
        if self.reaped.is_empty() {
            return;
        }
        let Some((old, Some(pod))) = change.of::<Pod>() else { return };
        if !pod.is_terminal() || old.is_some_and(|old| old.is_terminal()) {
            return;
        }
        let place = pod.meta.labels.get(TRACE_LABEL).and_then(|name| self.reaped.get(name));
        let Some((place, feed)) = place.and_then(|place| Some((*place, self.feeds.get_mut(*place)?))) else {
            return;
        };
        let Some(ttl) = feed.stream.trace().ttl else { return };
        feed.ended.push_back((change.at + ttl, change.id));
        self.touched.push(place);
    }
}

impl World {
    /// Queues the first arrivals.
    pub(super) fn begin_traces(&mut self) {
        self.feeds.touched = (0..self.feeds.feeds.len()).collect();
    }

    /// Queues events for traces that are due at another instant than they were.
    pub(super) fn wake_traces(&mut self) {
        let now = self.store.now();
        while let Some(place) = self.feeds.touched.pop() {
            let feed = &mut self.feeds.feeds[place];
            if let Some(at) = feed.due().map(|at| at.max(now))
                && feed.alarm.set(at, now)
            {
                self.schedule(at, Event::Trace(place));
            }
        }
    }

    /// Pods of a trace arrive, and ended ones go.
    pub(super) fn trace_due(&mut self, place: usize) {
        let now = self.store.now();
        self.feeds.feeds[place].alarm.went_off(now);
        loop {
            let feed = &mut self.feeds.feeds[place];
            if feed.ended.front().is_none_or(|(at, _)| *at > now) {
                break;
            }
            if feed.fetched == 0 {
                let next: Vec<ObjId> = feed.ended.iter().take(GONE_TOGETHER).map(|(_, id)| *id).collect();
                feed.fetched = next.len();
                self.store.fetch_for_removal(&next);
            }
            feed.fetched -= 1;
            let Some((_, id)) = feed.ended.pop_front() else { break };
            // Somebody else may have deleted it by now.
            let _ = self.store.delete_at::<Pod>(id, &DeleteOptions::force());
        }
        loop {
            let feed = &mut self.feeds.feeds[place];
            let Some(arrival) = feed.next.take_if(|arrival| arrival.at <= now) else { break };
            feed.next = feed.stream.next();
            let trace = Arc::clone(feed.stream.trace());
            for index in 0..arrival.count {
                self.arrive(place, &trace, &arrival, index);
            }
        }
        self.feeds.touched.push(place);
    }

    fn arrive(&mut self, place: usize, trace: &Trace, arrival: &Arrival, index: u32) {
        let pod = made(trace, arrival, arrival.pod_name(trace, index));
        let Err(mut error) = self.store.create(pod) else { return };
        if matches!(error, ApiError::AlreadyExists { .. }) {
            // Traces name jobs more often than Pods.
            let name = format!("{}-{}", arrival.pod_name(trace, index), arrival.number);
            match self.store.create(made(trace, arrival, name.into())) {
                Ok(_) => return,
                Err(again) => error = again,
            }
        }
        let (count, first) = &mut self.feeds.feeds[place].refused;
        *count += 1;
        if *count == 1 {
            *first = error.to_string().into();
            let told = format!("{}: {first}", trace.name);
            self.refuse("trace", told);
        }
    }

    /// What became of the Pods of traces.
    pub(super) fn trace_outcomes(&self, evaluator: &Evaluator) -> Vec<TraceOutcome> {
        let tallies = evaluator.traces().all();
        let mut waiting: Vec<BTreeMap<Str, u32>> = vec![BTreeMap::new(); tallies.len()];
        if tallies.iter().any(|tally| tally.pending > 0) {
            for pod in self.store.unbound_pods().filter(|pod| !pod.is_terminal()) {
                let name = pod.meta.labels.get(TRACE_LABEL);
                let Some(place) = tallies.iter().position(|tally| Some(&tally.name) == name) else {
                    continue;
                };
                let told = condition::find(&pod.status.conditions, cond::POD_SCHEDULED);
                let told = told.map_or_else(Str::new, |condition| condition.message.clone());
                *waiting[place].entry(told).or_default() += 1;
            }
        }
        let outcomes = tallies.iter().zip(&self.feeds.feeds).zip(waiting);
        outcomes
            .map(|((tally, feed), waiting)| {
                let mut pending: Vec<(Str, u32)> = waiting.into_iter().collect();
                pending.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                TraceOutcome { tally: tally.clone(), refused: feed.refused.clone(), pending }
            })
            .collect()
    }
}

/// A Pod of a trace.
fn made(trace: &Trace, arrival: &Arrival, name: Str) -> Pod {
    let shape = &arrival.shape;
    let annotations = match arrival.lasts {
        Some(lasts) => shape.annotations.with(RUNS_FOR, lasts),
        None => shape.annotations.clone(),
    };
    let labels = shape.labels.clone();
    Pod {
        meta: Lasting { labels, annotations, ..Lasting::named(trace.namespace.clone(), name) }.into(),
        spec: Arc::clone(&shape.spec),
        node_name: None,
        status: PodStatus { qos: shape.spec.qos, ..PodStatus::default() },
    }
}
