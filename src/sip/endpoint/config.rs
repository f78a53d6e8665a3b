//! What an endpoint is told when it is made, and the switch between taking calls and refusing them.

use crate::sip::overload;
use crate::sip::timer::Timers;
use std::fmt;
use std::time::Duration;

/// The part of each limit that is kept for requests within calls: one in so many. New calls are refused before calls
/// that exist run short.
pub const RESERVE_DIVISOR: usize = 8;

/// How much an endpoint holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Server transactions. A finished call holds two for 64·T1. New calls get seven eighths.
    pub max_server_transactions: usize,
    /// Client transactions. New requests of ours get seven eighths, BYE the rest.
    pub max_client_transactions: usize,
    /// Sessions, from their INVITE to the end of their BYE.
    pub max_sessions: usize,
    /// Octets of a body that a request may bring; over it 413.
    pub max_body_octets: usize,
    /// Messages and events that wait for the driver; over it datagrams are dropped. New calls are refused at seven
    /// eighths.
    pub max_queued_outputs: usize,
    /// How long a call may stay unanswered, unrefused and uncancelled.
    pub max_setup: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_server_transactions: 65_536,
            max_client_transactions: 65_536,
            max_sessions: 10_000,
            max_body_octets: 16_384,
            max_queued_outputs: 65_536,
            max_setup: Duration::from_secs(180),
        }
    }
}

/// How much of `limit` new calls may use.
pub(super) fn for_new_calls(limit: usize) -> usize {
    limit - limit / RESERVE_DIVISOR
}

/// A host and maybe a port, as they stand in a Via or a URI. An IPv6 address has brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A domain name or an address.
    pub host: String,
    /// `None` means 5060.
    pub port: Option<u16>,
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(formatter, "{}:{port}", self.host),
            None => formatter.write_str(&self.host),
        }
    }
}

/// Session timers (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionIntervals {
    /// The session interval that we ask for, and the longest that we agree to, s. 0: we ask for none, and agree to what a peer
    /// asks for.
    pub session_expires_s: u32,
    /// The shortest that we agree to, s: below it 422. RFC 4028 §4 asks for 90 or more.
    pub min_se_s: u32,
}

impl Default for SessionIntervals {
    fn default() -> Self {
        Self { session_expires_s: 0, min_se_s: 90 }
    }
}

/// The settings of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// The base values of all timers.
    pub timers: Timers,
    /// How much it holds at most.
    pub limits: Limits,
    /// Session timers.
    pub session_intervals: SessionIntervals,
    /// The value of Server and User-Agent; empty for none.
    pub server_name: String,
    /// The user part of our Contact.
    pub contact_user: String,
    /// What Via and Contact name instead of the flow's local address.
    pub advertised: Option<HostPort>,
    /// Whether requests of ours that are too large for UDP go over TCP (RFC 3261 §18.1.1): where TCP is listened for at
    /// the same addresses and ports as UDP.
    pub large_requests_by_tcp: bool,
    /// Retry-After of a 503 for a full service, in seconds; the least one.
    pub retry_after_s: u32,
    /// What is admitted.
    pub overload: overload::Settings,
    /// Determines every tag, branch and Call-ID. From the system's random source, but for tests.
    pub seed: [u8; 32],
}

impl EndpointConfig {
    /// The default timers and limits, and no guard against anybody, with `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            timers: Timers::default(),
            limits: Limits::default(),
            session_intervals: SessionIntervals::default(),
            server_name: "klikon".to_owned(),
            contact_user: "130".to_owned(),
            advertised: None,
            large_requests_by_tcp: false,
            retry_after_s: 10,
            overload: overload::Settings::open(),
            seed,
        }
    }
}

/// Whether new calls are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceState {
    /// They are.
    Accepting,
    /// INVITE and OPTIONS outside calls are answered 503; calls that exist go on.
    Refusing {
        /// Retry-After of the 503, in seconds.
        retry_after_s: u32,
    },
    /// OPTIONS is answered 503, so that peers send calls elsewhere. An INVITE is for the call layer, which knows whether
    /// a call has ended meanwhile.
    Full {
        /// Retry-After of the 503, in seconds.
        retry_after_s: u32,
    },
    /// As refusing: something without which no call can be served is missing.
    Unable {
        /// Retry-After of the 503, in seconds.
        retry_after_s: u32,
    },
}
