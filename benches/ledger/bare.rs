//! The bare INSERT: the rows of a booking in one transaction, with nothing read; with the database's own rules, or with no
//! trigger in the way.

use crate::family::Family;
use jiff::Timestamp;
use klikon::store::ActivationOrder;
use klikon::units::{ActivationId, Money, Month};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

/// 64 hexadecimal digits, as a hash has.
const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Rows a booking takes in its chain.
const LINKS: i64 = 4;

/// Where bare rows go.
pub struct Bare {
    connection: AnyConnection,
    sqlite: bool,
    /// limit_granted, limit_spent, discount_given, package_revenue.
    accounts: [i64; 4],
    /// Of each group, from 0.
    receivables: Vec<i64>,
    /// Of the group that books, in its month.
    limit: i64,
}

impl Bare {
    /// Connects, and takes the triggers away unless the database is to hold its `rules`.
    pub async fn open(url: &str, rules: bool) -> Self {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        let mut connection = AnyConnection::connect(url).await.expect("the database is there");
        if sqlite {
            let session = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";
            connection.execute(sqlx::raw_sql(session)).await.expect("it is told");
        }
        if sqlite && !rules {
            let triggers = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'trigger'");
            for row in triggers.fetch_all(&mut connection).await.expect("they are read") {
                let drop = format!("DROP TRIGGER {}", row.get::<String, _>("name"));
                connection.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.expect("it is dropped");
            }
        }
        if !sqlite && !rules {
            for table in ["attempts", "limit_months", "accounts", "activations", "transfers", "outbox"] {
                let off = format!("ALTER TABLE {table} DISABLE TRIGGER USER");
                connection.execute(sqlx::raw_sql(AssertSqlSafe(off))).await.expect("they are off");
            }
        }
        let mut accounts = [0; 4];
        for (id, kind) in
            accounts.iter_mut().zip(["limit_granted", "limit_spent", "discount_given", "package_revenue"])
        {
            let row = sqlx::query("SELECT id FROM accounts WHERE kind = $1").bind(kind);
            *id = row.fetch_one(&mut connection).await.expect("it is there").get("id");
        }
        let rows = sqlx::query("SELECT id FROM accounts WHERE kind = 'receivable' ORDER BY group_id");
        let rows = rows.fetch_all(&mut connection).await.expect("they are read");
        let receivables = rows.iter().map(|row| row.get("id")).collect();
        Self { connection, sqlite, accounts, receivables, limit: 0 }
    }

