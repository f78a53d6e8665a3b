//! Who is calling: the network's word for it, and only from a peer whose word is believed (DOMAIN §4.1, RFC 3325).
//!
//! A peer is known by its address, by the certificate of its connection, or both. Where it must authenticate, a user's own
//! numbers are all he may be, unless he speaks for others. P-Served-User, History-Info, Diversion and Remote-Party-ID are
//! never believed; [`origin_of`] keeps them for the record.

mod neighbours;
mod origin;
mod peer;
#[cfg(test)]
mod spoofs;

pub use neighbours::{Identified, Neighbours};
pub use origin::origin_of;
pub use peer::{IdentityHeader, Peer, User};

use crate::sip::message::Uri;
use crate::sip::{IncomingInvite, Party, Transport};
use crate::units::Msisdn;
use std::fmt;
use std::net::IpAddr;

/// The country whose national numbers may come without their country code.
const HOME_CONTEXT: &[u8] = b"+355";

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

impl Caller {
    /// How he may be shown, when the INVITE said `privacy`, the values of its Privacy field (RFC 3323, RFC 3325 §9.3).
    pub fn shown(self, privacy: &[String]) -> Shown {
        let is_private = privacy.iter().any(|value| matches!(value.as_str(), "id" | "user" | "header"));
        match self {
            Self::Known(_) if is_private => Shown::Withheld,
            _ => Shown::Caller(self),
        }
    }
}

/// A caller as logs and event lines show him: masked, and not at all where he asked for privacy. His rights, the ledger and
/// the call record do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As he is, masked.
    Caller(Caller),
    /// He is known, and asked not to be named.
    Withheld,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(caller) => caller.fmt(f),
            Self::Withheld => f.write_str("withheld"),
        }
    }
}

/// What an INVITE says of its caller.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// Each value of P-Asserted-Identity.
    pub asserted: &'a [Party],
    /// Each value of P-Preferred-Identity.
    pub preferred: &'a [Party],
    /// From.
    pub from: &'a Party,
}

impl<'a> Claims<'a> {
    /// Those of `invite`.
    pub fn of(invite: &'a IncomingInvite) -> Self {
        Self {
            asserted: &invite.asserted_identities,
            preferred: &invite.preferred_identities,
            from: &invite.from,
        }
    }
}

/// Where an INVITE came from, as far as it was proven.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The address of the sender.
    pub address: IpAddr,
    /// By which transport.
    pub transport: Transport,
    /// The names in its verified certificate.
    pub certificate_names: &'a [String],
    /// The user who has proven that he sent it.
    pub digest_user: Option<&'a User>,
}

/// The peer that sends from there: the first that matches.
pub fn peer_of<'a>(peers: &'a [Peer], source: &Source<'_>) -> Option<&'a Peer> {
    peers.iter().find(|peer| peer.sends_from(source))
}

/// Whom to believe is calling, when `source` sent the INVITE.
pub fn identify(peers: &[Peer], source: &Source<'_>, claims: Claims<'_>) -> Caller {
    let Some(peer) = peer_of(peers, source) else { return Caller::Untrusted };
    match (peer.digest, source.digest_user) {
        (false, _) => stated(peer.identity, claims),
        (true, Some(user)) if user.asserts => stated(peer.identity, claims),
        (true, Some(user)) => own(user, claims),
        (true, None) => Caller::Untrusted,
    }
}

/// By a peer that is trusted to say who calls. With `Privacy: id` too: we are in the trust domain, and it only bids us not
/// to pass the identity on (RFC 3325 §7, §9.3).
fn stated(identity: IdentityHeader, claims: Claims<'_>) -> Caller {
    match identity {
        IdentityHeader::From => number_in(claims.from),
        IdentityHeader::PAssertedIdentity => agreed(claims.asserted),
    }
}

