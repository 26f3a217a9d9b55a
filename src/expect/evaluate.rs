//! The judge: hears every change of an object and knows at each instant which expectations hold.
//!
//! Work is done per change, not per instant: a change touches the expectations about its kind only, and
//! sets of Pods are kept up to date one Pod at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::cost::Ledger as Costs;
use super::data::{Found, Ledger};
use super::spec::{Check, EventSubject, Expectation, Subject, When};
use super::trace::Tallies;
use super::verdict::{Breach, Judgement, Verdict, tell};
use super::{Count, fields, traffic};
use crate::api::{Kind, Object, ObjectKey};
use crate::base::{SimTime, Str};
use crate::facts::traffic::{Interval, Meter};
use crate::facts::{DataFact, Fact, Recorder};
use crate::store::{Change, ObjId};

/// Judges expectations while a run goes on.
#[derive(Clone, Debug)]
pub struct Evaluator {
    states: Vec<State>,
    /// For each kind, the states that look at it.
    interested: BTreeMap<Kind, Vec<usize>>,
    /// Zones of nodes, those of nodes that are gone included.
    zones: BTreeMap<Str, Str>,
    /// What is known of data, if somebody asks.
    ledger: Option<Ledger>,
    /// What was spent.
    costs: Costs,
    /// What became of the Pods of traces.
    traces: Tallies,
    /// Everything up to here has been heard, and the present state lasts from here on.
    now: SimTime,
}

/// What is kept for all expectations: costs, and traces.
type Books<'a> = (&'a Costs, &'a Tallies);

/// One expectation and what is known of it.
#[derive(Clone, Debug)]
struct State {
    expectation: Expectation,
    probe: Probe,
    /// Whether a change since the last settling may have altered it.
    stale: bool,
    /// Whether it holds, and since when.
    holds: bool,
    since: SimTime,
    /// Spans in which it did not hold, within the span that counts.
    breaches: Vec<Breach>,
    /// The verdict, once it cannot change any more.
    judgement: Option<Judgement>,
}

/// What a state keeps of the objects it looks at.
#[derive(Clone, Debug)]
enum Probe {
    /// The object, if it exists.
    Object(Option<Object>),
    /// The objects that are as described.
    Set(BTreeSet<ObjectKey>),
    /// How often each Event was said; Events that have expired still count.
    Events(BTreeMap<ObjId, i64>),
    /// Endpoints by slice: ready, serving, terminating.
    Endpoints(BTreeMap<ObjectKey, [i64; 3]>),
    /// The data that are looked at.
    Data(Vec<Found>),
    /// Requests of the span that counts.
    Requests(Meter),
    /// What was spent, as of the instant that counts.
    Bill(Box<super::cost::Bill>),
    /// What the checks found of the Pods of a trace, as of the instant that counts.
    Trace(Vec<super::trace::Reading>),
}

impl Evaluator {
    /// A judge of these expectations, before anything exists, with an empty account of costs and of traces.
    pub fn new(expectations: &[Expectation], costs: Costs, traces: Tallies) -> Self {
        let states: Vec<_> = expectations.iter().map(State::new).collect();
        let mut interested: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (index, expectation) in expectations.iter().enumerate() {
            if let Some(kind) = expectation.subject.kind() {
                interested.entry(kind).or_default().push(index);
            }
        }
        if expectations.iter().any(|e| matches!(&e.subject, Subject::Pods(p) if p.needs_zone())) {
            interested.entry(Kind::Node).or_default();
        }
        let asked = expectations.iter().any(|e| matches!(e.subject, Subject::Data(_)));
        let ledger = asked.then(Ledger::default);
        Self { states, interested, zones: BTreeMap::new(), ledger, costs, traces, now: SimTime::ZERO }
    }

