//! Non-INVITE server transaction: RFC 3261 §17.2.2 (figure 8).

use super::{ResponseClass, ServerAction};
use crate::sip::timer::{Timer, Timers, TransactionTimers};
use std::time::Instant;

/// The states of RFC 3261 figure 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NonInviteServerState {
    /// No response yet.
    Trying,
    /// A provisional response was sent.
    Proceeding,
    /// The final response was sent.
    Completed,
    /// To be destroyed.
    Terminated,
}

/// A server transaction for any method but INVITE and ACK.
#[derive(Debug, Clone)]
pub struct NonInviteServer {
    state: NonInviteServerState,
    timers: TransactionTimers,
    reliable: bool,
}

impl NonInviteServer {
    /// A transaction for a request that just came.
    pub fn new(reliable: bool) -> Self {
        Self { state: NonInviteServerState::Trying, timers: TransactionTimers::default(), reliable }
    }

    /// The state.
    pub fn state(&self) -> NonInviteServerState {
        self.state
    }

    /// Whether the owner is to destroy the transaction.
    pub fn is_terminated(&self) -> bool {
        self.state == NonInviteServerState::Terminated
    }

    /// When `timeout` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The request came again.
    pub fn request(&self) -> ServerAction {
        match self.state {
            // "Once in the Trying state, any further request retransmissions are discarded."
            NonInviteServerState::Trying | NonInviteServerState::Terminated => ServerAction::Absorb,
            // "If a retransmission of the request is received while in the Proceeding state, the most recently sent
            // provisional response MUST be passed to the transport layer"; in Completed, the final response.
            NonInviteServerState::Proceeding | NonInviteServerState::Completed => ServerAction::SendAgain,
        }
    }

    /// The transaction user has a response.
    pub fn respond(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ServerAction {
        match (self.state, class) {
            // "Any other final responses passed by the TU to the server transaction MUST be discarded".
            (NonInviteServerState::Completed | NonInviteServerState::Terminated, _) => ServerAction::Absorb,
            (_, ResponseClass::Provisional) => {
                self.state = NonInviteServerState::Proceeding;
                ServerAction::Send
            }
            // "set Timer J to fire in 64*T1 seconds for unreliable transports, and zero seconds for reliable".
            (_, ResponseClass::Success | ResponseClass::Failure) => {
                if self.reliable {
                    self.state = NonInviteServerState::Terminated;
                } else {
                    self.state = NonInviteServerState::Completed;
                    self.timers.start(Timer::J, now + timers.transaction_life());
                }
                ServerAction::Send
            }
        }
    }

    /// Fires the earliest timer due at `now`; to be repeated until it yields nothing.
    pub fn timeout(&mut self, now: Instant) -> Option<ServerAction> {
        self.timers.take_due(now)?;
        // Timer J is the only one: "remains in this state until Timer J fires, … MUST transition to Terminated".
        self.state = NonInviteServerState::Terminated;
        Some(ServerAction::Absorb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;
    use std::time::Duration;

    #[test]
    fn trying_absorbs_proceeding_and_completed_repeat() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = NonInviteServer::new(false);
        assert_eq!(machine.request(), ServerAction::Absorb);
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.respond(now, ResponseClass::Provisional, &timers), ServerAction::Send);
        assert_eq!(machine.state(), NonInviteServerState::Proceeding);
        assert_eq!(machine.request(), ServerAction::SendAgain);
        assert_eq!(machine.respond(now, ResponseClass::Provisional, &timers), ServerAction::Send);
        assert_eq!(machine.respond(now, ResponseClass::Success, &timers), ServerAction::Send);
        assert_eq!(machine.state(), NonInviteServerState::Completed);
        assert_eq!(machine.request(), ServerAction::SendAgain);
        assert_eq!(machine.respond(now, ResponseClass::Failure, &timers), ServerAction::Absorb);
    }

    #[test]
    fn timer_j_ends_it_after_64_t1_or_at_once_when_reliable() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = NonInviteServer::new(false);
        machine.respond(now, ResponseClass::Failure, &timers);
        let end = now + Duration::from_secs(32);
        assert_eq!(machine.deadline(), Some(end));
        assert_eq!(machine.timeout(end - Duration::from_millis(1)), None);
        assert_eq!(machine.timeout(end), Some(ServerAction::Absorb));
        assert!(machine.is_terminated());
        assert_eq!(machine.request(), ServerAction::Absorb);
        let mut machine = NonInviteServer::new(true);
        assert_eq!(machine.respond(now, ResponseClass::Failure, &timers), ServerAction::Send);
        assert!(machine.is_terminated());
    }
}
