//! Binary forms of values (`*_send` and `*_recv` of Postgres), both directions.

use kyu_pgsql::error::PgError;
use kyu_pgsql::oid;
use kyu_pgsql::text;
use kyu_pgsql::types::{Element, Type};
use kyu_pgsql::value::Value;

use super::reader::{Reader, utf8};

/// Version byte of `jsonb`.
const JSONB_VERSION: u8 = 1;
const DAY_MICROS: i64 = 86_400_000_000;
/// Elements of an array that a client may send: what fits into the largest message.
const MAX_ELEMENTS: usize = 1 << 20;

/// Appends the binary form of a value that is not NULL.
pub(super) fn write(out: &mut Vec<u8>, ty: Type, value: &Value) {
    match (ty, value) {
        (_, Value::Null | Value::Void) => {}
        (_, Value::Bool(value)) => out.push(u8::from(*value)),
        (_, Value::Int(value)) => write_int(out, ty, *value),
        (Type::Numeric, Value::Float(value)) => write_numeric(out, &value.to_string()),
        (_, Value::Float(value)) => out.extend(value.to_be_bytes()),
        (_, Value::Numeric(digits)) => write_numeric(out, digits),
        (Type::Uuid, Value::Text(text)) => out.extend(uuid_bytes(text).unwrap_or_default()),
        (Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc, Value::Text(text)) => {
            out.extend(text.parse::<u32>().unwrap_or(0).to_be_bytes());
        }
        (Type::Jsonb, Value::Text(text)) => {
            out.push(JSONB_VERSION);
            out.extend(text.as_bytes());
        }
        (_, Value::Json(text)) => {
            if ty == Type::Jsonb {
                out.push(JSONB_VERSION);
            }
            out.extend(text.as_bytes());
        }
        (_, Value::Text(text)) => out.extend(text.as_bytes()),
        (Type::Date, Value::Timestamp(micros)) => {
            out.extend((micros.div_euclid(DAY_MICROS) as i32).to_be_bytes());
        }
        (_, Value::Timestamp(micros)) => out.extend(micros.to_be_bytes()),
        (_, Value::Interval { months, days, micros }) => {
            out.extend(micros.to_be_bytes());
            out.extend(days.to_be_bytes());
            out.extend(months.to_be_bytes());
        }
        (_, Value::Bytea(bytes)) => out.extend(bytes),
        (_, Value::Array(element, values)) => write_array(out, *element, values),
        (_, Value::Row(ty, values)) => write_row(out, *ty, values),
    }
}

/// The width is the type's: values are 64 bits inside.
fn write_int(out: &mut Vec<u8>, ty: Type, value: i64) {
    match ty {
        Type::Int2 => out.extend((value as i16).to_be_bytes()),
        Type::Int4 => out.extend((value as i32).to_be_bytes()),
        Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc => {
            out.extend((value as u32).to_be_bytes())
        }
        Type::Float8 => out.extend((value as f64).to_be_bytes()),
        Type::Numeric => write_numeric(out, &value.to_string()),
        _ => out.extend(value.to_be_bytes()),
    }
}

fn write_array(out: &mut Vec<u8>, element: Element, values: &[Value]) {
    let ty = element.ty();
    // Vectors have their one dimension even when they are empty.
    let dimensions = !values.is_empty() || element.lower_bound() == 0;
    out.extend(u32::from(dimensions).to_be_bytes());
    out.extend(u32::from(values.contains(&Value::Null)).to_be_bytes());
    out.extend(oid::of_type(ty).to_be_bytes());
    if dimensions {
        out.extend(length(values.len()));
        out.extend(element.lower_bound().to_be_bytes());
    }
    for value in values {
        write_field(out, ty, value);
    }
}

fn write_row(out: &mut Vec<u8>, ty: Type, values: &[Value]) {
    out.extend(length(values.len()));
    for (index, value) in values.iter().enumerate() {
        let ty = column_type(ty, index).unwrap_or_else(|| text::guess(value));
        out.extend(oid::of_type(ty).to_be_bytes());
        write_field(out, ty, value);
    }
}

/// A length and a value, or -1 for NULL.
fn write_field(out: &mut Vec<u8>, ty: Type, value: &Value) {
    let at = out.len();
    out.extend((-1_i32).to_be_bytes());
    if *value == Value::Null {
        return;
    }
    write(out, ty, value);
    let written = length(out.len() - at - 4);
    if let Some(four) = out.get_mut(at..at + 4) {
        four.copy_from_slice(&written);
    }
}

fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes()
}

/// The type of a composite type's column.
fn column_type(ty: Type, index: usize) -> Option<Type> {
    let Type::Composite(composite) = ty else { return None };
    composite.columns().get(index).map(|(_, ty)| *ty)
}

