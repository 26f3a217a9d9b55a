//! The rules of the house, kept by a test: layers, who may know whom, sizes, words, and pages made from the code.
//!
//! Sources are read as text: comments and literals are blanked out, tests are cut off, and every path that begins
//! with `crate`, `super` or `self` is resolved. `UPDATE_DOCS=1 cargo test --test tidy` rewrites the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Imports within a layer that are allowed: from, to (a module and what is in it), why.
const SIDE_EDGES: &[(&str, &str, &str)] = &[
    ("facts", "store", "a fact carries the change as the store made it"),
    ("plan", "expect", "a plan carries expectations as data"),
    ("autoscaler", "scheduler::framework", "one placement code for both, as upstream embeds it"),
    ("autoscaler", "cloud", "it asks the cloud for machines"),
];

/// What a module never imports though its layer would allow it: from, to, why.
const NEVER: &[(&str, &str, &str)] = &[
    ("sim", "scenario", "the engine runs plans; a scenario file is one way to write one"),
    ("expect", "sim", "expectations are judged over facts and the store"),
    ("expect", "cloud", "expectations are judged over facts and the store"),
];

/// Lines that a source file may have.
const LINES_MAX: usize = 800;

/// Lists of equal things, which may be longer.
const LONG_LISTS: &[&str] = &["src/scenario/tables.rs"];

/// What code of the core never says: the outer world, and what differs from run to run.
const CORE_NEVER: &[&str] = &[
    "std::fs",
    "std::env",
    "std::io",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::thread",
    "std::process",
    "Instant",
    "SystemTime",
    "HashMap",
    "HashSet",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
    "dbg!",
];

/// Who may say what the core never says: file, words, why.
const CORE_BUT: &[(&str, &[&str], &str)] = &[
    ("src/base/lookup.rs", &["HashMap", "HashSet"], "the wrapper that has no iterator"),
    ("src/trace/rows.rs", &["std::io"], "decoders read through the standard trait, from memory only"),
];

/// Layers that make up the core.
const CORE_LAYERS: std::ops::RangeInclusive<u32> = 0..=6;

