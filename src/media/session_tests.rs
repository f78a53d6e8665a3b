//! Sessions in virtual time: pacing, barge-in, hold, sources, timeouts, and a caller and a service wired together.

use super::g711;
use super::telephone_event::Event;
use super::*;
use crate::units::clock::Clock;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn place(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn library() -> Arc<PromptLibrary> {
    static LIBRARY: LazyLock<Arc<PromptLibrary>> = LazyLock::new(encode);
    LIBRARY.clone()
}

fn encode() -> Arc<PromptLibrary> {
    let mut state = 1_u32;
    let mut noise = |frames: usize| -> Vec<i16> {
        (0..frames * 320)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as i16) / 4
            })
            .collect()
    };
    let clips = [("welcome", noise(20)), ("menu", noise(10)), ("num-7", noise(4))];
    Arc::new(PromptLibrary::encode(clips.map(|(id, samples)| (id.to_owned(), samples))).expect("good clips"))
}

pub(super) fn parameters() -> StreamParameters {
    StreamParameters {
        telephone_event: Some(TelephoneEvent::new(101, 8_000)),
        ..StreamParameters::new(place("198.51.100.7:5004"), Encoding::Pcma, 8)
    }
}

/// Near the wrap of both counters.
const IDENTITY: Identity = Identity { ssrc: 0x1234_5678, sequence: 65_533, timestamp: u32::MAX - 500 };

/// A packet that was sent, owned.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    at_ms: u64,
    remote: SocketAddr,
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

struct Bench {
    origin: Instant,
    session: Session,
    library: Arc<PromptLibrary>,
}

impl Bench {
    fn with(settings: SessionSettings, parameters: StreamParameters) -> Self {
        Self::reaching(Reach::Anywhere, settings, parameters)
    }

    fn reaching(reach: Reach, settings: SessionSettings, parameters: StreamParameters) -> Self {
        let origin = Clock::system().instant();
        let library = library();
        let mut session = Session::new(settings, reach, library.clone(), IDENTITY, None);
        session.start(origin, parameters);
        Self { origin, session, library }
    }

