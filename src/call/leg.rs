//! One call: joins SIP, media, flow and store, and performs the flow's effects.
//!
//! Each leg is a task with an inbox. It answers the INVITE, waits for the ACK, runs the flow, and writes the
//! call's record. A booking runs in a task of its own, so that a hang-up never cancels it (DOMAIN §5).

use super::negotiation::{Change, Negotiation};
use super::observer::{CallEvent, Step};
use super::record::RecordBuilder;
use super::recording::RecordOrder;
use super::registry::Command;
use super::service::Service;
use super::settings::{EarlyMedia, Srtp};
use super::trust::{Caller, Shown, origin_of};
use crate::dialplan::Flow;
use crate::media::{MediaEvent, OpenError, Reach, Stream};
use crate::sdp::{Capabilities, Endpoint, Security};
use crate::sip::{EndCause, IncomingInvite, Reason, Rejection, Reliability};
use crate::store::CallEnd;
use crate::units::CallId;
use crate::units::rtp::StreamParameters;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tracing::Instrument;

/// Media events that may wait: a second of a caller who keys as fast as a machine can.
const MEDIA_EVENTS_A_LEG: usize = 64;

/// What the SIP side tells a leg.
#[derive(Debug)]
pub enum LegInput {
    /// The ACK arrived, with an SDP answer when the offer was ours.
    Confirmed {
        /// Body of the ACK.
        body: Option<Bytes>,
    },
    /// The peer asks for a change of the session.
    Change(Change),
    /// The ACK to our 200 came that held an offer in mid-call, with its answer.
    ChangeAcknowledged {
        /// Body of the ACK.
        body: Option<Bytes>,
    },
    /// The last change was taken back, or ended with the call, before our answer went out.
    ChangeWithdrawn,
    /// A key came by INFO.
    Key {
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        key: char,
        /// When.
        at: Instant,
    },
    /// Why the caller's side ends the call, which the next input tells.
    ReasonGiven {
        /// The value of its Reason field (RFC 3326).
        reason: String,
    },
    /// The caller hears us before the answer, with an SDP answer when the offer was ours.
    EarlyConfirmed {
        /// Body of the PRACK.
        body: Option<Bytes>,
    },
    /// The answer to a refresh of ours.
    RefreshAnswered {
        /// Body of the 200.
        body: Bytes,
    },
    /// CANCEL came before the answer.
    Cancelled,
    /// The session is over.
    Ended {
        /// Why.
        cause: EndCause,
    },
    /// An operator asks to record the call, or no longer.
    Record(RecordOrder),
    /// The server stops: say goodbye.
    Stop,
}

/// One call, before its conversation.
#[derive(Debug)]
pub struct Leg {
    pub(super) service: Arc<Service>,
    pub(super) flow: Arc<Flow>,
    pub(super) invite: IncomingInvite,
    pub(super) id: CallId,
    pub(super) caller: Caller,
    pub(super) shown: Shown,
    /// Whether the caller's number alone does not make him a leader.
    pub(super) asks_pin: bool,
    /// Neither a peer nor a user vouches for the caller.
    is_stranger: bool,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) record: RecordBuilder,
    /// The call is not answered yet, and the caller hears us all the same: what the 200 will say.
    unanswered: Option<Vec<u8>>,
}

/// A stream that is open, with what it will report, and what is agreed about it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) stream: Stream,
    pub(super) events: mpsc::Receiver<MediaEvent>,
    pub(super) negotiation: Negotiation,
}

impl Leg {
    /// A leg for an INVITE that was admitted.
    pub fn new(
        service: Arc<Service>,
        flow: Arc<Flow>,
        invite: IncomingInvite,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let wall = service.clock.wall();
        let identified = service.neighbours.identify(&invite);
        let asks_pin = identified.asks_pin;
        let is_stranger = identified.peer.is_none() && invite.authenticated.is_none();
        let (caller, shown) = (identified.caller, identified.caller.shown(&invite.privacy));
        let id = service.ids.call(wall);
        let origin = origin_of(&invite, &identified);
        let record = RecordBuilder::new(id, &invite, caller, origin, wall);
        Self {
            service,
            flow,
            invite,
            id,
            caller,
            shown,
            asks_pin,
            is_stranger,
            commands,
            record,
            unanswered: None,
        }
    }

    /// The whole life of the call. Should it break, the call ends, is recorded, and leaves nothing behind.
    pub async fn run(self, inputs: mpsc::Receiver<LegInput>) {
        let span = tracing::info_span!("call", call.id = %self.id, caller = %self.shown);
        let (service, session) = (Arc::clone(&self.service), self.invite.session);
        let (commands, mut record) = (self.commands.clone(), self.record.clone());
        let life = tokio::spawn(self.live(inputs).instrument(span.clone()));
        if let Err(error) = life.await {
            span.in_scope(|| tracing::error!(%error, "a call broke"));
            // It takes a session whose ACK has not come, or that is over, as well as any other.
            let _ = commands.send(Command::Bye { session, reason: Reason::TemporaryFailure }).await;
            let failed = record.finish(CallEnd::Failed, service.clock.wall());
            service.record(&failed).instrument(span).await;
        }
        // The driver outlives every leg; when it is gone there is nobody left to tell.
        let _ = commands.send(Command::Gone { session }).await;
    }

