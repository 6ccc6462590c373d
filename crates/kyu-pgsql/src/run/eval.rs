//! The value of an expression for one row. What needs the host or a sub-select stops the evaluation, which
//! the executor then repeats with the answer in its memory: so the evaluator itself stays synchronous,
//! and nothing with effects runs twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Session;
use crate::Zone;
use crate::builtins::{self, Builtin};
use crate::catalog::{self, Facts};
use crate::error::PgError;
use crate::host::OverloadId;
use crate::parser::ast::Test;
use crate::plan::{CallTarget, Comparison, Node, Plan, QueryKind, Typed};
use crate::run::sorting::cost;
use crate::types::cast::{self, compare};
use crate::types::names;
use crate::types::text;
use crate::types::value::{Row, Value};
use crate::types::{Element, Type};
use crate::work::{Work, json_bytes, value_bytes};

/// Answers for the current row, by the id of the call or sub-select.
pub(crate) type Memory = BTreeMap<usize, Arc<Vec<Row>>>;

/// The reason why an evaluation stopped.
pub(crate) enum Stop {
    Error(PgError),
    Call { id: usize, overload: OverloadId, arguments: Vec<Value> },
    Query { id: usize, plan: Arc<Plan>, correlated: bool },
}

impl From<PgError> for Stop {
    fn from(error: PgError) -> Self {
        Self::Error(error)
    }
}

/// The surroundings of an expression: rows, parameters, the session, the catalogue.
pub(crate) struct Context<'a> {
    /// The current row of each query that encloses the expression.
    pub(crate) stack: &'a [Row],
    pub(crate) parameters: &'a [Value],
    pub(crate) memory: &'a Memory,
    /// Answers of sub-selects that do not depend on a row.
    pub(crate) once: &'a Memory,
    pub(crate) now: i64,
    pub(crate) session: &'a mut dyn Session,
    pub(crate) facts: &'a Facts,
    pub(crate) work: &'a mut Work,
    pub(crate) locals: Vec<[Value; 2]>,
}

type Result<T> = std::result::Result<T, Stop>;

