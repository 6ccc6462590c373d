//! A minimum pace for bodies that arrive and answers that are read.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::PRESSED_PATIENCE;

/// The least that must move in [`PRESSED_PATIENCE`], or the peer counts as standing still: 8 KiB/s,
/// below any network that people work over.
const MIN_BYTES: usize = 16 << 10;
/// The same while others wait for the memory that is held: 512 KiB/s.
const MIN_PRESSED_BYTES: usize = 1 << 20;

/// A watch over one transfer that has come to wait. It begins with the first wait.
#[derive(Debug)]
pub struct Pace {
    /// Longest time below the minimum pace.
    patience: Duration,
    /// The time at which the pace was kept last.
    kept_at: Instant,
    /// Since the last look.
    moved_bytes: usize,
    look: Pin<Box<Sleep>>,
}

impl Pace {
    /// A transfer that may be below 8 KiB/s for `patience`, and below 512 KiB/s for
    /// [`PRESSED_PATIENCE`] while others wait for the memory that it holds.
    pub fn new(patience: Duration) -> Self {
        let look = Box::pin(sleep(patience.min(PRESSED_PATIENCE)));
        Self { patience, kept_at: Instant::now(), moved_bytes: 0, look }
    }

    /// Notes that so many bytes have moved.
    pub fn moved(&mut self, bytes: usize) {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes);
    }

    /// Completes when the transfer is too slow; `is_pressed` tells whether others wait for it.
    pub fn poll_lost(&mut self, cx: &mut Context<'_>, is_pressed: impl Fn() -> bool) -> Poll<()> {
        while self.look.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let pressed = is_pressed();
            let least = if pressed { MIN_PRESSED_BYTES } else { MIN_BYTES };
            if self.moved_bytes >= least {
                self.kept_at = now;
            } else if pressed || now.duration_since(self.kept_at) >= self.patience {
                return Poll::Ready(());
            }
            self.moved_bytes = 0;
            let left = (self.kept_at + self.patience).saturating_duration_since(now);
            let next = left.clamp(Duration::from_millis(1), PRESSED_PATIENCE);
            self.look.as_mut().reset(now + next);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Returns the time for which a transfer goes on that moves so many bytes each second.
    async fn lasts(bytes_per_s: usize, pressed: bool) -> Duration {
        let began = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        while began.elapsed() < 4 * PATIENCE {
            pace.moved(bytes_per_s);
            let lost = poll_fn(|cx| pace.poll_lost(cx, || pressed));
            if tokio::time::timeout(Duration::from_secs(1), lost).await.is_ok() {
                break;
            }
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_stands_still_or_trickles_is_given_up() {
        for bytes_per_s in [0, 1, 4_000] {
            let lasted = lasts(bytes_per_s, false).await;
            assert!((PATIENCE..PATIENCE + PRESSED_PATIENCE).contains(&lasted), "{lasted:?}");
            assert!(lasts(bytes_per_s, true).await <= PRESSED_PATIENCE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_network_is_waited_for_until_others_need_the_memory() {
        assert!(lasts(10_000, false).await >= 4 * PATIENCE);
        assert!(lasts(10_000, true).await <= PRESSED_PATIENCE);
        assert!(lasts(600_000, true).await >= 4 * PATIENCE);
    }
}
