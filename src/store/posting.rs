//! How rows get into the ledger: each with its link of the chain of its group's month, inside the transaction that holds the
//! group's row. The database's triggers take the links on in `limit_months`, and refuse one that does not fit.

use super::columns::{Columns, corrupt};
use super::standing::month_limit;
use super::{StoreError, Write};
use crate::ledger::{
    AccountKind, ActivationFacts, Chain, Entry, LedgerRow, LimitMonth, Phase, Place, Resolution,
    ReversalFacts, SettlementFacts, TransferFacts, grant_entry,
};
use crate::units::{ActivationId, GroupId, Money, Month};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::collections::HashMap;

/// The end of the chain of a group's month, to be written on.
pub(super) struct Posting<'a> {
    db: &'a mut Write,
    group: GroupId,
    month: Month,
    chain: Chain,
    /// The accounts that the month's transfers may touch.
    accounts: HashMap<AccountKind, i64>,
}

/// A transfer that is about another: that one's row and place, and its entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) id: i64,
    pub(super) place: Place,
    pub(super) entry: Entry,
}

/// A transfer that is to be written.
struct NewTransfer {
    phase: Phase,
    /// The row of the pending transfer that it is about.
    about: Option<i64>,
    entry: Entry,
}

/// Columns of a transfer that are bound.
const TRANSFER_COLUMNS: usize = 11;

