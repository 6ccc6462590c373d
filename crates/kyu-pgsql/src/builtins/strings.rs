//! Text.

use std::collections::{HashMap, HashSet};

use regex_lite::{Regex, RegexBuilder};

use super::{
    ANY, ANY_ARRAY, ANY_ELEMENT, BuiltinTable, Gives, TEXTS, elements, int, optional, string, text,
};
use crate::error::PgError;
use crate::run::eval::Context;
use crate::types::text::to_string;
use crate::types::value::Value;
use crate::types::{Element, Type};
use crate::work::{Work, value_bytes};

/// The longest text that a function may make, in bytes.
const MAX_TEXT_BYTES: usize = 64 << 20;

pub(super) fn register(table: &mut BuiltinTable) {
    let (one, two) = ([Type::Text], [Type::Text, Type::Text]);
    for name in ["length", "char_length", "character_length"] {
        table.add(name, &one, Type::Int4, |_, v, _| Ok(count(text(v, 0).chars().count())));
    }
    table.add("octet_length", &one, Type::Int4, |_, v, _| Ok(count(text(v, 0).len())));
    table.add("lower", &one, Type::Text, |_, v, _| Ok(string(text(v, 0).to_lowercase())));
    table.add("upper", &one, Type::Text, |_, v, _| Ok(string(text(v, 0).to_uppercase())));
    table.add("||", &two, Type::Text, |_, v, _| joined(&[text(v, 0), text(v, 1)]));
    table.special(
        "||",
        &[super::Accepts::Type(Type::Text), ANY_ELEMENT],
        text_type(),
        (true, false),
        |_, v, t| joined(&[text(v, 0), &shown(v, t, 1)]),
    );
    table.special(
        "||",
        &[ANY_ELEMENT, super::Accepts::Type(Type::Text)],
        text_type(),
        (true, false),
        |_, v, t| joined(&[&shown(v, t, 0), text(v, 1)]),
    );
    patterns(table);
    trimming(table);
    parts(table);
    lists(table);
}

/// Functions of any number of values, and of arrays.
fn lists(table: &mut BuiltinTable) {
    let (one, two) = ([Type::Text], [Type::Text, Type::Text]);
    table.special("concat", &[ANY], text_type(), (false, true), |_, v, t| {
        let parts: Vec<String> = (0..v.len()).map(|i| shown(v, t, i)).collect();
        joined(&parts.iter().map(String::as_str).collect::<Vec<_>>())
    });
    table.special(
        "concat_ws",
        &[super::Accepts::Type(Type::Text), ANY],
        text_type(),
        (false, true),
        |cx, v, t| {
            if v.first() == Some(&Value::Null) {
                return Ok(Value::Null);
            }
            let present = (1..v.len()).filter(|i| v.get(*i) != Some(&Value::Null));
            cx.work.afford(text(v, 0).len().saturating_mul(v.len()))?;
            Ok(string(present.map(|i| shown(v, t, i)).collect::<Vec<_>>().join(text(v, 0))))
        },
    );
    table.add("format", &one, Type::Text, format);
    table.special(
        "format",
        &[super::Accepts::Type(Type::Text), ANY],
        text_type(),
        (false, true),
        format,
    );
    table.add("quote_ident", &one, Type::Text, |_, v, _| Ok(string(quote_ident(text(v, 0)))));
    table.special(
        "quote_nullable",
        &[super::Accepts::Type(Type::Text)],
        text_type(),
        (false, false),
        |_, v, _| {
            let null = v.first() == Some(&Value::Null);
            Ok(string(if null { "NULL".to_owned() } else { quote_literal(text(v, 0)) }))
        },
    );
    table.add("quote_literal", &one, Type::Text, |_, v, _| Ok(string(quote_literal(text(v, 0)))));
    table.special(
        "array_to_string",
        &[ANY_ARRAY, super::Accepts::Type(Type::Text)],
        text_type(),
        (true, false),
        array_to_string,
    );
    table.special(
        "array_to_string",
        &[ANY_ARRAY, super::Accepts::Type(Type::Text), super::Accepts::Type(Type::Text)],
        text_type(),
        (false, false),
        array_to_string,
    );
    table.add("string_to_array", &two, TEXTS, |cx, v, _| {
        let mut parts = Vec::new();
        for part in text(v, 0).split(text(v, 1)).filter(|_| !text(v, 0).is_empty()) {
            let part = string(part);
            cx.work.step()?;
            cx.work.grow(value_bytes(&part))?;
            parts.push(part);
        }
        Ok(Value::Array(Element::Text, parts))
    });
}

