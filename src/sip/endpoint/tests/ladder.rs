//! The ladder of refusals.

use super::super::capabilities::{ALLOW, SUPPORTED};
use super::*;

/// What one message is answered with, when nothing is known of it before.
fn answer(message: impl AsRef<[u8]>) -> (Bench, Vec<String>) {
    let mut bench = Bench::new();
    let sent = bench.receive(message);
    (bench, sent)
}

/// The only answer, which must be stateless: nothing is left of it.
fn refusal(message: impl AsRef<[u8]>, counter: Counter) -> String {
    let (mut bench, mut sent) = answer(message);
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(bench.count(counter), 1, "{sent:?}");
    assert_eq!((bench.endpoint.session_count(), bench.endpoint.transaction_count()), (0, 0));
    assert!(bench.events().is_empty());
    sent.remove(0)
}

#[test]
fn malformed_is_400_and_says_why() {
    let text = refusal(invite(Some(SDP)).replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), Counter::RefusedMalformed);
    assert_eq!(first_line(&text), "SIP/2.0 400 Bad Request: CSeq method does not match");
    let truncated = invite(Some(SDP));
    let text = refusal(&truncated[..truncated.len() - 5], Counter::RefusedMalformed);
    assert_eq!(first_line(&text), "SIP/2.0 400 Bad Request: body shorter than Content-Length");
    let text = refusal(invite(Some(SDP)).replace("SIP/2.0\r\n", "SIP/7.0\r\n"), Counter::RefusedVersion);
    assert!(first_line(&text).starts_with("SIP/2.0 505 "));
    let fields = "X: y\r\n".repeat(crate::sip::message::MAX_HEADER_FIELDS);
    let text = refusal(request("INVITE", &fields, ""), Counter::RefusedMalformed);
    assert_eq!(first_line(&text), "SIP/2.0 513 Message Too Large");
}

#[test]
fn methods_are_405_or_501_with_allow() {
    for method in ["REGISTER", "SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE", "PUBLISH"] {
        let text = refusal(request(method, "", ""), Counter::RefusedMethodNotAllowed);
        assert_eq!(first_line(&text), "SIP/2.0 405 Method Not Allowed");
        assert_eq!(field(&text, "Allow"), Some(ALLOW));
    }
    let text = refusal(request("invite", "", ""), Counter::RefusedMethodUnknown);
    assert_eq!(first_line(&text), "SIP/2.0 501 Not Implemented");
}

#[test]
fn methods_come_before_uri_schemes_and_those_before_extensions() {
    let strange = |method| {
        request(method, "Require: x\r\n", "").replacen(" sip:130@192.0.2.1 ", " http://192.0.2.1 ", 1)
    };
    refusal(strange("PUBLISH"), Counter::RefusedMethodNotAllowed);
    let text = refusal(strange("INVITE"), Counter::RefusedUriScheme);
    assert_eq!(first_line(&text), "SIP/2.0 416 Unsupported URI Scheme");
}

#[test]
fn a_tel_uri_is_taken() {
    let (mut bench, sent) =
        answer(invite(Some(SDP)).replacen("sip:130@192.0.2.1", "tel:130;phone-context=al", 1));
    assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.called.as_deref(), Some("130"));
}

#[test]
fn required_extensions_are_420_with_unsupported() {
    let text =
        refusal(request("INVITE", "Require: 100rel, x\r\nRequire: y\r\n", ""), Counter::RefusedExtension);
    assert_eq!(first_line(&text), "SIP/2.0 420 Bad Extension");
    assert_eq!(field(&text, "Unsupported"), Some("x, y"));
    // What is required of proxies is none of ours.
    let (_, sent) = answer(request("INVITE", "Proxy-Require: x\r\n", ""));
    assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
}

/// A peer that supports more than it asks for is promised nothing that is not set.
#[test]
fn what_a_peer_merely_supports_changes_nothing() {
    let mut bench = Bench::new();
    let extra = "Supported: timer, 100rel, path, outbound\r\nContent-Type: application/sdp\r\n";
    let (_, ok) = bench.answered(&request("INVITE", extra, SDP));
    for name in ["Require", "Session-Expires", "RSeq"] {
        assert_eq!(field(&ok, name), None, "{name}");
    }
    assert!(bench.receive(within(&ok, "ACK", 1, "")).is_empty());
    assert!(bench.advance(ms(3_600_000)).is_empty());
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 2, ""))), ["SIP/2.0 200 OK"]);
}

