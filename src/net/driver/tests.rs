//! The driver with real sockets.

use super::*;
use crate::net::UdpTransport;
use crate::sip::{EndpointConfig, ServiceState, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::net::UdpSocket as Peer;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Tells the endpoint to refuse, and stops when told.
#[derive(Debug, Default)]
struct Desk {
    stopped: bool,
}

#[derive(Debug)]
enum Order {
    Refuse,
    Stop,
}

impl Handler for Desk {
    type Command = Order;

    fn event(&mut self, _: Instant, _: &mut Endpoint, _: Event) {}

    fn command(&mut self, _: Instant, endpoint: &mut Endpoint, order: Order) {
        match order {
            Order::Refuse => endpoint.set_service_state(ServiceState::Refusing { retry_after_s: 9 }),
            Order::Stop => self.stopped = true,
        }
    }

    fn finished(&self, _: &Endpoint) -> bool {
        self.stopped
    }
}

struct Running {
    addresses: Vec<SocketAddr>,
    orders: mpsc::Sender<Order>,
    driver: tokio::task::JoinHandle<()>,
}

fn run(listen: &[SocketAddr]) -> Running {
    run_tapped(listen, Tap::default())
}

fn run_tapped(listen: &[SocketAddr], tap: Tap) -> Running {
    let transport = UdpTransport::bind(listen).unwrap();
    let addresses = transport.addresses();
    let (orders, waiting) = mpsc::channel(4);
    let endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
    let driver = Driver::new(transport, endpoint, Desk::default(), waiting, Clock::system()).with_tap(tap);
    Running { addresses, orders, driver: tokio::spawn(driver.run()) }
}

fn on(ip: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), 0)
}

/// An OPTIONS from a socket that asks for the answer there; gives the answer's first line and its Contact.
async fn ask(peer: &Peer, to: SocketAddr, branch: u32) -> String {
    let from = peer.local_addr().unwrap();
    let request = format!(
        "OPTIONS sip:130@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{from}>;tag=1\r\nTo: <sip:130@{to}>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    peer.send_to(request.as_bytes(), to).await.unwrap();
    let mut answer = vec![0; 4096];
    let (length, source) =
        tokio::time::timeout(FOR_EVER, peer.recv_from(&mut answer)).await.unwrap().unwrap();
    assert_eq!(source, to);
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

#[tokio::test]
async fn both_families_are_served_side_by_side_until_the_handler_has_finished() {
    let service = run(&[on(Ipv4Addr::LOCALHOST), on(Ipv6Addr::LOCALHOST)]);
    let [v4, v6] = service.addresses[..] else { panic!("two were asked for") };
    assert!(v4.is_ipv4() && v6.is_ipv6() && v4.port() != 0 && v6.port() != 0);
    let (peer4, peer6) = (
        Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap(),
        Peer::bind(on(Ipv6Addr::LOCALHOST)).await.unwrap(),
    );
    for (peer, to) in [(&peer4, v4), (&peer6, v6)] {
        assert!(ask(peer, to, 1).await.starts_with("SIP/2.0 200 "), "{to}");
    }
    service.orders.send(Order::Refuse).await.unwrap();
    let refused = ask(&peer6, v6, 2).await;
    assert!(refused.starts_with("SIP/2.0 503 ") && refused.contains("Retry-After: 9"), "{refused}");
    service.orders.send(Order::Stop).await.unwrap();
    tokio::time::timeout(FOR_EVER, service.driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn rubbish_and_peers_that_are_gone_do_not_end_the_service() {
    let service = run(&[on(Ipv4Addr::LOCALHOST)]);
    let to = service.addresses[0];
    let peer = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
    // The largest payload that IPv4 carries, one that is empty, and one that is no SIP.
    for rubbish in [&[b'a'; 65_507][..], b"", b"\r\n\r\n", b"\0\xff\xff"] {
        peer.send_to(rubbish, to).await.unwrap();
    }
    // A peer that does not wait for its answer: the system is told so by ICMP.
    let gone = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
    let request =
        b"NONSENSE sip:130@x SIP/2.0\r\nVia: SIP/2.0/UDP x;rport;branch=z9hG4bKgone\r\nMax-Forwards: 70\r\n\
        From: <sip:a@x>;tag=1\r\nTo: <sip:130@x>\r\nCall-ID: gone\r\nCSeq: 1 NONSENSE\r\n\r\n";
    gone.send_to(request, to).await.unwrap();
    drop(gone);
    for branch in 1..4 {
        assert!(ask(&peer, to, branch).await.starts_with("SIP/2.0 200 "));
    }
    assert!(!service.driver.is_finished());
}

#[tokio::test]
async fn a_tap_sees_what_is_received_and_sent_with_its_way() {
    let (seen, mut passed) = mpsc::unbounded_channel();
    let tap = Tap::new(move |message| {
        seen.send((message.direction, message.flow, message.octets.to_vec())).unwrap();
    });
    let service = run_tapped(&[on(Ipv4Addr::LOCALHOST)], tap);
    let local = service.addresses[0];
    let peer = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
    let answer = ask(&peer, local, 7).await;
    let flow = Flow { transport: Transport::Udp, local, remote: peer.local_addr().unwrap() };
    let (direction, way, octets) = passed.recv().await.unwrap();
    assert_eq!((direction, way), (Direction::Received, flow));
    assert!(octets.starts_with(b"OPTIONS sip:130@"));
    let (direction, way, octets) = passed.recv().await.unwrap();
    assert_eq!((direction, way, octets), (Direction::Sent, flow, answer.into_bytes()));
}
