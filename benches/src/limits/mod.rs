//! What the machine itself can do, measured in the same run: the frame every other number hangs in.

mod disk;
pub(crate) mod echo;
mod memory;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::Error;

/// Time for each limit.
const MEASURE: Duration = Duration::from_secs(1);

/// One raw limit.
#[derive(Serialize)]
pub(crate) struct Limit {
    /// What was measured.
    pub name: String,
    /// Operations a second.
    pub per_second: f64,
    /// Bytes a second, where bytes move.
    pub bytes_per_second: f64,
    /// Median latency of one operation in nanoseconds.
    pub p50_nanos: u64,
    /// 99th percentile in nanoseconds.
    pub p99_nanos: u64,
}

/// Measures disk and memory; files go to `directory` and are deleted.
pub(crate) fn measure(directory: &Path) -> Result<Vec<Limit>, Error> {
    let mut limits = disk::measure(directory)?;
    limits.extend(memory::measure());
    Ok(limits)
}
