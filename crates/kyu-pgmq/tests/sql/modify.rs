//! DELETE, UPDATE, INSERT and TRUNCATE on the tables of queues.

use crate::fake::statements as parse;
use kyu_pgsql::host::Relation;
use kyu_pgsql::types::Type;
use kyu_pgsql::value::Value;

use crate::fake::{FakeHost, NOW, run};

/// A row of `pgmq.q_q`.
fn message(id: i64) -> Vec<Value> {
    let time = Value::Timestamp(NOW);
    let body = Value::Json(format!("{{\"n\": {id}}}").into());
    vec![Value::Int(id), Value::Int(2), time.clone(), Value::Null, time, body, Value::Null]
}

/// A queue `q` with the messages 1 to 3, and a host that agrees to everything.
fn host(answers: Vec<Vec<Vec<Value>>>) -> FakeHost {
    FakeHost {
        relations: vec![
            Relation::Queue("q".to_owned()),
            Relation::Archive("q".to_owned()),
            Relation::TopicBindings,
        ],
        rows: (1..=3).map(message).collect(),
        answers: answers.into(),
        ..FakeHost::default()
    }
}

#[tokio::test]
async fn rows_are_changed_by_calls_of_pgmq() {
    for (text, tag, calls) in [
        ("DELETE FROM pgmq.q_q", "DELETE 1", vec!["delete(q, {1,2,3}) Array(Int8)"]),
        (
            "UPDATE pgmq.q_q SET vt = clock_timestamp() - interval '1 second' WHERE false",
            "UPDATE 0",
            vec![],
        ),
        (
            "UPDATE pgmq.q_q SET vt = now() + interval '1 minute' WHERE (message->>'n')::int >= 2",
            "UPDATE 2",
            vec![
                "set_vt(q, 2, 2026-01-02 03:05:05+00) Timestamptz",
                "set_vt(q, 3, 2026-01-02 03:05:05+00) Timestamptz",
            ],
        ),
        (
            "UPDATE pgmq.q_q AS m SET vt = m.vt + interval '1 second' FROM (VALUES (2)) v(id) WHERE m.msg_id = v.id",
            "UPDATE 1",
            vec!["set_vt(q, 2, 2026-01-02 03:04:06+00) Timestamptz"],
        ),
        (
            "INSERT INTO pgmq.q_q (vt, message) VALUES (now(), '{\"a\":1}'), ('2026-03-01 00:00:00+00', '2')",
            "INSERT 0 2",
            vec![
                "send(q, {\"a\": 1}, NULL, 2026-01-02 03:04:05+00) Timestamptz",
                "send(q, 2, NULL, 2026-03-01 00:00:00+00) Timestamptz",
            ],
        ),
        (
            "INSERT INTO pgmq.q_q (message, headers, vt) SELECT jsonb_build_object('n', n), '{\"h\":1}', now() FROM generate_series(1, 1) n",
            "INSERT 0 1",
            vec!["send(q, {\"n\": 1}, {\"h\": 1}, 2026-01-02 03:04:05+00) Timestamptz"],
        ),
        (
            "DELETE FROM pgmq.a_q WHERE msg_id < 3",
            "DELETE 1",
            vec!["delete_archived(q, {1,2}) Array(Int8)"],
        ),
        (
            "TRUNCATE pgmq.q_q, pgmq.a_q",
            "TRUNCATE TABLE",
            vec!["purge_queue(q) Text", "purge_archive(q) Text"],
        ),
        (
            "truncate table only pgmq.q_q, pgmq.q_r continue identity cascade",
            "TRUNCATE TABLE",
            vec!["purge_queue(q) Text", "purge_queue(r) Text"],
        ),
        ("ALTER TABLE pgmq.q_q SET (autovacuum_vacuum_threshold = 50)", "ALTER TABLE", vec![]),
    ] {
        let mut host = host(Vec::new());
        let answer = run(text, &[], &[], &mut host).await.unwrap();
        assert_eq!(
            (answer.tag.as_str(), host.calls),
            (tag, calls.iter().map(|c| (*c).to_owned()).collect()),
            "{text}"
        );
        assert!(answer.columns.is_empty() && answer.shown().is_empty(), "{text}");
    }
}

