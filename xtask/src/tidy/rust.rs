//! Sizes of Rust files and functions, and macros that end a program early.

use std::ops::Range;

use super::source::{blank, body};
use super::{MAX_FILE_LINES, MAX_FUNCTION_LINES, TABLES, too_long};

/// The rules for one Rust file.
pub(crate) fn check(name: &str, text: &str, findings: &mut Vec<String>) {
    let code = blank(text);
    let tests = test_parts(name, &code);
    let test_lines: usize = tests.iter().map(|range| lines(&code, range)).sum();
    let file_lines = text.lines().count().saturating_sub(test_lines);
    let is_table = TABLES.contains(&name);
    if file_lines > MAX_FILE_LINES && !is_table {
        findings.push(too_long(name, file_lines));
    }
    for function in functions(&code) {
        let in_tests = tests.iter().any(|range| range.contains(&function.start));
        let length = lines(&code, &function);
        if length > MAX_FUNCTION_LINES && !in_tests && !is_table {
            let line = line_of(&code, function.start);
            findings.push(format!(
                "{name}:{line}: function of {length} lines, at most {MAX_FUNCTION_LINES}"
            ));
        }
    }
    for stub in [concat!("todo", "!("), concat!("unimplemented", "!(")] {
        for (at, _) in code.match_indices(stub) {
            findings.push(format!("{name}:{}: {stub}) is a stub", line_of(&code, at)));
        }
    }
}

/// Where the tests are: items under `#[cfg(test)]`, or all of a file of tests.
fn test_parts(name: &str, code: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let file = name.rsplit('/').next().unwrap_or_default();
    if name.contains("/tests/") || file == "tests.rs" || file.ends_with("_tests.rs") {
        found.push(0..code.len());
    }
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        if found.last().is_some_and(|range| range.contains(&at)) {
            continue;
        }
        if let Some((_, end)) = body(code, at + attribute.len()) {
            found.push(at..end);
        }
    }
    found
}

/// Where functions with bodies are, from `fn` to the closing brace; inner ones as well.
fn functions(code: &str) -> Vec<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.match_indices("fn ").map(|(at, _)| at).filter(|at| {
        let before = code.get(..*at).and_then(|before| before.chars().next_back());
        let after = code.get(at + 3..).and_then(|after| after.chars().next());
        !before.is_some_and(is_word) && after.is_some_and(is_word)
    });
    starts
        .filter_map(|start| {
            let (_, end) = body(code, start)?;
            Some(start..end)
        })
        .collect()
}

fn lines(code: &str, range: &Range<usize>) -> usize {
    code.get(range.clone()).map_or(0, |part| part.matches('\n').count() + 1)
}

fn line_of(code: &str, at: usize) -> usize {
    lines(code, &(0..at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(name, text, &mut findings);
        findings
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    x();\n".repeat(lines - 2))
    }

    #[test]
    fn long_functions_are_found() {
        assert_eq!(found("a.rs", &function(70)), [""; 0]);
        assert_eq!(
            found("a.rs", &format!("\n{}", function(71))),
            ["a.rs:2: function of 71 lines, at most 70"]
        );
    }

    #[test]
    fn tests_may_be_long() {
        let test = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(900));
        assert_eq!(found("a.rs", &test), [""; 0]);
        assert_eq!(found("crates/x/tests/a.rs", &function(900)), [""; 0]);
    }

    #[test]
    fn long_files_are_found() {
        let line = "const A: [u8; 2] = [1, 2];\n";
        assert_eq!(found("a.rs", &line.repeat(800)), [""; 0]);
        assert_eq!(found("a.rs", &line.repeat(801)).len(), 1);
    }

    #[test]
    fn stubs_are_found_in_code_only() {
        let stub = concat!("todo", "!()");
        assert_eq!(found("a.rs", &format!("fn f() {{ {stub} }}")).len(), 1);
        assert_eq!(found("a.rs", &format!("// {stub}\nconst S: &str = \"{stub}\";")), [""; 0]);
    }

    #[test]
    fn pointers_to_functions_are_no_functions() {
        assert_eq!(functions("type F = fn (u8) -> u8; fn g() {}").len(), 1);
    }
}
