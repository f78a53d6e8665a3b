//! `WWW-Authenticate` and `Proxy-Authenticate` (RFC 3261 §22, RFC 7616 §3.3).

use super::credentials::{Credentials, NonceCount, Protection};
use super::digest::{Algorithm, Answered, Ha1};
use super::parameters::{AuthParameters, write_quoted, write_token};
use super::{AuthDefect, HexDigest};
use std::fmt;

/// The nonce that Authentication-Info names for the next request (RFC 7616 §3.5); `None` where the value names none, or
/// cannot be read.
pub fn next_nonce(value: &[u8]) -> Option<Vec<u8>> {
    AuthParameters::read_bare(value).ok()?.take("nextnonce").ok()?.filter(|nonce| !nonce.is_empty())
}

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Where the user name and password are valid.
    pub realm: Vec<u8>,
    /// What the response is computed over.
    pub nonce: Vec<u8>,
    /// Comes back as it is.
    pub opaque: Option<Vec<u8>>,
    /// `None` where none is named, which means MD5.
    pub algorithm: Option<Algorithm>,
    /// Whether `auth` is among the qualities of protection offered; without, the response is that of RFC 2069.
    pub protected: bool,
    /// The response before was right but for the age of its nonce.
    pub stale: bool,
    /// Whether the user name may be hashed (RFC 7616 §3.4.4).
    pub userhash: bool,
}

impl Challenge {
    /// Reads one field value. Unknown parameters are passed over.
    ///
    /// # Errors
    /// When it cannot be answered: another scheme, an unknown algorithm, only other qualities of protection than `auth`.
    /// RFC 8760 §2.4 has a client pass such a challenge over and take the next.
    pub fn parse(value: &[u8]) -> Result<Self, AuthDefect> {
        let mut found = AuthParameters::read(value)?;
        let algorithm = match found.take("algorithm")? {
            Some(name) => Some(Algorithm::parse(&name).ok_or(AuthDefect::Algorithm)?),
            None => None,
        };
        let protected = match found.take("qop")? {
            None => false,
            Some(offered) if offers_auth(&offered) => true,
            Some(_) => return Err(AuthDefect::Protection),
        };
        if !protected && algorithm.is_some_and(Algorithm::is_session) {
            return Err(AuthDefect::Missing("qop"));
        }
        let stale = found.take("stale")?.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        let userhash = found.take("userhash")?.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        Ok(Self {
            realm: found.required("realm")?,
            nonce: found.required("nonce")?,
            opaque: found.take("opaque")?,
            algorithm,
            protected,
            stale,
            userhash,
        })
    }

    /// The field value.
    pub fn to_value(&self) -> Vec<u8> {
        let mut line = b"Digest".to_vec();
        write_quoted(&mut line, "realm", &self.realm);
        write_quoted(&mut line, "nonce", &self.nonce);
        if let Some(opaque) = &self.opaque {
            write_quoted(&mut line, "opaque", opaque);
        }
        if self.stale {
            write_token(&mut line, "stale", b"true");
        }
        if let Some(algorithm) = self.algorithm {
            write_token(&mut line, "algorithm", algorithm.as_str().as_bytes());
        }
        if self.protected {
            write_quoted(&mut line, "qop", b"auth");
        }
        if self.userhash {
            write_token(&mut line, "userhash", b"true");
        }
        line
    }

    /// The algorithm meant.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(Algorithm::Md5)
    }

    /// Answers for `account`. `uri` is the Request-URI as it will stand; `cnonce` random; `count` how many requests were
    /// sent with this nonce, this one included.
    pub fn answer(
        &self,
        account: &Account<'_>,
        method: &[u8],
        uri: &[u8],
        cnonce: &[u8],
        count: u32,
    ) -> Option<Credentials> {
        let protection =
            self.protected.then(|| Protection { count: NonceCount::new(count), cnonce: cnonce.to_vec() });
        let answered = Answered { nonce: &self.nonce, method, uri, protection: protection.as_ref() };
        let ha1 = Ha1::new(self.algorithm(), account.username, &self.realm, account.password);
        let response: HexDigest = ha1.response(self.algorithm(), &answered)?;
        Some(Credentials {
            username: account.username.to_vec(),
            is_hashed: false,
            realm: self.realm.clone(),
            nonce: self.nonce.clone(),
            uri: uri.to_vec(),
            response,
            algorithm: self.algorithm,
            opaque: self.opaque.clone(),
            protection,
        })
    }
}

/// `auth` in a list such as `auth,auth-int`.
fn offers_auth(offered: &[u8]) -> bool {
    offered.split(|octet| *octet == b',').any(|choice| choice.trim_ascii().eq_ignore_ascii_case(b"auth"))
}

/// Who answers a challenge. Its `Debug` hides the password.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    /// The user name.
    pub username: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

impl fmt::Debug for Account<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Account").finish_non_exhaustive()
    }
}
