//! The task that owns the endpoint: it moves octets, events, commands and time between the sockets, the endpoint and
//! the handler.
//!
//! The task owns the endpoint, so no lock stands between a message and its answer. Calls speak to it by
//! commands on a bounded channel; it speaks to them through a [`Handler`], which must not block.

use super::connection::Arrival;
use super::sockets::{Received, Sockets};
use super::streams::News;
use super::tap::{Direction, Tap};
use crate::sip::{Counter, Endpoint, Event, Flow, PING};
use crate::units::clock::Clock;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::sync::mpsc;

/// Largest UDP payload, octets.
const MAX_DATAGRAM_OCTETS: usize = 65_535;
/// Datagrams, or arrivals of connections, taken before timers, commands and outputs get their turn.
const DATAGRAMS_A_TURN: usize = 64;
/// Commands performed before the sockets get their turn.
const COMMANDS_A_TURN: usize = 64;

/// Who performs what the endpoint reports and what calls ask of it. Runs inside the driver's task: never blocks.
pub trait Handler {
    /// What calls ask for.
    type Command: Send;

    /// The endpoint reports something.
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event);

    /// A call asks for something.
    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Self::Command);

    /// A peer has connected, or we to it. `certificate_names` are those in its certificate, where that was verified (RFC 5922 §7.1).
    fn connected(&mut self, flow: Flow, certificate_names: &[String]) {
        let _ = (flow, certificate_names);
    }

    /// No connection could be opened by that flow; the requests that wait for it fail next. `why` is for people, and
    /// may hold words of the peer's.
    fn not_opened(&mut self, flow: Flow, why: &str) {
        let _ = (flow, why);
    }

    /// The connection of that flow is closed.
    fn disconnected(&mut self, flow: Flow) {
        let _ = flow;
    }

    /// Whether the driver may end: asked after every turn.
    fn finished(&self, endpoint: &Endpoint) -> bool;
}

/// Moves bytes and time between sockets, endpoint and handler.
#[derive(Debug)]
pub struct Driver<H: Handler> {
    sockets: Sockets,
    endpoint: Endpoint,
    handler: H,
    commands: mpsc::Receiver<H::Command>,
    clock: Clock,
    tap: Tap,
}

impl<H: Handler> Driver<H> {
    /// Joins the parts; nothing moves before [`Driver::run`].
    pub fn new(
        sockets: impl Into<Sockets>,
        endpoint: Endpoint,
        handler: H,
        commands: mpsc::Receiver<H::Command>,
        clock: Clock,
    ) -> Self {
        Self { sockets: sockets.into(), endpoint, handler, commands, clock, tap: Tap::default() }
    }

    /// Lets `tap` see every message received and sent.
    #[must_use]
    pub fn with_tap(self, tap: Tap) -> Self {
        Self { tap, ..self }
    }

    /// Runs until the handler has finished or nobody can command any more.
    pub async fn run(mut self) {
        let mut buffer = vec![0; MAX_DATAGRAM_OCTETS];
        loop {
            self.flush().await;
            if self.handler.finished(&self.endpoint) {
                return;
            }
            let wake = self.endpoint.poll_timeout();
            tokio::select! {
                received = self.sockets.receive(&mut buffer) => match received {
                    Received::Datagram { index, remote, length } => self.read((index, remote, length), &mut buffer),
                    Received::Arrival(arrival) => self.arrive(arrival),
                },
                command = self.commands.recv() => match command {
                    Some(command) => self.perform(command),
                    None => return,
                },
                () = until(wake) => self.endpoint.handle_timeout(self.clock.instant()),
            }
        }
    }

