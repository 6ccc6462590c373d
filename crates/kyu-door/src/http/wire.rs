//! A TCP socket that is read and written by hyper, and looked at by us meanwhile: whether its client
//! has ended its side, or has gone.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, Shutdown};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two looks at a socket whose client has already sent something more.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The time for which a client may go on sending after an answer that ends the connection. A socket
/// that is closed with unread bytes in it resets the connection, and then the answer is lost on its way.
const LINGER: Duration = Duration::from_secs(2);
/// The bytes that are read and thrown away in that time.
const LINGER_BYTES: usize = 16 << 20;

/// The state of the client's side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// It sends no more, and may still read: so do programs that send one request and close their
    /// side. A client that closed its socket looks the same until something is sent to it.
    HalfClosed,
    /// The connection is broken.
    Gone,
}

/// A handle on a socket. Clones share it; it is closed with the last.
#[derive(Clone, Debug)]
pub(super) struct Wire(Arc<TcpStream>);

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// True if the client has departed already.
    pub(super) async fn has_departed(&self) -> bool {
        let mut departure = std::pin::pin!(self.departure(false));
        poll_fn(|cx| Poll::Ready(departure.as_mut().poll(cx).is_ready())).await
    }

    /// Completes when the client departs; after [`Departure::HalfClosed`] `beyond` it waits for the
    /// connection to break.
    pub(super) async fn departure(&self, beyond: bool) -> Departure {
        loop {
            // An error here is one of the runtime, not of the socket.
            let Ok(state) = self.0.ready(Interest::READABLE | Interest::ERROR).await else {
                return Departure::Gone;
            };
            if state.is_error() || state.is_write_closed() {
                return Departure::Gone;
            }
            let ended = match self.peek() {
                // The runtime had not noticed yet that everything was read: now it waits.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return Departure::Gone,
                Ok(bytes) => bytes == 0 || state.is_read_closed(),
            };
            if ended && !beyond {
                return Departure::HalfClosed;
            }
            // The next request is there, or the end was told: both stay so, and are no news.
            sleep(LOOK_EVERY).await;
        }
    }

    /// Looks for a byte to be read, which is left there: 1, or 0 at the end of the stream;
    /// `WouldBlock` while there is none.
    fn peek(&self) -> io::Result<usize> {
        let mut byte = [0; 1];
        let peek = || Ok(rustix::net::recv(&*self.0, &mut byte, RecvFlags::PEEK)?.0);
        self.0.try_io(Interest::READABLE, peek)
    }

    /// Reads what is there. A read that does not fill the buffer has emptied the socket (epoll(7)): the
    /// runtime is told so at once, by the event for which it was read, and no look that follows has to
    /// find it out by a system call of its own.
    fn read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut read = None;
        let told = self.0.try_io(Interest::READABLE, || {
            let bytes = rustix::net::recv(&*self.0, &mut *buf, RecvFlags::empty())?.0;
            read = Some(bytes);
            match bytes {
                bytes if bytes > 0 && bytes < buf.len() => Err(io::ErrorKind::WouldBlock.into()),
                _ => Ok(bytes),
            }
        });
        read.map_or(told, Ok)
    }

    /// Ends our side. Of a client that is `unread`, which may still be sending, reads and throws away
    /// what comes until it ends its side as well, within bounds, so that it can read what was said.
    pub(super) async fn end(&self, unread: bool) {
        // The connection may be broken already.
        let _broken = rustix::net::shutdown(&*self.0, Shutdown::Write);
        if !unread {
            return;
        }
        let deadline = Instant::now() + LINGER;
        let mut left = LINGER_BYTES;
        let mut thrown_away = [0; 8 << 10];
        while left > 0 {
            match timeout_at(deadline, self.0.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
            match self.0.try_read(&mut thrown_away) {
                Ok(0) => return,
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Runs `io` as soon as the socket is ready; the runtime wakes the task then.
    fn when_ready<T>(
        cx: &mut Context<'_>,
        ready: impl Fn(&mut Context<'_>) -> Poll<io::Result<()>>,
        mut io: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(ready(cx))?;
            match io() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let ready = |cx: &mut Context<'_>| self.0.poll_read_ready(cx);
        let read = Self::when_ready(cx, ready, || self.read(buf.initialize_unfilled()));
        let read = ready!(read)?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Self::when_ready(cx, |cx| self.0.poll_write_ready(cx), || self.0.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Self::when_ready(cx, |cx| self.0.poll_write_ready(cx), || self.0.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Our side is ended by [`Wire::end`].
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
