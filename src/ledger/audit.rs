//! The audit: recomputes the whole book from its rows and names the first one that is wrong.

use super::{
    Account, AccountId, AccountKind, Balance, Entry, Resolution, Transfer, TransferId, TransferKind,
};
use super::{grant_entry, hold_entries};
use crate::klikon::Audience;
use crate::units::{ActivationId, GroupId, Money, Month, Msisdn};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// An activation as the book has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivationFacts {
    /// Which.
    pub id: ActivationId,
    /// Who pays.
    pub group: GroupId,
    /// The leader's number.
    pub caller: Msisdn,
    /// The member's number.
    pub member: Msisdn,
    /// Before the discount.
    pub list: Money,
    /// Taken off.
    pub discount: Money,
    /// List less discount.
    pub net: Money,
    /// Of the hold.
    pub month: Month,
    /// When the caller confirmed.
    pub held_at: Timestamp,
}

/// A settlement as the book has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettlementFacts {
    /// Of which activation.
    pub activation: ActivationId,
    /// How.
    pub resolution: Resolution,
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

/// All rows, each list in the order of booking.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All transfers.
    pub transfers: Vec<Transfer>,
    /// All activations.
    pub activations: Vec<ActivationFacts>,
    /// All settlements.
    pub settlements: Vec<SettlementFacts>,
    /// All outbox rows.
    pub outbox: Vec<OutboxFacts>,
    /// The limit that the terms give each month which has a limit account.
    pub limits: BTreeMap<Month, Money>,
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
    /// Rows of accounts.
    pub accounts: usize,
    /// Rows of transfers.
    pub transfers: usize,
    /// Rows of activations.
    pub activations: usize,
    /// Of them, held and not yet settled.
    pub pending: usize,
    /// Of them, posted.
    pub posted: usize,
    /// Of them, voided.
    pub voided: usize,
    /// Sum of final debits in money accounts, which equals the sum of final credits.
    pub money_posted: Money,
}

fn fault(table: &'static str, row: impl ToString, wrong: impl Into<String>) -> Fault {
    Fault { table, row: row.to_string(), wrong: wrong.into() }
}

/// Recomputes the book: each row by itself, each pending transfer resolved at most once, each activation with
/// exactly its transfers, settlement and outbox rows, each month's limit granted once and never overdrawn.
pub fn audit(book: &Book) -> Result<Audit, Fault> {
    let accounts = index_accounts(&book.accounts)?;
    check_transfers(book, &accounts)?;
    check_limits(book, &accounts)?;
    let settled = check_settlements(book)?;
    check_activations(book, &accounts, &settled)?;
    check_outbox(book, &settled)?;
    let money_posted = check_totals(book, &accounts)?;
    let count = |resolution| settled.values().filter(|r| **r == resolution).count();
    let (posted, voided) = (count(Resolution::Post), count(Resolution::Void));
    Ok(Audit {
        accounts: book.accounts.len(),
        transfers: book.transfers.len(),
        activations: book.activations.len(),
        pending: book.activations.len() - posted - voided,
        posted,
        voided,
        money_posted,
    })
}

fn index_accounts(rows: &[Account]) -> Result<HashMap<AccountId, AccountKind>, Fault> {
    let mut kinds = HashSet::new();
    for account in rows {
        if !kinds.insert(account.kind) {
            return Err(fault("accounts", account.id, format!("a second account: {}", account.kind)));
        }
    }
    Ok(rows.iter().map(|account| (account.id, account.kind)).collect())
}

