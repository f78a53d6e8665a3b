//! Connections: streams that break, ways that fail, large requests over TCP, and where a connection is opened anew.

use super::*;
use crate::sip::endpoint::{MAX_UDP_REQUEST_OCTETS, next_hop_name, reopen_at};
use crate::sip::framing::{Broken, FramingError};

fn over(transport: Transport) -> Flow {
    Flow { transport, remote: "192.0.2.9:40123".parse().expect("an address"), ..flow() }
}

fn params(uri: &str) -> InviteParams {
    InviteParams {
        request_uri: uri.to_owned(),
        from: "sip:130@192.0.2.1".to_owned(),
        to: uri.to_owned(),
        sdp: Some(OUR_SDP.into()),
        ..InviteParams::default()
    }
}

#[test]
fn a_broken_stream_is_answered_by_what_breaks_it() {
    for (error, status, counter) in [
        (FramingError::BodyTooLarge, Some("413"), Counter::RefusedBodyTooLarge),
        (FramingError::HeaderTooLarge, Some("513"), Counter::RefusedMalformed),
        (FramingError::LineEnd, Some("400"), Counter::RefusedMalformed),
        (FramingError::NoContentLength, Some("400"), Counter::RefusedLength),
        (FramingError::ContentLength, Some("400"), Counter::RefusedLength),
        (FramingError::TooSlow, Some("408"), Counter::RefusedSlow),
        (FramingError::NotSip, None, Counter::ClosedBroken),
    ] {
        let mut bench = Bench::new();
        let header = invite(None).replace("UDP", "TCP");
        let broken = |header: &str| Broken { error, header: Bytes::copy_from_slice(header.as_bytes()) };
        bench.endpoint.handle_broken(bench.now, over(Transport::Tcp), &broken(&header));
        let sent = bench.sent();
        assert_eq!(sent.first().map(|answer| &first_line(answer)[8..11]), status, "{error:?}");
        assert_eq!(bench.count(counter), 1);
        // Neither an ACK nor half a header is answered.
        for header in [header.replace("INVITE", "ACK"), "INVITE sip:130@1".to_owned(), String::new()] {
            bench.endpoint.handle_broken(bench.now, over(Transport::Tcp), &broken(&header));
        }
        assert!(bench.sent().is_empty() && bench.events().is_empty());
        let closed = bench.count(Counter::ClosedBroken) + bench.count(Counter::ClosedSlow);
        assert_eq!(closed, 4);
    }
}

#[test]
fn requests_by_a_way_that_fails_end_as_with_503() {
    let mut bench = Bench::new();
    let way = over(Transport::Tcp);
    let id = bench.endpoint.invite(bench.now, way, &params("sip:130@192.0.2.9")).expect("called");
    let other = over(Transport::Tls);
    bench.endpoint.invite(bench.now, other, &params("sip:130@192.0.2.9")).expect("called");
    bench.sent();
    bench.endpoint.handle_transport_error(bench.now, way);
    let events = bench.events();
    assert!(
        matches!(&*events, [Event::Rejected { session, status: 503, .. }] if *session == id),
        "{events:?}"
    );
    bench.endpoint.handle_transport_error(bench.now, way);
    assert!(bench.events().is_empty(), "it has ended");
    bench.endpoint.handle_transport_error(bench.now, other);
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 503, .. }]));
    bench.drain();
}

#[test]
fn a_call_whose_bye_cannot_be_delivered_is_over() {
    let mut bench = Bench::new();
    let way = over(Transport::Tcp);
    let message = invite(Some(SDP)).replace("UDP", "TCP");
    bench.endpoint.handle_datagram(bench.now, way, message.as_bytes());
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(1);
    let ack = within(&ok, "ACK", 1, "").replace("UDP", "TCP");
    bench.endpoint.handle_datagram(bench.now, way, ack.as_bytes());
    bench.endpoint.handle_transport_error(bench.now, way);
    assert!(
        matches!(&*bench.events(), [Event::Confirmed { .. }]),
        "a connection that closes ends no call by itself"
    );
    bench.endpoint.bye(bench.now, event.session, None).expect("bye");
    assert_eq!(bench.endpoint.poll_transmit().expect("BYE").flow, way, "the connection is used again");
    bench.endpoint.handle_transport_error(bench.now, way);
    assert!(matches!(&*bench.events(), [Event::Ended { cause: EndCause::ByeTimeout, .. }]));
    bench.drain();
}

