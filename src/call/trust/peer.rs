//! Neighbours in the network, and the users who prove who they are.

use super::Source;
use crate::units::Msisdn;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which header field a trusted peer's caller identity is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityHeader {
    /// P-Asserted-Identity, SIP or tel URI (RFC 3325).
    PAssertedIdentity,
    /// From: only for a test bench, or for a peer that has authenticated its users and writes From itself.
    From,
}

/// `[[peers]]` of the settings: a neighbour in the network. Of `addresses`, `certificates` and `digest`, each that is
/// given must hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// For logs and call records.
    pub name: String,
    /// Address ranges the peer sends from; any, when empty.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// Names of which one must stand in the peer's verified TLS certificate, whole and in any case; a wildcard is no
    /// name. Any connection will do, when empty.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Whether each of its requests must prove by digest authentication which user sends it (RFC 3261 §22).
    #[serde(default)]
    pub digest: bool,
    /// Where its callers' identity stands.
    #[serde(default = "Peer::default_identity")]
    pub identity: IdentityHeader,
    /// Its calls at once; one more is answered 503 with Retry-After. `None` for as many as `calls.max`.
    #[serde(default)]
    pub max_calls: Option<usize>,
    /// Its new calls a second. `None` for as many as `overload.max_calls_per_s`.
    #[serde(default)]
    pub max_calls_per_s: Option<u32>,
    /// Whether a leader who calls from there must key his PIN as well.
    #[serde(default)]
    pub pin: bool,
    /// Whether requests to a `sips` URI are taken from it without TLS (RFC 5630 §4): of a proxy beside this machine that
    /// ends TLS.
    #[serde(default)]
    pub sips_without_tls: bool,
}

impl Peer {
    fn default_identity() -> IdentityHeader {
        IdentityHeader::PAssertedIdentity
    }

    /// This machine itself.
    pub fn loopback() -> Self {
        Self {
            name: "loopback".to_owned(),
            addresses: vec![
                Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
                Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
            ],
            certificates: Vec::new(),
            digest: false,
            identity: IdentityHeader::PAssertedIdentity,
            max_calls: None,
            max_calls_per_s: None,
            pin: false,
            sips_without_tls: false,
        }
    }

    /// Whether the address is in one of the peer's ranges.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|range| range.contains(&address))
    }

    /// Whether what comes from there is the peer's. One that names neither addresses nor certificates is nobody.
    pub fn sends_from(&self, source: &Source<'_>) -> bool {
        let named = || {
            let given = source.certificate_names.iter();
            source.transport.is_secure() && given.clone().any(|name| self.is_certificate(name))
        };
        match (self.addresses.is_empty(), self.certificates.is_empty()) {
            (true, true) => false,
            (true, false) => named(),
            (false, true) => self.holds(source.address),
            (false, false) => self.holds(source.address) && named(),
        }
    }

    /// RFC 5922 §7.2: a host name is compared whole, and a wildcard in a certificate stands for no host.
    fn is_certificate(&self, name: &str) -> bool {
        !name.contains('*') && self.certificates.iter().any(|expected| expected.eq_ignore_ascii_case(name))
    }
}

/// Who a user of digest authentication may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name in his credentials.
    pub name: String,
    /// The numbers that are his.
    pub identities: Vec<Msisdn>,
    /// Whether he speaks for others, as a PBX does: then his peer's identity header is believed, whatever number it says.
    pub asserts: bool,
}
