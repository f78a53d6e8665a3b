//! All sockets of one endpoint: datagrams and streams.

use super::connection::Arrival;
use super::listen::Listen;
use super::settings::StreamSettings;
use super::streams::Streams;
use super::tls::{Tls, TlsError, TlsSettings};
use super::udp::UdpTransport;
use crate::sip::{Flow, Transmit, Transport};
use crate::units::clock::Clock;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Tries at one port number that is free for UDP and for TCP.
const TRIES_FOR_ONE_PORT: usize = 16;

/// A socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// By the system.
    #[error("cannot listen on {} {address}; is another program there, or is it not an address of this machine?", transport.via_name().to_ascii_lowercase())]
    Socket {
        /// What was to be listened for.
        transport: Transport,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The sockets of one endpoint.
#[derive(Debug)]
pub struct Sockets {
    pub(super) udp: UdpTransport,
    pub(super) streams: Streams,
    tls: Option<Arc<Tls>>,
    listening: Vec<Listen>,
}

impl Sockets {
    /// Opens a socket for each address; port 0 lets the system choose, the same number for UDP and TCP where both are
    /// asked for one address in that way. Needs a tokio runtime.
    ///
    /// # Errors
    /// When a socket cannot be opened, or TLS is listened for and cannot be set up.
    pub fn open(
        listen: &[Listen],
        settings: StreamSettings,
        tls: TlsSettings,
        clock: Clock,
    ) -> Result<Self, BindError> {
        let is_needed = listen.iter().any(|listen| listen.transport.is_secure());
        if is_needed && (tls.certificate.is_none() || tls.key.is_none()) {
            return Err(TlsError::NoCertificate.into());
        }
        let tls = (tls != TlsSettings::default()).then(|| Tls::new(tls).map(Arc::new)).transpose()?;
        let mut streams = Streams::new(settings, tls.clone(), clock);
        let mut udp = UdpTransport::default();
        let mut listening = vec![None; listen.len()];
        for (index, one) in listen.iter().enumerate() {
            let pair = pair_of(listen, index);
            match (one.transport, pair) {
                (Transport::Udp, Some(pair)) => {
                    let address = open_pair(&mut udp, &mut streams, one.address)?;
                    listening[index] = Some(Listen { address, ..*one });
                    listening[pair] = Some(Listen { address, ..listen[pair] });
                }
                (Transport::Udp, None) => {
                    let address = udp.listen(one.address).map_err(failed(*one))?;
                    listening[index] = Some(Listen { address, ..*one });
                }
                _ if listening[index].is_some() => {}
                (transport, _) => {
                    let address = streams.listen(transport, one.address).map_err(failed(*one))?;
                    listening[index] = Some(Listen { address, ..*one });
                }
            }
        }
        streams.watch_certificates();
        Ok(Self { udp, streams, tls, listening: listening.into_iter().flatten().collect() })
    }

    /// What is really listened on, in the order asked for.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// The certificates, to be read again at a signal.
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// The flow towards a remote address; `None` where this machine has none.
    pub fn flow_to(&mut self, transport: Transport, remote: SocketAddr) -> Option<Flow> {
        match transport {
            Transport::Udp => self.udp.flow_to(remote),
            _ => self.streams.flow_to(transport, remote).ok(),
        }
    }

    /// Sends a message, or notes that it cannot be.
    pub(super) async fn send(&mut self, transmit: Transmit) {
        match transmit.flow.transport {
            Transport::Udp => self.udp.send(transmit.flow, &transmit.bytes).await,
            _ => self.streams.send(transmit),
        }
    }

    /// Waits for a datagram or for something of a connection.
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> Received {
        tokio::select! {
            (index, remote, length) = self.udp.receive(buffer) => Received::Datagram { index, remote, length },
            arrival = self.streams.arrival() => Received::Arrival(arrival),
        }
    }
}

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    /// A datagram of that length, to that socket.
    Datagram { index: usize, remote: SocketAddr, length: usize },
    /// News of a connection.
    Arrival(Arrival),
}

/// Only datagrams: no connection is accepted, though one may be opened.
impl From<UdpTransport> for Sockets {
    fn from(udp: UdpTransport) -> Self {
        let listening = udp.addresses().into_iter().map(Listen::udp).collect();
        let streams = Streams::new(StreamSettings::default(), None, Clock::system());
        Self { udp, streams, tls: None, listening }
    }
}

fn failed(listen: Listen) -> impl FnOnce(io::Error) -> BindError {
    move |source| BindError::Socket { transport: listen.transport, address: listen.address, source }
}

/// The TCP address that is to have the port of the UDP address at `index`, chosen by the system.
fn pair_of(listen: &[Listen], index: usize) -> Option<usize> {
    let Listen { transport: Transport::Udp, address } = listen[index] else { return None };
    let is_pair = |other: &Listen| other.transport == Transport::Tcp && other.address == address;
    let is_first = listen.iter().position(|other| *other == listen[index]) == Some(index);
    (address.port() == 0 && is_first).then(|| listen.iter().position(is_pair)).flatten()
}

fn open_pair(
    udp: &mut UdpTransport,
    streams: &mut Streams,
    address: SocketAddr,
) -> Result<SocketAddr, BindError> {
    let mut tries = 0;
    loop {
        let bound = udp.listen(address).map_err(failed(Listen::udp(address)))?;
        match streams.listen(Transport::Tcp, bound) {
            Ok(_) => return Ok(bound),
            Err(_) if tries < TRIES_FOR_ONE_PORT => udp.forget_last(),
            Err(source) => {
                return Err(BindError::Socket { transport: Transport::Tcp, address: bound, source });
            }
        }
        tries += 1;
    }
}
