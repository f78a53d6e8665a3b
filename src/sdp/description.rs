//! Reading a session description: the sanitiser, the limits and the typed form.

use super::association::Association;
use super::crypto::{Crypto, MAX_CRYPTO};
use crate::units::rtp::Direction;
use std::net::IpAddr;
use thiserror::Error;

/// Longest description that is read, octets.
pub const MAX_OCTETS: usize = 16_384;
/// Most lines.
pub const MAX_LINES: usize = 512;
/// Longest line, octets.
pub const MAX_LINE_OCTETS: usize = 4_096;
/// Most media (`m=`) lines.
pub const MAX_MEDIA: usize = 16;
/// Most formats on one media line.
pub const MAX_FORMATS: usize = 64;

/// A description that offers (RFC 3264 §5).
pub type Offer = Description;
/// A description that answers (RFC 3264 §6).
pub type Answer = Description;

/// Why octets are not a session description. Answered with 400.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// More than [`MAX_OCTETS`].
    #[error("the description has {0} octets, more than {MAX_OCTETS}")]
    TooLong(usize),
    /// More than [`MAX_LINES`].
    #[error("the description has more than {MAX_LINES} lines")]
    TooManyLines,
    /// A line of more than [`MAX_LINE_OCTETS`].
    #[error("line {0} has more than {MAX_LINE_OCTETS} octets")]
    LineTooLong(usize),
    /// More than [`MAX_MEDIA`].
    #[error("the description has more than {MAX_MEDIA} media lines")]
    TooManyMedia,
    /// More than [`MAX_FORMATS`] on one media line.
    #[error("media line {0} has more than {MAX_FORMATS} formats")]
    TooManyFormats(usize),
    /// A line that is not `letter=value`.
    #[error("line {0} is not of the form letter=value")]
    NotALine(usize),
    /// Anything else that RFC 8866's grammar does not allow where we need it.
    #[error("{0}")]
    Syntax(String),
}

/// A session description as far as this service needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The value of `o=`, as text (octets that are not UTF-8 replaced). Equal to the last one of the same peer: nothing
    /// changed (RFC 3264 §8).
    pub origin: String,
    /// The value of `t=`, which the answer repeats (RFC 3264 §6): start and stop, seconds since 1900.
    pub time: (u64, u64),
    /// Whether its side is an agent of ICE that makes no checks (`a=ice-lite`, RFC 8839 §5.3).
    pub ice_lite: bool,
    /// The media lines, in order.
    pub media: Vec<MediaDescription>,
}

/// A connection address (`c=`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unicast address, or the unspecified one that RFC 2543 used to say hold.
    Ip(IpAddr),
    /// A domain name, a multicast group or another network: nothing can be sent there.
    Unusable(String),
}

/// One `m=` line with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaDescription {
    /// `audio`, `video`, `image`, …
    pub media: String,
    /// The port; 0 when the line is rejected or not wanted.
    pub port: u16,
    /// The transport, for example `RTP/AVP`.
    pub protocol: String,
    /// The format list as it was written, for the echo that a rejection needs.
    pub format_list: String,
    /// The formats, in order, for `RTP/…` lines; payload types above 127 and repeats are left out.
    pub formats: Vec<Format>,
    /// `c=` of the line, else that of the session.
    pub address: Option<Address>,
    /// The direction from the describing peer's side; `sendrecv` when nothing is said.
    pub direction: Direction,
    /// `a=ptime`, ms.
    pub ptime_ms: Option<u32>,
    /// `a=maxptime`, ms.
    pub maxptime_ms: Option<u32>,
    /// Whether RTP and RTCP may share a port (`a=rtcp-mux`, RFC 5761).
    pub rtcp_mux: bool,
    /// The port of RTCP where it is not the one above that of RTP (`a=rtcp`, RFC 3605).
    pub rtcp_port: Option<u16>,
    /// The `a=crypto` lines that we can act on, in order, of the first [`MAX_CRYPTO`].
    pub crypto: Vec<Crypto>,
    /// What the line, or the session, says of ICE, DTLS and bundles.
    pub association: Association,
}

impl MediaDescription {
    /// Whether it is RTP that is protected (RFC 3711) by keys in the description.
    pub fn is_secure(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("RTP/SAVP")
    }

    /// Whether it is RTP that is protected by keys that come by DTLS (RFC 5764 §8), with feedback or without.
    pub fn is_dtls(&self) -> bool {
        ["UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP"].iter().any(|name| self.protocol.eq_ignore_ascii_case(name))
    }
}

