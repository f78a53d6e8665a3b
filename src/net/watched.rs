//! A stream that notes when the message it carries began, where the reader of messages does not tell.

use crate::units::clock::Clock;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// When the first octet came since the last whole message.
#[derive(Debug, Clone, Default)]
pub(super) struct Beginning(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    at: Mutex<Option<Instant>>,
    begun: Notify,
}

impl Beginning {
    /// The instant, where a message has begun.
    pub(super) fn get(&self) -> Option<Instant> {
        *self.0.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a message begins.
    pub(super) async fn begun(&self) {
        self.0.begun.notified().await;
    }

    /// A message is whole.
    pub(super) fn clear(&self) {
        *self.0.at.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn note(&self, clock: &Clock) {
        let mut at = self.0.at.lock().unwrap_or_else(PoisonError::into_inner);
        if at.is_none() {
            *at = Some(clock.instant());
            self.0.begun.notify_one();
        }
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    clock: Clock,
    beginning: Beginning,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, clock: Clock) -> Self {
        Self { stream, clock, beginning: Beginning::default() }
    }

    pub(super) const fn get_ref(&self) -> &S {
        &self.stream
    }

    pub(super) fn beginning(&self) -> Beginning {
        self.beginning.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.beginning.note(&self.clock);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
