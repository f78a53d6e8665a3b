//! What a call costs in the endpoint alone: INVITE, 100, 200, ACK, BYE, 200, with the timers that run out meanwhile.
//! Run with `cargo bench --bench sip_endpoint`.
//!
//! Calls come in batches at 100 a second of virtual time, so that the tables hold what the calls of the last 32 seconds
//! left. Only the endpoint is measured: the peer's messages are made beforehand. The best of many batches is printed,
//! since whatever else the machine does can only make a batch slower.

use klikon::sip::endpoint::{Endpoint, EndpointConfig, Event};
use klikon::sip::message::{HeaderName, Message};
use klikon::sip::session::SessionId;
use klikon::sip::transport::{Flow, Transport};
use klikon::units::clock::Clock;
use std::time::{Duration, Instant};

const INVITE: &str = include_str!("../sip-tests/messages/invite.sip");
const ANSWER: &[u8] = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n";

const BATCHES: u32 = 60;
const CALLS_A_BATCH: u32 = 500;
/// Virtual time that a batch takes.
const BATCH_TIME: Duration = Duration::from_secs(5);

fn main() {
    let clock = Clock::system();
    let mut bench = Bench {
        endpoint: Endpoint::new(EndpointConfig::new([1; 32])),
        now: clock.instant(),
        clock,
        spent: Duration::ZERO,
        next_call: 0,
    };
    let mut best = Duration::MAX;
    for _ in 0..BATCHES {
        bench.spent = Duration::ZERO;
        bench.batch();
        best = best.min(bench.spent);
    }
    let allocations = allocation_counter::measure(|| bench.batch()).count_total;
    println!(
        "a call: {:.1} µs; {} transactions held; at most {} allocations, the peer's included",
        best.as_secs_f64() * 1e6 / f64::from(CALLS_A_BATCH),
        bench.endpoint.transaction_count(),
        allocations / u64::from(CALLS_A_BATCH),
    );
    memory(clock);
}

/// Calls that are held at once for the figures of memory.
const CALLS_HELD: u32 = 6_000;

/// What a call holds while it stands and after it has ended, its transactions and its part of the tables included.
fn memory(clock: Clock) {
    let new = || {
        let endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
        Bench { endpoint, now: clock.instant(), clock, spent: Duration::ZERO, next_call: 0 }
    };
    let (mut at_once, mut in_turn) = (new(), new());
    let standing =
        allocation_counter::measure(|| (0..CALLS_HELD).for_each(|number| drop(at_once.stand(number))));
    let ended = allocation_counter::measure(|| {
        for number in 0..CALLS_HELD {
            let ok = in_turn.stand(number);
            in_turn.hand_in(&[within(&ok, number, "BYE", 2)]);
        }
    });
    let held = |bench: &Bench| (bench.endpoint.session_count(), bench.endpoint.transaction_count());
    let calls = CALLS_HELD as usize;
    assert_eq!((held(&at_once), held(&in_turn)), ((calls, calls), (0, 2 * calls)));
    println!(
        "a call that stands: {} octets; one that has ended, for 32 s: {} octets",
        standing.bytes_current / i64::from(CALLS_HELD),
        ended.bytes_current / i64::from(CALLS_HELD)
    );
}

struct Bench {
    endpoint: Endpoint,
    now: Instant,
    clock: Clock,
    /// In the endpoint, in this batch.
    spent: Duration,
    next_call: u32,
}

impl Bench {
    fn flow() -> Flow {
        let (local, remote) = (([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 9], 5060).into());
        Flow { transport: Transport::Udp, local, remote }
    }

    /// Hands datagrams in and takes everything out.
    fn hand_in(&mut self, datagrams: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<SessionId>) {
        let (mut sent, mut calls) = (vec![], vec![]);
        for datagram in datagrams {
            let start = self.clock.instant();
            self.endpoint.handle_datagram(self.now, Self::flow(), datagram);
            self.take_out(start, &mut sent, &mut calls);
        }
        (sent, calls)
    }

