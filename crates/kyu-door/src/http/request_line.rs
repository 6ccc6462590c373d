//! A bound for the request line, so that one without an end is answered with 414: hyper counts the
//! whole head, and would say that its fields are too large.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The count of bytes of a request line that have been read; `IN_REQUEST` behind its end.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestLine(Arc<AtomicUsize>);

const IN_REQUEST: usize = usize::MAX;

impl RequestLine {
    /// The bytes that are read from now on are the next request.
    pub(super) fn begin(&self) {
        self.0.store(0, Relaxed);
    }

    /// The head of a request is complete, and what is read is its body.
    pub(super) fn is_complete(&self) {
        self.0.store(IN_REQUEST, Relaxed);
    }

    /// True if it is longer than `max_bytes`.
    pub(super) fn exceeds(&self, max_bytes: usize) -> bool {
        let bytes = self.0.load(Relaxed);
        bytes != IN_REQUEST && bytes > max_bytes
    }

    fn read(&self, bytes: &[u8]) {
        let before = self.0.load(Relaxed);
        if before == IN_REQUEST {
            return;
        }
        let ended = bytes.contains(&b'\n');
        self.0.store(if ended { IN_REQUEST } else { before + bytes.len() }, Relaxed);
    }
}

/// A stream on which reading fails once a request line is too long.
pub(super) struct Lines<S> {
    stream: S,
    line: RequestLine,
    max_bytes: usize,
}

impl<S> Lines<S> {
    pub(super) fn new(stream: S, line: RequestLine, max_bytes: usize) -> Self {
        Self { stream, line, max_bytes }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lines<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.line.read(buf.filled().get(before..).unwrap_or_default());
        if self.line.exceeds(self.max_bytes) {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lines<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
