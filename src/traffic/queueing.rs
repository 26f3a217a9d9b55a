//! The formulas: how many requests a Pod answers, and how long they take.
//!
//! A Pod is a queue with `m` servers, `m` being the cores it may use, one at least. A request takes one core for its
//! `perRequest`, longer by the quotient where the Pod may use less than one core, and waits `latency` for the outside.
//! With the load `ρ` = arrivals × cost ÷ cores, a request waits for a core with the chance `ρ^(√(2(m+1)) − 1)`
//! (Sakasegawa 1977, for queues of the type M/M/m), and then on average `s ÷ (m (1 − ρ))`, exponentially distributed,
//! `s` being the time on the core. From `ρ` = 1 on the queue grows by what comes too much, each request waits for the
//! whole of it, and callers leave it when their patience ends: then as many time out as come too much.
//!
//! # Fidelity
//! * Requests that are given up cost no CPU. Callers do not try again.
//! * Time on a core is taken as constant; waits are taken as independent of one another.
//! * CPU quotas are shared evenly over time: within a period of 100 ms nothing is throttled and released.

use crate::facts::traffic::Response;

impl Response {
    /// The mean of the square of the wait.
    fn square(&self) -> f64 {
        if self.chance <= 0.0 { 0.0 } else { 2.0 * self.wait * self.wait / self.chance }
    }

    /// With this mean and this mean square of the wait.
    fn of_moments(fixed: f64, wait: f64, square: f64) -> Self {
        let chance = if square > 0.0 { (2.0 * wait * wait / square).min(1.0) } else { 0.0 };
        Self { fixed, wait, chance }
    }

    /// Followed by another, `times` on average.
    #[must_use]
    pub fn then(self, other: Self, times: f64) -> Self {
        let variance = |r: Self| (r.square() - r.wait * r.wait).max(0.0);
        let wait = self.wait + times * other.wait;
        let variance = variance(self) + times * variance(other);
        Self::of_moments(self.fixed + times * other.fixed, wait, variance + wait * wait)
    }

    /// One of several, by weights.
    pub fn one_of(parts: impl Iterator<Item = (f64, Self)>) -> Self {
        let (mut total, mut fixed, mut wait, mut square) = (0.0, 0.0, 0.0, 0.0);
        for (weight, part) in parts {
            total += weight;
            fixed += weight * part.fixed;
            wait += weight * part.wait;
            square += weight * part.square();
        }
        if total <= 0.0 {
            return Self::default();
        }
        Self::of_moments(fixed / total, wait / total, square / total)
    }
}

/// A Pod that answers requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Server {
    /// Millicores that it may use for requests.
    pub cpu: f64,
    /// Millicore-seconds that a request costs.
    pub cost: f64,
    /// Seconds that a request waits for the outside.
    pub latency: f64,
}

/// What becomes of the requests that reach a Pod, as long as nothing changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Requests worked on per second.
    pub served: f64,
    /// Requests per second that are answered before their callers lose patience.
    pub answered: f64,
    /// Requests per second whose callers lose patience in the queue.
    pub timed_out: f64,
    /// By how many requests the queue grows per second.
    pub growth: f64,
    /// How long the answers take.
    pub response: Response,
    /// Seconds until this changes by itself; infinite if it does not.
    pub lasts: f64,
    /// Requests that it works on or that wait in its queue, now.
    pub in_flight: f64,
    /// Whether there is a queue, or one begins: only then it matters how long callers wait.
    pub crowded: bool,
}

/// Below so many requests a queue is empty.
const EMPTY: f64 = 1e-6;
/// The highest load at which the formula for the steady state is used.
const STEADY: f64 = 0.999;
/// A queue that grows or shrinks is looked at so often while a caller's patience lasts.
const LOOKS: f64 = 8.0;

/// What a Pod does with `arrivals` per second, `waiting` requests being in its queue, for callers who have `patience`
/// seconds for its queue and its work. Answers that come too late are for the caller to count.
pub fn flow(arrivals: f64, waiting: f64, server: Server, patience: f64) -> Flow {
    if server.cost <= 0.0 {
        return prompt(arrivals, Response { fixed: server.latency, ..Response::default() });
    }
    let capacity = server.cpu.max(0.0) / server.cost;
    if capacity <= 0.0 {
        let in_flight = arrivals * patience.max(0.0);
        return Flow {
            timed_out: arrivals,
            lasts: f64::INFINITY,
            in_flight,
            crowded: true,
            ..Flow::default()
        };
    }
    let on_core = server.cost / server.cpu.min(1000.0);
    let alone = on_core + server.latency;
    let load = arrivals / capacity;
    if waiting <= EMPTY && load <= STEADY {
        let cores = (server.cpu / 1000.0).max(1.0);
        let chance = libm::pow(load, libm::sqrt(2.0 * (cores + 1.0)) - 1.0);
        let wait = chance * on_core / (cores * (1.0 - load));
        return prompt(arrivals, Response { fixed: alone, wait, chance });
    }
    crowded(arrivals, waiting, capacity, (alone, patience))
}

