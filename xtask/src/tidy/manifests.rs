//! Rules about the workspace: reasons for dependencies, crates in ARCHITECTURE.md, numbers of decisions.

use std::collections::BTreeSet;
use std::path::Path;

/// Names that look like crates and are something else.
const NO_CRATES: [&str; 2] = ["kyu-data", "kyu-conformance"];

pub(crate) fn check(root: &Path, findings: &mut Vec<String>) {
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap_or_default();
    reasons(&read("Cargo.toml"), findings);
    let crates = crate_names(root);
    for name in &crates {
        let manifest = format!("crates/{name}/Cargo.toml");
        member(&manifest, name, &read(&manifest), findings);
    }
    architecture(&read("ARCHITECTURE.md"), &crates, findings);
    let files = file_names(&root.join("docs/adr"));
    decisions(&files, findings);
    for name in files.iter().filter(|name| name.ends_with(".md")) {
        heading(name, &read(&format!("docs/adr/{name}")), findings);
    }
}

fn file_names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn crate_names(root: &Path) -> BTreeSet<String> {
    let is_crate = |name: &String| root.join("crates").join(name).join("Cargo.toml").exists();
    file_names(&root.join("crates")).into_iter().filter(is_crate).collect()
}

/// Each dependency of the workspace says why, on its own line or on the line before.
fn reasons(manifest: &str, findings: &mut Vec<String>) {
    let lines =
        manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    let mut explained = false;
    for line in lines.take_while(|line| !line.starts_with('[')) {
        let names_one = line.starts_with(|c: char| c.is_ascii_alphabetic()) && line.contains('=');
        if names_one && !explained && !line.contains('#') && !line.contains("path =") {
            let name = line.split_whitespace().next().unwrap_or_default();
            findings.push(format!("Cargo.toml: {name} has no reason"));
        }
        // A comment explains the line after it; an empty line ends what it explains.
        explained = line.trim_start().starts_with('#') && !line.contains("reason in one line");
    }
}

/// A crate is named like its directory, shares the lints, and takes dependencies from the workspace.
fn member(place: &str, directory: &str, manifest: &str, findings: &mut Vec<String>) {
    if !manifest.contains(&format!("name = \"{directory}\"")) {
        findings.push(format!("{place}: the crate is not named {directory}"));
    }
    if !manifest.contains("[lints]\nworkspace = true") {
        findings.push(format!("{place}: without the lints of the workspace"));
    }
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.contains("dependencies");
        } else if in_dependencies && line.contains('=') && !line.contains("workspace = true") {
            findings.push(format!("{place}: not from the workspace: {line}"));
        }
    }
}

/// Every crate is in ARCHITECTURE.md, and every crate there exists.
fn architecture(text: &str, crates: &BTreeSet<String>, findings: &mut Vec<String>) {
    if text.is_empty() {
        findings.push("ARCHITECTURE.md: missing".to_owned());
        return;
    }
    let named: BTreeSet<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("kyu-") && !NO_CRATES.contains(word))
        .map(|word| word.trim_end_matches('-'))
        .collect();
    for name in
        crates.iter().filter(|name| name.starts_with("kyu-") && !named.contains(name.as_str()))
    {
        findings.push(format!("ARCHITECTURE.md: does not name {name}"));
    }
    let elsewhere = ["kyu-bench"]; // In benches/, outside crates/.
    for name in named.iter().filter(|name| !crates.contains(**name) && !elsewhere.contains(name)) {
        findings.push(format!("ARCHITECTURE.md: names {name}, which does not exist"));
    }
}

/// Decisions are numbered 0001, 0002, ... without gaps and without doubles.
fn decisions(files: &[String], findings: &mut Vec<String>) {
    let mut numbers: Vec<usize> = files
        .iter()
        .filter(|name| name.ends_with(".md"))
        .filter_map(|name| name.split('-').next()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    for (index, number) in numbers.iter().enumerate() {
        if *number != index + 1 {
            findings.push(format!("docs/adr: expected {:04}, found {number:04}", index + 1));
            return;
        }
    }
}

/// A decision's heading is "# 0001: Title", with the number of its file.
fn heading(name: &str, text: &str, findings: &mut Vec<String>) {
    let number = name.split('-').next().unwrap_or_default();
    if number.parse::<usize>().is_ok() && !text.starts_with(&format!("# {number}: ")) {
        findings.push(format!("docs/adr/{name}: the heading must begin with \"# {number}: \""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: impl FnOnce(&mut Vec<String>)) -> Vec<String> {
        let mut findings = Vec::new();
        check(&mut findings);
        findings
    }

    #[test]
    fn dependencies_have_reasons() {
        let manifest = "[workspace.dependencies]\nours = { path = \"x\" }\n\n# Each gives its reason in one line.\n\
                        a = \"1\" # why\nb = \"2\"\n# because\nc = \"3\"\n[next]\nd = 1\n";
        assert_eq!(found(|f| reasons(manifest, f)), ["Cargo.toml: b has no reason"]);
    }

    #[test]
    fn members_follow_the_workspace() {
        let good = "name = \"a\"\n[lints]\nworkspace = true\n[dependencies]\nx.workspace = true\n";
        assert_eq!(found(|f| member("p", "a", good, f)), [""; 0]);
        let bad = "name = \"b\"\n[dependencies]\nx = \"1\"\n";
        assert_eq!(found(|f| member("p", "a", bad, f)).len(), 3);
    }

    #[test]
    fn the_map_and_the_land_agree() {
        let crates = BTreeSet::from(["kyu-a".to_owned(), "kyu-b".to_owned()]);
        let text = "`kyu-a` in crates/kyu-c/ writes ./kyu-data; benches are kyu-bench.";
        let expected = [
            "ARCHITECTURE.md: does not name kyu-b",
            "ARCHITECTURE.md: names kyu-c, which does not exist",
        ];
        assert_eq!(found(|f| architecture(text, &crates, f)), expected);
    }

    #[test]
    fn decisions_have_no_gaps() {
        let files =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let good = files(&["0002-b.md", "0001-a.md", "README.md"]);
        assert_eq!(found(|f| decisions(&good, f)), [""; 0]);
        assert_eq!(found(|f| decisions(&files(&["0001-a.md", "0003-c.md"]), f)).len(), 1);
        assert_eq!(found(|f| decisions(&files(&["0001-a.md", "0001-b.md"]), f)).len(), 1);
    }

    #[test]
    fn headings_bear_the_number_of_their_file() {
        assert_eq!(found(|f| heading("0004-sqs-door.md", "# 0004: The SQS door\n", f)), [""; 0]);
        assert_eq!(found(|f| heading("README.md", "# Decisions\n", f)), [""; 0]);
        for text in ["# 4. The SQS door\n", "# 0004 The SQS door\n", "# 0005: The SQS door\n"] {
            assert_eq!(found(|f| heading("0004-sqs-door.md", text, f)).len(), 1, "{text}");
        }
    }
}
