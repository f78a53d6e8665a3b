//! Session timers (RFC 4028): what is agreed, both refreshers, and what becomes of refreshes.

use super::pair::{Pair, Side};
use super::*;
use crate::sip::endpoint::SessionIntervals;

const TIMER: &str = "Supported: timer\r\n";
const UPDATES: &str = "Allow: INVITE, ACK, BYE, UPDATE\r\n";

fn config(session_expires_s: u32) -> EndpointConfig {
    let session_intervals = SessionIntervals { session_expires_s, ..SessionIntervals::default() };
    EndpointConfig { session_intervals, ..EndpointConfig::new([7; 32]) }
}

impl Bench {
    fn timed(session_expires_s: u32) -> Self {
        Self::with(config(session_expires_s))
    }

    /// A call whose INVITE has these fields, with its 200; acknowledged.
    fn agreed(&mut self, extra: &str) -> (SessionId, String) {
        let (id, ok) =
            self.answered(&request("INVITE", &format!("{extra}Content-Type: application/sdp\r\n"), SDP));
        assert!(self.receive(within(&ok, "ACK", 1, "")).is_empty());
        self.events();
        (id, ok)
    }

    /// Lets time pass until something is sent, and yields when, from the start, and what: all messages of that instant.
    fn next_sent(&mut self) -> (u64, Vec<String>) {
        for _ in 0..1_000 {
            self.now = self.now.max(self.endpoint.poll_timeout().expect("something is to come"));
            self.endpoint.handle_timeout(self.now);
            let sent = self.sent();
            if !sent.is_empty() {
                return (u64::try_from((self.now - self.start).as_millis()).expect("a while"), sent);
            }
        }
        panic!("nothing is sent");
    }

    /// The next refresh, which is the only message of its instant.
    fn next_refresh(&mut self, method: &str) -> (u64, String) {
        let (at_ms, mut sent) = self.next_sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].starts_with(&format!("{method} ")), "{sent:?}");
        (at_ms, sent.remove(0))
    }
}

/// RFC 4028 table 2, and whose interval counts.
#[test]
fn what_a_200_says_of_the_session_timer() {
    for (ours_s, extra, says, required) in [
        // Nothing is asked for on either side.
        (0, "", None, false),
        (0, TIMER, None, false),
        // We ask; who does not know timers does not refresh.
        (1800, "", Some("1800;refresher=uas"), false),
        (1800, TIMER, Some("1800;refresher=uas"), true),
        (1800, "Supported: timer\r\nMin-SE: 2000\r\n", Some("2000;refresher=uas"), true),
        // The caller asks: the shorter counts, but not below what it wants at least.
        (0, "Supported: timer\r\nSession-Expires: 600\r\n", Some("600;refresher=uas"), true),
        (1800, "Supported: timer\r\nSession-Expires: 600\r\n", Some("600;refresher=uas"), true),
        (1800, "k: timer\r\nx: 3600;refresher=uac\r\n", Some("1800;refresher=uac"), true),
        (1800, "k: timer\r\nx: 3600;refresher=uas\r\nMin-SE: 2400\r\n", Some("2400;refresher=uas"), true),
        // A proxy asks for a caller that does not know timers.
        (1800, "x: 600\r\n", Some("600;refresher=uas"), false),
        (1800, "x: 5\r\n", Some("1800;refresher=uas"), false),
        (0, "x: 0\r\n", None, false),
    ] {
        let mut bench = Bench::timed(ours_s);
        let (_, ok) = bench.agreed(extra);
        assert_eq!(field(&ok, "Session-Expires"), says, "{extra}");
        assert_eq!(field(&ok, "Require") == Some("timer"), required, "{extra}");
        assert_eq!(
            bench.endpoint.poll_timeout().is_some(),
            says.is_some() || bench.endpoint.transaction_count() > 0
        );
    }
}

