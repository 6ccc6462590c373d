//! DELETE, UPDATE, INSERT, TRUNCATE and ALTER TABLE on pgmq's tables. There are no tables: each is written as the
//! query that has pgmq's functions do the same to each row.
//!
//! ```text
//!  DELETE FROM pgmq.q_x WHERE c              SELECT pgmq.delete('x', ARRAY(SELECT msg_id FROM pgmq.q_x WHERE c))
//!  DELETE FROM pgmq.q_x USING u WHERE c RETURNING r
//!                                            SELECT r FROM pgmq.q_x, u WHERE c AND pgmq.delete('x', q_x.msg_id)
//!  UPDATE pgmq.q_x SET vt = e WHERE c RETURNING r
//!                                            SELECT r FROM (SELECT msg_id, e FROM pgmq.q_x WHERE c) "due"(id, vt),
//!                                                          pgmq.set_vt('x', "due".id, "due".vt) q_x
//!  INSERT INTO pgmq.q_x (vt, message) source RETURNING r
//!                                            SELECT r FROM (source) new(vt, message),
//!                                                          pgmq.send('x', message, NULL, vt) q_x(msg_id)
//!  TRUNCATE pgmq.q_x, pgmq.a_x               SELECT pgmq.purge_queue('x'), pgmq.purge_archive('x')
//! ```
//!
//! DELETE on `pgmq.a_x` is as on `pgmq.q_x`, with `pgmq.delete_archived`.

use super::{Parser, Result};
use crate::error::PgError;
use crate::parser::ast::{
    Alias, Body, Call, CallArgument, Expr, ExprKind, From, Item, Literal, Name, Plain, Select,
    TypeName,
};
use crate::parser::lexer::TokenKind;
use crate::parser::statement::{Change, Statement};

/// Names of what stands between the rows of a table and the calls; no name of a column can be one.
const DUE: &str = "due ";
const ROW_ID: &str = "row id ";
const NEW: &str = "new ";
const SENT: &str = "sent ";

/// A table of pgmq that a statement changes.
enum ModifyTarget {
    /// `pgmq.q_x`: the queue `x`.
    Queue(String),
    /// `pgmq.a_x`: its archive.
    Archive(String),
    TopicBindings,
    NotifyThrottle,
}

fn text(value: impl Into<String>) -> ExprKind {
    ExprKind::Literal(Literal::Text(value.into()))
}

fn column(path: &[&str]) -> ExprKind {
    ExprKind::Column(path.iter().map(|part| (*part).to_owned()).collect())
}

fn alias(name: &str, columns: &[&str]) -> Option<Alias> {
    let columns = columns.iter().map(|column| (*column).to_owned()).collect();
    Some(Alias { name: name.to_owned(), columns, types: Vec::new() })
}

fn item(expr: Expr) -> Item {
    Item { expr, alias: None }
}

fn plain(plain: Plain) -> Select {
    Select { body: Body::Plain(Box::new(plain)), ..Select::default() }
}

