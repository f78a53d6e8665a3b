//! Call establishment (`SIP_CC_TE_CE`) and session modification (`SIP_CC_TE_SM`).

use super::*;

/// What a response goes out at, from the first time on: T1, doubled up to T2, for less than 64·T1 (§17.2.1, §13.3.1.4).
const AGAIN_MS: [u128; 10] = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];

fn times(sent: &[(u128, String)], line: &str) -> Vec<u128> {
    sent.iter().filter(|(_, sent)| sent.starts_with(line)).map(|(at, _)| *at).collect()
}

/// §8, §8.2, §13.3.1.1: an INVITE is answered provisionally and then with success.
#[test]
fn sip_cc_te_ce_v_001() {
    let mut bench = Bench::new();
    let (id, _) = ringing(&mut bench, &invite(Some(SDP)));
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 200 OK"]);
}

/// §8.2.2.1: a Request-URI of a scheme that is not understood is 416.
#[test]
fn sip_cc_te_ce_v_002() {
    let mut bench = Bench::new();
    let other = invite(Some(SDP)).replacen("sip:130@192.0.2.1", "mailto:130@192.0.2.1", 1);
    assert_eq!(status(&answer(&mut bench, other)), 416);
}

/// §8.2.2.1: a Request-URI that names nobody here is 404, which the call layer says.
#[test]
fn sip_cc_te_ce_v_003() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)).replacen("sip:130@", "sip:999@", 1));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.called.as_deref(), Some("999"));
    bench.endpoint.reject(bench.now, event.session, &Rejection::new(404)).expect("refused");
    assert_eq!(first_lines(&bench.sent()), ["SIP/2.0 404 Not Found"]);
}

/// §8, §8.2.6.1: the Timestamp of a request stands in its 100.
#[test]
fn sip_cc_te_ce_v_004() {
    let mut bench = Bench::new();
    let trying = answer(&mut bench, request("INVITE", "Timestamp: 54.5\r\n", ""));
    assert_eq!((status(&trying), field(&trying, "Timestamp")), (100, Some("54.5")));
}

/// §13.3.1: an invitation that expires before its answer is 487.
#[test]
fn sip_cc_te_ce_v_005() {
    let mut bench = Bench::new();
    bench.receive(request("INVITE", "Expires: 20\r\n", ""));
    let id = told(&mut bench);
    assert!(bench.advance(ms(19_999)).is_empty());
    assert_eq!(bench.advance(ms(1)), [(20_000, "SIP/2.0 487 Request Terminated".to_owned())]);
    assert_eq!(bench.events(), [Event::Ended { session: id, cause: EndCause::SetupTimeout }]);
    bench.drain();
    // One that is answered in time stands, and one may not last longer than ours allow.
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&request("INVITE", "Expires: 20\r\n", ""));
    bench.receive(within(&ok, "ACK", 1, SDP));
    assert!(bench.advance(ms(60_000)).is_empty());
    let mut bench = Bench::new();
    bench.receive(request("INVITE", "Expires: 4000\r\n", ""));
    assert_eq!(bench.advance(ms(180_000))[0].1, "SIP/2.0 480 Temporarily Unavailable");
}

/// §13.2.1, §13.3.1: an INVITE without a session description gets an offer in its 2xx.
#[test]
fn sip_cc_te_ce_v_006() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(None));
    assert_eq!(field(&ok, "Content-Type"), Some("application/sdp"));
    assert!(ok.ends_with(OUR_SDP));
}

/// §13.2.1, §13.3.1: an INVITE with an offer gets the answer in its 2xx.
#[test]
fn sip_cc_te_ce_v_007() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    assert!(ok.ends_with(OUR_SDP));
    assert!(bench.receive(within(&ok, "ACK", 1, "")).is_empty());
    assert!(matches!(&*bench.events(), [Event::Confirmed { body: None, .. }]));
}

/// §13.2.1, §13.3.1: the answer to the offer of a 2xx is taken from the ACK.
#[test]
fn sip_cc_te_ce_v_008() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(None));
    bench.receive(within(&ok, "ACK", 1, SDP));
    let [Event::Confirmed { body: Some(body), .. }] = &*bench.events() else { panic!("no answer") };
    assert_eq!(&body[..], SDP.as_bytes());
}

/// §13.2.1, §13.3.1, §20.11: a session description is one for the session, with or without a Content-Disposition.
#[test]
fn sip_cc_te_ce_v_009() {
    for disposition in
        ["", "Content-Disposition: session\r\n", "Content-Disposition: session;handling=required\r\n"]
    {
        let mut bench = Bench::new();
        let extra = format!("Content-Type: application/sdp\r\n{disposition}");
        bench.receive(request("INVITE", &extra, SDP));
        let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
        assert_eq!(event.offer.as_deref(), Some(SDP.as_bytes()));
    }
}

