//! Changes of a session that the peer asks for: re-INVITE, UPDATE, their glare and their end; INFO, REFER, Replaces.

use super::*;
use crate::sip::session::ChangeId;

/// What the peer offers to change to.
const HOLD: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n\
                    a=sendonly\r\n";
/// What we say to it.
const HELD: &str = "v=0\r\no=- 2 3 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n\
                    a=recvonly\r\n";

impl Bench {
    /// The change that the call layer is asked for, with its offer.
    fn asked(&mut self, id: SessionId) -> (ChangeId, Option<String>) {
        match &*self.events() {
            [Event::SessionChange { session, change, offer }] if *session == id => {
                (*change, offer.as_ref().map(|offer| String::from_utf8_lossy(offer).into_owned()))
            }
            other => panic!("not one change: {other:?}"),
        }
    }

    /// A re-INVITE that waits for the call layer.
    fn pending(&mut self, id: SessionId, ok: &str, cseq: u32, offer: &str) -> ChangeId {
        let sent = self.receive(within(ok, "INVITE", cseq, offer));
        assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
        self.asked(id).0
    }

    fn agree(&mut self, id: SessionId, change: ChangeId, sdp: &str) -> String {
        self.endpoint.answer_change(self.now, id, change, sdp.into()).expect("waits");
        let mut sent = self.sent();
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
        sent.remove(0)
    }

    /// The call goes on: it can be ended.
    fn goes_on(mut self, ok: &str) {
        assert!(self.events().is_empty());
        assert_eq!(first_lines(&self.receive(within(ok, "BYE", 99, ""))), ["SIP/2.0 200 OK"]);
        self.drain();
    }
}

/// The CANCEL of a request.
fn cancel(request: &str) -> String {
    let cancel = request.replacen("INVITE", "CANCEL", 1).replace(" INVITE\r\n", " CANCEL\r\n");
    let (head, _) = cancel.split_once("Content-").expect("a body");
    format!("{head}Content-Length: 0\r\n\r\n")
}

fn retry_after(response: &str) -> u32 {
    field(response, "Retry-After").expect("there").parse().expect("a number")
}

