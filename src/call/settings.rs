//! What the operator may vary about calls.

use crate::klikon::PinPolicy;
use crate::sip::SessionIntervals;
use jiff::SignedDuration;
use serde::Deserialize;
use std::time::Duration;

/// What a caller hears before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EarlyMedia {
    /// Nothing: the call is answered at once.
    Off,
    /// What the flow says before its first question: 183 with a session description, and the call is answered with the
    /// question.
    Welcome,
}

/// Whether media is encrypted (SRTP, RFC 3711) by keys in the session description (SDES, RFC 4568). Such keys are named
/// only where TLS hides them from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Srtp {
    /// Never.
    Off,
    /// Where the signalling comes over TLS and the caller's side offers it.
    #[default]
    OverTls,
    /// Always: other calls are refused with 488.
    Required,
}

/// `[calls]` of the settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Calls at once; one more is answered 503 with Retry-After.
    pub max: usize,
    /// Longest call, s; then the caller hears goodbye.
    pub max_duration_s: u64,
    /// How long a confirmed caller waits on the line for the network's acknowledgement before he hears that an
    /// SMS will follow, ms.
    pub activation_wait_ms: u64,
    /// How long a query or booking may take before the caller hears that the service is not available, ms.
    pub store_timeout_ms: u64,
    /// Whether 180 comes before the answer.
    pub ringing: bool,
    /// What a caller hears before the answer.
    pub early_media: EarlyMedia,
    /// The session interval that we ask for, and the longest that we agree to (RFC 4028), s; 0 asks for none.
    pub session_expires_s: u32,
    /// The shortest session interval that we agree to, s.
    pub min_se_s: u32,
    /// Wrong PINs in a row, over all calls, that lock a leader's PIN; only asked where a peer's `pin` says so.
    pub pin_tries: u32,
    /// How long the first lock lasts, s; each further one twice as long, a day at most.
    pub pin_lock_s: u32,
    /// How long calls may go on after a stop was asked for, s.
    pub drain_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max: 500,
            max_duration_s: 600,
            activation_wait_ms: 3000,
            store_timeout_ms: 5000,
            ringing: false,
            early_media: EarlyMedia::Off,
            session_expires_s: 1800,
            min_se_s: 90,
            pin_tries: 3,
            pin_lock_s: 1800,
            drain_s: 120,
        }
    }
}

impl Settings {
    /// Longest call.
    pub fn max_duration(&self) -> Duration {
        Duration::from_secs(self.max_duration_s)
    }

    /// How many wrong PINs lock, and for how long.
    pub fn pin_policy(&self) -> PinPolicy {
        PinPolicy { tries: self.pin_tries, lock: SignedDuration::from_secs(self.pin_lock_s.into()) }
    }

    /// The wait on the line for the network's acknowledgement.
    pub fn activation_wait(&self) -> Duration {
        Duration::from_millis(self.activation_wait_ms)
    }

    /// Session timers.
    pub fn session_intervals(&self) -> SessionIntervals {
        SessionIntervals { session_expires_s: self.session_expires_s, min_se_s: self.min_se_s }
    }

    /// The patience with the store.
    pub fn store_timeout(&self) -> Duration {
        Duration::from_millis(self.store_timeout_ms)
    }
}
