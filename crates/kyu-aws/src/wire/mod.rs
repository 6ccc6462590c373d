//! Two wire protocols over one set of typed requests and responses.
//!
//! Each action has a request type that serde reads from JSON or from flat Query parameters, and a
//! response type that serde writes as JSON or as XML. What differs is names ([`members`]) and
//! envelopes (here).

mod bounded;
pub(crate) mod form;
mod json;
mod members;
mod text;
pub(crate) mod xml;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::request_id::RequestId;

pub(crate) use bounded::{List, Map};
pub(crate) use text::{Blob, Pairs, Text, Utf8, Uuid};

/// The protocol by which a request came, and in which its answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// AWS JSON 1.0: what SDKs speak since 2023.
    Json,
    /// AWS Query: parameters in a form or the URL, answers in XML.
    Query,
    /// AWS Query, with answers in JSON as the client's `Accept` asks.
    QueryJson,
}

/// Parameters, not yet typed.
#[derive(Clone, Copy)]
pub(crate) enum Input<'r> {
    Json(&'r [u8]),
    Form(&'r form::Node<'r>),
}

/// A response of an action.
pub(crate) trait Response: Serialize {
    /// The XML answer has a `...Result` element.
    const HAS_RESULT: bool = true;
}

/// The response of an action that says nothing.
#[derive(Serialize)]
pub(crate) struct Empty {}

impl Response for Empty {
    const HAS_RESULT: bool = false;
}

impl<'r> Input<'r> {
    /// Reads the request type of an action.
    pub(crate) fn decode<T: Deserialize<'r>>(self) -> Result<T, Error> {
        match self {
            Self::Json(body) => json::decode(body),
            Self::Form(node) => form::decode(node),
        }
    }
}

impl Protocol {
    /// The answer's media type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.0",
            Self::Query => "text/xml",
            Self::QueryJson => "application/json",
        }
    }

    /// The body of a successful answer.
    pub(crate) fn success<R: Response>(
        self,
        action: &str,
        response: &R,
        id: &RequestId,
    ) -> Result<Bytes, Error> {
        match self {
            Self::Json => json::success(response),
            Self::Query => xml::success(action, response, id),
            Self::QueryJson => json::query_success(action, response, id),
        }
        .map(Bytes::from)
    }

    /// The body of an error answer.
    pub(crate) fn failure(self, error: &Error, id: &RequestId) -> Bytes {
        match self {
            Self::Json => json::failure(error),
            Self::Query => xml::failure(error, id),
            Self::QueryJson => json::query_failure(error, id),
        }
        .into()
    }
}
