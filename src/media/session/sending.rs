//! When a session's packets go out, where to, and what is in them.

use super::{MAX_CATCH_UP, MAX_TRANSMIT_OCTETS, Session, Transmit, carries_tones, packet_length, turned_on};
use crate::media::event::{MediaEvent, Outbox};
use crate::media::rtp::{HEADER_OCTETS, Packet};
use crate::media::settings::{DigitTiming, Identity, Reach};
use crate::media::telephone_event::{Reporting, event_of};
use crate::units::rtp::StreamParameters;
use crate::units::srtp::Keying;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

impl Session {
    /// Lets a prompt that follows silence begin now, up to one packet length before its turn, instead of in step; true when
    /// the deadline has changed. Its packets, and those of what follows without a pause, keep that lead over the stream's
    /// step. The silence after them gives it back, so that leads do not add up. The timestamps run on as ever: a receiver
    /// has the prompt early, never late.
    ///
    /// The lead is a whole number of milliseconds, so that a session stays in its slot's step.
    pub fn begin_at_once(&mut self, now: Instant) -> bool {
        let Some((parameters, next)) = self.parameters.zip(self.next) else { return false };
        let begins = self.settings.begin_at_once
            && parameters.direction.sends()
            && std::mem::take(&mut self.idle)
            && !self.playout.is_empty()
            && u128::from(self.sent_ms) >= self.settings.initial_silence.as_millis();
        let wait_ms = next.saturating_duration_since(now).as_nanos().div_ceil(1_000_000);
        let most = packet_length(&parameters).saturating_sub(self.lead);
        let lead = Duration::from_millis(u64::try_from(wait_ms).unwrap_or(u64::MAX)).min(most);
        if !begins || lead.is_zero() {
            return false;
        }
        let Some(earlier) = next.checked_sub(lead) else { return false };
        self.next = Some(earlier);
        self.lead += lead;
        true
    }

    /// Sends keys, in place of audio, one after the other: as named events where these are agreed, else as tones.
    pub fn send_digits(&mut self, digits: &str, timing: DigitTiming) {
        let DigitTiming { on_ms, off_ms } = timing;
        let agreed = self.parameters.map(|parameters| parameters.telephone_event);
        let hears_tones = self.parameters.is_some_and(|parameters| carries_tones(&parameters));
        let taken = digits.chars().all(|digit| match agreed {
            Some(Some(_)) => event_of(digit).is_some_and(|event| self.digits.push(event, on_ms, off_ms)),
            Some(None) => hears_tones && self.tones.push(digit, on_ms, off_ms),
            None => false,
        });
        if taken {
            self.digits_pending = true;
        } else {
            self.report(MediaEvent::DigitsRefused);
        }
    }

