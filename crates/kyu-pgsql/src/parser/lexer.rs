//! Text to tokens, by the rules of the PostgreSQL manual, section 4.1 "Lexical Structure".

use crate::error::PgError;
use crate::work::Work;

/// The kind of a token, with its text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A word: a key word or a name, in lower case.
    Word(String),
    /// `"Name"`.
    Quoted(String),
    /// `'text'`, `E'text'`, `$$text$$`.
    Text(String),
    /// Digits only.
    Integer(String),
    /// With a point or an exponent.
    Number(String),
    /// `$1`.
    Parameter(u16),
    /// Operators, and the marks `( ) [ ] , ; . : :: := =>`.
    Mark(String),
    /// After the last one.
    End,
}

/// A token and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// The place of its first byte in the text.
    pub(crate) start: usize,
    /// The place behind its last byte.
    pub(crate) end: usize,
}

/// Postgres repeats the rest of the text in the message, however long it is.
const MAX_NEAR_CHARACTERS: usize = 1_000;

/// The position that clients are told: characters from 1.
pub(crate) fn position(text: &str, byte: usize) -> u32 {
    let characters = text.get(..byte).map_or(0, |before| before.chars().count());
    u32::try_from(characters + 1).unwrap_or(u32::MAX)
}

/// The memory that a token, and what is made of it, takes beside its text.
pub(crate) const TOKEN_BYTES: usize = 400;

/// All tokens of a text; the last one is [`TokenKind::End`].
pub(crate) fn tokens(text: &str, work: &mut Work) -> Result<Vec<Token>, PgError> {
    statement(text, 0, true, work)
}

/// The tokens of one statement: from a byte of the text up to the next semicolon, which ends them as
/// the end of the text does. A semicolon stands inside of nothing but quotes and comments.
pub(crate) fn statement(
    text: &str,
    from: usize,
    whole: bool,
    work: &mut Work,
) -> Result<Vec<Token>, PgError> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: from, tokens: Vec::new() };
    while lexer.token()? {
        let Some(token) = lexer.tokens.last() else { continue };
        let bytes = token.end.saturating_sub(token.start);
        work.step()?;
        work.walk(bytes)?;
        // The token has its text, and what is made of it another time.
        work.grow(TOKEN_BYTES + 2 * bytes)?;
        if !whole && matches!(&token.kind, TokenKind::Mark(mark) if mark == ";") {
            break;
        }
    }
    let end = lexer.at;
    lexer.tokens.push(Token { kind: TokenKind::End, start: end, end });
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tokens: Vec<Token>,
}