    /// Hears of a change. Changes come in the order of their instants.
    pub fn change(&mut self, change: &Change) {
        if change.at > self.now {
            self.settle(change.at);
        }
        if self.ledger.as_mut().is_some_and(|ledger| ledger.change(change)) {
            self.look_at_data();
        }
        self.costs.change(change);
        if let Some(trace) = self.traces.change(change) {
            self.look_at_trace(trace);
        }
        let Some(interested) = self.interested.get(&change.kind()) else {
            return;
        };
        if change.kind() == Kind::Node
            && let Object::Node(node) = change.object()
        {
            let zone = node.zone();
            if !zone.is_empty() {
                self.zones.insert(node.meta.name.clone(), zone);
            }
        }
        for index in interested {
            self.states[*index].change(change, &self.zones);
        }
    }

    /// Hears what happened to data.
    fn data(&mut self, fact: &DataFact) {
        let Some(ledger) = &mut self.ledger else { return };
        ledger.data(fact);
        if fact.at > self.now {
            self.settle(fact.at);
        }
        self.look_at_data();
    }

    fn look_at_data(&mut self) {
        let Some(ledger) = &self.ledger else { return };
        for state in &mut self.states {
            if let Subject::Data(subject) = &state.expectation.subject {
                state.probe = Probe::Data(ledger.look(subject));
                state.stale = true;
            }
        }
    }

    fn look_at_trace(&mut self, trace: usize) {
        for state in &mut self.states {
            state.stale |= matches!(&state.expectation.subject, Subject::Trace(s) if s.trace == trace);
        }
    }

    /// What became of the Pods of traces.
    pub const fn traces(&self) -> &Tallies {
        &self.traces
    }

    /// Hears what became of requests.
    fn requests(&mut self, interval: &Interval) {
        for state in &mut self.states {
            if let (Subject::Traffic(subject), Probe::Requests(meter)) =
                (&state.expectation.subject, &mut state.probe)
            {
                traffic::count(meter, subject, state.expectation.when, interval);
            }
        }
    }

    /// Takes note that the present state lasts until just before `next`.
    fn settle(&mut self, next: SimTime) {
        for state in &mut self.states {
            state.settle(self.now, next, (&self.costs, &self.traces));
        }
        self.now = next;
    }

    /// The account of what was spent.
    pub const fn costs(&self) -> &Costs {
        &self.costs
    }

    /// Takes note of what Pods use from `now` on.
    pub fn usage(&mut self, now: SimTime, by_namespace: BTreeMap<Str, super::cost::Amounts>) {
        if now > self.now {
            self.settle(now);
        }
        self.costs.usage(now, by_namespace);
    }

    /// How many expectations cannot pass any more.
    pub fn failed(&self) -> usize {
        let failed = |s: &&State| s.judgement.as_ref().is_some_and(|j| j.verdict == Verdict::Failed);
        self.states.iter().filter(failed).count()
    }

    /// The verdicts, in the order of the expectations; the run ended at `end`, all changes heard.
    pub fn finish(mut self, end: SimTime) -> Vec<Judgement> {
        if end > self.now {
            self.settle(end);
        }
        let now = self.now;
        let books = (&self.costs, &self.traces);
        self.states.into_iter().map(|state| state.finish(now, books)).collect()
    }
}

impl Recorder for Evaluator {
    fn record(&mut self, fact: &Fact) {
        match fact {
            Fact::Changed(change) => self.change(change),
            Fact::Data(data) => self.data(data),
            Fact::Traffic(interval) => self.requests(interval),
            Fact::Action { .. } | Fact::Refused { .. } => {}
        }
    }
}

