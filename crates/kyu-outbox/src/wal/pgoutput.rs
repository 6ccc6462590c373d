//! The plugin `pgoutput`, version 1: what a publication of the outbox sends.
//!
//! Source of the rules: PostgreSQL documentation, "Logical Replication Message Formats".

use std::io;

use bytes::{Buf, Bytes};
use jiff::civil::{DateTime, date};

use crate::error::Error;
use crate::position::Lsn;
use crate::source::{OutboxRow, Target};

const POSTGRES_EPOCH: DateTime = date(2000, 1, 1).at(0, 0, 0, 0);

/// The meaning of a message here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A transaction that committed at this place; its rows follow.
    Begin(Lsn),
    /// A row of the outbox, of the transaction that began last. Its `commit` is for the caller.
    Row(Box<OutboxRow>),
    /// Its end, and where the log goes on.
    Commit(Lsn),
    /// Something else.
    Nothing,
}

/// Knows the outbox' columns once they were described, as they are before its first row.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The schema that the outbox is in.
    schema: String,
    outbox: Option<(u32, Columns)>,
}

/// Places in a row.
#[derive(Clone, Debug)]
struct Columns {
    xid: usize,
    id: usize,
    queue_name: usize,
    routing_key: usize,
    message: usize,
    headers: usize,
    visible_at: usize,
}

impl Decoder {
    pub(super) fn new(schema: &str) -> Self {
        Self { schema: schema.to_owned(), outbox: None }
    }

    /// Reads one message, sent at this time (microseconds since 2000). `cut`: only its beginning
    /// is there.
    pub(super) fn decode(
        &mut self,
        mut body: Bytes,
        sent_us: i64,
        cut: bool,
    ) -> Result<Event, Error> {
        match body.try_get_u8().map_err(io::Error::from)? {
            b'B' => Ok(Event::Begin(lsn(&mut body)?)),
            b'C' => {
                let (_flags, _commit) =
                    (body.try_get_u8().map_err(io::Error::from)?, lsn(&mut body)?);
                Ok(Event::Commit(lsn(&mut body)?))
            }
            b'R' => self.relation(body).map(|()| Event::Nothing),
            b'I' => {
                let relation = body.try_get_u32().map_err(io::Error::from)?;
                match &self.outbox {
                    Some((oid, columns)) if *oid == relation => {
                        let row = row(body, columns, sent_us, cut)?;
                        Ok(Event::Row(Box::new(row)))
                    }
                    _ => Ok(Event::Nothing),
                }
            }
            _ => Ok(Event::Nothing),
        }
    }

    fn relation(&mut self, mut body: Bytes) -> Result<(), Error> {
        let oid = body.try_get_u32().map_err(io::Error::from)?;
        let (schema, name) = (text(&mut body)?, text(&mut body)?);
        if schema != self.schema || name != "outbox" {
            return Ok(());
        }
        let _identity = body.try_get_u8().map_err(io::Error::from)?;
        let mut names = Vec::new();
        for _ in 0..body.try_get_u16().map_err(io::Error::from)? {
            let _flags = body.try_get_u8().map_err(io::Error::from)?;
            names.push(text(&mut body)?);
            let _type_and_modifier = body.try_get_u64().map_err(io::Error::from)?;
        }
        let place = |wanted: &str| {
            names.iter().position(|name| name == wanted).ok_or_else(|| {
                Error::Refused(format!(
                    "the publication leaves the column {wanted} of the outbox out"
                ))
            })
        };
        let columns = Columns {
            xid: place("xid")?,
            id: place("id")?,
            queue_name: place("queue_name")?,
            routing_key: place("routing_key")?,
            message: place("message")?,
            headers: place("headers")?,
            visible_at: place("visible_at")?,
        };
        self.outbox = Some((oid, columns));
        Ok(())
    }
}

