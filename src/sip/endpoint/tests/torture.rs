//! The messages of RFC 4475 and RFC 5118, each to an endpoint of its own.

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

/// The folders of `sip-tests/` with torture messages, and how many each has.
const FOLDERS: [(&str, usize); 2] = [("torture", 49), ("torture-ipv6", 12)];

/// The messages of a folder, with the answer that its table lists.
fn expected(folder: &str) -> Vec<(String, Outcome)> {
    let path = format!("{}/sip-tests/{folder}/expectations.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| {
        let mut columns = row.split('\t');
        let name = columns.next().expect("a name").to_owned();
        let outcome = match columns.nth(2).expect("an answer") {
            "call" => Call,
            "-" => Dropped,
            status => Answered(status.parse().expect("a status")),
        };
        (name, outcome)
    })
    .collect()
}

/// All messages, with the way that each comes: those of RFC 5118 over IPv6.
fn all() -> Vec<(Vec<u8>, Flow, String, Outcome)> {
    let ipv6 = Flow {
        local: "[2001:db8::10]:5060".parse().expect("an address"),
        remote: "[2001:db8::9:1]:5060".parse().expect("an address"),
        ..flow()
    };
    let mut messages = vec![];
    for (folder, count) in FOLDERS {
        let listed = expected(folder);
        assert_eq!(listed.len(), count);
        let flow = if folder == "torture" { flow() } else { ipv6 };
        messages
            .extend(listed.into_iter().map(|(name, outcome)| (octets(folder, &name), flow, name, outcome)));
    }
    messages
}

fn octets(folder: &str, name: &str) -> Vec<u8> {
    let path = format!("{}/sip-tests/{folder}/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What is sent, unread: the answers echo what no other reader takes.
fn raw(endpoint: &mut Endpoint) -> Vec<Bytes> {
    std::iter::from_fn(|| endpoint.poll_transmit()).map(|transmit| transmit.bytes).collect()
}

fn outcome(bench: &mut Bench, flow: Flow, message: &[u8]) -> (Outcome, Vec<Bytes>) {
    bench.endpoint.handle_datagram(bench.now, flow, message);
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
    for (octets, flow, name, expected) in all() {
        let mut bench = Bench::new();
        let (found, sent) = outcome(&mut bench, flow, &octets);
        if found != expected {
            let first = sent.first().map(|m| first_line(&String::from_utf8_lossy(m)).to_owned());
            wrong.push((name.clone(), expected, found, first));
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
        for (octets, flow, ..) in all() {
            bench.endpoint.handle_datagram(bench.now, flow, &octets);
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
    let (_, sent) = outcome(&mut bench, flow(), &octets("torture", "intmeth"));
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
    let (_, sent) = outcome(&mut bench, flow(), &octets("torture", "bext01"));
    let answer = Message::parse(&sent[0]).expect("reads");
    let unsupported: Vec<_> = answer.elements(HeaderName::Unsupported).collect();
    assert_eq!(unsupported, [&b"nothingSupportsThis"[..], &b"nothingSupportsThisEither"[..]]);
}
