//! The least HTTP/1.1 a load generator needs: request heads built once, answers measured, not decoded.

use memchr::{memchr, memmem};

use crate::Error;

/// An answer's head ends within this many bytes or the run stops: nothing we load sends more.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Where one answer's parts are in the received bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// The status code.
    pub status: u16,
    /// Length of head plus empty line.
    pub head_bytes: usize,
    /// Length of the body.
    pub body_bytes: usize,
}

impl Response {
    /// Finds the first whole answer in `received`; `None` while bytes are missing.
    pub(crate) fn parse(received: &[u8]) -> Result<Option<Self>, Error> {
        let Some(head_end) = memmem::find(received, b"\r\n\r\n") else {
            if received.len() > MAX_HEAD_BYTES {
                return Err("an HTTP answer's head has no end".into());
            }
            return Ok(None);
        };
        let head = received.get(..head_end).unwrap_or_default();
        let status = parse_status(head)?;
        let body_bytes = content_length(head)?;
        let head_bytes = head_end + 4;
        let whole = received.len() >= head_bytes + body_bytes;
        Ok(whole.then_some(Self { status, head_bytes, body_bytes }))
    }

    /// Bytes of head and body together.
    pub(crate) fn total_bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// The body's bytes in the same `received` that was parsed.
    pub(crate) fn body<'a>(&self, received: &'a [u8]) -> &'a [u8] {
        received.get(self.head_bytes..self.total_bytes()).unwrap_or_default()
    }
}

fn parse_status(head: &[u8]) -> Result<u16, Error> {
    let digits = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    digits
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(|| format!("not an HTTP/1.1 answer: {}", head.escape_ascii()).into())
}

fn content_length(head: &[u8]) -> Result<usize, Error> {
    const NAME: &[u8] = b"content-length:";
    let mut rest = head;
    while let Some(line_end) = memchr(b'\n', rest) {
        rest = rest.get(line_end + 1..).unwrap_or_default();
        let Some(name) = rest.get(..NAME.len()) else { break };
        if !name.eq_ignore_ascii_case(NAME) {
            continue;
        }
        let value = rest.get(NAME.len()..).unwrap_or_default().trim_ascii_start();
        let mut length = 0usize;
        for digit in value.iter().take_while(|byte| byte.is_ascii_digit()).take(12) {
            length = length * 10 + usize::from(digit - b'0');
        }
        return Ok(length);
    }
    Err(format!("an HTTP answer without content-length: {}", head.escape_ascii()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Response> {
        Response::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_answer_is_whole_when_its_last_body_byte_is_there() {
        let text = "HTTP/1.1 200 OK\r\nx: y\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(parse(&text[..text.len() - 1]), None);
        assert_eq!(parse(&text[..20]), None);
        let response = parse(&format!("{text}HTTP/1.1 500")).unwrap();
        assert_eq!((response.status, response.body(text.as_bytes())), (200, &b"abc"[..]));
        assert_eq!(response.total_bytes(), text.len());
    }

    #[test]
    fn the_length_header_may_come_first_and_in_lower_case() {
        let response =
            parse("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\na: b\r\n\r\n").unwrap();
        assert_eq!((response.status, response.body_bytes), (404, 0));
    }

    #[test]
    fn foreign_bytes_stop_the_run_with_a_reason() {
        assert!(Response::parse(b"SSH-2.0\r\n\r\n").is_err());
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Response::parse(&vec![b'x'; MAX_HEAD_BYTES + 1]).is_err());
    }
}
