//! Text of YAML: plain where that reads back as the same text, else quoted, in several lines as a literal block.

use std::fmt::Write;

use crate::api::manifest::tree::reads_as_text;

/// Beyond this column a space becomes a line break.
const WIDTH: usize = 80;

/// What of a text decides how it may be written.
#[derive(Default)]
struct Shape {
    /// Line feeds.
    breaks: bool,
    /// A space or line feed at either end.
    loose_end: bool,
    /// A space at the end.
    trailing_space: bool,
    /// A line feed before a space.
    break_space: bool,
    /// A space before a line feed.
    space_break: bool,
    /// Characters that must be escaped.
    special: bool,
    /// Characters that mean something in YAML.
    indicators: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut shape = Self {
            indicators: text.starts_with("---") || text.starts_with("..."),
            trailing_space: text.ends_with(' '),
            loose_end: text.starts_with([' ', '\n']) || text.ends_with([' ', '\n']),
            ..Self::default()
        };
        for (at, c) in chars.iter().copied().enumerate() {
            let before = at.checked_sub(1).map(|i| chars[i]);
            let after = chars.get(at + 1).copied();
            let blank = |c: Option<char>| c.is_none_or(|c| matches!(c, ' ' | '\n' | '\t'));
            shape.indicators |= match c {
                '#' => blank(before),
                ':' => blank(after),
                '-' | '?' => at == 0 && blank(after),
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    at == 0
                }
                _ => false,
            };
            shape.special |= !is_printable(c);
            shape.breaks |= c == '\n';
            shape.break_space |= c == ' ' && before == Some('\n');
            shape.space_break |= c == '\n' && before == Some(' ');
        }
        shape
    }

    fn may_be_plain(&self) -> bool {
        !(self.loose_end
            || self.break_space
            || self.space_break
            || self.special
            || self.breaks
            || self.indicators)
    }

    fn may_be_single_quoted(&self) -> bool {
        !(self.break_space || self.space_break || self.special)
    }

    fn may_be_literal(&self) -> bool {
        !(self.trailing_space || self.space_break || self.special)
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

/// Writes a key.
pub(super) fn key(out: &mut String, text: &str) {
    let shape = Shape::of(text);
    if !reads_as_text(text) || shape.breaks {
        double_quoted(out, text, None);
    } else if shape.may_be_plain() {
        out.push_str(text);
    } else if shape.may_be_single_quoted() {
        single_quoted(out, text, None);
    } else {
        double_quoted(out, text, None);
    }
}

/// Writes a value; further lines begin at `indent`.
pub(super) fn value(out: &mut String, text: &str, indent: usize) {
    let shape = Shape::of(text);
    if shape.breaks {
        if shape.may_be_literal() {
            literal(out, text, indent);
        } else {
            double_quoted(out, text, Some(indent));
        }
    } else if !reads_as_text(text) {
        double_quoted(out, text, Some(indent));
    } else if shape.may_be_plain() {
        folded(out, text, Some(indent));
    } else if shape.may_be_single_quoted() {
        single_quoted(out, text, Some(indent));
    } else {
        double_quoted(out, text, Some(indent));
    }
}

/// The column of the cursor.
fn column(out: &str) -> usize {
    out[out.rfind('\n').map_or(0, |i| i + 1)..].chars().count()
}

fn break_line(out: &mut String, indent: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Writes text without line feeds, single spaces beyond the width as line breaks.
fn folded(out: &mut String, text: &str, indent: Option<usize>) {
    let mut at = column(out);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let lone = c == ' ' && before.is_some_and(|b| b != ' ') && chars.peek().is_some_and(|n| *n != ' ');
        match indent {
            Some(indent) if lone && at > WIDTH => {
                break_line(out, indent);
                at = indent;
            }
            _ => {
                out.push(c);
                at += 1;
            }
        }
        before = Some(c);
    }
}

fn single_quoted(out: &mut String, text: &str, indent: Option<usize>) {
    out.push('\'');
    folded(out, &text.replace('\'', "''"), indent);
    out.push('\'');
}

fn double_quoted(out: &mut String, text: &str, indent: Option<usize>) {
    out.push('"');
    let mut at = column(out);
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let inner = before.is_some() && chars.peek().is_some();
        match indent {
            Some(indent) if c == ' ' && inner && before != Some(' ') && at > WIDTH => {
                break_line(out, indent);
                at = indent;
                // A break stands for one space; a second one would be lost without the backslash.
                if chars.peek() == Some(&' ') {
                    out.push('\\');
                }
            }
            _ => {
                let length = out.len();
                escaped(out, c);
                at += out.len() - length;
            }
        }
        before = Some(c);
    }
    out.push('"');
}

fn escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\0' => out.push_str("\\0"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\u{1b}' => out.push_str("\\e"),
        '\u{85}' => out.push_str("\\N"),
        '\u{2028}' => out.push_str("\\L"),
        '\u{2029}' => out.push_str("\\P"),
        c if is_printable(c) => out.push(c),
        // Writing to a string cannot fail.
        c if (c as u32) < 0x100 => drop(write!(out, "\\x{:02X}", c as u32)),
        c if (c as u32) < 0x1_0000 => drop(write!(out, "\\u{:04X}", c as u32)),
        c => drop(write!(out, "\\U{:08X}", c as u32)),
    }
}

/// A literal block: `|`, with `-` if the text does not end in a line feed and `+` if it ends in several.
fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    let body = text.trim_end_matches('\n');
    match text.len() - body.len() {
        0 => out.push('-'),
        1 if !body.is_empty() => {}
        _ => out.push('+'),
    }
    // The last line feed is the one that the caller writes.
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if line.is_empty() {
            out.push('\n');
        } else {
            break_line(out, indent);
            out.push_str(line);
        }
    }
}
