//! A token bucket that is one instant: the time at which it will be full again (the virtual scheduling form of the
//! leaky bucket, ITU-T I.371). Nothing ticks; many buckets of one rate share its two durations.

use std::time::{Duration, Instant};

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Between two tokens.
    interval: Duration,
    /// How far ahead of the clock the level may run: the burst but for one token.
    ahead_max: Duration,
}

/// When a bucket will be full again; `None` is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Level(Option<Instant>);

impl Rate {
    /// `a_second` tokens a second, of which `burst` may be taken at once. Of neither fewer than one.
    pub(super) fn per_second(a_second: u32, burst: u32) -> Self {
        Self::over(Duration::from_secs(1), a_second, burst)
    }

    /// `tokens` in each `time`, of which `burst` may be taken at once. Of neither fewer than one.
    pub(super) fn over(time: Duration, tokens: u32, burst: u32) -> Self {
        let interval = time / tokens.max(1);
        Self { interval, ahead_max: interval * (burst.max(1) - 1) }
    }

    /// Whether there is a token at `now`.
    pub(super) fn has(self, level: Level, now: Instant) -> bool {
        level.0.is_none_or(|full_at| full_at <= now + self.ahead_max)
    }

    /// Takes a token, even one that is not there: then the bucket owes it.
    pub(super) fn take(self, level: &mut Level, now: Instant) {
        let from = level.0.map_or(now, |full_at| full_at.max(now));
        level.0 = Some(from + self.interval);
    }

    /// Takes a token if there is one.
    pub(super) fn try_take(self, level: &mut Level, now: Instant) -> bool {
        let has = self.has(*level, now);
        if has {
            self.take(level, now);
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    /// Tokens taken by one who tries every `step` for `time`.
    fn taken(rate: Rate, level: &mut Level, from: Instant, time: Duration, step: Duration) -> u32 {
        let tries = (0..).map(|number| from + step * number).take_while(|at| *at < from + time);
        tries.map(|at| u32::from(rate.try_take(level, at))).sum()
    }

    #[test]
    fn a_burst_then_the_rate_and_after_a_rest_the_burst_again() {
        let (rate, mut level) = (Rate::per_second(100, 20), Level::default());
        let start = Clock::system().instant();
        let (second, step) = (Duration::from_secs(1), Duration::from_millis(1));
        assert_eq!(taken(rate, &mut level, start, step, Duration::from_nanos(1000)), 20, "at once");
        assert_eq!(taken(rate, &mut level, start + step, second * 10, step), 1000);
        assert_eq!(taken(rate, &mut level, start + second * 100, step, Duration::from_nanos(1000)), 20);
    }

    #[test]
    fn what_is_owed_is_paid_before_anything_is_given() {
        let (rate, mut level) = (Rate::per_second(10, 1), Level::default());
        let start = Clock::system().instant();
        for _ in 0..30 {
            rate.take(&mut level, start);
        }
        assert!(!rate.has(level, start + Duration::from_millis(2_999)));
        assert!(rate.has(level, start + Duration::from_millis(3_000)));
    }
}
