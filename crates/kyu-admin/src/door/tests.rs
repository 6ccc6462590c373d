//! Transcripts over a real broker.

use kyu_door::access::Credential;
use serde_json::{Value, json};

use super::*;
use crate::test_door::Door;

#[tokio::test]
async fn a_queue_from_first_to_last() {
    let door = Door::open();
    let path = "/v1/queues/jobs";
    let created = door.call("PUT", path, json!({ "visibility_timeout_ms": 5000 })).await;
    assert_eq!((created.status, created.header("etag")), (201, "\"1-1\""));
    let created = created.ok();
    assert_eq!((&created["version"], &created["etag"]), (&json!(1), &json!("1-1")));
    assert_eq!(created["settings"]["visibility_timeout_ms"], 5000);
    assert_eq!(created["settings"]["kind"], "standard");
    // Said again, it is the same queue and the same version.
    let again = door.call("PUT", path, json!({ "visibility_timeout_ms": 5000 })).await;
    assert_eq!((again.status, again.header("etag")), (200, "\"1-1\""));
    // What is left out of a PUT gets its default, what is left out of a PATCH stays.
    let patched = door.call("PATCH", path, json!({ "tags": { "team": "a" } })).await.ok();
    assert_eq!(patched["settings"]["visibility_timeout_ms"], 5000);
    let patched = door.call("PATCH", path, json!({ "visibility_timeout_ms": null })).await.ok();
    assert_eq!(patched["settings"]["visibility_timeout_ms"], 30000);
    assert_eq!(patched["settings"]["tags"], json!({ "team": "a" }));
    let replaced = door.put(path, Value::Null).await;
    assert_eq!(replaced["settings"]["tags"], json!({}));
    door.send("jobs", "x").await;
    assert_eq!(door.get(path).await["stats"]["ready"], 1);
    let purged = door.post("/v1/queues/jobs/purge", Value::Null).await;
    assert_eq!(purged, json!({ "purged_messages": 1 }));
    let stats = door.get("/v1/queues/jobs/stats").await;
    assert_eq!((&stats["totals"]["sent"], &stats["totals"]["purged"]), (&json!(1), &json!(1)));
    let gone = door.call("DELETE", path, Value::Null).await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
    let gone = door.call("DELETE", path, Value::Null).await;
    assert_eq!(gone.problem(), (404, "queue_not_found".into()));
    // Another queue of the same name has another etag.
    let anew = door.call("PUT", path, Value::Null).await;
    assert_eq!((anew.status, anew.header("etag")), (201, "\"2-1\""));
}

#[tokio::test]
async fn conditions_keep_two_writers_apart() {
    let door = Door::open();
    let path = "/v1/queues/q";
    let put = async |headers: &[(&str, &str)], settings: Value| {
        door.with_headers("PUT", path, headers, settings).await
    };
    let match_old = [("if-match", "\"1-1\"")];
    // RFC 9110, section 13.1.1: nothing there matches no etag, not even `*`.
    assert_eq!(put(&match_old, json!({})).await.problem(), (412, "version_conflict".into()));
    let match_any = [("if-match", "*")];
    assert_eq!(put(&match_any, json!({})).await.problem(), (412, "version_conflict".into()));
    let missing = door.with_headers("DELETE", path, &match_any, Value::Null).await;
    assert_eq!(missing.problem(), (404, "queue_not_found".into()));
    let only_new = [("if-none-match", "*")];
    let created = put(&only_new, json!({})).await;
    assert_eq!((created.status, created.header("location")), (201, path));
    assert_eq!(put(&only_new, json!({})).await.problem(), (412, "queue_exists".into()));
    assert_eq!(put(&match_old, json!({ "delay_ms": 1 })).await.status, 200);
    let late = put(&match_old, json!({ "delay_ms": 2 })).await;
    assert_eq!(late.problem(), (412, "version_conflict".into()));
    let late = door.with_headers("PATCH", path, &match_old, json!({ "delay_ms": 2 })).await;
    assert_eq!(late.problem(), (412, "version_conflict".into()));
    let late = door.with_headers("DELETE", path, &match_old, Value::Null).await;
    assert_eq!(late.problem(), (412, "version_conflict".into()));
    assert_eq!(put(&match_any, json!({ "delay_ms": 2 })).await.status, 200);
    let several = [("if-match", "\"1-2\", \"1-3\"")];
    assert_eq!(put(&several, json!({ "delay_ms": 3 })).await.status, 200);
    assert_eq!(put(&[("if-match", "1-3")], json!({})).await.problem().1, "invalid_argument");
}

#[tokio::test]
async fn a_reader_that_has_the_version_is_told_so() {
    let door = Door::open();
    for (path, settings) in [
        ("/v1/queues/q", json!({})),
        ("/v1/exchanges/e", json!({})),
        (
            "/v1/schedules/s",
            json!({ "rule": { "kind": "every", "interval_ms": 60_000 }, "target": { "queue": "q" } }),
        ),
    ] {
        let created = door.call("PUT", path, settings).await;
        assert_eq!((created.status, created.header("location")), (201, path));
        let etag = created.header("etag").to_owned();
        let has = async |method: &str, etag: &str| {
            door.with_headers(method, path, &[("if-none-match", etag)], Value::Null).await
        };
        for method in ["GET", "HEAD"] {
            let same = has(method, &etag).await;
            assert_eq!((same.status, same.body.as_str()), (304, ""), "{method} {path}");
            assert_eq!((same.header("etag"), same.header("content-type")), (etag.as_str(), ""));
        }
        let other = has("GET", "\"0-0\"").await;
        assert_eq!((other.status, other.header("etag")), (200, etag.as_str()));
    }
    let wrong = door.call("POST", "/v1/queues/q", Value::Null).await;
    assert_eq!((wrong.status, wrong.header("allow")), (405, "GET, HEAD, PUT, PATCH, DELETE"));
}