#[test]
fn a_merged_request_is_482() {
    let mut bench = Bench::new();
    bench.receive(invite(Some(SDP)));
    let sent = bench.receive(invite(Some(SDP)).replace("z9hG4bK-INVITE-1", "z9hG4bK-INVITE-2"));
    assert_eq!(first_lines(&sent), ["SIP/2.0 482 Loop Detected"]);
    assert_eq!(bench.events().len(), 1);
    // A new attempt of the same call with the next CSeq is none.
    let again = invite(Some(SDP)).replace("z9hG4bK-INVITE-1", "z9hG4bK-INVITE-3");
    assert_eq!(first_lines(&bench.receive(again.replace("CSeq: 1 ", "CSeq: 2 "))), ["SIP/2.0 100 Trying"]);
    assert_eq!(bench.count(Counter::RefusedMerged), 1);
}

#[test]
fn requests_in_no_dialog_are_481() {
    for method in ["INVITE", "BYE", "OPTIONS"] {
        let stray =
            request(method, "", "").replace("To: <sip:130@192.0.2.1>", "To: <sip:130@192.0.2.1>;tag=gone");
        let text = refusal(&stray, Counter::RefusedNoCall);
        assert_eq!(first_line(&text), "SIP/2.0 481 Call/Transaction Does Not Exist");
        assert_eq!(field(&text, "To"), Some("<sip:130@192.0.2.1>;tag=gone"));
    }
    refusal(request("BYE", "", ""), Counter::RefusedNoCall);
    refusal(request("CANCEL", "", ""), Counter::RefusedNoCall);
}

#[test]
fn a_request_of_another_dialog_is_481() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "");
    for other in [bye.replace("tag=peer", "tag=other"), bye.replace("Call-ID: call-1", "Call-ID: call-2")] {
        let sent = bench.receive(other);
        assert_eq!(first_lines(&sent), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
    }
    assert_eq!(bench.endpoint.session_count(), 1);
}

#[test]
fn bodies_are_415_with_accept_unless_optional() {
    for extra in [
        "Content-Type: application/unknown\r\n",
        "",
        "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/sdp\r\nContent-Disposition: render\r\n",
        "Content-Type: text/plain\r\nContent-Disposition: icon;handling=required\r\n",
    ] {
        let text = refusal(request("INVITE", extra, SDP), Counter::RefusedMediaType);
        assert_eq!(first_line(&text), "SIP/2.0 415 Unsupported Media Type");
        assert_eq!(field(&text, "Accept"), Some("application/sdp"));
    }
    let optional = "Content-Type: text/plain\r\nContent-Disposition: icon;handling=optional\r\n";
    let (mut bench, sent) = answer(request("INVITE", optional, "hello"));
    assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    assert_eq!(event.offer, None);
    let coded = "c: APPLICATION/sdp;x=y\r\ne: Identity\r\nContent-Disposition: Session\r\n";
    assert_eq!(first_lines(&answer(request("INVITE", coded, SDP)).1), ["SIP/2.0 100 Trying"]);
}

#[test]
fn a_body_over_the_limit_is_413() {
    let long = "a=x\r\n".repeat(4_000);
    let text =
        refusal(request("INVITE", "Content-Type: application/sdp\r\n", &long), Counter::RefusedBodyTooLarge);
    assert_eq!(first_line(&text), "SIP/2.0 413 Request Entity Too Large");
}

#[test]
fn a_peer_that_takes_no_sdp_is_406() {
    for accept in ["text/plain", ""] {
        let extra = format!("Accept: {accept}\r\n");
        let text = refusal(request("INVITE", &extra, ""), Counter::RefusedNotAcceptable);
        assert_eq!(first_line(&text), "SIP/2.0 406 Not Acceptable");
    }
    for accept in ["application/sdp", "text/plain, application/*", "*/*;q=0.1"] {
        let extra = format!("Accept: {accept}\r\n");
        assert_eq!(first_lines(&answer(request("INVITE", &extra, "")).1), ["SIP/2.0 100 Trying"]);
    }
}

