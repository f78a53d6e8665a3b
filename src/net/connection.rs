//! One connection, as a task: octets in, whole messages out to the driver, and the other way round. It holds one
//! message in each direction and a bounded queue, and ends by itself what is slow, idle or not SIP.

use super::admission::{Place, Tally};
use super::settings::StreamSettings;
use crate::sip::{Broken, Counter, Flow, Frame, Framer};
use crate::units::clock::Clock;
use bytes::Bytes;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

/// Messages that wait for a connection's peer to read; one more closes the connection.
const MESSAGES_WAITING: usize = 256;
/// How long one message may take to be written.
const WRITE_TIME: Duration = Duration::from_secs(30);
/// Octets read at once.
const READ_OCTETS: usize = 8_192;
/// After the last answer to a peer that is cut off: how long, and how much, it is still read, since a close with octets
/// unread would take the answer from it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_OCTETS: usize = 1 << 20;
/// The answer to a ping (RFC 5626 §3.5.1).
const PONG: &[u8] = b"\r\n";

/// Something to be written.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    /// The way it was to go: that of its transaction.
    pub(super) flow: Flow,
    pub(super) bytes: Bytes,
    /// Whether its loss is to be told.
    pub(super) is_message: bool,
}

/// What connections tell the driver.
#[derive(Debug)]
pub(super) enum Arrival {
    /// A peer has connected; `names` are those of its verified certificate.
    Connected { link: Link, names: Vec<String>, line: Line },
    /// We have connected to a peer; `names` are those of its verified certificate.
    Opened { link: Link, names: Vec<String> },
    /// A whole message.
    Message { flow: Flow, bytes: Bytes },
    /// Nothing more is read. When what waits is written, the connection is to be let go.
    ReadOver { link: Link, broken: Option<Broken> },
    /// The connection that was to be opened was not; [`Arrival::Gone`] follows.
    NotOpened { link: Link, why: String },
    /// The connection is closed. What was to go by these ways did not.
    Gone { link: Link, undelivered: Vec<Flow> },
}

/// A connection's name: its flow, and a number that no other has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) number: u64,
    pub(super) flow: Flow,
}

/// The driver's end of a connection.
#[derive(Debug)]
pub(super) struct Line {
    /// Messages to be written; dropped, the connection ends when those that wait are out.
    pub(super) outbox: mpsc::Sender<Outgoing>,
    /// Told, the connection ends at once.
    pub(super) cut: oneshot::Sender<()>,
}

/// The connection's end of it.
#[derive(Debug)]
pub(super) struct FarLine {
    pub(super) outbox: mpsc::Receiver<Outgoing>,
    pub(super) cut: Cut,
    /// To queue pongs by, while the driver holds the queue.
    pub(super) pongs: mpsc::WeakSender<Outgoing>,
}

/// Both ends.
pub(super) fn line() -> (Line, FarLine) {
    let (sender, outbox) = mpsc::channel(MESSAGES_WAITING);
    let (cut, cut_off) = oneshot::channel();
    let pongs = sender.downgrade();
    (Line { outbox: sender, cut }, FarLine { outbox, cut: Cut(cut_off), pongs })
}

/// Whether the driver cuts the connection off.
#[derive(Debug)]
pub(super) struct Cut(oneshot::Receiver<()>);

impl Cut {
    /// Waits until it does.
    pub(super) async fn off(&mut self) {
        if !self.0.is_terminated() && (&mut self.0).await.is_ok() {
            return;
        }
        // The driver has let go: what waits is still written.
        std::future::pending().await
    }
}

/// What every connection needs.
#[derive(Debug, Clone)]
pub(super) struct Surroundings {
    pub(super) settings: StreamSettings,
    pub(super) clock: Clock,
    pub(super) tally: Arc<Tally>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

/// A connection's task.
pub(super) struct Connection {
    pub(super) link: Link,
    pub(super) surroundings: Surroundings,
    /// Its place among the connections, given back at its end.
    pub(super) place: Place,
    pub(super) line: FarLine,
    /// Whether we opened it: then pings are ours to send, and pongs the peer's (RFC 5626 §4.4.1).
    pub(super) is_ours: bool,
}

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The driver has let go, and everything is out.
    All,
    /// The peer is gone, or does not read; what was being written is lost.
    Lost(Flow),
    /// The driver has cut it off.
    Cut,
}

impl Connection {
    /// Speaks over a stream until its end.
    pub(super) async fn run<S: AsyncRead + AsyncWrite>(mut self, stream: S) {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let written = {
            let (surroundings, link) = (&self.surroundings, self.link);
            let FarLine { outbox, cut, pongs } = &mut self.line;
            let pongs = Some(&*pongs).filter(|_| !self.is_ours);
            let mut write = pin!(write_all(&mut writer, outbox, cut, surroundings));
            tokio::select! {
                broken = read(&mut reader, link, surroundings, pongs) => {
                    let was_broken = broken.is_some();
                    let _ = surroundings.arrivals.send(Arrival::ReadOver { link, broken }).await;
                    let written = write.await;
                    if was_broken && written == Written::All {
                        linger(&mut reader).await;
                    }
                    written
                }
                written = &mut write => written,
            }
        };
        self.over(written).await;
    }

