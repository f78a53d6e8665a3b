//! The DNS, asked for where requests of ours go (RFC 3263). Which questions, and what follows of the answers, is the
//! business of [`crate::sip::locate`]; this asks them.

use crate::sip::Transport;
use crate::sip::locate::{LocateError, Locator, Naptr, Question, Records, Srv, Target};
use crate::sip::message::Uri;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{RData, RecordType};
use rand::rngs::StdRng;
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Answers kept, those that say "nothing there" included.
const CACHE_ANSWERS: u64 = 1024;
/// An answer is kept for its TTL, and so long at most.
const TTL_MAX: Duration = Duration::from_secs(3600);
/// An answer that says "nothing there" is kept for so long at most.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(60);
/// How long one server is waited for.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
/// Tries at a server that does not answer.
const TRIES: usize = 2;
/// How long all questions of one URI may take together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which DNS is asked: `system`, or the address of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum NameServer {
    /// What `/etc/resolv.conf` says.
    #[default]
    System,
    /// This one.
    At(SocketAddr),
}

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "system" {
            return Ok(Self::System);
        }
        let address = text.parse().or_else(|_| text.parse().map(|ip| SocketAddr::new(ip, 53)));
        address.map(Self::At).map_err(|_| {
            format!("`{text}` is no DNS server; write \"system\" or an address like \"192.0.2.53:53\"")
        })
    }
}

impl std::str::FromStr for NameServer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

/// Why no target was found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not a `sip:` or `sips:` URI.
    #[error("`{0}` is no SIP URI")]
    Uri(String),
    /// The system's settings cannot be read, or no server can be asked.
    #[error("the DNS cannot be asked")]
    Dns(#[source] Box<NetError>),
    /// It leads nowhere.
    #[error(transparent)]
    Located(#[from] LocateError),
    /// The DNS does not answer in time.
    #[error("the DNS did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Asks the DNS and remembers its answers. Cheap to clone; clones share what is remembered.
#[derive(Clone)]
pub struct Resolver(TokioResolver);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    /// Reads the settings. Needs a tokio runtime; asks nothing yet.
    ///
    /// # Errors
    /// Where the system's settings cannot be read.
    pub fn new(server: NameServer) -> Result<Self, ResolveError> {
        let failed = |error| ResolveError::Dns(Box::new(error));
        let mut builder = match server {
            NameServer::System => TokioResolver::builder_tokio().map_err(failed)?,
            NameServer::At(address) => {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = address.port();
                    connection
                });
                let server = NameServerConfig::new(address.ip(), true, connections.into());
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        bound(builder.options_mut());
        builder.build().map(Self).map_err(failed)
    }

    /// The targets of a `sip:` or `sips:` URI, in the order in which they are to be tried. `usable` are the transports
    /// that can be sent by, best first.
    ///
    /// # Errors
    /// Where it leads nowhere, or the DNS does not answer in time.
    pub async fn locate(
        &self,
        uri: &str,
        usable: &[Transport],
        random: &mut StdRng,
    ) -> Result<Vec<Target>, ResolveError> {
        let Some(Uri::Sip(parsed)) = Uri::parse(uri.as_bytes()) else {
            return Err(ResolveError::Uri(uri.to_owned()));
        };
        let mut locator = Locator::new(&parsed, usable)?;
        let asking = async {
            while let Some(question) = locator.question() {
                let records = self.ask(&question).await?;
                locator.answer(records, random);
            }
            Ok(locator.targets()?)
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(ResolveError::Late(PATIENCE)))
    }

    async fn ask(&self, question: &Question) -> Result<Records, ResolveError> {
        match question {
            Question::Naptr(name) => {
                let found = match self.records(name, RecordType::NAPTR).await {
                    // Small resolvers refuse the type; the services can be asked for without it.
                    Err(ResolveError::Dns(error)) if is_refusal(&error) => Vec::new(),
                    found => found?,
                };
                Ok(Records::Naptr(found.iter().filter_map(naptr).collect()))
            }
            Question::Srv(name) => {
                let found = self.records(name, RecordType::SRV).await?;
                Ok(Records::Srv(found.iter().filter_map(srv).collect()))
            }
            Question::Addresses(name) => match self.0.lookup_ip(absolute(name)).await {
                Ok(found) => Ok(Records::Addresses(found.iter().collect())),
                Err(error) if error.is_no_records_found() => Ok(Records::Addresses(Vec::new())),
                Err(error) => Err(ResolveError::Dns(Box::new(error))),
            },
        }
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, ResolveError> {
        match self.0.lookup(absolute(name), kind).await {
            Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(ResolveError::Dns(Box::new(error))),
        }
    }
}

/// Whether the server answered, and said no.
fn is_refusal(error: &NetError) -> bool {
    matches!(error, NetError::Dns(DnsError::ResponseCode(_)))
}

fn bound(options: &mut ResolverOpts) {
    options.cache_size = CACHE_ANSWERS;
    options.positive_max_ttl = Some(TTL_MAX);
    options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    options.timeout = SERVER_PATIENCE;
    options.attempts = TRIES;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
}

/// As a name from the root, so that no search list of this machine is laid over it. `localhost` and names without a
/// dot are left to it.
fn absolute(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags),
        services: text(&record.services),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    Some(Srv {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: record.target.to_ascii(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_the_system_s_or_an_address() {
        let read = |text: &str| text.parse::<NameServer>();
        assert_eq!(read("system"), Ok(NameServer::System));
        assert_eq!(read("192.0.2.53:5353"), Ok(NameServer::At("192.0.2.53:5353".parse().unwrap())));
        assert_eq!(read("192.0.2.53"), Ok(NameServer::At("192.0.2.53:53".parse().unwrap())));
        assert_eq!(read("[::1]:53"), Ok(NameServer::At("[::1]:53".parse().unwrap())));
        let error = read("dns.example").unwrap_err();
        assert!(error.contains("\"system\""), "{error}");
    }
}
