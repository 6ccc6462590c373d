//! Expressions, apart from calls.

use std::sync::Arc;

use super::{Resolver, Result, ScopeColumn, common};
use crate::builtins;
use crate::error::PgError;
use crate::parser::ast::{Expr, ExprKind, Literal, Select};
use crate::plan::{Comparison, Node, QueryKind, Typed};
use crate::resolve::choose::{self, Failure};
use crate::types::Type;
use crate::types::names::{self, display};
use crate::types::value::Value;

impl Resolver<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Result<Typed> {
        self.work.step()?;
        let pos = expr.pos;
        match &*expr.kind {
            ExprKind::Column(name) => self.column(name, pos),
            ExprKind::Star(_) => {
                Err(self.error("42601", "row expansion via \"*\" is not supported here", pos))
            }
            ExprKind::FieldStar(_) => {
                Err(self.error("0A000", "row expansion via \"*\" is not supported here", pos))
            }
            ExprKind::Literal(literal) => self.literal(literal, pos),
            ExprKind::Parameter(number) => Ok(self.parameter(*number)),
            ExprKind::Default => {
                Err(self.error("42601", "DEFAULT is not allowed in this context", pos))
            }
            ExprKind::Cast { value, ty } => {
                let to = names::to_type(ty, self.text)?;
                let inner = self.expr(value)?;
                let length = ty.modifiers.first().copied();
                let typed = self.cast(inner, to, value.pos)?;
                if let (Type::Varchar, Some(length)) = (to, length) {
                    return self.truncated(typed, length, pos);
                }
                if let (Type::Numeric, [_, scale]) = (to, ty.modifiers.as_slice()) {
                    let scale = Typed::new(Node::Value(Value::Int(i64::from(*scale))), Type::Int4);
                    return self.builtin_named("round", vec![typed, scale], pos);
                }
                Ok(typed)
            }
            ExprKind::Unary { op, value } => {
                let value = self.expr(value)?;
                self.operator(op, vec![value], pos)
            }
            ExprKind::Binary { op, left, right } => {
                let (left_typed, right_typed) = (self.expr(left)?, self.expr(right)?);
                let literal = |typed: &Typed| {
                    typed.ty == Type::Unknown && matches!(typed.node, Node::Value(_))
                };
                self.literal = match (literal(&left_typed), literal(&right_typed)) {
                    (true, false) => Some(left.pos),
                    (false, true) => Some(right.pos),
                    _ => None,
                };
                let typed = self.binary(op, left_typed, right_typed, pos);
                self.literal = None;
                typed
            }
            ExprKind::And(parts) => {
                Ok(Typed::new(Node::And(self.conditions(parts, "AND")?), Type::Bool))
            }
            ExprKind::Or(parts) => {
                Ok(Typed::new(Node::Or(self.conditions(parts, "OR")?), Type::Bool))
            }
            ExprKind::Not(value) => {
                let typed = self.expr(value)?;
                let typed = self.boolean(typed, "NOT", value.pos)?;
                Ok(Typed::new(Node::Not(Box::new(typed)), Type::Bool))
            }
            ExprKind::Call(call) => self.call(call),
            _ => self.compound(expr),
        }
    }

    fn compound(&mut self, expr: &Expr) -> Result<Typed> {
        let pos = expr.pos;
        match &*expr.kind {
            ExprKind::Is { value, test, not } => {
                let value = self.expr(value)?;
                let value = Box::new(self.output(value, pos)?);
                Ok(Typed::new(Node::Is { value, test: *test, not: *not }, Type::Bool))
            }
            ExprKind::DistinctFrom { left, right, not } => {
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                let (left, right) = self.unified(left, right, "IS DISTINCT FROM", pos)?;
                Ok(Typed::new(
                    Node::Distinct { left: Box::new(left), right: Box::new(right), not: *not },
                    Type::Bool,
                ))
            }
            ExprKind::InList { value, list, not } => self.in_list(value, list, *not, pos),
            ExprKind::InQuery { value, query, not } => {
                let inner = self.quantified_query("=", false, value, query, pos)?;
                Ok(if *not { Typed::new(Node::Not(Box::new(inner)), Type::Bool) } else { inner })
            }
            ExprKind::QuantifiedQuery { op, all, value, query } => {
                self.quantified_query(op, *all, value, query, pos)
            }
            ExprKind::Quantified { op, all, value, array } => {
                self.quantified(op, *all, value, array, pos)
            }
            ExprKind::Between { value, low, high, not, symmetric } => {
                self.between([value, low, high], *not, *symmetric, pos)
            }
            ExprKind::Case { operand, arms, otherwise } => {
                self.case(operand.as_ref(), arms, otherwise.as_ref(), pos)
            }
            ExprKind::Array(elements) => self.array(elements, pos),
            ExprKind::Row(parts) => {
                let mut typed = Vec::with_capacity(parts.len());
                for part in parts {
                    let value = self.expr(part)?;
                    typed.push(self.output(value, part.pos)?);
                }
                Ok(Typed::new(Node::Row(typed, Vec::new()), Type::Record))
            }
            ExprKind::Subquery(query) => {
                let (node, ty) = self.subquery(query, None, pos)?;
                Ok(Typed::new(node, ty))
            }
            ExprKind::Exists(query) => {
                let (node, _) = self.subquery(query, Some(QueryKind::Exists), pos)?;
                Ok(Typed::new(node, Type::Bool))
            }
            ExprKind::ArrayQuery(query) => self.array_query(query, pos),
            ExprKind::Field { value, name } => {
                let value = self.expr(value)?;
                self.field(value, name, pos)
            }
            ExprKind::Index { value, index } => self.index(value, index, pos),
            ExprKind::Slice { value, low, high } => {
                let value = self.expr(value)?;
                let mut bound = |expr: &Option<Expr>| -> Result<Option<Box<Typed>>> {
                    let Some(expr) = expr else { return Ok(None) };
                    let typed = self.expr(expr)?;
                    Ok(Some(Box::new(self.coerce(typed, Type::Int4, expr.pos)?)))
                };
                let (low, high) = (bound(low)?, bound(high)?);
                let ty = value.ty;
                Ok(Typed::new(Node::Slice { value: Box::new(value), low, high }, ty))
            }
            _ => Err(self.error("0A000", "this expression is not supported", pos)),
        }
    }

    fn truncated(&mut self, value: Typed, length: i32, pos: usize) -> Result<Typed> {
        let length = Typed::new(Node::Value(Value::Int(i64::from(length))), Type::Int4);
        let text = self.coerce(value, Type::Text, pos)?;
        let cut = self.builtin_named("left", vec![text, length], pos)?;
        self.coerce(cut, Type::Varchar, pos)
    }

    fn literal(&self, literal: &Literal, pos: usize) -> Result<Typed> {
        Ok(match literal {
            Literal::Null => Typed::null(Type::Unknown),
            Literal::Bool(value) => Typed::new(Node::Value(Value::Bool(*value)), Type::Bool),
            Literal::Text(text) => {
                Typed::new(Node::Value(Value::Text(text.clone())), Type::Unknown)
            }
            Literal::Integer(digits) => match digits.parse::<i64>() {
                Ok(number) if i32::try_from(number).is_ok() => {
                    Typed::new(Node::Value(Value::Int(number)), Type::Int4)
                }
                Ok(number) => Typed::new(Node::Value(Value::Int(number)), Type::Int8),
                Err(_) => self.numeric(digits, pos)?,
            },
            Literal::Number(digits) => self.numeric(digits, pos)?,
        })
    }

    fn numeric(&self, digits: &str, pos: usize) -> Result<Typed> {
        let text = crate::types::decimal::normalize(digits)?;
        let text = text.ok_or_else(|| {
            self.error("22P02", format!("invalid input syntax for type numeric: \"{digits}\""), pos)
        })?;
        Ok(Typed::new(Node::Value(Value::Numeric(text)), Type::Numeric))
    }

    /// `a`, `t.a`, `s.t.a`, a whole row.
    fn column(&mut self, name: &[String], pos: usize) -> Result<Typed> {
        let (table, column) = match name {
            [column] => (None, column),
            [table, column] | [_, table, column] => (Some(table), column),
            _ => {
                return Err(self.error(
                    "42601",
                    "improper qualified name (too many dotted names)",
                    pos,
                ));
            }
        };
        for depth in (0..self.scopes.len()).rev() {
            let Some(scope) = self.scopes.get(depth).filter(|scope| !scope.hidden) else {
                continue;
            };
            let fits = |have: &&ScopeColumn| table.is_none_or(|table| *table == have.table);
            let mut found: Vec<&ScopeColumn> = scope.named(column).filter(fits).collect();
            // A real column hides a hidden one.
            if found.iter().any(|column| !column.hidden) {
                found.retain(|column| !column.hidden);
            }
            let first = found.first().map(|column| (column.index, column.ty));
            if let Some((index, ty)) = first {
                if found.iter().any(|column| column.index != index) {
                    return Err(self.error(
                        "42702",
                        format!("column reference \"{column}\" is ambiguous"),
                        pos,
                    ));
                }
                self.touch(depth);
                return Ok(Typed::new(Node::Column { depth, index }, ty));
            }
            if table.is_none()
                && let Some(row) = self.whole_row(depth, column)
            {
                return Ok(row);
            }
            if let Some(value) = self.system_column(depth, table, column) {
                return Ok(value);
            }
        }
        Err(self.no_column(table, column, pos))
    }

    fn no_column(&self, table: Option<&String>, column: &str, pos: usize) -> PgError {
        let known = |table: &String| {
            self.scopes.iter().any(|scope| !scope.hidden && scope.has_table(table))
        };
        match table {
            Some(table) if !known(table) => {
                self.error("42P01", format!("missing FROM-clause entry for table \"{table}\""), pos)
            }
            Some(table) => {
                self.error("42703", format!("column {table}.{column} does not exist"), pos)
            }
            None => self.error("42703", format!("column \"{column}\" does not exist"), pos),
        }
    }

    /// `tableoid` and the other columns that every table has. Rows have no place here, so all of
    /// them are at the first.
    fn system_column(&self, depth: usize, table: Option<&String>, column: &str) -> Option<Typed> {
        let bases = &self.scopes.get(depth)?.bases;
        let mut named = bases.iter().filter(|(label, _)| table.is_none_or(|table| table == label));
        let (_, oid) = named.next()?;
        let number = |number: u32| Node::Value(Value::Int(i64::from(number)));
        Some(match column {
            "tableoid" => Typed::new(number(*oid), Type::Oid),
            "ctid" => Typed::new(Node::Value(Value::Text("(0,1)".to_owned())), Type::Text),
            "xmin" | "xmax" | "cmin" | "cmax" => Typed::new(number(0), Type::Oid),
            _ => return None,
        })
    }

    /// Notes that a query looked at a row of the query at this depth.
    fn touch(&mut self, depth: usize) {
        self.lowest = self.lowest.min(depth);
        if let Some(scope) = self.scopes.get_mut(depth) {
            scope.used = true;
        }
    }

    /// `SELECT t FROM t`.
    fn whole_row(&mut self, depth: usize, table: &str) -> Option<Typed> {
        let scope = self.scopes.get(depth)?;
        let columns: Vec<ScopeColumn> =
            scope.of_table(table).filter(|column| !column.hidden).cloned().collect();
        let row = columns.first()?.row;
        self.touch(depth);
        let names = columns.iter().map(|column| column.name.clone()).collect();
        let parts = columns
            .into_iter()
            .map(|c| Typed::new(Node::Column { depth, index: c.index }, c.ty))
            .collect();
        Some(Typed::new(Node::Row(parts, names), row))
    }

    fn conditions(&mut self, parts: &[Expr], what: &str) -> Result<Vec<Typed>> {
        let mut typed = Vec::with_capacity(parts.len());
        for part in parts {
            let value = self.expr(part)?;
            typed.push(self.boolean(value, what, part.pos)?);
        }
        Ok(typed)
    }

    pub(super) fn binary(
        &mut self,
        op: &str,
        left: Typed,
        right: Typed,
        pos: usize,
    ) -> Result<Typed> {
        let comparison = match op {
            "=" => Comparison::Equal,
            "<>" => Comparison::Unequal,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return self.operator(op, vec![left, right], pos),
        };
        let (left, right) = self.unified(left, right, op, pos)?;
        Ok(Typed::new(Node::Compare(comparison, Box::new(left), Box::new(right)), Type::Bool))
    }

    /// Both sides of a comparison in one type.
    fn unified(
        &mut self,
        left: Typed,
        right: Typed,
        op: &str,
        pos: usize,
    ) -> Result<(Typed, Typed)> {
        let rows = matches!((&left.node, &right.node), (Node::Row(a, _), Node::Row(b, _)) if a.len() != b.len());
        if rows {
            return Err(self.error("42601", "unequal number of entries in row expressions", pos));
        }
        let ty = common([left.ty, right.ty]).filter(|ty| *ty != Type::Json);
        let Some(ty) = ty else { return Err(self.no_operator(op, &[left.ty, right.ty], pos)) };
        let ty = if ty == Type::Unknown { Type::Text } else { ty };
        Ok((self.coerce(left, ty, pos)?, self.coerce(right, ty, pos)?))
    }

    fn no_operator(&self, op: &str, types: &[Type], pos: usize) -> PgError {
        let shown = match types {
            [left, right] => format!("{} {op} {}", display(*left), display(*right)),
            [only] => format!("{op} {}", display(*only)),
            _ => op.to_owned(),
        };
        let hint = "No operator matches the given name and argument types. You might need to add explicit type casts.";
        self.error("42883", format!("operator does not exist: {shown}"), pos).hint(hint)
    }

    fn operator(&mut self, op: &str, arguments: Vec<Typed>, pos: usize) -> Result<Typed> {
        let types: Vec<Type> = arguments.iter().map(|argument| argument.ty).collect();
        let indexes: Vec<usize> = (0..builtins::all().len())
            .filter(|i| {
                builtins::all()
                    .get(*i)
                    .is_some_and(|b| b.name == op && b.arguments.len() == types.len())
            })
            .collect();
        let candidates: Vec<_> = indexes
            .iter()
            .filter_map(|i| builtins::all().get(*i))
            .map(|b| b.arguments.clone())
            .collect();
        let chosen = match types.as_slice() {
            [left, right] => choose::operator(&candidates, *left, *right),
            _ => choose::choose(&candidates, &types),
        };
        match chosen {
            Ok(chosen) => self.builtin(indexes.get(chosen).copied().unwrap_or(0), arguments, pos),
            Err(Failure::None) => Err(self.no_operator(op, &types, pos)),
            Err(Failure::Many) => {
                let shown: Vec<&str> = types.iter().map(|ty| display(*ty)).collect();
                let message = format!("operator is not unique: {}", shown.join(&format!(" {op} ")));
                let hint = "Could not choose a best candidate operator. You might need to add explicit type casts.";
                Err(self.error("42725", message, pos).hint(hint))
            }
        }
    }

    fn in_list(&mut self, value: &Expr, list: &[Expr], not: bool, pos: usize) -> Result<Typed> {
        let value = self.expr(value)?;
        let mut others = Vec::with_capacity(list.len());
        for item in list {
            others.push(self.expr(item)?);
        }
        let types = others.iter().map(|other| other.ty).chain([value.ty]);
        let Some(ty) = common(types).filter(|ty| {
            names::array_of(*ty).is_some() && !matches!(ty, Type::Numeric | Type::Uuid)
        }) else {
            // No array of that type: one comparison after the other.
            let mut parts = Vec::with_capacity(others.len());
            for other in others {
                parts.push(self.binary("=", value.clone(), other, pos)?);
            }
            let any = Typed::new(Node::Or(parts), Type::Bool);
            return Ok(if not { Typed::new(Node::Not(Box::new(any)), Type::Bool) } else { any });
        };
        let ty = if ty == Type::Unknown { Type::Text } else { ty };
        let value = self.coerce(value, ty, pos)?;
        let mut coerced = Vec::with_capacity(others.len());
        for (other, item) in others.into_iter().zip(list) {
            coerced.push(self.coerce(other, ty, item.pos)?);
        }
        let Some(element) = names::element_of(ty) else {
            return Err(self.error("0A000", "IN is not supported for this type", pos));
        };
        let array = Typed::new(Node::Array(element, coerced), Type::Array(element));
        let test = local_test(Comparison::Equal, ty);
        let node = Node::Quantified {
            value: Box::new(value),
            array: Box::new(array),
            test: Box::new(test),
            all: false,
        };
        let any = Typed::new(node, Type::Bool);
        Ok(if not { Typed::new(Node::Not(Box::new(any)), Type::Bool) } else { any })
    }

    fn quantified(
        &mut self,
        op: &str,
        all: bool,
        value: &Expr,
        array: &Expr,
        pos: usize,
    ) -> Result<Typed> {
        let value_typed = self.expr(value)?;
        let mut array_typed = self.expr(array)?;
        if array_typed.ty == Type::Unknown {
            let ty = if value_typed.ty == Type::Unknown { Type::Text } else { value_typed.ty };
            let ty = names::array_of(ty)
                .ok_or_else(|| self.error("42704", "could not find array type", pos))?;
            array_typed = self.coerce(array_typed, ty, array.pos)?;
        }
        let Type::Array(element) = array_typed.ty else {
            return Err(self.error(
                "42809",
                "op ANY/ALL (array) requires array on right side",
                pos,
            ));
        };
        let value_typed = if value_typed.ty == Type::Unknown {
            self.coerce(value_typed, element.ty(), value.pos)?
        } else {
            value_typed
        };
        let test = self.binary(op, local(0, value_typed.ty), local(1, element.ty()), pos)?;
        let node = Node::Quantified {
            value: Box::new(value_typed),
            array: Box::new(array_typed),
            test: Box::new(test),
            all,
        };
        Ok(Typed::new(node, Type::Bool))
    }

    fn quantified_query(
        &mut self,
        op: &str,
        all: bool,
        value: &Expr,
        query: &Select,
        pos: usize,
    ) -> Result<Typed> {
        let value = self.expr(value)?;
        let value = self.output(value, pos)?;
        let (node, ty) = self.subquery(query, Some(QueryKind::Exists), pos)?;
        let Node::Query { id, plan, correlated, .. } = node else {
            return Err(self.error("XX000", "no sub-select", pos));
        };
        let ty = if plan.columns.len() > 1 { Type::Record } else { ty };
        let wanted = match &value.node {
            Node::Row(parts, _) => parts.len(),
            _ => 1,
        };
        if wanted != plan.columns.len() {
            let many = if plan.columns.len() > wanted { "many" } else { "few" };
            return Err(self.error("42601", format!("subquery has too {many} columns"), pos));
        }
        let test = self.binary(op, local(0, value.ty), local(1, ty), pos)?;
        let kind = QueryKind::Quantified { value: Box::new(value), test: Box::new(test), all };
        Ok(Typed::new(Node::Query { id, plan, kind, correlated }, Type::Bool))
    }

    fn between(
        &mut self,
        [value, low, high]: [&Expr; 3],
        not: bool,
        symmetric: bool,
        pos: usize,
    ) -> Result<Typed> {
        let (value, low, high) = (self.expr(value)?, self.expr(low)?, self.expr(high)?);
        let both = |resolver: &mut Self, low: Typed, high: Typed| -> Result<Typed> {
            let above = resolver.binary(">=", value.clone(), low, pos)?;
            let below = resolver.binary("<=", value.clone(), high, pos)?;
            Ok(Typed::new(Node::And(vec![above, below]), Type::Bool))
        };
        let mut inside = both(self, low.clone(), high.clone())?;
        if symmetric {
            let other = both(self, high, low)?;
            inside = Typed::new(Node::Or(vec![inside, other]), Type::Bool);
        }
        Ok(if not { Typed::new(Node::Not(Box::new(inside)), Type::Bool) } else { inside })
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        arms: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        pos: usize,
    ) -> Result<Typed> {
        self.conditional(|resolver| {
            let operand = operand.map(|operand| resolver.expr(operand)).transpose()?;
            let mut conditions = Vec::with_capacity(arms.len());
            let mut results = Vec::with_capacity(arms.len() + 1);
            for (when, then) in arms {
                let condition = resolver.expr(when)?;
                conditions.push(match &operand {
                    Some(operand) => resolver.binary("=", operand.clone(), condition, when.pos)?,
                    None => resolver.boolean(condition, "CASE/WHEN", when.pos)?,
                });
                results.push((resolver.expr(then)?, then.pos));
            }
            match otherwise {
                Some(otherwise) => results.push((resolver.expr(otherwise)?, otherwise.pos)),
                None => results.push((Typed::null(Type::Unknown), pos)),
            }
            let (mut results, ty) = resolver.same_type(results, "CASE", pos)?;
            let otherwise = Box::new(results.pop().unwrap_or_else(|| Typed::null(ty)));
            let arms = conditions.into_iter().zip(results).collect();
            Ok(Typed::new(Node::Case { arms, otherwise }, ty))
        })
    }

    /// Runs something inside of which set-returning functions may not stand.
    pub(super) fn conditional<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(scope) = self.scope() {
            scope.conditional += 1;
        }
        let result = run(self);
        if let Some(scope) = self.scope() {
            scope.conditional -= 1;
        }
        result
    }

    /// Brings expressions to one type.
    pub(super) fn same_type(
        &mut self,
        exprs: Vec<(Typed, usize)>,
        what: &str,
        pos: usize,
    ) -> Result<(Vec<Typed>, Type)> {
        let mut ty = Type::Unknown;
        for (expr, at) in &exprs {
            ty = common([ty, expr.ty]).ok_or_else(|| {
                let message = format!(
                    "{what} types {} and {} cannot be matched",
                    display(ty),
                    display(expr.ty)
                );
                self.error("42804", message, (*at).max(pos))
            })?;
        }
        let ty = if ty == Type::Unknown { Type::Text } else { ty };
        let mut coerced = Vec::with_capacity(exprs.len());
        for (expr, at) in exprs {
            coerced.push(self.coerce(expr, ty, at)?);
        }
        Ok((coerced, ty))
    }

    fn array(&mut self, elements: &[Expr], pos: usize) -> Result<Typed> {
        let mut typed = Vec::with_capacity(elements.len());
        for element in elements {
            typed.push((self.expr(element)?, element.pos));
        }
        let (parts, ty) = self.same_type(typed, "ARRAY", pos)?;
        let element = names::element_of(ty).filter(|_| !matches!(ty, Type::Array(_)));
        let Some(element) = element else {
            return Err(self.error(
                "0A000",
                format!("arrays of {} are not supported", display(ty)),
                pos,
            ));
        };
        let mut cast = Vec::with_capacity(parts.len());
        for part in parts {
            cast.push(self.coerce(part, element.ty(), pos)?);
        }
        Ok(Typed::new(Node::Array(element, cast), Type::Array(element)))
    }

    /// A sub-select of one column, unless its kind says otherwise, and the type of that column.
    fn subquery(
        &mut self,
        query: &Select,
        kind: Option<QueryKind>,
        pos: usize,
    ) -> Result<(Node, Type)> {
        let outer = std::mem::replace(&mut self.lowest, usize::MAX);
        let plan = self.select(query)?;
        let correlated = self.lowest < self.depth();
        self.lowest = self.lowest.min(outer);
        let ty = plan.columns.first().map_or(Type::Text, |column| column.ty);
        if kind.is_none() && plan.columns.len() != 1 {
            return Err(self.error("42601", "subquery must return only one column", pos));
        }
        let kind = kind.unwrap_or(QueryKind::Scalar);
        let id = self.id();
        Ok((Node::Query { id, plan: Arc::new(plan), kind, correlated }, ty))
    }

    fn array_query(&mut self, query: &Select, pos: usize) -> Result<Typed> {
        let (node, ty) = self.subquery(query, None, pos)?;
        let Some(element) = names::element_of(ty) else {
            return Err(self.error(
                "42704",
                format!("could not find array type for data type {}", display(ty)),
                pos,
            ));
        };
        let Node::Query { id, plan, correlated, .. } = node else {
            return Err(self.error("XX000", "no sub-select", pos));
        };
        let kind = QueryKind::Array(element);
        Ok(Typed::new(Node::Query { id, plan, kind, correlated }, Type::Array(element)))
    }

    pub(super) fn field(&mut self, value: Typed, name: &str, pos: usize) -> Result<Typed> {
        let Some(fields) = self.fields(&value) else {
            let message = format!(
                "column notation .{name} applied to type {}, which is not a composite type",
                display(value.ty)
            );
            return Err(self.error("42809", message, pos));
        };
        // The tutorials' name of `read_ct`.
        let wanted = if name == "attempts" && fields.iter().any(|(name, _)| name == "read_ct") {
            "read_ct"
        } else {
            name
        };
        let Some(index) = fields.iter().position(|(name, _)| name == wanted) else {
            let message = format!("column \"{name}\" not found in data type {}", display(value.ty));
            return Err(self.error("42703", message, pos));
        };
        let ty = fields.get(index).map_or(Type::Text, |(_, ty)| *ty);
        if let Node::Row(parts, _) = value.node {
            return Ok(parts.into_iter().nth(index).unwrap_or_else(|| Typed::null(ty)));
        }
        Ok(Typed::new(Node::Field { value: Box::new(value), index }, ty))
    }

    fn index(&mut self, value: &Expr, index: &Expr, pos: usize) -> Result<Typed> {
        let (value, at) = (self.expr(value)?, self.expr(index)?);
        let (at, ty) = match value.ty {
            Type::Array(element) => (self.coerce(at, Type::Int4, index.pos)?, element.ty()),
            Type::Jsonb if matches!(at.ty, Type::Int2 | Type::Int4) => (at, Type::Jsonb),
            Type::Jsonb => (self.coerce(at, Type::Text, index.pos)?, Type::Jsonb),
            other => {
                let message = format!(
                    "cannot subscript type {} because it does not support subscripting",
                    display(other)
                );
                return Err(self.error("42804", message, pos));
            }
        };
        Ok(Typed::new(Node::Index { value: Box::new(value), index: Box::new(at) }, ty))
    }
}

fn local(at: usize, ty: Type) -> Typed {
    let ty = if ty == Type::Unknown { Type::Text } else { ty };
    Typed::new(Node::Local(at), ty)
}

fn local_test(comparison: Comparison, ty: Type) -> Typed {
    let node = Node::Compare(comparison, Box::new(local(0, ty)), Box::new(local(1, ty)));
    Typed::new(node, Type::Bool)
}
