//! The hold: the one transaction in which money is promised (DOMAIN §3, §4.2).

use super::activations::activation;
use super::catalogue::{package, terms_on};
use super::columns::Columns;
use super::months::share_open_month;
use super::retry::retried;
use super::standing::{member, month_limit, remaining, standing};
use super::{Store, Write, commit};
use crate::klikon::{self, Audience, Booking, Decision, Request, Standing};
use crate::ledger::{AccountKind, Entry, TransferKind, grant_entry, hold_entries};
use crate::store::{Activation, ActivationOrder, Held, HoldError, HoldOutcome, StoreError};
use crate::units::{ActivationId, Month};
use jiff::Timestamp;

impl Store {
    /// Holds an activation: checks leader, membership, group, offer, price and limit in the transaction that writes the
    /// activation, its pending transfers, and the outbox rows for the order and each SMS. The same order again says
    /// what became of it. After [`StoreError::OutcomeUnknown`] the same order may be tried again.
    pub async fn hold(&self, order: &ActivationOrder) -> Result<HoldOutcome, HoldError> {
        retried(|| async { hold(self.booking().await?, order).await }).await
    }
}

async fn hold(mut write: Write, order: &ActivationOrder) -> Result<HoldOutcome, HoldError> {
    // Who changes the group's members or leader, and who books for it too, waits from here on, so that what is read is
    // still true at the commit.
    write
        .lock_by_text(
            "SELECT g.id FROM members m JOIN groups g ON g.id = m.group_id
             WHERE m.msisdn = $1 AND m.left_at_ms IS NULL FOR UPDATE OF g",
            &order.caller.e164(),
        )
        .await?;
    if let Some(existing) = activation(&mut write, order.id).await? {
        return if is_same(&existing, order) {
            Ok(HoldOutcome::Exists(Box::new(existing)))
        } else {
            Err(HoldError::IdReused(order.id))
        };
    }
    let day = klikon::day_of(order.at);
    let month = Month::of(order.at);
    if !share_open_month(&mut write, month).await? {
        return Err(HoldError::MonthClosed(month));
    }
    let caller = standing(&mut write, order.caller).await?;
    let (terms_id, terms) = terms_on(&mut write, day).await?;
    let (member, left) = match caller {
        Standing::Leader { group, .. } => {
            let member = member(&mut write, group, order.member).await?;
            (member.map(|member| member.id), remaining(&mut write, group, month).await?)
        }
        _ => Default::default(),
    };
    let package = package(&mut write, order.package).await?;
    let decision = klikon::decide(&Request {
        caller,
        member,
        package: package.as_ref(),
        terms: &terms,
        quoted_net: order.quoted_net,
        left,
        on: day,
    });
    let booking = match decision {
        Decision::Refused(refusal) => return Ok(HoldOutcome::Refused(refusal)),
        Decision::Book(booking) => booking,
    };
    insert_activation(&mut write, order, &booking, terms_id, month).await?;
    insert_transfers(&mut write, order, &booking, month).await?;
    insert_outbox(&mut write, order).await?;
    commit(write).await?;
    Ok(HoldOutcome::Held(Held { group: booking.group, month, net: booking.net, left: booking.left }))
}

/// Whether an order is the one that was booked: the same call, caller, member, package and price. The instant of a retry
/// may differ; the month is that of the first.
fn is_same(existing: &Activation, order: &ActivationOrder) -> bool {
    (existing.call, existing.caller, existing.member, existing.package, existing.net)
        == (order.call, order.caller, order.member, order.package, order.quoted_net)
}

