//! What a session is started with.

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
            begin_at_once: true,
            sample_audio: true,
        }
    }
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
