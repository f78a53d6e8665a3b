//! A tap on the wire: whoever wants to see each SIP message as it passes the sockets.

use crate::sip::Flow;
use crate::units::clock::{Clock, Reading};
use std::fmt;
use std::sync::Arc;

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the peer to us.
    Received,
    /// From us to the peer.
    Sent,
}

/// One message as it passed: whole, as it stood on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Passed<'a> {
    /// Which way.
    pub direction: Direction,
    /// Between which addresses, by which transport.
    pub flow: Flow,
    /// The message's octets.
    pub octets: &'a [u8],
    /// When.
    pub at: Reading,
}

/// Called in the driver's task for every message received or sent. Must not block.
type Watch = dyn Fn(&Passed<'_>) + Send + Sync;

/// Sees every SIP message of a driver, if somebody watches. Without a watcher it costs a comparison: not even the clock
/// is read.
#[derive(Clone, Default)]
pub struct Tap(Option<Arc<Watch>>);

impl Tap {
    /// A tap that calls `watch`, which must not block.
    pub fn new(watch: impl Fn(&Passed<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// Lets the watcher see a message, if there is one.
    #[inline]
    pub fn see(&self, clock: &Clock, direction: Direction, flow: Flow, octets: &[u8]) {
        if let Some(watch) = &self.0 {
            watch(&Passed { direction, flow, octets, at: clock.read() });
        }
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Tap(watched)" } else { "Tap(nobody)" })
    }
}
