//! How often speech is taken for a key, and how well keys are heard while somebody speaks: our detector beside multimon-ng.
//!
//! `cargo bench --bench talk_off` takes about ten minutes. Speech is by espeak-ng, in many languages and voices; by flite, where it is
//! installed; and from recordings of people, where the folders of `RECORDINGS` (colons between them) or of Debian's packages
//! `asterisk-core-sounds-*-wav` and `pocketsphinx-testdata` are there.

#[path = "../tests/sounds/mod.rs"]
mod sounds;

use klikon::media::tone::{Detector, ToneEvent};
use sounds::{KEYS, Press, coded, keys_by_multimon, keys_in, mix, pieces, presses, recording, speech, text};
use std::path::{Path, PathBuf};
use std::process::Command;

const LANGUAGES: [&str; 18] = [
    "sq", "en-gb", "it", "de", "el", "tr", "fr-fr", "sr", "es", "pl", "en-us", "ro", "mk", "bg", "hu", "ru",
    "pt", "nl",
];
/// Voices of espeak-ng: men, women, a rough one and one that whispers.
const VARIANTS: [&str; 15] = [
    "", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+croak",
    "+whisper",
];
const FLITE_VOICES: [&str; 4] = ["kal16", "awb", "rms", "slt"];
const RECORDINGS: &str = "/usr/share/asterisk/sounds:/usr/share/pocketsphinx/test/data";
/// Samples by which the same speech is shifted against the frames, each time as much more.
const SHIFT: usize = 5;
/// Shifts that make a whole hop.
const SHIFTS: usize = 8;

#[derive(Default)]
struct Tally {
    samples: usize,
    /// With the speech as it came, at each shift, and by the other detector.
    ours: usize,
    ours_shifted: usize,
    theirs: usize,
}

impl Tally {
    fn add(&mut self, what: &str, talk: &[i16]) {
        self.samples += talk.len();
        for shift in 0..SHIFTS {
            let found = presses_in(talk, shift * SHIFT);
            for (digit, ms, at_s) in &found {
                println!("  {what}, shifted by {}: {digit} of {ms} ms before {at_s:.2} s", shift * SHIFT);
            }
            self.ours_shifted += found.len();
            self.ours += if shift == 0 { found.len() } else { 0 };
        }
        self.theirs += keys_by_multimon(talk).len();
    }

    fn row(&self, what: &str) {
        let minutes = self.samples as f64 / 8_000.0 / 60.0;
        let Self { ours, ours_shifted, theirs, .. } = self;
        println!(
            "{what:<28} {minutes:>7.1} min  ours {ours:>4}  ours at {SHIFTS} shifts {ours_shifted:>4}  multimon-ng {theirs:>5}"
        );
    }
}

fn main() {
    let text = text();
    synthesised(&text);
    with_flite(&text);
    recordings();
    under_speech(&text);
}

fn synthesised(text: &str) {
    let mut tally = Tally::default();
    for (number, piece) in pieces(text, 3_000).iter().enumerate() {
        let voice = [LANGUAGES[number % LANGUAGES.len()], VARIANTS[number % VARIANTS.len()]].concat();
        tally.add(&voice, &coded(&speech(&voice, piece)));
    }
    tally.row("espeak-ng");
}

fn with_flite(text: &str) {
    if Command::new("flite").arg("--version").output().is_err() {
        return println!("flite is not installed");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (read, wav) = (folder.path().join("text"), folder.path().join("speech.wav"));
    let mut tally = Tally::default();
    for (number, piece) in pieces(text, 3_000).iter().enumerate() {
        let voice = FLITE_VOICES[number % FLITE_VOICES.len()];
        std::fs::write(&read, piece).expect("a file");
        let (read, wav_name) = (read.to_string_lossy(), wav.to_string_lossy());
        sounds::run("flite", &["-voice", voice, "-f", &read, "-o", &wav_name], &[]);
        tally.add(voice, &coded(&recording(&wav)));
    }
    tally.row("flite");
}

fn recordings() {
    let folders = std::env::var("RECORDINGS").unwrap_or_else(|_| RECORDINGS.to_owned());
    for folder in folders.split(':').map(Path::new) {
        let mut files = Vec::new();
        find(folder, &mut files);
        let mut tally = Tally::default();
        for file in &files {
            tally.add(&file.to_string_lossy(), &coded(&recording(file)));
        }
        tally.row(&folder.to_string_lossy());
    }
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "wav") {
            found.push(path);
        }
    }
    found.sort();
}

/// Presses of −10 dBm0 a tone, 100 ms apart, with speech in one's ear: how many are heard, and how many more.
fn under_speech(text: &str) {
    let keys = KEYS.repeat(20);
    let pieces = pieces(text, 3_000);
    let talk: Vec<i16> =
        ["sq", "en-gb+f2"].iter().zip(&pieces).flat_map(|(voice, piece)| speech(voice, piece)).collect();
    println!("of {} presses, while somebody speaks so many dB below, %:", keys.len());
    for on_ms in [40, 60, 80, 120, 200] {
        let clean = presses(&keys, Press { on_ms, ..Press::BY_HAND });
        print!("{on_ms:>4} ms ");
        for below_db in [20.0, 15.0, 12.0, 10.0, 6.0, 3.0] {
            let both = mix(&clean, &talk, below_db);
            let of_all = |heard: &str| common(&keys, heard) as f64 * 100.0 / keys.len() as f64;
            let (ours, theirs) = (keys_in(&both), keys_by_multimon(&both));
            let more = ours.len() - common(&keys, &ours);
            print!("  {below_db:>2} dB: {:>5.1} +{more} ({:>5.1})", of_all(&ours), of_all(&theirs));
        }
        println!();
    }
    println!("in brackets: multimon-ng");
}

/// Length of the longest common subsequence.
fn common(first: &str, second: &str) -> usize {
    let mut row = vec![0; second.len() + 1];
    for a in first.bytes() {
        let mut diagonal = 0;
        for (index, b) in second.bytes().enumerate() {
            let above = row[index + 1];
            row[index + 1] = if a == b { diagonal + 1 } else { above.max(row[index]) };
            diagonal = above;
        }
    }
    row[second.len()]
}

/// Digit, length in ms, and when it was over, s.
fn presses_in(talk: &[i16], shift: usize) -> Vec<(char, u64, f64)> {
    let (mut detector, mut found) = (Detector::new(), Vec::new());
    detector.push(&vec![0; shift], |_| {});
    for (packet, samples) in talk.chunks(160).enumerate() {
        detector.push(samples, |event| {
            if let ToneEvent::Ended { digit, samples } = event {
                found.push((digit, samples / 8, packet as f64 / 50.0));
            }
        });
    }
    found
}
