//! Numbers rows for `row_number() OVER (...)`.

use std::collections::HashMap;

use crate::error::PgError;
use crate::host::Host;
use crate::plan::SelectPlan;
use crate::run::execute::Executor;
use crate::run::key;
use crate::run::sorting::{cost, order, sort};
use crate::types::value::{Row, Value};

impl<H: Host> Executor<'_, H> {
    /// Puts the numbers into the rows, which stay in the order in which they came.
    pub(crate) async fn numbered(
        &mut self,
        select: &SelectPlan,
        depth: usize,
        mut rows: Vec<Row>,
    ) -> Result<Vec<Row>, PgError> {
        for (slot, window) in &select.windows {
            let mut partitions: HashMap<Vec<u8>, Vec<(Row, usize)>> = HashMap::new();
            for (at, row) in rows.iter().enumerate() {
                self.replace_row(depth, row.clone());
                let partition = key::of(&self.row(&window.partition).await?);
                self.work.grow(partition.len())?;
                let mut keys = Row::with_capacity(window.order.len());
                for (expr, ..) in &window.order {
                    keys.extend(self.row(std::slice::from_ref(expr)).await?);
                }
                partitions.entry(partition).or_default().push((keys, at));
            }
            for mut members in partitions.into_values() {
                sort(&mut members, self.work, |(a, _), (b, _)| {
                    let bytes = a.iter().chain(b).map(cost).sum();
                    let keys = a.iter().zip(b).zip(&window.order);
                    let order = keys
                        .map(|((a, b), (_, descending, first))| order(a, b, *descending, *first))
                        .find(|order| order.is_ne());
                    (order.unwrap_or(std::cmp::Ordering::Equal), bytes)
                })
                .await?;
                for (number, (_, at)) in members.into_iter().enumerate() {
                    self.work.breathe().await?;
                    let number = Value::Int(i64::try_from(number + 1).unwrap_or(i64::MAX));
                    if let Some(row) = rows.get_mut(at) {
                        row.resize(row.len().max(select.width + slot + 1), Value::Null);
                        if let Some(place) = row.get_mut(select.width + slot) {
                            *place = number;
                        }
                    }
                }
            }
        }
        Ok(rows)
    }
}