impl Context<'_> {
    pub(crate) fn value(&mut self, expr: &Typed) -> Result<Value> {
        self.work.step()?;
        match &expr.node {
            Node::Value(value) => Ok(value.clone()),
            Node::Parameter(index) => self.parameter(*index, expr.ty),
            Node::Column { depth, index } => Ok(self
                .stack
                .get(*depth)
                .and_then(|row| row.get(*index))
                .cloned()
                .unwrap_or(Value::Null)),
            Node::Local(at) => Ok(self
                .locals
                .last()
                .and_then(|pair| pair.get(*at))
                .cloned()
                .unwrap_or(Value::Null)),
            Node::Cast(inner) => {
                let value = self.value(inner)?;
                self.cast(value, inner.ty, expr.ty)
            }
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.work.walk(cost(&left) + cost(&right))?;
                Ok(compared(*comparison, &left, &right))
            }
            Node::Builtin { index, arguments } => self.builtin(*index, arguments),
            Node::And(parts) => self.connect(parts, false),
            Node::Or(parts) => self.connect(parts, true),
            Node::Not(inner) => Ok(match self.value(inner)? {
                Value::Bool(value) => Value::Bool(!value),
                other => other,
            }),
            Node::Is { value, test, not } => {
                let value = self.value(value)?;
                Ok(Value::Bool(match (&value, *test) {
                    // Neither is the other's opposite: a row with some NULLs is neither.
                    (Value::Row(_, values), Test::Null) if *not => {
                        values.iter().all(|value| *value != Value::Null)
                    }
                    _ => is(&value, *test) != *not,
                }))
            }
            Node::Quantified { value, array, test, all } => {
                self.quantified(value, array, test, *all)
            }
            Node::Case { arms, otherwise } => {
                for (when, then) in arms {
                    if self.value(when)? == Value::Bool(true) {
                        return self.value(then);
                    }
                }
                self.value(otherwise)
            }
            Node::Coalesce(parts) => {
                for part in parts {
                    let value = self.value(part)?;
                    if value != Value::Null {
                        return Ok(value);
                    }
                }
                Ok(Value::Null)
            }
            _ => self.compound(expr),
        }
    }

    fn parameter(&mut self, index: usize, ty: Type) -> Result<Value> {
        let value = self.parameters.get(index).cloned().unwrap_or(Value::Null);
        match (&value, ty) {
            // The name of an object, which is looked up when the statement runs.
            (Value::Text(_), Type::Regclass | Type::Regtype | Type::Regproc) => {
                self.cast(value, Type::Text, ty)
            }
            _ => Ok(value),
        }
    }

    /// Arrays, rows, calls and sub-selects.
    fn compound(&mut self, expr: &Typed) -> Result<Value> {
        match &expr.node {
            Node::Distinct { left, right, not } => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                Ok(Value::Bool(is_distinct(&left, &right) != *not))
            }
            Node::Extreme(parts, largest) => self.extreme(parts, *largest),
            Node::Array(element, parts) => Ok(Value::Array(*element, self.values(parts)?)),
            Node::Row(parts, _) => Ok(Value::Row(expr.ty, self.values(parts)?)),
            Node::Field { value, index } => Ok(match self.value(value)? {
                Value::Row(_, values) => values.get(*index).cloned().unwrap_or(Value::Null),
                _ => Value::Null,
            }),
            Node::Index { value, index } => {
                let (value, index) = (self.value(value)?, self.value(index)?);
                Ok(match (value, index) {
                    (Value::Array(element, values), Value::Int(index)) => {
                        let at = index.checked_sub(i64::from(element.lower_bound()));
                        let at = at.and_then(|at| usize::try_from(at).ok());
                        at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
                    }
                    (Value::Json(json), Value::Int(index)) => {
                        self.work.afford(json_bytes(&json))?;
                        let json = crate::types::json::parse(&json)?;
                        json.at(index)
                            .map_or(Value::Null, |json| Value::Json(json.to_string().into()))
                    }
                    (Value::Json(json), Value::Text(key)) => {
                        self.work.afford(json_bytes(&json))?;
                        let json = crate::types::json::parse(&json)?;
                        json.get(&key)
                            .map_or(Value::Null, |json| Value::Json(json.to_string().into()))
                    }
                    _ => Value::Null,
                })
            }
            Node::Slice { value, low, high } => self.slice(value, low.as_deref(), high.as_deref()),
            Node::Call { id, target, arguments, composite } => {
                if let Some(rows) = self.memory.get(id) {
                    return Ok(single(rows.first(), *composite, expr.ty));
                }
                let arguments = self.values(arguments)?;
                let (overload, arguments) = self.target(target, arguments)?;
                Err(Stop::Call { id: *id, overload, arguments })
            }
            Node::Query { id, plan, kind, correlated } => {
                let memory = if *correlated { self.memory } else { self.once };
                match memory.get(id).cloned() {
                    Some(rows) => self.answer(&rows, kind, plan),
                    None => Err(Stop::Query {
                        id: *id,
                        plan: Arc::clone(plan),
                        correlated: *correlated,
                    }),
                }
            }
            _ => Ok(Value::Null),
        }
    }

    pub(crate) fn values(&mut self, exprs: &[Typed]) -> Result<Vec<Value>> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    fn builtin(&mut self, index: usize, arguments: &[Typed]) -> Result<Value> {
        let values = self.values(arguments)?;
        let Some(Builtin { strict, run, .. }) = builtins::all().get(index) else {
            return Ok(Value::Null);
        };
        if *strict && values.contains(&Value::Null) {
            return Ok(Value::Null);
        }
        let types: Vec<Type> = arguments.iter().map(|argument| argument.ty).collect();
        self.work.walk(values.iter().map(value_bytes).sum())?;
        for value in &values {
            // Functions of documents read them into trees.
            if let Value::Json(text) = value {
                self.work.afford(json_bytes(text))?;
            }
        }
        let value = run(self, &values, &types)?;
        self.work.grow(value_bytes(&value))?;
        Ok(value)
    }

    fn connect(&mut self, parts: &[Typed], or: bool) -> Result<Value> {
        let mut unknown = false;
        for part in parts {
            match self.value(part)? {
                Value::Bool(value) if value == or => return Ok(Value::Bool(or)),
                Value::Null => unknown = true,
                _ => {}
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(!or) })
    }

    fn extreme(&mut self, parts: &[Typed], largest: bool) -> Result<Value> {
        let mut best = Value::Null;
        for value in self.values(parts)? {
            let better = best == Value::Null
                || value != Value::Null && (compare(&value, &best).is_gt() == largest);
            if better && value != Value::Null {
                best = value;
            }
        }
        Ok(best)
    }

    fn slice(&mut self, value: &Typed, low: Option<&Typed>, high: Option<&Typed>) -> Result<Value> {
        let array = self.value(value)?;
        let mut bound = |expr: Option<&Typed>, default: i64| match expr
            .map(|expr| self.value(expr))
            .transpose()?
        {
            None => Ok(Some(default)),
            Some(Value::Int(at)) => Ok(Some(at)),
            Some(_) => Ok::<_, Stop>(None),
        };
        let (low, high) = (bound(low, 1)?, bound(high, i64::MAX)?);
        let (Value::Array(element, values), Some(low), Some(high)) = (array, low, high) else {
            return Ok(Value::Null);
        };
        let skip = usize::try_from(low.max(1) - 1).unwrap_or(0);
        let take = usize::try_from(high.saturating_sub(low.max(1)).saturating_add(1)).unwrap_or(0);
        Ok(Value::Array(element, values.into_iter().skip(skip).take(take).collect()))
    }

    fn quantified(
        &mut self,
        value: &Typed,
        array: &Typed,
        test: &Typed,
        all: bool,
    ) -> Result<Value> {
        let value = self.value(value)?;
        match self.value(array)? {
            Value::Array(_, elements) => self.quantify(value, elements.into_iter(), test, all),
            _ => Ok(Value::Null),
        }
    }

    fn quantify(
        &mut self,
        value: Value,
        others: impl Iterator<Item = Value>,
        test: &Typed,
        all: bool,
    ) -> Result<Value> {
        let mut unknown = false;
        for other in others {
            self.work.step()?;
            self.locals.push([value.clone(), other]);
            let result = self.value(test);
            self.locals.pop();
            match result? {
                Value::Bool(result) if result != all => return Ok(Value::Bool(!all)),
                Value::Null => unknown = true,
                _ => {}
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(all) })
    }

    /// The value of a sub-select's rows where it stands.
    fn answer(&mut self, rows: &[Row], kind: &QueryKind, plan: &Plan) -> Result<Value> {
        let first = |row: &Row| row.first().cloned().unwrap_or(Value::Null);
        match kind {
            QueryKind::Exists => Ok(Value::Bool(!rows.is_empty())),
            QueryKind::Array(element) => {
                Ok(Value::Array(*element, rows.iter().map(first).collect()))
            }
            QueryKind::Scalar => match rows {
                [] => Ok(Value::Null),
                [row] => Ok(first(row)),
                _ => {
                    let message = "more than one row returned by a subquery used as an expression";
                    Err(PgError::new("21000", message).into())
                }
            },
            QueryKind::Quantified { value, test, all } => {
                let value = self.value(value)?;
                let whole = plan.columns.len() > 1;
                let other = |row: &Row| {
                    if whole { Value::Row(Type::Record, row.clone()) } else { first(row) }
                };
                self.quantify(value, rows.iter().map(other), test, *all)
            }
        }
    }

    /// The overload and its arguments, chosen by what texts hold where nothing else decides.
    pub(crate) fn target(
        &mut self,
        target: &CallTarget,
        arguments: Vec<Value>,
    ) -> Result<(OverloadId, Vec<Value>)> {
        match target {
            CallTarget::Known(id) => Ok((*id, arguments)),
            CallTarget::ByContent(candidates) => {
                for (id, types) in candidates {
                    let fits = arguments.iter().zip(types).all(|(value, ty)| match value {
                        Value::Text(text) => holds(text, *ty, self.now),
                        _ => true,
                    });
                    if fits {
                        let mut cast = Vec::with_capacity(arguments.len());
                        for (value, ty) in arguments.into_iter().zip(types) {
                            cast.push(match value {
                                Value::Text(text) if *ty != Type::Text => {
                                    text::input_at(*ty, &text, self.now)?
                                }
                                other => other,
                            });
                        }
                        return Ok((*id, cast));
                    }
                }
                let message = "no form of this function takes these arguments";
                Err(PgError::new("22P02", message)
                    .hint("Add casts: '{}'::jsonb, 5::int, now()::timestamptz.")
                    .into())
            }
        }
    }

    /// A cast that may look names up.
    pub(crate) fn cast(&mut self, value: Value, from: Type, to: Type) -> Result<Value> {
        let bytes = value_bytes(&value);
        let value = self.cast_to(value, from, to)?;
        // Conversions between texts, documents and arrays walk over both.
        self.work.walk(bytes + value_bytes(&value))?;
        self.work.grow(value_bytes(&value).saturating_sub(bytes))?;
        Ok(value)
    }

    fn cast_to(&mut self, value: Value, from: Type, to: Type) -> Result<Value> {
        if let Some(value) = self.cast_in_zone(&value, from, to)? {
            return Ok(value);
        }
        match (&value, from, to) {
            (Value::Text(name), _, Type::Regclass) if name.parse::<u32>().is_err() => {
                let missing =
                    || PgError::new("42P01", format!("relation \"{name}\" does not exist"));
                let oid = self.facts.class_by_text(name).ok_or_else(missing)?;
                Ok(Value::Int(i64::from(oid)))
            }
            (Value::Text(name), _, Type::Regtype) if name.parse::<u32>().is_err() => {
                let missing = || PgError::new("42704", format!("type \"{name}\" does not exist"));
                let oid = catalog::type_by_text(name).ok_or_else(missing)?;
                Ok(Value::Int(i64::from(oid)))
            }
            (Value::Text(name), _, Type::Regproc) if name.parse::<u32>().is_err() => {
                let missing =
                    || PgError::new("42883", format!("function \"{name}\" does not exist"));
                Ok(Value::Int(i64::from(
                    catalog::function_by_text(self.facts.functions(), name).ok_or_else(missing)?,
                )))
            }
            (Value::Int(oid), Type::Regclass | Type::Regtype | Type::Regproc, to)
                if cast::is_text(to) =>
            {
                Ok(Value::Text(registered(self.facts, from, *oid)))
            }
            _ => Ok(cast::cast(value, from, to, self.now)?),
        }
    }
}

