//! Values of `jsonb`: parsing, the canonical text, and containment (`@>`), as Postgres has them.

use std::fmt::Write;

/// How deep a value may be nested (Postgres: as its stack allows, some thousands).
pub const MAX_DEPTH: u32 = 512;
/// Digits that exponents of one value may expand to: `1e100000` is a number of 100,001 digits.
const MAX_EXPANSION: usize = 1 << 20;

/// A value of `jsonb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` and `false`.
    Bool(bool),
    /// A number, as `numeric` writes it: no exponent, trailing zeros kept.
    Number(String),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object: keys by length, then bytes; each once.
    Object(Vec<(String, Json)>),
}

/// Why a text is no `jsonb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJson {
    /// Not of the grammar (22P02), at this byte.
    Syntax(usize),
    /// `\u0000`, which `text` cannot hold, or half of a surrogate pair (22P05).
    Unicode,
    /// Nested deeper than [`MAX_DEPTH`] (54001).
    TooDeep,
    /// A number outside the range of `numeric` (22003).
    NumberRange,
}

impl Json {
    /// Reads a text.
    ///
    /// # Errors
    /// [`NotJson`].
    pub fn parse(text: &str) -> Result<Self, NotJson> {
        let mut parser = Parser { text, at: 0, depth: 0, expanded: 0 };
        let value = parser.value()?;
        parser.space();
        if parser.at < text.len() { Err(NotJson::Syntax(parser.at)) } else { Ok(value) }
    }

    /// The canonical text: one space after `:` and `,`.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(number) => out.push_str(number),
            Self::String(text) => write_string(text, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(entries) => {
                out.push('{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push_str(", ");
                    }
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// An object of these entries; of equal keys the last one counts.
    pub fn object(entries: impl IntoIterator<Item = (String, Json)>) -> Self {
        let mut sorted: Vec<(String, Json)> = entries.into_iter().collect();
        // A stable sort, so that the last of equal keys stays last.
        sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
        let mut unique: Vec<(String, Json)> = Vec::with_capacity(sorted.len());
        for (key, value) in sorted {
            match unique.last_mut() {
                Some(last) if last.0 == key => last.1 = value,
                _ => unique.push((key, value)),
            }
        }
        Self::Object(unique)
    }

    /// The value of a key, in an object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// `self @> other` (PostgreSQL manual, "jsonb Containment and Existence"): an array also
    /// contains a scalar that is one of its elements, at the top level only.
    pub fn contains(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Array(_), Self::Array(_)) => self.contains_nested(other),
            (Self::Array(_), Self::Object(_)) => false,
            (Self::Array(items), scalar) => items.iter().any(|item| item.equals(scalar)),
            _ => self.contains_nested(other),
        }
    }

    fn contains_nested(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(_), Self::Object(wanted)) => wanted
                .iter()
                .all(|(key, value)| self.get(key).is_some_and(|own| own.contains_nested(value))),
            (Self::Array(items), Self::Array(wanted)) => {
                wanted.iter().all(|value| items.iter().any(|item| item.contains_nested(value)))
            }
            _ => self.equals(other),
        }
    }

    /// Equality as jsonb has it: `1` is `1.0`.
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => plain(a) == plain(b),
            (Self::Array(a), Self::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
            }
            (Self::Object(a), Self::Object(b)) => {
                let same = |((ka, a), (kb, b)): (&(String, Self), &(String, Self))| {
                    ka == kb && a.equals(b)
                };
                a.len() == b.len() && a.iter().zip(b).all(same)
            }
            _ => self == other,
        }
    }
}