impl Subject {
    /// The kind of object whose changes can make it true or false; none if it is about no objects.
    fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Object(s) => s.kind,
            Self::Objects(s) => s.kind,
            Self::Pods(_) => Kind::Pod,
            Self::Event(_) => Kind::Event,
            Self::Endpoints(_) => Kind::EndpointSlice,
            Self::Exists(s) => match s.kind {
                super::spec::ResourceKind::Known(kind) => kind,
                super::spec::ResourceKind::Inert(_) => Kind::Inert,
            },
            Self::Data(_) | Self::Traffic(_) | Self::Cost(_) | Self::Trace(_) => return None,
        })
    }

    /// What is wanted, in the words of the scenario.
    fn wanted(&self) -> String {
        match self {
            Self::Object(s) => s.checks.iter().map(Check::wanted).collect::<Vec<_>>().join(", "),
            Self::Objects(s) => format!("count {}", s.count),
            Self::Pods(s) => format!("count {}", s.count),
            Self::Event(s) => s.count.to_string(),
            Self::Endpoints(s) => {
                let parts = [("ready", s.ready), ("serving", s.serving), ("terminating", s.terminating)];
                let told = parts.iter().filter_map(|(name, count)| Some(format!("{name} {}", (*count)?)));
                told.collect::<Vec<_>>().join(", ")
            }
            Self::Exists(s) => if s.exists { "it to exist" } else { "it to be absent" }.to_owned(),
            Self::Data(s) => s.wanted(),
            Self::Traffic(s) => s.wanted(),
            Self::Cost(s) => s.wanted(),
            Self::Trace(s) => s.wanted(),
        }
    }
}

impl Check {
    /// What is wanted: `available 3`, `phase Bound`.
    pub fn wanted(&self) -> String {
        match self {
            Self::Number(field, count) => format!("{} {count}", field.as_str()),
            Self::Text(field, text) => format!("{} {text}", field.as_str()),
            Self::Flag(field, value) => format!("{} {value}", field.as_str()),
            Self::Condition { kind, status, reason } => match reason {
                Some(reason) => format!("condition {kind} {status} ({reason})"),
                None => format!("condition {kind} {status}"),
            },
            Self::Taint { key, value, effect } => {
                let value = value.as_ref().map(|v| format!("={v}")).unwrap_or_default();
                let effect = effect.map(|e| format!(":{}", e.as_str())).unwrap_or_default();
                format!("taint {key}{value}{effect}")
            }
        }
    }
}

impl State {
    fn new(expectation: &Expectation) -> Self {
        let probe = match &expectation.subject {
            Subject::Object(_) | Subject::Exists(_) => Probe::Object(None),
            Subject::Objects(_) | Subject::Pods(_) => Probe::Set(BTreeSet::new()),
            Subject::Event(_) => Probe::Events(BTreeMap::new()),
            Subject::Endpoints(_) => Probe::Endpoints(BTreeMap::new()),
            Subject::Data(_) => Probe::Data(Vec::new()),
            Subject::Traffic(_) => Probe::Requests(Meter::default()),
            Subject::Cost(_) => Probe::Bill(Box::default()),
            Subject::Trace(_) => Probe::Trace(Vec::new()),
        };
        Self {
            expectation: expectation.clone(),
            probe,
            stale: true,
            holds: false,
            since: SimTime::ZERO,
            breaches: Vec::new(),
            judgement: None,
        }
    }

    /// Brings the probe up to date.
    fn change(&mut self, change: &Change, zones: &BTreeMap<Str, Str>) {
        if self.judgement.is_some() {
            return;
        }
        // Events are made when somebody looks at them as objects.
        let new = || change.new();
        match (&self.expectation.subject, &mut self.probe) {
            (Subject::Object(s), Probe::Object(found)) => {
                let meta = change.latest().meta();
                if meta.name == s.name && meta.namespace == s.namespace {
                    *found = new().cloned();
                    self.stale = true;
                }
            }
            (Subject::Exists(s), Probe::Object(found)) => {
                let meta = change.latest().meta();
                let named = meta.name == s.name && meta.namespace == s.namespace;
                if named && change.latest().kind_name() == s.kind.to_string() {
                    *found = new().cloned();
                    self.stale = true;
                }
            }
            (Subject::Objects(s), Probe::Set(members)) => {
                let covers = new().is_some_and(|o| {
                    let meta = o.meta();
                    s.namespace.as_ref().is_none_or(|n| *n == meta.namespace)
                        && s.selector.matches(&meta.labels)
                        && s.checks.iter().all(|c| c.holds(o))
                });
                self.stale |= keep(members, change, covers);
            }
            (Subject::Pods(s), Probe::Set(members)) => {
                let covers = new().is_some_and(|o| match o {
                    Object::Pod(pod) => {
                        s.covers(pod, pod.node_name.as_ref().and_then(|node| zones.get(node)))
                    }
                    _ => false,
                });
                self.stale |= keep(members, change, covers);
            }
            (Subject::Event(s), Probe::Events(counts)) => self.stale |= count_event(s, counts, change),
            (Subject::Endpoints(s), Probe::Endpoints(slices)) => {
                if let Object::EndpointSlice(slice) = change.object() {
                    let service = slice.meta.labels.get("kubernetes.io/service-name");
                    if slice.meta.namespace == s.namespace && service == Some(&s.service) {
                        count_endpoints(slices, change, slice);
                        self.stale = true;
                    }
                }
            }
            (
                Subject::Object(_)
                | Subject::Exists(_)
                | Subject::Objects(_)
                | Subject::Pods(_)
                | Subject::Event(_)
                | Subject::Endpoints(_)
                | Subject::Data(_)
                | Subject::Traffic(_)
                | Subject::Cost(_)
                | Subject::Trace(_),
                _,
            ) => {}
        }
    }

