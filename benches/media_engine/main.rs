//! What the media engine holds on one core: calls over real sockets on loopback, their packets' punctuality, processor
//! time, memory and descriptors, and how fast keys are answered; beside a bare loop in the same run.
//!
//! `cargo bench --bench media_engine` does everything with short measurements. Other numbers, for example:
//!
//!     cargo bench --bench media_engine -- one-way 6000 20
//!     cargo bench --bench media_engine -- two-way 4000 20
//!     cargo bench --bench media_engine -- keys 2000 30
//!
//! The engine's one worker keeps to the first core, everything else of this process to the second. The processor time is
//! the worker thread's, as the kernel accounts it; the punctuality is that of the worker at its own deadlines, and of the
//! kernel's time of arrival against the best grid of 20 ms that each stream shows.

mod bare;
mod keys;
mod machine;
mod peer;
mod ways;

use klikon::media::{
    CommandError, Element, Encoding, Engine, EngineCounters, EngineSettings, OpenError, PromptLibrary,
    SessionSettings, Stream, StreamParameters, TelephoneEvent,
};
use machine::Usage;
use peer::{PTIME_MS, Peer, Ticker};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Before anything counts.
const WARM_UP_MS: u64 = 1_000;
/// Clips of the library, two seconds each.
const CLIPS: usize = 24;

fn main() -> std::io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let number = |place: usize, default: usize| {
        arguments.get(place).and_then(|argument| argument.parse().ok()).unwrap_or(default)
    };
    println!("{}", machine::name());
    machine::pin(machine::this_thread(), 1);
    let which = arguments.first().map_or("all", String::as_str);
    let all = which == "all";
    if all || which == "one-way" {
        steady("one-way", number(1, 5_000), number(2, 5) as u64, Callers::Silent)?;
    }
    if all || which == "two-way" {
        steady("two-way", number(1, 4_000), number(2, 5) as u64, Callers::Sampled)?;
    }
    if all || which == "two-way-unfiltered" {
        steady("two-way-unfiltered", number(1, 4_000), number(2, 5) as u64, Callers::Read)?;
    }
    if all || which == "ways" {
        ways::run(number(1, 5_000))?;
    }
    if all || which == "keys" {
        keys::run(number(1, 2_000), number(2, 10) as u64)?;
    }
    Ok(())
}

fn library() -> Arc<PromptLibrary> {
    // Loud everywhere, so that no octet of a prompt is that of silence.
    let clip = |number: usize| {
        let samples = (0..32_000).map(|sample| 8_000 + (sample * (number + 3) % 9_001) as i16).collect();
        (format!("clip-{number}"), samples)
    };
    Arc::new(PromptLibrary::encode((0..CLIPS).map(clip)).unwrap_or_else(|error| panic!("{error}")))
}

/// What the callers send, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callers {
    /// Nothing.
    Silent,
    /// Audio, of which the kernel lets a sample pass.
    Sampled,
    /// Audio, of which every packet is read.
    Read,
}

fn engine(calls: usize, callers: Callers) -> Engine {
    let settings = EngineSettings {
        max_streams: calls,
        session: SessionSettings {
            initial_silence: Duration::ZERO,
            sample_audio: callers != Callers::Read,
            ..SessionSettings::default()
        },
        ..EngineSettings::default()
    };
    Engine::start(settings, library()).unwrap_or_else(|error| panic!("{error}"))
}

fn parameters(remote: SocketAddr) -> StreamParameters {
    StreamParameters {
        telephone_event: Some(TelephoneEvent::new(101, 8_000)),
        ptime_ms: PTIME_MS as u8,
        ..StreamParameters::new(remote, Encoding::Pcma, 8)
    }
}

fn clip(engine: &Engine, number: usize) -> Element {
    let id = format!("clip-{}", number % CLIPS);
    Element::Clip(engine.library().lookup(&id).unwrap_or_else(|| panic!("no {id}")))
}

type Opened = (Stream, mpsc::Receiver<klikon::media::MediaEvent>);