    /// Without the silence at the beginning.
    fn prompt() -> Self {
        Self::with(
            SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() },
            parameters(),
        )
    }

    fn clip(&self, id: &str) -> (Element, Vec<u8>) {
        let index = self.library.lookup(id).expect("is there");
        let octets = self.library.clip(index).expect("is there").octets(Encoding::Pcma).to_vec();
        (Element::Clip(index), octets)
    }

    fn at(&self, at_ms: u64) -> Instant {
        self.origin + ms(at_ms)
    }

    /// What goes out when the session is asked at `at_ms`.
    fn wake(&mut self, at_ms: u64) -> Vec<Sent> {
        let now = self.at(at_ms);
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        let mut sent = Vec::new();
        while let Some(transmit) = self.session.poll_transmit(now, &mut buffer) {
            let packet = Packet::read(&buffer[..transmit.octets]).expect("a good packet");
            assert_eq!(packet.ssrc, IDENTITY.ssrc);
            sent.push(Sent {
                at_ms,
                remote: transmit.remote,
                payload_type: packet.payload_type,
                marker: packet.marker,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                payload: packet.payload.to_vec(),
            });
        }
        sent
    }

    /// Wakes at every deadline from `from_ms` until before `until_ms`.
    fn run(&mut self, until_ms: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(deadline) = self.session.deadline().filter(|&deadline| deadline < self.at(until_ms)) {
            sent.extend(self.wake(deadline.duration_since(self.origin).as_millis() as u64));
        }
        sent
    }

    fn events(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_event())
            .map(|event| match event {
                MediaEvent::PlayDone { play_id, interrupted: false } => format!("done {play_id}"),
                MediaEvent::PlayDone { play_id, interrupted: true } => format!("stopped {play_id}"),
                MediaEvent::DigitBegan { digit, .. } => format!("{digit} down"),
                MediaEvent::Digit { digit, .. } => format!("{digit}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn packet(payload_type: u8, ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
        let timestamp = u32::from(sequence) * 160;
        let packet = Packet { payload_type, marker: false, sequence, timestamp, ssrc, payload };
        let mut buffer = [0; 600];
        let length = packet.write(&mut buffer);
        buffer[..length].to_vec()
    }

    fn audio(&mut self, at_ms: u64, from: &str, sequence: u16) {
        let now = self.at(at_ms);
        self.session.handle_packet(now, place(from), &Self::packet(8, 9, sequence, &[0xd5; 160]));
    }

    /// An event packet; the timestamp is `sequence` of the press's first packet.
    fn key(&mut self, at_ms: u64, event: u8, start: u16, sequence: u16, end: bool) {
        let duration = (sequence - start + 1) * 160;
        let payload = Event { event, end, volume: 10, duration }.write();
        let mut octets = Self::packet(101, 9, sequence, &payload);
        octets[4..8].copy_from_slice(&(u32::from(start) * 160).to_be_bytes());
        let now = self.at(at_ms);
        self.session.handle_packet(now, place("198.51.100.7:5004"), &octets);
    }
}

#[test]
fn one_run_of_packets_with_silence_before_between_and_after() {
    let mut bench = Bench::with(SessionSettings::default(), parameters());
    let ((welcome, first), (menu, second)) = (bench.clip("welcome"), bench.clip("menu"));
    bench.session.play(1, vec![welcome, Element::Silence { ms: 40 }, menu], true);
    let sent = bench.run(1_100);
    let silence = |frames: usize| vec![0xd5; frames * 160];
    // 300 ms of silence, 400 ms welcome, 40 ms pause, 200 ms menu, then silence to the end.
    let expected = [silence(15), first, silence(2), second, silence(8)].concat();
    assert_eq!(sent.iter().flat_map(|packet| packet.payload.clone()).collect::<Vec<_>>(), expected);
    for (number, packet) in (0_u32..).zip(&sent) {
        assert_eq!(packet.at_ms, u64::from(number) * 20);
        assert_eq!(packet.sequence, IDENTITY.sequence.wrapping_add(number as u16));
        assert_eq!(packet.timestamp, IDENTITY.timestamp.wrapping_add(number * 160));
        assert_eq!(packet.marker, number == 0, "RFC 3551 §4.1: only where sending begins");
        assert_eq!((packet.payload_type, packet.remote), (8, parameters().remote));
    }
    assert_eq!(bench.events(), ["done 1"]);
}

#[test]
fn the_initial_silence_is_not_added_to_a_play_that_comes_later() {
    let mut bench = Bench::with(SessionSettings::default(), parameters());
    let (menu, octets) = bench.clip("menu");
    bench.run(1_000);
    bench.session.play(1, vec![menu], true);
    assert_eq!(bench.wake(1_000)[0].payload, octets[..160]);
}

#[test]
fn a_play_is_done_when_its_last_packet_goes_out_and_the_next_follows_without_a_gap() {
    let mut bench = Bench::prompt();
    let ((menu, _), (seven, octets)) = (bench.clip("menu"), bench.clip("num-7"));
    bench.session.play(1, vec![menu], true);
    bench.run(180);
    assert_eq!(bench.events(), [""; 0]);
    bench.wake(180);
    assert_eq!(bench.events(), ["done 1"]);
    bench.session.play(2, vec![seven], true);
    assert_eq!(bench.wake(200)[0].payload, octets[..160]);
}

#[test]
fn a_prompt_after_silence_begins_at_once_and_the_silence_after_it_gives_the_lead_back() {
    let mut bench = Bench::prompt();
    let ((menu, octets), (seven, more)) = (bench.clip("menu"), bench.clip("num-7"));
    bench.run(500);
    bench.session.play(1, vec![menu], true);
    assert!(bench.session.begin_at_once(bench.at(487) + Duration::from_micros(300)), "13 ms before its turn");
    let mut sent = bench.wake(488);
    assert_eq!(sent[0].payload, octets[..160]);
    sent.extend(bench.run(680));
    bench.session.play(2, vec![seven], true);
    assert!(!bench.session.begin_at_once(bench.at(670)), "it follows a prompt");
    sent.extend(bench.run(1_000));
    let heard: Vec<_> = sent.iter().flat_map(|packet| packet.payload.clone()).collect();
    assert_eq!(heard[..2_240], [octets, more].concat());
    let times: Vec<_> = sent.iter().map(|packet| packet.at_ms).collect();
    let prompts = std::iter::once(488).chain((507..).step_by(20)).take(14);
    assert_eq!(times[..14], prompts.collect::<Vec<_>>(), "13 ms ahead of the stream's step");
    assert_eq!(times[14..], (780..1_000).step_by(20).collect::<Vec<_>>(), "in step again");
    for (number, packet) in (25_u32..).zip(&sent) {
        assert_eq!(packet.timestamp, IDENTITY.timestamp.wrapping_add(number * 160), "as ever");
        assert!(!packet.marker);
    }
}

#[test]
fn a_lead_is_never_more_than_a_packet() {
    let mut bench = Bench::prompt();
    let mut led = 0;
    for turn in 1..50 {
        let at_ms = turn * 107;
        bench.run(at_ms);
        bench.session.stop();
        let (menu, _) = bench.clip("menu");
        bench.session.play(turn, vec![menu], true);
        led += u32::from(bench.session.begin_at_once(bench.at(at_ms)));
        let next = bench.session.deadline().expect("it runs").duration_since(bench.origin).as_millis();
        let silence_sent = u128::from(bench.session.statistics().transmitted) * 20;
        assert!((silence_sent - 20..=silence_sent).contains(&next), "{next} is the turn of {silence_sent}");
    }
    // A prompt that is stopped and followed at once leaves no silence to begin after.
    assert_eq!(led, 1);
}

#[test]
fn nothing_begins_early_during_the_initial_silence_on_hold_or_against_the_settings() {
    let refused = |settings: SessionSettings, parameters: StreamParameters| {
        let mut bench = Bench::with(settings, parameters);
        bench.run(100);
        let (menu, _) = bench.clip("menu");
        bench.session.play(1, vec![menu], true);
        !bench.session.begin_at_once(bench.at(87))
    };
    let none = Duration::ZERO;
    let settings = SessionSettings { initial_silence: none, ..SessionSettings::default() };
    assert!(!refused(settings, parameters()));
    assert!(refused(SessionSettings::default(), parameters()));
    assert!(refused(settings, StreamParameters { direction: Direction::RecvOnly, ..parameters() }));
    assert!(refused(SessionSettings { begin_at_once: false, ..settings }, parameters()));
}

#[test]
fn audio_is_sampled_once_the_peer_is_known_and_its_loss_is_estimated() {
    let mut bench = Bench::prompt();
    assert_eq!(bench.session.unheard_payload_type(), None, "the first packet says where the peer is");
    bench.audio(0, "198.51.100.7:5004", 1);
    assert_eq!(bench.session.unheard_payload_type(), Some(8));
    bench.session.set_sampled(true);
    // The kernel lets 0 and 1 of each 128 pass; two of those get lost.
    for sequence in [128, 129, 256, 385, 512, 513, 640, 641] {
        bench.audio(u64::from(sequence) * 20, "198.51.100.7:5004", sequence);
    }
    bench.key(13_000, 5, 650, 650, false);
    bench.key(13_100, 5, 650, 655, true);
    assert_eq!(bench.session.statistics().lost, 2 * 64);
    bench.audio(14_080, "198.51.100.7:5004", 704);
    bench.session.set_sampled(false);
    for sequence in [737, 738, 740] {
        bench.audio(u64::from(sequence) * 20, "198.51.100.7:5004", sequence);
    }
    assert_eq!(bench.session.statistics().lost, 2 * 64 + 1, "what was not let pass is not lost");
}

/// Each packet that is sent, at the step that its timestamp says, though a prompt went out ahead of it; and the peer's only
/// where they are wanted, and then all of them.
#[test]
fn a_recorder_gets_a_copy_at_the_streams_own_step() {
    let mut bench = Bench::prompt();
    let (packets, copied) = std::sync::mpsc::sync_channel(100);
    let fork = Fork::new(1, packets, Arc::default());
    bench.session.set_fork(Some(Box::new(fork.clone())));
    bench.audio(0, "198.51.100.7:5004", 1);
    assert_eq!(bench.session.unheard_payload_type(), Some(8), "what is not wanted is not read");
    let mut sent = bench.run(500);
    let (menu, _) = bench.clip("menu");
    bench.session.play(1, vec![menu], true);
    assert!(bench.session.begin_at_once(bench.at(487)));
    sent.extend(bench.run(1_000));
    let copies: Vec<ForkedPacket> = copied.try_iter().collect();
    assert_eq!((copies.len(), sent.len()), (50, 50));
    for ((step, copy), sent) in (0..).zip(&copies).zip(&sent) {
        assert_eq!((copy.side, copy.at), (Side::Sent, bench.at(step * 20)), "packet {step}");
        assert_eq!((copy.timestamp, copy.payload.as_slice()), (sent.timestamp, sent.payload.as_slice()));
    }
    assert!(sent.iter().any(|sent| sent.at_ms % 20 != 0), "some went out ahead");
    bench.session.set_fork(Some(Box::new(fork.of_both_sides())));
    assert_eq!(bench.session.unheard_payload_type(), None);
    bench.audio(1_003, "198.51.100.7:5004", 2);
    let copy = copied.try_recv().expect("a copy");
    assert_eq!(
        (copy.side, copy.at, copy.payload.as_slice()),
        (Side::Received, bench.at(1_003), &[0xd5; 160][..])
    );
    bench.session.set_fork(None);
    bench.audio(1_020, "198.51.100.7:5004", 3);
    bench.run(1_100);
    assert!(copied.try_recv().is_err());
}

#[test]
fn audio_is_not_sampled_where_each_packet_counts() {
    let sampled = |settings: SessionSettings| {
        let mut bench = Bench::with(settings, parameters());
        bench.audio(0, "198.51.100.7:5004", 1);
        bench.session.unheard_payload_type().is_some()
    };
    let settings = SessionSettings::default();
    assert!(sampled(settings));
    assert!(!sampled(SessionSettings { sample_audio: false, ..settings }));
    assert!(!sampled(SessionSettings { rtp_timeout: Some(Duration::from_secs(5)), ..settings }));
    assert!(sampled(SessionSettings { rtp_timeout: None, ..settings }));
    let mut moved = Bench::prompt();
    moved.audio(0, "198.51.100.7:5004", 1);
    moved
        .session
        .start(moved.at(20), StreamParameters { remote: place("198.51.100.8:5004"), ..parameters() });
    assert_eq!(moved.session.unheard_payload_type(), None, "the peer is to be found anew");
}

#[test]
fn late_wake_ups_catch_up_and_never_shift_the_grid() {
    let mut bench = Bench::prompt();
    let (welcome, octets) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], true);
    let mut sent = Vec::new();
    for at_ms in [0, 27, 99, 101, 120, 140] {
        sent.extend(bench.wake(at_ms));
        assert_eq!(bench.session.deadline(), Some(bench.at((at_ms / 20 + 1) * 20)));
    }
    assert_eq!(
        sent.iter().map(|packet| packet.at_ms).collect::<Vec<_>>(),
        [0, 27, 99, 99, 99, 101, 120, 140]
    );
    assert_eq!(sent.concat_payload(), octets[..8 * 160]);
    assert_eq!(bench.session.statistics().skipped, 0);
}