#[tokio::test]
async fn a_form_is_told_which_field_is_wrong() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let late = json!({ "body": "x", "delay_ms": 315_576_000_001_u64 });
    let past = json!({ "body": "x", "expires_at_ms": 1_000 });
    let typed = json!({ "body": "x", "attributes": { "a/b": { "data_type": "T" } } });
    for (method, path, body, pointer) in [
        ("POST", "messages", late.clone(), "/delay_ms"),
        ("POST", "messages", past.clone(), "/expires_at_ms"),
        ("POST", "messages", typed, "/attributes/a~1b"),
        (
            "POST",
            "messages",
            json!({ "body": "x", "unique": { "key": "k", "until_done": false } }),
            "/unique",
        ),
        ("POST", "messages", json!({ "body_base64": "!" }), "/body_base64"),
        ("POST", "messages/batch", json!({ "messages": [] }), "/messages"),
        ("POST", "receive", json!({ "lease_ms": 43_200_001 }), "/lease_ms"),
        ("POST", "receive", json!({ "max_messages": 0 }), "/max_messages"),
        (
            "POST",
            "settle",
            json!({ "items": [{ "receipt": "", "outcome": "ack" }, { "receipt": "", "outcome": "ack", "error": "e" }] }),
            "/items/1",
        ),
        (
            "POST",
            "extend",
            json!({ "items": [{ "receipt": "", "lease_ms": 43_200_001 }] }),
            "/items/0/lease_ms",
        ),
        ("POST", "move-tasks", json!({ "max_per_second": 0 }), "/max_per_second"),
    ] {
        let said = door.call(method, &format!("/v1/queues/q/{path}"), body.clone()).await;
        assert_eq!(said.status, 400, "{body}");
        let problem: Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    // In a batch and in a group the whole way is told.
    let batch = json!({ "messages": [{ "body": "x" }, past] });
    let results = door.post("/v1/queues/q/messages/batch", batch).await;
    assert_eq!(results["results"][1]["error"]["pointer"], "/messages/1/expires_at_ms");
    let group = json!({ "commands": [{ "op": "send", "queue": "q", "messages": [late] }] });
    let said = door.call("POST", "/v1/atomic", group).await;
    let problem: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(
        (&problem["pointer"], &problem["at"]),
        (&json!("/commands/0/messages/0/delay_ms"), &json!(0))
    );
    let said = door
        .call(
            "PATCH",
            "/v1/queues/q",
            json!({ "guard": { "budget": { "max_tokens": 1_000_001 } } }),
        )
        .await;
    let problem: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(problem["pointer"], "/guard/budget/max_tokens");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let door = Door::open();
    for at in 0..5 {
        door.queue(&format!("q{at}"), json!({})).await;
    }
    door.queue("other", json!({})).await;
    let mut names = Vec::new();
    let mut path = "/v1/queues?prefix=q&limit=2".to_owned();
    loop {
        let page = door.get(&path).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|queue| queue["name"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/queues?prefix=q&limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["q0", "q1", "q2", "q3", "q4"]);
    assert_eq!(door.get("/v1/queues?stats=false").await["items"][0].get("stats"), None);
    assert_eq!(door.get("/v1/queues?namespace=x").await["items"], json!([]));
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=!", "unknown=1"] {
        let said = door.call("GET", &format!("/v1/queues?{bad}"), Value::Null).await;
        assert_eq!(said.problem(), (400, "invalid_argument".into()), "{bad}");
    }
}

#[tokio::test]
async fn namespaces_keep_equal_names_apart() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    door.queue("q?namespace=tenant", json!({})).await;
    door.send("q", "here").await;
    let there = door.post("/v1/queues/q/receive?namespace=tenant", json!({})).await;
    assert_eq!(there["messages"], json!([]));
    let expected = json!([
        { "name": "000000000000", "is_default": true },
        { "name": "tenant", "is_default": false },
    ]);
    assert_eq!(door.get("/v1/namespaces").await["items"], expected);
}

#[tokio::test]
async fn a_message_keeps_what_it_was_sent_with() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let message = json!({
        "body": "häß",
        "attributes": {
            "text": "t",
            "number": { "data_type": "Number.int", "value": "7" },
            "bytes": { "data_type": "Binary", "value_base64": "AP8=" },
        },
        "lane": "tenant-1",
        "priority": 9,
    });
    let sent = door.call("POST", "/v1/queues/q/messages", message.clone()).await;
    assert_eq!(sent.status, 201);
    let sent = sent.ok();
    assert_eq!(
        (&sent["duplicate"], sent["message_id"].as_str().unwrap().len()),
        (&json!(false), 36)
    );
    let binary = json!({ "body_base64": "//79" });
    door.post("/v1/queues/q/messages", binary).await;
    let peeked = door.get("/v1/queues/q/messages").await;
    assert_eq!(peeked["items"].as_array().unwrap().len(), 2);
    assert_eq!(peeked["items"][0].get("receipt"), None);
    assert_eq!(peeked["items"][0]["receive_count"], 0);
    assert_eq!(peeked["items"][0]["first_received_at_ms"], Value::Null);
    let received = door.receive("q").await;
    assert_eq!(received[0]["message_id"], sent["message_id"]);
    for field in ["body", "attributes", "lane"] {
        assert_eq!(received[0][field], message[field]);
    }
    assert_eq!(received[0]["receive_count"], 1);
    assert_eq!((received[1].get("body"), &received[1]["body_base64"]), (None, &json!("//79")));
}

#[tokio::test]
async fn deliveries_end_in_every_way() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    let rule = json!({ "dead_letter": { "queue": "dead", "max_receives": 5 } });
    door.queue("q", rule).await;
    for body in ["a", "b", "c", "d"] {
        door.send("q", body).await;
    }
    let received = door.receive("q").await;
    assert_eq!(received.len(), 4);
    let items = json!({ "items": [
        { "receipt": received[0]["receipt"], "outcome": "ack" },
        { "receipt": received[1]["receipt"], "outcome": "dead" },
        { "receipt": received[2]["receipt"], "outcome": "release", "counted": false },
        { "receipt": received[3]["receipt"], "outcome": "release", "delay_ms": 60_000 },
        { "receipt": "none", "outcome": "ack" },
    ]});
    let results = door.post("/v1/queues/q/settle", items).await;
    let done = json!({ "status": "done" });
    let foreign = json!({ "status": "foreign" });
    assert_eq!(results["results"], json!([done, done, done, done, foreign]));
    let stats = &door.get("/v1/queues/q").await["stats"];
    assert_eq!(
        (&stats["ready"], &stats["delayed"], &stats["in_flight"]),
        (&json!(1), &json!(1), &json!(0))
    );
    let again = door.receive("q").await;
    assert_eq!((&again[0]["body"], &again[0]["receive_count"]), (&json!("c"), &json!(1)));
    assert_eq!(door.settle("q", &received[0], "ack").await, "gone");
    assert_eq!(door.settle("q", &received[2], "release").await, "stale");
    let dead = door.receive("dead").await;
    assert_eq!((&dead[0]["body"], &dead[0]["dead_letter_source"]), (&json!("b"), &json!("q")));
    let sources = door.get("/v1/queues/dead/dead-letter-sources").await;
    assert_eq!(sources, json!({ "items": ["q"] }));
    let misplaced = json!({ "items": [
        { "receipt": again[0]["receipt"], "outcome": "ack", "delay_ms": 1 },
    ]});
    let said = door.call("POST", "/v1/queues/q/settle", misplaced).await;
    assert_eq!(said.problem(), (400, "invalid_argument".into()));
}

