//! Messages of a client after startup (PostgreSQL manual, "Message Formats").

use kyu_pgsql::error::PgError;

use super::limits::{MAX_NAME_BYTES, MAX_PARAMETERS};
use super::reader::Reader;

/// Type byte and length of a message, from the front of what arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type byte.
    pub(super) kind: u8,
    /// Bytes of the whole message: type byte, length and body.
    pub(super) total: usize,
}

/// The reason to end a connection whose next bytes cannot be read: FATAL 08P01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

impl Header {
    /// Reads a header; `None` if it has not arrived whole.
    pub(super) fn parse(bytes: &[u8], max_bytes: usize) -> Result<Option<Self>, Unreadable> {
        let (Some(kind), Some(length)) = (bytes.first(), bytes.get(1..5)) else {
            // A wrong type byte need not wait for a length.
            return match bytes.first() {
                Some(kind) => known(*kind).map(|()| None),
                None => Ok(None),
            };
        };
        known(*kind)?;
        let length = length.try_into().map_or(0, i32::from_be_bytes);
        // The length counts itself.
        match usize::try_from(length) {
            Ok(length) if (4..=max_bytes).contains(&length) => {
                Ok(Some(Self { kind: *kind, total: length + 1 }))
            }
            _ => Err(Unreadable("invalid message length".into())),
        }
    }
}

fn known(kind: u8) -> Result<(), Unreadable> {
    match kind {
        b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'p' | b'F' | b'd'
        | b'c' | b'f' => Ok(()),
        kind => Err(Unreadable(format!("invalid frontend message type {kind}"))),
    }
}

/// A statement or a portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A prepared statement, by name.
    Statement(&'a str),
    /// A portal, by name.
    Portal(&'a str),
}

/// The form in which a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// As text.
    Text,
    /// In the type's binary form.
    Binary,
}

/// One format for every value, or for all, or none named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formats {
    /// The same for all.
    All(Format),
    /// One each.
    Each(Vec<Format>),
}

impl Formats {
    /// The format of the value at `index`.
    pub(super) fn at(&self, index: usize) -> Format {
        match self {
            Self::All(format) => *format,
            Self::Each(formats) => formats.get(index).copied().unwrap_or(Format::Text),
        }
    }

    /// True if `count` values can have these formats.
    pub(super) fn fits(&self, count: usize) -> bool {
        match self {
            Self::All(_) => true,
            Self::Each(formats) => formats.len() == count,
        }
    }

    fn of(mut formats: Vec<Format>) -> Self {
        match formats.len() {
            0 => Self::All(Format::Text),
            1 => Self::All(formats.pop().unwrap_or(Format::Text)),
            _ => Self::Each(formats),
        }
    }
}