/// One RTP format: payload type and what it maps to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// 0–127.
    pub payload_type: u8,
    /// The encoding name of `a=rtpmap`, or of the static table of RFC 3551 for 0, 8 and 9; else empty.
    pub encoding_name: String,
    /// Hz; 0 when unknown.
    pub clock_rate_hz: u32,
    /// Channels; 1 when nothing is said.
    pub channels: u8,
    /// The value of `a=fmtp` behind the payload type; empty when there is none.
    pub parameters: String,
}

impl Description {
    /// Reads a description from a message body.
    ///
    /// Before the parser sees them, the octets are sanitised: lines may end in CRLF, LF or CR; octets that are not
    /// UTF-8 are replaced; `o=` is kept as text, since ids that are not numbers are common; kinds of line that we have no
    /// use for are dropped, so that a mistake in them costs no call.
    ///
    /// # Errors
    /// [`Malformed`], for octets that are no description and for those beyond the limits.
    pub fn parse(octets: &[u8]) -> Result<Self, Malformed> {
        let sanitised = sanitise(octets)?;
        let session = sdp_types::Session::parse(sanitised.text.as_bytes())
            .map_err(|error| Malformed::Syntax(error.to_string()))?;
        if session.medias.len() > MAX_MEDIA {
            return Err(Malformed::TooManyMedia);
        }
        let session_address = session.connection.as_ref().map(address);
        let session_direction = direction(&session.attributes).unwrap_or(Direction::SendRecv);
        let bundles = Association::bundles(&session.attributes);
        let media = session
            .medias
            .iter()
            .enumerate()
            .map(|(index, media)| {
                let association = Association::read(&media.attributes, &session.attributes, &bundles);
                let described = media_description(index, media, session_address.as_ref(), session_direction)?;
                Ok(MediaDescription { association, ..described })
            })
            .collect::<Result<_, _>>()?;
        let ice_lite = Association::is_lite(&session.attributes);
        let time = session.times.first().map_or((0, 0), |time| (time.start_time, time.stop_time));
        Ok(Description { origin: sanitised.origin, time, ice_lite, media })
    }
}

struct Sanitised {
    text: String,
    origin: String,
}

fn sanitise(octets: &[u8]) -> Result<Sanitised, Malformed> {
    if octets.len() > MAX_OCTETS {
        return Err(Malformed::TooLong(octets.len()));
    }
    let mut text = String::with_capacity(octets.len());
    let mut origin = String::new();
    let lines = octets.split(|&octet| octet == b'\r' || octet == b'\n').filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate().map(|(index, line)| (index + 1, line)) {
        if number > MAX_LINES {
            return Err(Malformed::TooManyLines);
        }
        if line.len() > MAX_LINE_OCTETS {
            return Err(Malformed::LineTooLong(number));
        }
        let line = String::from_utf8_lossy(line);
        let mut characters = line.chars();
        let kind = match (characters.next(), characters.next()) {
            (Some(kind), Some('=')) if kind.is_ascii_alphabetic() => kind,
            _ => return Err(Malformed::NotALine(number)),
        };
        match kind {
            'o' => characters.as_str().trim().clone_into(&mut origin),
            'v' | 's' | 'c' | 't' | 'm' | 'a' => {
                text.push_str(line.trim_end_matches([' ', '\t']));
                text.push_str("\r\n");
            }
            // i, u, e, p, b, r, z, k and what later RFCs may add: no use for them.
            _ => {}
        }
    }
    Ok(Sanitised { text, origin })
}

fn address(connection: &sdp_types::Connection) -> Address {
    match connection.connection_address.parse::<IpAddr>() {
        Ok(ip) if !ip.is_multicast() => Address::Ip(ip),
        _ => Address::Unusable(connection.connection_address.clone()),
    }
}

fn direction(attributes: &[sdp_types::Attribute]) -> Option<Direction> {
    attributes.iter().find_map(|attribute| match attribute.attribute.as_str() {
        "sendrecv" => Some(Direction::SendRecv),
        "sendonly" => Some(Direction::SendOnly),
        "recvonly" => Some(Direction::RecvOnly),
        "inactive" => Some(Direction::Inactive),
        _ => None,
    })
}

