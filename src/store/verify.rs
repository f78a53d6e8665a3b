//! The audit of the ledger in the database: group by group and month by month, some hundred of them at a time, in one state
//! of the database. What is in memory does not grow with the ledger.

use super::catalogue::terms_versions;
use super::columns::{Columns, corrupt};
use super::outbox::audience_of;
use super::posting::{entry_of, limit_month_of, pending_of};
use super::{AuditError, BookFilter, Store, StoreError};
use crate::klikon::{self, TermsVersion};
use crate::ledger::{
    ActivationFacts, Audit, BookedRow, Earlier, Fault, LedgerRow, MonthBook, OutboxFacts, OutboxKind, Phase,
    Place, Resolution, ReversalFacts, SettlementFacts, TransferFacts, audit_month,
};
use crate::units::{GroupId, MemberId, Month, PackageId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::BTreeMap;

/// Months of groups that are read at a time: some ten thousand rows of an ordinary ledger.
const MONTHS_AT_A_TIME: i64 = 500;

/// Rows of a table between two groups' months, in the order of their chains. `$1` to `$4` are the first and the last,
/// `$5` and `$6` the one group and the one month that are asked for, if they are.
macro_rules! between {
    ($columns:literal, $from:literal, $row:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM ",
            $from,
            " WHERE (",
            $row,
            ".group_id, ",
            $row,
            ".month) >= ($1, $2) AND (",
            $row,
            ".group_id, ",
            $row,
            ".month) <= ($3, $4) AND ($5 IS NULL OR ",
            $row,
            ".group_id = $5) AND ($6 IS NULL OR ",
            $row,
            ".month = $6) ORDER BY ",
            $row,
            ".group_id, ",
            $row,
            ".month, ",
            $row,
            ".position"
        )
    };
}

const ACTIVATIONS: &str = between!("v.*", "activations v", "v");
const SETTLEMENTS: &str = between!("s.*", "settlements s", "s");
const REVERSALS: &str = between!("r.*", "reversals r", "r");
const TRANSFERS: &str = between!(
    "t.*, d.kind AS debit_kind, d.group_id AS debit_group, d.month AS debit_month, c.kind AS credit_kind,
     c.group_id AS credit_group, c.month AS credit_month, p.month AS pending_month, p.position AS pending_position",
    "transfers t JOIN accounts d ON d.id = t.debit_account_id JOIN accounts c ON c.id = t.credit_account_id
     LEFT JOIN transfers p ON p.id = t.pending_id",
    "t"
);
const OUTBOX: &str =
    between!("o.*, v.group_id, v.month", "outbox o JOIN activations v ON v.id = o.activation_id", "v");
const EARLIER: &str = between!(
    "v.*, s.result, r.group_id AS reversal_group, r.month AS reversal_month",
    "reversals r JOIN activations v ON v.id = r.activation_id
     LEFT JOIN settlements s ON s.activation_id = v.id AND v.month <> r.month",
    "r"
);

/// Rows that belong to no group's month.
const ORPHANS: [(&str, &str); 5] = [
    (
        "activations",
        "SELECT id FROM activations x WHERE NOT EXISTS
        (SELECT 1 FROM limit_months m WHERE m.group_id = x.group_id AND m.month = x.month) LIMIT 1",
    ),
    (
        "transfers",
        "SELECT CAST(id AS TEXT) AS id FROM transfers x WHERE NOT EXISTS
        (SELECT 1 FROM limit_months m WHERE m.group_id = x.group_id AND m.month = x.month) LIMIT 1",
    ),
    (
        "settlements",
        "SELECT activation_id AS id FROM settlements x WHERE NOT EXISTS
        (SELECT 1 FROM limit_months m WHERE m.group_id = x.group_id AND m.month = x.month) LIMIT 1",
    ),
    (
        "reversals",
        "SELECT activation_id AS id FROM reversals x WHERE NOT EXISTS
        (SELECT 1 FROM limit_months m WHERE m.group_id = x.group_id AND m.month = x.month) LIMIT 1",
    ),
    (
        "outbox",
        "SELECT CAST(id AS TEXT) AS id FROM outbox x WHERE NOT EXISTS
        (SELECT 1 FROM activations v WHERE v.id = x.activation_id) LIMIT 1",
    ),
];

