//! Where SIP is listened for: `udp:0.0.0.0:5060`, `tcp:[::]:5060`, `tls:…`, `ws:…`, `wss:…`.

use crate::sip::Transport;
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// An address and what is listened for there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Listen {
    /// The transport.
    pub transport: Transport,
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
}

impl Listen {
    /// UDP at `address`.
    pub const fn udp(address: SocketAddr) -> Self {
        Self { transport: Transport::Udp, address }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.parse().ok().map(Self::udp);
        let named = Transport::ALL.into_iter().find_map(|transport| {
            let (name, address) = text.split_once(':')?;
            let address = address.parse().ok()?;
            name.eq_ignore_ascii_case(transport.via_name()).then_some(Self { transport, address })
        });
        bare.or(named).ok_or_else(|| {
            format!(
                "`{text}` is no address to listen on; write it like \"udp:0.0.0.0:5060\", with udp, tcp, tls, ws or wss"
            )
        })
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::udp(address)
    }
}

/// As `klikon serve` says it: `tcp 127.0.0.1:5060`.
impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.transport.via_name().to_ascii_lowercase(), self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_and_without_a_transport() {
        for (text, said) in [
            ("127.0.0.1:5060", "udp 127.0.0.1:5060"),
            ("[::1]:5060", "udp [::1]:5060"),
            ("udp:0.0.0.0:0", "udp 0.0.0.0:0"),
            ("tcp:[::]:5060", "tcp [::]:5060"),
            ("TLS:127.0.0.1:5061", "tls 127.0.0.1:5061"),
            ("ws:127.0.0.1:80", "ws 127.0.0.1:80"),
            ("wss:127.0.0.1:443", "wss 127.0.0.1:443"),
        ] {
            assert_eq!(text.parse::<Listen>().map(|listen| listen.to_string()).as_deref(), Ok(said));
        }
        for bad in ["", "5060", "sctp:127.0.0.1:5060", "tcp:", "tcp:host:5060", "127.0.0.1"] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }
}
