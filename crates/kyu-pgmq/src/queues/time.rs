//! Times: the broker's milliseconds since 1970 and Postgres' microseconds since 2000.

use kyu_broker::UnixMs;

/// 2000-01-01 00:00 UTC in Unix milliseconds.
const EPOCH_MS: i64 = 946_684_800_000;

/// Microseconds since 2000.
pub(super) fn to_pg(at_ms: UnixMs) -> i64 {
    i64::try_from(at_ms).unwrap_or(i64::MAX).saturating_sub(EPOCH_MS).saturating_mul(1_000)
}

/// Unix milliseconds, rounded up; times before 1970 are 0.
pub(super) fn from_pg(us: i64) -> UnixMs {
    let ms = us.div_euclid(1_000).saturating_add(i64::from(us.rem_euclid(1_000) > 0));
    u64::try_from(ms.saturating_add(EPOCH_MS)).unwrap_or(0)
}

/// So many seconds (also negative) after a time, in microseconds since 2000.
pub(super) fn after(at_ms: UnixMs, seconds: i64) -> i64 {
    to_pg(at_ms).saturating_add(seconds.saturating_mul(1_000_000))
}

/// `extract(epoch from now - at)::int`: rounded to the nearest second.
pub(super) fn age_seconds(now_ms: UnixMs, at_ms: UnixMs) -> i64 {
    i64::try_from(now_ms.saturating_sub(at_ms).saturating_add(500) / 1_000).unwrap_or(i64::MAX)
}
