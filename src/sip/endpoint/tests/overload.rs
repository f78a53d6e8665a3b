//! Admission: what is refused or dropped before it is looked into, and what never is.

use super::*;
use crate::sip::overload::{AMPLIFICATION_MAX, Guard, PeerShare, Settings, Strangers};

const PEER: &str = "192.0.2.9:5060";
const STRANGER: &str = "198.51.100.7:5060";

fn from(source: &str) -> Flow {
    Flow { remote: source.parse().expect("an address"), ..flow() }
}

fn guard() -> Guard {
    Guard {
        max_messages_per_s: None,
        message_burst: 1,
        offences_per_minute: 10,
        ban: Duration::from_secs(60),
        ban_max: Duration::from_secs(3600),
        max_sources: 1024,
    }
}

/// A guard, and one peer: 192.0.2.0/24.
fn guarded() -> Settings {
    let addresses = vec!["192.0.2.0/24".parse().expect("a range")];
    let peers = vec![PeerShare { addresses, ..PeerShare::default() }];
    Settings { peers, guard: Some(guard()), ..Settings::open() }
}

fn bench(overload: Settings) -> Bench {
    Bench::with(EndpointConfig { overload, ..EndpointConfig::new([9; 32]) })
}

/// Messages asked for feedback on load.
const FEEDBACK_ASKED: &str = ";oc;oc-algo=\"loss,A\"";

/// The INVITE of call `number`, as a program that sits at `source` writes it.
fn call(number: usize, source: &str) -> String {
    invite(Some(SDP))
        .replace("call-1", &format!("call-{number}"))
        .replace("INVITE-1", &format!("INVITE-{number}"))
        .replace(PEER, source)
}

impl Bench {
    fn receive_from(&mut self, source: &str, message: impl AsRef<[u8]>) -> Vec<String> {
        self.endpoint.handle_datagram(self.now, from(source), message.as_ref());
        self.sent()
    }

    /// The first lines of the answers to call `number`.
    fn offer(&mut self, number: usize, source: &str) -> Vec<String> {
        let sent = self.receive_from(source, call(number, source));
        first_lines(&sent).iter().map(|line| (*line).to_owned()).collect()
    }

    fn session(&mut self) -> SessionId {
        match &*self.events() {
            [Event::Invite(invite)] => invite.session,
            other => panic!("not an INVITE: {other:?}"),
        }
    }
}

#[test]
fn over_the_rate_new_calls_are_503_and_everything_within_calls_passes() {
    let mut bench = bench(Settings { max_calls_per_s: Some(1), call_burst: 1, ..Settings::open() });
    let (_, ok) = bench.established();
    assert_eq!(bench.offer(2, PEER), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(bench.count(Counter::RefusedCallRate), 1);
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (1, 1));
    // The INVITE that was admitted comes again; its 200 went out, and its ACK came.
    assert!(bench.receive(invite(Some(SDP))).is_empty());
    assert_eq!(bench.count(Counter::RetransmissionsReceived), 1);
    assert_eq!(first_lines(&bench.receive(within(&ok, "OPTIONS", 2, ""))), ["SIP/2.0 200 OK"]);
    let reinvite = within(&ok, "INVITE", 3, SDP);
    assert_eq!(first_lines(&bench.receive(reinvite)), ["SIP/2.0 200 OK"]);
    assert!(bench.receive(within(&ok, "ACK", 3, "")).is_empty());
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 4, ""))), ["SIP/2.0 200 OK"]);
    bench.advance(ms(1_000));
    assert_eq!(bench.offer(3, PEER), ["SIP/2.0 100 Trying"]);
    // An unanswered call can be given up, however busy the service is.
    let cancel = request("CANCEL", "", "").replace("call-1", "call-3").replace("CANCEL-1", "INVITE-3");
    assert_eq!(first_lines(&bench.receive(cancel)), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
}

