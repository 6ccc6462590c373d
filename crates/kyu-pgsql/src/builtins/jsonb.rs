//! `json` and `jsonb`.

use std::collections::HashSet;

use super::{
    ANY, Accepts, BuiltinTable, Gives, TEXTS, elements, int, json_at, optional, string, text,
};
use crate::error::PgError;
use crate::types::Type;
use crate::types::cast::to_json;
use crate::types::json::{self, Json};
use crate::types::value::Value;

pub(super) fn register(table: &mut BuiltinTable) {
    let b = Type::Jsonb;
    table.add("->", &[b, Type::Text], b, |_, v, _| Ok(value(json_at(v, 0)?.get(text(v, 1)))));
    table.add("->", &[b, Type::Int4], b, |_, v, _| Ok(value(json_at(v, 0)?.at(int(v, 1)))));
    table.add("->>", &[b, Type::Text], Type::Text, |_, v, _| {
        Ok(plain(json_at(v, 0)?.get(text(v, 1))))
    });
    table.add("->>", &[b, Type::Int4], Type::Text, |_, v, _| {
        Ok(plain(json_at(v, 0)?.at(int(v, 1))))
    });
    for name in ["#>", "jsonb_extract_path"] {
        table.add(name, &[b, TEXTS], b, |_, v, _| Ok(value(path(&json_at(v, 0)?, elements(v, 1)))));
    }
    table.add("#>>", &[b, TEXTS], Type::Text, |_, v, _| {
        Ok(plain(path(&json_at(v, 0)?, elements(v, 1))))
    });
    let texts = [Accepts::Type(b), Accepts::Type(Type::Text)];
    table.special("jsonb_extract_path", &texts, Gives::Type(b), (true, true), |_, v, _| {
        Ok(value(path(&json_at(v, 0)?, v.get(1..).unwrap_or(&[]))))
    });
    table.special(
        "jsonb_extract_path_text",
        &texts,
        Gives::Type(Type::Text),
        (true, true),
        |_, v, _| Ok(plain(path(&json_at(v, 0)?, v.get(1..).unwrap_or(&[])))),
    );
    table.add("@>", &[b, b], Type::Bool, |_, v, _| {
        Ok(Value::Bool(json_at(v, 0)?.contains(&json_at(v, 1)?)?))
    });
    table.add("<@", &[b, b], Type::Bool, |_, v, _| {
        Ok(Value::Bool(json_at(v, 1)?.contains(&json_at(v, 0)?)?))
    });
    table.add("?", &[b, Type::Text], Type::Bool, |_, v, _| {
        Ok(Value::Bool(names_of(&json_at(v, 0)?).contains(text(v, 1))))
    });
    table.add("?|", &[b, TEXTS], Type::Bool, |_, v, _| {
        let json = json_at(v, 0)?;
        let names = names_of(&json);
        let mut keys = (0..elements(v, 1).len()).map(|i| text(elements(v, 1), i));
        Ok(Value::Bool(keys.any(|key| names.contains(key))))
    });
    table.add("?&", &[b, TEXTS], Type::Bool, |_, v, _| {
        let json = json_at(v, 0)?;
        let names = names_of(&json);
        let mut keys = (0..elements(v, 1).len()).map(|i| text(elements(v, 1), i));
        Ok(Value::Bool(keys.all(|key| names.contains(key))))
    });
    changes(table);
    building(table);
    for name in ["jsonb_typeof", "json_typeof"] {
        table.add(name, &[b], Type::Text, |_, v, _| Ok(string(kind(&json_at(v, 0)?))));
    }
    for name in ["jsonb_array_length", "json_array_length"] {
        table.add(name, &[b], Type::Int4, |_, v, _| match json_at(v, 0)? {
            Json::Array(values) => Ok(Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX))),
            Json::Object(_) => Err(PgError::new("22023", "cannot get array length of a non-array")),
            _ => Err(PgError::new("22023", "cannot get array length of a scalar")),
        });
    }
    table.add("jsonb_pretty", &[b], Type::Text, |cx, v, _| {
        let mut out = String::new();
        // Each separator may begin a line, indented by four spaces a level.
        let json = json_at(v, 0)?;
        let lines = text(v, 0).bytes().filter(|byte| b",[]{}".contains(byte)).count();
        cx.work.afford(text(v, 0).len() + lines * (4 * depth(&json) + 2))?;
        pretty(&json, 0, &mut out);
        Ok(string(out))
    });
}

fn value(found: Option<&Json>) -> Value {
    found.map_or(Value::Null, |json| Value::Json(json.to_string().into()))
}

fn plain(found: Option<&Json>) -> Value {
    optional(found.and_then(Json::to_plain_text))
}

fn path<'a>(json: &'a Json, keys: &[Value]) -> Option<&'a Json> {
    let mut at = json;
    for i in 0..keys.len() {
        let key = text(keys, i);
        at = match at {
            Json::Object(_) => at.get(key)?,
            Json::Array(_) => at.at(key.parse().ok()?)?,
            _ => return None,
        };
    }
    Some(at)
}

