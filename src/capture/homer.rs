//! Sends captured messages to a collector, as HEPv3 over UDP or TCP.
//!
//! The driver only puts messages into a bounded queue: a collector that is slow, away or gone costs messages, never a
//! call. All that were not sent are counted.

use super::hep;
use super::mask::mask;
use super::message::Captured;
use super::settings::{Carrier, Collector, HomerSettings};
use crate::net::Direction;
use crate::units::clock::Clock;
use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::sync::mpsc;

/// Messages that may wait to be sent; over it they are dropped and counted.
pub const MAX_WAITING: usize = 8192;
/// Messages encoded before they are sent.
const MESSAGES_A_BATCH: usize = 64;
/// How long a connection, or a write to it, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a collector could not be reached, before the next try; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a looked-up address is used after datagrams to it failed.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(30);

/// What became of the messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HomerCounts {
    /// Given to the network.
    pub sent: u64,
    /// Dropped because too many waited.
    pub dropped_queue_full: u64,
    /// Lost because the collector did not take them.
    pub dropped_unsent: u64,
    /// Dropped because they are too long for a packet.
    pub dropped_too_long: u64,
}

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    queue_full: AtomicU64,
    unsent: AtomicU64,
    too_long: AtomicU64,
}

/// The way to the collector.
#[derive(Debug, Clone)]
pub(super) struct Homer {
    queue: mpsc::Sender<Arc<Captured>>,
    counters: Arc<Counters>,
}

impl Homer {
    /// Starts the task that sends, if the settings name a collector. It ends when the last `Homer` is gone.
    pub(super) fn start(settings: &HomerSettings, clock: Clock) -> Option<Self> {
        let collector = settings.homer.clone()?;
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let counters = Arc::new(Counters::default());
        let sender = Sender {
            collector,
            settings: settings.clone(),
            counters: Arc::clone(&counters),
            clock,
            link: None,
            pause: PAUSE_MIN,
        };
        tokio::spawn(sender.run(waiting));
        Some(Self { queue, counters })
    }

    /// Hands a message on, or drops it.
    pub(super) fn offer(&self, message: &Arc<Captured>) {
        if self.queue.try_send(Arc::clone(message)).is_err() {
            self.counters.queue_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn counts(&self) -> HomerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HomerCounts {
            sent: read(&self.counters.sent),
            dropped_queue_full: read(&self.counters.queue_full),
            dropped_unsent: read(&self.counters.unsent),
            dropped_too_long: read(&self.counters.too_long),
        }
    }
}

/// A way to the collector that stands.
#[derive(Debug)]
enum Link {
    Udp { socket: UdpSocket, since: Instant },
    Tcp(TcpStream),
}

struct Sender {
    collector: Collector,
    settings: HomerSettings,
    counters: Arc<Counters>,
    clock: Clock,
    link: Option<Link>,
    /// Before the next try to reach the collector.
    pause: Duration,
}

impl Sender {
    async fn run(mut self, mut waiting: mpsc::Receiver<Arc<Captured>>) {
        let mut batch = Vec::with_capacity(MESSAGES_A_BATCH);
        // Where each packet ends.
        let (mut packets, mut ends) = (Vec::new(), Vec::new());
        while waiting.recv_many(&mut batch, MESSAGES_A_BATCH).await > 0 {
            packets.clear();
            ends.clear();
            for message in batch.drain(..) {
                match self.encode(&mut packets, &message) {
                    Ok(()) => ends.push(packets.len()),
                    Err(_) => drop(self.counters.too_long.fetch_add(1, Ordering::Relaxed)),
                }
            }
            self.connect().await;
            self.send(&packets, &ends).await;
        }
    }

    fn encode(&self, packets: &mut Vec<u8>, message: &Captured) -> Result<(), hep::TooLong> {
        let payload = if self.settings.mask_msisdn {
            Cow::Owned(mask(&message.octets))
        } else {
            Cow::Borrowed(&*message.octets)
        };
        let received = message.direction == Direction::Received;
        let captured =
            hep::Captured::new(message.flow, received, message.at.wall, &payload, message.call_id.as_deref());
        let auth_key = self.settings.auth_key.as_ref().map(|key| key.octets());
        hep::write(packets, &captured, self.settings.agent_id, auth_key.unwrap_or_default())
    }

    /// Makes sure that there is a way to the collector, however long that takes: meanwhile the queue fills.
    async fn connect(&mut self) {
        if self.link.as_ref().is_some_and(Link::is_closed) {
            self.lost("it closed the connection");
        }
        while self.link.is_none() {
            match tokio::time::timeout(PATIENCE, self.open())
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            {
                Ok(link) => {
                    tracing::info!(collector = %self.collector, "capture: packets go to the collector");
                    (self.link, self.pause) = (Some(link), PAUSE_MIN);
                }
                Err(error) => {
                    let again_in_s = self.pause.as_secs_f32();
                    tracing::warn!(%error, collector = %self.collector, again_in_s, "capture: the collector cannot be reached");
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn open(&self) -> io::Result<Link> {
        let host_port = self.collector.host_port.as_str();
        match self.collector.carrier {
            Carrier::Tcp => {
                let stream = TcpStream::connect(host_port).await?;
                stream.set_nodelay(true)?;
                Ok(Link::Tcp(stream))
            }
            Carrier::Udp => {
                let address = lookup_host(host_port).await?.next().ok_or(io::ErrorKind::NotFound)?;
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(address).await?;
                Ok(Link::Udp { socket, since: self.clock.instant() })
            }
        }
    }

    fn lost(&mut self, why: &str) {
        tracing::warn!(collector = %self.collector, why, "capture: the collector is lost");
        self.link = None;
    }

    async fn send(&mut self, packets: &[u8], ends: &[usize]) {
        let (sent, failure) = match &mut self.link {
            None => (0, None),
            Some(Link::Tcp(stream)) => {
                match tokio::time::timeout(PATIENCE, stream.write_all(packets)).await {
                    Ok(Ok(())) => (ends.len(), None),
                    Ok(Err(error)) => (0, Some(error.to_string())),
                    Err(_) => (0, Some("it takes nothing any more".to_owned())),
                }
            }
            Some(Link::Udp { socket, since }) => {
                let (mut sent, mut start) = (0, 0);
                for end in ends {
                    let packet = packets.get(start..*end).unwrap_or_default();
                    sent += usize::from(socket.send(packet).await.is_ok());
                    start = *end;
                }
                // A datagram is also refused for one sent before, to a collector that is being started again.
                let stale = sent < ends.len() && self.clock.instant() - *since > LOOK_UP_AGAIN;
                (sent, stale.then(|| "datagrams are refused".to_owned()))
            }
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        self.counters.sent.fetch_add(count(sent), Ordering::Relaxed);
        self.counters.unsent.fetch_add(count(ends.len() - sent), Ordering::Relaxed);
        if let Some(why) = failure {
            self.lost(&why);
        }
    }
}

impl Link {
    /// Whether the collector has closed the connection. It never says anything.
    fn is_closed(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        let mut nothing = [0; 64];
        match stream.try_read(&mut nothing) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

#[cfg(test)]
#[path = "homer_tests.rs"]
mod tests;
