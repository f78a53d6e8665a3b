//! What a session makes of the datagrams that come for it.

use super::{COMFORT_NOISE, MIN_SAMPLED_TIMEOUT, Session, is_rtcp, turned_on};
use crate::media::event::{MediaEvent, Outbox};
use crate::media::red;
use crate::media::rtp::{Admission, Packet, ReadError};
use crate::media::srtp::Refusal;
use crate::units::rtp::{Redundancy, StreamParameters, TelephoneEvent};
use std::net::SocketAddr;
use std::time::Instant;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Audio,
    Event { clock_rate_hz: u32 },
    Redundancy,
}

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
        let is_taken = match self.kind(parameters, packet.payload_type) {
            Some(Kind::Redundancy) => self.receive_redundancy(now, parameters, &packet),
            kind => self.receive_payload(now, parameters, &packet, kind),
        };
        if is_taken {
            self.statistics.accepted += 1;
            if self.webrtc.is_none() {
                self.latched.get_or_insert(source);
            }
            self.last_received = Some(now);
        }
    }

    /// What a payload type was agreed to be. Some send with the numbers of their own description where they should use
    /// ours, so those count too where they mean nothing else.
    fn kind(&self, parameters: &StreamParameters, payload_type: u8) -> Option<Kind> {
        let is_audio =
            payload_type == parameters.receive_payload_type || payload_type == parameters.payload_type;
        let is_of = |event: &TelephoneEvent| {
            payload_type == event.receive_payload_type || payload_type == event.payload_type && !is_audio
        };
        let event = parameters
            .telephone_event
            .filter(is_of)
            .or_else(|| self.former_event.filter(|event| !is_audio && is_of(event)));
        let is_redundancy = |redundancy: &Redundancy| {
            [redundancy.receive_payload_type, redundancy.payload_type].contains(&payload_type)
        };
        match event {
            Some(event) => Some(Kind::Event { clock_rate_hz: event.clock_rate_hz }),
            None if is_audio || payload_type == COMFORT_NOISE => Some(Kind::Audio),
            None => parameters.redundancy.filter(is_redundancy).map(|_| Kind::Redundancy),
        }
    }

    /// Takes a payload apart (RFC 2198), the oldest block first, so that a key that was lost comes before the one that tells of
    /// it. False when the packet was dropped.
    fn receive_redundancy(
        &mut self,
        now: Instant,
        parameters: &StreamParameters,
        packet: &Packet<'_>,
    ) -> bool {
        let blocks = red::read(packet.payload);
        let Some((primary, redundant)) = blocks.as_deref().and_then(<[red::Block<'_>]>::split_last) else {
            self.statistics.malformed_redundancy += 1;
            return false;
        };
        let of_block = |block: &red::Block<'_>| Packet {
            payload_type: block.payload_type,
            timestamp: packet.timestamp.wrapping_sub(block.offset.into()),
            marker: packet.marker && block.offset == 0,
            ..*packet
        };
        for (place, block) in redundant.iter().enumerate() {
            let earlier = Packet { payload: block.payload, ..of_block(block) };
            match self.kind(parameters, block.payload_type) {
                Some(Kind::Event { clock_rate_hz }) => {
                    let (keys, gate, playout) = (&mut self.keys, &mut self.gate, &mut self.playout);
                    let mut out = Outbox::new(&mut self.events, &mut self.statistics);
                    keys.handle_redundant(now, &earlier, clock_rate_hz, |key| {
                        gate.pass(now, key, playout, &mut out);
                    });
                }
                Some(Kind::Audio) => {
                    // Of consecutive packets, as all senders repeat audio: the last block is that of the packet before.
                    let packets = (redundant.len() - place) as u16;
                    let sequence = packet.sequence.wrapping_sub(packets);
                    self.hear_again(now, parameters, &Packet { sequence, ..earlier });
                }
                Some(Kind::Redundancy) | None => {}
            }
        }
        let now_said = Packet { payload: primary.payload, ..of_block(primary) };
        // A redundant payload holds no other.
        let kind = self.kind(parameters, primary.payload_type).filter(|kind| *kind != Kind::Redundancy);
        self.receive_payload(now, parameters, &now_said, kind)
    }

    /// False when the packet was dropped.
    fn receive_payload(
        &mut self,
        now: Instant,
        parameters: &StreamParameters,
        packet: &Packet<'_>,
        kind: Option<Kind>,
    ) -> bool {
        match kind {
            Some(Kind::Event { clock_rate_hz }) => {
                self.receive_event(now, packet, clock_rate_hz);
                true
            }
            Some(Kind::Audio) => self.receive_audio(now, parameters, packet),
            Some(Kind::Redundancy) | None => {
                self.statistics.dropped_payload_type += 1;
                false
            }
        }
    }

    /// Hears audio that a later packet repeats, where keys are tones and the packet that held it did not come.
    fn hear_again(&mut self, now: Instant, parameters: &StreamParameters, packet: &Packet<'_>) {
        let gate = &mut self.gate;
        if let Some(in_band) = self.in_band.as_mut().filter(|_| !gate.is_elsewhere())
            && packet.payload_type != COMFORT_NOISE
            && in_band.has_missed(packet)
        {
            let playout = &mut self.playout;
            let mut out = Outbox::new(&mut self.events, &mut self.statistics);
            in_band
                .handle_audio(now, packet, parameters.encoding, |key| gate.pass(now, key, playout, &mut out));
        }
    }

    /// The payload type of audio that nobody listens to, so that a sample of it will do: for the peer's sign of life, and to
    /// estimate its losses. `None` as long as each packet is wanted.
    pub fn unheard_payload_type(&self) -> Option<u8> {
        let timeout_allows = self.settings.rtp_timeout.is_none_or(|timeout| timeout >= MIN_SAMPLED_TIMEOUT);
        let is_recorded = self.fork.as_ref().is_some_and(|fork| fork.wants_received());
        let heard = self.listener.is_some()
            || self.in_band.is_some()
            || is_recorded
            || self.latched.is_none()
            || !timeout_allows;
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
        if let Some(fork) = &mut self.fork {
            fork.received(now, parameters, packet);
        }
        if let Some(listener) = &mut self.listener {
            listener.hear(parameters, packet, |heard| out.push(MediaEvent::Heard(heard)));
        }
        true
    }
}
