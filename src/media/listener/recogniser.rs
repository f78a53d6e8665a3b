//! Recognising prompts: frames are the same octets each time they are played, so a frame names its clip.
//!
//! Three loud frames in a row (all of them, for a shorter clip) that fit one clip only begin it. Where frames fit no clip,
//! as after transcoding on the way, loudness alone tells when speech begins and ends.

use crate::media::g711;
use crate::media::prompt::{ClipIndex, FRAME_MS, FRAME_OCTETS, PromptLibrary};
use crate::units::rtp::Encoding;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

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

/// Where each loud frame of a library occurs.
#[derive(Debug)]
pub struct FrameIndex {
    library: Arc<PromptLibrary>,
    pcma: Occurrences,
    pcmu: Occurrences,
}

type Occurrences = HashMap<u64, Vec<(ClipIndex, usize)>>;

impl FrameIndex {
    /// Reads the whole library once.
    pub fn new(library: Arc<PromptLibrary>) -> Self {
        let of = |encoding| {
            let mut occurrences = Occurrences::new();
            for (index, clip) in library.clips() {
                for (number, frame) in clip.octets(encoding).chunks_exact(FRAME_OCTETS).enumerate() {
                    if is_loud(encoding, frame) {
                        occurrences.entry(hash(frame)).or_default().push((index, number));
                    }
                }
            }
            occurrences
        };
        let (pcma, pcmu) = (of(Encoding::Pcma), of(Encoding::Pcmu));
        Self { library, pcma, pcmu }
    }

    fn occurrences(&self, encoding: Encoding, frame: &[u8]) -> &[(ClipIndex, usize)] {
        let map = match encoding {
            Encoding::Pcma => &self.pcma,
            Encoding::Pcmu => &self.pcmu,
        };
        map.get(&hash(frame)).map_or(&[], Vec::as_slice)
    }

    fn frames(&self, encoding: Encoding, clip: ClipIndex) -> impl Iterator<Item = &[u8]> {
        self.library.clip(clip).map_or(&[][..], |clip| clip.octets(encoding)).chunks_exact(FRAME_OCTETS)
    }

    fn frame(&self, encoding: Encoding, clip: ClipIndex, number: usize) -> Option<&[u8]> {
        self.frames(encoding, clip).nth(number)
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

fn is_loud(encoding: Encoding, frame: &[u8]) -> bool {
    frame.iter().any(|&octet| g711::decode(encoding, octet).unsigned_abs() >= QUIET_PEAK)
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

    /// Takes a packet's audio that begins at sample `position`. What comes late is not looked at.
    pub fn hear(
        &mut self,
        encoding: Encoding,
        position: usize,
        payload: &[u8],
        mut report: impl FnMut(Heard),
    ) {
        let first = (position / FRAME_OCTETS) as u64;
        for (number, frame) in (first..).zip(payload.chunks_exact(FRAME_OCTETS)) {
            let Some(missing) = number.checked_sub(self.expected) else { continue };
            self.expected = number + 1;
            let missing = usize::try_from(missing).unwrap_or(usize::MAX);
            self.frame(encoding, number, missing, frame, &mut report);
        }
    }

    fn frame(
        &mut self,
        encoding: Encoding,
        number: u64,
        missing: usize,
        frame: &[u8],
        report: &mut impl FnMut(Heard),
    ) {
        if self.follow_current(encoding, number, missing, frame, report) {
            return;
        }
        let loud = is_loud(encoding, frame);
        self.follow_candidates(encoding, missing, frame, loud);
        if let Some(completed) = self.completed.take()
            && self.candidates.is_empty()
        {
            self.begin(completed, number, report);
            self.end(completed, number, true, report);
        }
        if loud {
            self.add_candidates(encoding, number, frame);
        }
        self.decide(encoding, number, report);
        let fits = self.current.is_some() || !self.candidates.is_empty();
        self.speech.frame(number, loud && !fits, report);
    }

    /// True when the frame belongs to the clip that is being heard.
    fn follow_current(
        &mut self,
        encoding: Encoding,
        number: u64,
        missing: usize,
        frame: &[u8],
        report: &mut impl FnMut(Heard),
    ) -> bool {
        let Some(mut current) = self.current.take() else { return false };
        current.next = current.next.saturating_add(missing);
        let expected = self.index.frame(encoding, current.clip, current.next);
        let belongs = expected == Some(frame);
        // The rest of the clip went missing as a whole: taken for complete.
        let over = expected.is_none();
        if belongs {
            current.next += 1;
        }
        if over || !belongs {
            self.end(current, number, over, report);
        } else if self.index.frame(encoding, current.clip, current.next).is_none() {
            self.end(current, number + 1, true, report);
        } else {
            self.current = Some(current);
        }
        belongs
    }

    fn follow_candidates(&mut self, encoding: Encoding, missing: usize, frame: &[u8], loud: bool) {
        let index = &self.index;
        self.candidates.retain_mut(|candidate| {
            candidate.next = candidate.next.saturating_add(missing);
            let fits = index.frame(encoding, candidate.clip, candidate.next) == Some(frame);
            candidate.next += 1;
            candidate.loud += u32::from(loud);
            fits
        });
    }

    fn add_candidates(&mut self, encoding: Encoding, number: u64, frame: &[u8]) {
        for &(clip, place) in self.index.occurrences(encoding, frame) {
            let known = self.candidates.iter().any(|known| known.clip == clip && known.next == place + 1);
            if !known && self.candidates.len() < MAX_CANDIDATES {
                let began = number.cast_signed() - place as i64;
                self.candidates.push(Candidate { clip, next: place + 1, loud: 1, began });
            }
        }
    }

    /// Settles on a clip once the frames fit no other.
    fn decide(&mut self, encoding: Encoding, number: u64, report: &mut impl FnMut(Heard)) {
        if self.current.is_some() {
            return;
        }
        let index = &self.index;
        let needed = |clip| {
            let loud = index.frames(encoding, clip).filter(|frame| is_loud(encoding, frame));
            (loud.take(FRAMES_TO_RECOGNISE as usize).count()) as u32
        };
        let over = |candidate: &Candidate| index.frame(encoding, candidate.clip, candidate.next).is_none();
        let ready = |candidate: &&Candidate| candidate.loud >= needed(candidate.clip);
        let Some(chosen) =
            self.candidates.iter().filter(ready).min_by_key(|one| (!over(one), one.clip)).copied()
        else {
            return;
        };
        let alone = self.candidates.iter().all(|candidate| candidate.clip == chosen.clip);
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
