//! What the endpoint counts: every message by kind, every refusal and every drop by its reason.

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// Something that is counted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Counter {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Counter {
            /// Every counter, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name under which it is published: lower case, words joined by `_`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

counters! {
    /// Datagrams handed in.
    Datagrams => "datagrams",
    /// Datagrams of only CR, LF or NUL, which keep NAT bindings open (RFC 5626 §4.4.1 and common practice).
    KeepAlives => "keep_alives",
    /// Dropped: from an address that is banned.
    DroppedBanned => "dropped_banned",
    /// Dropped: more from one address, or one IPv6 /64, than one that is nobody's may send.
    DroppedSourceRate => "dropped_source_rate",
    /// Dropped: a request that says that a scanner made it.
    DroppedScanner => "dropped_scanner",
    /// Dropped: a request outside a call, INVITE not counted, of a sender who is no peer, where those get no answer.
    DroppedStrangerRequest => "dropped_stranger_request",
    /// Dropped: an INVITE of a sender who is no peer, where those get no answer.
    DroppedStrangerCall => "dropped_stranger_call",
    /// Not sent: more than may go over UDP to an address that has proved nothing.
    DroppedUnproved => "dropped_unproved",
    /// Addresses that were banned.
    SourcesBanned => "sources_banned",
    /// Addresses that would have been, but for the limit of bans.
    BansOverLimit => "bans_over_limit",
    /// What would count against its sender, but came from a peer's address.
    PeerOffences => "peer_offences",
    /// Dropped: not readable as a SIP message, nor answerable.
    DroppedUnreadable => "dropped_unreadable",
    /// Dropped: a malformed response (RFC 3261 §18.1.2).
    DroppedMalformedResponse => "dropped_malformed_response",
    /// Dropped: a malformed ACK, which is never answered.
    DroppedMalformedAck => "dropped_malformed_ack",
    /// Dropped: an ACK that belongs to no transaction and no session.
    DroppedStrayAck => "dropped_stray_ack",
    /// Dropped: a response whose top Via names another element, or that has more than one Via (§18.1.2, §8.1.3.3).
    DroppedForeignResponse => "dropped_foreign_response",
    /// Dropped: a response that belongs to no client transaction (RFC 6026 §8.4).
    DroppedStrayResponse => "dropped_stray_response",
    /// Dropped: the queue of outputs is full; the driver has fallen behind.
    DroppedQueueFull => "dropped_queue_full",
    /// Dropped: a request within a call for which no transaction is left.
    DroppedNoTransaction => "dropped_no_transaction",
    /// Connections that peers opened, and that were let in.
    ConnectionsAccepted => "connections_accepted",
    /// Connections that we opened.
    ConnectionsOpened => "connections_opened",
    /// Connections closed at once: too many, or too many from their address.
    DroppedConnections => "dropped_connections",
    /// Connections closed: no handshake of TLS or WebSocket that could be taken.
    ClosedHandshake => "closed_handshake",
    /// Connections closed: octets that are no message, or leave a doubt where the next one begins.
    ClosedBroken => "closed_broken",
    /// Connections closed: a message or handshake that took too long.
    ClosedSlow => "closed_slow",
    /// Connections closed: nothing came for too long.
    ClosedIdle => "closed_idle",
    /// Connections closed: the peer does not read what is sent to it.
    ClosedDeaf => "closed_deaf",
    /// Messages that could not be delivered by a connection.
    TransportErrors => "transport_errors",
    /// 400: a message on a stream without a usable Content-Length (§18.3).
    RefusedLength => "refused_length",
    /// 408: a message on a stream that was not whole in time.
    RefusedSlow => "refused_slow",
    /// Dropped: a 2xx of one more fork than is kept.
    DroppedForkLimit => "dropped_fork_limit",
    /// INVITEs that came, retransmissions not counted.
    InvitesReceived => "invites_received",
    /// Other requests that came, ACK and retransmissions not counted.
    RequestsReceived => "requests_received",
    /// ACKs that came.
    AcksReceived => "acks_received",
    /// Requests that came again and matched their transaction.
    RetransmissionsReceived => "retransmissions_received",
    /// Responses that came and matched a client transaction.
    ResponsesReceived => "responses_received",
    /// Messages queued for sending, retransmissions included.
    MessagesSent => "messages_sent",
    /// Of those, retransmissions by our own timers.
    RetransmissionsSent => "retransmissions_sent",
    /// Pings that we sent, to keep a connection of ours alive (RFC 5626 §4.4.1).
    KeepAlivesSent => "keep_alives_sent",
    /// OPTIONS outside a call, answered 200.
    OptionsAnswered => "options_answered",
    /// 400: a malformed request; 513: one whose header is too large.
    RefusedMalformed => "refused_malformed",
    /// 505: another SIP version.
    RefusedVersion => "refused_version",
    /// 405: a method that is known and not supported.
    RefusedMethodNotAllowed => "refused_method_not_allowed",
    /// 501: a method that is not known.
    RefusedMethodUnknown => "refused_method_unknown",
    /// 416: the Request-URI's scheme is neither sip, sips nor tel.
    RefusedUriScheme => "refused_uri_scheme",
    /// 480: a `sips` Request-URI that came without TLS.
    RefusedSipsWithoutTls => "refused_sips_without_tls",
    /// 420: a required extension is not supported.
    RefusedExtension => "refused_extension",
    /// 482: a merged request.
    RefusedMerged => "refused_merged",
    /// 481: no such call or transaction.
    RefusedNoCall => "refused_no_call",
    /// 413: a body over the limit.
    RefusedBodyTooLarge => "refused_body_too_large",
    /// 415: a body that is not understood.
    RefusedMediaType => "refused_media_type",
    /// 406: the peer accepts no session description.
    RefusedNotAcceptable => "refused_not_acceptable",
    /// 500: a CSeq that is not higher than the last one.
    RefusedOldCseq => "refused_old_cseq",
    /// 500 or 491: a re-INVITE or UPDATE while another, or an offer, is not at its end.
    RefusedOverlapping => "refused_overlapping",
    /// Changes of a session, by re-INVITE or UPDATE, that the call layer refused.
    RefusedSessionChange => "refused_session_change",
    /// 503: as many calls as the service takes are under way.
    RefusedCallLimit => "refused_call_limit",
    /// 503: more new calls a second than the service takes.
    RefusedCallRate => "refused_call_rate",
    /// 503: the peer has as many calls as it may.
    RefusedPeerCalls => "refused_peer_calls",
    /// 503: as many of the sender's calls as may be are not acknowledged.
    RefusedUnacknowledged => "refused_unacknowledged",
    /// 503: more new calls a second than the peer may bring.
    RefusedPeerRate => "refused_peer_rate",
    /// 403: a call of a sender who is no peer.
    RefusedStranger => "refused_stranger",
    /// 500: a change of a session that the call layer left unanswered.
    RefusedChangeTimeout => "refused_change_timeout",
    /// 469: an INFO of an Info Package.
    RefusedInfoPackage => "refused_info_package",
    /// 400, 403, 481, 486 or 603: a request with Replaces.
    RefusedReplaces => "refused_replaces",
    /// 422: a session interval below the least.
    RefusedIntervalTooSmall => "refused_interval_too_small",
    /// 503: too many sessions.
    RefusedSessionLimit => "refused_session_limit",
    /// 503: too many transactions or outputs for a new call.
    RefusedOverload => "refused_overload",
    /// 503: the service is set to refuse.
    RefusedByServiceState => "refused_by_service_state",
    /// 503: OPTIONS while as many calls are under way as may be.
    RefusedFull => "refused_full",
    /// 503: something without which no call can be served is missing: the database.
    RefusedUnable => "refused_unable",
    /// 401: a request without credentials for our realm, from a peer that must give them.
    RefusedUnauthenticated => "refused_unauthenticated",
    /// 401: an unknown user or a wrong password.
    RefusedCredentials => "refused_credentials",
    /// 401 with `stale`: a nonce that is too old, another address's, or of an earlier run.
    RefusedStaleNonce => "refused_stale_nonce",
    /// 401 with `stale`: a count that is not above the last one of its nonce.
    RefusedReplay => "refused_replay",
    /// 403: a user name with too many wrong tries from one address.
    RefusedLockedOut => "refused_locked_out",
    /// 480: a call that the call layer neither answered nor refused within its time.
    RefusedSetupTimeout => "refused_setup_timeout",
    /// 504: no PRACK to a reliable provisional response within 64·T1.
    RefusedPrackMissing => "refused_prack_missing",
    /// Refusals by the call layer.
    RejectedByCall => "rejected_by_call",
    /// Requests whose sender proved who he is.
    Authenticated => "authenticated",
    /// Sessions answered with 200.
    SessionsAccepted => "sessions_accepted",
    /// Sessions whose 200 was acknowledged, or whose ACK we sent.
    SessionsConfirmed => "sessions_confirmed",
    /// Changes of a session, refreshes included, that were answered with 200.
    SessionChanges => "session_changes",
    /// Keys that came by INFO.
    KeysByInfo => "keys_by_info",
    /// Sessions that the caller gave up before the answer.
    SessionsCancelled => "sessions_cancelled",
    /// Sessions ended by a BYE of the peer.
    ByesReceived => "byes_received",
    /// BYEs that we sent.
    ByesSent => "byes_sent",
    /// Refreshes of sessions that we sent, repeated attempts included.
    RefreshesSent => "refreshes_sent",
    /// Of those, the ones that were refused for good or not answered.
    RefreshesFailed => "refreshes_failed",
    /// Sessions ended because no refresh came in time.
    SessionsExpired => "sessions_expired",
    /// Sessions whose 200 was not acknowledged within 64·T1.
    AckTimeouts => "ack_timeouts",
    /// Non-2xx final responses that were not acknowledged within timer H.
    FailureAckTimeouts => "failure_ack_timeouts",
    /// REGISTERs that we sent.
    RegistersSent => "registers_sent",
    /// OPTIONS that we sent.
    OptionsSent => "options_sent",
    /// Our requests that got no final response within timer B or F.
    RequestTimeouts => "request_timeouts",
}

/// The counts since the endpoint was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters {
    counts: [u64; Counter::ALL.len()],
}

impl Default for Counters {
    fn default() -> Self {
        Self { counts: [0; Counter::ALL.len()] }
    }
}

impl Counters {
    /// How often `counter` was counted.
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts.get(counter as usize).copied().unwrap_or(0)
    }

    /// Counts `counter` once.
    pub fn count(&mut self, counter: Counter) {
        if let Some(count) = self.counts.get_mut(counter as usize) {
            *count = count.wrapping_add(1);
        }
    }

    /// Every counter with its count, in the order of declaration.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|counter| (*counter, self.get(*counter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_counts_for_itself_under_its_own_name() {
        let mut counters = Counters::default();
        for (times, counter) in Counter::ALL.iter().enumerate() {
            for _ in 0..times {
                counters.count(*counter);
            }
        }
        for (times, (_, count)) in counters.iter().enumerate() {
            assert_eq!(count, times as u64);
        }
        let mut names: Vec<_> = Counter::ALL.iter().map(|counter| counter.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Counter::ALL.len());
    }
}
