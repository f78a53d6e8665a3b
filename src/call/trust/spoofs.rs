//! The spoof matrix: every source × every way to claim an identity × every setting, through the real endpoint from
//! octets to the caller. No row makes anybody the leader whom the settings do not.

use super::{Caller, IdentityHeader, Neighbours, Peer, User};
use crate::sip::auth::{Account, Algorithm, Authentication, Challenge, Ha1, User as DigestUser};
use crate::sip::message::{HeaderName, Message};
use crate::sip::{Endpoint, EndpointConfig, Event, Flow, IncomingInvite, Transport};
use crate::units::Msisdn;
use crate::units::clock::Clock;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LEADER: &str = "+355672123456";
const OTHER: &str = "+355692000001";
const CERTIFICATE: &str = "core.example";
const PASSWORD: &[u8] = b"sekret";

/// Where an INVITE comes from, and what it can prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// A peer known by its address.
    TrustedAddress,
    /// A peer known by its certificate.
    TrustedCertificate,
    /// The address of a peer that must have a certificate too, and has none.
    AddressWithoutCertificate,
    /// A TLS client whose certificate names another.
    OtherCertificate,
    /// A user whose number is the leader's.
    LeaderByDigest,
    /// A user whose number is another's.
    OtherByDigest,
    /// A user who speaks for others.
    PbxByDigest,
    /// The leader's user name, and a wrong password.
    WrongPassword,
    /// A peer that must authenticate, and does not.
    NoCredentials,
    /// An address of no peer.
    Stranger,
}

const SENDERS: [Sender; 10] = [
    Sender::TrustedAddress,
    Sender::TrustedCertificate,
    Sender::AddressWithoutCertificate,
    Sender::OtherCertificate,
    Sender::LeaderByDigest,
    Sender::OtherByDigest,
    Sender::PbxByDigest,
    Sender::WrongPassword,
    Sender::NoCredentials,
    Sender::Stranger,
];

const FIELDS: [&str; 7] = [
    "From",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Diversion",
    "History-Info",
    "P-Served-User",
];

/// How a field claims to be the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Sip,
    Tel,
    Bare,
    /// Number portability and a telephone's context in the user part.
    Ported,
    /// `f:` for From; other fields have no compact form and are spelled in another case, with a space.
    Compact,
    Folded,
    TwiceTheSame,
    TwiceDifferent,
    TwiceDifferentInOrder,
    ListOfSipAndTel,
    ListOfDifferent,
    /// The leader's number where a number is not: the routing number of another's.
    RoutingNumberOnly,
}

const FORMS: [Form; 12] = [
    Form::Sip,
    Form::Tel,
    Form::Bare,
    Form::Ported,
    Form::Compact,
    Form::Folded,
    Form::TwiceTheSame,
    Form::TwiceDifferent,
    Form::TwiceDifferentInOrder,
    Form::ListOfSipAndTel,
    Form::ListOfDifferent,
    Form::RoutingNumberOnly,
];

const SETTINGS: [IdentityHeader; 2] = [IdentityHeader::PAssertedIdentity, IdentityHeader::From];

/// What comes of an INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Its caller has the leader's rights.
    Leader,
    /// It is answered, and its caller is not the leader.
    Nobody,
    /// It is refused with this status.
    Refused(u16),
}

impl Form {
    fn lines(self, field: &str) -> String {
        let sip = |number: &str| format!("<sip:{number}@x;user=phone>");
        let tag = if field == "From" { ";tag=1" } else { "" };
        let one = |value: &str| format!("{field}: {value}{tag}\r\n");
        match self {
            Self::Sip => one(&sip(LEADER)),
            Self::Tel => one(&format!("<tel:{LEADER}>")),
            Self::Bare => one(&format!("tel:{LEADER}")),
            Self::Ported => one(&format!("<sip:{LEADER};npdi;rn=+35569@x;user=phone>")),
            Self::Compact if field == "From" => format!("f: {};tag=1\r\n", sip(LEADER)),
            Self::Compact => format!("{} : {}\r\n", field.to_ascii_uppercase(), sip(LEADER)),
            Self::Folded => format!("{field}:\r\n \"Lider,\r\n\ti grupit\"\r\n {}{tag}\r\n", sip(LEADER)),
            Self::TwiceTheSame => one(&sip(LEADER)).repeat(2),
            Self::TwiceDifferent => one(&sip(OTHER)) + &one(&sip(LEADER)),
            Self::TwiceDifferentInOrder => one(&sip(LEADER)) + &one(&format!("<tel:{OTHER}>")),
            Self::ListOfSipAndTel => one(&format!("{}, <tel:{LEADER}>", sip(LEADER))),
            Self::ListOfDifferent => one(&format!("{}, <tel:{OTHER}>", sip(LEADER))),
            Self::RoutingNumberOnly => one(&format!("<tel:{OTHER};rn={LEADER};npdi>")),
        }
    }

