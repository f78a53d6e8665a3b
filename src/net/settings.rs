//! How many connections there may be, and how long they may take.

use crate::sip::FramingLimits;
use std::time::Duration;

/// Limits of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// What one message may hold and take. A handshake has as long as a message, and so has the first octet after it.
    pub framing: FramingLimits,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_of_address: usize,
    /// How long a connection may bring nothing.
    pub idle: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            framing: FramingLimits::default(),
            max_connections: 1_000,
            max_connections_of_address: 100,
            idle: Duration::from_secs(900),
        }
    }
}
