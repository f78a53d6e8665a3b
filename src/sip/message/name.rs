//! Header field names, with their compact forms.

use std::fmt;

macro_rules! header_names {
    ($($variant:ident = $text:literal $(/ $compact:literal)?, $source:literal;)*) => {
        /// The name of a header field this service has a use for; names are case-insensitive and some have a
        /// compact form (RFC 3261 §7.3.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum HeaderName {
            $(#[doc = concat!("`", $text, "`, ", $source, ".")] $variant,)*
            /// Any other field: kept, passed over, never refused.
            Other,
        }

        const NAMES: &[(HeaderName, &str)] =
            &[$((HeaderName::$variant, $text), $((HeaderName::$variant, $compact),)?)*];

        impl HeaderName {
            /// The full name as it is written; empty for [`HeaderName::Other`].
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* Self::Other => "" }
            }
        }
    };
}

header_names! {
    Accept = "Accept", "RFC 3261 §20.1";
    AcceptContact = "Accept-Contact" / "a", "RFC 3841";
    AcceptEncoding = "Accept-Encoding", "RFC 3261 §20.2";
    AcceptLanguage = "Accept-Language", "RFC 3261 §20.3";
    Allow = "Allow", "RFC 3261 §20.5";
    AllowEvents = "Allow-Events" / "u", "RFC 6665";
    AuthenticationInfo = "Authentication-Info", "RFC 3261 §20.6";
    Authorization = "Authorization", "RFC 3261 §20.7";
    CallId = "Call-ID" / "i", "RFC 3261 §20.8";
    Contact = "Contact" / "m", "RFC 3261 §20.10";
    ContentDisposition = "Content-Disposition", "RFC 3261 §20.11";
    ContentEncoding = "Content-Encoding" / "e", "RFC 3261 §20.12";
    ContentLanguage = "Content-Language", "RFC 3261 §20.13";
    ContentLength = "Content-Length" / "l", "RFC 3261 §20.14";
    ContentType = "Content-Type" / "c", "RFC 3261 §20.15";
    CSeq = "CSeq", "RFC 3261 §20.16";
    Date = "Date", "RFC 3261 §20.17";
    Diversion = "Diversion", "RFC 5806";
    Event = "Event" / "o", "RFC 6665";
    Expires = "Expires", "RFC 3261 §20.19";
    From = "From" / "f", "RFC 3261 §20.20";
    HistoryInfo = "History-Info", "RFC 7044";
    Identity = "Identity" / "y", "RFC 8224";
    IdentityInfo = "Identity-Info" / "n", "RFC 4474";
    InfoPackage = "Info-Package", "RFC 6086";
    InReplyTo = "In-Reply-To", "RFC 3261 §20.21";
    MaxForwards = "Max-Forwards", "RFC 3261 §20.22";
    MimeVersion = "MIME-Version", "RFC 3261 §20.24";
    MinExpires = "Min-Expires", "RFC 3261 §20.23";
    MinSe = "Min-SE", "RFC 4028";
    Path = "Path", "RFC 3327";
    PAssertedIdentity = "P-Asserted-Identity", "RFC 3325";
    PChargingVector = "P-Charging-Vector", "RFC 7315";
    PPreferredIdentity = "P-Preferred-Identity", "RFC 3325";
    PServedUser = "P-Served-User", "RFC 5502";
    Privacy = "Privacy", "RFC 3323";
    ProxyAuthenticate = "Proxy-Authenticate", "RFC 3261 §20.27";
    ProxyAuthorization = "Proxy-Authorization", "RFC 3261 §20.28";
    ProxyRequire = "Proxy-Require", "RFC 3261 §20.29";
    RAck = "RAck", "RFC 3262";
    Reason = "Reason", "RFC 3326";
    RecordRoute = "Record-Route", "RFC 3261 §20.30";
    RecvInfo = "Recv-Info", "RFC 6086";
    RemotePartyId = "Remote-Party-ID", "draft-ietf-sip-privacy-04";
    ReferTo = "Refer-To" / "r", "RFC 3515";
    ReferredBy = "Referred-By" / "b", "RFC 3892";
    RejectContact = "Reject-Contact" / "j", "RFC 3841";
    Replaces = "Replaces", "RFC 3891";
    RequestDisposition = "Request-Disposition" / "d", "RFC 3841";
    Require = "Require", "RFC 3261 §20.32";
    RetryAfter = "Retry-After", "RFC 3261 §20.33";
    Route = "Route", "RFC 3261 §20.34";
    RSeq = "RSeq", "RFC 3262";
    Server = "Server", "RFC 3261 §20.35";
    ServiceRoute = "Service-Route", "RFC 3608";
    SessionExpires = "Session-Expires" / "x", "RFC 4028";
    Subject = "Subject" / "s", "RFC 3261 §20.36";
    Supported = "Supported" / "k", "RFC 3261 §20.37";
    Timestamp = "Timestamp", "RFC 3261 §20.38";
    To = "To" / "t", "RFC 3261 §20.39";
    Unsupported = "Unsupported", "RFC 3261 §20.40";
    UserAgent = "User-Agent", "RFC 3261 §20.41";
    Via = "Via" / "v", "RFC 3261 §20.42";
    Warning = "Warning", "RFC 3261 §20.43";
    WwwAuthenticate = "WWW-Authenticate", "RFC 3261 §20.44";
}

