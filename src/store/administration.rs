//! The trail of administration: who changed what, when and why. A row of it is written in the transaction of the change.
//! Names, e-mail addresses and PINs never stand in it: it says that they were changed.

use super::columns::{Columns, corrupt};
use super::{Store, StoreError, Write};
use crate::units::FixedNumber;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::any::AnyRow;
use std::sync::Arc;

/// Longest name of an actor and longest reason, in characters.
pub const WORDS_CHARACTERS_MAX: usize = 500;

/// Who changes something, why, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    reason: Option<String>,
    at: Option<Timestamp>,
}

/// A name or a reason that says nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActorError {
    /// Nobody.
    #[error("{what} is empty; write {mend}")]
    Empty {
        /// Which of the two.
        what: &'static str,
        /// What to write.
        mend: &'static str,
    },
    /// Nobody can read it.
    #[error("{what} `{}` has control characters; write it without", text.escape_debug())]
    Control {
        /// Which of the two.
        what: &'static str,
        /// It.
        text: String,
    },
    /// Nobody wants to read it.
    #[error("{what} has {characters} characters; write {WORDS_CHARACTERS_MAX} at most")]
    Long {
        /// Which of the two.
        what: &'static str,
        /// Its length.
        characters: usize,
    },
}

impl Actor {
    /// A person or a job by name, with a reason where there is one, at the moment of the change.
    ///
    /// # Errors
    /// [`ActorError`]: an empty name or reason, control characters, more than [`WORDS_CHARACTERS_MAX`].
    pub fn new(name: &str, reason: Option<&str>, at: Timestamp) -> Result<Self, ActorError> {
        let name = words("the actor", "who makes the change, such as --actor \"A. Clerk\"", name)?;
        let reason = reason.map(|reason| words("the reason", "why, such as --reason \"order 17\"", reason));
        Ok(Self { name, reason: reason.transpose()?, at: Some(at) })
    }

    /// What this program does where nobody is named.
    pub(super) fn program() -> Self {
        Self { name: "klikon".to_owned(), reason: None, at: None }
    }
}

fn words(what: &'static str, mend: &'static str, text: &str) -> Result<String, ActorError> {
    let text = text.trim();
    let characters = text.chars().count();
    if text.is_empty() {
        Err(ActorError::Empty { what, mend })
    } else if text.chars().any(char::is_control) {
        Err(ActorError::Control { what, text: text.to_owned() })
    } else if characters > WORDS_CHARACTERS_MAX {
        Err(ActorError::Long { what, characters })
    } else {
        Ok(text.to_owned())
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $label:literal,)*) => {
        /// What was done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
        pub enum ChangeKind {
            $($(#[$doc])* #[serde(rename = $label)] $kind,)*
        }

        impl ChangeKind {
            /// The word for it in the table.
            pub fn label(self) -> &'static str {
                match self { $(Self::$kind => $label,)* }
            }

            fn from_label(label: &str) -> Option<Self> {
                match label { $($label => Some(Self::$kind),)* _ => None }
            }
        }
    };
}

kinds! {
    /// A group was opened.
    GroupOpened = "group-opened",
    /// A group was closed.
    GroupClosed = "group-closed",
    /// A number joined a group.
    MemberJoined = "member-joined",
    /// A number left a group.
    MemberLeft = "member-left",
    /// The right of the Lider Mobile was granted.
    LeaderGranted = "leader-granted",
    /// It was taken back.
    LeaderRevoked = "leader-revoked",
    /// A PIN was set.
    PinSet = "pin-set",
    /// A PIN was taken away.
    PinCleared = "pin-cleared",
    /// The lock of a PIN was taken away.
    PinUnlocked = "pin-unlocked",
    /// A version of a package was entered.
    PackageAdded = "package-added",
    /// A package is not sold any more from a day on.
    PackageRetired = "package-retired",
    /// A version of the terms was entered.
    TermsAdded = "terms-added",
    /// A file was imported; its rows are changes of their own.
    Imported = "imported",
    /// A month was closed.
    MonthClosed = "month-closed",
    /// The billing system's answers were read.
    BillsAcknowledged = "bills-acknowledged",
    /// A posted activation was taken back.
    ActivationReversed = "activation-reversed",
    /// A name or an e-mail address was entered.
    ContactChanged = "contact-changed",
    /// What names people was erased.
    PersonalDataErased = "personal-data-erased",
}

/// A row of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdministrativeChange {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why, where it was said.
    pub reason: Option<String>,
    /// What.
    pub kind: ChangeKind,
    /// Of the group that it is about.
    pub contract: Option<FixedNumber>,
    /// To what: a number, a package, a day, a month, an activation.
    pub subject: String,
    /// What it was.
    pub before: Option<String>,
    /// What it became.
    pub after: Option<String>,
}

