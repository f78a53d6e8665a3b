//! Floods of connections: they say nothing, never end what they say, or say too much. They come from one peer; another
//! phones over a connection of his own meanwhile and afterwards. Every connection that is not served is counted.

use crate::authority::{Authority, loopback};
use crate::field::{BUSY, CALM, Call, Field, Neighbour, connect, counted};
use crate::service::FOR_EVER;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use tempfile::TempDir;

/// Connections of a flood.
const CONNECTIONS: usize = 2_000;
/// Of those, at once: twice as many as one address may have.
const AT_ONCE: usize = 200;
/// Connections that one address may have.
const OF_ADDRESS_MAX: usize = 100;
/// More than any header may have, octets.
const ENDLESS: usize = 100_000;

const TCP: &str = "tcp";
const TLS: &str = "tls";
const WS: &str = "ws";

/// A service besieged by connections, with a call under way that has one, too.
struct Siege {
    field: Field,
    phone: Neighbour,
    held: Call,
    /// The service's certificate.
    _folder: TempDir,
}

impl Siege {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = Authority::new(folder.path(), "ca").certify("node", vec![loopback()]);
        let field = Field::with(&format!(
            "sip.listen = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\", \"tls:127.0.0.1:0\", \"ws:127.0.0.1:0\"]\n\
             tls = {{ certificate = {certificate:?}, key = {key:?} }}\n\
             streams = {{ message_ms = 500, max_connections_of_address = {OF_ADDRESS_MAX} }}\n"
        ));
        let mut phone = Neighbour::connected(CALM, listening(&field, TCP));
        let held = phone.call("held", FOR_EVER).expect("answered");
        Self { field, phone, held, _folder: folder }
    }

    /// Opens connections of the busy peer, many at once, on each of which it sends what `said` makes of its number. Waits
    /// until the service has closed them all. Gives what it answered on each.
    fn besiege(&mut self, transport: &str, said: impl Fn(usize) -> Vec<u8>) -> Vec<String> {
        let to = listening(&self.field, transport);
        let mut answers = Vec::new();
        for first in (0..CONNECTIONS).step_by(AT_ONCE) {
            let wave: Vec<TcpStream> = (first..first + AT_ONCE)
                .map(|number| {
                    let mut stream = connect(BUSY, to);
                    // One that is over the limit is closed before it can be said.
                    let _ = stream.write_all(&said(number));
                    stream
                })
                .collect();
            self.is_served();
            answers.extend(wave.into_iter().map(rest));
        }
        answers
    }

    /// Calls under way are served, over UDP and over a connection.
    fn is_served(&mut self) {
        self.field.is_served();
        assert_eq!(self.phone.within(&mut self.held, "OPTIONS"), "SIP/2.0 200 OK");
    }

    /// The flood is over: the call ends in good order, and a new connection serves a new one. Gives what was counted.
    fn over(mut self) -> String {
        assert_eq!(self.phone.within(&mut self.held, "BYE"), "SIP/2.0 200 OK");
        let mut another = Neighbour::connected(CALM, listening(&self.field, TCP));
        let mut new = another.call_after_the_flood();
        assert_eq!(another.within(&mut new, "BYE"), "SIP/2.0 200 OK");
        self.field.over()
    }
}

/// Where the service listens by this transport.
fn listening(field: &Field, transport: &str) -> SocketAddr {
    let mut all = field.service.listening.iter();
    let address =
        all.find_map(|said| said.strip_prefix(transport)?.strip_prefix(' ')).expect("it listens there");
    address.parse().unwrap()
}

/// What comes on a connection until the service closes it.
fn rest(mut stream: TcpStream) -> String {
    let mut octets = Vec::new();
    // One that is closed while octets of ours are unread ends with a reset.
    let _ = stream.read_to_end(&mut octets);
    String::from_utf8_lossy(&octets).into_owned()
}

/// How many connections were closed for one of these reasons.
fn closed_as(log: &str, reasons: &[&str]) -> usize {
    reasons.iter().map(|reason| counted(log, reason)).sum()
}

/// Half of the header of an INVITE.
fn half(number: usize) -> Vec<u8> {
    format!(
        "INVITE sip:131@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.2;branch=z9hG4bK{number}\r\nMax-For"
    )
    .into()
}

/// Nobody was answered, and each was closed for taking too long, or since the address had too many.
fn assert_all_too_slow_or_too_many(answers: &[String], log: &str) {
    assert!(answers.iter().all(String::is_empty), "{answers:?}");
    assert_eq!(closed_as(log, &["closed_slow", "dropped_connections"]), CONNECTIONS, "{log}");
    assert!(counted(log, "closed_slow") >= OF_ADDRESS_MAX, "{log}");
    assert!(counted(log, "dropped_connections") > 0, "{log}");
}

