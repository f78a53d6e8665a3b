//! Protecting what we send.

use super::cipher::{Cipher, Nonce, Stream};
use super::{E_FLAG, INDEX_OCTETS, RTCP_HEADER_OCTETS, payload_offset, sequence, word};
use crate::units::srtp::MasterKey;
use std::fmt;

/// Packets that one master key may protect (RFC 3711 §9.2): at fifty a second enough for 178,000 years.
const RTP_INDEX_MAX: u64 = (1 << 48) - 1;
/// The same for RTCP.
const RTCP_INDEX_MAX: u32 = (1 << 31) - 1;

/// One stream's keys towards the peer. `Debug` shows no key.
pub struct SrtpSender {
    rtp: Cipher,
    rtcp: Cipher,
    /// The source and the index of the packet that was protected last; `None` before the first.
    last: Option<(u32, u64)>,
    rtcp_index: u32,
}

impl SrtpSender {
    /// For the key that we have named to the peer. The rollover counter begins at 0.
    pub fn new(master: &MasterKey) -> Self {
        let derive = |stream| Cipher::derive(master, stream);
        Self { rtp: derive(Stream::Rtp), rtcp: derive(Stream::Rtcp), last: None, rtcp_index: 0 }
    }

    #[cfg(test)]
    pub(super) fn with_rtp(mut self, rtp: Cipher) -> Self {
        self.rtp = rtp;
        self
    }

    /// Protects the RTP packet in the first `octets` of `buffer`; how long it is then. Packets of one
    /// source come in the order of their sequence numbers; another source begins with a rollover counter of 0. `None` where the buffer has no room for the tag, or the octets are no RTP packet:
    /// such a packet must not be sent.
    pub fn protect(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        let packet = buffer.get(..octets)?;
        let (sequence, ssrc, offset) = (sequence(packet)?, word(packet, 8)?, payload_offset(packet)?);
        let index = match self.last {
            Some((source, last)) if source == ssrc => last + u64::from(sequence.wrapping_sub(last as u16)),
            _ => sequence.into(),
        };
        if index > RTP_INDEX_MAX {
            return None;
        }
        let whole = buffer.get_mut(..octets + self.rtp.tag_octets())?;
        let (packet, tag) = whole.split_at_mut(octets);
        let (header, payload) = packet.split_at_mut(offset);
        let rollovers = ((index >> 16) as u32).to_be_bytes();
        let trailing: &[u8] = if self.rtp.is_aead() { &[] } else { &rollovers };
        let made = self.rtp.seal(Nonce { ssrc, index }, header, payload, trailing);
        tag.copy_from_slice(made.get(..tag.len())?);
        self.last = Some((ssrc, index));
        Some(whole.len())
    }

    /// The same for a compound RTCP packet.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        let ssrc = word(buffer.get(..octets)?, 4)?;
        if self.rtcp_index >= RTCP_INDEX_MAX {
            return None;
        }
        let index = self.rtcp_index + 1;
        let tag_octets = self.rtcp.tag_octets();
        let whole = buffer.get_mut(..octets + tag_octets + INDEX_OCTETS)?;
        let (packet, trailer) = whole.split_at_mut(octets);
        let (header, payload) = packet.split_at_mut(RTCP_HEADER_OCTETS);
        let flagged = (index | E_FLAG).to_be_bytes();
        let made = self.rtcp.seal(Nonce { ssrc, index: index.into() }, header, payload, &flagged);
        let made = made.get(..tag_octets)?;
        let (first, second): (&[u8], &[u8]) =
            if self.rtcp.is_aead() { (made, &flagged) } else { (&flagged, made) };
        let (before, behind) = trailer.split_at_mut(first.len());
        before.copy_from_slice(first);
        behind.copy_from_slice(second);
        self.rtcp_index = index;
        Some(whole.len())
    }
}

impl fmt::Debug for SrtpSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpSender").field("last", &self.last).finish_non_exhaustive()
    }
}
