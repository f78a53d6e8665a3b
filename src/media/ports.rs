//! Sockets for calls: from a range of even ports with a quarantine, or wherever the system chooses.

use socket2::{Domain, Protocol, Socket, Type};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Ports that other programs hold are passed over; after this many the range counts as exhausted.
const MAX_ATTEMPTS: usize = 64;

/// RTP ports that calls may use: the even ones from `first` to `last` (RFC 3550 §11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// Lowest.
    pub first: u16,
    /// Highest.
    pub last: u16,
}

impl PortRange {
    fn ports(self) -> impl Iterator<Item = u16> {
        (self.first..=self.last).filter(|port| port % 2 == 0 && *port != 0)
    }
}

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum BindError {
    /// Every port of the range is in use or in quarantine.
    #[error("no RTP port is free")]
    Exhausted,
    /// The system refused.
    #[error("cannot bind an RTP socket")]
    Socket(#[from] io::Error),
}

/// The free ports. Ports in use are with their calls and come back by a channel.
#[derive(Debug)]
pub struct PortPool {
    /// `None`: the system chooses.
    free: Option<VecDeque<u16>>,
    /// With the time each was released at, oldest first.
    quarantined: VecDeque<(Instant, u16)>,
    quarantine: Duration,
    dscp: u8,
    released: Receiver<(Instant, u16)>,
    release: Sender<(Instant, u16)>,
}

impl PortPool {
    /// A pool of a range; of what the system chooses, without one. `dscp` marks what is sent (RFC 2474), 0–63.
    pub fn new(range: Option<PortRange>, quarantine: Duration, dscp: u8) -> Self {
        let (release, released) = channel();
        let free = range.map(|range| range.ports().collect());
        Self { free, quarantined: VecDeque::new(), quarantine, dscp, released, release }
    }

    /// Where a closed call's port is given back.
    pub fn release(&self) -> Sender<(Instant, u16)> {
        self.release.clone()
    }

    /// A bound, non-blocking socket.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(&mut self, now: Instant, address: IpAddr) -> Result<UdpSocket, BindError> {
        self.quarantined.extend(self.released.try_iter());
        let dscp = self.dscp;
        let Some(free) = &mut self.free else { return Ok(bind(SocketAddr::new(address, 0), dscp)?) };
        while let Some((_, port)) = self
            .quarantined
            .pop_front_if(|(released, _)| now.saturating_duration_since(*released) >= self.quarantine)
        {
            free.push_back(port);
        }
        for _ in 0..free.len().min(MAX_ATTEMPTS) {
            let Some(port) = free.pop_front() else { break };
            match bind(SocketAddr::new(address, port), dscp) {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    free.push_back(port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(BindError::Exhausted)
    }
}

fn bind(address: SocketAddr, dscp: u8) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    let class = u32::from(dscp & 0x3f) << 2;
    // Marking is a courtesy to the network: a system that does not allow it still carries calls.
    let _ = if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(class)
    } else {
        socket.set_tos_v4(class)
    };
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A range of two even ports that are free just now, below those that the system hands out by itself, so that no
    /// other test takes them in between.
    fn free_range() -> PortRange {
        let start = UdpSocket::bind((HERE, 0)).expect("a port").local_addr().expect("an address").port();
        let free = |port| UdpSocket::bind((HERE, port)).is_ok();
        (0..2_500)
            .map(|step| 20_000 + (start % 2_500 + step) % 2_500 * 4)
            .find(|&first| free(first) && free(first + 2))
            .map(|first| PortRange { first: first - 1, last: first + 3 })
            .expect("two free ports")
    }

    #[test]
    fn even_ports_are_used_up_and_come_back_after_the_quarantine() {
        let origin = Clock::system().instant();
        let quarantine = Duration::from_secs(5);
        let range = free_range();
        let mut pool = PortPool::new(Some(range), quarantine, 46);
        let sockets = [pool.bind(origin, HERE).expect("one"), pool.bind(origin, HERE).expect("two")];
        let ports = sockets.each_ref().map(|socket| socket.local_addr().expect("an address").port());
        assert_eq!(ports, [range.first + 1, range.first + 3]);
        assert!(matches!(pool.bind(origin, HERE), Err(BindError::Exhausted)));
        drop(sockets);
        pool.release().send((origin, ports[1])).expect("the pool lives");
        let early = pool.bind(origin + quarantine - Duration::from_millis(1), HERE);
        assert!(matches!(early, Err(BindError::Exhausted)));
        let again = pool.bind(origin + quarantine, HERE).expect("free again");
        assert_eq!(again.local_addr().expect("an address").port(), ports[1]);
    }

    #[test]
    fn a_port_that_another_program_holds_is_passed_over() {
        let origin = Clock::system().instant();
        let range = free_range();
        let _other = UdpSocket::bind((HERE, range.first + 1)).expect("still free");
        let mut pool = PortPool::new(Some(range), Duration::ZERO, 0);
        let socket = pool.bind(origin, HERE).expect("the next");
        assert_eq!(socket.local_addr().expect("an address").port(), range.first + 3);
        assert!(matches!(pool.bind(origin, HERE), Err(BindError::Exhausted)));
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error_of_its_own() {
        let origin = Clock::system().instant();
        let mut pool = PortPool::new(None, Duration::ZERO, 0);
        let documentation = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(matches!(pool.bind(origin, documentation), Err(BindError::Socket(_))));
    }
}
