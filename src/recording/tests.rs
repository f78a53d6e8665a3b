//! Tapes from packets that are made here, and the recorder with its thread and real files.

use super::container::{Reader, Writer};
use super::content::{Cue, EndedBy, What, Why};
use super::recorder::{Recorder, Refusal, Subject};
use super::tape::{OPENS_AFTER, Tape};
use super::{Calls, Channels, Ending, Key, Read, Settings, find};
use crate::media::tone::{Detector, ToneEvent, key_sample};
use crate::media::{Fork, ForkState, ForkedPacket, Packet, Side, StreamParameters};
use crate::units::CallId;
use crate::units::clock::Clock;
use crate::units::rtp::Encoding;
use arrayvec::ArrayVec;
use audio_codec_algorithms::{decode_alaw, encode_alaw};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn copy(side: Side, at: Instant, number: u32, payload: &[u8]) -> ForkedPacket {
    ForkedPacket {
        recording: 0,
        side,
        at,
        ssrc: 7,
        timestamp: 5_000 + number * 160,
        encoding: Encoding::Pcma,
        amr: None,
        payload: ArrayVec::try_from(payload).unwrap(),
    }
}

/// Packet `number` of a key that is held for ever.
fn tone(key: char, number: u32) -> [u8; 160] {
    std::array::from_fn(|n| encode_alaw(key_sample(key, number * 160 + n as u32, 8_000)))
}

/// One channel of two.
fn channel(samples: &[i16], which: usize) -> Vec<i16> {
    samples.iter().skip(which).step_by(2).copied().collect()
}

/// The keys in it, and the ms at which each was recognised.
fn keys_in(samples: &[i16]) -> Vec<(char, usize)> {
    let (mut detector, mut keys) = (Detector::new(), Vec::new());
    for (block, samples) in samples.chunks(40).enumerate() {
        detector.push(samples, |event| {
            if let ToneEvent::Began { digit } = event {
                keys.push((digit, block * 5));
            }
        });
    }
    keys
}

fn keys_of(cues: &[Cue]) -> Vec<(char, u64)> {
    let key = |cue: &Cue| match cue.what {
        What::Key { key, .. } => Some((key, cue.at_ms)),
        _ => None,
    };
    cues.iter().filter_map(key).collect()
}

#[test]
fn each_side_is_heard_at_its_time_and_what_is_missing_is_silence() {
    let began = Clock::system().instant();
    let mut tape = Tape::new(began, 8_000, Channels::Two, false);
    let (ours, theirs) = ([0x2a; 160], [0xaa; 160]);
    // Ours from 40 ms on, with a gap; theirs from 100 ms on: late, out of order, one twice, one lost, one far too late.
    for number in [0, 1, 4] {
        tape.packet(copy(Side::Sent, began + MS * (40 + 20 * number), number, &ours));
    }
    for (number, late_ms) in [(0, 0), (2, 5), (1, 60), (1, 61), (4, 10)] {
        tape.packet(copy(Side::Received, began + MS * (100 + 20 * number + late_ms), number, &theirs));
    }
    let samples = tape.take(began + MS * 220);
    tape.packet(copy(Side::Received, began + MS * 900, 3, &theirs));
    assert_eq!((samples.len(), tape.late()), (2 * 220 * 8, 1));
    let frames = |which: usize, loud: i16| -> Vec<bool> {
        let frame = |frame: &[i16]| {
            assert!(frame.iter().all(|sample| *sample == frame[0]) && [0, loud].contains(&frame[0]));
            frame[0] == loud
        };
        channel(&samples, which).chunks(160).map(frame).collect()
    };
    let at = |heard: &[usize]| (0..11).map(|frame| heard.contains(&frame)).collect::<Vec<_>>();
    assert_eq!(frames(0, decode_alaw(0x2a)), at(&[2, 3, 6]));
    assert_eq!(frames(1, decode_alaw(0xaa)), at(&[5, 6, 7, 9]));
}

/// From A-law to G.722 in the middle of a call, on one run of timestamps.
#[test]
fn another_codec_goes_on_where_the_last_one_ended() {
    let began = Clock::system().instant();
    let mut tape = Tape::new(began, 8_000, Channels::Two, false);
    let mut encoder = klikon_codecs::g722::Encoder::default();
    for number in 0..40 {
        let at = began + MS * 20 * number;
        let packet = if number < 20 {
            copy(Side::Received, at, number, &tone('1', number))
        } else {
            let samples: Vec<i16> = (0..320).map(|n| key_sample('5', number * 320 + n, 16_000)).collect();
            let mut octets = Vec::new();
            encoder.encode(&samples, &mut octets);
            ForkedPacket { encoding: Encoding::G722, ..copy(Side::Received, at, number, &octets) }
        };
        tape.packet(packet);
    }
    let heard = keys_in(&channel(&tape.take(began + MS * 800), 1));
    assert_eq!(heard.iter().map(|(key, _)| *key).collect::<String>(), "15");
    assert!((400..=460).contains(&heard[1].1), "{heard:?}");
    assert_eq!(tape.late(), 0);
}

