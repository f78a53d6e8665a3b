//! What a call of the built-in caller tells while it lasts, and what came of it.

use crate::media::{CommandError, EngineError, Heard, OpenError, Recording};
use crate::net::BindError;
use crate::sdp;
use crate::sip::Transport;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// No local socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No way to the remote address.
    #[error("{0} cannot be reached from this machine")]
    Unreachable(SocketAddr),
    /// The media engine did not start.
    #[error("the media engine cannot start")]
    Engine(#[from] EngineError),
    /// No RTP socket.
    #[error("no RTP socket")]
    Media(#[from] OpenError),
    /// The request could not be made: a URI that is none.
    #[error("the INVITE cannot be written: {0}")]
    Invite(String),
    /// No connection over which to call.
    #[error("no connection to {remote} over {}: {}", .transport.via_name(), .why.escape_debug())]
    NotConnected {
        /// Over what.
        transport: Transport,
        /// To where.
        remote: SocketAddr,
        /// What the system or TLS says.
        why: String,
    },
    /// The media worker stopped.
    #[error("the media worker takes no stream")]
    Worker(#[from] CommandError),
    /// The far end said no.
    #[error("the call was refused: {status} {}", .reason.escape_debug())]
    Refused {
        /// SIP status.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// Its SDP cannot be used.
    #[error("the answer cannot be used: {0}")]
    Answer(#[from] sdp::Refusal),
    /// Nobody picked up.
    #[error("no answer within {} s: is the service there, and does its firewall let SIP through?", .0.as_secs())]
    NoAnswer(Duration),
    /// Too long.
    #[error("the call was not over after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The call broke off before it was answered.
    #[error("the call ended before it was answered")]
    Ended,
}

/// Something the caller did or noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A provisional answer.
    Progress(u16),
    /// The far end answered.
    Answered,
    /// A prompt, or speech.
    Heard(Heard),
    /// Keys were pressed.
    Keyed(String),
    /// The caller hung up.
    HungUp,
    /// The far end hung up.
    FarEndHungUp,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(status) => write!(f, "progress {status}"),
            Self::Answered => f.write_str("answered"),
            Self::Heard(Heard::ClipBegan { id, .. }) => write!(f, "hears `{id}`"),
            Self::Heard(Heard::ClipEnded { id, complete: true, .. }) => write!(f, "heard `{id}` to its end"),
            Self::Heard(Heard::ClipEnded { id, .. }) => write!(f, "`{id}` broke off"),
            Self::Heard(Heard::SpeechBegan { .. }) => f.write_str("hears speech"),
            Self::Heard(Heard::SpeechEnded { .. }) => f.write_str("quiet"),
            Self::Keyed(keys) => write!(f, "keys {keys}"),
            Self::HungUp => f.write_str("hangs up"),
            Self::FarEndHungUp => f.write_str("the far end hung up"),
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Report {
    /// From the INVITE to the answer.
    pub answered_after: Duration,
    /// From the answer to the end.
    pub lasted: Duration,
    /// Ids of the prompts that were recognised, in order.
    pub clips: Vec<String>,
    /// Whether every group of keys went out.
    pub keyed_everything: bool,
    /// Audio as it was heard.
    pub recording: Recording,
}

impl Report {
    /// Whether that prompt was recognised.
    pub fn heard_clip(&self, id: &str) -> bool {
        self.clips.iter().any(|heard| heard == id)
    }

    /// Whether the recording holds speech: half a second of it louder than line noise.
    pub fn heard_speech(&self) -> bool {
        const FRAME: usize = 160;
        const LOUD_RMS: f64 = 300.0;
        let loud = |frame: &&[i16]| {
            let energy: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            (energy / FRAME as f64).sqrt() > LOUD_RMS
        };
        self.recording.samples.chunks_exact(FRAME).filter(loud).count() >= 25
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "answered after {} ms, lasted {:.1} s, {} prompts recognised, {:.1} s of audio",
            self.answered_after.as_millis(),
            self.lasted.as_secs_f64(),
            self.clips.len(),
            self.recording.duration_ms() as f64 / 1000.0,
        )
    }
}
