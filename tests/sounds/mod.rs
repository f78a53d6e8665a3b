//! Sounds that others make: tones by SoX, speech by espeak-ng, and another detector, multimon-ng.
//!
//! Debian has all three (`make tools`). Everything is 8,000 samples a second, and went through A-law.

// Each of its users, tests and benches, needs a part of it.
#![allow(dead_code)]

use audio_codec_algorithms::{decode_alaw, encode_alaw};
use klikon::media::tone::{Detector, ToneEvent};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// All keys there are.
pub const KEYS: &str = "0123456789*#ABCD";
/// Amplitude of a tone of 0 dBm0, as a part of the full scale, which is 3.14 dB above it in A-law (ITU-T G.711).
const ZERO_DBM0: f64 = 0.696_6;
/// Samples in a packet.
const PACKET: usize = 160;

/// How keys are pressed.
#[derive(Debug, Clone, Copy)]
pub struct Press {
    pub low_dbm0: f64,
    pub high_dbm0: f64,
    /// Of both frequencies, %.
    pub offset: f64,
    pub on_ms: u32,
    pub off_ms: u32,
}

impl Press {
    /// The shortest that counts.
    pub const SHORTEST: Press =
        Press { low_dbm0: -10.0, high_dbm0: -10.0, offset: 0.0, on_ms: 40, off_ms: 40 };
    /// As a hand presses.
    pub const BY_HAND: Press = Press { on_ms: 100, off_ms: 100, ..Press::SHORTEST };
}

/// Runs a program to its end, with octets into and out of it.
pub fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}; `make tools` installs it"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that wants no more has closed its end.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    output.stdout
}

fn samples_of(octets: &[u8]) -> Vec<i16> {
    octets.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
}

fn octets_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// SoX's output as 16-bit samples.
fn sox(arguments: &[&str], input: &[u8]) -> Vec<i16> {
    const OUT: [&str; 11] = ["-t", "raw", "-r", "8000", "-c", "1", "-e", "signed", "-b", "16", "-"];
    let at = arguments.iter().position(|&argument| argument == "OUT").expect("says where the output stands");
    let all = [&["-R", "-D"], &arguments[..at], &OUT[..], &arguments[at + 1..]].concat();
    samples_of(&run("sox", &all, input))
}

/// Rows and columns of the keypad, Hz (ITU-T Q.23).
fn frequencies(key: char) -> [f64; 2] {
    let place = "123A456B789C*0#D".find(key).expect("a key");
    [[697.0, 770.0, 852.0, 941.0][place / 4], [1_209.0, 1_336.0, 1_477.0, 1_633.0][place % 4]]
}

/// Keys pressed, by SoX, with silence before and after.
pub fn presses(keys: &str, press: Press) -> Vec<i16> {
    let mut samples = vec![0; 437];
    for key in keys.chars() {
        let [low, high] = frequencies(key).map(|hz| format!("{:.4}", hz * (1.0 + press.offset / 100.0)));
        let volume = |dbm0: f64| ZERO_DBM0 * 10_f64.powf(dbm0 / 20.0);
        let mix = format!("1v{:.6},2v{:.6}", volume(press.low_dbm0), volume(press.high_dbm0));
        let [on, off] = [press.on_ms, press.off_ms].map(|ms| format!("{:.3}", f64::from(ms) / 1_000.0));
        let synth = ["-n", "-r", "8000", "-c", "2", "OUT", "synth", &on, "sine", &low, "sine", &high];
        samples.extend(sox(&[&synth[..], &["remix", &mix, "pad", "0", &off]].concat(), &[]));
    }
    samples.extend([0; 1_600]);
    samples
}

/// White noise by SoX.
pub fn noise(samples: usize) -> Vec<i16> {
    let length = format!("{samples}s");
    sox(&["-n", "-r", "8000", "-c", "1", "OUT", "synth", &length, "whitenoise", "vol", "0.5"], &[])
}

/// A hum of 50 Hz by SoX.
pub fn hum(samples: usize) -> Vec<i16> {
    let length = format!("{samples}s");
    sox(&["-n", "-r", "8000", "-c", "1", "OUT", "synth", &length, "sine", "50", "vol", "0.5"], &[])
}

