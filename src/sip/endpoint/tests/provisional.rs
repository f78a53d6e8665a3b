//! The called side before its final response: reliable provisional responses (RFC 3262).

use super::*;

const REQUIRED: &str = "Require: 100rel\r\n";
const SUPPORTED: &str = "Supported: timer, 100REL\r\n";

impl Bench {
    /// A call that came with these fields and maybe an offer, and is not answered.
    fn incoming(&mut self, extra: &str, offer: &str) -> SessionId {
        let content_type = if offer.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let sent = self.receive(request("INVITE", &format!("{extra}{content_type}"), offer));
        assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
        match &*self.events() {
            [Event::Invite(invite)] => invite.session,
            other => panic!("not an INVITE: {other:?}"),
        }
    }

    /// Its 183.
    fn progressed(&mut self, id: SessionId) -> String {
        self.endpoint.progress(self.now, id, OUR_SDP.into()).expect("sent");
        let mut sent = self.sent();
        assert_eq!(first_lines(&sent), ["SIP/2.0 183 Session Progress"]);
        sent.remove(0)
    }
}

fn rseq(response: &str) -> u32 {
    assert_eq!(field(response, "Require"), Some("100rel"));
    field(response, "RSeq").expect("RSeq").parse().expect("a number")
}

/// The PRACK to a reliable response of ours.
fn prack(response: &str, cseq: u32, body: &str) -> String {
    with_rack(response, cseq, &format!("{} 1 INVITE", rseq(response)), body)
}

fn with_rack(response: &str, cseq: u32, rack: &str, body: &str) -> String {
    within(response, "PRACK", cseq, body).replace("Max-Forwards", &format!("RAck: {rack}\r\nMax-Forwards"))
}

#[test]
fn without_prack_a_reliable_response_is_repeated_and_the_call_refused_with_504() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    bench.endpoint.ring(bench.now, id).expect("rings");
    let ringing = bench.sent().remove(0);
    assert!((1..1 << 31).contains(&rseq(&ringing)));
    let sent = bench.advance(ms(31_999));
    // Doubling is not bounded by T2 here.
    let at_ms: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(at_ms, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert!(sent.iter().all(|(_, line)| line == "SIP/2.0 180 Ringing"), "{sent:?}");
    assert_eq!(bench.advance(ms(1)), [(32_000, "SIP/2.0 504 Server Time-out".to_owned())]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::PrackTimeout }]);
    assert_eq!(bench.count(Counter::RefusedPrackMissing), 1);
    bench.drain();
}

#[test]
fn rseq_begins_at_random() {
    let first = |seed| {
        let mut bench = Bench::with(EndpointConfig::new([seed; 32]));
        let id = bench.incoming(REQUIRED, SDP);
        rseq(&bench.progressed(id))
    };
    let seen: std::collections::BTreeSet<_> = (0..20).map(first).collect();
    assert_eq!(seen.len(), 20);
    assert!(seen.iter().all(|rseq| (1..1 << 31).contains(rseq)), "{seen:?}");
}

#[test]
fn a_prack_is_answered_each_time_and_ends_the_repeating() {
    let mut bench = Bench::new();
    let id = bench.incoming(SUPPORTED, SDP);
    let progress = bench.progressed(id);
    assert!(progress.ends_with(OUR_SDP));
    assert_eq!(bench.advance(ms(500)).len(), 1);
    let prack = prack(&progress, 2, "");
    let sent = bench.receive(&prack);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::EarlyConfirmed { session: id, body: None }]);
    assert_eq!(bench.receive(&prack), sent, "its retransmission gets the same");
    assert!(bench.events().is_empty());
    // The INVITE once more brings no 183 back.
    let invite = request("INVITE", &format!("{SUPPORTED}Content-Type: application/sdp\r\n"), SDP);
    assert!(bench.receive(invite).is_empty());
    assert!(bench.advance(ms(60_000)).is_empty());
    // A PRACK of its own for what is acknowledged matches nothing.
    let again = prack.replace("CSeq: 2 ", "CSeq: 3 ").replace("PRACK-2-d", "PRACK-3-d");
    assert_eq!(first_lines(&bench.receive(again)), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 200 OK"]);
}

