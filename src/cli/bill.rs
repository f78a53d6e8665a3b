//! `klikon bill` and `klikon reconcile`: months are closed, their bills go out, and what comes back is read.

use super::admin::parse;
use super::admin::table::{Table, local_time};
use crate::ledger::{BillRun, Discrepancy, LineResult, Statement, Unmatched};
use crate::store::{self, Activation, CloseError, ClosedMonth, Reversed, RunFiles, Store};
use crate::units::clock::Clock;
use crate::units::{ActivationId, FixedNumber, Month};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks at what a close waits for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Unresolved activations that are listed; more are counted.
const LISTED_MAX: usize = 50;

/// The bills of whole months, for the operator's billing system.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  klikon bill close 2026-10 --by \"A. Clerk\"            # writes bills/klikon-bill-000001-2026-10.{csv,json,sha256}
  klikon bill close 2026-10 --by cron --wait-s 3600    # waits for the network's last answers
  klikon bill export 2026-10 --folder /mnt/billing     # the same octets again
  klikon bill acknowledge 2026-10 answer.csv           # sequence,contract,result,reason
  klikon bill reverse 01a21361-09bd-7850-a29f-35bc33f4bd50 --reason mistake --by \"A. Clerk\"
  klikon bill statement 2026-10 --contract 042250928 --output statement.html
  klikon reconcile --older-than-h 24")]
pub struct BillArguments {
    #[command(subcommand)]
    command: BillCommand,
}

