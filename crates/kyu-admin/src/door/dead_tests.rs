//! Dead letters with nowhere to go, and what is said about them.

use serde_json::{Value, json};

use crate::test_door::Door;

/// A typing error in the name of a dead-letter queue was accepted without a word, and what was
/// rejected there was deleted.
#[tokio::test]
async fn a_missing_dead_letter_queue_is_told_and_what_is_rejected_is_kept() {
    let door = Door::open();
    let settings = json!({ "dead_letter": { "queue": "mian-dead", "max_receives": 5 } });
    let made = door.put("/v1/queues/q", settings.clone()).await;
    let warning = made["warnings"][0].as_str().unwrap();
    assert!(warning.contains("\"mian-dead\" does not exist"), "{warning}");
    assert_eq!(door.get("/v1/queues/q").await["warnings"][0], warning);
    door.send("q", "x").await;
    let message = door.receive("q").await.remove(0);
    assert_eq!(door.settle("q", &message, "dead").await, "done");
    let kept = door.get("/v1/queues/q/browse").await;
    assert_eq!(
        (&kept["items"][0]["body"], &kept["items"][0]["state"]),
        (&json!("x"), &json!("dead"))
    );
    assert_eq!(door.get("/v1/queues/q/stats").await["stats"]["dead"], 1);
    let why = door.get("/v1/queues/q/messages/1/explain").await;
    let reasons = &why["reasons"][0];
    assert_eq!((&reasons["reason"], &reasons["dead_reason"]), (&json!("dead"), &json!("rejected")));
    assert!(why["summary"].as_str().unwrap().contains("it is dead (rejected) and kept"), "{why}");
    // With the queue there is nothing to warn of, until it goes.
    door.queue("mian-dead", json!({})).await;
    assert_eq!(door.get("/v1/queues/q").await["warnings"], Value::Null);
    let gone = door.call("DELETE", "/v1/queues/mian-dead", Value::Null).await;
    assert_eq!(gone.status, 200);
    let warning = gone.ok()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.starts_with("This was the dead-letter queue of q."), "{warning}");
}

#[tokio::test]
async fn a_queue_is_no_place_for_its_own_dead_or_late_messages() {
    let door = Door::open();
    for settings in [
        json!({ "dead_letter": { "queue": "own", "max_receives": 2 } }),
        json!({ "expired_to": { "queue": "own" } }),
    ] {
        let refused = door.call("PUT", "/v1/queues/own", settings.clone()).await;
        assert_eq!(refused.problem(), (400, "invalid_setting".into()), "{settings}");
    }
    let nowhere = door.put("/v1/queues/late", json!({ "expired_to": "dead_letter_queue" })).await;
    let warning = nowhere["warnings"][0].as_str().unwrap();
    assert!(warning.contains("there is no dead_letter rule"), "{warning}");
}

#[tokio::test]
async fn the_last_attempt_without_a_rule_is_kept_with_its_error_and_brought_back() {
    let door = Door::open();
    let retry = json!({ "backoff": { "kind": "fixed", "delay_ms": 0 }, "max_attempts": 1 });
    door.queue("jobs", json!({ "retry": retry })).await;
    door.send("jobs", "charge the card").await;
    let message = door.receive("jobs").await.remove(0);
    let items =
        json!([{ "receipt": message["receipt"], "outcome": "failed", "error": "declined" }]);
    door.post("/v1/queues/jobs/settle", json!({ "items": items })).await;
    let why = door.get("/v1/queues/jobs/messages/1/explain").await;
    let timeline = why["timeline"].as_array().unwrap();
    assert!(timeline.iter().any(|event| event["attempt"]["error"] == "declined"), "{why}");
    door.post("/v1/queues/jobs/move-tasks", json!({})).await;
    let again = door.post("/v1/queues/jobs/receive", json!({ "wait_ms": 30_000 })).await;
    let again = &again["messages"][0];
    assert_eq!((&again["body"], &again["receive_count"]), (&json!("charge the card"), &json!(1)));
}

#[tokio::test]
async fn receives_are_counted_by_queue_and_in_all_and_what_is_gone_has_a_reason() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    door.queue("q", json!({ "dead_letter": { "queue": "dead", "max_receives": 5 } })).await;
    for body in ["bad", "good"] {
        door.send("q", body).await;
    }
    let mut got = door.receive("q").await;
    got.extend(door.receive("q").await);
    let items = json!([{
        "receipt": got[0]["receipt"], "outcome": "failed", "retry": false, "error": "bad input",
    }]);
    door.post("/v1/queues/q/settle", json!({ "items": items })).await;
    assert_eq!(door.settle("q", &got[1], "ack").await, "done");
    let letter = door.receive("dead").await.remove(0);
    assert_eq!((&letter["receive_count"], &letter["total_receive_count"]), (&json!(1), &json!(2)));
    let gone = door.get("/v1/queues/q/messages/1/explain").await;
    assert_eq!(gone["verdict"], "gone");
    let how = &gone["gone"];
    assert_eq!(
        (&how["how"], &how["to"], &how["to_seq"]),
        (&json!("moved"), &json!("dead"), &json!(1))
    );
    assert_eq!((&how["dead_reason"], &how["error"]), (&json!("rejected"), &json!("bad input")));
    let summary = gone["summary"].as_str().unwrap();
    assert!(summary.starts_with("gone: rejected and moved"), "{summary}");
    let acked = door.get("/v1/queues/q/messages/2/explain").await;
    assert_eq!(acked["gone"], json!({ "how": "acknowledged" }));
}

/// A redrive stopped at the first letter whose source was gone, now and each time.
#[tokio::test]
async fn a_move_task_says_what_it_skipped_and_why() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    door.send("dead", "orphan").await;
    let task = door.post("/v1/queues/dead/move-tasks", json!({})).await;
    let path = format!("/v1/queues/dead/move-tasks/{}", task["id"]);
    let mut task = door.get(&path).await;
    while task["status"] == "running" {
        tokio::task::yield_now().await;
        task = door.get(&path).await;
    }
    assert_eq!((&task["status"], &task["skipped"]), (&json!("failed"), &json!(1)));
    assert_eq!(task["reason"], "no_source");
    assert_eq!(task["failure"], "the queue that they came from is not known");
}

#[tokio::test]
async fn without_being_asked_nothing_expires_and_overtaken_receipts_decide_nothing() {
    let door = Door::open();
    let made = door.put("/v1/queues/q", json!({})).await;
    let settings = &made["settings"];
    assert_eq!(
        (&settings["retention_ms"], &settings["retention_from"]),
        (&json!(0), &json!("receivable"))
    );
    let fencing = json!({ "accept_late_acks": false, "refuse_stale_extends": true });
    assert_eq!(settings["fencing"], fencing);
    let part = door.put("/v1/queues/q", json!({ "fencing": { "accept_late_acks": true } })).await;
    assert_eq!(part["settings"]["fencing"]["refuse_stale_extends"], true, "what is left out");
    let expires_at_ms = door.get("/v1/server").await["now_ms"].as_u64().unwrap() + 60_000;
    let late = json!({ "body": "x", "delay_ms": 120_000, "expires_at_ms": expires_at_ms });
    door.post("/v1/queues/q/messages", late).await;
    let why = door.get("/v1/queues/q/messages/1/explain").await;
    assert_eq!(
        (&why["possible_from_at_ms"], &why["retained_until_at_ms"]),
        (&Value::Null, &Value::Null)
    );
    assert!(why["summary"].as_str().unwrap().contains("it expires before it is due"), "{why}");
}
