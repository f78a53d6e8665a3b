//! One call's RTP session as a pure state machine: packets and `now` in; packets, events and a deadline out.

use super::control::{Control, OwnStream};
use super::event::{MediaEvent, Outbox, Statistics};
use super::g711::OCTETS_PER_MS;
use super::key_gate::KeyGate;
use super::listener::{FrameIndex, Listener, Recording};
use super::packing::Packing;
use super::playout::{Element, Playout};
use super::prompt::PromptLibrary;
use super::protection::Protection;
use super::rtcp::MAX_COMPOUND_OCTETS;
use super::rtp::{Admission, HEADER_OCTETS, Packet, ReadError, Receiver};
use super::settings::{DigitTiming, Identity, Reach, SessionSettings};
use super::srtp::{self, Refusal};
use super::telephone_event::{DigitSender, EVENT_OCTETS, EventReader, event_of};
use super::tone::{InBandKeys, ToneSender};
use crate::units::rtp::{Direction, Encoding, StreamParameters, TelephoneEvent};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest packet that a session sends: 60 ms of G.711; none of another codec is longer.
pub const MAX_TRANSMIT_OCTETS: usize = HEADER_OCTETS + 60 * OCTETS_PER_MS + srtp::MAX_TRAILER_OCTETS;

/// Longest report that a session sends.
pub const MAX_RTCP_OCTETS: usize = MAX_COMPOUND_OCTETS + srtp::MAX_TRAILER_OCTETS;

/// A wake-up later than this does not catch up packet by packet: what is overdue is left out, as a gap in the timestamps.
const MAX_CATCH_UP: Duration = Duration::from_millis(200);
/// A peer's silence is not looked for in a sample of its audio when it may last less than this: two packets in 128 of 60 ms
/// pass, and some get lost.
const MIN_SAMPLED_TIMEOUT: Duration = Duration::from_secs(30);
/// The static payload type of comfort noise (RFC 3389): shows that the peer lives, is not played.
const COMFORT_NOISE: u8 = 13;

/// A packet to send, written into the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub remote: SocketAddr,
    /// How many octets of the buffer.
    pub octets: usize,
    /// When it was to go out.
    pub due: Instant,
}

/// One call's stream.
#[derive(Debug)]
pub struct Session {
    settings: SessionSettings,
    reach: Reach,
    library: Arc<PromptLibrary>,
    listener: Option<Box<Listener>>,
    parameters: Option<StreamParameters>,
    protection: Option<Box<Protection>>,
    control: Option<Box<Control>>,
    /// Where the first valid packet came from.
    latched: Option<SocketAddr>,
    receiver: Receiver,
    keys: EventReader,
    gate: KeyGate,
    /// Named events as they were agreed before the last change: packets on their way still say so (RFC 3264 §8.3.2).
    former_event: Option<TelephoneEvent>,
    /// Where keys are read from tones: no named events are agreed.
    in_band: Option<Box<InBandKeys>>,
    digits: DigitSender,
    tones: ToneSender,
    digits_pending: bool,
    playout: Playout,
    packing: Packing,
    identity: Identity,
    /// Of the next packet.
    next: Option<Instant>,
    /// How much earlier than in step with the stream's first packet it is, since a prompt began at once.
    lead: Duration,
    /// The last packet was silence that nothing was waiting behind.
    idle: bool,
    /// Audio and silence sent so far, ms.
    sent_ms: u64,
    /// The next packet is the first after a pause in sending.
    talkspurt: bool,
    last_received: Option<Instant>,
    events: VecDeque<MediaEvent>,
    statistics: Statistics,
}

impl Session {
    /// A session that waits for its stream to be agreed. With an index it also listens: it records, and recognises
    /// the clips of the index.
    pub fn new(
        settings: SessionSettings,
        reach: Reach,
        library: Arc<PromptLibrary>,
        identity: Identity,
        listen: Option<Arc<FrameIndex>>,
    ) -> Self {
        Self {
            settings,
            reach,
            library,
            listener: listen.map(|index| Box::new(Listener::new(index))),
            parameters: None,
            protection: None,
            control: None,
            latched: None,
            receiver: Receiver::default(),
            keys: EventReader::default(),
            gate: KeyGate::default(),
            former_event: None,
            in_band: None,
            digits: DigitSender::default(),
            tones: ToneSender::default(),
            digits_pending: false,
            playout: Playout::default(),
            packing: Packing::default(),
            identity,
            next: None,
            lead: Duration::ZERO,
            idle: false,
            sent_ms: 0,
            talkspurt: true,
            last_received: None,
            events: VecDeque::with_capacity(4),
            statistics: Statistics::default(),
        }
    }

