//! One run: the service, its callers and the network between them, in virtual time that jumps from one thing to the next.

use crate::chance::Chance;
use crate::desk::{self, Order, TALKS_MAX_MS};
use crate::exchange::{Deed, Exchange};
use crate::habit::Habit;
use crate::network::Weather;
use crate::phone::{Act, Phone};
use crate::watch::{Answers, Bounds, Calls, OurRequests};
use crate::witness::Witnesses;
use bytes::Bytes;
use klikon::sip::message::Message;
use klikon::sip::{
    Counter, Endpoint, EndpointConfig, Flow, Held, Limits, Rejection, ServiceState, SessionId, Transport,
};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Callers of one run.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    /// Exchanges, each with `calls_each` calls.
    pub exchanges: usize,
    pub calls_each: usize,
    /// Phones with a habit, each with one call.
    pub phones: usize,
    /// The time within which all calls begin.
    pub arrive_in_ms: u64,
}

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Service,
    Exchange(usize),
    Phone(usize),
}

/// What is to happen at an instant.
#[derive(Debug)]
enum Due {
    Arrival {
        from: SocketAddr,
        at: Who,
        octets: Bytes,
        damaged: bool,
    },
    Order(SessionId, Order),
    Deed(usize, Deed),
    Start(usize),
    Act(usize, Act),
    /// The service is set to take calls, or to refuse them.
    State(ServiceState),
}

pub struct World {
    start: Instant,
    now: Instant,
    chance: Chance,
    weather: Weather,
    pub limits: Limits,
    is_traced: bool,
    has_damage: bool,
    pub service: Endpoint,
    exchanges: Vec<Exchange>,
    phones: Vec<Phone>,
    addresses: HashMap<SocketAddr, Who>,
    due: BTreeMap<(Instant, u64), Due>,
    order: u64,
    answers: Answers,
    requests: OurRequests,
    calls: Calls,
    witnesses: Witnesses,
    /// Over everything the service sent.
    digest: DefaultHasher,
    pub report: Report,
}

/// What a run saw, to be added up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    pub datagrams: u64,
    pub steps: u64,
    pub messages_read: usize,
    pub calls: usize,
    pub most_open: usize,
    pub ends: BTreeMap<String, usize>,
    pub callers_told: BTreeMap<String, usize>,
    pub final_classes: BTreeMap<u16, usize>,
    pub counters: BTreeMap<&'static str, u64>,
    pub digest: u64,
}

const SERVICE: &str = "192.0.2.1:5060";

fn service_config(chance: &mut Chance) -> EndpointConfig {
    let mut config = EndpointConfig::new(chance.key());
    // Some services are small enough to be full.
    if chance.one_in(4) {
        config.limits.max_sessions = 24;
    }
    if chance.one_in(6) {
        config.limits.max_server_transactions = chance.pick(&[48, 160]);
    }
    config
}

impl World {
    pub fn new(seed: u64, start: Instant, crowd: Crowd, is_traced: bool) -> Self {
        let mut chance = Chance::new(seed);
        let weather = Weather::of(&mut chance);
        let config = service_config(&mut chance);
        let bounds = Bounds {
            timers: config.timers,
            max_setup: config.limits.max_setup,
            max_talk: Duration::from_millis(TALKS_MAX_MS),
        };
        let mut world = Self {
            start,
            now: start,
            weather,
            limits: config.limits,
            is_traced,
            has_damage: chance.one_in(2),
            service: Endpoint::new(config),
            exchanges: vec![],
            phones: vec![],
            addresses: HashMap::new(),
            due: BTreeMap::new(),
            order: 0,
            answers: Answers::new(bounds),
            requests: OurRequests::new(bounds),
            calls: Calls::new(bounds),
            witnesses: Witnesses::default(),
            digest: DefaultHasher::new(),
            report: Report::default(),
            chance,
        };
        world.addresses.insert(service(), Who::Service);
        world.invite_crowd(crowd);
        if world.chance.one_in(5) {
            let from = world.chance.below(crowd.arrive_in_ms);
            let lasts = world.chance.between(1_000, 30_000);
            world.schedule(from, Due::State(ServiceState::Refusing { retry_after_s: 5 }));
            world.schedule(from + lasts, Due::State(ServiceState::Accepting));
        }
        world
    }

