//! Verbs that are one request: which, and how its answer is shown.

use kyu_client::{Call, Method, encoded};
use serde_json::{Map, Value, json};

use crate::args::{
    ExchangeVerb, LedgerVerb, MessageVerb, PauseArgs, QueueVerb, RedriveArgs, ReleaseArgs,
    ResumeArgs, ScheduleVerb,
};
use crate::failure::Failure;
use crate::output::{ONE, View};
use crate::schedules;

pub(crate) const QUEUES: View = View {
    items: "items",
    columns: &[
        ("NAME", "/name"),
        ("KIND", "/settings/kind"),
        ("READY", "/stats/ready"),
        ("DELAYED", "/stats/delayed"),
        ("IN FLIGHT", "/stats/in_flight"),
        ("PAUSED", "/stats/paused"),
        ("OLDEST", "/stats/oldest_sent_at_ms"),
    ],
};
const LANES: View = View {
    items: "items",
    columns: &[
        ("LANE", "/key"),
        ("MESSAGES", "/messages"),
        ("IN FLIGHT", "/in_flight"),
        ("PAUSED", "/paused"),
        ("WEIGHT", "/weight"),
        ("NEXT TOKEN", "/next_token_at_ms"),
    ],
};
const GUARDS: View = View {
    items: "items",
    columns: &[
        ("KEY", "/key"),
        ("BREAKER", "/breaker/state"),
        ("OPEN UNTIL", "/breaker/until_at_ms"),
        ("IN FLIGHT", "/breaker/in_flight"),
        ("ALLOWED", "/breaker/allowed"),
        ("TOKENS", "/tokens"),
        ("HELD", "/held"),
    ],
};
pub(crate) const PEEKED: View = View {
    items: "items",
    columns: &[
        ("SEQ", "/seq"),
        ("STATE", "/state"),
        ("SENT", "/sent_at_ms"),
        ("RECEIVES", "/receive_count"),
        ("LANE", "/lane"),
        ("BODY", "/body"),
    ],
};
pub(crate) const RECEIVED: View = View {
    items: "messages",
    columns: &[
        ("SEQ", "/seq"),
        ("RECEIVES", "/receive_count"),
        ("RECEIPT", "/receipt"),
        ("BODY", "/body"),
    ],
};
const MOVES: View = View {
    items: "items",
    columns: &[
        ("ID", "/id"),
        ("STATUS", "/status"),
        ("MOVED", "/moved"),
        ("OF", "/to_move"),
        ("TO", "/destination"),
        ("STARTED", "/started_at_ms"),
        ("FAILURE", "/failure"),
    ],
};
const EXCHANGES: View = View {
    items: "items",
    columns: &[("NAME", "/name"), ("KIND", "/settings/kind"), ("CREATED", "/created_at_ms")],
};
const BINDINGS: View = View {
    items: "items",
    columns: &[
        ("ID", "/id"),
        ("QUEUE", "/queue"),
        ("PROTOCOL", "/protocol"),
        ("BARE", "/bare"),
        ("FILTERED", "/filtered"),
    ],
};
const ENTRIES: View = View {
    items: "items",
    columns: &[
        ("KEY", "/key"),
        ("STATE", "/state"),
        ("TOKEN", "/token"),
        ("HOLDER", "/holder"),
        ("EXPIRES", "/expires_at_ms"),
    ],
};

const SCHEDULES: View = View {
    items: "items",
    columns: &[
        ("NAME", "/name"),
        ("PAUSED", "/paused"),
        ("NEXT", "/next/run_at_ms"),
        ("LAST", "/last/run_at_ms"),
        ("OUTCOME", "/last/outcome"),
        ("SENT", "/totals/sent"),
        ("MISSED", "/totals/missed"),
        ("FAILED", "/totals/failed"),
    ],
};
const RUNS: View =
    View { items: "items", columns: &[("DUE", "/due_at_ms"), ("RUNS", "/run_at_ms")] };

const BACKFILLED: View = View {
    items: "runs",
    columns: &[
        ("DUE", "/due_at_ms"),
        ("OUTCOME", "/outcome"),
        ("MESSAGE ID", "/message_id"),
        ("FAILURE", "/failure"),
    ],
};

pub(crate) fn pairs(settings: &[String]) -> Result<Value, Failure> {
    kyu_settings::of_pairs(settings).map_err(Failure::Usage)
}

