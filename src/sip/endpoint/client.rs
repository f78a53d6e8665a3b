//! Our requests and the responses to them (RFC 3261 §8.1.3, §17.1, §18.1.2).

use super::client_table::{Acknowledgement, ClientKey, ClientMachine, ClientTransaction, MAX_FORKS, Purpose};
use super::config::for_new_calls;
use super::event::Event;
use super::{Endpoint, TransactionId};
use crate::sip::counters::Counter;
use crate::sip::dialog::Dialog;
use crate::sip::identifier::BranchId;
use crate::sip::message::{CSeq, HeaderName, Host, Message, Method, StartLine, Unwritable, Via, Writer};
use crate::sip::reason::Reason;
use crate::sip::session::SessionId;
use crate::sip::transaction::key::DEFAULT_PORT;
use crate::sip::transaction::{ClientAction, InviteClient, NonInviteClient, ResponseClass};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

impl Endpoint {
    /// The value of our Via. `rport` asks for the answer to the port we send from (RFC 3581).
    pub(in crate::sip) fn via(&self, flow: Flow, branch: BranchId) -> String {
        let transport = flow.transport.via_name();
        format!("SIP/2.0/{transport} {};branch={branch};rport", self.sent_by(flow.local))
    }

    /// Whether there is room for another request of ours that is not BYE or CANCEL.
    pub(in crate::sip) fn has_client_room(&self) -> bool {
        self.client.len() < for_new_calls(self.config.limits.max_client_transactions)
    }

    /// Sends a request through a new client transaction.
    pub(super) fn open_client(
        &mut self,
        now: Instant,
        flow: Flow,
        key: ClientKey,
        request: Bytes,
        purpose: Purpose,
    ) -> TransactionId {
        let (flow, request, by_udp) = self.by_size(flow, request);
        let (reliable, timers) = (flow.transport.is_reliable(), &self.config.timers);
        let machine = match purpose {
            Purpose::Invite { .. } | Purpose::Refresh { is_invite: true, .. } => {
                ClientMachine::Invite(InviteClient::new(now, reliable, timers))
            }
            _ => ClientMachine::NonInvite(NonInviteClient::new(now, reliable, timers)),
        };
        let id = self.next_transaction_id();
        self.transmit(flow, request.clone());
        let transaction = ClientTransaction {
            machine,
            flow,
            request,
            by_udp: by_udp.map(Box::new),
            key,
            purpose,
            scheduled: None,
        };
        self.client.insert(id, transaction);
        self.settle_client(id);
        id
    }

    /// Sends the INVITE of a session through a new client transaction.
    pub(in crate::sip) fn open_invite_client(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: BranchId,
        request: Bytes,
        session: SessionId,
    ) -> TransactionId {
        let purpose = Purpose::Invite { session, acknowledgements: Vec::new() };
        self.open_client(now, flow, ClientKey { branch, is_cancel: false }, request, purpose)
    }

    /// Sends a BYE through a new client transaction. `session` waits for the outcome. Where no transaction is left it
    /// goes out once, and `false` says that no outcome will come.
    pub(in crate::sip) fn open_bye_client(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: BranchId,
        request: Bytes,
        session: Option<SessionId>,
    ) -> bool {
        self.counters.count(Counter::ByesSent);
        if self.client.len() >= self.config.limits.max_client_transactions {
            self.counters.count(Counter::DroppedNoTransaction);
            self.transmit(flow, request);
            return false;
        }
        let key = ClientKey { branch, is_cancel: false };
        self.open_client(now, flow, key, request, Purpose::Bye(session));
        true
    }

    /// Sends a refresh of a session through a new client transaction.
    pub(in crate::sip) fn open_refresh_client(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: BranchId,
        request: Bytes,
        session: SessionId,
        is_invite: bool,
    ) {
        let key = ClientKey { branch, is_cancel: false };
        let purpose = Purpose::Refresh { session, is_invite, acknowledgement: None };
        self.open_client(now, flow, key, request, purpose);
    }

    /// Sends the ACK to the 2xx of a re-INVITE of ours, and keeps it for the copies of that (RFC 3261 §13.2.2.4). Nothing
    /// is to be done for an UPDATE.
    pub(in crate::sip) fn acknowledge_refresh(
        &mut self,
        transaction: TransactionId,
        dialog: &Dialog,
    ) -> Result<(), Unwritable> {
        let Some((request, _)) = self.sent_invite(transaction) else { return Ok(()) };
        let Ok(CSeq { number, method: Method::Invite }) = Message::parse(&request)
            .map_err(|_| Unwritable::Text)
            .and_then(|request| request.cseq().map_err(|_| Unwritable::Text))
        else {
            return Ok(());
        };
        let (flow, branch) = (dialog.flow(), self.identifiers.branch());
        let bytes = Bytes::from(dialog.request(Method::Ack, number, &self.via(flow, branch))?.finish());
        if let Some(ClientTransaction { purpose: Purpose::Refresh { acknowledgement, .. }, .. }) =
            self.client.get_mut(transaction)
        {
            let remote_tag = dialog.remote_tag().into();
            *acknowledgement = Some(Acknowledgement { remote_tag, bytes: bytes.clone(), flow });
        }
        self.transmit(flow, bytes);
        Ok(())
    }

