//! Replaces (RFC 3891): an INVITE that asks to take the place of a call that exists.
//!
//! None is ever replaced. A call of this service is somebody's: who is calling was decided when it was answered, and
//! another party put in his place would act with his rights. So an INVITE with Replaces is refused, with the status that
//! RFC 3891 §3 has for what it names. The extension is not announced, and `Require: replaces` is answered 420.

use super::Endpoint;
use super::ladder::Refusal;
use crate::sip::counters::Counter;
use crate::sip::message::{Message, Method};
use crate::sip::session::Standing;

impl Endpoint {
    /// RFC 3891 §3, for a request of any method; `None` where there is no Replaces.
    pub(super) fn replaces(&self, request: &Message<'_>, method: Method<'_>) -> Option<Refusal> {
        let status = match request.replaces() {
            Ok(None) => return None,
            // "If more than one Replaces header field is present in an INVITE, or if a Replaces header field is present in a
            // request other than INVITE, the UAS MUST reject the request with a 400".
            Err(_) => 400,
            Ok(Some(_)) if method != Method::Invite => 400,
            Ok(Some(replaces)) => {
                match self.sessions.standing(replaces.call_id, replaces.to_tag, replaces.from_tag) {
                    // No match; or an early dialog that this side did not begin.
                    None | Some(Standing::Early) => 481,
                    // A dialog that is over: declined.
                    Some(Standing::Ending) => 603,
                    // "if the early-only flag is present", a confirmed dialog is answered busy.
                    Some(Standing::Confirmed) if replaces.early_only => 486,
                    // Nobody is authorised to replace.
                    Some(Standing::Confirmed) => 403,
                }
            }
        };
        Some(Refusal::new(status, Counter::RefusedReplaces))
    }
}
