//! How many calls come to a good end when more come than the service can take: callers and a service that needs time for
//! each message, in virtual time. The costs are in the ratio that `benches/overload.rs` measures.

use super::*;
use crate::sip::overload::Settings;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// What a call costs that is answered: its legs, its record, its media.
const CALL_COST: Duration = Duration::from_millis(8);
/// What any other message costs.
const MESSAGE_COST: Duration = Duration::from_micros(40);
/// Datagrams that the system keeps for us.
const SOCKET_QUEUE_MAX: usize = 3_000;
/// New calls a second that the service is set to take: four fifths of what it could do if nothing else came.
const RATE: u32 = 100;
/// How long calls come.
const LOAD: Duration = Duration::from_secs(20);
/// How long an answered call lasts.
const HOLD: Duration = Duration::from_secs(2);
/// How long a caller waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
const T1: Duration = Duration::from_millis(500);
/// The way of a message.
const DELAY: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Call(usize),
    ToService(Vec<u8>),
    ToCaller(Vec<u8>),
    /// A request of a caller goes out again unless it was answered.
    Again {
        call: usize,
        interval: Duration,
    },
    GiveUp(usize),
    HangUp(usize),
    ServiceFree,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The INVITE waits for any response.
    Inviting,
    /// A provisional response came.
    Trying,
    Talking {
        ok: String,
    },
    /// The BYE waits for its answer.
    Ending {
        bye: Vec<u8>,
    },
    Good,
    Refused,
    Lost,
}

struct World {
    now: Instant,
    endpoint: Endpoint,
    queue: VecDeque<Vec<u8>>,
    busy: bool,
    due: BinaryHeap<Reverse<(Instant, u64, Due)>>,
    order: u64,
    calls: BTreeMap<usize, State>,
}

impl World {
    fn new(overload: Settings) -> Self {
        let limits = Limits { max_server_transactions: 1 << 20, ..Limits::default() };
        Self {
            now: Clock::system().instant(),
            endpoint: Endpoint::new(EndpointConfig { overload, limits, ..EndpointConfig::new([4; 32]) }),
            queue: VecDeque::new(),
            busy: false,
            due: BinaryHeap::new(),
            order: 0,
            calls: BTreeMap::new(),
        }
    }

    fn schedule(&mut self, after: Duration, due: Due) {
        self.order += 1;
        self.due.push(Reverse((self.now + after, self.order, due)));
    }

    fn invite(number: usize) -> String {
        invite(Some(SDP)).replace("call-1", &format!("c{number}")).replace("INVITE-1", &format!("i{number}"))
    }

    fn in_call(number: usize, ok: &str, method: &str, cseq: u32) -> Vec<u8> {
        let request = within(ok, method, cseq, "").replace("call-1", &format!("c{number}"));
        request.replace("-d\r\n", &format!("-d{number}\r\n")).into_bytes()
    }

    /// Calls of `a_second` for [`LOAD`]: of those that came in the second half, when queues are as full as they become,
    /// how many came to a good end, to as many as the service is to take.
    fn goodput(mut self, a_second: u32) -> f64 {
        let start = self.now;
        let calls = a_second * u32::try_from(LOAD.as_secs()).expect("short");
        for number in 0..calls {
            self.schedule(LOAD * number / calls, Due::Call(number as usize));
        }
        let end = start + LOAD + Duration::from_secs(60);
        loop {
            let next_due = self.due.peek().map(|Reverse((at, _, _))| *at);
            let timer = self.endpoint.poll_timeout().filter(|_| !self.busy);
            let Some(next) = [next_due, timer].into_iter().flatten().min().filter(|at| *at < end) else {
                break;
            };
            self.now = self.now.max(next);
            if next_due == Some(next) {
                let Some(Reverse((_, _, due))) = self.due.pop() else { break };
                self.perform(due);
            } else {
                self.endpoint.handle_timeout(self.now);
                self.work(Duration::ZERO);
            }
        }
        let second_half = self.calls.range(calls as usize / 2..);
        let good = second_half.filter(|(_, state)| **state == State::Good).count();
        good as f64 / (f64::from(RATE) * LOAD.as_secs_f64() / 2.0)
    }

