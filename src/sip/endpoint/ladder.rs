//! What a user agent server refuses before the call layer sees it, in the order of RFC 3261 §8.2: method, Request-URI,
//! extensions, merged requests, dialogs, content. Each step yields a refusal or lets the request pass.

use super::capabilities::{self, ACCEPT_ENCODING, ALLOW, SESSION_DESCRIPTION};
use super::config::for_new_calls;
use super::receive::Received;
use super::respond::reason_phrase;
use super::{Endpoint, ServiceState, SessionIntervals};
use crate::sip::counters::Counter;
use crate::sip::message::{Defect, HeaderName, Message, Method, Uri};
use crate::sip::session::refresh;
use crate::sip::transaction::key::{self, RequestIdentity};
use std::borrow::Cow;

/// RFC 5630 §5.1.2.
const SIPS_NOT_ALLOWED: &str = "380 klikon \"SIPS Not Allowed\"";

/// A refusal: what is answered, and under what it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sip) struct Refusal {
    pub(super) status: u16,
    pub(super) phrase: Cow<'static, str>,
    pub(super) counter: Counter,
    pub(super) headers: Vec<(HeaderName, Cow<'static, str>)>,
}

impl Refusal {
    pub(super) fn new(status: u16, counter: Counter) -> Self {
        Self { status, phrase: Cow::Borrowed(reason_phrase(status)), counter, headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: HeaderName, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn no_call() -> Self {
        Self::new(481, Counter::RefusedNoCall)
    }

    /// A defect that the message's check found.
    pub(super) fn malformed(defect: Defect) -> Self {
        let counter = match defect {
            Defect::Version => Counter::RefusedVersion,
            Defect::UriScheme => Counter::RefusedUriScheme,
            _ => Counter::RefusedMalformed,
        };
        Self { phrase: Cow::Owned(defect.phrase()), ..Self::new(defect.status(), counter) }
    }
}

/// §8.2.1: a method that is known elsewhere and not here is 405, one that is not known at all 501 (§21.5.2).
pub(super) fn method(request: Method<'_>) -> Option<Refusal> {
    match request {
        taken if capabilities::is_allowed(taken) => None,
        Method::Other(_) => {
            Some(Refusal::new(501, Counter::RefusedMethodUnknown).with(HeaderName::Allow, ALLOW))
        }
        _ => Some(Refusal::new(405, Counter::RefusedMethodNotAllowed).with(HeaderName::Allow, ALLOW)),
    }
}

/// §8.2.2.1: sip, sips and tel.
pub(super) fn request_uri(request: &Message<'_>) -> Option<Refusal> {
    match request.request_uri() {
        Ok(Uri::Sip(_) | Uri::Tel(_)) => None,
        Ok(Uri::Other(_)) => Some(Refusal::malformed(Defect::UriScheme)),
        Err(defect) => Some(Refusal::malformed(defect)),
    }
}

/// §8.2.2.3: whatever is required and not supported is listed. Proxy-Require is for proxies.
pub(super) fn extensions(request: &Message<'_>) -> Option<Refusal> {
    let mut unsupported = Vec::new();
    for tag in request.require().flatten().filter(|tag| !capabilities::is_supported(tag)) {
        if !unsupported.is_empty() {
            unsupported.extend_from_slice(b", ");
        }
        unsupported.extend_from_slice(tag);
    }
    if unsupported.is_empty() {
        return None;
    }
    // Option tags are tokens, which are ASCII.
    let unsupported = String::from_utf8_lossy(&unsupported).into_owned();
    Some(Refusal::new(420, Counter::RefusedExtension).with(HeaderName::Unsupported, unsupported))
}

/// Whether the body is a session description: `application/sdp`, for the session (RFC 3261 §20.11).
pub(super) fn is_session_description(request: &Message<'_>) -> bool {
    let is_sdp = matches!(request.content_type(), Ok(Some(media)) if media.is("application", "sdp"));
    let for_session = match request.content_disposition() {
        Ok(Some((kind, _))) => kind.eq_ignore_ascii_case(b"session"),
        _ => true,
    };
    is_sdp && for_session
}

/// §8.2.3: a body that is too large, in a coding, or of a type that is not understood and not optional.
pub(super) fn content(request: &Message<'_>, max_body_octets: usize) -> Option<Refusal> {
    let body = request.body();
    if body.is_empty() {
        return None;
    }
    if body.len() > max_body_octets {
        return Some(Refusal::new(413, Counter::RefusedBodyTooLarge));
    }
    if request.is_optional() && !is_session_description(request) {
        return None;
    }
    let refusal =
        || Refusal::new(415, Counter::RefusedMediaType).with(HeaderName::Accept, SESSION_DESCRIPTION);
    let is_coded = request
        .content_encoding()
        .flatten()
        .any(|coding| !coding.eq_ignore_ascii_case(ACCEPT_ENCODING.as_bytes()));
    if is_coded {
        return Some(refusal().with(HeaderName::AcceptEncoding, ACCEPT_ENCODING));
    }
    (!is_session_description(request)).then(refusal)
}

/// RFC 3261 §20.1, RFC 4475 §3.3.15: a peer that accepts no session description cannot be answered with one.
pub(super) fn acceptable(request: &Message<'_>) -> Option<Refusal> {
    let mut ranges = request.accept()?;
    let covered = ranges.any(|range| range.is_ok_and(|range| range.covers("application", "sdp")));
    (!covered).then(|| Refusal::new(406, Counter::RefusedNotAcceptable))
}

/// RFC 4028 §9: a session interval below our least is refused, to a peer that understands why.
pub(super) fn session_interval(request: &Message<'_>, intervals: &SessionIntervals) -> Option<Refusal> {
    refresh::is_too_small(request, intervals).then(|| {
        Refusal::new(422, Counter::RefusedIntervalTooSmall)
            .with(HeaderName::MinSe, intervals.min_se_s.to_string())
    })
}

impl Endpoint {
    /// RFC 5630 §4, §5.1.2: what is asked of a `sips` URI comes over TLS to the last hop. It is 480 with the Warning that
    /// the same may be had of a `sip` URI, unless its sender is a peer that ends TLS for us.
    pub(super) fn sips(&self, received: &Received<'_, '_>) -> Option<Refusal> {
        let is_sips = matches!(received.message.request_uri(), Ok(Uri::Sip(uri)) if uri.secure);
        let is_insecure = is_sips && !received.flow.transport.is_secure();
        (is_insecure && !self.overload.ends_tls_for_us(received.neighbour)).then(|| {
            Refusal::new(480, Counter::RefusedSipsWithoutTls).with(HeaderName::Warning, SIPS_NOT_ALLOWED)
        })
    }

    /// §8.2.2.2: the same request, come by another way while the first copy's transaction lasts.
    pub(super) fn merged(&mut self, identity: &RequestIdentity<'_>, request: Method<'_>) -> Option<Refusal> {
        key::write_merge_key(&mut self.key, identity, request);
        self.server.find_merged(&self.key).map(|_| Refusal::new(482, Counter::RefusedMerged))
    }

    /// Whether the service takes anything new (§21.5.4).
    pub(super) fn service(&self, request: Method<'_>) -> Option<Refusal> {
        let (counter, retry_after_s) = match self.service_state {
            ServiceState::Accepting => return None,
            ServiceState::Full { .. } if request == Method::Invite => return None,
            ServiceState::Full { retry_after_s } => (Counter::RefusedFull, retry_after_s),
            ServiceState::Refusing { retry_after_s } => (Counter::RefusedByServiceState, retry_after_s),
            ServiceState::Unable { retry_after_s } => (Counter::RefusedUnable, retry_after_s),
        };
        Some(Refusal::new(503, counter).with(HeaderName::RetryAfter, retry_after_s.to_string()))
    }

    /// Whether there is room for another call: sessions, and the share of transactions and outputs for new calls.
    pub(super) fn room(&self, request: &Message<'_>) -> Option<Refusal> {
        let limits = &self.config.limits;
        let counter = if self.sessions.len() >= limits.max_sessions {
            Counter::RefusedSessionLimit
        } else if self.server.len() >= for_new_calls(limits.max_server_transactions)
            || self.queued() >= for_new_calls(limits.max_queued_outputs)
        {
            Counter::RefusedOverload
        } else {
            return None;
        };
        Some(self.unavailable(request, counter))
    }
}
