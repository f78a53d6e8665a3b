//! No octets make the room panic, and nothing that comes in makes it write a malformed header.

use super::INVITE;
use super::torture::{names, octets};
use crate::sip::message::*;
use proptest::prelude::*;
use std::sync::OnceLock;

/// Calls every reader; the results do not matter, that they come does.
fn read_everything(message: &Message<'_>) {
    let _ = message.check();
    let _ = (message.start(), message.body(), message.request_uri(), message.top_via(), message.call_id());
    let _ = (
        message.cseq(),
        message.max_forwards(),
        message.expires(),
        message.content_length(),
        message.content_type(),
    );
    let _ = (message.content_disposition(), message.date(), message.retry_after(), message.user_agent());
    for address in [message.from(), message.to()].into_iter().flatten() {
        let _ = (
            address.display_name(),
            address.tag(),
            address.uri.user(),
            address.uri.is_equivalent(&address.uri),
        );
    }
    for via in message.vias().flatten() {
        let _ = (via.branch_kind(), via.received(), via.rport(), via.maddr());
    }
    let addresses = message.routes().chain(message.record_routes()).chain(message.asserted_identities());
    let _ = addresses.flatten().filter(|address| address.uri.user().is_some()).count();
    let _ = message.contacts().flatten().count() + message.privacy().count() + message.allow().count();
    let _ = message.require().chain(message.proxy_require()).chain(message.supported()).count();
    let _ = message.content_encoding().count() + message.identities().count() + message.fields().count();
    let _ = message.accept().map(Iterator::count);
}

/// Reads `datagram` and answers it; what is written must be a header of the fields that were meant.
fn read_and_answer(datagram: &[u8]) {
    let Ok(message) = Message::parse(datagram) else { return };
    read_everything(&message);
    let source = "192.0.2.1:5060".parse().unwrap();
    let Ok(mut writer) = Writer::response(&message, source, 400, "Bad Request", Some(b"t")) else { return };
    writer.copy(&message, HeaderName::RecordRoute);
    let octets = writer.finish();
    let answer = Message::parse(&octets).unwrap();
    let shape = [Defect::LineEnd, Defect::FieldLine, Defect::Unended, Defect::RequestLine];
    assert!(
        answer.check().is_ok_and(|()| true) || !shape.contains(&answer.check().unwrap_err()),
        "{:?}",
        answer.check()
    );
    use HeaderName::{CSeq, CallId, ContentLength, From, RecordRoute, To, Via};
    for field in answer.fields() {
        assert!([Via, From, To, CallId, CSeq, RecordRoute, ContentLength].contains(&field.name), "{field:?}");
    }
    for name in [CallId, CSeq, From] {
        assert!(
            message.values(name).next().is_none_or(|value| answer.values(name).all(|copied| copied == value)
                || value.iter().any(|octet| matches!(octet, b'\r' | b'\n')))
        );
    }
}

/// One change to a message.
#[derive(Debug, Clone)]
enum Mutation {
    Flip(prop::sample::Index, u8),
    Delete(prop::sample::Index, u8),
    Insert(prop::sample::Index, &'static [u8]),
    Repeat(prop::sample::Index, u8),
    Truncate(prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let telling: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\r\n ",
        b"\n",
        b"\r",
        b"\"",
        b"\\",
        b"<",
        b">",
        b",",
        b";",
        b":",
        b"=",
        b"@",
        b"%",
        b"%4",
        b"[",
        b"]",
        b"(",
        b"\0",
        b"\xff",
        b" ",
        b"\r\n\r\n",
        b"\r\nl: 99999999999\r\n",
        b"\r\nv: SIP/2.0/UDP [::1]:1;rport;received=\r\n",
        b"\r\nTo: <sip:",
        b"4294967296",
        b"sip:",
        b"tel:+",
        b";tag=",
        b"SIP/2.0",
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, with)| Mutation::Flip(at, with)),
        (any::<prop::sample::Index>(), 1u8..20).prop_map(|(at, count)| Mutation::Delete(at, count)),
        (any::<prop::sample::Index>(), prop::sample::select(telling))
            .prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<prop::sample::Index>(), 1u8..60).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        any::<prop::sample::Index>().prop_map(Mutation::Truncate),
    ]
}

fn mutate(octets: &mut Vec<u8>, mutation: &Mutation) {
    if octets.is_empty() {
        return;
    }
    let length = octets.len();
    match mutation {
        Mutation::Flip(at, with) => octets[at.index(length)] ^= with,
        Mutation::Delete(at, count) => {
            let at = at.index(length);
            octets.drain(at..length.min(at + usize::from(*count)));
        }
        Mutation::Insert(at, text) => {
            octets.splice(at.index(length)..at.index(length), text.iter().copied());
        }
        Mutation::Repeat(at, count) => {
            let at = at.index(length);
            let part = octets[at..length.min(at + usize::from(*count))].to_vec();
            octets.splice(at..at, part);
        }
        Mutation::Truncate(at) => octets.truncate(at.index(length)),
    }
}

