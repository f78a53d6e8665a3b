//! What an endpoint reports, and what it is asked for.

use crate::sip::message::{HeaderName, Message, NameAddr, Unwritable, Uri};
use crate::sip::registration::RegisterOutcome;
use crate::sip::session::provisional::OPTION_TAG;
use crate::sip::session::{ChangeId, SessionId};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::fmt;
use std::time::Instant;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A new call, already answered with 100. To be answered by `ring`, `accept` or `reject`. Whatever RFC 3261 §8.2 has
    /// refused was refused.
    Invite(Box<IncomingInvite>),
    /// The PRACK to our 183 came, which had a session description: the caller hears us, before the answer.
    EarlyConfirmed {
        /// Which call.
        session: SessionId,
        /// The PRACK's answer, where our 183 held the offer.
        body: Option<Bytes>,
    },
    /// The ACK to our 200 came: the call stands. It is not reported where `bye` was asked for before.
    Confirmed {
        /// Which call.
        session: SessionId,
        /// The ACK's body: the answer, where our 200 held the offer.
        body: Option<Bytes>,
    },
    /// The peer asks for a change of the session, or for our offer, by re-INVITE or UPDATE. To be answered by
    /// `answer_change` or `refuse_change`; until then nothing has changed. An offer that says nothing new was answered.
    SessionChange {
        /// Which call.
        session: SessionId,
        /// Which change.
        change: ChangeId,
        /// The peer's offer; `None` asks for ours, and its answer comes with [`Event::ChangeAcknowledged`].
        offer: Option<Bytes>,
    },
    /// The ACK came to our 200 that held an offer in mid-call.
    ChangeAcknowledged {
        /// Which call.
        session: SessionId,
        /// The answer.
        body: Option<Bytes>,
    },
    /// The peer's answer to a refresh of ours by re-INVITE, whose offer repeated our description: as a rule what it answered
    /// before.
    RefreshAnswered {
        /// Which call.
        session: SessionId,
        /// The answer.
        body: Bytes,
    },
    /// A change that waited for its answer was cancelled, or ended with its call: nothing has changed.
    ChangeWithdrawn {
        /// Which call.
        session: SessionId,
        /// Which change.
        change: ChangeId,
    },
    /// The peer's user pressed a key, which came by INFO.
    Key {
        /// Which call.
        session: SessionId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        key: char,
        /// When.
        at: Instant,
    },
    /// The peer says why it ends or cancels the call (RFC 3326); the event of the end follows.
    ReasonGiven {
        /// Which call.
        session: SessionId,
        /// The value of its Reason field, as far as it is kept.
        reason: String,
    },
    /// The caller gave up before the answer, by CANCEL or BYE. 487 was answered; the session is gone.
    Cancelled {
        /// Which call.
        session: SessionId,
    },
    /// A provisional response above 100 to our INVITE.
    Progress {
        /// Which call.
        session: SessionId,
        /// 101–199.
        status: u16,
        /// A session description: early media may come. Of a reliable response it is the answer to our offer.
        body: Option<Bytes>,
    },
    /// Our INVITE was answered with 2xx.
    Answered {
        /// Which call.
        session: SessionId,
        /// The session description of the answer.
        body: Option<Bytes>,
        /// `false`: the body is the answer to our offer, and the ACK was sent. `true`: the body is an offer, since our
        /// INVITE had none, and the ACK waits for `acknowledge`.
        needs_answer: bool,
    },
    /// Our INVITE was refused; the session is gone.
    Rejected {
        /// Which call.
        session: SessionId,
        /// 300–699; 408 also where no final response came at all (RFC 3261 §8.1.3.1).
        status: u16,
        /// The reason phrase, as text.
        reason: String,
    },
    /// A call that was answered is over; the session is gone.
    Ended {
        /// Which call.
        session: SessionId,
        /// Why.
        cause: EndCause,
    },
    /// Our REGISTER came to its end.
    RegisterEnded {
        /// Which request.
        request: RegisterId,
        /// How.
        outcome: RegisterOutcome,
    },
    /// Our OPTIONS was answered.
    OptionsAnswered {
        /// Which request.
        request: OptionsId,
        /// 200–699; 408 where no final response came.
        status: u16,
    },
}

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndCause {
    /// The peer sent BYE.
    ByeReceived,
    /// Our BYE got its final response.
    ByeCompleted,
    /// Our BYE got no final response within 64·T1.
    ByeTimeout,
    /// No ACK to our 2xx came within 64·T1; BYE was sent (RFC 3261 §13.3.1.4).
    AckTimeout,
    /// No PRACK to a reliable provisional response of ours came within 64·T1; the INVITE was refused with 504 (RFC 3262
    /// §3).
    PrackTimeout,
    /// The call was not answered by us within the limit, and was refused with 480.
    SetupTimeout,
    /// No refresh of the session came in time; BYE was sent (RFC 4028 §10).
    SessionExpired,
    /// Our refresh of the session was answered 408 or 481, or not at all; BYE was sent (RFC 4028 §10).
    RefreshFailed,
    /// A 2xx crossed our CANCEL; ACK and BYE were sent.
    AnsweredAfterCancel,
}

