//! `numeric` as its decimal text, with Postgres' scales. Sums and products are exact up to 38 digits;
//! beyond them is 22003 (Postgres has 131,072 digits; nobody counts messages with them).

use std::cmp::Ordering;

use crate::error::PgError;

/// Postgres' limits of digits before and after the point.
const MAX_WHOLE: i64 = 131_072;
const MAX_SCALE: i64 = 16_383;

/// Canonical text of a number in decimal or scientific notation, None if it is none. `1.50e1` is
/// `15.0`: the scale stays, the exponent goes.
pub(crate) fn normalize(text: &str) -> Result<Option<String>, PgError> {
    let Some((negative, whole, fraction, exponent)) = split(text) else { return Ok(None) };
    let mut digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    let scale = i64::try_from(digits.len()).unwrap_or(i64::MAX).saturating_sub(point);
    if point > MAX_WHOLE || scale > MAX_SCALE {
        return Err(overflow());
    }
    if point <= 0 {
        let zeros = usize::try_from(1 - point).unwrap_or(0);
        digits.insert_str(0, &"0".repeat(zeros));
    } else if scale < 0 {
        let zeros = usize::try_from(-scale).unwrap_or(0);
        digits.push_str(&"0".repeat(zeros));
    }
    let point = usize::try_from(point.max(1)).unwrap_or(1);
    let (whole, fraction) = digits.split_at_checked(point).unwrap_or((&digits, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let mut out = String::with_capacity(digits.len() + 2);
    if negative && digits.bytes().any(|digit| digit != b'0') {
        out.push('-');
    }
    out.push_str(whole);
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    Ok(Some(out))
}

type Parts<'a> = (bool, &'a str, &'a str, i64);

/// Sign, digits before and after the point, exponent.
fn split(text: &str) -> Option<Parts<'_>> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (rest.get(..at)?, rest.get(at + 1..)?.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fine = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    fine.then_some((negative, whole, fraction, exponent))
}

fn overflow() -> PgError {
    PgError::new("22003", "value overflows numeric format")
}

/// Compares two canonical texts by value.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let special = |text: &str| match text {
        "NaN" => 2,
        "Infinity" => 1,
        "-Infinity" => -1,
        _ => 0,
    };
    let (sa, sb) = (special(a), special(b));
    if sa != 0 || sb != 0 {
        return sa.cmp(&sb);
    }
    let (Some((na, wa, fa, _)), Some((nb, wb, fb, _))) = (split(a), split(b)) else {
        return a.cmp(b);
    };
    let trim = |w: &'_ str| w.trim_start_matches('0').len();
    let zero = |w: &str, f: &str| w.bytes().chain(f.bytes()).all(|digit| digit == b'0');
    let (na, nb) = (na && !zero(wa, fa), nb && !zero(wb, fb));
    if na != nb {
        return nb.cmp(&na);
    }
    let wa_digits = wa.trim_start_matches('0');
    let wb_digits = wb.trim_start_matches('0');
    let size = trim(wa)
        .cmp(&trim(wb))
        .then_with(|| wa_digits.cmp(wb_digits))
        .then_with(|| fa.trim_end_matches('0').cmp(fb.trim_end_matches('0')));
    if na { size.reverse() } else { size }
}

/// A number whose digits fit in 128 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: i128,
    scale: u32,
}

