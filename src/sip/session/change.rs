//! Changes of a session that the peer asks for, by re-INVITE (RFC 3261 §14.2) or UPDATE (RFC 3311 §5.2): when one may
//! be taken, how it waits for the call layer, and its answer.
//!
//! One offer at a time (RFC 3264 §4). A change waits in [`Session::change`]; an offer of ours that waits for its answer
//! is told by [`Session::offer_of_ours`]. Until it is answered with 2xx a change has changed nothing, the remote target
//! included.

use super::{ChangeId, Session, SessionId, State, Unacknowledged};
use crate::sip::counters::Counter;
use crate::sip::dialog::asks_for_sips;
use crate::sip::endpoint::capabilities::{ALLOW, SESSION_DESCRIPTION, SUPPORTED};
use crate::sip::endpoint::receive::Received;
use crate::sip::endpoint::{Endpoint, Event, Rejection, SessionError, TransactionId};
use crate::sip::identifier::Tag;
use crate::sip::message::{HeaderName, Message, Method, Unwritable, Writer};
use crate::sip::timer::SessionTimer;
use crate::sip::transaction::key::RequestIdentity;
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

/// RFC 3261 §14.2, RFC 3311 §5.2: Retry-After of the 500 to an overlapping request is "randomly chosen between 0 and 10
/// seconds".
const OVERLAP_RETRY_AFTER_MAX_S: u32 = 10;
/// What a change is answered with that ended before its answer (RFC 3261 §9.2, §15.1.2).
const REQUEST_TERMINATED: u16 = 487;
/// What a change is refused with that the call layer does not answer.
const SERVER_INTERNAL_ERROR: u16 = 500;

/// A request of the peer that may change the session.
#[derive(Debug)]
pub(in crate::sip) struct Change {
    pub(super) transaction: TransactionId,
    /// Of the request, and of the ACK to a re-INVITE.
    pub(super) cseq: u32,
    pub(super) is_invite: bool,
    /// `None`: a re-INVITE that asks for our offer.
    pub(super) offer: Option<Bytes>,
}

impl Change {
    fn id(&self) -> ChangeId {
        ChangeId(self.transaction.number())
    }
}

/// Why a request cannot be taken as the session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glare {
    /// A request of the peer is not answered yet: 500 with Retry-After.
    Overlapping,
    /// A request or an offer of ours is not at its end: 491.
    Pending,
    /// The dialog ended with our BYE (RFC 3261 §15.1.1): 481.
    NoCall,
}

impl Session {
    /// What stands against a re-INVITE (RFC 3261 §14.2; RFC 5407 §3.1.5 for an offer in our 2xx without its ACK).
    pub(super) fn glare_with_reinvite(&self) -> Option<Glare> {
        match &self.state {
            State::Ending => Some(Glare::NoCall),
            // "A UAS that receives a second INVITE before it sends the final response to a first INVITE … MUST return a
            // 500 … and MUST include a Retry-After".
            State::Incoming { .. } => Some(Glare::Overlapping),
            _ if self.change.is_some() => Some(Glare::Overlapping),
            State::Established { reinvite: None } if !self.offer_of_ours => None,
            // "A UAS that receives an INVITE on a dialog while an INVITE it had sent on that dialog is in progress MUST
            // return a 491"; so too where our 2xx waits for its ACK.
            _ => Some(Glare::Pending),
        }
    }

    /// What stands against an UPDATE with an offer (RFC 3311 §5.2): 491 while an offer of ours has no answer, 500 while one
    /// of the peer's has none.
    pub(super) fn glare_with_update(&self) -> Option<Glare> {
        let is_answered = self.local_description.is_some() && self.remote_description.is_some();
        match &self.state {
            State::Ending => Some(Glare::NoCall),
            _ if self.change.is_some() => Some(Glare::Overlapping),
            _ if self.offer_of_ours => Some(Glare::Pending),
            // An early dialog: where the INVITE's offer was answered in a reliable provisional response.
            State::Incoming { .. } if is_answered && self.is_settled_early() => None,
            State::Incoming { .. } if self.remote_description.is_some() => Some(Glare::Overlapping),
            State::Answered { .. } if is_answered => None,
            State::Answering { .. } => Some(Glare::Overlapping),
            State::Established { reinvite: Some(ok) } if !ok.holds_offer => None,
            State::Established { reinvite: None } => None,
            _ => Some(Glare::Pending),
        }
    }