    /// The present state lasts from `now` until just before `next`.
    fn settle(&mut self, now: SimTime, next: SimTime, (costs, traces): Books<'_>) {
        // Requests are judged when all of them are counted.
        if self.judgement.is_some() || matches!(self.probe, Probe::Requests(_)) {
            return;
        }
        if let Probe::Bill(bill) = &mut self.probe {
            if let When::At(at) = self.expectation.when
                && at < next
            {
                **bill = costs.bill(at);
                self.holds = self.evaluate();
                self.since = at;
                self.judge(at);
            }
            return;
        }
        // What is judged at an instant needs no look before.
        let waits = match self.expectation.when {
            When::At(at) => at >= next,
            When::End => true,
            When::By(_) | When::During(..) => false,
        };
        if waits && matches!(self.probe, Probe::Trace(_)) {
            return;
        }
        if std::mem::take(&mut self.stale) {
            self.read_trace(traces);
            let holds = self.evaluate();
            if holds != self.holds {
                self.holds = holds;
                self.since = now;
            }
        }
        match self.expectation.when {
            When::At(at) if at < next => self.judge(at),
            When::By(_) if self.holds => self.judge(now),
            When::By(by) if by < next => self.judge(by),
            When::During(from, to) => {
                self.note_breach(now, next, from, to);
                if to < next {
                    self.judge(to);
                }
            }
            When::At(_) | When::By(_) | When::End => {}
        }
    }

    /// Takes the numbers of a trace.
    fn read_trace(&mut self, traces: &Tallies) {
        if let (Subject::Trace(s), Probe::Trace(readings)) = (&self.expectation.subject, &mut self.probe)
            && let Some(tally) = traces.all().get(s.trace)
        {
            *readings = s.read(tally);
        }
    }

    /// Opens or closes a breach for the part of `[now, next)` that lies in `[from, to]`.
    fn note_breach(&mut self, now: SimTime, next: SimTime, from: SimTime, to: SimTime) {
        if next <= from || now > to {
            return;
        }
        let open = self.breaches.last_mut().filter(|b| b.until.is_none());
        match (open, self.holds) {
            (Some(breach), true) => breach.until = Some(now),
            (None, false) => {
                let actual = self.actual();
                self.breaches.push(Breach { from: now.max(from), until: None, actual });
            }
            (Some(_), false) | (None, true) => {}
        }
    }

