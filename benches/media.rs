//! What a packet costs: the session's own work beside the bare system call, in one run. `cargo bench --bench media`.

use klikon::media::telephone_event::Event;
use klikon::media::tone::ToneSender;
use klikon::media::{
    Element, Encoding, Identity, MAX_TRANSMIT_OCTETS, Packet, PromptLibrary, Reach, Session, SessionSettings,
    StreamParameters, TelephoneEvent,
};
use klikon::units::clock::Clock;
use klikon::units::rtp::Redundancy;
use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets in one run of a measurement.
const PACKETS: u32 = 5_000;
/// Runs, of which the fastest counts: the machine's other work only ever adds. Many short ones find one that was let alone.
const RUNS: usize = 140;
const PTIME: Duration = Duration::from_millis(20);

fn main() -> std::io::Result<()> {
    let clock = Clock::system();
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    let remote = sink.local_addr()?;
    let connected = UdpSocket::bind("127.0.0.1:0")?;
    connected.connect(remote)?;
    let unconnected = UdpSocket::bind("127.0.0.1:0")?;
    let packet = [0xd5; 172];

    let start = clock.instant();
    let nothing = || session(start, remote);
    let bare = fastest(clock, nothing, |_| {
        (0..PACKETS).for_each(|_| drop(black_box(connected.send(black_box(&packet)))));
    });
    row("bare send on a connected socket", bare, bare);
    let bare_to = fastest(clock, nothing, |_| {
        (0..PACKETS).for_each(|_| drop(black_box(unconnected.send_to(black_box(&packet), remote))));
    });
    row("bare send_to", bare_to, bare);
    let made = fastest(clock, nothing, |session| {
        play(session, start, |octets| {
            black_box(octets);
        });
    });
    row("session: one packet of a prompt", made, bare);
    let sent = fastest(clock, nothing, |session| {
        play(session, start, |octets| drop(black_box(unconnected.send_to(octets, remote))));
    });
    row("session: the same, with send_to", sent, bare);
    let read = fastest(clock, nothing, |session| keys(session, start, remote));
    row("session: telephone-event packet read", read, bare);
    let silence = [[0xd5; 160]];
    let heard = fastest(clock, nothing, |session| audio(session, start, remote, &silence));
    row("session: audio packet read", heard, bare);
    let red = || {
        let mut session = session(start, remote);
        let redundancy = Some(Redundancy::new(121));
        session.start(start, StreamParameters { redundancy, ..parameters(remote) });
        session
    };
    let heard = fastest(clock, red, |session| redundant(session, start, remote));
    row("session: the same, repeated once (RFC 2198)", heard, bare);
    let in_band = || {
        let mut session = session(start, remote);
        session.start(start, StreamParameters { telephone_event: None, ..parameters(remote) });
        session
    };
    let heard = fastest(clock, in_band, |session| audio(session, start, remote, &silence));
    row("session: silence searched for tones", heard, bare);
    let heard = fastest(clock, in_band, |session| audio(session, start, remote, &tones()));
    row("session: tones searched for keys", heard, bare);
    println!("in-band keys: 100 calls take {:.2} % of a core", heard * 50.0 * 100.0 / 1e9 * 100.0);
    let noise = noise();
    let heard = fastest(clock, in_band, |session| audio(session, start, remote, &noise));
    row("session: noise searched for tones", heard, bare);
    println!("one session takes {} octets, without its heap", size_of::<Session>());
    Ok(())
}

/// Audio in redundant payloads: that of the packet before, and its own.
fn redundant(session: &mut Session, start: Instant, remote: SocketAddr) {
    let payload = [&[0x88, 0x02, 0x80, 0xa0, 0x08][..], &[0xd5; 320]].concat();
    let mut octets = [0; 340];
    for number in 0..PACKETS {
        let (sequence, timestamp) = (number as u16, number * 160);
        let packet =
            Packet { payload_type: 121, marker: false, sequence, timestamp, ssrc: 9, payload: &payload };
        let length = packet.write(&mut octets);
        session.handle_packet(start + PTIME * number, remote, black_box(&octets[..length]));
    }
    assert_eq!(session.statistics().accepted, u64::from(PACKETS));
}

