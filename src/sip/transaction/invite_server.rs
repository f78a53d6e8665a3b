//! INVITE server transaction: RFC 3261 §17.2.1 as amended by RFC 6026 §7.1 (figure 5).

use super::{ResponseClass, ServerAction};
use crate::sip::timer::{Timer, Timers, TransactionTimers};
use std::time::{Duration, Instant};

/// The states of RFC 6026 figure 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteServerState {
    /// The transaction user has not yet given a final response.
    Proceeding,
    /// A non-2xx final response was sent; its ACK is awaited.
    Completed {
        /// The wait before the next retransmission (timer G).
        interval: Duration,
    },
    /// A 2xx response was sent; the transaction user retransmits it.
    Accepted,
    /// The ACK to a non-2xx final response came.
    Confirmed,
    /// To be destroyed.
    Terminated,
}

/// An INVITE server transaction.
#[derive(Debug, Clone)]
pub struct InviteServer {
    state: InviteServerState,
    timers: TransactionTimers,
    reliable: bool,
}

impl InviteServer {
    /// A transaction for an INVITE that just came. The owner sends 100 Trying at once, by `respond`.
    pub fn new(reliable: bool) -> Self {
        Self { state: InviteServerState::Proceeding, timers: TransactionTimers::default(), reliable }
    }

    /// The state.
    pub fn state(&self) -> InviteServerState {
        self.state
    }

    /// Whether the owner is to destroy the transaction.
    pub fn is_terminated(&self) -> bool {
        self.state == InviteServerState::Terminated
    }

    /// When `timeout` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The INVITE came again.
    pub fn invite(&self) -> ServerAction {
        match self.state {
            // "If a request retransmission is received while in the Proceeding state, the most recent provisional
            // response that was received from the TU MUST be passed to the transport layer for retransmission."
            // "While in the Completed state when a request retransmission is received, the server SHOULD pass the
            // response to the transport for retransmission."
            InviteServerState::Proceeding | InviteServerState::Completed { .. } => ServerAction::SendAgain,
            // RFC 6026 §7.1: absorbed by the transaction. The TU, which owns the 2xx, may send it at once.
            InviteServerState::Accepted => ServerAction::InviteAgain,
            // "the Confirmed state … absorb any additional ACK messages"; a late INVITE needs no answer either.
            InviteServerState::Confirmed | InviteServerState::Terminated => ServerAction::Absorb,
        }
    }

