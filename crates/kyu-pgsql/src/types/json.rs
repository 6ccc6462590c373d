//! `json` and `jsonb`: Postgres' rules on numbers, keys and containment.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use crate::error::PgError;
use crate::types::decimal;

/// The depth to which values may be nested: 54001 beyond it.
pub const MAX_DEPTH: u32 = 256;

/// The bytes that the numbers of a value may grow by when their exponents are written out: 54000
/// beyond it.
pub const MAX_GROWTH_BYTES: usize = 1 << 20;

/// The number of values of two documents that `@>` may compare: 54000 beyond it.
pub const MAX_COMPARISONS: u32 = 10_000_000;

/// A JSON value as `jsonb` has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Its decimal text, without exponent.
    Number(String),
    /// Without escapes.
    String(String),
    /// In order.
    Array(Vec<Json>),
    /// By length of the key, then by its bytes; each key once.
    Object(Vec<(String, Json)>),
}

/// Reads a value; of equal keys the last wins.
///
/// # Errors
/// 22P02 for what is not JSON, 22P05 for `\u0000`, 54001 above [`MAX_DEPTH`].
pub fn parse(text: &str) -> Result<Json, PgError> {
    let mut reader = Reader { text, at: 0, depth: 0, literal: false, grown: 0 };
    let value = reader.document()?;
    Ok(value)
}

/// Checks that a text is JSON, for type `json`, which keeps what was written (`\u0000` included).
///
/// # Errors
/// As [`parse`].
pub fn check(text: &str) -> Result<(), PgError> {
    Reader { text, at: 0, depth: 0, literal: true, grown: 0 }.document().map(|_| ())
}

/// The text that `jsonb` prints.
///
/// # Errors
/// As [`parse`].
pub fn canonical(text: &str) -> Result<String, PgError> {
    let mut reader = Reader { text, at: 0, depth: 0, literal: false, grown: 0 };
    // One space behind each colon and comma, where most clients write none.
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    reader.print(&mut out)?;
    reader.end()?;
    Ok(out)
}

/// An object from pairs: sorted, the last of equal keys wins.
pub fn object(pairs: Vec<(String, Json)>) -> Json {
    let mut pairs = pairs;
    // Stable, so that the last of equal keys stands last.
    pairs.sort_by(|(a, _), (b, _)| compare_keys(a, b));
    pairs.reverse();
    pairs.dedup_by(|(a, _), (b, _)| a == b);
    pairs.reverse();
    Json::Object(pairs)
}

fn compare_keys(a: &str, b: &str) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// Type `json`: escapes are checked for form only.
    literal: bool,
    /// Bytes that numbers have grown by: `1e100000` takes 100,001 digits.
    grown: usize,
}

/// Most that the numbers of one value may grow by: 22003 beyond it.
const MAX_GROWTH: usize = 1 << 20;

