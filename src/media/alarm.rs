//! The worker's alarm clock: a timer of the kernel that the poll waits for like a socket. A poll's own timeout is in whole
//! milliseconds, rounded up, and by the thread's slack later still; this one is exact to the kernel's high-resolution
//! timers.

use crate::units::clock::Clock;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// One alarm; it goes off once.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    /// What it is set to, until it may have gone off.
    set_to: Option<Instant>,
}

impl Alarm {
    /// An alarm whose going off the poll reports under `token`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Self { timer, set_to: None })
    }

    /// Sets it to `at`; one in the past goes off at once. `None`: not at all.
    ///
    /// # Errors
    /// Those of the system.
    pub fn set(&mut self, clock: Clock, at: Option<Instant>) -> io::Result<()> {
        if self.set_to == at {
            return Ok(());
        }
        let wait = |at: Instant| {
            // Zero would disarm it. Setting it forgets that it went off before, so it need not be read.
            let wait = at.saturating_duration_since(clock.instant()).max(Duration::from_nanos(1));
            Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() }
        };
        let it_value = at.map_or(NEVER, wait);
        let once = Itimerspec { it_interval: NEVER, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.set_to = at;
        Ok(())
    }

    /// To be called when it went off: what it was set to is over.
    pub fn rang(&mut self) {
        self.set_to = None;
    }
}