    /// Tells the driver that the connection could not be opened, and what it therefore did not deliver.
    pub(super) async fn not_opened(self, why: String) {
        tracing::info!(why = %why.escape_debug(), remote = %self.link.flow.remote, "a connection could not be opened");
        // As in `over`: an error means that the driver has ended.
        let _ = self.surroundings.arrivals.send(Arrival::NotOpened { link: self.link, why }).await;
        self.over(Written::All).await;
    }

    /// Tells the driver that the connection is over, with what it did not deliver.
    pub(super) async fn over(mut self, written: Written) {
        let mut undelivered = Vec::new();
        if let Written::Lost(flow) = written {
            undelivered.push(flow);
        }
        self.line.outbox.close();
        while let Ok(outgoing) = self.line.outbox.try_recv() {
            if outgoing.is_message && !undelivered.contains(&outgoing.flow) {
                undelivered.push(outgoing.flow);
            }
        }
        let Self { link, surroundings, place, .. } = self;
        drop(place);
        // An error means that the driver has ended: nobody to tell.
        let _ = surroundings.arrivals.send(Arrival::Gone { link, undelivered }).await;
    }
}

/// Answers a ping, where there is something to answer it by. Where the queue is full the peer does not read; its next message finds that out.
pub(super) fn pong(link: Link, surroundings: &Surroundings, pongs: Option<&mpsc::WeakSender<Outgoing>>) {
    surroundings.tally.count(Counter::KeepAlives);
    if let Some(outbox) = pongs.and_then(mpsc::WeakSender::upgrade) {
        let bytes = Bytes::from_static(PONG);
        let _ = outbox.try_send(Outgoing { flow: link.flow, bytes, is_message: false });
    }
}

/// Reads until there is nothing more to be read. Yields the reason where that is not the peer's end.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    link: Link,
    surroundings: &Surroundings,
    pongs: Option<&mpsc::WeakSender<Outgoing>>,
) -> Option<Broken> {
    let Surroundings { settings, clock, tally, arrivals } = surroundings;
    let mut framer = Framer::new(settings.framing);
    let mut buffer = vec![0; READ_OCTETS];
    // Who connects has something to say.
    let (mut rest, mut at_rest_too_long) =
        (clock.instant() + settings.framing.message_time, Counter::ClosedSlow);
    loop {
        let deadline = framer.deadline();
        let read = tokio::select! {
            read = reader.read(&mut buffer) => read,
            () = tokio::time::sleep_until(deadline.unwrap_or(rest).into()) => {
                if deadline.is_some() {
                    return Some(framer.too_slow());
                }
                tally.count(at_rest_too_long);
                return None;
            }
        };
        let octets = match read {
            Ok(length @ 1..) => buffer.get(..length).unwrap_or_default(),
            Ok(0) => return None,
            Err(error) => {
                tracing::debug!(%error, remote = %link.flow.remote, "a connection broke");
                return None;
            }
        };
        let now = clock.instant();
        framer.receive(now, octets);
        while let Some(frame) = framer.next() {
            match frame {
                Ok(Frame::Message(bytes)) => {
                    // Waits while the driver is busy: then the peer's octets wait in its own machine.
                    arrivals.send(Arrival::Message { flow: link.flow, bytes }).await.ok()?;
                }
                Ok(Frame::Ping) => pong(link, surroundings, pongs),
                Err(broken) => return Some(broken),
            }
        }
        (rest, at_rest_too_long) = (now + settings.idle, Counter::ClosedIdle);
    }
}

/// Writes what comes, until the driver lets go of the queue.
async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    outbox: &mut mpsc::Receiver<Outgoing>,
    cut: &mut Cut,
    surroundings: &Surroundings,
) -> Written {
    loop {
        let outgoing = tokio::select! {
            outgoing = outbox.recv() => outgoing,
            () = cut.off() => return Written::Cut,
        };
        let Some(Outgoing { flow, bytes, .. }) = outgoing else { break };
        let write = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        let written = tokio::select! {
            written = tokio::time::timeout(WRITE_TIME, write) => written,
            () = cut.off() => return Written::Lost(flow),
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, remote = %flow.remote, "a connection broke");
                return Written::Lost(flow);
            }
            Err(_) => {
                surroundings.tally.count(Counter::ClosedDeaf);
                return Written::Lost(flow);
            }
        }
    }
    // A peer that is gone already needs no goodbye.
    let _ = tokio::time::timeout(WRITE_TIME, writer.shutdown()).await;
    Written::All
}

/// Reads and forgets what a cut-off peer still sends, for a moment.
async fn linger(reader: &mut (impl AsyncRead + Unpin)) {
    let drain = async {
        let (mut buffer, mut left) = (vec![0; READ_OCTETS], LINGER_OCTETS);
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, drain).await;
}
