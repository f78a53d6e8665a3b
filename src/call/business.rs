//! The queries and bookings of a flow, performed against the store (DOMAIN §3, §4). What they are called and what they
//! may answer is `dialplan::Vocabulary::klik_on`.

mod unknown;

use super::observer::Step;
use super::service::Service;
use super::trust::Caller;
use crate::dialplan::{Record, Value};
use crate::klikon::{Pin, Refusal, Standing, repeat_window_start};
use crate::store::{
    Activation, ActivationOrder, ActivationState, HoldError, HoldOutcome, PinAttempt, Store, StoreError,
};
use crate::units::{ActivationId, CallId, GroupId, Money, Month, Msisdn, PackageId, failpoint};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::broadcast;

/// Tries at a booking whose database does not answer; all with one id, so that at most one counts.
const TRIES: usize = 3;

/// The answer to a query or a booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was asked.
    pub name: String,
    /// The id made for it, when it was a booking that was tried.
    pub activation: Option<ActivationId>,
    /// One of the vocabulary's outcomes.
    pub outcome: &'static str,
    /// The values of that outcome.
    pub values: Vec<(String, Value)>,
}

impl Answer {
    /// As observers are told.
    pub fn step(&self) -> Step {
        let (name, outcome) = (self.name.clone(), self.outcome.to_owned());
        match self.activation {
            Some(id) => Step::Booking { name, outcome, activation: Some(id.to_string()) },
            None => Step::Query { name, outcome },
        }
    }
}

