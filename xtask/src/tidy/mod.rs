//! The rules of the tree, checked by a test: what a reviewer should not have to say twice.

use std::path::{Path, PathBuf};

use crate::run::{Failure, step_by};

mod manifests;
mod rust;
mod source;

/// Lines of a file without its tests. Beyond this, look for the missing concept.
const MAX_FILE_LINES: usize = 800;
/// Lines of a function, from its `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// Files that are a table, one row a line or two: nobody reads them from top to bottom, and cutting
/// the table would lose the compiler's check that it is complete.
const TABLES: [&str; 2] =
    ["crates/kyu-aws/src/error.rs", "crates/kyu-engine/src/queue/message_codec.rs"];
/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "common", "manager", "helper", "helpers", "misc", "shared_code"];
/// Directories that hold no source of ours.
const NOT_OURS: [&str; 5] = ["target", "node_modules", ".git", "kyu-data", "__pycache__"];

/// All rules, as a step.
pub(crate) fn step() -> Result<(), Failure> {
    step_by("tidy", "cargo xtask tidy", || {
        let findings = check(&crate::root());
        if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
    })
}

/// What breaks a rule, one line each: the place first.
fn check(root: &Path) -> Vec<String> {
    let mut findings = Vec::new();
    let mut files = Vec::new();
    walk(root, &mut files);
    files.sort();
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        check_name(&name, &mut findings);
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        check_markers(&name, &text, &mut findings);
        if name.ends_with(".rs") {
            rust::check(&name, &text, &mut findings);
        } else if text.lines().count() > MAX_FILE_LINES {
            findings.push(too_long(&name, text.lines().count()));
        }
    }
    manifests::check(root, &mut findings);
    findings
}

fn too_long(name: &str, lines: usize) -> String {
    format!("{name}: {lines} lines, at most {MAX_FILE_LINES}; look for the missing concept")
}

/// Files of code below a directory.
fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if !NOT_OURS.contains(&name.as_str())
                && !name.starts_with("target-")
                && !name.starts_with(".venv")
            {
                walk(&path, files);
            }
        } else if [".rs", ".py", ".js", ".ts"].iter().any(|end| name.ends_with(end)) {
            files.push(path);
        }
    }
}

fn check_name(name: &str, findings: &mut Vec<String>) {
    let parts = name.split('/').map(|part| part.split('.').next().unwrap_or_default());
    for part in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        findings.push(format!("{name}: `{part}` does not say what is inside"));
    }
}

/// An open end names its class (`TODO-limits:`), so that they can be counted and ordered.
fn check_markers(name: &str, text: &str, findings: &mut Vec<String>) {
    for (index, line) in text.lines().enumerate() {
        for marker in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
            let Some(at) = line.find(marker) else { continue };
            let after = line.get(at + marker.len()..).unwrap_or_default();
            let classed = after
                .strip_prefix('-')
                .is_some_and(|class| class.starts_with(|c: char| c.is_ascii_lowercase()));
            if !classed {
                findings.push(format!("{name}:{}: {marker} without a class", index + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = check(&crate::root());
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    #[test]
    fn empty_names_are_found() {
        let mut findings = Vec::new();
        check_name("crates/kyu-log/src/util.rs", &mut findings);
        check_name("crates/kyu-log/src/common/mod.rs", &mut findings);
        check_name("crates/kyu-log/src/commonly.rs", &mut findings);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn open_ends_need_a_class() {
        let marker = concat!("TO", "DO");
        let mut findings = Vec::new();
        check_markers("a.rs", &format!("// {marker}-limits: x\n// {marker}: y\n"), &mut findings);
        assert_eq!(findings, [format!("a.rs:2: {marker} without a class")]);
    }
}
