//! Prompts, encoded once at load into frames that are ready to send.

use super::cache::PromptCache;
use super::decimator::Decimator;
use super::form::{self, EncoderError, Form, Frames, Master, SILENT_FRAMES};
use super::g711::{self, OCTETS_PER_MS};
use crate::units::rtp::Encoding;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use thiserror::Error;

/// Sampling rate of the masters, Hz (mono, 16 bit).
pub const SOURCE_RATE_HZ: u32 = 16_000;
/// Every clip is a whole number of frames of this length, ms.
pub const FRAME_MS: u32 = 20;
/// Octets of a frame in G.711 and G.722.
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
    /// A codec did not do its work.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
}

/// A clip in every form that the service needs.
#[derive(Debug, Clone)]
pub struct Clip {
    id: Arc<str>,
    frames: usize,
    forms: Box<[Option<Frames>]>,
}

impl Clip {
    /// Its id in the manifest.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Its octets in an encoding without modes, a whole number of frames of 20 ms; none where it is not encoded so.
    pub fn octets(&self, encoding: Encoding) -> &[u8] {
        self.form(Form::new(encoding, 0)).map_or(&[], Frames::octets)
    }

    /// One of its frames of 20 ms; empty beyond its end, and where it is not encoded so.
    pub fn frame(&self, form: Form, number: usize) -> &[u8] {
        self.form(form).map_or(&[], |frames| frames.frame(number))
    }

    /// How many frames of 20 ms it has.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Its length, ms, a multiple of [`FRAME_MS`].
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.frames).unwrap_or(u32::MAX).saturating_mul(FRAME_MS)
    }

    fn form(&self, form: Form) -> Option<&Frames> {
        self.forms.get(form.index())?.as_ref()
    }
}

/// All prompts of a service, encoded. Built once, then shared by every worker without a lock.
#[derive(Debug)]
pub struct PromptLibrary {
    clips: Vec<Clip>,
    by_id: HashMap<Arc<str>, ClipIndex>,
    silence: Box<[Option<Frames>]>,
}

impl Default for PromptLibrary {
    /// No clips, and silence in G.711.
    fn default() -> Self {
        Self { clips: Vec::new(), by_id: HashMap::new(), silence: g711_silence() }
    }
}

/// G.711 keeps no memory, so its silence is one octet over and over.
fn g711_silence() -> Box<[Option<Frames>]> {
    let mut silence = vec![None; Form::COUNT];
    for encoding in Encoding::G711 {
        let octets = vec![g711::silence(encoding); FRAME_OCTETS * SILENT_FRAMES];
        let ends = (1..=SILENT_FRAMES as u32).map(|number| number * FRAME_OCTETS as u32).collect();
        if let Some(slot) = silence.get_mut(Form::new(encoding, 0).index()) {
            *slot = Some(Frames::new(octets, ends));
        }
    }
    silence.into()
}

impl PromptLibrary {
    /// Encodes clips of 16 kHz mono samples in G.711 alone.
    ///
    /// # Errors
    /// As [`PromptLibrary::encode_in`].
    pub fn encode(clips: impl IntoIterator<Item = (String, Vec<i16>)>) -> Result<Self, LibraryError> {
        Self::encode_in(clips, &Encoding::G711.map(|encoding| Form::new(encoding, 0)))
    }

    /// Encodes clips of 16 kHz mono samples in these forms. Each is padded with silence to whole frames,
    /// and for the forms of 8 kHz band-limited and halved, so that frames are the same octets each time they go out.
    ///
    /// # Errors
    /// [`LibraryError`] for a clip that is empty, too long or there twice, or that cannot be encoded.
    pub fn encode_in(
        clips: impl IntoIterator<Item = (String, Vec<i16>)>,
        forms: &[Form],
    ) -> Result<Self, LibraryError> {
        Self::encode_or_read(clips, forms, None)
    }

    /// The same, on every processor, with what takes long read from a cache where it was kept.
    ///
    /// # Errors
    /// As [`PromptLibrary::encode_in`].
    pub fn encode_or_read(
        clips: impl IntoIterator<Item = (String, Vec<i16>)>,
        forms: &[Form],
        cache: Option<&PromptCache>,
    ) -> Result<Self, LibraryError> {
        let mut library = Self::default();
        for &form in forms {
            put(&mut library.silence, form, form::encode_silence(form)?);
        }
        let mut masters: Vec<(Arc<str>, Vec<i16>)> = Vec::new();
        for (id, samples) in clips {
            if samples.is_empty() {
                return Err(LibraryError::Empty(id));
            }
            if samples.len() > MAX_SAMPLES {
                return Err(LibraryError::TooLong(id));
            }
            let index = ClipIndex(u32::try_from(masters.len()).unwrap_or(u32::MAX));
            let name: Arc<str> = id.as_str().into();
            if library.by_id.insert(name.clone(), index).is_some() {
                return Err(LibraryError::Duplicate(id));
            }
            masters.push((name, samples));
        }
        library.clips = encode_all(&masters, forms, cache)?;
        Ok(library)
    }

    /// A frame of silence, as it is in a run of it; empty where the library was not encoded so.
    pub fn silence(&self, form: Form, number: usize) -> &[u8] {
        let frames = self.silence.get(form.index()).and_then(Option::as_ref);
        frames.map_or(&[], |frames| frames.frame(number % SILENT_FRAMES))
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
        let forms = self.clips.iter().flat_map(|clip| clip.forms.iter().flatten());
        forms.map(Frames::memory_octets).sum()
    }
}

/// Encodes clips on every processor; in their order.
fn encode_all(
    masters: &[(Arc<str>, Vec<i16>)],
    forms: &[Form],
    cache: Option<&PromptCache>,
) -> Result<Vec<Clip>, LibraryError> {
    let (decimator, next) = (Decimator::new(), AtomicUsize::new(0));
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((id, samples)) = masters.get(number) else { return done };
            done.push((number, encode_clip(id, samples, forms, &decimator, cache)));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(masters.len());
    let mut clips: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut clips = work();
        for other in others {
            match other.join() {
                Ok(done) => clips.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        clips
    });
    clips.sort_by_key(|(number, _)| *number);
    clips.into_iter().map(|(_, clip)| clip).collect()
}

fn encode_clip(
    id: &Arc<str>,
    samples: &[i16],
    forms: &[Form],
    decimator: &Decimator,
    cache: Option<&PromptCache>,
) -> Result<Clip, LibraryError> {
    let narrow = decimator.halve(samples);
    let master = Master { wide: samples, narrow: &narrow };
    let mut encoded = vec![None; Form::COUNT];
    for forms in forms.chunk_by(|one, other| one.encoding() == other.encoding()) {
        let cache = cache.filter(|_| forms.iter().any(|form| PromptCache::keeps(form.encoding())));
        let frames = match cache.and_then(|cache| cache.read(samples, forms)) {
            Some(frames) => frames,
            None => {
                let frames: Vec<Frames> =
                    forms.iter().map(|&form| form::encode(form, master)).collect::<Result<_, _>>()?;
                if let Some(cache) = cache {
                    cache.write(samples, forms, &frames);
                }
                frames
            }
        };
        forms.iter().zip(frames).for_each(|(&form, frames)| put(&mut encoded, form, frames));
    }
    Ok(Clip { id: id.clone(), frames: master.frames(), forms: encoded.into() })
}

fn put(forms: &mut [Option<Frames>], form: Form, frames: Frames) {
    if let Some(slot) = forms.get_mut(form.index()) {
        *slot = Some(frames);
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
