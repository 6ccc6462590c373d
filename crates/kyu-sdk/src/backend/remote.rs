//! A server: its admin API (`/v1`, JSON over HTTP/1.1).

use kyu_client::{Call, Client, ClientOptions, Method, Problem, encoded};
use kyu_model::{CatchUp, OverlapPolicy, ScheduleRule};
use serde_json::{Value, json};

use super::declared::{self, Plan};
use super::{
    ClaimRequest, Completion, DECLARE_TRIES, Ending, Failure, Finish, Finished, Handle, Incoming,
    LedgerClaimed, Outgoing, QueueSettings, hex, millis, not_default, retain_changed, unix_ms,
};
use crate::error::Error;
use crate::job::Enqueued;
use crate::schedule::Schedule;

/// The namespace of settings that become JSON, which names none: the server puts its own there.
const UNNAMED: &str = "";

#[derive(Debug)]
pub(crate) struct Remote(Client);

impl Remote {
    pub(crate) fn new(options: &ClientOptions) -> Result<Self, Error> {
        Ok(Self(Client::new(options)?))
    }

    pub(crate) async fn declare(&self, settings: &QueueSettings) -> Result<(), Failure> {
        self.create(&settings.dead_letter_queue(), json!({})).await?;
        let declared = not_default(&settings.config(UNNAMED))?;
        if self.create(settings.queue, declared::tagged(&declared)).await? {
            return Ok(());
        }
        for _ in 0..DECLARE_TRIES {
            let there = self.0.call(Call::new(Method::GET, path(settings.queue, ""))).await?;
            let all = there.get("settings").cloned().unwrap_or_default();
            let mut has = all.clone();
            retain_changed(&mut has)?;
            let patch = match declared::plan(&declared, &has) {
                Plan::Keep => return Ok(()),
                Plan::Differs(names) => {
                    super::say_differs(settings.queue, &names);
                    return Ok(());
                }
                Plan::Apply(patch) => patch,
            };
            // As a whole: a merge patch would mix the halves of two policies.
            let call = Call::new(Method::PUT, path(settings.queue, ""));
            let etag = format!("\"{}\"", text(&there, "etag")?);
            let call = call.body(declared::applied(&all, &patch)).header("if-match", etag);
            match self.0.call(call).await {
                Ok(_) => {
                    super::say_applied(settings.queue, &patch);
                    return Ok(());
                }
                Err(kyu_client::Error::Refused(problem)) if problem.code == "version_conflict" => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Retry("others keep changing the settings of the queue".into()).into())
    }

    /// Creates a queue; `false` if it was there.
    async fn create(&self, queue: &str, settings: Value) -> Result<bool, Failure> {
        let call = Call::new(Method::PUT, path(queue, "")).header("if-none-match", "*");
        match self.0.call(call.body(settings)).await {
            Err(kyu_client::Error::Refused(problem)) if problem.code == "queue_exists" => Ok(false),
            result => Ok(result.map(|_| true)?),
        }
    }

    pub(crate) async fn enqueue(&self, outgoing: &Outgoing) -> Result<Enqueued, Failure> {
        let sent = self.post(&path(&outgoing.queue, "/messages"), message(outgoing)?).await?;
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
        let call = Call::new(Method::POST, path(queue, "/receive")).body(wish).waiting(wait_ms);
        let answer = self.0.call(call).await?;
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
        let answer = self.post(&path(queue, "/extend"), json!({ "items": items })).await?;
        Ok(first_status(&answer) == Some("done"))
    }

    pub(crate) async fn finish(&self, finish: &Finish) -> Result<Finished, Failure> {
        let items = json!([ended(receipt(&finish.handle)?, &finish.ending)]);
        if finish.outgoing.is_empty() && finish.completions.is_empty() {
            let settle = json!({ "items": items });
            let answer = self.post(&path(finish.queue, "/settle"), settle).await?;
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
        match self.0.call(Call::new(Method::POST, "/v1/atomic").body(group)).await {
            // The first command is the settle: the delivery no longer counts.
            Err(kyu_client::Error::Refused(Problem { code, at: Some(0), .. }))
                if code == "item_refused" =>
            {
                Ok(Finished::Stale)
            }
            result => Ok(result.map(|_| Finished::Done)?),
        }
    }

    pub(crate) async fn claim(&self, claim: &ClaimRequest) -> Result<LedgerClaimed, Failure> {
        let wish = json!({
            "fingerprint": hex(&claim.fingerprint),
            "holder": claim.holder,
            "lease_ms": claim.lease_ms,
        });
        let answer = self.post(&ledger(&claim.key, "/claim"), wish).await?;
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
        self.post(&ledger(&completion.key, "/complete"), complete(completion)).await.map(drop)
    }

    pub(crate) async fn release_claim(&self, key: &str, token: u64) -> Result<(), Failure> {
        self.post(&ledger(key, "/release"), json!({ "token": token })).await.map(drop)
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
        Ok(self
            .0
            .call(Call::new(Method::PUT, schedule_path(name)).body(settings))
            .await
            .map(drop)?)
    }

    pub(crate) async fn unschedule(&self, name: &str) -> Result<(), Failure> {
        match self.0.call(Call::new(Method::DELETE, schedule_path(name))).await {
            Err(kyu_client::Error::Refused(problem)) if problem.code == "schedule_not_found" => {
                Ok(())
            }
            result => Ok(result.map(drop)?),
        }
    }

    pub(crate) async fn counts(&self, queue: &str) -> Result<(u64, u64, u64), Failure> {
        let answer = self.0.call(Call::new(Method::GET, path(queue, "/stats"))).await?;
        let now = answer.get("stats").unwrap_or(&Value::Null);
        let number = |name: &str| now.get(name).and_then(Value::as_u64).unwrap_or(0);
        Ok((number("ready"), number("delayed"), number("in_flight")))
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        Ok(self.0.call(Call::new(Method::POST, path).body(body)).await?)
    }
}

impl From<kyu_client::Error> for Error {
    fn from(error: kyu_client::Error) -> Self {
        match error {
            kyu_client::Error::Unreachable(text) => Self::Retry(text),
            kyu_client::Error::Refused(problem) if problem.is_temporary() => {
                Self::Retry(problem.to_string())
            }
            error => Self::Invalid(error.to_string()),
        }
    }
}

impl From<kyu_client::Error> for Failure {
    fn from(error: kyu_client::Error) -> Self {
        match &error {
            kyu_client::Error::Refused(problem) if problem.code == "queue_not_found" => {
                Self::QueueNotFound
            }
            kyu_client::Error::Refused(problem) if problem.code == "token_lost" => Self::Fenced,
            _ => Self::Other(error.into()),
        }
    }
}

fn path(queue: &str, rest: &str) -> String {
    format!("/v1/queues/{}{rest}", encoded(queue))
}

fn ledger(key: &str, rest: &str) -> String {
    format!("/v1/ledger/{}{rest}", encoded(key))
}

fn schedule_path(name: &str) -> String {
    format!("/v1/schedules/{}", encoded(name))
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
        ("attributes", (!outgoing.attributes.is_empty()).then(|| json!(outgoing.attributes))),
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
        scheduled_at_ms: message.get("scheduled_at_ms").and_then(Value::as_u64),
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
        #[cfg(feature = "embedded")]
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
    use kyu_model::QueueConfig;

    use super::*;
    use crate::job::{Limits, Retry};

    #[test]
    fn a_queue_is_made_with_what_its_job_type_asks_for_and_nothing_else() {
        let limits = Limits { max_in_flight: Some(3), ..Limits::NONE };
        let settings = QueueSettings { queue: "mails", retry: Retry::DEFAULT, limits };
        let expected = json!({
            "dead_letter": { "queue": "mails-dead", "max_receives": 5 },
            "retry": {
                "backoff": {
                    "kind": "exponential", "first_ms": 1000, "factor_percent": 500, "max_ms": 600_000,
                },
                "jitter_percent": 50,
                "max_attempts": 5,
            },
            "max_in_flight": 3,
        });
        assert_eq!(not_default(&settings.config("any")).unwrap(), expected);
        assert_eq!(not_default(&QueueConfig::default()).unwrap(), json!({}));
    }
}
