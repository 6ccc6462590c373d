//! The walls between crates: what a crate must not be built from, whatever stands in the manifests of
//! those that it depends on.

use crate::run::{Failure, Run, step_by};

/// A crate, how its dependencies are listed, and what must not be among them.
struct Wall {
    package: &'static str,
    arguments: &'static [&'static str],
    absent: &'static [&'static str],
}

/// Everything that a dependency is built from as well.
const ALL: &[&str] = &[];
/// What the manifest itself names.
const OWN: &[&str] = &["--depth", "1"];
/// An SDK for programs whose queues are at a server.
const REMOTE: &[&str] = &["--no-default-features", "--features", "remote"];

const BELOW_THE_DOORS: &[&str] = &["kyu-engine", "kyu-log", "kyu-machine"];

const WALLS: &[Wall] = &[
    Wall { package: "kyu-model", arguments: ALL, absent: &["kyu-machine", "kyu-engine", "tokio"] },
    Wall { package: "kyu-machine", arguments: ALL, absent: &["kyu-engine", "kyu-log", "tokio"] },
    Wall { package: "kyu-engine", arguments: ALL, absent: &["kyu-log", "kyu-broker", "tokio"] },
    Wall { package: "kyu-log", arguments: ALL, absent: &["kyu-model", "kyu-engine", "tokio"] },
    Wall { package: "kyu-settings", arguments: ALL, absent: &["kyu-engine", "kyu-broker"] },
    Wall { package: "kyu-cli", arguments: ALL, absent: &["kyu-engine", "kyu-broker", "kyu-log"] },
    Wall {
        package: "kyu-sdk",
        arguments: REMOTE,
        absent: &["kyu-engine", "kyu-broker", "kyu-log", "kyu-cron", "jiff", "chrono", "chrono-tz"],
    },
    Wall {
        package: "kyu-pgsql",
        arguments: ALL,
        absent: &["kyu-broker", "kyu-engine", "kyu-model", "kyu-door"],
    },
    Wall { package: "kyu-aws", arguments: OWN, absent: BELOW_THE_DOORS },
    Wall { package: "kyu-admin", arguments: OWN, absent: BELOW_THE_DOORS },
    Wall { package: "kyu-pgmq", arguments: OWN, absent: BELOW_THE_DOORS },
];

pub(crate) fn step() -> Result<(), Failure> {
    step_by("walls", "cargo xtask walls", || {
        let mut findings = Vec::new();
        for wall in WALLS {
            let tree = ["tree", "--locked", "--edges", "normal", "--prefix", "none", "--package"];
            let run = Run::cargo(tree).arg(wall.package).args(wall.arguments);
            findings.extend(broken(wall, &run.output()?));
        }
        if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
    })
}

/// What stands in a list of packages and must not.
fn broken(wall: &Wall, packages: &str) -> Vec<String> {
    let names = packages.lines().filter_map(|line| line.split_whitespace().next());
    let mut found: Vec<&str> = names.filter(|name| wall.absent.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    found.iter().map(|name| format!("{} is built from {name}", wall.package)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_absent_is_found_once_and_by_its_whole_name() {
        let wall = Wall { package: "kyu-cli", arguments: ALL, absent: &["kyu-log"] };
        let packages = "kyu-cli v0.1.0 (/a)\nkyu-log v0.1.0 (/b)\nkyu-log v0.1.0 (/b) (*)\n";
        assert_eq!(broken(&wall, packages), ["kyu-cli is built from kyu-log"]);
        assert!(broken(&wall, "kyu-cli v0.1.0\nkyu-log-remote v0.1.0\n").is_empty());
    }
}
