//! Which of the formats that a peer describes we can send, and with which parameters (`a=fmtp`); the formats that we offer.

use super::description::Format;
use super::negotiation::Codecs;
use crate::units::amr::{AmrParameters, ModeSet};
use crate::units::rtp::{Encoding, OPUS_BITRATE};

/// Dynamic payload types in our offers, in the upper half that RFC 3551 §3 gives to them.
const AMR_PAYLOAD_TYPES: [u8; 2] = [96, 97];
const AMR_WB_PAYLOAD_TYPES: [u8; 2] = [98, 99];
const OPUS_PAYLOAD_TYPE: u8 = 111;

/// The payload types of telephone-event in our offers, one for each clock that an audio codec may have (RFC 4733 §2.1); the
/// first is the number that everybody uses.
const EVENT_PAYLOAD_TYPES: [(u32, u8); 3] = [(8_000, 101), (16_000, 102), (48_000, 103)];

/// The payload types of `red` in our offers, one for each of those clocks.
const REDUNDANCY_PAYLOAD_TYPES: [(u32, u8); 3] = [(8_000, 121), (16_000, 122), (48_000, 123)];

/// A format that both sides can, as one side numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AudioFormat {
    pub(super) payload_type: u8,
    pub(super) encoding: Encoding,
    pub(super) amr: Option<AmrParameters>,
}

impl AudioFormat {
    /// What a peer's format comes to for us; `None` for what we cannot send as it asks.
    pub(super) fn of(format: &Format, maxptime_ms: Option<u32>, codecs: &Codecs) -> Option<Self> {
        let encoding = codecs.encodings.iter().copied().find(|&encoding| is(format, encoding))?;
        let frame_ms = u32::from(encoding.packet_step_ms());
        // G.711 and G.722 go in packets of 10 ms, whatever less a peer may say that it bears.
        if frame_ms > 10 && maxptime_ms.is_some_and(|most| most < frame_ms) {
            return None;
        }
        let amr = match encoding {
            Encoding::Amr | Encoding::AmrWb => {
                Some(amr(&format.parameters, encoding, codecs.modes(encoding))?)
            }
            Encoding::Opus if !opus_bears_us(&format.parameters) => return None,
            _ => None,
        };
        Some(Self { payload_type: format.payload_type, encoding, amr })
    }

    /// Whether a payload of the one can be read as one of the other.
    fn packs_like(&self, other: &Self) -> bool {
        let aligned = |format: &Self| format.amr.is_some_and(|amr| amr.octet_aligned);
        self.encoding == other.encoding && aligned(self) == aligned(other)
    }

    /// The value of its `a=fmtp` without the payload type; empty where it needs none.
    pub(super) fn parameters(&self) -> String {
        match (self.encoding, self.amr) {
            // RFC 7587 §6.1: what we could hear of more would be lost.
            (Encoding::Opus, _) => format!("maxplaybackrate={}", Encoding::Opus.sampling_rate_hz()),
            (_, Some(amr)) => amr_parameters(&amr),
            _ => String::new(),
        }
    }
}

/// All formats that we offer, in our order; both ways to pack AMR, as RFC 4867 §8.3.1 wants of who can do both.
pub(super) fn offered(codecs: &Codecs) -> Vec<AudioFormat> {
    let mut formats = Vec::with_capacity(Encoding::ALL.len() + 2);
    for &encoding in &codecs.encodings {
        let mut put = |payload_type, amr| formats.push(AudioFormat { payload_type, encoding, amr });
        match encoding {
            Encoding::Amr => both_ways(encoding, codecs)
                .zip(AMR_PAYLOAD_TYPES)
                .for_each(|(amr, number)| put(number, Some(amr))),
            Encoding::AmrWb => {
                both_ways(encoding, codecs)
                    .zip(AMR_WB_PAYLOAD_TYPES)
                    .for_each(|(amr, number)| put(number, Some(amr)));
            }
            _ => put(encoding.static_payload_type().unwrap_or(OPUS_PAYLOAD_TYPE), None),
        }
    }
    formats
}

fn both_ways(encoding: Encoding, codecs: &Codecs) -> impl Iterator<Item = AmrParameters> {
    let modes = codecs.modes(encoding);
    let named = modes != ModeSet::all(encoding);
    let plain = AmrParameters { modes, named, ..AmrParameters::unrestricted(encoding) };
    [false, true].into_iter().map(move |octet_aligned| AmrParameters { octet_aligned, ..plain })
}

