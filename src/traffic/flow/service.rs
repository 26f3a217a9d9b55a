//! A service, the Pods that bear its requests, and what becomes of them.

use super::super::profile::Profile;
use super::super::queueing::{self, Flow, Server};
use crate::base::{Arc, SimDuration, SimTime};
use crate::facts::Fact;
use crate::facts::traffic::{Failure, Interval, Meter, Rates, Response};
use crate::params::traffic::{Health, Traffic as Plan};
use crate::store::ObjId;

/// Bits of a number that one service tells another: one part in a million. What is beyond is left away, so that
/// a change dies out along a chain of calls instead of reaching its ends in ever smaller parts.
const BITS_TOLD: u32 = 20;
/// Above so many requests there is a queue.
const QUEUE: f64 = 1e-6;

/// A service and how it is served.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub plan: Plan,
    /// Requests per second from outside.
    pub outside: f64,
    /// Requests per second that reach it.
    pub arrivals: f64,
    /// Ordered by Pod.
    pub bearers: Vec<Bearer>,
    /// Requests per second that it works on and that make calls, as those it calls see it.
    pub asks: f64,
    /// What becomes of its requests now.
    pub rates: Rates,
    /// What its callers see of that.
    pub seen: Seen,
    /// Whether a queue grows or shrinks, or callers lose patience.
    pub crowded: bool,
    /// What becomes of its requests since `since`; what was before that is in the meter.
    told: Rates,
    since: SimTime,
    pub meter: Meter,
}

/// What callers see of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    /// The part of the requests that end well.
    pub success: f64,
    /// How long answers take.
    pub response: Response,
}

impl Default for Seen {
    fn default() -> Self {
        Self { success: 1.0, response: Response::default() }
    }
}

/// A Pod that gets a share of a service's requests.
#[derive(Clone, Debug)]
pub(super) struct Bearer {
    pub pod: ObjId,
    pub health: Health,
    pub profile: Option<Arc<Profile>>,
    /// The number of its node.
    pub node: Option<usize>,
    /// Requests per second that are sent to it.
    pub arrivals: f64,
    /// Requests in its queue.
    pub waiting: f64,
    /// Millicores that it may use for this service's requests.
    pub cpu: f64,
    /// Requests that are in it, and how many more every second; what it calls holds them too.
    pub in_flight: (f64, f64),
    /// What arrives and whether it has a queue, as its node knows.
    pub claimed: Option<(f64, bool)>,
    pub flow: Flow,
}

