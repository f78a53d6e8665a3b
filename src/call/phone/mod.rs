//! The built-in caller: phones a SIP address over a real transport of SIP, and RTP, keys, listens, and reports.

mod line;
mod report;

pub use report::{Notice, PhoneError, Report};

use super::script::{Cue, KeyGroup, Manner, Script};
use crate::media::{
    DigitTiming, Engine, EngineSettings, Heard, MediaEvent, PromptLibrary, SessionSettings, Stream,
};
use crate::net::{Driver, Sockets, StreamSettings, TlsSettings, UdpTransport};
use crate::sdp::{Capabilities, Codecs, Exchange, RedundancyPolicy, Security};
use crate::sip::{
    ChangeId, EndCause, Endpoint, EndpointConfig, Event, InviteParams, SessionId, SessionIntervals, Transport,
};
use crate::units::clock::{Clock, entropy};
use crate::units::srtp::{OWN_KEYS_OCTETS, OwnKeys};
use bytes::Bytes;
use line::{Command, Line};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
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
    /// By which transport.
    pub transport: Transport,
    /// With TLS: whose certificates of servers are believed, PEM.
    pub server_ca: Option<PathBuf>,
    /// Request-URI.
    pub request_uri: String,
    /// URI for P-Asserted-Identity.
    pub identity: Option<String>,
    /// From URI; anonymous without.
    pub from: Option<String>,
    /// The session interval that is asked for (RFC 4028), s; 0 asks for none.
    pub session_expires_s: u32,
    /// Offer no telephone-event, and key with tones in the audio.
    pub in_band: bool,
    /// Where redundant payloads (RFC 2198) are offered, keys are repeated in them.
    pub redundancy: RedundancyPolicy,
    /// What is offered.
    pub codecs: Codecs,
    /// Offer SRTP and nothing else; only over TLS, which hides its keys.
    pub srtp: bool,
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

/// A caller, ready to phone.
#[derive(Debug)]
pub struct Phone {
    settings: PhoneSettings,
    engine: Arc<Engine>,
    clock: Clock,
}

impl Phone {
    /// A caller who recognises these prompts by their sound.
    ///
    /// # Errors
    /// Those of [`Phone::engine`].
    pub fn new(
        settings: PhoneSettings,
        prompts: Arc<PromptLibrary>,
        clock: Clock,
    ) -> Result<Self, PhoneError> {
        Ok(Self { settings, engine: Arc::new(Self::engine(prompts)?), clock })
    }

    /// One of many callers, whose media go through one engine, made by [`Phone::engine`].
    pub fn of_many(settings: PhoneSettings, engine: Arc<Engine>, clock: Clock) -> Self {
        Self { settings, engine, clock }
    }

    /// What carries the media of callers who recognise these prompts.
    ///
    /// # Errors
    /// No thread is to be had.
    pub fn engine(prompts: Arc<PromptLibrary>) -> Result<Engine, PhoneError> {
        // A caller hears prompts; keys are for the far end.
        let session = SessionSettings { in_band_keys: false, ..SessionSettings::default() };
        Ok(Engine::start(EngineSettings { session, ..EngineSettings::default() }, prompts)?)
    }

    fn security(&self) -> Security {
        if !self.settings.srtp {
            return Security::default();
        }
        let random = [entropy(), entropy(), entropy()].concat();
        let mut octets = [0; OWN_KEYS_OCTETS];
        octets.iter_mut().zip(random).for_each(|(to, from)| *to = from);
        Security { plain: false, keys: Some(OwnKeys::new(&octets)), dtls: None }
    }

