//! What an RTP stream was agreed to be: the words that session description (RFC 3264) and the media engine
//! (RFC 3550, RFC 3551) share, so that neither imports the other.

use super::amr::AmrParameters;
use super::srtp::Keying;
use std::net::SocketAddr;

/// An audio encoding that prompts are stored in and that a call can be held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 A-law (RFC 3551 §4.5.14).
    Pcma,
    /// G.711 µ-law (RFC 3551 §4.5.14).
    Pcmu,
    /// G.722 at 64 kbit/s (RFC 3551 §4.5.2).
    G722,
    /// AMR (RFC 4867).
    Amr,
    /// AMR-WB (RFC 4867).
    AmrWb,
    /// Opus (RFC 7587).
    Opus,
}

impl Encoding {
    /// Every one, whether this build has it or not.
    pub const ALL: [Encoding; 6] =
        [Encoding::Pcma, Encoding::Pcmu, Encoding::G722, Encoding::Amr, Encoding::AmrWb, Encoding::Opus];
    /// The two of G.711, in the order an Albanian network prefers.
    pub const G711: [Encoding; 2] = [Encoding::Pcma, Encoding::Pcmu];

    /// The one of a name, in either case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }

    /// The encoding name of `a=rtpmap` (compared without regard to case).
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Pcma => "PCMA",
            Encoding::Pcmu => "PCMU",
            Encoding::G722 => "G722",
            Encoding::Amr => "AMR",
            Encoding::AmrWb => "AMR-WB",
            Encoding::Opus => "opus",
        }
    }

    /// The static payload type of RFC 3551 table 4, where it has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Encoding::Pcma => Some(8),
            Encoding::Pcmu => Some(0),
            Encoding::G722 => Some(9),
            Encoding::Amr | Encoding::AmrWb | Encoding::Opus => None,
        }
    }

    /// RTP clock, Hz. That of G.722 is 8,000 although it has 16,000 samples a second (RFC 3551 §4.5.2); that of Opus is
    /// 48,000 whatever is encoded (RFC 7587 §4.1).
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Encoding::Pcma | Encoding::Pcmu | Encoding::G722 | Encoding::Amr => 8_000,
            Encoding::AmrWb => 16_000,
            Encoding::Opus => 48_000,
        }
    }

    /// Samples a second of what we encode and decode, Hz.
    pub const fn sampling_rate_hz(self) -> u32 {
        match self {
            Encoding::Pcma | Encoding::Pcmu | Encoding::Amr => 8_000,
            Encoding::G722 | Encoding::AmrWb | Encoding::Opus => 16_000,
        }
    }

    /// What `a=rtpmap` says of channels. Opus says 2, also for mono (RFC 7587 §7).
    pub const fn channels(self) -> u8 {
        match self {
            Encoding::Opus => 2,
            _ => 1,
        }
    }

    /// The step in which packets can be longer or shorter, ms: 20 where the codec has frames, 10 where it has samples.
    pub const fn packet_step_ms(self) -> u8 {
        match self {
            Encoding::Pcma | Encoding::Pcmu | Encoding::G722 => 10,
            Encoding::Amr | Encoding::AmrWb | Encoding::Opus => 20,
        }
    }

    /// Whether this build can encode it: those that need a library of the system are features of the build.
    pub const fn is_built(self) -> bool {
        match self {
            Encoding::Pcma | Encoding::Pcmu | Encoding::G722 => true,
            Encoding::Amr | Encoding::AmrWb => cfg!(feature = "amr"),
            Encoding::Opus => cfg!(feature = "opus"),
        }
    }
}

/// Bits a second that prompts are encoded with in Opus: wideband speech, as RFC 7587 §3.1.1 recommends 16,000–20,000 at least.
pub const OPUS_BITRATE: u32 = 24_000;

/// Which way media flows, seen from the side that says it (RFC 8866 §6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// We send, the peer listens.
    SendOnly,
    /// We listen, the peer sends.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From the two halves.
    pub const fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// True when this side sends.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// True when this side receives.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same flow seen from the other side.
    pub const fn reversed(self) -> Self {
        Direction::new(self.receives(), self.sends())
    }

    /// The attribute's name.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// Keys pressed as named events in the RTP stream (RFC 4733).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// The payload type we send with (the peer's number), 0–127.
    pub payload_type: u8,
    /// The payload type the peer sends with (our number). It differs from `payload_type` only where an answer
    /// renumbered our offer.
    pub receive_payload_type: u8,
    /// The clock that event durations count in, Hz: the audio's, unless the peer has only another one.
    pub clock_rate_hz: u32,
}

impl TelephoneEvent {
    /// Under one number both ways.
    pub const fn new(payload_type: u8, clock_rate_hz: u32) -> Self {
        Self { payload_type, receive_payload_type: payload_type, clock_rate_hz }
    }
}

/// Payloads that repeat what earlier packets held (RFC 2198), of audio and of named events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redundancy {
    /// The payload type we send with (the peer's number), 0–127.
    pub payload_type: u8,
    /// The payload type the peer sends with (our number).
    pub receive_payload_type: u8,
}

impl Redundancy {
    /// Under one number both ways.
    pub const fn new(payload_type: u8) -> Self {
        Self { payload_type, receive_payload_type: payload_type }
    }
}

/// One agreed audio stream: the outcome of offer and answer, and the order to the media engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamParameters {
    /// Where the peer listens. The address is unspecified (0.0.0.0 or ::) while the peer holds in the manner of
    /// RFC 2543; `direction` then does not send.
    pub remote: SocketAddr,
    /// Where the peer takes RTCP; the same place where RTP and RTCP share a port (RFC 5761), and then they share ours too.
    pub remote_rtcp: SocketAddr,
    /// The encoding both sides use.
    pub encoding: Encoding,
    /// How its frames are packed and which modes may be sent; of AMR and AMR-WB only.
    pub amr: Option<AmrParameters>,
    /// The payload type we send with (the peer's number), 0–127.
    pub payload_type: u8,
    /// The payload type the peer sends with (our number). It differs from `payload_type` only where an answer renumbered
    /// our offer.
    pub receive_payload_type: u8,
    /// Named events, where agreed.
    pub telephone_event: Option<TelephoneEvent>,
    /// Redundant payloads, where agreed: they may come, beside plain ones. Keys that we send are repeated in them.
    pub redundancy: Option<Redundancy>,
    /// Audio in each packet we send, ms: 10–60, a multiple of the encoding's step.
    pub ptime_ms: u8,
    /// Seen from our side.
    pub direction: Direction,
    /// How the stream is protected; `None` for plain RTP.
    pub security: Option<Keying>,
}

impl StreamParameters {
    /// Audio both ways in packets of 20 ms under one number, without named events or protection; RTCP shares the port.
    pub const fn new(remote: SocketAddr, encoding: Encoding, payload_type: u8) -> Self {
        Self {
            remote,
            remote_rtcp: remote,
            encoding,
            amr: None,
            payload_type,
            receive_payload_type: payload_type,
            telephone_event: None,
            redundancy: None,
            ptime_ms: 20,
            direction: Direction::SendRecv,
            security: None,
        }
    }

    /// The clock of what keys come in, Hz: named events, or the audio where they are tones.
    pub fn keys_clock_rate_hz(&self) -> u32 {
        self.telephone_event.map_or(self.encoding.clock_rate_hz(), |event| event.clock_rate_hz)
    }
}