#[tokio::test]
async fn leases_are_extended_and_given_back() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    door.send("q", "x").await;
    let received = door.post("/v1/queues/q/receive", json!({ "lease_ms": 60_000 })).await;
    assert_eq!(received["lease_ms"], 60_000);
    let receipt = &received["messages"][0]["receipt"];
    let extend = async |lease_ms: u64| {
        let items = json!({ "items": [{ "receipt": receipt, "lease_ms": lease_ms }] });
        door.post("/v1/queues/q/extend", items).await["results"][0]["status"].take()
    };
    assert_eq!(extend(3_600_000).await, "done");
    assert!(door.receive("q").await.is_empty());
    assert_eq!(extend(0).await, "done");
    assert_eq!(door.receive("q").await.len(), 1);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_message() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let poll = door.post("/v1/queues/q/receive", json!({ "wait_ms": 60_000 }));
    let (received, _) = tokio::join!(poll, door.send("q", "x"));
    assert_eq!(received["messages"][0]["body"], "x");
    let too_long = door.call("POST", "/v1/queues/q/receive", json!({ "wait_ms": 60_001 })).await;
    assert_eq!(too_long.problem(), (400, "invalid_argument".into()));
}

#[tokio::test]
async fn a_batch_says_of_each_message_what_became_of_it() {
    let door = Door::open();
    door.queue("q", json!({ "kind": "fifo", "max_message_bytes": 10 })).await;
    let batch = json!({ "messages": [
        { "body": "a", "lane": "l", "dedup_id": "1" },
        { "body": "b" },
        { "body": "longer than ten", "lane": "l" },
        { "body": "a", "lane": "l", "dedup_id": "1" },
        { "lane": "l" },
        { "body": "c", "lane": "l" },
    ]});
    let results = door.post("/v1/queues/q/messages/batch", batch).await;
    let code = |at: usize| results["results"][at]["error"]["code"].as_str().unwrap_or_default();
    let codes: Vec<_> = (0..6).map(code).collect();
    assert_eq!(codes, ["", "lane_required", "message_too_large", "", "invalid_argument", ""]);
    let result = |at: usize| &results["results"][at];
    assert_eq!(result(3)["duplicate"], true);
    assert_eq!(result(0)["message_id"], result(3)["message_id"]);
    let bodies: Vec<_> = door.receive("q").await.iter().map(|m| m["body"].clone()).collect();
    assert_eq!(bodies, ["a", "c"]);
    for batch in
        [json!({ "messages": [] }), json!({ "messages": vec![json!({ "body": "x" }); 1001] })]
    {
        let said = door.call("POST", "/v1/queues/q/messages/batch", batch).await;
        assert_eq!(said.problem(), (400, "limit_exceeded".into()));
    }
}

#[tokio::test]
async fn content_is_its_own_deduplication_id_where_the_queue_says_so() {
    let door = Door::open();
    door.queue("q", json!({ "kind": "fifo", "content_based_deduplication": true })).await;
    let send = async |body: &str| {
        let message = json!({ "body": body, "lane": "l" });
        door.post("/v1/queues/q/messages", message).await["duplicate"].take()
    };
    assert_eq!(
        (send("a").await, send("b").await, send("a").await),
        (json!(false), json!(false), json!(true))
    );
}

#[tokio::test]
async fn an_atomic_group_is_all_or_nothing() {
    let door = Door::open();
    door.queue("in", json!({})).await;
    door.queue("out", json!({})).await;
    door.send("in", "job").await;
    let job = door.receive("in").await.remove(0);
    let group = |receipt: &Value| {
        json!({ "commands": [
            { "op": "send", "queue": "out", "messages": [{ "body": "result" }] },
            { "op": "settle", "queue": "in", "items": [{ "receipt": receipt, "outcome": "ack" }] },
        ]})
    };
    let done = door.post("/v1/atomic", group(&job["receipt"])).await;
    assert_eq!(done["results"][1], json!({ "op": "settle", "results": [{ "status": "done" }] }));
    assert_eq!(door.receive("out").await.len(), 1);
    // Acknowledged already: nothing is sent.
    let again = door.call("POST", "/v1/atomic", group(&job["receipt"])).await;
    let problem: Value = serde_json::from_str(&again.body).unwrap();
    assert_eq!((&problem["code"], &problem["at"]), (&json!("item_refused"), &json!(1)));
    assert_eq!(again.problem(), (409, "item_refused".into()));
    assert!(door.receive("out").await.is_empty());
    let nowhere = json!({ "commands": [
        { "op": "send", "queue": "out", "messages": [{ "body": "x" }] },
        { "op": "send", "queue": "nowhere", "messages": [{ "body": "x" }] },
    ]});
    let said = door.call("POST", "/v1/atomic", nowhere).await;
    assert_eq!(said.problem(), (404, "queue_not_found".into()));
    let unknown = json!({ "commands": [{ "op": "dance" }] });
    let said = door.call("POST", "/v1/atomic", unknown).await;
    assert_eq!(said.problem(), (400, "malformed_request".into()));
}

#[tokio::test]
async fn dead_letters_are_moved_back() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    door.queue("q", json!({ "dead_letter": { "queue": "dead", "max_receives": 5 } })).await;
    door.send("q", "x").await;
    let message = door.receive("q").await.remove(0);
    assert_eq!(door.settle("q", &message, "dead").await, "done");
    let tasks = "/v1/queues/dead/move-tasks";
    let task = door.call("POST", tasks, Value::Null).await;
    assert_eq!(task.status, 201);
    let location = task.header("location").to_owned();
    let task = task.ok();
    assert_eq!(door.get(&location).await["id"], task["id"]);
    assert_eq!((&task["source"], &task["to_move"]), (&json!("dead"), &json!(1)));
    let poll = door.post("/v1/queues/q/receive", json!({ "wait_ms": 30_000 })).await;
    assert_eq!(poll["messages"][0]["body"], "x");
    let listed = door.get(tasks).await;
    assert_eq!(listed["items"][0]["id"], task["id"]);
    assert_eq!(listed["items"][0]["status"], "completed");
    let over = door.call("DELETE", &format!("{tasks}/{}", task["id"]), Value::Null).await;
    assert_eq!(over.problem(), (404, "move_task_not_found".into()));
    let slow = json!({ "destination": "q", "max_per_second": 1 });
    door.send("dead", "y").await;
    let slow = door.post(tasks, slow).await;
    let running = door.call("POST", tasks, Value::Null).await;
    assert_eq!(running.problem(), (409, "move_task_running".into()));
    let path = format!("{tasks}/{}", slow["id"]);
    assert_eq!(door.call("DELETE", &path, Value::Null).await.ok()["status"], "cancelled");
}

