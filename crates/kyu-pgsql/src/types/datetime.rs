//! Times and intervals: texts, fields, arithmetic. Times are microseconds since 2000-01-01 00:00 UTC;
//! the time zone is UTC.

use jiff::SignedDuration;
use jiff::civil::{Date, date};

use crate::error::PgError;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i64 = 10_957;

/// `infinity` and `-infinity`.
pub(crate) const INFINITY: i64 = i64::MAX;
pub(crate) const NEGATIVE_INFINITY: i64 = i64::MIN;

/// An interval's three parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) months: i32,
    pub(crate) days: i32,
    pub(crate) micros: i64,
}

/// jiff knows years up to 9999, and Postgres has them up to 294,276. The calendar repeats itself
/// after 400 years, so that every date is reckoned in the era that begins with 2000.
const ERA_YEARS: i64 = 400;
const ERA_DAYS: i64 = 146_097;
const FIRST: Date = date(2000, 1, 1);

/// A time taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Civil {
    /// The era: 0 for the one that begins with 2000.
    era: i64,
    /// The date of the same month and day in era 0.
    date: Date,
    /// Since midnight.
    micros: i64,
}

impl Civil {
    /// The parts of a time.
    pub(crate) fn of(time: i64) -> Self {
        let days = time.div_euclid(DAY);
        let since_first = SignedDuration::from_hours(24 * days.rem_euclid(ERA_DAYS));
        // The days of one era are within jiff's years.
        let date = FIRST.checked_add(since_first).unwrap_or(FIRST);
        Self { era: days.div_euclid(ERA_DAYS), date, micros: time.rem_euclid(DAY) }
    }

    /// The midnight at which a day begins; `None` if there is no such day.
    fn midnight_of(year: i64, month: i64, day: i64) -> Option<Self> {
        let since_first = year - i64::from(FIRST.year());
        let year_of_era = i64::from(FIRST.year()) + since_first.rem_euclid(ERA_YEARS);
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let date = Date::new(i16::try_from(year_of_era).ok()?, month, day).ok()?;
        Some(Self { era: since_first.div_euclid(ERA_YEARS), date, micros: 0 })
    }

    /// The time that it stands for.
    fn time(self) -> Option<i64> {
        self.days()?.checked_mul(DAY)?.checked_add(self.micros)
    }

    /// Days since 2000-01-01.
    fn days(self) -> Option<i64> {
        let in_era = self.date.duration_since(FIRST).as_hours() / 24;
        self.era.checked_mul(ERA_DAYS)?.checked_add(in_era)
    }

    fn year(self) -> i64 {
        self.era * ERA_YEARS + i64::from(self.date.year())
    }

    fn month(self) -> i64 {
        self.date.month().into()
    }
}

fn out_of_range() -> PgError {
    PgError::new("22008", "timestamp out of range")
}

/// Reads a time; a text without zone is UTC. `now` is what `'now'` means.
pub(crate) fn parse(text: &str, kind: &str, now: i64) -> Result<i64, PgError> {
    let trimmed = text.trim();
    let today = now.div_euclid(DAY) * DAY;
    match trimmed.to_ascii_lowercase().as_str() {
        "now" => return Ok(now),
        "today" => return Ok(today),
        "tomorrow" => return Ok(today + DAY),
        "yesterday" => return Ok(today - DAY),
        "epoch" => return Ok(-EPOCH_DAYS * DAY),
        "infinity" | "+infinity" => return Ok(INFINITY),
        "-infinity" => return Ok(NEGATIVE_INFINITY),
        _ => {}
    }
    let invalid =
        || PgError::new("22007", format!("invalid input syntax for type {kind}: \"{text}\""));
    let range = || PgError::new("22008", format!("date/time field value out of range: \"{text}\""));
    let mut scanner = Scanner { bytes: trimmed.as_bytes(), at: 0 };
    let year = scanner.number().ok_or_else(invalid)?;
    let separator =
        scanner.next().filter(|byte| matches!(byte, b'-' | b'/')).ok_or_else(invalid)?;
    let month = scanner.number().ok_or_else(invalid)?;
    if scanner.next() != Some(separator) {
        return Err(invalid());
    }
    let day = scanner.number().ok_or_else(invalid)?;
    if year > 294_276 {
        return Err(range());
    }
    let midnight = Civil::midnight_of(year, month, day).ok_or_else(range)?;
    scanner.blanks();
    if matches!(scanner.peek(), Some(b'T' | b't')) {
        scanner.next();
    }
    let mut micros = 0;
    if scanner.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        micros = scanner.clock().ok_or_else(invalid)?;
        if !(0..=DAY).contains(&micros) {
            return Err(range());
        }
    }
    scanner.blanks();
    let offset = scanner.zone().ok_or_else(invalid)?;
    let time = Civil { micros, ..midnight }.time().ok_or_else(out_of_range)?;
    time.checked_sub(offset).ok_or_else(out_of_range)
}