    async fn live(mut self, mut inputs: mpsc::Receiver<LegInput>) {
        match self.answer().await {
            Ok(mut open) => match self.await_caller(&mut inputs, &mut open.negotiation).await {
                Ok(agreed) => self.converse(open, agreed, inputs).await,
                Err(end) => self.end(end).await,
            },
            Err(rejection) => self.refuse(rejection).await,
        }
    }

    /// Opens the media, settles or makes the offer, and sends the 200, or a 183 before it.
    async fn answer(&mut self) -> Result<Open, Rejection> {
        let local = self.invite.flow.local.ip();
        let (sender, events) = mpsc::channel(MEDIA_EVENTS_A_LEG);
        let stream =
            self.service.media.open(local, self.reach(), sender).map_err(|error| self.no_media(&error))?;
        let address = self.service.media_advertised.unwrap_or(local);
        let ours = Capabilities::new(address, stream.local().port(), self.service.ids.sdp_session())
            .with(self.service.codecs.clone())
            .secured(self.security());
        let capabilities = Capabilities { redundancy: self.service.redundancy, ..ours };
        let mut negotiation = Negotiation::new(capabilities);
        let sdp = negotiation.describe(self.invite.offer.as_ref())?;
        let session = self.invite.session;
        if self.service.settings.ringing {
            self.tell_sip(Command::Ring { session }).await;
        }
        if self.begins_early() {
            self.unanswered = Some(sdp.clone());
            self.tell_sip(Command::Progress { session, sdp }).await;
        } else {
            self.tell_sip(Command::Accept { session, sdp }).await;
        }
        Ok(Open { stream, events, negotiation })
    }

    /// What protection of the media is agreed to. Keys are named only where TLS hides them (RFC 4568 §8.3), and a fingerprint
    /// is believed only where nobody else can have changed it.
    fn security(&self) -> Security {
        let is_hidden = self.invite.flow.transport.is_secure();
        let keys = (is_hidden && self.service.srtp != Srtp::Off).then(|| self.service.ids.own_keys());
        let fingerprint = self.service.media.fingerprint().filter(|_| is_hidden);
        let dtls = fingerprint.map(|fingerprint| Endpoint { ice: self.service.ids.ice(), fingerprint });
        Security { plain: self.service.srtp != Srtp::Required, keys, dtls }
    }

    /// A stranger who has acknowledged the call has proved the address that he signals from, and no other.
    fn reach(&self) -> Reach {
        if self.is_stranger { Reach::Consenting(self.invite.flow.remote.ip()) } else { Reach::Anywhere }
    }

    fn no_media(&self, error: &OpenError) -> Rejection {
        tracing::warn!(%error, "no RTP port for a call");
        self.service.full()
    }

    /// Whether the caller is to hear us before the answer. An offer of ours needs a PRACK for its answer; a stranger has
    /// to send one too, which proves that the INVITE really came from him.
    fn begins_early(&self) -> bool {
        let without_prack = self.invite.offer.is_some() && !self.is_stranger;
        self.service.settings.early_media == EarlyMedia::Welcome
            && (without_prack || self.invite.reliability != Reliability::None)
    }

    /// Answers the call, where that is not done yet: its 200 says what the 183 said.
    pub(super) async fn accept(&mut self) {
        if let Some(sdp) = self.unanswered.take() {
            self.tell_sip(Command::Accept { session: self.invite.session, sdp }).await;
        }
    }

