//! The socket of one client: frames in, gathered answers out, and what happens meanwhile.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kyu_budget::{Arrival, Budget, Pace, Share, Terms};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::backend::Backend;
use super::frontend::{Header, Unreadable};
use super::limits::{
    HANG_UP_GRACE, Limits, READ_AHEAD_BYTES, READ_BYTES, SMALL_BODY_BYTES, SMALL_MESSAGE_BYTES,
    WRITE_BYTES,
};

/// A TCP socket, or TLS on one.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// The reason why nothing more is read.
#[derive(Debug)]
pub(super) enum Gone {
    /// The client closed, or the socket broke.
    Closed,
    /// The client took nothing, or sent the rest of a message too slowly.
    Stalled,
    /// The bytes that came are no message: FATAL 08P01.
    Unreadable(String),
    /// There is no memory for the rest of a large message: FATAL 53200.
    NoMemory,
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

impl From<Unreadable> for Gone {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.0)
    }
}

/// The reason why a statement was ended before it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interrupted {
    /// By a CancelRequest.
    Cancelled,
    /// By `statement_timeout`.
    TimedOut,
    /// Nobody is there to hear the answer.
    HungUp,
}

/// A message and the memory that it holds.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) body: Bytes,
    _share: Option<Share>,
}

/// One client's socket with its buffers.
pub(super) struct Connection {
    socket: Box<dyn Socket>,
    input: BytesMut,
    pub(super) out: Backend,
    budget: Budget,
    /// The budget of its session, once there is one.
    session: Option<Budget>,
    max_message_bytes: usize,
    message_timeout: Duration,
    large_message_patience: Duration,
    write_stall_timeout: Duration,
    ended: bool,
}

impl Connection {
    pub(super) fn new(socket: Box<dyn Socket>, budget: Budget, limits: &Limits) -> Self {
        Self {
            socket,
            input: BytesMut::new(),
            out: Backend::default(),
            budget,
            session: None,
            max_message_bytes: super::limits::MAX_PASSWORD_BYTES,
            message_timeout: limits.message_timeout,
            large_message_patience: limits.large_message_patience,
            write_stall_timeout: limits.write_stall_timeout,
            ended: false,
        }
    }

    /// Lets messages of full size in, once the client is known.
    pub(super) fn admit(&mut self, limits: &Limits) {
        self.max_message_bytes = limits.max_message_bytes;
    }

