//! Sessions: the transaction user of INVITE (RFC 3261 §13–§15), one for each call, on either side.
//!
//! A session is a state and what belongs to it. The steps that move it are methods of the endpoint, one file for each
//! part of a call: [`accept`] and [`provisional`] (the called side), [`invite`] and [`early`] (the calling side), [`bye`], [`cancel`]
//! and [`reinvite`].

mod accept;
mod bye;
mod cancel;
mod early;
mod invite;
pub(super) mod provisional;
mod reinvite;

use crate::sip::dialog::Dialog;
use crate::sip::endpoint::TransactionId;
use crate::sip::identifier::{HashKey, Tag};
use crate::sip::reason::Reason;
use crate::sip::timer::{SessionTimer, TimerTable};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Names a session for as long as the endpoint lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(super) u64);

/// A 2xx response to an INVITE that waits for its ACK (RFC 3261 §13.3.1.4).
#[derive(Debug)]
pub(super) struct Unacknowledged {
    /// The INVITE's transaction.
    pub(super) invite: TransactionId,
    /// CSeq of the INVITE and of its ACK.
    pub(super) cseq: u32,
    pub(super) response: Bytes,
    /// By which way it goes.
    pub(super) flow: Flow,
    /// The wait before it goes out again.
    pub(super) interval: Duration,
}

/// A BYE that was asked for.
#[derive(Debug)]
pub(super) struct HangUp {
    /// The value of its Reason field (RFC 3326).
    pub(super) reason: String,
}

/// How far the cancelling of our INVITE is (RFC 3261 §9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancelling {
    /// Not asked for.
    No,
    /// Asked for; CANCEL waits for a provisional response.
    Asked(Reason),
    /// CANCEL was sent.
    Sent,
}

/// The states of a session.
#[derive(Debug)]
pub(super) enum State {
    /// Called side: no final response yet.
    Incoming { invite: TransactionId },
    /// Called side: 2xx sent, no ACK yet.
    Answered { unacknowledged: Unacknowledged, hang_up: Option<HangUp> },
    /// Either side: the ACK was received or sent. A re-INVITE's 2xx may wait for its own.
    Established { reinvite: Option<Unacknowledged> },
    /// Either side: BYE sent.
    Ending,
    /// Calling side: no final response yet.
    Calling { invite: TransactionId, has_offer: bool, provisional: bool, cancelling: Cancelling },
    /// Calling side: a 2xx with an offer came; the ACK waits for our answer.
    Answering { invite: TransactionId },
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) state: State,
    /// `None` on the calling side until a 2xx comes.
    pub(super) dialog: Option<Box<Dialog>>,
    pub(super) timers: TimerTable<SessionTimer, 5>,
    /// Our current session description.
    pub(super) local_description: Option<Bytes>,
    /// The peer's current session description.
    pub(super) remote_description: Option<Bytes>,
    /// Calling side: the early dialogs, until the session ends.
    pub(super) early: Vec<early::EarlyDialog>,
    /// Called side: its reliable provisional responses, where there was one.
    pub(super) provisionals: Option<Box<provisional::Provisionals>>,
    /// Memory of the wake-up heap.
    pub(super) scheduled: Option<Instant>,
}

impl Session {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            dialog: None,
            timers: TimerTable::default(),
            local_description: None,
            remote_description: None,
            early: Vec::new(),
            provisionals: None,
            scheduled: None,
        }
    }

    /// Whether its dialog is the one with the peer's tag `remote_tag`.
    pub(super) fn has_remote_tag(&self, remote_tag: &[u8]) -> bool {
        self.dialog.as_ref().is_some_and(|dialog| dialog.remote_tag() == remote_tag)
    }

    /// The 2xx that waits for its ACK.
    pub(super) fn unacknowledged_mut(&mut self) -> Option<&mut Unacknowledged> {
        match &mut self.state {
            State::Answered { unacknowledged, .. } => Some(unacknowledged),
            State::Established { reinvite } => reinvite.as_mut(),
            _ => None,
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Sessions {
    sessions: HashMap<SessionId, Session, HashKey>,
    by_tag: HashMap<Tag, SessionId, HashKey>,
}

impl Sessions {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self { sessions: HashMap::with_hasher(hash_key), by_tag: HashMap::with_hasher(hash_key) }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    /// Entries of the index, which must not outlive their sessions.
    pub(in crate::sip) fn index_len(&self) -> usize {
        self.by_tag.len()
    }

    /// The session whose dialog has `tag` as our tag.
    pub(super) fn find(&self, tag: Tag) -> Option<(SessionId, &Dialog)> {
        let id = self.by_tag.get(&tag)?;
        let session = self.sessions.get(id)?;
        session.dialog.as_deref().map(|dialog| (*id, dialog))
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        if let Some(dialog) = &session.dialog {
            self.by_tag.insert(dialog.local_tag(), id);
        }
        self.sessions.insert(id, session);
    }

    /// Gives a session of the calling side its dialog.
    pub(super) fn set_dialog(&mut self, id: SessionId, dialog: Dialog) {
        if let Some(session) = self.sessions.get_mut(&id) {
            self.by_tag.insert(dialog.local_tag(), id);
            session.dialog = Some(Box::new(dialog));
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.sessions.remove(&id)?;
        if let Some(dialog) = &session.dialog {
            self.by_tag.remove(&dialog.local_tag());
        }
        Some(session)
    }
}
