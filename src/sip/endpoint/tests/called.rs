//! The called side.

use super::*;

fn repeated(at_ms: &[u128], line: &str) -> Vec<(u128, String)> {
    at_ms.iter().map(|at| (*at, line.to_owned())).collect()
}

#[test]
fn a_call_from_invite_to_bye() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    assert!(field(&ok, "To").expect("To").len() >= "<sip:130@192.0.2.1>;tag=".len() + 32);
    assert_eq!(field(&ok, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
    assert_eq!(field(&ok, "Content-Type"), Some("application/sdp"));
    assert!(ok.ends_with(OUR_SDP));
    let sent = bench.receive(within(&ok, "BYE", 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
    assert_eq!(bench.endpoint.session_count(), 0);
    // The BYE again: the same answer, though the call is gone.
    assert_eq!(bench.receive(within(&ok, "BYE", 2, "")), sent);
    // Another BYE: no such call.
    assert_eq!(
        first_lines(&bench.receive(within(&ok, "BYE", 3, ""))),
        ["SIP/2.0 481 Call/Transaction Does Not Exist"]
    );
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn the_event_tells_who_calls_whom() {
    let mut bench = Bench::new();
    let extra = "P-Asserted-Identity: \"A, B\" <sip:+355672123456@ims>, <tel:+355-67-212-3456>\r\nPrivacy: ID;user\r\n\
                 Content-Type: application/sdp\r\n";
    bench.receive(request("INVITE", extra, SDP));
    let [Event::Invite(invite)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!((invite.called.as_deref(), &*invite.request_uri), (Some("130"), "sip:130@192.0.2.1"));
    assert_eq!((&*invite.from.uri, invite.from.user.as_deref()), ("sip:caller@192.0.2.9", Some("caller")));
    assert_eq!(invite.call_id, "call-1");
    assert_eq!(invite.privacy, ["id", "user"]);
    let asserted: Vec<_> = invite.asserted_identities.iter().map(|p| (p.kind, p.user.as_deref())).collect();
    assert_eq!(asserted, [(UriKind::Sip, Some("+355672123456")), (UriKind::Tel, Some("+355-67-212-3456"))]);
    assert_eq!(invite.asserted_identities[0].display, "A, B");
    assert_eq!(invite.offer.as_deref(), Some(SDP.as_bytes()));
}

#[test]
fn a_retransmitted_invite_gets_the_same_response() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP));
    let trying = bench.receive(&message);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(bench.receive(&message), trying);
    bench.endpoint.ring(bench.now, event.session).expect("rings");
    let ringing = bench.sent();
    assert_eq!(first_lines(&ringing), ["SIP/2.0 180 Ringing"]);
    assert_eq!(bench.receive(&message), ringing);
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent();
    assert_eq!(field(&ringing[0], "To"), field(&ok[0], "To"));
    assert_eq!(bench.receive(&message), ok);
    bench.receive(within(&ok[0], "ACK", 1, ""));
    assert!(bench.receive(&message).is_empty(), "after the ACK the INVITE is absorbed");
    assert_eq!(bench.events().len(), 1);
    assert_eq!(bench.count(Counter::InvitesReceived), 1);
    assert_eq!(bench.count(Counter::RetransmissionsReceived), 4);
}

#[test]
fn a_lost_ack_retransmits_200_for_64_t1_and_then_sends_bye() {
    let mut bench = Bench::new();
    let (id, _) = bench.answered(&invite(Some(SDP)));
    let sent = bench.advance(ms(31_999));
    let again = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(sent, repeated(&again, "SIP/2.0 200 OK"));
    assert!(bench.events().is_empty());
    let sent = bench.advance(ms(1));
    assert_eq!(sent, repeated(&[32_000], "BYE sip:caller@192.0.2.9:5060 SIP/2.0"));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::AckTimeout }]);
    assert_eq!(bench.count(Counter::AckTimeouts), 1);
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn an_acknowledged_call_stands_until_it_is_ended() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    assert!(bench.advance(Duration::from_secs(3_600)).is_empty());
    bench.receive(within(&ok, "INVITE", 2, SDP));
    bench.receive(within(&ok, "ACK", 2, ""));
    assert!(bench.advance(Duration::from_secs(3_600)).is_empty());
    assert!(bench.events().is_empty());
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (1, 0));
    assert_eq!(bench.endpoint.poll_timeout(), None);
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut bench = Bench::new();
    bench.receive(invite(None));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.offer, None);
    let id = event.session;
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    bench.receive(within(&ok, "ACK", 1, SDP));
    assert_eq!(
        bench.events(),
        [Event::Confirmed { session: id, body: Some(Bytes::from_static(SDP.as_bytes())) }]
    );
    // Its copies are absorbed.
    assert!(bench.receive(within(&ok, "ACK", 1, SDP)).is_empty());
    assert!(bench.events().is_empty());
}

