//! Pseudo-random seeds for commands: the engine's only source of randomness.

/// SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixing function, so that seeds of one
/// run never repeat within 2^64 commands.
#[derive(Debug)]
pub(crate) struct Seeds {
    state: u64,
}

impl Seeds {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        // First outputs for seed 0 of the reference implementation, splitmix64.c.
        let mut seeds = Seeds::new(0);
        assert_eq!(seeds.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(seeds.next(), 0x6e78_9e6a_a1b9_65f4);
    }
}
