//! Writes requests and responses into one buffer. The one place where values become octets on the wire, so the
//! one place that keeps line ends out of them (header injection).

use super::{HeaderName, Host, Message, Method, NameAddr, Uri, Via, lex};
use std::net::SocketAddr;

/// Why something was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unwritable {
    /// The request to be answered has no Via: there is nobody to answer.
    #[error("the request has no Via")]
    NoVia,
    /// A value with a CR, LF or NUL in it.
    #[error("a line end in the value of {0}")]
    LineEnd(HeaderName),
    /// A method, URI, reason phrase or field name that would break the line it stands in.
    #[error("not fit for the line it stands in")]
    Text,
    /// A status code outside 100–699.
    #[error("status code out of range")]
    Status,
}

/// A message being written. Content-Length and the body come last, with [`Writer::finish`] or
/// [`Writer::finish_with_body`].
#[derive(Debug, Clone)]
pub struct Writer {
    octets: Vec<u8>,
}

/// What a message without a body takes, so that most are written without growing the buffer.
const USUAL_OCTETS: usize = 1_024;

impl Writer {
    /// Begins a request. Every header field, Via and Max-Forwards included, is the caller's to add.
    ///
    /// # Errors
    /// [`Unwritable::Text`] when the method is no token or the URI no URI.
    pub fn request(method: Method<'_>, uri: &[u8]) -> Result<Self, Unwritable> {
        if !lex::is_token_text(method.as_octets()) || Uri::parse(uri).is_none() {
            return Err(Unwritable::Text);
        }
        let mut octets = Vec::with_capacity(USUAL_OCTETS);
        octets.extend_from_slice(method.as_octets());
        octets.push(b' ');
        octets.extend_from_slice(uri);
        octets.extend_from_slice(b" SIP/2.0\r\n");
        Ok(Self { octets })
    }

    /// Begins the response to `request`, which came from `source`: Via, From, To, Call-ID and CSeq are copied
    /// byte for byte (RFC 3261 §8.2.6.2), as far as they are there, so that a malformed request can be answered
    /// too; of fields that may be there once, the first. `to_tag` is added to a To that has none; give `None` for 100. The topmost Via gets
    /// `received` and `rport` (RFC 3261 §18.2.1, RFC 3581 §4).
    ///
    /// # Errors
    /// [`Unwritable::NoVia`], or a status or phrase that cannot stand.
    pub fn response(
        request: &Message<'_>,
        source: SocketAddr,
        status: u16,
        phrase: &str,
        to_tag: Option<&[u8]>,
    ) -> Result<Self, Unwritable> {
        Self::response_with_feedback(request, source, status, phrase, to_tag, &|| None)
    }

    /// As [`Writer::response`], to a sender who may have asked for feedback on our load ([`Via::asks_for_feedback`]):
    /// then `feedback`, such as `oc=20;oc-algo="loss"`, takes the place of what the topmost Via says of it (RFC 7339
    /// §4, §5.2).
    ///
    /// # Errors
    /// As [`Writer::response`].
    pub fn response_with_feedback(
        request: &Message<'_>,
        source: SocketAddr,
        status: u16,
        phrase: &str,
        to_tag: Option<&[u8]>,
        feedback: &dyn Fn() -> Option<String>,
    ) -> Result<Self, Unwritable> {
        if !(100..=699).contains(&status) {
            return Err(Unwritable::Status);
        }
        if phrase.bytes().any(breaks_line) || to_tag.is_some_and(|tag| !lex::is_token_text(tag)) {
            return Err(Unwritable::Text);
        }
        let mut octets = Vec::with_capacity(USUAL_OCTETS);
        octets.extend_from_slice(b"SIP/2.0 ");
        push_number(&mut octets, status.into());
        octets.push(b' ');
        octets.extend_from_slice(phrase.as_bytes());
        octets.extend_from_slice(b"\r\n");
        let mut writer = Self { octets };
        writer.copy_vias(request, source, feedback)?;
        writer.copy_first(request, HeaderName::From);
        writer.copy_to(request, to_tag);
        writer.copy_first(request, HeaderName::CallId);
        writer.copy_first(request, HeaderName::CSeq);
        Ok(writer)
    }