#[test]
fn an_ack_with_another_cseq_does_not_confirm() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    bench.receive(within(&ok, "ACK", 7, ""));
    assert!(bench.events().is_empty());
    assert_eq!(bench.count(Counter::DroppedStrayAck), 1);
}

#[test]
fn an_ack_that_repeats_the_invites_branch_confirms_as_well() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    let ack = within(&ok, "ACK", 1, "").replace("z9hG4bK-ACK-1-d", "z9hG4bK-INVITE-1");
    bench.receive(ack);
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
}

#[test]
fn a_rejection_is_retransmitted_until_its_ack() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP));
    bench.receive(&message);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let rejection = Rejection {
        status: 503,
        reason: "Come Later".to_owned(),
        headers: vec![("Retry-After".to_owned(), "5".to_owned())],
    };
    bench.endpoint.reject(bench.now, event.session, &rejection).expect("rejected");
    let refusal = bench.sent();
    assert_eq!(first_lines(&refusal), ["SIP/2.0 503 Come Later"]);
    assert_eq!(field(&refusal[0], "Retry-After"), Some("5"));
    assert_eq!(bench.receive(&message), refusal);
    assert_eq!(bench.advance(ms(1500)), repeated(&[500, 1500], "SIP/2.0 503 Come Later"));
    let ack = within(&refusal[0], "ACK", 1, "").replace("z9hG4bK-ACK-1-d", "z9hG4bK-INVITE-1");
    assert!(bench.receive(&ack).is_empty());
    assert!(bench.advance(ms(4_999)).is_empty());
    assert_eq!(bench.endpoint.transaction_count(), 1);
    bench.advance(ms(1));
    assert_eq!(bench.endpoint.transaction_count(), 0);
    assert!(bench.events().is_empty());
    assert_eq!(bench.endpoint.reject(bench.now, event.session, &rejection), Err(SessionError::NoSuchSession));
}

#[test]
fn a_rejection_whose_ack_is_lost_ends_with_timer_h() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.reject(bench.now, event.session, &Rejection::new(404)).expect("rejected");
    bench.drain();
    assert_eq!(bench.count(Counter::FailureAckTimeouts), 1);
}

#[test]
fn a_rejection_that_cannot_be_written_sends_nothing() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let injected =
        Rejection { headers: vec![("X-A".to_owned(), "a\r\nX-B: b".to_owned())], ..Rejection::new(404) };
    assert!(matches!(
        bench.endpoint.reject(bench.now, event.session, &injected),
        Err(SessionError::Unwritable(_))
    ));
    assert_eq!(
        bench.endpoint.reject(bench.now, event.session, &Rejection::new(200)),
        Err(SessionError::Status)
    );
    assert!(bench.sent().is_empty());
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("still there");
}

#[test]
fn cancel_is_answered_and_ends_the_invite_with_487() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let cancel = request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1");
    let sent = bench.receive(&cancel);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    assert_eq!(field(&sent[0], "To"), field(&sent[1], "To"));
    assert_eq!(bench.events(), [Event::Cancelled { session: event.session }]);
    assert_eq!(bench.receive(&cancel), sent[..1]);
    let accepted = bench.endpoint.accept(bench.now, event.session, OUR_SDP.into());
    assert_eq!(accepted, Err(SessionError::NoSuchSession));
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn a_cancel_that_crosses_the_answer_has_no_effect() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    let cancel = request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1");
    assert_eq!(first_lines(&bench.receive(&cancel)), ["SIP/2.0 200 OK"]);
    assert!(bench.events().is_empty());
    bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
}

#[test]
fn a_cancel_that_overtakes_its_invite_is_481_and_the_call_comes() {
    let mut bench = Bench::new();
    let cancel = request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1");
    let sent = bench.receive(&cancel);
    assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    bench.receive(invite(Some(SDP)));
    assert!(matches!(&*bench.events(), [Event::Invite(_)]));
    // The CANCEL again, as its sender got a final response, is another transaction by now: it takes effect.
    assert_eq!(first_lines(&bench.receive(&cancel)).len(), 2);
}

