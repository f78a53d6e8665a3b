//! The last calls' SIP messages, in memory, by Call-ID.
//!
//! Two shelves, so that a flood of refused calls or of OPTIONS never pushes out a call that was answered: an exchange
//! begins on the second, and moves to the first with the 2xx to its INVITE. On each the oldest goes first.

use super::message::{Captured, Role};
use super::settings::TraceSettings;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages kept of one call; later ones are counted only.
pub const MAX_MESSAGES_A_CALL: usize = 500;

/// What the service calls a call, and what came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Named {
    /// Our id of the call.
    pub id: String,
    /// The caller, masked, or why there is none; empty until the call was answered.
    pub caller: String,
    /// The flow that answered; empty until then.
    pub flow: String,
    /// What ended it; empty while it lasts.
    pub end: String,
}

/// One call's messages, or those of another exchange with a Call-ID of its own.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its Call-ID.
    pub call_id: Bytes,
    /// In the order they passed.
    pub messages: Vec<Arc<Captured>>,
    /// Messages beyond the limits of one call.
    pub left_out: u64,
    /// What the service says of it.
    pub named: Option<Named>,
    octets: usize,
}

/// Where a call is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shelf {
    Answered,
    Other,
}

/// The calls, each under the number of its first message.
#[derive(Debug, Default)]
struct Shelves {
    answered: BTreeMap<u64, Call>,
    other: BTreeMap<u64, Call>,
    by_call_id: HashMap<Bytes, (Shelf, u64)>,
    octets: usize,
    next: u64,
}

/// The record of the last calls. Shared by the driver's task, which adds, and whoever asks; each holds the lock for one
/// message, or for one copy of the list.
#[derive(Debug)]
pub struct Record {
    shelves: Mutex<Shelves>,
    calls: usize,
    max_octets_a_call: usize,
    max_octets: usize,
}

impl Record {
    /// An empty record within the settings' limits.
    pub fn new(settings: &TraceSettings) -> Self {
        Self {
            shelves: Mutex::default(),
            calls: settings.calls,
            max_octets_a_call: settings.max_octets_a_call,
            max_octets: settings.max_octets,
        }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message. One without a Call-ID belongs to no call.
    pub fn add(&self, message: &Arc<Captured>) {
        let Some(call_id) = &message.call_id else { return };
        let mut shelves = self.shelves();
        let (shelf, number) = shelves.place(call_id);
        let (octets, fits_a_call) = (message.octets.len(), self.max_octets_a_call);
        let Some(call) = shelves.shelf(shelf).get_mut(&number) else { return };
        if call.messages.len() >= MAX_MESSAGES_A_CALL || call.octets + octets > fits_a_call {
            call.left_out += 1;
        } else {
            call.octets += octets;
            call.messages.push(Arc::clone(message));
            shelves.octets += octets;
        }
        if shelf == Shelf::Other && message.role == Role::Answers {
            shelves.answer(number);
        }
        while shelves.other.len() > self.calls
            || (shelves.octets > self.max_octets && !shelves.other.is_empty())
        {
            shelves.forget_oldest(Shelf::Other);
        }
        while shelves.answered.len() > self.calls || shelves.octets > self.max_octets {
            shelves.forget_oldest(Shelf::Answered);
        }
    }

    /// Notes what the service says of a call that is kept.
    pub fn name(&self, call_id: &[u8], change: impl FnOnce(&mut Named)) {
        let mut shelves = self.shelves();
        if let Some((shelf, number)) = shelves.by_call_id.get(call_id).copied()
            && let Some(call) = shelves.shelf(shelf).get_mut(&number)
        {
            change(call.named.get_or_insert_default());
        }
    }

    /// All that is kept, the oldest first. The messages are shared, not copied.
    pub fn all(&self) -> Vec<Call> {
        let shelves = self.shelves();
        let mut calls: Vec<_> = shelves.answered.iter().chain(&shelves.other).collect();
        calls.sort_by_key(|(number, _)| **number);
        calls.into_iter().map(|(_, call)| call.clone()).collect()
    }
}

impl Shelves {
    fn shelf(&mut self, shelf: Shelf) -> &mut BTreeMap<u64, Call> {
        match shelf {
            Shelf::Answered => &mut self.answered,
            Shelf::Other => &mut self.other,
        }
    }

