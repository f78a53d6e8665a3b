//! Whether what concurrent clients heard of one group's month fits one serial order of it: that of the ledger's chain, which
//! keeps to real time and to the limit. The search is that of Wing and Gong, with the memory of Lowe; a call whose outcome
//! is unknown may have its effect at any time after it began, or never.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// What a client asked. Amounts are Lek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// To hold so much.
    Hold { id: u32, net: i64 },
    /// To post or void.
    Settle { id: u32, to: State },
    /// To take back.
    Reverse { id: u32 },
    /// What is left.
    Left,
}

/// What an activation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Pending,
    Posted,
    Voided,
    Reversed,
}

/// What the client heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It is held, and so much is left.
    Held { left: i64 },
    /// It does not fit into what is left.
    Full { left: i64 },
    /// It is settled, or taken back.
    Done,
    /// It was there before, in this state; or it cannot be done in this state.
    Is(State),
    /// There is no such activation.
    Missing,
    /// So much is left.
    Left(i64),
}

/// A change in the ledger: of which activation, to what.
pub type Effect = (u32, State);

/// A call and its answer, in the one sequence in which all clients note beginnings and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub began: u64,
    pub call: Call,
    /// When the answer came, and what it was. `None`: the outcome is unknown.
    pub ended: Option<(u64, Answer)>,
}

/// Why a history fits no serial order.
#[derive(Debug)]
pub struct Misfit {
    /// As many answers as fit.
    fitted: usize,
    /// What the month was then.
    month: Month,
    /// What was heard next, and does not fit.
    stuck: Vec<Entry>,
    /// The next change in the ledger, which nobody asked for then.
    next: Option<Effect>,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answers fit; then {:?}, where the ledger goes on with ", self.fitted, self.month)?;
        write!(f, "{:?}, and next were heard {:#?}", self.next, self.stuck)
    }
}

/// A group's month as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Month {
    left: i64,
    booked: BTreeMap<u32, (i64, State)>,
}

impl Month {
    /// What the call is answered now, and what it changes.
    fn answer(&self, call: Call) -> (Answer, Option<Effect>) {
        let state = |id: u32| self.booked.get(&id).map(|(_, state)| *state);
        match call {
            Call::Left => (Answer::Left(self.left), None),
            Call::Hold { id, net } => match state(id) {
                Some(state) => (Answer::Is(state), None),
                None if net > self.left => (Answer::Full { left: self.left }, None),
                None => (Answer::Held { left: self.left - net }, Some((id, State::Pending))),
            },
            Call::Settle { id, to } => match state(id) {
                None => (Answer::Missing, None),
                Some(State::Pending) => (Answer::Done, Some((id, to))),
                Some(state) => (Answer::Is(state), None),
            },
            Call::Reverse { id } => match state(id) {
                None => (Answer::Missing, None),
                Some(State::Posted) => (Answer::Done, Some((id, State::Reversed))),
                Some(state) => (Answer::Is(state), None),
            },
        }
    }

    /// The month after a call with this effect.
    fn after(&self, call: Call, (id, state): Effect) -> Self {
        let mut month = self.clone();
        match (call, state) {
            (Call::Hold { net, .. }, _) => {
                month.left -= net;
                month.booked.insert(id, (net, state));
            }
            (_, State::Posted) => drop(month.booked.entry(id).and_modify(|booked| booked.1 = state)),
            _ => {
                month.booked.entry(id).and_modify(|booked| booked.1 = state);
                month.left += month.booked[&id].0;
            }
        }
        month
    }
}

/// Finds a serial order of the history in which each answer is right; with the ledger's `chain`, one that has exactly its
/// effects in its order.
pub fn check(limit: i64, history: &[Entry], chain: Option<&[Effect]>) -> Result<(), Box<Misfit>> {
    let mut history = history.to_vec();
    history.sort_by_key(|entry| entry.began);
    let month = Month { left: limit, booked: BTreeMap::new() };
    let done = vec![false; history.len()];
    let mut search = Search { history, chain, seen: HashSet::new(), misfit: None };
    if search.goes_on(month, done, 0) {
        Ok(())
    } else {
        Err(Box::new(search.misfit.expect("where it ended")))
    }
}

struct Search<'a> {
    history: Vec<Entry>,
    chain: Option<&'a [Effect]>,
    /// From where there is no way on: what was done, and the month then.
    seen: HashSet<(Vec<bool>, Month)>,
    /// The furthest that any order came.
    misfit: Option<Misfit>,
}

