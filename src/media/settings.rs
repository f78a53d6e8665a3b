//! What a session is started with.

use std::net::IpAddr;
use std::time::Duration;

/// What holds for every session of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionSettings {
    /// Silence before the first prompt, so that a path that opens late does not clip it. Default 300 ms.
    pub initial_silence: Duration,
    /// True: the peer is where its first packet comes from, address and port, and that is where we send (RFC 4961).
    /// False (default): packets are taken from the negotiated address only, from the negotiated port and the first other
    /// one; we send to the negotiated place.
    pub nat: bool,
    /// Without a packet for this long, [`MediaEvent::RtpTimeout`], once for each pause. It runs only after the first packet
    /// and while both sides may send, so a caller that never sends is left to the dialogue's own limits. `None` is off.
    /// Default 60 s.
    pub rtp_timeout: Option<Duration>,
    /// Whether RTCP is sent and read. Default true.
    pub rtcp: bool,
    /// Whether keys are read from tones in the audio where no telephone-event was agreed on. Default true.
    pub in_band_keys: bool,
    /// True (default): a prompt that follows silence begins at once, up to one packet length before the stream's step.
    /// False: every packet of a call goes out in step with its first.
    pub begin_at_once: bool,
    /// True: of audio that nobody listens to, the kernel lets only a sample reach us. It takes less processor time, and some
    /// 7 KiB of the kernel's memory a call, and counts among the system's UDP receive errors. Default true. A timeout shorter
    /// than 30 s turns it off.
    pub sample_audio: bool,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            initial_silence: Duration::from_millis(300),
            nat: false,
            rtp_timeout: Some(Duration::from_secs(60)),
            rtcp: true,
            in_band_keys: true,
            begin_at_once: true,
            sample_audio: true,
        }
    }
}

/// Where a session may send to. Whoever calls names the place in his session description, and that may be a third party's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Wherever the session description says: the caller's network is trusted.
    Anywhere,
    /// To this address, which has proved that it wants the call, at once; to another only while packets have come from
    /// it, which is how it agrees (after the consent of RFC 7675).
    Consenting(IpAddr),
}

/// The random numbers that a session starts from (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Synchronisation source.
    pub ssrc: u32,
    /// First sequence number.
    pub sequence: u16,
    /// First timestamp.
    pub timestamp: u32,
}

impl Identity {
    /// Of another source of the same stream, as hard to guess as this one: all numbers mixed by SplitMix64.
    pub(super) fn next(self) -> Self {
        let mixed = |salt: u64| {
            let seed = u64::from(self.ssrc) << 32 | u64::from(self.timestamp);
            let mut mixed = seed ^ u64::from(self.sequence).wrapping_mul(salt);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        let (first, second) = (mixed(0x9e37_79b9_7f4a_7c15), mixed(0xd1b5_4a32_d192_ed03));
        Self { ssrc: (first >> 32) as u32, sequence: first as u16, timestamp: (second >> 32) as u32 }
    }
}

/// How long keys are pressed when we send them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigitTiming {
    /// ms. Default 100.
    pub on_ms: u16,
    /// Pause after each key, ms. Default 60.
    pub off_ms: u16,
}

impl Default for DigitTiming {
    fn default() -> Self {
        Self { on_ms: 100, off_ms: 60 }
    }
}
