//! Lines with tabs between cells, laid out so that cells of neighbouring lines begin in one column.
//!
//! Upstream: Go's `text/tabwriter` with a padding of two spaces.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// Spaces behind the widest cell of a column.
const PADDING: usize = 2;
/// Bytes of an annotation that are shown.
const ANNOTATION_MAX: usize = 140;
/// The annotation that `kubectl apply` keeps for itself.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A description in the making.
#[derive(Default)]
pub(super) struct Sheet {
    done: String,
    open: String,
}

impl Sheet {
    /// Adds text as it is; tabs end cells.
    pub(super) fn put(&mut self, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.open, "{text}");
    }

    /// Adds a line, indented by `level` steps.
    pub(super) fn line(&mut self, level: usize, text: impl Display) {
        self.indent(level);
        self.put(text);
        self.open.push('\n');
    }

    /// Adds `name:` and a value beside it.
    pub(super) fn field(&mut self, level: usize, name: impl Display, value: impl Display) {
        self.line(level, format_args!("{name}:\t{value}"));
    }

    /// Adds a field if there is a value.
    pub(super) fn field_opt(&mut self, level: usize, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.field(level, name, value);
        }
    }

    /// Adds a field with a line per value, or `<none>`.
    pub(super) fn list(&mut self, level: usize, name: &str, values: &[String]) {
        self.indent(level);
        self.put(format_args!("{name}:\t"));
        if values.is_empty() {
            self.put("<none>\n");
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.indent(level);
                self.put("\t");
            }
            self.put(format_args!("{value}\n"));
        }
    }

    /// Adds labels, a line each.
    pub(super) fn labels(&mut self, level: usize, name: &str, labels: Option<&BTreeMap<String, String>>) {
        let pairs: Vec<String> = labels.into_iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
        self.list(level, name, &pairs);
    }

    /// Adds annotations, long ones cut and below their key.
    pub(super) fn annotations(&mut self, name: &str, annotations: Option<&BTreeMap<String, String>>) {
        let mut lines = Vec::new();
        for (key, value) in annotations.into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED) {
            let value = value.strip_suffix('\n').unwrap_or(value);
            if value.len() + key.len() + 2 > ANNOTATION_MAX || value.contains('\n') {
                lines.push(format!("{key}:"));
                lines
                    .extend(value.split('\n').map(|line| format!("  {}", shorten(line, ANNOTATION_MAX - 2))));
            } else {
                lines.push(format!("{key}: {value}"));
            }
        }
        self.list(0, name, &lines);
    }

    /// Lays out what was added so far; later lines have columns of their own.
    pub(super) fn flush(&mut self) {
        self.done.push_str(&align(&self.open));
        self.open.clear();
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.done
    }

    fn indent(&mut self, level: usize) {
        self.open.extend(std::iter::repeat_n("  ", level));
    }
}

/// At most `max` bytes of a text, with dots behind what was cut.
pub(super) fn shorten(text: &str, max: usize) -> String {
    if text.len() > max { format!("{}...", &text[..text.floor_char_boundary(max)]) } else { text.to_owned() }
}

/// Replaces tabs by spaces. A column reaches over neighbouring lines that have a cell in it; the last cell of a line
/// belongs to no column.
pub(super) fn align(text: &str) -> String {
    let whole = text.strip_suffix('\n');
    let lines: Vec<Vec<&str>> = match whole.unwrap_or(text) {
        "" if whole.is_none() => return String::new(),
        body => body.split('\n').map(|line| line.split('\t').collect()).collect(),
    };
    let mut layout = Layout { lines, widths: Vec::new(), out: Vec::new() };
    layout.format(0, layout.lines.len());
    let mut out = layout.out.join("\n");
    if whole.is_some() {
        out.push('\n');
    }
    out
}

struct Layout<'a> {
    lines: Vec<Vec<&'a str>>,
    /// Widths of the columns to the left.
    widths: Vec<usize>,
    out: Vec<String>,
}

impl Layout<'_> {
    /// Lays out lines `from..to`, which share the columns to the left.
    fn format(&mut self, from: usize, to: usize) {
        let column = self.widths.len();
        let in_column = |line: &Vec<&str>| column + 1 < line.len();
        let mut at = from;
        while at < to {
            if !in_column(&self.lines[at]) {
                self.write(at);
                at += 1;
                continue;
            }
            let end = (at..to).find(|i| !in_column(&self.lines[*i])).unwrap_or(to);
            let cells = self.lines[at..end].iter().map(|line| line[column].chars().count());
            let width = cells.max().unwrap_or(0) + PADDING;
            self.widths.push(width);
            self.format(at, end);
            self.widths.pop();
            at = end;
        }
    }

    fn write(&mut self, at: usize) {
        let mut text = String::new();
        for (index, cell) in self.lines[at].iter().enumerate() {
            text.push_str(cell);
            if let Some(width) = self.widths.get(index) {
                text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        self.out.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_neighbouring_lines_begin_in_one_column() {
        let text = "Name:\tweb\nNamespace:\tshop\nLabels:\ta=b\n\tc=d\nConditions:\n  Type\tStatus\n  Ready \tTrue \n";
        let expected = "Name:       web\nNamespace:  shop\nLabels:     a=b\n            c=d\nConditions:\n  Type    Status\n  \
                        Ready   True \n";
        assert_eq!(align(text), expected);
        assert_eq!(align(""), "");
        assert_eq!(align("\n"), "\n");
        assert_eq!(align("a\tb"), "a  b");
    }

    #[test]
    fn inner_columns_end_where_a_line_lacks_them() {
        let text = "Port:\thttp\t80/TCP\nTargetPort:\t8080/TCP\nPort:\tm\t9/TCP\n";
        assert_eq!(align(text), "Port:        http  80/TCP\nTargetPort:  8080/TCP\nPort:        m  9/TCP\n");
    }

    #[test]
    fn long_annotations_stand_below_their_key() {
        let mut sheet = Sheet::default();
        let annotations = [("a", "1".to_owned()), ("b", "x".repeat(200)), (LAST_APPLIED, "{}".to_owned())];
        let map = annotations.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        sheet.annotations("Annotations", Some(&map));
        let expected =
            format!("Annotations:  a: 1\n              b:\n                {}...\n", "x".repeat(138));
        assert_eq!(sheet.finish(), expected);
    }
}