#[test]
fn a_stall_leaves_a_gap_in_the_timestamps_and_loses_no_speech() {
    let mut bench = Bench::prompt();
    let (welcome, octets) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], true);
    let before = bench.wake(0);
    let after = bench.wake(1_000);
    let skipped = bench.session.statistics().skipped;
    assert_eq!((skipped, after.len()), (39, 11), "what is over 200 ms late is left out");
    assert_eq!(after[0].sequence, before[0].sequence.wrapping_add(1));
    assert_eq!(after[0].timestamp, before[0].timestamp.wrapping_add(40 * 160));
    assert_eq!(after.iter().map(|packet| packet.marker).filter(|&marker| marker).count(), 1);
    assert!(after[0].marker);
    assert_eq!(after.concat_payload(), octets[160..12 * 160]);
    assert_eq!(bench.session.deadline(), Some(bench.at(1_020)));
}

#[test]
fn every_packet_length() {
    for ptime_ms in [10, 20, 30, 40, 50, 60_u8] {
        let mut bench = Bench::prompt();
        bench.session.start(bench.origin, StreamParameters { ptime_ms, ..parameters() });
        let ((menu, first), (seven, second)) = (bench.clip("menu"), bench.clip("num-7"));
        bench.session.play(1, vec![menu], true);
        bench.session.play(2, vec![seven], true);
        let sent = bench.run(600);
        let octets = usize::from(ptime_ms) * 8;
        assert!(sent.iter().all(|packet| packet.payload.len() == octets));
        assert!(
            sent.windows(2).all(|two| two[1].timestamp.wrapping_sub(two[0].timestamp) as usize == octets)
        );
        let heard = sent.concat_payload();
        assert_eq!(heard[..first.len() + second.len()], [first, second].concat());
        assert!(heard.len() >= 600 * 8 && heard[(200 + 80) * 8..].iter().all(|&octet| octet == 0xd5));
        assert_eq!(bench.events(), ["done 1", "done 2"], "{ptime_ms} ms");
    }
}

#[test]
fn the_first_packet_of_a_key_stops_the_prompt_before_the_next_frame() {
    let mut bench = Bench::prompt();
    let (welcome, octets) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], true);
    bench.session.play(2, vec![welcome], true);
    assert_eq!(bench.run(100).concat_payload(), octets[..5 * 160]);
    bench.key(81, 7, 10, 10, false);
    assert_eq!(bench.events(), ["stopped 1", "stopped 2", "7 down"]);
    assert_eq!(bench.wake(100)[0].payload, [0xd5; 160]);
    bench.session.play(3, vec![welcome], true);
    bench.key(121, 7, 10, 12, true);
    bench.key(122, 7, 10, 13, true);
    bench.key(123, 7, 10, 14, true);
    assert_eq!(bench.events(), ["7"], "the digit that interrupts counts, once, and stops nothing else");
    assert_eq!(bench.wake(120)[0].payload, octets[..160]);
}

