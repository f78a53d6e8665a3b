//! Trunks against real parts: names through a real dnsmasq, registration at a real Kamailio and at SIPp.

#[path = "../service/mod.rs"]
mod service;

mod dnsmasq;
mod kamailio;
mod locating;
mod registering;
mod sipp;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// These parts take no port from the system, so one that was just free is given to them; where another program was
/// quicker, the next one is tried.
const TRIES: usize = 10;

/// A port that is free for UDP and TCP, and was given back.
fn free_port() -> u16 {
    for _ in 0..TRIES {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
