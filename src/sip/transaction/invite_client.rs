//! INVITE client transaction: RFC 3261 §17.1.1 as amended by RFC 6026 §7.2 (figure 5).

use super::{ClientAction, ResponseClass};
use crate::sip::timer::{Timer, Timers, TransactionTimers};
use std::time::{Duration, Instant};

/// The states of RFC 6026's INVITE client machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InviteClientState {
    /// The INVITE was sent and nothing came back.
    Calling {
        /// The wait before the next retransmission (timer A).
        interval: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// A non-2xx final response came and was acknowledged.
    Completed,
    /// A 2xx response came; the transaction user acknowledges it.
    Accepted,
    /// To be destroyed.
    Terminated,
}

/// An INVITE client transaction.
#[derive(Debug, Clone)]
pub struct InviteClient {
    state: InviteClientState,
    timers: TransactionTimers,
    reliable: bool,
}

impl InviteClient {
    /// A transaction whose INVITE the owner sends now. Timer A starts at T1 over unreliable transports, timer B at
    /// 64·T1 over all.
    pub fn new(now: Instant, reliable: bool, base: &Timers) -> Self {
        let mut timers = TransactionTimers::default();
        if !reliable {
            timers.start(Timer::A, now + base.t1);
        }
        timers.start(Timer::B, now + base.transaction_life());
        Self { state: InviteClientState::Calling { interval: base.t1 }, timers, reliable }
    }

    /// The state.
    pub fn state(&self) -> InviteClientState {
        self.state
    }

    /// Whether the owner is to destroy the transaction.
    pub fn is_terminated(&self) -> bool {
        self.state == InviteClientState::Terminated
    }

