//! What this user agent can do, in one place: the ladder refuses what does not stand here, and OPTIONS, 200, 405, 415
//! and 420 say what does. A method or an extension is added here, and only once it is built.

use super::ladder::Refusal;
use crate::sip::counters::Counter;
use crate::sip::message::{HeaderName, Method};
use crate::sip::session::provisional::OPTION_TAG;

/// The methods that are taken, in the order of [`ALLOW`].
pub(in crate::sip) const METHODS: &[Method<'static>] = &[
    Method::Invite,
    Method::Ack,
    Method::Cancel,
    Method::Bye,
    Method::Options,
    Method::Prack,
    Method::Info,
    Method::Update,
];

/// Allow: the names of [`METHODS`] (RFC 3261 §20.5).
pub(in crate::sip) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO, UPDATE";

/// The option tags that may be required of us, in the order of [`SUPPORTED`].
pub(in crate::sip) const EXTENSIONS: &[&str] = &["100rel", "timer"];

/// Supported: the names of [`EXTENSIONS`] (RFC 3261 §20.37).
pub(in crate::sip) const SUPPORTED: &str = "100rel, timer";

/// The media type of a session description, which is the only body that INVITE may bring (Accept, RFC 3261 §20.1).
pub(in crate::sip) const SESSION_DESCRIPTION: &str = "application/sdp";

/// The media types of the bodies that INFO may bring: keys.
pub(in crate::sip) const ACCEPT_IN_INFO: &str = "application/dtmf-relay, application/dtmf";

/// Accept-Encoding: bodies are read as they are (RFC 3261 §20.2).
pub(in crate::sip) const ACCEPT_ENCODING: &str = "identity";

/// Accept-Language: of the prompts, and of reason phrases (RFC 3261 §20.3).
pub(in crate::sip) const ACCEPT_LANGUAGE: &str = "sq, en";

/// What OPTIONS is told, in and outside of a dialog (RFC 3261 §11.2).
pub(super) const CAPABILITIES: [(HeaderName, &str); 5] = [
    (HeaderName::Allow, ALLOW),
    (HeaderName::Accept, SESSION_DESCRIPTION),
    (HeaderName::AcceptEncoding, ACCEPT_ENCODING),
    (HeaderName::AcceptLanguage, ACCEPT_LANGUAGE),
    (HeaderName::Supported, SUPPORTED),
];

/// Whether a request of this method is taken.
pub(super) fn is_allowed(method: Method<'_>) -> bool {
    METHODS.contains(&method)
}

/// Whether the extension of this option tag may be required; tags are compared in any case (RFC 3261 §7.3.1).
pub(super) fn is_supported(tag: &[u8]) -> bool {
    EXTENSIONS.iter().any(|extension| extension.as_bytes().eq_ignore_ascii_case(tag))
}

/// Supported of an INVITE of ours. Without an offer in it a reliable provisional response could bring one, which would have
/// to be answered in the PRACK (RFC 3262 §5); that is not built.
pub(super) fn supported_by_invite(has_offer: bool) -> String {
    let used = |extension: &&&str| has_offer || **extension != OPTION_TAG;
    EXTENSIONS.iter().filter(used).copied().collect::<Vec<_>>().join(", ")
}

/// The answer to OPTIONS outside a dialog: stateless, as every retransmission gets the same.
pub(super) fn answer() -> Refusal {
    CAPABILITIES
        .iter()
        .fold(Refusal::new(200, Counter::OptionsAnswered), |answer, (name, value)| answer.with(*name, *value))
}
