//! What a neighbour upstream is told of our load (RFC 7339): the share of its new calls that it should keep back.

use std::time::{Duration, Instant};

/// All of a neighbour's calls, in thousandths.
const ALL: u32 = 1_000;
/// What is always asked for, in thousandths: without calls that are let through nobody would learn that the load is
/// over.
const LEAST: u32 = 20;
/// How much more is asked for after a quiet window: a tenth of what was, and two hundredths of all.
const GROWTH_DIVISOR: u32 = 10;
/// The second part of the growth.
const GROWTH_STEP: u32 = 20;
/// Windows after which any loss is made good.
const WINDOWS_TO_FORGET: u32 = 64;

/// The loss asked of one neighbour: of the calls that came in a window, those refused say how much too many they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LossControl {
    window: Duration,
    window_ends: Option<Instant>,
    offered: u32,
    refused: u32,
    /// The share of its calls that the neighbour is asked to send, in thousandths.
    wanted: u32,
}

impl LossControl {
    /// No loss; looks again after each `window`.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, window_ends: None, offered: 0, refused: 0, wanted: ALL }
    }

    /// A new call came, and was admitted or not.
    pub(super) fn offered(&mut self, now: Instant, refused: bool) {
        self.tick(now);
        self.offered = self.offered.saturating_add(1);
        self.refused = self.refused.saturating_add(refused.into());
    }

    /// Closes the windows that are over.
    pub(super) fn tick(&mut self, now: Instant) {
        let ends = *self.window_ends.get_or_insert(now + self.window);
        if now < ends {
            return;
        }
        self.close_window();
        let window_ms = self.window.as_millis().max(1);
        let quiet = u32::try_from((now - ends).as_millis() / window_ms).unwrap_or(u32::MAX);
        for _ in 0..quiet.min(WINDOWS_TO_FORGET) {
            self.close_window();
        }
        self.window_ends = Some(now + self.window);
    }

    fn close_window(&mut self) {
        self.wanted = if self.refused > 0 {
            let admitted = u64::from(self.offered.saturating_sub(self.refused));
            let kept = u64::from(self.wanted) * admitted / u64::from(self.offered.max(1));
            u32::try_from(kept).unwrap_or(ALL).max(LEAST)
        } else {
            (self.wanted + self.wanted / GROWTH_DIVISOR + GROWTH_STEP).min(ALL)
        };
        (self.offered, self.refused) = (0, 0);
    }

    /// The share of its calls that the neighbour is asked to keep back, in hundredths.
    pub(super) fn percent(&self) -> u32 {
        (ALL - self.wanted).div_ceil(ALL / 100)
    }
}

/// What stands in the topmost Via of a response to a neighbour that asked (RFC 7339 §4). A loss of nothing is said with
/// a validity of zero, which ends what was asked before (§4.3). The sequence number is a time in UTC, so that it also
/// grows over a restart (§4.4): ten digits, a point and five more.
pub(super) fn parameters(percent: u32, validity: Duration, at: Duration) -> String {
    let validity_ms = if percent == 0 { 0 } else { validity.as_millis() };
    format!(
        "oc={percent};oc-algo=\"loss\";oc-validity={validity_ms};oc-seq={}.{:05}",
        at.as_secs() % 1_000_000_000_000,
        at.subsec_micros() / 10
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::clock::Clock;

    const WINDOW: Duration = Duration::from_millis(500);

    /// A neighbour that sends `calls` a window, less what it is told, to one who takes `capacity` of them.
    fn run(loss: &mut LossControl, now: &mut Instant, windows: u32, calls: u32, capacity: u32) {
        for _ in 0..windows {
            let sent = calls * (100 - loss.percent()) / 100;
            for number in 0..sent {
                loss.offered(*now, number >= capacity);
            }
            *now += WINDOW;
            loss.tick(*now);
        }
    }

    #[test]
    fn a_neighbour_that_heeds_it_soon_sends_what_is_taken() {
        let (mut loss, mut now) = (LossControl::new(WINDOW), Clock::system().instant());
        assert_eq!(loss.percent(), 0);
        run(&mut loss, &mut now, 20, 1_000, 100);
        // It swings around 90: what is kept back too much comes back in small steps.
        for _ in 0..20 {
            run(&mut loss, &mut now, 1, 1_000, 100);
            assert!((84..=92).contains(&loss.percent()), "{}", loss.percent());
        }
    }

    #[test]
    fn when_the_load_is_over_so_is_the_loss_in_use_or_in_silence() {
        let (mut loss, mut now) = (LossControl::new(WINDOW), Clock::system().instant());
        run(&mut loss, &mut now, 10, 1_000, 0);
        assert_eq!(loss.percent(), 98, "some are always asked for");
        let mut silent = loss.clone();
        run(&mut loss, &mut now, 30, 100, 100);
        assert_eq!(loss.percent(), 0);
        silent.tick(now + WINDOW * 30);
        assert_eq!(silent.percent(), 0);
    }

    #[test]
    fn it_is_written_as_the_grammar_has_it() {
        let at = Duration::from_micros(1_282_321_615_782_190);
        assert_eq!(
            parameters(20, WINDOW, at),
            "oc=20;oc-algo=\"loss\";oc-validity=500;oc-seq=1282321615.78219"
        );
        let none = parameters(0, WINDOW, Duration::from_secs(7));
        assert_eq!(none, "oc=0;oc-algo=\"loss\";oc-validity=0;oc-seq=7.00000");
    }
}
