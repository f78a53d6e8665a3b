//! Presses made here: what has a bound is tried on both sides of it. `tests/in_band.rs` has tones that others made, and speech.

use super::bank::FREQUENCIES_HZ;
use super::detector::{Detector, ToneEvent, ZERO_DBM0_AMPLITUDE, pair_of};
use super::in_band::InBandKeys;
use super::sender::ToneSender;
use crate::media::g711;
use crate::media::rtp::Packet;
use crate::media::telephone_event::{HOLD_OFF, Key};
use crate::units::clock::Clock;
use crate::units::rtp::Encoding;
use proptest::prelude::*;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

const KEYS: &str = "0123456789*#ABCD";
const PACKET: usize = 160;

/// A reproducible source of noise.
struct Noise(u64);

impl Noise {
    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 + 0.5) / f64::from(1_u32 << 31)
    }

    /// Of variance 1.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()
    }
}

fn amplitude(dbm0: f64) -> f64 {
    f64::from(ZERO_DBM0_AMPLITUDE) * 10_f64.powf(dbm0 / 20.0)
}

/// How keys are pressed.
#[derive(Debug, Clone, Copy)]
struct Press {
    low_dbm0: f64,
    high_dbm0: f64,
    /// % of the frequency.
    low_offset: f64,
    high_offset: f64,
    on_ms: f64,
    off_ms: f64,
    /// Of both tones together over white noise, dB.
    snr_db: Option<f64>,
    hum_dbm0: Option<f64>,
}

/// The shortest that counts.
const SHORTEST: Press = Press {
    low_dbm0: -10.0,
    high_dbm0: -10.0,
    low_offset: 0.0,
    high_offset: 0.0,
    on_ms: 40.0,
    off_ms: 40.0,
    snr_db: None,
    hum_dbm0: None,
};

/// Presses of all keys, each with phases and beginnings of its own, coded in A-law.
fn presses(keys: &str, press: Press, seed: u64) -> Vec<i16> {
    let mut noise = Noise(seed);
    let (low, high) = (amplitude(press.low_dbm0), amplitude(press.high_dbm0));
    let deviation =
        press.snr_db.map_or(0.0, |db| ((low * low + high * high) / 2.0 * 10_f64.powf(-db / 10.0)).sqrt());
    let mut clean = vec![0.0; 800];
    for key in keys.chars() {
        let [row, column] = pair_of(key).unwrap().map(|tone| f64::from(FREQUENCIES_HZ[tone]));
        let (row, column) =
            (row * (1.0 + press.low_offset / 100.0), column * (1.0 + press.high_offset / 100.0));
        let (phase, other) = (noise.uniform(), noise.uniform());
        clean.extend((0..(press.on_ms * 8.0) as usize).map(|n| {
            let turn = |hz: f64, phase: f64| (TAU * (hz * n as f64 / 8_000.0 + phase)).sin();
            low * turn(row, phase) + high * turn(column, other)
        }));
        let pause = press.off_ms * 8.0 + noise.uniform() * 40.0;
        clean.extend(std::iter::repeat_n(0.0, pause as usize));
    }
    clean.extend([0.0; 800]);
    let hum = press.hum_dbm0.map_or(0.0, amplitude);
    let hummed =
        clean.iter().enumerate().map(|(n, tone)| tone + hum * (TAU * 50.0 * n as f64 / 8_000.0).sin());
    hummed.map(|sample| through_a_law(sample + deviation * noise.normal())).collect()
}

fn through_a_law(sample: f64) -> i16 {
    g711::decode(Encoding::Pcma, g711::encode(Encoding::Pcma, sample.round() as i16))
}

fn events(samples: &[i16]) -> Vec<ToneEvent> {
    let (mut detector, mut events) = (Detector::new(), Vec::new());
    for packet in samples.chunks(PACKET) {
        detector.push(packet, |event| events.push(event));
    }
    events
}

/// The keys whose whole press was reported.
fn keys_in(samples: &[i16]) -> String {
    let events = events(samples);
    for two in events.chunks(2) {
        let [ToneEvent::Began { digit: first }, ToneEvent::Ended { digit: last, .. }] = two else {
            panic!("not a beginning and an end: {two:?}");
        };
        assert_eq!(first, last);
    }
    let ended = |event: &ToneEvent| match event {
        ToneEvent::Ended { digit, .. } => Some(*digit),
        ToneEvent::Began { .. } => None,
    };
    events.iter().filter_map(ended).collect()
}

