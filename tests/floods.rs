//! Floods against a service that runs as a command, over loopback and with an end: it keeps its memory bounded, serves
//! requests within calls meanwhile, lets calls under way finish, and takes new ones when the flood is over.
//!
//! Three neighbours: 127.0.0.1 and 127.0.0.2 are peers, 127.0.0.3 is nobody's. The flood comes from the second or the
//! third, the calls from the first.

mod service;

use klikon::sip::endpoint::{Endpoint, EndpointConfig, Event};
use klikon::sip::transport::{Flow, Transport};
use klikon::units::clock::Clock;
use service::{FOR_EVER, Service};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

/// Messages of a flood.
const MESSAGES: usize = 10_000;
/// Messages between two looks at whether the service still serves.
const BETWEEN_LOOKS: usize = 500;
/// What a flood may add to the memory, KiB: the calls and the table of strangers that the limits allow, and slack.
const GROWTH_MAX_KIB: u64 = 32 * 1024;
/// How soon a new call is answered when a flood is over.
const NEW_CALL_WITHIN: Duration = Duration::from_secs(5);
/// T1: how long a caller waits before he sends again.
const T1: Duration = Duration::from_millis(500);

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

const BUSY: &str = "127.0.0.2:0";
const STRANGER: &str = "127.0.0.3:0";

/// A neighbour with a socket.
struct Neighbour {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Neighbour {
    fn at(address: &str, server: &str) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { socket, server: server.parse().unwrap() }
    }

    fn send(&self, message: &[u8]) {
        // A flood that the system has no room for is lost, as on any network.
        let _ = self.socket.send_to(message, self.server);
    }

    /// The next message that comes within the socket's patience.
    fn next(&self) -> Option<String> {
        let mut octets = [0; 65_535];
        let (length, _) = self.socket.recv_from(&mut octets).ok()?;
        Some(String::from_utf8_lossy(&octets[..length]).into_owned())
    }