/// Attributes as `--attribute NAME=TEXT` gives them.
pub(crate) fn attributes(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let pairs = pairs.iter().map(|pair| {
        let wrong = || Failure::Usage(format!("--attribute {pair:?}: write NAME=TEXT"));
        let (name, text) = pair.split_once('=').ok_or_else(wrong)?;
        Ok((name.to_owned(), text.into()))
    });
    pairs.collect()
}

/// A request and how its answer is shown.
pub(crate) type Request = (Call, View);

pub(crate) fn queue_path(queue: &str, rest: &str) -> String {
    format!("/v1/queues/{}{rest}", encoded(queue))
}

pub(crate) fn exchange_path(exchange: &str, rest: &str) -> String {
    format!("/v1/exchanges/{}{rest}", encoded(exchange))
}

pub(crate) fn queue(verb: &QueueVerb) -> Result<Request, Failure> {
    Ok(match verb {
        QueueVerb::List { prefix } => {
            (Call::new(Method::GET, "/v1/queues").query("prefix", prefix.as_ref()), QUEUES)
        }
        QueueVerb::Create { name, settings, .. } => (
            Call::new(Method::PUT, queue_path(name, ""))
                .body(pairs(settings)?)
                .header("if-none-match", "*"),
            ONE,
        ),
        QueueVerb::Get { name } => (Call::new(Method::GET, queue_path(name, "")), ONE),
        QueueVerb::Set { name, settings } => {
            (Call::new(Method::PATCH, queue_path(name, "")).body(pairs(settings)?), ONE)
        }
        QueueVerb::Delete { name, .. } => (Call::new(Method::DELETE, queue_path(name, "")), ONE),
        QueueVerb::Purge { name, .. } => (Call::new(Method::POST, queue_path(name, "/purge")), ONE),
        QueueVerb::Stats { name } => (Call::new(Method::GET, queue_path(name, "/stats")), ONE),
        QueueVerb::Lanes { name } => (Call::new(Method::GET, queue_path(name, "/lanes")), LANES),
        QueueVerb::Guards { name } => (Call::new(Method::GET, queue_path(name, "/guards")), GUARDS),
    })
}

pub(crate) fn exchange(verb: &ExchangeVerb) -> Result<Request, Failure> {
    Ok(match verb {
        ExchangeVerb::List => (Call::new(Method::GET, "/v1/exchanges"), EXCHANGES),
        ExchangeVerb::Create { name, settings, .. } => (
            Call::new(Method::PUT, exchange_path(name, ""))
                .body(pairs(settings)?)
                .header("if-none-match", "*"),
            ONE,
        ),
        ExchangeVerb::Get { name } => (Call::new(Method::GET, exchange_path(name, "")), ONE),
        ExchangeVerb::Delete { name, .. } => {
            (Call::new(Method::DELETE, exchange_path(name, "")), ONE)
        }
        ExchangeVerb::Bind { exchange, queue } => {
            let call = Call::new(Method::POST, exchange_path(exchange, "/bindings"));
            (call.body(json!({ "queue": queue })), ONE)
        }
        ExchangeVerb::Bindings { exchange } => {
            (Call::new(Method::GET, exchange_path(exchange, "/bindings")), BINDINGS)
        }
        ExchangeVerb::Unbind { id } => {
            (Call::new(Method::DELETE, format!("/v1/bindings/{}", encoded(id))), ONE)
        }
    })
}

pub(crate) fn schedule_path(schedule: &str, rest: &str) -> String {
    format!("/v1/schedules/{}{rest}", encoded(schedule))
}

pub(crate) fn schedule(verb: &ScheduleVerb) -> Result<Request, Failure> {
    let path = schedule_path;
    Ok(match verb {
        ScheduleVerb::List => (Call::new(Method::GET, "/v1/schedules"), SCHEDULES),
        ScheduleVerb::Get { name } => (Call::new(Method::GET, path(name, "")), ONE),
        // What is there already decides what is asked: `schedules.rs`.
        ScheduleVerb::Put { name, settings, .. } | ScheduleVerb::Set { name, settings } => {
            (Call::new(Method::PUT, path(name, "")).body(schedules::whole(settings)?), ONE)
        }
        ScheduleVerb::Backfill { name, from, until, overlap } => {
            let body = json!({ "from_at_ms": from, "until_at_ms": until, "overlap": overlap });
            (Call::new(Method::POST, path(name, "/backfill")).body(body), BACKFILLED)
        }
        ScheduleVerb::Preview { settings, max } => {
            let body = json!({ "settings": schedules::whole(settings)? });
            let call = Call::new(Method::POST, "/v1/schedule-previews").body(body);
            (call.query("limit", Some(max.to_string())), RUNS)
        }
        ScheduleVerb::Next { name, max } => {
            let call = Call::new(Method::GET, path(name, "/next-runs"));
            (call.query("limit", Some(max.to_string())), RUNS)
        }
        ScheduleVerb::Pause { name } => (Call::new(Method::POST, path(name, "/pause")), ONE),
        ScheduleVerb::Resume { name } => (Call::new(Method::POST, path(name, "/resume")), ONE),
        ScheduleVerb::Run { name } => (Call::new(Method::POST, path(name, "/run")), ONE),
        ScheduleVerb::Delete { name, .. } => (Call::new(Method::DELETE, path(name, "")), ONE),
    })
}

