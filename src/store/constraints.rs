//! What the database itself refuses, tried with SQL that goes past all code: the same on every backend.

use super::Store;
use crate::klikon::{self, SmsAlphabet};
use crate::store::contract::Database;
use crate::store::{ActivationOrder, GrantChannel, HoldOutcome, Settlement};
use crate::units::{ActivationId, CallId, FixedNumber, Money, Msisdn};
use jiff::Timestamp;

/// Hands the names of all cases to a macro.
macro_rules! each_constraint {
    ($macro:ident) => {
        $macro! {
            nothing_in_the_ledger_is_updated_deleted_or_replaced,
            a_limit_is_never_overdrawn_nor_granted_again,
            a_pending_transfer_is_resolved_once_and_as_settled,
            an_sms_is_made_at_the_settlement_and_goes_forward_only,
            leaders_terms_and_members_hold_by_themselves,
            the_audit_names_the_first_row_that_is_wrong
        }
    };
}
pub(super) use each_constraint;

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn id(n: u8) -> ActivationId {
    ActivationId::new(now(), [n; 10])
}

/// One group with activations 1 (pending), 2 (posted) and 3 (voided), of Super 1900 each.
pub(super) async fn booked(database: &dyn Database) -> Store {
    let store = Store::open(&database.settings()).await.unwrap();
    store.seed_catalogue(klikon::day_of(now())).await.unwrap();
    let contract = FixedNumber::parse("042250928").unwrap();
    let caller = Msisdn::parse("0672000123").unwrap();
    store.create_group(&contract, now()).await.unwrap();
    store.add_member(&contract, caller, now()).await.unwrap();
    store.grant_leader(&contract, caller, "Lider Fiks", &GrantChannel::Online, now()).await.unwrap();
    let packages = store.packages().await.unwrap();
    let package = packages.iter().find(|package| package.name.number() == 1900).unwrap().id;
    for n in 1..=3 {
        let order = ActivationOrder {
            id: id(n),
            call: CallId::new(now(), [n; 10]),
            caller,
            member: caller,
            package,
            quoted_net: Money::from_lek(1700),
            at: now(),
        };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    }
    store.settle(id(2), &Settlement::Post, now(), SmsAlphabet::Ucs2).await.unwrap();
    let rejected = Settlement::Void { reason: "rejected".to_owned() };
    store.settle(id(3), &rejected, now(), SmsAlphabet::Ucs2).await.unwrap();
    store
}

/// Tries a statement; what the database says against it. The ids of the activations stand for `:1`, `:2` and `:3`.
async fn refusal(store: &Store, statement: &str) -> String {
    let mut sql = statement.to_owned();
    for n in 1..=3 {
        sql = sql.replace(&format!(":{n}"), &format!("'{}'", id(n)));
    }
    let mut write = store.write().await.unwrap();
    match sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *write).await {
        Ok(done) => format!("done: {} rows", done.rows_affected()),
        Err(error) => error.to_string(),
    }
}

const TRANSFER: &str = "INSERT INTO transfers (kind, debit_account_id, credit_account_id, amount_qindarka, \
                        activation_id, pending_id, booked_at_ms)";

async fn assert_refused(store: &Store, statement: &str, because: &str) {
    let said = refusal(store, statement).await;
    assert!(said.to_lowercase().contains(&because.to_lowercase()), "{statement}\n  {said}");
}

pub(super) async fn nothing_in_the_ledger_is_updated_deleted_or_replaced(database: &dyn Database) {
    let store = booked(database).await;
    for table in ["activations", "accounts", "transfers", "settlements"] {
        assert_refused(&store, &format!("DELETE FROM {table}"), "never deleted").await;
    }
    for (table, column) in [
        ("activations", "net_qindarka = 1"),
        ("accounts", "kind = 'limit_spent'"),
        ("transfers", "amount_qindarka = 1"),
        ("settlements", "result = 'post'"),
    ] {
        assert_refused(&store, &format!("UPDATE {table} SET {column}"), "never updated").await;
        if database.replaces() {
            assert_refused(&store, &format!("UPDATE OR REPLACE {table} SET {column}"), "never updated").await;
        }
        let insert = if database.replaces() { "INSERT OR REPLACE" } else { "INSERT" };
        let again = format!("{insert} INTO {table} SELECT * FROM {table} LIMIT 1");
        let said = refusal(&store, &again).await;
        assert!(!said.starts_with("done"), "{again}: {said}");
    }
    for table in ["groups", "members", "leaders", "terms", "packages", "outbox", "calls"] {
        let statement = format!("DELETE FROM {table}");
        let said = refusal(&store, &statement).await;
        // No call was recorded; a trigger fires for a row only.
        assert!(
            said.contains("never") || (table == "calls" && said == "done: 0 rows"),
            "{statement}: {said}"
        );
    }
    assert_eq!(store.audit().await.unwrap().activations, 3);
}

