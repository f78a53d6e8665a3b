//! The audit: recomputes a group's month from its rows, in the order of its chain, and names the first one that is wrong.
//! The whole ledger is the sum of its months, so that no more than one of them is looked at at a time.

mod month;

use super::Entry;
use super::chain::{Chain, RowHash};
use super::rows::{ActivationFacts, LedgerRow, OutboxFacts, Place};
use crate::units::{GroupId, Money, Month};
use serde::Serialize;

/// A row with its link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookedRow {
    /// Its number or id in its table.
    pub name: String,
    /// Its position in the chain.
    pub position: i64,
    /// Its hash.
    pub hash: RowHash,
    /// What it says.
    pub row: LedgerRow,
}

/// What the database keeps of a group's month beside the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitMonth {
    /// The limit granted.
    pub granted: Money,
    /// What of it is held or spent.
    pub used: Money,
    /// Where its chain has come to.
    pub chain: Chain,
}

/// An activation of an earlier month that a reversal in this one takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// It.
    pub activation: ActivationFacts,
    /// Its pending transfers.
    pub held: Vec<(Place, Entry)>,
    /// Whether it was posted.
    pub is_posted: bool,
}

/// All that the book has of a group's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthBook {
    /// Whose.
    pub group: GroupId,
    /// When.
    pub month: Month,
    /// What the database keeps of it.
    pub kept: LimitMonth,
    /// The limit that the terms give the month.
    pub limit: Money,
    /// Its rows by their position.
    pub rows: Vec<BookedRow>,
    /// What its reversals take back of months before.
    pub earlier: Vec<Earlier>,
    /// The outbox rows of its activations.
    pub outbox: Vec<OutboxFacts>,
}

/// The first row that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{table} row {row}: {wrong}")]
pub struct Fault {
    /// The table.
    pub table: &'static str,
    /// The row's number or id.
    pub row: String,
    /// What is wrong with it.
    pub wrong: String,
}

/// What a faultless audit has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Audit {
    /// Groups' months, each with its chain.
    pub months: u64,
    /// Rows of transfers.
    pub transfers: u64,
    /// Rows of activations.
    pub activations: u64,
    /// Of them, held and not yet settled.
    pub pending: u64,
    /// Of them, posted, the reversed ones too.
    pub posted: u64,
    /// Of them, voided.
    pub voided: u64,
    /// Rows of reversals.
    pub reversed: u64,
    /// Rows of the outbox.
    pub outbox: u64,
    /// Sum of final debits in money accounts, which equals the sum of final credits, less what was reversed.
    pub money_posted: Money,
}

impl Audit {
    /// Adds what another part of the ledger showed.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in [
            (&mut self.months, other.months),
            (&mut self.transfers, other.transfers),
            (&mut self.activations, other.activations),
            (&mut self.pending, other.pending),
            (&mut self.posted, other.posted),
            (&mut self.voided, other.voided),
            (&mut self.reversed, other.reversed),
            (&mut self.outbox, other.outbox),
        ] {
            *sum = sum.saturating_add(part);
        }
        self.money_posted =
            Money::from_qindarka(self.money_posted.qindarka().saturating_add(other.money_posted.qindarka()));
    }
}

fn fault(table: &'static str, row: impl ToString, wrong: impl Into<String>) -> Fault {
    Fault { table, row: row.to_string(), wrong: wrong.into() }
}

/// Recomputes a group's month: the chain's hashes, each row by itself, each pending transfer resolved at most once and
/// reversed at most once, each activation with exactly its transfers, settlement and outbox rows, the limit granted once and
/// never overdrawn.
pub fn audit_month(book: &MonthBook) -> Result<Audit, Fault> {
    month::Auditor::new(book).audit()
}

#[cfg(test)]
mod tests;