/// True if a text that [`parse`] takes is a date and time without an offset.
pub(crate) fn is_local(text: &str) -> bool {
    let mut scanner = Scanner { bytes: text.trim().as_bytes(), at: 0 };
    let date = scanner.number().is_some()
        && scanner.next().is_some()
        && scanner.number().is_some()
        && scanner.next().is_some()
        && scanner.number().is_some();
    scanner.blanks();
    if matches!(scanner.peek(), Some(b'T' | b't')) {
        scanner.next();
    }
    if scanner.peek().is_some_and(|byte| byte.is_ascii_digit()) && scanner.clock().is_none() {
        return false;
    }
    scanner.blanks();
    date && scanner.peek().is_none()
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn blanks(&mut self) {
        while self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Option<i64> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(self.bytes.get(start..self.at)?).ok()?;
        digits.parse().ok()
    }

    /// `HH:MM[:SS[.ffffff]]` in microseconds; -1 for fields out of range.
    fn clock(&mut self) -> Option<i64> {
        let hours = self.number()?;
        let (mut minutes, mut seconds, mut micros) = (0, 0, 0);
        if self.peek() == Some(b':') {
            self.at += 1;
            minutes = self.number()?;
        }
        if self.peek() == Some(b':') {
            self.at += 1;
            seconds = self.number()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            micros = self.fraction()?;
        }
        let fine = hours <= 24 && minutes < 60 && seconds <= 60;
        Some(if fine { hours * HOUR + minutes * MINUTE + seconds * SECOND + micros } else { -1 })
    }

    /// Digits after the point, as microseconds, rounded.
    fn fraction(&mut self) -> Option<i64> {
        let start = self.at;
        self.number()?;
        let digits = std::str::from_utf8(self.bytes.get(start..self.at)?).ok()?;
        let padded = format!("{digits}0000000");
        let seven: i64 = padded.get(..7)?.parse().ok()?;
        Some((seven + 5) / 10)
    }

    /// Nothing, `Z`, `UTC`, `+02`, `+02:00`, `-0330`: microseconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        let Some(first) = self.next() else { return Some(0) };
        if first == b'+' || first == b'-' {
            let start = self.at;
            let mut hours = self.number()?;
            let mut minutes = 0;
            if self.at - start == 4 {
                (hours, minutes) = (hours / 100, hours % 100);
            } else if self.peek() == Some(b':') {
                self.at += 1;
                minutes = self.number()?;
            }
            let fine = self.at == self.bytes.len() && hours < 16 && minutes < 60;
            let offset = hours.min(16) * HOUR + minutes.min(60) * MINUTE;
            return fine.then_some(if first == b'-' { -offset } else { offset });
        }
        let rest = self.bytes.get(self.at - 1..)?.to_ascii_lowercase();
        matches!(rest.as_slice(), b"z" | b"utc" | b"gmt" | b"etc/utc" | b"zulu").then_some(0)
    }
}

/// `2026-01-02 03:04:05.6`, without zone.
pub(crate) fn to_text(time: i64) -> String {
    match time {
        INFINITY => return "infinity".to_owned(),
        NEGATIVE_INFINITY => return "-infinity".to_owned(),
        _ => {}
    }
    let parts = Civil::of(time);
    format!("{} {}", date_text(parts), clock_text(parts.micros))
}

