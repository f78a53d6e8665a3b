//! Challenges (RFC 3261 §22.1): what a request must prove before it comes to anything. ACK and CANCEL, which cannot be sent
//! again with credentials, are never challenged. A challenge is stateless like every refusal of the ladder.

use super::Endpoint;
use super::ladder::Refusal;
use super::receive::Received;
use crate::sip::auth::Authentication;
use crate::sip::auth::server::{Attempt, Authenticator, Verdict, Why};
use crate::sip::counters::Counter;
use crate::sip::message::HeaderName;
use std::sync::Arc;
use std::time::Instant;

impl Endpoint {
    /// Whom to challenge from now on, and with what. Nonces of before are stale then.
    pub fn set_authentication(&mut self, settings: Authentication) {
        let key = self.identifiers.secret();
        self.authenticator = Some(Authenticator::new(settings, key));
    }

    /// Who sent the request, where that must be proven; `None` where not.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        received: &Received<'_, '_>,
        within_call: bool,
    ) -> Result<Option<Arc<str>>, Refusal> {
        let applies = |authenticator: &Authenticator| authenticator.applies(&received.flow, within_call);
        if !self.authenticator.as_ref().is_some_and(applies) {
            return Ok(None);
        }
        self.write_request_key(received.message);
        let request_hash = self.hash_key.number_of(&self.key);
        let Some(authenticator) = &mut self.authenticator else { return Ok(None) };
        let source = received.flow.remote.ip();
        let attempt = Attempt { method: received.method.as_octets(), source, request_hash };
        let authorization = received.message.values(HeaderName::Authorization);
        let why = match authenticator.judge(now, &attempt, authorization) {
            Verdict::Authentic(user) => {
                self.counters.count(Counter::Authenticated);
                return Ok(Some(user));
            }
            Verdict::LockedOut => return Err(Refusal::new(403, Counter::RefusedLockedOut)),
            Verdict::Challenged(why) => why,
        };
        let refusal = Refusal::new(401, counter_of(why));
        let challenges = authenticator.challenges(now, &attempt, why).into_iter();
        Err(challenges.fold(refusal, |refusal, value| refusal.with(HeaderName::WwwAuthenticate, value)))
    }
}

const fn counter_of(why: Why) -> Counter {
    match why {
        Why::NoCredentials => Counter::RefusedUnauthenticated,
        Why::Wrong => Counter::RefusedCredentials,
        Why::Stale => Counter::RefusedStaleNonce,
        Why::Replayed => Counter::RefusedReplay,
    }
}
