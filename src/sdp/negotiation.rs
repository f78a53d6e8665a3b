//! Agreeing on one audio stream (RFC 3264 §6, §7).

use super::association::{Endpoint, Setup};
use super::crypto::Crypto;
use super::description::{Address, Answer, Description, Format, Malformed, MediaDescription, Offer};
use super::format::{self, AudioFormat};
use super::writer;
use crate::units::amr::ModeSet;
use crate::units::rtp::{Direction, Encoding, Redundancy, StreamParameters, TelephoneEvent};
use crate::units::srtp::{Keying, OwnKeys, StreamKeys};
use crate::units::webrtc::Handshake;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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
    /// Ours: the order of [`Codecs::encodings`].
    Ours,
}

/// The codecs of this side, the same for every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codecs {
    /// Encodings in order of preference.
    pub encodings: Vec<Encoding>,
    /// Whose order counts when answering.
    pub preference: Preference,
    /// The modes of AMR that we have encoded.
    pub amr_modes: ModeSet,
    /// The modes of AMR-WB that we have encoded.
    pub amr_wb_modes: ModeSet,
}

impl Default for Codecs {
    /// G.711 alone, A-law before µ-law; the offer's order.
    fn default() -> Self {
        Self::new(Encoding::G711.to_vec())
    }
}

impl Codecs {
    /// These, with all their modes, in the offer's order.
    pub fn new(encodings: Vec<Encoding>) -> Self {
        Self {
            encodings,
            preference: Preference::default(),
            amr_modes: ModeSet::all(Encoding::Amr),
            amr_wb_modes: ModeSet::all(Encoding::AmrWb),
        }
    }

    /// The modes of an encoding that we have; empty for one without modes.
    pub fn modes(&self, encoding: Encoding) -> ModeSet {
        match encoding {
            Encoding::Amr => self.amr_modes,
            Encoding::AmrWb => self.amr_wb_modes,
            _ => ModeSet::all(encoding),
        }
    }
}

/// What protection of the stream this side agrees to. Keys stand in the description itself, or the fingerprint by which the
/// peer's certificate is known: so they are taken only where nobody else reads or changes it, over TLS (RFC 4568 §8.3,
/// RFC 8827 §6.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security {
    /// Whether RTP without protection is taken.
    pub plain: bool,
    /// Our keys, where SRTP with keys in the description is taken.
    pub keys: Option<OwnKeys>,
    /// Our end of the handshake, where keys by DTLS are taken.
    pub dtls: Option<Endpoint>,
}

impl Default for Security {
    /// RTP alone.
    fn default() -> Self {
        Self { plain: true, keys: None, dtls: None }
    }
}

impl Security {
    /// Whether an offer of ours asks for SRTP although nothing is agreed yet.
    pub(super) const fn is_required(&self) -> bool {
        !self.plain && self.keys.is_some()
    }
}

/// What is made of redundant payloads, `red` (RFC 2198).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RedundancyPolicy {
    /// Passed over.
    Refused,
    /// Agreed to where the peer offers it and it can save a key.
    #[default]
    Answered,
    /// In our offers too: keys that we send are repeated.
    Offered,
}

/// What this side can do, for one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Where we listen, as the peer reaches it.
    pub address: IpAddr,
    /// The RTP port.
    pub port: u16,
    /// What we can encode.
    pub codecs: Codecs,
    /// Whether the stream may, or must, be protected.
    pub security: Security,
    /// Whether `telephone-event` is wanted.
    pub telephone_event: bool,
    /// What is made of redundant payloads.
    pub redundancy: RedundancyPolicy,
    /// Packet length where the peer names none, ms.
    pub ptime_ms: u8,
    /// `o=` session id: one number for the whole call.
    pub session_id: u64,
    /// `o=` version: one more each time what we describe changes (RFC 3264 §8).
    pub session_version: u64,
}

impl Capabilities {
    /// PCMA, PCMU, telephone-event, 20 ms, the offer's order; [`Capabilities::with`] adds other codecs.
    pub fn new(address: IpAddr, port: u16, session_id: u64) -> Self {
        Self {
            address,
            port,
            codecs: Codecs::default(),
            security: Security::default(),
            telephone_event: true,
            redundancy: RedundancyPolicy::default(),
            ptime_ms: DEFAULT_PTIME_MS,
            session_id,
            session_version: session_id,
        }
    }

