//! One group's month, row by row.

use super::{Audit, BookedRow, Earlier, Fault, MonthBook, fault};
use crate::klikon::Audience;
use crate::ledger::chain::Chain;
use crate::ledger::rows::{
    ActivationFacts, LedgerRow, OutboxKind, Phase, Place, ReversalFacts, SettlementFacts, TransferFacts,
};
use crate::ledger::{AccountKind, Entry, Resolution, Unit, grant_entry, hold_entries, reversal_entry};
use crate::units::{ActivationId, Money, Month, Msisdn};
use std::collections::{BTreeMap, HashMap};

/// What is known of an activation when the rows so far are read.
struct Progress<'a> {
    /// The name of its row.
    name: &'a str,
    facts: ActivationFacts,
    /// The positions of its pending transfers.
    held: Vec<i64>,
    settlement: Option<Resolution>,
    resolved: usize,
    is_reversed: bool,
    reversed: usize,
}

/// A pending transfer and what became of it.
struct Pending {
    activation: ActivationId,
    entry: Entry,
    is_resolved: bool,
    is_reversed: bool,
}

/// Reads the rows in their order.
pub(super) struct Auditor<'a> {
    book: &'a MonthBook,
    chain: Chain,
    /// What the limit has left, once it is granted.
    left: Option<i64>,
    /// In the order of booking.
    order: Vec<ActivationId>,
    activations: HashMap<ActivationId, Progress<'a>>,
    pending: BTreeMap<i64, Pending>,
    /// Reversals of months before, with the number of their transfers.
    earlier: HashMap<ActivationId, (&'a str, usize, &'a Earlier)>,
    seen: Audit,
}

impl<'a> Auditor<'a> {
    pub(super) fn new(book: &'a MonthBook) -> Self {
        Self {
            book,
            chain: Chain::begin(book.group, book.month),
            left: None,
            order: Vec::new(),
            activations: HashMap::new(),
            pending: BTreeMap::new(),
            earlier: HashMap::new(),
            seen: Audit { months: 1, ..Audit::default() },
        }
    }

    pub(super) fn audit(mut self) -> Result<Audit, Fault> {
        for booked in &self.book.rows {
            self.link(booked)?;
            let wrong = match &booked.row {
                LedgerRow::Activation(facts) => self.activation(&booked.name, facts),
                LedgerRow::Transfer(facts) => self.transfer(booked.position, facts),
                LedgerRow::Settlement(facts) => self.settlement(facts),
                LedgerRow::Reversal(facts) => self.reversal(&booked.name, facts),
            };
            wrong.map_err(|wrong| fault(booked.row.table(), &booked.name, wrong))?;
        }
        // Rows missing at the end come first: what they leave undone comes of that.
        self.end_of_chain()?;
        self.activations_are_whole()?;
        self.outbox()?;
        self.limit()?;
        Ok(self.seen)
    }

    fn link(&mut self, booked: &BookedRow) -> Result<(), Fault> {
        let wrong = |wrong: String| Err(fault(booked.row.table(), &booked.name, wrong));
        let before = self.chain.length;
        if booked.position != before + 1 {
            return wrong(format!("its position is {}, after {before}", booked.position));
        }
        if self.chain.append(&booked.row).head != booked.hash {
            return wrong("its hash is not that of its content and the row before".to_owned());
        }
        Ok(())
    }

    fn activation(&mut self, name: &'a str, facts: &ActivationFacts) -> Result<(), String> {
        self.seen.activations += 1;
        if facts.list.checked_sub(facts.discount) != Some(facts.net) {
            return Err("the net price is not the list price less the discount".to_owned());
        }
        let month = Month::of(facts.held_at);
        if month != facts.month || facts.month != self.book.month || facts.group != self.book.group {
            return Err(format!(
                "held in {month}, booked in {} of group {}",
                self.book.month, self.book.group
            ));
        }
        let progress = Progress {
            name,
            facts: *facts,
            held: Vec::new(),
            settlement: None,
            resolved: 0,
            is_reversed: false,
            reversed: 0,
        };
        self.order.push(facts.id);
        match self.activations.insert(facts.id, progress) {
            None => Ok(()),
            Some(_) => Err("the activation was booked before".to_owned()),
        }
    }

