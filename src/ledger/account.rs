//! Accounts.

use crate::units::{GroupId, Month};
use serde::Serialize;
use std::fmt;

/// The number of an account's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AccountId(pub i64);

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an account counts. A transfer never leaves its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Qindarka owed, given or earned.
    Money,
    /// Qindarka that may be spent in a month.
    Limit,
}

/// What an account is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AccountKind {
    /// What a group may still spend in a month: credited once with the limit, debited by each activation, never
    /// overdrawn (DOMAIN §3.2).
    Limit {
        /// Whose.
        group: GroupId,
        /// When.
        month: Month,
    },
    /// The counterpart of all limits granted.
    LimitGranted,
    /// The counterpart of all limits spent.
    LimitSpent,
    /// What the contract of a group owes on its bills.
    Receivable {
        /// Whose.
        group: GroupId,
    },
    /// The discount of 130 given so far (DOMAIN §3.1).
    DiscountGiven,
    /// The list prices of packages activated on 130, to be cleared with the billing system.
    PackageRevenue,
}

impl AccountKind {
    /// The word for it in the tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Limit { .. } => "limit",
            Self::LimitGranted => "limit_granted",
            Self::LimitSpent => "limit_spent",
            Self::Receivable { .. } => "receivable",
            Self::DiscountGiven => "discount_given",
            Self::PackageRevenue => "package_revenue",
        }
    }

    /// Reads the columns of a row; `None` when they do not fit together.
    pub fn from_columns(label: &str, group: Option<GroupId>, month: Option<Month>) -> Option<Self> {
        match (label, group, month) {
            ("limit", Some(group), Some(month)) => Some(Self::Limit { group, month }),
            ("receivable", Some(group), None) => Some(Self::Receivable { group }),
            ("limit_granted", None, None) => Some(Self::LimitGranted),
            ("limit_spent", None, None) => Some(Self::LimitSpent),
            ("discount_given", None, None) => Some(Self::DiscountGiven),
            ("package_revenue", None, None) => Some(Self::PackageRevenue),
            _ => None,
        }
    }

    /// What it counts.
    pub fn unit(self) -> Unit {
        match self {
            Self::Limit { .. } | Self::LimitGranted | Self::LimitSpent => Unit::Limit,
            Self::Receivable { .. } | Self::DiscountGiven | Self::PackageRevenue => Unit::Money,
        }
    }

    /// The group it belongs to, if it is one group's.
    pub fn group(self) -> Option<GroupId> {
        match self {
            Self::Limit { group, .. } | Self::Receivable { group } => Some(group),
            _ => None,
        }
    }

    /// The month it belongs to, if it is one month's.
    pub fn month(self) -> Option<Month> {
        match self {
            Self::Limit { month, .. } => Some(month),
            _ => None,
        }
    }
}

/// As the tables of `klikon ledger show` name it.
impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit { group, month } => write!(f, "limit of group {group} in {month}"),
            Self::LimitGranted => f.write_str("limits granted"),
            Self::LimitSpent => f.write_str("limits spent"),
            Self::Receivable { group } => write!(f, "receivable of group {group}"),
            Self::DiscountGiven => f.write_str("discount given"),
            Self::PackageRevenue => f.write_str("package revenue"),
        }
    }
}

/// One row of the accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// What it is for.
    #[serde(flatten)]
    pub kind: AccountKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_the_columns_it_is_written_in() {
        let (group, month) = (GroupId(7), "2026-11".parse().unwrap());
        let accounts = [
            (AccountKind::Limit { group, month }, "limit", Some(group), Some(month)),
            (AccountKind::LimitGranted, "limit_granted", None, None),
            (AccountKind::LimitSpent, "limit_spent", None, None),
            (AccountKind::Receivable { group }, "receivable", Some(group), None),
            (AccountKind::DiscountGiven, "discount_given", None, None),
            (AccountKind::PackageRevenue, "package_revenue", None, None),
        ];
        for (kind, label, group, month) in accounts {
            assert_eq!((kind.label(), kind.group(), kind.month()), (label, group, month));
            assert_eq!(AccountKind::from_columns(label, group, month), Some(kind));
            // With a column more or less it is none.
            let other = if group.is_some() { None } else { Some(GroupId(7)) };
            assert_eq!(AccountKind::from_columns(label, other, month), None, "{label}");
        }
        assert_eq!(AccountKind::from_columns("limit", Some(group), None), None);
        assert_eq!(AccountId(12).to_string(), "12");
    }
}
