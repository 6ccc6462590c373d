//! Reading a request body: whole, in time, within bounds, and without a copy when it came in one
//! piece.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Rejection;
use crate::limits::{Limits, SMALL_BODY_BYTES};

/// The unit of the large-body budget.
const BUDGET_UNIT_BYTES: usize = 1024;

/// Memory for large bodies, shared by all connections of a port.
pub(super) struct Budget(Semaphore);

/// A body and its share of the budget, given back when dropped.
pub(super) struct Held<'a> {
    pub(super) bytes: Bytes,
    _share: Option<SemaphorePermit<'a>>,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        // At least one largest body, or it could never be read.
        let bytes = limits.large_body_budget_bytes.max(limits.max_body_bytes);
        Self(Semaphore::new(bytes.div_ceil(BUDGET_UNIT_BYTES).min(Semaphore::MAX_PERMITS)))
    }

    /// Reads the whole body. Memory grows with what has arrived, not with what was announced.
    pub(super) async fn read(
        &self,
        body: Incoming,
        limits: &Limits,
    ) -> Result<Held<'_>, Rejection> {
        let announced_bytes = body.size_hint().exact();
        if announced_bytes == Some(0) {
            return Ok(Held { bytes: Bytes::new(), _share: None });
        }
        if announced_bytes.is_some_and(|bytes| bytes > limits.max_body_bytes as u64) {
            return Err(Rejection::BodyTooLarge { max_bytes: limits.max_body_bytes });
        }
        let mut share = None;
        let read = self.read_untimed(body, announced_bytes, limits, &mut share);
        match tokio::time::timeout(limits.body_timeout, read).await {
            Ok(bytes) => Ok(Held { bytes: bytes?, _share: share }),
            // Whether the client or the budget kept us waiting.
            Err(_) if share.is_none() && announced_bytes.is_some_and(is_large) => {
                Err(Rejection::Busy)
            }
            Err(_) => Err(Rejection::BodyTimeout),
        }
    }

    async fn read_untimed<'a>(
        &'a self,
        mut body: Incoming,
        announced_bytes: Option<u64>,
        limits: &Limits,
        share: &mut Option<SemaphorePermit<'a>>,
    ) -> Result<Bytes, Rejection> {
        if announced_bytes.is_some_and(is_large) {
            *share = Some(self.take(announced_bytes, limits).await?);
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Err(Rejection::BodyBroken) };
            let Ok(data) = frame.into_data() else { continue }; // trailers mean nothing to us
            let size_bytes = first.len() + rest.len() + data.len();
            if size_bytes > limits.max_body_bytes {
                return Err(Rejection::BodyTooLarge { max_bytes: limits.max_body_bytes });
            }
            if share.is_none() && size_bytes > SMALL_BODY_BYTES {
                *share = Some(self.take(announced_bytes, limits).await?);
            }
            if first.is_empty() && rest.is_empty() {
                first = data;
                continue;
            }
            if !first.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }

    /// Takes the share of a body; one of unknown size counts as a largest one.
    async fn take(
        &self,
        announced_bytes: Option<u64>,
        limits: &Limits,
    ) -> Result<SemaphorePermit<'_>, Rejection> {
        let bytes = announced_bytes.unwrap_or(limits.max_body_bytes as u64);
        let units = u32::try_from(bytes.div_ceil(BUDGET_UNIT_BYTES as u64)).unwrap_or(u32::MAX);
        self.0.acquire_many(units).await.map_err(|_| Rejection::Busy)
    }
}

fn is_large(bytes: u64) -> bool {
    bytes > SMALL_BODY_BYTES as u64
}