    /// Starts the stream, or changes it after another offer and answer. The first packet goes out at `first`, and every
    /// later one a whole number of packet lengths after it; when the stream runs already, it keeps its pace, source,
    /// sequence and timestamps. Only another RTP clock makes it another source with timestamps of its own (RFC 7160 §4.1).
    ///
    /// While we may not send, what plays stands still and goes on with the very next octet. Keys count only while both
    /// sides may send: who has put us on hold does not key to us, and who only listens cannot.
    pub fn start(&mut self, first: Instant, parameters: StreamParameters) {
        if let Some(before) = self.parameters {
            if before.remote != parameters.remote {
                self.latched = None;
            }
            if before.telephone_event != parameters.telephone_event {
                self.former_event = before.telephone_event;
            }
            if before.encoding.clock_rate_hz() != parameters.encoding.clock_rate_hz() {
                self.identity = self.identity.next();
                self.talkspurt = true;
            }
        }
        self.gate.set_on_hold(parameters.direction != Direction::SendRecv);
        if self.settings.rtcp && self.control.is_none() {
            self.control = Some(Box::new(Control::new(first, self.identity)));
        }
        self.protection = Protection::agreed(self.protection.take(), parameters.security);
        self.choose_in_band(&parameters, first);
        self.parameters = Some(parameters);
        // A peer that never sends is silent from here on; one that was on hold begins anew.
        self.last_received = Some(first);
        self.next.get_or_insert(first);
    }

    /// Adds a play to the queue. A play that the queue has no room for is over at once, interrupted.
    pub fn play(&mut self, play_id: u64, elements: Vec<Element>, bargein: bool) {
        if !self.playout.push(play_id, elements, bargein) {
            self.report(MediaEvent::PlayDone { play_id, interrupted: true });
        }
    }

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

    /// Stops what plays and what waits.
    pub fn stop(&mut self) {
        let (playout, mut out) = (&mut self.playout, Outbox::new(&mut self.events, &mut self.statistics));
        playout.stop(|done| out.done(done));
    }

