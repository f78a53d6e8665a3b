//! What a call costs over real sockets: the endpoint and its UDP driver on one thread, called over loopback by the load
//! caller on another. Run with `cargo bench --bench sip_udp`, with a rate and a number of calls if other ones are wanted:
//! `cargo bench --bench sip_udp -- 7000 70000`.
//!
//! The processor time of the server's thread is what counts, as the kernel accounts it (`/proc/thread-self/schedstat`):
//! one core serves as many calls a second as fit into it, whatever else the machine does. Beside it, in the same run, a
//! bare loop receives and sends datagrams of the same number and about the same size.

use klikon::call::load::{self, LoadSettings, SharedTally};
use klikon::capture::{Capture, HomerSettings, TraceSettings};
use klikon::net::{Driver, Handler, Tap, UdpTransport};
use klikon::sip::{Endpoint, EndpointConfig, Event, Limits};
use klikon::units::clock::Clock;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";
const RATE: f64 = 7000.0;
const CALLS: u64 = 35_000;
/// Calls of the bare loop whose datagrams wait at once.
const WINDOW: usize = 32;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<f64>().ok());
    let rate = numbers.next().unwrap_or(RATE);
    let calls = numbers.next().map_or(CALLS, |calls| calls as u64);
    let bare = bare(calls);
    println!("{calls} calls at {rate} a second");
    println!("bare loop            {}", cost(bare, calls));
    uas("endpoint and driver", rate, calls, Tap::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let _entered = runtime.enter();
    let trace = TraceSettings { socket: PathBuf::new(), ..TraceSettings::default() };
    let capture =
        Capture::start(&HomerSettings::default(), &trace, Clock::system(), tokio::sync::mpsc::channel(1).0);
    uas("with the record of calls", rate, calls, capture.tap());
}

fn cost(time: Duration, calls: u64) -> String {
    let call_us = time.as_secs_f64() * 1e6 / calls as f64;
    format!("{call_us:6.1} µs of processor a call: {:6.0} calls a second on one core", 1e6 / call_us)
}

/// The processor time of this thread so far.
fn spent() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_else(|error| panic!("{error}"));
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.unwrap_or_else(|| panic!("{text}")))
}

/// Answers every call at once.
struct Uas;

impl Handler for Uas {
    type Command = ();

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        if let Event::Invite(invite) = event {
            let accepted = endpoint.accept(now, invite.session, ANSWER.to_vec());
            assert_eq!(accepted, Ok(()));
        }
    }

    fn command(&mut self, _: Instant, _: &mut Endpoint, (): ()) {}

    fn finished(&self, _: &Endpoint) -> bool {
        false
    }
}

/// The endpoint and its driver on a thread, until the sender of commands is dropped.
fn serve(tap: Tap) -> (SocketAddr, mpsc::Sender<()>, Receiver<Duration>) {
    let (told, address) = channel();
    let (done, time) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async {
            let transport = UdpTransport::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))]);
            let transport = transport.unwrap_or_else(|error| panic!("{error}"));
            let limits = Limits {
                max_server_transactions: 4_000_000,
                max_client_transactions: 4_000_000,
                max_sessions: 1_000_000,
                ..Limits::default()
            };
            let endpoint = Endpoint::new(EndpointConfig { limits, ..EndpointConfig::new([1; 32]) });
            let (commands, waiting) = mpsc::channel(1);
            let _ = told.send((transport.addresses()[0], commands));
            let began = spent();
            Driver::new(transport, endpoint, Uas, waiting, Clock::system()).with_tap(tap).run().await;
            let _ = done.send(spent() - began);
        });
    });
    let (address, commands) = address.recv().unwrap_or_else(|error| panic!("{error}"));
    (address, commands, time)
}

fn uas(name: &str, rate: f64, calls: u64, tap: Tap) {
    let (remote, commands, time) = serve(tap);
    let settings = LoadSettings {
        remote,
        transport: klikon::sip::Transport::Udp,
        server_ca: None,
        request_uri: format!("sip:130@{remote}"),
        identity: Some("tel:+355672123456".to_owned()),
        from: None,
        rate,
        calls,
        hold: Duration::ZERO,
    };
    let (_stop, stopped) = watch::channel(false);
    let (tally, clock) = (SharedTally::default(), Clock::system());
    let caller = tally.clone();
    let began = clock.instant();
    let calling = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
        let before = spent();
        let made = runtime.block_on(load::run(&settings, caller, clock, stopped));
        made.unwrap_or_else(|error| panic!("{error}"));
        spent() - before
    });
    let caller_time = calling.join().unwrap_or_else(|_| panic!("the caller broke"));
    let took = clock.instant() - began;
    drop(commands);
    let time = time.recv().unwrap_or_else(|error| panic!("{error}"));
    let tally = tally.read();
    println!("{name:20} {}", cost(time, calls));
    println!(
        "  {:.0} calls a second made; {} of {calls} ended in good order; INVITE to 200 p50 {:?}, p99 {:?}; the caller: {:.1} µs a call",
        calls as f64 / took.as_secs_f64(),
        tally.completed,
        tally.answer.percentile(50),
        tally.answer.percentile(99),
        caller_time.as_secs_f64() * 1e6 / calls as f64
    );
}

/// Three datagrams in and three out a call, and nothing else.
fn bare(calls: u64) -> Duration {
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap_or_else(|error| panic!("{error}"));
    let (server, caller) = (bind(), bind());
    let address = server.local_addr().unwrap_or_else(|error| panic!("{error}"));
    let serving = std::thread::spawn(move || {
        let (mut buffer, reply) = (vec![0; 65_535], [b'r'; 600]);
        let before = spent();
        for _ in 0..calls / WINDOW as u64 * WINDOW as u64 * 3 {
            let Ok((_, from)) = server.recv_from(&mut buffer) else { break };
            let replies: &[usize] = match buffer[0] {
                b'I' => &[350, 600],
                b'B' => &[350],
                _ => &[],
            };
            for octets in replies {
                let _ = server.send_to(&reply[..*octets], from);
            }
        }
        spent() - before
    });
    let mut buffer = vec![0; 65_535];
    let mut exchange = |requests: &[(u8, usize)], replies: usize| {
        for _ in 0..WINDOW {
            for (first, octets) in requests {
                let mut request = [b'x'; 800];
                request[0] = *first;
                let sent = caller.send_to(&request[..*octets], address);
                sent.unwrap_or_else(|error| panic!("{error}"));
            }
        }
        for _ in 0..replies * WINDOW {
            let received = caller.recv(&mut buffer);
            received.unwrap_or_else(|error| panic!("{error}"));
        }
    };
    for _ in 0..calls / WINDOW as u64 {
        exchange(&[(b'I', 800)], 2);
        exchange(&[(b'A', 400), (b'B', 450)], 1);
    }
    serving.join().unwrap_or_else(|_| panic!("the loop broke"))
}