impl Reader<'_> {
    fn document(&mut self) -> Result<Json, PgError> {
        let value = self.value()?;
        self.end()?;
        Ok(value)
    }

    fn end(&mut self) -> Result<(), PgError> {
        self.blanks();
        match self.at < self.text.len() {
            true => Err(self.unexpected("end of input")),
            false => Ok(()),
        }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn error(detail: String) -> PgError {
        PgError {
            detail: Some(detail),
            ..PgError::new("22P02", "invalid input syntax for type json")
        }
    }

    fn unexpected(&self, expected: &str) -> PgError {
        let rest = self.text.get(self.at..).unwrap_or("");
        if rest.is_empty() {
            return Self::error("The input string ended unexpectedly.".to_owned());
        }
        let first = rest.chars().next().map_or(1, char::len_utf8);
        let word =
            rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let token = rest.get(..word.max(first)).unwrap_or("");
        if word > 0 && expected == "JSON value" {
            return Self::error(format!("Token \"{token}\" is invalid."));
        }
        Self::error(format!("Expected {expected}, but found \"{token}\"."))
    }

    fn value(&mut self) -> Result<Json, PgError> {
        self.blanks();
        match self.peek() {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => Ok(Json::String(self.string()?)),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                for (word, value) in
                    [("true", Json::Bool(true)), ("false", Json::Bool(false)), ("null", Json::Null)]
                {
                    let rest = self.text.get(self.at..).unwrap_or("");
                    let ends = rest
                        .as_bytes()
                        .get(word.len())
                        .is_none_or(|byte| !byte.is_ascii_alphanumeric());
                    if rest.starts_with(word) && ends {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected("JSON value"))
            }
        }
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, PgError>,
    ) -> Result<T, PgError> {
        if self.depth >= MAX_DEPTH {
            return Err(PgError::new("54001", "JSON is nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Result<Json, PgError> {
        let mut pairs = Vec::new();
        self.entries(|reader| {
            let key = reader.string()?;
            reader.colon()?;
            pairs.push((key, reader.value()?));
            Ok(())
        })?;
        Ok(object(pairs))
    }

    fn array(&mut self) -> Result<Json, PgError> {
        let mut values = Vec::new();
        self.elements(|reader| {
            values.push(reader.value()?);
            Ok(())
        })?;
        Ok(Json::Array(values))
    }

    /// The entries of an object, behind its brace; `read` stands at the quote of a key.
    fn entries(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        self.blanks();
        let mut expected = "string or \"}\"";
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blanks();
            if self.peek() != b'"' {
                return Err(self.unexpected(expected));
            }
            expected = "string";
            read(self)?;
            self.blanks();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected("\",\" or \"}\"")),
            }
        }
    }

    fn colon(&mut self) -> Result<(), PgError> {
        self.blanks();
        if self.peek() != b':' {
            return Err(self.unexpected("\":\""));
        }
        self.at += 1;
        Ok(())
    }

    /// The elements of an array, behind its bracket.
    fn elements(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(), PgError>,
    ) -> Result<(), PgError> {
        self.blanks();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            read(self)?;
            self.blanks();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected("\",\" or \"]\"")),
            }
        }
    }

    /// Appends the canonical text of the next value, without making the value: every message that
    /// is sent or read goes through here.
    fn print(&mut self, out: &mut String) -> Result<(), PgError> {
        self.blanks();
        match self.peek() {
            b'{' => self.nested(|reader| reader.print_object(out)),
            b'[' => self.nested(|reader| {
                out.push('[');
                let start = out.len();
                reader.elements(|reader| {
                    out.push_str(if out.len() == start { "" } else { ", " });
                    reader.print(out)
                })?;
                out.push(']');
                Ok(())
            }),
            b'"' => self.print_string(out).map(drop),
            _ => {
                // A number, or one of three words.
                let value = self.value()?;
                let _infallible = write!(out, "{value}");
                Ok(())
            }
        }
    }

    fn print_object(&mut self, out: &mut String) -> Result<(), PgError> {
        out.push('{');
        let start = out.len();
        let mut entries: Vec<Printed> = Vec::new();
        let mut sorted = true;
        self.entries(|reader| {
            out.push_str(if out.len() == start { "" } else { ", " });
            let from = out.len();
            let meaning = reader.print_string(out)?;
            let key_end = out.len();
            reader.colon()?;
            out.push_str(": ");
            reader.print(out)?;
            let entry = Printed { from, key_end, to: out.len(), meaning };
            if let Some(last) = entries.last() {
                sorted &= compare_keys(last.key(out), entry.key(out)).is_lt();
            }
            entries.push(entry);
            Ok(())
        })?;
        if !sorted {
            // Stable, so that the last of equal keys stands last; it wins.
            entries.sort_by(|a, b| compare_keys(a.key(out), b.key(out)));
            let mut ordered = String::with_capacity(out.len() - start);
            let mut entries = entries.iter().peekable();
            while let Some(entry) = entries.next() {
                if entries.peek().is_some_and(|next| next.key(out) == entry.key(out)) {
                    continue;
                }
                ordered.push_str(if ordered.is_empty() { "" } else { ", " });
                ordered.push_str(out.get(entry.from..entry.to).unwrap_or(""));
            }
            out.truncate(start);
            out.push_str(&ordered);
        }
        out.push('}');
        Ok(())
    }

    /// Appends a string with its quotes; what it means, unless that is what stands between them.
    fn print_string(&mut self, out: &mut String) -> Result<Option<String>, PgError> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        if let Some(length) = memchr::memchr2(b'"', b'\\', rest)
            && rest.get(length) == Some(&b'"')
            && !has_control(rest.get(..length).unwrap_or_default())
        {
            let end = self.at + length + 2;
            out.push_str(self.text.get(self.at..end).unwrap_or(""));
            self.at = end;
            return Ok(None);
        }
        let meaning = self.string()?;
        let _infallible = write_string(out, &meaning);
        Ok(Some(meaning))
    }

    fn number(&mut self) -> Result<Json, PgError> {
        let start = self.at;
        while matches!(self.peek(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        let ends = !self.peek().is_ascii_alphanumeric();
        let value = if well_formed(text) && ends { decimal::normalize(text)? } else { None };
        // `1e131071` is nine bytes that become 131,072.
        self.grown += value.as_ref().map_or(0, |value| value.len().saturating_sub(text.len()));
        if self.grown > MAX_GROWTH_BYTES {
            return Err(PgError::new("54000", "numbers of the JSON value are too long"));
        }
        self.grown += value.as_ref().map_or(0, |value| value.len().saturating_sub(text.len()));
        if self.grown > MAX_GROWTH {
            return Err(PgError::new("22003", "value overflows numeric format"));
        }
        value.map(Json::Number).ok_or_else(|| Self::error(format!("Token \"{text}\" is invalid.")))
    }

    fn string(&mut self) -> Result<String, PgError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek(), b'"' | b'\\' | 0..=0x1f) {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at).unwrap_or(""));
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(out);
                }
                b'\\' => self.escape(&mut out)?,
                _ if self.at >= self.text.len() => {
                    let token = self.text.get(start.saturating_sub(1)..).unwrap_or("");
                    return Err(Self::error(format!("Token \"{token}\" is invalid.")));
                }
                byte => {
                    return Err(Self::error(format!(
                        "Character with value 0x{byte:02x} must be escaped."
                    )));
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), PgError> {
        self.at += 1;
        let byte = self.peek();
        self.at += 1;
        let plain = match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode()?,
            _ => {
                return Err(Self::error(format!(
                    "Escape sequence \"\\{}\" is invalid.",
                    char::from(byte)
                )));
            }
        };
        out.push(plain);
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, PgError> {
        let first = self.hex()?;
        if first == 0 && !self.literal {
            let error = PgError::new("22P05", "unsupported Unicode escape sequence");
            let detail = Some("\\u0000 cannot be converted to text.".to_owned());
            return Err(PgError { detail, ..error });
        }
        if !(0xd800..0xe000).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or('\u{fffd}'));
        }
        if self.literal {
            return Ok('\u{fffd}');
        }
        let pair = self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u"));
        if first < 0xdc00 && pair {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let value = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(value).unwrap_or('\u{fffd}'));
            }
        }
        let detail = "Unicode low surrogate must follow a high surrogate.";
        Err(Self::error(detail.to_owned()))
    }

    fn hex(&mut self) -> Result<u32, PgError> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or("");
        let value = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        self.at += 4;
        value.ok_or_else(|| {
            Self::error("\"\\u\" must be followed by four hexadecimal digits.".to_owned())
        })
    }
}

