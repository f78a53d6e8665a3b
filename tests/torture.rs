//! The messages of RFC 4475 and RFC 5118 over real sockets to a service that runs as a command: each is answered as its
//! table says, and the service is alive after each.
//!
//! Each comes through a proxy, as it would: its Via stands first and says where the answer goes. Every other octet is the
//! RFC's. Without that Via the answers would go to the ports that the messages name, which are not ours.

mod service;

use klikon::sip::message::Message;
use service::Service;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// Longer than any answer takes; passing it is a failure, but for the messages that get none.
const PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: &str = r#"
    sip.listen = ["127.0.0.1:0", "[::1]:0", "tcp:127.0.0.1:0", "tcp:[::1]:0"]
    log.level = "error,klikon::cli=info"
    [[peers]]
    name = "proxy"
    addresses = ["127.0.0.1/32", "::1/128"]
"#;

/// The rows of a table: message, answer.
fn expected(folder: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder.join("expectations.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        (columns[0].to_owned(), columns[3].to_owned())
    })
    .collect()
}

/// The way from the proxy to the service.
enum Link {
    Udp(UdpSocket),
    /// Each message by a connection of its own, since one that cannot be read ends its connection.
    Tcp {
        service: String,
        stream: TcpStream,
        octets: Vec<u8>,
    },
}

/// A proxy.
struct Proxy {
    link: Link,
    messages: usize,
    /// A message that is to get no answer.
    silent: Option<usize>,
}

