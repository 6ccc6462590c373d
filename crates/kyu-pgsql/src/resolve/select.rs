//! SELECT and what surrounds it.

use std::sync::Arc;

use super::{Allowed, CteName, Resolver, Result, Scope, common};
use crate::host::Relation;
use crate::parser::ast::{
    Body, Cte, Distinct, Expr, ExprKind, Item, Literal, Order, Plain, Select, SetOp,
};
use crate::plan::{
    BodyPlan, Comparison, CtePlan, DistinctPlan, FromItem, Grouping, LeafKind, Node, Plan,
    SelectPlan, SortKey, Source, Typed,
};
use crate::resolve::place;
use crate::types::Type;
use crate::types::names::display;
use crate::types::value::Column;

impl Resolver<'_> {
    pub(super) fn select(&mut self, select: &Select) -> Result<Plan> {
        // What walks plans recurs as this does; the bound of running queries is the stricter one.
        self.work.enter()?;
        let plan = self.whole(select);
        self.work.leave();
        plan
    }

    fn whole(&mut self, select: &Select) -> Result<Plan> {
        self.work.step()?;
        let depth = self.depth();
        let known = self.ctes.len();
        let mut ctes = Vec::with_capacity(select.with.len());
        for cte in &select.with {
            ctes.push(self.cte(cte, select.recursive)?);
        }
        let (limit, offset) = (
            self.count(select.limit.as_ref(), "LIMIT")?,
            self.count(select.offset.as_ref(), "OFFSET")?,
        );
        let (body, columns, order) = match &select.body {
            Body::Plain(plain) => self.plain(plain, &select.order_by)?,
            Body::Values(rows) => {
                let (body, columns) = self.rows(rows)?;
                let order = self.output_order(&select.order_by, &columns)?;
                (body, columns, order)
            }
            Body::Set { op, all, left, right } => {
                let (body, columns) = self.set(*op, *all, left, right)?;
                let order = self.output_order(&select.order_by, &columns)?;
                (body, columns, order)
            }
            Body::Nested(inner) => {
                let plan = self.select(inner)?;
                let columns = plan.columns.clone();
                let order = self.output_order(&select.order_by, &columns)?;
                (BodyPlan::Nested(Arc::new(plan)), columns, order)
            }
        };
        self.forget_ctes(known);
        Ok(Plan { ctes, body, columns, order, limit, offset, catalog: false, takes: false, depth })
    }

    fn count(&mut self, expr: Option<&Expr>, what: &'static str) -> Result<Option<Typed>> {
        let Some(expr) = expr else { return Ok(None) };
        // No columns can be seen here.
        self.scopes.push(Scope { clause: what, hidden: true, ..Scope::default() });
        let typed = self.expr(expr);
        self.scopes.pop();
        Ok(Some(self.coerce(typed?, Type::Int8, expr.pos)?))
    }

    fn cte(&mut self, cte: &Cte, recursive: bool) -> Result<CtePlan> {
        let id = self.id();
        let outer = std::mem::take(&mut self.read);
        let plan = self.cte_plan(cte, id, recursive);
        let read = std::mem::replace(&mut self.read, outer);
        // What it reads of queries around it must be there, too.
        self.read.extend(&read);
        let mut plan = plan?;
        plan.needs = read.into_iter().filter(|read| *read != id).collect();
        Ok(plan)
    }

    fn cte_plan(&mut self, cte: &Cte, id: usize, recursive: bool) -> Result<CtePlan> {
        if recursive && let Body::Set { op: SetOp::Union, all, left, right } = &cte.query.body {
            return self.recursive_cte(cte, id, *all, left, right);
        }
        let plan = self.select(&cte.query)?;
        let columns = renamed(plan.columns.clone(), &cte.columns);
        self.name_cte(CteName { name: cte.name.clone(), id, columns });
        Ok(CtePlan { id, needs: Arc::default(), plan: Arc::new(plan), recursive: None })
    }

    /// `base UNION [ALL] step`; the step sees the rows that the last round added.
    fn recursive_cte(
        &mut self,
        cte: &Cte,
        id: usize,
        all: bool,
        left: &Select,
        right: &Select,
    ) -> Result<CtePlan> {
        let base = self.select(left)?;
        let columns = renamed(base.columns.clone(), &cte.columns);
        self.name_cte(CteName { name: cte.name.clone(), id, columns });
        let step = self.select(right)?;
        if step.columns.len() != base.columns.len() {
            return Err(self.error(
                "42601",
                "each UNION query must have the same number of columns",
                0,
            ));
        }
        let recursive = Some((Arc::new(step), all));
        Ok(CtePlan { id, needs: Arc::default(), plan: Arc::new(base), recursive })
    }

    fn rows(&mut self, rows: &[Vec<Expr>]) -> Result<(BodyPlan, Vec<Column>)> {
        let mut table: Vec<Vec<(Typed, usize)>> = Vec::with_capacity(rows.len());
        self.scopes.push(Scope { clause: "VALUES", ..Scope::default() });
        let typed: Result<()> = rows.iter().try_for_each(|row| {
            let row = row
                .iter()
                .map(|expr| Ok((self.expr(expr)?, expr.pos)))
                .collect::<Result<Vec<_>>>()?;
            table.push(row);
            Ok(())
        });
        self.scopes.pop();
        typed?;
        let width = table.first().map_or(0, Vec::len);
        let mut columns = Vec::with_capacity(width);
        for at in 0..width {
            let types = table.iter().filter_map(|row| row.get(at)).map(|(typed, _)| typed.ty);
            let ty = common(types)
                .ok_or_else(|| self.error("42804", "VALUES types cannot be matched", 0))?;
            let ty = if ty == Type::Unknown { Type::Text } else { ty };
            columns.push(Column { name: format!("column{}", at + 1), ty });
        }
        let mut coerced = Vec::with_capacity(table.len());
        for row in table {
            let mut values = Vec::with_capacity(width);
            for ((typed, pos), column) in row.into_iter().zip(&columns) {
                values.push(self.coerce(typed, column.ty, pos)?);
            }
            coerced.push(values);
        }
        Ok((BodyPlan::Values(coerced), columns))
    }

    fn set(
        &mut self,
        op: SetOp,
        all: bool,
        left: &Select,
        right: &Select,
    ) -> Result<(BodyPlan, Vec<Column>)> {
        let (left, right) = (self.select(left)?, self.select(right)?);
        let name = match op {
            SetOp::Union => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        };
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            return Err(self.error("42601", message, 0));
        }
        let mut columns = left.columns.clone();
        for (column, other) in columns.iter_mut().zip(&right.columns) {
            // A side that was unknown has become text; a NULL there fits anything.
            let ty =
                common([column.ty, other.ty]).or_else(|| loose(&left, &right, column.ty, other.ty));
            column.ty = ty.ok_or_else(|| {
                let message = format!(
                    "{name} types {} and {} cannot be matched",
                    display(column.ty),
                    display(other.ty)
                );
                self.error("42804", message, 0)
            })?;
        }
        let types = columns.iter().map(|column| column.ty).collect();
        Ok((
            BodyPlan::Set { op, all, left: Arc::new(left), right: Arc::new(right), types },
            columns,
        ))
    }

    /// ORDER BY of something that has only its output columns.
    fn output_order(&mut self, order_by: &[Order], columns: &[Column]) -> Result<Vec<SortKey>> {
        order_by
            .iter()
            .map(|order| {
                let index = ordinal(&order.expr).or_else(|| match &*order.expr.kind {
                    ExprKind::Column(name) => match name.as_slice() {
                        [name] => columns.iter().position(|column| column.name == *name),
                        _ => None,
                    },
                    _ => None,
                });
                match index.filter(|index| *index < columns.len()) {
                    Some(index) => Ok(SortKey {
                        index,
                        descending: order.descending,
                        nulls_first: order.nulls_first,
                    }),
                    None => Err(self.error(
                        "0A000",
                        "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                        order.expr.pos,
                    )),
                }
            })
            .collect()
    }

    fn plain(
        &mut self,
        plain: &Plain,
        order_by: &[Order],
    ) -> Result<(BodyPlan, Vec<Column>, Vec<SortKey>)> {
        self.scopes.push(Scope { clause: "FROM", ..Scope::default() });
        let result = self.in_scope(plain, order_by);
        self.scopes.pop();
        result
    }

    pub(super) fn allow(&mut self, allowed: Allowed, clause: &'static str) {
        if let Some(scope) = self.scope() {
            scope.allowed = allowed;
            scope.clause = clause;
        }
    }

    fn in_scope(
        &mut self,
        plain: &Plain,
        order_by: &[Order],
    ) -> Result<(BodyPlan, Vec<Column>, Vec<SortKey>)> {
        let mut plan = SelectPlan::default();
        for from in &plain.from {
            let source = self.from(from)?;
            plan.from.push(FromItem { source, keys: Vec::new(), filters: Vec::new() });
        }
        plan.width = self.scopes.last().map_or(0, |scope| scope.width);
        self.allow(Allowed::Nothing, "WHERE");
        if let Some(filter) = &plain.filter {
            self.filter(filter, &mut plan)?;
        }
        let depth = self.depth().wrapping_sub(1);
        plan.from.iter_mut().for_each(|item| place::reorder(item, depth));
        self.allow(Allowed::Both, "SELECT");
        let mut names = Vec::new();
        for item in &plain.items {
            self.item(item, &mut plan.items, &mut names)?;
            entries(plan.items.len())?;
        }
        let visible = plan.items.len();
        let keys = self.group_keys(plain, &plan.items, &names)?;
        self.allow(Allowed::Aggregates, "HAVING");
        let having = match &plain.having {
            Some(having) => {
                let typed = self.expr(having)?;
                Some(self.boolean(typed, "HAVING", having.pos)?)
            }
            None => None,
        };
        self.allow(Allowed::Both, "ORDER BY");
        let order =
            self.order(order_by, &mut plan.items, &names, !matches!(plain.distinct, Distinct::No))?;
        plan.distinct = self.distinct(&plain.distinct, &plan.items, &names)?;
        let Some(scope) = self.scopes.last_mut() else {
            return Err(self.error("XX000", "no scope", 0));
        };
        let aggregates = std::mem::take(&mut scope.aggregates);
        plan.sets = std::mem::take(&mut scope.sets);
        plan.windows = std::mem::take(&mut scope.windows);
        plan.slots = scope.slots;
        if !aggregates.is_empty() || !plain.group_by.is_empty() || having.is_some() {
            if !plan.windows.is_empty() {
                return Err(self.windows_of_groups());
            }
            let grouping = Grouping { keys, aggregates, having };
            self.check_grouped(&plan, &grouping, &plain.items)?;
            plan.grouping = Some(grouping);
        }
        let columns = names
            .into_iter()
            .zip(&plan.items)
            .take(visible)
            .map(|(name, typed)| Column { name, ty: typed.ty });
        let columns = columns.collect();
        Ok((BodyPlan::Select(Box::new(plan)), columns, order))
    }

    fn distinct(
        &mut self,
        distinct: &Distinct,
        items: &[Typed],
        names: &[String],
    ) -> Result<DistinctPlan> {
        let Distinct::On(exprs) = distinct else {
            let rows = matches!(distinct, Distinct::Rows);
            return Ok(if rows { DistinctPlan::Rows } else { DistinctPlan::No });
        };
        let mut on = Vec::new();
        for expr in exprs {
            entries(on.len() + 1)?;
            on.push(match self.named_output(expr, items, names) {
                Some(typed) => typed,
                None => self.expr(expr)?,
            });
        }
        Ok(DistinctPlan::On(on))
    }

    /// WHERE, conjunct by conjunct, so that each is asked as early as its columns are there.
    fn filter(&mut self, filter: &Expr, plan: &mut SelectPlan) -> Result<()> {
        let parts: Vec<&Expr> = match &*filter.kind {
            ExprKind::And(parts) => parts.iter().collect(),
            _ => vec![filter],
        };
        let depth = self.depth().wrapping_sub(1);
        for part in parts {
            let typed = self.expr(part)?;
            let typed = self.boolean(typed, "WHERE", part.pos)?;
            if plan.msg_id.is_none() {
                plan.msg_id = msg_id_bound(&typed, &plan.from, depth);
            }
            place::conjunct(plan, depth, typed);
        }
        Ok(())
    }

    fn item(&mut self, item: &Item, items: &mut Vec<Typed>, names: &mut Vec<String>) -> Result<()> {
        let pos = item.expr.pos;
        let expanded = match &*item.expr.kind {
            ExprKind::Star(name) => Some(self.star(name, pos)?),
            ExprKind::FieldStar(value) => Some(self.field_star(value, pos)?),
            _ => None,
        };
        if let Some(columns) = expanded {
            for (name, typed) in columns {
                names.push(name);
                items.push(typed);
            }
            return Ok(());
        }
        let typed = self.expr(&item.expr)?;
        items.push(self.output(typed, pos)?);
        names.push(item.alias.clone().unwrap_or_else(|| label(&item.expr)));
        Ok(())
    }

    /// An output column that ORDER BY, GROUP BY or DISTINCT ON names.
    fn named_output(&self, expr: &Expr, items: &[Typed], names: &[String]) -> Option<Typed> {
        if let Some(index) = ordinal(expr) {
            return items.get(index).cloned();
        }
        let ExprKind::Column(name) = &*expr.kind else { return None };
        let [name] = name.as_slice() else { return None };
        names.iter().position(|have| have == name).and_then(|at| items.get(at)).cloned()
    }

    fn group_keys(
        &mut self,
        plain: &Plain,
        items: &[Typed],
        names: &[String],
    ) -> Result<Vec<Typed>> {
        self.allow(Allowed::Nothing, "GROUP BY");
        let mut keys = Vec::with_capacity(plain.group_by.len());
        for expr in &plain.group_by {
            entries(keys.len() + 1)?;
            if let Some(index) = ordinal(expr).filter(|index| *index >= items.len()) {
                let message = format!("GROUP BY position {} is not in select list", index + 1);
                return Err(self.error("42P10", message, expr.pos));
            }
            // Input columns come first in GROUP BY, output names after them.
            let input = if ordinal(expr).is_none() && matches!(*expr.kind, ExprKind::Column(_)) {
                self.expr(expr).ok()
            } else {
                None
            };
            keys.push(match input.or_else(|| self.named_output(expr, items, names)) {
                Some(typed) => typed,
                None => self.expr(expr)?,
            });
        }
        Ok(keys)
    }

    fn order(
        &mut self,
        order_by: &[Order],
        items: &mut Vec<Typed>,
        names: &[String],
        distinct: bool,
    ) -> Result<Vec<SortKey>> {
        let mut keys = Vec::with_capacity(order_by.len());
        for Order { expr, descending, nulls_first } in order_by {
            entries(keys.len() + 1)?;
            let named = match &*expr.kind {
                ExprKind::Column(name) => match name.as_slice() {
                    [name] => names.iter().position(|have| have == name),
                    _ => None,
                },
                _ => None,
            };
            let index = match (ordinal(expr), named) {
                (Some(index), _) if index < names.len() => index,
                (Some(index), _) => {
                    let message = format!("ORDER BY position {} is not in select list", index + 1);
                    return Err(self.error("42P10", message, expr.pos));
                }
                (None, Some(index)) => index,
                (None, None) => {
                    let typed = self.expr(expr)?;
                    let typed = self.output(typed, expr.pos)?;
                    match items.iter().position(|item| *item == typed) {
                        Some(index) => index,
                        None if distinct => {
                            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                            return Err(self.error("42P10", message, expr.pos));
                        }
                        None => {
                            entries(items.len() + 1)?;
                            items.push(typed);
                            items.len() - 1
                        }
                    }
                }
            };
            keys.push(SortKey { index, descending: *descending, nulls_first: *nulls_first });
        }
        Ok(keys)
    }

    /// Every column outside aggregates must be one that rows are grouped by.
    fn check_grouped(&self, plan: &SelectPlan, grouping: &Grouping, items: &[Item]) -> Result<()> {
        let depth = self.depth().wrapping_sub(1);
        let fine = |typed: &Typed| grouped(typed, &grouping.keys, depth, plan.width);
        let all = plan.items.iter().chain(&grouping.having);
        for (i, typed) in all.enumerate() {
            if let Err(index) = fine(typed) {
                let column = self
                    .scopes
                    .last()
                    .and_then(|scope| scope.columns.iter().find(|column| column.index == index));
                let name = column.map(|c| {
                    if c.table.is_empty() {
                        c.name.clone()
                    } else {
                        format!("{}.{}", c.table, c.name)
                    }
                });
                let message = format!(
                    "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
                    name.unwrap_or_default()
                );
                return Err(self.error(
                    "42803",
                    message,
                    items.get(i).map_or(0, |item| item.expr.pos),
                ));
            }
        }
        Ok(())
    }
}

