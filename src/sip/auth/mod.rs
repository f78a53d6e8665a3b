//! Digest authentication for both ways: what is challenged here, and what challenges us.
//!
//! Implements RFC 3261 §22 (as RFC 8760 updates it) and RFC 7616, where user name hashing is understood but not used by ourselves: `WWW-Authenticate`,
//! `Proxy-Authenticate`, `Authorization` and `Proxy-Authorization` are read and written ([`Challenge`],
//! [`Credentials`]), and their arithmetic done ([`Algorithm`], [`Ha1`]). Everything here is pure: nonces, client nonces
//! and counts are arguments.
//!
//! One field value holds one challenge or one set of credentials; several come as several fields (RFC 3261 §7.3.1). [`server`] is the side that challenges.

mod challenge;
mod credentials;
mod digest;
mod parameters;
pub(in crate::sip) mod server;

pub use challenge::{Account, Challenge, next_nonce};
pub use credentials::{Credentials, NonceCount, Protection};
pub use digest::{Algorithm, Answered, Ha1, HexDigest};
pub use server::{Authentication, MAX_NONCES, MAX_TRIERS, Policy, User};

/// Parameters of one challenge or one set of credentials.
pub const MAX_PARAMETERS: usize = 32;

/// Why a challenge or credentials cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthDefect {
    /// Another scheme than Digest.
    #[error("not the Digest scheme")]
    Scheme,
    /// Not `name=value` pairs, or more than [`MAX_PARAMETERS`].
    #[error("parameters that are not well formed")]
    Syntax,
    /// A parameter that stands twice: two readers might take different ones.
    #[error("`{0}` stands twice")]
    Repeated(&'static str),
    /// A parameter without which nothing can be computed.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A parameter whose value breaks its grammar.
    #[error("`{0}` cannot be read")]
    Value(&'static str),
    /// An algorithm that is none of [`Algorithm`].
    #[error("an algorithm that is not known")]
    Algorithm,
    /// A quality of protection without `auth` among its choices.
    #[error("a quality of protection other than auth")]
    Protection,
}

#[cfg(test)]
mod tests;
