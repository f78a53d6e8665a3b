//! Where a request for a SIP URI goes (RFC 3263 §4): which transport, which addresses, in which order.
//!
//! Pure: a [`Locator`] says what it wants to know of the DNS ([`Locator::question`]), is handed the records
//! ([`Locator::answer`]), and ends with the targets in the order in which they are to be tried. Who asks the DNS is
//! `net::resolver`; the weights of SRV records are drawn from a generator that is an argument.

use super::message::{Host, SipUri};
use super::transport::Transport;
use rand::Rng;
use rand::rngs::StdRng;
use std::net::{IpAddr, SocketAddr};

/// Targets that are tried for one request; further ones are not looked up.
pub const MAX_TARGETS: usize = 16;
/// NAPTR or SRV records of one answer that are read.
pub const MAX_RECORDS: usize = 32;
/// Addresses of one host that are read.
pub const MAX_ADDRESSES: usize = 8;
/// Questions asked for one URI.
pub const MAX_QUESTIONS: usize = 40;

/// Something to ask the DNS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// NAPTR records of a domain (RFC 3403).
    Naptr(String),
    /// SRV records of a service, like `_sip._udp.example.com` (RFC 2782).
    Srv(String),
    /// A and AAAA records of a host.
    Addresses(String),
}

/// A NAPTR record, as far as RFC 3263 reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower is processed first.
    pub order: u16,
    /// Among one order, lower is preferred.
    pub preference: u16,
    /// `s` where the replacement is the name of SRV records.
    pub flags: String,
    /// Like `SIP+D2U`.
    pub services: String,
    /// The name of the SRV records.
    pub replacement: String,
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower is tried first.
    pub priority: u16,
    /// Share of the requests among one priority.
    pub weight: u16,
    /// 0 is not usable.
    pub port: u16,
    /// The host; `.` says that the service is not there.
    pub target: String,
}

/// Records that answer a question; none where there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Of a [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// Of a [`Question::Srv`].
    Srv(Vec<Srv>),
    /// Of a [`Question::Addresses`].
    Addresses(Vec<IpAddr>),
}

/// Where a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// By which transport.
    pub transport: Transport,
    /// To which address.
    pub address: SocketAddr,
}

/// Why a URI leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Its `transport` parameter, or `sips`, asks for a transport that is not listened on.
    #[error("no transport that it asks for is listened on")]
    NoTransport,
    /// The DNS knows no usable address.
    #[error("`{0}` has no address")]
    NoAddress(String),
}

/// A host and port whose addresses are wanted.
#[derive(Debug, Clone)]
struct Place {
    transport: Transport,
    host: String,
    port: u16,
}

#[derive(Debug, Clone)]
enum Step {
    /// §4.1: which transport?
    Transport,
    /// §4.2: which servers, of these services in order? `found` says whether any had records.
    Services {
        left: Vec<(Transport, String)>,
        found: bool,
    },
    /// §4.2: which addresses, of these hosts in order?
    Places {
        left: Vec<Place>,
    },
    Done,
}

/// Finds the targets of one URI.
#[derive(Debug, Clone)]
pub struct Locator {
    host: String,
    secure: bool,
    port: Option<u16>,
    /// The transport that the URI itself names.
    asked: Option<Transport>,
    /// The transports that can be sent by, best first.
    usable: Vec<Transport>,
    step: Step,
    places: Vec<Place>,
    targets: Vec<Target>,
    questions: usize,
}

/// The port of a transport that is not said (RFC 3261 §19.1.2, RFC 7118 §5.2).
pub fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5060,
        Transport::Tls => 5061,
        Transport::Ws => 80,
        Transport::Wss => 443,
    }
}

/// The prefix of a transport's SRV records (RFC 3263 §4.1, RFC 7118 §5.2).
fn service(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp.",
        Transport::Tcp => "_sip._tcp.",
        Transport::Tls => "_sips._tcp.",
        Transport::Ws => "_sip._ws.",
        Transport::Wss => "_sips._ws.",
    }
}

/// The transport of a NAPTR service field (RFC 3263 §4.1, RFC 7118 §5.2).
fn transport_of(services: &str) -> Option<Transport> {
    let names = [
        ("SIP+D2U", Transport::Udp),
        ("SIP+D2T", Transport::Tcp),
        ("SIPS+D2T", Transport::Tls),
        ("SIP+D2W", Transport::Ws),
        ("SIPS+D2W", Transport::Wss),
    ];
    names.into_iter().find(|(name, _)| services.eq_ignore_ascii_case(name)).map(|(_, transport)| transport)
}

