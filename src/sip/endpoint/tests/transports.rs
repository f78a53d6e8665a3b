//! Other ways than IPv4 and UDP, other times than RFC 3261's, and peers of RFC 2543.

use super::*;

#[test]
fn ipv6_addresses_stand_in_brackets() {
    let mut bench = Bench::new();
    let flow = Flow {
        transport: Transport::Udp,
        local: "[2001:db8::1]:5060".parse().expect("an address"),
        remote: "[2001:db8::9]:5080".parse().expect("an address"),
    };
    let message = invite(Some(SDP)).replace("192.0.2.9:5060", "[2001:db8::9]:5080");
    bench.endpoint.handle_datagram(bench.now, flow, message.as_bytes());
    assert_eq!(bench.endpoint.poll_transmit().expect("100").flow, flow);
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.accept(bench.now, event.session, OUR_SDP.into()).expect("accepted");
    let ok = bench.sent().remove(0);
    assert_eq!(field(&ok, "Contact"), Some("<sip:130@[2001:db8::1]:5060>"));
    let params = InviteParams {
        request_uri: "sip:130@[2001:db8::9]".to_owned(),
        from: "sip:a@[2001:db8::1]".to_owned(),
        to: "sip:130@[2001:db8::9]".to_owned(),
        ..InviteParams::default()
    };
    bench.endpoint.invite(bench.now, flow, &params).expect("called");
    let ours = bench.sent().remove(0);
    let busy = response(&ours, 486, "x", "", "").replace("received=192.0.2.1", "received=2001:db8::1");
    bench.endpoint.handle_datagram(bench.now, flow, busy.as_bytes());
    assert!(matches!(&*bench.events(), [Event::Rejected { status: 486, .. }]));
}

#[test]
fn over_a_reliable_transport_only_the_200_is_retransmitted() {
    let mut bench = Bench::new();
    let flow =
        Flow { transport: Transport::Tcp, remote: "192.0.2.9:40123".parse().expect("an address"), ..flow() };
    let message = |number: u8| {
        let number = number.to_string();
        invite(Some(SDP)).replace("INVITE-1", &number).replace("call-1", &number).replace("UDP", "TCP")
    };
    for number in [1, 2] {
        bench.endpoint.handle_datagram(bench.now, flow, message(number).as_bytes());
    }
    let ids: Vec<_> = bench
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Invite(invite) => Some(invite.session),
            _ => None,
        })
        .collect();
    bench.endpoint.reject(bench.now, ids[0], &Rejection::new(404)).expect("rejected");
    bench.endpoint.accept(bench.now, ids[1], OUR_SDP.into()).expect("accepted");
    let sent: Vec<_> = std::iter::from_fn(|| bench.endpoint.poll_transmit()).collect();
    assert!(sent.iter().all(|transmit| transmit.flow == flow));
    assert!(String::from_utf8_lossy(&sent[3].bytes).contains("<sip:130@192.0.2.1:5060;transport=tcp>"));
    let later = bench.advance(ms(1_600));
    assert_eq!(later, [(500, "SIP/2.0 200 OK".to_owned()), (1_500, "SIP/2.0 200 OK".to_owned())]);
    bench.drain();
}

#[test]
fn the_timers_of_the_settings_hold() {
    let timers = crate::sip::timer::Timers { t1: ms(100), t2: ms(300), t4: ms(200) };
    let mut bench = Bench::with(EndpointConfig { timers, ..EndpointConfig::new([1; 32]) });
    bench.answered(&invite(Some(SDP)));
    let at_ms: Vec<_> = bench.advance(ms(1_300)).into_iter().map(|(at, _)| at).collect();
    assert_eq!(at_ms, [100, 300, 600, 900, 1_200]);
    bench.advance(ms(5_100));
    assert!(matches!(&*bench.events(), [Event::Ended { cause: EndCause::AckTimeout, .. }]));
    let absurd = crate::sip::timer::Timers { t1: Duration::ZERO, t2: Duration::ZERO, t4: Duration::ZERO };
    let mut bench = Bench::with(EndpointConfig { timers: absurd, ..EndpointConfig::new([1; 32]) });
    bench.answered(&invite(Some(SDP)));
    bench.drain();
}

