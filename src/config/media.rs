//! `[media]`: RTP.

use super::problem::{Problem, problem, within};
use crate::call::Srtp;
use crate::sdp::{Codecs, Preference, RedundancyPolicy};
use crate::units::amr::ModeSet;
use crate::units::rtp::Encoding;
use serde::Deserialize;
use std::net::IpAddr;

/// Whose order of codecs decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CodecOrder {
    /// The peer's, as RFC 3264 §6.1 recommends.
    Offer,
    /// That of `media.codecs`.
    Ours,
}

/// `[media]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// First and last UDP port for RTP; `[0, 0]` lets the system choose.
    pub rtp_ports: [u16; 2],
    /// How long a port rests before the next call gets it, ms.
    pub port_quarantine_ms: u64,
    /// Worker threads.
    pub workers: usize,
    /// Codecs by their names in session descriptions, in order of preference. Prompts are kept in each of them.
    pub codecs: Vec<String>,
    /// Whose order decides when an offer names several of them.
    pub codec_order: CodecOrder,
    /// Modes of AMR that prompts are kept in.
    pub amr_modes: Vec<u8>,
    /// Modes of AMR-WB that prompts are kept in.
    pub amr_wb_modes: Vec<u8>,
    /// Whether RTCP is sent and read: what both streams lose, and how evenly they come.
    pub rtcp: bool,
    /// Whether media is encrypted.
    pub srtp: Srtp,
    /// Whether browsers may call: keys by DTLS, the path by ICE.
    pub webrtc: bool,
    /// Silence before the first prompt, ms, so that its beginning is not clipped.
    pub initial_silence_ms: u16,
    /// A prompt that follows silence begins at once, up to one packet length before the stream's step.
    pub begin_at_once: bool,
    /// Let the kernel drop audio that nobody listens to, but for a sample.
    pub sample_audio: bool,
    /// A call without any RTP from the caller for this long is ended, s; 0 never ends it.
    pub rtp_timeout_s: u64,
    /// Callers behind NAT: follow the first valid packet's address once.
    pub nat: bool,
    /// Read keys from tones in the audio of calls whose session description agrees on no telephone-event.
    pub in_band_keys: bool,
    /// Agree to redundant payloads (RFC 2198) where a peer offers them for keys.
    pub redundancy: bool,
    /// Address that callers send RTP to, when it is not the one the INVITE arrived at (NAT).
    pub advertise: Option<IpAddr>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            rtp_ports: [0, 0],
            port_quarantine_ms: 5000,
            workers: 1,
            codecs: ["G722", "PCMA", "PCMU"].map(str::to_owned).to_vec(),
            codec_order: CodecOrder::Offer,
            amr_modes: ModeSet::all(Encoding::Amr).modes().collect(),
            amr_wb_modes: ModeSet::all(Encoding::AmrWb).modes().collect(),
            rtcp: true,
            srtp: Srtp::default(),
            webrtc: false,
            initial_silence_ms: 300,
            begin_at_once: true,
            sample_audio: true,
            rtp_timeout_s: 0,
            nat: false,
            in_band_keys: true,
            redundancy: true,
            advertise: None,
        }
    }
}

impl Media {
    /// What calls can be held in.
    pub fn codecs(&self) -> Codecs {
        let all = |encoding| ModeSet::all(encoding);
        let modes = |encoding, modes: &[u8]| ModeSet::new(encoding, modes.iter().copied());
        Codecs {
            encodings: self.codecs.iter().filter_map(|name| Encoding::named(name)).collect(),
            preference: match self.codec_order {
                CodecOrder::Offer => Preference::Offered,
                CodecOrder::Ours => Preference::Ours,
            },
            // Both were checked when they were read.
            amr_modes: modes(Encoding::Amr, &self.amr_modes).unwrap_or(all(Encoding::Amr)),
            amr_wb_modes: modes(Encoding::AmrWb, &self.amr_wb_modes).unwrap_or(all(Encoding::AmrWb)),
        }
    }

