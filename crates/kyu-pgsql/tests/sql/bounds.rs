//! What a statement may spend. The story: `INTERSECT`, `EXCEPT`, `DISTINCT ON` and recursive WITH
//! looked for each row among all rows, on the threads of every door, without a look at
//! `statement_timeout`: three statements over 60,000 numbers kept `/livez` waiting for two minutes.
//! Outer joins had no bound of rows (six million of them took a gigabyte), and 107 WITH queries in a
//! chain overflowed the stack. So steps are counted, and these tests look at the counter.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use kyu_budget::Budget;
use kyu_pgsql::error::PgError;
use kyu_pgsql::work::{Watch, Work};

use crate::host::{SmallHost, run_with};

/// Every operator that makes, compares or gathers rows, over so many of them.
const OPERATORS: &[&str] = &[
    "SELECT count(*) FROM (SELECT g FROM generate_series(1, #) g INTERSECT SELECT g FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM (SELECT g FROM generate_series(1, #) g INTERSECT ALL SELECT g FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM (SELECT g FROM generate_series(1, #) g EXCEPT SELECT g + 7 FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM (SELECT g FROM generate_series(1, #) g UNION SELECT g + 7 FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM (SELECT DISTINCT g FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM (SELECT DISTINCT ON (g) g, 'x' FROM generate_series(1, #) g ORDER BY g DESC) x",
    "WITH RECURSIVE t (n) AS (SELECT g FROM generate_series(1, #) g UNION SELECT n + 1 FROM t WHERE n < #) SELECT count(*) FROM t",
    "WITH RECURSIVE t (n) AS (SELECT g FROM generate_series(1, #) g UNION ALL SELECT n + # FROM t WHERE n <= #) SELECT count(*) FROM t",
    "SELECT count(*) FROM generate_series(1, #) a JOIN generate_series(1, #) b ON a = b",
    "SELECT count(*) FROM generate_series(1, #) a, generate_series(1, #) b WHERE a = b + 1",
    "SELECT count(*) FROM generate_series(1, #) a LEFT JOIN generate_series(1, #) b ON a = b + 1",
    "SELECT count(*) FROM generate_series(1, #) a RIGHT JOIN generate_series(1, #) b ON a = b + 1",
    "SELECT count(*) FROM generate_series(1, #) a FULL JOIN generate_series(1, #) b ON a = b + 1",
    "SELECT count(*) FROM generate_series(1, #) a JOIN generate_series(1, #) b USING (a)",
    "SELECT count(*) FROM (SELECT g % 1000 AS k, count(*), sum(g), avg(g), min(g), max(g) FROM generate_series(1, #) g GROUP BY 1) x",
    "SELECT count(DISTINCT g), sum(DISTINCT g) FROM generate_series(1, #) g",
    "SELECT length(string_agg(g::text, ',' ORDER BY g DESC)) FROM generate_series(1, #) g",
    "SELECT jsonb_array_length(jsonb_agg(g)) FROM generate_series(1, #) g",
    "SELECT cardinality(array_agg(g)) FROM generate_series(1, #) g",
    "SELECT count(*) FROM (SELECT g FROM generate_series(1, #) g ORDER BY g % 17, g DESC) x",
    "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY g % 10 ORDER BY g DESC) FROM generate_series(1, #) g) x",
    "SELECT count(*) FROM unnest(array(SELECT g FROM generate_series(1, #) g)) u",
    "SELECT count(*) FROM regexp_split_to_table(repeat('x,', #), ',') r",
    "SELECT cardinality(string_to_array(repeat('x,', #), ','))",
    "SELECT count(*) FROM jsonb_array_elements(('[0' || repeat(',1', #) || ']')::jsonb) j",
    "SELECT array(SELECT g FROM generate_series(1, #) g) @> array(SELECT g FROM generate_series(1, #) g)",
    "SELECT -1 = ANY (array(SELECT g FROM generate_series(1, #) g))",
    "SELECT count(*) FROM generate_series(1, #) g WHERE CASE WHEN g % 2 = 0 THEN g::text LIKE '%7%' ELSE false END",
    "SELECT count(*) FROM (VALUES (1)) v, LATERAL generate_series(1, #) g",
    "SELECT count(*) FROM (SELECT generate_series(1, #)) x",
];

/// Ends the statement at its n-th look.
struct EndsAt(AtomicI64);

impl Watch for EndsAt {
    fn interrupted(&self) -> Option<PgError> {
        let over = self.0.fetch_sub(1, Relaxed) <= 0;
        let message = "canceling statement due to statement timeout";
        over.then(|| PgError::new("57014", message))
    }
}

fn budget() -> Budget {
    Budget::process(1 << 30)
}

