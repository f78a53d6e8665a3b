//! SIP as a pure core: bytes and instants in, bytes and events out; no socket, clock or task in here.

pub mod auth;
pub mod counters;
pub mod dialog;
pub mod endpoint;
pub mod framing;
pub mod identifier;
pub mod locate;
pub mod message;
pub mod overload;
pub mod reason;
pub mod registration;
pub mod session;
pub mod timer;
pub mod transaction;
pub mod transport;

pub use counters::{Counter, Counters};
pub use endpoint::{
    EndCause, Endpoint, EndpointConfig, Event, Held, HostPort, IncomingInvite, InviteParams, Limits,
    OptionsId, OptionsParams, OriginateError, Party, RegisterId, RegisterParams, Rejection, Reliability,
    ServiceState, SessionError, SessionIntervals, next_hop_name, reopen_at,
};
pub use framing::{Broken, Frame, Framer, FramingError, FramingLimits};
pub use reason::Reason;
pub use session::{ChangeId, SessionId};
pub use timer::Timers;
pub use transport::{Flow, PING, Transmit, Transport};