/// Speech by espeak-ng, as loud as A-law can hold it.
pub fn speech(voice: &str, text: &str) -> Vec<i16> {
    let wav = run("espeak-ng", &["-v", voice, "--stdin", "--stdout"], text.as_bytes());
    from_wav(&wav)
}

/// A recording that SoX can read, brought to 8 kHz and full level.
pub fn recording(path: &Path) -> Vec<i16> {
    sox(&[&path.to_string_lossy(), "OUT", "norm", "-3"], &[])
}

fn from_wav(wav: &[u8]) -> Vec<i16> {
    sox(&["-t", "wav", "--ignore-length", "-", "OUT", "norm", "-3"], wav)
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|&sample| f64::from(sample).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

/// Mean power while there is any, within 20 dB of the loudest tenth: of speech without its pauses, of presses without theirs.
pub fn active_power(samples: &[i16]) -> f64 {
    let mut blocks: Vec<f64> = samples.chunks(PACKET).map(power).collect();
    blocks.sort_by(|a, b| b.total_cmp(a));
    let loud = blocks.get(blocks.len() / 10).copied().unwrap_or_default();
    let active: Vec<f64> = blocks.into_iter().filter(|&block| block > loud / 100.0).collect();
    active.iter().sum::<f64>() / active.len().max(1) as f64
}

/// Adds what is around, so many dB below; through A-law.
pub fn mix(tones: &[i16], around: &[i16], below_db: f64) -> Vec<i16> {
    let factor = (active_power(tones) / active_power(around) * 10_f64.powf(-below_db / 10.0)).sqrt();
    let both = tones.iter().zip(around.iter().cycle());
    both.map(|(&tone, &other)| through_a_law(f64::from(tone) + factor * f64::from(other))).collect()
}

/// As it comes out of a telephone network.
pub fn through_a_law(sample: f64) -> i16 {
    decode_alaw(encode_alaw(sample.round() as i16))
}

/// The same for many.
pub fn coded(samples: &[i16]) -> Vec<i16> {
    samples.iter().map(|&sample| through_a_law(sample.into())).collect()
}

/// The keys that our detector finds.
pub fn keys_in(samples: &[i16]) -> String {
    let (mut detector, mut keys) = (Detector::new(), String::new());
    for packet in samples.chunks(PACKET) {
        detector.push(packet, |event| {
            if let ToneEvent::Began { digit } = event {
                keys.push(digit);
            }
        });
    }
    keys
}

/// The keys that multimon-ng finds.
pub fn keys_by_multimon(samples: &[i16]) -> String {
    const IN: [&str; 11] = ["-t", "raw", "-r", "8000", "-c", "1", "-e", "signed", "-b", "16", "-"];
    const OUT: [&str; 11] = ["-t", "raw", "-r", "22050", "-c", "1", "-e", "signed", "-b", "16", "-"];
    let faster = run("sox", &[&["-R", "-D"], &IN[..], &OUT[..]].concat(), &octets_of(samples));
    let said = run("multimon-ng", &["-q", "-c", "-a", "DTMF", "-t", "raw", "-"], &faster);
    String::from_utf8_lossy(&said).lines().filter_map(|line| line.strip_prefix("DTMF: ")).collect()
}

/// Words to read: the project's own pages, without their marks, and numbers, which every voice says in its language.
pub fn text() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> =
        std::fs::read_dir(root.join("docs")).unwrap().map(|page| page.unwrap().path()).collect();
    pages.sort();
    pages.extend([root.join("README.md"), root.join("ARCHITECTURE.md")]);
    let mut text = String::new();
    for page in pages {
        for line in std::fs::read_to_string(page).unwrap().lines() {
            let plain = line.replace(['|', '`', '*', '#', '_', '<', '>', '/'], " ");
            text.extend(plain.split_whitespace().flat_map(|word| [word, " "]));
        }
        text.push_str("0672123456, 130, 6500, 1234567890. ");
    }
    text
}

/// The text in pieces of about so many octets.
pub fn pieces(text: &str, octets: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for word in text.split_whitespace() {
        if pieces.last().is_some_and(|piece| piece.len() >= octets) {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(word);
            piece.push(' ');
        }
    }
    pieces
}