pub(super) async fn a_limit_is_never_overdrawn_nor_granted_again(database: &dyn Database) {
    let store = booked(database).await;
    // 3,100 left of 6,500: two more of 1,700 would be too much, even for who writes SQL.
    let second = "INSERT INTO activations SELECT '00000000-0000-7000-8000-00000000000' || n, call_id, group_id, \
                  leader_member_id, caller_msisdn, member_id, member_msisdn, package_id, terms_id, list_qindarka, \
                  discount_qindarka, net_qindarka, month, held_at_ms FROM activations, (SELECT 8 AS n UNION SELECT 9) AS numbers \
                  WHERE id = :1;";
    let held = |n: u8| {
        format!(
            "{TRANSFER} SELECT 'pending', debit_account_id, credit_account_id, amount_qindarka, \
             '00000000-0000-7000-8000-00000000000{n}', NULL, 0 FROM transfers \
             WHERE activation_id = :1 AND debit_account_id IN (SELECT id FROM accounts WHERE kind = 'limit');"
        )
    };
    assert!(refusal(&store, &format!("{second}{}", held(8))).await.starts_with("done"), "the first fits");
    assert_refused(&store, &format!("{second}{}{}", held(8), held(9)), "beyond the limit of the month").await;
    let grant = format!(
        "{TRANSFER} SELECT 'grant', debit_account_id, credit_account_id, amount_qindarka, NULL, NULL, 0 \
         FROM transfers WHERE kind = 'grant'"
    );
    assert_refused(&store, &grant, "granted already").await;
    if database.replaces() {
        assert_refused(&store, &grant.replacen("INSERT", "INSERT OR REPLACE", 1), "granted already").await;
    }
    let december = "INSERT INTO accounts (kind, group_id, month) VALUES ('limit', 1, '2026-12');";
    let generous = format!(
        "{december}{TRANSFER} SELECT 'grant', (SELECT id FROM accounts WHERE kind = 'limit_granted'), id, 650001, \
         NULL, NULL, 0 FROM accounts WHERE month = '2026-12'"
    );
    assert_refused(&store, &generous, "not the limit of the terms").await;
    assert!(refusal(&store, &generous.replace("650001", "650000")).await.starts_with("done"));
    let sideways = format!(
        "{TRANSFER} SELECT 'grant', credit_account_id, debit_account_id, amount_qindarka, NULL, NULL, 0 \
         FROM transfers WHERE kind = 'grant'"
    );
    assert_refused(&store, &sideways, "credits a limit account").await;
}

pub(super) async fn a_pending_transfer_is_resolved_once_and_as_settled(database: &dyn Database) {
    let store = booked(database).await;
    let resolve = |kind: &str, n: u8, amount: &str| {
        format!(
            "{TRANSFER} SELECT '{kind}', debit_account_id, credit_account_id, {amount}, activation_id, id, 0 \
             FROM transfers WHERE activation_id = :{n} AND kind = 'pending'"
        )
    };
    assert_refused(&store, &resolve("post", 2, "amount_qindarka"), "resolved already").await;
    assert_refused(&store, &resolve("void", 2, "amount_qindarka"), "resolved already").await;
    if database.replaces() {
        let replace = resolve("post", 2, "amount_qindarka").replacen("INSERT", "INSERT OR REPLACE", 1);
        assert_refused(&store, &replace, "resolved already").await;
        assert_refused(&store, "REPLACE INTO settlements VALUES (:2, 'void', 'x', 0)", "is settled").await;
    }
    assert_refused(&store, &resolve("post", 1, "amount_qindarka"), "follows the settlement").await;
    let settle = "INSERT INTO settlements VALUES (:1, 'post', NULL, 0);";
    let void = resolve("void", 1, "amount_qindarka");
    assert_refused(&store, &format!("{settle}{void}"), "follows the settlement").await;
    let other_amount = resolve("post", 1, "amount_qindarka - 1");
    assert_refused(&store, &format!("{settle}{other_amount}"), "repeats its pending").await;
    let good = resolve("post", 1, "amount_qindarka");
    assert!(refusal(&store, &format!("{settle}{good}")).await.starts_with("done"));
    assert_refused(&store, "INSERT INTO settlements VALUES (:2, 'post', NULL, 0)", "is settled").await;
    // Nor is it held twice, nor for another amount, nor between other accounts.
    let hold = |amount: &str, debit: &str| {
        format!(
            "{TRANSFER} SELECT 'pending', {debit}, credit_account_id, {amount}, activation_id, NULL, 0 \
             FROM transfers WHERE activation_id = :1 AND kind = 'pending'"
        )
    };
    assert_refused(&store, &hold("amount_qindarka", "debit_account_id"), "holds this account already").await;
    assert_refused(&store, &hold("1", "debit_account_id"), "does not follow from its activation").await;
    assert_refused(&store, &hold("0", "debit_account_id"), "does not follow from its activation").await;
    assert_refused(&store, &hold("amount_qindarka", "1"), "does not follow from its activation").await;
}

