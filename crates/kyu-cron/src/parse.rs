//! Reading expressions.

use std::fmt;

use crate::days::{DayOfMonth, DayOfWeek, Days};
use crate::{Cron, Zone};

/// An error in a cron expression, as a text for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError(String);

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CronError {}

/// The longest expression that is read; no sensible one is longer.
const MAX_BYTES: usize = 512;

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// A field with its bounds and the names of its values, the first of which is `min`.
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    /// The last value of `*` and of open steps: Sunday has two numbers, but comes once a week.
    last: u8,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", min: 0, max: 59, last: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", min: 0, max: 59, last: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, last: 23, names: &[] };
const DAY_OF_MONTH: Field = Field { name: "day of month", min: 1, max: 31, last: 31, names: &[] };
const MONTH: Field = Field { name: "month", min: 1, max: 12, last: 12, names: &MONTHS };
const DAY_OF_WEEK: Field = Field { name: "day of week", min: 0, max: 7, last: 6, names: &DAYS };

pub(crate) fn parse(expression: &str) -> Result<Cron, CronError> {
    if expression.len() > MAX_BYTES {
        return Err(CronError(format!("the expression is longer than {MAX_BYTES} bytes")));
    }
    let expression = expand(expression.trim())?;
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    let (second, [minute, hour, of_month, month, of_week]) = match *fields.as_slice() {
        [a, b, c, d, e] => ("0", [a, b, c, d, e]),
        [second, a, b, c, d, e] => (second, [a, b, c, d, e]),
        ref fields => {
            return Err(CronError(format!(
                "the expression has {} fields: 5 are expected (minute, hour, day of month, month, \
                 day of week), or 6 with the second first",
                fields.len()
            )));
        }
    };
    let cron = Cron {
        seconds: SECOND.bits(second)?,
        minutes: MINUTE.bits(minute)?,
        hours: HOUR.bits(hour)? as u32,
        months: MONTH.bits(month)? as u16,
        days: Days { of_month: day_of_month(of_month)?, of_week: day_of_week(of_week)? },
    };
    // From 1970 on, so that what is accepted does not depend on the time.
    if cron.next_after(0, &Zone::UTC).is_none() {
        return Err(CronError("no such day exists: the expression never runs".to_owned()));
    }
    Ok(cron)
}

fn expand(expression: &str) -> Result<&str, CronError> {
    let Some(name) = expression.strip_prefix('@') else { return Ok(expression) };
    Ok(match name.to_ascii_lowercase().as_str() {
        "yearly" | "annually" => "0 0 1 1 *",
        "monthly" => "0 0 1 * *",
        "weekly" => "0 0 * * 0",
        "daily" | "midnight" => "0 0 * * *",
        "hourly" => "0 * * * *",
        _ => {
            return Err(CronError(format!(
                "{expression:?} is none of @yearly, @annually, @monthly, @weekly, @daily, \
                 @midnight and @hourly"
            )));
        }
    })
}

impl Field {
    fn error(&self, item: &str, why: &str) -> CronError {
        CronError(format!("{}: {item:?} {why}", self.name))
    }

    fn value(&self, text: &str) -> Result<u8, CronError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        if let Some(at) = named.and_then(|at| u8::try_from(at).ok()) {
            return Ok(self.min + at);
        }
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse::<u8>().ok().filter(|_| is_number);
        value.filter(|value| (self.min..=self.max).contains(value)).ok_or_else(|| {
            let names = if self.names.is_empty() { "" } else { " or a three-letter name" };
            self.error(text, &format!("is not a number from {} to {}{names}", self.min, self.max))
        })
    }

    /// The values that a list names, as bits.
    fn bits(&self, list: &str) -> Result<u64, CronError> {
        list.split(',').try_fold(0, |bits, item| Ok(bits | self.item(item)?))
    }

    /// A value, a range, or one of these with a step.
    fn item(&self, item: &str) -> Result<u64, CronError> {
        let (range, step) = match item.split_once('/') {
            None => (item, None),
            Some((range, step)) => (range, Some(self.step(item, step)?)),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.last),
            Some((first, last)) => match (self.value(first)?, self.value(last)?) {
                // MON-SUN: Sunday ends a week as well as it begins one.
                (first, 0) if first > 0 && self.max == 7 => (first, 7),
                range => range,
            },
            None => {
                let first = self.value(range)?;
                match step {
                    None => (first, first),
                    // 7/2 begins on the Sunday that begins the week: on the other it would end.
                    Some(_) => (if first > self.last { self.min } else { first }, self.last),
                }
            }
        };
        if first > last {
            return Err(self.error(item, "is a range that ends before it begins"));
        }
        let values = (first..=last).step_by(usize::from(step.unwrap_or(1)));
        Ok(values.fold(0, |bits, value| bits | 1 << value))
    }

    fn step(&self, item: &str, step: &str) -> Result<u8, CronError> {
        let most = self.max - self.min + 1;
        let is_number = !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        let step = step.parse::<u8>().ok().filter(|_| is_number);
        step.filter(|step| (1..=most).contains(step))
            .ok_or_else(|| self.error(item, &format!("has no step from 1 to {most}")))
    }
}

fn is_open(list: &str) -> bool {
    list.starts_with(['*', '?'])
}

/// `?` stands alone and is `*`.
fn open_as_star(list: &str) -> &str {
    if list == "?" { "*" } else { list }
}

fn day_of_month(list: &str) -> Result<DayOfMonth, CronError> {
    let mut days = DayOfMonth { is_open: is_open(list), ..DayOfMonth::default() };
    for item in open_as_star(list).split(',') {
        let upper = item.to_ascii_uppercase();
        if upper == "L" {
            days.before_last |= 1;
        } else if upper == "LW" {
            days.last_weekday = true;
        } else if let Some(before) = upper.strip_prefix("L-") {
            let before = DAY_OF_MONTH.value(before)?;
            if before > 30 {
                return Err(DAY_OF_MONTH.error(item, "is more than 30 days before the last"));
            }
            days.before_last |= 1 << before;
        } else if let Some(near) = upper.strip_suffix('W') {
            days.weekday_near |= 1 << DAY_OF_MONTH.value(near)?;
        } else {
            days.days |= DAY_OF_MONTH.item(item)? as u32;
        }
    }
    Ok(days)
}

fn day_of_week(list: &str) -> Result<DayOfWeek, CronError> {
    let mut days = DayOfWeek { is_open: is_open(list), ..DayOfWeek::default() };
    // Sunday is 0 and 7.
    let fold = |bits: u64| (bits | bits >> 7) as u8 & 0x7f;
    for item in open_as_star(list).split(',') {
        if let Some((day, number)) = item.split_once('#') {
            let day = fold(1 << DAY_OF_WEEK.value(day)?);
            let number = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let slot = number.and_then(|number| days.nth.get_mut(number));
            *slot.ok_or_else(|| DAY_OF_WEEK.error(item, "has no number from 1 to 5 after #"))? |=
                day;
        } else if let Some(day) = item.strip_suffix(['L', 'l']) {
            if day.is_empty() {
                let why = "names no day: FRIL is the last Friday of the month";
                return Err(DAY_OF_WEEK.error(item, why));
            }
            days.last |= fold(1 << DAY_OF_WEEK.value(day)?);
        } else {
            days.days |= fold(DAY_OF_WEEK.item(item)?);
        }
    }
    Ok(days)
}
