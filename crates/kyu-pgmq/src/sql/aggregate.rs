//! Groups of rows and what is counted over them.

use std::collections::{BTreeMap, BTreeSet};

use super::cast::{self, compare};
use super::decimal::Decimal;
use super::execute::order;
use super::plan::{Aggregate, AggregateKind};
use super::text;
use crate::error::PgError;
use crate::json::{self, Json};
use crate::types::{Element, Type};
use crate::value::{Row, Value};

pub(super) struct Groups<'a> {
    aggregates: &'a [(usize, Aggregate)],
    places: BTreeMap<String, usize>,
    groups: Vec<Group>,
}

struct Group {
    /// Its first row; it stands for the columns that rows are grouped by.
    row: Row,
    /// For each aggregate: arguments and sort keys of each row.
    inputs: Vec<State>,
}

/// Counting and adding needs no memory of the rows.
enum State {
    Count(i64),
    Rows(Vec<(Row, Row)>),
}

/// A text that two rows share if and only if they are equal as groups.
pub(super) fn key_text(row: &Row) -> String {
    let mut key = String::new();
    for value in row {
        match value {
            Value::Null => key.push('n'),
            Value::Numeric(number) => {
                // 1.0 and 1 are one group.
                let trimmed = if number.contains('.') {
                    number.trim_end_matches('0').trim_end_matches('.')
                } else {
                    number
                };
                key.push_str(trimmed);
            }
            value => {
                let text = text::to_string(text::guess(value), value);
                key.push_str(&text.len().to_string());
                key.push(':');
                key.push_str(&text);
            }
        }
        key.push('|');
    }
    key
}

impl<'a> Groups<'a> {
    pub(super) fn new(aggregates: &'a [(usize, Aggregate)]) -> Self {
        Self { aggregates, places: BTreeMap::new(), groups: Vec::new() }
    }

    /// The group of a key, made if it is new.
    pub(super) fn group(&mut self, key: Row, row: &Row) -> usize {
        let next = self.groups.len();
        let at = *self.places.entry(key_text(&key)).or_insert(next);
        if at == next {
            let plain = |aggregate: &Aggregate| {
                matches!(aggregate.kind, AggregateKind::CountRows | AggregateKind::Count)
                    && !aggregate.distinct
            };
            let state = |(_, aggregate): &(usize, Aggregate)| {
                if plain(aggregate) { State::Count(0) } else { State::Rows(Vec::new()) }
            };
            self.groups.push(Group {
                row: row.clone(),
                inputs: self.aggregates.iter().map(state).collect(),
            });
        }
        at
    }

    pub(super) fn add(&mut self, group: usize, aggregate: usize, arguments: Row, order: Row) {
        let kind = self.aggregates.get(aggregate).map(|(_, aggregate)| aggregate.kind);
        let keeps_null = matches!(
            kind,
            Some(
                AggregateKind::CountRows
                    | AggregateKind::Array
                    | AggregateKind::Json
                    | AggregateKind::JsonObject
            )
        );
        if !keeps_null && arguments.first() == Some(&Value::Null) {
            return;
        }
        match self.groups.get_mut(group).and_then(|group| group.inputs.get_mut(aggregate)) {
            Some(State::Count(count)) => *count += 1,
            Some(State::Rows(rows)) => rows.push((arguments, order)),
            None => {}
        }
    }

    /// So many rows into the first group, whose aggregates only count.
    pub(super) fn add_counted(&mut self, rows: u64) {
        let inputs = self.groups.first_mut().into_iter().flat_map(|group| &mut group.inputs);
        for state in inputs {
            if let State::Count(count) = state {
                *count += i64::try_from(rows).unwrap_or(i64::MAX);
            }
        }
    }

