//! Presses at random through networks that lose, double, delay and reorder, into a real media session, in virtual time. What was
//! sent and what arrived says what must be heard (`oracle`); everything follows from a seed, which is the number of the case
//! and of the call.
//!
//! `KLIKON_PRESSES=100000` says how many presses a case has; `KLIKON_SEED=7` runs one call, and shows its keys' packets.

mod caller;
mod gstreamer;
mod network;
mod oracle;

use caller::{AUDIO_PAYLOAD_TYPE, EVENT_PAYLOAD_TYPE, Habit, REDUNDANT_PAYLOAD_TYPE, Sent};
use klikon::media::telephone_event::key_of;
use klikon::media::{
    Encoding, Identity, MAX_TRANSMIT_OCTETS, MediaEvent, PromptLibrary, Reach, Session, SessionSettings,
    StreamParameters, TelephoneEvent,
};
use klikon::units::clock::Clock;
use klikon::units::rtp::Redundancy;
use network::{Delay, Loss};
use oracle::{Fate, fates, is_right, untold_seams};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Presses of a case among the other tests.
const PRESSES: u64 = 10_000;
/// Presses of a call.
const PRESSES_OF_A_CALL: usize = 25;
/// Every press is over for the service so long after its last packet.
const SETTLED_MS: u32 = 1_000;
/// Audio that nobody listens to is dropped by the kernel, but for these of so many sequence numbers.
const SAMPLED: (u16, u16) = (2, 128);

#[derive(Debug, Clone, Copy)]
struct Case {
    repeats: bool,
    loss: Loss,
    delay: Delay,
}

/// What came of the presses of a case.
#[derive(Debug, Default)]
struct Outcome {
    presses: usize,
    lost: usize,
    overtaken: usize,
    /// Long presses of which a part cannot be told from a press of its own.
    parted: usize,
    heard: usize,
    /// Calls in which anything was wrong.
    wrong: Vec<String>,
}

fn cases(repeats: bool) -> Vec<Case> {
    let losses = [(0.0, false), (1.0, false), (5.0, false), (20.0, false), (5.0, true), (20.0, true)];
    let delays = [Delay::Even, Delay::Queue, Delay::Overtaking, Delay::Storm];
    let with =
        |delay| losses.map(|(percent, in_bursts)| Case { repeats, loss: Loss { percent, in_bursts }, delay });
    delays.into_iter().flat_map(with).collect()
}

/// The service's side of a call.
struct Service {
    origin: Instant,
    session: Session,
    began: usize,
    heard: Vec<char>,
}

impl Service {
    fn new(peer: SocketAddr, habit: Habit) -> Self {
        let Habit { clock_hz, repeats, .. } = habit;
        let library = Arc::new(PromptLibrary::encode([]).expect("no clips are no mistake"));
        let identity = Identity { ssrc: 1, sequence: 65_530, timestamp: 7 };
        let mut session = Session::new(SessionSettings::default(), Reach::Anywhere, library, identity, None);
        let origin = Clock::system().instant();
        let encoding = match clock_hz {
            16_000 => Encoding::AmrWb,
            48_000 => Encoding::Opus,
            _ => Encoding::Pcma,
        };
        session.start(
            origin,
            StreamParameters {
                telephone_event: Some(TelephoneEvent::new(EVENT_PAYLOAD_TYPE, clock_hz)),
                redundancy: repeats.then_some(Redundancy::new(REDUNDANT_PAYLOAD_TYPE)),
                // What it sends is of no interest, and costs more than what it hears.
                ptime_ms: 60,
                ..StreamParameters::new(peer, encoding, AUDIO_PAYLOAD_TYPE)
            },
        );
        Self { origin, session, began: 0, heard: Vec::new() }
    }

    /// Lets time go on.
    fn pass(&mut self, until_ms: u32) {
        let until = self.origin + Duration::from_millis(until_ms.into());
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        while let Some(due) = self.session.deadline().filter(|due| *due <= until) {
            while self.session.poll_transmit(due, &mut buffer).is_some() {}
            self.listen();
        }
    }

    fn take(&mut self, at_ms: u32, peer: SocketAddr, octets: &[u8]) {
        self.pass(at_ms);
        self.session.handle_packet(self.origin + Duration::from_millis(at_ms.into()), peer, octets);
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                MediaEvent::DigitBegan { .. } => self.began += 1,
                MediaEvent::Digit { digit, .. } => {
                    self.heard.push(digit);
                    assert_eq!(
                        self.began,
                        self.heard.len(),
                        "a press begins before it ends, and before the next"
                    );
                }
                _ => {}
            }
        }
    }
}

/// Prints a packet of keys, and how many presses were heard before it.
fn show(at_ms: u32, sent: &Sent, service: &Service) {
    if !sent.tells.is_empty() {
        let (header, payload) = sent.octets.split_at(12);
        println!("{at_ms} ms: {header:02x?} {payload:02x?}, {:?}, heard {}", sent.tells, service.began);
    }
}