    /// Sends a request, again after each T1, until a final response with its CSeq comes; `None` after `patience`.
    fn ask(&self, request: &str, call_id: &str, cseq: &str, patience: Duration) -> Option<String> {
        let clock = Clock::system();
        let start = clock.instant();
        let mut sent = None;
        while clock.instant() - start < patience {
            if sent.is_none_or(|at| clock.instant() - at >= T1) {
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
    fn request(&self, method: &str, call_id: &str, cseq: u32, to: &str, sdp: &str) -> String {
        let (here, server) = (self.socket.local_addr().unwrap(), self.server);
        let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} sip:131@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK-{call_id}-{method}-{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{here}>;tag=f{call_id}\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:a@{here}>\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
    }

    fn invite(&self, call_id: &str) -> String {
        let to = format!("<sip:131@{}>", self.server);
        self.request("INVITE", call_id, 1, &to, SDP)
    }

    /// The ACK to a final response of `call_id`; that to a refusal has the branch of the INVITE.
    fn acknowledge(&self, call_id: &str, answer: &str) {
        let ack = self.request("ACK", call_id, 1, field(answer, "To"), "");
        let refused = !answer.starts_with("SIP/2.0 2");
        let ack = if refused { ack.replace("-ACK-1", "-INVITE-1") } else { ack };
        self.send(ack.as_bytes());
    }

    /// Phones the loop and acknowledges.
    fn call(&self, call_id: &str, patience: Duration) -> Option<Call> {
        let answer = self.ask(&self.invite(call_id), call_id, "1 INVITE", patience)?;
        self.acknowledge(call_id, &answer);
        let to = field(&answer, "To").to_owned();
        answer.starts_with("SIP/2.0 200").then(|| Call { id: call_id.to_owned(), to, cseq: 1 })
    }

    /// A request within a call; the first line of its answer.
    fn within(&self, call: &mut Call, method: &str) -> String {
        call.cseq += 1;
        let request = self.request(method, &call.id, call.cseq, &call.to, "");
        let answer = self.ask(&request, &call.id, &format!("{} {method}", call.cseq), FOR_EVER);
        answer.expect("an answer within a call").lines().next().unwrap_or_default().to_owned()
    }
}

const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";

/// A call that stands.
struct Call {
    id: String,
    to: String,
    cseq: u32,
}

/// The value of a header field.
fn field<'a>(message: &'a str, name: &str) -> &'a str {
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
struct Field {
    service: Service,
    calm: Neighbour,
    under_way: Call,
    listener: Child,
    before_kib: u64,
}

impl Field {
    fn new() -> Self {
        let service = Service::start_with(SETTINGS);
        let calm = Neighbour::at("127.0.0.1:0", &service.address);
        let under_way = calm.call("under-way", FOR_EVER).expect("answered");
        let uri = format!("sip:130@{}", service.address);
        let mut listener = service.caller(&uri, &["--identity", "+355672003456", "--keys", "9"]);
        let listener = listener.stdout(Stdio::null()).spawn().unwrap();
        // The other call's comes first.
        (0..2).for_each(|_| drop(service.line("\"answered\"")));
        let before_kib = memory_kib(&service, "VmRSS");
        Self { service, calm, under_way, listener, before_kib }
    }

    /// Floods with what `message` makes of each number, and looks now and then whether calls are still served.
    fn flood(&mut self, from: &Neighbour, message: impl Fn(usize) -> Vec<u8>) {
        for number in 0..MESSAGES {
            from.send(&message(number));
            if number % BETWEEN_LOOKS == 0 {
                assert_eq!(self.calm.within(&mut self.under_way, "OPTIONS"), "SIP/2.0 200 OK");
            }
        }
    }

    /// The flood is over. Gives what was counted.
    fn over(mut self) -> String {
        let clock = Clock::system();
        let start = clock.instant();
        // One who is refused, since calls of the flood are just ending, phones again.
        let new = (0..).find_map(|number| {
            let left = NEW_CALL_WITHIN.saturating_sub(clock.instant() - start);
            let call = self.calm.call(&format!("new-{number}"), left);
            call.map(Some).or_else(|| left.is_zero().then_some(None))
        });
        let mut new = new.flatten().expect("a new call is answered soon after the flood");
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
fn counted(log: &str, name: &str) -> usize {
    let mut words = log.split([' ', '"']);
    words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok()).unwrap_or(0)
}

#[test]
fn calls_that_a_peer_never_acknowledges() {
    let mut field = Field::new();
    let busy = Neighbour::at(BUSY, &field.service.address);
    field.flood(&busy, |number| busy.invite(&format!("flood-{number}")).into_bytes());
    let log = field.over();
    assert!(counted(&log, "refused_unacknowledged") > 0, "{log}");
    assert!(counted(&log, "sessions_accepted") <= 3 + MESSAGES / 10, "{log}");
}

#[test]
fn calls_that_a_stranger_never_acknowledges() {
    let mut field = Field::new();
    let stranger = Neighbour::at(STRANGER, &field.service.address);
    field.flood(&stranger, |number| stranger.invite(&format!("flood-{number}")).into_bytes());
    let log = field.over();
    assert_eq!(counted(&log, "sources_banned"), 1, "{log}");
    assert!(counted(&log, "dropped_banned") > MESSAGES / 2, "{log}");
}

#[test]
fn acks_that_belong_to_nothing() {
    let mut field = Field::new();
    let busy = Neighbour::at(BUSY, &field.service.address);
    let to = "<sip:131@127.0.0.1>;tag=0123456789abcdef0123456789abcdef";
    field.flood(&busy, |number| busy.request("ACK", &format!("flood-{number}"), 1, to, "").into_bytes());
    assert!(counted(&field.over(), "dropped_stray_ack") > MESSAGES / 2);
}

#[test]
fn responses_that_nobody_asked_for() {
    let mut field = Field::new();
    let busy = Neighbour::at(BUSY, &field.service.address);
    let (server, here) = (busy.server, busy.socket.local_addr().unwrap());
    field.flood(&busy, |number| {
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
    for neighbour in &neighbours {
        let whole = neighbour.invite("garbage").into_bytes();
        field.flood(neighbour, |number| {
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
    let busy = Neighbour::at(BUSY, &flooded.service.address);
    let mut standing: Vec<Call> = Vec::new();
    for batch in 0..MESSAGES / 100 {
        for number in 0..100 {
            busy.send(busy.invite(&format!("dialog-{batch}-{number}")).as_bytes());
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
        assert_eq!(flooded.calm.within(&mut flooded.under_way, "OPTIONS"), "SIP/2.0 200 OK");
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
