//! What a session reports and counts.

use super::control::RtcpStatistics;
use super::listener::Heard;
use super::playout::Done;
use super::telephone_event::{Key, KeyStatistics};
use super::tone::InBandStatistics;
use super::webrtc::Failure;
use crate::units::srtp::Profile;
use std::collections::VecDeque;
use std::time::Instant;

/// Events that wait to be fetched; further ones are counted and lost.
const MAX_EVENTS: usize = 64;

/// What a session tells its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// A play is over: its last packet was sent, or it was stopped.
    PlayDone {
        /// As given to `play`.
        play_id: u64,
        /// True when a key or a command stopped it, or the queue had no room for it.
        interrupted: bool,
    },
    /// A key went down: its first packet came, or its tone has lasted long enough to be one. If the play that is on allows it, it was stopped before this event.
    DigitBegan {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// When.
        at: Instant,
    },
    /// The key's press is over; this is the one report that counts it.
    Digit {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
        /// When.
        at: Instant,
    },
    /// Nothing came for as long as the setting says.
    RtpTimeout,
    /// All keys that were given to `send_digits` are out.
    DigitsSent,
    /// Keys could not be sent: nothing is agreed yet, one is no key, or too many wait.
    DigitsRefused,
    /// The stream's keys came by a handshake; what waited to be played begins now.
    Secured(Profile),
    /// They did not, and never will: nothing can be said or heard.
    Unsecured(Failure),
    /// Caller only: what is heard.
    Heard(Heard),
}

/// What a session counted. Packets unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Datagrams that came.
    pub received: u64,
    /// Of them, taken.
    pub accepted: u64,
    /// Dropped: not RTP version 2.
    pub dropped_version: u64,
    /// Dropped: too short, too long, or not as long as the header says.
    pub dropped_size: u64,
    /// Dropped: RTCP on the RTP port.
    pub dropped_rtcp: u64,
    /// Dropped: its tag is not that of the peer's key, or it is not protected at all (RFC 3711).
    pub dropped_tag: u64,
    /// Dropped: a protected packet that came before, or too late to tell.
    pub dropped_replay: u64,
    /// Dropped: from another place than the peer's.
    pub dropped_source: u64,
    /// Dropped: a payload type that was not agreed.
    pub dropped_payload_type: u64,
    /// Dropped: our own source, or another than the peer's that did not go on.
    pub dropped_ssrc: u64,
    /// Dropped: before the stream was agreed.
    pub dropped_early: u64,
    /// Missing in the peer's sequence numbers.
    pub lost: u64,
    /// Sent.
    pub transmitted: u64,
    /// Left out since the thread woke up too late.
    pub skipped: u64,
    /// Left out since the place they would have gone to has not shown that it wants them ([`super::Reach`]).
    pub withheld: u64,
    /// Modes of AMR that the peer asked for, and we sent from then on.
    pub mode_requests: u64,
    /// Requests for a mode that AMR does not have: ignored.
    pub mode_requests_ignored: u64,
    /// Payloads of AMR that did not hold what they said: taken as a sign of life only.
    pub malformed_audio: u64,
    /// Dropped: a redundant payload that does not hold what its headers say, or more than is read (RFC 2198).
    pub malformed_redundancy: u64,
    /// Events that were lost since nobody fetched them.
    pub events_lost: u64,
    /// The keys that came as events.
    pub keys: KeyStatistics,
    /// The keys that came as tones.
    pub in_band: InBandStatistics,
    /// What RTCP said.
    pub rtcp: RtcpStatistics,
}

/// The bounded queue of events.
pub struct Outbox<'s> {
    events: &'s mut VecDeque<MediaEvent>,
    statistics: &'s mut Statistics,
}

impl<'s> Outbox<'s> {
    pub fn new(events: &'s mut VecDeque<MediaEvent>, statistics: &'s mut Statistics) -> Self {
        Self { events, statistics }
    }

    pub fn push(&mut self, event: MediaEvent) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        } else {
            self.statistics.events_lost += 1;
        }
    }

    pub fn done(&mut self, done: Done) {
        self.push(MediaEvent::PlayDone { play_id: done.play_id, interrupted: done.interrupted });
    }

    pub fn key(&mut self, at: Instant, key: Key) {
        self.push(match key {
            Key::Began(digit) => MediaEvent::DigitBegan { digit, at },
            Key::Ended(digit) => MediaEvent::Digit { digit, at },
        });
    }
}
