//! Requests that come in: retransmissions to their transaction, the others down the ladder (RFC 3261 §8.2, §9.2,
//! §12.2.2, §17.2.3) and to their session.

use super::capabilities;
use super::ladder::{self, Refusal};
use super::server_table::ServerMachine;
use super::{Endpoint, TransactionId};
use crate::sip::counters::Counter;
use crate::sip::identifier::Tag;
use crate::sip::message::{Branch, CSeq, Defect, HeaderName, Message, Method};
use crate::sip::overload::Neighbour;
use crate::sip::session::SessionId;
use crate::sip::transaction::ServerAction;
use crate::sip::transaction::key::{self, RequestIdentity};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

/// A request as it came.
#[derive(Debug, Clone, Copy)]
pub(in crate::sip) struct Received<'a, 'm> {
    pub(in crate::sip) flow: Flow,
    pub(in crate::sip) neighbour: Neighbour,
    pub(in crate::sip) datagram: &'a [u8],
    pub(in crate::sip) message: &'m Message<'a>,
    pub(in crate::sip) method: Method<'a>,
    /// Who has proven that he sent it.
    pub(in crate::sip) user: Option<&'m str>,
}

impl Endpoint {
    pub(super) fn handle_request(&mut self, now: Instant, received: Received<'_, '_>) {
        if self.is_turned_away(now, &received) {
            return;
        }
        if received.method == Method::Ack {
            return self.handle_ack(now, &received);
        }
        let (identity, cseq) = match checked(received.message) {
            Ok(checked) => checked,
            Err(defect) => return self.refuse(&received, &Refusal::malformed(defect)),
        };
        key::write_server_key(&mut self.key, &identity, received.method);
        if let Some(id) = self.server.find(&self.key) {
            return self.handle_retransmission(id);
        }
        self.counters.count(match received.method {
            Method::Invite => Counter::InvitesReceived,
            _ => Counter::RequestsReceived,
        });
        if received.method == Method::Cancel {
            return self.handle_cancel(now, &received, &identity);
        }
        let in_dialog = received.message.to().is_ok_and(|to| to.tag().is_some());
        let refusal = ladder::method(received.method)
            .or_else(|| ladder::request_uri(received.message))
            .or_else(|| self.sips(&received))
            .or_else(|| ladder::extensions(received.message))
            .or_else(|| if in_dialog { None } else { self.merged(&identity, received.method) })
            .or_else(|| self.replaces(received.message, received.method));
        if let Some(refusal) = refusal {
            return self.refuse(&received, &refusal);
        }
        if in_dialog {
            self.handle_in_dialog(now, &received, &cseq);
        } else {
            self.handle_outside_dialog(now, &received, &identity);
        }
    }

    fn handle_retransmission(&mut self, id: TransactionId) {
        self.counters.count(Counter::RetransmissionsReceived);
        let Some(transaction) = self.server.get_mut(id) else { return };
        let session = transaction.session;
        match transaction.machine.request_again() {
            ServerAction::SendAgain => self.send_response_again(id),
            ServerAction::InviteAgain => {
                if let Some(session) = session {
                    self.send_ok_again(session, id);
                }
            }
            _ => {}
        }
    }

    /// A request outside any dialog.
    fn handle_outside_dialog(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        identity: &RequestIdentity<'_>,
    ) {
        let max_body_octets = self.config.limits.max_body_octets;
        let refusal = match received.method {
            Method::Invite => ladder::content(received.message, max_body_octets)
                .or_else(|| ladder::acceptable(received.message))
                .or_else(|| ladder::session_interval(received.message, &self.config.session_intervals))
                .or_else(|| self.service(received.method))
                .or_else(|| self.room(received.message)),
            Method::Options => {
                ladder::content(received.message, max_body_octets).or_else(|| self.service(received.method))
            }
            // BYE, UPDATE and INFO without a To tag belong to no call (§15.1.2, RFC 3311 §5.2, RFC 6086 §4.2.1).
            _ => Some(Refusal::no_call()),
        };
        if let Some(refusal) = refusal {
            if refusal.status == 503 && received.method == Method::Invite {
                self.overload.refused(now, received.neighbour);
            }
            return self.refuse(received, &refusal);
        }
        let user = match self.authenticate(now, received, false) {
            Ok(user) => user,
            Err(refusal) => return self.refuse(received, &refusal),
        };
        let received = &Received { user: user.as_deref(), ..*received };
        match received.method {
            Method::Invite => self.handle_invite(now, received, identity),
            _ => self.refuse(received, &capabilities::answer()),
        }
    }

    /// A request with a To tag: for the session whose dialog it names (§12.2.2).
    fn handle_in_dialog(&mut self, now: Instant, received: &Received<'_, '_>, cseq: &CSeq<'_>) {
        let Some((id, tag)) = self.session_of(received.message) else {
            return self.refuse(received, &Refusal::no_call());
        };
        self.heard_within(now, received.flow, id);
        if matches!(received.method, Method::Invite | Method::Prack | Method::Update) {
            let max_body_octets = self.config.limits.max_body_octets;
            if let Some(refusal) = ladder::content(received.message, max_body_octets)
                .or_else(|| ladder::acceptable(received.message))
            {
                return self.refuse_in_dialog(now, received, tag, &refusal);
            }
        }
        if matches!(received.method, Method::Invite | Method::Update)
            && let Some(refusal) = ladder::session_interval(received.message, &self.config.session_intervals)
        {
            return self.refuse(received, &refusal);
        }
        if let Err(refusal) = self.authenticate(now, received, true) {
            return self.refuse(received, &refusal);
        }
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.dialog.as_mut().is_some_and(|dialog| !dialog.accept_cseq(cseq)) {
            return self.refuse_in_dialog(now, received, tag, &Refusal::new(500, Counter::RefusedOldCseq));
        }
        match received.method {
            Method::Invite => self.handle_reinvite(now, received, id, tag),
            Method::Update => self.handle_update(now, received, id, tag),
            Method::Info => self.handle_info(now, received, id, tag),
            Method::Prack => self.handle_prack(now, received, id, tag),
            Method::Bye => self.handle_bye(now, received, id, tag),
            _ => {
                self.answer(now, received, tag, 200, &capabilities::CAPABILITIES);
            }
        }
    }