/// The statement that inserts so many transfers. Only numbers stand in it.
fn insert_transfers(rows: usize) -> String {
    let row = |row: usize| {
        let columns: Vec<String> =
            (1..=TRANSFER_COLUMNS).map(|column| format!("${}", row * TRANSFER_COLUMNS + column)).collect();
        format!("({})", columns.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!(
        "INSERT INTO transfers (kind, debit_account_id, credit_account_id, amount_qindarka, activation_id, pending_id,
             booked_at_ms, group_id, month, position, hash)
         VALUES {}",
        rows.join(", ")
    )
}

impl<'a> Posting<'a> {
    /// Goes on with a group's month, as far as it has come by `kept`; begins it with the grant of its limit where there is
    /// nothing yet.
    pub(super) async fn open(
        db: &'a mut Write,
        group: GroupId,
        month: Month,
        kept: Option<LimitMonth>,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let Some(kept) = kept else { return Self::begin(db, group, month, at).await };
        let accounts = accounts(db, group, month).await?;
        Ok(Self { db, group, month, chain: kept.chain, accounts })
    }

    async fn begin(
        db: &'a mut Write,
        group: GroupId,
        month: Month,
        at: Timestamp,
    ) -> Result<Self, StoreError> {
        let limit = month_limit(db, month).await?;
        let chain = Chain::begin(group, month);
        sqlx::query(
            "INSERT INTO limit_months (group_id, month, granted_qindarka, used_qindarka, chain_length, chain_head)
             VALUES ($1, $2, $3, 0, 0, $4)",
        )
        .bind(group.0)
        .bind(month.to_string())
        .bind(limit.qindarka())
        .bind(chain.head.to_string())
        .execute(&mut **db)
        .await?;
        sqlx::query("INSERT INTO accounts (kind, group_id, month) VALUES ('limit', $1, $2)")
            .bind(group.0)
            .bind(month.to_string())
            .execute(&mut **db)
            .await?;
        let accounts = accounts(db, group, month).await?;
        let mut posting = Self { db, group, month, chain, accounts };
        let grant = NewTransfer { phase: Phase::Grant, about: None, entry: grant_entry(group, month, limit) };
        posting.transfers(vec![grant], None, at).await?;
        Ok(posting)
    }

    /// Writes an activation.
    pub(super) async fn activation(&mut self, facts: &ActivationFacts) -> Result<(), StoreError> {
        let link = self.chain.append(&LedgerRow::Activation(*facts));
        sqlx::query(
            "INSERT INTO activations (id, call_id, group_id, leader_member_id, caller_msisdn, member_id, member_msisdn,
                 package_id, terms_id, list_qindarka, discount_qindarka, net_qindarka, month, held_at_ms, position, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        )
        .bind(facts.id.to_string())
        .bind(facts.call.to_string())
        .bind(facts.group.0)
        .bind(facts.leader.0)
        .bind(facts.caller.e164())
        .bind(facts.member_id.0)
        .bind(facts.member.e164())
        .bind(facts.package.0)
        .bind(facts.terms)
        .bind(facts.list.qindarka())
        .bind(facts.discount.qindarka())
        .bind(facts.net.qindarka())
        .bind(facts.month.to_string())
        .bind(facts.held_at.as_millisecond())
        .bind(link.length)
        .bind(link.head.to_string())
        .execute(&mut **self.db)
        .await?;
        Ok(())
    }

    /// Writes the transfers that hold for an activation.
    pub(super) async fn hold(
        &mut self,
        entries: &[Entry],
        activation: ActivationId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let held = |entry: &Entry| NewTransfer { phase: Phase::Pending, about: None, entry: *entry };
        self.transfers(entries.iter().map(held).collect(), Some(activation), at).await
    }

    /// Writes the transfers that resolve an activation's pending ones.
    pub(super) async fn resolve(
        &mut self,
        pending: &[Pending],
        resolution: Resolution,
        activation: ActivationId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let resolved = |pending: &Pending| {
            let phase = match resolution {
                Resolution::Post => Phase::Post(pending.place),
                Resolution::Void => Phase::Void(pending.place),
            };
            NewTransfer { phase, about: Some(pending.id), entry: pending.entry }
        };
        self.transfers(pending.iter().map(resolved).collect(), Some(activation), at).await
    }

    /// Writes the transfers that take an activation's posted ones back.
    pub(super) async fn take_back(
        &mut self,
        posted: &[Pending],
        activation: ActivationId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let reversed = |posted: &Pending| NewTransfer {
            phase: Phase::Reversal(posted.place),
            about: Some(posted.id),
            entry: crate::ledger::reversal_entry(posted.entry),
        };
        self.transfers(posted.iter().map(reversed).collect(), Some(activation), at).await
    }

    /// Writes transfers of an activation, or the grant of the limit, one after the other in one statement.
    async fn transfers(
        &mut self,
        new: Vec<NewTransfer>,
        activation: Option<ActivationId>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if new.is_empty() {
            return Ok(());
        }
        let activation_text = activation.map(|id| id.to_string());
        let month = self.month.to_string();
        let mut insert = sqlx::query(AssertSqlSafe(insert_transfers(new.len())));
        for NewTransfer { phase, about, entry } in new {
            let Entry { debit, credit, amount } = entry;
            let facts = TransferFacts { phase, debit, credit, amount, activation, booked_at: at };
            let link = self.chain.append(&LedgerRow::Transfer(facts));
            insert = insert
                .bind(phase.label())
                .bind(self.account(debit)?)
                .bind(self.account(credit)?)
                .bind(amount.qindarka())
                .bind(activation_text.clone())
                .bind(about)
                .bind(at.as_millisecond())
                .bind(self.group.0)
                .bind(month.clone())
                .bind(link.length)
                .bind(link.head.to_string());
        }
        insert.execute(&mut **self.db).await?;
        Ok(())
    }

    fn account(&self, kind: AccountKind) -> Result<i64, StoreError> {
        let id = self.accounts.get(&kind).copied();
        id.ok_or_else(|| StoreError::Corrupt(format!("there is no account for the {kind}")))
    }

    /// Writes a settlement.
    pub(super) async fn settlement(&mut self, facts: SettlementFacts) -> Result<(), StoreError> {
        let result = match facts.resolution {
            Resolution::Post => "post",
            Resolution::Void => "void",
        };
        let row = LedgerRow::Settlement(facts.clone());
        let link = self.chain.append(&row);
        sqlx::query(
            "INSERT INTO settlements (activation_id, result, reason, settled_at_ms, group_id, month, position, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(facts.activation.to_string())
        .bind(result)
        .bind(facts.reason)
        .bind(facts.settled_at.as_millisecond())
        .bind(self.group.0)
        .bind(self.month.to_string())
        .bind(link.length)
        .bind(link.head.to_string())
        .execute(&mut **self.db)
        .await?;
        Ok(())
    }

    /// Writes a reversal.
    pub(super) async fn reversal(&mut self, facts: ReversalFacts) -> Result<(), StoreError> {
        let link = self.chain.append(&LedgerRow::Reversal(facts.clone()));
        sqlx::query(
            "INSERT INTO reversals (activation_id, reason, actor, reversed_at_ms, group_id, month, position, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(facts.activation.to_string())
        .bind(facts.reason)
        .bind(facts.actor)
        .bind(facts.reversed_at.as_millisecond())
        .bind(self.group.0)
        .bind(self.month.to_string())
        .bind(link.length)
        .bind(link.head.to_string())
        .execute(&mut **self.db)
        .await?;
        Ok(())
    }
}

/// What the database keeps of a group's month; nothing before its first booking.
pub(super) async fn limit_month(
    db: &mut AnyConnection,
    group: GroupId,
    month: Month,
) -> Result<Option<LimitMonth>, StoreError> {
    let row = sqlx::query("SELECT * FROM limit_months WHERE group_id = $1 AND month = $2")
        .bind(group.0)
        .bind(month.to_string())
        .fetch_optional(db)
        .await?;
    row.map(|row| limit_month_of(&row)).transpose()
}

pub(super) fn limit_month_of(row: &AnyRow) -> Result<LimitMonth, StoreError> {
    let chain = Chain { length: row.integer("chain_length")?, head: row.parsed("chain_head")? };
    Ok(LimitMonth { granted: row.money("granted_qindarka")?, used: row.money("used_qindarka")?, chain })
}

/// What a month has left of its limit.
pub(super) fn left_of(kept: &LimitMonth) -> Money {
    Money::from_qindarka(kept.granted.qindarka().saturating_sub(kept.used.qindarka()))
}

/// The accounts that the transfers of a group's month may touch.
async fn accounts(
    db: &mut AnyConnection,
    group: GroupId,
    month: Month,
) -> Result<HashMap<AccountKind, i64>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM accounts WHERE kind = 'limit' AND COALESCE(group_id, 0) = $1 AND COALESCE(month, '') = $2
         UNION ALL
         SELECT * FROM accounts WHERE kind = 'receivable' AND COALESCE(group_id, 0) = $1 AND COALESCE(month, '') = ''
         UNION ALL
         SELECT * FROM accounts WHERE kind IN ('limit_granted', 'limit_spent', 'discount_given', 'package_revenue')
             AND COALESCE(group_id, 0) = 0 AND COALESCE(month, '') = ''",
    )
    .bind(group.0)
    .bind(month.to_string())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((account_kind(row, "kind", "group_id", "month")?, row.integer("id")?))).collect()
}

