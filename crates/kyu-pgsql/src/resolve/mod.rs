//! Names and types: from what was written to a plan.

mod aggregate;
mod call;
pub(crate) mod choose;
mod expression;
mod from;
pub(crate) mod place;
mod select;
mod window;

use std::collections::{BTreeSet, HashMap};

use crate::error::PgError;
use crate::functions::Functions;
use crate::host::Relation;
use crate::parser::lexer::position;
use crate::parser::statement;
use crate::plan::{Aggregate, Node, Plan, SetCall, Typed, Window};
use crate::types::Type;
use crate::types::cast;
use crate::types::names::{self, display};
use crate::types::text;
use crate::types::value::{Column, Value};
use crate::work::Work;

type Result<T> = std::result::Result<T, PgError>;

/// The state of a resolution: types of parameters, scopes, and the names of WITH queries.
pub(crate) struct Resolver<'a> {
    text: &'a str,
    functions: Functions,
    /// Types of `$1` ...; Unknown until something fixes them.
    parameters: Vec<Type>,
    /// Those that exist; None: all are taken to exist.
    relations: Option<&'a [Relation]>,
    /// A queue's table was named.
    names_tables: bool,
    now: i64,
    scopes: Vec<Scope>,
    ctes: Vec<CteName>,
    /// The places of each name in `ctes`, the innermost last.
    cte_names: HashMap<String, Vec<usize>>,
    /// Ids of the WITH queries that the current one has read.
    read: BTreeSet<usize>,
    work: &'a mut Work,
    next_id: usize,
    /// The outermost query that the current one has looked into.
    lowest: usize,
    /// The statement looks at the catalogue.
    catalog: bool,
    /// The statement may call a function that removes what it gives.
    takes: bool,
    /// The place of the literal that an operator is about to give a type.
    literal: Option<usize>,
}

/// The facts of the host that the resolver is told.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) functions: Functions,
    /// The relations that exist; None before anybody has asked for them.
    pub(crate) relations: Option<&'a [Relation]>,
    /// The time of the transaction.
    pub(crate) now: i64,
}

/// The columns that FROM of one query offers.
#[derive(Default)]
struct Scope {
    columns: Vec<ScopeColumn>,
    /// The places of each name in `columns`.
    names: HashMap<String, Vec<usize>>,
    /// The places of each table's columns in `columns`.
    tables: HashMap<String, Vec<usize>>,
    /// Tables that are no functions, queries or joins, with their ids.
    bases: Vec<(String, u32)>,
    width: usize,
    /// Derived tables do not see their neighbours, unless LATERAL.
    hidden: bool,
    /// Some column of it was used since this was last cleared.
    used: bool,
    aggregates: Vec<(usize, Aggregate)>,
    sets: Vec<(usize, SetCall)>,
    windows: Vec<(usize, Window)>,
    slots: usize,
    /// The kinds of calls (aggregates, set-returning functions) that may stand here.
    allowed: Allowed,
    /// The place being resolved, for messages.
    clause: &'static str,
    /// CASE, COALESCE: a set-returning function may not stand in them.
    conditional: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Allowed {
    #[default]
    Nothing,
    Aggregates,
    Both,
}

#[derive(Clone, Debug)]
struct ScopeColumn {
    table: String,
    name: String,
    ty: Type,
    index: usize,
    /// Resolves by name, is not part of `*`.
    hidden: bool,
    /// The row type of its table.
    row: Type,
}

struct CteName {
    name: String,
    id: usize,
    columns: Vec<Column>,
}

/// A query with settled types.
pub(crate) struct Resolved {
    pub(crate) plan: Plan,
    pub(crate) parameters: Vec<Type>,
    /// True if it must be resolved again with the relations that exist.
    pub(crate) names_tables: bool,
}

/// Settles a query.
pub(crate) fn resolve(
    query: &statement::Query,
    declared: &[Type],
    Known { functions, relations, now }: Known<'_>,
    work: &mut Work,
) -> Result<Resolved> {
    let mut resolver = Resolver {
        text: &query.text,
        functions,
        parameters: declared.to_vec(),
        relations,
        names_tables: false,
        now,
        scopes: Vec::new(),
        ctes: Vec::new(),
        cte_names: HashMap::new(),
        read: BTreeSet::new(),
        work,
        next_id: 0,
        lowest: usize::MAX,
        catalog: false,
        takes: false,
        literal: None,
    };
    let mut plan = resolver.select(&query.select)?;
    plan.catalog = resolver.catalog;
    plan.takes = resolver.takes;
    for (i, ty) in resolver.parameters.iter().enumerate() {
        if *ty == Type::Unknown {
            return Err(PgError::new(
                "42P18",
                format!("could not determine data type of parameter ${}", i + 1),
            ));
        }
    }
    Ok(Resolved { plan, parameters: resolver.parameters, names_tables: resolver.names_tables })
}

impl Scope {
    /// Adds a column, and finds it by its name and its table's from then on.
    fn add(&mut self, column: ScopeColumn) {
        let at = self.columns.len();
        self.names.entry(column.name.clone()).or_default().push(at);
        self.tables.entry(column.table.clone()).or_default().push(at);
        self.columns.push(column);
    }

