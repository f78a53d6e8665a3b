//! Tests of the whole endpoint in virtual time.

mod authentication;
mod called;
mod calling;
mod capabilities;
mod changes;
mod early;
mod etsi;
mod goodput;
mod interval;
mod ladder;
mod limits;
mod network;
mod overload;
mod pair;
mod provisional;
mod refresh;
mod robustness;
mod streams;
mod torture;
mod transports;

use super::*;
use crate::sip::message::HeaderName;
use crate::sip::overload::{PeerShare, Settings};
use crate::sip::reason::Reason;
use crate::sip::transport::Transport;
use crate::units::clock::Clock;
use std::time::Duration;

/// A session description, which the endpoint never looks into.
pub(super) const SDP: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n";

/// Our answer or offer.
pub(super) const OUR_SDP: &str =
    "v=0\r\no=- 2 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 5000 RTP/AVP 8\r\n";

/// The way between the endpoint under test and a peer at 192.0.2.9:5060.
pub(super) fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: "192.0.2.1:5060".parse().expect("an address"),
        remote: "192.0.2.9:5060".parse().expect("an address"),
    }
}

/// An endpoint in virtual time, with what it put out so far.
pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    pub(super) start: Instant,
    pub(super) now: Instant,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(EndpointConfig::new([7; 32]))
    }

    pub(super) fn with(config: EndpointConfig) -> Self {
        let start = Clock::system().instant();
        Self { endpoint: Endpoint::new(config), start, now: start }
    }

    /// With a peer, 192.0.2.0/24, that ends TLS before us.
    pub(super) fn behind_tls() -> Self {
        let addresses = vec!["192.0.2.0/24".parse().expect("a range")];
        let peers = vec![PeerShare { addresses, sips_without_tls: true, ..PeerShare::default() }];
        let overload = Settings { peers, ..Settings::open() };
        Self::with(EndpointConfig { overload, ..EndpointConfig::new([7; 32]) })
    }

    /// Hands a message in and yields what is sent at once.
    pub(super) fn receive(&mut self, message: impl AsRef<[u8]>) -> Vec<String> {
        self.endpoint.handle_datagram(self.now, flow(), message.as_ref());
        self.sent()
    }

    /// What waits to be sent.
    pub(super) fn sent(&mut self) -> Vec<String> {
        let mut sent = vec![];
        while let Some(transmit) = self.endpoint.poll_transmit() {
            assert_sound(&transmit.bytes);
            sent.push(String::from_utf8_lossy(&transmit.bytes).into_owned());
        }
        sent
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.endpoint.poll_event()).collect()
    }

    /// Lets time pass and yields (milliseconds from the start, first line) of all that is sent meanwhile.
    pub(super) fn advance(&mut self, by: Duration) -> Vec<(u128, String)> {
        let end = self.now + by;
        let mut sent = vec![];
        while let Some(at) = self.endpoint.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.endpoint.handle_timeout(self.now);
            let at_ms = (self.now - self.start).as_millis();
            sent.extend(self.sent().iter().map(|message| (at_ms, first_line(message).to_owned())));
        }
        self.now = end;
        sent
    }

    /// Lets all timers run out: afterwards nothing may be left of any transaction or session.
    pub(super) fn drain(&mut self) {
        self.advance(Duration::from_secs(4_000));
        assert_nothing_left(&self.endpoint);
    }

    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.endpoint.counters().get(counter)
    }

    /// A call that was answered, with what was sent: 100 and 200. The ACK is not sent.
    pub(super) fn answered(&mut self, invite: &str) -> (SessionId, String) {
        let sent = self.receive(invite);
        assert_eq!(first_lines(&sent), ["SIP/2.0 100 Trying"]);
        let id = match &*self.events() {
            [Event::Invite(invite)] => invite.session,
            other => panic!("not an INVITE: {other:?}"),
        };
        self.endpoint.accept(self.now, id, OUR_SDP.into()).expect("accepted");
        let mut sent = self.sent();
        assert_eq!(first_lines(&sent), ["SIP/2.0 200 OK"]);
        (id, sent.remove(0))
    }

    /// A call that stands, with its 200.
    pub(super) fn established(&mut self) -> (SessionId, String) {
        let (id, ok) = self.answered(&invite(Some(SDP)));
        assert!(self.receive(within(&ok, "ACK", 1, "")).is_empty());
        assert_eq!(self.events(), [Event::Confirmed { session: id, body: None }]);
        (id, ok)
    }
}

