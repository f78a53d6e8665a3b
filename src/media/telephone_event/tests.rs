//! Presses through networks that lose, repeat and reorder, in virtual time.

use super::*;
use crate::media::rtp::Packet;
use crate::units::clock::Clock;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const CLOCK_HZ: u32 = 8_000;

/// One packet on the wire.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at_ms: u64,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    marker: bool,
    /// `None`: audio.
    event: Option<Event>,
}

/// A sender as RFC 4733 §2.5.1 has it, with updates every `step_ms`.
struct Sender {
    out: Vec<Sent>,
    at_ms: u64,
    sequence: u16,
    timestamp: u32,
    step_ms: u32,
    markers: bool,
}

impl Sender {
    /// Starts just before both counters wrap.
    fn new() -> Self {
        Self {
            out: Vec::new(),
            at_ms: 0,
            sequence: 65_530,
            timestamp: u32::MAX - 900,
            step_ms: 20,
            markers: true,
        }
    }

    fn put(&mut self, timestamp: u32, marker: bool, event: Option<Event>) {
        let Sender { at_ms, sequence, markers, .. } = *self;
        self.out.push(Sent { at_ms, ssrc: 9, sequence, timestamp, marker: marker && markers, event });
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn pass(&mut self, ms: u32) {
        self.at_ms += u64::from(ms);
        self.timestamp = self.timestamp.wrapping_add(ms * CLOCK_HZ / 1_000);
    }

    fn audio(&mut self, ms: u32) {
        for _ in 0..ms / 20 {
            self.put(self.timestamp, false, None);
            self.pass(20);
        }
    }

    /// A press of `on_ms`, then `off_ms` of audio.
    fn press(&mut self, event: u8, on_ms: u32, off_ms: u32) -> &mut Self {
        let start = self.timestamp;
        let at = |elapsed_ms: u32, end| {
            let duration = (elapsed_ms * CLOCK_HZ / 1_000) as u16;
            Some(Event { event, end, volume: 10, duration })
        };
        let mut elapsed = self.step_ms.min(on_ms);
        let mut first = true;
        while elapsed < on_ms {
            self.put(start, first, at(elapsed, false));
            self.pass(self.step_ms);
            elapsed += self.step_ms;
            first = false;
        }
        for _ in 0..3 {
            self.put(start, first, at(on_ms, true));
            first = false;
        }
        self.pass(self.step_ms);
        self.audio(off_ms);
        self
    }
}

/// Feeds packets, with the time each arrives at, and lets the hold-off run out at the end.
fn read(packets: impl IntoIterator<Item = (u64, Sent)>) -> (Vec<Key>, KeyStatistics) {
    let origin = Clock::system().instant();
    let mut reader = EventReader::default();
    let mut keys = Vec::new();
    let mut last = 0;
    for (at_ms, sent) in packets {
        let now = origin + Duration::from_millis(at_ms);
        reader.handle_timeout(now, |key| keys.push(key));
        feed(&mut reader, now, sent, &mut keys);
        last = at_ms;
    }
    if let Some(deadline) = reader.deadline() {
        assert!(deadline <= origin + Duration::from_millis(last) + HOLD_OFF);
        reader.handle_timeout(deadline, |key| keys.push(key));
    }
    assert_eq!(reader.deadline(), None);
    (keys, reader.statistics())
}

fn feed(reader: &mut EventReader, now: Instant, sent: Sent, keys: &mut Vec<Key>) {
    let payload = sent.event.map(Event::write);
    let Sent { ssrc, sequence, timestamp, marker, .. } = sent;
    let payload = payload.as_ref().map_or(&[0; 160][..], |event| event.as_slice());
    let packet = Packet { payload_type: 101, marker, sequence, timestamp, ssrc, payload };
    match sent.event {
        Some(_) => reader.handle_packet(now, &packet, CLOCK_HZ, |key| keys.push(key)),
        None => reader.handle_audio(&packet, CLOCK_HZ, CLOCK_HZ, |key| keys.push(key)),
    }
}

fn in_order(sent: &[Sent]) -> Vec<(u64, Sent)> {
    sent.iter().map(|&sent| (sent.at_ms, sent)).collect()
}

/// Began and ended, for each key in turn.
fn whole(keys: &str) -> Vec<Key> {
    keys.chars().flat_map(|key| [Key::Began(key), Key::Ended(key)]).collect()
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let smaller = permutations(count - 1);
    (0..count)
        .flat_map(|place| {
            smaller.iter().map(move |order| {
                let mut order = order.clone();
                order.insert(place, count - 1);
                order
            })
        })
        .collect()
}

#[test]
fn every_key_has_its_code() {
    let keys = "0123456789*#ABCD";
    for (event, key) in (0..).zip(keys.chars()) {
        assert_eq!((key_of(event), event_of(key)), (Some(key), Some(event)));
    }
    assert_eq!((key_of(16), event_of('x'), event_of('d')), (None, None, Some(15)));
    let mut sender = Sender::new();
    for event in 0..16 {
        sender.press(event, 100, 60);
    }
    assert_eq!(read(in_order(&sender.out)).0, whole(keys));
}

#[test]
fn an_event_is_four_octets() {
    let event = Event { event: 11, end: true, volume: 10, duration: 0x1234 };
    assert_eq!(event.write(), [11, 0x8a, 0x12, 0x34]);
    assert_eq!(Event::read(&event.write()), Some(event));
    assert_eq!(Event::read(&[1, 2, 3]), None);
}

/// Start lost, updates lost, end packets lost, reordering: every loss in every order, for one press and the same key again
/// after it.
#[test]
fn every_loss_in_every_order_counts_once() {
    let mut sender = Sender::new();
    sender.press(5, 60, 0);
    let first = sender.out.len();
    assert_eq!(first, 5);
    sender.audio(40);
    let next = sender.out.len();
    sender.press(5, 60, 60);
    let (press, rest) = (&sender.out[..first], &sender.out[next..]);
    for lost in 0..(1_u32 << first) - 1 {
        let left: Vec<Sent> =
            (0..first).filter(|place| lost >> place & 1 == 0).map(|place| press[place]).collect();
        for order in permutations(left.len()) {
            let arrived = order.iter().map(|&place| (50, left[place]));
            let after = rest.iter().map(|&sent| (sent.at_ms, sent));
            let (keys, _) = read(arrived.chain(after));
            assert_eq!(keys, whole("55"), "lost {lost:05b}, order {order:?}");
        }
    }
}

#[test]
fn repeated_packets_count_once() {
    let mut sender = Sender::new();
    sender.press(3, 100, 60).press(3, 100, 60);
    let twice = sender.out.iter().flat_map(|&sent| [(sent.at_ms, sent), (sent.at_ms + 5, sent)]);
    let (keys, statistics) = read(twice);
    assert_eq!(keys, whole("33"));
    assert_eq!((statistics.presses, statistics.made_up_ends), (2, 0));
}

#[test]
fn a_marker_is_never_needed() {
    let mut sender = Sender::new();
    sender.markers = false;
    sender.press(1, 40, 20).press(1, 40, 20).press(1, 40, 20);
    assert_eq!(read(in_order(&sender.out)).0, whole("111"));
}

#[test]
fn no_press_is_too_short_or_too_long() {
    let mut sender = Sender::new();
    sender.press(1, 1, 20).press(2, 20, 20).press(3, 8_000, 20);
    assert_eq!(read(in_order(&sender.out)).0, whole("123"));
    let zero = Event { event: 4, end: true, volume: 0, duration: 0 };
    let mut silent = Sender::new();
    silent.put(7, true, Some(zero));
    assert_eq!(read(in_order(&silent.out)).0, whole("4"));
}

#[test]
fn a_press_longer_than_its_field_is_one() {
    // RFC 4733 §2.5.1.3: segments of 65,535 units, each with its own timestamp, the last alone with the end bit.
    for lose_every in [0, 7] {
        let mut sender = Sender::new();
        let mut start = sender.timestamp;
        let mut duration: u32 = 0;
        for step in 1..=1_000_u32 {
            duration += 160;
            if duration > 65_535 {
                start = start.wrapping_add(65_535);
                duration -= 65_535;
            }
            let event = Event { event: 8, end: step == 1_000, volume: 10, duration: duration as u16 };
            sender.put(start, step == 1, Some(event));
            sender.pass(20);
        }
        let kept = in_order(&sender.out).into_iter().enumerate();
        let kept = kept.filter(|(place, _)| lose_every == 0 || place % lose_every != 3).map(|(_, sent)| sent);
        assert_eq!(read(kept).0, whole("8"), "lost every {lose_every}");
    }
}

#[test]
fn a_duration_that_wraps_or_stays_is_one_press() {
    for clamp in [false, true] {
        let mut sender = Sender::new();
        for step in 1..=600_u32 {
            let duration = if clamp { (step * 160).min(65_535) } else { step * 160 } as u16;
            sender.put(77, step == 1, Some(Event { event: 8, end: step == 600, volume: 10, duration }));
            sender.pass(20);
        }
        assert_eq!(read(in_order(&sender.out)).0, whole("8"));
    }
}

#[test]
fn a_timestamp_that_wrongly_runs_within_a_press_is_one() {
    // Of each packet its own sampling time, also of the three ends.
    for (lost, marker) in [(None, true), (Some(2), true), (None, false)] {
        let mut sender = Sender::new();
        sender.markers = marker;
        for _ in 0..2 {
            for step in 1..=5_u16 {
                let event = Event { event: 6, end: false, volume: 10, duration: step * 160 };
                sender.put(sender.timestamp, step == 1, Some(event));
                sender.pass(20);
            }
            for _ in 0..3 {
                sender.put(
                    sender.timestamp,
                    false,
                    Some(Event { event: 6, end: true, volume: 10, duration: 960 }),
                );
                sender.pass(20);
            }
            sender.audio(60);
        }
        let kept = in_order(&sender.out).into_iter().enumerate();
        let kept = kept.filter(|(place, _)| Some(*place) != lost).map(|(_, sent)| sent);
        let (keys, statistics) = read(kept);
        assert_eq!(keys, whole("66"), "lost {lost:?}, marker {marker}");
        assert!(statistics.changed_timestamps > 0);
    }
}

#[test]
fn fast_presses_of_one_key_are_not_merged_even_without_ends_and_markers() {
    for on_ms in [40, 60, 100] {
        for off_ms in [0, 20, 40] {
            let mut sender = Sender::new();
            sender.markers = false;
            for _ in 0..6 {
                sender.press(7, on_ms, off_ms);
            }
            let kept: Vec<_> = in_order(&sender.out)
                .into_iter()
                .filter(|(_, sent)| !sent.event.is_some_and(|e| e.end))
                .collect();
            let (keys, statistics) = read(kept);
            assert_eq!(keys, whole("777777"), "{on_ms} on, {off_ms} off");
            assert_eq!(statistics.made_up_ends, 6);
        }
    }
}

#[test]
fn durations_in_another_clock_merge_nothing() {
    // Timestamps run at 8 kHz, durations at 48 kHz, typed fast.
    let mut sender = Sender::new();
    for _ in 0..5 {
        sender.press(2, 100, 20);
    }
    for sent in &mut sender.out {
        sent.event = sent.event.map(|event| Event { duration: event.duration * 6, ..event });
    }
    assert_eq!(read(in_order(&sender.out)).0, whole("22222"));
}

#[test]
fn lost_ends_are_made_up_by_the_next_key_by_audio_or_by_time() {
    let origin = Clock::system().instant();
    let at = |ms| origin + Duration::from_millis(ms);
    let event = |event, timestamp, sequence| Sent {
        at_ms: 0,
        ssrc: 9,
        sequence,
        timestamp,
        marker: true,
        event: Some(Event { event, end: false, volume: 10, duration: 160 }),
    };
    let audio = |timestamp, sequence| Sent { event: None, ..event(0, timestamp, sequence) };
    let mut reader = EventReader::default();
    let mut keys = Vec::new();
    feed(&mut reader, at(0), event(1, 1_000, 1), &mut keys);
    feed(&mut reader, at(20), event(2, 3_000, 2), &mut keys);
    assert_eq!(keys, [Key::Began('1'), Key::Ended('1'), Key::Began('2')]);
    keys.clear();
    // Audio within the press, before it, or of an unrelated run says nothing.
    for (timestamp, sequence) in [(3_000, 3), (3_900, 4), (9_000, 1), (3_000_000, 5)] {
        feed(&mut reader, at(40), audio(timestamp, sequence), &mut keys);
    }
    assert_eq!(keys, []);
    feed(&mut reader, at(60), audio(3_960, 6), &mut keys);
    assert_eq!(keys, [Key::Ended('2')]);
    keys.clear();
    feed(&mut reader, at(80), event(3, 6_000, 7), &mut keys);
    assert_eq!(reader.deadline(), Some(at(80) + HOLD_OFF));
    reader.handle_timeout(at(79) + HOLD_OFF, |key| keys.push(key));
    assert_eq!(keys, [Key::Began('3')]);
    reader.handle_timeout(at(80) + HOLD_OFF, |key| keys.push(key));
    assert_eq!(keys, whole("3"));
    // The key was still down after all: its packets are its own.
    feed(
        &mut reader,
        at(400),
        Sent {
            event: Some(Event { event: 3, end: true, volume: 10, duration: 2_560 }),
            ..event(3, 6_000, 9)
        },
        &mut keys,
    );
    assert_eq!((keys.len(), reader.statistics().repeated, reader.statistics().made_up_ends), (2, 1, 3));
}

#[test]
fn audio_beside_the_events_does_not_split_a_press() {
    let mut sender = Sender::new();
    let start = sender.timestamp;
    for step in 1..=20_u16 {
        sender.put(
            start,
            step == 1,
            Some(Event { event: 4, end: step == 20, volume: 10, duration: step * 400 }),
        );
        for _ in 0..2 {
            sender.put(sender.timestamp, false, None);
            sender.pass(25);
        }
    }
    sender.audio(200);
    let (keys, statistics) = read(in_order(&sender.out));
    assert_eq!((keys, statistics.made_up_ends), (whole("4"), 0));
}

#[test]
fn a_late_packet_of_an_older_press_is_ignored() {
    let mut sender = Sender::new();
    sender.press(1, 40, 20).press(2, 40, 20);
    let one: Vec<Sent> =
        sender.out.iter().copied().filter(|s| s.event.is_some_and(|e| e.event == 1)).collect();
    let two: Vec<Sent> =
        sender.out.iter().copied().filter(|s| s.event.is_some_and(|e| e.event == 2)).collect();
    let (keys, statistics) = read(two.into_iter().chain(one).map(|sent| (100, sent)));
    assert_eq!(keys, whole("2"), "out of order it would be another number");
    assert_eq!(statistics.late, 4);
}

#[test]
fn a_source_or_numbering_that_starts_anew_is_heard_at_once() {
    let mut sender = Sender::new();
    sender.press(1, 100, 60);
    let mut restarted = Sender::new();
    (restarted.sequence, restarted.timestamp) = (20_000, 5);
    restarted.press(1, 100, 60);
    let mut other = Sender::new();
    other.press(1, 100, 60);
    other.out.iter_mut().for_each(|sent| sent.ssrc = 10);
    let all = [sender.out, restarted.out, other.out].concat();
    let timed = (0..).zip(all).map(|(place, sent)| (place * 20, sent));
    assert_eq!(read(timed).0, whole("111"));
}

/// SIPp plays recordings: each has its own numbering, and one that is played again is the same to the last octet.
#[test]
fn recordings_played_one_after_the_other() {
    let recording = |event, sequence, timestamp| {
        let mut sender = Sender::new();
        (sender.sequence, sender.timestamp) = (sequence, timestamp);
        sender.press(event, 100, 0);
        sender.out
    };
    let (one, two) = (recording(1, 100, 50_000), recording(2, 60, 80_000));
    let play = |out: &[Sent], from_ms: u64| {
        out.iter().map(move |&sent| (from_ms + sent.at_ms, sent)).collect::<Vec<_>>()
    };
    let close = [play(&one, 0), play(&two, 500), play(&one, 1_000)].concat();
    assert_eq!(read(close).0, whole("12"), "the same packets so soon are repeats");
    let apart = [play(&one, 0), play(&two, 500), play(&one, 4_000), play(&two, 4_500)].concat();
    assert_eq!(read(apart).0, whole("1212"));
}

#[test]
fn several_events_in_one_packet_follow_each_other() {
    let mut reader = EventReader::default();
    let mut keys = Vec::new();
    let block = |event, end| Event { event, end, volume: 10, duration: 800 }.write();
    let payload = [block(1, true), block(2, true), block(2, true), block(40, true), block(3, false)].concat();
    let mut packet =
        Packet { payload_type: 101, marker: true, sequence: 5, timestamp: 100, ssrc: 9, payload: &payload };
    let now = Clock::system().instant();
    for _ in 0..3 {
        reader.handle_packet(now, &packet, CLOCK_HZ, |key| keys.push(key));
        packet.sequence += 1;
    }
    assert_eq!(keys, [whole("122"), vec![Key::Began('3')]].concat());
    packet.payload = &[1, 2, 3];
    reader.handle_packet(now, &packet, CLOCK_HZ, |key| keys.push(key));
    assert_eq!((reader.statistics().malformed, reader.statistics().other_events), (1, 3));
}

/// A press as a caller types it.
fn press() -> impl Strategy<Value = (u8, u32, u32)> {
    (
        0..16_u8,
        prop_oneof![Just(40), Just(60), 40..400_u32, Just(100)],
        prop_oneof![Just(0), Just(20), 0..300_u32],
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Loss, repetition and jitter: wherever the first packet that gets through of each press comes before that of the next,
    /// the keys are exactly those that were pressed.
    #[test]
    fn keys_are_right_wherever_they_can_be(
        presses in proptest::collection::vec(press(), 1..12),
        step_ms in prop_oneof![Just(20_u32), Just(50)],
        markers in any::<bool>(),
        loss_percent in prop_oneof![Just(0_u32), Just(1), Just(5), Just(20), Just(50)],
        jitter_ms in prop_oneof![Just(0_u64), Just(10), Just(60), Just(200)],
        seed in any::<u64>(),
    ) {
        use rand::{RngExt, SeedableRng, rngs::StdRng};
        let mut random = StdRng::seed_from_u64(seed);
        let mut sender = Sender::new();
        (sender.step_ms, sender.markers) = (step_ms, markers);
        sender.audio(40);
        let mut starts = Vec::new();
        for &(event, on_ms, off_ms) in &presses {
            starts.push(sender.timestamp);
            sender.press(event, on_ms, off_ms);
        }
        sender.audio(100);
        let mut arrivals = Vec::new();
        for &sent in &sender.out {
            let copies = if random.random_range(0..100) < 10_u32 { 2 } else { 1 };
            for _ in 0..copies {
                if random.random_range(0..100_u32) >= loss_percent {
                    arrivals.push((sent.at_ms + random.random_range(0..=jitter_ms), sent));
                }
            }
        }
        arrivals.sort_by_key(|&(at_ms, _)| at_ms);
        let firsts: Vec<Option<usize>> = starts
            .iter()
            .map(|&start| arrivals.iter().position(|(_, sent)| sent.event.is_some() && sent.timestamp == start))
            .collect();
        prop_assume!(firsts.is_sorted() && firsts.iter().all(Option::is_some));
        let keys: String = presses.iter().filter_map(|&(event, ..)| key_of(event)).collect();
        prop_assert_eq!(read(arrivals).0, whole(&keys));
    }

    #[test]
    fn no_packets_panic_and_every_beginning_has_its_end(
        packets in proptest::collection::vec(
            (0..2_u32, any::<u16>(), any::<u32>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..12), 0..400_u64),
            0..60,
        ),
        clock_rate_hz in any::<u32>(),
    ) {
        let mut now = Clock::system().instant();
        let mut reader = EventReader::default();
        let mut keys = Vec::new();
        for (ssrc, sequence, timestamp, marker, payload, wait) in &packets {
            now += Duration::from_millis(*wait);
            let (ssrc, sequence, timestamp, marker) = (*ssrc, *sequence, *timestamp, *marker);
            let packet = Packet { payload_type: 101, marker, sequence, timestamp, ssrc, payload };
            reader.handle_audio(&packet, CLOCK_HZ, clock_rate_hz, |key| keys.push(key));
            reader.handle_packet(now, &packet, clock_rate_hz, |key| keys.push(key));
            reader.handle_timeout(now, |key| keys.push(key));
        }
        reader.handle_timeout(now + HOLD_OFF, |key| keys.push(key));
        for pair in keys.chunks(2) {
            let [Key::Began(began), Key::Ended(ended)] = pair else {
                return Err(TestCaseError::fail(format!("{pair:?}")));
            };
            prop_assert_eq!(began, ended);
        }
    }
}
