//! The payload of AMR and AMR-WB (RFC 4867 §4): request, table of contents and frames, packed with or without gaps; and
//! which mode the next frame is sent in.

use crate::units::amr::AmrParameters;
use crate::units::rtp::Encoding;
use arrayvec::ArrayVec;

/// Most frames in a payload that is read: 240 ms. Those of longer ones are not looked at.
pub const MAX_FRAMES: usize = 12;
/// `CMR` without a request (RFC 4867 §4.3.1).
pub const NO_REQUEST: u8 = 15;
/// Frame type without speech (RFC 4867 §4.3.2).
const NO_DATA: u8 = 15;
/// Frame type of a frame that got lost on its way, of AMR-WB only.
const SPEECH_LOST: u8 = 14;

/// Bits of a frame of speech in each mode, then of comfort noise (3GPP TS 26.101 table 1a, TS 26.201 table 3).
const AMR_BITS: [usize; 9] = [95, 103, 118, 134, 148, 159, 204, 244, 39];
const AMR_WB_BITS: [usize; 10] = [132, 177, 253, 285, 317, 365, 397, 461, 477, 40];

/// Bits of a frame; `None` for a type that the encoding does not have.
pub fn frame_bits(encoding: Encoding, frame_type: u8) -> Option<usize> {
    let bits = match encoding {
        Encoding::Amr => AMR_BITS.get(usize::from(frame_type)),
        _ => AMR_WB_BITS.get(usize::from(frame_type)),
    };
    match frame_type {
        NO_DATA => Some(0),
        SPEECH_LOST if encoding == Encoding::AmrWb => Some(0),
        _ => bits.copied(),
    }
}

/// One frame of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// 0–7 or 0–8 speech in that mode, then comfort noise; 14 and 15 hold nothing.
    pub frame_type: u8,
    /// False when the frame was damaged before it was packed (Q bit).
    pub sound: bool,
    /// Where its bits begin in the payload.
    pub first_bit: usize,
}

/// A payload that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The mode that the peer asks us to send in, or [`NO_REQUEST`], or a value that means nothing.
    pub request: u8,
    /// Its frames, of one channel, 20 ms each.
    pub frames: ArrayVec<Frame, MAX_FRAMES>,
}

/// Reads a payload; `None` when it does not hold what its table of contents says.
pub fn read(encoding: Encoding, octet_aligned: bool, payload: &[u8]) -> Option<Payload> {
    let step = if octet_aligned { 8 } else { 6 };
    let mut at = if octet_aligned { 8 } else { 4 };
    let request = bits(payload, 0, 4)?;
    let mut frames = ArrayVec::new();
    loop {
        let entry = bits(payload, at, 6)?;
        at += step;
        let frame_type = entry >> 1 & 15;
        frame_bits(encoding, frame_type)?;
        frames.try_push(Frame { frame_type, sound: entry & 1 == 1, first_bit: 0 }).ok()?;
        if entry & 0x20 == 0 {
            break;
        }
    }
    for frame in &mut frames {
        frame.first_bit = at;
        let length = frame_bits(encoding, frame.frame_type)?;
        at += if octet_aligned { length.next_multiple_of(8) } else { length };
    }
    (at <= payload.len() * 8).then_some(Payload { request, frames })
}

impl Frame {
    /// Its bits, moved to the beginning of octets, as decoders take them.
    pub fn copy_bits(&self, encoding: Encoding, payload: &[u8], octets: &mut ArrayVec<u8, MAX_FRAME_OCTETS>) {
        let length = frame_bits(encoding, self.frame_type).unwrap_or(0);
        for begin in (0..length).step_by(8) {
            let count = (length - begin).min(8);
            let value = bits(payload, self.first_bit + begin, count).unwrap_or(0);
            // Frames are no longer than the room for one.
            let _ = octets.try_push(value << (8 - count));
        }
    }
}

/// Octets of the longest frame, that of AMR-WB at 23.85 kbit/s.
pub const MAX_FRAME_OCTETS: usize = 60;

