//! Requests of ours outside any dialog: INVITE and OPTIONS (RFC 3261 §8.1.1).
//!
//! They are built with the `rsip` crate, which suits requests of a low rate whose every part is ours. It has no `tel:`
//! URIs and no IPv6 addresses in URIs: a Request-URI that does not leave it as it went in is written by our own writer
//! instead. Requests within a dialog always are (see [`crate::sip::dialog`]), because they must echo what the peer sent
//! octet by octet.

use super::Endpoint;
use super::capabilities::{self, ALLOW, SESSION_DESCRIPTION};
use super::client_table::{ClientKey, Purpose};
use super::event::{InviteParams, OptionsId, OptionsParams, OriginateError};
use crate::sip::counters::Counter;
use crate::sip::dialog::MAX_FORWARDS;
use crate::sip::identifier::{BranchId, Tag};
use crate::sip::message::{HeaderName, Method, NameAddr, Unwritable, Uri, Writer};
use crate::sip::session::{Session, SessionId};
use crate::sip::transport::Flow;
use bytes::Bytes;
use std::time::Instant;

/// The header fields of a request, in order.
pub(super) type Fields = Vec<(String, String)>;

/// What a request outside a dialog is made of.
pub(super) struct Request<'a> {
    pub(super) method: Method<'a>,
    pub(super) uri: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) branch: BranchId,
    pub(super) tag: Tag,
}

impl Endpoint {
    /// Calls: sends an INVITE by `flow`.
    ///
    /// # Errors
    /// When a limit is reached, or something given cannot stand in a message.
    pub fn invite(
        &mut self,
        now: Instant,
        flow: Flow,
        params: &InviteParams,
    ) -> Result<SessionId, OriginateError> {
        if self.sessions.len() >= self.config.limits.max_sessions {
            return Err(OriginateError::TooManySessions);
        }
        if !self.has_client_room() {
            return Err(OriginateError::TooManyTransactions);
        }
        let (branch, tag) = (self.identifiers.branch(), self.identifiers.tag());
        let (method, uri) = (Method::Invite, params.request_uri.as_str());
        let request = Request { method, uri, from: &params.from, to: &params.to, branch, tag };
        let mut fields = self.common_fields(flow, &request)?;
        fields.push(("Contact".to_owned(), self.contact(flow)));
        fields.push(("Allow".to_owned(), ALLOW.to_owned()));
        fields.push(("Supported".to_owned(), capabilities::supported_by_invite(params.sdp.is_some())));
        let interval_s = self.config.session_intervals.session_expires_s;
        if interval_s > 0 {
            fields.push(("Session-Expires".to_owned(), interval_s.to_string()));
        }
        if let Some(identity) = &params.p_asserted_identity {
            fields.push(("P-Asserted-Identity".to_owned(), identity.clone()));
        }
        fields.extend(params.extra_headers.iter().cloned());
        let bytes = build(&request, &fields, params.sdp.as_deref())?;
        let id = self.next_session_id();
        let invite = self.open_invite_client(now, flow, branch, bytes, id);
        let session = Session::calling(invite, params.sdp.as_deref(), now + self.config.limits.max_setup);
        self.sessions.insert(id, session);
        self.settle_session(id);
        Ok(id)
    }

    /// Asks a peer for its capabilities, or whether it lives: sends an OPTIONS by `flow` (RFC 3261 §11).
    ///
    /// # Errors
    /// When a limit is reached, or something given cannot stand in a message.
    pub fn options(
        &mut self,
        now: Instant,
        flow: Flow,
        params: &OptionsParams,
    ) -> Result<OptionsId, OriginateError> {
        if !self.has_client_room() {
            return Err(OriginateError::TooManyTransactions);
        }
        let (branch, tag) = (self.identifiers.branch(), self.identifiers.tag());
        let (method, uri) = (Method::Options, params.request_uri.as_str());
        let request = Request { method, uri, from: &params.from, to: uri, branch, tag };
        let mut fields = self.common_fields(flow, &request)?;
        fields.push(("Accept".to_owned(), SESSION_DESCRIPTION.to_owned()));
        fields.extend(params.extra_headers.iter().cloned());
        let bytes = build(&request, &fields, None)?;
        let id = OptionsId(self.next_number());
        self.counters.count(Counter::OptionsSent);
        self.open_client(now, flow, ClientKey { branch, is_cancel: false }, bytes, Purpose::Options(id));
        Ok(id)
    }

