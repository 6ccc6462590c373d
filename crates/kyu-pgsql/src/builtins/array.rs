//! Arrays.

use std::collections::HashSet;

use super::{ANY_ARRAY, ANY_ELEMENT, Accepts, BuiltinTable, Gives, elements, int};
use crate::error::PgError;
use crate::run::key;
use crate::types::value::Value;
use crate::types::{Element, Type};
use crate::work::Work;

const BOOL: Gives = Gives::Type(Type::Bool);
const INT: Gives = Gives::Type(Type::Int4);

pub(super) fn register(table: &mut BuiltinTable) {
    let two = [ANY_ARRAY, ANY_ARRAY];
    table.special("@>", &two, BOOL, (true, false), |cx, v, _| {
        Ok(Value::Bool(contains(elements(v, 0), elements(v, 1), cx.work)?))
    });
    table.special("<@", &two, BOOL, (true, false), |cx, v, _| {
        Ok(Value::Bool(contains(elements(v, 1), elements(v, 0), cx.work)?))
    });
    table.special("&&", &two, BOOL, (true, false), |cx, v, _| {
        let set = set_of(elements(v, 1), cx.work)?;
        Ok(Value::Bool(elements(v, 0).iter().any(|value| has(&set, value))))
    });
    let indexed = [ANY_ARRAY, Accepts::Type(Type::Int4)];
    for name in ["array_length", "array_upper"] {
        table.special(name, &indexed, INT, (true, false), |_, v, _| {
            let length = i64::try_from(elements(v, 0).len()).unwrap_or(i64::MAX);
            Ok(if length == 0 || int(v, 1) != 1 { Value::Null } else { Value::Int(length) })
        });
    }
    table.special("array_lower", &indexed, INT, (true, false), |_, v, _| {
        Ok(if elements(v, 0).is_empty() || int(v, 1) != 1 { Value::Null } else { Value::Int(1) })
    });
    table.special("cardinality", &[ANY_ARRAY], INT, (true, false), |_, v, _| {
        Ok(Value::Int(i64::try_from(elements(v, 0).len()).unwrap_or(i64::MAX)))
    });
    table.special("array_position", &[ANY_ARRAY, ANY_ELEMENT], INT, (false, false), |_, v, _| {
        let wanted = v.get(1).unwrap_or(&Value::Null);
        let at = elements(v, 0).iter().position(|value| value == wanted);
        Ok(at.and_then(|at| i64::try_from(at + 1).ok()).map_or(Value::Null, Value::Int))
    });
    table.special(
        "array_append",
        &[ANY_ARRAY, ANY_ELEMENT],
        Gives::Array,
        (false, false),
        |_, v, t| Ok(joined(v, t)),
    );
    table.special(
        "array_prepend",
        &[ANY_ELEMENT, ANY_ARRAY],
        Gives::Array,
        (false, false),
        |_, v, t| Ok(joined(v, t)),
    );
    table.special("array_cat", &two, Gives::Array, (false, false), |_, v, t| Ok(joined(v, t)));
    table.special("||", &two, Gives::Array, (false, false), |_, v, t| Ok(joined(v, t)));
    table.special("||", &[ANY_ARRAY, ANY_ELEMENT], Gives::Array, (false, false), |_, v, t| {
        Ok(joined(v, t))
    });
    table.special("||", &[ANY_ELEMENT, ANY_ARRAY], Gives::Array, (false, false), |_, v, t| {
        Ok(joined(v, t))
    });
}

/// The keys of the elements that are not NULL.
fn set_of(values: &[Value], work: &mut Work) -> Result<HashSet<Vec<u8>>, PgError> {
    let mut set = HashSet::new();
    for value in values.iter().filter(|value| **value != Value::Null) {
        let key = key::of(std::slice::from_ref(value));
        work.step()?;
        work.walk(key.len())?;
        work.grow(key.len())?;
        set.insert(key);
    }
    Ok(set)
}

fn has(set: &HashSet<Vec<u8>>, wanted: &Value) -> bool {
    *wanted != Value::Null && set.contains(&key::of(std::slice::from_ref(wanted)))
}

fn contains(whole: &[Value], part: &[Value], work: &mut Work) -> Result<bool, PgError> {
    let set = set_of(whole, work)?;
    work.spend(u32::try_from(part.len()).unwrap_or(u32::MAX))?;
    Ok(part.iter().all(|value| has(&set, value)))
}

/// Both sides as one array; a side may be an element, or NULL for no array.
fn joined(values: &[Value], types: &[Type]) -> Value {
    let mut element = Element::Text;
    let mut all = Vec::new();
    for (value, ty) in values.iter().zip(types) {
        match (value, ty) {
            (Value::Array(of, values), _) => {
                element = *of;
                all.extend(values.iter().cloned());
            }
            (Value::Null, Type::Array(of)) => element = *of,
            (value, _) => all.push(value.clone()),
        }
    }
    Value::Array(element, all)
}
