//! How fast keys are answered: calls that speak all the time and press a key every two seconds while a prompt plays; the
//! prompt is to stop with the key's first packet, and the next one to begin after its last.

use super::machine;
use super::peer::{Arrival, PTIME_MS, Peer, Ticker};
use super::{Callers, WARM_UP_MS, clip, engine, open};
use klikon::media::telephone_event::Event;
use klikon::media::{MediaEvent, Packet};
use klikon::units::clock::Clock;

/// Packets of a caller from one press to the next.
const CYCLE: u64 = 100;
/// Packets of a press before its end.
const UPDATES: u64 = 5;
/// A-law silence, which no prompt of the bench has.
const SILENCE: u8 = 0xd5;

/// What a caller has measured and waits for.
#[derive(Debug, Clone, Copy, Default)]
struct Caller {
    sequence: u16,
    /// When the press that is on began, ns, with the last packet of a prompt since.
    began: Option<(i64, Option<i64>)>,
    /// When the last press ended, ns, until its prompt comes.
    ended: Option<i64>,
}

/// Measures for so many seconds.
pub fn run(calls: usize, seconds: u64) -> std::io::Result<()> {
    println!(
        "\nkeys, {calls} calls that speak, a key every {} s each, {seconds} s",
        CYCLE * PTIME_MS / 1_000
    );
    let mut peer = Peer::new()?;
    let engine = engine(calls, Callers::Sampled);
    let thread = machine::thread("media-0");
    machine::pin(thread, 0);
    let streams = open(&engine, &mut peer, calls);
    // What answers a key: one task a call, as the service has it.
    let prompts: Vec<_> = (0..4).map(|number| clip(&engine, number)).collect();
    let answering = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async move {
            let mut tasks = Vec::new();
            for (stream, mut reports) in streams {
                let prompts = prompts.clone();
                tasks.push(tokio::spawn(async move {
                    let mut play = 0;
                    while let Some(event) = reports.recv().await {
                        if matches!(event, MediaEvent::Digit { .. }) {
                            play += 1;
                            // An engine that is overloaded answers late, which then shows.
                            let _ = stream.play(play, prompts.clone(), true);
                        }
                    }
                }));
            }
            for task in tasks {
                let _ = task.await;
            }
        });
    });
    let (clock, ticker) = (Clock::system(), Ticker::start()?);
    let mut callers = vec![Caller::default(); calls];
    let (mut answers_us, mut barge_ins_us, mut presses) = (Vec::new(), Vec::new(), 0_u64);
    let mut tick = 0;
    // The first presses start the prompts that the next ones interrupt.
    let counted_from = WARM_UP_MS + CYCLE * PTIME_MS;
    while tick < counted_from + seconds * 1_000 {
        for _ in 0..ticker.wait() {
            for call in ((tick % PTIME_MS) as usize..calls).step_by(PTIME_MS as usize) {
                let step = (tick / PTIME_MS + call as u64 * 37) % CYCLE;
                let now_ns = i64::try_from(clock.wall().as_nanosecond()).unwrap_or_default();
                if step == 0 {
                    callers[call].began = Some((now_ns, None));
                } else if step == UPDATES && callers[call].began.is_some() {
                    let (began, last) = callers[call].began.take().unwrap_or_default();
                    if tick >= counted_from {
                        presses += 1;
                        barge_ins_us.push(last.map_or(0, |last| (last - began).max(0) / 1_000));
                    }
                    callers[call].ended = Some(now_ns);
                }
                say(&mut peer, &mut callers[call], call, tick / PTIME_MS, step);
            }
            tick += 1;
        }
        peer.receive(|arrival| {
            hear(&mut callers[arrival.call], &arrival, |ns| {
                if tick >= counted_from {
                    answers_us.push(ns / 1_000);
                }
            });
        });
    }
    print("digit's first packet → last packet of the prompt", &mut barge_ins_us, presses);
    print("digit's first end packet → first packet of the next", &mut answers_us, presses);
    drop(engine);
    answering.join().unwrap_or_else(|_| panic!("the answering side broke"));
    Ok(())
}

/// A caller's packet: audio, or the key that is down.
fn say(peer: &mut Peer, caller: &mut Caller, call: usize, number: u64, step: u64) {
    if step > UPDATES {
        caller.sequence = caller.sequence.wrapping_add(1);
        peer.speak(call, caller.sequence.into());
        return;
    }
    let end = step == UPDATES;
    let event = Event { event: 5, end, volume: 10, duration: ((step + 1) * 160) as u16 };
    // A press has the timestamp of its beginning; its end goes out three times.
    for _ in 0..if end { 3 } else { 1 } {
        caller.sequence = caller.sequence.wrapping_add(1);
        let packet = Packet {
            payload_type: 101,
            marker: step == 0,
            sequence: caller.sequence,
            timestamp: (number.wrapping_sub(step) * 160) as u32,
            ssrc: call as u32 + 1,
            payload: &event.write(),
        };
        peer.send(call, &packet);
    }
}

fn hear(caller: &mut Caller, arrival: &Arrival<'_>, answered: impl FnOnce(i64)) {
    if arrival.packet.payload.contains(&SILENCE) {
        return;
    }
    if let Some((began, last)) = &mut caller.began
        && arrival.at_ns >= *began
    {
        *last = Some(arrival.at_ns);
    }
    if let Some(ended) = caller.ended.filter(|ended| arrival.at_ns >= *ended) {
        caller.ended = None;
        answered(arrival.at_ns - ended);
    }
}

fn print(what: &str, times_us: &mut [i64], presses: u64) {
    times_us.sort_unstable();
    let at = |share: f64| {
        let place = (times_us.len() as f64 * share) as usize;
        times_us.get(place.min(times_us.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    println!(
        "  {what}: {} of {presses} presses, p50 {} µs, p99 {} µs, worst {} µs",
        times_us.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
