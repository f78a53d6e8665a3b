//! The endpoint: a SIP user agent without sockets, clock or tasks (RFC 3261, user agent core and transactions).
//!
//! The driver hands in datagrams ([`Endpoint::handle_datagram`]) and the passing of time
//! ([`Endpoint::handle_timeout`], at [`Endpoint::poll_timeout`]), and the call layer its orders; after each, the driver
//! takes out what is to be sent ([`Endpoint::poll_transmit`]) and the call layer what happened
//! ([`Endpoint::poll_event`]). Time is an argument and the seed a setting, so that any run can be replayed.
//!
//! Parts: `admission` (what is not even looked into), `receive` (requests), `ladder` (what is refused, RFC 3261 §8.2),
//! `authentication` (what must be proven, §22), `capabilities` (what we can do), `respond` (our responses), `client` (our
//! requests and the responses to them), `originate` (requests outside dialogs), `wake_up` (timers). The steps of a call
//! are in [`crate::sip::session`].
//!
//! A refusal that the ladder makes outside a call is stateless (RFC 3261 §8.2.7): one datagram out for one in, no
//! retransmission and no memory, so that forged requests gain nothing. Refusals by the call layer and within a call are
//! transactions.

mod admission;
mod authentication;
pub(super) mod capabilities;
mod client;
mod client_table;
mod config;
mod event;
mod held;
mod ladder;
mod originate;
pub(super) mod receive;
mod register;
mod replaces;
pub(super) mod respond;
mod server_table;
mod streams;
pub(super) mod wake_up;

#[cfg(test)]
mod tests;

pub(super) use client_table::MAX_FORKS;
pub use config::{EndpointConfig, HostPort, Limits, RESERVE_DIVISOR, ServiceState, SessionIntervals};
pub(super) use event::text;
pub use event::{
    EndCause, Event, IncomingInvite, InviteParams, OptionsId, OptionsParams, OriginateError, Party,
    RegisterId, RegisterParams, Rejection, Reliability, SessionError, UriKind,
};
pub use held::Held;
pub(super) use server_table::TransactionId;
pub use streams::{MAX_UDP_REQUEST_OCTETS, next_hop_name, reopen_at};

use super::auth::server::Authenticator;
use super::counters::{Counter, Counters};
use super::identifier::{HashKey, Identifiers};
use super::message::{Malformed, Message, StartLine};
use super::overload::{Offender, Overload};
use super::session::{SessionId, Sessions};
use super::timer::WakeUps;
use super::transport::{Flow, Transmit};
use bytes::Bytes;
use client_table::ClientTransactions;
use server_table::ServerTransactions;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

/// What a wake-up is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WakeUp {
    Server(TransactionId),
    Client(TransactionId),
    Session(SessionId),
}

/// A SIP user agent.
pub struct Endpoint {
    pub(super) config: EndpointConfig,
    service_state: ServiceState,
    pub(super) identifiers: Identifiers,
    hash_key: HashKey,
    pub(super) overload: Overload,
    server: ServerTransactions,
    client: ClientTransactions,
    pub(super) sessions: Sessions,
    authenticator: Option<Authenticator>,
    /// The number of the next transaction, session or OPTIONS.
    next_number: u64,
    wake_ups: WakeUps<WakeUp>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    pub(super) counters: Counters,
    /// Where keys are written for look-ups.
    key: Vec<u8>,
}

