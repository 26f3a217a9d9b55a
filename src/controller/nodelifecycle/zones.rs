//! Zones: how disrupted each is, and how fast its nodes are tainted `NoExecute`.
//!
//! Upstream: `pkg/controller/nodelifecycle/scheduler/rate_limited_queue.go` and `handleDisruption` of
//! `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, v1.34.
//!
//! # Fidelity
//! Upstream puts a waiting node anew into its queue in every pass, so that the order among waiting nodes is
//! that of its parallel workers. Here the first marked stays first.

use std::collections::{BTreeMap, VecDeque};

use crate::api::Node;
use crate::base::{SimDuration, SimTime, Str};
use crate::params::settings::ControllerManager;
use crate::store::census::{Census, ZoneKey, zone_key};

/// How disrupted a zone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZoneState {
    /// Never judged.
    Initial,
    /// Most nodes are ready.
    Normal,
    /// Many are not.
    Partial,
    /// None is.
    Full,
}

/// Rates and thresholds.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Nodes per second in a healthy zone.
    normal: f64,
    /// Nodes per second in a large disrupted zone.
    secondary: f64,
    /// Up to this size a disrupted zone is not tainted at all.
    large: usize,
    /// Share of not-ready nodes that makes a zone disrupted. Upstream: float32.
    threshold: f32,
}

impl Rates {
    /// From the flags.
    pub fn new(flags: &ControllerManager) -> Self {
        Self {
            normal: flags.node_eviction_rate,
            secondary: flags.secondary_node_eviction_rate,
            large: usize::try_from(flags.large_cluster_size_threshold).unwrap_or(0),
            threshold: flags.unhealthy_zone_threshold as f32,
        }
    }

    fn state(&self, census: Census) -> ZoneState {
        let Census { ready, not_ready } = census;
        if ready == 0 && not_ready > 0 {
            ZoneState::Full
        } else if not_ready > 2 && not_ready as f32 / (not_ready + ready) as f32 >= self.threshold {
            ZoneState::Partial
        } else {
            ZoneState::Normal
        }
    }

    fn of(&self, state: ZoneState, size: usize) -> f64 {
        match state {
            ZoneState::Initial | ZoneState::Normal | ZoneState::Full => self.normal,
            ZoneState::Partial if size > self.large => self.secondary,
            ZoneState::Partial => 0.0,
        }
    }
}

/// A queue of nodes to taint, behind a token bucket with one token.
#[derive(Clone, Debug)]
struct Zone {
    state: ZoneState,
    /// Nodes per second; zero: none.
    rate: f64,
    /// When the next token is there.
    token: SimTime,
    queue: VecDeque<Str>,
    /// When the next node may leave the queue at the earliest, by the marking.
    marked: SimTime,
}

impl Zone {
    fn new(rates: &Rates, now: SimTime) -> Self {
        Self {
            state: ZoneState::Initial,
            rate: rates.normal,
            token: now,
            queue: VecDeque::new(),
            marked: now,
        }
    }

    fn interval(rate: f64) -> SimDuration {
        // Upstream: float32 tokens per second; the clock gets whole nanoseconds.
        SimDuration::from_nanos(if rate > 0.0 { (1e9 / rate) as u64 } else { 0 })
    }

    /// Changes the rate; a bucket that was empty stays empty.
    fn swap_rate(&mut self, rate: f64, now: SimTime) {
        #[allow(clippy::float_cmp, reason = "both come from the same flags, unchanged")]
        if self.rate == rate {
            return;
        }
        let drained = self.rate <= 0.0 || self.token > now;
        self.token = if drained { now + Self::interval(rate) } else { now };
        self.rate = rate;
    }

    /// When a node can leave the queue.
    fn next(&self) -> Option<SimTime> {
        (!self.queue.is_empty() && self.rate > 0.0).then(|| self.token.max(self.marked))
    }
}

