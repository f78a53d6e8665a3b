//! A session's keys in use: SRTP around its packets, where that was agreed on.

use super::rtp::MAX_PACKET_OCTETS;
use super::srtp::{MasterKey, Refusal, SrtpReceiver, SrtpSender, StreamKeys};
use arrayvec::ArrayVec;
use std::fmt;

/// Keys that each side of a call may use one after the other; ours has one for each profile.
const MAX_KEYS: usize = 3;

/// The contexts of one call, both ways. They are kept while a change of the session turns protection off, and while it
/// turns to another key: under a key no index may ever protect two packets (RFC 3711 §9.1), so a context of ours never
/// begins anew.
pub struct Protection {
    /// Of every key of ours that was ever in use.
    senders: ArrayVec<(MasterKey, SrtpSender), MAX_KEYS>,
    /// Of the peer's last keys, the newest at the end.
    receivers: ArrayVec<(MasterKey, SrtpReceiver), MAX_KEYS>,
    /// The keys in use; `None` while the stream is plain.
    keys: Option<StreamKeys>,
    opened: [u8; MAX_PACKET_OCTETS],
}

impl Protection {
    /// For what is agreed now. A key that was there before goes on where it was.
    pub fn agreed(before: Option<Box<Self>>, keys: Option<StreamKeys>) -> Option<Box<Self>> {
        let Some(agreed) = keys else {
            return before.map(|mut before| {
                before.keys = None;
                before
            });
        };
        let mut protection = before.unwrap_or_else(|| {
            let (senders, receivers) = (ArrayVec::new(), ArrayVec::new());
            Box::new(Self { senders, receivers, keys, opened: [0; MAX_PACKET_OCTETS] })
        });
        if !protection.senders.iter().any(|(key, _)| *key == agreed.send) {
            // No side has more keys than profiles; one that had would send nothing under a further one.
            let _ = protection.senders.try_push((agreed.send, SrtpSender::new(&agreed.send)));
        }
        if !protection.receivers.iter().any(|(key, _)| *key == agreed.receive) {
            if protection.receivers.is_full() {
                protection.receivers.remove(0);
            }
            protection.receivers.push((agreed.receive, SrtpReceiver::new(&agreed.receive)));
        }
        protection.keys = keys;
        Some(protection)
    }

    /// Whether packets are protected now.
    pub fn is_on(&self) -> bool {
        self.keys.is_some()
    }

    /// Protects the packet in the first `octets` of `buffer`; how long it is then. What gives `None` must not be sent.
    pub fn protect(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        self.sender()?.protect(buffer, octets)
    }

    /// The same for a compound RTCP packet.
    pub fn protect_rtcp(&mut self, buffer: &mut [u8], octets: usize) -> Option<usize> {
        self.sender()?.protect_rtcp(buffer, octets)
    }

    fn sender(&mut self) -> Option<&mut SrtpSender> {
        let in_use = self.keys?.send;
        self.senders.iter_mut().find(|(key, _)| *key == in_use).map(|(_, sender)| sender)
    }

    /// The RTP packet in a protected one.
    pub fn open(&mut self, octets: &[u8]) -> Result<&[u8], Refusal> {
        self.open_with(octets, SrtpReceiver::open)
    }

    /// The compound RTCP packet in a protected one.
    pub fn open_rtcp(&mut self, octets: &[u8]) -> Result<&[u8], Refusal> {
        self.open_with(octets, SrtpReceiver::open_rtcp)
    }

    fn open_with(
        &mut self,
        octets: &[u8],
        open: impl FnOnce(&mut SrtpReceiver, &mut [u8]) -> Result<usize, Refusal>,
    ) -> Result<&[u8], Refusal> {
        let place = self.opened.get_mut(..octets.len()).ok_or(Refusal::Size)?;
        place.copy_from_slice(octets);
        let in_use = self.keys.ok_or(Refusal::Tag)?.receive;
        let receiver = self.receivers.iter_mut().find(|(key, _)| *key == in_use);
        let length = open(&mut receiver.ok_or(Refusal::Tag)?.1, place)?;
        self.opened.get(..length).ok_or(Refusal::Size)
    }
}

impl fmt::Debug for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = self.keys.map(|keys| keys.send.profile());
        f.debug_struct("Protection").field("profile", &profile).finish_non_exhaustive()
    }
}