#[test]
fn options_tells_our_capabilities() {
    let (mut bench, sent) = answer(request("OPTIONS", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
    for (name, value) in [
        ("Allow", ALLOW),
        ("Accept", "application/sdp"),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "sq, en"),
        ("Supported", SUPPORTED),
    ] {
        assert_eq!(field(&sent[0], name), Some(value), "{name}");
    }
    // Its retransmission gets the same, tag included.
    let again = bench.receive(request("OPTIONS", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(again, sent);
    assert_eq!(bench.endpoint.transaction_count(), 0);
}

#[test]
fn a_refusing_service_answers_503_and_keeps_its_calls() {
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    bench.endpoint.set_service_state(ServiceState::Refusing { retry_after_s: 17 });
    let fresh = invite(Some(SDP)).replace("call-1", "call-2").replace("INVITE-1", "INVITE-2");
    for message in [fresh.clone(), request("OPTIONS", "", "")] {
        let sent = bench.receive(message);
        assert_eq!(first_lines(&sent), ["SIP/2.0 503 Service Unavailable"]);
        assert_eq!(field(&sent[0], "Retry-After"), Some("17"));
    }
    assert_eq!(first_lines(&bench.receive(within(&ok, "OPTIONS", 2, ""))), ["SIP/2.0 200 OK"]);
    assert_eq!(first_lines(&bench.receive(within(&ok, "BYE", 3, ""))), ["SIP/2.0 200 OK"]);
    bench.endpoint.set_service_state(ServiceState::Accepting);
    assert_eq!(first_lines(&bench.receive(fresh)), ["SIP/2.0 100 Trying"]);
    assert_eq!(bench.count(Counter::RefusedByServiceState), 2);
}

#[test]
fn a_full_service_refuses_options_only_and_one_that_is_unable_calls_too() {
    let mut bench = Bench::new();
    let fresh = invite(Some(SDP));
    bench.endpoint.set_service_state(ServiceState::Unable { retry_after_s: 5 });
    for message in [fresh.clone(), request("OPTIONS", "", "")] {
        let sent = bench.receive(message);
        assert_eq!(first_lines(&sent), ["SIP/2.0 503 Service Unavailable"]);
        assert_eq!(field(&sent[0], "Retry-After"), Some("5"));
    }
    bench.endpoint.set_service_state(ServiceState::Full { retry_after_s: 6 });
    let sent = bench.receive(request("OPTIONS", "", ""));
    assert_eq!(field(&sent[0], "Retry-After"), Some("6"));
    // Whether there is room after all is for the call layer to say.
    assert_eq!(first_lines(&bench.receive(fresh)), ["SIP/2.0 100 Trying"]);
    assert_eq!((bench.count(Counter::RefusedUnable), bench.count(Counter::RefusedFull)), (2, 1));
}

#[test]
fn an_ack_is_never_answered() {
    let mut bench = Bench::new();
    for ack in [
        request("ACK", "", ""),
        request("ACK", "Require: x\r\n", "")
            .replace("To: <sip:130@192.0.2.1>", "To: <sip:130@192.0.2.1>;tag=gone"),
        request("ACK", "", "").replace("CSeq: 1 ACK", "CSeq: 1 INVITE"),
        request("ACK", "", "").replace("SIP/2.0\r\n", "SIP/3.0\r\n"),
        request("ACK", "", "").replace("Call-ID: call-1\r\n", ""),
    ] {
        assert!(bench.receive(ack).is_empty());
    }
    assert_eq!(bench.count(Counter::DroppedStrayAck), 2);
    assert_eq!(bench.count(Counter::DroppedMalformedAck), 3);
}

#[test]
fn a_stateless_refusal_is_the_same_for_each_retransmission_and_another_for_another_request() {
    let mut bench = Bench::new();
    let message = request("INVITE", "Require: x\r\n", "");
    let first = bench.receive(&message);
    assert_eq!(bench.receive(&message), first);
    let other = bench.receive(message.replace("INVITE-1", "INVITE-2"));
    assert_ne!(field(&other[0], "To"), field(&first[0], "To"));
}