fn text_type() -> Gives {
    Gives::Type(Type::Text)
}

fn count(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn joined(parts: &[&str]) -> Result<Value, PgError> {
    if parts.iter().map(|part| part.len()).sum::<usize>() > MAX_TEXT_BYTES {
        return Err(too_long());
    }
    Ok(string(parts.concat()))
}

fn too_long() -> PgError {
    PgError::new("54000", "requested length too large")
}

fn shown(values: &[Value], types: &[Type], at: usize) -> String {
    let ty = types.get(at).copied().unwrap_or(Type::Text);
    values.get(at).map(|value| to_string(ty, value)).unwrap_or_default()
}

/// LIKE, regular expressions.
fn patterns(table: &mut BuiltinTable) {
    let (two, three) = ([Type::Text, Type::Text], [Type::Text; 3]);
    table.add("~~", &two, Type::Bool, |cx, v, _| like(cx, v, false, false));
    table.add("!~~", &two, Type::Bool, |cx, v, _| like(cx, v, false, true));
    table.add("~~*", &two, Type::Bool, |cx, v, _| like(cx, v, true, false));
    table.add("!~~*", &two, Type::Bool, |cx, v, _| like(cx, v, true, true));
    table.add("~", &two, Type::Bool, |_, v, _| Ok(Value::Bool(regex(v, "")?.is_match(text(v, 0)))));
    table.add("!~", &two, Type::Bool, |_, v, _| {
        Ok(Value::Bool(!regex(v, "")?.is_match(text(v, 0))))
    });
    table.add("~*", &two, Type::Bool, |_, v, _| {
        Ok(Value::Bool(regex(v, "i")?.is_match(text(v, 0))))
    });
    table.add("!~*", &two, Type::Bool, |_, v, _| {
        Ok(Value::Bool(!regex(v, "i")?.is_match(text(v, 0))))
    });
    table.add("like_escape", &two, Type::Text, |_, v, _| {
        Ok(string(like_escape(text(v, 0), text(v, 1))))
    });
    table.add("starts_with", &two, Type::Bool, |_, v, _| {
        Ok(Value::Bool(text(v, 0).starts_with(text(v, 1))))
    });
    table
        .add("^@", &two, Type::Bool, |_, v, _| Ok(Value::Bool(text(v, 0).starts_with(text(v, 1)))));
    table.add("regexp_replace", &three, Type::Text, |cx, v, _| regexp_replace(cx, v, ""));
    table.add("regexp_replace", &[Type::Text; 4], Type::Text, |cx, v, _| {
        regexp_replace(cx, v, text(v, 3))
    });
    table.add("substring", &two, Type::Text, |_, v, _| {
        let regex = regex(v, "")?;
        let found = regex.captures(text(v, 0)).and_then(|c| c.get(1).or_else(|| c.get(0)));
        Ok(optional(found.map(|found| found.as_str().to_owned())))
    });
}

/// The highest cost of a match: characters of the subject times states of the expression. About a
/// second; nothing can interrupt a match.
const MAX_MATCH_COST: usize = 500_000_000;

/// An expression of this size has about as many states as a pattern that people write.
const SMALL_REGEX_BYTES: usize = 16 << 10;
const LARGE_REGEX_BYTES: usize = 256 << 10;
/// Bytes of a compiled expression for each state, at least.
const STATE_BYTES: usize = 32;

/// The regular expression that the second value is, for the first. The syntax of POSIX ARE is close
/// to that of the crate; `***` prefixes and back references are not there.
fn regex(values: &[Value], flags: &str) -> Result<Regex, PgError> {
    let mut builder = RegexBuilder::new(text(values, 1));
    builder.case_insensitive(flags.contains('i')).dot_matches_new_line(true);
    let invalid = |error| PgError::new("2201B", format!("invalid regular expression: {error}"));
    let (regex, bytes) = match builder.size_limit(SMALL_REGEX_BYTES).build() {
        Ok(regex) => (regex, SMALL_REGEX_BYTES),
        Err(_) => {
            let regex = builder.size_limit(LARGE_REGEX_BYTES).build();
            (regex.map_err(invalid)?, LARGE_REGEX_BYTES)
        }
    };
    let cost = text(values, 0).len().saturating_mul(bytes / STATE_BYTES);
    if cost > MAX_MATCH_COST {
        let message = "regular expression is too complex for a text of this length";
        return Err(PgError::new("54000", message).hint("Match a part of it: left(text, 100000)."));
    }
    Ok(regex)
}

fn regexp_replace(cx: &mut Context<'_>, values: &[Value], flags: &str) -> Result<Value, PgError> {
    let regex = regex(values, flags)?;
    // Postgres writes \1 where the crate writes $1.
    let mut replacement = String::new();
    let mut characters = text(values, 2).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(digit @ '0'..='9') => replacement.push_str(&format!("${{{digit}}}")),
                Some('&') => replacement.push_str("${0}"),
                Some(other) => replacement.push(other),
                None => {}
            },
            '$' => replacement.push_str("$$"),
            other => replacement.push(other),
        }
    }
    let limit = usize::from(!flags.contains('g'));
    // At most one replacement for each place between two characters. Groups bring in texts that
    // are there already, each as often as it is named.
    let places = if limit == 1 { 1 } else { text(values, 0).len() + 1 };
    let groups = replacement.matches("${").count();
    let most = replacement.len().saturating_mul(places);
    cx.work.afford(most.saturating_add(text(values, 0).len().saturating_mul(groups + 1)))?;
    Ok(string(regex.replacen(text(values, 0), limit, replacement.as_str())))
}