/// Crates with one door: crate, the modules that may name it.
const DOORS: &[(&[&str], &[&str])] = &[
    (&["rand", "rand_chacha"], &["kernel::rng"]),
    (&["xxhash_rust"], &["kernel::digest"]),
    (&["granit_parser"], &["api::manifest", "scenario"]),
    (&["annotate_snippets"], &["report"]),
    (&["clap", "clap_complete", "indicatif", "anstream", "rustix"], &["cli"]),
    (&["rayon"], &["cli"]),
    (&["quick_junit"], &["report"]),
    (&["csv", "flate2"], &["trace"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A source file of the library.
struct Source {
    /// `src/kernel/rng.rs`.
    path: String,
    /// The module it is, `["kernel", "rng"]`.
    module: Vec<String>,
    /// As written.
    text: String,
    /// Without comments, literals and tests; empty for files of tests.
    code: String,
}

impl Source {
    fn top(&self) -> &str {
        self.module.first().map_or("", String::as_str)
    }

    fn is_within(&self, module: &str) -> bool {
        let parts: Vec<&str> = module.split("::").collect();
        self.module.len() >= parts.len() && parts.iter().zip(&self.module).all(|(a, b)| a == b)
    }
}

/// All files below a folder with this ending, by path.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return out };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned()
}

fn sources() -> Vec<Source> {
    let all: Vec<Source> = files(&root().join("src"), ".rs").iter().map(|p| read_source(p)).collect();
    assert!(all.len() > 100, "the sources were not found");
    all
}

fn read_source(path: &Path) -> Source {
    let text = std::fs::read_to_string(path).unwrap();
    let path = relative(path);
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod")) || matches!(inner, "lib" | "main") {
        module.pop();
    }
    let is_test = module.iter().any(|m| matches!(m.as_str(), "tests" | "testing" | "testkit"));
    let code = if is_test { String::new() } else { without_tests(&blank(&text)).to_owned() };
    Source { path, module, text, code }
}

/// The text with comments and the insides of literals replaced by spaces.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        match end {
            Some(end) => {
                for byte in &mut out[at..end] {
                    if *byte != b'\n' {
                        *byte = b' ';
                    }
                }
                at = end;
            }
            None => at += 1,
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; none if none begins there.
fn literal_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let find = |needle: &[u8], from: usize| {
        rest[from..].windows(needle.len()).position(|w| w == needle).map(|p| at + from + p + needle.len())
    };
    let after_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest {
        [b'/', b'/', ..] => Some(find(b"\n", 0).map_or(bytes.len(), |end| end - 1)),
        [b'/', b'*', ..] => Some(find(b"*/", 2).unwrap_or(bytes.len())),
        [b'r', b'"' | b'#', ..] if !after_word => {
            let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
            (rest.get(1 + hashes) == Some(&b'"')).then(|| {
                let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
                find(&close, 2 + hashes).unwrap_or(bytes.len())
            })
        }
        [b'"', ..] => {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'"' {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            Some((at + end + 1).min(bytes.len()))
        }
        [b'\'', b'\\', ..] => find(b"'", 3),
        [b'\'', _, b'\'', ..] => Some(at + 3),
        _ => None,
    }
}

/// The code up to the module of unit tests, which by custom comes last.
fn without_tests(code: &str) -> &str {
    let cut = code.match_indices("#[cfg(test)]").find(|(at, _)| {
        let rest = code[at + "#[cfg(test)]".len()..].trim_start();
        rest.starts_with("mod ") || rest.starts_with("pub mod ") || rest.starts_with("pub(crate) mod ")
    });
    cut.map_or(code, |(at, _)| &code[..at])
}

/// Every path of the file that begins within this crate, from the crate's root.
fn imports(source: &Source) -> BTreeSet<Vec<String>> {
    let tokens = tokens(&source.code);
    let mut out = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(tokens[at], "crate" | "super" | "self")
            && tokens.get(at + 1) == Some(&"::")
            && (at == 0 || tokens[at - 1] != "::");
        if begins {
            let mut base = match tokens[at] {
                "crate" => Vec::new(),
                "self" => source.module.clone(),
                _ => parent(&source.module),
            };
            let mut next = at + 2;
            while tokens.get(next) == Some(&"super") {
                base = parent(&base);
                next += 2;
            }
            expand(&tokens, &mut next, &base, &mut out);
            at = next.max(at + 1);
        } else {
            at += 1;
        }
    }
    out
}

