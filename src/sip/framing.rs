//! Framing of streams (RFC 3261 §18.3 and §7.5, RFC 5626 §3.5.1): octets of a TCP or TLS connection in, whole messages
//! and keep-alives out. It holds one message at most, and knows no socket and no clock.
//!
//! A stream has no end of a message but what the message says, so that a reader who errs once errs for ever: whatever
//! leaves a doubt about where the next message begins ends the connection. A request is answered first.

use super::message::{HeaderName, MAX_MESSAGE_OCTETS, Message};
use bytes::{Buf, Bytes, BytesMut};
use std::time::{Duration, Instant};

/// The most octets of a message's first line and header fields together. RFC 4475's longest has some 3,500.
pub const MAX_HEADER_OCTETS: usize = 16_384;

/// How much of a stream is held and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramingLimits {
    /// Octets of a body. With the header it stays within [`MAX_MESSAGE_OCTETS`].
    pub max_body_octets: usize,
    /// From a message's first octet to its last.
    pub message_time: Duration,
}

impl Default for FramingLimits {
    fn default() -> Self {
        Self { max_body_octets: 16_384, message_time: Duration::from_secs(10) }
    }
}

/// What came out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A whole message.
    Message(Bytes),
    /// Two line ends between messages, to be answered with one (RFC 5626 §3.5.1).
    Ping,
}

/// Why a stream cannot be read on. The connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// What stands where a message should begin is none.
    #[error("no SIP message")]
    NotSip,
    /// More octets of header than [`MAX_HEADER_OCTETS`].
    #[error("a header without end")]
    HeaderTooLarge,
    /// A header with a line that does not end with CRLF: where it ends is in doubt.
    #[error("a line that does not end with CRLF")]
    LineEnd,
    /// No Content-Length, which a stream must have (RFC 3261 §18.3).
    #[error("no Content-Length")]
    NoContentLength,
    /// A Content-Length that is no number, or two that differ.
    #[error("a Content-Length that cannot be used")]
    ContentLength,
    /// A Content-Length above the limit.
    #[error("a body over the limit")]
    BodyTooLarge,
    /// The message was not whole within its time.
    #[error("a message that takes too long")]
    TooSlow,
}

/// A stream that cannot be read on, with the header that says why, where there is a whole one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Why.
    pub error: FramingError,
    /// The header of the message; empty where it has not ended.
    pub header: Bytes,
}

/// How far the present message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Between messages; how many line ends came in a row, and whether the last octet was CR.
    Between { line_ends: u8, after_cr: bool },
    /// In the header: where the present line begins, how far it was looked at, and whether every line so far ended
    /// with CRLF.
    Header { line: usize, looked_at: usize, clean: bool },
    /// In the body: octets of the whole message.
    Body { octets: usize },
    /// Nothing more is read.
    Broken,
}

const AT_REST: Progress = Progress::Between { line_ends: 0, after_cr: false };

/// The reader of one stream.
#[derive(Debug)]
pub struct Framer {
    limits: FramingLimits,
    held: BytesMut,
    progress: Progress,
    deadline: Option<Instant>,
    /// When octets came last.
    heard: Option<Instant>,
}

impl Framer {
    /// A reader at a stream's beginning.
    pub fn new(limits: FramingLimits) -> Self {
        let most = MAX_MESSAGE_OCTETS - MAX_HEADER_OCTETS;
        let limits = FramingLimits { max_body_octets: limits.max_body_octets.min(most), ..limits };
        Self { limits, held: BytesMut::new(), progress: AT_REST, deadline: None, heard: None }
    }

