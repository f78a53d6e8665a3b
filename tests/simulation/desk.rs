//! The call layer of the service: it rings, answers, refuses, forgets and hangs up at random moments.

use crate::chance::Chance;
use klikon::sip::{ChangeId, Event, Rejection, SessionId};

/// The longest time between an order being decided and being given.
pub const THINKS_MAX_MS: u64 = 5_000;

/// The longest conversation, after which the service hangs up.
pub const TALKS_MAX_MS: u64 = 60_000;

/// Our answer, or our offer where the caller made none.
pub const OUR_SDP: &str =
    "v=0\r\no=- 2 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n";

/// What the call layer will order.
#[derive(Debug, Clone)]
pub enum Order {
    Ring,
    Accept,
    Reject(Rejection),
    HangUp {
        reason: Option<&'static str>,
    },
    /// Agrees to a change of the session, or refuses it.
    Agree(ChangeId),
    Disagree(ChangeId),
}

/// What it decides to do when it is told of `event`: orders, each after so many milliseconds.
pub fn decide(chance: &mut Chance, event: &Event) -> Vec<(u64, SessionId, Order)> {
    match event {
        Event::Invite(invite) => {
            let id = invite.session;
            let decide = chance.below(THINKS_MAX_MS);
            let mut orders = vec![];
            if chance.one_in(2) {
                orders.push((chance.below(decide + 1), id, Order::Ring));
            }
            match chance.below(20) {
                // Forgotten: the endpoint's own limit ends it.
                0 => {}
                1..5 => orders.push((decide, id, Order::Reject(rejection(chance)))),
                5 => orders.push((decide, id, Order::HangUp { reason: None })),
                _ => orders.push((decide, id, Order::Accept)),
            }
            // It may hang up before the ACK.
            if chance.one_in(12) {
                let after = decide + chance.below(3_000);
                orders.push((after, id, Order::HangUp { reason: Some("SIP;cause=200") }));
            }
            // An order that comes late, to a call that may be in any state or gone.
            if chance.one_in(6) {
                let late = chance.below(40_000);
                let order = chance.pick(&[0, 1, 2]);
                let orders_late = [Order::Ring, Order::Accept, Order::Reject(Rejection::new(486))];
                orders.push((late, id, orders_late[order].clone()));
            }
            orders
        }
        Event::Confirmed { session, .. } => {
            let reason = chance.pick(&[None, Some("Q.850;cause=16;text=\"Normal\"")]);
            vec![(chance.below(TALKS_MAX_MS), *session, Order::HangUp { reason })]
        }
        Event::SessionChange { session, change, .. } => {
            let thinks = chance.below(THINKS_MAX_MS);
            match chance.below(10) {
                // Forgotten: the endpoint's own limit refuses it.
                0 => vec![],
                1..4 => vec![(thinks, *session, Order::Disagree(*change))],
                // Twice: the second comes too late.
                4 => [1, 2].map(|times| (thinks * times, *session, Order::Agree(*change))).to_vec(),
                _ => vec![(thinks, *session, Order::Agree(*change))],
            }
        }
        _ => vec![],
    }
}

fn rejection(chance: &mut Chance) -> Rejection {
    let mut rejection = Rejection::new(chance.pick(&[302, 403, 404, 480, 486, 488, 503, 603]));
    if rejection.status == 503 {
        rejection.headers.push(("Retry-After".to_owned(), "5".to_owned()));
    }
    rejection
}
