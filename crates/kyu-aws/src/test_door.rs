//! A door over a real broker in a directory of its own, and transcripts of what it says.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http_body_util::BodyExt;
use kyu_broker::{Broker, Options};
use kyu_door::access::Access;
use kyu_door::http::{Handler, Head, Rejection, Request, Response};
use serde_json::{Value, json};

use crate::{Sqs, SqsOptions};

/// The host of all test requests.
pub(crate) const HOST: &str = "localhost:9324";

pub(crate) struct Door {
    sqs: Sqs,
    broker: Broker,
    dir: PathBuf,
}

impl Drop for Door {
    /// Closes the broker before its directory goes: a log that cannot be written ends the process.
    fn drop(&mut self) {
        let broker = self.broker.clone();
        let closing = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async move { broker.shutdown().await });
        });
        let _ = closing.join();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// An answer as it goes out.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Door {
    /// Envelopes are not signed: that takes long without optimisation, and few tests are about it.
    pub(crate) fn open() -> Self {
        let mut options = SqsOptions::default();
        options.sns.sign_all = false;
        Self::with(options, Access::new(vec![]))
    }

    pub(crate) fn with(options: SqsOptions, access: Access) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kyu-aws-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        let mut small = Options::new(&dir);
        small.log.segment_bytes = 8 << 20;
        small.log.reserve_bytes = 8 << 20;
        let broker = Broker::open(small).unwrap();
        let mut options = options;
        // A key that was made before: making one takes long without optimisation.
        let key = include_str!("sns/signing/test-key.pem");
        std::fs::write(dir.join("sns-signing-key.pem"), key).unwrap();
        options.sns.key_dir = Some(dir.clone());
        Self { sqs: Sqs::new(broker.clone(), access, options), broker, dir }
    }

    /// Begins to deliver to HTTP endpoints.
    pub(crate) fn start_deliveries(&self) -> crate::Deliveries {
        self.sqs.start_deliveries()
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.broker
    }

    /// One request, whatever it is.
    pub(crate) async fn say(&self, request: hyper::Request<Vec<u8>>) -> Said {
        let (head, body) = request.into_parts();
        let peer = "127.0.0.1:50000".parse().unwrap();
        hear(
            self.sqs
                .handle(Request { head, body: body.into(), peer, local: None, secure: false })
                .await,
        )
        .await
    }

    /// The answer to a request that could not be read.
    pub(crate) async fn rejected(&self, head: &Head, reason: Rejection) -> Said {
        hear(self.sqs.reject(head, reason)).await
    }

    /// A request as boto3 sends it.
    pub(crate) async fn post(&self, action: &str, body: &str) -> Said {
        let request = hyper::Request::post("/")
            .header("host", HOST)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("AmazonSQS.{action}"));
        self.say(request.body(body.as_bytes().to_vec()).unwrap()).await
    }

    /// The result of an action that succeeds.
    pub(crate) async fn ok(&self, action: &str, request: Value) -> Value {
        let said = self.post(action, &request.to_string()).await;
        assert_eq!(said.status, 200, "{action} {request}: {}", said.body);
        assert_eq!(said.header("content-type"), "application/x-amz-json-1.0");
        assert_eq!(said.header("x-amzn-requestid").len(), 36);
        said.json()
    }

    /// Status, Query code and text of an action that fails.
    pub(crate) async fn fails(&self, action: &str, request: Value) -> (u16, String, String) {
        let said = self.post(action, &request.to_string()).await;
        assert_ne!(said.status, 200, "{action} {request}: {}", said.body);
        let error = said.json();
        assert!(error["__type"].as_str().unwrap().starts_with("com.amazon"), "{error}");
        let code = said.header("x-amzn-query-error").to_owned();
        let code = code.strip_suffix(";Sender").unwrap_or(&code).to_owned();
        (said.status, code, error["message"].as_str().unwrap().to_owned())
    }

    /// Makes a queue and returns its URL.
    pub(crate) async fn queue(&self, name: &str, attributes: Value) -> String {
        let request = json!({ "QueueName": name, "Attributes": attributes });
        let result = self.ok("CreateQueue", request).await;
        result["QueueUrl"].as_str().unwrap().to_owned()
    }

    /// Makes a FIFO queue with content-based deduplication and returns its URL.
    pub(crate) async fn fifo(&self, name: &str) -> String {
        let attributes = json!({ "FifoQueue": "true", "ContentBasedDeduplication": "true" });
        self.queue(name, attributes).await
    }

    pub(crate) async fn send(&self, url: &str, body: &str) -> Value {
        self.ok("SendMessage", json!({ "QueueUrl": url, "MessageBody": body })).await
    }

    /// Receives up to ten messages with all they have.
    pub(crate) async fn receive(&self, url: &str) -> Vec<Value> {
        let request = json!({
            "QueueUrl": url,
            "MaxNumberOfMessages": 10,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let result = self.ok("ReceiveMessage", request).await;
        result["Messages"].as_array().cloned().unwrap_or_default()
    }

    /// Ends the lease of a received message at once.
    pub(crate) async fn give_back(&self, url: &str, message: &Value) {
        let handle = &message["ReceiptHandle"];
        let request = json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0 });
        self.ok("ChangeMessageVisibility", request).await;
    }

    /// One attribute of a queue; null if it has none.
    pub(crate) async fn attribute(&self, url: &str, name: &str) -> Value {
        let request = json!({ "QueueUrl": url, "AttributeNames": [name] });
        self.ok("GetQueueAttributes", request).await["Attributes"][name].clone()
    }

    /// A request as boto3 sends it, in a program that X-Ray traces.
    pub(crate) async fn post_traced(&self, action: &str, body: &str, trace: &str) -> Said {
        let request = hyper::Request::post("/")
            .header("host", HOST)
            .header("x-amz-target", format!("AmazonSQS.{action}"))
            .header("x-amzn-trace-id", trace);
        self.say(request.body(body.as_bytes().to_vec()).unwrap()).await
    }

    /// A Query request with its parameters in a form.
    pub(crate) async fn form(&self, path: &str, parameters: &str) -> Said {
        let request = hyper::Request::post(path)
            .header("host", HOST)
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        self.say(request.body(parameters.as_bytes().to_vec()).unwrap()).await
    }

    /// A Query request with its parameters in the URL.
    pub(crate) async fn get(&self, uri: &str, accept: &str) -> Said {
        let request = hyper::Request::get(uri).header("host", HOST).header("accept", accept);
        self.say(request.body(Vec::new()).unwrap()).await
    }
}

async fn hear(response: Response) -> Said {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Said { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// The failure that [`Door::fails`] returns for a parameter that is wrong.
pub(crate) fn invalid_parameter(text: &str) -> (u16, String, String) {
    (400, "InvalidParameterValue".into(), text.into())
}
