//! What names people, and its erasure. Money, numbers and the chain stay: they name nobody but by his number.

use super::administration::{Change, ChangeKind};
use super::columns::Columns;
use super::database::Backend;
use super::groups::find_any_group;
use super::{AdminError, Store, StoreError, Write};
use crate::units::{FixedNumber, Msisdn};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;

/// What stands in the place of a name that was erased.
pub const ERASED: &str = "(erased)";

/// The Lideri Fiks of a contract, as a person. Its `Debug` shows neither name nor address.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Whose.
    pub contract: FixedNumber,
    /// His name.
    pub name: Option<String>,
    /// His e-mail address.
    pub email: Option<String>,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact").field("contract", &self.contract).finish_non_exhaustive()
    }
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Names and e-mail addresses of a contract.
    pub contacts: u64,
    /// Leaderships that named who had granted them.
    pub leaderships: u64,
    /// Calls whose records kept what the caller's side had said of him.
    pub calls: u64,
}

impl Erased {
    /// Whether there was anything.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contacts, leaderships, calls } = self;
        write!(f, "{contacts} contacts, who granted {leaderships} leaderships, what {calls} calls stated")
    }
}

impl Store {
    /// The Lideri Fiks of a contract, where he is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn contact(&self, contract: &FixedNumber) -> Result<Option<Contact>, StoreError> {
        contact(&mut *self.read().await?, contract).await
    }

    /// Enters the name or the e-mail address of a contract's Lideri Fiks; what is `None` stays as it was.
    ///
    /// # Errors
    /// [`AdminError`]: the contract never had a group; an address without `@`; the database.
    pub async fn set_contact(
        &self,
        contract: &FixedNumber,
        name: Option<&str>,
        email: Option<&str>,
        at: Timestamp,
    ) -> Result<(), AdminError> {
        if let Some(email) = email.filter(|email| !is_address(email)) {
            return Err(AdminError::NoAddress(email.to_owned()));
        }
        self.change(|mut db| async move {
            set_contact(&mut db, contract, name, email, at).await?;
            Ok(((), db))
        })
        .await
    }

    /// Erases the name and e-mail address of a contract's Lideri Fiks, and his name where he granted the right of the
    /// Lider Mobile.
    ///
    /// # Errors
    /// [`AdminError`]: the contract never had a group; no reason is given; the database.
    pub async fn erase_contract(&self, contract: &FixedNumber, at: Timestamp) -> Result<Erased, AdminError> {
        let erased: Result<Erased, AdminError> =
            self.change(|mut db| async move { Ok((erase_contract(&mut db, contract, at).await?, db)) }).await;
        self.forget().await?;
        erased
    }

    /// Erases what the records of calls from a number keep of what the caller's side said of him: names, other numbers.
    ///
    /// # Errors
    /// [`AdminError`]: no reason is given; the database.
    pub async fn erase_number(&self, number: Msisdn, at: Timestamp) -> Result<Erased, AdminError> {
        let erased: Result<Erased, AdminError> =
            self.change(|mut db| async move { Ok((erase_number(&mut db, number, at).await?, db)) }).await;
        self.forget().await?;
        erased
    }

    /// On SQLite: takes what was written over out of the write-ahead log too.
    async fn forget(&self) -> Result<(), StoreError> {
        if matches!(self.backend, Backend::Sqlite(_)) {
            let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writers).await?;
            if sqlx::Row::try_get::<i64, _>(&row, 0)? != 0 {
                tracing::warn!(
                    "the write-ahead log is in use, and holds what was erased until it is written anew"
                );
            }
        }
        Ok(())
    }
}

fn is_address(email: &str) -> bool {
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    plain && email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

async fn contact(
    db: &mut sqlx::AnyConnection,
    contract: &FixedNumber,
) -> Result<Option<Contact>, StoreError> {
    let row = sqlx::query("SELECT name, email FROM contacts WHERE contract = $1")
        .bind(contract.e164())
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let (name, email) = (row.text_option("name")?, row.text_option("email")?);
        Ok(Contact { contract: contract.clone(), name, email })
    })
    .transpose()
}

async fn set_contact(
    db: &mut Write,
    contract: &FixedNumber,
    name: Option<&str>,
    email: Option<&str>,
    at: Timestamp,
) -> Result<(), AdminError> {
    find_any_group(db, contract).await?;
    let before = contact(db, contract).await?;
    sqlx::query(
        "INSERT INTO contacts (contract, name, email) VALUES ($1, $2, $3)
         ON CONFLICT (contract) DO UPDATE SET name = COALESCE(excluded.name, contacts.name),
                                              email = COALESCE(excluded.email, contacts.email)",
    )
    .bind(contract.e164())
    .bind(name)
    .bind(email)
    .execute(&mut **db)
    .await?;
    let after = contact(db, contract).await?;
    let change = Change::new(ChangeKind::ContactChanged, contract.to_string()).of(contract);
    let change = change.before(kept(before.as_ref())).after(kept(after.as_ref()));
    Ok(db.record_change(change, at).await?)
}

/// What is known of somebody, without saying it.
fn kept(contact: Option<&Contact>) -> String {
    let known = |value: Option<&String>| if value.is_some() { "kept" } else { "none" };
    let name = known(contact.and_then(|contact| contact.name.as_ref()));
    format!("name {name}, e-mail {}", known(contact.and_then(|contact| contact.email.as_ref())))
}

async fn erase_contract(db: &mut Write, contract: &FixedNumber, at: Timestamp) -> Result<Erased, AdminError> {
    find_any_group(db, contract).await?;
    overwrite(db).await?;
    let contacts = sqlx::query("DELETE FROM contacts WHERE contract = $1")
        .bind(contract.e164())
        .execute(&mut **db)
        .await?;
    let leaderships = sqlx::query(
        "UPDATE leaders SET granted_by = $1
         WHERE group_id IN (SELECT id FROM groups WHERE contract = $2) AND granted_by <> $1",
    )
    .bind(ERASED)
    .bind(contract.e164())
    .execute(&mut **db)
    .await?;
    let erased = Erased {
        contacts: contacts.rows_affected(),
        leaderships: leaderships.rows_affected(),
        ..Erased::default()
    };
    let change = Change::new(ChangeKind::PersonalDataErased, contract.to_string()).of(contract);
    note_erased(db, change, erased, at).await
}

async fn erase_number(db: &mut Write, number: Msisdn, at: Timestamp) -> Result<Erased, AdminError> {
    overwrite(db).await?;
    let calls = sqlx::query("UPDATE calls SET stated = NULL WHERE caller = $1 AND stated IS NOT NULL")
        .bind(number.e164())
        .execute(&mut **db)
        .await?;
    let erased = Erased { calls: calls.rows_affected(), ..Erased::default() };
    note_erased(db, Change::new(ChangeKind::PersonalDataErased, number.national()), erased, at).await
}

async fn note_erased(
    db: &mut Write,
    change: Change<'_>,
    erased: Erased,
    at: Timestamp,
) -> Result<Erased, AdminError> {
    if !erased.is_nothing() {
        if !db.has_reason() {
            return Err(AdminError::NoReason);
        }
        db.record_change(change.after(format!("erased: {erased}")), at).await?;
    }
    Ok(erased)
}

/// Lets SQLite write zeros over what this transaction takes away; elsewhere that is for the server's own housekeeping.
async fn overwrite(db: &mut Write) -> Result<(), StoreError> {
    if db.is_file() {
        sqlx::query("PRAGMA secure_delete = ON").execute(&mut **db).await?;
    }
    Ok(())
}
