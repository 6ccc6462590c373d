//! Every bound of an HTTP port, with its reason and what happens at it.

use std::time::Duration;

/// Bounds of one HTTP port. The defaults suit a small machine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections. At the limit a new one is answered 503 and closed: each costs about
    /// 20 KiB and a file descriptor.
    pub max_connections: usize,
    /// Longest wait for a whole request head, and for the next request on an idle connection.
    /// Then the connection is closed.
    pub head_timeout: Duration,
    /// Longest time that a body arrives at less than 8 KiB/s; while others wait for the memory that
    /// it holds, two seconds at less than 512 KiB/s. Then
    /// [`Rejection::BodyTimeout`](crate::http::Rejection).
    pub body_timeout: Duration,
    /// Longest wait of a body for its share of the budget. Then
    /// [`Rejection::Busy`](crate::http::Rejection).
    pub body_room_timeout: Duration,
    /// Longest time that a client reads its answer at less than that pace. Then the connection is
    /// closed.
    pub write_stall_timeout: Duration,
    /// Largest body: 1 MiB of message, each byte of which JSON may escape as six.
    /// [`Rejection::BodyTooLarge`](crate::http::Rejection).
    pub max_body_bytes: usize,
    /// Largest request head and the largest single read. Hyper answers 431.
    pub max_head_bytes: usize,
    /// Header fields of a request. Hyper answers 431.
    pub max_headers: usize,
    /// Memory for bodies larger than [`SMALL_BODY_BYTES`], over all connections.
    pub large_body_budget_bytes: usize,
    /// Memory for answers larger than [`SMALL_ANSWER_BYTES`](crate::http::SMALL_ANSWER_BYTES) that
    /// are being made or have not been read yet, over all connections. A request waits ten seconds
    /// for its share, then it is refused in its protocol's words.
    pub answer_budget_bytes: usize,
    /// The same of one connection: the largest receive, each byte of which JSON may escape as six.
    pub max_answer_bytes: usize,
    /// The time that open requests have to finish at shutdown. Then they are cut off.
    pub shutdown_grace: Duration,
}

/// Bodies up to this size need no share of the budget: the connection limit bounds them.
pub const SMALL_BODY_BYTES: usize = 16 << 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            head_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(30),
            body_room_timeout: Duration::from_secs(10),
            write_stall_timeout: Duration::from_secs(30),
            max_body_bytes: 8 << 20,
            max_head_bytes: 64 << 10,
            max_headers: 100,
            large_body_budget_bytes: 256 << 20,
            answer_budget_bytes: 256 << 20,
            max_answer_bytes: 96 << 20,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}