#[test]
fn those_refused_together_do_not_come_back_together() {
    let settings = Settings { max_calls_per_s: Some(1), retry_after_spread_s: 20, ..Settings::open() };
    let mut bench = bench(settings);
    bench.offer(0, PEER);
    let mut waits = std::collections::BTreeMap::<u32, u32>::new();
    for number in 1..=1_000 {
        let [first, again] = [0; 2].map(|_| bench.receive(call(number, PEER)).remove(0));
        assert_eq!(first, again, "a retransmission is told the same");
        *waits.entry(field(&first, "Retry-After").expect("there").parse().expect("a number")).or_default() +=
            1;
    }
    assert_eq!(waits.len(), 21);
    assert_eq!((waits.keys().min(), waits.keys().max()), (Some(&10), Some(&30)));
    assert!(waits.values().all(|calls| (20..=80).contains(calls)), "{waits:?}");
}

#[test]
fn a_peer_s_calls_are_counted_while_they_last() {
    let mut settings = guarded();
    settings.peers[0].max_calls = Some(1);
    let mut bench = bench(settings);
    bench.offer(1, PEER);
    let session = bench.session();
    assert_eq!(bench.offer(2, PEER), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(bench.count(Counter::RefusedPeerCalls), 1);
    assert_eq!(bench.offer(3, STRANGER), ["SIP/2.0 100 Trying"], "others have their own");
    bench.endpoint.reject(bench.now, session, &Rejection::new(404)).expect("rejected");
    bench.sent();
    bench.events();
    assert_eq!(bench.offer(4, PEER), ["SIP/2.0 100 Trying"]);
}

#[test]
fn forged_calls_take_only_so_many_places() {
    let mut settings = Settings { max_unacknowledged: Some(3), ..guarded() };
    settings.strangers_max_calls = Some(2);
    let mut bench = bench(settings);
    // Three that are acknowledged are not counted; three that are not, are.
    for number in 1..=6 {
        assert_eq!(bench.offer(number, PEER), ["SIP/2.0 100 Trying"]);
        let session = bench.session();
        bench.endpoint.accept(bench.now, session, OUR_SDP.into()).expect("accepted");
        let ok = bench.sent().remove(0);
        if number <= 3 {
            bench.receive(within(&ok, "ACK", 1, "").replace("call-1", &format!("call-{number}")));
            bench.events();
        }
    }
    assert_eq!(bench.offer(7, PEER), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(bench.count(Counter::RefusedUnacknowledged), 1);
    let strangers: Vec<String> = (10..13).flat_map(|number| bench.offer(number, STRANGER)).collect();
    assert_eq!(
        strangers,
        ["SIP/2.0 100 Trying", "SIP/2.0 100 Trying", "SIP/2.0 503 Service Unavailable"],
        "strangers have a share of their own"
    );
    // Those that nobody acknowledged end by themselves, and give their places back.
    bench.advance(ms(32_500));
    bench.events();
    for number in 20..23 {
        assert_eq!(bench.offer(number, PEER), ["SIP/2.0 100 Trying"]);
    }
    assert_eq!(bench.offer(23, PEER), ["SIP/2.0 503 Service Unavailable"]);
}

#[test]
fn a_full_call_layer_refuses_before_any_work_until_it_has_room() {
    let mut bench = bench(Settings::open());
    bench.endpoint.set_room_for_calls(1);
    assert_eq!(bench.offer(1, PEER), ["SIP/2.0 100 Trying"]);
    assert_eq!(bench.offer(2, PEER), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(bench.count(Counter::RefusedCallLimit), 1);
    bench.endpoint.set_room_for_calls(1);
    assert_eq!(bench.offer(3, PEER), ["SIP/2.0 100 Trying"]);
}

#[test]
fn strangers_are_met_as_the_settings_say() {
    let met = |strangers| {
        let mut bench = bench(Settings { strangers, ..guarded() });
        assert_eq!(bench.offer(1, PEER), ["SIP/2.0 100 Trying"], "a peer is none");
        let answer = bench.offer(2, STRANGER);
        let (refused, dropped) =
            (bench.count(Counter::RefusedStranger), bench.count(Counter::DroppedStrangerCall));
        (answer.concat(), refused, dropped)
    };
    assert_eq!(met(Strangers::Answer), ("SIP/2.0 100 Trying".to_owned(), 0, 0));
    assert_eq!(met(Strangers::Refuse), ("SIP/2.0 403 Forbidden".to_owned(), 1, 0));
    assert_eq!(met(Strangers::Ignore), (String::new(), 0, 1));
}

#[test]
fn a_silent_service_answers_strangers_nothing_but_calls() {
    let mut bench = bench(Settings { silent_to_strangers: true, ..guarded() });
    for method in ["OPTIONS", "REGISTER", "SUBSCRIBE", "MESSAGE", "NONSENSE"] {
        assert!(bench.receive_from(STRANGER, request(method, "", "")).is_empty(), "{method}");
        assert_eq!(bench.receive(request(method, "", "")).len(), 1, "a peer's {method}");
    }
    assert_eq!(bench.count(Counter::DroppedStrangerRequest), 5);
    assert_eq!(bench.offer(1, STRANGER), ["SIP/2.0 100 Trying"]);
}

/// What svmap, svwar (sipvicious 0.3) and sipsak send, as they sent it.
const SCANS: [&str; 4] = [
    include_str!("../../../../sip-tests/scanners/svmap-options.sip"),
    include_str!("../../../../sip-tests/scanners/svwar-register.sip"),
    include_str!("../../../../sip-tests/scanners/svwar-options.sip"),
    include_str!("../../../../sip-tests/scanners/svwar-invite.sip"),
];
const SIPSAK: &str = include_str!("../../../../sip-tests/scanners/sipsak-options.sip");

#[test]
fn scanners_get_nothing_and_their_address_is_banned() {
    for scan in SCANS {
        let mut bench = bench(guarded());
        assert!(bench.receive_from(STRANGER, scan).is_empty(), "{scan}");
        assert_eq!(bench.count(Counter::DroppedScanner), 1);
        assert_eq!(bench.count(Counter::SourcesBanned), 1);
        assert!(bench.endpoint.is_banned(bench.now, from(STRANGER)));
        assert!(bench.offer(1, STRANGER).is_empty());
        assert_eq!(bench.count(Counter::DroppedBanned), 1);
        bench.advance(Duration::from_secs(60));
        assert_eq!(bench.offer(1, STRANGER), ["SIP/2.0 100 Trying"], "a ban ends");
    }
    let mut bench = bench(guarded());
    let only_from = SCANS[0].replace("User-Agent: friendly-scanner", "User-Agent: Asterisk");
    assert!(bench.receive_from("198.51.100.8:5060", only_from).is_empty(), "its From still names it");
    assert_eq!(bench.receive_from(STRANGER, SIPSAK).len(), 1, "an operator's tool is answered");
}

#[test]
fn a_forged_peer_is_never_banned_but_counted() {
    let mut bench = bench(guarded());
    for _ in 0..100 {
        bench.receive_from(PEER, "GET / HTTP/1.1\r\n\r\n");
        bench.receive_from(PEER, SCANS[0]);
    }
    assert_eq!(bench.count(Counter::PeerOffences), 100, "what it passes on is not its own doing");
    assert_eq!(bench.count(Counter::SourcesBanned), 0);
    assert_eq!(bench.offer(1, PEER), ["SIP/2.0 100 Trying"]);
}

#[test]
fn one_who_babbles_or_floods_is_banned_and_nobody_else_is() {
    let mut settings = guarded();
    settings.guard = Some(Guard { max_messages_per_s: Some(10), message_burst: 20, ..guard() });
    let mut bench = bench(settings);
    for _ in 0..11 {
        bench.receive_from("198.51.100.1:5060", "GET / HTTP/1.1\r\n\r\n");
    }
    let answered = (0..100).filter(|number| !bench.offer(*number, STRANGER).is_empty()).count();
    assert_eq!(answered, 20);
    // Ten offences are borne; the eleventh is not.
    assert_eq!(bench.count(Counter::DroppedSourceRate), 11);
    assert_eq!(bench.count(Counter::DroppedBanned), 69);
    assert_eq!(bench.count(Counter::SourcesBanned), 2);
    assert_eq!(bench.offer(500, "198.51.100.2:5060"), ["SIP/2.0 100 Trying"]);
}

#[test]
fn feedback_is_given_to_those_who_ask_and_in_their_via_alone() {
    let settings = Settings {
        max_calls_per_s: Some(10),
        call_burst: 1,
        loss_validity: Some(ms(500)),
        made_at: Duration::from_secs(1_282_321_615),
        ..Settings::open()
    };
    let mut bench = bench(settings);
    let asking = |number: usize| {
        let branch = format!("z9hG4bK-INVITE-{number}");
        call(number, PEER).replace(&branch, &format!("{branch}{FEEDBACK_ASKED};x=\"oc\";b-1"))
    };
    let via = |sent: &[String]| field(&sent[0], "Via").expect("there").to_owned();
    // §4.3: "a value of 0 … is reserved to denote … that it supports overload control but is not currently requesting
    // any reduction in traffic".
    let calm = via(&bench.receive(asking(1)));
    assert!(calm.ends_with(";oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=1282321615.00000"), "{calm}");
    assert!(calm.contains(";x=\"oc\";b-1"), "what is not of it stays: {calm}");
    assert_eq!(calm.matches("oc-algo").count(), 1, "one algorithm is chosen");
    // A hundred calls in a second, of which ten are taken.
    let mut losses = vec![];
    for number in 2..200 {
        bench.advance(ms(10));
        let told = via(&bench.receive(asking(number)));
        let loss = told.split(";oc=").nth(1).and_then(|rest| rest.split(';').next()).expect("told");
        losses.push(loss.parse::<u32>().expect("a number"));
        assert_eq!(told.contains("oc-validity=500"), loss != "0", "{told}");
    }
    assert_eq!(losses[0], 0);
    assert!(losses.last().is_some_and(|loss| (80..=98).contains(loss)), "{losses:?}");
    // §5.2: only to a client that asked for it, with an algorithm that is here.
    for silent in ["", ";oc-algo=\"loss\"", ";oc;oc-algo=\"rate\"", ";oc"] {
        let request = call(1_000, PEER).replace(":5060;branch", &format!(":5060{silent};branch"));
        let told = via(&bench.receive(request));
        assert!(!told.contains("oc-seq") && told.contains(&format!(":5060{silent};branch")), "{told}");
    }
    // Others' Vias below are none of ours.
    let below = "Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKb;oc;oc-algo=\"loss\"\r\nMax-Forwards";
    let sent = bench.receive(asking(2_000).replace("Max-Forwards", below));
    assert!(sent[0].contains(";branch=z9hG4bKb;oc;oc-algo=\"loss\"\r\n"), "{}", sent[0]);
    // What a client must not say (§4.3, §4.4) does not come back.
    let forged = asking(3_000).replace(";oc;", ";oc=77 ; oc-seq=99999999999.1;OC-Validity=9;");
    let told = via(&bench.receive(forged));
    assert!(!told.contains("77") && !told.contains("9999") && !told.contains("OC-V"), "{told}");
}

#[test]
fn the_sequence_grows() {
    let settings = Settings { loss_validity: Some(ms(500)), ..Settings::open() };
    let mut bench = bench(settings);
    let mut last = String::new();
    for number in 0..50 {
        bench.advance(ms(7));
        let request = request("OPTIONS", "", "").replace(";branch", &format!("{FEEDBACK_ASKED};branch"));
        let sent = bench.receive(request.replace("OPTIONS-1", &format!("OPTIONS-{number}")));
        let told =
            field(&sent[0], "Via").and_then(|via| via.split("oc-seq=").nth(1)).expect("told").to_owned();
        assert!(told > last, "{told} after {last}");
        last = told;
    }
}

/// Octets sent to an address that proves nothing, for each octet of `messages` from it, after all timers.
fn amplification(bench: &mut Bench, messages: &[String], accept: bool) -> f64 {
    let mut sent_octets = 0;
    let mut count = |endpoint: &mut Endpoint| {
        while let Some(transmit) = endpoint.poll_transmit() {
            assert_eq!(transmit.flow.remote.ip(), from(STRANGER).remote.ip(), "sent elsewhere");
            sent_octets += transmit.bytes.len();
        }
    };
    for message in messages {
        bench.endpoint.handle_datagram(bench.now, from(STRANGER), message.as_bytes());
        for event in bench.events() {
            let Event::Invite(invite) = event else { continue };
            let outcome = match accept {
                true => bench.endpoint.accept(bench.now, invite.session, OUR_SDP.into()),
                false => bench.endpoint.reject(bench.now, invite.session, &Rejection::new(404)),
            };
            outcome.expect("carried out");
        }
        count(&mut bench.endpoint);
    }
    let end = bench.now + Duration::from_secs(200);
    while let Some(at) = bench.endpoint.poll_timeout().filter(|at| *at <= end) {
        bench.now = bench.now.max(at);
        bench.endpoint.handle_timeout(bench.now);
        count(&mut bench.endpoint);
    }
    let received: usize = messages.iter().map(String::len).sum();
    sent_octets as f64 / received as f64
}

#[test]
fn an_address_that_proves_nothing_gets_at_most_three_octets_for_one() {
    // The shortest INVITE that is taken.
    let short = |number: usize| {
        format!(
            "INVITE sip:130@a SIP/2.0\r\nv:SIP/2.0/UDP a;branch=z9hG4bK{number}\r\nf:<sip:a>;tag=1\r\nt:sip:a\r\n\
             i:{number}\r\nCSeq:1 INVITE\r\nm:<sip:a>\r\nMax-Forwards:9\r\n\r\n"
        )
    };
    let long = |number: usize| call(number, STRANGER);
    let refused = |number: usize| long(number).replace("Max-Forwards", "Require: x\r\nMax-Forwards");
    let garbage = |_: usize| "OPTIONS a SIP/2.0\r\nv:SIP/2.0/UDP a\r\n\r\n".to_owned();
    let options = |number: usize| {
        request("OPTIONS", "", "").replace(PEER, STRANGER).replace("OPTIONS-1", &format!("OPTIONS-{number}"))
    };
    let kinds: [&dyn Fn(usize) -> String; 5] = [&short, &long, &refused, &garbage, &options];
    for (kind, message) in kinds.iter().enumerate() {
        for accept in [true, false] {
            let mut bench = bench(guarded());
            let messages: Vec<String> = (0..500).map(message).collect();
            let factor = amplification(&mut bench, &messages, accept);
            assert!(factor <= AMPLIFICATION_MAX as f64, "kind {kind}: {factor}");
            assert!(factor > 0.5, "kind {kind} is answered: {factor}");
            assert_nothing_left(&bench.endpoint);
        }
    }
    // The test can fail: without a guard, a call that is never acknowledged costs far more.
    let mut open = bench(Settings::open());
    let messages: Vec<String> = (0..10).map(short).collect();
    assert!(amplification(&mut open, &messages, true) > 15.0);
}

/// A short INVITE leaves no room for copies of the 200 within what a stranger may be sent. Each copy of his INVITE is credit
/// again, so that a 200 that was lost still comes.
#[test]
fn a_stranger_with_a_short_invite_gets_a_lost_ok_by_asking_again() {
    let mut bench = bench(guarded());
    bench.offer(1, STRANGER);
    let session = bench.session();
    bench.endpoint.accept(bench.now, session, OUR_SDP.into()).expect("accepted");
    let lost = bench.sent().remove(0);
    for _ in 0..3 {
        bench.advance(ms(500));
        assert_eq!(bench.receive_from(STRANGER, call(1, STRANGER)), std::slice::from_ref(&lost));
    }
    let ack = within(&lost, "ACK", 1, "");
    bench.receive_from(STRANGER, ack.replace(PEER, STRANGER));
    assert!(bench.events().iter().any(|event| matches!(event, Event::Confirmed { .. })), "the call stands");
}

#[test]
fn one_who_has_answered_gets_every_retransmission() {
    let mut bench = bench(guarded());
    let acknowledged = |bench: &mut Bench, number: usize| {
        // As long as softphones' INVITEs are.
        let fields = "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO, PRACK, UPDATE\r\n\
                      Supported: replaces, outbound, gruu, path\r\nUser-Agent: Softphone/5.1.65\r\nMax-Forwards";
        bench.receive_from(STRANGER, call(number, STRANGER).replace("Max-Forwards", fields));
        let session = bench.session();
        bench.endpoint.accept(bench.now, session, OUR_SDP.into()).expect("accepted");
        bench.sent().remove(0)
    };
    let ok = acknowledged(&mut bench, 1);
    let lines = bench.advance(ms(32_500));
    let copies = lines.iter().filter(|(_, line)| line == "SIP/2.0 200 OK").count();
    assert!((1..=4).contains(&copies), "{copies} copies: enough for a loss or two, too few for an attack");
    assert!(bench.count(Counter::DroppedUnproved) > 0);
    assert!(!ok.is_empty());
    bench.events();
    let ok = acknowledged(&mut bench, 2);
    let ack = within(&ok, "ACK", 1, "").replace("call-1", "call-2");
    assert!(bench.receive_from(STRANGER, ack).is_empty());
    assert_eq!(bench.count(Counter::SessionsConfirmed), 1);
    bench.events();
    acknowledged(&mut bench, 3);
    let lines = bench.advance(ms(31_900));
    assert_eq!(lines.iter().filter(|(_, line)| line == "SIP/2.0 200 OK").count(), 10);
}

#[test]
fn an_ack_from_elsewhere_proves_nothing() {
    let mut bench = bench(guarded());
    bench.offer(1, STRANGER);
    let session = bench.session();
    bench.endpoint.accept(bench.now, session, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    // One who calls from his own address and forges another's in the ACK.
    let victim = "203.0.113.5:5060";
    bench.receive_from(victim, within(&ok, "ACK", 1, ""));
    bench.offer(2, victim);
    let session = match &*bench.events() {
        [Event::Confirmed { .. }, Event::Invite(invite)] => invite.session,
        other => panic!("{other:?}"),
    };
    bench.endpoint.accept(bench.now, session, OUR_SDP.into()).expect("accepted");
    bench.advance(ms(60_000));
    assert!(bench.count(Counter::DroppedUnproved) > 0);
}

#[test]
fn a_peer_is_known_to_the_limits_by_its_certificate_for_as_long_as_its_connection_stands() {
    let certified = PeerShare {
        certificates: vec!["pbx.example".to_owned()],
        max_calls: Some(1),
        ..PeerShare::default()
    };
    let settings = Settings { strangers: Strangers::Ignore, ..guarded() };
    let mut bench = bench(Settings { peers: [settings.peers.clone(), vec![certified]].concat(), ..settings });
    let by_tls = Flow { transport: Transport::Tls, ..from(STRANGER) };
    let another = Flow { remote: "198.51.100.7:5099".parse().unwrap(), ..by_tls };
    let names = |name: &str| vec![name.to_owned()];
    bench.endpoint.connected(another, &names("*.example"));
    bench.endpoint.connected(another, &names("pbx.example.evil"));
    bench.endpoint.connected(by_tls, &names("PBX.Example"));
    let offer = |bench: &mut Bench, number: usize, flow: Flow| {
        let invite = call(number, STRANGER).replace("SIP/2.0/UDP", "SIP/2.0/TLS");
        bench.endpoint.handle_datagram(bench.now, flow, invite.as_bytes());
        let sent = bench.sent();
        first_lines(&sent).iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    // Its share, and no other's.
    assert_eq!(offer(&mut bench, 1, by_tls), ["SIP/2.0 100 Trying"]);
    assert_eq!(offer(&mut bench, 2, by_tls), ["SIP/2.0 503 Service Unavailable"]);
    assert_eq!(bench.endpoint.counters().get(Counter::RefusedPeerCalls), 1);
    assert!(offer(&mut bench, 3, another).is_empty(), "another connection from there is a stranger's");
    // Its address may be banned, but not the peer.
    let scan = call(4, STRANGER).replace("Max-Forwards", "User-Agent: sipvicious\r\nMax-Forwards");
    bench.endpoint.handle_datagram(bench.now, another, scan.as_bytes());
    assert!(bench.endpoint.is_banned(bench.now, another) && !bench.endpoint.is_banned(bench.now, by_tls));
    assert_eq!(offer(&mut bench, 5, by_tls), ["SIP/2.0 503 Service Unavailable"]);
    // Whoever connects from the same port later is somebody else.
    bench.endpoint.disconnected(by_tls);
    assert!(bench.endpoint.is_banned(bench.now, by_tls));
}
