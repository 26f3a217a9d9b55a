//! Diagnostics as text: title, place, snippet, cure.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use crate::base::{Diagnostic, Severity, SourceMap, Span};

/// Diagnostics of one code that are shown in full; the others are counted.
pub const SHOWN_PER_CODE_MAX: usize = 20;
/// Bytes of a line that are shown around a place in it.
const LINE_BYTES_MAX: usize = 160;
/// Lines between two places that are shown as one snippet, with the middle folded.
const SNIPPET_LINES_MAX: usize = 60;

/// The diagnostics as text, in the order of their sources and places; those without a place come
/// last. Of each code at most 20 are shown in full.
pub fn render(diagnostics: &[Diagnostic], sources: &SourceMap, color: bool) -> String {
    render_some(diagnostics, sources, color, SHOWN_PER_CODE_MAX)
}

/// As [`render`], with another bound on how many of a code are shown in full.
pub fn render_some(
    diagnostics: &[Diagnostic],
    sources: &SourceMap,
    color: bool,
    per_code_max: usize,
) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut order: Vec<&Diagnostic> = diagnostics.iter().collect();
    order.sort_by_key(|d| (d.label.is_none(), d.label.as_ref().map(|(span, _)| *span), d.severity, d.code));
    let mut seen: BTreeMap<&str, (Severity, usize)> = BTreeMap::new();
    let mut out = String::new();
    for diagnostic in order {
        let (_, count) = seen.entry(diagnostic.code).or_insert((diagnostic.severity, 0));
        *count += 1;
        if *count <= per_code_max {
            out += &render_one(diagnostic, sources, &renderer);
            out += "\n\n";
        }
    }
    for (code, (severity, count)) in seen {
        if count > per_code_max {
            let title = format!("and {} more", count - per_code_max);
            out += &renderer
                .render(&[level(severity).primary_title(title).id(code).elements(Vec::<Element<'_>>::new())]);
            out += "\n\n";
        }
    }
    out.truncate(out.trim_end().len());
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    }
}

/// A place with its words; the first one is the main one.
struct Place<'d> {
    span: Span,
    label: &'d str,
    main: bool,
}

fn render_one(diagnostic: &Diagnostic, sources: &SourceMap, renderer: &Renderer) -> String {
    let places = diagnostic
        .label
        .iter()
        .map(|(span, label)| Place { span: *span, label, main: true })
        .chain(diagnostic.related.iter().map(|(span, label)| Place { span: *span, label, main: false }));
    let mut elements: Vec<Element<'_>> = Vec::new();
    for group in grouped(places.collect(), sources) {
        elements.extend(snippet(&group, sources));
    }
    if let Some(help) = &diagnostic.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    let title = level(diagnostic.severity).primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    renderer.render(&[title.elements(elements)])
}

/// Places that are shown together: of one source, and near to one another.
fn grouped<'d>(places: Vec<Place<'d>>, sources: &SourceMap) -> Vec<Vec<Place<'d>>> {
    let mut groups: Vec<Vec<Place<'d>>> = Vec::new();
    for place in places {
        let near = groups.last().is_some_and(|group| {
            group.iter().all(|other| other.span.source == place.span.source)
                && window(group.iter().map(|p| p.span).chain([place.span]), sources)
                    .is_some_and(|w| w.lines <= SNIPPET_LINES_MAX && w.longest <= LINE_BYTES_MAX)
        });
        match groups.last_mut() {
            Some(group) if near => group.push(place),
            _ => groups.push(vec![place]),
        }
    }
    groups
}

/// The whole lines in which some spans stand.
struct Window {
    range: Range<usize>,
    lines: usize,
    longest: usize,
}