/// The transport that the `transport` parameter of a URI names; `Err` for one that is not known.
fn asked_transport(uri: &SipUri<'_>) -> Result<Option<Transport>, LocateError> {
    let Some(value) = uri.parameters.value("transport") else { return Ok(None) };
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    match (&*text, uri.secure) {
        ("udp", false) => Ok(Some(Transport::Udp)),
        ("tcp", false) => Ok(Some(Transport::Tcp)),
        // §26.2.2: `sips` with `transport=tcp` is TLS; `transport=tls` is deprecated and common.
        ("tcp", true) | ("tls", _) => Ok(Some(Transport::Tls)),
        ("ws", false) => Ok(Some(Transport::Ws)),
        ("ws", true) | ("wss", _) => Ok(Some(Transport::Wss)),
        _ => Err(LocateError::NoTransport),
    }
}

impl Locator {
    /// Begins to locate `uri`. `usable` are the transports that can be sent by, the best first: where the DNS does not
    /// say which one, that order counts.
    ///
    /// # Errors
    /// Where no usable transport is one that the URI allows.
    pub fn new(uri: &SipUri<'_>, usable: &[Transport]) -> Result<Self, LocateError> {
        let allowed = |transport: &Transport| !uri.secure || transport.is_secure();
        let usable: Vec<_> = usable.iter().copied().filter(allowed).collect();
        let asked = asked_transport(uri)?;
        if usable.is_empty() || asked.is_some_and(|transport| !usable.contains(&transport)) {
            return Err(LocateError::NoTransport);
        }
        let maddr = uri.parameters.value("maddr").and_then(|maddr| std::str::from_utf8(maddr).ok());
        let (host, literal) = match (maddr, uri.host) {
            (Some(maddr), _) => (maddr.to_owned(), maddr.trim_matches(['[', ']']).parse().ok()),
            (None, Host::Address(address)) => (address.to_string(), Some(address)),
            (None, Host::Name(name)) => (String::from_utf8_lossy(name).into_owned(), None),
        };
        let mut locator = Self {
            host: host.trim_end_matches('.').to_owned(),
            secure: uri.secure,
            port: uri.port.filter(|port| *port != 0),
            asked,
            usable,
            step: Step::Transport,
            places: Vec::new(),
            targets: Vec::new(),
            questions: 0,
        };
        match (literal, asked, locator.port) {
            (Some(address), ..) => locator.literal(address),
            (None, _, Some(_)) => locator.default_place(),
            (None, Some(transport), None) => {
                locator.step = Step::Services { left: vec![locator.service(transport)], found: false };
            }
            (None, None, None) => {}
        }
        Ok(locator)
    }

    /// The transport the URI names. §4.1: "UDP for a SIP URI, and TCP for a SIPS URI", where nothing says otherwise.
    fn transport(&self) -> Transport {
        if let Some(asked) = self.asked {
            return asked;
        }
        let usual = if self.secure { Transport::Tls } else { Transport::Udp };
        let first = self.usable.first().copied().unwrap_or(usual);
        if self.usable.contains(&usual) { usual } else { first }
    }

    fn literal(&mut self, address: IpAddr) {
        let transport = self.transport();
        let port = self.port.unwrap_or_else(|| default_port(transport));
        self.targets.push(Target { transport, address: SocketAddr::new(address, port) });
        self.step = Step::Done;
    }

    fn service(&self, transport: Transport) -> (Transport, String) {
        (transport, format!("{}{}", service(transport), self.host))
    }

    /// The host itself, where it has no SRV records, or a port is given.
    fn default_place(&mut self) {
        let transport = self.transport();
        let port = self.port.unwrap_or_else(|| default_port(transport));
        self.step = Step::Places { left: vec![Place { transport, host: self.host.clone(), port }] };
    }

    /// What is to be asked next; `None` when the targets are found.
    pub fn question(&self) -> Option<Question> {
        if self.questions >= MAX_QUESTIONS {
            return None;
        }
        match &self.step {
            Step::Transport => Some(Question::Naptr(self.host.clone())),
            Step::Services { left, .. } => left.first().map(|(_, name)| Question::Srv(name.clone())),
            Step::Places { left } => left.first().map(|place| Question::Addresses(place.host.clone())),
            Step::Done => None,
        }
    }

