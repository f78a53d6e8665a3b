//! What an RTP stream was agreed to be: the words that session description (RFC 3264) and the media engine
//! (RFC 3550, RFC 3551) share, so that neither imports the other.

use std::net::SocketAddr;

/// An audio encoding that prompts are stored in and that a call can be held in (RFC 3551 §4.5.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// G.711 µ-law, static payload type 0.
    Pcmu,
}

impl Encoding {
    /// Both, in the order an Albanian network prefers.
    pub const ALL: [Encoding; 2] = [Encoding::Pcma, Encoding::Pcmu];

    /// The encoding name of `a=rtpmap` (compared without regard to case).
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Pcma => "PCMA",
            Encoding::Pcmu => "PCMU",
        }
    }

    /// The static payload type of RFC 3551 table 4.
    pub const fn payload_type(self) -> u8 {
        match self {
            Encoding::Pcma => 8,
            Encoding::Pcmu => 0,
        }
    }

    /// RTP clock, Hz.
    pub const fn clock_rate_hz(self) -> u32 {
        8_000
    }
}

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
    /// The clock that event durations count in, Hz. 8,000 unless the peer offered only another one.
    pub clock_rate_hz: u32,
}

/// One agreed audio stream: the outcome of offer and answer, and the order to the media engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamParameters {
    /// Where the peer listens. The address is unspecified (0.0.0.0 or ::) while the peer holds in the manner of
    /// RFC 2543; `direction` then does not send.
    pub remote: SocketAddr,
    /// The encoding both sides use.
    pub encoding: Encoding,
    /// Its payload type, 0–127: static, or the dynamic one that was offered.
    pub payload_type: u8,
    /// Named events, where agreed.
    pub telephone_event: Option<TelephoneEvent>,
    /// Audio in each packet we send, ms: 10, 20, 30, 40, 50 or 60.
    pub ptime_ms: u8,
    /// Seen from our side.
    pub direction: Direction,
}
