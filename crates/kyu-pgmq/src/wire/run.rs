//! Statements: the simple protocol, and what each kind of statement does to the session.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::held::Held;
use kyu_pgsql::host::Host;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Column, Row, Value};
use kyu_pgsql::{Discard, Fetch, Parsed, Query, Statement, Utility};

use super::apart::Fetched;
use super::copy::Style;
use super::frontend::{Format, Formats};
use super::portal::{Portal, Prepared, Progress, Work};
use super::server::{Notification, Queues};
use super::session::{Session, Stop};
use super::transaction::{BlockState, aborted, ends_failed, is_control};

/// The outcome of a statement.
pub(super) enum Answer {
    /// A text without a statement.
    Empty,
    /// No rows.
    Tag(String),
    /// Rows.
    Rows { columns: Arc<Vec<Column>>, rows: Vec<Row>, tag: String, held: Held },
    /// Rows as COPY data.
    Copy { columns: Arc<Vec<Column>>, rows: Vec<Row>, style: Style, held: Held },
}

fn text_column(name: impl Into<String>) -> Column {
    Column { name: name.into(), ty: Type::Text }
}

/// Columns of SHOW.
pub(super) fn show_columns(name: &str) -> Arc<Vec<Column>> {
    Arc::new(match name {
        "all" => ["name", "setting", "description"].map(text_column).into(),
        name => vec![text_column(super::settings::proper_name(name))],
    })
}

