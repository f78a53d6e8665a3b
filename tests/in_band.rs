//! Keys as tones: those that SoX makes, in every way that ITU-T Q.24 bounds them; speech, which is no key; and the prompts' echo.

mod sounds;

use klikon::config::Settings;
use klikon::media::{
    DigitTiming, Element, Encoding, Identity, MAX_TRANSMIT_OCTETS, MediaEvent, Packet, PromptLibrary,
    Session, SessionSettings, StreamParameters,
};
use klikon::server::encode_prompts;
use klikon::units::clock::Clock;
use sounds::{KEYS, Press, coded, hum, keys_by_multimon, keys_in, mix, noise, pieces, presses, speech, text};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_tones_of_sox_are_heard_within_the_bounds_and_not_beyond() {
    let shortest = Press::SHORTEST;
    let long = Press { on_ms: 100, ..shortest };
    let levels = |low_dbm0, high_dbm0, press| Press { low_dbm0, high_dbm0, ..press };
    let heard = [
        shortest,
        Press::BY_HAND,
        levels(0.0, 0.0, shortest),
        levels(-25.0, -25.0, shortest),
        levels(-14.0, -10.0, shortest),
        levels(-10.0, -18.0, shortest),
        Press { offset: 1.5, ..shortest },
        Press { offset: -1.5, ..shortest },
    ];
    let not_heard = [
        Press { on_ms: 23, ..shortest },
        levels(-45.0, -45.0, long),
        levels(-18.0, -10.0, long),
        levels(-10.0, -23.0, long),
        Press { offset: 3.5, ..long },
        Press { offset: -3.5, ..long },
    ];
    for press in heard {
        let clean = presses(KEYS, press);
        assert_eq!(keys_in(&coded(&clean)), KEYS, "{press:?}");
        assert_eq!(keys_in(&mix(&clean, &noise(clean.len()), 15.0)), KEYS, "under noise: {press:?}");
    }
    for press in not_heard {
        let clean = presses(KEYS, press);
        assert_eq!(keys_in(&coded(&clean)), "", "{press:?}");
        assert_eq!(keys_in(&mix(&clean, &noise(clean.len()), 15.0)), "", "under noise: {press:?}");
    }
    let clean = presses(KEYS, shortest);
    assert_eq!(keys_in(&mix(&clean, &hum(clean.len()), -10.0)), KEYS, "under a hum 10 dB stronger");
}

#[test]
fn presses_by_hand_are_heard_while_somebody_speaks() {
    let keys = KEYS.repeat(2);
    let clean = presses(&keys, Press::BY_HAND);
    let talk = speech("en-gb", &pieces(&text(), 600)[0]);
    for below_db in [20.0, 15.0, 12.0] {
        assert_eq!(keys_in(&mix(&clean, &talk, below_db)), keys, "{below_db} dB below");
    }
}

/// Three minutes of speech. `make talk-off` has hours.
#[test]
fn speech_is_no_key() {
    const VOICES: [&str; 12] = [
        "sq", "sq+f2", "sq+m3", "en-gb", "en-us+f4", "it", "de+m2", "el+f1", "tr", "fr-fr+f3", "sr+m5",
        "es+croak",
    ];
    let pieces = pieces(&text(), 260);
    let mut samples = 0;
    for (number, voice) in VOICES.iter().enumerate() {
        // Each voice says something else.
        let talk = coded(&speech(voice, &pieces[number * pieces.len() / VOICES.len()]));
        assert_eq!(keys_in(&talk), "", "{voice}");
        samples += talk.len();
    }
    assert!(samples >= 180 * 8_000, "{} s were too few", samples / 8_000);
}

/// What the built-in caller sends is understood by another detector.
#[test]
fn multimon_hears_the_tones_that_we_send() {
    let mut caller = call(SessionSettings::default(), Arc::default());
    caller.session.send_digits("0672123456#*9ABCD", DigitTiming::default());
    let sent: Vec<u8> = (0..160).flat_map(|_| caller.turn(&[0xd5; 160]).0).collect();
    let samples: Vec<i16> = sent.iter().map(|&octet| audio_codec_algorithms::decode_alaw(octet)).collect();
    assert_eq!(keys_by_multimon(&samples), "0672123456#*9ABCD");
}