    /// A row for each group: its first row, then the aggregates in their places.
    pub(super) fn finish(self, length: usize, width: usize) -> Result<Vec<Row>, PgError> {
        let mut rows = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            let mut row = group.row;
            row.resize(length, Value::Null);
            for ((slot, aggregate), state) in self.aggregates.iter().zip(group.inputs) {
                let value = match state {
                    State::Count(count) => Value::Int(count),
                    State::Rows(rows) => finish(aggregate, rows)?,
                };
                if let Some(place) = row.get_mut(width + slot) {
                    *place = value;
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

fn finish(aggregate: &Aggregate, mut rows: Vec<(Row, Row)>) -> Result<Value, PgError> {
    if aggregate.distinct {
        let mut seen = BTreeSet::new();
        rows.retain(|(arguments, _)| seen.insert(key_text(arguments)));
        // Postgres sorts to find the distinct ones.
        rows.sort_by(|(a, _), (b, _)| match (a.first(), b.first()) {
            (Some(a), Some(b)) => order(a, b, false, false),
            _ => std::cmp::Ordering::Equal,
        });
    }
    rows.sort_by(|(_, a), (_, b)| {
        for ((a, b), (_, descending, nulls_first)) in a.iter().zip(b).zip(&aggregate.order) {
            let order = order(a, b, *descending, *nulls_first);
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    });
    if matches!(aggregate.kind, AggregateKind::CountRows | AggregateKind::Count) {
        return Ok(Value::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX)));
    }
    if rows.is_empty() {
        return Ok(Value::Null);
    }
    let second = |row: &Row| row.get(1).cloned().unwrap_or(Value::Null);
    let types: Vec<Type> = aggregate.arguments.iter().map(|argument| argument.ty).collect();
    let ty = |at: usize| types.get(at).copied().unwrap_or(Type::Text);
    match aggregate.kind {
        AggregateKind::Text => {
            let mut joined = String::new();
            for (i, (row, _)) in rows.iter().enumerate() {
                if let (true, Value::Text(delimiter)) = (i > 0, second(row)) {
                    joined.push_str(&delimiter);
                }
                if let Some(Value::Text(part)) = row.first() {
                    joined.push_str(part);
                }
            }
            Ok(Value::Text(joined))
        }
        AggregateKind::JsonObject => {
            let mut pairs = Vec::with_capacity(rows.len());
            for (row, _) in &rows {
                let key = row.first().filter(|key| **key != Value::Null);
                let key =
                    key.ok_or_else(|| PgError::new("22023", "field name must not be null"))?;
                pairs.push((text::to_string(ty(0), key), cast::to_json(&second(row), ty(1), &[])?));
            }
            Ok(Value::Json(json::object(pairs).to_string().into()))
        }
        kind => {
            let values = rows.into_iter().filter_map(|(row, _)| row.into_iter().next()).collect();
            over(kind, values, ty(0), aggregate.ty)
        }
    }
}

/// Aggregates of one argument over the values that are there.
fn over(
    kind: AggregateKind,
    values: Vec<Value>,
    argument: Type,
    ty: Type,
) -> Result<Value, PgError> {
    match kind {
        AggregateKind::Sum => sum(&values, ty),
        AggregateKind::Average => average(&values),
        AggregateKind::Min => Ok(values.into_iter().min_by(compare).unwrap_or(Value::Null)),
        AggregateKind::Max => Ok(values.into_iter().max_by(compare).unwrap_or(Value::Null)),
        AggregateKind::BoolAnd => {
            Ok(Value::Bool(values.iter().all(|value| *value == Value::Bool(true))))
        }
        AggregateKind::BoolOr => Ok(Value::Bool(values.contains(&Value::Bool(true)))),
        AggregateKind::Array => {
            let element = match ty {
                Type::Array(element) => element,
                _ => Element::Text,
            };
            Ok(Value::Array(element, values))
        }
        _ => {
            let json = values
                .iter()
                .map(|value| cast::to_json(value, argument, &[]))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Value::Json(Json::Array(json).to_string().into()))
        }
    }
}

fn sum(values: &[Value], ty: Type) -> Result<Value, PgError> {
    let mut integer = 0_i64;
    let mut float = 0.0;
    let mut decimal = Decimal::from_i64(0);
    let mut interval = super::datetime::Interval::default();
    for value in values {
        match value {
            Value::Int(number) => {
                integer =
                    integer.checked_add(*number).ok_or_else(|| cast::out_of_range(Type::Int8))?;
            }
            Value::Float(number) => float += number,
            Value::Numeric(number) => decimal = decimal.add(Decimal::parse(number)?)?,
            Value::Interval { months, days, micros } => {
                let other =
                    super::datetime::Interval { months: *months, days: *days, micros: *micros };
                interval = super::datetime::add_intervals(interval, other)?;
            }
            _ => {}
        }
    }
    Ok(match ty {
        Type::Float8 => Value::Float(float),
        Type::Numeric => Value::Numeric(decimal.to_text()),
        Type::Interval => Value::Interval {
            months: interval.months,
            days: interval.days,
            micros: interval.micros,
        },
        _ => Value::Int(integer),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn average(values: &[Value]) -> Result<Value, PgError> {
    let count = values.len();
    if let Some(Value::Float(_)) = values.first() {
        let total: f64 = values
            .iter()
            .map(|value| if let Value::Float(number) = value { *number } else { 0.0 })
            .sum();
        return Ok(Value::Float(total / count as f64));
    }
    let Value::Numeric(total) = sum(values, Type::Numeric)? else { return Ok(Value::Null) };
    let count = Decimal::from_i64(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(Value::Numeric(Decimal::parse(&total)?.divide(count)?.to_text()))
}