/// An entry of an object that has been printed.
struct Printed {
    from: usize,
    key_end: usize,
    to: usize,
    /// Of a key with escapes.
    meaning: Option<String>,
}

impl Printed {
    fn key<'a>(&'a self, out: &'a str) -> &'a str {
        let printed = || out.get(self.from + 1..self.key_end - 1).unwrap_or("");
        self.meaning.as_deref().unwrap_or_else(printed)
    }
}

/// True if there is a character that a string must have escaped. Without a branch for each byte.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte)) < b' '
}

/// RFC 8259: no leading zeros, digits on both sides of the point.
fn well_formed(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (unsigned.get(..at).unwrap_or(""), unsigned.get(at + 1..)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_digits = exponent.map(|e| e.strip_prefix(['+', '-']).unwrap_or(e));
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent_digits.is_none_or(digits)
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => write_string(f, text),
            Self::Array(values) => {
                f.write_char('[')?;
                for (i, value) in values.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    value.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(pairs) => {
                f.write_char('{')?;
                for (i, (key, value)) in pairs.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    write_string(f, key)?;
                    f.write_str(": ")?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

/// A string with the escapes that Postgres prints.
pub(crate) fn write_string(f: &mut impl fmt::Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        f.write_str(rest.get(..at).unwrap_or(""))?;
        match rest.as_bytes().get(at).copied().unwrap_or(0) {
            b'"' => f.write_str("\\\"")?,
            b'\\' => f.write_str("\\\\")?,
            8 => f.write_str("\\b")?,
            12 => f.write_str("\\f")?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            control => write!(f, "\\u{control:04x}")?,
        }
        rest = rest.get(at + 1..).unwrap_or("");
    }
    f.write_str(rest)?;
    f.write_char('"')
}

impl Json {
    /// `self @> part`.
    ///
    /// # Errors
    /// 54000 where it takes more than [`MAX_COMPARISONS`]: arrays of arrays, tried with each other.
    pub fn contains(&self, part: &Self) -> Result<bool, PgError> {
        let mut left = MAX_COMPARISONS;
        match (self, part) {
            // A bare value is contained in an array that has it; the other way round is not.
            (
                Self::Array(values),
                scalar @ (Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_)),
            ) => Ok(values.iter().any(|value| value.equals(scalar))),
            _ => self.contains_nested(part, &mut left),
        }
    }

    fn contains_nested(&self, part: &Self, left: &mut u32) -> Result<bool, PgError> {
        let too_many = || PgError::new("54000", "documents are too large to be compared");
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        match (self, part) {
            (Self::Object(pairs), Self::Object(parts)) => {
                for (key, part) in parts {
                    let at = pairs.binary_search_by(|(have, _)| compare_keys(have, key));
                    let value = at.ok().and_then(|at| pairs.get(at));
                    let Some((_, value)) = value else { return Ok(false) };
                    if !value.contains_nested(part, left)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Self::Array(values), Self::Array(parts)) => {
                // Bare values are looked up; what is nested must be tried.
                let (mut bare, nested): (Vec<&Self>, Vec<&Self>) =
                    values.iter().partition(|value| !value.is_nested());
                bare.sort_by(|a, b| a.compare(b));
                for part in parts {
                    let mut found = !part.is_nested()
                        && bare.binary_search_by(|have| have.compare(part)).is_ok();
                    for value in nested.iter().filter(|_| part.is_nested()) {
                        found = found || value.contains_nested(part, left)?;
                    }
                    if !found {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            _ => Ok(self.equals(part)),
        }
    }

    fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Equal by value: `1.0` is `1`.
    pub fn equals(&self, other: &Self) -> bool {
        self.compare(other) == Ordering::Equal
    }

    /// Postgres' order of `jsonb`: Object > Array > Boolean > Number > String > Null.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => decimal::compare(a, b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
                let unequal =
                    a.iter().zip(b).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
                unequal.unwrap_or(Ordering::Equal)
            }),
            (Self::Object(a), Self::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
                let orders = a
                    .iter()
                    .zip(b)
                    .map(|((ka, va), (kb, vb))| compare_keys(ka, kb).then_with(|| va.compare(vb)));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::String(_) => 1,
            Self::Number(_) => 2,
            Self::Bool(_) => 3,
            Self::Array(_) => 4,
            Self::Object(_) => 5,
        }
    }

    /// The value of a key, if this is an object that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(pairs) => {
                let at = pairs.binary_search_by(|(have, _)| compare_keys(have, key)).ok()?;
                pairs.get(at).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// An element, counted from the end if negative.
    pub fn at(&self, index: i64) -> Option<&Self> {
        let Self::Array(values) = self else { return None };
        let length = i64::try_from(values.len()).ok()?;
        let index = if index < 0 { index + length } else { index };
        values.get(usize::try_from(index).ok()?)
    }

    /// The text that `->>` gives: strings without quotes, None for null.
    pub fn to_plain_text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_jsonb_is_canonical() {
        for (text, expected) in [
            (r#"{"bb":1,"a":2,"c":3,"a":4}"#, r#"{"a": 4, "c": 3, "bb": 1}"#),
            ("[1.50, 1e2, -0, 1E-2]", "[1.50, 100, 0, 0.01]"),
            (r#""\u00e9\ud83d\ude00\/\u0001""#, "\"é😀/\\u0001\""),
            (" { } ", "{}"),
            ("[[],{}]", "[[], {}]"),
        ] {
            assert_eq!(canonical(text).unwrap(), expected);
        }
    }

    #[test]
    fn canonical_text_is_that_of_the_value() {
        // Texts made of pieces, most of them wrong: both ways say the same, errors included.
        let pieces = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"bb\"",
            "\"\\u0061\"",
            "\"\\n\"",
            "1.50",
            " ",
            "true",
            "\"\t\"",
            "\"é\"",
        ];
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let mut right = 0;
        for _ in 0..200_000 {
            let mut text = String::new();
            let mut open = Vec::new();
            for _ in 0..random(24) {
                // Mostly what may stand here, so that some texts are right.
                let piece = match random(12) {
                    0 => pieces[random(pieces.len())],
                    1 => open.pop().unwrap_or("1"),
                    2 | 3 => {
                        open.push("}");
                        "{"
                    }
                    4 => {
                        open.push("]");
                        "["
                    }
                    5..=7 => {
                        ["\"a\":1", "\"a\":2", "\"bb\":\"\\u000a\"", "\"\\u0061\":3"][random(4)]
                    }
                    _ => ",",
                };
                text.push_str(piece);
            }
            open.iter().rev().for_each(|close| text.push_str(close));
            let expected = parse(&text).map(|value| value.to_string());
            right += usize::from(expected.is_ok());
            assert_eq!(format!("{:?}", canonical(&text)), format!("{expected:?}"), "{text}");
        }
        assert!(right > 1_000, "{right}");
    }

    #[test]
    fn what_is_not_json_is_refused_with_the_code_of_postgres() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "01",
            "1.",
            "tru",
            "'x'",
            "\"\\x\"",
            "\"\t\"",
            "1 2",
            "\"\\ud800\"",
        ] {
            assert_eq!(parse(text).unwrap_err().code, "22P02", "{text}");
        }
        assert_eq!(parse("\"\\u0000\"").unwrap_err().code, "22P05");
        assert!(check("\"\\u0000\"").is_ok());
        let bomb = format!("[{}1]", "1e131071,".repeat(100));
        assert_eq!(parse(&bomb).unwrap_err().code, "54000");
        assert_eq!(parse(&"[".repeat(100_000)).unwrap_err().code, "54001");
    }

    #[test]
    fn containment_is_that_of_postgres() {
        for (whole, part, expected) in [
            (r#"{"a":1,"b":[1,2]}"#, r#"{"b":[2]}"#, true),
            ("[1,2,3]", "[3,1,1]", true),
            ("[\"foo\"]", "\"foo\"", true),
            ("\"foo\"", "[\"foo\"]", false),
            ("[[\"foo\"]]", "\"foo\"", false),
            (r#"{"a":1.0}"#, r#"{"a":1}"#, true),
            (r#"{"a":{"b":1}}"#, r#"{"b":1}"#, false),
            ("{}", "{}", true),
            ("[]", "{}", false),
            ("[[1,2]]", "[1]", false),
        ] {
            let (whole_value, part_value) = (parse(whole).unwrap(), parse(part).unwrap());
            assert_eq!(whole_value.contains(&part_value), Ok(expected), "{whole} @> {part}");
        }
    }
}
