//! Opening what the peer sends.

use super::cipher::{Cipher, Nonce, Stream};
use super::replay::{Old, ReplayWindow};
use super::{E_FLAG, INDEX_OCTETS, RTCP_HEADER_OCTETS, payload_offset, sequence, word};
use crate::units::srtp::MasterKey;
use std::fmt;
use thiserror::Error;

/// Sources of one peer whose packets can prove right; gateways add telephone-events under a source of their own, and a
/// transfer changes it. One more takes the place of the one that was silent longest.
pub const MAX_SOURCES: usize = 4;

/// Why a packet is not opened. It changes nothing, and nothing of it is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It is shorter than its header, tag and index.
    #[error("too short for a protected packet")]
    Size,
    /// It is not from the peer, or was changed on its way.
    #[error("its tag is not right")]
    Tag,
    /// It was taken before.
    #[error("it came before")]
    Replay,
    /// It comes too late to know whether it was taken before.
    #[error("too late")]
    Late,
    /// An RTCP packet that is not encrypted, which was not agreed.
    #[error("it is not encrypted")]
    Plain,
}

impl From<Old> for Refusal {
    fn from(old: Old) -> Self {
        match old {
            Old::Seen => Self::Replay,
            Old::TooOld => Self::Late,
        }
    }
}

/// One source and what came from it.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    ssrc: u32,
    window: ReplayWindow,
    /// Counts up over all sources; 0 is a place that was never used.
    used: u64,
}

/// Up to [`MAX_SOURCES`] sources.
#[derive(Debug, Default)]
struct Sources {
    places: [Source; MAX_SOURCES],
    uses: u64,
}

impl Sources {
    /// What is known of a source; one that is new knows nothing.
    fn window(&self, ssrc: u32) -> ReplayWindow {
        let known = self.places.iter().find(|place| place.used > 0 && place.ssrc == ssrc);
        known.map(|place| place.window).unwrap_or_default()
    }

    fn take(&mut self, ssrc: u32, index: u64) {
        self.uses += 1;
        let known = self.places.iter().position(|place| place.used > 0 && place.ssrc == ssrc);
        let oldest = || (0..MAX_SOURCES).min_by_key(|place| self.places[*place].used).unwrap_or(0);
        let place = &mut self.places[known.unwrap_or_else(oldest)];
        if known.is_none() {
            *place = Source { ssrc, ..Source::default() };
        }
        place.window.take(index);
        place.used = self.uses;
    }
}

/// One stream's keys from the peer. `Debug` shows no key.
pub struct SrtpReceiver {
    rtp: Cipher,
    rtcp: Cipher,
    sources: Sources,
    rtcp_sources: Sources,
}

impl SrtpReceiver {
    /// For the key that the peer has named. Rollover counters begin at 0.
    pub fn new(master: &MasterKey) -> Self {
        let derive = |stream| Cipher::derive(master, stream);
        Self {
            rtp: derive(Stream::Rtp),
            rtcp: derive(Stream::Rtcp),
            sources: Sources::default(),
            rtcp_sources: Sources::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_rtp(mut self, rtp: Cipher) -> Self {
        self.rtp = rtp;
        self
    }

    /// Opens an SRTP packet in place; its first octets, as many as are given, are the RTP packet.
    ///
    /// # Errors
    /// [`Refusal`]; then the octets are of no use.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let length = packet.len().checked_sub(self.rtp.tag_octets()).ok_or(Refusal::Size)?;
        let (packet, tag) = packet.split_at_mut(length);
        let number = sequence(packet).ok_or(Refusal::Size)?;
        let ssrc = word(packet, 8).ok_or(Refusal::Size)?;
        let offset = payload_offset(packet).ok_or(Refusal::Size)?;
        let window = self.sources.window(ssrc);
        let index = window.index_of(number)?;
        window.check(index)?;
        let (header, payload) = packet.split_at_mut(offset);
        let rollovers = ((index >> 16) as u32).to_be_bytes();
        let trailing: &[u8] = if self.rtp.is_aead() { &[] } else { &rollovers };
        self.rtp.open(Nonce { ssrc, index }, header, payload, trailing, tag).map_err(|_| Refusal::Tag)?;
        self.sources.take(ssrc, index);
        Ok(length)
    }

    /// The same for a compound RTCP packet.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refusal> {
        let trailer = self.rtcp.tag_octets() + INDEX_OCTETS;
        let length = packet.len().checked_sub(trailer).filter(|length| *length >= RTCP_HEADER_OCTETS);
        let length = length.ok_or(Refusal::Size)?;
        let (packet, trailer) = packet.split_at_mut(length);
        let (tag, flagged) = if self.rtcp.is_aead() {
            trailer.split_at(trailer.len() - INDEX_OCTETS)
        } else {
            let (flagged, tag) = trailer.split_at(INDEX_OCTETS);
            (tag, flagged)
        };
        let (ssrc, word) = (word(packet, 4).ok_or(Refusal::Size)?, word(flagged, 0).ok_or(Refusal::Size)?);
        if word & E_FLAG == 0 {
            return Err(Refusal::Plain);
        }
        let index = u64::from(word & !E_FLAG);
        self.rtcp_sources.window(ssrc).check(index)?;
        let (header, payload) = packet.split_at_mut(RTCP_HEADER_OCTETS);
        self.rtcp.open(Nonce { ssrc, index }, header, payload, flagged, tag).map_err(|_| Refusal::Tag)?;
        self.rtcp_sources.take(ssrc, index);
        Ok(length)
    }
}

impl fmt::Debug for SrtpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpReceiver").field("sources", &self.sources).finish_non_exhaustive()
    }
}
