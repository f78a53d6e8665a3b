//! What a session makes of the datagrams that come for it.

use super::{COMFORT_NOISE, MIN_SAMPLED_TIMEOUT, Session, is_rtcp, turned_on};
use crate::media::event::{MediaEvent, Outbox};
use crate::media::rtp::{Admission, Packet, ReadError};
use crate::media::srtp::Refusal;
use crate::units::rtp::{StreamParameters, TelephoneEvent};
use std::net::SocketAddr;
use std::time::Instant;

impl Session {
    /// Takes a datagram.
    pub fn handle_packet(&mut self, now: Instant, source: SocketAddr, octets: &[u8]) {
        if self.webrtc.is_some() && !self.is_media(source, octets) {
            return;
        }
        let shares_port = |parameters: StreamParameters| parameters.remote_rtcp == parameters.remote;
        let is_from_peer = self.parameters.is_some_and(|parameters| self.is_peer(&parameters, source));
        // RTCP has counters of its own.
        if is_from_peer && is_rtcp(octets) && self.parameters.is_some_and(shares_port) {
            return self.take_rtcp(now, octets);
        }
        self.statistics.received += 1;
        let Some(parameters) = self.parameters else {
            self.statistics.dropped_early += 1;
            return;
        };
        if !is_from_peer {
            self.statistics.dropped_source += 1;
            return;
        }
        // Its packet is borrowed for as long as this takes.
        let mut protection = self.protection.take();
        let opened = match turned_on(&mut protection) {
            Some(protection) => protection.open(octets),
            None => Ok(octets),
        };
        match opened {
            Ok(octets) => self.handle_opened(now, source, &parameters, octets),
            Err(refusal) => {
                *match refusal {
                    Refusal::Size => &mut self.statistics.dropped_size,
                    Refusal::Tag | Refusal::Plain => &mut self.statistics.dropped_tag,
                    Refusal::Replay | Refusal::Late => &mut self.statistics.dropped_replay,
                } += 1;
            }
        }
        self.protection = protection;
    }

    /// Takes an RTP packet, without what protected it.
    fn handle_opened(
        &mut self,
        now: Instant,
        source: SocketAddr,
        parameters: &StreamParameters,
        octets: &[u8],
    ) {
        let packet = match Packet::read(octets) {
            Ok(packet) => packet,
            Err(error) => {
                *match error {
                    ReadError::Version => &mut self.statistics.dropped_version,
                    ReadError::Size => &mut self.statistics.dropped_size,
                    ReadError::Rtcp => &mut self.statistics.dropped_rtcp,
                } += 1;
                return;
            }
        };
        if packet.ssrc == self.identity.ssrc {
            self.statistics.dropped_ssrc += 1;
            return;
        }
        // Some send with the numbers of their own description where they should use ours.
        let is_audio = packet.payload_type == parameters.receive_payload_type
            || packet.payload_type == parameters.payload_type;
        let is_of = |event: &TelephoneEvent| {
            packet.payload_type == event.receive_payload_type
                || packet.payload_type == event.payload_type && !is_audio
        };
        let event = parameters
            .telephone_event
            .filter(is_of)
            .or_else(|| self.former_event.filter(|event| !is_audio && is_of(event)));
        if let Some(event) = event {
            self.receive_event(now, &packet, event.clock_rate_hz);
        } else if is_audio || packet.payload_type == COMFORT_NOISE {
            if !self.receive_audio(now, parameters, &packet) {
                return;
            }
        } else {
            self.statistics.dropped_payload_type += 1;
            return;
        }
        self.statistics.accepted += 1;
        if self.webrtc.is_none() {
            self.latched.get_or_insert(source);
        }
        self.last_received = Some(now);
    }

    /// The payload type of audio that nobody listens to, so that a sample of it will do: for the peer's sign of life, and to
    /// estimate its losses. `None` as long as each packet is wanted.
    pub fn unheard_payload_type(&self) -> Option<u8> {
        let timeout_allows = self.settings.rtp_timeout.is_none_or(|timeout| timeout >= MIN_SAMPLED_TIMEOUT);
        let heard =
            self.listener.is_some() || self.in_band.is_some() || self.latched.is_none() || !timeout_allows;
        self.parameters
            // Each packet of AMR may ask for another mode.
            .filter(|parameters| self.settings.sample_audio && !heard && parameters.amr.is_none())
            .map(|parameters| parameters.receive_payload_type)
    }

    /// Says whether only a sample of the audio comes from here on.
    pub fn set_sampled(&mut self, sampled: bool) {
        self.receiver.set_sampled(sampled);
    }

    /// Where packets may come from: the negotiated place, and the latched one. Calls are never told apart by it.
    fn is_peer(&self, parameters: &StreamParameters, source: SocketAddr) -> bool {
        if let Some(webrtc) = &self.webrtc {
            return webrtc.is_peer(source);
        }
        source == parameters.remote
            || match self.latched {
                Some(latched) => source == latched,
                None => self.settings.nat || source.ip() == parameters.remote.ip(),
            }
    }

    fn receive_event(&mut self, now: Instant, packet: &Packet<'_>, clock_rate_hz: u32) {
        // Keys are taken from any source of the peer: gateways add them under a source of their own.
        if self.receiver.ssrc().is_none_or(|ssrc| ssrc == packet.ssrc) {
            self.receiver.admit(packet.ssrc, packet.sequence);
        }
        if let Some(in_band) = &mut self.in_band {
            in_band.defer_to_event(now);
        }
        let (keys, gate, playout) = (&mut self.keys, &mut self.gate, &mut self.playout);
        let mut out = Outbox::new(&mut self.events, &mut self.statistics);
        keys.handle_packet(now, packet, clock_rate_hz, |key| gate.pass(now, key, playout, &mut out));
    }

    /// False when the packet was dropped.
    fn receive_audio(&mut self, now: Instant, parameters: &StreamParameters, packet: &Packet<'_>) -> bool {
        if self.receiver.admit(packet.ssrc, packet.sequence) == Admission::Probation {
            self.statistics.dropped_ssrc += 1;
            return false;
        }
        if packet.payload_type == COMFORT_NOISE {
            if let Some(in_band) = &mut self.in_band {
                in_band.handle_comfort_noise(packet);
            }
            return true;
        }
        if let Some(control) = &mut self.control {
            control.audio(now, packet, parameters.encoding.clock_rate_hz());
        }
        self.packing.receive(parameters, packet.payload, &mut self.statistics);
        let (keys, gate, playout) = (&mut self.keys, &mut self.gate, &mut self.playout);
        let mut out = Outbox::new(&mut self.events, &mut self.statistics);
        if let Some(event) = parameters.telephone_event {
            let clock_rate_hz = parameters.encoding.clock_rate_hz();
            keys.handle_audio(packet, clock_rate_hz, event.clock_rate_hz, |key| {
                gate.pass(now, key, playout, &mut out);
            });
        } else if let Some(in_band) = self.in_band.as_mut().filter(|_| !gate.is_elsewhere()) {
            in_band.handle_audio(now, packet, parameters.encoding, |key| {
                gate.pass(now, key, playout, &mut out);
            });
        }
        if let Some(listener) = &mut self.listener {
            listener.hear(parameters, packet, |heard| out.push(MediaEvent::Heard(heard)));
        }
        true
    }
}
