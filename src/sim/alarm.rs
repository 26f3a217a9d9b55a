//! When somebody is due next, so that an event is queued for it once.

use crate::base::SimTime;

/// The instant for which an event is queued, if one is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarm(Option<SimTime>);

impl Alarm {
    /// Sets it to `at`. False if it goes off no later anyway, and no event has to be queued.
    pub(super) fn set(&mut self, at: SimTime, now: SimTime) -> bool {
        let sets = self.0.is_none_or(|due| at < due || due < now);
        if sets {
            self.0 = Some(at);
        }
        sets
    }

    /// An event that it was set for is handled at `now`. One that was set later than that stays.
    pub(super) fn went_off(&mut self, now: SimTime) {
        self.0 = self.0.filter(|due| *due > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_is_queued_for_an_instant_and_another_only_for_an_earlier_one() {
        let s = SimTime::from_secs;
        let mut alarm = Alarm::default();
        assert_eq!([s(10), s(10), s(20), s(5)].map(|at| alarm.set(at, s(0))), [true, false, false, true]);
        alarm.went_off(s(4));
        assert!(!alarm.set(s(5), s(4)));
        alarm.went_off(s(5));
        assert!(alarm.set(s(20), s(5)));
    }
}