    /// Sends a PRACK through a new client transaction. Where no transaction is left it goes out once; the response it
    /// acknowledges comes again if it is lost.
    pub(in crate::sip) fn open_prack_client(
        &mut self,
        now: Instant,
        flow: Flow,
        branch: BranchId,
        request: Bytes,
    ) {
        if self.client.len() >= self.config.limits.max_client_transactions {
            self.counters.count(Counter::DroppedNoTransaction);
            return self.transmit(flow, request);
        }
        let key = ClientKey { branch, is_cancel: false };
        self.open_client(now, flow, key, request, Purpose::Prack);
    }

    /// Sends the CANCEL of an INVITE (§9.1): the same branch, Request-URI, Call-ID, To, From, Route and CSeq number.
    pub(in crate::sip) fn open_cancel_client(&mut self, now: Instant, invite: TransactionId, reason: Reason) {
        let Some(transaction) = self.client.get_mut(invite) else { return };
        let (request, flow, branch) = (transaction.request.clone(), transaction.flow, transaction.key.branch);
        let Ok(invite) = Message::parse(&request) else { return };
        let Ok(mut writer) = begin_for_invite(&invite, Method::Cancel, &invite) else { return };
        if writer.field(HeaderName::Reason, reason.value()).is_err() {
            return;
        }
        let key = ClientKey { branch, is_cancel: true };
        self.open_client(now, flow, key, Bytes::from(writer.finish()), Purpose::Cancel);
    }

    /// Forgets an INVITE that got no final response (§9.1).
    pub(in crate::sip) fn abandon_invite_client(&mut self, invite: TransactionId) {
        if let Some(ClientTransaction { machine: ClientMachine::Invite(machine), .. }) =
            self.client.get_mut(invite)
        {
            machine.abandon();
        }
        self.settle_client(invite);
    }

    /// The INVITE of a client transaction, and the way it went.
    pub(in crate::sip) fn sent_invite(&mut self, id: TransactionId) -> Option<(Bytes, Flow)> {
        self.client.get_mut(id).map(|transaction| (transaction.request.clone(), transaction.flow))
    }

    /// Sends an ACK to a 2xx, and keeps it for the copies of that 2xx.
    pub(in crate::sip) fn acknowledge_ok(
        &mut self,
        invite: TransactionId,
        remote_tag: &[u8],
        flow: Flow,
        bytes: Bytes,
    ) {
        if let Some(ClientTransaction { purpose: Purpose::Invite { acknowledgements, .. }, .. }) =
            self.client.get_mut(invite)
        {
            acknowledgements.push(Acknowledgement {
                remote_tag: remote_tag.into(),
                bytes: bytes.clone(),
                flow,
            });
        }
        self.transmit(flow, bytes);
    }

    pub(super) fn handle_response(&mut self, now: Instant, flow: Flow, response: &Message<'_>, status: u16) {
        if response.check().is_err() {
            return self.counters.count(Counter::DroppedMalformedResponse);
        }
        let (Some(via), Ok(cseq)) = (self.our_via(flow, response), response.cseq()) else {
            return self.counters.count(Counter::DroppedForeignResponse);
        };
        let key = via.branch().and_then(BranchId::parse);
        let key = key.map(|branch| ClientKey { branch, is_cancel: cseq.method == Method::Cancel });
        let Some((id, transaction)) =
            key.and_then(|key| self.client.find(key)).and_then(|id| Some((id, self.client.get_mut(id)?)))
        else {
            return self.counters.count(Counter::DroppedStrayResponse);
        };
        if !answers(response, transaction) {
            return self.counters.count(Counter::DroppedStrayResponse);
        }
        self.counters.count(Counter::ResponsesReceived);
        // The branch of our request is not to be guessed.
        self.overload.proved(now, flow);
        let action = transaction.machine.response(now, ResponseClass::of(status), &self.config.timers);
        match action {
            ClientAction::Deliver => self.deliver(now, id, response, status),
            ClientAction::AcknowledgeAndDeliver => {
                self.acknowledge_failure(id, response);
                self.deliver(now, id, response, status);
            }
            ClientAction::Acknowledge => self.acknowledge_failure(id, response),
            ClientAction::Absorb | ClientAction::SendAgain | ClientAction::TimedOut => {}
        }
        self.settle_client(id);
    }

