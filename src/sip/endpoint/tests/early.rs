//! The calling side of reliable provisional responses, and the reasons for ending a call.

use super::pair::{Pair, Side};
use super::*;

fn params(sdp: Option<&str>) -> InviteParams {
    InviteParams {
        request_uri: "sip:130@192.0.2.9".to_owned(),
        from: "sip:caller@192.0.2.1".to_owned(),
        to: "sip:130@192.0.2.9".to_owned(),
        sdp: sdp.map(|sdp| sdp.as_bytes().to_vec()),
        ..InviteParams::default()
    }
}

impl Bench {
    fn calls(&mut self, sdp: Option<&str>) -> (SessionId, String) {
        let id = self.endpoint.invite(self.now, flow(), &params(sdp)).expect("called");
        (id, self.sent().remove(0))
    }
}

fn reliable(invite: &str, rseq: u32, tag: &str, body: &str) -> String {
    response(invite, 183, tag, &format!("Require: 100rel\r\nRSeq: {rseq}\r\n"), body)
}

#[test]
fn reliable_responses_are_acknowledged_in_order_and_once() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calls(Some(OUR_SDP));
    assert_eq!(field(&invite, "Supported"), Some(super::super::capabilities::SUPPORTED));
    let first = reliable(&invite, 41, "fork1", SDP);
    let sent = bench.receive(&first);
    assert_eq!(first_lines(&sent), ["PRACK sip:callee@192.0.2.9:5060 SIP/2.0"]);
    assert_eq!(field(&sent[0], "RAck"), Some("41 1 INVITE"));
    assert_eq!(field(&sent[0], "CSeq"), Some("2 PRACK"));
    assert_eq!(field(&sent[0], "To"), field(&first, "To"));
    let body = Some(Bytes::from_static(SDP.as_bytes()));
    assert_eq!(bench.events(), [Event::Progress { session: id, status: 183, body: body.clone() }]);
    // Its copy, one that came before it, and one that came too early.
    for rseq in [41, 40, 43] {
        assert!(bench.receive(reliable(&invite, rseq, "fork1", "")).is_empty(), "{rseq}");
    }
    assert!(bench.events().is_empty());
    bench.receive(response(&sent[0], 200, "", "", ""));
    let sent = bench.receive(reliable(&invite, 42, "fork1", ""));
    assert_eq!(field(&sent[0], "RAck"), Some("42 1 INVITE"));
    assert_eq!(field(&sent[0], "CSeq"), Some("3 PRACK"));
    assert_eq!(bench.events(), [Event::Progress { session: id, status: 183, body: None }]);
    // The answer is the one of the 183, also where the 200 has none; and CSeq goes on.
    let ack = bench.receive(response(&invite, 200, "fork1", "", ""));
    assert_eq!(field(&ack[0], "CSeq"), Some("1 ACK"));
    assert_eq!(bench.events(), [Event::Answered { session: id, body, needs_answer: false }]);
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    assert_eq!(field(&bench.sent()[0], "CSeq"), Some("4 BYE"));
    bench.drain();
}

#[test]
fn each_fork_has_numbers_of_its_own() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calls(Some(OUR_SDP));
    for fork in 0..20 {
        let sent = bench.receive(reliable(&invite, 7 * fork, &format!("fork{fork}"), ""));
        assert_eq!(sent.len(), usize::from(fork < 8), "{fork}");
    }
    assert_eq!(bench.count(Counter::DroppedForkLimit), 12);
    let ack_and_bye = bench.receive(response(&invite, 200, "fork3", "", SDP));
    assert_eq!(ack_and_bye.len(), 1);
    bench.events();
}

#[test]
fn a_prack_is_retransmitted_and_given_up_without_harm() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calls(Some(OUR_SDP));
    bench.receive(reliable(&invite, 1, "fork1", SDP));
    let sent = bench.advance(ms(32_000));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(_, line)| line.starts_with("PRACK ")));
    bench.receive(response(&invite, 200, "fork1", "", SDP));
    assert_eq!(bench.endpoint.session_count(), 1);
}

#[test]
fn what_is_not_reliable_is_not_acknowledged() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calls(Some(OUR_SDP));
    for extra in ["", "RSeq: 1\r\n", "Require: 100rel\r\n"] {
        assert!(bench.receive(response(&invite, 180, "fork1", extra, "")).is_empty(), "{extra}");
        assert_eq!(bench.events(), [Event::Progress { session: id, status: 180, body: None }]);
    }
    // Without an offer of ours it is not even said to be supported: the PRACK would have to answer.
    let (_, invite) = bench.calls(None);
    assert!(!field(&invite, "Supported").expect("there").contains("100rel"));
    assert!(bench.receive(reliable(&invite, 1, "fork1", SDP)).is_empty());
}

