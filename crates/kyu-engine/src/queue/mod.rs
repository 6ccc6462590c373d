//! One queue: its messages in every state of their lives, and what is remembered of them.

pub(crate) mod apply;
pub(crate) mod apply_dead;
pub(crate) mod apply_intervene;
pub(crate) mod apply_unique;
pub(crate) mod attempts;
pub(crate) mod chunk;
pub(crate) mod claim;
pub(crate) mod config_codec;
pub(crate) mod dead_letters;
pub(crate) mod decide;
pub(crate) mod dedup;
pub(crate) mod delivery;
pub(crate) mod ends;
pub(crate) mod message;
pub(crate) mod message_codec;
pub(crate) mod message_record;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod retention_codec;
pub(crate) mod seq_set;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod unique;