    /// Columns of this name.
    fn named(&self, name: &str) -> impl Iterator<Item = &ScopeColumn> {
        let places = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|at| self.columns.get(*at))
    }

    /// Columns of this table.
    fn of_table(&self, table: &str) -> impl Iterator<Item = &ScopeColumn> {
        let places = self.tables.get(table).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|at| self.columns.get(*at))
    }

    fn has_table(&self, table: &str) -> bool {
        self.tables.get(table).is_some_and(|places| !places.is_empty())
    }

    /// Gives the columns from here on to another table: `(a JOIN b ...) AS j`.
    fn rename(&mut self, first: usize, table: &str) {
        for (at, column) in self.columns.iter_mut().enumerate().skip(first) {
            if let Some(places) = self.tables.get_mut(&column.table) {
                places.retain(|place| *place != at);
            }
            column.table = table.to_owned();
            self.tables.entry(table.to_owned()).or_default().push(at);
        }
    }
}

impl Resolver<'_> {
    fn error(&self, code: &'static str, message: impl Into<String>, pos: usize) -> PgError {
        PgError { position: Some(position(self.text, pos)), ..PgError::new(code, message) }
    }

    fn id(&mut self) -> usize {
        self.next_id += 1;
        self.next_id
    }

    fn depth(&self) -> usize {
        self.scopes.len()
    }

    fn scope(&mut self) -> Option<&mut Scope> {
        self.scopes.last_mut()
    }

    fn name_cte(&mut self, cte: CteName) {
        self.cte_names.entry(cte.name.clone()).or_default().push(self.ctes.len());
        self.ctes.push(cte);
    }

    /// Those of an inner query end with it.
    fn forget_ctes(&mut self, known: usize) {
        for cte in self.ctes.drain(known..) {
            if let Some(places) = self.cte_names.get_mut(&cte.name) {
                places.pop();
            }
        }
    }

    /// The type of a parameter; asking for one makes room for it.
    fn parameter(&mut self, number: u16) -> Typed {
        let index = usize::from(number) - 1;
        if self.parameters.len() <= index {
            self.parameters.resize(index + 1, Type::Unknown);
        }
        let ty = self.parameters.get(index).copied().unwrap_or(Type::Unknown);
        Typed::new(Node::Parameter(index), ty)
    }

    /// Gives a literal or parameter of unknown type its type; None if the expression is neither.
    fn settle(&mut self, expr: &Typed, ty: Type, pos: usize) -> Result<Option<Typed>> {
        if expr.ty != Type::Unknown {
            return Ok(None);
        }
        match &expr.node {
            Node::Parameter(index) => {
                if let Some(known) = self.parameters.get_mut(*index) {
                    if *known == Type::Unknown {
                        *known = ty;
                    }
                    let known = *known;
                    let parameter = Typed::new(Node::Parameter(*index), known);
                    if known == ty {
                        return Ok(Some(parameter));
                    }
                    return Ok(Some(Typed::new(Node::Cast(Box::new(parameter)), ty)));
                }
                Ok(None)
            }
            Node::Value(Value::Null) => Ok(Some(Typed::null(ty))),
            Node::Value(Value::Text(written)) => {
                // Names of objects are looked up when the statement runs.
                let late = matches!(ty, Type::Regclass | Type::Regtype | Type::Regproc);
                if late {
                    self.catalog = true;
                    let literal = Typed::new(expr.node.clone(), Type::Text);
                    return Ok(Some(Typed::new(Node::Cast(Box::new(literal)), ty)));
                }
                let pos = self.literal.take().unwrap_or(pos);
                let value = text::input_at(ty, written, self.now).map_err(|error| PgError {
                    position: Some(position(self.text, pos)),
                    ..error
                })?;
                if ty == Type::Timestamptz && crate::types::datetime::is_local(written) {
                    // Which instant it is depends on the session that runs it.
                    let literal = Typed::new(expr.node.clone(), Type::Text);
                    return Ok(Some(Typed::new(Node::Cast(Box::new(literal)), ty)));
                }
                Ok(Some(Typed::new(Node::Value(value), ty)))
            }
            _ => Ok(None),
        }
    }

    /// Converts where Postgres would without being asked; the caller knows that it may.
    fn coerce(&mut self, expr: Typed, ty: Type, pos: usize) -> Result<Typed> {
        if expr.ty == ty {
            return Ok(expr);
        }
        let registered = |ty| matches!(ty, Type::Regclass | Type::Regtype | Type::Regproc);
        let instants = [Type::Timestamptz, Type::Array(crate::types::Element::Timestamptz)];
        self.catalog |= registered(ty) || registered(expr.ty);
        if let Some(settled) = self.settle(&expr, ty, pos)? {
            return Ok(settled);
        }
        if let Node::Value(value) = &expr.node
            && !registered(ty)
            && !registered(expr.ty)
            // What an instant is as text or local time depends on the session that runs it.
            && !instants.contains(&ty)
            && !instants.contains(&expr.ty)
            && let Ok(value) = cast::cast(value.clone(), expr.ty, ty, self.now)
        {
            return Ok(Typed::new(Node::Value(value), ty));
        }
        Ok(Typed::new(Node::Cast(Box::new(expr)), ty))
    }

    /// `CAST(expr AS ty)`.
    fn cast(&mut self, expr: Typed, ty: Type, pos: usize) -> Result<Typed> {
        if expr.ty != ty && expr.ty != Type::Unknown && !cast::explicit(expr.ty, ty) {
            let error = cast::cannot(expr.ty, ty);
            return Err(PgError { position: Some(position(self.text, pos)), ..error });
        }
        self.coerce(expr, ty, pos)
    }

    /// An output column: what is still unknown is text.
    fn output(&mut self, expr: Typed, pos: usize) -> Result<Typed> {
        if expr.ty == Type::Unknown { self.coerce(expr, Type::Text, pos) } else { Ok(expr) }
    }

    /// A condition.
    fn boolean(&mut self, expr: Typed, what: &str, pos: usize) -> Result<Typed> {
        if expr.ty == Type::Bool || expr.ty == Type::Unknown {
            return self.coerce(expr, Type::Bool, pos);
        }
        let message =
            format!("argument of {what} must be type boolean, not type {}", display(expr.ty));
        Err(self.error("42804", message, pos))
    }

    /// Columns of a composite or known record.
    fn fields(&self, expr: &Typed) -> Option<Vec<(String, Type)>> {
        if let Type::Composite(composite) = expr.ty {
            return Some(
                composite.columns().iter().map(|(name, ty)| ((*name).to_owned(), *ty)).collect(),
            );
        }
        match &expr.node {
            Node::Row(parts, names) if !names.is_empty() => {
                Some(names.iter().cloned().zip(parts.iter().map(|part| part.ty)).collect())
            }
            Node::Row(parts, _) => Some(
                parts
                    .iter()
                    .enumerate()
                    .map(|(i, part)| (format!("f{}", i + 1), part.ty))
                    .collect(),
            ),
            Node::Column { depth, index } => {
                let scope = self.scopes.get(*depth)?;
                let (_, set) = scope.sets.iter().find(|(slot, _)| scope.width + slot == *index)?;
                set.composite.then(|| {
                    set.columns.iter().map(|column| (column.name.clone(), column.ty)).collect()
                })
            }
            _ => None,
        }
    }
}