/// Every key, four times, from four beginnings.
fn all_are_heard(press: Press) {
    for seed in 0..4 {
        assert_eq!(keys_in(&presses(KEYS, press, seed)), KEYS, "{press:?}, seed {seed}");
    }
}

fn none_is_heard(press: Press) {
    for seed in 0..4 {
        assert_eq!(keys_in(&presses(KEYS, press, seed)), "", "{press:?}, seed {seed}");
    }
}

fn twist(db: f64) -> Press {
    Press { low_dbm0: -12.0, high_dbm0: -12.0 + db, ..SHORTEST }
}

#[test]
fn forty_milliseconds_are_a_press_and_twenty_three_are_none() {
    for snr_db in [None, Some(20.0), Some(15.0), Some(12.0)] {
        all_are_heard(Press { snr_db, ..SHORTEST });
        none_is_heard(Press { on_ms: 23.0, snr_db, ..SHORTEST });
    }
    all_are_heard(Press { on_ms: 35.0, off_ms: 30.0, ..SHORTEST });
    none_is_heard(Press { on_ms: 26.0, ..SHORTEST });
}

#[test]
fn every_level_from_minus_25_to_0_dbm0() {
    for dbm0 in [0.0, -3.0, -6.0, -10.0, -15.0, -20.0, -25.0, -28.0] {
        for snr_db in [None, Some(15.0)] {
            all_are_heard(Press { low_dbm0: dbm0, high_dbm0: dbm0, snr_db, ..SHORTEST });
        }
    }
    for dbm0 in [-36.0, -45.0, -55.0] {
        none_is_heard(Press { low_dbm0: dbm0, high_dbm0: dbm0, on_ms: 100.0, ..SHORTEST });
    }
}

#[test]
fn the_high_tone_may_be_4_db_stronger_and_8_db_weaker() {
    for db in [-8.0, -4.0, 0.0, 4.0] {
        all_are_heard(twist(db));
        all_are_heard(Press { snr_db: Some(15.0), ..twist(db) });
    }
    for db in [-13.0, 8.0] {
        none_is_heard(Press { on_ms: 100.0, ..twist(db) });
        none_is_heard(Press { on_ms: 100.0, snr_db: Some(15.0), ..twist(db) });
    }
}

