//! Lanes of a queue: list, pause, resume. The queue itself is paused here, too.

use kyu_broker::{ListLanes, PausedLanesOf, SetPaused};

use crate::api::{InNamespace, Lane, LanePage, Page, PauseState, PauseTarget};
use crate::call::{Call, after, cursor, list_size, within};
use crate::limits::{MAX_ITEMS, MAX_SPAN_MS, MAX_TIME_MS};
use crate::operation::{Done, Empty, Optional};
use crate::problem::Problem;

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<LanePage>, Problem> {
    let size = list_size(query.limit)?;
    let after = after(query.cursor.as_deref())?;
    let queue = call.queue(query.namespace)?.id;
    let question = ListLanes { queue, after, max: (size + 1).min(MAX_ITEMS) };
    let mut found = call.broker.look_up(question).await?;
    let paused_lanes = call.broker.look_up(PausedLanesOf(queue)).await?;
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor(&last.key));
    let items = found.into_iter().map(|lane| Lane {
        key: lane.key,
        messages: lane.messages,
        in_flight: lane.in_flight,
        paused: lane.paused,
        next_token_at_ms: lane.next_token_at_ms,
        weight: lane.weight,
    });
    Ok(LanePage { items: items.collect(), next_cursor, paused_lanes }.into())
}

pub(super) async fn pause(
    call: &Call<'_>,
    query: InNamespace,
    Optional(target): Optional<PauseTarget>,
) -> Result<Done<PauseState>, Problem> {
    set(call, query, target, true).await
}

pub(super) async fn resume(
    call: &Call<'_>,
    query: InNamespace,
    Optional(target): Optional<PauseTarget>,
) -> Result<Done<PauseState>, Problem> {
    set(call, query, target, false).await
}

async fn set(
    call: &Call<'_>,
    query: InNamespace,
    target: PauseTarget,
    paused: bool,
) -> Result<Done<PauseState>, Problem> {
    let queue = call.queue(query.namespace)?.id;
    let now_ms = call.broker.now_ms();
    let until_ms = match (target.for_ms, target.until_at_ms) {
        (None, None) => None,
        _ if !paused => {
            return Err(Problem::invalid("for_ms and until_at_ms belong to a pause."));
        }
        (Some(for_ms), None) => {
            within("/for_ms", for_ms, 1..=MAX_SPAN_MS)?;
            Some(now_ms.saturating_add(for_ms))
        }
        (None, Some(at_ms)) => {
            within("/until_at_ms", at_ms, now_ms + 1..=MAX_TIME_MS)?;
            Some(at_ms)
        }
        (Some(_), Some(_)) => {
            let detail = "A pause has one of for_ms and until_at_ms.";
            return Err(Problem::at("/until_at_ms", detail));
        }
    };
    let command = SetPaused { queue, lane: target.lane, paused, until_ms };
    let changed = call.broker.ask(command).await?;
    Ok(PauseState { paused, changed }.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::test_door::Door;

    /// Bodies of what a queue with these settings gives at once.
    async fn given(settings: Value) -> String {
        let door = Door::open();
        door.queue("q", settings).await;
        for (body, lane) in [("1", "a"), ("2", "a"), ("3", "a"), ("4", "b"), ("5", "b"), ("6", "b")]
        {
            let message = json!({ "body": body, "lane": lane });
            door.post("/v1/queues/q/messages", message).await;
        }
        let got = door.receive("q").await;
        got.iter().map(|message| message["body"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn limits_and_weights_of_queues_and_lanes_hold_as_they_are_set() {
        let two = json!({ "permits": 1, "interval_ms": 3_600_000, "burst": 2 });
        let one = json!({ "permits": 1, "interval_ms": 3_600_000, "burst": 1 });
        for (settings, expected) in [
            (json!({}), "123456"),
            (json!({ "max_in_flight": 4 }), "1234"),
            (json!({ "rate": two }), "12"),
            (json!({ "lanes": { "max_in_flight": 2 } }), "1245"),
            (json!({ "lanes": { "rate": one } }), "14"),
            (json!({ "lanes": { "rate": one, "max_in_flight": 2 }, "rate": one }), "1"),
            (
                json!({ "fairness": "weighted", "lanes": { "weights": { "b": 3 } }, "max_in_flight": 4 }),
                "1456",
            ),
        ] {
            assert_eq!(given(settings.clone()).await, expected, "{settings}");
        }
    }
}
