//! A session's keys in use: SRTP around its packets, where that was agreed on.

use super::rtp::MAX_PACKET_OCTETS;
use super::srtp::{Refusal, SrtpReceiver, SrtpSender, StreamKeys};
use std::fmt;

/// The contexts of one stream, both ways.
pub struct Protection {
    keys: StreamKeys,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    opened: [u8; MAX_PACKET_OCTETS],
}

impl Protection {
    /// For what is agreed now. A key that is the same as before goes on where it was, rollovers and all: it must protect no
    /// index twice.
    pub fn agreed(before: Option<Box<Self>>, keys: Option<StreamKeys>) -> Option<Box<Self>> {
        let keys = keys?;
        let Some(mut before) = before else {
            let (sender, receiver) = (SrtpSender::new(&keys.send), SrtpReceiver::new(&keys.receive));
            return Some(Box::new(Self { keys, sender, receiver, opened: [0; MAX_PACKET_OCTETS] }));
        };
        if before.keys.send != keys.send {
            before.sender = SrtpSender::new(&keys.send);
        }
        if before.keys.receive != keys.receive {
            before.receiver = SrtpReceiver::new(&keys.receive);
        }
        before.keys = keys;
        Some(before)
    }

    /// Protects the packet in the first `octets` of `buffer`; how long it is then. What gives `None` must not be sent.
    pub fn protect(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        self.sender.protect(buffer, octets)
    }

    /// The same for a compound RTCP packet.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        self.sender.protect_rtcp(buffer, octets)
    }

    /// The compound RTCP packet in a protected one.
    pub fn open_rtcp(&mut self, octets: &[u8]) -> Result<&[u8], Refusal> {
        let place = self.opened.get_mut(..octets.len()).ok_or(Refusal::Size)?;
        place.copy_from_slice(octets);
        let length = self.receiver.open_rtcp(place)?;
        self.opened.get(..length).ok_or(Refusal::Size)
    }

    /// The RTP packet in a protected one.
    pub fn open(&mut self, octets: &[u8]) -> Result<&[u8], Refusal> {
        let place = self.opened.get_mut(..octets.len()).ok_or(Refusal::Size)?;
        place.copy_from_slice(octets);
        let length = self.receiver.open(place)?;
        self.opened.get(..length).ok_or(Refusal::Size)
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection").field("profile", &self.keys.send.profile()).finish_non_exhaustive()
    }
}