    fn invite_crowd(&mut self, crowd: Crowd) {
        for number in 0..crowd.exchanges {
            let address: SocketAddr = format!("198.51.100.{}:5060", number + 1).parse().expect("an address");
            self.addresses.insert(address, Who::Exchange(number));
            self.exchanges.push(Exchange::new(&mut self.chance, address, service()));
            for _ in 0..3 {
                let after = self.chance.below(crowd.arrive_in_ms);
                self.schedule(after, Due::Deed(number, Deed::Ask));
            }
            for _ in 0..crowd.calls_each {
                let (after, late_offer) = (self.chance.below(crowd.arrive_in_ms), self.chance.one_in(4));
                self.schedule(after, Due::Deed(number, Deed::Call { late_offer }));
            }
        }
        for number in 0..crowd.phones {
            let (host, port) = (number % 250 + 1, 5_060 + number / 250);
            let address: SocketAddr = format!("203.0.113.{host}:{port}").parse().expect("an address");
            self.addresses.insert(address, Who::Phone(number));
            let habit = Habit::of(&mut self.chance, self.has_damage);
            self.phones.push(Phone::new(&mut self.chance, number, address, habit));
            let after = self.chance.below(crowd.arrive_in_ms);
            self.schedule(after, Due::Start(number));
        }
    }

    fn schedule(&mut self, after_ms: u64, due: Due) {
        self.order += 1;
        self.due.insert((self.now + Duration::from_millis(after_ms), self.order), due);
    }

    /// Runs until nothing is to happen any more, and looks whether everything is as it was.
    pub fn run(mut self) -> Report {
        self.turn();
        self.finish()
    }

    /// The same; yields the service, for another run.
    pub fn run_on(mut self) -> (Endpoint, Limits) {
        self.turn();
        assert_eq!(self.service.held(), Held::default(), "the service has something left");
        (self.service, self.limits)
    }

    fn turn(&mut self) {
        while let Some(next) = self.next() {
            self.now = self.now.max(next);
            self.report.steps += 1;
            assert!(self.report.steps < 10_000_000, "it never ends");
            let now = self.now;
            if self.service.poll_timeout().is_some_and(|at| at <= now) {
                self.service.handle_timeout(now);
                self.attend_service();
            }
            for index in 0..self.exchanges.len() {
                if self.exchanges[index].endpoint.poll_timeout().is_some_and(|at| at <= now) {
                    self.exchanges[index].endpoint.handle_timeout(now);
                    self.attend_exchange(index);
                }
            }
            if self.due.first_key_value().is_some_and(|((at, _), _)| *at <= now)
                && let Some((_, due)) = self.due.pop_first()
            {
                self.perform(due);
            }
            self.calls.check_limits(now);
        }
    }

    fn next(&self) -> Option<Instant> {
        let wake_ups = self.exchanges.iter().filter_map(|exchange| exchange.endpoint.poll_timeout());
        let due = self.due.first_key_value().map(|((at, _), _)| *at);
        wake_ups.chain(self.service.poll_timeout()).chain(due).min()
    }