/// A bench that listens on TCP beside UDP, and an INVITE of ours with so long a header field.
fn large(octets: usize) -> (Bench, InviteParams) {
    let config = EndpointConfig { large_requests_by_tcp: true, ..EndpointConfig::new([1; 32]) };
    let extra_headers = vec![("X-Long".to_owned(), "x".repeat(octets))];
    (Bench::with(config), InviteParams { extra_headers, ..params("sip:130@192.0.2.9") })
}

#[test]
fn a_large_request_goes_over_tcp_and_back_to_udp_where_that_fails() {
    let (mut bench, params) = large(MAX_UDP_REQUEST_OCTETS);
    bench.endpoint.invite(bench.now, flow(), &params).expect("called");
    let over_tcp = bench.endpoint.poll_transmit().expect("INVITE");
    assert_eq!(over_tcp.flow, Flow { transport: Transport::Tcp, ..flow() });
    assert_sound(&over_tcp.bytes);
    let over_tcp_text = String::from_utf8_lossy(&over_tcp.bytes).into_owned();
    assert!(field(&over_tcp_text, "Via").is_some_and(|via| via.starts_with("SIP/2.0/TCP 192.0.2.1:5060;")));
    assert_eq!(bench.advance(ms(2_000)), [], "TCP retransmits by itself");
    bench.endpoint.handle_transport_error(bench.now, over_tcp.flow);
    let over_udp = bench.endpoint.poll_transmit().expect("INVITE again");
    assert_eq!(over_udp.flow, flow());
    assert_eq!(String::from_utf8_lossy(&over_udp.bytes).replace("SIP/2.0/UDP", "SIP/2.0/TCP"), over_tcp_text);
    assert!(bench.events().is_empty());
    assert_eq!(bench.advance(ms(600)).len(), 1, "and is retransmitted");
    bench.endpoint.handle_transport_error(bench.now, over_tcp.flow);
    let ringing = response(&String::from_utf8_lossy(&over_udp.bytes), 486, "x", "", "");
    assert_eq!(first_lines(&bench.receive(ringing)).len(), 1, "ACK");
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 486, .. }]));
    bench.drain();
}

#[test]
fn a_request_that_fits_or_for_which_nobody_listens_stays_with_udp() {
    let (mut bench, params) = large(10);
    bench.endpoint.invite(bench.now, flow(), &params).expect("called");
    let size = bench.endpoint.poll_transmit().expect("INVITE").bytes.len();
    // To the octet: as large as may be, and one more.
    for (octets, transport) in [
        (10 + MAX_UDP_REQUEST_OCTETS - size, Transport::Udp),
        (11 + MAX_UDP_REQUEST_OCTETS - size, Transport::Tcp),
    ] {
        let (mut bench, params) = large(octets);
        bench.endpoint.invite(bench.now, flow(), &params).expect("called");
        assert_eq!(bench.endpoint.poll_transmit().expect("INVITE").flow.transport, transport);
    }
    let mut bench = Bench::new();
    bench.endpoint.invite(bench.now, flow(), &large(5_000).1).expect("called");
    assert_eq!(bench.endpoint.poll_transmit().expect("INVITE").flow.transport, Transport::Udp);
}

