//! How much an endpoint holds, for gauges and for the tests that let every call come to its end.

use super::Endpoint;

/// What is held at an instant; [`Held::default`] is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Sessions, those being set up or ended included.
    pub sessions: usize,
    /// Server and client transactions, finished ones that absorb retransmissions included.
    pub transactions: usize,
    /// Entries of the tables by which sessions and transactions are found.
    pub index_entries: usize,
    /// Wake-ups, those left behind by machines that are gone included: each goes when its time comes.
    pub wake_ups: usize,
    /// Messages and events that wait for the driver.
    pub outputs: usize,
}

impl Endpoint {
    /// What is held now.
    pub fn held(&self) -> Held {
        Held {
            sessions: self.session_count(),
            transactions: self.transaction_count(),
            index_entries: self.server.index_len() + self.client.index_len() + self.sessions.index_len(),
            wake_ups: self.wake_ups.len(),
            outputs: self.queued(),
        }
    }
}
