//! Sets of prompts on disk: what is loaded, what is refused, what is found wrong.

use super::audio::samples_in;
use super::*;
use std::path::PathBuf;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/sq")
}

/// A set with one clip, `a`.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn with(entry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "language = \"sq\"\nloudness = -22.0\n[voice]\nname = \"sq\"\nspeed = 150\npitch = 45\n\
             unit_speed = 145\nunit_range = 40\n[[prompt]]\nid = \"a\"\ntext = \"A.\"\n{entry}\n"
        );
        std::fs::write(folder.path().join(FILE_NAME), text).unwrap();
        Self { folder }
    }

    fn recorded(samples: &[f32]) -> Self {
        let folder = Self::with("source = \"the studio\"");
        write_wav(&folder.path("a.wav"), &audio::to_i16(samples)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn findings(&self) -> Vec<String> {
        let prefix = format!("{}/", self.folder.path().display());
        let findings = check(self.folder.path(), &Limits::default()).unwrap();
        findings.iter().map(|finding| finding.to_string().replace(&prefix, "")).collect()
    }
}

/// A second of something at about -22 LUFS between margins of silence.
fn clip(lead_ms: usize, trail_ms: usize, gain: f32) -> Vec<f32> {
    let mut samples = vec![0.0; samples_in(lead_ms)];
    samples.extend((0..16_000).map(|n| {
        let t = n as f32 / 16_000.0 * std::f32::consts::TAU;
        gain * 0.105 * ((t * 300.0).sin() + 0.5 * (t * 1100.0).sin())
    }));
    samples.extend(vec![0.0; samples_in(trail_ms)]);
    samples
}

#[test]
fn the_committed_prompts_are_whole_sound_and_small() {
    let findings = check(&committed(), &Limits::default()).unwrap();
    assert!(findings.is_empty(), "{findings:#?}");
    let prompts = load(&committed()).unwrap();
    assert_eq!(prompts.language(), "sq");
    let octets: usize = prompts.clips().map(|(_, clip)| clip.samples.len() * 2 + 44).sum();
    assert!(octets < 8_000_000, "{octets}");
    for id in sq::unit_ids() {
        assert!(prompts.clip(&id).is_some(), "{id}");
    }
}

#[test]
fn what_is_said_reads_as_a_sentence() {
    let prompts = load(&committed()).unwrap();
    let clip = |id: &str| Unit::Clip(id.to_owned());
    let mut units = vec![clip("for-super")];
    units.extend(sq::say_number(1100, sq::Gender::Masculine).unwrap());
    units.extend([Unit::Pause { ms: 80 }, clip("press")]);
    units.extend(sq::say_number(2, sq::Gender::Masculine).unwrap());
    assert_eq!(prompts.text(&units), "Për Super një mijë e njëqind, shtypni dy.");
    let telephone = sq::say_msisdn(crate::units::Msisdn::parse("0672123456").unwrap());
    assert_eq!(prompts.text(&telephone), "zero gjashtë shtatë, dy një dy, tre katër pesë gjashtë.");
    assert_eq!(prompts.text(&[clip("goodbye")]), "Faleminderit. Mirupafshim.");
    assert_eq!(prompts.text(&[clip("no-such")]), "no-such.");
    assert_eq!(prompts.text(&[]), "");
}

#[test]
fn a_good_recording_is_found_good_and_is_loaded() {
    let folder = Folder::recorded(&clip(20, 40, 1.0));
    assert_eq!(folder.findings(), [""; 0]);
    let prompts = load(folder.folder.path()).unwrap();
    assert_eq!(prompts.ids().collect::<Vec<_>>(), ["a"]);
    assert_eq!(prompts.clip("a").map(|clip| clip.samples.len()), Some(16_000 + samples_in(60)));
}

#[test]
fn every_fault_is_found_with_its_measure_and_its_mend() {
    let with = |samples: &[f32]| Folder::recorded(samples).findings();
    let off = |gain: f32| with(&clip(20, 40, gain));
    assert_eq!(
        off(2.0),
        [
            "a.wav: it is too loud: -16.3 LUFS; limit -22.0 ± 1.5 LUFS; lower it by 5.7 dB: `sox IN.wav OUT.wav gain -5.7`"
        ]
    );
    assert_eq!(
        off(0.5),
        [
            "a.wav: it is too quiet: -28.3 LUFS; limit -22.0 ± 1.5 LUFS; raise it by 6.3 dB: `sox IN.wav OUT.wav gain +6.3`"
        ]
    );
    assert_eq!(
        with(&clip(300, 40, 1.0)),
        ["a.wav: it begins with 300 ms of silence; limit 5 to 100 ms; trim 200 ms of it"]
    );
    assert_eq!(
        with(&clip(20, 0, 1.0)),
        [
            "a.wav: it ends with 0 ms of silence; limit 5 to 100 ms; add a margin of silence there, so that it joins without a click"
        ]
    );
    let mut peaky = clip(20, 40, 1.0);
    peaky[5000] = 0.9;
    assert_eq!(with(&peaky), ["a.wav: its peak is -0.9 dBFS; limit -3.0 dBFS; limit or lower it by 2.1 dB"]);
    let mut clipped = clip(20, 40, 1.0);
    clipped[5000..5004].fill(1.0);
    assert_eq!(
        with(&clipped),
        [
            "a.wav: it is clipped in 1 place(s); limit fewer than 3 samples in a row at full scale; record it again at a lower level"
        ]
    );
    let offset: Vec<f32> = clip(20, 40, 1.0).iter().map(|sample| sample + 0.002).collect();
    assert_eq!(with(&offset), [""; 0], "a small offset is none");
    let mut offset = clip(20, 40, 1.0);
    offset[samples_in(20)..samples_in(1020)].iter_mut().for_each(|sample| *sample += 0.02);
    assert_eq!(
        with(&offset),
        [
            "a.wav: its mean is 1.89 % of full scale off zero; limit 0.50 %; take the offset out: `sox IN.wav OUT.wav highpass 60`"
        ]
    );
    assert_eq!(with(&[0.0; 16_000]), ["a.wav: it is silent; limit -22.0 ± 1.5 LUFS; record it again"]);
}

#[test]
fn a_unit_is_trimmed_more_tightly() {
    let folder = Folder::recorded(&clip(80, 40, 1.0));
    assert_eq!(folder.findings(), [""; 0]);
    let folder = Folder::with("source = \"the studio\"\nunit = true");
    write_wav(&folder.path("a.wav"), &audio::to_i16(&clip(80, 40, 1.0))).unwrap();
    assert_eq!(
        folder.findings(),
        ["a.wav: it begins with 80 ms of silence; limit 5 to 50 ms; trim 30 ms of it"]
    );
}

#[test]
fn files_that_are_missing_extra_or_of_another_kind() {
    let folder = Folder::with("source = \"the studio\"");
    assert_eq!(
        folder.findings(),
        [
            "a.wav: it is missing; limit WAV, 16000 Hz, 1 channel, 16 bit; record it, or run `klikon prompts synthesise`"
        ]
    );
    assert!(matches!(load(folder.folder.path()), Err(LoadError::Clips(findings)) if findings.len() == 1));
    std::fs::write(folder.path("a.wav"), b"RIFF....WAVEnonsense").unwrap();
    std::fs::write(folder.path("b.mp3"), b"").unwrap();
    let found = folder.findings();
    assert!(found[0].starts_with("a.wav: it is not a sound WAV file"), "{}", found[0]);
    assert_eq!(
        found[1..],
        [
            "b.mp3: it is not in the manifest; limit the manifest's ids; add it to manifest.toml, rename it to an id there, or remove it"
        ]
    );
}

#[test]
fn another_format_is_refused_with_the_command_that_mends_it() {
    let folder = Folder::with("source = \"the studio\"");
    for (channels, sample_rate, bits, float) in [
        (1, 8_000, 16, false),
        (1, 44_100, 16, false),
        (2, 16_000, 16, false),
        (1, 16_000, 8, false),
        (1, 16_000, 32, true),
    ] {
        let sample_format = if float { hound::SampleFormat::Float } else { hound::SampleFormat::Int };
        let spec = hound::WavSpec { channels, sample_rate, bits_per_sample: bits, sample_format };
        let mut writer = hound::WavWriter::create(folder.path("a.wav"), spec).unwrap();
        for _ in 0..800 {
            if float { writer.write_sample(0.1_f32).unwrap() } else { writer.write_sample(9_i32).unwrap() }
        }
        writer.finalize().unwrap();
        let kind = if float { " floating point" } else { "" };
        assert_eq!(
            folder.findings(),
            [format!(
                "a.wav: it has {sample_rate} Hz, {channels} channel(s), {bits} bit{kind}; \
                 limit WAV, 16000 Hz, 1 channel, 16 bit; convert it: `sox IN.wav -r 16000 -c 1 -b 16 OUT.wav`"
            )]
        );
        assert!(load(folder.folder.path()).is_err());
    }
}

#[test]
fn manifests_that_are_refused() {
    let parse = |text: &str| Manifest::parse(text, Path::new("m.toml")).map_err(|error| error.to_string());
    let head = "language = \"sq\"\nloudness = -22.0\n[voice]\nname = \"sq\"\nspeed = 150\npitch = 45\nunit_speed = 145\nunit_range = 40\n";
    let entry =
        |id: &str, text: &str| format!("[[prompt]]\nid = \"{id}\"\ntext = \"{text}\"\nsource = \"x\"\n");
    assert!(parse(&format!("{head}{}", entry("a-1", "A"))).is_ok());
    for (entries, problem) in [
        (
            entry("../a", "A"),
            "m.toml: prompt `../a`: an id has only the letters a to z, digits and hyphens; rename it",
        ),
        (entry("a", " "), "m.toml: prompt `a`: its text is empty; write what it says"),
        (entry("a", "A") + &entry("a", "B"), "m.toml: prompt `a`: it is listed twice; remove one"),
    ] {
        assert_eq!(parse(&format!("{head}{entries}")), Err(problem.to_owned()));
    }
    let unknown = parse(&format!("{head}{}volume = 3\n", entry("a", "A"))).unwrap_err();
    assert!(unknown.contains("line 13") && unknown.contains("volume"), "{unknown}");
    assert!(load(Path::new("/nonexistent")).is_err());
}

#[test]
fn writing_the_same_clip_again_changes_nothing() {
    let folder = Folder::with("source = \"the studio\"");
    let samples = audio::to_i16(&clip(20, 40, 1.0));
    assert!(write_wav(&folder.path("a.wav"), &samples).unwrap());
    assert!(!write_wav(&folder.path("a.wav"), &samples).unwrap());
    assert_eq!(read_wav(&folder.path("a.wav")).unwrap(), samples);
    assert!(!folder.path("a.wav.tmp").exists());
}

proptest::proptest! {
    #[test]
    fn no_octets_panic_the_reader(octets in proptest::collection::vec(0_u8..=255, 0..200)) {
        let _ = wav::decode_wav(&octets);
    }

    #[test]
    fn no_damage_to_a_clip_panics_the_reader(at in 0..60_usize, octet: u8, cut in 0..400_usize) {
        let mut octets = wav::encode_wav(&[100; 200]).unwrap();
        octets[at] = octet;
        octets.truncate(octets.len() - cut);
        let _ = wav::decode_wav(&octets);
    }
}
