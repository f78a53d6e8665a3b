//! SIP over UDP (RFC 3261 §18): several sockets, one endpoint, one task.
//!
//! The task owns the endpoint, so no lock stands between a datagram and its answer. Calls speak to it by
//! commands on a bounded channel; it speaks to them through a [`Handler`], which must not block.

use super::tap::{Direction, Tap};
use crate::sip::{Endpoint, Event, Flow, Transport};
use crate::units::clock::Clock;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
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
/// After a socket's error, before it is read again.
const RECEIVE_PAUSE: Duration = Duration::from_millis(20);
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
            .and_then(|probe| probe.connect(remote).and_then(|()| probe.local_addr()));
        let source = match source {
            Ok(local) => local.ip(),
            // Not remembered: no route now may be one at the next message.
            Err(error) => {
                tracing::warn!(%error, remote = %remote.ip(), "no way to find our address towards a peer");
                return bound.ip();
            }
        };
        if self.routes.len() >= MAX_REMEMBERED_ROUTES {
            self.routes.clear();
        }
        self.routes.insert(remote.ip(), source);
        source
    }

    /// Waits until some socket has a datagram, and reads it.
    async fn receive(&mut self, buffer: &mut [u8]) -> (usize, SocketAddr, usize) {
        loop {
            match poll_fn(|context| self.poll_receive(context, buffer)).await {
                Ok(received) => return received,
                // An ICMP error about an earlier datagram, or the system's trouble: the socket is read again, but a
                // trouble that stays must not take the whole processor.
                Err(error) => {
                    tracing::warn!(%error, "receive on a SIP socket failed");
                    tokio::time::sleep(RECEIVE_PAUSE).await;
                }
            }
        }
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr, usize)>> {
        let count = self.listeners.len();
        for step in 0..count {
            let index = (self.next_to_read + step) % count;
            let mut space = ReadBuf::new(buffer);
            if let Poll::Ready(read) = self.listeners[index].socket.poll_recv_from(context, &mut space) {
                self.next_to_read = (index + 1) % count;
                return Poll::Ready(read.map(|remote| (index, remote, space.filled().len())));
            }
        }
        Poll::Pending
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
    tap: Tap,
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
        Self { transport, endpoint, handler, commands, clock, tap: Tap::default() }
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
            self.take_in(now, index, remote, &buffer[..length]);
            next = self.transport.try_receive(index, buffer);
        }
        // What was read beyond the turn must not be lost.
        if let Some((length, remote)) = next {
            self.take_in(now, index, remote, &buffer[..length]);
        }
    }

    fn take_in(&mut self, now: Instant, index: usize, remote: SocketAddr, datagram: &[u8]) {
        let flow = self.transport.flow(index, remote);
        self.tap.see(&self.clock, Direction::Received, flow, datagram);
        self.endpoint.handle_datagram(now, flow, datagram);
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
            self.tap.see(&self.clock, Direction::Sent, transmit.flow, &transmit.bytes);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{EndpointConfig, ServiceState};
    use std::net::{Ipv4Addr, Ipv6Addr};
    use tokio::net::UdpSocket as Peer;

    /// A safety net: no test waits so long unless it has failed.
    const FOR_EVER: Duration = Duration::from_secs(60);

    /// Tells the endpoint to refuse, and stops when told.
    #[derive(Debug, Default)]
    struct Desk {
        stopped: bool,
    }

    #[derive(Debug)]
    enum Order {
        Refuse,
        Stop,
    }

    impl Handler for Desk {
        type Command = Order;

        fn event(&mut self, _: Instant, _: &mut Endpoint, _: Event) {}

        fn command(&mut self, _: Instant, endpoint: &mut Endpoint, order: Order) {
            match order {
                Order::Refuse => endpoint.set_service_state(ServiceState::Refusing { retry_after_s: 9 }),
                Order::Stop => self.stopped = true,
            }
        }

        fn finished(&self, _: &Endpoint) -> bool {
            self.stopped
        }
    }

    struct Running {
        addresses: Vec<SocketAddr>,
        orders: mpsc::Sender<Order>,
        driver: tokio::task::JoinHandle<()>,
    }

    fn run(listen: &[SocketAddr]) -> Running {
        run_tapped(listen, Tap::default())
    }

    fn run_tapped(listen: &[SocketAddr], tap: Tap) -> Running {
        let transport = UdpTransport::bind(listen).unwrap();
        let addresses = transport.addresses();
        let (orders, waiting) = mpsc::channel(4);
        let endpoint = Endpoint::new(EndpointConfig::new([1; 32]));
        let driver =
            Driver::new(transport, endpoint, Desk::default(), waiting, Clock::system()).with_tap(tap);
        Running { addresses, orders, driver: tokio::spawn(driver.run()) }
    }

    fn on(ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), 0)
    }

    /// An OPTIONS from a socket that asks for the answer there; gives the answer's first line and its Contact.
    async fn ask(peer: &Peer, to: SocketAddr, branch: u32) -> String {
        let from = peer.local_addr().unwrap();
        let request = format!(
            "OPTIONS sip:130@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{branch}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:a@{from}>;tag=1\r\nTo: <sip:130@{to}>\r\nCall-ID: {branch}\r\n\
             CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        peer.send_to(request.as_bytes(), to).await.unwrap();
        let mut answer = vec![0; 4096];
        let (length, source) =
            tokio::time::timeout(FOR_EVER, peer.recv_from(&mut answer)).await.unwrap().unwrap();
        assert_eq!(source, to);
        String::from_utf8(answer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn both_families_are_served_side_by_side_until_the_handler_has_finished() {
        let service = run(&[on(Ipv4Addr::LOCALHOST), on(Ipv6Addr::LOCALHOST)]);
        let [v4, v6] = service.addresses[..] else { panic!("two were asked for") };
        assert!(v4.is_ipv4() && v6.is_ipv6() && v4.port() != 0 && v6.port() != 0);
        let (peer4, peer6) = (
            Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap(),
            Peer::bind(on(Ipv6Addr::LOCALHOST)).await.unwrap(),
        );
        for (peer, to) in [(&peer4, v4), (&peer6, v6)] {
            assert!(ask(peer, to, 1).await.starts_with("SIP/2.0 200 "), "{to}");
        }
        service.orders.send(Order::Refuse).await.unwrap();
        let refused = ask(&peer6, v6, 2).await;
        assert!(refused.starts_with("SIP/2.0 503 ") && refused.contains("Retry-After: 9"), "{refused}");
        service.orders.send(Order::Stop).await.unwrap();
        tokio::time::timeout(FOR_EVER, service.driver).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn rubbish_and_peers_that_are_gone_do_not_end_the_service() {
        let service = run(&[on(Ipv4Addr::LOCALHOST)]);
        let to = service.addresses[0];
        let peer = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
        // The largest payload that IPv4 carries, one that is empty, and one that is no SIP.
        for rubbish in [&[b'a'; 65_507][..], b"", b"\r\n\r\n", b"\0\xff\xff"] {
            peer.send_to(rubbish, to).await.unwrap();
        }
        // A peer that does not wait for its answer: the system is told so by ICMP.
        let gone = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
        let request = b"NONSENSE sip:130@x SIP/2.0\r\nVia: SIP/2.0/UDP x;rport;branch=z9hG4bKgone\r\nMax-Forwards: 70\r\n\
            From: <sip:a@x>;tag=1\r\nTo: <sip:130@x>\r\nCall-ID: gone\r\nCSeq: 1 NONSENSE\r\n\r\n";
        gone.send_to(request, to).await.unwrap();
        drop(gone);
        for branch in 1..4 {
            assert!(ask(&peer, to, branch).await.starts_with("SIP/2.0 200 "));
        }
        assert!(!service.driver.is_finished());
    }

    #[tokio::test]
    async fn a_wildcard_listener_says_the_address_it_is_reached_at() {
        for (wildcard, loopback) in [
            (IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv4Addr::LOCALHOST)),
            (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
        ] {
            let mut transport = UdpTransport::bind(&[SocketAddr::new(wildcard, 0)]).unwrap();
            let port = transport.addresses()[0].port();
            let remote = SocketAddr::new(loopback, 5060);
            let flow = transport.flow_to(remote).unwrap();
            assert_eq!((flow.local, flow.remote), (SocketAddr::new(loopback, port), remote));
            assert_eq!(transport.routes.get(&loopback), Some(&loopback));
        }
        let mut transport = UdpTransport::bind(&[on(Ipv4Addr::LOCALHOST)]).unwrap();
        assert_eq!(
            transport.flow_to(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 5060)),
            None,
            "no such family"
        );
    }

    #[tokio::test]
    async fn a_tap_sees_what_is_received_and_sent_with_its_way() {
        let (seen, mut passed) = mpsc::unbounded_channel();
        let tap = Tap::new(move |message| {
            seen.send((message.direction, message.flow, message.octets.to_vec())).unwrap();
        });
        let service = run_tapped(&[on(Ipv4Addr::LOCALHOST)], tap);
        let local = service.addresses[0];
        let peer = Peer::bind(on(Ipv4Addr::LOCALHOST)).await.unwrap();
        let answer = ask(&peer, local, 7).await;
        let flow = Flow { transport: Transport::Udp, local, remote: peer.local_addr().unwrap() };
        let (direction, way, octets) = passed.recv().await.unwrap();
        assert_eq!((direction, way), (Direction::Received, flow));
        assert!(octets.starts_with(b"OPTIONS sip:130@"));
        let (direction, way, octets) = passed.recv().await.unwrap();
        assert_eq!((direction, way, octets), (Direction::Sent, flow, answer.into_bytes()));
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let first = UdpTransport::bind(&[on(Ipv4Addr::LOCALHOST)]).unwrap();
        let taken = first.addresses()[0];
        let error = UdpTransport::bind(&[on(Ipv4Addr::LOCALHOST), taken]).unwrap_err();
        assert_eq!(error.address, taken);
        assert!(error.to_string().contains(&taken.to_string()));
    }
}
