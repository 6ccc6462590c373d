//! The trace of a run, as text and as one number: two runs of a seed must agree on every byte of
//! it.

use std::fmt::{self, Write};

/// A record of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    hash: Fnv,
    /// The lines, if they are kept.
    pub lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keep_lines: bool) -> Self {
        Self { hash: Fnv::default(), lines: keep_lines.then(Vec::new) }
    }

    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing into a hash cannot fail.
        let _hashed = self.hash.write_fmt(line);
        if let Some(lines) = &mut self.lines {
            lines.push(line.to_string());
        }
    }

    /// Equal for equal traces.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }
}

/// FNV-1a.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}
