//! Every connection of one endpoint: who listens, who is connected, which connection a message goes by, and opening one
//! where there is none (RFC 3261 §18.1.1, §18.2.2).

use super::admission::{Admission, Place, Tally};
use super::connection::{Arrival, Connection, Line, Link, Outgoing, Surroundings, line};
use super::settings::StreamSettings;
use super::tls::{Tls, explain, names};
use super::udp::route_source;
use super::watched::Watched;
use super::websocket;
use crate::sip::{Counter, Flow, PING, Transmit, Transport, next_hop_name, reopen_at};
use crate::units::clock::Clock;
use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdTcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_tungstenite::WebSocketStream;

/// Arrivals that wait for the driver; while it is behind, connections are not read.
const ARRIVALS_WAITING: usize = 1_024;
/// Connections that wait in the system to be accepted.
const BACKLOG: i32 = 1_024;
/// After an error of accepting, before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// How long opening a connection may take: below 64·T1, so that its failure is news.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// What a connection is found by: the peer's address, and how it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    transport: Transport,
    remote: SocketAddr,
}

/// A connection, from the driver's side.
#[derive(Debug)]
struct Handle {
    link: Link,
    line: Line,
}

/// What opening and accepting connections needs.
#[derive(Debug, Clone)]
struct Office {
    surroundings: Surroundings,
    admission: Arc<Admission>,
    tls: Option<Arc<Tls>>,
    next_number: Arc<AtomicU64>,
}

impl Office {
    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }
}

/// What the driver is to do about an arrival.
#[derive(Debug)]
pub(super) enum News {
    /// A peer has connected; these are the names in its certificate.
    Connected(Flow, Vec<String>),
    /// We have connected to a peer; these are the names in its certificate.
    Opened(Flow, Vec<String>),
    /// A message came.
    Message(Flow, Bytes),
    /// A stream cannot be read on.
    Broken(Flow, crate::sip::Broken),
    /// A connection could not be opened, and why.
    NotOpened(Flow, String),
    /// A connection is closed, and what was to go by these ways is lost.
    Gone(Flow, Vec<Flow>),
    /// Nothing.
    Nothing,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Streams {
    listening: Vec<(Transport, SocketAddr)>,
    connections: HashMap<Key, Handle>,
    arrivals: mpsc::Receiver<Arrival>,
    office: Office,
    /// Sockets whose port is named in messages before they connect.
    reserved: HashMap<Key, Socket>,
    /// Let go once everything is queued.
    leaving: Vec<Link>,
    /// Ways by which something could not be sent.
    failed: Vec<Flow>,
    /// Accept for as long as this lives.
    listeners: JoinSet<()>,
}

impl Streams {
    pub(super) fn new(settings: StreamSettings, tls: Option<Arc<Tls>>, clock: Clock) -> Self {
        let (sender, arrivals) = mpsc::channel(ARRIVALS_WAITING);
        let admission = Admission::new(&settings);
        let surroundings = Surroundings { settings, clock, tally: Arc::default(), arrivals: sender };
        let office = Office { surroundings, admission, tls, next_number: Arc::default() };
        Self {
            listening: Vec::new(),
            connections: HashMap::new(),
            arrivals,
            office,
            reserved: HashMap::new(),
            leaving: Vec::new(),
            failed: Vec::new(),
            listeners: JoinSet::new(),
        }
    }

    /// Accepts connections at `address`. Needs a tokio runtime.
    pub(super) fn listen(&mut self, transport: Transport, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = stream_socket(address)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        self.listening.push((transport, address));
        self.listeners.spawn(accept(listener, transport, self.office.clone()));
        Ok(address)
    }

