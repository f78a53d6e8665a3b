//! What one peer does to a stream closes his connection, with an answer where one can be made, and no other.

use super::service::*;
use klikon::net::StreamSettings;
use klikon::sip::{Counter, FramingLimits, Transport};
use std::time::Duration;

const TCP: Transport = Transport::Tcp;

/// Limits that a test can reach.
fn tight() -> StreamSettings {
    StreamSettings {
        framing: FramingLimits { max_body_octets: 2_000, message_time: Duration::from_millis(300) },
        ..StreamSettings::default()
    }
}

#[tokio::test]
async fn messages_and_pings_pass_however_they_are_cut() {
    let service = Service::tcp(StreamSettings::default());
    let mut peer = service.connect().await;
    peer.send(b"\r\n\r\n").await;
    assert_eq!(peer.octets(2).await, b"\r\n", "a ping is answered with a pong");
    let two = options(TCP, 1) + &options(TCP, 2);
    let (first, rest) = two.split_at(150);
    peer.send(first).await;
    peer.send(rest).await;
    assert_eq!(peer.status().await.as_deref(), Some("200"));
    assert_eq!(peer.status().await.as_deref(), Some("200"));
    for octet in options(TCP, 3).bytes() {
        peer.send([octet]).await;
    }
    let answer = peer.message().await.unwrap();
    assert!(answer.starts_with("SIP/2.0 200 "));
    let local = peer.stream.local_addr().unwrap();
    assert!(field(&answer, "Via").contains(&format!("received={}", local.ip())), "{answer}");
    assert_eq!(service.count(Counter::KeepAlives).await, 1);
    assert_eq!(service.count(Counter::ConnectionsAccepted).await, 1);
}

#[tokio::test]
async fn a_length_out_of_reason_is_refused_at_once() {
    let service = Service::tcp(tight());
    let mut other = service.connect().await;
    other.is_served(TCP, 1).await;
    for (octets, status) in
        [("100000000000", "413"), ("2147483648", "413"), ("2001", "413"), ("-1", "400"), ("x", "400")]
    {
        let mut peer = service.connect().await;
        let head = options(TCP, 2).replace("Content-Length: 0", &format!("Content-Length: {octets}"));
        peer.send(head).await;
        assert_eq!(peer.status().await.as_deref(), Some(status), "{octets}");
        assert_eq!(peer.message().await, None, "and closed");
    }
    let mut peer = service.connect().await;
    peer.send(options(TCP, 3).replace("Content-Length: 0\r\n", "")).await;
    let answer = peer.message().await.unwrap();
    assert!(answer.starts_with("SIP/2.0 400 Bad Request: no Content-Length\r\n"), "{answer}");
    assert_eq!(peer.message().await, None);
    other.is_served(TCP, 4).await;
    assert_eq!(service.count(Counter::ClosedBroken).await, 6);
    assert_eq!(service.count(Counter::RefusedBodyTooLarge).await, 3);
    assert_eq!(service.count(Counter::RefusedLength).await, 3);
}

