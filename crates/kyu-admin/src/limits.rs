//! Every bound of the admin API, with its reason. Beyond one: `limit_exceeded`, `invalid_argument`
//! or `invalid_setting`, unless another code is named.

pub(crate) use kyu_settings::limits::{MAX_LEASE_MS, MAX_MESSAGE_BYTES, MAX_SPAN_MS, MAX_WAIT_MS};

/// Items of a page, a batch or a group: the engine's own bound of a command.
pub(crate) const MAX_ITEMS: usize = 1_000;
/// Items of a page whose request does not say.
pub(crate) const DEFAULT_PAGE: u32 = 100;
/// Messages of a peek that does not say.
pub(crate) const DEFAULT_PEEK: u32 = 10;
/// Runs of a schedule to tell where the request does not say.
pub(crate) const DEFAULT_RUNS: u32 = 10;
/// Runs that one request of a backfill brings where it does not say.
pub(crate) const MAX_BACKFILLED: u32 = 1_000;
/// Bytes of the messages of one receive, as they all are in memory: four largest ones.
pub(crate) const MAX_RECEIVE_BYTES: u64 = 4 << 20;
/// Latest expiry, the end of the year 9999: what other programs can read as a date.
pub(crate) const MAX_TIME_MS: u64 = 253_402_300_799_999;
/// Attributes of one message.
pub(crate) const MAX_ATTRIBUTES: usize = 100;
/// Bytes of an attribute's name or type (SQS: 256 characters).
pub(crate) const MAX_ATTRIBUTE_NAME_BYTES: usize = 256;
/// Bytes of the names of queues and exchanges: they stand in paths.
pub(crate) const MAX_NAME_BYTES: usize = 255;
/// Messages a second of a move task, and the largest number of the engine.
pub(crate) const MAX_PER_SECOND: u32 = 1_000_000;
/// Messages that one request looks at to choose among them: a fraction of a second.
pub(crate) const MAX_SELECTION_LOOKED_AT: u64 = 10_000;
/// Bytes of messages that one request reads for that.
pub(crate) const MAX_SELECTION_BYTES: u64 = 32 << 20;
/// Attempts of a change that somebody else's changes get in the way of.
pub(crate) const MAX_TRIES: usize = 8;