#[test]
fn a_reinvite_that_changes_the_session_is_answered_by_the_call_layer() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let reinvite = within(&ok, "INVITE", 2, HOLD)
        .replace("caller@192.0.2.9:5060>\r\nCo", "caller@192.0.2.33:5099>\r\nCo");
    let trying = bench.receive(&reinvite);
    assert_eq!(first_lines(&trying), ["SIP/2.0 100 Trying"]);
    assert_eq!(bench.receive(&reinvite), trying, "a copy gets the same and asks for nothing");
    let (change, offer) = bench.asked(id);
    assert_eq!(offer.as_deref(), Some(HOLD));
    let answer = bench.agree(id, change, HELD);
    assert!(answer.ends_with(HELD));
    assert_eq!(field(&answer, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
    assert_eq!(bench.receive(&reinvite), std::slice::from_ref(&answer));
    assert_eq!(bench.advance(ms(1_500)).len(), 2, "until its ACK comes");
    assert!(bench.receive(within(&ok, "ACK", 2, "")).is_empty());
    assert!(bench.advance(ms(32_000)).is_empty());
    // A refresh is now one of the changed session: what held before is never answered again.
    let refresh = bench.receive(within(&ok, "INVITE", 3, HOLD));
    assert_eq!(first_lines(&refresh), ["SIP/2.0 200 OK"]);
    assert!(refresh[0].ends_with(HELD));
    bench.receive(within(&ok, "ACK", 3, ""));
    let back = bench.pending(id, &ok, 4, SDP);
    assert!(bench.agree(id, back, OUR_SDP).ends_with(OUR_SDP));
    bench.receive(within(&ok, "ACK", 4, ""));
    assert_eq!(bench.count(Counter::SessionChanges), 3);
    bench.goes_on(&ok);
}

#[test]
fn the_remote_target_moves_with_the_answer_and_not_before() {
    let moved =
        |message: String| message.replace("caller@192.0.2.9:5060>\r\nCo", "caller@192.0.2.33:5099>\r\nCo");
    for agreed in [true, false] {
        let mut bench = Bench::new();
        let (id, ok) = bench.established();
        bench.receive(moved(within(&ok, "INVITE", 2, HOLD)));
        let (change, _) = bench.asked(id);
        if agreed {
            bench.agree(id, change, HELD);
        } else {
            bench.endpoint.refuse_change(bench.now, id, change, &Rejection::new(488)).expect("waits");
            assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 488 Not Acceptable Here"]);
        }
        bench.receive(within(&ok, "ACK", 2, ""));
        bench.endpoint.bye(bench.now, id, None).expect("sent");
        let place = if agreed { "192.0.2.33:5099" } else { "192.0.2.9:5060" };
        assert_eq!(bench.endpoint.poll_transmit().expect("BYE").flow.remote.to_string(), place);
    }
}

#[test]
fn a_change_that_is_refused_leaves_the_session_as_it_was() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let change = bench.pending(id, &ok, 2, HOLD);
    let warned = Rejection {
        headers: vec![("Warning".to_owned(), "305 klikon \"incompatible media format\"".to_owned())],
        ..Rejection::new(488)
    };
    let wrong = Rejection::new(200);
    assert_eq!(bench.endpoint.refuse_change(bench.now, id, change, &wrong), Err(SessionError::Status));
    bench.endpoint.refuse_change(bench.now, id, change, &warned).expect("waits");
    let sent = bench.sent();
    assert_eq!(first_lines(&sent), ["SIP/2.0 488 Not Acceptable Here"]);
    assert_eq!(field(&sent[0], "Warning"), Some("305 klikon \"incompatible media format\""));
    assert_eq!(bench.endpoint.refuse_change(bench.now, id, change, &warned), Err(SessionError::State));
    let late = bench.endpoint.answer_change(bench.now, id, change, HELD.into());
    assert_eq!(late, Err(SessionError::State));
    let ack = within(&ok, "ACK", 2, "").replace("z9hG4bK-ACK-2-d", "z9hG4bK-INVITE-2-d");
    assert!(bench.receive(ack).is_empty());
    // The old offer is still a refresh.
    assert!(bench.receive(within(&ok, "INVITE", 3, SDP))[0].ends_with(OUR_SDP));
    bench.receive(within(&ok, "ACK", 3, ""));
    assert_eq!(bench.count(Counter::RefusedSessionChange), 1);
    bench.goes_on(&ok);
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_its_answer_comes_in_the_ack() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    bench.receive(within(&ok, "INVITE", 2, ""));
    let (change, offer) = bench.asked(id);
    assert_eq!(offer, None);
    assert!(bench.agree(id, change, HELD).ends_with(HELD));
    // Our offer has no answer yet: 491 to any other.
    for method in ["INVITE", "UPDATE"] {
        let sent = bench.receive(within(&ok, method, 3, HOLD));
        assert_eq!(first_lines(&sent), ["SIP/2.0 491 Request Pending"], "{method}");
    }
    bench.receive(within(&ok, "ACK", 2, SDP));
    let body = Some(Bytes::from_static(SDP.as_bytes()));
    assert_eq!(bench.events(), [Event::ChangeAcknowledged { session: id, body }]);
    assert!(bench.receive(within(&ok, "ACK", 2, SDP)).is_empty());
    // What the peer answered is no offer of its own: ours does not answer it.
    bench.pending(id, &ok, 4, SDP);
}

#[test]
fn a_changes_missing_ack_ends_the_call_with_bye() {
    for offer in [HOLD, ""] {
        let mut bench = Bench::new();
        let (id, ok) = bench.established();
        let change = bench.pending(id, &ok, 2, offer);
        bench.agree(id, change, HELD);
        assert!(bench.advance(ms(31_999)).iter().all(|(_, line)| line == "SIP/2.0 200 OK"));
        let sent = bench.advance(ms(1));
        assert_eq!(sent, [(32_000, "BYE sip:caller@192.0.2.9:5060 SIP/2.0".to_owned())]);
        assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::AckTimeout }]);
        bench.drain();
    }
}