/// What a pass found out about the cluster as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// Nothing that concerns all zones.
    Partial,
    /// Every zone has lost all nodes: probably it is the control plane that is cut off.
    Entered,
    /// Some node is ready again.
    Left,
}

/// All zones.
#[derive(Clone, Debug)]
pub struct Zones {
    rates: Rates,
    zones: BTreeMap<ZoneKey, Zone>,
}

impl Zones {
    /// No zones yet.
    pub fn new(rates: Rates) -> Self {
        Self { rates, zones: BTreeMap::new() }
    }

    /// Makes a place for the zone of a node.
    pub fn ensure(&mut self, node: &Node, now: SimTime) {
        let rates = self.rates;
        self.zones.entry(zone_key(node)).or_insert_with(|| Zone::new(&rates, now));
    }

    /// Puts a node into the queue of its zone, if it is not there.
    pub fn mark(&mut self, node: &Node, now: SimTime) {
        self.ensure(node, now);
        if let Some(zone) = self.zones.get_mut(&zone_key(node))
            && !zone.queue.contains(&node.meta.name)
        {
            // The tainting loop runs beside the pass and takes the node up at its next turn.
            zone.marked = zone.marked.max(now + SimDuration::from_nanos(1));
            zone.queue.push_back(node.meta.name.clone());
        }
    }

    /// Takes a node out of whatever queue it is in.
    pub fn unmark(&mut self, name: &str) {
        self.zones.values_mut().for_each(|zone| zone.queue.retain(|n| n != name));
    }

    /// When the next node can leave a queue.
    pub fn next(&self) -> Option<SimTime> {
        self.zones.values().filter_map(Zone::next).min()
    }

    /// A node whose turn it is; it costs its zone a token. Of several zones that have one the lowest rank goes
    /// first: upstream takes them in the order of a map, which is none.
    pub fn take(&mut self, now: SimTime, rank: impl Fn(&ZoneKey) -> u64) -> Option<Str> {
        let due = self.zones.iter_mut().filter(|(_, z)| z.next().is_some_and(|at| at <= now));
        let (_, zone) = due.min_by_key(|(key, _)| rank(key))?;
        zone.token = now + Zone::interval(zone.rate);
        zone.queue.pop_front()
    }

    /// Judges all zones anew and sets their rates.
    pub fn judge(&mut self, census: &BTreeMap<ZoneKey, Census>, now: SimTime) -> Disruption {
        let rates = self.rates;
        for key in census.keys() {
            self.zones.entry(key.clone()).or_insert_with(|| Zone::new(&rates, now));
        }
        self.zones.retain(|key, _| census.contains_key(key));
        let all_full = census.values().all(|c| rates.state(*c) == ZoneState::Full);
        let was_full = self.zones.values().all(|z| z.state == ZoneState::Full);
        if all_full && was_full {
            return Disruption::Partial;
        }
        if all_full {
            for zone in self.zones.values_mut() {
                zone.swap_rate(0.0, now);
                zone.state = ZoneState::Full;
            }
            return Disruption::Entered;
        }
        for (key, zone) in &mut self.zones {
            let count = census.get(key).copied().unwrap_or_default();
            let state = rates.state(count);
            if was_full || state != zone.state {
                zone.swap_rate(rates.of(state, count.all()), now);
                zone.state = state;
            }
        }
        if was_full { Disruption::Left } else { Disruption::Partial }
    }