/// Only how much it holds: the messages within name callers, who are not for a log.
impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("sessions", &self.session_count())
            .field("transactions", &self.transaction_count())
            .field("service_state", &self.service_state)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// An endpoint that holds nothing yet. Timer values out of bounds are brought within them
    /// ([`crate::sip::timer::Timers::bounded`]).
    pub fn new(config: EndpointConfig) -> Self {
        let mut config = EndpointConfig { timers: config.timers.bounded(), ..config };
        // With an interval of nothing a timer would fire for ever at one instant.
        config.session_intervals.min_se_s = config.session_intervals.min_se_s.max(1);
        let mut identifiers = Identifiers::new(config.seed);
        let hash_key = identifiers.hash_key();
        let overload = Overload::new(config.overload.clone(), hash_key);
        Self {
            config,
            service_state: ServiceState::Accepting,
            identifiers,
            hash_key,
            overload,
            server: ServerTransactions::new(hash_key),
            client: ClientTransactions::new(hash_key),
            sessions: Sessions::new(hash_key),
            authenticator: None,
            next_number: 0,
            wake_ups: WakeUps::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            key: Vec::new(),
        }
    }

    /// Takes in one datagram, or one whole message of a stream, that came by `flow`.
    pub fn handle_datagram(&mut self, now: Instant, flow: Flow, datagram: &[u8]) {
        self.counters.count(Counter::Datagrams);
        if self.queued() >= self.config.limits.max_queued_outputs {
            return self.counters.count(Counter::DroppedQueueFull);
        }
        let neighbour = match self.overload.screen(now, flow, datagram.len()) {
            Ok(neighbour) => neighbour,
            Err(counter) => return self.screened_out(now, flow, counter),
        };
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(Malformed::KeepAlive) => return self.counters.count(Counter::KeepAlives),
            Err(malformed) => {
                self.counters.count(match malformed {
                    Malformed::StatusLine => Counter::DroppedMalformedResponse,
                    _ => Counter::DroppedUnreadable,
                });
                return self.offence(now, flow, neighbour, Offender::Babbles);
            }
        };
        match message.start() {
            StartLine::Request { method, .. } => {
                self.handle_request(
                    now,
                    receive::Received { flow, neighbour, datagram, message: &message, method, user: None },
                );
            }
            StartLine::Response { status, .. } => self.handle_response(now, flow, &message, status),
        }
    }

    /// A message is not read, for the reason counted.
    fn screened_out(&mut self, now: Instant, flow: Flow, counter: Counter) {
        self.counters.count(counter);
        if counter == Counter::DroppedSourceRate {
            let neighbour = self.overload.neighbour(flow);
            self.offence(now, flow, neighbour, Offender::Floods);
        }
    }

    /// The next message to be sent.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Endpoint::handle_timeout`] is to be called; `None` when nothing waits. The call may find nothing due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake_ups.next()
    }

    /// Takes new calls, or refuses them.
    pub fn set_service_state(&mut self, state: ServiceState) {
        self.service_state = state;
    }

    /// The URI of the next hop of a session's requests, where it names a host, and the address its peer is heard from.
    pub fn named_hop(&self, id: SessionId) -> Option<(String, IpAddr)> {
        let (uri, heard) = self.sessions.get(id)?.dialog.as_ref()?.named_hop()?;
        Some((text(uri), heard))
    }

    /// Sends a session's requests to where that URI leads, by `flow`. `false` where they may not go there, or the session is
    /// gone.
    pub fn follow_named_hop(&mut self, id: SessionId, uri: &str, flow: Flow) -> bool {
        self.sessions.follow(id, uri.as_bytes(), flow)
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sessions held, those being set up or ended included.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Server and client transactions held, finished ones that absorb retransmissions included.
    pub fn transaction_count(&self) -> usize {
        self.server.len() + self.client.len()
    }

    fn queued(&self) -> usize {
        self.transmits.len() + self.events.len()
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// Queues a message. Over the limit it is dropped, which to its receiver is a loss in the network.
    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        if self.transmits.len() >= self.config.limits.max_queued_outputs {
            return self.counters.count(Counter::DroppedQueueFull);
        }
        if !self.overload.may_send(flow, &bytes) {
            return self.counters.count(Counter::DroppedUnproved);
        }
        self.counters.count(Counter::MessagesSent);
        let opens = self.sessions.is_found(flow);
        self.transmits.push_back(Transmit { flow, bytes, opens });
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn next_transaction_id(&mut self) -> TransactionId {
        TransactionId(self.next_number())
    }

    pub(super) fn next_session_id(&mut self) -> SessionId {
        self.sweep_wake_ups();
        SessionId(self.next_number())
    }
}