    /// When `timeout` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A response came.
    pub fn response(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ClientAction {
        match self.state {
            InviteClientState::Calling { .. } | InviteClientState::Proceeding => {
                self.response_before_final(now, class, timers)
            }
            // "Any retransmissions of a response with status code 300–699 that are received while in the Completed
            // state MUST cause the ACK to be re-passed to the transport layer", but not up to the TU.
            InviteClientState::Completed if class == ResponseClass::Failure => ClientAction::Acknowledge,
            // RFC 6026 §7.2: "If a 2xx response is received while in the Accepted state, … pass to the TU".
            InviteClientState::Accepted if class == ResponseClass::Success => ClientAction::Deliver,
            InviteClientState::Completed | InviteClientState::Accepted | InviteClientState::Terminated => {
                ClientAction::Absorb
            }
        }
    }

    fn response_before_final(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ClientAction {
        // "it SHOULD NOT retransmit the request any further" once a response came; timer B runs in Calling only.
        self.timers.clear();
        match class {
            ResponseClass::Provisional => {
                self.state = InviteClientState::Proceeding;
                ClientAction::Deliver
            }
            ResponseClass::Success => {
                self.state = InviteClientState::Accepted;
                self.timers.start(Timer::M, now + timers.transaction_life());
                ClientAction::Deliver
            }
            ResponseClass::Failure => {
                // Timer D is zero over reliable transports.
                if self.reliable {
                    self.state = InviteClientState::Terminated;
                } else {
                    self.state = InviteClientState::Completed;
                    self.timers.start(Timer::D, now + timers.d());
                }
                ClientAction::AcknowledgeAndDeliver
            }
        }
    }

    /// "The client transaction SHOULD inform the TU that a transport failure has occurred, and … transition directly to
    /// the Terminated state" (RFC 3261 §17.1.4). `false` where a final response came before.
    pub fn transport_failed(&mut self) -> bool {
        let waits = matches!(self.state, InviteClientState::Calling { .. } | InviteClientState::Proceeding);
        if waits {
            self.terminate(ClientAction::Absorb);
        }
        waits
    }

    /// Ends the transaction without an outcome (RFC 3261 §9.1: a cancelled INVITE that got no final response).
    pub fn abandon(&mut self) {
        self.terminate(ClientAction::Absorb);
    }

    /// Fires the earliest timer due at `now`; to be repeated until it yields nothing.
    pub fn timeout(&mut self, now: Instant) -> Option<ClientAction> {
        let action = match (self.timers.take_due(now)?, self.state) {
            // "When timer A fires, the client transaction MUST retransmit the request …, reset the timer with 2*T1";
            // unlike timer E it is not bounded by T2.
            (Timer::A, InviteClientState::Calling { interval }) => {
                let interval = interval.saturating_mul(2);
                self.state = InviteClientState::Calling { interval };
                self.timers.start(Timer::A, now + interval);
                ClientAction::SendAgain
            }
            // "If the client transaction is still in the Calling state when timer B fires, … inform the TU that a
            // timeout has occurred."
            (Timer::B, InviteClientState::Calling { .. }) => self.terminate(ClientAction::TimedOut),
            (Timer::D, InviteClientState::Completed) | (Timer::M, InviteClientState::Accepted) => {
                self.terminate(ClientAction::Absorb)
            }
            // A timer of a state that was left; `timers` holds none such, and one would do no harm.
            (_, _) => ClientAction::Absorb,
        };
        Some(action)
    }

    fn terminate(&mut self, action: ClientAction) -> ClientAction {
        self.state = InviteClientState::Terminated;
        self.timers.clear();
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    fn run_out(machine: &mut InviteClient, start: Instant) -> Vec<(u128, ClientAction)> {
        let mut seen = vec![];
        while let Some(at) = machine.deadline() {
            while let Some(action) = machine.timeout(at) {
                seen.push(((at - start).as_millis(), action));
            }
        }
        seen
    }

    #[test]
    fn timers_a_and_b_without_any_response() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = InviteClient::new(now, false, &timers);
        let mut expected: Vec<_> =
            [500, 1500, 3500, 7500, 15_500, 31_500].map(|ms| (ms, ClientAction::SendAgain)).to_vec();
        expected.push((32_000, ClientAction::TimedOut));
        assert_eq!(run_out(&mut machine, now), expected);
        assert!(machine.is_terminated());
        let mut reliable = InviteClient::new(now, true, &timers);
        assert_eq!(run_out(&mut reliable, now), [(32_000, ClientAction::TimedOut)]);
    }

    #[test]
    fn a_provisional_response_stops_retransmission() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = InviteClient::new(now, false, &timers);
        assert_eq!(machine.response(now, ResponseClass::Provisional, &timers), ClientAction::Deliver);
        assert_eq!(machine.state(), InviteClientState::Proceeding);
        assert_eq!(machine.deadline(), None);
        assert_eq!(machine.response(now, ResponseClass::Provisional, &timers), ClientAction::Deliver);
        machine.abandon();
        assert!(machine.is_terminated());
    }

    #[test]
    fn a_failure_is_acknowledged_each_time_and_delivered_once() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = InviteClient::new(now, false, &timers);
        assert_eq!(
            machine.response(now, ResponseClass::Failure, &timers),
            ClientAction::AcknowledgeAndDeliver
        );
        assert_eq!(machine.response(now, ResponseClass::Failure, &timers), ClientAction::Acknowledge);
        assert_eq!(machine.response(now, ResponseClass::Success, &timers), ClientAction::Absorb);
        assert_eq!(machine.response(now, ResponseClass::Provisional, &timers), ClientAction::Absorb);
        assert_eq!(run_out(&mut machine, now), [(32_000, ClientAction::Absorb)]);
        assert!(machine.is_terminated());
        let mut reliable = InviteClient::new(now, true, &timers);
        reliable.response(now, ResponseClass::Failure, &timers);
        assert!(reliable.is_terminated());
    }

    #[test]
    fn accepted_hands_every_2xx_up_and_lasts_for_timer_m() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = InviteClient::new(now, false, &timers);
        machine.response(now, ResponseClass::Provisional, &timers);
        assert_eq!(machine.response(now, ResponseClass::Success, &timers), ClientAction::Deliver);
        assert_eq!(machine.response(now, ResponseClass::Success, &timers), ClientAction::Deliver);
        assert_eq!(machine.response(now, ResponseClass::Failure, &timers), ClientAction::Absorb);
        assert_eq!(machine.response(now, ResponseClass::Provisional, &timers), ClientAction::Absorb);
        assert_eq!(run_out(&mut machine, now), [(32_000, ClientAction::Absorb)]);
        assert!(machine.is_terminated());
    }
}
