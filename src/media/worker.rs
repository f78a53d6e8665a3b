//! The thread that moves octets between sockets and sessions, and nothing else.

use super::alarm::Alarm;
use super::audio_filter::audio_filter;
use super::event::{MediaEvent, Statistics};
use super::fork::Fork;
use super::listener::Recording;
use super::playout::Element;
use super::session::{MAX_RTCP_OCTETS, MAX_TRANSMIT_OCTETS, Session};
use super::settings::DigitTiming;
use super::webrtc::{DATAGRAM_OCTETS, WebRtcStatistics};
use super::wheel::{Entry, Phase, Wheel};
use crate::units::clock::Clock;
use crate::units::rtp::StreamParameters;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Registry, Token};
use slab::Slab;
use socket2::SockRef;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The waker's token; no slab grows that far.
pub const WAKER: Token = Token(usize::MAX);
/// The alarm's.
const ALARM: Token = Token(usize::MAX - 1);
/// Set in the token of a call's RTCP socket beside its key.
const RTCP: usize = 1 << (usize::BITS - 2);
/// Datagrams that are read from one socket before the others have their turn.
const MAX_READS: usize = 32;
/// Readiness events taken at once.
const MAX_EVENTS: usize = 1_024;

/// What a stream's handle asks of its worker.
pub enum Command {
    Open(Box<Opening>),
    Start(u64, StreamParameters),
    Play { stream: u64, play_id: u64, elements: Vec<Element>, bargein: bool },
    Stop(u64),
    KeysElsewhere(u64, bool),
    Fork(u64, Option<Box<Fork>>),
    SendDigits(u64, String, DigitTiming),
    Close(u64),
    Finish(u64, oneshot::Sender<Summary>),
}

/// A call that joins a worker.
pub struct Opening {
    pub stream: u64,
    pub socket: std::net::UdpSocket,
    pub port: u16,
    pub session: Session,
    pub events: mpsc::Sender<MediaEvent>,
    pub closed: Arc<AtomicBool>,
}

/// What is left of a stream when it is finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// What was counted.
    pub statistics: Statistics,
    /// What was heard, where the stream listened.
    pub recording: Option<Recording>,
    /// What became of checks and handshakes, where the keys came by one.
    pub webrtc: Option<WebRtcStatistics>,
}

/// Sums over all streams that a worker has closed, and its own counts.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    pub transmitted: AtomicU64,
    pub received: AtomicU64,
    pub dropped: AtomicU64,
    pub send_errors: AtomicU64,
    pub events_lost: AtomicU64,
    pub streams: AtomicU64,
    pub sent_within_1_ms: AtomicU64,
    pub sent_within_20_ms: AtomicU64,
    pub sent_later: AtomicU64,
    pub checks_answered: AtomicU64,
    pub checks_refused: AtomicU64,
    pub checks_malformed: AtomicU64,
    pub handshakes_deferred: AtomicU64,
    pub handshakes_completed: AtomicU64,
    pub handshakes_failed: AtomicU64,
    pub fingerprints_wrong: AtomicU64,
}

impl WorkerCounters {
    /// A packet goes out so long after its deadline.
    fn sent(&self, lateness: Duration) {
        let class = match lateness.as_micros() {
            0..=1_000 => &self.sent_within_1_ms,
            1_001..=20_000 => &self.sent_within_20_ms,
            _ => &self.sent_later,
        };
        class.fetch_add(1, Ordering::Relaxed);
    }

    /// What a stream that is closed has counted.
    fn add_webrtc(&self, counted: &WebRtcStatistics) {
        for (sum, counted) in [
            (&self.checks_answered, counted.checks_answered),
            (&self.checks_refused, counted.checks_refused),
            (&self.checks_malformed, counted.checks_malformed),
            (&self.handshakes_deferred, counted.handshakes_deferred),
            (&self.handshakes_completed, counted.handshakes_completed),
            (&self.handshakes_failed, counted.handshakes_failed),
            (&self.fingerprints_wrong, counted.fingerprints_wrong),
        ] {
            sum.fetch_add(counted, Ordering::Relaxed);
        }
    }
}