#[test]
fn an_interval_that_is_too_small_is_422_to_who_knows_timers() {
    let mut bench = Bench::timed(1800);
    let small = request("INVITE", "Supported: timer\r\nSession-Expires: 89\r\n", "");
    let sent = bench.receive(small);
    assert_eq!(first_lines(&sent), ["SIP/2.0 422 Session Interval Too Small"]);
    assert_eq!(field(&sent[0], "Min-SE"), Some("90"));
    assert_eq!(bench.count(Counter::RefusedIntervalTooSmall), 1);
    assert_eq!(bench.endpoint.transaction_count(), 0);
    // In mid-call too; the call goes on.
    let (_, ok) = bench.agreed(TIMER);
    let small = within(&ok, "INVITE", 2, SDP)
        .replace("Max-Forwards", "Supported: timer\r\nSession-Expires: 30\r\nMax-Forwards");
    assert_eq!(first_lines(&bench.receive(small)), ["SIP/2.0 422 Session Interval Too Small"]);
    assert_eq!(bench.endpoint.session_count(), 1);
}

#[test]
fn we_refresh_by_update_at_half_the_interval_for_ever() {
    let mut bench = Bench::timed(1800);
    let (id, ok) = bench.agreed(&format!("{TIMER}{UPDATES}"));
    assert_eq!(field(&ok, "Session-Expires"), Some("1800;refresher=uas"));
    for round in 1..=5 {
        let (at_ms, update) = bench.next_refresh("UPDATE");
        assert_eq!(at_ms, round * 900_000);
        assert_eq!(field(&update, "Session-Expires"), Some("1800;refresher=uac"));
        assert_eq!(field(&update, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
        assert_eq!(field(&update, "CSeq"), Some(&*format!("{round} UPDATE")));
        assert_eq!((field(&update, "Min-SE"), field(&update, "Content-Length")), (None, Some("0")));
        let fields = "Require: timer\r\nSession-Expires: 1800;refresher=uac\r\n";
        assert!(bench.receive(response(&update, 200, "", fields, "")).is_empty());
    }
    assert_eq!((bench.endpoint.session_count(), bench.events().len()), (1, 0));
    assert_eq!(bench.count(Counter::RefreshesSent), 5);
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    bench.drain();
}

#[test]
fn we_refresh_by_a_reinvite_that_changes_nothing_where_update_is_not_taken() {
    let mut bench = Bench::timed(1800);
    let (id, _) = bench.agreed(TIMER);
    let (at_ms, reinvite) = bench.next_refresh("INVITE");
    assert_eq!(at_ms, 900_000);
    assert!(reinvite.ends_with(OUR_SDP), "octet for octet, o= too");
    assert_eq!(field(&reinvite, "Session-Expires"), Some("1800;refresher=uac"));
    let moved = "Session-Expires: 1800;refresher=uac\r\nRequire: timer\r\n";
    let ok =
        response(&reinvite, 200, "", moved, SDP).replace("callee@192.0.2.9:5060", "moved@192.0.2.9:5099");
    let ack = bench.receive(&ok);
    assert_eq!(first_lines(&ack), ["ACK sip:moved@192.0.2.9:5099 SIP/2.0"]);
    assert_eq!(field(&ack[0], "CSeq"), Some("1 ACK"));
    assert_ne!(field(&ack[0], "Via"), field(&reinvite, "Via"));
    // Its copies get the same ACK, and no second round.
    assert_eq!(bench.receive(&ok), ack);
    let (at_ms, reinvite) = bench.next_refresh("INVITE");
    assert_eq!((at_ms, field(&reinvite, "CSeq")), (1_800_000, Some("2 INVITE")));
    bench.receive(response(&reinvite, 100, "", "", ""));
    bench.receive(response(&reinvite, 200, "", moved, SDP));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    assert_eq!(field(&bench.sent()[0], "CSeq"), Some("3 BYE"));
    bench.drain();
}

#[test]
fn update_that_is_refused_as_such_becomes_a_reinvite() {
    for status in [405, 501] {
        let mut bench = Bench::timed(1800);
        bench.agreed(&format!("{TIMER}{UPDATES}"));
        let (_, update) = bench.next_refresh("UPDATE");
        let sent = bench.receive(response(&update, status, "", "", ""));
        assert_eq!(first_lines(&sent), ["INVITE sip:caller@192.0.2.9:5060 SIP/2.0"]);
        let ok = response(&sent[0], 200, "", "Session-Expires: 1800;refresher=uac\r\n", SDP);
        assert_eq!(bench.receive(ok).len(), 1);
        bench.next_refresh("INVITE");
    }
}

#[test]
fn without_a_refresh_from_the_peer_the_call_ends_shortly_before_the_interval() {
    // 32 s before, or a third of a short interval.
    for (interval_s, at_ms) in [(1800, 1_768_000), (90, 60_000)] {
        let mut bench = Bench::timed(1800);
        let (id, ok) = bench.agreed(&format!("{TIMER}Session-Expires: {interval_s};refresher=uac\r\n"));
        assert_eq!(field(&ok, "Require"), Some("timer"));
        let (at, sent) = bench.next_sent();
        assert_eq!((at, first_lines(&sent)), (at_ms, vec!["BYE sip:caller@192.0.2.9:5060 SIP/2.0"]));
        assert_eq!(field(&sent[0], "Reason"), Some("Q.850;cause=102;text=\"Recovery on timer expiry\""));
        assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::SessionExpired }]);
        assert_eq!(bench.count(Counter::SessionsExpired), 1);
        bench.drain();
    }
}

