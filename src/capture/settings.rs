//! What the operator may vary about capture and trace.

use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// `[capture]`: each SIP message as a HEPv3 packet to a collector, such as Homer.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HomerSettings {
    /// Where the collector is; unset: nothing is sent.
    pub homer: Option<Collector>,
    /// What the collector knows us by.
    pub agent_id: u32,
    /// What the collector asks for before it takes packets.
    pub auth_key: Option<AuthKey>,
    /// Hide telephone numbers in what is sent.
    pub mask_msisdn: bool,
}

impl Default for HomerSettings {
    fn default() -> Self {
        Self { homer: None, agent_id: 130, auth_key: None, mask_msisdn: true }
    }
}

/// `[trace]`: the last calls' SIP in memory, and the socket by which `klikon trace` asks for them.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceSettings {
    /// Answered calls that are kept, and as many other exchanges (refused calls, OPTIONS); 0 keeps none.
    pub calls: usize,
    /// Octets of messages kept of one call; later ones are counted only.
    pub max_octets_a_call: usize,
    /// Octets of messages kept in all; the oldest calls go first.
    pub max_octets: usize,
    /// The unix domain socket; empty: none.
    pub socket: PathBuf,
    /// Hide telephone numbers in what is shown.
    pub mask_msisdn: bool,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self {
            calls: 200,
            max_octets_a_call: 65_536,
            max_octets: 16 << 20,
            socket: PathBuf::from("klikon.sock"),
            mask_msisdn: true,
        }
    }
}

/// How packets go to a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// One packet a datagram.
    Udp,
    /// One connection.
    Tcp,
}

/// A collector: `udp:HOST:PORT` or `tcp:HOST:PORT`; an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Collector {
    /// How packets go there.
    pub carrier: Carrier,
    /// `HOST:PORT`; a name is looked up when it is needed.
    pub host_port: String,
}

/// Why a text names no collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no collector; write it like \"udp:192.0.2.9:9060\" or \"tcp:homer.example:9060\"")]
pub struct CollectorError(String);

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let wrong = || CollectorError(text.to_owned());
        let (carrier, host_port) = text.split_once(':').ok_or_else(wrong)?;
        let carrier = match carrier {
            "udp" => Carrier::Udp,
            "tcp" => Carrier::Tcp,
            _ => return Err(wrong()),
        };
        let (host, port) = host_port.rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let sound =
            !host.is_empty() && (bracketed || !host.contains(':')) && !host.contains(char::is_whitespace);
        match port.parse::<u16>() {
            Ok(1..) if sound => Ok(Self { carrier, host_port: host_port.to_owned() }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Collector {
    type Error = CollectorError;

    fn try_from(text: String) -> Result<Self, CollectorError> {
        text.parse()
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let carrier = match self.carrier {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp",
        };
        write!(f, "{carrier}:{}", self.host_port)
    }
}

/// The collector's key: a secret, which no log and no `Debug` shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct AuthKey(String);

impl AuthKey {
    /// The key itself, for the packet.
    pub fn octets(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(•••)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_with_its_carrier() {
        for text in ["udp:192.0.2.9:9060", "tcp:homer.example:9060", "udp:[2001:db8::9]:9060"] {
            assert_eq!(text.parse::<Collector>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "192.0.2.9:9060",
            "tls:192.0.2.9:9060",
            "udp:192.0.2.9",
            "udp::9060",
            "udp:a:0",
            "udp:2001:db8::9:9060",
            "udp:a b:1",
        ] {
            let error = bad.parse::<Collector>().unwrap_err().to_string();
            assert!(error.contains("write it like \"udp:192.0.2.9:9060\""), "{error}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        let settings: HomerSettings = toml::from_str("auth_key = \"s3cret\"").unwrap();
        assert_eq!(settings.auth_key.as_ref().map(AuthKey::octets), Some(&b"s3cret"[..]));
        assert!(!format!("{settings:?}").contains("s3cret"));
    }
}
