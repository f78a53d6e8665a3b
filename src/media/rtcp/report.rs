//! The compound packet that we send: a report, who we are, and at the end goodbye (RFC 3550 §6.1).

use super::packet::{ReportBlock, SenderInformation};

/// Octets of our canonical name: sixteen random hexadecimal digits, new for each call (RFC 7022 §4.2).
pub const CNAME_OCTETS: usize = 16;
/// The longest that is written, octets: SR with one block, SDES with a CNAME, BYE.
pub const MAX_COMPOUND_OCTETS: usize = 8 + 20 + 24 + SDES_OCTETS + 8;

/// SDES with one chunk: header, SSRC, the item's type and length, the name, and the end of the items up to a whole word.
const SDES_OCTETS: usize = 4 + 4 + 2 + CNAME_OCTETS + 2;

/// What is said in one compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Who we are.
    pub ssrc: u32,
    /// The same over all our sources.
    pub cname: [u8; CNAME_OCTETS],
    /// Of our stream; `None` where nothing was sent since the report before the last, which makes it a receiver report.
    pub sender: Option<SenderInformation>,
    /// Of the peer's stream, where one is heard.
    pub block: Option<ReportBlock>,
    /// We leave.
    pub goodbye: bool,
}

impl Report {
    /// Writes it; how many octets of `buffer` it takes.
    pub fn write(&self, buffer: &mut [u8; MAX_COMPOUND_OCTETS]) -> usize {
        let mut writer = Writer { buffer, at: 0 };
        let count = u8::from(self.block.is_some());
        let words = 1 + if self.sender.is_some() { 5 } else { 0 } + 6 * u16::from(count);
        writer.header(count, if self.sender.is_some() { 200 } else { 201 }, words);
        writer.word(self.ssrc);
        if let Some(sender) = &self.sender {
            writer.octets(&sender.ntp.0.to_be_bytes());
            [sender.rtp_timestamp, sender.packets, sender.octets].iter().for_each(|word| writer.word(*word));
        }
        if let Some(block) = &self.block {
            let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
            let words = [
                block.ssrc,
                (u32::from(block.fraction_lost) << 24) | lost,
                block.highest_sequence,
                block.jitter,
                block.last_sender_report,
                block.delay_since,
            ];
            words.iter().for_each(|word| writer.word(*word));
        }
        writer.header(1, 202, (SDES_OCTETS / 4 - 1) as u16);
        writer.word(self.ssrc);
        writer.octets(&[1, CNAME_OCTETS as u8]);
        writer.octets(&self.cname);
        writer.octets(&[0, 0]);
        if self.goodbye {
            writer.header(1, 203, 1);
            writer.word(self.ssrc);
        }
        writer.at
    }
}

/// Writes one after the other. The buffer holds the longest report, so nothing is ever left out.
struct Writer<'a> {
    buffer: &'a mut [u8; MAX_COMPOUND_OCTETS],
    at: usize,
}

impl Writer<'_> {
    fn octets(&mut self, octets: &[u8]) {
        if let Some(place) = self.buffer.get_mut(self.at..self.at + octets.len()) {
            place.copy_from_slice(octets);
            self.at += octets.len();
        }
    }

    fn word(&mut self, word: u32) {
        self.octets(&word.to_be_bytes());
    }

    /// `words` are those behind the header's first.
    fn header(&mut self, count: u8, kind: u8, words: u16) {
        self.octets(&[0x80 | count, kind]);
        self.octets(&words.to_be_bytes());
    }
}
