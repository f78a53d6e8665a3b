//! The built-in caller: phones a SIP address over real UDP and RTP, keys, listens, and reports.

use super::script::{Cue, KeyGroup, Manner, Script};
use crate::media::{
    CommandError, DigitTiming, Engine, EngineError, EngineSettings, Heard, MediaEvent, OpenError,
    PromptLibrary, Recording, Stream,
};
use crate::net::{BindError, Driver, Handler, UdpTransport};
use crate::sdp::{self, Capabilities};
use crate::sip::{EndCause, Endpoint, EndpointConfig, Event, Flow, InviteParams, SessionId};
use crate::units::clock::{Clock, entropy};
use bytes::Bytes;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Commands and events that may wait; one call has a handful.
const WAITING: usize = 64;
/// Media events that may wait: every clip of a long prompt, twice.
const MEDIA_EVENTS_WAITING: usize = 256;
/// Patience with the far end after hanging up: 64·T1.
const LAST_PATIENCE: Duration = Duration::from_secs(33);

/// Patience with the far end when the call has ended already, or failed.
const LEAVING: Duration = Duration::from_secs(2);

/// Whom to phone, and how.
#[derive(Debug, Clone)]
pub struct PhoneSettings {
    /// Where the INVITE is sent.
    pub remote: SocketAddr,
    /// Request-URI.
    pub request_uri: String,
    /// URI for P-Asserted-Identity.
    pub identity: Option<String>,
    /// From URI; anonymous without.
    pub from: Option<String>,
    /// Groups of keys, one a prompt.
    pub keys: Vec<KeyGroup>,
    /// When to key.
    pub manner: Manner,
    /// Prompts at whose end the caller hangs up.
    pub hang_up_on: Vec<String>,
    /// Hang up so long after the answer, whatever is heard.
    pub hang_up_after: Option<Duration>,
    /// Longest call.
    pub timeout: Duration,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum PhoneError {
    /// No local socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No way to the remote address.
    #[error("{0} cannot be reached from this machine")]
    Unreachable(SocketAddr),
    /// The media engine did not start.
    #[error("the media engine cannot start")]
    Engine(#[from] EngineError),
    /// No RTP socket.
    #[error("no RTP socket")]
    Media(#[from] OpenError),
    /// The request could not be made: a URI that is none.
    #[error("the INVITE cannot be written: {0}")]
    Invite(String),
    /// The media worker stopped.
    #[error("the media worker takes no stream")]
    Worker(#[from] CommandError),
    /// The far end said no.
    #[error("the call was refused: {status} {reason}")]
    Refused {
        /// SIP status.
        status: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// Its SDP cannot be used.
    #[error("the answer cannot be used: {0}")]
    Answer(#[from] sdp::Refusal),
    /// Nobody picked up.
    #[error("no answer within {} s: is the service there, and does its firewall let SIP through?", .0.as_secs())]
    NoAnswer(Duration),
    /// Too long.
    #[error("the call was not over after {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The call broke off before it was answered.
    #[error("the call ended before it was answered")]
    Ended,
}

/// Something the caller did or noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A provisional answer.
    Progress(u16),
    /// The far end answered.
    Answered,
    /// A prompt, or speech.
    Heard(Heard),
    /// Keys were pressed.
    Keyed(String),
    /// The caller hung up.
    HungUp,
    /// The far end hung up.
    FarEndHungUp,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(status) => write!(f, "progress {status}"),
            Self::Answered => f.write_str("answered"),
            Self::Heard(Heard::ClipBegan { id, .. }) => write!(f, "hears `{id}`"),
            Self::Heard(Heard::ClipEnded { id, complete: true, .. }) => write!(f, "heard `{id}` to its end"),
            Self::Heard(Heard::ClipEnded { id, .. }) => write!(f, "`{id}` broke off"),
            Self::Heard(Heard::SpeechBegan { .. }) => f.write_str("hears speech"),
            Self::Heard(Heard::SpeechEnded { .. }) => f.write_str("quiet"),
            Self::Keyed(keys) => write!(f, "keys {keys}"),
            Self::HungUp => f.write_str("hangs up"),
            Self::FarEndHungUp => f.write_str("the far end hung up"),
        }
    }
}

/// What came of a call.
#[derive(Debug)]
pub struct Report {
    /// From the INVITE to the answer.
    pub answered_after: Duration,
    /// From the answer to the end.
    pub lasted: Duration,
    /// Ids of the prompts that were recognised, in order.
    pub clips: Vec<String>,
    /// Whether every group of keys went out.
    pub keyed_everything: bool,
    /// Audio as it was heard.
    pub recording: Recording,
}

impl Report {
    /// Whether that prompt was recognised.
    pub fn heard_clip(&self, id: &str) -> bool {
        self.clips.iter().any(|heard| heard == id)
    }

    /// Whether the recording holds speech: half a second of it louder than line noise.
    pub fn heard_speech(&self) -> bool {
        const FRAME: usize = 160;
        const LOUD_RMS: f64 = 300.0;
        let loud = |frame: &&[i16]| {
            let energy: f64 = frame.iter().map(|sample| f64::from(*sample).powi(2)).sum();
            (energy / FRAME as f64).sqrt() > LOUD_RMS
        };
        self.recording.samples.chunks_exact(FRAME).filter(loud).count() >= 25
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "answered after {} ms, lasted {:.1} s, {} prompts recognised, {:.1} s of audio",
            self.answered_after.as_millis(),
            self.lasted.as_secs_f64(),
            self.clips.len(),
            self.recording.duration_ms() as f64 / 1000.0,
        )
    }
}

/// What the caller asks of the SIP side.
#[derive(Debug)]
enum Command {
    Invite(Box<InviteParams>),
    HangUp(SessionId),
    /// Hang up whatever there is, and go when it is over.
    Leave,
}

/// The SIP side of the caller: passes events on.
#[derive(Debug)]
struct Line {
    flow: Flow,
    events: mpsc::Sender<Event>,
    refused: mpsc::Sender<String>,
    session: Option<SessionId>,
    leaving: bool,
}

impl Line {
    fn hang_up(now: Instant, endpoint: &mut Endpoint, session: SessionId) {
        if let Err(error) = endpoint.bye(now, session, None) {
            tracing::debug!(%error, "nothing left to hang up");
        }
    }
}

impl Handler for Line {
    type Command = Command;

    fn event(&mut self, _: Instant, _: &mut Endpoint, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::warn!("the caller is gone or deaf; event dropped");
        }
    }

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Command) {
        match command {
            Command::Invite(parameters) => match endpoint.invite(now, self.flow, &parameters) {
                Ok(session) => self.session = Some(session),
                Err(error) => {
                    // One INVITE, one place: it cannot be full.
                    let _ = self.refused.try_send(error.to_string());
                }
            },
            Command::HangUp(session) => Self::hang_up(now, endpoint, session),
            Command::Leave => {
                self.leaving = true;
                if let Some(session) = self.session {
                    Self::hang_up(now, endpoint, session);
                }
            }
        }
    }

