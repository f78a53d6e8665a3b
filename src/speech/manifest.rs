//! The manifest of a set of prompts: what each clip says and where its sound comes from.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The manifest's file name in the folder of prompts.
pub const FILE_NAME: &str = "manifest.toml";

/// A set of prompts as its manifest describes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// ISO 639-1, `sq`.
    pub language: String,
    /// The loudness of every clip that names none of its own, LUFS (ITU-R BS.1770).
    pub loudness: f64,
    /// How the synthetic clips are made.
    pub voice: ManifestVoice,
    /// The clips.
    #[serde(rename = "prompt")]
    pub prompts: Vec<ManifestEntry>,
}

/// How `espeak-ng` speaks the synthetic clips.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestVoice {
    /// Voice and variant: `sq`, `sq+m3`.
    pub name: String,
    /// Words a minute, 80 to 450.
    pub speed: u16,
    /// 0 to 99.
    pub pitch: u8,
    /// Words a minute of clips that are joined to others (numbers, months).
    pub unit_speed: u16,
    /// How far the pitch of such clips moves, percent of the voice's own range: a flat one joins without leaps.
    pub unit_range: u8,
}

/// One clip.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its name in flows, and its file's before `.wav`.
    pub id: String,
    /// What it says, as it is written.
    pub text: String,
    /// What the synthesiser is given when that differs from the text.
    pub spoken: Option<String>,
    /// Words a minute, where the synthesiser should speak it at another speed than the rest.
    pub speed: Option<u16>,
    /// Joined to other clips within a sentence.
    #[serde(default)]
    pub unit: bool,
    /// LUFS; the manifest's when left out.
    pub loudness: Option<f64>,
    /// Where its sound comes from.
    pub source: Source,
}

/// Where a clip's sound comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum Source {
    /// Made by `klikon prompts synthesise`.
    Synthetic,
    /// Recorded, by the studio or speaker named.
    Recorded(String),
}

/// What `source` says for a synthetic clip; anything else names a recording.
pub const SYNTHETIC: &str = "espeak-ng -v sq";

impl From<String> for Source {
    fn from(text: String) -> Self {
        if text.starts_with("espeak-ng") { Self::Synthetic } else { Self::Recorded(text) }
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or with keys that mean nothing.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// What, with its line.
        message: String,
    },
    /// An id that is no file name, or one used twice.
    #[error("{}: prompt `{id}`: {problem}", path.display())]
    Entry {
        /// Which file.
        path: PathBuf,
        /// Which prompt.
        id: String,
        /// What is wrong and how to mend it.
        problem: &'static str,
    },
}

impl Manifest {
    /// Reads the manifest of a folder of prompts.
    pub fn read(directory: &Path) -> Result<Self, ManifestError> {
        let path = directory.join(FILE_NAME);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ManifestError::Io { path: path.clone(), source })?;
        Self::parse(&text, &path)
    }

    /// Reads a manifest's text; `path` only names it in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ManifestError> {
        let manifest: Self = toml::from_str(text).map_err(|error| ManifestError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let mut seen = BTreeSet::new();
        for entry in &manifest.prompts {
            let problem = if !is_id(&entry.id) {
                Some("an id has only the letters a to z, digits and hyphens; rename it")
            } else if entry.text.trim().is_empty() {
                Some("its text is empty; write what it says")
            } else if !seen.insert(&entry.id) {
                Some("it is listed twice; remove one")
            } else {
                None
            };
            if let Some(problem) = problem {
                return Err(ManifestError::Entry { path: path.to_owned(), id: entry.id.clone(), problem });
            }
        }
        Ok(manifest)
    }

    /// The ids of its clips.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.prompts.iter().map(|entry| entry.id.as_str())
    }

    /// The loudness that a clip should have, LUFS.
    pub fn loudness_of(&self, entry: &ManifestEntry) -> f64 {
        entry.loudness.unwrap_or(self.loudness)
    }
}

impl ManifestEntry {
    /// The clip's file in the folder.
    pub fn file_name(&self) -> String {
        format!("{}.wav", self.id)
    }
}

/// An id is a file name too, so it can hold neither a path nor a surprise.
fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 64
        && id.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-')
}
