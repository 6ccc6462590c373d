//! Instants as people write and read them: with an offset or a zone, and how far away they are.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ZonedDateTime};
use kyu_settings::duration_ms;

/// Now, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Reads an instant as Unix milliseconds: `2026-12-24T18:00+01:00`, `2026-12-24 18:00Z`,
/// `2026-12-24T18:00[Europe/Berlin]`, `+5m` and `-2d` from now, or Unix milliseconds. A time of day
/// without an offset or a zone is refused: nobody knows whose it is.
pub(crate) fn instant_ms(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{text:?} is no instant: write 2026-12-24T18:00+01:00, 2026-12-24T18:00[Europe/Berlin], \
             +5m or -2d from now, or Unix milliseconds"
        )
    };
    if let Some(ahead) = text.strip_prefix('+') {
        return now_ms().checked_add(duration_ms(ahead)?).ok_or_else(wrong);
    }
    if let Some(back) = text.strip_prefix('-') {
        return now_ms().checked_sub(duration_ms(back)?).ok_or_else(wrong);
    }
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let instant =
        text.parse::<ZonedDateTime>().map(|zoned| zoned.timestamp()).or_else(|_| text.parse());
    let instant: Timestamp = instant.map_err(|_| wrong())?;
    u64::try_from(instant.as_millisecond()).map_err(|_| wrong())
}

/// Writes an instant for people: by the clock of a zone (UTC for one that is not known), and how far
/// away it is.
pub(crate) fn in_words(at_ms: u64, zone: Option<&str>, now_ms: u64) -> String {
    let instant = i64::try_from(at_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let Some(instant) = instant else { return at_ms.to_string() };
    let zone =
        zone.and_then(|name| TimeZoneDatabase::bundled().get(name).ok()).unwrap_or(TimeZone::UTC);
    let is_utc = zone == TimeZone::UTC;
    let zoned = instant.to_zoned_datetime(zone);
    let clock = zoned.strftime(if is_utc { "%Y-%m-%d %H:%M:%SZ" } else { "%Y-%m-%d %H:%M:%S%:z" });
    format!("{clock} ({})", distance(at_ms, now_ms))
}

/// The distance of an instant, in its longest unit.
fn distance(at_ms: u64, now_ms: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    // To the next second: what was asked for in an hour is not 59 minutes away.
    let away_ms = at_ms.abs_diff(now_ms).saturating_add(500) / 1_000 * 1_000;
    let Some((unit_ms, name)) = UNITS.iter().find(|(unit_ms, _)| away_ms >= *unit_ms) else {
        return "now".to_owned();
    };
    let count = away_ms / unit_ms;
    if at_ms > now_ms { format!("in {count} {name}") } else { format!("{count} {name} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_with_an_offset_or_a_zone() {
        for (text, ms) in [
            ("0", 0),
            ("1798131600000", 1_798_131_600_000),
            ("2026-12-24T18:00+01:00", 1_798_131_600_000),
            ("2026-12-24 17:00Z", 1_798_131_600_000),
            ("2026-12-24T18:00[Europe/Berlin]", 1_798_131_600_000),
            ("2026-12-24T17:00:00.5Z", 1_798_131_600_500),
        ] {
            assert_eq!(instant_ms(text), Ok(ms), "{text}");
        }
        let in_an_hour = instant_ms("+1h").unwrap();
        assert!(in_an_hour.abs_diff(now_ms() + 3_600_000) < 60_000);
        assert!(instant_ms("-2d").unwrap() < now_ms());
        for wrong in
            ["", "soon", "2026-12-24T18:00", "2026-12-24", "18:00", "+", "1969-12-31T00:00Z"]
        {
            assert!(instant_ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn instants_for_people() {
        let at_ms = 1_798_131_600_000;
        for (zone, now_ms, words) in [
            (None, at_ms, "2026-12-24 17:00:00Z (now)"),
            (Some("Europe/Berlin"), at_ms - 90_000, "2026-12-24 18:00:00+01:00 (in 1 min)"),
            (None, at_ms - 3_599_600, "2026-12-24 17:00:00Z (in 1 h)"),
            (Some("Nowhere/None"), at_ms + 50 * 3_600_000, "2026-12-24 17:00:00Z (2 d ago)"),
        ] {
            assert_eq!(in_words(at_ms, zone, now_ms), words);
        }
        assert_eq!(in_words(u64::MAX, None, 0), u64::MAX.to_string());
    }
}
