//! The whole book, for people and for the audit; and the next bill.

use super::Store;
use super::columns::{Columns, corrupt};
use super::outbox::audience_of;
use super::standing::month_limit;
use crate::ledger::{
    self, Account, AccountId, AccountKind, ActivationFacts, Audit, Balance, BillItem, BillItemKind, BillLine,
    Book, OutboxFacts, OutboxKind, Resolution, SettlementFacts, Transfer, TransferId, TransferKind,
    bill_line,
};
use crate::store::{ActivationState, AuditError, BookFilter, BookedTransfer, LedgerView, StoreError};
use crate::units::{ActivationId, FixedNumber, GroupId, Month};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{BTreeSet, HashMap};

impl Store {
    /// Recomputes the whole ledger and names the first row that is wrong. Reads all of it into memory.
    pub async fn audit(&self) -> Result<Audit, AuditError> {
        Ok(ledger::audit(&self.book().await?)?)
    }

    /// All rows of the ledger in one consistent state, for [`ledger::audit()`].
    pub async fn book(&self) -> Result<Book, StoreError> {
        book(&mut *self.read().await?).await
    }

    /// The accounts and transfers of a group, a month, or all.
    pub async fn ledger(&self, filter: BookFilter) -> Result<LedgerView, StoreError> {
        let mut read = self.read().await?;
        let accounts: HashMap<AccountId, Account> =
            accounts(&mut read).await?.into_iter().map(|account| (account.id, account)).collect();
        let rows = sqlx::query("SELECT id, group_id, month FROM activations").fetch_all(&mut *read).await?;
        let mut of_activation: HashMap<ActivationId, (GroupId, Month)> = HashMap::new();
        for row in &rows {
            let owner = (GroupId(row.integer("group_id")?), row.parsed("month")?);
            of_activation.insert(row.parsed("id")?, owner);
        }
        let mut view = LedgerView { accounts: Vec::new(), transfers: Vec::new() };
        let mut kept = Vec::new();
        for transfer in transfers(&mut read).await? {
            let account =
                |id: AccountId| accounts.get(&id).copied().ok_or_else(|| corrupt("account", &id.to_string()));
            let (debit_account, credit_account) = (account(transfer.debit)?, account(transfer.credit)?);
            let owner = match transfer.activation {
                Some(id) => of_activation.get(&id).copied(),
                None => credit_account.kind.group().zip(credit_account.kind.month()),
            };
            let wanted = owner.is_some_and(|(group, month)| {
                filter.group.is_none_or(|g| g == group) && filter.month.is_none_or(|m| m == month)
            });
            if wanted {
                kept.push(transfer);
                view.transfers.push(BookedTransfer { transfer, debit_account, credit_account });
            }
        }
        view.accounts = Balance::of_all(&kept)
            .into_iter()
            .filter_map(|(id, balance)| accounts.get(&id).map(|account| (*account, balance)))
            .collect();
        view.accounts.sort_by_key(|(account, _)| account.id);
        Ok(view)
    }

    /// The transfers that an activation made, oldest first; none for an unknown one.
    pub async fn transfers_of(&self, id: ActivationId) -> Result<Vec<BookedTransfer>, StoreError> {
        let Some(activation) = self.activation(id).await? else { return Ok(Vec::new()) };
        let filter = BookFilter { group: Some(activation.group), month: Some(activation.month) };
        let view = self.ledger(filter).await?;
        Ok(view.transfers.into_iter().filter(|booked| booked.transfer.activation == Some(id)).collect())
    }

    /// The line of the bill that a contract gets for a month: its posted activations, of all groups it had in that month
    /// (DOMAIN §3.4).
    pub async fn bill(&self, contract: &FixedNumber, month: Month) -> Result<BillLine, StoreError> {
        let mut items = Vec::new();
        for group in self.groups().await?.into_iter().filter(|group| group.contract == *contract) {
            let filter = BookFilter { group: Some(group.id), month: Some(month) };
            let posted = self.activations(filter).await?.into_iter();
            items.extend(posted.filter(|v| v.state == ActivationState::Posted).map(|v| BillItem {
                kind: BillItemKind::Activation,
                activation: v.id,
                held_at: v.held_at,
                member: v.member,
                package: v.name,
                list: v.list,
                discount: v.discount,
                net: v.net,
            }));
        }
        bill_line(contract.clone(), month, items)
            .ok_or_else(|| StoreError::Corrupt("a bill beyond the range of the ledger".to_owned()))
    }
}

