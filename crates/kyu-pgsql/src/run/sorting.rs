//! A stable merge sort that can be interrupted, and whose comparison may fail.

use std::cmp::Ordering;

use crate::error::PgError;
use crate::plan::SortKey;
use crate::types::cast::compare;
use crate::types::value::{Row, Value};
use crate::work::Work;

/// Runs of this length are sorted by insertion.
const RUN: usize = 16;

/// Sorts items by a comparison; equal ones keep their order.
///
/// # Errors
/// The error that ended the statement meanwhile.
pub(crate) async fn sort<T: Send>(
    items: &mut Vec<T>,
    work: &mut Work,
    order: impl Fn(&T, &T) -> (Ordering, usize) + Send + Sync,
) -> Result<(), PgError> {
    let mut rest = std::mem::take(items).into_iter();
    let mut runs: Vec<Vec<T>> = Vec::with_capacity(rest.len().div_ceil(RUN));
    while let Some(first) = rest.next() {
        let mut run = Vec::with_capacity(RUN);
        run.push(first);
        for item in rest.by_ref().take(RUN - 1) {
            let mut at = run.len();
            while let Some(before) = at.checked_sub(1).and_then(|at| run.get(at)) {
                let (order, bytes) = order(before, &item);
                work.walk(bytes)?;
                work.breathe().await?;
                if order.is_le() {
                    break;
                }
                at -= 1;
            }
            run.insert(at, item);
        }
        runs.push(run);
    }
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut pairs = runs.into_iter();
        while let Some(left) = pairs.next() {
            merged.push(match pairs.next() {
                Some(right) => merge(left, right, work, &order).await?,
                None => left,
            });
        }
        runs = merged;
    }
    *items = runs.pop().unwrap_or_default();
    Ok(())
}

async fn merge<T: Send>(
    left: Vec<T>,
    right: Vec<T>,
    work: &mut Work,
    order: &(impl Fn(&T, &T) -> (Ordering, usize) + Send + Sync),
) -> Result<Vec<T>, PgError> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (order, bytes) = order(a, b);
        work.walk(bytes)?;
        work.breathe().await?;
        merged.extend(if order.is_le() { left.next() } else { right.next() });
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}

/// Sorts rows by ORDER BY.
pub(crate) async fn sort_rows(
    rows: &mut Vec<Row>,
    keys: &[SortKey],
    work: &mut Work,
) -> Result<(), PgError> {
    if keys.is_empty() {
        return Ok(());
    }
    sort(rows, work, |a, b| {
        let mut bytes = 0;
        for key in keys {
            let (Some(a), Some(b)) = (a.get(key.index), b.get(key.index)) else { continue };
            bytes += cost(a) + cost(b);
            let order = order(a, b, key.descending, key.nulls_first);
            if order.is_ne() {
                return (order, bytes);
            }
        }
        (Ordering::Equal, bytes)
    })
    .await
}

/// Bytes that a comparison walks over: documents are parsed for each.
pub(crate) fn cost(value: &Value) -> usize {
    match value {
        Value::Json(text) => text.len() * 8,
        Value::Array(_, values) | Value::Row(_, values) => {
            values.iter().map(|value| cost(value) + 64).sum()
        }
        Value::Text(text) | Value::Numeric(text) => text.len() / 8,
        Value::Bytea(bytes) => bytes.len() / 8,
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Timestamp(_)
        | Value::Interval { .. }
        | Value::Void => 0,
    }
}

/// The order of two values in ORDER BY.
pub(crate) fn order(a: &Value, b: &Value, descending: bool, nulls_first: bool) -> Ordering {
    match (*a == Value::Null, *b == Value::Null) {
        (true, true) => Ordering::Equal,
        (true, false) if nulls_first => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if nulls_first => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => compare(b, a),
        (false, false) => compare(a, b),
    }
}
