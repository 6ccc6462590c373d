//! Commands that several parts of SNS give, and records that are no topics: an account's SMS settings, and platform applications. Each is an
//! exchange in a namespace that no account and no ARN can name, and what it holds are its attributes:
//! stored, replayed and in snapshots like every exchange.

use std::sync::Arc;

use kyu_broker::{
    BindingId, ConfigureExchange, Content, CreateExchange, DeleteExchange, Enqueue, ExchangeConfig,
    ExchangeInfo, ExchangeNamed, MessageId, NewMessage, QueueInfo, QueueName, Refusal, Unbind,
};

use super::error::{Code, Error};
use crate::call::Call;
use crate::limits::MAX_RECONFIGURE_TRIES;

/// A record, if it is there.
pub(super) async fn read(
    call: &Call<'_>,
    name: &QueueName,
) -> Result<Option<Arc<ExchangeInfo>>, Error> {
    match call.broker.look_up(ExchangeNamed(name.clone())).await {
        Ok((record, _)) => Ok(Some(record)),
        Err(kyu_broker::Error::Refused(Refusal::ExchangeNotFound)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Changes a record, which is made if it is not there: reads, lets `change` edit, and writes only if
/// nobody else wrote in between, else tries again.
pub(super) async fn change(
    call: &Call<'_>,
    name: &QueueName,
    change: impl Fn(&mut ExchangeConfig) -> Result<(), Error>,
) -> Result<(), Error> {
    for _ in 0..MAX_RECONFIGURE_TRIES {
        let changed = match read(call, name).await? {
            Some(record) => {
                let mut config = record.config.clone();
                change(&mut config)?;
                let (exchange, expected_version) = (name.clone(), record.version);
                let configure = ConfigureExchange { exchange, config, expected_version };
                call.broker.ask(configure).await
            }
            None => {
                let mut config = ExchangeConfig::default();
                change(&mut config)?;
                let create = CreateExchange { name: name.clone(), config };
                call.broker.ask(create).await.map(drop)
            }
        };
        match changed {
            Ok(()) => return Ok(()),
            Err(kyu_broker::Error::Refused(
                Refusal::VersionConflict | Refusal::ExchangeExists(_) | Refusal::ExchangeNotFound,
            )) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(Code::Throttled, "Rate exceeded"))
}

/// Deletes a topic or a record and all that is bound to it. Deleting what is not there succeeds.
pub(super) async fn delete(call: &Call<'_>, exchange: QueueName) -> Result<(), Error> {
    match call.broker.ask(DeleteExchange { exchange }).await {
        Ok(()) | Err(kyu_broker::Error::Refused(Refusal::ExchangeNotFound)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends a subscription, or what else is bound. Ending what is not there succeeds.
pub(super) async fn unbind(call: &Call<'_>, binding: BindingId) -> Result<(), Error> {
    match call.broker.ask(Unbind { binding }).await {
        Ok(()) | Err(kyu_broker::Error::Refused(Refusal::BindingNotFound)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts a message into a queue of SNS' own.
pub(super) async fn enqueue(
    call: &Call<'_>,
    queue: &QueueInfo,
    content: &Content,
) -> Result<MessageId, Error> {
    let message = NewMessage {
        queues: vec![queue.id],
        content: content.encode(),
        delay_ms: None,
        expires_at_ms: None,
        priority: 0,
        lane: None,
        dedup_id: None,
        unique: None,
    };
    let results = call.broker.ask(Enqueue { messages: vec![message] }).await?;
    match results.first() {
        Some(Ok(enqueued)) => Ok(enqueued.message_id),
        Some(Err(_)) | None => Err(Error::internal()),
    }
}