/// The messages that mutations start from.
fn seeds() -> &'static [Vec<u8>] {
    static SEEDS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    SEEDS.get_or_init(|| names().iter().map(|name| octets(name)).chain([INVITE.to_vec()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_octets(datagram in prop::collection::vec(any::<u8>(), 0..600)) {
        read_and_answer(&datagram);
    }

    #[test]
    fn any_header_after_a_request_line(header in prop::collection::vec(prop::sample::select(b"vftim: \r\n;,=<>\"\\@sip/20UDPz9%()[]\xc3\x00".to_vec()), 0..200)) {
        read_and_answer(&[b"INVITE sip:130@b SIP/2.0\r\n", &header[..], b"\r\n\r\n"].concat());
    }

    #[test]
    fn mutated_messages(which in any::<prop::sample::Index>(), changes in prop::collection::vec(mutation(), 1..8)) {
        let mut datagram = which.get(seeds()).clone();
        for change in &changes {
            mutate(&mut datagram, change);
        }
        read_and_answer(&datagram);
    }

    #[test]
    fn any_uri(uri in prop::collection::vec(prop::sample::select(b"sip:tel@[]:;=?&%41,+/#. \"<>\xeb".to_vec()), 0..40)) {
        for uri in [uri.clone(), [b"sip:", &uri[..]].concat(), [b"tel:", &uri[..]].concat()] {
            if let Some(read) = Uri::parse(&uri) {
                prop_assert_eq!(read.raw(), &uri[..]);
                prop_assert!(read.is_equivalent(&read));
                prop_assert!(Writer::request(Method::Options, &uri).is_ok());
            }
        }
    }
}

/// A token as senders make them.
fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,24}"
}

proptest! {
    /// What is written is read back: every field, with any octets where the grammar allows any.
    #[test]
    fn fields_round_trip(
        method in token(),
        user in "[a-z0-9_.!~*'()&=+$,;?/-]{1,20}",
        display in prop::collection::vec(any::<u8>().prop_filter("no line ends", |octet| !b"\r\n\0".contains(octet)), 0..30),
        (tag, branch, call_id) in (token(), token(), token()),
        (number, forwards) in (0u32..1 << 31, any::<u8>()),
        (port, address) in (any::<u16>(), any::<std::net::IpAddr>()),
        tags in prop::collection::vec(token(), 0..5),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let host = match address {
            std::net::IpAddr::V4(address) => address.to_string(),
            std::net::IpAddr::V6(address) => format!("[{address}]"),
        };
        let uri = format!("sip:{user}@{host}:{port};transport=udp");
        let mut quoted = vec![b'"'];
        for octet in &display {
            if matches!(octet, b'"' | b'\\') {
                quoted.push(b'\\');
            }
            quoted.push(*octet);
        }
        quoted.push(b'"');
        let from = [&quoted[..], format!(" <{uri}>;tag={tag}").as_bytes()].concat();
        let mut writer = Writer::request(Method::from_octets(method.as_bytes()), uri.as_bytes()).unwrap();
        writer.field(HeaderName::Via, format!("SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport")).unwrap();
        writer.field_number(HeaderName::MaxForwards, forwards.into()).unwrap();
        writer.field(HeaderName::From, &from).unwrap().field(HeaderName::To, format!("<{uri}>")).unwrap();
        writer.field(HeaderName::CallId, &call_id).unwrap().field(HeaderName::CSeq, format!("{number} {method}")).unwrap();
        writer.field(HeaderName::Supported, tags.join(", ")).unwrap().field(HeaderName::Contact, format!("<{uri}>")).unwrap();
        let octets = writer.finish_with_body("application/sdp", &body).unwrap();

        let message = Message::parse(&octets).unwrap();
        prop_assert_eq!(message.check(), Ok(()));
        prop_assert_eq!(message.method().unwrap().as_octets(), method.as_bytes());
        let Ok(Uri::Sip(read)) = message.request_uri() else { panic!() };
        prop_assert_eq!((read.user, read.host, read.port), (Some(user.as_bytes()), Host::Address(address), Some(port)));
        let read = message.from().unwrap();
        prop_assert_eq!(&*read.display_name(), &display[..]);
        prop_assert_eq!(read.tag(), Some(tag.as_bytes()));
        prop_assert_eq!(message.call_id(), Ok(call_id.as_bytes()));
        prop_assert_eq!(message.cseq().unwrap().number, number);
        prop_assert_eq!(message.max_forwards(), Ok(Some(forwards)));
        let via = message.top_via().unwrap();
        prop_assert_eq!((via.host, via.port, via.rport()), (Host::Address(address), Some(port), Some(Rport::Asked)));
        let branch = format!("z9hG4bK{branch}");
        prop_assert_eq!(via.branch_kind(), Branch::Unique(branch.as_bytes()));
        let read: Vec<&[u8]> = message.supported().map(Result::unwrap).collect();
        prop_assert_eq!(read, tags.iter().map(String::as_bytes).collect::<Vec<_>>());
        prop_assert_eq!(message.body(), &body[..]);
    }
}