impl Store {
    /// Recomputes the whole ledger and names the first row that is wrong.
    pub async fn audit(&self) -> Result<Audit, AuditError> {
        self.verify(BookFilter::default()).await
    }

    /// Recomputes the ledger, or one group's or one month's part of it, and names the first row that is wrong, by group,
    /// month and position.
    pub async fn verify(&self, filter: BookFilter) -> Result<Audit, AuditError> {
        verify(&mut *self.read_at_length().await?, filter).await
    }
}

/// The audit of what a transaction sees.
pub(super) async fn verify(db: &mut AnyConnection, filter: BookFilter) -> Result<Audit, AuditError> {
    let terms = terms_versions(db).await?;
    let mut seen = Audit::default();
    let mut after = (filter.group.map_or(i64::MIN, |group| group.0), String::new());
    loop {
        let mut books = next_months(db, &after, filter, &terms).await?;
        let Some((group, month)) = books.keys().next_back().copied() else { break };
        after = (group.0, month.to_string());
        fill(db, &mut books, filter).await?;
        for book in books.values_mut() {
            book.rows.sort_by_key(|row| row.position);
            seen.add(&audit_month(book)?);
        }
    }
    if filter == BookFilter::default() {
        no_orphans(db).await?;
    }
    Ok(seen)
}

type Books = BTreeMap<(GroupId, Month), MonthBook>;

async fn next_months(
    db: &mut AnyConnection,
    after: &(i64, String),
    filter: BookFilter,
    terms: &[TermsVersion],
) -> Result<Books, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM limit_months WHERE (group_id, month) > ($1, $2) AND group_id <= $3
             AND ($4 IS NULL OR month = $4) ORDER BY group_id, month LIMIT $5",
    )
    .bind(after.0)
    .bind(&after.1)
    .bind(filter.group.map_or(i64::MAX, |group| group.0))
    .bind(filter.month.map(|month| month.to_string()))
    .bind(MONTHS_AT_A_TIME)
    .fetch_all(db)
    .await?;
    let mut books = Books::new();
    for row in &rows {
        let (group, month) = key_of(row)?;
        let limit = klikon::month_terms(terms, month).ok_or(StoreError::NoTerms)?.terms.limit;
        let kept = limit_month_of(row)?;
        let book = MonthBook {
            group,
            month,
            kept,
            limit,
            rows: Vec::new(),
            earlier: Vec::new(),
            outbox: Vec::new(),
        };
        books.insert((group, month), book);
    }
    Ok(books)
}

/// Reads the rows of the months.
async fn fill(db: &mut AnyConnection, books: &mut Books, filter: BookFilter) -> Result<(), AuditError> {
    for row in rows(db, ACTIVATIONS, books, filter).await? {
        let name = row.text("id")?;
        add(books, &row, "activations", name, LedgerRow::Activation(activation_facts(&row)?))?;
    }
    for row in rows(db, TRANSFERS, books, filter).await? {
        let name = row.integer("id")?.to_string();
        add(books, &row, "transfers", name, LedgerRow::Transfer(transfer_facts(&row)?))?;
    }
    for row in rows(db, SETTLEMENTS, books, filter).await? {
        let name = row.text("activation_id")?;
        add(books, &row, "settlements", name, LedgerRow::Settlement(settlement_facts(&row)?))?;
    }
    for row in rows(db, REVERSALS, books, filter).await? {
        let name = row.text("activation_id")?;
        add(books, &row, "reversals", name, LedgerRow::Reversal(reversal_facts(&row)?))?;
    }
    for row in rows(db, OUTBOX, books, filter).await? {
        if let Some(book) = books.get_mut(&key_of(&row)?) {
            book.outbox.push(outbox_facts(&row)?);
        }
    }
    for row in rows(db, EARLIER, books, filter).await? {
        let key = (GroupId(row.integer("reversal_group")?), row.parsed("reversal_month")?);
        let activation = activation_facts(&row)?;
        if activation.month == key.1 {
            continue;
        }
        let held = pending_of(db, activation.id).await?.into_iter().map(|held| (held.place, held.entry));
        let is_posted = row.text_option("result")?.as_deref() == Some("post");
        if let Some(book) = books.get_mut(&key) {
            book.earlier.push(Earlier { activation, held: held.collect(), is_posted });
        }
    }
    Ok(())
}