/// Longest select list, ORDER BY, GROUP BY and DISTINCT ON, as in Postgres (`MaxTupleAttributeNumber`).
const MAX_ENTRIES: usize = 1_664;

/// 54011 above the bound.
fn entries(count: usize) -> Result<()> {
    if count <= MAX_ENTRIES {
        return Ok(());
    }
    let message = format!("target lists can have at most {MAX_ENTRIES} entries");
    Err(crate::error::PgError::new("54011", message))
}

/// The first column that is neither grouped by nor inside an aggregate.
fn grouped(
    typed: &Typed,
    keys: &[Typed],
    depth: usize,
    width: usize,
) -> std::result::Result<(), usize> {
    if keys.contains(typed) {
        return Ok(());
    }
    if let Node::Column { depth: at, index } = &typed.node {
        return if *at == depth && *index < width { Err(*index) } else { Ok(()) };
    }
    let mut result = Ok(());
    crate::plan::walk::children(&typed.node, &mut |child| {
        if result.is_ok() {
            result = grouped(child, keys, depth, width);
        }
    });
    result
}

/// `msg_id = x` over a single relation: the scan needs to look at one message only.
fn msg_id_bound(typed: &Typed, from: &[FromItem], depth: usize) -> Option<Typed> {
    let [FromItem { source: Source::Leaf(leaf), .. }] = from else { return None };
    if !matches!(leaf.kind, LeafKind::Relation(Relation::Queue(_) | Relation::Archive(_))) {
        return None;
    }
    let Node::Compare(Comparison::Equal, left, right) = &typed.node else { return None };
    let is_id =
        |side: &Typed| side.node == Node::Column { depth, index: 0 } && side.ty == Type::Int8;
    let plain = |side: &Typed| {
        matches!(side.node, Node::Value(_) | Node::Parameter(_)) && side.ty == Type::Int8
    };
    match (is_id(left) && plain(right), is_id(right) && plain(left)) {
        (true, _) => Some((**right).clone()),
        (_, true) => Some((**left).clone()),
        _ => None,
    }
}

