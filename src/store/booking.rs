//! The hold: the one transaction in which money is promised (DOMAIN §3, §4.2).

use super::activations::activation;
use super::catalogue::{package, terms_on};
use super::months::share_open_month;
use super::posting::{Posting, left_of, limit_month};
use super::retry::retried;
use super::settlement::lock_group_of;
use super::standing::{member, month_limit, standing};
use super::{Store, Write, commit};
use crate::klikon::{self, Audience, Booking, Decision, Request, Standing};
use crate::ledger::{ActivationFacts, hold_entries};
use crate::store::{Activation, ActivationOrder, Held, HoldError, HoldOutcome, StoreError};
use crate::units::Month;

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
        if !is_same(&existing, order) {
            return Err(HoldError::IdReused(order.id));
        }
        // Others see a commit before a standby has it. With a lock there is something to commit, and that is waited for
        // as the booking itself was, so that what is said to exist outlives a failover.
        lock_group_of(&mut write, order.id).await?;
        commit(write).await?;
        return Ok(HoldOutcome::Exists(Box::new(existing)));
    }
    let day = klikon::day_of(order.at);
    let month = Month::of(order.at);
    if !share_open_month(&mut write, month).await? {
        return Err(HoldError::MonthClosed(month));
    }
    let caller = standing(&mut write, order.caller).await?;
    let (terms_id, terms) = terms_on(&mut write, day).await?;
    let (mut member_id, mut kept, mut left) = Default::default();
    if let Standing::Leader { group, .. } = caller {
        member_id = member(&mut write, group, order.member).await?.map(|member| member.id);
        kept = limit_month(&mut write, group, month).await?;
        left = match &kept {
            Some(kept) => left_of(kept),
            None => month_limit(&mut write, month).await?,
        };
    }
    let package = package(&mut write, order.package).await?;
    let decision = klikon::decide(&Request {
        caller,
        member: member_id,
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
    let mut posting = Posting::open(&mut write, booking.group, month, kept, order.at).await?;
    posting.activation(&activation_facts(order, &booking, terms_id, month)).await?;
    for entry in hold_entries(booking.group, month, booking.net, booking.discount) {
        posting.hold(entry, order.id, order.at).await?;
    }
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
