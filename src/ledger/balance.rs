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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    /// A limit of 6,500 of which 900 is held, 1,700 posted, 500 voided, and 1,100 posted and taken back.
    #[test]
    fn a_balance_is_of_what_is_final_and_of_what_is_still_held() {
        let (limit, granted, spent) = (AccountId(1), AccountId(2), AccountId(3));
        let (pending, id) = (TransferKind::Pending, TransferId);
        let rows = [
            (TransferKind::Grant, granted, limit, 6500),
            (pending, limit, spent, 900),
            (pending, limit, spent, 1700),
            (TransferKind::Post(id(3)), limit, spent, 1700),
            (pending, limit, spent, 500),
            (TransferKind::Void(id(5)), limit, spent, 500),
            (pending, limit, spent, 1100),
            (TransferKind::Post(id(7)), limit, spent, 1100),
            (TransferKind::Reversal(id(7)), spent, limit, 1100),
        ];
        let transfers = (1..).zip(rows).map(|(number, (kind, debit, credit, lek))| Transfer {
            id: id(number),
            kind,
            debit,
            credit,
            amount: Money::from_lek(lek),
            activation: None,
            at: Timestamp::UNIX_EPOCH,
        });
        let balances = Balance::of_all(&transfers.collect::<Vec<_>>());
        let lek = Money::from_lek;
        let expected = Balance {
            debits_pending: lek(900),
            debits_posted: lek(1700 + 1100),
            credits_pending: Money::ZERO,
            credits_posted: lek(6500 + 1100),
        };
        assert_eq!(balances[&limit], expected);
        assert_eq!(balances[&limit].left(), lek(6500 - 900 - 1700));
        assert_eq!(balances[&granted].owed(), lek(6500));
        assert_eq!(balances[&spent].credits_pending, lek(900));
        assert_eq!(balances[&spent].owed(), lek(-1700));
        assert_eq!(balances.len(), 3);
    }
}
