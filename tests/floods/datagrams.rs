//! Floods of datagrams, and of dialogs.

use crate::field::{BUSY, Call, Field, MESSAGES, Neighbour, SDP, STRANGER, counted, field};
use klikon::sip::endpoint::{Endpoint, EndpointConfig, Event};
use klikon::sip::transport::{Flow, Transport};
use klikon::units::clock::Clock;

#[test]
fn calls_that_a_peer_never_acknowledges() {
    let mut field = Field::new();
    let mut busy = Neighbour::at(BUSY, &field.service.address);
    field.flood(&mut busy, |busy, number| busy.invite(&format!("flood-{number}")).into_bytes());
    let log = field.over();
    assert!(counted(&log, "refused_unacknowledged") > 0, "{log}");
    assert!(counted(&log, "sessions_accepted") <= 3 + MESSAGES / 10, "{log}");
}

#[test]
fn calls_that_a_stranger_never_acknowledges() {
    let mut field = Field::new();
    let mut stranger = Neighbour::at(STRANGER, &field.service.address);
    field.flood(&mut stranger, |stranger, number| stranger.invite(&format!("flood-{number}")).into_bytes());
    let log = field.over();
    assert_eq!(counted(&log, "sources_banned"), 1, "{log}");
    assert!(counted(&log, "dropped_banned") > MESSAGES / 2, "{log}");
}

#[test]
fn acks_that_belong_to_nothing() {
    let mut field = Field::new();
    let mut busy = Neighbour::at(BUSY, &field.service.address);
    let to = "<sip:131@127.0.0.1>;tag=0123456789abcdef0123456789abcdef";
    field.flood(&mut busy, |busy, number| {
        busy.request("ACK", &format!("flood-{number}"), 1, to, "").into_bytes()
    });
    assert!(counted(&field.over(), "dropped_stray_ack") > MESSAGES / 2);
}

#[test]
fn responses_that_nobody_asked_for() {
    let mut field = Field::new();
    let mut busy = Neighbour::at(BUSY, &field.service.address);
    field.flood(&mut busy, |Neighbour { server, here, .. }, number| {
        format!(
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {server};branch=z9hG4bK{number:032x}\r\nFrom: <sip:130@{server}>;tag=1\r\n\
             To: <sip:a@{here}>;tag={number}\r\nCall-ID: flood-{number}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:a@{here}>\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    });
    assert!(counted(&field.over(), "dropped_stray_response") > MESSAGES / 2);
}

#[test]
fn garbage_from_a_peer_and_from_a_stranger() {
    let mut field = Field::new();
    let neighbours = [BUSY, STRANGER].map(|address| Neighbour::at(address, &field.service.address));
    for mut neighbour in neighbours {
        let whole = neighbour.invite("garbage").into_bytes();
        field.flood(&mut neighbour, |_, number| {
            // Cut, overwritten and doubled in ways that the number decides.
            let mut octets = whole.clone();
            let place = number * 7919 % octets.len();
            octets[place] = (number % 256) as u8;
            match number % 4 {
                0 => octets.truncate(place),
                1 => octets.rotate_left(place),
                2 => octets.extend_from_slice(&whole),
                _ => octets = vec![(number % 251) as u8; number * 31 % 60_000],
            }
            octets
        });
    }
    let log = field.over();
    assert!(counted(&log, "peer_offences") > 0 && counted(&log, "sources_banned") == 1, "{log}");
}

#[test]
fn ten_thousand_dialogs_asked_for() {
    let mut flooded = Field::new();
    let mut busy = Neighbour::at(BUSY, &flooded.service.address);
    let mut standing: Vec<Call> = Vec::new();
    for batch in 0..MESSAGES / 100 {
        for number in 0..100 {
            let invite = busy.invite(&format!("dialog-{batch}-{number}"));
            busy.send(invite.as_bytes());
        }
        while let Some(answer) = busy.next() {
            if answer.starts_with("SIP/2.0 1") || !field(&answer, "CSeq").ends_with("INVITE") {
                continue;
            }
            let id = field(&answer, "Call-ID").to_owned();
            busy.acknowledge(&id, &answer);
            if answer.starts_with("SIP/2.0 200") && standing.iter().all(|call| call.id != id) {
                standing.push(Call { id, to: field(&answer, "To").to_owned(), cseq: 1 });
            }
        }
        flooded.is_served();
    }
    // All but those under way have the places there are; then they are given back.
    // The listener's place, too, if he has hung up meanwhile.
    assert!((298..=299).contains(&standing.len()), "{} stand", standing.len());
    for call in &mut standing {
        assert_eq!(busy.within(call, "BYE"), "SIP/2.0 200 OK");
    }
    let log = flooded.over();
    assert!(counted(&log, "refused_call_limit") > MESSAGES / 2, "{log}");
}

/// Ten thousand dialogs that stand at once, where no call layer sets a limit: what each takes, and that nothing is left.
#[test]
fn ten_thousand_dialogs_in_the_endpoint_take_little_and_leave_nothing() {
    const DIALOGS: usize = 10_000;
    const OCTETS_A_DIALOG_MAX: u64 = 12 * 1024;
    let flow = Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.9:5060".parse().unwrap(),
    };
    let message = |method: &str, number: usize, cseq: u32, tag: &str| {
        let sdp = if method == "INVITE" { SDP } else { "" };
        let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{method}{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@192.0.2.9>;tag=1\r\nTo: <sip:130@192.0.2.1>{tag}\r\nCall-ID: {number}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:a@192.0.2.9>\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    };
    let mut now = Clock::system().instant();
    let mut endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
    let mut tags = Vec::with_capacity(DIALOGS);
    let stand = allocation_counter::measure(|| {
        for number in 0..DIALOGS {
            endpoint.handle_datagram(now, flow, message("INVITE", number, 1, "").as_bytes());
            while let Some(event) = endpoint.poll_event() {
                let Event::Invite(invite) = event else { continue };
                endpoint.accept(now, invite.session, SDP.into()).unwrap();
            }
            let sent: Vec<_> = std::iter::from_fn(|| endpoint.poll_transmit()).collect();
            let ok = String::from_utf8_lossy(&sent.last().unwrap().bytes).into_owned();
            let tag = format!(";tag={}", field(&ok, "To").split(";tag=").nth(1).unwrap());
            endpoint.handle_datagram(now, flow, message("ACK", number, 1, &tag).as_bytes());
            while endpoint.poll_event().is_some() {}
            tags.push(tag);
        }
    });
    assert_eq!(endpoint.session_count(), DIALOGS);
    let a_dialog = stand.bytes_current.unsigned_abs() / DIALOGS as u64;
    eprintln!("{a_dialog} octets a dialog that stands, its tag in the test included");
    assert!(a_dialog <= OCTETS_A_DIALOG_MAX, "{a_dialog} octets a dialog");
    for (number, tag) in tags.iter().enumerate() {
        endpoint.handle_datagram(now, flow, message("BYE", number, 2, tag).as_bytes());
        while endpoint.poll_transmit().is_some() || endpoint.poll_event().is_some() {}
    }
    while let Some(at) = endpoint.poll_timeout() {
        now = now.max(at);
        endpoint.handle_timeout(now);
    }
    assert_eq!((endpoint.session_count(), endpoint.transaction_count()), (0, 0));
}
