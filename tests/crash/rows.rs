//! The database, read with SQL of the tests' own, past the program: no code of the store stands between.

use anyhow::{Context, Result};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Column, Connection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Every row that an invariant is about, in one state of the database.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub activations: Vec<Activation>,
    pub transfers: Vec<Transfer>,
    pub settlements: Vec<Settlement>,
    pub reversals: Vec<Reversal>,
    pub limit_months: Vec<LimitMonth>,
    pub outbox: Vec<Outbox>,
    pub attempts: Vec<Attempt>,
    pub members: Vec<Member>,
    pub leaders: Vec<Leader>,
    /// The rows of each table that only grows, whole.
    pub kept: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Clone)]
pub struct Activation {
    pub id: String,
    pub group: i64,
    pub leader: i64,
    pub caller: String,
    pub member_id: i64,
    pub member: String,
    pub package: String,
    pub list: i64,
    pub discount: i64,
    pub net: i64,
    pub month: String,
    pub held_at_ms: i64,
    /// Of the terms it was booked by.
    pub terms_discount: i64,
}

#[derive(Debug, Clone)]
pub struct Transfer {
    pub id: i64,
    pub kind: String,
    /// The kind of the account debited, and of the one credited.
    pub debit: String,
    pub credit: String,
    pub amount: i64,
    pub activation: Option<String>,
    pub pending: Option<i64>,
    pub group: i64,
    pub month: String,
    /// In the chain of the group's month, which is the order of the commits.
    pub position: i64,
}

#[derive(Debug, Clone)]
pub struct Settlement {
    pub activation: String,
    pub result: String,
    pub month: String,
}

#[derive(Debug, Clone)]
pub struct Reversal {
    pub activation: String,
}

#[derive(Debug, Clone)]
pub struct LimitMonth {
    pub group: i64,
    pub month: String,
    pub granted: i64,
    pub used: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Outbox {
    pub id: i64,
    pub activation: String,
    pub kind: String,
    pub recipient: String,
    pub state: String,
    pub text: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub activation: String,
    pub caller: String,
    pub member: String,
    pub net: i64,
    pub tried_at_ms: i64,
}

#[derive(Debug, Clone)]
pub struct Member {
    pub id: i64,
    pub group: i64,
    pub msisdn: String,
    pub joined_at_ms: i64,
    pub left_at_ms: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct Leader {
    pub group: i64,
    pub member: i64,
    pub since_ms: i64,
    pub until_ms: Option<i64>,
}

/// Tables that are only ever inserted into.
const GROWING: [&str; 7] =
    ["activations", "transfers", "settlements", "reversals", "attempts", "accounts", "closed_months"];

impl Rows {
    /// Reads them all.
    pub async fn read(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(url).await.context("the checker's connection")?;
        let begin = if url.starts_with("sqlite") {
            "BEGIN"
        } else {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        };
        sqlx::query(AssertSqlSafe(begin)).execute(&mut connection).await?;
        let db = &mut connection;
        let mut rows = Self {
            activations: all(db, ACTIVATIONS, activation).await?,
            transfers: all(db, TRANSFERS, transfer).await?,
            settlements: all(db, "SELECT * FROM settlements", settlement).await?,
            reversals: all(db, "SELECT * FROM reversals", |row| {
                Ok(Reversal { activation: row.try_get("activation_id")? })
            })
            .await?,
            limit_months: all(db, "SELECT * FROM limit_months", limit_month).await?,
            outbox: all(db, "SELECT * FROM outbox ORDER BY id", outbox).await?,
            attempts: all(db, "SELECT * FROM attempts", attempt).await?,
            members: all(db, "SELECT * FROM members", member).await?,
            leaders: all(db, "SELECT * FROM leaders", leader).await?,
            kept: BTreeMap::new(),
        };
        for table in GROWING {
            let whole = all(db, &format!("SELECT * FROM {table}"), |row| Ok(whole(row))).await?;
            rows.kept.insert(table.to_owned(), whole.into_iter().collect());
        }
        sqlx::query("ROLLBACK").execute(&mut connection).await?;
        connection.close().await?;
        Ok(rows)
    }