#[test]
fn two_endpoints_agree_before_the_answer() {
    let mut pair = Pair::new(EndpointConfig::new([1; 32]), EndpointConfig::new([2; 32]));
    let (calling, called) = pair.call(Some(SDP));
    pair.callee.progress(pair.now, called, OUR_SDP.into()).expect("sent");
    pair.callee.accept(pair.now, called, OUR_SDP.into()).expect("waits");
    pair.settle();
    assert_eq!(
        pair.lines(2),
        [
            "SIP/2.0 183 Session Progress",
            "PRACK sip:130@192.0.2.1:5060 SIP/2.0",
            "SIP/2.0 200 OK",
            "SIP/2.0 200 OK",
            "ACK sip:130@192.0.2.1:5060 SIP/2.0",
        ]
    );
    let body = Some(Bytes::from_static(OUR_SDP.as_bytes()));
    assert_eq!(
        Pair::events(&mut pair.caller),
        [
            Event::Progress { session: calling, status: 183, body: body.clone() },
            Event::Answered { session: calling, body, needs_answer: false },
        ]
    );
    assert_eq!(
        Pair::events(&mut pair.callee),
        [
            Event::EarlyConfirmed { session: called, body: None },
            Event::Confirmed { session: called, body: None }
        ]
    );
    pair.caller.bye(pair.now, calling, None).expect("sent");
    pair.settle();
    pair.drain();
}

#[test]
fn whoever_ends_a_call_says_why_and_the_other_is_told() {
    let normal = "Q.850;cause=16;text=\"Normal call clearing\"";
    let mut pair = Pair::new(EndpointConfig::new([1; 32]), EndpointConfig::new([2; 32]));
    // BYE, without a reason given and with one.
    for given in [None, Some(Reason::NotAcceptable.value())] {
        let (calling, called) = pair.established();
        pair.callee.bye(pair.now, called, given).expect("sent");
        pair.settle();
        let reason = given.unwrap_or(normal).to_owned();
        let (cause, session) = (EndCause::ByeReceived, calling);
        assert_eq!(
            Pair::events(&mut pair.caller),
            [Event::ReasonGiven { session, reason }, Event::Ended { session, cause }]
        );
        Pair::events(&mut pair.callee);
    }
    // CANCEL.
    let (calling, called) = pair.call(Some(SDP));
    pair.caller.cancel(pair.now, calling).expect("sent");
    pair.settle();
    let cancel = pair.sent.iter().find(|(_, _, message)| message.starts_with("CANCEL ")).expect("sent");
    assert_eq!((cancel.1, field(&cancel.2, "Reason")), (Side::Caller, Some(normal)));
    assert_eq!(
        Pair::events(&mut pair.callee),
        [
            Event::ReasonGiven { session: called, reason: normal.to_owned() },
            Event::Cancelled { session: called }
        ]
    );
    pair.drain();
}

#[test]
fn protocol_reasons_stand_in_bye_and_cancel() {
    // No ACK.
    let mut bench = Bench::new();
    bench.answered(&invite(Some(SDP)));
    bench.now += ms(32_000);
    bench.endpoint.handle_timeout(bench.now);
    let bye = bench.sent().into_iter().find(|message| message.starts_with("BYE ")).expect("sent");
    assert_eq!(field(&bye, "Reason"), Some("SIP;cause=408;text=\"No ACK\""));
    // A fork that was late.
    let mut bench = Bench::new();
    let (_, invite) = bench.calls(Some(OUR_SDP));
    bench.receive(response(&invite, 200, "fork1", "", SDP));
    let sent = bench.receive(response(&invite, 200, "fork2", "", SDP));
    assert_eq!(field(&sent[1], "Reason"), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
    // A call that rings for ever.
    let mut bench = Bench::new();
    let (_, invite) = bench.calls(Some(OUR_SDP));
    bench.receive(response(&invite, 180, "fork1", "", ""));
    bench.now += ms(180_000);
    bench.endpoint.handle_timeout(bench.now);
    assert_eq!(field(&bench.sent()[0], "Reason"), Some("Q.850;cause=19;text=\"No answer from user\""));
}

#[test]
fn a_long_reason_is_told_in_part() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let long = format!("Reason: SIP;text=\"{}\"\r\nMax-Forwards", "x".repeat(3_000));
    bench.receive(within(&ok, "BYE", 2, "").replace("Max-Forwards", &long));
    assert!(matches!(&bench.events()[0], Event::ReasonGiven { reason, .. } if reason.len() == 256));
}
