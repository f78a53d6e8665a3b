//! When each session is due: a wheel of one-millisecond slots, and the spreading of sessions over them, so that no
//! millisecond is a burst.

use std::time::{Duration, Instant};

/// Slots of the wheel, ms: more than the longest packet length and the lead of a prompt, as long again.
const SLOTS: u64 = 128;
/// Sessions are spread over this many phases, ms: the usual packet length.
const PHASES: usize = 20;

/// Sessions that any millisecond may have: some 50 µs of sending.
const ROOM: usize = 16;

/// A session on the wheel: its key and the entry's own number, so that an entry that no longer counts is known.
pub type Entry = (usize, u64);

/// The wheel. Scheduling and taking allocate nothing once its slots have grown.
#[derive(Debug)]
pub struct Wheel {
    origin: Instant,
    slots: Vec<Vec<Entry>>,
    /// First tick that was not taken yet.
    cursor: u64,
    occupancy: [u32; PHASES],
}

/// The millisecond within [`PHASES`] that a session sends at; with another packet length, that it sends at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase(usize);

impl Wheel {
    /// An empty wheel whose first tick is at `origin`.
    pub fn new(origin: Instant) -> Self {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Self { origin, slots, cursor: 0, occupancy: [0; PHASES] }
    }

    /// Gives a session the emptiest phase, and the first instant of that phase from `now` on.
    pub fn enter(&mut self, now: Instant) -> (Phase, Instant) {
        let emptiest = (0..PHASES).min_by_key(|&phase| self.occupancy.get(phase)).unwrap_or(0);
        self.occupy(emptiest);
        let tick = self.tick_from(now);
        let wait = (emptiest as u64 + PHASES as u64 - tick % PHASES as u64) % PHASES as u64;
        (Phase(emptiest), self.origin + Duration::from_millis(tick + wait))
    }

    /// Whether the millisecond that `now` is in can take another of `sessions` sessions and still be no burst: it has no more than an
    /// eighth above its share, and some.
    pub fn has_room(&self, now: Instant, sessions: usize) -> bool {
        let tick = now.saturating_duration_since(self.origin).as_millis() as u64;
        let phase = (tick % PHASES as u64) as usize;
        let there = self.occupancy.get(phase).map_or(0, |there| *there as usize);
        there < sessions / PHASES + sessions / (8 * PHASES) + ROOM
    }

    /// Frees a session's phase.
    pub fn leave(&mut self, phase: Phase) {
        if let Some(occupancy) = self.occupancy.get_mut(phase.0) {
            *occupancy = occupancy.saturating_sub(1);
        }
    }

    /// Puts an entry at its deadline; one beyond the wheel comes early, one in the past with the next tick. The session's
    /// phase is the deadline's from here on.
    pub fn schedule(&mut self, entry: Entry, deadline: Instant, phase: &mut Phase) {
        let tick = self.tick_from(deadline);
        let new = (tick % PHASES as u64) as usize;
        if new != phase.0 {
            self.leave(*phase);
            *phase = Phase(new);
            self.occupy(new);
        }
        let tick = tick.clamp(self.cursor, self.cursor + SLOTS - 1);
        if let Some(slot) = self.slot(tick) {
            slot.push(entry);
        }
    }

    /// Moves the entries that are due to `due`.
    pub fn take_due(&mut self, now: Instant, due: &mut Vec<Entry>) {
        let elapsed = now.saturating_duration_since(self.origin).as_millis() as u64;
        if elapsed < self.cursor {
            return;
        }
        for tick in self.cursor..=elapsed.min(self.cursor + SLOTS - 1) {
            if let Some(slot) = self.slot(tick) {
                due.append(slot);
            }
        }
        self.cursor = elapsed + 1;
    }

    /// When the next entry is due.
    pub fn next(&self) -> Option<Instant> {
        (self.cursor..self.cursor + SLOTS)
            .find(|tick| self.slots.get((tick % SLOTS) as usize).is_some_and(|slot| !slot.is_empty()))
            .map(|tick| self.origin + Duration::from_millis(tick))
    }

    fn occupy(&mut self, phase: usize) {
        if let Some(occupancy) = self.occupancy.get_mut(phase) {
            *occupancy += 1;
        }
    }

    /// The first tick that is not before `instant`.
    fn tick_from(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.origin).as_nanos().div_ceil(1_000_000) as u64
    }

    fn slot(&mut self, tick: u64) -> Option<&mut Vec<Entry>> {
        self.slots.get_mut((tick % SLOTS) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;
    use proptest::prelude::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn sessions_spread_over_the_phases() {
        let origin = Clock::system().instant();
        let mut wheel = Wheel::new(origin);
        let entered: Vec<_> = (0..40).map(|_| wheel.enter(origin + ms(7))).collect();
        for (_, first) in &entered {
            assert!((ms(7)..ms(27)).contains(&first.duration_since(origin)));
        }
        assert_eq!(wheel.occupancy, [2; PHASES]);
        wheel.leave(entered[3].0);
        assert_eq!(wheel.enter(origin).0, entered[3].0, "the emptiest comes next");
    }

    #[test]
    fn a_crowded_millisecond_takes_no_more() {
        let origin = Clock::system().instant();
        let mut wheel = Wheel::new(origin);
        let mut led = 0;
        while wheel.has_room(origin + Duration::from_micros(3_900), 1_000) {
            let (mut phase, _) = wheel.enter(origin + ms(10));
            wheel.schedule((led, 0), origin + ms(23), &mut phase);
            assert_eq!(phase, Phase(3));
            led += 1;
        }
        assert_eq!(led, 50 + 6 + ROOM);
        assert!(wheel.has_room(origin + ms(4), 1_000));
    }

    #[test]
    fn entries_come_when_they_are_due() {
        let origin = Clock::system().instant();
        let mut wheel = Wheel::new(origin);
        assert_eq!(wheel.next(), None);
        let (mut phase, _) = wheel.enter(origin);
        wheel.schedule((1, 0), origin + ms(20), &mut phase);
        wheel.schedule((2, 0), origin + Duration::from_micros(20_001), &mut phase);
        wheel.schedule((3, 0), origin + ms(100_000), &mut phase);
        assert_eq!(wheel.next(), Some(origin + ms(20)));
        let mut due = Vec::new();
        wheel.take_due(origin + Duration::from_micros(19_999), &mut due);
        assert_eq!(due, []);
        wheel.take_due(origin + ms(20), &mut due);
        assert_eq!(due, [(1, 0)]);
        wheel.schedule((4, 0), origin, &mut phase);
        assert_eq!(wheel.next(), Some(origin + ms(21)), "a deadline in the past is due at once");
        wheel.take_due(origin + ms(10_000), &mut due);
        assert_eq!(due.len(), 4);
        assert_eq!(wheel.next(), None);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_early(deadlines in proptest::collection::vec(0..120_u64, 1..50), step in 1..200_u64) {
            let origin = Clock::system().instant();
            let mut wheel = Wheel::new(origin);
            for (key, deadline) in deadlines.iter().enumerate() {
                wheel.schedule((key, 0), origin + ms(*deadline), &mut Phase(0));
            }
            let mut taken = Vec::new();
            let mut now = 0;
            while taken.len() < deadlines.len() {
                prop_assert!(now < 1_000);
                let before = taken.len();
                wheel.take_due(origin + ms(now), &mut taken);
                for (key, _) in &taken[before..] {
                    prop_assert!(deadlines[*key] <= now && deadlines[*key] + step > now);
                }
                now += step;
            }
        }
    }
}
