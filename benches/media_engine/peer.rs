//! The far end of all calls: a few sockets that everything is sent to, read once a millisecond, with the kernel's own
//! time of each packet; and the callers' packets, where they send.

use klikon::media::Packet;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

/// Sockets that all calls share.
const SOCKETS: usize = 16;
/// Octets that one of them may hold.
const ROOM: usize = 16 << 20;
/// Payload type of the audio.
const PCMA: u8 = 8;
/// Milliseconds between a caller's packets.
pub const PTIME_MS: u64 = 20;

/// A packet of audio, as it is on the wire; its sequence number is none that a filter lets pass.
pub const RTP_PACKET: [u8; 172] = {
    let mut packet = [0xd5; 172];
    packet[0] = 0x80;
    packet[1] = PCMA;
    packet[3] = 50;
    packet
};

/// A packet that came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The call's number.
    pub call: usize,
    /// When the kernel had it, ns since 1970.
    pub at_ns: i64,
    /// Its RTP packet.
    pub packet: Packet<'a>,
}

/// The far end.
pub struct Peer {
    sockets: Vec<UdpSocket>,
    services: Vec<SocketAddr>,
    by_port: Vec<u32>,
    pub sent: u64,
}

impl Peer {
    pub fn new() -> std::io::Result<Self> {
        let sockets = (0..SOCKETS)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.set_nonblocking(true)?;
                setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
                // What is over the system's bound needs a privilege; without it there is less room.
                if setsockopt(&socket, sockopt::RcvBufForce, &ROOM).is_err() {
                    setsockopt(&socket, sockopt::RcvBuf, &ROOM)?;
                }
                Ok(socket)
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self { sockets, services: Vec::new(), by_port: vec![u32::MAX; 1 << 16], sent: 0 })
    }

    /// Where call `call` sends to.
    pub fn address(&self, call: usize) -> SocketAddr {
        let socket = &self.sockets[call % SOCKETS];
        socket.local_addr().unwrap_or_else(|error| panic!("{error}"))
    }

    /// The next call's packets come from there.
    pub fn add(&mut self, service: SocketAddr) {
        self.by_port[usize::from(service.port())] = self.services.len() as u32;
        self.services.push(service);
    }

    pub fn calls(&self) -> usize {
        self.services.len()
    }

    /// Sends as the caller of `call`.
    pub fn send(&mut self, call: usize, packet: &Packet<'_>) {
        let mut buffer = [0; 256];
        let length = packet.write(&mut buffer);
        if self.sockets[call % SOCKETS].send_to(&buffer[..length], self.services[call]).is_ok() {
            self.sent += 1;
        }
    }

    /// A caller's audio of packet `number`.
    pub fn speak(&mut self, call: usize, number: u64) {
        let packet = Packet {
            payload_type: PCMA,
            marker: number == 0,
            sequence: number as u16,
            timestamp: number as u32 * 160,
            ssrc: call as u32 + 1,
            payload: &[0xd5; 160],
        };
        self.send(call, &packet);
    }

    /// Reads what has come.
    pub fn receive(&mut self, mut take: impl FnMut(Arrival<'_>)) {
        let mut octets = [0; 2_048];
        let mut control = nix::cmsg_space!(TimeSpec);
        for socket in &self.sockets {
            loop {
                let mut slices = [IoSliceMut::new(&mut octets)];
                let flags = MsgFlags::MSG_DONTWAIT;
                let Ok(message) =
                    recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)
                else {
                    break;
                };
                let at_ns = message.cmsgs().into_iter().flatten().find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(time) => {
                        Some(time.tv_sec() * 1_000_000_000 + time.tv_nsec())
                    }
                    _ => None,
                });
                let port = message.address.map_or(0, |address| address.port());
                let length = message.bytes;
                let call = self.by_port[usize::from(port)] as usize;
                if let (Some(at_ns), Ok(packet), true) =
                    (at_ns, Packet::read(&octets[..length]), call < self.services.len())
                {
                    take(Arrival { call, at_ns, packet });
                }
            }
        }
    }
}

/// Goes off each millisecond, at absolute times.
pub struct Ticker(OwnedFd);

impl Ticker {
    pub fn start() -> std::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::empty())?;
        let millisecond = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        let every = Itimerspec { it_interval: millisecond, it_value: millisecond };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        Ok(Self(timer))
    }

    /// Waits for the next millisecond; how many have passed.
    pub fn wait(&self) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(&self.0, &mut count) {
            Ok(8) => u64::from_ne_bytes(count),
            other => panic!("a timer that does not go: {other:?}"),
        }
    }
}