#[test]
fn keys_are_read_while_a_prompt_without_bargein_goes_on() {
    let mut bench = Bench::prompt();
    let (menu, octets) = bench.clip("menu");
    bench.session.play(1, vec![menu], false);
    bench.run(40);
    for (press, event) in [(10, 1), (20, 2), (30, 2)] {
        bench.key(41, event, press, press, false);
        bench.key(45, event, press, press + 2, true);
    }
    let rest = bench.run(300);
    assert_eq!(rest.concat_payload()[..8 * 160], octets[2 * 160..]);
    assert_eq!(bench.events(), ["1 down", "1", "2 down", "2", "2 down", "2", "done 1"]);
}

#[test]
fn a_key_during_the_initial_silence_stops_the_prompt_that_waits() {
    let mut bench = Bench::with(SessionSettings::default(), parameters());
    let (menu, _) = bench.clip("menu");
    bench.session.play(1, vec![menu], true);
    bench.key(1, 11, 10, 10, true);
    assert_eq!(bench.events(), ["stopped 1", "# down", "#"]);
    assert!(bench.run(600).concat_payload().iter().all(|&octet| octet == 0xd5));
}

#[test]
fn a_lost_end_is_made_up_in_time_and_by_audio() {
    let mut bench = Bench::prompt();
    bench.key(5, 3, 10, 10, false);
    bench.run(260);
    assert_eq!(bench.events(), ["3 down"]);
    bench.run(281);
    assert_eq!(bench.events(), ["3"]);
    bench.key(300, 4, 30, 30, false);
    bench.audio(310, "198.51.100.7:5004", 40);
    assert_eq!(bench.events(), ["4 down", "4"]);
}

#[test]
fn a_full_queue_refuses_a_play_and_stop_ends_all() {
    let mut bench = Bench::prompt();
    let (menu, _) = bench.clip("menu");
    for play_id in 0..=MAX_QUEUED_PLAYS as u64 {
        bench.session.play(play_id, vec![menu], false);
    }
    assert_eq!(bench.events(), ["stopped 16"]);
    bench.session.stop();
    assert_eq!(bench.events(), (0..16).map(|id| format!("stopped {id}")).collect::<Vec<_>>());
    assert_eq!(bench.wake(0)[0].payload, [0xd5; 160]);
}

#[test]
fn hold_pauses_the_prompt_and_the_run_goes_on() {
    let mut bench = Bench::prompt();
    let (welcome, octets) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], true);
    let before = bench.run(100);
    bench.session.start(bench.at(100), StreamParameters { direction: Direction::RecvOnly, ..parameters() });
    assert_eq!(bench.run(500), []);
    bench.session.start(bench.at(501), parameters());
    let after = bench.run(600);
    assert_eq!(before.concat_payload(), octets[..5 * 160]);
    assert_eq!(after.concat_payload(), octets[5 * 160..10 * 160], "to the frame");
    assert_eq!(bench.events(), [""; 0], "it is not over");
    let last = before.last().expect("sent");
    assert_eq!(after[0].sequence, last.sequence.wrapping_add(1));
    assert_eq!(after[0].timestamp, last.timestamp.wrapping_add(21 * 160), "as much as time has passed");
    assert!(after[0].marker && !after[1].marker);
}

#[test]
fn a_prompt_given_during_hold_waits_for_its_end() {
    for direction in [Direction::RecvOnly, Direction::Inactive] {
        let mut bench = Bench::prompt();
        let (menu, octets) = bench.clip("menu");
        bench.session.start(bench.at(0), StreamParameters { direction, ..parameters() });
        bench.session.play(1, vec![menu], true);
        assert_eq!(bench.run(10_000), []);
        bench.session.start(bench.at(10_000), parameters());
        assert_eq!(bench.run(10_200).concat_payload(), octets);
        assert_eq!(bench.events(), ["done 1"]);
    }
}

#[test]
fn who_only_listens_hears_the_prompt() {
    let mut bench = Bench::prompt();
    let (menu, octets) = bench.clip("menu");
    bench.session.start(bench.at(0), StreamParameters { direction: Direction::SendOnly, ..parameters() });
    bench.session.play(1, vec![menu], true);
    assert_eq!(bench.run(200).concat_payload(), octets);
    assert_eq!(bench.events(), ["done 1"]);
}

#[test]
fn keys_during_hold_count_nothing_and_stop_nothing() {
    for direction in [Direction::RecvOnly, Direction::SendOnly, Direction::Inactive] {
        let mut bench = Bench::prompt();
        let (welcome, _) = bench.clip("welcome");
        bench.session.play(1, vec![welcome], true);
        bench.run(100);
        bench.session.start(bench.at(100), StreamParameters { direction, ..parameters() });
        bench.key(110, 5, 10, 10, true);
        // One that is still down when the hold ends: it began during it.
        bench.key(120, 7, 20, 20, false);
        bench.session.start(bench.at(130), parameters());
        bench.key(140, 7, 20, 21, false);
        bench.key(150, 7, 20, 22, true);
        assert_eq!(bench.events(), [""; 0], "{direction:?}");
        bench.key(160, 9, 30, 30, true);
        assert_eq!(bench.events(), ["stopped 1", "9 down", "9"]);
    }
}

#[test]
fn a_key_that_went_down_before_hold_counts_though_its_end_is_lost() {
    let mut bench = Bench::prompt();
    bench.key(10, 5, 10, 10, false);
    bench.session.start(bench.at(20), StreamParameters { direction: Direction::Inactive, ..parameters() });
    bench.run(400);
    assert_eq!(bench.events(), ["5 down", "5"]);
}