#[test]
fn frequencies_may_be_off_by_1_5_percent_and_not_by_3_5() {
    for (low, high) in [(1.0, 1.0), (1.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        for snr_db in [None, Some(15.0)] {
            for db in [-8.0, 0.0, 4.0] {
                let off = |percent: f64| Press {
                    low_offset: low * percent,
                    high_offset: high * percent,
                    snr_db,
                    ..twist(db)
                };
                all_are_heard(off(1.5));
                none_is_heard(Press { on_ms: 100.0, ..off(3.5) });
            }
        }
    }
}

#[test]
fn hum_that_is_louder_than_the_tones_is_no_matter() {
    for hum_dbm0 in [-30.0, -20.0, -10.0] {
        let quiet = Press { low_dbm0: -25.0, high_dbm0: -25.0, hum_dbm0: Some(hum_dbm0), ..SHORTEST };
        all_are_heard(quiet);
        all_are_heard(Press { snr_db: Some(15.0), ..quiet });
    }
}

#[test]
fn one_tone_alone_noise_and_silence_are_no_keys() {
    let one =
        |hz: f64| (0..8_000).map(|n| ((TAU * hz * f64::from(n) / 8_000.0).sin() * 9_000.0) as i16).collect();
    for hz in FREQUENCIES_HZ {
        let tone: Vec<i16> = one(hz.into());
        assert_eq!(events(&tone), []);
    }
    let mut noise = Noise(7);
    let noise: Vec<i16> = (0..80_000).map(|_| (noise.normal() * 8_000.0) as i16).collect();
    assert_eq!(events(&noise), []);
    assert_eq!(events(&[0; 8_000]), []);
    assert_eq!(events(&[i16::MAX; 8_000]), []);
}

/// Rings, dial tones and the tones of fax and modem: none of them is a key.
#[test]
fn the_tones_of_the_network_are_no_keys() {
    for pair in [[425.0, 425.0], [350.0, 440.0], [440.0, 480.0], [480.0, 620.0], [1_100.0, 2_100.0]] {
        for level in [6_000.0, 12_000.0] {
            let tone = |n: i32, hz: f64| (TAU * hz * f64::from(n) / 8_000.0).sin() * level;
            let samples: Vec<i16> =
                (0..8_000).map(|n| through_a_law(tone(n, pair[0]) + tone(n, pair[1]))).collect();
            assert_eq!(events(&samples), [], "{pair:?}");
        }
    }
}

#[test]
fn an_interruption_of_10_ms_makes_no_second_press_and_a_pause_of_40_ms_does() {
    for offset in (0..PACKET).step_by(7) {
        for (gap_ms, expected) in [(2, "5"), (5, "5"), (10, "5"), (40, "55")] {
            let mut samples = presses("5", Press { on_ms: 150.0, ..SHORTEST }, offset as u64);
            samples.drain(..offset);
            let cut = 800 + 480;
            if gap_ms == 40 {
                samples.splice(cut..cut, [0; 320]);
            } else {
                samples[cut..cut + gap_ms * 8].fill(0);
            }
            assert_eq!(keys_in(&samples), expected, "{gap_ms} ms, from {offset}");
        }
    }
}

#[test]
fn keys_without_a_pause_are_told_apart() {
    let fast = Press { on_ms: 60.0, off_ms: 0.0, ..SHORTEST };
    for seed in 0..8 {
        assert_eq!(keys_in(&presses("147*2580369#ABCD", fast, seed)), "147*2580369#ABCD");
    }
}

/// The tone comes back from a hybrid, later and weaker: it neither lengthens the press nor makes another.
#[test]
fn the_echo_of_a_press_is_no_press() {
    for delay_ms in [5, 20, 60, 120] {
        for loss_db in [10.0, 14.0, 20.0] {
            let direct = presses("1590", Press { on_ms: 80.0, off_ms: 200.0, ..SHORTEST }, 3);
            let factor = 10_f64.powf(-loss_db / 20.0);
            let delayed = std::iter::repeat_n(0, delay_ms * 8).chain(direct.iter().copied());
            let samples: Vec<i16> = direct
                .iter()
                .zip(delayed)
                .map(|(now, before)| through_a_law(f64::from(*now) + factor * f64::from(before)))
                .collect();
            assert_eq!(keys_in(&samples), "1590", "after {delay_ms} ms, {loss_db} dB");
        }
    }
}

#[test]
fn a_press_is_as_long_as_it_is() {
    for on_ms in [40.0, 63.0, 100.0, 500.0, 4_000.0] {
        let samples = presses(KEYS, Press { on_ms, ..SHORTEST }, 1);
        for event in events(&samples) {
            if let ToneEvent::Ended { digit, samples } = event {
                let wrong = samples as i64 - (on_ms * 8.0) as i64;
                assert!(wrong.abs() <= 40, "{digit} of {on_ms} ms is {wrong} samples wrong");
            }
        }
    }
}

/// How much of a press is heard before it is reported.
#[test]
fn a_press_is_reported_within_40_ms() {
    for seed in 0..40 {
        let samples = presses("8", Press { on_ms: 400.0, ..SHORTEST }, seed);
        let (mut detector, mut began) = (Detector::new(), None);
        for (n, sample) in samples.iter().enumerate() {
            detector.push(&[*sample], |_| {
                began.get_or_insert(n);
            });
        }
        let after = began.unwrap() - 800;
        assert!((230..=320).contains(&after), "after {after} samples");
    }
}

#[test]
fn how_the_samples_are_cut_is_no_matter() {
    let samples = presses(KEYS, Press { snr_db: Some(15.0), ..SHORTEST }, 5);
    for size in [1, 39, 80, 81, 160, 480, samples.len()] {
        let (mut detector, mut found) = (Detector::new(), Vec::new());
        samples.chunks(size).for_each(|part| detector.push(part, |event| found.push(event)));
        assert_eq!(found, events(&samples), "{size}");
    }
}

/// A stream of packets, and what is heard of it.
struct Stream {
    keys: InBandKeys,
    now: Instant,
    sequence: u16,
    timestamp: u32,
    heard: Vec<Key>,
}

impl Stream {
    /// Near the wrap of both counters.
    fn new() -> Self {
        let now = Clock::system().instant();
        Self {
            keys: InBandKeys::default(),
            now,
            sequence: 65_530,
            timestamp: u32::MAX - 700,
            heard: Vec::new(),
        }
    }

    fn packet(&mut self, samples: &[i16], arrives: bool) {
        let payload: Vec<u8> = samples.iter().map(|&sample| g711::encode(Encoding::Pcma, sample)).collect();
        let (sequence, timestamp) = (self.sequence, self.timestamp);
        let packet =
            Packet { payload_type: 8, marker: false, sequence, timestamp, ssrc: 7, payload: &payload };
        if arrives {
            self.keys.handle_audio(self.now, &packet, Encoding::Pcma, |key| self.heard.push(key));
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(samples.len() as u32);
        self.wait(20);
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.keys.handle_timeout(self.now, |key| self.heard.push(key));
    }

    fn ended(&self) -> String {
        let ended = |key: &Key| match key {
            Key::Ended(digit) => Some(*digit),
            Key::Began(_) => None,
        };
        self.heard.iter().filter_map(ended).collect()
    }
}

/// With every packet lost in turn, and every two: presses as a hand makes them all count, and once.
#[test]
fn lost_packets_lose_and_double_no_press() {
    let samples = presses("1155#0", Press { on_ms: 120.0, off_ms: 100.0, ..SHORTEST }, 2);
    let packets = samples.len() / PACKET;
    for burst in [0, 1, 2] {
        for lost in 0..packets {
            let mut stream = Stream::new();
            for (number, packet) in samples.chunks(PACKET).enumerate() {
                stream.packet(packet, !(lost..lost + burst).contains(&number));
            }
            assert_eq!(stream.ended(), "1155#0", "{burst} lost from packet {lost}");
        }
    }
}

#[test]
fn packets_that_come_late_or_twice_are_not_heard() {
    let samples = presses("12", Press { on_ms: 100.0, off_ms: 100.0, ..SHORTEST }, 2);
    let mut stream = Stream::new();
    for packet in samples.chunks(PACKET) {
        stream.packet(packet, true);
        (stream.sequence, stream.timestamp) =
            (stream.sequence.wrapping_sub(1), stream.timestamp.wrapping_sub(160));
        stream.packet(packet, true);
    }
    assert_eq!(stream.ended(), "12");
    assert_eq!(stream.keys.statistics().late, samples.chunks(PACKET).count() as u64);
}

/// A sender that falls silent between presses numbers its packets on, and its timestamps jump. Some send a packet of
/// comfort noise (RFC 3389) before.
#[test]
fn silence_that_is_not_sent_ends_a_press() {
    for (pause_ms, comfort_noise) in [40, 60, 200, 5_000].into_iter().flat_map(|ms| [(ms, false), (ms, true)])
    {
        let mut stream = Stream::new();
        for _ in 0..3 {
            let press = presses("7", Press { on_ms: 60.0, ..SHORTEST }, 2);
            // From the tone's beginning to its end.
            press[800..800 + 480].chunks(PACKET).for_each(|packet| stream.packet(packet, true));
            if comfort_noise {
                let (sequence, timestamp) = (stream.sequence, stream.timestamp);
                let packet =
                    Packet { payload_type: 13, marker: false, sequence, timestamp, ssrc: 7, payload: &[30] };
                stream.keys.handle_comfort_noise(&packet);
                stream.sequence = sequence.wrapping_add(1);
            }
            stream.timestamp = stream.timestamp.wrapping_add(pause_ms * 8);
            stream.wait(pause_ms.into());
        }
        stream.wait(HOLD_OFF.as_millis() as u64);
        assert_eq!(stream.ended(), "777", "{pause_ms} ms, with comfort noise: {comfort_noise}");
    }
}

#[test]
fn an_end_is_made_up_once_and_what_follows_it_is_the_same_press() {
    let press = presses("9", Press { on_ms: 1_000.0, ..SHORTEST }, 2);
    let mut stream = Stream::new();
    let packets: Vec<_> = press.chunks(PACKET).collect();
    packets[..20].iter().for_each(|packet| stream.packet(packet, true));
    assert_eq!(stream.heard, [Key::Began('9')]);
    stream.wait(HOLD_OFF.as_millis() as u64);
    assert_eq!(stream.heard, [Key::Began('9'), Key::Ended('9')]);
    assert_eq!(stream.keys.statistics().made_up_ends, 1);
    // The network had kept the rest.
    packets[20..].iter().for_each(|packet| stream.packet(packet, true));
    assert_eq!(stream.heard, [Key::Began('9'), Key::Ended('9')]);
}

#[test]
fn timestamps_that_stand_still_or_run_wild_are_no_matter() {
    let samples = presses("31#", Press { on_ms: 80.0, off_ms: 80.0, ..SHORTEST }, 2);
    for step in [0, 1_u32.wrapping_neg(), 160, 80] {
        let mut stream = Stream::new();
        for packet in samples.chunks(PACKET) {
            let before = stream.timestamp;
            stream.packet(packet, true);
            stream.timestamp = before.wrapping_add(step);
        }
        assert_eq!(stream.ended(), "31#", "{step}");
    }
}

#[test]
fn a_key_that_comes_as_an_event_is_not_heard_as_a_tone() {
    let samples = presses("3", Press { on_ms: 200.0, ..SHORTEST }, 2);
    let mut stream = Stream::new();
    for packet in samples.chunks(PACKET) {
        stream.keys.defer_to_event(stream.now);
        stream.packet(packet, true);
    }
    stream.wait(1_000);
    samples.chunks(PACKET).for_each(|packet| stream.packet(packet, true));
    assert_eq!(stream.ended(), "3", "the later one only");
}

#[test]
fn what_the_sender_makes_is_heard() {
    for encoding in Encoding::ALL {
        let mut sender = ToneSender::default();
        assert!(KEYS.chars().all(|key| sender.push(key, 100, 60)) && !sender.push('x', 100, 60));
        let mut samples = Vec::new();
        while !sender.is_idle() {
            let mut payload = [g711::silence(encoding); PACKET];
            sender.fill(encoding, &mut payload);
            samples.extend(payload.map(|octet| g711::decode(encoding, octet)));
        }
        assert_eq!(samples.len(), 16 * 160 * 8);
        assert_eq!(keys_in(&samples), KEYS);
    }
    let mut sender = ToneSender::default();
    assert_eq!((0..100).filter(|_| sender.push('1', 100, 60)).count(), 64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Beginnings and ends take turns, whatever is heard and lost.
    #[test]
    fn no_samples_panic(
        parts in proptest::collection::vec((proptest::collection::vec(any::<i16>(), 0..400), any::<u32>()), 0..12),
    ) {
        let (mut detector, mut down) = (Detector::new(), None);
        for (samples, lost) in parts {
            detector.push(&samples, |event| match event {
                ToneEvent::Began { digit } => assert_eq!(down.replace(digit), None),
                ToneEvent::Ended { digit, .. } => assert_eq!(down.take(), Some(digit)),
            });
            detector.skip(lost);
        }
    }

    /// Any press within the bounds, with any of its properties at once.
    #[test]
    fn presses_within_the_bounds_are_heard(
        low_dbm0 in -17.0..0.0_f64,
        twist in -8.0..4.0_f64,
        low_offset in -1.5..1.5_f64,
        high_offset in -1.5..1.5_f64,
        on_ms in 40.0..90.0_f64,
        off_ms in 40.0..90.0_f64,
        snr_db in 15.0..40.0_f64,
        hum_dbm0 in -40.0..-15.0_f64,
        seed in any::<u64>(),
    ) {
        let high_dbm0 = (low_dbm0 + twist).min(0.0);
        let press = Press {
            low_dbm0, high_dbm0, low_offset, high_offset, on_ms, off_ms,
            snr_db: Some(snr_db), hum_dbm0: Some(hum_dbm0),
        };
        prop_assert_eq!(keys_in(&presses(KEYS, press, seed)), KEYS);
    }
}
