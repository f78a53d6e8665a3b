//! How the peer's stream comes, for our report blocks (RFC 3550 §6.4.1, §A.3, §A.8).

use super::NtpTimestamp;
use super::packet::{ReportBlock, SenderInformation};
use std::time::{Duration, Instant};

/// One source of the peer, as far as reports need it.
#[derive(Debug, Clone, Default)]
pub struct Reception {
    source: Option<Source>,
    /// What was lost before this source, and what of it the last report said was lost and expected.
    lost_before: u64,
    reported: (u64, u64),
    /// The peer's last sender report, and when it came.
    sender_report: Option<(NtpTimestamp, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    ssrc: u32,
    /// The first sequence number that came.
    first: u16,
    /// With the count of its rollovers above it.
    highest: u32,
    /// The last packet's arrival and timestamp.
    last: (Instant, u32),
    /// In 16ths of a unit of the payload's clock.
    jitter: u64,
}

impl Reception {
    /// A packet was taken. `clock_rate_hz` is the payload's.
    pub fn packet(&mut self, now: Instant, ssrc: u32, sequence: u16, timestamp: u32, clock_rate_hz: u32) {
        let source = match &mut self.source {
            Some(source) if source.ssrc == ssrc => source,
            _ => {
                let (highest, last) = (sequence.into(), (now, timestamp));
                self.lost_before = self.lost_before.saturating_add(self.reported.0);
                self.reported = (0, 0);
                self.source = Some(Source { ssrc, first: sequence, highest, last, jitter: 0 });
                return;
            }
        };
        let ahead = sequence.wrapping_sub(source.highest as u16).cast_signed();
        if ahead > 0 {
            source.highest = source.highest.wrapping_add(u32::from(ahead.cast_unsigned()));
        }
        let (before, timestamp_before) = source.last;
        source.last = (now, timestamp);
        let came = in_units(now.saturating_duration_since(before), clock_rate_hz);
        let was_to_come = i64::from(timestamp.wrapping_sub(timestamp_before).cast_signed());
        // A pause, or a source that began its timestamps anew, is no jitter.
        let difference = (came - was_to_come).unsigned_abs();
        if difference < u64::from(clock_rate_hz) {
            source.jitter = (source.jitter + difference).saturating_sub((source.jitter + 8) / 16);
        }
    }

    /// The peer's sender report came.
    pub fn sender_report(&mut self, now: Instant, report: &SenderInformation) {
        self.sender_report = Some((report.ntp, now));
    }

    /// The interarrival jitter, in units of the payload's clock.
    pub fn jitter(&self) -> u32 {
        self.source.map_or(0, |source| u32::try_from(source.jitter / 16).unwrap_or(u32::MAX))
    }

    /// What is to be reported now, where a source was heard. `lost` counts from the call's beginning, packets; the
    /// next report's fraction is of what comes after this.
    pub fn report(&mut self, now: Instant, lost: u64) -> Option<ReportBlock> {
        let source = self.source?;
        let lost = lost.saturating_sub(self.lost_before);
        let expected = u64::from(source.highest.wrapping_sub(source.first.into())) + 1;
        let (lost_before, expected_before) = std::mem::replace(&mut self.reported, (lost, expected));
        let (lost_since, expected_since) =
            (lost.saturating_sub(lost_before), expected.saturating_sub(expected_before));
        let fraction = lost_since.saturating_mul(256).checked_div(expected_since).unwrap_or(0);
        let (last_sender_report, delay_since) = self.sender_report.map_or((0, 0), |(ntp, came)| {
            let delay = NtpTimestamp::after(now.saturating_duration_since(came));
            (ntp.middle(), delay.middle())
        });
        Some(ReportBlock {
            ssrc: source.ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost).unwrap_or(i32::MAX).min(0x7f_ffff),
            highest_sequence: source.highest,
            jitter: self.jitter(),
            last_sender_report,
            delay_since,
        })
    }
}

fn in_units(span: Duration, clock_rate_hz: u32) -> i64 {
    let units = span.as_nanos() * u128::from(clock_rate_hz) / 1_000_000_000;
    i64::try_from(units).unwrap_or(i64::MAX / 2)
}
