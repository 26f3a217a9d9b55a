//! The file system behind [`Files`].

use std::io::Read;
use std::path::Path;

use crate::scenario::Files;

/// Bytes that a file may have; what is larger is not read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Real files; `-` is standard input.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFiles;

impl Files for DiskFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let mut content = Vec::new();
        let read = if path == "-" {
            std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut content)
        } else {
            std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content))
        };
        match read {
            Err(error) => Err(told(&error)),
            Ok(size) if size as u64 > FILE_BYTES_MAX => Err("larger than 64 MiB".to_owned()),
            Ok(_) => Ok(content),
        }
    }

    fn expand(&self, pattern: &str) -> Result<Vec<String>, String> {
        if pattern == "-" {
            return Ok(vec![pattern.to_owned()]);
        }
        let path = Path::new(pattern);
        if path.is_dir() {
            return files_of(path);
        }
        if path.exists() || !pattern.contains(['*', '?', '[']) {
            return if path.exists() {
                Ok(vec![pattern.to_owned()])
            } else {
                Err("no such file or folder".to_owned())
            };
        }
        let found = glob::glob(pattern).map_err(|error| error.to_string())?;
        let mut paths: Vec<String> = found
            .filter_map(Result::ok)
            .filter(|p| p.is_file())
            .map(|p| p.to_string_lossy().into_owned())
            .collect();
        paths.sort();
        if paths.is_empty() { Err("matches no file".to_owned()) } else { Ok(paths) }
    }
}

/// An error in words, without the number that the system gives it.
fn told(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder, not a file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The YAML and JSON files of a folder by name, without its subfolders.
fn files_of(folder: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|p| p.is_file() && is_text(p))
        .map(|p| p.to_string_lossy().into_owned())
        .collect();
    paths.sort();
    if paths.is_empty() { Err("the folder has no YAML or JSON file".to_owned()) } else { Ok(paths) }
}

/// All scenario files under a path, subfolders included; folders whose name begins with `_` or `.` are passed over,
/// and so are files that are no scenarios.
///
/// # Errors
/// The path is not there, or a folder cannot be read.
pub fn scenarios_under(path: &str) -> Result<Vec<String>, String> {
    if !Path::new(path).is_dir() {
        return DiskFiles.expand(path);
    }
    Ok(texts_under(path)?.into_iter().filter(|file| is_scenario(Path::new(file))).collect())
}

/// All YAML and JSON files under a path, subfolders included; folders whose name begins with `_` or `.` are passed over.
///
/// # Errors
/// The path is not there, or a folder cannot be read or has none of them.
pub fn texts_under(path: &str) -> Result<Vec<String>, String> {
    let given = Path::new(path);
    if !given.is_dir() {
        return DiskFiles.expand(path);
    }
    let mut found = Vec::new();
    walk(given, 0, &mut found)?;
    found.sort();
    if found.is_empty() { Err("the folder has no YAML or JSON file".to_owned()) } else { Ok(found) }
}

/// Folders inside one another that are followed; a loop of links ends here.
const FOLDERS_DEEP_MAX: usize = 64;

fn walk(folder: &Path, depth: usize, found: &mut Vec<String>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with(['_', '.']) && depth < FOLDERS_DEEP_MAX {
                walk(&path, depth + 1, found)?;
            }
        } else if path.is_file() && is_text(&path) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

/// Whether a file's name says that it is YAML or JSON.
fn is_text(path: &Path) -> bool {
    path.extension().and_then(|e| e.to_str()).is_some_and(|e| matches!(e, "yaml" | "yml" | "json"))
}

/// Whether a file says that it is a scenario.
pub fn is_scenario(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| looks_like_scenario(&text))
}

/// Whether a text says that it is a scenario.
pub fn looks_like_scenario(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "kind: Scenario" || line.starts_with("kind: Scenario "))
        && text.contains("wavetank.dev/")
}
