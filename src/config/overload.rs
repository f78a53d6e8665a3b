//! `[overload]`: how much is taken on, and what guards against those who are nobody's peer.

use super::problem::{Problem, problem, within};
use crate::call::Peer;
use crate::sip::overload::{Guard, PeerShare, SCANNERS, Settings, Strangers};
use serde::Deserialize;
use std::time::Duration;

/// `[overload]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overload {
    /// New calls a second, from all; 0 does not limit them.
    pub max_calls_per_s: u32,
    /// Of those, at once.
    pub call_burst: u32,
    /// A 503's Retry-After is up to so many seconds more than `sip.retry_after_s`.
    pub retry_after_spread_s: u32,
    /// Whether neighbours that ask are told how many of their calls to keep back (RFC 7339).
    pub feedback: bool,
    /// For how long such a word holds, ms.
    pub feedback_validity_ms: u64,
    /// Calls at once of one peer, or of all who are nobody's, whose answer is not acknowledged.
    pub max_unacknowledged: usize,
    /// Calls at once of all who are nobody's peer.
    pub strangers_max_calls: usize,
    /// How calls from addresses that are nobody's peer are met.
    pub strangers: Strangers,
    /// Whether their other requests outside calls, such as OPTIONS and REGISTER, get no answer.
    pub silent_to_strangers: bool,
    /// Messages a second from one address that is nobody's peer, or one IPv6 /64; 0 does not limit them.
    pub source_messages_per_s: u32,
    /// Of those, at once.
    pub source_message_burst: u32,
    /// Offences a minute after which such an address is banned.
    pub offences_per_minute: u32,
    /// The first ban, s; each further one of the same address is twice as long.
    pub ban_s: u64,
    /// The longest ban, s.
    pub ban_max_s: u64,
    /// Such addresses that are remembered.
    pub max_sources: usize,
    /// What scanners call themselves.
    pub scanners: Vec<String>,
}

impl Default for Overload {
    fn default() -> Self {
        Self {
            max_calls_per_s: 500,
            call_burst: 500,
            retry_after_spread_s: 10,
            feedback: true,
            feedback_validity_ms: 500,
            max_unacknowledged: 200,
            strangers_max_calls: 50,
            strangers: Strangers::Answer,
            silent_to_strangers: false,
            source_messages_per_s: 50,
            source_message_burst: 200,
            offences_per_minute: 60,
            ban_s: 60,
            ban_max_s: 3600,
            max_sources: 16_384,
            scanners: SCANNERS.map(str::to_owned).to_vec(),
        }
    }
}

impl Overload {
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        within(found, "overload.max_calls_per_s", self.max_calls_per_s, 0, 1_000_000);
        within(found, "overload.call_burst", self.call_burst, 1, 1_000_000);
        within(found, "overload.retry_after_spread_s", self.retry_after_spread_s, 0, 3600);
        within(found, "overload.feedback_validity_ms", self.feedback_validity_ms, 100, 60_000);
        within(found, "overload.max_unacknowledged", self.max_unacknowledged, 1, 1_000_000);
        within(found, "overload.strangers_max_calls", self.strangers_max_calls, 1, 1_000_000);
        within(found, "overload.source_messages_per_s", self.source_messages_per_s, 0, 1_000_000);
        within(found, "overload.source_message_burst", self.source_message_burst, 1, 1_000_000);
        within(found, "overload.offences_per_minute", self.offences_per_minute, 1, 1_000_000);
        within(found, "overload.ban_s", self.ban_s, 1, 86_400);
        within(found, "overload.ban_max_s", self.ban_max_s, self.ban_s, 604_800);
        within(found, "overload.max_sources", self.max_sources, 64, 1_000_000);
        if self.scanners.iter().any(|scanner| scanner.trim().len() < 4) {
            problem(
                found,
                "overload.scanners",
                "a name of fewer than four characters would be found in honest ones too",
                "write whole names, like \"friendly-scanner\"",
            );
        }
    }

    /// What the SIP side is told; `made_at` is the time since 1970 in UTC.
    pub fn limiter(&self, peers: &[Peer], made_at: Duration) -> Settings {
        Settings {
            max_calls_per_s: Some(self.max_calls_per_s).filter(|rate| *rate > 0),
            call_burst: self.call_burst,
            peers: peers.iter().map(share).collect(),
            max_unacknowledged: Some(self.max_unacknowledged),
            strangers_max_calls: Some(self.strangers_max_calls),
            strangers: self.strangers,
            silent_to_strangers: self.silent_to_strangers,
            guard: Some(Guard {
                max_messages_per_s: Some(self.source_messages_per_s).filter(|rate| *rate > 0),
                message_burst: self.source_message_burst,
                offences_per_minute: self.offences_per_minute,
                ban: Duration::from_secs(self.ban_s),
                ban_max: Duration::from_secs(self.ban_max_s),
                max_sources: self.max_sources,
            }),
            scanners: self.scanners.clone(),
            retry_after_spread_s: self.retry_after_spread_s,
            loss_validity: self.feedback.then(|| Duration::from_millis(self.feedback_validity_ms)),
            made_at,
        }
    }
}

/// A range that is the whole internet, as a peer may have whose users authenticate, makes nobody less a stranger.
fn share(peer: &Peer) -> PeerShare {
    PeerShare {
        addresses: peer.addresses.iter().filter(|range| range.prefix_len() > 0).copied().collect(),
        certificates: peer.certificates.clone(),
        max_calls: peer.max_calls,
        max_calls_per_s: peer.max_calls_per_s,
        sips_without_tls: peer.sips_without_tls,
    }
}