    /// Whether the answer is still to come.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered.is_some()
    }

    /// The ACK came.
    pub(super) fn note_answered(&mut self) {
        self.record.answered(self.service.clock.wall());
        self.tell(Step::Answered {
            called: self.invite.called.clone().unwrap_or_default(),
            flow: self.flow.name().to_owned(),
            caller: self.shown.to_string(),
        });
        tracing::info!("call answered");
    }

    /// The dialogue begins when the ACK says that the caller hears us, or the PRACK of early media; of a 183 that is not
    /// reliable nothing says so.
    async fn await_caller(
        &mut self,
        inputs: &mut mpsc::Receiver<LegInput>,
        negotiation: &mut Negotiation,
    ) -> Result<StreamParameters, CallEnd> {
        if let (Some(_), Reliability::None, Some(agreed)) =
            (&self.unanswered, self.invite.reliability, negotiation.agreed())
        {
            return Ok(agreed);
        }
        let mut stopped = false;
        loop {
            match inputs.recv().await {
                Some(LegInput::Confirmed { body } | LegInput::EarlyConfirmed { body }) => {
                    return self.agree(negotiation, body).await;
                }
                Some(LegInput::Change(change)) => self.answer_change(negotiation, &change).await,
                Some(LegInput::ChangeWithdrawn) => negotiation.take_back(),
                // What is keyed before the dialogue begins is keyed to nobody.
                Some(
                    LegInput::Key { .. }
                    | LegInput::ChangeAcknowledged { .. }
                    | LegInput::RefreshAnswered { .. },
                ) => {}
                Some(LegInput::Record(order)) => {
                    let _ = order.answer.send(Err("the call is not answered yet".to_owned()));
                }
                Some(LegInput::ReasonGiven { reason }) => self.note_reason(&reason),
                Some(LegInput::Cancelled) => return Err(CallEnd::Cancelled),
                Some(LegInput::Ended { .. }) if stopped => return Err(CallEnd::Shutdown),
                Some(LegInput::Ended { cause }) => return Err(call_end(cause)),
                Some(LegInput::Stop) => {
                    stopped = true;
                    self.hang_up(Reason::TemporaryFailure).await;
                }
                None => return Err(CallEnd::Shutdown),
            }
        }
    }

    async fn agree(
        &self,
        negotiation: &mut Negotiation,
        body: Option<Bytes>,
    ) -> Result<StreamParameters, CallEnd> {
        if negotiation.agreed().is_none()
            && let Err(refusal) = negotiation.accept(body.as_ref())
        {
            // RFC 3261 §13.2.2.4: an unacceptable answer ends in a BYE.
            tracing::info!(%refusal, "the ACK's answer cannot be used");
            self.hang_up(Reason::NotAcceptable).await;
        }
        negotiation.agreed().ok_or(CallEnd::Failed)
    }

    /// Answers a change of the session that the peer asks for; one that is refused changes nothing.
    pub(super) async fn answer_change(&self, negotiation: &mut Negotiation, change: &Change) {
        let (session, id) = (self.invite.session, change.id);
        negotiation.set_fresh_credentials(self.service.ids.ice());
        let command = match negotiation.describe(change.offer.as_ref()) {
            Ok(sdp) => Command::AnswerChange { session, change: id, sdp },
            Err(rejection) => Command::RefuseChange { session, change: id, rejection },
        };
        self.tell_sip(command).await;
    }

    /// Ends the call with BYE; one that is not answered is refused, and costs its caller nothing.
    pub(super) async fn hang_up(&self, reason: Reason) {
        let session = self.invite.session;
        let status = match reason {
            Reason::NormalClearing => 603,
            Reason::NotAcceptable => 488,
            _ => 480,
        };
        let command = match self.unanswered {
            Some(_) => Command::Reject { session, rejection: Rejection::new(status) },
            None => Command::Bye { session, reason },
        };
        self.tell_sip(command).await;
    }

    async fn tell_sip(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::warn!("the SIP driver is gone");
        }
    }

    async fn refuse(mut self, rejection: Rejection) {
        let status = rejection.status;
        tracing::info!(status, "call refused");
        self.tell_sip(Command::Reject { session: self.invite.session, rejection }).await;
        self.tell(Step::Refused { status });
        self.write_record(CallEnd::Rejected).await;
    }

    /// Everything after the last word: the record, and the news.
    pub(super) async fn end(mut self, end: CallEnd) {
        self.write_record(end).await;
        tracing::info!(end = end.label(), "call ended");
        self.tell(Step::Ended { cause: end.label().to_owned() });
    }

    async fn write_record(&mut self, end: CallEnd) {
        let record = self.record.finish(end, self.service.clock.wall());
        self.service.record(&record).await;
    }

    /// Why the caller's side ends the call: in its own words, which may hold anything.
    pub(super) fn note_reason(&mut self, reason: &str) {
        tracing::info!(?reason, "the caller's side says why it ends the call");
        self.record.reason(reason);
    }

    pub(super) fn tell(&self, step: Step) {
        self.service.observer.tell(|| CallEvent {
            at: self.service.clock.wall(),
            call: self.id,
            sip_call_id: self.invite.call_id.clone(),
            step,
        });
    }
}

/// What our BYE says of a call that ends so.
pub(super) fn reason_of(end: CallEnd) -> Reason {
    match end {
        CallEnd::RtpTimeout | CallEnd::SessionExpired => Reason::TimerExpiry,
        CallEnd::Failed | CallEnd::Shutdown => Reason::TemporaryFailure,
        _ => Reason::NormalClearing,
    }
}

/// How a session's end stands in the call record.
pub(super) fn call_end(cause: EndCause) -> CallEnd {
    match cause {
        EndCause::ByeReceived => CallEnd::CallerHungUp,
        EndCause::ByeCompleted | EndCause::ByeTimeout => CallEnd::Goodbye,
        EndCause::AckTimeout | EndCause::PrackTimeout => CallEnd::AckTimeout,
        EndCause::SessionExpired | EndCause::RefreshFailed => CallEnd::SessionExpired,
        EndCause::SetupTimeout | EndCause::AnsweredAfterCancel => CallEnd::Failed,
    }
}
