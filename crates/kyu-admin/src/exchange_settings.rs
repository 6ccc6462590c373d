//! Settings of exchanges, between the API and the engine.

use kyu_broker::ExchangeConfig;

use crate::api::ExchangeSettings;
use crate::limits::MAX_MESSAGE_BYTES;
use crate::problem::{Code, Problem};

/// An exchange's settings, to be shown.
pub(crate) fn of(config: &ExchangeConfig) -> ExchangeSettings {
    ExchangeSettings {
        kind: config.kind,
        content_based_deduplication: config.content_based_deduplication,
        dedup_scope: config.dedup_scope,
        max_message_bytes: config.max_message_bytes,
        tags: config.tags.clone(),
    }
}

/// Puts the settings in place of an exchange's old ones. What only other doors understand stays.
pub(crate) fn apply(
    settings: ExchangeSettings,
    config: &mut ExchangeConfig,
) -> Result<(), Problem> {
    if !(1..=MAX_MESSAGE_BYTES).contains(&settings.max_message_bytes) {
        let detail = format!("max_message_bytes may be from 1 to {MAX_MESSAGE_BYTES}.");
        return Err(Problem::new(Code::InvalidSetting, detail).below("/max_message_bytes"));
    }
    config.kind = settings.kind;
    config.content_based_deduplication = settings.content_based_deduplication;
    config.dedup_scope = settings.dedup_scope;
    config.max_message_bytes = settings.max_message_bytes;
    config.tags = settings.tags;
    Ok(())
}
