//! The reversal of a posted activation after the fact, as new rows (DOMAIN §3): the money of it, and the room in the month's
//! limit if that month is still open.

use super::activations::activation;
use super::administration::{Change, ChangeKind};
use super::groups::contract_of;
use super::months::share_open_month;
use super::posting::{Pending, Posting, limit_month, pending_of};
use super::retry::retried;
use super::settlement::lock_group_of;
use super::{Activation, ActivationState, ReverseError, Reversed, Store, Write, commit};
use crate::ledger::{ReversalFacts, Unit};
use crate::units::{ActivationId, Month};
use jiff::Timestamp;

/// Longest reason and actor kept, in characters.
const CHARACTERS_MAX: usize = 500;

impl Store {
    /// Takes a posted activation back, once: each of its transfers is booked the other way round. In its own month while
    /// that is open, and then the month's limit has the room again; else in the month of `at`, and only the money. The
    /// same again changes nothing and says when it was done.
    ///
    /// # Errors
    /// [`ReverseError`]: no such activation, or it is not posted; no reason or actor given.
    pub async fn reverse(
        &self,
        id: ActivationId,
        reason: &str,
        actor: &str,
        at: Timestamp,
    ) -> Result<Reversed, ReverseError> {
        let kept = |text: &str| text.trim().chars().take(CHARACTERS_MAX).collect::<String>();
        let (reason, actor) = (kept(reason), kept(actor));
        if reason.is_empty() || actor.is_empty() {
            return Err(ReverseError::NoReason);
        }
        let facts = ReversalFacts { activation: id, reason, actor, reversed_at: at };
        retried(|| async { reverse(self.booking().await?, &facts).await }).await
    }
}

async fn reverse(mut write: Write, facts: &ReversalFacts) -> Result<Reversed, ReverseError> {
    let (id, at) = (facts.activation, facts.reversed_at);
    lock_group_of(&mut write, id).await?;
    let activation = activation(&mut write, id).await?.ok_or(ReverseError::Unknown(id))?;
    match &activation.state {
        ActivationState::Posted => {}
        ActivationState::Reversed { .. } => {
            // With the lock there is something to commit: it waits for the standbys to have the reversal too.
            commit(write).await?;
            return Ok(Reversed::Before(activation));
        }
        state => return Err(ReverseError::NotPosted { id, state: state.label() }),
    }
    let own = share_open_month(&mut write, activation.month).await?;
    let month = if own { activation.month } else { Month::of(at) };
    if !own && (month <= activation.month || !share_open_month(&mut write, month).await?) {
        return Err(ReverseError::MonthClosed(month));
    }
    let pending = pending_of(&mut write, id).await?;
    let kept = limit_month(&mut write, activation.group, month).await?;
    let mut posting = Posting::open(&mut write, activation.group, month, kept, at).await?;
    posting.reversal(facts.clone()).await?;
    let posted: Vec<Pending> =
        pending.into_iter().filter(|posted| own || posted.entry.debit.unit() == Unit::Money).collect();
    posting.take_back(&posted, id, at).await?;
    write.act_as(&facts.actor, Some(&facts.reason));
    let change = Change::new(ChangeKind::ActivationReversed, id.to_string()).before("posted");
    let contract = contract_of(&mut write, activation.group).await?;
    let after = format!("reversed, on the bill of {month}: {} of {}", activation.net, activation.name);
    write.record_change(change.of(&contract).after(after), at).await?;
    commit(write).await?;
    let state = ActivationState::Reversed { reason: facts.reason.clone() };
    Ok(Reversed::Now(Activation { state, ..activation }))
}
