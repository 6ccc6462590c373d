//! Records of SNS that are no topics: an account's SMS settings, and platform applications. Each is an
//! exchange in a namespace that no account and no ARN can name, and what it holds are its attributes:
//! stored, replayed and in snapshots like every exchange.

use std::sync::Arc;

use kyu_broker::{
    Answer, Command, ConfigureExchange, CreateExchange, ExchangeConfig, ExchangeInfo, Query,
    QueueName, Refusal,
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