pub(super) async fn an_sms_is_made_at_the_settlement_and_goes_forward_only(database: &dyn Database) {
    let store = booked(database).await;
    let early = "UPDATE outbox SET state = 'due', text = 'x', due_at_ms = 0 WHERE kind = 'sms' AND activation_id = :1";
    assert_refused(&store, early, "made at the settlement").await;
    let back = "UPDATE outbox SET state = 'waiting', text = NULL, due_at_ms = NULL \
                WHERE kind = 'sms' AND activation_id = :2";
    assert_refused(&store, back, "from waiting to due to sent").await;
    let started = "INSERT INTO outbox (activation_id, kind, audience, recipient, state, text, due_at_ms) \
                   VALUES (:1, 'sms', 'leader', '+355690000000', 'due', 'x', 0)";
    assert_refused(&store, started, "an SMS waiting").await;
}

pub(super) async fn leaders_terms_and_members_hold_by_themselves(database: &dyn Database) {
    let store = booked(database).await;
    let leader =
        "INSERT INTO leaders (group_id, member_id, since_ms, granted_by, channel, declaration) VALUES";
    assert_refused(&store, &format!("{leader} (1, 1, 0, 'x', 'online', NULL)"), "has a leader already").await;
    let ended = "UPDATE leaders SET until_ms = since_ms;";
    assert_refused(&store, &format!("{ended}{leader} (1, 1, 0, 'x', 'shop', NULL)"), "CHECK").await;
    assert_refused(&store, &format!("{ended}{leader} (1, 7, 0, 'x', 'online', NULL)"), "current member")
        .await;
    assert_refused(&store, &format!("{ended}UPDATE leaders SET until_ms = NULL"), "only be ended, once")
        .await;
    assert_refused(&store, "UPDATE members SET left_at_ms = joined_at_ms", "right ends before").await;
    let member = "INSERT INTO members (group_id, msisdn, joined_at_ms) VALUES (1, '+355672000123', 0)";
    assert_refused(&store, member, "a member already").await;
    let terms = |announced: &str, effective: &str| {
        format!(
            "INSERT INTO terms (discount_qindarka, limit_qindarka, lowest_package_qindarka, members_max, \
             announced_on, effective_on, recorded_on) VALUES (0, 1, 1, 4, '{announced}', '{effective}', '2026-11-22')"
        )
    };
    assert_refused(&store, &terms("2026-11-22", "2026-12-21"), "30 days after their notice").await;
    assert_refused(&store, &terms("2026-11-23", "2026-12-29"), "in the future").await;
    assert_refused(&store, &terms("2026-09-01", "2026-11-22"), "days that have begun").await;
    let no_day = refusal(&store, &terms("2026-11-22", "2026-12-32")).await;
    assert!(no_day.contains("CHECK") || no_day.contains("out of range"), "{no_day}");
    assert!(refusal(&store, &terms("2026-11-22", "2026-12-22")).await.starts_with("done"));
    assert_refused(&store, "UPDATE terms SET limit_qindarka = 9900000", "never changed").await;
    assert_refused(&store, "UPDATE packages SET list_qindarka = 1", "only be retired").await;
}

/// The audit finds what the triggers would have refused, where somebody gets past them.
pub(super) async fn the_audit_names_the_first_row_that_is_wrong(database: &dyn Database) {
    let tampered = [
        (
            "transfers_never_updated",
            "UPDATE transfers SET amount_qindarka = 5 WHERE id = 5",
            "transfers row 11: it differs",
        ),
        ("transfers_never_deleted", "DELETE FROM transfers WHERE kind = 'void'", "0 are posted and 0 voided"),
        (
            "activations_never_updated",
            "UPDATE activations SET month = '2026-10' WHERE id = :1",
            "held in 2026-11, booked in 2026-10",
        ),
        ("settlements_never_deleted", "DELETE FROM settlements WHERE activation_id = :2", "settlement None"),
        ("outbox_never_deleted", "DELETE FROM outbox WHERE id = 1", "0 orders and 1 SMS"),
    ];
    let store = booked(database).await;
    for (trigger, statement, expected) in tampered {
        let mut sql = database.past_trigger(trigger, statement);
        for n in 1..=3 {
            sql = sql.replace(&format!(":{n}"), &format!("'{}'", id(n)));
        }
        let mut write = store.write().await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *write).await.unwrap();
        let book = super::book::book(&mut write).await.unwrap();
        let fault = crate::ledger::audit(&book).unwrap_err().to_string();
        assert!(fault.contains(expected), "{statement}: {fault}");
        write.rollback().await.unwrap();
    }
    store.audit().await.unwrap();
}
