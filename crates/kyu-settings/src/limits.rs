//! Bounds of settings, with their reasons. Beyond one, [`crate::apply`] refuses.

/// Longest long poll: shorter than the patience of most proxies.
pub const MAX_WAIT_MS: u64 = 60_000;
/// Delays, retentions and windows, ten years: sums with the time of day cannot overflow.
pub const MAX_SPAN_MS: u64 = 315_576_000_000;
/// Longest lease, the engine's.
pub const MAX_LEASE_MS: u64 = kyu_model::limits::MAX_LEASE_MS;
/// Largest message, body and attributes, as for SQS.
pub const MAX_MESSAGE_BYTES: u32 = 1 << 20;
