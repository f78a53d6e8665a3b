//! Agreeing on one audio stream (RFC 3264 §6, §7).

use super::description::{Address, Answer, Format, Malformed, MediaDescription, Offer};
use super::writer;
use crate::units::rtp::{Direction, Encoding, StreamParameters, TelephoneEvent};
use std::net::{IpAddr, SocketAddr};
use thiserror::Error;

/// Audio in each packet where the peer says nothing, ms (RFC 3551 §4.5 table 1).
pub const DEFAULT_PTIME_MS: u8 = 20;

/// Packet lengths that the media engine can send, ms, descending.
const PTIMES_MS: [u8; 6] = [60, 50, 40, 30, 20, 10];

/// Whose order decides between several common encodings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preference {
    /// The offer's: what RFC 3264 §6.1 recommends.
    #[default]
    Offered,
    /// Ours: the order of [`Capabilities::encodings`].
    Ours,
}

/// What this side can do, for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Where we listen, as the peer reaches it.
    pub address: IpAddr,
    /// The RTP port.
    pub port: u16,
    /// Encodings in order of preference.
    pub encodings: Vec<Encoding>,
    /// Whose order counts when answering.
    pub preference: Preference,
    /// Whether `telephone-event` is wanted.
    pub telephone_event: bool,
    /// Packet length where the peer names none, ms.
    pub ptime_ms: u8,
    /// `o=` session id: one number for the whole call.
    pub session_id: u64,
    /// `o=` version: one more each time what we describe changes (RFC 3264 §8).
    pub session_version: u64,
}

impl Capabilities {
    /// PCMA, PCMU, telephone-event, 20 ms, the offer's order.
    pub fn new(address: IpAddr, port: u16, session_id: u64) -> Self {
        Self {
            address,
            port,
            encodings: Encoding::ALL.to_vec(),
            preference: Preference::default(),
            telephone_event: true,
            ptime_ms: DEFAULT_PTIME_MS,
            session_id,
            session_version: session_id,
        }
    }
}

/// Why no stream could be agreed on, with the warn-code of RFC 3261 §20.43 that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Incompatibility {
    /// No audio line that is not already rejected.
    #[error("no audio offered")]
    MediaType,
    /// The address is a name, a multicast group, missing, or of the other IP version.
    #[error("incompatible network address")]
    NetworkAddress,
    /// SRTP or another transport.
    #[error("incompatible transport protocol: only RTP/AVP")]
    Transport,
    /// No common encoding.
    #[error("incompatible media format: only PCMA and PCMU")]
    Format,
}

impl Incompatibility {
    /// The warn-code (RFC 3261 §20.43).
    pub const fn warn_code(self) -> u16 {
        match self {
            Incompatibility::NetworkAddress => 301,
            Incompatibility::Transport => 302,
            Incompatibility::MediaType => 304,
            Incompatibility::Format => 305,
        }
    }
}