impl Service {
    pub fn new(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            outside: 0.0,
            arrivals: 0.0,
            bearers: Vec::new(),
            asks: 0.0,
            rates: Rates::default(),
            seen: Seen::default(),
            crowded: false,
            told: Rates::default(),
            since: SimTime::ZERO,
            meter: Meter::default(),
        }
    }

    /// The bearer that a Pod is.
    pub fn bearer(&self, pod: ObjId) -> Option<&Bearer> {
        self.place(pod).map(|index| &self.bearers[index])
    }

    /// The same, to be changed.
    pub fn bearer_mut(&mut self, pod: ObjId) -> Option<&mut Bearer> {
        self.place(pod).map(|index| &mut self.bearers[index])
    }

    fn place(&self, pod: ObjId) -> Option<usize> {
        self.bearers.binary_search_by(|b| b.pod.cmp(&pod)).ok()
    }

    /// Queues have grown and shrunk for so many seconds. Whether there are any.
    pub fn fill_queues(&mut self, passed: f64) -> bool {
        let mut any = false;
        for bearer in self.bearers.iter_mut().filter(|b| b.flow.growth != 0.0) {
            bearer.waiting = (bearer.waiting + bearer.flow.growth * passed).max(0.0);
            any = true;
        }
        any
    }

    /// Sends so many requests per second to the bearers; each whose need for CPU is another now is passed to `moved`.
    pub fn send(&mut self, arrivals: f64, patience: f64, mut moved: impl FnMut(&Bearer)) {
        let each = arrivals / self.bearers.len().max(1) as f64;
        // Pods of one template are alike as a rule.
        let mut like: Option<((Server, f64), Flow)> = None;
        let (mut crowded, mut served) = (false, 0.0);
        for bearer in &mut self.bearers {
            bearer.arrivals = each;
            let flow = match bearer.server() {
                None => Flow { lasts: f64::INFINITY, ..Flow::default() },
                Some(server) => match like.filter(|(with, _)| *with == (server, bearer.waiting)) {
                    Some((_, flow)) => flow,
                    None => queueing::flow(each, bearer.waiting, server, patience),
                },
            };
            if let Some(server) = bearer.server() {
                like = Some(((server, bearer.waiting), flow));
            }
            bearer.flow = flow;
            crowded |= flow.crowded;
            served += flow.served;
            let claims = Some((bearer.arrivals, bearer.waiting > QUEUE));
            if claims != bearer.claimed {
                bearer.claimed = claims;
                moved(bearer);
            }
        }
        self.arrivals = arrivals;
        self.crowded = crowded;
        self.asks = told(served);
    }

    /// Works out what becomes of all requests; `called` are how often each request calls whom, and what is seen there.
    pub fn answer(&mut self, called: &[(f64, Seen)]) {
        let mut chance = 1.0;
        let mut response = Response::one_of(self.bearers.iter().map(|b| (b.flow.answered, b.flow.response)));
        for (times, seen) in called {
            chance *= all_succeed(seen.success, *times);
            response = response.then(seen.response, *times);
        }
        self.rates = self.rates_of(chance, response);
        let Response { fixed, wait, chance } = self.rates.response;
        let response = Response { fixed: told(fixed), wait: told(wait), chance: told(chance) };
        self.seen = Seen { success: told(self.rates.success()), response };
    }

    /// Works out how many requests are in the Pods, if those that each makes take so many seconds; each Pod that has others
    /// than before is passed to `moved`.
    pub fn hold(&mut self, called: &[(f64, Seen)], mut moved: impl FnMut(ObjId)) {
        let of = |(times, seen): &(f64, Seen)| times * (seen.response.fixed + seen.response.wait);
        let called: f64 = called.iter().map(of).sum();
        for bearer in &mut self.bearers {
            let held = (bearer.flow.in_flight + bearer.flow.served * called, bearer.flow.growth);
            if held != bearer.in_flight {
                bearer.in_flight = held;
                moved(bearer.pod);
            }
        }
    }

    /// What becomes of the requests, if those that they make succeed with a chance and all takes so long.
    fn rates_of(&self, chance: f64, response: Response) -> Rates {
        let offered = self.arrivals;
        let mut rates = Rates { offered, response, ..Rates::default() };
        let each = offered / self.bearers.len().max(1) as f64;
        let mut fail = |why: Failure, count: f64| rates.failed[why as usize] += count;
        if self.bearers.is_empty() {
            fail(Failure::NoEndpoints, offered);
        }
        let mut answered = 0.0;
        for bearer in &self.bearers {
            match bearer.health {
                Health::Refuses => fail(Failure::Refused, each),
                Health::Silent => fail(Failure::Unreachable, each),
                Health::Answers => {
                    fail(Failure::TimedOut, bearer.flow.timed_out);
                    answered += bearer.flow.answered;
                }
            }
        }
        fail(Failure::Dependency, answered * (1.0 - chance));
        let late = answered * chance * response.beyond(self.plan.patience.as_secs_f64());
        fail(Failure::TimedOut, late);
        rates.succeeded = answered * chance - late;
        rates
    }

    /// Seconds until a queue is full or empty, or must be looked at; infinite if there is none.
    pub fn lasts(&self) -> f64 {
        self.bearers.iter().map(|b| b.flow.lasts).fold(f64::INFINITY, f64::min)
    }

    /// All that is worked out of it; `used` is the CPU that its Pods use.
    pub fn numbers(&self, used: impl Fn(ObjId) -> Option<f64>) -> Vec<f64> {
        let of = |r: &Response| [r.fixed, r.wait, r.chance];
        let rates = &self.rates;
        let mut all =
            vec![self.outside, self.arrivals, self.asks, rates.offered, rates.succeeded, self.seen.success];
        all.extend(rates.failed);
        all.extend([of(&rates.response), of(&self.seen.response)].concat());
        for b in &self.bearers {
            let f = &b.flow;
            all.extend([
                b.arrivals,
                b.waiting,
                b.cpu,
                f.served,
                f.answered,
                f.timed_out,
                f.growth,
                f.lasts,
                b.in_flight.0,
            ]);
            all.extend(of(&f.response));
            all.push(used(b.pod).unwrap_or(-1.0));
        }
        all
    }

    /// Says what has become of requests since the last change, if they end otherwise from now on.
    pub fn tell(&mut self, index: usize, now: SimTime, out: &mut Vec<Fact>) {
        if self.rates != self.told {
            self.close(index, now, out);
            self.told = self.rates;
        }
    }

    /// The span that began with the last change, up to now.
    pub fn interval(&self, index: usize, now: SimTime) -> Interval {
        let name = self.plan.name.clone();
        Interval { service: index, name, from: self.since, to: now, rates: self.told }
    }

    /// Closes the span that began with the last change.
    pub fn close(&mut self, index: usize, now: SimTime, out: &mut Vec<Fact>) {
        let interval = self.interval(index, now);
        self.since = now;
        if interval.to > interval.from && interval.rates.offered + interval.rates.succeeded > 0.0 {
            self.meter.add(&interval, SimTime::ZERO, SimTime::MAX);
            out.push(Fact::Traffic(Box::new(interval)));
        }
    }
}