#[test]
fn a_refresh_by_the_peer_starts_the_interval_anew() {
    let mut bench = Bench::timed(1800);
    let (_, ok) = bench.agreed(&format!("{TIMER}Session-Expires: 1800;refresher=uac\r\n"));
    for cseq in 2..6 {
        assert!(bench.advance(Duration::from_secs(1_700)).is_empty());
        // It leaves open who refreshes: the peer goes on.
        let fields = format!("{TIMER}Session-Expires: 1800\r\nMax-Forwards");
        let sent = bench.receive(within(&ok, "INVITE", cseq, SDP).replace("Max-Forwards", &fields));
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
        assert_eq!(field(&sent[0], "Session-Expires"), Some("1800;refresher=uac"));
        assert_eq!(field(&sent[0], "Require"), Some("timer"));
        bench.receive(within(&ok, "ACK", cseq, ""));
    }
    let at = bench.now - bench.start;
    let (at_ms, sent) = bench.next_sent();
    assert_eq!(Duration::from_millis(at_ms), at + Duration::from_secs(1_768));
    assert!(sent[0].starts_with("BYE "));
}

#[test]
fn a_refresh_may_hand_the_part_over() {
    let mut bench = Bench::timed(1800);
    let (_, ok) = bench.agreed(&format!("{TIMER}Session-Expires: 1800;refresher=uac\r\n"));
    let fields = format!("{TIMER}{UPDATES}Session-Expires: 1800;refresher=uas\r\nMax-Forwards");
    let sent = bench.receive(within(&ok, "INVITE", 2, SDP).replace("Max-Forwards", &fields));
    assert_eq!(field(&sent[0], "Session-Expires"), Some("1800;refresher=uas"));
    bench.receive(within(&ok, "ACK", 2, ""));
    let (at_ms, update) = bench.next_refresh("UPDATE");
    assert_eq!(at_ms, 900_000);
    // And its answer may hand it back.
    bench.receive(response(&update, 200, "", "Session-Expires: 600;refresher=uas\r\nRequire: timer\r\n", ""));
    let (at_ms, sent) = bench.next_sent();
    assert_eq!((at_ms, sent[0].starts_with("BYE ")), (900_000 + 568_000, true));
}

