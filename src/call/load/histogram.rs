//! Durations in buckets of fixed relative width: percentiles of millions of them in a few KiB.

use std::time::Duration;

/// Buckets in each doubling: an error of 1/64 at most.
const PARTS: u64 = 64;
/// Doublings above the first [`PARTS`] microseconds: up to over an hour.
const DOUBLINGS: usize = 27;
const BUCKETS: usize = 64 * (DOUBLINGS + 1);

/// How long things took.
#[derive(Debug, Clone)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), count: 0, longest: Duration::ZERO }
    }
}

fn bucket(duration: Duration) -> usize {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    // Below 64 µs every microsecond has a bucket; above, every doubling has 64 of them.
    let doubling = (us / PARTS).checked_ilog2().map_or(0, |log| log + 1);
    let within = if doubling == 0 { us } else { (us >> (doubling - 1)) - PARTS };
    let index = u64::from(doubling) * PARTS + within;
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The longest duration of a bucket.
fn end_of(bucket: usize) -> Duration {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let (doubling, within) = (bucket / PARTS, bucket % PARTS);
    let us = if doubling == 0 { within } else { ((PARTS + within + 1) << (doubling - 1)) - 1 };
    Duration::from_micros(us)
}

impl Histogram {
    /// Counts one.
    pub fn count(&mut self, duration: Duration) {
        if let Some(bucket) = self.buckets.get_mut(bucket(duration)) {
            *bucket += 1;
        }
        self.count += 1;
        self.longest = self.longest.max(duration);
    }

    /// How many were counted.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The longest, exactly.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// What so many of a hundred took at most, to within 1/64; zero where none was counted.
    pub fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut counted = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            counted += count;
            if counted >= wanted {
                return end_of(index).min(self.longest);
            }
        }
        self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_a_thousand() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.percentile(50), histogram.is_empty()), (Duration::ZERO, true));
        for ms in 1..=1000 {
            histogram.count(Duration::from_millis(ms));
        }
        for (percent, ms) in [(50, 500.0), (90, 900.0), (99, 990.0)] {
            let found = histogram.percentile(percent).as_secs_f64() * 1000.0;
            assert!((ms..=ms * (1.0 + 1.0 / 64.0)).contains(&found), "{percent}: {found}");
        }
        assert_eq!((histogram.percentile(100), histogram.len()), (Duration::from_secs(1), 1000));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_is_counted_in_it(us in 0..3_600_000_000_u64) {
            let duration = Duration::from_micros(us);
            let end = end_of(bucket(duration));
            prop_assert!(end >= duration && end.as_secs_f64() <= duration.as_secs_f64() * (1.0 + 1.0 / 64.0) + 1e-9);
            prop_assert!(bucket(end) == bucket(duration) && (us == 0 || bucket(duration) >= bucket(Duration::from_micros(us - 1))));
        }
    }
}