    /// Whether the subject is as wanted now.
    fn evaluate(&self) -> bool {
        match (&self.expectation.subject, &self.probe) {
            (Subject::Object(s), Probe::Object(found)) => {
                found.as_ref().is_some_and(|o| s.checks.iter().all(|c| c.holds(o)))
            }
            (Subject::Exists(s), Probe::Object(found)) => found.is_some() == s.exists,
            (Subject::Objects(s), Probe::Set(members)) => s.count.holds(length(members)),
            (Subject::Pods(s), Probe::Set(members)) => s.count.holds(length(members)),
            (Subject::Event(s), Probe::Events(counts)) => s.count.holds(counts.values().sum()),
            (Subject::Endpoints(s), Probe::Endpoints(slices)) => {
                let [ready, serving, terminating] = totals(slices);
                let holds = |count: Option<Count>, n| count.is_none_or(|c| c.holds(n));
                holds(s.ready, ready) && holds(s.serving, serving) && holds(s.terminating, terminating)
            }
            (Subject::Data(s), Probe::Data(found)) => s.holds(found),
            (Subject::Traffic(s), Probe::Requests(meter)) => s.holds(meter),
            (Subject::Cost(s), Probe::Bill(bill)) => s.holds(bill),
            (Subject::Trace(s), Probe::Trace(readings)) => s.holds(readings),
            _ => false,
        }
    }

    /// What is there now.
    fn actual(&self) -> String {
        match (&self.expectation.subject, &self.probe) {
            (Subject::Object(s), Probe::Object(Some(object))) => {
                s.checks.iter().map(|c| c.actual(object)).collect::<Vec<_>>().join(", ")
            }
            (Subject::Object(s), _) => format!("no {} `{}`", s.kind.name(), s.name),
            (Subject::Exists(_), Probe::Object(found)) => {
                if found.is_some() { "it exists" } else { "it does not exist" }.to_owned()
            }
            (Subject::Cost(s), Probe::Bill(bill)) => s.actual(bill),
            (_, Probe::Set(members)) => tell_members(members),
            (_, Probe::Events(counts)) => match counts.values().sum::<i64>() {
                1 => "said once".to_owned(),
                n => format!("said {n} times"),
            },
            (_, Probe::Endpoints(slices)) => {
                let [ready, serving, terminating] = totals(slices);
                format!("ready {ready}, serving {serving}, terminating {terminating}")
            }
            (_, Probe::Data(found)) => tell_data(found),
            (Subject::Traffic(s), Probe::Requests(meter)) => s.actual(meter),
            (Subject::Trace(s), Probe::Trace(readings)) => s.actual(readings),
            (_, Probe::Object(_) | Probe::Requests(_) | Probe::Bill(_) | Probe::Trace(_)) => String::new(),
        }
    }

    /// Fixes the verdict by what is known at `at`.
    fn judge(&mut self, at: SimTime) {
        let expectation = &self.expectation;
        let passed = match expectation.when {
            When::During(..) => self.breaches.is_empty(),
            When::At(_) | When::By(_) | When::End => self.holds,
        };
        let wanted = expectation.subject.wanted();
        let message = match (passed, expectation.when) {
            (true, When::At(_) | When::End) if matches!(self.probe, Probe::Bill(_) | Probe::Trace(_)) => {
                format!("{} at {at}", self.actual())
            }
            (true, _) => format!("{}, since {}", self.actual(), self.since.cut_to_millis()),
            (false, When::During(..)) => tell(&self.breaches, &wanted),
            (false, When::By(_)) => format!("{} still at {at} (wanted {wanted})", self.actual()),
            (false, When::At(_) | When::End) => format!("{} at {at} (wanted {wanted})", self.actual()),
        };
        self.judgement = Some(Judgement {
            name: expectation.name.clone(),
            when: expectation.when,
            verdict: if passed { Verdict::Passed } else { Verdict::Failed },
            since: passed.then_some(self.since),
            message,
            origin: expectation.origin,
        });
    }

    /// All requests of the span are counted, if the run reached its end.
    fn judge_requests(&mut self, end: SimTime) {
        let until = match self.expectation.when {
            When::During(_, to) => to,
            When::At(_) | When::By(_) | When::End => end,
        };
        if until > end {
            return;
        }
        let passed = self.evaluate();
        let mut message = self.actual();
        if !passed {
            message.push_str(&format!(" (wanted {})", self.expectation.subject.wanted()));
        }
        self.judgement = Some(Judgement {
            name: self.expectation.name.clone(),
            when: self.expectation.when,
            verdict: if passed { Verdict::Passed } else { Verdict::Failed },
            since: None,
            message,
            origin: self.expectation.origin,
        });
    }