#[test]
fn keys_that_come_by_another_way_are_not_read_from_the_stream() {
    let mut bench = Bench::prompt();
    let (welcome, _) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], true);
    bench.session.set_keys_elsewhere(true);
    bench.key(10, 5, 10, 10, true);
    assert_eq!(bench.events(), [""; 0]);
    bench.session.set_keys_elsewhere(false);
    bench.key(20, 6, 20, 20, true);
    assert_eq!(bench.events(), ["stopped 1", "6 down", "6"]);
}

#[test]
fn another_encoding_in_a_prompt_changes_no_octets_place() {
    let mut bench = Bench::prompt();
    let (welcome, pcma) = bench.clip("welcome");
    let index = bench.library.lookup("welcome").expect("is there");
    let pcmu = bench.library.clip(index).expect("is there").octets(Encoding::Pcmu).to_vec();
    bench.session.play(1, vec![welcome], true);
    let mut sent = bench.run(100);
    let changed = StreamParameters {
        encoding: Encoding::Pcmu,
        payload_type: 0,
        ptime_ms: 40,
        remote: place("198.51.100.8:6000"),
        ..parameters()
    };
    bench.session.start(bench.at(100), changed);
    let after = bench.run(180);
    assert_eq!(sent.concat_payload(), pcma[..5 * 160]);
    assert_eq!(after.concat_payload(), pcmu[5 * 160..9 * 160], "where the other one left off");
    assert!(after.iter().all(|packet| packet.remote == place("198.51.100.8:6000") && !packet.marker));
    sent.extend(after);
    for (one, next) in sent.iter().zip(sent.iter().skip(1)) {
        assert_eq!(next.sequence, one.sequence.wrapping_add(1));
        let octets = u32::try_from(one.payload.len()).expect("short");
        assert_eq!(next.timestamp, one.timestamp.wrapping_add(octets));
    }
}