fn like(cx: &mut Context<'_>, values: &[Value], fold: bool, not: bool) -> Result<Value, PgError> {
    let (mut subject, mut pattern) = (text(values, 0).to_owned(), text(values, 1).to_owned());
    if fold {
        subject = subject.to_lowercase();
        pattern = pattern.to_lowercase();
    }
    let subject: Vec<char> = subject.chars().collect();
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '%' => Part::Many,
            '_' => Part::One,
            '\\' => {
                let message = "LIKE pattern must not end with escape character";
                Part::Exactly(characters.next().ok_or_else(|| PgError::new("22025", message))?)
            }
            other => Part::Exactly(other),
        });
    }
    Ok(Value::Bool(matches(&subject, &parts, cx.work)? != not))
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Many,
    One,
    Exactly(char),
}

/// Greedy with one place to go back to: linear for most patterns, never exponential.
fn matches(subject: &[char], parts: &[Part], work: &mut Work) -> Result<bool, PgError> {
    let (mut at, mut part) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (parts.get(part), subject.get(at)) {
            (Some(Part::Many), _) => {
                retry = Some((at, part));
                part += 1;
                continue;
            }
            (None, None) => return Ok(true),
            (Some(Part::One), Some(_)) => {
                at += 1;
                part += 1;
                continue;
            }
            (Some(Part::Exactly(want)), Some(have)) if want == have => {
                at += 1;
                part += 1;
                continue;
            }
            _ => {}
        }
        let Some((from, many)) = retry.filter(|(from, _)| *from < subject.len()) else {
            return Ok(false);
        };
        // What was compared since the place to go back to is compared again.
        work.walk((part - many) * 4)?;
        work.step()?;
        retry = Some((from + 1, many));
        at = from + 1;
        part = many + 1;
    }
}

/// A pattern with another escape character, as one with backslashes.
fn like_escape(pattern: &str, escape: &str) -> String {
    let escape = escape.chars().next();
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if Some(character) == escape {
            out.push('\\');
            out.extend(characters.next());
        } else {
            if character == '\\' {
                out.push('\\');
            }
            out.push(character);
        }
    }
    out
}

fn trimming(table: &mut BuiltinTable) {
    let (one, two) = ([Type::Text], [Type::Text, Type::Text]);
    for name in ["trim", "btrim"] {
        table.add(name, &one, Type::Text, |_, v, _| Ok(string(text(v, 0).trim_matches(' '))));
        table.add(name, &two, Type::Text, |_, v, _| {
            let set = set_of(text(v, 1));
            Ok(string(text(v, 0).trim_matches(|c| set.contains(&c))))
        });
    }
    table.add("ltrim", &one, Type::Text, |_, v, _| Ok(string(text(v, 0).trim_start_matches(' '))));
    table.add("ltrim", &two, Type::Text, |_, v, _| {
        let set = set_of(text(v, 1));
        Ok(string(text(v, 0).trim_start_matches(|c| set.contains(&c))))
    });
    table.add("rtrim", &one, Type::Text, |_, v, _| Ok(string(text(v, 0).trim_end_matches(' '))));
    table.add("rtrim", &two, Type::Text, |_, v, _| {
        let set = set_of(text(v, 1));
        Ok(string(text(v, 0).trim_end_matches(|c| set.contains(&c))))
    });
    table.add("translate", &[Type::Text; 3], Type::Text, |_, v, _| {
        let mut to = text(v, 2).chars();
        let mut map: HashMap<char, Option<char>> = HashMap::new();
        for from in text(v, 1).chars() {
            let to = to.next();
            map.entry(from).or_insert(to);
        }
        let one = |c: char| map.get(&c).copied().unwrap_or(Some(c));
        Ok(string(text(v, 0).chars().filter_map(one).collect::<String>()))
    });
    for name in ["lpad", "rpad"] {
        table.add(
            name,
            &[Type::Text, Type::Int4],
            Type::Text,
            if name == "lpad" { lpad } else { rpad },
        );
        table.add(
            name,
            &[Type::Text, Type::Int4, Type::Text],
            Type::Text,
            if name == "lpad" { lpad } else { rpad },
        );
    }
}

