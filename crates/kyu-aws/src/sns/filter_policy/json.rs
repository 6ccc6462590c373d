//! JSON with places, and with the words of Jackson, the parser behind SNS, about what is none: its
//! `ReaderBasedJsonParser` and `JsonLocation`.

use std::fmt::{self, Write as _};

/// Objects and lists inside each other: no policy needs more, and each is a stack frame here.
const MAX_DEPTH: usize = 100;
/// The number of UTF-16 units of a source that an error repeats.
const MAX_SOURCE_UNITS: usize = 500;
/// The words that SNS has used since 2025 in place of a source that is no JSON.
const REDACTED: &str = "REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled)";

/// A value, and where the parser stands around it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    /// The column after its first token: of a string the quote, of a list or object the bracket,
    /// of everything else all of it.
    pub(super) begun: usize,
    /// The column after all of it.
    pub(super) ended: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number as it is written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// Each name once; the last value counts, in the place of the first.
    Object(Vec<(String, Node)>),
}

/// Parses a text. The error is Jackson's, with its place.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut parser = Parser { rest: text, line: 1, column: 1, depth: 0 };
    let fail = |parser: &Parser<'_>, problem: String| {
        format!("{problem}\n at {}", hidden_place(parser.line, parser.column))
    };
    let node = parser.value(None).map_err(|problem| fail(&parser, problem))?;
    parser.skip_spaces();
    match parser.next() {
        None => Ok(node),
        Some(other) => {
            let problem = parser.unexpected(other, "was expecting the end");
            Err(fail(&parser, problem))
        }
    }
}

fn hidden_place(line: usize, column: usize) -> String {
    format!("[Source: {REDACTED}; line: {line}, column: {column}]")
}

/// ` at [Source: (String)"..."; line: 1, column: 2]` on a line of its own.
pub(super) struct Place<'t> {
    pub(super) source: &'t str,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.source.encode_utf16().count();
        f.write_str("\n at [Source: (String)\"")?;
        let mut left = MAX_SOURCE_UNITS;
        for c in self.source.chars() {
            let Some(now_left) = left.checked_sub(c.len_utf16()) else { break };
            left = now_left;
            f.write_char(c)?;
        }
        f.write_char('"')?;
        if units > MAX_SOURCE_UNITS {
            write!(f, "[truncated {} chars]", units - MAX_SOURCE_UNITS)?;
        }
        write!(f, "; line: {}, column: {}]", self.line, self.column)
    }
}

impl fmt::Display for Node {
    /// Without spaces, as SNS hands a policy on to its rule engine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("null"),
            Value::Bool(flag) => write!(f, "{flag}"),
            Value::Number(number) => f.write_str(number),
            Value::Text(text) => quote(text, f),
            Value::List(nodes) => {
                f.write_char('[')?;
                for (at, node) in nodes.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    write!(f, "{node}")?;
                }
                f.write_char(']')
            }
            Value::Object(members) => {
                f.write_char('{')?;
                for (at, (name, node)) in members.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { "," })?;
                    quote(name, f)?;
                    write!(f, ":{node}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quote(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            c if c < ' ' => write!(f, "\\u{:04X}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

struct Parser<'t> {
    rest: &'t str,
    line: usize,
    /// The column of the next character, in UTF-16 units, from 1.
    column: usize,
    depth: usize,
}

/// A list or object that is not closed yet.
#[derive(Clone, Copy)]
struct Open {
    what: &'static str,
    line: usize,
    column: usize,
}