async fn rows(
    db: &mut AnyConnection,
    query: &'static str,
    books: &Books,
    filter: BookFilter,
) -> Result<Vec<AnyRow>, StoreError> {
    let (Some(first), Some(last)) = (books.keys().next(), books.keys().next_back()) else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(query)
        .bind(first.0.0)
        .bind(first.1.to_string())
        .bind(last.0.0)
        .bind(last.1.to_string())
        .bind(filter.group.map(|group| group.0))
        .bind(filter.month.map(|month| month.to_string()))
        .fetch_all(db)
        .await?;
    Ok(rows)
}

fn add(
    books: &mut Books,
    row: &AnyRow,
    table: &'static str,
    name: String,
    content: LedgerRow,
) -> Result<(), AuditError> {
    let Some(book) = books.get_mut(&key_of(row)?) else {
        return Err(orphan(table, name).into());
    };
    book.rows.push(BookedRow {
        name,
        position: row.integer("position")?,
        hash: row.parsed("hash")?,
        row: content,
    });
    Ok(())
}

fn orphan(table: &'static str, row: String) -> Fault {
    Fault { table, row, wrong: "it belongs to no month of a group".to_owned() }
}

async fn no_orphans(db: &mut AnyConnection) -> Result<(), AuditError> {
    for (table, query) in ORPHANS {
        let found = sqlx::query(query).fetch_optional(&mut *db).await.map_err(StoreError::from)?;
        if let Some(row) = found {
            return Err(orphan(table, row.text("id")?).into());
        }
    }
    Ok(())
}

fn key_of(row: &AnyRow) -> Result<(GroupId, Month), StoreError> {
    Ok((GroupId(row.integer("group_id")?), row.parsed("month")?))
}

fn activation_facts(row: &AnyRow) -> Result<ActivationFacts, StoreError> {
    Ok(ActivationFacts {
        id: row.parsed("id")?,
        call: row.parsed("call_id")?,
        group: GroupId(row.integer("group_id")?),
        leader: MemberId(row.integer("leader_member_id")?),
        caller: row.msisdn("caller_msisdn")?,
        member_id: MemberId(row.integer("member_id")?),
        member: row.msisdn("member_msisdn")?,
        package: PackageId(row.integer("package_id")?),
        terms: row.integer("terms_id")?,
        list: row.money("list_qindarka")?,
        discount: row.money("discount_qindarka")?,
        net: row.money("net_qindarka")?,
        month: row.parsed("month")?,
        held_at: row.instant("held_at_ms")?,
    })
}

fn transfer_facts(row: &AnyRow) -> Result<TransferFacts, StoreError> {
    let label = row.text("kind")?;
    let of = match (row.parsed_option("pending_month")?, row.integer_option("pending_position")?) {
        (Some(month), Some(position)) => Some(Place { month, position }),
        _ => None,
    };
    let phase = Phase::from_columns(&label, of).ok_or_else(|| corrupt("transfers.kind", &label))?;
    let entry = entry_of(row)?;
    Ok(TransferFacts {
        phase,
        debit: entry.debit,
        credit: entry.credit,
        amount: entry.amount,
        activation: row.parsed_option("activation_id")?,
        booked_at: row.instant("booked_at_ms")?,
    })
}

fn settlement_facts(row: &AnyRow) -> Result<SettlementFacts, StoreError> {
    let resolution = match row.text("result")?.as_str() {
        "post" => Resolution::Post,
        "void" => Resolution::Void,
        other => return Err(corrupt("settlements.result", other)),
    };
    Ok(SettlementFacts {
        activation: row.parsed("activation_id")?,
        resolution,
        reason: row.text_option("reason")?,
        settled_at: row.instant("settled_at_ms")?,
    })
}

fn reversal_facts(row: &AnyRow) -> Result<ReversalFacts, StoreError> {
    Ok(ReversalFacts {
        activation: row.parsed("activation_id")?,
        reason: row.text("reason")?,
        actor: row.text("actor")?,
        reversed_at: row.instant("reversed_at_ms")?,
    })
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
