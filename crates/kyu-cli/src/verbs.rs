//! Carrying out the verbs.

use std::io::{BufRead, Read};

use kyu_client::{Call, Client, Method};
use kyu_settings::limits::MAX_WAIT_MS;
use serde_json::{Map, Value, json};

use crate::args::{
    Connection, ExchangeVerb, LedgerVerb, MessageArgs, QueueVerb, ReceiveArgs, RedriveArgs,
    ScheduleVerb, SelectArgs, SendArgs, Verb,
};
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{Format, ONE, View, print};
use crate::requests::{self, Request, exchange_path, queue_path};
use crate::{redrive, schedules, selections};

/// Messages of one request where there are many.
const BATCH: usize = 1_000;
/// Bytes of bodies of one request: far below what a server takes, whatever JSON makes of them.
const BATCH_BYTES: usize = 1 << 20;

struct Shell<'a> {
    client: Client,
    connection: &'a Connection,
}

pub(crate) async fn run(verb: Verb, connection: &Connection) -> Result<(), Failure> {
    ask_first(&verb)?;
    let mut shell = Shell { client: Client::new(&connection.options()?)?, connection };
    match verb {
        Verb::Queue(verb) => {
            let fine = matches!(verb, QueueVerb::Create { if_not_exists: true, .. });
            shell.create_or_ask(requests::queue(&verb)?, fine).await
        }
        Verb::Exchange(verb) => {
            let fine = matches!(verb, ExchangeVerb::Create { if_not_exists: true, .. });
            shell.create_or_ask(requests::exchange(&verb)?, fine).await
        }
        Verb::Send(args) => shell.send(args).await,
        Verb::Publish { exchange, message } => {
            let body = body_of(message.body.as_deref())?;
            let path = exchange_path(&exchange, "/messages");
            let call = Call::new(Method::POST, path).body(message_json(&message, body)?);
            shell.ask((call, ONE)).await
        }
        Verb::Receive(args) => shell.receive(args).await,
        Verb::Peek { queue, max, all } => {
            let path = queue_path(&queue, if all { "/browse" } else { "/messages" });
            let call = Call::new(Method::GET, path);
            shell.ask((call.query("limit", Some(max.to_string())), requests::PEEKED)).await
        }
        Verb::Ack { queue, receipts } => {
            shell.each(requests::settle(&queue, &receipts, &json!({ "outcome": "ack" }))).await
        }
        Verb::Reject { queue, receipts } => {
            shell.each(requests::settle(&queue, &receipts, &json!({ "outcome": "dead" }))).await
        }
        Verb::Release(args) => shell.each(requests::release(&args)).await,
        Verb::Extend { queue, receipts, lease } => {
            let items = receipts.iter().map(|one| json!({ "receipt": one, "lease_ms": lease }));
            let body = json!({ "items": items.collect::<Vec<_>>() });
            shell.each(Call::new(Method::POST, queue_path(&queue, "/extend")).body(body)).await
        }
        Verb::Redrive(args) => shell.redrive(args).await,
        Verb::Message(verb) => shell.ask(requests::message(&verb)).await,
        Verb::Select(args) => shell.select(args).await,
        Verb::History { queue, seq } => {
            let path = queue_path(&queue, &format!("/messages/{seq}/history"));
            shell.ask((Call::new(Method::GET, path), ONE)).await
        }
        Verb::Explain { queue, seq } => {
            let path = queue_path(&queue, &format!("/messages/{seq}/explain"));
            shell.explain(Call::new(Method::GET, path)).await
        }
        Verb::Schedule(verb) => shell.schedule(verb).await,
        Verb::Pause(args) => shell.ask(requests::pause(&args)).await,
        Verb::Resume(args) => shell.ask(requests::resume(&args)).await,
        Verb::Ledger(LedgerVerb::Release { key, .. }) => shell.release_entry(key).await,
        Verb::Ledger(verb) => shell.ask(requests::ledger(&verb)).await,
        Verb::Status => shell.status().await,
        Verb::Api { method, path, body } => shell.api(&method, path, body).await,
    }
}

