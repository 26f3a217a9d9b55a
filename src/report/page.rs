//! A page of text for a terminal: lines, colours, wrapped sentences.

use super::text::{Style, wrap};

/// Columns of a page.
const WIDTH: usize = 100;

/// What a piece of text is, and so its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// A heading or a name.
    Strong,
    /// Of less weight.
    Faint,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Worth a look.
    Notable,
}

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    out: String,
    style: Style,
}

impl Page {
    /// An empty page.
    pub const fn new(style: Style) -> Self {
        Self { out: String::new(), style }
    }

    /// How it is written.
    pub const fn style(&self) -> Style {
        self.style
    }

    /// The text in its colour, if there are colours.
    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.style.color || text.is_empty() {
            return text.to_owned();
        }
        let code = match paint {
            Paint::Strong => "1",
            Paint::Faint => "2",
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Notable => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.out.push_str(text.as_ref().trim_end());
        self.out.push('\n');
    }

    /// An empty line, unless the page is empty or ends with one.
    pub fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// A heading.
    pub fn heading(&mut self, text: &str) {
        self.gap();
        let text = self.paint(Paint::Strong, text);
        self.line(text);
    }

    /// A sentence in as many lines as it needs, each indented.
    pub fn wrapped(&mut self, text: &str, indent: usize) {
        for line in wrap(text, WIDTH - indent) {
            self.line(format!("{:indent$}{line}", ""));
        }
    }

    /// A sentence behind a bullet.
    pub fn bullet(&mut self, text: &str) {
        for (index, line) in wrap(text, WIDTH - 4).iter().enumerate() {
            self.line(format!("  {} {line}", if index == 0 { "-" } else { " " }));
        }
    }

    /// A table, indented by two.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        for line in super::table::render(header, rows).lines() {
            self.line(format!("  {line}"));
        }
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.out
    }
}

/// A number with its noun: `1 node`, `3 nodes`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
