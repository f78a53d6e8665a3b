//! Non-INVITE client transaction: RFC 3261 §17.1.2 (figure 6).

use super::{ClientAction, ResponseClass};
use crate::sip::timer::{Timer, Timers, TransactionTimers};
use std::time::{Duration, Instant};

/// The states of RFC 3261 figure 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NonInviteClientState {
    /// The request was sent and nothing came back.
    Trying {
        /// The wait before the next retransmission (timer E).
        interval: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// The final response came.
    Completed,
    /// To be destroyed.
    Terminated,
}

/// A client transaction for any method but INVITE and ACK.
#[derive(Debug, Clone)]
pub struct NonInviteClient {
    state: NonInviteClientState,
    timers: TransactionTimers,
    reliable: bool,
}

impl NonInviteClient {
    /// A transaction whose request the owner sends now. Timer E starts at T1 over unreliable transports, timer F at
    /// 64·T1 over all.
    pub fn new(now: Instant, reliable: bool, base: &Timers) -> Self {
        let mut timers = TransactionTimers::default();
        if !reliable {
            timers.start(Timer::E, now + base.t1);
        }
        timers.start(Timer::F, now + base.transaction_life());
        Self { state: NonInviteClientState::Trying { interval: base.t1 }, timers, reliable }
    }

    /// The state.
    pub fn state(&self) -> NonInviteClientState {
        self.state
    }

    /// Whether the owner is to destroy the transaction.
    pub fn is_terminated(&self) -> bool {
        self.state == NonInviteClientState::Terminated
    }

    /// When `timeout` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// A response came.
    pub fn response(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ClientAction {
        match self.state {
            NonInviteClientState::Trying { .. } | NonInviteClientState::Proceeding => {
                if class == ResponseClass::Provisional {
                    self.state = NonInviteClientState::Proceeding;
                    return ClientAction::Deliver;
                }
                self.timers.clear();
                // "Timer K … T4 seconds for unreliable transports, and zero seconds for reliable transports."
                if self.reliable {
                    self.state = NonInviteClientState::Terminated;
                } else {
                    self.state = NonInviteClientState::Completed;
                    self.timers.start(Timer::K, now + timers.t4);
                }
                ClientAction::Deliver
            }
            // "The Completed state exists to buffer any additional response retransmissions".
            NonInviteClientState::Completed | NonInviteClientState::Terminated => ClientAction::Absorb,
        }
    }

    /// RFC 3261 §17.1.4: ends the transaction. `false` where a final response came before.
    pub fn transport_failed(&mut self) -> bool {
        let waits =
            matches!(self.state, NonInviteClientState::Trying { .. } | NonInviteClientState::Proceeding);
        if waits {
            self.terminate(ClientAction::Absorb);
        }
        waits
    }

    /// Fires the earliest timer due at `now`; to be repeated until it yields nothing.
    pub fn timeout(&mut self, now: Instant, timers: &Timers) -> Option<ClientAction> {
        let action = match (self.timers.take_due(now)?, self.state) {
            // "when it fires, … reset to MIN(2*T1, T2)".
            (Timer::E, NonInviteClientState::Trying { interval }) => {
                let interval = timers.next_interval(interval);
                self.state = NonInviteClientState::Trying { interval };
                self.timers.start(Timer::E, now + interval);
                ClientAction::SendAgain
            }
            // "If Timer E fires while in the Proceeding state, the request MUST be passed to the transport layer
            // for retransmission, and Timer E MUST be reset with a value of T2 seconds."
            (Timer::E, NonInviteClientState::Proceeding) => {
                self.timers.start(Timer::E, now + timers.t2);
                ClientAction::SendAgain
            }
            (Timer::F, NonInviteClientState::Trying { .. } | NonInviteClientState::Proceeding) => {
                self.terminate(ClientAction::TimedOut)
            }
            (Timer::K, NonInviteClientState::Completed) => self.terminate(ClientAction::Absorb),
            (_, _) => ClientAction::Absorb,
        };
        Some(action)
    }

    fn terminate(&mut self, action: ClientAction) -> ClientAction {
        self.state = NonInviteClientState::Terminated;
        self.timers.clear();
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    fn run_out(machine: &mut NonInviteClient, start: Instant) -> Vec<(u128, ClientAction)> {
        let timers = Timers::default();
        let mut seen = vec![];
        while let Some(at) = machine.deadline() {
            while let Some(action) = machine.timeout(at, &timers) {
                seen.push(((at - start).as_millis(), action));
            }
        }
        seen
    }

    fn again(at_ms: &[u128]) -> Vec<(u128, ClientAction)> {
        let mut series: Vec<_> = at_ms.iter().map(|ms| (*ms, ClientAction::SendAgain)).collect();
        series.push((32_000, ClientAction::TimedOut));
        series
    }

    #[test]
    fn timers_e_and_f_without_any_response() {
        let now = Clock::system().instant();
        let mut machine = NonInviteClient::new(now, false, &Timers::default());
        let series = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        assert_eq!(run_out(&mut machine, now), again(&series));
        assert!(machine.is_terminated());
        let mut reliable = NonInviteClient::new(now, true, &Timers::default());
        assert_eq!(run_out(&mut reliable, now), again(&[]));
    }

    #[test]
    fn in_proceeding_timer_e_is_t2() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = NonInviteClient::new(now, false, &timers);
        assert_eq!(machine.response(now, ResponseClass::Provisional, &timers), ClientAction::Deliver);
        assert_eq!(machine.state(), NonInviteClientState::Proceeding);
        let series = [500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500];
        assert_eq!(run_out(&mut machine, now), again(&series));
    }

    #[test]
    fn the_final_response_is_delivered_once_and_timer_k_ends() {
        let now = Clock::system().instant();
        let timers = Timers::default();
        let mut machine = NonInviteClient::new(now, false, &timers);
        assert_eq!(machine.response(now, ResponseClass::Failure, &timers), ClientAction::Deliver);
        assert_eq!(machine.response(now, ResponseClass::Failure, &timers), ClientAction::Absorb);
        assert_eq!(run_out(&mut machine, now), [(5_000, ClientAction::Absorb)]);
        assert!(machine.is_terminated());
        let mut reliable = NonInviteClient::new(now, true, &timers);
        assert_eq!(reliable.response(now, ResponseClass::Success, &timers), ClientAction::Deliver);
        assert!(reliable.is_terminated());
    }
}