    /// The state of a zone, for tests.
    #[cfg(test)]
    pub fn state(&self, key: &ZoneKey) -> Option<ZoneState> {
        self.zones.get(key).map(|z| z.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Meta;
    use crate::api::node::ZONE_LABEL;

    fn rates() -> Rates {
        Rates::new(&ControllerManager::default())
    }

    fn node(name: &str, zone: &str) -> Node {
        let mut node = Node { meta: Meta::named("", name), ..Node::default() };
        node.meta.labels = [(ZONE_LABEL, zone)].into_iter().collect();
        node
    }

    fn census(counts: &[(&'static str, usize, usize)]) -> BTreeMap<ZoneKey, Census> {
        counts
            .iter()
            .map(|(zone, ready, not_ready)| {
                ((Str::new(), Str::from(*zone)), Census { ready: *ready, not_ready: *not_ready })
            })
            .collect()
    }

    /// §6.1, §6.6, §13.4.
    #[test]
    fn a_zone_is_judged_by_upstream_s_thresholds() {
        for (ready, not_ready, expected) in [
            (0, 1, ZoneState::Full),
            (0, 0, ZoneState::Normal),
            (1, 2, ZoneState::Normal),
            (2, 3, ZoneState::Partial),
            (3, 3, ZoneState::Normal),
            (9, 11, ZoneState::Partial),
        ] {
            assert_eq!(rates().state(Census { ready, not_ready }), expected, "{ready}/{not_ready}");
        }
        assert!(rates().of(ZoneState::Partial, 50) <= 0.0);
        assert!(rates().of(ZoneState::Partial, 51) > 0.0);
    }

    /// §6.1, §6.4: tainting goes by the order of marking, one node at once and then one in ten seconds in each zone.
    #[test]
    fn the_first_node_of_a_zone_is_free_and_the_next_waits_ten_seconds() {
        let (mut zones, s) = (Zones::new(rates()), SimTime::from_secs);
        zones.mark(&node("a1", "a"), s(50));
        zones.mark(&node("a2", "a"), s(50));
        zones.mark(&node("a2", "a"), s(50));
        zones.mark(&node("b1", "b"), s(50));
        let all =
            |zones: &mut Zones, now| std::iter::from_fn(|| zones.take(s(now), |_| 0)).collect::<Vec<Str>>();
        assert!(all(&mut zones, 50).is_empty(), "not in the pass itself");
        assert_eq!(all(&mut zones, 51), ["a1", "b1"]);
        assert_eq!(zones.next(), Some(s(61)));
        assert!(all(&mut zones, 60).is_empty());
        assert_eq!(all(&mut zones, 61), ["a2"]);
        assert_eq!(zones.next(), None);
    }

    /// §6.6.
    #[test]
    fn full_disruption_of_all_zones_stops_everything_and_leaving_it_starts_drained() {
        let (mut zones, s) = (Zones::new(rates()), SimTime::from_secs);
        zones.mark(&node("a1", "a"), s(50));
        assert_eq!(zones.judge(&census(&[("a", 0, 2), ("b", 0, 1)]), s(50)), Disruption::Entered);
        assert_eq!(zones.next(), None);
        assert_eq!(zones.judge(&census(&[("a", 0, 2), ("b", 0, 1)]), s(55)), Disruption::Partial);
        assert_eq!(zones.judge(&census(&[("a", 0, 2), ("b", 1, 0)]), s(60)), Disruption::Left);
        assert_eq!(zones.next(), Some(s(70)));
    }

    /// §6.6.
    #[test]
    fn one_zone_fully_lost_keeps_the_normal_rate() {
        let (mut zones, s) = (Zones::new(rates()), SimTime::from_secs);
        zones.mark(&node("a1", "a"), s(50));
        assert_eq!(zones.judge(&census(&[("a", 0, 2), ("b", 1, 0)]), s(50)), Disruption::Partial);
        assert_eq!(zones.state(&(Str::new(), "a".into())), Some(ZoneState::Full));
        assert_eq!(zones.take(s(51), |_| 0).as_deref(), Some("a1"));
    }

    /// §6.6, §13.4.
    #[test]
    fn a_small_disrupted_zone_is_left_alone() {
        let (mut zones, s) = (Zones::new(rates()), SimTime::from_secs);
        zones.mark(&node("a1", "a"), s(50));
        zones.judge(&census(&[("a", 2, 3)]), s(50));
        assert_eq!(zones.next(), None);
        zones.judge(&census(&[("a", 3, 2)]), s(55));
        assert_eq!(zones.next(), Some(s(65)), "the bucket starts empty");
    }
}