/// The characters of a text.
fn set_of(text: &str) -> HashSet<char> {
    text.chars().collect()
}

fn lpad(cx: &mut Context<'_>, values: &[Value], _: &[Type]) -> Result<Value, PgError> {
    let (filler, kept) = padding(cx, values)?;
    Ok(string(filler + &kept))
}

fn rpad(cx: &mut Context<'_>, values: &[Value], _: &[Type]) -> Result<Value, PgError> {
    let (filler, kept) = padding(cx, values)?;
    Ok(string(kept + &filler))
}

fn padding(cx: &mut Context<'_>, values: &[Value]) -> Result<(String, String), PgError> {
    let length = usize::try_from(int(values, 1)).unwrap_or(0);
    if length > MAX_TEXT_BYTES {
        return Err(too_long());
    }
    // Characters of four bytes at most, and the two parts before they are one.
    cx.work.afford(length.saturating_mul(5))?;
    let kept: String = text(values, 0).chars().take(length).collect();
    let missing = length - kept.chars().count();
    let with = if values.len() > 2 { text(values, 2) } else { " " };
    // An empty text cycles to nothing.
    let filler = with.chars().cycle().take(missing).collect();
    Ok((filler, kept))
}

fn parts(table: &mut BuiltinTable) {
    let ty = Type::Text;
    for name in ["substring", "substr"] {
        table.add(name, &[ty, Type::Int4], ty, |_, v, _| {
            Ok(string(slice(text(v, 0), int(v, 1), None)))
        });
        table.add(name, &[ty, Type::Int4, Type::Int4], ty, |_, v, _| {
            if int(v, 2) < 0 {
                return Err(PgError::new("22011", "negative substring length not allowed"));
            }
            Ok(string(slice(text(v, 0), int(v, 1), Some(int(v, 2)))))
        });
    }
    table.add("left", &[ty, Type::Int4], ty, |_, v, _| {
        let length = i64::try_from(text(v, 0).chars().count()).unwrap_or(i64::MAX);
        let keep = if int(v, 1) < 0 { length + int(v, 1) } else { int(v, 1) };
        Ok(string(slice(text(v, 0), 1, Some(keep.max(0)))))
    });
    table.add("right", &[ty, Type::Int4], ty, |_, v, _| {
        let length = i64::try_from(text(v, 0).chars().count()).unwrap_or(i64::MAX);
        let skip = if int(v, 1) < 0 { -int(v, 1) } else { (length - int(v, 1)).max(0) };
        Ok(string(slice(text(v, 0), skip + 1, None)))
    });
    table.add("replace", &[ty; 3], ty, |cx, v, _| {
        if text(v, 1).is_empty() {
            return Ok(string(text(v, 0)));
        }
        let found = text(v, 0).matches(text(v, 1)).count();
        let more = text(v, 2).len().saturating_sub(text(v, 1).len());
        let bytes = text(v, 0).len().saturating_add(found.saturating_mul(more));
        if bytes > MAX_TEXT_BYTES {
            return Err(too_long());
        }
        cx.work.afford(bytes)?;
        Ok(string(text(v, 0).replace(text(v, 1), text(v, 2))))
    });
    table.add("split_part", &[ty, ty, Type::Int4], ty, |_, v, _| {
        let index = usize::try_from(int(v, 2) - 1)
            .map_err(|_| PgError::new("22023", "field position must not be zero"))?;
        Ok(string(text(v, 0).split(text(v, 1)).nth(index).unwrap_or("")))
    });
    for name in ["strpos", "position"] {
        table.add(name, &[ty, ty], Type::Int4, |_, v, _| {
            let found = text(v, 0).find(text(v, 1)).and_then(|at| text(v, 0).get(..at));
            Ok(found.map_or(Value::Int(0), |before| count(before.chars().count() + 1)))
        });
    }
    table.add("repeat", &[ty, Type::Int4], ty, |cx, v, _| {
        let times = usize::try_from(int(v, 1)).unwrap_or(0);
        let bytes = text(v, 0).len().saturating_mul(times);
        if bytes > MAX_TEXT_BYTES {
            return Err(too_long());
        }
        cx.work.afford(bytes)?;
        Ok(string(text(v, 0).repeat(times)))
    });
    characters(table);
}