    /// With this protection.
    pub fn secured(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// With these codecs.
    pub fn with(self, codecs: Codecs) -> Self {
        Self { codecs, ..self }
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
    /// Another transport, protected where that is not taken, or not protected where it must be.
    #[error(
        "incompatible transport protocol: neither RTP/AVP, nor over TLS RTP/SAVP with a key that we can use or \
         UDP/TLS/RTP/SAVPF with ICE, a=rtcp-mux and a fingerprint"
    )]
    Transport,
    /// No common encoding.
    #[error("incompatible media format: no codec in common")]
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
    // A protected line is better than a plain one, wherever it stands.
    let lines = || offer.media.iter().enumerate();
    let is_protected = |line: &MediaDescription| line.is_secure() || line.is_dtls();
    let secure = lines().filter(|(_, line)| is_protected(line));
    let plain = lines().filter(|(_, line)| !is_protected(line));
    for (index, line) in secure.chain(plain) {
        // Of two sides that make no checks none would find the path (RFC 8445 §2.5).
        let suited = if line.is_dtls() && offer.ice_lite {
            Err(Incompatibility::Transport)
        } else {
            suits(line, capabilities)
        };
        match suited {
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
    let offered = Description::parse(&writer::offer(capabilities))?;
    Ok(suits_answer(line, offered.media.first(), capabilities)?)
}

/// What the answer to the audio line of our offer comes to. It must be as protected as what was offered, by a key for a
/// profile that was.
pub(super) fn suits_answer(
    line: &MediaDescription,
    offer: Option<&MediaDescription>,
    capabilities: &Capabilities,
) -> Result<StreamParameters, Incompatibility> {
    let offered = Codecs { preference: Preference::Offered, ..capabilities.codecs.clone() };
    let mut agreed = suits(line, &Capabilities { codecs: offered, ..capabilities.clone() })?;
    let was_offered = |keys: StreamKeys| {
        let profile = keys.receive.profile();
        let is_it = |crypto: &Crypto| (crypto.tag, crypto.key.profile()) == (keys.tag, profile);
        offer.is_some_and(|offer| offer.crypto.iter().any(is_it))
    };
    let offers = |is: fn(&MediaDescription) -> bool| offer.is_some_and(is);
    let is_offered = match agreed.security {
        None => !offers(MediaDescription::is_secure) && !offers(MediaDescription::is_dtls),
        Some(Keying::Described(keys)) => offers(MediaDescription::is_secure) && was_offered(keys),
        Some(Keying::Handshake(_)) => offers(MediaDescription::is_dtls),
    };
    if !is_offered {
        return Err(Incompatibility::Transport);
    }
    let Capabilities { codecs, .. } = capabilities;
    let StreamParameters { payload_type, encoding, amr, .. } = agreed;
    let answered = AudioFormat { payload_type, encoding, amr };
    agreed.receive_payload_type = format::number_offered(&answered, codecs).unwrap_or(payload_type);
    if let Some(event) = agreed.telephone_event.as_mut() {
        event.receive_payload_type = format::event_number(event.clock_rate_hz);
    }
    let clock_rate_hz = agreed.keys_clock_rate_hz();
    if let Some(redundancy) = agreed.redundancy.as_mut() {
        redundancy.receive_payload_type = format::redundancy_number(clock_rate_hz);
    }
    Ok(agreed)
}

/// What one media line comes to.
fn suits(line: &MediaDescription, capabilities: &Capabilities) -> Result<StreamParameters, Incompatibility> {
    if !line.media.eq_ignore_ascii_case("audio") || line.port == 0 {
        return Err(Incompatibility::MediaType);
    }
    let security = security(line, &capabilities.security)?;
    let remote_ip = match (&line.address, security) {
        // ICE finds where the peer is; what stands here may be of any kind (RFC 8839 §4.2.5).
        (_, Some(Keying::Handshake(_))) => unspecified(capabilities.address),
        (Some(Address::Ip(ip)), _) if ip.is_ipv4() == capabilities.address.is_ipv4() => *ip,
        _ => return Err(Incompatibility::NetworkAddress),
    };
    let direction = match security {
        Some(Keying::Handshake(_)) => line.direction.reversed(),
        _ => our_direction(line.direction, remote_ip),
    };
    let AudioFormat { payload_type, encoding, amr } =
        choose(line, &capabilities.codecs).ok_or(Incompatibility::Format)?;
    let event =
        if capabilities.telephone_event { telephone_event(line, encoding.clock_rate_hz()) } else { None };
    let agreed = StreamParameters {
        remote: SocketAddr::new(remote_ip, line.port),
        remote_rtcp: SocketAddr::new(remote_ip, rtcp_port(line)),
        encoding,
        amr,
        payload_type,
        receive_payload_type: payload_type,
        telephone_event: event,
        redundancy: None,
        ptime_ms: packet_time(line, encoding, capabilities.ptime_ms),
        direction,
        security,
    };
    Ok(StreamParameters { redundancy: redundancy(line, capabilities.redundancy, &agreed), ..agreed })
}

/// The address of no host, of the same IP version.
const fn unspecified(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// How the keys of a line come, where it is protected.
fn security(line: &MediaDescription, ours: &Security) -> Result<Option<Keying>, Incompatibility> {
    if line.is_dtls() {
        let handshake = ours.dtls.and_then(|ours| handshake(line, &ours));
        return handshake
            .map(|handshake| Some(Keying::Handshake(handshake)))
            .ok_or(Incompatibility::Transport);
    }
    let is_plain = line.protocol.eq_ignore_ascii_case("RTP/AVP");
    match (ours.keys, line.crypto.first()) {
        _ if is_plain && ours.plain => Ok(None),
        (Some(keys), Some(Crypto { tag, key })) if line.is_secure() => {
            let keys = StreamKeys { tag: *tag, send: keys.of(key.profile()), receive: *key };
            Ok(Some(Keying::Described(keys)))
        }
        _ => Err(Incompatibility::Transport),
    }
}

/// What a line's handshake is to be: the peer finds the path by ICE, begins, shows a certificate that we can tell, and sends
/// RTCP on the same path (we have no second one; RFC 8858 §3).
fn handshake(line: &MediaDescription, ours: &Endpoint) -> Option<Handshake> {
    let theirs = &line.association;
    let begins = matches!(theirs.setup, Setup::Active | Setup::ActPass);
    let suits = begins && theirs.ice.is_some() && line.rtcp_mux;
    theirs.fingerprint.filter(|_| suits).map(|fingerprint| Handshake { ice: ours.ice, fingerprint })
}

fn choose(line: &MediaDescription, codecs: &Codecs) -> Option<AudioFormat> {
    let common =
        || line.formats.iter().filter_map(|format| AudioFormat::of(format, line.maxptime_ms, codecs));
    match codecs.preference {
        Preference::Offered => common().next(),
        Preference::Ours => {
            codecs.encodings.iter().find_map(|wanted| common().find(|format| format.encoding == *wanted))
        }
    }
}

/// The offered telephone-event whose clock is the audio's (RFC 4733 §2.1 wants them equal); else that of 8,000 Hz, which
/// many send whatever the audio is; else the first with any clock, since a digit with a strange duration is better than no
/// digit.
fn telephone_event(line: &MediaDescription, clock_rate_hz: u32) -> Option<TelephoneEvent> {
    let offered =
        || line.formats.iter().filter(|format| format.encoding_name.eq_ignore_ascii_case("telephone-event"));
    let of_clock = |wanted| offered().find(|format| format.clock_rate_hz == wanted);
    let format = of_clock(clock_rate_hz).or_else(|| of_clock(8_000)).or_else(|| offered().next())?;
    Some(TelephoneEvent::new(format.payload_type, format.clock_rate_hz.max(1)))
}

/// The offered redundant format that can hold keys: named events where these are agreed on, else the audio that they are
/// tones in. One that names no formats can hold any.
fn redundancy(
    line: &MediaDescription,
    policy: RedundancyPolicy,
    agreed: &StreamParameters,
) -> Option<Redundancy> {
    let holds_keys = agreed.telephone_event.map_or(agreed.payload_type, |event| event.payload_type);
    let suits = |format: &&Format| {
        format.encoding_name.eq_ignore_ascii_case("red")
            && format.clock_rate_hz == agreed.keys_clock_rate_hz()
            && format::redundant_formats(&format.parameters).is_none_or(|listed| listed.contains(&holds_keys))
    };
    let format = line.formats.iter().filter(|_| policy != RedundancyPolicy::Refused).find(suits)?;
    Some(Redundancy::new(format.payload_type))
}

/// What the peer asks for if the codec can be sent so, else our own; never above its `maxptime`, unless that is less than
/// the codec's shortest packet.
fn packet_time(line: &MediaDescription, encoding: Encoding, ours_ms: u8) -> u8 {
    let step = encoding.packet_step_ms();
    let can = || PTIMES_MS.into_iter().filter(|can| can.is_multiple_of(step));
    let exactly = |milliseconds: u32| can().find(|&can| u32::from(can) == milliseconds);
    let wanted =
        line.ptime_ms.and_then(exactly).or_else(|| exactly(ours_ms.into())).unwrap_or(DEFAULT_PTIME_MS);
    let most = line.maxptime_ms.unwrap_or(u32::MAX);
    if u32::from(wanted) <= most {
        return wanted;
    }
    can().find(|&can| u32::from(can) <= most).unwrap_or(step)
}

/// Where the peer takes RTCP: with RTP where both may share a port, else where it says, else one port above (RFC 3550 §11).
fn rtcp_port(line: &MediaDescription) -> u16 {
    if line.rtcp_mux { line.port } else { line.rtcp_port.unwrap_or(line.port.wrapping_add(1)) }
}

/// RFC 3264 §6.1, and the unspecified address of RFC 2543's hold, which takes nothing.
fn our_direction(theirs: Direction, remote: IpAddr) -> Direction {
    let ours = theirs.reversed();
    Direction::new(ours.sends() && !remote.is_unspecified(), ours.receives())
}
