//! Puts the rooms together: reads flows and prompts, opens the ledger, starts delivery, media and SIP; drains, stops.

use crate::call::{
    Account, CallEvent, Command, Ids, Neighbours, Observer, Probe, RecordOrder, Registry, Service, Step,
    TrunkOrder, TrunkParts, watch_database,
};
use crate::capture::{self, Capture, HomerCounts, Record};
use crate::config::{Files, Media, PasswordError, Settings, Sip, Trunk, User};
use crate::delivery::{SpoolError, Worker};
use crate::dialplan::{Flow, FlowError, Vocabulary};
use crate::media::{
    ClipIndex, Engine, EngineError, EngineSettings, Form, LibraryError, PortRange, PromptCache,
    PromptLibrary, SessionSettings,
};
use crate::net::{BindError, Driver, Listen, ResolveError, Resolver, Sockets, Tls, Ways};
use crate::recording::{self, Recorder};
use crate::sdp::Codecs;
use crate::sip::auth::Policy;
use crate::sip::{Endpoint, EndpointConfig, HostPort, Limits, Timers, Transport};
use crate::speech::{self, LoadError, Prompts};
use crate::store::{self, OpenError, Store};
use crate::units::clock::{Clock, entropy};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Commands that may wait for the SIP driver; each call has at most a few under way.
const COMMANDS_WAITING: usize = 4096;
/// Operators' orders that may wait.
const ORDERS_WAITING: usize = 16;
/// How long the last goodbyes and BYEs may take at a stop.
const LAST_WORDS: Duration = Duration::from_secs(15);

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A flow file is not there or cannot be read.
    #[error("the flow {} cannot be read; put it there, or change `numbers` or `files.dialplans`", path.display())]
    FlowUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A flow cannot be used; every error with file, line and mend.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Flow(Vec<FlowError>),
    /// The prompts cannot be used.
    #[error("the prompts cannot be used; run where the folder `prompts` is, or set `files.prompts`")]
    Prompts(#[from] LoadError),
    /// Too many or too long prompts.
    #[error("the prompts cannot be encoded")]
    Library(#[from] LibraryError),
    /// The ledger cannot be opened.
    #[error("the ledger cannot be opened")]
    Store(#[from] OpenError),
    /// The spool folder cannot be used.
    #[error("delivery cannot start")]
    Delivery(#[from] SpoolError),
    /// The media workers cannot start.
    #[error("the media engine cannot start")]
    Media(#[from] EngineError),
    /// Calls cannot be recorded, and the settings ask for it.
    #[error("calls cannot be recorded")]
    Recording(#[from] recording::StartError),
    /// The clip that says that a call is recorded is not there.
    #[error(
        "`recording.announcement` names the prompt `{0}`, which does not exist; add it to the prompts' manifest"
    )]
    Announcement(String),
    /// A trunk's password cannot be read.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The DNS cannot be asked, and there are trunks.
    #[error("the DNS cannot be asked; set `sip.resolver` to the address of a server")]
    Resolver(#[from] ResolveError),
    /// A SIP socket cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// A running service.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listen>,
    tls: Option<Arc<Tls>>,
    library: Arc<PromptLibrary>,
    commands: mpsc::Sender<Command>,
    store: Store,
    driver_ended: watch::Receiver<bool>,
    capture: Capture,
    recorder: Recorder,
    delivery: JoinHandle<()>,
    stop_delivery: watch::Sender<bool>,
}

impl Server {
    /// Starts everything; when it returns, calls can come.
    pub async fn start(settings: Settings, observer: Observer, clock: Clock) -> Result<Self, StartError> {
        let prompts = read_prompts(&settings.files)?;
        let numbers = read_flows(&settings, &prompts)?;
        let began = clock.instant();
        let library = Arc::new(encode(&settings.files, &prompts, &settings.media.codecs())?);
        tracing::info!(
            codecs = settings.media.codecs.join(" "),
            prompts = library.len(),
            octets = library.octets(),
            ms = (clock.instant() - began).as_millis(),
            "prompts are ready in every codec"
        );
        let store = Store::open(&settings.database).await?;
        if store.terms().await.is_ok_and(|terms| terms.is_empty()) {
            tracing::warn!(
                "the ledger has no terms and no packages yet: every caller will hear that the service is not available; run `klikon admin seed`"
            );
        }
        let (stop_delivery, stop) = watch::channel(false);
        let delivery = Worker::new(store.clone(), settings.delivery.clone())?;
        let settlements = delivery.settlements();
        let sockets = Sockets::open(
            &settings.sip.listen,
            settings.streams.to_runtime(settings.sip.max_body_octets),
            settings.tls.to_runtime(),
            clock,
        )?;
        let (listening, tls) = (sockets.listening().to_vec(), sockets.tls());
        let users = settings.users.iter().map(User::identity).collect();
        let neighbours = Arc::new(Neighbours::new(settings.peers.clone(), users));
        let recorder = Recorder::start(settings.recording.clone(), clock)?;
        let announcement = announcement(&settings.recording, &library)?;
        let (orders, ordered) = mpsc::channel(ORDERS_WAITING);
        let capture = Capture::start(&settings.capture, &settings.trace, clock, orders);
        let observer = match capture.record() {
            Some(record) => observer.and(move |event| note(&record, event)),
            None => observer,
        };
        let service = Arc::new(Service {
            retry_after_s: settings.sip.retry_after_s,
            neighbours: Arc::clone(&neighbours),
            numbers,
            prompts,
            media: Engine::start(engine_settings(&settings.media, settings.calls.max), Arc::clone(&library))?,
            codecs: settings.media.codecs(),
            redundancy: settings.media.redundancy(),
            srtp: settings.media.srtp,
            recorder: recorder.clone(),
            announcement,
            media_advertised: settings.media.advertise,
            store: store.clone(),
            settlements,
            clock,
            ids: Ids::new(entropy()),
            observer,
            settings: settings.calls.clone(),
        });
        let mut endpoint = Endpoint::new(EndpointConfig {
            overload: settings.overload.limiter(&settings.peers, since_1970(&clock)),
            session_intervals: settings.calls.session_intervals(),
            ..endpoint_config(&settings.sip, settings.calls.max, &listening)
        });
        endpoint.set_room_for_calls(settings.calls.max);
        if settings.peers.iter().any(|peer| peer.digest) {
            let policy: Arc<dyn Policy> = neighbours;
            endpoint.set_authentication(settings.authentication.settings(&settings.users, policy));
        }
        let (commands, waiting) = mpsc::channel(COMMANDS_WAITING);
        tokio::spawn(hand_on(ordered, commands.clone()));
        let mut registry = Registry::new(service, commands.clone());
        prepare_trunks(&settings, &mut registry, &commands, &listening, clock)?;
        tokio::spawn(watch_database(store.clone(), probe(&settings.database), commands.clone()));
        let driver = Driver::new(sockets, endpoint, registry, waiting, clock).with_tap(capture.tap());
        let (ended, driver_ended) = watch::channel(false);
        tokio::spawn(async move {
            // The sender goes with the task, so that even a panic is noticed.
            let ended = ended;
            driver.run().await;
            ended.send_replace(true);
        });
        let delivery = tokio::spawn(delivery.run(clock, stop));
        Ok(Self {
            listening,
            tls,
            library,
            commands,
            store,
            driver_ended,
            capture,
            recorder,
            delivery,
            stop_delivery,
        })
    }

    /// Where SIP is listened for, and by which transport.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// The certificates, to be read again; `None` without TLS.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// The prompts, ready to be sent or recognised.
    pub fn library(&self) -> &Arc<PromptLibrary> {
        &self.library
    }

    /// Registers at the trunks and begins to watch them.
    pub async fn attend_trunks(&self) {
        self.command(Command::Trunk(TrunkOrder::Start)).await;
    }

    /// Takes no new calls from now on. Gives the number of calls under way.
    pub async fn drain(&self) -> usize {
        let (answer, calls) = oneshot::channel();
        self.command(Command::Drain(answer)).await;
        calls.await.unwrap_or(0)
    }

    /// Takes no new calls, ends those under way with goodbye, and waits for that, within reason.
    pub async fn end_calls(&self) {
        self.command(Command::EndAll).await;
        if tokio::time::timeout(LAST_WORDS, self.finished()).await.is_err() {
            tracing::warn!("some calls did not end in time");
        }
    }

    /// What the SIP side holds and has counted.
    pub async fn account(&self) -> Option<Account> {
        let (answer, account) = oneshot::channel();
        self.command(Command::Account(answer)).await;
        account.await.ok()
    }

    /// What became of the messages for the collector; `None` without one.
    pub fn captured(&self) -> Option<HomerCounts> {
        self.capture.homer_counts()
    }

    /// What became of recordings; `None` where nothing may be recorded.
    pub fn recorded(&self) -> Option<recording::Counts> {
        self.recorder.is_on().then(|| self.recorder.counts())
    }

    /// Waits until the SIP driver has ended: after a drain, when the last call is over.
    pub async fn finished(&self) {
        let mut ended = self.driver_ended.clone();
        // An error means that its task is gone: ended as well.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Ends delivery after the pass it is in, and closes the ledger.
    pub async fn stop(self) {
        let recorder = self.recorder.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || recorder.stop()).await {
            tracing::error!(%error, "the recorder broke");
        }
        self.stop_delivery.send_replace(true);
        if let Err(error) = self.delivery.await {
            tracing::error!(%error, "delivery broke");
        }
        self.store.close().await;
    }

    async fn command(&self, command: Command) {
        // An error means that the driver has ended: nothing left to command.
        let _ = self.commands.send(command).await;
    }
}

/// The clip that says that a call is recorded.
fn announcement(
    settings: &recording::Settings,
    library: &PromptLibrary,
) -> Result<Option<ClipIndex>, StartError> {
    let name = &settings.announcement;
    match library.lookup(name) {
        Some(clip) => Ok(Some(clip)),
        None if name.is_empty() => Ok(None),
        None => Err(StartError::Announcement(name.clone())),
    }
}

/// Hands operators' orders to the calls.
async fn hand_on(mut orders: mpsc::Receiver<capture::RecordOrder>, commands: mpsc::Sender<Command>) {
    while let Some(capture::RecordOrder { call, begin, answer }) = orders.recv().await {
        let order = RecordOrder { begin, answer };
        if commands.send(Command::Record { call, order }).await.is_err() {
            return;
        }
    }
}

/// Hands the DNS and the trunks to the registry. The trunks' tasks start when they are told to.
fn prepare_trunks(
    settings: &Settings,
    registry: &mut Registry,
    commands: &mpsc::Sender<Command>,
    listening: &[Listen],
    clock: Clock,
) -> Result<(), StartError> {
    let resolver = Resolver::new(settings.sip.resolver);
    let ways = Ways::new(listening.iter().map(|listen| (listen.transport, listen.address)));
    match &resolver {
        Ok(resolver) => registry.ask_by(resolver.clone(), ways.clone()),
        Err(error) => {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "the DNS cannot be asked: names that peers give are not followed");
        }
    }
    if settings.trunks.is_empty() {
        return Ok(());
    }
    let trunks = settings.trunks.iter().map(Trunk::to_runtime).collect::<Result<_, _>>()?;
    let desk = registry.trunks();
    let parts =
        TrunkParts { commands: commands.clone(), resolver: resolver?, ways, clock, stop: desk.stop_signal() };
    desk.set_trunks(trunks, parts);
    Ok(())
}

fn probe(database: &store::Settings) -> Probe {
    Probe {
        interval: Duration::from_millis(database.probe_interval_ms.into()),
        patience: Duration::from_millis(database.probe_timeout_ms.into()),
    }
}

/// Notes in the record of messages what the service says of their call.
fn note(record: &Record, event: &CallEvent) {
    record.name(event.sip_call_id.as_bytes(), |named| {
        named.id = event.call.to_string();
        match &event.step {
            Step::Answered { flow, caller, .. } => {
                (named.flow, named.caller) = (flow.clone(), caller.clone())
            }
            Step::Refused { status } => named.end = format!("refused with {status}"),
            Step::Ended { cause } => named.end.clone_from(cause),
            _ => {}
        }
    });
}

/// Reads the prompts of the settings' language.
pub fn read_prompts(files: &Files) -> Result<Prompts, LoadError> {
    speech::load(&files.prompts.join(&files.language))
}

/// Reads them and makes them ready to be sent in these codecs, or to be recognised.
pub fn encode_prompts(files: &Files, codecs: &Codecs) -> Result<Arc<PromptLibrary>, StartError> {
    Ok(Arc::new(encode(files, &read_prompts(files)?, codecs)?))
}

fn encode(files: &Files, prompts: &Prompts, codecs: &Codecs) -> Result<PromptLibrary, LibraryError> {
    let clips = prompts.clips().map(|(id, clip)| (id.to_owned(), clip.samples.clone()));
    let cache = Some(&files.encoded).filter(|folder| !folder.as_os_str().is_empty());
    let cache = cache.map(|folder| PromptCache::new(folder));
    PromptLibrary::encode_or_read(clips, &forms(codecs), cache.as_ref())
}

/// Each codec, and each mode of those that have modes.
fn forms(codecs: &Codecs) -> Vec<Form> {
    let of = |encoding| match codecs.modes(encoding).modes().collect::<Vec<_>>() {
        modes if modes.is_empty() => vec![Form::new(encoding, 0)],
        modes => modes.into_iter().map(|mode| Form::new(encoding, mode)).collect(),
    };
    codecs.encodings.iter().copied().flat_map(of).collect()
}

/// Reads each flow that a number names, once.
fn read_flows(settings: &Settings, prompts: &Prompts) -> Result<BTreeMap<String, Arc<Flow>>, StartError> {
    let vocabulary = Vocabulary::klik_on(prompts.ids().map(str::to_owned));
    let mut flows: BTreeMap<&str, Arc<Flow>> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    for (number, name) in &settings.numbers {
        let flow = match flows.get(name.as_str()) {
            Some(flow) => Arc::clone(flow),
            None => {
                let path = settings.files.dialplans.join(format!("{name}.toml"));
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| StartError::FlowUnreadable { path: path.clone(), source })?;
                let flow =
                    Flow::parse(&text, &path.display().to_string(), &vocabulary).map_err(StartError::Flow)?;
                let flow = Arc::new(flow);
                flows.insert(name, Arc::clone(&flow));
                flow
            }
        };
        numbers.insert(number.clone(), flow);
    }
    Ok(numbers)
}

fn engine_settings(media: &Media, max_calls: usize) -> EngineSettings {
    let [first, last] = media.rtp_ports;
    EngineSettings {
        workers: media.workers,
        port_range: (first != 0).then_some(PortRange { first, last }),
        port_quarantine: Duration::from_millis(media.port_quarantine_ms),
        max_streams: max_calls,
        webrtc: media.webrtc,
        session: SessionSettings {
            initial_silence: Duration::from_millis(media.initial_silence_ms.into()),
            nat: media.nat,
            rtp_timeout: (media.rtp_timeout_s > 0).then(|| Duration::from_secs(media.rtp_timeout_s)),
            rtcp: media.rtcp,
            in_band_keys: media.in_band_keys,
            begin_at_once: media.begin_at_once,
            sample_audio: media.sample_audio,
        },
        ..EngineSettings::default()
    }
}

fn since_1970(clock: &Clock) -> Duration {
    Duration::try_from(clock.wall().as_duration()).unwrap_or_default()
}

/// Whether TCP is listened for wherever UDP is, so that one Via names both (RFC 3261 §18.1.1).
fn has_tcp_beside_udp(listening: &[Listen]) -> bool {
    let mut udp = listening.iter().filter(|listen| listen.transport == Transport::Udp);
    udp.all(|listen| listening.contains(&Listen { transport: Transport::Tcp, ..*listen }))
}

fn endpoint_config(sip: &Sip, max_calls: usize, listening: &[Listen]) -> EndpointConfig {
    let timers = Timers {
        t1: Duration::from_millis(sip.t1_ms),
        t2: Duration::from_millis(sip.t2_ms),
        t4: Duration::from_millis(sip.t4_ms),
    };
    EndpointConfig {
        timers,
        limits: Limits {
            max_server_transactions: sip.max_transactions,
            max_client_transactions: sip.max_transactions,
            // The call layer counts calls; the endpoint keeps room for those that are ending.
            max_sessions: max_calls.saturating_mul(2).saturating_add(64),
            max_body_octets: sip.max_body_octets,
            ..Limits::default()
        },
        server_name: sip.server_name.clone(),
        advertised: sip.advertise.as_deref().map(HostPort::parse),
        large_requests_by_tcp: has_tcp_beside_udp(listening),
        retry_after_s: sip.retry_after_s,
        ..EndpointConfig::new(entropy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_the_engine_and_the_endpoint() {
        let media = Media::default();
        assert_eq!(engine_settings(&media, 7).session.rtp_timeout, None, "0 never ends a call");
        assert_eq!(engine_settings(&media, 7).port_range, None, "the system chooses");
        let media = Media { rtp_ports: [20_000, 20_100], rtp_timeout_s: 30, ..media };
        let engine = engine_settings(&media, 7);
        assert_eq!(engine.session.rtp_timeout, Some(Duration::from_secs(30)));
        assert_eq!(engine.port_range, Some(PortRange { first: 20_000, last: 20_100 }));
        assert_eq!(engine.max_streams, 7);
        let endpoint = endpoint_config(&Sip { t1_ms: 50, ..Sip::default() }, 7, &[]);
        assert_eq!(endpoint.timers.t1, Duration::from_millis(50));
        assert!(endpoint.limits.max_sessions > 7, "calls that are ending have room");
    }
}
