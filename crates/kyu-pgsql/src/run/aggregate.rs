//! Groups of rows and what is counted over them.

use std::collections::{HashMap, HashSet};

use crate::error::PgError;
use crate::plan::{Aggregate, AggregateKind};
use crate::run::key;
use crate::run::sorting::{cost, order, sort};
use crate::types::cast::{self, compare};
use crate::types::datetime::{self, Interval};
use crate::types::decimal::Decimal;
use crate::types::json::{self, Json};
use crate::types::text;
use crate::types::value::{Row, Value};
use crate::types::{Element, Type};
use crate::work::{Work, json_bytes, row_bytes, value_bytes};

pub(crate) struct Groups<'a> {
    aggregates: &'a [(usize, Aggregate)],
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<Group>,
}

struct Group {
    /// Its first row; it stands for the columns that rows are grouped by.
    row: Row,
    /// One for each aggregate.
    states: Vec<State>,
}

/// The state of an aggregate after the rows so far.
enum State {
    Count(i64),
    Sum(Sum),
    /// The largest or smallest; NULL for none yet.
    Best(Value),
    Flag(Option<bool>),
    /// Arguments and sort keys of each row, where all of them are needed at the end.
    Rows(Vec<(Row, Row)>),
}

impl State {
    fn of(aggregate: &Aggregate) -> Self {
        if aggregate.distinct || !aggregate.order.is_empty() {
            return Self::Rows(Vec::new());
        }
        match aggregate.kind {
            AggregateKind::CountRows | AggregateKind::Count => Self::Count(0),
            AggregateKind::Sum | AggregateKind::Average => Self::Sum(Sum::default()),
            AggregateKind::Min | AggregateKind::Max => Self::Best(Value::Null),
            AggregateKind::BoolAnd | AggregateKind::BoolOr => Self::Flag(None),
            AggregateKind::Array
            | AggregateKind::Text
            | AggregateKind::Json
            | AggregateKind::JsonObject => Self::Rows(Vec::new()),
        }
    }

    fn add(
        &mut self,
        kind: AggregateKind,
        arguments: Row,
        order: Row,
        work: &mut Work,
    ) -> Result<(), PgError> {
        match self {
            Self::Count(count) => *count += 1,
            Self::Sum(sum) => sum.add(arguments.first().unwrap_or(&Value::Null))?,
            Self::Best(best) => {
                let value = arguments.into_iter().next().unwrap_or(Value::Null);
                work.walk(cost(&value) + cost(best))?;
                let order = compare(&value, best);
                let better = if kind == AggregateKind::Max { order.is_ge() } else { order.is_lt() };
                if better || *best == Value::Null {
                    *best = value;
                }
            }
            Self::Flag(flag) => {
                let value = arguments.first() == Some(&Value::Bool(true));
                let both = kind == AggregateKind::BoolAnd;
                let joined = |flag| if both { flag && value } else { flag || value };
                *flag = Some(flag.map_or(value, joined));
            }
            Self::Rows(rows) => {
                work.grow(row_bytes(&arguments) + row_bytes(&order))?;
                rows.push((arguments, order));
            }
        }
        Ok(())
    }

    async fn finish(self, aggregate: &Aggregate, work: &mut Work) -> Result<Value, PgError> {
        Ok(match self {
            Self::Count(count) => Value::Int(count),
            Self::Sum(sum) if aggregate.kind == AggregateKind::Average => sum.average()?,
            Self::Sum(sum) => sum.total(aggregate.ty),
            Self::Best(value) => value,
            Self::Flag(flag) => flag.map_or(Value::Null, Value::Bool),
            Self::Rows(rows) => finish(aggregate, rows, work).await?,
        })
    }
}

impl<'a> Groups<'a> {
    pub(crate) fn new(aggregates: &'a [(usize, Aggregate)]) -> Self {
        Self { aggregates, places: HashMap::new(), groups: Vec::new() }
    }

    /// The group of a key, made if it is new.
    pub(crate) fn group(
        &mut self,
        key: &[Value],
        row: &[Value],
        work: &mut Work,
    ) -> Result<usize, PgError> {
        let next = self.groups.len();
        let key = key::of(key);
        let bytes = key.len();
        let at = *self.places.entry(key).or_insert(next);
        if at == next {
            let row = row.to_vec();
            work.grow(bytes + row_bytes(&row) + self.aggregates.len() * size_of::<State>())?;
            let states = self.aggregates.iter().map(|(_, aggregate)| State::of(aggregate));
            self.groups.push(Group { row, states: states.collect() });
        }
        Ok(at)
    }

