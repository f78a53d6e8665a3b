//! A service in a flood, and its neighbours.

use crate::service::{FOR_EVER, Service};
use klikon::units::clock::Clock;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Messages of a flood.
pub const MESSAGES: usize = 10_000;
/// Messages between two looks at whether the service still serves.
const BETWEEN_LOOKS: usize = 500;
/// What a flood may add to the memory, KiB: the calls and the table of strangers that the limits allow, and slack.
const GROWTH_MAX_KIB: u64 = 32 * 1024;
/// How soon a new call is answered when a flood is over.
const NEW_CALL_WITHIN: Duration = Duration::from_secs(5);
/// T1: how long a caller waits before he sends again.
const T1: Duration = Duration::from_millis(500);
/// How long a neighbour waits for a message before he looks at the time.
const PATIENCE: Duration = Duration::from_millis(50);

const SETTINGS: &str = r#"
    calls.max = 300
    log.level = "error,klikon::cli=info"
    overload.max_unacknowledged = 100
    [[peers]]
    name = "calm"
    addresses = ["127.0.0.1/32"]
    [[peers]]
    name = "busy"
    addresses = ["127.0.0.2/32"]
"#;

pub const CALM: &str = "127.0.0.1:0";
pub const BUSY: &str = "127.0.0.2:0";
pub const STRANGER: &str = "127.0.0.3:0";

/// How a neighbour is connected.
enum Way {
    Udp(UdpSocket),
    /// A connection, and what was read of it and is no whole message yet.
    Tcp(TcpStream, Vec<u8>),
}

/// A neighbour with a socket.
pub struct Neighbour {
    way: Way,
    pub here: SocketAddr,
    pub server: SocketAddr,
}

/// Opens a connection from this address.
pub fn connect(from: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&from.parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(FOR_EVER)).unwrap();
    stream
}

impl Neighbour {
    pub fn at(address: &str, server: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let here = socket.local_addr().unwrap();
        Self { way: Way::Udp(socket), here, server: server.parse().unwrap() }
    }

    /// One who is connected by TCP.
    pub fn connected(address: &str, server: SocketAddr) -> Self {
        let stream = connect(address, server);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let here = stream.local_addr().unwrap();
        Self { way: Way::Tcp(stream, Vec::new()), here, server }
    }

    pub fn send(&mut self, message: &[u8]) {
        match &mut self.way {
            // A flood that the system has no room for is lost, as on any network.
            Way::Udp(socket) => drop(socket.send_to(message, self.server)),
            Way::Tcp(stream, _) => stream.write_all(message).unwrap(),
        }
    }

    /// The next message that comes within the socket's patience.
    pub fn next(&mut self) -> Option<String> {
        match &mut self.way {
            Way::Udp(socket) => {
                let mut octets = [0; 65_535];
                let (length, _) = socket.recv_from(&mut octets).ok()?;
                Some(String::from_utf8_lossy(&octets[..length]).into_owned())
            }
            Way::Tcp(stream, held) => next_of(stream, held),
        }
    }

    /// Sends a request, over UDP again after each T1, until a final response with its CSeq comes; `None` after `patience`.
    pub fn ask(&mut self, request: &str, call_id: &str, cseq: &str, patience: Duration) -> Option<String> {
        let clock = Clock::system();
        let start = clock.instant();
        let mut sent = None;
        while clock.instant() - start < patience {
            let is_late = matches!(self.way, Way::Udp(_))
                && sent.is_some_and(|at| clock.instant().saturating_duration_since(at) >= T1);
            if sent.is_none() || is_late {
                self.send(request.as_bytes());
                sent = Some(clock.instant());
            }
            let Some(answer) = self.next() else { continue };
            let ours = answer.contains(&format!("Call-ID: {call_id}\r\n"))
                && answer.contains(&format!("CSeq: {cseq}\r\n"));
            if ours && !answer.starts_with("SIP/2.0 1") {
                return Some(answer);
            }
        }
        None
    }

