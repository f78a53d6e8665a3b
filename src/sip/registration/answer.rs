//! What a final response to a REGISTER says, as far as the registration acts on it. Everything is bounded, since a
//! registrar may be anybody's.

use crate::sip::auth::next_nonce;
use crate::sip::endpoint::text;
use crate::sip::message::{Contact, HeaderName, Message, Uri};

/// Challenges of one response that are read.
const MAX_CHALLENGES: usize = 8;
/// Contacts of one response that are read: a registrar lists every binding of the address.
const MAX_CONTACTS: usize = 64;
/// Values of Service-Route or Path that are kept; a longer list is none.
const MAX_ROUTES: usize = 8;
/// Contacts of a redirection that are kept.
const MAX_REDIRECTS: usize = 4;

/// A final response to a REGISTER of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegisterAnswer {
    /// 200–699.
    pub status: u16,
    /// The reason phrase, as text.
    pub reason: String,
    /// For how long our binding holds, s: the `expires` of our Contact, else Expires (RFC 3261 §10.2.4).
    pub expires_s: Option<u32>,
    /// Min-Expires of a 423, s.
    pub min_expires_s: Option<u32>,
    /// Retry-After, s.
    pub retry_after_s: Option<u32>,
    /// The values of WWW-Authenticate, in order.
    pub challenges: Vec<Vec<u8>>,
    /// The values of Proxy-Authenticate, in order.
    pub proxy_challenges: Vec<Vec<u8>>,
    /// The nonce that the next request is to use, of Authentication-Info (RFC 7616 §3.5).
    pub next_nonce: Option<Vec<u8>>,
    /// Service-Route, in order (RFC 3608).
    pub service_route: Vec<String>,
    /// Path, in order (RFC 3327).
    pub path: Vec<String>,
    /// The URIs of Contact in a redirection, in order.
    pub redirects: Vec<String>,
}

impl RegisterAnswer {
    /// Reads `response`, a final response to `request`.
    pub fn of(request: &Message<'_>, response: &Message<'_>) -> Self {
        let status = response.status().unwrap_or_default();
        let reason = match response.start() {
            crate::sip::message::StartLine::Response { reason, .. } => text(reason),
            crate::sip::message::StartLine::Request { .. } => String::new(),
        };
        let values = |name| response.values(name).take(MAX_CHALLENGES).map(<[u8]>::to_vec).collect();
        let number = |name| single_number(response, name);
        Self {
            status,
            reason,
            expires_s: expires(request, response),
            min_expires_s: number(HeaderName::MinExpires),
            retry_after_s: response.retry_after().ok().flatten().map(|after| after.seconds),
            challenges: values(HeaderName::WwwAuthenticate),
            proxy_challenges: values(HeaderName::ProxyAuthenticate),
            next_nonce: response.values(HeaderName::AuthenticationInfo).find_map(next_nonce),
            service_route: routes(response, HeaderName::ServiceRoute),
            path: routes(response, HeaderName::Path),
            redirects: redirects(response),
        }
    }
}

fn single_number(response: &Message<'_>, name: HeaderName) -> Option<u32> {
    let value = response.single(name).ok().flatten()?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Our binding's life. Registrars that rewrite Contacts leave ours unrecognisable: then the field of all counts.
fn expires(request: &Message<'_>, response: &Message<'_>) -> Option<u32> {
    let mut ours = None;
    if let Some(Ok(Contact::Address(address))) = request.contacts().next() {
        ours = Some(address.uri);
    }
    let bound = response.contacts().take(MAX_CONTACTS).flatten().find_map(|contact| match (contact, &ours) {
        (Contact::Address(address), Some(ours)) if address.uri.is_equivalent(ours) => {
            let value = address.parameters.value("expires")?;
            std::str::from_utf8(value).ok()?.parse().ok()
        }
        _ => None,
    });
    bound.or_else(|| response.expires().ok().flatten())
}

fn routes(response: &Message<'_>, name: HeaderName) -> Vec<String> {
    let mut routes = Vec::new();
    for value in response.elements(name).filter(|value| !value.is_empty()) {
        let sound = crate::sip::message::NameAddr::parse(value)
            .is_some_and(|address| matches!(address.uri, Uri::Sip(_)) && value.contains(&b'<'));
        // A part of a route leads elsewhere than the whole: then none is used.
        if !sound || routes.len() == MAX_ROUTES {
            return Vec::new();
        }
        routes.push(text(value).replace(['\r', '\n'], ""));
    }
    routes
}

fn redirects(response: &Message<'_>) -> Vec<String> {
    let contacts = response.contacts().flatten().filter_map(|contact| match contact {
        Contact::Address(address) if matches!(address.uri, Uri::Sip(_)) => Some(text(address.uri.raw())),
        _ => None,
    });
    contacts.take(MAX_REDIRECTS).collect()
}
