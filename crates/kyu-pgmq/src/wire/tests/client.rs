//! A client that says exactly what it is told to, and writes down what it hears.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Process id and secret, once told.
    pub(super) key: (u32, u32),
}

/// A message of the extended protocol.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend((body.len() as u32 + 4).to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(super) fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{text}\0\0\0").as_bytes())
}

/// Bind without parameters, results as text.
pub(super) fn bind(portal: &str, statement: &str) -> Vec<u8> {
    message(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

pub(super) fn describe(target: &str) -> Vec<u8> {
    message(b'D', format!("{target}\0").as_bytes())
}

pub(super) fn execute(portal: &str, max_rows: u32) -> Vec<u8> {
    let mut body = format!("{portal}\0").into_bytes();
    body.extend(max_rows.to_be_bytes());
    message(b'E', &body)
}

pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), key: (0, 0) }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// A packet without a type byte.
    pub(super) async fn packet(&mut self, code: u32, body: &[u8]) {
        let mut bytes = (body.len() as u32 + 8).to_be_bytes().to_vec();
        bytes.extend(code.to_be_bytes());
        bytes.extend(body);
        self.send(&bytes).await;
    }

    pub(super) async fn startup(&mut self, settings: &[(&str, &str)]) {
        let mut body: String =
            settings.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
        body.push('\0');
        self.packet(196_608, body.as_bytes()).await;
    }

    /// One message, or `None` at the end of the stream.
    pub(super) async fn raw(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = vec![0; length - 4];
        self.stream.read_exact(&mut body).await.ok()?;
        Some((head[0], body))
    }

    /// One message as a short line.
    pub(super) async fn hear(&mut self) -> Option<String> {
        let (kind, body) = self.raw().await?;
        if kind == b'K' {
            let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().unwrap());
            self.key = (number(0), number(4));
        }
        Some(line(kind, &body))
    }

    /// Lines up to ReadyForQuery.
    pub(super) async fn until_ready(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.hear().await.expect("closed before ReadyForQuery");
            let ready = line.starts_with("ready");
            lines.push(line);
            if ready {
                return lines;
            }
        }
    }

    /// Lines up to the end of the stream.
    pub(super) async fn until_closed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.hear().await {
            lines.push(line);
        }
        lines
    }

    /// A simple query and its whole answer.
    pub(super) async fn query(&mut self, text: &str) -> Vec<String> {
        self.send(&message(b'Q', format!("{text}\0").as_bytes())).await;
        self.until_ready().await
    }

    /// Messages and the whole answer up to ReadyForQuery.
    pub(super) async fn exchange(&mut self, messages: &[Vec<u8>]) -> Vec<String> {
        self.send(&messages.concat()).await;
        self.until_ready().await
    }
}

fn texts(bytes: &[u8]) -> Vec<String> {
    let texts = bytes.split(|byte| *byte == 0);
    texts.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn u16_at(body: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes(body[at..at + 2].try_into().unwrap()))
}

fn u32_at(body: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(body[at..at + 4].try_into().unwrap())
}

fn line(kind: u8, body: &[u8]) -> String {
    match kind {
        b'R' => match u32_at(body, 0) {
            0 => "authenticated".into(),
            10 => format!("sasl {}", texts(&body[4..])[0]),
            11 => format!("sasl-continue {}", String::from_utf8_lossy(&body[4..])),
            12 => format!("sasl-final {}", String::from_utf8_lossy(&body[4..])),
            other => format!("authentication {other}"),
        },
        b'S' => format!("status {}", texts(body)[..2].join("=")),
        b'K' => "key".into(),
        b'v' => format!("negotiate {:x}", u32_at(body, 0)),
        b'Z' => format!("ready {}", char::from(body[0])),
        b'C' => format!("complete {}", texts(body)[0]),
        b'E' | b'N' => {
            let field = |letter: char| {
                let found = texts(body).into_iter().find(|text| text.starts_with(letter));
                found.map(|text| text[1..].to_owned()).unwrap_or_default()
            };
            format!("{} {} {}", field('S'), field('C'), field('M'))
        }
        b'A' => format!("notification {}", texts(&body[4..])[..2].join(" ")),
        b'T' => {
            let mut at = 2;
            let mut columns = Vec::new();
            for _ in 0..u16_at(body, 0) {
                let end = at + body[at..].iter().position(|byte| *byte == 0).unwrap();
                let name = String::from_utf8_lossy(&body[at..end]).into_owned();
                let (oid, format) = (u32_at(body, end + 7), u16_at(body, end + 17));
                columns.push(format!("{name}:{oid}{}", if format == 1 { ":binary" } else { "" }));
                at = end + 19;
            }
            format!("columns {}", columns.join(" "))
        }
        b't' => {
            let oid = |index: usize| u32_at(body, 2 + 4 * index).to_string();
            format!("parameters {}", (0..u16_at(body, 0)).map(oid).collect::<Vec<_>>().join(" "))
        }
        b'D' => {
            let mut at = 2;
            let mut values = Vec::new();
            for _ in 0..u16_at(body, 0) {
                let length = u32_at(body, at) as i32;
                at += 4;
                let end = at + usize::try_from(length).unwrap_or(0);
                let value = String::from_utf8_lossy(&body[at..end]).into_owned();
                values.push(if length < 0 { "NULL".to_owned() } else { value });
                at = end;
            }
            format!("row {}", values.join("|"))
        }
        b'd' => format!("data {}", String::from_utf8_lossy(body).trim_end()),
        b'1' => "parsed".into(),
        b'2' => "bound".into(),
        b'3' => "closed".into(),
        b'n' => "no data".into(),
        b's' => "suspended".into(),
        b'I' => "empty".into(),
        b'H' => "copy out".into(),
        b'c' => "copy done".into(),
        other => format!("message {}", char::from(other)),
    }
}
