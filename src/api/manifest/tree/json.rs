//! Streams of JSON values: one after another, with or without line breaks between them.

use std::ops::Range;

/// The top-level values of a stream of JSON objects, or `None` if the text is not one.
///
/// Only braces and strings are looked at; whether each piece is JSON is for the reader to say.
pub(super) fn split_stream(text: &str) -> Option<Vec<Range<usize>>> {
    if !text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{') {
        return None;
    }
    let mut pieces = Vec::new();
    let (mut depth, mut start, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    pieces.push(start..at + 1);
                }
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            // Only white space may stand between the values of a stream.
            _ if depth == 0 && !(at < 3 && text.starts_with('\u{feff}')) => return None,
            _ => {}
        }
    }
    (depth == 0 && !in_string && pieces.len() > 1).then_some(pieces)
}

#[cfg(test)]
mod tests {
    use super::split_stream;

    fn pieces(text: &str) -> Option<Vec<&str>> {
        split_stream(text).map(|ranges| ranges.into_iter().map(|r| &text[r]).collect())
    }

    #[test]
    fn objects_one_after_another_are_a_stream() {
        assert_eq!(
            pieces("{\"a\": \"}\\\"\"}\n{\"b\": [1]}{}"),
            Some(vec!["{\"a\": \"}\\\"\"}", "{\"b\": [1]}", "{}"])
        );
    }

    #[test]
    fn other_texts_are_not() {
        for text in ["{}", "a: {}\nb: {}", "{a: 1}\n---\n{b: 1}", "{\"a\": 1", "", "}{"] {
            assert_eq!(pieces(text), None, "{text}");
        }
    }
}