    /// Phones; tells what happens while it happens, with the time since the INVITE.
    pub async fn call(self, mut tell: impl FnMut(Duration, &Notice)) -> Result<Report, PhoneError> {
        let PhoneSettings { transport, remote, server_ca, .. } = &self.settings;
        let mut sockets = sockets_towards(*transport, *remote, server_ca.as_ref(), self.clock)?;
        let flow = sockets
            .flow_to(self.settings.transport, self.settings.remote)
            .ok_or(PhoneError::Unreachable(self.settings.remote))?;
        let (sender, media) = mpsc::channel(MEDIA_EVENTS_WAITING);
        let stream = self.engine.open_listening(flow.local.ip(), sender)?;
        let seed = entropy();
        let capabilities = Capabilities {
            telephone_event: !self.settings.in_band,
            redundancy: self.settings.redundancy,
            ..Capabilities::new(flow.local.ip(), stream.local().port(), session_id(&seed))
                .with(self.settings.codecs.clone())
                .secured(self.security())
        };
        let mut exchange = Exchange::new(capabilities);
        let invite = self.invite(exchange.offer());
        let (commands, waiting) = mpsc::channel(WAITING);
        let (line_events, events) = mpsc::channel(WAITING);
        let (failed, failures) = mpsc::channel(1);
        let line = Line { flow, events: line_events, failures: failed, session: None, leaving: false };
        let session_expires_s = self.settings.session_expires_s;
        let session_intervals = SessionIntervals { session_expires_s, ..SessionIntervals::default() };
        let endpoint = Endpoint::new(EndpointConfig { session_intervals, ..EndpointConfig::new(seed) });
        let mut driver = tokio::spawn(Driver::new(sockets, endpoint, line, waiting, self.clock).run());
        let began = self.clock.instant();
        let mut call = Call {
            clock: self.clock,
            settings: &self.settings,
            commands,
            events,
            failures,
            media,
            stream: &stream,
            exchange,
            began,
            clips: Vec::new(),
            script: Script::new(self.settings.keys.clone(), self.settings.manner, began),
            hung_up: false,
            hang_up_at: began + self.settings.timeout,
        };
        let outcome = call.run(invite, &mut tell).await;
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

    fn invite(&self, offer: Vec<u8>) -> InviteParams {
        let from = self.settings.from.as_deref().or(self.settings.identity.as_deref());
        InviteParams {
            request_uri: self.settings.request_uri.clone(),
            from: bracketed(from.unwrap_or("sip:anonymous@anonymous.invalid")),
            to: bracketed(&self.settings.request_uri),
            p_asserted_identity: self.settings.identity.as_deref().map(bracketed),
            extra_headers: Vec::new(),
            sdp: Some(offer),
        }
    }
}

/// The socket to phone by. A connection is opened with the INVITE, and the far end's requests come by it.
pub(super) fn sockets_towards(
    transport: Transport,
    remote: SocketAddr,
    server_ca: Option<&PathBuf>,
    clock: Clock,
) -> Result<Sockets, PhoneError> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    if transport == Transport::Udp {
        return Ok(UdpTransport::bind(&[SocketAddr::new(any, 0)])?.into());
    }
    let tls = TlsSettings { server_ca: server_ca.cloned(), ..TlsSettings::default() };
    Ok(Sockets::open(&[], StreamSettings::default(), tls, clock)?)
}

/// A URI as a name-addr.
pub(super) fn bracketed(uri: &str) -> String {
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
    failures: mpsc::Receiver<PhoneError>,
    media: mpsc::Receiver<MediaEvent>,
    stream: &'a Stream,
    exchange: Exchange,
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
        tell: &mut impl FnMut(Duration, &Notice),
    ) -> Result<(Instant, Instant), PhoneError> {
        self.order(Command::Invite(Box::new(invite))).await;
        let session = self.answer(tell).await?;
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

    /// Waits for the answer, and listens to what is said before it. Keys wait for the answer.
    async fn answer(&mut self, tell: &mut impl FnMut(Duration, &Notice)) -> Result<SessionId, PhoneError> {
        let mut listens = false;
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Progress { status, body, .. }) => {
                        self.tell(tell, &Notice::Progress(status));
                        if let Some(body) = body.filter(|_| !listens) {
                            self.stream.start(self.exchange.accept(&body)?)?;
                            listens = true;
                        }
                    }
                    Some(Event::Answered { session, body, .. }) => {
                        if !listens {
                            self.stream.start(self.exchange.accept(body.as_deref().unwrap_or_default())?)?;
                        }
                        return Ok(session);
                    }
                    Some(Event::Rejected { status, reason, .. }) => {
                        // Told before the requests fail that waited for the connection.
                        let cause = self.failures.try_recv();
                        return Err(cause.unwrap_or(PhoneError::Refused { status, reason }));
                    }
                    Some(Event::Ended { .. }) | None => return Err(PhoneError::Ended),
                    Some(_) => {}
                },
                Some(event) = self.media.recv() => if let MediaEvent::Heard(heard) = event {
                    self.heard(&heard, tell);
                },
                Some(failure) = self.failures.recv() => return Err(failure),
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
                    Some(Event::SessionChange { session, change, offer }) => {
                        self.change(session, change, offer).await?;
                    }
                    Some(Event::ChangeAcknowledged { body, .. }) => {
                        let agreed = self.exchange.accept(body.as_deref().unwrap_or_default())?;
                        self.stream.start(agreed)?;
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

    /// The far end changes the session, or refreshes it.
    async fn change(
        &mut self,
        session: SessionId,
        change: ChangeId,
        offer: Option<Bytes>,
    ) -> Result<(), PhoneError> {
        let answer = match offer.map(|offer| self.exchange.answer(&offer)) {
            None => Ok(self.exchange.offer()),
            Some(Ok((answer, agreed))) => {
                self.stream.start(agreed)?;
                Ok(answer)
            }
            Some(Err(refusal)) => Err(refusal.status()),
        };
        self.order(Command::Change(session, change, answer)).await;
        Ok(())
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
                tracing::error!("keys cannot be sent: too many wait");
                return self.hang_up(session, tell).await;
            }
            _ => return,
        };
        self.heard(&heard, tell);
        match heard {
            Heard::ClipBegan { id, .. } => {
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

    fn heard(&mut self, heard: &Heard, tell: &mut impl FnMut(Duration, &Notice)) {
        self.tell(tell, &Notice::Heard(heard.clone()));
        if let Heard::ClipBegan { id, .. } = heard {
            self.clips.push(id.to_string());
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
