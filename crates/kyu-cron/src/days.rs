//! The days of a month that an expression names.

use jiff::civil::{Date, Weekday};

/// The two day fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub(crate) of_month: DayOfMonth,
    pub(crate) of_week: DayOfWeek,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DayOfMonth {
    /// True if the field begins with `*` or `?`.
    pub(crate) is_open: bool,
    /// The days of the month: bit `n` stands for day `n`, from 1.
    pub(crate) days: u32,
    /// The days counted from the end: bit `n` stands for `n` days before the last.
    pub(crate) before_last: u32,
    /// The nearest weekdays: bit `n` stands for the weekday nearest to day `n`.
    pub(crate) weekday_near: u32,
    pub(crate) last_weekday: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DayOfWeek {
    /// True if the field begins with `*` or `?`.
    pub(crate) is_open: bool,
    /// The days of the week: bit `n` stands for day `n`, Sunday is 0.
    pub(crate) days: u8,
    /// The same, only the last of the month.
    pub(crate) last: u8,
    /// For the first to the fifth of the month.
    pub(crate) nth: [u8; 5],
}

/// Every day of a month, from bit 1 on.
const ALL_DAYS: u32 = 0xffff_fffe;

impl Days {
    /// The days of a date's month that match, as bits from 1.
    pub(crate) fn in_month(&self, date: Date) -> u32 {
        let length = date.days_in_month();
        let all = ALL_DAYS & !(ALL_DAYS.checked_shl(bit(length)).unwrap_or(0));
        let first = date.first_of_month().weekday();
        let by_month = self.of_month.bits(length, first);
        let by_week = self.of_week.bits(length, first);
        let named = if self.of_month.is_open || self.of_week.is_open {
            by_month & by_week
        } else {
            by_month | by_week
        };
        named & all
    }
}

impl DayOfMonth {
    fn bits(&self, length: i8, first: Weekday) -> u32 {
        let mut bits = self.days;
        for before in each(u64::from(self.before_last)) {
            if before < length {
                bits |= 1 << bit(length - before);
            }
        }
        for day in each(u64::from(self.weekday_near)) {
            if day <= length {
                bits |= 1 << bit(weekday_near(day, length, first));
            }
        }
        if self.last_weekday {
            bits |= 1 << bit(weekday_near(length, length, first));
        }
        bits
    }
}

impl DayOfWeek {
    fn bits(&self, length: i8, first: Weekday) -> u32 {
        let mut bits = 0u32;
        for day in 1..=length {
            let of_week = 1u8 << bit(weekday_of(day, first));
            let nth = self.nth.get(usize::from(day.unsigned_abs() - 1) / 7).copied().unwrap_or(0);
            let last = if day + 7 > length { self.last } else { 0 };
            if of_week & (self.days | nth | last) != 0 {
                bits |= 1 << bit(day);
            }
        }
        bits
    }
}

/// The day of the week (Sunday is 0) of a day in a month that begins with `first`.
fn weekday_of(day: i8, first: Weekday) -> i8 {
    (first.to_sunday_zero_offset() + day - 1) % 7
}

/// The weekday (Monday to Friday) nearest to a day, in the same month.
fn weekday_near(day: i8, length: i8, first: Weekday) -> i8 {
    match weekday_of(day, first) {
        6 if day > 1 => day - 1,
        6 => day + 2,
        0 if day < length => day + 1,
        0 => day - 2,
        _ => day,
    }
}

fn bit(day: i8) -> u32 {
    u32::from(day.unsigned_abs())
}

fn each(bits: u64) -> impl Iterator<Item = i8> {
    (0..32i8).filter(move |n| bits >> n & 1 == 1)
}
