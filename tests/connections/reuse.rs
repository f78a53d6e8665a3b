//! Which connection a message goes by (RFC 3261 §18.1.1, §18.2.2).

use super::service::*;
use klikon::net::{StreamSettings, TlsSettings};
use klikon::sip::{EndCause, Event, Flow, InviteParams, Transport};
use tokio::net::TcpListener;

const TCP: Transport = Transport::Tcp;

fn params(octets: usize) -> InviteParams {
    InviteParams {
        request_uri: "sip:130@127.0.0.1".to_owned(),
        from: "sip:130@127.0.0.1".to_owned(),
        to: "sip:130@127.0.0.1".to_owned(),
        extra_headers: vec![("X-Long".to_owned(), "x".repeat(octets))],
        ..InviteParams::default()
    }
}

#[tokio::test]
async fn answers_and_requests_of_a_call_go_by_its_connection() {
    let mut service = Service::tcp(StreamSettings::default());
    let (mut peer, mut other) = (service.connect().await, service.connect().await);
    peer.send(invite(TCP, 1)).await;
    assert_eq!(peer.status().await.as_deref(), Some("100"));
    let ok = peer.message().await.unwrap();
    let here = service.address(TCP);
    assert_eq!(field(&ok, "Contact"), format!("<sip:130@{here};transport=tcp>"));
    peer.send(ack(&ok, TCP)).await;
    let session = service.confirmed().await;
    service.order(Order::Bye(session)).await;
    let bye = peer.message().await.unwrap();
    assert!(bye.starts_with("BYE sip:a@a.invalid"), "{bye}");
    peer.send(ok_to(&bye)).await;
    let ended =
        service.wait(|told| matches!(told, Told::Event(Event::Ended { .. })).then(|| told.clone())).await;
    assert!(matches!(ended, Told::Event(Event::Ended { cause: EndCause::ByeCompleted, .. })));
    other.is_served(TCP, 2).await;
}

#[tokio::test]
async fn a_call_goes_on_over_another_connection() {
    let mut service = Service::tcp(StreamSettings::default());
    let mut first = service.connect().await;
    first.send(invite(TCP, 1)).await;
    first.message().await;
    let ok = first.message().await.unwrap();
    first.send(ack(&ok, TCP)).await;
    service.confirmed().await;
    let gone = first.stream.local_addr().unwrap();
    drop(first);
    service.wait(|told| matches!(told, Told::Disconnected(flow) if flow.remote == gone).then_some(())).await;
    let mut second = service.connect().await;
    second.send(within("BYE", &ok, TCP, "2")).await;
    assert_eq!(second.status().await.as_deref(), Some("200"));
    let ended =
        service.wait(|told| matches!(told, Told::Event(Event::Ended { .. })).then(|| told.clone())).await;
    assert!(matches!(ended, Told::Event(Event::Ended { cause: EndCause::ByeReceived, .. })));
}

#[tokio::test]
async fn where_a_connection_has_gone_one_is_opened_to_the_contact() {
    let mut service = Service::tcp(StreamSettings::default());
    let phone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let contact = phone.local_addr().unwrap();
    let mut peer = service.connect().await;
    peer.send(invite(TCP, 1).replace("Contact: <sip:a@a.invalid", &format!("Contact: <sip:a@{contact}")))
        .await;
    peer.message().await;
    let ok = peer.message().await.unwrap();
    peer.send(ack(&ok, TCP)).await;
    let session = service.confirmed().await;
    drop(peer);
    service.wait(|told| matches!(told, Told::Disconnected(_)).then_some(())).await;
    service.order(Order::Bye(session)).await;
    let (stream, _) = in_time(phone.accept()).await.unwrap();
    let mut phone = Peer::new(stream);
    let bye = phone.message().await.unwrap();
    assert!(bye.starts_with("BYE "), "{bye}");
    phone.send(ok_to(&bye)).await;
    let ended =
        service.wait(|told| matches!(told, Told::Event(Event::Ended { .. })).then(|| told.clone())).await;
    assert!(matches!(ended, Told::Event(Event::Ended { cause: EndCause::ByeCompleted, .. })));
}