    /// What is made of redundant payloads that a peer offers.
    pub fn redundancy(&self) -> RedundancyPolicy {
        if self.redundancy { RedundancyPolicy::Answered } else { RedundancyPolicy::Refused }
    }

    fn check_codecs(&self, found: &mut Vec<Problem>) {
        let names = Encoding::ALL.map(Encoding::name).join(", ");
        if self.codecs.is_empty() {
            problem(
                found,
                "media.codecs",
                "no codec, so no call would be answered",
                "write [\"PCMA\", \"PCMU\"]",
            );
        }
        let mut seen = Vec::new();
        for name in &self.codecs {
            match Encoding::named(name) {
                None => {
                    problem(
                        found,
                        "media.codecs",
                        &format!("`{name}` is not known"),
                        &format!("choose among {names}"),
                    );
                }
                Some(encoding) if !encoding.is_built() => {
                    let feature = if encoding == Encoding::Opus { "opus" } else { "amr" };
                    problem(
                        found,
                        "media.codecs",
                        &format!("`{name}` is not part of this build"),
                        &format!("build with `--features {feature}`, or leave it out"),
                    );
                }
                Some(encoding) if seen.contains(&encoding) => {
                    problem(
                        found,
                        "media.codecs",
                        &format!("`{name}` is there twice"),
                        "name each codec once",
                    );
                }
                Some(encoding) => seen.push(encoding),
            }
        }
        for (key, encoding, modes) in [
            ("media.amr_modes", Encoding::Amr, &self.amr_modes),
            ("media.amr_wb_modes", Encoding::AmrWb, &self.amr_wb_modes),
        ] {
            if ModeSet::new(encoding, modes.iter().copied()).is_none() {
                let most = ModeSet::all(encoding).modes().next_back().unwrap_or(0);
                problem(
                    found,
                    key,
                    &format!("{modes:?} are no modes of {}", encoding.name()),
                    &format!("write one or more of 0 to {most}"),
                );
            }
        }
    }

    pub(super) fn check(&self, has_certificate: bool, found: &mut Vec<Problem>) {
        self.check_codecs(found);
        if self.webrtc && !has_certificate {
            problem(
                found,
                "media.webrtc",
                "no call can come over TLS, and without TLS no browser's fingerprint is believed",
                "set `tls.certificate` and `tls.key`, and listen on \"wss:\" in sip.listen",
            );
        }
        let [first, last] = self.rtp_ports;
        let shown = format!("[{first}, {last}]");
        match (first, last) {
            (0, 0) => {}
            (0, _) | (_, 0) => {
                problem(
                    found,
                    "media.rtp_ports",
                    &format!("{shown} has one port 0"),
                    "write two ports, or [0, 0] to let the system choose",
                );
            }
            _ if first > last => {
                problem(
                    found,
                    "media.rtp_ports",
                    &format!("{shown} ends before it begins"),
                    &format!("write [{last}, {first}]"),
                );
            }
            _ if first < 1024 => {
                problem(
                    found,
                    "media.rtp_ports",
                    &format!("{shown} begins among the privileged ports"),
                    "begin at 1024 or above",
                );
            }
            _ if first == last && first % 2 == 1 => {
                problem(
                    found,
                    "media.rtp_ports",
                    &format!("{shown} has no even port, and RTP uses those (RFC 3550 §11)"),
                    &format!("write [{}, {last}] or a longer range", first - 1),
                );
            }
            _ => {}
        }
        if self.advertise.is_some_and(|address| address.is_unspecified() || address.is_multicast()) {
            problem(
                found,
                "media.advertise",
                "not an address that RTP can be sent to",
                "write the address callers reach, like \"192.0.2.1\"",
            );
        }
        within(found, "media.workers", self.workers, 1, 256);
        within(found, "media.initial_silence_ms", self.initial_silence_ms, 0, 5000);
        within(found, "media.port_quarantine_ms", self.port_quarantine_ms, 0, 600_000);
        within(found, "media.rtp_timeout_s", self.rtp_timeout_s, 0, 86_400);
    }
}