/// Asks, before anything else happens, whether something may be destroyed.
fn ask_first(verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Queue(QueueVerb::Delete { name, yes }) => {
            confirm(&format!("Delete queue {name:?} and its messages"), *yes)
        }
        Verb::Queue(QueueVerb::Purge { name, yes }) => {
            confirm(&format!("Drop all messages of queue {name:?}"), *yes)
        }
        Verb::Exchange(ExchangeVerb::Delete { name, yes }) => {
            confirm(&format!("Delete exchange {name:?} and its bindings"), *yes)
        }
        Verb::Schedule(ScheduleVerb::Delete { name, yes }) => {
            confirm(&format!("Delete schedule {name:?}"), *yes)
        }
        Verb::Select(args) if args.cancel => {
            confirm(&format!("Remove the chosen messages of queue {:?}", args.queue), args.yes)
        }
        Verb::Ledger(LedgerVerb::Release { key, yes }) => {
            confirm(&format!("Forget entry {key:?}, so that its work may be done again"), *yes)
        }
        _ => Ok(()),
    }
}

impl Shell<'_> {
    fn print(&self, answer: &Value, view: View) -> Result<(), Failure> {
        print(answer, view, self.connection.output)
    }

    /// One request, and all pages of it if it is a list.
    async fn ask(&mut self, (call, view): Request) -> Result<(), Failure> {
        let mut answer = self.client.call(call.clone()).await?;
        while let Some(cursor) = answer.get("next_cursor").and_then(Value::as_str) {
            let next = call.clone().query("cursor", Some(cursor));
            let mut page = self.client.call(next).await?;
            let more = page.get_mut(view.items).map(Value::take);
            if let (Some(Value::Array(items)), Some(Value::Array(more))) =
                (answer.get_mut(view.items), more)
            {
                items.extend(more);
            }
            let cursor = page.get_mut("next_cursor").map(Value::take).unwrap_or_default();
            if let Value::Object(fields) = &mut answer {
                fields.insert("next_cursor".to_owned(), cursor);
            }
        }
        self.warn(&mut answer);
        self.print(&answer, view)
    }

    /// Says what the server thinks is not meant, beside the answer and not in its table.
    fn warn(&self, answer: &mut Value) {
        let warnings = answer.get("warnings").and_then(Value::as_array);
        for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("kyu: warning: {warning}");
        }
        if let (Format::Table, Value::Object(fields)) = (self.connection.output, &mut *answer)
            && fields.remove("warnings").is_some()
            && fields.is_empty()
        {
            *answer = Value::Null;
        }
    }

    async fn schedule(&mut self, verb: ScheduleVerb) -> Result<(), Failure> {
        let answer = match verb {
            ScheduleVerb::Put { name, settings, replace: false } => {
                schedules::put(&mut self.client, &name, &settings, false).await?
            }
            ScheduleVerb::Set { name, settings } => {
                schedules::put(&mut self.client, &name, &settings, true).await?
            }
            verb => return self.ask(requests::schedule(&verb)?).await,
        };
        self.print(&answer, ONE)
    }

    async fn select(&mut self, args: SelectArgs) -> Result<(), Failure> {
        let chosen = selections::select(&self.client, &args).await?;
        self.print(&chosen, selections::SELECTED)?;
        selections::check(&chosen)
    }

    async fn redrive(&mut self, args: RedriveArgs) -> Result<(), Failure> {
        if args.list || args.cancel.is_some() || args.no_wait {
            return self.ask(requests::redrive(&args)).await;
        }
        if args.filter.is_empty() && args.max.is_none() {
            return redrive::run(&self.client, self.connection.output, &args).await;
        }
        let (to, max) = (args.to.as_deref(), args.max);
        let moved = selections::redrive(&self.client, &args.queue, &args.filter, to, max).await?;
        self.print(&moved, selections::SELECTED)?;
        selections::check(&moved)
    }

    /// The answer in a sentence first, then what it rests on.
    async fn explain(&mut self, call: Call) -> Result<(), Failure> {
        let mut answer = self.client.call(call).await?;
        if self.connection.output == Format::Table
            && let Value::Object(fields) = &mut answer
        {
            let summary = fields.remove("summary").unwrap_or_default();
            let said = json!({ "summary": summary });
            self.print(&said, View { items: "", columns: &[("", "/summary")] })?;
            fields.retain(|name, value| name != "now_ms" && !value.is_null());
        }
        self.print(&answer, ONE)
    }

    /// A request that may find what it was to create; where that is fine, it is shown instead.
    async fn create_or_ask(&mut self, request: Request, fine: bool) -> Result<(), Failure> {
        let path = request.0.path.clone();
        match self.ask(request).await {
            Err(Failure::Conflict(_)) if fine => {
                self.ask((Call::new(Method::GET, path), ONE)).await
            }
            ended => ended,
        }
    }

    /// A request with a result for each item: all must be done.
    async fn each(&mut self, call: Call) -> Result<(), Failure> {
        const STATUSES: View = View { items: "results", columns: &[("STATUS", "/status")] };
        let answer = self.client.call(call).await?;
        self.print(&answer, STATUSES)?;
        let results = answer.get("results").and_then(Value::as_array);
        let undone = results.into_iter().flatten();
        match undone.filter(|one| one.get("status") != Some(&"done".into())).count() {
            0 => Ok(()),
            1 => Err(Failure::Conflict("one was not done".into())),
            count => Err(Failure::Conflict(format!("{count} were not done"))),
        }
    }

    async fn send(&mut self, args: SendArgs) -> Result<(), Failure> {
        let message = |body: String| {
            let mut message = message_json(&args.message, body)?;
            let optional = [
                ("delay_ms", args.delay.map(Value::from)),
                ("ready_at_ms", args.at.map(Value::from)),
                ("expires_at_ms", args.expires_at.map(Value::from)),
                ("priority", args.priority.map(Value::from)),
                ("unique", args.unique.as_ref().map(|key| json!({ "key": key }))),
            ];
            if let Value::Object(fields) = &mut message {
                let given = optional.into_iter();
                fields.extend(given.filter_map(|(name, v)| v.map(|v| (name.to_owned(), v))));
            }
            Ok::<_, Failure>(message)
        };
        if !args.lines {
            let body = body_of(args.message.body.as_deref())?;
            let path = queue_path(&args.queue, "/messages");
            let call = Call::new(Method::POST, path).body(message(body)?);
            return self.ask((call, ONE)).await;
        }
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| Failure::Failed(format!("reading input: {error}")))?;
            if batch.len() == BATCH || (bytes + line.len() > BATCH_BYTES && !batch.is_empty()) {
                self.send_batch(&args.queue, std::mem::take(&mut batch)).await?;
                bytes = 0;
            }
            bytes += line.len();
            batch.push(message(line)?);
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.send_batch(&args.queue, batch).await
    }

    async fn send_batch(&mut self, queue: &str, messages: Vec<Value>) -> Result<(), Failure> {
        const SENT: View = View {
            items: "results",
            columns: &[
                ("SEQ", "/seq"),
                ("MESSAGE ID", "/message_id"),
                ("DUPLICATE", "/duplicate"),
                ("ERROR", "/error/detail"),
            ],
        };
        let path = queue_path(queue, "/messages/batch");
        let call = Call::new(Method::POST, path).body(json!({ "messages": messages }));
        let answer = self.client.call(call).await?;
        self.print(&answer, SENT)?;
        let results = answer.get("results").and_then(Value::as_array);
        let refused = results.into_iter().flatten().filter(|one| one.get("error").is_some());
        match refused.count() {
            0 => Ok(()),
            count => Err(Failure::Conflict(format!("refused: {count} of {}", messages.len()))),
        }
    }

    async fn receive(&mut self, args: ReceiveArgs) -> Result<(), Failure> {
        let body = json!({
            "max_messages": args.max,
            "wait_ms": args.wait,
            "lease_ms": args.lease,
            "consumer": "kyu-cli",
        });
        let call = Call::new(Method::POST, queue_path(&args.queue, "/receive"));
        let call = call.body(body).waiting(args.wait.unwrap_or(MAX_WAIT_MS));
        let answer = self.client.call(call).await?;
        self.print(&answer, requests::RECEIVED)?;
        let messages = answer.get("messages").and_then(Value::as_array);
        let receipts: Vec<String> = messages
            .into_iter()
            .flatten()
            .filter_map(|message| message.get("receipt")?.as_str().map(str::to_owned))
            .collect();
        if !args.ack || receipts.is_empty() {
            return Ok(());
        }
        // Printed first: what is acknowledged is gone.
        let call = requests::settle(&args.queue, &receipts, &json!({ "outcome": "ack" }));
        let answer = self.client.call(call).await?;
        let results = answer.get("results").and_then(Value::as_array);
        let all = results.is_some_and(|all| all.iter().all(|one| one["status"] == "done"));
        if all { Ok(()) } else { Err(Failure::Conflict("not all were acknowledged".into())) }
    }

    async fn release_entry(&mut self, key: String) -> Result<(), Failure> {
        let (call, _) = requests::ledger(&LedgerVerb::Get { key });
        let path = format!("{}/release", call.path);
        let entry = self.client.call(call).await?;
        let token = entry.get("token").cloned().unwrap_or_default();
        let release = Call::new(Method::POST, path).body(json!({ "token": token }));
        Ok(self.client.call(release).await.map(drop)?)
    }

    async fn status(&mut self) -> Result<(), Failure> {
        let server = self.client.call(Call::new(Method::GET, "/v1/server")).await?;
        let stats = self.client.call(Call::new(Method::GET, "/v1/server/stats")).await?;
        let mut all = Map::new();
        for part in [server, stats] {
            if let Value::Object(fields) = part {
                all.extend(fields);
            }
        }
        self.print(&all.into(), ONE)
    }

    async fn api(
        &mut self,
        method: &str,
        path: String,
        body: Option<String>,
    ) -> Result<(), Failure> {
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
            .map_err(|_| Failure::Usage(format!("{method:?} is no method")))?;
        let mut call = Call::new(method, path).waiting(MAX_WAIT_MS);
        if let Some(body) = body {
            let text = if body == "-" { body_of(None)? } else { body };
            let body = serde_json::from_str(&text)
                .map_err(|error| Failure::Usage(format!("the body is no JSON: {error}")))?;
            call = call.body(body);
        }
        let answer = self.client.call(call).await?;
        let format = match self.connection.output {
            Format::Table => Format::Json,
            format => format,
        };
        print(&answer, View { items: "items", columns: &[] }, format)
    }
}

/// A body from the command line, or from standard input to its end.
fn body_of(argument: Option<&str>) -> Result<String, Failure> {
    match argument {
        Some(body) if body != "-" => Ok(body.to_owned()),
        _ => {
            let mut body = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut body);
            read.map_err(|error| Failure::Failed(format!("reading input: {error}")))?;
            Ok(body)
        }
    }
}

fn message_json(args: &MessageArgs, body: String) -> Result<Value, Failure> {
    let mut message = Map::new();
    message.insert("body".to_owned(), body.into());
    let attributes = requests::attributes(&args.attributes)?;
    if !attributes.is_empty() {
        message.insert("attributes".to_owned(), attributes.into());
    }
    let optional = [("lane", &args.lane), ("dedup_id", &args.dedup_id)];
    for (name, value) in optional {
        if let Some(value) = value {
            message.insert(name.to_owned(), value.as_str().into());
        }
    }
    Ok(message.into())
}
