//! What has happened so far: the steps the server reports, and what the runner itself sees, in one list that can be
//! waited on.

use super::case::Moment;
use serde::Deserialize;
use std::fmt;
use tokio::sync::watch;

/// One step. `source` is a Call-ID, [`SPOOL`] or [`SERVICE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Whose: the Call-ID header field's value, or [`SPOOL`].
    pub source: String,
    /// The event and its words: `node confirm`, `booking activate accepted`.
    pub label: String,
}

/// The source of the steps `order` and `sms`: files that the service wrote for the operator's batch.
pub const SPOOL: &str = "spool";

/// The source of what happens to the service itself: `service draining`, `trunk NAME up`.
pub const SERVICE: &str = "service";

/// The step after SIPp's end.
pub const OVER: &str = "over";

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.label)
    }
}

/// A line of `klikon serve --events -`.
#[derive(Deserialize)]
struct EventLine {
    sip_call_id: Option<String>,
    event: String,
    node: Option<String>,
    name: Option<String>,
    outcome: Option<String>,
    text: Option<String>,
    status: Option<u16>,
    cause: Option<String>,
    direction: Option<String>,
    encoding: Option<String>,
    trunk: Option<String>,
    state: Option<String>,
}

impl Step {
    /// Reads an event line; `None` for other lines.
    pub fn from_line(line: &str) -> Option<Self> {
        let event: EventLine = serde_json::from_str(line).ok()?;
        let status = event.status.map(|status| status.to_string());
        let mut words = vec![Some(event.event), event.node, event.name, event.outcome, event.text, status];
        words.extend([event.cause, event.direction, event.encoding, event.trunk, event.state]);
        let label = words.into_iter().flatten().collect::<Vec<_>>().join(" ");
        Some(Self { source: event.sip_call_id.unwrap_or_else(|| SERVICE.to_owned()), label })
    }

    /// Whether this is the moment.
    fn is_at(&self, moment: &Moment) -> bool {
        self.begins_with(&moment.at) && moment.text.as_ref().is_none_or(|text| self.label.contains(text))
    }

    fn begins_with(&self, words: &str) -> bool {
        self.label.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    }

    /// Whether a case lists the step: prompts, digits and barge-ins depend on how fast the machine is.
    pub fn is_listed(&self) -> bool {
        !["say", "digit", "barge-in", OVER].iter().any(|words| self.begins_with(words))
    }
}

/// The list, shared by the tasks of a case.
#[derive(Debug, Clone)]
pub struct Journal(watch::Sender<Vec<Step>>);

impl Journal {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }

    /// Adds a step.
    pub fn add(&self, step: Step) {
        self.0.send_modify(|steps| steps.push(step));
    }

    /// All steps so far.
    pub fn steps(&self) -> Vec<Step> {
        self.0.borrow().clone()
    }

    /// The labels of a source's steps that cases list.
    pub fn listed(&self, source: &str) -> Vec<String> {
        self.0
            .borrow()
            .iter()
            .filter(|step| step.source == source && step.is_listed())
            .map(|step| step.label.clone())
            .collect()
    }

    /// Waits for a step of `source`, at or after the place `from` unless the moment says which; gives the place after it.
    pub async fn wait_for(&self, source: &str, moment: &Moment, from: usize) -> usize {
        let (skipped, before) = match moment.nth {
            Some(nth) => (0, nth.saturating_sub(1)),
            None => (from, 0),
        };
        let find = |steps: &[Step]| {
            let found = steps
                .iter()
                .enumerate()
                .skip(skipped)
                .filter(|(_, step)| step.source == source && step.is_at(moment));
            found.map(|(place, _)| place + 1).nth(before)
        };
        let mut receiver = self.0.subscribe();
        let steps = receiver.wait_for(|steps| find(steps).is_some()).await;
        // The sender lives in `self`, so the wait cannot fail.
        steps.ok().and_then(|steps| find(&steps)).unwrap_or(from).max(from)
    }
}
