//! Memory that will be needed soon.
//!
//! A large run lies in much more memory than a processor has at hand. What has not been touched for long takes as long to
//! come as some hundred instructions, one place after the other; what is asked for together comes together. Whoever knows of many
//! things that are needed soon therefore skims all of them first: takes a number from each stretch of memory that they lie in,
//! and throws it away. Nothing else comes of it.

use std::hint::black_box;

/// Something that can be skimmed.
pub trait Skim {
    /// A number that is made of fields from all over the value, and that means nothing. What the value points to is not
    /// read, but for the lengths of texts.
    fn skim(&self) -> u64;
}

impl<T: Skim> Skim for [T] {
    fn skim(&self) -> u64 {
        mix(self.iter().map(T::skim))
    }
}

impl Skim for str {
    fn skim(&self) -> u64 {
        self.as_bytes().first().map_or(0, |byte| u64::from(*byte))
    }
}

/// One number made of many.
pub fn mix(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, |mixed, number| mixed ^ number)
}

/// What is to be fetched, in a list that has room for all of it from the start.
pub fn gather<T>(all: impl Iterator<Item = T>) -> Vec<T> {
    let most = all.size_hint().1.unwrap_or(0);
    let mut list = Vec::with_capacity(most);
    list.extend(all);
    list
}

/// Fetches everything that these numbers are made of.
pub fn fetch(skimmed: impl IntoIterator<Item = u64>) {
    black_box(mix(skimmed));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skimmed_is_read() {
        let texts = ["node", "", "pod"];
        assert_eq!(mix(texts.map(Skim::skim)), u64::from(b'n' ^ b'p'));
        fetch(texts.map(Skim::skim));
    }

    #[test]
    fn a_list_never_grows() {
        let even = gather((0..100).filter(|n| n % 2 == 0));
        assert_eq!((even.len(), even.capacity()), (50, 100));
        assert_eq!(gather(std::iter::empty::<u8>()).capacity(), 0, "nothing takes no room");
    }
}
