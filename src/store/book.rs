//! Parts of the ledger for people, and the line of the next bill.

use super::Store;
use super::columns::{Columns, corrupt};
use super::months::{line, lines};
use super::posting::entry_of;
use crate::ledger::{Account, AccountId, Balance, BillLine, Transfer, TransferId, TransferKind};
use crate::store::{BookFilter, BookedTransfer, LedgerView, StoreError};
use crate::units::{ActivationId, FixedNumber, Month};
use sqlx::any::AnyRow;
use std::collections::BTreeMap;

/// Transfers with their accounts, oldest first, from somewhere and where something holds.
macro_rules! select_transfers {
    ($from:literal, $condition:literal) => {
        concat!(
            "SELECT t.*, d.kind AS debit_kind, d.group_id AS debit_group, d.month AS debit_month,
                    c.kind AS credit_kind, c.group_id AS credit_group, c.month AS credit_month
             FROM ",
            $from,
            " JOIN accounts d ON d.id = t.debit_account_id JOIN accounts c ON c.id = t.credit_account_id WHERE ",
            $condition,
            " ORDER BY t.id"
        )
    };
}

pub(super) const TRANSFERS_OF_GROUP: &str = select_transfers!("transfers t", "t.group_id = $1");
pub(super) const TRANSFERS_OF_BOTH: &str =
    select_transfers!("transfers t", "t.group_id = $1 AND t.month = $2");
/// By the groups' months: the transfers themselves are in the order of groups.
pub(super) const TRANSFERS_OF_MONTH: &str = select_transfers!(
    "limit_months l JOIN transfers t ON t.group_id = l.group_id AND t.month = l.month",
    "l.month = $1"
);

impl Store {
    /// The accounts and transfers of a group, a month, or all.
    pub async fn ledger(&self, filter: BookFilter) -> Result<LedgerView, StoreError> {
        let query = match (filter.group, filter.month.map(|month| month.to_string())) {
            (None, None) => sqlx::query(select_transfers!("transfers t", "1 = 1")),
            (Some(group), None) => sqlx::query(TRANSFERS_OF_GROUP).bind(group.0),
            (None, Some(month)) => sqlx::query(TRANSFERS_OF_MONTH).bind(month),
            (Some(group), Some(month)) => sqlx::query(TRANSFERS_OF_BOTH).bind(group.0).bind(month),
        };
        let rows = query.fetch_all(&mut *self.read().await?).await?;
        let transfers = rows.iter().map(booked_transfer).collect::<Result<Vec<_>, _>>()?;
        let touched: BTreeMap<AccountId, Account> = transfers
            .iter()
            .flat_map(|booked| [booked.debit_account, booked.credit_account])
            .map(|account| (account.id, account))
            .collect();
        let plain: Vec<Transfer> = transfers.iter().map(|booked| booked.transfer).collect();
        let balances = Balance::of_all(&plain);
        let balance = |id| balances.get(&id).copied().unwrap_or_default();
        let accounts = touched.into_values().map(|account| (account, balance(account.id))).collect();
        Ok(LedgerView { accounts, transfers })
    }

    /// The transfers that an activation made, oldest first; none for an unknown one.
    pub async fn transfers_of(&self, id: ActivationId) -> Result<Vec<BookedTransfer>, StoreError> {
        let Some(activation) = self.activation(id).await? else { return Ok(Vec::new()) };
        let filter = BookFilter { group: Some(activation.group), month: Some(activation.month) };
        let view = self.ledger(filter).await?;
        Ok(view.transfers.into_iter().filter(|booked| booked.transfer.activation == Some(id)).collect())
    }

    /// The line of the bill that a contract gets for a month: its posted activations, of all groups it had in that month
    /// (DOMAIN §3.4), and reversals of earlier months' ones.
    pub async fn bill(&self, contract: &FixedNumber, month: Month) -> Result<BillLine, StoreError> {
        let found = lines(&mut *self.read().await?, month, Some(contract)).await?.pop();
        found.map_or_else(|| line(contract.clone(), month, Vec::new()), Ok)
    }
}

fn booked_transfer(row: &AnyRow) -> Result<BookedTransfer, StoreError> {
    let label = row.text("kind")?;
    let kind = TransferKind::from_columns(&label, row.integer_option("pending_id")?.map(TransferId));
    let entry = entry_of(row)?;
    let (debit, credit) =
        (AccountId(row.integer("debit_account_id")?), AccountId(row.integer("credit_account_id")?));
    let transfer = Transfer {
        id: TransferId(row.integer("id")?),
        kind: kind.ok_or_else(|| corrupt("transfers.kind", &label))?,
        debit,
        credit,
        amount: entry.amount,
        activation: row.parsed_option("activation_id")?,
        at: row.instant("booked_at_ms")?,
    };
    Ok(BookedTransfer {
        transfer,
        debit_account: Account { id: debit, kind: entry.debit },
        credit_account: Account { id: credit, kind: entry.credit },
    })
}
