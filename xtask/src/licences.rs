//! Licences, sources and bans of all dependencies, by the rules of `deny.toml`.
//!
//! `cargo deny` does this and more, but compiling it takes minutes. Where it is installed it is run;
//! where it is not, this check reads the same rules. It knows no security advisories: their database
//! is not in a package registry.

use serde_json::Value;

use crate::run::{Failure, Run, step_by};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(crate) fn step() -> Result<(), Failure> {
    let deny = Run::cargo(["deny", "--version"]);
    if deny.succeeds() {
        let checks = ["deny", "--all-features", "check", "bans", "licenses", "sources"];
        return Run::cargo(checks).step("cargo deny");
    }
    step_by("licences", "cargo xtask licences", check)
}

fn check() -> Result<(), String> {
    let rules =
        std::fs::read_to_string(crate::root().join("deny.toml")).map_err(|e| e.to_string())?;
    let metadata = Run::cargo(["metadata", "--format-version", "1", "--locked", "--all-features"]);
    let metadata: Value =
        serde_json::from_str(&metadata.output()?).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    let (findings, versions) = judge(packages, &rules);
    for repeated in versions {
        println!("note: {repeated}");
    }
    if findings.is_empty() {
        println!("{} packages", packages.len());
        return Ok(());
    }
    Err(findings.join("\n"))
}

/// (what breaks a rule, what is there in several versions)
fn judge(packages: &[Value], rules: &str) -> (Vec<String>, Vec<String>) {
    let allowed = list(rules, "allow");
    let banned = list(rules, "deny");
    let mut findings = Vec::new();
    let mut versions = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        versions.entry(name).or_default().push(version);
        if !is_allowed(text("license"), &allowed) {
            findings
                .push(format!("{name} {version}: licence {:?} is not allowed", text("license")));
        }
        if banned.iter().any(|ban| ban == name) {
            findings.push(format!("{name} {version} is banned"));
        }
        if !package["source"].is_null() && text("source") != CRATES_IO {
            findings.push(format!("{name} {version} comes from {}", text("source")));
        }
    }
    let repeated = versions.into_iter().filter(|(_, found)| found.len() > 1);
    (findings, repeated.map(|(name, found)| format!("{name} in {}", found.join(" and "))).collect())
}

/// The strings of a multi-line TOML array that begins with `NAME = [`.
fn list(rules: &str, name: &str) -> Vec<String> {
    let begin = format!("{name} = [");
    let lines = rules.lines().skip_while(|line| line.trim() != begin).skip(1);
    lines
        .take_while(|line| line.trim() != "]")
        .filter_map(|line| line.split('"').nth(1))
        .map(str::to_owned)
        .collect()
}

/// Whether an SPDX expression can be met with allowed licences only.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    // The old form `MIT/Apache-2.0` means `OR`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    any_of(&mut words, allowed) && words.is_empty()
}

fn any_of(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    let mut result = all_of(words, allowed);
    while words.last() == Some(&"OR") {
        words.pop();
        result |= all_of(words, allowed);
    }
    result
}

fn all_of(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    let mut result = single(words, allowed);
    while words.last() == Some(&"AND") {
        words.pop();
        result &= single(words, allowed);
    }
    result
}

fn single(words: &mut Vec<&str>, allowed: &[String]) -> bool {
    match words.pop() {
        Some("(") => {
            let result = any_of(words, allowed);
            words.pop() == Some(")") && result
        }
        Some(licence) if words.last() == Some(&"WITH") => {
            words.pop();
            let exception = words.pop().unwrap_or_default();
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        Some(licence) => allowed.iter().any(|allowed| allowed == licence),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(expression: &str) -> bool {
        is_allowed(
            expression,
            &["MIT".into(), "Apache-2.0".into(), "Apache-2.0 WITH LLVM-exception".into()],
        )
    }

    #[test]
    fn expressions() {
        for good in [
            "MIT",
            "MIT/GPL-3.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-3.0) AND Apache-2.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(allowed(good), "{good}");
        }
        let bad =
            ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH odd-exception", "(MIT", "MIT MIT", "OR"];
        for bad in bad {
            assert!(!allowed(bad), "{bad}");
        }
    }

    #[test]
    fn rules_are_read() {
        let rules = "allow = [\n  \"MIT\",\n]\ndeny = [\n  { crate = \"bad\" },\n]\n";
        assert_eq!(list(rules, "allow"), ["MIT"]);
        assert_eq!(list(rules, "deny"), ["bad"]);
    }

    #[test]
    fn sources_and_bans() {
        let package = |name: &str, source: &str| serde_json::json!({"name": name, "version": "1.0.0", "license": "MIT", "source": source});
        let packages =
            [package("good", CRATES_IO), package("bad", CRATES_IO), package("odd", "git+x")];
        let (findings, _) = judge(&packages, "allow = [\n \"MIT\"\n]\ndeny = [\n \"bad\"\n]\n");
        assert_eq!(findings, ["bad 1.0.0 is banned", "odd 1.0.0 comes from git+x"]);
    }
}