#[test]
fn a_pending_change_is_cancelled_and_the_call_goes_on() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let change = bench.pending(id, &ok, 2, HOLD);
    let sent = bench.receive(cancel(&within(&ok, "INVITE", 2, HOLD)));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    assert_eq!(bench.events(), [Event::ChangeWithdrawn { session: id, change }]);
    // The call layer's answer was on its way.
    let late = bench.endpoint.answer_change(bench.now, id, change, HELD.into());
    assert_eq!((late, bench.sent()), (Err(SessionError::State), vec![]));
    bench.receive(within(&ok, "ACK", 2, "").replace("z9hG4bK-ACK-2-d", "z9hG4bK-INVITE-2-d"));
    // It is no answer to the next change either.
    let next = bench.pending(id, &ok, 3, HOLD);
    assert_ne!(next, change);
    assert_eq!(bench.endpoint.answer_change(bench.now, id, change, HELD.into()), Err(SessionError::State));
    bench.agree(id, next, HELD);
    // A CANCEL that comes after the answer has no effect.
    let late = bench.receive(cancel(&within(&ok, "INVITE", 3, HOLD)));
    assert_eq!(first_lines(&late), ["SIP/2.0 200 OK"]);
    bench.receive(within(&ok, "ACK", 3, ""));
    bench.goes_on(&ok);
}

#[test]
fn a_bye_of_either_side_ends_a_pending_change() {
    for method in ["INVITE", "UPDATE"] {
        let mut bench = Bench::new();
        let (id, ok) = bench.established();
        bench.receive(within(&ok, method, 2, HOLD));
        let (change, _) = bench.asked(id);
        let sent = bench.receive(within(&ok, "BYE", 3, ""));
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
        let ended = Event::Ended { session: id, cause: EndCause::ByeReceived };
        assert_eq!(bench.events(), [Event::ChangeWithdrawn { session: id, change }, ended]);
        bench.drain();

        let mut bench = Bench::new();
        let (id, ok) = bench.established();
        bench.receive(within(&ok, method, 2, HOLD));
        let (change, _) = bench.asked(id);
        bench.endpoint.bye(bench.now, id, None).expect("sent");
        let sent = bench.sent();
        assert_eq!(first_line(&sent[0]), "SIP/2.0 487 Request Terminated");
        assert!(sent[1].starts_with("BYE "), "{sent:?}");
        assert_eq!(bench.events(), [Event::ChangeWithdrawn { session: id, change }]);
        bench.drain();
    }
}

#[test]
fn a_change_that_nobody_answers_is_500_in_the_end() {
    for method in ["INVITE", "UPDATE"] {
        let mut bench = Bench::new();
        let (id, ok) = bench.established();
        bench.receive(within(&ok, method, 2, HOLD));
        let (change, _) = bench.asked(id);
        let sent = bench.advance(ms(32_000));
        assert_eq!(sent, [(32_000, "SIP/2.0 500 Server Internal Error".to_owned())]);
        assert_eq!(bench.events(), [Event::ChangeWithdrawn { session: id, change }]);
        assert_eq!(bench.count(Counter::RefusedChangeTimeout), 1);
        bench.receive(within(&ok, "ACK", 2, "").replace("z9hG4bK-ACK-2-d", "z9hG4bK-INVITE-2-d"));
        bench.goes_on(&ok);
    }
}

/// RFC 5407 §3.1.4: the offer was answered in our 200, so a re-INVITE says that the 200 came.
#[test]
fn a_reinvite_that_overtakes_the_ack_confirms_the_call() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    bench.receive(within(&ok, "INVITE", 2, HOLD));
    let change = match &*bench.events() {
        [Event::Confirmed { body: None, .. }, Event::SessionChange { change, .. }] => *change,
        other => panic!("not confirmed and changed: {other:?}"),
    };
    bench.agree(id, change, HELD);
    // The first ACK comes late, and is not the second.
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.advance(ms(500)).len(), 1);
    bench.receive(within(&ok, "ACK", 2, ""));
    assert!(bench.advance(ms(40_000)).is_empty());
    bench.goes_on(&ok);
}

/// RFC 5407 §3.1.5: our offer in the 200 has no answer before the ACK.
#[test]
fn a_reinvite_before_the_ack_that_answers_our_offer_is_491() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(None));
    for method in ["INVITE", "UPDATE"] {
        let sent = bench.receive(within(&ok, method, 2, HOLD));
        assert_eq!(first_lines(&sent), ["SIP/2.0 491 Request Pending"], "{method}");
    }
    assert!(bench.events().is_empty());
    assert_eq!(bench.count(Counter::RefusedOverlapping), 2);
}

#[test]
fn overlapping_requests_are_500_with_retry_after() {
    for first in ["INVITE", "UPDATE"] {
        for second in ["INVITE", "UPDATE"] {
            let mut bench = Bench::new();
            let (id, ok) = bench.established();
            bench.receive(within(&ok, first, 2, HOLD));
            let (change, _) = bench.asked(id);
            let sent = bench.receive(within(&ok, second, 3, SDP));
            assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"], "{first}, {second}");
            assert!(retry_after(&sent[0]) <= 10);
            assert!(bench.events().is_empty());
            bench.agree(id, change, HELD);
        }
    }
}