/// Names an OPTIONS request of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OptionsId(pub(super) u64);

/// Whether a caller takes provisional responses reliably (RFC 3262).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reliability {
    /// It says nothing of it.
    #[default]
    None,
    /// `Supported: 100rel`.
    Supported,
    /// `Require: 100rel`.
    Required,
}

impl Reliability {
    /// What an INVITE says.
    pub(in crate::sip) fn of(invite: &Message<'_>) -> Self {
        if invite.requires(OPTION_TAG) {
            Self::Required
        } else if invite.supports(OPTION_TAG) {
            Self::Supported
        } else {
            Self::None
        }
    }
}

/// Names a REGISTER of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegisterId(pub(super) u64);

/// A new call.
#[derive(Clone, PartialEq, Eq)]
pub struct IncomingInvite {
    /// The session, for `ring`, `accept`, `reject` and `bye`.
    pub session: SessionId,
    /// The way it came.
    pub flow: Flow,
    /// The Request-URI.
    pub request_uri: String,
    /// The number called: user part of a sip URI or number of a tel URI, escapes resolved, as written otherwise.
    pub called: Option<String>,
    /// From.
    pub from: Party,
    /// To.
    pub to: Party,
    /// Call-ID.
    pub call_id: String,
    /// P-Asserted-Identity, in order (RFC 3325 §9.1). Whether the peer may assert it is for the call layer to know.
    pub asserted_identities: Vec<Party>,
    /// The values of Privacy, in lower case (RFC 3323 §4.2).
    pub privacy: Vec<String>,
    /// The user who has proven that he sent it, by digest authentication (RFC 3261 §22).
    pub authenticated: Option<String>,
    /// The session description; `None` asks for ours (late offer, RFC 3261 §13.2.1).
    pub offer: Option<Bytes>,
    /// Whether `progress` is reliable, and `ring`.
    pub reliability: Reliability,
    /// The whole INVITE, for whatever else is wanted of it.
    pub message: Bytes,
}

/// The kind of a URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UriKind {
    /// `sip:`.
    Sip,
    /// `sips:`.
    Sips,
    /// `tel:`.
    Tel,
    /// Another.
    Other,
}

/// An address of From, To or P-Asserted-Identity, as text. Octets that are not UTF-8 are read as Latin-1. It may be that
/// of a subscriber: its `Debug` shows only the kind.
#[derive(Clone, PartialEq, Eq)]
pub struct Party {
    /// The display name without quotes; empty where there is none.
    pub display: String,
    /// The whole URI.
    pub uri: String,
    /// Its kind.
    pub kind: UriKind,
    /// User part of a sip URI or number of a tel URI, escapes resolved.
    pub user: Option<String>,
}

impl fmt::Debug for Party {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Party").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Without the caller and the message, which are not for a log.
impl fmt::Debug for IncomingInvite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IncomingInvite")
            .field("session", &self.session)
            .field("flow", &self.flow)
            .field("called", &self.called)
            .field("call_id", &self.call_id)
            .field("has_offer", &self.offer.is_some())
            .finish_non_exhaustive()
    }
}

impl Party {
    /// Reads it from a header field.
    pub fn of(address: &NameAddr<'_>) -> Self {
        let kind = match address.uri {
            Uri::Sip(uri) if uri.secure => UriKind::Sips,
            Uri::Sip(_) => UriKind::Sip,
            Uri::Tel(_) => UriKind::Tel,
            Uri::Other(_) => UriKind::Other,
        };
        Self {
            display: text(&address.display_name()),
            uri: text(address.uri.raw()),
            kind,
            user: address.uri.user().map(|user| text(&user)),
        }
    }
}

/// Octets as text: UTF-8, or else Latin-1, in which every octet is a character.
pub(in crate::sip) fn text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().copied().map(char::from).collect(),
    }
}