/// A Bind message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bind<'a> {
    /// Name of the portal to make.
    pub(super) portal: &'a str,
    /// Name of the statement.
    pub(super) statement: &'a str,
    /// Formats of the parameters.
    pub(super) formats: Formats,
    /// The parameters; `None` is NULL.
    pub(super) parameters: Vec<Option<&'a [u8]>>,
    /// Formats of the result's columns.
    pub(super) results: Formats,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frontend<'a> {
    /// Simple query.
    Query(&'a str),
    /// Prepare a statement.
    Parse {
        /// Its name.
        name: &'a str,
        /// Its text.
        text: &'a str,
        /// Types of the first parameters; 0 leaves one open.
        types: Vec<u32>,
    },
    /// Make a portal.
    Bind(Bind<'a>),
    /// Tell parameters and columns.
    Describe(Target<'a>),
    /// Run a portal.
    Execute {
        /// Its name.
        portal: &'a str,
        /// Most rows to give; 0 for all.
        max_rows: u32,
    },
    /// Forget a statement or portal.
    Close(Target<'a>),
    /// Write what is gathered.
    Flush,
    /// End of a group: commit or roll back, tell that all is done.
    Sync,
    /// End of the session.
    Terminate,
    /// Password or SASL answer.
    Password(&'a [u8]),
    /// Function call by OID, which no client uses.
    FunctionCall,
    /// CopyData, CopyDone or CopyFail outside a copy: Postgres passes over them.
    Copy,
}

impl<'a> Frontend<'a> {
    /// Reads a message's body. The errors are ERROR 08P01, or 22021 for text that is not UTF-8.
    pub(super) fn parse(kind: u8, body: &'a [u8]) -> Result<Self, PgError> {
        let mut at = Reader::new(body);
        let message = match kind {
            b'Q' => Self::Query(at.text()?),
            b'P' => Self::Parse { name: at.name()?, text: at.text()?, types: at.types()? },
            b'B' => Self::Bind(bind(&mut at)?),
            b'D' => Self::Describe(target(&mut at, "DESCRIBE")?),
            b'C' => Self::Close(target(&mut at, "CLOSE")?),
            b'E' => Self::Execute {
                portal: at.name()?,
                // Nothing, or less: Postgres gives all.
                max_rows: u32::try_from(at.i32()?).unwrap_or(0),
            },
            b'H' => Self::Flush,
            b'S' => Self::Sync,
            b'X' => return Ok(Self::Terminate),
            b'p' => return Ok(Self::Password(body)),
            b'F' => return Ok(Self::FunctionCall),
            _ => return Ok(Self::Copy),
        };
        if at.is_empty() { Ok(message) } else { Err(malformed()) }
    }
}

fn bind<'a>(at: &mut Reader<'a>) -> Result<Bind<'a>, PgError> {
    let (portal, statement) = (at.name()?, at.name()?);
    let formats = at.formats()?;
    let count = at.count()?;
    let mut parameters = Vec::with_capacity(count.min(at.remaining() / 4));
    for _ in 0..count {
        parameters.push(match at.i32()? {
            -1 => None,
            length => Some(at.take(usize::try_from(length).map_err(|_| malformed())?)?),
        });
    }
    if !Formats::fits(&formats, count) {
        let Formats::Each(named) = &formats else { return Err(malformed()) };
        let message =
            format!("bind message has {} parameter formats but {count} parameters", named.len());
        return Err(PgError::new("08P01", message));
    }
    Ok(Bind { portal, statement, formats, parameters, results: at.formats()? })
}

fn target<'a>(at: &mut Reader<'a>, verb: &str) -> Result<Target<'a>, PgError> {
    match at.take(1)? {
        b"S" => Ok(Target::Statement(at.name()?)),
        b"P" => Ok(Target::Portal(at.name()?)),
        other => {
            let kind = other.first().copied().unwrap_or_default();
            Err(PgError::new("08P01", format!("invalid {verb} message subtype {kind}")))
        }
    }
}

fn malformed() -> PgError {
    PgError::new("08P01", "invalid message format")
}

/// Reads what only messages hold, and not values.
impl<'a> Reader<'a> {
    fn count(&mut self) -> Result<usize, PgError> {
        let count = usize::from(self.u16()?);
        debug_assert!(count <= MAX_PARAMETERS, "16 bits");
        Ok(count)
    }

