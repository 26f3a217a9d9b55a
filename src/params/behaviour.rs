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
    /// The containers end by themselves.
    pub completes: Option<Completion>,
    /// CPU usage.
    pub cpu: Option<CpuUse>,
    /// Memory usage.
    pub memory: Option<MemoryUse>,
    /// What a request waits for beside CPU and other services: a disk, a third party.
    pub latency: Option<SimDuration>,
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
            completes: None,
            cpu: None,
            memory: None,
            latency: None,
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
    /// The Pod's labels.
    pub selector: LabelSelector,
    /// The container's name; none: all.
    pub container: Option<Str>,
}

impl Matches {
    /// Whether a container of a Pod is meant.
    pub fn covers(&self, namespace: &str, labels: &Labels, container: &str, image: &str) -> bool {
        self.namespace.as_ref().is_none_or(|n| n == namespace)
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
    /// Bytes per request in flight or per second of request rate.
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
            selector: LabelSelector::parse("app=web").unwrap(),
            container: Some("main".into()),
        };
        let labels: Labels = [("app", "web")].into_iter().collect();
        assert!(matches.covers("any", &labels, "main", "app:v1"));
        assert!(!matches.covers("any", &labels, "side", "app:v1"));
        assert!(!matches.covers("any", &Labels::default(), "main", "app:v1"));
        assert!(!matches.covers("any", &labels, "main", "web:v1"));
    }
}
