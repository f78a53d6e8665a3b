//! The called side: a new INVITE, its answer and the ACK (RFC 3261 §13.3), and what a session's timers do.

use super::{Acknowledged, HangUp, Session, SessionId, State, Unacknowledged};
use crate::sip::counters::Counter;
use crate::sip::dialog::{Dialog, asks_for_sips};
use crate::sip::endpoint::capabilities::{ALLOW, SESSION_DESCRIPTION, SUPPORTED};
use crate::sip::endpoint::{
    EndCause, Endpoint, Event, IncomingInvite, Rejection, SessionError, TransactionId, receive::Received,
};
use crate::sip::message::{HeaderName, Message, Writer};
use crate::sip::reason::Reason;
use crate::sip::timer::SessionTimer;
use crate::sip::transaction::key::RequestIdentity;
use bytes::Bytes;
use std::time::{Duration, Instant};

/// What a call that nobody answers is refused with.
const TEMPORARILY_UNAVAILABLE: u16 = 480;

/// What one is whose invitation expired before that (§13.3.1).
const REQUEST_TERMINATED: u16 = 487;

/// How long an invitation stands, where its Expires says so (§13.3.1).
fn invitation_life(invite: &Message<'_>) -> Option<Duration> {
    invite.expires().ok().flatten().map(|seconds| Duration::from_secs(seconds.into()))
}

impl Endpoint {
    /// A new call: 100 at once, then the call layer decides.
    pub(in crate::sip) fn handle_invite(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        identity: &RequestIdentity<'_>,
    ) {
        let tag = self.identifiers.tag();
        let Ok(dialog) = Dialog::uas(received.message, tag, received.flow) else { return };
        let id = self.next_session_id();
        let octets = Bytes::copy_from_slice(received.datagram);
        let event = IncomingInvite::new(id, received.flow, received.message, octets.clone());
        let Some(mut event) = event else { return };
        event.authenticated = received.user.map(str::to_owned);
        let Some(invite) = self.open_invite(now, received, identity, tag, id, octets) else { return };
        let mut session = Session::new(State::Incoming { invite });
        session.neighbour = Some((received.neighbour, Acknowledged::NotYet));
        session.dialog = Some(Box::new(dialog));
        session.remote_description = event.offer.clone();
        let setup = invitation_life(received.message)
            .map_or(self.config.limits.max_setup, |life| life.min(self.config.limits.max_setup));
        session.timers.start(SessionTimer::Setup, now + setup);
        self.sessions.insert(id, session);
        self.settle_session(id);
        self.overload.admitted(now, received.neighbour);
        self.emit(Event::Invite(Box::new(event)));
    }

    /// Answers: 200 with `sdp`, which is the answer to the caller's offer, or our offer where it had none. Where `progress`
    /// has said it already, the 200 repeats that answer, and waits for the PRACK. It goes out again until its ACK comes
    /// (§13.3.1.4).
    ///
    /// # Errors
    /// When the session is gone, or answered.
    pub fn accept(&mut self, now: Instant, id: SessionId, sdp: Vec<u8>) -> Result<(), SessionError> {
        let invite = self.unanswered(id)?;
        if self.hold_accept(id, &sdp) {
            return Ok(());
        }
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let offered = session.provisionals.as_ref().is_some_and(|provisionals| provisionals.offered);
        let sdp = session.local_description.clone().unwrap_or_else(|| Bytes::from(sdp));
        let mut writer = self.write_dialog_response(invite, 200)?;
        writer.field(HeaderName::Allow, ALLOW)?.field(HeaderName::Supported, SUPPORTED)?;
        if let Some((octets, ..)) = self.pending_invite(invite) {
            let request = Message::parse(&octets).map_err(|_| SessionError::State)?;
            self.agree_on_timer(now, id, &request, &mut writer)?;
        }
        // Offer and answer are exchanged: another description would be a new offer, which a 2xx may not hold (RFC 6337 §2.2).
        let response = Bytes::from(match offered {
            true => writer.finish(),
            false => writer.finish_with_body(SESSION_DESCRIPTION, &sdp)?,
        });
        let Some(flow) = self.respond(now, invite, 200, response.clone()) else {
            return Err(SessionError::NoSuchSession);
        };
        self.counters.count(Counter::SessionsAccepted);
        let timers = self.config.timers;
        let Some(session) = self.sessions.get_mut(id) else { return Err(SessionError::NoSuchSession) };
        let cseq = session.dialog.as_ref().map_or(0, |dialog| dialog.invite_cseq());
        session.local_description = Some(sdp);
        let holds_offer = session.remote_description.is_none();
        session.offered_by_us |= holds_offer;
        let unacknowledged =
            Unacknowledged { invite, cseq, response, flow, interval: timers.t1, holds_offer };
        session.state = State::Answered { unacknowledged, hang_up: None };
        session.timers.stop(SessionTimer::Setup);
        session.timers.start(SessionTimer::RetransmitOk, now + timers.t1);
        session.timers.start(SessionTimer::AckMissing, now + timers.transaction_life());
        self.settle_session(id);
        Ok(())
    }

