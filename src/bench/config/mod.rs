//! Workloads from a file in the format of upstream's `performance-config.yaml`, with its templates beside it.
//!
//! Upstream: `test/integration/scheduler_perf/scheduler_perf.go` (`testCase`, `workload`), v1.34.
//!
//! # Fidelity
//! Feature gates, labels, thresholds and the choice of metrics are read and not used; `updateAny` and the operations on
//! resource claims are refused. Templates are filled in with `{{.Index}}` and `{{.Count}}`, and no other directive.

mod ops;
mod tables;

use crate::api::manifest::tree::{Limits, Tree, read_documents};
use crate::base::{Arc, Diagnostic, SourceMap, Span};
use crate::scenario::files::beside;
use crate::scenario::read::{Fields, Reader};
use crate::scenario::{Files, code, scalar};
use crate::scheduler::Config;

use super::template::Template;
use super::workload::{Case, Size};

/// Reads the file at `path` and the templates that it names. The cases count only if no diagnostic is an error.
pub fn load(files: &dyn Files, path: &str, sources: &mut SourceMap) -> (Vec<Case>, Vec<Diagnostic>) {
    let text = match read_text(files, path) {
        Ok(text) => text,
        Err(why) => return (Vec::new(), vec![Diagnostic::error(code::FILE, format!("`{path}`: {why}"))]),
    };
    let id = sources.add(path, text.as_str());
    let (documents, diagnostics) = read_documents(id, &text, &Limits::default());
    let mut source = Source { files, path, reader: Reader::new(sources) };
    source.reader.diagnostics.extend(diagnostics);
    let cases: Vec<Case> = match &documents[..] {
        [list] => {
            let elements = source.reader.elements(list, "test case");
            elements.iter().filter_map(|tree| source.case(tree)).collect()
        }
        _ => Vec::new(),
    };
    if cases.is_empty() && source.reader.diagnostics.is_empty() {
        let whole = Span { source: id, start: 0, end: 0 };
        source.reader.cure::<()>(
            code::BAD_VALUE,
            whole,
            "there is no workload in the file",
            "write a list of test cases, each with `name`, `workloadTemplate` and `workloads`",
        );
    }
    (cases, source.reader.diagnostics)
}

fn read_text(files: &dyn Files, path: &str) -> Result<String, String> {
    String::from_utf8(files.read(path)?).map_err(|_| "the file is not text in UTF-8".to_owned())
}

/// A file of workloads that is being read.
struct Source<'a> {
    files: &'a dyn Files,
    path: &'a str,
    reader: Reader<'a>,
}

impl Source<'_> {
    fn case(&mut self, tree: &Tree) -> Option<Case> {
        let fields = Fields::open(&mut self.reader, tree, &tables::CASE)?;
        let name = fields.read(&mut self.reader, "name", scalar::name);
        let default = fields.get("defaultPodTemplatePath").and_then(|tree| self.template(tree));
        let config = fields.get("schedulerConfigPath").and_then(|tree| self.config(tree));
        let sizes = fields.each(&mut self.reader, "workloads", size);
        let mut all = Vec::new();
        if let Some(list) = fields.get("workloadTemplate") {
            for op in self.reader.elements(list, "operation") {
                all.extend(self.op(op, default.as_ref(), &sizes));
            }
        }
        if sizes.is_empty() {
            let span = fields.key_span("workloads");
            return self.reader.error(code::MISSING_FIELD, span, "a test case has at least one workload");
        }
        Some(Case { name: name?.to_string(), ops: all, sizes, config: config.unwrap_or_default() })
    }

    /// The text of a file that is named in this one, beside which it lies.
    fn named_tree(&mut self, tree: &Tree) -> Option<Tree> {
        let path = beside(self.path, &scalar::name(&mut self.reader, tree)?);
        let text: Arc<str> = match read_text(self.files, &path) {
            Ok(text) => text.into(),
            Err(why) => {
                return self.reader.cure(
                    code::FILE,
                    tree.span,
                    format!("`{path}`: {why}"),
                    "paths are relative to the file that names them",
                );
            }
        };
        let id = self.reader.sources.add(path, Arc::clone(&text));
        let (mut documents, diagnostics) = read_documents(id, &text, &Limits::default());
        self.reader.diagnostics.extend(diagnostics);
        (documents.len() == 1)
            .then(|| documents.remove(0))
            .or_else(|| self.reader.error(code::BAD_MANIFEST, tree.span, "the file should hold one object"))
    }

    /// A template; it is tried out once, so that its mistakes are told before anything runs.
    fn template(&mut self, tree: &Tree) -> Option<Template> {
        let template = Template::new(self.named_tree(tree)?.to_json());
        match super::template::object(template.manifest(0, 1), "", "tried-out") {
            Ok(_) => Some(template),
            Err(why) => self.reader.error(code::BAD_MANIFEST, tree.span, why),
        }
    }

    fn config(&mut self, tree: &Tree) -> Option<Config> {
        let json = self.named_tree(tree)?.to_json();
        match Config::from_json(&json) {
            Ok(config) => Some(config),
            Err(errors) => self.reader.error(code::BAD_MANIFEST, tree.span, errors.join("; ")),
        }
    }
}

fn size(reader: &mut Reader<'_>, tree: &Tree) -> Option<Size> {
    let fields = Fields::open(reader, tree, &tables::WORKLOAD)?;
    let name = fields.read(reader, "name", scalar::name);
    let labels = fields.each(reader, "labels", scalar::text);
    let mut size = Size { usual: labels.iter().any(|l| l == "performance"), ..Size::default() };
    if let Some(params) = fields.get("params") {
        for (key, tree) in reader.entries(params, "numbers by parameter") {
            if let Some(number) = scalar::integer::<usize>(reader, tree) {
                size.params.insert(key.text.clone(), number);
            }
        }
    }
    size.name = name?.to_string();
    Some(size)
}

#[cfg(test)]
mod tests;