#[test]
fn while_an_offer_of_ours_is_pending_theirs_is_491() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    bench.endpoint.sessions.get_mut(id).expect("is there").offer_of_ours = true;
    for (cseq, method) in [(2, "INVITE"), (3, "UPDATE")] {
        let sent = bench.receive(within(&ok, method, cseq, HOLD));
        assert_eq!(first_lines(&sent), ["SIP/2.0 491 Request Pending"], "{method}");
    }
    let target_only = bench.receive(within(&ok, "UPDATE", 4, ""));
    assert_eq!(first_lines(&target_only), ["SIP/2.0 200 OK"]);
    bench.endpoint.sessions.get_mut(id).expect("is there").offer_of_ours = false;
    bench.pending(id, &ok, 5, HOLD);
}

#[test]
fn an_update_changes_the_session_without_an_ack() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let update = within(&ok, "UPDATE", 2, HOLD);
    assert!(bench.receive(&update).is_empty());
    let (change, offer) = bench.asked(id);
    assert_eq!(offer.as_deref(), Some(HOLD));
    assert!(bench.receive(&update).is_empty(), "a copy waits for the same answer");
    let answer = bench.agree(id, change, HELD);
    assert!(answer.ends_with(HELD));
    assert_eq!(field(&answer, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
    assert_eq!(bench.receive(&update), [answer]);
    assert!(bench.advance(ms(40_000)).is_empty());
    // The same offer again is answered at once.
    let refresh = bench.receive(within(&ok, "UPDATE", 3, HOLD));
    assert!(first_line(&refresh[0]) == "SIP/2.0 200 OK" && refresh[0].ends_with(HELD));
    let refused = within(&ok, "UPDATE", 4, SDP);
    bench.receive(&refused);
    let (change, _) = bench.asked(id);
    bench.endpoint.refuse_change(bench.now, id, change, &Rejection::new(488)).expect("waits");
    let sent = bench.sent();
    assert_eq!(first_lines(&sent), ["SIP/2.0 488 Not Acceptable Here"]);
    assert_eq!(bench.receive(&refused), sent);
    bench.goes_on(&ok);
}

#[test]
fn an_update_without_offer_moves_the_target_and_nothing_else() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let moved =
        within(&ok, "UPDATE", 2, "").replace("caller@192.0.2.9:5060>\r\nCo", "caller@192.0.2.33:5099>\r\nCo");
    let sent = bench.receive(&moved);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!((field(&sent[0], "Content-Length"), sent[0].contains("m=audio")), (Some("0"), false));
    assert_eq!(field(&sent[0], "Contact"), Some("<sip:130@192.0.2.1:5060>"));
    assert!(bench.events().is_empty());
    // While a re-INVITE waits, too; while an UPDATE does, not (RFC 3311 §5.2).
    let change = bench.pending(id, &ok, 3, HOLD);
    assert_eq!(first_lines(&bench.receive(within(&ok, "UPDATE", 4, ""))), ["SIP/2.0 200 OK"]);
    bench.agree(id, change, HELD);
    bench.receive(within(&ok, "ACK", 3, ""));
    bench.receive(within(&ok, "UPDATE", 5, SDP));
    bench.asked(id);
    let sent = bench.receive(within(&ok, "UPDATE", 6, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"]);
    assert!(retry_after(&sent[0]) <= 10);
    bench.sent();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    bench.sent();
    let sent = bench.receive(within(&ok, "UPDATE", 7, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn an_update_in_an_early_dialog_waits_for_the_invites_offer() {
    let mut bench = Bench::new();
    let invite = request("INVITE", "Supported: 100rel\r\nContent-Type: application/sdp\r\n", SDP);
    bench.receive(&invite);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let id = event.session;
    bench.endpoint.progress(bench.now, id, OUR_SDP.into()).expect("progresses");
    let progress = bench.sent().remove(0);
    // The answer in the 183 may still be lost: 500 until its PRACK.
    let sent = bench.receive(within(&progress, "UPDATE", 2, HOLD));
    assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"]);
    assert!(retry_after(&sent[0]) <= 10);
    assert_eq!(first_lines(&bench.receive(within(&progress, "UPDATE", 3, ""))), ["SIP/2.0 200 OK"]);
    let rack = format!("RAck: {} 1 INVITE\r\nMax-Forwards", field(&progress, "RSeq").expect("reliable"));
    let prack = within(&progress, "PRACK", 4, "").replace("Max-Forwards", &rack);
    assert_eq!(first_lines(&bench.receive(prack)), ["SIP/2.0 200 OK"]);
    bench.events();
    bench.receive(within(&progress, "UPDATE", 5, HOLD));
    let (change, _) = bench.asked(id);
    let answer = bench.agree(id, change, HELD);
    assert!(answer.ends_with(HELD) && field(&answer, "Session-Expires").is_none());
    // One that waits when the call is given up ends with it.
    bench.receive(within(&progress, "UPDATE", 6, SDP));
    bench.asked(id);
    let sent = bench.receive(cancel(&invite));
    let lines = ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated", "SIP/2.0 487 Request Terminated"];
    assert_eq!(first_lines(&sent), lines);
    assert!(matches!(*bench.events(), [Event::ChangeWithdrawn { .. }, Event::Cancelled { .. }]));
    bench.drain();
}

#[test]
fn an_unreliable_answer_opens_no_way_for_an_update() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.progress(bench.now, event.session, OUR_SDP.into()).expect("progresses");
    let progress = bench.sent().remove(0);
    let sent = bench.receive(within(&progress, "UPDATE", 2, HOLD));
    assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"]);
}

#[test]
fn a_change_before_the_answer_is_not_said_again_in_the_200() {
    let mut bench = Bench::new();
    bench.receive(request("INVITE", "Supported: 100rel\r\nContent-Type: application/sdp\r\n", SDP));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let id = event.session;
    bench.endpoint.progress(bench.now, id, OUR_SDP.into()).expect("progresses");
    let progress = bench.sent().remove(0);
    let rack = format!("RAck: {} 1 INVITE\r\nMax-Forwards", field(&progress, "RSeq").expect("reliable"));
    bench.receive(within(&progress, "PRACK", 2, "").replace("Max-Forwards", &rack));
    bench.events();
    bench.receive(within(&progress, "UPDATE", 3, HOLD));
    let (change, _) = bench.asked(id);
    bench.agree(id, change, HELD);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert!(first_line(&ok) == "SIP/2.0 200 OK" && ok.ends_with("\r\n\r\n"), "{ok}");
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    // What holds is the change.
    assert!(bench.receive(within(&ok, "INVITE", 4, HOLD))[0].ends_with(HELD));
}

/// RFC 4028 §9: a re-INVITE and an UPDATE that are answered with 200 refresh the session, whoever answers them.
#[test]
fn every_change_refreshes_the_session() {
    let timer = "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nMax-Forwards";
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    for (cseq, method, offer) in
        [(2, "UPDATE", ""), (3, "UPDATE", HOLD), (4, "UPDATE", HOLD), (5, "INVITE", SDP)]
    {
        let mut sent = bench.receive(within(&ok, method, cseq, offer).replace("Max-Forwards", timer));
        if let [Event::SessionChange { change, .. }] = &*bench.events() {
            sent = vec![bench.agree(id, *change, HELD)];
        }
        assert_eq!(field(&sent[0], "Session-Expires"), Some("1800;refresher=uac"), "{cseq}: {sent:?}");
        assert_eq!(field(&sent[0], "Require"), Some("timer"));
    }
    bench.receive(within(&ok, "ACK", 5, ""));
    let sent = bench.advance(Duration::from_secs(1_800));
    assert!(sent.last().is_some_and(|(_, line)| line.starts_with("BYE ")), "{sent:?}");
}

#[test]
fn an_update_between_our_200_and_its_ack_is_taken() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    bench.receive(within(&ok, "UPDATE", 2, HOLD));
    let (change, _) = bench.asked(id);
    assert!(bench.agree(id, change, HELD).ends_with(HELD));
    // The INVITE's 200 still waits for its ACK, with the description that answered the INVITE.
    let again = bench.receive(invite(Some(SDP)));
    assert!(again[0].ends_with(OUR_SDP));
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    bench.goes_on(&ok);
}

#[test]
fn an_update_whose_body_is_not_understood_is_415() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let unread = within(&ok, "UPDATE", 2, HOLD).replace("application/sdp", "text/plain");
    assert_eq!(first_lines(&bench.receive(unread)), ["SIP/2.0 415 Unsupported Media Type"]);
    let stray = request("UPDATE", "", "").replace("call-1", "call-2");
    assert_eq!(first_lines(&bench.receive(stray)), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    bench.goes_on(&ok);
}

/// An INFO with a body of this type.
fn info(ok: &str, cseq: u32, kind: &str, body: &str) -> String {
    within(ok, "INFO", cseq, body).replace("application/sdp", kind)
}

#[test]
fn keys_by_info_are_answered_and_reported_once() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let mut cseq = 1;
    for (kind, body, key) in [
        ("application/dtmf-relay", "Signal= 5\r\nDuration= 160\r\n", '5'),
        ("application/DTMF-Relay;charset=utf-8", "Signal=#\r\n", '#'),
        ("application/dtmf", "5", '5'),
        ("application/dtmf", "11\r\n", '#'),
    ] {
        cseq += 1;
        let message = info(&ok, cseq, kind, body);
        let sent = bench.receive(&message);
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
        assert_eq!(bench.receive(&message), sent);
        assert_eq!(bench.events(), [Event::Key { session: id, key, at: bench.now }]);
    }
    assert_eq!(bench.count(Counter::KeysByInfo), 4);
    bench.goes_on(&ok);
}

#[test]
fn other_infos_are_answered_by_what_they_bring() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    assert_eq!(first_lines(&bench.receive(within(&ok, "INFO", 2, ""))), ["SIP/2.0 200 OK"]);
    let flash = info(&ok, 3, "application/dtmf-relay", "Signal=16\r\n");
    assert_eq!(first_lines(&bench.receive(flash)), ["SIP/2.0 200 OK"]);
    let unread = bench.receive(info(&ok, 4, "application/media_control+xml", "<x/>"));
    assert_eq!(first_lines(&unread), ["SIP/2.0 415 Unsupported Media Type"]);
    assert_eq!(field(&unread[0], "Accept"), Some("application/dtmf-relay, application/dtmf"));
    let optional = info(&ok, 5, "text/plain\r\nContent-Disposition: render;handling=optional", "x");
    assert_eq!(first_lines(&bench.receive(optional)), ["SIP/2.0 200 OK"]);
    let coded = info(&ok, 6, "application/dtmf\r\nContent-Encoding: gzip", "5");
    assert_eq!(first_lines(&bench.receive(coded)), ["SIP/2.0 415 Unsupported Media Type"]);
    let package = info(&ok, 7, "application/dtmf\r\nInfo-Package: dtmf", "5");
    let sent = bench.receive(package);
    assert_eq!(first_lines(&sent), ["SIP/2.0 469 Bad Info Package"]);
    assert_eq!(field(&sent[0], "Recv-Info"), Some(""));
    let malformed = bench.receive(info(&ok, 8, "application/dtmf", "five"));
    assert_eq!(first_lines(&malformed), ["SIP/2.0 400 Bad Request"]);
    let long = bench.receive(info(&ok, 9, "application/dtmf", &"5".repeat(20_000)));
    assert_eq!(first_lines(&long), ["SIP/2.0 413 Request Entity Too Large"]);
    assert!(bench.events().is_empty());
    assert_eq!(bench.count(Counter::RefusedInfoPackage), 1);
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    bench.sent();
    let late = bench.receive(info(&ok, 10, "application/dtmf", "5"));
    assert_eq!(first_lines(&late), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    assert!(bench.events().is_empty());
    let stray = request("INFO", "", "").replace("call-1", "call-2");
    assert_eq!(first_lines(&bench.receive(stray)), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn a_call_is_not_referred_elsewhere_and_goes_on() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let refer = within(&ok, "REFER", 2, "")
        .replace("Max-Forwards", "Refer-To: <sip:other@192.0.2.66>\r\nMax-Forwards");
    for (cseq, message) in [(2, refer.clone()), (3, refer.replace("CSeq: 2", "CSeq: 3"))] {
        let sent = bench.receive(message.replace("REFER-2-d", &format!("REFER-{cseq}-d")));
        assert_eq!(first_lines(&sent), ["SIP/2.0 405 Method Not Allowed"]);
        assert!(!field(&sent[0], "Allow").expect("Allow").contains("REFER"));
    }
    let outside = request("REFER", "Refer-To: <sip:other@192.0.2.66>\r\n", "").replace("call-1", "call-2");
    assert_eq!(first_lines(&bench.receive(outside)), ["SIP/2.0 405 Method Not Allowed"]);
    for method in ["MESSAGE", "SUBSCRIBE", "NOTIFY"] {
        let sent = bench.receive(within(&ok, method, 4, ""));
        assert_eq!(first_lines(&sent), ["SIP/2.0 405 Method Not Allowed"], "{method}");
    }
    bench.goes_on(&ok);
}

/// An INVITE of another call that wants the place of the dialog of these tags.
fn replacing(value: &str) -> String {
    let extra = format!("Replaces: {value}\r\nContent-Type: application/sdp\r\n");
    request("INVITE", &extra, SDP)
        .replace("Call-ID: call-1", "Call-ID: call-2")
        .replace("caller@192.0.2.9>;tag=peer", "caller@192.0.2.9>;tag=stranger")
        .replace("INVITE-1", "INVITE-R")
}

#[test]
fn nobody_takes_the_place_of_a_caller() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let our_tag = field(&ok, "To").and_then(|to| to.split_once("tag=")).expect("a tag").1.to_owned();
    let replaces = |to: &str, from: &str| format!("call-1;to-tag={to};from-tag={from}");
    let matching = replaces(&our_tag, "peer");
    for (value, line) in [
        (matching.clone(), "SIP/2.0 403 Forbidden"),
        (format!("{matching};early-only"), "SIP/2.0 486 Busy Here"),
        (replaces(&our_tag, "other"), "SIP/2.0 481 Call/Transaction Does Not Exist"),
        (replaces(&our_tag, "0"), "SIP/2.0 481 Call/Transaction Does Not Exist"),
        (replaces("gone", "peer"), "SIP/2.0 481 Call/Transaction Does Not Exist"),
        (replaces("peer", &our_tag), "SIP/2.0 481 Call/Transaction Does Not Exist"),
        (matching.replace("call-1", "call-9"), "SIP/2.0 481 Call/Transaction Does Not Exist"),
        (format!("{matching}\r\nReplaces: {matching}"), "SIP/2.0 400 Bad Request"),
        (format!("{matching}, {matching}"), "SIP/2.0 400 Bad Request"),
        ("call-1;to-tag=1".to_owned(), "SIP/2.0 400 Bad Request"),
    ] {
        assert_eq!(first_lines(&bench.receive(replacing(&value))), [line], "{value}");
    }
    let required = replacing(&matching).replace("Replaces:", "Require: replaces\r\nReplaces:");
    let sent = bench.receive(required);
    assert_eq!(first_lines(&sent), ["SIP/2.0 420 Bad Extension"]);
    assert_eq!(field(&sent[0], "Unsupported"), Some("replaces"));
    let options = replacing(&matching).replace("INVITE", "OPTIONS").replace("OPTIONS-R", "OPTIONS-O");
    assert_eq!(first_lines(&bench.receive(options)), ["SIP/2.0 400 Bad Request"]);
    assert!(bench.events().is_empty(), "the call layer is not disturbed");
    assert_eq!((bench.endpoint.session_count(), bench.count(Counter::RefusedReplaces)), (1, 11));
    // Join (RFC 3911) is passed over as any unknown field.
    let joining = replacing(&matching).replace("Replaces:", "Join:");
    assert_eq!(first_lines(&bench.receive(joining)), ["SIP/2.0 100 Trying"]);
    bench.events();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    bench.sent();
    let late =
        replacing(&matching).replace("INVITE-R", "INVITE-S").replace("Call-ID: call-2", "Call-ID: call-3");
    assert_eq!(first_lines(&bench.receive(late)), ["SIP/2.0 603 Decline"]);
}

#[test]
fn a_call_that_is_not_answered_is_not_replaced_either() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.ring(bench.now, event.session).expect("rings");
    let ringing = bench.sent().remove(0);
    let tag = field(&ringing, "To").and_then(|to| to.split_once("tag=")).expect("a tag").1;
    let sent = bench.receive(replacing(&format!("call-1;to-tag={tag};from-tag=peer")));
    assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn options_within_a_call_tell_our_capabilities() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let sent = bench.receive(within(&ok, "OPTIONS", 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!(field(&sent[0], "Allow"), Some("INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO, UPDATE"));
    assert_eq!(field(&sent[0], "Accept"), Some("application/sdp"));
    bench.goes_on(&ok);
}
