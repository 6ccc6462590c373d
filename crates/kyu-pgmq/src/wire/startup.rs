//! The first packet of a connection, which has no type byte: SSLRequest, GSSENCRequest,
//! CancelRequest or StartupMessage (PostgreSQL manual, "Message Formats").

use super::limits::MAX_STARTUP_BYTES;

const CANCEL: u32 = 80_877_102;
const SSL: u32 = 80_877_103;
const GSSENC: u32 = 80_877_104;

/// The packet that a connection opens with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// The client would like TLS.
    Ssl,
    /// The client would like Kerberos encryption.
    GssEnc,
    /// Cancel what another connection does.
    Cancel {
        /// Process id of BackendKeyData.
        process: u32,
        /// Its secret.
        secret: u32,
    },
    /// A session.
    Startup(Startup),
}

/// A StartupMessage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Startup {
    /// Minor version of protocol 3 that was asked for.
    pub(super) minor: u16,
    /// `_pq_.` options, which are extensions of the protocol; none is known here.
    pub(super) extensions: Vec<String>,
    /// `user`; never empty.
    pub(super) user: String,
    /// `database`; the user's name if it was left out.
    pub(super) database: String,
    /// Settings: what else was named, and `-c name=value` of `options`, in this order.
    pub(super) settings: Vec<(String, String)>,
}

/// The reason why a first packet is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The length is impossible: the connection is closed without a word, as Postgres does.
    Silently,
    /// FATAL with this SQLSTATE and message.
    With(&'static str, String),
}

/// Reads a first packet from the front of `bytes`: how many bytes it took and what it says, or
/// `None` if it has not arrived whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, First)>, Refused> {
    let Some(length) = be_u32(bytes, 0) else { return Ok(None) };
    let length = length as usize;
    if !(8..=MAX_STARTUP_BYTES).contains(&length) {
        return Err(Refused::Silently);
    }
    let Some(packet) = bytes.get(4..length) else { return Ok(None) };
    let code = be_u32(packet, 0).ok_or(Refused::Silently)?;
    let body = packet.get(4..).unwrap_or_default();
    let first = match code {
        SSL if body.is_empty() => First::Ssl,
        GSSENC if body.is_empty() => First::GssEnc,
        CANCEL => match (be_u32(body, 0), be_u32(body, 4), body.len()) {
            (Some(process), Some(secret), 8) => First::Cancel { process, secret },
            _ => return Err(Refused::Silently),
        },
        _ => First::Startup(startup(code, body)?),
    };
    Ok(Some((length, first)))
}

fn startup(code: u32, body: &[u8]) -> Result<Startup, Refused> {
    let (major, minor) = (code >> 16, (code & 0xffff) as u16);
    if major != 3 {
        let message =
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2");
        return Err(Refused::With("0A000", message));
    }
    let malformed = || {
        Refused::With(
            "08P01",
            "invalid startup packet layout: expected terminator as last byte".into(),
        )
    };
    let mut startup = Startup { minor, ..Startup::default() };
    let body = body.strip_suffix(&[0]).ok_or_else(malformed)?;
    let mut options = String::new();
    let mut texts = body.split(|byte| *byte == 0);
    // Pairs of texts, each with its own zero; the last split is what follows the last zero.
    let pairs = if body.is_empty() { 0 } else { body.iter().filter(|byte| **byte == 0).count() };
    for _ in 0..pairs / 2 {
        let (Some(name), Some(value)) = (texts.next(), texts.next()) else {
            return Err(malformed());
        };
        let name = text(name)?;
        let value = text(value)?;
        match name.as_str() {
            "user" => startup.user = value,
            "database" => startup.database = value,
            "options" => options = value,
            "replication" if !matches!(value.as_str(), "false" | "off" | "no" | "0") => {
                let message = "replication connections are not supported";
                return Err(Refused::With("0A000", message.into()));
            }
            "replication" => {}
            _ if name.starts_with("_pq_.") => startup.extensions.push(name),
            _ => startup.settings.push((name, value)),
        }
    }
    if pairs % 2 == 1 || texts.next().is_some_and(|rest| !rest.is_empty()) {
        return Err(malformed());
    }
    if startup.user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(Refused::With("28000", message.into()));
    }
    if startup.database.is_empty() {
        startup.database.clone_from(&startup.user);
    }
    let named = command_line(&options)?;
    startup.settings.splice(0..0, named);
    Ok(startup)
}

