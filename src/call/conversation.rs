//! The conversation of a call: events in, effects out, until somebody hangs up.

use super::business::{Answer, Business};
use super::leg::{Leg, LegInput, Open, call_end};
use super::observer::Step;
use super::speak::speak;
use crate::dialplan::{Effect, Event, Interpreter, PlayId, RequestId, Segment};
use crate::media::{Element, MediaEvent, Stream};
use crate::store::CallEnd;
use crate::units::rtp::StreamParameters;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Between hanging up and giving up on the BYE's answer: 64·T1 with room, for any T1 up to a second.
const BYE_PATIENCE: Duration = Duration::from_secs(70);
/// The prompt that ends a call which the flow itself does not end.
const FAREWELL: &str = "goodbye";
/// Its play, beyond any that a flow numbers.
const FAREWELL_PLAY: u64 = u64::MAX;
/// Patience with the farewell's end.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);

/// What the conversation is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The flow runs.
    Flow,
    /// The last words of a call that ends from outside the flow, spoken until then at the latest.
    Farewell(Instant),
    /// BYE was sent; its end is awaited until then.
    HungUp(Instant),
}

/// A query or booking under way.
type Pending = (RequestId, JoinHandle<Answer>);

struct Conversation {
    leg: Leg,
    business: Arc<Business>,
    interpreter: Interpreter,
    stream: Stream,
    pending: Option<Pending>,
    phase: Phase,
    /// The play that is on.
    playing: Option<u64>,
    ends_at: Instant,
    /// Why the service ended the call itself, when it did.
    ended_by: Option<CallEnd>,
}