    /// Adds a field.
    ///
    /// # Errors
    /// [`Unwritable::LineEnd`] when the value holds a CR, LF or NUL; [`Unwritable::Text`] for
    /// [`HeaderName::Other`], whose name [`Writer::field_named`] takes.
    pub fn field(&mut self, name: HeaderName, value: impl AsRef<[u8]>) -> Result<&mut Self, Unwritable> {
        if name == HeaderName::Other {
            return Err(Unwritable::Text);
        }
        let value = value.as_ref();
        if value.iter().copied().any(breaks_line) {
            return Err(Unwritable::LineEnd(name));
        }
        self.push_field(name.as_str().as_bytes(), value);
        Ok(self)
    }

    /// Adds a field of any name.
    ///
    /// # Errors
    /// As [`Writer::field`]; [`Unwritable::Text`] when the name is no token.
    pub fn field_named(&mut self, name: &[u8], value: impl AsRef<[u8]>) -> Result<&mut Self, Unwritable> {
        let value = value.as_ref();
        if !lex::is_token_text(name) {
            return Err(Unwritable::Text);
        }
        if value.iter().copied().any(breaks_line) {
            return Err(Unwritable::LineEnd(HeaderName::from_octets(name)));
        }
        self.push_field(name, value);
        Ok(self)
    }

    /// Adds a field with a number.
    ///
    /// # Errors
    /// As [`Writer::field`].
    pub fn field_number(&mut self, name: HeaderName, value: u32) -> Result<&mut Self, Unwritable> {
        self.field(name, value.to_string())
    }

    /// Copies every field called `name` byte for byte, folding included (Record-Route into a response that forms
    /// a dialog, RFC 3261 §12.1.1; Timestamp into a 100, §8.2.6.1). A value with a bare CR in it is left out.
    pub fn copy(&mut self, message: &Message<'_>, name: HeaderName) -> &mut Self {
        for value in message.values(name) {
            self.push_copied(name, value);
        }
        self
    }

    /// Ends a message without a body.
    pub fn finish(mut self) -> Vec<u8> {
        self.octets.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        self.fitted()
    }

    /// Ends a message with a body.
    ///
    /// # Errors
    /// [`Unwritable::LineEnd`] when the content type holds a CR, LF or NUL.
    pub fn finish_with_body(mut self, content_type: &str, body: &[u8]) -> Result<Vec<u8>, Unwritable> {
        self.field(HeaderName::ContentType, content_type)?;
        self.octets.extend_from_slice(b"Content-Length: ");
        push_number(&mut self.octets, body.len());
        self.octets.extend_from_slice(b"\r\n\r\n");
        self.octets.extend_from_slice(body);
        Ok(self.fitted())
    }

    /// Without room for more: a transaction keeps what is sent for half a minute.
    fn fitted(mut self) -> Vec<u8> {
        self.octets.shrink_to_fit();
        self.octets
    }

    fn push_field(&mut self, name: &[u8], value: &[u8]) {
        self.octets.extend_from_slice(name);
        self.octets.extend_from_slice(b": ");
        self.octets.extend_from_slice(value);
        self.octets.extend_from_slice(b"\r\n");
    }

    fn push_copied(&mut self, name: HeaderName, value: &[u8]) {
        if is_copyable(value) {
            self.push_field(name.as_str().as_bytes(), value);
        }
    }

    fn copy_vias(
        &mut self,
        request: &Message<'_>,
        source: SocketAddr,
        feedback: &dyn Fn() -> Option<String>,
    ) -> Result<(), Unwritable> {
        let mut values = request.values(HeaderName::Via).filter(|value| is_copyable(value));
        let first = values.next().ok_or(Unwritable::NoVia)?;
        // A topmost Via that cannot be read goes back as it came.
        let top = lex::Elements::of(first).next().and_then(Via::parse);
        match top {
            Some(via) => {
                let rest = first.get(offset_in(first, via.raw) + via.raw.len()..).unwrap_or_default();
                let feedback = if via.asks_for_feedback() { feedback() } else { None };
                let mut value = stamp(&via, source, feedback.as_deref());
                value.extend_from_slice(rest);
                self.push_field(b"Via", &value);
            }
            None => self.push_field(b"Via", first),
        }
        for value in values {
            self.push_field(b"Via", value);
        }
        Ok(())
    }