    fn finished(&self, endpoint: &Endpoint) -> bool {
        self.leaving && endpoint.session_count() == 0
    }
}

/// A caller, ready to phone.
#[derive(Debug)]
pub struct Phone {
    settings: PhoneSettings,
    prompts: Arc<PromptLibrary>,
    clock: Clock,
}

impl Phone {
    /// A caller who recognises these prompts by their sound.
    pub fn new(settings: PhoneSettings, prompts: Arc<PromptLibrary>, clock: Clock) -> Self {
        Self { settings, prompts, clock }
    }

    /// Phones; tells what happens while it happens, with the time since the INVITE.
    pub async fn call(self, mut tell: impl FnMut(Duration, &Notice)) -> Result<Report, PhoneError> {
        let any: IpAddr = match self.settings.remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let mut transport = UdpTransport::bind(&[SocketAddr::new(any, 0)])?;
        let flow =
            transport.flow_to(self.settings.remote).ok_or(PhoneError::Unreachable(self.settings.remote))?;
        let engine = Engine::start(EngineSettings::default(), Arc::clone(&self.prompts))?;
        let (sender, media) = mpsc::channel(MEDIA_EVENTS_WAITING);
        let stream = engine.open_listening(flow.local.ip(), sender)?;
        let seed = entropy();
        let capabilities = Capabilities::new(flow.local.ip(), stream.local().port(), session_id(&seed));
        let invite = self.invite(&capabilities);
        let (commands, waiting) = mpsc::channel(WAITING);
        let (line_events, events) = mpsc::channel(WAITING);
        let (refused, refusals) = mpsc::channel(1);
        let line = Line { flow, events: line_events, refused, session: None, leaving: false };
        let endpoint = Endpoint::new(EndpointConfig::new(seed));
        let mut driver = tokio::spawn(Driver::new(transport, endpoint, line, waiting, self.clock).run());
        let began = self.clock.instant();
        let mut call = Call {
            clock: self.clock,
            settings: &self.settings,
            commands,
            events,
            refusals,
            media,
            stream: &stream,
            began,
            clips: Vec::new(),
            script: Script::new(self.settings.keys.clone(), self.settings.manner, began),
            hung_up: false,
            hang_up_at: began + self.settings.timeout,
        };
        let outcome = call.run(invite, &capabilities, &mut tell).await;
        let (clips, keyed_everything) = (std::mem::take(&mut call.clips), call.script.is_done());
        // Whatever happened, the far end hears of it: its BYE is answered, a call that stands gets ours.
        call.order(Command::Leave).await;
        if tokio::time::timeout(LEAVING, &mut driver).await.is_err() {
            driver.abort();
        }
        let (answered_at, ended_at) = outcome?;
        let recording = stream.finish().await.ok().and_then(|summary| summary.recording).unwrap_or_default();
        Ok(Report {
            answered_after: answered_at - began,
            lasted: ended_at - answered_at,
            clips,
            keyed_everything,
            recording,
        })
    }

