//! Warnings that come with an answer that is no error. PostgreSQL says with one that a COMMIT was not waited for at a
//! synchronous standby. sqlx tells them to the log only, so it is there that they are heard: by a subscriber of this
//! thread, while the COMMIT is being worked on.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::LazyLock;
use tracing::dispatcher::{self, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What sqlx calls what servers say beside their answers.
const NOTICES: &str = "sqlx::postgres::notice";

/// The first one listens. While there is only one subscriber in a program, tracing asks the one of the thread that logs first
/// whether anybody hears a message, and remembers that; among two or more it asks each.
static LISTENERS: LazyLock<[Dispatch; 2]> =
    LazyLock::new(|| [Dispatch::new(Listener), Dispatch::new(Listener)]);

thread_local! {
    /// The last warning on this thread.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does some work with a server, and tells with its value what the server last warned of meanwhile. Nothing else that the
/// work says reaches the log.
pub(in crate::store) async fn heard_in<T>(work: impl Future<Output = T>) -> (T, Option<String>) {
    let mut work = pin!(work);
    let mut warning = None;
    let value = poll_fn(|context| {
        HEARD.set(None);
        let poll = dispatcher::with_default(&LISTENERS[0], || work.as_mut().poll(context));
        warning = HEARD.take().or(warning.take());
        poll
    })
    .await;
    (value, warning)
}

/// Hears warnings of servers, and nothing else.
struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == NOTICES && *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        HEARD.set(Some(message.0));
    }

    // There are no spans that it hears.
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