    fn transfer(&mut self, position: i64, facts: &TransferFacts) -> Result<(), String> {
        self.seen.transfers += 1;
        if facts.amount <= Money::ZERO {
            return Err(format!("the amount {} is not above zero", facts.amount));
        }
        if facts.debit.unit() != facts.credit.unit() {
            return Err(format!("it moves from {} to {}, which is another unit", facts.credit, facts.debit));
        }
        let entry = Entry { debit: facts.debit, credit: facts.credit, amount: facts.amount };
        match (facts.phase, facts.activation) {
            (Phase::Grant, None) => self.grant(&entry),
            (Phase::Grant, Some(id)) => Err(format!("a grant with activation {id}")),
            (_, None) => Err("it has no activation".to_owned()),
            (Phase::Pending, Some(id)) => self.hold(position, id, entry),
            (Phase::Post(place), Some(id)) => self.resolve(Resolution::Post, place, id, &entry),
            (Phase::Void(place), Some(id)) => self.resolve(Resolution::Void, place, id, &entry),
            (Phase::Reversal(place), Some(id)) => self.take_back(place, id, &entry),
        }
    }

    fn grant(&mut self, entry: &Entry) -> Result<(), String> {
        let expected = grant_entry(self.book.group, self.book.month, self.book.limit);
        if *entry != expected {
            return Err(format!(
                "it grants {} to the {}; the terms of {} grant {}",
                entry.amount, entry.credit, self.book.month, self.book.limit
            ));
        }
        match self.left.replace(entry.amount.qindarka()) {
            None => Ok(()),
            Some(_) => Err(format!("a second grant to the {}", entry.credit)),
        }
    }

    fn hold(&mut self, position: i64, id: ActivationId, entry: Entry) -> Result<(), String> {
        let progress = self.activations.get_mut(&id).ok_or_else(|| format!("there is no activation {id}"))?;
        if progress.settlement.is_some() {
            return Err(format!("activation {id} was settled before"));
        }
        let facts = &progress.facts;
        if !hold_entries(facts.group, facts.month, facts.net, facts.discount).contains(&entry) {
            return Err(format!(
                "activation {id} makes no transfer from {} to {}",
                entry.credit, entry.debit
            ));
        }
        progress.held.push(position);
        self.pending
            .insert(position, Pending { activation: id, entry, is_resolved: false, is_reversed: false });
        self.use_limit(&entry, -1)
    }

    /// Moves what the limit has left, if the entry is one of the limit.
    fn use_limit(&mut self, entry: &Entry, sign: i64) -> Result<(), String> {
        if !matches!(
            (entry.debit, entry.credit),
            (AccountKind::Limit { .. }, _) | (_, AccountKind::Limit { .. })
        ) {
            return Ok(());
        }
        let left = self.left.as_mut().ok_or("before the limit of the month is granted")?;
        *left = left.saturating_add(sign.saturating_mul(entry.amount.qindarka()));
        if *left < 0 {
            let by = Money::from_qindarka(-*left);
            return Err(format!(
                "it overdraws the limit of group {} in {} by {by}",
                self.book.group, self.book.month
            ));
        }
        Ok(())
    }

    fn resolve(
        &mut self,
        resolution: Resolution,
        place: Place,
        id: ActivationId,
        entry: &Entry,
    ) -> Result<(), String> {
        let own = place.month == self.book.month;
        let pending = self.pending.get_mut(&place.position).filter(|_| own);
        let pending = pending.ok_or_else(|| format!("row {} is not pending before it", place.position))?;
        if (pending.activation, &pending.entry) != (id, entry) {
            return Err(format!("it differs from the pending row {} that it resolves", place.position));
        }
        if std::mem::replace(&mut pending.is_resolved, true) {
            return Err(format!("the pending row {} was resolved before", place.position));
        }
        let progress = self.activations.get_mut(&id).ok_or_else(|| format!("there is no activation {id}"))?;
        if progress.settlement != Some(resolution) {
            return Err(format!("activation {id} was not settled so"));
        }
        progress.resolved += 1;
        match resolution {
            Resolution::Post => self.count_money(entry, 1),
            Resolution::Void => return self.use_limit(&entry.clone(), 1),
        }
        Ok(())
    }

