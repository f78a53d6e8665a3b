//! Any value in one header field of an otherwise sound request: its readers agree with the check, and what is echoed of
//! it is one line. The first octet chooses the field.
#![no_main]

use klikon::sip::message::{Contact, Defect, HeaderName, Message, NameAddr, Uri, Writer};
use libfuzzer_sys::fuzz_target;

/// The fields that are typed.
const NAMES: [HeaderName; 26] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::Contact,
    HeaderName::Route,
    HeaderName::RecordRoute,
    HeaderName::PAssertedIdentity,
    HeaderName::Privacy,
    HeaderName::ContentType,
    HeaderName::ContentDisposition,
    HeaderName::ContentEncoding,
    HeaderName::Accept,
    HeaderName::Allow,
    HeaderName::Require,
    HeaderName::Supported,
    HeaderName::Expires,
    HeaderName::Date,
    HeaderName::RetryAfter,
    HeaderName::RSeq,
    HeaderName::RAck,
    HeaderName::SessionExpires,
    HeaderName::MinSe,
    HeaderName::Replaces,
];

/// The fields that every request has.
const USUAL: [(HeaderName, &str); 5] = [
    (HeaderName::Via, "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"),
    (HeaderName::From, "<sip:a@192.0.2.9>;tag=1"),
    (HeaderName::To, "<sip:130@192.0.2.1>"),
    (HeaderName::CallId, "c"),
    (HeaderName::CSeq, "1 INVITE"),
];

fuzz_target!(|input: &[u8]| {
    let [choice, value @ ..] = input else { return };
    let name = NAMES[usize::from(*choice) % NAMES.len()];
    let mut octets = b"INVITE sip:130@192.0.2.1 SIP/2.0\r\n".to_vec();
    for (usual, text) in USUAL {
        let text = if usual == name { value } else { text.as_bytes() };
        octets.extend_from_slice(&[usual.as_str().as_bytes(), b": ", text, b"\r\n"].concat());
    }
    if USUAL.iter().all(|(usual, _)| *usual != name) {
        octets.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
    }
    octets.extend_from_slice(b"\r\n");
    let Ok(message) = Message::parse(&octets) else { return };
    let defect = message.check().err();
    if defect.is_none() {
        assert!(is_readable(&message), "{name}: checked and not readable");
    }
    answer(&message, defect);
});

/// Every typed reader; what the check lets pass can be read.
fn is_readable(message: &Message<'_>) -> bool {
    let single = [message.from(), message.to()];
    let contacts = message.contacts().map(|contact| {
        contact.map(|contact| match contact {
            Contact::Address(address) => Some(address),
            Contact::Any => None,
        })
    });
    let many = message.routes().chain(message.record_routes());
    let mut addresses: Vec<NameAddr<'_>> = vec![];
    for address in single.into_iter().chain(many) {
        let Ok(address) = address else { return false };
        addresses.push(address);
    }
    for contact in contacts {
        let Ok(contact) = contact else { return false };
        addresses.extend(contact);
    }
    for address in addresses.into_iter().chain(message.asserted_identities().flatten()) {
        let _ = (address.display_name(), address.tag(), address.uri.user());
        assert_eq!(NameAddr::parse(address.raw), Some(address));
        assert_eq!(Uri::parse(address.uri.raw()), Some(address.uri));
        assert!(address.uri.is_equivalent(&address.uri));
    }
    for via in message.vias() {
        let Ok(via) = via else { return false };
        let _ = (via.branch_kind(), via.received(), via.rport(), via.maddr(), via.asks_for_feedback());
    }
    let _ = (message.privacy().count(), message.allow().count(), message.identities().count());
    let _ = (message.rack(), message.rseq(), message.replaces(), message.min_se());
    let _ = (message.supports("timer"), message.requires("100rel"), message.is_optional());
    message.call_id().is_ok()
        && message.cseq().is_ok()
        && message.max_forwards().is_ok()
        && message.expires().is_ok()
        && message.content_type().is_ok()
        && message.content_disposition().is_ok()
        && message.date().is_ok()
        && message.retry_after().is_ok()
        && message.session_expires().is_ok()
        && message.require().chain(message.supported()).chain(message.content_encoding()).all(|tag| tag.is_ok())
        && message.accept().is_none_or(|mut ranges| ranges.all(|range| range.is_ok()))
}

/// What is echoed is the fields that were meant, and a sound request has a sound answer.
fn answer(message: &Message<'_>, defect: Option<Defect>) {
    let source = ([192, 0, 2, 9], 5_060).into();
    let Ok(mut writer) = Writer::response(message, source, 200, "OK", Some(b"tag")) else { return };
    writer.copy(message, HeaderName::RecordRoute);
    let octets = writer.finish();
    let Ok(answer) = Message::parse(&octets) else { return assert!(octets.len() > 65_535) };
    use HeaderName::{CSeq, CallId, ContentLength, From, RecordRoute, To, Via};
    for field in answer.fields() {
        assert!([Via, From, To, CallId, CSeq, RecordRoute, ContentLength].contains(&field.name), "{field:?}");
    }
    // Fields at the limit of their length are over it once stamped.
    let found = answer.check().err();
    if defect.is_none() && found != Some(Defect::HeaderTooLarge) {
        assert_eq!(found, None, "a sound request was answered with an unsound response");
    }
}
