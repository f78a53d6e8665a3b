//! The recorder: what calls say to it, and the thread that does the work.

use super::content::{EndedBy, What, Why};
use super::folder;
use super::key::{Key, KeyError};
use super::settings::Settings;
use super::writing::Writing;
use crate::media::{Fork, ForkState, ForkedPacket};
use crate::units::CallId;
use crate::units::clock::Clock;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::oneshot;

/// Packets that may wait for the thread: four seconds of ten recorded calls, or nearly one of fifty.
const PACKETS_WAITING: usize = 4_096;
/// Orders that may wait for it.
const ORDERS_WAITING: usize = 4_096;

/// Why recordings cannot be made at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The folder cannot be made.
    #[error("the folder of recordings, {}, cannot be made; change `recording.folder`", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No thread is to be had.
    #[error("the recorder cannot start")]
    Thread(#[source] io::Error),
}

/// Why a call is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The settings allow none.
    #[error("this service records nothing: neither `recording.key_file` nor `recording.unencrypted` is set")]
    Off,
    /// As many calls as may be are recorded.
    #[error("{0} calls are recorded already, as many as `recording.max_calls` allows")]
    TooMany(usize),
    /// The folder holds as much as it may.
    #[error("the folder of recordings holds as much as `recording.max_octets` allows")]
    NoRoom,
    /// The thread does not follow, or has ended.
    #[error("the recorder is overloaded")]
    Overloaded,
}

/// Which call is recorded.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The call.
    pub call: CallId,
    /// Its caller: his number masked, or why there is none.
    pub caller: String,
    /// The number called.
    pub called: String,
    /// The flow that runs.
    pub flow: String,
}

/// What became of recordings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
    pub begun: u64,
    /// Written to their end and kept.
    pub kept: u64,
    /// Deleted at their end: nothing was booked.
    pub discarded: u64,
    /// Calls that were not recorded, over a limit.
    pub refused: u64,
    /// That broke off: the file could not be made or written.
    pub failed: u64,
    /// Packets that found no room on their way to the thread.
    pub lost_packets: u64,
    /// Files deleted after their days.
    pub expired: u64,
}

/// What calls and thread share.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub active: AtomicUsize,
    /// Of all files.
    pub octets: AtomicU64,
    pub begun: AtomicU64,
    pub kept: AtomicU64,
    pub discarded: AtomicU64,
    pub refused: AtomicU64,
    pub failed: AtomicU64,
    pub lost_packets: AtomicU64,
    pub expired: AtomicU64,
}

/// Answers with the file once it is made, or why there is none.
pub type Opened = oneshot::Sender<Result<String, String>>;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Order {
    Begin(Box<Beginning>),
    /// No secret can be keyed any more.
    Open {
        recording: u64,
        at: Instant,
    },
    Cue {
        recording: u64,
        at: Instant,
        what: What,
    },
    KeyBegan {
        recording: u64,
        at: Instant,
        key: char,
        tone: bool,
    },
    KeyEnded {
        recording: u64,
        at: Instant,
    },
    End {
        recording: u64,
        at: Instant,
        kept: bool,
        by: EndedBy,
    },
    Stop,
}

/// A recording that begins.
#[derive(Debug)]
pub(super) struct Beginning {
    pub recording: u64,
    pub subject: Subject,
    pub why: Why,
    pub at: Instant,
    pub withheld: bool,
    pub state: Arc<ForkState>,
    pub opened: Option<Opened>,
}

/// Records calls. Clones share one thread.
#[derive(Debug, Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    clock: Clock,
    /// `None` where nothing may be recorded.
    way: Option<Way>,
    totals: Arc<Totals>,
    next: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// To the thread.
#[derive(Debug, Clone)]
struct Way {
    orders: SyncSender<Order>,
    packets: SyncSender<ForkedPacket>,
}

