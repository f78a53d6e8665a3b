//! Writing our own descriptions: the offer, and the answer to one.

use super::association::{Endpoint, HOST_PRIORITY};
use super::crypto::{self, Crypto};
use super::description::{MediaDescription, Offer};
use super::format::{self, AudioFormat};
use super::negotiation::{Capabilities, RedundancyPolicy};
use crate::units::rtp::{Direction, StreamParameters};
use crate::units::srtp::Keying;
use std::fmt::Write;
use std::net::IpAddr;

/// Events that we read and send: 0–9, `*`, `#`, A–D (RFC 4733 §3.2 table 3).
const EVENTS: &str = "0-15";

/// How many reports of keys one packet may hold, as our descriptions say it: a new one, and those of the two presses before.
const REDUNDANT_REPORTS: usize = 3;

/// Our offer: one audio line, for the 200 to an INVITE without one and for calls that we make.
pub fn offer(capabilities: &Capabilities) -> Vec<u8> {
    offer_again(capabilities, &[], 0, None)
}

/// Our offer in a call whose media lines so far are `lines`: as many, in the same order (RFC 3264 §8). Ours is the one
/// at `chosen`; the others stay turned off. It is protected where it has to be, and as `security` says that it is already.
pub(super) fn offer_again(
    capabilities: &Capabilities,
    lines: &[MediaDescription],
    chosen: usize,
    security: Option<Keying>,
) -> Vec<u8> {
    let mut text = String::with_capacity(512);
    let dtls = capabilities.security.dtls.filter(|_| matches!(security, Some(Keying::Handshake(_))));
    let browser = dtls.zip(lines.get(chosen)).map(|(ours, line)| Browser { ours, line });
    session(&mut text, capabilities, (0, 0), browser);
    let described = matches!(security, Some(Keying::Described(_)))
        || security.is_none() && capabilities.security.is_required();
    for index in 0..lines.len().max(1) {
        match lines.get(index).filter(|_| index != chosen) {
            Some(line) => turned_off(&mut text, line),
            None => offered_audio(&mut text, capabilities, described, browser),
        }
    }
    text.into_bytes()
}

fn offered_audio(
    text: &mut String,
    capabilities: &Capabilities,
    described: bool,
    browser: Option<Browser<'_>>,
) {
    let keys = capabilities.security.keys.filter(|_| described);
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
        browser,
        address: capabilities.address,
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
    let handshake = agreed.security.and_then(Keying::handshake);
    let taken = chosen.and_then(|chosen| offer.media.get(chosen));
    let browser =
        handshake.and(capabilities.security.dtls).zip(taken).map(|(ours, line)| Browser { ours, line });
    session(&mut text, capabilities, offer.time, browser);
    for (index, line) in offer.media.iter().enumerate() {
        if Some(index) == chosen {
            let event = agreed.telephone_event.map(|event| (event.receive_payload_type, event.clock_rate_hz));
            let StreamParameters { receive_payload_type: payload_type, encoding, amr, .. } = *agreed;
            let holds = event.map_or(payload_type, |(number, _)| number);
            let redundancy =
                agreed.redundancy.map(|red| (red.receive_payload_type, agreed.keys_clock_rate_hz(), holds));
            let formats = [AudioFormat { payload_type, encoding, amr }];
            let keys = agreed.security.and_then(Keying::described);
            let crypto = keys.map(|keys| Crypto { tag: keys.tag, key: keys.send });
            AudioLine {
                port: capabilities.port,
                formats: &formats,
                events: event.as_slice(),
                redundancy: redundancy.as_slice(),
                ptime_ms: agreed.ptime_ms,
                direction: agreed.direction,
                rtcp_mux: line.rtcp_mux,
                crypto: crypto.as_slice(),
                browser,
                address: capabilities.address,
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

fn session(text: &mut String, capabilities: &Capabilities, time: (u64, u64), browser: Option<Browser<'_>>) {
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
    if let Some(Browser { line, .. }) = browser {
        put(text, format_args!("a=ice-lite"));
        if let Some(mid) = line.association.mid.as_ref().filter(|_| line.association.bundled) {
            put(text, format_args!("a=group:BUNDLE {mid}"));
        }
    }
}

/// A line whose keys come by DTLS: our end, and the line as the peer last described it.
#[derive(Clone, Copy)]
struct Browser<'a> {
    ours: Endpoint,
    line: &'a MediaDescription,
}

impl Browser<'_> {
    /// We wait for the peer's checks and handshake, at the one place that the line itself names.
    fn write(&self, text: &mut String, address: IpAddr, port: u16) {
        let Self { ours, line } = self;
        if let Some(mid) = &line.association.mid {
            put(text, format_args!("a=mid:{mid}"));
        }
        put(text, format_args!("a=ice-ufrag:{}", ours.ice.fragment()));
        put(text, format_args!("a=ice-pwd:{}", ours.ice.password()));
        put(text, format_args!("a=candidate:1 1 UDP {HOST_PRIORITY} {address} {port} typ host"));
        if line.association.trickle {
            put(text, format_args!("a=end-of-candidates"));
        }
        put(text, format_args!("a=fingerprint:{}", ours.fingerprint));
        put(text, format_args!("a=setup:passive"));
    }
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
    /// Empty where no key is described.
    crypto: &'a [Crypto],
    /// Where keys come by DTLS.
    browser: Option<Browser<'a>>,
    address: IpAddr,
}

impl AudioLine<'_> {
    fn write(&self, text: &mut String) {
        let Self {
            port,
            formats,
            events,
            redundancy,
            ptime_ms,
            direction,
            rtcp_mux,
            crypto,
            browser,
            address,
        } = *self;
        let mut list = String::new();
        let numbers = formats.iter().map(|format| format.payload_type);
        let numbers = numbers.chain(events.iter().map(|(number, _)| *number));
        for payload_type in numbers.chain(redundancy.iter().map(|(number, ..)| *number)) {
            let _ = write!(list, " {payload_type}");
        }
        let protocol = match browser {
            Some(Browser { line, .. }) => line.protocol.as_str(),
            None if crypto.is_empty() => "RTP/AVP",
            None => "RTP/SAVP",
        };
        put(text, format_args!("m=audio {port} {protocol}{list}"));
        if let Some(browser) = browser {
            browser.write(text, address, port);
        }
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