struct Call {
    stream: u64,
    socket: UdpSocket,
    port: u16,
    /// Of RTCP, where it has a port of its own: the one above that of RTP (RFC 3550 §11).
    rtcp: Option<UdpSocket>,
    session: Session,
    events: mpsc::Sender<MediaEvent>,
    closed: Arc<AtomicBool>,
    phase: Option<Phase>,
    /// The number of its entry on the wheel; entries with other numbers are of deadlines that were brought forward.
    turn: u64,
    /// The payload type of the audio that the kernel drops.
    filtered: Option<u8>,
}

impl Call {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets the kernel drop the audio that the session needs no longer, or not.
    fn set_filter(&mut self) {
        let wanted = self.session.unheard_payload_type();
        if self.filtered == wanted {
            return;
        }
        let socket = SockRef::from(&self.socket);
        let set = match wanted {
            Some(payload_type) => socket.attach_filter(&audio_filter(payload_type)),
            None => socket.detach_filter(),
        };
        // Without a filter the call goes on, at more cost.
        let filtered = set.is_ok() && wanted.is_some();
        self.session.set_sampled(filtered);
        self.filtered = wanted;
    }

    /// Sends a report, by the port of RTCP where there is one, else by that of RTP.
    fn send_report(&self, octets: &[u8], remote: SocketAddr) {
        let socket = self.rtcp.as_ref().unwrap_or(&self.socket);
        // A report that is lost is made up for by the next one.
        let _ = socket.send_to(octets, remote);
    }

    /// Opens the port of RTCP where it needs one, next to that of RTP. Where another program has it, reports are sent from
    /// the port of RTP, and none are read.
    fn open_rtcp(&mut self, registry: &Registry, key: usize) {
        if self.rtcp.is_some() || !self.session.has_rtcp_port() {
            return;
        }
        let next = |local: SocketAddr| Some(SocketAddr::new(local.ip(), local.port().checked_add(1)?));
        let socket =
            self.socket.local_addr().ok().and_then(next).and_then(|local| UdpSocket::bind(local).ok());
        self.rtcp = socket.and_then(|mut socket| {
            registry.register(&mut socket, Token(key | RTCP), Interest::READABLE).ok().map(|()| socket)
        });
    }

