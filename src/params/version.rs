//! The release whose words the components use.

use std::fmt;

/// A Kubernetes release. Behaviour is 1.34's; texts that changed between releases follow this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubeVersion {
    /// The `34` of 1.34.9.
    pub minor: u32,
    /// The `9` of 1.34.9.
    pub patch: u32,
}

/// Minors with known words, each with the patch that `"1.<minor>"` stands for: the newest one known.
const RELEASES: &[(u32, u32)] = &[(28, 15), (29, 15), (30, 14), (31, 14), (32, 13), (33, 13), (34, 9)];

impl Default for KubeVersion {
    fn default() -> Self {
        Self { minor: 34, patch: 9 }
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}.{}", self.minor, self.patch)
    }
}

impl KubeVersion {
    /// Reads `1.34`, `v1.34` or `1.34.1`.
    ///
    /// # Errors
    /// A sentence that says what is wrong, for a diagnostic.
    pub fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("`{text}` is not a Kubernetes version; write `\"1.34\"` or `\"1.34.1\"`");
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || parts.next().map(|p| p.parse::<u32>().map_err(|_| invalid())).transpose();
        let (major, minor, patch) = (number()?, number()?, number()?);
        let (Some(1), Some(minor), None) = (major, minor, parts.next()) else {
            return Err(invalid());
        };
        let Some((_, newest)) = RELEASES.iter().find(|(m, _)| *m == minor) else {
            return Err(format!(
                "the words of Kubernetes 1.{minor} are not known; versions from 1.28 to 1.34 are"
            ));
        };
        Ok(Self { minor, patch: patch.unwrap_or(*newest) })
    }

    /// What a kubelet of this release reports: `v1.34.9`.
    pub fn kubelet(self) -> String {
        format!("v{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_and_without_a_patch() {
        let read = |t: &str| KubeVersion::parse(t).map(|v| v.to_string());
        assert_eq!(read("1.34"), Ok("1.34.9".to_owned()));
        assert_eq!(read("v1.32"), Ok("1.32.13".to_owned()));
        assert_eq!(read("1.34.1"), Ok("1.34.1".to_owned()));
        for text in ["", "1", "2.0", "1.x", "1.34.1.2", "34", "1.27", "1.99"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn versions_are_ordered() {
        let v = |t| KubeVersion::parse(t).unwrap();
        assert!(v("1.34.1") < v("1.34.2") && v("1.33") < v("1.34.0"));
    }
}
