//! `[recording]`: what callers heard and pressed.

use super::problem::{Problem, problem, within};
use crate::call::Peer;
use crate::recording::{Calls, Settings};

pub(super) fn check(recording: &Settings, peers: &[Peer], found: &mut Vec<Problem>) {
    if recording.calls != Calls::None && !recording.is_on() {
        problem(
            found,
            "recording.calls",
            "recordings would lie unencrypted on the disk",
            "make a key with `openssl rand -hex 32`, and name its file in recording.key_file; or write unencrypted = true",
        );
    }
    if recording.key_file.is_some() && recording.unencrypted {
        problem(
            found,
            "recording.unencrypted",
            "there is a key as well",
            "leave out unencrypted to encrypt, or key_file not to",
        );
    }
    for name in recording.peers.iter().filter(|name| !peers.iter().any(|peer| peer.name == **name)) {
        problem(
            found,
            "recording.peers",
            &format!("`{}` is no peer", name.escape_debug()),
            "write the names that stand in [[peers]]",
        );
    }
    if ![8_000, 16_000].contains(&recording.rate_hz) {
        problem(
            found,
            "recording.rate_hz",
            &format!("{} is no rate of recordings", recording.rate_hz),
            "write 8000 or 16000",
        );
    }
    within(found, "recording.max_call_s", recording.max_call_s, 10, 86_400);
    within(found, "recording.max_calls", recording.max_calls, 1, 10_000);
    within(found, "recording.max_octets", recording.max_octets, 1 << 16, 1 << 50);
    within(found, "recording.keep_days", recording.keep_days, 1, 3_650);
}
