//! Invariants of the service's own requests: CSeqs rise, a request goes out again unchanged, not once it is answered and
//! not beyond 64·T1, and nothing follows a BYE.

use super::{Bounds, Exchanged, within};
use bytes::Bytes;
use klikon::sip::message::{Message, Method};
use std::collections::BTreeMap;
use std::time::Instant;

#[derive(Debug)]
struct Sent {
    octets: Bytes,
    first: Instant,
    answered: bool,
}

/// Our side of a dialog: Call-ID, our From and the peer's To.
type DialogKey = (Vec<u8>, Vec<u8>, Vec<u8>);

#[derive(Debug, Default)]
struct Dialog {
    cseq: u32,
    ended: bool,
}

/// All requests the service sent.
#[derive(Debug)]
pub struct OurRequests {
    bounds: Bounds,
    sent: BTreeMap<Exchanged, Sent>,
    dialogs: BTreeMap<DialogKey, Dialog>,
}

impl OurRequests {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, sent: BTreeMap::new(), dialogs: BTreeMap::new() }
    }

    /// A request comes out.
    pub fn request_out(&mut self, now: Instant, octets: &Bytes, request: &Message<'_>) {
        let key = Exchanged::of(request).expect("a request of ours has everything");
        let method = request.method().expect("a request");
        if let Some(sent) = self.sent.get(&key) {
            assert_eq!(sent.octets, octets, "a retransmission was changed");
            assert!(!sent.answered || method == Method::Ack, "{key:?} goes out again after its answer");
            let life = self.bounds.timers.transaction_life();
            assert!(within(sent.first, now, life), "{key:?} goes out longer than 64·T1");
            return;
        }
        assert_eq!(request.max_forwards(), Ok(Some(70)));
        let (from, to) = (request.from().expect("From"), request.to().expect("To"));
        let dialog = (key.call_id.clone(), from.raw.to_vec(), to.raw.to_vec());
        let dialog = self.dialogs.entry(dialog).or_default();
        if method != Method::Ack {
            assert!(!dialog.ended, "{key:?} after a BYE");
            assert!(key.cseq > dialog.cseq, "CSeq {} after {}", key.cseq, dialog.cseq);
            dialog.cseq = key.cseq;
        }
        dialog.ended |= method == Method::Bye;
        self.sent.insert(key, Sent { octets: octets.clone(), first: now, answered: false });
    }

    /// A response is handed in.
    pub fn response_in(&mut self, response: &Message<'_>) {
        let is_final = response.status().is_some_and(|status| status >= 200) && response.check().is_ok();
        if is_final && let Some(sent) = Exchanged::of(response).and_then(|key| self.sent.get_mut(&key)) {
            sent.answered = true;
        }
    }
}