fn ended(open: Option<Open>) -> String {
    let Some(Open { what, line, column }) = open else {
        return "No content to map due to end-of-input".into();
    };
    let begin = hidden_place(line, column);
    format!("Unexpected end-of-input: expected close marker for {what} (start marker at {begin})")
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += c.len_utf16();
        }
        Some(c)
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t' | '\r' | '\n')) {
            self.next();
        }
    }

    /// The next character that is no space; its absence is an error.
    fn next_token(&mut self, open: Option<Open>) -> Result<char, String> {
        self.skip_spaces();
        self.next().ok_or_else(|| ended(open))
    }

    /// The place of such an error is before the character, that of others behind it.
    fn unexpected(&mut self, found: char, expectation: &str) -> String {
        self.column = self.column.saturating_sub(found.len_utf16());
        let code = u32::from(found);
        if found < ' ' {
            return format!("Unexpected character ((CTRL-CHAR, code {code})): {expectation}");
        }
        format!("Unexpected character ('{found}' (code {code})): {expectation}")
    }

    fn value(&mut self, open: Option<Open>) -> Result<Node, String> {
        let c = self.next_token(open)?;
        self.value_from(c)
    }

    /// A value whose first character was taken.
    fn value_from(&mut self, first: char) -> Result<Node, String> {
        let mut begun = self.column;
        let value = match first {
            '"' => Value::Text(self.string("a string value")?),
            '[' | '{' => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(format!("Values are nested more than {MAX_DEPTH} deep"));
                }
                let (line, column) = (self.line, self.column - 1);
                let value = if first == '[' {
                    self.list(Open { what: "Array", line, column })?
                } else {
                    self.object(Open { what: "Object", line, column })?
                };
                self.depth -= 1;
                value
            }
            '-' | '0'..='9' => {
                let number = self.number(first)?;
                begun = self.column;
                Value::Number(number)
            }
            c if c.is_alphanumeric() || matches!(c, '_' | '$') => {
                let value = self.word(c)?;
                begun = self.column;
                value
            }
            c => return Err(self.unexpected(c, &format!("expected a valid value {VALUES}"))),
        };
        Ok(Node { value, begun, ended: self.column })
    }

    fn word(&mut self, first: char) -> Result<Value, String> {
        let mut word = String::from(first);
        while let Some(c) = self.peek().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            self.next();
            word.push(c);
        }
        match word.as_str() {
            "null" => Ok(Value::Null),
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("Unrecognized token '{word}': was expecting {VALUES}")),
        }
    }

    fn number(&mut self, first: char) -> Result<String, String> {
        let mut number = String::from(first);
        while let Some(c) = self.peek() {
            if !matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-') {
                break;
            }
            self.next();
            number.push(c);
        }
        // The grammar of numbers is the library's.
        match serde_json::from_str::<serde_json::Number>(&number) {
            Ok(_) => Ok(number),
            Err(_) => Err(format!("Unrecognized token '{number}': was expecting {VALUES}")),
        }
    }

    fn list(&mut self, open: Open) -> Result<Value, String> {
        let mut nodes = Vec::new();
        let mut c = self.next_token(Some(open))?;
        if c == ']' {
            return Ok(Value::List(nodes));
        }
        loop {
            nodes.push(self.value_from(c)?);
            match self.next_token(Some(open))? {
                ',' => c = self.next_token(Some(open))?,
                ']' => return Ok(Value::List(nodes)),
                other => {
                    let wanted = "was expecting comma to separate Array entries";
                    return Err(self.unexpected(other, wanted));
                }
            }
        }
    }

    fn object(&mut self, open: Open) -> Result<Value, String> {
        let mut members: Vec<(String, Node)> = Vec::new();
        let mut c = self.next_token(Some(open))?;
        if c == '}' {
            return Ok(Value::Object(members));
        }
        loop {
            if c != '"' {
                return Err(self.unexpected(c, "was expecting double-quote to start field name"));
            }
            let name = self.string("a field name")?;
            let colon = self.next_token(Some(open))?;
            if colon != ':' {
                let wanted = "was expecting a colon to separate field name and value";
                return Err(self.unexpected(colon, wanted));
            }
            let node = self.value(Some(open))?;
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = node,
                None => members.push((name, node)),
            }
            match self.next_token(Some(open))? {
                ',' => c = self.next_token(Some(open))?,
                '}' => return Ok(Value::Object(members)),
                other => {
                    let wanted = "was expecting comma to separate Object entries";
                    return Err(self.unexpected(other, wanted));
                }
            }
        }
    }

    /// The text up to the closing quote.
    fn string(&mut self, what: &str) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escaped()?),
                Some(c) if c < ' ' => {
                    return Err(format!(
                        "Illegal unquoted character ((CTRL-CHAR, code {})): has to be escaped \
                         using backslash to be included in {what}",
                        u32::from(c)
                    ));
                }
                Some(c) => text.push(c),
                None => {
                    return Err(format!(
                        "Unexpected end-of-input: was expecting closing quote for {what}"
                    ));
                }
            }
        }
    }

    fn escaped(&mut self) -> Result<char, String> {
        let ended = || "Unexpected end-of-input in character escape sequence".to_owned();
        let c = self.next().ok_or_else(ended)?;
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let unit = self.four_digits()?;
                let mut units = vec![unit];
                if (0xD800..0xDC00).contains(&unit) && self.rest.starts_with("\\u") {
                    self.next();
                    self.next();
                    units.push(self.four_digits()?);
                }
                let decoded: Result<Vec<char>, _> = char::decode_utf16(units).collect();
                let decoded = decoded.ok().and_then(|chars| chars.first().copied());
                decoded.ok_or("Invalid surrogate pair in character escape sequence")?
            }
            c => {
                return Err(format!("Unrecognized character escape '{c}' (code {})", u32::from(c)));
            }
        })
    }

    fn four_digits(&mut self) -> Result<u16, String> {
        let mut unit = 0;
        for _ in 0..4 {
            let ended = || "Unexpected end-of-input in character escape sequence".to_owned();
            let c = self.next().ok_or_else(ended)?;
            let digit = c.to_digit(16).and_then(|digit| u16::try_from(digit).ok());
            let wanted = "expected a hex-digit for character escape sequence";
            unit = unit * 16 + digit.ok_or_else(|| self.unexpected(c, wanted))?;
        }
        Ok(unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first is recorded from AWS.
    #[test]
    fn what_is_no_json() {
        let values = VALUES;
        for (text, problem, column) in [
            (
                "{invalidjson}",
                "Unexpected character ('i' (code 105)): was expecting double-quote to start field \
                 name"
                    .to_owned(),
                2,
            ),
            (
                r#"{"a":1,}"#,
                "Unexpected character ('}' (code 125)): was expecting double-quote to start field \
                 name"
                    .to_owned(),
                8,
            ),
            (r#"{"a":abc}"#, format!("Unrecognized token 'abc': was expecting {values}"), 9),
            (
                r#"{"a":]}"#,
                format!("Unexpected character (']' (code 93)): expected a valid value {values}"),
                6,
            ),
            (
                r#"["a""b"]"#,
                "Unexpected character ('\"' (code 34)): was expecting comma to separate Array \
                 entries"
                    .to_owned(),
                5,
            ),
        ] {
            let place = format!(
                "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` \
                 disabled); line: 1, column: {column}]"
            );
            assert_eq!(parse(text), Err(problem + &place), "{text}");
        }
        let [begin, end] = [1, 2].map(|column| hidden_place(1, column));
        let open = format!(
            "Unexpected end-of-input: expected close marker for Object (start marker at {begin})\n \
             at {end}"
        );
        assert_eq!(parse("{"), Err(open));
        assert!(parse(&"[".repeat(10_000)).is_err());
        for text in ["", "1 2", "\"a", "\"\\x\"", "\"\\ud800\"", "01", "-", "\"\n\""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_what_was_read_without_spaces() {
        for (text, compact) in [
            (
                " { \"a\" : [ 1.50 , -2e3, true ,null, \"x\\u0041\" ] } ",
                r#"{"a":[1.50,-2e3,true,null,"xA"]}"#,
            ),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            (r#""\ud83d\ude00\n\"""#, "\"😀\\n\\\"\""),
            ("[[], {}]", "[[],{}]"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), compact);
        }
    }

    #[test]
    fn a_long_source_is_cut() {
        let source = "x".repeat(600);
        let place = Place { source: &source, line: 1, column: 7 }.to_string();
        assert!(place.ends_with("x\"[truncated 100 chars]; line: 1, column: 7]"));
        assert_eq!(place.matches('x').count(), 500);
    }
}
