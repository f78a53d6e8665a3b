//! A copy of a stream's packets for a recorder, without what protected them: what is sent, and what the peer sends.

use super::rtp::Packet;
use crate::units::amr::AmrParameters;
use crate::units::rtp::{Encoding, StreamParameters};
use arrayvec::ArrayVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

/// Longest payload that is copied, octets: the longest of Opus (RFC 6716 §3.4), and 150 ms of G.711.
pub const MAX_FORKED_OCTETS: usize = 1_275;
/// Packets of the peer that are copied in a second: twice as many as of 10 ms each. A flood is not recorded.
const MAX_PACKETS_A_SECOND: u32 = 200;

/// Which of the two streams of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What we send.
    Sent,
    /// What the peer sends.
    Received,
}

/// One packet's audio.
#[derive(Debug)]
pub struct ForkedPacket {
    /// As given to [`Fork::new`].
    pub recording: u64,
    /// Whose it is.
    pub side: Side,
    /// When its first sample is heard by the stream's own step, where we send it; when it came, where the peer did.
    pub at: Instant,
    /// Synchronisation source.
    pub ssrc: u32,
    /// In units of the payload's clock.
    pub timestamp: u32,
    /// What the payload is.
    pub encoding: Encoding,
    /// How it is packed; of AMR and AMR-WB only.
    pub amr: Option<AmrParameters>,
    /// The payload.
    pub payload: ArrayVec<u8, MAX_FORKED_OCTETS>,
}

/// What a fork and its recorder share.
#[derive(Debug, Default)]
pub struct ForkState {
    lost: AtomicU64,
    over: AtomicBool,
}

impl ForkState {
    /// Packets that were not copied: there was no room, or they were too long.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether nothing more is wanted.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Nothing more is wanted.
    pub fn set_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Where a session's packets are copied to. Handing one on never waits: without room it is counted and lost.
#[derive(Debug, Clone)]
pub struct Fork {
    recording: u64,
    packets: SyncSender<ForkedPacket>,
    state: Arc<ForkState>,
    received: bool,
    /// When the second began in which so many of the peer's packets were copied.
    second: Option<(Instant, u32)>,
}

impl Fork {
    /// Of what we send only, until [`Fork::of_both_sides`]. What finds no room in `packets` is counted in `state`.
    pub fn new(recording: u64, packets: SyncSender<ForkedPacket>, state: Arc<ForkState>) -> Self {
        Self { recording, packets, state, received: false, second: None }
    }

    /// Of both streams.
    #[must_use]
    pub fn of_both_sides(self) -> Self {
        Self { received: true, ..self }
    }

    /// Whether the peer's packets are wanted.
    pub fn wants_received(&self) -> bool {
        self.received
    }

    /// Copies a packet of ours, which is heard from `at` on.
    pub fn sent(&self, at: Instant, parameters: &StreamParameters, packet: &Packet<'_>) {
        self.hand_on(Side::Sent, at, parameters, packet);
    }

    /// Copies a packet of the peer's, if these are wanted.
    pub fn received(&mut self, now: Instant, parameters: &StreamParameters, packet: &Packet<'_>) {
        if !self.received {
            return;
        }
        let (since, count) = self.second.get_or_insert((now, 0));
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        if *count <= MAX_PACKETS_A_SECOND {
            self.hand_on(Side::Received, now, parameters, packet);
        }
    }

    fn hand_on(&self, side: Side, at: Instant, parameters: &StreamParameters, packet: &Packet<'_>) {
        if self.state.is_over() {
            return;
        }
        let copied = ArrayVec::try_from(packet.payload).is_ok_and(|payload| {
            let copy = ForkedPacket {
                recording: self.recording,
                side,
                at,
                ssrc: packet.ssrc,
                timestamp: packet.timestamp,
                encoding: parameters.encoding,
                amr: parameters.amr,
                payload,
            };
            self.packets.try_send(copy).is_ok()
        });
        if !copied {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
