//! What each codec costs: at load, in memory, and a packet. `cargo bench --bench codecs --features amr,opus`.

use klikon::media::{
    Element, Encoding, Form, Identity, MAX_TRANSMIT_OCTETS, PromptCache, PromptLibrary, Session,
    SessionSettings, StreamParameters,
};
use klikon::units::amr::{AmrParameters, ModeSet};
use klikon::units::clock::Clock;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Packets in one run of a measurement.
const PACKETS: u32 = 100_000;
/// Runs, of which the fastest counts: the machine's other work only ever adds.
const RUNS: usize = 5;
const PTIME: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let prompts = klikon::speech::load(Path::new("prompts/sq"))?;
    let clips = || prompts.clips().map(|(id, clip)| (id.to_owned(), clip.samples.clone()));
    let seconds = clips().map(|(_, samples)| samples.len() as f64 / 16_000.0).sum::<f64>();
    let folder = tempfile::tempdir()?;
    let cache = PromptCache::new(folder.path());
    println!(
        "{} prompts, {seconds:.0} s, {:?} processors",
        clips().count(),
        std::thread::available_parallelism()
    );
    for encoding in Encoding::ALL.into_iter().filter(|encoding| encoding.is_built()) {
        let modes: Vec<u8> = ModeSet::all(encoding).modes().collect();
        let forms: Vec<Form> = if modes.is_empty() { vec![0] } else { modes }
            .into_iter()
            .map(|mode| Form::new(encoding, mode))
            .collect();
        let start = clock.instant();
        let library = PromptLibrary::encode_or_read(clips(), &forms, Some(&cache))?;
        let first = clock.instant() - start;
        let start = clock.instant();
        PromptLibrary::encode_or_read(clips(), &forms, Some(&cache))?;
        let again = clock.instant() - start;
        let octets = library.octets();
        let packet = packet_cost(clock, encoding, Arc::new(library));
        println!(
            "{:7} {} forms: {:6.2} s at the first start, {:5.2} s then; {:6.0} octets a second of prompt, {:5.2} MB; {:4.0} ns a packet",
            encoding.name(),
            forms.len(),
            first.as_secs_f64(),
            again.as_secs_f64(),
            octets as f64 / seconds,
            octets as f64 / 1e6,
            packet.as_secs_f64() * 1e9 / f64::from(PACKETS),
        );
    }
    Ok(())
}

/// The fastest of some runs of a stream that plays prompts all the time.
fn packet_cost(clock: Clock, encoding: Encoding, library: Arc<PromptLibrary>) -> Duration {
    let amr = matches!(encoding, Encoding::Amr | Encoding::AmrWb);
    let parameters = StreamParameters {
        amr: amr.then_some(AmrParameters::unrestricted(encoding)),
        ..StreamParameters::new(([127, 0, 0, 1], 9).into(), encoding, 96)
    };
    let elements: Vec<Element> = library.clips().map(|(index, _)| Element::Clip(index)).collect();
    let all: Vec<Element> = elements.iter().copied().cycle().take(PACKETS as usize).collect();
    let run = || {
        let settings = SessionSettings {
            initial_silence: Duration::ZERO,
            rtp_timeout: None,
            ..SessionSettings::default()
        };
        let identity = Identity { ssrc: 1, sequence: 1, timestamp: 1 };
        let mut session =
            Session::new(settings, klikon::media::Reach::Anywhere, library.clone(), identity, None);
        let start = clock.instant();
        session.start(start, parameters);
        session.play(1, all.clone(), false);
        let (mut now, mut buffer) = (start, [0; MAX_TRANSMIT_OCTETS]);
        let began = clock.instant();
        for _ in 0..PACKETS {
            black_box(session.poll_transmit(now, &mut buffer));
            now += PTIME;
        }
        clock.instant() - began
    };
    (0..RUNS).map(|_| run()).min().unwrap_or_default()
}