    fn perform(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Arrival { from, at: Who::Service, octets, damaged } => {
                self.hand_in(from, &octets, damaged);
                self.attend_service();
            }
            Due::Arrival { from, at: Who::Exchange(index), octets, .. } => {
                let flow = self.exchanges[index].flow;
                assert_eq!(flow.remote, from);
                self.exchanges[index].endpoint.handle_datagram(now, flow, &octets);
                self.attend_exchange(index);
            }
            Due::Arrival { at: Who::Phone(index), octets, .. } => {
                if !self.phones[index].is_gone {
                    let acts = self.phones[index].receive(&mut self.chance, &octets);
                    self.plan(index, acts);
                }
            }
            Due::Order(id, order) => {
                let taken = match &order {
                    Order::Ring => self.service.ring(now, id),
                    Order::Accept => self.service.accept(now, id, desk::OUR_SDP.into()),
                    Order::Reject(rejection) => self.service.reject(now, id, rejection),
                    Order::HangUp { reason } => self.service.bye(now, id, *reason),
                    Order::Agree(change) => {
                        self.service.answer_change(now, id, *change, desk::OUR_SDP.into())
                    }
                    Order::Disagree(change) => {
                        self.service.refuse_change(now, id, *change, &Rejection::new(488))
                    }
                };
                self.trace(|| format!("order {order:?} for {id:?}: {taken:?}"));
                self.calls.ordered(now, id, &order, taken);
                self.attend_service();
            }
            Due::State(state) => self.service.set_service_state(state),
            Due::Deed(index, deed) => {
                let deeds = self.exchanges[index].act(&mut self.chance, now, deed);
                self.plan_deeds(index, deeds);
                self.attend_exchange(index);
            }
            Due::Start(index) => {
                let acts = self.phones[index].start(&mut self.chance);
                self.plan(index, acts);
            }
            Due::Act(index, act) => {
                if !self.phones[index].is_gone {
                    let (sent, acts) = self.phones[index].act(&mut self.chance, act);
                    let from = self.phones[index].address;
                    for octets in sent {
                        self.carry(from, Who::Service, octets);
                    }
                    self.plan(index, acts);
                }
            }
        }
    }

    fn plan(&mut self, index: usize, acts: Vec<(u64, Act)>) {
        for (after, act) in acts {
            self.schedule(after, Due::Act(index, act));
        }
    }

    fn plan_deeds(&mut self, index: usize, deeds: Vec<(u64, Deed)>) {
        for (after, deed) in deeds {
            self.schedule(after, Due::Deed(index, deed));
        }
    }

    /// A datagram goes into the network.
    fn carry(&mut self, from: SocketAddr, to: Who, octets: Bytes) {
        let mumbles = self.addresses.get(&from).is_some_and(|who| self.mumbles(*who));
        let at = self.now.duration_since(self.start);
        let delays: Vec<u64> = self.weather.carry(&mut self.chance, at).collect();
        for delay in delays {
            let damaged = mumbles && to == Who::Service && self.chance.one_in(3);
            let octets = if damaged { damage(&mut self.chance, &octets) } else { octets.clone() };
            // What a mumbler sends undamaged may have been forestalled by a damaged copy.
            self.schedule(delay, Due::Arrival { from, at: to, octets, damaged: mumbles });
        }
    }

    fn mumbles(&self, who: Who) -> bool {
        matches!(who, Who::Phone(index) if self.phones[index].habit == Habit::Mumbles)
    }

    /// A datagram reaches the service.
    fn hand_in(&mut self, from: SocketAddr, octets: &Bytes, damaged: bool) {
        self.report.datagrams += 1;
        let flow = Flow { transport: Transport::Udp, local: service(), remote: from };
        self.trace(|| format!("{from} → {}", first_line(octets)));
        if let Ok(message) = Message::parse(octets) {
            match message.status() {
                Some(_) => self.requests.response_in(&message),
                None => self.answers.request_in(self.now, from, &message, damaged),
            }
        }
        self.service.handle_datagram(self.now, flow, octets);
    }

    /// Takes out of the service what it sends and tells, and looks at its size.
    fn attend_service(&mut self) {
        let queued = self.service.held().outputs;
        assert!(queued <= self.limits.max_queued_outputs, "{queued} outputs wait");
        while let Some(transmit) = self.service.poll_transmit() {
            self.send_from_service(transmit.flow, &transmit.bytes);
        }
        while let Some(event) = self.service.poll_event() {
            self.trace(|| format!("event {event:?}"));
            self.calls.told(self.now, &event);
            for (after, id, order) in desk::decide(&mut self.chance, &event) {
                self.schedule(after, Due::Order(id, order));
            }
        }
        let held = self.service.held();
        assert!(held.sessions <= self.limits.max_sessions, "{held:?}");
        let most = self.limits.max_server_transactions + self.limits.max_client_transactions;
        assert!(held.transactions <= most, "{held:?}");
        self.report.most_open = self.report.most_open.max(self.calls.open());
    }

    fn send_from_service(&mut self, flow: Flow, octets: &Bytes) {
        assert_eq!(flow.local, service());
        let to = flow.remote;
        self.trace(|| format!("{to} ← {}", first_line(octets)));
        (to, &octets[..]).hash(&mut self.digest);
        let who = self.addresses.get(&to).copied();
        // The peer of a damaged message may be anyone, and what is echoed to it anything.
        let Some(who) = who else { return assert!(self.has_damage, "sent to a stranger, {to}") };
        let echoes_damage = self.mumbles(who);
        if !echoes_damage {
            self.witnesses.hear(octets);
        }
        let message = Message::parse(octets).expect("reads");
        match message.status() {
            Some(_) => self.answers.response_out(self.now, to, &message, echoes_damage),
            None => self.requests.request_out(self.now, octets, &message),
        }
        self.carry(service(), who, octets.clone());
    }

    fn attend_exchange(&mut self, index: usize) {
        while let Some(transmit) = self.exchanges[index].endpoint.poll_transmit() {
            assert_eq!(transmit.flow, self.exchanges[index].flow, "an exchange sends elsewhere");
            self.witnesses.hear(&transmit.bytes);
            self.carry(transmit.flow.local, Who::Service, transmit.bytes);
        }
        let deeds = self.exchanges[index].listen(&mut self.chance);
        self.plan_deeds(index, deeds);
    }

    fn finish(mut self) -> Report {
        self.calls.finish();
        let count = |counter| self.service.counters().get(counter);
        self.answers.finish(count(Counter::DroppedNoTransaction) + count(Counter::DroppedQueueFull));
        assert_eq!(self.service.held(), Held::default(), "the service has something left");
        for exchange in &self.exchanges {
            for told in exchange.assert_finished() {
                *self.report.callers_told.entry(told).or_default() += 1;
            }
        }
        for (counter, count) in self.service.counters().iter() {
            self.report.counters.insert(counter.name(), count);
        }
        Report {
            calls: self.calls.count(),
            ends: self.calls.ends,
            final_classes: self.answers.classes,
            messages_read: self.witnesses.count(),
            digest: self.digest.finish(),
            ..self.report
        }
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>10.3} s  {}", self.now.duration_since(self.start).as_secs_f64(), line());
        }
    }
}

