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

/// Something that happened to the service itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ServiceStep {
    /// Whether the service takes calls changed.
    Service {
        /// `accepting`, `full`, `without-database` or `draining`.
        state: &'static str,
    },
    /// Something happened to a trunk.
    Trunk {
        /// Its name in the settings.
        trunk: String,
        /// `up`, `down`, `registered`, `refreshed`, `register-failed`, `lapsed` or `unregistered`.
        state: &'static str,
    },
}

/// That, with its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceEvent {
    /// When, UTC.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub step: ServiceStep,
}

type Watch<T> = Option<Arc<dyn Fn(T) + Send + Sync>>;

/// Receives every step of every call, and what happens to the service. Must not block.
#[derive(Clone, Default)]
pub struct Observer {
    calls: Watch<CallEvent>,
    service: Watch<ServiceEvent>,
}

impl Observer {
    /// An observer that calls `watch` for each step of a call.
    pub fn new(watch: impl Fn(CallEvent) + Send + Sync + 'static) -> Self {
        Self { calls: Some(Arc::new(watch)), service: None }
    }

    /// The same, which also calls `watch` for what happens to the service.
    #[must_use]
    pub fn with_service(self, watch: impl Fn(ServiceEvent) + Send + Sync + 'static) -> Self {
        Self { service: Some(Arc::new(watch)), ..self }
    }

    /// An observer that tells `other` as well, and first.
    #[must_use]
    pub fn and(self, other: impl Fn(&CallEvent) + Send + Sync + 'static) -> Self {
        let Self { calls, service } = self;
        let tell = move |event| {
            other(&event);
            if let Some(watch) = &calls {
                watch(event);
            }
        };
        Self { calls: Some(Arc::new(tell)), service }
    }

    /// Tells the observer, if there is one.
    pub fn tell(&self, event: impl FnOnce() -> CallEvent) {
        if let Some(watch) = &self.calls {
            watch(event());
        }
    }

    /// Tells the observer, if there is one, of the service.
    pub fn tell_service(&self, event: impl FnOnce() -> ServiceEvent) {
        if let Some(watch) = &self.service {
            watch(event());
        }
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.calls.is_some() { "Observer(watching)" } else { "Observer(nobody)" })
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