impl Search<'_> {
    /// Whether the rest fits, after the calls that are `done`, which had so many effects.
    fn goes_on(&mut self, month: Month, mut done: Vec<bool>, effects: usize) -> bool {
        // An answer that changes nothing and is right now may as well come first of what may come next.
        while let Some(index) = self.next(&done).into_iter().find(|&index| self.reads(&month, index)) {
            done[index] = true;
        }
        let is_whole = self.history.iter().zip(&done).all(|(entry, done)| *done || entry.ended.is_none());
        if is_whole && self.chain.is_none_or(|chain| chain.len() == effects) {
            return true;
        }
        if !self.seen.insert((done.clone(), month.clone())) {
            return false;
        }
        self.note(&month, &done, effects);
        for index in self.next(&done) {
            let entry = self.history[index];
            let (answer, Some(effect)) = month.answer(entry.call) else { continue };
            let is_heard = entry.ended.is_none_or(|(_, heard)| heard == answer);
            let is_chained = self.chain.is_none_or(|chain| chain.get(effects) == Some(&effect));
            if !is_heard || !is_chained {
                continue;
            }
            let mut done = done.clone();
            done[index] = true;
            if self.goes_on(month.after(entry.call, effect), done, effects + 1) {
                return true;
            }
        }
        false
    }

    /// The calls that may come next: those that had begun before any other of the rest was answered.
    fn next(&self, done: &[bool]) -> Vec<usize> {
        let rest = || self.history.iter().enumerate().filter(|(index, _)| !done[*index]);
        let first = rest().filter_map(|(_, entry)| entry.ended).map(|(ended, _)| ended).min();
        let is_next = |entry: &Entry| first.is_none_or(|first| entry.began < first);
        rest().take_while(|(_, entry)| is_next(entry)).map(|(index, _)| index).collect()
    }

    /// Whether the answer to a call was heard, changed nothing, and is right now.
    fn reads(&self, month: &Month, index: usize) -> bool {
        let Entry { call, ended, .. } = self.history[index];
        let (answer, effect) = month.answer(call);
        effect.is_none() && ended.is_some_and(|(_, heard)| heard == answer)
    }

    fn note(&mut self, month: &Month, done: &[bool], effects: usize) {
        let fitted = done.iter().filter(|done| **done).count();
        if self.misfit.as_ref().is_none_or(|furthest| furthest.fitted < fitted) {
            let stuck = self.next(done).into_iter().map(|index| self.history[index]).collect();
            let next = self.chain.and_then(|chain| chain.get(effects).copied());
            self.misfit = Some(Misfit { fitted, month: month.clone(), stuck, next });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{Done, Full, Held, Is, Left, Missing};
    use State::{Pending, Posted, Reversed, Voided};

    fn hold(id: u32, net: i64) -> Call {
        Call::Hold { id, net }
    }

    /// A call that began and ended so, with its answer.
    fn heard(began: u64, ended: u64, call: Call, answer: Answer) -> Entry {
        Entry { began, call, ended: Some((ended, answer)) }
    }

    fn unknown(began: u64, call: Call) -> Entry {
        Entry { began, call, ended: None }
    }

    fn fits(history: &[Entry], chain: &[Effect]) -> bool {
        let by_itself = check(6500, history, None).is_ok();
        let as_chained = check(6500, history, Some(chain)).is_ok();
        assert!(by_itself || !as_chained, "a chain only refuses more");
        as_chained
    }

    /// Four Super 1900 and what became of one, one after the other.
    fn serial() -> Vec<Entry> {
        vec![
            heard(0, 1, hold(1, 1700), Held { left: 4800 }),
            heard(2, 3, hold(2, 1700), Held { left: 3100 }),
            heard(4, 5, hold(3, 1700), Held { left: 1400 }),
            heard(6, 7, hold(4, 1700), Full { left: 1400 }),
            heard(8, 9, Call::Settle { id: 1, to: Posted }, Done),
            heard(10, 11, hold(1, 1700), Is(Posted)),
            heard(12, 13, Call::Reverse { id: 1 }, Done),
            heard(14, 15, Call::Left, Left(3100)),
            heard(16, 17, Call::Settle { id: 4, to: Voided }, Missing),
        ]
    }

    const SERIAL: [Effect; 5] = [(1, Pending), (2, Pending), (3, Pending), (1, Posted), (1, Reversed)];

    #[test]
    fn what_is_right_fits() {
        assert!(fits(&serial(), &SERIAL));
        // The same at the same time: there is an order for it.
        let mut together = serial();
        for entry in &mut together {
            entry.began = 0;
        }
        assert!(fits(&together, &SERIAL));
        // In the order of the answers alone, the second would be first.
        let overtaken = [
            heard(0, 5, hold(1, 1700), Held { left: 3100 }),
            heard(1, 2, hold(2, 1700), Held { left: 4800 }),
            heard(3, 4, Call::Left, Left(4800)),
        ];
        assert!(fits(&overtaken, &[(2, Pending), (1, Pending)]));
        assert!(!fits(&overtaken, &[(1, Pending), (2, Pending)]), "the ledger had another order");
    }

    #[test]
    fn an_unknown_outcome_comes_late_or_never() {
        let late = [
            unknown(0, hold(1, 1700)),
            heard(1, 2, Call::Left, Left(6500)),
            heard(3, 4, hold(1, 1700), Is(Pending)),
            heard(5, 6, Call::Left, Left(4800)),
        ];
        assert!(fits(&late, &[(1, Pending)]));
        let never = [unknown(0, hold(1, 1700)), heard(1, 2, Call::Left, Left(6500))];
        assert!(fits(&never, &[]));
        assert!(fits(&never, &[(1, Pending)]), "after all that was heard");
        // Tried again by its id, it is booked once.
        let again = [unknown(0, hold(1, 1700)), heard(1, 2, hold(1, 1700), Held { left: 4800 })];
        assert!(fits(&again, &[(1, Pending)]));
        assert!(!fits(&again, &[(1, Pending), (1, Pending)]));
        // It cannot come before it was asked for.
        let early = [heard(0, 1, Call::Left, Left(4800)), unknown(2, hold(1, 1700))];
        assert!(!fits(&early, &[(1, Pending)]));
        // And not come and go.
        let gone = [late[0], late[2], heard(5, 6, Call::Left, Left(6500))];
        assert!(!fits(&gone, &[(1, Pending)]));
    }

    #[test]
    fn what_is_wrong_fits_nowhere() {
        let with = |index: usize, answer: Answer| {
            let mut history = serial();
            let (ended, _) = history[index].ended.unwrap();
            history[index].ended = Some((ended, answer));
            history
        };
        // More than the limit.
        let over = [&SERIAL[..3], &[(4, Pending)], &SERIAL[3..]].concat();
        assert!(!fits(&with(3, Held { left: -300 }), &over));
        // A booking that was heard of and is not there, or was undone.
        assert!(!fits(&serial(), &[&SERIAL[..1], &SERIAL[2..]].concat()));
        assert!(!fits(&with(7, Left(4800)), &SERIAL));
        // One that nobody asked for, or whose failure was announced.
        assert!(!fits(&serial(), &[&SERIAL[..], &[(9, Pending)]].concat()));
        let failed: Vec<Entry> = serial().into_iter().filter(|entry| entry.call != hold(3, 1700)).collect();
        assert!(!fits(&failed, &SERIAL));
        // The same twice.
        assert!(!fits(
            &with(5, Held { left: -300 }),
            &[&SERIAL[..4], &[(1, Pending)], &SERIAL[4..]].concat()
        ));
        // What is read is older than what was heard before.
        assert!(!fits(&with(7, Left(1400)), &SERIAL));
        assert!(!fits(&with(5, Is(Pending)), &SERIAL));
        // Room given back twice, or a settlement of both kinds.
        let twice = heard(18, 19, Call::Reverse { id: 1 }, Done);
        assert!(!fits(&[&serial()[..], &[twice]].concat(), &[&SERIAL[..], &[(1, Reversed)]].concat()));
        let both = heard(18, 19, Call::Settle { id: 1, to: Voided }, Done);
        assert!(!fits(&[&serial()[..], &[both]].concat(), &[&SERIAL[..], &[(1, Voided)]].concat()));
        let misfit = check(6500, &with(7, Left(1400)), Some(&SERIAL)).unwrap_err().to_string();
        assert!(misfit.contains("7 answers fit") && misfit.contains("Left(\n"), "{misfit}");
    }
}
