//! The RTP header: reading, writing and the sequence numbers of the source (RFC 3550 §5.1, §A.1, §A.3).

use super::audio_filter::{SAMPLED, is_sampled, sampled_within};
use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};
use thiserror::Error;

/// Octets of a header without contributing sources or extension.
pub const HEADER_OCTETS: usize = 12;
/// Longest packet that is read, octets: an Ethernet frame's worth. Longer ones are dropped.
pub const MAX_PACKET_OCTETS: usize = 1_500;

/// Sequence numbers that may be missing before the source is taken to have started anew (RFC 3550 §A.1).
const MAX_DROPOUT: u16 = 3_000;
/// How far back a reordered packet may lie (RFC 3550 §A.1).
pub const MAX_MISORDER: u16 = 100;

/// Why octets are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Not version 2.
    #[error("not RTP version 2")]
    Version,
    /// Shorter than its header, extension or padding says, or longer than [`MAX_PACKET_OCTETS`].
    #[error("wrong size")]
    Size,
    /// An RTCP packet on the RTP port (RFC 5761 §4: payload types 64–95).
    #[error("RTCP")]
    Rtcp,
}

/// One RTP packet, borrowed from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// 0–127.
    pub payload_type: u8,
    /// Start of a talkspurt or of an event. Never relied on.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// In units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`ReadError`] for anything that is not a whole RTP packet of version 2.
    pub fn read(octets: &'a [u8]) -> Result<Self, ReadError> {
        if octets.len() > MAX_PACKET_OCTETS {
            return Err(ReadError::Size);
        }
        let reader = RtpReader::new(octets).map_err(|error| match error {
            RtpReaderError::UnsupportedVersion(_) => ReadError::Version,
            _ => ReadError::Size,
        })?;
        let payload_type = reader.payload_type();
        if (64..=95).contains(&payload_type) {
            return Err(ReadError::Rtcp);
        }
        Ok(Packet {
            payload_type,
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }

    /// Writes header and payload into `buffer`; the number of octets, 0 when the buffer is too small.
    pub fn write(&self, buffer: &mut [u8]) -> usize {
        RtpPacketBuilder::new()
            .payload_type(self.payload_type & 0x7f)
            .marked(self.marker)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc)
            .payload(self.payload)
            .build_into(buffer)
            .unwrap_or(0)
    }
}

/// How far `a` is ahead of `b`, on the circle of 16-bit sequence numbers.
pub const fn sequence_distance(a: u16, b: u16) -> i16 {
    a.wrapping_sub(b).cast_signed()
}

/// How far `a` is ahead of `b`, on the circle of 32-bit timestamps.
pub const fn timestamp_distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}

/// What the source's sequence says about a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Of the source that we listen to.
    Accepted,
    /// The first of the call, or of a source that took over.
    NewSource,
    /// Of another source that has not shown two packets in sequence yet.
    Probation,
}

/// The synchronisation source that is listened to (RFC 3550 §A.1), and how many of its packets came.
#[derive(Debug, Default)]
pub struct Receiver {
    source: Option<Source>,
    /// Another source's next sequence number, when one of its packets was just seen.
    candidate: Option<(u32, u16)>,
    /// Packets that the sequence numbers promise.
    expected: u64,
    received: u64,
    /// Only a sample of the audio comes.
    sampled: bool,
    /// That has just changed: what the next packet is ahead says nothing of losses.
    changed: bool,
    /// Packets that were missing before that changed last.
    lost_before: u64,
}

#[derive(Debug)]
struct Source {
    ssrc: u32,
    newest: u16,
    /// The sequence number that would show a restart of the source's numbering.
    restart: Option<u16>,
}

impl Receiver {
    /// Whether a packet is taken. A new source takes over with its second packet in sequence, so one stray packet does not.
    pub fn admit(&mut self, ssrc: u32, sequence: u16) -> Admission {
        let admission = match &mut self.source {
            Some(source) if source.ssrc == ssrc => {
                self.candidate = None;
                match source.update(sequence) {
                    Step::Ahead(_) if std::mem::take(&mut self.changed) => self.expected += 1,
                    Step::Ahead(ahead) if self.sampled => {
                        // One that is not of the sample came for another reason.
                        let beside = ahead > 0 && !is_sampled(sequence);
                        let from = sequence.wrapping_sub(ahead);
                        self.expected += sampled_within(from, ahead) + u64::from(beside);
                    }
                    Step::Ahead(ahead) => self.expected += u64::from(ahead),
                    Step::Behind => {}
                    Step::Restart => self.take_over(ssrc, sequence),
                }
                Admission::Accepted
            }
            None => {
                self.take_over(ssrc, sequence);
                Admission::NewSource
            }
            Some(_) if self.candidate == Some((ssrc, sequence)) => {
                self.take_over(ssrc, sequence);
                Admission::NewSource
            }
            Some(_) => {
                self.candidate = Some((ssrc, sequence.wrapping_add(1)));
                Admission::Probation
            }
        };
        if admission != Admission::Probation {
            self.received += 1;
        }
        admission
    }

