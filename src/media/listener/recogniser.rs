//! Recognising prompts: frames are the same octets each time they are played, so a frame names its clip.
//!
//! Three loud frames in a row (all of them, for a shorter clip) that fit one clip only begin it. Where frames fit no clip,
//! as after transcoding on the way, loudness alone tells when speech begins and ends.

use crate::media::decoder::Decoder;
use crate::media::form::Form;
use crate::media::prompt::{ClipIndex, FRAME_MS, PromptLibrary};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Arc, OnceLock};

/// A frame whose samples all stay below this is quiet (−42 dB of full scale).
const QUIET_PEAK: u16 = 256;
/// Loud frames that must fit a clip before it counts as heard.
const FRAMES_TO_RECOGNISE: u32 = 3;
/// Clips that are followed at the same time.
const MAX_CANDIDATES: usize = 64;
/// Loud frames that fit no clip before they count as speech: 200 ms.
const FRAMES_TO_SPEECH: u64 = 10;
/// Quiet frames that end speech: 500 ms.
const QUIET_FRAMES_TO_END: u64 = 25;
/// Quiet frames that a run of loud ones may have within: 100 ms.
const QUIET_FRAMES_WITHIN: u64 = 5;

/// What the caller hears. Times are ms of the incoming stream, from its first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A prompt is being played.
    ClipBegan {
        /// Which.
        clip: ClipIndex,
        /// Its id.
        id: Arc<str>,
        /// When its first frame came or would have come.
        at_ms: u64,
    },
    /// It ended.
    ClipEnded {
        /// Which.
        clip: ClipIndex,
        /// Its id.
        id: Arc<str>,
        /// The end of its last frame that was heard.
        at_ms: u64,
        /// False when it was broken off.
        complete: bool,
    },
    /// Something loud that is no known prompt began.
    SpeechBegan {
        /// When.
        at_ms: u64,
    },
    /// It ended, or a prompt was recognised in its place.
    SpeechEnded {
        /// When.
        at_ms: u64,
    },
}

/// Where each loud frame of a library occurs, in each form.
#[derive(Debug)]
pub struct FrameIndex {
    library: Arc<PromptLibrary>,
    forms: Box<[OnceLock<FormIndex>]>,
}

/// The loud frames of a library in one form.
#[derive(Debug, Default)]
struct FormIndex {
    occurrences: HashMap<u64, Vec<(ClipIndex, usize)>>,
    /// How many of each clip are loud.
    loud: HashMap<ClipIndex, u32>,
}

impl FormIndex {
    /// Decodes each clip from its beginning.
    fn new(library: &PromptLibrary, form: Form) -> Self {
        let mut index = Self::default();
        let mut samples = Vec::new();
        for (clip, encoded) in library.clips() {
            let mut decoder = Decoder::new(form.encoding());
            for number in 0..encoded.frames() {
                let frame = encoded.frame(form, number);
                samples.clear();
                decoder.decode(form.mode(), frame, &mut samples);
                if is_loud(&samples) {
                    index.occurrences.entry(hash(frame)).or_default().push((clip, number));
                    *index.loud.entry(clip).or_default() += 1;
                }
            }
        }
        index
    }
}

impl FrameIndex {
    /// Reads the library in a form when that form is first heard.
    pub fn new(library: Arc<PromptLibrary>) -> Self {
        Self { library, forms: (0..Form::COUNT).map(|_| OnceLock::new()).collect() }
    }

    fn form(&self, form: Form) -> Option<&FormIndex> {
        Some(self.forms.get(form.index())?.get_or_init(|| FormIndex::new(&self.library, form)))
    }

    fn occurrences(&self, form: Form, frame: &[u8]) -> &[(ClipIndex, usize)] {
        self.form(form).and_then(|index| index.occurrences.get(&hash(frame))).map_or(&[], Vec::as_slice)
    }

    fn loud_frames(&self, form: Form, clip: ClipIndex) -> u32 {
        self.form(form).and_then(|index| index.loud.get(&clip)).copied().unwrap_or(0)
    }

    fn frame(&self, form: Form, clip: ClipIndex, number: usize) -> Option<&[u8]> {
        let clip = self.library.clip(clip)?;
        Some(clip.frame(form, number)).filter(|_| number < clip.frames())
    }

    fn same(&self, form: Form, one: ClipIndex, other: ClipIndex) -> bool {
        let frames = |clip| {
            let clip = self.library.clip(clip);
            clip.into_iter()
                .flat_map(move |clip| (0..clip.frames()).map(move |number| clip.frame(form, number)))
        };
        one == other || frames(one).eq(frames(other))
    }

