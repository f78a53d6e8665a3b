//! What a call record keeps of how the media fared.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// How a call's media fared, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaQuality {
    /// The encoding's name in session descriptions.
    pub encoding: String,
    /// What came from the caller's side.
    pub heard: StreamQuality,
    /// What we sent, as far as the caller's side reported of it.
    pub far: StreamQuality,
    /// There and back, ms, where the caller's side answered our reports.
    pub round_trip_ms: Option<u32>,
}

/// One direction. What nobody measured is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamQuality {
    /// Packets that came; of what we sent: that were sent.
    pub packets: u64,
    /// Packets that were lost on the way.
    pub lost: Option<u64>,
    /// Interarrival jitter, ms.
    pub jitter_ms: Option<u32>,
    /// The mean opinion score that the E-model expects, 1 to 4.5, to two places.
    pub mean_opinion_score: Option<Decimal>,
}