#[tokio::test]
async fn a_publication_reaches_every_bound_queue() {
    let door = Door::open();
    door.queue("a", json!({})).await;
    door.queue("b", json!({})).await;
    let made = door.call("PUT", "/v1/exchanges/orders", Value::Null).await;
    assert_eq!(made.status, 201);
    let bindings = "/v1/exchanges/orders/bindings";
    let bound = door.call("POST", bindings, json!({ "queue": "a" })).await;
    assert_eq!(bound.status, 201);
    let bound = bound.ok();
    let again = door.call("POST", bindings, json!({ "queue": "a" })).await;
    assert_eq!((again.status, &again.ok()["id"]), (200, &bound["id"]));
    let other = door.call("POST", bindings, json!({ "queue": "a", "bare": false })).await;
    assert_eq!(other.problem(), (409, "binding_exists".into()));
    door.post(bindings, json!({ "queue": "b" })).await;
    assert_eq!(door.get(bindings).await["items"].as_array().unwrap().len(), 2);
    let first = door.get(&format!("{bindings}?limit=1")).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = door.get(&format!("{bindings}?limit=1&cursor={cursor}")).await;
    assert_ne!(first["items"][0]["id"], second["items"][0]["id"]);
    assert_eq!(second["next_cursor"], Value::Null);
    let published = door.post("/v1/exchanges/orders/messages", json!({ "body": "o" })).await;
    assert_eq!(published["queues"], 2);
    let path = format!("/v1/bindings/{}", bound["id"].as_str().unwrap());
    assert_eq!(door.get(&path).await["queue"], "a");
    assert_eq!(door.call("DELETE", &path, Value::Null).await.status, 204);
    let batch = json!({ "messages": [{ "body": "p" }, { "body": "q" }] });
    let results = door.post("/v1/exchanges/orders/messages/batch", batch).await;
    assert_eq!(results["results"][1]["queues"], 1);
    assert_eq!(door.receive("a").await.len(), 1);
    assert_eq!(door.receive("b").await.len(), 3);
    let dedup = json!({ "body": "x", "dedup_id": "d" });
    let said = door.call("POST", "/v1/exchanges/orders/messages", dedup).await;
    assert_eq!(said.problem(), (400, "dedup_id_not_allowed".into()));
    assert_eq!(door.get("/v1/exchanges").await["items"][0]["name"], "orders");
    assert_eq!(door.call("DELETE", "/v1/exchanges/orders", Value::Null).await.status, 204);
    let said = door.call("POST", "/v1/exchanges/orders/messages", json!({ "body": "x" })).await;
    assert_eq!(said.problem(), (404, "exchange_not_found".into()));
}

#[tokio::test]
async fn an_atomic_group_publishes_too() {
    let door = Door::open();
    door.queue("in", json!({})).await;
    door.queue("a", json!({})).await;
    door.put("/v1/exchanges/e", Value::Null).await;
    door.post("/v1/exchanges/e/bindings", json!({ "queue": "a" })).await;
    door.send("in", "job").await;
    let job = door.receive("in").await.remove(0);
    let group = json!({ "commands": [
        { "op": "publish", "exchange": "e", "messages": [{ "body": "event" }] },
        { "op": "extend", "queue": "in", "items": [{ "receipt": job["receipt"], "lease_ms": 9000 }] },
    ]});
    let done = door.post("/v1/atomic", group).await;
    assert_eq!(done["results"][0]["results"][0]["queues"], 1);
    assert_eq!(door.receive("a").await[0]["body"], "event");
}

#[tokio::test]
async fn what_is_no_request_of_this_api() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    for (method, path, body, expected) in [
        ("GET", "/v1/", Value::Null, (404, "no_such_route")),
        ("GET", "/v1/queues/", Value::Null, (404, "no_such_route")),
        ("GET", "/v1/queues/q/nothing", Value::Null, (404, "no_such_route")),
        ("GET", "/v1/queues/%ff", Value::Null, (400, "invalid_argument")),
        ("POST", "/v1/queues/q", Value::Null, (405, "method_not_allowed")),
        ("GET", "/v1/queues/q", json!({}), (400, "malformed_request")),
        ("PUT", "/v1/queues/q", json!({ "unknown": 1 }), (400, "malformed_request")),
        ("PUT", "/v1/queues/q", json!({ "delay_ms": -1 }), (400, "malformed_request")),
        ("PUT", "/v1/queues/q", json!({ "kind": "fifo" }), (400, "invalid_setting")),
        ("PUT", "/v1/queues/q", json!({ "retention_ms": 1u64 << 60 }), (400, "invalid_setting")),
        ("PUT", "/v1/queues/a%0ab", json!({}), (400, "invalid_argument")),
        ("PATCH", "/v1/queues/q", json!([1]), (400, "malformed_request")),
        ("POST", "/v1/queues/q/messages", json!({ "body": 1 }), (400, "malformed_request")),
        ("POST", "/v1/queues/q/messages", json!({}), (400, "invalid_argument")),
        ("POST", "/v1/queues/q/messages", Value::Null, (415, "unsupported_media_type")),
        ("POST", "/v1/queues/nope/messages", json!({ "body": "x" }), (404, "queue_not_found")),
        ("POST", "/v1/queues/q/settle", json!({ "items": [] }), (400, "limit_exceeded")),
        ("GET", "/v1/bindings/x", Value::Null, (404, "binding_not_found")),
    ] {
        let said = door.call(method, path, body.clone()).await;
        let expected = (expected.0, expected.1.to_owned());
        assert_eq!(said.problem(), expected, "{method} {path} {body}");
    }
    let said = door.call("PATCH", "/v1/queues", Value::Null).await;
    assert_eq!(said.header("allow"), "GET, HEAD");
    // A form of another page cannot declare JSON.
    let form = hyper::Request::post("/v1/queues/q/messages")
        .header("host", "localhost")
        .header("content-type", "text/plain")
        .body(b"{\"body\":\"x\"}".to_vec());
    let said = door.say(form.unwrap()).await;
    assert_eq!(said.problem(), (415, "unsupported_media_type".into()));
    // A name may have any character in it that can be seen.
    door.queue("a%2Fb%20c", json!({})).await;
    assert_eq!(door.get("/v1/queues/a%2Fb%20c").await["name"], "a/b c");
}

