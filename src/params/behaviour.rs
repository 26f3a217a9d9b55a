//! What containers do, since no image runs here.

use super::latency::Delay;
use crate::api::{LabelSelector, Labels};
use crate::base::{SimDuration, Span, Str};

/// What the containers that an entry matches do. What it leaves open, later entries may decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Which containers.
    pub matches: Matches,
    /// `pull: fails`: the image cannot be pulled.
    pub pull_fails: bool,
    /// Bytes of the image, for the time its pull takes.
    pub size: Option<i64>,
    /// From container start to being able to answer; probes decide the rest.
    pub startup: Option<Delay>,
    /// From SIGTERM to the end.
    pub shutdown: Option<Delay>,
    /// With what code they end on SIGTERM.
    pub shutdown_exit_code: Option<i32>,
    /// `postStart: fails`: the hook of the spec fails.
    pub post_start_fails: bool,
    /// `preStop: fails`: the hook of the spec fails.
    pub pre_stop_fails: bool,
    /// The containers end by themselves.
    pub completes: Option<Completion>,
    /// CPU usage.
    pub cpu: Option<CpuUse>,
    /// Memory usage.
    pub memory: Option<MemoryUse>,
    /// What a request waits for beside CPU and other services: a disk, a third party.
    pub latency: Option<SimDuration>,
    /// Disk that the containers write.
    pub disk: Option<Growing>,
    /// Processes that they have.
    pub processes: Option<Growing>,
    /// They stop answering.
    pub hangs: Option<Outage>,
    /// Single probes fail though the containers answer.
    pub probes: Vec<ProbeOutage>,
    /// Where it stands in the scenario.
    pub origin: Span,
}

impl Behaviour {
    /// An entry that says nothing yet of the containers that it matches.
    pub const fn of(matches: Matches, origin: Span) -> Self {
        Self {
            matches,
            pull_fails: false,
            size: None,
            startup: None,
            shutdown: None,
            shutdown_exit_code: None,
            post_start_fails: false,
            pre_stop_fails: false,
            completes: None,
            cpu: None,
            memory: None,
            latency: None,
            disk: None,
            processes: None,
            hangs: None,
            probes: Vec::new(),
            origin,
        }
    }
}

/// Which containers an entry is about. All that is given must match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Matches {
    /// The image, with `*` for any text and `?` for any character.
    pub image: Option<Str>,
    /// The namespace; none: all.
    pub namespace: Option<Str>,
    /// The Pod's name, with the same signs; none: all.
    pub pod: Option<Str>,
    /// The Pod's labels.
    pub selector: LabelSelector,
    /// The container's name; none: all.
    pub container: Option<Str>,
}

impl Matches {
    /// Whether a container of a Pod, given by namespace and name, is meant.
    pub fn covers(&self, pod: (&str, &str), labels: &Labels, container: &str, image: &str) -> bool {
        self.namespace.as_ref().is_none_or(|n| n == pod.0)
            && self.pod.as_ref().is_none_or(|pattern| glob_matches(pattern, pod.1))
            && self.container.as_ref().is_none_or(|c| c == container)
            && self.image.as_ref().is_none_or(|pattern| glob_matches(pattern, image))
            && self.selector.matches(labels)
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any text and `?` for any character.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            // The last star takes one character more.
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Containers end by themselves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completion {
    /// From their start.
    pub after: Delay,
    /// With this code.
    pub exit_code: i32,
    /// Only the first so many that end, per controller, with that code, the others with 0.
    pub fail_first: Option<u32>,
}

/// Something that a container uses and that grows while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Growing {
    /// From its start.
    pub idle: i64,
    /// Added every second.
    pub growth: i64,
}

/// A span of a container's life in which something fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outage {
    /// When it begins, from the container's start.
    pub after: Delay,
    /// How long it lasts; none: as long as the container.
    pub lasts: Option<Delay>,
}

/// The probes of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Until it has succeeded, the others wait.
    Startup,
    /// Decides whether the container is ready.
    Readiness,
    /// Decides whether it is restarted.
    Liveness,
}

/// A probe fails for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeOutage {
    /// Which.
    pub kind: ProbeKind,
    /// When.
    pub outage: Outage,
}

/// CPU usage of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuUse {
    /// Millicores without any request.
    pub idle: i64,
    /// Millicore-seconds per request.
    pub per_request: i64,
}

/// Memory usage of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryUse {
    /// Bytes without any request.
    pub idle: i64,
    /// Bytes per request in flight: worked on, in the queue, or waiting for others.
    pub per_request: i64,
    /// Bytes that leak away every second.
    pub growth: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_the_shell_does() {
        for (pattern, text, expected) in [
            ("*bad*", "app:bad", true),
            ("*bad*", "bad", true),
            ("*bad*", "app:v1", false),
            ("app:v?", "app:v1", true),
            ("app:v?", "app:v10", false),
            ("", "", true),
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn all_that_is_given_must_match() {
        let matches = Matches {
            image: Some("app:*".into()),
            namespace: None,
            pod: Some("web-?".into()),
            selector: LabelSelector::parse("app=web").unwrap(),
            container: Some("main".into()),
        };
        let labels: Labels = [("app", "web")].into_iter().collect();
        let pod = ("any", "web-1");
        assert!(matches.covers(pod, &labels, "main", "app:v1"));
        assert!(!matches.covers(pod, &labels, "side", "app:v1"));
        assert!(!matches.covers(pod, &Labels::default(), "main", "app:v1"));
        assert!(!matches.covers(pod, &labels, "main", "web:v1"));
        assert!(!matches.covers(("any", "db-1"), &labels, "main", "app:v1"));
    }
}
