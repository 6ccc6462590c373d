//! Paying for a body or a message while it arrives.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;
use crate::{Budget, Exhausted, PRESSED_PATIENCE, Share};

/// A body up to this size, a largest message, is paid for at once when it has begun to arrive: if
/// many arrived side by side and each paid as it went, all could come to wait for one another.
const ORDINARY_BYTES: usize = 1 << 20;

/// The terms on which a protocol lets bodies arrive.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Bodies up to this size cost nothing: the bound of connections bounds them.
    pub free_bytes: usize,
    /// The largest body, for those whose size is not announced.
    pub max_bytes: usize,
    /// Longest time that a body arrives at less than 8 KiB/s, see [`Pace`].
    pub pace_patience: Duration,
    /// Longest wait for room in the budget.
    pub room_patience: Duration,
}

/// A body on its way, and its share of a budget. The share grows with what has arrived, not with
/// what was announced: somebody who announces much and sends nothing keeps nothing from others.
#[derive(Debug)]
pub struct Arrival {
    terms: Terms,
    announced_bytes: Option<usize>,
    share: Share,
    pace: Pace,
}

impl Arrival {
    /// A body of which nothing has been paid for. An announced size is at most
    /// [`Terms::max_bytes`]: larger ones must have been refused.
    pub fn new(budget: &Budget, announced_bytes: Option<usize>, terms: Terms) -> Self {
        let pace = Pace::new(terms.pace_patience);
        Self { terms, announced_bytes, share: budget.share(), pace }
    }

    /// Makes the share large enough for `size_bytes`, which have arrived or will be read next. While
    /// it waits for room its caller reads nothing, which slows its own client and nobody else.
    ///
    /// # Errors
    /// A budget had no room for longer than [`Terms::room_patience`].
    pub async fn pay(&mut self, size_bytes: usize) -> Result<(), Exhausted> {
        if size_bytes <= self.terms.free_bytes || size_bytes <= self.share.bytes() {
            return Ok(());
        }
        // The larger ones wait less: they hold much, and one of many is a rare thing.
        let patience = match size_bytes {
            ..=ORDINARY_BYTES => self.terms.room_patience,
            _ => self.terms.room_patience.min(PRESSED_PATIENCE),
        };
        let more_bytes = self.wanted_bytes(size_bytes) - self.share.bytes();
        self.share.grow_by(more_bytes, Instant::now() + patience).await?;
        // The time was not the client's.
        self.pace = Pace::new(self.terms.pace_patience);
        Ok(())
    }

    /// The bytes to pay for when `size_bytes` have arrived: at least those.
    fn wanted_bytes(&self, size_bytes: usize) -> usize {
        let most = self.announced_bytes.unwrap_or(self.terms.max_bytes);
        let ahead = match (size_bytes, self.announced_bytes) {
            (..=ORDINARY_BYTES, Some(announced)) => announced.min(ORDINARY_BYTES),
            _ => size_bytes.saturating_mul(2),
        };
        ahead.min(most).max(size_bytes)
    }

    /// Notes that so many bytes have come.
    pub fn moved(&mut self, bytes: usize) {
        self.pace.moved(bytes);
    }

    /// Completes when the client sends too slowly; asked whenever nothing has come.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { pace, share, .. } = self;
        pace.poll_lost(cx, || share.is_pressed())
    }

    /// The share of a body that is there as a whole.
    pub fn into_share(self) -> Share {
        self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    const MIB: usize = 1 << 20;

    fn terms() -> Terms {
        Terms {
            free_bytes: 16 << 10,
            max_bytes: 64 * MIB,
            pace_patience: Duration::from_secs(30),
            room_patience: Duration::from_secs(10),
        }
    }

    #[tokio::test]
    async fn an_announced_body_costs_nothing_until_it_arrives() {
        let port = Budget::process(256 * MIB);
        let mut all: Vec<_> =
            (0..64).map(|_| Arrival::new(&port, Some(64 * MIB), terms())).collect();
        for arrival in &mut all {
            arrival.pay(terms().free_bytes).await.unwrap();
        }
        assert_eq!(port.used_bytes(), 0);
        // More than a little: that of an ordinary message.
        all[0].pay(terms().free_bytes + 1).await.unwrap();
        assert_eq!(port.used_bytes(), MIB);
        // A large one doubles.
        all[0].pay(MIB + 1).await.unwrap();
        assert_eq!(port.used_bytes(), 2 * MIB + 2);
        all[0].pay(40 * MIB).await.unwrap();
        assert_eq!(port.used_bytes(), 64 * MIB);
    }

    #[tokio::test(start_paused = true)]
    async fn ordinary_bodies_wait_longer_for_room_than_large_ones() {
        let port = Budget::process(4 * MIB).within(Level::Door, 2 * MIB);
        let _held = {
            let mut share = port.share();
            share.grow(2 * MIB).unwrap();
            share
        };
        for (size, expected) in [(MIB, terms().room_patience), (MIB + 1, PRESSED_PATIENCE)] {
            let began = Instant::now();
            let mut arrival = Arrival::new(&port, Some(size), terms());
            assert_eq!(arrival.pay(size).await.unwrap_err().level, Level::Door);
            let waited = began.elapsed();
            assert!((expected..expected + PRESSED_PATIENCE).contains(&waited), "{waited:?}");
        }
    }
}
