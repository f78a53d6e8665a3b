//! From a value to a list of recorded clips, and the recorded clips themselves: their manifest, their audio, and
//! the checks that a studio's recordings and the synthesised ones must both pass.
//!
//! [`sq`] speaks Albanian numbers, amounts, telephone numbers and months (DOMAIN §6). [`load`] reads a folder of
//! prompts; [`check`] says what is wrong with one, and how to mend it.

mod audio;
mod check;
mod level;
mod manifest;
pub mod sq;
mod synthesis;
mod wav;

pub use check::{Finding, Limits, check};
pub use level::{active_level_lufs, peak_dbfs};
pub use manifest::{FILE_NAME, Manifest, ManifestEntry, ManifestError, ManifestVoice, SYNTHETIC, Source};
pub use synthesis::{SynthesisError, Voice, finish};
pub use wav::{SAMPLE_RATE_HZ, WavError, read_wav, write_wav};

use std::collections::BTreeMap;
use std::path::Path;

/// A piece of speech put together from recordings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unit {
    /// A clip, by its id in the manifest.
    Clip(String),
    /// A pause in milliseconds.
    Pause {
        /// Length in milliseconds.
        ms: u16,
    },
}

/// One recorded clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// What it says, with its punctuation.
    pub text: String,
    /// 16 kHz, mono.
    pub samples: Vec<i16>,
}

/// A whole set of prompts, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    language: String,
    clips: BTreeMap<String, Clip>,
}

/// Why a set of prompts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Clips that are missing or unfit to be played, each with its mend.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Clips(Vec<Finding>),
}

/// Reads `manifest.toml` and every clip it names from a folder, and refuses the set when one cannot be played as
/// it is. Too loud, too quiet or badly trimmed clips are left to [`check`]: they are heard all the same.
pub fn load(directory: &Path) -> Result<Prompts, LoadError> {
    let manifest = Manifest::read(directory)?;
    let mut clips = BTreeMap::new();
    let mut findings = Vec::new();
    for entry in &manifest.prompts {
        let path = directory.join(entry.file_name());
        match read_wav(&path) {
            Ok(samples) => {
                clips.insert(entry.id.clone(), Clip { text: entry.text.clone(), samples });
            }
            Err(error) => findings.push(Finding::unreadable(&path, &error)),
        }
    }
    if findings.is_empty() {
        Ok(Prompts { language: manifest.language, clips })
    } else {
        Err(LoadError::Clips(findings))
    }
}

impl Prompts {
    /// The language of the set (ISO 639-1, `sq`).
    pub fn language(&self) -> &str {
        &self.language
    }

    /// The ids of its clips.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.clips.keys().map(String::as_str)
    }

    /// A clip by its id.
    pub fn clip(&self, id: &str) -> Option<&Clip> {
        self.clips.get(id)
    }

    /// All clips, by id.
    pub fn clips(&self) -> impl Iterator<Item = (&str, &Clip)> {
        self.clips.iter().map(|(id, clip)| (id.as_str(), clip))
    }

    /// What a list of units says, as a reader would write it: pauses become commas and full stops, as in *Për
    /// Super një mijë e njëqind, nëntëqind lekë, shtypni dy.*
    pub fn text(&self, units: &[Unit]) -> String {
        let mut text = String::new();
        let mut pause_ms = 0;
        for unit in units {
            match unit {
                Unit::Clip(id) => {
                    let words = self.clips.get(id).map_or(id.as_str(), |clip| clip.text.as_str());
                    if !words.starts_with(PUNCTUATION) {
                        if !text.is_empty() && !text.ends_with(PUNCTUATION) {
                            text.push_str(mark(pause_ms));
                        }
                        if !text.is_empty() {
                            text.push(' ');
                        }
                    }
                    text.push_str(words);
                    pause_ms = 0;
                }
                Unit::Pause { ms } => pause_ms = pause_ms.max(*ms),
            }
        }
        if !text.is_empty() && !text.ends_with(PUNCTUATION) {
            text.push('.');
        }
        text
    }
}

const PUNCTUATION: [char; 6] = ['.', ',', ':', ';', '?', '!'];

/// What a pause of that length is in writing.
fn mark(pause_ms: u16) -> &'static str {
    match pause_ms {
        0..100 => "",
        100..250 => ",",
        _ => ".",
    }
}

#[cfg(test)]
mod tests;