#[test]
fn bye_before_the_answer_terminates_the_invite() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.ring(bench.now, event.session).expect("rings");
    let ringing = bench.sent().remove(0);
    let sent = bench.receive(within(&ringing, "BYE", 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    assert_eq!(bench.events(), [Event::Cancelled { session: event.session }]);
    bench.drain();
}

#[test]
fn bye_before_the_ack_ends_the_call_and_the_200s() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 2, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
    assert!(bench.receive(within(&ok, "ACK", 1, "")).is_empty());
    assert!(bench.receive(invite(Some(SDP))).is_empty());
    assert!(bench.advance(ms(60_000)).is_empty());
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn our_bye_waits_for_the_ack() {
    let mut bench = Bench::new();
    let (id, ok) = bench.answered(&invite(Some(SDP)));
    bench.endpoint.bye(bench.now, id, Some("SIP;cause=200;text=\"done\"")).expect("noted");
    assert!(bench.sent().is_empty());
    let sent = bench.receive(within(&ok, "ACK", 1, ""));
    assert_eq!(first_lines(&sent), ["BYE sip:caller@192.0.2.9:5060 SIP/2.0"]);
    assert_eq!(field(&sent[0], "Reason"), Some("SIP;cause=200;text=\"done\""));
    assert!(bench.events().is_empty());
    bench.receive(response(&sent[0], 200, "", "", ""));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeCompleted }]);
    bench.drain();
}

#[test]
fn our_bye_follows_the_wait_for_an_ack_that_never_comes() {
    let mut bench = Bench::new();
    let (id, _) = bench.answered(&invite(Some(SDP)));
    bench.endpoint.bye(bench.now, id, None).expect("noted");
    let sent = bench.advance(ms(32_000));
    assert_eq!(sent.last().map(|(at, line)| (*at, line.starts_with("BYE "))), Some((32_000, true)));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::AckTimeout }]);
    bench.drain();
}

#[test]
fn our_bye_is_retransmitted_and_gives_up_after_timer_f() {
    let mut bench = Bench::new();
    let (id, _) = bench.established();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(field(&bye, "CSeq"), Some("1 BYE"));
    let sent = bench.advance(ms(32_000));
    let again = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    assert_eq!(sent, repeated(&again, first_line(&bye)));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeTimeout }]);
    bench.drain();
    assert_eq!(bench.count(Counter::RequestTimeouts), 1);
}

#[test]
fn byes_that_cross_end_the_call_once() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 2, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
    bench.receive(response(&bye, 481, "", "", ""));
    bench.drain();
    assert!(bench.events().is_empty());
}

#[test]
fn bye_of_an_unanswered_call_refuses_it() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.bye(bench.now, event.session, None).expect("refused");
    assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 480 Temporarily Unavailable"]);
    bench.drain();
}

#[test]
fn a_call_nobody_answers_is_refused_in_the_end() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert!(bench.advance(ms(179_999)).is_empty());
    assert_eq!(bench.advance(ms(1))[0].1, "SIP/2.0 480 Temporarily Unavailable");
    assert_eq!(bench.events(), [Event::Ended { session: event.session, cause: EndCause::SetupTimeout }]);
    assert_eq!(bench.count(Counter::RefusedSetupTimeout), 1);
    bench.drain();
}

#[test]
fn a_refresh_is_answered_with_the_present_description() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let reinvite = within(&ok, "INVITE", 2, SDP);
    let sent = bench.receive(&reinvite);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert!(sent[0].ends_with(OUR_SDP));
    assert_eq!(bench.receive(&reinvite), sent);
    assert_eq!(bench.advance(ms(500)), repeated(&[500], "SIP/2.0 200 OK"));
    // Another while it waits for its ACK.
    assert_eq!(first_lines(&bench.receive(within(&ok, "INVITE", 3, SDP))), ["SIP/2.0 491 Request Pending"]);
    bench.receive(within(&ok, "ACK", 2, ""));
    assert!(bench.events().is_empty());
    let later = bench.advance(ms(5_000));
    assert!(later.iter().all(|(_, line)| line.starts_with("SIP/2.0 491")), "{later:?}");
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 4, ""))), ["SIP/2.0 200 OK"]);
    bench.drain();
}

