//! What the database itself refuses, tried with SQL that goes past all code: the same on every backend.

use super::Store;
use crate::klikon::{self, SmsAlphabet};
use crate::ledger::BillItemKind;
use crate::store::contract::Database;
use crate::store::{
    ActivationOrder, BookFilter, CLOSE_GRACE, GrantChannel, HoldOutcome, ReverseError, Reversed, Settlement,
};
use crate::units::{ActivationId, CallId, FixedNumber, GroupId, Money, Month, Msisdn};
use jiff::Timestamp;

/// Hands the names of all cases to a macro.
macro_rules! each_constraint {
    ($macro:ident) => {
        $macro! {
            nothing_in_the_ledger_is_updated_deleted_or_replaced,
            a_limit_is_never_overdrawn_nor_granted_again,
            a_pending_transfer_is_resolved_once_and_as_settled, a_groups_month_says_what_its_rows_say,
            what_is_posted_is_reversed_once, a_reversal_after_the_close_moves_money_only,
            an_sms_is_made_at_the_settlement_and_goes_forward_only,
            leaders_terms_and_members_hold_by_themselves, prices_hold_by_themselves,
            the_trail_is_only_added_to, what_names_people_is_only_erased,
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
                        activation_id, pending_id, booked_at_ms, group_id, month, position, hash)";

/// A hash that looks like one.
const HASH: &str = "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'";

/// Where the next rows of the only group's month stand: the last columns of all that is chained.
fn next() -> String {
    format!(
        "group_id, month, (SELECT chain_length FROM limit_months WHERE month = '2026-11') \
         + ROW_NUMBER() OVER (ORDER BY id), {HASH}"
    )
}

async fn assert_refused(store: &Store, statement: &str, because: &str) {
    let said = refusal(store, statement).await;
    assert!(said.to_lowercase().contains(&because.to_lowercase()), "{statement}\n  {said}");
}

pub(super) async fn nothing_in_the_ledger_is_updated_deleted_or_replaced(database: &dyn Database) {
    let store = booked(database).await;
    store.reverse(id(2), "wrong member", "shop 7", now()).await.unwrap();
    for table in ["activations", "accounts", "transfers", "settlements", "reversals", "limit_months"] {
        assert_refused(&store, &format!("DELETE FROM {table}"), "never deleted").await;
    }
    for (table, column) in [
        ("activations", "net_qindarka = 1"),
        ("accounts", "kind = 'limit_spent'"),
        ("transfers", "amount_qindarka = 1"),
        ("settlements", "result = 'post'"),
        ("reversals", "actor = 'nobody'"),
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
    let next = next();
    // 3,100 left of 6,500: two more of 1,700 would be too much, even for who writes SQL.
    let second = |n: u8| {
        format!(
            "INSERT INTO activations SELECT '00000000-0000-7000-8000-00000000000{n}', call_id, group_id, \
             leader_member_id, caller_msisdn, member_id, member_msisdn, package_id, terms_id, list_qindarka, \
             discount_qindarka, net_qindarka, month, held_at_ms, (SELECT chain_length + 1 FROM limit_months), {HASH} \
             FROM activations WHERE id = :1;"
        )
    };
    let held = |n: u8| {
        format!(
            "{}{TRANSFER} SELECT 'pending', debit_account_id, credit_account_id, amount_qindarka, \
             '00000000-0000-7000-8000-00000000000{n}', NULL, 0, {next} FROM transfers WHERE kind = 'pending' \
             AND activation_id = :1 AND debit_account_id IN (SELECT id FROM accounts WHERE kind = 'limit');",
            second(n)
        )
    };
    assert!(refusal(&store, &held(8)).await.starts_with("done"), "the first fits");
    assert_refused(&store, &format!("{}{}", held(8), held(9)), "beyond the limit of the month").await;
    let grant = format!(
        "{TRANSFER} SELECT 'grant', debit_account_id, credit_account_id, amount_qindarka, NULL, NULL, 0, {next} \
         FROM transfers WHERE kind = 'grant'"
    );
    assert_refused(&store, &grant, "granted already").await;
    if database.replaces() {
        assert_refused(&store, &grant.replacen("INSERT", "INSERT OR REPLACE", 1), "granted already").await;
    }
    let december = |limit: &str, used: &str, granted: &str| {
        format!(
            "INSERT INTO limit_months VALUES (1, '2026-12', {limit}, {used}, 0, {HASH}); \
             INSERT INTO accounts (kind, group_id, month) VALUES ('limit', 1, '2026-12'); \
             {TRANSFER} SELECT 'grant', (SELECT id FROM accounts WHERE kind = 'limit_granted'), id, {granted}, \
             NULL, NULL, 0, 1, month, 1, {HASH} FROM accounts WHERE month = '2026-12'"
        )
    };
    assert_refused(&store, &december("650001", "0", "650001"), "not that of the terms").await;
    assert_refused(&store, &december("650000", "-1", "650000"), "begins empty").await;
    assert_refused(&store, &december("650000", "0", "650001"), "not the limit of the terms").await;
    assert!(refusal(&store, &december("650000", "0", "650000")).await.starts_with("done"));
    let sideways = format!(
        "{TRANSFER} SELECT 'grant', credit_account_id, debit_account_id, amount_qindarka, NULL, NULL, 0, {next} \
         FROM transfers WHERE kind = 'grant'"
    );
    assert_refused(&store, &sideways, "credits a limit account").await;
}

/// What stands beside the rows of a group's month says what they say: nobody makes room in a limit, or another end of the
/// chain, by writing it there.
pub(super) async fn a_groups_month_says_what_its_rows_say(database: &dyn Database) {
    let store = booked(database).await;
    for (change, because) in [
        ("used_qindarka = 0", "says what its rows say"),
        ("granted_qindarka = 900000", "says what its rows say"),
        ("chain_length = chain_length - 1", "says what its rows say"),
        ("chain_length = chain_length + 1", "says what its rows say"),
        ("chain_head = 'x'", "says what its rows say"),
    ] {
        assert_refused(&store, &format!("UPDATE limit_months SET {change}"), because).await;
    }
    // A row in the place of another, or after a gap.
    for position in ["(SELECT chain_length FROM limit_months)", "(SELECT chain_length + 2 FROM limit_months)"]
    {
        let elsewhere = format!(
            "INSERT INTO settlements SELECT id, 'post', NULL, 0, group_id, month, {position}, {HASH} \
             FROM activations WHERE id = :1"
        );
        assert_refused(&store, &elsewhere, "does not follow the last of its month").await;
    }
}

pub(super) async fn a_pending_transfer_is_resolved_once_and_as_settled(database: &dyn Database) {
    let store = booked(database).await;
    let next = next();
    let resolve = |kind: &str, n: u8, amount: &str| {
        format!(
            "{TRANSFER} SELECT '{kind}', debit_account_id, credit_account_id, {amount}, activation_id, id, 0, {next} \
             FROM transfers WHERE activation_id = :{n} AND kind = 'pending'"
        )
    };
    let settle = |n: u8, result: &str, month: &str| {
        format!(
            "INSERT INTO settlements SELECT id, {result}, 0, group_id, {month}, \
             (SELECT chain_length + 1 FROM limit_months), {HASH} FROM activations WHERE id = :{n};"
        )
    };
    assert_refused(&store, &resolve("post", 2, "amount_qindarka"), "resolved already").await;
    assert_refused(&store, &resolve("void", 2, "amount_qindarka"), "resolved already").await;
    if database.replaces() {
        let replace = resolve("post", 2, "amount_qindarka").replacen("INSERT", "INSERT OR REPLACE", 1);
        assert_refused(&store, &replace, "resolved already").await;
        let replace = settle(2, "'void', 'x'", "month").replacen("INSERT", "REPLACE", 1);
        assert_refused(&store, &replace, "is settled").await;
    }
    assert_refused(&store, &resolve("post", 1, "amount_qindarka"), "follows the settlement").await;
    let posted = settle(1, "'post', NULL", "month");
    let void = resolve("void", 1, "amount_qindarka");
    assert_refused(&store, &format!("{posted}{void}"), "follows the settlement").await;
    let other_amount = resolve("post", 1, "amount_qindarka - 1");
    assert_refused(&store, &format!("{posted}{other_amount}"), "repeats its pending").await;
    let good = resolve("post", 1, "amount_qindarka");
    let done = refusal(&store, &format!("{posted}{good}")).await;
    assert!(done.starts_with("done"), "{done}");
    assert_refused(&store, &settle(2, "'post', NULL", "month"), "is settled").await;
    assert_refused(&store, &settle(1, "'post', NULL", "'2026-12'"), "in the month of its activation").await;
    // Nor is it held twice, nor for another amount, nor between other accounts.
    let hold = |amount: &str, debit: &str| {
        format!(
            "{TRANSFER} SELECT 'pending', {debit}, credit_account_id, {amount}, activation_id, NULL, 0, {next} \
             FROM transfers WHERE activation_id = :1 AND kind = 'pending'"
        )
    };
    assert_refused(&store, &hold("amount_qindarka", "debit_account_id"), "holds this account already").await;
    assert_refused(&store, &hold("1", "debit_account_id"), "does not follow from its activation").await;
    assert_refused(&store, &hold("0", "debit_account_id"), "does not follow from its activation").await;
    assert_refused(&store, &hold("amount_qindarka", "1"), "does not follow from its activation").await;
}

/// A reversal: of what is posted, once, in the month of its activation unless that is closed.
pub(super) async fn what_is_posted_is_reversed_once(database: &dyn Database) {
    let store = booked(database).await;
    let next = next();
    let reverse = |n: u8, month: &str, place: &str| {
        format!(
            "INSERT INTO reversals SELECT id, 'wrong member', 'shop 7', 0, group_id, {month}, {place}, {HASH} \
             FROM activations WHERE id = :{n};"
        )
    };
    let here = "(SELECT chain_length + 1 FROM limit_months WHERE month = '2026-11')";
    let take_back = |n: u8, amount: &str| {
        format!(
            "{TRANSFER} SELECT 'reversal', credit_account_id, debit_account_id, {amount}, activation_id, id, 0, {next} \
             FROM transfers WHERE activation_id = :{n} AND kind = 'pending';"
        )
    };
    for n in [1, 3] {
        assert_refused(&store, &reverse(n, "month", here), "only what is posted").await;
    }
    assert_refused(&store, &take_back(2, "amount_qindarka"), "follows the reversal of its activation").await;
    let reversed = reverse(2, "month", here);
    assert_refused(&store, &format!("{reversed}{}", take_back(2, "1")), "the other way round").await;
    assert_refused(&store, &format!("{reversed}{reversed}"), "is reversed").await;
    let whole = format!("{reversed}{}", take_back(2, "amount_qindarka"));
    let done = refusal(&store, &whole).await;
    assert!(done.starts_with("done"), "{done}");
    assert_refused(&store, &format!("{whole}{}", take_back(2, "amount_qindarka")), "is reversed already")
        .await;
    let closed = |sequence: u32| {
        let hash = "0".repeat(64);
        format!("INSERT INTO closed_months VALUES ('2026-11', {sequence}, 'x', 0, '{hash}', '{hash}');")
    };
    assert_refused(&store, &closed(1), "unresolved activations").await;
    store.settle(id(1), &Settlement::Post, now(), SmsAlphabet::Ucs2).await.unwrap();
    assert_refused(&store, &closed(2), "numbered without gaps").await;
    let closed = closed(1);
    assert_refused(&store, &format!("{closed}{reversed}"), "the month is closed").await;
    assert_refused(&store, &reverse(2, "'2026-12'", "1"), "or in a later one if that is closed").await;
    assert_refused(&store, &format!("{closed}{}", reverse(2, "'2026-10'", "1")), "or in a later one").await;
    let again = "INSERT INTO activations SELECT '00000000-0000-7000-8000-000000000008', call_id, group_id, \
                 leader_member_id, caller_msisdn, member_id, member_msisdn, package_id, terms_id, list_qindarka, \
                 discount_qindarka, net_qindarka, month, held_at_ms, position, hash FROM activations WHERE id = :1";
    assert_refused(&store, &format!("{closed}{again}"), "the month is closed").await;
    for change in ["UPDATE closed_months SET month = '2027-01'", "DELETE FROM closed_months"] {
        assert_refused(&store, &format!("{closed}{change}"), "never").await;
    }
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

/// Another price for a package needs 30 days' notice, whoever writes it.
pub(super) async fn prices_hold_by_themselves(database: &dyn Database) {
    let store = booked(database).await;
    let price = |announced: &str, from: &str| {
        format!(
            "INSERT INTO packages (name, list_qindarka, announced_on, valid_from, recorded_on) \
             VALUES ('Super 1900', 210000, '{announced}', '{from}', '2026-11-22')"
        )
    };
    assert_refused(&store, &price("2026-11-22", "2027-01-01"), "overlap").await;
    let retired = "UPDATE packages SET valid_until = '2026-12-01' WHERE name = 'Super 1900';";
    let again = |announced: &str, from: &str| format!("{retired}{}", price(announced, from));
    assert_refused(&store, &again("2026-11-22", "2026-12-21"), "30 days after its notice").await;
    assert_refused(&store, &again("2026-11-23", "2026-12-29"), "in the future").await;
    let retired_then = "UPDATE packages SET valid_until = '2026-11-01' WHERE name = 'Super 1900';";
    let begun = format!("{retired_then}{}", price("2026-09-01", "2026-11-22"));
    assert_refused(&store, &begun, "days that have begun").await;
    assert!(refusal(&store, &again("2026-11-22", "2026-12-22")).await.starts_with("done"));
    assert_refused(&store, &format!("{retired}{retired}"), "only be retired, once").await;
}

/// The trail of administration: nobody changes it, and no row of it is without who; what takes money back, or personal
/// data away, is without reason by nobody.
pub(super) async fn the_trail_is_only_added_to(database: &dyn Database) {
    let store = booked(database).await;
    for change in ["DELETE FROM administration", "UPDATE administration SET actor = 'nobody'"] {
        assert_refused(&store, change, "never").await;
    }
    let row = |actor: &str, reason: &str, kind: &str| {
        format!(
            "INSERT INTO administration (at_ms, actor, reason, kind, subject) VALUES (0, {actor}, {reason}, {kind}, 'x')"
        )
    };
    assert!(refusal(&store, &row("'clerk'", "NULL", "'group-opened'")).await.starts_with("done"));
    for (actor, reason, kind) in [
        ("' '", "NULL", "'group-opened'"),
        ("'clerk'", "' '", "'group-opened'"),
        ("'clerk'", "NULL", "''"),
        ("'clerk'", "NULL", "'activation-reversed'"),
        ("'clerk'", "NULL", "'personal-data-erased'"),
    ] {
        assert_refused(&store, &row(actor, reason, kind), "check").await;
    }
    let said = refusal(&store, &row("NULL", "NULL", "'group-opened'")).await;
    assert!(said.to_lowercase().contains("not") && said.to_lowercase().contains("null"), "{said}");
    let columns = "at_ms, actor, kind, record_id, subject";
    let twice = format!(
        "INSERT INTO administration ({columns}) SELECT {columns} FROM administration WHERE kind = 'terms-added'"
    );
    let said = refusal(&store, &twice).await;
    assert!(said.contains("in the trail already") || said.contains("administration_begun"), "{said}");
    if database.replaces() {
        let said = refusal(&store, &twice.replacen("INSERT", "INSERT OR REPLACE", 1)).await;
        assert!(said.contains("in the trail already"), "{said}");
    }
}

/// Who granted a right, and what a call stated, can be taken away and nothing else of it changed.
pub(super) async fn what_names_people_is_only_erased(database: &dyn Database) {
    let store = booked(database).await;
    let call = "INSERT INTO calls (id, sip_call_id, called, received_at_ms, ended_at_ms, end_cause, outcome, nodes, \
                free_of_charge, stated) VALUES ('x', 'x', '130', 0, 0, 'goodbye', 'none', '[]', 1, '[]');";
    let changed = |change: &str| format!("{call}UPDATE calls SET {change}");
    for change in
        ["stated = '[1]'", "stated = stated", "caller = 'x', stated = NULL", "outcome = 'activated'"]
    {
        assert_refused(&store, &changed(change), "never updated").await;
    }
    let erased = changed("stated = NULL");
    assert!(refusal(&store, &erased).await.starts_with("done"));
    assert_refused(&store, &format!("{erased};UPDATE calls SET stated = '[]'"), "never updated").await;
    assert_refused(&store, &format!("{call}DELETE FROM calls"), "never deleted").await;
    let leader = |change: &str| format!("UPDATE leaders SET {change};");
    for change in
        ["granted_by = 'another'", "granted_by = '(erased)', until_ms = since_ms", "channel = 'shop'"]
    {
        assert_refused(&store, &leader(change), "only be ended").await;
    }
    let (ended, erased) = (leader("until_ms = since_ms"), leader("granted_by = '(erased)'"));
    for good in [format!("{ended}{erased}"), format!("{erased}{ended}")] {
        assert!(refusal(&store, &good).await.starts_with("done"), "{good}");
        assert_refused(&store, &format!("{good}{}", leader("granted_by = 'another'")), "only be ended").await;
        assert_refused(&store, &format!("{good}{}", leader("until_ms = NULL")), "only be ended").await;
    }
    let nobody = "INSERT INTO contacts (contract, name) VALUES ('+35542250928', NULL)";
    assert_refused(&store, nobody, "check").await;
}

/// After its month is closed an activation is reversed in a later one: its money, and no room in the limit.
pub(super) async fn a_reversal_after_the_close_moves_money_only(database: &dyn Database) {
    let store = booked(database).await;
    let (november, december) = (Month::of(now()), Month::of(now()).next());
    let group = GroupId(1);
    store.settle(id(1), &Settlement::Post, now(), SmsAlphabet::Ucs2).await.unwrap();
    let files = store.close_month(november, "billing", november.end() + CLOSE_GRACE).await.unwrap();
    let reverse = |at| {
        let store = &store;
        async move { store.reverse(id(2), "wrong member", "shop 7", at).await }
    };
    let early = reverse(now()).await.unwrap_err();
    assert!(matches!(early, ReverseError::MonthClosed(month) if month == november), "{early}");
    let later = now() + jiff::SignedDuration::from_hours(24 * 10);
    assert!(matches!(reverse(later).await.unwrap(), Reversed::Now(_)));
    assert!(matches!(reverse(later).await.unwrap(), Reversed::Before(_)));
    assert_eq!(store.remaining(group, november).await.unwrap(), Money::from_lek(3100), "both are posted");
    assert_eq!(store.remaining(group, december).await.unwrap(), Money::from_lek(6500));
    let seen = store.audit().await.unwrap();
    assert_eq!((seen.months, seen.reversed, seen.money_posted), (2, 1, Money::from_lek(1900)));
    // The bills of November stay as they went out; December's have what was taken back.
    assert_eq!(store.bill_run(november).await.unwrap().as_ref(), Some(&files));
    let activation = store.activation(id(2)).await.unwrap().unwrap();
    let line = store.bill(&FixedNumber::parse("042250928").unwrap(), december).await.unwrap();
    assert_eq!(line.items[0].kind, BillItemKind::Reversal { reason: "wrong member".to_owned() });
    assert_eq!(Money::ZERO.checked_sub(line.total.gross), Some(activation.net));
    let of_december = store.ledger(BookFilter { group: Some(group), month: Some(december) }).await.unwrap();
    assert_eq!(of_december.transfers.len(), 3, "the limit of December is granted, and the money goes back");
    // Nothing new is held in a closed month, such as by a clock that stepped back.
    let packages = store.packages().await.unwrap();
    let order = ActivationOrder {
        id: id(9),
        call: CallId::new(now(), [9; 10]),
        caller: Msisdn::parse("0672000123").unwrap(),
        member: Msisdn::parse("0672000123").unwrap(),
        package: packages.iter().find(|package| package.name.number() == 700).unwrap().id,
        quoted_net: Money::from_lek(500),
        at: now(),
    };
    assert!(store.hold(&order).await.is_err());
    assert_eq!(store.audit().await.unwrap().activations, 3);
}

/// The audit finds what the triggers would have refused, where somebody gets past them.
pub(super) async fn the_audit_names_the_first_row_that_is_wrong(database: &dyn Database) {
    let tampered = [
        (
            "transfers_never_updated",
            "UPDATE transfers SET amount_qindarka = 5 WHERE kind = 'post' AND position = 15",
            "transfers row 11: its hash is not that of its content",
        ),
        (
            "transfers_never_deleted",
            "DELETE FROM transfers WHERE kind = 'void'",
            "its chain has 21 rows, and 18",
        ),
        (
            "activations_never_updated",
            "UPDATE activations SET caller_msisdn = '+355690000000' WHERE id = :1",
            "its hash is not that of its content",
        ),
        (
            "settlements_never_deleted",
            "DELETE FROM settlements WHERE activation_id = :2",
            "its position is 15, after 13",
        ),
        (
            "settlements_never_updated",
            "UPDATE settlements SET reason = 'other' WHERE result = 'void'",
            "its hash",
        ),
        ("accounts_never_updated", "UPDATE accounts SET month = '2026-12' WHERE kind = 'limit'", "its hash"),
        ("limit_months_follow", "UPDATE limit_months SET used_qindarka = 0", "are used, by its rows"),
        ("limit_months_never_deleted", "DELETE FROM limit_months", "it belongs to no month of a group"),
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
        let fault = super::verify::verify(&mut write, BookFilter::default()).await.unwrap_err().to_string();
        assert!(fault.contains(expected), "{statement}: {fault}");
        write.rollback().await.unwrap();
    }
    store.audit().await.unwrap();
}