    /// Inserts the rows of a group's booking, the `round`th of its month, from 0.
    pub async fn book(&mut self, family: &Family, group: usize, round: i64, number: u64, at: Timestamp) {
        let order = family.order(group, 0, number, at);
        let (id, month, row) = (order.id, Month::of(at).to_string(), group as i64 + 1);
        let begin = if self.sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        self.connection.execute(begin).await.expect("it begins");
        self.attempt(&order).await;
        if round == 0 {
            self.month(row, &month).await;
        }
        let position = 2 + round * LINKS;
        let discount = 20_000_i64;
        let insert = "INSERT INTO activations (id, call_id, group_id, leader_member_id, caller_msisdn, member_id, member_msisdn,
                          package_id, terms_id, list_qindarka, discount_qindarka, net_qindarka, month, held_at_ms, position,
                          hash)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        let activation = sqlx::query(insert)
            .bind(id.to_string())
            .bind(order.call.to_string())
            .bind(row)
            .bind(2 * row - 1)
            .bind(order.caller.e164())
            .bind(2 * row)
            .bind(order.member.e164())
            .bind(order.package.0)
            .bind(1_i64)
            .bind(order.quoted_net.qindarka() + discount)
            .bind(discount)
            .bind(order.quoted_net.qindarka())
            .bind(month.clone())
            .bind(at.as_millisecond())
            .bind(position)
            .bind(HASH);
        activation.execute(&mut self.connection).await.expect("it is inserted");
        let [_, spent, given, revenue] = self.accounts;
        let entries = [
            (self.limit, spent, order.quoted_net),
            (self.receivables[group], revenue, order.quoted_net),
            (given, revenue, Money::from_qindarka(discount)),
        ];
        self.transfers("pending", &entries, Some(id), row, &month, position + 1, at).await;
        self.outbox(&order).await;
        self.connection.execute("COMMIT").await.expect("it commits");
    }

    async fn attempt(&mut self, order: &ActivationOrder) {
        let attempt =
            "INSERT INTO attempts (activation_id, call_id, caller_msisdn, member_msisdn, package_id,
                           quoted_net_qindarka, tried_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let attempt = sqlx::query(attempt)
            .bind(order.id.to_string())
            .bind(order.call.to_string())
            .bind(order.caller.e164())
            .bind(order.member.e164())
            .bind(order.package.0)
            .bind(order.quoted_net.qindarka())
            .bind(order.at.as_millisecond());
        attempt.execute(&mut self.connection).await.expect("it is inserted");
    }

    /// The order, and the SMS to the leader and to the member.
    async fn outbox(&mut self, order: &ActivationOrder) {
        let insert = "INSERT INTO outbox (activation_id, kind, audience, recipient, state, due_at_ms)
                      VALUES ($1, 'order', NULL, $2, 'due', $3), ($1, 'sms', 'leader', $4, 'waiting', NULL),
                             ($1, 'sms', 'member', $2, 'waiting', NULL)";
        let rows = sqlx::query(insert)
            .bind(order.id.to_string())
            .bind(order.member.e164())
            .bind(order.at.as_millisecond())
            .bind(order.caller.e164());
        rows.execute(&mut self.connection).await.expect("they are inserted");
    }

    /// A group's month, with the grant of its limit.
    async fn month(&mut self, group: i64, month: &str) {
        let insert = "INSERT INTO limit_months (group_id, month, granted_qindarka, used_qindarka, chain_length, chain_head)
                      VALUES ($1, $2, 650000, 0, 0, $3)";
        let kept = sqlx::query(insert).bind(group).bind(month.to_owned()).bind(HASH);
        kept.execute(&mut self.connection).await.expect("it is inserted");
        let insert = "INSERT INTO accounts (kind, group_id, month) VALUES ('limit', $1, $2) RETURNING id";
        let account = sqlx::query(insert).bind(group).bind(month.to_owned());
        self.limit = account.fetch_one(&mut self.connection).await.expect("it is inserted").get("id");
        let entry = [(self.accounts[0], self.limit, Money::from_lek(6_500))];
        self.transfers("grant", &entry, None, group, month, 1, Timestamp::UNIX_EPOCH).await;
    }

    #[allow(clippy::too_many_arguments, reason = "the columns")]
    async fn transfers(
        &mut self,
        kind: &'static str,
        entries: &[(i64, i64, Money)],
        activation: Option<ActivationId>,
        group: i64,
        month: &str,
        position: i64,
        at: Timestamp,
    ) {
        let row = |row: usize| {
            let columns: Vec<String> = (1..=10).map(|column| format!("${}", row * 10 + column)).collect();
            format!("({})", columns.join(", "))
        };
        let rows: Vec<String> = (0..entries.len()).map(row).collect();
        let insert = format!(
            "INSERT INTO transfers (kind, debit_account_id, credit_account_id, amount_qindarka, activation_id, booked_at_ms,
                 group_id, month, position, hash) VALUES {}",
            rows.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for ((debit, credit, amount), position) in entries.iter().zip(position..) {
            query = query
                .bind(kind)
                .bind(*debit)
                .bind(*credit)
                .bind(amount.qindarka())
                .bind(activation.map(|id| id.to_string()))
                .bind(at.as_millisecond())
                .bind(group)
                .bind(month.to_owned())
                .bind(position)
                .bind(HASH);
        }
        query.execute(&mut self.connection).await.expect("they are inserted");
    }
}
