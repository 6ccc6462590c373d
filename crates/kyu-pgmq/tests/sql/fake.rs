//! A host that remembers what it was asked and answers from a list.

use std::collections::VecDeque;

use kyu_pgmq::queues::functions;
use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::functions::{Functions, Returns};
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Column, Row, Value};
use kyu_pgsql::work::Work;
use kyu_pgsql::{self, Session, Statement};

/// 2026-01-02 03:04:05 UTC.
pub(crate) const NOW: i64 = 820_638_245_000_000;

#[derive(Default)]
pub(crate) struct FakeHost {
    /// Calls as `name(argument, ...)`, with values as Postgres prints them.
    pub(crate) calls: Vec<String>,
    /// Rows of the next calls; then each call gives one row of NULLs.
    pub(crate) answers: VecDeque<Vec<Row>>,
    pub(crate) relations: Vec<Relation>,
    pub(crate) scans: Vec<ScanBounds>,
    /// Rows of every scan.
    pub(crate) rows: Vec<Row>,
}

impl Host for FakeHost {
    fn functions(&self) -> Functions {
        functions::ALL
    }

    async fn call(
        &mut self,
        overload: OverloadId,
        arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        let function = functions::ALL.by_id(overload).expect("a known function");
        assert_eq!(arguments.len(), function.arguments.len(), "{}", function.name);
        let shown: Vec<String> = arguments
            .iter()
            .zip(function.arguments)
            .map(|(value, argument)| show(argument.ty, value))
            .collect();
        let types: Vec<String> = function.arguments.iter().map(|a| format!("{:?}", a.ty)).collect();
        self.calls.push(format!(
            "{}({}) {}",
            function.name,
            shown.join(", "),
            types.last().cloned().unwrap_or_default()
        ));
        let width = match function.returns {
            Returns::One(Type::Composite(c)) | Returns::Set(Type::Composite(c)) => {
                c.columns().len()
            }
            Returns::Table(columns) => columns.len(),
            _ => 1,
        };
        Ok(self.answers.pop_front().unwrap_or_else(|| vec![vec![Value::Null; width]]))
    }

    async fn scan(
        &mut self,
        relation: &Relation,
        bounds: &ScanBounds,
    ) -> Result<Vec<Row>, PgError> {
        self.scans.push(bounds.clone());
        let _ = relation;
        Ok(self.rows.clone())
    }

    async fn relations(&mut self) -> Result<Vec<Relation>, PgError> {
        Ok(self.relations.clone())
    }

    async fn begin(&mut self) -> Result<(), PgError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), PgError> {
        Ok(())
    }

    async fn rollback(&mut self) {}

    async fn savepoint(&mut self, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    async fn rollback_to(&mut self, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    async fn release(&mut self, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    fn now(&self) -> i64 {
        NOW
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }

    fn listen(&mut self, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    fn unlisten(&mut self, _: Option<&str>) -> Result<(), PgError> {
        Ok(())
    }
}

pub(crate) struct FakeSession;

impl Session for FakeSession {
    fn setting(&self, name: &str) -> Option<String> {
        match name {
            "timezone" => Some("UTC".to_owned()),
            "search_path" => Some("\"$user\", public".to_owned()),
            _ => None,
        }
    }

    fn set(&mut self, _: &str, _: &str, _: bool) -> Result<(), PgError> {
        Ok(())
    }

    fn notify(&mut self, _: &str, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    fn settings(&self) -> Vec<(String, String)> {
        vec![("timezone".to_owned(), "UTC".to_owned())]
    }

    fn user(&self) -> &str {
        "postgres"
    }

    fn database(&self) -> &str {
        "postgres"
    }

    fn backend_pid(&self) -> i32 {
        7
    }

    fn in_transaction(&self) -> bool {
        false
    }
}

/// A value as text; NULL where it is one.
pub(crate) fn show(ty: Type, value: &Value) -> String {
    if *value == Value::Null {
        return "NULL".to_owned();
    }
    let mut text = String::new();
    kyu_pgsql::text::output(ty, value, &mut text);
    text
}

pub(crate) struct Answer {
    pub(crate) parameters: Vec<Type>,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
    pub(crate) tag: String,
}

impl Answer {
    /// Each row as `a | b`.
    pub(crate) fn shown(&self) -> Vec<String> {
        let row = |row: &Row| {
            assert_eq!(row.len(), self.columns.len());
            row.iter()
                .zip(&self.columns)
                .map(|(value, column)| show(column.ty, value))
                .collect::<Vec<_>>()
                .join(" | ")
        };
        self.rows.iter().map(row).collect()
    }
}

/// The statements of a text.
pub(crate) fn statements(text: &str) -> Result<Vec<Statement>, PgError> {
    let mut work = Work::alone();
    let mut script = kyu_pgsql::parse(text, &mut work)?;
    let mut statements = Vec::new();
    while let Some((parsed, _)) = script.next(&mut work)? {
        statements.push(parsed.statement);
    }
    Ok(statements)
}

/// Runs one query with values of its parameters, as text.
pub(crate) async fn run(
    text: &str,
    declared: &[Type],
    values: &[&str],
    host: &mut FakeHost,
) -> Result<Answer, PgError> {
    run_with(text, declared, values, host, &mut Work::alone()).await
}

/// The same, counted.
pub(crate) async fn run_with(
    text: &str,
    declared: &[Type],
    values: &[&str],
    host: &mut FakeHost,
    work: &mut Work,
) -> Result<Answer, PgError> {
    let statements = statements(text)?;
    let [Statement::Query(query)] = statements.as_slice() else { panic!("not one query: {text}") };
    let prepared = kyu_pgsql::prepare(query, declared, host, work).await?;
    let mut bound = Vec::new();
    for (value, ty) in values.iter().zip(&prepared.parameters) {
        bound.push(kyu_pgsql::text::input(*ty, value)?);
    }
    let rows = if bound.len() < prepared.parameters.len() {
        kyu_pgsql::Rows { rows: Vec::new(), tag: String::new() }
    } else {
        prepared.execute(&bound, host, &mut FakeSession, work).await?
    };
    Ok(Answer {
        parameters: prepared.parameters,
        columns: prepared.columns,
        rows: rows.rows,
        tag: rows.tag,
    })
}
