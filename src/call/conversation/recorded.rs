//! What the recording of a call is told, and what it does to the call: an announcement before the flow.

use super::{Conversation, Phase};
use crate::call::observer::Step;
use crate::call::recording::RecordOrder;
use crate::dialplan::{Effect, MAX_TYPE_AHEAD};
use crate::media::Element;
use crate::recording::EndedBy;
use crate::store::CallEnd;
use std::time::Instant;

/// The play that says that the call is recorded.
pub(super) const ANNOUNCEMENT_PLAY: u64 = u64::MAX - 1;
/// Keys that wait for the flow meanwhile, begun and ended ones; further ones are dropped, as the flow would.
pub(super) const MAX_EARLY: usize = 2 * MAX_TYPE_AHEAD;
impl Conversation {
    /// The recording, where there is to be one; what the caller is told of it; the flow.
    pub(super) async fn begin(&mut self) {
        self.recording = self.leg.record_by_setting(&self.stream, self.leg.flow.start());
        let announcement = self.leg.service.announcement.filter(|_| self.recording.is_some());
        let Some(clip) = announcement else { return self.begin_flow().await };
        self.phase = Phase::Announcing;
        if self.start_play(ANNOUNCEMENT_PLAY, vec![Element::Clip(clip)], false).is_err() {
            self.hang_up(CallEnd::Failed).await;
        }
    }

    pub(super) async fn begin_flow(&mut self) {
        if !matches!(self.phase, Phase::Announcing) {
            return;
        }
        (self.phase, self.playing) = (Phase::Flow, None);
        let effects = self.interpreter.start(self.now());
        self.hold_or_resume();
        self.perform(effects).await;
        for (at, event) in std::mem::take(&mut self.early) {
            self.step_at(at, event).await;
        }
    }

    /// An operator asks.
    pub(super) fn record(&mut self, order: RecordOrder) {
        let RecordOrder { begin, answer } = order;
        let outcome = match (&mut self.recording, begin) {
            (None, true) => {
                let node = self.interpreter.current_node();
                self.recording = self.leg.record_on_demand(&self.stream, node, answer);
                return;
            }
            (Some(recording), true) => Ok(recording.keep().to_owned()),
            (None, false) => Err("the call is not recorded".to_owned()),
            (Some(_), false) => {
                if let Some(recording) = self.recording.take() {
                    recording.end(EndedBy::Demand, &self.stream);
                }
                Ok("the recording has ended".to_owned())
            }
        };
        // Who asked may have gone.
        let _ = answer.send(outcome);
    }

    /// Tells whoever watches, and the recording.
    pub(super) fn tell(&mut self, step: Step) {
        self.record_step(&step);
        self.leg.tell(step);
    }

    pub(super) fn record_step(&mut self, step: &Step) {
        let now = self.now();
        if let Some(recording) = &self.recording {
            recording.note(now, step);
        }
    }

    pub(super) fn record_node(&mut self, node: &str) {
        let now = self.now();
        if let Some(recording) = &mut self.recording {
            recording.entered(now, node, &self.stream);
        }
    }

    pub(super) fn record_booking(&mut self, effect: &Effect) {
        if let (Effect::Book { .. }, Some(recording)) = (effect, &mut self.recording) {
            recording.booking();
        }
    }

    pub(super) fn record_key_began(&self, at: Instant, key: char) {
        if let Some(recording) = &self.recording {
            recording.key_began(at, key, self.agreed.telephone_event.is_some());
        }
    }

    pub(super) fn record_key_ended(&self, at: Instant) {
        if let Some(recording) = &self.recording {
            recording.key_ended(at);
        }
    }

    pub(super) fn record_key_by_info(&self, at: Instant, key: char) {
        if let Some(recording) = &self.recording {
            recording.key_by_info(at, key);
        }
    }
}