const OPERATOR: &[u8] = b"+-*/<>=~!@#%^&|`?";

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn slice(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or("")
    }

    fn error(&self, message: &str, at: usize) -> PgError {
        let near: String =
            self.text.get(at..).unwrap_or("").chars().take(MAX_NEAR_CHARACTERS).collect();
        let message = format!("{message} at or near \"{near}\"");
        PgError { position: Some(position(self.text, at)), ..PgError::new("42601", message) }
    }

    fn push(&mut self, kind: TokenKind, start: usize) {
        self.tokens.push(Token { kind, start, end: self.at });
    }

    /// Takes one token; false at the end.
    fn token(&mut self) -> Result<bool, PgError> {
        self.blanks()?;
        let start = self.at;
        if start >= self.bytes.len() {
            return Ok(false);
        }
        let byte = self.peek(0);
        match byte {
            b'\'' => {
                self.at += 1;
                let text = self.quoted(b'\'', start, "unterminated quoted string")?;
                self.push(TokenKind::Text(text), start);
            }
            b'"' => {
                self.at += 1;
                let name = self.quoted(b'"', start, "unterminated quoted identifier")?;
                if name.is_empty() {
                    return Err(self.error("zero-length delimited identifier", start));
                }
                self.push(TokenKind::Quoted(name), start);
            }
            b'e' | b'E' if self.peek(1) == b'\'' => {
                self.at += 2;
                let text = self.escaped(start)?;
                self.push(TokenKind::Text(text), start);
            }
            b'n' | b'N' if self.peek(1) == b'\'' => {
                self.at += 2;
                let text = self.quoted(b'\'', start, "unterminated quoted string")?;
                self.push(TokenKind::Text(text), start);
            }
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'\'' => {
                self.at += 3;
                let text = self.quoted(b'\'', start, "unterminated quoted string")?;
                let text = self.unicode(&text, start)?;
                self.push(TokenKind::Text(text), start);
            }
            b'$' if self.peek(1).is_ascii_digit() => self.parameter(start)?,
            b'$' => self.dollar(start)?,
            b'0'..=b'9' => self.number(start)?,
            b'.' if self.peek(1).is_ascii_digit() => self.number(start)?,
            _ if is_word_start(byte) => {
                while is_word(self.peek(0)) {
                    self.at += 1;
                }
                // Postgres folds ASCII only in UTF-8 databases.
                let word = self.slice(start, self.at).to_ascii_lowercase();
                self.push(TokenKind::Word(word), start);
            }
            _ => self.mark(start)?,
        }
        Ok(true)
    }

    /// Spaces and comments; block comments nest.
    fn blanks(&mut self) -> Result<(), PgError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => self.at += 1,
                (b'-', b'-') => {
                    while self.at < self.bytes.len() && !matches!(self.peek(0), b'\n' | b'\r') {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => self.comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), PgError> {
        let start = self.at;
        let mut depth = 0_u32;
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ if self.at >= self.bytes.len() => {
                    return Err(self.error("unterminated /* comment", start));
                }
                _ => self.at += 1,
            }
        }
    }

    /// The rest of a quoted text, whose quote is doubled inside.
    fn quoted(&mut self, quote: u8, start: usize, unterminated: &str) -> Result<String, PgError> {
        let mut text = String::new();
        loop {
            let from = self.at;
            while self.at < self.bytes.len() && self.peek(0) != quote {
                self.at += 1;
            }
            if self.at >= self.bytes.len() {
                return Err(self.error(unterminated, start));
            }
            text.push_str(self.slice(from, self.at));
            self.at += 1;
            if self.peek(0) != quote {
                return Ok(text);
            }
            text.push(char::from(quote));
            self.at += 1;
        }
    }

    /// The rest of `E'...'`.
    fn escaped(&mut self, start: usize) -> Result<String, PgError> {
        let mut bytes = Vec::new();
        loop {
            if self.at >= self.bytes.len() {
                return Err(self.error("unterminated quoted string", start));
            }
            let byte = self.peek(0);
            self.at += 1;
            match byte {
                b'\'' if self.peek(0) == b'\'' => {
                    bytes.push(b'\'');
                    self.at += 1;
                }
                b'\'' => break,
                b'\\' => self.escape(&mut bytes)?,
                other => bytes.push(other),
            }
        }
        String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| PgError::new("22021", "invalid byte sequence for encoding \"UTF8\""))
    }

    fn escape(&mut self, into: &mut Vec<u8>) -> Result<(), PgError> {
        let byte = self.peek(0);
        let start = self.at - 1;
        self.at += 1;
        match byte {
            b'b' => into.push(8),
            b'f' => into.push(12),
            b'n' => into.push(b'\n'),
            b'r' => into.push(b'\r'),
            b't' => into.push(b'\t'),
            b'x' if self.peek(0).is_ascii_hexdigit() => {
                let value = self.digits(16, 2);
                into.push(u8::try_from(value).unwrap_or(0));
            }
            b'0'..=b'7' => {
                self.at -= 1;
                let value = self.digits(8, 3);
                into.push(u8::try_from(value & 0xff).unwrap_or(0));
            }
            b'u' | b'U' => {
                let from = self.at;
                let length = if byte == b'u' { 4 } else { 8 };
                let value = self.digits(16, length);
                let Some(character) = char::from_u32(value).filter(|_| self.at == from + length)
                else {
                    return Err(self.error("invalid Unicode escape", start));
                };
                into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => into.push(other),
        }
        Ok(())
    }

    /// Escapes of `U&'...'`: `\0041` and `\+01F600`.
    fn unicode(&self, text: &str, start: usize) -> Result<String, PgError> {
        let invalid = || self.error("invalid Unicode escape", start);
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('\\') {
            out.push_str(rest.get(..at).unwrap_or(""));
            rest = rest.get(at + 1..).unwrap_or("");
            if let Some(after) = rest.strip_prefix('\\') {
                out.push('\\');
                rest = after;
                continue;
            }
            let (skip, length) = if rest.starts_with('+') { (1, 6) } else { (0, 4) };
            let digits = rest.get(skip..skip + length).ok_or_else(invalid)?;
            let value = u32::from_str_radix(digits, 16).map_err(|_| invalid())?;
            out.push(char::from_u32(value).filter(|c| *c != '\0').ok_or_else(invalid)?);
            rest = rest.get(skip + length..).unwrap_or("");
        }
        out.push_str(rest);
        Ok(out)
    }

    fn digits(&mut self, radix: u32, most: usize) -> u32 {
        let mut value = 0_u32;
        for _ in 0..most {
            let Some(digit) = char::from(self.peek(0)).to_digit(radix) else { break };
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.at += 1;
        }
        value
    }

    fn parameter(&mut self, start: usize) -> Result<(), PgError> {
        self.at += 1;
        let from = self.at;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        let number = self.slice(from, self.at).parse::<u16>().ok();
        let Some(number) = number else {
            return Err(self.error("parameter number too large", start));
        };
        self.push(TokenKind::Parameter(number), start);
        Ok(())
    }

    /// `$tag$text$tag$`.
    fn dollar(&mut self, start: usize) -> Result<(), PgError> {
        let mut end = start + 1;
        while self.bytes.get(end).is_some_and(|byte| is_word(*byte) && *byte != b'$') {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            return Err(self.error("syntax error", start));
        }
        let tag = self.slice(start, end + 1).to_owned();
        let rest = self.text.get(end + 1..).unwrap_or("");
        let Some(length) = rest.find(&tag) else {
            return Err(self.error("unterminated dollar-quoted string", start));
        };
        let text = rest.get(..length).unwrap_or("").to_owned();
        self.at = end + 1 + length + tag.len();
        self.push(TokenKind::Text(text), start);
        Ok(())
    }

    fn number(&mut self, start: usize) -> Result<(), PgError> {
        let mut integer = true;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            integer = false;
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                integer = false;
                self.at += 1 + sign;
                while self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
            }
        }
        if is_word_start(self.peek(0)) {
            let mut end = self.at;
            while self.bytes.get(end).copied().is_some_and(is_word) {
                end += 1;
            }
            let junk = self.slice(start, end).to_owned();
            let message = format!("trailing junk after numeric literal at or near \"{junk}\"");
            let position = Some(position(self.text, start));
            return Err(PgError { position, ..PgError::new("42601", message) });
        }
        let text = self.slice(start, self.at).to_owned();
        self.push(if integer { TokenKind::Integer(text) } else { TokenKind::Number(text) }, start);
        Ok(())
    }

    fn mark(&mut self, start: usize) -> Result<(), PgError> {
        let byte = self.peek(0);
        let length = match (byte, self.peek(1)) {
            (b':', b':' | b'=') => 2,
            (b'(' | b')' | b'[' | b']' | b',' | b';' | b'.' | b':', _) => 1,
            _ if OPERATOR.contains(&byte) => self.operator(),
            _ => return Err(self.error_at_character(start)),
        };
        self.at += length;
        let text = self.slice(start, self.at).to_owned();
        self.push(TokenKind::Mark(text), start);
        Ok(())
    }

    fn error_at_character(&self, start: usize) -> PgError {
        let character = self.text.get(start..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
        let message = format!("syntax error at or near \"{character}\"");
        PgError { position: Some(position(self.text, start)), ..PgError::new("42601", message) }
    }

    /// Length of an operator: up to a comment; `+` and `-` end one only beside certain characters.
    fn operator(&self) -> usize {
        let mut length = 0;
        while OPERATOR.contains(&self.peek(length)) && self.peek(length) != 0 {
            let comment =
                matches!((self.peek(length), self.peek(length + 1)), (b'-', b'-') | (b'/', b'*'));
            if comment {
                break;
            }
            length += 1;
        }
        let special = (0..length).any(|i| b"~!@#%^&|`?".contains(&self.peek(i)));
        while length > 1 && !special && matches!(self.peek(length - 1), b'+' | b'-') {
            length -= 1;
        }
        length.max(1)
    }
}