    fn is_list(self) -> bool {
        matches!(
            self,
            Self::TwiceTheSame
                | Self::TwiceDifferent
                | Self::TwiceDifferentInOrder
                | Self::ListOfSipAndTel
                | Self::ListOfDifferent
        )
    }

    /// Whether it says that the caller is the leader, and nobody else.
    fn says_leader(self) -> bool {
        !matches!(
            self,
            Self::TwiceDifferent
                | Self::TwiceDifferentInOrder
                | Self::ListOfDifferent
                | Self::RoutingNumberOnly
        )
    }
}

/// The rule, in words of its own: the table of `docs/security.md`.
fn expected(sender: Sender, field: &str, form: Form, setting: IdentityHeader) -> Outcome {
    let granted = |is_leader| if is_leader { Outcome::Leader } else { Outcome::Nobody };
    if field == "From" && form.is_list() {
        return Outcome::Refused(400);
    }
    let header = match setting {
        IdentityHeader::PAssertedIdentity => "P-Asserted-Identity",
        IdentityHeader::From => "From",
    };
    match sender {
        Sender::WrongPassword | Sender::NoCredentials => Outcome::Refused(401),
        Sender::Stranger | Sender::AddressWithoutCertificate | Sender::OtherCertificate => Outcome::Nobody,
        Sender::TrustedAddress | Sender::TrustedCertificate | Sender::PbxByDigest => {
            granted(field == header && form.says_leader())
        }
        // He is the leader, unless he says that he is somebody else.
        Sender::LeaderByDigest => {
            granted(form.says_leader() || !matches!(field, "From" | "P-Preferred-Identity"))
        }
        Sender::OtherByDigest => Outcome::Nobody,
    }
}

impl Sender {
    fn flow(self) -> Flow {
        let (transport, remote) = match self {
            Self::TrustedAddress => (Transport::Udp, [192, 0, 2, 20]),
            Self::TrustedCertificate | Self::OtherCertificate => (Transport::Tls, [198, 51, 100, 7]),
            Self::AddressWithoutCertificate => (Transport::Udp, [192, 0, 2, 40]),
            Self::Stranger => (Transport::Udp, [198, 51, 100, 9]),
            _ => (Transport::Udp, [203, 0, 113, 5]),
        };
        Flow { transport, local: ([192, 0, 2, 1], 5060).into(), remote: (remote, 5060).into() }
    }

    fn account(self) -> Option<Account<'static>> {
        let (username, password): (&[u8], &[u8]) = match self {
            Self::LeaderByDigest => (b"leader", PASSWORD),
            Self::OtherByDigest => (b"other", PASSWORD),
            Self::PbxByDigest => (b"pbx", PASSWORD),
            Self::WrongPassword => (b"leader", b"guess"),
            _ => return None,
        };
        Some(Account { username, password })
    }
}

fn neighbours(setting: IdentityHeader) -> Arc<Neighbours> {
    let peer = |addresses: &[&str], certificates: &[&str], digest| Peer {
        name: "peer".to_owned(),
        addresses: addresses.iter().map(|range| range.parse().unwrap()).collect(),
        certificates: certificates.iter().map(|name| (*name).to_owned()).collect(),
        digest,
        identity: setting,
        ..Peer::loopback()
    };
    let user = |name: &str, identities: &[&str], asserts| User {
        name: name.to_owned(),
        identities: identities.iter().map(|number| Msisdn::parse(number).unwrap()).collect(),
        asserts,
    };
    let peers = vec![
        peer(&["192.0.2.20/32"], &[], false),
        peer(&["192.0.2.40/32"], &[CERTIFICATE], false),
        peer(&[], &[CERTIFICATE], false),
        peer(&["203.0.113.0/24"], &[], true),
    ];
    let users =
        vec![user("leader", &[LEADER], false), user("other", &[OTHER], false), user("pbx", &[], true)];
    Arc::new(Neighbours::new(peers, users))
}

fn endpoint(neighbours: &Arc<Neighbours>) -> Endpoint {
    let secret = |name: &str| DigestUser {
        name: name.to_owned(),
        secrets: vec![Ha1::new(Algorithm::Sha256, name.as_bytes(), b"klikon", PASSWORD)],
    };
    let mut endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
    let policy: Arc<Neighbours> = Arc::clone(neighbours);
    endpoint.set_authentication(Authentication {
        realm: "klikon".to_owned(),
        algorithms: vec![Algorithm::Sha256],
        nonce_life: Duration::from_secs(60),
        allow_unprotected: false,
        userhash: false,
        within_calls: false,
        max_wrong_tries: 10,
        lock_out: Duration::from_secs(60),
        users: ["leader", "other", "pbx"].map(secret).to_vec(),
        policy,
    });
    endpoint
}

