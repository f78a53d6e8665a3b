//! The calling side: responses to our INVITE and the ACK to a 2xx (RFC 3261 §13.2).

use super::{Cancelling, Session, SessionId, State};
use crate::sip::counters::Counter;
use crate::sip::dialog::Dialog;
use crate::sip::endpoint::capabilities::SESSION_DESCRIPTION;
use crate::sip::endpoint::{EndCause, Endpoint, Event, SessionError, TransactionId};
use crate::sip::message::{HeaderName, Message, Method, StartLine, Unwritable, Writer};
use crate::sip::reason::Reason;
use crate::sip::timer::SessionTimer;
use bytes::Bytes;
use std::time::Instant;

/// RFC 4028 §6: the session interval that an INVITE asks for is too small.
const INTERVAL_TOO_SMALL: u16 = 422;
/// INVITEs of one call that are refused so, each with a higher Min-SE, before the call is given up: every proxy on the way
/// may have its own.
const MAX_RAISED: u32 = 3;

impl Session {
    /// A call of ours, whose INVITE is sent; given up at `setup_ends`.
    pub(in crate::sip) fn calling(invite: TransactionId, offer: Option<&[u8]>, setup_ends: Instant) -> Self {
        let cancelling = Cancelling::No;
        let mut session =
            Self::new(State::Calling { invite, has_offer: offer.is_some(), provisional: false, cancelling });
        session.local_description = offer.map(Bytes::copy_from_slice);
        session.timers.start(SessionTimer::Setup, setup_ends);
        session
    }
}

