//! Pins, which keep a log segment from being reused between the moment a delivery's address is
//! known and the moment its body has been read.

use std::sync::Arc;

/// A pin, held by everyone who has addresses to read; it is dropped once the bodies are in memory.
#[derive(Clone, Debug)]
pub struct Pin(#[allow(dead_code, reason = "its reference count is its purpose")] Arc<()>);

/// The pin that new deliveries get. It is replaced whenever segments are to be recycled: once
/// nobody holds the replaced one, nobody can know an address from before.
#[derive(Debug)]
pub(crate) struct Pins {
    current: Arc<()>,
}

/// A replaced pin; see [`OldPin::released`].
#[derive(Debug)]
pub(crate) struct OldPin(Arc<()>);

impl Pins {
    pub(crate) fn new() -> Self {
        Self { current: Arc::new(()) }
    }

    pub(crate) fn pin(&self) -> Pin {
        Pin(Arc::clone(&self.current))
    }

    /// Starts a new generation and returns the one that ends.
    pub(crate) fn turn(&mut self) -> OldPin {
        OldPin(std::mem::replace(&mut self.current, Arc::new(())))
    }
}

impl OldPin {
    /// Returns true if nobody holds a pin of this generation any more.
    pub(crate) fn released(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_released_when_its_last_pin_is_dropped() {
        let mut pins = Pins::new();
        let (early, also_early) = (pins.pin(), pins.pin());
        let old = pins.turn();
        let _late = pins.pin();
        assert!(!old.released());
        drop(early);
        assert!(!old.released());
        drop(also_early);
        assert!(old.released());
    }
}
