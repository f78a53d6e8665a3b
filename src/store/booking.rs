//! The hold: the one transaction in which money is promised (DOMAIN §3, §4.2).

use super::activations::activation;
use super::facts::facts;
use super::months::share_open_month;
use super::posting::{Posting, left_of};
use super::retry::retried;
use super::settlement::lock_group_of;
use super::standing::month_limit;
use super::{Store, Write, attempts, commit};
use crate::klikon::{self, Audience, Booking, Decision, Request};
use crate::ledger::{ActivationFacts, hold_entries};
use crate::store::{Activation, ActivationOrder, Held, HoldError, HoldOutcome, StoreError};
use crate::units::{Month, Msisdn, failpoint};

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
    let day = klikon::day_of(order.at);
    let month = Month::of(order.at);
    write.share_month(month).await?;
    let facts = facts(&mut write, order, day, month).await?;
    if facts.known {
        return existing(write, order).await;
    }
    if facts.month_closed {
        return Err(HoldError::MonthClosed(month));
    }
    // There was no row to lock: another may have made and even closed it since.
    if !facts.month_begun && !share_open_month(&mut write, month).await? {
        return Err(HoldError::MonthClosed(month));
    }
    let (terms_id, terms) = facts.terms.ok_or(StoreError::NoTerms)?;
    let left = match &facts.kept {
        Some(kept) => left_of(kept),
        None => month_limit(&mut write, month).await?,
    };
    let decision = klikon::decide(&Request {
        caller: facts.caller,
        member: facts.member,
        package: facts.package.as_ref(),
        terms: &terms,
        quoted_net: order.quoted_net,
        left,
        on: day,
    });
    let booking = match decision {
        Decision::Refused(refusal) => return Ok(HoldOutcome::Refused(refusal)),
        Decision::Book(booking) => booking,
    };
    // Its commit does not wait for the disk: a crash of the database between it and this transaction has lost it.
    if !facts.attempted {
        attempts::insert(&mut write, order).await?;
    }
    let mut posting = Posting::open(&mut write, booking.group, month, facts.kept, order.at).await?;
    posting.activation(&activation_facts(order, &booking, terms_id, month)).await?;
    let entries = hold_entries(booking.group, month, booking.net, booking.discount);
    posting.hold(&entries, order.id, order.at).await?;
    failpoint::AFTER_HOLD_ROWS.reached();
    insert_outbox(&mut write, order).await?;
    failpoint::HOLD_BEFORE_COMMIT.reached();
    commit(write).await?;
    failpoint::HOLD_AFTER_COMMIT.reached();
    Ok(HoldOutcome::Held(Held { group: booking.group, month, net: booking.net, left: booking.left }))
}

/// What became of an order that was booked before. Others see a commit before a standby has it: with a lock there is
/// something to commit here too, and that waits as the booking itself did, so that what is said to exist outlives a
/// failover.
async fn existing(mut write: Write, order: &ActivationOrder) -> Result<HoldOutcome, HoldError> {
    let existing = activation(&mut write, order.id).await?.filter(|existing| is_same(existing, order));
    let existing = existing.ok_or(HoldError::IdReused(order.id))?;
    lock_group_of(&mut write, order.id).await?;
    commit(write).await?;
    Ok(HoldOutcome::Exists(Box::new(existing)))
}

/// Whether an order is the one that was booked: the same call, caller, member, package and price. The instant of a retry
/// may differ; the month is that of the first.
fn is_same(existing: &Activation, order: &ActivationOrder) -> bool {
    (existing.call, existing.caller, existing.member, existing.package, existing.net)
        == (order.call, order.caller, order.member, order.package, order.quoted_net)
}

fn activation_facts(order: &ActivationOrder, booking: &Booking, terms: i64, month: Month) -> ActivationFacts {
    ActivationFacts {
        id: order.id,
        call: order.call,
        group: booking.group,
        leader: booking.leader,
        caller: order.caller,
        member_id: booking.member,
        member: order.member,
        package: order.package,
        terms,
        list: booking.list,
        discount: booking.discount,
        net: booking.net,
        month,
        held_at: order.at,
    }
}

/// The order is due at once; each SMS waits for the settlement, which writes its text.
async fn insert_outbox(db: &mut Write, order: &ActivationOrder) -> Result<(), StoreError> {
    let own = order.caller == order.member;
    let insert = sqlx::query(if own { INSERT_OUTBOX_OF_TWO } else { INSERT_OUTBOX_OF_THREE })
        .bind(order.id.to_string())
        .bind(order.member.e164())
        .bind(order.at.as_millisecond());
    let sms = |audience, recipient: Msisdn| (super::outbox::audience_label(audience), recipient.e164());
    let recipients = if own {
        vec![sms(Audience::Own, order.caller)]
    } else {
        vec![sms(Audience::Leader, order.caller), sms(Audience::Member, order.member)]
    };
    let insert = recipients
        .into_iter()
        .fold(insert, |insert, (audience, recipient)| insert.bind(audience).bind(recipient));
    insert.execute(&mut **db).await?;
    Ok(())
}

const INSERT_OUTBOX_OF_TWO: &str =
    "INSERT INTO outbox (activation_id, kind, audience, recipient, state, due_at_ms)
     VALUES ($1, 'order', NULL, $2, 'due', $3), ($1, 'sms', $4, $5, 'waiting', NULL)";

const INSERT_OUTBOX_OF_THREE: &str =
    "INSERT INTO outbox (activation_id, kind, audience, recipient, state, due_at_ms)
     VALUES ($1, 'order', NULL, $2, 'due', $3), ($1, 'sms', $4, $5, 'waiting', NULL),
            ($1, 'sms', $6, $7, 'waiting', NULL)";
