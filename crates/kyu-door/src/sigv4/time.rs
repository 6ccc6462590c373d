//! The one time format of SigV4: `20260131T235959Z`.

use jiff::civil::{Date, date};

const UNIX_EPOCH: Date = date(1970, 1, 1);

/// Unix seconds of a basic ISO 8601 time in UTC; `None` for any other text.
pub(super) fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let (&[y1, y2, y3, y4, mo1, mo2, d1, d2, b'T', h1, h2, mi1, mi2, s1, s2, b'Z'], b"") =
        bytes.split_first_chunk::<16>()?
    else {
        return None;
    };
    let (month, day) = (number(&[mo1, mo2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[mi1, mi2])?, number(&[s1, s2])?);
    if hour >= 24 || minute >= 60 || second > 60 {
        return None;
    }
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    let date = Date::new(number(&[y1, y2, y3, y4])?, month, day).ok()?;
    // Dates before the epoch have none.
    let midnight_s = u64::try_from(date.duration_since(UNIX_EPOCH).as_secs()).ok()?;
    let second_of_day = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Some(midnight_s + u64::try_from(second_of_day).ok()?)
}

/// The number of at most four digits.
fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i16::from(digit - b'0'))
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
        // A leap second is the first of the next minute.
        assert_eq!(parse("20161231T235960Z"), Some(1_483_228_800));
        for bad in [
            "",
            "20150830T123600",
            "20150830T123600Z ",
            "2015083OT123600Z",
            "20151330T123600Z",
            "20230229T123600Z",
            "19691231T235959Z",
            "20150830T243600Z",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
