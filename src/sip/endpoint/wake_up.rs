//! Timers: when machines are looked at, and what is done when one is due.

use super::client_table::Purpose;
use super::event::Event;
use super::{Endpoint, TransactionId, WakeUp};
use crate::sip::counters::Counter;
use crate::sip::registration::RegisterOutcome;
use crate::sip::session::SessionId;
use crate::sip::transaction::{ClientAction, ServerAction};
use crate::sip::transport::Flow;
use std::time::Instant;

/// The status that stands for "no final response came" (RFC 3261 §8.1.3.1).
pub(in crate::sip) const TIMED_OUT: u16 = 408;

/// Wake-ups are swept when there are more than so many for each machine.
const WAKE_UPS_A_MACHINE: usize = 4;
/// And so many besides.
const WAKE_UPS_KEPT: usize = 256;

impl Endpoint {
    /// Fires everything that is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.overload.tick(now);
        while let Some((at, wake_up)) = self.wake_ups.take_due(now) {
            match wake_up {
                WakeUp::Server(id) => self.wake_server(now, at, id),
                WakeUp::Client(id) => self.wake_client(now, at, id),
                WakeUp::Session(id) => self.wake_session(now, at, id),
            }
        }
    }

    fn wake_server(&mut self, now: Instant, at: Instant, id: TransactionId) {
        loop {
            let Some(transaction) = self.server.get_mut(id) else { return };
            transaction.scheduled = transaction.scheduled.filter(|scheduled| *scheduled > at);
            let Some(action) = transaction.machine.timeout(now, &self.config.timers) else { break };
            match action {
                ServerAction::SendAgain => self.send_response_again(id),
                ServerAction::NoAck => self.counters.count(Counter::FailureAckTimeouts),
                _ => {}
            }
        }
        self.settle_server(id);
    }

    fn wake_client(&mut self, now: Instant, at: Instant, id: TransactionId) {
        loop {
            let Some(transaction) = self.client.get_mut(id) else { return };
            transaction.scheduled = transaction.scheduled.filter(|scheduled| *scheduled > at);
            let Some(action) = transaction.machine.timeout(now, &self.config.timers) else { break };
            match action {
                ClientAction::SendAgain => {
                    let (flow, request) = (transaction.flow, transaction.request.clone());
                    self.counters.count(Counter::RetransmissionsSent);
                    self.transmit(flow, request);
                }
                ClientAction::TimedOut => {
                    let purpose = std::mem::replace(&mut transaction.purpose, Purpose::Cancel);
                    self.counters.count(Counter::RequestTimeouts);
                    self.request_failed(now, purpose, TIMED_OUT, "Request Timeout");
                }
                _ => {}
            }
        }
        self.settle_client(id);
    }

    /// A request got no final response; `status` and `reason` stand for one (RFC 3261 §8.1.3.1).
    pub(super) fn request_failed(&mut self, now: Instant, purpose: Purpose, status: u16, reason: &str) {
        match purpose {
            Purpose::Invite { session, .. } => self.invite_failed(session, status, reason),
            Purpose::Bye(Some(session)) => self.bye_unanswered(session),
            Purpose::Refresh { session, .. } => self.refresh_refused(now, session, status, None),
            Purpose::Options(request) => self.emit(Event::OptionsAnswered { request, status }),
            Purpose::Register(request) => {
                self.emit(Event::RegisterEnded { request, outcome: RegisterOutcome::TimedOut });
            }
            Purpose::Bye(None) | Purpose::Cancel | Purpose::Prack => {}
        }
    }

    fn wake_session(&mut self, now: Instant, at: Instant, id: SessionId) {
        loop {
            let Some(session) = self.sessions.get_mut(id) else { return };
            session.scheduled = session.scheduled.filter(|scheduled| *scheduled > at);
            let Some(timer) = session.timers.take_due(now) else { break };
            self.session_timer(now, id, timer);
        }
        self.settle_session(id);
    }

    /// Sees to the wake-up of a server transaction, or destroys it.
    pub(super) fn settle_server(&mut self, id: TransactionId) {
        let Some(transaction) = self.server.get_mut(id) else { return };
        if transaction.machine.is_terminated() {
            return self.server.remove(id);
        }
        let deadline = transaction.machine.deadline();
        self.wake_ups.schedule(WakeUp::Server(id), deadline, &mut transaction.scheduled);
    }

    /// Sees to the wake-up of a client transaction, or destroys it.
    pub(super) fn settle_client(&mut self, id: TransactionId) {
        let Some(transaction) = self.client.get_mut(id) else { return };
        if transaction.machine.is_terminated() {
            return self.client.remove(id);
        }
        let deadline = transaction.machine.deadline();
        self.wake_ups.schedule(WakeUp::Client(id), deadline, &mut transaction.scheduled);
    }

    /// Sees to the wake-up of a session.
    pub(in crate::sip) fn settle_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        self.wake_ups.schedule(WakeUp::Session(id), session.timers.next(), &mut session.scheduled);
    }

    /// Before a new session: sweeps out the wake-ups of what is over, once they are many. A session timer's lie half an hour
    /// ahead, which is long after most calls.
    pub(in crate::sip) fn sweep_wake_ups(&mut self) {
        let live = self.session_count() + self.transaction_count();
        if self.wake_ups.len() < WAKE_UPS_A_MACHINE * live + WAKE_UPS_KEPT {
            return;
        }
        let (server, client, sessions) = (&self.server, &self.client, &self.sessions);
        self.wake_ups.retain(|wake_up| match wake_up {
            WakeUp::Server(id) => server.contains(*id),
            WakeUp::Client(id) => client.contains(*id),
            WakeUp::Session(id) => sessions.contains(*id),
        });
    }

    pub(super) fn send_response_again(&mut self, id: TransactionId) {
        let Some(transaction) = self.server.get_mut(id) else { return };
        if transaction.response.is_empty() {
            return;
        }
        let flow = Flow { remote: transaction.reply_to, ..transaction.flow };
        let response = transaction.response.clone();
        self.counters.count(Counter::RetransmissionsSent);
        self.transmit(flow, response);
    }
}
