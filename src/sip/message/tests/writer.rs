//! What is written is what was meant, whatever it is made from.

use super::INVITE;
use crate::sip::message::*;
use std::net::SocketAddr;

const SOURCE: &str = "192.0.2.1:5066";

/// An OPTIONS whose Via fields are `vias`.
fn request(vias: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:130@b SIP/2.0\r\n{vias}f: <sip:a@b>;tag=1\r\nTo : \"130\"\r\n <sip:130@b>\r\ni:1\r\n\
         CSeq: 7\r\n OPTIONS\r\n\r\n"
    )
    .into_bytes()
}

fn answer(datagram: &[u8], source: &str, status: u16, tag: Option<&[u8]>) -> Vec<u8> {
    let message = Message::parse(datagram).unwrap();
    let source: SocketAddr = source.parse().unwrap();
    Writer::response(&message, source, status, "OK", tag).unwrap().finish()
}

/// The Via fields of the answer to a request with `vias` from `source`.
fn answered_vias(vias: &str, source: &str) -> Vec<String> {
    let octets = answer(&request(vias), source, 200, None);
    let message = Message::parse(&octets).unwrap();
    message.values(HeaderName::Via).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect()
}

#[test]
fn a_response_in_full() {
    let message = Message::parse(INVITE).unwrap();
    let mut writer = Writer::response(&message, SOURCE.parse().unwrap(), 200, "OK", Some(b"9b2e")).unwrap();
    writer.copy(&message, HeaderName::RecordRoute);
    writer.field(HeaderName::Contact, "<sip:130@192.0.2.10:5060>").unwrap();
    let octets = writer.finish_with_body("application/sdp", b"v=0\r\n").unwrap();
    let expected = "SIP/2.0 200 OK\r\n\
        Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK-524287-1---1f1c8b4b;rport=5066;received=192.0.2.1\r\n\
        From: \"Arta\" <sip:+355672123456@ims.example.al;user=phone>;tag=8a1f27\r\n\
        To: <sip:130@192.0.2.10;user=phone>;tag=9b2e\r\n\
        Call-ID: 4f3a9c2e-77b1@192.0.2.1\r\n\
        CSeq: 1 INVITE\r\n\
        Record-Route: <sip:192.0.2.1;lr;ftag=8a1f>\r\n\
        Contact: <sip:130@192.0.2.10:5060>\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(String::from_utf8(octets).unwrap(), expected);
}

#[test]
fn fields_are_copied_byte_for_byte() {
    let octets =
        answer(&request("v:SIP/2.0/UDP 192.0.2.1 ;\r\n branch=z9hG4bK1\r\n"), SOURCE, 404, Some(b"x"));
    let text = String::from_utf8(octets).unwrap();
    assert!(text.contains("Via: SIP/2.0/UDP 192.0.2.1 ;\r\n branch=z9hG4bK1\r\n"), "{text}");
    assert!(text.contains("To: \"130\"\r\n <sip:130@b>;tag=x\r\n"), "{text}");
    assert!(text.contains("CSeq: 7\r\n OPTIONS\r\n"), "{text}");
}

/// RFC 3261 §18.2.1 and RFC 3581 §4.
#[test]
fn the_topmost_via_is_stamped() {
    for (via, source, expected) in [
        ("SIP/2.0/UDP 192.0.2.1;branch=1", SOURCE, "SIP/2.0/UDP 192.0.2.1;branch=1"),
        (
            "SIP/2.0/UDP 192.0.2.1:5060;branch=1",
            "[::ffff:192.0.2.1]:5066",
            "SIP/2.0/UDP 192.0.2.1:5060;branch=1",
        ),
        ("SIP/2.0/UDP host.example;branch=1", SOURCE, "SIP/2.0/UDP host.example;branch=1;received=192.0.2.1"),
        (
            "SIP/2.0/UDP 10.0.0.1;rport;branch=1",
            SOURCE,
            "SIP/2.0/UDP 10.0.0.1;rport=5066;branch=1;received=192.0.2.1",
        ),
        ("SIP/2.0/UDP 192.0.2.1;RPORT", SOURCE, "SIP/2.0/UDP 192.0.2.1;RPORT=5066;received=192.0.2.1"),
        (
            "SIP/2.0/UDP 10.0.0.1;rport=9;branch=1",
            SOURCE,
            "SIP/2.0/UDP 10.0.0.1;rport=5066;branch=1;received=192.0.2.1",
        ),
        (
            "SIP/2.0/UDP a; received = 203.0.113.9 ;branch=1",
            SOURCE,
            "SIP/2.0/UDP a; received=192.0.2.1 ;branch=1",
        ),
        ("SIP/2.0/UDP [2001:db8::1];branch=1", "[2001:db8::1]:5060", "SIP/2.0/UDP [2001:db8::1];branch=1"),
        (
            "SIP/2.0/UDP [2001:db8::2];rport",
            "[2001:db8::1]:5061",
            "SIP/2.0/UDP [2001:db8::2];rport=5061;received=2001:db8::1",
        ),
    ] {
        assert_eq!(answered_vias(&format!("Via: {via}\r\n"), source), [expected]);
    }
}

