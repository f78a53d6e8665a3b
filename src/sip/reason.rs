//! Why a call is ended, as it stands in the Reason field of our BYE or CANCEL (RFC 3326).

/// The reasons there are for a BYE or CANCEL of ours. Numbers are those of ITU-T Q.850, or of SIP where a status says it
/// better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The dialogue came to its end, or the caller's script did.
    NormalClearing,
    /// No answer within the time for it.
    NoAnswer,
    /// The service stops, or broke.
    TemporaryFailure,
    /// The session interval ran out without a refresh (RFC 4028 §10), or nothing came over RTP.
    TimerExpiry,
    /// No ACK to our 2xx within 64·T1 (RFC 3261 §13.3.1.4).
    NoAck,
    /// The refresh of a session was answered that there is no such call, or not at all (RFC 4028 §10).
    RefreshFailed,
    /// An answer that cannot be used (RFC 3261 §13.2.2.4).
    NotAcceptable,
    /// Another branch of a forked INVITE was answered first.
    AnsweredElsewhere,
}

impl Reason {
    /// The field's value.
    pub const fn value(self) -> &'static str {
        match self {
            Self::NormalClearing => "Q.850;cause=16;text=\"Normal call clearing\"",
            Self::NoAnswer => "Q.850;cause=19;text=\"No answer from user\"",
            Self::TemporaryFailure => "Q.850;cause=41;text=\"Temporary failure\"",
            Self::TimerExpiry => "Q.850;cause=102;text=\"Recovery on timer expiry\"",
            Self::NoAck => "SIP;cause=408;text=\"No ACK\"",
            Self::RefreshFailed => "SIP;cause=481;text=\"Session refresh failed\"",
            Self::NotAcceptable => "SIP;cause=488;text=\"Not Acceptable Here\"",
            Self::AnsweredElsewhere => "SIP;cause=200;text=\"Call completed elsewhere\"",
        }
    }
}