impl Recorder {
    /// Reads the key, makes the folder and starts the thread, where the settings allow recordings at all.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let totals = Arc::new(Totals::default());
        let (mut way, mut thread) = (None, None);
        if settings.is_on() {
            let key = settings.key_file.as_deref().map(Key::read).transpose()?;
            folder::make(&settings.folder)
                .map_err(|source| StartError::Folder { path: settings.folder.clone(), source })?;
            let (orders, ordered) = sync_channel(ORDERS_WAITING);
            let (packets, copied) = sync_channel(PACKETS_WAITING);
            let writing = Writing::new(settings.clone(), key, clock, Arc::clone(&totals), ordered, copied);
            let builder = std::thread::Builder::new().name("recorder".to_owned());
            thread = Some(builder.spawn(move || writing.run()).map_err(StartError::Thread)?);
            way = Some(Way { orders, packets });
        }
        let shared =
            Shared { settings, clock, way, totals, next: AtomicU64::new(0), thread: Mutex::new(thread) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What the operator varies.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Begins to record a call; its packets come by [`Recording::fork`]. With `withheld` nothing of the caller's side is
    /// recorded before [`Recording::open`]. `opened` is told of the file.
    ///
    /// # Errors
    /// [`Refusal`]; all but the first are counted.
    pub fn begin(
        &self,
        subject: Subject,
        why: Why,
        withheld: bool,
        opened: Option<Opened>,
    ) -> Result<Recording, Refusal> {
        let shared = &self.shared;
        let way = shared.way.as_ref().ok_or(Refusal::Off)?;
        let begun = self.admit(way, subject, why, withheld, opened);
        let counter = if begun.is_ok() { &shared.totals.begun } else { &shared.totals.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        begun
    }

    fn admit(
        &self,
        way: &Way,
        subject: Subject,
        why: Why,
        withheld: bool,
        opened: Option<Opened>,
    ) -> Result<Recording, Refusal> {
        let Shared { settings, clock, totals, next, .. } = &*self.shared;
        if totals.octets.load(Ordering::Relaxed) >= settings.max_octets {
            return Err(Refusal::NoRoom);
        }
        if totals.active.fetch_add(1, Ordering::AcqRel) >= settings.max_calls {
            totals.active.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::TooMany(settings.max_calls));
        }
        let recording = next.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(ForkState::default());
        let at = clock.instant();
        let beginning =
            Beginning { recording, subject, why, at, withheld, state: Arc::clone(&state), opened };
        if way.orders.try_send(Order::Begin(Box::new(beginning))).is_err() {
            totals.active.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::Overloaded);
        }
        let fork = Fork::new(recording, way.packets.clone(), state);
        let orders = way.orders.clone();
        Ok(Recording { recording, orders, fork, clock: *clock, kept: true, ended: false })
    }

    /// What became of recordings so far.
    pub fn counts(&self) -> Counts {
        let totals = &self.shared.totals;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            begun: read(&totals.begun),
            kept: read(&totals.kept),
            discarded: read(&totals.discarded),
            refused: read(&totals.refused),
            failed: read(&totals.failed),
            lost_packets: read(&totals.lost_packets),
            expired: read(&totals.expired),
        }
    }

    /// Whether recordings can be made.
    pub fn is_on(&self) -> bool {
        self.shared.way.is_some()
    }

    /// Ends all recordings, and waits until they are written. Blocks.
    pub fn stop(&self) {
        let thread = self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(thread), Some(way)) = (thread, &self.shared.way) else { return };
        // It waits where the thread is behind; an error says that the thread is gone.
        let _ = way.orders.send(Order::Stop);
        if thread.join().is_err() {
            tracing::error!("the recorder broke");
        }
    }
}

/// A call that is recorded. Nothing here waits; dropping it ends the recording.
#[derive(Debug)]
pub struct Recording {
    recording: u64,
    orders: SyncSender<Order>,
    fork: Fork,
    clock: Clock,
    kept: bool,
    ended: bool,
}

impl Recording {
    /// Where the stream copies its packets to: of what is sent only, as long as the caller's side is withheld.
    pub fn fork(&self, withheld: bool) -> Fork {
        if withheld { self.fork.clone() } else { self.fork.clone().of_both_sides() }
    }

    /// No secret can be keyed any more.
    pub fn open(&self, at: Instant) {
        self.tell(Order::Open { recording: self.recording, at });
    }

    /// Something happened.
    pub fn cue(&self, at: Instant, what: What) {
        self.tell(Order::Cue { recording: self.recording, at, what });
    }

    /// A key went down. With `tone` its tone is made, since the audio may hold none.
    pub fn key_began(&self, at: Instant, key: char, tone: bool) {
        self.tell(Order::KeyBegan { recording: self.recording, at, key, tone });
    }

    /// The key that is down was released.
    pub fn key_ended(&self, at: Instant) {
        self.tell(Order::KeyEnded { recording: self.recording, at });
    }

    /// Whether it is kept at its end; it is, unless told otherwise.
    pub fn set_kept(&mut self, kept: bool) {
        self.kept = kept;
    }

    /// Ends it.
    pub fn end(mut self, by: EndedBy) {
        self.end_by(by);
    }

    fn end_by(&mut self, by: EndedBy) {
        if !std::mem::replace(&mut self.ended, true) {
            let at = self.clock.instant();
            self.tell(Order::End { recording: self.recording, at, kept: self.kept, by });
        }
    }

    fn tell(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::warn!("the recorder is overloaded: a note of a recording is lost");
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.end_by(EndedBy::Call);
    }
}
