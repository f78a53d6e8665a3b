//! Reading a SIP message allocates nothing: what a stranger sends costs no memory before it is accepted.

use klikon::sip::message::{Contact, HeaderName, Message, Uri};

const INVITE: &[u8] = include_bytes!("../sip-tests/messages/invite.sip");

/// Every reader that a call uses, over a message with a body.
fn read(datagram: &[u8]) {
    let message = Message::parse(datagram).unwrap();
    let _ = message.check();
    let _ = (message.request_uri(), message.top_via().map(|via| via.branch_kind()), message.body());
    let _ = (message.from().map(|from| from.tag()), message.to().map(|to| to.tag()), message.call_id());
    let _ = (
        message.cseq(),
        message.max_forwards(),
        message.content_type(),
        message.content_length(),
        message.date(),
    );
    let addresses = message.routes().chain(message.record_routes()).chain(message.asserted_identities());
    let _ = addresses.filter(|address| matches!(address, Ok(a) if matches!(a.uri, Uri::Sip(_)))).count();
    let _ = message.contacts().filter(|contact| matches!(contact, Ok(Contact::Any))).count();
    let _ = message.require().count() + message.supported().count() + message.allow().count();
    let _ = message.privacy().count() + message.values(HeaderName::UserAgent).count();
}

#[test]
fn reading_allocates_nothing() {
    let torture = concat!(env!("CARGO_MANIFEST_DIR"), "/sip-tests/torture");
    let mut datagrams: Vec<Vec<u8>> = std::fs::read_dir(torture)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| std::fs::read(path).unwrap())
        // The one message of RFC 4475 that is not read as one.
        .filter(|datagram| Message::parse(datagram).is_ok())
        .collect();
    assert_eq!(datagrams.len(), 48);
    datagrams.push(INVITE.to_vec());
    for datagram in &datagrams {
        let measured = allocation_counter::measure(|| read(datagram));
        assert_eq!(measured.count_total, 0, "{}", datagram.escape_ascii());
    }
    // The counter counts.
    assert!(allocation_counter::measure(|| drop(Vec::<u8>::with_capacity(8))).count_total > 0);
}