#[test]
fn contacts_name_the_transport_and_sips_where_it_was_asked_for() {
    for (transport, uri, contact) in [
        (Transport::Tcp, "sip:130@192.0.2.1", "<sip:130@192.0.2.1:5060;transport=tcp>"),
        (Transport::Tls, "sip:130@192.0.2.1", "<sip:130@192.0.2.1:5060;transport=tls>"),
        (Transport::Tls, "sips:130@192.0.2.1", "<sips:130@192.0.2.1:5060>"),
        (Transport::Ws, "sip:130@192.0.2.1", "<sip:130@192.0.2.1:5060;transport=ws>"),
        (Transport::Wss, "sips:130@192.0.2.1", "<sips:130@192.0.2.1:5060;transport=ws>"),
        // From a peer that ends TLS.
        (Transport::Tcp, "sips:130@192.0.2.1", "<sips:130@192.0.2.1:5060;transport=tcp>"),
    ] {
        let mut bench = Bench::behind_tls();
        let message = invite(Some(SDP)).replace("UDP", transport.via_name());
        let message = message.replacen("sip:130@192.0.2.1", uri, 1);
        bench.endpoint.handle_datagram(bench.now, over(transport), message.as_bytes());
        let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
        bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("accepted");
        let ok = bench.sent().remove(1);
        assert_eq!(field(&ok, "Contact"), Some(contact), "{transport:?} {uri}");
        bench.endpoint.invite(bench.now, over(transport), &params(uri)).expect("called");
        assert_eq!(field(&bench.sent()[0], "Contact"), Some(contact), "{transport:?} {uri}");
    }
    // The Contact of the caller asks for it as well (§12.1.1).
    let mut bench = Bench::new();
    let message =
        invite(Some(SDP)).replace("UDP", "TLS").replace("<sip:caller@192.0.2.9:5060>", "<sips:c@192.0.2.9>");
    bench.endpoint.handle_datagram(bench.now, over(Transport::Tls), message.as_bytes());
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.ring(bench.now, event.session).expect("rings");
    assert_eq!(field(&bench.sent()[1], "Contact"), Some("<sips:130@192.0.2.1:5060>"));
}

#[test]
fn an_advertised_host_has_the_port_of_each_transport() {
    for (setting, transport, said) in [
        ("sbc.example", Transport::Udp, "sbc.example"),
        ("sbc.example:5070", Transport::Tcp, "sbc.example:5070"),
        ("sbc.example:5070", Transport::Tls, "sbc.example:5060"),
        ("[2001:db8::1]", Transport::Udp, "[2001:db8::1]"),
        ("[2001:db8::1]:5070", Transport::Udp, "[2001:db8::1]:5070"),
        ("sbc.example", Transport::Tls, "sbc.example:5060"),
    ] {
        let advertised = Some(HostPort::parse(setting));
        let mut bench = Bench::with(EndpointConfig { advertised, ..EndpointConfig::new([1; 32]) });
        bench.endpoint.invite(bench.now, over(transport), &params("sip:130@192.0.2.9")).expect("called");
        let ours = bench.sent().remove(0);
        let via = format!("SIP/2.0/{} {said};", transport.via_name());
        assert!(field(&ours, "Via").is_some_and(|value| value.starts_with(&via)), "{ours}");
        let busy = response(&ours, 486, "x", "", "");
        bench.endpoint.handle_datagram(bench.now, over(transport), busy.as_bytes());
        assert!(matches!(&*bench.events(), [Event::Rejected { status: 486, .. }]), "{setting} {transport:?}");
    }
}

