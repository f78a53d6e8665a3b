//! The conversation of a call: events in, effects out, until somebody hangs up.

mod recorded;

use super::business::{Answer, Business};
use super::key_source::{ChosenSource, KeySource};
use super::leg::{Leg, LegInput, Open, call_end, reason_of};
use super::negotiation::Negotiation;
use super::observer::Step;
use super::quality::media_quality;
use super::recording::CallRecording;
use super::speak::speak;
use crate::dialplan::{Effect, Event, Interpreter, PlayId, RequestId, Segment};
use crate::media::{CommandError, Element, MediaEvent, Statistics, Stream};
use crate::recording::EndedBy;
use crate::sip::EndCause;
use crate::store::CallEnd;
use crate::units::rtp::{Direction, StreamParameters};
use crate::units::srtp::{Keying, Profile};
use bytes::Bytes;
use recorded::{ANNOUNCEMENT_PLAY, MAX_EARLY};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

/// The prompt that ends a call which the flow itself does not end.
const FAREWELL: &str = "goodbye";
/// Its play, beyond any that a flow numbers.
const FAREWELL_PLAY: u64 = u64::MAX;
/// The longest that a flow without a question plays before the answer.
const LONGEST_BEFORE_ANSWER: Duration = Duration::from_secs(30);
/// Patience with the farewell's end.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);

/// What the conversation is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The caller is told that the call is recorded; no key stops that.
    Announcing,
    /// The flow runs.
    Flow,
    /// The last words of a call that ends from outside the flow, spoken until then at the latest.
    Farewell { until: Instant, end: CallEnd },
    /// BYE was sent. Its answer is the endpoint's to wait for: the record does not depend on it.
    Over(CallEnd),
}

struct Conversation {
    leg: Leg,
    business: Arc<Business>,
    interpreter: Interpreter,
    stream: Stream,
    negotiation: Negotiation,
    /// What the stream does.
    agreed: StreamParameters,
    key_source: ChosenSource,
    /// Queries and bookings under way: more than one where the flow went on without an answer.
    pending: JoinSet<(RequestId, Answer)>,
    phase: Phase,
    /// How a handshake has protected the stream.
    secured: Option<Profile>,
    /// The play that is on.
    playing: Option<u64>,
    /// Keys that came before the flow began.
    early: Vec<(Instant, Event)>,
    /// What is kept of the call besides its record.
    recording: Option<Box<CallRecording>>,
    /// When the call is answered in any case.
    answers_by: Instant,
    ends_at: Instant,
}

impl Leg {
    /// Runs the flow to its end, then writes the record.
    pub(super) async fn converse(
        mut self,
        open: Open,
        agreed: StreamParameters,
        mut inputs: mpsc::Receiver<LegInput>,
    ) {
        let Open { stream, mut events, negotiation } = open;
        if let Err(error) = stream.start(agreed) {
            tracing::error!(%error, "the media worker takes no stream");
            self.hang_up(reason_of(CallEnd::Failed)).await;
            return self.end(CallEnd::Failed).await;
        }
        let now = self.service.clock.instant();
        if !self.is_unanswered() {
            self.note_answered();
        }
        if agreed.telephone_event.is_none() {
            say_how_keys_come(self.service.media.reads_in_band_keys());
        }
        let mut conversation = Conversation {
            business: Arc::new(Business::new(Arc::clone(&self.service), self.id, self.caller, self.asks_pin)),
            interpreter: Interpreter::new(Arc::clone(&self.flow)),
            stream,
            negotiation,
            agreed,
            key_source: ChosenSource::default(),
            pending: JoinSet::new(),
            phase: Phase::Announcing,
            secured: None,
            playing: None,
            early: Vec::new(),
            recording: None,
            answers_by: now + LONGEST_BEFORE_ANSWER,
            ends_at: now + self.service.settings.max_duration(),
            leg: self,
        };
        let end = conversation.run(&mut inputs, &mut events).await;
        if let Some(recording) = conversation.recording.take() {
            recording.end(EndedBy::Call, &conversation.stream);
        }
        let summary = conversation.stream.finish();
        let (mut leg, mut pending, agreed) = (conversation.leg, conversation.pending, conversation.agreed);
        let described = agreed.security.and_then(Keying::described);
        let protection = described.map(|keys| keys.send.profile()).or(conversation.secured);
        if let Ok(summary) = summary.await {
            account_for(&summary.statistics, &agreed, protection);
            leg.record.media(media_quality(&summary.statistics, &agreed));
        }
        // A booking that was under way when the caller hung up goes on; the record waits for what became of it.
        while let Some(answered) = pending.join_next().await {
            if let Some((_, answer)) = unbroken(answered) {
                leg.note(&answer);
            }
        }
        leg.end(end).await;
    }

