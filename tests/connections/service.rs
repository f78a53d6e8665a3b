//! A service of sockets and an endpoint, and peers that speak to it.

use klikon::net::{Driver, Handler, Listen, Sockets, StreamSettings, Tls, TlsSettings};
use klikon::sip::message::Message;
use klikon::sip::{
    Counter, Counters, Endpoint, EndpointConfig, Event, Flow, InviteParams, SessionId, Transport,
};
use klikon::units::clock::Clock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

/// A safety net: no test waits so long unless it has failed.
pub const FOR_EVER: Duration = Duration::from_secs(60);

/// What the handler was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Connected(Flow, Vec<String>),
    Disconnected(Flow),
    Event(Event),
}

#[derive(Debug)]
pub enum Order {
    Count(oneshot::Sender<Counters>),
    Bye(SessionId),
    Invite(Flow, Box<InviteParams>),
}

/// Answers every call, tells all it is told.
#[derive(Debug)]
struct Desk(mpsc::UnboundedSender<Told>);

impl Handler for Desk {
    type Command = Order;

    fn event(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) {
        if let Event::Invite(invite) = &event {
            endpoint.accept(now, invite.session, SDP.into()).unwrap();
        }
        let _ = self.0.send(Told::Event(event));
    }

    fn command(&mut self, now: Instant, endpoint: &mut Endpoint, order: Order) {
        match order {
            Order::Count(answer) => answer.send(endpoint.counters().clone()).unwrap(),
            Order::Bye(session) => endpoint.bye(now, session, None).unwrap(),
            Order::Invite(flow, params) => drop(endpoint.invite(now, flow, &params).unwrap()),
        }
    }

    fn connected(&mut self, flow: Flow, certificate_names: &[String]) {
        let _ = self.0.send(Told::Connected(flow, certificate_names.to_vec()));
    }

    fn disconnected(&mut self, flow: Flow) {
        let _ = self.0.send(Told::Disconnected(flow));
    }

    fn finished(&self, _: &Endpoint) -> bool {
        false
    }
}

pub const SDP: &str =
    "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n";

/// A service under test; ends when dropped.
pub struct Service {
    pub listening: Vec<Listen>,
    pub told: mpsc::UnboundedReceiver<Told>,
    pub tls: Option<Arc<Tls>>,
    orders: mpsc::Sender<Order>,
}

impl Service {
    /// Listens on loopback by these transports.
    pub fn start(listen: &[&str], settings: StreamSettings, tls: TlsSettings) -> Self {
        let listen: Vec<Listen> = listen.iter().map(|text| text.parse().unwrap()).collect();
        let sockets = Sockets::open(&listen, settings, tls, Clock::system()).unwrap();
        let (listening, tls) = (sockets.listening().to_vec(), sockets.tls());
        let config = EndpointConfig { large_requests_by_tcp: true, ..EndpointConfig::new([1; 32]) };
        let (orders, waiting) = mpsc::channel(16);
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new(sockets, Endpoint::new(config), Desk(tell), waiting, Clock::system()).run());
        Self { listening, told, tls, orders }
    }

    pub fn tcp(settings: StreamSettings) -> Self {
        Self::start(&["tcp:127.0.0.1:0"], settings, TlsSettings::default())
    }

    pub fn address(&self, transport: Transport) -> SocketAddr {
        self.listening.iter().find(|listen| listen.transport == transport).unwrap().address
    }

    pub async fn connect(&self) -> Peer<TcpStream> {
        Peer::new(TcpStream::connect(self.address(Transport::Tcp)).await.unwrap())
    }

    pub async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    pub async fn count(&self, counter: Counter) -> u64 {
        let (answer, counters) = oneshot::channel();
        self.order(Order::Count(answer)).await;
        in_time(counters).await.unwrap().get(counter)
    }

    /// Waits until the handler is told what `wanted` makes something of.
    pub async fn wait<T>(&mut self, mut wanted: impl FnMut(&Told) -> Option<T>) -> T {
        loop {
            let told = in_time(self.told.recv()).await.expect("the service runs");
            if let Some(found) = wanted(&told) {
                return found;
            }
        }
    }

    /// Waits for a call that is confirmed.
    pub async fn confirmed(&mut self) -> SessionId {
        self.wait(|told| match told {
            Told::Event(Event::Confirmed { session, .. }) => Some(*session),
            _ => None,
        })
        .await
    }
}

pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(FOR_EVER, future).await.expect("in time")
}

/// A peer on a stream.
pub struct Peer<S> {
    pub stream: S,
    held: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, held: Vec::new() }
    }

    pub async fn send(&mut self, octets: impl AsRef<[u8]>) {
        in_time(self.stream.write_all(octets.as_ref())).await.unwrap();
        in_time(self.stream.flush()).await.unwrap();
    }

    /// The next whole message; `None` when the service has closed.
    pub async fn message(&mut self) -> Option<String> {
        loop {
            if let Some(length) = whole(&self.held) {
                let message = self.held.drain(..length).collect();
                return Some(String::from_utf8(message).unwrap());
            }
            let mut buffer = [0; 4096];
            match in_time(self.stream.read(&mut buffer)).await {
                Ok(length @ 1..) => self.held.extend_from_slice(&buffer[..length]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// The status of the next response; `None` when the service has closed.
    pub async fn status(&mut self) -> Option<String> {
        self.message().await.map(|message| message[8..11].to_owned())
    }

    /// So many octets, as they come.
    pub async fn octets(&mut self, count: usize) -> Vec<u8> {
        assert!(self.held.is_empty());
        let mut octets = vec![0; count];
        in_time(self.stream.read_exact(&mut octets)).await.unwrap();
        octets
    }

    /// Whether the connection is alive: OPTIONS is answered.
    pub async fn is_served(&mut self, transport: Transport, branch: u32) {
        self.send(options(transport, branch)).await;
        assert_eq!(self.status().await.as_deref(), Some("200"), "OPTIONS {branch}");
    }
}

/// The length of the whole message at the beginning, if there is one.
fn whole(octets: &[u8]) -> Option<usize> {
    let header = octets.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let message = Message::parse(&octets[..header]).unwrap();
    let length = header + message.content_length().unwrap().expect("we write it") as usize;
    (octets.len() >= length).then_some(length)
}

pub fn options(transport: Transport, branch: u32) -> String {
    request("OPTIONS", transport, branch, "", "")
}

pub fn invite(transport: Transport, branch: u32) -> String {
    request("INVITE", transport, branch, "Content-Type: application/sdp\r\n", SDP)
}

/// A request as of a peer who cannot be reached but by his connection.
pub fn request(method: &str, transport: Transport, branch: u32, more: &str, body: &str) -> String {
    let via = transport.via_name();
    format!(
        "{method} sip:130@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{via} a.invalid;branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@a.invalid>;tag=1\r\nTo: <sip:130@127.0.0.1>\r\nCall-ID: {branch}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:a@a.invalid;transport={}>\r\n{more}Content-Length: {}\r\n\r\n{body}",
        via.to_ascii_lowercase(),
        body.len()
    )
}

/// The value of the first field called `name`.
pub fn field<'a>(message: &'a str, name: &str) -> &'a str {
    let mut lines = message.lines().take_while(|line| !line.is_empty());
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("{name}: {message}"))
}

/// The ACK to a 200.
pub fn ack(ok: &str, transport: Transport) -> String {
    within("ACK", ok, transport, "1")
}

/// A request within the dialog of a 200.
pub fn within(method: &str, ok: &str, transport: Transport, cseq: &str) -> String {
    format!(
        "{method} sip:130@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/{} a.invalid;branch=z9hG4bK{method}{}\r\nMax-Forwards: 70\r\n\
         From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        transport.via_name(),
        field(ok, "Call-ID"),
        field(ok, "From"),
        field(ok, "To"),
        field(ok, "Call-ID"),
    )
}

/// 200 to a request of the service.
pub fn ok_to(request: &str) -> String {
    format!(
        "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\nContent-Length: 0\r\n\r\n",
        field(request, "Via"),
        field(request, "From"),
        field(request, "To"),
        field(request, "Call-ID"),
        field(request, "CSeq"),
    )
}
