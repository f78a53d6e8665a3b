//! `[media]`: RTP.

use super::problem::{Problem, problem, within};
use serde::Deserialize;
use std::net::IpAddr;

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
    /// Address that callers send RTP to, when it is not the one the INVITE arrived at (NAT).
    pub advertise: Option<IpAddr>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            rtp_ports: [0, 0],
            port_quarantine_ms: 5000,
            workers: 1,
            initial_silence_ms: 300,
            begin_at_once: true,
            sample_audio: true,
            rtp_timeout_s: 0,
            nat: false,
            advertise: None,
        }
    }
}

impl Media {
    pub(super) fn check(&self, found: &mut Vec<Problem>) {
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
