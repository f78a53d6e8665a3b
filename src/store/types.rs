//! What the store takes and gives, free of any database.

use super::media_quality::MediaQuality;
use super::{AdminError, Entered, Origin};
use crate::klikon::{Audience, PackageName, PinHash, Refusal};
use crate::ledger::{Account, Balance, Transfer};
use crate::units::{
    ActivationId, CallId, FixedNumber, GroupId, LeadershipId, MemberId, Money, Month, Msisdn, PackageId,
};
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

/// A SuperFamilja group (DOMAIN §1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// The fixed line that pays.
    pub contract: FixedNumber,
    /// Since when.
    pub opened_at: Timestamp,
    /// Closed since; `None` while it is active.
    pub closed_at: Option<Timestamp>,
}

/// A membership (DOMAIN §1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// In which group.
    pub group: GroupId,
    /// Of which number.
    pub msisdn: Msisdn,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when; `None` while it lasts.
    pub left_at: Option<Timestamp>,
}

/// How the right of the Lider Mobile was granted (DOMAIN §1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "channel")]
pub enum GrantChannel {
    /// In a shop, with a signed declaration.
    Shop {
        /// Its number, not empty.
        declaration: String,
    },
    /// Online, by the Lider Fiks.
    Online,
}

/// One entry in a group's history of leaders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leadership {
    /// In which group.
    pub group: GroupId,
    /// Whose membership.
    pub member: MemberId,
    /// Whose number.
    pub msisdn: Msisdn,
    /// Since when.
    pub since: Timestamp,
    /// Until when; `None` for the current one.
    pub until: Option<Timestamp>,
    /// The Lider Fiks who granted it.
    pub granted_by: String,
    /// How.
    #[serde(flatten)]
    pub channel: GrantChannel,
    /// Who entered it, and why.
    pub entered: Option<Entered>,
}

/// What a try at a leader's PIN comes to, before the PIN is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinAttempt {
    /// The leader has none, or the number leads no group.
    NoPin,
    /// Too many were wrong: none is looked at now.
    Locked,
    /// Counted as wrong; `Store::pin_was_right` takes that back.
    Begun {
        /// Whose PIN.
        leadership: LeadershipId,
        /// What the keyed one must be of.
        hash: PinHash,
        /// Whether a wrong one is the last for a while.
        locks_if_wrong: bool,
    },
}

/// A package as it may be offered now (DOMAIN §2.1, §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The version to be ordered.
    pub package: PackageId,
    /// Its name; `name.number()` is what is said.
    pub name: PackageName,
    /// Before the discount.
    pub list: Money,
    /// To be paid.
    pub net: Money,
    /// Whether the month's limit allows it now.
    pub fits: bool,
}

/// A new package or a new price of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPackage {
    /// Its name.
    pub name: PackageName,
    /// List price, VAT included, more than zero.
    pub list: Money,
    /// The day a changed price was announced; not looked at for the first version.
    pub announced_on: Date,
    /// The first day it is sold.
    pub valid_from: Date,
    /// The first day it is not sold any more.
    pub valid_until: Option<Date>,
}

/// What a caller has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationOrder {
    /// Made before the first try, and the same at every try.
    pub id: ActivationId,
    /// In which call.
    pub call: CallId,
    /// By whom.
    pub caller: Msisdn,
    /// For whom.
    pub member: Msisdn,
    /// What.
    pub package: PackageId,
    /// The net price that was read out.
    pub quoted_net: Money,
    /// When it was confirmed: fixes the month (DOMAIN §3.3).
    pub at: Timestamp,
}

/// A month whose bills are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosedMonth {
    /// Of the run of bills: 1 for the first month that was closed, then without gaps.
    pub sequence: u32,
    /// The month.
    pub month: Month,
    /// When.
    pub closed_at: Timestamp,
    /// By whom.
    pub closed_by: String,
    /// Of the run's CSV file, in hexadecimal.
    pub csv_sha256: String,
    /// Of its JSON file.
    pub json_sha256: String,
}

/// What an activation is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum ActivationState {
    /// Held: the network has not answered yet.
    Pending,
    /// Activated, on the bill.
    Posted,
    /// Rejected, nothing on the bill, the limit freed.
    Voided {
        /// The network's reason.
        reason: String,
    },
    /// Activated, and taken back by an administrator.
    Reversed {
        /// Why.
        reason: String,
    },
}

impl ActivationState {
    /// One word.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Posted => "posted",
            Self::Voided { .. } => "voided",
            Self::Reversed { .. } => "reversed",
        }
    }
}

/// An activation in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Activation {
    /// Which.
    pub id: ActivationId,
    /// In which call.
    pub call: CallId,
    /// Who pays.
    pub group: GroupId,
    /// Who asked.
    pub caller: Msisdn,
    /// For whom.
    pub member: Msisdn,
    /// What, in which version.
    pub package: PackageId,
    /// Its name.
    pub name: PackageName,
    /// Before the discount.
    pub list: Money,
    /// Taken off.
    pub discount: Money,
    /// On the bill.
    pub net: Money,
    /// Of the hold.
    pub month: Month,
    /// When it was confirmed, to the millisecond.
    pub held_at: Timestamp,
    /// What it is now.
    #[serde(flatten)]
    pub state: ActivationState,
}