    /// A request of call `call_id`; `to` is its To.
    pub fn request(&self, method: &str, call_id: &str, cseq: u32, to: &str, sdp: &str) -> String {
        let Self { here, server, .. } = self;
        let (transport, parameter) = match self.way {
            Way::Udp(_) => ("UDP", ""),
            Way::Tcp(..) => ("TCP", ";transport=tcp"),
        };
        let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:131@{server} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {here};rport;branch=z9hG4bK-{call_id}-{method}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{here}>;tag=f{call_id}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:a@{here}{parameter}>\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    pub fn invite(&self, call_id: &str) -> String {
        let to = format!("<sip:131@{}>", self.server);
        self.request("INVITE", call_id, 1, &to, SDP)
    }

    /// The ACK to a final response of `call_id`; that to a refusal has the branch of the INVITE.
    pub fn acknowledge(&mut self, call_id: &str, answer: &str) {
        let ack = self.request("ACK", call_id, 1, field(answer, "To"), "");
        let refused = !answer.starts_with("SIP/2.0 2");
        let ack = if refused { ack.replace("-ACK-1", "-INVITE-1") } else { ack };
        self.send(ack.as_bytes());
    }

    /// Phones the loop and acknowledges.
    pub fn call(&mut self, call_id: &str, patience: Duration) -> Option<Call> {
        let answer = self.ask(&self.invite(call_id), call_id, "1 INVITE", patience)?;
        self.acknowledge(call_id, &answer);
        let to = field(&answer, "To").to_owned();
        answer.starts_with("SIP/2.0 200").then(|| Call { id: call_id.to_owned(), to, cseq: 1 })
    }

    /// Phones until he is answered. One who is refused, since calls of the flood are just ending, phones again.
    pub fn call_after_the_flood(&mut self) -> Call {
        let clock = Clock::system();
        let start = clock.instant();
        let new = (0..).find_map(|number| {
            let left = NEW_CALL_WITHIN.saturating_sub(clock.instant() - start);
            let call = self.call(&format!("new-{number}-{}", self.here.port()), left);
            call.map(Some).or_else(|| left.is_zero().then_some(None))
        });
        new.flatten().expect("a new call is answered soon after the flood")
    }

    /// A request within a call; the first line of its answer.
    pub fn within(&mut self, call: &mut Call, method: &str) -> String {
        call.cseq += 1;
        let request = self.request(method, &call.id, call.cseq, &call.to, "");
        let answer = self.ask(&request, &call.id, &format!("{} {method}", call.cseq), FOR_EVER);
        answer.expect("an answer within a call").lines().next().unwrap_or_default().to_owned()
    }
}

/// The next whole message of a connection.
fn next_of(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(header) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&held[..header + 2]).into_owned();
            let whole = header + 4 + field(&text, "Content-Length").parse::<usize>().unwrap();
            if held.len() >= whole {
                return Some(String::from_utf8_lossy(&held.drain(..whole).collect::<Vec<_>>()).into_owned());
            }
        }
        let mut octets = [0; 4096];
        match stream.read(&mut octets) {
            Ok(length @ 1..) => held.extend_from_slice(&octets[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return None,
            end => panic!("the connection has ended: {end:?}"),
        }
    }
}

pub const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";

/// A call that stands.
pub struct Call {
    pub id: String,
    pub to: String,
    pub cseq: u32,
}

/// The value of a header field.
pub fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let mut values = message.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    values.next().unwrap_or_default()
}

/// A line of `/proc/…/status`, KiB.
fn memory_kib(service: &Service, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", service.process())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the system says so");
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

/// A service in a flood, with two calls under way: one whose every message is ours, and one that hears what is played.
pub struct Field {
    pub service: Service,
    pub calm: Neighbour,
    pub under_way: Call,
    listener: Child,
    before_kib: u64,
}

impl Field {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With these settings before those that all have.
    pub fn with(settings: &str) -> Self {
        let service = Service::start_with(&format!("{settings}{SETTINGS}"));
        let mut calm = Neighbour::at(CALM, &service.address);
        let under_way = calm.call("under-way", FOR_EVER).expect("answered");
        let uri = format!("sip:130@{}", service.address);
        // Who hears prompts out has heard enough of them, however busy the machine is.
        let arguments = ["--identity", "+355672003456", "--listen", "--keys", "ask-member-number:9"];
        let mut listener = service.caller(&uri, &arguments);
        let listener = listener.stdout(Stdio::null()).spawn().unwrap();
        // The other call's comes first.
        (0..2).for_each(|_| drop(service.line("\"answered\"")));
        let before_kib = memory_kib(&service, "VmRSS");
        Self { service, calm, under_way, listener, before_kib }
    }

    /// Requests within the call under way are answered.
    pub fn is_served(&mut self) {
        assert_eq!(self.calm.within(&mut self.under_way, "OPTIONS"), "SIP/2.0 200 OK");
    }

    /// Floods with what `message` makes of each number, and looks now and then whether calls are still served.
    pub fn flood(&mut self, from: &mut Neighbour, message: impl Fn(&Neighbour, usize) -> Vec<u8>) {
        for number in 0..MESSAGES {
            from.send(&message(from, number));
            if number % BETWEEN_LOOKS == 0 {
                self.is_served();
            }
        }
    }

    /// The flood is over. Gives what was counted.
    pub fn over(mut self) -> String {
        let mut new = self.calm.call_after_the_flood();
        assert_eq!(self.calm.within(&mut new, "BYE"), "SIP/2.0 200 OK");
        assert_eq!(self.calm.within(&mut self.under_way, "BYE"), "SIP/2.0 200 OK");
        assert!(self.listener.wait().unwrap().success(), "a call under way hears its end");
        let (after_kib, peak_kib) = (memory_kib(&self.service, "VmRSS"), memory_kib(&self.service, "VmHWM"));
        let grown = [after_kib, peak_kib].map(|kib| kib.saturating_sub(self.before_kib));
        eprintln!("memory: {} KiB before, {after_kib} KiB after, {peak_kib} KiB at most", self.before_kib);
        assert!(grown.iter().all(|kib| *kib <= GROWTH_MAX_KIB), "{grown:?} KiB grown");
        // Calls that the flood left are ended with goodbye.
        self.service.signal("TERM");
        self.service.log_line("until the stop")
    }
}

/// How often something was counted.
pub fn counted(log: &str, name: &str) -> usize {
    let mut words = log.split([' ', '"']);
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
}
