//! The engine: its threads, and the handles by which calls speak to their streams.

use super::event::MediaEvent;
use super::fork::Fork;
use super::listener::FrameIndex;
use super::playout::Element;
use super::ports::{BindError, PortPool, PortRange};
use super::prompt::PromptLibrary;
use super::session::Session;
use super::settings::{DigitTiming, Identity, Reach, SessionSettings};
use super::webrtc::{Handshakes, HandshakesError};
pub use super::worker::Summary;
use super::worker::{Command, Opening, WAKER, Worker, WorkerCounters};
use crate::units::clock::{self, Clock};
use crate::units::rtp::StreamParameters;
use crate::units::webrtc::Fingerprint;
use mio::{Poll, Waker};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for a worker; further ones are refused.
const MAX_COMMANDS: usize = 4_096;

/// What an engine is started with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineSettings {
    /// Threads, at least 1. Default 1.
    pub workers: usize,
    /// Ports for RTP. `None` (default): the system chooses.
    pub port_range: Option<PortRange>,
    /// How long a port of the range rests before its next call, so that late packets of the last one meet nobody.
    /// Default 5 s.
    pub port_quarantine: Duration,
    /// Streams at the same time. Default 5,000.
    pub max_streams: usize,
    /// Differentiated services code point of what is sent, 0–63. Default 46, expedited forwarding (RFC 4594 §4.1).
    pub dscp: u8,
    /// Whether the keys of a stream may come by a handshake (DTLS-SRTP), for which a certificate is made at the start.
    /// Default false.
    pub webrtc: bool,
    /// What holds for every stream.
    pub session: SessionSettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            workers: 1,
            port_range: None,
            port_quarantine: Duration::from_secs(5),
            max_streams: 5_000,
            dscp: 46,
            webrtc: false,
            session: SessionSettings::default(),
        }
    }
}

/// Why an engine does not start.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No poll, waker or thread to be had.
    #[error("cannot start a media worker")]
    Worker(#[from] io::Error),
    /// No certificate for browsers.
    #[error(transparent)]
    Handshakes(#[from] HandshakesError),
}

/// Why a call gets no stream. All but `Socket` are answered with 503.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Every port is in use or rests.
    #[error("no RTP port is free")]
    PortsExhausted,
    /// As many streams as the settings allow.
    #[error("{0} streams are open, as many as are allowed")]
    TooManyStreams(usize),
    /// The system refused a socket.
    #[error("cannot open an RTP socket")]
    Socket(#[source] io::Error),
    /// The worker does not take the stream.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Why a command did not reach its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// Too many commands wait.
    #[error("the media worker is overloaded")]
    Overloaded,
    /// The engine is gone.
    #[error("the media engine has stopped")]
    Stopped,
}

/// A stream's number, unique within its engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// Sums over an engine's workers. Packets are those of streams that are closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineCounters {
    /// Streams that are open.
    pub streams: u64,
    /// Packets sent.
    pub transmitted: u64,
    /// Datagrams that came.
    pub received: u64,
    /// Of them, dropped.
    pub dropped: u64,
    /// Packets that the system did not take.
    pub send_errors: u64,
    /// Events that were lost since their call did not fetch them.
    pub events_lost: u64,
    /// Packets of all streams that went out within 1 ms of their deadlines. These three classes count while streams run.
    pub sent_within_1_ms: u64,
    /// Later, within 20 ms.
    pub sent_within_20_ms: u64,
    /// Later still.
    pub sent_later: u64,
    /// Of streams that are closed: connectivity checks (RFC 8445) that were answered.
    pub checks_answered: u64,
    /// Likewise refused: without our password, or with what is not known here.
    pub checks_refused: u64,
    /// Datagrams that began like a check and were none.
    pub checks_malformed: u64,
    /// Datagrams of DTLS that were not looked at: from elsewhere, or too many, or too many handshakes under way.
    pub handshakes_deferred: u64,
    /// DTLS handshakes that led to keys.
    pub handshakes_completed: u64,
    /// Those that did not.
    pub handshakes_failed: u64,
    /// Of them, by a certificate that was not that of the session description.
    pub fingerprints_wrong: u64,
}

impl EngineCounters {
    /// Those of browsers' paths and handshakes, by name.
    pub const fn webrtc(&self) -> [(&'static str, u64); 7] {
        [
            ("checks_answered", self.checks_answered),
            ("checks_refused", self.checks_refused),
            ("checks_malformed", self.checks_malformed),
            ("handshakes_deferred", self.handshakes_deferred),
            ("handshakes_completed", self.handshakes_completed),
            ("handshakes_failed", self.handshakes_failed),
            ("fingerprints_wrong", self.fingerprints_wrong),
        ]
    }
}

/// The media engine. Clones share it; it stops with the last one.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    settings: EngineSettings,
    library: Arc<PromptLibrary>,
    handshakes: Option<Arc<Handshakes>>,
    index: OnceLock<Arc<FrameIndex>>,
    workers: Vec<Arc<WorkerHandle>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ports: Mutex<PortPool>,
    random: Mutex<StdRng>,
    next_stream: AtomicU64,
    clock: Clock,
}

