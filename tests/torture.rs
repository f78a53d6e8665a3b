//! The messages of RFC 4475 and RFC 5118 over real sockets to a service that runs as a command: each is answered as its
//! table says, and the service is alive after each.
//!
//! Each comes through a proxy, as it would: its Via stands first and says where the answer goes. Every other octet is the
//! RFC's. Without that Via the answers would go to the ports that the messages name, which are not ours.

mod service;

use klikon::sip::message::Message;
use service::Service;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

/// Longer than any answer takes; passing it is a failure, but for the messages that get none.
const PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: &str = r#"
    sip.listen = ["127.0.0.1:0", "[::1]:0"]
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

/// A proxy on one socket.
struct Proxy {
    socket: UdpSocket,
    messages: usize,
    /// A message that is to get no answer.
    silent: Option<usize>,
}

impl Proxy {
    fn to(service: &str) -> Self {
        let here = if service.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" };
        let socket = UdpSocket::bind(here).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(service).unwrap();
        Self { socket, messages: 0, silent: None }
    }

    fn via(&self, number: usize) -> String {
        let here = self.socket.local_addr().unwrap();
        format!("Via: SIP/2.0/UDP {here};branch=z9hG4bK-proxy-{number}\r\n")
    }

    /// Passes a message on; yields the number of its Via.
    fn forward(&mut self, message: &[u8]) -> usize {
        self.messages += 1;
        let line_end = message.windows(2).position(|octets| octets == b"\r\n").unwrap() + 2;
        let via = self.via(self.messages);
        let forwarded = [&message[..line_end], via.as_bytes(), &message[line_end..]].concat();
        self.socket.send(&forwarded).unwrap();
        self.messages
    }

    /// The next response to message `number`: its status, and itself. Copies of earlier ones are passed over.
    fn response(&self, number: usize) -> (u16, Vec<u8>) {
        loop {
            let mut octets = vec![0; 65_535];
            let length = self.socket.recv(&mut octets).expect("an answer");
            octets.truncate(length);
            let message = Message::parse(&octets).expect("reads");
            let branch = message.top_via().expect("our Via").branch().unwrap_or_default().to_vec();
            let silent = self.silent.map(|number| format!("z9hG4bK-proxy-{number}").into_bytes());
            assert_ne!(Some(&branch), silent.as_ref(), "an answer: {}", octets.escape_ascii());
            if branch == format!("z9hG4bK-proxy-{number}").as_bytes() {
                let status = message.status().expect("a response");
                return (status, octets);
            }
        }
    }

    /// The final response to a request of the proxy's own: it is only there when the service still lives.
    fn assert_alive(&mut self, after: &str) {
        let here = self.socket.local_addr().unwrap();
        let options = format!(
            "OPTIONS sip:130@{here} SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:proxy@{here}>;tag=p\r\nTo: <sip:130@{here}>\r\n\
             Call-ID: alive-{after}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        let number = self.forward(options.as_bytes());
        let (status, _) = self.response(number);
        assert_eq!(status, 200, "after {after}");
    }

    /// Acknowledges a refusal, as the caller's side of the transaction does.
    fn acknowledge(&self, number: usize, invite: &[u8], refusal: &[u8]) {
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
        self.socket.send(&ack).unwrap();
    }
}

/// Sends all of a folder; yields what was answered otherwise than expected.
fn torture(proxy: &mut Proxy, folder: &str, count: usize) -> Vec<String> {
    let folder = service::repository().join("sip-tests").join(folder);
    let table = expected(&folder);
    assert_eq!(table.len(), count);
    let mut wrong = vec![];
    for (name, expected) in table {
        let octets = std::fs::read(folder.join(format!("{name}.dat"))).unwrap();
        let number = proxy.forward(&octets);
        let found = match &*expected {
            // The answer to what follows shows that none came before it.
            "-" => {
                proxy.silent = Some(number);
                "-".to_owned()
            }
            "call" => {
                let (trying, _) = proxy.response(number);
                assert_eq!(trying, 100, "{name}");
                // Nobody of that number is served.
                let (refused, refusal) = proxy.response(number);
                proxy.acknowledge(number, &octets, &refusal);
                if refused == 404 { "call".to_owned() } else { refused.to_string() }
            }
            _ => proxy.response(number).0.to_string(),
        };
        if found != expected {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
        proxy.assert_alive(&name);
    }
    wrong
}

#[test]
fn every_message_of_rfc_4475_is_answered_over_udp() {
    let service = Service::start_with(SETTINGS);
    let mut proxy = Proxy::to(&service.address);
    assert_eq!(torture(&mut proxy, "torture", 49), Vec::<String>::new());
}

#[test]
fn every_message_of_rfc_5118_is_answered_over_udp_and_ipv6() {
    let service = Service::start_with(SETTINGS);
    let address =
        service.listening.iter().find_map(|line| line.strip_prefix("udp [").map(|rest| format!("[{rest}")));
    let mut proxy = Proxy::to(&address.expect("it listens on IPv6"));
    assert_eq!(torture(&mut proxy, "torture-ipv6", 12), Vec::<String>::new());
}