    pub(crate) fn add(
        &mut self,
        group: usize,
        aggregate: usize,
        arguments: Row,
        order: Row,
        work: &mut Work,
    ) -> Result<(), PgError> {
        let Some((_, Aggregate { kind, .. })) = self.aggregates.get(aggregate) else {
            return Ok(());
        };
        let keeps_null = matches!(
            kind,
            AggregateKind::CountRows
                | AggregateKind::Array
                | AggregateKind::Json
                | AggregateKind::JsonObject
        );
        if !keeps_null && arguments.first() == Some(&Value::Null) {
            return Ok(());
        }
        match self.groups.get_mut(group).and_then(|group| group.states.get_mut(aggregate)) {
            Some(state) => state.add(*kind, arguments, order, work),
            None => Ok(()),
        }
    }

    /// So many rows into the first group, whose aggregates only count.
    pub(crate) fn add_counted(&mut self, rows: u64) {
        let states = self.groups.first_mut().into_iter().flat_map(|group| &mut group.states);
        for state in states {
            if let State::Count(count) = state {
                *count += i64::try_from(rows).unwrap_or(i64::MAX);
            }
        }
    }

    /// A row for each group: its first row, then the aggregates in their places.
    pub(crate) async fn finish(
        self,
        length: usize,
        width: usize,
        work: &mut Work,
    ) -> Result<Vec<Row>, PgError> {
        let mut rows = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            work.breathe().await?;
            let mut row = group.row;
            row.resize(length, Value::Null);
            for ((slot, aggregate), state) in self.aggregates.iter().zip(group.states) {
                let value = state.finish(aggregate, work).await?;
                work.grow(value_bytes(&value))?;
                if let Some(place) = row.get_mut(width + slot) {
                    *place = value;
                }
            }
            rows.push(row);
        }
        Ok(rows)
    }
}

/// An aggregate that needed all its rows.
async fn finish(
    aggregate: &Aggregate,
    rows: Vec<(Row, Row)>,
    work: &mut Work,
) -> Result<Value, PgError> {
    let mut rows = rows;
    if aggregate.distinct {
        rows = distinct(rows, work).await?;
    }
    if !aggregate.order.is_empty() {
        sort(&mut rows, work, |(_, a), (_, b)| {
            let bytes = a.iter().chain(b).map(cost).sum();
            let keys = a.iter().zip(b).zip(&aggregate.order);
            let order = keys
                .map(|((a, b), (_, descending, first))| order(a, b, *descending, *first))
                .find(|order| order.is_ne());
            (order.unwrap_or(std::cmp::Ordering::Equal), bytes)
        })
        .await?;
    }
    if matches!(aggregate.kind, AggregateKind::CountRows | AggregateKind::Count) {
        return Ok(Value::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX)));
    }
    if rows.is_empty() {
        return Ok(Value::Null);
    }
    match aggregate.kind {
        AggregateKind::Text => joined(&rows, work).await,
        AggregateKind::Array => {
            let element = match aggregate.ty {
                Type::Array(element) => element,
                _ => Element::Text,
            };
            let values = rows.into_iter().filter_map(|(row, _)| row.into_iter().next());
            Ok(Value::Array(element, values.collect()))
        }
        AggregateKind::Json | AggregateKind::JsonObject => document(aggregate, &rows, work).await,
        AggregateKind::CountRows
        | AggregateKind::Count
        | AggregateKind::Sum
        | AggregateKind::Average
        | AggregateKind::Min
        | AggregateKind::Max
        | AggregateKind::BoolAnd
        | AggregateKind::BoolOr => {
            // They need no order; what is distinct is added up as usual.
            let mut state =
                State::of(&Aggregate { distinct: false, order: Vec::new(), ..aggregate.clone() });
            for (arguments, order) in rows {
                work.breathe().await?;
                state.add(aggregate.kind, arguments, order, work)?;
            }
            Box::pin(state.finish(aggregate, work)).await
        }
    }
}

/// Different arguments only, sorted: Postgres sorts to find them.
async fn distinct(rows: Vec<(Row, Row)>, work: &mut Work) -> Result<Vec<(Row, Row)>, PgError> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for row in rows {
        work.breathe().await?;
        let key = key::of(&row.0);
        work.walk(key.len())?;
        work.grow(key.len())?;
        if seen.insert(key) {
            kept.push(row);
        }
    }
    sort(&mut kept, work, |(a, _), (b, _)| match (a.first(), b.first()) {
        (Some(a), Some(b)) => (order(a, b, false, false), cost(a) + cost(b)),
        _ => (std::cmp::Ordering::Equal, 0),
    })
    .await?;
    Ok(kept)
}

