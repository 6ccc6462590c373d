//! FROM: tables, functions, derived tables, joins.

use std::collections::HashSet;
use std::sync::Arc;

use super::call::Called;
use super::{CteName, Resolver, Result, Scope, ScopeColumn, common};
use crate::catalog;
use crate::host::Relation;
use crate::parser::ast::{Alias, Call, Expr, ExprKind, From, JoinKind, On, Select};
use crate::plan::{Comparison, Join, Leaf, LeafKind, Node, SetCall, SetFunction, Source, Typed};
use crate::resolve::place;
use crate::types::value::Column;
use crate::types::{Composite, Type};

/// A leaf before its place in the row is known.
struct Unplaced {
    kind: LeafKind,
    columns: Vec<Column>,
    table: String,
    row: Type,
    dependent: bool,
    ordinality: bool,
}

impl Resolver<'_> {
    pub(super) fn from(&mut self, from: &From) -> Result<Source> {
        self.work.step()?;
        match from {
            From::Table { name, alias, pos } => self.table(name, alias.as_ref(), *pos),
            From::Function { call, ordinality, alias } => {
                if let Some(relation) = relation_of_function(call) {
                    return self.function_relation(relation, call, alias.as_ref());
                }
                self.function_item(call, *ordinality, alias.as_ref())
            }
            From::Query { query, lateral, alias } => self.derived(query, *lateral, alias.as_ref()),
            From::Join { left, right, kind, on, alias } => {
                let first = self.scopes.last().map_or(0, |scope| scope.columns.len());
                let source = self.join(left, right, *kind, on)?;
                if let Some(alias) = alias {
                    self.rename(first, alias);
                }
                Ok(source)
            }
        }
    }

    fn cte_named(&self, name: &str) -> Option<&CteName> {
        self.ctes.get(*self.cte_names.get(name)?.last()?)
    }

    /// `(a JOIN b ...) AS j`.
    fn rename(&mut self, first: usize, alias: &Alias) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.rename(first, &alias.name);
        }
    }

    fn table(&mut self, name: &[String], alias: Option<&Alias>, pos: usize) -> Result<Source> {
        let (schema, table) = match name {
            [table] => (None, table),
            [schema, table] => (Some(schema.as_str()), table),
            _ => {
                return Err(self.error(
                    "0A000",
                    "cross-database references are not implemented",
                    pos,
                ));
            }
        };
        let label = alias.map_or_else(|| table.clone(), |alias| alias.name.clone());
        let plain = |kind, columns, row| Unplaced {
            kind,
            columns,
            table: label.clone(),
            row,
            dependent: false,
            ordinality: false,
        };
        if schema.is_none()
            && let Some(CteName { id, columns, .. }) = self.cte_named(table)
        {
            let (id, columns) = (*id, columns.clone());
            self.read.insert(id);
            let unplaced = plain(LeafKind::Cte(id), columns, Type::Record);
            return self.place(unplaced, alias, pos);
        }
        if let Some((key, columns)) = catalog::columns(schema, table) {
            self.catalog = true;
            let oid = catalog::relation_oid(schema, table).unwrap_or(0);
            let placed =
                self.place(plain(LeafKind::Catalog(key), columns, Type::Record), alias, pos);
            self.note_base(&label, oid);
            return placed;
        }
        // `SET search_path TO pgmq` is common; nothing else has these names.
        let relation = match schema {
            None | Some("pgmq") => Relation::of_table(table),
            _ => None,
        };
        self.names_tables |= matches!(relation, Some(Relation::Queue(_) | Relation::Archive(_)));
        let exists = |relation: &Relation| match relation {
            Relation::Meta | Relation::TopicBindings | Relation::NotifyInsertThrottle => true,
            other => self.relations.is_none_or(|relations| relations.contains(other)),
        };
        let Some(relation) = relation.filter(exists) else {
            let shown = name.join(".");
            return Err(self.error("42P01", format!("relation \"{shown}\" does not exist"), pos));
        };
        let columns = relation.columns();
        let row = match relation {
            Relation::Queue(_) => Type::Composite(Composite::MessageRecord),
            _ => Type::Record,
        };
        let oid = catalog::relation_id(&relation);
        let placed = self.place(plain(LeafKind::Relation(relation), columns, row), alias, pos);
        self.note_base(&label, oid);
        placed
    }

    /// A table of its own, which has the columns that the system gives to each.
    fn note_base(&mut self, label: &str, oid: u32) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.bases.push((label.to_owned(), oid));
        }
    }

    /// A function that gives the rows of a relation.
    fn function_relation(
        &mut self,
        relation: &str,
        call: &Call,
        alias: Option<&Alias>,
    ) -> Result<Source> {
        let name = call.name.last().cloned().unwrap_or_default();
        let named = Alias { name, columns: Vec::new(), types: Vec::new() };
        self.table(&[relation.to_owned()], Some(alias.unwrap_or(&named)), call.pos)
    }

    /// Functions that only FROM has: their columns are told by the arguments, or by the alias.
    fn set_of_from(&mut self, call: &Call, alias: Option<&Alias>) -> Result<Option<SetCall>> {
        let name = match call.name.as_slice() {
            [name] => name.as_str(),
            [schema, name] if schema == "pg_catalog" => name.as_str(),
            _ => return Ok(None),
        };
        let function = match name {
            "unnest" if call.arguments.len() > 1 => SetFunction::UnnestAll,
            "jsonb_to_recordset" | "json_to_recordset" => SetFunction::Records { many: true },
            "jsonb_to_record" | "json_to_record" => SetFunction::Records { many: false },
            _ => return Ok(None),
        };
        let mut arguments = Vec::with_capacity(call.arguments.len());
        let mut columns = Vec::new();
        for argument in &call.arguments {
            let value = self.expr(&argument.value)?;
            let pos = argument.value.pos;
            arguments.push(match (&function, value.ty) {
                (SetFunction::UnnestAll, Type::Array(element)) => {
                    columns.push(Column { name: "unnest".to_owned(), ty: element.ty() });
                    value
                }
                (SetFunction::UnnestAll, _) => {
                    let error = self.error("42883", "unnest takes arrays", pos);
                    return Err(error.hint("You might need to add explicit type casts."));
                }
                _ => self.coerce(value, Type::Jsonb, pos)?,
            });
        }
        if function != SetFunction::UnnestAll {
            let named = alias.filter(|alias| !alias.types.is_empty());
            let Some(named) = named.filter(|alias| alias.types.len() == alias.columns.len()) else {
                let message =
                    "a column definition list is required for functions returning \"record\"";
                return Err(self.error("42601", message, call.pos));
            };
            let pairs = named.columns.iter().zip(&named.types);
            columns = pairs.map(|(name, ty)| Column { name: name.clone(), ty: *ty }).collect();
        }
        let (ty, composite) = (Type::Record, true);
        Ok(Some(SetCall { function, arguments, ty, columns, composite }))
    }

    fn function_item(
        &mut self,
        call: &Call,
        ordinality: bool,
        alias: Option<&Alias>,
    ) -> Result<Source> {
        let before = self
            .scopes
            .last_mut()
            .map(|scope| std::mem::replace(&mut scope.used, false))
            .unwrap_or_default();
        let clause = self
            .scopes
            .last_mut()
            .map(|scope| std::mem::replace(&mut scope.clause, "functions in FROM"));
        let called = match self.set_of_from(call, alias) {
            Ok(Some(set)) => Ok(Called::Set(set)),
            Ok(None) => self.called(call),
            Err(error) => Err(error),
        };
        let dependent = self.scopes.last().is_some_and(|scope| scope.used);
        if let (Some(scope), Some(clause)) = (self.scopes.last_mut(), clause) {
            scope.used |= before;
            scope.clause = clause;
        }
        let name = call.name.last().cloned().unwrap_or_default();
        let mut set = match called? {
            Called::Set(set) => set,
            Called::Value(value) => {
                let value = self.output(value, call.pos)?;
                let ty = value.ty;
                let (columns, composite) = match ty {
                    Type::Composite(composite) => (composite.as_columns(), true),
                    ty => (vec![Column { name: name.clone(), ty }], false),
                };
                SetCall {
                    function: SetFunction::Scalar,
                    arguments: vec![value],
                    ty,
                    columns,
                    composite,
                }
            }
        };
        // One plain column takes the alias' name.
        let single = !set.composite && set.columns.len() == 1;
        if let (true, Some(column)) = (single, set.columns.first_mut()) {
            let value = column.name == "value";
            column.name = match alias {
                Some(alias) => alias.name.clone(),
                None if value => column.name.clone(),
                None => name.clone(),
            };
        }
        let mut columns = set.columns.clone();
        if ordinality {
            columns.push(Column { name: "ordinality".to_owned(), ty: Type::Int8 });
        }
        let row = if single {
            set.ty
        } else if ordinality {
            Type::Record
        } else {
            set.ty
        };
        let table = alias.map_or(name, |alias| alias.name.clone());
        let unplaced =
            Unplaced { kind: LeafKind::Function(set), columns, table, row, dependent, ordinality };
        self.place(unplaced, alias, call.pos)
    }

    fn derived(&mut self, query: &Select, lateral: bool, alias: Option<&Alias>) -> Result<Source> {
        let before = self.scopes.last_mut().map(|scope| {
            let before = (scope.hidden, std::mem::replace(&mut scope.used, false));
            scope.hidden = !lateral;
            before
        });
        let plan = self.select(query);
        let dependent = self.scopes.last().is_some_and(|scope| scope.used);
        if let (Some(scope), Some((hidden, used))) = (self.scopes.last_mut(), before) {
            scope.hidden = hidden;
            scope.used |= used;
        }
        let plan = plan?;
        let table = alias.map(|alias| alias.name.clone()).unwrap_or_default();
        let columns = plan.columns.clone();
        let unplaced = Unplaced {
            kind: LeafKind::Query(Arc::new(plan)),
            columns,
            table,
            row: Type::Record,
            dependent,
            ordinality: false,
        };
        self.place(unplaced, alias, 0)
    }

    /// Gives a leaf its place in the row, and its columns their names.
    fn place(&mut self, mut leaf: Unplaced, alias: Option<&Alias>, pos: usize) -> Result<Source> {
        let names = alias.map(|alias| alias.columns.as_slice()).unwrap_or_default();
        if names.len() > leaf.columns.len() {
            let message = format!(
                "table \"{}\" has {} columns available but {} columns specified",
                leaf.table,
                leaf.columns.len(),
                names.len()
            );
            return Err(self.error("42P10", message, pos));
        }
        for (column, name) in leaf.columns.iter_mut().zip(names) {
            column.name.clone_from(name);
        }
        self.work.spend(u32::try_from(leaf.columns.len()).unwrap_or(u32::MAX))?;
        let Some(scope) = self.scopes.last_mut() else {
            return Err(self.error("XX000", "FROM outside a query", pos));
        };
        if !leaf.table.is_empty() && scope.has_table(&leaf.table) {
            let message = format!("table name \"{}\" specified more than once", leaf.table);
            return Err(crate::error::PgError::new("42712", message));
        }
        let offset = scope.width;
        let width = leaf.columns.len();
        let attempts = leaf.columns.iter().position(|column| column.name == "read_ct");
        for (i, column) in leaf.columns.into_iter().enumerate() {
            let table = leaf.table.clone();
            let index = offset + i;
            scope.add(ScopeColumn {
                table,
                name: column.name,
                ty: column.ty,
                index,
                hidden: false,
                row: leaf.row,
            });
        }
        hidden_columns(scope, &leaf.table, offset, attempts, leaf.row);
        scope.width += width;
        let (kind, dependent, ordinality) = (leaf.kind, leaf.dependent, leaf.ordinality);
        let (filters, bounds) = (Vec::new(), Vec::new());
        Ok(Source::Leaf(Leaf { filters, bounds, offset, width, kind, dependent, ordinality }))
    }

    fn join(&mut self, left: &From, right: &From, kind: JoinKind, on: &On) -> Result<Source> {
        let first = self.scopes.last().map_or(0, |scope| scope.columns.len());
        let left = Box::new(self.from(left)?);
        let middle = self.scopes.last().map_or(0, |scope| scope.columns.len());
        let right = Box::new(self.from(right)?);
        let shared = match on {
            On::Using(names) => names.clone(),
            On::Natural => self.shared_names(first, middle),
            On::Nothing | On::Condition(_) => Vec::new(),
        };
        let on = match on {
            On::Condition(condition) => {
                let typed =
                    self.in_clause("JOIN conditions", |resolver| resolver.expr(condition))?;
                Some(self.boolean(typed, "JOIN/ON", condition.pos)?)
            }
            _ if shared.is_empty() => None,
            _ => Some(self.using(&shared, first, middle, kind)?),
        };
        let width = self.scopes.last().map_or(0, |scope| scope.width);
        let depth = self.depth().wrapping_sub(1);
        let (keys, rest) = (Vec::new(), Vec::new());
        let mut join = Join { left, right, kind, keys, on: rest, width };
        if let Some(on) = on {
            place::condition(&mut join, depth, on);
        }
        Ok(Source::Join(join))
    }

    pub(super) fn in_clause<T>(
        &mut self,
        clause: &'static str,
        run: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let before =
            self.scopes.last_mut().map(|scope| std::mem::replace(&mut scope.clause, clause));
        let result = run(self);
        if let (Some(scope), Some(before)) = (self.scopes.last_mut(), before) {
            scope.clause = before;
        }
        result
    }

    fn shared_names(&self, first: usize, middle: usize) -> Vec<String> {
        let Some(scope) = self.scopes.last() else { return Vec::new() };
        let right: HashSet<&str> = scope
            .columns
            .iter()
            .skip(middle)
            .filter(|c| !c.hidden)
            .map(|c| c.name.as_str())
            .collect();
        let left = scope.columns.iter().take(middle).skip(first);
        left.filter(|c| !c.hidden && right.contains(c.name.as_str()))
            .map(|c| c.name.clone())
            .collect()
    }

    /// `USING (a)`: equal, and one column; the right one can still be named with its table.
    fn using(
        &mut self,
        names: &[String],
        first: usize,
        middle: usize,
        kind: JoinKind,
    ) -> Result<Typed> {
        if kind == JoinKind::Full {
            let error = self.error("0A000", "FULL JOIN with USING or NATURAL is not supported", 0);
            return Err(error.hint("Write ON a.x = b.x and COALESCE(a.x, b.x)."));
        }
        let depth = self.depth().wrapping_sub(1);
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            let missing = |side: &str| {
                let message = format!(
                    "column \"{name}\" specified in USING clause does not exist in {side} table"
                );
                self.error("42703", message, 0)
            };
            let Some(scope) = self.scopes.last() else { continue };
            let find = |from: usize, to: usize| {
                let places = scope.names.get(name).into_iter().flatten();
                places
                    .filter(|at| (from..to).contains(*at))
                    .filter_map(|at| Some((*at, scope.columns.get(*at)?)))
                    .find(|(_, c)| !c.hidden)
                    .map(|(at, c)| (at, c.index, c.ty))
            };
            let (left_at, left, left_type) = find(first, middle).ok_or_else(|| missing("left"))?;
            let (right_at, right, right_type) =
                find(middle, scope.columns.len()).ok_or_else(|| missing("right"))?;
            let ty = common([left_type, right_type]).unwrap_or(left_type);
            let side = |index, ty| Typed::new(Node::Column { depth, index }, ty);
            let (left, right) = (
                self.coerce(side(left, left_type), ty, 0)?,
                self.coerce(side(right, right_type), ty, 0)?,
            );
            parts.push(Typed::new(
                Node::Compare(Comparison::Equal, Box::new(left), Box::new(right)),
                Type::Bool,
            ));
            let hide = if kind == JoinKind::Right { left_at } else { right_at };
            if let Some(column) =
                self.scopes.last_mut().and_then(|scope| scope.columns.get_mut(hide))
            {
                column.hidden = true;
            }
        }
        Ok(Typed::new(Node::And(parts), Type::Bool))
    }

    /// Columns that `*` or `t.*` stands for.
    pub(super) fn star(&mut self, name: &[String], pos: usize) -> Result<Vec<(String, Typed)>> {
        let table = name.last();
        let found =
            (0..self.scopes.len()).rev().find(|depth| match (table, self.scopes.get(*depth)) {
                (_, Some(scope)) if scope.hidden => false,
                (None, _) => true,
                (Some(table), Some(scope)) => scope.has_table(table),
                _ => false,
            });
        let Some(depth) = found else {
            return Err(match table {
                Some(table) => self.error(
                    "42P01",
                    format!("missing FROM-clause entry for table \"{table}\""),
                    pos,
                ),
                None => self.error("42601", "SELECT * with no tables specified is not valid", pos),
            });
        };
        self.lowest = self.lowest.min(depth);
        let Some(scope) = self.scopes.get_mut(depth) else { return Ok(Vec::new()) };
        scope.used = true;
        if scope.columns.is_empty() {
            return Err(self.error("42601", "SELECT * with no tables specified is not valid", pos));
        }
        let columns: Vec<&ScopeColumn> = match table {
            Some(table) => scope.of_table(table).filter(|column| !column.hidden).collect(),
            None => scope.columns.iter().filter(|column| !column.hidden).collect(),
        };
        let typed = |c: &&ScopeColumn| Typed::new(Node::Column { depth, index: c.index }, c.ty);
        Ok(columns.iter().map(|column| (column.name.clone(), typed(column))).collect())
    }

    /// The fields of an expression that is `x.*` of a composite; `None` for any other.
    pub(super) fn field_star(&mut self, value: &Expr, pos: usize) -> Result<Vec<(String, Typed)>> {
        // `(t).*` of a table is `t.*`.
        if let ExprKind::Column(name) = &*value.kind
            && let Ok(columns) = self.star(name, pos)
        {
            return Ok(columns);
        }
        let value = self.expr(value)?;
        let Some(fields) = self.fields(&value) else {
            return Err(self.error("42809", "type of the expression is not composite", pos));
        };
        fields
            .into_iter()
            .map(|(name, _)| Ok((name.clone(), self.field(value.clone(), &name, pos)?)))
            .collect()
    }
}

