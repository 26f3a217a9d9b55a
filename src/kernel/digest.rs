//! A hash over everything that was recorded, equal on every platform and build.

use std::fmt;
use std::hash::Hasher;

use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// Bytes that are hashed at once.
const CHUNK: usize = 512;
const SEED: u64 = 0x7761_7665_7461_6e6b;

/// A running 128-bit hash. Integers enter in little-endian order, sizes as 64 bits.
///
/// What is recorded comes in small pieces, a field at a time; they are gathered and hashed by the chunk, which gives the
/// same hash and is several times as fast.
#[derive(Clone)]
pub struct Digest {
    /// Of the chunks so far; none before the first.
    inner: Option<Box<Xxh3>>,
    gathered: [u8; CHUNK],
    len: usize,
    writes: u64,
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Digest").field(&self.value()).finish()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self { inner: None, gathered: [0; CHUNK], len: 0, writes: 0 }
    }
}

impl Digest {
    /// The hash of one value.
    pub fn of(value: &impl std::hash::Hash) -> DigestValue {
        let mut digest = Self::default();
        digest.record(value);
        digest.value()
    }

    /// The hash so far.
    pub fn value(&self) -> DigestValue {
        let rest = &self.gathered[..self.len];
        DigestValue(match &self.inner {
            None => xxh3_128_with_seed(rest, SEED),
            Some(inner) => {
                let mut inner = inner.clone();
                inner.update(rest);
                inner.digest128()
            }
        })
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

    /// Adds what does not fit in.
    #[cold]
    fn write_on(&mut self, mut bytes: &[u8]) {
        while bytes.len() > CHUNK - self.len {
            let (now, later) = bytes.split_at(CHUNK - self.len);
            self.gathered[self.len..].copy_from_slice(now);
            let inner = self.inner.get_or_insert_with(|| Box::new(Xxh3::with_seed(SEED)));
            inner.update(&self.gathered);
            self.len = 0;
            bytes = later;
        }
        self.gathered[..bytes.len()].copy_from_slice(bytes);
        self.len = bytes.len();
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.value().0 as u64
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match self.gathered.get_mut(self.len..self.len + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.write_on(bytes),
        }
    }

    #[inline]
    fn write_u8(&mut self, i: u8) {
        self.write(&[i]);
    }

    #[inline]
    fn write_u16(&mut self, i: u16) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_u32(&mut self, i: u32) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_u64(&mut self, i: u64) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_u128(&mut self, i: u128) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_usize(&mut self, i: usize) {
        self.write_u64(i as u64);
    }

    #[inline]
    fn write_i8(&mut self, i: i8) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_i16(&mut self, i: i16) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_i32(&mut self, i: i32) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_i64(&mut self, i: i64) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
    fn write_i128(&mut self, i: i128) {
        self.write(&i.to_le_bytes());
    }

    #[inline]
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It makes no difference in which pieces bytes come.
        #[test]
        fn pieces_are_hashed_as_one(lens in prop::collection::vec(0..1300usize, 0..20)) {
            let (mut digest, mut plain) = (Digest::default(), Vec::new());
            for (at, len) in lens.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + at) as u8).collect();
                digest.write(&bytes);
                digest.write_u16(at as u16);
                plain.extend(&bytes);
                plain.extend(&(at as u16).to_le_bytes());
                prop_assert_eq!(digest.value().0, xxh3_128_with_seed(&plain, SEED));
            }
        }
    }

    #[test]
    fn the_value_is_pinned() {
        let mut digest = Digest::default();
        digest.record(&("text", 7usize, -1i64, Some(true)));
        assert_eq!(digest.value().to_string(), "65492132418f96288925916ee6c2059f");
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
