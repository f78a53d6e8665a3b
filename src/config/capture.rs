//! `[capture]` and `[trace]`: who else sees the SIP messages.

use super::problem::{Problem, problem, within};
use crate::capture::{HomerSettings, TraceSettings};

/// The most octets of a key: it goes with every packet.
const MAX_AUTH_KEY_OCTETS: usize = 256;

pub(super) fn check_capture(capture: &HomerSettings, found: &mut Vec<Problem>) {
    let octets = capture.auth_key.as_ref().map(|key| key.octets().len());
    if octets.is_some_and(|octets| !(1..=MAX_AUTH_KEY_OCTETS).contains(&octets)) {
        problem(
            found,
            "capture.auth_key",
            "it is empty or too long",
            &format!("write 1 to {MAX_AUTH_KEY_OCTETS} octets, or leave the key out"),
        );
    }
}

pub(super) fn check_trace(trace: &TraceSettings, found: &mut Vec<Problem>) {
    within(found, "trace.calls", trace.calls, 0, 100_000);
    within(found, "trace.max_octets_a_call", trace.max_octets_a_call, 4096, 16 << 20);
    within(found, "trace.max_octets", trace.max_octets, trace.max_octets_a_call, 4 << 30);
}
