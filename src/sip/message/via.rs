//! Via (RFC 3261 §20.42, RFC 3581).

use super::lex;
use super::parameters::Parameters;
use super::uri::{Host, host_and_port};
use std::net::IpAddr;

/// One Via value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// The value as on the wire, trimmed.
    pub raw: &'a [u8],
    /// What it was sent over.
    pub transport: ViaTransport<'a>,
    /// The host of `sent-by`.
    pub host: Host<'a>,
    /// The port of `sent-by`, where there is one.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` … .
    pub parameters: Parameters<'a>,
}

/// The transport of a Via.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViaTransport<'a> {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// SCTP (RFC 4168).
    Sctp,
    /// WebSocket (RFC 7118).
    Ws,
    /// WebSocket over TLS (RFC 7118).
    Wss,
    /// Any other token.
    Other(&'a [u8]),
}

/// What a branch can be used for (RFC 3261 §17.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch<'a> {
    /// Begins with the magic cookie and has more after it: names a transaction.
    Unique(&'a [u8]),
    /// Absent, of RFC 2543, or nothing but the cookie (RFC 4475 §3.2.1): the transaction is found by the rules
    /// for RFC 2543.
    Legacy,
}

/// The magic cookie that a branch of RFC 3261 begins with (§8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// `rport` (RFC 3581).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rport {
    /// No value: the sender asks for the port it is seen from.
    Asked,
    /// Filled in.
    Seen(u16),
}

impl<'a> Via<'a> {
    /// Reads one Via value; `None` when it is none.
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let raw = lex::trim(value);
        let (_, rest) = protocol_part(raw)?;
        let (_, rest) = protocol_part(strip_slash(rest)?)?;
        let (transport, rest) = protocol_part(strip_slash(rest)?)?;
        let [separator, ..] = rest else { return None };
        if !lex::is_lws(*separator) {
            return None;
        }
        let (sent_by, parameters) = lex::split_where(rest, |octet| *octet == b';');
        let (host, port) = sent_by_of(lex::trim(sent_by))?;
        let parameters = Parameters::parse(parameters)?;
        Some(Self { raw, transport: ViaTransport::from_octets(transport), host, port, parameters })
    }

    /// The `branch` parameter as on the wire.
    pub fn branch(&self) -> Option<&'a [u8]> {
        self.parameters.value("branch")
    }

    /// What the branch can be used for. The cookie is matched in any case, as every parameter value is that is
    /// not said to be case-sensitive.
    pub fn branch_kind(&self) -> Branch<'a> {
        match self.branch().and_then(|branch| branch.split_at_checked(MAGIC_COOKIE.len()).zip(Some(branch))) {
            Some(((cookie, rest), branch))
                if cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty() =>
            {
                Branch::Unique(branch)
            }
            _ => Branch::Legacy,
        }
    }

    /// The `received` parameter, with or without brackets around IPv6 (RFC 5118 §4.5); `None` when absent or
    /// not an address.
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.parameters.value("received")?;
        let bare = value.strip_prefix(b"[").and_then(|v| v.strip_suffix(b"]")).unwrap_or(value);
        std::str::from_utf8(bare).ok()?.parse().ok()
    }

    /// The `rport` parameter; `None` when absent or not a port.
    pub fn rport(&self) -> Option<Rport> {
        match self.parameters.get("rport")?.value {
            None => Some(Rport::Asked),
            Some(port) => u16::try_from(lex::number(port)?).ok().map(Rport::Seen),
        }
    }

    /// Whether the sender wants to be told of our load, by a loss that we ask of it (RFC 7339 §4.1, §4.2).
    pub fn asks_for_feedback(&self) -> bool {
        if !self.parameters.has("oc") {
            return false;
        }
        let algorithms = self.parameters.value("oc-algo").unwrap_or_default();
        let bare = algorithms.strip_prefix(b"\"").and_then(|a| a.strip_suffix(b"\"")).unwrap_or(algorithms);
        bare.split(|octet| *octet == b',').any(|algorithm| lex::trim(algorithm).eq_ignore_ascii_case(b"loss"))
    }

    /// The `maddr` parameter as on the wire.
    pub fn maddr(&self) -> Option<&'a [u8]> {
        self.parameters.value("maddr")
    }
}

impl<'a> ViaTransport<'a> {
    fn from_octets(name: &'a [u8]) -> Self {
        let known = [
            ("UDP", Self::Udp),
            ("TCP", Self::Tcp),
            ("TLS", Self::Tls),
            ("SCTP", Self::Sctp),
            ("WS", Self::Ws),
            ("WSS", Self::Wss),
        ];
        known
            .into_iter()
            .find(|(text, _)| text.as_bytes().eq_ignore_ascii_case(name))
            .map_or(Self::Other(name), |(_, transport)| transport)
    }
}

/// A token and what follows it.
fn protocol_part(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (token, rest) = lex::split_where(text, |octet| !lex::is_token(*octet));
    (!token.is_empty()).then_some((token, rest))
}

/// After `SLASH`, which may have white space around it.
fn strip_slash(text: &[u8]) -> Option<&[u8]> {
    lex::trim_start(text).strip_prefix(b"/").map(lex::trim_start)
}

/// `sent-by`, where white space may stand around the colon.
fn sent_by_of(text: &[u8]) -> Option<(Host<'_>, Option<u16>)> {
    if !text.iter().copied().any(lex::is_lws) {
        return host_and_port(text);
    }
    let colon = text.iter().rposition(|octet| *octet == b':')?;
    let (host, port) = text.split_at_checked(colon)?;
    match host_and_port(lex::trim_end(host))? {
        (host, None) => Some((host, Some(u16::try_from(lex::number(lex::trim(port.get(1..)?))?).ok()?))),
        _ => None,
    }
}