    /// The fields every request has (§8.1.1).
    fn common_fields(&mut self, flow: Flow, request: &Request<'_>) -> Result<Fields, OriginateError> {
        let from = format!("{};tag={}", name_addr(request.from)?, request.tag);
        let mut fields = vec![
            ("Via".to_owned(), self.via(flow, request.branch)),
            ("Max-Forwards".to_owned(), MAX_FORWARDS.to_string()),
            ("From".to_owned(), from),
            ("To".to_owned(), name_addr(request.to)?),
            ("Call-ID".to_owned(), self.identifiers.call_id()),
            ("CSeq".to_owned(), format!("1 {}", request.method)),
        ];
        if !self.config.server_name.is_empty() {
            fields.push(("User-Agent".to_owned(), self.config.server_name.clone()));
        }
        Ok(fields)
    }
}

/// An address for From or To: a name-addr as it is, a bare URI in angle brackets. A tag is ours or the peer's to add.
pub(super) fn name_addr(address: &str) -> Result<String, OriginateError> {
    let bracketed = match Uri::parse(address.as_bytes()) {
        Some(_) => format!("<{address}>"),
        None => address.to_owned(),
    };
    match NameAddr::parse(bracketed.as_bytes()) {
        Some(parsed) if parsed.tag().is_none() && bracketed.contains('<') => Ok(bracketed),
        _ => Err(OriginateError::Address),
    }
}

pub(super) fn build(
    request: &Request<'_>,
    fields: &Fields,
    body: Option<&[u8]>,
) -> Result<Bytes, Unwritable> {
    // Our writer refuses whatever would break a line; what it has let pass is built by rsip where that can.
    let written = write(request, fields, body)?;
    Ok(Bytes::from(build_with_rsip(request, fields, body).unwrap_or(written)))
}

fn write(request: &Request<'_>, fields: &Fields, body: Option<&[u8]>) -> Result<Vec<u8>, Unwritable> {
    let mut writer = Writer::request(request.method, request.uri.as_bytes())?;
    for (name, value) in fields {
        match HeaderName::from_octets(name.as_bytes()) {
            HeaderName::Other => writer.field_named(name.as_bytes(), value)?,
            known => writer.field(known, value)?,
        };
    }
    match body {
        Some(body) => writer.finish_with_body(SESSION_DESCRIPTION, body),
        None => Ok(writer.finish()),
    }
}

/// `None` where rsip does not represent the request faithfully.
fn build_with_rsip(request: &Request<'_>, fields: &Fields, body: Option<&[u8]>) -> Option<Vec<u8>> {
    let method = match request.method {
        Method::Invite => rsip::Method::Invite,
        Method::Options => rsip::Method::Options,
        Method::Register => rsip::Method::Register,
        _ => return None,
    };
    let uri = rsip::Uri::try_from(request.uri).ok().filter(|uri| uri.to_string() == request.uri)?;
    let mut headers = rsip::Headers::default();
    for (name, value) in fields {
        headers.push(rsip::Header::Other(name.clone(), value.clone()));
    }
    if body.is_some() {
        headers.push(rsip::headers::ContentType::from(SESSION_DESCRIPTION).into());
    }
    let octets = u32::try_from(body.map_or(0, <[u8]>::len)).ok()?;
    headers.push(rsip::headers::ContentLength::from(octets).into());
    let request = rsip::Request { method, uri, version: rsip::Version::V2, headers, body: Vec::new() };
    let mut bytes = request.to_string().into_bytes();
    // The body is joined here, since rsip would make text of it.
    bytes.extend_from_slice(body.unwrap_or_default());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::identifier::Identifiers;

    fn request(uri: &str) -> Request<'_> {
        let mut identifiers = Identifiers::new([1; 32]);
        let (branch, tag) = (identifiers.branch(), identifiers.tag());
        Request { method: Method::Invite, uri, from: "", to: "", branch, tag }
    }

    #[test]
    fn rsip_and_our_writer_write_the_same_octets() {
        let fields = vec![
            ("Via".to_owned(), "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport".to_owned()),
            ("X-Test".to_owned(), "a, b".to_owned()),
        ];
        let uri = "sip:130@127.0.0.1:5060";
        for body in [None, Some(&b"v=0\r\n\xe9"[..])] {
            let by_rsip = build_with_rsip(&request(uri), &fields, body).expect("rsip can");
            let ours = write(&request(uri), &fields, body).expect("we can");
            assert_eq!(by_rsip.escape_ascii().to_string(), ours.escape_ascii().to_string());
        }
        assert_eq!(build_with_rsip(&request("tel:+35567"), &fields, None), None);
        assert!(build(&request("tel:+35567"), &fields, None).is_ok());
    }

    #[test]
    fn addresses_get_brackets_and_no_tag() {
        assert_eq!(name_addr("sip:130@a;user=phone").as_deref(), Ok("<sip:130@a;user=phone>"));
        assert_eq!(name_addr("\"Me\" <sip:130@a>").as_deref(), Ok("\"Me\" <sip:130@a>"));
        for bad in ["", "<sip:a@b>;tag=1", "130", "<sip:a@b>\r\nX: y"] {
            assert_eq!(name_addr(bad), Err(OriginateError::Address));
        }
    }
}
