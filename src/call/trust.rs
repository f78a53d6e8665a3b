//! Who is calling: the network's word for it, and only from a peer whose word is believed (DOMAIN §4.1, RFC 3325).

use crate::sip::Party;
use crate::sip::message::Uri;
use crate::units::Msisdn;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The country whose national numbers may come without their country code.
const HOME_CONTEXT: &[u8] = b"+355";

/// Which header field a trusted peer's caller identity is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityHeader {
    /// P-Asserted-Identity, SIP or tel URI (RFC 3325).
    PAssertedIdentity,
    /// From: only for a test bench, or for a peer that has authenticated its users and writes From itself.
    From,
}

/// `[[peers]]` of the settings: a neighbour in the network.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// For logs and call records.
    pub name: String,
    /// Address ranges the peer sends from.
    pub addresses: Vec<IpNet>,
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
            identity: IdentityHeader::PAssertedIdentity,
            max_calls: None,
            max_calls_per_s: None,
            pin: false,
        }
    }

    /// Whether datagrams from this address are the peer's.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.addresses.iter().any(|range| range.contains(&address))
    }
}

/// Who is calling, as far as may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An Albanian mobile number, vouched for by a trusted peer.
    Known(Msisdn),
    /// Vouched for, but not an Albanian mobile number: nobody's Lider Mobile.
    Foreign,
    /// The trusted peer says no number.
    Anonymous,
    /// The source is no trusted peer, or what the peer says contradicts itself.
    Untrusted,
}

/// Masked, for logs.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(number) => number.fmt(f),
            Self::Foreign => f.write_str("foreign"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Untrusted => f.write_str("untrusted"),
        }
    }
}

/// What an INVITE says of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Each value of P-Asserted-Identity.
    pub asserted: &'a [Party],
    /// From.
    pub from: &'a Party,
}

/// Whom to believe is calling, when `source` sent the INVITE.
pub fn identify(peers: &[Peer], source: IpAddr, claims: Claims<'_>) -> Caller {
    match peers.iter().find(|peer| peer.holds(source)).map(|peer| peer.identity) {
        None => Caller::Untrusted,
        Some(IdentityHeader::From) => number_in(claims.from),
        Some(IdentityHeader::PAssertedIdentity) => asserted(claims.asserted),
    }
}

/// Whether a leader who calls from `source` must key his PIN.
pub fn asks_pin(peers: &[Peer], source: IpAddr) -> bool {
    peers.iter().find(|peer| peer.holds(source)).is_some_and(|peer| peer.pin)
}

/// RFC 3325 §9.1 allows one value, or one sip(s) and one tel. Where two numbers differ, neither is believed.
fn asserted(values: &[Party]) -> Caller {
    let mut believed = Caller::Anonymous;
    for found in values.iter().map(number_in) {
        believed = match (believed, found) {
            (Caller::Known(one), Caller::Known(other)) if one != other => return Caller::Untrusted,
            (Caller::Known(_), _) | (_, Caller::Anonymous) => believed,
            _ => found,
        };
    }
    believed
}

fn number_in(party: &Party) -> Caller {
    let number = match Uri::parse(party.uri.as_bytes()) {
        Some(Uri::Tel(tel)) if !is_at_home(tel.parameters.value("phone-context")) => return Caller::Foreign,
        Some(Uri::Sip(_) | Uri::Tel(_)) => party.user.as_deref().map(without_parameters),
        Some(Uri::Other(_)) | None => None,
    };
    match number {
        Some(text) if text.bytes().any(|b| b.is_ascii_digit()) => {
            Msisdn::parse(text).map_or(Caller::Foreign, Caller::Known)
        }
        // A name without a digit, such as `anonymous`, is no telephone number.
        _ => Caller::Anonymous,
    }
}

/// A telephone-subscriber in a SIP URI may carry its own parameters (RFC 3261 §19.1.6): `+355…;npdi;rn=…`.
fn without_parameters(user: &str) -> &str {
    user.split(';').next().unwrap_or_default()
}