    /// Whether `offer` says octet by octet what the peer said before, so that our description answers it as it is.
    pub(super) fn is_refresh(&self, offer: &[u8]) -> bool {
        let is_answer = self.local_description.is_some() && !self.offered_by_us;
        is_answer && self.remote_description.as_deref() == Some(offer)
    }
}

impl Endpoint {
    /// Refuses a request that cannot be taken as the session stands.
    pub(super) fn refuse_glare(&mut self, now: Instant, received: &Received<'_, '_>, tag: Tag, glare: Glare) {
        let counter =
            if glare == Glare::NoCall { Counter::RefusedNoCall } else { Counter::RefusedOverlapping };
        self.counters.count(counter);
        match glare {
            Glare::Overlapping => {
                let retry_after = self.identifiers.seconds_up_to(OVERLAP_RETRY_AFTER_MAX_S).to_string();
                self.answer(now, received, tag, 500, &[(HeaderName::RetryAfter, &retry_after)]);
            }
            Glare::Pending => {
                self.answer(now, received, tag, 491, &[]);
            }
            Glare::NoCall => {
                self.answer(now, received, tag, 481, &[]);
            }
        }
    }

    /// Takes a re-INVITE, or an UPDATE with an offer, that nothing stands against. An offer that says nothing new is
    /// answered at once, with what we described before; any other is the call layer's to answer.
    pub(super) fn take_change(&mut self, now: Instant, received: &Received<'_, '_>, id: SessionId, tag: Tag) {
        let message = received.message;
        let (Ok(identity), Ok(cseq)) = (RequestIdentity::of(message), message.cseq()) else { return };
        let Some(session) = self.sessions.get_mut(id) else { return };
        let offer = Some(message.body()).filter(|body| !body.is_empty());
        let answer = session.local_description.clone();
        let answer = answer.filter(|_| offer.is_some_and(|offer| session.is_refresh(offer)));
        let is_invite = received.method == Method::Invite;
        let octets = Bytes::copy_from_slice(received.datagram);
        let transaction = if is_invite && answer.is_none() {
            self.open_invite(now, received, &identity, tag, id, octets)
        } else {
            self.open_server(received, &identity, tag, Some(id), octets)
        };
        let Some(transaction) = transaction else { return };
        let offer = offer.map(Bytes::copy_from_slice);
        let change = Change { transaction, cseq: cseq.number, is_invite, offer };
        match answer {
            // Nothing of it can fail to be written that came through the parser and was written before.
            Some(answer) => drop(self.carry_out(now, id, &change, answer)),
            None => self.ask(now, id, change),
        }
    }

    /// Hands a change to the call layer.
    fn ask(&mut self, now: Instant, id: SessionId, change: Change) {
        let gives_up = now + self.config.timers.transaction_life();
        let Some(session) = self.sessions.get_mut(id) else { return };
        let event = Event::SessionChange { session: id, change: change.id(), offer: change.offer.clone() };
        session.change = Some(Box::new(change));
        session.timers.start(SessionTimer::ChangeUnanswered, gives_up);
        self.settle_session(id);
        self.emit(event);
    }

    /// Agrees to a change ([`Event::SessionChange`]): 200 with `sdp`, which is the answer to the peer's offer, or our offer
    /// where it asked for one. That to a re-INVITE goes out again until its ACK comes (RFC 3261 §13.3.1.4).
    ///
    /// # Errors
    /// When the session is gone, or the change does not wait any more; then nothing was sent, and nothing has changed.
    pub fn answer_change(
        &mut self,
        now: Instant,
        id: SessionId,
        change: ChangeId,
        sdp: Vec<u8>,
    ) -> Result<(), SessionError> {
        let change = self.take_pending(id, change)?;
        let outcome = self.carry_out(now, id, &change, Bytes::from(sdp));
        if let (Err(_), Some(session)) = (outcome, self.sessions.get_mut(id)) {
            session.change = Some(change);
            self.withdraw_change(now, id, SERVER_INTERNAL_ERROR);
        }
        outcome
    }

    /// Refuses a change; the session goes on as it was.
    ///
    /// # Errors
    /// As [`Endpoint::answer_change`]; also when the status is not that of a refusal, and then the change waits on.
    pub fn refuse_change(
        &mut self,
        now: Instant,
        id: SessionId,
        change: ChangeId,
        rejection: &Rejection,
    ) -> Result<(), SessionError> {
        if !(300..=699).contains(&rejection.status) {
            return Err(SessionError::Status);
        }
        let change = self.take_pending(id, change)?;
        self.counters.count(Counter::RefusedSessionChange);
        self.refuse_invite(now, change.transaction, rejection)
    }

