//! What connections add to an endpoint: streams that cannot be read on, ways that fail (RFC 3261 §8.1.3.1, §17.1.4,
//! §18.4), large requests that go over TCP (§18.1.1), and where a connection is opened anew (§18.2.2).

use super::client_table::{ClientMachine, ClientTransaction, Purpose};
use super::config::default_port;
use super::ladder::Refusal;
use super::receive::Received;
use super::respond::reason_phrase;
use super::{Endpoint, TransactionId};
use crate::sip::counters::Counter;
use crate::sip::dialog::is_reachable;
use crate::sip::framing::{Broken, FramingError};
use crate::sip::message::{Defect, Host, Message, Method, SipUri, Uri};
use crate::sip::overload::Offender;
use crate::sip::transaction::{InviteClient, NonInviteClient};
use crate::sip::transport::{Flow, PING, Transmit, Transport};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;

/// The largest request that goes over UDP where the path's MTU is not known, octets (§18.1.1): an Ethernet's 1,500
/// less 200 for the response, which is larger.
pub const MAX_UDP_REQUEST_OCTETS: usize = 1_300;

/// The status that stands for a way that failed (§8.1.3.1).
pub(in crate::sip) const TRANSPORT_FAILED: u16 = 503;

impl Endpoint {
    /// A stream that came by `flow` cannot be read on; its connection is closed. Where a request can be made out of it,
    /// it is answered: to be sent before the connection closes.
    pub fn handle_broken(&mut self, now: Instant, flow: Flow, broken: &Broken) {
        self.counters.count(match broken.error {
            FramingError::TooSlow => Counter::ClosedSlow,
            _ => Counter::ClosedBroken,
        });
        let refusal = match broken.error {
            FramingError::BodyTooLarge => Refusal::new(413, Counter::RefusedBodyTooLarge),
            FramingError::HeaderTooLarge => Refusal::malformed(Defect::HeaderTooLarge),
            FramingError::LineEnd => Refusal::malformed(Defect::LineEnd),
            FramingError::NoContentLength | FramingError::ContentLength => {
                let phrase = format!("Bad Request: {}", broken.error).into();
                Refusal { phrase, ..Refusal::new(400, Counter::RefusedLength) }
            }
            FramingError::TooSlow => Refusal::new(408, Counter::RefusedSlow),
            FramingError::NotSip => {
                let neighbour = self.overload.neighbour(flow);
                return self.offence(now, flow, neighbour, Offender::Babbles);
            }
        };
        let Ok(message) = Message::parse(&broken.header) else { return };
        let Some(method) = message.method().filter(|method| *method != Method::Ack) else { return };
        let neighbour = self.overload.neighbour(flow);
        self.refuse(
            &Received { flow, neighbour, datagram: &broken.header, message: &message, method, user: None },
            &refusal,
        );
    }

    /// What was to go out by `flow` did not reach its peer: no connection could be opened, or it closed first. Requests
    /// that wait for an answer by this way fail as with 503 (§8.1.3.1), but for those that may go over UDP instead
    /// (§18.1.1). Responses are left to the sender of the request, who sends it again or gives up.
    pub fn handle_transport_error(&mut self, now: Instant, flow: Flow) {
        self.counters.count(Counter::TransportErrors);
        for id in self.client.waiting_by(flow) {
            self.client_failed(now, id);
        }
    }

    fn client_failed(&mut self, now: Instant, id: TransactionId) {
        let Some(transaction) = self.client.get_mut(id) else { return };
        if let Some(request) = transaction.by_udp.take() {
            let request = *request;
            let flow = Flow { transport: Transport::Udp, ..transaction.flow };
            transaction.flow = flow;
            transaction.request = request.clone();
            let timers = &self.config.timers;
            transaction.machine = match transaction.machine {
                ClientMachine::Invite(_) => ClientMachine::Invite(InviteClient::new(now, false, timers)),
                ClientMachine::NonInvite(_) => {
                    ClientMachine::NonInvite(NonInviteClient::new(now, false, timers))
                }
            };
            self.transmit(flow, request);
        } else if transaction.machine.transport_failed() {
            let purpose = std::mem::replace(&mut transaction.purpose, Purpose::Cancel);
            self.request_failed(now, purpose, TRANSPORT_FAILED, reason_phrase(TRANSPORT_FAILED));
        }
        self.settle_client(id);
    }