struct WorkerHandle {
    commands: SyncSender<Command>,
    waker: Waker,
    stopping: Arc<AtomicBool>,
    counters: Arc<WorkerCounters>,
    /// Streams whose handle lives.
    streams: AtomicUsize,
}

impl WorkerHandle {
    fn send(&self, command: Command) -> Result<(), CommandError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => CommandError::Overloaded,
            TrySendError::Disconnected(_) => CommandError::Stopped,
        })?;
        self.waker.wake().map_err(|_| CommandError::Stopped)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("counters", &self.counters()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn start(settings: EngineSettings, library: Arc<PromptLibrary>) -> Result<Self, EngineError> {
        let clock = Clock::system();
        let handshakes = settings.webrtc.then(|| Handshakes::new().map(Arc::new)).transpose()?;
        let ports = PortPool::new(settings.port_range, settings.port_quarantine, settings.dscp);
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for number in 0..settings.workers.max(1) {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), WAKER)?;
            let (commands, queue) = sync_channel(MAX_COMMANDS);
            let stopping = Arc::new(AtomicBool::new(false));
            let counters = Arc::new(WorkerCounters::default());
            let worker =
                Worker::new(poll, queue, stopping.clone(), ports.release(), counters.clone(), clock)?;
            let name = format!("media-{number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || worker.run())?);
            let streams = AtomicUsize::new(0);
            workers.push(Arc::new(WorkerHandle { commands, waker, stopping, counters, streams }));
        }
        let shared = Shared {
            settings,
            library,
            handshakes,
            index: OnceLock::new(),
            workers,
            threads: Mutex::new(threads),
            ports: Mutex::new(ports),
            random: Mutex::new(StdRng::from_seed(clock::entropy())),
            next_stream: AtomicU64::new(0),
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Binds a socket on `address` and gives it to the emptiest worker. It sends as far as `reach` goes. Events come by `events`; what finds no room there
    /// waits in the session's own short queue.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &self,
        address: IpAddr,
        reach: Reach,
        events: mpsc::Sender<MediaEvent>,
    ) -> Result<Stream, OpenError> {
        self.open_stream(address, reach, events, None)
    }

    /// Like [`Engine::open`], for the calling side: the stream records what it hears and reports which prompts of the
    /// library it recognises.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_listening(
        &self,
        address: IpAddr,
        events: mpsc::Sender<MediaEvent>,
    ) -> Result<Stream, OpenError> {
        let build = || Arc::new(FrameIndex::new(self.shared.library.clone()));
        let index = self.shared.index.get_or_init(build).clone();
        self.open_stream(address, Reach::Anywhere, events, Some(index))
    }

    /// The library that prompts are looked up in.
    pub fn library(&self) -> &Arc<PromptLibrary> {
        &self.shared.library
    }

    /// Whether keys are read from tones where no telephone-event was agreed on.
    pub fn reads_in_band_keys(&self) -> bool {
        self.shared.settings.session.in_band_keys
    }

    /// The fingerprint of our certificate, where the keys of a stream may come by a handshake.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.shared.handshakes.as_ref().map(|handshakes| handshakes.fingerprint())
    }

    /// What was counted so far.
    pub fn counters(&self) -> EngineCounters {
        let mut sum = EngineCounters::default();
        for worker in &self.shared.workers {
            let counters = &worker.counters;
            for (sum, counter) in [
                (&mut sum.streams, &counters.streams),
                (&mut sum.transmitted, &counters.transmitted),
                (&mut sum.received, &counters.received),
                (&mut sum.dropped, &counters.dropped),
                (&mut sum.send_errors, &counters.send_errors),
                (&mut sum.events_lost, &counters.events_lost),
                (&mut sum.sent_within_1_ms, &counters.sent_within_1_ms),
                (&mut sum.sent_within_20_ms, &counters.sent_within_20_ms),
                (&mut sum.sent_later, &counters.sent_later),
                (&mut sum.checks_answered, &counters.checks_answered),
                (&mut sum.checks_refused, &counters.checks_refused),
                (&mut sum.checks_malformed, &counters.checks_malformed),
                (&mut sum.handshakes_deferred, &counters.handshakes_deferred),
                (&mut sum.handshakes_completed, &counters.handshakes_completed),
                (&mut sum.handshakes_failed, &counters.handshakes_failed),
                (&mut sum.fingerprints_wrong, &counters.fingerprints_wrong),
            ] {
                *sum += counter.load(Ordering::Relaxed);
            }
        }
        sum
    }

    fn open_stream(
        &self,
        address: IpAddr,
        reach: Reach,
        events: mpsc::Sender<MediaEvent>,
        index: Option<Arc<FrameIndex>>,
    ) -> Result<Stream, OpenError> {
        let shared = &self.shared;
        let open = shared.workers.iter().map(|worker| worker.streams.load(Ordering::Relaxed)).sum::<usize>();
        let emptiest = shared.workers.iter().min_by_key(|worker| worker.streams.load(Ordering::Relaxed));
        let worker = emptiest.ok_or(CommandError::Stopped)?.clone();
        if open >= shared.settings.max_streams {
            return Err(OpenError::TooManyStreams(open));
        }
        let socket = {
            let mut ports = shared.ports.lock().unwrap_or_else(PoisonError::into_inner);
            ports.bind(shared.clock.instant(), address).map_err(|error| match error {
                BindError::Exhausted => OpenError::PortsExhausted,
                BindError::Socket(error) => OpenError::Socket(error),
            })?
        };
        let local = socket.local_addr().map_err(OpenError::Socket)?;
        let identity = {
            let mut random = shared.random.lock().unwrap_or_else(PoisonError::into_inner);
            Identity {
                ssrc: random.next_u32(),
                sequence: random.next_u32() as u16,
                timestamp: random.next_u32(),
            }
        };
        let stream = shared.next_stream.fetch_add(1, Ordering::Relaxed);
        let session = Session::new(shared.settings.session, reach, shared.library.clone(), identity, index)
            .with_handshakes(shared.handshakes.clone());
        let closed = Arc::new(AtomicBool::new(false));
        worker.streams.fetch_add(1, Ordering::Relaxed);
        let handle = Stream { id: StreamId(stream), local, worker, closed: closed.clone() };
        let opening = Opening { stream, socket, port: local.port(), session, events, closed };
        if let Err(error) = handle.worker.send(Command::Open(Box::new(opening))) {
            let ports = shared.ports.lock().unwrap_or_else(PoisonError::into_inner);
            // The pool that the port goes back to is the one that is locked here.
            let _ = ports.release().send((shared.clock.instant(), local.port()));
            return Err(error.into());
        }
        Ok(handle)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.stopping.store(true, Ordering::Release);
            // A worker that cannot be woken looks at the flag when its next packet is due.
            let _ = worker.waker.wake();
        }
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a media worker panicked");
            }
        }
    }
}