    fn take_pending(&mut self, id: SessionId, change: ChangeId) -> Result<Box<Change>, SessionError> {
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let pending = session.change.take_if(|pending| pending.id() == change).ok_or(SessionError::State)?;
        session.timers.stop(SessionTimer::ChangeUnanswered);
        self.settle_session(id);
        Ok(pending)
    }

    /// Begins the 200 to a re-INVITE or UPDATE, which refreshes a session that stands (RFC 4028 §9).
    pub(super) fn write_change_ok(
        &mut self,
        now: Instant,
        id: SessionId,
        request: &Message<'_>,
        flow: Flow,
        tag: Tag,
    ) -> Result<Writer, Unwritable> {
        let mut writer = self.begin_response(request, flow, 200, "", Some(tag))?;
        writer.field(HeaderName::Contact, self.contact(flow, asks_for_sips(request)))?;
        writer.field(HeaderName::Allow, ALLOW)?.field(HeaderName::Supported, SUPPORTED)?;
        let session = self.sessions.get_mut(id);
        if session.is_some_and(|session| !matches!(session.state, State::Incoming { .. })) {
            self.agree_on_timer(now, id, request, &mut writer)?;
        }
        Ok(writer)
    }

    /// Sends the 200 to a change, which thereby takes effect.
    fn carry_out(
        &mut self,
        now: Instant,
        id: SessionId,
        change: &Change,
        description: Bytes,
    ) -> Result<(), SessionError> {
        let transaction = change.transaction;
        let (octets, flow, tag) = self.pending_invite(transaction).ok_or(SessionError::NoSuchSession)?;
        let request = Message::parse(&octets).map_err(|_| SessionError::State)?;
        let writer = self.write_change_ok(now, id, &request, flow, tag)?;
        let response = Bytes::from(writer.finish_with_body(SESSION_DESCRIPTION, &description)?);
        let sent = self.respond(now, transaction, 200, response.clone());
        let (timers, reply_flow) = (self.config.timers, sent.ok_or(SessionError::NoSuchSession)?);
        self.counters.count(Counter::SessionChanges);
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        if let Some(dialog) = &mut session.dialog {
            dialog.refresh_target(&request, flow);
        }
        session.local_description = Some(description);
        session.remote_description.clone_from(&change.offer);
        session.offered_by_us = change.offer.is_none();
        // The 200 to the INVITE says no more of what has changed since its answer.
        if let (State::Incoming { .. }, Some(provisionals)) = (&session.state, &mut session.provisionals) {
            provisionals.offered = true;
        }
        if change.is_invite {
            let unacknowledged = Unacknowledged {
                invite: transaction,
                cseq: change.cseq,
                response,
                flow: reply_flow,
                interval: timers.t1,
                holds_offer: change.offer.is_none(),
            };
            session.state = State::Established { reinvite: Some(unacknowledged) };
            session.timers.start(SessionTimer::RetransmitOk, now + timers.t1);
            session.timers.start(SessionTimer::AckMissing, now + timers.transaction_life());
        }
        self.settle_session(id);
        Ok(())
    }

    /// CANCEL of a re-INVITE that waits for its answer: 487, and the session goes on as it was (RFC 3261 §9.2).
    pub(super) fn change_cancelled(&mut self, now: Instant, id: SessionId, invite: TransactionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.change.as_ref().is_some_and(|change| change.transaction == invite) {
            self.withdraw_change(now, id, REQUEST_TERMINATED);
        }
    }

    /// The session ends while a change waits for its answer: "the UAS core … MUST still respond to any pending requests
    /// received for that dialog" (RFC 3261 §15.1.2).
    pub(super) fn terminate_change(&mut self, now: Instant, id: SessionId) {
        self.withdraw_change(now, id, REQUEST_TERMINATED);
    }

    /// The call layer has let a change wait for 64·T1.
    pub(super) fn change_unanswered(&mut self, now: Instant, id: SessionId) {
        self.counters.count(Counter::RefusedChangeTimeout);
        self.withdraw_change(now, id, SERVER_INTERNAL_ERROR);
    }

    fn withdraw_change(&mut self, now: Instant, id: SessionId, status: u16) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(change) = session.change.take() else { return };
        session.timers.stop(SessionTimer::ChangeUnanswered);
        self.settle_session(id);
        // Nothing of it can fail to be written that came through the parser.
        let _ = self.refuse_invite(now, change.transaction, &Rejection::new(status));
        self.emit(Event::ChangeWithdrawn { session: id, change: change.id() });
    }
}
