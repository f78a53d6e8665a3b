//! Sockets: the drivers that carry octets between the network and the sans-IO SIP endpoint (RFC 3261 §18).
//!
//! `driver` is the task that owns the endpoint. `udp` holds the sockets of datagrams, `streams` every connection, each of
//! which is a task (`connection`, `websocket`) with bounded queues; `admission` limits how many there are, `tls` holds
//! the certificates.

mod admission;
mod connection;
mod driver;
mod listen;
mod resolver;
mod settings;
mod sockets;
mod streams;
mod tap;
mod tls;
mod udp;
mod watched;
mod ways;
mod websocket;

pub use driver::{Driver, Handler};
pub use listen::Listen;
pub use resolver::{NameServer, ResolveError, Resolver};
pub use settings::{Origins, StreamSettings};
pub use sockets::{BindError, Sockets};
pub use tap::{Direction, Passed, Tap};
pub use tls::{Tls, TlsError, TlsSettings};
pub use udp::UdpTransport;
pub use ways::Ways;
