//! Functions are those that the host offers, and nothing is known of them but its table.

use kyu_pgsql::work::Work;

use crate::host::{SmallHost, run_with};

async fn rows(text: &str, host: &mut SmallHost) -> Vec<String> {
    match run_with(text, host, &mut Work::alone()).await {
        Ok(answer) => answer.rows,
        Err(error) => vec![format!("{error}; {}", error.hint.as_deref().unwrap_or_default())],
    }
}

#[tokio::test]
async fn calls_have_names_defaults_and_aliases() {
    let mut host = SmallHost::default();
    for (text, expected) in [
        ("SELECT pgmq.plus(2, 3)", "5"),
        ("SELECT plus(2)", "3"),
        ("SELECT pgmq.plus(b => 10, a => 2)", "12"),
        ("SELECT pgmq_public.add(4)", "5"),
        (
            "SELECT pgmq.plsu(1)",
            "42883: function pgmq.plsu(integer) does not exist; Perhaps you meant pgmq.plus.",
        ),
        (
            "SELECT pgmq.send('q', '{}')",
            "42883: function pgmq.send(unknown, unknown) does not exist; No function matches the \
             given name and argument types. You might need to add explicit type casts.",
        ),
    ] {
        assert_eq!(rows(text, &mut host).await, [expected], "{text}");
    }
}

#[tokio::test]
async fn the_catalogue_shows_them() {
    let mut host = SmallHost::default();
    let text = "SELECT proname, pg_get_function_arguments(oid), pg_get_function_result(oid), \
                oid::regproc FROM pg_proc WHERE proname IN ('plus', 'take', 'send') ORDER BY 1";
    let expected = [
        "plus | a bigint, b bigint DEFAULT '1'::bigint | bigint | pgmq.plus",
        "take |  | TABLE(a bigint) | pgmq.take",
    ];
    assert_eq!(rows(text, &mut host).await, expected);
}

/// The effect in the table decides what a READ ONLY transaction refuses, what `lastval()` remembers,
/// and what a statement runs without a transaction of its own.
#[tokio::test]
async fn what_a_function_does_is_in_its_table() {
    let mut host = SmallHost { read_only: true, ..SmallHost::default() };
    assert_eq!(rows("SELECT pgmq.plus(1)", &mut host).await, ["2"]);
    for (text, command) in [("SELECT pgmq.keep(1)", "INSERT"), ("SELECT pgmq.take()", "DELETE")] {
        let refused = format!("25006: cannot execute {command} in a read-only transaction; ");
        assert_eq!(rows(text, &mut host).await, [refused]);
    }
    host.read_only = false;
    for (text, given, alone) in [
        ("SELECT pgmq.plus(1)", None, true),
        ("SELECT * FROM pgmq.keep(5)", Some(1), true),
        ("SELECT * FROM pgmq.keep(6)", Some(2), true),
        ("SELECT * FROM pgmq.take()", None, false),
    ] {
        let answer = run_with(text, &mut host, &mut Work::alone()).await.unwrap();
        assert_eq!((answer.last_given, answer.prepared.is_one_call()), (given, alone), "{text}");
    }
}
