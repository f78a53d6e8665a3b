//! What can be watched of a call while it runs: one event a step; as written out, without whole numbers and without
//! digits.

use crate::units::CallId;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// One step of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Step {
    /// The call was answered and its ACK arrived.
    Answered {
        /// The number called.
        called: String,
        /// Flow that runs.
        flow: String,
        /// Masked number, or why there is none.
        caller: String,
    },
    /// The flow entered a node; digits from here on are the node's.
    Node {
        /// Its name in the flow.
        node: String,
    },
    /// A prompt began.
    Say {
        /// As a reader would read it, numbers of telephones hidden.
        text: String,
        /// The same with the numbers; never written to a log or an event line.
        #[serde(skip)]
        whole_text: String,
    },
    /// A prompt was cut short by a digit.
    BargeIn,
    /// A digit was counted.
    Digit,
    /// The session was changed by the caller's side.
    Session {
        /// Which way media flows now, seen from us: `sendrecv`; any other is hold.
        direction: String,
        /// The encoding, such as `PCMA`.
        encoding: String,
    },
    /// A query was answered.
    Query {
        /// Name in the flow.
        name: String,
        /// Outcome in the flow.
        outcome: String,
    },
    /// A booking was decided.
    Booking {
        /// Name in the flow.
        name: String,
        /// Outcome in the flow.
        outcome: String,
        /// The activation's id, when one was tried.
        activation: Option<String>,
    },
    /// A call was refused before it was answered.
    Refused {
        /// SIP status.
        status: u16,
    },
    /// The call is over; its record is written.
    Ended {
        /// Who or what ended it.
        cause: String,
    },
}

/// A step with its call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallEvent {
    /// When, UTC.
    pub at: Timestamp,
    /// Our id of the call.
    pub call: CallId,
    /// The Call-ID header field's value.
    pub sip_call_id: String,
    /// What happened.
    #[serde(flatten)]
    pub step: Step,
}

/// Receives every step of every call. Must not block.
#[derive(Clone, Default)]
pub struct Observer(Option<Arc<dyn Fn(CallEvent) + Send + Sync>>);

impl Observer {
    /// An observer that calls `watch`.
    pub fn new(watch: impl Fn(CallEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    /// An observer that tells `other` as well, and first.
    #[must_use]
    pub fn and(self, other: impl Fn(&CallEvent) + Send + Sync + 'static) -> Self {
        Self::new(move |event| {
            other(&event);
            if let Some(watch) = &self.0 {
                watch(event);
            }
        })
    }

    /// Tells the observer, if there is one.
    pub fn tell(&self, event: impl FnOnce() -> CallEvent) {
        if let Some(watch) = &self.0 {
            watch(event());
        }
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(watching)" } else { "Observer(nobody)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_whole_is_never_written_out() {
        let said = Step::Say {
            text: "Numri është •••.".to_owned(),
            whole_text: "zero gjashtë shtatë".to_owned(),
        };
        let written = serde_json::to_string(&said).unwrap();
        assert_eq!(written, r#"{"event":"say","text":"Numri është •••."}"#);
    }
}
