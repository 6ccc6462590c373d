//! A socket that gives up on a client that stops reading: hyper has no timeout for writes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::budget::{Budget, Pace, Share};

/// A stream whose writes fail with `TimedOut` once they are below the minimum pace for `patience`, or
/// as soon as they are and others wait for the memory that the answer takes.
pub(super) struct StallGuard<S> {
    stream: S,
    patience: Duration,
    written: Written,
    /// Runs while writes wait; made when the first one does, as most never do.
    pace: Option<Pace>,
}

/// The budget that the answer being written was paid from; of a small one, none.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<Option<Budget>>>);

impl Written {
    pub(super) fn begin(&self, share: Option<&Share>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = share.map(Share::budget);
    }

    fn is_pressed(&self) -> bool {
        let budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        budget.as_ref().is_some_and(Budget::is_pressed)
    }
}

impl<S> StallGuard<S> {
    pub(super) fn new(stream: S, patience: Duration, written: Written) -> Self {
        Self { stream, patience, written, pace: None }
    }

    /// Looks at what became of writing `offered` bytes.
    fn guard(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        offered: usize,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) if *bytes < offered => {
                // More will be offered at once, and may have to wait.
                if let Some(pace) = &mut self.pace {
                    pace.moved(*bytes);
                }
                written
            }
            Poll::Ready(_) => {
                self.pace = None;
                written
            }
            Poll::Pending => {
                let pace = self.pace.get_or_insert_with(|| Pace::new(self.patience));
                let written = &self.written;
                ready!(pace.poll_lost(cx, || written.is_pressed()));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.guard(cx, written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.guard(cx, written, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Of TLS it writes what is left.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx).map_ok(|()| 0);
        self.guard(cx, flushed, 0).map_ok(|_| ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
