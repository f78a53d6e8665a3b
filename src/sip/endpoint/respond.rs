//! Our responses: how they are begun, by which way they go (RFC 3261 §8.2.6, §18.2.2, RFC 3581), and how they pass
//! through their transaction.

use super::config::{HostPort, default_port};
use super::ladder::Refusal;
use super::receive::Received;
use super::server_table::{ServerMachine, ServerTransaction};
use super::{Endpoint, TransactionId};
use crate::sip::counters::Counter;
use crate::sip::identifier::Tag;
use crate::sip::message::{HeaderName, Message, Method, Unwritable, Writer};
use crate::sip::session::SessionId;
use crate::sip::transaction::key::{self, DEFAULT_PORT, RequestIdentity};
use crate::sip::transaction::{InviteServer, NonInviteServer, ResponseClass, ServerAction};
use crate::sip::transport::{Flow, Transport};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// The reason phrase of RFC 3261 §21 for a status this user agent answers or the call layer is likely to.
pub(in crate::sip) fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        422 => "Session Interval Too Small",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        600 => "Busy Everywhere",
        603 => "Decline",
        606 => "Not Acceptable",
        other => match other / 100 {
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            6 => "Global Failure",
            _ => "Unknown",
        },
    }
}

/// An address as it stands in a parameter.
fn address(value: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(value).ok()?.trim_matches(['[', ']']).parse().ok()
}

impl Endpoint {
    /// Where the responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4). Over UDP to the address it came from, whatever
    /// Via says, and there to the port it came from where `rport` asks so, otherwise to the port of sent-by. `maddr` is
    /// followed only to another address of the same peer: it would let a forged request aim our answers at a third party.
    pub(super) fn reply_to(&self, flow: Flow, request: &Message<'_>) -> SocketAddr {
        let Ok(via) = request.top_via() else { return flow.remote };
        if flow.transport.is_reliable() {
            return flow.remote;
        }
        let port = via.port.filter(|port| *port != 0).unwrap_or(DEFAULT_PORT);
        let source = flow.remote.ip();
        let maddr = via.parameters.value("maddr").and_then(address).filter(|maddr| *maddr != source);
        match maddr.filter(|maddr| self.overload.is_same_peer(*maddr, source)) {
            Some(maddr) => SocketAddr::new(maddr, port),
            None if via.parameters.has("rport") => flow.remote,
            None => SocketAddr::new(source, port),
        }
    }

    /// Begins a response to a request that came by `flow`.
    pub(in crate::sip) fn begin_response(
        &self,
        request: &Message<'_>,
        flow: Flow,
        status: u16,
        phrase: &str,
        local_tag: Option<Tag>,
    ) -> Result<Writer, Unwritable> {
        let tag = local_tag.map(|tag| tag.to_string());
        let tag = tag.as_ref().map(|tag| tag.as_bytes());
        let phrase = if phrase.is_empty() { reason_phrase(status) } else { phrase };
        let feedback = || self.overload.feedback(flow);
        let mut writer =
            Writer::response_with_feedback(request, flow.remote, status, phrase, tag, &feedback)?;
        if !self.config.server_name.is_empty() {
            writer.field(HeaderName::Server, &self.config.server_name)?;
        }
        Ok(writer)
    }

    /// Our address for Via and Contact.
    pub(super) fn sent_by(&self, flow: Flow) -> String {
        match &self.config.advertised {
            Some(advertised) => {
                let port = advertised.port_of(flow);
                let port = Some(port).filter(|port| *port != default_port(flow.transport));
                HostPort { host: advertised.host.clone(), port }.to_string()
            }
            None => flow.local.to_string(),
        }
    }

    /// The value of our Contact, with `sips` where the peer asks for it (§12.1.1): TLS is then implied, and its parameter
    /// deprecated (RFC 5630 §3.1.4). Browsers know only `ws` (RFC 7118 §5.2).
    pub(in crate::sip) fn contact(&self, flow: Flow, asks_for_sips: bool) -> String {
        self.contact_of(flow, &self.config.contact_user, asks_for_sips)
    }

    /// Our Contact with another user part.
    pub(super) fn contact_of(&self, flow: Flow, user: &str, asks_for_sips: bool) -> String {
        let scheme = if asks_for_sips { "sips" } else { "sip" };
        let parameter = match flow.transport {
            Transport::Udp => "",
            Transport::Tls if asks_for_sips => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
            Transport::Ws | Transport::Wss => ";transport=ws",
        };
        format!("<{scheme}:{user}@{}{parameter}>", self.sent_by(flow))
    }

    /// Answers outside any transaction (RFC 3261 §8.2.7): the tag is made from the request, so that each of its
    /// retransmissions gets the same answer.
    pub(super) fn refuse(&mut self, received: &Received<'_, '_>, refusal: &Refusal) {
        self.counters.count(refusal.counter);
        let Ok(response) = self.write_refusal(received, refusal) else {
            // Nothing that could be answered: no Via.
            return self.counters.count(Counter::DroppedUnreadable);
        };
        let flow = Flow { remote: self.reply_to(received.flow, received.message), ..received.flow };
        self.transmit(flow, Bytes::from(response));
    }

