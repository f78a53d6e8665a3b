//! What it costs to refuse, and how many calls come to a good end when ten times more come than the service is set to
//! take. `cargo bench --bench overload`, or `cargo bench --bench overload -- 300` for a service set to 300 calls a second.
//!
//! The first part measures the endpoint by itself. The second runs `klikon serve` as a command with a ledger in a
//! temporary folder, and phones its loop over loopback: INVITE, ACK, BYE, at a pace that does not wait for answers.

use klikon::sip::endpoint::{Endpoint, EndpointConfig, Event, Limits};
use klikon::sip::overload::{Guard, PeerShare, Settings};
use klikon::sip::transport::{Flow, Transport};
use klikon::units::clock::Clock;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const INVITE: &str = include_str!("../sip-tests/messages/invite.sip");
const MESSAGES: u32 = 20_000;
const ROUNDS: u32 = 10;
/// How long calls come in the second part, and how long their ends are waited for.
const LOAD: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(3);
/// New calls a second that the service is set to take, unless the command line says otherwise.
const USUAL_RATE: u32 = 200;

fn main() {
    println!("the endpoint, best of {ROUNDS} rounds of {MESSAGES} INVITEs:");
    let peers = vec![PeerShare {
        addresses: vec!["192.0.2.9/32".parse().unwrap_or_else(|error| panic!("{error}"))],
        ..PeerShare::default()
    }];
    let guard = Guard {
        max_messages_per_s: Some(1),
        message_burst: 1,
        offences_per_minute: 1,
        ban: Duration::from_secs(60),
        ban_max: Duration::from_secs(60),
        max_sources: 16_384,
    };
    let open = || Settings { peers: peers.clone(), guard: Some(guard), ..Settings::open() };
    let full = Limits { max_sessions: 0, ..Limits::default() };
    refusals("refused by the limiter", Settings { max_calls_per_s: Some(1), ..open() }, Limits::default());
    refusals("refused by the ladder's last step", open(), full);
    refusals("dropped, its source banned", Settings { peers: Vec::new(), ..open() }, Limits::default());
    let rate = std::env::args().nth(1).and_then(|rate| rate.parse().ok()).unwrap_or(USUAL_RATE);
    println!("`klikon serve`, set to {rate} calls a second:");
    for (limit, times) in [(rate, 1), (rate, 10), (0, 1), (0, 10)] {
        live(limit, rate, times);
    }
}

/// INVITEs that are all refused or dropped, but for the first.
fn refusals(what: &str, overload: Settings, limits: Limits) {
    let clock = Clock::system();
    let flow = Flow {
        transport: Transport::Udp,
        local: ([192, 0, 2, 1], 5060).into(),
        remote: ([192, 0, 2, 9], 5060).into(),
    };
    let config = EndpointConfig { overload, limits, ..EndpointConfig::new([1; 32]) };
    let mut endpoint = Endpoint::new(config);
    let now = clock.instant();
    let invites: Vec<Vec<u8>> = (0..MESSAGES)
        .map(|number| INVITE.replace("branch=z9hG4bK", &format!("branch=z9hG4bK{number}")).into_bytes())
        .collect();
    let (mut best, mut sent) = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let start = clock.instant();
        sent = 0;
        for invite in &invites {
            endpoint.handle_datagram(now, flow, invite);
            while endpoint.poll_transmit().is_some() {
                sent += 1;
            }
            while let Some(event) = endpoint.poll_event() {
                assert!(matches!(event, Event::Invite(_)));
            }
        }
        best = best.min(clock.instant() - start);
    }
    println!("  {what}: {:.2} µs each, {sent} answers", best.as_secs_f64() * 1e6 / f64::from(MESSAGES));
}