    fn name(&mut self) -> Result<&'a str, PgError> {
        let name = self.text()?;
        if name.len() > MAX_NAME_BYTES {
            let message = format!("a name of {} bytes; at most {MAX_NAME_BYTES}", name.len());
            return Err(PgError::new("42622", message));
        }
        Ok(name)
    }

    fn types(&mut self) -> Result<Vec<u32>, PgError> {
        let count = self.count()?;
        let bytes = self.take(count * 4)?;
        Ok(bytes
            .chunks_exact(4)
            .map(|four| four.try_into().map_or(0, u32::from_be_bytes))
            .collect())
    }

    fn formats(&mut self) -> Result<Formats, PgError> {
        let count = self.count()?;
        let bytes = self.take(count * 2)?;
        let format = |two: &[u8]| match two {
            [0, 0] => Ok(Format::Text),
            [0, 1] => Ok(Format::Binary),
            two => {
                let code = two.try_into().map_or(0, i16::from_be_bytes);
                Err(PgError::new("22023", format!("unsupported format code: {code}")))
            }
        };
        Ok(Formats::of(bytes.chunks_exact(2).map(format).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers() {
        let max = 1_000;
        assert_eq!(Header::parse(b"", max), Ok(None));
        assert_eq!(Header::parse(b"Q\0\0\0", max), Ok(None));
        let whole = Header { kind: b'Q', total: 6 };
        assert_eq!(Header::parse(b"Q\0\0\0\x05\0", max), Ok(Some(whole)));
        for length in [-1, 0, 3, 1_001, i32::MAX, i32::MIN] {
            let mut bytes = vec![b'Q'];
            bytes.extend(length.to_be_bytes());
            assert!(Header::parse(&bytes, max).is_err(), "{length}");
        }
        let unknown = Unreadable("invalid frontend message type 200".into());
        assert_eq!(Header::parse(&[200], max), Err(unknown));
    }

    #[test]
    fn golden_bytes_of_what_clients_send() {
        assert_eq!(Frontend::parse(b'Q', b"select 1\0"), Ok(Frontend::Query("select 1")));
        let parse = b"s1\0select $1\0\0\x02\0\0\0\x17\0\0\0\0";
        let expected = Frontend::Parse { name: "s1", text: "select $1", types: vec![23, 0] };
        assert_eq!(Frontend::parse(b'P', parse), Ok(expected));
        let bind = b"p\0s1\0\0\x02\0\0\0\x01\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x01\0\x01";
        let expected = Bind {
            portal: "p",
            statement: "s1",
            formats: Formats::Each(vec![Format::Text, Format::Binary]),
            parameters: vec![Some(b"a"), None],
            results: Formats::All(Format::Binary),
        };
        assert_eq!(Frontend::parse(b'B', bind), Ok(Frontend::Bind(expected)));
        let described = Frontend::Describe(Target::Portal(""));
        assert_eq!(Frontend::parse(b'D', b"P\0"), Ok(described));
        let executed = Frontend::Execute { portal: "p", max_rows: 1 };
        assert_eq!(Frontend::parse(b'E', b"p\0\0\0\0\x01"), Ok(executed));
        let all = Frontend::Execute { portal: "", max_rows: 0 };
        assert_eq!(Frontend::parse(b'E', b"\0\xff\xff\xff\xff"), Ok(all));
        let closed = Frontend::Close(Target::Statement("s1"));
        assert_eq!(Frontend::parse(b'C', b"Ss1\0"), Ok(closed));
        assert_eq!(Frontend::parse(b'S', b""), Ok(Frontend::Sync));
        assert_eq!(Frontend::parse(b'H', b""), Ok(Frontend::Flush));
    }

    #[test]
    fn malformed_messages_are_protocol_violations() {
        let code = |kind, body: &[u8]| Frontend::parse(kind, body).unwrap_err().code;
        assert_eq!(code(b'Q', b"no zero"), "08P01");
        assert_eq!(code(b'Q', b"a\0b"), "08P01");
        assert_eq!(code(b'Q', b"\xff\0"), "22021");
        assert_eq!(code(b'P', b"\0x\0\xff\xff"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff\0\0"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\x02\0\0\0\0\0\0\0\0"), "08P01");
        assert_eq!(code(b'B', b"\0\0\0\x01\0\x05\0\0\0\0"), "22023");
        assert_eq!(code(b'D', b"X\0"), "08P01");
        assert_eq!(code(b'S', b"more"), "08P01");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(kind: u8, body: Vec<u8>) {
            let _any = Frontend::parse(kind, &body);
            let _any = Header::parse(&body, 1 << 20);
            let _any = super::super::startup::parse(&body);
        }
    }
}