    /// Looks after the certificates, for as long as this lives.
    pub(super) fn watch_certificates(&mut self) {
        let Some((tls, interval)) =
            self.office.tls.as_ref().and_then(|tls| Some((Arc::clone(tls), tls.reload_interval()?)))
        else {
            return;
        };
        self.listeners.spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                tls.reload(false);
            }
        });
    }

    /// The flow towards a remote address. Where nothing is listened for, the connection's own port is taken before it is
    /// opened, since messages name it.
    pub(super) fn flow_to(&mut self, transport: Transport, remote: SocketAddr) -> io::Result<Flow> {
        let here = self
            .listening
            .iter()
            .find(|(other, local)| *other == transport && local.is_ipv4() == remote.is_ipv4());
        if let Some((_, bound)) = here {
            let ip = if bound.ip().is_unspecified() { route_source(bound.ip(), remote)? } else { bound.ip() };
            return Ok(Flow { transport, local: SocketAddr::new(ip, bound.port()), remote });
        }
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let local = SocketAddr::new(route_source(any, remote)?, 0);
        let socket = stream_socket(local)?;
        socket.bind(&local.into())?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        self.reserved.insert(Key { transport, remote }, socket);
        Ok(Flow { transport, local, remote })
    }

    /// Waits until a connection tells something.
    pub(super) async fn arrival(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            // Cannot be: the office holds a sender.
            None => std::future::pending().await,
        }
    }

    /// The next arrival that is there already.
    pub(super) fn try_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.try_recv().ok()
    }

    /// Takes an arrival over.
    pub(super) fn take(&mut self, arrival: Arrival) -> News {
        match arrival {
            Arrival::Connected { link, names, line } => {
                self.connections.insert(key_of(link.flow), Handle { link, line });
                News::Connected(link.flow, names)
            }
            Arrival::Opened { link, names } => News::Opened(link.flow, names),
            Arrival::Message { flow, bytes } => News::Message(flow, bytes),
            Arrival::ReadOver { link, broken } => {
                self.leaving.push(link);
                broken.map_or(News::Nothing, |broken| News::Broken(link.flow, broken))
            }
            Arrival::NotOpened { link, why } => News::NotOpened(link.flow, why),
            Arrival::Gone { link, undelivered } => {
                let key = key_of(link.flow);
                if self.connections.get(&key).is_some_and(|handle| handle.link == link) {
                    self.connections.remove(&key);
                }
                News::Gone(link.flow, undelivered)
            }
        }
    }

    /// Queues a message for its connection, or opens one. What cannot be sent is among [`Streams::failed`].
    pub(super) fn send(&mut self, Transmit { flow, bytes, opens }: Transmit) {
        let is_message = &*bytes != PING;
        let Some(outgoing) = self.queue(key_of(flow), Outgoing { flow, bytes, is_message }) else { return };
        if !is_message {
            // Nothing is left to be kept alive, as its end has told.
            return;
        }
        let at = if opens { Some(flow.remote) } else { reopen_at(flow, &outgoing.bytes) };
        match at {
            Some(remote) => {
                let to = Flow { remote, ..flow };
                if let Some(outgoing) = self.queue(key_of(to), outgoing) {
                    self.open(to, outgoing);
                }
            }
            None => self.failed.push(flow),
        }
    }

    /// Queues a message for a connection that is there; gives it back where there is none.
    fn queue(&mut self, key: Key, outgoing: Outgoing) -> Option<Outgoing> {
        let Some(handle) = self.connections.get(&key) else { return Some(outgoing) };
        let flow = outgoing.flow;
        match handle.line.outbox.try_send(outgoing) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Closed(outgoing)) => {
                self.connections.remove(&key);
                Some(outgoing)
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.office.surroundings.tally.count(Counter::ClosedDeaf);
                self.cut(key);
                self.failed.push(flow);
                None
            }
        }
    }

    /// Closes a connection at once, whatever is queued for it.
    pub(super) fn cut_off(&mut self, flow: Flow) {
        self.cut(key_of(flow));
    }

    fn cut(&mut self, key: Key) {
        if let Some(handle) = self.connections.remove(&key) {
            // An error means that it has ended by itself.
            let _ = handle.line.cut.send(());
        }
    }

    fn open(&mut self, flow: Flow, outgoing: Outgoing) {
        let Some(place) = self.office.admission.admit(flow.remote.ip()) else {
            self.office.surroundings.tally.count(Counter::DroppedConnections);
            return self.failed.push(outgoing.flow);
        };
        let key = key_of(flow);
        let link = Link { number: self.office.number(), flow };
        let (line, far) = line();
        let name = next_hop_name(&outgoing.bytes);
        // There is room: it is the first.
        let _ = line.outbox.try_send(outgoing);
        let connection = Connection {
            link,
            surroundings: self.office.surroundings.clone(),
            place,
            line: far,
            is_ours: true,
        };
        tokio::spawn(connect(connection, self.reserved.remove(&key), self.office.tls.clone(), name));
        self.connections.insert(key, Handle { link, line });
    }

    /// Ways by which something could not be sent since the last call.
    pub(super) fn failed(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.failed)
    }

    /// Lets go of connections that are no longer read, once their answers are queued.
    pub(super) fn let_go(&mut self) {
        for link in std::mem::take(&mut self.leaving) {
            let key = key_of(link.flow);
            if self.connections.get(&key).is_some_and(|handle| handle.link == link) {
                self.connections.remove(&key);
            }
        }
    }

    /// What was counted.
    pub(super) fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.office.surroundings.tally)
    }
}

