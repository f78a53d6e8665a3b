//! The media engine: RTP sessions that play prompts and read keys, and the threads that move their octets.
//!
//! Implements RTP (RFC 3550 §5.1, A.1; RFC 3551 §4), named telephone events (RFC 4733 §2), also with redundancy (RFC 2198), keys as tones (ITU-T Q.24), and the
//! payloads of G.711, G.722, AMR and AMR-WB (RFC 4867 §4) and Opus (RFC 7587 §4). A [`Session`] is
//! one call's stream as a pure state machine: packets and `now` go in, packets, events and a deadline come out. The
//! [`Engine`] owns the threads, sockets and ports, and only moves octets between them and the sessions.
//!
//! Prompts are encoded once, at load ([`PromptLibrary`]); a session copies ready octets behind a header and allocates
//! nothing for a packet. Every session sends one continuous stream: one SSRC, one run of sequence numbers and
//! timestamps, silence between prompts, each packet at an absolute deadline that a late wake-up never shifts. A prompt
//! that follows silence begins up to one packet length early, and the silence after it gives that back.

mod alarm;
mod amr;
mod audio_filter;
mod cache;
mod control;
mod decimator;
mod decoder;
mod engine;
mod event;
mod fork;
mod form;
mod g711;
mod key_gate;
mod listener;
mod opus;
mod packing;
mod playout;
mod ports;
mod prompt;
mod protection;
mod red;
pub mod rtcp;
mod rtp;
mod session;
mod settings;
pub mod srtp;
pub mod telephone_event;
pub mod tone;
pub mod webrtc;
mod wheel;
mod worker;

pub use crate::units::rtp::{Direction, Encoding, StreamParameters, TelephoneEvent};
pub use audio_filter::audio_filter;
pub use cache::PromptCache;
pub use control::{FarReport, RtcpStatistics};
pub use decimator::{Decimator, HALF_TAPS};
pub use decoder::{Decoder, unpack};
pub use engine::{
    CommandError, Engine, EngineCounters, EngineError, EngineSettings, OpenError, Stream, StreamId, Summary,
};
pub use event::{MediaEvent, Statistics};
pub use fork::{Fork, ForkState, ForkedPacket, MAX_FORKED_OCTETS, Side};
pub use form::{EncoderError, Form};
pub use listener::{FrameIndex, Heard, Listener, Recorder, Recording};
pub use playout::{Element, MAX_QUEUED_PLAYS};
pub use ports::PortRange;
pub use prompt::{Clip, ClipIndex, FRAME_MS, FRAME_OCTETS, LibraryError, PromptLibrary, SOURCE_RATE_HZ};
pub use rtp::{MAX_PACKET_OCTETS, Packet, ReadError};
pub use session::{MAX_TRANSMIT_OCTETS, Session, Transmit};
pub use settings::{DigitTiming, Identity, Reach, SessionSettings};
pub use telephone_event::KeyStatistics;
pub use tone::InBandStatistics;

#[cfg(test)]
mod codec_tests;
#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod protection_tests;
#[cfg(test)]
mod redundancy_tests;
#[cfg(test)]
mod session_tests;