/// One call of a case.
fn run(case: Case, seed: u64, is_shown: bool, outcome: &mut Outcome) {
    let mut random = StdRng::seed_from_u64(seed);
    let habit = Habit::any(&mut random, case.repeats);
    let is_filtered: bool = random.random();
    let presses = habit.presses(&mut random, PRESSES_OF_A_CALL);
    let sent = caller::call(&mut random, habit, &presses);
    let sent_at_ms: Vec<u32> = sent.iter().map(|sent| sent.at_ms).collect();
    let arrivals = network::carry(&mut random, case.loss, case.delay, &sent_at_ms);
    let passes = |place: usize| {
        let sequence = u16::from_be_bytes([sent[place].octets[2], sent[place].octets[3]]);
        !is_filtered || !sent[place].tells.is_empty() || sequence % SAMPLED.1 < SAMPLED.0
    };
    let peer = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let mut service = Service::new(peer, habit);
    for &(at_ms, place) in arrivals.iter().filter(|(_, place)| passes(*place)) {
        if is_shown {
            show(at_ms, &sent[place], &service);
        }
        service.take(at_ms, peer, &sent[place].octets);
    }
    service.pass(arrivals.last().map_or(0, |last| last.0) + SETTLED_MS);

    let pressed: Vec<char> = presses.iter().filter_map(|press| key_of(press.event)).collect();
    let told = || arrivals.iter().flat_map(|(_, place)| &sent[*place].tells);
    let fates = fates(pressed.len(), told());
    // In segments as long as the duration field allows, the timestamps tell by themselves.
    let seams = if case.repeats { untold_seams(pressed.len(), told()) } else { vec![0; pressed.len()] };
    let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count();
    outcome.presses += pressed.len();
    outcome.lost += count(Fate::Lost);
    outcome.overtaken += count(Fate::Overtaken);
    outcome.parted += seams.iter().filter(|seams| **seams > 0).count();
    outcome.heard += service.heard.len();
    if !is_right(&pressed, &fates, &seams, &service.heard) || service.began != service.heard.len() {
        let text = |keys: &[char]| keys.iter().collect::<String>();
        outcome.wrong.push(format!(
            "{case:?}, seed {seed}, {habit:?}, filtered {is_filtered}:\n  pressed {}\n  heard   {}\n  {fates:?}",
            text(&pressed),
            text(&service.heard)
        ));
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}: {text}")))
}

/// All cases; of a thousand presses, how many could not be heard.
fn run_all(repeats: bool) -> f64 {
    if let Some(seed) = number("KLIKON_SEED") {
        let mut outcome = Outcome::default();
        run(cases(repeats)[(seed >> 32) as usize], seed, true, &mut outcome);
        println!("{outcome:#?}");
        return f64::NAN;
    }
    let calls = number("KLIKON_PRESSES").unwrap_or(PRESSES).div_ceil(PRESSES_OF_A_CALL as u64);
    let mut table = String::new();
    let (mut wrong, mut all, mut impossible) = (Vec::new(), 0, 0);
    for (number, case) in (0_u64..).zip(cases(repeats)) {
        let mut outcome = Outcome::default();
        for seed in 0..calls {
            run(case, number << 32 | seed, false, &mut outcome);
        }
        let Outcome { presses, lost, overtaken, parted, heard, .. } = outcome;
        let Case { loss: Loss { percent, in_bursts }, delay, .. } = case;
        let kind = if in_bursts { "in bursts" } else { "single" };
        let row = format!("{presses} | {lost} | {overtaken} | {parted} | {heard} | {}", outcome.wrong.len());
        writeln!(table, "| {delay:?} | {percent} % {kind} | {row} |").expect("a string takes it");
        (all, impossible) = (all + presses, impossible + lost + overtaken);
        wrong.append(&mut outcome.wrong);
    }
    println!("| delay | loss | presses | lost | overtaken | parted | heard | calls wrong |");
    println!("|---|---|---|---|---|---|---|---|\n{table}");
    let first = wrong[..wrong.len().min(6)].join("\n");
    assert!(wrong.is_empty(), "{} calls are wrong, the first:\n{first}", wrong.len());
    1_000.0 * impossible as f64 / all as f64
}

#[test]
fn every_press_that_the_network_lets_through_counts_once_and_in_its_place() {
    let impossible = run_all(false);
    assert!(
        impossible.is_nan() || impossible > 5.0,
        "the networks are to be bad: {impossible} in a thousand"
    );
}

#[test]
fn with_redundancy_hardly_a_press_is_lost() {
    let impossible = run_all(true);
    assert!(impossible.is_nan() || impossible < 2.5, "{impossible} in a thousand");
}
