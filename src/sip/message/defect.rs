//! What can be wrong with a message, and what a user agent answers to it.

use super::HeaderName;

/// A datagram that cannot be read as a SIP message at all: nothing can be echoed, so it is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Nothing but line ends, NULs or nothing at all: a keep-alive (RFC 5626 §4.4.1 and the habit of many
    /// telephones). Not an error; count it apart.
    #[error("a keep-alive")]
    KeepAlive,
    /// Longer than [`super::MAX_MESSAGE_OCTETS`].
    #[error("longer than a datagram can be")]
    TooLong,
    /// The first line is neither a request line nor a status line.
    #[error("the first line is not SIP")]
    NotSip,
    /// A status line with a bad version or a code that is not 100–699 (RFC 4475 §3.1.2.19).
    #[error("a status line that cannot be read")]
    StatusLine,
}

/// What makes a message one that RFC 3261 has refused. For a request [`Defect::status`] and
/// [`Defect::phrase`] are the answer; a response or an ACK with a defect is dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Defect {
    /// Something else than `Method SP Request-URI SP SIP/2.0` (RFC 4475 §3.1.2.8–10).
    #[error("request line not well formed")]
    RequestLine,
    /// A version other than SIP/2.0 (RFC 4475 §3.1.2.16).
    #[error("SIP version not supported")]
    Version,
    /// The Request-URI is not a URI, or one that may not stand there (RFC 4475 §3.1.2.7, §3.1.2.11).
    #[error("Request-URI not well formed")]
    RequestUri,
    /// The Request-URI has a scheme other than sip, sips and tel (RFC 3261 §8.2.2.1).
    #[error("URI scheme not supported")]
    UriScheme,
    /// A line that ends without CRLF, or a CR or LF inside one.
    #[error("line ended without CRLF")]
    LineEnd,
    /// A line that is not `name: value`.
    #[error("header field without name or colon")]
    FieldLine,
    /// The datagram ends before the empty line.
    #[error("header not ended by an empty line")]
    Unended,
    /// More than [`super::MAX_HEADER_FIELDS`], or one longer than [`super::MAX_FIELD_OCTETS`].
    #[error("header too large")]
    HeaderTooLarge,
    /// A field that must be there is not.
    #[error("{0} missing")]
    Missing(HeaderName),
    /// A field that may be there once is there more often (RFC 4475 §3.3.8).
    #[error("{0} repeated")]
    Repeated(HeaderName),
    /// A field whose value breaks its grammar or range.
    #[error("{0} not well formed")]
    Syntax(HeaderName),
    /// Two Content-Length fields that differ (RFC 4475 §3.3.9).
    #[error("Content-Length contradictory")]
    ContentLengths,
    /// The body is shorter than Content-Length says (RFC 3261 §18.3).
    #[error("body shorter than Content-Length")]
    BodyTruncated,
    /// CSeq names another method than the request line (RFC 4475 §3.1.2.17).
    #[error("CSeq method does not match")]
    CSeqMethod,
}

impl Defect {
    /// The status a user agent server answers: 400, 416, 505 or 513.
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::UriScheme => 416,
            Self::HeaderTooLarge => 513,
            _ => 400,
        }
    }

    /// The reason phrase: one that names the mistake, as RFC 3261 §21.4.1 asks for 400.
    pub fn phrase(self) -> String {
        match self {
            Self::Version => "Version Not Supported".to_owned(),
            Self::UriScheme => "Unsupported URI Scheme".to_owned(),
            Self::HeaderTooLarge => "Message Too Large".to_owned(),
            other => format!("Bad Request: {other}"),
        }
    }
}
