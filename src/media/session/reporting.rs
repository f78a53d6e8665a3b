//! A session's RTCP on the wire: on the port of RTP or on its own, plain or protected.

use super::{MAX_RTCP_OCTETS, Session, Transmit, is_rtcp, turned_on};
use crate::media::control::OwnStream;
use crate::media::rtcp::MAX_COMPOUND_OCTETS;
use crate::units::rtp::StreamParameters;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

impl Session {
    /// Takes a datagram that came to our RTCP port, where RTCP has one of its own.
    pub fn handle_rtcp(&mut self, now: Instant, source: SocketAddr, octets: &[u8]) {
        let Some(parameters) = self.parameters else { return };
        let is_peer = source.ip() == parameters.remote_rtcp.ip()
            || self.latched.is_some_and(|latched| latched.ip() == source.ip());
        if is_peer && is_rtcp(octets) {
            self.take_rtcp(now, octets);
        } else if let Some(control) = &mut self.control {
            control.drop_one();
        }
    }

    pub(super) fn take_rtcp(&mut self, now: Instant, octets: &[u8]) {
        let Some(control) = &mut self.control else {
            self.statistics.dropped_rtcp += 1;
            return;
        };
        let opened = match turned_on(&mut self.protection) {
            Some(protection) => protection.open_rtcp(octets),
            None => Ok(octets),
        };
        match opened {
            // It shows that the peer lives, though it may say nothing.
            Ok(octets) => {
                if control.handle(now, self.identity.ssrc, octets).is_ok() && self.last_received.is_some() {
                    self.last_received = Some(now);
                }
            }
            Err(_) => control.drop_one(),
        }
    }

    /// The report that is due at `now`, if one is. `buffer` takes the octets.
    pub fn poll_rtcp(&mut self, now: Instant, buffer: &mut [u8; MAX_RTCP_OCTETS]) -> Option<Transmit> {
        if !self.control.as_mut().is_some_and(|control| control.is_due(now)) {
            return None;
        }
        self.write_report(now, false, buffer)
    }

    /// The last report, which says that we leave (RFC 3550 §6.6).
    pub fn goodbye(&mut self, now: Instant, buffer: &mut [u8; MAX_RTCP_OCTETS]) -> Option<Transmit> {
        self.write_report(now, true, buffer)
    }

    fn write_report(
        &mut self,
        now: Instant,
        goodbye: bool,
        buffer: &mut [u8; MAX_RTCP_OCTETS],
    ) -> Option<Transmit> {
        let parameters = self.parameters?;
        let shared = parameters.remote_rtcp == parameters.remote;
        let remote = match self.shown_place() {
            Some(place) if shared => place,
            Some(place) => SocketAddr::new(place.ip(), parameters.remote_rtcp.port()),
            None => parameters.remote_rtcp,
        };
        if !self.reaches(&parameters)
            || remote.ip().is_unspecified()
            || remote.port() == 0
            || self.statistics.transmitted == 0
        {
            return None;
        }
        let ahead = self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        let units = ahead.as_millis() as u32 * (parameters.encoding.clock_rate_hz() / 1_000);
        let own = OwnStream {
            ssrc: self.identity.ssrc,
            timestamp: self.identity.timestamp.wrapping_sub(units),
            packets: self.statistics.transmitted,
            lost: self.receiver.lost(),
        };
        let report = self.control.as_mut()?.report(now, own, goodbye);
        let mut plain = [0; MAX_COMPOUND_OCTETS];
        let length = report.write(&mut plain);
        buffer.get_mut(..length)?.copy_from_slice(plain.get(..length)?);
        let octets = match turned_on(&mut self.protection) {
            Some(protection) => protection.protect_rtcp(buffer, length)?,
            None => length,
        };
        Some(Transmit { remote, octets, due: now })
    }

    /// Whether RTCP needs a port of its own.
    pub fn has_rtcp_port(&self) -> bool {
        let apart = |parameters: StreamParameters| parameters.remote_rtcp != parameters.remote;
        self.control.is_some() && self.parameters.is_some_and(apart)
    }
}