#[tokio::test]
async fn credentials_are_basic_or_a_signature() {
    let door = Door::with(Access::new(vec![Credential {
        access_key_id: "AKID".into(),
        secret_access_key: "secret".into(),
        user: None,
    }]));
    let said = door.call("GET", "/v1/server", Value::Null).await;
    assert_eq!(said.header("www-authenticate"), "Basic realm=\"kyu\", charset=\"UTF-8\"");
    assert_eq!(said.problem(), (401, "unauthenticated".into()));
    let wrong = [("authorization", "Basic QUtJRDp3cm9uZw==")];
    let said = door.with_headers("GET", "/v1/server", &wrong, Value::Null).await;
    assert_eq!(said.problem(), (401, "unauthenticated".into()));
    let right = [("authorization", "Basic QUtJRDpzZWNyZXQ=")];
    let said = door.with_headers("GET", "/v1/server", &right, Value::Null).await;
    assert_eq!(said.ok()["namespace"], "000000000000");
    // Whoever sends is known by name.
    door.with_headers("PUT", "/v1/queues/q", &right, json!({})).await;
    door.with_headers("POST", "/v1/queues/q/messages", &right, json!({ "body": "x" })).await;
    let peeked = door.with_headers("GET", "/v1/queues/q/messages", &right, Value::Null).await;
    assert_eq!(peeked.ok()["items"][0]["sender"], "AKID");
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let door = Door::open();
    let foreign = [("origin", "https://example.com")];
    let said = door.with_headers("GET", "/v1/queues", &foreign, Value::Null).await;
    assert_eq!(said.problem(), (403, "forbidden".into()));
    let rebound = hyper::Request::get("/v1/queues").header("host", "evil.example:9324");
    let said = door.say(rebound.body(Vec::new()).unwrap()).await;
    assert_eq!(said.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn the_server_tells_about_itself() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let info = door.get("/v1/server").await;
    assert_eq!((&info["queues"], &info["version"]), (&json!(1), &json!(env!("CARGO_PKG_VERSION"))));
    let stats = door.get("/v1/server/stats").await;
    assert!(stats["counters"]["kyu_commands_total"].as_u64().unwrap() >= 1);
    assert_eq!(stats["gauges"]["kyu_queues"], 1);
    assert_eq!(door.get("/v1/openapi.json").await["openapi"], "3.1.0");
}

#[tokio::test]
async fn policies_are_set_shown_and_changed_in_part() {
    let door = Door::open();
    let settings = json!({
        "retry": { "backoff": { "kind": "fixed", "delay_ms": 1000 }, "max_attempts": 3 },
        "guard": { "budget": {}, "breaker": { "failure_percent": 80 } },
        "fencing": { "accept_late_acks": true },
        "fairness": "weighted",
        "rate": { "permits": 10, "interval_ms": 1000, "burst": 1 },
        "lanes": { "max_in_flight": 2, "weights": { "gold": 5 } },
        "expired_to": { "queue": "late" },
    });
    door.queue("q", settings).await;
    let path = "/v1/queues/q";
    let shown = door.get(path).await["settings"].take();
    assert_eq!(shown["guard"]["breaker"]["window_ms"], 10_000);
    assert_eq!(shown["guard"]["budget"]["earn_percent"], 20);
    assert_eq!(shown["expired_to"], json!({ "queue": "late" }));
    let backoff = json!({ "kind": "list", "delays_ms": [1, 2, 3] });
    let patch = json!({ "retry": { "backoff": backoff }, "lanes": { "rate": null } });
    let patched = door.call("PATCH", path, patch).await.ok()["settings"].take();
    assert_eq!(patched["retry"]["backoff"], backoff);
    assert_eq!(patched["retry"]["max_attempts"], 3);
    assert_eq!(patched["lanes"]["weights"], json!({ "gold": 5 }));
    let off =
        door.call("PATCH", path, json!({ "retry": null, "expired_to": "nowhere" })).await.ok();
    assert_eq!(off["settings"]["retry"], Value::Null);
    assert_eq!(off["settings"]["expired_to"], "nowhere");
    for bad in [
        json!({ "retry": { "backoff": { "kind": "fixed", "delay_ms": u64::MAX } } }),
        json!({ "guard": { "breaker": { "probes": 0 } } }),
        json!({ "lanes": { "default_weight": 0 } }),
    ] {
        let said = door.call("PATCH", path, bad.clone()).await;
        assert_eq!(said.problem(), (400, "invalid_setting".into()), "{bad}");
    }
}

#[tokio::test]
async fn a_failure_and_its_reason_stay_with_the_message() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    let retry = json!({ "backoff": { "kind": "fixed", "delay_ms": 0 }, "max_attempts": 2 });
    let rule = json!({ "queue": "dead", "max_receives": 9 });
    door.queue("q", json!({ "retry": retry, "dead_letter": rule })).await;
    let sent = door.send("q", "x").await;
    let fail = async |consumer: &str, error: &str| {
        let receive = json!({ "consumer": consumer, "with_history": true });
        let mut received = door.post("/v1/queues/q/receive", receive).await;
        let message = received["messages"][0].take();
        let item = json!({ "receipt": message["receipt"], "outcome": "failed", "error": error });
        let settled = door.post("/v1/queues/q/settle", json!({ "items": [item] })).await;
        assert_eq!(settled["results"][0]["status"], "done");
        message
    };
    assert_eq!(fail("a", "no route").await.get("past_attempts"), None);
    let history = door.get(&format!("/v1/queues/q/messages/{}/history", sent["seq"])).await;
    assert_eq!(history["past_attempts"][0]["error"], "no route");
    assert_eq!(
        (&history["past_attempts"][0]["end"], &history["hold"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(fail("b", "still none").await["past_attempts"][0]["consumer"], "a");
    let dead = door.get("/v1/queues/dead/messages").await;
    assert_eq!(dead["items"][0]["dead_reason"], "max_receives");
    assert_eq!(dead["items"][0]["past_attempts"][1]["error"], "still none");
    let said = door.call("GET", "/v1/queues/q/messages/999/history", Value::Null).await;
    assert_eq!(said.problem(), (404, "message_not_found".into()));
}

#[tokio::test]
async fn a_unique_job_is_there_once() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let send = async |body: &str, unique: Value| {
        door.post("/v1/queues/q/messages", json!({ "body": body, "unique": unique })).await
    };
    let first = send("a", json!({ "key": "k" })).await;
    let again = send("b", json!({ "key": "k" })).await;
    assert_eq!(
        (&again["duplicate"], &again["duplicate_of"]),
        (&json!(true), &json!("unique_waiting"))
    );
    assert_eq!(again["message_id"], first["message_id"]);
    let replaced = send("c", json!({ "key": "k", "policy": "replace" })).await;
    assert_eq!(replaced["replaced_message_id"], first["message_id"]);
    let received = door.receive("q").await;
    assert_eq!((received.len(), &received[0]["body"]), (1, &json!("c")));
    let nothing = json!({ "body": "x", "unique": { "key": "k", "until_done": false } });
    let said = door.call("POST", "/v1/queues/q/messages", nothing).await;
    assert_eq!(said.problem(), (400, "invalid_argument".into()));
}

#[tokio::test]
async fn the_ledger_lets_work_be_done_once() {
    let door = Door::open();
    let claim = async |holder: &str, fingerprint: &str| {
        let new = json!({ "lease_ms": 60_000, "holder": holder, "fingerprint": fingerprint });
        door.post("/v1/ledger/pay%2F1/claim", new).await
    };
    let mine = claim("a", "f").await;
    assert_eq!(mine["status"], "run");
    let held = claim("b", "f").await;
    assert_eq!((&held["status"], &held["holder"]), (&json!("held"), &json!("a")));
    assert_eq!(claim("b", "other").await["status"], "key_reused");
    let extend = json!({ "token": mine["token"], "lease_ms": 120_000 });
    let extended = door.post("/v1/ledger/pay%2F1/extend", extend).await;
    assert!(extended["expires_at_ms"].as_u64() > mine["expires_at_ms"].as_u64());
    let complete = |token: &Value| json!({ "token": token, "result": "paid", "keep_ms": 60_000 });
    let lost = door.call("POST", "/v1/ledger/pay%2F1/complete", complete(&json!(999))).await;
    assert_eq!(lost.problem(), (409, "token_lost".into()));
    door.post("/v1/ledger/pay%2F1/complete", complete(&mine["token"])).await;
    let done = claim("b", "f").await;
    assert_eq!((&done["status"], &done["result"]), (&json!("already_done"), &json!("paid")));
    let entry = door.get("/v1/ledger/pay%2F1").await;
    assert_eq!((&entry["state"], &entry["value"]), (&json!("done"), &json!("paid")));
    let record = door.call("PUT", "/v1/ledger/r", json!({ "value": "1" })).await.ok();
    let stale = door.call("PUT", "/v1/ledger/r", json!({ "value": "2" })).await;
    assert_eq!(stale.problem(), (409, "record_conflict".into()));
    let next = json!({ "value": "2", "expected_version": record["version"] });
    door.put("/v1/ledger/r", next).await;
    let page = door.get("/v1/ledger?limit=1").await;
    assert_eq!((&page["items"][0]["key"], page["items"][0].get("value")), (&json!("pay/1"), None));
    let rest = format!("/v1/ledger?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(door.get(&rest).await["items"][0]["key"], "r");
    let released = json!({ "token": entry["token"] });
    assert_eq!(door.call("POST", "/v1/ledger/pay%2F1/release", released).await.status, 204);
    let gone = door.call("GET", "/v1/ledger/pay%2F1", Value::Null).await;
    assert_eq!(gone.problem(), (404, "entry_not_found".into()));
    assert_eq!(door.get("/v1/server/stats").await["gauges"]["kyu_ledger_entries"], 1);
}

#[tokio::test]
async fn acknowledgement_result_and_next_job_are_one_step() {
    let door = Door::open();
    door.queue("in", json!({})).await;
    door.queue("out", json!({})).await;
    door.send("in", "job").await;
    let job = door.receive("in").await.remove(0);
    let mine = door.post("/v1/ledger/k/claim", json!({ "lease_ms": 60_000 })).await;
    let group = json!({ "commands": [
        { "op": "complete_claim", "key": "k",
          "complete": { "token": mine["token"], "result": "r", "keep_ms": 1000 } },
        { "op": "send", "queue": "out", "messages": [{ "body": "next" }] },
        { "op": "settle", "queue": "in", "items": [{ "receipt": job["receipt"], "outcome": "ack" }] },
    ]});
    let done = door.post("/v1/atomic", group).await;
    assert_eq!(done["results"][0]["op"], "complete_claim");
    assert_eq!(door.receive("out").await.len(), 1);
    let other = json!({ "commands": [
        { "op": "claim", "key": "new", "claim": { "lease_ms": 1000, "holder": "h" } },
        { "op": "put_record", "key": "rec", "record": { "value": "v" } },
        { "op": "release_entry", "key": "k", "token": mine["token"] },
    ]});
    let done = door.post("/v1/atomic", other).await;
    assert_eq!(done["results"][2], json!({ "op": "release_entry" }));
}

#[tokio::test]
async fn what_is_paused_gives_nothing_until_it_is_resumed() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    door.post("/v1/queues/q/messages", json!({ "body": "a", "lane": "l" })).await;
    let paused = door.post("/v1/queues/q/pause", Value::Null).await;
    assert_eq!(paused, json!({ "paused": true, "changed": true }));
    assert!(door.receive("q").await.is_empty());
    assert_eq!(door.get("/v1/queues/q").await["stats"]["paused"], true);
    assert_eq!(door.get("/v1/queues/q/messages").await["items"][0]["body"], "a");
    door.post("/v1/queues/q/pause", json!({ "lane": "l" })).await;
    assert_eq!(door.post("/v1/queues/q/resume", Value::Null).await["changed"], true);
    assert!(door.receive("q").await.is_empty());
    let lanes = door.get("/v1/queues/q/lanes").await;
    assert_eq!(
        (&lanes["items"][0]["key"], &lanes["items"][0]["paused"]),
        (&json!("l"), &json!(true))
    );
    assert_eq!(lanes["paused_lanes"], json!(["l"]));
    door.post("/v1/queues/q/resume", json!({ "lane": "l" })).await;
    assert_eq!(door.receive("q").await.len(), 1);
}

#[tokio::test]
async fn a_message_is_explained() {
    let door = Door::open();
    door.queue("q", json!({ "lanes": { "max_in_flight": 1 } })).await;
    let send = async || {
        let message = json!({ "body": "x", "lane": "tenant-7" });
        door.post("/v1/queues/q/messages", message).await["seq"].as_u64().unwrap()
    };
    let (first, second) = (send().await, send().await);
    let explain = async |seq: u64| door.get(&format!("/v1/queues/q/messages/{seq}/explain")).await;
    assert_eq!(explain(first).await["summary"], "deliverable now");
    let message = door.receive("q").await.remove(0);
    let leased = explain(first).await;
    assert_eq!(
        (&leased["verdict"], &leased["reasons"][0]["reason"]),
        (&json!("held_back"), &json!("leased"))
    );
    assert_eq!(leased["timeline"][0]["what"], "enqueued");
    let limited = explain(second).await;
    let summary = limited["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("held back: lane \"tenant-7\" is at its limit (1 of 1 in flight)"),
        "{summary}"
    );
    door.settle("q", &message, "ack").await;
    assert_eq!(explain(first).await["verdict"], "gone");
    assert_eq!(explain(999).await["verdict"], "never_sent");
}

#[tokio::test]
async fn a_schedule_from_first_to_last() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let path = "/v1/schedules/nightly";
    let cron = json!({ "kind": "cron", "expression": "30 2 * * *", "time_zone": "Europe/Berlin" });
    let settings = json!({ "rule": cron, "target": { "queue": "q" }, "message": { "body": "go" } });
    let created = door.call("PUT", path, settings.clone()).await;
    assert_eq!(created.status, 201);
    let created = created.ok();
    assert_eq!(created["settings"]["catch_up"], json!({ "kind": "one" }));
    assert!(created["next"]["due_at_ms"].as_u64() > created["created_at_ms"].as_u64());
    let again = door.call("PUT", path, settings.clone()).await;
    assert_eq!((again.status, &again.ok()["version"]), (200, &created["version"]));
    // 2026-03-29: at 02:30 there is no time in Berlin; it is 03:00, 01:00 in UTC.
    let preview = json!({ "settings": settings, "after_at_ms": 1_774_738_800_000_u64 });
    let preview = door.post("/v1/schedule-previews?limit=2", preview).await;
    assert_eq!(preview["items"][0]["due_at_ms"], 1_774_746_000_000_u64);
    let runs = door.get(&format!("{path}/next-runs?limit=3")).await;
    assert_eq!(runs["items"].as_array().unwrap().len(), 3);
    let ran = door.post(&format!("{path}/run"), Value::Null).await;
    assert_eq!((&ran["outcome"], &ran["manual"]), (&json!("sent"), &json!(true)));
    assert_eq!(door.receive("q").await[0]["body"], "go");
    assert_eq!(door.post(&format!("{path}/pause"), Value::Null).await["paused"], true);
    assert_eq!(door.get(path).await["next"], Value::Null);
    assert_eq!(door.post(&format!("{path}/resume"), Value::Null).await["paused"], false);
    // An interval said again keeps its row.
    let every =
        json!({ "rule": { "kind": "every", "interval_ms": 60_000 }, "target": { "queue": "q" } });
    let first = door.put("/v1/schedules/often", every.clone()).await;
    assert_eq!(door.put("/v1/schedules/often", every).await, first);
    assert_eq!(door.get("/v1/schedules?limit=1").await["items"][0]["name"], "nightly");
    let wrong =
        json!({ "rule": { "kind": "cron", "expression": "x" }, "target": { "queue": "q" } });
    let said = door.call("PUT", path, wrong).await;
    assert_eq!(said.problem(), (400, "invalid_setting".into()));
    assert_eq!(door.call("DELETE", path, Value::Null).await.status, 204);
    let said = door.call("GET", path, Value::Null).await;
    assert_eq!(said.problem(), (404, "schedule_not_found".into()));
}

