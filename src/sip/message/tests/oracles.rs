//! Two other readers of SIP as witnesses: `rsip` for what is written here, `sipx-sip` for what is read.

use super::INVITE;
use super::torture::{names, octets};
use crate::sip::message::*;
use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;
use rsip::typed;
use sipx_sip::headers as sipx;

/// The messages this service sends: a request of each kind, and responses of each kind to an INVITE.
fn written() -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for method in [Method::Invite, Method::Ack, Method::Bye, Method::Cancel, Method::Options] {
        let mut writer = Writer::request(method, b"sip:130@192.0.2.10:5060;user=phone").unwrap();
        writer.field(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK74bf9;rport").unwrap();
        writer.field_number(HeaderName::MaxForwards, 70).unwrap();
        writer.field(HeaderName::From, "\"Arta\" <sip:+355672123456@192.0.2.1>;tag=9fxced76sl").unwrap();
        writer.field(HeaderName::To, "<sip:130@192.0.2.10>").unwrap();
        writer.field(HeaderName::CallId, "3848276298220188511@192.0.2.1").unwrap();
        writer.field(HeaderName::CSeq, format!("4711 {method}")).unwrap();
        writer.field(HeaderName::Contact, "<sip:+355672123456@192.0.2.1:5060>").unwrap();
        messages.push(writer.finish_with_body("application/sdp", b"v=0\r\n").unwrap());
    }
    let invite = Message::parse(INVITE).unwrap();
    for (status, phrase) in
        [(100, "Trying"), (180, "Ringing"), (200, "OK"), (404, "Not Found"), (503, "Service Unavailable")]
    {
        let tag = (status > 100).then_some(&b"a6c85cf"[..]);
        let mut writer =
            Writer::response(&invite, "192.0.2.1:5060".parse().unwrap(), status, phrase, tag).unwrap();
        writer.copy(&invite, HeaderName::RecordRoute);
        writer.field(HeaderName::Contact, "<sip:130@192.0.2.10:5060>").unwrap();
        writer.field(HeaderName::Allow, "INVITE, ACK, BYE, CANCEL, OPTIONS").unwrap();
        writer.field_number(HeaderName::RetryAfter, 5).unwrap();
        messages.push(writer.finish());
    }
    messages
}

#[test]
fn what_is_written_parses_in_rsip() {
    for octets in written() {
        let ours = Message::parse(&octets).unwrap();
        assert_eq!(ours.check(), Ok(()));
        let theirs = rsip::SipMessage::try_from(&octets[..]).unwrap();
        match &theirs {
            rsip::SipMessage::Request(request) => {
                assert_eq!(request.method.to_string().as_bytes(), ours.method().unwrap().as_octets());
                assert_eq!(request.uri.to_string().as_bytes(), ours.request_uri().unwrap().raw());
            }
            rsip::SipMessage::Response(response) => {
                assert_eq!(Some(response.status_code.code()), ours.status())
            }
        }
        let body = match &theirs {
            rsip::SipMessage::Request(request) => &request.body,
            rsip::SipMessage::Response(response) => &response.body,
        };
        assert_eq!(&body[..], ours.body());
        assert_eq!(theirs.call_id_header().unwrap().value().as_bytes(), ours.call_id().unwrap());
        let cseq: typed::CSeq = theirs.cseq_header().unwrap().clone().try_into().unwrap();
        assert_eq!(cseq.seq, ours.cseq().unwrap().number);
        let from: typed::From = theirs.from_header().unwrap().clone().try_into().unwrap();
        assert_eq!(
            from.tag().map(|tag| tag.value().as_bytes().to_vec()),
            ours.from().unwrap().tag().map(<[u8]>::to_vec)
        );
        let to: typed::To = theirs.to_header().unwrap().clone().try_into().unwrap();
        assert_eq!(
            to.tag().map(|tag| tag.value().as_bytes().to_vec()),
            ours.to().unwrap().tag().map(<[u8]>::to_vec)
        );
        let via: typed::Via = theirs.via_header().unwrap().clone().try_into().unwrap();
        assert_eq!(
            via.branch().map(|branch| branch.value().as_bytes().to_vec()),
            ours.top_via().unwrap().branch().map(<[u8]>::to_vec)
        );
        assert_eq!(via.received().unwrap(), ours.top_via().unwrap().received());
    }
}

fn sipx_message(octets: &[u8]) -> Option<sipx_sip::Message> {
    let limits = sipx_sip::parser::Limits::datagram();
    sipx_sip::parser::parse_datagram(bytes::Bytes::copy_from_slice(octets), &limits).ok()
}

/// The messages of RFC 4475 and everything written here, read by both.
#[test]
fn sound_messages_read_alike_in_sipx() {
    let torture = names().into_iter().map(|name| (octets(&name), name));
    let written = written().into_iter().map(|octets| (octets, "written".to_owned()));
    let mut compared = 0;
    for (octets, name) in torture.chain(written).chain([(INVITE.to_vec(), "invite".to_owned())]) {
        let Ok(ours) = Message::parse(&octets) else { continue };
        if ours.check().is_err() {
            continue;
        }
        let theirs = sipx_message(&octets).unwrap_or_else(|| panic!("{name}: not read by sipx"));
        compare(&ours, &theirs, &name);
        compared += 1;
    }
    // 25 of RFC 4475 are sound, 10 are written, 1 is the INVITE of this folder.
    assert_eq!(compared, 36);
}

fn compare(ours: &Message<'_>, theirs: &sipx_sip::Message, name: &str) {
    let headers = theirs.headers();
    assert_eq!(theirs.body(), ours.body(), "{name}");
    let cseq = headers.typed::<sipx::CSeq>().unwrap().unwrap();
    assert_eq!(
        (cseq.sequence, cseq.method.as_bytes()),
        (ours.cseq().unwrap().number, ours.cseq().unwrap().method.as_octets()),
        "{name}"
    );
    assert_eq!(headers.typed::<sipx::CallId>().unwrap().unwrap().0, ours.call_id().unwrap(), "{name}");
    compare_address(&headers.typed::<sipx::From>().unwrap().unwrap(), &ours.from().unwrap(), name);
    compare_address(&headers.typed::<sipx::To>().unwrap().unwrap(), &ours.to().unwrap(), name);
    let forwards = headers.typed::<sipx::MaxForwards>().map(|value| value.unwrap().0);
    assert_eq!(forwards, ours.max_forwards().unwrap(), "{name}");
    let vias: Vec<sipx::Via> = headers.typed_all::<sipx::Via>().map(Result::unwrap).collect();
    assert_eq!(vias.len(), ours.vias().count(), "{name}");
    for (theirs, ours) in vias.iter().zip(ours.vias()) {
        let ours = ours.unwrap();
        assert_eq!((theirs.branch(), theirs.port), (ours.branch(), ours.port), "{name}");
    }
    let contacts = ours.contacts().filter(|contact| matches!(contact, Ok(Contact::Address(_)))).count();
    assert_eq!(headers.typed_all::<sipx::Contact>().filter(Result::is_ok).count(), contacts, "{name}");
}

fn compare_address(theirs: &sipx::Address, ours: &NameAddr<'_>, name: &str) {
    assert_eq!(theirs.tag(), ours.tag(), "{name}");
    let display = theirs.display_name.clone().unwrap_or_default();
    assert_eq!(display, ours.display_name().as_ref(), "{name}");
    if let Uri::Sip(uri) = ours.uri {
        assert_eq!((theirs.uri.user(), theirs.uri.port()), (uri.user, uri.port), "{name}");
    }
}
