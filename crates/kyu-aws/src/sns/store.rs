//! Commands that several parts of SNS give, and records that are no topics: an account's SMS settings, and platform applications. Each is an
//! exchange in a namespace that no account and no ARN can name, and what it holds are its attributes:
//! stored, replayed and in snapshots like every exchange.

use std::sync::Arc;

use kyu_broker::{
    Answer, BindingId, Command, ConfigureExchange, Content, CreateExchange, DeleteExchange,
    Enqueue, ExchangeConfig, ExchangeInfo, MessageId, NewMessage, Query, QueueInfo, QueueName,
    Refusal, Reply, Unbind,
};

use super::error::{Code, Error};
use crate::call::Call;
use crate::limits::MAX_RECONFIGURE_TRIES;

/// A record, if it is there.
pub(super) async fn read(
    call: &Call<'_>,
    name: &QueueName,
) -> Result<Option<Arc<ExchangeInfo>>, Error> {
    match call.broker.query(Query::Exchange(name.clone())).await {
        Ok(Answer::Exchange(record, _)) => Ok(Some(record)),
        Ok(_) => Err(Error::internal()),
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
        let command = match read(call, name).await? {
            Some(record) => {
                let mut config = record.config.clone();
                change(&mut config)?;
                let (exchange, expected_version) = (name.clone(), record.version);
                Command::ConfigureExchange(ConfigureExchange { exchange, config, expected_version })
            }
            None => {
                let mut config = ExchangeConfig::default();
                change(&mut config)?;
                Command::CreateExchange(CreateExchange { name: name.clone(), config })
            }
        };
        match call.broker.submit(command).await {
            Ok(_) => return Ok(()),
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
    match call.broker.submit(Command::DeleteExchange(DeleteExchange { exchange })).await {
        Ok(_) | Err(kyu_broker::Error::Refused(Refusal::ExchangeNotFound)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends a subscription, or what else is bound. Ending what is not there succeeds.
pub(super) async fn unbind(call: &Call<'_>, binding: BindingId) -> Result<(), Error> {
    match call.broker.submit(Command::Unbind(Unbind { binding })).await {
        Ok(_) | Err(kyu_broker::Error::Refused(Refusal::BindingNotFound)) => Ok(()),
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
    let enqueue = Command::Enqueue(Enqueue { messages: vec![message] });
    match call.broker.submit(enqueue).await? {
        Reply::Enqueued(results) => match results.first() {
            Some(Ok(enqueued)) => Ok(enqueued.message_id),
            _ => Err(Error::internal()),
        },
        _ => Err(Error::internal()),
    }
}
