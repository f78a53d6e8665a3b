//! One call: joins SIP, media, flow and store, and performs the flow's effects.
//!
//! Each leg is a task with an inbox. It answers the INVITE, waits for the ACK, runs the flow, and writes the
//! call's record. A booking runs in a task of its own, so that a hang-up never cancels it (DOMAIN §5).

use super::observer::{CallEvent, Step};
use super::record::RecordBuilder;
use super::registry::Command;
use super::service::Service;
use super::trust::{self, Caller, Claims};
use crate::dialplan::Flow;
use crate::media::{MediaEvent, OpenError, Stream};
use crate::sdp::{self, Capabilities, Offer};
use crate::sip::{EndCause, IncomingInvite, Reason, Rejection};
use crate::store::CallEnd;
use crate::units::CallId;
use crate::units::rtp::StreamParameters;
use bytes::Bytes;
use std::sync::Arc;
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
    /// Why the caller's side ends the call, which the next input tells.
    ReasonGiven {
        /// The value of its Reason field (RFC 3326).
        reason: String,
    },
    /// CANCEL came before the answer.
    Cancelled,
    /// The session is over.
    Ended {
        /// Why.
        cause: EndCause,
    },
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
    /// Whether the caller's number alone does not make him a leader.
    pub(super) asks_pin: bool,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) record: RecordBuilder,
}

/// Where offer and answer stand after the 200 was sent.
#[derive(Debug)]
enum Negotiation {
    /// The offer came in the INVITE.
    Complete(StreamParameters),
    /// Our offer of this went out in the 200; the answer comes in the ACK.
    Offered(Capabilities),
}

/// A stream that is open, with what it will report.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) stream: Stream,
    pub(super) events: mpsc::Receiver<MediaEvent>,
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
        let claims = Claims { asserted: &invite.asserted_identities, from: &invite.from };
        let caller = trust::identify(&service.peers, invite.flow.remote.ip(), claims);
        let asks_pin = trust::asks_pin(&service.peers, invite.flow.remote.ip());
        let id = service.ids.call(wall);
        let record = RecordBuilder::new(id, &invite, caller, wall);
        Self { service, flow, invite, id, caller, asks_pin, commands, record }
    }

    /// The whole life of the call. Should it break, the call ends, is recorded, and leaves nothing behind.
    pub async fn run(self, inputs: mpsc::Receiver<LegInput>) {
        let span = tracing::info_span!("call", call.id = %self.id, caller = %self.caller);
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
            Ok((open, negotiation)) => match self.await_ack(&mut inputs, negotiation).await {
                Ok(negotiated) => self.converse(open, &negotiated, inputs).await,
                Err(end) => self.end(end).await,
            },
            Err(rejection) => self.refuse(rejection).await,
        }
    }

    /// Opens the media, settles or makes the offer, and sends the 200.
    async fn answer(&mut self) -> Result<(Open, Negotiation), Rejection> {
        let local = self.invite.flow.local.ip();
        let (sender, events) = mpsc::channel(MEDIA_EVENTS_A_LEG);
        let stream = self.service.media.open(local, sender).map_err(|error| self.no_media(&error))?;
        let address = self.service.media_advertised.unwrap_or(local);
        let capabilities = Capabilities::new(address, stream.local().port(), self.service.ids.sdp_session());
        let (sdp, negotiation) = match &self.invite.offer {
            Some(offer) => {
                let offer = Offer::parse(offer).map_err(|malformed| refusal(&malformed.into()))?;
                let (answer, agreed) = sdp::negotiate(&offer, &capabilities).map_err(|r| refusal(&r))?;
                (answer, Negotiation::Complete(agreed))
            }
            None => (sdp::offer(&capabilities), Negotiation::Offered(capabilities)),
        };
        self.tell_sip(Command::Accept { session: self.invite.session, sdp }).await;
        Ok((Open { stream, events }, negotiation))
    }

    fn no_media(&self, error: &OpenError) -> Rejection {
        tracing::warn!(%error, "no RTP port for a call");
        self.service.full()
    }

    /// The dialogue begins when the ACK says that the caller hears us.
    async fn await_ack(
        &mut self,
        inputs: &mut mpsc::Receiver<LegInput>,
        negotiation: Negotiation,
    ) -> Result<StreamParameters, CallEnd> {
        let mut stopped = false;
        loop {
            match inputs.recv().await {
                Some(LegInput::Confirmed { body }) => return self.agree(negotiation, body).await,
                Some(LegInput::ReasonGiven { reason }) => note_reason(&reason),
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
        negotiation: Negotiation,
        body: Option<Bytes>,
    ) -> Result<StreamParameters, CallEnd> {
        let answered = match negotiation {
            Negotiation::Complete(agreed) => return Ok(agreed),
            Negotiation::Offered(capabilities) => {
                sdp::accept_answer(&capabilities, body.as_deref().unwrap_or_default())
            }
        };
        match answered {
            Ok(negotiated) => Ok(negotiated),
            Err(refusal) => {
                // RFC 3261 §13.2.2.4: an unacceptable answer ends in a BYE.
                tracing::info!(%refusal, "the ACK's answer cannot be used");
                self.hang_up(Reason::NotAcceptable).await;
                Err(CallEnd::Failed)
            }
        }
    }

    pub(super) async fn hang_up(&self, reason: Reason) {
        self.tell_sip(Command::Bye { session: self.invite.session, reason }).await;
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

    pub(super) fn tell(&self, step: Step) {
        self.service.observer.tell(|| CallEvent {
            at: self.service.clock.wall(),
            call: self.id,
            sip_call_id: self.invite.call_id.clone(),
            step,
        });
    }
}

/// The status for an offer that cannot be answered; a Warning says why (RFC 3261 §20.43).
fn refusal(refusal: &sdp::Refusal) -> Rejection {
    tracing::info!(%refusal, "the offer cannot be answered");
    match refusal {
        sdp::Refusal::Malformed(_) => Rejection::new(400),
        sdp::Refusal::NotAcceptable(why) => Rejection {
            headers: vec![("Warning".to_owned(), format!("{} klikon \"{why}\"", why.warn_code()))],
            ..Rejection::new(488)
        },
    }
}

/// Why the caller's side ends the call: in its own words, which may hold anything.
pub(super) fn note_reason(reason: &str) {
    tracing::info!(?reason, "the caller's side says why it ends the call");
}

/// What our BYE says of a call that ends so.
pub(super) fn reason_of(end: CallEnd) -> Reason {
    match end {
        CallEnd::RtpTimeout => Reason::TimerExpiry,
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
        EndCause::SetupTimeout | EndCause::AnsweredAfterCancel => CallEnd::Failed,
    }
}