    fn count_money(&mut self, entry: &Entry, sign: i64) {
        if entry.debit.unit() == Unit::Money {
            let posted = self.seen.money_posted.qindarka();
            self.seen.money_posted =
                Money::from_qindarka(posted.saturating_add(sign.saturating_mul(entry.amount.qindarka())));
        }
    }

    fn settlement(&mut self, facts: &SettlementFacts) -> Result<(), String> {
        let id = facts.activation;
        let progress = self.activations.get_mut(&id).ok_or("there is no such activation")?;
        if progress.settlement.replace(facts.resolution).is_some() {
            return Err("the activation was settled before".to_owned());
        }
        if (facts.resolution == Resolution::Void) != facts.reason.is_some() {
            return Err("a void has a reason, and a post has none".to_owned());
        }
        match facts.resolution {
            Resolution::Post => self.seen.posted += 1,
            Resolution::Void => self.seen.voided += 1,
        }
        Ok(())
    }

    fn reversal(&mut self, name: &'a str, facts: &ReversalFacts) -> Result<(), String> {
        self.seen.reversed += 1;
        let id = facts.activation;
        if facts.reason.is_empty() || facts.actor.is_empty() {
            return Err("a reversal has a reason and an actor".to_owned());
        }
        if let Some(progress) = self.activations.get_mut(&id) {
            if progress.settlement != Some(Resolution::Post) || progress.resolved != progress.held.len() {
                return Err("the activation is not posted".to_owned());
            }
            if std::mem::replace(&mut progress.is_reversed, true) {
                return Err("the activation was reversed before".to_owned());
            }
            return Ok(());
        }
        let earlier = self.book.earlier.iter().find(|earlier| earlier.activation.id == id);
        let earlier = earlier.filter(|earlier| {
            earlier.activation.group == self.book.group && earlier.activation.month < self.book.month
        });
        let earlier = earlier.ok_or("there is no such activation in this month or before")?;
        if !earlier.is_posted {
            return Err("the activation is not posted".to_owned());
        }
        match self.earlier.insert(id, (name, 0, earlier)) {
            None => Ok(()),
            Some(_) => Err("the activation was reversed before".to_owned()),
        }
    }

    /// A transfer that takes a posted one back: of this month, the limit's too; of a month before, which is closed, only
    /// the money's.
    fn take_back(&mut self, place: Place, id: ActivationId, entry: &Entry) -> Result<(), String> {
        let missing = || format!("activation {id} is not reversed before it");
        if place.month == self.book.month {
            let progress = self.activations.get_mut(&id).filter(|progress| progress.is_reversed);
            let progress = progress.ok_or_else(missing)?;
            let pending = self.pending.get_mut(&place.position).filter(|pending| pending.activation == id);
            let pending =
                pending.ok_or_else(|| format!("row {} is none of its activation", place.position))?;
            if reversal_entry(pending.entry) != *entry {
                return Err(format!("it is not row {} the other way round", place.position));
            }
            if std::mem::replace(&mut pending.is_reversed, true) {
                return Err(format!("row {} was reversed before", place.position));
            }
            progress.reversed += 1;
        } else {
            let (_, reversed, earlier) = self.earlier.get_mut(&id).ok_or_else(missing)?;
            let held = earlier.held.iter().filter(|(_, held)| held.debit.unit() == Unit::Money);
            // Each once: they come in the order of the rows that they take back.
            let expected = held.clone().nth(*reversed).filter(|(held, _)| *held == place);
            let (_, posted) =
                expected.ok_or_else(|| format!("row {} is not the next to be reversed", place.position))?;
            if reversal_entry(*posted) != *entry {
                return Err(format!(
                    "it is not row {} of {} the other way round",
                    place.position, place.month
                ));
            }
            *reversed += 1;
        }
        self.count_money(entry, -1);
        self.use_limit(entry, 1)
    }

