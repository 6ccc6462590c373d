//! Cron expressions in IANA time zones, and the instants that they name.
//!
//! Pure: no clock, and no time-zone files of the system. The rules of the zones are compiled in
//! ([`RULES_VERSION`]), so that two servers of one version agree.
//!
//! # Expressions
//! Five fields, `minute hour day-of-month month day-of-week`, or six with `second` first, or one of
//! `@yearly` (`@annually`), `@monthly`, `@weekly`, `@daily` (`@midnight`), `@hourly`.
//!
//! | field | values | also |
//! |---|---|---|
//! | second, minute | 0-59 | |
//! | hour | 0-23 | |
//! | day of month | 1-31 | `?` as `*`; `L` the last, `L-3` three before it, `15W` the weekday nearest to the 15th, `LW` the last weekday |
//! | month | 1-12, `JAN`-`DEC` | |
//! | day of week | 0-7 (0 and 7 are Sunday), `SUN`-`SAT` | `?` as `*`; `FRI#2` the second Friday, `FRIL` or `5L` the last one |
//!
//! Each field is a list (`1,15`) of values, ranges (`MON-FRI`), steps (`*/15`, `10-30/5`; `5/15` is
//! from 5 on, and in a week from Sunday to Saturday: `7/2` is SUN, TUE, THU and SAT), and of what the table names. If both day fields are restricted (do not begin with
//! `*` or `?`), a day matches that either names, as in Vixie cron; else it must match both.
//!
//! # Daylight saving
//! - A local time that is skipped in spring runs at the next instant that exists (02:30 at 03:00);
//!   several skipped ones run once.
//! - A local time that comes twice in autumn runs the first time only.
//! - Expressions whose hour field names every hour go by elapsed time instead: `*/15 * * * *` runs
//!   every 15 minutes also through the hour that comes twice, and makes up for none in spring.

mod days;
mod parse;
mod zone;

pub use parse::CronError;
pub use zone::{RULES_VERSION, Zone};

use jiff::civil::{Date, DateTime, Time};

use days::Days;

/// A cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// The seconds: bit `n` stands for second `n`.
    seconds: u64,
    minutes: u64,
    hours: u32,
    /// The months: bit `n` stands for month `n`, from 1.
    months: u16,
    days: Days,
}

/// The longest wait, in years, of an expression that runs at all: 29 February on a given day of the
/// week comes again after at most 40 years (across 2100).
const MAX_YEARS: i16 = 41;

/// Every hour of the day.
const ALL_HOURS: u32 = (1 << 24) - 1;

impl Cron {
    /// Reads an expression. What is wrong with it is said for people.
    pub fn parse(expression: &str) -> Result<Self, CronError> {
        parse::parse(expression)
    }

    /// The first run after an instant (Unix time in milliseconds), in a zone; `None` if there is
    /// none within 40 years, or before the year 9999.
    pub fn next_after(&self, after_ms: u64, zone: &Zone) -> Option<u64> {
        let after_s = i64::try_from(after_ms / 1_000).ok()?;
        let next_s = if self.hours == ALL_HOURS {
            self.next_elapsed(after_s, zone)
        } else {
            self.next_local(after_s, zone)
        };
        u64::try_from(next_s?).ok()?.checked_mul(1_000)
    }

    /// Returns the next match by the wall clock. The instant of a local time never falls as local
    /// times rise (a skipped one is that of the jump, a repeated one its first), so the first local
    /// time with a later instant is the answer.
    fn next_local(&self, after_s: i64, zone: &Zone) -> Option<i64> {
        let mut local = zone.local(after_s)?;
        loop {
            local = self.next_match(second_after(local)?)?;
            let instant = zone.instant(local)?;
            if instant > after_s {
                return Some(instant);
            }
        }
    }

    /// Returns the next match by elapsed time: within a stretch of one offset, instants are local
    /// times. A stretch that ends before the next match hands over to the following one.
    fn next_elapsed(&self, after_s: i64, zone: &Zone) -> Option<i64> {
        let mut from_s = after_s + 1;
        // Zones change a few times a year.
        for _ in 0..i32::from(MAX_YEARS) * 8 {
            let local = zone.local(from_s)?;
            let found = self.next_match(local)?;
            let instant = from_s + seconds_between(local, found)?;
            match zone.next_change(from_s) {
                Some(change_s) if change_s <= instant => from_s = change_s,
                _ => return Some(instant),
            }
        }
        None
    }

    /// The first local time that matches, from this one on.
    fn next_match(&self, from: DateTime) -> Option<DateTime> {
        if self.day_matches(from.date())
            && let Some(time) = self.next_time(from.time())
        {
            return Some(from.date().to_datetime(time));
        }
        let first = self.next_time(Time::midnight())?;
        Some(self.next_day(from.date().tomorrow().ok()?)?.to_datetime(first))
    }

    fn day_matches(&self, date: Date) -> bool {
        let day = u32::try_from(date.day()).unwrap_or(0);
        self.has_month(date) && self.days.in_month(date) >> day & 1 == 1
    }

    fn has_month(&self, date: Date) -> bool {
        self.months >> date.month() & 1 == 1
    }

    fn next_day(&self, from: Date) -> Option<Date> {
        let last_year = from.year().saturating_add(MAX_YEARS);
        let mut from = from;
        while from.year() <= last_year {
            if self.has_month(from) {
                let later = self.days.in_month(from) >> from.day() << from.day();
                if later != 0 {
                    let day = i8::try_from(later.trailing_zeros()).ok()?;
                    return Date::new(from.year(), from.month(), day).ok();
                }
            }
            from = from.last_of_month().tomorrow().ok()?;
        }
        None
    }

    /// The first time of a day that matches, from this one on.
    fn next_time(&self, from: Time) -> Option<Time> {
        let time = |hour, minute, second| Time::new(hour, minute, second, 0).ok();
        let first_second = lowest(self.seconds)?;
        let first_minute = lowest(self.minutes)?;
        let hours = u64::from(self.hours);
        if hours >> from.hour() & 1 == 1 {
            if self.minutes >> from.minute() & 1 == 1
                && let Some(second) = lowest(from_bit(self.seconds, from.second()))
            {
                return time(from.hour(), from.minute(), second);
            }
            if let Some(minute) = lowest(from_bit(self.minutes, from.minute() + 1)) {
                return time(from.hour(), minute, first_second);
            }
        }
        time(lowest(from_bit(hours, from.hour() + 1))?, first_minute, first_second)
    }
}

/// The bits from this one up.
fn from_bit(bits: u64, first: i8) -> u64 {
    let mask = u64::MAX.checked_shl(u32::try_from(first).unwrap_or(0));
    bits & mask.unwrap_or(0)
}

fn lowest(bits: u64) -> Option<i8> {
    if bits == 0 { None } else { i8::try_from(bits.trailing_zeros()).ok() }
}

fn second_after(local: DateTime) -> Option<DateTime> {
    local.checked_add(jiff::SignedDuration::from_secs(1)).ok()
}

fn seconds_between(from: DateTime, to: DateTime) -> Option<i64> {
    Some(to.duration_since(from).as_secs())
}

#[cfg(test)]
mod tests;
