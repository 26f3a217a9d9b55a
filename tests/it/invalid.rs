//! What is wrong, and what is said of it: every file of `scenarios/_invalid` with its diagnostics as a snapshot.
//!
//! `INSTA_UPDATE=always cargo test --test it invalid` rewrites the snapshots.

use std::collections::BTreeSet;

use wavetank::base::diag_codes::DIAG_CODES;
use wavetank::base::{Diagnostic, Severity, SourceMap};
use wavetank::cli::files::{DiskFiles, looks_like_scenario};
use wavetank::report::diagnostics;
use wavetank::scenario;

/// Bytes of diagnostics that one file may give; a mistake is not told at the length of the input.
const TOLD_BYTES_MAX: usize = 20_000;

/// The files by name.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir("scenarios/_invalid").unwrap().filter_map(Result::ok);
    let mut files: Vec<String> =
        entries.filter_map(|e| e.file_name().to_str()?.strip_suffix(".yaml").map(str::to_owned)).collect();
    files.sort();
    files
}

/// What `wavetank lint` says of a file.
fn lint(name: &str) -> (Vec<Diagnostic>, SourceMap) {
    let path = format!("scenarios/_invalid/{name}.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut sources = SourceMap::default();
    if looks_like_scenario(&text) {
        let (plan, found) = scenario::load_text(&DiskFiles, &path, &text, &mut sources);
        let refused = found.iter().any(|d| d.severity == Severity::Error);
        assert_eq!(plan.is_none(), refused, "{name}: a plan comes with errors, or none without");
        (found, sources)
    } else {
        let id = sources.add(path, text);
        (scenario::lint_manifests(&sources, &[id]), sources)
    }
}

#[test]
fn every_mistake_is_told_with_its_place_and_cure() {
    let files = files();
    assert!(files.len() >= 25, "the files were not found");
    for name in files {
        let (found, sources) = lint(&name);
        assert!(!found.is_empty(), "{name} is fine");
        let told = diagnostics::render(&found, &sources, false);
        assert!(told.len() < TOLD_BYTES_MAX, "{name}: {} bytes", told.len());
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, told);
        });
    }
}

#[test]
fn every_code_has_a_file_that_shows_it() {
    let seen: BTreeSet<&str> = files().iter().flat_map(|name| lint(name).0).map(|d| d.code).collect();
    let missing: Vec<&str> = DIAG_CODES.iter().map(|c| c.code).filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no file of scenarios/_invalid shows {missing:?}");
}

#[test]
fn every_mistake_has_a_place_in_its_file() {
    for name in files() {
        let (found, sources) = lint(&name);
        for diagnostic in found {
            let place = diagnostic.label.as_ref().and_then(|(span, _)| sources.line_column(*span));
            assert!(place.is_some(), "{name}: {} {}", diagnostic.code, diagnostic.message);
        }
    }
}
