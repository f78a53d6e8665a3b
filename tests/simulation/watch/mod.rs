//! The invariants. The watch sees every datagram that goes into the service and comes out of it, every event and every
//! order, and nothing else of it: it would find the same faults in another implementation.

mod requests;
mod responses;
mod sessions;

use klikon::sip::Timers;
use klikon::sip::message::{HeaderName, Message, Method};
use std::fmt;
use std::time::{Duration, Instant};

pub use requests::OurRequests;
pub use responses::Answers;
pub use sessions::Calls;

/// Times that bound what may happen.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub timers: Timers,
    pub max_setup: Duration,
    pub max_talk: Duration,
}

/// What a request and its responses have in common: they are copied from one to the other (RFC 3261 §8.2.6.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchanged {
    branch: Vec<u8>,
    sent_by: Vec<u8>,
    call_id: Vec<u8>,
    from: Vec<u8>,
    cseq: u32,
    method: Vec<u8>,
}

impl Exchanged {
    /// Of a message that has all of it.
    pub fn of(message: &Message<'_>) -> Option<Self> {
        let via = message.top_via().ok()?;
        let cseq = message.cseq().ok()?;
        Some(Self {
            branch: via.branch().unwrap_or_default().to_vec(),
            sent_by: format!("{:?}:{:?}", via.host, via.port).into_bytes(),
            call_id: message.call_id().ok()?.to_vec(),
            from: message.values(HeaderName::From).next()?.to_vec(),
            cseq: cseq.number,
            method: cseq.method.as_octets().to_vec(),
        })
    }

    pub fn is_invite(&self) -> bool {
        self.method == Method::Invite.as_octets()
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |octets: &[u8]| octets.escape_ascii().to_string();
        let (method, call_id, branch) = (text(&self.method), text(&self.call_id), text(&self.branch));
        write!(formatter, "{} {method} of {call_id}, branch {branch}", self.cseq)
    }
}

/// Whether `later` is no more than `most` after `earlier`.
fn within(earlier: Instant, later: Instant, most: Duration) -> bool {
    later.saturating_duration_since(earlier) <= most
}