/// §8.2.3, §20.11: a body that is not understood and not optional is 415.
#[test]
fn sip_cc_te_ce_v_010() {
    let mut bench = Bench::new();
    assert_eq!(status(&answer(&mut bench, request("INVITE", "Content-Type: text/plain\r\n", "x"))), 415);
    let optional = "Content-Type: text/plain\r\nContent-Disposition: render;handling=optional\r\n";
    assert_eq!(
        status(&answer(&mut bench, request("INVITE", optional, "x").replace("-1\r\n", "-2\r\n"))),
        100
    );
}

/// §8.2.3, §21.4.13: that 415 says which types are understood.
#[test]
fn sip_cc_te_ce_v_011() {
    let mut bench = Bench::new();
    let refusal = answer(&mut bench, request("INVITE", "Content-Type: text/plain\r\n", "x"));
    assert_eq!((status(&refusal), field(&refusal, "Accept")), (415, Some("application/sdp")));
}

/// §8.2.3, §21.4.13: a body in a coding that is not understood is 415, which says which codings are.
#[test]
fn sip_cc_te_ce_v_012() {
    let mut bench = Bench::new();
    let coded = request("INVITE", "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", SDP);
    let refusal = answer(&mut bench, coded);
    assert_eq!((status(&refusal), field(&refusal, "Accept-Encoding")), (415, Some("identity")));
}

/// §13.3.1.3, §21.4.26: an offer that cannot be accepted is 488, with a Warning that the call layer gives.
#[test]
fn sip_cc_te_ce_v_013() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let id = told(&mut bench);
    let warning = ("Warning".to_owned(), "305 klikon \"Incompatible media format\"".to_owned());
    let rejection = Rejection { headers: vec![warning.clone()], ..Rejection::new(488) };
    bench.endpoint.reject(bench.now, id, &rejection).expect("refused");
    let refusal = bench.sent().remove(0);
    assert_eq!((status(&refusal), field(&refusal, "Warning")), (488, Some(&*warning.1)));
}

/// §8.2.6.2: a response has the From, Call-ID, CSeq, Via and To of its request.
#[test]
fn sip_cc_te_ce_v_014() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP)).replacen(
        "Max-Forwards",
        "Via: SIP/2.0/TCP p1.example;branch=z9hG4bKa\r\nVia: SIP/2.0/UDP p2.example;branch=z9hG4bKb\r\nMax-Forwards",
        1,
    );
    let (id, ringing) = ringing(&mut bench, &message);
    assert_copied(&message, &ringing);
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    assert_copied(&message, &bench.sent()[0]);
}

/// §8.2.6.2, §12.2.2, §13.3.1: the tag of a To that has one comes back; of no dialog of ours it is 481.
#[test]
fn sip_cc_te_ce_v_015() {
    let mut bench = Bench::new();
    let tagged = invite(Some(SDP)).replace("To: <sip:130@192.0.2.1>", "To: <sip:130@192.0.2.1>;tag=other");
    let refusal = answer(&mut bench, &tagged);
    assert_eq!(status(&refusal), 481);
    assert_copied(&tagged, &refusal);
}

/// §8.2.6.2: the tag that is put into To is the same in every response to the request, but 100.
#[test]
fn sip_cc_te_ce_v_016() {
    let mut bench = Bench::new();
    let (id, ringing) = ringing(&mut bench, &invite(Some(SDP)));
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert_eq!(field(&ringing, "To"), field(&ok, "To"));
    assert!(field(&ok, "To").is_some_and(|to| to.contains(";tag=")));
}

/// §12.1.1: Record-Route comes back in the response that makes a dialog.
#[test]
fn sip_cc_te_ce_v_017() {
    let mut bench = Bench::new();
    let routes = "<sip:p1.example;lr;x=%2C>, <sip:p2.example;lr>";
    let (_, ok) = bench.answered(&request("INVITE", &format!("Record-Route: {routes}\r\n"), ""));
    assert_eq!(field(&ok, "Record-Route"), Some(routes));
}

/// §12.1.1: several fields of Record-Route keep their order and their parameters.
#[test]
fn sip_cc_te_ce_v_018() {
    let mut bench = Bench::new();
    let extra = "Record-Route: <sip:p1.example;lr>;a=b\r\nRecord-Route: <sip:p2.example;lr;c>\r\n";
    let (_, ok) = bench.answered(&request("INVITE", extra, ""));
    let message = Message::parse(ok.as_bytes()).expect("reads");
    let routes: Vec<_> = message.values(HeaderName::RecordRoute).collect();
    assert_eq!(routes, [&b"<sip:p1.example;lr>;a=b"[..], b"<sip:p2.example;lr;c>"]);
}

