//! Nothing from the network panics, whatever it is and whenever it comes.

use super::*;
use crate::sip::message::Defect;
use proptest::prelude::*;

/// One change to a message.
#[derive(Debug, Clone)]
enum Mutation {
    None,
    Set(usize, u8),
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => Just(Mutation::None),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(at, octet)| Mutation::Set(at, octet)),
        1 => any::<usize>().prop_map(Mutation::Cut),
        1 => (any::<usize>(), 1..40_usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        1 => (any::<usize>(), proptest::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, octets)| Mutation::Insert(at, octets)),
        1 => (any::<usize>(), 1..60_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
    ]
}

fn mutate(message: &str, mutation: &Mutation) -> Vec<u8> {
    let mut octets = message.as_bytes().to_vec();
    let length = octets.len().max(1);
    match mutation {
        Mutation::None => {}
        Mutation::Set(at, octet) => {
            if let Some(place) = octets.get_mut(at % length) {
                *place = *octet;
            }
        }
        Mutation::Cut(at) => octets.truncate(at % length),
        Mutation::Remove(at, count) => {
            let from = at % length;
            let to = (from + count).min(octets.len());
            octets.drain(from..to);
        }
        Mutation::Insert(at, more) => {
            let at = at % length;
            octets.splice(at..at, more.iter().copied());
        }
        Mutation::Repeat(at, count) => {
            let from = at % length;
            let to = (from + count).min(octets.len());
            let again = octets[from..to].to_vec();
            octets.splice(from..from, again);
        }
    }
    octets
}

/// One step of a conversation: who does what.
#[derive(Debug, Clone, Copy)]
enum Step {
    Invite,
    Ack,
    Bye,
    Cancel,
    Reinvite,
    Options,
    Accept,
    Ring,
    Reject,
    HangUp,
    Call,
    Provisional,
    Ok,
    Refusal,
    CancelOurs,
    Answer,
    Wait,
}

const STEPS: [Step; 17] = [
    Step::Invite,
    Step::Ack,
    Step::Bye,
    Step::Cancel,
    Step::Reinvite,
    Step::Options,
    Step::Accept,
    Step::Ring,
    Step::Reject,
    Step::HangUp,
    Step::Call,
    Step::Provisional,
    Step::Ok,
    Step::Refusal,
    Step::CancelOurs,
    Step::Answer,
    Step::Wait,
];

/// A conversation: the endpoint, and the last messages it sent.
struct Conversation {
    bench: Bench,
    session: Option<SessionId>,
    response: String,
    request: String,
}

impl Conversation {
    fn step(&mut self, step: Step, mutation: &Mutation) {
        let now = self.bench.now;
        let session = self.session;
        let endpoint = &mut self.bench.endpoint;
        let message = match step {
            Step::Invite => Some(invite(Some(SDP))),
            Step::Ack => Some(within(&self.response, "ACK", 1, "")),
            Step::Bye => Some(within(&self.response, "BYE", 3, "")),
            Step::Cancel => Some(request("CANCEL", "", "").replace("CANCEL-1", "INVITE-1")),
            Step::Reinvite => Some(within(&self.response, "INVITE", 2, SDP)),
            Step::Options => Some(request("OPTIONS", "", "")),
            Step::Provisional => Some(response(&self.request, 180, "x", "", "")),
            Step::Ok => Some(response(&self.request, 200, "x", "Record-Route: <sip:192.0.2.9;lr>\r\n", SDP)),
            Step::Refusal => Some(response(&self.request, 486, "x", "", "")),
            Step::Accept | Step::Ring | Step::Reject | Step::HangUp | Step::CancelOurs | Step::Answer => {
                if let Some(session) = session {
                    let _ = match step {
                        Step::Accept => endpoint.accept(now, session, OUR_SDP.into()),
                        Step::Ring => endpoint.ring(now, session),
                        Step::Reject => endpoint.reject(now, session, &Rejection::new(404)),
                        Step::CancelOurs => endpoint.cancel(now, session),
                        Step::Answer => endpoint.acknowledge(session, OUR_SDP.into()),
                        _ => endpoint.bye(now, session, None),
                    };
                }
                None
            }
            Step::Call => {
                let params = InviteParams {
                    request_uri: "sip:130@192.0.2.9".to_owned(),
                    from: "sip:a@192.0.2.1".to_owned(),
                    to: "sip:130@192.0.2.9".to_owned(),
                    ..InviteParams::default()
                };
                self.session = endpoint.invite(now, flow(), &params).ok();
                None
            }
            Step::Wait => {
                self.bench.now += Duration::from_secs(3);
                endpoint.handle_timeout(now + Duration::from_secs(3));
                None
            }
        };
        if let Some(message) = message {
            self.bench.endpoint.handle_datagram(now, flow(), &mutate(&message, mutation));
        }
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.bench.endpoint.poll_transmit() {
            let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
            let Ok(parsed) = Message::parse(&transmit.bytes) else { panic!("unreadable: {text}") };
            let complete =
                ["Via", "From", "To", "Call-ID", "CSeq"].iter().all(|name| field(&text, name).is_some());
            match parsed.status() {
                Some(_) if complete => self.response = text,
                None => {
                    // What we make ourselves is sound, however the peer's messages were mutated.
                    // The scheme of a Contact is the peer's affair.
                    let sound = matches!(parsed.check(), Ok(()) | Err(Defect::UriScheme));
                    assert!(sound, "{:?}\n{text}", parsed.check());
                    self.request = text;
                }
                Some(_) => {}
            }
        }
        while let Some(event) = self.bench.endpoint.poll_event() {
            if let Event::Invite(invite) = event {
                self.session = Some(invite.session);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_octets_panic(datagram in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut bench = Bench::new();
        bench.endpoint.handle_datagram(bench.now, flow(), &datagram);
        prop_assert!(bench.endpoint.transaction_count() <= 1);
    }

    #[test]
    fn no_mutated_conversation_panics_or_leaves_anything(
        steps in proptest::collection::vec((0..STEPS.len(), mutation()), 1..40)
    ) {
        let mut conversation = Conversation {
            bench: Bench::new(),
            session: None,
            response: "To: <sip:130@192.0.2.1>;tag=none\n".to_owned(),
            request: request("OPTIONS", "", ""),
        };
        for (step, mutation) in &steps {
            conversation.step(STEPS[*step], mutation);
        }
        // Whatever was said, calls can be ended and then nothing is left but calls that stand.
        let mut rounds = 0;
        while let Some(at) = conversation.bench.endpoint.poll_timeout() {
            conversation.bench.now = at;
            conversation.bench.endpoint.handle_timeout(at);
            conversation.collect();
            rounds += 1;
            prop_assert!(rounds < 10_000, "timers without end");
        }
        prop_assert_eq!(conversation.bench.endpoint.transaction_count(), 0);
    }
}
