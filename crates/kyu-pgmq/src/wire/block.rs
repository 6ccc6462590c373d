//! Runs `DO $$ ... $$`: each of its statements as if the client had sent it, all of them one transaction.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use kyu_pgsql::Statement;
use kyu_pgsql::block::{self, Block, Step, Variable, Variables};
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::held::Held;
use kyu_pgsql::host::Host;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Column, Row, Value};
use tokio::time::Instant;

use super::apart::Fetched;
use super::server::Queues;
use super::session::{Session, Stop};

/// Most statements that one DO may run: 54000 beyond it.
const MAX_STEPS: u32 = 1_000_000;

/// The place where a block goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Next,
    Exit,
    Continue,
    Return,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Flow, Stop>> + Send + 'a>>;

/// The scope of a running block: its variables, and the error that it handles.
#[derive(Debug)]
struct BlockScope {
    variables: Variables,
    /// The error that the innermost handler caught.
    caught: Option<PgError>,
    /// The number of blocks with handlers that enclose it.
    depth: u32,
    /// The memory that the variables take.
    held: Held,
}

impl<Q: Queues> Session<'_, Q> {
    /// `DO`.
    pub(super) async fn run_block(&mut self, block: &Block) -> Result<&'static str, Stop> {
        let ms = self.context.settings.statement_timeout_ms();
        self.block_deadline = (ms > 0).then(|| Instant::now() + Duration::from_millis(ms));
        let mut scope = BlockScope::new(self.hold(0)?);
        scope.set("found", "boolean", Some("f".to_owned()));
        let mut left = MAX_STEPS;
        self.block(block, &mut scope, &mut left).await?;
        Ok("DO")
    }

    fn block<'b>(
        &'b mut self,
        block: &'b Block,
        scope: &'b mut BlockScope,
        left: &'b mut u32,
    ) -> Running<'b> {
        Box::pin(async move {
            let outer = scope.variables.clone();
            for (name, ty, value) in &block.variables {
                let variable = match (value, ty.eq_ignore_ascii_case("record")) {
                    (_, true) => Variable::Row(BTreeMap::new()),
                    (None, false) => Variable::Scalar(ty.clone(), None),
                    (Some(value), false) => {
                        Variable::Scalar(ty.clone(), self.text_of(value, scope).await?)
                    }
                };
                scope.variables.insert(name.clone(), variable);
            }
            let flow = if block.handlers.is_empty() {
                self.steps(&block.steps, scope, left).await
            } else {
                self.guarded(block, scope, left).await
            };
            // What it declared ends with it; what it changed of others stays.
            for (name, ..) in &block.variables {
                match outer.get(name) {
                    Some(hidden) => scope.variables.insert(name.clone(), hidden.clone()),
                    None => scope.variables.remove(name),
                };
            }
            flow
        })
    }

    /// A block with EXCEPTION: what failed is taken back before a handler runs.
    async fn guarded(
        &mut self,
        block: &Block,
        scope: &mut BlockScope,
        left: &mut u32,
    ) -> Result<Flow, Stop> {
        // No statement can name it so: names that end in a space need quotes, and these are ours.
        let savepoint = format!("block {} ", scope.depth);
        self.host.savepoint(&savepoint).await?;
        scope.depth += 1;
        let ended = self.steps(&block.steps, scope, left).await;
        scope.depth -= 1;
        let error = match ended {
            // A cancelled statement is not caught, as in Postgres.
            Err(Stop::Failed(error)) if error.code != "57014" => error,
            ended => {
                if ended.is_ok() {
                    self.host.release(&savepoint).await?;
                }
                return ended;
            }
        };
        self.host.rollback_to(&savepoint).await?;
        self.host.release(&savepoint).await?;
        let catches = |conditions: &[Option<String>]| {
            conditions.iter().any(|code| code.as_ref().is_none_or(|code| code == error.code))
        };
        let Some((_, steps)) = block.handlers.iter().find(|(conditions, _)| catches(conditions))
        else {
            return Err(error.into());
        };
        scope.set("sqlerrm", "text", Some(error.message.clone()));
        scope.set("sqlstate", "text", Some(error.code.to_owned()));
        let before = scope.caught.replace(error);
        let flow = self.steps(steps, scope, left).await;
        scope.caught = before;
        scope.variables.remove("sqlerrm");
        scope.variables.remove("sqlstate");
        flow
    }

    async fn steps(
        &mut self,
        steps: &[Step],
        scope: &mut BlockScope,
        left: &mut u32,
    ) -> Result<Flow, Stop> {
        for step in steps {
            *left = left.checked_sub(1).ok_or_else(|| {
                PgError::new("54000", format!("more than {MAX_STEPS} statements in one DO"))
            })?;
            let flow = self.step(step, scope, left).await?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    async fn step(
        &mut self,
        step: &Step,
        scope: &mut BlockScope,
        left: &mut u32,
    ) -> Result<Flow, Stop> {
        match step {
            Step::Nothing => {}
            Step::Return => return Ok(Flow::Return),
            Step::Query { text, into } => {
                let (columns, found) = self.rows(text, scope).await?;
                let any = !found.tag.is_empty() && !found.tag.ends_with(" 0");
                scope.set("found", "boolean", Some(if any { "t" } else { "f" }.to_owned()));
                if !into.is_empty() {
                    scope.take(into, &columns, found.rows.first())?;
                    scope.count()?;
                }
            }
            Step::Assign { variable, value } => {
                let value = self.text_of(value, scope).await?;
                scope.assign(variable, value)?;
                scope.count()?;
            }
            Step::Raise { level, format, arguments } => {
                self.raise(level, format, arguments, scope).await?;
            }
            Step::Again => return Err(scope.again().into()),
            Step::If { arms, otherwise } => {
                for (condition, steps) in arms {
                    if self.holds(condition, scope).await? {
                        return Box::pin(self.steps(steps, scope, left)).await;
                    }
                }
                return Box::pin(self.steps(otherwise, scope, left)).await;
            }
            Step::For { variable, rows, scalar, body } => {
                return Box::pin(self.each(variable, rows, *scalar, body, scope, left)).await;
            }
            Step::Leave { exit, when } => {
                let leaves = match when {
                    Some(condition) => self.holds(condition, scope).await?,
                    None => true,
                };
                if leaves {
                    return Ok(if *exit { Flow::Exit } else { Flow::Continue });
                }
            }
            Step::Inner(inner) => return self.block(inner, scope, left).await,
        }
        Ok(Flow::Next)
    }

    /// RAISE: an error, or a notice.
    async fn raise(
        &mut self,
        level: &'static str,
        format: &str,
        arguments: &[String],
        scope: &BlockScope,
    ) -> Result<(), Stop> {
        let mut message = String::new();
        let mut arguments = arguments.iter();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('%') {
            message.push_str(before);
            rest = after;
            if let Some(after) = rest.strip_prefix('%') {
                message.push('%');
                rest = after;
            } else if let Some(argument) = arguments.next() {
                let value = self.text_of(argument, scope).await?;
                message.push_str(value.as_deref().unwrap_or("<NULL>"));
            }
        }
        message.push_str(rest);
        if level == "EXCEPTION" {
            return Err(PgError::new("P0001", message).into());
        }
        let code = if level == "WARNING" { "01000" } else { "00000" };
        self.notice(&Notice { severity: level, code, message });
        Ok(())
    }

    async fn each(
        &mut self,
        variable: &str,
        query: &str,
        scalar: bool,
        body: &[Step],
        scope: &mut BlockScope,
        left: &mut u32,
    ) -> Result<Flow, Stop> {
        let (columns, Fetched { rows, held: _held, .. }) = self.rows(query, scope).await?;
        let before = scope.variables.get(variable).cloned();
        let is_row = !scalar && !matches!(before, Some(Variable::Scalar(..)));
        let mut flow = Flow::Next;
        for row in &rows {
            let fields = columns.iter().zip(row);
            if is_row {
                let field = |(column, value): (&Column, &Value)| {
                    let held = (block::cast_name(column.ty), block::text_of(column.ty, value));
                    (column.name.clone(), held)
                };
                scope
                    .variables
                    .insert(variable.to_owned(), Variable::Row(fields.map(field).collect()));
            } else if let Some((column, value)) = fields.into_iter().next() {
                let ty = block::cast_name(column.ty);
                scope.set(variable, &ty, block::text_of(column.ty, value));
            }
            flow = self.steps(body, scope, left).await?;
            if matches!(flow, Flow::Exit | Flow::Return) {
                break;
            }
        }
        match before {
            Some(before) if scalar => scope.variables.insert(variable.to_owned(), before),
            Some(_) => None,
            None => scope.variables.remove(variable),
        };
        Ok(if flow == Flow::Return { flow } else { Flow::Next })
    }

    async fn holds(&mut self, condition: &str, scope: &BlockScope) -> Result<bool, Stop> {
        let (_, found) = self.rows(&format!("SELECT {condition}"), scope).await?;
        Ok(found.rows.first().and_then(|row| row.first()) == Some(&Value::Bool(true)))
    }

    /// The text of an expression's value; None for NULL.
    async fn text_of(
        &mut self,
        expression: &str,
        scope: &BlockScope,
    ) -> Result<Option<String>, Stop> {
        let (columns, found) = self.rows(&format!("SELECT {expression}"), scope).await?;
        let ty = columns.first().map_or(Type::Text, |column| column.ty);
        let value = found.rows.first().and_then(|row| row.first());
        Ok(value.and_then(|value| block::text_of(ty, value)))
    }

    /// The columns and rows of a statement; an empty tag for NOTIFY.
    async fn rows(
        &mut self,
        text: &str,
        scope: &BlockScope,
    ) -> Result<(Vec<Column>, Fetched), Stop> {
        let text = block::fill_in(text, &scope.variables, &mut self.statement_work())?;
        let (mut script, _text) = self.read(&text).await.map_err(Stop::without_position)?;
        let Some((parsed, true)) = self.next_statement(&mut script).await? else {
            return Err(PgError::new("42601", "a step of DO must be one statement").into());
        };
        let bytes = parsed.bytes;
        let query = match parsed.statement {
            Statement::Query(query) => query,
            Statement::Notify(channel, payload) => {
                self.context.say(&channel, &payload)?;
                let (rows, tag) = (Vec::new(), String::new());
                return Ok((Vec::new(), Fetched { rows, tag, held: self.hold(0)? }));
            }
            _ => return Err(PgError::new("0A000", "this statement is not supported in DO").into()),
        };
        let query = self.resolve(&query, &[], bytes).await.map_err(Stop::without_position)?;
        super::run::no_parameters(&query)?;
        let found = self.fetch(&query, &[]).await?;
        self.notices();
        Ok((query.columns.clone(), found))
    }
}

impl Stop {
    /// A position counts in a text that the client has not sent.
    fn without_position(self) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(PgError { position: None, ..error }),
            Self::Fatal(_) | Self::Closed => self,
        }
    }
}