fn media_description(
    index: usize,
    media: &sdp_types::Media,
    session_address: Option<&Address>,
    session_direction: Direction,
) -> Result<MediaDescription, Malformed> {
    if media.fmt.split_ascii_whitespace().nth(MAX_FORMATS).is_some() {
        return Err(Malformed::TooManyFormats(index + 1));
    }
    let formats = if media.proto.to_ascii_uppercase().contains("RTP/") { formats(media) } else { Vec::new() };
    Ok(MediaDescription {
        media: media.media.clone(),
        port: media.port,
        protocol: media.proto.clone(),
        format_list: media.fmt.clone(),
        formats,
        address: media.connections.first().map(address).or_else(|| session_address.cloned()),
        direction: direction(&media.attributes).unwrap_or(session_direction),
        ptime_ms: milliseconds(media, "ptime"),
        maxptime_ms: milliseconds(media, "maxptime"),
        rtcp_mux: media
            .attributes
            .iter()
            .any(|attribute| attribute.attribute.eq_ignore_ascii_case("rtcp-mux")),
        rtcp_port: attribute_values(media, "rtcp").find_map(rtcp_port),
        crypto: attribute_values(media, "crypto").take(MAX_CRYPTO).filter_map(Crypto::parse).collect(),
        association: Association::default(),
    })
}

/// `a=ptime:20`, also `20.0` and the like. Nonsense counts as not said.
fn milliseconds(media: &sdp_types::Media, name: &str) -> Option<u32> {
    let value = attribute_values(media, name).next()?.trim();
    let digits = value.find(|character: char| !character.is_ascii_digit()).unwrap_or(value.len());
    value.get(..digits)?.parse().ok().filter(|&milliseconds| milliseconds > 0)
}

/// `53020`, or `53020 IN IP4 198.51.100.7`, of which the address is that of the stream wherever it matters here.
fn rtcp_port(value: &str) -> Option<u16> {
    value.split_ascii_whitespace().next()?.parse().ok().filter(|port| *port != 0)
}

fn attribute_values<'m>(media: &'m sdp_types::Media, name: &'m str) -> impl Iterator<Item = &'m str> {
    media
        .attributes
        .iter()
        .filter(move |attribute| attribute.attribute.eq_ignore_ascii_case(name))
        .filter_map(|attribute| attribute.value.as_deref())
}

fn formats(media: &sdp_types::Media) -> Vec<Format> {
    let mut formats: Vec<Format> = Vec::new();
    for word in media.fmt.split_ascii_whitespace() {
        let Some(payload_type) = word.parse::<u8>().ok().filter(|&payload_type| payload_type < 128) else {
            continue;
        };
        if formats.iter().any(|format| format.payload_type == payload_type) {
            continue;
        }
        let mapped = attribute_values(media, "rtpmap").find_map(|value| rtpmap(value, payload_type));
        let parameters = attribute_values(media, "fmtp").find_map(|value| fmtp(value, payload_type));
        let format = mapped.unwrap_or_else(|| static_format(payload_type));
        formats.push(Format { parameters: parameters.unwrap_or_default().to_owned(), ..format });
    }
    formats
}

/// `8 PCMA/8000[/1]`.
fn rtpmap(value: &str, wanted: u8) -> Option<Format> {
    let (payload_type, mapping) = value.trim().split_once([' ', '\t'])?;
    if payload_type.parse() != Ok(wanted) {
        return None;
    }
    let mut parts = mapping.trim().split('/');
    let encoding_name = parts.next()?.to_owned();
    let clock_rate_hz = parts.next()?.parse().ok()?;
    let channels = parts.next().map_or(Some(1), |channels| channels.parse().ok())?;
    Some(Format { payload_type: wanted, encoding_name, clock_rate_hz, channels, parameters: String::new() })
}

/// `96 octet-align=1; mode-set=0,2`: what is behind the payload type.
fn fmtp(value: &str, wanted: u8) -> Option<&str> {
    let (payload_type, parameters) = value.trim().split_once([' ', '\t'])?;
    (payload_type.parse() == Ok(wanted)).then_some(parameters.trim())
}

/// RFC 3551 table 4, for those that need no `a=rtpmap` here.
fn static_format(payload_type: u8) -> Format {
    let (name, clock_rate_hz) = match payload_type {
        0 => ("PCMU", 8_000),
        8 => ("PCMA", 8_000),
        9 => ("G722", 8_000),
        _ => ("", 0),
    };
    let encoding_name = name.to_owned();
    Format { payload_type, encoding_name, clock_rate_hz, channels: 1, parameters: String::new() }
}