    fn read(&mut self, (index, remote, length): (usize, SocketAddr, usize), buffer: &mut [u8]) {
        let now = self.clock.instant();
        let mut next = Some((length, remote));
        for _ in 0..DATAGRAMS_A_TURN {
            let Some((length, remote)) = next else { break };
            self.take_in(now, index, remote, &buffer[..length]);
            next = self.sockets.udp.try_receive(index, buffer);
        }
        // What was read beyond the turn must not be lost.
        if let Some((length, remote)) = next {
            self.take_in(now, index, remote, &buffer[..length]);
        }
    }

    fn take_in(&mut self, now: Instant, index: usize, remote: SocketAddr, datagram: &[u8]) {
        let flow = self.sockets.udp.flow(index, remote);
        self.tap.see(&self.clock, Direction::Received, flow, datagram);
        self.endpoint.handle_datagram(now, flow, datagram);
    }

    /// News of connections, as much as datagrams at a turn.
    fn arrive(&mut self, arrival: Arrival) {
        let now = self.clock.instant();
        let mut next = Some(arrival);
        for turn in 0..DATAGRAMS_A_TURN {
            let Some(arrival) = next.take() else { break };
            self.take_over(now, arrival);
            if turn + 1 < DATAGRAMS_A_TURN {
                next = self.sockets.streams.try_arrival();
            }
        }
    }

    fn take_over(&mut self, now: Instant, arrival: Arrival) {
        match self.sockets.streams.take(arrival) {
            News::Connected(flow, names) => {
                self.endpoint.connected(flow, &names);
                if !self.cut_off_banned(now, flow) {
                    self.handler.connected(flow, &names);
                }
            }
            News::Opened(flow, names) => self.handler.connected(flow, &names),
            News::Message(flow, bytes) => {
                self.tap.see(&self.clock, Direction::Received, flow, &bytes);
                self.endpoint.handle_datagram(now, flow, &bytes);
                self.cut_off_banned(now, flow);
            }
            News::Broken(flow, broken) => {
                self.tap.see(&self.clock, Direction::Received, flow, &broken.header);
                self.endpoint.handle_broken(now, flow, &broken);
            }
            News::NotOpened(flow, why) => self.handler.not_opened(flow, &why),
            News::Gone(flow, undelivered) => {
                for way in undelivered {
                    self.endpoint.handle_transport_error(now, way);
                }
                self.endpoint.disconnected(flow);
                self.handler.disconnected(flow);
            }
            News::Nothing => {}
        }
    }

    /// Nothing is read from a banned address, so its connections hold no place either, but for a peer's by its certificate.
    fn cut_off_banned(&mut self, now: Instant, flow: Flow) -> bool {
        let is_banned = self.endpoint.is_banned(now, flow);
        if is_banned {
            self.endpoint.count(Counter::DroppedBanned);
            self.sockets.streams.cut_off(flow);
        }
        is_banned
    }

    fn perform(&mut self, command: H::Command) {
        let now = self.clock.instant();
        self.count_connections();
        self.handler.command(now, &mut self.endpoint, command);
        for _ in 0..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            self.handler.command(now, &mut self.endpoint, command);
        }
    }

    /// Takes over what the connections' tasks have counted.
    fn count_connections(&mut self) {
        self.sockets.streams.tally().take(|counter| self.endpoint.count(counter));
    }

    /// Performs all events, then sends all that is to be sent, until there is nothing more of either.
    async fn flush(&mut self) {
        let now = self.clock.instant();
        loop {
            while let Some(event) = self.endpoint.poll_event() {
                self.handler.event(now, &mut self.endpoint, event);
            }
            while let Some(transmit) = self.endpoint.poll_transmit() {
                if &*transmit.bytes != PING {
                    self.tap.see(&self.clock, Direction::Sent, transmit.flow, &transmit.bytes);
                }
                self.sockets.send(transmit).await;
            }
            // Each failure ends what waited by that way, so that this comes to an end.
            let failed = self.sockets.streams.failed();
            if failed.is_empty() {
                break;
            }
            for flow in failed {
                self.endpoint.handle_transport_error(now, flow);
            }
        }
        self.sockets.streams.let_go();
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