fn key_of(flow: Flow) -> Key {
    Key { transport: flow.transport, remote: flow.remote }
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // One family a socket, as for UDP.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Accepts connections for ever.
async fn accept(listener: TcpListener, transport: Transport, office: Office) {
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // No descriptors left, mostly: those that are there go on.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match office.admission.admit(remote.ip()) {
            Some(place) => {
                tokio::spawn(accepted(stream, remote, transport, office.clone(), place));
            }
            None => office.surroundings.tally.count(Counter::DroppedConnections),
        }
    }
}

/// A peer has connected: the handshakes, then the conversation.
async fn accepted(stream: TcpStream, remote: SocketAddr, transport: Transport, office: Office, place: Place) {
    let Ok(local) = stream.local_addr() else { return };
    // Each message is written whole: nothing is to be waited for.
    let _ = stream.set_nodelay(true);
    let (line, far) = line();
    let link = Link { number: office.number(), flow: Flow { transport, local, remote } };
    let surroundings = office.surroundings.clone();
    let connection =
        Connection { link, surroundings: surroundings.clone(), place, line: far, is_ours: false };
    let patience = surroundings.settings.framing.message_time;
    let begin = |names| begin(&surroundings, link, names, line);
    match transport {
        Transport::Udp | Transport::Tcp => {
            if begin(Vec::new()).await {
                connection.run(stream).await;
            }
        }
        Transport::Ws => {
            let Some(stream) = shaken(
                websocket::accept(
                    Watched::new(stream, surroundings.clock),
                    &surroundings.settings.websocket_origins,
                ),
                patience,
                &surroundings,
                remote,
            )
            .await
            else {
                return;
            };
            if begin(Vec::new()).await {
                websocket::run(connection, stream).await;
            }
        }
        Transport::Tls | Transport::Wss => {
            let Some(acceptor) = office.tls.as_ref().and_then(|tls| tls.acceptor()) else { return };
            let Some(stream) = shaken(acceptor.accept(stream), patience, &surroundings, remote).await else {
                return;
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let names = certificate.map(names).unwrap_or_default();
            if transport == Transport::Tls {
                if begin(names).await {
                    connection.run(stream).await;
                }
                return;
            }
            let Some(stream) = shaken(
                websocket::accept(
                    Watched::new(stream, surroundings.clock),
                    &surroundings.settings.websocket_origins,
                ),
                patience,
                &surroundings,
                remote,
            )
            .await
            else {
                return;
            };
            if begin(names).await {
                websocket::run(connection, stream).await;
            }
        }
    }
}

/// Tells the driver of a new connection; `false` when it has ended.
async fn begin(surroundings: &Surroundings, link: Link, names: Vec<String>, line: Line) -> bool {
    surroundings.tally.count(Counter::ConnectionsAccepted);
    surroundings.arrivals.send(Arrival::Connected { link, names, line }).await.is_ok()
}

/// A handshake within its time.
async fn shaken<S, E: std::fmt::Display>(
    handshake: impl Future<Output = Result<S, E>>,
    patience: Duration,
    surroundings: &Surroundings,
    remote: SocketAddr,
) -> Option<S> {
    match tokio::time::timeout(patience, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            surroundings.tally.count(Counter::ClosedHandshake);
            tracing::debug!(error = %error.to_string().escape_debug(), %remote, "a handshake failed");
            None
        }
        Err(_) => {
            surroundings.tally.count(Counter::ClosedSlow);
            None
        }
    }
}

