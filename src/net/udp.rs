//! SIP over UDP (RFC 3261 §18): several sockets.

use super::sockets::BindError;
use crate::sip::{Flow, Transport};
use socket2::{Domain, Protocol, Socket, Type};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Asked of the system for each direction's socket buffer, octets: bursts wait there, not in us.
const SOCKET_BUFFER_OCTETS: usize = 4 << 20;
/// After a socket's error, before it is read again.
const RECEIVE_PAUSE: Duration = Duration::from_millis(20);
/// Remote addresses whose local address is remembered when listening on a wildcard address.
const MAX_REMEMBERED_ROUTES: usize = 4096;

/// One listening socket.
#[derive(Debug)]
struct Listener {
    socket: UdpSocket,
    address: SocketAddr,
}

/// The UDP sockets of one endpoint.
#[derive(Debug, Default)]
pub struct UdpTransport {
    listeners: Vec<Listener>,
    /// With a wildcard listener: remote address → the local address the system routes it from.
    routes: HashMap<IpAddr, IpAddr>,
    next_to_read: usize,
}

impl UdpTransport {
    /// Opens a socket for each address; port 0 lets the system choose. Needs a tokio runtime.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, BindError> {
        let mut transport = Self::default();
        for &address in addresses {
            let failed = |source| BindError::Socket { transport: Transport::Udp, address, source };
            transport.listen(address).map_err(failed)?;
        }
        Ok(transport)
    }

    /// Opens one more socket, and yields its address.
    pub(super) fn listen(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = listen(address)?;
        let address = listener.address;
        self.listeners.push(listener);
        Ok(address)
    }

    /// Closes the socket opened last.
    pub(super) fn forget_last(&mut self) {
        self.listeners.pop();
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

    pub(super) fn flow(&mut self, index: usize, remote: SocketAddr) -> Flow {
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
        let source = match route_source(bound.ip(), remote) {
            Ok(local) => local,
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
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> (usize, SocketAddr, usize) {
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

    pub(super) fn try_receive(&self, index: usize, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.listeners[index].socket.try_recv_from(buffer).ok()
    }

    pub(super) async fn send(&self, flow: Flow, bytes: &[u8]) {
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

/// Which of our addresses the system sends from towards `remote`. Nothing is sent.
pub(super) fn route_source(wildcard: IpAddr, remote: SocketAddr) -> io::Result<IpAddr> {
    let probe = StdUdpSocket::bind(SocketAddr::new(wildcard, 0))?;
    probe.connect(remote)?;
    probe.local_addr().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn on(ip: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(ip.into(), 0)
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
    async fn an_address_that_is_taken_is_named() {
        let first = UdpTransport::bind(&[on(Ipv4Addr::LOCALHOST)]).unwrap();
        let taken = first.addresses()[0];
        let error = UdpTransport::bind(&[on(Ipv4Addr::LOCALHOST), taken]).unwrap_err();
        assert!(matches!(error, BindError::Socket { address, .. } if address == taken));
        assert!(error.to_string().contains(&taken.to_string()));
    }
}