#[test]
fn events_under_the_payload_type_before_the_change_are_still_read() {
    let mut bench = Bench::prompt();
    let renumbered = TelephoneEvent { payload_type: 96, receive_payload_type: 96, clock_rate_hz: 8_000 };
    bench.session.start(bench.at(0), StreamParameters { telephone_event: Some(renumbered), ..parameters() });
    bench.key(10, 5, 10, 10, true);
    assert_eq!(bench.events(), ["5 down", "5"]);
    // Unless it has come to mean the audio.
    let taken = StreamParameters { payload_type: 101, telephone_event: Some(renumbered), ..parameters() };
    bench.session.start(bench.at(20), taken);
    bench.key(30, 6, 20, 20, true);
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn another_encoding_keeps_source_sequence_and_timestamps() {
    let mut bench = Bench::prompt();
    let before = bench.run(100);
    let changed = StreamParameters { encoding: Encoding::Pcmu, payload_type: 0, ..parameters() };
    bench.session.start(bench.at(100), changed);
    let after = bench.run(140);
    let last = before.last().expect("sent");
    assert_eq!((after[0].payload_type, after[0].payload[0]), (0, 0xff));
    assert_eq!(after[0].sequence, last.sequence.wrapping_add(1));
    assert_eq!(after[0].timestamp, last.timestamp.wrapping_add(160));
    assert!(!after[0].marker);
}

#[test]
fn a_third_party_gets_nothing_before_it_has_agreed() {
    let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
    let reaching = |address: &str| {
        let reach = Reach::Consenting(address.parse().expect("an address"));
        Bench::reaching(reach, settings, parameters())
    };
    let mut bench = reaching("203.0.113.9");
    let (clip, octets) = bench.clip("welcome");
    bench.session.play(1, vec![clip], true);
    assert_eq!(
        bench.run(400),
        [],
        "twenty intervals in which the named address has not shown that it wants anything"
    );
    assert_eq!(bench.session.statistics().withheld, 20);
    bench.audio(400, "203.0.113.9:5004", 1);
    assert_eq!(bench.run(500), [], "who signals cannot agree for another");
    bench.audio(500, "198.51.100.7:5004", 1);
    let sent = bench.run(900);
    assert!(sent[0].marker && sent.len() == 20, "{}", sent.len());
    assert_eq!(sent[0].payload, octets[..160], "nothing of the prompt is lost");
    assert_eq!(bench.events(), ["done 1"]);
    let elsewhere = StreamParameters { remote: place("192.0.2.1:5004"), ..parameters() };
    bench.session.start(bench.at(900), elsewhere);
    assert_eq!(bench.run(1_000), [], "another place has to agree anew");
    let mut report = [0; super::session::MAX_RTCP_OCTETS];
    assert_eq!(bench.session.goodbye(bench.at(1_000), &mut report), None, "and gets no report either");
    for own in ["198.51.100.7", "::ffff:198.51.100.7"] {
        assert_eq!(reaching(own).run(100).len(), 5, "who signals from there has agreed");
    }
}

#[test]
fn only_the_peer_is_heard() {
    let mut bench = Bench::prompt();
    bench.audio(1, "203.0.113.9:5004", 1);
    assert_eq!(bench.session.statistics().dropped_source, 1, "another address");
    bench.audio(2, "198.51.100.7:6000", 2);
    bench.audio(3, "198.51.100.7:6000", 3);
    assert_eq!(bench.session.statistics().accepted, 2, "another port of the peer, latched");
    bench.audio(4, "198.51.100.7:6002", 4);
    assert_eq!(bench.session.statistics().dropped_source, 2, "but only one");
    bench.audio(5, "198.51.100.7:5004", 5);
    assert_eq!(bench.session.statistics().accepted, 3, "the negotiated port always");
    assert_eq!(bench.wake(0)[0].remote, parameters().remote, "and that is where we send");
    bench.session.start(bench.at(6), StreamParameters { remote: place("198.51.100.8:7000"), ..parameters() });
    bench.audio(7, "198.51.100.7:6000", 6);
    assert_eq!(bench.session.statistics().dropped_source, 3, "the old place is forgotten");
    bench.audio(8, "198.51.100.8:7777", 7);
    assert_eq!(bench.session.statistics().accepted, 4, "and the new one is latched");
}

#[test]
fn behind_nat_the_first_packet_says_where_the_peer_is() {
    let settings = SessionSettings { nat: true, ..SessionSettings::default() };
    let private = StreamParameters { remote: place("192.168.1.5:5004"), ..parameters() };
    let mut bench = Bench::with(settings, private);
    assert_eq!(bench.wake(0)[0].remote, private.remote);
    let now = bench.at(1);
    bench.session.handle_packet(now, place("203.0.113.66:1"), b"not RTP");
    bench.audio(2, "203.0.113.9:40000", 1);
    assert_eq!(bench.wake(20)[0].remote, place("203.0.113.9:40000"), "what is not RTP latches nothing");
    bench.audio(3, "203.0.113.10:40000", 2);
    assert_eq!(bench.wake(40)[0].remote, place("203.0.113.9:40000"), "latched once");
    assert_eq!(bench.session.statistics().dropped_source, 1);
}

#[test]
fn what_is_dropped_is_counted_by_its_reason() {
    let mut bench = Bench::prompt();
    let from = parameters().remote;
    let now = bench.origin;
    let mut of = |octets: &[u8]| bench.session.handle_packet(now, from, octets);
    of(&Bench::packet(8, 9, 1, &[0; 160]));
    of(&[]);
    of(&[0x40; 40]);
    of(&[0x80, 200, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0]);
    of(&Bench::packet(96, 9, 2, &[0; 160]));
    of(&Bench::packet(8, IDENTITY.ssrc, 2, &[0; 160]));
    of(&Bench::packet(8, 77, 400, &[0; 160]));
    of(&Bench::packet(13, 9, 4, &[40]));
    of(&Bench::packet(8, 9, 5, &[0; 160]));
    let counted = bench.session.statistics();
    let expected = Statistics {
        received: 8,
        accepted: 3,
        dropped_version: 1,
        dropped_size: 1,
        dropped_payload_type: 1,
        dropped_ssrc: 2,
        lost: 2,
        rtcp: counted.rtcp,
        ..Statistics::default()
    };
    assert_eq!(counted, expected);
    assert_eq!((counted.rtcp.dropped, counted.rtcp.received), (1, 0), "RTCP on a shared port, malformed");
    let mut early = Session::new(SessionSettings::default(), Reach::Anywhere, library(), IDENTITY, None);
    early.handle_packet(now, from, &[]);
    assert_eq!((early.statistics().dropped_early, early.deadline()), (1, None));
}

#[test]
fn silence_of_the_peer_is_reported_once_for_each_pause() {
    let settings = SessionSettings { rtp_timeout: Some(ms(1_000)), ..SessionSettings::default() };
    let mut bench = Bench::with(settings, parameters());
    bench.run(900);
    assert_eq!(bench.events(), [""; 0]);
    bench.run(5_000);
    assert_eq!(bench.events(), ["RtpTimeout"], "never heard");
    bench.audio(5_000, "198.51.100.7:5004", 1);
    bench.run(6_000);
    assert_eq!(bench.events(), [""; 0]);
    bench.run(9_000);
    assert_eq!(bench.events(), ["RtpTimeout"]);
    bench.audio(9_000, "198.51.100.7:5004", 2);
    bench.session.start(bench.at(9_000), StreamParameters { direction: Direction::SendOnly, ..parameters() });
    bench.run(12_000);
    assert_eq!(bench.events(), [""; 0], "a peer that need not send");
}

#[test]
fn unfetched_events_are_bounded_and_counted() {
    let mut bench = Bench::prompt();
    for press in 0..100 {
        bench.key(1, 1, press * 10, press * 10, true);
    }
    assert_eq!(bench.session.statistics().events_lost, 200 - 64);
    assert_eq!(bench.events().len(), 64);
}

/// The key 5, 770 and 1,336 Hz, for 400 ms, in packets.
pub(super) fn tone() -> Vec<Vec<u8>> {
    let sample = |sample: i32| {
        let turn = |hz: f64| (f64::from(sample) * hz / 8_000.0 * std::f64::consts::TAU).sin();
        g711::encode(Encoding::Pcma, ((turn(770.0) + turn(1_336.0)) * 8_000.0) as i16)
    };
    (0..3_200).map(sample).collect::<Vec<_>>().chunks(160).map(<[u8]>::to_vec).collect()
}

pub(super) fn without_events() -> StreamParameters {
    StreamParameters { telephone_event: None, ..parameters() }
}

impl Bench {
    /// Hears one packet of audio, and sends what is due with it.
    fn hear(&mut self, number: u16, octets: &[u8]) -> Vec<Sent> {
        let at_ms = u64::from(number) * 20;
        let now = self.at(at_ms);
        self.session.handle_packet(now, parameters().remote, &Self::packet(8, 9, number, octets));
        self.wake(at_ms)
    }

    fn hear_tone(&mut self, first: u16) {
        for (number, octets) in (first..).zip(tone()) {
            self.hear(number, &octets);
        }
    }

    fn hear_silence(&mut self, numbers: std::ops::Range<u16>) {
        for number in numbers {
            self.hear(number, &[0xd5; 160]);
        }
    }
}

/// A source of keys is agreed on once: where events are, tones are none, whether they come beside events or alone.
#[test]
fn tones_are_no_keys_where_events_are_agreed() {
    for (beside, expected) in [(true, vec!["5 down", "5"]), (false, vec![])] {
        let mut bench = Bench::prompt();
        for (frame, octets) in (0_u16..).zip(tone()) {
            let at_ms = u64::from(frame) * 20;
            let now = bench.at(at_ms);
            let audio = Bench::packet(8, 9, 10 + 2 * frame, &octets);
            bench.session.handle_packet(now, parameters().remote, &audio);
            if beside {
                bench.key(at_ms, 5, 11, 11 + 2 * frame, frame == 19);
            }
        }
        bench.run(1_000);
        assert_eq!(bench.events(), expected);
        assert_eq!(bench.session.statistics().in_band, InBandStatistics::default());
    }
}

#[test]
fn a_tone_is_a_key_where_no_events_are_agreed_and_stops_the_prompt_in_its_packet() {
    for (encoding, payload_type) in [(Encoding::Pcma, 8), (Encoding::Pcmu, 0)] {
        let mut bench = Bench::prompt();
        bench.session.start(bench.origin, StreamParameters { encoding, payload_type, ..without_events() });
        let (welcome, _) = bench.clip("welcome");
        bench.session.play(1, vec![welcome], true);
        let mut heard = Vec::new();
        for (number, packet) in (0_u16..).zip(tone()) {
            let recoded =
                packet.iter().map(|&octet| g711::encode(encoding, g711::decode(Encoding::Pcma, octet)));
            let now = bench.at(u64::from(number) * 20);
            let audio = Bench::packet(payload_type, 9, number, &recoded.collect::<Vec<_>>());
            bench.session.handle_packet(now, parameters().remote, &audio);
            heard.extend(bench.events());
            // The second packet brings the fortieth millisecond.
            assert_eq!(heard.is_empty(), number < 1, "packet {number}");
            let sent = bench.wake(u64::from(number) * 20).concat_payload();
            let playing = sent.iter().any(|&octet| octet != g711::silence(encoding));
            assert_eq!(playing, number < 1, "packet {number}");
        }
        // Nothing more comes, and the end is made up.
        bench.run(1_000);
        heard.extend(bench.events());
        assert_eq!(heard, ["stopped 1", "5 down", "5"]);
        let in_band = InBandStatistics { presses: 1, made_up_ends: 1, late: 0 };
        assert_eq!(bench.session.statistics().in_band, in_band);
    }
}

#[test]
fn a_prompt_without_bargein_goes_on_under_a_tone() {
    let mut bench = Bench::prompt();
    bench.session.start(bench.origin, without_events());
    let (welcome, _) = bench.clip("welcome");
    bench.session.play(1, vec![welcome], false);
    bench.hear_tone(0);
    bench.hear_silence(20..24);
    assert_eq!(bench.events(), ["5 down", "done 1", "5"]);
}

#[test]
fn tones_are_not_read_where_the_settings_say_so() {
    let settings = SessionSettings { in_band_keys: false, ..SessionSettings::default() };
    let mut bench = Bench::with(settings, without_events());
    bench.hear_tone(0);
    bench.hear_silence(20..24);
    bench.run(1_000);
    assert_eq!(bench.events(), [""; 0]);
}

#[test]
fn tones_count_nothing_on_hold_nor_where_keys_come_by_another_way() {
    for on_hold in [true, false] {
        let mut bench = Bench::prompt();
        bench.session.start(bench.origin, without_events());
        let shut = |bench: &mut Bench, shut: bool, at_ms: u64| {
            if on_hold {
                let direction = if shut { Direction::SendOnly } else { Direction::SendRecv };
                let now = bench.at(at_ms);
                bench.session.start(now, StreamParameters { direction, ..without_events() });
            } else {
                bench.session.set_keys_elsewhere(shut);
            }
        };
        shut(&mut bench, true, 0);
        bench.hear_tone(0);
        bench.hear_silence(20..30);
        assert_eq!(bench.events(), [""; 0]);
        shut(&mut bench, false, 600);
        bench.hear_tone(30);
        bench.hear_silence(50..60);
        assert_eq!(bench.events(), ["5 down", "5"]);
        // A press that began before counts, and its end is not awaited for ever.
        for (number, octets) in (60..65).zip(tone()) {
            bench.hear(number, &octets);
        }
        shut(&mut bench, true, 1_300);
        bench.hear_silence(65..90);
        assert_eq!(bench.events(), ["5 down", "5"]);
    }
}

#[test]
fn where_keys_are_agreed_anew_a_press_counts_once() {
    let mut bench = Bench::prompt();
    // Events are given up while a key is down; its packets go on, beside its tone.
    bench.key(0, 5, 2, 2, false);
    bench.session.start(bench.at(10), without_events());
    for (number, octets) in (0_u16..20).zip(tone()) {
        bench.hear(100 + number, &octets);
        bench.key(u64::from(100 + number) * 20, 5, 2, 3 + number, number == 19);
    }
    bench.hear_silence(120..140);
    assert_eq!(bench.events(), ["5 down", "5"]);
    // And agreed on again while a tone is heard.
    for (number, octets) in (140..150).zip(tone()) {
        bench.hear(number, &octets);
    }
    bench.session.start(bench.at(3_000), parameters());
    bench.hear_tone(150);
    bench.hear_silence(170..190);
    assert_eq!(bench.events(), ["5 down", "5"]);
    assert_eq!(bench.session.statistics().in_band.presses, 1, "it is not forgotten");
}

#[test]
fn keys_must_be_keys_and_need_an_agreement() {
    let mut bench = Bench::prompt();
    bench.session.send_digits("12x", DigitTiming::default());
    assert_eq!(bench.events(), ["DigitsRefused"]);
    let mut early = Session::new(SessionSettings::default(), Reach::Anywhere, library(), IDENTITY, None);
    early.send_digits("1", DigitTiming::default());
    assert_eq!(early.poll_event(), Some(MediaEvent::DigitsRefused));
}

/// Without telephone-event keys are sent as tones, and what one session sends so another one reads.
#[test]
fn tones_go_from_one_session_to_another() {
    for ptime_ms in [10, 20, 30, 60] {
        let mut caller =
            Bench::with(SessionSettings::default(), StreamParameters { ptime_ms, ..without_events() });
        let mut service = Bench::with(SessionSettings::default(), without_events());
        caller.session.send_digits("0672123456#*9", DigitTiming::default());
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        for at_ms in (0..4_000).step_by(10) {
            let now = caller.at(at_ms);
            while let Some(transmit) = caller.session.poll_transmit(now, &mut buffer) {
                let mut octets = buffer[..transmit.octets].to_vec();
                octets[8..12].copy_from_slice(&9_u32.to_be_bytes());
                service.session.handle_packet(service.at(at_ms), parameters().remote, &octets);
            }
        }
        let heard = service.events();
        let ended: Vec<_> = heard.iter().filter(|event| event.len() == 1).map(String::as_str).collect();
        assert_eq!(ended.concat(), "0672123456#*9", "{ptime_ms} ms");
        assert_eq!(caller.events(), ["DigitsSent"]);
    }
}

trait ConcatPayload {
    fn concat_payload(&self) -> Vec<u8>;
}

impl ConcatPayload for Vec<Sent> {
    fn concat_payload(&self) -> Vec<u8> {
        self.iter().flat_map(|packet| packet.payload.clone()).collect()
    }
}

/// A caller and a service, wired through a network that drops what `lose` says; what each reports.
fn call(
    digits: &str,
    clock_rate_hz: u32,
    mut lose: impl FnMut(u64) -> bool,
) -> (Vec<String>, Vec<Heard>, Recording) {
    let origin = Clock::system().instant();
    let library = library();
    let index = Arc::new(FrameIndex::new(library.clone()));
    let places = [place("192.0.2.1:4000"), place("192.0.2.2:5000")];
    let event = TelephoneEvent { payload_type: 96, receive_payload_type: 96, clock_rate_hz };
    let identity = |ssrc| Identity { ssrc, ..IDENTITY };
    let settings = SessionSettings::default();
    let mut sides = [
        Session::new(settings, Reach::Anywhere, library.clone(), identity(1), None),
        Session::new(settings, Reach::Anywhere, library.clone(), identity(2), Some(index)),
    ];
    for (side, remote) in [(0, places[1]), (1, places[0])] {
        let parameters = StreamParameters { remote, telephone_event: Some(event), ..parameters() };
        sides[side].start(origin + ms(side as u64 * 7), parameters);
    }
    let clip = |id| Element::Clip(library.lookup(id).expect("is there"));
    sides[0].play(1, vec![clip("welcome"), clip("num-7"), clip("menu")], false);
    sides[1].send_digits(digits, DigitTiming::default());
    let (mut keys, mut heard, mut sent) = (Vec::new(), Vec::new(), 0);
    for at_ms in 0..4_000 {
        let now = origin + ms(at_ms);
        for side in [0, 1] {
            let mut buffer = [0; MAX_TRANSMIT_OCTETS];
            while let Some(transmit) = sides[side].poll_transmit(now, &mut buffer) {
                assert_eq!(transmit.remote, places[1 - side]);
                sent += 1;
                if side == 0 || !lose(sent) {
                    sides[1 - side].handle_packet(now, places[side], &buffer[..transmit.octets]);
                }
            }
        }
        keys.extend(std::iter::from_fn(|| sides[0].poll_event()).filter_map(|event| match event {
            MediaEvent::Digit { digit, .. } => Some(digit.to_string()),
            _ => None,
        }));
        heard.extend(std::iter::from_fn(|| sides[1].poll_event()).map(|event| match event {
            MediaEvent::Heard(heard) => heard,
            other => {
                assert_eq!(other, MediaEvent::DigitsSent);
                keys.push("sent".to_owned());
                Heard::SpeechEnded { at_ms: 0 }
            }
        }));
    }
    let [_, caller] = sides;
    (keys, heard, caller.into_recording().expect("it listened"))
}

#[test]
fn a_call_between_two_sessions() {
    let digits = "0672123456#*ABCD99";
    let (keys, heard, recording) = call(digits, 8_000, |_| false);
    assert_eq!(keys.concat(), format!("{digits}sent"));
    let began: Vec<_> = heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::ClipBegan { id, at_ms, .. } => Some((&**id, *at_ms)),
            _ => None,
        })
        .collect();
    assert_eq!(began, [("welcome", 300), ("num-7", 700), ("menu", 780)]);
    let whole = heard.iter().filter(|heard| matches!(heard, Heard::ClipEnded { complete: true, .. })).count();
    assert_eq!((whole, heard.len()), (3, 7), "nothing but the three clips, and the keys sent");
    let library = library();
    let index = library.lookup("welcome").expect("is there");
    let octets = library.clip(index).expect("is there").octets(Encoding::Pcma);
    let decoded: Vec<i16> = octets.iter().map(|&octet| g711::decode(Encoding::Pcma, octet)).collect();
    assert_eq!(recording.samples[300 * 8..700 * 8], decoded, "sample for sample");
    assert_eq!(recording.duration_ms(), 4_000);
}