/// Opens a stream a call and starts it.
fn open(engine: &Engine, peer: &mut Peer, calls: usize) -> Vec<Opened> {
    (0..calls)
        .map(|call| {
            let (events, reports) = mpsc::channel(16);
            let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let stream = loop {
                match engine.open(here, klikon::media::Reach::Anywhere, events.clone()) {
                    Ok(stream) => break stream,
                    // The worker's queue is full: it takes its time.
                    Err(OpenError::Command(CommandError::Overloaded)) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            };
            peer.add(stream.local());
            while stream.start(parameters(peer.address(call))).is_err() {
                std::thread::yield_now();
            }
            (stream, reports)
        })
        .collect()
}

/// Calls that hear prompts all the time and, two-way, speak all the time.
fn steady(name: &str, calls: usize, seconds: u64, callers: Callers) -> std::io::Result<()> {
    println!("\n{name}, {calls} calls, {seconds} s");
    let mut peer = Peer::new()?;
    let unpaced = bare::unpaced(&mut peer, calls)?;
    let paced = bare::paced(&mut peer, calls, seconds.min(5))?;
    let engine = engine(calls, callers);
    let two_way = callers != Callers::Silent;
    let thread = machine::thread("media-0");
    machine::pin(thread, 0);
    let before = Usage::read();
    let streams = open(&engine, &mut peer, calls);
    for (call, (stream, _)) in streams.iter().enumerate() {
        let elements: Vec<_> =
            (0..seconds as usize / 2 + 8).map(|number| clip(&engine, call + number)).collect();
        while stream.play(1, elements.clone(), true).is_err() {
            std::thread::yield_now();
        }
    }
    let measured = run(&engine, &mut peer, seconds, two_way, thread)?;
    let usage = Usage::read();
    measured.print(calls, unpaced, paced);
    println!("  a call takes {}", usage.a_call(before, calls));
    if two_way {
        println!("  the callers sent {:.1} % of their packets", measured.callers_share * 100.0);
    }
    drop(streams);
    Ok(())
}

/// One run's figures.
struct Measured {
    counters: EngineCounters,
    worker: Duration,
    took: Duration,
    deviations_us: Vec<u32>,
    callers_share: f64,
}

fn run(
    engine: &Engine,
    peer: &mut Peer,
    seconds: u64,
    two_way: bool,
    thread: i32,
) -> std::io::Result<Measured> {
    let clock = klikon::units::clock::Clock::system();
    let ticker = Ticker::start()?;
    let (mut tick, mut sent_before) = (0, 0);
    let mut samples = Vec::with_capacity(peer.calls() * (seconds as usize * 50 + 10));
    let mut start = (clock.instant(), machine::thread_time(thread), engine.counters());
    let mut counting = false;
    while tick < WARM_UP_MS + seconds * 1_000 {
        for _ in 0..ticker.wait() {
            if two_way {
                for call in ((tick % PTIME_MS) as usize..peer.calls()).step_by(PTIME_MS as usize) {
                    peer.speak(call, tick / PTIME_MS);
                }
            }
            tick += 1;
        }
        peer.receive(|arrival| {
            if counting {
                samples.push((arrival.call as u32, arrival.packet.timestamp, arrival.at_ns));
            }
        });
        if !counting && tick >= WARM_UP_MS {
            counting = true;
            sent_before = peer.sent;
            start = (clock.instant(), machine::thread_time(thread), engine.counters());
        }
    }
    let took = clock.instant() - start.0;
    let (before, after) = (start.2, engine.counters());
    let expected = peer.calls() as f64 * took.as_secs_f64() * 1e3 / PTIME_MS as f64;
    Ok(Measured {
        counters: EngineCounters {
            sent_within_1_ms: after.sent_within_1_ms - before.sent_within_1_ms,
            sent_within_20_ms: after.sent_within_20_ms - before.sent_within_20_ms,
            sent_later: after.sent_later - before.sent_later,
            ..after
        },
        worker: machine::thread_time(thread) - start.1,
        took,
        deviations_us: deviations(peer.calls(), &samples),
        callers_share: (peer.sent - sent_before) as f64 / expected,
    })
}

/// How much later than its call's own grid each packet came, µs, sorted: a stream's earliest packet is on time.
fn deviations(calls: usize, samples: &[(u32, u32, i64)]) -> Vec<u32> {
    let mut first = vec![None; calls];
    let mut earliest = vec![i64::MAX; calls];
    let late = |first: u32, timestamp: u32, at_ns: i64| {
        at_ns - i64::from(timestamp.wrapping_sub(first).cast_signed()) * 125_000
    };
    for &(call, timestamp, at_ns) in samples {
        let call = call as usize;
        let first = *first[call].get_or_insert(timestamp);
        earliest[call] = earliest[call].min(late(first, timestamp, at_ns));
    }
    let mut deviations: Vec<_> = samples
        .iter()
        .map(|&(call, timestamp, at_ns)| {
            let call = call as usize;
            ((late(first[call].unwrap_or(timestamp), timestamp, at_ns) - earliest[call]) / 1_000) as u32
        })
        .collect();
    deviations.sort_unstable();
    deviations
}

impl Measured {
    fn print(&self, calls: usize, unpaced: f64, paced: f64) {
        let EngineCounters { sent_within_1_ms, sent_within_20_ms, sent_later, .. } = self.counters;
        let sent = sent_within_1_ms + sent_within_20_ms + sent_later;
        let us = self.worker.as_secs_f64() * 1e6 / sent as f64;
        let share = self.worker.as_secs_f64() / self.took.as_secs_f64();
        println!("  bare send loop, as fast as it goes   {unpaced:6.2} µs a packet");
        println!("  bare send loop, each in its turn     {paced:6.2} µs a packet");
        println!(
            "  the engine's worker                  {us:6.2} µs a packet: {:.2} x, {:.2} x; {:.0} % of a core: {:.0} calls a core",
            us / unpaced,
            us / paced,
            share * 100.0,
            calls as f64 / share
        );
        let part = |count: u64| count as f64 * 100.0 / sent as f64;
        println!(
            "  at the sender: {sent} sent, {:.3} % over 1 ms after their deadline, {:.3} % over 20 ms",
            part(sent_within_20_ms + sent_later),
            part(sent_later)
        );
        let at = |share: f64| {
            let place = (self.deviations_us.len() as f64 * share) as usize;
            self.deviations_us
                .get(place.min(self.deviations_us.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        };
        let over = self.deviations_us.len() - self.deviations_us.partition_point(|&us| us <= 20_000);
        println!(
            "  at the receiver: {} came, p50 {} µs, p99 {} µs, p99.9 {} µs, worst {} µs; {:.3} % over 20 ms",
            self.deviations_us.len(),
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            over as f64 * 100.0 / self.deviations_us.len().max(1) as f64
        );
    }
}
