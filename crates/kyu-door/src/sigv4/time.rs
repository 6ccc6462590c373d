//! The one time format of SigV4: `20260131T235959Z`.

use crate::calendar::Date;

/// Unix seconds of a basic ISO 8601 time in UTC; `None` for any other text.
pub(super) fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (&[y1, y2, y3, y4, mo1, mo2, d1, d2, b'T', h1, h2, mi1, mi2, s1, s2, b'Z'], b"") =
        bytes.split_first_chunk::<16>()?
    else {
        return None;
    };
    let year = number(&[y1, y2, y3, y4])?;
    let (month, day) = (number(&[mo1, mo2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let date = Date { year: year.into(), month: month.into(), day: day.into() };
    let days = u64::try_from(date.unix_days()).ok()?;
    let second_of_day = hour * 3_600 + minute * 60 + second;
    Some(days * 86_400 + u64::from(second_of_day))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn known_times() {
        assert_eq!(parse("19700101T000000Z"), Some(0));
        assert_eq!(parse("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(parse("20240229T235959Z"), Some(1_709_251_199));
        for bad in
            ["", "20150830T123600", "20150830T123600Z ", "2015083OT123600Z", "20151330T123600Z"]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