fn parent(module: &[String]) -> Vec<String> {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// Reads one use-tree from `at` on.
fn expand(tokens: &[&str], at: &mut usize, base: &[String], out: &mut BTreeSet<Vec<String>>) {
    let mut path = base.to_vec();
    loop {
        match tokens.get(*at) {
            Some(&"{") => {
                *at += 1;
                while !matches!(tokens.get(*at), None | Some(&"}")) {
                    let before = *at;
                    expand(tokens, at, &path, out);
                    if *at == before || tokens.get(*at) == Some(&",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            Some(word) if is_word(word) => path.push((*word).to_owned()),
            _ => {
                out.insert(path);
                return;
            }
        }
        *at += 1;
        if tokens.get(*at) != Some(&"::") {
            out.insert(path);
            return;
        }
        *at += 1;
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(code: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            out.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out
}

/// The table of `src/lib.rs`: module and layer, in its order.
fn table() -> Vec<(String, u32)> {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("//! |")?.split('|');
        let layer = cells.next()?.trim().parse().ok()?;
        let module = cells.next()?.trim().trim_start_matches("[`").trim_end_matches("`]");
        Some((module.to_owned(), layer))
    });
    rows.collect()
}

/// Fails with a list of what is wrong.
fn expect_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn the_map_names_every_module_in_the_order_of_layers() {
    let table = table();
    assert!(
        table.windows(2).all(|w| w[0].1 <= w[1].1),
        "the table of src/lib.rs is not in the order of layers"
    );
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let named: BTreeSet<&str> = table.iter().map(|(name, _)| name.as_str()).chain(["testkit"]).collect();
    assert_eq!(named, declared.iter().copied().collect(), "table and `pub mod`s of src/lib.rs differ");
    let layers: BTreeMap<&str, u32> = table.iter().map(|(name, layer)| (name.as_str(), *layer)).collect();
    let order: Vec<u32> = declared.iter().filter_map(|name| layers.get(name).copied()).collect();
    assert!(order.is_sorted(), "`pub mod`s of src/lib.rs are not in the order of layers");
    let entries = std::fs::read_dir(root().join("src")).unwrap().filter_map(Result::ok);
    let folders: BTreeSet<String> = entries
        .filter_map(|e| e.file_name().to_str().map(|n| n.trim_end_matches(".rs").to_owned()))
        .filter(|name| !matches!(name.as_str(), "lib" | "main"))
        .collect();
    assert_eq!(named, folders.iter().map(String::as_str).collect(), "the map and the folders of src differ");
}

#[test]
fn a_module_imports_lower_layers_only() {
    let layers: BTreeMap<String, u32> = table().into_iter().collect();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    for source in sources().iter().filter(|s| layers.contains_key(s.top())) {
        for path in imports(source) {
            let Some(to) = path.first().filter(|to| layers.contains_key(*to) && *to != source.top()) else {
                continue;
            };
            let whole = path.join("::");
            let inside = |edge: &str| whole == edge || whole.starts_with(&format!("{edge}::"));
            let side = SIDE_EDGES.iter().find(|(a, b, _)| *a == source.top() && inside(b));
            used.extend(side.map(|(a, b, _)| (*a, *b)));
            let allowed = layers[to] < layers[source.top()] || side.is_some();
            let forbidden = NEVER.iter().any(|(a, b, _)| *a == source.top() && b == to);
            if !allowed || forbidden {
                found.push(format!("{} imports {}", source.path, path.join("::")));
            }
        }
    }
    expect_none("imports that the layers forbid", &found);
    for (from, to, _) in SIDE_EDGES {
        assert!(
            used.contains(&(*from, *to)),
            "nothing of {from} imports {to}; take the edge out of SIDE_EDGES"
        );
    }
}

#[test]
fn controllers_talk_through_the_store() {
    let table = std::fs::read_to_string(root().join("src/controller/table.rs")).unwrap();
    let source = read_source(&root().join("src/controller/table.rs"));
    let shared = ["framework", "common", "table", "queue", "manager"];
    let controllers: BTreeSet<String> = imports(&source)
        .into_iter()
        .filter(|path| path.len() > 2 && path[0] == "controller")
        .map(|path| path[1].clone())
        .filter(|name| !shared.contains(&name.as_str()))
        .collect();
    assert!(controllers.len() >= 9, "few controllers were found in the table:\n{table}");
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| s.is_within("controller")) {
        let Some(own) = source.module.get(1).filter(|own| controllers.contains(*own)) else { continue };
        for path in imports(source) {
            if path.first().is_some_and(|p| p == "controller")
                && path.get(1).is_some_and(|other| other != own && controllers.contains(other))
            {
                found.push(format!("{} imports {}", source.path, path.join("::")));
            }
        }
    }
    expect_none("controllers that know one another", &found);
}

#[test]
fn plugins_are_pure_functions_of_pod_snapshot_and_arguments() {
    let all = sources();
    let plugins: BTreeSet<&str> = all
        .iter()
        .filter(|s| s.is_within("scheduler::plugins"))
        .filter_map(|s| s.module.get(2).map(String::as_str))
        .collect();
    let mut found = Vec::new();
    for source in all.iter().filter(|s| s.is_within("scheduler::plugins") && s.module.len() > 2) {
        for path in imports(source) {
            let words: Vec<&str> = path.iter().map(String::as_str).collect();
            let other = match &words[..] {
                ["store", ..] => true,
                ["scheduler", "plugins", other, ..] => {
                    *other != source.module[2] && plugins.contains(other) && !is_shared_by_plugins(other)
                }
                _ => false,
            };
            if other {
                found.push(format!("{} imports {}", source.path, path.join("::")));
            }
        }
    }
    expect_none("plugins that know more than they may", &found);
}

/// Modules beside the plugins that hold what several of them share.
fn is_shared_by_plugins(module: &str) -> bool {
    matches!(module, "csi_migration" | "node_resources" | "normalize" | "registry")
}

#[test]
fn the_core_is_pure() {
    let layers: BTreeMap<String, u32> = table().into_iter().collect();
    let mut found = Vec::new();
    for source in sources().iter().filter(|s| layers.get(s.top()).is_some_and(|l| CORE_LAYERS.contains(l))) {
        let tokens = tokens(&source.code);
        for never in CORE_NEVER {
            let wanted = self::tokens(never);
            let says = tokens.windows(wanted.len()).any(|w| w == wanted);
            let may = CORE_BUT.iter().any(|(path, words, _)| *path == source.path && words.contains(never));
            if says && !may {
                found.push(format!("{} says {never}", source.path));
            }
        }
    }
    expect_none("the outer world in the core", &found);
}

#[test]
fn every_heavy_crate_has_one_door() {
    let mut found = Vec::new();
    for source in &sources() {
        let tokens = tokens(&source.code);
        for (crates, doors) in DOORS {
            let names = tokens.windows(2).any(|w| crates.contains(&w[0]) && w[1] == "::");
            if names && !doors.iter().any(|door| source.is_within(door)) {
                found.push(format!("{} names one of {crates:?}; only {doors:?} may", source.path));
            }
        }
    }
    expect_none("crates that are used past their door", &found);
}

#[test]
fn observers_do_not_steer_and_only_the_engine_holds_the_world() {
    let mut found = Vec::new();
    for source in &sources() {
        let says = |text: &str| {
            let wanted = tokens(text);
            tokens(&source.code).windows(wanted.len()).any(|w| w == wanted)
        };
        if !source.is_within("sim") && says("&mut World") {
            found.push(format!("{} takes &mut World", source.path));
        }
        let observes = ["facts", "report", "expect"].iter().any(|m| source.is_within(m));
        for steered in ["&mut Store", "&mut Manager", "&mut Kubelets", "&mut SchedulerDriver"] {
            if observes && says(steered) {
                found.push(format!("{} takes {steered}", source.path));
            }
        }
    }
    expect_none("observers that steer", &found);
}

#[test]
fn files_are_short_enough_to_read() {
    let mut found = Vec::new();
    let tests = files(&root().join("tests"), ".rs").into_iter();
    for path in files(&root().join("src"), ".rs").into_iter().chain(tests) {
        let name = relative(&path);
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        if lines > LINES_MAX && !LONG_LISTS.contains(&name.as_str()) {
            found.push(format!("{name} has {lines} lines"));
        }
    }
    for list in LONG_LISTS {
        assert!(root().join(list).is_file(), "{list} is gone; take it out of LONG_LISTS");
    }
    expect_none("files of more than 800 lines", &found);
}

#[test]
fn the_project_speaks_of_itself_only() {
    // Put together here, so that this file passes its own test.
    let paths = ["work", "root", "home"].map(|folder| format!("/{folder}/"));
    let markers =
        [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("], ["language ", "model"]];
    let markers = markers.map(|parts| parts.concat());
    let authors = [["co-", "authored"], ["chat", "gpt"], ["co", "pilot"], ["as an ", "assistant"]];
    let authors = authors.map(|parts| parts.concat());
    let mut found = Vec::new();
    for folder in ["src", "tests", "scenarios", "docs", "benches"] {
        let endings = [".rs", ".md", ".yaml", ".yml", ".json", ".csv", ".snap"];
        for path in endings.iter().flat_map(|ending| files(&root().join(folder), ending)) {
            judge_words(&path, &paths, &markers, &authors, &mut found);
        }
    }
    for name in ["README.md", "CHANGELOG.md", "Cargo.toml", ".ci/run"] {
        let path = root().join(name);
        assert!(path.is_file(), "{name} is missing");
        judge_words(&path, &paths, &markers, &authors, &mut found);
    }
    expect_none("words that have no place here", &found);
}

fn judge_words(
    path: &Path,
    paths: &[String],
    markers: &[String],
    authors: &[String],
    found: &mut Vec<String>,
) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    for (number, line) in text.lines().enumerate() {
        // A path is absolute if nothing of a longer path or address stands before it.
        let absolute = paths.iter().find(|p| {
            line.match_indices(p.as_str()).any(|(at, _)| {
                !line[..at]
                    .ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | '$'))
            })
        });
        let marker = markers.iter().find(|m| line.contains(m.as_str()));
        let lower = line.to_lowercase();
        let author = authors.iter().find(|a| lower.contains(a.as_str()));
        for word in [absolute, marker, author].into_iter().flatten() {
            found.push(format!("{}:{}: {word}", relative(path), number + 1));
        }
    }
}

/// The paragraphs under `# Fidelity` of a file's doc comments, each with the name of the item it belongs to.
fn fidelity(source: &Source) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let lines: Vec<&str> = source.text.lines().collect();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_start();
        let Some(mark) =
            ["//!", "///"].into_iter().find(|m| line.strip_prefix(m).map(str::trim) == Some("# Fidelity"))
        else {
            at += 1;
            continue;
        };
        let mut text = String::new();
        at += 1;
        while let Some(more) = lines.get(at).and_then(|l| l.trim_start().strip_prefix(mark)) {
            if more.trim_start().starts_with("# ") {
                break;
            }
            text.push_str(more.strip_prefix(' ').unwrap_or(more).trim_end());
            text.push('\n');
            at += 1;
        }
        let item = if mark == "//!" { String::new() } else { item_name(&lines[at..]) };
        out.push((item, text.trim().to_owned()));
    }
    out
}