/// Base-10000 digits with a weight, a sign and a number of decimals.
fn write_numeric(out: &mut Vec<u8>, text: &str) {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (0x4000_u16, digits),
        None => (0, text),
    };
    let special = match digits {
        "NaN" => Some(0xc000_u16),
        "Infinity" => Some(if sign == 0 { 0xd000 } else { 0xf000 }),
        _ => None,
    };
    if let Some(sign) = special {
        for part in [0, 0, sign, 0] {
            out.extend(part.to_be_bytes());
        }
        return;
    }
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let scale = decimals.len();
    let padded = format!(
        "{}{whole}{decimals}{}",
        "0".repeat((4 - whole.len() % 4) % 4),
        "0".repeat((4 - scale % 4) % 4)
    );
    let groups: Vec<u16> = padded
        .as_bytes()
        .chunks(4)
        .map(|four| four.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        .collect();
    let leading = groups.iter().take_while(|group| **group == 0).count();
    let trailing = groups.iter().rev().take_while(|group| **group == 0).count();
    let significant = groups.get(leading..groups.len().saturating_sub(trailing)).unwrap_or(&[]);
    let weight = match significant {
        [] => 0,
        _ => whole.len().div_ceil(4) as i16 - 1 - leading as i16,
    };
    out.extend((significant.len() as u16).to_be_bytes());
    out.extend(weight.to_be_bytes());
    out.extend(if significant.is_empty() { 0 } else { sign }.to_be_bytes());
    out.extend((scale as u16).to_be_bytes());
    for group in significant {
        out.extend(group.to_be_bytes());
    }
}

/// The reason why bytes are no binary parameter; the caller adds which one.
fn incorrect() -> PgError {
    PgError::new("22P03", "incorrect binary data format")
}

/// Reads the binary form of a parameter. `oid` is what the client declared, 0 for nothing: types of
/// Postgres that are not ours come in their own width.
pub(super) fn read(ty: Type, oid: u32, bytes: &[u8]) -> Result<Value, PgError> {
    let value = match ty {
        Type::Bool => Value::Bool(bytes.first().is_some_and(|byte| *byte != 0 && bytes.len() == 1)),
        Type::Int2
        | Type::Int4
        | Type::Int8
        | Type::Oid
        | Type::Regclass
        | Type::Regtype
        | Type::Regproc => Value::Int(read_int(ty, bytes)?),
        Type::Date => Value::Timestamp(read_date(bytes)?),
        Type::Float8 if oid == 700 => Value::Float(f32::from_be_bytes(fixed(bytes)?).into()),
        Type::Float8 => Value::Float(f64::from_be_bytes(fixed(bytes)?)),
        Type::Numeric => Value::Numeric(read_numeric(bytes)?),
        Type::Text | Type::Varchar | Type::Name | Type::Unknown => Value::Text(read_text(bytes)?),
        Type::Char => Value::Text(read_text(bytes.get(..1).unwrap_or_default())?),
        Type::Json => text::input(ty, checked_text(bytes)?)?,
        Type::Jsonb => match bytes {
            [JSONB_VERSION, rest @ ..] => text::input(ty, checked_text(rest)?)?,
            [version, ..] => {
                let message = format!("unsupported jsonb version number {version}");
                return Err(PgError::new("XX000", message));
            }
            [] => return Err(PgError::new("08P01", "insufficient data left in message")),
        },
        Type::Timestamp | Type::Timestamptz => Value::Timestamp(i64::from_be_bytes(fixed(bytes)?)),
        Type::Interval => read_interval(bytes)?,
        Type::Bytea => Value::Bytea(bytes.to_vec()),
        Type::Uuid => Value::Text(uuid_text(&fixed(bytes)?)),
        Type::Array(element) => read_array(element, bytes)?,
        Type::Void | Type::Record | Type::Composite(_) => {
            let message =
                "input of composite types is not supported; pass their columns one by one";
            return Err(PgError::new("0A000", message));
        }
    };
    Ok(value)
}

