//! Writing our own descriptions: the offer, and the answer to one.

use super::crypto::{self, Crypto};
use super::description::{MediaDescription, Offer};
use super::format::{self, AudioFormat};
use super::negotiation::{Capabilities, RedundancyPolicy};
use crate::units::rtp::{Direction, StreamParameters};
use std::fmt::Write;
use std::net::IpAddr;

/// Events that we read and send: 0–9, `*`, `#`, A–D (RFC 4733 §3.2 table 3).
const EVENTS: &str = "0-15";

/// How many reports of keys one packet may hold, as our descriptions say it: a new one, and those of the two presses before.
const REDUNDANT_REPORTS: usize = 3;

/// Our offer: one audio line, for the 200 to an INVITE without one and for calls that we make.
pub fn offer(capabilities: &Capabilities) -> Vec<u8> {
    offer_again(capabilities, &[], 0, false)
}

/// Our offer in a call whose media lines so far are `lines`: as many, in the same order (RFC 3264 §8). Ours is the one
/// at `chosen`; the others stay turned off. It is protected where it has to be, and where `secure` says that it is already.
pub(super) fn offer_again(
    capabilities: &Capabilities,
    lines: &[MediaDescription],
    chosen: usize,
    secure: bool,
) -> Vec<u8> {
    let mut text = String::with_capacity(512);
    session(&mut text, capabilities, (0, 0));
    for index in 0..lines.len().max(1) {
        match lines.get(index).filter(|_| index != chosen) {
            Some(line) => turned_off(&mut text, line),
            None => offered_audio(&mut text, capabilities, secure || capabilities.security.is_required()),
        }
    }
    text.into_bytes()
}

fn offered_audio(text: &mut String, capabilities: &Capabilities, secure: bool) {
    let keys = capabilities.security.keys.filter(|_| secure);
    let events = format::offered_events(&capabilities.codecs).filter(|_| capabilities.telephone_event);
    let repeats = capabilities.telephone_event && capabilities.redundancy == RedundancyPolicy::Offered;
    let redundancy = format::offered_redundancy(&capabilities.codecs).filter(|_| repeats);
    AudioLine {
        port: capabilities.port,
        formats: &format::offered(&capabilities.codecs),
        events: &events.collect::<Vec<_>>(),
        redundancy: &redundancy
            .map(|(number, clock)| (number, clock, format::event_number(clock)))
            .collect::<Vec<_>>(),
        ptime_ms: capabilities.ptime_ms,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        crypto: &keys.iter().flat_map(crypto::offered).collect::<Vec<_>>(),
    }
    .write(text);
}

fn turned_off(text: &mut String, line: &MediaDescription) {
    put(text, format_args!("m={} 0 {} {}", line.media, line.protocol, line.format_list));
}

/// The answer that takes line `chosen` and rejects the others (RFC 3264 §6: as many lines, in the same order); `None`
/// takes none.
pub(super) fn answer(
    offer: &Offer,
    chosen: Option<usize>,
    agreed: &StreamParameters,
    capabilities: &Capabilities,
) -> Vec<u8> {
    let mut text = String::with_capacity(512);
    session(&mut text, capabilities, offer.time);
    for (index, line) in offer.media.iter().enumerate() {
        if Some(index) == chosen {
            let event = agreed.telephone_event.map(|event| (event.receive_payload_type, event.clock_rate_hz));
            let StreamParameters { receive_payload_type: payload_type, encoding, amr, .. } = *agreed;
            let holds = event.map_or(payload_type, |(number, _)| number);
            let redundancy =
                agreed.redundancy.map(|red| (red.receive_payload_type, agreed.keys_clock_rate_hz(), holds));
            let formats = [AudioFormat { payload_type, encoding, amr }];
            let crypto = agreed.security.map(|keys| Crypto { tag: keys.tag, key: keys.send });
            AudioLine {
                port: capabilities.port,
                formats: &formats,
                events: event.as_slice(),
                redundancy: redundancy.as_slice(),
                ptime_ms: agreed.ptime_ms,
                direction: agreed.direction,
                rtcp_mux: line.rtcp_mux,
                crypto: crypto.as_slice(),
            }
            .write(&mut text);
        } else {
            turned_off(&mut text, line);
        }
    }
    text.into_bytes()
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = write!(text, "{line}\r\n");
}

fn session(text: &mut String, capabilities: &Capabilities, time: (u64, u64)) {
    let network = match capabilities.address {
        IpAddr::V4(address) => format!("IN IP4 {address}"),
        IpAddr::V6(address) => format!("IN IP6 {address}"),
    };
    let Capabilities { session_id, session_version, .. } = capabilities;
    put(text, format_args!("v=0"));
    put(text, format_args!("o=- {session_id} {session_version} {network}"));
    // RFC 3264 §5 recommends a dash where there is no name.
    put(text, format_args!("s=-"));
    put(text, format_args!("c={network}"));
    put(text, format_args!("t={} {}", time.0, time.1));
}

/// What one audio line says.
struct AudioLine<'a> {
    port: u16,
    formats: &'a [AudioFormat],
    /// Payload types and clocks of telephone-event.
    events: &'a [(u8, u32)],
    /// Payload types and clocks of redundant formats, and what they hold. They come last: most packets are plain.
    redundancy: &'a [(u8, u32, u8)],
    ptime_ms: u8,
    direction: Direction,
    rtcp_mux: bool,
    /// Empty for RTP without protection.
    crypto: &'a [Crypto],
}

impl AudioLine<'_> {
    fn write(&self, text: &mut String) {
        let Self { port, formats, events, redundancy, ptime_ms, direction, rtcp_mux, crypto } = *self;
        let mut list = String::new();
        let numbers = formats.iter().map(|format| format.payload_type);
        let numbers = numbers.chain(events.iter().map(|(number, _)| *number));
        for payload_type in numbers.chain(redundancy.iter().map(|(number, ..)| *number)) {
            let _ = write!(list, " {payload_type}");
        }
        let protocol = if crypto.is_empty() { "RTP/AVP" } else { "RTP/SAVP" };
        put(text, format_args!("m=audio {port} {protocol}{list}"));
        for crypto in crypto {
            put(text, format_args!("a=crypto:{}", crypto.value()));
        }
        for format in formats {
            let (AudioFormat { payload_type, encoding, .. }, parameters) = (format, format.parameters());
            // RFC 8866 §6.6: one channel need not be said.
            let channels =
                if encoding.channels() > 1 { format!("/{}", encoding.channels()) } else { String::new() };
            put(
                text,
                format_args!(
                    "a=rtpmap:{payload_type} {}/{}{channels}",
                    encoding.name(),
                    encoding.clock_rate_hz()
                ),
            );
            if !parameters.is_empty() {
                put(text, format_args!("a=fmtp:{payload_type} {parameters}"));
            }
        }
        for (payload_type, clock_rate_hz) in events {
            put(text, format_args!("a=rtpmap:{payload_type} telephone-event/{clock_rate_hz}"));
            put(text, format_args!("a=fmtp:{payload_type} {EVENTS}"));
        }
        for (payload_type, clock_rate_hz, holds) in redundancy {
            let holds = [holds.to_string().as_str(); REDUNDANT_REPORTS].join("/");
            put(text, format_args!("a=rtpmap:{payload_type} red/{clock_rate_hz}"));
            put(text, format_args!("a=fmtp:{payload_type} {holds}"));
        }
        if rtcp_mux {
            put(text, format_args!("a=rtcp-mux"));
        }
        put(text, format_args!("a=ptime:{ptime_ms}"));
        put(text, format_args!("a={}", direction.name()));
    }
}
