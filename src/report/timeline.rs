//! The timeline of a run: a line of JSON per change of an object, so that it can be laid beside a recording
//! of a real control plane. Times are seconds since the start, inside objects too.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::api::{Object, raise};
use crate::base::time::Calendar;
use crate::base::{SimTime, Timestamp};
use crate::facts::traffic::Failure;
use crate::facts::{Fact, Recorder};
use crate::store::{Change, Verb};

/// Writes a timeline while a run goes on.
pub struct Timeline<W: Write> {
    out: W,
    calendar: Calendar,
    error: Option<io::Error>,
}

impl<W: Write> Timeline<W> {
    /// Begins a timeline of a run with this calendar.
    pub fn new(out: W, calendar: Calendar, scenario: &str) -> Self {
        let mut timeline = Self { out, calendar, error: None };
        timeline.line(&json!({
            "type": "meta", "t": 0, "scenario": scenario, "wavetank": env!("CARGO_PKG_VERSION"),
        }));
        timeline
    }

    /// Ends the timeline.
    ///
    /// # Errors
    /// The first error of any write.
    pub fn finish(mut self, end: SimTime) -> io::Result<W> {
        self.line(&json!({"type": "end", "t": end.as_secs_f64()}));
        match self.error {
            Some(error) => Err(error),
            None => self.out.flush().map(|()| self.out),
        }
    }

    fn line(&mut self, value: &Value) {
        if self.error.is_none()
            && let Err(error) = writeln!(self.out, "{value}")
        {
            self.error = Some(error);
        }
    }

    fn change(&mut self, change: &Change) {
        let event = match change.verb {
            Verb::Added => "ADDED",
            Verb::Modified => "MODIFIED",
            Verb::Deleted => "DELETED",
        };
        let meta = change.object().meta();
        let mut line = Map::new();
        line.insert("type".into(), "object".into());
        line.insert("t".into(), change.at.as_secs_f64().into());
        line.insert("ev".into(), event.into());
        line.insert("kind".into(), change.object().kind_name().as_str().into());
        if !meta.namespace.is_empty() {
            line.insert("namespace".into(), meta.namespace.as_str().into());
        }
        line.insert("name".into(), meta.name.as_str().into());
        line.insert("rv".into(), change.revision.to_string().into());
        line.insert("obj".into(), self.object(change.object()));
        self.line(&Value::Object(line));
    }

    fn object(&self, object: &Object) -> Value {
        let mut json = raise::to_json(object);
        self.relative_times(&mut json);
        json
    }

    /// Replaces RFC 3339 times in fields that hold times by seconds since the start.
    fn relative_times(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.relative_times(item)),
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    let is_time =
                        name.ends_with("Time") || name.ends_with("Timestamp") || name == "timeAdded";
                    match field {
                        Value::String(text) if is_time => {
                            if let Some(at) = Timestamp::parse_rfc3339(text) {
                                *field = at.secs_since(self.calendar.start).into();
                            }
                        }
                        other => self.relative_times(other),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

impl<W: Write> Recorder for Timeline<W> {
    fn record(&mut self, fact: &Fact) {
        match fact {
            Fact::Changed(change) => self.change(change),
            Fact::Action { at, verb, summary, last_lease_renewal } => {
                let mut line = json!({
                    "type": "action", "t": at.as_secs_f64(), "do": verb.as_str(), "summary": summary.as_str(),
                });
                if !last_lease_renewal.is_empty() {
                    let renewals: Map<String, Value> = last_lease_renewal
                        .iter()
                        .map(|(node, at)| (node.to_string(), at.as_secs_f64().into()))
                        .collect();
                    line["nodes"] =
                        last_lease_renewal.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>().into();
                    line["lastLeaseRenewal"] = Value::Object(renewals);
                }
                self.line(&line);
            }
            Fact::Traffic(interval) => {
                let rates = &interval.rates;
                let failed: Map<String, Value> = Failure::ALL
                    .iter()
                    .filter(|why| rates.failed[**why as usize] > 0.0)
                    .map(|why| (why.as_str().to_owned(), rates.failed[*why as usize].into()))
                    .collect();
                self.line(&json!({
                    "type": "traffic", "t": interval.from.as_secs_f64(), "until": interval.to.as_secs_f64(),
                    "service": interval.name.as_str(), "offered": rates.offered,
                    "succeeded": rates.succeeded, "failed": failed,
                    "seconds": rates.response.fixed + rates.response.wait,
                }));
            }
            Fact::Refused { at, verb, message } => {
                self.line(&json!({
                    "type": "refused", "t": at.as_secs_f64(), "do": verb.as_str(), "message": message.as_str(),
                }));
            }
            // A recording of the API knows nothing of data.
            Fact::Data(_) => {}
        }
    }
}