    fn note(&mut self, answer: &Answer) {
        self.record.outcome(&answer.name, answer.outcome);
        self.tell(answer.step());
    }
}

impl Conversation {
    async fn run(
        &mut self,
        inputs: &mut mpsc::Receiver<LegInput>,
        events: &mut mpsc::Receiver<MediaEvent>,
    ) -> CallEnd {
        self.begin().await;
        loop {
            if let Phase::Over(end) = self.phase {
                return end;
            }
            let (limit, due) = (self.limit(), self.interpreter.deadline().unwrap_or(self.ends_at));
            tokio::select! {
                // What ends the call comes before the caller's keys, which may be many.
                biased;
                input = inputs.recv() => match input {
                    Some(LegInput::Ended { cause }) => return self.ended(cause),
                    Some(LegInput::Stop) => self.farewell(CallEnd::Shutdown).await,
                    Some(LegInput::Record(order)) => self.record(order),
                    Some(LegInput::Change(change)) => {
                        self.leg.answer_change(&mut self.negotiation, &change).await;
                        self.apply().await;
                    }
                    Some(LegInput::ChangeAcknowledged { body }) => {
                        if let Err(refusal) = self.negotiation.accept(body.as_ref()) {
                            // RFC 3261 §13.2.2.4, as for the first answer.
                            tracing::info!(%refusal, "the ACK's answer cannot be used");
                            self.hang_up(CallEnd::Failed).await;
                        }
                        self.apply().await;
                    }
                    Some(LegInput::ChangeWithdrawn) => {
                        self.negotiation.take_back();
                        self.apply().await;
                    }
                    Some(LegInput::Key { key, at }) => self.key_by_info(at, key).await,
                    Some(LegInput::ReasonGiven { reason }) => self.leg.note_reason(&reason),
                    Some(LegInput::Confirmed { .. }) => self.leg.note_answered(),
                    Some(LegInput::Cancelled) => return CallEnd::Cancelled,
                    Some(LegInput::RefreshAnswered { body }) => self.refreshed(&body).await,
                    Some(LegInput::EarlyConfirmed { .. }) => {}
                    None => return CallEnd::Shutdown,
                },
                () = tokio::time::sleep_until(limit.into()) => self.at_limit().await,
                () = tokio::time::sleep_until(self.answers_by.into()), if self.leg.is_unanswered() => {
                    self.leg.accept().await;
                }
                Some(answered) = self.pending.join_next() => self.answered(answered).await,
                event = events.recv() => match event {
                    Some(event) => self.media(event).await,
                    None => self.deaf().await,
                },
                () = tokio::time::sleep_until(due.into()), if self.phase == Phase::Flow => {
                    self.step(Event::Timeout).await;
                }
            }
        }
    }

    fn now(&self) -> Instant {
        self.leg.service.clock.instant()
    }

    /// Until when the call may go on as it does.
    fn limit(&self) -> Instant {
        match self.phase {
            Phase::Farewell { until, .. } => until,
            Phase::Announcing | Phase::Flow | Phase::Over(_) => self.ends_at,
        }
    }

