//! The hooks of the limiter ([`crate::sip::overload`]): what is done before a request is looked into.

use super::Endpoint;
use super::ladder::Refusal;
use super::receive::Received;
use crate::sip::counters::Counter;
use crate::sip::message::{HeaderName, Message, Method};
use crate::sip::overload::{Neighbour, Offender, Strangers};
use crate::sip::session::SessionId;
use crate::sip::transaction::key::{self, RequestIdentity};
use crate::sip::transport::Flow;
use std::hash::BuildHasher;
use std::time::Instant;

impl Endpoint {
    /// The call layer has room for so many more calls; without a word from it, for any number.
    pub fn set_room_for_calls(&mut self, calls: usize) {
        self.overload.set_room(calls);
    }

    /// Whether nothing is read at `now` that comes by `flow`: a connection need not be kept.
    pub fn is_banned(&self, now: Instant, flow: Flow) -> bool {
        self.overload.is_banned(now, flow)
    }

    /// A connection stands, whose peer proved these names by its certificate: it is known to the limits by them.
    pub fn connected(&mut self, flow: Flow, certificate_names: &[String]) {
        self.overload.connected(flow, certificate_names);
    }

    /// The connection of `flow` is closed.
    pub fn disconnected(&mut self, flow: Flow) {
        self.overload.disconnected(flow);
    }

    /// Counts what one sent who should not have, and what comes of it for him.
    pub(super) fn offence(&mut self, now: Instant, flow: Flow, neighbour: Neighbour, offender: Offender) {
        if let Some(counter) = self.overload.offence(now, flow, neighbour, offender) {
            self.counters.count(counter);
        }
    }

    /// Whether a request is done with before it is looked into. Requests within calls, and those that are matched with a
    /// transaction, are not; nor is an INVITE that came before.
    pub(super) fn is_turned_away(&mut self, now: Instant, received: &Received<'_, '_>) -> bool {
        if self.overload.is_scan(received.neighbour, received.message) {
            self.counters.count(Counter::DroppedScanner);
            self.offence(now, received.flow, received.neighbour, Offender::Scans);
            return true;
        }
        if received.message.to().is_ok_and(|to| to.tag().is_some()) {
            return false;
        }
        match received.method {
            Method::Invite => self.is_call_turned_away(now, received),
            Method::Ack | Method::Bye | Method::Cancel => false,
            _ => {
                let silent = self.overload.is_silent_to(received.neighbour);
                if silent {
                    self.counters.count(Counter::DroppedStrangerRequest);
                }
                silent
            }
        }
    }

    fn is_call_turned_away(&mut self, now: Instant, received: &Received<'_, '_>) -> bool {
        let neighbour = received.neighbour;
        let refusal = match self.overload.welcome(neighbour) {
            Strangers::Answer => {
                let calls = self.sessions.calls_of(neighbour);
                match self.overload.refusal(now, neighbour, calls.all, calls.unacknowledged) {
                    Some(counter) => self.unavailable(received.message, counter),
                    None => return false,
                }
            }
            Strangers::Refuse => Refusal::new(403, Counter::RefusedStranger),
            Strangers::Ignore => {
                self.counters.count(Counter::DroppedStrangerCall);
                return true;
            }
        };
        if self.is_known(received) {
            return false;
        }
        if refusal.status == 503 {
            self.overload.refused(now, neighbour);
        }
        self.refuse(received, &refusal);
        true
    }

    /// A request within the dialog of a session came by `flow`. The dialog's tag is not to be guessed: who knows it
    /// received it where our responses went.
    pub(super) fn heard_within(&mut self, now: Instant, flow: Flow, id: SessionId) {
        let dialog = self.sessions.get_mut(id).and_then(|session| session.dialog.as_deref());
        if dialog.is_some_and(|dialog| dialog.heard_from() == flow.remote.ip()) {
            self.overload.proved(now, flow);
        }
    }

    /// Whether an INVITE belongs to a transaction that stands.
    fn is_known(&mut self, received: &Received<'_, '_>) -> bool {
        let Ok(identity) = RequestIdentity::of(received.message) else { return false };
        key::write_server_key(&mut self.key, &identity, received.method);
        self.server.find(&self.key).is_some()
    }

    /// 503 with a Retry-After that is different for each call, and the same for each copy of its INVITE.
    pub(super) fn unavailable(&self, request: &Message<'_>, counter: Counter) -> Refusal {
        let number = self.hash_key.hash_one(request.call_id().unwrap_or_default());
        let retry_after_s =
            self.config.retry_after_s.saturating_add(self.overload.retry_after_more_s(number));
        Refusal::new(503, counter).with(HeaderName::RetryAfter, retry_after_s.to_string())
    }
}
