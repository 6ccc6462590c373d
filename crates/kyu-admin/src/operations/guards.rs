//! Retry budgets and breakers of a queue: list.

use kyu_broker::{BreakerState, GuardStats, ListGuards};

use crate::api::{BreakerStatus, GuardPage, GuardStatus, Page};
use crate::call::{Call, after, cursor, list_size};
use crate::limits::MAX_ITEMS;
use crate::operation::{Done, Empty};
use crate::problem::Problem;

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<GuardPage>, Problem> {
    let size = list_size(query.limit)?;
    let after = after(query.cursor.as_deref())?;
    let queue = call.queue(query.namespace)?.id;
    let question = ListGuards { queue, after, max: (size + 1).min(MAX_ITEMS) };
    let mut found = call.broker.look_up(question).await?;
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let last = found.last().filter(|_| more);
    // A page of nothing but the guard without a key ends before all others.
    let next_cursor = last.map(|last| cursor(last.key.as_deref().unwrap_or_default()));
    Ok(GuardPage { items: found.into_iter().map(status).collect(), next_cursor }.into())
}

fn status(from: GuardStats) -> GuardStatus {
    let GuardStats { key, breaker, successes, failures, tokens, held } = from;
    let breaker = breaker.map(|state| match state {
        BreakerState::Closed => BreakerStatus::Closed,
        BreakerState::Open { until_ms } => BreakerStatus::Open { until_at_ms: until_ms },
        BreakerState::HalfOpen { in_flight, succeeded } => {
            BreakerStatus::HalfOpen { in_flight, succeeded }
        }
        BreakerState::SlowStart { in_flight, allowed } => {
            BreakerStatus::SlowStart { in_flight, allowed }
        }
    });
    GuardStatus { key, breaker, successes, failures, tokens, held }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::test_door::Door;

    #[tokio::test]
    async fn a_dependency_that_fails_holds_back_its_own_messages_and_is_listed() {
        let door = Door::open();
        let breaker = json!({ "min_attempts": 2, "open_ms": 60_000 });
        let guard = json!({ "key": { "attribute": "dependency" }, "breaker": breaker });
        door.queue("q", json!({ "guard": guard })).await;
        let shown = door.get("/v1/queues/q").await;
        assert_eq!(shown["settings"]["guard"]["key"], json!({ "attribute": "dependency" }));
        let send = async |dependency: &str, lane: &str| {
            let attributes = json!({ "dependency": dependency });
            let message = json!({ "body": dependency, "lane": lane, "attributes": attributes });
            door.post("/v1/queues/q/messages", message).await["seq"].as_u64().unwrap()
        };
        send("stripe", "a").await;
        send("stripe", "b").await;
        for message in door.receive("q").await {
            door.settle("q", &message, "failed").await;
        }
        let waiting = send("stripe", "c").await;
        send("mail", "c").await;
        let got = door.receive("q").await;
        assert_eq!(got.iter().map(|message| &message["body"]).collect::<Vec<_>>(), ["mail"]);
        let explained = door.get(&format!("/v1/queues/q/messages/{waiting}/explain")).await;
        let summary = explained["summary"].as_str().unwrap();
        let expected = "held back: the breaker of dependency=stripe is open";
        assert!(summary.starts_with(expected), "{summary}");
        let guards = door.get("/v1/queues/q/guards").await;
        let stripe = &guards["items"][0];
        assert_eq!(
            (&stripe["key"], &stripe["breaker"]["state"], &stripe["held"], &stripe["tokens"]),
            (&json!("stripe"), &json!("open"), &json!(3), &Value::Null)
        );
        assert_eq!(guards["next_cursor"], Value::Null);
    }
}
