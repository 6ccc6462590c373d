//! What is spoken in blocking mode: start-up, preparation of statements, single queries.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::protocol::{
    self, INT4, INT8, INT8_ARRAY, JSONB, JSONB_ARRAY, TEXT, columns, is_whole, messages,
};
use crate::Error;

/// The superuser of a fresh cluster; Kyu on loopback takes any name.
pub(super) const USER: &str = "postgres";

/// Statements that every connection of the load has prepared, by name.
const PREPARED: &[(&str, &str, &[u32])] = &[
    ("send", "SELECT pgmq.send($1, $2)", &[TEXT, JSONB]),
    ("send_batch", "SELECT pgmq.send_batch($1, $2)", &[TEXT, JSONB_ARRAY]),
    ("send_later", "SELECT pgmq.send_batch($1, $2, $3)", &[TEXT, JSONB_ARRAY, INT4]),
    ("read", "SELECT * FROM pgmq.read($1, $2, $3)", &[TEXT, INT4, INT4]),
    ("delete", "SELECT pgmq.delete($1, $2)", &[TEXT, INT8]),
    ("delete_batch", "SELECT pgmq.delete($1, $2)", &[TEXT, INT8_ARRAY]),
    ("metrics", "SELECT queue_length FROM pgmq.metrics($1)", &[TEXT]),
];

/// Logs in and prepares all statements, as drivers do on first use.
pub(super) fn greet(stream: &mut TcpStream) -> Result<(), Error> {
    stream.write_all(&protocol::startup(USER, USER))?;
    answer(stream)?;
    let mut request = Vec::new();
    for (name, sql, types) in PREPARED {
        protocol::parse(&mut request, name, sql, types);
    }
    protocol::sync(&mut request);
    stream.write_all(&request)?;
    answer(stream).map(drop)
}

/// Reads to the next ReadyForQuery; an ErrorResponse is an error.
fn answer(stream: &mut TcpStream) -> Result<Vec<u8>, Error> {
    let mut received = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !is_whole(&received) {
        match stream.read(&mut piece)? {
            0 => {
                protocol::error(&received)?;
                return Err("the server closed the connection".into());
            }
            bytes => received.extend_from_slice(piece.get(..bytes).unwrap_or_default()),
        }
    }
    protocol::error(&received)?;
    Ok(received)
}

/// Runs a text of the simple protocol on a connection of its own; the rows of all its statements.
pub(super) fn query(address: SocketAddr, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&protocol::startup(USER, USER))?;
    answer(&mut stream)?;
    let mut request = Vec::new();
    protocol::query(&mut request, sql);
    stream.write_all(&request)?;
    let answer = answer(&mut stream)?;
    let rows = messages(&answer).filter(|(kind, _)| *kind == b'D');
    Ok(rows.map(|(_, body)| columns(body)).collect())
}
