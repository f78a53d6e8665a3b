//! The bare loops that the engine is held against: the same packets on as many connected sockets, and nothing else.

use super::machine;
use super::peer::{PTIME_MS, Peer, RTP_PACKET, Ticker};
use rustix::time::{ClockId, clock_gettime};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rounds of the loop that does not wait.
const ROUNDS: usize = 20;

pub fn spent() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn connected(peer: &Peer, calls: usize) -> std::io::Result<Vec<UdpSocket>> {
    (0..calls)
        .map(|call| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.connect(peer.address(call))?;
            Ok(socket)
        })
        .collect()
}

/// Processor time of a `send` on each socket in turn, as fast as it goes, µs. What is sent is read in between, uncounted.
pub fn unpaced(peer: &mut Peer, calls: usize) -> std::io::Result<f64> {
    let sockets = connected(peer, calls)?;
    let mut time = Duration::ZERO;
    for _ in 0..ROUNDS {
        for sockets in sockets.chunks(1_000) {
            let before = spent();
            for socket in sockets {
                socket.send(&RTP_PACKET)?;
            }
            time += spent() - before;
            peer.receive(|_| ());
        }
    }
    Ok(time.as_secs_f64() * 1e6 / (ROUNDS * calls) as f64)
}

/// Processor time a packet of a thread that does nothing but send each socket's packet in its millisecond of twenty, µs.
pub fn paced(peer: &mut Peer, calls: usize, seconds: u64) -> std::io::Result<f64> {
    let sockets = connected(peer, calls)?;
    let (stop, ticker) = (AtomicBool::new(false), Ticker::start()?);
    std::thread::scope(|scope| {
        let loops = scope.spawn(|| {
            machine::pin(machine::this_thread(), 0);
            let ticker = Ticker::start()?;
            let (mut tick, mut packets, before) = (0_u64, 0_u64, spent());
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..ticker.wait() {
                    for socket in sockets.iter().skip((tick % PTIME_MS) as usize).step_by(PTIME_MS as usize) {
                        socket.send(&RTP_PACKET)?;
                        packets += 1;
                    }
                    tick += 1;
                }
            }
            Ok((spent() - before).as_secs_f64() * 1e6 / packets as f64)
        });
        let mut passed = 0;
        while passed < seconds * 1_000 {
            passed += ticker.wait();
            peer.receive(|_| ());
        }
        stop.store(true, Ordering::Relaxed);
        loops.join().unwrap_or_else(|_| panic!("the loop broke"))
    })
}
