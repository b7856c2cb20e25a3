//! The repository's files as the tidy tests read them. Changes nothing.

use std::fs;
use std::path::Path;

/// Folders that hold what was made or fetched, not what was written.
const MADE: &[&str] = &["target", "node_modules", "dist", ".git", "pulseboard-data", ".cache"];

/// Parts of the paths of Rust files that only test; the last writes the page's types.
const TESTS: &[&str] = &["/tests.rs", "/tests/", "src/wire/typescript.rs"];

/// A text file.
pub(crate) struct Source {
    /// From the repository's root, with forward slashes.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Rust without comments, and without the tests at its end.
    pub(crate) code: String,
}

impl Source {
    /// A file of this path and text.
    pub(crate) fn new(path: String, text: String) -> Self {
        let mut source = Self { path, text, code: String::new() };
        if source.is_rust() {
            source.code = code(&source.text);
        }
        source
    }

    fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }

    /// Whether the code holds this path as whole words.
    pub(crate) fn names(&self, path: &str) -> bool {
        words(&self.code, path).next().is_some()
    }

    /// Whether the code names a crate: `name::…`, or `use name`.
    pub(crate) fn names_crate(&self, name: &str) -> bool {
        words(&self.code, name).any(|(before, after)| {
            let path = after.starts_with("::") && !before.ends_with("::");
            let import = before.ends_with("use ") || before.ends_with("extern crate ");
            path || import
        })
    }

    /// Whether the code names a module of its own crate, alone or in a group of imports.
    pub(crate) fn names_module(&self, name: &str) -> bool {
        let grouped = self.code.split("crate::{").skip(1).any(|group| {
            let names = group.split(['}', ';']).next().unwrap_or("");
            words(names, name).any(|(before, _)| !before.ends_with("::"))
        });
        grouped || words(&self.code, name).any(|(before, _)| before.ends_with("crate::"))
    }
}

/// Each place where `name` stands as a whole word: the text before it and after it.
fn words<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '"' || c == '.';
    text.match_indices(name)
        .map(move |(at, _)| (&text[..at], &text[at + name.len()..]))
        .filter(move |(before, after)| !before.ends_with(part) && !after.starts_with(part))
}

/// The Rust files under these places, without those that only test.
pub(crate) fn rust(places: &[&str]) -> Vec<Source> {
    let ours = |file: &Source| places.iter().any(|place| file.path.starts_with(place));
    let tests = |file: &Source| TESTS.iter().any(|part| file.path.contains(part));
    texts().into_iter().filter(|file| file.is_rust() && ours(file) && !tests(file)).collect()
}

/// Every text file of the repository.
pub(crate) fn texts() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
        .to_owned();
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    assert!(files.len() > 50, "the repository was not found");
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let path = entry.expect("the repository can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if MADE.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            walk(root, &path, files);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path
                .strip_prefix(root)
                .expect("walked from there")
                .to_string_lossy()
                .replace('\\', "/");
            files.push(Source::new(path, text));
        }
    }
}

/// Lines of Rust that are not comments, up to a module of tests at the end of the file.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}
