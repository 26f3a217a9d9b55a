//! Stable hashes that stand for boundary forms.

use std::hash::Hasher;

use serde::Serialize;
use siphasher::sip::SipHasher13;

use super::workload::BoundaryPart;

/// Fixed keys: the same value has the same fingerprint on every machine and in every build.
const KEYS: (u64, u64) = (0x7761_7665_7461_6e6b, 0x6669_6e67_6572_7072);

/// A stable 64-bit hash of the JSON text of `value`.
///
/// A value that has no JSON form hashes as the empty text; boundary types always have one.
pub fn fingerprint<T: Serialize + ?Sized>(value: &T) -> u64 {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(&text);
    hasher.finish()
}

impl<T: Serialize> BoundaryPart<T> {
    /// A part with its fingerprint.
    pub fn new(value: T) -> Self {
        let fingerprint = fingerprint(&value);
        Self { value, fingerprint }
    }
}

pub use self::fingerprint as of;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_pinned() {
        assert_eq!(fingerprint("a"), fingerprint(&serde_json::json!("a")));
        assert_ne!(fingerprint("a"), fingerprint("b"));
        assert_eq!(BoundaryPart::new("a".to_owned()), BoundaryPart::new("a".to_owned()));
        assert_eq!(format!("{:016x}", fingerprint(&serde_json::json!({"a": 1}))), "e92a526a08269612");
    }
}
