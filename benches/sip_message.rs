//! What it costs to read a SIP message: nanoseconds and allocations for each step, over the INVITE that a trunk
//! sends and the longest message of RFC 4475. Run with `cargo bench --bench sip_message`.
//!
//! The best of many rounds is printed, since whatever else the machine does can only make a round slower.

use klikon::sip::message::{HeaderName, Message, Writer};
use klikon::units::clock::Clock;
use std::hint::black_box;
use std::time::Duration;

const INVITE: &[u8] = include_bytes!("../sip-tests/messages/invite.sip");
const LONGEST: &[u8] = include_bytes!("../sip-tests/torture/longreq.dat");

const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const ROUNDS: u32 = 20;
const MESSAGES_A_ROUND: u32 = 5_000;

fn main() {
    for (name, datagram) in [("invite", INVITE), ("longreq", LONGEST)] {
        println!("{name}: {} octets", datagram.len());
        measure("index", || drop(black_box(parse(datagram))));
        measure("index, read the fields", || read_fields(&parse(datagram)));
        measure("index, check", || assert_eq!(parse(datagram).check(), Ok(())));
        measure("index, check, read the fields", || {
            let message = parse(datagram);
            assert_eq!(message.check(), Ok(()));
            read_fields(&message);
        });
        measure("index, write a 100", || {
            let source = ([192, 0, 2, 1], 5060).into();
            let writer = Writer::response(&parse(datagram), source, 100, "Trying", None);
            drop(black_box(writer.map(Writer::finish)));
        });
        let message = parse(datagram);
        measure("write a 200 with a description", || drop(black_box(write_ok(&message))));
    }
}

fn parse(datagram: &[u8]) -> Message<'_> {
    match Message::parse(black_box(datagram)) {
        Ok(message) => message,
        Err(malformed) => panic!("{malformed}"),
    }
}

/// The fields that a call needs.
fn read_fields(message: &Message<'_>) {
    let _ = black_box((message.request_uri(), message.top_via().map(|via| via.branch_kind())));
    let _ = black_box((message.from().map(|from| from.tag()), message.to().map(|to| to.tag())));
    let _ = black_box((message.call_id(), message.cseq(), message.max_forwards(), message.content_type()));
    black_box((
        message.contacts().count(),
        message.record_routes().count(),
        message.asserted_identities().count(),
    ));
    black_box((message.require().count(), message.supported().count(), message.body()));
}

/// The answer to an INVITE, as the endpoint writes it.
fn write_ok(message: &Message<'_>) -> Option<Vec<u8>> {
    let source = ([192, 0, 2, 1], 5060).into();
    let mut writer = Writer::response(message, source, 200, "OK", Some(b"0123456789abcdef")).ok()?;
    writer.field(HeaderName::Server, "klikon").ok()?;
    writer.copy(message, HeaderName::RecordRoute);
    writer.field(HeaderName::Contact, "<sip:130@192.0.2.1:5060>").ok()?;
    writer.field(HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS").ok()?;
    writer.finish_with_body("application/sdp", ANSWER).ok()
}

fn measure(step: &str, mut work: impl FnMut()) {
    let allocations = allocation_counter::measure(&mut work).count_total;
    let clock = Clock::system();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = clock.instant();
        for _ in 0..MESSAGES_A_ROUND {
            work();
        }
        best = best.min(clock.instant() - began);
    }
    let message_ns = best.as_nanos() / u128::from(MESSAGES_A_ROUND);
    println!("  {step:30} {message_ns:6} ns  {allocations:3} allocations");
}