/// A call's handle on its stream. Nothing here waits. Dropping it closes the stream.
pub struct Stream {
    id: StreamId,
    local: SocketAddr,
    worker: Arc<WorkerHandle>,
    closed: Arc<AtomicBool>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("local", &self.local).finish_non_exhaustive()
    }
}

impl Stream {
    /// Its number.
    pub fn id(&self) -> StreamId {
        self.id
    }

    /// Where it listens: what goes into the description, with the address the peer reaches us at.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Starts to send and receive as agreed; again after another offer and answer.
    ///
    /// # Errors
    /// [`CommandError`], as for every command.
    pub fn start(&self, parameters: StreamParameters) -> Result<(), CommandError> {
        self.worker.send(Command::Start(self.id.0, parameters))
    }

    /// Adds to the play queue. [`MediaEvent::PlayDone`] reports its end. With `bargein` a key stops it.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn play(&self, play_id: u64, elements: Vec<Element>, bargein: bool) -> Result<(), CommandError> {
        self.worker.send(Command::Play { stream: self.id.0, play_id, elements, bargein })
    }

    /// Whether keys come by another way than the stream, so that those in it are not to count nor to stop a prompt.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn set_keys_elsewhere(&self, elsewhere: bool) -> Result<(), CommandError> {
        self.worker.send(Command::KeysElsewhere(self.id.0, elsewhere))
    }

    /// Copies its packets for a recorder from here on, or no longer.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn fork(&self, fork: Option<Fork>) -> Result<(), CommandError> {
        self.worker.send(Command::Fork(self.id.0, fork.map(Box::new)))
    }

    /// Stops what plays and what waits.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn stop(&self) -> Result<(), CommandError> {
        self.worker.send(Command::Stop(self.id.0))
    }

    /// Sends keys, after those that already wait: as telephone events, or as tones where none were agreed on. [`MediaEvent::DigitsSent`] or
    /// [`MediaEvent::DigitsRefused`] follows.
    ///
    /// # Errors
    /// [`CommandError`].
    pub fn send_digits(&self, digits: &str, timing: DigitTiming) -> Result<(), CommandError> {
        self.worker.send(Command::SendDigits(self.id.0, digits.to_owned(), timing))
    }

    /// Closes at once; nothing more is sent. The same as dropping it.
    pub fn close(self) {
        drop(self);
    }

    /// Closes, and yields what was counted and recorded. The receiver errs only when the engine has stopped or is
    /// overloaded.
    pub fn finish(self) -> oneshot::Receiver<Summary> {
        let (reply, receiver) = oneshot::channel();
        // A command that is refused drops the reply, which is what the receiver then sees.
        let _ = self.worker.send(Command::Finish(self.id.0, reply));
        receiver
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The flag stops the stream even where the command finds no room.
        self.closed.store(true, Ordering::Release);
        let _ = self.worker.send(Command::Close(self.id.0));
        self.worker.streams.fetch_sub(1, Ordering::Relaxed);
    }
}
