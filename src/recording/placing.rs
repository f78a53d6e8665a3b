//! Where in a recording a packet of the caller's belongs.

/// A packet may come so much before its place by the timestamps; more, and the first one was late: ms.
const EARLY_MS: i64 = 20;
/// All packets of a while may come so much after their places; more, and the caller's clock is slow: ms.
const LATE_MS: i64 = 40;
/// That while, ms.
const WATCHED_MS: i64 = 5_000;
/// A timestamp that is so far off is of another run, ms.
const JUMP_MS: i64 = 2_000;

/// Places packets by their timestamps, and holds these to the time at which packets come: the caller's clock may run
/// faster or slower than ours, and its first packet may have come late.
#[derive(Debug)]
pub struct Placing {
    rate_hz: i64,
    run: Option<Run>,
}

/// Timestamps that follow each other. Places and times are in samples of the recording.
#[derive(Debug)]
struct Run {
    ssrc: u32,
    clock_rate_hz: u32,
    timestamp: u32,
    /// Of that timestamp, since the run's beginning.
    units: i64,
    /// The place of the run's beginning.
    base: i64,
    /// How late the least late packet came since `since`.
    least: i64,
    since: i64,
}

impl Placing {
    /// For a recording of so many samples a second.
    pub fn new(rate_hz: u32) -> Self {
        Self { rate_hz: rate_hz.into(), run: None }
    }

    /// The sample at which a packet that came at `arrival` begins.
    pub fn place(&mut self, arrival: i64, ssrc: u32, timestamp: u32, clock_rate_hz: u32) -> i64 {
        let samples = |ms: i64| ms * self.rate_hz / 1_000;
        let rate_hz = self.rate_hz;
        let of_run = |run: &&mut Run| run.ssrc == ssrc && run.clock_rate_hz == clock_rate_hz;
        if let Some(run) = self.run.as_mut().filter(of_run) {
            let step = i64::from(timestamp.wrapping_sub(run.timestamp).cast_signed());
            let units = run.units + step;
            let place = run.base + units * rate_hz / i64::from(clock_rate_hz.max(1));
            let late = arrival - place;
            // One that is older than the newest was sent before it, however late it comes.
            if late.abs() <= samples(JUMP_MS) || step < 0 && late > 0 && late < samples(15 * JUMP_MS) {
                if step > 0 {
                    (run.timestamp, run.units) = (timestamp, units);
                }
                return place
                    + run.correct(arrival, late, samples(EARLY_MS), samples(LATE_MS), samples(WATCHED_MS));
            }
        }
        let run =
            Run { ssrc, clock_rate_hz, timestamp, units: 0, base: arrival, least: i64::MAX, since: arrival };
        self.run = Some(run);
        arrival
    }
}

impl Run {
    /// Moves the run where it is off; by how much.
    fn correct(&mut self, arrival: i64, late: i64, most_early: i64, most_late: i64, watched: i64) -> i64 {
        if late < -most_early {
            self.base += late;
            (self.least, self.since) = (i64::MAX, arrival);
            return late;
        }
        self.least = self.least.min(late);
        if arrival - self.since < watched {
            return 0;
        }
        let least = std::mem::replace(&mut self.least, i64::MAX);
        self.since = arrival;
        if least > most_late {
            self.base += least;
            return least;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Milliseconds as samples of 8,000 a second.
    const MS: i64 = 8;

    #[test]
    fn jitter_and_order_change_no_place() {
        let mut placing = Placing::new(8_000);
        assert_eq!(placing.place(1_000, 7, u32::MAX - 100, 8_000), 1_000);
        for (number, late_ms) in [(1_u32, 0), (3, 5), (2, 90), (4, 180), (5, -10), (3, 400)] {
            let wanted = 1_000 + i64::from(number) * 160;
            let timestamp = (u32::MAX - 100).wrapping_add(number * 160);
            assert_eq!(placing.place(wanted + late_ms * MS, 7, timestamp, 8_000), wanted, "{number}");
        }
    }

    #[test]
    fn a_first_packet_that_came_late_is_made_good() {
        let mut placing = Placing::new(8_000);
        placing.place(800, 7, 0, 8_000);
        // All others come 100 ms earlier by their timestamps than the first did.
        for number in 1..50_u32 {
            let arrival = i64::from(number) * 160;
            let place = placing.place(arrival, 7, number * 160, 8_000);
            assert!((place - arrival).abs() <= EARLY_MS * MS, "{number}: {place}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_held_within_bounds() {
        for per_mille in [-10, -1, 1, 10] {
            let mut placing = Placing::new(8_000);
            for number in 0..15_000_i64 {
                let arrival = number * 160 * (1_000 + per_mille) / 1_000;
                let place = placing.place(arrival, 7, (number * 160) as u32, 8_000);
                let off_ms = (place - arrival) / MS;
                assert!(
                    (-150..=EARLY_MS).contains(&off_ms),
                    "{per_mille}: packet {number} is {off_ms} ms off"
                );
            }
        }
    }

    #[test]
    fn another_run_begins_where_it_comes_and_a_straggler_goes_where_it_was_sent() {
        let mut placing = Placing::new(16_000);
        assert_eq!(placing.place(0, 7, 100_000_000, 48_000), 0);
        assert_eq!(placing.place(320, 7, 100_000_960, 48_000), 320);
        assert_eq!(placing.place(700, 7, 9, 48_000), 700, "a jump");
        assert_eq!(placing.place(1_000, 8, 9, 8_000), 1_000, "another source");
        assert_eq!(placing.place(100_000, 8, 9 + 49_500, 8_000), 100_000, "a silence");
        // Sent three seconds before the newest, and heard only now.
        assert_eq!(placing.place(100_000, 8, 9 + 49_500 - 24_000, 8_000), 52_000);
    }

    proptest! {
        #[test]
        fn nothing_panics(packets in proptest::collection::vec((0..1_000_000_i64, 0..3_u32, any::<u32>()), 0..50)) {
            let mut placing = Placing::new(16_000);
            for (arrival, ssrc, timestamp) in packets {
                placing.place(arrival, ssrc, timestamp, 48_000);
            }
        }
    }
}