/// A service as a command.
struct Service {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(limit: u32) -> std::io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let settings = format!(
            "numbers = {{ 131 = \"line-test\" }}\n[sip]\nlisten = [\"127.0.0.1:0\"]\nmax_transactions = 1000000\n\
             [calls]\nmax = 5000\n[overload]\nmax_calls_per_s = {limit}\ncall_burst = 20\nmax_unacknowledged = 100000\n\
             [log]\nlevel = \"error\"\n[files]\ndialplans = {:?}\nprompts = {:?}\n",
            root.join("dialplans"),
            root.join("prompts")
        );
        std::fs::write(folder.path().join("klikon.toml"), settings)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
        command.arg("serve").current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| std::io::Error::other(format!("the service said: {line}")))?;
        Ok(Self { child, address, _folder: folder })
    }

    /// Processor time it has used, hundredths of a second.
    fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        after_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }
}

/// Calls at `times` the rate to a service with this limit; 0 is none.
fn live(limit: u32, rate: u32, times: u32) {
    let service = Service::start(limit).unwrap_or_else(|error| panic!("{error}"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let socket = socket2::Socket::from(socket);
    let _ = socket.set_recv_buffer_size(4 << 20);
    let socket = UdpSocket::from(socket);
    socket.set_nonblocking(true).unwrap_or_else(|error| panic!("{error}"));
    let callers = Callers { socket, server: service.address };
    let (before, clock) = (service.cpu_ticks(), Clock::system());
    let (start, mut next) = (clock.instant(), 0);
    let calls = rate * times * u32::try_from(LOAD.as_secs()).unwrap_or(1);
    let (mut good, mut refused) = (HashSet::new(), 0);
    while clock.instant() - start < LOAD + REST {
        let due = ((clock.instant() - start).as_secs_f64() * f64::from(rate * times)) as u32;
        while next < due.min(calls) {
            callers.send("INVITE", next, 1, None);
            next += 1;
        }
        while let Some(answer) = callers.hear() {
            match (answer.status.as_str(), answer.method.as_str()) {
                ("200", "INVITE") => {
                    callers.send("ACK", answer.call, 1, Some(&answer.to));
                    callers.send("BYE", answer.call, 2, Some(&answer.to));
                }
                ("200", "BYE") => drop(good.insert(answer.call)),
                ("503", "INVITE") => {
                    refused += 1;
                    callers.send("ACK", answer.call, 1, Some(&answer.to));
                }
                _ => {}
            }
        }
        std::thread::yield_now();
    }
    let limit = if limit == 0 { "without a limit".to_owned() } else { format!("limit {limit}/s") };
    println!(
        "  {limit}, {}/s offered: {:.1}/s came to a good end, {:.1} % of {rate}/s; {refused} refused of {calls}; {} ms of CPU",
        rate * times,
        good.len() as f64 / LOAD.as_secs_f64(),
        good.len() as f64 / LOAD.as_secs_f64() / f64::from(rate) * 100.0,
        (service.cpu_ticks() - before) * 10
    );
}

struct Callers {
    socket: UdpSocket,
    server: SocketAddr,
}

struct Answer {
    status: String,
    method: String,
    call: u32,
    to: String,
}

impl Callers {
    /// A request of call `number`; `to` is its To once it has a tag.
    fn send(&self, method: &str, number: u32, cseq: u32, to: Option<&str>) {
        let sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n";
        let body = if method == "INVITE" { sdp } else { "" };
        let content = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let message = format!(
            "{method} sip:131@{0} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bK{method}{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@127.0.0.1>;tag=1\r\nTo: {1}\r\nCall-ID: {number}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:a@127.0.0.1>\r\n{content}Content-Length: {2}\r\n\r\n{body}",
            self.server,
            to.unwrap_or("<sip:131@127.0.0.1>"),
            body.len()
        );
        let _ = self.socket.send_to(message.as_bytes(), self.server);
    }

    fn hear(&self) -> Option<Answer> {
        let mut octets = [0; 4096];
        let (length, _) = self.socket.recv_from(&mut octets).ok()?;
        let text = String::from_utf8_lossy(&octets[..length]);
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        Some(Answer {
            status: text.split(' ').nth(1)?.to_owned(),
            method: field("CSeq: ")?.split(' ').nth(1)?.to_owned(),
            call: field("Call-ID: ")?.parse().ok()?,
            to: field("To: ")?,
        })
    }
}