fn check_transfers(book: &Book, accounts: &HashMap<AccountId, AccountKind>) -> Result<(), Fault> {
    let mut earlier: HashMap<TransferId, &Transfer> = HashMap::new();
    let mut resolved = HashSet::new();
    let activations: HashSet<ActivationId> = book.activations.iter().map(|a| a.id).collect();
    for transfer in &book.transfers {
        let wrong = |what: String| fault("transfers", transfer.id, what);
        let kind_of = |id: AccountId| {
            accounts.get(&id).ok_or_else(|| wrong(format!("there is no account {id}"))).copied()
        };
        let (debit, credit) = (kind_of(transfer.debit)?, kind_of(transfer.credit)?);
        if transfer.amount <= Money::ZERO {
            return Err(wrong(format!("the amount {} is not above zero", transfer.amount)));
        }
        if debit.unit() != credit.unit() {
            return Err(wrong(format!("it moves from {credit} to {debit}, which is another unit")));
        }
        match (transfer.kind, transfer.activation) {
            (TransferKind::Grant, None) => {}
            (TransferKind::Grant, Some(id)) => return Err(wrong(format!("a grant with activation {id}"))),
            (_, Some(id)) if activations.contains(&id) => {}
            (_, Some(id)) => return Err(wrong(format!("there is no activation {id}"))),
            (_, None) => return Err(wrong("it has no activation".to_owned())),
        }
        if let Some(id) = transfer.kind.resolves() {
            let pending = earlier.get(&id).filter(|p| p.kind == TransferKind::Pending);
            let pending = pending.ok_or_else(|| wrong(format!("transfer {id} is not pending before it")))?;
            let same = (pending.debit, pending.credit, pending.amount, pending.activation)
                == (transfer.debit, transfer.credit, transfer.amount, transfer.activation);
            if !same {
                return Err(wrong(format!("it differs from the pending transfer {id} that it resolves")));
            }
            if !resolved.insert(id) {
                return Err(wrong(format!("the pending transfer {id} was resolved before")));
            }
        }
        earlier.insert(transfer.id, transfer);
    }
    Ok(())
}

/// Each limit account: one grant of the month's limit, first; no overdraft at any moment.
fn check_limits(book: &Book, accounts: &HashMap<AccountId, AccountKind>) -> Result<(), Fault> {
    let mut left: HashMap<AccountId, i64> = HashMap::new();
    for transfer in &book.transfers {
        let wrong = |what: String| fault("transfers", transfer.id, what);
        if let (TransferKind::Grant, Some(kind)) = (transfer.kind, accounts.get(&transfer.credit)) {
            let AccountKind::Limit { group, month } = *kind else {
                return Err(wrong(format!("a grant to {kind}")));
            };
            let limit = book.limits.get(&month).copied().unwrap_or_default();
            let expected = grant_entry(group, month, limit);
            if accounts.get(&transfer.debit) != Some(&expected.debit) || transfer.amount != expected.amount {
                return Err(wrong(format!(
                    "it grants {}, the terms of {month} grant {limit}",
                    transfer.amount
                )));
            }
            if left.insert(transfer.credit, transfer.amount.qindarka()).is_some() {
                return Err(wrong(format!("a second grant to {kind}")));
            }
            continue;
        }
        let Some(kind @ AccountKind::Limit { .. }) = accounts.get(&transfer.debit) else { continue };
        let available =
            left.get_mut(&transfer.debit).ok_or_else(|| wrong(format!("before any grant to {kind}")))?;
        match transfer.kind {
            TransferKind::Pending => *available -= transfer.amount.qindarka(),
            TransferKind::Void(_) => *available += transfer.amount.qindarka(),
            TransferKind::Grant | TransferKind::Post(_) => {}
        }
        if *available < 0 {
            return Err(wrong(format!("it overdraws the {kind} by {}", Money::from_qindarka(-*available))));
        }
    }
    Ok(())
}

fn check_settlements(book: &Book) -> Result<HashMap<ActivationId, Resolution>, Fault> {
    let activations: HashSet<ActivationId> = book.activations.iter().map(|a| a.id).collect();
    let mut settled = HashMap::new();
    for settlement in &book.settlements {
        let wrong = |what: &str| fault("settlements", settlement.activation, what);
        if !activations.contains(&settlement.activation) {
            return Err(wrong("there is no such activation"));
        }
        if settled.insert(settlement.activation, settlement.resolution).is_some() {
            return Err(wrong("the activation was settled before"));
        }
    }
    Ok(settled)
}