fn row(mut body: Bytes, columns: &Columns, sent_us: i64, cut: bool) -> Result<OutboxRow, Error> {
    let _new = body.try_get_u8().map_err(io::Error::from)?;
    let mut values: Vec<Option<Bytes>> = Vec::new();
    for _ in 0..body.try_get_u16().map_err(io::Error::from)? {
        match value(&mut body) {
            Ok(value) => values.push(value),
            // The key comes first, so it is there; the rest is of no use.
            Err(_) if cut => break,
            Err(error) => return Err(error.into()),
        }
    }
    let mut get = |place: usize| match values.get_mut(place).and_then(Option::take) {
        None => Ok(None),
        Some(bytes) => String::from_utf8(bytes.into()).map(Some).map_err(|_| malformed("text")),
    };
    let key = |text: Option<String>| text.ok_or_else(|| malformed("key"));
    let (xid, id) = (key(get(columns.xid)?)?, key(get(columns.id)?)?);
    let visible_at = get(columns.visible_at)?.map(|at| {
        let seconds = seconds_until(&at, sent_us);
        (at, seconds)
    });
    Ok(OutboxRow {
        xid: xid.parse().map_err(|_| malformed("xid"))?,
        id: id.parse().map_err(|_| malformed("id"))?,
        commit: None,
        to: match get(columns.queue_name)? {
            Some(queue) => Target::Queue(queue),
            None => Target::Topic(get(columns.routing_key)?.unwrap_or_default()),
        },
        message: get(columns.message)?,
        headers: get(columns.headers)?,
        visible_at,
        too_large: cut,
    })
}

