//! Prompts in every codec, decoded by others than those that encoded them (ffmpeg's own decoders), and compared with the
//! master.

#[path = "../correlation/mod.rs"]
mod correlation;

mod ogg;

use correlation::{RATE_HZ, best_fit, to_8_khz};
use klikon::media::{Form, PromptLibrary};
use klikon::speech::read_wav;
use klikon::units::rtp::Encoding;
use klikon_codecs::g722;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What must be found again of the master, in the lowest mode and in the highest. Codecs of speech model it and do not
/// repeat its waveform; even so another prompt has less than 0.3.
const LEAST: [(Encoding, f64, f64); 6] = [
    (Encoding::Pcma, 0.99, 0.99),
    (Encoding::Pcmu, 0.99, 0.99),
    (Encoding::G722, 0.99, 0.99),
    (Encoding::Amr, 0.75, 0.78),
    (Encoding::AmrWb, 0.87, 0.94),
    (Encoding::Opus, 0.94, 0.94),
];

fn master(id: &str) -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/sq").join(format!("{id}.wav"));
    read_wav(&path).unwrap()
}

/// What ffmpeg makes of a file.
fn ffmpeg(file: &Path, before: &[&str], behind: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(before)
        .arg("-i")
        .arg(file)
        .args(behind)
        .arg("-")
        .output()
        .expect("ffmpeg is installed; `make tools` does that");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Decodes a file; the samples at 8 kHz.
fn decode(file: &Path, before: &[&str]) -> Vec<f64> {
    let decoded = ffmpeg(file, before, &["-f", "s16le", "-ac", "1", "-ar", "16000"]);
    let samples: Vec<i16> = decoded.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    to_8_khz(&samples, 16_000)
}

/// A file that ffmpeg reads, with the frames of a prompt.
fn write(folder: &Path, form: Form, frames: &[&[u8]]) -> (PathBuf, Vec<&'static str>) {
    let raw = || frames.concat();
    // RFC 4867 §5: a header for each frame, with its type and the bit of a sound one.
    let stored = |magic: &str| {
        let mut octets = magic.as_bytes().to_vec();
        for frame in frames {
            octets.push(form.mode() << 3 | 4);
            octets.extend_from_slice(frame);
        }
        octets
    };
    let (name, octets, before) = match form.encoding() {
        Encoding::Pcma => ("a.al", raw(), vec!["-f", "alaw", "-ar", "8000"]),
        Encoding::Pcmu => ("a.ul", raw(), vec!["-f", "mulaw", "-ar", "8000"]),
        Encoding::G722 => ("a.g722", raw(), vec!["-f", "g722"]),
        Encoding::Amr => ("a.amr", stored("#!AMR\n"), vec!["-c:a", "amrnb"]),
        Encoding::AmrWb => ("a.awb", stored("#!AMR-WB\n"), vec!["-c:a", "amrwb"]),
        Encoding::Opus => ("a.opus", ogg::file(frames), vec!["-c:a", "opus"]),
    };
    let path = folder.join(name);
    std::fs::write(&path, octets).unwrap();
    (path, before)
}

fn forms(encoding: Encoding) -> Vec<Form> {
    let modes = klikon::units::amr::ModeSet::all(encoding).modes();
    let modes: Vec<u8> = if encoding.is_built() { modes.collect() } else { Vec::new() };
    if modes.is_empty() {
        vec![Form::new(encoding, 0)]
    } else {
        modes.into_iter().map(|m| Form::new(encoding, m)).collect()
    }
}

#[test]
fn another_decoder_hears_each_prompt_in_every_codec_and_mode() {
    let folder = tempfile::tempdir().unwrap();
    let samples = master("welcome");
    let reference = to_8_khz(&samples, 16_000);
    let mut wrong = Vec::new();
    for (encoding, lowest, highest) in LEAST.into_iter().filter(|(encoding, ..)| encoding.is_built()) {
        let forms = forms(encoding);
        let top = forms.len().saturating_sub(1).max(1) as f64;
        let library = PromptLibrary::encode_in([("a".to_owned(), samples.clone())], &forms).unwrap();
        let clip = library.clip(library.lookup("a").unwrap()).unwrap();
        for form in forms {
            // Silence before it, as in a call.
            let mut frames: Vec<&[u8]> = (0..10).map(|number| library.silence(form, number)).collect();
            frames.extend((0..clip.frames()).map(|number| clip.frame(form, number)));
            let (file, before) = write(folder.path(), form, &frames);
            let heard = decode(&file, &before);
            let (place, fit) = best_fit(&reference, &heard);
            let least = lowest + (highest - lowest) * f64::from(form.mode()) / top;
            let late_ms = (place as f64 - (10 * RATE_HZ / 50) as f64) / 8.0;
            let level =
                |samples: &[f64]| (samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64).sqrt();
            let ratio = level(&heard[place..place + reference.len()]) / level(&reference);
            let found = format!(
                "{} {}: fits {fit:.3}, {late_ms} ms late, level {ratio:.2}",
                encoding.name(),
                form.mode()
            );
            println!("{found}");
            if fit < least || late_ms.abs() > 3.0 || !(0.8..1.25).contains(&ratio) {
                wrong.push(found);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Two makers of G.722 that know nothing of each other come to the same octets and samples.
#[test]
fn g722_is_to_the_octet_what_ffmpeg_has() {
    let folder = tempfile::tempdir().unwrap();
    let samples = master("welcome");
    let raw: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let [plain, coded] = ["a.raw", "a.g722"].map(|name| folder.path().join(name));
    std::fs::write(&plain, raw).unwrap();
    let theirs =
        ffmpeg(&plain, &["-f", "s16le", "-ar", "16000", "-ac", "1"], &["-c:a", "g722", "-f", "g722"]);
    let mut ours = Vec::new();
    g722::Encoder::default().encode(&samples, &mut ours);
    assert!(ours.len() > 10_000 && theirs[..ours.len()] == ours[..]);
    std::fs::write(&coded, &ours).unwrap();
    let theirs = ffmpeg(&coded, &["-f", "g722"], &["-f", "s16le"]);
    let mut heard = Vec::new();
    g722::Decoder::default().decode(&ours, &mut heard);
    let heard: Vec<u8> = heard.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    assert!(theirs == heard);
}

#[test]
fn the_comparison_tells_prompts_apart() {
    let (one, other) = (to_8_khz(&master("not-leader"), 16_000), to_8_khz(&master("welcome"), 16_000));
    let (_, fit) = best_fit(&other, &one);
    assert!(fit < 0.3, "{fit}");
}

#[test]
fn silence_is_silent_in_every_codec() {
    let folder = tempfile::tempdir().unwrap();
    for encoding in Encoding::ALL.into_iter().filter(|encoding| encoding.is_built()) {
        for form in forms(encoding) {
            let library = PromptLibrary::encode_in([], &[form]).unwrap();
            let frames: Vec<&[u8]> = (0..100).map(|number| library.silence(form, number)).collect();
            let (file, before) = write(folder.path(), form, &frames);
            let heard = decode(&file, &before);
            let peak = heard.iter().fold(0.0_f64, |most, sample| most.max(sample.abs()));
            assert!(
                heard.len() >= 99 * RATE_HZ / 50 && peak < 40.0,
                "{form:?}: {} samples, {peak}",
                heard.len()
            );
        }
    }
}