/// By a user who may be no one but himself: P-Preferred-Identity, or else From, chooses among his numbers (RFC 3325 §9.2).
/// A number that is not his is a lie, or another telephone behind his account; neither gets his rights.
fn own(user: &User, claims: Claims<'_>) -> Caller {
    let is_his_name = |party: &Party| party.user.as_deref() == Some(user.name.as_str());
    let hint = match claims.preferred {
        [] if is_his_name(claims.from) => Caller::Anonymous,
        [] => number_in(claims.from),
        preferred if preferred.iter().all(is_his_name) => Caller::Anonymous,
        preferred => agreed(preferred),
    };
    match (hint, user.identities.as_slice()) {
        (Caller::Known(number), his) if his.contains(&number) => hint,
        (Caller::Anonymous, [number]) => Caller::Known(*number),
        (Caller::Anonymous, _) => Caller::Anonymous,
        _ => Caller::Untrusted,
    }
}

/// RFC 3325 §9.1 allows one value, or one sip(s) and one tel. Where two numbers differ, neither is believed.
fn agreed(values: &[Party]) -> Caller {
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
        Some(Uri::Sip(_)) if !is_at_home(context_of(party.user.as_deref())) => return Caller::Foreign,
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

/// A telephone-subscriber in a SIP URI may carry its own parameters (RFC 3261 §19.1.6): `+355…;npdi;rn=…`. The routing
/// number of a ported number (RFC 4694) is no one's number.
fn without_parameters(user: &str) -> &str {
    user.split(';').next().unwrap_or_default()
}

/// The `phone-context` among the parameters of a telephone-subscriber in a SIP URI.
fn context_of(user: Option<&str>) -> Option<&[u8]> {
    let mut parameters = user?.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(name, _)| name.eq_ignore_ascii_case("phone-context")).map(|(_, value)| value.as_bytes())
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

    fn at(address: &str) -> Source<'static> {
        let address = address.parse().unwrap();
        Source { address, transport: Transport::Tls, certificate_names: &[], digest_user: None }
    }

    fn by(identity: IdentityHeader, source: &str, asserted: &[&str], from: &str) -> Caller {
        let peers = [Peer { identity, ..Peer::loopback() }];
        // What is no address never gets this far.
        let asserted: Vec<Party> = asserted.iter().filter_map(|value| party(value)).collect();
        let claims = Claims { asserted: &asserted, preferred: &[], from: &party(from).unwrap() };
        identify(&peers, &at(source), claims)
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
            "<sip:0672123456;phone-context=+355@ims.example;user=phone>",
            "<tel:+355672123456;npdi;rn=+355692123456>",
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
        assert_eq!(
            asserted_by_loopback(&["<sip:0672123456;phone-context=+39@x;user=phone>"]),
            Caller::Foreign
        );
        assert_eq!(asserted_by_loopback(&["<tel:+390612345678;rn=+355672123456;npdi>"]), Caller::Foreign);
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

    #[test]
    fn of_addresses_and_certificates_each_that_is_given_must_hold() {
        let peer = |addresses: &[&str], certificates: &[&str]| Peer {
            addresses: addresses.iter().map(|range| range.parse().unwrap()).collect(),
            certificates: certificates.iter().map(|name| (*name).to_owned()).collect(),
            ..Peer::loopback()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let sends = |peer: &Peer, given: &[&str], transport| {
            peer.sends_from(&Source { certificate_names: &names(given), transport, ..at("192.0.2.9") })
        };
        let (address, other) = (&["192.0.2.0/24"][..], &["198.51.100.0/24"][..]);
        let by_name = peer(&[], &["pbx.example"]);
        assert!(sends(&by_name, &["pbx.example"], Transport::Tls));
        assert!(sends(&by_name, &["other", "PBX.Example"], Transport::Wss));
        for wrong in [&[][..], &["*.example"], &["a.pbx.example"], &["pbx.example.evil"], &["pbx"]] {
            assert!(!sends(&by_name, wrong, Transport::Tls), "{wrong:?}");
        }
        assert!(!sends(&peer(&[], &["*.example"]), &["*.example"], Transport::Tls), "a wildcard is no name");
        assert!(!sends(&by_name, &["pbx.example"], Transport::Tcp), "no certificate without TLS");
        let both = peer(address, &["pbx.example"]);
        assert!(sends(&both, &["pbx.example"], Transport::Tls));
        assert!(!sends(&both, &[], Transport::Tls));
        assert!(!sends(&peer(other, &["pbx.example"]), &["pbx.example"], Transport::Tls));
        assert!(sends(&peer(address, &[]), &[], Transport::Udp));
        assert!(!sends(&peer(&[], &[]), &["pbx.example"], Transport::Tls));
    }

    fn as_user(identities: &[&str], asserts: bool, preferred: &[&str], from: &str) -> Caller {
        let identities = identities.iter().map(|number| Msisdn::parse(number).unwrap()).collect();
        let user = User { name: "ext12".to_owned(), identities, asserts };
        let peers = [Peer { digest: true, ..Peer::loopback() }];
        let asserted = [party("<tel:+355692222222>").unwrap()];
        let preferred: Vec<Party> = preferred.iter().filter_map(|value| party(value)).collect();
        let claims = Claims { asserted: &asserted, preferred: &preferred, from: &party(from).unwrap() };
        let source = Source { digest_user: Some(&user), ..at("127.0.0.1") };
        assert_eq!(
            identify(&peers, &Source { digest_user: None, ..source }, claims),
            Caller::Untrusted,
            "without a user nobody is believed"
        );
        identify(&peers, &source, claims)
    }

    #[test]
    fn a_user_is_himself_or_nobody() {
        let name = "<sip:ext12@x>;tag=1";
        let (one, two) = (&[LEADER][..], &[LEADER, "0692000001"][..]);
        assert_eq!(as_user(one, false, &[], name), leader(), "his only number need not be said");
        assert_eq!(as_user(one, false, &[], "<sip:anonymous@anonymous.invalid>;tag=1"), leader());
        assert_eq!(as_user(one, false, &["<sip:ext12@x>"], "<sip:0692000009@x>;tag=1"), leader());
        assert_eq!(as_user(two, false, &[], name), Caller::Anonymous, "which of two must be said");
        assert_eq!(as_user(two, false, &["<tel:+355672123456>"], name), leader());
        assert_eq!(as_user(two, false, &[], "<sip:0672123456@x>;tag=1"), leader());
        let agreeing = ["<tel:+355672123456>", "<sip:0672123456@x>"];
        assert_eq!(as_user(two, false, &agreeing, name), leader());
        for preferred in [
            &["<tel:+355692000009>"][..],
            &["<tel:+355672123456>", "<tel:+355692000009>"],
            &["<tel:+355672123456>", "<tel:+355692000001>"],
            &["<tel:+390612345678>"],
        ] {
            assert_eq!(as_user(two, false, preferred, name), Caller::Untrusted, "{preferred:?}");
        }
        assert_eq!(as_user(one, false, &[], "<sip:0692000009@x>;tag=1"), Caller::Untrusted);
        assert_eq!(as_user(&[], false, &[], name), Caller::Anonymous);
    }

    #[test]
    fn a_user_who_speaks_for_others_is_believed_by_his_peer_s_header() {
        let other = Caller::Known(Msisdn::parse("0692222222").unwrap());
        assert_eq!(as_user(&[], true, &["<tel:+355672123456>"], "<sip:0672123456@x>;tag=1"), other);
    }

    #[test]
    fn privacy_hides_who_is_known_and_nothing_else() {
        let privacy = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        for values in [&["id"][..], &["critical", "header"], &["user", "id"]] {
            assert_eq!(leader().shown(&privacy(values)).to_string(), "withheld");
            assert_eq!(Caller::Untrusted.shown(&privacy(values)).to_string(), "untrusted");
        }
        for values in [&[][..], &["none"], &["critical"], &["history"]] {
            assert_eq!(leader().shown(&privacy(values)).to_string(), "+35567•••3456");
        }
    }
}