async fn insert_activation(
    db: &mut Write,
    order: &ActivationOrder,
    booking: &Booking,
    terms_id: i64,
    month: Month,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO activations (id, call_id, group_id, leader_member_id, caller_msisdn, member_id, member_msisdn,
             package_id, terms_id, list_qindarka, discount_qindarka, net_qindarka, month, held_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(order.id.to_string())
    .bind(order.call.to_string())
    .bind(booking.group.0)
    .bind(booking.leader.0)
    .bind(order.caller.e164())
    .bind(booking.member.0)
    .bind(order.member.e164())
    .bind(order.package.0)
    .bind(terms_id)
    .bind(booking.list.qindarka())
    .bind(booking.discount.qindarka())
    .bind(booking.net.qindarka())
    .bind(month.to_string())
    .bind(order.at.as_millisecond())
    .execute(&mut **db)
    .await?;
    Ok(())
}

async fn insert_transfers(
    db: &mut Write,
    order: &ActivationOrder,
    booking: &Booking,
    month: Month,
) -> Result<(), StoreError> {
    let limit_account = AccountKind::Limit { group: booking.group, month };
    if find_account(db, limit_account).await?.is_none() {
        sqlx::query("INSERT INTO accounts (kind, group_id, month) VALUES ($1, $2, $3)")
            .bind(limit_account.label())
            .bind(booking.group.0)
            .bind(month.to_string())
            .execute(&mut **db)
            .await?;
        let limit = month_limit(db, month).await?;
        let grant = grant_entry(booking.group, month, limit);
        insert_transfer(db, TransferKind::Grant, &grant, None, order.at).await?;
    }
    for entry in hold_entries(booking.group, month, booking.net, booking.discount) {
        insert_transfer(db, TransferKind::Pending, &entry, Some(order.id), order.at).await?;
    }
    Ok(())
}

async fn insert_transfer(
    db: &mut Write,
    kind: TransferKind,
    entry: &Entry,
    activation: Option<ActivationId>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let account = |kind: AccountKind, id: Option<i64>| {
        id.ok_or_else(|| StoreError::Corrupt(format!("there is no account for the {kind}")))
    };
    let debit = account(entry.debit, find_account(db, entry.debit).await?)?;
    let credit = account(entry.credit, find_account(db, entry.credit).await?)?;
    sqlx::query(
        "INSERT INTO transfers
             (kind, debit_account_id, credit_account_id, amount_qindarka, activation_id, pending_id, booked_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(kind.label())
    .bind(debit)
    .bind(credit)
    .bind(entry.amount.qindarka())
    .bind(activation.map(|id| id.to_string()))
    .bind(kind.resolves().map(|id| id.0))
    .bind(at.as_millisecond())
    .execute(&mut **db)
    .await?;
    Ok(())
}

async fn find_account(db: &mut Write, kind: AccountKind) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query("SELECT id FROM accounts WHERE kind = $1 AND COALESCE(group_id, 0) = COALESCE($2, 0) AND COALESCE(month, '') = COALESCE($3, '')")
        .bind(kind.label())
        .bind(kind.group().map(|group| group.0))
        .bind(kind.month().map(|month| month.to_string()))
        .fetch_optional(&mut **db)
        .await?;
    row.map(|row| row.integer("id")).transpose()
}

/// The order is due at once; each SMS waits for the settlement, which writes its text.
async fn insert_outbox(db: &mut Write, order: &ActivationOrder) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO outbox (activation_id, kind, recipient, state, due_at_ms) VALUES ($1, 'order', $2, 'due', $3)",
    )
    .bind(order.id.to_string())
    .bind(order.member.e164())
    .bind(order.at.as_millisecond())
    .execute(&mut **db)
    .await?;
    let recipients = if order.caller == order.member {
        vec![(order.caller, Audience::Own)]
    } else {
        vec![(order.caller, Audience::Leader), (order.member, Audience::Member)]
    };
    for (recipient, audience) in recipients {
        sqlx::query(
            "INSERT INTO outbox (activation_id, kind, audience, recipient, state) VALUES ($1, 'sms', $2, $3, 'waiting')",
        )
        .bind(order.id.to_string())
        .bind(super::outbox::audience_label(audience))
        .bind(recipient.e164())
        .execute(&mut **db)
        .await?;
    }
    Ok(())
}