/// `count` bits, at most 8, the first the highest; `None` beyond the end.
fn bits(octets: &[u8], first: usize, count: usize) -> Option<u8> {
    if first + count > octets.len() * 8 {
        return None;
    }
    let octet = |index: usize| u16::from(octets.get(index).copied().unwrap_or(0));
    let pair = octet(first / 8) << 8 | octet(first / 8 + 1);
    Some((pair << (first % 8) >> (16 - count)) as u8)
}

/// Writes a payload of frames of speech, each its mode and its octets, into a buffer that is long enough; how many octets it
/// took. We ask for no mode.
pub fn write(encoding: Encoding, octet_aligned: bool, frames: &[(u8, &[u8])], buffer: &mut [u8]) -> usize {
    let mut writer = Writer { buffer, at: 0 };
    let gap = if octet_aligned { (4, 2) } else { (0, 0) };
    writer.put(NO_REQUEST, 4);
    writer.put(0, gap.0);
    for (number, (mode, _)) in (1..).zip(frames) {
        writer.put(u8::from(number < frames.len()), 1);
        writer.put(*mode, 4);
        // The frame is sound.
        writer.put(1, 1);
        writer.put(0, gap.1);
    }
    for (mode, octets) in frames {
        let length = frame_bits(encoding, *mode).unwrap_or(0);
        for (begin, octet) in (0..length).step_by(8).zip(*octets) {
            let count = if octet_aligned { 8 } else { (length - begin).min(8) };
            writer.put(octet >> (8 - count), count);
        }
    }
    writer.at.div_ceil(8)
}

/// Writes bits one after the other.
struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
}

impl Writer<'_> {
    /// The lowest `count` bits, at most 8; what finds no room is left out.
    fn put(&mut self, value: u8, count: usize) {
        if count == 0 {
            return;
        }
        let (index, used) = (self.at / 8, self.at % 8);
        let shifted = (u16::from(value) << (16 - count) >> used).to_be_bytes();
        if let Some(octet) = self.buffer.get_mut(index) {
            let kept = if used == 0 { 0 } else { *octet & !(0xff >> used) };
            *octet = kept | shifted[0];
        }
        if used + count > 8
            && let Some(octet) = self.buffer.get_mut(index + 1)
        {
            *octet = shifted[1];
        }
        self.at += count;
    }
}

/// Chooses the mode of each frame that we send: the highest that both sides may send, until the peer asks for another.
#[derive(Debug, Clone, Default)]
pub struct ModeControl {
    /// What the peer asked for last.
    requested: Option<u8>,
    mode: Option<u8>,
    /// Frames since the stream began.
    frames: u64,
}

impl ModeControl {
    /// Takes a request of the peer; false when it means nothing and is to be ignored (RFC 4867 §4.3.1).
    pub fn request(&mut self, encoding: Encoding, request: u8) -> bool {
        let modes = if encoding == Encoding::Amr { 8 } else { 9 };
        if request < modes {
            self.requested = Some(request);
        }
        request < modes || request == NO_REQUEST
    }

    /// The mode of the next frame. A request for a mode that was not agreed on is met by the next lower one.
    pub fn next_mode(&mut self, parameters: &AmrParameters) -> u8 {
        let wanted = parameters.modes.at_most(self.requested.unwrap_or(u8::MAX)).unwrap_or(0);
        let present = self.mode.filter(|&mode| parameters.modes.contains(mode));
        let may_change = self.frames.is_multiple_of(u64::from(parameters.change_period.max(1)));
        let mode = match present {
            None => wanted,
            Some(present) if !may_change => present,
            Some(present) if parameters.change_neighbor => parameters.modes.neighbour(present, wanted),
            Some(_) => wanted,
        };
        self.frames = self.frames.wrapping_add(1);
        self.mode = Some(mode);
        mode
    }
}

#[cfg(test)]
#[path = "amr_tests.rs"]
mod tests;
