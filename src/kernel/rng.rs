//! Random streams, addressed by purpose and entity.
//!
//! A stream is a function of (seed, purpose, entity): a new draw in one place moves no other. Streams
//! are made when needed and thrown away. Samplers are our own on `libm`, so that results do not change
//! with another crate's version; golden values pin them.

use std::hash::Hasher;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::base::{SimDuration, Str};

/// The seed of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream for one purpose and one entity (a uid, a name, a counter as text).
    pub fn stream(self, purpose: &'static str, entity: &str) -> Stream {
        self.stream_of(purpose, &[entity.as_bytes()])
    }

    /// The stream for one purpose and an entity named by several parts.
    pub fn stream_of(self, purpose: &'static str, entity: &[&[u8]]) -> Stream {
        self.streams(purpose).of(entity)
    }

    /// All streams for one purpose.
    pub fn streams(self, purpose: &'static str) -> Streams {
        let mut key = [0u8; 32];
        for (index, half) in key.chunks_exact_mut(16).enumerate() {
            let mut hasher = SipHasher13::new_with_keys(self.0, index as u64);
            hasher.write(purpose.as_bytes());
            half.copy_from_slice(&hasher.finish128().as_bytes());
        }
        Streams { key }
    }
}

/// The streams of one purpose.
#[derive(Clone, Debug)]
pub struct Streams {
    key: [u8; 32],
}

impl Streams {
    /// The stream for an entity named by several parts.
    pub fn of(&self, entity: &[&[u8]]) -> Stream {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        for part in entity {
            hasher.write(&(part.len() as u64).to_le_bytes());
            hasher.write(part);
        }
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(hasher.finish128().h1);
        Stream { rng }
    }
}

/// The largest mean of a Poisson number that is drawn arrival by arrival.
const POISSON_EXACT: f64 = 64.0;

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number below `bound`, all equally likely; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        // Rejects the incomplete last group, so no number is favoured.
        let zone = u64::MAX - u64::MAX % bound;
        loop {
            let draw = self.next_u64();
            if draw < zone {
                return draw % bound;
            }
        }
    }

    /// A number from 0 (included) to 1 (excluded) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal number (Box–Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// An exponential number with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// A Poisson number with this mean; above [`POISSON_EXACT`] by the normal approximation.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        if mean > POISSON_EXACT {
            return libm::round(mean + libm::sqrt(mean) * self.normal()).max(0.0);
        }
        // Arrivals of a process of rate one until `mean`.
        let (mut count, mut passed) = (0.0, self.exponential());
        while passed < mean {
            count += 1.0;
            passed += self.exponential();
        }
        count
    }

    /// A span between `min` and `max`, both possible.
    pub fn duration_between(&mut self, min: SimDuration, max: SimDuration) -> SimDuration {
        let width = max.saturating_sub(min).as_nanos();
        min + SimDuration::from_nanos(self.below(width.saturating_add(1)))
    }

    /// `length` characters of the alphabet that generated names are made of.
    ///
    /// Upstream: `apimachinery/pkg/util/rand`, v1.34: no vowels, no 0, 1, 3.
    pub fn name_suffix(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(ALPHABET[self.below(27) as usize])).collect()
    }

    /// A random identity in the form of a version 4 UUID.
    pub fn uuid(&mut self) -> Str {
        /// Where the two digits of each byte are.
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let (a, b) = (self.next_u64(), self.next_u64());
        // Version and variant have their places among the random bits.
        let bits = u128::from(a & !0xf000 | 0x4000) << 64 | u128::from(b & !(0b11 << 62) | 0b10 << 62);
        let mut text = [b'-'; 36];
        for (at, byte) in PLACES.into_iter().zip(bits.to_be_bytes()) {
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 0xf)];
        }
        std::str::from_utf8(&text).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_pinned() {
        let mut stream = Seed(7).stream("test", "pod-1");
        let got = (stream.next_u64(), stream.below(10), stream.name_suffix(5), stream.uuid());
        assert_eq!(
            format!("{got:?}"),
            r#"(17345224735658675768, 9, "6mbvx", "34f452cf-4aa4-4bb0-a097-315d28d63f7c")"#
        );
    }

    #[test]
    fn a_draw_in_one_stream_moves_no_other() {
        let mut noisy = Seed(7).stream("boot", "a");
        noisy.next_u64();
        let pairs = [("boot", "b"), ("pull", "a")];
        let before: Vec<u64> = pairs.iter().map(|(p, e)| Seed(7).stream(p, e).next_u64()).collect();
        noisy.next_u64();
        let after: Vec<u64> = pairs.iter().map(|(p, e)| Seed(7).stream(p, e).next_u64()).collect();
        assert_eq!(before, after);
        assert_ne!(before[0], before[1]);
        assert_ne!(before[0], Seed(8).stream("boot", "b").next_u64());
    }

    #[test]
    fn samplers_have_their_means() {
        let mut stream = Seed(1).stream("means", "");
        let n = 20_000;
        let mean = |f: &mut dyn FnMut() -> f64| (0..n).map(|_| f()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || stream.unit()) - 0.5).abs() < 0.01);
        assert!(mean(&mut || stream.normal()).abs() < 0.03);
        assert!((mean(&mut || stream.exponential()) - 1.0).abs() < 0.03);
        assert!((mean(&mut || stream.below(10) as f64) - 4.5).abs() < 0.1);
        assert!((mean(&mut || stream.poisson(3.0)) - 3.0).abs() < 0.05);
        assert!((mean(&mut || stream.poisson(400.0)) - 400.0).abs() < 1.0);
    }
}