#[tokio::test]
async fn a_call_ends_when_nobody_is_there_to_take_its_bye() {
    let mut service = Service::tcp(StreamSettings::default());
    // A port that nobody listens on.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut peer = service.connect().await;
    peer.send(invite(TCP, 1).replace("Contact: <sip:a@a.invalid", &format!("Contact: <sip:a@{nobody}")))
        .await;
    peer.message().await;
    let ok = peer.message().await.unwrap();
    peer.send(ack(&ok, TCP)).await;
    let session = service.confirmed().await;
    drop(peer);
    service.wait(|told| matches!(told, Told::Disconnected(_)).then_some(())).await;
    service.order(Order::Bye(session)).await;
    let ended =
        service.wait(|told| matches!(told, Told::Event(Event::Ended { .. })).then(|| told.clone())).await;
    assert!(matches!(ended, Told::Event(Event::Ended { cause: EndCause::ByeTimeout, .. })));
}

#[tokio::test]
async fn udp_and_tcp_get_one_port_and_a_large_request_goes_over_tcp() {
    let service = Service::start(
        &["udp:127.0.0.1:0", "tcp:127.0.0.1:0"],
        StreamSettings::default(),
        TlsSettings::default(),
    );
    let local = service.address(Transport::Udp);
    assert_eq!(local, service.address(TCP), "one port for both");
    let phone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let remote = phone.local_addr().unwrap();
    service
        .order(Order::Invite(Flow { transport: Transport::Udp, local, remote }, Box::new(params(1_300))))
        .await;
    let (stream, _) = in_time(phone.accept()).await.unwrap();
    let mut phone = Peer::new(stream);
    let invite = phone.message().await.unwrap();
    assert!(field(&invite, "Via").starts_with(&format!("SIP/2.0/TCP {local};")), "{invite}");
}

#[tokio::test]
async fn a_large_request_goes_over_udp_where_tcp_is_not_taken() {
    let mut service = Service::start(
        &["udp:127.0.0.1:0", "tcp:127.0.0.1:0"],
        StreamSettings::default(),
        TlsSettings::default(),
    );
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (local, remote) = (service.address(Transport::Udp), phone.local_addr().unwrap());
    service
        .order(Order::Invite(Flow { transport: Transport::Udp, local, remote }, Box::new(params(1_300))))
        .await;
    let mut buffer = vec![0; 65_535];
    let (length, _) = in_time(phone.recv_from(&mut buffer)).await.unwrap();
    let invite = String::from_utf8(buffer[..length].to_vec()).unwrap();
    assert!(field(&invite, "Via").starts_with("SIP/2.0/UDP "), "{invite}");
    phone.send_to(ok_to(&invite).replace("200 OK", "486 Busy Here").as_bytes(), local).await.unwrap();
    service.wait(|told| matches!(told, Told::Event(Event::Rejected { status: 486, .. })).then_some(())).await;
}

#[tokio::test]
async fn both_families_and_several_listeners_are_served_and_name_themselves() {
    let listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp:127.0.0.2:0"];
    let service = Service::start(&listen, StreamSettings::default(), TlsSettings::default());
    let asked: Vec<_> = service.listening.iter().map(|listen| listen.to_string()).collect();
    assert!(asked[2].starts_with("tcp [::1]:") && asked[3].starts_with("tcp 127.0.0.2:"), "{asked:?}");
    for (branch, listen) in (1..).zip(&service.listening[1..]) {
        let stream = tokio::net::TcpStream::connect(listen.address).await.unwrap();
        let mut peer = Peer::new(stream);
        peer.send(invite(TCP, branch)).await;
        assert_eq!(peer.status().await.as_deref(), Some("100"));
        let ok = peer.message().await.unwrap();
        assert_eq!(field(&ok, "Contact"), format!("<sip:130@{};transport=tcp>", listen.address));
    }
}

/// RFC 3261 §18.2.2: to the source's address, at the port of sent-by.
#[tokio::test]
async fn where_a_connection_has_gone_one_is_opened_to_the_source_for_an_answer() {
    let mut service = Service::tcp(StreamSettings::default());
    let phone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sent_by = format!("Via: SIP/2.0/TCP host.invalid:{};branch", phone.local_addr().unwrap().port());
    let mut peer = service.connect().await;
    let invite = invite(TCP, 1);
    let via = invite.lines().find(|line| line.starts_with("Via: ")).unwrap();
    let (named, _) = via.split_once(";branch").unwrap();
    peer.send(invite.replace(&format!("{named};branch"), &sent_by)).await;
    peer.message().await;
    let ok = peer.message().await.unwrap();
    drop(peer);
    service.wait(|told| matches!(told, Told::Disconnected(_)).then_some(())).await;
    // Nobody has acknowledged it, so it is sent again.
    let (stream, _) = in_time(phone.accept()).await.unwrap();
    let mut phone = Peer::new(stream);
    assert_eq!(phone.message().await.as_deref(), Some(&*ok));
    phone.send(ack(&ok, TCP)).await;
    service.confirmed().await;
}