fn window(spans: impl Iterator<Item = Span>, sources: &SourceMap) -> Option<Window> {
    let mut range: Option<(Span, Range<usize>)> = None;
    for span in spans {
        let at = span.range();
        range = Some(match range {
            None => (span, at),
            Some((first, r)) => (first, r.start.min(at.start)..r.end.max(at.end)),
        });
    }
    let (span, range) = range?;
    let text = &sources.get(span.source)?.text;
    let bytes = text.as_bytes();
    let (start, end) = (range.start.min(bytes.len()), range.end.min(bytes.len()));
    let start = bytes[..start].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[end..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| end + i);
    let lines = bytes[start..end].split(|b| *b == b'\n');
    let (lines, longest) = lines.fold((0, 0), |(n, longest), line| (n + 1, longest.max(line.len())));
    Some(Window { range: start..end, lines, longest })
}

/// One snippet with its places, or nothing if the source is not known.
fn snippet<'d>(places: &[Place<'d>], sources: &'d SourceMap) -> Vec<Element<'d>> {
    let Some(first) = places.first() else { return Vec::new() };
    let Some(source) = sources.get(first.span.source) else { return Vec::new() };
    let Some(view) = window(places.iter().map(|p| p.span), sources) else { return Vec::new() };
    let (line, column) = sources.line_column(first.span).unwrap_or((1, 1));
    if view.longest > LINE_BYTES_MAX || view.lines > SNIPPET_LINES_MAX {
        let origin = Origin::path(source.name.as_str()).line(line).char_column(column);
        return vec![origin.into(), cut_line(first, &source.text, line).into()];
    }
    let text = &source.text[view.range.clone()];
    let line = first_line(&source.text, view.range.start);
    let annotations = places.iter().map(|place| {
        let span = place.span.range();
        let start = floor(text, span.start.saturating_sub(view.range.start));
        let end = floor(text, span.end.saturating_sub(view.range.start)).max(start);
        annotation(place, start..end)
    });
    vec![
        Snippet::source(text)
            .line_start(line)
            .path(source.name.as_str())
            .fold(true)
            .annotations(annotations)
            .into(),
    ]
}

fn annotation<'d>(place: &Place<'d>, range: Range<usize>) -> annotate_snippets::Annotation<'d> {
    let kind = if place.main { AnnotationKind::Primary } else { AnnotationKind::Context };
    let annotation = kind.span(range);
    if place.label.is_empty() { annotation } else { annotation.label(place.label) }
}

/// A piece of a long line around a place, with dots where it was cut.
fn cut_line<'d>(
    place: &Place<'d>,
    text: &str,
    line: usize,
) -> Snippet<'d, annotate_snippets::Annotation<'d>> {
    let start = floor(text, place.span.start as usize);
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    let from = floor(text, start.saturating_sub(LINE_BYTES_MAX / 3)).max(line_start);
    let to = floor(text, from.saturating_add(LINE_BYTES_MAX)).clamp(start, line_end);
    let end = floor(text, place.span.end as usize).clamp(start, to);
    let (before, after) =
        (if from > line_start { "..." } else { "" }, if to < line_end { "..." } else { "" });
    let shown = format!("{before}{}{after}", &text[from..to]);
    let shift = before.len();
    let range = start - from + shift..end - from + shift;
    Snippet::source(shown).line_start(line).annotation(annotation(place, range))
}