/// A telephone's hybrid sends the prompts back: they are no keys, and a key is heard through them and stops them.
#[test]
fn the_echo_of_our_prompts_is_no_key_and_keys_are_heard_through_it() {
    let library = library();
    for loss_db in [10.0, 20.0] {
        assert_eq!(keys_under_echo(&library, loss_db, &[]), (String::new(), 0), "{loss_db} dB");
    }
    let keys = "0672123456#";
    // Long enough a pause for each key to meet a prompt.
    let tones = presses(keys, Press { off_ms: 400, ..Press::BY_HAND });
    let (heard, stopped) = keys_under_echo(&library, 10.0, &tones);
    assert_eq!((heard.as_str(), stopped), (keys, keys.len()));
}

fn library() -> Arc<PromptLibrary> {
    let mut files = Settings::default().files;
    files.prompts = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts");
    encode_prompts(&files, &klikon::sdp::Codecs::default()).unwrap()
}

struct Call {
    session: Session,
    remote: std::net::SocketAddr,
    now: std::time::Instant,
    number: u16,
}

fn call(settings: SessionSettings, library: Arc<PromptLibrary>) -> Call {
    let (now, remote) = (Clock::system().instant(), ([192, 0, 2, 7], 4_000).into());
    let mut session = Session::new(
        settings,
        klikon::media::Reach::Anywhere,
        library,
        Identity { ssrc: 1, sequence: 0, timestamp: 0 },
        None,
    );
    session.start(now, StreamParameters::new(remote, Encoding::Pcma, 8));
    Call { session, remote, now, number: 0 }
}

impl Call {
    /// Twenty milliseconds: the octets that the far end sends, then those that go there, and what was reported.
    fn turn(&mut self, octets: &[u8]) -> (Vec<u8>, Vec<MediaEvent>) {
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        let (sequence, timestamp) = (self.number, u32::from(self.number) * 160);
        let packet = Packet { payload_type: 8, marker: false, sequence, timestamp, ssrc: 7, payload: octets };
        let length = packet.write(&mut buffer);
        self.session.handle_packet(self.now, self.remote, &buffer[..length]);
        let sent = self.session.poll_transmit(self.now, &mut buffer).expect("a packet is due");
        let payload = Packet::read(&buffer[..sent.octets]).unwrap().payload.to_vec();
        self.number = self.number.wrapping_add(1);
        self.now += Duration::from_millis(20);
        (payload, std::iter::from_fn(|| self.session.poll_event()).collect())
    }
}

/// Plays prompts, all of them or for as long as `tones` last, and sends them back 60 ms later and weaker, with the tones: the keys that
/// are heard, and how many prompts they stopped.
fn keys_under_echo(library: &Arc<PromptLibrary>, loss_db: f64, tones: &[i16]) -> (String, usize) {
    let mut clips: VecDeque<_> = library.clips().map(|(index, _)| index).collect();
    assert!(clips.len() > 100, "all the prompts");
    let settings = SessionSettings { initial_silence: Duration::ZERO, ..SessionSettings::default() };
    let mut call = call(settings, library.clone());
    let mut echo: VecDeque<i16> = std::iter::repeat_n(0, 480).collect();
    let factor = 10_f64.powf(-loss_db / 20.0);
    let mut packets = tones.chunks(160);
    let (mut keys, mut stopped, mut playing) = (String::new(), 0, false);
    loop {
        if !playing {
            let over = !tones.is_empty() && packets.len() == 0;
            let Some(clip) = clips.pop_front().filter(|_| !over) else { break };
            call.session.play(0, vec![Element::Clip(clip)], true);
            playing = true;
        }
        let tone = packets.next().unwrap_or_default().iter().copied().chain(std::iter::repeat(0));
        let back = echo.drain(..160).zip(tone).map(|(echo, tone)| {
            audio_codec_algorithms::encode_alaw((f64::from(echo) * factor + f64::from(tone)).round() as i16)
        });
        let back: Vec<u8> = back.collect();
        let (sent, events) = call.turn(&back);
        echo.extend(sent.iter().map(|&octet| audio_codec_algorithms::decode_alaw(octet)));
        for event in events {
            match event {
                MediaEvent::DigitBegan { digit, .. } => keys.push(digit),
                MediaEvent::PlayDone { interrupted, .. } => {
                    playing = false;
                    stopped += usize::from(interrupted);
                }
                _ => {}
            }
        }
    }
    (keys, stopped)
}
