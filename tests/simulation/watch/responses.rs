//! Invariants of the service's responses: each belongs to a request that came, each INVITE gets one final one, and none
//! goes on after its ACK or beyond 64·T1.

use super::{Bounds, Exchanged, within};
use klikon::sip::message::{HeaderName, Message, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

/// Refusals that are stateless and depend on what else is held at the moment: a copy that comes later may fare
/// otherwise (RFC 3261 §8.2.7 has this of a stateless server). 481 is one for a CANCEL that overtakes its INVITE.
const PASSING: [u16; 3] = [481, 482, 503];

/// One request, and what was answered.
#[derive(Debug)]
struct Answered {
    from: SocketAddr,
    /// A final answer is due: it came undamaged from a caller that is there.
    obliged: bool,
    tried: bool,
    tag: Option<Vec<u8>>,
    finals: BTreeSet<u16>,
    first_final: Option<Instant>,
    acknowledged: Option<Instant>,
}

impl Answered {
    fn new(from: SocketAddr, obliged: bool) -> Self {
        Self {
            from,
            obliged,
            tried: false,
            tag: None,
            finals: BTreeSet::new(),
            first_final: None,
            acknowledged: None,
        }
    }

    /// Whether a passing refusal gives way to `status`, an answer to a copy that fared otherwise.
    fn gives_way_to(&self, key: &Exchanged, status: u16) -> bool {
        // The answer to OPTIONS outside a dialog says in what state the service is.
        let is_passing = |earlier| PASSING.contains(earlier) || key.method == Method::Options.as_octets();
        !self.tried && self.finals.iter().all(is_passing) && !self.finals.contains(&status)
    }
}

/// All requests that came.
#[derive(Debug)]
pub struct Answers {
    bounds: Bounds,
    requests: BTreeMap<Exchanged, Answered>,
    /// INVITEs that got their answer, by its class.
    pub classes: BTreeMap<u16, usize>,
    pub unanswered: usize,
}

impl Answers {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, requests: BTreeMap::new(), classes: BTreeMap::new(), unanswered: 0 }
    }

    /// A request is handed in.
    pub fn request_in(&mut self, now: Instant, from: SocketAddr, request: &Message<'_>, damaged: bool) {
        let Some(key) = Exchanged::of(request) else { return };
        if request.method() == Some(Method::Ack) {
            return self.ack_in(now, &key, request);
        }
        let t4 = self.bounds.timers.t4;
        let life = self.bounds.timers.transaction_life();
        if let Some(known) = self.requests.get(&key) {
            let is_over = known.acknowledged.is_some_and(|at| !within(at, now, t4))
                || known.first_final.is_some_and(|at| now >= at + life);
            if !is_over {
                return;
            }
            self.conclude(&key);
        }
        self.requests.insert(key, Answered::new(from, !damaged));
    }

    /// An ACK ends the answers to its INVITE: that to a refusal has its branch, that to a 2xx is known by dialog and CSeq.
    fn ack_in(&mut self, now: Instant, ack: &Exchanged, message: &Message<'_>) {
        let tag = message.to().ok().and_then(|to| to.tag()).map(<[u8]>::to_vec);
        for (key, answered) in &mut self.requests {
            let same_call = key.is_invite()
                && key.cseq == ack.cseq
                && key.call_id == ack.call_id
                && key.from == ack.from
                && answered.tag == tag;
            let is_ok = answered.finals.iter().any(|status| *status < 300);
            if same_call && answered.first_final.is_some() && (is_ok || key.branch == ack.branch) {
                answered.acknowledged.get_or_insert(now);
            }
        }
    }

    /// A response comes out.
    pub fn response_out(&mut self, now: Instant, to: SocketAddr, response: &Message<'_>, damage: bool) {
        let status = response.status().expect("a response");
        let key = Exchanged::of(response);
        let Some((key, answered)) = key.and_then(|key| self.requests.get_mut(&key).map(|it| (key, it)))
        else {
            assert!(damage, "a response to nothing: {response:?}");
            return;
        };
        if answered.gives_way_to(&key, status) {
            *answered = Answered::new(answered.from, answered.obliged);
        }
        answered.finals.extend((status >= 200).then_some(status));
        if damage {
            return;
        }
        assert_eq!(to, answered.from, "a response goes elsewhere");
        if status < 200 {
            assert!(key.is_invite(), "a provisional response to {key:?}");
            assert!(answered.finals.is_empty(), "{status} after {:?} to {key:?}", answered.finals);
            answered.tried = true;
        }
        if status > 100 {
            let tag = response.to().ok().and_then(|to| to.tag()).map(<[u8]>::to_vec);
            assert!(tag.is_some(), "{status} without a tag");
            if answered.tag.is_none() || !answered.tried {
                answered.tag.clone_from(&tag);
            }
            assert_eq!(answered.tag, tag, "another tag in {status} to {key:?}");
        }
        if status >= 200 {
            assert_eq!(answered.finals.len(), 1, "final responses {:?} to {key:?}", answered.finals);
            let first = *answered.first_final.get_or_insert(now);
            let in_transaction = answered.tried || (key.is_invite() && status < 300);
            if in_transaction {
                assert_eq!(answered.acknowledged, None, "{status} goes out again after its ACK to {key:?}");
                let life = self.bounds.timers.transaction_life();
                assert!(within(first, now, life), "{status} goes out longer than 64·T1 to {key:?}");
            }
        }
        // What a proxy put in comes back (RFC 3261 §8.2.6.2): the number of Vias, the Call-ID and CSeq are in the key.
        assert_eq!(response.values(HeaderName::Via).count(), 1);
    }

    fn conclude(&mut self, key: &Exchanged) {
        let Some(answered) = self.requests.remove(key) else { return };
        match answered.finals.first() {
            Some(status) if key.is_invite() => *self.classes.entry(status / 100).or_default() += 1,
            Some(_) => {}
            None if answered.obliged => self.unanswered += 1,
            None => {}
        }
    }

    /// All calls are over: every request that was due an answer got one, but for `excused`.
    pub fn finish(&mut self, excused: u64) {
        for (key, answered) in &self.requests {
            let missing = answered.obliged && answered.finals.is_empty();
            assert!(!missing || excused > 0, "no final response to {key:?}");
        }
        for key in self.requests.keys().cloned().collect::<Vec<_>>() {
            self.conclude(&key);
        }
        let unanswered = u64::try_from(self.unanswered).expect("a number");
        assert!(unanswered <= excused, "{unanswered} requests without a final response, {excused} excused");
    }
}