    fn copy_first(&mut self, request: &Message<'_>, name: HeaderName) {
        if let Some(value) = request.values(name).find(|value| is_copyable(value)) {
            self.push_field(name.as_str().as_bytes(), value);
        }
    }

    fn copy_to(&mut self, request: &Message<'_>, to_tag: Option<&[u8]>) {
        let Some(value) = request.values(HeaderName::To).find(|value| is_copyable(value)) else { return };
        self.octets.extend_from_slice(b"To: ");
        self.octets.extend_from_slice(value);
        if let (Some(to), Some(tag)) = (NameAddr::parse(value), to_tag)
            && to.tag().is_none()
        {
            self.octets.extend_from_slice(b";tag=");
            self.octets.extend_from_slice(tag);
        }
        self.octets.extend_from_slice(b"\r\n");
    }
}

/// What the topmost Via says of feedback on load (RFC 7339 §4).
const FEEDBACK: [&[u8]; 4] = [b"oc", b"oc-algo", b"oc-validity", b"oc-seq"];

/// The topmost Via with `received` and `rport` filled in, and `feedback` in the place of what was asked for; everything
/// else as it was.
fn stamp(via: &Via<'_>, source: SocketAddr, feedback: Option<&str>) -> Vec<u8> {
    // A socket for both families shows IPv4 peers as mapped addresses; the peer knows only its own.
    let (address, port) = (source.ip().to_canonical(), source.port());
    let asks_port = via.parameters.has("rport");
    let given = via.parameters.get("received");
    let elsewhere = via.host != Host::Address(address);
    let needs_received = elsewhere || asks_port || given.is_some();
    let mut value = Vec::with_capacity(via.raw.len() + 128);
    let mut from = 0;
    let mut before = via.raw.len() - via.parameters.raw().len();
    for parameter in via.parameters.iter() {
        let received = parameter.name.eq_ignore_ascii_case(b"received");
        let rport = parameter.name.eq_ignore_ascii_case(b"rport");
        let name_end = offset_in(via.raw, parameter.name) + parameter.name.len();
        let end = parameter.value.map_or(name_end, |value| offset_in(via.raw, value) + value.len());
        let replaced =
            feedback.is_some() && FEEDBACK.iter().any(|name| parameter.name.eq_ignore_ascii_case(name));
        if replaced {
            value.extend_from_slice(via.raw.get(from..before).unwrap_or_default());
            from = end;
        }
        before = end;
        if !received && !rport {
            continue;
        }
        value.extend_from_slice(via.raw.get(from..name_end).unwrap_or_default());
        value.push(b'=');
        value.extend_from_slice(if received { address.to_string() } else { port.to_string() }.as_bytes());
        from = end;
    }
    value.extend_from_slice(via.raw.get(from..).unwrap_or_default());
    if needs_received && given.is_none() {
        value.extend_from_slice(b";received=");
        value.extend_from_slice(address.to_string().as_bytes());
    }
    if let Some(feedback) = feedback {
        value.push(b';');
        value.extend_from_slice(feedback.as_bytes());
    }
    value
}

/// Where `part` begins in `whole`, of which it is a part.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len())
}

/// Whether a value that came from the wire can go back: every CR and LF in it is part of a fold.
fn is_copyable(value: &[u8]) -> bool {
    let mut rest = value;
    loop {
        rest = match rest {
            [] => return true,
            [b'\r', b'\n', b' ' | b'\t', after @ ..] => after,
            [b'\r' | b'\n', ..] => return false,
            [_, after @ ..] => after,
        };
    }
}

/// What must not stand in a value that this service makes up.
const fn breaks_line(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n' | 0)
}

fn push_number(octets: &mut Vec<u8>, number: usize) {
    octets.extend_from_slice(number.to_string().as_bytes());
}
