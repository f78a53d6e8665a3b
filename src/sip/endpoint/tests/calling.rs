//! The calling side.

use super::*;

fn params(sdp: Option<&str>) -> InviteParams {
    InviteParams {
        request_uri: "sip:130@192.0.2.9".to_owned(),
        from: "\"Caller\" <sip:+355672123456@192.0.2.1>".to_owned(),
        to: "sip:130@192.0.2.9".to_owned(),
        p_asserted_identity: Some("<tel:+355672123456>".to_owned()),
        extra_headers: vec![("X-Test".to_owned(), "yes".to_owned())],
        sdp: sdp.map(|sdp| sdp.as_bytes().to_vec()),
    }
}

impl Bench {
    /// A call of ours, with its INVITE.
    fn calling(&mut self, sdp: Option<&str>) -> (SessionId, String) {
        let id = self.endpoint.invite(self.now, flow(), &params(sdp)).expect("called");
        (id, self.sent().remove(0))
    }

    /// A call of ours that stands, with its INVITE, the peer's 200 and our ACK.
    fn called(&mut self) -> (SessionId, String, String, String) {
        let (id, invite) = self.calling(Some(OUR_SDP));
        let ok = response(&invite, 200, "fork1", "", SDP);
        let ack = self.receive(&ok).remove(0);
        let body = Some(Bytes::from_static(SDP.as_bytes()));
        assert_eq!(self.events(), [Event::Answered { session: id, body, needs_answer: false }]);
        (id, invite, ok, ack)
    }
}

#[test]
fn our_invite_says_what_was_asked_for() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling(Some(OUR_SDP));
    assert_eq!(first_line(&invite), "INVITE sip:130@192.0.2.9 SIP/2.0");
    assert_eq!(field(&invite, "P-Asserted-Identity"), Some("<tel:+355672123456>"));
    assert_eq!(field(&invite, "X-Test"), Some("yes"));
    assert_eq!(field(&invite, "To"), Some("<sip:130@192.0.2.9>"));
    assert_eq!(field(&invite, "Max-Forwards"), Some("70"));
    let via = field(&invite, "Via").expect("there");
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK") && via.ends_with(";rport"), "{via}");
    assert!(invite.ends_with(OUR_SDP));
}

#[test]
fn a_call_of_ours_from_invite_to_bye() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    assert!(bench.receive(response(&invite, 100, "", "", "")).is_empty());
    assert!(bench.receive(response(&invite, 180, "fork1", "", "")).is_empty());
    assert_eq!(bench.events(), [Event::Progress { session: id, status: 180, body: None }]);
    let ok = response(&invite, 200, "fork1", "", SDP);
    let sent = bench.receive(&ok);
    assert_eq!(first_lines(&sent), ["ACK sip:callee@192.0.2.9:5060 SIP/2.0"]);
    assert_eq!(field(&sent[0], "CSeq"), Some("1 ACK"));
    assert_ne!(field(&sent[0], "Via"), field(&invite, "Via"));
    assert!(matches!(&*bench.events(), [Event::Answered { needs_answer: false, .. }]));
    // The 200 again: the same ACK again, and no event.
    assert_eq!(bench.receive(&ok), sent);
    assert!(bench.events().is_empty());
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(field(&bye, "CSeq"), Some("2 BYE"));
    bench.receive(response(&bye, 200, "", "", ""));
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeCompleted }]);
    // After the end of the call its 200 is acknowledged still.
    assert_eq!(bench.receive(&ok), sent);
    bench.drain();
}

#[test]
fn a_call_of_ours_stands_until_it_is_ended() {
    let mut bench = Bench::new();
    bench.called();
    assert!(bench.advance(Duration::from_secs(3_600)).is_empty());
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (1, 0));
    assert_eq!(bench.endpoint.poll_timeout(), None);
}

