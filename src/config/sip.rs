//! `[sip]`: where calls arrive.

use super::problem::{Problem, problem, within};
use crate::net::Listen;
use crate::net::NameServer;
use crate::sip::Transport;
use serde::Deserialize;
use std::net::{Ipv6Addr, SocketAddr};

/// `[sip]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sip {
    /// Where to listen, by which transport; port 0 lets the system choose.
    pub listen: Vec<Listen>,
    /// Host that peers reach us by, when it is not the address we listen on (NAT).
    pub advertise: Option<String>,
    /// Which DNS is asked where requests of ours go: `system`, or a server's address.
    pub resolver: NameServer,
    /// What the Server header says.
    pub server_name: String,
    /// T1, the round-trip estimate (RFC 3261 §17.1.1.1), ms.
    pub t1_ms: u64,
    /// T2, the longest retransmission interval, ms.
    pub t2_ms: u64,
    /// T4, how long a message stays in the network, ms.
    pub t4_ms: u64,
    /// Server transactions held at once.
    pub max_transactions: usize,
    /// Largest message body read, octets.
    pub max_body_octets: usize,
    /// Retry-After of a 503, s.
    pub retry_after_s: u32,
}

impl Default for Sip {
    fn default() -> Self {
        Self {
            listen: [Transport::Udp, Transport::Tcp]
                .map(|transport| Listen { transport, address: SocketAddr::from(([0, 0, 0, 0], 5060)) })
                .to_vec(),
            advertise: None,
            resolver: NameServer::System,
            server_name: "klikon".to_owned(),
            t1_ms: 500,
            t2_ms: 4000,
            t4_ms: 5000,
            max_transactions: 20_000,
            max_body_octets: 16_384,
            retry_after_s: 10,
        }
    }
}

impl Sip {
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if self.listen.is_empty() {
            problem(found, "sip.listen", "no address to listen on", "write [\"udp:0.0.0.0:5060\"]");
        }
        within(found, "sip.t1_ms", self.t1_ms, 1, 10_000);
        within(found, "sip.t2_ms", self.t2_ms, self.t1_ms, 60_000);
        within(found, "sip.t4_ms", self.t4_ms, 1, 60_000);
        within(found, "sip.max_transactions", self.max_transactions, 1, 10_000_000);
        within(found, "sip.max_body_octets", self.max_body_octets, 512, 65_535);
        within(found, "sip.retry_after_s", self.retry_after_s, 1, 3600);
        let header_safe = |text: &str| !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if !header_safe(&self.server_name) {
            problem(
                found,
                "sip.server_name",
                "empty, or with characters a header cannot hold",
                "write printable ASCII",
            );
        }
        if let Some(address) = self.advertise.as_ref().and_then(|host| host.parse::<Ipv6Addr>().ok()) {
            problem(
                found,
                "sip.advertise",
                &format!("`{address}` is an IPv6 address without brackets"),
                &format!("write \"[{address}]\""),
            );
        } else if let Some(host) = &self.advertise
            && (!header_safe(host) || host.contains([' ', '@', ';', '<', '>', '/']))
        {
            problem(
                found,
                "sip.advertise",
                &format!("`{host}` is not a host"),
                "write a name or address, like \"192.0.2.1\"",
            );
        }
    }
}
