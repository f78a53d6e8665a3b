//! Clients that hold, settle, take back and look at the same time, and note what they asked and heard.

use crate::chance::Chance;
use crate::checker::{Answer, Call, Effect, Entry, State};
use crate::family::{Family, id, month, now};
use klikon::klikon::{Refusal, SmsAlphabet};
use klikon::ledger::TransferKind;
use klikon::store::{
    ActivationState, BookFilter, HoldError, HoldOutcome, ReverseError, Reversed, SettleError, Settled,
    Settlement, Store, StoreError,
};
use klikon::units::Money;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// List prices, in Lek.
const PRICES: [u16; 4] = [700, 1100, 1300, 1900];

/// Qindarka of a Lek.
const LEK: i64 = 100;

/// A call that could not be made is made again, so often at most: a server that starts takes some time.
const TRIES_MAX: u32 = 1000;

/// What all clients share: their groups, and what was asked and heard of each.
pub struct Witness {
    /// The one sequence of all beginnings and ends.
    sequence: AtomicU64,
    groups: Vec<Group>,
}

/// A group, and its history.
struct Group {
    family: Family,
    history: Mutex<Vec<Entry>>,
    /// The list prices of the activations that were tried, by their numbers.
    tried: Mutex<Vec<u16>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    pub fn new(families: Vec<Family>) -> Arc<Self> {
        let group = |family| Group { family, history: Mutex::default(), tried: Mutex::default() };
        Arc::new(Self { sequence: AtomicU64::new(0), groups: families.into_iter().map(group).collect() })
    }

    /// The next in the sequence.
    fn tick(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst)
    }

    /// Asks something of one group, and notes what came of it. Whether that was an answer.
    async fn ask(&self, store: &Store, group: usize, call: Call) -> bool {
        let began = self.tick();
        let heard = perform(store, &self.groups[group], group, call).await;
        let ended = match heard {
            Heard::Answer(answer) => Some((self.tick(), answer)),
            Heard::Unknown => None,
            Heard::NotDone => return false,
        };
        locked(&self.groups[group].history).push(Entry { began, call, ended });
        ended.is_some()
    }

    /// Looks at each group when all is over; then its history and the effects in the ledger's chain.
    pub async fn histories(&self, store: &Store) -> Vec<(Vec<Entry>, Vec<Effect>)> {
        let mut histories = Vec::new();
        for (number, group) in self.groups.iter().enumerate() {
            assert!(self.ask(store, number, Call::Left).await);
            let history = locked(&group.history).clone();
            histories.push((history, chain(store, group, number).await));
        }
        histories
    }
}

/// The effects of a group's month in the order of its chain. Each is three transfers: the limit's, the receivable's, the
/// discount's.
async fn chain(store: &Store, group: &Group, number: usize) -> Vec<Effect> {
    let filter = BookFilter { group: Some(group.family.group), month: Some(month()) };
    let mut transfers = store.ledger(filter).await.unwrap().transfers;
    transfers.retain(|booked| booked.transfer.kind != TransferKind::Grant);
    let tried = u32::try_from(locked(&group.tried).len()).unwrap();
    let numbers: HashMap<_, _> =
        (0..tried).map(|index| number_of(number, index)).map(|number| (id(number), number)).collect();
    let effects = transfers.iter().map(|booked| {
        let state = match booked.transfer.kind {
            TransferKind::Grant | TransferKind::Pending => State::Pending,
            TransferKind::Post(_) => State::Posted,
            TransferKind::Void(_) => State::Voided,
            TransferKind::Reversal(_) => State::Reversed,
        };
        let activation = booked.transfer.activation.expect("an activation's");
        (*numbers.get(&activation).expect("one that was tried"), state)
    });
    let effects: Vec<Effect> = effects.collect();
    effects
        .chunks(3)
        .map(|three| {
            assert!(three == [three[0]; 3], "{three:?} of {effects:?}");
            three[0]
        })
        .collect()
}

/// The number of an activation, unlike that of any other group's.
fn number_of(group: usize, index: u32) -> u32 {
    u32::try_from(group).unwrap() << 16 | index
}

/// One client: with a store, a seed, and so many answers that it wants to hear.
pub async fn run(witness: Arc<Witness>, store: Store, mut chance: Chance, answers: u32) {
    let mut tries = 0;
    let mut heard = 0;
    while heard < answers {
        let group = usize::try_from(chance.below(witness.groups.len() as u64)).unwrap();
        let call = choose(&mut chance, &witness.groups[group], group);
        heard += u32::from(witness.ask(&store, group, call).await);
        tries += 1;
        assert!(tries < answers + TRIES_MAX, "no answer comes");
    }
}

