//! One call's RTP session as a pure state machine: packets and `now` in; packets, events and a deadline out.

mod receiving;
mod reporting;
mod securing;
mod sending;

use super::control::Control;
use super::event::{MediaEvent, Outbox, Statistics};
use super::fork::Fork;
use super::g711::OCTETS_PER_MS;
use super::key_gate::KeyGate;
use super::listener::{FrameIndex, Listener, Recording};
use super::packing::Packing;
use super::playout::{Element, Playout};
use super::prompt::PromptLibrary;
use super::protection::Protection;
use super::rtcp::MAX_COMPOUND_OCTETS;
use super::rtp::{HEADER_OCTETS, Receiver};
use super::settings::{Identity, Reach, SessionSettings};
use super::srtp;
use super::telephone_event::{DigitSender, EventReader};
use super::tone::{InBandKeys, ToneSender};
use super::webrtc::{Handshakes, WebRtc};
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
    /// Where keys may come by a handshake.
    handshakes: Option<Arc<Handshakes>>,
    /// Where they do, as was agreed.
    webrtc: Option<Box<WebRtc>>,
    control: Option<Box<Control>>,
    /// Where packets are copied to: the call is recorded.
    fork: Option<Box<Fork>>,
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
            handshakes: None,
            webrtc: None,
            control: None,
            fork: None,
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

    /// The same, with what a stream needs whose keys come by a handshake.
    pub fn with_handshakes(self, handshakes: Option<Arc<Handshakes>>) -> Self {
        Self { handshakes, ..self }
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
        self.agree_on_keys(first, parameters.security);
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

    /// Stops what plays and what waits.
    pub fn stop(&mut self) {
        let (playout, mut out) = (&mut self.playout, Outbox::new(&mut self.events, &mut self.statistics));
        playout.stop(|done| out.done(done));
    }

    /// Whether keys come by another way, so that those of the stream are not to count.
    pub fn set_keys_elsewhere(&mut self, elsewhere: bool) {
        self.gate.set_elsewhere(elsewhere);
    }

    /// Copies packets for a recorder from here on, or no longer.
    pub fn set_fork(&mut self, fork: Option<Box<Fork>>) {
        self.fork = fork;
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

/// The protection of packets, where it is on.
fn turned_on(protection: &mut Option<Box<Protection>>) -> Option<&mut Protection> {
    protection.as_deref_mut().filter(|protection| protection.is_on())
}
