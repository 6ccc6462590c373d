//! RESP2 as far as a load generator needs it: commands encoded, replies measured.

use memchr::memchr;

use crate::Error;

/// Replies nest no deeper than a stream read's: streams, stream, entries, entry, fields.
const MAX_DEPTH: usize = 8;

/// Appends a command to `request`.
pub(super) fn encode(request: &mut Vec<u8>, parts: &[&[u8]]) {
    request.extend_from_slice(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        request.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
}

/// The length of the first `count` replies in `received`; `None` while bytes are missing.
pub(super) fn replies_bytes(received: &[u8], count: usize) -> Result<Option<usize>, Error> {
    let mut rest = received;
    for _ in 0..count {
        match skip(rest, MAX_DEPTH)? {
            Some(behind) => rest = behind,
            None => return Ok(None),
        }
    }
    Ok(Some(received.len() - rest.len()))
}

/// What follows the first reply in `input`.
fn skip(input: &[u8], depth: usize) -> Result<Option<&[u8]>, Error> {
    let Some((line, mut rest)) = split_line(input) else { return Ok(None) };
    let Some((kind, argument)) = line.split_first() else { return Err(foreign(line)) };
    let length = || -> Result<i64, Error> { Ok(std::str::from_utf8(argument)?.parse()?) };
    match kind {
        b'+' | b'-' | b':' => {}
        b'$' => {
            // A negative length is the null reply, which has no bytes and no end of line.
            let Ok(bytes) = usize::try_from(length()?) else { return Ok(Some(rest)) };
            let Some(behind) = rest.get(bytes + 2..) else { return Ok(None) };
            rest = behind;
        }
        b'*' if depth > 0 => {
            for _ in 0..length()?.max(0) {
                let Some(behind) = skip(rest, depth - 1)? else { return Ok(None) };
                rest = behind;
            }
        }
        _ => return Err(foreign(line)),
    }
    Ok(Some(rest))
}

/// The bytes up to the next end of line, and what follows it.
pub(super) fn split_line(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\r', input)?;
    Some((input.get(..end)?, input.get(end + 2..)?))
}

fn foreign(line: &[u8]) -> Error {
    format!("not a RESP reply: {}", line.escape_ascii()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_measured_when_whole() {
        let reply = b"*2\r\n$3\r\nabc\r\n*2\r\n:1\r\n$-1\r\n+OK\r\n";
        for cut in 0..reply.len() - 5 {
            let first = replies_bytes(&reply[..cut], 1).unwrap();
            assert_eq!(first, None, "{cut}");
        }
        assert_eq!(replies_bytes(reply, 1).unwrap(), Some(reply.len() - 5));
        assert_eq!(replies_bytes(reply, 2).unwrap(), Some(reply.len()));
        assert_eq!(replies_bytes(b"*-1\r\n", 1).unwrap(), Some(5));
        assert!(replies_bytes(b"HTTP/1.1 200 OK\r\n", 1).is_err());
    }

    #[test]
    fn commands_are_arrays_of_bulk_strings() {
        let mut request = Vec::new();
        encode(&mut request, &[b"XLEN", b"q"]);
        assert_eq!(request, b"*2\r\n$4\r\nXLEN\r\n$1\r\nq\r\n");
    }
}
