//! How a session comes to its keys: as the session description says them, or by a handshake on a path that ICE finds.

use super::Session;
use crate::media::event::MediaEvent;
use crate::media::protection::Protection;
use crate::media::webrtc::stun::Answer;
use crate::media::webrtc::{DATAGRAM_OCTETS, Kind, News, WebRtc, WebRtcStatistics};
use crate::units::srtp::Keying;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

impl Session {
    /// Goes on with the keys that are agreed on, or begins to wait for those of a handshake. Where no handshake is possible
    /// the stream stays mute.
    pub(super) fn agree_on_keys(&mut self, now: Instant, security: Option<Keying>) {
        let Some(Keying::Handshake(agreed)) = security else {
            self.webrtc = None;
            let described = security.and_then(Keying::described);
            self.protection = Protection::agreed(self.protection.take(), described);
            return;
        };
        match (&mut self.webrtc, &self.handshakes) {
            (Some(webrtc), _) => {
                if webrtc.change(&agreed, now) {
                    self.protection = None;
                }
            }
            (none, Some(handshakes)) => {
                *none = Some(Box::new(WebRtc::new(Arc::clone(handshakes), &agreed, now)));
                self.protection = None;
                self.latched = None;
            }
            (None, None) => {}
        }
    }

    /// Whether a datagram is media that can be looked at; what belongs to the path or the handshake is taken here
    /// (RFC 7983 §7).
    pub(super) fn is_media(&mut self, source: SocketAddr, octets: &[u8]) -> bool {
        let Some(webrtc) = &mut self.webrtc else { return true };
        match Kind::of(octets) {
            Kind::Check => {
                webrtc.handle_check(source, octets);
                self.latched = webrtc.destination();
            }
            Kind::Handshake => webrtc.keep(source, octets),
            Kind::Media if webrtc.destination().is_some() => return true,
            Kind::Media => {
                self.statistics.received += 1;
                self.statistics.dropped_early += 1;
            }
            Kind::Other => {
                self.statistics.received += 1;
                self.statistics.dropped_version += 1;
            }
        }
        false
    }

    /// What is to be said at once to the datagram that was taken last, and where.
    pub fn poll_answer(&mut self) -> Option<(SocketAddr, Answer)> {
        self.webrtc.as_mut()?.poll_answer()
    }

    /// The next datagram of a handshake, in so many octets of `buffer`, and where it goes; call it until there is none.
    pub fn poll_handshake(
        &mut self,
        now: Instant,
        buffer: &mut [u8; DATAGRAM_OCTETS],
    ) -> Option<(SocketAddr, usize)> {
        let webrtc = self.webrtc.as_mut()?;
        let datagram = webrtc.poll_handshake(now, buffer);
        let news = webrtc.poll_news();
        self.latched = webrtc.destination();
        match news {
            Some(News::Keys(keys)) => {
                // Keys of a handshake are new: nothing was ever protected by them.
                self.protection = Protection::agreed(None, Some(keys));
                self.report(MediaEvent::Secured(keys.send.profile()));
            }
            Some(News::Failed(failure)) => self.report(MediaEvent::Unsecured(failure)),
            None => {}
        }
        datagram
    }

    /// Whether keys come by a handshake.
    pub fn has_handshake(&self) -> bool {
        self.webrtc.is_some()
    }

    /// What became of checks and handshakes, where keys come by one.
    pub fn webrtc_statistics(&self) -> Option<WebRtcStatistics> {
        self.webrtc.as_ref().map(|webrtc| webrtc.statistics())
    }
}
