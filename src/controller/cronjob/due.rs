//! Which time of a schedule is due, and when the next one is.
//!
//! Upstream: `mostRecentScheduleTime`, `nextScheduleTimeDuration` in `pkg/controller/cronjob/utils.go`, v1.34.

use crate::api::cron::{Schedule, Zone};
use crate::api::workload::CronJob;
use crate::base::time::Calendar;
use crate::base::{SimDuration, SimTime, Str, Timestamp};

/// The sync comes a little after the time, so that the clocks of several machines agree that it has come.
const DELTA: SimDuration = SimDuration::from_millis(100);
/// Missed times from which on it is said that there were too many.
const MISSED_MAX: i64 = 100;

/// A schedule in its time zone.
#[derive(Clone, Debug)]
pub(super) struct Clockwork {
    schedule: Schedule,
    pub(super) zone: Zone,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// The time from which on times count.
    earliest: Timestamp,
    /// The last time that has come; none if none has.
    pub recent: Option<Timestamp>,
    /// Times that have come, roughly.
    missed: i64,
}

impl Due {
    /// Whether there were so many that something must be wrong.
    pub(super) const fn too_many(&self) -> bool {
        self.missed > MISSED_MAX
    }
}

impl Clockwork {
    /// # Errors
    /// The schedule or the time zone cannot be read.
    pub(super) fn of(cron_job: &CronJob) -> Result<Self, Str> {
        let zone = cron_job.time_zone.as_deref().unwrap_or_default();
        let zone = Zone::find(zone).map_err(Str::from)?;
        let schedule = Schedule::parse(&cron_job.schedule).map_err(Str::from)?;
        Ok(Self { schedule, zone })
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        self.schedule.next(after, &self.zone)
    }

    /// What is due at `now`; with `deadline`, only times that may still be started.
    ///
    /// # Errors
    /// The schedule makes no sense, like the 31st of February.
    pub(super) fn due(&self, cron_job: &CronJob, now: Timestamp, deadline: bool) -> Result<Due, String> {
        let mut earliest = cron_job.last_schedule_time.or(cron_job.meta.created).unwrap_or(now);
        if let Some(seconds) = cron_job.starting_deadline_seconds.filter(|_| deadline) {
            earliest = earliest.max(now.plus_secs(seconds.saturating_neg()));
        }
        let nonsense = || "time difference between two schedules is less than 1 second".to_owned();
        let first = self.next(earliest).ok_or_else(nonsense)?;
        if now < first {
            return Ok(Due { earliest, recent: None, missed: 0 });
        }
        let second = self.next(first).ok_or_else(nonsense)?;
        if now < second {
            return Ok(Due { earliest, recent: Some(first), missed: 0 });
        }
        let between = second.secs_since(first).max(1);
        let missed = now.secs_since(first) / between + 1;
        // One interval before the last time that a regular schedule would have; from there it is looked for.
        let mut recent = None;
        let mut next = self.next(first.plus_secs((missed - 2).saturating_mul(between)));
        while let Some(time) = next.filter(|time| *time <= now) {
            recent = Some(time);
            next = self.next(time);
        }
        Ok(Due { earliest, recent, missed })
    }

    /// How long until the next time; none if there is none.
    pub(super) fn wait(&self, cron_job: &CronJob, now: SimTime, calendar: Calendar) -> Option<SimDuration> {
        let seconds = calendar.timestamp(now);
        let from = match self.due(cron_job, seconds, false) {
            Err(_) => seconds,
            Ok(due) => due.recent.unwrap_or(if due.missed == 0 { due.earliest } else { seconds }),
        };
        let next = self.next(from)?;
        Some((calendar.instant(next) + DELTA).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::cronjob::tests::cron_job;
    use crate::testkit;

    fn minutes(n: i64) -> Timestamp {
        testkit::calendar().start.plus_secs(n * 60)
    }

    /// Facts §4.3: missed times; §13.27.
    #[test]
    fn the_last_missed_time_is_due() {
        for (schedule, deadline, now, recent, too_many) in [
            ("* * * * *", None, 0, None, false),
            ("* * * * *", None, 1, Some(1), false),
            ("* * * * *", None, 7, Some(7), false),
            ("*/5 * * * *", None, 13, Some(10), false),
            ("* * * * *", None, 101, Some(101), true),
            ("* * * * *", Some(200), 101, Some(101), false),
            ("0 0 31 2 *", None, 5, None, false),
        ] {
            let mut job = cron_job(schedule);
            job.meta.created = Some(minutes(0));
            job.starting_deadline_seconds = deadline;
            let due = Clockwork::of(&job).unwrap().due(&job, minutes(now), true);
            let (found, many) = due.map_or((None, false), |d| (d.recent, d.too_many()));
            assert_eq!((found, many), (recent.map(minutes), too_many), "{schedule} {now}");
        }
    }

    /// Facts §4.3: 100 ms.
    #[test]
    fn the_next_look_comes_a_tenth_of_a_second_after_the_time() {
        let mut job = cron_job("* * * * *");
        job.meta.created = Some(minutes(0));
        let clockwork = Clockwork::of(&job).unwrap();
        let wait = |job: &CronJob, now| clockwork.wait(job, SimTime::from_secs(now), testkit::calendar());
        assert_eq!(wait(&job, 20), Some(SimDuration::from_millis(40_100)));
        job.last_schedule_time = Some(minutes(1));
        assert_eq!(wait(&job, 70), Some(SimDuration::from_millis(50_100)));
        job.last_schedule_time = None;
        assert_eq!(wait(&job, 150), Some(SimDuration::from_millis(30_100)), "after the missed one");
    }
}
