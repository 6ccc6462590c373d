//! Putting and setting schedules: what is not given of one that is there stays.

use kyu_client::{Call, Client, Method};
use serde_json::{Map, Value, json};

use crate::args::ScheduleArgs;
use crate::failure::Failure;
use crate::requests::{pairs, schedule_path};

/// Tries against somebody who changes the schedule at the same time.
const TRIES: usize = 8;

/// Creates a schedule, or changes what is given of the one of that name. The answer is the schedule.
pub(crate) async fn put(
    client: &mut Client,
    name: &str,
    args: &ScheduleArgs,
    must_exist: bool,
) -> Result<Value, Failure> {
    let path = schedule_path(name, "");
    for _ in 0..TRIES {
        let there = client.call(Call::new(Method::GET, path.clone())).await;
        let call = match there.map_err(Failure::from) {
            Ok(there) => {
                let etag = there.get("etag").and_then(Value::as_str).unwrap_or_default();
                let change = change(args, there.get("settings").unwrap_or(&Value::Null))?;
                let call = Call::new(Method::PATCH, path.clone()).body(change);
                call.header("if-match", format!("\"{etag}\""))
            }
            Err(Failure::NotFound(_)) if !must_exist => {
                Call::new(Method::PUT, path.clone()).body(whole(args)?).header("if-none-match", "*")
            }
            Err(failure) => return Err(failure),
        };
        match client.call(call).await.map_err(Failure::from) {
            // It came, went or changed in this moment: look again.
            Err(Failure::Conflict(_)) => {}
            answer => return answer,
        }
    }
    Err(Failure::Conflict("somebody else keeps changing the schedule".into()))
}

/// The settings of a new schedule.
pub(crate) fn whole(args: &ScheduleArgs) -> Result<Value, Failure> {
    let rule = match (&args.cron, args.every) {
        (_, Some(interval_ms)) => json!({ "kind": "every", "interval_ms": interval_ms }),
        (Some(expression), None) => {
            let time_zone = args.time_zone.as_deref().unwrap_or("UTC");
            json!({ "kind": "cron", "expression": expression, "time_zone": time_zone })
        }
        (None, None) => {
            return Err(Failure::Usage("a new schedule needs --cron or --every".into()));
        }
    };
    let Some(target) = target(args) else {
        return Err(Failure::Usage("a new schedule needs --queue or --exchange".into()));
    };
    with_more(args, [("rule", Some(rule)), ("target", Some(target))])
}

/// A merge patch of what is given, for a schedule with these settings.
fn change(args: &ScheduleArgs, there: &Value) -> Result<Value, Failure> {
    let rule = match (&args.cron, args.every, &args.time_zone) {
        (_, Some(interval_ms), _) => Some(json!({ "kind": "every", "interval_ms": interval_ms })),
        (None, None, None) => None,
        (expression, None, time_zone) => {
            // An expression keeps its zone, and a zone its expression.
            let old =
                |field: &str| there.pointer(&format!("/rule/{field}")).and_then(Value::as_str);
            let Some(expression) = expression.as_deref().or_else(|| old("expression")) else {
                let text = "--time-zone belongs to --cron, and this schedule has an interval";
                return Err(Failure::Usage(text.into()));
            };
            let time_zone = time_zone.as_deref().or_else(|| old("time_zone")).unwrap_or("UTC");
            Some(json!({ "kind": "cron", "expression": expression, "time_zone": time_zone }))
        }
    };
    let mut target = target(args);
    if let Some(Value::Object(target)) = &mut target {
        // A merge would leave the old one beside it.
        for other in ["queue", "exchange"] {
            target.entry(other).or_insert(Value::Null);
        }
    }
    with_more(args, [("rule", rule), ("target", target)])
}

fn target(args: &ScheduleArgs) -> Option<Value> {
    match (&args.exchange, &args.queue) {
        (Some(exchange), _) => Some(json!({ "exchange": exchange })),
        (None, Some(queue)) => Some(json!({ "queue": queue })),
        (None, None) => None,
    }
}

/// These settings with the body and `NAME=VALUE` pairs.
fn with_more<const N: usize>(
    args: &ScheduleArgs,
    given: [(&str, Option<Value>); N],
) -> Result<Value, Failure> {
    let Value::Object(mut settings) = pairs(&args.more)? else { return Ok(Value::Null) };
    let given = given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    settings.extend(given);
    if let Some(body) = &args.body {
        let message = settings.entry("message").or_insert_with(|| Map::new().into());
        if let Value::Object(message) = message {
            message.insert("body".to_owned(), body.as_str().into());
            message.insert("body_base64".to_owned(), Value::Null);
        }
    }
    Ok(settings.into())
}