#[test]
fn a_mixed_recording_is_the_sum_of_both() {
    let began = Clock::system().instant();
    let mut tape = Tape::new(began, 16_000, Channels::Mixed, false);
    for number in 0..20 {
        tape.packet(copy(Side::Sent, began + MS * 20 * number, number, &tone('1', number)));
        tape.packet(copy(Side::Received, began + MS * 20 * number, number, &[0xd5; 160]));
    }
    let samples = tape.take(began + MS * 400);
    assert_eq!(samples.len(), 400 * 16);
    let narrow: Vec<i16> = samples.into_iter().step_by(2).collect();
    assert_eq!(keys_in(&narrow).iter().map(|(key, _)| *key).collect::<String>(), "1");
}

#[test]
fn keys_that_came_as_events_are_tones_at_their_times() {
    let began = Clock::system().instant();
    for rate_hz in [8_000, 16_000] {
        let mut tape = Tape::new(began, rate_hz, Channels::Two, false);
        for (key, from, to) in [('1', 300, 380), ('#', 700, 800), ('9', 950, 2_100)] {
            tape.key_began(began + MS * from, key, true);
            tape.key_ended(began + MS * to);
        }
        // What is in the audio already has a cue only.
        tape.key_began(began + MS * 2_300, '5', false);
        tape.key_ended(began + MS * 2_350);
        let mut caller = Vec::new();
        for until in [250, 350, 1_000, 1_700, 2_500] {
            caller.extend(channel(&tape.take(began + MS * until), 1));
        }
        let narrow: Vec<i16> = caller.iter().step_by(rate_hz as usize / 8_000).copied().collect();
        let heard = keys_in(&narrow);
        assert_eq!(heard.iter().map(|(key, _)| *key).collect::<String>(), "1#9");
        for ((_, heard), cue) in heard.iter().zip([300, 700, 950]) {
            assert!((0..=60).contains(&(*heard as i64 - cue)), "{heard} for {cue}");
        }
        let silent = |from: usize, to: usize| narrow[from * 8..to * 8].iter().all(|sample| *sample == 0);
        assert!(silent(0, 300) && silent(380, 700) && silent(800, 950) && silent(2_100, 2_500));
        assert_eq!(keys_of(&tape.take_cues()), [('1', 300), ('#', 700), ('9', 950), ('5', 2_300)]);
    }
}

/// Keys and tones of every sort before the opening, and until what was on its way has come; a tone that goes on is silent to
/// its end.
#[test]
fn nothing_of_the_caller_is_heard_before_the_opening_nor_a_tone_that_goes_on() {
    let began = Clock::system().instant();
    let mut tape = Tape::new(began, 8_000, Channels::Two, true);
    let (opened, ends_ms, number_of) = (600, 2_400, |ms: u32| ms / 20);
    for number in 0..number_of(4_000) {
        let at = began + MS * number * 20;
        if number == number_of(opened) {
            tape.open(at);
        }
        // A key of the PIN that is held down, and much later another one.
        let payload = match number * 20 {
            ms if ms < ends_ms => tone('4', number),
            3_000..3_200 => tone('6', number),
            _ => [0xd5; 160],
        };
        tape.packet(copy(Side::Received, at, number, &payload));
    }
    for (key, ms) in [('7', 100), ('2', 590), ('9', 700), ('8', 1_590), ('6', 3_000)] {
        tape.key_began(began + MS * ms, key, ms != 3_000);
        tape.key_ended(began + MS * (ms + 100));
    }
    let mut caller = Vec::new();
    for until in (0..=4_000).step_by(500) {
        caller.extend(channel(&tape.take(began + MS * until), 1));
    }
    let cues = tape.take_cues();
    assert_eq!(keys_of(&cues), [('6', 3_000)]);
    assert_eq!(keys_in(&caller).iter().map(|(key, _)| *key).collect::<String>(), "6");
    assert!(caller[..ends_ms as usize * 8].iter().all(|sample| *sample == 0), "silence, not a fainter tone");
    let opens_ms = u64::from(opened) + u64::try_from(OPENS_AFTER.as_millis()).unwrap();
    let said: Vec<_> = cues.iter().filter(|cue| !matches!(cue.what, What::Key { .. })).collect();
    assert_eq!(
        said,
        [&Cue { at_ms: 0, what: What::CallerWithheld }, &Cue { at_ms: opens_ms, what: What::CallerHeard }]
    );
}