fn request(branch: u32, via: &str, lines: &str) -> String {
    let from =
        if lines.starts_with("From") || lines.starts_with("f:") { "" } else { "From: <sip:a@x>;tag=1\r\n" };
    format!(
        "INVITE sip:130@x SIP/2.0\r\nVia: SIP/2.0/{via} 127.0.0.1:9;branch=z9hG4bK{branch};rport\r\n\
         Max-Forwards: 70\r\n{from}To: <sip:130@x>\r\nCall-ID: one@x\r\nCSeq: {branch} INVITE\r\n\
         Contact: <sip:a@127.0.0.1:9>\r\n{lines}Content-Length: 0\r\n\r\n"
    )
}

/// What comes of one INVITE, whose sender answers a challenge if he can.
fn outcome(sender: Sender, lines: &str, setting: IdentityHeader, now: Instant) -> Outcome {
    let neighbours = neighbours(setting);
    let flow = sender.flow();
    match sender {
        Sender::TrustedCertificate => neighbours.connected(flow, &[CERTIFICATE.to_owned()]),
        Sender::OtherCertificate => neighbours.connected(flow, &["*.example".into(), "evil.example".into()]),
        _ => {}
    }
    let mut endpoint = endpoint(&neighbours);
    let mut exchange = |octets: &str| {
        endpoint.handle_datagram(now, flow, octets.as_bytes());
        if let Some(Event::Invite(invite)) = endpoint.poll_event() {
            return Ok(neighbours.identify(&invite).caller);
        }
        Err(endpoint.poll_transmit().expect("an answer").bytes)
    };
    let via = flow.transport.via_name();
    let answered = exchange(&request(1, via, lines)).or_else(|response| {
        let Some(account) = sender.account() else { return Err(response) };
        let message = Message::parse(&response).unwrap();
        let Some(value) = message.values(HeaderName::WwwAuthenticate).next() else { return Err(response) };
        let challenge = Challenge::parse(value).unwrap();
        let answer = challenge.answer(&account, b"INVITE", b"sip:130@x", b"c", 1).unwrap();
        let authorization = String::from_utf8(answer.to_value()).unwrap();
        exchange(&request(2, via, &format!("{lines}Authorization: {authorization}\r\n")))
    });
    match answered {
        Ok(caller) if caller == Caller::Known(Msisdn::parse(LEADER).unwrap()) => Outcome::Leader,
        Ok(_) => Outcome::Nobody,
        Err(response) => Outcome::Refused(Message::parse(&response).unwrap().status().unwrap()),
    }
}

#[test]
fn no_row_of_the_spoof_matrix_grants_what_the_settings_do_not() {
    let now = Clock::system().instant();
    let (mut rows, mut granted, mut wrong) = (0, 0, Vec::new());
    for sender in SENDERS {
        for field in FIELDS {
            for form in FORMS {
                for setting in SETTINGS {
                    let expected = expected(sender, field, form, setting);
                    let found = outcome(sender, &form.lines(field), setting, now);
                    rows += 1;
                    granted += u32::from(found == Outcome::Leader);
                    if found != expected {
                        wrong.push(format!(
                            "{sender:?} {field} {form:?} {setting:?}: {found:?}, not {expected:?}"
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {rows} rows:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(rows, 10 * 7 * 12 * 2);
    // Three senders whose word counts, by the one header of each setting: 8 ways in P-Asserted-Identity, 6 in From.
    // And the leader himself, in all but the 2 settings × (1 + 4) rows that say he is another and the 10 malformed ones.
    assert_eq!(granted, 3 * (8 + 6) + (7 * 12 - 5 - 5) * 2);
}

/// Every claim at once, from somebody who is believed in none.
#[test]
fn all_claims_together_grant_no_more_than_each() {
    let now = Clock::system().instant();
    let lines: String = FIELDS.iter().map(|field| Form::Sip.lines(field)).collect();
    for setting in SETTINGS {
        assert_eq!(outcome(Sender::Stranger, &lines, setting, now), Outcome::Nobody);
        assert_eq!(outcome(Sender::OtherByDigest, &lines, setting, now), Outcome::Nobody);
        assert_eq!(outcome(Sender::TrustedAddress, &lines, setting, now), Outcome::Leader);
    }
}

/// An INVITE with `lines` in its header, as the endpoint reports it.
pub(super) fn invite(lines: &str) -> IncomingInvite {
    let mut endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
    let now = Clock::system().instant();
    endpoint.handle_datagram(now, Sender::Stranger.flow(), request(1, "UDP", lines).as_bytes());
    match endpoint.poll_event() {
        Some(Event::Invite(invite)) => *invite,
        other => panic!("{other:?}"),
    }
}