impl Leg {
    /// Runs the flow to its end, then writes the record.
    pub(super) async fn converse(
        mut self,
        open: Open,
        agreed: &StreamParameters,
        mut inputs: mpsc::Receiver<LegInput>,
    ) {
        let Open { stream, mut events } = open;
        if let Err(error) = stream.start(*agreed) {
            tracing::error!(%error, "the media worker takes no stream");
            self.hang_up().await;
            return self.end(CallEnd::Failed).await;
        }
        let reading = self.service.clock.read();
        self.record.answered(reading.wall);
        self.tell(Step::Answered {
            called: self.invite.called.clone().unwrap_or_default(),
            flow: self.flow.name().to_owned(),
            caller: self.caller.to_string(),
        });
        tracing::info!("call answered");
        let mut conversation = Conversation {
            business: Arc::new(Business::new(Arc::clone(&self.service), self.id, self.caller)),
            interpreter: Interpreter::new(Arc::clone(&self.flow)),
            stream,
            pending: None,
            phase: Phase::Flow,
            playing: None,
            ends_at: reading.instant + self.service.settings.max_duration(),
            ended_by: None,
            leg: self,
        };
        let end = conversation.run(&mut inputs, &mut events).await;
        conversation.stream.close();
        let mut leg = conversation.leg;
        // A booking that was under way when the caller hung up goes on; the record waits for what became of it.
        if let Some((_, booking)) = conversation.pending
            && let Ok(answer) = booking.await
        {
            leg.note(&answer);
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
        let effects = self.interpreter.start(self.now());
        self.perform(effects).await;
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    Some(LegInput::Ended { cause }) => return self.ended_by.unwrap_or(call_end(cause)),
                    Some(LegInput::Stop) => self.farewell(CallEnd::Shutdown).await,
                    Some(LegInput::Confirmed { .. } | LegInput::Cancelled) => {}
                    None => return CallEnd::Shutdown,
                },
                answer = answered(&mut self.pending) => self.answered(answer).await,
                Some(event) = events.recv() => self.media(event).await,
                () = tokio::time::sleep_until(wake.into()) => if let Some(end) = self.woken().await {
                    return end;
                },
            }
        }
    }

    fn now(&self) -> Instant {
        self.leg.service.clock.instant()
    }

    /// When something is due: the flow's timer, the longest call's end, or the end of patience with a BYE.
    fn wake(&self) -> Instant {
        match self.phase {
            Phase::Flow => self.interpreter.deadline().map_or(self.ends_at, |due| due.min(self.ends_at)),
            Phase::Farewell(until) | Phase::HungUp(until) => until,
        }
    }

    /// Something is due. Gives the end when the call is over.
    async fn woken(&mut self) -> Option<CallEnd> {
        match self.phase {
            Phase::Flow if self.now() >= self.ends_at => self.farewell(CallEnd::Goodbye).await,
            Phase::Flow => self.step(Event::Timeout).await,
            Phase::Farewell(_) => self.hang_up().await,
            Phase::HungUp(_) => return Some(self.ended_by.unwrap_or(CallEnd::Goodbye)),
        }
        None
    }

    async fn media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::PlayDone { play_id: FAREWELL_PLAY, .. } => self.hang_up().await,
            MediaEvent::PlayDone { play_id, interrupted } => {
                // One that we stopped or replaced ourselves is not playing any more.
                if self.playing == Some(play_id) {
                    self.playing = None;
                    if interrupted {
                        self.leg.tell(Step::BargeIn);
                    }
                }
                let id = PlayId(u32::try_from(play_id).unwrap_or(u32::MAX));
                self.step(Event::PlayDone { id, interrupted }).await;
            }
            MediaEvent::DigitBegan { .. } => self.step(Event::DigitBegan).await,
            MediaEvent::Digit { digit, .. } => {
                self.leg.tell(Step::Digit);
                self.step(Event::Digit(digit)).await;
            }
            MediaEvent::RtpTimeout => {
                tracing::info!("no RTP from the caller; the call is ended");
                self.ended_by = Some(CallEnd::RtpTimeout);
                self.hang_up().await;
            }
            // The caller's side of a session.
            MediaEvent::DigitsSent | MediaEvent::DigitsRefused | MediaEvent::Heard(_) => {}
        }
    }

    async fn answered(&mut self, (id, answer): (RequestId, Answer)) {
        self.leg.note(&answer);
        let Answer { outcome, values, .. } = answer;
        self.step(Event::Result { id, outcome: outcome.to_owned(), values }).await;
    }

    /// One event into the flow, its effects performed. After the flow's end nothing reaches it.
    async fn step(&mut self, event: Event) {
        if self.phase == Phase::Flow {
            let effects = self.interpreter.handle(self.now(), event);
            self.perform(effects).await;
        }
    }

    async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Play { id, segments, bargein } => self.play(id, &segments, bargein),
                Effect::StopPlay(_) => self.stop_play(),
                Effect::Query { id, name, arguments } | Effect::Book { id, name, arguments } => {
                    let business = Arc::clone(&self.business);
                    let work = async move { business.perform(&name, arguments).await };
                    self.pending = Some((id, tokio::spawn(work.in_current_span())));
                }
                Effect::Hangup => self.hang_up().await,
                Effect::EnteredNode(node) => {
                    tracing::debug!(node, "entered");
                    self.leg.record.node(&node);
                    self.leg.tell(Step::Node { node });
                }
            }
        }
    }

    fn play(&mut self, id: PlayId, segments: &[Segment], bargein: bool) {
        let service = &self.leg.service;
        let spoken = speak(&service.prompts, service.media.library(), segments);
        self.leg.tell(Step::Say { text: spoken.text });
        self.start_play(id.0.into(), spoken.elements, bargein);
    }

    /// Replaces whatever is playing. When the worker does not take the order the flow's own patience, or the
    /// farewell's, goes on.
    fn start_play(&mut self, play_id: u64, elements: Vec<Element>, bargein: bool) {
        self.stop_play();
        self.playing = Some(play_id);
        if let Err(error) = self.stream.play(play_id, elements, bargein) {
            tracing::error!(%error, "a prompt could not be played");
        }
    }

    fn stop_play(&mut self) {
        if self.playing.take().is_some()
            && let Err(error) = self.stream.stop()
        {
            tracing::error!(%error, "a prompt could not be stopped");
        }
    }

    /// Never a bare hang-up (DOMAIN §5): the caller hears goodbye first.
    async fn farewell(&mut self, end: CallEnd) {
        if self.phase != Phase::Flow {
            return;
        }
        self.ended_by = Some(end);
        match self.leg.service.media.library().lookup(FAREWELL) {
            Some(clip) => {
                self.start_play(FAREWELL_PLAY, vec![Element::Clip(clip)], false);
                self.phase = Phase::Farewell(self.now() + LONGEST_FAREWELL);
            }
            None => self.hang_up().await,
        }
    }

    async fn hang_up(&mut self) {
        self.leg.hang_up().await;
        self.phase = Phase::HungUp(self.now() + BYE_PATIENCE);
    }
}

/// Waits for the query or booking under way; for ever when there is none.
async fn answered(pending: &mut Option<Pending>) -> (RequestId, Answer) {
    let Some((id, work)) = pending else { return std::future::pending().await };
    let id = *id;
    match work.await {
        Ok(answer) => {
            *pending = None;
            (id, answer)
        }
        // It panicked: the flow's own patience decides what the caller hears.
        Err(error) => {
            tracing::error!(%error, "a query or booking broke");
            *pending = None;
            std::future::pending().await
        }
    }
}