#[test]
fn connections_that_say_nothing() {
    let mut siege = Siege::new();
    let answers = siege.besiege(TCP, |_| Vec::new());
    assert_all_too_slow_or_too_many(&answers, &siege.over());
}

#[test]
fn connections_that_say_half_a_header() {
    let mut siege = Siege::new();
    let answers = siege.besiege(TCP, half);
    assert_all_too_slow_or_too_many(&answers, &siege.over());
}

/// Each octet comes soon after the one before, and yet the message is not whole in its time.
#[test]
fn connections_that_say_an_octet_at_a_time() {
    let mut siege = Siege::new();
    let to = listening(&siege.field, TCP);
    let mut open: Vec<TcpStream> = (0..OF_ADDRESS_MAX).map(|_| connect(BUSY, to)).collect();
    let begins = half(0);
    let octets = begins.into_iter().chain(std::iter::repeat(b'7'));
    for (round, octet) in octets.enumerate() {
        open.retain_mut(|stream| stream.write_all(&[octet]).is_ok());
        if open.is_empty() {
            break;
        }
        if round % 100 == 0 {
            siege.is_served();
        }
    }
    let log = siege.over();
    assert_eq!(counted(&log, "closed_slow"), OF_ADDRESS_MAX, "{log}");
}

/// A Content-Length is believed before it is waited for, and nothing is reserved for it.
#[test]
fn connections_that_announce_endless_bodies() {
    let mut siege = Siege::new();
    let answers = siege.besiege(TCP, |number| {
        let length = [1_u64 << 31, 100_000_000_000][number % 2];
        let text = format!(
            "OPTIONS sip:131@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.2;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.2>;tag=1\r\nTo: <sip:131@127.0.0.1>\r\nCall-ID: {number}\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: {length}\r\n\r\n{}",
            "7".repeat(10_000)
        );
        text.into_bytes()
    });
    let log = siege.over();
    let refused = counted(&log, "refused_body_too_large");
    assert_eq!(refused, counted(&log, "closed_broken"), "{log}");
    assert_eq!(refused + counted(&log, "dropped_connections"), CONNECTIONS, "{log}");
    assert!(refused >= OF_ADDRESS_MAX, "{log}");
    let said = answers.iter().filter(|answer| answer.starts_with("SIP/2.0 413 ")).count();
    let nothing = answers.iter().filter(|answer| answer.is_empty()).count();
    assert_eq!((said, nothing), (refused, CONNECTIONS - refused), "{log}");
}

#[test]
fn connections_with_a_header_that_never_ends() {
    let mut siege = Siege::new();
    siege.besiege(TCP, |number| {
        let mut octets = half(number);
        octets.resize(ENDLESS, b'7');
        octets
    });
    let log = siege.over();
    assert_eq!(closed_as(&log, &["closed_broken", "dropped_connections"]), CONNECTIONS, "{log}");
    assert!(counted(&log, "closed_broken") >= OF_ADDRESS_MAX, "{log}");
}

#[test]
fn connections_that_come_and_go() {
    let mut siege = Siege::new();
    let to = listening(&siege.field, TCP);
    for number in 0..5 * CONNECTIONS {
        drop(connect(BUSY, to));
        if number % AT_ONCE == 0 {
            siege.is_served();
        }
    }
    let log = siege.over();
    // Two are the calm neighbour's.
    let seen = closed_as(&log, &["connections_accepted", "dropped_connections"]);
    assert_eq!(seen, 5 * CONNECTIONS + 2, "{log}");
}

#[test]
fn tls_handshakes_that_never_begin_or_never_end() {
    let mut siege = Siege::new();
    // A record of a ClientHello of 512 octets, of which 11 come.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let answers = siege.besiege(TLS, |number| if number % 2 == 0 { Vec::new() } else { hello.to_vec() });
    assert_all_too_slow_or_too_many(&answers, &siege.over());
}

#[test]
fn upgrades_to_websocket_that_never_begin_or_never_end() {
    let mut siege = Siege::new();
    let half = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upg";
    let answers = siege.besiege(WS, |number| if number % 2 == 0 { Vec::new() } else { half.to_vec() });
    assert_all_too_slow_or_too_many(&answers, &siege.over());
}

#[test]
fn upgrades_to_websocket_with_a_header_that_never_ends() {
    let mut siege = Siege::new();
    siege.besiege(WS, |_| {
        let mut octets = b"GET / HTTP/1.1\r\nHost: ".to_vec();
        octets.resize(ENDLESS, b'7');
        octets
    });
    let log = siege.over();
    let closed = closed_as(&log, &["closed_handshake", "closed_slow", "dropped_connections"]);
    assert_eq!(closed, CONNECTIONS, "{log}");
}
