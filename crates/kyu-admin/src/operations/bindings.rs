//! Bindings of exchanges: list, create, get, delete.

use std::collections::BTreeMap;

use hyper::StatusCode;
use kyu_broker::{
    Bind, BindingConfig, BindingId, BindingInfo, BindingOf, ListBindings, Matcher, QueueName,
    Refusal, Unbind,
};

use crate::api::{Binding, BindingPage, InNamespace, NewBinding, NoQuery, Page};
use crate::call::{Call, after, check_name, cursor, list_size};
use crate::limits::MAX_ITEMS;
use crate::operation::{Done, Empty, Json};
use crate::problem::{Code, Problem};

/// The protocol of bindings that were made here: the address is the name of the queue.
const PROTOCOL: &str = "queue";

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<BindingPage>, Problem> {
    let size = list_size(query.limit)?;
    let exchange = Some(call.name(query.namespace, call.parameter(0)));
    let after = match after(query.cursor.as_deref())? {
        None => None,
        Some(uuid) => Some(
            BindingId::from_uuid(&uuid)
                .ok_or_else(|| Problem::invalid("cursor is none that this server gave."))?,
        ),
    };
    let question = ListBindings { exchange, after, max: (size + 1).min(MAX_ITEMS) };
    let mut found = call.broker.look_up(question).await?;
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let next_cursor = found.last().filter(|_| more).map(|last| cursor(&last.id.to_string()));
    Ok(BindingPage { items: found.iter().map(|info| show(info)).collect(), next_cursor }.into())
}

pub(super) async fn create(
    call: &Call<'_>,
    query: InNamespace,
    Json(new): Json<NewBinding>,
) -> Result<Done<Binding>, Problem> {
    let exchange = call.name(query.namespace, call.parameter(0));
    check_name(&new.queue)?;
    let named = |name: String| QueueName { namespace: exchange.namespace.clone(), name };
    let config = BindingConfig {
        protocol: PROTOCOL.to_owned(),
        address: new.queue.clone(),
        target: named(new.queue),
        matcher: Matcher::Everything,
        bare: new.bare.unwrap_or(true),
        active: true,
        dead_letter: new.dead_letter.map(named),
        attributes: BTreeMap::new(),
    };
    let bind = Bind { exchange, config: config.clone() };
    let (info, status) = match call.broker.ask(bind).await {
        Ok(info) => (info, StatusCode::CREATED),
        Err(kyu_broker::Error::Refused(Refusal::BindingExists(existing)))
            if existing.config == config =>
        {
            (existing, StatusCode::OK)
        }
        Err(error) => return Err(error.into()),
    };
    let location = Some(format!("/v1/bindings/{}", info.id));
    Ok(Done { status: Some(status), location, ..show(&info).into() })
}

pub(super) async fn get(
    call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<Binding>, Problem> {
    let info = call.broker.look_up(BindingOf(id(call)?)).await?;
    Ok(show(&info).into())
}

pub(super) async fn delete(
    call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<()>, Problem> {
    call.broker.ask(Unbind { binding: id(call)? }).await?;
    Ok(().into())
}

fn id(call: &Call<'_>) -> Result<BindingId, Problem> {
    BindingId::from_uuid(call.parameter(0)).ok_or(Problem::of(Code::BindingNotFound))
}

fn show(info: &BindingInfo) -> Binding {
    Binding {
        id: info.id.to_string(),
        exchange: info.exchange.name.clone(),
        queue: info.config.target.name.clone(),
        protocol: info.config.protocol.clone(),
        address: info.config.address.clone(),
        bare: info.config.bare,
        active: info.config.active,
        filtered: info.config.matcher != Matcher::Everything,
        dead_letter: info.config.dead_letter.as_ref().map(|name| name.name.clone()),
        created_at_ms: info.created_at_ms,
    }
}
