//! A line of the story.

use crate::base::SimTime;

/// Names told in one line before the rest is only counted.
const NAMES_MAX: usize = 6;

/// One line of the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When it began.
    pub at: SimTime,
    /// When the last of it happened.
    pub until: SimTime,
    /// What sort of thing it is.
    pub sort: Sort,
    /// What is told of it besides the names.
    pub text: String,
    /// Whom it happened to, in order.
    pub who: Vec<String>,
    /// How often it happened to the first of them again, which is not told line by line.
    pub again: u32,
    /// When it last did.
    pub last: SimTime,
}

/// What sort of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// A step of the scenario.
    Step,
    /// A step that was refused.
    Refused,
    /// Nodes.
    Node,
    /// Workloads whose availability changed.
    Workload,
    /// Pods that cannot be placed.
    Pending,
    /// Pods that are being deleted by the control plane.
    Evicted,
    /// Containers that end badly.
    Crash,
    /// Claims and volumes.
    Storage,
    /// Jobs.
    Job,
    /// What a controller cannot do, or will not.
    Warning,
    /// Requests that fail.
    Requests,
}

impl Beat {
    /// Something that happens now.
    pub const fn new(at: SimTime, sort: Sort, who: Vec<String>, text: String) -> Self {
        Self { at, until: at, sort, text, who, again: 0, last: at }
    }

    /// The same happened to the first of them once more.
    pub const fn happened_again(&mut self, at: SimTime) {
        self.again += 1;
        self.last = at;
    }

    /// The line without its instant.
    pub fn sentence(&self) -> String {
        let told = self.told();
        match self.again {
            0 => told,
            // Events are rationed, so there may have been more.
            n if self.sort == Sort::Warning => {
                format!("{told} ({n} more such Events, the last at {})", short_time(self.last))
            }
            1 => format!("{told} (once more at {})", short_time(self.last)),
            n => format!("{told} ({n} times more, last at {})", short_time(self.last)),
        }
    }

    fn told(&self) -> String {
        if self.who.is_empty() {
            return self.text.clone();
        }
        let shown = self.who.iter().take(NAMES_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match self.who.len().saturating_sub(NAMES_MAX) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        if self.who.len() > 1 {
            format!("{shown}{more} {}", of_several(&self.text))
        } else {
            format!("{shown} {}", self.text)
        }
    }
}

/// What is said of one, said of several.
fn of_several(text: &str) -> String {
    let text = &text.replace(" all its ", " all their ").replace(" it wants", " they want");
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let verb = match verb {
        "is" => "are",
        "has" => "have",
        "makes" => "make",
        "stays" => "stay",
        "wants" => "want",
        "waits:" => "wait:",
        other => other,
    };
    format!("{verb} {rest}").trim_end().to_owned()
}

/// An instant without needless digits: tenths of a second.
pub fn short_time(at: SimTime) -> String {
    let tenths = at.as_nanos() / 100_000_000;
    crate::base::SimDuration::from_millis(tenths * 100).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_agree_with_several() {
        for (one, several) in [
            ("makes no progress: ProgressDeadlineExceeded", "make no progress: ProgressDeadlineExceeded"),
            ("has fewer Pods available than it wants", "have fewer Pods available than they want"),
            ("wants no Pods any more", "want no Pods any more"),
            ("joined the cluster", "joined the cluster"),
        ] {
            assert_eq!(of_several(one), several);
        }
    }
}
