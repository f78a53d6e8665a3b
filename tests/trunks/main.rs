//! Trunks against real parts: names through a real dnsmasq, registration at a real Kamailio and at SIPp.

#[path = "../service/mod.rs"]
mod service;

#[path = "../kamailio/mod.rs"]
mod kamailio;

mod connections;
mod dnsmasq;
mod locating;
mod registering;
mod registrar;
mod sipp;
