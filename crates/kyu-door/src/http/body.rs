//! Reading a request body: whole, at a minimum pace, within bounds, paid for as it arrives, and
//! without a copy when it came in one piece.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};
use tokio::time::Instant;

use super::Rejection;
use super::pace::Pace;
use crate::budget::{Budget, PRESSED_PATIENCE, Share};
use crate::limits::{Limits, SMALL_BODY_BYTES};

/// A body up to this size, a largest message, is paid for at once when it has begun to arrive: if
/// many arrived side by side and each paid as it went, all could come to wait for one another.
const ORDINARY_BYTES: usize = 1 << 20;

/// A body and its share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Share,
}

/// Reads the whole body. What it takes of `budget` grows with what has arrived, not with what was
/// announced: somebody who announces much and sends nothing keeps nothing from others.
pub(super) async fn read(
    body: Incoming,
    limits: &Limits,
    budget: &Budget,
) -> Result<Held, Rejection> {
    let announced_bytes = body.size_hint().exact();
    let mut arriving = Arriving {
        body,
        announced_bytes: announced_bytes.and_then(|bytes| usize::try_from(bytes).ok()),
        limits,
        share: budget.share(),
        first: Bytes::new(),
        rest: BytesMut::new(),
        pace: Pace::new(limits.body_timeout),
    };
    match announced_bytes {
        Some(0) => {}
        Some(announced) if announced > limits.max_body_bytes as u64 => {
            return Err(Rejection::BodyTooLarge { max_bytes: limits.max_body_bytes });
        }
        _ => while arriving.read().await? {},
    }
    let Arriving { share, first, rest, .. } = arriving;
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Held { bytes, _share: share })
}

/// A body on its way.
struct Arriving<'a> {
    body: Incoming,
    announced_bytes: Option<usize>,
    limits: &'a Limits,
    share: Share,
    /// The first piece, as long as it is the only one.
    first: Bytes,
    rest: BytesMut,
    pace: Pace,
}

impl Arriving<'_> {
    /// Reads a piece; false at the end.
    async fn read(&mut self) -> Result<bool, Rejection> {
        let Some(frame) = self.next_frame().await? else { return Ok(false) };
        let Ok(data) = frame.into_data() else { return Ok(true) }; // trailers mean nothing to us
        let size_bytes = self.first.len() + self.rest.len() + data.len();
        if size_bytes > self.limits.max_body_bytes {
            return Err(Rejection::BodyTooLarge { max_bytes: self.limits.max_body_bytes });
        }
        self.pay(size_bytes).await?;
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
            return Ok(true);
        }
        if !self.first.is_empty() {
            self.rest.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.rest.extend_from_slice(&data);
        Ok(true)
    }

    /// The next piece, unless the client is too slow.
    async fn next_frame(&mut self) -> Result<Option<Frame<Bytes>>, Rejection> {
        let Self { body, pace, share, .. } = self;
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(Some(frame));
            }
            pace.poll_lost(cx, || share.is_pressed()).map(|()| None)
        });
        match frame.await {
            Some(Some(Ok(frame))) => {
                pace.moved(frame.data_ref().map_or(0, Bytes::len));
                Ok(Some(frame))
            }
            Some(Some(Err(_))) => Err(Rejection::BodyBroken),
            Some(None) => Ok(None),
            None => Err(Rejection::BodyTimeout),
        }
    }

    /// Makes the share large enough for `size_bytes`. While it waits for room nothing is read, which
    /// slows its own client and nobody else.
    async fn pay(&mut self, size_bytes: usize) -> Result<(), Rejection> {
        if size_bytes <= SMALL_BODY_BYTES || size_bytes <= self.share.bytes() {
            return Ok(());
        }
        let wanted_bytes = self.wanted_bytes(size_bytes);
        // The larger ones wait less: they hold much, and one of many is a rare thing.
        let patience = match size_bytes {
            ..=ORDINARY_BYTES => self.limits.body_room_timeout,
            _ => self.limits.body_room_timeout.min(PRESSED_PATIENCE),
        };
        let more_bytes = wanted_bytes - self.share.bytes();
        let paid = self.share.grow_by(more_bytes, Instant::now() + patience).await;
        paid.map_err(|_| Rejection::Busy)?;
        // The time was not the client's.
        self.pace = Pace::new(self.limits.body_timeout);
        Ok(())
    }

    /// What to pay for when `size_bytes` have arrived: at least that.
    fn wanted_bytes(&self, size_bytes: usize) -> usize {
        let most = self.announced_bytes.unwrap_or(self.limits.max_body_bytes);
        let ahead = match (size_bytes, self.announced_bytes) {
            (..=ORDINARY_BYTES, Some(announced)) => announced.min(ORDINARY_BYTES),
            _ => size_bytes.saturating_mul(2),
        };
        ahead.min(most).max(size_bytes)
    }
}