/// The number of the line that starts at byte `start`.
fn first_line(text: &str, start: usize) -> usize {
    text.as_bytes()[..start.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SourceId;

    fn span(source: SourceId, text: &str, word: &str) -> Span {
        let start = text.find(word).unwrap() as u32;
        Span { source, start, end: start + word.len() as u32 }
    }

    #[test]
    fn a_mistake_is_shown_with_its_place_and_cure() {
        let mut sources = SourceMap::default();
        let text = "kind: Deployment\nspec:\n  replcas: 3\n";
        let id = sources.add("shop.yaml", text);
        let mistake = Diagnostic::error("WT0107", "unknown field \"spec.replcas\"")
            .at(span(id, text, "replcas"), "unknown field")
            .help("did you mean `replicas`?");
        assert_eq!(
            render(&[mistake], &sources, false),
            "error[WT0107]: unknown field \"spec.replcas\"\n \
             --> shop.yaml:3:3\n  |\n3 |   replcas: 3\n  |   ^^^^^^^ unknown field\n  |\n  \
             = help: did you mean `replicas`?\n"
        );
    }

    #[test]
    fn places_follow_the_texts_and_what_has_none_comes_last() {
        let mut sources = SourceMap::default();
        let text = "a: 1\nb: 2\n";
        let (one, two) = (sources.add("one.yaml", text), sources.add("two.yaml", text));
        let all = [
            Diagnostic::note("WT0121", "nowhere"),
            Diagnostic::error("WT0107", "fourth").at(span(two, text, "b"), ""),
            Diagnostic::error("WT0107", "second").at(span(one, text, "b"), ""),
            Diagnostic::warning("WT0124", "first").at(span(one, text, "a"), ""),
            Diagnostic::error("WT0107", "third").at(span(two, text, "a"), ""),
        ];
        let out = render(&all, &sources, false);
        let at = |word: &str| out.find(word).unwrap();
        let order = ["first", "second", "third", "fourth", "nowhere"].map(at);
        assert!(order.is_sorted(), "{out}");
        assert!(out.contains("one.yaml:2:1") && out.contains("two.yaml:1:1"));
    }

    #[test]
    fn a_second_place_is_shown_too_near_or_far() {
        let mut sources = SourceMap::default();
        let text = format!("first: 1\n{}second: 2\n", "filler: 0\n".repeat(200));
        let id = sources.add("a.yaml", text.as_str());
        let (first, second) = (span(id, &text, "first"), span(id, &text, "second"));
        let far = Diagnostic::error("WT0102", "twice").at(second, "again").also(first, "before");
        let out = render(&[far], &sources, false);
        assert!(out.contains("a.yaml:202:1") && out.contains("a.yaml:1:1"), "{out}");
        assert!(out.contains("again") && out.contains("before") && out.lines().count() < 16, "{out}");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let mut sources = SourceMap::default();
        let text = format!("{}é!{}", "x".repeat(5_000_000), "y".repeat(5_000_000));
        let id = sources.add("long.yaml", text.as_str());
        let out =
            render(&[Diagnostic::error("WT0101", "bad").at(span(id, &text, "!"), "here")], &sources, false);
        assert!(out.contains("long.yaml:1:5000002") && out.contains("...x") && out.len() < 1000, "{out}");
        let everything = Span { source: id, start: 0, end: text.len() as u32 };
        assert!(
            render(&[Diagnostic::error("WT0101", "bad").at(everything, "")], &sources, false).len() < 1000
        );
    }

    #[test]
    fn many_of_a_kind_are_counted() {
        let sources = SourceMap::default();
        let many = vec![Diagnostic::error("WT0107", "unknown field"); 32];
        let out = render(&many, &sources, false);
        assert_eq!(out.matches("unknown field").count(), 20);
        assert!(out.ends_with("error[WT0107]: and 12 more\n"), "{out}");
        assert_eq!(render(&[], &sources, false), "");
    }

    #[test]
    fn spans_beyond_the_text_and_inside_characters_are_borne() {
        let mut sources = SourceMap::default();
        let id = sources.add("a.yaml", "é\n");
        for (start, end) in [(1, 2), (0, 900), (900, 901), (2, 1), (3, 3)] {
            let span = Span { source: id, start, end };
            let out = render(&[Diagnostic::error("WT0101", "bad").at(span, "here")], &sources, true);
            assert!(out.contains("bad"), "{start}..{end}");
        }
        let nowhere = Span { source: SourceId(7), start: 0, end: 1 };
        assert!(
            render(&[Diagnostic::error("WT0101", "bad").at(nowhere, "")], &sources, false).contains("bad")
        );
    }
}