    /// The transaction user has a response.
    pub fn respond(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ServerAction {
        match self.state {
            InviteServerState::Proceeding => self.respond_in_proceeding(now, class, timers),
            // RFC 6026 §7.1: "any 2xx responses received from the TU MUST be passed to the transport layer".
            InviteServerState::Accepted if class == ResponseClass::Success => ServerAction::Send,
            // "Any other final responses passed by the TU to the server transaction MUST be discarded".
            _ => ServerAction::Absorb,
        }
    }

    fn respond_in_proceeding(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ServerAction {
        match class {
            // "The TU passes any number of provisional responses to the server transaction."
            ResponseClass::Provisional => {}
            // RFC 6026 §7.1: a 2xx moves to Accepted, and timer L is set to 64·T1 for all transports.
            ResponseClass::Success => {
                self.state = InviteServerState::Accepted;
                self.timers.start(Timer::L, now + timers.transaction_life());
            }
            // "For unreliable transports, timer G is set to fire in T1 seconds" and timer H in 64·T1 for all.
            ResponseClass::Failure => {
                self.state = InviteServerState::Completed { interval: timers.t1 };
                if !self.reliable {
                    self.timers.start(Timer::G, now + timers.t1);
                }
                self.timers.start(Timer::H, now + timers.transaction_life());
            }
        }
        ServerAction::Send
    }

    /// An ACK came for this transaction.
    pub fn ack(&mut self, now: Instant, timers: &Timers) -> ServerAction {
        match self.state {
            // "If an ACK is received while the server transaction is in the Completed state, the server transaction
            // MUST transition to the Confirmed state"; timer G is ignored there, timer I is T4, or zero.
            InviteServerState::Completed { .. } => {
                self.timers.clear();
                if self.reliable {
                    self.state = InviteServerState::Terminated;
                } else {
                    self.state = InviteServerState::Confirmed;
                    self.timers.start(Timer::I, now + timers.t4);
                }
                ServerAction::Absorb
            }
            // RFC 6026 §7.1: "if an ACK is received in the Accepted state, it MUST be passed up to the TU".
            InviteServerState::Accepted => ServerAction::DeliverAck,
            InviteServerState::Proceeding | InviteServerState::Confirmed | InviteServerState::Terminated => {
                ServerAction::Absorb
            }
        }
    }

    /// Fires the earliest timer due at `now`; to be repeated until it yields nothing.
    pub fn timeout(&mut self, now: Instant, timers: &Timers) -> Option<ServerAction> {
        let action = match (self.timers.take_due(now)?, self.state) {
            // "If timer G fires, the response is passed to the transport layer once more", doubling up to T2.
            (Timer::G, InviteServerState::Completed { interval }) => {
                let interval = timers.next_interval(interval);
                self.state = InviteServerState::Completed { interval };
                self.timers.start(Timer::G, now + interval);
                ServerAction::SendAgain
            }
            // "If timer H fires while in the Completed state, it implies that the ACK was never received."
            (Timer::H, InviteServerState::Completed { .. }) => self.terminate(ServerAction::NoAck),
            // Timers I and L end the absorbing of retransmissions.
            (Timer::I, InviteServerState::Confirmed) | (Timer::L, InviteServerState::Accepted) => {
                self.terminate(ServerAction::Absorb)
            }
            _ => ServerAction::Absorb,
        };
        Some(action)
    }

    fn terminate(&mut self, action: ServerAction) -> ServerAction {
        self.state = InviteServerState::Terminated;
        self.timers.clear();
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    const TIMERS: Timers =
        Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };

    /// Fires every timer in virtual time and notes (milliseconds since `start`, action).
    fn run_out(machine: &mut InviteServer, start: Instant) -> Vec<(u128, ServerAction)> {
        let mut seen = vec![];
        while let Some(at) = machine.deadline() {
            while let Some(action) = machine.timeout(at, &TIMERS) {
                seen.push(((at - start).as_millis(), action));
            }
        }
        seen
    }

    #[test]
    fn proceeding_repeats_the_last_response_and_has_no_timer() {
        let now = Clock::system().instant();
        let mut machine = InviteServer::new(false);
        assert_eq!(machine.respond(now, ResponseClass::Provisional, &TIMERS), ServerAction::Send);
        assert_eq!(machine.invite(), ServerAction::SendAgain);
        assert_eq!(machine.ack(now, &TIMERS), ServerAction::Absorb);
        assert_eq!(machine.state(), InviteServerState::Proceeding);
        assert_eq!(machine.deadline(), None);
    }

    #[test]
    fn timers_g_and_h_without_an_ack() {
        let now = Clock::system().instant();
        let mut machine = InviteServer::new(false);
        assert_eq!(machine.respond(now, ResponseClass::Failure, &TIMERS), ServerAction::Send);
        assert_eq!(machine.invite(), ServerAction::SendAgain);
        assert_eq!(machine.respond(now, ResponseClass::Success, &TIMERS), ServerAction::Absorb);
        let seen = run_out(&mut machine, now);
        let again = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let mut expected: Vec<_> = again.map(|ms| (ms, ServerAction::SendAgain)).to_vec();
        expected.push((32_000, ServerAction::NoAck));
        assert_eq!(seen, expected);
        assert!(machine.is_terminated());
        assert_eq!(machine.invite(), ServerAction::Absorb);
    }

    #[test]
    fn a_reliable_transport_needs_no_timer_g_and_no_confirmed_state() {
        let now = Clock::system().instant();
        let mut machine = InviteServer::new(true);
        machine.respond(now, ResponseClass::Failure, &TIMERS);
        assert_eq!(run_out(&mut machine.clone(), now), [(32_000, ServerAction::NoAck)]);
        assert_eq!(machine.ack(now, &TIMERS), ServerAction::Absorb);
        assert!(machine.is_terminated());
    }

    #[test]
    fn an_ack_confirms_and_timer_i_ends() {
        let now = Clock::system().instant();
        let mut machine = InviteServer::new(false);
        machine.respond(now, ResponseClass::Failure, &TIMERS);
        assert_eq!(machine.ack(now, &TIMERS), ServerAction::Absorb);
        assert_eq!(machine.state(), InviteServerState::Confirmed);
        assert_eq!(machine.ack(now, &TIMERS), ServerAction::Absorb);
        assert_eq!(machine.invite(), ServerAction::Absorb);
        assert_eq!(run_out(&mut machine, now), [(5_000, ServerAction::Absorb)]);
        assert!(machine.is_terminated());
        assert_eq!(machine.ack(now, &TIMERS), ServerAction::Absorb);
    }

    #[test]
    fn accepted_hands_acks_up_and_lasts_for_timer_l() {
        let now = Clock::system().instant();
        for reliable in [false, true] {
            let mut machine = InviteServer::new(reliable);
            assert_eq!(machine.respond(now, ResponseClass::Success, &TIMERS), ServerAction::Send);
            assert_eq!(machine.state(), InviteServerState::Accepted);
            assert_eq!(machine.invite(), ServerAction::InviteAgain);
            assert_eq!(machine.ack(now, &TIMERS), ServerAction::DeliverAck);
            assert_eq!(machine.ack(now, &TIMERS), ServerAction::DeliverAck);
            assert_eq!(machine.respond(now, ResponseClass::Success, &TIMERS), ServerAction::Send);
            assert_eq!(machine.respond(now, ResponseClass::Failure, &TIMERS), ServerAction::Absorb);
            assert_eq!(run_out(&mut machine, now), [(32_000, ServerAction::Absorb)]);
            assert!(machine.is_terminated());
        }
    }
}
