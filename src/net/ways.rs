//! Which of our sockets a request of ours goes out by.

use crate::sip::locate::Target;
use crate::sip::{Flow, Transport};
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// The sockets that are listened on, as the ways to other servers.
#[derive(Debug, Clone)]
pub struct Ways(Vec<(Transport, SocketAddr)>);

impl Ways {
    /// Of the addresses really listened on.
    pub fn new(listening: impl IntoIterator<Item = (Transport, SocketAddr)>) -> Self {
        Self(listening.into_iter().collect())
    }

    /// The transports that can be sent by, in the order listened on.
    pub fn transports(&self) -> Vec<Transport> {
        let mut transports = Vec::new();
        for (transport, _) in &self.0 {
            if !transports.contains(transport) {
                transports.push(*transport);
            }
        }
        transports
    }

    /// The flow towards a target, from the first socket of its transport and family; `None` where there is none, or the
    /// system knows no route.
    pub fn flow_to(&self, target: Target) -> Option<Flow> {
        let Target { transport, address: remote } = target;
        let (_, bound) = self
            .0
            .iter()
            .find(|(other, local)| *other == transport && local.is_ipv4() == remote.is_ipv4())?;
        let ip = if bound.ip().is_unspecified() { route_source(bound.ip(), remote)? } else { bound.ip() };
        Some(Flow { transport, local: SocketAddr::new(ip, bound.port()), remote })
    }
}

/// Which of our addresses the system sends from towards `remote`. Nothing is sent.
fn route_source(wildcard: IpAddr, remote: SocketAddr) -> Option<IpAddr> {
    let probe = UdpSocket::bind(SocketAddr::new(wildcard, 0)).ok()?;
    probe.connect(remote).ok()?;
    probe.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_reached_by_its_transport_and_family() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let ways = Ways::new([
            (Transport::Udp, at("0.0.0.0:5060")),
            (Transport::Udp, at("127.0.0.1:5070")),
            (Transport::Tcp, at("127.0.0.1:5060")),
        ]);
        assert_eq!(ways.transports(), [Transport::Udp, Transport::Tcp]);
        let to = |transport, text| ways.flow_to(Target { transport, address: at(text) });
        let flow = to(Transport::Udp, "127.0.0.9:5099").unwrap();
        assert_eq!((flow.local, flow.remote), (at("127.0.0.1:5060"), at("127.0.0.9:5099")));
        assert_eq!(to(Transport::Tcp, "127.0.0.9:5099").unwrap().local, at("127.0.0.1:5060"));
        assert_eq!(to(Transport::Udp, "[::1]:5060"), None);
        assert_eq!(to(Transport::Tls, "127.0.0.1:5061"), None);
    }
}
