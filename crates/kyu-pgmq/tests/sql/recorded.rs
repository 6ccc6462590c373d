//! What PostgreSQL 15 answered (`record.py`), statement by statement.

use kyu_pgsql::host::Relation;
use kyu_pgsql::oid;

use crate::fake::{FakeHost, run};

/// Statements whose answers differ on purpose; each with the reason.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "select array[1, 2], array['a', null], array[1, 2.5], '{1,2}'::int[], array[]::text[]",
        "there is no numeric[]; it is float8[]",
    ),
    (
        "select 1 union select 'x'",
        "the literal gets its type when the query runs, so the error has no position",
    ),
    (
        "select * from generate_series(1, 2) a(x) full join generate_series(2, 3) b(x) using (x) order by 1",
        "FULL JOIN USING is refused",
    ),
];

struct Recorded {
    statement: String,
    answer: Vec<String>,
}

fn recorded() -> Vec<Recorded> {
    let mut all: Vec<Recorded> = Vec::new();
    for line in include_str!("recorded.txt").lines() {
        match line.strip_prefix("> ") {
            Some(statement) => {
                all.push(Recorded { statement: statement.to_owned(), answer: Vec::new() })
            }
            None => all.last_mut().expect("a statement").answer.push(line.to_owned()),
        }
    }
    all
}

/// Ids of the extension's objects are not the same anywhere.
fn without_ids(line: &str) -> String {
    let Some(columns) = line.strip_prefix("= ") else { return line.to_owned() };
    let plain = columns.split(' ').map(|column| match column.rsplit_once(':') {
        Some((name, oid)) if oid.parse::<u32>().is_ok_and(|oid| oid >= 16_384) => {
            format!("{name}:user")
        }
        _ => column.to_owned(),
    });
    format!("= {}", plain.collect::<Vec<_>>().join(" "))
}

async fn answer(statement: &str) -> Vec<String> {
    let mut host =
        FakeHost { relations: vec![Relation::Queue("x".to_owned())], ..FakeHost::default() };
    match run(statement, &[], &[], &mut host).await {
        Ok(answer) => {
            let columns: Vec<String> = answer
                .columns
                .iter()
                .map(|column| {
                    format!("{}:{}", column.name.replace(' ', "_"), oid::of_type(column.ty))
                })
                .collect();
            let mut lines = vec![format!("= {}", columns.join(" "))];
            lines.extend(
                answer.shown().into_iter().map(|row| format!("| {}", row.replace('\n', "\\n"))),
            );
            if statement.contains("$1") {
                lines = vec!["= ".to_owned()];
            }
            lines
        }
        Err(error) => {
            let position =
                error.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
            vec![format!("! {} {position} {}", error.code, error.message)]
        }
    }
}

#[tokio::test]
async fn answers_are_those_of_postgres() {
    let mut failures = Vec::new();
    for Recorded { statement, answer: expected } in recorded() {
        let got: Vec<String> =
            answer(&statement).await.iter().map(|line| without_ids(line)).collect();
        let expected: Vec<String> = expected.iter().map(|line| without_ids(line)).collect();
        let different = DIFFERENT.iter().any(|(text, _)| *text == statement);
        if (got == expected) == different {
            failures
                .push(format!("{statement}\n    expected {expected:#?}\n    got      {got:#?}"));
        }
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
}
