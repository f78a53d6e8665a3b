//! Which keys of the stream are keys of the dialogue.

use super::event::Outbox;
use super::playout::Playout;
use super::telephone_event::Key;
use std::time::Instant;

/// Lets keys pass, whole presses only: one that began while the gate was shut does not count when it ends, and one that
/// began while it was open does.
#[derive(Debug, Default)]
pub struct KeyGate {
    /// The caller cannot both hear and be heard.
    on_hold: bool,
    /// Keys come by another way than the stream.
    elsewhere: bool,
    /// The key that is down began while the gate was shut.
    keeping_out: bool,
}

impl KeyGate {
    /// Shuts while the caller is on hold.
    pub fn set_on_hold(&mut self, on_hold: bool) {
        self.on_hold = on_hold;
    }

    /// Shuts for as long as keys come by another way.
    pub fn set_elsewhere(&mut self, elsewhere: bool) {
        self.elsewhere = elsewhere;
    }

    /// Whether keys come by another way.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// Hands on a key that counts; one that goes down stops what plays, where that may be stopped.
    pub fn pass(&mut self, now: Instant, key: Key, playout: &mut Playout, out: &mut Outbox<'_>) {
        if !self.admits(key) {
            return;
        }
        if let Key::Began(_) = key {
            playout.barge_in(|done| out.done(done));
        }
        out.key(now, key);
    }

    /// Whether what the stream says of a key is to be reported.
    fn admits(&mut self, key: Key) -> bool {
        match key {
            Key::Began(_) => {
                self.keeping_out = self.on_hold || self.elsewhere;
                !self.keeping_out
            }
            Key::Ended(_) => !std::mem::take(&mut self.keeping_out),
        }
    }
}
