//! Streams in codecs other than G.711, and from one codec to another.
// Bits are grouped as the RFC's figures group them.
#![allow(clippy::unusual_byte_groupings)]

use super::*;
use crate::media::session_tests::parameters;
use crate::units::clock::Clock;
use std::sync::Arc;
use std::time::{Duration, Instant};

const IDENTITY: Identity = Identity { ssrc: 0x1234_5678, sequence: 65_533, timestamp: u32::MAX - 500 };
const G722: Form = Form::new(Encoding::G722, 0);

/// A clip of ten frames of noise, and one of four.
fn library(forms: &[Form]) -> Arc<PromptLibrary> {
    let mut state = 1_u32;
    let mut noise = |frames: usize| -> Vec<i16> {
        (0..frames * 320)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 16) as i16) / 4
            })
            .collect()
    };
    let clips = [("menu".to_owned(), noise(10)), ("num-7".to_owned(), noise(4))];
    Arc::new(PromptLibrary::encode_in(clips, forms).expect("good clips"))
}

struct Line {
    session: Session,
    library: Arc<PromptLibrary>,
    origin: Instant,
    at_ms: u64,
}

#[derive(Debug, Clone, PartialEq)]
struct Sent {
    ssrc: u32,
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Line {
    fn new(forms: &[Form], parameters: StreamParameters) -> Self {
        let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
        let (library, origin) = (library(forms), Clock::system().instant());
        let mut session = Session::new(settings, Reach::Anywhere, library.clone(), IDENTITY, None);
        session.start(origin, parameters);
        Self { session, library, origin, at_ms: 0 }
    }

    fn now(&self) -> Instant {
        self.origin + Duration::from_millis(self.at_ms)
    }

    fn play(&mut self, id: &str) {
        let clip = self.library.lookup(id).expect("is there");
        self.session.play(1, vec![Element::Clip(clip)], true);
    }

    /// Everything that goes out in the next so many ms.
    fn run(&mut self, ms: u64) -> Vec<Sent> {
        let end = self.at_ms + ms;
        let mut sent = Vec::new();
        while self.at_ms < end {
            let mut buffer = [0; MAX_TRANSMIT_OCTETS];
            while let Some(transmit) = self.session.poll_transmit(self.now(), &mut buffer) {
                let packet = Packet::read(&buffer[..transmit.octets]).expect("a good packet");
                let Packet { ssrc, payload_type, marker, sequence, timestamp, payload } = packet;
                sent.push(Sent {
                    ssrc,
                    payload_type,
                    marker,
                    sequence,
                    timestamp,
                    payload: payload.to_vec(),
                });
            }
            self.at_ms += 10;
        }
        sent
    }

    fn receive(&mut self, payload_type: u8, sequence: u16, payload: &[u8]) {
        let packet = Packet { payload_type, marker: false, sequence, timestamp: 0, ssrc: 9, payload };
        let mut octets = [0; 600];
        let length = packet.write(&mut octets);
        self.session.handle_packet(self.now(), parameters().remote, &octets[..length]);
    }
}

fn payloads(sent: &[Sent]) -> Vec<u8> {
    sent.iter().flat_map(|packet| packet.payload.clone()).collect()
}

#[test]
fn g722_goes_out_as_it_was_encoded_on_a_clock_of_8_khz() {
    for ptime_ms in [10, 20, 30, 60_u8] {
        let wide = StreamParameters { encoding: Encoding::G722, payload_type: 9, ptime_ms, ..parameters() };
        let mut line = Line::new(&[G722], wide);
        line.play("menu");
        let sent = line.run(300);
        let clip = line.library.clip(line.library.lookup("menu").expect("is there")).expect("is there");
        assert_eq!(payloads(&sent)[..1_600], *clip.octets(Encoding::G722), "{ptime_ms} ms");
        let step = u32::from(ptime_ms) * 8;
        assert!(sent.windows(2).all(|two| two[1].timestamp.wrapping_sub(two[0].timestamp) == step));
        assert!(sent.iter().all(|packet| packet.payload.len() == step as usize && packet.payload_type == 9));
    }
}

#[test]
fn from_one_codec_to_another_of_the_same_clock_the_run_goes_on() {
    let forms = [Form::new(Encoding::Pcma, 0), G722];
    let mut line = Line::new(&forms, parameters());
    line.play("menu");
    let before = line.run(100);
    let wide = StreamParameters {
        encoding: Encoding::G722,
        payload_type: 9,
        receive_payload_type: 9,
        ..parameters()
    };
    line.session.start(line.now(), wide);
    let after = line.run(100);
    let clip = line.library.clip(line.library.lookup("menu").expect("is there")).expect("is there");
    assert_eq!(payloads(&before), clip.octets(Encoding::Pcma)[..800]);
    assert_eq!(payloads(&after), clip.octets(Encoding::G722)[800..], "where the other one left off");
    let (last, first) = (before.last().expect("sent"), &after[0]);
    assert_eq!((first.ssrc, first.marker), (last.ssrc, false));
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    assert_eq!(first.timestamp, last.timestamp.wrapping_add(160));
}

#[test]
fn another_clock_is_another_source_with_timestamps_of_its_own() {
    let mut line = Line::new(&[Form::new(Encoding::Pcma, 0)], parameters());
    let before = line.run(100);
    let wide = StreamParameters { encoding: Encoding::AmrWb, payload_type: 96, ..parameters() };
    line.session.start(line.now(), wide);
    let after = line.run(100);
    assert_ne!(after[0].ssrc, before[0].ssrc);
    assert_eq!(
        after.iter().map(|packet| packet.marker).collect::<Vec<_>>(),
        [true, false, false, false, false]
    );
    assert!(after.windows(2).all(|two| {
        (two[1].ssrc, two[1].sequence, two[1].timestamp)
            == (two[0].ssrc, two[0].sequence.wrapping_add(1), two[0].timestamp.wrapping_add(320))
    }));
    // And back: a third source, so that no two clocks ever share one.
    line.session.start(line.now(), parameters());
    let back = line.run(40);
    assert!(back[0].ssrc != before[0].ssrc && back[0].ssrc != after[0].ssrc && back[0].marker);
}

#[test]
fn we_send_with_the_peer_s_numbers_and_hear_our_own() {
    let event = TelephoneEvent { payload_type: 99, receive_payload_type: 101, clock_rate_hz: 8_000 };
    let crossed = StreamParameters {
        payload_type: 110,
        receive_payload_type: 99,
        telephone_event: Some(event),
        ..parameters()
    };
    let mut line = Line::new(&[Form::new(Encoding::Pcma, 0)], crossed);
    assert_eq!(line.run(20)[0].payload_type, 110);
    line.receive(99, 1, &[0xd5; 160]);
    assert_eq!(line.session.statistics().accepted, 1);
    line.receive(101, 2, &[5, 0x80, 3, 0x20]);
    let events: Vec<_> = std::iter::from_fn(|| line.session.poll_event()).collect();
    assert!(
        matches!(events[..], [MediaEvent::DigitBegan { digit: '5', .. }, MediaEvent::Digit { .. }]),
        "{events:?}"
    );
    // Their number for keys is our number for audio: what comes with it is audio.
    line.receive(99, 3, &[6, 0x80, 3, 0x20]);
    assert_eq!(line.session.poll_event(), None);
}

#[test]
fn requests_for_a_mode_are_counted_and_nonsense_is_ignored() {
    let amr = crate::units::amr::AmrParameters::unrestricted(Encoding::Amr);
    let agreed = StreamParameters {
        encoding: Encoding::Amr,
        amr: Some(crate::units::amr::AmrParameters { octet_aligned: true, ..amr }),
        payload_type: 96,
        receive_payload_type: 96,
        ..parameters()
    };
    let mut line = Line::new(&[], agreed);
    let no_data = 0b0_1111_1_00;
    for (sequence, payload) in
        [(1, &[0x20, no_data][..]), (2, &[0xf0, no_data]), (3, &[0x90, no_data]), (4, &[0x20]), (5, &[])]
    {
        line.receive(96, sequence, payload);
    }
    let counted = line.session.statistics();
    assert_eq!((counted.mode_requests, counted.mode_requests_ignored, counted.malformed_audio), (1, 1, 2));
    assert_eq!(counted.accepted, 5, "each is a sign of life");
}

#[cfg(feature = "amr")]
#[test]
fn amr_goes_out_packed_as_agreed_and_in_the_mode_that_was_asked_for() {
    use crate::units::amr::{AmrParameters, ModeSet};
    let forms: Vec<Form> = (0..9).map(|mode| Form::new(Encoding::AmrWb, mode)).collect();
    for octet_aligned in [false, true] {
        let amr = AmrParameters {
            octet_aligned,
            modes: ModeSet::new(Encoding::AmrWb, [0, 2, 8]).expect("modes"),
            ..AmrParameters::unrestricted(Encoding::AmrWb)
        };
        let agreed = StreamParameters {
            encoding: Encoding::AmrWb,
            amr: Some(amr),
            payload_type: 98,
            receive_payload_type: 96,
            ptime_ms: 40,
            ..parameters()
        };
        let mut line = Line::new(&forms, agreed);
        line.play("menu");
        let first = line.run(80);
        // A request for mode 3, which is not of the set.
        line.receive(96, 1, if octet_aligned { &[0x30, 0b0_1111_1_00] } else { &[0x37, 0b1100_0000] });
        let sent = [first, line.run(120)].concat();
        let clip = line.library.clip(line.library.lookup("menu").expect("is there")).expect("is there");
        let mut number = 0;
        for packet in &sent {
            let read =
                crate::media::amr::read(Encoding::AmrWb, octet_aligned, &packet.payload).expect("whole");
            assert_eq!((packet.payload_type, read.frames.len()), (98, 2));
            for frame in &read.frames {
                let mode = if number < 4 { 8 } else { 2 };
                let mut octets = arrayvec::ArrayVec::new();
                frame.copy_bits(Encoding::AmrWb, &packet.payload, &mut octets);
                assert_eq!(frame.frame_type, mode, "frame {number}");
                assert_eq!(
                    &octets[..],
                    clip.frame(Form::new(Encoding::AmrWb, mode), number),
                    "frame {number}"
                );
                number += 1;
            }
        }
        assert_eq!(number, 10);
        assert_eq!(sent[1].timestamp.wrapping_sub(sent[0].timestamp), 640);
    }
}

#[cfg(feature = "opus")]
#[test]
fn opus_goes_out_one_frame_or_several_in_a_packet() {
    let form = Form::new(Encoding::Opus, 0);
    for ptime_ms in [20, 40, 60_u8] {
        let agreed =
            StreamParameters { encoding: Encoding::Opus, payload_type: 111, ptime_ms, ..parameters() };
        let mut line = Line::new(&[form], agreed);
        line.play("menu");
        let sent = line.run(240);
        let mut decoder =
            opusic_c::Decoder::new(opusic_c::Channels::Mono, opusic_c::SampleRate::Hz16000).expect("made");
        let mut decoded = 0;
        for packet in &sent {
            let mut samples = [0; 1_920];
            decoded +=
                decoder.decode_to_slice(&packet.payload, &mut samples, false).expect("a packet of Opus");
        }
        assert_eq!((decoded, sent.len()), (240 * 16, 240 / usize::from(ptime_ms)));
        assert_eq!(sent[1].timestamp.wrapping_sub(sent[0].timestamp), u32::from(ptime_ms) * 48);
        let clip = line.library.clip(line.library.lookup("menu").expect("is there")).expect("is there");
        if ptime_ms == 20 {
            assert!((0..10).all(|number| sent[number].payload == clip.frame(form, number)));
        }
    }
}