#[test]
fn a_peer_that_wants_longer_intervals_gets_them() {
    let mut bench = Bench::timed(1800);
    bench.agreed(&format!("{TIMER}{UPDATES}"));
    let (_, update) = bench.next_refresh("UPDATE");
    let sent = bench.receive(response(&update, 422, "", "Min-SE: 2000\r\n", ""));
    assert_eq!(first_lines(&sent), ["UPDATE sip:caller@192.0.2.9:5060 SIP/2.0"]);
    assert_eq!(field(&sent[0], "Session-Expires"), Some("2000;refresher=uac"));
    assert_eq!(field(&sent[0], "Min-SE"), Some("2000"));
    assert_eq!(field(&sent[0], "CSeq"), Some("2 UPDATE"));
    bench.receive(response(&sent[0], 200, "", "Session-Expires: 2000;refresher=uac\r\n", ""));
    let (at_ms, _) = bench.next_refresh("UPDATE");
    assert_eq!(at_ms, 900_000 + 1_000_000);
    // One that is never content is left to expire: no endless round.
    let mut bench = Bench::timed(1800);
    let (id, _) = bench.agreed(&format!("{TIMER}{UPDATES}"));
    let (_, mut update) = bench.next_refresh("UPDATE");
    for least_s in 1801..1804 {
        let sent = bench.receive(response(&update, 422, "", &format!("Min-SE: {least_s}\r\n"), ""));
        update = sent.first().expect("again").clone();
    }
    assert!(bench.receive(response(&update, 422, "", "Min-SE: 1804\r\n", "")).is_empty());
    let (at_ms, sent) = bench.next_sent();
    assert_eq!((at_ms, sent[0].starts_with("BYE ")), (1_768_000, true));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::SessionExpired }]);
}

#[test]
fn a_call_that_the_peer_knows_no_more_is_ended() {
    for status in [481, 408] {
        let mut bench = Bench::timed(1800);
        let (id, _) = bench.agreed(&format!("{TIMER}{UPDATES}"));
        let (_, update) = bench.next_refresh("UPDATE");
        let sent = bench.receive(response(&update, status, "", "", ""));
        assert_eq!(first_lines(&sent), ["BYE sip:caller@192.0.2.9:5060 SIP/2.0"]);
        assert_eq!(field(&sent[0], "Reason"), Some("SIP;cause=481;text=\"Session refresh failed\""));
        assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::RefreshFailed }]);
        bench.drain();
    }
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_call() {
    for extra in [TIMER.to_owned(), format!("{TIMER}{UPDATES}")] {
        let mut bench = Bench::timed(1800);
        let (id, _) = bench.agreed(&extra);
        let sent = bench.advance(ms(900_000 + 32_000));
        assert!(sent.last().is_some_and(|(at, line)| *at == 932_000 && line.starts_with("BYE ")), "{sent:?}");
        assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::RefreshFailed }]);
        bench.drain();
    }
}

/// RFC 3261 §14.1: 2.1–4 s for the owner of the Call-ID, 0–2 s for the other, in steps of 10 ms.
#[test]
fn after_491_it_is_tried_again_after_a_wait_of_its_side() {
    let mut waits = vec![];
    for seed in 0..20 {
        let mut bench = Bench::with(EndpointConfig { seed: [seed; 32], ..config(1800) });
        bench.agreed(&format!("{TIMER}{UPDATES}"));
        let (at_ms, update) = bench.next_refresh("UPDATE");
        assert!(bench.receive(response(&update, 491, "", "", "")).is_empty());
        let (again_ms, again) = bench.next_refresh("UPDATE");
        assert_eq!(field(&again, "CSeq"), Some("2 UPDATE"));
        waits.push(again_ms - at_ms);
    }
    assert!(waits.iter().all(|wait| *wait <= 2_000 && wait % 10 == 0), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait > 1_000) && waits.iter().any(|wait| *wait < 1_000), "{waits:?}");
    for seed in 0..20 {
        let mut bench = Bench::with(EndpointConfig { seed: [seed; 32], ..config(1800) });
        let params = InviteParams {
            request_uri: "sip:130@192.0.2.9".to_owned(),
            from: "sip:a@192.0.2.1".to_owned(),
            to: "sip:130@192.0.2.9".to_owned(),
            sdp: Some(OUR_SDP.into()),
            ..InviteParams::default()
        };
        bench.endpoint.invite(bench.now, flow(), &params).expect("called");
        let invite = bench.sent().remove(0);
        assert_eq!(field(&invite, "Session-Expires"), Some("1800"));
        bench.receive(response(&invite, 200, "x", "Session-Expires: 1800;refresher=uac\r\n", SDP));
        let (at_ms, reinvite) = bench.next_refresh("INVITE");
        assert_eq!(first_lines(&bench.receive(response(&reinvite, 491, "", "", ""))).len(), 1, "its ACK");
        let (again_ms, _) = bench.next_refresh("INVITE");
        let wait = again_ms - at_ms;
        assert!((2_100..=4_000).contains(&wait) && wait % 10 == 0, "{wait}");
    }
}

