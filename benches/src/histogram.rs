//! A latency histogram with a bounded relative error, in the manner of HdrHistogram.
//!
//! Values up to [`SUB_BUCKETS`] are exact; above, each power of two is cut into [`SUB_BUCKETS`]
//! equal parts, so a reported value is at most 1/128 (0.8 %) above the recorded one.

const SUB_BUCKET_BITS: u32 = 7;
const SUB_BUCKETS: u64 = 1 << SUB_BUCKET_BITS;
/// Enough buckets for every `u64`.
const BUCKETS: usize = ((64 - SUB_BUCKET_BITS as usize) + 1) << SUB_BUCKET_BITS;

/// Counts of values in log-linear buckets; recording is a few instructions and never allocates.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket_of(value)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// How many values were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.total
    }

    /// The largest value, exact.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share `quantile` (0..=1) of the recorded values does not exceed; 0 if empty.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        let wanted = ((quantile * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return highest_in(bucket).min(self.max);
            }
        }
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SUB_BUCKETS {
        return value as usize;
    }
    // `shift` leaves the value's 8 leading bits, of which the first is always 1.
    let shift = 63 - value.leading_zeros() - SUB_BUCKET_BITS;
    let sub_bucket = (value >> shift) - SUB_BUCKETS;
    ((u64::from(shift) + 1) * SUB_BUCKETS + sub_bucket) as usize
}

fn highest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB_BUCKETS {
        return bucket;
    }
    let shift = bucket / SUB_BUCKETS - 1;
    let lowest = (bucket % SUB_BUCKETS + SUB_BUCKETS) << shift;
    lowest + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|value| histogram.record(value));
        assert_eq!(histogram.quantile(0.5), 50);
        assert_eq!(histogram.quantile(0.99), 99);
        assert_eq!((histogram.max(), histogram.count()), (100, 100));
    }

    #[test]
    fn every_value_falls_in_a_bucket_that_holds_it_within_the_stated_error() {
        let mut value = 1u64;
        while value < u64::MAX / 3 {
            for candidate in [value - 1, value, value + 1, value + value / 3] {
                let top = highest_in(bucket_of(candidate));
                assert!(top >= candidate, "{candidate} above its bucket's top {top}");
                assert!(top - candidate <= candidate / SUB_BUCKETS, "{candidate} {top}");
            }
            value *= 2;
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
        assert_eq!(highest_in(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }
}
