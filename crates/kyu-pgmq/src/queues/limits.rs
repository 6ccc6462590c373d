//! Every bound of this module, with its reason and the error it causes.

/// Content that one transaction may have sent and not committed: a commit is one record of the log,
/// which takes 16 MiB. 54000.
pub(super) const MAX_TRANSACTION_BYTES: usize = 12 << 20;
/// Messages that one transaction may have sent or touched: they are in RAM, and its commit is one
/// step of the engine. 54000.
pub(super) const MAX_TRANSACTION_MESSAGES: usize = 50_000;
/// Savepoints times messages of one transaction: each savepoint is a copy. 54000.
pub(super) const MAX_SAVED_MESSAGES: usize = 500_000;
/// Messages of one read or peek; more are left for the next. Of a pop, as many as a transaction may
/// touch.
pub(super) const MAX_READ_MESSAGES: usize = 100_000;
/// Bytes of one answer of a read or scan, for RAM. A read leaves the rest for the next; a scan ends
/// with 54000.
pub(super) const MAX_ANSWER_BYTES: usize = 256 << 20;
/// Bytes of one page of messages that a scan or a read with a condition loads at a time.
pub(super) const MAX_PAGE_BYTES: usize = 16 << 20;
/// `deadlock_timeout` of a session that sets none.
pub(super) const DEADLOCK_TIMEOUT_MS: u64 = 1_000;
/// Circles that end by putting somebody in front of a line, before one is said to be a deadlock.
pub(super) const MAX_REORDERS: u32 = 16;
/// Longest pause before the engine is asked again for a message whose claimant is not known.
pub(super) const STRAY_CLAIM_PAUSE_MS: u64 = 1_000;
/// Longest wait of a `..._with_poll` that names none (NULL).
pub(super) const MAX_POLL_MS: u64 = 3_600_000;
/// Channels that a session may listen to, and LISTEN and UNLISTEN of one transaction. 54000.
pub(super) const MAX_CHANNELS: usize = 10_000;
/// Notifications that wait for a session that reads nothing; it is ended beyond it.
pub(super) const MAX_WAITING_NOTIFICATIONS: usize = 1_024;
/// Changes of settings that somebody else's change made fail, before giving up. 40001.
pub(super) const CONFIGURE_TRIES: u32 = 10;
/// Length of the settings that one call gives: the parsed form takes a multiple of it. 54000.
pub(super) const MAX_SETTINGS_BYTES: usize = 256 << 10;
