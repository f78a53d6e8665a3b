//! Two endpoints that talk through a network which loses, doubles, delays and reorders datagrams, all of it from a seed.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// The end at which something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Caller,
    Service,
}

/// What is to happen at an instant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Arrival { at: End, datagram: Vec<u8> },
    Call { late_offer: bool },
    Cancel(SessionId),
    Ring(SessionId),
    Progress(SessionId),
    Accept(SessionId),
    Reject(SessionId),
    HangUp(End, SessionId),
}

/// Chances in a hundred, and the longest delay.
#[derive(Debug, Clone, Copy)]
struct Weather {
    loss: u64,
    doubling: u64,
    delay_max_ms: u64,
}

struct World {
    now: Instant,
    random: StdRng,
    weather: Weather,
    caller: Endpoint,
    service: Endpoint,
    due: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    order: u64,
    /// The outcomes of each call as its caller was told, and the incoming calls as the service was.
    calls: BTreeMap<SessionId, Vec<String>>,
    incoming: BTreeMap<SessionId, Vec<String>>,
}

impl World {
    fn new(seed: u64, weather: Weather) -> Self {
        let config = |octet: u8| {
            let mut key = [octet; 32];
            key[..8].copy_from_slice(&seed.to_be_bytes());
            EndpointConfig::new(key)
        };
        Self {
            now: Clock::system().instant(),
            random: StdRng::seed_from_u64(seed),
            weather,
            caller: Endpoint::new(config(1)),
            service: Endpoint::new(config(2)),
            due: BinaryHeap::new(),
            order: 0,
            calls: BTreeMap::new(),
            incoming: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random.next_u64() % bound
    }

    fn schedule(&mut self, in_ms: u64, due: Due) {
        self.order += 1;
        self.due.push(Reverse((self.now + ms(in_ms), self.order, due)));
    }

    fn flow(at: End) -> Flow {
        let (caller, service) =
            ("192.0.2.9:5060".parse().expect("an address"), "192.0.2.1:5060".parse().expect("an address"));
        match at {
            End::Caller => Flow { transport: Transport::Udp, local: caller, remote: service },
            End::Service => Flow { transport: Transport::Udp, local: service, remote: caller },
        }
    }

    fn endpoint(&mut self, at: End) -> &mut Endpoint {
        match at {
            End::Caller => &mut self.caller,
            End::Service => &mut self.service,
        }
    }

    /// Runs until nothing is to happen any more.
    fn run(&mut self) {
        loop {
            self.carry(End::Caller, End::Service);
            self.carry(End::Service, End::Caller);
            self.listen();
            let wake_ups = [self.caller.poll_timeout(), self.service.poll_timeout()];
            let next_due = self.due.peek().map(|Reverse((at, _, _))| *at);
            let Some(next) = wake_ups.into_iter().flatten().chain(next_due).min() else { return };
            self.now = self.now.max(next);
            if next_due == Some(next) {
                let Some(Reverse((_, _, due))) = self.due.pop() else { return };
                self.perform(due);
            } else {
                let now = self.now;
                self.caller.handle_timeout(now);
                self.service.handle_timeout(now);
            }
        }
    }

    /// Hands what one end sends to the network.
    fn carry(&mut self, from: End, to: End) {
        while let Some(transmit) = self.endpoint(from).poll_transmit() {
            assert_eq!(transmit.flow, Self::flow(from), "sent elsewhere");
            assert_sound(&transmit.bytes);
            let copies = match self.below(100) {
                chance if chance < self.weather.loss => 0,
                chance if chance < self.weather.loss + self.weather.doubling => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let delay = 1 + self.below(self.weather.delay_max_ms);
                self.schedule(delay, Due::Arrival { at: to, datagram: transmit.bytes.to_vec() });
            }
        }
    }

    fn perform(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Arrival { at, datagram } => {
                let flow = Self::flow(at);
                self.endpoint(at).handle_datagram(now, flow, &datagram);
            }
            Due::Call { late_offer } => {
                let params = InviteParams {
                    request_uri: "sip:130@192.0.2.1".to_owned(),
                    from: "sip:caller@192.0.2.9".to_owned(),
                    to: "sip:130@192.0.2.1".to_owned(),
                    sdp: (!late_offer).then(|| SDP.into()),
                    ..InviteParams::default()
                };
                let id = self.caller.invite(now, Self::flow(End::Caller), &params).expect("room");
                self.calls.insert(id, vec![]);
                if self.below(4) == 0 {
                    let after = self.below(3_000);
                    self.schedule(after, Due::Cancel(id));
                }
            }
            // Orders may come too late: the session may be gone by then, as its event will have told.
            Due::Cancel(id) => drop(self.caller.cancel(now, id)),
            Due::Ring(id) => drop(self.service.ring(now, id)),
            Due::Progress(id) => drop(self.service.progress(now, id, OUR_SDP.into())),
            Due::Accept(id) => drop(self.service.accept(now, id, OUR_SDP.into())),
            Due::Reject(id) => {
                if self.service.reject(now, id, &Rejection::new(486)).is_ok() {
                    self.note(End::Service, id, "rejected");
                }
            }
            Due::HangUp(at, id) => drop(self.endpoint(at).bye(now, id, None)),
        }
    }

    fn note(&mut self, at: End, id: SessionId, outcome: impl Into<String>) {
        let told = match at {
            End::Caller => &mut self.calls,
            End::Service => &mut self.incoming,
        };
        told.get_mut(&id).expect("a call that is known").push(outcome.into());
    }