/// The texts that `?` finds: keys of an object, texts of an array, or the text itself.
fn names_of(json: &Json) -> HashSet<&str> {
    match json {
        Json::Object(pairs) => pairs.iter().map(|(key, _)| key.as_str()).collect(),
        Json::Array(values) => values.iter().filter_map(text_of).collect(),
        Json::String(text) => HashSet::from([text.as_str()]),
        Json::Null | Json::Bool(_) | Json::Number(_) => HashSet::new(),
    }
}

fn text_of(json: &Json) -> Option<&str> {
    match json {
        Json::String(text) => Some(text),
        _ => None,
    }
}

pub(super) fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// `||`, `-`, `#-`, `jsonb_set`.
fn changes(table: &mut BuiltinTable) {
    let b = Type::Jsonb;
    table.add("||", &[b, b], b, |_, v, _| {
        Ok(Value::Json(concatenated(json_at(v, 0)?, json_at(v, 1)?).to_string().into()))
    });
    table.add("-", &[b, Type::Text], b, |_, v, _| without(json_at(v, 0)?, &[text(v, 1)]));
    table.add("-", &[b, TEXTS], b, |_, v, _| {
        let keys: Vec<&str> = (0..elements(v, 1).len()).map(|i| text(elements(v, 1), i)).collect();
        without(json_at(v, 0)?, &keys)
    });
    table.add("-", &[b, Type::Int4], b, |_, v, _| {
        let json = json_at(v, 0)?;
        let Json::Array(mut values) = json else {
            return Err(PgError::new("22023", "cannot delete from object using integer index"));
        };
        let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let index = if int(v, 1) < 0 { int(v, 1) + length } else { int(v, 1) };
        if let Some(index) = usize::try_from(index).ok().filter(|index| *index < values.len()) {
            values.remove(index);
        }
        Ok(Value::Json(Json::Array(values).to_string().into()))
    });
    table.add("#-", &[b, TEXTS], b, |_, v, _| {
        let json = change(json_at(v, 0)?, elements(v, 1), None, false);
        Ok(Value::Json(json.to_string().into()))
    });
    table.add("jsonb_set", &[b, TEXTS, b], b, |_, v, _| {
        let json = change(json_at(v, 0)?, elements(v, 1), Some(&json_at(v, 2)?), true);
        Ok(Value::Json(json.to_string().into()))
    });
    table.add("jsonb_set", &[b, TEXTS, b, Type::Bool], b, |_, v, _| {
        let create = v.get(3) == Some(&Value::Bool(true));
        let json = change(json_at(v, 0)?, elements(v, 1), Some(&json_at(v, 2)?), create);
        Ok(Value::Json(json.to_string().into()))
    });
    table.add("jsonb_strip_nulls", &[b], b, |_, v, _| {
        Ok(Value::Json(stripped(json_at(v, 0)?).to_string().into()))
    });
}

fn concatenated(a: Json, b: Json) -> Json {
    match (a, b) {
        (Json::Object(mut a), Json::Object(b)) => {
            a.extend(b);
            json::object(a)
        }
        (a, b) => {
            let list = |json| match json {
                Json::Array(values) => values,
                other => vec![other],
            };
            let mut values = list(a);
            values.extend(list(b));
            Json::Array(values)
        }
    }
}

fn without(json: Json, keys: &[&str]) -> Result<Value, PgError> {
    let keys: HashSet<&str> = keys.iter().copied().collect();
    let json = match json {
        Json::Object(pairs) => Json::Object(
            pairs.into_iter().filter(|(key, _)| !keys.contains(key.as_str())).collect(),
        ),
        Json::Array(values) => {
            let keep =
                |value: &Json| !matches!(value, Json::String(text) if keys.contains(text.as_str()));
            Json::Array(values.into_iter().filter(keep).collect())
        }
        _ => return Err(PgError::new("22023", "cannot delete from scalar")),
    };
    Ok(Value::Json(json.to_string().into()))
}