    fn receive_rtcp(&mut self, now: Instant) {
        let Some(socket) = &self.rtcp else { return };
        let mut datagram = [0; DATAGRAM_OCTETS];
        // What is left after so many is read with the next: reports are few, and a flood of them is not for us.
        for _ in 0..MAX_READS {
            match socket.recv_from(&mut datagram) {
                Ok((length, source)) => {
                    self.session.handle_rtcp(now, source, datagram.get(..length).unwrap_or_default());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
        }
    }

    /// Sends what is due.
    fn transmit(&mut self, clock: Clock, counters: &WorkerCounters) {
        let now = clock.instant();
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        while let Some(transmit) = self.session.poll_transmit(now, &mut buffer) {
            let octets = buffer.get(..transmit.octets).unwrap_or_default();
            counters.sent(now.saturating_duration_since(transmit.due));
            if self.socket.send_to(octets, transmit.remote).is_err() {
                counters.send_errors.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut buffer = [0; MAX_RTCP_OCTETS];
        if let Some(transmit) = self.session.poll_rtcp(now, &mut buffer) {
            self.send_report(buffer.get(..transmit.octets).unwrap_or_default(), transmit.remote);
        }
        if self.session.has_handshake() {
            self.shake_hands(now);
        }
        self.deliver();
    }

    /// Goes on with the handshake of a call's keys, in the call's turn.
    fn shake_hands(&mut self, now: Instant) {
        let mut buffer = [0; DATAGRAM_OCTETS];
        while let Some((remote, octets)) = self.session.poll_handshake(now, &mut buffer) {
            // One that is lost is repeated.
            let _ = self.socket.send_to(buffer.get(..octets).unwrap_or_default(), remote);
        }
    }

    /// Hands over what the session reports. What the call has no room for waits in the session's own bounded queue.
    fn deliver(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.session.return_event(event);
                    return;
                }
                // The call no longer listens; its close is on the way.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }
}

/// A worker's state; [`Worker::run`] is the thread.
pub struct Worker {
    pub poll: Poll,
    pub commands: Receiver<Command>,
    pub stopping: Arc<AtomicBool>,
    pub released: Sender<(Instant, u16)>,
    pub counters: Arc<WorkerCounters>,
    pub clock: Clock,
    calls: Slab<Call>,
    keys: HashMap<u64, usize>,
    wheel: Wheel,
    alarm: Alarm,
    /// Entries that were put on the wheel so far.
    turns: u64,
    due: Vec<Entry>,
    /// Sockets that may hold more than was read in their turn.
    unread: Vec<usize>,
}

impl Worker {
    pub fn new(
        poll: Poll,
        commands: Receiver<Command>,
        stopping: Arc<AtomicBool>,
        released: Sender<(Instant, u16)>,
        counters: Arc<WorkerCounters>,
        clock: Clock,
    ) -> io::Result<Self> {
        Ok(Self {
            alarm: Alarm::new(poll.registry(), ALARM)?,
            poll,
            commands,
            stopping,
            released,
            counters,
            clock,
            calls: Slab::new(),
            keys: HashMap::new(),
            wheel: Wheel::new(clock.instant()),
            turns: 0,
            due: Vec::new(),
            unread: Vec::new(),
        })
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(MAX_EVENTS);
        while !self.stopping.load(Ordering::Acquire) {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!(%error, "the media worker cannot wait for packets");
                return;
            }
            self.commands();
            for key in std::mem::take(&mut self.unread) {
                self.receive(key);
            }
            for event in &events {
                match event.token() {
                    WAKER => {}
                    ALARM => self.alarm.rang(),
                    Token(key) if key & RTCP != 0 => {
                        let now = self.clock.instant();
                        if let Some(call) = self.calls.get_mut(key & !RTCP) {
                            call.receive_rtcp(now);
                        }
                    }
                    Token(key) => self.receive(key),
                }
            }
            self.transmit();
        }
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let next = self.wheel.next();
        let at_once = !self.unread.is_empty() || next.is_some_and(|next| next <= self.clock.instant());
        if !at_once {
            self.alarm.set(self.clock, next)?;
        }
        match self.poll.poll(events, at_once.then_some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Open(opening) => self.open(*opening),
                Command::Start(stream, parameters) => self.start(stream, parameters),
                Command::Play { stream, play_id, elements, bargein } => {
                    self.with(stream, |session| session.play(play_id, elements, bargein));
                    self.begin_at_once(stream);
                }
                Command::Stop(stream) => self.with(stream, Session::stop),
                Command::KeysElsewhere(stream, elsewhere) => {
                    self.with(stream, |session| session.set_keys_elsewhere(elsewhere));
                }
                Command::Fork(stream, fork) => self.fork(stream, fork),
                Command::SendDigits(stream, digits, timing) => {
                    self.with(stream, |session| session.send_digits(&digits, timing));
                }
                Command::Close(stream) => drop(self.close(stream)),
                Command::Finish(stream, reply) => {
                    if let Some(session) = self.close(stream) {
                        let statistics = session.statistics();
                        // A caller that no longer waits needs no summary.
                        let webrtc = session.webrtc_statistics();
                        let recording = session.into_recording();
                        let _ = reply.send(Summary { statistics, recording, webrtc });
                    }
                }
            }
        }
    }

    fn fork(&mut self, stream: u64, fork: Option<Box<Fork>>) {
        let Some(&key) = self.keys.get(&stream) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        call.session.set_fork(fork);
        // Whether the peer's audio is listened to has changed.
        call.set_filter();
    }

    fn with(&mut self, stream: u64, act: impl FnOnce(&mut Session)) {
        let call = self.keys.get(&stream).and_then(|&key| self.calls.get_mut(key));
        if let Some(call) = call {
            act(&mut call.session);
            call.deliver();
        }
    }

    /// Sends the first packet of a prompt that follows silence, unless many would do so in the same millisecond.
    fn begin_at_once(&mut self, stream: u64) {
        let now = self.clock.instant();
        let has_room = self.wheel.has_room(now, self.calls.len());
        let Some(&key) = self.keys.get(&stream).filter(|_| has_room) else { return };
        let Some(call) = self.calls.get_mut(key).filter(|call| !call.is_closed()) else { return };
        if call.session.begin_at_once(now) {
            call.transmit(self.clock, &self.counters);
            self.schedule(key);
        }
    }

    /// Puts a call on the wheel at its deadline; an entry that it has there already counts no longer.
    fn schedule(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some((deadline, phase)) = call.session.deadline().zip(call.phase.as_mut()) else { return };
        self.turns += 1;
        call.turn = self.turns;
        self.wheel.schedule((key, call.turn), deadline, phase);
    }

    fn open(&mut self, opening: Opening) {
        let Opening { stream, socket, port, session, events, closed } = opening;
        let mut socket = UdpSocket::from_std(socket);
        let entry = self.calls.vacant_entry();
        let key = entry.key();
        if let Err(error) = self.poll.registry().register(&mut socket, Token(key), Interest::READABLE) {
            // The call hears nothing of its stream, and its event channel closes.
            tracing::error!(%error, "an RTP socket cannot be watched");
            let _ = self.released.send((self.clock.instant(), port));
            return;
        }
        entry.insert(Call {
            stream,
            socket,
            port,
            rtcp: None,
            session,
            events,
            closed,
            phase: None,
            turn: 0,
            filtered: None,
        });
        self.keys.insert(stream, key);
        self.counters.streams.fetch_add(1, Ordering::Relaxed);
    }

    fn start(&mut self, stream: u64, parameters: StreamParameters) {
        let Some(&key) = self.keys.get(&stream) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        let now = self.clock.instant();
        if call.phase.is_some() {
            call.session.start(now, parameters);
            call.open_rtcp(self.poll.registry(), key);
            call.set_filter();
            return;
        }
        let (phase, first) = self.wheel.enter(now);
        call.phase = Some(phase);
        call.session.start(first, parameters);
        call.open_rtcp(self.poll.registry(), key);
        self.schedule(key);
    }

    fn close(&mut self, stream: u64) -> Option<Session> {
        let key = self.keys.remove(&stream)?;
        let mut call = self.calls.try_remove(key)?;
        let mut buffer = [0; MAX_RTCP_OCTETS];
        if let Some(goodbye) = call.session.goodbye(self.clock.instant(), &mut buffer) {
            call.send_report(buffer.get(..goodbye.octets).unwrap_or_default(), goodbye.remote);
        }
        if let Some(mut rtcp) = call.rtcp.take() {
            let _ = self.poll.registry().deregister(&mut rtcp);
        }
        // Closing the socket would do it too; this keeps the poll's own book right.
        let _ = self.poll.registry().deregister(&mut call.socket);
        drop(call.socket);
        if let Some(phase) = call.phase {
            self.wheel.leave(phase);
        }
        // The pool is gone only when the engine is.
        let _ = self.released.send((self.clock.instant(), call.port));
        let statistics = call.session.statistics();
        let counters = &self.counters;
        counters.transmitted.fetch_add(statistics.transmitted, Ordering::Relaxed);
        counters.received.fetch_add(statistics.received, Ordering::Relaxed);
        counters.dropped.fetch_add(statistics.received - statistics.accepted, Ordering::Relaxed);
        counters.events_lost.fetch_add(statistics.events_lost, Ordering::Relaxed);
        if let Some(counted) = call.session.webrtc_statistics() {
            counters.add_webrtc(&counted);
        }
        counters.streams.fetch_sub(1, Ordering::Relaxed);
        Some(call.session)
    }

    /// Reads what a socket holds; the rest of a flood waits for the next turn.
    fn receive(&mut self, key: usize) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let now = self.clock.instant();
        let mut datagram = [0; DATAGRAM_OCTETS];
        for _ in 0..MAX_READS {
            match call.socket.recv_from(&mut datagram) {
                Ok((length, source)) => {
                    let octets = datagram.get(..length).unwrap_or_default();
                    call.session.handle_packet(now, source, octets);
                    if let Some((remote, answer)) = call.session.poll_answer() {
                        // The peer repeats a check whose answer is lost.
                        let _ = call.socket.send_to(answer.octets(), remote);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    call.set_filter();
                    call.deliver();
                    return;
                }
                // An ICMP error of an earlier packet; the next read goes on.
                Err(_) => {}
            }
        }
        call.deliver();
        self.unread.push(key);
    }

    /// Sends what is due.
    fn transmit(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.take_due(self.clock.instant(), &mut due);
        for (key, turn) in due.drain(..) {
            let Some(call) = self.calls.get_mut(key).filter(|call| call.turn == turn) else { continue };
            if call.is_closed() {
                let stream = call.stream;
                // A handle that wants the summary has said so before it set the flag.
                self.commands();
                self.close(stream);
                continue;
            }
            call.transmit(self.clock, &self.counters);
            self.schedule(key);
        }
        self.due = due;
    }
}
