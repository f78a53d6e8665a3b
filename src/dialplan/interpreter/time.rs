//! The time of the dialogue, which stands still while it is frozen.
//!
//! The interpreter reckons in it throughout, so that whatever was left of any of its times when it froze is left when it
//! thaws. Instants of the outside are turned into it where they come in, and back where a deadline goes out.

use std::time::{Duration, Instant};

/// How the dialogue's time stands to that of the outside.
#[derive(Debug, Default)]
pub(super) struct Time {
    /// The sum of the freezes that are over.
    stood: Duration,
    /// The last freeze: when it began, by the outside, and when it was over, unless it lasts.
    last: Option<(Instant, Option<Instant>)>,
}

impl Time {
    pub(super) fn freeze(&mut self, now: Instant) {
        if !self.is_frozen() {
            self.last = Some((now, None));
        }
    }

    pub(super) fn thaw(&mut self, now: Instant) {
        if let Some((since, until @ None)) = &mut self.last {
            self.stood += now.saturating_duration_since(*since);
            *until = Some(now.max(*since));
        }
    }

    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.last, Some((_, None)))
    }

    /// The dialogue's time at an instant of the outside, which may lie within or before the last freeze: a key's report
    /// may come late.
    pub(super) fn of(&self, instant: Instant) -> Instant {
        let (instant, stood) = match self.last {
            Some((since, None)) => (instant.min(since), self.stood),
            Some((since, Some(until))) if instant < until => {
                (instant.min(since), self.stood - (until - since))
            }
            _ => (instant, self.stood),
        };
        instant.checked_sub(stood).unwrap_or(instant)
    }

    /// When the dialogue's `instant` will be, by the outside; `None` while it stands still.
    pub(super) fn outside(&self, instant: Instant) -> Option<Instant> {
        (!self.is_frozen()).then(|| instant + self.stood)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    #[test]
    fn an_instant_of_any_side_of_a_freeze_is_turned_right() {
        let start = Clock::system().instant() + Duration::from_secs(1_000);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut time = Time::default();
        assert_eq!(time.of(at(5)), at(5));
        time.freeze(at(10));
        time.freeze(at(12));
        assert_eq!([7, 10, 15].map(|seconds| time.of(at(seconds))), [7, 10, 10].map(at));
        assert_eq!(time.outside(at(20)), None);
        time.thaw(at(40));
        time.thaw(at(50));
        assert_eq!([7, 10, 15, 40, 41].map(|seconds| time.of(at(seconds))), [7, 10, 10, 10, 11].map(at));
        assert_eq!(time.outside(at(11)), Some(at(41)));
        time.freeze(at(50));
        time.thaw(at(55));
        assert_eq!([45, 52, 60].map(|seconds| time.of(at(seconds))), [15, 20, 25].map(at));
    }
}
