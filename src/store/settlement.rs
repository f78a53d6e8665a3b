//! The settlement: what the network answered becomes final, once, as new rows.

use super::activations::activation;
use super::columns::Columns;
use super::outbox::audience_of;
use super::posting::{Posting, limit_month, pending_of};
use super::retry::retried;
use super::{Store, Write, commit};
use crate::klikon::{Outcome, SmsAlphabet, sms_text};
use crate::ledger::{Resolution, SettlementFacts};
use crate::store::{Activation, ActivationState, SettleError, Settled, Settlement, StoreError};
use crate::units::{ActivationId, failpoint};
use jiff::Timestamp;

/// Longest reason kept, in characters: it comes from outside.
const REASON_CHARACTERS_MAX: usize = 500;

impl Store {
    /// Posts or voids all transfers of an activation, and in the same transaction gives each waiting SMS its text and makes
    /// it due. The same settlement again changes nothing; the other one is refused.
    pub async fn settle(
        &self,
        id: ActivationId,
        settlement: &Settlement,
        at: Timestamp,
        alphabet: SmsAlphabet,
    ) -> Result<Settled, SettleError> {
        retried(|| async { settle(self.booking().await?, id, settlement, at, alphabet).await }).await
    }
}

async fn settle(
    mut write: Write,
    id: ActivationId,
    settlement: &Settlement,
    at: Timestamp,
    alphabet: SmsAlphabet,
) -> Result<Settled, SettleError> {
    lock_group_of(&mut write, id).await?;
    let activation = activation(&mut write, id).await?.ok_or(SettleError::Unknown(id))?;
    let (resolution, outcome, state) = match settlement {
        Settlement::Post => (Resolution::Post, Outcome::Activated, ActivationState::Posted),
        Settlement::Void { reason } => {
            let reason = reason.chars().take(REASON_CHARACTERS_MAX).collect();
            (Resolution::Void, Outcome::Rejected, ActivationState::Voided { reason })
        }
    };
    match (&activation.state, &state) {
        (ActivationState::Pending, _) => {}
        // It was posted before it was reversed.
        (ActivationState::Posted | ActivationState::Reversed { .. }, ActivationState::Posted)
        | (ActivationState::Voided { .. }, ActivationState::Voided { .. }) => {
            // With the lock there is something to commit: it waits for the standbys to have the settlement too.
            commit(write).await?;
            return Ok(Settled::Before(activation));
        }
        (settled, asked) => {
            return Err(SettleError::Contradicts { id, settled: settled.label(), asked: asked.label() });
        }
    }
    post_settlement(&mut write, &activation, resolution, &state, at).await?;
    make_due(&mut write, &activation, outcome, at, alphabet).await?;
    failpoint::SETTLEMENT_BEFORE_COMMIT.reached();
    commit(write).await?;
    failpoint::SETTLEMENT_AFTER_COMMIT.reached();
    Ok(Settled::Now(Activation { state, ..activation }))
}

/// Whoever books for the same group waits from here to the end of the transaction.
pub(super) async fn lock_group_of(db: &mut Write, id: ActivationId) -> Result<(), StoreError> {
    db.lock_by_text(
        "SELECT g.id FROM activations v JOIN groups g ON g.id = v.group_id WHERE v.id = $1 FOR UPDATE OF g",
        &id.to_string(),
    )
    .await
}

async fn post_settlement(
    db: &mut Write,
    activation: &Activation,
    resolution: Resolution,
    state: &ActivationState,
    at: Timestamp,
) -> Result<(), StoreError> {
    let id = activation.id;
    let reason = match state {
        ActivationState::Voided { reason } => Some(reason.clone()),
        _ => None,
    };
    let kept = limit_month(db, activation.group, activation.month).await?;
    let pending = pending_of(db, id).await?;
    let mut posting = Posting::open(db, activation.group, activation.month, kept, at).await?;
    posting.settlement(SettlementFacts { activation: id, resolution, reason, settled_at: at }).await?;
    posting.resolve(&pending, resolution, id, at).await
}

/// An acknowledgement proves that the order arrived, so an order that is still due is sent; each SMS gets its text.
async fn make_due(
    db: &mut Write,
    activation: &Activation,
    outcome: Outcome,
    at: Timestamp,
    alphabet: SmsAlphabet,
) -> Result<(), StoreError> {
    let at_ms = at.as_millisecond();
    sqlx::query(
        "UPDATE outbox SET state = 'sent', sent_at_ms = $1
         WHERE activation_id = $2 AND kind = 'order' AND state = 'due'",
    )
    .bind(at_ms)
    .bind(activation.id.to_string())
    .execute(&mut **db)
    .await?;
    let waiting = sqlx::query(
        "SELECT id, audience FROM outbox WHERE activation_id = $1 AND kind = 'sms' AND state = 'waiting'",
    )
    .bind(activation.id.to_string())
    .fetch_all(&mut **db)
    .await?;
    for row in waiting {
        let audience = audience_of(&row)?;
        let text = sms_text(alphabet, audience, outcome, activation.name, activation.member, activation.net);
        sqlx::query("UPDATE outbox SET state = 'due', text = $1, due_at_ms = $2 WHERE id = $3")
            .bind(text)
            .bind(at_ms)
            .bind(row.integer("id")?)
            .execute(&mut **db)
            .await?;
    }
    Ok(())
}
