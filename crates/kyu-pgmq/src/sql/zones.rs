//! Named time zones (`Europe/Berlin`), by the rules that are compiled in. Times are microseconds since 2000.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use super::datetime::{INFINITY, NEGATIVE_INFINITY};

/// From 1970 to 2000.
const EPOCH_S: i64 = 946_684_800;
const MICROS: i64 = 1_000_000;

/// The zone of a name, in any case; None if there is none.
pub(crate) fn named(name: &str) -> Option<TimeZone> {
    static ZONES: OnceLock<TimeZoneDatabase> = OnceLock::new();
    ZONES.get_or_init(TimeZoneDatabase::bundled).get(name).ok()
}

/// The local time of an instant. Times beyond the years that rules are made for are those of UTC.
pub(crate) fn local(zone: &TimeZone, instant: i64) -> i64 {
    let offset = timestamp(instant).map_or(0, |at| zone.to_offset(at).seconds());
    shifted(instant, i64::from(offset))
}

/// The instant of a local time. Where clocks are put forward, a time in between is read by the offset before;
/// where they are put back, a time that comes twice is read by the one after (as Postgres: standard time).
pub(crate) fn instant(zone: &TimeZone, local: i64) -> i64 {
    let offset = timestamp(local).map_or(0, |at| {
        let civil = TimeZone::UTC.to_datetime(at);
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        }
        .seconds()
    });
    shifted(local, -i64::from(offset))
}

fn timestamp(micros: i64) -> Option<Timestamp> {
    Timestamp::from_second(micros.div_euclid(MICROS).checked_add(EPOCH_S)?).ok()
}

fn shifted(micros: i64, seconds: i64) -> i64 {
    match micros {
        INFINITY | NEGATIVE_INFINITY => micros,
        finite => finite.saturating_add(seconds * MICROS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::text;
    use crate::types::Type;

    #[test]
    fn times_of_places_follow_their_rules() {
        let shown =
            |micros| text::to_string(Type::Timestamp, &crate::value::Value::Timestamp(micros));
        let read = |text: &str| super::super::datetime::parse(text, "timestamp", 0).unwrap();
        let berlin = named("europe/berlin").unwrap();
        for (utc, there) in [
            ("2024-07-01 12:00:00", "2024-07-01 14:00:00"),
            ("2024-01-01 12:00:00.5", "2024-01-01 13:00:00.5"),
        ] {
            assert_eq!(shown(local(&berlin, read(utc))), there);
            assert_eq!(shown(instant(&berlin, read(there))), utc);
        }
        // Skipped, and twice.
        assert_eq!(shown(instant(&berlin, read("2024-03-31 02:30:00"))), "2024-03-31 01:30:00");
        assert_eq!(shown(instant(&berlin, read("2024-10-27 02:30:00"))), "2024-10-27 01:30:00");
        assert_eq!(local(&berlin, INFINITY), INFINITY);
        assert!(named("Mars/Base").is_none());
    }
}
