//! Sockets: the drivers that carry bytes between the network and the sans-IO SIP endpoint.
//! UDP today (RFC 3261 §18); the streams join beside it.

mod resolver;
mod tap;
mod udp;
mod ways;

pub use resolver::{NameServer, ResolveError, Resolver};
pub use tap::{Direction, Passed, Tap};
pub use udp::{BindError, Driver, Handler, UdpTransport};
pub use ways::Ways;
