//! Transfers, and the entries that each business event makes.

use super::{AccountId, AccountKind};
use crate::units::{ActivationId, GroupId, Money, Month};
use jiff::Timestamp;
use serde::Serialize;
use std::fmt;

/// The number of a transfer's row: rises with the order of booking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TransferId(pub i64);

impl fmt::Display for TransferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The phase of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "pending")]
pub enum TransferKind {
    /// The limit of a month, credited once.
    Grant,
    /// Held until it is resolved.
    Pending,
    /// Makes the pending transfer final.
    Post(TransferId),
    /// Takes the pending transfer back.
    Void(TransferId),
    /// Takes the posting of this pending transfer back, with the accounts the other way round.
    Reversal(TransferId),
}

impl TransferKind {
    /// The word for it in the tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Pending => "pending",
            Self::Post(_) => "post",
            Self::Void(_) => "void",
            Self::Reversal(_) => "reversal",
        }
    }

    /// The pending transfer that it resolves.
    pub fn resolves(self) -> Option<TransferId> {
        match self {
            Self::Post(id) | Self::Void(id) => Some(id),
            Self::Grant | Self::Pending | Self::Reversal(_) => None,
        }
    }

    /// The pending transfer that it is about: that it resolves, or whose posting it reverses.
    pub fn of(self) -> Option<TransferId> {
        match self {
            Self::Post(id) | Self::Void(id) | Self::Reversal(id) => Some(id),
            Self::Grant | Self::Pending => None,
        }
    }

    /// Reads the columns of a row; `None` when they do not fit together.
    pub fn from_columns(label: &str, pending: Option<TransferId>) -> Option<Self> {
        match (label, pending) {
            ("grant", None) => Some(Self::Grant),
            ("pending", None) => Some(Self::Pending),
            ("post", Some(id)) => Some(Self::Post(id)),
            ("void", Some(id)) => Some(Self::Void(id)),
            ("reversal", Some(id)) => Some(Self::Reversal(id)),
            _ => None,
        }
    }
}

/// How a pending transfer is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// Final.
    Post,
    /// Taken back.
    Void,
}

/// One row of the transfers: moves an amount from the credited to the debited account, so that debits equal credits
/// row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// Its number.
    pub id: TransferId,
    /// Its phase.
    #[serde(flatten)]
    pub kind: TransferKind,
    /// The account debited.
    pub debit: AccountId,
    /// The account credited.
    pub credit: AccountId,
    /// More than zero.
    pub amount: Money,
    /// The activation that made it; `None` for a grant.
    pub activation: Option<ActivationId>,
    /// When it was booked, to the millisecond.
    pub at: Timestamp,
}

/// A transfer to be made, with its accounts by what they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// To be debited.
    pub debit: AccountKind,
    /// To be credited.
    pub credit: AccountKind,
    /// More than zero.
    pub amount: Money,
}

/// The entry that opens a group's month with its limit (DOMAIN §3.2).
pub fn grant_entry(group: GroupId, month: Month, limit: Money) -> Entry {
    Entry { debit: AccountKind::LimitGranted, credit: AccountKind::Limit { group, month }, amount: limit }
}

/// The entries that hold one activation: its net price off the month's limit, the net price owed, and the discount,
/// which together are the list price earned. No entry for a discount of nothing.
pub fn hold_entries(group: GroupId, month: Month, net: Money, discount: Money) -> Vec<Entry> {
    let revenue = AccountKind::PackageRevenue;
    let mut entries = vec![
        Entry { debit: AccountKind::Limit { group, month }, credit: AccountKind::LimitSpent, amount: net },
        Entry { debit: AccountKind::Receivable { group }, credit: revenue, amount: net },
    ];
    if discount > Money::ZERO {
        entries.push(Entry { debit: AccountKind::DiscountGiven, credit: revenue, amount: discount });
    }
    entries
}

/// The entry that takes a posted one back.
pub fn reversal_entry(posted: Entry) -> Entry {
    Entry { debit: posted.credit, credit: posted.debit, amount: posted.amount }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_earns_its_list_price() {
        let (group, month) = (GroupId(1), "2026-11".parse().unwrap());
        let entries = hold_entries(group, month, Money::from_lek(900), Money::from_lek(200));
        let earned: i64 = entries
            .iter()
            .filter(|entry| entry.credit == AccountKind::PackageRevenue)
            .map(|entry| entry.amount.qindarka())
            .sum();
        assert_eq!(earned, 110_000);
        assert!(entries.iter().all(|entry| entry.debit.unit() == entry.credit.unit()));
        assert_eq!(hold_entries(group, month, Money::from_lek(900), Money::ZERO).len(), 2);
    }
    #[test]
    fn a_kind_is_read_from_the_columns_it_is_written_in() {
        let id = TransferId(3);
        assert_eq!(id.to_string(), "3");
        let kinds = [
            (TransferKind::Grant, "grant", None, None),
            (TransferKind::Pending, "pending", None, None),
            (TransferKind::Post(id), "post", Some(id), Some(id)),
            (TransferKind::Void(id), "void", Some(id), Some(id)),
            (TransferKind::Reversal(id), "reversal", Some(id), None),
        ];
        for (kind, label, of, resolves) in kinds {
            assert_eq!((kind.label(), kind.of(), kind.resolves()), (label, of, resolves));
            assert_eq!(TransferKind::from_columns(label, of), Some(kind));
            let other = if of.is_some() { None } else { Some(id) };
            assert_eq!(TransferKind::from_columns(label, other), None, "{label}");
        }
    }
}
