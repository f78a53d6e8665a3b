//! Timers of the SIP machines (RFC 3261 §17 and Table 4, RFC 6026): their base values, the table in which one
//! machine keeps its running timers, and the heap from which the endpoint learns its next wake-up.

use arrayvec::ArrayVec;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// The base values every timer derives from (RFC 3261 §17.1.1.1, §17.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round trip; the first retransmission comes after it. 500 ms by RFC 3261.
    pub t1: Duration,
    /// The longest interval between retransmissions of a non-INVITE request or an INVITE response. 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network. 5 s.
    pub t4: Duration,
}

/// The least any base value is taken for: with zero a timer would fire for ever at one instant.
pub const TIMER_BASE_MIN: Duration = Duration::from_millis(1);

/// The most any base value is taken for.
pub const TIMER_BASE_MAX: Duration = Duration::from_secs(600);

/// Timer D's least value over an unreliable transport (RFC 3261 §17.1.1.2: "at least 32 seconds").
const TIMER_D_MIN: Duration = Duration::from_secs(32);

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// The same, each value within [`TIMER_BASE_MIN`] and [`TIMER_BASE_MAX`].
    pub fn bounded(self) -> Self {
        let bounded = |base: Duration| base.clamp(TIMER_BASE_MIN, TIMER_BASE_MAX);
        Self { t1: bounded(self.t1), t2: bounded(self.t2), t4: bounded(self.t4) }
    }

    /// 64·T1, the life of a transaction: timers B, F, H, J (unreliable), L and M, and the wait for the ACK to a
    /// 2xx response (RFC 3261 §13.3.1.4).
    pub fn transaction_life(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// Timer D over an unreliable transport.
    pub fn d(&self) -> Duration {
        self.transaction_life().max(TIMER_D_MIN)
    }

    /// The interval after `interval` of a series that doubles up to T2 (timers E and G, and a 2xx response).
    pub fn next_interval(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }
}

/// Every timer of every transaction machine, by its letter in RFC 3261 Table 4 and RFC 6026 §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// INVITE client: request retransmission (unreliable transports).
    A,
    /// INVITE client: gives up waiting for any response.
    B,
    /// INVITE client: how long retransmitted non-2xx final responses are absorbed.
    D,
    /// Non-INVITE client: request retransmission (unreliable transports).
    E,
    /// Non-INVITE client: gives up waiting for the final response.
    F,
    /// INVITE server: non-2xx final response retransmission (unreliable transports).
    G,
    /// INVITE server: gives up waiting for the ACK to a non-2xx final response.
    H,
    /// INVITE server: how long retransmitted ACKs are absorbed.
    I,
    /// Non-INVITE server: how long retransmitted requests are absorbed.
    J,
    /// Non-INVITE client: how long retransmitted responses are absorbed.
    K,
    /// INVITE server: how long the Accepted state lasts (RFC 6026).
    L,
    /// INVITE client: how long the Accepted state lasts (RFC 6026).
    M,
}

/// Every timer of a session, which is the transaction user of RFC 3261 §13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionTimer {
    /// The 2xx response to an INVITE goes out again (RFC 3261 §13.3.1.4).
    RetransmitOk,
    /// No ACK to our 2xx response came within 64·T1 (RFC 3261 §13.3.1.4).
    AckMissing,
    /// A reliable provisional response goes out again (RFC 3262 §3).
    RetransmitProvisional,
    /// No PRACK to it came within 64·T1 (RFC 3262 §3).
    PrackMissing,
    /// The call was not answered, refused or cancelled for too long.
    Setup,
    /// A change of the session waits for the call layer for too long.
    ChangeUnanswered,
    /// Half of the session interval is over: we refresh (RFC 4028 §10).
    Refresh,
    /// The session interval is nearly over, and no refresh came (RFC 4028 §10).
    Expired,
    /// No final response to a cancelled INVITE came within 64·T1 (RFC 3261 §9.1).
    CancelUnanswered,
}

/// The running timers of one machine, each at most once. No machine runs more than `N` at a time.
#[derive(Debug, Clone)]
pub struct TimerTable<T, const N: usize> {
    running: ArrayVec<(T, Instant), N>,
}

/// The running timers of a transaction: never more than two (A and B, E and F, G and H).
pub type TransactionTimers = TimerTable<Timer, 2>;

impl<T, const N: usize> Default for TimerTable<T, N> {
    fn default() -> Self {
        Self { running: ArrayVec::new() }
    }
}

impl<T: Copy + PartialEq, const N: usize> TimerTable<T, N> {
    /// Starts `timer`, or moves it when it runs already.
    pub fn start(&mut self, timer: T, at: Instant) {
        self.stop(timer);
        // The table is as large as the largest set of timers a machine runs, which the tests of each state show.
        let fits = self.running.try_push((timer, at)).is_ok();
        debug_assert!(fits, "more timers than the table holds");
    }