#[test]
fn a_peer_that_is_busy_is_asked_again_when_it_says() {
    let mut bench = Bench::timed(1800);
    bench.agreed(&format!("{TIMER}{UPDATES}"));
    let (at_ms, update) = bench.next_refresh("UPDATE");
    bench.receive(response(&update, 500, "", "Retry-After: 7\r\n", ""));
    let (again_ms, _) = bench.next_refresh("UPDATE");
    assert_eq!(again_ms, at_ms + 7_000);
}

#[test]
fn any_other_refusal_leaves_the_session_to_expire_unless_the_peer_knows_no_timers() {
    for (extra, ends) in [(TIMER, true), ("", false)] {
        let mut bench = Bench::timed(1800);
        let (id, _) = bench.agreed(extra);
        let (_, reinvite) = bench.next_refresh("INVITE");
        let sent = bench.receive(response(&reinvite, 488, "", "", ""));
        assert!(sent.len() == 1 && sent[0].starts_with("ACK "), "{sent:?}");
        let (at_ms, sent) = bench.next_sent();
        if ends {
            assert_eq!((at_ms, sent[0].starts_with("BYE ")), (1_768_000, true));
            assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::SessionExpired }]);
        } else {
            // It was there to answer.
            assert_eq!((at_ms, sent[0].starts_with("INVITE ")), (1_800_000, true));
        }
    }
}

#[test]
fn an_offer_that_crosses_our_refresh_is_491() {
    let mut bench = Bench::timed(1800);
    let (_, ok) = bench.agreed(TIMER);
    let (_, reinvite) = bench.next_refresh("INVITE");
    assert_eq!(first_lines(&bench.receive(within(&ok, "INVITE", 2, SDP))), ["SIP/2.0 491 Request Pending"]);
    bench.receive(within(&ok, "ACK", 2, "").replace("z9hG4bK-ACK-2-d", "z9hG4bK-INVITE-2-d"));
    bench.receive(response(&reinvite, 491, "", "", ""));
    assert_eq!(first_lines(&bench.receive(within(&ok, "INVITE", 3, SDP))), ["SIP/2.0 200 OK"]);
    // Ours waits for the end of theirs: here its ACK.
    let sent = bench.advance(ms(5_000));
    assert!(sent.iter().all(|(_, line)| line == "SIP/2.0 200 OK"), "{sent:?}");
    bench.receive(within(&ok, "ACK", 3, ""));
    // Theirs has refreshed the session: half an interval from then.
    let (at_ms, _) = bench.next_refresh("INVITE");
    assert_eq!(at_ms, 1_800_000);
}

