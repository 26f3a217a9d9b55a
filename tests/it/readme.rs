//! What the README shows is what the program says.
//!
//! A fenced block after `<!-- output: ARGUMENTS -->` is the whole output of that call; one after `<!-- excerpt: ARGUMENTS -->`
//! has lines of it, in order, with `…` where some are left out. `UPDATE_DOCS=1` rewrites
//! them; an excerpt's lines are found again by how they end.

use std::process::Command;

use crate::support::scenarios_folder;

fn readme_path() -> String {
    format!("{}/README.md", env!("CARGO_MANIFEST_DIR"))
}

fn output(arguments: &str) -> String {
    let call = Command::new(env!("CARGO_BIN_EXE_wavetank"))
        .args(arguments.split_whitespace())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(call.stdout).unwrap();
    assert!(call.status.success(), "{arguments}: {text}{}", String::from_utf8_lossy(&call.stderr));
    text
}

/// Splits at the first block after a mark: before with fence, block, fence and after.
fn block(text: &str) -> Option<(&str, &str, &str)> {
    let begin = text.find("```text\n")? + "```text\n".len();
    let length = text[begin..].find("```")?;
    Some((&text[..begin], &text[begin..begin + length], &text[begin + length..]))
}

#[test]
fn every_output_is_what_the_program_says() {
    let readme = std::fs::read_to_string(readme_path()).unwrap();
    let mut rewritten = String::new();
    let mut rest = readme.as_str();
    let mut checked = 0;
    while let Some(at) = rest.find("<!-- ") {
        let (before, from) = rest.split_at(at);
        rewritten.push_str(before);
        let (mark, _) = from["<!-- ".len()..].split_once(" -->").expect("a mark has an end");
        let (kind, arguments) = mark.split_once(": ").expect("a mark has a kind and arguments");
        let (head, shown, tail) = block(from).expect("a block follows a mark");
        let said = output(arguments);
        match kind {
            "output" if std::env::var_os("UPDATE_DOCS").is_some() => {
                rewritten.push_str(head);
                rewritten.push_str(&said);
            }
            "output" => {
                assert_eq!(shown, said, "`wavetank {arguments}` says something else");
                rewritten.push_str(&from[..head.len() + shown.len()]);
            }
            "excerpt" if std::env::var_os("UPDATE_DOCS").is_some() => {
                rewritten.push_str(head);
                rewritten.push_str(&renewed(shown, &said, arguments));
            }
            "excerpt" => {
                is_excerpt(shown, &said, arguments);
                rewritten.push_str(&from[..head.len() + shown.len()]);
            }
            other => panic!("an unknown mark: {other}"),
        }
        checked += 1;
        rest = tail;
    }
    rewritten.push_str(rest);
    assert!(checked >= 3, "{checked} blocks were checked");
    if rewritten != readme {
        std::fs::write(readme_path(), rewritten).unwrap();
    }
}

/// What a line says apart from its numbers and the names that change with them: the end of it.
fn gist(line: &str) -> String {
    const LETTERS: usize = 24;
    let letters: Vec<char> =
        line.chars().rev().filter(|c| !c.is_ascii_digit() && *c != '.').take(LETTERS).collect();
    letters.into_iter().collect()
}

/// The same lines as the program says them now.
fn renewed(shown: &str, said: &str, arguments: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let mut next = 0;
    let mut out = String::new();
    for wanted in shown.lines() {
        let mut line = wanted;
        if wanted.trim() != "…" {
            let alike = (next..lines.len()).filter(|at| gist(lines[*at]) == gist(wanted));
            // Of several that end alike the one that does so longest; of these the first.
            let found = alike.rev().max_by_key(|at| common_end(lines[*at], wanted));
            let found = found.unwrap_or_else(|| {
                panic!("`wavetank {arguments}` says nothing like this any more:\n{wanted}")
            });
            (line, next) = (lines[found], found + 1);
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

/// How many characters two lines have in common at their ends.
fn common_end(a: &str, b: &str) -> usize {
    a.chars().rev().zip(b.chars().rev()).take_while(|(a, b)| a == b).count()
}

/// Whether every line but `…` is in the output, in order.
fn is_excerpt(shown: &str, said: &str, arguments: &str) {
    assert!(shown.lines().count() >= 3, "an excerpt of `wavetank {arguments}` with next to nothing in it");
    let mut lines = said.lines();
    for wanted in shown.lines().filter(|line| line.trim() != "…") {
        assert!(
            lines.any(|line| line == wanted),
            "`wavetank {arguments}` does not say, in this place:\n{wanted}"
        );
    }
}

#[test]
fn every_scenario_has_its_row() {
    let readme = std::fs::read_to_string(readme_path()).unwrap();
    for entry in std::fs::read_dir(scenarios_folder()).unwrap().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".yaml") {
            assert!(
                readme.contains(&format!("[{name}](scenarios/{name})")),
                "{name} has no row in README.md"
            );
        }
    }
}