    /// Keeps a connection alive (RFC 5626 §4.4.1). None is opened for it.
    pub fn keep_alive(&mut self, flow: Flow) {
        if self.transmits.len() >= self.config.limits.max_queued_outputs {
            return self.counters.count(Counter::DroppedQueueFull);
        }
        self.counters.count(Counter::KeepAlivesSent);
        self.transmits.push_back(Transmit { flow, bytes: Bytes::from_static(PING), opens: false });
    }

    /// Counts what the driver saw of its connections.
    pub fn count(&mut self, counter: Counter) {
        self.counters.count(counter);
    }

    /// A request too large for UDP goes over TCP, where the settings say that we listen there on the same port: then the
    /// same Via names both. Yields the way, what goes out, and what would go over UDP.
    pub(super) fn by_size(&self, flow: Flow, request: Bytes) -> (Flow, Bytes, Option<Bytes>) {
        if flow.transport != Transport::Udp
            || request.len() <= MAX_UDP_REQUEST_OCTETS
            || !self.config.large_requests_by_tcp
        {
            return (flow, request, None);
        }
        let Some(over_tcp) = with_via_transport(&request, Transport::Tcp) else {
            return (flow, request, None);
        };
        (Flow { transport: Transport::Tcp, ..flow }, over_tcp, Some(request))
    }
}

impl ClientTransaction {
    /// Whether it waits for an answer that would come by `flow`.
    pub(super) fn waits_by(&self, flow: Flow) -> bool {
        self.flow == flow && !self.machine.is_terminated()
    }
}

/// A request of ours with another transport in its only Via.
fn with_via_transport(request: &Bytes, transport: Transport) -> Option<Bytes> {
    let via = Message::parse(request).ok()?.top_via().ok()?.raw;
    let rest = via.strip_prefix(b"SIP/2.0/UDP ")?;
    let start = via.as_ptr() as usize - request.as_ptr() as usize;
    let name = format!("SIP/2.0/{} ", transport.via_name());
    let (before, after) = (request.get(..start)?, request.get(start + via.len()..)?);
    Some(Bytes::from([before, name.as_bytes(), rest, after].concat()))
}

/// The host name that leads to a request's next hop: of the first Route, or else of the Request-URI. It is what the
/// certificate of a server that is connected to must hold (RFC 5922 §7.2). `None` where that is an address.
pub fn next_hop_name(message: &[u8]) -> Option<String> {
    let message = Message::parse(message).ok()?;
    message.method()?;
    let Uri::Sip(SipUri { host: Host::Name(name), .. }) = next_hop(&message)? else { return None };
    String::from_utf8(name.to_vec()).ok()
}

/// The URI of a request's next hop, as loose routing has it (§8.1.2).
fn next_hop<'a>(request: &Message<'a>) -> Option<Uri<'a>> {
    match request.routes().next() {
        Some(route) => route.ok().map(|route| route.uri),
        None => request.request_uri().ok(),
    }
}

/// Where a connection is opened for a message that has none. A request outside a dialog goes where its flow says. One
/// within a dialog goes to the first Route or the Request-URI, where that is an address the peer may name, and a response
/// to where the request came from, at sent-by's port (§18.2.2). `None` where there is no such place: a browser's
/// connection (RFC 7118 §5) cannot be opened by us.
pub fn reopen_at(flow: Flow, message: &[u8]) -> Option<SocketAddr> {
    let message = Message::parse(message).ok()?;
    if message.method().is_some() && message.to().is_ok_and(|to| to.tag().is_none()) {
        return Some(flow.remote);
    }
    if matches!(flow.transport, Transport::Udp | Transport::Ws | Transport::Wss) {
        return None;
    }
    let (ip, port) = match message.method() {
        // The address it came from, whatever the Via says: nobody aims our answers at a third party.
        None => (flow.remote.ip(), message.top_via().ok()?.port),
        Some(_) => {
            let Uri::Sip(SipUri { host, port, .. }) = next_hop(&message)? else { return None };
            match host {
                Host::Address(address) if is_reachable(address, flow.remote.ip()) => (address, port),
                _ => (flow.remote.ip(), port),
            }
        }
    };
    Some(SocketAddr::new(ip, port.unwrap_or(default_port(flow.transport))))
        .filter(|address| address.port() != 0)
}