#[test]
fn a_prack_that_matches_nothing_is_481() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    let progress = bench.progressed(id);
    let rseq = rseq(&progress);
    for (cseq, rack) in [
        (2, format!("{} 1 INVITE", rseq + 1)),
        (3, format!("{rseq} 2 INVITE")),
        (4, format!("{rseq} 1 UPDATE")),
        (5, format!("{rseq} 1 invite")),
    ] {
        let sent = bench.receive(with_rack(&progress, cseq, &rack, ""));
        assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"], "{rack}");
    }
    let sent = bench.receive(within(&progress, "PRACK", 6, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 400 Bad Request"], "no RAck");
    assert!(bench.events().is_empty());
    assert_eq!(first_lines(&bench.receive(prack(&progress, 7, ""))), ["SIP/2.0 200 OK"]);
    // In a call without reliable responses, too, and outside any.
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    for stray in [with_rack(&ok, 2, "1 1 INVITE", ""), request("PRACK", "RAck: 1 1 INVITE\r\n", "")] {
        assert_eq!(first_lines(&bench.receive(stray)), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    }
}

#[test]
fn what_is_merely_supported_is_used_for_session_descriptions() {
    for (extra, ring_is_reliable, progress_is_reliable) in
        [("", false, false), (SUPPORTED, false, true), (REQUIRED, true, true)]
    {
        let mut bench = Bench::new();
        let id = bench.incoming(extra, SDP);
        bench.endpoint.ring(bench.now, id).expect("rings");
        let ringing = bench.sent().remove(0);
        assert_eq!(field(&ringing, "RSeq").is_some(), ring_is_reliable, "{extra}");
        if ring_is_reliable {
            bench.receive(prack(&ringing, 2, ""));
            assert!(bench.events().is_empty(), "nothing was described yet");
        }
        let progress = bench.progressed(id);
        assert_eq!(field(&progress, "RSeq").is_some(), progress_is_reliable, "{extra}");
        assert_eq!(field(&progress, "Require").is_some(), progress_is_reliable, "{extra}");
        assert!(progress.ends_with(OUR_SDP));
        let second = bench.endpoint.progress(bench.now, id, OUR_SDP.into());
        assert_eq!(second, Err(SessionError::State), "one description");
    }
}

#[test]
fn a_call_that_requires_it_may_be_answered_at_once() {
    let mut bench = Bench::new();
    let extra = format!("{REQUIRED}Content-Type: application/sdp\r\n");
    let (id, ok) = bench.answered(&request("INVITE", &extra, SDP));
    assert_eq!(field(&ok, "RSeq"), None);
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
}

#[test]
fn a_second_reliable_response_waits_for_the_prack_of_the_first() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    bench.endpoint.ring(bench.now, id).expect("rings");
    let ringing = bench.sent().remove(0);
    bench.endpoint.progress(bench.now, id, OUR_SDP.into()).expect("waits");
    assert!(bench.sent().is_empty());
    let sent = bench.receive(prack(&ringing, 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 183 Session Progress"]);
    assert_eq!(rseq(&sent[1]), rseq(&ringing) + 1);
    assert_eq!(bench.advance(ms(500)).len(), 1, "only the second is repeated");
    assert_eq!(first_lines(&bench.receive(prack(&sent[1], 3, ""))), ["SIP/2.0 200 OK"]);
    // Limited, like everything that waits.
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    let rung = std::iter::repeat_with(|| bench.endpoint.ring(bench.now, id)).take(9).filter(Result::is_ok);
    assert_eq!(rung.count(), 5, "one that is sent and four that wait");
}

#[test]
fn the_200_waits_for_the_prack_of_a_description_and_repeats_it() {
    let mut bench = Bench::new();
    let id = bench.incoming(SUPPORTED, SDP);
    let progress = bench.progressed(id);
    let other = OUR_SDP.replace("5000", "5002");
    bench.endpoint.accept(bench.now, id, other.into()).expect("waits");
    assert!(bench.sent().is_empty(), "no 2xx before the PRACK");
    let sent = bench.receive(prack(&progress, 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 200 OK"]);
    assert_eq!(field(&sent[1], "CSeq"), Some("1 INVITE"));
    assert!(sent[1].ends_with(OUR_SDP), "what the 183 said");
    assert_eq!(field(&sent[1], "To"), field(&progress, "To"));
    assert_eq!(bench.events(), [Event::EarlyConfirmed { session: id, body: None }]);
    bench.receive(within(&sent[1], "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    assert_eq!(first_lines(&bench.receive(within(&sent[1], "BYE", 3, ""))), ["SIP/2.0 200 OK"]);
    bench.drain();
}

#[test]
fn a_200_that_waits_for_a_prack_in_vain_becomes_504() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    bench.progressed(id);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("waits");
    let sent = bench.advance(ms(32_000));
    assert_eq!(sent.last().map(|(_, line)| &**line), Some("SIP/2.0 504 Server Time-out"));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::PrackTimeout }]);
    bench.drain();
}

#[test]
fn the_200_does_not_wait_for_the_prack_of_a_mere_180() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    bench.endpoint.ring(bench.now, id).expect("rings");
    let ringing = bench.sent().remove(0);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert_eq!(first_line(&ok), "SIP/2.0 200 OK");
    assert_eq!(bench.advance(ms(500)), [(500, "SIP/2.0 200 OK".to_owned())], "no 180 any more");
    // Its PRACK may be under way.
    assert_eq!(first_lines(&bench.receive(prack(&ringing, 2, ""))), ["SIP/2.0 200 OK"]);
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    assert!(bench.advance(ms(60_000)).is_empty());
}

#[test]
fn an_unreliable_183_is_repeated_by_its_200() {
    let mut bench = Bench::new();
    let id = bench.incoming("", SDP);
    bench.progressed(id);
    assert!(bench.advance(ms(10_000)).is_empty());
    bench.endpoint.accept(bench.now, id, OUR_SDP.replace("5000", "5002").into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert!(first_line(&ok) == "SIP/2.0 200 OK" && ok.ends_with(OUR_SDP), "{ok}");
}

#[test]
fn a_late_offer_in_a_183_is_answered_in_its_prack() {
    let mut bench = Bench::new();
    let id = bench.incoming(SUPPORTED, "");
    let progress = bench.progressed(id);
    let sent = bench.receive(prack(&progress, 2, SDP));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!(field(&sent[0], "Content-Length"), Some("0"));
    let body = Some(Bytes::from_static(SDP.as_bytes()));
    assert_eq!(bench.events(), [Event::EarlyConfirmed { session: id, body }]);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert_eq!(field(&ok, "Content-Length"), Some("0"), "a description would be a new offer");
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    // The answer, come again as an offer, is the call layer's to answer: ours was an offer, and says more.
    assert_eq!(first_lines(&bench.receive(within(&ok, "INVITE", 3, SDP))), ["SIP/2.0 100 Trying"]);
    assert!(matches!(*bench.events(), [Event::SessionChange { .. }]));
}

/// RFC 3262 §5: an unreliable response cannot hold an offer, since nothing would bring its answer.
#[test]
fn a_late_offer_needs_reliability() {
    let mut bench = Bench::new();
    let id = bench.incoming("", "");
    let progress = bench.endpoint.progress(bench.now, id, OUR_SDP.into());
    assert_eq!(progress, Err(SessionError::State));
    assert!(bench.sent().is_empty());
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    assert!(bench.sent()[0].ends_with(OUR_SDP));
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200_or_refused() {
    // One that says nothing new, at once.
    let mut bench = Bench::new();
    let id = bench.incoming(SUPPORTED, SDP);
    let progress = bench.progressed(id);
    let sent = bench.receive(prack(&progress, 2, SDP));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert!(sent[0].ends_with(OUR_SDP));
    assert_eq!(bench.events(), [Event::EarlyConfirmed { session: id, body: None }]);
    // Another is the call layer's to answer.
    let (changed, ours) = (SDP.replace("4000", "4002"), OUR_SDP.replace("5000", "5002"));
    for refused in [false, true] {
        let mut bench = Bench::new();
        let id = bench.incoming(SUPPORTED, SDP);
        let progress = bench.progressed(id);
        let unread = prack(&progress, 2, SDP).replace("application/sdp", "text/plain");
        assert_eq!(first_lines(&bench.receive(unread)), ["SIP/2.0 415 Unsupported Media Type"]);
        let prack = prack(&progress, 3, &changed);
        assert!(bench.receive(&prack).is_empty());
        // The 183 came, whatever becomes of the offer.
        let change = match &*bench.events() {
            [
                Event::SessionChange { change, offer: Some(offer), .. },
                Event::EarlyConfirmed { body: None, .. },
            ] => {
                assert_eq!(offer, changed.as_bytes());
                *change
            }
            other => panic!("no change: {other:?}"),
        };
        let outcome = match refused {
            true => bench.endpoint.refuse_change(bench.now, id, change, &Rejection::new(488)),
            false => bench.endpoint.answer_change(bench.now, id, change, ours.clone().into()),
        };
        outcome.expect("waits");
        let sent = bench.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(field(&sent[0], "CSeq"), Some("3 PRACK"));
        let expected = if refused { "SIP/2.0 488 Not Acceptable Here" } else { "SIP/2.0 200 OK" };
        assert_eq!((first_line(&sent[0]), sent[0].ends_with(&*ours)), (expected, !refused));
        assert_eq!(bench.receive(&prack), sent, "its retransmission gets the same");
        assert!(bench.advance(ms(60_000)).is_empty());
        bench.endpoint.accept(bench.now, id, ours.clone().into()).expect("accepted");
        assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 200 OK"]);
    }
}

#[test]
fn cancel_and_bye_end_a_call_that_waits_for_a_prack() {
    for method in ["CANCEL", "BYE"] {
        let mut bench = Bench::new();
        let id = bench.incoming(REQUIRED, SDP);
        let progress = bench.progressed(id);
        bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("waits");
        let sent = bench.receive(match method {
            "CANCEL" => request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1"),
            _ => within(&progress, "BYE", 2, ""),
        });
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
        assert_eq!(bench.events(), [Event::Cancelled { session: id }]);
        let late = bench.receive(prack(&progress, 3, ""));
        assert_eq!(first_lines(&late), ["SIP/2.0 481 Call/Transaction Does Not Exist"], "{method}");
        bench.drain();
        assert!(bench.events().is_empty());
    }
}

#[test]
fn a_call_that_waits_for_a_prack_can_be_refused() {
    let mut bench = Bench::new();
    let id = bench.incoming(REQUIRED, SDP);
    bench.progressed(id);
    bench.endpoint.reject(bench.now, id, &Rejection::new(603)).expect("refused");
    assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 603 Decline"]);
    bench.drain();
}
