//! One request on its way through an operation.

use std::ops::RangeInclusive;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as CURSOR;
use bytes::Bytes;
use kyu_broker::{Broker, QueueInfo, QueueName};
use kyu_door::access::Principal;
use kyu_door::http::{Client, Head};

use crate::condition::Conditions;
use crate::door::AdminOptions;
use crate::limits::{DEFAULT_PAGE, MAX_ITEMS, MAX_NAME_BYTES};
use crate::problem::{Code, Problem};

/// The circumstances that an operation may use.
pub(crate) struct Call<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) options: &'a AdminOptions,
    pub(crate) principal: &'a Principal,
    /// The connection of the caller: it tells whether the caller is still there, and pays for what
    /// is loaded for the answer.
    pub(crate) client: &'a Client,
    pub(crate) head: &'a Head,
    pub(crate) body: &'a Bytes,
    /// Values of the path's parameters, in their order.
    pub(crate) path: Vec<String>,
}

impl Call<'_> {
    /// The parameter of the path at this place, from 0.
    pub(crate) fn parameter(&self, at: usize) -> &str {
        self.path.get(at).map_or("", String::as_str)
    }

    /// A name in a namespace.
    pub(crate) fn name(&self, namespace: Option<String>, name: &str) -> QueueName {
        QueueName { namespace: self.namespace(namespace), name: name.to_owned() }
    }

    /// The namespace that is meant.
    pub(crate) fn namespace(&self, given: Option<String>) -> String {
        given.unwrap_or_else(|| self.options.namespace.clone())
    }

    /// The queue of that name.
    pub(crate) fn queue_named(&self, name: &QueueName) -> Result<Arc<QueueInfo>, Problem> {
        self.broker.directory().by_name(name).ok_or_else(|| {
            let detail = format!("There is no queue {:?}.", name.name);
            Problem::new(Code::QueueNotFound, detail)
        })
    }

    /// The queue that the path names first.
    pub(crate) fn queue(&self, namespace: Option<String>) -> Result<Arc<QueueInfo>, Problem> {
        self.queue_named(&self.name(namespace, self.parameter(0)))
    }

    /// The conditions of the request's headers.
    pub(crate) fn conditions(&self) -> Result<Conditions, Problem> {
        Conditions::of(self.head)
    }
}

/// The names that queues and exchanges may be given here.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let most = MAX_NAME_BYTES;
    Err(Problem::invalid(format!("Names have 1 to {most} bytes and no control characters.")))
}

/// Refuses a number of the body that is beyond its limits. `field` is a JSON pointer with one name.
pub(crate) fn within(
    field: &str,
    value: impl Into<Option<u64>>,
    limits: RangeInclusive<u64>,
) -> Result<(), Problem> {
    match value.into() {
        Some(value) if !limits.contains(&value) => {
            let (name, least, most) = (field.trim_start_matches('/'), limits.start(), limits.end());
            let detail = format!("{name} is {value}; it may be from {least} to {most}.");
            Err(Problem::at(field, detail))
        }
        _ => Ok(()),
    }
}

/// The number of items of a page.
pub(crate) fn page_size(limit: Option<u32>, default: u32) -> Result<usize, Problem> {
    let size = limit.unwrap_or(default) as usize;
    match size {
        1..=MAX_ITEMS => Ok(size),
        _ => Err(Problem::invalid(format!("limit may be from 1 to {MAX_ITEMS}."))),
    }
}

/// [`page_size`] of lists.
pub(crate) fn list_size(limit: Option<u32>) -> Result<usize, Problem> {
    page_size(limit, DEFAULT_PAGE)
}

/// Checks the number of items of a batch.
pub(crate) fn check_items(count: usize, field: &str) -> Result<(), Problem> {
    match count {
        1..=MAX_ITEMS => Ok(()),
        _ => {
            let detail = format!("{field} has {count} items; 1 to {MAX_ITEMS} are allowed.");
            Err(Problem::new(Code::LimitExceeded, detail).below(&format!("/{field}")))
        }
    }
}

/// A cursor that goes on after `last`.
pub(crate) fn cursor(last: &str) -> String {
    CURSOR.encode(last)
}

/// The name that a cursor goes on after.
pub(crate) fn after(cursor: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(cursor) = cursor else { return Ok(None) };
    let bytes = CURSOR.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(Some).ok_or_else(|| Problem::invalid("cursor is none that this server gave."))
}
