//! One call's recording: begins it by setting or on demand, tells it what happens, and keeps secrets out of it.

use super::leg::Leg;
use super::observer::Step;
use crate::dialplan::PIN_REQUIRED;
use crate::media::{Fork, Stream};
use crate::recording::{Calls, EndedBy, Recording, Refusal, Subject, What, Why};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a key is held to be down that came by INFO: only that it was pressed is known.
const KEY_BY_INFO: Duration = Duration::from_millis(100);

/// Asked for by an operator while the call goes on.
#[derive(Debug)]
pub struct RecordOrder {
    /// True to begin, false to end.
    pub begin: bool,
    /// Says which file, or why not.
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// A call that is being recorded.
#[derive(Debug)]
pub struct CallRecording {
    recording: Recording,
    /// The nodes in which a key may be one of a secret.
    before_secrets: BTreeSet<String>,
    /// The flow may still ask for a secret: nothing of the caller's side leaves the call.
    withheld: bool,
    /// It is kept if a booking is tried.
    needs_booking: bool,
}

impl Leg {
    /// Whether the settings want this call recorded.
    fn is_to_be_recorded(&self) -> bool {
        let settings = self.service.recorder.settings();
        let of_peer = || {
            settings.peers.is_empty()
                || self.record.peer().is_some_and(|peer| settings.peers.iter().any(|name| name == peer))
        };
        settings.calls != Calls::None && of_peer()
    }

    /// Begins a recording where the settings want one. A call that cannot be recorded goes on without.
    pub fn record_by_setting(&self, stream: &Stream, node: &str) -> Option<Box<CallRecording>> {
        if !self.is_to_be_recorded() {
            return None;
        }
        let needs_booking = self.service.recorder.settings().calls == Calls::Booked;
        let begun = self.begin_recording(stream, node, Why::Setting, needs_booking, None);
        begun.inspect_err(|refusal| tracing::warn!(%refusal, "the call is not recorded")).ok()
    }

    /// Begins a recording that somebody asked for.
    pub fn record_on_demand(
        &self,
        stream: &Stream,
        node: &str,
        answer: oneshot::Sender<Result<String, String>>,
    ) -> Option<Box<CallRecording>> {
        // The answer comes from the recorder, once there is a file, or from here.
        let (opened, told) = oneshot::channel();
        let begun = self.begin_recording(stream, node, Why::OnDemand, false, Some(opened));
        match begun {
            Ok(begun) => {
                tokio::spawn(async move {
                    let outcome = told.await.unwrap_or_else(|_| Err("the recorder has ended".to_owned()));
                    // Who asked may have gone.
                    let _ = answer.send(outcome);
                });
                Some(begun)
            }
            Err(refusal) => {
                let _ = answer.send(Err(refusal.to_string()));
                None
            }
        }
    }

    fn begin_recording(
        &self,
        stream: &Stream,
        node: &str,
        why: Why,
        needs_booking: bool,
        opened: Option<oneshot::Sender<Result<String, String>>>,
    ) -> Result<Box<CallRecording>, Refusal> {
        // Who need not key a PIN is never led to the field.
        let impossible = [PIN_REQUIRED];
        let impossible = if self.asks_pin { &impossible[..0] } else { &impossible[..] };
        let before_secrets: BTreeSet<String> =
            self.flow.nodes_before_secrets(impossible).into_iter().map(str::to_owned).collect();
        let may_follow = before_secrets.contains(node);
        // Of a PIN that was just keyed something may still be on its way.
        let withheld = may_follow || self.asks_pin && why == Why::OnDemand;
        let subject = Subject {
            call: self.id,
            caller: self.shown.to_string(),
            called: self.invite.called.clone().unwrap_or_default(),
            flow: self.flow.name().to_owned(),
        };
        let mut recording = self.service.recorder.begin(subject, why, withheld, opened)?;
        recording.set_kept(!needs_booking);
        tracing::info!(?why, withheld, "the call is recorded");
        set_fork(stream, Some(recording.fork(withheld)));
        let mut begun = CallRecording { recording, before_secrets, withheld, needs_booking };
        if !may_follow {
            begun.open(self.service.clock.instant(), stream);
        }
        Ok(Box::new(begun))
    }
}

impl CallRecording {
    /// The flow has entered a node: once no secret can be asked for any more, the caller is recorded.
    pub fn entered(&mut self, at: Instant, node: &str, stream: &Stream) {
        self.recording.cue(at, What::Node { node: node.to_owned() });
        if !self.before_secrets.contains(node) {
            self.open(at, stream);
        }
    }

    fn open(&mut self, at: Instant, stream: &Stream) {
        if std::mem::take(&mut self.withheld) {
            self.recording.open(at);
            set_fork(stream, Some(self.recording.fork(false)));
        }
    }

    /// A step of the call.
    pub fn note(&self, at: Instant, step: &Step) {
        let what = match step {
            Step::Say { text, .. } => What::Said { text: text.clone() },
            Step::BargeIn => What::BargeIn,
            Step::Session { direction, encoding } => {
                What::Session { direction: direction.clone(), encoding: encoding.clone() }
            }
            Step::Query { name, outcome } => {
                What::Outcome { name: name.clone(), outcome: outcome.clone(), activation: None }
            }
            Step::Booking { name, outcome, activation } => {
                What::Outcome { name: name.clone(), outcome: outcome.clone(), activation: activation.clone() }
            }
            // Nodes and keys are noted by themselves; the rest is before or after the recording.
            Step::Node { .. }
            | Step::Digit
            | Step::Answered { .. }
            | Step::Refused { .. }
            | Step::Ended { .. } => return,
        };
        self.recording.cue(at, what);
    }

    /// A booking is tried.
    pub fn booking(&mut self) {
        self.recording.set_kept(true);
        self.needs_booking = false;
    }

    /// A key went down. With `event` it is no tone in the audio.
    pub fn key_began(&self, at: Instant, key: char, event: bool) {
        if !self.withheld {
            self.recording.key_began(at, key, event);
        }
    }

    /// The key that is down was released.
    pub fn key_ended(&self, at: Instant) {
        if !self.withheld {
            self.recording.key_ended(at);
        }
    }

    /// A key came by INFO.
    pub fn key_by_info(&self, at: Instant, key: char) {
        self.key_began(at, key, true);
        self.key_ended(at + KEY_BY_INFO);
    }

    /// An operator asks for what is recorded already: it is kept in any case.
    pub fn keep(&mut self) -> &'static str {
        self.recording.set_kept(true);
        if std::mem::take(&mut self.needs_booking) {
            "the call is recorded already, and the recording is kept now, whatever comes of the call"
        } else {
            "the call is recorded already"
        }
    }

    /// Ends it.
    pub fn end(self, by: EndedBy, stream: &Stream) {
        set_fork(stream, None);
        self.recording.end(by);
    }
}

fn set_fork(stream: &Stream, fork: Option<Fork>) {
    if let Err(error) = stream.fork(fork) {
        tracing::error!(%error, "the stream could not be told of the recording");
    }
}
