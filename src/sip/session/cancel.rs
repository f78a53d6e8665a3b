//! Giving up a call before its answer: CANCEL in both directions (RFC 3261 §9).

use super::{Cancelling, SessionId, State};
use crate::sip::endpoint::{Endpoint, Event, SessionError, TransactionId};
use crate::sip::message::Message;
use crate::sip::reason::Reason;
use crate::sip::timer::SessionTimer;
use std::time::Instant;

impl Endpoint {
    /// The peer cancels the INVITE of that transaction. After the final response it has no effect (§9.2).
    pub(in crate::sip) fn session_cancelled(
        &mut self,
        now: Instant,
        id: SessionId,
        transaction: TransactionId,
        cancel: &Message<'_>,
    ) {
        match self.sessions.get_mut(id).map(|session| &session.state) {
            Some(State::Incoming { invite }) if *invite == transaction => {
                self.tell_reason(id, cancel);
                self.terminate_invite(now, id, transaction);
            }
            _ => self.change_cancelled(now, id, transaction),
        }
    }

    /// Cancels a call of ours. CANCEL goes out once a provisional response came (§9.1). The outcome comes as an event:
    /// [`Event::Rejected`] with 487 as a rule, [`Event::Ended`] where a 2xx crossed the CANCEL.
    ///
    /// # Errors
    /// When the session is gone, or the call was answered.
    pub fn cancel(&mut self, now: Instant, id: SessionId) -> Result<(), SessionError> {
        self.cancel_for(now, id, Reason::NormalClearing)
    }

    /// As [`Endpoint::cancel`], for that reason.
    pub(super) fn cancel_for(
        &mut self,
        now: Instant,
        id: SessionId,
        reason: Reason,
    ) -> Result<(), SessionError> {
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let State::Calling { provisional, cancelling, .. } = &mut session.state else {
            return Err(SessionError::State);
        };
        if *cancelling == Cancelling::No {
            *cancelling = Cancelling::Asked(reason);
        }
        if *provisional {
            self.send_cancel(now, id);
        }
        Ok(())
    }

    /// Sends the CANCEL that was asked for, if it was and did not go out yet.
    pub(super) fn send_cancel(&mut self, now: Instant, id: SessionId) {
        let give_up = now + self.config.timers.transaction_life();
        let Some(session) = self.sessions.get_mut(id) else { return };
        let State::Calling { invite, cancelling, .. } = &mut session.state else { return };
        let Cancelling::Asked(reason) = *cancelling else { return };
        *cancelling = Cancelling::Sent;
        let invite = *invite;
        session.timers.stop(SessionTimer::Setup);
        // "If there is no final response for the original request in 64*T1 seconds …, the client SHOULD then consider
        // the original transaction cancelled and SHOULD destroy the client transaction."
        session.timers.start(SessionTimer::CancelUnanswered, give_up);
        self.settle_session(id);
        self.open_cancel_client(now, invite, reason);
    }

    pub(super) fn cancel_unanswered(&mut self, id: SessionId) {
        if let Some(State::Calling { invite, .. }) = self.sessions.get_mut(id).map(|session| &session.state) {
            let invite = *invite;
            self.abandon_invite_client(invite);
            self.invite_failed(id, 487, "Request Terminated");
        }
    }

    /// Our call got no answer.
    pub(in crate::sip) fn invite_failed(&mut self, id: SessionId, status: u16, reason: &str) {
        if self.sessions.remove(id).is_some() {
            self.emit(Event::Rejected { session: id, status, reason: reason.to_owned() });
        }
    }
}