/// Sets or removes what stands at a path; elsewhere nothing changes. The path is as long as it is: the
/// recursion is bounded by the depth of the value.
fn change(json: Json, keys: &[Value], new: Option<&Json>, create: bool) -> Json {
    let Some((_, rest)) = keys.split_first() else { return json };
    let key = text(keys, 0);
    match json {
        Json::Object(mut pairs) => {
            let found = pairs.iter().position(|(have, _)| have == key);
            match (found, new, rest.is_empty()) {
                (Some(at), None, true) => {
                    pairs.remove(at);
                }
                (_, Some(new), true) if found.is_some() || create => {
                    pairs.push((key.to_owned(), new.clone()))
                }
                (Some(at), _, false) => {
                    let (key, value) = pairs.remove(at);
                    pairs.push((key, change(value, rest, new, create)));
                }
                _ => {}
            }
            json::object(pairs)
        }
        Json::Array(mut values) => {
            let length = i64::try_from(values.len()).unwrap_or(i64::MAX);
            let Ok(index) = key.parse::<i64>() else { return Json::Array(values) };
            let index = if index < 0 { index + length } else { index };
            let at = usize::try_from(index).ok().filter(|at| *at < values.len());
            match (at, new, rest.is_empty()) {
                (Some(at), None, true) => {
                    values.remove(at);
                }
                (Some(at), _, _) => {
                    let value = values.remove(at);
                    let value = match (new, rest.is_empty()) {
                        (Some(new), true) => new.clone(),
                        _ => change(value, rest, new, create),
                    };
                    values.insert(at, value);
                }
                (None, Some(new), true) if create => {
                    values.insert(if index < 0 { 0 } else { values.len() }, new.clone());
                }
                _ => {}
            }
            Json::Array(values)
        }
        other => other,
    }
}

fn stripped(json: Json) -> Json {
    match json {
        Json::Object(pairs) => Json::Object(
            pairs
                .into_iter()
                .filter(|(_, value)| *value != Json::Null)
                .map(|(key, value)| (key, stripped(value)))
                .collect(),
        ),
        Json::Array(values) => Json::Array(values.into_iter().map(stripped).collect()),
        other => other,
    }
}

fn building(table: &mut BuiltinTable) {
    for (name, ty) in [("jsonb_build_object", Type::Jsonb), ("json_build_object", Type::Json)] {
        table.special(name, &[ANY], Gives::Type(ty), (false, true), |_, v, t| build_object(v, t));
        table.special(name, &[], Gives::Type(ty), (false, false), |_, _, _| {
            Ok(Value::Json("{}".into()))
        });
    }
    for (name, ty) in [("jsonb_build_array", Type::Jsonb), ("json_build_array", Type::Json)] {
        table.special(name, &[ANY], Gives::Type(ty), (false, true), |_, v, t| {
            let values = v.iter().zip(t).map(|(value, ty)| to_json(value, *ty, &[]));
            Ok(Value::Json(Json::Array(values.collect::<Result<_, _>>()?).to_string().into()))
        });
        table.special(name, &[], Gives::Type(ty), (false, false), |_, _, _| {
            Ok(Value::Json("[]".into()))
        });
    }
    for (name, ty) in [
        ("to_jsonb", Type::Jsonb),
        ("to_json", Type::Json),
        ("row_to_json", Type::Json),
        ("array_to_json", Type::Json),
    ] {
        table.special(name, &[Accepts::AnyElement], Gives::Type(ty), (true, false), |_, v, t| {
            let value = v.first().unwrap_or(&Value::Null);
            Ok(Value::Json(
                to_json(value, t.first().copied().unwrap_or(Type::Text), &[])?.to_string().into(),
            ))
        });
    }
    table.add("jsonb_object", &[TEXTS], Type::Jsonb, |_, v, _| {
        let pairs = elements(v, 0)
            .chunks(2)
            .map(|pair| (text(pair, 0).to_owned(), Json::String(text(pair, 1).to_owned())));
        Ok(Value::Json(json::object(pairs.collect()).to_string().into()))
    });
}

fn build_object(values: &[Value], types: &[Type]) -> Result<Value, PgError> {
    if !values.len().is_multiple_of(2) {
        let error = PgError::new("22023", "argument list must have even number of elements");
        let hint =
            "The arguments of jsonb_build_object() must consist of alternating keys and values.";
        return Err(error.hint(hint));
    }
    let mut pairs = Vec::with_capacity(values.len() / 2);
    for (i, (pair, types)) in values.chunks(2).zip(types.chunks(2)).enumerate() {
        let ([key, value], [key_type, ty]) = (pair, types) else { continue };
        if *key == Value::Null {
            return Err(PgError::new(
                "22023",
                format!("argument {}: key must not be null", 2 * i + 1),
            ));
        }
        let key = match key {
            Value::Bool(flag) => flag.to_string(),
            other => crate::types::text::to_string(*key_type, other),
        };
        pairs.push((key, to_json(value, *ty, &[])?));
    }
    Ok(Value::Json(json::object(pairs).to_string().into()))
}

/// The number of levels of arrays and objects that a document has.
fn depth(json: &Json) -> usize {
    match json {
        Json::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Json::Object(pairs) => 1 + pairs.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 0,
    }
}

fn pretty(json: &Json, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"    ".repeat(depth));
    };
    match json {
        Json::Object(pairs) => {
            out.push('{');
            for (i, (key, value)) in pairs.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                line(out, depth + 1);
                let _ = json::write_string(out, key);
                out.push_str(": ");
                pretty(value, depth + 1, out);
            }
            line(out, depth);
            out.push('}');
        }
        Json::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                line(out, depth + 1);
                pretty(value, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        other => out.push_str(&other.to_string()),
    }
}
