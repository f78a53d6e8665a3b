//! SIP over UDP (RFC 3261 §18): several sockets, one endpoint, one task.
//!
//! The task owns the endpoint, so no lock stands between a datagram and its answer. Calls speak to it by
//! commands on a bounded channel; it speaks to them through a [`Handler`], which must not block.

use crate::sip::{Endpoint, Event, Flow, Transport};
use crate::units::clock::Clock;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::task::Poll;
use std::time::Instant;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Largest UDP payload, octets.
const MAX_DATAGRAM_OCTETS: usize = 65_535;
/// Datagrams read before timers, commands and outputs get their turn.
const DATAGRAMS_A_TURN: usize = 64;
/// Commands performed before the sockets get their turn.
const COMMANDS_A_TURN: usize = 64;
/// Asked of the system for each direction's socket buffer, octets: bursts wait there, not in us.
const SOCKET_BUFFER_OCTETS: usize = 4 << 20;
/// Remote addresses whose local address is remembered when listening on a wildcard address.
const MAX_REMEMBERED_ROUTES: usize = 4096;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on udp {address}; is another program there, or is it not an address of this machine?")]
pub struct BindError {
    /// The address asked for.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// One listening socket.
#[derive(Debug)]
struct Listener {
    socket: UdpSocket,
    address: SocketAddr,
}

/// The UDP sockets of one endpoint.
#[derive(Debug)]
pub struct UdpTransport {
    listeners: Vec<Listener>,
    /// With a wildcard listener: remote address → the local address the system routes it from.
    routes: HashMap<IpAddr, IpAddr>,
    next_to_read: usize,
}

impl UdpTransport {
    /// Opens a socket for each address; port 0 lets the system choose. Needs a tokio runtime.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let listeners = addresses
            .iter()
            .map(|&address| listen(address).map_err(|source| BindError { address, source }))
            .collect::<Result<_, _>>()?;
        Ok(Self { listeners, routes: HashMap::new(), next_to_read: 0 })
    }

    /// The addresses really listened on, in the order asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|listener| listener.address).collect()
    }

    /// The flow towards a remote address, from the first socket of its family.
    pub fn flow_to(&mut self, remote: SocketAddr) -> Option<Flow> {
        let index = self.listeners.iter().position(|l| l.address.is_ipv4() == remote.is_ipv4())?;
        Some(self.flow(index, remote))
    }

    fn flow(&mut self, index: usize, remote: SocketAddr) -> Flow {
        let bound = self.listeners[index].address;
        let local = if bound.ip().is_unspecified() {
            SocketAddr::new(self.route_source(bound, remote), bound.port())
        } else {
            bound
        };
        Flow { transport: Transport::Udp, local, remote }
    }

    /// Which of our addresses the system sends from towards `remote`: what Contact and SDP must say.
    fn route_source(&mut self, bound: SocketAddr, remote: SocketAddr) -> IpAddr {
        if let Some(known) = self.routes.get(&remote.ip()) {
            return *known;
        }
        let source = StdUdpSocket::bind(SocketAddr::new(bound.ip(), 0))
            .and_then(|probe| probe.connect(remote).and_then(|()| probe.local_addr()))
            .map_or(bound.ip(), |local| local.ip());
        if self.routes.len() >= MAX_REMEMBERED_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(remote.ip(), source);
        source
    }

    /// Waits until some socket has a datagram, and reads it.
    async fn receive(&mut self, buffer: &mut [u8]) -> (usize, SocketAddr, usize) {
        poll_fn(|context| {
            let count = self.listeners.len();
            for step in 0..count {
                let index = (self.next_to_read + step) % count;
                let mut space = ReadBuf::new(buffer);
                match self.listeners[index].socket.poll_recv_from(context, &mut space) {
                    Poll::Ready(Ok(remote)) => {
                        self.next_to_read = (index + 1) % count;
                        return Poll::Ready((index, remote, space.filled().len()));
                    }
                    // An ICMP error about an earlier datagram; the socket itself is well. Look again at once.
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "receive on a SIP socket failed");
                        context.waker().wake_by_ref();
                    }
                    Poll::Pending => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    fn try_receive(&self, index: usize, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.listeners[index].socket.try_recv_from(buffer).ok()
    }

    async fn send(&self, flow: Flow, bytes: &[u8]) {
        let listener = self.listeners.iter().find(|l| l.address == flow.local).or_else(|| {
            self.listeners.iter().find(|l| {
                l.address.port() == flow.local.port() && l.address.is_ipv4() == flow.remote.is_ipv4()
            })
        });
        let Some(listener) = listener else {
            tracing::warn!(?flow, "no socket for this flow; datagram dropped");
            return;
        };
        // UDP may lose what the peer does not take: the transaction's retransmission answers for it.
        if let Err(error) = listener.socket.send_to(bytes, flow.remote).await {
            tracing::debug!(%error, remote = %flow.remote, "send failed");
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // One family a socket, so that IPv4 and IPv6 can be listened on side by side.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Best effort: the system caps both.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_OCTETS);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_OCTETS);
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    let address = socket.local_addr()?;
    Ok(Listener { socket, address })
}

/// Who performs what the endpoint reports and what calls ask of it. Runs inside the driver's task: never blocks.
pub trait Handler {
    /// What calls ask for.
    type Command: Send;

    /// The endpoint reports something.
    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event);

    /// A call asks for something.
    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, command: Self::Command);

    /// Whether the driver may end: asked after every turn.
    fn finished(&self, endpoint: &Endpoint) -> bool;
}

/// Moves bytes and time between sockets, endpoint and handler.
#[derive(Debug)]
pub struct Driver<H: Handler> {
    transport: UdpTransport,
    endpoint: Endpoint,
    handler: H,
    commands: mpsc::Receiver<H::Command>,
    clock: Clock,
}

impl<H: Handler> Driver<H> {
    /// Joins the parts; nothing moves before [`Driver::run`].
    pub fn new(
        transport: UdpTransport,
        endpoint: Endpoint,
        handler: H,
        commands: mpsc::Receiver<H::Command>,
        clock: Clock,
    ) -> Self {
        Self { transport, endpoint, handler, commands, clock }
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
                received = self.transport.receive(&mut buffer) => self.read(received, &mut buffer),
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
            let flow = self.transport.flow(index, remote);
            self.endpoint.handle_datagram(now, flow, &buffer[..length]);
            next = self.transport.try_receive(index, buffer);
        }
        // What was read beyond the turn must not be lost.
        if let Some((length, remote)) = next {
            let flow = self.transport.flow(index, remote);
            self.endpoint.handle_datagram(now, flow, &buffer[..length]);
        }
    }

    fn perform(&mut self, command: H::Command) {
        let now = self.clock.instant();
        self.handler.command(now, &mut self.endpoint, command);
        for _ in 0..COMMANDS_A_TURN {
            let Ok(command) = self.commands.try_recv() else { break };
            self.handler.command(now, &mut self.endpoint, command);
        }
    }

    /// Performs all events, then sends all that is to be sent.
    async fn flush(&mut self) {
        let now = self.clock.instant();
        while let Some(event) = self.endpoint.poll_event() {
            self.handler.event(now, &mut self.endpoint, event);
        }
        while let Some(transmit) = self.endpoint.poll_transmit() {
            self.transport.send(transmit.flow, &transmit.bytes).await;
        }
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(instant) => tokio::time::sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
}