#[test]
fn a_connection_is_opened_anew_where_its_peer_says_and_may() {
    let request = |target: &str, more: &str, tag: &str| {
        format!(
            "BYE {target} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK1\r\nFrom: <sip:130@c>;tag=2\r\n\
             To: <sip:a@b>{tag}\r\nCall-ID: x\r\nCSeq: 1 BYE\r\n{more}Content-Length: 0\r\n\r\n"
        )
    };
    let answer = |via: &str| {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:130@c>;tag=2\r\n\
             Call-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let at = |transport, message: &str| {
        reopen_at(over(transport), message.as_bytes()).map(|address| address.to_string())
    };
    let tcp = |message: &str| at(Transport::Tcp, message);
    let within = |target: &str, more: &str| tcp(&request(target, more, ";tag=1"));
    assert_eq!(within("sip:a@192.0.2.33:5099", "").as_deref(), Some("192.0.2.33:5099"));
    assert_eq!(within("sip:a@192.0.2.33", "").as_deref(), Some("192.0.2.33:5060"));
    assert_eq!(within("sip:a@pbx.example", "").as_deref(), Some("192.0.2.9:5060"));
    assert_eq!(within("sip:a@127.0.0.1:5099", "").as_deref(), Some("192.0.2.9:5099"), "not this machine");
    assert_eq!(
        within("sip:a@192.0.2.33", "Route: <sip:192.0.2.44:5070;lr>\r\n").as_deref(),
        Some("192.0.2.44:5070")
    );
    assert_eq!(within("tel:+355", ""), None);
    assert_eq!(
        tcp(&request("sip:a@192.0.2.33", "", "")).as_deref(),
        Some("192.0.2.9:40123"),
        "outside a dialog"
    );
    let tls = request("sip:a@192.0.2.33", "", ";tag=1");
    assert_eq!(at(Transport::Tls, &tls).as_deref(), Some("192.0.2.33:5061"));
    assert_eq!(at(Transport::Ws, &tls), None, "a browser");
    // Responses: to where the request came from, at sent-by's port, whatever host that names.
    assert_eq!(tcp(&answer("203.0.113.1:5099;branch=z9hG4bK1")).as_deref(), Some("192.0.2.9:5099"));
    assert_eq!(tcp(&answer("a.invalid;branch=z9hG4bK1")).as_deref(), Some("192.0.2.9:5060"));
    assert_eq!(tcp("nonsense"), None);
    let name = |message: &str| next_hop_name(message.as_bytes());
    assert_eq!(name(&request("sips:a@pbx.example", "", "")).as_deref(), Some("pbx.example"));
    let route = "Route: <sip:proxy.example;lr>\r\n";
    assert_eq!(name(&request("sips:a@pbx.example", route, "")).as_deref(), Some("proxy.example"));
    assert_eq!(name(&request("sips:a@192.0.2.33", "", "")), None);
    assert_eq!(name(&answer("pbx.example;branch=z9hG4bK1")), None, "nobody answers for a Via");
}

/// RFC 5630 §4, §5.1.2.
#[test]
fn a_sips_uri_is_480_without_tls_unless_a_peer_ends_tls() {
    for transport in Transport::ALL {
        for method in ["INVITE", "OPTIONS"] {
            let message = request(method, "", "").replace("UDP", transport.via_name());
            let secure = message.replacen("sip:130@", "SIPS:130@", 1);
            let mut bench = Bench::new();
            bench.endpoint.handle_datagram(bench.now, over(transport), secure.as_bytes());
            let sent = bench.sent();
            if transport.is_secure() {
                assert!(!sent[0].starts_with("SIP/2.0 4"), "{sent:?}");
                continue;
            }
            assert_eq!(first_lines(&sent), ["SIP/2.0 480 Temporarily Unavailable"], "{transport:?}");
            assert_eq!(field(&sent[0], "Warning"), Some("380 klikon \"SIPS Not Allowed\""));
            assert_eq!(bench.count(Counter::RefusedSipsWithoutTls), 1);
            assert!(bench.events().is_empty());
            assert_nothing_left(&bench.endpoint);
            let mut bench = Bench::behind_tls();
            bench.endpoint.handle_datagram(bench.now, over(transport), secure.as_bytes());
            assert!(!bench.sent()[0].starts_with("SIP/2.0 4"));
        }
    }
    // An ACK is never answered, and what was asked for in the Contact alone is the peer's own business.
    let mut bench = Bench::new();
    let ack = request("ACK", "", "").replacen("sip:130@", "sips:130@", 1);
    assert!(bench.receive(ack).is_empty());
    let contact = invite(Some(SDP)).replace("Contact: <sip:", "Contact: <sips:");
    assert_eq!(first_lines(&bench.receive(contact)), ["SIP/2.0 100 Trying"]);
    // In a dialog as outside one.
    let mut bench = Bench::new();
    let (_, ok) = bench.established();
    let bye = within(&ok, "BYE", 2, "");
    let secure = bye.replacen("sip:130@", "sips:130@", 1);
    assert_eq!(first_lines(&bench.receive(secure)), ["SIP/2.0 480 Temporarily Unavailable"]);
    assert_eq!(first_lines(&bench.receive(bye)), ["SIP/2.0 200 OK"]);
}
