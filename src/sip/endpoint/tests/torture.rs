//! The messages of RFC 4475, each to an endpoint of its own.

use super::*;

/// What an endpoint makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A new call: 100 Trying and an event.
    Call,
    /// One answer with this status.
    Answered(u16),
    /// Nothing.
    Dropped,
}

use Outcome::{Answered, Call, Dropped};

/// As RFC 4475 asks of a user agent server that takes calls, knows no registrations and has no dialog open.
const EXPECTED: [(&str, Outcome); 49] = [
    // INVITE with a To tag of no dialog.
    ("wsinv", Answered(481)),
    ("intmeth", Answered(501)),
    ("esc01", Call),
    // REGISTER is known and not supported.
    ("escnull", Answered(405)),
    ("esc02", Answered(501)),
    ("lwsdisp", Answered(200)),
    ("longreq", Call),
    ("dblreq", Answered(405)),
    ("semiuri", Answered(200)),
    ("transports", Answered(200)),
    // MESSAGE, known and not supported.
    ("mpart01", Answered(405)),
    // Responses to nothing we sent.
    ("unreason", Dropped),
    ("noreason", Dropped),
    ("badinv01", Answered(400)),
    ("clerr", Answered(400)),
    ("ncl", Answered(400)),
    ("scalar02", Answered(400)),
    ("scalarlg", Dropped),
    ("quotbal", Answered(400)),
    ("ltgtruri", Answered(400)),
    ("lwsruri", Answered(400)),
    ("lwsstart", Answered(400)),
    ("trws", Answered(400)),
    ("escruri", Answered(400)),
    ("baddate", Answered(400)),
    ("regbadct", Answered(400)),
    ("badaspec", Answered(400)),
    ("baddn", Answered(400)),
    ("badvers", Answered(505)),
    ("mismatch01", Answered(400)),
    ("mismatch02", Answered(400)),
    ("bigcode", Dropped),
    ("badbranch", Answered(200)),
    ("insuf", Answered(400)),
    ("unkscm", Answered(416)),
    ("novelsc", Answered(416)),
    ("unksm2", Answered(405)),
    ("bext01", Answered(420)),
    ("invut", Answered(415)),
    ("regaut01", Answered(405)),
    ("multi01", Answered(400)),
    ("mcl01", Answered(400)),
    ("bcast", Dropped),
    ("zeromf", Answered(200)),
    ("cparam01", Answered(405)),
    ("cparam02", Answered(405)),
    ("regescrt", Answered(405)),
    ("sdp01", Answered(406)),
    ("inv2543", Call),
];

fn octets(name: &str) -> Vec<u8> {
    let path = format!("{}/sip-tests/torture/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is sent, unread: the answers echo what no other reader takes.
fn raw(endpoint: &mut Endpoint) -> Vec<Bytes> {
    std::iter::from_fn(|| endpoint.poll_transmit()).map(|transmit| transmit.bytes).collect()
}

fn outcome(bench: &mut Bench, message: &[u8]) -> (Outcome, Vec<Bytes>) {
    bench.endpoint.handle_datagram(bench.now, flow(), message);
    let sent = raw(&mut bench.endpoint);
    let statuses: Vec<_> = sent.iter().filter_map(|m| Message::parse(m).ok()?.status()).collect();
    let outcome = match (&*statuses, &*bench.events()) {
        ([100], [Event::Invite(_)]) => Call,
        ([status], []) => Answered(*status),
        ([], []) => Dropped,
        other => panic!("{other:?}"),
    };
    (outcome, sent)
}

#[test]
fn each_message_is_answered_as_rfc_4475_asks() {
    let mut wrong = vec![];
    for (name, expected) in EXPECTED {
        let mut bench = Bench::new();
        let (found, sent) = outcome(&mut bench, &octets(name));
        if found != expected {
            let first = sent.first().map(|m| first_line(&String::from_utf8_lossy(m)).to_owned());
            wrong.push((name, expected, found, first));
        }
        // Alive, and taking calls.
        bench.endpoint.handle_timeout(bench.now);
        assert_eq!(first_lines(&bench.receive(invite(Some(SDP)))), ["SIP/2.0 100 Trying"], "after {name}");
        bench.events();
        bench.now += Duration::from_secs(1_000);
        bench.endpoint.handle_timeout(bench.now);
        raw(&mut bench.endpoint);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn all_of_them_in_one_endpoint_leave_nothing() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        for (name, _) in EXPECTED {
            bench.endpoint.handle_datagram(bench.now, flow(), &octets(name));
        }
    }
    while let Some(at) = bench.endpoint.poll_timeout() {
        bench.now = at;
        bench.endpoint.handle_timeout(at);
        raw(&mut bench.endpoint);
        bench.events();
    }
    assert_nothing_left(&bench.endpoint);
}

#[test]
fn a_strange_branch_comes_back_octet_by_octet() {
    let mut bench = Bench::new();
    let (_, sent) = outcome(&mut bench, &octets("intmeth"));
    let answer = Message::parse(&sent[0]).expect("reads");
    assert_eq!(answer.top_via().expect("a Via").branch(), Some(&b"z9hG4bK-.!%66*_+`'~"[..]));
}

#[test]
fn two_requests_whose_branch_is_only_the_cookie_do_not_collide() {
    let mut bench = Bench::new();
    let bare = |call: &str| {
        invite(Some(SDP))
            .replace("z9hG4bK-INVITE-1", "z9hG4bK")
            .replace("Call-ID: call-1", &format!("Call-ID: {call}"))
    };
    for call in ["one", "two"] {
        assert_eq!(first_lines(&bench.receive(bare(call))), ["SIP/2.0 100 Trying"]);
    }
    assert_eq!(bench.events().len(), 2);
    assert_eq!(first_lines(&bench.receive(bare("one"))), ["SIP/2.0 100 Trying"]);
    assert!(bench.events().is_empty());
}

#[test]
fn the_rules_of_options_hold_for_what_it_is_asked_of() {
    let mut bench = Bench::new();
    let (_, sent) = outcome(&mut bench, &octets("bext01"));
    let answer = Message::parse(&sent[0]).expect("reads");
    let unsupported: Vec<_> = answer.elements(HeaderName::Unsupported).collect();
    assert_eq!(unsupported, [&b"nothingSupportsThis"[..], &b"nothingSupportsThisEither"[..]]);
}