/// The message as an RFC 2543 peer sends it: neither branch nor tag of its own.
fn old(message: &str) -> String {
    let lines: Vec<_> = message
        .split("\r\n")
        .map(|line| if line.starts_with("Via") { "Via: SIP/2.0/UDP 192.0.2.9:5060" } else { line })
        .collect();
    lines.join("\r\n").replace(";tag=peer", "")
}

#[test]
fn an_rfc_2543_caller_can_cancel() {
    let mut bench = Bench::new();
    bench.receive(old(&invite(Some(SDP))));
    let sent = bench.receive(old(&request("CANCEL", "", "")));
    assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated"]);
    let ack = old(&request("ACK", "", ""))
        .replace("To: <sip:130@192.0.2.1>", &format!("To: {}", field(&sent[1], "To").expect("To")));
    bench.receive(ack);
    let later = bench.advance(ms(4_000));
    assert!(later.is_empty(), "the ACK stopped the 487s: {later:?}");
    bench.drain();
    assert_eq!(bench.count(Counter::FailureAckTimeouts), 0);
}

#[test]
fn an_rfc_2543_ack_for_another_fork_does_not_stop_our_refusal() {
    let mut bench = Bench::new();
    bench.receive(old(&invite(Some(SDP))));
    let [Event::Invite(event)] = &*bench.events() else { panic!("no INVITE") };
    bench.endpoint.reject(bench.now, event.session, &Rejection::new(486)).expect("rejected");
    bench.sent();
    bench.receive(
        old(&request("ACK", "", "")).replace("To: <sip:130@192.0.2.1>", "To: <sip:130@192.0.2.1>;tag=other"),
    );
    assert_eq!(bench.count(Counter::DroppedStrayAck), 1);
    assert_eq!(bench.advance(ms(500)).len(), 1);
}

#[test]
fn what_is_shown_for_a_log_names_no_caller() {
    let mut bench = Bench::new();
    let extra = "P-Asserted-Identity: <tel:+355672123456>\r\nContent-Type: application/sdp\r\n";
    bench.receive(request("INVITE", extra, SDP).replace("sip:caller@", "sip:+355672123456@"));
    let events = bench.events();
    let params = InviteParams { from: "sip:+355672123456@a".to_owned(), ..InviteParams::default() };
    for shown in [format!("{events:?}"), format!("{:?}", bench.endpoint), format!("{params:?}")] {
        assert!(!shown.contains("672123456"), "{shown}");
    }
}

/// §18.2.2: over UDP maddr names where the answer goes: to another address of the same peer, and nowhere else.
#[test]
fn maddr_leads_to_another_address_of_the_same_peer_only() {
    for (maddr, reply_to) in [
        ("192.0.2.77", "192.0.2.77:5070"),
        ("192.0.2.9", "192.0.2.9:5061"),
        ("198.51.100.7", "192.0.2.9:5061"),
        ("224.0.0.1", "192.0.2.9:5061"),
        ("0.0.0.0", "192.0.2.9:5061"),
        ("host.example", "192.0.2.9:5061"),
        ("[2001:db8::1]", "192.0.2.9:5061"),
    ] {
        let message = request("OPTIONS", "", "")
            .replace("192.0.2.9:5060;branch", &format!("192.0.2.9:5070;maddr={maddr};rport;branch"));
        let from = Flow { remote: "192.0.2.9:5061".parse().expect("an address"), ..flow() };
        let sent_to = |mut bench: Bench, flow: Flow| {
            bench.endpoint.handle_datagram(bench.now, flow, message.as_bytes());
            bench.endpoint.poll_transmit().expect("an answer").flow.remote.to_string()
        };
        assert_eq!(sent_to(Bench::behind_tls(), from), reply_to, "{maddr}");
        // Nobody's peer, and a connection.
        assert_eq!(sent_to(Bench::new(), from), "192.0.2.9:5061", "{maddr}");
        let over_tcp = Flow { transport: Transport::Tcp, ..from };
        assert_eq!(sent_to(Bench::behind_tls(), over_tcp), "192.0.2.9:5061", "{maddr}");
    }
}