    fn activations_are_whole(&mut self) -> Result<(), Fault> {
        for progress in self.order.iter().filter_map(|id| self.activations.get(id)) {
            let wrong = |wrong: String| Err(fault("activations", progress.name, wrong));
            let facts = &progress.facts;
            let mut held: Vec<Entry> =
                progress.held.iter().map(|position| self.pending[position].entry).collect();
            let mut expected = hold_entries(facts.group, facts.month, facts.net, facts.discount);
            let key = |entry: &Entry| (entry.debit, entry.credit, entry.amount);
            held.sort_by_key(key);
            expected.sort_by_key(key);
            if held != expected {
                return wrong("its pending transfers are not those that its prices make".to_owned());
            }
            let due = if progress.settlement.is_some() { held.len() } else { 0 };
            if progress.resolved != due {
                return wrong(format!("{} of its {due} transfers are resolved", progress.resolved));
            }
            let due = if progress.is_reversed { held.len() } else { 0 };
            if progress.reversed != due {
                return wrong(format!("{} of its {due} transfers are reversed", progress.reversed));
            }
            self.seen.pending += u64::from(progress.settlement.is_none());
        }
        for (name, reversed, earlier) in self.earlier.values() {
            let due = earlier.held.iter().filter(|(_, held)| held.debit.unit() == Unit::Money).count();
            if *reversed != due {
                return Err(fault("reversals", name, format!("{reversed} of {due} transfers are reversed")));
            }
        }
        Ok(())
    }

    fn outbox(&mut self) -> Result<(), Fault> {
        let mut rows: HashMap<ActivationId, (usize, Vec<(Msisdn, Audience)>)> = HashMap::new();
        for row in &self.book.outbox {
            self.seen.outbox += 1;
            let progress = self.activations.get(&row.activation);
            let Some(progress) = progress else {
                return Err(fault("outbox", row.id, "there is no such activation"));
            };
            let (orders, recipients) = rows.entry(row.activation).or_default();
            match row.kind {
                OutboxKind::Order => *orders += 1,
                OutboxKind::Sms { recipient, audience, has_text } => {
                    recipients.push((recipient, audience));
                    if has_text != progress.settlement.is_some() {
                        let what = if has_text { "an SMS text before" } else { "no SMS text after" };
                        return Err(fault("outbox", row.id, format!("{what} the settlement")));
                    }
                }
            }
        }
        for progress in self.order.iter().filter_map(|id| self.activations.get(id)) {
            let facts = &progress.facts;
            let (orders, mut recipients) = rows.remove(&facts.id).unwrap_or_default();
            let mut expected = if facts.caller == facts.member {
                vec![(facts.caller, Audience::Own)]
            } else {
                vec![(facts.caller, Audience::Leader), (facts.member, Audience::Member)]
            };
            let key = |(number, audience): &(Msisdn, Audience)| (*number, *audience as u8);
            expected.sort_by_key(key);
            recipients.sort_by_key(key);
            if orders != 1 || recipients != expected {
                let wrong = format!(
                    "{orders} orders and {} SMS in the outbox instead of 1 and {}",
                    recipients.len(),
                    expected.len()
                );
                return Err(fault("activations", progress.name, wrong));
            }
        }
        Ok(())
    }

    /// The end of the chain that the database keeps is that of the rows.
    fn end_of_chain(&self) -> Result<(), Fault> {
        let kept = &self.book.kept.chain;
        if kept.length != self.chain.length {
            return self.wrong_month(format!(
                "its chain has {} rows, and {} are there",
                kept.length, self.chain.length
            ));
        }
        if kept.head != self.chain.head {
            return self.wrong_month("the end of its chain is not the hash of its last row".to_owned());
        }
        Ok(())
    }

    /// The limit that the database keeps is that of the terms, and what it says is used is what the rows use.
    fn limit(&self) -> Result<(), Fault> {
        let kept = &self.book.kept;
        if kept.granted != self.book.limit {
            return self.wrong_month(format!("it grants {}, the terms {}", kept.granted, self.book.limit));
        }
        let used = self.left.map_or(0, |left| kept.granted.qindarka().saturating_sub(left));
        if kept.used.qindarka() != used {
            let by_rows = Money::from_qindarka(used);
            return self.wrong_month(format!("{} are used, by its rows {by_rows}", kept.used));
        }
        Ok(())
    }

    fn wrong_month(&self, wrong: String) -> Result<(), Fault> {
        Err(fault("limit_months", format!("{} {}", self.book.group, self.book.month), wrong))
    }
}