/// Nothing is held but what waits for the driver: no transaction, session, index entry or wake-up.
pub(super) fn assert_nothing_left(endpoint: &Endpoint) {
    assert_eq!(Held { outputs: 0, ..endpoint.held() }, Held::default());
    assert_eq!(endpoint.poll_timeout(), None, "a wake-up is left");
}

/// Everything we send must read as valid by our own parser and by both oracles.
pub(super) fn assert_sound(octets: &[u8]) {
    let message = Message::parse(octets).expect("reads");
    assert_eq!(message.check(), Ok(()), "{}", String::from_utf8_lossy(octets));
    let text = std::str::from_utf8(octets).expect("tests send ASCII");
    sipx_sip::parser::parse_datagram(Bytes::copy_from_slice(octets), &sipx_sip::parser::Limits::default())
        .unwrap_or_else(|error| panic!("sipx-sip: {error:?}\n{text}"));
    // rsip has no tel: URIs and no IPv6 addresses in URIs, and cannot read the folds that a response echoes.
    if !first_line(text).contains(" tel:")
        && !text.contains("@[")
        && !text.contains("\r\n ")
        && !text.contains("\r\n\t")
    {
        rsip::SipMessage::try_from(text).unwrap_or_else(|error| panic!("rsip: {error}\n{text}"));
    }
}

pub(super) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

pub(super) fn first_lines(messages: &[String]) -> Vec<&str> {
    messages.iter().map(|message| first_line(message)).collect()
}

/// The value of the first field called `name`.
pub(super) fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A request with the usual fields.
pub(super) fn request(method: &str, extra: &str, body: &str) -> String {
    format!(
        "{method} sip:130@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-{method}-1\r\n\
         Max-Forwards: 70\r\nFrom: <sip:caller@192.0.2.9>;tag=peer\r\nTo: <sip:130@192.0.2.1>\r\nCall-ID: call-1\r\n\
         CSeq: 1 {method}\r\nContact: <sip:caller@192.0.2.9:5060>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(super) fn invite(sdp: Option<&str>) -> String {
    match sdp {
        Some(sdp) => request("INVITE", "Content-Type: application/sdp\r\n", sdp),
        None => request("INVITE", "", ""),
    }
}

/// A request of the peer within the dialog that `ok`, our 200, made.
pub(super) fn within(ok: &str, method: &str, cseq: u32, body: &str) -> String {
    let to = field(ok, "To").expect("To");
    let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:130@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK-{method}-{cseq}-d\r\n\
         Max-Forwards: 70\r\nFrom: <sip:caller@192.0.2.9>;tag=peer\r\nTo: {to}\r\nCall-ID: call-1\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:caller@192.0.2.9:5060>\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The peer's response to a request of ours.
pub(super) fn response(request: &str, status: u16, to_tag: &str, extra: &str, body: &str) -> String {
    let copied = |name| field(request, name).expect("there");
    let to = copied("To");
    let tag =
        if to.contains(";tag=") || to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
    let content_type = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status} Whatever\r\nVia: {};received=192.0.2.1\r\nFrom: {}\r\nTo: {to}{tag}\r\nCall-ID: {}\r\nCSeq: {}\r\n\
         Contact: <sip:callee@192.0.2.9:5060>\r\n{extra}{content_type}Content-Length: {}\r\n\r\n{body}",
        copied("Via"),
        copied("From"),
        copied("Call-ID"),
        copied("CSeq"),
        body.len()
    )
}

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// How many header fields called `name` a message has.
pub(super) fn occurrences(message: &str, name: HeaderName) -> usize {
    Message::parse(message.as_bytes()).expect("reads").values(name).count()
}
