//! A replication connection: what the driver cannot do (it knows no CopyBoth).
//!
//! Startup, passwords, simple queries, and frames of bounded size. Source of the rules: PostgreSQL
//! documentation, "Frontend/Backend Protocol", and "Streaming Replication Protocol".

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio_postgres::config::Host;

use crate::conninfo::Conninfo;
use crate::error::{Error, NoTls, passes};
use crate::tls::SslMode;

/// The length up to which all of a frame is kept; of a longer one only the beginning: a row that
/// large is not for Kyu, and its key comes first.
const MAX_FRAME_BYTES: usize = 16 << 20;
const HEAD_BYTES: usize = 64 << 10;
/// One read.
const READ_BYTES: usize = 64 << 10;

/// A message of the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
    /// The body is only its beginning.
    pub(crate) cut: bool,
}

/// The receiving end.
pub(crate) struct Receiver {
    stream: ReadHalf<Box<dyn Stream>>,
    buffer: BytesMut,
    /// The bytes that remain of a frame that was cut.
    skip: usize,
}

/// A connection in which commands of replication are understood.
pub(crate) struct ReplicationConnection {
    pub(crate) receiver: Receiver,
    pub(crate) sender: WriteHalf<Box<dyn Stream>>,
}

/// The server's words: SQLSTATE and message.
#[derive(Debug)]
pub(crate) struct ServerError {
    pub(crate) code: String,
    pub(crate) message: String,
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl ReplicationConnection {
    /// Connects as the driver does, and says that it is for replication.
    pub(crate) async fn open(
        conninfo: &Conninfo,
        user: &str,
        database: &str,
    ) -> Result<Self, Error> {
        let config = &conninfo.config;
        let patience = config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(10));
        let mut failed = Error::Refused("the connection string names no host".into());
        let hosts = config.get_hosts();
        for (n, host) in hosts.iter().enumerate() {
            let ports = config.get_ports();
            let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
            let address = config.get_hostaddrs().get(n).map(ToString::to_string);
            let connecting = connect(conninfo, host, address, port);
            let stream = match tokio::time::timeout(patience, connecting).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    failed = error.into();
                    continue;
                }
                Err(_) => {
                    failed = io::Error::from(io::ErrorKind::TimedOut).into();
                    continue;
                }
            };
            let (read, sender) = tokio::io::split(stream);
            let receiver = Receiver { stream: read, buffer: BytesMut::new(), skip: 0 };
            let mut connection = Self { receiver, sender };
            connection.log_in(conninfo, user, database).await?;
            return Ok(connection);
        }
        Err(failed)
    }

    async fn log_in(
        &mut self,
        conninfo: &Conninfo,
        user: &str,
        database: &str,
    ) -> Result<(), Error> {
        let mut parameters = vec![
            ("user", user),
            ("database", database),
            ("replication", "database"),
            ("client_encoding", "UTF8"),
            // Texts of times are read here.
            ("DateStyle", "ISO"),
            ("TimeZone", "UTC"),
            ("application_name", conninfo.config.get_application_name().unwrap_or("kyu outbox")),
        ];
        parameters.extend(conninfo.config.get_options().map(|options| ("options", options)));
        let mut out = BytesMut::new();
        frontend::startup_message(parameters, &mut out)?;
        self.sender.write_all(&out).await?;
        let password = conninfo.config.get_password();
        loop {
            let frame = self.receiver.next().await?;
            match frame.tag {
                b'R' => self.authenticate(frame.body, user, password).await?,
                b'E' => return Err(ServerError::parse(&frame.body).into()),
                b'Z' => return Ok(()),
                // Parameters, the key for cancelling, notices.
                _ => {}
            }
        }
    }

    async fn authenticate(
        &mut self,
        mut body: Bytes,
        user: &str,
        password: Option<&[u8]>,
    ) -> Result<(), Error> {
        let kind = body.try_get_i32().map_err(io::Error::from)?;
        if kind == 0 {
            return Ok(());
        }
        let password =
            password.ok_or_else(|| Error::Refused("the source wants a password".into()))?;
        let mut out = BytesMut::new();
        match kind {
            3 => frontend::password_message(password, &mut out)?,
            5 => {
                let salt = body.first_chunk().copied().ok_or(io::ErrorKind::InvalidData);
                let hash = md5_hash(user.as_bytes(), password, salt.map_err(io::Error::from)?);
                frontend::password_message(hash.as_bytes(), &mut out)?;
            }
            10 => return self.scram(&body, password).await,
            kind => {
                return Err(Error::Refused(format!(
                    "the source wants a login that is not known here (number {kind})"
                )));
            }
        }
        self.sender.write_all(&out).await?;
        Ok(())
    }

    /// SCRAM-SHA-256 (RFC 7677), without channel binding.
    async fn scram(&mut self, mechanisms: &[u8], password: &[u8]) -> Result<(), Error> {
        if !mechanisms.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
            return Err(Error::Refused("the source offers no SCRAM-SHA-256".into()));
        }
        // "n": over TLS, "y" would say that the server cannot do it, and a server that can refuses.
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let mut out = BytesMut::new();
        frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), &mut out)?;
        self.sender.write_all(&out).await?;
        scram.update(&self.sasl_answer(11).await?)?;
        out.clear();
        frontend::sasl_response(scram.message(), &mut out)?;
        self.sender.write_all(&out).await?;
        // Here the server proves that it knows the password too.
        scram.finish(&self.sasl_answer(12).await?)?;
        Ok(())
    }

    async fn sasl_answer(&mut self, kind: i32) -> Result<Bytes, Error> {
        let mut frame = self.receiver.next().await?;
        match frame.tag {
            b'R' if frame.body.try_get_i32() == Ok(kind) => Ok(frame.body),
            b'E' => Err(ServerError::parse(&frame.body).into()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        }
    }

    /// A command, and the rows that it answers with, as text.
    pub(crate) async fn query(&mut self, command: &str) -> Result<Vec<Vec<String>>, Error> {
        self.send_query(command).await?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            let frame = self.receiver.next().await?;
            match frame.tag {
                b'D' => rows.push(texts(frame.body)?),
                b'E' => failed = Some(ServerError::parse(&frame.body)),
                b'Z' => return failed.map_or(Ok(rows), |failed| Err(failed.into())),
                _ => {}
            }
        }
    }

    /// A command after which both ends copy.
    pub(crate) async fn copy_both(&mut self, command: &str) -> Result<(), Error> {
        self.send_query(command).await?;
        loop {
            let frame = self.receiver.next().await?;
            match frame.tag {
                b'W' => return Ok(()),
                b'E' => return Err(ServerError::parse(&frame.body).into()),
                b'Z' => return Err(io::Error::from(io::ErrorKind::InvalidData).into()),
                _ => {}
            }
        }
    }

    async fn send_query(&mut self, command: &str) -> Result<(), Error> {
        let mut out = BytesMut::new();
        frontend::query(command, &mut out)?;
        self.sender.write_all(&out).await?;
        Ok(())
    }
}