/// Functions without arguments that views of the catalogue are made from.
fn relation_of_function(call: &Call) -> Option<&'static str> {
    let name = match call.name.as_slice() {
        [name] => name.as_str(),
        [schema, name] if schema == "pg_catalog" => name.as_str(),
        _ => return None,
    };
    let relation = match name {
        "pg_show_all_settings" => "pg_settings",
        "pg_lock_status" => "pg_locks",
        "pg_cursor" => "pg_cursors",
        "pg_prepared_statement" => "pg_prepared_statements",
        "pg_prepared_xact" => "pg_prepared_xacts",
        "pg_available_extensions" => "pg_available_extensions",
        "pg_available_extension_versions" => "pg_available_extension_versions",
        "pg_timezone_names" => "pg_timezone_names",
        "pg_timezone_abbrevs" => "pg_timezone_abbrevs",
        "pg_show_all_file_settings" => "pg_file_settings",
        _ => return None,
    };
    call.arguments.is_empty().then_some(relation)
}

/// `attempts` for messages; columns of the system are looked up where nothing else has the name.
fn hidden_columns(
    scope: &mut Scope,
    table: &str,
    offset: usize,
    attempts: Option<usize>,
    row: Type,
) {
    if let Some(at) = attempts {
        let column = ScopeColumn {
            table: table.to_owned(),
            name: "attempts".to_owned(),
            ty: Type::Int4,
            index: offset + at,
            hidden: true,
            row,
        };
        scope.add(column);
    }
}
