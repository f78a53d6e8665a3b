//! From what a session counted to what the call record says of its media.

use crate::media::rtcp::{Impairment, mean_opinion_score};
use crate::media::{RtcpStatistics, Statistics};
use crate::store::{MediaQuality, StreamQuality};
use crate::units::rtp::{Encoding, StreamParameters};
use rust_decimal::Decimal;
use rust_decimal::prelude::FromPrimitive;

/// How the media of a call fared.
///
/// The delay from mouth to ear is taken to be half the round trip, a packet, and a jitter buffer of twice the jitter. Only
/// G.711 is scored: the others have no figures in ITU-T G.113, or are wideband, which its scale does not hold.
pub fn media_quality(counted: &Statistics, agreed: &StreamParameters) -> MediaQuality {
    let RtcpStatistics { jitter, round_trip_ms, far, .. } = counted.rtcp;
    let in_ms = |units: u32| units / (agreed.encoding.clock_rate_hz() / 1_000).max(1);
    let score = |packets: u64, lost: u64, jitter_ms: u32| {
        let impairment = Encoding::G711.contains(&agreed.encoding).then_some(Impairment::G711)?;
        let all = packets + lost;
        let loss = if all == 0 { return None } else { lost as f64 / all as f64 };
        let delay_ms = round_trip_ms.unwrap_or(0) / 2 + u32::from(agreed.ptime_ms) + 2 * jitter_ms;
        let score = mean_opinion_score(impairment, loss, delay_ms.into());
        Decimal::from_f64(score).map(|score| score.round_dp(2))
    };
    let heard_jitter_ms = in_ms(jitter);
    let heard = StreamQuality {
        packets: counted.accepted,
        lost: Some(counted.lost),
        jitter_ms: (counted.accepted > 0).then_some(heard_jitter_ms),
        mean_opinion_score: score(counted.accepted, counted.lost, heard_jitter_ms),
    };
    let far_lost = far.map(|far| u64::try_from(far.lost).unwrap_or(0));
    let far_jitter_ms = far.map(|far| in_ms(far.jitter));
    let arrived = counted.transmitted.saturating_sub(far_lost.unwrap_or(0));
    let far = StreamQuality {
        packets: counted.transmitted,
        lost: far_lost,
        jitter_ms: far_jitter_ms,
        mean_opinion_score: far_lost
            .zip(far_jitter_ms)
            .and_then(|(lost, jitter)| score(arrived, lost, jitter)),
    };
    MediaQuality { encoding: agreed.encoding.name().to_owned(), heard, far, round_trip_ms }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::FarReport;

    fn agreed(encoding: Encoding) -> StreamParameters {
        let remote = "192.0.2.1:4000".parse().unwrap();
        StreamParameters::new(remote, encoding, 8)
    }

    #[test]
    fn both_directions_are_scored_by_what_is_known_of_them() {
        let far = Some(FarReport { lost: 50, jitter: 160 });
        let rtcp = RtcpStatistics { jitter: 40, round_trip_ms: Some(60), far, ..RtcpStatistics::default() };
        let counted = Statistics { accepted: 1_000, transmitted: 1_000, rtcp, ..Statistics::default() };
        let quality = media_quality(&counted, &agreed(Encoding::Pcma));
        assert_eq!(quality.heard.jitter_ms, Some(5));
        assert_eq!(quality.heard.mean_opinion_score, Some("4.41".parse().unwrap()));
        assert_eq!((quality.far.lost, quality.far.jitter_ms), (Some(50), Some(20)));
        // Ie,eff = 95 · 5 / (5 + 25.1) = 15.8, so R = 77.4.
        assert_eq!(quality.far.mean_opinion_score, Some("3.92".parse().unwrap()));
        let wideband = media_quality(&counted, &agreed(Encoding::G722));
        assert_eq!((wideband.heard.mean_opinion_score, wideband.heard.jitter_ms), (None, Some(5)));
    }

    #[test]
    fn what_nobody_measured_is_not_claimed() {
        let quality = media_quality(&Statistics::default(), &agreed(Encoding::Pcmu));
        let nothing = StreamQuality { packets: 0, lost: None, jitter_ms: None, mean_opinion_score: None };
        assert_eq!(quality.far, nothing);
        assert_eq!(quality.heard, StreamQuality { lost: Some(0), ..nothing });
        let doubled = Some(FarReport { lost: -3, jitter: 0 });
        let rtcp = RtcpStatistics { far: doubled, ..RtcpStatistics::default() };
        let quality = media_quality(
            &Statistics { transmitted: 9, rtcp, ..Statistics::default() },
            &agreed(Encoding::Pcmu),
        );
        assert_eq!(quality.far.lost, Some(0), "some came twice");
    }
}
