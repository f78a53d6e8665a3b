//! The client transactions an endpoint holds, with the requests they send again.

use super::event::{OptionsId, RegisterId};
use super::server_table::TransactionId;
use crate::sip::identifier::{BranchId, HashKey};
use crate::sip::session::SessionId;
use crate::sip::timer::Timers;
use crate::sip::transaction::{ClientAction, InviteClient, NonInviteClient, ResponseClass};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::Instant;

/// 2xx responses of different forks to one INVITE that are acknowledged; more are dropped.
pub(in crate::sip) const MAX_FORKS: usize = 8;

/// Either client machine.
#[derive(Debug)]
pub(super) enum ClientMachine {
    Invite(InviteClient),
    NonInvite(NonInviteClient),
}

impl ClientMachine {
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

    pub(super) fn response(&mut self, now: Instant, class: ResponseClass, timers: &Timers) -> ClientAction {
        match self {
            Self::Invite(machine) => machine.response(now, class, timers),
            Self::NonInvite(machine) => machine.response(now, class, timers),
        }
    }

    /// The way failed: ends a machine that waits for a final response, and yields whether it did (RFC 3261 §17.1.4).
    pub(super) fn transport_failed(&mut self) -> bool {
        match self {
            Self::Invite(machine) => machine.transport_failed(),
            Self::NonInvite(machine) => machine.transport_failed(),
        }
    }

    pub(super) fn timeout(&mut self, now: Instant, timers: &Timers) -> Option<ClientAction> {
        match self {
            Self::Invite(machine) => machine.timeout(now),
            Self::NonInvite(machine) => machine.timeout(now, timers),
        }
    }
}

/// An ACK to a 2xx, kept to be sent again with every copy of that 2xx (RFC 3261 §13.2.2.4).
#[derive(Debug)]
pub(super) struct Acknowledgement {
    /// The To tag of the 2xx.
    pub(super) remote_tag: Box<[u8]>,
    pub(super) bytes: Bytes,
    pub(super) flow: Flow,
}

/// What a request was sent for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// A call.
    Invite {
        session: SessionId,
        acknowledgements: Vec<Acknowledgement>,
    },
    Cancel,
    /// A refresh of a session of ours, by re-INVITE or UPDATE.
    Refresh {
        session: SessionId,
        is_invite: bool,
        /// The ACK to the 2xx of a re-INVITE, which is sent again with every copy of that.
        acknowledgement: Option<Acknowledgement>,
    },
    /// The acknowledgement of a reliable provisional response, whose outcome nobody waits for.
    Prack,
    /// The end of a call; of none where nobody waits for the outcome.
    Bye(Option<SessionId>),
    Options(OptionsId),
    Register(RegisterId),
}

/// A client transaction.
#[derive(Debug)]
pub(super) struct ClientTransaction {
    pub(super) machine: ClientMachine,
    pub(super) flow: Flow,
    pub(super) request: Bytes,
    /// Of a request that goes over TCP for its size: as it goes over UDP if that fails (RFC 3261 §18.1.1).
    pub(super) by_udp: Option<Box<Bytes>>,
    pub(super) key: ClientKey,
    pub(super) purpose: Purpose,
    /// Memory of the wake-up heap.
    pub(super) scheduled: Option<Instant>,
}

/// How a response finds its transaction (RFC 3261 §17.1.3): the branch, and whether the method is CANCEL, which shares
/// the branch of its INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) branch: BranchId,
    pub(super) is_cancel: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct ClientTransactions {
    transactions: HashMap<TransactionId, ClientTransaction, HashKey>,
    by_key: HashMap<ClientKey, TransactionId, HashKey>,
}

impl ClientTransactions {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self { transactions: HashMap::with_hasher(hash_key), by_key: HashMap::with_hasher(hash_key) }
    }

    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Entries of the index, which must not outlive their transactions.
    pub(super) fn index_len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: ClientKey) -> Option<TransactionId> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn contains(&self, id: TransactionId) -> bool {
        self.transactions.contains_key(&id)
    }

    /// Those whose answer would come by `flow`, in the order they were made.
    pub(super) fn waiting_by(&self, flow: Flow) -> Vec<TransactionId> {
        let waiting = self.transactions.iter().filter(|(_, transaction)| transaction.waits_by(flow));
        let mut ids: Vec<_> = waiting.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    pub(super) fn get_mut(&mut self, id: TransactionId) -> Option<&mut ClientTransaction> {
        self.transactions.get_mut(&id)
    }

    pub(super) fn insert(&mut self, id: TransactionId, transaction: ClientTransaction) {
        self.by_key.insert(transaction.key, id);
        self.transactions.insert(id, transaction);
    }

    pub(super) fn remove(&mut self, id: TransactionId) {
        if let Some(transaction) = self.transactions.remove(&id) {
            self.by_key.remove(&transaction.key);
        }
    }
}