    /// Refuses a call that is not answered yet.
    ///
    /// # Errors
    /// When the session is gone or answered, or the refusal cannot be written; then nothing was sent.
    pub fn reject(&mut self, now: Instant, id: SessionId, rejection: &Rejection) -> Result<(), SessionError> {
        if !(300..=699).contains(&rejection.status) {
            return Err(SessionError::Status);
        }
        let invite = self.unanswered(id)?;
        self.refuse_invite(now, invite, rejection)?;
        self.terminate_change(now, id);
        self.counters.count(Counter::RejectedByCall);
        self.sessions.remove(id);
        Ok(())
    }

    /// Sends the final refusal of an INVITE through its transaction.
    pub(super) fn refuse_invite(
        &mut self,
        now: Instant,
        invite: TransactionId,
        rejection: &Rejection,
    ) -> Result<(), SessionError> {
        let (octets, flow, tag) = self.pending_invite(invite).ok_or(SessionError::NoSuchSession)?;
        let request = Message::parse(&octets).map_err(|_| SessionError::State)?;
        let mut writer =
            self.begin_response(&request, flow, rejection.status, &rejection.reason, Some(tag))?;
        for (name, value) in &rejection.headers {
            writer.field_named(name.as_bytes(), value)?;
        }
        self.respond(now, invite, rejection.status, Bytes::from(writer.finish()));
        Ok(())
    }

    /// The INVITE's transaction of a session that is neither answered nor refused.
    pub(super) fn unanswered(&mut self, id: SessionId) -> Result<TransactionId, SessionError> {
        match self.sessions.get_mut(id).map(|session| &session.state) {
            Some(State::Incoming { invite }) => Ok(*invite),
            Some(_) => Err(SessionError::State),
            None => Err(SessionError::NoSuchSession),
        }
    }

    /// Begins a response that makes a dialog: Record-Route as it came, and our Contact (§12.1.1).
    pub(super) fn write_dialog_response(
        &mut self,
        invite: TransactionId,
        status: u16,
    ) -> Result<Writer, SessionError> {
        let (octets, flow, tag) = self.pending_invite(invite).ok_or(SessionError::NoSuchSession)?;
        let request = Message::parse(&octets).map_err(|_| SessionError::State)?;
        let mut writer = self.begin_response(&request, flow, status, "", Some(tag))?;
        writer.copy(&request, HeaderName::RecordRoute);
        writer.field(HeaderName::Contact, self.contact(flow, asks_for_sips(&request)))?;
        Ok(writer)
    }

    /// The INVITE of transaction `invite` came again: while our 2xx to it waits for its ACK, that goes out at once.
    pub(in crate::sip) fn send_ok_again(&mut self, id: SessionId, invite: TransactionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if let Some(unacknowledged) = session.unacknowledged_mut().filter(|ok| ok.invite == invite) {
            let (flow, response) = (unacknowledged.flow, unacknowledged.response.clone());
            self.counters.count(Counter::RetransmissionsSent);
            self.transmit(flow, response);
        }
    }

