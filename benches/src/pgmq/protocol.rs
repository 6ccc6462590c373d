//! The Postgres protocol, version 3, as far as a load generator needs it: messages encoded, answers
//! measured where they arrived.

use crate::Error;

/// Type ids of parameters.
pub(super) const TEXT: u32 = 25;
pub(super) const INT4: u32 = 23;
pub(super) const INT8: u32 = 20;
pub(super) const INT8_ARRAY: u32 = 1016;
pub(super) const JSONB: u32 = 3802;
pub(super) const JSONB_ARRAY: u32 = 3807;

/// ReadyForQuery without its last byte, the state.
const READY: &[u8] = b"Z\0\0\0\x05";

/// Appends a message: kind, length, body.
fn message(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    sized(out, 4, body);
}

/// Appends a length of what follows, itself included if `own_bytes` is 4, and what follows.
fn sized(out: &mut Vec<u8>, own_bytes: usize, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at - 4 + own_bytes) as u32;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

fn word(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// The first message of a session.
pub(super) fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut out = Vec::new();
    sized(&mut out, 4, |out| {
        out.extend_from_slice(&0x0003_0000_u32.to_be_bytes());
        for part in ["user", user, "database", database, ""] {
            word(out, part);
        }
    });
    out
}

/// Appends a Parse message for a statement whose parameters have these types.
pub(super) fn parse(out: &mut Vec<u8>, name: &str, sql: &str, types: &[u32]) {
    message(out, b'P', |out| {
        word(out, name);
        word(out, sql);
        out.extend_from_slice(&(types.len() as u16).to_be_bytes());
        types.iter().for_each(|ty| out.extend_from_slice(&ty.to_be_bytes()));
    });
}

/// Appends a Sync message.
pub(super) fn sync(out: &mut Vec<u8>) {
    message(out, b'S', |_| {});
}

/// Appends Bind, Execute and Sync of a prepared statement: parameters and results are binary, as
/// asyncpg, sqlx and pgx have them.
pub(super) fn execute(out: &mut Vec<u8>, statement: &str, parameters: &[&[u8]]) {
    message(out, b'B', |out| {
        word(out, "");
        word(out, statement);
        let all_binary = [0, 1, 0, 1];
        out.extend_from_slice(&all_binary);
        out.extend_from_slice(&(parameters.len() as u16).to_be_bytes());
        for parameter in parameters {
            sized(out, 0, |out| out.extend_from_slice(parameter));
        }
        out.extend_from_slice(&all_binary);
    });
    message(out, b'E', |out| out.extend_from_slice(&[0; 5]));
    sync(out);
}

/// Appends a text of the simple protocol.
pub(super) fn query(out: &mut Vec<u8>, sql: &str) {
    message(out, b'Q', |out| word(out, sql));
}

/// The binary form of a `jsonb`.
pub(super) fn jsonb(text: &str) -> Vec<u8> {
    [b"\x01", text.as_bytes()].concat()
}

/// The binary form of an array without NULLs.
pub(super) fn array<'a>(element: u32, items: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let [dimensions, nulls, lower_bound] = [1_u32, 0, 1];
    for part in [dimensions, nulls, element, items.len() as u32, lower_bound] {
        out.extend_from_slice(&part.to_be_bytes());
    }
    for item in items {
        sized(&mut out, 0, |out| out.extend_from_slice(item));
    }
    out
}

/// Whether `received` ends with ReadyForQuery, which ends every answer.
///
/// A body that ends with these very bytes would be taken for it; ours have none such.
pub(super) fn is_whole(received: &[u8]) -> bool {
    let ready = received.len().checked_sub(READY.len() + 1).and_then(|at| received.get(at..));
    ready.is_some_and(|ready| ready.starts_with(READY))
}

/// The messages of a whole answer: kind and body.
pub(super) fn messages(answer: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = answer;
    std::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, number(rest.get(1..5)?)?);
        let body = rest.get(5..1 + length)?;
        rest = rest.get(1 + length..)?;
        Some((kind, body))
    })
}

/// The first column of each row of an answer.
pub(super) fn first_columns(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    let rows = messages(answer).filter(|(kind, _)| *kind == b'D');
    rows.filter_map(|(_, body)| body.get(6..6 + number(body.get(2..6)?)?))
}

/// The columns of a row; NULL is the empty text.
pub(super) fn columns(mut body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    body = body.get(2..).unwrap_or_default();
    while let Some(length) = body.get(..4) {
        let length = number(length).unwrap_or(0);
        let column = body.get(4..4 + length).unwrap_or_default();
        found.push(String::from_utf8_lossy(column).into_owned());
        body = body.get(4 + length..).unwrap_or_default();
    }
    found
}

/// ErrorResponse's fields, readable, if there is one in the answer.
pub(super) fn error(answer: &[u8]) -> Result<(), Error> {
    match messages(answer).find(|(kind, _)| *kind == b'E') {
        None => Ok(()),
        Some((_, fields)) => {
            let fields = fields.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            Err(fields.collect::<Vec<_>>().join(" ").into())
        }
    }
}

fn number(four: &[u8]) -> Option<usize> {
    let number = i32::from_be_bytes(four.try_into().ok()?);
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Vec<u8> {
        let mut out = Vec::new();
        message(&mut out, b'2', |_| {});
        for id in [5_i64, 6] {
            message(&mut out, b'D', |out| {
                out.extend_from_slice(&[0, 2]);
                sized(out, 0, |out| out.extend_from_slice(&id.to_be_bytes()));
                out.extend_from_slice(&(-1_i32).to_be_bytes());
            });
        }
        message(&mut out, b'C', |out| word(out, "SELECT 2"));
        message(&mut out, b'Z', |out| out.push(b'I'));
        out
    }

    #[test]
    fn an_answer_is_whole_when_it_ends_with_ready_for_query() {
        let answer = answer();
        for cut in 0..answer.len() {
            assert!(!is_whole(&answer[..cut]), "{cut}");
        }
        assert!(is_whole(&answer));
        let ids: Vec<_> = first_columns(&answer).map(|id| id[7]).collect();
        assert_eq!(ids, [5, 6]);
        assert!(error(&answer).is_ok());
        assert!(error(b"E\0\0\0\x0bC42601\0\0Z\0\0\0\x05I").is_err());
    }

    #[test]
    fn messages_have_the_bytes_that_the_manual_states() {
        let mut out = Vec::new();
        execute(&mut out, "s", &[b"ab"]);
        let bind = b"B\0\0\0\x17\0s\0\0\x01\0\x01\0\x01\0\0\0\x02ab\0\x01\0\x01";
        assert_eq!(out, [&bind[..], b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04"].concat());
        let ids = [1_i64.to_be_bytes()];
        let array = array(INT8, ids.iter().map(|id| &id[..]));
        let head = b"\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0\x01\0\0\0\x01\0\0\0\x08";
        assert_eq!(array, [&head[..], &ids[0]].concat());
    }
}