    fn take_out(&mut self, start: Instant, sent: &mut Vec<Vec<u8>>, calls: &mut Vec<SessionId>) {
        let transmits: Vec<_> = std::iter::from_fn(|| self.endpoint.poll_transmit()).collect();
        let events: Vec<_> = std::iter::from_fn(|| self.endpoint.poll_event()).collect();
        self.spent += self.clock.instant() - start;
        sent.extend(transmits.iter().map(|transmit| transmit.bytes.to_vec()));
        calls.extend(events.iter().filter_map(|event| match event {
            Event::Invite(invite) => Some(invite.session),
            _ => None,
        }));
    }

    /// A call that is answered and acknowledged; gives the 200.
    fn stand(&mut self, number: u32) -> Vec<u8> {
        let (_, calls) = self.hand_in(&[invite(number)]);
        assert_eq!(self.endpoint.accept(self.now, calls[0], ANSWER.to_vec()), Ok(()));
        let (start, mut sent) = (self.clock.instant(), vec![]);
        self.take_out(start, &mut sent, &mut vec![]);
        self.hand_in(&[within(&sent[0], number, "ACK", 1)]);
        sent.swap_remove(0)
    }

    fn batch(&mut self) {
        let numbers: Vec<u32> = (self.next_call..self.next_call + CALLS_A_BATCH).collect();
        self.next_call += CALLS_A_BATCH;
        let invites: Vec<Vec<u8>> = numbers.iter().map(|number| invite(*number)).collect();
        let (tryings, calls) = self.hand_in(&invites);
        assert_eq!((tryings.len(), calls.len()), (invites.len(), invites.len()));
        let mut oks = vec![];
        for call in &calls {
            let start = self.clock.instant();
            let accepted = self.endpoint.accept(self.now, *call, ANSWER.to_vec());
            assert_eq!(accepted, Ok(()));
            self.take_out(start, &mut oks, &mut vec![]);
        }
        let acks: Vec<_> =
            oks.iter().zip(&numbers).map(|(ok, number)| within(ok, *number, "ACK", 1)).collect();
        assert!(self.hand_in(&acks).0.is_empty());
        let byes: Vec<_> =
            oks.iter().zip(&numbers).map(|(ok, number)| within(ok, *number, "BYE", 2)).collect();
        assert_eq!(self.hand_in(&byes).0.len(), byes.len());
        assert_eq!(self.endpoint.session_count(), 0);
        let end = self.now + BATCH_TIME;
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            let start = self.clock.instant();
            self.endpoint.handle_timeout(at);
            self.spent += self.clock.instant() - start;
        }
        self.now = end;
    }
}

/// The INVITE of call `number`: a Call-ID and a branch of its own.
fn invite(number: u32) -> Vec<u8> {
    let message = Message::parse(INVITE.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let (Ok(call_id), Ok(via)) = (message.call_id(), message.top_via()) else { panic!("no Call-ID or Via") };
    let branch = text(via.branch().unwrap_or_default());
    INVITE
        .replace(&text(call_id), &format!("{number}-{}", text(call_id)))
        .replace(&branch, &format!("{branch}{number}"))
        .into_bytes()
}

/// A request of the peer within the dialog that `ok` made.
fn within(ok: &[u8], number: u32, method: &str, cseq: u32) -> Vec<u8> {
    let message = Message::parse(ok).unwrap_or_else(|error| panic!("{error}"));
    let value = |name| String::from_utf8_lossy(message.values(name).next().unwrap_or_default()).into_owned();
    format!(
        "{method} sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nContent-Length: 0\r\n\r\n",
        value(HeaderName::From),
        value(HeaderName::To),
        value(HeaderName::CallId),
        message.cseq().map_or(0, |first| first.number + cseq - 1),
    )
    .into_bytes()
}
