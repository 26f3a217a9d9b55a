//! Stable hashes of boundary forms, so that they can be compared and recorded cheaply.

use std::hash::Hasher;
use std::io;

use serde::Serialize;
use siphasher::sip::SipHasher13;

/// A hash of the JSON form of `value`, equal on every platform.
pub fn of(value: &impl Serialize) -> u64 {
    let mut sink = HashSink(SipHasher13::new_with_keys(0x6170_6966, 0x696e_6765));
    // Boundary types have string keys only, and the sink never fails.
    let _ = serde_json::to_writer(&mut sink, value);
    sink.0.finish()
}

struct HashSink(SipHasher13);

impl io::Write for HashSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_hash_does_not_depend_on_how_the_text_is_cut() {
        assert_eq!(super::of(&"abc"), super::of(&String::from("abc")));
        assert_ne!(super::of(&["ab", "c"]), super::of(&["a", "bc"]));
    }
}