    fn id(&self, clip: ClipIndex) -> Arc<str> {
        self.library.clip(clip).map_or_else(|| Arc::from(""), |clip| clip.id().clone())
    }
}

fn hash(frame: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(frame);
    hasher.finish()
}

/// Whether a frame's samples are more than quiet.
pub(super) fn is_loud(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() >= QUIET_PEAK)
}

/// A clip that the last frames fit.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    clip: ClipIndex,
    next: usize,
    loud: u32,
    /// Stream frame that the clip's first frame is or would have been at.
    began: i64,
}

/// Recognises clips in a run of frames.
#[derive(Debug)]
pub struct Recogniser {
    index: Arc<FrameIndex>,
    /// Number of the stream's frame that is expected next.
    expected: u64,
    current: Option<Candidate>,
    candidates: Vec<Candidate>,
    /// A clip that fits to its end while a longer one fitted as well.
    completed: Option<Candidate>,
    speech: Speech,
}

/// Loudness, where frames fit no clip.
#[derive(Debug, Default)]
struct Speech {
    speaking: bool,
    /// First frame of the run.
    since: u64,
    loud: u64,
    quiet: u64,
}

impl Recogniser {
    /// Of an index that many calls may share.
    pub fn new(index: Arc<FrameIndex>) -> Self {
        let (candidates, speech) = (Vec::new(), Speech::default());
        Self { index, expected: 0, current: None, candidates, completed: None, speech }
    }

    /// Takes a frame, and whether it is loud. What comes late is not looked at.
    pub fn hear(&mut self, form: Form, number: u64, frame: &[u8], loud: bool, mut report: impl FnMut(Heard)) {
        let Some(missing) = number.checked_sub(self.expected) else { return };
        self.expected = number.saturating_add(1);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        self.frame(form, number, missing, frame, loud, &mut report);
    }

    fn frame(
        &mut self,
        form: Form,
        number: u64,
        missing: usize,
        frame: &[u8],
        loud: bool,
        report: &mut impl FnMut(Heard),
    ) {
        if self.follow_current(form, number, missing, frame, report) {
            return;
        }
        self.follow_candidates(form, missing, frame, loud);
        if let Some(completed) = self.completed.take()
            && self.candidates.is_empty()
        {
            self.begin(completed, number, report);
            self.end(completed, number, true, report);
        }
        if loud {
            self.add_candidates(form, number, frame);
        }
        self.decide(form, number, report);
        let fits = self.current.is_some() || !self.candidates.is_empty();
        self.speech.frame(number, loud && !fits, report);
    }

    /// True when the frame belongs to the clip that is being heard.
    fn follow_current(
        &mut self,
        form: Form,
        number: u64,
        missing: usize,
        frame: &[u8],
        report: &mut impl FnMut(Heard),
    ) -> bool {
        let Some(mut current) = self.current.take() else { return false };
        current.next = current.next.saturating_add(missing);
        let expected = self.index.frame(form, current.clip, current.next);
        let belongs = expected == Some(frame);
        // The rest of the clip went missing as a whole: taken for complete.
        let over = expected.is_none();
        if belongs {
            current.next += 1;
        }
        if over || !belongs {
            self.end(current, number, over, report);
        } else if self.index.frame(form, current.clip, current.next).is_none() {
            self.end(current, number + 1, true, report);
        } else {
            self.current = Some(current);
        }
        belongs
    }

    fn follow_candidates(&mut self, form: Form, missing: usize, frame: &[u8], loud: bool) {
        let index = &self.index;
        self.candidates.retain_mut(|candidate| {
            candidate.next = candidate.next.saturating_add(missing);
            let fits = index.frame(form, candidate.clip, candidate.next) == Some(frame);
            candidate.next += 1;
            candidate.loud += u32::from(loud);
            fits
        });
    }

    fn add_candidates(&mut self, form: Form, number: u64, frame: &[u8]) {
        for &(clip, place) in self.index.occurrences(form, frame) {
            let known = self.candidates.iter().any(|known| known.clip == clip && known.next == place + 1);
            if !known && self.candidates.len() < MAX_CANDIDATES {
                let began = number.cast_signed() - place as i64;
                self.candidates.push(Candidate { clip, next: place + 1, loud: 1, began });
            }
        }
    }

