//! What can go wrong, one enum for each kind of operation.

use super::SettingsError;
use super::types::{Activation, ClosedMonth};
use crate::klikon::{NoticeError, PackageName};
use crate::ledger::Fault;
use crate::units::{ActivationId, FixedNumber, Month, Msisdn};
use jiff::Timestamp;
use jiff::civil::Date;
use std::path::PathBuf;
use std::time::Duration;

/// Why the database did not do what was asked, whatever that was.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was changed: it may be tried again.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The commit failed: it may or may not have been made. Ask for the activation, or try again with the same id;
    /// announce no failure.
    #[error("the database did not say whether it committed")]
    OutcomeUnknown(#[source] sqlx::Error),
    /// A row that this program cannot have written.
    #[error("the database holds a value that makes no sense: {0}")]
    Corrupt(String),
    /// No terms are in force yet.
    #[error("no terms are in force; enter them with `klikon admin terms add`, or `klikon admin seed`")]
    NoTerms,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => {
                Self::Corrupt(error.to_string())
            }
            other => Self::Unavailable(other),
        }
    }
}

/// Why the database cannot be used now.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// The file is not there any more.
    #[error("the database file {path} is not there; put it back, or stop the service and restore a backup")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The server answers, but takes no writes.
    #[error("the database takes no writes: is it a standby? point database.url at the primary")]
    ReadOnly,
    /// Another file is there.
    #[error("another file stands at {0}; put the one back that was there, or restart the service")]
    Replaced(PathBuf),
    /// No answer in time: another process may hold the write lock.
    #[error("the database did not answer within {} ms; does another process hold it?", .0.as_millis())]
    Late(Duration),
    /// It refuses.
    #[error(transparent)]
    Unusable(#[from] StoreError),
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting out of range.
    #[error("database settings")]
    Settings(#[from] SettingsError),
    /// No database there.
    #[error("the database file {path} cannot be opened: check that its folder exists and may be written to")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// No server there, or it lets nobody in.
    #[error(
        "the database {server} cannot be used: check that it runs, that it exists, and the user's password"
    )]
    Server {
        /// Which, without the password.
        server: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables are not those of this program's version.
    #[error(
        "the database {place} cannot be brought to this version; restore its backup or use the newer program, \
         and let its owner run it first"
    )]
    Migration {
        /// The file, or the server without the password.
        place: String,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Something else.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an activation was neither held nor refused.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// The id belongs to another activation: a fault of the caller of this function.
    #[error("activation {0} was made before with other content; make a new id for another activation")]
    IdReused(ActivationId),
    /// Its month was closed meanwhile; nothing is booked.
    #[error("{0} is closed: nothing is booked in it any more")]
    MonthClosed(Month),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a month was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// It goes on.
    #[error(
        "{month} can be closed from {open_from} on: what was confirmed in its last second is booked by then"
    )]
    NotOver {
        /// The month.
        month: Month,
        /// When it may be closed.
        open_from: Timestamp,
    },
    /// It is.
    #[error("{} was closed at {} by {}, as run {}", .0.month, .0.closed_at, .0.closed_by, .0.sequence)]
    ClosedAlready(ClosedMonth),
    /// Runs follow the calendar.
    #[error("{earlier} is to be closed before {month}: it has activations that are on no bill yet")]
    EarlierOpen {
        /// The month.
        month: Month,
        /// The first one that is open.
        earlier: Month,
    },
    /// The network has not answered for these.
    #[error("{} activations of the month are unresolved: the network has not answered for them yet", .0.len())]
    Unresolved(Vec<Activation>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an activation was not settled.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// No such activation.
    #[error("there is no activation {0}")]
    Unknown(ActivationId),
    /// It was settled the other way.
    #[error("activation {id} is {settled} already and cannot become {asked}")]
    Contradicts {
        /// Which.
        id: ActivationId,
        /// What it is.
        settled: &'static str,
        /// What was asked.
        asked: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an activation was not reversed.
#[derive(Debug, thiserror::Error)]
pub enum ReverseError {
    /// No such activation.
    #[error("there is no activation {0}")]
    Unknown(ActivationId),
    /// Nothing of it is final.
    #[error("activation {id} is {state}, and only what is posted is reversed")]
    NotPosted {
        /// Which.
        id: ActivationId,
        /// What it is.
        state: &'static str,
    },
    /// Nobody may take money back without saying why.
    #[error("a reversal has a reason and an actor; give both")]
    NoReason,
    /// Its own month is closed, and so is the month of the reversal.
    #[error("{0} is closed, or before the activation; reverse it in an open month")]
    MonthClosed(Month),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the ledger was not found right.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The first row that is wrong.
    #[error("the ledger is wrong: {0}")]
    Wrong(#[from] Fault),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an administrative operation was refused: what is wrong, and the mend.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The contract has no active group.
    #[error("the contract {0} has no active group; create it with `klikon admin group create`")]
    NoGroup(FixedNumber),
    /// It has one already.
    #[error("the contract {0} has an active group already; close it first, or use it")]
    GroupExists(FixedNumber),
    /// The number is a member of an active group.
    #[error("{number} is a member of the group of {contract} already; remove it there first")]
    AlreadyMember {
        /// Whole: an administrator must see it.
        number: String,
        /// Of the group.
        contract: FixedNumber,
    },
    /// It is not a member of this group.
    #[error("{number} is not a member of the group of {contract}; add it with `klikon admin member add`")]
    NotMember {
        /// Whole: an administrator must see it.
        number: String,
        /// Of the group.
        contract: FixedNumber,
    },
    /// No room.
    #[error("the group of {contract} has its {members_max} members already; remove one first")]
    GroupFull {
        /// Of the group.
        contract: FixedNumber,
        /// By the terms in force.
        members_max: u8,
    },
    /// The same right again.
    #[error("{number} is the Lider Mobile of {contract} already; nothing to grant")]
    LeaderAlready {
        /// Whole: an administrator must see it.
        number: String,
        /// Of the group.
        contract: FixedNumber,
    },
    /// Nothing to revoke.
    #[error("the group of {0} has no Lider Mobile; nothing to revoke")]
    NoLeader(FixedNumber),
    /// Nobody to have a PIN.
    #[error(
        "the group of {0} has no Lider Mobile to have a PIN; grant the right with `klikon admin leader grant`"
    )]
    NoLeaderForPin(FixedNumber),
    /// Nothing to unlock or take away.
    #[error("the Lider Mobile of {0} has no PIN; set one with `klikon admin leader pin`")]
    NoPin(FixedNumber),
    /// A package by that name is on sale in those days.
    #[error(
        "{name} is sold then already (from {from}); retire that version first, to the day the new one begins"
    )]
    PackageOverlap {
        /// Which.
        name: PackageName,
        /// Since when.
        from: Date,
    },
    /// Sold until before it is sold.
    #[error("{name} would be retired on {until}, before it is sold on {from}; choose a later day")]
    EndsBeforeItBegins {
        /// Which.
        name: PackageName,
        /// First day sold.
        from: Date,
        /// First day not sold.
        until: Date,
    },
    /// Retiring into the past.
    #[error("{day} is before today, {today}; past days stay as they were: choose today or later")]
    InThePast {
        /// The day asked for.
        day: Date,
        /// Today in Tirane.
        today: Date,
    },
    /// No version of it that could be retired.
    #[error("{0} is not on sale, or is retired already; see `klikon admin package list`")]
    NoPackage(PackageName),
    /// The days of a change.
    #[error(transparent)]
    Notice(#[from] NoticeError),
    /// Nobody of that contract is known.
    #[error("the contract {0} never had a group; see `klikon admin group list`")]
    NoSuchContract(FixedNumber),
    /// No e-mail address.
    #[error("`{}` is no e-mail address; write it like name@example.com", .0.escape_debug())]
    NoAddress(String),
    /// Something that is not done without saying why.
    #[error("no reason is given; write why, such as --reason \"request 17\"")]
    NoReason,
    /// A row of the history lies after the moment of this change.
    #[error("the group's history goes beyond the moment of this change; check the system clock")]
    ClockBehind,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for HoldError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for SettleError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for AdminError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl AdminError {
    pub(super) fn not_member(number: Msisdn, contract: &FixedNumber) -> Self {
        Self::NotMember { number: number.national(), contract: contract.clone() }
    }
}