#[test]
fn a_refresh_moves_the_target() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let moved = within(&ok, "INVITE", 2, SDP)
        .replace("caller@192.0.2.9:5060>\r\nCo", "caller@192.0.2.33:5099>\r\nCo");
    assert_eq!(first_lines(&bench.receive(moved)), ["SIP/2.0 200 OK"]);
    bench.receive(within(&ok, "ACK", 2, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.endpoint.poll_transmit().expect("BYE");
    assert_eq!(bye.flow.remote, "192.0.2.33:5099".parse().expect("an address"));
    assert!(bye.bytes.starts_with(b"BYE sip:caller@192.0.2.33:5099 SIP/2.0\r\n"));
}

#[test]
fn a_refresh_without_ack_ends_the_call() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    bench.receive(within(&ok, "INVITE", 2, SDP));
    bench.advance(ms(32_000));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::AckTimeout }]);
    bench.drain();
}

#[test]
fn a_reinvite_whose_body_is_not_understood_is_415_and_the_call_goes_on() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let unread = within(&ok, "INVITE", 2, SDP).replace("application/sdp", "text/plain");
    assert_eq!(first_lines(&bench.receive(unread)), ["SIP/2.0 415 Unsupported Media Type"]);
    let long = within(&ok, "INVITE", 3, &"a=x\r\n".repeat(4_000));
    assert_eq!(first_lines(&bench.receive(long)), ["SIP/2.0 413 Request Entity Too Large"]);
    let no_answer =
        within(&ok, "INVITE", 4, SDP).replace("Max-Forwards", "Accept: text/plain\r\nMax-Forwards");
    assert_eq!(first_lines(&bench.receive(no_answer)), ["SIP/2.0 406 Not Acceptable"]);
    assert_eq!(first_lines(&bench.receive(within(&ok, "INVITE", 5, SDP))), ["SIP/2.0 200 OK"]);
}

#[test]
fn a_reinvite_after_our_bye_is_481() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    bench.sent();
    let sent = bench.receive(within(&ok, "INVITE", 2, SDP));
    assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn a_reinvite_before_the_answer_is_500_with_retry_after() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.ring(bench.now, event.session).expect("rings");
    let ringing = bench.sent().remove(0);
    let sent = bench.receive(within(&ringing, "INVITE", 2, SDP));
    assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"]);
    let retry_after: u32 = field(&sent[0], "Retry-After").expect("there").parse().expect("a number");
    assert!(retry_after <= 10);
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("goes on");
}

#[test]
fn an_old_cseq_is_500_and_the_call_goes_on() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    assert_eq!(first_lines(&bench.receive(within(&ok, "OPTIONS", 5, ""))), ["SIP/2.0 200 OK"]);
    let sent = bench.receive(within(&ok, "BYE", 4, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 500 Server Internal Error"]);
    assert_eq!(bench.count(Counter::RefusedOldCseq), 1);
    assert_eq!(bench.endpoint.session_count(), 1);
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 6, ""))), ["SIP/2.0 200 OK"]);
}

#[test]
fn a_refusal_within_a_dialog_stays_the_same_when_the_dialog_is_gone() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.receive(within(&ok, "OPTIONS", 5, ""));
    let old = within(&ok, "INVITE", 4, SDP);
    let unread = within(&ok, "INVITE", 6, SDP).replace("application/sdp", "text/plain");
    let refused = [bench.receive(&old), bench.receive(&unread)];
    assert_eq!(first_lines(&refused[0]), ["SIP/2.0 500 Server Internal Error"]);
    assert_eq!(first_lines(&refused[1]), ["SIP/2.0 415 Unsupported Media Type"]);
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 7, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!([bench.receive(&old), bench.receive(&unread)], refused);
    bench.receive(within(&ok, "ACK", 4, "").replace("ACK-4-d", "INVITE-4-d"));
    assert!(bench.receive(&old).is_empty(), "after the ACK the INVITE is absorbed");
    bench.events();
    bench.drain();
}

