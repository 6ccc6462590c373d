//! Single SQS calls outside the measured window: create a queue, ask for its counts.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::request;
use crate::Error;
use crate::http::Response;

/// A server that is slower than this for one call is reported as broken.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes one call on a connection of its own; a refusal is an error that quotes the answer.
pub(super) fn call(server: SocketAddr, action: &str, body: &Value) -> Result<Value, Error> {
    let mut bytes = request::head(server, action).into_bytes();
    request::finish(&mut bytes, &serde_json::to_vec(body)?);
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(CALL_TIMEOUT))?;
    stream.write_all(&bytes)?;
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        let read_bytes = stream.read(&mut chunk)?;
        received.extend_from_slice(chunk.get(..read_bytes).unwrap_or_default());
        if let Some(response) = Response::parse(&received)? {
            let body = response.body(&received);
            if response.status != 200 {
                let status = response.status;
                return Err(format!("{action}: {status}: {}", body.escape_ascii()).into());
            }
            let empty = body.is_empty();
            return Ok(if empty { Value::Null } else { serde_json::from_slice(body)? });
        }
        if read_bytes == 0 {
            return Err(format!("{action}: the server closed the connection").into());
        }
    }
}

/// Creates a queue and gives its URL.
pub(super) fn create_queue(
    server: SocketAddr,
    name: &str,
    attributes: Value,
) -> Result<String, Error> {
    let created =
        call(server, "CreateQueue", &json!({"QueueName": name, "Attributes": attributes}))?;
    let url = created.get("QueueUrl").and_then(Value::as_str);
    Ok(url.ok_or("CreateQueue answered without a QueueUrl")?.to_owned())
}

/// Deletes a queue, so that the next workload does not carry it.
pub(super) fn delete_queue(server: SocketAddr, url: &str) -> Result<(), Error> {
    call(server, "DeleteQueue", &json!({ "QueueUrl": url })).map(drop)
}

/// How many messages a queue holds: ready, in flight and delayed together.
pub(super) fn message_count(server: SocketAddr, url: &str) -> Result<u64, Error> {
    let body = json!({"QueueUrl": url, "AttributeNames": ["All"]});
    let answer = call(server, "GetQueueAttributes", &body)?;
    let count = |name: &str| -> Option<u64> {
        answer.pointer(&format!("/Attributes/{name}"))?.as_str()?.parse().ok()
    };
    let names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ];
    names.iter().map(|name| count(name).ok_or_else(|| format!("no attribute {name}").into())).sum()
}
