//! Reading a SIP message allocates nothing: what a stranger sends costs no memory before it is accepted. A call holds
//! less than 8 KiB while it stands, and less than 2 KiB while its transactions linger.

use klikon::sip::message::{Contact, HeaderName, Message, Uri};
use klikon::sip::{Endpoint, EndpointConfig, Event, Flow, Transport};
use klikon::units::clock::Clock;
use std::time::Instant;

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

const ANSWER: &[u8] =
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

/// A request of call `number` with these further fields; those of `invite.sip` otherwise.
fn request(number: u32, method: &str, to_of: Option<&[u8]>) -> Vec<u8> {
    let invite = String::from_utf8(INVITE.to_vec()).unwrap();
    let message = Message::parse(INVITE).unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    let (call_id, branch) =
        (text(message.call_id().unwrap()), text(message.top_via().unwrap().branch().unwrap()));
    let invite = invite.replace(&call_id, &format!("{number}-{call_id}"));
    let Some(ok) = to_of else { return invite.replace(&branch, &format!("{branch}{number}")).into_bytes() };
    let ok = Message::parse(ok).unwrap();
    let value = |name| text(ok.values(name).next().unwrap());
    format!(
        "{method} sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
        value(HeaderName::From),
        value(HeaderName::To),
        value(HeaderName::CallId),
        ok.cseq().unwrap().number + u32::from(method == "BYE"),
    )
    .into_bytes()
}

/// Hands a request in; gives the session it made and the last message that went out.
fn hand_in(
    endpoint: &mut Endpoint,
    now: Instant,
    octets: &[u8],
) -> (Option<klikon::sip::SessionId>, Vec<u8>) {
    let flow = Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.9:5060".parse().unwrap(),
    };
    endpoint.handle_datagram(now, flow, octets);
    let mut session = None;
    while let Some(event) = endpoint.poll_event() {
        if let Event::Invite(invite) = event {
            session = Some(invite.session);
        }
    }
    (session, sent(endpoint))
}

fn sent(endpoint: &mut Endpoint) -> Vec<u8> {
    std::iter::from_fn(|| endpoint.poll_transmit())
        .last()
        .map(|transmit| transmit.bytes.to_vec())
        .unwrap_or_default()
}

/// A call that is answered and acknowledged; gives the 200.
fn stand(endpoint: &mut Endpoint, now: Instant, number: u32) -> Vec<u8> {
    let (session, _) = hand_in(endpoint, now, &request(number, "INVITE", None));
    endpoint.accept(now, session.unwrap(), ANSWER.to_vec()).unwrap();
    let ok = sent(endpoint);
    hand_in(endpoint, now, &request(number, "ACK", Some(&ok)));
    ok
}

#[test]
fn a_call_holds_less_than_8_kib_and_one_that_has_ended_less_than_2_kib() {
    // Just beyond a power of two, where tables are emptiest.
    const CALLS: u32 = 3_700;
    let now = Clock::system().instant();
    let mut standing = Endpoint::new(EndpointConfig::new([1; 32]));
    let held =
        allocation_counter::measure(|| (0..CALLS).for_each(|call| drop(stand(&mut standing, now, call))));
    assert_eq!(standing.session_count(), CALLS as usize);
    let stands = held.bytes_current / i64::from(CALLS);
    assert!(stands < 8 * 1024, "{stands} octets a call");
    let mut ended = Endpoint::new(EndpointConfig::new([1; 32]));
    let held = allocation_counter::measure(|| {
        for call in 0..CALLS {
            let ok = stand(&mut ended, now, call);
            let (_, answer) = hand_in(&mut ended, now, &request(call, "BYE", Some(&ok)));
            assert!(answer.starts_with(b"SIP/2.0 200 "));
        }
    });
    assert_eq!((ended.session_count(), ended.transaction_count()), (0, 2 * CALLS as usize));
    let lingers = held.bytes_current / i64::from(CALLS);
    assert!(lingers < 2 * 1024, "{lingers} octets a call that has ended");
    println!("{stands} octets a call that stands, {lingers} one that has ended");
}