#[test]
fn routes_of_a_200_are_followed_in_reverse() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    let routes = "Record-Route: <sip:192.0.2.51;lr>\r\nRecord-Route: <sip:192.0.2.50:5070;lr>\r\n";
    let ok = response(&invite, 200, "x", routes, SDP);
    bench.endpoint.handle_datagram(bench.now, flow(), ok.as_bytes());
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    for _ in ["ACK", "BYE"] {
        let transmit = bench.endpoint.poll_transmit().expect("sent");
        assert_eq!(transmit.flow.remote, "192.0.2.50:5070".parse().expect("an address"));
        let message = Message::parse(&transmit.bytes).expect("reads");
        let routes: Vec<_> = message.routes().map(|route| route.expect("a route").raw.to_vec()).collect();
        assert_eq!(routes, [&b"<sip:192.0.2.50:5070;lr>"[..], &b"<sip:192.0.2.51;lr>"[..]]);
    }
}

#[test]
fn a_route_given_for_the_invite_stands_in_its_ack_and_cancel() {
    let mut bench = Bench::new();
    let routed = || InviteParams {
        extra_headers: vec![("Route".to_owned(), "<sip:192.0.2.9;lr>".to_owned())],
        ..params(Some(OUR_SDP))
    };
    let id = bench.endpoint.invite(bench.now, flow(), &routed()).expect("called");
    let invite = bench.sent().remove(0);
    bench.receive(response(&invite, 180, "x", "", ""));
    bench.endpoint.cancel(bench.now, id).expect("sent");
    assert_eq!(field(&bench.sent()[0], "Route"), Some("<sip:192.0.2.9;lr>"));
    let ack = bench.receive(response(&invite, 487, "x", "", ""));
    assert_eq!(field(&ack[0], "Route"), Some("<sip:192.0.2.9;lr>"));
}

#[test]
fn the_peer_ends_a_call_of_ours() {
    let mut bench = Bench::new();
    let (id, invite, ok, _) = bench.called();
    let bye = format!(
        "BYE sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-b\r\nFrom: {}\r\nTo: {}\r\n\
         Call-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        field(&ok, "To").expect("To"),
        field(&invite, "From").expect("From"),
        field(&invite, "Call-ID").expect("Call-ID"),
    );
    assert_eq!(first_lines(&bench.receive(&bye)), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
    bench.drain();
}

#[test]
fn the_answer_to_a_late_offer_goes_in_the_ack() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(None);
    let ok = response(&invite, 200, "fork1", "", SDP);
    assert!(bench.receive(&ok).is_empty());
    let body = Some(Bytes::from_static(SDP.as_bytes()));
    assert_eq!(bench.events(), [Event::Answered { session: id, body, needs_answer: true }]);
    assert!(bench.receive(&ok).is_empty(), "no ACK before the answer");
    assert!(bench.events().is_empty());
    bench.endpoint.acknowledge(id, OUR_SDP.into()).expect("acknowledged");
    let ack = bench.sent();
    assert_eq!(first_lines(&ack), ["ACK sip:callee@192.0.2.9:5060 SIP/2.0"]);
    assert!(ack[0].ends_with(OUR_SDP));
    assert_eq!(bench.receive(&ok), ack);
    assert_eq!(bench.endpoint.acknowledge(id, OUR_SDP.into()), Err(SessionError::State));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    assert_eq!(bench.sent().len(), 1);
    bench.drain();
}

#[test]
fn hanging_up_instead_of_answering_a_late_offer_sends_ack_and_bye() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(None);
    bench.receive(response(&invite, 200, "fork1", "", SDP));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let sent = bench.sent();
    assert!(sent[0].starts_with("ACK ") && sent[1].starts_with("BYE "), "{sent:?}");
    bench.drain();
}

#[test]
fn a_refusal_is_acknowledged_in_its_transaction_each_time() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    let refusal = response(&invite, 404, "x", "", "");
    let ack = bench.receive(&refusal);
    assert_eq!(first_lines(&ack), ["ACK sip:130@192.0.2.9 SIP/2.0"]);
    assert_eq!(field(&ack[0], "Via"), field(&invite, "Via"));
    assert_eq!(field(&ack[0], "To"), field(&refusal, "To"));
    let reason = "Whatever".to_owned();
    assert_eq!(bench.events(), [Event::Rejected { session: id, status: 404, reason }]);
    assert_eq!(bench.receive(&refusal), ack);
    assert!(bench.events().is_empty());
    bench.drain();
}