impl Receiver {
    /// The next frame. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(frame);
            }
            self.buffer.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The next frame, if it has arrived.
    pub(crate) fn buffered(&mut self) -> io::Result<Option<Frame>> {
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        let Some(&[tag, a, b, c, d]) = self.buffer.first_chunk() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length < 4 || length > i32::MAX as usize {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the length of a message"));
        }
        let (whole, cut) = (length + 1, length > MAX_FRAME_BYTES);
        let kept = if cut { HEAD_BYTES } else { whole };
        if self.buffer.len() < kept {
            return Ok(None);
        }
        self.skip = whole - kept;
        let mut body = self.buffer.split_to(kept).freeze();
        body.advance(5);
        Ok(Some(Frame { tag, body, cut }))
    }
}

impl ServerError {
    /// Fields of a type, a text and a zero each.
    pub(crate) fn parse(body: &[u8]) -> Self {
        let field = |kind: u8| {
            let mut fields = body.split(|byte| *byte == 0);
            let found = fields.find_map(|field| field.split_first().filter(|(k, _)| **k == kind));
            String::from_utf8_lossy(found.map_or(&[], |(_, text)| text)).into_owned()
        };
        Self { code: field(b'C'), message: field(b'M') }
    }
}

impl From<ServerError> for Error {
    /// The source's errors to commands of replication, with what to do about them.
    fn from(ServerError { code, message }: ServerError) -> Self {
        let advice = match code.as_str() {
            // Before the others of its class: this one does not pass.
            "53400" => "raise max_replication_slots, or drop a slot that nobody needs",
            "42501" => "ALTER ROLE ... REPLICATION, or leave --replication out",
            "42704" => "start once with --new-slot, which makes the slot and the publication again",
            // In use: whoever had it before us is about to notice.
            "55006" => return Self::Lost(format!("{code}: {message}")),
            code if passes(code) => return Self::Lost(format!("{code}: {message}")),
            _ => return Self::Refused(format!("{code}: {message}")),
        };
        Self::Refused(format!("{code}: {message}; {advice}"))
    }
}

async fn connect(
    conninfo: &Conninfo,
    host: &Host,
    address: Option<String>,
    port: u16,
) -> io::Result<Box<dyn Stream>> {
    let name = match host {
        Host::Unix(directory) => {
            let socket = directory.join(format!(".s.PGSQL.{port}"));
            return Ok(Box::new(UnixStream::connect(socket).await?));
        }
        Host::Tcp(name) => name,
    };
    let mut stream = TcpStream::connect((address.as_deref().unwrap_or(name), port)).await?;
    stream.set_nodelay(true)?;
    let tls = &conninfo.tls;
    if tls.mode() == SslMode::Disable {
        return Ok(Box::new(stream));
    }
    let mut out = BytesMut::new();
    frontend::ssl_request(&mut out);
    stream.write_all(&out).await?;
    // One byte, and nothing behind it is read: what came in the clear is not taken for encrypted.
    match stream.read_u8().await? {
        b'S' => Ok(Box::new(tls.handshake(name, stream).await?)),
        _ if tls.mode() == SslMode::Prefer => Ok(Box::new(stream)),
        _ => Err(io::Error::other(NoTls)),
    }
}

/// A row; NULL is the empty text.
fn texts(mut body: Bytes) -> io::Result<Vec<String>> {
    let mut row = Vec::new();
    for _ in 0..body.try_get_u16()? {
        let length = usize::try_from(body.try_get_i32()?).unwrap_or(0);
        if body.len() < length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        row.push(String::from_utf8_lossy(&body.split_to(length)).into_owned());
    }
    Ok(row)
}
