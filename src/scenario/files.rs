//! Where manifests come from: the core reads no files, it asks.

use std::collections::BTreeMap;

use crate::params::behaviour::glob_matches;

/// Gives the texts that a scenario refers to.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// Why it cannot be read, in a few words.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The files that a path, a folder (its `.yaml`, `.yml` and `.json` files, not its subfolders) or a
    /// glob stands for, in the order of their names.
    ///
    /// # Errors
    /// Why there are none, in a few words.
    fn expand(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Files in memory, for tests and for scenarios that are made by programs.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles {
    files: BTreeMap<String, Vec<u8>>,
}

impl MemoryFiles {
    /// Adds a file.
    #[must_use]
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.insert(normalize(path), content.into());
        self
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.files.get(&normalize(path)).cloned().ok_or_else(|| "no such file".to_owned())
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        let pattern = normalize(pattern);
        if self.files.contains_key(&pattern) {
            return Ok(vec![pattern]);
        }
        let is_manifest = |path: &str| {
            [".yaml", ".yml", ".json"].iter().any(|ext| path.to_ascii_lowercase().ends_with(ext))
        };
        let in_folder = |path: &str| {
            let inside = path.strip_prefix(&pattern).and_then(|rest| rest.strip_prefix('/'));
            inside.is_some_and(|rest| !rest.contains('/')) && is_manifest(path)
        };
        let found: Vec<_> = if pattern.contains(['*', '?']) {
            self.files.keys().filter(|path| glob_matches(&pattern, path)).cloned().collect()
        } else {
            self.files.keys().filter(|path| in_folder(path)).cloned().collect()
        };
        if found.is_empty() { Err("no such file".to_owned()) } else { Ok(found) }
    }
}

/// `path` as seen from the folder of the file `from`; absolute paths stay.
pub fn beside(from: &str, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    match from.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{path}"),
        None => path.to_owned(),
    }
}

/// Takes `.` and `..` out of a path.
fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|p| !p.is_empty() && *p != "..") => {
                parts.pop();
            }
            "" if !parts.is_empty() => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        assert_eq!(beside("a/b/s.yaml", "../m/x.yaml"), "a/b/../m/x.yaml");
        assert_eq!(beside("s.yaml", "m/x.yaml"), "m/x.yaml");
        assert_eq!(beside("a/s.yaml", "/m/x.yaml"), "/m/x.yaml");
        assert_eq!(normalize("a/b/../m/./x.yaml"), "a/m/x.yaml");
        assert_eq!(normalize("../../x"), "../../x");
        assert_eq!(normalize("/a//b/.."), "/a");
    }

    #[test]
    fn folders_and_globs_expand_in_the_order_of_names() {
        let files = MemoryFiles::default()
            .with("m/b.yaml", "")
            .with("m/a.yml", "")
            .with("m/c.txt", "")
            .with("m/sub/d.yaml", "");
        assert_eq!(files.expand("m"), Ok(vec!["m/a.yml".to_owned(), "m/b.yaml".to_owned()]));
        assert_eq!(files.expand("./m/"), Ok(vec!["m/a.yml".to_owned(), "m/b.yaml".to_owned()]));
        assert_eq!(files.expand("m/b.*"), Ok(vec!["m/b.yaml".to_owned()]));
        assert_eq!(files.expand("m/c.txt"), Ok(vec!["m/c.txt".to_owned()]));
        assert!(files.expand("x").is_err() && files.expand("m/z*").is_err());
        assert_eq!(files.read("s/../m/b.yaml"), Ok(Vec::new()));
    }
}
