//! AWS JSON 1.0, and the JSON form of Query answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Response;
use super::members::VALUE_NAME;
use crate::error::Error;
use crate::request_id::RequestId;

/// Room for the answers of the frequent actions without growing.
const USUAL_ANSWER_BYTES: usize = 256;

pub(super) fn decode<'r, T: Deserialize<'r>>(body: &'r [u8]) -> Result<T, Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Error::Serialization(error.to_string()))
}

pub(super) fn success<R: Response>(response: &R) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(USUAL_ANSWER_BYTES);
    serde_json::to_writer(&mut out, response).map_err(|_| Error::Internal)?;
    Ok(out)
}

/// `{"SendMessageResponse":{"SendMessageResult":{...},"ResponseMetadata":{"RequestId":"..."}}}`
pub(super) fn query_success<R: Response>(
    action: &str,
    response: &R,
    id: &RequestId,
) -> Result<Vec<u8>, Error> {
    let mut envelope = Map::new();
    if R::HAS_RESULT {
        let result = serde_json::to_value(response).map_err(|_| Error::Internal)?;
        let result = query_members(result, nullable_members(action));
        envelope.insert(format!("{action}Result"), result);
    }
    envelope.insert("ResponseMetadata".into(), json!({ "RequestId": id.as_str() }));
    Ok(bytes_of(&json!({ format!("{action}Response"): envelope })))
}

/// Members that Query's JSON shows as null when there is nothing (recorded): clients ask for them
/// without looking whether they are there.
fn nullable_members(action: &str) -> &'static [&'static str] {
    match action {
        "ReceiveMessage" => &["messages"],
        "ListQueues" => &["NextToken", "queueUrls"],
        "SendMessage" => {
            &["MD5OfMessageAttributes", "MD5OfMessageSystemAttributes", "SequenceNumber"]
        }
        _ => &[],
    }
}

/// A structure with its members as Query's JSON has them (recorded): maps are lists of pairs, and
/// two lists begin in lower case. Every object in a structure is a map.
fn query_members(structure: Value, nullable: &[&str]) -> Value {
    let Value::Object(members) = structure else { return structure };
    let mut out = Map::new();
    for (name, value) in members {
        let (name, inner): (&str, &[&str]) = match name.as_str() {
            "Messages" => {
                ("messages", &["Attributes", "MD5OfMessageAttributes", "MessageAttributes"])
            }
            "QueueUrls" => ("queueUrls", &[]),
            other => (other, &[]),
        };
        let value = match value {
            Value::Array(elements) => {
                elements.into_iter().map(|element| query_members(element, inner)).collect()
            }
            Value::Object(entries) => pairs(entries, if name == "Tags" { "Key" } else { "Name" }),
            plain => plain,
        };
        out.insert(name.to_owned(), value);
    }
    for name in nullable {
        out.entry(*name).or_insert(Value::Null);
    }
    Value::Object(out)
}

fn pairs(entries: Map<String, Value>, key_name: &str) -> Value {
    entries.into_iter().map(|(key, value)| json!({ key_name: key, VALUE_NAME: value })).collect()
}

pub(super) fn failure(error: &Error) -> Vec<u8> {
    #[derive(Serialize)]
    struct Failure<'a> {
        __type: &'a str,
        message: &'a str,
    }
    let (row, text) = (error.row(), error.to_string());
    // Both `com.amazonaws.sqs#Name` and the bare name are understood by all SDKs.
    let name = format!("{}#{}", row.namespace, row.name);
    bytes_of(&Failure { __type: &name, message: &text })
}

pub(super) fn query_failure(error: &Error, id: &RequestId) -> Vec<u8> {
    bytes_of(&json!({
        "Error": {
            "Type": error.row().fault(),
            "Code": error.row().query_code,
            "Message": error.query_text(),
            "Detail": null,
        },
        "RequestId": id.as_str(),
    }))
}

/// Strings and maps with string keys always have a JSON form; an empty body would still be valid HTTP.
fn bytes_of(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
