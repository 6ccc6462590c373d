//! Lengths of time as people write them: `500ms`, `30s`, `5m`, `1h30m`, `2d`, `1w`.

/// The units, the longest first, in milliseconds. A month is none: its length is not fixed.
const UNITS: [(&str, u64); 6] = [
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a length of time as milliseconds: a number alone, or numbers with units, the longest unit
/// first and each at most once. What is wrong with another text is said for people.
pub fn duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "{text:?} is no length of time: write milliseconds, or 500ms, 30s, 5m, 1h30m, 2d, 1w"
        )
    };
    if let Ok(ms) = text.parse() {
        return Ok(ms);
    }
    let (mut rest, mut units, mut total_ms) = (text, UNITS.iter(), 0u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        // Only units that are shorter than the last one are left.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let part_ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit_ms));
        total_ms = part_ms.and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
        rest = behind;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total_ms) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_as_people_write_them() {
        for (text, ms) in [
            ("0", 0),
            ("1500", 1_500),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1w2d3h4m5s6ms", 788_645_006),
        ] {
            assert_eq!(duration_ms(text), Ok(ms), "{text}");
        }
        let beyond = format!("{}w", u64::MAX);
        for wrong in ["", "m", "5 m", "-5m", "1.5h", "5x", "5M", "5m1h", "1m1m", &beyond] {
            assert!(duration_ms(wrong).is_err(), "{wrong}");
        }
    }
}
