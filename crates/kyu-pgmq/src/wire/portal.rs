//! Prepared statements and portals: the extended protocol, and cursors, which are portals.

use std::sync::Arc;

use kyu_pgsql::error::PgError;
use kyu_pgsql::held::Held;
use kyu_pgsql::oid;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Column, Row, Value};
use kyu_pgsql::work::value_bytes;
use kyu_pgsql::{Statement, text};

use super::binary;
use super::copy::Style;
use super::frontend::{Bind, Format, Formats, Target};
use super::limits::{MAX_PORTALS, MAX_STATEMENTS};
use super::run::Answer;
use super::server::Queues;
use super::session::{Session, Stop};
use super::transaction::{BlockState, aborted, ends_failed};

/// The task of a prepared statement.
#[derive(Debug)]
pub(super) enum Work {
    /// Nothing: a text without a statement.
    Empty,
    /// Gives rows.
    Query(kyu_pgsql::Prepared),
    /// Gives rows as COPY data.
    Copy(kyu_pgsql::Prepared, Style),
    /// Everything that is no query.
    Other(Statement),
}

/// A prepared statement.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) work: Work,
    /// Its columns, if it gives rows and they are known before it runs.
    pub(super) columns: Option<Arc<Vec<Column>>>,
    /// Types of its parameters.
    pub(super) types: Vec<Type>,
    /// The types that ParameterDescription names: the client's own where it declared one.
    oids: Vec<u32>,
    /// The memory that it takes.
    _held: Held,
}

impl Prepared {
    /// A query, with the parameter types that the client declared by their ids.
    pub(super) fn query(query: kyu_pgsql::Prepared, declared: &[u32], held: Held) -> Self {
        let columns = query.gives_rows().then(|| Arc::new(query.columns.clone()));
        let types = query.parameters.clone();
        let oids = oids(&types, declared);
        Self { work: Work::Query(query), columns, oids, types, _held: held }
    }

    pub(super) fn copy(
        query: kyu_pgsql::Prepared,
        style: Style,
        declared: &[u32],
        held: Held,
    ) -> Self {
        let types = query.parameters.clone();
        let oids = oids(&types, declared);
        Self { work: Work::Copy(query, style), columns: None, oids, types, _held: held }
    }

    pub(super) fn other(work: Work, columns: Option<Arc<Vec<Column>>>, held: Held) -> Self {
        Self { work, columns, types: Vec::new(), oids: Vec::new(), _held: held }
    }

    /// True if it may run in a failed transaction.
    fn ends_failed(&self) -> bool {
        match &self.work {
            Work::Other(statement) => ends_failed(statement),
            Work::Empty => true,
            Work::Query(_) | Work::Copy(..) => false,
        }
    }
}

fn oids(types: &[Type], declared: &[u32]) -> Vec<u32> {
    let declared = declared.iter().copied().map(Some).chain(std::iter::repeat(None));
    let told = |(ty, declared): (&Type, Option<u32>)| match declared {
        None | Some(0 | 705) => oid::of_type(*ty),
        Some(declared) => declared,
    };
    types.iter().zip(declared).map(told).collect()
}

/// A type that the client declared; unknown ids are treated as undeclared.
fn declared_type(declared: u32) -> Type {
    match declared {
        // float4 and char(n) are read as their wider kin.
        700 => Type::Float8,
        1_042 => Type::Text,
        declared => oid::to_type(declared).unwrap_or(Type::Unknown),
    }
}

/// The progress of a portal.
#[derive(Debug)]
pub(super) enum Progress {
    /// Not run.
    Fresh,
    /// Run; rows are left.
    Rows { rows: std::vec::IntoIter<Row>, tag: String, _held: Held },
    /// Run to its end.
    Done,
}

/// A statement with its parameters.
#[derive(Debug)]
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) values: Vec<Value>,
    pub(super) formats: Formats,
    pub(super) progress: Progress,
    /// `WITH HOLD`: it outlives its transaction.
    pub(super) held: bool,
    /// The memory that its parameters take.
    pub(super) memory: Held,
}

