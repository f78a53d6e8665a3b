//! The play queue: what goes out next.
//!
//! A place in a play is counted in eighths of a millisecond, whatever the encoding: the octets of G.711 and G.722. So a call
//! whose codec changes in the middle of a prompt goes on where it was.

use super::form::Form;
use super::g711::OCTETS_PER_MS;
use super::prompt::{ClipIndex, FRAME_OCTETS, PromptLibrary};
use crate::units::rtp::Encoding;
use std::collections::VecDeque;

/// Most plays that wait in one call's queue; further ones are refused.
pub const MAX_QUEUED_PLAYS: usize = 16;

/// A piece of a play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// A prompt.
    Clip(ClipIndex),
    /// A pause, rounded up to whole frames of 20 ms.
    Silence {
        /// ms.
        ms: u16,
    },
}

impl Element {
    /// Its length in eighths of a millisecond, whole frames.
    fn length(&self, library: &PromptLibrary) -> usize {
        match *self {
            Element::Clip(index) => library.clip(index).map_or(0, |clip| clip.frames() * FRAME_OCTETS),
            Element::Silence { ms } => (usize::from(ms) * OCTETS_PER_MS).next_multiple_of(FRAME_OCTETS),
        }
    }
}

/// Silence of G.711 or G.722, beginning with a frame of its run.
fn fill_silence(library: &PromptLibrary, encoding: Encoding, first: usize, payload: &mut [u8]) {
    let form = Form::new(encoding, 0);
    for (number, chunk) in (first..).zip(payload.chunks_mut(FRAME_OCTETS)) {
        if let Some(source) = library.silence(form, number).get(..chunk.len()) {
            chunk.copy_from_slice(source);
        }
    }
}

/// A play that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Its id.
    pub play_id: u64,
    /// Stopped before its end.
    pub interrupted: bool,
}

#[derive(Debug)]
struct Play {
    id: u64,
    /// The element that is on, and how many of its octets are out.
    element: Option<Element>,
    offset: usize,
    /// Those after it.
    elements: std::vec::IntoIter<Element>,
    bargein: bool,
}

/// The queue of one call. What a packet needs of it stands in the session itself, since with thousands of calls each
/// step to another place in memory is one to memory that no cache holds.
#[derive(Debug, Default)]
pub struct Playout {
    /// The play that is on.
    on: Option<Play>,
    waiting: VecDeque<Play>,
    /// Frames of silence sent in a row.
    silent: usize,
}

impl Playout {
    /// Adds a play; false when the queue is full.
    pub fn push(&mut self, id: u64, elements: Vec<Element>, bargein: bool) -> bool {
        if self.on.iter().len() + self.waiting.len() >= MAX_QUEUED_PLAYS {
            return false;
        }
        let mut elements = elements.into_iter();
        let play = Play { id, element: elements.next(), offset: 0, elements, bargein };
        match &self.on {
            None => self.on = Some(play),
            Some(_) => self.waiting.push_back(play),
        }
        true
    }

    /// True when nothing plays or waits.
    pub fn is_empty(&self) -> bool {
        self.on.is_none()
    }

    /// Fills a packet's payload with G.711 or G.722: from the queue, then with silence. Plays whose last octet went in are
    /// reported.
    pub fn fill(
        &mut self,
        library: &PromptLibrary,
        encoding: Encoding,
        mut payload: &mut [u8],
        mut done: impl FnMut(Done),
    ) {
        while let Some(play) = &mut self.on {
            let filled = play.fill(library, encoding, payload);
            payload = payload.get_mut(filled..).unwrap_or_default();
            if !play.is_over() {
                break;
            }
            done(Done { play_id: play.id, interrupted: false });
            self.on = self.waiting.pop_front();
            if payload.is_empty() {
                break;
            }
        }
        self.silent = self.silent.wrapping_add(1);
        fill_silence(library, encoding, self.silent, payload);
    }

    /// The next 20 ms of an encoding that has frames: from the queue, else silence. Plays that are over are reported.
    pub fn next_frame<'l>(
        &mut self,
        library: &'l PromptLibrary,
        form: Form,
        mut done: impl FnMut(Done),
    ) -> &'l [u8] {
        let mut frame = None;
        while let Some(play) = &mut self.on {
            frame = frame.or_else(|| play.next_frame(library, form));
            if !play.is_over() {
                break;
            }
            done(Done { play_id: play.id, interrupted: false });
            self.on = self.waiting.pop_front();
            if frame.is_some() {
                break;
            }
        }
        frame.unwrap_or_else(|| {
            self.silent = self.silent.wrapping_add(1);
            library.silence(form, self.silent)
        })
    }

    /// A key was pressed: stops the play that is on, and those behind it, as far as they allow it.
    pub fn barge_in(&mut self, mut done: impl FnMut(Done)) {
        while let Some(play) = self.on.take_if(|play| play.bargein) {
            done(Done { play_id: play.id, interrupted: true });
            self.on = self.waiting.pop_front();
        }
    }

    /// Stops everything.
    pub fn stop(&mut self, mut done: impl FnMut(Done)) {
        for play in self.on.take().into_iter().chain(self.waiting.drain(..)) {
            done(Done { play_id: play.id, interrupted: true });
        }
    }
}

