//! Compound packets as they come (RFC 3550 §6.4 to §6.7, checked as §A.2 says).

use thiserror::Error;

/// Packet types (RFC 3550 §12.1).
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const GOODBYE: u8 = 203;
/// Octets of a header with its SSRC.
const HEADER_OCTETS: usize = 8;
/// Octets of what a sender report says of its sender.
const INFORMATION_OCTETS: usize = 20;
/// Octets of a report block.
const BLOCK_OCTETS: usize = 24;

/// Why octets are no compound RTCP packet. Nothing of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// A part is not version 2.
    #[error("not RTP version 2")]
    Version,
    /// The lengths of the parts do not add up to the whole, or a part is shorter than what it says it holds.
    #[error("wrong size")]
    Size,
    /// The first part is no report, or a part before the last is padded.
    #[error("no compound packet")]
    Compound,
}

/// What a sender says of its own stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SenderInformation {
    /// When the report was sent, by the sender's clock.
    pub ntp: super::NtpTimestamp,
    /// The same moment in units of the payload's clock.
    pub rtp_timestamp: u32,
    /// Packets sent so far.
    pub packets: u32,
    /// Octets of payload sent so far.
    pub octets: u32,
}

/// What a receiver says of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// Of which source.
    pub ssrc: u32,
    /// Lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Lost so far, packets; below zero where more came than were sent, as repeated ones count. 24 bits.
    pub cumulative_lost: i32,
    /// The highest sequence number, with the count of its rollovers above it.
    pub highest_sequence: u32,
    /// Interarrival jitter, in units of the payload's clock.
    pub jitter: u32,
    /// The middle of the NTP timestamp of the last sender report; 0 before the first.
    pub last_sender_report: u32,
    /// Since that came, in 65,536ths of a second.
    pub delay_since: u32,
}

/// One part of a compound packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// SR or RR.
    Report {
        /// Who reports.
        ssrc: u32,
        /// In a sender report.
        sender: Option<SenderInformation>,
        /// One for each source that was heard, at most 31.
        blocks: Blocks<'a>,
    },
    /// BYE: the sources that leave.
    Goodbye(Sources<'a>),
    /// SDES, APP, and what later RFCs define.
    Other(u8),
}

/// The report blocks of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks<'a>(&'a [u8]);

impl Iterator for Blocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.0.split_at_checked(BLOCK_OCTETS)?;
        self.0 = rest;
        let word = |n: usize| word(block, 4 * n);
        let lost = word(1)?;
        Some(ReportBlock {
            ssrc: word(0)?,
            fraction_lost: (lost >> 24) as u8,
            // 24 bits with a sign.
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: word(2)?,
            jitter: word(3)?,
            last_sender_report: word(4)?,
            delay_since: word(5)?,
        })
    }
}

/// The sources of a BYE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sources<'a>(&'a [u8]);

impl Iterator for Sources<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (ssrc, rest) = self.0.split_at_checked(4)?;
        self.0 = rest;
        word(ssrc, 0)
    }
}

/// The parts of a compound packet, in order.
#[derive(Debug, Clone)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Packets<'a> {
    /// Checks the whole, and only then gives its parts.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(octets: &'a [u8]) -> Result<Self, ReadError> {
        let first = *octets.get(1).ok_or(ReadError::Size)?;
        let mut rest = octets;
        while !rest.is_empty() {
            let (part, behind) = split(rest)?;
            if part[0] & 0x20 != 0 && !behind.is_empty() {
                return Err(ReadError::Compound);
            }
            if !holds_what_it_says(part) {
                return Err(ReadError::Size);
            }
            rest = behind;
        }
        if !matches!(first, SENDER_REPORT | RECEIVER_REPORT) {
            return Err(ReadError::Compound);
        }
        Ok(Self { rest: octets })
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let (part, rest) = split(self.rest).ok()?;
        self.rest = rest;
        let (count, kind) = (usize::from(part[0] & 0x1f), part[1]);
        let packet = match kind {
            SENDER_REPORT => Packet::Report {
                ssrc: word(part, 4)?,
                sender: Some(SenderInformation {
                    ntp: super::NtpTimestamp((u64::from(word(part, 8)?) << 32) | u64::from(word(part, 12)?)),
                    rtp_timestamp: word(part, 16)?,
                    packets: word(part, 20)?,
                    octets: word(part, 24)?,
                }),
                blocks: blocks(part, HEADER_OCTETS + INFORMATION_OCTETS, count)?,
            },
            RECEIVER_REPORT => Packet::Report {
                ssrc: word(part, 4)?,
                sender: None,
                blocks: blocks(part, HEADER_OCTETS, count)?,
            },
            GOODBYE => Packet::Goodbye(Sources(part.get(4..4 + 4 * count)?)),
            other => Packet::Other(other),
        };
        Some(packet)
    }
}

/// The first part, header and all, and what is behind it.
fn split(octets: &[u8]) -> Result<(&[u8], &[u8]), ReadError> {
    let header = octets.get(..4).ok_or(ReadError::Size)?;
    if header[0] >> 6 != 2 {
        return Err(ReadError::Version);
    }
    let length = 4 * (usize::from(u16::from_be_bytes([header[2], header[3]])) + 1);
    octets.split_at_checked(length).ok_or(ReadError::Size)
}

fn holds_what_it_says(part: &[u8]) -> bool {
    let count = usize::from(part[0] & 0x1f);
    let least = match part[1] {
        SENDER_REPORT => HEADER_OCTETS + INFORMATION_OCTETS + BLOCK_OCTETS * count,
        RECEIVER_REPORT => HEADER_OCTETS + BLOCK_OCTETS * count,
        GOODBYE => 4 + 4 * count,
        _ => 4,
    };
    part.len() >= least
}

fn blocks(part: &[u8], offset: usize, count: usize) -> Option<Blocks<'_>> {
    part.get(offset..offset + BLOCK_OCTETS * count).map(Blocks)
}

fn word(octets: &[u8], offset: usize) -> Option<u32> {
    octets.get(offset..offset + 4)?.try_into().ok().map(u32::from_be_bytes)
}
