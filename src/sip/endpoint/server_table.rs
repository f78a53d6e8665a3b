//! The server transactions an endpoint holds, with the messages and keys that belong to them.

use crate::sip::identifier::{HashKey, Tag};
use crate::sip::session::SessionId;
use crate::sip::timer::Timers;
use crate::sip::transaction::{InviteServer, NonInviteServer, ResponseClass, ServerAction};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Names a transaction for as long as the endpoint lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TransactionId(pub(super) u64);

impl TransactionId {
    /// Its number, which no other transaction or session has.
    pub(in crate::sip) fn number(self) -> u64 {
        self.0
    }
}

/// Either server machine.
#[derive(Debug)]
pub(super) enum ServerMachine {
    Invite(InviteServer),
    NonInvite(NonInviteServer),
}

impl ServerMachine {
    pub(super) fn is_terminated(&self) -> bool {
        match self {
            Self::Invite(machine) => machine.is_terminated(),
            Self::NonInvite(machine) => machine.is_terminated(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Invite(machine) => machine.deadline(),
            Self::NonInvite(machine) => machine.deadline(),
        }
    }

    pub(super) fn request_again(&self) -> ServerAction {
        match self {
            Self::Invite(machine) => machine.invite(),
            Self::NonInvite(machine) => machine.request(),
        }
    }

    pub(super) fn respond(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ServerAction {
        match self {
            Self::Invite(machine) => machine.respond(now, class, timers),
            Self::NonInvite(machine) => machine.respond(now, class, timers),
        }
    }

    pub(super) fn timeout(&mut self, now: Instant, timers: &Timers) -> Option<ServerAction> {
        match self {
            Self::Invite(machine) => machine.timeout(now, timers),
            Self::NonInvite(machine) => machine.timeout(now),
        }
    }
}

/// A server transaction.
#[derive(Debug)]
pub(super) struct ServerTransaction {
    pub(super) machine: ServerMachine,
    /// The way the request came.
    pub(super) flow: Flow,
    /// Where its responses go (RFC 3261 §18.2.2, RFC 3581).
    pub(super) reply_to: SocketAddr,
    /// Our tag in its responses.
    pub(super) local_tag: Tag,
    /// The session of an INVITE, or of an UPDATE with an offer.
    pub(super) session: Option<SessionId>,
    /// An INVITE or UPDATE, until its final response is written; empty otherwise.
    pub(super) request: Bytes,
    /// The most recent response; empty before there is one, and in Accepted, where the session holds it.
    pub(super) response: Bytes,
    /// How the request is found again.
    pub(super) key: Arc<[u8]>,
    /// How a merged copy of the request is found, where one is looked for.
    pub(super) merge_key: Option<Arc<[u8]>>,
    /// Memory of the wake-up heap.
    pub(super) scheduled: Option<Instant>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct ServerTransactions {
    /// Each in a place of its own: a table that grows for a burst then keeps little room for what is not there.
    transactions: HashMap<TransactionId, Box<ServerTransaction>, HashKey>,
    by_key: HashMap<Arc<[u8]>, TransactionId, HashKey>,
    by_merge_key: HashMap<Arc<[u8]>, TransactionId, HashKey>,
}

impl ServerTransactions {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self {
            transactions: HashMap::with_hasher(hash_key),
            by_key: HashMap::with_hasher(hash_key),
            by_merge_key: HashMap::with_hasher(hash_key),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Entries of the indices, which must not outlive their transactions.
    pub(super) fn index_len(&self) -> usize {
        self.by_key.len() + self.by_merge_key.len()
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<TransactionId> {
        self.by_key.get(key).copied()
    }

    pub(super) fn find_merged(&self, merge_key: &[u8]) -> Option<TransactionId> {
        self.by_merge_key.get(merge_key).copied()
    }

    pub(super) fn contains(&self, id: TransactionId) -> bool {
        self.transactions.contains_key(&id)
    }

    pub(super) fn get_mut(&mut self, id: TransactionId) -> Option<&mut ServerTransaction> {
        self.transactions.get_mut(&id).map(Box::as_mut)
    }

    pub(super) fn insert(&mut self, id: TransactionId, transaction: ServerTransaction) {
        self.by_key.insert(Arc::clone(&transaction.key), id);
        if let Some(merge_key) = &transaction.merge_key {
            self.by_merge_key.insert(Arc::clone(merge_key), id);
        }
        self.transactions.insert(id, Box::new(transaction));
    }

    pub(super) fn remove(&mut self, id: TransactionId) {
        let Some(transaction) = self.transactions.remove(&id) else { return };
        self.by_key.remove(&transaction.key);
        if let Some(merge_key) = &transaction.merge_key {
            self.by_merge_key.remove(merge_key);
        }
    }
}