/// The name of the item that the next lines declare.
fn item_name(lines: &[&str]) -> String {
    let line =
        lines.iter().map(|l| l.trim()).find(|l| !l.starts_with("///") && !l.starts_with("#[")).unwrap_or("");
    let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let kinds = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];
    let named = words.windows(2).find(|w| kinds.contains(&w[0])).map(|w| w[1]);
    named.unwrap_or_else(|| words.iter().find(|w| !w.is_empty()).copied().unwrap_or("")).to_owned()
}

fn fidelity_page() -> String {
    let mut out = String::from(
        "# Where wavetank departs from Kubernetes\n\nCollected from the `# Fidelity` headings of the sources by \
         `tests/tidy.rs`. What is not listed here is meant to be\nas in Kubernetes v1.34; what differs and is not \
         listed is a bug.\n",
    );
    let layers = table();
    for (module, _) in &layers {
        let mut section = String::new();
        for source in sources().iter().filter(|s| s.top() == module) {
            for (item, text) in fidelity(source) {
                let place = source.path.trim_start_matches("src/");
                let item = if item.is_empty() { String::new() } else { format!(", `{item}`") };
                let _ = write!(section, "\n### `{place}`{item}\n\n{text}\n");
            }
        }
        if !section.is_empty() {
            let _ = write!(out, "\n## {module}\n{section}");
        }
    }
    out
}