impl<Q: Queues> Session<'_, Q> {
    pub(super) async fn parse(
        &mut self,
        name: &str,
        statement: &str,
        declared: Vec<u32>,
    ) -> Result<(), Stop> {
        if name.is_empty() {
            self.statements.remove("");
        }
        let (mut script, held) = self.read(statement).await?;
        if script.count() > 1 {
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(PgError::new("42601", message).into());
        }
        let parsed = self.next_statement(&mut script).await?;
        drop(held);
        let (statement, bytes) =
            parsed.map_or((None, 0), |(parsed, _)| (Some(parsed.statement), parsed.bytes));
        if self.transaction.state == BlockState::Failed
            && !statement.as_ref().is_none_or(ends_failed)
        {
            return Err(aborted().into());
        }
        let prepared = self.prepare(statement, bytes, &declared).await?;
        self.keep_statement(name, prepared)?;
        self.connection.out.parse_complete();
        Ok(())
    }

    /// Finds out all that can be known before a statement runs.
    async fn prepare(
        &mut self,
        statement: Option<Statement>,
        bytes: usize,
        declared: &[u32],
    ) -> Result<Prepared, Stop> {
        let held = self.hold(bytes)?;
        let types: Vec<Type> = declared.iter().copied().map(declared_type).collect();
        Ok(match statement {
            None => Prepared::other(Work::Empty, None, held),
            Some(Statement::Query(query)) => {
                let query = self.resolve(&query, &types, bytes).await?;
                Prepared::query(query, declared, held)
            }
            Some(Statement::CopyOut(copy)) => {
                let style = Style::of(&copy)?;
                let query = self.resolve(&copy.query, &types, bytes).await?;
                Prepared::copy(query, style, declared, held)
            }
            Some(statement) => {
                let columns = self.columns_of(&statement);
                Prepared::other(Work::Other(statement), columns, held)
            }
        })
    }

    /// Columns of statements that are no queries and give rows.
    fn columns_of(&self, statement: &Statement) -> Option<Arc<Vec<Column>>> {
        match statement {
            Statement::Show(name) => Some(super::run::show_columns(name)),
            Statement::Execute { name, .. } => self.statements.get(name)?.columns.clone(),
            Statement::Fetch(fetch) if !fetch.skip => {
                self.portals.get(&fetch.cursor)?.prepared.columns.clone()
            }
            _ => None,
        }
    }

    /// Files a prepared statement under its name.
    pub(super) fn keep_statement(&mut self, name: &str, prepared: Prepared) -> Result<(), PgError> {
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::new("42P05", message));
        }
        if self.statements.len() >= MAX_STATEMENTS {
            let message = format!("more than {MAX_STATEMENTS} prepared statements in a session");
            return Err(PgError::new("54000", message).hint("Close those that are not used."));
        }
        self.statements.insert(name.to_owned(), Arc::new(prepared));
        Ok(())
    }

    /// A prepared statement, or 26000.
    pub(super) fn statement(&self, name: &str) -> Result<Arc<Prepared>, PgError> {
        self.statements.get(name).map(Arc::clone).ok_or_else(|| {
            PgError::new(
                "26000",
                match name {
                    "" => "unnamed prepared statement does not exist".to_owned(),
                    name => format!("prepared statement \"{name}\" does not exist"),
                },
            )
        })
    }

    /// Files a portal under its name.
    pub(super) fn keep_portal(&mut self, name: &str, portal: Portal) -> Result<(), PgError> {
        if !name.is_empty() && self.portals.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(PgError::new("42P03", message));
        }
        if self.portals.len() >= MAX_PORTALS {
            let message = format!("more than {MAX_PORTALS} open cursors in a session");
            return Err(PgError::new("54000", message));
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    pub(super) fn bind(&mut self, bind: Bind<'_>) -> Result<(), Stop> {
        let prepared = self.statement(bind.statement)?;
        if self.transaction.state == BlockState::Failed && !prepared.ends_failed() {
            return Err(aborted().into());
        }
        if bind.parameters.len() != prepared.types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{}\" requires {}",
                bind.parameters.len(),
                bind.statement,
                prepared.types.len()
            );
            return Err(PgError::new("08P01", message).into());
        }
        let columns = prepared.columns.as_ref().map_or(0, |columns| columns.len());
        if !bind.results.fits(columns) {
            let Formats::Each(formats) = &bind.results else { return Err(Stop::Closed) };
            let message = format!(
                "bind message has {} result formats but query has {columns} columns",
                formats.len()
            );
            return Err(PgError::new("08P01", message).into());
        }
        let values = parameters(&prepared, &bind, &self.context.settings.style().zone)?;
        let formats = bind.results;
        let memory = self.hold(values.iter().map(value_bytes).sum())?;
        let progress = Progress::Fresh;
        let portal = Portal { prepared, values, formats, progress, held: false, memory };
        if bind.portal.is_empty() {
            self.portals.remove("");
        }
        self.keep_portal(bind.portal, portal)?;
        self.connection.out.bind_complete();
        Ok(())
    }

    pub(super) async fn describe(&mut self, target: Target<'_>) -> Result<(), Stop> {
        let text = Formats::All(Format::Text);
        let (prepared, formats) = match target {
            Target::Statement(name) => (self.statement(name)?, &text),
            Target::Portal(name) => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (Arc::clone(&portal.prepared), &portal.formats)
            }
        };
        if self.transaction.state == BlockState::Failed && prepared.columns.is_some() {
            return Err(aborted().into());
        }
        let out = &mut self.connection.out;
        if matches!(target, Target::Statement(_)) {
            out.parameters(&prepared.oids);
        }
        match &prepared.columns {
            Some(columns) => out.row_description(columns, formats),
            None => out.no_data(),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, name: &str, max_rows: u32) -> Result<(), Stop> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        if self.transaction.state == BlockState::Failed && !portal.prepared.ends_failed() {
            return Err(aborted().into());
        }
        let fresh = matches!(portal.progress, Progress::Fresh);
        if fresh {
            portal.progress = Progress::Done;
            // If the group ends behind this message, the statement need not wait for it.
            let last = self.connection.next_kind() == Some(b'S');
            let prepared = Arc::clone(&portal.prepared);
            match self.answer(&prepared, &portal.values, last).await? {
                Answer::Rows { rows, tag, held, .. } => {
                    portal.progress = Progress::Rows { rows: rows.into_iter(), tag, _held: held };
                }
                Answer::Tag(tag) => {
                    self.connection.out.complete(&tag);
                }
                Answer::Empty => self.connection.out.empty_query(),
                Answer::Copy { columns, rows, style, held: _held } => {
                    self.send_copy(&columns, rows, &style).await?;
                }
            }
        }
        let mut portal = self.send_portal(portal, fresh, max_rows).await?;
        // Without a transaction, Sync is next, and the portal would not outlive it.
        if self.transaction.state != BlockState::Idle || portal.held {
            portal.values = Vec::new();
            portal.memory.back_to(0);
            self.portals.insert(name.to_owned(), portal);
        }
        Ok(())
    }

    /// Rows of a portal, as many as are asked for.
    async fn send_portal(
        &mut self,
        mut portal: Portal,
        fresh: bool,
        max_rows: u32,
    ) -> Result<Portal, Stop> {
        match &mut portal.progress {
            Progress::Rows { rows, tag, .. } => {
                let columns = portal.prepared.columns.clone().unwrap_or_default();
                let most = if max_rows == 0 { usize::MAX } else { max_rows as usize };
                let style = self.context.settings.style();
                let mut sent = 0;
                while sent < most {
                    let Some(row) = rows.next() else { break };
                    self.connection.out.row(&columns, &row, &portal.formats, &style);
                    self.connection.flush_if_full().await?;
                    sent += 1;
                }
                if sent == most {
                    self.connection.out.portal_suspended();
                } else {
                    // The tag counts what this message gave, as Postgres does.
                    match tag.strip_prefix("SELECT ") {
                        Some(_) => self.connection.out.complete(&format!("SELECT {sent}")),
                        None => self.connection.out.complete(tag),
                    }
                    portal.progress = Progress::Done;
                }
            }
            Progress::Done if !fresh => match portal.prepared.columns {
                Some(_) => self.connection.out.complete("SELECT 0"),
                None => {
                    let message = "portal cannot be run anymore";
                    return Err(PgError::new("55000", message).into());
                }
            },
            Progress::Done | Progress::Fresh => {}
        }
        Ok(portal)
    }
}