    /// Where the messages with this Call-ID are kept; a new place for a new one.
    fn place(&mut self, call_id: &Bytes) -> (Shelf, u64) {
        if let Some(place) = self.by_call_id.get(call_id) {
            return *place;
        }
        let number = self.next;
        self.next += 1;
        // A copy, so that the index does not hold the whole first message.
        let call_id = Bytes::copy_from_slice(call_id);
        self.by_call_id.insert(call_id.clone(), (Shelf::Other, number));
        let call = Call { call_id, messages: Vec::new(), left_out: 0, named: None, octets: 0 };
        self.other.insert(number, call);
        (Shelf::Other, number)
    }

    fn answer(&mut self, number: u64) {
        if let Some(call) = self.other.remove(&number) {
            self.by_call_id.insert(call.call_id.clone(), (Shelf::Answered, number));
            self.answered.insert(number, call);
        }
    }

    fn forget_oldest(&mut self, shelf: Shelf) {
        if let Some((_, call)) = self.shelf(shelf).pop_first() {
            self.octets -= call.octets;
            self.by_call_id.remove(&call.call_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Direction, Passed};
    use crate::sip::{Flow, Transport};
    use crate::units::clock::Clock;

    fn message(text: &str) -> Arc<Captured> {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.9:5060".parse().unwrap(),
        };
        let at = Clock::system().read();
        Arc::new(Captured::of(&Passed { direction: Direction::Received, flow, octets: text.as_bytes(), at }))
    }

    fn request(call_id: &str) -> Arc<Captured> {
        message(&format!("INVITE sip:130@x SIP/2.0\r\nCall-ID: {call_id}\r\nCSeq: 1 INVITE\r\n\r\n"))
    }

    fn ok(call_id: &str, method: &str) -> Arc<Captured> {
        message(&format!("SIP/2.0 200 OK\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\r\n"))
    }

    fn record(change: impl FnOnce(&mut TraceSettings)) -> Record {
        let mut settings = TraceSettings { calls: 3, ..TraceSettings::default() };
        change(&mut settings);
        Record::new(&settings)
    }

    fn kept(record: &Record) -> Vec<String> {
        record.all().iter().map(|call| String::from_utf8_lossy(&call.call_id).into_owned()).collect()
    }

    #[test]
    fn a_flood_pushes_out_no_answered_call() {
        let record = record(|_| {});
        for call in ["a", "b"] {
            record.add(&request(call));
            record.add(&ok(call, "INVITE"));
        }
        for number in 0..100 {
            record.add(&request(&format!("flood-{number}")));
            record.add(&ok(&format!("flood-{number}"), "OPTIONS"));
        }
        assert_eq!(kept(&record), ["a", "b", "flood-97", "flood-98", "flood-99"]);
        for call in ["c", "d"] {
            record.add(&request(call));
            record.add(&ok(call, "INVITE"));
        }
        assert_eq!(
            kept(&record),
            ["b", "flood-98", "flood-99", "c", "d"],
            "the oldest answered one goes, and one that c pushed"
        );
        record.add(&message("no SIP at all"));
        assert_eq!(kept(&record).len(), 5);
        assert_eq!(record.shelves().by_call_id.len(), 5);
    }

    #[test]
    fn octets_are_limited_for_a_call_and_in_all() {
        let octets = request("a").octets.len();
        let record = record(|settings| {
            settings.calls = 100;
            settings.max_octets_a_call = 2 * octets;
            settings.max_octets = 4 * octets;
        });
        for _ in 0..5 {
            record.add(&request("a"));
        }
        let call = &record.all()[0];
        assert_eq!((call.messages.len(), call.left_out), (2, 3));
        for call in ["b", "c", "d"] {
            record.add(&request(call));
        }
        assert_eq!(kept(&record), ["b", "c", "d"], "with a there would be five");
        assert_eq!(record.shelves().octets, 3 * octets);
    }

    #[test]
    fn messages_a_call_are_limited_and_names_are_noted() {
        let record = record(|_| {});
        for _ in 0..MAX_MESSAGES_A_CALL + 5 {
            record.add(&message("OPTIONS sip:a SIP/2.0\r\nCall-ID: o\r\n\r\n"));
        }
        record.name(b"o", |named| named.id = "01".to_owned());
        record.name(b"o", |named| named.end = "goodbye".to_owned());
        record.name(b"unknown", |_| panic!("it is not kept"));
        let call = &record.all()[0];
        assert_eq!((call.messages.len(), call.left_out), (MAX_MESSAGES_A_CALL, 5));
        let named = Named { id: "01".to_owned(), end: "goodbye".to_owned(), ..Named::default() };
        assert_eq!(call.named, Some(named));
    }
}