#[test]
fn the_page_of_departures_is_the_sum_of_the_headings() {
    let page = fidelity_page();
    let path = root().join("docs/FIDELITY.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page, "docs/FIDELITY.md is old; run `UPDATE_DOCS=1 cargo test --test tidy`");
}

#[test]
fn every_dependency_has_its_line() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/DEPENDENCIES.md")).unwrap_or_default();
    let mut within = false;
    let mut missing = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            within = matches!(line, "[dependencies]" | "[dev-dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| within)
            && !page.contains(&format!("`{name}`"))
        {
            missing.push(name.to_owned());
        }
    }
    expect_none("dependencies without a line in docs/DEPENDENCIES.md", &missing);
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let source = Source {
        path: "src/a/b/c.rs".to_owned(),
        module: ["a", "b", "c"].map(str::to_owned).to_vec(),
        text: String::new(),
        code: without_tests(&blank(
            "use crate::x::{y::{self, Z}, w};\n// crate::comment\nfn f() { super::super::q::g(\"crate::text\", 'c'); \
             self::inner::h() }\nstatic S: &str = r#\"crate::raw \" \"#;\n#[cfg(test)]\nmod tests { use crate::t; }",
        ))
        .to_owned(),
    };
    let found: Vec<String> = imports(&source).into_iter().map(|p| p.join("::")).collect();
    assert_eq!(found, ["a::b::c::inner::h", "a::q::g", "x::w", "x::y::Z", "x::y::self"]);
}