async fn run(text: &str, work: &mut Work) -> Result<Vec<String>, PgError> {
    let answer = run_with(text, &mut SmallHost::default(), work).await;
    answer.map(|answer| answer.rows)
}

/// Runs it to its end; steps and looks.
async fn counted(text: &str) -> (u64, u64) {
    let mut work = Work::new(Arc::new(()), &budget());
    run(text, &mut work).await.unwrap_or_else(|error| panic!("{text}: {error}"));
    (work.steps(), work.looks())
}

#[tokio::test]
async fn every_operator_is_linear_and_looks_at_its_end_all_the_way() {
    for operator in OPERATORS {
        // A join has a USING column of one name only if the functions have it.
        let operator = operator.replace("b USING (a)", "b (a) USING (a)");
        let at = |rows: u64| operator.replace('#', &rows.to_string());
        let (half, _) = counted(&at(50_000)).await;
        let (steps, looks) = counted(&at(100_000)).await;
        assert!(steps >= 1_000, "{operator}: {steps} steps");
        // Twice as many rows; sorting takes a little more than that.
        assert!(steps <= half * 5 / 2, "{operator}: {half}, then {steps} steps");
        assert!(looks > steps / 8_192, "{operator}: {looks} looks in {steps} steps");
        // A timeout in the middle ends it there.
        let middle = i64::try_from(looks / 2).unwrap();
        let mut work = Work::new(Arc::new(EndsAt(AtomicI64::new(middle))), &budget());
        let error = run(&at(100_000), &mut work).await.unwrap_err();
        assert_eq!(error.code, "57014", "{operator}");
        assert_eq!(work.looks(), looks / 2 + 1, "{operator}: it went on behind its end");
    }
}

#[tokio::test]
async fn rows_that_are_few_and_dear_are_ended_too() {
    for text in [
        "SELECT (repeat('ab', 1000000) || 'c') LIKE '%abababababababababac'",
        "SELECT repeat('x', 60000000) || repeat('y', 4000000) = repeat('x', 60000000)",
        "SELECT lower(upper(lower(upper(repeat('x', 10000000)))))",
        "SELECT jsonb_agg(d ORDER BY d) FROM (SELECT ('[' || repeat('1,', 100000) || g || ']')::jsonb d FROM generate_series(1, 20) g) x",
        "SELECT count(*) FROM generate_series(1, 20) g WHERE 999999 = ANY (array(SELECT s FROM generate_series(1, 100000) s))",
    ] {
        let mut work = Work::new(Arc::new(EndsAt(AtomicI64::new(2))), &budget());
        let error = run(text, &mut work).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code, "57014", "{text}");
    }
}

#[tokio::test]
async fn joins_of_every_kind_make_a_million_rows_at_most() {
    for kind in ["CROSS JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"] {
        let on = if kind == "CROSS JOIN" { "" } else { "ON true" };
        let text = format!(
            "SELECT count(*) FROM generate_series(1, 1001) a {kind} generate_series(1, 1001) b {on}"
        );
        let mut work = Work::new(Arc::new(()), &budget());
        assert_eq!(run(&text, &mut work).await.unwrap_err().code, "53400", "{kind}");
    }
}

#[tokio::test]
async fn what_a_statement_holds_has_a_bound_and_is_given_back() {
    for text in [
        "SELECT array_agg(repeat('x', 100000)) FROM generate_series(1, 1000)",
        "SELECT string_agg(repeat('x', 100000), ',') FROM generate_series(1, 1000)",
        "SELECT jsonb_agg(repeat('x', 100000)) FROM generate_series(1, 1000)",
        "SELECT repeat('x', 100000) || g FROM generate_series(1, 1000) g ORDER BY 1",
        "SELECT DISTINCT repeat('x', 100000) || g FROM generate_series(1, 1000) g",
        "WITH t AS (SELECT repeat('x', 100000) || g FROM generate_series(1, 1000) g) SELECT * FROM t",
        "SELECT repeat('x', 60000000), repeat('y', 60000000)",
        "SELECT lpad('x', 60000000)",
        "SELECT replace(repeat('x', 1000000), 'x', repeat('y', 50))",
        "SELECT regexp_replace(repeat('x', 500000), 'x', repeat('y', 500), 'g')",
        "SELECT array_to_string(array(SELECT 'x' FROM generate_series(1, 100000)), repeat('y', 10000))",
        "SELECT concat_ws(repeat('y', 40000000), 'a', 'b', 'c')",
        "SELECT string_to_array(repeat('x,', 10000000), ',')",
        "SELECT jsonb_pretty((repeat('[', 200) || '0' || repeat(',1', 100000) || repeat(']', 200))::jsonb)",
        "SELECT a, b FROM generate_series(1, 900) a, generate_series(1, 900) b",
        "SELECT row_number() OVER (ORDER BY repeat('x', 100000) || g) FROM generate_series(1, 1000) g",
    ] {
        let budget = Budget::process(32 << 20);
        let mut work = Work::new(Arc::new(()), &budget);
        let error = run(text, &mut work).await.map(|_| ()).expect_err(text);
        assert!(["53200", "54000"].contains(&error.code), "{text}: {error}");
        drop(work);
        assert_eq!(budget.used_bytes(), 0, "{text}");
    }
}