/// A number without the zeros at its end that do not change its value.
fn plain(number: &str) -> &str {
    let short = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    };
    if short == "-0" { "0" } else { short }
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: u32,
    expanded: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn wrong<T>(&self) -> Result<T, NotJson> {
        Err(NotJson::Syntax(self.at))
    }

    fn take(&mut self, wanted: u8) -> Result<(), NotJson> {
        self.space();
        if self.peek() != Some(wanted) {
            return self.wrong();
        }
        self.at += 1;
        Ok(())
    }

    /// Whether the next sign is this one; then it is taken.
    fn has(&mut self, sign: u8) -> bool {
        self.space();
        let found = self.peek() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self) -> Result<Json, NotJson> {
        self.space();
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => self.wrong(),
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, NotJson> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let after = rest.as_bytes().get(word.len());
        if !rest.starts_with(word) || after.is_some_and(|c| c.is_ascii_alphanumeric()) {
            return self.wrong();
        }
        self.at += word.len();
        Ok(value)
    }

    fn nested(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<Json, NotJson>,
    ) -> Result<Json, NotJson> {
        if self.depth >= MAX_DEPTH {
            return Err(NotJson::TooDeep);
        }
        self.depth += 1;
        self.at += 1;
        let value = parse(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Json, NotJson> {
        let mut entries = Vec::new();
        if self.has(b'}') {
            return Ok(Json::Object(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.wrong();
            }
            let key = self.string()?;
            self.take(b':')?;
            entries.push((key, self.value()?));
            if self.has(b'}') {
                return Ok(Json::object(entries));
            }
            self.take(b',')?;
        }
    }

    fn array(&mut self) -> Result<Json, NotJson> {
        let mut items = Vec::new();
        if self.has(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value()?);
            if self.has(b']') {
                return Ok(Json::Array(items));
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Result<String, NotJson> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|c| c != b'"' && c != b'\\' && c >= 0x20) {
                self.at += 1;
            }
            out.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    out.push(self.escape()?);
                }
                _ => return self.wrong(),
            }
        }
    }

    fn escape(&mut self) -> Result<char, NotJson> {
        let Some(sign) = self.peek() else { return self.wrong() };
        self.at += 1;
        Ok(match sign {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => {
                self.at -= 1;
                return self.wrong();
            }
        })
    }

    fn unicode(&mut self) -> Result<char, NotJson> {
        let first = self.four_digits()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with("\\u")) {
                return Err(NotJson::Unicode);
            }
            self.at += 2;
            let second = self.four_digits()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(NotJson::Unicode);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).filter(|c| *c != '\0').ok_or(NotJson::Unicode)
    }

    fn four_digits(&mut self) -> Result<u32, NotJson> {
        let digits = self.text.get(self.at..self.at + 4);
        let digits = digits.filter(|d| d.bytes().all(|c| c.is_ascii_hexdigit()));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let code = code.ok_or(NotJson::Syntax(self.at))?;
        self.at += 4;
        Ok(code)
    }

    fn digits(&mut self) -> &'t str {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn number(&mut self) -> Result<String, NotJson> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let start = self.at;
        let whole = self.digits();
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            self.at = start;
            return self.wrong();
        }
        let mut fraction = "";
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits();
            if fraction.is_empty() {
                return self.wrong();
            }
        }
        let mut exponent = 0i64;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let minus = self.peek() == Some(b'-');
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            let digits = self.digits();
            if digits.is_empty() {
                return self.wrong();
            }
            exponent = digits.parse().map_err(|_| NotJson::NumberRange)?;
            exponent = if minus { -exponent } else { exponent };
        }
        if self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == b'.') {
            return self.wrong();
        }
        let text = self.expand(whole, fraction, exponent)?;
        let zero = text.bytes().all(|c| matches!(c, b'0' | b'.'));
        Ok(if negative && !zero { format!("-{text}") } else { text })
    }

    /// As `numeric` writes it: the point moved by the exponent.
    fn expand(&mut self, whole: &str, fraction: &str, exponent: i64) -> Result<String, NotJson> {
        // The bounds of numeric: 131,072 digits before the point, 16,383 after it.
        if exponent == 0 {
            if whole.len() > 131_072 || fraction.len() > 16_383 {
                return Err(NotJson::NumberRange);
            }
            return Ok(match fraction {
                "" => whole.to_owned(),
                _ => format!("{whole}.{fraction}"),
            });
        }
        if exponent.abs() > 131_072 {
            return Err(NotJson::NumberRange);
        }
        let digits = format!("{whole}{fraction}");
        let point = whole.len() as i64 + exponent;
        self.expanded += exponent.unsigned_abs() as usize;
        if self.expanded > MAX_EXPANSION {
            return Err(NotJson::NumberRange);
        }
        let (before, after) = if point <= 0 {
            ("0".to_owned(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize)))
        } else if point as usize >= digits.len() {
            (format!("{digits}{}", "0".repeat(point as usize - digits.len())), String::new())
        } else {
            let (before, after) = digits.split_at(point as usize);
            (before.to_owned(), after.to_owned())
        };
        if after.len() > 16_383 {
            return Err(NotJson::NumberRange);
        }
        let before = before.trim_start_matches('0');
        let before = if before.is_empty() { "0" } else { before };
        Ok(if after.is_empty() { before.to_owned() } else { format!("{before}.{after}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, NotJson> {
        Json::parse(text).map(|json| json.text())
    }

    #[test]
    fn the_canonical_text_is_that_of_postgres() {
        for (text, expected) in [
            (r#" {"bb":1,"a":[1,2 ,{}],"a":null} "#, r#"{"a": null, "bb": 1}"#),
            (r#""A\u00e4\ud83d\ude00\n\u0001\/""#, "\"Aä😀\\n\\u0001/\""),
            ("1.50", "1.50"),
            ("1e2", "100"),
            ("1.5E-3", "0.0015"),
            ("-0", "0"),
            ("-0.10", "-0.10"),
            ("12e-1", "1.2"),
            ("0.001e3", "1"),
            ("[]", "[]"),
            ("null", "null"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json() {
        for text in
            ["", "{", "[1,]", "01", "1.", "+1", "nul", "nulls", "{\"a\" 1}", "\"\n\"", "1 2", "'a'"]
        {
            assert!(matches!(canonical(text), Err(NotJson::Syntax(_))), "{text}");
        }
        assert_eq!(canonical(r#""\u0000""#), Err(NotJson::Unicode));
        assert_eq!(canonical(r#""\ud800""#), Err(NotJson::Unicode));
        assert_eq!(canonical(&"[".repeat(10_000)), Err(NotJson::TooDeep));
        assert_eq!(canonical("1e999999"), Err(NotJson::NumberRange));
        let many = format!("[{}]", vec!["1e100000"; 100].join(","));
        assert_eq!(canonical(&many), Err(NotJson::NumberRange));
    }

    #[test]
    fn containment() {
        for (left, right, contained) in [
            (r#"{"a":1,"b":{"c":[1,2]}}"#, r#"{"b":{"c":[2]}}"#, true),
            (r#"{"a":1}"#, r#"{"a":1.0}"#, true),
            (r#"{"a":1}"#, r#"{"a":2}"#, false),
            (r#"{"a":1}"#, "{}", true),
            (r#"["foo","bar"]"#, r#""bar""#, true),
            (r#""bar""#, r#"["bar"]"#, false),
            (r#"[1,2,[1,3]]"#, "[1,3]", false),
            (r#"[1,2,[1,3]]"#, "[[1,3]]", true),
            (r#"[{"a":1,"b":2}]"#, r#"[{"a":1}]"#, true),
            (r#"[{"a":1}]"#, r#"{"a":1}"#, false),
            ("[1,1]", "[1]", true),
            (r#"{"foo":{"bar":"baz"}}"#, r#"{"bar":"baz"}"#, false),
        ] {
            let (a, b) = (Json::parse(left).unwrap(), Json::parse(right).unwrap());
            assert_eq!(a.contains(&b), contained, "{left} @> {right}");
        }
    }
}