pub(crate) fn date_text(parts: Civil) -> String {
    let (year, suffix) = match parts.year() {
        year @ 1.. => (year, ""),
        before => (1 - before, " BC"),
    };
    format!("{year:04}-{:02}-{:02}{suffix}", parts.date.month(), parts.date.day())
}

fn clock_text(micros: i64) -> String {
    let (hours, minutes, seconds) = (micros / HOUR, micros / MINUTE % 60, micros / SECOND % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{}", fraction_text(micros % SECOND))
}

fn fraction_text(micros: i64) -> String {
    if micros == 0 {
        String::new()
    } else {
        format!(".{micros:06}").trim_end_matches('0').to_owned()
    }
}

/// Reads `1 day 02:03:04`, `30 seconds`, `PT5M`, `1.5 hours ago`.
pub(crate) fn parse_interval(text: &str) -> Result<Interval, PgError> {
    let invalid =
        || PgError::new("22007", format!("invalid input syntax for type interval: \"{text}\""));
    let lower = text.trim().to_ascii_lowercase();
    if let Some(iso) = lower.strip_prefix('p') {
        return iso_interval(iso).ok_or_else(invalid);
    }
    let spaced = spaced(&lower);
    let mut words: Vec<&str> = spaced.split_whitespace().filter(|word| *word != "@").collect();
    let ago = words.last() == Some(&"ago");
    if ago {
        words.pop();
    }
    if words.is_empty() {
        return Err(invalid());
    }
    let mut total = Interval::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let part = if word.contains(':') {
            let (negative, clock) = match word.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, word.strip_prefix('+').unwrap_or(word)),
            };
            let mut scanner = Scanner { bytes: clock.as_bytes(), at: 0 };
            let micros = interval_clock(&mut scanner).ok_or_else(invalid)?;
            Interval { micros: if negative { -micros } else { micros }, ..Interval::default() }
        } else {
            let amount: f64 = word.parse().map_err(|_| invalid())?;
            let unit = words.next().unwrap_or("second");
            unit_interval(amount, unit).ok_or_else(invalid)?
        };
        total = add_intervals(total, part)?;
    }
    Ok(if ago { negate_interval(total) } else { total })
}

/// Puts a space between `5` and `min` in `5min`.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut digit = false;
    for character in text.chars() {
        if digit && character.is_ascii_alphabetic() {
            out.push(' ');
        }
        digit = character.is_ascii_digit();
        out.push(character);
    }
    out
}

fn interval_clock(scanner: &mut Scanner<'_>) -> Option<i64> {
    let hours = scanner.number()?;
    let mut micros = hours.checked_mul(HOUR)?;
    for unit in [MINUTE, SECOND] {
        if scanner.peek() == Some(b':') {
            scanner.at += 1;
            micros = micros.checked_add(scanner.number()?.checked_mul(unit)?)?;
        }
    }
    if scanner.peek() == Some(b'.') {
        scanner.at += 1;
        micros = micros.checked_add(scanner.fraction()?)?;
    }
    (scanner.at == scanner.bytes.len()).then_some(micros)
}