    async fn at_limit(&mut self) {
        match self.phase {
            Phase::Announcing | Phase::Flow => self.farewell(CallEnd::Goodbye).await,
            Phase::Farewell { end, .. } => self.hang_up(end).await,
            Phase::Over(_) => {}
        }
    }

    /// The session ended; during the farewell it is the farewell's reason that counts.
    fn ended(&self, cause: EndCause) -> CallEnd {
        match self.phase {
            Phase::Farewell { end, .. } => end,
            Phase::Announcing | Phase::Flow | Phase::Over(_) => call_end(cause),
        }
    }

    /// The media worker has let go of the stream: nothing can be said or heard any more.
    async fn deaf(&mut self) {
        tracing::error!("the media worker has dropped the stream; the call is ended");
        self.hang_up(CallEnd::Failed).await;
    }

    async fn media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::PlayDone { play_id: FAREWELL_PLAY, .. } => self.at_limit().await,
            MediaEvent::PlayDone { play_id: ANNOUNCEMENT_PLAY, .. } => self.begin_flow().await,
            MediaEvent::PlayDone { play_id, interrupted } => {
                // One that we stopped or replaced ourselves is not playing any more.
                if self.playing == Some(play_id) {
                    self.playing = None;
                    if interrupted {
                        self.tell(Step::BargeIn);
                    }
                }
                let id = PlayId(u32::try_from(play_id).unwrap_or(u32::MAX));
                self.step(Event::PlayDone { id, interrupted }).await;
            }
            // A key counts when it was pressed, not when we get to it: on a busy machine one pressed before the
            // confirmation must not come out of its guard against type-ahead (DOMAIN §5).
            MediaEvent::DigitBegan { at, digit } if self.key_source.admits(KeySource::Stream) => {
                self.record_key_began(at, digit);
                self.step_at(at, Event::DigitBegan).await;
            }
            MediaEvent::Digit { digit, at } if self.key_source.admits(KeySource::Stream) => {
                self.record_key_ended(at);
                self.digit(at, digit).await;
            }
            // The caller's side sends its keys by INFO.
            MediaEvent::DigitBegan { .. } | MediaEvent::Digit { .. } => {}
            MediaEvent::RtpTimeout => {
                tracing::info!("no RTP from the caller; the call is ended");
                self.hang_up(CallEnd::RtpTimeout).await;
            }
            MediaEvent::Secured(profile) => {
                tracing::info!(profile = profile.name(), "the stream has its keys");
                self.secured = Some(profile);
            }
            MediaEvent::Unsecured(failure) => {
                tracing::info!(%failure, "the stream gets no keys; the call is ended");
                self.hang_up(CallEnd::Failed).await;
            }
            // The caller's side of a session.
            MediaEvent::DigitsSent | MediaEvent::DigitsRefused | MediaEvent::Heard(_) => {}
        }
    }

    async fn digit(&mut self, at: Instant, digit: char) {
        self.leg.tell(Step::Digit);
        self.step_at(at, Event::Digit(digit)).await;
    }

    /// A key that came by INFO: the same as one of the stream, of which only the end is known. As there, none counts
    /// while the caller is on hold.
    async fn key_by_info(&mut self, at: Instant, key: char) {
        if self.agreed.direction != Direction::SendRecv || !self.key_source.admits(KeySource::Info) {
            return tracing::debug!("a key by INFO is passed over");
        }
        self.tell_stream_where_keys_come_from();
        self.record_key_by_info(at, key);
        self.digit(at, key).await;
    }

    fn tell_stream_where_keys_come_from(&self) {
        if let Err(error) = self.stream.set_keys_elsewhere(self.key_source.is_elsewhere()) {
            tracing::error!(%error, "the stream could not be told where keys come from");
        }
    }

    /// The peer's answer to a refresh of ours: one that cannot be used leaves the session as it was.
    async fn refreshed(&mut self, answer: &Bytes) {
        match self.negotiation.accept_refresh(answer) {
            Ok(()) => self.apply().await,
            Err(refusal) => tracing::warn!(%refusal, "the answer to a refresh cannot be used"),
        }
    }

    /// Lets the stream and the dialogue do as was agreed.
    async fn apply(&mut self) {
        let Some(agreed) = self.negotiation.agreed().filter(|agreed| *agreed != self.agreed) else { return };
        if let Err(error) = self.stream.start(agreed) {
            tracing::error!(%error, "the stream could not be changed");
            return self.hang_up(CallEnd::Failed).await;
        }
        if agreed.telephone_event.is_some() != self.agreed.telephone_event.is_some() {
            self.key_source.release();
            self.tell_stream_where_keys_come_from();
        }
        self.agreed = agreed;
        self.hold_or_resume();
        let (direction, encoding) = (agreed.direction.name(), agreed.encoding.name());
        tracing::info!(direction, encoding, remote = %agreed.remote, "the session has changed");
        self.tell(Step::Session { direction: direction.to_owned(), encoding: encoding.to_owned() });
    }

    /// The dialogue waits for a caller who cannot hear, or cannot answer. How long a call may last goes on counting.
    fn hold_or_resume(&mut self) {
        let now = self.now();
        if self.agreed.direction == Direction::SendRecv {
            self.interpreter.thaw(now);
        } else {
            self.interpreter.freeze(now);
        }
    }

    async fn answered(&mut self, answered: Result<(RequestId, Answer), JoinError>) {
        // Of one that broke the flow's own patience decides what the caller hears.
        let Some((id, answer)) = unbroken(answered) else { return };
        self.leg.note(&answer);
        self.record_step(&answer.step());
        let Answer { outcome, values, .. } = answer;
        self.step(Event::Result { id, outcome: outcome.to_owned(), values }).await;
    }

    /// One event into the flow, its effects performed. After the flow's end nothing reaches it.
    async fn step(&mut self, event: Event) {
        self.step_at(self.now(), event).await;
    }

    async fn step_at(&mut self, at: Instant, event: Event) {
        match self.phase {
            Phase::Flow => {
                let effects = self.interpreter.handle(at, event);
                self.perform(effects).await;
            }
            Phase::Announcing if self.early.len() < MAX_EARLY => self.early.push((at, event)),
            Phase::Announcing | Phase::Farewell { .. } | Phase::Over(_) => {}
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.record_booking(&effect);
            match effect {
                Effect::Play { id, segments, bargein } => {
                    if self.play(id, &segments, bargein).is_err() {
                        self.hang_up(CallEnd::Failed).await;
                    }
                }
                Effect::StopPlay(_) => self.stop_play(),
                Effect::Query { id, name, arguments } | Effect::Book { id, name, arguments } => {
                    let business = Arc::clone(&self.business);
                    let work = async move { (id, business.perform(&name, arguments).await) };
                    self.pending.spawn(work.in_current_span());
                }
                Effect::Hangup => self.hang_up(CallEnd::Goodbye).await,
                Effect::EnteredNode(node) => {
                    // A question needs somebody who has taken up the receiver, and whose call may cost.
                    if self.leg.flow.asks(&node) {
                        self.leg.accept().await;
                    }
                    tracing::debug!(node, "entered");
                    self.record_node(&node);
                    self.leg.record.node(&node);
                    self.leg.tell(Step::Node { node });
                }
            }
        }
    }

    fn play(&mut self, id: PlayId, segments: &[Segment], bargein: bool) -> Result<(), CommandError> {
        let service = &self.leg.service;
        let spoken = speak(&service.prompts, service.media.library(), segments);
        self.tell(Step::Say { text: spoken.masked_text, whole_text: spoken.text });
        self.start_play(id.0.into(), spoken.elements, bargein)
    }

    /// Replaces whatever is playing.
    fn start_play(
        &mut self,
        play_id: u64,
        elements: Vec<Element>,
        bargein: bool,
    ) -> Result<(), CommandError> {
        self.stop_play();
        self.playing = Some(play_id);
        self.stream
            .play(play_id, elements, bargein)
            .inspect_err(|error| tracing::error!(%error, "a prompt could not be played"))
    }

    fn stop_play(&mut self) {
        if self.playing.take().is_some()
            && let Err(error) = self.stream.stop()
        {
            tracing::error!(%error, "a prompt could not be stopped");
        }
    }

    /// Never a bare hang-up (DOMAIN §5): the caller hears goodbye first, unless he is on hold and could not.
    async fn farewell(&mut self, end: CallEnd) {
        if !matches!(self.phase, Phase::Announcing | Phase::Flow) {
            return;
        }
        if !self.agreed.direction.sends() {
            return self.hang_up(end).await;
        }
        let goodbye = self.leg.service.media.library().lookup(FAREWELL);
        let playing = goodbye
            .map(|clip| self.start_play(FAREWELL_PLAY, vec![Element::Clip(clip)], false))
            .is_some_and(|played| played.is_ok());
        if playing {
            self.phase = Phase::Farewell { until: self.now() + LONGEST_FAREWELL, end };
        } else {
            self.hang_up(end).await;
        }
    }

    async fn hang_up(&mut self, end: CallEnd) {
        if !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(end);
            self.leg.hang_up(reason_of(end)).await;
        }
    }
}

