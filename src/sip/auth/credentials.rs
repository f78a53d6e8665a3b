//! `Authorization` and `Proxy-Authorization` (RFC 3261 §22, RFC 7616 §3.4).

use super::AuthDefect;
use super::digest::{Algorithm, Answered, Ha1, HexDigest};
use super::parameters::{AuthParameters, write_quoted, write_token};
use std::fmt;

/// Digits of `nc`.
const COUNT_DIGITS: usize = 8;

/// `nc`: how many requests were sent with a nonce, eight hexadecimal digits (RFC 7616 §3.4). It is hashed as it was
/// written, so the digits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonceCount {
    value: u32,
    digits: [u8; COUNT_DIGITS],
}

impl NonceCount {
    /// `value` in lower-case digits.
    pub fn new(value: u32) -> Self {
        let mut digits = [b'0'; COUNT_DIGITS];
        for (digit, octet) in digits.iter_mut().zip(format!("{value:08x}").bytes()) {
            *digit = octet;
        }
        Self { value, digits }
    }

    /// Reads exactly eight hexadecimal digits, in either case.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits: [u8; COUNT_DIGITS] = text.try_into().ok()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let value = u32::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        Some(Self { value, digits })
    }

    /// The number.
    pub const fn value(&self) -> u32 {
        self.value
    }

    /// The digits as written.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.digits
    }
}

/// What `qop=auth` adds: the count and the client's nonce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    /// `nc`.
    pub count: NonceCount,
    /// `cnonce`.
    pub cnonce: Vec<u8>,
}

/// The answer to a challenge. Its `Debug` shows neither the user nor the response.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name, without quotes and escapes; where it is hashed, hexadecimal digits.
    pub username: Vec<u8>,
    /// Whether the user name stands there as its hash with the realm (RFC 7616 §3.4.4).
    pub is_hashed: bool,
    /// Of the challenge.
    pub realm: Vec<u8>,
    /// Of the challenge.
    pub nonce: Vec<u8>,
    /// `digest-uri`: the Request-URI the sender wrote, which proxies may have changed in the request since.
    pub uri: Vec<u8>,
    /// The response.
    pub response: HexDigest,
    /// `None` where none is named, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// Of the challenge.
    pub opaque: Option<Vec<u8>>,
    /// `None` for the response of RFC 2069.
    pub protection: Option<Protection>,
}

impl Credentials {
    /// Reads one field value. Unknown parameters are passed over.
    ///
    /// # Errors
    /// When there is nothing in it to verify.
    pub fn parse(value: &[u8]) -> Result<Self, AuthDefect> {
        let mut found = AuthParameters::read(value)?;
        let algorithm = match found.take("algorithm")? {
            Some(name) => Some(Algorithm::parse(&name).ok_or(AuthDefect::Algorithm)?),
            None => None,
        };
        let protection = protection(&mut found)?;
        if protection.is_none() && algorithm.is_some_and(Algorithm::is_session) {
            return Err(AuthDefect::Missing("qop"));
        }
        let is_hashed = found.take("userhash")?.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        let response = found.required("response")?;
        let response = HexDigest::parse(algorithm.unwrap_or(Algorithm::Md5), &response)
            .ok_or(AuthDefect::Value("response"))?;
        Ok(Self {
            username: found.required("username")?,
            is_hashed,
            realm: found.required("realm")?,
            nonce: found.required("nonce")?,
            uri: found.required("uri")?,
            response,
            algorithm,
            opaque: found.take("opaque")?,
            protection,
        })
    }

    /// The field value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut line = b"Digest".to_vec();
        write_quoted(&mut line, "username", &self.username);
        write_quoted(&mut line, "realm", &self.realm);
        write_quoted(&mut line, "nonce", &self.nonce);
        write_quoted(&mut line, "uri", &self.uri);
        write_quoted(&mut line, "response", self.response.as_bytes());
        if let Some(algorithm) = self.algorithm {
            write_token(&mut line, "algorithm", algorithm.as_str().as_bytes());
        }
        if let Some(Protection { count, cnonce }) = &self.protection {
            write_quoted(&mut line, "cnonce", cnonce);
            write_token(&mut line, "qop", b"auth");
            write_token(&mut line, "nc", count.as_bytes());
        }
        if let Some(opaque) = &self.opaque {
            write_quoted(&mut line, "opaque", opaque);
        }
        if self.is_hashed {
            write_token(&mut line, "userhash", b"true");
        }
        line
    }

    /// The algorithm meant.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }

    /// Whether the response is the one that `ha1` gives to a request of `method`. Compared in constant time.
    pub fn is_answer_of(&self, ha1: &Ha1, method: &[u8]) -> bool {
        let protection = self.protection.as_ref();
        let answered = Answered { nonce: &self.nonce, method, uri: &self.uri, protection };
        let expected = ha1.response(self.algorithm(), &answered);
        expected.is_some_and(|expected| expected == self.response)
            && ha1.algorithm() == self.algorithm().base()
    }
}

/// `qop`, `nc` and `cnonce`: all of them or none. A client nonce without `qop` is of no effect (RFC 7616 §3.4).
fn protection(found: &mut AuthParameters<'_>) -> Result<Option<Protection>, AuthDefect> {
    let (qop, count, cnonce) = (found.take("qop")?, found.take("nc")?, found.take("cnonce")?);
    match (qop, count, cnonce) {
        (None, None, _) => Ok(None),
        (None, Some(_), _) => Err(AuthDefect::Missing("qop")),
        (Some(qop), _, _) if !qop.eq_ignore_ascii_case(b"auth") => Err(AuthDefect::Protection),
        (_, None, _) => Err(AuthDefect::Missing("nc")),
        (_, _, None) => Err(AuthDefect::Missing("cnonce")),
        (Some(_), Some(count), Some(cnonce)) => {
            let count = NonceCount::parse(&count).ok_or(AuthDefect::Value("nc"))?;
            Ok(Some(Protection { count, cnonce }))
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("algorithm", &self.algorithm)
            .field("count", &self.protection.as_ref().map(|protection| protection.count.value()))
            .finish_non_exhaustive()
    }
}
