//! Secure RTP and RTCP as pure functions over octets: AES in counter mode with HMAC-SHA1 (RFC 3711), and AES-GCM (RFC 7714).
//!
//! A packet is protected and opened in place. Nothing here allocates, and no input panics. The index that a packet's
//! sequence number stands for is kept for each source; what is old, known or wrong is refused before anything of it is
//! believed, and changes nothing.

mod cipher;
mod receive;
mod replay;
mod send;

pub use crate::units::srtp::{KeyError, MasterKey, Profile, StreamKeys};
pub use receive::{MAX_SOURCES, Refusal, SrtpReceiver};
pub use send::SrtpSender;

/// The most that protection adds to a packet, octets: the tag of AES-GCM and the index of SRTCP.
pub const MAX_TRAILER_OCTETS: usize = 16 + INDEX_OCTETS;

/// The fixed part of an RTP header (RFC 3550 §5.1).
const RTP_HEADER_OCTETS: usize = 12;
/// The part of an RTCP packet that stays readable: its first header and the sender's SSRC (RFC 3711 §3.4).
const RTCP_HEADER_OCTETS: usize = 8;
/// The E flag and the index at the end of an SRTCP packet (RFC 3711 §3.4).
const INDEX_OCTETS: usize = 4;
/// Set where the packet is encrypted.
const E_FLAG: u32 = 1 << 31;

/// Where the payload of an RTP packet begins: behind the header, the contributing sources and the extension; `None`
/// where the packet ends before.
fn payload_offset(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut offset = RTP_HEADER_OCTETS + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let length = packet.get(offset + 2..offset + 4)?;
        offset += 4 + 4 * usize::from(u16::from_be_bytes([length[0], length[1]]));
    }
    (offset <= packet.len()).then_some(offset)
}

/// The four octets at `offset` as a number.
fn word(packet: &[u8], offset: usize) -> Option<u32> {
    packet.get(offset..offset + 4)?.try_into().ok().map(u32::from_be_bytes)
}

/// The sequence number of an RTP packet.
fn sequence(packet: &[u8]) -> Option<u16> {
    packet.get(2..4)?.try_into().ok().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests;
