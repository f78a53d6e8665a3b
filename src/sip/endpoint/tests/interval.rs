//! A call of ours whose session interval is refused (RFC 4028 §7.3).

use super::*;

fn params(sdp: Option<&str>) -> InviteParams {
    InviteParams {
        request_uri: "sip:130@192.0.2.9".to_owned(),
        from: "<sip:+355672123456@192.0.2.1>".to_owned(),
        to: "sip:130@192.0.2.9".to_owned(),
        p_asserted_identity: Some("<tel:+355672123456>".to_owned()),
        extra_headers: vec![("X-Test".to_owned(), "yes".to_owned())],
        sdp: sdp.map(|sdp| sdp.as_bytes().to_vec()),
    }
}

fn too_small(invite: &str, min_se: &str) -> String {
    response(invite, 422, "refused", min_se, "")
}

impl Bench {
    /// A call of ours that asks for an interval of so many seconds, with its INVITE.
    fn calling_for(session_expires_s: u32, sdp: Option<&str>) -> (Self, SessionId, String) {
        let session_intervals = SessionIntervals { session_expires_s, ..SessionIntervals::default() };
        let mut bench = Self::with(EndpointConfig { session_intervals, ..EndpointConfig::new([7; 32]) });
        let id = bench.endpoint.invite(bench.now, flow(), &params(sdp)).expect("called");
        let invite = bench.sent().remove(0);
        (bench, id, invite)
    }

    /// The next try of a call that was refused so, after the ACK of the refusal.
    fn raised(&mut self, invite: &str, min_se: &str) -> String {
        let mut sent = self.receive(too_small(invite, min_se));
        assert_eq!(sent.len(), 2, "{sent:?}");
        assert!(sent[0].starts_with("ACK "), "{sent:?}");
        sent.remove(1)
    }

    fn assert_refused(&mut self, id: SessionId) {
        let events = self.events();
        assert!(
            matches!(&*events, [Event::Rejected { session, status: 422, .. }] if *session == id),
            "{events:?}"
        );
    }
}

#[test]
fn a_422_is_tried_again_with_the_interval_that_it_asks_for() {
    for sdp in [Some(OUR_SDP), None] {
        let (mut bench, id, first) = Bench::calling_for(90, sdp);
        assert_eq!((field(&first, "Session-Expires"), field(&first, "Min-SE")), (Some("90"), None));
        let again = bench.raised(&first, "Min-SE: 1800\r\n");
        assert_eq!((field(&again, "Session-Expires"), field(&again, "Min-SE")), (Some("1800"), Some("1800")));
        assert_eq!((field(&first, "CSeq"), field(&again, "CSeq")), (Some("1 INVITE"), Some("2 INVITE")));
        // All else is the same but for the branch.
        for name in ["From", "To", "Call-ID", "Contact", "Supported", "P-Asserted-Identity", "X-Test"] {
            assert_eq!(field(&again, name), field(&first, name), "{name}");
        }
        assert_ne!(field(&again, "Via"), field(&first, "Via"));
        assert_eq!(again.ends_with(OUR_SDP), sdp.is_some());
        assert!(bench.events().is_empty(), "the call is still being made");
        // A copy of the refusal is acknowledged, and nothing else comes of it.
        let copy = bench.receive(too_small(&first, "Min-SE: 1800\r\n"));
        assert_eq!(first_lines(&copy), ["ACK sip:130@192.0.2.9 SIP/2.0"]);
        assert_eq!(field(&copy[0], "CSeq"), Some("1 ACK"));
        let timer = "Session-Expires: 1800;refresher=uas\r\nRequire: timer\r\n";
        let sent = bench.receive(response(&again, 200, "callee", timer, SDP));
        let acknowledged = sent.iter().filter(|ack| field(ack, "CSeq") == Some("2 ACK")).count();
        assert_eq!(acknowledged, usize::from(sdp.is_some()), "{sent:?}");
        assert!(matches!(&*bench.events(), [Event::Answered { session, .. }] if *session == id));
    }
}

#[test]
fn our_bye_comes_after_the_raised_invite() {
    let (mut bench, id, first) = Bench::calling_for(90, Some(OUR_SDP));
    let again = bench.raised(&first, "Min-SE: 1800\r\n");
    bench.receive(response(&again, 200, "callee", "", SDP));
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    let bye = bench.sent().remove(0);
    assert_eq!(field(&bye, "CSeq"), Some("3 BYE"));
    bench.receive(response(&bye, 200, "", "", ""));
    bench.drain();
}

#[test]
fn each_proxy_may_raise_it_but_not_for_ever() {
    let (mut bench, id, mut invite) = Bench::calling_for(90, Some(OUR_SDP));
    for (min_se, cseq) in [("100", "2 INVITE"), ("200", "3 INVITE"), ("300", "4 INVITE")] {
        invite = bench.raised(&invite, &format!("Min-SE: {min_se}\r\n"));
        assert_eq!((field(&invite, "Min-SE"), field(&invite, "CSeq")), (Some(min_se), Some(cseq)));
    }
    let sent = bench.receive(too_small(&invite, "Min-SE: 400\r\n"));
    assert_eq!(first_lines(&sent), ["ACK sip:130@192.0.2.9 SIP/2.0"]);
    bench.assert_refused(id);
    bench.drain();
}

#[test]
fn a_422_that_asks_for_nothing_new_refuses_the_call() {
    for min_se in ["", "Min-SE: 90\r\n", "Min-SE: 60\r\n"] {
        let (mut bench, id, invite) = Bench::calling_for(90, Some(OUR_SDP));
        assert_eq!(bench.receive(too_small(&invite, min_se)).len(), 1, "{min_se}");
        bench.assert_refused(id);
        bench.drain();
    }
}

#[test]
fn a_call_that_is_given_up_is_not_tried_again() {
    let (mut bench, id, invite) = Bench::calling_for(90, Some(OUR_SDP));
    bench.receive(response(&invite, 180, "callee", "", ""));
    bench.events();
    bench.endpoint.cancel(bench.now, id).expect("sent");
    bench.sent();
    assert_eq!(bench.receive(too_small(&invite, "Min-SE: 1800\r\n")).len(), 1);
    bench.assert_refused(id);
    bench.drain();
}

#[test]
fn a_call_that_is_given_up_after_a_422_cancels_the_second_invite() {
    let (mut bench, id, invite) = Bench::calling_for(90, Some(OUR_SDP));
    bench.receive(response(&invite, 180, "callee", "", ""));
    bench.events();
    let again = bench.raised(&invite, "Min-SE: 1800\r\n");
    bench.endpoint.cancel(bench.now, id).expect("waits");
    assert!(bench.sent().is_empty(), "not before its first answer");
    let sent = bench.receive(response(&again, 180, "callee", "", ""));
    assert_eq!(first_lines(&sent), ["CANCEL sip:130@192.0.2.9 SIP/2.0"]);
    assert_eq!((field(&sent[0], "CSeq"), field(&sent[0], "Via")), (Some("2 CANCEL"), field(&again, "Via")));
    bench.receive(response(&sent[0], 200, "callee", "", ""));
    bench.receive(response(&again, 487, "callee", "", ""));
    bench.events();
    bench.drain();
}
