//! Named points at which a test ends the program, or stops it, as a crash would: between the key that confirms and the end
//! of delivery. Debug builds only; in a release build [`Failpoint::reached`] is empty and nothing of this is left.
//!
//! `KLIKON_FAILPOINT=hold-after-commit` kills the process with SIGKILL where that point is reached, without any cleaning up;
//! `hold-after-commit:3` the third time; `stop@hold-after-commit` stops it there with SIGSTOP, so that a tester can act and
//! then let it go on (SIGCONT) or kill it.

/// A point, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failpoint(&'static str);

/// The caller has confirmed; nothing is written yet.
pub const BEFORE_ATTEMPT: Failpoint = Failpoint("before-attempt");
/// The attempt's row is written, not committed.
pub const ATTEMPT_BEFORE_COMMIT: Failpoint = Failpoint("attempt-before-commit");
/// The attempt is on record; the transaction of the hold has not begun.
pub const AFTER_ATTEMPT: Failpoint = Failpoint("after-attempt");
/// The activation and its pending transfers are written; its outbox rows are not.
pub const AFTER_HOLD_ROWS: Failpoint = Failpoint("after-hold-rows");
/// Everything of the hold is written, not committed.
pub const HOLD_BEFORE_COMMIT: Failpoint = Failpoint("hold-before-commit");
/// The hold is committed; the call does not know.
pub const HOLD_AFTER_COMMIT: Failpoint = Failpoint("hold-after-commit");
/// Delivery is about to ask what is due.
pub const BEFORE_OUTBOX_CLAIM: Failpoint = Failpoint("before-outbox-claim");
/// Delivery knows that something is due, and has done nothing about it.
pub const AFTER_OUTBOX_CLAIM: Failpoint = Failpoint("after-outbox-claim");
/// A file for the network or the SMS gateway is about to be written.
pub const BEFORE_PEER_TOLD: Failpoint = Failpoint("before-peer-told");
/// It is written aside, and the other side cannot see it yet.
pub const PEER_HALF_TOLD: Failpoint = Failpoint("peer-half-told");
/// The other side can have it; the outbox does not say so.
pub const AFTER_PEER_TOLD: Failpoint = Failpoint("after-peer-told");
/// The outbox rows of a pass are marked as sent, not committed.
pub const MARK_SENT_BEFORE_COMMIT: Failpoint = Failpoint("mark-sent-before-commit");
/// They are sent, and that is committed.
pub const AFTER_MARK_SENT: Failpoint = Failpoint("after-mark-sent");
/// The network's answer is read; nothing is settled.
pub const BEFORE_SETTLEMENT: Failpoint = Failpoint("before-settlement");
/// The settlement, its transfers and the texts of the SMS are written, not committed.
pub const SETTLEMENT_BEFORE_COMMIT: Failpoint = Failpoint("settlement-before-commit");
/// The settlement is committed; nobody was told.
pub const SETTLEMENT_AFTER_COMMIT: Failpoint = Failpoint("settlement-after-commit");
/// Who waits was told; the network's answer still lies where it was dropped.
pub const BEFORE_ANSWER_SHELVED: Failpoint = Failpoint("before-answer-shelved");
/// The network's answer is put away; its order is not.
pub const ANSWER_HALF_SHELVED: Failpoint = Failpoint("answer-half-shelved");
/// Both are put away.
pub const AFTER_ANSWER_SHELVED: Failpoint = Failpoint("after-answer-shelved");

impl Failpoint {
    /// All there are, in the order of a call that books.
    pub const ALL: [Self; 19] = [
        BEFORE_ATTEMPT,
        ATTEMPT_BEFORE_COMMIT,
        AFTER_ATTEMPT,
        AFTER_HOLD_ROWS,
        HOLD_BEFORE_COMMIT,
        HOLD_AFTER_COMMIT,
        BEFORE_OUTBOX_CLAIM,
        AFTER_OUTBOX_CLAIM,
        BEFORE_PEER_TOLD,
        PEER_HALF_TOLD,
        AFTER_PEER_TOLD,
        MARK_SENT_BEFORE_COMMIT,
        AFTER_MARK_SENT,
        BEFORE_SETTLEMENT,
        SETTLEMENT_BEFORE_COMMIT,
        SETTLEMENT_AFTER_COMMIT,
        BEFORE_ANSWER_SHELVED,
        ANSWER_HALF_SHELVED,
        AFTER_ANSWER_SHELVED,
    ];

