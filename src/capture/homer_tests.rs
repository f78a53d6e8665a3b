use super::super::hep::tests::read;
use super::*;
use crate::net::Passed;
use crate::sip::{Flow, Transport};
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// A safety net: no test waits so long unless it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

fn message(call_id: &str, transport: Transport) -> Arc<Captured> {
    let flow = Flow {
        transport,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "192.0.2.9:5062".parse().unwrap(),
    };
    let text = format!(
        "INVITE sip:130@192.0.2.1 SIP/2.0\r\nFrom: <sip:0672123456@x>;tag=1\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"
    );
    let at = Clock::system().read();
    Arc::new(Captured::of(&Passed { direction: Direction::Received, flow, octets: text.as_bytes(), at }))
}

fn start(collector: &str, change: impl FnOnce(&mut HomerSettings)) -> Homer {
    let mut settings = HomerSettings { homer: Some(collector.parse().unwrap()), ..HomerSettings::default() };
    change(&mut settings);
    Homer::start(&settings, Clock::system()).unwrap()
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOR_EVER, work).await.unwrap()
}

/// Reads packets from a stream by their length.
async fn next_packet(stream: &mut TcpStream) -> BTreeMap<u16, Vec<u8>> {
    in_time(async {
        let mut octets = vec![0; 6];
        stream.read_exact(&mut octets).await.unwrap();
        octets.resize(usize::from(u16::from_be_bytes([octets[4], octets[5]])), 0);
        stream.read_exact(&mut octets[6..]).await.unwrap();
        read(&octets).unwrap().0
    })
    .await
}

#[tokio::test]
async fn a_message_goes_over_udp_as_one_packet_with_its_numbers_hidden() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let homer = start(&format!("udp:{}", collector.local_addr().unwrap()), |settings| {
        settings.agent_id = 2001;
        settings.auth_key =
            Some(toml::from_str::<HomerSettings>("auth_key = \"key\"").unwrap().auth_key.unwrap());
    });
    homer.offer(&message("0672123456@x", Transport::Udp));
    let mut packet = vec![0; 65_535];
    let length = in_time(collector.recv(&mut packet)).await.unwrap();
    let (chunks, rest) = read(&packet[..length]).unwrap();
    assert!(rest.is_empty());
    assert_eq!(
        (&chunks[&12], &chunks[&14], &chunks[&17]),
        (&2001_u32.to_be_bytes().to_vec(), &b"key".to_vec(), &b"0672123456@x".to_vec())
    );
    assert_eq!(
        (&chunks[&3], &chunks[&7]),
        (&vec![192, 0, 2, 9], &5062_u16.to_be_bytes().to_vec()),
        "the peer sent it"
    );
    let payload = String::from_utf8_lossy(&chunks[&15]);
    assert!(payload.contains("<sip:067...3456@x>") && payload.contains("Call-ID: 0672123456@x"), "{payload}");
}

#[tokio::test]
async fn whole_numbers_are_sent_only_when_asked_for() {
    let collector = UdpSocket::bind("[::1]:0").await.unwrap();
    let address = format!("udp:localhost:{}", collector.local_addr().unwrap().port());
    // The name may mean either family.
    let collector =
        match tokio::net::lookup_host(address.trim_start_matches("udp:")).await.unwrap().next().unwrap() {
            SocketAddr::V6(_) => collector,
            v4 @ SocketAddr::V4(_) => UdpSocket::bind(v4).await.unwrap(),
        };
    let homer = start(&address, |settings| settings.mask_msisdn = false);
    homer.offer(&message("a", Transport::Udp));
    let mut packet = vec![0; 65_535];
    let length = in_time(collector.recv(&mut packet)).await.unwrap();
    assert!(String::from_utf8_lossy(&read(&packet[..length]).unwrap().0[&15]).contains("0672123456"));
}

#[tokio::test]
async fn over_tcp_packets_follow_each_other_and_a_lost_connection_is_made_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let homer = start(&format!("tcp:{}", listener.local_addr().unwrap()), |_| {});
    for call in ["a", "b", "c"] {
        homer.offer(&message(call, Transport::Tcp));
    }
    let (mut first, _) = in_time(listener.accept()).await.unwrap();
    for call in ["a", "b", "c"] {
        assert_eq!(next_packet(&mut first).await[&17], call.as_bytes());
    }
    drop(first);
    let mut number = 0;
    let mut second = in_time(async {
        loop {
            // Until the sender has seen that the connection is closed.
            homer.offer(&message(&format!("again-{number}"), Transport::Tcp));
            number += 1;
            tokio::select! {
                accepted = listener.accept() => break accepted.unwrap().0,
                () = tokio::task::yield_now() => {}
            }
        }
    })
    .await;
    assert!(next_packet(&mut second).await[&17].starts_with(b"again-"));
}

#[tokio::test]
async fn a_collector_that_is_away_costs_messages_and_never_waits() {
    // A port that nobody listens on: it was ours a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let homer = start(&format!("tcp:{gone}"), |_| {});
    let message = message("a", Transport::Udp);
    let offered = MAX_WAITING + MESSAGES_A_BATCH + 500;
    for _ in 0..offered {
        homer.offer(&message);
    }
    let counts = homer.counts();
    assert!(counts.dropped_queue_full >= 500 && counts.sent == 0, "{counts:?}");
}

#[tokio::test]
async fn a_message_too_long_for_a_packet_is_counted() {
    let collector = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let homer = start(&format!("udp:{}", collector.local_addr().unwrap()), |_| {});
    let whole = message("a", Transport::Tcp);
    homer.offer(&Arc::new(Captured { octets: vec![b'a'; 65_500].into(), ..(*whole).clone() }));
    homer.offer(&whole);
    let mut packet = vec![0; 65_535];
    in_time(collector.recv(&mut packet)).await.unwrap();
    let counts = homer.counts();
    assert_eq!((counts.dropped_too_long, counts.dropped_queue_full), (1, 0), "{counts:?}");
}