#[tokio::test]
async fn all_messages_can_be_gone_through_in_pages_of_bounded_size() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    assert_eq!(door.get("/v1/queues/q/browse").await, json!({ "items": [], "next_seq": null }));
    door.post("/v1/queues/q/messages", json!({ "body": "a" })).await;
    door.post("/v1/queues/q/messages", json!({ "body": "b", "delay_ms": 60_000 })).await;
    door.post("/v1/queues/q/receive", Value::Null).await;
    let large = "x".repeat(1_000_000);
    for _ in 0..5 {
        door.send("q", &large).await;
    }
    let first = door.get("/v1/queues/q/browse?limit=2").await;
    let items = first["items"].as_array().unwrap();
    let states: Vec<_> = items.iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["leased", "delayed"]);
    assert!(items[0]["state_until_at_ms"].as_u64() > items[0]["sent_at_ms"].as_u64());
    let path = format!("/v1/queues/q/browse?limit=100&from_seq={}", first["next_seq"]);
    let second = door.get(&path).await;
    assert_eq!(second["items"].as_array().unwrap().len(), 4, "no more than 4 MiB");
    let path = format!("/v1/queues/q/browse?limit=100&from_seq={}", second["next_seq"]);
    let last = door.get(&path).await;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next_seq"]), (1, &Value::Null));
    let peeked = door.get("/v1/queues/q/messages?limit=100").await;
    assert_eq!(peeked["items"].as_array().unwrap().len(), 4);
}