#[tokio::test]
async fn what_a_query_gave_is_all_that_it_goes_on_holding() {
    let budget = budget();
    let mut work = Work::new(Arc::new(()), &budget);
    let text = "SELECT count(*) FROM (SELECT repeat('x', 1000) FROM generate_series(1, 20000)) x";
    run(text, &mut work).await.unwrap();
    assert!(work.held_bytes() < 10_000, "{} bytes for one number", work.held_bytes());
}

#[tokio::test]
async fn chains_and_lists_of_any_length_are_read_and_run_without_recursion() {
    let chain = |length: usize| {
        let step = |i: usize| format!("c{i} AS (SELECT n + 1 AS n FROM c{})", i - 1);
        let steps: Vec<String> = (1..length).map(step).collect();
        format!("WITH c0 AS (SELECT 1 AS n), {} SELECT n FROM c{}", steps.join(", "), length - 1)
    };
    for length in [107, 20_000] {
        let (half, _) = counted(&chain(length / 2)).await;
        let (steps, _) = counted(&chain(length)).await;
        assert!(steps <= half * 5 / 2, "{length}: {half}, then {steps} steps");
        let mut work = Work::new(Arc::new(()), &budget());
        assert_eq!(run(&chain(length), &mut work).await.unwrap(), [length.to_string()]);
    }
    // FROM was resolved by looking through all that stood before.
    let many = |items: usize| {
        let items: Vec<String> = (0..items).map(|i| format!("(VALUES (1)) v{i} (c{i})")).collect();
        format!("SELECT v0.c0 FROM {}", items.join(", "))
    };
    let mut work = Work::new(Arc::new(()), &budget());
    assert_eq!(run(&many(2_000), &mut work).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn what_is_nested_too_deeply_is_refused_and_not_an_overflow() {
    let unions = format!("SELECT 1{}", " UNION SELECT 1".repeat(100_000));
    let nested = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(1_000), ") x".repeat(1_000));
    let scalar = format!("SELECT {}1{}", "(SELECT ".repeat(1_000), ")".repeat(1_000));
    for text in [unions, nested, scalar] {
        let mut work = Work::new(Arc::new(()), &budget());
        assert_eq!(run(&text, &mut work).await.unwrap_err().code, "54001");
    }
    // WITH queries that lie in each other, each of which reads the one around it.
    let mut text = "SELECT n FROM c0".to_owned();
    for i in (0..12).rev() {
        text = format!("WITH c{i} AS (SELECT 1 AS n) SELECT * FROM ({text}) x{i}");
    }
    let mut work = Work::new(Arc::new(()), &budget());
    assert_eq!(run(&text, &mut work).await.unwrap(), ["1"]);
}

#[tokio::test]
async fn half_a_megabyte_of_sql_can_be_ended_while_it_is_read() {
    let list = format!("SELECT 1 IN (0{})", ", 1".repeat(150_000));
    let chain = format!("SELECT {}", "1 + 1, ".repeat(800) + "1");
    for text in [&list, &chain] {
        let mut work = Work::new(Arc::new(EndsAt(AtomicI64::new(1))), &budget());
        let error = run(text, &mut work).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code, "57014", "{}", &text[..30]);
    }
    let wide = format!("SELECT {}1", "1, ".repeat(1_664));
    let mut work = Work::new(Arc::new(()), &budget());
    assert_eq!(run(&wide, &mut work).await.unwrap_err().code, "54011");
}

#[test]
fn a_text_of_very_many_statements_takes_the_memory_of_one() {
    let budget = Budget::process(32 << 20);
    let mut work = Work::new(Arc::new(()), &budget);
    let text = "SELECT 1;".repeat(500_000);
    let mut script = kyu_pgsql::parse(&text, &mut work).unwrap();
    assert_eq!(script.count(), 500_000);
    assert!(work.held_bytes() < 16 << 20, "{} bytes", work.held_bytes());
    let mut statements = 0;
    while let Some((_, last)) = script.next(&mut Work::new(Arc::new(()), &budget)).unwrap() {
        statements += 1;
        assert_eq!(last, statements == 500_000);
    }
    assert_eq!(statements, 500_000);
    // The grammar is checked to the end before anything runs.
    let broken = format!("{}SELEKT 1", "SELECT 1;".repeat(1_000));
    assert_eq!(kyu_pgsql::parse(&broken, &mut Work::alone()).unwrap_err().code, "42601");
}
