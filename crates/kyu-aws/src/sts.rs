//! GetCallerIdentity of AWS STS, which scripts and tools ask first: whose key is this? There is one
//! account, and its keys are users of it. No other action of STS is served.

use bytes::Bytes;
use kyu_door::access::Principal;

use crate::call::Call;
use crate::message::LOCAL_SENDER_ID;
use crate::request_id::RequestId;
use crate::wire::form::Node;
use crate::wire::xml::push_element;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The version of the API, which every SDK sends.
const VERSION: &str = "2011-06-15";
const ACTION: &str = "GetCallerIdentity";
/// The user of a server without credentials.
const LOCAL_USER: &str = "local";

/// Tells whether a Query request is for STS.
pub(crate) fn is_addressed(parameters: &Node<'_>) -> bool {
    match parameters.text("Version") {
        Some(version) => version == VERSION,
        None => parameters.text("Action") == Some(ACTION),
    }
}

/// `arn:aws:iam::ACCOUNT:user/NAME`
pub(crate) fn arn_of_caller(call: &Call<'_>) -> String {
    let user = match call.principal {
        Principal::Local => LOCAL_USER,
        Principal::User(user) => user,
    };
    format!("arn:aws:iam::{}:user/{user}", call.options.account)
}

/// GetCallerIdentity: the caller's account and ARN; the error is the answer to any other action.
pub(crate) fn run(call: &Call<'_>, parameters: &Node<'_>, id: &RequestId) -> Result<Bytes, Bytes> {
    let action = parameters.text("Action").unwrap_or_default();
    if action != ACTION {
        return Err(unknown(action, id));
    }
    let user_id = match call.principal {
        Principal::Local => LOCAL_SENDER_ID,
        Principal::User(user) => user,
    };
    let mut text =
        format!("<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult>");
    push_element(&mut text, "Arn", &arn_of_caller(call));
    push_element(&mut text, "UserId", user_id);
    push_element(&mut text, "Account", &call.options.account);
    text.push_str("</GetCallerIdentityResult><ResponseMetadata>");
    push_element(&mut text, "RequestId", id.as_str());
    text.push_str("</ResponseMetadata></GetCallerIdentityResponse>");
    Ok(text.into())
}

fn unknown(action: &str, id: &RequestId) -> Bytes {
    let action = crate::error::quoted(action);
    let mut text = format!("<ErrorResponse xmlns=\"{NAMESPACE}\"><Error>");
    push_element(&mut text, "Type", "Sender");
    push_element(&mut text, "Code", "InvalidAction");
    let message = format!("Could not find operation {action} for version {VERSION}");
    push_element(&mut text, "Message", &message);
    text.push_str("</Error>");
    push_element(&mut text, "RequestId", id.as_str());
    text.push_str("</ErrorResponse>");
    text.into()
}
