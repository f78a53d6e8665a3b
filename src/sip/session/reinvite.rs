//! A re-INVITE from the peer (RFC 3261 §14.2).
//!
//! Changes of a session are not built: a re-INVITE is a refresh, whose offer is octet by octet the peer's present
//! session description, and is answered with ours; or it is refused with 488 and the session goes on as it was.

use super::{SessionId, State, Unacknowledged};
use crate::sip::counters::Counter;
use crate::sip::endpoint::Endpoint;
use crate::sip::endpoint::capabilities::{ALLOW, SESSION_DESCRIPTION};
use crate::sip::endpoint::receive::Received;
use crate::sip::identifier::Tag;
use crate::sip::message::HeaderName;
use crate::sip::timer::SessionTimer;
use bytes::Bytes;
use std::time::Instant;

/// §14.2: Retry-After of the 500 to an overlapping re-INVITE is "randomly chosen between 0 and 10 seconds".
const OVERLAP_RETRY_AFTER_MAX_S: u32 = 10;

impl Endpoint {
    /// A re-INVITE whose CSeq is in order.
    pub(in crate::sip) fn handle_reinvite(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match &session.state {
            // "A UAS that receives a second INVITE before it sends the final response to a first INVITE … MUST return a
            // 500 … and MUST include a Retry-After".
            State::Incoming { .. } => {
                self.counters.count(Counter::RefusedOverlapping);
                let retry_after = self.identifiers.seconds_up_to(OVERLAP_RETRY_AFTER_MAX_S).to_string();
                self.answer(now, received, tag, 500, &[(HeaderName::RetryAfter, &retry_after)]);
            }
            // An INVITE of either side is not at its end yet: 491 (§14.2; RFC 5407 §3.1 for our 2xx without its ACK).
            State::Answered { .. }
            | State::Answering { .. }
            | State::Calling { .. }
            | State::Established { reinvite: Some(_) } => {
                self.counters.count(Counter::RefusedOverlapping);
                self.answer(now, received, tag, 491, &[]);
            }
            // The dialog ended with our BYE (§15.1.1).
            State::Ending => {
                self.counters.count(Counter::RefusedNoCall);
                self.answer(now, received, tag, 481, &[]);
            }
            State::Established { reinvite: None } => {
                let offer = received.message.body();
                let is_refresh = !offer.is_empty() && session.remote_description.as_deref() == Some(offer);
                match session.local_description.clone() {
                    Some(description) if is_refresh => {
                        self.refresh(now, received, id, tag, &description);
                    }
                    _ => {
                        self.counters.count(Counter::RefusedSessionChange);
                        self.answer(now, received, tag, 488, &[]);
                    }
                }
            }
        }
    }

    /// Answers a refresh: 200 with our present session description, retransmitted until its ACK.
    fn refresh(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
        description: &Bytes,
    ) {
        let Ok(cseq) = received.message.cseq() else { return };
        let source = received.flow.remote;
        let Ok(mut writer) = self.begin_response(received.message, source, 200, "", Some(tag)) else {
            return;
        };
        let contact = self.contact(received.flow);
        let fields = [(HeaderName::Contact, contact.as_str()), (HeaderName::Allow, ALLOW)];
        if fields.iter().any(|(name, value)| writer.field(*name, value).is_err()) {
            return;
        }
        let Ok(response) = writer.finish_with_body(SESSION_DESCRIPTION, description) else { return };
        let response = Bytes::from(response);
        let Some((invite, flow)) = self.accept_reinvite(now, received, tag, id, response.clone()) else {
            return;
        };
        let timers = self.config.timers;
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(dialog) = &mut session.dialog {
            dialog.refresh_target(received.message, received.flow);
        }
        let unacknowledged =
            Unacknowledged { invite, cseq: cseq.number, response, flow, interval: timers.t1 };
        session.state = State::Established { reinvite: Some(unacknowledged) };
        session.timers.start(SessionTimer::RetransmitOk, now + timers.t1);
        session.timers.start(SessionTimer::AckMissing, now + timers.transaction_life());
        self.settle_session(id);
    }
}
