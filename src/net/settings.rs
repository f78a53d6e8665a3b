//! How many connections there may be, and how long they may take.

use crate::sip::FramingLimits;
use std::sync::Arc;
use std::time::Duration;

/// Limits of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// What one message may hold and take. A handshake has as long as a message, and so has the first octet after it.
    pub framing: FramingLimits,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_of_address: usize,
    /// How long a connection may bring nothing.
    pub idle: Duration,
    /// Whose pages may open a WebSocket.
    pub websocket_origins: Origins,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            framing: FramingLimits::default(),
            max_connections: 1_000,
            max_connections_of_address: 100,
            idle: Duration::from_secs(900),
            websocket_origins: Origins::default(),
        }
    }
}

/// The web origins whose pages may open a WebSocket (RFC 6455 §10.2, RFC 6454 §6.2): `https://phone.example`, whole and in
/// any case; `*` is every one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Arc<[String]>);

impl Origins {
    /// These.
    pub fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    /// Whether pages of this one may.
    pub(super) fn admit(&self, origin: &[u8]) -> bool {
        self.0.iter().any(|own| own == "*" || own.as_bytes().eq_ignore_ascii_case(origin))
    }
}