    /// The bytes that have arrived and were not taken.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.input
    }

    /// Takes bytes from the front.
    pub(super) fn take(&mut self, bytes: usize) -> Bytes {
        self.input.split_to(bytes.min(self.input.len())).freeze()
    }

    /// Gives the socket back, for TLS; nothing of a later layer may have arrived.
    pub(super) fn into_socket(self) -> Option<Box<dyn Socket>> {
        self.input.is_empty().then_some(self.socket)
    }

    /// Reads once. `Gone::Closed` at the end of the stream. Can be dropped without loss.
    pub(super) async fn fill(&mut self) -> Result<(), Gone> {
        if self.ended {
            return Err(Gone::Closed);
        }
        self.input.reserve(READ_BYTES);
        if self.socket.read_buf(&mut self.input).await? == 0 {
            self.ended = true;
            return Err(Gone::Closed);
        }
        Ok(())
    }

    /// True if a message begins in what has arrived.
    pub(super) fn has_begun(&self) -> bool {
        !self.input.is_empty()
    }

    /// The type of the next message, if it has arrived.
    pub(super) fn next_kind(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// The next message, waiting for the rest of it if it has begun; `None` if none has.
    pub(super) async fn frame(&mut self) -> Result<Option<Frame>, Gone> {
        if !self.has_begun() {
            return Ok(None);
        }
        let header = Header::parse(&self.input, self.max_message_bytes)?;
        match header {
            Some(header) if header.total <= self.input.len() => Ok(Some(self.cut(header, None))),
            _ => {
                let limit = self.message_timeout;
                match timeout(limit, self.rest()).await {
                    Ok(frame) => frame.map(Some),
                    Err(_) => Err(Gone::Stalled),
                }
            }
        }
    }

    async fn rest(&mut self) -> Result<Frame, Gone> {
        let header = loop {
            match Header::parse(&self.input, self.max_message_bytes)? {
                Some(header) => break header,
                None => self.fill().await?,
            }
        };
        if header.total <= SMALL_MESSAGE_BYTES {
            while self.input.len() < header.total {
                self.fill().await?;
            }
            return Ok(self.cut(header, None));
        }
        // Only what has arrived is paid for: announcing a message costs its sender nothing, so it
        // must not cost others their share.
        let terms = Terms {
            free_bytes: SMALL_MESSAGE_BYTES,
            max_bytes: self.max_message_bytes,
            pace_patience: self.message_timeout,
            room_patience: self.large_message_patience,
        };
        let mut arrival = Arrival::new(&self.budget, Some(header.total), terms);
        while self.input.len() < header.total {
            let next_bytes = (self.input.len() + READ_BYTES).min(header.total);
            arrival.pay(next_bytes).await.map_err(|_| Gone::NoMemory)?;
            self.fill_in_pace(&mut arrival).await?;
        }
        Ok(self.cut(header, Some(arrival.into_share())))
    }

    /// Reads once, unless the client sends too slowly.
    async fn fill_in_pace(&mut self, arrival: &mut Arrival) -> Result<(), Gone> {
        let before_bytes = self.input.len();
        let filled = {
            let mut fill = pin!(self.fill());
            let filled = poll_fn(|cx| match fill.as_mut().poll(cx) {
                Poll::Ready(filled) => Poll::Ready(Some(filled)),
                Poll::Pending => arrival.poll_lost(cx).map(|()| None),
            });
            filled.await
        };
        arrival.moved(self.input.len() - before_bytes);
        filled.unwrap_or(Err(Gone::Stalled))
    }

    fn cut(&mut self, header: Header, share: Option<Share>) -> Frame {
        if header.total <= SMALL_BODY_BYTES {
            // A frame that shares the buffer lives while its statement runs; reading ahead would
            // need a new buffer each time.
            let body = self.input.get(5..header.total).map(Bytes::copy_from_slice);
            self.input.advance(header.total.min(self.input.len()));
            return Frame { kind: header.kind, body: body.unwrap_or_default(), _share: share };
        }
        let mut body = self.take(header.total);
        let body = body.split_off(5.min(body.len()));
        Frame { kind: header.kind, body, _share: share }
    }

    /// Tells it the budget of its session, which pays for what its client has not read.
    pub(super) fn belongs_to(&mut self, session: &Budget) {
        self.session = Some(session.clone());
    }

    /// Writes what is gathered. A client that takes too little of it is left, at once if it holds
    /// memory that others wait for.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let Self { socket, out, session, .. } = self;
        let is_wanted = || {
            session.as_ref().is_some_and(|session| session.used_bytes() > 0 && session.is_pressed())
        };
        // The clock is only asked if the socket does not take something at once.
        let mut pace: Option<Pace> = None;
        let patience = self.write_stall_timeout;
        let mut left = out.bytes();
        while !left.is_empty() {
            let written = poll_fn(|cx| {
                if let Poll::Ready(written) = Pin::new(&mut *socket).poll_write(cx, left) {
                    return Poll::Ready(Some(written));
                }
                let pace = pace.get_or_insert_with(|| Pace::new(patience));
                pace.poll_lost(cx, is_wanted).map(|()| None)
            });
            let bytes = match written.await {
                Some(Ok(0)) | None => return Err(Gone::Stalled),
                Some(written) => written?,
            };
            if let Some(pace) = &mut pace {
                pace.moved(bytes);
            }
            left = left.get(bytes..).unwrap_or_default();
        }
        self.out.clear();
        // TLS keeps records back until it is told.
        match timeout(self.write_stall_timeout, self.socket.flush()).await {
            Ok(flushed) => Ok(flushed?),
            Err(_) => Err(Gone::Stalled),
        }
    }

    /// Writes if much is gathered: a client that does not read stops the statement here.
    pub(super) async fn flush_if_full(&mut self) -> Result<(), Gone> {
        if self.out.len() >= WRITE_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Says goodbye; errors do not matter any more.
    pub(super) async fn close(mut self) {
        if self.flush().await.is_ok() {
            let _gone = timeout(Duration::from_secs(1), self.socket.shutdown()).await;
        }
    }

    /// Runs a statement. Meanwhile messages are read ahead, so that a client that goes away is
    /// noticed, and the statement is ended by what [`Interrupted`] lists.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = T>,
        cancel: &Notify,
        deadline: Option<Instant>,
    ) -> Result<T, Interrupted> {
        let mut work = pin!(work);
        // Made before the work begins, so that no cancel is missed.
        let mut cancelled = pin!(cancel.notified());
        cancelled.as_mut().enable();
        let mut hang_up = self.ended.then(|| Instant::now() + HANG_UP_GRACE);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = &mut cancelled => return Err(Interrupted::Cancelled),
                () = until(deadline) => return Err(Interrupted::TimedOut),
                () = until(hang_up) => return Err(Interrupted::HungUp),
                read = self.fill(), if !self.ended && self.input.len() < READ_AHEAD_BYTES => {
                    match read {
                        Ok(()) => {}
                        Err(_) if self.ended => hang_up = Some(Instant::now() + HANG_UP_GRACE),
                        Err(_) => return Err(Interrupted::HungUp),
                    }
                }
            }
        }
    }
}

/// Completes at a time, or never.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