    /// As the environment names it.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// Ends or stops the program here, if the environment asks for that.
    #[inline(always)]
    pub fn reached(self) {
        #[cfg(debug_assertions)]
        armed::reached(self.0);
    }
}

#[cfg(debug_assertions)]
mod armed {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// What names the point.
    const VARIABLE: &str = "KLIKON_FAILPOINT";

    /// The one point that does something.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Armed {
        pub(super) name: String,
        pub(super) nth: u32,
        pub(super) stops: bool,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    static TIMES: AtomicU32 = AtomicU32::new(0);

    pub(super) fn reached(name: &str) {
        let armed = ARMED.get_or_init(|| parse(&std::env::var(VARIABLE).ok()?));
        let Some(armed) = armed.as_ref().filter(|armed| armed.name == name) else { return };
        if TIMES.fetch_add(1, Ordering::Relaxed) + 1 != armed.nth {
            return;
        }
        eprintln!("klikon: at the failpoint {name}");
        let sent = kill_process(getpid(), if armed.stops { Signal::STOP } else { Signal::KILL });
        // Another thread may be the one that takes the signal: this one goes no further before. Then all stop, each where it
        // comes back from the kernel.
        while stop_is_pending() {
            std::thread::yield_now();
        }
        // Where the system would not let a process kill itself the test must see that nothing happened.
        debug_assert!(armed.stops && sent.is_ok(), "{name}: still alive, {sent:?}");
    }

    /// Whether no thread has taken SIGSTOP yet (`ShdPnd` of proc(5)).
    fn stop_is_pending() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let pending = pending.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
        pending.is_some_and(|mask| mask & (1 << (Signal::STOP.as_raw() - 1)) != 0)
    }

    pub(super) fn parse(text: &str) -> Option<Armed> {
        let (stops, text) = match text.strip_prefix("stop@") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let known = super::Failpoint::ALL.iter().any(|point| point.0 == name);
        match nth.parse() {
            Ok(nth) if known && nth > 0 => Some(Armed { name: name.to_owned(), nth, stops }),
            _ => {
                eprintln!("klikon: {VARIABLE}: no failpoint `{text}`");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::armed::{Armed, parse};
    use super::*;

    #[test]
    fn the_environment_names_a_point_how_often_and_what_happens_there() {
        let armed = |nth, stops| Some(Armed { name: "after-hold-rows".to_owned(), nth, stops });
        assert_eq!(parse("after-hold-rows"), armed(1, false));
        assert_eq!(parse("stop@after-hold-rows:3"), armed(3, true));
        for bad in ["", "nowhere", "after-hold-rows:0", "after-hold-rows:x", "stop@"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_name_is_another() {
        let names: std::collections::BTreeSet<_> = Failpoint::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Failpoint::ALL.len());
    }

    /// Compiled as a release build is, this file needs neither the environment nor a signal, and holds no name.
    #[test]
    fn a_release_build_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("failpoint.o");
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/units/failpoint.rs");
        let compiled =
            std::process::Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()))
                .args([
                    "--edition",
                    "2024",
                    "--crate-type",
                    "lib",
                    "--emit",
                    "obj",
                    "-O",
                    "-C",
                    "debug-assertions=off",
                ])
                .arg("-o")
                .arg(&object)
                .arg(&source)
                .output()
                .unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let octets = std::fs::read(&object).unwrap();
        let holds = |text: &str| octets.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!holds("KLIKON_FAILPOINT") && !Failpoint::ALL.iter().any(|point| holds(point.name())));
    }
}
