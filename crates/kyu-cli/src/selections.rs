//! Messages chosen by what they have in common, request after request until the end of the queue.

use kyu_client::{Call, Client, Method};
use serde_json::{Value, json};

use crate::args::{FilterArgs, SelectArgs};
use crate::failure::Failure;
use crate::output::View;
use crate::requests::{attributes, queue_path};

/// Messages of one request.
const BATCH: u64 = 1_000;

/// The form in which chosen messages are shown.
pub(crate) const SELECTED: View = View {
    items: "items",
    columns: &[("SEQ", "/seq"), ("MESSAGE ID", "/message_id"), ("STATUS", "/status")],
};

impl FilterArgs {
    /// Tells whether nothing was said: then all messages are meant.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { states, reasons, older_than, younger_than, lane, attributes, text, error } =
            self;
        let lists = states.is_empty() && reasons.is_empty() && attributes.is_empty();
        let texts = [lane, text, error].into_iter().all(Option::is_none);
        lists && texts && older_than.is_none() && younger_than.is_none()
    }

    fn json(&self) -> Result<Value, Failure> {
        Ok(json!({
            "states": self.states,
            "dead_reasons": self.reasons,
            "older_than_ms": self.older_than,
            "younger_than_ms": self.younger_than,
            "lane": self.lane,
            "attributes": attributes(&self.attributes)?,
            "text": self.text,
            "error": self.error,
        }))
    }
}

impl SelectArgs {
    /// The action as the API has it; null to look only.
    fn action(&self) -> Value {
        match (&self.move_to, self.postpone, self.priority) {
            (Some(queue), ..) => json!({ "kind": "move", "destination": queue }),
            (_, Some(at_ms), _) => json!({ "kind": "postpone", "ready_at_ms": at_ms }),
            (.., Some(priority)) => json!({ "kind": "prioritise", "priority": priority }),
            _ if self.cancel => json!({ "kind": "cancel" }),
            _ if self.run => json!({ "kind": "run_now" }),
            _ => Value::Null,
        }
    }
}

/// Chooses, and acts. The answer has all chosen messages.
pub(crate) async fn select(client: &Client, args: &SelectArgs) -> Result<Value, Failure> {
    all(client, &args.queue, &args.filter, args.action(), args.max).await
}

/// Moves chosen dead letters back to where they came from, or to another queue.
pub(crate) async fn redrive(
    client: &Client,
    queue: &str,
    filter: &FilterArgs,
    to: Option<&str>,
    max: Option<u64>,
) -> Result<Value, Failure> {
    let action = json!({ "kind": "move", "destination": to });
    all(client, queue, filter, action, max).await
}

async fn all(
    client: &Client,
    queue: &str,
    filter: &FilterArgs,
    action: Value,
    max: Option<u64>,
) -> Result<Value, Failure> {
    let (filter, path) = (filter.json()?, queue_path(queue, "/messages/select"));
    let mut left = max.unwrap_or(u64::MAX);
    let (mut items, mut next) = (Vec::new(), Some(0));
    while let Some(from_seq) = next
        && left > 0
    {
        let limit = left.min(BATCH);
        let mut body = json!({ "filter": filter, "limit": limit, "from_seq": from_seq });
        if let (Value::Object(body), false) = (&mut body, action.is_null()) {
            body.insert("action".to_owned(), action.clone());
        }
        let call = Call::new(Method::POST, path.clone()).body(body);
        let mut answer = client.call(call).await?;
        let chosen = answer.get_mut("items").map(Value::take);
        if let Some(Value::Array(chosen)) = chosen {
            left = left.saturating_sub(chosen.len() as u64);
            items.extend(chosen);
        }
        next = answer.get("next_seq").and_then(Value::as_u64);
    }
    Ok(json!({ "items": items }))
}

/// Fails if something was chosen and could not be done.
pub(crate) fn check(answer: &Value) -> Result<(), Failure> {
    let items = answer.get("items").and_then(Value::as_array);
    let undone = items.into_iter().flatten().filter(|one| {
        let status = one.get("status").and_then(Value::as_str);
        !matches!(status, Some("chosen" | "done"))
    });
    match undone.count() {
        0 => Ok(()),
        count => Err(Failure::Conflict(format!("{count} were left as they are"))),
    }
}