/// All are worked on.
fn prompt(arrivals: f64, response: Response) -> Flow {
    let in_flight = arrivals * (response.fixed + response.wait);
    Flow {
        served: arrivals,
        answered: arrivals,
        response,
        lasts: f64::INFINITY,
        in_flight,
        ..Flow::default()
    }
}

/// There is a queue, or one begins.
fn crowded(arrivals: f64, waiting: f64, capacity: f64, (alone, patience): (f64, f64)) -> Flow {
    let longest = capacity * (patience - alone).max(0.0);
    let surplus = arrivals - capacity;
    let look = patience.max(0.1) / LOOKS;
    let (growth, timed_out, lasts) = if surplus > 0.0 && waiting >= longest - EMPTY {
        (0.0, surplus, f64::INFINITY)
    } else if surplus > 0.0 {
        (surplus, 0.0, ((longest - waiting) / surplus).min(look))
    } else if waiting > EMPTY && surplus < 0.0 {
        (surplus, 0.0, (waiting / -surplus).min(look))
    } else {
        (0.0, 0.0, f64::INFINITY)
    };
    let middle = if lasts.is_finite() { waiting + growth * lasts / 2.0 } else { waiting.min(longest) };
    let delay = middle.max(0.0) / capacity;
    let served = if waiting > EMPTY { capacity } else { capacity.min(arrivals) };
    let response = Response { fixed: alone + delay, ..Response::default() };
    let in_flight = waiting + served * alone;
    Flow { served, answered: served, timed_out, growth, response, lasts, in_flight, crowded: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, wanted: f64) -> bool {
        (got - wanted).abs() <= wanted.abs() * 1e-3 + 1e-9
    }

    #[test]
    fn one_core_waits_as_the_textbook_says() {
        // M/M/1 with a service of 10 ms and a load of one half: the mean wait is ρ s / (1 − ρ) = 10 ms.
        let server = Server { cpu: 1000.0, cost: 10.0, latency: 0.005 };
        let got = flow(50.0, 0.0, server, 10.0);
        assert!(near(got.response.fixed, 0.015) && near(got.response.wait, 0.010), "{got:?}");
        assert!(near(got.served, 50.0) && got.timed_out < 1e-9 && got.lasts.is_infinite());
    }

    #[test]
    fn less_than_a_core_makes_every_request_slower() {
        let server = Server { cpu: 250.0, cost: 10.0, latency: 0.0 };
        assert!(near(flow(0.0, 0.0, server, 10.0).response.fixed, 0.040));
        // A quarter of a core answers 25 requests per second and no more.
        assert!(near(flow(100.0, 250.0, server, 10.0).served, 25.0));
    }

    #[test]
    fn more_cores_wait_less_at_the_same_load() {
        let wait = |cores: f64| {
            let server = Server { cpu: cores * 1000.0, cost: 10.0, latency: 0.0 };
            flow(80.0 * cores, 0.0, server, 10.0).response.wait
        };
        assert!(wait(1.0) > 2.0 * wait(2.0) && wait(2.0) > 2.0 * wait(4.0));
    }

    #[test]
    fn a_queue_grows_by_the_surplus_until_patience_ends() {
        let server = Server { cpu: 1000.0, cost: 10.0, latency: 0.0 };
        let start = flow(150.0, 0.0, server, 2.0);
        assert!(near(start.served, 100.0) && near(start.growth, 50.0) && near(start.lasts, 0.25));
        assert!(start.timed_out < 1e-9);
        // A caller waits two seconds at most, 10 ms of which are work: 199 requests wait at most.
        let full = flow(150.0, 199.0, server, 2.0);
        assert!(near(full.timed_out, 50.0) && full.growth == 0.0 && full.lasts.is_infinite());
        assert!(near(full.response.fixed, 2.0));
        // The peak is over: the queue empties by what is left of the capacity.
        let after = flow(60.0, 10.0, server, 2.0);
        assert!(near(after.served, 100.0) && near(after.growth, -40.0) && near(after.lasts, 0.25));
    }

    #[test]
    fn nothing_is_answered_without_cpu() {
        let server = Server { cpu: 0.0, cost: 10.0, latency: 0.0 };
        assert!(near(flow(7.0, 0.0, server, 1.0).timed_out, 7.0));
    }

    #[test]
    fn requests_without_cost_only_wait_for_the_outside() {
        let server = Server { cpu: 0.0, cost: 0.0, latency: 0.2 };
        let got = flow(1e6, 0.0, server, 1.0);
        assert!(near(got.served, 1e6) && near(got.response.fixed, 0.2));
    }

    #[test]
    fn times_add_up_along_calls_and_mix_over_pods() {
        let a = Response { fixed: 0.010, wait: 0.004, chance: 0.5 };
        let b = Response { fixed: 0.020, wait: 0.006, chance: 1.0 };
        let both = a.then(b, 2.0);
        assert!(near(both.fixed, 0.050) && near(both.wait, 0.016));
        let mixed = Response::one_of([(1.0, a), (3.0, b)].into_iter());
        assert!(near(mixed.fixed, 0.0175) && near(mixed.wait, 0.0055));
        assert_eq!(Response::one_of(std::iter::empty()), Response::default());
        assert!(near(b.beyond(0.026), libm::exp(-1.0)) && a.beyond(0.001) == 1.0);
    }
}