    /// Stops `timer`; nothing happens when it does not run.
    pub fn stop(&mut self, timer: T) {
        self.running.retain(|(running, _)| *running != timer);
    }

    /// Stops every timer.
    pub fn clear(&mut self) {
        self.running.clear();
    }

    /// When the first timer fires.
    pub fn next(&self) -> Option<Instant> {
        self.running.iter().map(|(_, at)| *at).min()
    }

    /// Takes the earliest timer that is due at `now`, if any.
    pub fn take_due(&mut self, now: Instant) -> Option<T> {
        let due = self.running.iter().enumerate().filter(|(_, (_, at))| *at <= now);
        let (index, _) = due.min_by_key(|(_, (_, at))| *at)?;
        Some(self.running.swap_remove(index).0)
    }

    /// Whether `timer` runs.
    pub fn is_running(&self, timer: T) -> bool {
        self.running.iter().any(|(running, _)| *running == timer)
    }
}

/// The endpoint's wake-ups, earliest first. An entry is a promise to look at its machine, not a timer: a machine that
/// moved or stopped its timers leaves its entry behind, and the look finds nothing due. Each machine remembers the
/// earliest entry it has here (`scheduled`), so it holds one or two. Of a machine that is no more they stay until they are
/// due or swept out ([`WakeUps::retain`]), so that the heap stays within a multiple of the number of machines.
#[derive(Debug)]
pub struct WakeUps<K: Ord> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy> Default for WakeUps<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord + Copy> WakeUps<K> {
    /// Makes sure that `key` is looked at by `deadline`. `scheduled` is the machine's memory of its earliest entry.
    pub fn schedule(&mut self, key: K, deadline: Option<Instant>, scheduled: &mut Option<Instant>) {
        let Some(deadline) = deadline else { return };
        if scheduled.is_none_or(|earliest| deadline < earliest) {
            self.heap.push(Reverse((deadline, key)));
            *scheduled = Some(deadline);
        }
    }

    /// When to look next; the look may find nothing due.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the next entry that is due at `now`.
    pub fn take_due(&mut self, now: Instant) -> Option<(Instant, K)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Drops the entries of machines that are no more, which `is_live` knows.
    pub fn retain(&mut self, is_live: impl Fn(&K) -> bool) {
        self.heap.retain(|Reverse((_, key))| is_live(key));
    }

    /// Entries held, live or left behind.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no entry is held.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    #[test]
    fn derived_values_are_those_of_rfc_3261() {
        let timers = Timers::default();
        assert_eq!(timers.transaction_life(), Duration::from_secs(32));
        assert_eq!(timers.d(), Duration::from_secs(32));
        let quick = Timers { t1: Duration::from_millis(10), ..timers };
        assert_eq!(quick.d(), Duration::from_secs(32));
        let mut interval = timers.t1;
        let mut series = vec![];
        for _ in 0..5 {
            series.push(interval.as_millis());
            interval = timers.next_interval(interval);
        }
        assert_eq!(series, [500, 1000, 2000, 4000, 4000]);
        let absurd = Timers { t1: Duration::ZERO, t2: Duration::MAX, t4: timers.t4 }.bounded();
        assert_eq!((absurd.t1, absurd.t2, absurd.t4), (TIMER_BASE_MIN, TIMER_BASE_MAX, timers.t4));
    }

    #[test]
    fn table_fires_in_order_and_once() {
        let start = Clock::system().instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut table = TransactionTimers::default();
        table.start(Timer::B, at(20));
        table.start(Timer::A, at(10));
        assert_eq!(table.next(), Some(at(10)));
        assert_eq!(table.take_due(at(9)), None);
        table.start(Timer::A, at(12));
        assert_eq!(table.take_due(at(10)), None);
        assert_eq!(table.take_due(at(30)), Some(Timer::A));
        assert_eq!(table.take_due(at(30)), Some(Timer::B));
        assert_eq!(table.take_due(at(30)), None);
        assert_eq!(table.next(), None);
    }

    #[test]
    fn wake_ups_keep_one_entry_until_an_earlier_one_is_needed() {
        let start = Clock::system().instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut wake_ups = WakeUps::default();
        let mut scheduled = None;
        wake_ups.schedule(7, Some(at(20)), &mut scheduled);
        wake_ups.schedule(7, Some(at(30)), &mut scheduled);
        wake_ups.schedule(7, None, &mut scheduled);
        assert_eq!((wake_ups.len(), wake_ups.next()), (1, Some(at(20))));
        wake_ups.schedule(7, Some(at(10)), &mut scheduled);
        assert_eq!((wake_ups.len(), wake_ups.next()), (2, Some(at(10))));
        assert_eq!(wake_ups.take_due(at(9)), None);
        assert_eq!(wake_ups.take_due(at(25)), Some((at(10), 7)));
        assert_eq!(wake_ups.take_due(at(25)), Some((at(20), 7)));
        assert!(wake_ups.is_empty());
    }
}
