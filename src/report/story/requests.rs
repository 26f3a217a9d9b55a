//! What is told of requests: that they fail, for how long, and why.

use super::{Beat, Narrator, Sort};
use crate::base::{SimDuration, SimTime, Str};
use crate::expect::traffic;
use crate::facts::traffic::{Failure, Interval, Meter};

/// Requests fail when more than this part of them does.
const FAILING: f64 = 1e-4;
/// Spans of failing requests that lie closer together than this are told as one.
const TROUBLE_GAP: SimDuration = SimDuration::from_secs(30);

/// A span in which requests to a service fail.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    name: Str,
    from: SimTime,
    to: SimTime,
    meter: Meter,
}

impl Narrator {
    /// Requests that fail are told of once they succeed again.
    pub(super) fn requests(&mut self, interval: &Interval) {
        if 1.0 - interval.rates.success() > FAILING {
            let trouble = self.troubles.entry(interval.service).or_insert_with(|| Trouble {
                name: interval.name.clone(),
                from: interval.from,
                to: interval.to,
                meter: Meter::default(),
            });
            trouble.to = interval.to;
            trouble.meter.count(interval, SimTime::ZERO, SimTime::MAX);
        } else if let Some(trouble) = self.troubles.get_mut(&interval.service) {
            if interval.to.since(trouble.to) > TROUBLE_GAP {
                let over = self.troubles.remove(&interval.service);
                over.into_iter().for_each(|trouble| self.tell_trouble(trouble));
            } else {
                trouble.meter.count(interval, SimTime::ZERO, SimTime::MAX);
            }
        }
    }

    pub(super) fn tell_trouble(&mut self, trouble: Trouble) {
        let Trouble { name, from, to, meter } = trouble;
        let failed = traffic::whole(meter.failures());
        if failed == 0 {
            return;
        }
        let mut whys: Vec<(Failure, i64)> =
            Failure::ALL.into_iter().map(|why| (why, traffic::whole(meter.failed[why as usize]))).collect();
        whys.retain(|(_, count)| *count > 0);
        whys.sort_by_key(|(_, count)| -count);
        let whys: Vec<String> = whys.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
        let span = short_span(to.since(from));
        let text = format!(
            "requests to {name} fail for {span}: {failed} of {} ({})",
            traffic::whole(meter.offered),
            whys.join(", ")
        );
        self.beats.push(Beat { until: to, ..Beat::new(from, Sort::Requests, Vec::new(), text) });
    }
}

/// A span without needless digits: tenths of a second.
fn short_span(span: SimDuration) -> SimDuration {
    SimDuration::from_millis(span.as_millis() / 100 * 100)
}