/// The hour of a nightly job was to be changed, and its body and zone went with the old hour.
#[tokio::test]
async fn a_schedule_keeps_what_a_patch_does_not_name() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let path = "/v1/schedules/nightly";
    let rule = |hour: u32| json!({ "kind": "cron", "expression": format!("0 {hour} * * *"), "time_zone": "Europe/Berlin" });
    let settings = json!({ "rule": rule(3), "target": { "queue": "q" }, "message": { "body": "settle", "lane": "l" } });
    let made = door.put(path, settings).await;
    let patched =
        door.call("PATCH", path, json!({ "rule": rule(4), "message": { "lane": null } })).await;
    assert_eq!((patched.status, patched.header("etag")), (200, "\"1-2\""));
    let patched = patched.ok()["settings"].take();
    assert_eq!((&patched["rule"], &patched["message"]["body"]), (&rule(4), &json!("settle")));
    assert_eq!(patched["message"].get("lane"), None);
    let old = [("if-match", made["etag"].as_str().map(|etag| format!("\"{etag}\"")).unwrap())];
    let old = [(old[0].0, old[0].1.as_str())];
    let late = door.with_headers("PATCH", path, &old, json!({ "jitter_ms": 1 })).await;
    assert_eq!(late.problem(), (412, "version_conflict".into()));
    let wrong = door.call("PATCH", path, json!({ "jitter_ms": 86_400_001 })).await;
    assert_eq!(wrong.problem(), (400, "invalid_setting".into()));
    let none = door.call("PATCH", "/v1/schedules/none", json!({})).await;
    assert_eq!(none.problem(), (404, "schedule_not_found".into()));
    assert_eq!(door.get(&format!("{path}/next-runs?limit=1")).await["time_zone"], "Europe/Berlin");
}

#[tokio::test]
async fn a_time_that_is_past_is_filled_and_each_message_says_when_it_was_due() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let hourly = json!({ "rule": { "kind": "every", "interval_ms": 3_600_000, "anchor_at_ms": 0 }, "target": { "queue": "q" } });
    door.put("/v1/schedules/s", hourly).await;
    let day = |from: u64, until: u64| json!({ "from_at_ms": from, "until_at_ms": until });
    let fill = async |body: Value| door.call("POST", "/v1/schedules/s/backfill", body).await;
    let filled = fill(day(3_600_000, 3 * 3_600_000)).await.ok();
    assert_eq!(
        (filled["runs"].as_array().unwrap().len(), &filled["next_from_at_ms"]),
        (2, &Value::Null)
    );
    let received = door.receive("q").await;
    let due: Vec<&Value> = received.iter().map(|message| &message["scheduled_at_ms"]).collect();
    assert_eq!(due, [&json!(3_600_000), &json!(7_200_000)]);
    // A long time is filled in parts.
    let mut limited = day(3_600_000, 301 * 3_600_000);
    limited["limit"] = json!(250);
    let filled = fill(limited).await.ok();
    assert_eq!(filled["runs"].as_array().unwrap().len(), 250);
    assert_eq!(filled["next_from_at_ms"], 251 * 3_600_000_u64);
    assert_eq!(fill(day(7, 7)).await.problem(), (400, "invalid_setting".into()));
    let future = json!({ "from_at_ms": 0, "until_at_ms": 253_402_300_799_999_u64 });
    assert_eq!(fill(future).await.problem(), (400, "invalid_setting".into()));
}

#[tokio::test]
async fn a_message_may_name_the_instant_before_which_it_is_not_received() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let now_ms = door.get("/v1/server").await["now_ms"].as_u64().unwrap();
    let past = json!({ "body": "at once", "ready_at_ms": 1 });
    door.post("/v1/queues/q/messages", past).await;
    let later = json!({ "body": "later", "ready_at_ms": now_ms + 3_600_000 });
    door.post("/v1/queues/q/messages", later).await;
    let all = door.get("/v1/queues/q/browse").await;
    assert_eq!(
        (&all["items"][0]["state"], &all["items"][1]["state"]),
        (&json!("ready"), &json!("delayed"))
    );
    let until_ms = all["items"][1]["state_until_at_ms"].as_u64().unwrap();
    assert!((now_ms + 3_600_000..now_ms + 3_660_000).contains(&until_ms));
    let both = json!({ "body": "x", "ready_at_ms": now_ms, "delay_ms": 1 });
    let said = door.call("POST", "/v1/queues/q/messages", both).await;
    assert_eq!(said.problem(), (400, "invalid_argument".into()));
}

