//! SIP as a pure core: bytes and instants in, bytes and events out; no socket, clock or task in here.

pub mod message;
