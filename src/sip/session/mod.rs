//! Sessions: the transaction user of INVITE (RFC 3261 §13–§15), one for each call, on either side.
//!
//! A session is a state and what belongs to it. The steps that move it are methods of the endpoint, one file for each
//! part of a call: [`accept`] and [`provisional`] (the called side), [`invite`] and [`early`] (the calling side), [`bye`],
//! [`cancel`], [`info`], [`change`] with [`reinvite`] and [`update`], [`refresh`] and [`refreshing`] (session timers).

mod accept;
mod bye;
mod cancel;
mod change;
mod early;
mod info;
mod invite;
pub(super) mod provisional;
pub(super) mod refresh;
mod refreshing;
mod reinvite;
mod update;

use crate::sip::dialog::Dialog;
use crate::sip::endpoint::TransactionId;
use crate::sip::identifier::{HashKey, Tag};
use crate::sip::overload::Neighbour;
use crate::sip::reason::Reason;
use crate::sip::timer::{SessionTimer, TimerTable};
use crate::sip::transport::Flow;
use bytes::Bytes;
use change::Change;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Names a session for as long as the endpoint lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(super) u64);

/// Names a change of a session that waits for its answer, for as long as the endpoint lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChangeId(u64);

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
    /// It holds an offer of ours, whose answer comes in the ACK.
    pub(super) holds_offer: bool,
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

/// Whether a call of a neighbour was ever acknowledged: until then nothing shows that it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acknowledged {
    NotYet,
    Once,
}

/// The calls that a neighbour has under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CallsUnderWay {
    /// All.
    pub(super) all: usize,
    /// Those whose answer was never acknowledged, and those that are not answered.
    pub(super) unacknowledged: usize,
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
    /// Whose call it is, and whether its answer waits for the first ACK; `None` for a call of ours.
    pub(super) neighbour: Option<(Neighbour, Acknowledged)>,
    /// `None` on the calling side until a 2xx comes.
    pub(super) dialog: Option<Box<Dialog>>,
    pub(super) timers: TimerTable<SessionTimer, 6>,
    /// Our current session description.
    pub(super) local_description: Option<Bytes>,
    /// The peer's current session description; `None` while our offer waits for its answer.
    pub(super) remote_description: Option<Bytes>,
    /// Our description is an offer, which theirs answers: it may say more than can be answered to an offer like theirs.
    pub(super) offered_by_us: bool,
    /// A request of the peer that waits for the call layer's answer.
    pub(super) change: Option<Box<Change>>,
    /// Calling side: the early dialogs, until the session ends.
    pub(super) early: Vec<early::EarlyDialog>,
    /// Called side: its reliable provisional responses, where there was one.
    pub(super) provisionals: Option<Box<provisional::Provisionals>>,
    /// The session timer, where there is one.
    pub(super) refresh: Option<Box<refresh::Refresh>>,
    /// A re-INVITE or UPDATE of ours that holds an offer has no final response yet: whoever sends one sets it, and
    /// clears it with the response. Meanwhile offers of the peer are answered 491.
    pub(super) offer_of_ours: bool,
    /// Memory of the wake-up heap.
    pub(super) scheduled: Option<Instant>,
}

impl Session {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            neighbour: None,
            dialog: None,
            timers: TimerTable::default(),
            local_description: None,
            remote_description: None,
            offered_by_us: false,
            change: None,
            early: Vec::new(),
            provisionals: None,
            refresh: None,
            offer_of_ours: false,
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

/// How far a dialog is, for who wants to replace it (RFC 3891).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Early,
    Confirmed,
    Ending,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Sessions {
    sessions: HashMap<SessionId, Session, HashKey>,
    by_tag: HashMap<Tag, SessionId, HashKey>,
    /// How many calls each neighbour has.
    by_neighbour: HashMap<Neighbour, CallsUnderWay, HashKey>,
    /// The ways that the DNS has led dialogs to, and how many follow each.
    found: HashMap<Flow, usize, HashKey>,
}

impl Sessions {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self {
            sessions: HashMap::with_hasher(hash_key),
            by_tag: HashMap::with_hasher(hash_key),
            by_neighbour: HashMap::with_hasher(hash_key),
            found: HashMap::with_hasher(hash_key),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(&id)
    }

    pub(super) fn contains(&self, id: SessionId) -> bool {
        self.sessions.contains_key(&id)
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

    /// How far the dialog of these identifiers is, seen from our side; a `remote_tag` of `0` is none (RFC 3891 §3).
    pub(super) fn standing(&self, call_id: &[u8], local_tag: &[u8], remote_tag: &[u8]) -> Option<Standing> {
        let id = self.by_tag.get(&Tag::parse(local_tag)?)?;
        let session = self.sessions.get(id)?;
        session.dialog.as_deref().filter(|dialog| dialog.is(call_id, remote_tag))?;
        Some(match session.state {
            State::Incoming { .. } | State::Calling { .. } => Standing::Early,
            State::Answered { .. } | State::Answering { .. } | State::Established { .. } => {
                Standing::Confirmed
            }
            State::Ending => Standing::Ending,
        })
    }

    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        if let Some(dialog) = &session.dialog {
            self.by_tag.insert(dialog.local_tag(), id);
        }
        if let Some((neighbour, acknowledged)) = session.neighbour {
            let calls = self.by_neighbour.entry(neighbour).or_default();
            calls.all += 1;
            calls.unacknowledged += usize::from(acknowledged == Acknowledged::NotYet);
        }
        self.sessions.insert(id, session);
    }

    /// The calls that `neighbour` has under way.
    pub(super) fn calls_of(&self, neighbour: Neighbour) -> CallsUnderWay {
        self.by_neighbour.get(&neighbour).copied().unwrap_or_default()
    }

    /// The answer of a call was acknowledged.
    pub(super) fn acknowledged(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if let Some((neighbour, acknowledged @ Acknowledged::NotYet)) = &mut session.neighbour {
            *acknowledged = Acknowledged::Once;
            if let Some(calls) = self.by_neighbour.get_mut(neighbour) {
                calls.unacknowledged = calls.unacknowledged.saturating_sub(1);
            }
        }
    }

    /// Lets the requests of a session go by `flow`, which was found for the URI of its next hop.
    pub(super) fn follow(&mut self, id: SessionId, uri: &[u8], flow: Flow) -> bool {
        let Some(dialog) = self.sessions.get_mut(&id).and_then(|session| session.dialog.as_mut()) else {
            return false;
        };
        let before = dialog.found();
        if !dialog.follow(uri, flow) {
            return false;
        }
        *self.found.entry(flow).or_default() += 1;
        self.leave(before);
        true
    }

    /// A dialog does not follow that way any more.
    fn leave(&mut self, found: Option<Flow>) {
        let Some(found) = found else { return };
        if let Some(count) = self.found.get_mut(&found) {
            *count -= 1;
            if *count == 0 {
                self.found.remove(&found);
            }
        }
    }

    /// Whether `flow` was found for the next hop of some dialog.
    pub(super) fn is_found(&self, flow: Flow) -> bool {
        !self.found.is_empty() && self.found.contains_key(&flow)
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
            self.leave(dialog.found());
            self.by_tag.remove(&dialog.local_tag());
        }
        if let Some((neighbour, acknowledged)) = session.neighbour
            && let Some(calls) = self.by_neighbour.get_mut(&neighbour)
        {
            calls.all = calls.all.saturating_sub(1);
            let waited = usize::from(acknowledged == Acknowledged::NotYet);
            calls.unacknowledged = calls.unacknowledged.saturating_sub(waited);
        }
        Some(session)
    }
}
