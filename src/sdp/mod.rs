//! Session description: reading what a peer offers or answers, and agreeing on one audio stream.
//!
//! Implements RFC 8866 (the description; read by the crate `sdp-types` behind [`Description::parse`]'s
//! sanitiser), RFC 3264 (offer and answer: every media line answered, hold, rejected lines), the static payload
//! types of RFC 3551, `red` (RFC 2198), the parameters of AMR (RFC 4867 §8) and Opus (RFC 7587 §6), and `telephone-event` of RFC 4733. Streams are `RTP/AVP`, or `RTP/SAVP` with
//! keys by SDES (RFC 4568), or `UDP/TLS/RTP/SAVPF` as browsers offer it: keys by DTLS (RFC 5764, RFC 8842), and ICE of which we are the
//! lite agent (RFC 8445, RFC 8839). Pure: no socket, clock or randomness; the address, port and session id are arguments.

mod association;
mod crypto;
mod description;
mod exchange;
mod format;
mod negotiation;
mod writer;

pub use association::{Association, Endpoint, HOST_PRIORITY, Setup};
pub use crypto::{Crypto, MAX_CRYPTO};
pub use description::{
    Address, Answer, Description, Format, MAX_FORMATS, MAX_LINE_OCTETS, MAX_LINES, MAX_MEDIA, MAX_OCTETS,
    Malformed, MediaDescription, Offer,
};
pub use exchange::Exchange;
pub use negotiation::{
    Capabilities, Codecs, DEFAULT_PTIME_MS, Incompatibility, Preference, RedundancyPolicy, Refusal, Security,
    accept_answer, negotiate,
};
pub use writer::offer;

#[cfg(test)]
mod codec_tests;
#[cfg(test)]
mod crypto_tests;
#[cfg(test)]
mod redundancy_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod webrtc_tests;