    /// Refuses a request of a dialog through a transaction: a copy that comes when the dialog is gone must get the same
    /// answer, and a stateless one would be 481 then (§8.2.7).
    fn refuse_in_dialog(&mut self, now: Instant, received: &Received<'_, '_>, tag: Tag, refusal: &Refusal) {
        self.counters.count(refusal.counter);
        let fields: Vec<_> = refusal.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        self.answer(now, received, tag, refusal.status, &fields);
    }

    /// The session in whose dialog a request is, and our tag there.
    fn session_of(&self, request: &Message<'_>) -> Option<(SessionId, Tag)> {
        let tag = Tag::parse(request.to().ok()?.tag()?)?;
        let (id, dialog) = self.sessions.find(tag)?;
        dialog.matches(request).then_some((id, tag))
    }

    /// ACK is never answered. That to a non-2xx response belongs to the INVITE's transaction, that to a 2xx to the
    /// session (§13.3.1.4, §17.2.3).
    fn handle_ack(&mut self, now: Instant, received: &Received<'_, '_>) {
        let Ok((identity, cseq)) = checked(received.message) else {
            return self.counters.count(Counter::DroppedMalformedAck);
        };
        self.counters.count(Counter::AcksReceived);
        key::write_server_key(&mut self.key, &identity, Method::Invite);
        if let Some(id) = self.server.find(&self.key)
            && let Some(transaction) = self.server.get_mut(id)
            && let ServerMachine::Invite(machine) = &mut transaction.machine
            && acknowledges(received.message, transaction.local_tag)
        {
            let (action, session) = (machine.ack(now, &self.config.timers), transaction.session);
            self.settle_server(id);
            if action != ServerAction::DeliverAck {
                return;
            }
            // A peer that gives the ACK to our 2xx the branch of its INVITE.
            if let Some(session) = session {
                return self.session_acknowledged(now, session, cseq.number, received.message);
            }
        }
        match self.session_of(received.message) {
            Some((session, _)) => {
                self.heard_within(now, received.flow, session);
                self.session_acknowledged(now, session, cseq.number, received.message);
            }
            None => self.counters.count(Counter::DroppedStrayAck),
        }
    }

    /// §9.2: 200 to a CANCEL that finds its INVITE, even where it comes too late; 481 otherwise.
    fn handle_cancel(&mut self, now: Instant, received: &Received<'_, '_>, identity: &RequestIdentity<'_>) {
        let cancelled = [Method::Invite, Method::Bye, Method::Options].into_iter().find_map(|method| {
            key::write_server_key(&mut self.key, identity, method);
            self.server.find(&self.key)
        });
        let Some(id) = cancelled else { return self.refuse(received, &Refusal::no_call()) };
        let Some(transaction) = self.server.get_mut(id) else { return };
        let (tag, session) = (transaction.local_tag, transaction.session);
        if self.answer(now, received, tag, 200, &[])
            && let Some(session) = session
        {
            self.session_cancelled(now, session, id, received.message);
        }
    }

    /// Opens the transaction of an INVITE that the call layer is to answer, whose octets are `request`, and sends 100 at
    /// once (§17.2.1).
    pub(in crate::sip) fn open_invite(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        identity: &RequestIdentity<'_>,
        tag: Tag,
        session: SessionId,
        request: Bytes,
    ) -> Option<TransactionId> {
        let trying = self.begin_response(received.message, received.flow, 100, "", None);
        let mut trying = trying.ok()?;
        trying.copy(received.message, HeaderName::Timestamp);
        let id = self.open_server(received, identity, tag, Some(session), request)?;
        self.respond(now, id, 100, Bytes::from(trying.finish()));
        Some(id)
    }
}

/// Whether an ACK carries the tag of our response. With a branch that names the transaction it need not be looked at.
fn acknowledges(ack: &Message<'_>, local_tag: Tag) -> bool {
    let unique = ack.top_via().is_ok_and(|via| matches!(via.branch_kind(), Branch::Unique(_)));
    unique || ack.to().is_ok_and(|to| to.tag().is_none_or(|tag| Tag::parse(tag) == Some(local_tag)))
}

/// Checks a request and reads what all of them are known by. The scheme of the Request-URI is left to the ladder, where
/// the method comes first.
fn checked<'a>(request: &Message<'a>) -> Result<(RequestIdentity<'a>, CSeq<'a>), Defect> {
    match request.check() {
        Ok(()) | Err(Defect::UriScheme) => Ok((RequestIdentity::of(request)?, request.cseq()?)),
        Err(defect) => Err(defect),
    }
}