type Outcome = (&'static str, Vec<(String, Value)>);

fn plain(outcome: &'static str) -> Outcome {
    (outcome, Vec::new())
}

fn with(outcome: &'static str, name: &str, value: Value) -> Outcome {
    (outcome, vec![(name.to_owned(), value)])
}

/// The business of one call.
#[derive(Debug)]
pub struct Business {
    service: Arc<Service>,
    call: CallId,
    caller: Caller,
    /// Whether the caller is yet to prove by his PIN that his number is his.
    pin_missing: AtomicBool,
}

impl Business {
    /// For a caller, as far as he is known. With `asks_pin` he leads nothing before he has keyed his PIN.
    pub fn new(service: Arc<Service>, call: CallId, caller: Caller, asks_pin: bool) -> Self {
        Self { service, call, caller, pin_missing: AtomicBool::new(asks_pin) }
    }

    fn pin_is_missing(&self) -> bool {
        self.pin_missing.load(Ordering::Acquire)
    }

    /// Performs a query or a booking by its name in the vocabulary.
    pub async fn perform(&self, name: &str, arguments: Vec<(String, Value)>) -> Answer {
        let arguments = Arguments(arguments);
        let mut activation = None;
        let (outcome, values) = match name {
            "leader-rights" => self.in_time(self.leader_rights()).await,
            "remaining" => self.in_time(self.remaining()).await,
            "member" => self.in_time(self.member(&arguments)).await,
            "pin" => self.in_time(self.pin(&arguments)).await,
            "packages" => self.in_time(self.packages()).await,
            "recent" => self.in_time(self.recent(&arguments)).await,
            "activate" => {
                let id = self.service.ids.activation(self.service.clock.wall());
                activation = Some(id);
                self.activate(id, &arguments).await
            }
            unknown => {
                tracing::error!(name = unknown, "the flow asks for what nobody performs");
                plain("unavailable")
            }
        };
        tracing::info!(
            name,
            outcome,
            activation = activation.map(tracing::field::display),
            "asked of the store"
        );
        Answer { name: name.to_owned(), activation, outcome, values }
    }

    /// A query that fails, or takes longer than the caller's patience, is `unavailable`.
    async fn in_time(&self, query: impl Future<Output = Result<Outcome, StoreError>>) -> Outcome {
        match tokio::time::timeout(self.service.settings.store_timeout(), query).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a query failed");
                plain("unavailable")
            }
            Err(_) => {
                tracing::error!("a query took too long");
                plain("unavailable")
            }
        }
    }

    async fn leader_rights(&self) -> Result<Outcome, StoreError> {
        let caller = match self.caller {
            Caller::Known(caller) => caller,
            Caller::Foreign => return Ok(plain("not-member")),
            Caller::Anonymous => return Ok(plain("anonymous")),
            Caller::Untrusted => return Ok(plain("untrusted")),
        };
        let now = self.service.clock.wall();
        Ok(match self.service.store.standing(caller).await? {
            Standing::Leader { .. } if self.pin_is_missing() => plain("pin-required"),
            Standing::Leader { group, .. } => {
                let month = Month::of(now);
                let left = self.service.store.remaining(group, month).await?;
                let values = vec![
                    ("month".to_owned(), Value::Number(month.number().into())),
                    ("left".to_owned(), Value::Money(left)),
                ];
                ("leader", values)
            }
            Standing::NotLeader { .. } => plain("not-leader"),
            Standing::NotMember => plain("not-member"),
            Standing::GroupClosed { .. } => plain("group-closed"),
        })
    }

    /// The group the caller leads, looked up each time: his right may end while he is on the line.
    async fn led_group(&self) -> Result<Option<GroupId>, StoreError> {
        let Caller::Known(caller) = self.caller else { return Ok(None) };
        if self.pin_is_missing() {
            return Ok(None);
        }
        Ok(match self.service.store.standing(caller).await? {
            Standing::Leader { group, .. } => Some(group),
            Standing::NotLeader { .. } | Standing::NotMember | Standing::GroupClosed { .. } => None,
        })
    }

    /// The leader's PIN. The try is counted before the PIN is looked at.
    async fn pin(&self, arguments: &Arguments) -> Result<Outcome, StoreError> {
        let (Caller::Known(caller), Some(keyed)) = (self.caller, arguments.text("pin")) else {
            return Ok(plain("unset"));
        };
        // Digits that are no PIN at all count as a try like any other.
        let pin = Pin::parse(keyed);
        let (now, policy) = (self.service.clock.wall(), self.service.settings.pin_policy());
        match self.service.store.begin_pin_attempt(caller, now, &policy).await? {
            PinAttempt::NoPin => Ok(plain("unset")),
            PinAttempt::Locked => {
                tracing::warn!("a leader's PIN is locked");
                Ok(plain("locked"))
            }
            PinAttempt::Begun { leadership, hash, locks_if_wrong } => {
                let compared = hash.clone();
                // It takes a processor for tens of milliseconds: not one of those that serve calls.
                let right = tokio::task::spawn_blocking(move || pin.is_ok_and(|pin| compared.is_of(&pin)));
                if right.await.unwrap_or(false) {
                    self.service.store.pin_was_right(leadership, &hash).await?;
                    self.pin_missing.store(false, Ordering::Release);
                    return Ok(plain("right"));
                }
                tracing::warn!(locked = locks_if_wrong, "a wrong PIN was keyed");
                Ok(plain(if locks_if_wrong { "locked" } else { "wrong" }))
            }
        }
    }

    async fn remaining(&self) -> Result<Outcome, StoreError> {
        let Some(group) = self.led_group().await? else { return Ok(plain("unavailable")) };
        let left = self.service.store.remaining(group, Month::of(self.service.clock.wall())).await?;
        Ok(with("ok", "left", Value::Money(left)))
    }

    async fn member(&self, arguments: &Arguments) -> Result<Outcome, StoreError> {
        let Some(Ok(number)) = arguments.text("number").map(Msisdn::parse) else {
            return Ok(plain("invalid-number"));
        };
        let Some(group) = self.led_group().await? else { return Ok(plain("unavailable")) };
        Ok(match self.service.store.member(group, number).await? {
            Some(_) => with("member", "member", Value::Msisdn(number)),
            None => plain("not-member"),
        })
    }

    async fn packages(&self) -> Result<Outcome, StoreError> {
        let Some(group) = self.led_group().await? else { return Ok(plain("unavailable")) };
        let offers = self.service.store.offers(group, self.service.clock.wall()).await?;
        if offers.is_empty() {
            return Ok(plain("none"));
        }
        let outcome = if offers.iter().any(|offer| offer.fits) { "some" } else { "none-fits" };
        let records = offers.iter().map(|offer| {
            Record(vec![
                ("package".to_owned(), Value::Number(offer.package.0)),
                ("name".to_owned(), Value::Number(offer.name.number().into())),
                ("net".to_owned(), Value::Money(offer.net)),
                ("fits".to_owned(), Value::Truth(offer.fits)),
            ])
        });
        Ok(with(outcome, "packages", Value::List(records.collect())))
    }

    async fn recent(&self, arguments: &Arguments) -> Result<Outcome, StoreError> {
        let (Some(member), Some(package)) = (arguments.msisdn("member"), arguments.package("package")) else {
            return Ok(plain("unavailable"));
        };
        let since = repeat_window_start(self.service.clock.wall());
        let repeated = self.service.store.booked_since(member, package, since).await?;
        Ok(plain(if repeated { "recent" } else { "not-recent" }))
    }

    /// The booking: hold, then wait on the line for the network's word, but not longer than a caller would.
    async fn activate(&self, id: ActivationId, arguments: &Arguments) -> Outcome {
        let (Caller::Known(caller), Some(member), Some(package), Some(quoted_net)) =
            (self.caller, arguments.msisdn("member"), arguments.package("package"), arguments.money("net"))
        else {
            return plain("unavailable");
        };
        if self.pin_is_missing() {
            return plain("not-leader");
        }
        let at = self.service.clock.wall();
        let order = ActivationOrder { id, call: self.call, caller, member, package, quoted_net, at };
        // Before the hold, so that no news is missed.
        let mut news = self.service.settlements.subscribe();
        match hold(&self.service.store, &order).await {
            Ok(HoldOutcome::Held(held)) => self.settled(id, held.left, &mut news).await,
            Ok(HoldOutcome::Exists(activation)) => self.made_before(&activation).await,
            Ok(HoldOutcome::Refused(refusal)) => refused(&refusal),
            Err(HoldError::Store(StoreError::OutcomeUnknown(_))) => {
                tokio::spawn(unknown::resolve(self.service.store.clone(), order));
                plain("unknown")
            }
            Err(_) => plain("unavailable"),
        }
    }

    /// What the network said within the wait. News may be missed, so at the end of the wait the ledger is asked.
    async fn settled(
        &self,
        id: ActivationId,
        left: Money,
        news: &mut broadcast::Receiver<Activation>,
    ) -> Outcome {
        let settlement = async {
            loop {
                match news.recv().await {
                    Ok(settled) if settled.id == id => return Some(settled.state),
                    Ok(_) => {}
                    // Ours may be among what was missed.
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let state = self.state(id).await;
                        if state.as_ref().is_some_and(|state| *state != ActivationState::Pending) {
                            return state;
                        }
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        };
        let heard = tokio::time::timeout(self.service.settings.activation_wait(), settlement).await;
        let state = match heard {
            Ok(Some(state)) => Some(state),
            Ok(None) | Err(_) => self.state(id).await,
        };
        match state {
            Some(ActivationState::Posted) => with("activated", "left", Value::Money(left)),
            // Posted, and taken back within the wait: there is nothing on the bill either.
            Some(ActivationState::Voided { .. } | ActivationState::Reversed { .. }) => plain("rejected"),
            // It is held, whatever the ledger could or could not say just now: an SMS will follow.
            Some(ActivationState::Pending) | None => with("accepted", "left", Value::Money(left)),
        }
    }

    async fn state(&self, id: ActivationId) -> Option<ActivationState> {
        match tokio::time::timeout(self.service.settings.store_timeout(), self.service.store.activation(id))
            .await
        {
            Ok(Ok(activation)) => activation.map(|activation| activation.state),
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, activation = %id, "cannot ask what became of an activation");
                None
            }
            Err(_) => {
                tracing::warn!(activation = %id, "asking what became of an activation took too long");
                None
            }
        }
    }

    /// A retry found the activation made by an earlier try. Where the ledger does not say what is left, nothing is
    /// claimed: the SMS will tell.
    async fn made_before(&self, activation: &Activation) -> Outcome {
        let outcome = match activation.state {
            ActivationState::Pending => "accepted",
            ActivationState::Posted => "activated",
            ActivationState::Voided { .. } | ActivationState::Reversed { .. } => return plain("rejected"),
        };
        match self.service.store.remaining(activation.group, activation.month).await {
            Ok(left) => with(outcome, "left", Value::Money(left)),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "cannot ask what is left");
                plain("unknown")
            }
        }
    }
}