    /// Whether keys come by another way, so that those of the stream are not to count.
    pub fn set_keys_elsewhere(&mut self, elsewhere: bool) {
        self.gate.set_elsewhere(elsewhere);
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

    /// Takes a datagram.
    pub fn handle_packet(&mut self, now: Instant, source: SocketAddr, octets: &[u8]) {
        self.statistics.received += 1;
        let Some(parameters) = self.parameters else {
            self.statistics.dropped_early += 1;
            return;
        };
        if !self.is_peer(&parameters, source) {
            self.statistics.dropped_source += 1;
            return;
        }
        if parameters.remote_rtcp == parameters.remote && is_rtcp(octets) {
            // It has counters of its own.
            self.statistics.received -= 1;
            self.take_rtcp(now, octets);
            return;
        }
        // Its packet is borrowed for as long as this takes.
        let mut protection = self.protection.take();
        let opened = match protection.as_mut().filter(|protection| protection.is_on()) {
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

    fn take_rtcp(&mut self, now: Instant, octets: &[u8]) {
        let Some(control) = &mut self.control else {
            self.statistics.dropped_rtcp += 1;
            return;
        };
        let opened = match self.protection.as_mut().filter(|protection| protection.is_on()) {
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
        let remote = match self.latched.filter(|_| self.settings.nat) {
            Some(latched) if shared => latched,
            Some(latched) => SocketAddr::new(latched.ip(), parameters.remote_rtcp.port()),
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
        let octets = match self.protection.as_mut().filter(|protection| protection.is_on()) {
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
        self.latched.get_or_insert(source);
        self.last_received = Some(now);
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
            let octets = match self.protection.as_mut().filter(|protection| protection.is_on()) {
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
                return Some(Transmit { remote: self.destination(&parameters), octets, due });
            }
        }
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

    /// When [`Session::poll_transmit`] is to be called next; `None` before the stream is agreed. All timers are looked at
    /// then, so they are exact to one packet.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The oldest event that was not fetched.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// Puts back an event that could not be delivered; it is fetched next.
    pub fn return_event(&mut self, event: MediaEvent) {
        self.events.push_front(event);
    }

    /// True when no event waits.
    pub fn has_no_events(&self) -> bool {
        self.events.is_empty()
    }

    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        // What a detector that was given up had counted is kept beside.
        let mut in_band = self.statistics.in_band;
        in_band += self.in_band.as_ref().map(|in_band| in_band.statistics()).unwrap_or_default();
        let rtcp = self.control.as_ref().map(|control| control.statistics()).unwrap_or_default();
        Statistics {
            lost: self.receiver.lost(),
            keys: self.keys.statistics(),
            in_band,
            rtcp,
            ..self.statistics
        }
    }

    /// Ends the session; what was recorded, if it listened.
    pub fn into_recording(self) -> Option<Recording> {
        self.listener.map(|listener| listener.into_recording())
    }

    /// Where packets may come from: the negotiated place, and the latched one. Calls are never told apart by it.
    fn is_peer(&self, parameters: &StreamParameters, source: SocketAddr) -> bool {
        source == parameters.remote
            || match self.latched {
                Some(latched) => source == latched,
                None => self.settings.nat || source.ip() == parameters.remote.ip(),
            }
    }

    /// Whether the place that packets would go to is one that wants them.
    fn reaches(&self, parameters: &StreamParameters) -> bool {
        match self.reach {
            Reach::Anywhere => true,
            Reach::Consenting(proven) => {
                self.latched.is_some() || parameters.remote.ip().to_canonical() == proven.to_canonical()
            }
        }
    }

    fn destination(&self, parameters: &StreamParameters) -> SocketAddr {
        self.latched.filter(|_| self.settings.nat).unwrap_or(parameters.remote)
    }

    /// Tones are read only where no named events are agreed, so that one press never counts twice.
    fn choose_in_band(&mut self, parameters: &StreamParameters, now: Instant) {
        if self.settings.in_band_keys && carries_tones(parameters) {
            self.in_band.get_or_insert_default();
        } else if let Some(mut in_band) = self.in_band.take() {
            self.statistics.in_band += in_band.statistics();
            let (gate, playout) = (&mut self.gate, &mut self.playout);
            let mut out = Outbox::new(&mut self.events, &mut self.statistics);
            in_band.release(|key| gate.pass(now, key, playout, &mut out));
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

    fn handle_timers(&mut self, now: Instant, parameters: &StreamParameters) {
        let (gate, playout) = (&mut self.gate, &mut self.playout);
        let mut out = Outbox::new(&mut self.events, &mut self.statistics);
        self.keys.handle_timeout(now, |key| gate.pass(now, key, playout, &mut out));
        if let Some(in_band) = &mut self.in_band {
            in_band.handle_timeout(now, |key| gate.pass(now, key, playout, &mut out));
        }
        let silent = self.last_received.map(|last| now.saturating_duration_since(last));
        let timeout = self.settings.rtp_timeout.filter(|_| parameters.direction == Direction::SendRecv);
        if silent.zip(timeout).is_some_and(|(silent, timeout)| silent >= timeout) {
            // Once for each pause: the next packet arms it again.
            self.last_received = None;
            out.push(MediaEvent::RtpTimeout);
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
            && let Some(key) = self.digits.poll(timestamp, parameters.ptime_ms, event.clock_rate_hz)
        {
            let written = header(event.payload_type, key.marker, key.timestamp)(buffer);
            if let Some(payload) = buffer.get_mut(written..written + EVENT_OCTETS) {
                payload.copy_from_slice(&key.event.write());
            }
            return written + EVENT_OCTETS;
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

    fn report(&mut self, event: MediaEvent) {
        Outbox::new(&mut self.events, &mut self.statistics).push(event);
    }
}

/// Whether a datagram is RTCP (RFC 5761 §4): packet types 192 to 223.
fn is_rtcp(octets: &[u8]) -> bool {
    octets.len() >= 4 && octets[0] >> 6 == 2 && (192..=223).contains(&octets[1])
}

fn packet_length(parameters: &StreamParameters) -> Duration {
    Duration::from_millis(parameters.ptime_ms.clamp(10, 60).into())
}

/// Whether keys are tones in the audio: no events are agreed on, and the encoding keeps tones as they are.
fn carries_tones(parameters: &StreamParameters) -> bool {
    parameters.telephone_event.is_none() && Encoding::G711.contains(&parameters.encoding)
}
