//! The keys that wait to be read (type-ahead), and the one that is down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Keys kept before a node reads them; what is keyed beyond is dropped. Twice the longest telephone number.
pub const MAX_TYPE_AHEAD: usize = 32;

/// Type-ahead, and the key that is down.
#[derive(Debug, Default)]
pub(super) struct Keys {
    waiting: VecDeque<char>,
    down: Option<Down>,
    /// An entry ended without its termchar: one that still comes until then belongs to it.
    stray: Option<(char, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Down {
    since: Instant,
    /// Began where keys are dropped: does not count when it ends.
    dropped: bool,
}

impl Keys {
    /// A key went down.
    pub(super) fn began(&mut self, now: Instant, dropped: bool) {
        self.down = Some(Down { since: now, dropped });
    }

    /// A key was released: whether it counts.
    pub(super) fn ended(&mut self, now: Instant, key: char) -> bool {
        let counts = self.down.take().is_none_or(|down| !down.dropped);
        let stray = self.stray.take().is_some_and(|(termchar, until)| termchar == key && now <= until);
        counts && !stray
    }

    /// Since when the key that is down is down.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.down.map(|down| down.since)
    }

    /// Whether a key is down that will not count.
    pub(super) fn dropping(&self) -> bool {
        self.down.is_some_and(|down| down.dropped)
    }

    /// A termchar within that time of now still belongs to the entry just ended.
    pub(super) fn expect_stray(&mut self, now: Instant, termchar: Option<char>, within: Duration) {
        self.stray = termchar.map(|termchar| (termchar, now + within));
    }

    /// Drops the type-ahead and the key that is down.
    pub(super) fn drop_all(&mut self) {
        self.waiting.clear();
        if let Some(down) = &mut self.down {
            down.dropped = true;
        }
    }

    pub(super) fn push(&mut self, key: char) {
        if self.waiting.len() < MAX_TYPE_AHEAD {
            self.waiting.push_back(key);
        }
    }

    pub(super) fn pop(&mut self) -> Option<char> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_keys_and_no_more_than_its_limit() {
        let mut keys = Keys::default();
        for n in 0..100_u32 {
            keys.push(char::from_digit(n % 10, 10).unwrap());
        }
        let kept: String = std::iter::from_fn(|| keys.pop()).collect();
        assert_eq!(kept, "01234567890123456789012345678901");
        assert_eq!(kept.len(), MAX_TYPE_AHEAD);
    }
}
