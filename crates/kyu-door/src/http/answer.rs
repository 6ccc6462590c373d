//! The body of an answer, with its share of the budget.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::budget::Share;

/// The size that hyper is given at a time: it takes the next piece when most of the last one is
/// written, so that the end of the body is near the end of its writing.
const PIECE_BYTES: usize = 64 << 10;

/// A body in memory that gives its share back when it has been written, or when its connection ends.
pub(super) struct Paid {
    left: Bytes,
    share: Option<Share>,
}

impl Paid {
    /// Takes the body of a response apart, which is in memory as a whole.
    pub(super) fn new(mut body: Full<Bytes>, share: impl FnOnce(usize) -> Option<Share>) -> Self {
        let mut context = Context::from_waker(std::task::Waker::noop());
        let left = match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Poll::Ready(Some(Err(never))) => match never {},
            Poll::Ready(None) | Poll::Pending => Bytes::new(),
        };
        let share = share(left.len());
        Self { left, share }
    }
}

impl Body for Paid {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            self.share = None;
            return Poll::Ready(None);
        }
        let most = if self.share.is_some() { PIECE_BYTES } else { usize::MAX };
        let bytes = self.left.len().min(most);
        let piece = self.left.split_to(bytes);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Of a body with a share only once it has been asked for what is no more there: till then the
    /// last piece is being written.
    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.share.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