#[test]
fn only_the_topmost_via_is_stamped() {
    let vias = "Via: SIP/2.0/UDP a;rport;x=\",;rport\" , SIP/2.0/UDP b;rport\r\nVia: SIP/2.0/UDP c;rport\r\n";
    let expected = [
        "SIP/2.0/UDP a;rport=5066;x=\",;rport\";received=192.0.2.1 , SIP/2.0/UDP b;rport",
        "SIP/2.0/UDP c;rport",
    ];
    assert_eq!(answered_vias(vias, SOURCE), expected);
    let unreadable = "SIP/2.0/UDP 192.0.2.15;;,;,,";
    assert_eq!(answered_vias(&format!("Via: {unreadable}\r\n"), SOURCE), [unreadable]);
}

#[test]
fn a_to_tag_that_is_there_stays() {
    let datagram = String::from_utf8(request("Via: SIP/2.0/UDP a\r\n"))
        .unwrap()
        .replace("<sip:130@b>", "<sip:130@b>;tag=old");
    let octets = answer(datagram.as_bytes(), SOURCE, 200, Some(b"new"));
    assert_eq!(Message::parse(&octets).unwrap().to().unwrap().tag(), Some(&b"old"[..]));
}

#[test]
fn without_a_via_nobody_is_answered() {
    let datagram = request("");
    let message = Message::parse(&datagram).unwrap();
    let refused = Writer::response(&message, SOURCE.parse().unwrap(), 400, "Bad Request", None);
    assert_eq!(refused.unwrap_err(), Unwritable::NoVia);
}

#[test]
fn line_ends_are_kept_out() {
    let message = Message::parse(INVITE).unwrap();
    let source = SOURCE.parse().unwrap();
    for evil in ["x\r\nContact: <sip:evil@b>", "x\nEvil: 1", "x\rEvil: 1", "x\0"] {
        let mut writer = Writer::request(Method::Options, b"sip:a@b").unwrap();
        let before = writer.clone().finish();
        assert_eq!(
            writer.field(HeaderName::Contact, evil).unwrap_err(),
            Unwritable::LineEnd(HeaderName::Contact)
        );
        assert_eq!(writer.field_named(b"X-Any", evil).unwrap_err(), Unwritable::LineEnd(HeaderName::Other));
        assert_eq!(writer.field_named(evil.as_bytes(), "x").unwrap_err(), Unwritable::Text);
        assert_eq!(writer.clone().finish(), before, "a refused field leaves nothing behind");
        assert!(writer.finish_with_body(evil, b"").is_err());
        assert_eq!(Writer::request(Method::Options, evil.as_bytes()).unwrap_err(), Unwritable::Text);
        assert_eq!(
            Writer::request(Method::Other(evil.as_bytes()), b"sip:a@b").unwrap_err(),
            Unwritable::Text
        );
        assert_eq!(Writer::response(&message, source, 200, evil, None).unwrap_err(), Unwritable::Text);
        let tagged = Writer::response(&message, source, 200, "OK", Some(evil.as_bytes()));
        assert_eq!(tagged.unwrap_err(), Unwritable::Text);
    }
    assert_eq!(Writer::response(&message, source, 99, "Low", None).unwrap_err(), Unwritable::Status);
    assert_eq!(
        Writer::request(Method::Bye, b"sip:a@b").unwrap().field(HeaderName::Other, "x").unwrap_err(),
        Unwritable::Text
    );
}

/// A bare CR that came in does not go out again, neither echoed nor copied.
#[test]
fn bare_line_ends_are_not_echoed() {
    let datagram = String::from_utf8(request(
        "Via: SIP/2.0/UDP a\r\nRecord-Route: <sip:a\rb>\r\nRecord-Route: <sip:c>\r\n",
    ))
    .unwrap();
    let datagram = datagram.replace("i:1", "i:1\rEvil: 2");
    let message = Message::parse(datagram.as_bytes()).unwrap();
    assert_eq!(message.check(), Err(Defect::LineEnd));
    let mut writer = Writer::response(&message, SOURCE.parse().unwrap(), 400, "Bad Request", None).unwrap();
    writer.copy(&message, HeaderName::RecordRoute);
    let octets = writer.finish();
    let answer = Message::parse(&octets).unwrap();
    assert_eq!(answer.values(HeaderName::CallId).count(), 0);
    assert_eq!(answer.values(HeaderName::RecordRoute).collect::<Vec<_>>(), [b"<sip:c>"]);
    assert!(!octets.windows(5).any(|window| window == b"Evil:"));
}

#[test]
fn a_request_in_full() {
    let mut writer = Writer::request(Method::Bye, b"sip:+355672123456@192.0.2.1:5060").unwrap();
    writer.field(HeaderName::Via, "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKq;rport").unwrap();
    writer.field_number(HeaderName::MaxForwards, 70).unwrap().field_named(b"X-Caf\xe9", "").unwrap_err();
    writer.field(HeaderName::Reason, b"Q.850;cause=16;text=\"\xeb\"").unwrap();
    let expected = b"BYE sip:+355672123456@192.0.2.1:5060 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKq;rport\r\nMax-Forwards: 70\r\n\
        Reason: Q.850;cause=16;text=\"\xeb\"\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(writer.finish(), expected);
}