/// §12.1.1: the response that makes a dialog has a Contact of ours.
#[test]
fn sip_cc_te_ce_v_019() {
    let mut bench = Bench::new();
    let (id, ringing) = ringing(&mut bench, &invite(Some(SDP)));
    assert_eq!(field(&ringing, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
    bench.endpoint.accept(bench.now, id, OUR_SDP.into()).expect("accepted");
    assert_eq!(field(&bench.sent()[0], "Contact"), Some("<sip:130@192.0.2.1:5060>"));
}

/// §12.1.1: it is a SIPS URI where the Request-URI, the top Record-Route or else the peer's Contact is one.
#[test]
fn sip_cc_te_ce_v_020() {
    let plain = || request("INVITE", "", "");
    for secure in [
        plain().replacen("sip:130@", "sips:130@", 1),
        request("INVITE", "Record-Route: <sips:p1.example;lr>, <sip:p2.example;lr>\r\n", ""),
        plain().replace("Contact: <sip:", "Contact: <sips:"),
    ] {
        let (_, ok) = Bench::behind_tls().answered(&secure);
        assert_eq!(field(&ok, "Contact"), Some("<sips:130@192.0.2.1:5060>"), "{secure}");
    }
    let other = request("INVITE", "Record-Route: <sip:p1.example;lr>\r\n", "");
    let (_, ok) = Bench::new().answered(&other.replace("Contact: <sip:", "Contact: <sips:"));
    assert_eq!(field(&ok, "Contact"), Some("<sip:130@192.0.2.1:5060>"));
}

/// §13.3.1.4: the 2xx tells Allow and Supported.
#[test]
fn sip_cc_te_ce_v_021() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    assert!(field(&ok, "Allow").is_some_and(|allow| allow.contains("INVITE") && allow.contains("BYE")));
    assert!(field(&ok, "Supported").is_some());
}

/// §17.2.1, §17.2.3: in Proceeding an INVITE that comes again gets the last provisional response again.
#[test]
fn sip_cc_te_ce_v_022() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP));
    let trying = bench.receive(&message);
    assert_eq!(bench.receive(&message), trying);
}

/// §17.2.1, §17.2.3: so too without the cookie of RFC 3261 in the branch.
#[test]
fn sip_cc_te_ce_v_023() {
    let mut bench = Bench::new();
    let message = legacy(&invite(Some(SDP)));
    let trying = bench.receive(&message);
    assert_eq!(bench.receive(&message), trying);
    assert_eq!(bench.events().len(), 1);
}

/// §17.2.1, §17.2.3: the last provisional response is the 180.
#[test]
fn sip_cc_te_ce_v_024() {
    let mut bench = Bench::new();
    let message = invite(Some(SDP));
    let (_, ringing) = ringing(&mut bench, &message);
    assert_eq!(bench.receive(&message), [ringing]);
}

/// §17.2.1, §17.2.3: in Completed an INVITE that comes again gets the refusal again.
#[test]
fn sip_cc_te_ce_v_025() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    assert_eq!(bench.receive(invite(Some(SDP))), [refusal]);
}

/// §17.2.1, §17.2.3: so too without the cookie.
#[test]
fn sip_cc_te_ce_v_026() {
    let mut bench = Bench::new();
    let message = legacy(&invite(Some(SDP)));
    bench.receive(&message);
    let id = told(&mut bench);
    bench.endpoint.reject(bench.now, id, &Rejection::new(603)).expect("refused");
    let refusal = bench.sent();
    assert_eq!(bench.receive(&message), refusal);
}

/// §17.2.1, §17.2.3: as often as it comes.
#[test]
fn sip_cc_te_ce_v_027() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 404);
    for _ in 0..5 {
        assert_eq!(bench.receive(invite(Some(SDP))), std::slice::from_ref(&refusal));
    }
    assert!(bench.events().is_empty());
}

/// §8.2.2.2: the same INVITE by another way, while the first is in Proceeding, is 482.
#[test]
fn sip_cc_te_ce_v_028() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let merged = invite(Some(SDP)).replace("z9hG4bK-INVITE-1", "z9hG4bK-other");
    assert_eq!(status(&answer(&mut bench, merged)), 482);
}

