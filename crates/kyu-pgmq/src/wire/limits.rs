//! Every bound of the protocol, with its reason and what happens at it.

use std::time::Duration;

/// Bounds of the port. The defaults suit a small machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections. At the limit a new one hears 53300 and is closed.
    pub max_connections: usize,
    /// Longest wait for startup, TLS and the password. Then the connection is closed, as Postgres
    /// does after `authentication_timeout`.
    pub login_timeout: Duration,
    /// Longest time that a client takes less than 8 KiB/s of its answer; while others wait for the
    /// memory that it holds, two seconds at less than 512 KiB/s. Then the connection is closed.
    pub write_stall_timeout: Duration,
    /// Longest wait for the rest of a message that began to arrive. Then the connection is closed.
    pub message_timeout: Duration,
    /// Largest message of a client: a batch of 1 MiB messages in escaped JSON. Beyond it: FATAL
    /// 08P01 and the connection is closed, for what follows cannot be read.
    pub max_message_bytes: usize,
    /// Memory for messages larger than `SMALL_MESSAGE_BYTES`, over all connections, paid as their
    /// bytes arrive, and a part of `memory_bytes`. What does not fit waits, and is not read meanwhile.
    pub large_message_budget_bytes: usize,
    /// Longest wait of a message for more of that memory: FATAL 53200. A message that has some and
    /// moves less than 1 MiB in two seconds while others wait is given up: its connection is closed.
    pub large_message_patience: Duration,
    /// Memory that a statement may hold while it runs: rows, sorts, groups, texts. 53200 beyond it.
    pub statement_memory_bytes: usize,
    /// Memory that a session may hold: its statement, cursors, prepared statements. 53200 beyond
    /// it.
    pub session_memory_bytes: usize,
    /// Memory that all sessions may hold together, messages included. 53200 for the one that asks
    /// for more.
    pub memory_bytes: usize,
    /// The time that open statements have to finish at shutdown. Then they are cut off.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            login_timeout: Duration::from_secs(60),
            write_stall_timeout: Duration::from_secs(60),
            message_timeout: Duration::from_secs(60),
            max_message_bytes: 64 << 20,
            large_message_budget_bytes: 256 << 20,
            large_message_patience: Duration::from_secs(5),
            statement_memory_bytes: 256 << 20,
            session_memory_bytes: 384 << 20,
            memory_bytes: 768 << 20,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// Messages up to this size need no share of the budget: the connection limit bounds them.
pub(super) const SMALL_MESSAGE_BYTES: usize = 64 << 10;

/// Largest startup packet (`MAX_STARTUP_PACKET_LENGTH` of Postgres). Beyond it the connection is
/// closed without a word.
pub(super) const MAX_STARTUP_BYTES: usize = 10_000;

/// SSLRequest and GSSENCRequest before a startup packet; more is a client in a loop.
pub(super) const MAX_NEGOTIATIONS: usize = 4;

/// Largest message before the client is authenticated (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub(super) const MAX_PASSWORD_BYTES: usize = 65_535;

/// Prepared statements of a session: 54000 beyond it. Drivers cache a few hundred.
pub(super) const MAX_STATEMENTS: usize = 10_000;

/// Open portals and cursors of a session: 54000 beyond it.
pub(super) const MAX_PORTALS: usize = 1_000;

/// Parameters of a statement: the protocol counts them in 16 bits.
pub(super) const MAX_PARAMETERS: usize = 65_535;

/// Names of statements, portals and channels: longer ones are cut by Postgres at 63 bytes; here
/// statements and portals keep theirs up to this size, 42622 beyond it.
pub(super) const MAX_NAME_BYTES: usize = 1_024;

/// Answers are gathered up to this size before they are written, in one write.
pub(super) const WRITE_BYTES: usize = 32 << 10;

/// The size of a read while nothing is known of the next message.
pub(super) const READ_BYTES: usize = 8 << 10;

/// Messages up to this size are copied out of the buffer that they arrived in.
pub(super) const SMALL_BODY_BYTES: usize = 512;

/// Messages that are read ahead while a statement runs; the client waits beyond it.
pub(super) const READ_AHEAD_BYTES: usize = 64 << 10;

/// A client that closed its side has its last statements worked off for so long; then what waits
/// (a long poll) is ended, and the transaction rolled back.
pub(super) const HANG_UP_GRACE: Duration = Duration::from_millis(250);

/// Notifications that wait for a session that reads nothing; beyond it the session is told by
/// closing it, as lost notifications would go unnoticed.
pub const MAX_NOTIFICATIONS: usize = 10_000;