    fn perform(&mut self, due: Due) {
        match due {
            Due::Call(number) => {
                self.calls.insert(number, State::Inviting);
                self.schedule(DELAY, Due::ToService(Self::invite(number).into_bytes()));
                self.schedule(T1, Due::Again { call: number, interval: T1 });
                self.schedule(PATIENCE, Due::GiveUp(number));
            }
            Due::Again { call, interval } => {
                let again = match &self.calls[&call] {
                    State::Inviting => Self::invite(call).into_bytes(),
                    State::Ending { bye } => bye.clone(),
                    _ => return,
                };
                self.schedule(DELAY, Due::ToService(again));
                self.schedule(interval * 2, Due::Again { call, interval: interval * 2 });
            }
            Due::GiveUp(call) => {
                if let Some(state @ (State::Inviting | State::Trying)) = self.calls.get_mut(&call) {
                    *state = State::Lost;
                }
            }
            Due::HangUp(call) => {
                let State::Talking { ok } = &self.calls[&call] else { return };
                let bye = Self::in_call(call, ok, "BYE", 2);
                self.calls.insert(call, State::Ending { bye: bye.clone() });
                self.schedule(DELAY, Due::ToService(bye));
                self.schedule(T1, Due::Again { call, interval: T1 });
            }
            Due::ToService(datagram) => {
                if self.queue.len() < SOCKET_QUEUE_MAX {
                    self.queue.push_back(datagram);
                }
                self.serve();
            }
            Due::ServiceFree => {
                self.busy = false;
                self.serve();
            }
            Due::ToCaller(message) => self.hear(&String::from_utf8_lossy(&message)),
        }
    }

    /// Takes the next datagram, if the service is free.
    fn serve(&mut self) {
        if self.busy {
            return;
        }
        if let Some(datagram) = self.queue.pop_front() {
            self.endpoint.handle_datagram(self.now, flow(), &datagram);
            self.work(MESSAGE_COST);
        }
    }

    /// Performs what the endpoint reports; the service is busy for as long as that takes.
    fn work(&mut self, mut cost: Duration) {
        while let Some(event) = self.endpoint.poll_event() {
            if let Event::Invite(invite) = event {
                cost += CALL_COST;
                self.endpoint.accept(self.now, invite.session, OUR_SDP.into()).expect("accepted");
            }
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.schedule(cost + DELAY, Due::ToCaller(transmit.bytes.to_vec()));
        }
        if cost > Duration::ZERO {
            self.busy = true;
            self.schedule(cost, Due::ServiceFree);
        }
    }

    fn hear(&mut self, message: &str) {
        let Some(call) = field(message, "Call-ID").and_then(|id| id.strip_prefix('c')?.parse().ok()) else {
            return;
        };
        let (status, cseq) =
            (first_line(message).split(' ').nth(1).unwrap_or_default(), field(message, "CSeq"));
        let Some(state) = self.calls.get(&call).cloned() else { return };
        match (state, status, cseq) {
            (State::Inviting, "100", _) => drop(self.calls.insert(call, State::Trying)),
            (State::Inviting | State::Trying, "200", Some("1 INVITE")) => {
                self.schedule(DELAY, Due::ToService(Self::in_call(call, message, "ACK", 1)));
                self.calls.insert(call, State::Talking { ok: message.to_owned() });
                self.schedule(HOLD, Due::HangUp(call));
            }
            (State::Talking { .. } | State::Ending { .. }, "200", Some("1 INVITE")) => {
                self.schedule(DELAY, Due::ToService(Self::in_call(call, message, "ACK", 1)));
            }
            (State::Inviting | State::Trying | State::Refused, "503", _) => {
                let ack = Self::invite(call).replace("INVITE", "ACK").replace(SDP, "");
                let ack = ack.replace(&format!("Content-Length: {}", SDP.len()), "Content-Length: 0");
                self.schedule(DELAY, Due::ToService(ack.into_bytes()));
                self.calls.insert(call, State::Refused);
            }
            (State::Ending { .. }, "200", Some("2 BYE")) => drop(self.calls.insert(call, State::Good)),
            _ => {}
        }
    }
}

#[test]
fn at_ten_times_the_capacity_nine_in_ten_of_it_come_to_a_good_end() {
    let limited = || Settings { max_calls_per_s: Some(RATE), call_burst: RATE / 10, ..Settings::open() };
    for (times, least) in [(1, 0.99), (10, 0.9)] {
        let goodput = World::new(limited()).goodput(RATE * times);
        eprintln!("{times} × the capacity: {goodput:.3} of it");
        assert!(goodput >= least, "{times} × the capacity: {goodput:.3} of it");
    }
    // The test can fail: without a limit nearly all calls are lost, since the service does its work for callers who
    // have gone, and their BYEs wait behind new calls.
    let goodput = World::new(Settings::open()).goodput(RATE * 10);
    eprintln!("10 × the capacity without a limit: {goodput:.3} of it");
    assert!(goodput < 0.5, "{goodput:.3}");
}
