//! Invariants of what the call layer is told: a call is told once, confirmed once at most, ended once, and nothing comes
//! after that; no call outlives its limits; changes of a call are asked for one at a time, and each is answered or withdrawn; orders are taken in the states that allow them and in no other.

use super::Bounds;
use crate::desk::Order;
use klikon::sip::{ChangeId, EndCause, Event, SessionError, SessionId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ringing,
    Answered { hang_up: bool },
    Confirmed,
    Ending,
    Over,
}

/// Every call the service was told of.
#[derive(Debug)]
pub struct Calls {
    bounds: Bounds,
    states: BTreeMap<SessionId, (State, Instant)>,
    /// When each call that is not over must be.
    limits: BTreeSet<(Instant, SessionId)>,
    /// The change that each call waits with, and until when at the most.
    changes: BTreeMap<SessionId, (ChangeId, Instant)>,
    /// How calls ended, and how often.
    pub ends: BTreeMap<String, usize>,
}

impl Calls {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            states: BTreeMap::new(),
            limits: BTreeSet::new(),
            changes: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Calls that were told.
    pub fn count(&self) -> usize {
        self.states.len()
    }

    /// Calls that are not over.
    pub fn open(&self) -> usize {
        self.limits.len()
    }

    fn state(&self, id: SessionId) -> State {
        self.states.get(&id).expect("a call that was told").0
    }

    fn set(&mut self, id: SessionId, state: State, limit: Instant) {
        if let Some((_, earlier)) = self.states.insert(id, (state, limit)) {
            self.limits.remove(&(earlier, id));
        }
        if state != State::Over {
            self.limits.insert((limit, id));
        }
    }

    fn over(&mut self, now: Instant, id: SessionId, how: String) {
        assert!(!self.changes.contains_key(&id), "a call is over, and its change waits");
        self.set(id, State::Over, now);
        *self.ends.entry(how).or_default() += 1;
    }

    /// The call layer is told something.
    pub fn told(&mut self, now: Instant, event: &Event) {
        let life = self.bounds.timers.transaction_life();
        match event {
            Event::Invite(invite) => {
                let known = self.states.contains_key(&invite.session);
                assert!(!known, "a call was told twice: {invite:?}");
                self.set(invite.session, State::Ringing, now + self.bounds.max_setup);
            }
            Event::Confirmed { session, .. } => {
                let state = self.state(*session);
                assert_eq!(state, State::Answered { hang_up: false }, "confirmed in the wrong state");
                self.set(*session, State::Confirmed, now + self.bounds.max_talk);
            }
            Event::Cancelled { session } => {
                assert_eq!(self.state(*session), State::Ringing, "cancelled in the wrong state");
                self.over(now, *session, "Cancelled".to_owned());
            }
            Event::Ended { session, cause } => {
                let state = self.state(*session);
                let fits = match cause {
                    EndCause::SetupTimeout => state == State::Ringing,
                    EndCause::ByeCompleted | EndCause::ByeTimeout => {
                        matches!(state, State::Ending | State::Answered { hang_up: true })
                    }
                    EndCause::AckTimeout => matches!(state, State::Answered { .. } | State::Confirmed),
                    EndCause::ByeReceived => {
                        matches!(state, State::Answered { .. } | State::Confirmed | State::Ending)
                    }
                    _ => false,
                };
                assert!(fits, "{cause:?} in {state:?}");
                self.over(now, *session, format!("{cause:?}"));
            }
            Event::ReasonGiven { session, .. } => {
                assert_ne!(self.state(*session), State::Over, "a reason after the end");
            }
            Event::SessionChange { session, change, .. } => {
                let state = self.state(*session);
                let fits = matches!(state, State::Answered { .. } | State::Confirmed);
                assert!(fits, "a change in {state:?}");
                let waits = self.changes.insert(*session, (*change, now + life));
                assert_eq!(waits, None, "two changes at a time");
            }
            Event::ChangeWithdrawn { session, change } => {
                let waits = self.changes.remove(session).map(|(waits, _)| waits);
                assert_eq!(waits, Some(*change), "withdrawn, and did not wait");
            }
            Event::ChangeAcknowledged { session, .. } => {
                assert_eq!(self.state(*session), State::Confirmed, "an answer in the wrong state");
            }
            Event::Key { .. } => {}
            other => panic!("the service was told {other:?}"),
        }
        let _ = life;
    }

    /// An order was given, and taken or not.
    pub fn ordered(&mut self, now: Instant, id: SessionId, order: &Order, taken: Result<(), SessionError>) {
        let life = self.bounds.timers.transaction_life();
        let state = self.state(id);
        let expected = match (state, order) {
            (state, Order::Agree(change) | Order::Disagree(change)) if state != State::Over => {
                let waits = self.changes.get(&id).is_some_and(|(waits, _)| waits == change);
                if waits {
                    self.changes.remove(&id).map(drop).ok_or(SessionError::State)
                } else {
                    Err(SessionError::State)
                }
            }
            (State::Over, _) => Err(SessionError::NoSuchSession),
            (State::Ringing, _) | (_, Order::HangUp { .. }) => Ok(()),
            _ => Err(SessionError::State),
        };
        assert_eq!(taken, expected, "{order:?} in {state:?}");
        match (state, order) {
            (State::Ringing, Order::Accept) => self.set(id, State::Answered { hang_up: false }, now + life),
            (State::Ringing, Order::Reject(_) | Order::HangUp { .. }) => {
                self.over(now, id, "refused".to_owned());
            }
            // BYE waits for the ACK, 64·T1 at most, and then for its answer.
            (State::Answered { hang_up: false }, Order::HangUp { .. }) => {
                self.set(id, State::Answered { hang_up: true }, now + life + life);
            }
            (State::Confirmed, Order::HangUp { .. }) => self.set(id, State::Ending, now + life),
            _ => {}
        }
    }

    /// No call has outlived its limit.
    pub fn check_limits(&self, now: Instant) {
        for (id, (change, limit)) in &self.changes {
            assert!(*limit >= now, "{change:?} of {id:?} waits for too long");
        }
        if let Some((limit, id)) = self.limits.first() {
            assert!(*limit >= now, "{id:?} outlives its limit, in {:?}", self.state(*id));
        }
    }

    /// Every call is over.
    pub fn finish(&self) {
        assert!(self.limits.is_empty(), "calls that never end: {:?}", self.limits);
    }
}
