//! Call release (`SIP_CC_TE_CR`): BYE in both directions, and CANCEL.

use super::*;

/// The CANCEL of the usual INVITE.
fn cancel() -> String {
    request("CANCEL", "", "").replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1")
}

/// A call that we end, with two proxies that stay in its way: our BYE and our 200.
fn ended_by_us() -> (String, String) {
    let mut bench = Bench::new();
    let extra = "Record-Route: <sip:p1.example;lr>, <sip:p2.example;lr>\r\nContent-Type: application/sdp\r\n";
    let (id, ok) = bench.answered(&request("INVITE", extra, SDP));
    bench.receive(within(&ok, "ACK", 1, ""));
    bench.events();
    bench.endpoint.bye(bench.now, id, None).expect("sent");
    (bench.sent().remove(0), ok)
}

/// §12.2.2: a BYE whose CSeq is lower than the last is 500, and the call goes on.
#[test]
fn sip_cc_te_cr_i_001() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.receive(within(&ok, "OPTIONS", 9, ""));
    assert_eq!(status(&answer(&mut bench, within(&ok, "BYE", 3, ""))), 500);
    assert_eq!(bench.endpoint.session_count(), 1);
}

/// §8.2.2.3: a BYE that requires an extension that is not supported is 420.
#[test]
fn sip_cc_te_cr_i_002() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "").replace("Max-Forwards", "Require: foo\r\nMax-Forwards");
    let refusal = answer(&mut bench, bye);
    assert_eq!((status(&refusal), field(&refusal, "Unsupported")), (420, Some("foo")));
}

/// §8.2.2.3: what a CANCEL requires is passed over.
#[test]
fn sip_cc_te_cr_i_003() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let sent = bench.receive(cancel().replace("Max-Forwards", "Require: foo\r\nMax-Forwards"));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
}

/// §9.2: a CANCEL of nothing is 481.
#[test]
fn sip_cc_te_cr_i_004() {
    assert_eq!(status(&answer(&mut Bench::new(), cancel())), 481);
}

/// §15.1.2: a BYE of no dialog is 481.
#[test]
fn sip_cc_te_cr_i_005() {
    let bye = request("BYE", "", "").replace("To: <sip:130@192.0.2.1>", "To: <sip:130@192.0.2.1>;tag=none");
    assert_eq!(status(&answer(&mut Bench::new(), bye)), 481);
}

/// §17.2.2: the answer to a BYE is kept for its copies for 64·T1 (timer J).
#[test]
fn sip_cc_te_cr_ti_001() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "");
    let sent = bench.receive(&bye);
    bench.advance(ms(31_999));
    assert_eq!(bench.receive(&bye), sent);
    bench.advance(ms(1));
    assert_eq!(bench.endpoint.transaction_count(), 0);
}

/// §15: a BYE is answered with 200.
#[test]
fn sip_cc_te_cr_v_001() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    assert_eq!(status(&answer(&mut bench, within(&ok, "BYE", 2, ""))), 200);
}

/// §15, §12: a BYE ends the dialog that its Call-ID and tags name and no other.
#[test]
fn sip_cc_te_cr_v_002() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    for other in [
        within(&ok, "BYE", 2, "").replace("tag=peer", "tag=else"),
        within(&ok, "BYE", 2, "").replace("Call-ID: call-1", "Call-ID: call-2"),
    ] {
        assert_eq!(status(&answer(&mut bench, other.replace("BYE-2-d", "BYE-other"))), 481);
    }
    assert_eq!(bench.endpoint.session_count(), 1);
}

/// §15, §12: after a BYE nothing more is sent in the dialog.
#[test]
fn sip_cc_te_cr_v_003() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.receive(within(&ok, "BYE", 2, ""));
    assert!(bench.advance(Duration::from_secs(3_600)).is_empty());
}

/// §15.1.2: a BYE before the ACK is answered, and ends the 2xx's retransmission.
#[test]
fn sip_cc_te_cr_v_004() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    assert_eq!(status(&answer(&mut bench, within(&ok, "BYE", 2, ""))), 200);
    assert!(bench.advance(ms(60_000)).is_empty());
}

/// §15.1.2: a BYE in an early dialog is answered, and its INVITE with 487.
#[test]
fn sip_cc_te_cr_v_005() {
    let mut bench = Bench::new();
    let (_, ringing) = ringing(&mut bench, &invite(Some(SDP)));
    let sent = bench.receive(within(&ringing, "BYE", 2, ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
}

/// §8.2.6.2, §15.1.2: the answer to a BYE has the fields of the BYE.
#[test]
fn sip_cc_te_cr_v_006() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "");
    assert_copied(&bye, &answer(&mut bench, &bye));
}

/// §15.1.2: a BYE of a dialog that has ended is 481.
#[test]
fn sip_cc_te_cr_v_007() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.receive(within(&ok, "BYE", 2, ""));
    assert_eq!(status(&answer(&mut bench, within(&ok, "BYE", 3, ""))), 481);
}

