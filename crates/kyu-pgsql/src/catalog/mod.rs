//! The system catalogue, as far as clients ask for it: relations made from static lists and from the relations
//! that exist now. It is a shim, incomplete on purpose.

mod classes;
mod objects;
mod relations;
mod rows;
mod types;

pub(crate) use classes::{Facts, relation_id};
pub(crate) use objects::{
    function_arguments, function_by_text, function_result, function_text, type_by_text,
};
pub(crate) use relations::{Wanted, columns, is_keyed, relation_oid};
pub(crate) use rows::{rows, schemas};

use crate::functions::{Argument, Function, Functions};
use crate::types::Type;

/// Schemas with their ids (`pg_namespace`).
pub(crate) const PG_CATALOG: u32 = 11;
pub(crate) const PUBLIC: u32 = 2_200;
pub(crate) const INFORMATION_SCHEMA: u32 = 13_000;
pub(crate) const PGMQ_PUBLIC: u32 = 16_386;
/// The only role.
pub(crate) const OWNER: u32 = 10;
/// `pg_am`: heap and btree.
pub(crate) const HEAP: u32 = 2;
pub(crate) const BTREE: u32 = 403;
/// Ids of functions: this and the function's number.
const FUNCTION_BASE: u32 = 17_000;

/// The id of a function.
pub(crate) fn function_oid(function: &Function) -> u32 {
    FUNCTION_BASE + u32::from(function.id.0)
}

fn function_of(functions: Functions, oid: i64) -> Option<&'static Function> {
    functions.own().iter().find(|function| i64::from(function_oid(function)) == oid)
}

/// `integer DEFAULT 1`.
fn argument_text(argument: &Argument) -> String {
    let default = argument.default.map(|default| match argument.ty {
        Type::Int4 => format!(" DEFAULT {default}"),
        ty => format!(" DEFAULT '{default}'::{}", crate::types::names::display(ty)),
    });
    format!(
        "{} {}{}",
        argument.name,
        crate::types::names::display(argument.ty),
        default.unwrap_or_default()
    )
}

/// True if a plan may look at the catalogue: asking for all relations costs more than a send.
pub(crate) fn is_needed(plan: &crate::plan::Plan) -> bool {
    plan.catalog
}