impl Bearer {
    /// What it is as a queue; none if it answers nothing.
    fn server(&self) -> Option<Server> {
        let profile = self.profile.as_ref().filter(|_| self.health == Health::Answers)?;
        Some(Server { cpu: self.cpu, cost: profile.cost, latency: profile.latency })
    }

    /// Millicores that its requests need, as they come.
    pub fn need(&self) -> f64 {
        self.profile.as_ref().map_or(0.0, |profile| profile.cost * self.arrivals)
    }

    /// Millicores that it would use if it could: all there is as long as there is a queue.
    pub fn wants(&self, capacity: f64) -> f64 {
        let costs = self.profile.as_ref().is_some_and(|profile| profile.cost > 0.0);
        if self.waiting > QUEUE && costs { capacity } else { self.need() }
    }
}

/// A number as one service tells it another.
fn told(value: f64) -> f64 {
    let dropped = f64::MANTISSA_DIGITS - 1 - BITS_TOLD;
    f64::from_bits((value.to_bits() + (1 << (dropped - 1))) & !((1 << dropped) - 1))
}

/// After so many seconds, rounded up to what the clock can show.
pub(super) fn after(seconds: f64) -> SimDuration {
    SimDuration::from_nanos(libm::ceil(seconds * 1e9) as u64)
}

/// The chance that all calls of a request succeed if it makes `times` on average: a part of a call is a call that only
/// that part of requests makes.
fn all_succeed(success: f64, times: f64) -> f64 {
    let whole = libm::floor(times);
    libm::pow(success, whole) * (1.0 - (times - whole) * (1.0 - success))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_can_be_told_exactly_and_the_rest_within_a_millionth() {
        for exact in [0.0, 1.0, 0.5, 1000.0, 123_456.0, 1_000_000.0, 0.25] {
            assert_eq!(told(exact), exact);
        }
        for value in [0.1, 1.0 / 3.0, 99.999_999, 1e-9, 123_456.789] {
            assert!((told(value) / value - 1.0).abs() <= 0.5e-6, "{value}");
            assert_eq!(told(told(value)), told(value));
        }
        assert_eq!(told(0.999_999_9), 1.0);
    }

    #[test]
    fn requests_that_make_no_call_do_not_fail_with_it() {
        for (success, times, expected) in [
            (0.0, 0.4, 0.6),
            (0.5, 0.4, 0.8),
            (0.5, 2.0, 0.25),
            (0.5, 1.5, 0.375),
            (1.0, 7.3, 1.0),
            (0.0, 1.0, 0.0),
            (0.0, 0.0, 1.0),
        ] {
            let chance = all_succeed(success, times);
            assert!((chance - expected).abs() < 1e-12, "{success} {times}: {chance}");
        }
    }
}