    fn invite(&self, capabilities: &Capabilities) -> InviteParams {
        let from = self.settings.from.as_deref().or(self.settings.identity.as_deref());
        InviteParams {
            request_uri: self.settings.request_uri.clone(),
            from: bracketed(from.unwrap_or("sip:anonymous@anonymous.invalid")),
            to: bracketed(&self.settings.request_uri),
            p_asserted_identity: self.settings.identity.as_deref().map(bracketed),
            extra_headers: Vec::new(),
            sdp: Some(sdp::offer(capabilities)),
        }
    }
}

/// A URI as a name-addr.
fn bracketed(uri: &str) -> String {
    if uri.contains('<') { uri.to_owned() } else { format!("<{uri}>") }
}

/// 63 bits for the `o=` line: some peers read it as a signed number.
fn session_id(seed: &[u8; 32]) -> u64 {
    seed.iter().take(8).fold(0, |id, octet| id << 8 | u64::from(*octet)) >> 1
}

/// A call while it lasts.
struct Call<'a> {
    clock: Clock,
    settings: &'a PhoneSettings,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    refusals: mpsc::Receiver<String>,
    media: mpsc::Receiver<MediaEvent>,
    stream: &'a Stream,
    began: Instant,
    clips: Vec<String>,
    script: Script,
    hung_up: bool,
    /// When the caller hangs up in any case; after that, when he gives up.
    hang_up_at: Instant,
}