impl Endpoint {
    /// A provisional response or a refusal (§13.2.2.1–3). Redirections are not followed.
    pub(in crate::sip) fn invite_response(
        &mut self,
        now: Instant,
        id: SessionId,
        response: &Message<'_>,
        status: u16,
    ) {
        if status == INTERVAL_TOO_SMALL && self.raise_interval(now, id, response) {
            return;
        }
        if status >= 300 {
            let StartLine::Response { reason, .. } = response.start() else { return };
            return self.invite_failed(id, status, &String::from_utf8_lossy(reason));
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        let State::Calling { provisional, .. } = &mut session.state else { return };
        *provisional = true;
        if status > 100 && self.progressed(now, id, response) {
            let body = Some(response.body()).filter(|body| !body.is_empty()).map(Bytes::copy_from_slice);
            self.emit(Event::Progress { session: id, status, body });
        }
        self.send_cancel(now, id);
    }

    /// RFC 4028 §7.3: sends the INVITE again with the interval that a 422 asks for at the least. `false` where the call is
    /// given up instead, since it is not to be made any more, or the 422 asks for nothing new.
    fn raise_interval(&mut self, now: Instant, id: SessionId, response: &Message<'_>) -> bool {
        let Ok(Some(least_s)) = response.min_se() else { return false };
        let Some(Session { state: State::Calling { invite, cancelling: Cancelling::No, .. }, .. }) =
            self.sessions.get(id)
        else {
            return false;
        };
        let invite = *invite;
        if !self.has_client_room() {
            return false;
        }
        let Some((octets, flow)) = self.sent_invite(invite) else { return false };
        let Ok(refused) = Message::parse(&octets) else { return false };
        let branch = self.identifiers.branch();
        let Some(request) = with_interval(&refused, least_s, &self.via(flow, branch)) else { return false };
        let again = self.open_invite_client(now, flow, branch, request, id);
        if let Some(Session { state: State::Calling { invite, provisional, .. }, early, .. }) =
            self.sessions.get_mut(id)
        {
            (*invite, *provisional) = (again, false);
            // They ended with the 422.
            early.clear();
        }
        true
    }

    /// A 2xx that was not acknowledged before (§13.2.2.4). The first makes the call; others come of forking, or after
    /// the call was given up, and are acknowledged and ended.
    pub(in crate::sip) fn invite_accepted(
        &mut self,
        now: Instant,
        invite: TransactionId,
        id: SessionId,
        response: &Message<'_>,
    ) {
        let Some((octets, flow)) = self.sent_invite(invite) else { return };
        let Ok(request) = Message::parse(&octets) else { return };
        let Ok(mut dialog) = Dialog::uac(&request, response, flow) else { return };
        let early_answer = self.sessions.get_mut(id).and_then(|session| session.continue_early(&mut dialog));
        let awaited = match self.sessions.get_mut(id) {
            Some(Session { state: State::Calling { cancelling, has_offer, .. }, .. }) => {
                Some((*cancelling, *has_offer))
            }
            // A copy of the 2xx whose ACK waits for our answer.
            Some(session) if session.has_remote_tag(dialog.remote_tag()) => return,
            _ => None,
        };
        match awaited {
            Some((Cancelling::No, has_offer)) => {
                let body = Some(response.body()).filter(|body| !body.is_empty());
                let body = early_answer.or_else(|| body.map(Bytes::copy_from_slice));
                self.call_answered(id, invite, dialog, has_offer, body);
                self.take_timer(now, id, response);
            }
            Some(_) => {
                self.decline(now, invite, dialog, Reason::NormalClearing);
                self.end(id, EndCause::AnsweredAfterCancel);
            }
            None => self.decline(now, invite, dialog, Reason::AnsweredElsewhere),
        }
    }

    fn call_answered(
        &mut self,
        id: SessionId,
        invite: TransactionId,
        dialog: Dialog,
        has_offer: bool,
        body: Option<Bytes>,
    ) {
        self.sessions.set_dialog(id, dialog);
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.timers.clear();
        session.offered_by_us = has_offer;
        session.remote_description.clone_from(&body);
        session.state = State::Answering { invite };
        // An INVITE without offer whose 2xx brings none either has nothing to answer.
        let needs_answer = !has_offer && body.is_some();
        if !needs_answer {
            // Nothing of it can fail to be written that came through the parser.
            let _ = self.acknowledge_now(id, invite, None);
        }
        self.emit(Event::Answered { session: id, body, needs_answer });
    }

    /// Sends the ACK with our answer to the offer of a 2xx ([`Event::Answered`] with `needs_answer`).
    ///
    /// # Errors
    /// When the session is gone, or its 2xx does not wait for an answer.
    pub fn acknowledge(&mut self, id: SessionId, answer: Vec<u8>) -> Result<(), SessionError> {
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        let State::Answering { invite } = session.state else { return Err(SessionError::State) };
        self.acknowledge_now(id, invite, Some(answer))
    }

    /// Sends the ACK to the 2xx of a session, which then stands.
    pub(super) fn acknowledge_now(
        &mut self,
        id: SessionId,
        invite: TransactionId,
        answer: Option<Vec<u8>>,
    ) -> Result<(), SessionError> {
        let session = self.sessions.get_mut(id).ok_or(SessionError::NoSuchSession)?;
        session.state = State::Established { reinvite: None };
        let dialog = session.dialog.take().ok_or(SessionError::State)?;
        let sent = self.send_ack(invite, &dialog, answer.as_deref());
        self.counters.count(Counter::SessionsConfirmed);
        if let Some(session) = self.sessions.get_mut(id) {
            session.dialog = Some(dialog);
            if let Some(answer) = answer {
                session.local_description = Some(Bytes::from(answer));
            }
        }
        Ok(sent?)
    }

    /// Sends an ACK to a 2xx and keeps it for that response's copies. It has the INVITE's CSeq number and a branch of
    /// its own (§13.2.2.4, §17.1.1.3).
    fn send_ack(
        &mut self,
        invite: TransactionId,
        dialog: &Dialog,
        body: Option<&[u8]>,
    ) -> Result<(), Unwritable> {
        let (flow, branch) = (dialog.flow(), self.identifiers.branch());
        let writer = dialog.request(Method::Ack, dialog.invite_cseq(), &self.via(flow, branch))?;
        let ack = match body {
            Some(body) => writer.finish_with_body(SESSION_DESCRIPTION, body)?,
            None => writer.finish(),
        };
        self.acknowledge_ok(invite, dialog.remote_tag(), flow, Bytes::from(ack));
        Ok(())
    }

    fn decline(&mut self, now: Instant, invite: TransactionId, mut dialog: Dialog, reason: Reason) {
        if self.send_ack(invite, &dialog, None).is_ok() {
            self.transmit_bye(now, &mut dialog, reason.value(), None);
        }
    }
}

/// An INVITE of ours with the next CSeq, a Via of its own, and the session interval `least_s`; all else stays (RFC 3261
/// §8.1.3.5). `None` where it asked for as much before, or has been sent too often: our first has the CSeq 1.
fn with_interval(refused: &Message<'_>, least_s: u32, via: &str) -> Option<Bytes> {
    let StartLine::Request { uri, .. } = refused.start() else { return None };
    let asked_s = refused.session_expires().ok().flatten().map_or(0, |asked| asked.interval_s);
    let number = refused.cseq().ok().map(|cseq| cseq.number).filter(|number| *number <= MAX_RAISED)?;
    if least_s <= asked_s {
        return None;
    }
    let mut writer = Writer::request(Method::Invite, uri).ok()?;
    for field in refused.fields() {
        let written = match field.name {
            HeaderName::Via => writer.field(HeaderName::Via, via),
            HeaderName::CSeq => writer.field(HeaderName::CSeq, format!("{} {}", number + 1, Method::Invite)),
            // They are written below.
            HeaderName::SessionExpires
            | HeaderName::MinSe
            | HeaderName::ContentType
            | HeaderName::ContentLength => continue,
            HeaderName::Other => writer.field_named(field.spelled, field.value),
            name => writer.field(name, field.value),
        };
        written.ok()?;
    }
    writer.field_number(HeaderName::SessionExpires, least_s).ok()?;
    writer.field_number(HeaderName::MinSe, least_s).ok()?;
    Some(Bytes::from(match refused.body() {
        [] => writer.finish(),
        body => writer.finish_with_body(SESSION_DESCRIPTION, body).ok()?,
    }))
}