/// What an account is for, by its three columns.
pub(super) fn account_kind(
    row: &AnyRow,
    kind: &str,
    group: &str,
    month: &str,
) -> Result<AccountKind, StoreError> {
    let label = row.text(kind)?;
    let found =
        AccountKind::from_columns(&label, row.integer_option(group)?.map(GroupId), row.parsed_option(month)?);
    found.ok_or_else(|| corrupt(kind, &label))
}

/// The pending transfers of an activation, in the order of booking.
pub(super) async fn pending_of(
    db: &mut AnyConnection,
    activation: ActivationId,
) -> Result<Vec<Pending>, StoreError> {
    let rows = sqlx::query(
        "SELECT t.id, t.month, t.position, t.amount_qindarka, d.kind AS debit_kind, d.group_id AS debit_group,
                d.month AS debit_month, c.kind AS credit_kind, c.group_id AS credit_group, c.month AS credit_month
         FROM transfers t JOIN accounts d ON d.id = t.debit_account_id JOIN accounts c ON c.id = t.credit_account_id
         WHERE t.activation_id = $1 AND t.kind = 'pending' ORDER BY t.position",
    )
    .bind(activation.to_string())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Pending {
                id: row.integer("id")?,
                place: Place { month: row.parsed("month")?, position: row.integer("position")? },
                entry: entry_of(row)?,
            })
        })
        .collect()
}

/// The entry of a transfer's row that has its accounts' columns beside it.
pub(super) fn entry_of(row: &AnyRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        debit: account_kind(row, "debit_kind", "debit_group", "debit_month")?,
        credit: account_kind(row, "credit_kind", "credit_group", "credit_month")?,
        amount: row.money("amount_qindarka")?,
    })
}