#[test]
fn an_invite_nobody_answers_is_retransmitted_and_times_out() {
    let mut bench = Bench::new();
    let (id, _) = bench.calling(Some(OUR_SDP));
    let sent = bench.advance(ms(32_000));
    let at_ms: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(at_ms, [500, 1500, 3500, 7500, 15_500, 31_500]);
    assert!(matches!(&*bench.events(), [Event::Rejected { session, status: 408, .. }] if *session == id));
    bench.drain();
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    bench.endpoint.cancel(bench.now, id).expect("noted");
    assert!(bench.sent().is_empty());
    let sent = bench.receive(response(&invite, 100, "", "", ""));
    assert_eq!(first_lines(&sent), ["CANCEL sip:130@192.0.2.9 SIP/2.0"]);
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(field(&sent[0], name), field(&invite, name), "{name}");
    }
    assert_eq!(field(&sent[0], "CSeq"), Some("1 CANCEL"));
    bench.endpoint.cancel(bench.now, id).expect("once only");
    assert!(bench.sent().is_empty());
    assert!(bench.receive(response(&sent[0], 200, "x", "", "")).is_empty());
    let ack = bench.receive(response(&invite, 487, "x", "", ""));
    assert_eq!(first_lines(&ack), ["ACK sip:130@192.0.2.9 SIP/2.0"]);
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 487, .. }]));
    bench.drain();
}

#[test]
fn a_200_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    bench.receive(response(&invite, 180, "fork1", "", ""));
    bench.events();
    bench.endpoint.cancel(bench.now, id).expect("sent");
    assert!(bench.sent()[0].starts_with("CANCEL "));
    let sent = bench.receive(response(&invite, 200, "fork1", "", SDP));
    assert!(sent[0].starts_with("ACK ") && sent[1].starts_with("BYE "), "{sent:?}");
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::AnsweredAfterCancel }]);
    bench.drain();
}

#[test]
fn a_cancelled_invite_without_final_response_is_given_up() {
    let mut bench = Bench::new();
    let (id, invite) = bench.calling(Some(OUR_SDP));
    bench.receive(response(&invite, 100, "", "", ""));
    bench.endpoint.cancel(bench.now, id).expect("sent");
    bench.drain();
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 487, .. }]));
}

#[test]
fn a_call_that_rings_for_ever_is_cancelled() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling(Some(OUR_SDP));
    bench.receive(response(&invite, 180, "fork1", "", ""));
    bench.events();
    let sent = bench.advance(ms(180_000));
    assert_eq!(sent[0], (180_000, "CANCEL sip:130@192.0.2.9 SIP/2.0".to_owned()));
    bench.drain();
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 487, .. }]));
}

#[test]
fn more_200s_of_a_forked_invite_are_acknowledged_and_ended() {
    let mut bench = Bench::new();
    let (id, invite, ok, ack) = bench.called();
    let other =
        response(&invite, 200, "fork2", "", SDP).replace("callee@192.0.2.9:5060", "other@192.0.2.9:5070");
    let sent = bench.receive(&other);
    assert_eq!(
        first_lines(&sent),
        ["ACK sip:other@192.0.2.9:5070 SIP/2.0", "BYE sip:other@192.0.2.9:5070 SIP/2.0"]
    );
    assert!(field(&sent[1], "To").expect("To").ends_with(";tag=fork2"));
    // Copies of either get their own ACK and no second BYE.
    assert_eq!(bench.receive(&other), sent[..1]);
    assert_eq!(bench.receive(&ok), [ack]);
    assert!(bench.events().is_empty());
    for fork in 3..20 {
        bench.receive(response(&invite, 200, &format!("fork{fork}"), "", SDP));
    }
    assert!(bench.count(Counter::DroppedForkLimit) > 0);
    bench.endpoint.bye(bench.now, id, None).expect("the call stands");
    bench.drain();
}

