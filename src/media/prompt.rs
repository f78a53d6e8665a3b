//! Prompts, encoded once at load into frames that are ready to send.

use super::decimator::Decimator;
use super::g711::{self, OCTETS_PER_MS};
use crate::units::rtp::Encoding;
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

/// Sampling rate of the masters, Hz (mono, 16 bit).
pub const SOURCE_RATE_HZ: u32 = 16_000;
/// Every clip is a whole number of frames of this length, ms.
pub const FRAME_MS: u32 = 20;
/// Octets of a frame in G.711.
pub const FRAME_OCTETS: usize = FRAME_MS as usize * OCTETS_PER_MS;
/// Longest clip, in samples of the master: ten minutes.
const MAX_SAMPLES: usize = SOURCE_RATE_HZ as usize * 600;

/// One clip of a library; only meaningful in the library that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClipIndex(u32);

/// Why clips make no library.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LibraryError {
    /// Two clips have one id.
    #[error("the prompt `{0}` is there twice")]
    Duplicate(String),
    /// A clip without a sample.
    #[error("the prompt `{0}` is empty")]
    Empty(String),
    /// Longer than ten minutes.
    #[error("the prompt `{0}` is longer than ten minutes")]
    TooLong(String),
}

/// A clip in every encoding.
#[derive(Debug, Clone)]
pub struct Clip {
    id: Arc<str>,
    pcma: Box<[u8]>,
    pcmu: Box<[u8]>,
}

impl Clip {
    /// Its id in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Its octets, a whole number of [`FRAME_OCTETS`].
    pub fn octets(&self, encoding: Encoding) -> &[u8] {
        match encoding {
            Encoding::Pcma => &self.pcma,
            Encoding::Pcmu => &self.pcmu,
        }
    }

    /// Its length, ms, a multiple of [`FRAME_MS`].
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.pcma.len() / OCTETS_PER_MS).unwrap_or(u32::MAX)
    }
}

/// All prompts of a service, encoded. Built once, then shared by every worker without a lock.
#[derive(Debug, Default)]
pub struct PromptLibrary {
    clips: Vec<Clip>,
    by_id: HashMap<Arc<str>, ClipIndex>,
}

impl PromptLibrary {
    /// Encodes clips of 16 kHz mono samples. Each is band-limited, taken to 8 kHz and padded with silence to whole frames,
    /// so that frames are the same octets each time they go out.
    ///
    /// # Errors
    /// [`LibraryError`] for a clip that is empty, too long or there twice.
    pub fn encode(clips: impl IntoIterator<Item = (String, Vec<i16>)>) -> Result<Self, LibraryError> {
        let decimator = Decimator::new();
        let mut library = Self::default();
        for (id, samples) in clips {
            if samples.is_empty() {
                return Err(LibraryError::Empty(id));
            }
            if samples.len() > MAX_SAMPLES {
                return Err(LibraryError::TooLong(id));
            }
            if library.by_id.contains_key(id.as_str()) {
                return Err(LibraryError::Duplicate(id));
            }
            let mut narrow = decimator.halve(&samples);
            narrow.resize(narrow.len().next_multiple_of(FRAME_OCTETS), 0);
            let id: Arc<str> = id.into();
            let encoded = |encoding| narrow.iter().map(|&sample| g711::encode(encoding, sample)).collect();
            let index = ClipIndex(u32::try_from(library.clips.len()).unwrap_or(u32::MAX));
            library.by_id.insert(id.clone(), index);
            let (pcma, pcmu) = (encoded(Encoding::Pcma), encoded(Encoding::Pcmu));
            library.clips.push(Clip { id, pcma, pcmu });
        }
        Ok(library)
    }

    /// The clip of an id.
    pub fn lookup(&self, id: &str) -> Option<ClipIndex> {
        self.by_id.get(id).copied()
    }

    /// A clip; `None` when the index is of another library.
    pub fn clip(&self, index: ClipIndex) -> Option<&Clip> {
        self.clips.get(usize::try_from(index.0).ok()?)
    }

    /// All clips with their indices.
    pub fn clips(&self) -> impl Iterator<Item = (ClipIndex, &Clip)> {
        (0..).map(ClipIndex).zip(&self.clips)
    }

    /// How many clips there are.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// True without clips.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// Octets that the encoded clips take.
    pub fn octets(&self) -> usize {
        self.clips.iter().map(|clip| clip.pcma.len() + clip.pcmu.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_are_whole_frames_in_both_encodings() {
        let library =
            PromptLibrary::encode([("a".to_owned(), vec![9_000; 321]), ("b".to_owned(), vec![1; 320])])
                .expect("two good clips");
        let a = library.clip(library.lookup("a").expect("is there")).expect("is there");
        assert_eq!((a.duration_ms(), a.octets(Encoding::Pcma).len()), (40, 320));
        assert_eq!(a.octets(Encoding::Pcma)[161..], [0xd5; 159], "the padding is silence");
        assert_eq!(a.octets(Encoding::Pcmu)[161..], [0xff; 159]);
        assert_eq!(
            a.octets(Encoding::Pcma)[80],
            g711::encode(Encoding::Pcma, 9_000),
            "a constant passes as it is"
        );
        let b = library.clip(library.lookup("b").expect("is there")).expect("is there");
        assert_eq!(b.duration_ms(), 20);
        assert_eq!((library.len(), library.octets()), (2, 960));
        assert_eq!(library.lookup("c"), None);
    }

    #[test]
    fn bad_clips_are_named() {
        let of = |clips: Vec<(&str, Vec<i16>)>| {
            PromptLibrary::encode(clips.into_iter().map(|(id, samples)| (id.to_owned(), samples))).map(|_| ())
        };
        assert_eq!(of(vec![("a", vec![])]), Err(LibraryError::Empty("a".into())));
        assert_eq!(of(vec![("a", vec![1]), ("a", vec![1])]), Err(LibraryError::Duplicate("a".into())));
        assert_eq!(of(vec![("a", vec![1; MAX_SAMPLES + 1])]), Err(LibraryError::TooLong("a".into())));
    }
}