/// §15.1.2: a BYE without a tag in To is 481.
#[test]
fn sip_cc_te_cr_v_008() {
    let mut bench = Bench::new();
    bench.established();
    assert_eq!(status(&answer(&mut bench, request("BYE", "", "").replace("CSeq: 1", "CSeq: 2"))), 481);
    assert_eq!(bench.endpoint.session_count(), 1);
}

/// §12.2.2: a CSeq that leaps is in order.
#[test]
fn sip_cc_te_cr_v_009() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    assert_eq!(status(&answer(&mut bench, within(&ok, "BYE", 2_000_000_000, ""))), 200);
}

/// §12.2.1.1: our BYE has the peer's From as To and our To as From, tags and all.
#[test]
fn sip_cc_te_cr_v_010() {
    let (bye, ok) = ended_by_us();
    assert_eq!((field(&bye, "To"), field(&bye, "From")), (field(&ok, "From"), field(&ok, "To")));
}

/// §12.2.1.1: and the Call-ID of the dialog.
#[test]
fn sip_cc_te_cr_v_011() {
    let (bye, ok) = ended_by_us();
    assert_eq!(field(&bye, "Call-ID"), field(&ok, "Call-ID"));
}

/// §12.2.1.1: and a CSeq of ours, with its method.
#[test]
fn sip_cc_te_cr_v_012() {
    let (bye, _) = ended_by_us();
    let message = Message::parse(bye.as_bytes()).expect("reads");
    let cseq = message.cseq().expect("CSeq");
    assert_eq!(cseq.method, crate::sip::message::Method::Bye);
    assert!(cseq.number < 1 << 31);
}

/// §12.2.1.1: its Request-URI is the peer's Contact where the first Route is loose.
#[test]
fn sip_cc_te_cr_v_013() {
    let (bye, _) = ended_by_us();
    assert_eq!(first_line(&bye), "BYE sip:caller@192.0.2.9:5060 SIP/2.0");
}

/// §12.2.1.1: its Route is the Record-Route of the INVITE, in its order.
#[test]
fn sip_cc_te_cr_v_014() {
    let (bye, _) = ended_by_us();
    let message = Message::parse(bye.as_bytes()).expect("reads");
    let routes: Vec<_> = message.routes().map(|route| route.expect("a route").raw.to_vec()).collect();
    assert_eq!(routes, [&b"<sip:p1.example;lr>"[..], b"<sip:p2.example;lr>"]);
}

/// §9.2: a CANCEL that finds its INVITE is answered with 200.
#[test]
fn sip_cc_te_cr_v_015() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let sent = bench.receive(cancel());
    assert_eq!(status(&sent[0]), 200);
    assert_eq!(field(&sent[0], "CSeq"), Some("1 CANCEL"));
}

/// §9.2: and its INVITE with 487.
#[test]
fn sip_cc_te_cr_v_016() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let sent = bench.receive(cancel());
    assert_eq!((status(&sent[1]), field(&sent[1], "CSeq")), (487, Some("1 INVITE")));
    assert_eq!(field(&sent[1], "To"), field(&sent[0], "To"), "the same tag in both");
}

/// §9.2: a CANCEL with another branch finds nothing: 481, and the call goes on.
#[test]
fn sip_cc_te_cr_v_017() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    assert_eq!(status(&answer(&mut bench, cancel().replace("z9hG4bK-INVITE-1", "z9hG4bK-other"))), 481);
    assert_eq!(bench.endpoint.session_count(), 1);
}

/// §9.2, §17.2.3: nor does one with another sent-by.
#[test]
fn sip_cc_te_cr_v_018() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    assert_eq!(
        status(&answer(&mut bench, cancel().replace("UDP 192.0.2.9:5060", "UDP 192.0.2.9:5061"))),
        481
    );
    assert_eq!(bench.endpoint.session_count(), 1);
}

/// §9.2, §17.2.3: without the cookie Request-URI, From tag, Call-ID, CSeq and Via must be the INVITE's.
#[test]
fn sip_cc_te_cr_v_019() {
    let mut bench = Bench::new();
    bench.receive(legacy(&invite(Some(SDP))));
    let cancel = legacy(&cancel());
    assert_eq!(status(&answer(&mut bench, cancel.replace("Call-ID: call-1", "Call-ID: call-2"))), 481);
    let sent = bench.receive(&cancel);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
}

/// §17.2.2, §17.2.3: a BYE that comes again gets the same answer and ends nothing twice.
#[test]
fn sip_cc_te_cr_v_020() {
    let mut bench = Bench::new();
    let (id, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "");
    let sent = bench.receive(&bye);
    assert_eq!(bench.receive(&bye), sent);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::ByeReceived }]);
}

/// §17.2.2, §17.2.3: so too without the cookie.
#[test]
fn sip_cc_te_cr_v_021() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = legacy(&within(&ok, "BYE", 2, ""));
    let sent = bench.receive(&bye);
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    assert_eq!(bench.receive(&bye), sent);
}
