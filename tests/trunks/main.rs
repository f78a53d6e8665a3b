//! Trunks against real parts: names through a real dnsmasq, registration at a real Kamailio and at SIPp.

mod dnsmasq;
mod locating;