fn service() -> SocketAddr {
    SERVICE.parse().expect("an address")
}

fn first_line(octets: &[u8]) -> String {
    let line = octets.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let text = Message::parse(octets).ok().and_then(|message| {
        let cseq = message.cseq().ok()?;
        Some(format!(" ({} {}, {})", cseq.number, cseq.method, message.call_id().ok()?.escape_ascii()))
    });
    format!("{}{}", line.escape_ascii(), text.unwrap_or_default())
}

/// Changes, removes or repeats a few octets.
fn damage(chance: &mut Chance, octets: &[u8]) -> Bytes {
    let mut octets = octets.to_vec();
    for _ in 0..chance.between(1, 3) {
        let length = u64::try_from(octets.len()).expect("a length");
        let at = usize::try_from(chance.below(length)).expect("an index");
        let to = (at + usize::try_from(chance.between(1, 12)).expect("a length")).min(octets.len());
        match chance.below(4) {
            0 => octets[at] = u8::try_from(chance.below(256)).expect("an octet"),
            1 => drop(octets.drain(at..to)),
            2 => {
                let again = octets[at..to].to_vec();
                octets.splice(at..at, again);
            }
            _ => octets.truncate(at.max(1)),
        }
        if octets.is_empty() {
            break;
        }
    }
    octets.into()
}