    /// What both ends do when they are told something.
    fn listen(&mut self) {
        while let Some(event) = self.caller.poll_event() {
            match event {
                Event::Answered { session, needs_answer, .. } => {
                    self.note(End::Caller, session, "answered");
                    if needs_answer {
                        self.caller.acknowledge(session, SDP.into()).expect("waits for it");
                    }
                    let after = self.below(10_000);
                    self.schedule(after, Due::HangUp(End::Caller, session));
                }
                Event::Rejected { session, .. } => self.note(End::Caller, session, "rejected"),
                Event::Ended { session, .. } => self.note(End::Caller, session, "ended"),
                Event::Progress { .. } | Event::ReasonGiven { .. } => {}
                other => panic!("the caller was told {other:?}"),
            }
        }
        while let Some(event) = self.service.poll_event() {
            match event {
                Event::Invite(invite) => {
                    let id = invite.session;
                    assert!(self.incoming.insert(id, vec![]).is_none());
                    let (ring, decide) = (self.below(500), 500 + self.below(3_000));
                    let rings = self.below(2) == 0;
                    self.schedule(ring, if rings { Due::Ring(id) } else { Due::Progress(id) });
                    let refuses = self.below(4) == 0;
                    self.schedule(decide, if refuses { Due::Reject(id) } else { Due::Accept(id) });
                }
                Event::Confirmed { session, .. } => {
                    self.note(End::Service, session, "confirmed");
                    let after = self.below(10_000);
                    self.schedule(after, Due::HangUp(End::Service, session));
                }
                Event::Cancelled { session } => self.note(End::Service, session, "cancelled"),
                Event::Ended { session, .. } => self.note(End::Service, session, "ended"),
                Event::EarlyConfirmed { .. } | Event::ReasonGiven { .. } => {}
                other => panic!("the service was told {other:?}"),
            }
        }
    }
}

/// Twenty calls in one weather: every call has exactly one outcome at either end, and no state is left.
fn twenty_calls(seed: u64, weather: Weather) -> World {
    let mut world = World::new(seed, weather);
    for _ in 0..20 {
        let (after, late_offer) = (world.below(20_000), world.below(4) == 0);
        world.schedule(after, Due::Call { late_offer });
    }
    world.run();
    assert_eq!(world.calls.len(), 20);
    for (id, told) in &world.calls {
        let told: Vec<_> = told.iter().map(String::as_str).collect();
        let sound = matches!(&*told, ["rejected"] | ["answered", "ended"] | ["ended"]);
        assert!(sound, "seed {seed}, {weather:?}: the caller was told {told:?} of {id:?}");
    }
    for (id, told) in &world.incoming {
        let told: Vec<_> = told.iter().map(String::as_str).collect();
        let sound = matches!(&*told, ["rejected"] | ["cancelled"] | ["ended"] | ["confirmed", "ended"]);
        assert!(sound, "seed {seed}, {weather:?}: the service was told {told:?} of {id:?}");
    }
    for endpoint in [&world.caller, &world.service] {
        assert_nothing_left(endpoint);
        assert!(endpoint.counters().get(Counter::DroppedMalformedResponse) == 0);
        assert!(endpoint.counters().get(Counter::RefusedMalformed) == 0);
    }
    world
}

#[test]
fn in_fair_weather_each_call_is_answered_or_refused() {
    for seed in 0..10 {
        let world = twenty_calls(seed, Weather { loss: 0, doubling: 0, delay_max_ms: 20 });
        assert_eq!(world.incoming.len(), 20);
        assert_eq!(world.service.counters().get(Counter::AckTimeouts), 0);
        assert_eq!(world.caller.counters().get(Counter::RequestTimeouts), 0);
    }
}

#[test]
fn in_foul_weather_each_call_has_one_outcome_and_leaves_nothing() {
    let (mut told_callers, mut told_service) = (BTreeMap::new(), BTreeMap::new());
    for seed in 0..60 {
        let world = twenty_calls(seed, Weather { loss: 25, doubling: 20, delay_max_ms: 900 });
        for told in world.calls.into_values() {
            *told_callers.entry(told.join(" ")).or_insert(0) += 1;
        }
        for told in world.incoming.into_values() {
            *told_service.entry(told.join(" ")).or_insert(0) += 1;
        }
    }
    // The weather was foul enough for every course that a call can take.
    assert_eq!(told_callers.len(), 3, "{told_callers:?}");
    assert_eq!(told_service.len(), 4, "{told_service:?}");
}

#[test]
fn reordering_alone_does_no_harm() {
    for seed in 0..20 {
        twenty_calls(seed, Weather { loss: 0, doubling: 50, delay_max_ms: 3_000 });
    }
}

#[test]
fn a_seed_replays_a_run() {
    let weather = Weather { loss: 20, doubling: 10, delay_max_ms: 400 };
    let (one, two) = (twenty_calls(5, weather), twenty_calls(5, weather));
    assert_eq!(one.calls, two.calls);
    assert_eq!(one.service.counters(), two.service.counters());
    assert_eq!(one.caller.counters(), two.caller.counters());
}

#[test]
fn without_any_network_every_call_fails_in_the_end() {
    let world = twenty_calls(1, Weather { loss: 100, doubling: 0, delay_max_ms: 1 });
    assert!(world.incoming.is_empty());
    assert!(world.calls.values().all(|told| told == &["rejected"]));
}