/// Which rows of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryFilter {
    /// About one contract's groups.
    pub contract: Option<FixedNumber>,
    /// From an instant on.
    pub since: Option<Timestamp>,
}

/// Who entered a version of the terms or of a package, or a leadership, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entered {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, where it was said.
    pub reason: Option<String>,
}

impl Store {
    /// The same database, changed in somebody's name: what this store changes stands in the trail with it.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor: Arc::new(actor), ..self.clone() }
    }

    /// The latest rows of the trail, `count` at most, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn history(
        &self,
        filter: &HistoryFilter,
        count: u32,
    ) -> Result<Vec<AdministrativeChange>, StoreError> {
        let since = filter.since.map_or(i64::MIN, Timestamp::as_millisecond);
        let query = match &filter.contract {
            None => sqlx::query("SELECT * FROM administration WHERE at_ms >= $1 ORDER BY id DESC LIMIT $2")
                .bind(since),
            Some(contract) => sqlx::query(
                "SELECT * FROM administration WHERE contract = $1 AND at_ms >= $2 ORDER BY id DESC LIMIT $3",
            )
            .bind(contract.e164())
            .bind(since),
        };
        let rows = query.bind(i64::from(count)).fetch_all(&self.readers).await?;
        rows.iter().rev().map(change_of).collect()
    }
}

/// What the trail is told of a change.
#[derive(Debug, Clone)]
pub(super) struct Change<'a> {
    /// What is done.
    pub(super) kind: ChangeKind,
    /// To whose group.
    pub(super) contract: Option<&'a FixedNumber>,
    /// The row that it makes or ends.
    pub(super) record: Option<i64>,
    /// A number, a package, a day, a month, an activation.
    pub(super) subject: String,
    /// What it was.
    pub(super) before: Option<String>,
    /// What it becomes.
    pub(super) after: Option<String>,
}

impl<'a> Change<'a> {
    pub(super) fn new(kind: ChangeKind, subject: impl Into<String>) -> Self {
        Self { kind, contract: None, record: None, subject: subject.into(), before: None, after: None }
    }

    pub(super) fn of(mut self, contract: &'a FixedNumber) -> Self {
        self.contract = Some(contract);
        self
    }

    pub(super) fn record(mut self, id: i64) -> Self {
        self.record = Some(id);
        self
    }

    pub(super) fn before(mut self, value: impl Into<String>) -> Self {
        self.before = Some(value.into());
        self
    }

    pub(super) fn after(mut self, value: impl Into<String>) -> Self {
        self.after = Some(value.into());
        self
    }
}

impl Write {
    /// Whom what follows is noted for, where that is not the store's own actor.
    pub(super) fn act_as(&mut self, name: &str, reason: Option<&str>) {
        self.actor =
            Arc::new(Actor { name: name.to_owned(), reason: reason.map(str::to_owned), at: self.actor.at });
    }

    /// Whether somebody says why.
    pub(super) fn has_reason(&self) -> bool {
        self.actor.reason.is_some()
    }

    /// Puts a change into the trail, in its own transaction. `at` counts where the actor names no moment.
    pub(super) async fn record_change(
        &mut self,
        change: Change<'_>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = Arc::clone(&self.actor);
        sqlx::query(
            "INSERT INTO administration
                 (at_ms, actor, reason, kind, contract, record_id, subject, value_before, value_after)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(actor.at.unwrap_or(at).as_millisecond())
        .bind(actor.name.as_str())
        .bind(actor.reason.as_deref())
        .bind(change.kind.label())
        .bind(change.contract.map(FixedNumber::e164))
        .bind(change.record)
        .bind(change.subject)
        .bind(change.before)
        .bind(change.after)
        .execute(&mut **self)
        .await?;
        Ok(())
    }
}

fn change_of(row: &AnyRow) -> Result<AdministrativeChange, StoreError> {
    let kind = row.text("kind")?;
    Ok(AdministrativeChange {
        id: row.integer("id")?,
        at: row.instant("at_ms")?,
        actor: row.text("actor")?,
        reason: row.text_option("reason")?,
        kind: ChangeKind::from_label(&kind).ok_or_else(|| corrupt("administration.kind", &kind))?,
        contract: match row.text_option("contract")? {
            None => None,
            Some(_) => Some(row.contract("contract")?),
        },
        subject: row.text("subject")?,
        before: row.text_option("value_before")?,
        after: row.text_option("value_after")?,
    })
}

/// Who entered the row of a query that has the trail's columns beside its own; `None` before there was a trail.
pub(super) fn entered_of(row: &AnyRow) -> Result<Option<Entered>, StoreError> {
    let Some(by) = row.text_option("entered_by")? else { return Ok(None) };
    Ok(Some(Entered { by, at: row.instant("entered_at_ms")?, reason: row.text_option("entered_reason")? }))
}