#[derive(Debug, Subcommand)]
enum BillCommand {
    /// Close a month, for good, and write its bills.
    Close {
        /// Such as 2026-10; from a quarter of an hour after its end in Tirane.
        month: Month,
        /// Who closes it; kept with the month.
        #[arg(long, value_name = "NAME", value_parser = parse::words)]
        by: String,
        /// Wait so long for activations that the network has not answered for, s.
        #[arg(long, value_name = "S", default_value_t = 0)]
        wait_s: u64,
        /// Where the files go.
        #[arg(long, value_name = "FOLDER", default_value = "bills")]
        folder: PathBuf,
    },
    /// Write the bills of a closed month again: the same octets, or an error.
    Export {
        /// Such as 2026-10.
        month: Month,
        /// Where the files go.
        #[arg(long, value_name = "FOLDER", default_value = "bills")]
        folder: PathBuf,
    },
    /// The closed months.
    List {
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Read what the billing system answered, a CSV file with the columns sequence,contract,result,reason: `accepted`, or
    /// `rejected` with a reason. The whole file is refused for one wrong line.
    Acknowledge {
        /// Such as 2026-10.
        month: Month,
        /// The file.
        file: PathBuf,
        /// Who reads it; the user whom the command runs as when left out.
        #[arg(long, value_name = "NAME", value_parser = parse::words)]
        by: Option<String>,
    },
    /// Take a posted activation back: in its own month while that is open, else as a correction on the bill of this month.
    Reverse {
        /// Its id; `klikon calls CALL` and `klikon ledger show` have it.
        activation: ActivationId,
        /// Why; it stands on the bill.
        #[arg(long, value_name = "TEXT", value_parser = parse::words)]
        reason: String,
        /// Who ordered it; kept with it.
        #[arg(long, value_name = "NAME", value_parser = parse::words)]
        by: String,
    },
    /// A group's month on a page of HTML that prints on A4, in Albanian.
    Statement {
        /// Such as 2026-10; it need not be over.
        month: Month,
        /// The fixed line, such as 042250928.
        #[arg(long, value_parser = parse::contract)]
        contract: FixedNumber,
        /// The file to write; without it the page is printed.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// What the ledger and those it speaks with do not agree on: activations without an answer of the network, months that are
/// over and on no bill, lines of bills that were rejected or not answered, and bills that would come out different now.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 1 where anything is unmatched. Examples:
  klikon reconcile
  klikon reconcile --older-than-h 24 --json")]
pub struct ReconcileArguments {
    /// Only what has been unmatched for so long, h.
    #[arg(long, value_name = "H", default_value_t = 0)]
    older_than_h: u32,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs `klikon bill …` on the database at `now` and prints to `out`.
pub async fn run(
    arguments: BillArguments,
    database: &store::Settings,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let store = Store::open(database).await?;
    match arguments.command {
        BillCommand::Close { month, by, wait_s, folder } => {
            let files = close(&store, month, &by, now, Duration::from_secs(wait_s), out).await?;
            write_files(&files, &folder, out)
        }
        BillCommand::Export { month, folder } => {
            let files = store.bill_run(month).await?;
            let files = files
                .with_context(|| format!("{month} is not closed; `klikon bill close {month}` does that"))?;
            let closed = store.closed_months().await?;
            if let Some(closed) = closed.iter().find(|closed| closed.month == month) {
                unchanged(&files, closed)?;
            }
            write_files(&files, &folder, out)
        }
        BillCommand::List { json } => {
            let months = store.closed_months().await?;
            if json {
                writeln!(out, "{:#}", serde_json::to_value(&months)?)?;
            } else {
                write!(out, "{}", months_text(&months))?;
            }
            Ok(())
        }
        BillCommand::Acknowledge { month, file, by } => {
            let store = store.acting_as(super::actor::actor(by.as_deref(), None, now)?);
            acknowledge(&store, month, &file, now, out).await
        }
        BillCommand::Reverse { activation, reason, by } => {
            reverse(&store, activation, &reason, &by, now, out).await
        }
        BillCommand::Statement { month, contract, output } => {
            let line = store.bill(&contract, month).await?;
            let closed = store.closed_months().await?.iter().any(|closed| closed.month == month);
            let limit = store.month_limit(month).await?;
            let contact = store.contact(&contract).await?;
            let addressee = contact.as_ref().and_then(|contact| contact.name.as_deref());
            let page = Statement { line: &line, limit, closed, addressee }.to_html();
            match output {
                None => write!(out, "{page}").context("cannot print"),
                Some(file) => {
                    std::fs::write(&file, page)
                        .with_context(|| format!("cannot write {}", file.display()))?;
                    writeln!(out, "{}", file.display()).context("cannot print")
                }
            }
        }
    }
}

/// Closes the month, waiting for the network's answers where that is asked for.
async fn close(
    store: &Store,
    month: Month,
    by: &str,
    now: Timestamp,
    wait: Duration,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<RunFiles> {
    let clock = Clock::system();
    let began = clock.instant();
    let mut told = None;
    loop {
        // Closed after the last answer that it waited for.
        let waited = clock.instant().duration_since(began);
        let at = SignedDuration::try_from(waited).ok().and_then(|waited| now.checked_add(waited).ok());
        match store.close_month(month, by, at.unwrap_or(now)).await {
            Err(CloseError::Unresolved(pending)) if waited < wait => {
                if told != Some(pending.len()) {
                    told = Some(pending.len());
                    writeln!(out, "waiting for the network's answer to {} activations", pending.len())?;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(CloseError::Unresolved(pending)) => {
                write!(out, "{}", pending_text(&pending))?;
                bail!(
                    "{month} stays open: {} activations are unresolved; let the network answer (`acks/` of the spool folder), or wait for it with --wait-s",
                    pending.len()
                );
            }
            Err(CloseError::ClosedAlready(closed)) => bail!(
                "{month} was closed on {} by {}, as run {}; `klikon bill export {month}` writes its files again",
                local_time(closed.closed_at),
                closed.closed_by,
                closed.sequence
            ),
            Err(error) => return Err(error.into()),
            Ok(files) => return Ok(files),
        }
    }
}

fn unchanged(files: &RunFiles, closed: &ClosedMonth) -> anyhow::Result<()> {
    for (what, now, then) in
        [("CSV", &files.csv_sha256, &closed.csv_sha256), ("JSON", &files.json_sha256, &closed.json_sha256)]
    {
        if now != then {
            bail!(
                "the ledger gives another {what} file of {} than when it was closed: SHA-256 {now}, then {then}; \
                 see `klikon ledger verify`",
                closed.month
            );
        }
    }
    Ok(())
}

/// Writes the files whole: each aside, to the disk, and then under its name. A file that is there with other content stays.
fn write_files(files: &RunFiles, folder: &Path, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let stem = files.run.file_stem();
    let hashes =
        format!("{}  {stem}.csv\n{}  {stem}.json\n", files.csv_sha256, files.json_sha256).into_bytes();
    for (ending, octets) in [("csv", &files.csv), ("json", &files.json), ("sha256", &hashes)] {
        write_file(&folder.join(format!("{stem}.{ending}")), octets)?;
    }
    write!(out, "{}", run_text(&files.run, folder)).context("cannot print")
}

fn write_file(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    match std::fs::read(path) {
        Ok(there) if there == octets => return Ok(()),
        Ok(_) => bail!("{} is there with other content; move it away first", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut aside = tempfile::NamedTempFile::new_in(folder)?;
        aside.write_all(octets)?;
        aside.as_file().sync_all()?;
        aside.persist(path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

async fn acknowledge(
    store: &Store,
    month: Month,
    file: &Path,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let octets = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let files = store.bill_run(month).await?;
    let files =
        files.with_context(|| format!("{month} is not closed: nothing went out that could be answered"))?;
    let read = files.run.acknowledged(&octets).with_context(|| file.display().to_string())?;
    let new = store.acknowledge_bills(month, &read, now).await?;
    let rejected: Vec<_> = read
        .results
        .iter()
        .filter_map(|(contract, result)| match result {
            LineResult::Accepted => None,
            LineResult::Rejected { reason } => Some((contract, reason)),
        })
        .collect();
    writeln!(
        out,
        "run {}: {} lines accepted, {} rejected, {} not in the file; {new} answers are new",
        files.run.sequence,
        read.results.len() - rejected.len(),
        rejected.len(),
        read.missing.len()
    )?;
    for (contract, reason) in rejected {
        writeln!(out, "rejected {contract}: {}", reason.escape_debug())?;
    }
    for contract in read.missing.iter().take(LISTED_MAX) {
        writeln!(out, "missing  {contract}")?;
    }
    Ok(())
}

async fn reverse(
    store: &Store,
    id: ActivationId,
    reason: &str,
    by: &str,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (said, activation) = match store.reverse(id, reason, by, now).await? {
        Reversed::Now(activation) => ("taken back", activation),
        Reversed::Before(activation) => ("was taken back before; nothing is changed", activation),
    };
    let Activation { name, member, month, net, .. } = activation;
    writeln!(out, "{name} of {month} for {}, {net}: {said}", member.national()).context("cannot print")
}

/// Runs `klikon reconcile` on the database at `now` and prints to `out`. Anything unmatched is an error.
pub async fn reconcile(
    arguments: &ReconcileArguments,
    database: &store::Settings,
    now: Timestamp,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let store = Store::open(database).await?;
    let oldest = SignedDuration::from_hours(arguments.older_than_h.into());
    let mut found = store.reconcile(now).await?;
    found.retain(|discrepancy| discrepancy.age(now) >= oldest);
    if arguments.json {
        writeln!(out, "{:#}", serde_json::to_value(&found)?)?;
    } else if !found.is_empty() {
        write!(out, "{}", discrepancies_text(&found, now))?;
    }
    if !found.is_empty() {
        let are = if found.len() == 1 { "is" } else { "are" };
        bail!("{} {are} unmatched", found.len());
    }
    if !arguments.json {
        writeln!(out, "everything matches")?;
    }
    Ok(())
}

fn run_text(run: &BillRun, folder: &Path) -> String {
    let mut text = format!("{}: run {}, {} contracts", run.month, run.sequence, run.lines.len());
    if let Some(totals) = run.totals() {
        let _ = write!(
            text,
            ", {} activations, {} reversals; {} to pay, without VAT {}, VAT {}",
            totals.activations, totals.reversals, totals.gross, totals.base, totals.vat
        );
    }
    let _ = writeln!(text, "\n{}.{{csv,json,sha256}}", folder.join(run.file_stem()).display());
    text
}

fn months_text(months: &[ClosedMonth]) -> String {
    let mut table = Table::new(&["run", "month", "closed", "by", "SHA-256 of the CSV file"], &[0]);
    for month in months {
        table.row([
            month.sequence.to_string(),
            month.month.to_string(),
            local_time(month.closed_at),
            month.closed_by.clone(),
            month.csv_sha256.clone(),
        ]);
    }
    table.to_string()
}

fn pending_text(pending: &[Activation]) -> String {
    let mut table = Table::new(&["confirmed", "activation", "number", "package", "to pay"], &[4]);
    for activation in pending.iter().take(LISTED_MAX) {
        table.row([
            local_time(activation.held_at),
            activation.id.to_string(),
            activation.member.national(),
            activation.name.to_string(),
            activation.net.to_string(),
        ]);
    }
    match pending.len().saturating_sub(LISTED_MAX) {
        0 => table.to_string(),
        more => format!("{table}and {more} more\n"),
    }
}

fn discrepancies_text(found: &[Discrepancy], now: Timestamp) -> String {
    let mut table = Table::new(&["since", "age, h", "what", "which"], &[1]);
    for discrepancy in found {
        let (what, which) = match &discrepancy.unmatched {
            Unmatched::Activation { activation, month } => {
                ("no answer of the network", format!("{activation} of {month}"))
            }
            Unmatched::OpenMonth { month } => ("over, and not closed", month.to_string()),
            Unmatched::ChangedRun { sequence, month } => {
                ("bills come out different now", format!("run {sequence}, {month}"))
            }
            Unmatched::Unanswered { sequence, contract, .. } => {
                ("no answer to the line", format!("run {sequence}, {contract}"))
            }
            Unmatched::Rejected { sequence, contract, reason, .. } => {
                ("line rejected", format!("run {sequence}, {contract}: {}", reason.escape_debug()))
            }
        };
        table.row([
            local_time(discrepancy.since),
            discrepancy.age(now).as_hours().to_string(),
            what.to_owned(),
            which,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests;