/// All rows of the ledger, as a transaction sees them.
pub(super) async fn book(db: &mut AnyConnection) -> Result<Book, StoreError> {
    let accounts = accounts(db).await?;
    let months: BTreeSet<Month> = accounts.iter().filter_map(|account| account.kind.month()).collect();
    let mut book = Book { accounts, transfers: transfers(db).await?, ..Book::default() };
    for month in months {
        book.limits.insert(month, month_limit(db, month).await?);
    }
    let rows = sqlx::query("SELECT * FROM activations ORDER BY id").fetch_all(&mut *db).await?;
    book.activations = rows.iter().map(activation_facts).collect::<Result<_, _>>()?;
    let rows = sqlx::query("SELECT * FROM settlements ORDER BY settled_at_ms, activation_id")
        .fetch_all(&mut *db)
        .await?;
    book.settlements = rows.iter().map(settlement_facts).collect::<Result<_, _>>()?;
    let rows = sqlx::query("SELECT * FROM outbox ORDER BY id").fetch_all(&mut *db).await?;
    book.outbox = rows.iter().map(outbox_facts).collect::<Result<_, _>>()?;
    Ok(book)
}

async fn accounts(db: &mut AnyConnection) -> Result<Vec<Account>, StoreError> {
    let rows = sqlx::query("SELECT * FROM accounts ORDER BY id").fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let label = row.text("kind")?;
            let group = row.integer_option("group_id")?.map(GroupId);
            let kind = AccountKind::from_columns(&label, group, row.parsed_option("month")?);
            let kind = kind.ok_or_else(|| corrupt("accounts.kind", &label))?;
            Ok(Account { id: AccountId(row.integer("id")?), kind })
        })
        .collect()
}

async fn transfers(db: &mut AnyConnection) -> Result<Vec<Transfer>, StoreError> {
    let rows = sqlx::query("SELECT * FROM transfers ORDER BY id").fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            let label = row.text("kind")?;
            let kind = TransferKind::from_columns(&label, row.integer_option("pending_id")?.map(TransferId));
            Ok(Transfer {
                id: TransferId(row.integer("id")?),
                kind: kind.ok_or_else(|| corrupt("transfers.kind", &label))?,
                debit: AccountId(row.integer("debit_account_id")?),
                credit: AccountId(row.integer("credit_account_id")?),
                amount: row.money("amount_qindarka")?,
                activation: row.parsed_option("activation_id")?,
                at: row.instant("booked_at_ms")?,
            })
        })
        .collect()
}

fn activation_facts(row: &AnyRow) -> Result<ActivationFacts, StoreError> {
    Ok(ActivationFacts {
        id: row.parsed("id")?,
        group: GroupId(row.integer("group_id")?),
        caller: row.msisdn("caller_msisdn")?,
        member: row.msisdn("member_msisdn")?,
        list: row.money("list_qindarka")?,
        discount: row.money("discount_qindarka")?,
        net: row.money("net_qindarka")?,
        month: row.parsed("month")?,
        held_at: row.instant("held_at_ms")?,
    })
}

fn settlement_facts(row: &AnyRow) -> Result<SettlementFacts, StoreError> {
    let resolution = match row.text("result")?.as_str() {
        "post" => Resolution::Post,
        "void" => Resolution::Void,
        other => return Err(corrupt("settlements.result", other)),
    };
    Ok(SettlementFacts { activation: row.parsed("activation_id")?, resolution })
}

fn outbox_facts(row: &AnyRow) -> Result<OutboxFacts, StoreError> {
    let kind = match row.text("kind")?.as_str() {
        "order" => OutboxKind::Order,
        "sms" => OutboxKind::Sms {
            recipient: row.msisdn("recipient")?,
            audience: audience_of(row)?,
            has_text: row.text_option("text")?.is_some(),
        },
        other => return Err(corrupt("outbox.kind", other)),
    };
    Ok(OutboxFacts { id: row.integer("id")?, activation: row.parsed("activation_id")?, kind })
}