/// The type that all of these become, if there is one: unknown ones do not count.
fn common(types: impl IntoIterator<Item = Type>) -> Option<Type> {
    let mut found = Type::Unknown;
    for ty in types {
        found = pair(found, ty)?;
    }
    Some(found)
}

fn pair(a: Type, b: Type) -> Option<Type> {
    let rank = |ty| {
        [Type::Int2, Type::Int4, Type::Int8, Type::Numeric, Type::Float8]
            .iter()
            .position(|have| *have == ty)
    };
    let registered = |ty| matches!(ty, Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc);
    Some(match (a, b) {
        (a, b) if a == b => a,
        (Type::Unknown, ty) | (ty, Type::Unknown) => ty,
        (a, b) if cast::is_text(a) && cast::is_text(b) => Type::Text,
        (a, b) if registered(a) && (registered(b) || rank(b).is_some_and(|rank| rank < 3)) => {
            Type::Oid
        }
        (a, b) if registered(b) && rank(a).is_some_and(|rank| rank < 3) => Type::Oid,
        (a, b) if rank(a).is_some() && rank(b).is_some() => {
            if rank(a) >= rank(b) {
                a
            } else {
                b
            }
        }
        (Type::Array(a), Type::Array(b)) => names::array_of(pair(a.ty(), b.ty())?)?,
        (a, b) if cast::implicit(a, b) => b,
        (a, b) if cast::implicit(b, a) => a,
        _ => return None,
    })
}