/// A customer's export is queued for tonight and is wanted now; another was a mistake.
#[tokio::test]
async fn one_message_is_a_resource() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    let sent = door
        .call("POST", "/v1/queues/q/messages", json!({ "body": "tonight", "delay_ms": 3_600_000 }))
        .await;
    let path = sent.header("location").to_owned();
    assert_eq!(path, "/v1/queues/q/messages/1");
    let seen = door.get(&path).await;
    assert_eq!(
        (&seen["body"], &seen["state"], seen.get("receipt")),
        (&json!("tonight"), &json!("delayed"), None)
    );
    let now = door.post(&format!("{path}/run"), Value::Null).await;
    assert_eq!(now["state"], "ready");
    let later = door.call("PATCH", &path, json!({ "delay_ms": 60_000, "priority": 9 })).await.ok();
    assert_eq!(later["state"], "delayed");
    let nothing = door.call("PATCH", &path, json!({})).await;
    assert_eq!(nothing.problem(), (400, "invalid_argument".into()));
    assert_eq!(door.call("DELETE", &path, Value::Null).await.status, 204);
    for (method, path) in
        [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/run"))]
    {
        let gone = door.call(method, &path, Value::Null).await;
        assert_eq!(gone.problem(), (404, "message_not_found".into()), "{method} {path}");
    }
    let why = door.get(&format!("{path}/explain")).await;
    assert!(why["summary"].as_str().unwrap().contains("cancelled"), "{why}");
    // Somebody works on it: only when that is said.
    door.send("q", "running").await;
    let running = door.receive("q").await.remove(0);
    let path = format!("/v1/queues/q/messages/{}", running["seq"]);
    let busy = door.call("DELETE", &path, Value::Null).await;
    assert_eq!(busy.problem(), (409, "message_in_flight".into()));
    assert_eq!(
        door.call("DELETE", &format!("{path}?in_flight=true"), Value::Null).await.status,
        204
    );
    assert_eq!(door.settle("q", &running, "ack").await, "gone");
}

/// Of two hundred dead letters those of one tenant, that failed for one reason, are wanted back.
#[tokio::test]
async fn messages_are_chosen_by_what_they_have_in_common() {
    let door = Door::open();
    door.queue("dead", json!({})).await;
    door.queue("q", json!({ "dead_letter": { "queue": "dead", "max_receives": 9 } })).await;
    for (body, tenant, error) in [
        ("one", "a", "503"),
        ("two", "b", "503"),
        ("three", "a", "bad input"),
        ("four", "a", "HTTP 503"),
    ] {
        door.post(
            "/v1/queues/q/messages",
            json!({ "body": body, "attributes": { "tenant": tenant } }),
        )
        .await;
        let message = door.receive("q").await.remove(0);
        let item = json!({ "receipt": message["receipt"], "outcome": "failed", "error": error, "retry": false });
        door.post("/v1/queues/q/settle", json!({ "items": [item] })).await;
    }
    let select =
        async |selection: Value| door.post("/v1/queues/dead/messages/select", selection).await;
    let seqs = |answer: &Value| -> Vec<u64> {
        answer["items"].as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect()
    };
    // First a look.
    let filter =
        json!({ "attributes": { "tenant": "a" }, "error": "503", "dead_reasons": ["rejected"] });
    let looked = select(json!({ "filter": filter })).await;
    assert_eq!(
        (seqs(&looked), &looked["looked_at"], &looked["next_seq"]),
        (vec![1, 4], &json!(4), &Value::Null)
    );
    assert_eq!(looked["items"][0]["status"], "chosen");
    for (filter, expected) in [
        (json!({ "text": "o" }), vec![1, 2, 4]),
        (json!({ "states": ["ready"], "text": "three" }), vec![3]),
        (json!({ "states": ["delayed"] }), vec![]),
        (json!({ "older_than_ms": 60_000 }), vec![]),
        (json!({ "younger_than_ms": 60_000, "lane": "none" }), vec![]),
        (json!({ "dead_reasons": ["max_receives"] }), vec![]),
    ] {
        assert_eq!(seqs(&select(json!({ "filter": filter })).await), expected, "{filter}");
    }
    // Then the act, in parts.
    let act = |from: u64| json!({ "filter": filter, "action": { "kind": "move" }, "limit": 1, "from_seq": from });
    let first = select(act(0)).await;
    assert_eq!(
        (seqs(&first), &first["items"][0]["status"], &first["next_seq"]),
        (vec![1], &json!("done"), &json!(2))
    );
    let second = select(act(2)).await;
    assert_eq!((seqs(&second), &second["next_seq"]), (vec![4], &Value::Null));
    let back: Vec<Value> = door.receive("q").await.iter().map(|one| one["body"].clone()).collect();
    assert_eq!(back, ["one", "four"]);
    let cancelled = select(json!({ "action": { "kind": "cancel" } })).await;
    assert_eq!(seqs(&cancelled), [2, 3]);
    assert_eq!(door.get("/v1/queues/dead/stats").await["totals"]["cancelled"], 2);
    let wrong = door
        .call(
            "POST",
            "/v1/queues/dead/messages/select",
            json!({ "action": { "kind": "move", "destination": "dead" } }),
        )
        .await;
    let problem: Value = serde_json::from_str(&wrong.body).unwrap();
    assert_eq!(problem["pointer"], "/action/destination");
}

#[tokio::test]
async fn a_pause_may_have_an_end() {
    let door = Door::open();
    door.queue("q", json!({})).await;
    door.send("q", "x").await;
    let now_ms = door.get("/v1/server").await["now_ms"].as_u64().unwrap();
    let paused = door.post("/v1/queues/q/pause", json!({ "for_ms": 3_600_000 })).await;
    assert_eq!(paused, json!({ "paused": true, "changed": true }));
    let until_ms = door.get("/v1/queues/q").await["stats"]["paused_until_at_ms"].as_u64().unwrap();
    assert!((now_ms + 3_600_000..now_ms + 3_660_000).contains(&until_ms));
    let why = door.get("/v1/queues/q/messages/1/explain").await;
    assert_eq!(why["reasons"][0], json!({ "reason": "queue_paused", "until_at_ms": until_ms }));
    assert!(
        why["summary"].as_str().unwrap().contains("the queue is paused and goes on in "),
        "{why}"
    );
    for wrong in [
        json!({ "until_at_ms": now_ms - 1 }),
        json!({ "for_ms": 0 }),
        json!({ "for_ms": 1, "until_at_ms": now_ms + 60_000 }),
    ] {
        let said = door.call("POST", "/v1/queues/q/pause", wrong.clone()).await;
        assert_eq!(said.problem(), (400, "invalid_argument".into()), "{wrong}");
    }
    let wrong = door.call("POST", "/v1/queues/q/resume", json!({ "for_ms": 1 })).await;
    assert_eq!(wrong.problem(), (400, "invalid_argument".into()));
    door.post("/v1/queues/q/resume", Value::Null).await;
    assert_eq!(door.receive("q").await.len(), 1);
}