    /// The packet that is due at `now`, if one is; call it until there is none. `buffer` takes the octets.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        buffer: &mut [u8; MAX_TRANSMIT_OCTETS],
    ) -> Option<Transmit> {
        let parameters = self.parameters?;
        let ptime = packet_length(&parameters);
        loop {
            let due = self.next.filter(|&due| due <= now)?;
            self.handle_timers(now, &parameters);
            if !self.lead.is_zero() && self.playout.is_empty() {
                self.next = Some(due + std::mem::take(&mut self.lead));
                continue;
            }
            self.next = Some(due + ptime);
            let timestamp = self.identity.timestamp;
            let units = ptime.as_millis() as u32 * (parameters.encoding.clock_rate_hz() / 1_000);
            self.identity.timestamp = timestamp.wrapping_add(units);
            let overdue = now.saturating_duration_since(due) > MAX_CATCH_UP;
            let refused = !self.reaches(&parameters);
            if overdue || refused || !parameters.direction.sends() {
                self.statistics.skipped += u64::from(overdue);
                self.statistics.withheld += u64::from(refused);
                self.talkspurt = true;
                continue;
            }
            let plain = self.write(&parameters, timestamp, buffer);
            if let Some(fork) = &self.fork
                && let Ok(packet) = Packet::read(buffer.get(..plain).unwrap_or_default())
                && packet.payload_type == parameters.payload_type
            {
                // The lead is in when it goes out, not in when it is to be heard.
                fork.sent(due + self.lead, &parameters, &packet);
            }
            let octets = match turned_on(&mut self.protection) {
                Some(protection) => protection.protect(buffer, plain),
                None => Some(plain),
            };
            self.identity.sequence = self.identity.sequence.wrapping_add(1);
            self.talkspurt = false;
            self.sent_ms += ptime.as_millis() as u64;
            self.statistics.transmitted += 1;
            if let Some(control) = &mut self.control {
                control.sent(plain.saturating_sub(HEADER_OCTETS));
            }
            if let Some(octets) = octets {
                return Some(Transmit {
                    remote: self.shown_place().unwrap_or(parameters.remote),
                    octets,
                    due,
                });
            }
        }
    }

    /// Whether the place that packets would go to is one that wants them.
    pub(super) fn reaches(&self, parameters: &StreamParameters) -> bool {
        if let Some(Keying::Handshake(_)) = parameters.security {
            return self.webrtc.as_ref().is_some_and(|webrtc| webrtc.destination().is_some());
        }
        match self.reach {
            Reach::Anywhere => true,
            Reach::Consenting(proven) => {
                self.latched.is_some() || parameters.remote.ip().to_canonical() == proven.to_canonical()
            }
        }
    }

    /// Where the peer has shown to be, where that counts for more than what its session description says.
    pub(super) fn shown_place(&self) -> Option<SocketAddr> {
        match &self.webrtc {
            Some(webrtc) => webrtc.destination(),
            None => self.latched.filter(|_| self.settings.nat),
        }
    }

    /// Writes the packet of this packet interval: a key that is being sent, else audio.
    fn write(
        &mut self,
        parameters: &StreamParameters,
        timestamp: u32,
        buffer: &mut [u8; MAX_TRANSMIT_OCTETS],
    ) -> usize {
        let Identity { ssrc, sequence, .. } = self.identity;
        let header = |payload_type, marker, timestamp| {
            let packet = Packet { payload_type, marker, sequence, timestamp, ssrc, payload: &[] };
            move |buffer: &mut [u8]| packet.write(buffer)
        };
        if let Some(event) = parameters.telephone_event
            && let Some(key) = self.digits.poll(timestamp, reporting(parameters, event.clock_rate_hz))
        {
            let redundancy = parameters.redundancy.filter(|_| !key.repeated.is_empty());
            let payload_type = redundancy.map_or(event.payload_type, |redundancy| redundancy.payload_type);
            let written = header(payload_type, key.marker, key.timestamp)(buffer);
            return written + key.write(event.payload_type, buffer.get_mut(written..).unwrap_or_default());
        }
        let mut out = Outbox::new(&mut self.events, &mut self.statistics);
        if self.digits_pending && self.digits.is_idle() && self.tones.is_idle() {
            self.digits_pending = false;
            out.push(MediaEvent::DigitsSent);
        }
        // RFC 3551 §4.1: the marker says that packets were not sent contiguously before this one.
        let written = header(parameters.payload_type, self.talkspurt, timestamp)(buffer);
        let payload = buffer.get_mut(written..).unwrap_or_default();
        self.idle = self.playout.is_empty();
        let is_before = u128::from(self.sent_ms) < self.settings.initial_silence.as_millis();
        let playout = Some(&mut self.playout).filter(|_| !is_before);
        let octets = self.packing.fill(parameters, &self.library, playout, payload, |done| out.done(done));
        if carries_tones(parameters) {
            self.tones.fill(parameters.encoding, payload.get_mut(..octets).unwrap_or_default());
        }
        written + octets
    }
}

/// How keys are reported in a stream.
fn reporting(parameters: &StreamParameters, clock_rate_hz: u32) -> Reporting {
    Reporting { ptime_ms: parameters.ptime_ms, clock_rate_hz, repeats: parameters.redundancy.is_some() }
}