    /// The only Via of a response, where it is ours (§18.1.2, §8.1.3.3).
    fn our_via<'a>(&self, flow: Flow, response: &Message<'a>) -> Option<Via<'a>> {
        let via = response.top_via().ok()?;
        if response.vias().nth(1).is_some() {
            return None;
        }
        let (host_is_ours, port) = match &self.config.advertised {
            Some(advertised) => {
                let bare = advertised.host.trim_matches(['[', ']']);
                let same = match via.host {
                    Host::Name(name) => name.eq_ignore_ascii_case(bare.as_bytes()),
                    Host::Address(address) => bare.parse() == Ok(address),
                };
                (same, advertised.port)
            }
            None => (via.host == Host::Address(flow.local.ip()), Some(flow.local.port())),
        };
        let same_port = via.port.unwrap_or(DEFAULT_PORT) == port.unwrap_or(DEFAULT_PORT);
        (host_is_ours && same_port).then_some(via)
    }

    /// The ACK to a non-2xx final response (§17.1.1.3).
    fn acknowledge_failure(&mut self, id: TransactionId, response: &Message<'_>) {
        let Some((request, flow)) = self.sent_invite(id) else { return };
        let Ok(invite) = Message::parse(&request) else { return };
        if let Ok(ack) = begin_for_invite(&invite, Method::Ack, response) {
            self.transmit(flow, Bytes::from(ack.finish()));
        }
    }

    fn deliver(&mut self, now: Instant, id: TransactionId, response: &Message<'_>, status: u16) {
        let Some(transaction) = self.client.get_mut(id) else { return };
        let class = ResponseClass::of(status);
        match &transaction.purpose {
            Purpose::Invite { session, acknowledgements } => {
                let session = *session;
                if class != ResponseClass::Success {
                    return self.invite_response(now, session, response, status);
                }
                let remote_tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
                let known = acknowledgements.iter().find(|known| *known.remote_tag == *remote_tag);
                match known.map(|known| (known.flow, known.bytes.clone())) {
                    Some((flow, ack)) => self.transmit(flow, ack),
                    None if acknowledgements.len() < MAX_FORKS => {
                        self.invite_accepted(now, id, session, response);
                    }
                    None => self.counters.count(Counter::DroppedForkLimit),
                }
            }
            Purpose::Refresh { session, acknowledgement, .. } if class != ResponseClass::Provisional => {
                let session = *session;
                let known = acknowledgement.as_ref().map(|known| (known.flow, known.bytes.clone()));
                match (known, class) {
                    (Some((flow, ack)), _) => self.transmit(flow, ack),
                    (None, ResponseClass::Success) => self.refresh_accepted(now, id, session, response),
                    (None, _) => self.refresh_refused(now, session, status, Some(response)),
                }
            }
            Purpose::Bye(session) if class != ResponseClass::Provisional => {
                if let Some(session) = *session {
                    self.bye_answered(session);
                }
            }
            Purpose::Options(request) if class != ResponseClass::Provisional => {
                let request = *request;
                self.emit(Event::OptionsAnswered { request, status });
            }
            Purpose::Register(request) if class != ResponseClass::Provisional => {
                let (request, sent) = (*request, transaction.request.clone());
                self.register_answered(request, &sent, response);
            }
            Purpose::Bye(_)
            | Purpose::Options(_)
            | Purpose::Register(_)
            | Purpose::Cancel
            | Purpose::Prack
            | Purpose::Refresh { .. } => {}
        }
    }
}

/// Whether a response is one to the request of `transaction`: besides the branch its CSeq method must be the same
/// (§17.1.3).
fn answers(response: &Message<'_>, transaction: &ClientTransaction) -> bool {
    let Ok(cseq) = response.cseq() else { return false };
    match transaction.purpose {
        Purpose::Invite { .. } | Purpose::Refresh { is_invite: true, .. } => cseq.method == Method::Invite,
        Purpose::Refresh { is_invite: false, .. } => cseq.method == Method::Update,
        Purpose::Bye(_) => cseq.method == Method::Bye,
        Purpose::Prack => cseq.method == Method::Prack,
        Purpose::Cancel => cseq.method == Method::Cancel,
        Purpose::Options(_) => cseq.method == Method::Options,
        Purpose::Register(_) => cseq.method == Method::Register,
    }
}

/// Begins an ACK or CANCEL that goes by the INVITE's own transaction. To comes from `to_of`.
fn begin_for_invite(
    invite: &Message<'_>,
    method: Method<'_>,
    to_of: &Message<'_>,
) -> Result<Writer, Unwritable> {
    let StartLine::Request { uri, .. } = invite.start() else { return Err(Unwritable::Text) };
    let mut writer = Writer::request(method, uri)?;
    writer.copy(invite, HeaderName::Via);
    writer.copy(invite, HeaderName::MaxForwards);
    writer.copy(invite, HeaderName::Route);
    writer.copy(invite, HeaderName::From);
    writer.copy(to_of, HeaderName::To);
    writer.copy(invite, HeaderName::CallId);
    let number = invite.cseq().map_err(|_| Unwritable::Text)?.number;
    writer.field(HeaderName::CSeq, format!("{number} {method}"))?;
    Ok(writer)
}