impl<Q: Queues> Session<'_, Q> {
    /// A text of the simple protocol: all its statements are one transaction, unless they say
    /// otherwise.
    pub(super) async fn query(&mut self, text: &str) -> Result<(), Stop> {
        // The simple protocol uses up the unnamed ones.
        self.statements.remove("");
        self.portals.remove("");
        let (mut script, _held) = self.read(text).await?;
        if script.count() == 0 {
            self.connection.out.empty_query();
        }
        while let Some((parsed, last)) = self.next_statement(&mut script).await? {
            let answer = self.simple(parsed, last).await?;
            self.send(answer).await?;
            self.connection.flush_if_full().await?;
            // A million SETs wait for nothing.
            tokio::task::coop::consume_budget().await;
        }
        if self.transaction.state == BlockState::Implicit {
            self.end(true).await?;
        }
        if self.transaction.state == BlockState::Idle {
            self.portals.retain(|_, portal| portal.held);
        }
        Ok(())
    }

    /// One statement of the simple protocol.
    async fn simple(&mut self, parsed: Parsed, last: bool) -> Result<Answer, Stop> {
        let Parsed { statement, bytes } = parsed;
        if self.transaction.state == BlockState::Failed && !ends_failed(&statement) {
            return Err(aborted().into());
        }
        // Other than the extended protocol, a statement must not be prepared before the ones in
        // front of it have run: it may use what they make.
        self.open_for(&statement, last).await?;
        let prepared = match statement {
            Statement::Query(query) => {
                let query = self.resolve(&query, &[], bytes).await?;
                no_parameters(&query)?;
                Prepared::query(query, &[], self.hold(bytes)?)
            }
            Statement::CopyOut(copy) => {
                let query = self.resolve(&copy.query, &[], bytes).await?;
                no_parameters(&query)?;
                Prepared::copy(query, Style::of(&copy)?, &[], self.hold(bytes)?)
            }
            other => Prepared::other(Work::Other(other), None, self.hold(bytes)?),
        };
        self.answer(&prepared, &[], last).await
    }

    /// Opens the transaction of a text with several statements.
    async fn open_for(&mut self, statement: &Statement, last: bool) -> Result<(), Stop> {
        if self.transaction.state == BlockState::Idle && !last && !is_control(statement) {
            self.start(BlockState::Implicit).await?;
        }
        Ok(())
    }

    /// Runs a statement. With `last`, nothing follows that belongs to the same transaction if
    /// nobody began one: then it is committed here, before the answer is sent.
    pub(super) async fn answer(
        &mut self,
        prepared: &Prepared,
        values: &[Value],
        last: bool,
    ) -> Result<Answer, Stop> {
        self.port.counts.statements.fetch_add(1, Relaxed);
        let control = matches!(&prepared.work, Work::Other(statement) if is_control(statement));
        if self.transaction.state == BlockState::Idle && !control {
            // A single call is durable when it returns, and needs no transaction around it.
            let alone = match &prepared.work {
                Work::Query(query) => last && query.is_one_call(),
                Work::Copy(..) => false,
                Work::Other(Statement::Do(_)) => false,
                Work::Empty | Work::Other(_) => last,
            };
            if !alone {
                self.start(BlockState::Implicit).await?;
            }
        }
        let answer = self.perform(prepared, values).await?;
        if self.transaction.state == BlockState::Idle {
            self.tell_others();
        }
        if last && !control && self.transaction.state == BlockState::Implicit {
            self.end(true).await?;
        }
        self.notices();
        Ok(answer)
    }

    async fn perform(&mut self, prepared: &Prepared, values: &[Value]) -> Result<Answer, Stop> {
        match &prepared.work {
            Work::Empty => Ok(Answer::Empty),
            Work::Query(query) => {
                let found = self.fetch(query, values).await?;
                Ok(match prepared.columns.clone() {
                    Some(columns) => {
                        let Fetched { rows, tag, held } = found;
                        Answer::Rows { columns, rows, tag, held }
                    }
                    None => Answer::Tag(found.tag),
                })
            }
            Work::Copy(query, style) => {
                let Fetched { rows, held, .. } = self.fetch(query, values).await?;
                let columns = Arc::new(query.columns.clone());
                Ok(Answer::Copy { columns, rows, style: style.clone(), held })
            }
            Work::Other(statement) if is_control(statement) => {
                Ok(Answer::Tag(self.control(statement).await?.to_owned()))
            }
            Work::Other(statement) => self.utility(statement).await,
        }
    }

    async fn utility(&mut self, statement: &Statement) -> Result<Answer, Stop> {
        let tag = match statement {
            Statement::Utility(utility) => self.nothing_to_do(utility),
            Statement::SetTransaction(modes, session) => {
                self.set_modes(modes, !session)?;
                "SET"
            }
            Statement::Set { name, value, local } => self.set(name, value.as_deref(), *local)?,
            Statement::Show(name) => return self.show_rows(name),
            Statement::Reset(name) => {
                match name {
                    Some(name) => self.context.settings.reset(name)?,
                    None => self.context.settings.reset_all(),
                }
                "RESET"
            }
            Statement::Discard(what) => self.discard(*what)?,
            Statement::Prepare { name, types, query } => {
                let bytes = query.bytes();
                let query = self.resolve(query, types, bytes).await?;
                let held = self.hold(bytes)?;
                self.keep_statement(name, Prepared::query(query, &[], held))?;
                "PREPARE"
            }
            Statement::Execute { name, arguments } => {
                return self.run_prepared(name, arguments.as_ref()).await;
            }
            Statement::Deallocate(name) => self.deallocate(name.as_deref())?,
            Statement::Declare { name, hold, binary, query } => {
                self.declare(name, *hold, *binary, query).await?
            }
            Statement::Fetch(fetch) => return self.fetch_cursor(fetch).await,
            Statement::Close(name) => self.close_cursor(name.as_deref())?,
            Statement::Listen(channel) => {
                self.host.listen(super::session::channel_name(channel)?)?;
                "LISTEN"
            }
            Statement::Unlisten(channel) => {
                self.host.unlisten(channel.as_deref())?;
                "UNLISTEN"
            }
            Statement::Notify(channel, payload) => {
                self.context.say(channel, payload)?;
                "NOTIFY"
            }
            Statement::Do(block) => self.run_block(block).await?,
            // Queries and control statements do not come here.
            _ => "",
        };
        Ok(Answer::Tag(tag.to_owned()))
    }

    fn nothing_to_do(&mut self, utility: &Utility) -> &'static str {
        if let Some((code, message)) = &utility.notice {
            let notice = Notice { severity: "NOTICE", code, message: message.clone() };
            self.notice(&notice);
        }
        utility.tag
    }

    fn set(&mut self, name: &str, value: Option<&str>, local: bool) -> Result<&'static str, Stop> {
        if local && self.transaction.state == BlockState::Idle {
            self.warn("25P01", "SET LOCAL can only be used in transaction blocks");
        }
        match value {
            Some(value) => self.context.set_setting(name, value, local)?,
            None => self.context.settings.reset(name)?,
        }
        Ok("SET")
    }

    fn show_rows(&mut self, name: &str) -> Result<Answer, Stop> {
        let text = |text: String| Value::Text(text);
        let rows = match name {
            "all" => {
                let all = self.context.settings.all().into_iter();
                all.map(|(name, value)| vec![text(name), text(value), text(String::new())])
                    .collect()
            }
            name => vec![vec![text(self.show(name)?.1)]],
        };
        let held = self.hold(0)?;
        Ok(Answer::Rows { columns: show_columns(name), rows, tag: "SHOW".to_owned(), held })
    }

    fn discard(&mut self, what: Discard) -> Result<&'static str, Stop> {
        Ok(match what {
            Discard::All => {
                self.forbid_block("DISCARD ALL")?;
                self.portals.clear();
                self.statements.clear();
                self.context.settings.reset_all();
                self.host.unlisten(None)?;
                "DISCARD ALL"
            }
            Discard::Plans => "DISCARD PLANS",
            Discard::Sequences => "DISCARD SEQUENCES",
            Discard::Temp => "DISCARD TEMP",
        })
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<&'static str, Stop> {
        let Some(name) = name else {
            self.statements.clear();
            return Ok("DEALLOCATE ALL");
        };
        self.statement(name)?;
        self.statements.remove(name);
        Ok("DEALLOCATE")
    }

    /// `EXECUTE name (arguments)`.
    async fn run_prepared(
        &mut self,
        name: &str,
        arguments: Option<&Query>,
    ) -> Result<Answer, Stop> {
        let prepared = self.statement(name)?;
        let mut values = Vec::new();
        if let Some(arguments) = arguments {
            let arguments = self.resolve(arguments, &[], arguments.bytes()).await?;
            let row = self.fetch(&arguments, &[]).await?.rows.pop().unwrap_or_default();
            let typed = arguments.columns.iter().zip(&prepared.types);
            for (value, (column, wanted)) in row.into_iter().zip(typed) {
                values.push(kyu_pgsql::assign(value, column.ty, *wanted)?);
            }
            if arguments.columns.len() > prepared.types.len() {
                values.clear();
            }
        }
        if values.len() != prepared.types.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let wanted = prepared.types.len();
            let detail = format!("Expected {wanted} parameters but got {}.", values.len());
            return Err(PgError { detail: Some(detail), ..PgError::new("42601", message) }.into());
        }
        // Only queries can be prepared by SQL; what the protocol prepared may be anything else,
        // but not EXECUTE again: that cannot end.
        match &prepared.work {
            Work::Other(_) | Work::Empty => {
                let message = format!("prepared statement \"{name}\" is not a query");
                Err(PgError::new("0A000", message).into())
            }
            Work::Query(_) | Work::Copy(..) => Box::pin(self.perform(&prepared, &values)).await,
        }
    }

    async fn declare(
        &mut self,
        name: &str,
        hold: bool,
        binary: bool,
        query: &Query,
    ) -> Result<&'static str, Stop> {
        if !hold {
            self.demand_block_for_cursor()?;
        }
        let bytes = query.bytes();
        let query = self.resolve(query, &[], bytes).await?;
        no_parameters(&query)?;
        let prepared = Arc::new(Prepared::query(query, &[], self.hold(bytes)?));
        let progress = match (hold, &prepared.work) {
            // It must not see what happens after its transaction.
            (true, Work::Query(query)) => {
                let Fetched { rows, tag, held } = self.fetch(query, &[]).await?;
                Progress::Rows { rows: rows.into_iter(), tag, _held: held }
            }
            _ => Progress::Fresh,
        };
        let formats = Formats::All(if binary { Format::Binary } else { Format::Text });
        let memory = self.hold(0)?;
        let values = Vec::new();
        let portal = Portal { prepared, values, formats, progress, held: hold, memory };
        self.keep_portal(name, portal)?;
        Ok("DECLARE CURSOR")
    }

    async fn fetch_cursor(&mut self, fetch: &Fetch) -> Result<Answer, Stop> {
        let name = fetch.cursor.as_str();
        let unknown = || PgError::new("34000", format!("cursor \"{name}\" does not exist"));
        let mut portal = self.portals.remove(name).ok_or_else(unknown)?;
        if matches!(portal.progress, Progress::Fresh)
            && let Work::Query(query) = &portal.prepared.work
        {
            let Fetched { rows, tag, held } = self.fetch(query, &portal.values).await?;
            portal.progress = Progress::Rows { rows: rows.into_iter(), tag, _held: held };
        }
        let most = match fetch.count {
            None => usize::MAX,
            Some(count) => usize::try_from(count).map_err(|_| {
                PgError::new("55000", "cursor can only scan forward")
                    .hint("Declare it anew to see its rows again.")
            })?,
        };
        let rows: Vec<Row> = match &mut portal.progress {
            Progress::Rows { rows, .. } => rows.by_ref().take(most).collect(),
            Progress::Fresh | Progress::Done => Vec::new(),
        };
        let columns = portal.prepared.columns.clone().unwrap_or_default();
        self.portals.insert(name.to_owned(), portal);
        let count = rows.len();
        Ok(match fetch.skip {
            true => Answer::Tag(format!("MOVE {count}")),
            // The cursor has paid for them.
            false => {
                let held = self.hold(0)?;
                Answer::Rows { columns, rows, tag: format!("FETCH {count}"), held }
            }
        })
    }

    fn close_cursor(&mut self, name: Option<&str>) -> Result<&'static str, Stop> {
        let Some(name) = name else {
            self.portals.clear();
            return Ok("CLOSE CURSOR ALL");
        };
        if self.portals.remove(name).is_none() {
            let message = format!("cursor \"{name}\" does not exist");
            return Err(PgError::new("34000", message).into());
        }
        Ok("CLOSE CURSOR")
    }

    /// Sends what the session has said with NOTIFY; only between transactions.
    pub(super) fn tell_others(&mut self) {
        let process = self.context.process;
        for (channel, payload) in std::mem::take(&mut self.context.said) {
            self.port.queues.notify(Notification { process, channel, payload });
        }
        self.context.settle();
    }

    /// The answer of a statement of the simple protocol.
    async fn send(&mut self, answer: Answer) -> Result<(), Stop> {
        match answer {
            Answer::Empty => self.connection.out.empty_query(),
            Answer::Tag(tag) => self.connection.out.complete(&tag),
            Answer::Rows { columns, rows, tag, held: _held } => {
                let formats = Formats::All(Format::Text);
                let values = self.context.settings.style();
                self.connection.out.row_description(&columns, &formats);
                for row in &rows {
                    self.connection.out.row(&columns, row, &formats, &values);
                    self.connection.flush_if_full().await?;
                }
                self.connection.out.complete(&tag);
            }
            Answer::Copy { columns, rows, style, held: _held } => {
                self.send_copy(&columns, rows, &style).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn send_copy(
        &mut self,
        columns: &[Column],
        rows: Vec<Row>,
        style: &Style,
    ) -> Result<(), Stop> {
        let values = self.context.settings.style();
        self.connection.out.copy_out(columns.len(), Format::Text);
        if style.header {
            self.connection.out.copy_data(&style.names(columns));
        }
        for row in &rows {
            self.connection.out.copy_data(&style.row(columns, row, &values));
            self.connection.flush_if_full().await?;
        }
        self.connection.out.copy_done();
        self.connection.out.complete(&format!("COPY {}", rows.len()));
        Ok(())
    }
}

pub(super) fn no_parameters(query: &kyu_pgsql::Prepared) -> Result<(), PgError> {
    match query.parameters.is_empty() {
        true => Ok(()),
        false => Err(PgError::new("42P02", "there is no parameter $1")),
    }
}
