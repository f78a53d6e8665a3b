//! SIP/2.0 messages: read without copying, checked, and written.
//!
//! Implements RFC 3261 §7 (messages), §18.3 (framing of datagrams), §19.1 (URIs), §20 (header fields) and §25
//! (grammar), RFC 3966 (`tel:`), RFC 3581 (`rport`), RFC 3325 (P-Asserted-Identity), RFC 3323 (Privacy), RFC 3262
//! (RSeq, RAck) and RFC 4028 (Session-Expires, Min-SE);
//! the messages of RFC 4475 come out as that document asks.
//!
//! [`Message::parse`] goes over the datagram once and fills an index of fixed capacity: no allocation. Values
//! are octets, never text: whatever encoding a header field is in passes through byte for byte. Fields are
//! read by typed accessors when asked for. [`Message::check`] reads everything that a user agent server must
//! understand and says what to answer when it cannot. [`Writer`] builds requests and responses.
//!
//! A line ends with CRLF. Where a line ends with a bare LF it is still indexed as one, so that the sender can be
//! told, but the message has a [`Defect::LineEnd`]: a receiver that takes LF for a line end and one that does
//! not would see different header fields, which is how header fields are smuggled past a proxy.

mod address;
mod check;
mod date;
mod defect;
mod extension_fields;
mod fields;
mod lex;
mod method;
mod name;
mod parameters;
mod replaces;
mod scan;
mod uri;
mod uri_comparison;
mod via;
mod writer;

#[cfg(test)]
mod tests;

pub use address::{Contact, NameAddr};
pub use defect::{Defect, Malformed};
pub use extension_fields::{RAck, Refresher, SessionExpires};
pub use fields::{CSeq, MediaRange, MediaType, RetryAfter};
pub use method::Method;
pub use name::HeaderName;
pub use parameters::{Parameter, Parameters};
pub use replaces::Replaces;
pub use scan::{MAX_FIELD_OCTETS, MAX_HEADER_FIELDS, MAX_MESSAGE_OCTETS};
pub use uri::{Host, OtherUri, SipUri, TelUri, Uri, unescape};
pub use via::{Branch, MAGIC_COOKIE, Rport, Via, ViaTransport};
pub use writer::{Unwritable, Writer};

use lex::Elements;
use scan::Head;

/// A request or a response, borrowed from the octets it came in.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    head: Head<'a>,
    /// Everything that came after the empty line.
    after_head: &'a [u8],
}

/// The first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `Method SP Request-URI SP SIP-Version`.
    Request {
        /// The method.
        method: Method<'a>,
        /// The Request-URI as on the wire; [`Message::request_uri`] reads it.
        uri: &'a [u8],
        /// `SIP/2.0`, or another version that [`Message::check`] refuses.
        version: &'a [u8],
    },
    /// `SIP/2.0 SP Status-Code SP Reason-Phrase`.
    Response {
        /// 100–699.
        status: u16,
        /// Any octets, perhaps none.
        reason: &'a [u8],
    },
}

/// A header field as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which one.
    pub name: HeaderName,
    /// Its name as spelled.
    pub spelled: &'a [u8],
    /// Its value, trimmed, folding still in it.
    pub value: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads one datagram. Line ends before the first line are passed over (RFC 3261 §7.5); octets after the
    /// body are ignored (§18.3).
    ///
    /// # Errors
    /// Only when it is no SIP message at all; whatever else is wrong, [`Message::check`] says.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let head = scan::head(datagram)?;
        let after_head = datagram.get(head.end..).unwrap_or_default();
        Ok(Self { head, after_head })
    }

    /// The first line.
    pub const fn start(&self) -> StartLine<'a> {
        self.head.start
    }

    /// The method of a request; `None` for a response.
    pub const fn method(&self) -> Option<Method<'a>> {
        match self.head.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code of a response; `None` for a request.
    pub const fn status(&self) -> Option<u16> {
        match self.head.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// Whether there are header fields that were not read, being too long or too many.
    pub(in crate::sip) const fn has_unread_fields(&self) -> bool {
        self.head.has_unread
    }

    /// Every header field, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.head.fields()
    }

    /// The values of every field called `name`, in order, each as on the wire.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.head.values(name)
    }

    /// The elements of a list field: every field called `name`, split at its commas; trimmed, maybe empty.
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.values(name).flat_map(Elements::of)
    }

    /// The value of a field of which there may be one.
    ///
    /// # Errors
    /// [`Defect::Repeated`].
    pub fn single(&self, name: HeaderName) -> Result<Option<&'a [u8]>, Defect> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Defect::Repeated(name)),
        }
    }

    /// The value of a field of which there must be one.
    ///
    /// # Errors
    /// [`Defect::Repeated`] or [`Defect::Missing`].
    pub fn required(&self, name: HeaderName) -> Result<&'a [u8], Defect> {
        self.single(name)?.ok_or(Defect::Missing(name))
    }

    /// The body by the rules for datagrams (RFC 3261 §18.3): as many octets as Content-Length says, all of the
    /// rest where there is none. What is there when Content-Length says more or cannot be read;
    /// [`Message::check`] refuses such a message.
    pub fn body(&self) -> &'a [u8] {
        match self.content_length() {
            Ok(Some(octets)) => usize::try_from(octets)
                .ok()
                .and_then(|octets| self.after_head.get(..octets))
                .unwrap_or(self.after_head),
            _ => self.after_head,
        }
    }
}
