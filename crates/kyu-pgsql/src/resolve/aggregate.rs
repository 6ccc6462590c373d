//! Aggregates: what they take, what they give, and their place in the row.

use super::{Allowed, Resolver, Result};
use crate::error::PgError;
use crate::parser::ast::{Call, Order};
use crate::plan::{Aggregate, AggregateKind, Node, Typed};
use crate::types::Type;
use crate::types::names::{self, display};

impl Resolver<'_> {
    pub(super) fn aggregate(&mut self, kind: AggregateKind, call: &Call) -> Result<Typed> {
        let pos = call.pos;
        let depth = self.depth().wrapping_sub(1);
        let allowed = self.scopes.last().is_some_and(|scope| scope.allowed != Allowed::Nothing);
        if !allowed {
            let clause = self.scopes.last().map_or("this place", |scope| scope.clause);
            return Err(self.error(
                "42803",
                format!("aggregate functions are not allowed in {clause}"),
                pos,
            ));
        }
        let before = self
            .scopes
            .last_mut()
            .map(|scope| std::mem::replace(&mut scope.allowed, Allowed::Nothing));
        let clause = self
            .scopes
            .last_mut()
            .map(|scope| std::mem::replace(&mut scope.clause, "aggregate function calls"));
        let aggregate = self.aggregate_parts(kind, call);
        if let (Some(scope), Some(before), Some(clause)) = (self.scopes.last_mut(), before, clause)
        {
            scope.allowed = before;
            scope.clause = clause;
        }
        let aggregate = aggregate?;
        let ty = aggregate.ty;
        let Some(scope) = self.scopes.last_mut() else {
            return Err(PgError::new("42803", "aggregate outside a query"));
        };
        let slot = match scope.aggregates.iter().find(|(_, have)| *have == aggregate) {
            Some((slot, _)) => *slot,
            None => {
                scope.slots += 1;
                scope.aggregates.push((scope.slots - 1, aggregate));
                scope.slots - 1
            }
        };
        Ok(Typed::new(Node::Column { depth, index: scope.width + slot }, ty))
    }

    fn aggregate_parts(&mut self, kind: AggregateKind, call: &Call) -> Result<Aggregate> {
        let mut arguments = self.arguments(call)?;
        let count = if call.star { 0 } else { arguments.values.len() };
        let expected = match kind {
            AggregateKind::CountRows | AggregateKind::Count => usize::from(!call.star),
            AggregateKind::Text | AggregateKind::JsonObject => 2,
            _ => 1,
        };
        if count != expected {
            let name = call.name.last().map_or("", String::as_str);
            return Err(self.no_function(None, name, &arguments, call.pos));
        }
        let kind = if call.star { AggregateKind::CountRows } else { kind };
        let mut values = Vec::with_capacity(count);
        for value in std::mem::take(&mut arguments.values) {
            let value = self.output(value, call.pos)?;
            values.push(if matches!(kind, AggregateKind::Json | AggregateKind::JsonObject) {
                self.json_part(value, call.pos)?
            } else {
                value
            });
        }
        let first = values.first().map_or(Type::Int8, |value| value.ty);
        let (argument, ty) = aggregate_types(kind, first).ok_or_else(|| {
            let name = call.name.last().map_or("", String::as_str);
            let hint = "No function matches the given name and argument types. You might need to add explicit type casts.";
            self.error("42883", format!("function {name}({}) does not exist", display(first)), call.pos).hint(hint)
        })?;
        if let Some(value) = values.first_mut() {
            *value = self.coerce(value.clone(), argument, call.pos)?;
        }
        if kind == AggregateKind::Text
            && let Some(value) = values.get_mut(1)
        {
            *value = self.coerce(value.clone(), Type::Text, call.pos)?;
        }
        let json_type = match call.name.last().map(String::as_str) {
            Some("json_agg" | "json_object_agg") => Type::Json,
            _ => ty,
        };
        let filter = match &call.filter {
            Some(filter) => {
                let typed = self.expr(filter)?;
                Some(self.boolean(typed, "FILTER", filter.pos)?)
            }
            None => None,
        };
        let mut order = Vec::new();
        for Order { expr, descending, nulls_first } in &call.order_by {
            let typed = self.expr(expr)?;
            order.push((self.output(typed, expr.pos)?, *descending, *nulls_first));
        }
        Ok(Aggregate {
            kind,
            arguments: values,
            distinct: call.distinct,
            filter,
            order,
            ty: json_type,
        })
    }
}

pub(super) fn aggregate_kind(name: &str) -> Option<AggregateKind> {
    Some(match name {
        "count" => AggregateKind::Count,
        "sum" => AggregateKind::Sum,
        "avg" => AggregateKind::Average,
        "min" => AggregateKind::Min,
        "max" => AggregateKind::Max,
        "bool_and" | "every" => AggregateKind::BoolAnd,
        "bool_or" => AggregateKind::BoolOr,
        "array_agg" => AggregateKind::Array,
        "string_agg" => AggregateKind::Text,
        "jsonb_agg" | "json_agg" => AggregateKind::Json,
        "jsonb_object_agg" | "json_object_agg" => AggregateKind::JsonObject,
        _ => return None,
    })
}

/// The types that the argument becomes and that come out.
fn aggregate_types(kind: AggregateKind, argument: Type) -> Option<(Type, Type)> {
    use Type::{Bool, Float8, Int2, Int4, Int8, Interval, Jsonb, Numeric, Text, Void};
    Some(match kind {
        AggregateKind::CountRows | AggregateKind::Count => (argument, Int8),
        AggregateKind::Sum => match argument {
            Int2 | Int4 => (argument, Int8),
            Int8 | Numeric => (Numeric, Numeric),
            Float8 | Interval => (argument, argument),
            _ => return None,
        },
        AggregateKind::Average => match argument {
            Int2 | Int4 | Int8 | Numeric => (Numeric, Numeric),
            Float8 => (Float8, Float8),
            _ => return None,
        },
        AggregateKind::Min | AggregateKind::Max
            if matches!(argument, Bool | Jsonb | Type::Json | Void) =>
        {
            return None;
        }
        AggregateKind::Min | AggregateKind::Max => (argument, argument),
        AggregateKind::BoolAnd | AggregateKind::BoolOr => (Bool, Bool),
        AggregateKind::Array => {
            let element = names::element_of(argument)?;
            (element.ty(), Type::Array(element))
        }
        AggregateKind::Text => (Text, Text),
        AggregateKind::Json | AggregateKind::JsonObject => (argument, Jsonb),
    })
}
