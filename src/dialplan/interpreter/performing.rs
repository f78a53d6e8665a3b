//! While a query or a booking is performed elsewhere: keys are kept, and a caller who waits long hears so.

use super::{Interpreter, PLAY_LIMIT, State, Step};
use crate::dialplan::event::{Effect, Event, PlayId, RequestId};
use crate::dialplan::flow::{Action, OutcomeTarget, Perform};
use crate::dialplan::value::Value;
use std::sync::Arc;
use std::time::Instant;

/// Waiting for a result.
#[derive(Debug)]
pub(super) struct Performing {
    id: RequestId,
    /// First the end of the patience, then that of the time allowed.
    pub(super) deadline: Instant,
    expires: Instant,
    waiting: Waiting,
    answer: Option<(String, Vec<(String, Value)>)>,
}

/// The prompt for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    NotYet,
    Playing(PlayId),
    Said,
}

impl Interpreter {
    pub(super) fn enter_perform(&mut self, now: Instant, perform: &Perform) -> Option<Step> {
        let mut arguments = Vec::with_capacity(perform.arguments.len());
        for (argument, variable) in &perform.arguments {
            match self.variables.get(variable) {
                Some(value) => arguments.push((argument.clone(), value.clone())),
                None => return Some(Step::to(self.flow.on_error)),
            }
        }
        let id = self.request();
        let name = perform.name.clone();
        self.effects.push(if perform.booking {
            Effect::Book { id, name, arguments }
        } else {
            Effect::Query { id, name, arguments }
        });
        let expires = now + perform.timeout;
        let patience = if perform.waiting.is_empty() { expires } else { now + perform.patience };
        self.state = State::Performing(Performing {
            id,
            deadline: patience.min(expires),
            expires,
            waiting: Waiting::NotYet,
            answer: None,
        });
        None
    }

    pub(super) fn performing(
        &mut self,
        now: Instant,
        mut performing: Performing,
        event: Event,
    ) -> Option<Step> {
        let flow = Arc::clone(&self.flow);
        let Some(Action::Perform(perform)) = flow.node(self.node).map(|node| &node.action) else {
            return None;
        };
        match event {
            Event::DigitBegan => self.keys.began(now, false),
            Event::Digit(key) => {
                if self.keys.ended(now, key) {
                    self.keys.push(key);
                }
            }
            Event::Result { id, outcome, values } if id == performing.id => {
                performing.answer = Some((outcome, values));
            }
            Event::PlayDone { id, .. } if performing.waiting == Waiting::Playing(id) => {
                performing.waiting = Waiting::Said;
            }
            Event::Timeout if now >= performing.expires => {
                performing.waiting = Waiting::Said;
                let late = || (perform.when_late.clone(), Vec::new());
                performing.answer = performing.answer.or_else(|| Some(late()));
            }
            Event::Timeout => {
                let segments = self.segments(&perform.waiting);
                performing.waiting = Waiting::Playing(self.play(segments, false));
                performing.deadline = performing.expires;
            }
            Event::Result { .. } | Event::PlayDone { .. } => {}
        }
        match performing.answer {
            // The waiting prompt is heard out before the next one.
            Some((outcome, values)) if !matches!(performing.waiting, Waiting::Playing(_)) => {
                Some(self.conclude(perform, &outcome, values))
            }
            answer => {
                performing.answer = answer;
                if performing.answer.is_some() {
                    performing.deadline = performing.deadline.min(now + PLAY_LIMIT);
                }
                self.state = State::Performing(performing);
                None
            }
        }
    }

    /// Takes the values and the way of an outcome. One that breaks the vocabulary counts as no answer: of a
    /// booking nothing may then be claimed.
    fn conclude(&mut self, perform: &Perform, outcome: &str, values: Vec<(String, Value)>) -> Step {
        let find = |name: &str| perform.outcomes.iter().find(|target| target.outcome == name);
        let kept = find(outcome).filter(|target| {
            target
                .values
                .iter()
                .all(|(name, kind)| values.iter().any(|(given, value)| given == name && kind.admits(value)))
        });
        let target: Option<&OutcomeTarget> = match kept {
            Some(target) => {
                let named = |name: &String| target.values.iter().any(|(value, _)| value == name);
                self.variables.extend(values.into_iter().filter(|(name, _)| named(name)));
                Some(target)
            }
            None => find(&perform.when_late).filter(|target| target.values.is_empty()),
        };
        target.map_or_else(|| Step::to(self.flow.on_error), |found| Step::target(&found.target))
    }
}