#[tokio::test]
async fn a_header_that_never_ends_and_what_is_no_sip_are_cut_off() {
    let service = Service::tcp(StreamSettings::default());
    let mut other = service.connect().await;
    other.is_served(TCP, 1).await;
    let mut peer = service.connect().await;
    peer.send("OPTIONS sip:130@127.0.0.1 SIP/2.0\r\n".to_owned() + &"X: yyyyyyyyyyyy\r\n".repeat(1_200))
        .await;
    assert_eq!(peer.message().await, None);
    let mut browser = service.connect().await;
    browser.send("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await;
    assert_eq!(browser.message().await, None);
    other.is_served(TCP, 2).await;
    assert_eq!(service.count(Counter::ClosedBroken).await, 2);
}

#[tokio::test]
async fn an_octet_now_and_then_is_cut_off_at_its_deadline() {
    let service = Service::tcp(tight());
    let (mut slow, mut other) = (service.connect().await, service.connect().await);
    // An octet whenever the other's request was answered: the message is never whole, the connection never at rest.
    let mut octets = options(TCP, 1).into_bytes().into_iter().cycle();
    let mut branch = 1;
    let until_cut_off = async {
        while service.count(Counter::ClosedSlow).await == 0 {
            branch += 1;
            other.is_served(TCP, branch).await;
            let octet = &[octets.next().map_or(b'x', |octet| octet.max(b'!'))];
            let write = tokio::io::AsyncWriteExt::write_all(&mut slow.stream, octet);
            // The service may have closed already.
            let _ = in_time(write).await;
            tokio::task::yield_now().await;
        }
    };
    in_time(until_cut_off).await;
    assert_eq!(slow.message().await, None);
    other.is_served(TCP, 1_000_000).await;
    // A body that does not come: the header says whom to tell.
    let mut waiting = service.connect().await;
    waiting.send(options(TCP, 9).replace("Content-Length: 0", "Content-Length: 10")).await;
    assert_eq!(waiting.status().await.as_deref(), Some("408"));
    assert_eq!(waiting.message().await, None);
    // Who connects and says nothing, or pings and then rests.
    let mut silent = service.connect().await;
    assert_eq!(silent.message().await, None);
    assert_eq!(service.count(Counter::ClosedSlow).await, 3);
}

#[tokio::test]
async fn a_connection_that_brings_nothing_is_closed_in_the_end() {
    let service =
        Service::tcp(StreamSettings { idle: Duration::from_millis(200), ..StreamSettings::default() });
    let mut peer = service.connect().await;
    peer.is_served(TCP, 1).await;
    assert_eq!(peer.message().await, None);
    assert_eq!(service.count(Counter::ClosedIdle).await, 1);
}

#[tokio::test]
async fn half_open_connections_take_their_address_no_more_than_its_share() {
    let service = Service::tcp(StreamSettings { max_connections_of_address: 8, ..StreamSettings::default() });
    let mut known = service.connect().await;
    known.is_served(TCP, 1).await;
    let mut half_open = Vec::new();
    for _ in 0..7 {
        let mut peer = service.connect().await;
        peer.send("OPTIONS sip:130@").await;
        half_open.push(peer);
    }
    let mut refused = service.connect().await;
    assert_eq!(refused.message().await, None, "closed at once");
    assert_eq!(service.count(Counter::DroppedConnections).await, 1);
    known.is_served(TCP, 2).await;
    // Another address has its own share.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = in_time(socket.connect(service.address(TCP))).await.unwrap();
    Peer::new(stream).is_served(TCP, 3).await;
    // Places come back.
    drop(half_open);
    let mut branch = 10;
    loop {
        let mut peer = service.connect().await;
        branch += 1;
        let write =
            tokio::io::AsyncWriteExt::write_all(&mut peer.stream, options(TCP, branch).as_bytes()).await;
        if write.is_ok() && peer.status().await.is_some() {
            break;
        }
        assert!(branch < 10_000);
    }
}

#[tokio::test]
async fn a_peer_that_shuts_its_side_down_still_gets_its_answers() {
    let service = Service::tcp(StreamSettings::default());
    let mut peer = service.connect().await;
    peer.send(options(TCP, 1) + &options(TCP, 2)).await;
    tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.unwrap();
    assert_eq!(peer.status().await.as_deref(), Some("200"));
    assert_eq!(peer.status().await.as_deref(), Some("200"));
    assert_eq!(peer.message().await, None);
}

#[tokio::test]
async fn who_reads_nothing_is_let_go_and_the_others_go_on() {
    let service = Service::tcp(StreamSettings::default());
    let (mut deaf, mut other) = (service.connect().await, service.connect().await);
    other.is_served(TCP, 1_000_000).await;
    // Each answer echoes a long Via; the deaf peer writes on and reads none, until he is cut off.
    let long = format!("a.invalid;x={};", "x".repeat(8_000));
    let write = async {
        for branch in 1.. {
            let request = options(TCP, branch).replace("a.invalid;", &long);
            if tokio::io::AsyncWriteExt::write_all(&mut deaf.stream, request.as_bytes()).await.is_err() {
                return;
            }
        }
    };
    in_time(write).await;
    assert_eq!(service.count(Counter::ClosedDeaf).await, 1);
    other.is_served(TCP, 1_000_001).await;
}
