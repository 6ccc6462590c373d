//! Functions and operators, one table for both: an operator is a function whose name is a symbol.

mod array;
mod jsonb;
mod math;
pub(crate) mod sets;
mod strings;
mod system;
mod time;

use std::sync::OnceLock;

pub(crate) use strings::quote_ident;
pub(crate) use system::VERSION;

use crate::error::PgError;
use crate::resolve::choose::Accepts;
use crate::run::eval::Context;
use crate::types::json::{self, Json};
use crate::types::value::Value;
use crate::types::{Element, Type};

/// Gets values of the declared types, and the types that were given (for `any`).
pub(crate) type Run = fn(&mut Context<'_>, &[Value], &[Type]) -> Result<Value, PgError>;

/// The type of a function's result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gives {
    Type(Type),
    /// The array type of the argument that is [`Accepts::AnyArray`].
    Array,
}

#[derive(Clone, Debug)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) arguments: Vec<Accepts>,
    /// The last argument may come any number of times.
    pub(crate) variadic: bool,
    pub(crate) gives: Gives,
    /// NULL in, NULL out.
    pub(crate) strict: bool,
    pub(crate) run: Run,
}

/// Every function.
pub(crate) fn all() -> &'static [Builtin] {
    static TABLE: OnceLock<Vec<Builtin>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = BuiltinTable(Vec::new());
        math::register(&mut table);
        strings::register(&mut table);
        jsonb::register(&mut table);
        array::register(&mut table);
        time::register(&mut table);
        system::register(&mut table);
        table.0
    })
}

pub(crate) struct BuiltinTable(Vec<Builtin>);

impl BuiltinTable {
    /// A strict function.
    pub(crate) fn add(&mut self, name: &'static str, arguments: &[Type], gives: Type, run: Run) {
        let arguments = arguments.iter().map(|ty| Accepts::Type(*ty)).collect();
        let gives = Gives::Type(gives);
        self.0.push(Builtin { name, arguments, variadic: false, gives, strict: true, run });
    }

    /// Anything else.
    pub(crate) fn special(
        &mut self,
        name: &'static str,
        arguments: &[Accepts],
        gives: Gives,
        (strict, variadic): (bool, bool),
        run: Run,
    ) {
        self.0.push(Builtin { name, arguments: arguments.to_vec(), variadic, gives, strict, run });
    }
}

pub(crate) const ANY: Accepts = Accepts::Any;
pub(crate) const ANY_ELEMENT: Accepts = Accepts::AnyElement;
pub(crate) const ANY_ARRAY: Accepts = Accepts::AnyArray;
pub(crate) const TEXTS: Type = Type::Array(Element::Text);

pub(crate) fn text(values: &[Value], at: usize) -> &str {
    match values.get(at) {
        Some(Value::Text(text) | Value::Numeric(text)) => text,
        Some(Value::Json(text)) => text,
        _ => "",
    }
}

pub(crate) fn int(values: &[Value], at: usize) -> i64 {
    match values.get(at) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    }
}

pub(crate) fn float(values: &[Value], at: usize) -> f64 {
    match values.get(at) {
        Some(Value::Float(number)) => *number,
        _ => 0.0,
    }
}

pub(crate) fn json_at(values: &[Value], at: usize) -> Result<Json, PgError> {
    json::parse(text(values, at))
}

pub(crate) fn elements(values: &[Value], at: usize) -> &[Value] {
    match values.get(at) {
        Some(Value::Array(_, elements)) => elements,
        _ => &[],
    }
}

pub(crate) fn string(text: impl Into<String>) -> Value {
    Value::Text(text.into())
}

pub(crate) fn optional(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::Text)
}