impl Call<'_> {
    /// When it was answered, and when it ended.
    async fn run(
        &mut self,
        invite: InviteParams,
        capabilities: &Capabilities,
        tell: &mut impl FnMut(Duration, &Notice),
    ) -> Result<(Instant, Instant), PhoneError> {
        self.order(Command::Invite(Box::new(invite))).await;
        let (session, body) = self.answer(tell).await?;
        let agreed = sdp::accept_answer(capabilities, body.as_deref().unwrap_or_default())?;
        self.stream.start(agreed)?;
        let answered_at = self.now();
        self.tell(tell, &Notice::Answered);
        if let Some(after) = self.settings.hang_up_after {
            self.hang_up_at = self.hang_up_at.min(answered_at + after);
        }
        self.talk(session, tell).await?;
        Ok((answered_at, self.now()))
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }

    fn tell(&self, tell: &mut impl FnMut(Duration, &Notice), notice: &Notice) {
        tell(self.now() - self.began, notice);
    }

    async fn order(&self, command: Command) {
        // The driver runs until this call is over.
        let _ = self.commands.send(command).await;
    }

    /// Waits for the answer.
    async fn answer(
        &mut self,
        tell: &mut impl FnMut(Duration, &Notice),
    ) -> Result<(SessionId, Option<Bytes>), PhoneError> {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Progress { status, .. }) => self.tell(tell, &Notice::Progress(status)),
                    Some(Event::Answered { session, body, .. }) => return Ok((session, body)),
                    Some(Event::Rejected { status, reason, .. }) => return Err(PhoneError::Refused { status, reason }),
                    Some(Event::Ended { .. }) | None => return Err(PhoneError::Ended),
                    Some(_) => {}
                },
                Some(reason) = self.refusals.recv() => return Err(PhoneError::Invite(reason)),
                () = tokio::time::sleep_until(self.hang_up_at.into()) => {
                    return Err(PhoneError::NoAnswer(self.settings.timeout));
                }
            }
        }
    }

    /// Listens and keys until somebody hangs up.
    async fn talk(
        &mut self,
        session: SessionId,
        tell: &mut impl FnMut(Duration, &Notice),
    ) -> Result<(), PhoneError> {
        loop {
            let due = self.script.deadline().map_or(self.hang_up_at, |due| due.min(self.hang_up_at));
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Ended { cause, .. }) => {
                        if cause == EndCause::ByeReceived {
                            self.tell(tell, &Notice::FarEndHungUp);
                        }
                        return Ok(());
                    }
                    Some(_) => {}
                    None => return Err(PhoneError::Ended),
                },
                Some(event) = self.media.recv() => self.media(session, event, tell).await,
                () = tokio::time::sleep_until(due.into()) => {
                    if self.now() < self.hang_up_at {
                        self.cue(Cue::Timeout, tell);
                    } else if self.hung_up || self.settings.hang_up_after.is_none() {
                        return Err(PhoneError::TimedOut(self.settings.timeout));
                    } else {
                        self.hang_up(session, tell).await;
                    }
                }
            }
        }
    }

    async fn media(
        &mut self,
        session: SessionId,
        event: MediaEvent,
        tell: &mut impl FnMut(Duration, &Notice),
    ) {
        let heard = match event {
            MediaEvent::Heard(heard) => heard,
            MediaEvent::DigitsSent => return self.cue(Cue::KeysSent, tell),
            MediaEvent::DigitsRefused => {
                tracing::error!("the far end takes no telephone-event; keys cannot be sent");
                return self.hang_up(session, tell).await;
            }
            _ => return,
        };
        self.tell(tell, &Notice::Heard(heard.clone()));
        match heard {
            Heard::ClipBegan { id, .. } => {
                self.clips.push(id.to_string());
                self.cue(Cue::SpeechBegan(Some(&id)), tell);
            }
            Heard::SpeechBegan { .. } => self.cue(Cue::SpeechBegan(None), tell),
            Heard::SpeechEnded { .. } => self.cue(Cue::SpeechEnded, tell),
            Heard::ClipEnded { id, .. } => {
                self.cue(Cue::SpeechEnded, tell);
                if self.script.is_done() && self.settings.hang_up_on.iter().any(|last| **last == *id) {
                    self.hang_up(session, tell).await;
                }
            }
        }
    }

    fn cue(&mut self, cue: Cue<'_>, tell: &mut impl FnMut(Duration, &Notice)) {
        if let Some(keys) = self.script.handle(self.now(), cue) {
            self.tell(tell, &Notice::Keyed(keys.clone()));
            if let Err(error) = self.stream.send_digits(&keys, DigitTiming::default()) {
                tracing::error!(%error, "keys could not be sent");
            }
        }
    }

    async fn hang_up(&mut self, session: SessionId, tell: &mut impl FnMut(Duration, &Notice)) {
        if !self.hung_up {
            self.hung_up = true;
            self.hang_up_at = self.now() + LAST_PATIENCE;
            self.tell(tell, &Notice::HungUp);
            self.order(Command::HangUp(session)).await;
        }
    }
}
