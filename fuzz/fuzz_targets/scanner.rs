//! Any octets to the reader of SIP messages, and what it makes of them to the writer.
#![no_main]

use klikon::sip::message::{Contact, Defect, HeaderName, Message, Uri, Writer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    let Ok(message) = Message::parse(datagram) else { return };
    let _ = message.check();
    read_everything(&message);
    answer(&message);
});

fn read_everything(message: &Message<'_>) {
    let _ = (message.start(), message.body(), message.request_uri(), message.call_id(), message.cseq());
    let _ = (message.max_forwards(), message.expires(), message.content_length(), message.content_type());
    let _ = (message.content_disposition(), message.date(), message.retry_after(), message.user_agent());
    for via in message.vias().flatten() {
        let _ = (via.branch_kind(), via.received(), via.rport(), via.maddr());
    }
    let contacts = message.contacts().flatten().filter_map(|contact| match contact {
        Contact::Address(address) => Some(address),
        Contact::Any => None,
    });
    let single = [message.from(), message.to()].into_iter().flatten();
    let routes =
        message.routes().chain(message.record_routes()).chain(message.asserted_identities()).flatten();
    for address in single.chain(contacts).chain(routes) {
        let _ = (address.display_name(), address.tag(), address.uri.user());
        assert!(address.uri.is_equivalent(&address.uri));
        assert_eq!(Uri::parse(address.uri.raw()), Some(address.uri));
    }
    let _ = message.privacy().count() + message.allow().count() + message.identities().count();
    let _ = message.require().chain(message.proxy_require()).chain(message.supported()).count();
    let _ = message.accept().map(|ranges| ranges.count());
    for field in message.fields() {
        assert_eq!(HeaderName::from_octets(field.spelled), field.name);
    }
}

/// Nothing that came in makes the answer anything but the fields that were meant.
fn answer(message: &Message<'_>) {
    let source = ([192, 0, 2, 1], 5060).into();
    let Ok(mut writer) = Writer::response(message, source, 400, "Bad Request", Some(b"tag")) else { return };
    writer.copy(message, HeaderName::RecordRoute);
    let octets = writer.finish();
    // Fields of nearly 64 KiB may add up to more than a datagram; the sender hears nothing then.
    let Ok(answer) = Message::parse(&octets) else { return assert!(octets.len() > 65_535) };
    let defect = answer.check().err();
    assert!(!matches!(defect, Some(Defect::LineEnd | Defect::FieldLine | Defect::Unended)), "{defect:?}");
    use HeaderName::{CSeq, CallId, ContentLength, From, RecordRoute, To, Via};
    for field in answer.fields() {
        assert!([Via, From, To, CallId, CSeq, RecordRoute, ContentLength].contains(&field.name), "{field:?}");
    }
    // Fields at the limit of their length are over it once stamped; the peer may take them all the same.
    if message.check().is_ok() && defect != Some(Defect::HeaderTooLarge) {
        assert_eq!(defect, None, "a sound request was answered with an unsound response");
        assert!(answer.to().is_ok_and(|to| to.tag().is_some()));
    }
}
