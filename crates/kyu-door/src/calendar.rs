//! Days and dates of the proleptic Gregorian calendar, in UTC; by Howard Hinnant's algorithms, which
//! count eras of 400 years that begin in March, so that the leap day comes last.

/// Days from 0000-03-01, where the first era begins, to 1970-01-01.
const ERA_TO_UNIX_DAYS: i64 = 719_468;
const ERA_DAYS: i64 = 146_097;

/// A date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// From 1 to 12.
    pub month: i64,
    /// From 1; days behind the end of the month are those of the next.
    pub day: i64,
}

impl Date {
    /// The date so many days after 1970-01-01.
    pub fn of_unix_days(days: i64) -> Self {
        let days = days + ERA_TO_UNIX_DAYS;
        let (era, day_of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// Days from 1970-01-01 to this date.
    pub fn unix_days(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let month = (self.month + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * ERA_DAYS + day_of_era - ERA_TO_UNIX_DAYS
    }
}

/// A time with milliseconds as RFC 3339 has it: `2026-01-31T23:59:59.999Z`.
pub fn rfc3339(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // No more than 2^64 milliseconds' days.
    let Date { year, month, day } = Date::of_unix_days(days as i64);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    let ms = ms % 1_000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
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
    }

    #[test]
    fn each_day_has_a_date_and_each_date_its_day() {
        // Two eras around the first, and so every kind of year on both sides of year 0.
        let mut before = Date::of_unix_days(-2 * ERA_DAYS - ERA_TO_UNIX_DAYS - 1);
        for days in -2 * ERA_DAYS - ERA_TO_UNIX_DAYS..2 * ERA_DAYS {
            let date = Date::of_unix_days(days);
            assert_eq!(date.unix_days(), days, "{date:?}");
            let next = Date { day: before.day + 1, ..before };
            assert!(date == next || date.day == 1, "{before:?} {date:?}");
            before = date;
        }
    }
}