/// A local number belongs to Albania unless its context is another country's (RFC 3966 §5.1.5).
fn is_at_home(context: Option<&[u8]>) -> bool {
    context.is_none_or(|context| !context.starts_with(b"+") || context == HOME_CONTEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::sip::message::NameAddr;

    const LEADER: &str = "+355672123456";

    fn party(value: &str) -> Option<Party> {
        NameAddr::parse(value.as_bytes()).map(|address| Party::of(&address))
    }

    fn by(identity: IdentityHeader, source: &str, asserted: &[&str], from: &str) -> Caller {
        let peers = [Peer { identity, ..Peer::loopback() }];
        // What is no address never gets this far.
        let asserted: Vec<Party> = asserted.iter().filter_map(|value| party(value)).collect();
        let claims = Claims { asserted: &asserted, from: &party(from).unwrap() };
        identify(&peers, source.parse().unwrap(), claims)
    }

    fn asserted_by_loopback(asserted: &[&str]) -> Caller {
        by(IdentityHeader::PAssertedIdentity, "127.0.0.1", asserted, "<sip:0699999999@x>;tag=1")
    }

    fn leader() -> Caller {
        Caller::Known(Msisdn::parse(LEADER).unwrap())
    }

    #[test]
    fn reads_sip_and_tel_in_every_form() {
        for value in [
            "<sip:+355672123456@ims.example>",
            "\"Lider, i grupit\" <sip:0672123456@ims.example;user=phone>",
            "<sip:+355672123456;npdi;rn=+35569@ims.example;user=phone>",
            "<sip:%2B355672123456@ims.example>",
            "sip:00355672123456@ims.example",
            "<tel:+355-67-212-3456>",
            "tel:+355672123456",
            "<tel:0672123456;phone-context=+355>",
            "<tel:0672123456;phone-context=ims.example>",
        ] {
            assert_eq!(asserted_by_loopback(&[value]), leader(), "{value}");
        }
    }

    #[test]
    fn two_values_must_agree() {
        assert_eq!(asserted_by_loopback(&["<sip:0672123456@a>", "<tel:+355672123456>"]), leader());
        assert_eq!(asserted_by_loopback(&["<sip:0672123456@a>", "<tel:+355682123456>"]), Caller::Untrusted);
        assert_eq!(asserted_by_loopback(&["<sip:ana@a>", "<tel:+355672123456>"]), leader());
    }

    #[test]
    fn what_is_no_albanian_mobile_number_is_nobody_s() {
        assert_eq!(asserted_by_loopback(&["<tel:+390612345678>"]), Caller::Foreign);
        assert_eq!(asserted_by_loopback(&["<tel:0672123456;phone-context=+39>"]), Caller::Foreign);
        assert_eq!(asserted_by_loopback(&["<sip:+35542250928@x>"]), Caller::Foreign);
        assert_eq!(asserted_by_loopback(&["<sip:anonymous@anonymous.invalid>"]), Caller::Anonymous);
        assert_eq!(asserted_by_loopback(&["garbage <"]), Caller::Anonymous);
        assert_eq!(asserted_by_loopback(&[]), Caller::Anonymous);
    }

    #[test]
    fn only_a_trusted_peer_is_believed_and_only_by_its_header() {
        let claim = ["<tel:+355672123456>"];
        let from = "<sip:0672123456@x>;tag=1";
        assert_eq!(by(IdentityHeader::PAssertedIdentity, "192.0.2.1", &claim, from), Caller::Untrusted);
        assert_eq!(by(IdentityHeader::From, "192.0.2.1", &claim, from), Caller::Untrusted);
        assert_eq!(by(IdentityHeader::From, "127.0.0.1", &["<tel:+355681111111>"], from), leader());
        assert_eq!(by(IdentityHeader::PAssertedIdentity, "127.0.0.1", &[], from), Caller::Anonymous);
    }
}