/// Entries to look at. Releasing takes two requests and is not here.
pub(crate) fn ledger(verb: &LedgerVerb) -> Request {
    match verb {
        LedgerVerb::List { prefix } => {
            (Call::new(Method::GET, "/v1/ledger").query("prefix", prefix.as_ref()), ENTRIES)
        }
        LedgerVerb::Get { key } | LedgerVerb::Release { key, .. } => {
            (Call::new(Method::GET, format!("/v1/ledger/{}", encoded(key))), ONE)
        }
    }
}

/// Something about one message.
pub(crate) fn message(verb: &MessageVerb) -> Request {
    let path =
        |queue: &str, seq: u64, rest: &str| queue_path(queue, &format!("/messages/{seq}{rest}"));
    match verb {
        MessageVerb::Get { queue, seq } => (Call::new(Method::GET, path(queue, *seq, "")), ONE),
        MessageVerb::Cancel { queue, seq, in_flight } => {
            let call = Call::new(Method::DELETE, path(queue, *seq, ""));
            (call.query("in_flight", in_flight.then_some("true")), ONE)
        }
        MessageVerb::Run { queue, seq } => {
            (Call::new(Method::POST, path(queue, *seq, "/run")), ONE)
        }
        MessageVerb::Set { queue, seq, delay, at, priority } => {
            let body = json!({ "delay_ms": delay, "ready_at_ms": at, "priority": priority });
            (Call::new(Method::PATCH, path(queue, *seq, "")).body(body), ONE)
        }
        MessageVerb::Move { queue, seq, to } => {
            let call = Call::new(Method::POST, path(queue, *seq, "/move"));
            (call.body(json!({ "destination": to })), ONE)
        }
    }
}

pub(crate) fn redrive(args: &RedriveArgs) -> Request {
    let path = queue_path(&args.queue, "/move-tasks");
    if args.list {
        return (Call::new(Method::GET, path), MOVES);
    }
    if let Some(id) = args.cancel {
        return (Call::new(Method::DELETE, format!("{path}/{id}")), ONE);
    }
    let body = json!({ "destination": args.to, "max_per_second": args.max_per_second });
    (Call::new(Method::POST, path).body(body), ONE)
}

pub(crate) fn pause(args: &PauseArgs) -> Request {
    let PauseArgs { queue, lane, span, until } = args;
    let body = json!({ "lane": lane, "for_ms": span, "until_at_ms": until });
    (Call::new(Method::POST, queue_path(queue, "/pause")).body(body), ONE)
}

pub(crate) fn resume(args: &ResumeArgs) -> Request {
    let call = Call::new(Method::POST, queue_path(&args.queue, "/resume"));
    (call.body(json!({ "lane": args.lane })), ONE)
}

/// Settles all receipts in the same way.
pub(crate) fn settle(queue: &str, receipts: &[String], outcome: &Value) -> Call {
    let items = receipts.iter().map(|receipt| {
        let mut item = outcome.clone();
        if let Value::Object(fields) = &mut item {
            fields.insert("receipt".to_owned(), receipt.as_str().into());
        }
        item
    });
    let items: Vec<Value> = items.collect();
    Call::new(Method::POST, queue_path(queue, "/settle")).body(json!({ "items": items }))
}

pub(crate) fn release(args: &ReleaseArgs) -> Call {
    let mut outcome = match &args.error {
        Some(error) => json!({ "outcome": "failed", "error": error }),
        None => json!({ "outcome": "release", "counted": !args.uncounted }),
    };
    if let (Some(delay_ms), Value::Object(fields)) = (args.delay, &mut outcome) {
        fields.insert("delay_ms".to_owned(), delay_ms.into());
    }
    settle(&args.queue, &args.receipts, &outcome)
}
