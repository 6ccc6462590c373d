//! A host with three functions and no relations.

use kyu_pgsql::error::{Notice, PgError};
use kyu_pgsql::functions::{Argument, Effect, Function, Functions, Returns};
use kyu_pgsql::host::{Host, OverloadId, Relation, ScanBounds};
use kyu_pgsql::types::Type;
use kyu_pgsql::value::{Row, Value};
use kyu_pgsql::work::Work;
use kyu_pgsql::{Prepared, Session, Statement};

const fn argument(name: &'static str, ty: Type, default: Option<&'static str>) -> Argument {
    Argument { name, ty, default }
}

/// `plus(a, b => 1)`, which is also `pgmq_public.add(a)`.
const PLUS: Function = Function {
    id: OverloadId(7),
    schema: "pgmq",
    name: "plus",
    arguments: &[argument("a", Type::Int8, None), argument("b", Type::Int8, Some("1"))],
    returns: Returns::One(Type::Int8),
    effect: Effect::Reads,
};
const KEEP: Function = Function {
    id: OverloadId(8),
    name: "keep",
    arguments: &[argument("a", Type::Int8, None)],
    returns: Returns::Set(Type::Int8),
    effect: Effect::Inserts,
    ..PLUS
};
const TAKE: Function = Function {
    id: OverloadId(9),
    name: "take",
    arguments: &[],
    returns: Returns::Table(&[("a", Type::Int8)]),
    effect: Effect::Takes,
    ..PLUS
};
const ADD: Function = Function {
    schema: "pgmq_public",
    name: "add",
    arguments: &[argument("a", Type::Int8, None)],
    ..PLUS
};

#[derive(Default)]
pub(crate) struct SmallHost {
    pub(crate) kept: Vec<Value>,
    pub(crate) read_only: bool,
}

impl Host for SmallHost {
    fn functions(&self) -> Functions {
        Functions::new(&[PLUS, KEEP, TAKE], &[ADD])
    }

    async fn call(
        &mut self,
        overload: OverloadId,
        mut arguments: Vec<Value>,
    ) -> Result<Vec<Row>, PgError> {
        Ok(match (overload, arguments.as_slice()) {
            (id, [Value::Int(a), Value::Int(b)]) if id == PLUS.id => vec![vec![Value::Int(a + b)]],
            (id, [_]) if id == KEEP.id => {
                self.kept.append(&mut arguments);
                vec![vec![Value::Int(self.kept.len() as i64)]]
            }
            (id, []) if id == TAKE.id => self.kept.drain(..).map(|value| vec![value]).collect(),
            other => panic!("{other:?}"),
        })
    }

    async fn scan(&mut self, relation: &Relation, _: &ScanBounds) -> Result<Vec<Row>, PgError> {
        panic!("{relation:?}")
    }

    async fn relations(&mut self) -> Result<Vec<Relation>, PgError> {
        Ok(Vec::new())
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
        0
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

/// A session without settings.
#[derive(Default)]
struct Plain {
    read_only: bool,
    given: Option<i64>,
}

impl Session for Plain {
    fn setting(&self, _: &str) -> Option<String> {
        None
    }

    fn set(&mut self, _: &str, _: &str, _: bool) -> Result<(), PgError> {
        Ok(())
    }

    fn settings(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn user(&self) -> &str {
        "somebody"
    }

    fn database(&self) -> &str {
        "nowhere"
    }

    fn notify(&mut self, _: &str, _: &str) -> Result<(), PgError> {
        Ok(())
    }

    fn backend_pid(&self) -> i32 {
        1
    }

    fn in_transaction(&self) -> bool {
        false
    }

    fn gave(&mut self, number: i64) {
        self.given = Some(number);
    }

    fn last_given(&self) -> Option<i64> {
        self.given
    }

    fn is_read_only(&self) -> bool {
        self.read_only
    }
}

pub(crate) struct Answer {
    pub(crate) prepared: Prepared,
    /// Each row as `a | b`.
    pub(crate) rows: Vec<String>,
    pub(crate) last_given: Option<i64>,
}

/// Runs one query without parameters.
pub(crate) async fn run_with(
    text: &str,
    host: &mut SmallHost,
    work: &mut Work,
) -> Result<Answer, PgError> {
    let mut script = kyu_pgsql::parse(text, work)?;
    let Some((parsed, _)) = script.next(work)? else { panic!("no statement: {text}") };
    let Statement::Query(query) = parsed.statement else { panic!("no query: {text}") };
    let prepared = kyu_pgsql::prepare(&query, &[], host, work).await?;
    let mut session = Plain { read_only: host.read_only, ..Plain::default() };
    let rows = prepared.execute(&[], host, &mut session, work).await?.rows;
    let shown = |row: &Row| {
        let values = row.iter().zip(&prepared.columns);
        let texts = values.map(|(value, column)| match value {
            Value::Null => "NULL".to_owned(),
            value => kyu_pgsql::text::to_string(column.ty, value),
        });
        texts.collect::<Vec<_>>().join(" | ")
    };
    let rows = rows.iter().map(shown).collect();
    Ok(Answer { prepared, rows, last_given: session.given })
}