impl Play {
    /// Octets written; fewer than asked for only at the play's end.
    fn fill(&mut self, library: &PromptLibrary, encoding: Encoding, payload: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = payload.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some(element) = self.element else { break };
            let length = element.length(library);
            let copied = length.saturating_sub(self.offset).min(rest.len());
            let rest = rest.get_mut(..copied).unwrap_or_default();
            match element {
                Element::Clip(index) => {
                    let octets = library.clip(index).map_or(&[][..], |clip| clip.octets(encoding));
                    if let Some(source) = octets.get(self.offset..self.offset + copied) {
                        rest.copy_from_slice(source);
                    }
                }
                Element::Silence { .. } => {
                    fill_silence(library, encoding, self.offset / FRAME_OCTETS, rest);
                }
            }
            filled += copied;
            self.advance(copied, length);
        }
        filled
    }

    /// The next 20 ms; `None` at the play's end. Where a change of codec left half a frame over, it is said again.
    fn next_frame<'l>(&mut self, library: &'l PromptLibrary, form: Form) -> Option<&'l [u8]> {
        while let Some(element) = self.element {
            let (length, number) = (element.length(library), self.offset / FRAME_OCTETS);
            let frame = match element {
                Element::Clip(index) => library.clip(index).map_or(&[][..], |clip| clip.frame(form, number)),
                Element::Silence { .. } => library.silence(form, number),
            };
            self.offset = number * FRAME_OCTETS;
            self.advance(FRAME_OCTETS, length);
            if length > 0 {
                return Some(frame);
            }
        }
        None
    }

    fn advance(&mut self, step: usize, length: usize) {
        self.offset += step;
        if self.offset >= length {
            self.element = self.elements.next();
            self.offset = 0;
        }
    }

    fn is_over(&self) -> bool {
        self.element.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn library() -> PromptLibrary {
        let clip = |level: i16, frames: usize| vec![level; frames * 320];
        PromptLibrary::encode([("one".to_owned(), clip(4_000, 1)), ("two".to_owned(), clip(8_000, 2))])
            .expect("good clips")
    }

    fn play(playout: &mut Playout, library: &PromptLibrary, octets: usize) -> (Vec<u8>, Vec<Done>) {
        let mut payload = vec![0; octets];
        let mut done = Vec::new();
        playout.fill(library, Encoding::Pcma, &mut payload, |one| done.push(one));
        (payload, done)
    }

    fn clip(library: &PromptLibrary, id: &str) -> (Element, Vec<u8>) {
        let index = library.lookup(id).expect("is there");
        (Element::Clip(index), library.clip(index).expect("is there").octets(Encoding::Pcma).to_vec())
    }

    #[test]
    fn elements_follow_each_other_to_the_octet() {
        let library = library();
        let ((one, first), (two, second)) = (clip(&library, "one"), clip(&library, "two"));
        let whole = [first, vec![0xd5; 320], second, vec![0xd5; 160]].concat();
        for octets in [80, 160, 240, 320, 400, 480] {
            let mut playout = Playout::default();
            assert!(playout.push(7, vec![one, Element::Silence { ms: 25 }, two], true));
            let mut heard = Vec::new();
            let mut finished = Vec::new();
            while heard.len() < 800 {
                let (payload, done) = play(&mut playout, &library, octets);
                heard.extend(payload);
                finished.extend(done);
            }
            let compared = heard.len().min(whole.len());
            assert_eq!(heard[..compared], whole[..compared], "{octets} octets a packet");
            assert_eq!(finished, [Done { play_id: 7, interrupted: false }]);
            assert!(playout.is_empty());
        }
    }

    #[test]
    fn a_play_is_done_with_its_last_packet_and_an_empty_one_at_once() {
        let library = library();
        let (one, octets) = clip(&library, "one");
        let mut playout = Playout::default();
        playout.push(1, vec![], true);
        playout.push(2, vec![one], true);
        let (payload, done) = play(&mut playout, &library, 160);
        assert_eq!(payload, octets);
        assert_eq!(done.iter().map(|done| done.play_id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_key_stops_what_allows_it_up_to_what_does_not() {
        let library = library();
        let (two, _) = clip(&library, "two");
        let mut playout = Playout::default();
        for (id, bargein) in [(1, true), (2, true), (3, false), (4, true)] {
            playout.push(id, vec![two], bargein);
        }
        let mut done = Vec::new();
        playout.barge_in(|one| done.push(one));
        assert_eq!(done, [1, 2].map(|play_id| Done { play_id, interrupted: true }));
        playout.barge_in(|one| done.push(one));
        assert_eq!(done.len(), 2, "3 goes on, and 4 waits behind it");
        playout.stop(|one| done.push(one));
        assert_eq!(done.len(), 4);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut playout = Playout::default();
        for id in 0..MAX_QUEUED_PLAYS as u64 {
            assert!(playout.push(id, vec![], true));
        }
        assert!(!playout.push(99, vec![], true));
    }
}