/// The number under which we offered the format that an answer took.
pub(super) fn number_offered(answered: &AudioFormat, codecs: &Codecs) -> Option<u8> {
    offered(codecs).iter().find(|own| own.packs_like(answered)).map(|own| own.payload_type)
}

/// The telephone-event formats that we offer beside those of `offered`: payload type and clock.
pub(super) fn offered_events(codecs: &Codecs) -> impl Iterator<Item = (u8, u32)> {
    EVENT_PAYLOAD_TYPES
        .into_iter()
        .filter(|&(clock, _)| codecs.encodings.iter().any(|encoding| encoding.clock_rate_hz() == clock))
        .map(|(clock, number)| (number, clock))
}

/// The number under which we offer telephone-event of a clock.
pub(super) fn event_number(clock_rate_hz: u32) -> u8 {
    let [(_, usual), ..] = EVENT_PAYLOAD_TYPES;
    EVENT_PAYLOAD_TYPES.iter().find(|(clock, _)| *clock == clock_rate_hz).map_or(usual, |&(_, number)| number)
}

/// The `red` formats that we offer beside those of telephone-event: payload type and clock.
pub(super) fn offered_redundancy(codecs: &Codecs) -> impl Iterator<Item = (u8, u32)> {
    offered_events(codecs).map(|(_, clock)| (redundancy_number(clock), clock))
}

/// The number under which we offer `red` of a clock.
pub(super) fn redundancy_number(clock_rate_hz: u32) -> u8 {
    let [(_, usual), ..] = REDUNDANCY_PAYLOAD_TYPES;
    let of_clock = REDUNDANCY_PAYLOAD_TYPES.iter().find(|(clock, _)| *clock == clock_rate_hz);
    of_clock.map_or(usual, |&(_, number)| number)
}

/// The payload types that an `a=fmtp` of `red` names, as `101/101/0` (RFC 2198 §5); `None` for none.
pub(super) fn redundant_formats(parameters: &str) -> Option<Vec<u8>> {
    let listed: Vec<u8> = parameters.split('/').filter_map(|number| number.trim().parse().ok()).collect();
    Some(listed).filter(|listed| !listed.is_empty())
}

fn is(format: &Format, encoding: Encoding) -> bool {
    format.encoding_name.eq_ignore_ascii_case(encoding.name())
        && format.clock_rate_hz == encoding.clock_rate_hz()
        && format.channels == encoding.channels()
}

/// The parameters of an `a=fmtp`, `name=value` each. Names are compared without regard to case.
fn parameter<'p>(parameters: &'p str, name: &str) -> Option<&'p str> {
    parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// A peer whose decoder takes less than we have encoded gets another format.
fn opus_bears_us(parameters: &str) -> bool {
    let most = parameter(parameters, "maxaveragebitrate").and_then(|value| value.parse::<u32>().ok());
    most.is_none_or(|most| most >= OPUS_BITRATE)
}

/// RFC 4867 §8.1, §8.3.1. Checksums, interleaving and robust sorting are symmetric and not ours, so a format with them is
/// passed over; so is one whose `mode-set` holds a mode that we have not encoded, since it can only be taken whole.
fn amr(parameters: &str, encoding: Encoding, ours: ModeSet) -> Option<AmrParameters> {
    let flag = |name| parameter(parameters, name).is_some_and(|value| value == "1");
    if flag("crc") || flag("robust-sorting") || parameter(parameters, "interleaving").is_some() {
        return None;
    }
    let named = parameter(parameters, "mode-set").filter(|value| !value.is_empty());
    let modes = match named {
        Some(list) => {
            let modes: Option<Vec<u8>> = list.split(',').map(|mode| mode.trim().parse().ok()).collect();
            ModeSet::new(encoding, modes?).filter(|&theirs| ours.includes(theirs))?
        }
        None => ours,
    };
    Some(AmrParameters {
        octet_aligned: flag("octet-align"),
        modes,
        named: named.is_some() || ours != ModeSet::all(encoding),
        change_period: if parameter(parameters, "mode-change-period") == Some("2") { 2 } else { 1 },
        change_neighbor: flag("mode-change-neighbor"),
    })
}

/// What we say of AMR: that we can keep a period, and send nothing twice.
fn amr_parameters(amr: &AmrParameters) -> String {
    let mut text = String::new();
    if amr.named {
        let modes: Vec<String> = amr.modes.modes().map(|mode| mode.to_string()).collect();
        text = format!("mode-set={}; ", modes.join(","));
    }
    if amr.octet_aligned {
        text.push_str("octet-align=1; ");
    }
    text + "mode-change-capability=2; max-red=0"
}
