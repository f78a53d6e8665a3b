//! What the limiter is told when it is made.

use super::scanner::SCANNERS;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use std::time::Duration;

/// How a call from an address that is nobody's peer is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strangers {
    /// Like any other: he hears why he cannot be served.
    #[default]
    Answer,
    /// 403.
    Refuse,
    /// Not at all.
    Ignore,
}

/// A neighbour in the network, and its share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerShare {
    /// Where it sends from.
    pub addresses: Vec<IpNet>,
    /// Names of which one must stand, whole and in any case, in its verified certificate, where it is known by that; a
    /// wildcard is no name. Where addresses are given too, both must hold.
    pub certificates: Vec<String>,
    /// Its calls at once; `None` for as many as there may be.
    pub max_calls: Option<usize>,
    /// Its new calls a second; `None` for as many as there may be.
    pub max_calls_per_s: Option<u32>,
    /// Whether requests to a `sips` URI are taken from it without TLS.
    pub sips_without_tls: bool,
}

impl PeerShare {
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|range| range.contains(&address))
    }

    /// Whether it is the peer that connects from `address` with a certificate that holds `names`.
    pub(super) fn connects_from(&self, address: IpAddr, names: &[String]) -> bool {
        let is_own = |name: &String| {
            !name.contains('*') && self.certificates.iter().any(|own| own.eq_ignore_ascii_case(name))
        };
        let by_address = self.holds(address);
        match self.certificates.is_empty() {
            true => by_address,
            false => (self.addresses.is_empty() || by_address) && names.iter().any(is_own),
        }
    }
}

/// What guards against those who are nobody's peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Messages a second from one source; `None` does not limit them.
    pub max_messages_per_s: Option<u32>,
    /// Of those, at once.
    pub message_burst: u32,
    /// Offences a minute that are borne before a ban.
    pub offences_per_minute: u32,
    /// The first ban.
    pub ban: Duration,
    /// The longest.
    pub ban_max: Duration,
    /// Sources that are remembered.
    pub max_sources: usize,
}

/// The limiter's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// New calls a second, from all; `None` does not limit them.
    pub max_calls_per_s: Option<u32>,
    /// New calls at once, of those.
    pub call_burst: u32,
    /// The neighbours; first match wins.
    pub peers: Vec<PeerShare>,
    /// Calls of one neighbour at once that are not acknowledged, or not answered; `None` does not limit them.
    pub max_unacknowledged: Option<usize>,
    /// Calls at once of all who are nobody's peer; `None` for as many as there may be.
    pub strangers_max_calls: Option<usize>,
    /// How calls of others are met.
    pub strangers: Strangers,
    /// Whether other requests outside calls, such as OPTIONS and REGISTER, of others are left unanswered.
    pub silent_to_strangers: bool,
    /// `None` takes everybody for a peer: for a network of one's own, and for tests.
    pub guard: Option<Guard>,
    /// What scanners call themselves; any case.
    pub scanners: Vec<String>,
    /// A 503's Retry-After is up to so many seconds more than its least, so that those refused together do not come
    /// back together.
    pub retry_after_spread_s: u32,
    /// For how long a loss that is asked for holds (RFC 7339 §4.3); `None` never asks for any.
    pub loss_validity: Option<Duration>,
    /// The time since 1970 in UTC at which the endpoint is made.
    pub made_at: Duration,
}

impl Settings {
    /// No limit, and everybody is a peer.
    pub fn open() -> Self {
        Self {
            max_calls_per_s: None,
            call_burst: 1,
            peers: Vec::new(),
            max_unacknowledged: None,
            strangers_max_calls: None,
            strangers: Strangers::Answer,
            silent_to_strangers: false,
            guard: None,
            scanners: SCANNERS.map(str::to_owned).to_vec(),
            retry_after_spread_s: 0,
            loss_validity: None,
            made_at: Duration::ZERO,
        }
    }
}
