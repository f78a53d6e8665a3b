//! Ways of sending and receiving, each on as many sockets as there are calls, and what they cost: those that the engine
//! takes, and those that lost.

use super::bare::spent;
use super::machine::Usage;
use super::peer::{Peer, RTP_PACKET};
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
};
use socket2::SockRef;
use std::io::{IoSlice, IoSliceMut, Result};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Rounds of a measurement; the fastest counts, since other work on the machine only ever adds.
const ROUNDS: usize = 10;
/// Datagrams of one call of `sendmmsg` and `recvmmsg`.
const BATCH: usize = 50;

/// Prints all of them.
pub fn run(calls: usize) -> Result<()> {
    println!("\nways, {calls} sockets; µs of processor a packet, the fastest of {ROUNDS} rounds");
    let mut peer = Peer::new()?;
    let bind = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let sockets = (0..calls).map(|_| bind()).collect::<Result<Vec<_>>>()?;
    let remotes: Vec<_> = (0..calls).map(|call| peer.address(call)).collect();
    let shared = bind()?;
    sending(&mut peer, &sockets, &remotes, &shared)?;
    receiving(&sockets, &remotes, &shared)?;
    let connected = bind()?;
    connected.connect(remotes[0])?;
    row("send, one connected socket", sent(&mut peer, calls, |_| connected.send(&RTP_PACKET).map(drop))?);
    for (socket, remote) in sockets.iter().zip(&remotes) {
        socket.connect(remote)?;
    }
    row(
        "send, a connected socket a call",
        sent(&mut peer, calls, |call| sockets[call].send(&RTP_PACKET).map(drop))?,
    );
    Ok(())
}

fn row(what: &str, us: f64) {
    println!("  {what:<62} {us:6.2}");
}

/// µs of a send, in the fastest round; what was sent is read in between, uncounted.
fn sent(peer: &mut Peer, calls: usize, mut send: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = spent();
        for call in 0..calls {
            send(call)?;
        }
        best = best.min((spent() - before).as_secs_f64() * 1e6 / calls as f64);
        peer.receive(|_| ());
    }
    Ok(best)
}

fn sending(peer: &mut Peer, sockets: &[UdpSocket], remotes: &[SocketAddr], shared: &UdpSocket) -> Result<()> {
    let calls = sockets.len();
    let to = |socket: &UdpSocket, call: usize| socket.send_to(&RTP_PACKET, remotes[call]).map(drop);
    row("send_to, a socket a call (taken)", sent(peer, calls, |call| to(&sockets[call], call))?);
    row("send_to, one socket for all calls", sent(peer, calls, |call| to(shared, call))?);
    let (header, payload) = RTP_PACKET.split_at(12);
    let slices = [IoSlice::new(header), IoSlice::new(payload)];
    let none: &[ControlMessage<'_>] = &[];
    let addresses: Vec<_> = remotes.iter().map(|remote| SockaddrStorage::from(*remote)).collect();
    let cost = sent(peer, calls, |call| {
        let flags = MsgFlags::empty();
        sendmsg(sockets[call].as_raw_fd(), &slices, none, flags, Some(&addresses[call]))?;
        Ok(())
    })?;
    row("sendmsg of header and prompt in place, a socket a call", cost);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let whole = vec![[IoSlice::new(&RTP_PACKET)]; BATCH];
    let cost = sent(peer, calls, |call| {
        if call % BATCH == 0 {
            let end = (call + BATCH).min(calls);
            let batch: Vec<_> = addresses[call..end].iter().copied().map(Some).collect();
            let flags = MsgFlags::empty();
            sendmmsg(shared.as_raw_fd(), &mut headers, &whole[..end - call], batch, none, flags)?;
        }
        Ok(())
    })?;
    row("sendmmsg by 50, one socket for all calls", cost);
    Ok(())
}

/// One packet waits in each socket, or all in one, and is read.
fn receiving(sockets: &[UdpSocket], remotes: &[SocketAddr], shared: &UdpSocket) -> Result<()> {
    let calls = sockets.len();
    let caller = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let services = sockets.iter().map(UdpSocket::local_addr).collect::<Result<Vec<_>>>()?;
    let send = || services.iter().try_for_each(|service| caller.send_to(&RTP_PACKET, service).map(drop));
    let mut poll = Poll::new()?;
    for (call, socket) in sockets.iter().enumerate() {
        let fd = socket.as_raw_fd();
        poll.registry().register(&mut mio::unix::SourceFd(&fd), Token(call), Interest::READABLE)?;
    }
    let mut events = Events::with_capacity(1_024);
    let mut octets = [0; 2_048];
    let mut delivering = f64::INFINITY;
    let (mut each, mut batched, mut single) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    let fastest = |best: &mut f64, before: Duration| {
        *best = best.min((spent() - before).as_secs_f64() * 1e6 / calls as f64);
    };
    let to_shared = shared.local_addr()?;
    for _ in 0..ROUNDS {
        let before = spent();
        send()?;
        fastest(&mut delivering, before);
        let (before, mut read) = (spent(), 0);
        while read < calls {
            poll.poll(&mut events, Some(Duration::ZERO))?;
            for event in &events {
                while sockets[event.token().0].recv_from(&mut octets).is_ok() {
                    read += 1;
                }
            }
        }
        fastest(&mut each, before);
        for (counted, best) in [(true, &mut batched), (false, &mut single)] {
            let mut time = Duration::ZERO;
            for group in remotes.chunks(BATCH) {
                group.iter().try_for_each(|_| caller.send_to(&RTP_PACKET, to_shared).map(drop))?;
                let before = spent();
                if counted {
                    receive_batch(shared)
                } else {
                    while shared.recv_from(&mut octets).is_ok() {}
                }
                time += spent() - before;
            }
            *best = best.min(time.as_secs_f64() * 1e6 / calls as f64);
        }
    }
    row("poll and recv_from, a socket a call (taken for keys)", each);
    row("recv_from, one socket for all calls", single);
    row("recvmmsg by 50, one socket for all calls", batched);
    let (usage, before) = (Usage::read(), spent());
    for socket in sockets {
        SockRef::from(socket).attach_filter(&klikon::media::audio_filter(8))?;
    }
    row("attaching a filter, once a call", (spent() - before).as_secs_f64() * 1e6 / calls as f64);
    println!("    it takes {}", Usage::read().a_call(usage, calls));
    let mut filtered = f64::INFINITY;
    for _ in 0..ROUNDS {
        let before = spent();
        send()?;
        fastest(&mut filtered, before);
    }
    row("at the sender: a packet that is delivered", delivering);
    row("at the sender: a packet that the filter drops", filtered);
    sockets.iter().try_for_each(|socket| SockRef::from(socket).detach_filter())
}

fn receive_batch(socket: &UdpSocket) {
    let mut room = [[0_u8; 256]; BATCH];
    let mut slices: Vec<_> = room.iter_mut().map(|octets| [IoSliceMut::new(octets)]).collect();
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, None);
    let flags = MsgFlags::MSG_DONTWAIT;
    if let Ok(messages) = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None) {
        std::hint::black_box(messages.count());
    }
}
