//! Ending a call: BYE in both directions (RFC 3261 §15).

use super::{HangUp, SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::receive::Received;
use crate::sip::endpoint::{EndCause, Endpoint, Event, Rejection, SessionError, TransactionId};
use crate::sip::identifier::Tag;
use crate::sip::message::{HeaderName, Message, Method, Unwritable};
use crate::sip::reason::Reason;
use bytes::Bytes;
use std::time::Instant;

/// RFC 3261 §15.1.2: what an INVITE is answered whose caller sends BYE instead of CANCEL.
const REQUEST_TERMINATED: u16 = 487;

/// Of a peer's Reason no more than this is told.
const MAX_REASON_OCTETS: usize = 256;

impl Endpoint {
    /// Ends a call. Where our 2xx waits for its ACK, BYE follows the ACK, or the end of the wait for it (§15). A call of
    /// ours that is not answered yet is cancelled, one to us refused with 480. `reason` is the value of the Reason field
    /// (RFC 3326); without one it says [`Reason::NormalClearing`].
    ///
    /// # Errors
    /// When the session is gone, or `reason` cannot stand in a line.
    pub fn bye(&mut self, now: Instant, id: SessionId, reason: Option<&str>) -> Result<(), SessionError> {
        if reason.is_some_and(|reason| reason.contains(['\r', '\n', '\0'])) {
            return Err(Unwritable::LineEnd(HeaderName::Reason).into());
        }
        let reason = reason.unwrap_or(Reason::NormalClearing.value());
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        match &mut session.state {
            State::Incoming { .. } => return self.reject(now, id, &Rejection::new(480)),
            State::Calling { .. } => return self.cancel(now, id),
            State::Answered { hang_up, .. } => {
                *hang_up = Some(HangUp { reason: reason.to_owned() });
            }
            State::Answering { invite } => {
                let invite = *invite;
                self.acknowledge_now(id, invite, None)?;
                self.send_bye(now, id, reason);
            }
            State::Established { .. } => self.send_bye(now, id, reason),
            State::Ending => {}
        }
        Ok(())
    }

    /// Sends BYE and waits for its outcome.
    pub(super) fn send_bye(&mut self, now: Instant, id: SessionId, reason: &str) {
        self.terminate_change(now, id);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.state = State::Ending;
        session.timers.clear();
        let Some(mut dialog) = session.dialog.take() else { return };
        let waits = self.transmit_bye(now, &mut dialog, reason, Some(id));
        if let Some(session) = self.sessions.get_mut(id) {
            session.dialog = Some(dialog);
        }
        if !waits {
            self.end(id, EndCause::ByeTimeout);
        }
    }

    /// Ends a session for `cause` and sends a BYE whose outcome nobody waits for. Its reason is `reason`, or the one that a
    /// hang-up gave before.
    pub(super) fn detach_with_bye(&mut self, now: Instant, id: SessionId, cause: EndCause, reason: Reason) {
        self.terminate_change(now, id);
        let Some(session) = self.sessions.remove(id) else { return };
        let reason = match &session.state {
            State::Answered { hang_up: Some(HangUp { reason }), .. } => reason,
            _ => reason.value(),
        };
        if let Some(mut dialog) = session.dialog {
            self.transmit_bye(now, &mut dialog, reason, None);
        }
        self.emit(Event::Ended { session: id, cause });
    }

    /// Writes and sends a BYE; `false` when no outcome will come.
    pub(super) fn transmit_bye(
        &mut self,
        now: Instant,
        dialog: &mut Dialog,
        reason: &str,
        session: Option<SessionId>,
    ) -> bool {
        let (flow, branch, cseq) = (dialog.flow(), self.identifiers.branch(), dialog.next_cseq());
        let Ok(mut writer) = dialog.request(Method::Bye, cseq, &self.via(flow, branch)) else { return false };
        if writer.field(HeaderName::Reason, reason).is_err() {
            return false;
        }
        self.open_bye_client(now, flow, branch, Bytes::from(writer.finish()), session)
    }

    /// Our BYE got its final response. Whatever it says, the call is over: 481 and 408 too (§15.1.1).
    pub(in crate::sip) fn bye_answered(&mut self, id: SessionId) {
        self.end(id, EndCause::ByeCompleted);
    }

    /// Our BYE got no final response.
    pub(in crate::sip) fn bye_unanswered(&mut self, id: SessionId) {
        self.end(id, EndCause::ByeTimeout);
    }

    /// The peer ends the call: 200, whatever state it is in (§15.1.2). Before our answer, the INVITE is answered 487.
    pub(in crate::sip) fn handle_bye(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        if !self.answer(now, received, tag, 200, &[]) {
            return;
        }
        self.counters.count(Counter::ByesReceived);
        self.terminate_change(now, id);
        self.tell_reason(id, received.message);
        match self.sessions.get_mut(id).map(|session| &session.state) {
            Some(State::Incoming { invite }) => {
                let invite = *invite;
                self.terminate_invite(now, id, invite);
            }
            _ => self.end(id, EndCause::ByeReceived),
        }
    }

    /// Tells why the peer ends a call, where its BYE or CANCEL says so (RFC 3326).
    pub(in crate::sip) fn tell_reason(&mut self, id: SessionId, request: &Message<'_>) {
        let Some(value) = request.values(HeaderName::Reason).next() else { return };
        let value = value.get(..MAX_REASON_OCTETS).unwrap_or(value);
        self.emit(Event::ReasonGiven { session: id, reason: String::from_utf8_lossy(value).into_owned() });
    }

    /// The caller gave up before our answer: 487 to its INVITE (§9.2, §15.1.2).
    pub(super) fn terminate_invite(&mut self, now: Instant, id: SessionId, invite: TransactionId) {
        self.terminate_change(now, id);
        let _ = self.refuse_invite(now, invite, &Rejection::new(REQUEST_TERMINATED));
        if self.sessions.remove(id).is_some() {
            self.counters.count(Counter::SessionsCancelled);
            self.emit(Event::Cancelled { session: id });
        }
    }
}