/// `-c name=value` and `--name=value`, with backslashes before blanks that belong to a value.
fn command_line(options: &str) -> Result<Vec<(String, String)>, Refused> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = options.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let mut settings = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let named = match word.as_str() {
            "-c" => words.next(),
            _ => word.strip_prefix("-c").or_else(|| word.strip_prefix("--")).map(ToOwned::to_owned),
        };
        match named.as_deref().and_then(|named| named.split_once('=')) {
            Some((name, value)) => {
                settings.push((name.trim().replace('-', "_"), value.to_owned()));
            }
            None => {
                let message = format!("invalid command-line argument for server process: {word}");
                return Err(Refused::With("42601", message));
            }
        }
    }
    Ok(settings)
}

fn text(bytes: &[u8]) -> Result<String, Refused> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| Refused::With("22021", "invalid byte sequence for encoding \"UTF8\"".into()))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(code: u32, body: &[u8]) -> Vec<u8> {
        let mut packet = ((body.len() + 8) as u32).to_be_bytes().to_vec();
        packet.extend(code.to_be_bytes());
        packet.extend(body);
        packet
    }

    fn settings(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn what_asyncpg_and_a_libpq_with_options_send() {
        let body = b"client_encoding\0'utf-8'\0user\0u\0database\0d\0\
            options\0-c statement_timeout=5s --search-path=a\\ b -cjit=off\0\0";
        let all = packet(196_608, body);
        let (took, First::Startup(startup)) = parse(&all).unwrap().unwrap() else { panic!() };
        assert_eq!(took, all.len());
        assert_eq!((startup.user.as_str(), startup.database.as_str()), ("u", "d"));
        let expected = [
            ("statement_timeout", "5s"),
            ("search_path", "a b"),
            ("jit", "off"),
            ("client_encoding", "'utf-8'"),
        ];
        assert_eq!(startup.settings, settings(&expected));
        for cut in 0..all.len() {
            assert_eq!(parse(&all[..cut]), Ok(None), "{cut}");
        }
    }

    #[test]
    fn requests_before_a_session() {
        assert_eq!(parse(&packet(SSL, b"")), Ok(Some((8, First::Ssl))));
        assert_eq!(parse(&packet(GSSENC, b"")), Ok(Some((8, First::GssEnc))));
        let cancel = packet(CANCEL, &[0, 0, 0, 7, 1, 2, 3, 4]);
        let expected = First::Cancel { process: 7, secret: 0x0102_0304 };
        assert_eq!(parse(&cancel), Ok(Some((16, expected))));
        assert_eq!(parse(&packet(CANCEL, b"short")), Err(Refused::Silently));
    }

    #[test]
    fn impossible_lengths_close_without_a_word() {
        for length in [0_u32, 4, 7, 10_001, 1 << 30, u32::MAX, i32::MAX as u32] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend(196_608_u32.to_be_bytes());
            assert_eq!(parse(&bytes), Err(Refused::Silently), "{length}");
        }
    }

    #[test]
    fn malformed_packets_are_told_why() {
        let code = |code, body: &[u8]| match parse(&packet(code, body)) {
            Err(Refused::With(code, _)) => code,
            other => panic!("{other:?}"),
        };
        assert_eq!(code(131_072, b"\0"), "0A000");
        assert_eq!(code(196_608, b"user\0u"), "08P01");
        assert_eq!(code(196_608, b"user\0\0"), "08P01");
        assert_eq!(code(196_608, b"\0"), "28000");
        assert_eq!(code(196_608, b""), "08P01");
        assert_eq!(code(196_608, b"user\0\xff\0\0"), "22021");
        assert_eq!(code(196_608, b"user\0u\0options\0-x\0\0"), "42601");
        assert_eq!(code(196_608, b"user\0u\0replication\0database\0\0"), "0A000");
    }

    #[test]
    fn protocol_3_2_and_extensions_are_kept_for_the_negotiation() {
        let all = packet(196_610, b"user\0u\0_pq_.x\x001\0\0");
        let Some((_, First::Startup(startup))) = parse(&all).unwrap() else { panic!() };
        assert_eq!((startup.minor, startup.extensions), (2, vec!["_pq_.x".to_owned()]));
    }
}
