//! Questions of a query to its host: functions, and rows or only how many there are.

use std::time::Duration;

use crate::functions::{self, Effect, Function};
use crate::host::{Host, OverloadId, ScanBounds};
use crate::plan::SelectPlan;
use crate::run::execute::{Executor, Result};
use crate::types::value::{Row, Value};

impl<H: Host> Executor<'_, H> {
    /// Calls a function that stands in an expression.
    pub(crate) async fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>> {
        if overload == functions::SLEEP {
            if let Some(Value::Float(seconds)) = arguments.first() {
                let wait =
                    Duration::try_from_secs_f64(seconds.clamp(0.0, 86_400.0)).unwrap_or_default();
                tokio::time::sleep(wait).await;
            }
            return Ok(vec![vec![Value::Void]]);
        }
        self.call_host(overload, arguments).await
    }

    /// Calls a function of the queues; 25006 if it writes and the transaction is read-only.
    pub(crate) async fn call_host(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let function = self.host.functions().by_id(overload);
        if self.session.is_read_only() {
            function.map_or(Ok(()), Function::refuse_to_write)?;
        }
        let rows = self.host.call(overload, arguments).await?;
        let inserts = function.is_some_and(|function| function.effect == Effect::Inserts);
        let last = rows.last().and_then(|row| row.first());
        if let (true, Some(Value::Int(number))) = (inserts, last) {
            self.session.gave(*number);
        }
        Ok(rows)
    }

    /// Rows of FROM that WHERE lets pass, in their groups. Rows that are only counted are not read,
    /// if the host knows how many there are.
    pub(crate) async fn grouped_input(
        &mut self,
        select: &SelectPlan,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>> {
        let Some(grouping) = &select.grouping else { return self.input(select, bounds).await };
        let counted = match select.counted() {
            Some(relation) => self.host.count(relation).await?,
            None => None,
        };
        let input = match counted {
            Some(_) => Vec::new(),
            None => self.input(select, bounds).await?,
        };
        self.grouped(select, grouping, input, counted).await
    }
}
