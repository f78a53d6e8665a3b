//! Months, open and closed, and their runs of bills (DOMAIN §3.3, §3.4).

use super::activations::{activation_of, select_activation};
use super::administration::{Change, ChangeKind};
use super::columns::{Columns, corrupt};
use super::retry::retried;
use super::standing::month_limit;
use super::{Store, Write, commit};
use crate::ledger::{Acknowledgement, BillItem, BillItemKind, BillLine, BillRun, LineResult, bill_line};
use crate::store::{Activation, CloseError, ClosedMonth, StoreError};
use crate::units::{FixedNumber, Month};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// After a month's end, until it may be closed: what was confirmed in its last second is booked by then.
pub const CLOSE_GRACE: SignedDuration = SignedDuration::from_mins(15);

/// A run's files, and the hashes that the ledger keeps of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFiles {
    /// What they are made from.
    pub run: BillRun,
    /// The CSV file's octets.
    pub csv: Vec<u8>,
    /// The JSON file's octets.
    pub json: Vec<u8>,
    /// Of the CSV file, in hexadecimal.
    pub csv_sha256: String,
    /// Of the JSON file.
    pub json_sha256: String,
}

impl RunFiles {
    /// The files of a run. An error when its sums are beyond the ledger's range.
    fn of(run: BillRun) -> Result<Self, StoreError> {
        let totals = run.totals().ok_or_else(|| corrupt("bill", "beyond the range of the ledger"))?;
        let (csv, json) = (run.to_csv(&totals), run.to_tmf678(&totals));
        let hash = |octets: &[u8]| hex(&Sha256::digest(octets));
        Ok(Self { csv_sha256: hash(&csv), json_sha256: hash(&json), run, csv, json })
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Store {
    /// Closes a month: nothing is booked in it any more, and its bills get the next number. Refused while an activation of
    /// it is pending. Yields the files of the run, which from then on always come out the same.
    pub async fn close_month(
        &self,
        month: Month,
        closed_by: &str,
        at: Timestamp,
    ) -> Result<RunFiles, CloseError> {
        let open_from = month.end().checked_add(CLOSE_GRACE).unwrap_or(Timestamp::MAX);
        if at < open_from {
            return Err(CloseError::NotOver { month, open_from });
        }
        retried(|| async { close(self.booking().await?, month, closed_by, at).await }).await
    }

    /// The closed months, by their runs' numbers.
    pub async fn closed_months(&self) -> Result<Vec<ClosedMonth>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM closed_months ORDER BY sequence").fetch_all(&self.readers).await?;
        rows.iter().map(closed_month).collect()
    }

    /// The files of a closed month's run, made again; `None` for a month that is open. Their hashes are of what the
    /// ledger says now: those of [`Store::closed_months`] are of what it said at the close.
    pub async fn bill_run(&self, month: Month) -> Result<Option<RunFiles>, StoreError> {
        let mut read = self.read_at_length().await?;
        let row = sqlx::query("SELECT * FROM closed_months WHERE month = $1")
            .bind(month.to_string())
            .fetch_optional(&mut *read)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let closed = closed_month(&row)?;
        let lines = lines(&mut read, month, None).await?;
        let run = BillRun { sequence: closed.sequence, month, closed_at: closed.closed_at, lines };
        RunFiles::of(run).map(Some)
    }

    /// The limit that the terms give a month.
    pub async fn month_limit(&self, month: Month) -> Result<crate::units::Money, StoreError> {
        month_limit(&mut *self.read().await?, month).await
    }

    /// The activations of a month that nothing has been heard of from the network yet, oldest first.
    pub async fn unresolved(&self, month: Month) -> Result<Vec<Activation>, StoreError> {
        unresolved(&mut *self.read().await?, month).await
    }

    /// Keeps what the billing system said of a closed month's lines. What it said of a line last already is not
    /// written again. Yields how many lines are new.
    pub async fn acknowledge_bills(
        &self,
        month: Month,
        acknowledgement: &Acknowledgement,
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        retried(|| async {
            let mut write = self.booking().await?;
            lock_month(&mut write, month).await?;
            let known = acknowledged(&mut write, month).await?;
            let mut written = 0;
            for (contract, result) in &acknowledgement.results {
                if known.get(contract) != Some(result) {
                    insert_acknowledgement(&mut write, month, contract, result, at).await?;
                    written += 1;
                }
            }
            if written > 0 {
                let after = format!("answers of the billing system to {written} lines");
                let change = Change::new(ChangeKind::BillsAcknowledged, month.to_string());
                write.record_change(change.after(after), at).await?;
            }
            commit(write).await?;
            Ok(written)
        })
        .await
    }

    /// What the billing system last said of each line of a month.
    pub async fn bill_acknowledgements(
        &self,
        month: Month,
    ) -> Result<std::collections::BTreeMap<FixedNumber, LineResult>, StoreError> {
        acknowledged(&mut *self.read().await?, month).await
    }
}

async fn close(
    mut write: Write,
    month: Month,
    closed_by: &str,
    at: Timestamp,
) -> Result<RunFiles, CloseError> {
    write.without_time_limit().await?;
    begin_month(&mut write, month).await?;
    lock_month(&mut write, month).await?;
    let row = sqlx::query("SELECT * FROM closed_months WHERE month = $1")
        .bind(month.to_string())
        .fetch_optional(&mut *write)
        .await
        .map_err(StoreError::from)?;
    if let Some(row) = row {
        // With the lock there is something to commit: it waits for the standbys to have the close too.
        commit(write).await?;
        return Err(CloseError::ClosedAlready(closed_month(&row)?));
    }
    if let Some(earlier) = earlier_open(&mut write, month).await? {
        return Err(CloseError::EarlierOpen { month, earlier });
    }
    let pending = unresolved(&mut write, month).await?;
    if !pending.is_empty() {
        return Err(CloseError::Unresolved(pending));
    }
    let last = sqlx::query("SELECT COALESCE(MAX(sequence), 0) AS last FROM closed_months")
        .fetch_one(&mut *write)
        .await
        .map_err(StoreError::from)?;
    let sequence = sequence_of(last.integer("last")? + 1)?;
    let files = RunFiles::of(BillRun {
        sequence,
        month,
        closed_at: at,
        lines: lines(&mut write, month, None).await?,
    })?;
    sqlx::query(
        "INSERT INTO closed_months (month, sequence, closed_at_ms, closed_by, csv_sha256, json_sha256)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(month.to_string())
    .bind(i64::from(sequence))
    .bind(at.as_millisecond())
    .bind(closed_by)
    .bind(&*files.csv_sha256)
    .bind(&*files.json_sha256)
    .execute(&mut *write)
    .await
    .map_err(StoreError::from)?;
    write.act_as(closed_by, None);
    let after = format!(
        "closed, run {sequence}, {} contracts, SHA-256 of the CSV file {}, of the JSON file {}",
        files.run.lines.len(),
        files.csv_sha256,
        files.json_sha256
    );
    write
        .record_change(
            Change::new(ChangeKind::MonthClosed, month.to_string()).before("open").after(after),
            at,
        )
        .await?;
    commit(write).await?;
    Ok(files)
}

/// Whether something may be booked in the month: it is open, and stays so until this transaction ends.
pub(super) async fn share_open_month(write: &mut Write, month: Month) -> Result<bool, StoreError> {
    begin_month(write, month).await?;
    write.share_month(month).await?;
    let closed = sqlx::query("SELECT 1 AS one FROM closed_months WHERE month = $1")
        .bind(month.to_string())
        .fetch_optional(&mut **write)
        .await?;
    Ok(closed.is_none())
}

async fn begin_month(write: &mut Write, month: Month) -> Result<(), StoreError> {
    let known = sqlx::query("SELECT 1 AS one FROM months WHERE month = $1")
        .bind(month.to_string())
        .fetch_optional(&mut **write)
        .await?;
    if known.is_none() {
        // Where another transaction makes it too, this one waits, and is tried again.
        sqlx::query("INSERT INTO months (month) VALUES ($1)")
            .bind(month.to_string())
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

async fn lock_month(write: &mut Write, month: Month) -> Result<(), StoreError> {
    write.lock_by_text("SELECT month FROM months WHERE month = $1 FOR UPDATE", &month.to_string()).await
}

async fn earlier_open(db: &mut AnyConnection, month: Month) -> Result<Option<Month>, StoreError> {
    let row = sqlx::query(
        "SELECT MIN(m.month) AS earlier FROM months m WHERE m.month < $1
             AND NOT EXISTS (SELECT 1 FROM closed_months c WHERE c.month = m.month)
             AND EXISTS (SELECT 1 FROM activations v WHERE v.month = m.month)",
    )
    .bind(month.to_string())
    .fetch_one(db)
    .await?;
    row.parsed_option("earlier")
}

async fn unresolved(db: &mut AnyConnection, month: Month) -> Result<Vec<Activation>, StoreError> {
    let rows =
        sqlx::query(select_activation!("v.month = $1 AND s.result IS NULL ORDER BY v.held_at_ms, v.id"))
            .bind(month.to_string())
            .fetch_all(db)
            .await?;
    rows.iter().map(activation_of).collect()
}

/// The items of a month's lines: activations for which one thing holds, and what was taken back for which another does.
macro_rules! select_items {
    ($activated:literal, $taken_back:literal) => {
        concat!(
            "SELECT g.contract, v.id, v.held_at_ms AS at_ms, v.member_msisdn, p.name, v.list_qindarka,
                    v.discount_qindarka, v.net_qindarka, NULL AS reversed
             FROM activations v
             JOIN settlements s ON s.activation_id = v.id AND s.result = 'post'
             JOIN groups g ON g.id = v.group_id
             JOIN packages p ON p.id = v.package_id
             LEFT JOIN reversals r ON r.activation_id = v.id AND r.month = v.month
             WHERE r.activation_id IS NULL AND ",
            $activated,
            " UNION ALL
             SELECT g.contract, v.id, r.reversed_at_ms, v.member_msisdn, p.name, -v.list_qindarka,
                    -v.discount_qindarka, -v.net_qindarka, r.reason
             FROM reversals r
             JOIN activations v ON v.id = r.activation_id
             JOIN groups g ON g.id = v.group_id
             JOIN packages p ON p.id = v.package_id
             WHERE v.month < r.month AND ",
            $taken_back,
            " ORDER BY 1, 3, 2"
        )
    };
}

pub(super) const ITEMS: &str = select_items!("v.month = $1", "r.month = $1");
/// By the contract's groups, few among many of a month.
pub(super) const ITEMS_OF_CONTRACT: &str = select_items!(
    "v.month = $1 AND v.group_id IN (SELECT id FROM groups WHERE contract = $2)",
    "r.month = $1 AND r.group_id IN (SELECT id FROM groups WHERE contract = $2)"
);

/// The lines of a month, by contract: all groups that a contract had in the month make one. Its items are what was posted
/// and not taken back in the month, and what was taken back in it of months that were closed by then. With `contract` its
/// line alone.
pub(super) async fn lines(
    db: &mut AnyConnection,
    month: Month,
    contract: Option<&FixedNumber>,
) -> Result<Vec<BillLine>, StoreError> {
    let query = match contract {
        None => sqlx::query(ITEMS).bind(month.to_string()),
        Some(contract) => sqlx::query(ITEMS_OF_CONTRACT).bind(month.to_string()).bind(contract.e164()),
    };
    let rows = query.fetch_all(db).await?;
    let mut contracts: Vec<(FixedNumber, Vec<BillItem>)> = Vec::new();
    for row in &rows {
        let (contract, item) = (row.contract("contract")?, item_of(row)?);
        match contracts.last_mut() {
            Some((last, items)) if *last == contract => items.push(item),
            _ => contracts.push((contract, vec![item])),
        }
    }
    contracts.into_iter().map(|(contract, items)| line(contract, month, items)).collect()
}

/// The line of a contract.
pub(super) fn line(
    contract: FixedNumber,
    month: Month,
    items: Vec<BillItem>,
) -> Result<BillLine, StoreError> {
    bill_line(contract, month, items).ok_or_else(|| corrupt("bill", "beyond the range of the ledger"))
}

fn item_of(row: &AnyRow) -> Result<BillItem, StoreError> {
    Ok(BillItem {
        kind: match row.text_option("reversed")? {
            None => BillItemKind::Activation,
            Some(reason) => BillItemKind::Reversal { reason },
        },
        activation: row.parsed("id")?,
        held_at: row.instant("at_ms")?,
        member: row.msisdn("member_msisdn")?,
        package: row.parsed("name")?,
        list: row.money("list_qindarka")?,
        discount: row.money("discount_qindarka")?,
        net: row.money("net_qindarka")?,
    })
}

fn closed_month(row: &AnyRow) -> Result<ClosedMonth, StoreError> {
    Ok(ClosedMonth {
        sequence: sequence_of(row.integer("sequence")?)?,
        month: row.parsed("month")?,
        closed_at: row.instant("closed_at_ms")?,
        closed_by: row.text("closed_by")?,
        csv_sha256: row.text("csv_sha256")?,
        json_sha256: row.text("json_sha256")?,
    })
}

fn sequence_of(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| corrupt("sequence", &number.to_string()))
}

async fn insert_acknowledgement(
    db: &mut AnyConnection,
    month: Month,
    contract: &FixedNumber,
    result: &LineResult,
    at: Timestamp,
) -> Result<(), StoreError> {
    let reason = match result {
        LineResult::Accepted => None,
        LineResult::Rejected { reason } => Some(reason.clone()),
    };
    sqlx::query(
        "INSERT INTO bill_acknowledgements (month, contract, reason, read_at_ms) VALUES ($1, $2, $3, $4)",
    )
    .bind(month.to_string())
    .bind(contract.e164())
    .bind(reason)
    .bind(at.as_millisecond())
    .execute(db)
    .await?;
    Ok(())
}

async fn acknowledged(
    db: &mut AnyConnection,
    month: Month,
) -> Result<std::collections::BTreeMap<FixedNumber, LineResult>, StoreError> {
    let rows = sqlx::query("SELECT contract, reason FROM bill_acknowledgements WHERE month = $1 ORDER BY id")
        .bind(month.to_string())
        .fetch_all(db)
        .await?;
    // The latest comes last, and stays.
    rows.iter()
        .map(|row| {
            let result = match row.text_option("reason")? {
                None => LineResult::Accepted,
                Some(reason) => LineResult::Rejected { reason },
            };
            Ok((row.contract("contract")?, result))
        })
        .collect()
}
