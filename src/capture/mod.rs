//! What passes the wire, for those who look after the service: kept in memory and shown by `klikon trace`, and sent to a
//! collector such as Homer. Telephone numbers are hidden on the way out.
//!
//! Everything hangs on the tap of [`crate::net`]. In the driver's task a message is copied and handed on, and nothing
//! waits: a reader who is slow loses messages, which are counted.

mod control;
pub mod hep;
mod homer;
mod keys;
mod lines;
pub mod mask;
mod message;
pub mod protocol;
mod record;
mod settings;

pub use control::ControlError;
pub use homer::HomerCounts;
pub use message::{Captured, Role};
pub use record::{Call, MAX_MESSAGES_A_CALL, Named, Record};
pub use settings::{AuthKey, Carrier, Collector, CollectorError, HomerSettings, TraceSettings};

use crate::net::Tap;
use crate::units::clock::Clock;
use control::{Control, Shown};
use homer::Homer;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};

/// Messages that may wait for those who follow; a slower one loses some, and is told so.
const LIVE_MESSAGES_WAITING: usize = 4096;

/// An operator asks by the socket to record a call that is under way, or no longer.
#[derive(Debug)]
pub struct RecordOrder {
    /// Our id of the call, or how it begins; `last` is the newest.
    pub call: String,
    /// True to begin, false to end.
    pub begin: bool,
    /// What came of it, or why nothing did.
    pub answer: oneshot::Sender<Result<String, String>>,
}

/// Capture and trace of one service.
#[derive(Debug)]
pub struct Capture {
    record: Option<Arc<Record>>,
    live: broadcast::Sender<Arc<Captured>>,
    homer: Option<Homer>,
    control: Option<Control>,
}

impl Capture {
    /// Starts what the settings ask for. A trace socket that cannot be opened is said in the log: calls are answered
    /// without it. What the socket is asked of recordings goes to `orders`. Needs a tokio runtime.
    pub fn start(
        homer: &HomerSettings,
        trace: &TraceSettings,
        clock: Clock,
        orders: mpsc::Sender<RecordOrder>,
    ) -> Self {
        let record = (trace.calls > 0).then(|| Arc::new(Record::new(trace)));
        let (live, _) = broadcast::channel(LIVE_MESSAGES_WAITING);
        let shown =
            Shown { record: record.clone(), live: live.clone(), hide_numbers: trace.mask_msisdn, orders };
        let has_socket = !trace.socket.as_os_str().is_empty();
        let control = has_socket
            .then(|| Control::open(&trace.socket, shown))
            .and_then(|opened| opened.inspect_err(report).ok());
        Self { record, live, homer: Homer::start(homer, clock), control }
    }

    /// What the driver calls for each message.
    pub fn tap(&self) -> Tap {
        if self.record.is_none() && self.homer.is_none() && self.control.is_none() {
            return Tap::default();
        }
        let (record, live, homer) = (self.record.clone(), self.live.clone(), self.homer.clone());
        Tap::new(move |passed| {
            let is_followed = live.receiver_count() > 0;
            if record.is_none() && homer.is_none() && !is_followed {
                return;
            }
            let message = Arc::new(Captured::of(passed));
            if let Some(record) = &record {
                record.add(&message);
            }
            if let Some(homer) = &homer {
                homer.offer(&message);
            }
            if is_followed {
                // An error means that the last follower has just gone.
                let _ = live.send(message);
            }
        })
    }

    /// Whoever may note what the service says of its calls.
    pub fn record(&self) -> Option<Arc<Record>> {
        self.record.clone()
    }

    /// What became of the messages for the collector; `None` without one.
    pub fn homer_counts(&self) -> Option<HomerCounts> {
        self.homer.as_ref().map(Homer::counts)
    }
}

fn report(error: &ControlError) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "`klikon trace` will not reach this service");
}
