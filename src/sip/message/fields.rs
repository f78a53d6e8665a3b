//! Typed, strict readers of the header fields.

use super::lex;
use super::{Contact, Defect, HeaderName, Message, Method, NameAddr, Parameters, StartLine, Uri, Via, date};
use jiff::Timestamp;

/// CSeq (RFC 3261 §20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2³¹ (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method of the request.
    pub method: Method<'a>,
}

/// Content-Type (RFC 3261 §20.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType<'a> {
    /// Before the slash; case-insensitive.
    pub kind: &'a [u8],
    /// After the slash; case-insensitive.
    pub subtype: &'a [u8],
    /// Such as `boundary`.
    pub parameters: Parameters<'a>,
}

/// One element of Accept (RFC 3261 §20.1); `*` in either part is a wildcard.
pub type MediaRange<'a> = MediaType<'a>;

/// Retry-After (RFC 3261 §20.33).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter<'a> {
    /// Seconds.
    pub seconds: u32,
    /// `;duration=` and others.
    pub parameters: Parameters<'a>,
}

impl<'a> Message<'a> {
    /// The Request-URI of a request.
    ///
    /// # Errors
    /// [`Defect::RequestUri`]; a response has none and yields the same.
    pub fn request_uri(&self) -> Result<Uri<'a>, Defect> {
        match self.start() {
            StartLine::Request { uri, .. } => Uri::parse(uri).ok_or(Defect::RequestUri),
            StartLine::Response { .. } => Err(Defect::RequestUri),
        }
    }

    /// The topmost Via.
    ///
    /// # Errors
    /// Missing, or not well formed.
    pub fn top_via(&self) -> Result<Via<'a>, Defect> {
        self.vias().next().unwrap_or(Err(Defect::Missing(HeaderName::Via)))
    }

    /// Every Via, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'a>, Defect>> + '_ {
        self.elements(HeaderName::Via).map(|value| Via::parse(value).ok_or(Defect::Syntax(HeaderName::Via)))
    }

    /// From.
    ///
    /// # Errors
    /// Missing, repeated, or not well formed.
    pub fn from(&self) -> Result<NameAddr<'a>, Defect> {
        self.single_address(HeaderName::From)
    }

    /// To.
    ///
    /// # Errors
    /// Missing, repeated, or not well formed.
    pub fn to(&self) -> Result<NameAddr<'a>, Defect> {
        self.single_address(HeaderName::To)
    }

    /// Call-ID; compared octet by octet (RFC 3261 §20.8).
    ///
    /// # Errors
    /// Missing, repeated, empty, or with white space in it.
    pub fn call_id(&self) -> Result<&'a [u8], Defect> {
        let value = self.required(HeaderName::CallId)?;
        let sound = !value.is_empty() && value.iter().all(|octet| octet.is_ascii_graphic() || *octet >= 0x80);
        if sound { Ok(value) } else { Err(Defect::Syntax(HeaderName::CallId)) }
    }

    /// CSeq.
    ///
    /// # Errors
    /// Missing, repeated, not well formed, or 2³¹ and more.
    pub fn cseq(&self) -> Result<CSeq<'a>, Defect> {
        let value = self.required(HeaderName::CSeq)?;
        let (number, rest) = lex::split_where(value, |octet| !octet.is_ascii_digit());
        let method = lex::trim_start(rest);
        match lex::number(number) {
            Some(number) if number < 1 << 31 && method.len() < rest.len() && lex::is_token_text(method) => {
                Ok(CSeq { number, method: Method::from_octets(method) })
            }
            _ => Err(Defect::Syntax(HeaderName::CSeq)),
        }
    }

    /// Max-Forwards, 0–255; absent from requests of RFC 2543.
    ///
    /// # Errors
    /// Repeated, or not a number in that range.
    pub fn max_forwards(&self) -> Result<Option<u8>, Defect> {
        self.number(HeaderName::MaxForwards)?
            .map(|value| u8::try_from(value).map_err(|_| Defect::Syntax(HeaderName::MaxForwards)))
            .transpose()
    }

    /// Expires, in seconds.
    ///
    /// # Errors
    /// Repeated, or not a number below 2³².
    pub fn expires(&self) -> Result<Option<u32>, Defect> {
        self.number(HeaderName::Expires)
    }

    /// Content-Length, in octets. Several fields that agree count as one.
    ///
    /// # Errors
    /// [`Defect::ContentLengths`] when they differ, or not a number below 2³².
    pub fn content_length(&self) -> Result<Option<u32>, Defect> {
        let mut found = None;
        for value in self.values(HeaderName::ContentLength) {
            let octets = lex::number(value).ok_or(Defect::Syntax(HeaderName::ContentLength))?;
            if found.is_some_and(|earlier| earlier != octets) {
                return Err(Defect::ContentLengths);
            }
            found = Some(octets);
        }
        Ok(found)
    }

    /// Content-Type.
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn content_type(&self) -> Result<Option<MediaType<'a>>, Defect> {
        let name = HeaderName::ContentType;
        self.single(name)?.map(|value| MediaType::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// Content-Encoding: the codings, outermost last.
    pub fn content_encoding(&self) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.tokens(HeaderName::ContentEncoding)
    }

    /// Content-Disposition: its type (`session`, `render` …) and parameters (`handling`).
    ///
    /// # Errors
    /// Repeated, or not well formed.
    pub fn content_disposition(&self) -> Result<Option<(&'a [u8], Parameters<'a>)>, Defect> {
        let name = HeaderName::ContentDisposition;
        let Some(value) = self.single(name)? else { return Ok(None) };
        let (kind, parameters) = lex::split_where(value, |octet| *octet == b';');
        let kind = lex::trim_end(kind);
        match Parameters::parse(parameters) {
            Some(parameters) if lex::is_token_text(kind) => Ok(Some((kind, parameters))),
            _ => Err(Defect::Syntax(name)),
        }
    }

    /// Whether the sender lets us pass over a body that is not understood (RFC 3261 §20.11).
    pub fn is_optional(&self) -> bool {
        let Ok(Some((_, parameters))) = self.content_disposition() else { return false };
        parameters.value("handling").is_some_and(|handling| handling.eq_ignore_ascii_case(b"optional"))
    }

    /// The media ranges of Accept; `None` when there is no such field, which for INVITE and OPTIONS means
    /// `application/sdp` (RFC 3261 §20.1). An empty field accepts nothing.
    pub fn accept(&self) -> Option<impl Iterator<Item = Result<MediaRange<'a>, Defect>> + '_> {
        self.values(HeaderName::Accept).next()?;
        let ranges = self.elements(HeaderName::Accept).filter(|element| !element.is_empty());
        Some(ranges.map(|range| MediaType::parse(range).ok_or(Defect::Syntax(HeaderName::Accept))))
    }

    /// The methods of Allow.
    pub fn allow(&self) -> impl Iterator<Item = Result<Method<'a>, Defect>> + '_ {
        self.tokens(HeaderName::Allow).map(|token| token.map(Method::from_octets))
    }

    /// The option tags of Require.
    pub fn require(&self) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.tokens(HeaderName::Require)
    }

    /// The option tags of Proxy-Require.
    pub fn proxy_require(&self) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.tokens(HeaderName::ProxyRequire)
    }

    /// The option tags of Supported.
    pub fn supported(&self) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.tokens(HeaderName::Supported)
    }

    /// Every Contact, in order.
    pub fn contacts(&self) -> impl Iterator<Item = Result<Contact<'a>, Defect>> + '_ {
        self.elements(HeaderName::Contact).map(|value| match value {
            b"*" => Ok(Contact::Any),
            _ => NameAddr::parse(value).map(Contact::Address).ok_or(Defect::Syntax(HeaderName::Contact)),
        })
    }

    /// Every Route, topmost first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, Defect>> + '_ {
        self.route_addresses(HeaderName::Route)
    }

    /// Every Record-Route, topmost first.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, Defect>> + '_ {
        self.route_addresses(HeaderName::RecordRoute)
    }

    /// P-Asserted-Identity (RFC 3325 §9.1): one or two addresses, `sip:`/`sips:` and `tel:`. More than that, or
    /// two of a kind, is for the caller to judge.
    pub fn asserted_identities(&self) -> impl Iterator<Item = Result<NameAddr<'a>, Defect>> + '_ {
        let name = HeaderName::PAssertedIdentity;
        self.elements(name).map(move |value| NameAddr::parse(value).ok_or(Defect::Syntax(name)))
    }

    /// The values of Privacy (RFC 3323 §4.2: `id`, `user`, `header`, `none` …), separated by semicolons there;
    /// commas are taken as well, since stacks that fold repeated fields write them.
    pub fn privacy(&self) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.elements(HeaderName::Privacy)
            .flat_map(|element| element.split(|octet| *octet == b';'))
            .map(lex::trim)
            .filter(|value| !value.is_empty())
            .map(
                |value| {
                    if lex::is_token_text(value) {
                        Ok(value)
                    } else {
                        Err(Defect::Syntax(HeaderName::Privacy))
                    }
                },
            )
    }

    /// Date (RFC 3261 §20.17: always GMT).
    ///
    /// # Errors
    /// Repeated, or not a SIP-date.
    pub fn date(&self) -> Result<Option<Timestamp>, Defect> {
        let name = HeaderName::Date;
        self.single(name)?.map(|value| date::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// Retry-After.
    ///
    /// # Errors
    /// Repeated, not well formed, or 2³² seconds and more.
    pub fn retry_after(&self) -> Result<Option<RetryAfter<'a>>, Defect> {
        let name = HeaderName::RetryAfter;
        self.single(name)?.map(|value| RetryAfter::parse(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// User-Agent as on the wire.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.values(HeaderName::UserAgent).next()
    }

    /// Identity as on the wire (RFC 8224).
    pub fn identities(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.values(HeaderName::Identity)
    }

    fn single_address(&self, name: HeaderName) -> Result<NameAddr<'a>, Defect> {
        NameAddr::parse(self.required(name)?).ok_or(Defect::Syntax(name))
    }

    /// Route and Record-Route take a `name-addr` only.
    fn route_addresses(&self, name: HeaderName) -> impl Iterator<Item = Result<NameAddr<'a>, Defect>> + '_ {
        self.elements(name).map(move |value| {
            NameAddr::parse(value).filter(|_| value.contains(&b'<')).ok_or(Defect::Syntax(name))
        })
    }

    fn number(&self, name: HeaderName) -> Result<Option<u32>, Defect> {
        self.single(name)?.map(|value| lex::number(value).ok_or(Defect::Syntax(name))).transpose()
    }

    /// A list of tokens. Empty elements are passed over: `Allow: INVITE, ACK,` is a common slip that means
    /// nothing else.
    fn tokens(&self, name: HeaderName) -> impl Iterator<Item = Result<&'a [u8], Defect>> + '_ {
        self.elements(name)
            .filter(|element| !element.is_empty())
            .map(move |token| if lex::is_token_text(token) { Ok(token) } else { Err(Defect::Syntax(name)) })
    }
}

impl<'a> MediaType<'a> {
    /// Reads `type/subtype;parameters`.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let (kind, rest) = lex::split_once(value, b'/')?;
        let (subtype, parameters) = lex::split_where(rest, |octet| *octet == b';');
        let (kind, subtype) = (lex::trim(kind), lex::trim(subtype));
        if !lex::is_token_text(kind) || !lex::is_token_text(subtype) {
            return None;
        }
        Some(Self { kind, subtype, parameters: Parameters::parse(parameters)? })
    }

    /// Whether it is `kind/subtype`, in any case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Whether this media range covers `kind/subtype`.
    pub fn covers(&self, kind: &str, subtype: &str) -> bool {
        let part = |range: &[u8], text: &str| range == b"*" || range.eq_ignore_ascii_case(text.as_bytes());
        part(self.kind, kind) && part(self.subtype, subtype)
    }
}

impl<'a> RetryAfter<'a> {
    /// `seconds [comment] *(;parameter)`.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (seconds, rest) = lex::split_where(value, |octet| !octet.is_ascii_digit());
        let seconds = lex::number(seconds)?;
        let rest = after_comment(lex::trim_start(rest))?;
        Some(Self { seconds, parameters: Parameters::parse(rest)? })
    }
}

/// What follows a comment in parentheses (which may nest), or `text` where there is none.
fn after_comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0u32;
    let mut rest = text;
    loop {
        rest = match rest {
            [b'\\', _, after @ ..] if depth > 0 => after,
            [b'(', after @ ..] => {
                depth += 1;
                after
            }
            [b')', after @ ..] if depth > 0 => {
                depth -= 1;
                after
            }
            [_, after @ ..] if depth > 0 => after,
            [] if depth > 0 => return None,
            _ => return Some(lex::trim_start(rest)),
        };
    }
}
