//! `row_number() OVER (...)`, the one window function: drivers number columns by it (JDBC's `getColumns`).

use super::{Allowed, Resolver, Result};
use crate::error::PgError;
use crate::parser::ast::{Call, Order, Over};
use crate::plan::{Node, Typed, Window};
use crate::types::Type;

impl Resolver<'_> {
    pub(super) fn window(&mut self, name: &str, call: &Call) -> Result<Typed> {
        let Some(over) = call.over.as_ref() else {
            let message = format!("window function {name} requires an OVER clause");
            return Err(self.error("42809", message, call.pos));
        };
        if name != "row_number" || call.star || !call.arguments.is_empty() {
            let message = format!("{name} OVER (...) is not supported: row_number() is");
            return Err(self.error("0A000", message, call.pos).hint("Compute it in the client."));
        }
        let allowed = self.scopes.last().map_or(Allowed::Nothing, |scope| scope.allowed);
        if allowed != Allowed::Both {
            let clause = self.scopes.last().map_or("this place", |scope| scope.clause);
            let message = format!("window functions are not allowed in {clause}");
            return Err(self.error("42P20", message, call.pos));
        }
        self.allow(Allowed::Nothing, "window definitions");
        let window = self.definition(over);
        self.allow(Allowed::Both, "SELECT");
        let window = window?;
        let depth = self.depth().wrapping_sub(1);
        let Some(scope) = self.scopes.last_mut() else {
            return Err(PgError::new("42P20", "window function outside a query"));
        };
        let slot = scope.slots;
        scope.slots += 1;
        scope.windows.push((slot, window));
        Ok(Typed::new(Node::Column { depth, index: scope.width + slot }, Type::Int8))
    }

    fn definition(&mut self, over: &Over) -> Result<Window> {
        let mut partition = Vec::with_capacity(over.partition.len());
        for expr in &over.partition {
            let typed = self.expr(expr)?;
            partition.push(self.output(typed, expr.pos)?);
        }
        let mut order = Vec::with_capacity(over.order_by.len());
        for Order { expr, descending, nulls_first } in &over.order_by {
            let typed = self.expr(expr)?;
            order.push((self.output(typed, expr.pos)?, *descending, *nulls_first));
        }
        Ok(Window { partition, order })
    }

    pub(super) fn windows_of_groups(&self) -> PgError {
        self.error("0A000", "row_number() over groups is not supported", 0)
            .hint("Group in a sub-select, and number its rows.")
    }
}