/// Why a description is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It cannot be read: 400.
    #[error("malformed session description: {0}")]
    Malformed(#[from] Malformed),
    /// It can be read and nothing in it suits: 488.
    #[error("not acceptable: {0}")]
    NotAcceptable(#[from] Incompatibility),
}

impl Refusal {
    /// The SIP status to refuse an INVITE with: 400 or 488.
    pub const fn status(&self) -> u16 {
        match self {
            Refusal::Malformed(_) => 400,
            Refusal::NotAcceptable(_) => 488,
        }
    }
}

/// Answers an offer: the answer's octets and what was agreed.
///
/// The first audio line that suits is taken; every other line is answered with port 0. The answer names one encoding
/// and, where both want it, telephone-event.
///
/// # Errors
/// [`Refusal::NotAcceptable`] when no line suits; the reason is that of the line that came closest.
pub fn negotiate(offer: &Offer, capabilities: &Capabilities) -> Result<(Vec<u8>, StreamParameters), Refusal> {
    let (index, agreed) = choose_line(offer, capabilities)?;
    Ok((writer::answer(offer, Some(index), &agreed, capabilities), agreed))
}

/// The first line that suits, and what it comes to; else why the one that came closest does not.
pub(super) fn choose_line(
    offer: &Offer,
    capabilities: &Capabilities,
) -> Result<(usize, StreamParameters), Incompatibility> {
    let mut closest = Incompatibility::MediaType;
    for (index, line) in offer.media.iter().enumerate() {
        match suits(line, capabilities) {
            Ok(agreed) => return Ok((index, agreed)),
            Err(why) => closest = closest.max(why),
        }
    }
    Err(closest)
}

/// Takes the answer to the offer that [`super::offer`] made from the same capabilities.
///
/// # Errors
/// [`Refusal::Malformed`] when the octets are no description; [`Refusal::NotAcceptable`] when our audio line was rejected or
/// answered with something we did not offer. The call is then ended with ACK and BYE (RFC 3261 §13.2.2.4).
pub fn accept_answer(capabilities: &Capabilities, answer: &[u8]) -> Result<StreamParameters, Refusal> {
    let answer = Answer::parse(answer)?;
    // We offer one line, so its answer is the first (RFC 3264 §6).
    let line = answer.media.first().ok_or(Incompatibility::MediaType)?;
    Ok(suits_answer(line, capabilities)?)
}

/// What the answer to the audio line of our offer comes to.
pub(super) fn suits_answer(
    line: &MediaDescription,
    capabilities: &Capabilities,
) -> Result<StreamParameters, Incompatibility> {
    let mut agreed = suits(line, &Capabilities { preference: Preference::Offered, ..capabilities.clone() })?;
    if let Some(event) = agreed.telephone_event.as_mut() {
        event.receive_payload_type = super::TELEPHONE_EVENT_PAYLOAD_TYPE;
    }
    Ok(agreed)
}

/// What one media line comes to.
fn suits(line: &MediaDescription, capabilities: &Capabilities) -> Result<StreamParameters, Incompatibility> {
    if !line.media.eq_ignore_ascii_case("audio") || line.port == 0 {
        return Err(Incompatibility::MediaType);
    }
    if !line.protocol.eq_ignore_ascii_case("RTP/AVP") {
        return Err(Incompatibility::Transport);
    }
    let remote_ip = match line.address {
        Some(Address::Ip(ip)) if ip.is_ipv4() == capabilities.address.is_ipv4() => ip,
        _ => return Err(Incompatibility::NetworkAddress),
    };
    let (format, encoding) = choose(line, capabilities).ok_or(Incompatibility::Format)?;
    let event =
        if capabilities.telephone_event { telephone_event(line, encoding.clock_rate_hz()) } else { None };
    Ok(StreamParameters {
        remote: SocketAddr::new(remote_ip, line.port),
        encoding,
        payload_type: format.payload_type,
        telephone_event: event,
        ptime_ms: packet_time(line, capabilities.ptime_ms),
        direction: our_direction(line.direction, remote_ip),
    })
}

fn encoding_of(format: &Format) -> Option<Encoding> {
    Encoding::ALL.into_iter().find(|encoding| {
        format.encoding_name.eq_ignore_ascii_case(encoding.name())
            && format.clock_rate_hz == encoding.clock_rate_hz()
            && format.channels == 1
    })
}

fn choose<'m>(line: &'m MediaDescription, capabilities: &Capabilities) -> Option<(&'m Format, Encoding)> {
    let common = || {
        line.formats
            .iter()
            .filter_map(|format| Some((format, encoding_of(format)?)))
            .filter(|(_, encoding)| capabilities.encodings.contains(encoding))
    };
    match capabilities.preference {
        Preference::Offered => common().next(),
        Preference::Ours => {
            capabilities.encodings.iter().find_map(|wanted| common().find(|(_, encoding)| encoding == wanted))
        }
    }
}

/// The offered telephone-event whose clock is the audio's (RFC 4733 §2.1 wants them equal); else the first with any
/// clock, since a digit with a strange duration is better than no digit.
fn telephone_event(line: &MediaDescription, clock_rate_hz: u32) -> Option<TelephoneEvent> {
    let offered =
        || line.formats.iter().filter(|format| format.encoding_name.eq_ignore_ascii_case("telephone-event"));
    let format =
        offered().find(|format| format.clock_rate_hz == clock_rate_hz).or_else(|| offered().next())?;
    Some(TelephoneEvent {
        payload_type: format.payload_type,
        receive_payload_type: format.payload_type,
        clock_rate_hz: format.clock_rate_hz.max(1),
    })
}

/// What the peer asks for if we can send it, else our own; never above its `maxptime`.
fn packet_time(line: &MediaDescription, ours_ms: u8) -> u8 {
    let can = |milliseconds: u32| PTIMES_MS.into_iter().find(|&can| u32::from(can) == milliseconds);
    let wanted = line.ptime_ms.and_then(can).or_else(|| can(ours_ms.into())).unwrap_or(DEFAULT_PTIME_MS);
    let most = line.maxptime_ms.unwrap_or(u32::MAX);
    if u32::from(wanted) <= most {
        return wanted;
    }
    PTIMES_MS.into_iter().find(|&can| u32::from(can) <= most).unwrap_or(10)
}

/// RFC 3264 §6.1, and the unspecified address of RFC 2543's hold, which takes nothing.
fn our_direction(theirs: Direction, remote: IpAddr) -> Direction {
    let ours = theirs.reversed();
    Direction::new(ours.sends() && !remote.is_unspecified(), ours.receives())
}
