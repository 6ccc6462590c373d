//! The forms in which answers give times.

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

const UNIX_EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// A time with milliseconds as RFC 3339 has it: `2026-01-31T23:59:59.999Z`. Times after the year
/// 9999, for which it has no form, are the end of that year.
pub fn rfc3339(unix_ms: u64) -> String {
    let since_epoch =
        i64::try_from(unix_ms).map_or(SignedDuration::MAX, SignedDuration::from_millis);
    format!("{:.3}Z", UNIX_EPOCH.saturating_add(since_epoch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_764_100_799_999, "2025-11-25T19:59:59.999Z"),
            (1_795_237_489_007, "2026-11-21T05:04:49.007Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(unix_ms), text);
        }
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }
}