    /// Settles on a clip once the frames fit no other.
    fn decide(&mut self, form: Form, number: u64, report: &mut impl FnMut(Heard)) {
        if self.current.is_some() {
            return;
        }
        let index = &self.index;
        let needed = |clip| index.loud_frames(form, clip).min(FRAMES_TO_RECOGNISE);
        let over = |candidate: &Candidate| index.frame(form, candidate.clip, candidate.next).is_none();
        let ready = |candidate: &&Candidate| candidate.loud >= needed(candidate.clip);
        let Some(chosen) =
            self.candidates.iter().filter(ready).min_by_key(|one| (!over(one), one.clip)).copied()
        else {
            return;
        };
        // Clips of the same octets are one to the ear; the first of them stands for all.
        let alone = self.candidates.iter().all(|candidate| index.same(form, candidate.clip, chosen.clip));
        let ended = over(&chosen);
        let longer = self.candidates.iter().any(|candidate| !over(candidate));
        if ended && longer {
            self.completed = Some(chosen);
            self.candidates.retain(|candidate| candidate.clip != chosen.clip);
        } else if ended {
            self.begin(chosen, number, report);
            self.end(chosen, number + 1, true, report);
        } else if alone {
            self.begin(chosen, number, report);
            self.current = Some(chosen);
        }
    }

    fn begin(&mut self, clip: Candidate, number: u64, report: &mut impl FnMut(Heard)) {
        self.candidates.clear();
        self.speech.stop(number, report);
        let at_ms = u64::try_from(clip.began).unwrap_or(0) * u64::from(FRAME_MS);
        report(Heard::ClipBegan { clip: clip.clip, id: self.index.id(clip.clip), at_ms });
    }

    fn end(&self, clip: Candidate, number: u64, complete: bool, report: &mut impl FnMut(Heard)) {
        let at_ms = number * u64::from(FRAME_MS);
        report(Heard::ClipEnded { clip: clip.clip, id: self.index.id(clip.clip), at_ms, complete });
    }
}

impl Speech {
    fn frame(&mut self, number: u64, loud: bool, report: &mut impl FnMut(Heard)) {
        if loud {
            if self.loud == 0 {
                self.since = number;
            }
            self.loud += 1;
            self.quiet = 0;
        } else {
            self.quiet += 1;
        }
        if !self.speaking && self.loud >= FRAMES_TO_SPEECH {
            self.speaking = true;
            report(Heard::SpeechBegan { at_ms: self.since * u64::from(FRAME_MS) });
        } else if self.speaking && self.quiet >= QUIET_FRAMES_TO_END {
            self.stop((number + 1).saturating_sub(self.quiet), report);
        } else if !self.speaking && self.quiet > QUIET_FRAMES_WITHIN {
            self.loud = 0;
        }
    }

