//! `klikon call --rate`: many calls, and what came of them.

use crate::call::load::{self, Histogram, LoadSettings, SharedTally, Tally};
use crate::units::clock::Clock;
use anyhow::{Context, bail};
use std::fmt::Write;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);

/// Makes the calls, tells how far they are, and judges.
pub(super) async fn run(settings: LoadSettings) -> anyhow::Result<()> {
    let clock = Clock::system();
    let (stop, stopped) = watch::channel(false);
    let tally = SharedTally::default();
    let began = clock.instant();
    let calling = load::run(&settings, tally.clone(), clock, stopped);
    tokio::pin!(calling);
    let mut progress = tokio::time::interval(PROGRESS);
    progress.tick().await;
    // One stream for all of them: what came between two would be lost.
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut interrupts = 0;
    loop {
        tokio::select! {
            outcome = &mut calling => break outcome?,
            _ = progress.tick() => eprintln!("{}", line(&tally.read(), (clock.instant() - began).as_secs())),
            _ = interrupted.recv() => {
                interrupts += 1;
                if interrupts > 1 {
                    break;
                }
                eprintln!("klikon: ends the calls under way; Ctrl-C again leaves them");
                stop.send_replace(true);
            }
        }
    }
    let (tally, took) = (tally.read(), clock.instant() - began);
    print!("{}", report(&tally, took));
    if interrupts > 0 {
        bail!("interrupted after {} of {} calls", tally.started, settings.calls);
    }
    if !tally.is_whole(settings.calls) {
        bail!(
            "{} of {} calls were not answered and ended in good order",
            settings.calls - tally.completed,
            settings.calls
        );
    }
    Ok(())
}

fn line(tally: &Tally, second: u64) -> String {
    format!(
        "{second:4} s  {} started, {} answered, {} failed, {} under way",
        tally.started,
        tally.answered,
        tally.failed(),
        tally.under_way()
    )
}

fn report(tally: &Tally, took: Duration) -> String {
    let mut report = format!(
        "{} calls in {:.1} s: {} answered, {} ended in good order, {} failed\n",
        tally.started,
        took.as_secs_f64(),
        tally.answered,
        tally.completed,
        tally.failed()
    );
    for (status, count) in &tally.refused {
        let _ = writeln!(report, "  {count} failed with {status}");
    }
    for (count, what) in [
        (tally.unsent, "could not be sent"),
        (tally.broken, "broke off after they were answered"),
        (tally.abandoned, "were given up before they were answered"),
        (tally.under_way(), "were left under way"),
    ] {
        if count > 0 {
            let _ = writeln!(report, "  {count} {what}");
        }
    }
    let _ =
        writeln!(report, "{:24}{:>10}{:>10}{:>10}{:>10}{:>10}", "ms", "count", "p50", "p90", "p99", "max");
    for (name, histogram) in [
        ("INVITE to 100", &tally.trying),
        ("INVITE to ring or answer", &tally.post_dial),
        ("INVITE to 200", &tally.answer),
        ("BYE to 200", &tally.bye),
    ] {
        let _ = writeln!(report, "{name:24}{:>10}{}", histogram.len(), percentiles(histogram));
    }
    report
}

fn percentiles(histogram: &Histogram) -> String {
    let durations =
        [histogram.percentile(50), histogram.percentile(90), histogram.percentile(99), histogram.longest()];
    durations.iter().fold(String::new(), |mut text, duration| {
        let _ = write!(text, "{:>10.2}", duration.as_secs_f64() * 1000.0);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_failed_and_how_long_things_took() {
        let mut tally = Tally { started: 12, answered: 10, completed: 9, broken: 1, ..Tally::default() };
        tally.refused.insert(503, 2);
        for ms in 1..=100 {
            tally.answer.count(Duration::from_millis(ms));
        }
        let report = report(&tally, Duration::from_secs(2));
        let expected = "\
12 calls in 2.0 s: 10 answered, 9 ended in good order, 2 failed
  2 failed with 503
  1 broke off after they were answered
ms                           count       p50       p90       p99       max
INVITE to 100                    0      0.00      0.00      0.00      0.00
INVITE to ring or answer         0      0.00      0.00      0.00      0.00
INVITE to 200                  100     50.17     90.11     99.33    100.00
BYE to 200                       0      0.00      0.00      0.00      0.00
";
        assert_eq!(report, expected);
        assert_eq!(line(&tally, 2), "   2 s  12 started, 10 answered, 2 failed, 0 under way");
    }
}
