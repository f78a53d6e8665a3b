//! The network between the service and its callers: it loses, doubles, delays and so reorders datagrams, and has
//! outages.

use crate::chance::Chance;
use std::time::Duration;

/// How the network behaves in one run. Delays stay below T4, the time RFC 3261 grants a message to be under way.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Datagrams lost, in a hundred.
    pub loss: u64,
    /// Datagrams that come twice, in a hundred.
    pub doubling: u64,
    pub delay_max_ms: u64,
    /// When nothing passes, from the start of the run.
    pub outage_ms: Option<(u64, u64)>,
}

impl Weather {
    pub fn of(chance: &mut Chance) -> Self {
        let (loss, doubling, delay_max_ms) = chance.pick(&[
            (0, 0, 20),
            (0, 0, 300),
            (0, 50, 3_000),
            (2, 1, 80),
            (10, 5, 400),
            (25, 20, 900),
            (45, 10, 2_000),
        ]);
        let from = chance.below(60_000);
        let lasts = chance.between(1_000, 50_000);
        let outage_ms = chance.one_in(5).then_some((from, from + lasts));
        Self { loss, doubling, delay_max_ms, outage_ms }
    }

    /// The delays after which a datagram sent `at` from the start arrives: none, one, or two of them.
    pub fn carry(&self, chance: &mut Chance, at: Duration) -> impl Iterator<Item = u64> {
        let at_ms = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let is_out = self.outage_ms.is_some_and(|(from, to)| (from..to).contains(&at_ms));
        let fate = chance.below(100);
        let copies = match () {
            () if is_out || fate < self.loss => 0,
            () if fate < self.loss + self.doubling => 2,
            () => 1,
        };
        let delays = [chance.between(1, self.delay_max_ms), chance.between(1, self.delay_max_ms)];
        delays.into_iter().take(copies)
    }
}