/// `string_agg`: each delimiter stands before the text of its row.
async fn joined(rows: &[(Row, Row)], work: &mut Work) -> Result<Value, PgError> {
    let text = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let bytes: usize = rows.iter().map(|(row, _)| row_bytes(row)).sum();
    work.afford(bytes)?;
    let mut joined = String::new();
    for (i, (row, _)) in rows.iter().enumerate() {
        work.breathe().await?;
        if i > 0 {
            joined.push_str(&text(row.get(1)));
        }
        joined.push_str(&text(row.first()));
    }
    Ok(Value::Text(joined))
}

/// `jsonb_agg` and `jsonb_object_agg`.
async fn document(
    aggregate: &Aggregate,
    rows: &[(Row, Row)],
    work: &mut Work,
) -> Result<Value, PgError> {
    let ty = |at: usize| aggregate.arguments.get(at).map_or(Type::Text, |argument| argument.ty);
    let null = Value::Null;
    let mark = work.mark();
    let tree = if aggregate.kind == AggregateKind::JsonObject {
        let mut pairs = Vec::with_capacity(rows.len());
        for (row, _) in rows {
            let key = row.first().filter(|key| **key != Value::Null);
            let key = key.ok_or_else(|| PgError::new("22023", "field name must not be null"))?;
            let value = row.get(1).unwrap_or(&null);
            pairs.push((text::to_string(ty(0), key), tree(value, ty(1), work).await?));
        }
        json::object(pairs)
    } else {
        let mut values = Vec::with_capacity(rows.len());
        for (row, _) in rows {
            values.push(tree(row.first().unwrap_or(&null), ty(0), work).await?);
        }
        Json::Array(values)
    };
    let text = tree.to_string();
    work.back_to(mark);
    Ok(Value::Json(text.into()))
}

/// A value as a document, counted as what is held.
async fn tree(value: &Value, ty: Type, work: &mut Work) -> Result<Json, PgError> {
    work.breathe().await?;
    let bytes = match value {
        Value::Json(text) => json_bytes(text),
        other => value_bytes(other) * 2,
    };
    work.walk(bytes)?;
    work.grow(bytes)?;
    cast::to_json(value, ty, &[])
}

/// The sum that `sum` and `avg` have added up.
#[derive(Default)]
struct Sum {
    count: i64,
    integer: i64,
    float: f64,
    decimal: Option<Decimal>,
    interval: Interval,
    is_float: bool,
}

impl Sum {
    fn add(&mut self, value: &Value) -> Result<(), PgError> {
        self.count += 1;
        match value {
            Value::Int(number) => {
                let sum = self.integer.checked_add(*number);
                self.integer = sum.ok_or_else(|| cast::out_of_range(Type::Int8))?;
            }
            Value::Float(number) => {
                self.float += number;
                self.is_float = true;
            }
            Value::Numeric(number) => {
                let before = self.decimal.take().unwrap_or_else(|| Decimal::from_i64(0));
                self.decimal = Some(before.add(Decimal::parse(number)?)?);
            }
            Value::Interval { months, days, micros } => {
                let other = Interval { months: *months, days: *days, micros: *micros };
                self.interval = datetime::add_intervals(self.interval, other)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn total(self, ty: Type) -> Value {
        if self.count == 0 {
            return Value::Null;
        }
        match ty {
            Type::Float8 => Value::Float(self.float),
            Type::Numeric => {
                let decimal = self.decimal.unwrap_or_else(|| Decimal::from_i64(0));
                Value::Numeric(decimal.to_text())
            }
            Type::Interval => {
                let Interval { months, days, micros } = self.interval;
                Value::Interval { months, days, micros }
            }
            _ => Value::Int(self.integer),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn average(self) -> Result<Value, PgError> {
        if self.count == 0 {
            return Ok(Value::Null);
        }
        if self.is_float {
            return Ok(Value::Float(self.float / self.count as f64));
        }
        let total = self.decimal.unwrap_or_else(|| Decimal::from_i64(0));
        Ok(Value::Numeric(total.divide(Decimal::from_i64(self.count))?.to_text()))
    }
}
