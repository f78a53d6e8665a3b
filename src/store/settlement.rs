//! The settlement: what the network answered becomes final, once, as new rows.

use super::activations::activation;
use super::columns::Columns;
use super::outbox::audience_of;
use super::retry::retried;
use super::{Store, Write, commit};
use crate::klikon::{Outcome, SmsAlphabet, sms_text};
use crate::store::{Activation, ActivationState, SettleError, Settled, Settlement, StoreError};
use crate::units::ActivationId;
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
    let (asked, outcome, state) = match settlement {
        Settlement::Post => ("post", Outcome::Activated, ActivationState::Posted),
        Settlement::Void { reason } => {
            let reason = reason.chars().take(REASON_CHARACTERS_MAX).collect();
            ("void", Outcome::Rejected, ActivationState::Voided { reason })
        }
    };
    match (&activation.state, &state) {
        (ActivationState::Pending, _) => {}
        (ActivationState::Posted, ActivationState::Posted)
        | (ActivationState::Voided { .. }, ActivationState::Voided { .. }) => {
            return Ok(Settled::Before(activation));
        }
        (settled, asked) => {
            return Err(SettleError::Contradicts { id, settled: settled.label(), asked: asked.label() });
        }
    }
    insert_settlement(&mut write, id, asked, &state, at).await?;
    make_due(&mut write, &activation, outcome, at, alphabet).await?;
    commit(write).await?;
    Ok(Settled::Now(Activation { state, ..activation }))
}

/// Whoever books for the same group waits from here to the end of the transaction.
async fn lock_group_of(db: &mut Write, id: ActivationId) -> Result<(), StoreError> {
    db.lock_by_text(
        "SELECT g.id FROM activations v JOIN groups g ON g.id = v.group_id WHERE v.id = $1 FOR UPDATE OF g",
        &id.to_string(),
    )
    .await
}

async fn insert_settlement(
    db: &mut Write,
    id: ActivationId,
    result: &str,
    state: &ActivationState,
    at: Timestamp,
) -> Result<(), StoreError> {
    let reason = match state {
        ActivationState::Voided { reason } => Some(reason.as_str()),
        ActivationState::Pending | ActivationState::Posted => None,
    };
    sqlx::query(
        "INSERT INTO settlements (activation_id, result, reason, settled_at_ms) VALUES ($1, $2, $3, $4)",
    )
    .bind(id.to_string())
    .bind(result)
    .bind(reason)
    .bind(at.as_millisecond())
    .execute(&mut **db)
    .await?;
    sqlx::query(
        "INSERT INTO transfers
             (kind, debit_account_id, credit_account_id, amount_qindarka, activation_id, pending_id, booked_at_ms)
         SELECT $1, debit_account_id, credit_account_id, amount_qindarka, activation_id, id, $2
         FROM transfers WHERE activation_id = $3 AND kind = 'pending' ORDER BY id",
    )
    .bind(result)
    .bind(at.as_millisecond())
    .bind(id.to_string())
    .execute(&mut **db)
    .await?;
    Ok(())
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
