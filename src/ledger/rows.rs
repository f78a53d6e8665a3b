//! The rows of the ledger as facts, free of any database.

use super::{AccountKind, Resolution};
use crate::klikon::Audience;
use crate::units::{ActivationId, CallId, GroupId, MemberId, Money, Month, Msisdn, PackageId};
use jiff::Timestamp;

/// An activation as the book has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationFacts {
    /// Which.
    pub id: ActivationId,
    /// In which call.
    pub call: CallId,
    /// Who pays.
    pub group: GroupId,
    /// The leader's membership.
    pub leader: MemberId,
    /// The leader's number.
    pub caller: Msisdn,
    /// The member's membership.
    pub member_id: MemberId,
    /// The member's number.
    pub member: Msisdn,
    /// What, in which version.
    pub package: PackageId,
    /// By which version of the terms.
    pub terms: i64,
    /// Before the discount.
    pub list: Money,
    /// Taken off.
    pub discount: Money,
    /// List less discount.
    pub net: Money,
    /// Of the hold.
    pub month: Month,
    /// When the caller confirmed, to the millisecond.
    pub held_at: Timestamp,
}

/// Where a row stands in the chains of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// In which month's chain.
    pub month: Month,
    /// Which row of it, from 1.
    pub position: i64,
}

/// The phase of a transfer, with the place of the pending one that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The limit of a month, credited once.
    Grant,
    /// Held until it is resolved.
    Pending,
    /// Makes the pending transfer final.
    Post(Place),
    /// Takes the pending transfer back.
    Void(Place),
    /// Takes a posted transfer back, with its accounts the other way round.
    Reversal(Place),
}

impl Phase {
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

    /// Reads the columns of a row; `None` when they do not fit together.
    pub fn from_columns(label: &str, of: Option<Place>) -> Option<Self> {
        match (label, of) {
            ("grant", None) => Some(Self::Grant),
            ("pending", None) => Some(Self::Pending),
            ("post", Some(place)) => Some(Self::Post(place)),
            ("void", Some(place)) => Some(Self::Void(place)),
            ("reversal", Some(place)) => Some(Self::Reversal(place)),
            _ => None,
        }
    }
}

/// A transfer as the book has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferFacts {
    /// Its phase.
    pub phase: Phase,
    /// The account debited.
    pub debit: AccountKind,
    /// The account credited.
    pub credit: AccountKind,
    /// More than zero.
    pub amount: Money,
    /// The activation that made it; `None` for a grant.
    pub activation: Option<ActivationId>,
    /// When, to the millisecond.
    pub booked_at: Timestamp,
}

/// A settlement as the book has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlementFacts {
    /// Of which activation.
    pub activation: ActivationId,
    /// How.
    pub resolution: Resolution,
    /// Why, of a void.
    pub reason: Option<String>,
    /// When, to the millisecond.
    pub settled_at: Timestamp,
}

/// A reversal as the book has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReversalFacts {
    /// Of which activation.
    pub activation: ActivationId,
    /// Why.
    pub reason: String,
    /// By whom.
    pub actor: String,
    /// When, to the millisecond.
    pub reversed_at: Timestamp,
}

/// A row of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerRow {
    /// Of the table `activations`.
    Activation(ActivationFacts),
    /// Of the table `transfers`.
    Transfer(TransferFacts),
    /// Of the table `settlements`.
    Settlement(SettlementFacts),
    /// Of the table `reversals`.
    Reversal(ReversalFacts),
}

impl LedgerRow {
    /// Its table.
    pub fn table(&self) -> &'static str {
        match self {
            Self::Activation(_) => "activations",
            Self::Transfer(_) => "transfers",
            Self::Settlement(_) => "settlements",
            Self::Reversal(_) => "reversals",
        }
    }
}

/// What an outbox row carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    /// The order to the network.
    Order,
    /// An SMS.
    Sms {
        /// To whom.
        recipient: Msisdn,
        /// As who.
        audience: Audience,
        /// Whether its text is made.
        has_text: bool,
    },
}

/// An outbox row as the book has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxFacts {
    /// Its number.
    pub id: i64,
    /// Of which activation.
    pub activation: ActivationId,
    /// What it carries.
    pub kind: OutboxKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_read_from_the_columns_it_is_written_in() {
        let place = Place { month: "2026-11".parse().unwrap(), position: 3 };
        let phases = [
            (Phase::Grant, "grant", None),
            (Phase::Pending, "pending", None),
            (Phase::Post(place), "post", Some(place)),
            (Phase::Void(place), "void", Some(place)),
            (Phase::Reversal(place), "reversal", Some(place)),
        ];
        for (phase, label, of) in phases {
            assert_eq!((phase.label(), phase.of()), (label, of));
            assert_eq!(Phase::from_columns(label, of), Some(phase));
            let other = if of.is_some() { None } else { Some(place) };
            assert_eq!(Phase::from_columns(label, other), None, "{label}");
        }
    }
}