/// Slots of [`TABLE`]: a power of two, over twice as many as there are names.
const SLOTS: usize = 256;

/// An open-addressing table over [`NAMES`], made when compiling: 1 + the index of a name, or 0. A message names a
/// dozen fields, so this look-up is where a good part of reading it goes.
static TABLE: [u8; SLOTS] = table();

const fn table() -> [u8; SLOTS] {
    let mut table = [0; SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let mut slot = hash(NAMES[index].1.as_bytes());
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = index as u8 + 1;
        index += 1;
    }
    table
}

/// From the length and three letters, in any case.
const fn hash(name: &[u8]) -> usize {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return 0 };
    let middle = name[name.len() / 2];
    (name.len() * 51 + lower(*first) * 11 + lower(*last) * 24 + lower(middle) * 32) % SLOTS
}

/// A letter without its case.
const fn lower(octet: u8) -> usize {
    (octet | 0x20) as usize
}

impl HeaderName {
    /// The field that `name` spells, in full or compact form and in any case.
    pub fn from_octets(name: &[u8]) -> Self {
        let mut slot = hash(name);
        // The table has free slots, so the probing ends.
        while let Some(index) = TABLE.get(slot).and_then(|index| usize::from(*index).checked_sub(1)) {
            match NAMES.get(index) {
                Some((found, text)) if text.as_bytes().eq_ignore_ascii_case(name) => return *found,
                _ => slot = (slot + 1) % SLOTS,
            }
        }
        Self::Other
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (name, text) in NAMES {
            assert_eq!(HeaderName::from_octets(text.as_bytes()), *name);
            assert_eq!(HeaderName::from_octets(text.to_ascii_uppercase().as_bytes()), *name);
            assert_eq!(HeaderName::from_octets(text.to_ascii_lowercase().as_bytes()), *name);
        }
    }

    #[test]
    fn compact_forms_are_those_registered() {
        let registered = "aAccept-Contact bReferred-By cContent-Type dRequest-Disposition eContent-Encoding fFrom \
            iCall-ID jReject-Contact kSupported lContent-Length mContact nIdentity-Info oEvent rRefer-To sSubject \
            tTo uAllow-Events vVia xSession-Expires yIdentity";
        for pair in registered.split_whitespace() {
            let (compact, full) = pair.split_at(1);
            assert_eq!(HeaderName::from_octets(compact.as_bytes()).as_str(), full);
        }
        for letter in "ghpqwz".bytes() {
            assert_eq!(HeaderName::from_octets(&[letter]), HeaderName::Other);
        }
    }

    #[test]
    fn near_misses_are_other_fields() {
        for name in ["", "Vi", "Viaa", "C%6Fntact", "Content_Length", "Call\rID"] {
            assert_eq!(HeaderName::from_octets(name.as_bytes()), HeaderName::Other, "{name:?}");
        }
    }
}
