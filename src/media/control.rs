//! A session's RTCP: what is reported of both streams and when, and what the peer reports of ours.

use super::rtcp::{
    CNAME_OCTETS, NtpTimestamp, Packet, Packets, ReadError, Reception, Report, SenderInformation, Timing,
};
use super::settings::Identity;
use std::time::Instant;

/// What RTCP said in a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RtcpStatistics {
    /// Compound packets that were sent.
    pub sent: u64,
    /// Compound packets that came and were read.
    pub received: u64,
    /// Those that could not be read, or came from elsewhere.
    pub dropped: u64,
    /// Goodbyes among them (BYE).
    pub goodbyes: u64,
    /// Interarrival jitter of the peer's stream, in units of the payload's clock.
    pub jitter: u32,
    /// There and back, ms, as last measured.
    pub round_trip_ms: Option<u32>,
    /// What the peer said last of our stream.
    pub far: Option<FarReport>,
}

/// What the peer says of the stream that it hears from us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarReport {
    /// Packets lost so far; below zero where some came twice.
    pub lost: i32,
    /// Interarrival jitter, in units of the payload's clock.
    pub jitter: u32,
}

/// How our own stream stands at the time of a report.
#[derive(Debug, Clone, Copy)]
pub struct OwnStream {
    /// The source, and the timestamp that is now.
    pub ssrc: u32,
    pub timestamp: u32,
    /// Packets sent so far.
    pub packets: u64,
    /// Of the peer's packets, how many were lost so far.
    pub lost: u64,
}

/// One session's reports.
#[derive(Debug)]
pub struct Control {
    timing: Timing,
    reception: Reception,
    cname: [u8; CNAME_OCTETS],
    /// Octets of payload that were sent.
    octets: u64,
    /// Packets that were sent by the last report.
    reported: u64,
    statistics: RtcpStatistics,
}

impl Control {
    /// Begins now. What is random in `identity` makes the name, which is another for each call (RFC 7022 §4.2), and spreads
    /// the reports of calls that begin together.
    pub fn new(now: Instant, identity: Identity) -> Self {
        let other = identity.next();
        let halves = [identity.timestamp ^ other.ssrc, other.timestamp];
        let name = halves.map(|half| format!("{half:08x}")).concat();
        let mut cname = [b'0'; CNAME_OCTETS];
        cname.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        Self {
            timing: Timing::new(now, other.ssrc),
            reception: Reception::default(),
            cname,
            octets: 0,
            reported: 0,
            statistics: RtcpStatistics::default(),
        }
    }

    /// A packet with so much payload was sent.
    pub fn sent(&mut self, payload_octets: usize) {
        self.octets += payload_octets as u64;
    }

    /// A packet of the peer's audio was taken.
    pub fn audio(&mut self, now: Instant, packet: &super::rtp::Packet<'_>, clock_rate_hz: u32) {
        self.reception.packet(now, packet.ssrc, packet.sequence, packet.timestamp, clock_rate_hz);
    }

    /// Takes a compound packet of the peer's.
    pub fn handle(&mut self, now: Instant, own_ssrc: u32, octets: &[u8]) -> Result<(), ReadError> {
        let packets = Packets::read(octets).inspect_err(|_| self.drop_one())?;
        self.statistics.received += 1;
        for packet in packets {
            match packet {
                Packet::Report { sender, blocks, .. } => {
                    if let Some(sender) = sender {
                        self.reception.sender_report(now, &sender);
                    }
                    for block in blocks.into_iter().filter(|block| block.ssrc == own_ssrc) {
                        self.timing.block(now, &block);
                        let far = FarReport { lost: block.cumulative_lost, jitter: block.jitter };
                        self.statistics.far = Some(far);
                    }
                }
                Packet::Goodbye(_) => self.statistics.goodbyes += 1,
                Packet::Other(_) => {}
            }
        }
        Ok(())
    }

    /// Counts a packet that is not taken.
    pub fn drop_one(&mut self) {
        self.statistics.dropped += 1;
    }

    /// Whether a report is due.
    pub fn is_due(&mut self, now: Instant) -> bool {
        self.timing.is_due(now)
    }

    /// What is to be reported now. A sender report where something was sent since the last one.
    pub fn report(&mut self, now: Instant, own: OwnStream, goodbye: bool) -> Report {
        let sent_since = own.packets > std::mem::replace(&mut self.reported, own.packets);
        let sender = sent_since.then(|| SenderInformation {
            ntp: self.ntp(now),
            rtp_timestamp: own.timestamp,
            // Both count in 32 bits and roll over (RFC 3550 §6.4.1).
            packets: own.packets as u32,
            octets: self.octets as u32,
        });
        self.statistics.sent += 1;
        let block = self.reception.report(now, own.lost);
        Report { ssrc: own.ssrc, cname: self.cname, sender, block, goodbye }
    }

    fn ntp(&self, now: Instant) -> NtpTimestamp {
        self.timing.ntp(now)
    }

    /// What was said so far.
    pub fn statistics(&self) -> RtcpStatistics {
        let (jitter, round_trip_ms) = (self.reception.jitter(), self.timing.round_trip_ms());
        RtcpStatistics { jitter, round_trip_ms, ..self.statistics }
    }
}