fn check_activations(
    book: &Book,
    accounts: &HashMap<AccountId, AccountKind>,
    settled: &HashMap<ActivationId, Resolution>,
) -> Result<(), Fault> {
    let mut transfers: HashMap<ActivationId, Vec<&Transfer>> = HashMap::new();
    for transfer in &book.transfers {
        if let Some(id) = transfer.activation {
            transfers.entry(id).or_default().push(transfer);
        }
    }
    for activation in &book.activations {
        let wrong = |what: String| fault("activations", activation.id, what);
        if activation.list.checked_sub(activation.discount) != Some(activation.net) {
            return Err(wrong("the net price is not the list price less the discount".to_owned()));
        }
        let month = Month::of(activation.held_at);
        if month != activation.month {
            return Err(wrong(format!("held in {month}, booked in {}", activation.month)));
        }
        let own = transfers.remove(&activation.id).unwrap_or_default();
        let mut held: Vec<Entry> = Vec::new();
        for transfer in own.iter().filter(|t| t.kind == TransferKind::Pending) {
            let (debit, credit) = (accounts.get(&transfer.debit), accounts.get(&transfer.credit));
            let (Some(debit), Some(credit)) = (debit, credit) else { continue };
            held.push(Entry { debit: *debit, credit: *credit, amount: transfer.amount });
        }
        let mut expected =
            hold_entries(activation.group, activation.month, activation.net, activation.discount);
        let key = |entry: &Entry| (entry.debit, entry.credit, entry.amount);
        held.sort_by_key(key);
        expected.sort_by_key(key);
        if held != expected {
            return Err(wrong("its pending transfers are not those that its prices make".to_owned()));
        }
        let resolution = settled.get(&activation.id);
        let count = |f: fn(TransferKind) -> bool| own.iter().filter(|t| f(t.kind)).count();
        let posts = count(|kind| matches!(kind, TransferKind::Post(_)));
        let voids = count(|kind| matches!(kind, TransferKind::Void(_)));
        let right = match resolution {
            None => posts == 0 && voids == 0,
            Some(Resolution::Post) => posts == held.len() && voids == 0,
            Some(Resolution::Void) => voids == held.len() && posts == 0,
        };
        if !right {
            return Err(wrong(format!(
                "settlement {resolution:?}, but of {} pending transfers {posts} are posted and {voids} voided",
                held.len()
            )));
        }
    }
    Ok(())
}

fn check_outbox(book: &Book, settled: &HashMap<ActivationId, Resolution>) -> Result<(), Fault> {
    let mut rows: HashMap<ActivationId, (usize, Vec<(Msisdn, Audience)>)> = HashMap::new();
    for row in &book.outbox {
        let (orders, recipients) = rows.entry(row.activation).or_default();
        match row.kind {
            OutboxKind::Order => *orders += 1,
            OutboxKind::Sms { recipient, audience, has_text } => {
                recipients.push((recipient, audience));
                if has_text != settled.contains_key(&row.activation) {
                    let what = if has_text { "an SMS text before" } else { "no SMS text after" };
                    return Err(fault("outbox", row.id, format!("{what} the settlement")));
                }
            }
        }
    }
    for activation in &book.activations {
        let (orders, mut recipients) = rows.remove(&activation.id).unwrap_or_default();
        let mut expected = if activation.caller == activation.member {
            vec![(activation.caller, Audience::Own)]
        } else {
            vec![(activation.caller, Audience::Leader), (activation.member, Audience::Member)]
        };
        let key = |(number, audience): &(Msisdn, Audience)| (*number, *audience as u8);
        expected.sort_by_key(key);
        recipients.sort_by_key(key);
        if orders != 1 || recipients != expected {
            let wrong = format!(
                "{orders} orders and {} SMS in the outbox instead of 1 and {}",
                recipients.len(),
                expected.len()
            );
            return Err(fault("activations", activation.id, wrong));
        }
    }
    match rows.keys().min() {
        Some(orphan) => Err(fault("outbox", orphan, "there is no such activation")),
        None => Ok(()),
    }
}

fn check_totals(book: &Book, accounts: &HashMap<AccountId, AccountKind>) -> Result<Money, Fault> {
    let (mut debits, mut credits) = (0i64, 0i64);
    for (id, balance) in Balance::of_all(&book.transfers) {
        if accounts.get(&id).is_some_and(|kind| kind.unit() == super::Unit::Money) {
            debits = debits.saturating_add(balance.debits_posted.qindarka());
            credits = credits.saturating_add(balance.credits_posted.qindarka());
        }
    }
    if debits != credits {
        return Err(fault(
            "transfers",
            "all",
            format!("debits {debits} and credits {credits} qindarka differ"),
        ));
    }
    Ok(Money::from_qindarka(debits))
}

#[cfg(test)]
mod tests;
