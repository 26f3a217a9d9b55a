//! The codes of diagnostics: each with a title and one sentence that explains it.
//!
//! WT01xx: manifests. WT02xx: scenarios. WT03xx: expectations. WT04xx: lints.

/// What is known of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagCode {
    /// `WT0107`.
    pub code: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// When it is given, and what to do.
    pub explanation: &'static str,
}

const fn row(code: &'static str, title: &'static str, explanation: &'static str) -> DiagCode {
    DiagCode { code, title, explanation }
}

/// Every code, in order.
pub const DIAG_CODES: &[DiagCode] = &[
    row(
        "WT0101",
        "syntax error",
        "The text is neither YAML nor JSON; templates must be rendered before they are read.",
    ),
    row(
        "WT0102",
        "duplicate key",
        "A mapping has the same key twice, so that one of the two values would be lost.",
    ),
    row(
        "WT0103",
        "input too large",
        "The text asks for more than the reader gives: bytes, documents, values, nesting, or copies made by aliases.",
    ),
    row(
        "WT0104",
        "not a value of JSON",
        "YAML can say things that JSON cannot, such as a mapping as a key or an infinite number; the Kubernetes API is JSON.",
    ),
    row(
        "WT0105",
        "not an object of the API",
        "A document must be an object with `apiVersion` and `kind`; values files, policies and patches are not.",
    ),
    row(
        "WT0106",
        "wrong type",
        "A value is not of the type that the field has in the Kubernetes API, for example a number where a string is wanted.",
    ),
    row(
        "WT0107",
        "unknown field",
        "The field does not exist in this place; it is misspelt, in the wrong case, or indented wrongly.",
    ),
    row(
        "WT0108",
        "not served",
        "Kubernetes v1.34 does not serve this kind in this version; the help names the version to write.",
    ),
    row("WT0110", "required value", "The API server refuses the object because a field is missing or empty."),
    row(
        "WT0111",
        "invalid value",
        "The API server refuses the object because a value is malformed or out of bounds.",
    ),
    row(
        "WT0112",
        "unsupported value",
        "The API server refuses the object because a value is none of those allowed for the field.",
    ),
    row(
        "WT0113",
        "duplicate value",
        "The API server refuses the object because a value that must be unique is given twice.",
    ),
    row(
        "WT0114",
        "forbidden",
        "The API server refuses the object because a field may not be set in this place.",
    ),
    row(
        "WT0115",
        "not found",
        "The API server refuses the object because a value names something that the object does not have, such as a volume.",
    ),
    row("WT0116", "too long", "The API server refuses the object because a value is longer than allowed."),
    row(
        "WT0120",
        "kind without effect",
        "Kubernetes itself does not know this kind: its objects are carried, and nothing acts on them.",
    ),
    row(
        "WT0121",
        "field not simulated",
        "Kubernetes knows the field and a real cluster would act on it; here it has no effect. docs/COVERAGE.md lists such fields.",
    ),
    row(
        "WT0123",
        "kind not simulated",
        "Kubernetes knows the kind and a real cluster would act on its objects; here they are carried without effect.",
    ),
    row(
        "WT0124",
        "not for the API server",
        "The document is the input of another tool and has been left out; render it first if its output is wanted.",
    ),
    row(
        "WT0201",
        "unknown field in a scenario",
        "The scenario file has no such field in this place; it is misspelt or indented wrongly.",
    ),
    row("WT0202", "missing field", "A field that the scenario file must have is not there."),
    row(
        "WT0203",
        "unreadable value",
        "A value is not of the type that the field takes, or cannot be read as one.",
    ),
    row(
        "WT0204",
        "not a scenario",
        "The file is not one document of `apiVersion: wavetank.dev/v1alpha1`, `kind: Scenario`.",
    ),
    row("WT0205", "not a step", "A step is one key beside `at`, and that key is a verb."),
    row(
        "WT0206",
        "unknown kind",
        "The word before the slash is no kind that Kubernetes, or a manifest of the scenario, has.",
    ),
    row(
        "WT0207",
        "file not read",
        "A file that the scenario names cannot be read, or a pattern matches no file.",
    ),
    row(
        "WT0208",
        "unknown instance type",
        "The machine type is not in the built-in catalogue; give `capacity` instead.",
    ),
    row("WT0209", "unknown place", "The cluster of the scenario has no such zone, node or node group."),
    row("WT0210", "duplicate name", "Two things that are known by their names have the same one."),
    row(
        "WT0211",
        "one of several fields",
        "Fields that exclude one another are given together, or none of them is.",
    ),
    row("WT0212", "out of range", "A value is smaller or larger than it may be."),
    row(
        "WT0213",
        "unknown flag",
        "There is no such component or flag; the names are those of upstream's components.",
    ),
    row("WT0214", "unknown version", "The words of this Kubernetes release are not known."),
    row("WT0215", "too much", "The scenario asks for more nodes or files than the limits allow."),
    row(
        "WT0216",
        "manifest not applied",
        "The document can be read, but it is nothing that can be applied to a cluster.",
    ),
    row(
        "WT0217",
        "row not read",
        "A row of a trace or of a file of nodes cannot be read, or the file is no table: a column is missing, or a value is not what its column should hold. `badRows: skip` passes such rows over.",
    ),
    row("WT0301", "not a subject", "An expectation has exactly one subject, such as `pods` or `deployment`."),
    row(
        "WT0302",
        "not a time",
        "An expectation has at most one of `at`, `by` and `during`, and a span ends after it begins.",
    ),
    row(
        "WT0303",
        "unknown cause",
        "The stable name of a cause is misspelt; docs/SCENARIO.md lists all of them.",
    ),
    row("WT0304", "asks nothing", "The expectation names an object and says nothing about it."),
    row(
        "WT0401",
        "undefined object",
        "No manifest or step defines the object that the expectation is about, so it can hardly come true.",
    ),
    row("WT0402", "late step", "The step lies after the end of the run and is never carried out."),
    row(
        "WT0403",
        "idle behaviour",
        "No container of the manifests and steps matches the entry, so it decides nothing.",
    ),
    row(
        "WT0404",
        "immediate binding",
        "Zonal volumes that are made before the Pod has a node may end up in a zone where the Pod cannot run.",
    ),
    row("WT0405", "late expectation", "The expectation looks at the cluster after the end of the run."),
    row(
        "WT0406",
        "undefined target",
        "No manifest or earlier step defines the object that the step acts on.",
    ),
    row(
        "WT0407",
        "same name",
        "Two expectations have the same name, so that reports cannot tell them apart.",
    ),
    row("WT0408", "no nodes", "The manifests have Pods, and the cluster has no nodes for them."),
    row(
        "WT0409",
        "no driver",
        "Claims wait for volumes of a class whose provisioner nobody runs: it is no known driver, and no CSIDriver or CSINode names it.",
    ),
    row(
        "WT0410",
        "data on a node",
        "A hostPath is a directory of the node. A Pod that moves finds another node's directory, and its data stay behind.",
    ),
    row(
        "WT0411",
        "shared disk",
        "Several replicas mount one ReadWriteOnce volume, and only one node at a time can have it: the others wait with a Multi-Attach error.",
    ),
    row(
        "WT0412",
        "no such class",
        "The claim names a StorageClass that neither the manifests nor the steps define, or names none while none is the default; it stays Pending unless a volume of that class, or of none, is there. Clouds bring classes of their own, a simulation does not.",
    ),
    row(
        "WT0413",
        "group over several zones",
        "The cluster autoscaler takes a node group for one zone, the first; the cloud puts the next machine into whichever it likes. A Pod whose volume lies in another zone waits for ever, or for luck. One group for each zone lets the autoscaler choose.",
    ),
    row(
        "WT0414",
        "no volume for a claim",
        "The driver of the claim's class cannot make such a volume: a disk has no ReadWriteMany for file systems, or the cloud has no volume of that type in that size or with those operations per second. The claim stays Pending.",
    ),
];

/// The row of `code`.
pub fn find(code: &str) -> Option<&'static DiagCode> {
    DIAG_CODES.iter().find(|row| row.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Codes between quotes in the sources of `folder`, but for this file.
    fn codes_used(folder: &Path, out: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                codes_used(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("base/diag_codes.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let quoted = text.split('"').filter(|s| s.len() == 6 && s.starts_with("WT"));
                out.extend(quoted.filter(|s| s[2..].bytes().all(|b| b.is_ascii_digit())).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_code_in_use_is_explained_and_every_explained_code_is_in_use() {
        let mut used = BTreeSet::new();
        codes_used(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        let explained: BTreeSet<String> = DIAG_CODES.iter().map(|row| row.code.to_owned()).collect();
        assert_eq!(used, explained);
    }

    #[test]
    fn codes_are_in_order_and_none_is_there_twice() {
        assert!(DIAG_CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(DIAG_CODES.iter().all(|row| row.explanation.ends_with('.') && !row.title.ends_with('.')));
        assert_eq!(find("WT0107").map(|row| row.title), Some("unknown field"));
        assert_eq!(find("WT9999"), None);
    }
}
