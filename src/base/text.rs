//! The string of the simulation: immutable, shared, one pointer wide.

/// An immutable, reference-counted string; literals cost no allocation.
///
/// Object names, labels, reasons and messages are all `Str`: copying one is a counter
/// increment, so a hundred thousand Pods of one template share their texts.
pub use arcstr::ArcStr as Str;

/// Makes a [`Str`] from a string literal without allocating.
pub use arcstr::literal as lit;

/// Texts up to this length, in bytes, are put together where they need not be cleared by the allocator first.
const SHORT: usize = 128;

/// The parts one behind the other, as one text, which is allocated once: for texts that are made by the million.
pub fn concat(parts: &[&str]) -> Str {
    let len = parts.iter().map(|part| part.len()).sum();
    if len == 0 {
        return Str::new();
    }
    let put = |mut room: &mut [u8]| {
        for part in parts {
            let (own, rest) = room.split_at_mut(part.len());
            own.copy_from_slice(part.as_bytes());
            room = rest;
        }
    };
    // Whole texts make a whole text.
    let mut short = [0; SHORT];
    if let Some(room) = short.get_mut(..len) {
        put(&mut *room);
        std::str::from_utf8(room).unwrap_or_default().into()
    } else {
        Str::init_with(len, put).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined() {
        assert_eq!(concat(&[]), "");
        assert_eq!(concat(&["", "ä", "", "b-120"]), "äb-120");
        for len in [SHORT - 1, SHORT, SHORT + 1] {
            assert_eq!(concat(&["ä", &"x".repeat(len - 2)]), format!("ä{}", "x".repeat(len - 2)));
        }
    }
}