    /// The verdict at the end of the run, whose last instant is `end`.
    fn finish(mut self, end: SimTime, books: Books<'_>) -> Judgement {
        // The last instant counts as a whole: nothing can come after it.
        self.settle(end, end + crate::base::SimDuration::from_nanos(1), books);
        if matches!(self.probe, Probe::Requests(_)) {
            self.judge_requests(end);
        }
        if let (Probe::Bill(bill), None) = (&mut self.probe, &self.judgement) {
            **bill = books.0.bill(end);
            (self.holds, self.since) = (self.evaluate(), end);
        }
        if self.judgement.is_none() && matches!(self.probe, Probe::Trace(_)) {
            self.read_trace(books.1);
            (self.holds, self.since) = (self.evaluate(), end);
        }
        if self.judgement.is_none() {
            match self.expectation.when {
                When::End => self.judge(end),
                When::During(..) if !self.breaches.is_empty() => self.judge(end),
                When::At(_) | When::By(_) | When::During(..) => {}
            }
        }
        self.judgement.unwrap_or_else(|| Judgement {
            name: self.expectation.name.clone(),
            when: self.expectation.when,
            verdict: Verdict::NotReached,
            since: None,
            message: format!("the run ended at {end}, too early to say {}", self.expectation.when),
            origin: self.expectation.origin,
        })
    }
}

/// Keeps the set in step with one object. True if it changed.
fn keep(members: &mut BTreeSet<ObjectKey>, change: &Change, covers: bool) -> bool {
    let key = change.key();
    if covers { members.insert(key) } else { members.remove(&key) }
}

fn length(members: &BTreeSet<ObjectKey>) -> i64 {
    i64::try_from(members.len()).unwrap_or(i64::MAX)
}

/// At most so many members of a set are named.
const NAMES_MAX: usize = 3;

fn tell_members(members: &BTreeSet<ObjectKey>) -> String {
    let names: Vec<_> = members.iter().take(NAMES_MAX).map(ToString::to_string).collect();
    match members.len() {
        0 => "count 0".to_owned(),
        n if n > NAMES_MAX => format!("count {n} ({}, …)", names.join(", ")),
        n => format!("count {n} ({})", names.join(", ")),
    }
}

fn tell_data(found: &[Found]) -> String {
    let told: Vec<&str> = found.iter().take(NAMES_MAX).map(|f| f.told.as_str()).collect();
    match found.len() {
        0 => "no Pod has mounted one".to_owned(),
        n if n > NAMES_MAX => format!("{}; and {} more", told.join("; "), n - NAMES_MAX),
        _ => told.join("; "),
    }
}

fn count_event(subject: &EventSubject, counts: &mut BTreeMap<ObjId, i64>, change: &Change) -> bool {
    let Some(event) = change.said() else {
        return false;
    };
    if !subject.covers(&event) {
        return false;
    }
    let count = i64::from(event.count).max(1);
    counts.insert(change.id, count) != Some(count)
}

fn count_endpoints(
    slices: &mut BTreeMap<ObjectKey, [i64; 3]>,
    change: &Change,
    slice: &crate::api::service::EndpointSlice,
) {
    let key = change.key();
    if change.new().is_none() {
        slices.remove(&key);
        return;
    }
    let count = |f: fn(&crate::api::service::Endpoint) -> bool| {
        i64::try_from(slice.endpoints.iter().filter(|e| f(e)).count()).unwrap_or(i64::MAX)
    };
    slices.insert(key, [count(|e| e.ready), count(|e| e.serving), count(|e| e.terminating)]);
}

fn totals(slices: &BTreeMap<ObjectKey, [i64; 3]>) -> [i64; 3] {
    slices.values().fold([0; 3], |a, b| [a[0] + b[0], a[1] + b[1], a[2] + b[2]])
}

/// Whether expectations can look into objects of a kind.
pub fn is_judged(kind: Kind) -> bool {
    fields::fields_of(kind).is_some()
}

#[cfg(test)]
mod tests;