#[test]
fn a_call_with_losses_and_with_another_event_clock() {
    let digits = "55512#";
    // Two of any three packets of the caller are lost.
    let (keys, ..) = call(digits, 8_000, |sent| sent % 3 != 0);
    assert_eq!(keys.concat(), format!("{digits}sent"));
    let (keys, ..) = call(digits, 48_000, |sent| sent % 4 == 1);
    assert_eq!(keys.concat(), format!("{digits}sent"));
}

proptest! {
    #[test]
    fn no_datagrams_panic(
        datagrams in proptest::collection::vec(
            (any::<bool>(), any::<u8>(), 0..3_u8, proptest::collection::vec(any::<u8>(), 0..200), 0..100_u64),
            0..60,
        ),
    ) {
        let origin = Clock::system().instant();
        let index = Arc::new(FrameIndex::new(library()));
        let mut session = Session::new(SessionSettings::default(), Reach::Anywhere, library(), IDENTITY, Some(index));
        session.start(origin, parameters());
        let mut now = origin;
        for (good, payload_type, port, mut octets, wait) in datagrams {
            if good && octets.len() > 1 {
                octets[0] = 0x80 | (octets[0] & 0x0f);
                octets[1] = [8, 101, payload_type][usize::from(payload_type % 3)];
            }
            now += ms(wait);
            session.handle_packet(now, SocketAddr::new(parameters().remote.ip(), 5_004 + u16::from(port)), &octets);
            while session.poll_transmit(now, &mut [0; MAX_TRANSMIT_OCTETS]).is_some() {}
            while session.poll_event().is_some() {}
        }
        let counted = session.statistics();
        prop_assert!(counted.accepted <= counted.received);
    }
}
