//! A hash over everything that was recorded, equal on every platform and build.

use std::fmt;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// A running 128-bit hash. Integers enter in little-endian order, sizes as 64 bits.
#[derive(Clone, Debug)]
pub struct Digest {
    inner: SipHasher13,
    writes: u64,
}

impl Default for Digest {
    fn default() -> Self {
        Self { inner: SipHasher13::new_with_keys(0x7761_7665_7461_6e6b, 0x6469_6765_7374_3031), writes: 0 }
    }
}

impl Digest {
    /// The hash so far.
    pub fn value(&self) -> DigestValue {
        let hash = self.inner.finish128();
        DigestValue(u128::from(hash.h1) << 64 | u128::from(hash.h2))
    }

    /// Adds anything hashable.
    pub fn record(&mut self, value: &impl std::hash::Hash) {
        self.writes += 1;
        value.hash(self);
    }

    /// How many values were added.
    pub const fn writes(&self) -> u64 {
        self.writes
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.inner.finish128().h1
    }

    fn write(&mut self, bytes: &[u8]) {
        self.inner.write(bytes);
    }

    fn write_u8(&mut self, i: u8) {
        self.inner.write(&[i]);
    }

    fn write_u16(&mut self, i: u16) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_u32(&mut self, i: u32) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_u64(&mut self, i: u64) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_u128(&mut self, i: u128) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_usize(&mut self, i: usize) {
        self.write_u64(i as u64);
    }

    fn write_i8(&mut self, i: i8) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_i16(&mut self, i: i16) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_i32(&mut self, i: i32) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_i64(&mut self, i: i64) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_i128(&mut self, i: i128) {
        self.inner.write(&i.to_le_bytes());
    }

    fn write_isize(&mut self, i: isize) {
        self.write_i64(i as i64);
    }
}

/// A finished digest; prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DigestValue(pub u128);

impl fmt::Display for DigestValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_pinned() {
        let mut digest = Digest::default();
        digest.record(&("text", 7usize, -1i64, Some(true)));
        assert_eq!(digest.value().to_string(), "6b80ef4fc9b098d53edf3d0a0c4de1f1");
    }

    #[test]
    fn order_matters() {
        let of = |values: [u32; 2]| {
            let mut digest = Digest::default();
            values.iter().for_each(|v| digest.record(v));
            digest.value()
        };
        assert_ne!(of([1, 2]), of([2, 1]));
    }
}