/// ns a packet in the fastest run; making the session does not count.
fn fastest(clock: Clock, make: impl Fn() -> Session, mut run: impl FnMut(&mut Session)) -> f64 {
    (0..RUNS)
        .map(|_| {
            let mut session = make();
            let start = clock.instant();
            run(&mut session);
            clock.instant().duration_since(start).as_secs_f64() * 1e9 / f64::from(PACKETS)
        })
        .fold(f64::INFINITY, f64::min)
}

fn row(what: &str, ns: f64, bare: f64) {
    println!("{what:<40} {ns:>9.1} ns  {:>6.2} x bare send", ns / bare);
}

fn session(start: Instant, remote: SocketAddr) -> Session {
    // Ten seconds.
    let samples = (0..160_000).map(|sample| (sample % 7_001) as i16 * 4).collect();
    let library = PromptLibrary::encode([("speech".to_owned(), samples)]).unwrap_or_default();
    let speech = library.lookup("speech").map(Element::Clip);
    let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
    let identity = Identity { ssrc: 1, sequence: 0, timestamp: 0 };
    let mut session = Session::new(settings, Reach::Anywhere, Arc::new(library), identity, None);
    session.start(start, parameters(remote));
    session.play(1, speech.into_iter().cycle().take(PACKETS as usize).collect(), false);
    session
}

fn parameters(remote: SocketAddr) -> StreamParameters {
    let event = TelephoneEvent::new(101, 8_000);
    StreamParameters { telephone_event: Some(event), ..StreamParameters::new(remote, Encoding::Pcma, 8) }
}

/// The keys 1 to 9, pressed for 100 ms with 60 ms between them.
fn tones() -> Vec<[u8; 160]> {
    let mut sender = ToneSender::default();
    assert!("123456789".chars().all(|key| sender.push(key, 100, 60)));
    let mut packets = Vec::new();
    while !sender.is_idle() {
        let mut payload = [0xd5; 160];
        sender.fill(Encoding::Pcma, &mut payload);
        packets.push(payload);
    }
    packets
}

fn noise() -> Vec<[u8; 160]> {
    let mut state = 1_u32;
    let mut octet = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..50).map(|_| std::array::from_fn(|_| octet())).collect()
}

fn play(session: &mut Session, mut now: Instant, mut send: impl FnMut(&[u8])) {
    let mut buffer = [0; MAX_TRANSMIT_OCTETS];
    for _ in 0..PACKETS {
        if let Some(transmit) = session.poll_transmit(now, &mut buffer) {
            send(buffer.get(..transmit.octets).unwrap_or_default());
        }
        now += PTIME;
    }
}

/// Presses of eight packets each.
fn keys(session: &mut Session, mut now: Instant, remote: SocketAddr) {
    let mut buffer = [0; 64];
    for number in 0..PACKETS {
        let (press, part) = (number / 8, number % 8 + 1);
        let duration = part.min(6) as u16 * 160;
        let payload = Event { event: (press % 12) as u8, end: part > 5, volume: 10, duration }.write();
        let packet = Packet {
            payload_type: 101,
            marker: part == 1,
            sequence: number as u16,
            timestamp: press * 1_600,
            ssrc: 7,
            payload: &payload,
        };
        let length = packet.write(&mut buffer);
        session.handle_packet(now, remote, black_box(buffer.get(..length).unwrap_or_default()));
        while session.poll_event().is_some() {}
        now += PTIME;
    }
}

fn audio(session: &mut Session, mut now: Instant, remote: SocketAddr, payloads: &[[u8; 160]]) {
    let mut buffer = [0; 200];
    for (number, payload) in (0..PACKETS).zip(payloads.iter().cycle()) {
        let packet = Packet {
            payload_type: 8,
            marker: false,
            sequence: number as u16,
            timestamp: number * 160,
            ssrc: 7,
            payload,
        };
        let length = packet.write(&mut buffer);
        session.handle_packet(now, remote, black_box(buffer.get(..length).unwrap_or_default()));
        while session.poll_event().is_some() {}
        now += PTIME;
    }
}