impl Decimal {
    pub(crate) fn parse(text: &str) -> Result<Self, PgError> {
        let (negative, whole, fraction, _) = split(text).ok_or_else(overflow)?;
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| overflow())?;
        let scale = u32::try_from(fraction.len()).map_err(|_| overflow())?;
        Ok(Self { digits: if negative { -digits } else { digits }, scale })
    }

    pub(crate) fn to_text(self) -> String {
        let scale = usize::try_from(self.scale).unwrap_or(0);
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) =
            digits.split_at_checked(digits.len() - scale).unwrap_or((&digits, ""));
        if fraction.is_empty() {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }

    fn rescaled(self, scale: u32) -> Result<i128, PgError> {
        let factor = 10_i128.checked_pow(scale - self.scale).ok_or_else(overflow)?;
        self.digits.checked_mul(factor).ok_or_else(overflow)
    }

    fn aligned(self, other: Self) -> Result<(i128, i128, u32), PgError> {
        let scale = self.scale.max(other.scale);
        Ok((self.rescaled(scale)?, other.rescaled(scale)?, scale))
    }

    pub(crate) fn add(self, other: Self) -> Result<Self, PgError> {
        let (a, b, scale) = self.aligned(other)?;
        Ok(Self { digits: a.checked_add(b).ok_or_else(overflow)?, scale })
    }

    pub(crate) fn negate(self) -> Self {
        Self { digits: -self.digits, ..self }
    }

    pub(crate) fn multiply(self, other: Self) -> Result<Self, PgError> {
        let digits = self.digits.checked_mul(other.digits).ok_or_else(overflow)?;
        Ok(Self { digits, scale: self.scale + other.scale })
    }

    /// With at least 16 significant digits, as `select_div_scale` of Postgres chooses them.
    pub(crate) fn divide(self, other: Self) -> Result<Self, PgError> {
        if other.digits == 0 {
            return Err(PgError::new("22012", "division by zero"));
        }
        let (weight_a, first_a) = self.weight();
        let (weight_b, first_b) = other.weight();
        let mut weight = weight_a - weight_b;
        if first_a <= first_b {
            weight -= 1;
        }
        let least = u32::try_from((16 - weight * 4).max(0)).unwrap_or(0);
        let scale = least.max(self.scale).max(other.scale);
        // One more digit, to round by.
        let shift = scale + 1 + other.scale - self.scale.min(scale + 1 + other.scale);
        let factor = 10_i128.checked_pow(shift).ok_or_else(overflow)?;
        let quotient = self.digits.checked_mul(factor).ok_or_else(overflow)? / other.digits;
        Ok(Self { digits: quotient, scale: scale + 1 }.rounded(scale))
    }

    pub(crate) fn remainder(self, other: Self) -> Result<Self, PgError> {
        let (a, b, scale) = self.aligned(other)?;
        let digits = a.checked_rem(b).ok_or_else(|| PgError::new("22012", "division by zero"))?;
        Ok(Self { digits, scale })
    }

    /// Position of the first base-10000 digit, and that digit: what Postgres' scales follow.
    fn weight(self) -> (i64, i128) {
        let text = self.to_text();
        let text = text.trim_start_matches('-');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = whole.trim_start_matches('0');
        if !whole.is_empty() {
            let groups = whole.len().div_ceil(4);
            let head = whole.len() - (groups - 1) * 4;
            let first = whole.get(..head).and_then(|head| head.parse().ok()).unwrap_or(0);
            return (i64::try_from(groups).unwrap_or(0) - 1, first);
        }
        let zeros = fraction.len() - fraction.trim_start_matches('0').len();
        if zeros == fraction.len() {
            return (0, 0);
        }
        let group = zeros / 4;
        let padded = format!("{fraction}0000");
        let first =
            padded.get(group * 4..group * 4 + 4).and_then(|head| head.parse().ok()).unwrap_or(0);
        (-1 - i64::try_from(group).unwrap_or(0), first)
    }

    /// Half away from zero.
    pub(crate) fn rounded(self, scale: u32) -> Self {
        if scale >= self.scale {
            let digits = self.rescaled(scale).unwrap_or(self.digits);
            return Self { digits, scale };
        }
        let Some(factor) = 10_i128.checked_pow(self.scale - scale) else {
            return Self { digits: 0, scale };
        };
        let half = if self.digits < 0 { -(factor / 2) } else { factor / 2 };
        Self { digits: self.digits.saturating_add(half) / factor, scale }
    }

    pub(crate) fn truncated(self, scale: u32) -> Self {
        let Some(factor) = 10_i128.checked_pow(self.scale.saturating_sub(scale)) else {
            return self;
        };
        if scale >= self.scale { self } else { Self { digits: self.digits / factor, scale } }
    }

    pub(crate) fn floor(self) -> Self {
        let whole = self.truncated(0);
        let exact = self.rescaled_equals(whole);
        if self.digits < 0 && !exact {
            Self { digits: whole.digits - 1, scale: 0 }
        } else {
            Self { scale: 0, ..whole }
        }
    }

    fn rescaled_equals(self, whole: Self) -> bool {
        whole.scale <= self.scale
            && whole.rescaled(self.scale).is_ok_and(|digits| digits == self.digits)
    }

    /// The nearest integer, if it fits.
    pub(crate) fn to_i64(self) -> Option<i64> {
        i64::try_from(self.rounded(0).digits).ok()
    }

    pub(crate) fn from_i64(value: i64) -> Self {
        Self { digits: i128::from(value), scale: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_scale_and_lose_their_exponent() {
        for (text, expected) in [
            ("1e2", "100"),
            ("1.50e1", "15.0"),
            ("-0", "0"),
            ("-0.0", "0.0"),
            ("1.5e-3", "0.0015"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("12345678901234567890123", "12345678901234567890123"),
        ] {
            assert_eq!(normalize(text).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(normalize("1e").unwrap(), None);
        assert_eq!(normalize("1e999999999").unwrap_err().code, "22003");
    }

    #[test]
    fn division_has_the_digits_that_postgres_gives() {
        for (a, b, expected) in [
            ("1", "3", "0.33333333333333333333"),
            ("3", "2", "1.5000000000000000"),
            ("10", "4", "2.5000000000000000"),
            ("1", "2", "0.50000000000000000000"),
            ("100000", "3", "33333.333333333333"),
            ("-7", "2", "-3.5000000000000000"),
        ] {
            let quotient = Decimal::parse(a).unwrap().divide(Decimal::parse(b).unwrap()).unwrap();
            assert_eq!(quotient.to_text(), expected, "{a} / {b}");
        }
        assert_eq!(compare("1.0", "1"), Ordering::Equal);
        assert_eq!(compare("-2", "1"), Ordering::Less);
        assert_eq!(compare("10", "9.99"), Ordering::Greater);
    }
}