    /// The source that is listened to.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Whether only a sample of the audio comes from here on: the loss is then estimated from it.
    pub fn set_sampled(&mut self, sampled: bool) {
        self.lost_before = self.lost();
        (self.expected, self.received) = (0, 0);
        (self.sampled, self.changed) = (sampled, true);
    }

    /// Packets that the sequence numbers promise and that never came; late duplicates may hide a few (RFC 3550 §A.3).
    pub fn lost(&self) -> u64 {
        let missing = self.expected.saturating_sub(self.received);
        self.lost_before + if self.sampled { missing * SAMPLED } else { missing }
    }

    fn take_over(&mut self, ssrc: u32, sequence: u16) {
        self.expected += 1;
        self.source = Some(Source { ssrc, newest: sequence, restart: None });
        self.candidate = None;
    }
}

/// What a sequence number says.
enum Step {
    /// So many further than the newest.
    Ahead(u16),
    /// Late, again, or out of any order.
    Behind,
    /// Two packets in sequence show that the numbering started anew.
    Restart,
}

impl Source {
    fn update(&mut self, sequence: u16) -> Step {
        let ahead = sequence.wrapping_sub(self.newest);
        if ahead < MAX_DROPOUT {
            self.newest = sequence;
            self.restart = None;
            return Step::Ahead(ahead);
        }
        if ahead <= u16::MAX - MAX_MISORDER {
            if self.restart == Some(sequence) {
                return Step::Restart;
            }
            self.restart = Some(sequence.wrapping_add(1));
        }
        Step::Behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet { payload_type: 8, marker: true, sequence: 65_535, timestamp: 7, ssrc: 0xdead_beef, payload }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut buffer = [0; 64];
        let length = packet(b"abc").write(&mut buffer);
        assert_eq!(length, HEADER_OCTETS + 3);
        assert_eq!(Packet::read(&buffer[..length]), Ok(packet(b"abc")));
        assert_eq!(packet(b"abc").write(&mut buffer[..14]), 0);
    }

    #[test]
    fn refusals_name_their_reason() {
        let mut buffer = [0; 64];
        let length = packet(b"abc").write(&mut buffer);
        let with = |change: fn(&mut [u8])| {
            let mut copy = buffer;
            change(&mut copy);
            Packet::read(&copy[..length]).map(|_| ()).unwrap_err()
        };
        assert_eq!(with(|octets| octets[0] = 0x40), ReadError::Version);
        assert_eq!(with(|octets| octets[0] |= 0x0f), ReadError::Size, "fifteen sources do not fit");
        assert_eq!(with(|octets| octets[0] |= 0x10), ReadError::Size, "an extension does not fit");
        assert_eq!(with(|octets| (octets[0], octets[14]) = (0xa0, 200)), ReadError::Size, "padding");
        assert_eq!(with(|octets| octets[1] = 200), ReadError::Rtcp, "a sender report");
        assert_eq!(Packet::read(&buffer[..11]), Err(ReadError::Size));
        assert_eq!(Packet::read(&[0x80; MAX_PACKET_OCTETS + 1]), Err(ReadError::Size));
    }

    #[test]
    fn a_stray_packet_does_not_take_over_and_a_second_in_sequence_does() {
        let mut receiver = Receiver::default();
        assert_eq!(receiver.admit(1, 10), Admission::NewSource);
        assert_eq!(receiver.admit(2, 500), Admission::Probation);
        assert_eq!(receiver.admit(1, 11), Admission::Accepted);
        assert_eq!(receiver.admit(2, 501), Admission::Probation, "the first source spoke in between");
        assert_eq!(receiver.admit(2, 502), Admission::NewSource);
        assert_eq!(receiver.ssrc(), Some(2));
    }

    #[test]
    fn losses_are_counted_over_wrap_restart_and_reordering() {
        let mut receiver = Receiver::default();
        for sequence in [65_533, 65_534, 0, 65_535, 3] {
            receiver.admit(1, sequence);
        }
        assert_eq!(receiver.lost(), 2, "1 and 2 are missing");
        receiver.admit(1, 30_000);
        receiver.admit(1, 30_001);
        receiver.admit(1, 30_002);
        assert_eq!(receiver.lost(), 1, "the restart's first packet was received and not expected");
    }

    proptest! {
        #[test]
        fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Packet::read(&octets);
        }

        #[test]
        fn no_octets_with_a_good_first_octet_panic(mut octets in proptest::collection::vec(any::<u8>(), 12..80)) {
            octets[0] = (octets[0] & 0x3f) | 0x80;
            octets[1] &= 0x0f;
            let _ = Packet::read(&octets);
        }

        #[test]
        fn no_sequence_panics(packets in proptest::collection::vec((0..3_u32, any::<u16>()), 0..300)) {
            let mut receiver = Receiver::default();
            for (ssrc, sequence) in packets {
                receiver.admit(ssrc, sequence);
                receiver.lost();
            }
        }
    }
}