fn connect(service: &str) -> TcpStream {
    let stream = TcpStream::connect(service).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

impl Proxy {
    fn by_udp(service: &str) -> Self {
        let here = if service.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(here).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(service).unwrap();
        Self { link: Link::Udp(socket), messages: 0, silent: None }
    }

    fn by_tcp(service: &str) -> Self {
        let link = Link::Tcp { service: service.to_owned(), stream: connect(service), octets: vec![] };
        Self { link, messages: 0, silent: None }
    }

    fn here(&self) -> SocketAddr {
        match &self.link {
            Link::Udp(socket) => socket.local_addr().unwrap(),
            Link::Tcp { stream, .. } => stream.local_addr().unwrap(),
        }
    }

    fn via(&self, number: usize) -> String {
        let transport = match &self.link {
            Link::Udp(_) => "UDP",
            Link::Tcp { .. } => "TCP",
        };
        format!("Via: SIP/2.0/{transport} {};branch=z9hG4bK-proxy-{number}\r\n", self.here())
    }

    /// Passes a message on; yields the number of its Via.
    fn forward(&mut self, message: &[u8]) -> usize {
        self.messages += 1;
        if let Link::Tcp { service, stream, octets } = &mut self.link {
            *stream = connect(service);
            octets.clear();
        }
        let line_end = message.windows(2).position(|octets| octets == b"\r\n").unwrap() + 2;
        let via = self.via(self.messages);
        self.send(&[&message[..line_end], via.as_bytes(), &message[line_end..]].concat());
        self.messages
    }

    fn send(&mut self, message: &[u8]) {
        match &mut self.link {
            Link::Udp(socket) => drop(socket.send(message).unwrap()),
            Link::Tcp { stream, .. } => stream.write_all(message).unwrap(),
        }
    }

    /// The next message of the service; `None` when it closed the connection.
    fn receive(&mut self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_535];
        match &mut self.link {
            Link::Udp(socket) => {
                let length = socket.recv(&mut buffer).expect("an answer");
                buffer.truncate(length);
                Some(buffer)
            }
            Link::Tcp { stream, octets, .. } => loop {
                if let Some(length) = whole(octets) {
                    return Some(octets.drain(..length).collect());
                }
                // One that closes with octets unread resets the connection.
                match stream.read(&mut buffer) {
                    Ok(length @ 1..) => octets.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no answer"),
                    _ => return None,
                }
            },
        }
    }

    /// The next response to message `number`: its status, and itself. Copies of earlier ones are passed over. `None` when
    /// the connection was closed.
    fn response(&mut self, number: usize) -> Option<(u16, Vec<u8>)> {
        loop {
            let octets = self.receive()?;
            let message = Message::parse(&octets).expect("reads");
            let branch = message.top_via().expect("a Via").branch().unwrap_or_default().to_vec();
            let silent = self.silent.map(|number| format!("z9hG4bK-proxy-{number}").into_bytes());
            assert_ne!(Some(&branch), silent.as_ref(), "an answer: {}", octets.escape_ascii());
            if branch == format!("z9hG4bK-proxy-{number}").as_bytes() {
                let status = message.status().expect("a response");
                return Some((status, octets));
            }
        }
    }

    /// Nothing answers message `number`: over TCP the service closes the connection when the proxy does. Over UDP the
    /// answer to what follows shows it, because it would come after.
    fn assert_silent(&mut self, number: usize) {
        self.silent = Some(number);
        if let Link::Tcp { stream, .. } = &self.link {
            stream.shutdown(Shutdown::Write).unwrap();
            assert!(self.response(0).is_none());
        }
    }

    /// The final response to a request of the proxy's own: it is only there when the service still lives.
    fn assert_alive(&mut self, after: &str) {
        let here = self.here();
        let options = format!(
            "OPTIONS sip:130@{here} SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:proxy@{here}>;tag=p\r\nTo: <sip:130@{here}>\r\n\
             Call-ID: alive-{after}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let number = self.forward(options.as_bytes());
        let (status, _) = self.response(number).expect("an answer");
        assert_eq!(status, 200, "after {after}");
    }

    /// Acknowledges a refusal, as the caller's side of the transaction does.
    fn acknowledge(&mut self, number: usize, invite: &[u8], refusal: &[u8]) {
        use klikon::sip::message::HeaderName;
        let (invite, refusal) = (Message::parse(invite).unwrap(), Message::parse(refusal).unwrap());
        let mut ack = b"ACK sip:130@127.0.0.1 SIP/2.0\r\n".to_vec();
        ack.extend_from_slice(self.via(number).as_bytes());
        for (name, of) in
            [(HeaderName::From, &invite), (HeaderName::To, &refusal), (HeaderName::CallId, &invite)]
        {
            let value = of.values(name).next().unwrap();
            ack.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let cseq = invite.cseq().unwrap().number;
        ack.extend_from_slice(format!("CSeq: {cseq} ACK\r\nContent-Length: 0\r\n\r\n").as_bytes());
        self.send(&ack);
    }
}

/// The length of the first whole message of a stream.
fn whole(octets: &[u8]) -> Option<usize> {
    let head = octets.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let length =
        Message::parse(&octets[..head]).expect("reads").content_length().expect("reads").unwrap_or(0);
    let end = head + usize::try_from(length).expect("a length");
    (octets.len() >= end).then_some(end)
}

/// What is answered otherwise over a stream, where Content-Length says where a message ends (RFC 3261 §18.3).
const OVER_STREAMS: [(&str, &str); 2] = [
    // The rest of the body is waited for.
    ("clerr", "-"),
    // A message of RFC 2543 without a Content-Length.
    ("inv2543", "400"),
];

/// Sends all of a folder; yields what was answered otherwise than expected.
fn torture(proxy: &mut Proxy, folder: &str, count: usize) -> Vec<String> {
    let folder = service::repository().join("sip-tests").join(folder);
    let table = expected(&folder);
    assert_eq!(table.len(), count);
    let mut wrong = vec![];
    for (name, expected) in table {
        let over_streams = OVER_STREAMS.iter().find(|(other, _)| name == *other);
        let expected = match (&proxy.link, over_streams) {
            (Link::Tcp { .. }, Some((_, otherwise))) => (*otherwise).to_owned(),
            _ => expected,
        };
        let octets = std::fs::read(folder.join(format!("{name}.dat"))).unwrap();
        let number = proxy.forward(&octets);
        let found = match &*expected {
            "-" => {
                proxy.assert_silent(number);
                "-".to_owned()
            }
            "call" => {
                let (trying, _) = proxy.response(number).expect("an answer");
                assert_eq!(trying, 100, "{name}");
                // Nobody of that number is served.
                let (refused, refusal) = proxy.response(number).expect("an answer");
                proxy.acknowledge(number, &octets, &refusal);
                if refused == 404 { "call".to_owned() } else { refused.to_string() }
            }
            _ => proxy.response(number).map_or("closed".to_owned(), |(status, _)| status.to_string()),
        };
        if found != expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
        proxy.assert_alive(&name);
    }
    wrong
}

/// Where the service listens by this transport and family: `udp [`.
fn address(service: &Service, way: &str) -> String {
    let found = service.listening.iter().find(|listening| listening.starts_with(way));
    found.and_then(|listening| listening.split(' ').nth(1)).expect("it listens").to_owned()
}

#[test]
fn every_message_of_rfc_4475_is_answered_over_udp() {
    let service = Service::start_with(SETTINGS);
    let mut proxy = Proxy::by_udp(&address(&service, "udp 127"));
    assert_eq!(torture(&mut proxy, "torture", 49), Vec::<String>::new());
}

#[test]
fn every_message_of_rfc_4475_is_answered_over_tcp() {
    let service = Service::start_with(SETTINGS);
    let mut proxy = Proxy::by_tcp(&address(&service, "tcp 127"));
    assert_eq!(torture(&mut proxy, "torture", 49), Vec::<String>::new());
}

#[test]
fn every_message_of_rfc_5118_is_answered_over_udp_and_ipv6() {
    let service = Service::start_with(SETTINGS);
    let mut proxy = Proxy::by_udp(&address(&service, "udp ["));
    assert_eq!(torture(&mut proxy, "torture-ipv6", 12), Vec::<String>::new());
}

#[test]
fn every_message_of_rfc_5118_is_answered_over_tcp_and_ipv6() {
    let service = Service::start_with(SETTINGS);
    let mut proxy = Proxy::by_tcp(&address(&service, "tcp ["));
    assert_eq!(torture(&mut proxy, "torture-ipv6", 12), Vec::<String>::new());
}
