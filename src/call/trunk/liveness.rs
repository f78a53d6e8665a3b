//! Whether a trunk lives, by its answers to OPTIONS: with hysteresis, so that one lost datagram changes nothing.

/// So many pings in a row without an answer make a trunk down.
const DOWN_AFTER: u32 = 3;
/// So many answers in a row make one that was down up again.
const UP_AFTER: u32 = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Unknown,
    Up,
    Down,
}

/// What is known of a trunk.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    state: State,
    /// Pings in a row that speak against the state.
    against: u32,
}

/// A change, to be told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Down,
}

impl Liveness {
    /// Notes whether a ping was answered.
    pub(super) fn note(&mut self, answered: bool) -> Option<Change> {
        let (needed, next, change) = match (self.state, answered) {
            (State::Up, true) | (State::Down, false) => {
                self.against = 0;
                return None;
            }
            // The first answer at all says enough.
            (State::Unknown, true) => (1, State::Up, Change::Up),
            (State::Down, true) => (UP_AFTER, State::Up, Change::Up),
            (State::Unknown | State::Up, false) => (DOWN_AFTER, State::Down, Change::Down),
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.state = next;
        self.against = 0;
        Some(change)
    }
}

/// Whether an answer to OPTIONS means that the trunk takes calls: 503 says that it does not, and 408 stands for none
/// (RFC 3261 §11.2: the status is that of an INVITE). Any other answer comes from somebody alive.
pub(super) fn is_alive(status: u16) -> bool {
    !matches!(status, 408 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(pings: &str) -> Vec<(usize, Change)> {
        let mut liveness = Liveness::default();
        let noted = pings.chars().enumerate();
        noted.filter_map(|(at, ping)| Some((at, liveness.note(ping == '+')?))).collect()
    }

    #[test]
    fn a_change_needs_several_pings_and_is_told_once() {
        assert_eq!(changes("++++"), [(0, Change::Up)]);
        assert_eq!(changes("-----"), [(2, Change::Down)]);
        assert_eq!(changes("+--+--+--"), [(0, Change::Up)]);
        assert_eq!(changes("+---+-+--++"), [(0, Change::Up), (3, Change::Down), (10, Change::Up)]);
    }

    #[test]
    fn whoever_answers_lives_but_for_one_who_takes_no_calls() {
        assert!(is_alive(200) && is_alive(404) && is_alive(405) && is_alive(401) && is_alive(500));
        assert!(!is_alive(503) && !is_alive(408));
    }
}