#[test]
fn an_end_meanwhile_leaves_nothing_of_a_refresh() {
    // Our BYE, the peer's, and both answers to a re-INVITE after it.
    for status in [200, 481] {
        let mut bench = Bench::timed(1800);
        let (id, _) = bench.agreed(TIMER);
        let (_, reinvite) = bench.next_refresh("INVITE");
        bench.endpoint.bye(bench.now, id, None).expect("sent");
        let bye = bench.sent().remove(0);
        let ack = bench.receive(response(&reinvite, status, "", "", if status == 200 { SDP } else { "" }));
        assert!(ack.len() == 1 && ack[0].starts_with("ACK "), "{ack:?}");
        bench.receive(response(&bye, 200, "", "", ""));
        assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeCompleted }]);
        bench.drain();
    }
    let mut bench = Bench::timed(1800);
    let (_, ok) = bench.agreed(TIMER);
    let (_, reinvite) = bench.next_refresh("INVITE");
    bench.receive(within(&ok, "BYE", 2, ""));
    bench.events();
    assert!(bench.receive(response(&reinvite, 481, "", "", "")).len() == 1);
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn a_peer_cannot_make_an_interval_of_nothing() {
    let mut bench = Bench::timed(1800);
    bench.agreed(&format!("{TIMER}{UPDATES}"));
    let (at_ms, update) = bench.next_refresh("UPDATE");
    bench.receive(response(&update, 200, "", "Session-Expires: 0;refresher=uac\r\n", ""));
    let (again_ms, _) = bench.next_refresh("UPDATE");
    assert_eq!(again_ms - at_ms, 45_000, "half of the least");
}

/// The wake-ups of calls that are over lie in the far future; they are not kept until then.
#[test]
fn calls_that_are_over_leave_no_wake_ups_behind() {
    let mut bench = Bench::timed(1800);
    let mut most = 0;
    for call in 0..2_000 {
        let call_id = format!("call-{call}x");
        let ours = |message: String| {
            message.replace("call-1", &call_id).replace("z9hG4bK", &format!("z9hG4bK{call}"))
        };
        let (_, ok) = bench.answered(&ours(invite(Some(SDP))));
        bench.receive(ours(within(&ok, "ACK", 1, "")));
        // The 200's repetition was to come first: then the session's wake-up is that of its timer.
        bench.advance(ms(500));
        bench.receive(ours(within(&ok, "BYE", 2, "")));
        bench.events();
        most = most.max(bench.endpoint.wake_ups.len());
    }
    assert_eq!(bench.endpoint.session_count(), 0);
    assert!(most < 1_500, "{most} wake-ups were held");
}

#[test]
fn two_endpoints_refresh_a_call_for_hours_and_end_it_when_one_falls_silent() {
    let service = EndpointConfig { seed: [2; 32], ..config(600) };
    let mut pair = Pair::new(config(0), service);
    let (calling, called) = pair.established();
    let ok = pair.sent.iter().find(|(_, _, message)| message.starts_with("SIP/2.0 200 ")).expect("answered");
    assert_eq!(field(&ok.2, "Session-Expires"), Some("600;refresher=uas"));
    pair.advance(Duration::from_secs(3 * 3_600));
    let refreshes = |side| {
        let refresh = |(_, by, message): &&(u128, Side, String)| {
            *by == side && field(message, "Session-Expires").is_some() && !message.starts_with("SIP/2.0")
        };
        pair.sent.iter().filter(refresh).count()
    };
    assert_eq!((refreshes(Side::Callee), refreshes(Side::Caller)), (36, 0));
    assert!(Pair::events(&mut pair.caller).is_empty() && Pair::events(&mut pair.callee).is_empty());
    // The service is gone: the caller ends the call by itself.
    pair.callee = Endpoint::new(config(600));
    pair.advance(Duration::from_secs(600));
    let ended = Event::Ended { session: calling, cause: EndCause::SessionExpired };
    assert_eq!(Pair::events(&mut pair.caller), [ended]);
    let _ = called;
    pair.drain();
}

#[test]
fn two_endpoints_may_leave_it_to_the_caller() {
    let caller = config(600);
    let mut pair = Pair::new(caller, EndpointConfig { seed: [2; 32], ..config(1800) });
    let (calling, _) = pair.established();
    // The caller asked for 600 s and left open who refreshes; the one who answers does.
    let ok = pair.sent.iter().find(|(_, _, message)| message.starts_with("SIP/2.0 200 ")).expect("answered");
    assert_eq!(field(&ok.2, "Session-Expires"), Some("600;refresher=uas"));
    assert_eq!(field(&ok.2, "Require"), Some("timer"));
    pair.advance(Duration::from_secs(3_600));
    pair.caller.bye(pair.now, calling, None).expect("stands");
    pair.settle();
    pair.drain();
}
