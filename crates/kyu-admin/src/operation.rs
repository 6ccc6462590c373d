//! Operations: rows of the table that routes requests and describes them.

use std::future::Future;
use std::pin::Pin;

use hyper::{HeaderMap, Method, StatusCode};
use kyu_door::http::header;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::Call;
use crate::problem::{Code, Problem};
use crate::{form, form_limits};

/// The work of an operation, in a box: the table has many of them.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;

/// One operation.
pub(crate) struct Operation {
    /// `operationId`.
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    /// The path, with parameters in braces.
    pub(crate) path: &'static str,
    /// The description: a sentence, and perhaps more.
    pub(crate) about: &'static str,
    pub(crate) tag: &'static str,
    /// The status of success.
    pub(crate) status: u16,
    /// Other statuses of success.
    pub(crate) other_statuses: &'static [u16],
    pub(crate) run: for<'a> fn(&'a Call<'a>) -> Running<'a>,
    pub(crate) query: fn(&mut SchemaGenerator) -> Schema,
    pub(crate) body: fn(&mut SchemaGenerator) -> Option<BodySchema>,
    pub(crate) answer: fn(&mut SchemaGenerator) -> Schema,
}

/// The form of a body.
pub(crate) struct BodySchema {
    pub(crate) schema: Schema,
    pub(crate) required: bool,
    pub(crate) content_type: &'static str,
}

/// An answer, written.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// JSON; empty for 204.
    pub(crate) body: Vec<u8>,
    pub(crate) etag: Option<String>,
    /// The path of what was made; `None` for the path of the request.
    pub(crate) location: Option<String>,
}

/// The outcome of an operation.
pub(crate) struct Done<T> {
    pub(crate) value: T,
    pub(crate) status: Option<StatusCode>,
    pub(crate) etag: Option<String>,
    /// The location, as in [`Reply`].
    pub(crate) location: Option<String>,
}

impl<T> From<T> for Done<T> {
    fn from(value: T) -> Self {
        Self { value, status: None, etag: None, location: None }
    }
}

impl<T: Serialize> Done<T> {
    pub(crate) fn write(self, status: u16) -> Result<Reply, Problem> {
        let usual = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
        let status = self.status.unwrap_or(usual);
        let body = if status == StatusCode::NO_CONTENT {
            Vec::new()
        } else {
            serde_json::to_vec(&self.value).map_err(|_| Problem::internal())?
        };
        Ok(Reply { status, body, etag: self.etag, location: self.location })
    }
}

/// The source of an operation's body.
pub(crate) trait Body: Sized + Send {
    fn read(call: &Call<'_>) -> Result<Self, Problem>;
    fn schema(generator: &mut SchemaGenerator) -> Option<BodySchema>;
}

/// No body.
pub(crate) struct Empty;
/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);
/// A JSON body that may be left out for the default.
pub(crate) struct Optional<T>(pub(crate) T);
/// Settings as a JSON body, which may be left out where all have defaults. Their numbers are held
/// against the limits of the schema.
pub(crate) struct Settings<T>(pub(crate) T);
/// A JSON body that says what is to change (RFC 7396).
pub(crate) struct Patch<T>(pub(crate) serde_json::Value, std::marker::PhantomData<T>);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

impl Body for Empty {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        if call.body.is_empty() {
            return Ok(Self);
        }
        Err(Problem::new(Code::MalformedRequest, "This operation takes no body."))
    }

    fn schema(_: &mut SchemaGenerator) -> Option<BodySchema> {
        None
    }
}

impl<T: DeserializeOwned + JsonSchema + Send> Body for Json<T> {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        check_type(&call.head.headers, &[JSON])?;
        form::read(call.body).map(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<BodySchema> {
        let schema = generator.subschema_for::<T>();
        Some(BodySchema { schema, required: true, content_type: JSON })
    }
}

impl<T: DeserializeOwned + JsonSchema + Send + Default> Body for Optional<T> {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        if call.body.is_empty() {
            return Ok(Self(T::default()));
        }
        check_type(&call.head.headers, &[JSON])?;
        form::read(call.body).map(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<BodySchema> {
        let schema = generator.subschema_for::<T>();
        Some(BodySchema { schema, required: false, content_type: JSON })
    }
}

impl<T: DeserializeOwned + JsonSchema + Send> Body for Settings<T> {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        if call.body.is_empty() {
            return form::of_value(serde_json::json!({})).map(Self);
        }
        check_type(&call.head.headers, &[JSON])?;
        let settings = form::read(call.body)?;
        form_limits::check::<T>(&form::read(call.body)?)?;
        Ok(Self(settings))
    }

    fn schema(generator: &mut SchemaGenerator) -> Option<BodySchema> {
        let required = T::json_schema(generator).get("required").is_some();
        let schema = generator.subschema_for::<T>();
        Some(BodySchema { schema, required, content_type: JSON })
    }
}

impl<T: JsonSchema + Send> Body for Patch<T> {
    fn read(call: &Call<'_>) -> Result<Self, Problem> {
        check_type(&call.head.headers, &[MERGE_PATCH, JSON])?;
        Ok(Self(form::read(call.body)?, std::marker::PhantomData))
    }

    fn schema(_: &mut SchemaGenerator) -> Option<BodySchema> {
        // Any part of the settings, with `null` for "the default".
        let schema = schemars::json_schema!({ "type": "object" });
        Some(BodySchema { schema, required: true, content_type: MERGE_PATCH })
    }
}

impl<T: Serialize + DeserializeOwned + JsonSchema> Patch<T> {
    /// The settings as the patch leaves them; what it sets to `null` has its default again.
    pub(crate) fn apply(&self, settings: &T) -> Result<T, Problem> {
        let mut value = serde_json::to_value(settings).map_err(|_| Problem::internal())?;
        if !self.0.is_object() {
            return Err(Problem::new(Code::MalformedRequest, "A patch is a JSON object."));
        }
        kyu_settings::merge(&mut value, &self.0);
        form_limits::check::<T>(&value)?;
        form::of_value(value)
    }
}

/// Browsers send no JSON to other sites without asking first; that makes this a wall, too.
fn check_type(headers: &HeaderMap, allowed: &[&str]) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if allowed.iter().any(|one| media.eq_ignore_ascii_case(one)) {
        return Ok(());
    }
    let wanted = allowed.first().copied().unwrap_or(JSON);
    let detail = format!("The body must come with \"content-type: {wanted}\".");
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// Reads the query string.
pub(crate) fn query<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Problem> {
    serde_urlencoded::from_str(call.head.uri.query().unwrap_or_default())
        .map_err(|error| Problem::invalid(format!("In the query string: {error}.")))
}