#[test]
fn responses_that_are_not_ours_are_dropped() {
    let mut bench = Bench::new();
    let (_, invite) = bench.calling(Some(OUR_SDP));
    let ok = response(&invite, 200, "x", "", SDP);
    for foreign in [
        ok.replace("192.0.2.1:5060;branch", "192.0.2.2:5060;branch"),
        ok.replace("192.0.2.1:5060;branch", "192.0.2.1:5061;branch"),
        ok.replacen("From:", "Via: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bK2\r\nFrom:", 1),
    ] {
        assert!(bench.receive(foreign).is_empty());
    }
    assert_eq!(bench.count(Counter::DroppedForeignResponse), 3);
    assert!(bench.receive(ok.replace("CSeq: 1 INVITE", "CSeq: 1 BYE")).is_empty());
    assert!(bench.receive(ok.replace("branch=z9hG4bK", "branch=z9hG4bKx")).is_empty());
    assert_eq!(bench.count(Counter::DroppedStrayResponse), 2);
    assert!(bench.receive(ok.replace("CSeq: 1 INVITE", "CSeq: x INVITE")).is_empty());
    assert_eq!(bench.count(Counter::DroppedMalformedResponse), 1);
    assert!(bench.events().is_empty());
}

#[test]
fn options_tells_its_status_once() {
    let mut bench = Bench::new();
    let options = OptionsParams {
        request_uri: "sip:192.0.2.9".to_owned(),
        from: "sip:probe@192.0.2.1".to_owned(),
        extra_headers: vec![],
    };
    let request = bench.endpoint.options(bench.now, flow(), &options).expect("sent");
    let sent = bench.sent().remove(0);
    let ok = response(&sent, 200, "x", "", "");
    assert!(bench.receive(&ok).is_empty());
    assert!(bench.receive(&ok).is_empty());
    assert_eq!(bench.events(), [Event::OptionsAnswered { request, status: 200 }]);
    let request = bench.endpoint.options(bench.now, flow(), &options).expect("sent");
    bench.drain();
    assert_eq!(bench.events(), [Event::OptionsAnswered { request, status: 408 }]);
}

#[test]
fn what_cannot_be_written_is_not_sent() {
    let mut bench = Bench::new();
    let injected = |extra: &str| InviteParams {
        extra_headers: vec![("X-A".to_owned(), extra.to_owned())],
        ..params(Some(OUR_SDP))
    };
    for bad in [
        injected("a\r\nX-B: b"),
        InviteParams { request_uri: "sip:a b@c".to_owned(), ..params(None) },
        InviteParams { p_asserted_identity: Some("a\nb".to_owned()), ..params(None) },
    ] {
        let refused = bench.endpoint.invite(bench.now, flow(), &bad);
        assert!(matches!(refused, Err(OriginateError::Unwritable(_))), "{refused:?}");
    }
    let bad = InviteParams { from: "<sip:a@b>;tag=mine".to_owned(), ..params(None) };
    assert_eq!(bench.endpoint.invite(bench.now, flow(), &bad), Err(OriginateError::Address));
    assert!(bench.sent().is_empty());
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (0, 0));
}

#[test]
fn a_tel_uri_can_be_called() {
    let mut bench = Bench::new();
    let tel = InviteParams { request_uri: "tel:130;phone-context=al".to_owned(), ..params(Some(OUR_SDP)) };
    bench.endpoint.invite(bench.now, flow(), &tel).expect("called");
    assert_eq!(first_line(&bench.sent()[0]), "INVITE tel:130;phone-context=al SIP/2.0");
}