    /// Takes octets in. The frames in them are to be taken out by [`Framer::next`] before more are taken in, which bounds
    /// what is held.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        if self.progress != Progress::Broken {
            self.held.extend_from_slice(octets);
            self.heard = Some(now);
        }
    }

    /// When the present message is too late; `None` between messages.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Octets held.
    pub fn held_octets(&self) -> usize {
        self.held.len()
    }

    /// The message of [`Framer::deadline`] did not come in time.
    pub fn too_slow(&mut self) -> Broken {
        let header = match self.progress {
            // Only where the header is whole can its request be answered.
            Progress::Body { .. } => self.held.split().freeze(),
            _ => Bytes::new(),
        };
        self.give_up(FramingError::TooSlow, header)
    }

    /// The next frame; `None` until more octets come.
    ///
    /// # Errors
    /// When the stream cannot be read on. After that there is nothing more.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Frame, Broken>> {
        loop {
            let step = match self.progress {
                Progress::Between { line_ends, after_cr } => self.between(line_ends, after_cr),
                Progress::Header { line, looked_at, clean } => self.header(line, looked_at, clean),
                Progress::Body { octets } => return self.body(octets),
                Progress::Broken => return None,
            };
            match step {
                Step::Frame(frame) => return Some(frame),
                Step::Wait => return None,
                Step::GoOn => {}
            }
        }
    }

    /// Line ends before a message are passed over (RFC 3261 §7.5); two in a row are a ping.
    fn between(&mut self, mut line_ends: u8, mut after_cr: bool) -> Step {
        while let Some(octet) = self.held.first().copied() {
            match octet {
                b'\r' => after_cr = true,
                b'\n' => {
                    line_ends = if after_cr { line_ends + 1 } else { 0 };
                    after_cr = false;
                }
                _ => {
                    self.deadline = self.heard.map(|heard| heard + self.limits.message_time);
                    self.progress = Progress::Header { line: 0, looked_at: 0, clean: true };
                    return Step::GoOn;
                }
            }
            self.held.advance(1);
            if line_ends == 2 {
                self.progress = AT_REST;
                return Step::Frame(Ok(Frame::Ping));
            }
        }
        self.progress = Progress::Between { line_ends, after_cr };
        Step::Wait
    }

    /// Looks for the empty line at the header's end, each octet once.
    fn header(&mut self, mut line: usize, mut at: usize, mut clean: bool) -> Step {
        let looked_at = self.held.len().min(MAX_HEADER_OCTETS);
        while let Some(found) =
            self.held.get(at..looked_at).and_then(|rest| rest.iter().position(|octet| *octet == b'\n'))
        {
            let end = at + found;
            let text = self.held.get(line..end).unwrap_or_default();
            clean &= text.last() == Some(&b'\r');
            at = end + 1;
            if matches!(text, [] | [b'\r']) {
                return self.header_ended(at, clean);
            }
            line = at;
        }
        if self.held.len() >= MAX_HEADER_OCTETS {
            return Step::Frame(Err(self.give_up(FramingError::HeaderTooLarge, Bytes::new())));
        }
        self.progress = Progress::Header { line, looked_at, clean };
        Step::Wait
    }

    fn header_ended(&mut self, octets: usize, clean: bool) -> Step {
        let header = self.held.get(..octets).unwrap_or_default();
        match body_octets(header, clean, self.limits.max_body_octets) {
            Ok(body) => {
                self.progress = Progress::Body { octets: octets + body };
                Step::GoOn
            }
            Err(error) => {
                let header = self.held.split_to(octets).freeze();
                Step::Frame(Err(self.give_up(error, header)))
            }
        }
    }

    fn body(&mut self, octets: usize) -> Option<Result<Frame, Broken>> {
        if self.held.len() < octets {
            return None;
        }
        let message = self.held.split_to(octets).freeze();
        if self.held.is_empty() {
            // A connection at rest holds no memory.
            self.held = BytesMut::new();
        }
        self.progress = AT_REST;
        self.deadline = None;
        Some(Ok(Frame::Message(message)))
    }

    fn give_up(&mut self, error: FramingError, header: Bytes) -> Broken {
        self.held = BytesMut::new();
        self.progress = Progress::Broken;
        self.deadline = None;
        Broken { error, header }
    }
}

/// What comes of one look at what is held.
enum Step {
    Frame(Result<Frame, Broken>),
    GoOn,
    Wait,
}

/// How many octets of body follow a header.
fn body_octets(header: &[u8], clean: bool, most: usize) -> Result<usize, FramingError> {
    let message = Message::parse(header).map_err(|_| FramingError::NotSip)?;
    if !clean {
        return Err(FramingError::LineEnd);
    }
    // A field that was not read may be another Content-Length.
    if message.has_unread_fields() {
        return Err(FramingError::HeaderTooLarge);
    }
    match message.content_length() {
        Ok(Some(octets)) => {
            let octets = usize::try_from(octets).map_err(|_| FramingError::BodyTooLarge)?;
            if octets > most { Err(FramingError::BodyTooLarge) } else { Ok(octets) }
        }
        Ok(None) => Err(FramingError::NoContentLength),
        Err(_) => Err(unusable(&message)),
    }
}

/// What is wrong with a Content-Length that is no number below 2³²: where each is a number, it is too large.
fn unusable(message: &Message<'_>) -> FramingError {
    let digits = |value: &[u8]| !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let mut values = message.values(HeaderName::ContentLength);
    match (values.next(), values.next()) {
        (Some(value), None) if digits(value) => FramingError::BodyTooLarge,
        _ => FramingError::ContentLength,
    }
}

#[cfg(test)]
mod tests;