/// Of a caller's side that does not know telephone-event (RFC 4733).
fn say_how_keys_come(in_band: bool) {
    if in_band {
        tracing::info!(
            "no telephone-event is agreed on, so keys are read from tones in the audio, or by INFO"
        );
    } else {
        tracing::warn!(
            "the caller's side does not know telephone-event, and `media.in_band_keys` is off, so no key of this call can be \
             heard, unless it comes by INFO"
        );
    }
}

/// The answer of a task that did not panic.
fn unbroken(answered: Result<(RequestId, Answer), JoinError>) -> Option<(RequestId, Answer)> {
    answered.inspect_err(|error| tracing::error!(%error, "a query or booking broke")).ok()
}

/// Says what came over RTP; a caller who was not heard at all is told apart from one who said nothing.
fn account_for(counted: &Statistics, agreed: &StreamParameters, protection: Option<Profile>) {
    let (events, tones) = (counted.keys.presses, counted.in_band.presses);
    tracing::info!(
        sent = counted.transmitted,
        srtp = protection.map(Profile::name),
        keys = agreed.security.map(|keying| match keying {
            Keying::Described(_) => "SDES",
            Keying::Handshake(_) => "DTLS",
        }),
        received = counted.received,
        lost = counted.lost,
        events,
        tones,
        redundancy = agreed.redundancy.is_some(),
        recovered = counted.keys.recovered,
        rtcp_sent = counted.rtcp.sent,
        rtcp_received = counted.rtcp.received,
        "rtp"
    );
    if came_only_from_elsewhere(counted) {
        tracing::warn!(
            packets = counted.dropped_source,
            agreed = %agreed.remote,
            "the caller's RTP came from another address than his session description says, and none of it was taken, \
             no key either; when callers are behind NAT set `media.nat = true`"
        );
    }
}

/// Packets came, none was taken, and their source was a reason.
fn came_only_from_elsewhere(counted: &Statistics) -> bool {
    counted.accepted == 0 && counted.dropped_source > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_heard_from_elsewhere_only_is_told_apart() {
        let silent = Statistics::default();
        assert!(!came_only_from_elsewhere(&silent));
        let elsewhere = Statistics { received: 400, dropped_source: 400, ..silent };
        assert!(came_only_from_elsewhere(&elsewhere));
        // A stranger's packets beside the caller's own are no reason to change a setting.
        assert!(!came_only_from_elsewhere(&Statistics { accepted: 1, ..elsewhere }));
    }
}