/// Tries again with the same id: at most one hold comes of it. The id stands in the call's record before the first
/// try, so that what became of it can be told whatever happens in between.
async fn hold(store: &Store, order: &ActivationOrder) -> Result<HoldOutcome, HoldError> {
    failpoint::BEFORE_ATTEMPT.reached();
    let mut doubt = None;
    let mut attempt = 1;
    loop {
        let error = match try_once(store, order).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };
        tracing::error!(attempt, activation = %order.id, error = &error as &dyn std::error::Error, "a hold failed");
        let doubtful = matches!(error, HoldError::Store(StoreError::OutcomeUnknown(_)));
        let again = doubtful || matches!(error, HoldError::Store(StoreError::Unavailable(_)));
        if !again || attempt == TRIES {
            // A later "unavailable" does not take back the doubt of an earlier try.
            return Err(doubt.unwrap_or(error));
        }
        if doubtful {
            doubt = Some(error);
        }
        attempt += 1;
    }
}

/// One try, with its record before it. Once that is written, writing it again changes nothing.
async fn try_once(store: &Store, order: &ActivationOrder) -> Result<HoldOutcome, HoldError> {
    match store.record_attempt(order).await {
        Ok(()) => {
            failpoint::AFTER_ATTEMPT.reached();
            store.hold(order).await
        }
        // Of this nobody knows, but nothing was tried.
        Err(HoldError::Store(StoreError::OutcomeUnknown(error))) => {
            Err(HoldError::Store(StoreError::Unavailable(error)))
        }
        Err(error) => Err(error),
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::NotLeader | Refusal::CallerNotMember => plain("not-leader"),
        Refusal::GroupClosed => plain("group-closed"),
        Refusal::NotMember => plain("not-member"),
        Refusal::NotOffered(_) => plain("not-offered"),
        Refusal::PriceChanged { .. } => plain("price-changed"),
        Refusal::LimitExceeded { left } => with("beyond-limit", "left", Value::Money(*left)),
    }
}

/// The arguments of a query or booking, by name.
struct Arguments(Vec<(String, Value)>);

impl Arguments {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn msisdn(&self, name: &str) -> Option<Msisdn> {
        match self.get(name)? {
            Value::Msisdn(number) => Some(*number),
            _ => None,
        }
    }

    fn package(&self, name: &str) -> Option<PackageId> {
        match self.get(name)? {
            Value::Number(id) => Some(PackageId(*id)),
            _ => None,
        }
    }

    fn money(&self, name: &str) -> Option<Money> {
        match self.get(name)? {
            Value::Money(amount) => Some(*amount),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