fn ordinal(expr: &Expr) -> Option<usize> {
    match &*expr.kind {
        ExprKind::Literal(Literal::Integer(digits)) => {
            digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1))
        }
        _ => None,
    }
}

fn renamed(mut columns: Vec<Column>, names: &[String]) -> Vec<Column> {
    for (column, name) in columns.iter_mut().zip(names) {
        column.name.clone_from(name);
    }
    columns
}

/// Text that came from an unknown literal fits the other side's type.
fn loose(left: &Plan, right: &Plan, left_type: Type, right_type: Type) -> Option<Type> {
    let literal = |plan: &Plan| match &plan.body {
        BodyPlan::Select(select) => select.from.is_empty(),
        BodyPlan::Values(_) => true,
        _ => false,
    };
    if left_type == Type::Text && literal(left) {
        Some(right_type)
    } else if right_type == Type::Text && literal(right) {
        Some(left_type)
    } else {
        None
    }
}

/// The name that Postgres gives a column (`FigureColname`).
fn label(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// A name, and whether it is strong: casts and CASE give way to what they contain.
fn figure(expr: &Expr) -> Option<(String, bool)> {
    let strong = |name: &str| Some((name.to_owned(), true));
    match &*expr.kind {
        ExprKind::Column(name) => name.last().map(|name| (name.clone(), true)),
        ExprKind::Field { name, .. } => strong(name),
        ExprKind::Call(call) => call.name.last().and_then(|name| strong(name)),
        ExprKind::Cast { value, ty } => figure(value).filter(|(_, strong)| *strong).or_else(|| {
            let name = match ty.name.last()?.as_str() {
                "integer" | "int" => "int4",
                "bigint" => "int8",
                "smallint" => "int2",
                "boolean" => "bool",
                "double" | "float" => "float8",
                "decimal" => "numeric",
                "character" | "char" => "bpchar",
                other => other.trim_matches('"'),
            };
            Some((name.to_owned(), false))
        }),
        ExprKind::Case { otherwise, .. } => {
            let inner = otherwise.as_ref().and_then(figure).filter(|(_, strong)| *strong);
            inner.or_else(|| Some(("case".to_owned(), false)))
        }
        ExprKind::Array(_) | ExprKind::ArrayQuery(_) => strong("array"),
        ExprKind::Row(_) => strong("row"),
        ExprKind::Exists(_) => strong("exists"),
        ExprKind::Index { value, .. } | ExprKind::Slice { value, .. } => figure(value),
        ExprKind::Subquery(query) => match &query.body {
            Body::Plain(plain) => {
                let item = plain.items.first()?;
                item.alias.as_deref().and_then(strong).or_else(|| figure(&item.expr))
            }
            Body::Values(_) => strong("column1"),
            _ => None,
        },
        _ => None,
    }
}