/// A new booking, one that was tried, what becomes of one, or a look.
fn choose(chance: &mut Chance, group: &Group, number: usize) -> Call {
    let mut tried = locked(&group.tried);
    let kind = chance.below(100);
    if tried.is_empty() || kind < 35 {
        tried.push(chance.pick(&PRICES));
        return hold(number, tried.len() - 1, &tried);
    }
    // Mostly one of the last: those are still pending, or being tried by others.
    let far = if chance.one_in(4) { tried.len() as u64 } else { 6 };
    let back = chance.below(far);
    let index = tried.len().saturating_sub(1 + usize::try_from(back).unwrap());
    let id = number_of(number, u32::try_from(index).unwrap());
    match kind {
        35..50 => hold(number, index, &tried),
        50..60 => Call::Settle { id, to: State::Posted },
        60..75 => Call::Settle { id, to: State::Voided },
        75..88 => Call::Reverse { id },
        _ => Call::Left,
    }
}

fn hold(group: usize, index: usize, tried: &[u16]) -> Call {
    Call::Hold { id: number_of(group, u32::try_from(index).unwrap()), net: i64::from(tried[index]) - 200 }
}

/// What came of a call.
enum Heard {
    Answer(Answer),
    Unknown,
    /// It certainly had no effect: it is no part of the history.
    NotDone,
}

impl From<&StoreError> for Heard {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::OutcomeUnknown(_) => Self::Unknown,
            StoreError::Unavailable(_) => Self::NotDone,
            other => panic!("{other:?}"),
        }
    }
}

async fn perform(store: &Store, group: &Group, number: usize, call: Call) -> Heard {
    match call {
        Call::Hold { id: activation, .. } => {
            let price = locked(&group.tried)[usize::try_from(activation - number_of(number, 0)).unwrap()];
            match store.hold(&group.family.order(activation, price)).await {
                Ok(HoldOutcome::Held(held)) => Heard::Answer(Answer::Held { left: lek(held.left) }),
                Ok(HoldOutcome::Exists(activation)) => Heard::Answer(Answer::Is(state_of(&activation.state))),
                Ok(HoldOutcome::Refused(Refusal::LimitExceeded { left })) => {
                    Heard::Answer(Answer::Full { left: lek(left) })
                }
                Err(HoldError::Store(error)) => (&error).into(),
                other => panic!("{other:?}"),
            }
        }
        Call::Settle { id: activation, to } => {
            let settlement = match to {
                State::Voided => Settlement::Void { reason: "no such subscriber".to_owned() },
                _ => Settlement::Post,
            };
            match store.settle(id(activation), &settlement, now(), SmsAlphabet::Plain).await {
                Ok(Settled::Now(_)) => Heard::Answer(Answer::Done),
                Ok(Settled::Before(activation)) => Heard::Answer(Answer::Is(state_of(&activation.state))),
                Err(SettleError::Contradicts { settled, .. }) => {
                    Heard::Answer(Answer::Is(state_named(settled)))
                }
                Err(SettleError::Unknown(_)) => Heard::Answer(Answer::Missing),
                Err(SettleError::Store(error)) => (&error).into(),
            }
        }
        Call::Reverse { id: activation } => {
            match store.reverse(id(activation), "a test", "a clerk", now()).await {
                Ok(Reversed::Now(_)) => Heard::Answer(Answer::Done),
                Ok(Reversed::Before(activation)) => Heard::Answer(Answer::Is(state_of(&activation.state))),
                Err(ReverseError::NotPosted { state, .. }) => Heard::Answer(Answer::Is(state_named(state))),
                Err(ReverseError::Unknown(_)) => Heard::Answer(Answer::Missing),
                Err(ReverseError::Store(error)) => (&error).into(),
                Err(error) => panic!("{error:?}"),
            }
        }
        Call::Left => match store.remaining(group.family.group, month()).await {
            Ok(left) => Heard::Answer(Answer::Left(lek(left))),
            // Who only looks changes nothing, whatever was heard.
            Err(_) => Heard::NotDone,
        },
    }
}

fn lek(money: Money) -> i64 {
    money.qindarka() / LEK
}

fn state_of(state: &ActivationState) -> State {
    state_named(state.label())
}

fn state_named(label: &str) -> State {
    match label {
        "pending" => State::Pending,
        "posted" => State::Posted,
        "voided" => State::Voided,
        "reversed" => State::Reversed,
        other => panic!("{other}"),
    }
}