/// §8.2.2.2: also where its Request-URI was changed on the way.
#[test]
fn sip_cc_te_ce_v_029() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let merged = invite(Some(SDP)).replace("z9hG4bK-INVITE-1", "z9hG4bK-other");
    assert_eq!(
        status(&answer(&mut bench, merged.replacen("sip:130@192.0.2.1", "sip:130@example.al", 1))),
        482
    );
}

/// §8.2.2.2: also once the first was refused.
#[test]
fn sip_cc_te_ce_v_030() {
    let mut bench = Bench::new();
    refused(&mut bench, 486);
    let merged = invite(Some(SDP)).replace("z9hG4bK-INVITE-1", "z9hG4bK-other");
    assert_eq!(status(&answer(&mut bench, merged)), 482);
}

/// §8.2.2.3: a required extension that is not supported is 420, which names it.
#[test]
fn sip_cc_te_ce_v_031() {
    let mut bench = Bench::new();
    let refusal = answer(&mut bench, request("INVITE", "Require: foo, timer, bar\r\n", ""));
    assert_eq!((status(&refusal), field(&refusal, "Unsupported")), (420, Some("foo, bar")));
}

/// §17.2.1, §17.2.3: the ACK to a refusal ends its retransmission.
#[test]
fn sip_cc_te_ce_v_032() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    assert!(bench.receive(ack_to(&refusal)).is_empty());
    assert!(bench.advance(ms(60_000)).is_empty());
}

/// §17.2.1, §17.2.3: so does that of a caller without the cookie.
#[test]
fn sip_cc_te_ce_v_033() {
    let mut bench = Bench::new();
    bench.receive(legacy(&invite(Some(SDP))));
    let id = told(&mut bench);
    bench.endpoint.reject(bench.now, id, &Rejection::new(486)).expect("refused");
    let refusal = bench.sent().remove(0);
    let ack = legacy(&ack_to(&refusal)).replacen("sip:130@192.0.2.1:5060", "sip:130@192.0.2.1", 1);
    assert!(bench.receive(ack).is_empty());
    assert!(bench.advance(ms(60_000)).is_empty());
}

/// §8.2.2.3: an ACK that requires an extension is taken all the same.
#[test]
fn sip_cc_te_ce_i_001() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    assert!(
        bench.receive(ack_to(&refusal).replace("Max-Forwards", "Require: foo\r\nMax-Forwards")).is_empty()
    );
    assert!(bench.advance(ms(60_000)).is_empty());
}

/// §8.2.2.3: so is the ACK to a 2xx.
#[test]
fn sip_cc_te_ce_i_002() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    let ack = within(&ok, "ACK", 1, "").replace("Max-Forwards", "Require: foo\r\nMax-Forwards");
    assert!(bench.receive(ack).is_empty());
    assert!(matches!(&*bench.events(), [Event::Confirmed { .. }]));
    assert!(bench.advance(ms(60_000)).is_empty());
}

/// §17.2.1: a refusal goes out again T1 after it (timer G).
#[test]
fn sip_cc_te_ce_ti_001() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    assert_eq!(bench.advance(ms(500)), [(500, first_line(&refusal).to_owned())]);
}

/// §17.2.1: the wait doubles.
#[test]
fn sip_cc_te_ce_ti_002() {
    let mut bench = Bench::new();
    refused(&mut bench, 486);
    assert_eq!(times(&bench.advance(ms(4_000)), "SIP/2.0 486"), AGAIN_MS[..3]);
}

/// §17.2.1: up to T2.
#[test]
fn sip_cc_te_ce_ti_003() {
    let mut bench = Bench::new();
    refused(&mut bench, 486);
    assert_eq!(times(&bench.advance(ms(32_000)), "SIP/2.0 486"), AGAIN_MS);
}

/// §17.2.1: it ends after 64·T1 (timer H).
#[test]
fn sip_cc_te_ce_ti_004() {
    let mut bench = Bench::new();
    refused(&mut bench, 486);
    bench.advance(ms(32_000));
    assert!(bench.advance(ms(120_000)).is_empty());
    assert_eq!(bench.count(Counter::FailureAckTimeouts), 1);
}

/// §17.2.1: after timer H nothing is left of the transaction.
#[test]
fn sip_cc_te_ce_ti_005() {
    let mut bench = Bench::new();
    refused(&mut bench, 486);
    bench.advance(ms(31_999));
    assert_eq!(bench.endpoint.transaction_count(), 1);
    bench.advance(ms(1));
    assert_eq!(bench.endpoint.transaction_count(), 0);
}

/// §17.2.1: in Confirmed further ACKs are absorbed.
#[test]
fn sip_cc_te_ce_ti_006() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    for _ in 0..3 {
        assert!(bench.receive(ack_to(&refusal)).is_empty());
    }
    assert_eq!(bench.count(Counter::DroppedStrayAck), 0);
}