impl IncomingInvite {
    pub(in crate::sip) fn new(
        session: SessionId,
        flow: Flow,
        request: &Message<'_>,
        message: Bytes,
    ) -> Option<Self> {
        let uri = request.request_uri().ok()?;
        let body = request.body();
        let offer = super::ladder::is_session_description(request) && !body.is_empty();
        Some(Self {
            session,
            flow,
            request_uri: text(uri.raw()),
            called: uri.user().map(|user| text(&user)),
            from: Party::of(&request.from().ok()?),
            to: Party::of(&request.to().ok()?),
            call_id: text(request.call_id().ok()?),
            asserted_identities: request.asserted_identities().flatten().map(|i| Party::of(&i)).collect(),
            privacy: request.privacy().flatten().map(|p| text(p).to_ascii_lowercase()).collect(),
            authenticated: None,
            offer: offer.then(|| Bytes::copy_from_slice(body)),
            reliability: Reliability::of(request),
            message,
        })
    }
}

/// A refusal of a call by the call layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// 300–699.
    pub status: u16,
    /// The reason phrase; empty for that of RFC 3261 §21.
    pub reason: String,
    /// More header fields, such as Retry-After or Warning.
    pub headers: Vec<(String, String)>,
}

impl Rejection {
    /// A refusal with the usual phrase and no header fields.
    pub fn new(status: u16) -> Self {
        Self { status, reason: String::new(), headers: Vec::new() }
    }
}

/// A call of ours.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct InviteParams {
    /// Whom to call: a sip, sips or tel URI.
    pub request_uri: String,
    /// Who calls: a URI, or a name-addr such as `"130" <sip:130@example.com>`, without a tag.
    pub from: String,
    /// Who is called, in the same forms.
    pub to: String,
    /// P-Asserted-Identity, as it is to stand there.
    pub p_asserted_identity: Option<String>,
    /// More header fields.
    pub extra_headers: Vec<(String, String)>,
    /// The offer; `None` leaves it to the peer.
    pub sdp: Option<Vec<u8>>,
}

/// Without the caller, who is not for a log.
impl fmt::Debug for InviteParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InviteParams")
            .field("request_uri", &self.request_uri)
            .field("has_offer", &self.sdp.is_some())
            .finish_non_exhaustive()
    }
}

/// An OPTIONS of ours outside any dialog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OptionsParams {
    /// Whom to ask.
    pub request_uri: String,
    /// Who asks, as in [`InviteParams`].
    pub from: String,
    /// More header fields.
    pub extra_headers: Vec<(String, String)>,
}

/// A REGISTER of ours (RFC 3261 §10.2). Its `Debug` leaves out the answers to challenges.
#[derive(Clone, PartialEq, Eq)]
pub struct RegisterParams {
    /// The registrar's domain.
    pub request_uri: String,
    /// Who registers, for To and From: a URI.
    pub address_of_record: String,
    /// The same in all REGISTERs of a registration.
    pub call_id: String,
    /// Rises with each of them.
    pub cseq: u32,
    /// User part of the Contact.
    pub contact_user: String,
    /// The life of the binding, s; 0 ends it.
    pub expires_s: u32,
    /// Values of Route, topmost first.
    pub routes: Vec<String>,
    /// More header fields.
    pub fields: Vec<(HeaderName, String)>,
}

impl fmt::Debug for RegisterParams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RegisterParams")
            .field("request_uri", &self.request_uri)
            .field("cseq", &self.cseq)
            .field("expires_s", &self.expires_s)
            .finish_non_exhaustive()
    }
}

/// Why a request of ours was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginateError {
    /// [`super::Limits::max_sessions`] is reached.
    #[error("too many sessions")]
    TooManySessions,
    /// [`super::Limits::max_client_transactions`] is reached.
    #[error("too many client transactions")]
    TooManyTransactions,
    /// From or To is neither a URI nor a name-addr, or has a tag.
    #[error("an address that cannot stand in From or To")]
    Address,
    /// Something that cannot stand in a SIP message.
    #[error("a value that cannot be written")]
    Unwritable(#[from] Unwritable),
}

/// Why an order for a session was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no such session: it may have ended while the order was on its way, which its event told.
    #[error("no such session")]
    NoSuchSession,
    /// The session is in a state that does not allow it.
    #[error("not possible in the session's state")]
    State,
    /// The status code of a rejection is not 300–699.
    #[error("not the status code of a refusal")]
    Status,
    /// Something that cannot stand in a SIP message.
    #[error("a value that cannot be written")]
    Unwritable(#[from] Unwritable),
}
