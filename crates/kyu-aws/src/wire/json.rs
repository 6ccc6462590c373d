//! AWS JSON 1.0, and the JSON form of Query answers.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Response;
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
    let mut envelope = serde_json::Map::new();
    if R::HAS_RESULT {
        let result = serde_json::to_value(response).map_err(|_| Error::Internal)?;
        envelope.insert(format!("{action}Result"), result);
    }
    envelope.insert("ResponseMetadata".into(), json!({ "RequestId": id.as_str() }));
    Ok(bytes_of(&json!({ format!("{action}Response"): envelope })))
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
