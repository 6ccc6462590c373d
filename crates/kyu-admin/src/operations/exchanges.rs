//! Exchanges: list, get, put, delete.

use std::sync::Arc;

use hyper::StatusCode;
use kyu_broker::{
    ConfigureExchange, CreateExchange, DeleteExchange, ExchangeConfig, ExchangeInfo, ExchangeNamed,
    ListExchanges, QueueName, Refusal,
};

use crate::api::{Exchange, ExchangePage, ExchangeSettings, InNamespace, Page};
use crate::call::{Call, after, check_name, cursor, list_size};
use crate::exchange_settings;
use crate::limits::{MAX_ITEMS, MAX_TRIES};
use crate::operation::{Done, Empty, Settings};
use crate::problem::{Code, Problem};

pub(super) async fn list(
    call: &Call<'_>,
    query: Page,
    _body: Empty,
) -> Result<Done<ExchangePage>, Problem> {
    let size = list_size(query.limit)?;
    let namespace = call.namespace(query.namespace);
    let after = after(query.cursor.as_deref())?;
    let max = (size + 1).min(MAX_ITEMS);
    let mut found = call.broker.look_up(ListExchanges { namespace, after, max }).await?;
    // The engine lists no more than a largest page: behind such a one there may be another.
    let more = found.len() > size || (size == MAX_ITEMS && found.len() == size);
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let next_cursor = last.map(|exchange| cursor(&exchange.name.name));
    Ok(ExchangePage { items: found.iter().map(|info| show(info)).collect(), next_cursor }.into())
}

pub(super) async fn get(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<Exchange>, Problem> {
    let name = call.name(query.namespace, call.parameter(0));
    let info = find(call, &name).await?.ok_or(Problem::of(Code::ExchangeNotFound))?;
    Ok(done(&info, StatusCode::OK))
}

pub(super) async fn put(
    call: &Call<'_>,
    query: InNamespace,
    Settings(settings): Settings<ExchangeSettings>,
) -> Result<Done<Exchange>, Problem> {
    let name = call.name(query.namespace, call.parameter(0));
    check_name(&name.name)?;
    let conditions = call.conditions()?;
    for _ in 0..MAX_TRIES {
        let existing = find(call, &name).await?;
        let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        conditions.check(existing.as_deref().map(etag).as_deref(), Code::ExchangeExists)?;
        let changed = match existing {
            Some(info) => {
                let mut config = info.config.clone();
                exchange_settings::apply(settings.clone(), &mut config)?;
                if config == info.config {
                    return Ok(done(&info, status));
                }
                let (exchange, expected_version) = (name.clone(), info.version);
                let configure = ConfigureExchange { exchange, config, expected_version };
                call.broker.ask(configure).await
            }
            None => {
                let mut config = ExchangeConfig::default();
                exchange_settings::apply(settings.clone(), &mut config)?;
                let create = CreateExchange { name: name.clone(), config };
                call.broker.ask(create).await.map(drop)
            }
        };
        match changed {
            Ok(()) => {
                let info = find(call, &name).await?.ok_or(Problem::of(Code::ExchangeNotFound))?;
                return Ok(done(&info, status));
            }
            // Somebody else was faster: look again, and let the caller's conditions decide.
            Err(kyu_broker::Error::Refused(
                Refusal::ExchangeExists(_) | Refusal::VersionConflict,
            )) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::of(Code::VersionConflict))
}

pub(super) async fn delete(
    call: &Call<'_>,
    query: InNamespace,
    _body: Empty,
) -> Result<Done<()>, Problem> {
    let exchange = call.name(query.namespace, call.parameter(0));
    let info = find(call, &exchange).await?.ok_or(Problem::of(Code::ExchangeNotFound))?;
    call.conditions()?.check(Some(&etag(&info)), Code::ExchangeExists)?;
    call.broker.ask(DeleteExchange { exchange }).await?;
    Ok(().into())
}

/// The exchange of that name; `None` if there is none.
async fn find(call: &Call<'_>, name: &QueueName) -> Result<Option<Arc<ExchangeInfo>>, Problem> {
    match call.broker.look_up(ExchangeNamed(name.clone())).await {
        Ok((info, _)) => Ok(Some(info)),
        Err(kyu_broker::Error::Refused(Refusal::ExchangeNotFound)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn etag(info: &ExchangeInfo) -> String {
    format!("{}-{}", info.id.0, info.version)
}

fn done(info: &ExchangeInfo, status: StatusCode) -> Done<Exchange> {
    Done { status: Some(status), etag: Some(etag(info)), ..show(info).into() }
}

fn show(info: &ExchangeInfo) -> Exchange {
    Exchange {
        name: info.name.name.clone(),
        namespace: info.name.namespace.clone(),
        id: info.id.0,
        version: info.version,
        etag: etag(info),
        created_at_ms: info.created_at_ms,
        settings: exchange_settings::of(&info.config),
    }
}
