//! Standard output: a table for people, JSON for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;
use crate::instant::{in_words, now_ms};

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns, for people; may change from version to version.
    #[default]
    Table,
    /// The answer of the server, indented.
    Json,
    /// One item of the answer in each line.
    Jsonl,
}

/// The form in which an answer is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    /// The field that has the items; empty if the answer is one item.
    pub(crate) items: &'static str,
    /// Headings and JSON pointers; without any, all fields of one item, a line each.
    pub(crate) columns: &'static [(&'static str, &'static str)],
}

/// One item with all its fields.
pub(crate) const ONE: View = View { items: "", columns: &[] };
/// Characters of a cell in a row; what is cut ends in an ellipsis.
const MAX_CELL_CHARS: usize = 60;
/// Characters of a field that has a line for itself.
const MAX_FIELD_CHARS: usize = 1_000;

/// Writes an answer. A reader that has gone is no failure.
pub(crate) fn print(answer: &Value, view: View, format: Format) -> Result<(), Failure> {
    let text = match format {
        Format::Json if answer.is_null() => return Ok(()),
        Format::Json => format!("{answer:#}\n"),
        Format::Jsonl => items(answer, view).iter().map(|item| format!("{item}\n")).collect(),
        Format::Table => table(answer, view, now_ms()),
    };
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("writing the output: {error}")))
        }
        _ => Ok(()),
    }
}

fn items(answer: &Value, view: View) -> Vec<&Value> {
    if answer.is_null() {
        return Vec::new();
    }
    match answer.get(view.items) {
        Some(Value::Array(items)) => items.iter().collect(),
        _ => vec![answer],
    }
}

/// The form in which the instants of an item are shown.
#[derive(Clone, Copy)]
struct Clock<'v> {
    now_ms: u64,
    /// The zone of the item's schedule.
    zone: Option<&'v str>,
}

/// The clock by which an item lives.
fn clock_of<'v>(answer: &'v Value, item: &'v Value, now_ms: u64) -> Clock<'v> {
    let zone = item.pointer("/settings/rule/time_zone").or_else(|| answer.get("time_zone"));
    Clock { now_ms, zone: zone.and_then(Value::as_str) }
}

fn table(answer: &Value, view: View, now_ms: u64) -> String {
    if view.columns.is_empty() {
        return fields(answer, now_ms);
    }
    let headings: Vec<String> = view.columns.iter().map(|(heading, _)| (*heading).into()).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    if headings.iter().any(|heading| !heading.is_empty()) {
        rows.push(headings);
    }
    // One column has the line for itself.
    let max_chars = if view.columns.len() == 1 { MAX_FIELD_CHARS } else { MAX_CELL_CHARS };
    let mut numeric = vec![true; view.columns.len()];
    for item in items(answer, view) {
        let clock = clock_of(answer, item, now_ms);
        let cells = view.columns.iter().zip(&mut numeric).map(|((_, pointer), numeric)| {
            let value = item.pointer(pointer).unwrap_or(&Value::Null);
            *numeric &= value.is_null() || (value.is_number() && !pointer.ends_with("_at_ms"));
            cell(pointer, value, clock, max_chars)
        });
        rows.push(cells.collect());
    }
    let widths: Vec<usize> = (0..view.columns.len())
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|c| c.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let cell = if *numeric { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
            line.push_str(&cell);
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `name: value` for every field, those inside others with dots.
fn fields(answer: &Value, now_ms: u64) -> String {
    fn walk(path: &str, value: &Value, clock: Clock<'_>, into: &mut Vec<(String, String)>) {
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (name, below) in object {
                    let path =
                        if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    walk(&path, below, clock, into);
                }
            }
            value => into.push((path.to_owned(), cell(path, value, clock, MAX_FIELD_CHARS))),
        }
    }
    let mut lines = Vec::new();
    if !answer.is_null() {
        walk("", answer, clock_of(answer, answer, now_ms), &mut lines);
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    lines.into_iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn cell(name: &str, value: &Value, clock: Clock<'_>, max_chars: usize) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if name.ends_with("_at_ms") => {
            let words = |ms| in_words(ms, clock.zone, clock.now_ms);
            number.as_u64().map_or_else(|| number.to_string(), words)
        }
        value => value.to_string(),
    };
    // A message could tell the terminal what to do.
    let mut safe: String = text
        .chars()
        .map(|c| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c })
        .collect();
    if name != "/receipt" && safe.chars().count() > max_chars {
        safe = safe.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect();
    }
    safe
}

/// Characters that change the order in which others are shown.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_for_people() {
        let view =
            View { items: "items", columns: &[("NAME", "/name"), ("READY", "/stats/ready")] };
        let answer = json!({ "items": [
            { "name": "a", "stats": { "ready": 12 } },
            { "name": "long\u{1b}[2J" },
        ]});
        assert_eq!(
            table(&answer, view, 0),
            "NAME      READY\na            12\nlong\u{fffd}[2J      -\n"
        );
        assert_eq!(
            fields(&json!({ "a": { "b": 1, "c_at_ms": 0 }, "d": [1] }), 5_000),
            "a.b        1\na.c_at_ms  1970-01-01 00:00:00Z (5 s ago)\nd          [1]\n"
        );
        // A schedule's times are those of its zone.
        let next =
            json!({ "next_at_ms": 0, "settings": { "rule": { "time_zone": "Asia/Tokyo" } } });
        assert!(
            fields(&next, 0)
                .starts_with("next_at_ms               1970-01-01 09:00:00+09:00 (now)\n")
        );
        let sentence = View { items: "", columns: &[("", "/summary")] };
        assert_eq!(table(&json!({ "summary": "ready" }), sentence, 0), "ready\n");
    }

    #[test]
    fn lines_for_programs() {
        let view = View { items: "items", columns: &[] };
        let answer = json!({ "items": [1, 2], "next_cursor": null });
        assert_eq!(items(&answer, view), [&json!(1), &json!(2)]);
        assert_eq!(items(&json!({ "x": 1 }), ONE), [&json!({ "x": 1 })]);
    }
}
