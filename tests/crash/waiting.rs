//! Waiting for what does not tell by itself: a folder, a database, another process, a random instant.

use klikon::units::clock::Clock;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// A safety net: no test waits so long unless it has failed.
pub const FOR_EVER: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

pub fn now() -> Instant {
    Clock::system().instant()
}

/// Lets so much time pass.
pub fn pass(time: Duration) {
    let (_nobody_sends, never) = channel::<()>();
    let _ = never.recv_timeout(time);
}

/// Looks until it is so, but not for ever; whether it came to be.
pub fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let began = now();
    while began.elapsed() < FOR_EVER {
        if is_so() {
            return true;
        }
        pass(LOOK_EVERY);
    }
    false
}