#[expect(clippy::cast_possible_truncation, reason = "amounts are checked to be small")]
pub(crate) fn unit_interval(amount: f64, unit: &str) -> Option<Interval> {
    if !amount.is_finite() || amount.abs() > 1e12 {
        return None;
    }
    let unit = unit.trim_end_matches(',');
    let micros = |micros: i64| Interval {
        micros: (amount * micros as f64).round() as i64,
        ..Interval::default()
    };
    let days = |length: f64| {
        let days = amount * length;
        let whole = days.trunc();
        let rest = ((days - whole) * DAY as f64).round();
        Interval { months: 0, days: whole as i32, micros: rest as i64 }
    };
    let months = |length: f64| {
        let months = amount * length;
        let whole = months.trunc();
        let rest = (months - whole) * 30.0;
        Interval {
            months: whole as i32,
            days: rest as i32,
            micros: (rest.fract() * DAY as f64).round() as i64,
        }
    };
    Some(match unit {
        "us" | "usec" | "usecs" | "microsecond" | "microseconds" => micros(1),
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => micros(1_000),
        "s" | "sec" | "secs" | "second" | "seconds" => micros(SECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => micros(MINUTE),
        "h" | "hr" | "hrs" | "hour" | "hours" => micros(HOUR),
        "d" | "day" | "days" => days(1.0),
        "w" | "week" | "weeks" => days(7.0),
        "mon" | "mons" | "month" | "months" => months(1.0),
        "y" | "yr" | "yrs" | "year" | "years" => months(12.0),
        "dec" | "decade" | "decades" => months(120.0),
        "century" | "centuries" => months(1_200.0),
        _ => return None,
    })
}

/// ISO 8601, after `P`.
fn iso_interval(text: &str) -> Option<Interval> {
    let mut total = Interval::default();
    let mut time = false;
    let mut number = String::new();
    for character in text.chars() {
        match character {
            't' => time = true,
            '0'..='9' | '.' | '-' | '+' => number.push(character),
            unit => {
                let amount: f64 = std::mem::take(&mut number).parse().ok()?;
                let unit = match (unit, time) {
                    ('m', false) => "month",
                    ('m', true) => "minute",
                    ('y', _) => "year",
                    ('w', _) => "week",
                    ('d', _) => "day",
                    ('h', _) => "hour",
                    ('s', _) => "second",
                    _ => return None,
                };
                total = add_intervals(total, unit_interval(amount, unit)?).ok()?;
            }
        }
    }
    number.is_empty().then_some(total)
}

/// `1 year 2 mons 3 days 04:05:06.7`, with Postgres' signs.
pub(crate) fn interval_text(interval: Interval) -> String {
    let mut parts = Vec::new();
    let mut before_negative = false;
    let mut push = |amount: i32, unit: &str| {
        if amount != 0 {
            let plus = if before_negative && amount > 0 { "+" } else { "" };
            let plural = if amount == 1 { "" } else { "s" };
            parts.push(format!("{plus}{amount} {unit}{plural}"));
            before_negative = amount < 0;
        }
    };
    push(interval.months / 12, "year");
    push(interval.months % 12, "mon");
    push(interval.days, "day");
    let micros = interval.micros;
    if micros != 0 || parts.is_empty() {
        let sign = if micros < 0 {
            "-"
        } else if before_negative {
            "+"
        } else {
            ""
        };
        let size = micros.unsigned_abs();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        parts.push(format!("{sign}{}", clock_text(size)));
    }
    parts.join(" ")
}

pub(crate) fn add_intervals(a: Interval, b: Interval) -> Result<Interval, PgError> {
    let sum = || {
        Some(Interval {
            months: a.months.checked_add(b.months)?,
            days: a.days.checked_add(b.days)?,
            micros: a.micros.checked_add(b.micros)?,
        })
    };
    sum().ok_or_else(|| PgError::new("22008", "interval out of range"))
}

pub(crate) fn negate_interval(interval: Interval) -> Interval {
    Interval {
        months: interval.months.saturating_neg(),
        days: interval.days.saturating_neg(),
        micros: interval.micros.saturating_neg(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "saturating, as Postgres' limits are near")]
pub(crate) fn multiply_interval(interval: Interval, factor: f64) -> Interval {
    let months = f64::from(interval.months) * factor;
    let days = f64::from(interval.days) * factor + months.fract() * 30.0;
    let micros = interval.micros as f64 * factor + days.fract() * DAY as f64;
    Interval { months: months as i32, days: days as i32, micros: micros.round() as i64 }
}

/// A size by which intervals are compared: months of 30 days, days of 24 hours.
pub(crate) fn interval_size(interval: Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * i128::from(DAY) + i128::from(interval.micros)
}

/// `time + interval`: months first (the day is clamped), then days, then the rest.
pub(crate) fn add(time: i64, interval: Interval) -> Result<i64, PgError> {
    if time == INFINITY || time == NEGATIVE_INFINITY {
        return Ok(time);
    }
    let mut time = time;
    if interval.months != 0 {
        let parts = Civil::of(time);
        let months = parts.year() * 12 + parts.month() - 1 + i64::from(interval.months);
        let first = Civil::midnight_of(months.div_euclid(12), months.rem_euclid(12) + 1, 1);
        let first = first.ok_or_else(out_of_range)?;
        let day = parts.date.day().min(first.date.days_in_month());
        let there = first.days().ok_or_else(out_of_range)? + i64::from(day) - 1;
        let moved = there.checked_mul(DAY).and_then(|there| there.checked_add(parts.micros));
        time = moved.ok_or_else(out_of_range)?;
    }
    let days = i64::from(interval.days).checked_mul(DAY).ok_or_else(out_of_range)?;
    time.checked_add(days)
        .and_then(|time| time.checked_add(interval.micros))
        .ok_or_else(out_of_range)
}

/// `a - b`: days and a rest, as `timestamp_mi` gives.
pub(crate) fn subtract(a: i64, b: i64) -> Result<Interval, PgError> {
    let micros = a.checked_sub(b).ok_or_else(out_of_range)?;
    let days = i32::try_from(micros / DAY).map_err(|_| out_of_range())?;
    Ok(Interval { months: 0, days, micros: micros % DAY })
}

/// The start of a time's day.
pub(crate) fn midnight(time: i64) -> i64 {
    if time == INFINITY || time == NEGATIVE_INFINITY { time } else { time.div_euclid(DAY) * DAY }
}

/// `date_trunc(unit, time)`.
pub(crate) fn truncate(unit: &str, time: i64) -> Result<i64, PgError> {
    let parts = Civil::of(time);
    let to = |length: i64| time.div_euclid(length).saturating_mul(length);
    let start = |month| {
        let first = Civil::midnight_of(parts.year(), month, 1).and_then(Civil::time);
        first.ok_or_else(out_of_range)
    };
    Ok(match unit.to_ascii_lowercase().as_str() {
        "microseconds" | "microsecond" => time,
        "milliseconds" | "millisecond" => to(1_000),
        "second" | "seconds" => to(SECOND),
        "minute" | "minutes" => to(MINUTE),
        "hour" | "hours" => to(HOUR),
        "day" | "days" => to(DAY),
        "week" | "weeks" => {
            let since_monday = i64::from(parts.date.weekday().to_monday_zero_offset());
            (time.div_euclid(DAY) - since_monday).saturating_mul(DAY)
        }
        "month" | "months" => start(parts.month())?,
        "quarter" => start((parts.month() - 1) / 3 * 3 + 1)?,
        "year" | "years" => start(1)?,
        _ => {
            let message =
                format!("unit \"{unit}\" not recognized for type timestamp with time zone");
            return Err(PgError::new("22023", message));
        }
    })
}

/// A field of a time: value and its scale, as a decimal.
pub(crate) fn field(unit: &str, time: i64) -> Option<(i64, u32)> {
    let parts = Civil::of(time);
    Some(match unit {
        "epoch" => (time.checked_add(EPOCH_DAYS * DAY)?, 6),
        "microseconds" => (parts.micros % MINUTE, 0),
        "milliseconds" => (parts.micros % MINUTE, 3),
        "second" | "seconds" => (parts.micros % MINUTE, 6),
        "minute" | "minutes" => (parts.micros / MINUTE % 60, 0),
        "hour" | "hours" => (parts.micros / HOUR, 0),
        "day" | "days" => (parts.date.day().into(), 0),
        "month" | "months" => (parts.month(), 0),
        "quarter" => ((parts.month() - 1) / 3 + 1, 0),
        "year" | "years" => (parts.year(), 0),
        "dow" => (parts.date.weekday().to_sunday_zero_offset().into(), 0),
        "isodow" => (parts.date.weekday().to_monday_one_offset().into(), 0),
        "doy" => (parts.date.day_of_year().into(), 0),
        "timezone" | "timezone_hour" | "timezone_minute" => (0, 0),
        _ => return None,
    })
}

/// A field of an interval.
pub(crate) fn interval_field(unit: &str, interval: Interval) -> Option<(i64, u32)> {
    let micros = interval.micros;
    Some(match unit {
        "epoch" => {
            let years = i64::from(interval.months / 12) * (365 * DAY + DAY / 4);
            let months = i64::from(interval.months % 12) * 30 * DAY;
            let days = i64::from(interval.days) * DAY;
            (years.checked_add(months)?.checked_add(days)?.checked_add(micros)?, 6)
        }
        "microseconds" => (micros % MINUTE, 0),
        "milliseconds" => (micros % MINUTE, 3),
        "second" | "seconds" => (micros % MINUTE, 6),
        "minute" | "minutes" => (micros / MINUTE % 60, 0),
        "hour" | "hours" => (micros / HOUR, 0),
        "day" | "days" => (i64::from(interval.days), 0),
        "month" | "months" => (i64::from(interval.months % 12), 0),
        "year" | "years" => (i64::from(interval.months / 12), 0),
        _ => return None,
    })
}

/// Seconds since 1970 as a time.
#[expect(clippy::cast_possible_truncation, reason = "checked to be within the range")]
pub(crate) fn from_unix(seconds: f64) -> Result<i64, PgError> {
    let micros = seconds * 1e6;
    if !micros.is_finite() || micros.abs() > 9e18 {
        return Err(PgError::new("22008", format!("timestamp out of range: \"{seconds}\"")));
    }
    Ok(micros.round() as i64 - EPOCH_DAYS * DAY)
}

/// `to_char(time, pattern)`, for the patterns people use on time stamps.
pub(crate) fn format(time: i64, pattern: &str) -> String {
    let parts = Civil::of(time);
    let part = |value: i64, width: usize| format!("{value:0width$}");
    let hour = parts.micros / HOUR;
    // Names of months and days, in English in every locale that there is.
    let named = |pattern| parts.date.strftime(pattern).to_string();
    let table: [(&str, String); 19] = [
        ("YYYY", part(parts.year(), 4)),
        ("YY", part(parts.year() % 100, 2)),
        ("MM", part(parts.month(), 2)),
        ("Month", format!("{:<9}", named("%B"))),
        ("Mon", named("%b")),
        ("DDD", named("%j")),
        ("DD", part(parts.date.day().into(), 2)),
        ("Day", format!("{:<9}", named("%A"))),
        ("Dy", named("%a")),
        ("HH24", part(hour, 2)),
        ("HH12", part((hour + 11) % 12 + 1, 2)),
        ("HH", part((hour + 11) % 12 + 1, 2)),
        ("MI", part(parts.micros / MINUTE % 60, 2)),
        ("SS", part(parts.micros / SECOND % 60, 2)),
        ("MS", part(parts.micros % SECOND / 1_000, 3)),
        ("US", part(parts.micros % SECOND, 6)),
        ("AM", if hour < 12 { "AM" } else { "PM" }.to_owned()),
        ("TZ", "UTC".to_owned()),
        ("OF", "+00".to_owned()),
    ];
    let mut out = String::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let end = quoted.find('"').unwrap_or(quoted.len());
            out.push_str(quoted.get(..end).unwrap_or(""));
            rest = quoted.get(end + 1..).unwrap_or("");
            continue;
        }
        // `FM` drops the padding of names; numbers are padded in what people write.
        rest = rest.strip_prefix("FM").unwrap_or(rest);
        if let Some((key, text)) = table.iter().find(|(key, _)| rest.starts_with(key)) {
            out.push_str(text);
            rest = rest.get(key.len()..).unwrap_or("");
        } else if let Some(first) = rest.chars().next() {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_printed_as_postgres_does() {
        for (text, expected) in [
            ("2000-01-01", "2000-01-01 00:00:00"),
            ("2024-02-29T12:34:56.789+02", "2024-02-29 10:34:56.789"),
            ("2024-02-29 12:34:56.7891234Z", "2024-02-29 12:34:56.789123"),
            ("1969-12-31 23:59:59.999999 UTC", "1969-12-31 23:59:59.999999"),
            ("2024-01-01 00:00:00-03:30", "2024-01-01 03:30:00"),
            ("infinity", "infinity"),
        ] {
            assert_eq!(to_text(parse(text, "timestamp", 0).unwrap()), expected, "{text}");
        }
        assert_eq!(parse("2023-02-29", "timestamp", 0).unwrap_err().code, "22008");
        assert_eq!(parse("soon", "timestamp", 0).unwrap_err().code, "22007");
    }

    #[test]
    fn intervals_are_read_and_printed_as_postgres_does() {
        for (text, expected) in [
            ("1 day 02:03:04.5", "1 day 02:03:04.5"),
            ("90 seconds", "00:01:30"),
            ("1.5 hours", "01:30:00"),
            ("-1 day", "-1 days"),
            ("1 year 14 months", "2 years 2 mons"),
            ("P1DT2H3M", "1 day 02:03:00"),
            ("5min", "00:05:00"),
            ("2 hours ago", "-02:00:00"),
            ("-1 day +02:00", "-1 days +02:00:00"),
            ("30", "00:00:30"),
            ("0", "00:00:00"),
        ] {
            assert_eq!(interval_text(parse_interval(text).unwrap()), expected, "{text}");
        }
        assert_eq!(parse_interval("x").unwrap_err().code, "22007");
        let end = parse("2024-01-31", "timestamp", 0).unwrap();
        assert_eq!(
            to_text(add(end, parse_interval("1 month").unwrap()).unwrap()),
            "2024-02-29 00:00:00"
        );
    }

    #[test]
    fn each_day_has_a_date_and_each_date_its_day() {
        // The era before the first, the first, the last that Postgres has, and the days between.
        for era in [-17, -1, 0, 1, 729] {
            let mut before = Civil::of((era * ERA_DAYS - 1) * DAY);
            for days in era * ERA_DAYS..(era + 1) * ERA_DAYS {
                let parts = Civil::of(days * DAY);
                let (year, month, day) = (parts.year(), parts.month(), parts.date.day());
                let same = Civil::midnight_of(year, month, day.into()).unwrap();
                assert_eq!(same.days(), Some(days), "{parts:?}");
                let next = before.date.day() + 1 == day && before.month() == month;
                assert!(next || day == 1, "{before:?} {parts:?}");
                before = parts;
            }
        }
        for (text, shown) in [
            ("294276-12-31 23:59:59", "294276-12-31 23:59:59"),
            ("10000-02-29", "10000-02-29 00:00:00"),
        ] {
            assert_eq!(to_text(parse(text, "timestamp", 0).unwrap()), shown);
        }
        assert_eq!(date_text(Civil::of(-63_113_904_000 * SECOND)), "0001-01-01 BC");
        for none in ["10001-02-29", "294277-01-01", "2023-04-31", "2023-00-01", "2023-13-01"] {
            assert_eq!(parse(none, "timestamp", 0).unwrap_err().code, "22008", "{none}");
        }
    }

    #[test]
    fn fields_and_truncation() {
        let time = parse("2024-05-16 13:14:15.25", "timestamp", 0).unwrap();
        assert_eq!(field("epoch", time), Some((1_715_865_255_250_000, 6)));
        assert_eq!(field("dow", time), Some((4, 0)));
        assert_eq!(field("doy", time), Some((137, 0)));
        assert_eq!(to_text(truncate("week", time).unwrap()), "2024-05-13 00:00:00");
        assert_eq!(to_text(truncate("quarter", time).unwrap()), "2024-04-01 00:00:00");
        assert_eq!(format(time, "Dy Day|Mon Month|DDD"), "Thu Thursday |May May      |137");
        assert_eq!(format(time, "YYYY-MM-DD\"T\"HH24:MI:SS.MS"), "2024-05-16T13:14:15.250");
    }
}
