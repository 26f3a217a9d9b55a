//! Memory and disk that containers and nodes use: amounts that change evenly, so that the instants at which
//! they matter can be worked out.

use crate::base::{SimDuration, SimTime};

/// Bytes in use: from an instant on they change evenly, until they stand still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    from: SimTime,
    value: i64,
    per_second: i64,
    /// When it stands still, and at which value.
    stop: Option<(SimTime, i64)>,
}

/// What a container uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Memory in use while it runs, whatever it answers.
    pub memory: Level,
    /// Memory of the requests that it works on.
    pub in_flight: Level,
    /// Bytes of each of them.
    pub per_request: i64,
    /// Disk it has written: its own layer and its logs, which go with the Pod.
    pub disk: Level,
    /// Processes while it runs.
    pub pids: Level,
}

impl Uses {
    /// Nothing of anything.
    pub const NOTHING: Self = {
        let level = Level::growing(SimTime::ZERO, 0, 0);
        Self { memory: level, in_flight: level, per_request: 0, disk: level, pids: level }
    };

    /// Whether nothing is used, now and later.
    pub const fn is_nothing(&self) -> bool {
        self.memory.is_nothing()
            && self.in_flight.is_nothing()
            && self.disk.is_nothing()
            && self.pids.is_nothing()
    }
}

impl Level {
    /// So many bytes from `from` on, and so many more every second.
    pub const fn growing(from: SimTime, value: i64, per_second: i64) -> Self {
        Self { from, value, per_second, stop: None }
    }

    /// From the present value evenly to another.
    pub fn fill(&self, now: SimTime, target: i64, over: SimDuration) -> Self {
        let (value, millis) = (self.at(now), i64::try_from(over.as_millis()).unwrap_or(i64::MAX));
        if millis == 0 {
            return Self::growing(now, target, 0);
        }
        let rate = i128::from(target - value) * 1000 / i128::from(millis);
        let per_second = i64::try_from(rate).unwrap_or(i64::MAX);
        Self { from: now, value, per_second, stop: Some((now + over, target)) }
    }

    /// The bytes in use at `now`.
    pub fn at(&self, now: SimTime) -> i64 {
        if let Some((at, value)) = self.stop
            && now >= at
        {
            return value;
        }
        let grown = i128::from(self.per_second) * i128::from(now.since(self.from).as_nanos()) / 1_000_000_000;
        self.value.saturating_add(i64::try_from(grown).unwrap_or(i64::MAX)).max(0)
    }

    /// How it changes after `now`, in bytes per second.
    fn slope(&self, now: SimTime) -> i64 {
        if self.stop.is_some_and(|(at, _)| now >= at) { 0 } else { self.per_second }
    }

    /// Whether nothing is used, now and later.
    pub const fn is_nothing(&self) -> bool {
        self.value == 0 && self.per_second == 0 && self.stop.is_none()
    }
}

/// The first instant from `now` on at which the sum of `levels` is above `limit`; none if that never comes.
pub fn first_above(levels: &[Level], limit: i64, now: SimTime) -> Option<SimTime> {
    let mut at = now;
    loop {
        let sum: i128 = levels.iter().map(|l| i128::from(l.at(at))).sum();
        let room = i128::from(limit) - sum;
        if room < 0 {
            return Some(at);
        }
        let slope: i128 = levels.iter().map(|l| i128::from(l.slope(at))).sum();
        let next = levels.iter().filter_map(|l| l.stop).map(|(stop, _)| stop).filter(|stop| *stop > at).min();
        if slope > 0 {
            let nanos = (room + 1) * 1_000_000_000 / slope + 1;
            let crossing = u64::try_from(nanos).ok().map(|nanos| at + SimDuration::from_nanos(nanos));
            if let Some(crossing) = crossing.filter(|c| next.is_none_or(|next| *c <= next)) {
                return Some(crossing);
            }
        }
        at = next?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_change_evenly_and_cross_limits() {
        let s = SimTime::from_secs;
        let leak = Level::growing(s(10), 100, 5);
        assert_eq!([0, 10, 20].map(|t| leak.at(s(t))), [100, 100, 150]);
        assert_eq!(first_above(&[leak], 149, s(10)).map(SimTime::as_secs), Some(20));
        assert_eq!(first_above(&[leak], 99, s(12)), Some(s(12)));
        assert_eq!(first_above(&[Level::growing(s(0), 7, 0)], 7, s(0)), None);
        let filled = leak.fill(s(20), 250, SimDuration::from_secs(10));
        assert_eq!([20, 25, 30, 99].map(|t| filled.at(s(t))), [150, 200, 250, 250]);
        assert_eq!(first_above(&[filled], 250, s(20)), None);
        // Two together: 150 and rising by 10 until 30, beside one that stands.
        let stands = Level::growing(s(0), 100, 0);
        assert_eq!(first_above(&[filled, stands], 299, s(20)).map(SimTime::as_secs), Some(25));
    }
}
