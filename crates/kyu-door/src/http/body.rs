//! Reading a request body: whole, at a minimum pace, within bounds, paid for as it arrives, and
//! without a copy when it came in one piece.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, Incoming};

use super::Rejection;
use crate::budget::{Arrival, Budget, Share, Terms};
use crate::limits::{Limits, SMALL_BODY_BYTES};

/// A body and its share of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Share,
}

/// Reads the whole body, and pays for it as it arrives.
pub(super) async fn read(
    body: Incoming,
    limits: &Limits,
    budget: &Budget,
) -> Result<Held, Rejection> {
    let max_bytes = limits.max_body_bytes;
    let announced_bytes = body.size_hint().exact();
    if announced_bytes.is_some_and(|announced| announced > max_bytes as u64) {
        return Err(Rejection::BodyTooLarge { max_bytes });
    }
    let terms = Terms {
        free_bytes: SMALL_BODY_BYTES,
        max_bytes,
        pace_patience: limits.body_timeout,
        room_patience: limits.body_room_timeout,
    };
    let announced_size = announced_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let mut arriving = Arriving {
        body,
        max_bytes,
        arrival: Arrival::new(budget, announced_size, terms),
        first: Bytes::new(),
        rest: BytesMut::new(),
    };
    if announced_bytes != Some(0) {
        while arriving.read().await? {}
    }
    let Arriving { arrival, first, rest, .. } = arriving;
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Held { bytes, _share: arrival.into_share() })
}

/// A body on its way.
struct Arriving {
    body: Incoming,
    max_bytes: usize,
    arrival: Arrival,
    /// The first piece, as long as it is the only one.
    first: Bytes,
    rest: BytesMut,
}

impl Arriving {
    /// Reads a piece; false at the end.
    async fn read(&mut self) -> Result<bool, Rejection> {
        let Some(frame) = self.next_frame().await? else { return Ok(false) };
        let Ok(data) = frame.into_data() else { return Ok(true) }; // trailers mean nothing to us
        let size_bytes = self.first.len() + self.rest.len() + data.len();
        if size_bytes > self.max_bytes {
            return Err(Rejection::BodyTooLarge { max_bytes: self.max_bytes });
        }
        self.arrival.pay(size_bytes).await.map_err(|_| Rejection::Busy)?;
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
        let Self { body, arrival, .. } = self;
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(Some(frame));
            }
            arrival.poll_lost(cx).map(|()| None)
        });
        match frame.await {
            Some(Some(Ok(frame))) => {
                arrival.moved(frame.data_ref().map_or(0, Bytes::len));
                Ok(Some(frame))
            }
            Some(Some(Err(_))) => Err(Rejection::BodyBroken),
            Some(None) => Ok(None),
            None => Err(Rejection::BodyTimeout),
        }
    }
}
