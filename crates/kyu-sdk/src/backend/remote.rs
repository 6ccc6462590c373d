//! A server: its admin API (`/v1`, JSON over HTTP/1.1).

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kyu_broker::{CatchUp, OverlapPolicy, RateLimit, ScheduleRule};
use serde_json::{Value, json};

use super::{
    ClaimRequest, Completion, Ending, Failure, Finish, Finished, Handle, Incoming, LedgerClaimed,
    Outgoing, QueueSettings, hex, millis, unix_ms,
};
use crate::error::Error;
use crate::job::{Enqueued, Limits};
use crate::schedule::Schedule;

/// More than the largest answer that we ask for: 10 messages of 1 MiB.
const MAX_ANSWER_BYTES: usize = 32 << 20;
/// How long an answer may take beyond the wait that was asked for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Remote {
    client: Client<HttpConnector, Full<Bytes>>,
    /// Without a slash at the end.
    base: String,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let base = url.trim_end_matches('/');
        let uri: Uri = base.parse().map_err(|_| Error::Invalid(format!("{url:?} is not a URL")))?;
        if uri.scheme_str() != Some("http") || uri.host().is_none() {
            return Err(Error::Invalid(format!("{url:?}: use http://HOST:PORT")));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(10)));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, base: base.to_owned() })
    }

    pub(crate) async fn declare(&self, settings: &QueueSettings) -> Result<(), Failure> {
        let dead = settings.dead_letter_queue();
        self.create(&dead, json!({})).await?;
        self.create(settings.queue, queue_settings(settings, &dead)).await
    }

    async fn create(&self, queue: &str, settings: Value) -> Result<(), Failure> {
        let only_new = [(header::IF_NONE_MATCH, "*")];
        match self.call(Method::PUT, &path(queue, ""), &only_new, &settings, 0).await {
            Ok(_) => Ok(()),
            Err(Refused { code, .. }) if code == "queue_exists" => Ok(()),
            Err(refused) => Err(refused.into()),
        }
    }

    pub(crate) async fn enqueue(&self, outgoing: &Outgoing) -> Result<Enqueued, Failure> {
        let sent = self.post(&path(&outgoing.queue, "/messages"), &message(outgoing)?).await?;
        Ok(Enqueued {
            id: text(&sent, "message_id")?,
            duplicate: sent.get("duplicate").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    pub(crate) async fn receive(
        &self,
        queue: &str,
        most: u32,
        lease_ms: u64,
        wait_ms: u64,
    ) -> Result<Vec<Incoming>, Failure> {
        let wish = json!({ "max_messages": most, "lease_ms": lease_ms, "wait_ms": wait_ms });
        let path = path(queue, "/receive");
        let answer = self.call(Method::POST, &path, &[], &wish, wait_ms).await?;
        let messages = answer.get("messages").and_then(Value::as_array);
        messages.into_iter().flatten().map(incoming).collect()
    }

    pub(crate) async fn extend(
        &self,
        queue: &str,
        handle: &Handle,
        lease_ms: u64,
    ) -> Result<bool, Failure> {
        let items = json!([{ "receipt": receipt(handle)?, "lease_ms": lease_ms }]);
        let answer = self.post(&path(queue, "/extend"), &json!({ "items": items })).await?;
        Ok(first_status(&answer) == Some("done"))
    }

    pub(crate) async fn finish(&self, finish: &Finish) -> Result<Finished, Failure> {
        let items = json!([ended(receipt(&finish.handle)?, &finish.ending)]);
        if finish.outgoing.is_empty() && finish.completions.is_empty() {
            let settle = json!({ "items": items });
            let answer = self.post(&path(finish.queue, "/settle"), &settle).await?;
            let done = first_status(&answer) == Some("done");
            return Ok(if done { Finished::Done } else { Finished::Stale });
        }
        let mut commands = vec![json!({ "op": "settle", "queue": finish.queue, "items": items })];
        for completion in &finish.completions {
            commands.push(json!({
                "op": "complete_claim", "key": completion.key, "complete": complete(completion),
            }));
        }
        for outgoing in &finish.outgoing {
            let messages = json!([message(outgoing)?]);
            commands.push(json!({ "op": "send", "queue": outgoing.queue, "messages": messages }));
        }
        let group = json!({ "commands": commands });
        match self.call(Method::POST, "/v1/atomic", &[], &group, 0).await {
            Ok(_) => Ok(Finished::Done),
            // The first command is the settle: the delivery no longer counts.
            Err(Refused { code, at: Some(0), .. }) if code == "item_refused" => Ok(Finished::Stale),
            Err(refused) => Err(refused.into()),
        }
    }

    pub(crate) async fn claim(&self, claim: &ClaimRequest) -> Result<LedgerClaimed, Failure> {
        let wish = json!({
            "fingerprint": hex(&claim.fingerprint),
            "holder": claim.holder,
            "lease_ms": claim.lease_ms,
        });
        let answer = self.post(&ledger(&claim.key, "/claim"), &wish).await?;
        let number = |name: &str| answer.get(name).and_then(Value::as_u64);
        match (answer.get("status").and_then(Value::as_str), number("token")) {
            (Some("run"), Some(token)) => Ok(LedgerClaimed::Run { token }),
            (Some("already_done"), _) => {
                Ok(LedgerClaimed::Done { result: text(&answer, "result")?.into() })
            }
            (Some("held"), _) => {
                // By this machine's clock: it only says when to try again.
                let until_ms = number("expires_at_ms").unwrap_or_default();
                Ok(LedgerClaimed::Held { for_ms: until_ms.saturating_sub(unix_ms()) })
            }
            (Some("key_reused"), _) => Ok(LedgerClaimed::Reused),
            _ => Err(misunderstood(&answer)),
        }
    }

    pub(crate) async fn complete(&self, completion: &Completion) -> Result<(), Failure> {
        self.post(&ledger(&completion.key, "/complete"), &complete(completion)).await.map(drop)
    }

    pub(crate) async fn release_claim(&self, key: &str, token: u64) -> Result<(), Failure> {
        self.post(&ledger(key, "/release"), &json!({ "token": token })).await.map(drop)
    }

    pub(crate) async fn schedule(
        &self,
        name: &str,
        schedule: &Schedule,
        job: &Outgoing,
    ) -> Result<(), Failure> {
        let rule = match &schedule.rule {
            ScheduleRule::Cron { expression, time_zone } => {
                json!({ "kind": "cron", "expression": expression, "time_zone": time_zone })
            }
            ScheduleRule::Every { interval_ms, .. } => {
                json!({ "kind": "every", "interval_ms": interval_ms })
            }
        };
        let catch_up = match schedule.catch_up {
            CatchUp::Skip { grace_ms } => json!({ "kind": "skip", "grace_ms": grace_ms }),
            CatchUp::One => json!({ "kind": "one" }),
            CatchUp::All { max } => json!({ "kind": "all", "max": max }),
        };
        let overlap = match schedule.overlap {
            OverlapPolicy::Allow => "allow",
            OverlapPolicy::Skip => "skip",
            OverlapPolicy::Replace => "replace",
        };
        let settings = json!({
            "rule": rule,
            "target": { "queue": job.queue },
            "message": message(job)?,
            "jitter_ms": millis(schedule.jitter),
            "catch_up": catch_up,
            "overlap": overlap,
        });
        let path = format!("/v1/schedules/{}", segment(name));
        self.call(Method::PUT, &path, &[], &settings, 0).await?;
        Ok(())
    }

    pub(crate) async fn unschedule(&self, name: &str) -> Result<(), Failure> {
        let path = format!("/v1/schedules/{}", segment(name));
        match self.call(Method::DELETE, &path, &[], &Value::Null, 0).await {
            Err(refused) if refused.code != "schedule_not_found" => Err(refused.into()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn counts(&self, queue: &str) -> Result<(u64, u64, u64), Failure> {
        let path = path(queue, "/stats");
        let answer = self.call(Method::GET, &path, &[], &Value::Null, 0).await?;
        let now = answer.get("stats").unwrap_or(&Value::Null);
        let number = |name: &str| now.get(name).and_then(Value::as_u64).unwrap_or(0);
        Ok((number("ready"), number("delayed"), number("in_flight")))
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        Ok(self.call(Method::POST, path, &[], body, 0).await?)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: &Value,
        wait_ms: u64,
    ) -> Result<Value, Refused> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let bytes = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        if !bytes.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(bytes)).map_err(Refused::unreachable)?;
        let limit = PATIENCE + Duration::from_millis(wait_ms);
        let exchange = async {
            let response = self.client.request(request).await.map_err(Refused::unreachable)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
            Ok((head.status, body.map_err(Refused::unreachable)?.to_bytes()))
        };
        let (status, body) =
            tokio::time::timeout(limit, exchange).await.map_err(Refused::unreachable)??;
        let answer = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() { Ok(answer) } else { Err(Refused::new(status, &answer)) }
    }
}

/// An answer that is not success, or none.
struct Refused {
    /// Of the problem document; empty if there is none.
    code: String,
    detail: String,
    /// Command of an atomic group.
    at: Option<u64>,
    /// Later it may work.
    later: bool,
}

impl Refused {
    fn new(status: StatusCode, problem: &Value) -> Self {
        let field = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            code: field("code").to_owned(),
            detail: format!("{status}: {}", field("detail")),
            at: problem.get("at").and_then(Value::as_u64),
            later: status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT,
        }
    }

    fn unreachable(error: impl std::fmt::Display) -> Self {
        Self { code: String::new(), detail: error.to_string(), at: None, later: true }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused.code.as_str() {
            "queue_not_found" => Self::QueueNotFound,
            "token_lost" => Self::Fenced,
            _ if refused.later => Self::Other(Error::Retry(refused.detail)),
            _ => Self::Other(Error::Invalid(refused.detail)),
        }
    }
}

fn queue_settings(settings: &QueueSettings, dead_letter_queue: &str) -> Value {
    let (retry, limits) = (&settings.retry, &settings.limits);
    let max_attempts = retry.max_attempts.max(1);
    let rate = |rate: RateLimit| {
        json!({
            "permits": rate.permits, "interval_ms": rate.interval_ms, "burst": rate.burst,
        })
    };
    let mut all = json!({
        "dead_letter": { "queue": dead_letter_queue, "max_receives": max_attempts },
        "retry": {
            "backoff": {
                "kind": "exponential",
                "first_ms": millis(retry.first),
                "factor_percent": retry.factor_percent,
                "max_ms": millis(retry.longest),
            },
            "jitter_percent": retry.jitter_percent,
            "max_attempts": max_attempts,
        },
        "rate": limits.rate.map(rate),
        "lanes": {
            "max_in_flight": limits.lane_max_in_flight,
            "rate": limits.lane_rate.map(rate),
        },
        "guard": guard(limits),
    });
    if let (Some(all), Some(most)) = (all.as_object_mut(), limits.max_in_flight) {
        all.insert("max_in_flight".into(), most.into());
    }
    all
}

fn guard(limits: &Limits) -> Option<Value> {
    if limits.budget.is_none() && limits.breaker.is_none() {
        return None;
    }
    let budget = limits.budget.map(|budget| {
        json!({
            "earn_percent": budget.earn_percent,
            "floor_per_second": budget.floor_per_second,
            "max_tokens": budget.max_tokens,
        })
    });
    let breaker = limits.breaker.map(|breaker| {
        json!({
            "window_ms": breaker.window_ms,
            "min_attempts": breaker.min_attempts,
            "failure_percent": breaker.failure_percent,
            "open_ms": breaker.open_ms,
            "probes": breaker.probes,
        })
    });
    Some(json!({ "key": "queue", "budget": budget, "breaker": breaker }))
}

fn path(queue: &str, rest: &str) -> String {
    format!("/v1/queues/{}{rest}", segment(queue))
}

fn ledger(key: &str, rest: &str) -> String {
    format!("/v1/ledger/{}{rest}", segment(key))
}

/// One segment of a path (RFC 3986): everything but unreserved characters is escaped.
fn segment(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn message(outgoing: &Outgoing) -> Result<Value, Failure> {
    let body = std::str::from_utf8(&outgoing.body)
        .map_err(|error| Failure::Other(Error::Invalid(error.to_string())))?;
    let mut message = json!({ "body": body });
    let fields = [
        ("delay_ms", outgoing.delay_ms.map(Value::from)),
        ("expires_at_ms", outgoing.expires_at_ms.map(Value::from)),
        ("priority", Some(outgoing.priority.into())),
        ("lane", outgoing.lane.clone().map(Value::from)),
        ("dedup_id", outgoing.dedup_id.clone().map(Value::from)),
        ("unique", outgoing.unique.as_ref().map(|key| json!({ "key": key }))),
    ];
    if let Some(object) = message.as_object_mut() {
        object.extend(fields.into_iter().filter_map(|(name, v)| Some((name.to_owned(), v?))));
    }
    Ok(message)
}

fn incoming(message: &Value) -> Result<Incoming, Failure> {
    let attempt = message.get("receive_count").and_then(Value::as_u64).unwrap_or(1);
    Ok(Incoming {
        handle: Handle::Remote(text(message, "receipt")?),
        id: text(message, "message_id")?,
        body: text(message, "body").unwrap_or_default().into(),
        attempt: u32::try_from(attempt).unwrap_or(u32::MAX),
    })
}

fn ended(receipt: &str, ending: &Ending) -> Value {
    match ending {
        Ending::Ack => json!({ "receipt": receipt, "outcome": "ack" }),
        Ending::Failed { delay_ms, error } => json!({
            "receipt": receipt, "outcome": "failed", "delay_ms": delay_ms, "error": error,
        }),
        Ending::GiveBack { delay_ms } => json!({
            "receipt": receipt, "outcome": "release", "delay_ms": delay_ms, "counted": false,
        }),
        Ending::Dead { error } => json!({
            "receipt": receipt, "outcome": "failed", "retry": false, "error": error,
        }),
    }
}

fn complete(completion: &Completion) -> Value {
    json!({
        "token": completion.token,
        "result": String::from_utf8_lossy(&completion.result),
        "keep_ms": completion.keep_ms,
    })
}

fn receipt(handle: &Handle) -> Result<&str, Failure> {
    match handle {
        Handle::Remote(receipt) => Ok(receipt),
        Handle::Embedded(_) => {
            Err(Failure::Other(Error::Invalid("the delivery came from this process".into())))
        }
    }
}

fn first_status(answer: &Value) -> Option<&str> {
    answer.get("results")?.get(0)?.get("status")?.as_str()
}

fn text(answer: &Value, name: &str) -> Result<String, Failure> {
    let found = answer.get(name).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| misunderstood(answer))
}

fn misunderstood(answer: &Value) -> Failure {
    Failure::Other(Error::Invalid(format!("the server's answer is not understood: {answer}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_segment_of_the_path() {
        assert_eq!(path("a/b c", "/stats"), "/v1/queues/a%2Fb%20c/stats");
    }

    #[test]
    fn urls_are_checked() {
        assert!(Remote::new("http://127.0.0.1:9324/").is_ok());
        for bad in ["127.0.0.1:9324", "https://host", "nonsense url"] {
            assert!(Remote::new(bad).is_err(), "{bad}");
        }
    }
}