pub(super) fn no_portal(name: &str) -> PgError {
    PgError::new("34000", format!("portal \"{name}\" does not exist"))
}

/// Reads the parameters of a Bind message.
fn parameters(
    prepared: &Prepared,
    bind: &Bind<'_>,
    zone: &kyu_pgsql::Zone,
) -> Result<Vec<Value>, PgError> {
    let mut values = Vec::with_capacity(bind.parameters.len());
    let typed = prepared.types.iter().zip(&prepared.oids).zip(&bind.parameters);
    for (index, ((ty, oid), bytes)) in typed.enumerate() {
        let value = match (bytes, bind.formats.at(index)) {
            (None, _) => Ok(Value::Null),
            (Some(bytes), Format::Text) => {
                super::reader::utf8(bytes).and_then(|text| read_text(*ty, text, zone))
            }
            (Some(bytes), Format::Binary) => binary::read(*ty, *oid, bytes),
        };
        values.push(value.map_err(|error| in_parameter(error, index, bind.portal))?);
    }
    Ok(values)
}

/// The text form of a parameter.
fn read_text(ty: Type, text: &str, zone: &kyu_pgsql::Zone) -> Result<Value, PgError> {
    let is_number = || text.trim().bytes().all(|byte| byte.is_ascii_digit());
    match ty {
        // A name: what it means is found out when the statement runs.
        Type::Regclass | Type::Regtype | Type::Regproc if !is_number() => {
            Ok(Value::Text(text.to_owned()))
        }
        ty => match (text::input(ty, text)?, ty) {
            (Value::Timestamp(time), Type::Timestamptz) => {
                Ok(Value::Timestamp(zone.read(text, time)))
            }
            (value, _) => Ok(value),
        },
    }
}

/// Says which parameter it was: in the message where Postgres does, else in the context.
fn in_parameter(error: PgError, index: usize, portal: &str) -> PgError {
    let number = index + 1;
    match error.code {
        "22P03" => {
            PgError { message: format!("{} in bind parameter {number}", error.message), ..error }
        }
        _ => {
            let portal = if portal.is_empty() {
                "unnamed portal".to_owned()
            } else {
                format!("portal \"{portal}\"")
            };
            PgError { context: Some(format!("{portal} parameter ${number}")), ..error }
        }
    }
}
