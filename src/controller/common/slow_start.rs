//! Many API calls in batches that double while all goes well.
//!
//! Upstream: `slowStartBatch` in `pkg/controller/replicaset/replica_set.go`, v1.34. There a worker blocks while its
//! client waits for the rate limit; here the work stops, and goes on from where it was when asked again.

use crate::base::SimDuration;
use crate::controller::Ctx;
use crate::store::ApiError;

/// How far the work has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All calls succeeded.
    Done,
    /// The client's rate limit is reached; to be continued after this time.
    Wait(SimDuration),
    /// A call of the last batch failed (the first to do so); later batches are skipped.
    Failed(ApiError),
}

/// Calls to be made.
#[derive(Clone, Debug)]
pub struct SlowStart {
    /// Calls made.
    made: usize,
    /// Calls left in all.
    left: usize,
    /// The size of the present batch.
    batch: usize,
    /// Calls left in it.
    left_in_batch: usize,
    failure: Option<ApiError>,
}

impl SlowStart {
    /// `count` calls, the first batch being of one.
    pub fn new(count: usize) -> Self {
        let first = count.min(1);
        Self { made: 0, left: count, batch: first, left_in_batch: first, failure: None }
    }

    /// `count` calls in one batch.
    pub const fn at_once(count: usize) -> Self {
        Self { made: 0, left: count, batch: count, left_in_batch: count, failure: None }
    }

    /// Makes calls until all are made, a batch fails or the rate limit is reached. `call` gets the call's number.
    /// One call at least is made each time, so that work goes on under any limit.
    pub fn run(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut call: impl FnMut(&mut Ctx<'_>, usize) -> Result<(), ApiError>,
    ) -> Progress {
        let mut first = true;
        while self.left > 0 {
            if self.left_in_batch == 0 {
                if let Some(failure) = self.failure.take() {
                    return Progress::Failed(failure);
                }
                self.batch = (self.batch * 2).min(self.left);
                self.left_in_batch = self.batch;
            }
            let wait = ctx.throttled();
            if !wait.is_zero() && !first {
                return Progress::Wait(wait);
            }
            first = false;
            let result = call(ctx, self.made);
            self.made += 1;
            self.left -= 1;
            self.left_in_batch -= 1;
            if let Err(error) = result {
                self.failure.get_or_insert(error);
            }
        }
        self.failure.take().map_or(Progress::Done, Progress::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::ApiBudget;
    use crate::testkit;

    /// Numbers of the calls made, the failing one given, under a rate limit.
    fn run(count: usize, failing: Option<usize>, burst: u32) -> (Vec<usize>, Progress) {
        let mut store = testkit::store();
        let mut budget = ApiBudget::new(20.0, burst);
        let mut ctx = Ctx::new(&mut store, &mut budget, "test".into());
        let mut calls = Vec::new();
        let progress = SlowStart::new(count).run(&mut ctx, |ctx, number| {
            calls.push(number);
            ctx.create(testkit::config_map(&format!("c{number}")))?;
            if failing == Some(number) { Err(ApiError::Internal("no".into())) } else { Ok(()) }
        });
        (calls, progress)
    }

    /// Facts §2.2: 1, 2, 4 ...; §13.19.
    #[test]
    fn a_failing_batch_is_finished_and_later_ones_are_skipped() {
        let failed = Progress::Failed(ApiError::Internal("no".into()));
        assert_eq!(run(10, Some(0), 99), (vec![0], failed.clone()));
        assert_eq!(run(10, Some(1), 99), (vec![0, 1, 2], failed.clone()));
        assert_eq!(run(10, Some(4), 99), ((0..7).collect(), failed.clone()));
        assert_eq!(run(10, Some(9), 99), ((0..10).collect(), failed));
        assert_eq!(run(10, None, 99), ((0..10).collect(), Progress::Done));
        assert_eq!(run(0, None, 99), (vec![], Progress::Done));
    }

    #[test]
    fn the_rate_limit_interrupts() {
        let (calls, progress) = run(10, None, 5);
        assert_eq!(calls.len(), 5);
        assert_eq!(progress, Progress::Wait(SimDuration::from_millis(50)));
    }
}