/// A fresh hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Whose limit.
    pub group: GroupId,
    /// Which month's.
    pub month: Month,
    /// Net price held.
    pub net: Money,
    /// What the month has left.
    pub left: Money,
}

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldOutcome {
    /// Held now: the amount is off the limit and the order is on its way.
    Held(Held),
    /// The same order was held before; this is what became of it.
    Exists(Box<Activation>),
    /// Nothing was booked.
    Refused(Refusal),
}

/// What the network answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Activated.
    Post,
    /// Rejected.
    Void {
        /// Its reason, for the operator's staff.
        reason: String,
    },
}

/// The answer to a settlement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// Settled now.
    Now(Activation),
    /// It was settled the same way before.
    Before(Activation),
}

/// The answer to a reversal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reversed {
    /// Reversed now.
    Now(Activation),
    /// It was reversed before.
    Before(Activation),
}

/// An order to the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// To be repeated in the acknowledgement. An order that comes twice is the same order.
    pub activation: ActivationId,
    /// Whose number, E.164.
    pub msisdn: Msisdn,
    /// What is activated.
    pub package: PackageName,
    /// The fixed line that pays, E.164.
    pub contract: FixedNumber,
    /// When it was confirmed.
    pub confirmed_at: Timestamp,
    /// Always `130`.
    pub channel: String,
}

/// An SMS to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sms {
    /// About which activation.
    pub activation: ActivationId,
    /// To whom, E.164.
    pub recipient: Msisdn,
    /// As who.
    pub audience: Audience,
    /// What it says.
    pub text: String,
}

/// What an outbox row carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutboxContent {
    /// To the network.
    Order(Order),
    /// To a subscriber.
    Sms(Sms),
}

/// A row of the outbox that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its number: the same at every delivery.
    pub id: i64,
    /// What it carries.
    pub content: OutboxContent,
}

/// Why a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallEnd {
    /// The service said goodbye and hung up.
    Goodbye,
    /// The caller hung up.
    CallerHungUp,
    /// The caller gave up before the answer.
    Cancelled,
    /// Refused with a final response.
    Rejected,
    /// No ACK came.
    AckTimeout,
    /// No RTP came.
    RtpTimeout,
    /// No refresh of the session came, or ours was not answered.
    SessionExpired,
    /// The service was stopped.
    Shutdown,
    /// A fault of the service.
    Failed,
}

impl CallEnd {
    const ALL: [Self; 9] = [
        Self::Goodbye,
        Self::CallerHungUp,
        Self::Cancelled,
        Self::Rejected,
        Self::AckTimeout,
        Self::RtpTimeout,
        Self::SessionExpired,
        Self::Shutdown,
        Self::Failed,
    ];

    /// The word for it in the tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::CallerHungUp => "caller-hung-up",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::AckTimeout => "ack-timeout",
            Self::RtpTimeout => "rtp-timeout",
            Self::SessionExpired => "session-expired",
            Self::Shutdown => "shutdown",
            Self::Failed => "failed",
        }
    }

    pub(super) fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.label() == label)
    }
}

/// The record of a call. Its activations are those that carry its id: `Store::activations_of_call`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// Which.
    pub id: CallId,
    /// As the SIP trace names it.
    pub sip_call_id: String,
    /// The caller's number, whole; `None`: withheld or not to be believed.
    pub caller: Option<String>,
    /// The number dialled.
    pub called: String,
    /// When the INVITE came.
    pub received_at: Timestamp,
    /// When it was answered, if it was.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Why.
    pub end: CallEnd,
    /// Why the caller's side ended it, in its own words: the value of the Reason field of its BYE or CANCEL (RFC 3326).
    pub reason: Option<String>,
    /// What came of it, in one word of the flow: the name of the last outcome.
    pub outcome: String,
    /// The nodes of the flow in the order they were entered.
    pub nodes: Vec<String>,
    /// Whether the caller pays nothing: true for a call to 130 (DOMAIN §3.6).
    pub free_of_charge: bool,
    /// Where it came from, and what it said of its caller.
    pub origin: Origin,
    /// How the media fared; `None` where none began.
    pub media: Option<MediaQuality>,
}

/// Which part of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookFilter {
    /// One group's.
    pub group: Option<GroupId>,
    /// One month's: that of the activations, or of a later reversal.
    pub month: Option<Month>,
}

/// A transfer with its accounts, to be read by people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BookedTransfer {
    /// The row.
    #[serde(flatten)]
    pub transfer: Transfer,
    /// The account debited.
    pub debit_account: Account,
    /// The account credited.
    pub credit_account: Account,
}

/// A part of the ledger, to be read by people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerView {
    /// The accounts that the transfers touch, with the sums of these transfers.
    pub accounts: Vec<(Account, Balance)>,
    /// The transfers, oldest first.
    pub transfers: Vec<BookedTransfer>,
}

/// One line of an import of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportRow {
    /// A member, and his group if it is new.
    Member {
        /// Of which group.
        contract: FixedNumber,
        /// Whose number.
        msisdn: Msisdn,
        /// Who granted him the right of the Lider Mobile and how, if he is to have it.
        leader: Option<(String, GrantChannel)>,
    },
    /// A package.
    Package(NewPackage),
}

/// A line that an import refuses.
#[derive(Debug)]
pub struct ImportError {
    /// Which row, from 0.
    pub row: usize,
    /// Why.
    pub error: AdminError,
}