    /// Takes in what answers the question. Records that answer another one count as none.
    pub fn answer(&mut self, records: Records, random: &mut StdRng) {
        self.questions += 1;
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::Transport => self.transports(match records {
                Records::Naptr(records) => records,
                _ => Vec::new(),
            }),
            Step::Services { left, found } => {
                let records = match records {
                    Records::Srv(records) => records,
                    _ => Vec::new(),
                };
                self.servers(left, found, records, random);
            }
            Step::Places { left } => {
                let addresses = match records {
                    Records::Addresses(addresses) => addresses,
                    _ => Vec::new(),
                };
                self.addresses(left, addresses);
            }
            Step::Done => {}
        }
    }

    /// §4.1: the services that NAPTR records name and we can use, in their order; else those of each transport.
    fn transports(&mut self, mut records: Vec<Naptr>) {
        records.truncate(MAX_RECORDS);
        records.sort_by_key(|record| (record.order, record.preference));
        let mut services: Vec<(Transport, String)> = records
            .into_iter()
            .filter(|record| record.flags.eq_ignore_ascii_case("s") && !record.replacement.is_empty())
            .filter_map(|record| Some((transport_of(&record.services)?, record.replacement)))
            .filter(|(transport, _)| self.usable.contains(transport))
            .collect();
        if services.is_empty() {
            services = self.usable.iter().map(|transport| self.service(*transport)).collect();
        }
        self.step = Step::Services { left: services, found: false };
    }

    fn servers(
        &mut self,
        mut left: Vec<(Transport, String)>,
        found: bool,
        mut records: Vec<Srv>,
        random: &mut StdRng,
    ) {
        if left.is_empty() {
            return;
        }
        let (transport, _) = left.remove(0);
        let found = found || !records.is_empty();
        records.truncate(MAX_RECORDS);
        // RFC 2782: a target of "." means that the service is decidedly not available.
        records.retain(|record| record.port != 0 && !matches!(&*record.target, "" | "."));
        for record in ordered(records, random) {
            self.places.push(Place { transport, host: record.target, port: record.port });
        }
        if !left.is_empty() {
            self.step = Step::Services { left, found };
        } else if found {
            let left = std::mem::take(&mut self.places);
            self.step = Step::Places { left };
        } else {
            // §4.2: "If no SRV records were found, the client performs an A or AAAA record lookup".
            self.default_place();
        }
    }

    fn addresses(&mut self, mut left: Vec<Place>, addresses: Vec<IpAddr>) {
        if left.is_empty() {
            return;
        }
        let Place { transport, port, .. } = left.remove(0);
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            let target = Target { transport, address: SocketAddr::new(address, port) };
            if self.targets.len() < MAX_TARGETS && !self.targets.contains(&target) {
                self.targets.push(target);
            }
        }
        if !left.is_empty() && self.targets.len() < MAX_TARGETS {
            self.step = Step::Places { left };
        }
    }

    /// The targets in the order in which they are to be tried (§4.3).
    ///
    /// # Errors
    /// Where there are none.
    pub fn targets(self) -> Result<Vec<Target>, LocateError> {
        if self.targets.is_empty() { Err(LocateError::NoAddress(self.host)) } else { Ok(self.targets) }
    }
}

/// SRV records in the order in which they are to be tried (RFC 2782): by priority, and among one priority drawn at
/// random by weight.
pub fn ordered(mut records: Vec<Srv>, random: &mut StdRng) -> Vec<Srv> {
    // Those of weight 0 first, so that they have a small chance to be drawn.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(priority) = records.first().map(|record| record.priority) {
        let same = records.iter().take_while(|record| record.priority == priority);
        let sum: u64 = same.map(|record| u64::from(record.weight)).sum();
        let drawn = random.next_u64() % (sum + 1);
        let mut running = 0;
        let chosen = records.iter().position(|record| {
            running += u64::from(record.weight);
            running >= drawn
        });
        ordered.push(records.remove(chosen.unwrap_or(0)));
    }
    ordered
}

/// Whether a request that got this final status, or none (408), may be tried at the next target (RFC 3263 §4.3).
pub fn fails_over(status: u16) -> bool {
    matches!(status, 408 | 503)
}

#[cfg(test)]
#[path = "locate_tests.rs"]
mod tests;