proptest! {
    /// Whatever comes, and in whatever order: before the opening has passed, the caller's side is zero.
    #[test]
    fn the_callers_side_is_zero_until_it_is_open(
        packets in proptest::collection::vec((0..3_000_u32, 0..200_u32, any::<bool>()), 0..120),
        opened_ms in proptest::option::of(0..2_000_u32),
    ) {
        let began = Clock::system().instant();
        let mut tape = Tape::new(began, 8_000, Channels::Two, true);
        let mut packets = packets;
        packets.sort_by_key(|(at_ms, ..)| *at_ms);
        let mut open = false;
        for (at_ms, number, key) in packets {
            let at = began + MS * at_ms;
            if let Some(opened_ms) = opened_ms.filter(|opened_ms| !open && *opened_ms <= at_ms) {
                tape.open(began + MS * opened_ms);
                open = true;
            }
            tape.packet(copy(Side::Received, at, number, &tone('5', number)));
            if key {
                tape.key_began(at, '5', true);
                tape.key_ended(at + MS * 80);
            }
        }
        let caller = channel(&tape.take(began + MS * 4_000), 1);
        let silent_ms = opened_ms.filter(|_| open).map_or(4_000, |ms| ms as usize + 1_000);
        prop_assert!(caller[..silent_ms * 8].iter().all(|sample| *sample == 0));
        prop_assert!(keys_of(&tape.take_cues()).iter().all(|(_, at_ms)| *at_ms >= silent_ms as u64));
    }
}

#[test]
fn a_fork_never_waits_and_counts_what_it_loses() {
    let (packets, copied) = sync_channel(2);
    let state = Arc::new(ForkState::default());
    let mut fork = Fork::new(3, packets, Arc::clone(&state));
    let parameters = StreamParameters::new(([192, 0, 2, 7], 4_000).into(), Encoding::Pcma, 8);
    let now = Clock::system().instant();
    let packet =
        |payload| Packet { payload_type: 8, marker: false, sequence: 0, timestamp: 0, ssrc: 1, payload };
    fork.received(now, &parameters, &packet(&[0; 160]));
    assert!(copied.try_recv().is_err(), "the caller is not copied before it is asked for");
    let mut fork = fork.of_both_sides();
    let measured = allocation_counter::measure(|| {
        (0..3).for_each(|_| fork.sent(now, &parameters, &packet(&[0; 160])));
    });
    assert_eq!(measured.count_total, 0, "a worker allocates nothing for a copy");
    fork.received(now, &parameters, &packet(&[0; 1_400]));
    assert_eq!(state.lost(), 2, "one without room, one too long");
    assert_eq!(copied.try_iter().count(), 2);
    // A flood of the caller's is not recorded, and takes no room from others.
    for _ in 0..5_000 {
        fork.received(now, &parameters, &packet(&[0; 160]));
        copied.try_recv().ok();
    }
    assert_eq!(state.lost(), 2);
    state.set_over();
    fork.sent(now, &parameters, &packet(&[0; 160]));
    assert!(copied.try_recv().is_err());
}

fn settings(folder: &std::path::Path) -> Settings {
    Settings {
        calls: Calls::All,
        folder: folder.join("recordings"),
        unencrypted: true,
        ..Settings::default()
    }
}

fn subject(seed: u8) -> Subject {
    let call = CallId::new(Clock::system().wall(), [seed; 10]);
    Subject {
        call, caller: "+35567•••456".to_owned(), called: "130".to_owned(), flow: "klik-on".to_owned()
    }
}

#[test]
fn what_is_begun_is_found_and_read_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "7f".repeat(32)).unwrap();
    std::fs::set_permissions(&key_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = Settings { key_file: Some(key_file), unencrypted: false, ..settings(folder.path()) };
    let recorder = Recorder::start(settings.clone(), Clock::system()).unwrap();
    let (subject, key) = (subject(1), Key::new([0x7f; 32]));
    let recording = recorder.begin(subject.clone(), Why::Setting, false, None).unwrap();
    let fork = recording.fork(false);
    let now = Clock::system().instant();
    let parameters = StreamParameters::new(([192, 0, 2, 7], 4_000).into(), Encoding::Pcma, 8);
    for number in 0..10 {
        let payload = tone('1', number);
        let packet =
            Packet { payload_type: 8, marker: false, sequence: 0, timestamp: 0, ssrc: 1, payload: &payload };
        fork.sent(now + MS * 20 * number, &parameters, &packet);
    }
    recording.cue(now, What::Node { node: "welcome".to_owned() });
    // Ends of the future are the test's: what was sent is to be in it.
    let until = now + MS * 300;
    while Clock::system().instant() < until {
        std::thread::yield_now();
    }
    recording.end(EndedBy::Call);
    recorder.stop();
    let found = find(&settings.folder, subject.call);
    let read = Read::open(&found[0].path, Some(&key)).unwrap();
    assert!(matches!(read.ending, Ending::Whole), "{:?}", read.ending);
    assert_eq!((read.head.caller.as_str(), read.head.part, read.encrypted), ("+35567•••456", 1, true));
    assert_eq!(read.tail.as_ref().map(|tail| (tail.by, tail.lost, tail.late)), Some((EndedBy::Call, 0, 0)));
    assert!(read.duration_ms() >= 300, "{}", read.duration_ms());
    assert_eq!(keys_in(&channel(&read.samples, 0)).len(), 1);
    assert!(Read::open(&found[0].path, Some(&Key::new([1; 32]))).is_err());
    let counts = recorder.counts();
    assert_eq!((counts.begun, counts.kept, counts.failed), (1, 1, 0));
}

