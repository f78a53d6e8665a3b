//! When reports are due (RFC 3550 §6.2, §6.3), and how far away the peer is.

use super::NtpTimestamp;
use super::packet::ReportBlock;
use std::time::{Duration, Instant};

/// Between two reports, on the average: the minimum of RFC 3550 §6.2, which two parties of one call never exceed.
const INTERVAL: Duration = Duration::from_secs(5);
/// A round trip beyond this is a mistake of the peer's.
const MAX_ROUND_TRIP_MS: u32 = 10_000;

/// The clock of one session's reports.
#[derive(Debug, Clone)]
pub struct Timing {
    began: Instant,
    next: Instant,
    /// Of the generator that spreads the intervals.
    random: u32,
    round_trip_ms: Option<u32>,
}

impl Timing {
    /// Begins now. `seed` is random, so that the reports of calls that begin together do not stay together.
    pub fn new(now: Instant, seed: u32) -> Self {
        let mut timing = Self { began: now, next: now, random: seed | 1, round_trip_ms: None };
        // The first report comes after half the interval (§6.2).
        timing.next = now + timing.spread(INTERVAL / 2);
        timing
    }

    /// Whether a report is due; then the next one is arranged for.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + self.spread(INTERVAL);
        }
        due
    }

    /// Now, as a report says it.
    pub fn ntp(&self, now: Instant) -> NtpTimestamp {
        NtpTimestamp::after(now.saturating_duration_since(self.began))
    }

    /// The peer reports of our stream: how long our report took to it and its report to us, without the time that it
    /// kept it (§6.4.1).
    pub fn block(&mut self, now: Instant, block: &ReportBlock) {
        if block.last_sender_report == 0 {
            return;
        }
        let arrived = self.ntp(now).middle();
        let span = arrived.wrapping_sub(block.last_sender_report).wrapping_sub(block.delay_since);
        // A peer whose clock runs faster can have kept it longer than it was away.
        let ms = super::middle_to_ms(if span.cast_signed() < 0 { 0 } else { span });
        if ms <= MAX_ROUND_TRIP_MS {
            self.round_trip_ms = Some(ms);
        }
    }

    /// There and back, ms, as last measured.
    pub const fn round_trip_ms(&self) -> Option<u32> {
        self.round_trip_ms
    }

    /// Half to one and a half times `interval` (§6.3.1).
    fn spread(&mut self, interval: Duration) -> Duration {
        // Numerical Recipes' generator: nothing depends on more than that calls differ.
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        interval / 2 + interval.mul_f64(f64::from(self.random) / f64::from(u32::MAX))
    }
}
