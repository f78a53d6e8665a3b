//! Where messages come from and go to (RFC 3261 §18). No socket lives here: the driver in `net` fills flows in and
//! carries transmits out.

use bytes::Bytes;
use std::net::SocketAddr;

/// What keeps a connection of ours alive (RFC 5626 §3.5.1).
pub const PING: &[u8] = b"\r\n\r\n";

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// UDP, one message a datagram.
    Udp,
    /// TCP. The machines know it; a driver hands whole messages in.
    Tcp,
    /// TLS over TCP (RFC 3261 §26.3.1).
    Tls,
    /// WebSocket, one message a WebSocket message (RFC 7118).
    Ws,
    /// WebSocket over TLS (RFC 7118).
    Wss,
}

impl Transport {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether the transport itself retransmits, so that timers A, E and G need not run (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    /// Whether what passes is encrypted.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// The protocol's name in a Via header (RFC 3261 §20.42, RFC 7118 §5.2).
    pub fn via_name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }
}

/// A pair of addresses between which messages pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The protocol.
    pub transport: Transport,
    /// Our address: concrete, never the wildcard, because Via and Contact name it where no other is advertised.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// By which way.
    pub flow: Flow,
    /// The whole message, or [`PING`].
    pub bytes: Bytes,
    /// The address was found for this message (RFC 3263): where there is no connection, one is opened there.
    pub opens: bool,
}