#[test]
fn an_advertised_address_stands_in_via_and_contact() {
    let advertised = Some(HostPort { host: "sbc.example.com".to_owned(), port: Some(5070) });
    let mut bench = Bench::with(EndpointConfig { advertised, ..EndpointConfig::new([1; 32]) });
    let (id, invite) = bench.calling(Some(OUR_SDP));
    assert!(field(&invite, "Via").expect("Via").starts_with("SIP/2.0/UDP sbc.example.com:5070;"));
    assert_eq!(field(&invite, "Contact"), Some("<sip:130@sbc.example.com:5070>"));
    bench.receive(response(&invite, 200, "x", "", SDP));
    assert!(matches!(&*bench.events(), [Event::Answered { session, .. }] if *session == id));
}

#[test]
fn two_proxies_in_our_route_are_passed_by_each_request_of_a_call() {
    let mut bench = Bench::new();
    let invite = invite(Some(SDP)).replace(
        "Max-Forwards",
        "Record-Route: <sip:192.0.2.51:5071;lr>\r\nRecord-Route: <sip:192.0.2.52:5072;lr;x=y>\r\nMax-Forwards",
    );
    let (id, ok) = bench.answered(&invite);
    let echoed: Vec<_> = ok.lines().filter(|line| line.starts_with("Record-Route: ")).collect();
    assert_eq!(
        echoed,
        ["Record-Route: <sip:192.0.2.51:5071;lr>", "Record-Route: <sip:192.0.2.52:5072;lr;x=y>"]
    );
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let transmit = bench.endpoint.poll_transmit().expect("sent");
    assert_eq!(transmit.flow.remote, "192.0.2.51:5071".parse().expect("an address"));
    let bye = String::from_utf8_lossy(&transmit.bytes).into_owned();
    assert_eq!(first_line(&bye), "BYE sip:caller@192.0.2.9:5060 SIP/2.0");
    let routes: Vec<_> = bye.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(routes, ["Route: <sip:192.0.2.51:5071;lr>", "Route: <sip:192.0.2.52:5072;lr;x=y>"]);
}

#[test]
fn a_strict_router_gets_its_own_uri_in_the_request_line_in_both_roles() {
    // Called: the first Record-Route is a proxy of RFC 2543 (RFC 3261 §12.2.1.1, §16.12.1.2).
    let mut bench = Bench::new();
    let invite = invite(Some(SDP))
        .replace("Max-Forwards", "Record-Route: <sip:192.0.2.51:5071>, <sip:192.0.2.52;lr>\r\nMax-Forwards");
    let (id, ok) = bench.answered(&invite);
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let transmit = bench.endpoint.poll_transmit().expect("sent");
    assert_eq!(transmit.flow.remote, "192.0.2.51:5071".parse().expect("an address"));
    let bye = String::from_utf8_lossy(&transmit.bytes).into_owned();
    assert_eq!(first_line(&bye), "BYE sip:192.0.2.51:5071 SIP/2.0");
    let routes: Vec<_> = bye.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(routes, ["Route: <sip:192.0.2.52;lr>", "Route: <sip:caller@192.0.2.9:5060>"]);

    // Calling: the last Record-Route of the 200 is the first Route.
    let mut bench = Bench::new();
    let (_, invite) = bench.calling(Some(OUR_SDP));
    let routes = "Record-Route: <sip:192.0.2.52;lr>\r\nRecord-Route: <sip:192.0.2.51:5071>\r\n";
    bench.endpoint.handle_datagram(bench.now, flow(), response(&invite, 200, "x", routes, SDP).as_bytes());
    let ack = bench.endpoint.poll_transmit().expect("sent");
    assert_eq!(ack.flow.remote, "192.0.2.51:5071".parse().expect("an address"));
    let ack = String::from_utf8_lossy(&ack.bytes).into_owned();
    assert_eq!(first_line(&ack), "ACK sip:192.0.2.51:5071 SIP/2.0");
    let routes: Vec<_> = ack.lines().filter(|line| line.starts_with("Route: ")).collect();
    assert_eq!(routes, ["Route: <sip:192.0.2.52;lr>", "Route: <sip:callee@192.0.2.9:5060>"]);
}