impl Parser<'_> {
    pub(super) fn delete(&mut self) -> Result<Statement> {
        let pos = self.pos();
        self.advance();
        self.expect_word("from")?;
        let (name, table_pos, target) = self.target(
            "DELETE works on the tables of queues only",
            "DELETE FROM pgmq.q_queue WHERE msg_id = 1, or SELECT pgmq.delete('queue', 1).",
        )?;
        let alias = self.target_alias(&["where", "using", "returning"])?;
        let known_as = known_as(&name, alias.as_ref());
        let table = From::Table { name: name.clone(), alias, pos: table_pos };
        let using = if self.word("using") { self.list(Self::table_item)? } else { Vec::new() };
        let filter = self.condition()?;
        let returning = self.returning()?;
        let column = |name: &str| self.node(column(&[&known_as, name]), pos);
        let is_archive = matches!(target, ModifyTarget::Archive(_));
        let delete = if is_archive { "delete_archived" } else { "delete" };
        let select = match target {
            ModifyTarget::Queue(queue) | ModifyTarget::Archive(queue)
                if using.is_empty() && returning.is_none() =>
            {
                let items = vec![item(column("msg_id"))];
                let ids = plain(Plain { items, from: vec![table], filter, ..Plain::default() });
                let ids = self.node(ExprKind::ArrayQuery(Box::new(ids)), pos);
                let arguments = vec![self.node(text(queue), pos), ids];
                let items = vec![item(self.pgmq_call(delete, arguments, pos))];
                plain(Plain { items, ..Plain::default() })
            }
            target => {
                let (function, arguments) = match target {
                    ModifyTarget::Queue(queue) | ModifyTarget::Archive(queue) => {
                        (delete, vec![self.node(text(queue), pos), column("msg_id")])
                    }
                    ModifyTarget::TopicBindings => {
                        ("unbind_topic", vec![column("pattern"), column("queue_name")])
                    }
                    ModifyTarget::NotifyThrottle => {
                        ("disable_notify_insert", vec![column("queue_name")])
                    }
                };
                let mut gone = self.pgmq_call(function, arguments, pos);
                if function == "disable_notify_insert" {
                    // It gives void, which is not NULL.
                    let test = crate::parser::ast::Test::Null;
                    gone = self.node(ExprKind::Is { value: gone, test, not: true }, pos);
                }
                let all = filter.into_iter().chain([gone]).collect();
                let filter = Some(self.node(ExprKind::And(all), pos));
                let from = std::iter::once(table).chain(using).collect();
                let nothing = || vec![item(self.node(ExprKind::Literal(Literal::Null), pos))];
                let items = returning.clone().unwrap_or_else(nothing);
                plain(Plain { items, from, filter, ..Plain::default() })
            }
        };
        Ok(self.changing(select, "DELETE", returning.is_some()))
    }

    pub(super) fn update(&mut self) -> Result<Statement> {
        const HINT: &str =
            "UPDATE pgmq.q_queue SET vt = ..., or SELECT pgmq.set_vt('queue', msg_id, seconds).";
        let pos = self.pos();
        self.advance();
        let (name, table_pos, target) =
            self.target("UPDATE works on the tables of queues only", HINT)?;
        let old = self.target_alias(&["set"])?;
        let known_as = known_as(&name, old.as_ref());
        self.expect_word("set")?;
        let (settable, key, ty, function, queue) = match target {
            ModifyTarget::Queue(queue) => ("vt", "msg_id", "timestamptz", "set_vt", Some(queue)),
            ModifyTarget::NotifyThrottle => {
                ("throttle_interval_ms", "queue_name", "int4", "update_notify_insert", None)
            }
            ModifyTarget::Archive(_) => {
                return Err(self.refuse("UPDATE does not work on archives", HINT));
            }
            ModifyTarget::TopicBindings => {
                return Err(self.refuse(
                    "UPDATE does not work on topic bindings",
                    "Call pgmq.unbind_topic and pgmq.bind_topic.",
                ));
            }
        };
        let named = matches!(self.peek(), TokenKind::Word(name) | TokenKind::Quoted(name) if name == settable);
        if !named {
            let message = format!("only the column {settable} of this table can be changed");
            return Err(self.refuse(message, HINT));
        }
        self.advance();
        self.expect("=")?;
        let value = self.expression()?;
        if self.is_mark(",") {
            let message = format!("only the column {settable} of this table can be changed");
            return Err(self.refuse(message, HINT));
        }
        let mut from = vec![From::Table { name, alias: old, pos: table_pos }];
        if self.word("from") {
            from.extend(self.list(Self::table_item)?);
        }
        let filter = self.condition()?;
        let returning = self.returning()?;
        let id = self.node(column(&[&known_as, key]), pos);
        let items = vec![item(id), item(self.cast_to(value, ty, pos))];
        let due = Box::new(plain(Plain { items, from, filter, ..Plain::default() }));
        let due = From::Query { query: due, lateral: false, alias: alias(DUE, &[ROW_ID, "at "]) };
        let arguments = [ROW_ID, "at "].map(|name| self.node(column(&[DUE, name]), pos));
        let arguments = queue.map(|queue| self.node(text(queue), pos)).into_iter().chain(arguments);
        let call = self.call_of(function, arguments.collect(), pos);
        let changed = From::Function {
            call: Box::new(call),
            ordinality: false,
            alias: alias(&known_as, &[]),
        };
        let nothing = || vec![item(self.node(ExprKind::Literal(Literal::Null), pos))];
        let items = returning.clone().unwrap_or_else(nothing);
        let items = items.into_iter().map(|item| only(item, &known_as)).collect();
        let select = plain(Plain { items, from: vec![due, changed], ..Plain::default() });
        Ok(self.changing(select, "UPDATE", returning.is_some()))
    }

    pub(super) fn insert(&mut self) -> Result<Statement> {
        const HINT: &str = "INSERT INTO pgmq.q_queue (vt, message, headers) ..., or SELECT pgmq.send('queue', message).";
        let pos = self.pos();
        self.advance();
        self.expect_word("into")?;
        let (name, _, target) = self.target("INSERT works on the tables of queues only", HINT)?;
        let ModifyTarget::Queue(queue) = target else {
            return Err(self.refuse("INSERT works on the tables of queues only", HINT));
        };
        let known = self.target_alias(&["values", "select", "with", "table", "default"])?;
        let known_as = known_as(&name, known.as_ref());
        if !self.is_mark("(") || self.starts_query() {
            return Err(self.refuse("INSERT needs a list of columns here", HINT));
        }
        let columns = self.new_columns(&queue, HINT)?;
        let mut source = self.query()?;
        if self.is_word("on") {
            return Err(self.refuse("ON CONFLICT is not supported", "Each message is a new one."));
        }
        self.type_values(&mut source, &columns, pos)?;
        let returning = self.returning()?;
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let source = Box::new(source);
        let source = From::Query { query: source, lateral: false, alias: alias(NEW, &names) };
        let arguments = ["message", "headers", "vt"].map(|name| {
            let ty = if name == "vt" { "timestamptz" } else { "jsonb" };
            let given = names.contains(&name);
            let kind = if given { column(&[NEW, name]) } else { ExprKind::Literal(Literal::Null) };
            self.cast_to(self.node(kind, pos), ty, pos)
        });
        let arguments = std::iter::once(self.node(text(queue), pos)).chain(arguments).collect();
        let call = Box::new(self.call_of("send", arguments, pos));
        let sent = From::Function { call, ordinality: false, alias: alias(SENT, &["msg_id"]) };
        let nothing = || vec![item(self.node(ExprKind::Literal(Literal::Null), pos))];
        let star = |item: &Item| matches!(*item.expr.kind, ExprKind::Star(_));
        if returning.as_ref().is_some_and(|items| items.iter().any(star)) {
            return Err(self.refuse("RETURNING * is not supported in INSERT", "RETURNING msg_id."));
        }
        let items = returning.clone().unwrap_or_else(nothing);
        let items = items.into_iter().map(|item| unqualified(item, &known_as)).collect();
        let select = plain(Plain { items, from: vec![source, sent], ..Plain::default() });
        Ok(self.changing(select, "INSERT 0", returning.is_some()))
    }

    /// The columns of a new message that an INSERT gives.
    fn new_columns(&mut self, queue: &str, hint: &str) -> Result<Vec<String>> {
        let columns = self.name_list()?;
        let kept = |name: &String| ["vt", "message", "headers"].contains(&name.as_str());
        if let Some(other) = columns.iter().find(|name| !kept(name)) {
            let message = format!("the column {other} of a new message cannot be chosen");
            return Err(self.refuse(message, hint));
        }
        if !columns.iter().any(|name| name == "vt") {
            let message = format!(
                "null value in column \"vt\" of relation \"q_{queue}\" violates not-null constraint"
            );
            return Err(PgError::new("23502", message));
        }
        if !self.starts_query() {
            return Err(self.unexpected());
        }
        Ok(columns)
    }

    /// Casts VALUES to the types of the columns here, so that parameters get these types.
    fn type_values(&self, source: &mut Select, columns: &[String], pos: usize) -> Result<()> {
        let types: Vec<&str> =
            columns.iter().map(|name| if name == "vt" { "timestamptz" } else { "jsonb" }).collect();
        if let Body::Values(rows) = &mut source.body {
            for row in rows {
                if row.len() != types.len() {
                    let (more, fewer) = match row.len() < types.len() {
                        true => ("target columns", "expressions"),
                        false => ("expressions", "target columns"),
                    };
                    let message = format!("INSERT has more {more} than {fewer}");
                    return Err(self.at_pos(PgError::new("42601", message), pos));
                }
                let cells = std::mem::take(row).into_iter().zip(&types).zip(columns);
                let cells = cells.map(|((cell, ty), column)| {
                    // Of these columns, only the headers have a default: none.
                    let default = matches!(*cell.kind, ExprKind::Default) && column == "headers";
                    let null = || self.node(ExprKind::Literal(Literal::Null), pos);
                    self.cast_to(if default { null() } else { cell }, ty, pos)
                });
                *row = cells.collect();
            }
        }
        Ok(())
    }

    pub(super) fn truncate(&mut self) -> Result<Statement> {
        let pos = self.pos();
        self.advance();
        self.word("table");
        let tables = self.list(|parser| {
            let target =
                parser.target("TRUNCATE works on the tables of queues only", PURGE_HINT)?.2;
            parser.mark("*");
            match target {
                ModifyTarget::Queue(queue) => Ok(("purge_queue", queue)),
                ModifyTarget::Archive(queue) => Ok(("purge_archive", queue)),
                ModifyTarget::TopicBindings | ModifyTarget::NotifyThrottle => {
                    Err(parser.refuse("TRUNCATE works on the tables of queues only", PURGE_HINT))
                }
            }
        })?;
        if self.is_word("restart") {
            return Err(self.refuse(
                "RESTART IDENTITY is not supported: the numbers of messages go on",
                "Drop the queue and create it again.",
            ));
        }
        self.words(&["continue", "identity"]);
        if !self.word("cascade") {
            self.word("restrict");
        }
        let items = tables.into_iter().map(|(purge, queue)| {
            item(self.pgmq_call(purge, vec![self.node(text(queue), pos)], pos))
        });
        let items = items.collect();
        Ok(self.changing(plain(Plain { items, ..Plain::default() }), "TRUNCATE TABLE", false))
    }

    /// `ALTER TABLE pgmq.q_x SET (autovacuum_... = ...)`: there is nothing to vacuum, but the table must be there.
    pub(super) fn alter_table(&mut self) -> Result<Statement> {
        let pos = self.pos();
        self.advance();
        self.advance();
        self.words(&["if", "exists"]);
        self.word("only");
        let name = self.qualified()?;
        let parameters = ["set", "reset"].iter().any(|word| self.is_word(word));
        if !parameters || !self.is_mark_at(1, "(") {
            return Err(self.refuse(
                "tables cannot be altered",
                "Only storage parameters are accepted: ALTER TABLE pgmq.q_queue SET (fillfactor = 70).",
            ));
        }
        self.skip("alter");
        let items = vec![item(self.node(ExprKind::Literal(Literal::Null), pos))];
        let from = vec![From::Table { name, alias: None, pos }];
        let none = self.node(ExprKind::Literal(Literal::Integer("0".to_owned())), pos);
        let select = plain(Plain { items, from, ..Plain::default() });
        let select = Select { limit: Some(none), ..select };
        Ok(self.changing(select, "ALTER TABLE", false))
    }

    /// The table that a statement changes, and where its name stands.
    fn target(&mut self, message: &str, hint: &str) -> Result<(Name, usize, ModifyTarget)> {
        self.word("only");
        let pos = self.pos();
        let name = self.qualified()?;
        self.mark("*");
        let target = match name.as_slice() {
            [schema, table] if schema == "pgmq" => match table.as_str() {
                "topic_bindings" => Some(ModifyTarget::TopicBindings),
                "notify_insert_throttle" => Some(ModifyTarget::NotifyThrottle),
                table => match table.split_once('_') {
                    Some(("q", name)) => Some(ModifyTarget::Queue(name.to_owned())),
                    Some(("a", name)) => Some(ModifyTarget::Archive(name.to_owned())),
                    _ => None,
                },
            },
            _ => None,
        };
        match target {
            Some(target) => Ok((name, pos, target)),
            None => Err(self.refuse(message, hint)),
        }
    }

    fn target_alias(&mut self, after: &[&str]) -> Result<Option<Alias>> {
        if self.word("as") {
            return Ok(alias(&self.name()?, &[]));
        }
        match self.peek() {
            TokenKind::Word(word) if !after.contains(&word.as_str()) => {
                Ok(alias(&self.name()?, &[]))
            }
            TokenKind::Quoted(_) => Ok(alias(&self.name()?, &[])),
            _ => Ok(None),
        }
    }

    fn condition(&mut self) -> Result<Option<Expr>> {
        if !self.word("where") {
            return Ok(None);
        }
        if self.words(&["current", "of"]) {
            return Err(self.refuse("WHERE CURRENT OF is not supported", "WHERE msg_id = 1."));
        }
        Ok(Some(self.expression()?))
    }

    fn returning(&mut self) -> Result<Option<Vec<Item>>> {
        if self.word("returning") { Ok(Some(self.list(Self::item)?)) } else { Ok(None) }
    }

    fn call_of(&self, function: &str, arguments: Vec<Expr>, pos: usize) -> Call {
        let name = vec!["pgmq".to_owned(), function.to_owned()];
        let arguments =
            arguments.into_iter().map(|value| CallArgument { name: None, value }).collect();
        Call { name, arguments, pos, ..Call::default() }
    }

    fn pgmq_call(&self, function: &str, arguments: Vec<Expr>, pos: usize) -> Expr {
        self.node(ExprKind::Call(self.call_of(function, arguments, pos)), pos)
    }

    fn cast_to(&self, value: Expr, ty: &str, pos: usize) -> Expr {
        let ty = TypeName { name: vec![ty.to_owned()], array: false, modifiers: Vec::new(), pos };
        self.node(ExprKind::Cast { value, ty }, pos)
    }

    fn changing(&self, select: Select, tag: &'static str, returning: bool) -> Statement {
        Statement::Query(self.finish(select, Some(Change { tag, returning })))
    }
}

const PURGE_HINT: &str = "TRUNCATE pgmq.q_queue, or SELECT pgmq.purge_queue('queue').";

/// The name by which the statement's expressions know the table.
fn known_as(table: &Name, alias: Option<&Alias>) -> String {
    match alias {
        Some(alias) => alias.name.clone(),
        None => table.last().cloned().unwrap_or_default(),
    }
}

/// `*` of this table alone.
fn only(mut item: Item, table: &str) -> Item {
    if let ExprKind::Star(path) = &mut *item.expr.kind
        && path.is_empty()
    {
        path.push(table.to_owned());
    }
    item
}

/// `q_x.msg_id` as `msg_id`: what an INSERT gives back comes from two places.
fn unqualified(mut item: Item, table: &str) -> Item {
    if let ExprKind::Column(path) = &mut *item.expr.kind
        && let [.., qualifier, name] = path.as_slice()
        && qualifier == table
    {
        *path = vec![name.clone()];
    }
    item
}