fn characters(table: &mut BuiltinTable) {
    let ty = Type::Text;
    table.add("reverse", &[ty], ty, |_, v, _| {
        Ok(string(text(v, 0).chars().rev().collect::<String>()))
    });
    table.add("initcap", &[ty], ty, |_, v, _| {
        let mut inside = false;
        let capital = |c: char| {
            let out = if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            inside = c.is_alphanumeric();
            out
        };
        Ok(string(text(v, 0).chars().map(capital).collect::<String>()))
    });
    table.add("ascii", &[ty], Type::Int4, |_, v, _| {
        Ok(Value::Int(text(v, 0).chars().next().map_or(0, |c| i64::from(u32::from(c)))))
    });
    table.add("chr", &[Type::Int4], ty, |_, v, _| {
        let character = u32::try_from(int(v, 0)).ok().filter(|c| *c != 0).and_then(char::from_u32);
        character
            .map(|c| string(c.to_string()))
            .ok_or_else(|| PgError::new("54000", "requested character not valid for encoding"))
    });
    table.add("to_hex", &[Type::Int8], ty, |_, v, _| Ok(string(format!("{:x}", int(v, 0)))));
}

/// Characters from 1; a start before the text eats of the length.
fn slice(text: &str, start: i64, length: Option<i64>) -> String {
    let end = length.map(|length| start.saturating_add(length));
    let skip = usize::try_from(start - 1).unwrap_or(0);
    let take = end.map_or(usize::MAX, |end| usize::try_from(end - start.max(1)).unwrap_or(0));
    text.chars().skip(skip).take(take).collect()
}

/// `format('%s %I %L', ...)`.
fn format(cx: &mut Context<'_>, values: &[Value], types: &[Type]) -> Result<Value, PgError> {
    if values.first() == Some(&Value::Null) {
        return Ok(Value::Null);
    }
    let mut out = String::new();
    let mut next = 1;
    let mut characters = text(values, 0).chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut digits = String::new();
        while let Some(digit) = characters.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        if !digits.is_empty() && characters.next_if_eq(&'$').is_some() {
            next = digits.parse().unwrap_or(1);
        }
        let kind = characters.next();
        if kind == Some('%') {
            out.push('%');
            continue;
        }
        if next >= values.len() {
            return Err(PgError::new("22023", "too few arguments for format()"));
        }
        let null = values.get(next) == Some(&Value::Null);
        let shown = shown(values, types, next);
        // An argument may be named any number of times.
        if out.len() + shown.len() > MAX_TEXT_BYTES {
            return Err(too_long());
        }
        cx.work.afford(out.len() + shown.len() * 2)?;
        match kind {
            Some('s') => out.push_str(&shown),
            Some('I') if null => {
                return Err(PgError::new(
                    "22004",
                    "null values cannot be formatted as an SQL identifier",
                ));
            }
            Some('I') => out.push_str(&quote_ident(&shown)),
            Some('L') => {
                out.push_str(&if null { "NULL".to_owned() } else { quote_literal(&shown) })
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                let message = format!("unrecognized format() type specifier \"{other}\"");
                return Err(PgError::new("22023", message));
            }
        }
        next += 1;
    }
    Ok(string(out))
}

pub(crate) fn quote_ident(name: &str) -> String {
    let plain = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

fn array_to_string(
    cx: &mut Context<'_>,
    values: &[Value],
    types: &[Type],
) -> Result<Value, PgError> {
    if values.first() == Some(&Value::Null) || values.get(1) == Some(&Value::Null) {
        return Ok(Value::Null);
    }
    let element = match types.first() {
        Some(Type::Array(element)) => element.ty(),
        _ => Type::Text,
    };
    let between = text(values, 1).len() + text(values, 2).len();
    cx.work.afford(between.saturating_mul(elements(values, 0).len()))?;
    let null = match values.get(2) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let shown = elements(values, 0).iter().filter_map(|value| match value {
        Value::Null => null.map(str::to_owned),
        value => Some(to_string(element, value)),
    });
    Ok(string(shown.collect::<Vec<_>>().join(text(values, 1))))
}