/// Days since 2000, as the first microsecond of the day.
fn read_date(bytes: &[u8]) -> Result<i64, PgError> {
    match i32::from_be_bytes(fixed(bytes)?) {
        i32::MAX => Ok(i64::MAX), // infinity
        i32::MIN => Ok(i64::MIN),
        days => i64::from(days)
            .checked_mul(DAY_MICROS)
            .ok_or_else(|| PgError::new("22008", "date out of range")),
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], PgError> {
    match bytes.len().cmp(&N) {
        std::cmp::Ordering::Less => Err(PgError::new("08P01", "insufficient data left in message")),
        std::cmp::Ordering::Equal => bytes.try_into().map_err(|_| incorrect()),
        std::cmp::Ordering::Greater => Err(incorrect()),
    }
}

fn read_int(ty: Type, bytes: &[u8]) -> Result<i64, PgError> {
    Ok(match ty {
        Type::Int2 => i16::from_be_bytes(fixed(bytes)?).into(),
        Type::Int4 => i32::from_be_bytes(fixed(bytes)?).into(),
        Type::Oid | Type::Regclass | Type::Regtype | Type::Regproc => {
            u32::from_be_bytes(fixed(bytes)?).into()
        }
        _ => i64::from_be_bytes(fixed(bytes)?),
    })
}

fn read_text(bytes: &[u8]) -> Result<String, PgError> {
    checked_text(bytes).map(str::to_owned)
}

/// Text as it stands in the message.
fn checked_text(bytes: &[u8]) -> Result<&str, PgError> {
    let text = utf8(bytes)?;
    if text.contains('\0') {
        let message = "invalid byte sequence for encoding \"UTF8\": 0x00";
        return Err(PgError::new("22021", message));
    }
    Ok(text)
}

fn read_interval(bytes: &[u8]) -> Result<Value, PgError> {
    let bytes: [u8; 16] = fixed(bytes)?;
    let (micros, rest) = bytes.split_at(8);
    let (days, months) = rest.split_at(4);
    Ok(Value::Interval {
        months: i32::from_be_bytes(fixed(months)?),
        days: i32::from_be_bytes(fixed(days)?),
        micros: i64::from_be_bytes(fixed(micros)?),
    })
}

/// Elements may come in a narrower type than the array's: drivers send `int2[]` for small numbers.
fn read_array(element: Element, bytes: &[u8]) -> Result<Value, PgError> {
    let mut at = Reader::new(bytes);
    let dimensions = at.i32()?;
    let _has_nulls = at.i32()?;
    let sent = at.i32()? as u32;
    match dimensions {
        0 => return Ok(Value::Array(element, Vec::new())),
        1 => {}
        _ => {
            return Err(PgError::new(
                "0A000",
                "arrays of more than one dimension are not supported",
            ));
        }
    }
    let count = usize::try_from(at.i32()?).ok().filter(|count| *count <= MAX_ELEMENTS);
    let count = count.ok_or_else(|| PgError::new("22003", "invalid array size"))?;
    let _lower_bound = at.i32()?;
    let ty = oid::to_type(sent).unwrap_or(Type::Unknown);
    if ty != element.ty() && !(is_text(ty) && is_text(element.ty())) {
        let wanted = oid::of_type(element.ty());
        let message =
            format!("binary data has array element type {sent} instead of expected {wanted}");
        return Err(PgError::new("42804", message));
    }
    let mut values = Vec::with_capacity(count.min(at.remaining() / 4));
    for _ in 0..count {
        values.push(match at.i32()? {
            -1 => Value::Null,
            length => {
                let length = usize::try_from(length).map_err(|_| incorrect())?;
                read(element.ty(), 0, at.take(length)?)?
            }
        });
    }
    if at.is_empty() { Ok(Value::Array(element, values)) } else { Err(incorrect()) }
}

fn is_text(ty: Type) -> bool {
    matches!(ty, Type::Text | Type::Varchar | Type::Name | Type::Unknown)
}

fn read_numeric(bytes: &[u8]) -> Result<String, PgError> {
    let mut at = Reader::new(bytes);
    let count = at.u16()?;
    let weight = i32::from(at.u16()? as i16);
    let sign = at.u16()?;
    let scale = usize::from(at.u16()?);
    let mut groups = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        groups.push(Some(at.u16()?).filter(|group| *group < 10_000).ok_or_else(incorrect)?);
    }
    match sign {
        0 | 0x4000 if at.is_empty() && scale <= 16_383 => {}
        0xc000 => return Ok("NaN".into()),
        0xd000 => return Ok("Infinity".into()),
        0xf000 => return Ok("-Infinity".into()),
        _ => return Err(incorrect()),
    }
    let group = |power: i32| {
        usize::try_from(weight - power).ok().and_then(|at| groups.get(at)).copied().unwrap_or(0)
    };
    let mut digits = String::new();
    for power in (0..=weight.max(0)).rev() {
        digits.push_str(&format!("{:04}", group(power)));
    }
    let mut text = if sign == 0 { String::new() } else { "-".to_owned() };
    let whole = digits.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let mut decimals = String::new();
        let mut power = -1;
        while decimals.len() < scale {
            decimals.push_str(&format!("{:04}", group(power)));
            power -= 1;
        }
        decimals.truncate(scale);
        text.push('.');
        text.push_str(&decimals);
    }
    Ok(text)
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn uuid_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>().filter(|bytes| bytes.len() == 16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use kyu_pgsql::types::Composite;

    fn written(ty: Type, value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, ty, value);
        out
    }

    #[test]
    fn values_come_back_as_they_were_written() {
        let text = |text: &str| Value::Text(text.into());
        for (ty, value) in [
            (Type::Bool, Value::Bool(true)),
            (Type::Int2, Value::Int(-2)),
            (Type::Int4, Value::Int(i32::MIN.into())),
            (Type::Int8, Value::Int(i64::MAX)),
            (Type::Oid, Value::Int(u32::MAX.into())),
            (Type::Float8, Value::Float(-1.5)),
            (Type::Text, text("큐")),
            (Type::Uuid, text("123e4567-e89b-12d3-a456-426614174000")),
            (Type::Timestamptz, Value::Timestamp(-5)),
            (Type::Interval, Value::Interval { months: 1, days: -2, micros: 3 }),
            (Type::Bytea, Value::Bytea(vec![0, 255])),
            (Type::Array(Element::Int8), Value::Array(Element::Int8, vec![])),
            (Type::Array(Element::Text), Value::Array(Element::Text, vec![text("a"), Value::Null])),
        ] {
            assert_eq!(read(ty, 0, &written(ty, &value)), Ok(value));
        }
    }

    #[test]
    fn golden_bytes_as_postgres_sends_them() {
        let numeric = |text: &str| written(Type::Numeric, &Value::Numeric(text.into()));
        // numeric_send('12345.678') and its like, from Postgres 15.
        assert_eq!(numeric("12345.678"), b"\0\x03\0\x01\0\0\0\x03\0\x01\x09\x29\x1a\x7c");
        assert_eq!(numeric("-0.0001"), b"\0\x01\xff\xff\x40\0\0\x04\0\x01");
        assert_eq!(numeric("0"), b"\0\0\0\0\0\0\0\0");
        assert_eq!(numeric("10000"), b"\0\x01\0\x01\0\0\0\0\0\x01");
        assert_eq!(numeric("NaN"), b"\0\0\0\0\xc0\0\0\0");
        let array = Value::Array(Element::Int4, vec![Value::Int(1), Value::Null]);
        let expected = b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\
                         \0\0\0\x04\0\0\0\x01\xff\xff\xff\xff";
        assert_eq!(written(Type::Array(Element::Int4), &array), expected);
        assert_eq!(written(Type::Jsonb, &Value::Json("{}".into())), b"\x01{}");
        let ty = Type::Composite(Composite::QueueRecord);
        let row = Value::Row(ty, vec![Value::Text("q".into()), Value::Bool(false)]);
        let expected = b"\0\0\0\x02\0\0\x04\x13\0\0\0\x01q\0\0\0\x10\0\0\0\x01\0";
        assert_eq!(written(ty, &row), expected);
        assert_eq!(written(Type::Void, &Value::Void), b"");
    }

    #[test]
    fn numerics_come_back() {
        for text in
            ["0", "0.00", "1", "-1", "9999", "10000", "10000.0001", "-0.5", "123456789012345678.9"]
        {
            let written = written(Type::Numeric, &Value::Numeric(text.into()));
            assert_eq!(read(Type::Numeric, 0, &written), Ok(Value::Numeric(text.into())), "{text}");
        }
    }

    #[test]
    fn wrong_lengths_are_told_as_postgres_does() {
        let code = |ty, bytes: &[u8]| read(ty, 0, bytes).unwrap_err().code;
        assert_eq!(code(Type::Int4, b"123"), "08P01");
        assert_eq!(code(Type::Int4, b"12345"), "22P03");
        assert_eq!(code(Type::Jsonb, b"\x02{}"), "XX000");
        assert_eq!(code(Type::Text, b"a\0"), "22021");
        assert_eq!(code(Type::Text, b"\xff"), "22021");
        let huge = b"\0\0\0\x01\0\0\0\0\0\0\0\x14\x7f\xff\xff\xff\0\0\0\x01";
        assert_eq!(code(Type::Array(Element::Int8), huge), "22003");
        // Found by the property below: more days than microseconds have room for.
        assert_eq!(code(Type::Date, b"\x07\0\0\0"), "22008");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(index in 0_usize..100, bytes: Vec<u8>) {
            let types: Vec<Type> = oid::all().collect();
            if let Some(ty) = types.get(index) {
                let _any = read(*ty, 0, &bytes);
            }
        }
    }
}