impl Context<'_> {
    /// Casts of instants that mean something else in another time zone than UTC.
    fn cast_in_zone(&mut self, value: &Value, from: Type, to: Type) -> Result<Option<Value>> {
        let instants = [Type::Timestamptz, Type::Array(Element::Timestamptz)];
        if !instants.contains(&from) && !instants.contains(&to) || from == to {
            return Ok(None);
        }
        let zone = self.session.zone();
        if zone == Zone::Utc {
            return Ok(None);
        }
        Ok(match (value, from, to) {
            (Value::Text(text), _, Type::Timestamptz) => {
                match text::input_at(to, text, self.now)? {
                    Value::Timestamp(time) => Some(Value::Timestamp(zone.read(text, time))),
                    other => Some(other),
                }
            }
            (Value::Timestamp(instant), Type::Timestamptz, Type::Timestamp) => {
                Some(Value::Timestamp(zone.local(*instant)))
            }
            (Value::Timestamp(instant), Type::Timestamptz, Type::Date) => Some(cast::cast(
                Value::Timestamp(zone.local(*instant)),
                Type::Timestamp,
                to,
                self.now,
            )?),
            (Value::Timestamp(local), Type::Timestamp | Type::Date, Type::Timestamptz) => {
                Some(Value::Timestamp(zone.instant(*local)))
            }
            (Value::Timestamp(_) | Value::Array(..), _, to) if cast::is_text(to) => {
                let mut written = String::new();
                zone.output(from, value, &mut written, text::output);
                Some(Value::Text(written))
            }
            _ => None,
        })
    }
}

