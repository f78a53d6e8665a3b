//! What is wrong with a set of prompts: missing or extra files, the wrong format, too loud or too quiet, clipped,
//! silent too long at the ends or cut without a margin, an offset from zero. Each with what was measured, the
//! limit and the mend.

use super::audio::{self, ms_in};
use super::level::{active_level_lufs, factor, peak_dbfs};
use super::manifest::{Manifest, ManifestEntry, ManifestError};
use super::wav::{WavError, read_wav};
use std::fmt;
use std::path::{Path, PathBuf};

/// What a clip may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Above or below the manifest's loudness, LU.
    pub loudness_tolerance_lu: f64,
    /// Largest sample, dBFS.
    pub peak_dbfs: f64,
    /// Samples in a row at full scale that are a clipped peak.
    pub clipped_run: usize,
    /// Least silence at each end, ms.
    pub margin_ms_min: usize,
    /// Most silence at each end, ms.
    pub margin_ms_max: usize,
    /// Most silence at each end of a clip that is joined to others, ms.
    pub unit_margin_ms_max: usize,
    /// What is quieter than this is silence, dBFS.
    pub silence_dbfs: f64,
    /// Largest offset from zero, parts of full scale.
    pub offset: f32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            loudness_tolerance_lu: 1.5,
            peak_dbfs: -3.0,
            clipped_run: 3,
            margin_ms_min: 5,
            margin_ms_max: 100,
            unit_margin_ms_max: 50,
            silence_dbfs: -50.0,
            offset: 0.005,
        }
    }
}

/// One thing that is wrong. `Display` is one line: `file: what was measured; limit …; the mend`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which file.
    pub file: PathBuf,
    /// What was found, with its measure.
    pub measured: String,
    /// What is allowed.
    pub limit: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; limit {}; {}", self.file.display(), self.measured, self.limit, self.mend)
    }
}

impl Finding {
    fn new(file: &Path, measured: String, limit: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { file: file.to_owned(), measured, limit: limit.into(), mend: mend.into() }
    }

    /// A file that is no prompt at all.
    pub(super) fn unreadable(file: &Path, error: &WavError) -> Self {
        let limit = match error {
            WavError::TooLong { .. } => "60 s",
            _ => "WAV, 16000 Hz, 1 channel, 16 bit",
        };
        Self::new(file, error.to_string(), limit, error.mend())
    }
}

/// Checks a folder of prompts. An empty list means that nothing is wrong.
pub fn check(directory: &Path, limits: &Limits) -> Result<Vec<Finding>, ManifestError> {
    let manifest = Manifest::read(directory)?;
    let mut findings = Vec::new();
    for entry in &manifest.prompts {
        let path = directory.join(entry.file_name());
        match read_wav(&path) {
            Ok(samples) => {
                findings.extend(check_clip(&path, entry, manifest.loudness_of(entry), &samples, limits));
            }
            Err(error) => findings.push(Finding::unreadable(&path, &error)),
        }
    }
    findings.extend(extra_files(directory, &manifest)?);
    Ok(findings)
}

/// Sound files that the manifest does not list: a misspelt id plays nothing.
fn extra_files(directory: &Path, manifest: &Manifest) -> Result<Vec<Finding>, ManifestError> {
    let io = |source| ManifestError::Io { path: directory.to_owned(), source };
    let mut extra = Vec::new();
    for file in std::fs::read_dir(directory).map_err(io)? {
        let path = file.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = manifest.prompts.iter().any(|entry| entry.file_name() == name);
        let sound = [".wav", ".WAV", ".mp3", ".flac", ".ogg", ".aiff"].iter().any(|end| name.ends_with(end));
        if sound && !listed {
            extra.push(Finding::new(
                &path,
                "it is not in the manifest".to_owned(),
                "the manifest's ids",
                "add it to manifest.toml, rename it to an id there, or remove it",
            ));
        }
    }
    extra.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(extra)
}

/// Checks one clip's samples.
fn check_clip(
    path: &Path,
    entry: &ManifestEntry,
    loudness: f64,
    samples: &[i16],
    limits: &Limits,
) -> Vec<Finding> {
    let float = audio::to_float(samples);
    let mut findings = Vec::new();
    findings.extend(check_clipping(path, samples, limits));
    findings.extend(check_loudness(path, loudness, &float, limits));
    findings.extend(check_ends(path, entry, &float, limits));
    let offset = audio::mean(&float);
    if offset.abs() > limits.offset {
        findings.push(Finding::new(
            path,
            format!("its mean is {:.2} % of full scale off zero", offset * 100.0),
            format!("{:.2} %", limits.offset * 100.0),
            "take the offset out: `sox IN.wav OUT.wav highpass 60`",
        ));
    }
    findings
}

fn check_clipping(path: &Path, samples: &[i16], limits: &Limits) -> Option<Finding> {
    let full = |sample: &i16| *sample == i16::MAX || *sample == i16::MIN;
    let runs = samples.chunk_by(|a, b| full(a) == full(b));
    let clipped = runs.filter(|run| run.len() >= limits.clipped_run && run.first().is_some_and(full)).count();
    if clipped > 0 {
        return Some(Finding::new(
            path,
            format!("it is clipped in {clipped} place(s)"),
            format!("fewer than {} samples in a row at full scale", limits.clipped_run),
            "record it again at a lower level",
        ));
    }
    let peak = peak_dbfs(&audio::to_float(samples));
    (peak > limits.peak_dbfs).then(|| {
        Finding::new(
            path,
            format!("its peak is {peak:.1} dBFS"),
            format!("{:.1} dBFS", limits.peak_dbfs),
            format!("limit or lower it by {:.1} dB", peak - limits.peak_dbfs),
        )
    })
}

fn check_loudness(path: &Path, wanted: f64, samples: &[f32], limits: &Limits) -> Option<Finding> {
    let measured = active_level_lufs(samples);
    let off = measured - wanted;
    let limit = format!("{wanted:.1} ± {:.1} LUFS", limits.loudness_tolerance_lu);
    if measured == f64::NEG_INFINITY {
        let mend = "record it again";
        return Some(Finding::new(path, "it is silent".to_owned(), limit, mend));
    }
    let (word, verb) = if off > 0.0 { ("loud", "lower") } else { ("quiet", "raise") };
    (off.abs() > limits.loudness_tolerance_lu).then(|| {
        let mend = format!("{verb} it by {:.1} dB: `sox IN.wav OUT.wav gain {:+.1}`", off.abs(), -off);
        Finding::new(path, format!("it is too {word}: {measured:.1} LUFS"), limit, mend)
    })
}

fn check_ends(path: &Path, entry: &ManifestEntry, samples: &[f32], limits: &Limits) -> Vec<Finding> {
    let Some(ends) = audio::ends(samples, factor(limits.silence_dbfs) as f32) else { return Vec::new() };
    let most = if entry.unit { limits.unit_margin_ms_max } else { limits.margin_ms_max };
    let limit = format!("{} to {most} ms", limits.margin_ms_min);
    let mut findings = Vec::new();
    for (end, ms) in [("begins", ms_in(ends.leading)), ("ends", ms_in(ends.trailing))] {
        if ms > most {
            let mend = format!("trim {} ms of it", ms - most);
            findings.push(Finding::new(
                path,
                format!("it {end} with {ms} ms of silence"),
                limit.clone(),
                mend,
            ));
        } else if ms < limits.margin_ms_min {
            let mend = "add a margin of silence there, so that it joins without a click";
            findings.push(Finding::new(
                path,
                format!("it {end} with {ms} ms of silence"),
                limit.clone(),
                mend,
            ));
        }
    }
    findings
}