    fn stop(&mut self, number: u64, report: &mut impl FnMut(Heard)) {
        if self.speaking {
            report(Heard::SpeechEnded { at_ms: number * u64::from(FRAME_MS) });
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711;
    use crate::media::prompt::FRAME_OCTETS;
    use crate::units::rtp::Encoding;

    /// A clip of noise of its own: `frames` frames, of which the first `quiet` are silent.
    fn noise(seed: u32, frames: usize, quiet: usize) -> Vec<i16> {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        (0..frames * 320)
            .map(|sample| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if sample < quiet * 320 { 0 } else { ((state >> 16) as i16) / 3 }
            })
            .collect()
    }

    fn library() -> Arc<PromptLibrary> {
        let (welcome, prefix) = (noise(1, 50, 2), noise(9, 12, 0));
        let longer = [prefix.clone(), noise(10, 14, 2)].concat();
        let clips = [
            ("welcome", welcome),
            ("num-7", noise(2, 8, 1)),
            ("e", noise(3, 2, 0)),
            ("twenty", prefix),
            ("twenty-one", longer),
            ("twin", noise(2, 8, 1)),
            ("pause", vec![0; 3_200]),
        ];
        let clips = clips.map(|(id, samples)| (id.to_owned(), samples));
        Arc::new(PromptLibrary::encode(clips).expect("good clips"))
    }

    /// What is heard of frames at their places; `None` is a lost one.
    fn hear(encoding: Encoding, frames: &[Option<Vec<u8>>]) -> Vec<String> {
        let mut recogniser = Recogniser::new(Arc::new(FrameIndex::new(library())));
        let mut heard = Vec::new();
        for (number, frame) in frames.iter().enumerate() {
            let Some(frame) = frame else { continue };
            let samples: Vec<i16> = frame.iter().map(|&octet| g711::decode(encoding, octet)).collect();
            let form = Form::new(encoding, 0);
            recogniser.hear(form, number as u64, frame, is_loud(&samples), |event| {
                heard.push(match event {
                    Heard::ClipBegan { id, at_ms, .. } => format!("{id} {at_ms}"),
                    Heard::ClipEnded { id, at_ms, complete: true, .. } => format!("{id} over {at_ms}"),
                    Heard::ClipEnded { id, at_ms, .. } => format!("{id} broken {at_ms}"),
                    Heard::SpeechBegan { at_ms } => format!("speech {at_ms}"),
                    Heard::SpeechEnded { at_ms } => format!("speech over {at_ms}"),
                });
            });
        }
        heard
    }

    fn frames(encoding: Encoding, id: &str) -> Vec<Option<Vec<u8>>> {
        let library = library();
        let clip = library.clip(library.lookup(id).expect("is there")).expect("is there");
        clip.octets(encoding).chunks(FRAME_OCTETS).map(|frame| Some(frame.to_vec())).collect()
    }

    fn silence(encoding: Encoding, count: usize) -> Vec<Option<Vec<u8>>> {
        vec![Some(vec![g711::silence(encoding); FRAME_OCTETS]); count]
    }

    #[test]
    fn clips_follow_each_other_short_ones_too() {
        for encoding in Encoding::G711 {
            let stream = [
                silence(encoding, 15),
                frames(encoding, "welcome"),
                frames(encoding, "e"),
                frames(encoding, "num-7"),
                frames(encoding, "e"),
                silence(encoding, 10),
            ]
            .concat();
            let expected = [
                "welcome 300",
                "welcome over 1300",
                "e 1300",
                "e over 1340",
                "num-7 1340",
                "num-7 over 1500",
                "e 1500",
                "e over 1540",
            ];
            assert_eq!(hear(encoding, &stream), expected);
        }
    }

    #[test]
    fn a_clip_that_begins_like_another_is_told_apart_at_its_end() {
        let encoding = Encoding::Pcma;
        let stream = |id| [silence(encoding, 1), frames(encoding, id), silence(encoding, 5)].concat();
        assert_eq!(hear(encoding, &stream("twenty")), ["twenty 20", "twenty over 260"]);
        assert_eq!(hear(encoding, &stream("twenty-one")), ["twenty-one 20", "twenty-one over 540"]);
    }

    #[test]
    fn barge_in_breaks_a_clip_and_losses_do_not() {
        let encoding = Encoding::Pcmu;
        let mut welcome = frames(encoding, "welcome");
        (welcome[20], welcome[21], welcome[49]) = (None, None, None);
        let lossy = [welcome.clone(), silence(encoding, 5)].concat();
        assert_eq!(hear(encoding, &lossy), ["welcome 0", "welcome over 1000"]);
        welcome.truncate(30);
        let broken = [welcome, silence(encoding, 5)].concat();
        assert_eq!(hear(encoding, &broken), ["welcome 0", "welcome broken 600"]);
        let mut half = frames(encoding, "num-7");
        half.iter_mut().skip(1).step_by(2).for_each(|frame| *frame = None);
        let half = [half, silence(encoding, 5)].concat();
        assert_eq!(hear(encoding, &half), ["num-7 0", "num-7 over 160"], "every other frame lost");
        let joined = [frames(encoding, "welcome").split_off(25), silence(encoding, 1)].concat();
        assert_eq!(hear(encoding, &joined), ["welcome 0", "welcome over 500"], "joined in the middle");
    }

    #[test]
    fn silence_and_unknown_speech() {
        let encoding = Encoding::Pcma;
        assert_eq!(hear(encoding, &silence(encoding, 100)), [""; 0]);
        // The same prompt, transcoded on the way: no frame fits.
        let transcoded: Vec<_> = frames(Encoding::Pcmu, "welcome")
            .into_iter()
            .map(|frame| {
                frame.map(|frame| {
                    let decoded = frame.iter().map(|&octet| g711::decode(Encoding::Pcmu, octet));
                    decoded.map(|sample| g711::encode(encoding, sample / 2)).collect()
                })
            })
            .collect();
        let stream = [silence(encoding, 4), transcoded, silence(encoding, 60)].concat();
        assert_eq!(hear(encoding, &stream), ["speech 100", "speech over 1080"]);
    }
}
