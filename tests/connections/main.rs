//! Connections over real sockets: limits, handshakes, reuse, and what closes what (RFC 3261 §18, RFC 5626 §3.5.1,
//! RFC 7118).

#[path = "../authority/mod.rs"]
mod authority;

mod framing;
mod reuse;
mod service;
mod tls;
mod torture;
mod websocket;
