//! What one core can copy and checksum: the floor under everything the log does to a body.

use std::hint::black_box;
use std::time::Instant;

use super::{Limit, MEASURE};
use crate::histogram::Histogram;

/// A body as the other workloads send it.
const BODY_BYTES: usize = 1 << 10;
/// Larger than the caches, like a log that is never read back.
const RING_BYTES: usize = 256 << 20;
/// Operations between two looks at the clock.
const PER_LOOK: u64 = 1024;

pub(super) fn measure() -> Vec<Limit> {
    let body = vec![0x5a_u8; BODY_BYTES];
    let mut ring = vec![0_u8; RING_BYTES];
    let mut chunks = 0;
    let copy = repeat("copy 1 KiB to memory outside the caches", || {
        let start = chunks * BODY_BYTES % RING_BYTES;
        if let Some(place) = ring.get_mut(start..start + BODY_BYTES) {
            place.copy_from_slice(black_box(&body));
        }
        chunks += 1;
    });
    black_box(&ring);
    let mut chained = 0;
    let checksum = repeat("CRC-32C of 1 KiB", || {
        chained = crc32c::crc32c_append(chained, black_box(&body));
    });
    black_box(chained);
    vec![copy, checksum]
}

fn repeat(name: &str, mut operation: impl FnMut()) -> Limit {
    let mut histogram = Histogram::default();
    let began = Instant::now();
    let mut before = began;
    while before.duration_since(began) < MEASURE {
        (0..PER_LOOK).for_each(|_| operation());
        let after = Instant::now();
        histogram.record(after.duration_since(before).as_nanos() as u64 / PER_LOOK);
        before = after;
    }
    let operations = histogram.count() * PER_LOOK;
    let per_second = operations as f64 / before.duration_since(began).as_secs_f64();
    Limit {
        name: name.to_owned(),
        per_second,
        bytes_per_second: per_second * BODY_BYTES as f64,
        p50_nanos: histogram.quantile(0.5),
        p99_nanos: histogram.quantile(0.99),
    }
}
