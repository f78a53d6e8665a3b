//! RTCP as pure functions and state machines (RFC 3550 §6): compound packets read and written, what the peer's stream lost
//! and how unevenly it came, when reports are due, and what a listener would say of it (ITU-T G.107).
//!
//! Octets and `now` are arguments; nothing allocates and no input panics.

mod packet;
mod quality;
mod reception;
mod report;
mod timing;

pub use packet::{Packet, Packets, ReadError, ReportBlock, SenderInformation};
pub use quality::{Impairment, mean_opinion_score};
pub use reception::Reception;
pub use report::{CNAME_OCTETS, MAX_COMPOUND_OCTETS, Report};
pub use timing::Timing;

/// A moment as RTCP writes it: whole seconds and their 2^32nd parts (RFC 3550 §4). Its beginning is of no meaning here: the
/// session's own clock counts, which RFC 3550 §6.4.1 allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct NtpTimestamp(pub u64);

impl NtpTimestamp {
    /// So long after the beginning.
    pub fn after(elapsed: std::time::Duration) -> Self {
        let fraction = (u64::from(elapsed.subsec_nanos()) << 32) / 1_000_000_000;
        Self((elapsed.as_secs() << 32) | fraction)
    }

    /// The middle 32 bits: in 65,536ths of a second, as LSR and DLSR have it.
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A span in 65,536ths of a second, as ms.
const fn middle_to_ms(span: u32) -> u32 {
    ((span as u64 * 1_000) >> 16) as u32
}

#[cfg(test)]
mod tests;
