//! How long to wait after a failure (RFC 5626 §4.5), and when to refresh a binding.

use std::time::Duration;

/// The first upper bound after a failure; it doubles with each further one. RFC 5626 §4.5 has 30 s.
const BASE: Duration = Duration::from_secs(30);
/// The longest upper bound (RFC 5626 §4.5).
const MAX: Duration = Duration::from_secs(1800);
/// The same for a refusal that only a person can mend, such as a wrong password: asked seldom, no account is locked.
const REFUSED_BASE: Duration = Duration::from_secs(300);
const REFUSED_MAX: Duration = Duration::from_secs(3600);
/// A Retry-After is followed up to so much.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// A binding of more than this is refreshed so long before its end …
const LONG: Duration = Duration::from_secs(1200);
const LONG_MARGIN: Duration = Duration::from_secs(600);

/// Of what kind a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may be over by itself: no answer, 5xx, no address.
    Passing,
    /// Only a person can mend it: wrong password, unknown user.
    Refused,
}

/// The wait after the `nth` failure in a row, 1 for the first: between half the upper bound and all of it, by
/// `random` (RFC 5626 §4.5), and not less than `retry_after`.
pub(super) fn wait(failure: Failure, nth: u32, retry_after: Option<Duration>, random: u64) -> Duration {
    let (base, max) = match failure {
        Failure::Passing => (BASE, MAX),
        Failure::Refused => (REFUSED_BASE, REFUSED_MAX),
    };
    let bound = base.saturating_mul(1 << nth.saturating_sub(1).min(16)).min(max);
    match retry_after {
        // The peer has said when. A tenth more spreads those who were told the same.
        Some(after) => spread(after.min(RETRY_AFTER_MAX), after.min(RETRY_AFTER_MAX) / 10, random),
        None => spread(bound / 2, bound / 2, random),
    }
}

/// Between `least` and `least + more`.
fn spread(least: Duration, more: Duration, random: u64) -> Duration {
    let more_ms = u64::try_from(more.as_millis()).unwrap_or(u64::MAX);
    least + Duration::from_millis(random % more_ms.saturating_add(1))
}

/// When a binding is refreshed, after it was made: 600 s before its end where that is long, else half way, so that a
/// refresh that fails can be tried again in time (as 3GPP TS 24.229 §5.1.1.4.1 has it).
pub(super) fn refresh_after(expires: Duration) -> Duration {
    if expires > LONG { expires - LONG_MARGIN } else { expires / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn the_wait_doubles_up_to_a_bound_and_is_spread_over_its_upper_half() {
        for (nth, bound) in [(1, 30), (2, 60), (3, 120), (7, 1800), (40, 1800)] {
            assert_eq!(wait(Failure::Passing, nth, None, 0), s(bound) / 2);
            let drawn: Vec<_> = (0..1000).map(|n| wait(Failure::Passing, nth, None, n * 7919)).collect();
            assert!(drawn.iter().all(|wait| (s(bound) / 2..=s(bound)).contains(wait)));
            assert!(drawn.iter().min() < drawn.iter().max());
        }
        assert!(wait(Failure::Refused, 1, None, 0) >= s(150));
        assert_eq!(wait(Failure::Refused, 9, None, 0), s(1800));
    }

    #[test]
    fn retry_after_is_kept_and_bounded() {
        for random in [0, 1, u64::MAX] {
            let wait = |after| wait(Failure::Passing, 5, Some(s(after)), random);
            assert!((s(20)..=s(22)).contains(&wait(20)));
            assert!((s(3600)..=s(3960)).contains(&wait(1_000_000)));
        }
    }

    #[test]
    fn a_refresh_comes_in_time() {
        assert_eq!(refresh_after(s(3600)), s(3000));
        assert_eq!(refresh_after(s(1200)), s(600));
        assert_eq!(refresh_after(s(60)), s(30));
    }
}
