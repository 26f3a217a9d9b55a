//! Hashes of Pod templates, and names and labels made of them.
//!
//! Upstream: `pkg/controller/controller_utils.go` `ComputeHash`, `apimachinery/pkg/util/rand` `SafeEncodeString`, v1.34.

use crate::api::{PodTemplate, fingerprint};
use crate::base::{Arc, Str};

/// The label that tells the Pods of a Deployment's ReplicaSets apart.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// The longest name of an object.
const NAME_MAX: usize = 253;

/// The hash of a template with this fingerprint, in letters that spell no words.
///
/// # Fidelity
/// Upstream hashes a dump of the Go structure; here the template's own fingerprint is hashed in the same way, so
/// hashes have upstream's form but not its values.
pub fn template_hash(fingerprint: u64, collision_count: Option<i32>) -> Str {
    let mut hash = Fnv32a::default();
    hash.write(&fingerprint.to_le_bytes());
    if let Some(count) = collision_count {
        hash.write(&i64::from(count.cast_unsigned()).to_le_bytes());
    }
    safe_encode(&hash.0.to_string())
}

/// FNV-1a, 32 bits.
struct Fnv32a(u32);

impl Default for Fnv32a {
    fn default() -> Self {
        Self(0x811c_9dc5)
    }
}

impl Fnv32a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    }
}

/// Every byte as a letter of the alphabet of generated names.
fn safe_encode(text: &str) -> Str {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|b| char::from(ALPHABET[usize::from(b) % 27])).collect::<String>().into()
}

/// `<name>-<hash>`, the name cut to leave room for the hash.
pub fn hashed_name(name: &str, hash: &str) -> Str {
    let mut end = name.len().min(NAME_MAX.saturating_sub(hash.len() + 1));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}-{hash}", &name[..end]).into()
}

/// The template with the label `pod-template-hash`. Its spec stays shared.
pub fn with_hash_label(template: &PodTemplate, hash: &str) -> Arc<PodTemplate> {
    relabel(template, Some(hash))
}

/// The template without the label `pod-template-hash`. Its spec stays shared.
pub fn without_hash_label(template: &PodTemplate) -> Arc<PodTemplate> {
    relabel(template, None)
}

fn relabel(template: &PodTemplate, hash: Option<&str>) -> Arc<PodTemplate> {
    let mut new = template.clone();
    let mut raw = (*template.raw).clone();
    let labels = raw.metadata.get_or_insert_default().labels.get_or_insert_default();
    match hash {
        Some(hash) => {
            labels.insert(POD_TEMPLATE_HASH.to_owned(), hash.to_owned());
            new.labels = new.labels.with(POD_TEMPLATE_HASH, hash);
        }
        None => {
            labels.remove(POD_TEMPLATE_HASH);
            new.labels = new.labels.without(POD_TEMPLATE_HASH);
        }
    }
    new.fingerprint = fingerprint::fingerprint(&raw);
    new.raw = Arc::new(raw);
    Arc::new(new)
}

/// Whether two templates make the same Pods, but for the label `pod-template-hash`.
pub fn equal_ignore_hash(a: &PodTemplate, b: &PodTemplate) -> bool {
    a.labels.without(POD_TEMPLATE_HASH) == b.labels.without(POD_TEMPLATE_HASH)
        && a.annotations == b.annotations
        && a.finalizers == b.finalizers
        && a.spec == b.spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    #[test]
    fn hashes_use_ten_letters_and_depend_on_collisions() {
        let (plain, zero, one) =
            (template_hash(7, None), template_hash(7, Some(0)), template_hash(7, Some(1)));
        assert!(plain != zero && zero != one, "{plain} {zero} {one}");
        assert!(plain.chars().all(|c| "456789bcdf".contains(c)), "{plain}");
        assert_eq!(safe_encode("0123456789"), "456789bcdf");
        assert_eq!(template_hash(7, None), plain);
    }

    #[test]
    fn long_names_leave_room_for_the_hash() {
        assert_eq!(hashed_name("web", "5d4"), "web-5d4");
        assert_eq!(hashed_name(&"a".repeat(253), "5d4").len(), 253);
    }

    #[test]
    fn the_hash_label_does_not_make_another_template() {
        let template = testkit::pod_template("app=web");
        let labelled = with_hash_label(&template, "5d4");
        assert_eq!(labelled.labels.get(POD_TEMPLATE_HASH).map(Str::as_str), Some("5d4"));
        assert!(*labelled != *template && equal_ignore_hash(&labelled, &template));
        assert!(Arc::ptr_eq(&labelled.spec, &template.spec));
        assert_eq!(*without_hash_label(&labelled), *template);
        assert!(!equal_ignore_hash(&template, &testkit::pod_template("app=api")));
    }
}
