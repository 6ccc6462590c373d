//! The server itself.

use kyu_broker::Counter;

use crate::api::{Namespace, Namespaces, NoQuery, ServerInfo, ServerStats};
use crate::call::Call;

use crate::operation::{Done, Empty};
use crate::problem::Problem;

pub(super) async fn get(
    call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<ServerInfo>, Problem> {
    let info = ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        namespace: call.options.namespace.clone(),
        epoch: call.broker.epoch(),
        now_ms: call.broker.wall_ms(),
        queues: call.broker.directory().len() as u64,
    };
    Ok(info.into())
}

pub(super) async fn stats(
    call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<ServerStats>, Problem> {
    let measured = call.broker.metrics().await?;
    let counters = Counter::ALL.iter().zip(&measured.counters);
    let gauges = measured.gauges.samples().into_iter();
    let stats = ServerStats {
        counters: counters.map(|(counter, value)| (counter.name().to_owned(), *value)).collect(),
        gauges: gauges.map(|(name, _, value)| (name.to_owned(), value)).collect(),
    };
    Ok(stats.into())
}

pub(super) async fn namespaces(
    call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<Namespaces>, Problem> {
    let own = &call.options.namespace;
    let mut names = call.broker.directory().namespaces();
    if let Err(at) = names.binary_search(own) {
        names.insert(at, own.clone());
    }
    let items = names.into_iter().map(|name| Namespace { is_default: name == *own, name });
    Ok(Namespaces { items: items.collect() }.into())
}

pub(super) async fn describe(
    _call: &Call<'_>,
    _query: NoQuery,
    _body: Empty,
) -> Result<Done<serde_json::Value>, Problem> {
    Ok(crate::openapi::document().clone().into())
}
