//! The only reader of time and of the system's randomness. Everything else is handed `now` and seeds as
//! arguments, so that a test runs in virtual time and a seed replays a failure. `clippy.toml` bans the
//! ambient clocks elsewhere.

use jiff::Timestamp;
use std::time::{Duration, Instant};

/// A reading of both clocks: the monotonic one that timers use and the wall clock that bills use.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Monotonic.
    pub instant: Instant,
    /// UTC.
    pub wall: Timestamp,
}

/// Where time is read from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// Added to the wall clock; zero but in tests that stand at a month's end.
    offset: Duration,
}

impl Clock {
    /// The system's clocks.
    pub const fn system() -> Self {
        Self { offset: Duration::ZERO }
    }

    /// The monotonic clock.
    #[allow(clippy::disallowed_methods)]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// The wall clock, UTC.
    #[allow(clippy::disallowed_methods)]
    pub fn wall(&self) -> Timestamp {
        Timestamp::now() + self.offset
    }

    /// Both at once.
    pub fn read(&self) -> Reading {
        Reading { instant: self.instant(), wall: self.wall() }
    }
}

/// 32 octets from the system's random source, to seed the generators that the sans-IO rooms are handed.
pub fn entropy() -> [u8; 32] {
    use rand::TryRng;
    let mut seed = [0; 32];
    match rand::rngs::SysRng.try_fill_bytes(&mut seed) {
        Ok(()) => seed,
        // A telephone service with predictable tags and branches is open to spoofing: stop instead.
        Err(error) => unreachable!("the operating system gives no random bytes: {error}"),
    }
}