/// Opens a connection for what waits in its queue, and speaks over it until its end.
async fn connect(
    connection: Connection,
    reserved: Option<Socket>,
    tls: Option<Arc<Tls>>,
    name: Option<String>,
) {
    let flow = connection.link.flow;
    let clock = connection.surroundings.clock;
    match tokio::time::timeout(CONNECT_TIME, reach(flow, clock, reserved, tls, name)).await {
        Ok(Ok(reached)) => {
            let Surroundings { tally, arrivals, .. } = &connection.surroundings;
            tally.count(Counter::ConnectionsOpened);
            let opened = Arrival::Opened { link: connection.link, names: reached.certificate_names() };
            // An error means that the driver has ended, and this task soon will.
            let _ = arrivals.send(opened).await;
            match reached {
                Reached::Plain(stream) => connection.run(stream).await,
                Reached::Encrypted(stream) => connection.run(*stream).await,
                Reached::WebSocket(stream) => websocket::run(connection, *stream).await,
                Reached::EncryptedWebSocket(stream) => websocket::run(connection, *stream).await,
            }
        }
        Ok(Err(error)) => connection.not_opened(explain(&error)).await,
        Err(_) => {
            connection.not_opened(format!("no connection within {} s", CONNECT_TIME.as_secs())).await;
        }
    }
}

/// A connection that we opened, ready for messages.
enum Reached {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocketStream<Watched<TcpStream>>>),
    EncryptedWebSocket(Box<WebSocketStream<Watched<TlsStream<TcpStream>>>>),
}

impl Reached {
    /// The names in the verified certificate of who is there.
    fn certificate_names(&self) -> Vec<String> {
        let encrypted = match self {
            Self::Plain(_) | Self::WebSocket(_) => return Vec::new(),
            Self::Encrypted(stream) => stream,
            Self::EncryptedWebSocket(stream) => stream.get_ref().get_ref(),
        };
        let certificates = encrypted.get_ref().1.peer_certificates();
        certificates.and_then(|chain| chain.first()).map(names).unwrap_or_default()
    }
}

async fn reach(
    flow: Flow,
    clock: Clock,
    reserved: Option<Socket>,
    tls: Option<Arc<Tls>>,
    name: Option<String>,
) -> io::Result<Reached> {
    let socket = match reserved {
        Some(socket) => socket,
        None => stream_socket(flow.remote)?,
    };
    let socket = tokio::net::TcpSocket::from_std_stream(StdTcpStream::from(socket));
    let stream = socket.connect(flow.remote).await?;
    let _ = stream.set_nodelay(true);
    let host = name.clone().unwrap_or_else(|| flow.remote.ip().to_string());
    match flow.transport {
        Transport::Udp | Transport::Tcp => Ok(Reached::Plain(stream)),
        Transport::Tls => Ok(Reached::Encrypted(Box::new(encrypt(flow, stream, tls, name).await?))),
        Transport::Ws => {
            let stream = websocket::connect(Watched::new(stream, clock), &host, flow.remote).await?;
            Ok(Reached::WebSocket(Box::new(stream)))
        }
        Transport::Wss => {
            let stream = encrypt(flow, stream, tls, name).await?;
            let stream = websocket::connect(Watched::new(stream, clock), &host, flow.remote).await?;
            Ok(Reached::EncryptedWebSocket(Box::new(stream)))
        }
    }
}

async fn encrypt(
    flow: Flow,
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    name: Option<String>,
) -> io::Result<TlsStream<TcpStream>> {
    let tls = tls.ok_or_else(|| {
        io::Error::other("no authority of certificates is believed; name its file (tls.server_ca, --tls-ca)")
    })?;
    let name = match name {
        Some(name) => ServerName::try_from(name).map_err(io::Error::other)?,
        None => ServerName::from(flow.remote.ip()),
    };
    tls.connector().connect(name, stream).await
}