    fn write_refusal(
        &mut self,
        received: &Received<'_, '_>,
        refusal: &Refusal,
    ) -> Result<Vec<u8>, Unwritable> {
        let message = received.message;
        self.write_request_key(message);
        let tag = self.hash_key.tag_of(&self.key);
        let flow = received.flow;
        let mut writer = self.begin_response(message, flow, refusal.status, &refusal.phrase, Some(tag))?;
        for (name, value) in &refusal.headers {
            writer.field(*name, value.as_bytes())?;
        }
        Ok(writer.finish())
    }

    /// Writes what is the same in each retransmission of a request, as far as it can be read.
    pub(super) fn write_request_key(&mut self, message: &Message<'_>) {
        self.key.clear();
        for octets in [message.call_id(), message.from().map(|from| from.raw)].into_iter().flatten() {
            self.key.extend_from_slice(octets);
        }
        if let Ok(via) = message.top_via() {
            self.key.extend_from_slice(via.branch().unwrap_or(via.raw));
        }
    }

    /// Makes the server transaction of a request; `None` when the limit is reached. `request` holds the octets of one that
    /// is answered later, and nothing otherwise.
    pub(in crate::sip) fn open_server(
        &mut self,
        received: &Received<'_, '_>,
        identity: &RequestIdentity<'_>,
        local_tag: Tag,
        session: Option<SessionId>,
        request: Bytes,
    ) -> Option<TransactionId> {
        if self.server.len() >= self.config.limits.max_server_transactions {
            self.counters.count(Counter::DroppedNoTransaction);
            return None;
        }
        let reliable = received.flow.transport.is_reliable();
        let machine = match received.method {
            Method::Invite => ServerMachine::Invite(InviteServer::new(reliable)),
            _ => ServerMachine::NonInvite(NonInviteServer::new(reliable)),
        };
        // Only a new call can be merged; within a dialog the CSeq orders requests.
        let is_new_call = !request.is_empty() && received.message.to().is_ok_and(|to| to.tag().is_none());
        let merge_key = is_new_call.then(|| {
            key::write_merge_key(&mut self.key, identity, received.method);
            self.key.as_slice().into()
        });
        key::write_server_key(&mut self.key, identity, received.method);
        let transaction = ServerTransaction {
            machine,
            flow: received.flow,
            reply_to: self.reply_to(received.flow, received.message),
            local_tag,
            session,
            request,
            response: Bytes::new(),
            key: self.key.as_slice().into(),
            merge_key,
            scheduled: None,
        };
        let id = self.next_transaction_id();
        self.server.insert(id, transaction);
        Some(id)
    }

    /// The INVITE or UPDATE of a transaction that has no final response yet, the way it came, and our tag.
    pub(in crate::sip) fn pending_invite(&mut self, id: TransactionId) -> Option<(Bytes, Flow, Tag)> {
        let transaction = self.server.get_mut(id)?;
        Some((transaction.request.clone(), transaction.flow, transaction.local_tag))
    }

    /// Passes a response through its transaction, which sends it. Yields the way it went.
    pub(in crate::sip) fn respond(
        &mut self,
        now: Instant,
        id: TransactionId,
        status: u16,
        response: Bytes,
    ) -> Option<Flow> {
        let transaction = self.server.get_mut(id)?;
        let class = ResponseClass::of(status);
        let flow = Flow { remote: transaction.reply_to, ..transaction.flow };
        if transaction.machine.respond(now, class, &self.config.timers) == ServerAction::Send {
            let invite_accepted =
                class == ResponseClass::Success && matches!(transaction.machine, ServerMachine::Invite(_));
            if class != ResponseClass::Provisional {
                transaction.request = Bytes::new();
            }
            transaction.response = if invite_accepted { Bytes::new() } else { response.clone() };
            self.transmit(flow, response);
        }
        self.settle_server(id);
        Some(flow)
    }

    /// Answers a request within a call through a transaction of its own. `false` when no transaction is left: then
    /// nothing is to come of the request, and its retransmission may fare better.
    pub(in crate::sip) fn answer(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        local_tag: Tag,
        status: u16,
        fields: &[(HeaderName, &str)],
    ) -> bool {
        let Ok(identity) = RequestIdentity::of(received.message) else { return false };
        let flow = received.flow;
        let Ok(mut writer) = self.begin_response(received.message, flow, status, "", Some(local_tag)) else {
            return false;
        };
        if fields.iter().any(|(name, value)| writer.field(*name, value).is_err()) {
            return false;
        }
        let Some(id) = self.open_server(received, &identity, local_tag, None, Bytes::new()) else {
            return false;
        };
        self.respond(now, id, status, Bytes::from(writer.finish()));
        true
    }

    /// Lets a request that comes again go unanswered until the next response: the last one has done its work.
    pub(in crate::sip) fn forget_response(&mut self, id: TransactionId) {
        if let Some(transaction) = self.server.get_mut(id) {
            transaction.response = Bytes::new();
        }
    }
}
