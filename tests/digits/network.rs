//! The network between a caller and the service.

use rand::RngExt;
use rand::rngs::StdRng;

/// Packets that a burst of losses takes, on the average.
const BURST: f64 = 4.0;

/// What is lost.
#[derive(Debug, Clone, Copy)]
pub struct Loss {
    /// Of a hundred packets.
    pub percent: f64,
    pub in_bursts: bool,
}

/// How packets come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delay {
    /// All equally late.
    Even,
    /// Up to 200 ms late and never one before another, as behind a queue.
    Queue,
    /// One in twenty is overtaken by up to three others, and one in twenty comes twice.
    Overtaking,
    /// Each up to 200 ms late, whatever the others are, and one in twenty comes twice.
    Storm,
}

/// Which of the packets sent arrive, and when: places in `sent_at_ms`, with the time of each in ms, in the order that they come in.
pub fn carry(random: &mut StdRng, loss: Loss, delay: Delay, sent_at_ms: &[u32]) -> Vec<(u32, usize)> {
    let mut arrivals = Vec::new();
    let mut is_in_burst = false;
    let mut queue_until_ms = 0;
    for (place, &at_ms) in sent_at_ms.iter().enumerate() {
        if is_lost(random, loss, &mut is_in_burst) {
            continue;
        }
        let copies = match delay {
            Delay::Overtaking | Delay::Storm => 1 + usize::from(random.random_range(0..20) == 0),
            Delay::Even | Delay::Queue => 1,
        };
        for _ in 0..copies {
            let arrives_ms = match delay {
                Delay::Even => at_ms,
                Delay::Queue => {
                    queue_until_ms = queue_until_ms.max(at_ms + random.random_range(0..=200));
                    queue_until_ms
                }
                Delay::Overtaking if random.random_range(0..20) == 0 => at_ms + random.random_range(1..=60),
                Delay::Overtaking => at_ms,
                Delay::Storm => at_ms + random.random_range(0..=200),
            };
            arrivals.push((arrives_ms, place));
        }
    }
    arrivals.sort_by_key(|&(at_ms, _)| at_ms);
    arrivals
}

/// Of bursts after the model of Gilbert: everything is lost in them and nothing between them.
fn is_lost(random: &mut StdRng, loss: Loss, is_in_burst: &mut bool) -> bool {
    let share = loss.percent / 100.0;
    if !loss.in_bursts {
        return random.random_bool(share);
    }
    let leaves = 1.0 / BURST;
    let enters = leaves * share / (1.0 - share);
    *is_in_burst = random.random_bool(if *is_in_burst { 1.0 - leaves } else { enters });
    *is_in_burst
}