#[tokio::test]
async fn returning_gives_the_rows_that_were_changed() {
    let removed = || vec![vec![Value::Bool(true)]];
    let missing = || vec![vec![Value::Bool(false)]];
    // Somebody else was faster with message 2.
    let mut deleted = host(vec![removed(), missing(), removed()]);
    let text = "DELETE FROM pgmq.q_q WHERE read_ct = 2 RETURNING msg_id, message->>'n' AS n";
    let answer = run(text, &[], &[], &mut deleted).await.unwrap();
    assert_eq!(
        (answer.tag.as_str(), answer.shown()),
        ("DELETE 2", vec!["1 | 1".to_owned(), "3 | 3".to_owned()])
    );
    assert_eq!(answer.columns[1].name, "n");

    let mut of_one = host(vec![removed()]);
    let text = "DELETE FROM pgmq.q_q q USING (SELECT 3 AS id) gone WHERE q.msg_id = gone.id RETURNING q.msg_id, gone.id";
    let answer = run(text, &[], &[], &mut of_one).await.unwrap();
    assert_eq!(answer.shown(), ["3 | 3"]);
    assert_eq!(of_one.calls, ["delete(q, 3) Int8"]);

    let mut shown = host(vec![vec![message(2)]]);
    let text = "UPDATE pgmq.q_q SET vt = now() WHERE msg_id = 2 RETURNING *";
    let answer = run(text, &[], &[], &mut shown).await.unwrap();
    assert_eq!(
        (answer.tag.as_str(), answer.columns.len(), answer.shown().len()),
        ("UPDATE 1", 7, 1)
    );

    let mut sent = host(vec![vec![vec![Value::Int(8)]]]);
    let text = "INSERT INTO pgmq.q_q (vt, message) VALUES ($1, $2) RETURNING msg_id, q_q.message";
    let answer =
        run(text, &[Type::Unknown, Type::Unknown], &["2026-01-01 00:00:00+00", "[1]"], &mut sent)
            .await
            .unwrap();
    assert_eq!((answer.tag.as_str(), answer.shown()), ("INSERT 0 1", vec!["8 | [1]".to_owned()]));
}

#[tokio::test]
async fn bindings_and_throttles_go_by_their_functions() {
    let binding = ["logs.*", "q"].map(|text| Value::Text(text.to_owned()));
    let row = vec![binding[0].clone(), binding[1].clone(), Value::Timestamp(NOW), Value::Null];
    let mut host = FakeHost {
        relations: vec![Relation::TopicBindings],
        rows: vec![row],
        answers: vec![vec![vec![Value::Bool(true)]]].into(),
        ..FakeHost::default()
    };
    let answer = run("DELETE FROM pgmq.topic_bindings", &[], &[], &mut host).await.unwrap();
    assert_eq!(
        (answer.tag.as_str(), host.calls.as_slice()),
        ("DELETE 1", ["unbind_topic(logs.*, q) Text".to_owned()].as_slice())
    );
}

#[tokio::test]
async fn what_the_functions_cannot_do_is_refused_with_a_sentence() {
    for text in [
        "UPDATE pgmq.q_q SET read_ct = 5",
        "UPDATE pgmq.a_q SET vt = now()",
        "INSERT INTO pgmq.a_q (vt, message) VALUES (now(), '1')",
        "UPDATE pgmq.q_q SET vt = now(), read_ct = 5",
        "UPDATE pgmq.meta SET is_unlogged = true",
        "INSERT INTO pgmq.q_q VALUES (1)",
        "INSERT INTO pgmq.q_q (msg_id, vt, message) VALUES (1, now(), '{}')",
        "INSERT INTO pgmq.q_q (vt, message) VALUES (now(), '{}') ON CONFLICT DO NOTHING",
        "INSERT INTO pgmq.q_q (vt, message) VALUES (now(), '{}') RETURNING *",
        "INSERT INTO users (a) VALUES (1)",
        "TRUNCATE pgmq.q_q RESTART IDENTITY",
        "TRUNCATE users",
        "ALTER TABLE pgmq.q_q ENABLE ROW LEVEL SECURITY",
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.code, "0A000", "{text}");
        assert!(error.hint.is_some(), "{text}");
    }
    let without_vt = parse("INSERT INTO pgmq.q_q (message) VALUES ('{}')").unwrap_err();
    assert_eq!(without_vt.code, "23502");
}