#[test]
fn routes_are_kept_in_order_and_followed() {
    let mut bench = Bench::new();
    let extra = "Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51:5080;lr>\r\nRecord-Route: <sip:p3.example;lr>\r\n\
                 Content-Type: application/sdp\r\n";
    let (id, ok) = bench.answered(&request("INVITE", extra, SDP));
    assert_eq!(occurrences(&ok, HeaderName::RecordRoute), 2);
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let transmit = bench.endpoint.poll_transmit().expect("a BYE");
    assert_eq!(transmit.flow.remote, "192.0.2.50:5060".parse().expect("an address"));
    let bye = String::from_utf8_lossy(&transmit.bytes).into_owned();
    assert_eq!(first_line(&bye), "BYE sip:caller@192.0.2.9:5060 SIP/2.0");
    let message = Message::parse(&transmit.bytes).expect("reads");
    let routes: Vec<_> = message.routes().map(|route| route.expect("a route").raw.to_vec()).collect();
    assert_eq!(
        routes,
        [&b"<sip:192.0.2.50;lr>"[..], &b"<sip:192.0.2.51:5080;lr>"[..], &b"<sip:p3.example;lr>"[..]]
    );
}

#[test]
fn a_strict_router_gets_its_own_request_uri() {
    let mut bench = Bench::new();
    let extra = "Record-Route: <sip:192.0.2.50>, <sip:p2.example;lr>\r\nContent-Type: application/sdp\r\n";
    let (id, ok) = bench.answered(&request("INVITE", extra, SDP));
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(first_line(&bye), "BYE sip:192.0.2.50 SIP/2.0");
    assert_eq!(field(&bye, "Route"), Some("<sip:p2.example;lr>"));
    assert!(bye.contains("\r\nRoute: <sip:caller@192.0.2.9:5060>\r\n"));
}

#[test]
fn identities_go_back_octet_by_octet() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP)).replace(
        "From: <sip:caller@192.0.2.9>;tag=peer",
        "f: \"J\\\"x \" <sip:caller@192.0.2.9;x=%20>;y=1\r\n ;tag=peer;z",
    );
    let (id, ok) = bench.answered(&message);
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(field(&bye, "To"), Some("\"J\\\"x \" <sip:caller@192.0.2.9;x=%20>;y=1 ;tag=peer;z"));
    assert_eq!(field(&bye, "From"), field(&ok, "To"));
    assert_eq!(field(&bye, "Call-ID"), Some("call-1"));
}

#[test]
fn a_peer_behind_translation_is_answered_where_it_is_heard() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP)).replace("192.0.2.9:5060", "10.0.0.9:5060");
    let message = message.replace("branch=", "rport;branch=");
    let seen = Flow { remote: "192.0.2.9:33000".parse().expect("an address"), ..flow() };
    bench.endpoint.handle_datagram(bench.now, seen, message.as_bytes());
    let trying = bench.endpoint.poll_transmit().expect("100");
    assert_eq!(trying.flow.remote, seen.remote);
    let text = String::from_utf8_lossy(&trying.bytes).into_owned();
    assert!(text.contains("rport=33000") && text.contains("received=192.0.2.9"), "{text}");
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, event.session, None).expect("sent");
    assert_eq!(bench.endpoint.poll_transmit().expect("BYE").flow.remote, seen.remote);
}

#[test]
fn without_rport_the_answer_goes_to_the_port_of_sent_by() {
    let mut bench = Bench::new();
    let message =
        invite(Some(SDP)).replace("192.0.2.9:5060;branch", "192.0.2.77:5099;maddr=198.51.100.1;branch");
    bench.endpoint.handle_datagram(bench.now, flow(), message.as_bytes());
    let trying = bench.endpoint.poll_transmit().expect("100");
    assert_eq!(trying.flow.remote, "192.0.2.9:5099".parse().expect("an address"));
}

#[test]
fn an_rfc_2543_call_works_without_tags_and_branches() {
    let mut bench = Bench::new();
    let old = |message: &str| {
        message
            .lines()
            .map(|line| if line.starts_with("Via") { "Via: SIP/2.0/UDP 192.0.2.9:5060" } else { line })
            .collect::<Vec<_>>()
            .join("\r\n")
            .replace(";tag=peer", "")
            + "\r\n"
    };
    let message = old(&invite(Some(SDP)));
    let trying = bench.receive(&message);
    assert_eq!(first_lines(&trying), ["SIP/2.0 100 Trying"]);
    assert_eq!(bench.receive(&message), trying);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    let id = event.session;
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    bench.receive(old(&within(&ok, "ACK", 1, "")) + "\r\n");
    assert_eq!(bench.events(), [Event::Confirmed { session: id, body: None }]);
    assert_eq!(first_lines(&bench.receive(old(&within(&ok, "BYE", 2, "")) + "\r\n")), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
    bench.drain();
}
