//! The thread that moves octets between sockets and sessions, and nothing else.

use super::event::{MediaEvent, Statistics};
use super::listener::Recording;
use super::playout::Element;
use super::session::{MAX_TRANSMIT_OCTETS, Session};
use super::settings::DigitTiming;
use super::wheel::{Entry, Phase, Wheel};
use crate::units::clock::Clock;
use crate::units::rtp::StreamParameters;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// The waker's token; no slab grows that far.
pub const WAKER: Token = Token(usize::MAX);
/// Datagrams that are read from one socket before the others have their turn.
const MAX_READS: usize = 32;
/// Readiness events taken at once.
const MAX_EVENTS: usize = 1_024;
/// Room for a datagram: more than any packet that is taken, so that a longer one shows.
const DATAGRAM_OCTETS: usize = 2_048;

/// What a stream's handle asks of its worker.
pub enum Command {
    Open(Box<Opening>),
    Start(u64, StreamParameters),
    Play { stream: u64, play_id: u64, elements: Vec<Element>, bargein: bool },
    Stop(u64),
    KeysElsewhere(u64, bool),
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
}

struct Call {
    stream: u64,
    socket: UdpSocket,
    port: u16,
    session: Session,
    events: mpsc::Sender<MediaEvent>,
    closed: Arc<AtomicBool>,
    phase: Option<Phase>,
}

impl Call {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
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
    ) -> Self {
        Self {
            poll,
            commands,
            stopping,
            released,
            counters,
            clock,
            calls: Slab::new(),
            keys: HashMap::new(),
            wheel: Wheel::new(clock.instant()),
            due: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(MAX_EVENTS);
        while !self.stopping.load(Ordering::Acquire) {
            let timeout = self.timeout();
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the media worker cannot wait for packets");
                return;
            }
            self.commands();
            for key in std::mem::take(&mut self.unread) {
                self.receive(key);
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                self.receive(event.token().0);
            }
            self.transmit();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.unread.is_empty() {
            return Some(Duration::ZERO);
        }
        self.wheel.next().map(|next| next.saturating_duration_since(self.clock.instant()))
    }

    fn commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Open(opening) => self.open(*opening),
                Command::Start(stream, parameters) => self.start(stream, parameters),
                Command::Play { stream, play_id, elements, bargein } => {
                    self.with(stream, |session| session.play(play_id, elements, bargein));
                }
                Command::Stop(stream) => self.with(stream, Session::stop),
                Command::KeysElsewhere(stream, elsewhere) => {
                    self.with(stream, |session| session.set_keys_elsewhere(elsewhere));
                }
                Command::SendDigits(stream, digits, timing) => {
                    self.with(stream, |session| session.send_digits(&digits, timing));
                }
                Command::Close(stream) => drop(self.close(stream)),
                Command::Finish(stream, reply) => {
                    if let Some(session) = self.close(stream) {
                        let statistics = session.statistics();
                        // A caller that no longer waits needs no summary.
                        let _ = reply.send(Summary { statistics, recording: session.into_recording() });
                    }
                }
            }
        }
    }

    fn with(&mut self, stream: u64, act: impl FnOnce(&mut Session)) {
        let call = self.keys.get(&stream).and_then(|&key| self.calls.get_mut(key));
        if let Some(call) = call {
            act(&mut call.session);
            call.deliver();
        }
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
        entry.insert(Call { stream, socket, port, session, events, closed, phase: None });
        self.keys.insert(stream, key);
        self.counters.streams.fetch_add(1, Ordering::Relaxed);
    }

    fn start(&mut self, stream: u64, parameters: StreamParameters) {
        let Some(&key) = self.keys.get(&stream) else { return };
        let Some(call) = self.calls.get_mut(key) else { return };
        let now = self.clock.instant();
        if call.phase.is_some() {
            call.session.start(now, parameters);
            return;
        }
        let (phase, first) = self.wheel.enter(now);
        call.phase = Some(phase);
        call.session.start(first, parameters);
        self.wheel.schedule((key, stream), first);
    }

    fn close(&mut self, stream: u64) -> Option<Session> {
        let key = self.keys.remove(&stream)?;
        let mut call = self.calls.try_remove(key)?;
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
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
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
        let mut buffer = [0; MAX_TRANSMIT_OCTETS];
        for (key, stream) in due.drain(..) {
            let Some(call) = self.calls.get_mut(key).filter(|call| call.stream == stream) else { continue };
            if call.is_closed() {
                // A handle that wants the summary has said so before it set the flag.
                self.commands();
                self.close(stream);
                continue;
            }
            let now = self.clock.instant();
            while let Some(transmit) = call.session.poll_transmit(now, &mut buffer) {
                let octets = buffer.get(..transmit.octets).unwrap_or_default();
                if call.socket.send_to(octets, transmit.remote).is_err() {
                    self.counters.send_errors.fetch_add(1, Ordering::Relaxed);
                }
            }
            call.deliver();
            if let Some(deadline) = call.session.deadline() {
                self.wheel.schedule((key, stream), deadline);
            }
        }
        self.due = due;
    }
}