/// §17.2.1: Confirmed lasts T4 (timer I).
#[test]
fn sip_cc_te_ce_ti_007() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    bench.receive(ack_to(&refusal));
    bench.advance(ms(4_999));
    assert_eq!(bench.endpoint.transaction_count(), 1);
    bench.advance(ms(1));
    assert_eq!(bench.endpoint.transaction_count(), 0);
}

/// §17.2.1: the INVITE that comes again in Confirmed is absorbed.
#[test]
fn sip_cc_te_ce_ti_008() {
    let mut bench = Bench::new();
    let refusal = refused(&mut bench, 486);
    bench.receive(ack_to(&refusal));
    assert!(bench.receive(invite(Some(SDP))).is_empty());
    assert!(bench.events().is_empty());
}

/// §13.3.1.4: a 2xx goes out again T1 after it.
#[test]
fn sip_cc_te_ce_ti_009() {
    let mut bench = Bench::new();
    bench.answered(&invite(Some(SDP)));
    assert_eq!(times(&bench.advance(ms(1_000)), "SIP/2.0 200"), [500]);
}

/// §13.3.1.4: the wait doubles up to T2.
#[test]
fn sip_cc_te_ce_ti_010() {
    let mut bench = Bench::new();
    bench.answered(&invite(Some(SDP)));
    assert_eq!(times(&bench.advance(ms(31_999)), "SIP/2.0 200"), AGAIN_MS);
}

/// §13.3.1.4: the ACK ends it.
#[test]
fn sip_cc_te_ce_ti_011() {
    let mut bench = Bench::new();
    let (_, ok) = bench.answered(&invite(Some(SDP)));
    bench.advance(ms(2_000));
    bench.receive(within(&ok, "ACK", 1, ""));
    assert!(bench.advance(ms(120_000)).is_empty());
}

/// §13.3.1.4: without an ACK the session is ended with BYE after 64·T1.
#[test]
fn sip_cc_te_ce_ti_012() {
    let mut bench = Bench::new();
    bench.answered(&invite(Some(SDP)));
    let sent = bench.advance(ms(32_000));
    assert_eq!(times(&sent, "BYE "), [32_000]);
    assert_eq!(times(&sent, "SIP/2.0 200"), AGAIN_MS);
}

/// §14.2: an INVITE within the dialog, before the final answer to the first, is 500 with a Retry-After of 0–10 s.
#[test]
fn sip_cc_te_sm_i_001() {
    let mut bench = Bench::new();
    let (_, ringing) = ringing(&mut bench, &invite(Some(SDP)));
    let refusal = answer(&mut bench, within(&ringing, "INVITE", 2, SDP));
    assert_eq!(status(&refusal), 500);
    let retry_after: u32 = field(&refusal, "Retry-After").expect("there").parse().expect("a number");
    assert!(retry_after <= 10);
}

/// §14: a re-INVITE with an offer is answered with one of its own CSeq and our answer.
#[test]
fn sip_cc_te_sm_v_001() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let changed = SDP.replace("4000", "4002").replace("o=- 1 1", "o=- 1 2");
    bench.receive(within(&ok, "INVITE", 2, &changed));
    let [Event::SessionChange { session, change, .. }] = bench.events()[..] else { panic!("no change") };
    bench.endpoint.answer_change(bench.now, session, change, OUR_SDP.into()).expect("answered");
    let second = bench.sent().remove(0);
    assert_eq!((status(&second), field(&second, "CSeq")), (200, Some("2 INVITE")));
    assert!(second.ends_with(OUR_SDP));
    assert_eq!(field(&second, "To"), field(&ok, "To"));
}

/// §14: a re-INVITE without one gets an offer of ours.
#[test]
fn sip_cc_te_sm_v_002() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let sent = bench.receive(within(&ok, "INVITE", 2, ""));
    let second = match &*bench.events() {
        [Event::SessionChange { session, change, offer: None }] => {
            bench.endpoint.answer_change(bench.now, *session, *change, OUR_SDP.into()).expect("offered");
            bench.sent().remove(0)
        }
        [] => sent[0].clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((status(&second), field(&second, "CSeq")), (200, Some("2 INVITE")));
    assert!(second.ends_with(OUR_SDP));
}

/// §14.2: a 2xx to a re-INVITE that nobody acknowledges ends the call with BYE after 64·T1.
#[test]
fn sip_cc_te_sm_v_003() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.receive(within(&ok, "INVITE", 2, SDP));
    let sent = bench.advance(ms(32_000));
    assert_eq!(times(&sent, "BYE "), [32_000]);
}