/// The name behind an object id.
pub(crate) fn registered(facts: &Facts, ty: Type, oid: i64) -> String {
    let number = u32::try_from(oid).unwrap_or(0);
    let found = match ty {
        Type::Regclass => facts.class_text(number),
        Type::Regtype => crate::types::oid::to_type(number).map(|ty| names::display(ty).to_owned()),
        _ => catalog::function_text(facts.functions(), number),
    };
    found.unwrap_or_else(|| if oid == 0 { "-".to_owned() } else { oid.to_string() })
}

/// True if a text can be read as the type, for the choice by content: a number is a delay, not a
/// message's headers.
pub(crate) fn holds(text: &str, ty: Type, now: i64) -> bool {
    let trimmed = text.trim_start();
    match ty {
        Type::Jsonb => {
            trimmed.starts_with('{') && crate::types::json::parse(text).is_ok() || trimmed == "null"
        }
        Type::Array(Element::Int8 | Element::Jsonb) => {
            trimmed.starts_with('{') && text::input_at(ty, text, now).is_ok()
        }
        ty => text::input_at(ty, text, now).is_ok(),
    }
}

/// The value that one row of a call is.
pub(crate) fn single(row: Option<&Row>, composite: bool, ty: Type) -> Value {
    match row {
        None => Value::Null,
        Some(row) if composite => Value::Row(ty, row.clone()),
        Some(row) => row.first().cloned().unwrap_or(Value::Null),
    }
}

fn compared(comparison: Comparison, left: &Value, right: &Value) -> Value {
    if *left == Value::Null || *right == Value::Null {
        return Value::Null;
    }
    let order = compare(left, right);
    Value::Bool(match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

fn is(value: &Value, test: Test) -> bool {
    match (test, value) {
        // A row is null if all of it is.
        (Test::Null, Value::Row(_, values)) => values.iter().all(|value| *value == Value::Null),
        (Test::Null | Test::Unknown, value) => *value == Value::Null,
        (Test::True, value) => *value == Value::Bool(true),
        (Test::False, value) => *value == Value::Bool(false),
    }
}

pub(crate) fn is_distinct(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => false,
        (Value::Null, _) | (_, Value::Null) => true,
        (left, right) => compare(left, right).is_ne(),
    }
}