impl BlockScope {
    fn new(held: Held) -> Self {
        Self { variables: Variables::new(), caught: None, depth: 0, held }
    }

    /// Counts what the variables take.
    fn count(&mut self) -> Result<(), PgError> {
        let text = |value: &Option<String>| value.as_ref().map_or(0, String::len);
        let bytes = self.variables.values().map(|variable| match variable {
            Variable::Scalar(_, value) => text(value),
            Variable::Row(fields) => fields.values().map(|(_, value)| text(value)).sum(),
        });
        let bytes: usize = bytes.sum();
        self.held.back_to(bytes);
        self.held.grow(bytes - self.held.bytes())
    }

    /// `RAISE;`
    fn again(&self) -> PgError {
        let outside = "RAISE without parameters cannot be used outside an exception handler";
        self.caught.clone().unwrap_or_else(|| PgError::new("0Z002", outside))
    }

    fn set(&mut self, name: &str, ty: &str, value: Option<String>) {
        self.variables.insert(name.to_owned(), Variable::Scalar(ty.to_owned(), value));
    }

    fn assign(&mut self, name: &str, value: Option<String>) -> Result<(), PgError> {
        match self.variables.get_mut(name) {
            Some(Variable::Scalar(_, held)) => {
                *held = value;
                Ok(())
            }
            Some(Variable::Row(_)) => Err(PgError::new(
                "0A000",
                format!("the record \"{name}\" is filled by SELECT INTO only"),
            )),
            None => Err(PgError::new("42601", format!("\"{name}\" is not a known variable"))),
        }
    }

    /// SELECT INTO; without a row the variables become NULL.
    fn take(
        &mut self,
        into: &[String],
        columns: &[Column],
        row: Option<&Row>,
    ) -> Result<(), PgError> {
        let held = |at: usize| {
            let (column, value) = (columns.get(at)?, row?.get(at)?);
            block::text_of(column.ty, value)
        };
        if let [name] = into
            && let Some(Variable::Row(_)) = self.variables.get(name)
        {
            let field = |(at, column): (usize, &Column)| {
                (column.name.clone(), (block::cast_name(column.ty), held(at)))
            };
            let fields = columns.iter().enumerate().map(field).collect();
            self.variables.insert(name.clone(), Variable::Row(fields));
            return Ok(());
        }
        for (at, name) in into.iter().enumerate() {
            self.assign(name, held(at))?;
        }
        Ok(())
    }
}
