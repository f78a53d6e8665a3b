//! `klikon ledger`: the books, read and audited.

use super::admin::parse;
use super::admin::table::{Table, local_time};
use crate::ledger::{AccountKind, Audit, BillLine, Unit, VAT_PERCENT};
use crate::store::{self, BookFilter, BookedTransfer, LedgerView, Store};
use crate::units::{FixedNumber, GroupId, Month};
use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use std::io::Write;

/// The ledger in the database of the settings.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon ledger show --group 1 --month 2026-11
  klikon ledger bill --contract 042250928
  klikon ledger verify && echo faultless")]
pub struct LedgerArguments {
    #[command(subcommand)]
    command: LedgerCommand,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    /// Accounts and transfers.
    Show {
        /// Only of this group (its number, see `klikon admin group list`).
        #[arg(long)]
        group: Option<i64>,
        /// Only of this month, such as 2026-11.
        #[arg(long)]
        month: Option<Month>,
    },
    /// Recompute chains, balances, limits and links; name the first row that is wrong and fail.
    Verify {
        /// Only of this group (its number, see `klikon admin group list`).
        #[arg(long)]
        group: Option<i64>,
        /// Only of this month, such as 2026-11.
        #[arg(long)]
        month: Option<Month>,
    },
    /// The line of the next bill of a contract.
    Bill {
        /// The group's number.
        #[arg(long, required_unless_present = "contract", conflicts_with = "contract")]
        group: Option<i64>,
        /// The fixed line, such as 042250928.
        #[arg(long, value_parser = parse::contract)]
        contract: Option<FixedNumber>,
        /// The month, such as 2026-11; this one when left out.
        #[arg(long)]
        month: Option<Month>,
    },
}

/// Runs `klikon ledger …` on the database at `now` and prints to `out`. A fault that `verify` finds is an error.
pub async fn run(
    arguments: LedgerArguments,
    database: &store::Settings,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let store = Store::open(database).await?;
    let (text, json) = match arguments.command {
        LedgerCommand::Show { group, month } => {
            let view = store.ledger(BookFilter { group: group.map(GroupId), month }).await?;
            (ledger_text(&view), serde_json::to_value(&view)?)
        }
        LedgerCommand::Verify { group, month } => {
            let seen = store.verify(BookFilter { group: group.map(GroupId), month }).await?;
            (verify_text(&seen), serde_json::to_value(seen)?)
        }
        LedgerCommand::Bill { group, contract, month } => {
            let contract = match (contract, group) {
                (Some(contract), _) => contract,
                (None, Some(id)) => contract_of(&store, GroupId(id)).await?,
                (None, None) => anyhow::bail!("whose bill? write --contract or --group"),
            };
            let line = store.bill(&contract, month.unwrap_or_else(|| Month::of(now))).await?;
            (bill_text(&line), serde_json::to_value(&line)?)
        }
    };
    if arguments.json {
        writeln!(out, "{json:#}")?;
    } else {
        write!(out, "{text}")?;
    }
    Ok(())
}

fn verify_text(seen: &Audit) -> String {
    format!(
        "the ledger is right: {} transfers in {} months of groups; {} activations, {} posted, {} voided, {} pending, \
         {} reversed; {} posted in money\n",
        seen.transfers,
        seen.months,
        seen.activations,
        seen.posted,
        seen.voided,
        seen.pending,
        seen.reversed,
        seen.money_posted
    )
}

async fn contract_of(store: &Store, id: GroupId) -> anyhow::Result<FixedNumber> {
    let groups = store.groups().await?;
    let group = groups.into_iter().find(|group| group.id == id);
    let group = group.with_context(|| format!("there is no group {id}; see `klikon admin group list`"))?;
    Ok(group.contract)
}

/// Accounts with their sums, then transfers, as tables.
pub fn ledger_text(view: &LedgerView) -> String {
    let mut accounts = Table::new(
        &["account", "", "debits", "credits", "debits pending", "credits pending", "balance"],
        &[0, 2, 3, 4, 5],
    );
    for (account, balance) in &view.accounts {
        let sum = match account.kind {
            AccountKind::Limit { .. } => format!("{} left", balance.left()),
            AccountKind::Receivable { .. } => format!("{} owed", balance.owed()),
            _ => String::new(),
        };
        accounts.row([
            account.id.to_string(),
            account.kind.to_string(),
            balance.debits_posted.to_string(),
            balance.credits_posted.to_string(),
            balance.debits_pending.to_string(),
            balance.credits_pending.to_string(),
            sum,
        ]);
    }
    format!("{accounts}\n{}", transfers_text(&view.transfers))
}

/// Transfers as a table, oldest first.
pub fn transfers_text(transfers: &[BookedTransfer]) -> String {
    let mut table = Table::new(
        &["transfer", "booked", "phase", "amount", "unit", "debit", "credit", "activation"],
        &[0, 3],
    );
    for booked in transfers {
        let transfer = &booked.transfer;
        let phase = match transfer.kind.of() {
            Some(pending) => format!("{} of {pending}", transfer.kind.label()),
            None => transfer.kind.label().to_owned(),
        };
        let unit = match booked.debit_account.kind.unit() {
            Unit::Money => "money",
            Unit::Limit => "limit",
        };
        table.row([
            transfer.id.to_string(),
            local_time(transfer.at),
            phase,
            transfer.amount.to_string(),
            unit.to_owned(),
            booked.debit_account.kind.to_string(),
            booked.credit_account.kind.to_string(),
            transfer.activation.map_or_else(|| "-".to_owned(), |id| id.to_string()),
        ]);
    }
    table.to_string()
}

/// The line of the bill: one total, its VAT split once with the rounding shown, the items underneath (DOMAIN §3.4, §3.5).
pub fn bill_text(line: &BillLine) -> String {
    let total = &line.total;
    let mut table =
        Table::new(&["confirmed", "number", "package", "list price", "discount", "to pay"], &[3, 4, 5]);
    for item in &line.items {
        table.row([
            local_time(item.held_at),
            item.member.national(),
            item.package.to_string(),
            item.list.to_string(),
            item.discount.to_string(),
            item.net.to_string(),
        ]);
    }
    format!(
        "Klik-ON {} on the bill of {}: {}\n\
         without VAT {}, VAT {VAT_PERCENT}% {} (rounding {} lekë)\n{table}",
        line.month, line.contract, total.gross, total.base, total.vat, total.rounding
    )
}