    /// An ACK came for the dialog of a session.
    pub(in crate::sip) fn session_acknowledged(
        &mut self,
        now: Instant,
        id: SessionId,
        cseq: u32,
        ack: &Message<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return self.counters.count(Counter::DroppedStrayAck);
        };
        let (mut hang_up_wanted, mut answer_awaited) = (None, false);
        match &mut session.state {
            State::Answered { unacknowledged, hang_up } if unacknowledged.cseq == cseq => {
                hang_up_wanted = Some(hang_up.take());
            }
            State::Established { reinvite } if reinvite.as_ref().is_some_and(|ok| ok.cseq == cseq) => {
                answer_awaited = reinvite.take().is_some_and(|ok| ok.holds_offer);
            }
            // Copies of an ACK that came before.
            State::Established { .. } | State::Ending => return,
            _ => return self.counters.count(Counter::DroppedStrayAck),
        }
        session.timers.stop(SessionTimer::RetransmitOk);
        session.timers.stop(SessionTimer::AckMissing);
        let body = Some(ack.body()).filter(|body| !body.is_empty()).map(Bytes::copy_from_slice);
        if let Some(hang_up) = hang_up_wanted {
            self.session_confirmed(now, id, body, hang_up);
        } else if answer_awaited {
            session.remote_description.clone_from(&body);
            self.emit(Event::ChangeAcknowledged { session: id, body });
        }
    }

    /// A call of ours to answer stands: `body` is that of the ACK.
    pub(super) fn session_confirmed(
        &mut self,
        now: Instant,
        id: SessionId,
        body: Option<Bytes>,
        hang_up: Option<HangUp>,
    ) {
        self.sessions.acknowledged(id);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.state = State::Established { reinvite: None };
        session.timers.stop(SessionTimer::RetransmitOk);
        session.timers.stop(SessionTimer::AckMissing);
        if session.remote_description.is_none() {
            session.remote_description.clone_from(&body);
        }
        self.counters.count(Counter::SessionsConfirmed);
        match hang_up {
            Some(HangUp { reason }) => self.send_bye(now, id, &reason),
            None => self.emit(Event::Confirmed { session: id, body }),
        }
    }

    /// A timer of a session is due.
    pub(in crate::sip) fn session_timer(&mut self, now: Instant, id: SessionId, timer: SessionTimer) {
        match timer {
            SessionTimer::RetransmitOk => self.retransmit_ok(now, id),
            SessionTimer::AckMissing => self.ack_missing(now, id),
            SessionTimer::RetransmitProvisional => self.retransmit_provisional(now, id),
            SessionTimer::PrackMissing => self.prack_missing(now, id),
            SessionTimer::Refresh => self.refresh_due(now, id),
            SessionTimer::Expired => self.session_expired(now, id),
            SessionTimer::Setup => self.setup_timed_out(now, id),
            SessionTimer::CancelUnanswered => self.cancel_unanswered(id),
            SessionTimer::ChangeUnanswered => self.change_unanswered(now, id),
        }
    }

    /// §13.3.1.4: the 2xx goes out "with an interval that starts at T1 seconds and doubles … until it reaches T2".
    fn retransmit_ok(&mut self, now: Instant, id: SessionId) {
        let timers = self.config.timers;
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(unacknowledged) = session.unacknowledged_mut() else { return };
        unacknowledged.interval = timers.next_interval(unacknowledged.interval);
        let (flow, response) = (unacknowledged.flow, unacknowledged.response.clone());
        let next = now + unacknowledged.interval;
        session.timers.start(SessionTimer::RetransmitOk, next);
        self.counters.count(Counter::RetransmissionsSent);
        self.transmit(flow, response);
    }

    /// §13.3.1.4: "if the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the dialog is
    /// confirmed, but the session SHOULD be terminated. This is accomplished with a BYE".
    fn ack_missing(&mut self, now: Instant, id: SessionId) {
        if self.sessions.get_mut(id).is_none_or(|session| session.unacknowledged_mut().is_none()) {
            return;
        }
        self.counters.count(Counter::AckTimeouts);
        self.detach_with_bye(now, id, EndCause::AckTimeout, Reason::NoAck);
    }

    fn setup_timed_out(&mut self, now: Instant, id: SessionId) {
        match self.unanswered(id) {
            Ok(invite) => {
                self.terminate_change(now, id);
                self.counters.count(Counter::RefusedSetupTimeout);
                let expired = self.pending_invite(invite).is_some_and(|(octets, ..)| {
                    let life = Message::parse(&octets).ok().and_then(|invite| invitation_life(&invite));
                    life.is_some_and(|life| life <= self.config.limits.max_setup)
                });
                let status = if expired { REQUEST_TERMINATED } else { TEMPORARILY_UNAVAILABLE };
                let _ = self.refuse_invite(now, invite, &Rejection::new(status));
                self.end(id, EndCause::SetupTimeout);
            }
            // The calling side gives up.
            Err(_) => {
                let _ = self.cancel_for(now, id, Reason::NoAnswer);
            }
        }
    }

    /// The session is over.
    pub(super) fn end(&mut self, id: SessionId, cause: EndCause) {
        if self.sessions.remove(id).is_some() {
            self.emit(Event::Ended { session: id, cause });
        }
    }
}
