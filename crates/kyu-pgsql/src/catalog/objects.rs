//! Names of types and functions.

use super::types::{function_id, function_name};
use super::{argument_text, function_of, function_oid};
use crate::functions::{Functions, Returns};
use crate::parser::ast::TypeName;
use crate::types::names::{self, display};
use crate::types::oid;

/// `'int4'::regtype`.
pub(crate) fn type_by_text(text: &str) -> Option<u32> {
    let trimmed = text.trim();
    let (base, array) = match trimmed.strip_suffix("[]") {
        Some(base) => (base, true),
        None => (trimmed, false),
    };
    let lower = base.to_ascii_lowercase();
    let name = match lower.as_str() {
        "timestamp with time zone" => vec!["timestamptz".to_owned()],
        "timestamp without time zone" => vec!["timestamp".to_owned()],
        "double precision" => vec!["float8".to_owned()],
        "character varying" => vec!["varchar".to_owned()],
        other => other.split('.').map(|part| part.trim_matches('"').to_owned()).collect(),
    };
    let written = TypeName { name, array, modifiers: Vec::new(), pos: 0 };
    names::to_type(&written, text).ok().map(oid::of_type)
}

pub(crate) fn function_by_text(functions: Functions, text: &str) -> Option<u32> {
    // `regprocedure` has the arguments behind the name.
    let text = text.split('(').next().unwrap_or(text);
    if let Some(oid) = function_id(text.strip_prefix("pg_catalog.").unwrap_or(text)) {
        return Some(oid);
    }
    let name = text.strip_prefix("pgmq.").unwrap_or(text);
    functions.own().iter().find(|function| function.name == name).map(function_oid)
}

pub(crate) fn function_text(functions: Functions, oid: u32) -> Option<String> {
    if let Some(name) = function_name(oid) {
        return Some(name.to_owned());
    }
    function_of(functions, i64::from(oid))
        .map(|function| format!("{}.{}", function.schema, function.name))
}

/// `SETOF bigint`.
pub(crate) fn function_result(functions: Functions, oid: i64) -> Option<String> {
    Some(match function_of(functions, oid)?.returns {
        Returns::One(ty) => display(ty).to_owned(),
        Returns::Set(ty) => format!("SETOF {}", display(ty)),
        Returns::Table(columns) => {
            let columns: Vec<String> =
                columns.iter().map(|(name, ty)| format!("{name} {}", display(*ty))).collect();
            format!("TABLE({})", columns.join(", "))
        }
    })
}

/// `queue_name text, qty integer DEFAULT 1`.
pub(crate) fn function_arguments(functions: Functions, oid: i64) -> Option<String> {
    Some(
        function_of(functions, oid)?
            .arguments
            .iter()
            .map(argument_text)
            .collect::<Vec<_>>()
            .join(", "),
    )
}