    /// The settlement of an activation.
    pub fn settlement(&self, activation: &str) -> Option<&Settlement> {
        self.settlements.iter().find(|settlement| settlement.activation == activation)
    }
}

const ACTIVATIONS: &str =
    "SELECT v.*, p.name AS package, t.discount_qindarka AS terms_discount FROM activations v
    JOIN packages p ON p.id = v.package_id JOIN terms t ON t.id = v.terms_id ORDER BY v.held_at_ms, v.id";

const TRANSFERS: &str = "SELECT t.*, d.kind AS debit, c.kind AS credit FROM transfers t
    JOIN accounts d ON d.id = t.debit_account_id JOIN accounts c ON c.id = t.credit_account_id
    ORDER BY t.group_id, t.month, t.position";

async fn all<T>(
    db: &mut AnyConnection,
    sql: &str,
    read: impl Fn(&AnyRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(db).await?;
    rows.iter().map(|row| read(row).with_context(|| format!("{sql}: {}", whole(row)))).collect()
}

/// A row as one text.
fn whole(row: &AnyRow) -> String {
    let value = |name: &str| match row.try_get::<Option<i64>, _>(name) {
        Ok(number) => number.map(|number| number.to_string()),
        Err(_) => row.try_get::<Option<String>, _>(name).ok().flatten(),
    };
    let columns = row.columns().iter().map(Column::name);
    columns.map(|name| format!("{name}={:?}", value(name))).collect::<Vec<_>>().join(" ")
}

fn activation(row: &AnyRow) -> Result<Activation, sqlx::Error> {
    Ok(Activation {
        id: row.try_get("id")?,
        group: row.try_get("group_id")?,
        leader: row.try_get("leader_member_id")?,
        caller: row.try_get("caller_msisdn")?,
        member_id: row.try_get("member_id")?,
        member: row.try_get("member_msisdn")?,
        package: row.try_get("package")?,
        list: row.try_get("list_qindarka")?,
        discount: row.try_get("discount_qindarka")?,
        net: row.try_get("net_qindarka")?,
        month: row.try_get("month")?,
        held_at_ms: row.try_get("held_at_ms")?,
        terms_discount: row.try_get("terms_discount")?,
    })
}

fn transfer(row: &AnyRow) -> Result<Transfer, sqlx::Error> {
    Ok(Transfer {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        debit: row.try_get("debit")?,
        credit: row.try_get("credit")?,
        amount: row.try_get("amount_qindarka")?,
        activation: row.try_get("activation_id")?,
        pending: row.try_get("pending_id")?,
        group: row.try_get("group_id")?,
        month: row.try_get("month")?,
        position: row.try_get("position")?,
    })
}

fn settlement(row: &AnyRow) -> Result<Settlement, sqlx::Error> {
    Ok(Settlement {
        activation: row.try_get("activation_id")?,
        result: row.try_get("result")?,
        month: row.try_get("month")?,
    })
}

fn limit_month(row: &AnyRow) -> Result<LimitMonth, sqlx::Error> {
    Ok(LimitMonth {
        group: row.try_get("group_id")?,
        month: row.try_get("month")?,
        granted: row.try_get("granted_qindarka")?,
        used: row.try_get("used_qindarka")?,
    })
}

fn outbox(row: &AnyRow) -> Result<Outbox, sqlx::Error> {
    Ok(Outbox {
        id: row.try_get("id")?,
        activation: row.try_get("activation_id")?,
        kind: row.try_get("kind")?,
        recipient: row.try_get("recipient")?,
        state: row.try_get("state")?,
        text: row.try_get("text")?,
    })
}

fn attempt(row: &AnyRow) -> Result<Attempt, sqlx::Error> {
    Ok(Attempt {
        activation: row.try_get("activation_id")?,
        caller: row.try_get("caller_msisdn")?,
        member: row.try_get("member_msisdn")?,
        net: row.try_get("quoted_net_qindarka")?,
        tried_at_ms: row.try_get("tried_at_ms")?,
    })
}

fn member(row: &AnyRow) -> Result<Member, sqlx::Error> {
    Ok(Member {
        id: row.try_get("id")?,
        group: row.try_get("group_id")?,
        msisdn: row.try_get("msisdn")?,
        joined_at_ms: row.try_get("joined_at_ms")?,
        left_at_ms: row.try_get("left_at_ms")?,
    })
}

fn leader(row: &AnyRow) -> Result<Leader, sqlx::Error> {
    Ok(Leader {
        group: row.try_get("group_id")?,
        member: row.try_get("member_id")?,
        since_ms: row.try_get("since_ms")?,
        until_ms: row.try_get("until_ms")?,
    })
}
