//! A watcher's connection to the API server.

use super::latency::Delay;
use crate::base::SimTime;
use crate::kernel::Seed;

/// When a component that watches hears of what was written: after the latency `watch`, in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    delay: Delay,
    last: SimTime,
}

impl Watch {
    /// A connection that takes so long.
    pub const fn new(delay: Delay) -> Self {
        Self { delay, last: SimTime::ZERO }
    }

    /// When the write of this revision is heard of, if it was written now. All who watch hear of it at the same time.
    pub fn heard(&mut self, written: SimTime, revision: u64, seed: Seed) -> SimTime {
        let takes = self.delay.draw(|| seed.stream_of("watch", &[&revision.to_le_bytes()]));
        self.last = self.last.max(written + takes);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SimDuration;

    #[test]
    fn a_constant_delay_is_added_and_a_random_one_never_changes_the_order() {
        let mut constant = Watch::new(Delay::millis(4));
        assert_eq!(constant.heard(SimTime::from_secs(1), 1, Seed(1)).as_nanos(), 1_004_000_000);
        let span = Delay::Uniform { min: SimDuration::ZERO, max: SimDuration::from_secs(1) };
        let (mut here, mut there) = (Watch::new(span), Watch::new(span));
        let mut before = SimTime::ZERO;
        for revision in 0..100 {
            let written = SimTime::from_nanos(revision * 10_000_000);
            let heard = here.heard(written, revision, Seed(1));
            assert!(heard >= written && heard >= before, "revision {revision}");
            assert_eq!(heard, there.heard(written, revision, Seed(1)), "everybody hears it at once");
            before = heard;
        }
    }
}
