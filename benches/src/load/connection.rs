//! One connection of the load: a socket, the request being sent, the answer being received.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use crate::Error;

/// At most one request is under way on it.
pub(super) struct Connection {
    stream: TcpStream,
    /// The current or previous request.
    pub request: Vec<u8>,
    sent_bytes: usize,
    /// The start of an answer that did not arrive in one piece.
    partial: Vec<u8>,
    /// When the request under way was due; `None` when idle.
    pub due: Option<u64>,
    /// Whether epoll was asked to say when the socket can take more.
    pub awaits_room: bool,
}

impl Connection {
    /// Connects, lets `greet` speak, then makes the socket non-blocking.
    pub(super) fn open(
        target: SocketAddr,
        greet: impl FnOnce(&mut TcpStream) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let mut stream = TcpStream::connect(target)?;
        stream.set_nodelay(true)?;
        greet(&mut stream)?;
        stream.set_nonblocking(true)?;
        let (request, partial) = (Vec::new(), Vec::new());
        Ok(Self { stream, request, sent_bytes: 0, partial, due: None, awaits_room: false })
    }

    /// Begins to send the request in `self.request`; true when the socket took all of it.
    pub(super) fn send(&mut self, due: u64) -> Result<bool, Error> {
        self.due = Some(due);
        self.sent_bytes = 0;
        self.flush()
    }

    /// Sends what is left of the request; true when nothing is.
    pub(super) fn flush(&mut self) -> Result<bool, Error> {
        while let Some(rest) = self.request.get(self.sent_bytes..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err("the server takes no more bytes".into()),
                Ok(written) => self.sent_bytes += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Reads once and offers everything received so far to `parse`, which says how many bytes it
    /// used, 0 for "not whole yet". A whole answer in one read is never copied.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        parse: impl FnOnce(&[u8]) -> Result<usize, Error>,
    ) -> Result<bool, Error> {
        let read_bytes = match self.stream.read(scratch) {
            Ok(0) => return Err("the server closed a connection under load".into()),
            Ok(read_bytes) => read_bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let fresh = scratch.get(..read_bytes).unwrap_or_default();
        let available = if self.partial.is_empty() {
            fresh
        } else {
            self.partial.extend_from_slice(fresh);
            &self.partial
        };
        let used_bytes = parse(available)?;
        if used_bytes == 0 {
            if self.partial.is_empty() {
                self.partial.extend_from_slice(fresh);
            }
            return Ok(false);
        }
        if used_bytes < available.len() {
            return Err("the server sent more than one answer to one request".into());
        }
        self.partial.clear();
        Ok(true)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
