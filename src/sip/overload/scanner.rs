//! Programs that look for SIP servers to break into, as far as they say who they are.

use crate::sip::message::{HeaderName, Message};

/// What the scanners seen most call themselves, in lower case.
pub const SCANNERS: [&str; 7] =
    ["friendly-scanner", "sipvicious", "sipcli", "sip-scan", "pplsip", "sundayddr", "vaxsipuseragent"];

/// Whether a request names one of `scanners` in User-Agent or in From, where some write their name even when they hide
/// it in the other.
pub(super) fn is_named_in(request: &Message<'_>, scanners: &[String]) -> bool {
    let fields = [HeaderName::UserAgent, HeaderName::From];
    let mut values = fields.into_iter().flat_map(|name| request.values(name));
    values.any(|value| scanners.iter().any(|scanner| contains(value, scanner.as_bytes())))
}

/// Whether `text` holds `part`, in any case.
fn contains(text: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}
