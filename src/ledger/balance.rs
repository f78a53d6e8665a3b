//! What an account amounts to, from its transfers alone.

use super::{AccountId, Transfer, TransferId, TransferKind};
use crate::units::Money;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// The four sums of an account, none negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Balance {
    /// Held debits, not resolved.
    pub debits_pending: Money,
    /// Final debits.
    pub debits_posted: Money,
    /// Held credits, not resolved.
    pub credits_pending: Money,
    /// Final credits.
    pub credits_posted: Money,
}

impl Balance {
    /// What a limit account has left: final credits less all debits, held ones too.
    pub fn left(&self) -> Money {
        let debits = self.debits_posted.qindarka().saturating_add(self.debits_pending.qindarka());
        Money::from_qindarka(self.credits_posted.qindarka().saturating_sub(debits))
    }

    /// Final debits less final credits: what a receivable is owed.
    pub fn owed(&self) -> Money {
        Money::from_qindarka(self.debits_posted.qindarka().saturating_sub(self.credits_posted.qindarka()))
    }

    /// The balances of all accounts that the transfers touch.
    pub fn of_all(transfers: &[Transfer]) -> HashMap<AccountId, Self> {
        let resolved: HashSet<TransferId> = transfers.iter().filter_map(|t| t.kind.resolves()).collect();
        let mut balances: HashMap<AccountId, Self> = HashMap::new();
        for transfer in transfers {
            let posted = match transfer.kind {
                TransferKind::Grant | TransferKind::Post(_) | TransferKind::Reversal(_) => true,
                TransferKind::Pending if !resolved.contains(&transfer.id) => false,
                TransferKind::Pending | TransferKind::Void(_) => continue,
            };
            let debit = balances.entry(transfer.debit).or_default();
            add(if posted { &mut debit.debits_posted } else { &mut debit.debits_pending }, transfer.amount);
            let credit = balances.entry(transfer.credit).or_default();
            add(
                if posted { &mut credit.credits_posted } else { &mut credit.credits_pending },
                transfer.amount,
            );
        }
        balances
    }
}

fn add(sum: &mut Money, amount: Money) {
    *sum = Money::from_qindarka(sum.qindarka().saturating_add(amount.qindarka()));
}
