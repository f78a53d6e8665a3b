//! The called side before its final response: 180 and 183, and those that are sent reliably until their PRACK comes
//! (RFC 3262 §3, §5).
//!
//! What the caller requires is always reliable; what it merely supports is reliable where it carries a session
//! description, since nobody waits for a lost 180. One at a time: the next waits for the PRACK of the one before.

use super::change::Glare;
use super::{Session, SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::endpoint::capabilities::{ALLOW, SESSION_DESCRIPTION, SUPPORTED};
use crate::sip::endpoint::receive::Received;
use crate::sip::endpoint::{EndCause, Endpoint, Event, Rejection, Reliability, SessionError, TransactionId};
use crate::sip::identifier::Tag;
use crate::sip::message::{HeaderName, Message, Method, RAck};
use crate::sip::timer::SessionTimer;
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The option tag of reliable provisional responses.
pub(in crate::sip) const OPTION_TAG: &str = "100rel";

/// Provisional responses that may wait for the PRACK of an earlier one.
const MAX_WAITING: usize = 4;

/// RFC 3262 §3: what an INVITE is refused with whose provisional response got no PRACK ("SHOULD reject the original
/// request with a 5xx response").
const SERVER_TIME_OUT: u16 = 504;

/// A provisional response above 100.
#[derive(Debug)]
struct Provisional {
    status: u16,
    sdp: Option<Vec<u8>>,
}

/// A reliable provisional response that waits for its PRACK.
#[derive(Debug)]
struct Outstanding {
    rseq: u32,
    has_description: bool,
    response: Bytes,
    /// By which way it goes.
    flow: Flow,
    /// The wait before it goes out again.
    interval: Duration,
}

/// The reliable provisional responses of one INVITE.
#[derive(Debug, Default)]
pub(in crate::sip) struct Provisionals {
    /// RSeq of the last one; 0 before the first.
    rseq: u32,
    outstanding: Option<Outstanding>,
    waiting: VecDeque<Provisional>,
    /// Our 200 waits for the PRACK; this is its session description.
    accept: Option<Vec<u8>>,
    /// The INVITE had no offer, and ours went out in one of these: the 200 has none.
    pub(super) offered: bool,
}

impl Provisionals {
    fn is_acknowledged_by(&self, rack: &RAck<'_>, cseq: u32) -> bool {
        let rseq = self.outstanding.as_ref().map(|outstanding| outstanding.rseq);
        rseq == Some(rack.rseq) && rack.cseq == cseq && rack.method == Method::Invite
    }
}

impl Session {
    /// Whether the INVITE's offer is answered before the 200: a reliable response with the answer has got its PRACK.
    pub(super) fn is_settled_early(&self) -> bool {
        let outstanding = |provisionals: &Provisionals| {
            provisionals.outstanding.as_ref().is_some_and(|outstanding| outstanding.has_description)
        };
        self.provisionals.as_ref().is_some_and(|provisionals| !outstanding(provisionals))
    }
}

impl Endpoint {
    /// Tells the caller that it rings: 180, reliable where the caller requires so.
    ///
    /// # Errors
    /// When the session is gone, or answered.
    pub fn ring(&mut self, now: Instant, id: SessionId) -> Result<(), SessionError> {
        self.provisional(now, id, Provisional { status: 180, sdp: None })
    }

    /// Lets the caller hear something before the answer: 183 with `sdp`, which is the answer to its offer, or our offer
    /// where it had none. Reliable where the caller supports it ([`Event::EarlyConfirmed`] tells of its PRACK). The 200 then
    /// says the same.
    ///
    /// # Errors
    /// When the session is gone, or answered; [`SessionError::State`] also for an offer of ours to a caller that does not
    /// support reliable responses, who could not answer it (RFC 3262 §5), and for a second description.
    pub fn progress(&mut self, now: Instant, id: SessionId, sdp: Vec<u8>) -> Result<(), SessionError> {
        self.provisional(now, id, Provisional { status: 183, sdp: Some(sdp) })
    }

    fn provisional(
        &mut self,
        now: Instant,
        id: SessionId,
        provisional: Provisional,
    ) -> Result<(), SessionError> {
        let invite = self.unanswered(id)?;
        let (octets, ..) = self.pending_invite(invite).ok_or(SessionError::NoSuchSession)?;
        let reliability = Message::parse(&octets).map(|request| Reliability::of(&request));
        let has_description = provisional.sdp.is_some();
        let reliable = match reliability.map_err(|_| SessionError::State)? {
            Reliability::Required => true,
            Reliability::Supported => has_description,
            Reliability::None => false,
        };
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let is_offer = has_description && session.remote_description.is_none();
        if has_description && (session.local_description.is_some() || is_offer && !reliable) {
            return Err(SessionError::State);
        }
        if !reliable {
            return self.send_unreliably(now, id, invite, provisional);
        }
        let provisionals = session.provisionals.get_or_insert_default();
        if provisionals.outstanding.is_none() {
            return self.send_reliably(now, id, invite, provisional);
        }
        if provisionals.accept.is_some() || provisionals.waiting.len() >= MAX_WAITING {
            return Err(SessionError::State);
        }
        provisionals.waiting.push_back(provisional);
        Ok(())
    }

    fn send_unreliably(
        &mut self,
        now: Instant,
        id: SessionId,
        invite: TransactionId,
        Provisional { status, sdp }: Provisional,
    ) -> Result<(), SessionError> {
        let writer = self.write_dialog_response(invite, status)?;
        let response = match &sdp {
            Some(sdp) => writer.finish_with_body(SESSION_DESCRIPTION, sdp)?,
            None => writer.finish(),
        };
        self.respond(now, invite, status, Bytes::from(response));
        if let (Some(sdp), Some(session)) = (sdp, self.sessions.get_mut(id)) {
            session.local_description = Some(Bytes::from(sdp));
        }
        Ok(())
    }

    fn send_reliably(
        &mut self,
        now: Instant,
        id: SessionId,
        invite: TransactionId,
        Provisional { status, sdp }: Provisional,
    ) -> Result<(), SessionError> {
        let first = self.identifiers.first_rseq();
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let last = session.provisionals.as_ref().map_or(0, |provisionals| provisionals.rseq);
        let rseq = if last == 0 { first } else { last.wrapping_add(1) };
        let mut writer = self.write_dialog_response(invite, status)?;
        writer.field(HeaderName::Require, OPTION_TAG)?.field_number(HeaderName::RSeq, rseq)?;
        writer.field(HeaderName::Allow, ALLOW)?.field(HeaderName::Supported, SUPPORTED)?;
        let response = Bytes::from(match &sdp {
            Some(sdp) => writer.finish_with_body(SESSION_DESCRIPTION, sdp)?,
            None => writer.finish(),
        });
        let flow = self.respond(now, invite, status, response.clone()).ok_or(SessionError::NoSuchSession)?;
        let timers = self.config.timers;
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let provisionals = session.provisionals.get_or_insert_default();
        provisionals.rseq = rseq;
        let has_description = sdp.is_some();
        provisionals.outstanding =
            Some(Outstanding { rseq, has_description, response, flow, interval: timers.t1 });
        if let Some(sdp) = sdp {
            provisionals.offered = session.remote_description.is_none();
            session.offered_by_us = provisionals.offered;
            session.local_description = Some(Bytes::from(sdp));
        }
        session.timers.start(SessionTimer::RetransmitProvisional, now + timers.t1);
        session.timers.start(SessionTimer::PrackMissing, now + timers.transaction_life());
        self.settle_session(id);
        Ok(())
    }

    /// Whether the 200 has to wait: a reliable response with a session description has no PRACK yet (§3). Then `sdp` is
    /// kept for it. One without a description is not sent again once the 200 goes out.
    pub(super) fn hold_accept(&mut self, id: SessionId, sdp: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(id) else { return false };
        let Some(provisionals) = &mut session.provisionals else { return false };
        provisionals.waiting.clear();
        if provisionals.outstanding.as_ref().is_some_and(|outstanding| outstanding.has_description) {
            provisionals.accept = Some(sdp.to_vec());
            return true;
        }
        session.timers.stop(SessionTimer::RetransmitProvisional);
        session.timers.stop(SessionTimer::PrackMissing);
        false
    }

    /// PRACK in the dialog of a session, its CSeq in order.
    pub(in crate::sip) fn handle_prack(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        id: SessionId,
        tag: Tag,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let cseq = session.dialog.as_ref().map_or(0, |dialog| dialog.invite_cseq());
        let Ok(Some(rack)) = received.message.rack() else {
            self.counters.count(Counter::RefusedMalformed);
            self.answer(now, received, tag, 400, &[]);
            return;
        };
        // §3: "If a PRACK request is received by the UA core that does not match any unacknowledged reliable provisional
        // response, the UAS MUST respond to the PRACK with a 481 response."
        let provisionals = session.provisionals.as_mut().filter(|p| p.is_acknowledged_by(&rack, cseq));
        let Some(provisionals) = provisionals else {
            self.counters.count(Counter::RefusedNoCall);
            self.answer(now, received, tag, 481, &[]);
            return;
        };
        let body = Some(received.message.body()).filter(|body| !body.is_empty());
        let awaits_answer = provisionals.offered && session.remote_description.is_none();
        if body.is_some() && !awaits_answer {
            // §5: an offer, whose answer goes into the 2xx to the PRACK. The response it acknowledges came in any case.
            match session.change {
                Some(_) => self.refuse_glare(now, received, tag, Glare::Overlapping),
                None => self.take_change(now, received, id, tag),
            }
        } else if !self.answer(now, received, tag, 200, &[]) {
            return;
        }
        let answer = body.filter(|_| awaits_answer).map(Bytes::copy_from_slice);
        self.provisional_acknowledged(now, id, answer);
    }

    /// The PRACK came: what waited for it goes out.
    fn provisional_acknowledged(&mut self, now: Instant, id: SessionId, answer: Option<Bytes>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.timers.stop(SessionTimer::RetransmitProvisional);
        session.timers.stop(SessionTimer::PrackMissing);
        if answer.is_some() {
            session.remote_description = answer.clone();
        }
        let Some(provisionals) = &mut session.provisionals else { return };
        let Some(outstanding) = provisionals.outstanding.take() else { return };
        let (accept, next) = (provisionals.accept.take(), provisionals.waiting.pop_front());
        let State::Incoming { invite } = session.state else { return };
        // A retransmission of the INVITE that comes late brings the response back no more.
        self.forget_response(invite);
        if outstanding.has_description {
            self.emit(Event::EarlyConfirmed { session: id, body: answer });
        }
        // Both passed their checks when they were asked for.
        let _ = match (accept, next) {
            (Some(sdp), _) => self.accept(now, id, sdp),
            (None, Some(next)) => self.send_reliably(now, id, invite, next),
            (None, None) => Ok(()),
        };
    }

    /// §3: "retransmissions … starts at T1 seconds and doubles for each retransmission"; unlike those of a 2xx they are
    /// not bounded by T2.
    pub(super) fn retransmit_provisional(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let outstanding = session.provisionals.as_mut().and_then(|p| p.outstanding.as_mut());
        let Some(outstanding) = outstanding else { return };
        outstanding.interval = outstanding.interval.saturating_mul(2);
        let (flow, response) = (outstanding.flow, outstanding.response.clone());
        session.timers.start(SessionTimer::RetransmitProvisional, now + outstanding.interval);
        self.counters.count(Counter::RetransmissionsSent);
        self.transmit(flow, response);
    }

    /// §3: "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding
    /// PRACK, the UAS SHOULD reject the original request with a 5xx response."
    pub(super) fn prack_missing(&mut self, now: Instant, id: SessionId) {
        let Ok(invite) = self.unanswered(id) else { return };
        self.counters.count(Counter::RefusedPrackMissing);
        self.terminate_change(now, id);
        let _ = self.refuse_invite(now, invite, &Rejection::new(SERVER_TIME_OUT));
        self.end(id, EndCause::PrackTimeout);
    }
}
