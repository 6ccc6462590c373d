//! A door over a real broker in a directory of its own, and transcripts of what it says.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http_body_util::BodyExt;
use kyu_broker::{Broker, Options};
use kyu_door::access::Access;
use kyu_door::http::{Handler, Request, Response};
use serde_json::{Value, json};

use crate::{Admin, AdminOptions};

pub(crate) struct Door {
    admin: Admin,
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

    /// The answer of a request that succeeded.
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    /// Status and code of a request that failed.
    pub(crate) fn problem(self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        let problem: Value = serde_json::from_str(&self.body).unwrap();
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["type"], format!("urn:kyu:problem:{code}"));
        (self.status, code)
    }
}

impl Door {
    pub(crate) fn open() -> Self {
        Self::with(Access::new(vec![]))
    }

    pub(crate) fn with(access: Access) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("kyu-admin-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(name);
        let mut small = Options::new(&dir);
        small.log.segment_bytes = 8 << 20;
        small.log.reserve_bytes = 8 << 20;
        let broker = Broker::open(small).unwrap();
        let admin = Admin::new(broker.clone(), access, AdminOptions::default());
        Self { admin, broker, dir }
    }

    /// One request, whatever it is.
    pub(crate) async fn say(&self, request: hyper::Request<Vec<u8>>) -> Said {
        let (head, body) = request.into_parts();
        let peer = "127.0.0.1:50000".parse().unwrap();
        hear(
            self.admin
                .handle(Request { head, body: body.into(), peer, local: None, secure: false })
                .await,
        )
        .await
    }

    /// A request with these headers; a JSON body unless it is null.
    pub(crate) async fn with_headers(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Said {
        let mut request =
            hyper::Request::builder().method(method).uri(path).header("host", "localhost:9324");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() {
            Vec::new()
        } else {
            request = request.header("content-type", "application/json");
            body.to_string().into_bytes()
        };
        self.say(request.body(body).unwrap()).await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Said {
        self.with_headers(method, path, &[], body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.call("GET", path, Value::Null).await.ok()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", path, body).await.ok()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.call("PUT", path, body).await.ok()
    }

    /// Makes a queue.
    pub(crate) async fn queue(&self, name: &str, settings: Value) {
        let said = self.call("PUT", &format!("/v1/queues/{name}"), settings).await;
        assert_eq!(said.status, 201, "{}", said.body);
    }

    pub(crate) async fn send(&self, queue: &str, body: &str) -> Value {
        self.post(&format!("/v1/queues/{queue}/messages"), json!({ "body": body })).await
    }

    /// Receives up to ten messages.
    pub(crate) async fn receive(&self, queue: &str) -> Vec<Value> {
        let path = format!("/v1/queues/{queue}/receive");
        let mut answer = self.post(&path, json!({ "max_messages": 10 })).await;
        answer["messages"].take().as_array().unwrap().clone()
    }

    /// Settles one delivery; the status.
    pub(crate) async fn settle(&self, queue: &str, message: &Value, outcome: &str) -> Value {
        let item = json!({ "receipt": message["receipt"], "outcome": outcome });
        let path = format!("/v1/queues/{queue}/settle");
        self.post(&path, json!({ "items": [item] })).await["results"][0]["status"].take()
    }
}

async fn hear(response: Response) -> Said {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Said { status: parts.status.as_u16(), headers: parts.headers, body }
}