/// A column's value; of an INSERT it is NULL or a text.
fn value(body: &mut Bytes) -> io::Result<Option<Bytes>> {
    match body.try_get_u8()? {
        b'n' => Ok(None),
        b't' => {
            let length = body.try_get_u32()? as usize;
            if body.len() < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Some(body.split_to(length)))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn lsn(body: &mut Bytes) -> io::Result<Lsn> {
    Ok(Lsn(body.try_get_u64()?))
}

fn text(body: &mut Bytes) -> io::Result<String> {
    let end = body.iter().position(|byte| *byte == 0).ok_or(io::ErrorKind::InvalidData)?;
    let text = String::from_utf8_lossy(&body.split_to(end)).into_owned();
    body.advance(1);
    Ok(text)
}

fn malformed(what: &str) -> Error {
    Error::Refused(format!("a row of the outbox whose {what} cannot be read"))
}

/// Whole seconds from one time (microseconds since 2000) to another (`2026-11-25 23:00:00.5+00`),
/// rounded up; 0 if it is over.
fn seconds_until(at: &str, from_us: i64) -> i32 {
    match micros_since_2000(at) {
        Some(at_us) => {
            let seconds = at_us.saturating_sub(from_us).max(0).div_euclid(1_000_000);
            let part = at_us.saturating_sub(from_us).max(0) % 1_000_000;
            i32::try_from(seconds + i64::from(part > 0)).unwrap_or(i32::MAX)
        }
        // Long ago, or never.
        None if at.ends_with("BC") || at.starts_with('-') => 0,
        None => i32::MAX,
    }
}

/// Reads a time in DateStyle ISO and UTC; `None` for times that jiff has no year for.
fn micros_since_2000(text: &str) -> Option<i64> {
    let time: DateTime = text.strip_suffix("+00")?.parse().ok()?;
    i64::try_from(time.duration_since(POSTGRES_EPOCH).as_micros()).ok()
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, BytesMut};

    use super::*;

    fn relation(oid: u32, schema: &str, name: &str, columns: &[&str]) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(b'R');
        body.put_u32(oid);
        for text in [schema, name] {
            body.put_slice(text.as_bytes());
            body.put_u8(0);
        }
        body.put_u8(b'd');
        body.put_u16(columns.len() as u16);
        for column in columns {
            body.put_u8(0);
            body.put_slice(column.as_bytes());
            body.put_u8(0);
            body.put_u64(0);
        }
        body.freeze()
    }

    fn insert(oid: u32, values: &[Option<&str>]) -> Bytes {
        let mut body = BytesMut::new();
        body.put_u8(b'I');
        body.put_u32(oid);
        body.put_u8(b'N');
        body.put_u16(values.len() as u16);
        for value in values {
            match value {
                None => body.put_u8(b'n'),
                Some(text) => {
                    body.put_u8(b't');
                    body.put_u32(text.len() as u32);
                    body.put_slice(text.as_bytes());
                }
            }
        }
        body.freeze()
    }

    const COLUMNS: [&str; 8] = [
        "xid",
        "id",
        "added_later",
        "queue_name",
        "routing_key",
        "message",
        "headers",
        "visible_at",
    ];

    #[test]
    fn rows_are_found_by_the_names_of_columns_and_other_tables_are_left_out() {
        let mut decoder = Decoder::new("pgmq");
        let mut decode = |body| decoder.decode(body, 0, false);
        decode(relation(7, "pgmq", "outbox", &COLUMNS)).unwrap();
        decode(relation(8, "public", "outbox", &["a"])).unwrap();
        assert_eq!(decode(insert(8, &[Some("1")])).unwrap(), Event::Nothing);
        let at = "2000-01-01 00:00:01.5+00";
        let values = [Some("9"), Some("3"), None, None, Some("a.b"), Some("{}"), None, Some(at)];
        let Event::Row(row) = decode(insert(7, &values)).unwrap() else { panic!() };
        assert_eq!((row.xid, row.id, row.to), (9, 3, Target::Topic("a.b".into())));
        assert_eq!(row.message.as_deref(), Some("{}"));
        assert_eq!(row.visible_at, Some((at.to_owned(), 2)));
    }

    #[test]
    fn a_row_that_was_cut_keeps_its_key() {
        let mut decoder = Decoder::new("pgmq");
        decoder.decode(relation(7, "pgmq", "outbox", &COLUMNS), 0, false).unwrap();
        let values = [Some("9"), Some("3"), None, Some("q"), None, Some("{...}"), None, None];
        let cut = insert(7, &values).slice(..30);
        let Event::Row(row) = decoder.decode(cut.clone(), 0, true).unwrap() else { panic!() };
        assert_eq!((row.xid, row.id, row.too_large), (9, 3, true));
        assert!(decoder.decode(cut, 0, false).is_err());
    }

    #[test]
    fn no_bytes_end_the_process() {
        let mut decoder = Decoder::new("pgmq");
        decoder.decode(relation(7, "pgmq", "outbox", &COLUMNS), 0, false).unwrap();
        let row = insert(7, &[Some("9"), Some("3"), None, Some("q"), None, None, None, None]);
        for whole in [row, relation(7, "pgmq", "outbox", &COLUMNS), Bytes::from_static(b"B1234567")]
        {
            for end in 0..whole.len() {
                let mut decoder =
                    Decoder { outbox: decoder.outbox.clone(), ..Decoder::new("pgmq") };
                let _any = decoder.decode(whole.slice(..end), 0, false);
            }
        }
    }

    #[test]
    fn times_are_read() {
        for (text, micros) in [
            ("2000-01-01 00:00:00+00", 0),
            ("1999-12-31 23:59:59.25+00", -750_000),
            ("2000-02-29 00:00:00+00", 59 * 86_400_000_000),
            ("2000-03-01 00:00:00+00", 60 * 86_400_000_000),
            ("2026-11-25 23:30:01.123456+00", 848_964_601_123_456),
        ] {
            assert_eq!(micros_since_2000(text), Some(micros), "{text}");
        }
        assert_eq!(seconds_until("infinity", 0), i32::MAX);
        assert_eq!(seconds_until("294276-12-31 00:00:00+00", 0), i32::MAX);
        assert_eq!(seconds_until("4713-01-01 00:00:00+00 BC", 0), 0);
        assert_eq!(seconds_until("-infinity", 0), 0);
        assert_eq!(seconds_until("1999-12-31 00:00:00+00", 0), 0);
    }
}