#[test]
fn limits_refuse_and_what_is_not_to_be_kept_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { max_calls: 2, max_octets: 200_000, ..settings(folder.path()) };
    let recorder = Recorder::start(settings.clone(), Clock::system()).unwrap();
    let (first, second) = (subject(1), subject(2));
    let mut one = recorder.begin(first.clone(), Why::Setting, false, None).unwrap();
    let two = recorder.begin(second.clone(), Why::Setting, false, None).unwrap();
    let third = recorder.begin(subject(3), Why::Setting, false, None);
    assert!(matches!(third, Err(Refusal::TooMany(2))));
    one.set_kept(false);
    drop(one);
    // As many cues as fill the folder end a recording, in good order.
    for _ in 0..2_000 {
        two.cue(Clock::system().instant(), What::Said { text: "x".repeat(200) });
    }
    two.end(EndedBy::Call);
    recorder.stop();
    assert!(find(&settings.folder, first.call).is_empty());
    let read = Read::open(&find(&settings.folder, second.call)[0].path, None).unwrap();
    assert!(matches!(read.ending, Ending::Whole));
    assert_eq!(read.tail.map(|tail| tail.by), Some(EndedBy::Room));
    let counts = recorder.counts();
    assert_eq!((counts.begun, counts.kept, counts.discarded, counts.refused), (2, 1, 1, 1));
    // What is there counts from the start on.
    let full = Settings { max_octets: 65_536, ..settings };
    std::fs::write(find(&full.folder, second.call)[0].path.clone(), vec![0; 70_000]).unwrap();
    let recorder = Recorder::start(full, Clock::system()).unwrap();
    let (opened, made) = tokio::sync::oneshot::channel();
    let more = recorder.begin(subject(4), Why::OnDemand, false, Some(opened));
    // The first may begin before the folder was looked through; it ends at once, and the next is refused.
    if let Ok(more) = more {
        made.blocking_recv().unwrap().unwrap();
        drop(more);
    }
    assert!(matches!(recorder.begin(subject(5), Why::OnDemand, false, None), Err(Refusal::NoRoom)));
}

#[test]
fn without_key_or_word_nothing_is_recorded() {
    let recorder = Recorder::start(Settings::default(), Clock::system()).unwrap();
    assert!(matches!(recorder.begin(subject(1), Why::OnDemand, false, None), Err(Refusal::Off)));
    recorder.stop();
}

/// A file that cannot be made, and one that cannot be written any more: a pipe whose reader has gone.
#[test]
fn a_disk_that_fails_stops_the_recording_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let recorder = Recorder::start(settings.clone(), Clock::system()).unwrap();
    std::fs::write(settings.folder.join(Clock::system().wall().strftime("%Y-%m-%d").to_string()), "")
        .unwrap();
    let (opened, made) = tokio::sync::oneshot::channel();
    let recording = recorder.begin(subject(1), Why::Setting, false, Some(opened)).unwrap();
    made.blocking_recv().unwrap().unwrap_err();
    recording.end(EndedBy::Call);
    recorder.stop();
    assert_eq!((recorder.counts().failed, recorder.counts().kept), (1, 0));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut writer = Writer::create(writer, None, [0; 32]).unwrap();
    writer.segment(&mut b"good".to_vec(), false).unwrap();
    let good = writer.octets();
    let mut whole = Reader::open(reader, None).unwrap();
    assert_eq!(whole.next().unwrap().as_deref(), Some(&b"good"[..]));
    drop(whole);
    writer.segment(&mut b"lost".to_vec(), false).unwrap_err();
    assert_eq!(writer.octets(), good, "what counts as written is what was written");
}
