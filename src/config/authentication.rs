//! `[authentication]` and `[[users]]`: how callers prove who they are (RFC 3261 §22), where a peer must.

use super::problem::{Problem, problem, within};
use crate::call;
use crate::sip::auth::{self, Algorithm, Ha1, HexDigest, Policy};
use crate::units::{Msisdn, Secret};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest user name and password, octets.
const TEXT_MAX_OCTETS: usize = 256;

/// `[authentication]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// The realm of every challenge. Stored digests (`ha1`) hold it too.
    pub realm: String,
    /// Algorithms offered, each in a challenge of its own.
    pub algorithms: Vec<AlgorithmName>,
    /// How long the nonce of a challenge may be used, s.
    pub nonce_life_s: u64,
    /// Whether MD5 without `qop` is taken, from peers older than RFC 2617.
    pub allow_no_qop: bool,
    /// Whether challenges say that user names may be hashed (RFC 7616 §3.4.4).
    pub userhash: bool,
    /// Whether requests within calls must authenticate too.
    pub within_calls: bool,
    /// Wrong tries of a user name from one address before more are refused.
    pub max_wrong_tries: u32,
    /// For how long they are refused then, s.
    pub lock_out_s: u64,
}

impl Default for Authentication {
    fn default() -> Self {
        Self {
            realm: "klikon".to_owned(),
            algorithms: vec![AlgorithmName(Algorithm::Sha256), AlgorithmName(Algorithm::Md5)],
            nonce_life_s: 60,
            allow_no_qop: false,
            userhash: false,
            within_calls: false,
            max_wrong_tries: 10,
            lock_out_s: 300,
        }
    }
}

/// `MD5`, `SHA-256`, `SHA-512-256`, or one of them with `-sess`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AlgorithmName(Algorithm);

impl TryFrom<String> for AlgorithmName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = || Algorithm::ALL.map(Algorithm::as_str).join(", ");
        Algorithm::parse(text.as_bytes())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no algorithm; write one of {}", known()))
    }
}

/// One of `[[users]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user name of the credentials.
    pub name: String,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Instead of it, hexadecimal MD5 of `name:realm:password`.
    #[serde(default)]
    pub ha1_md5: Option<Secret>,
    /// The same in SHA-256.
    #[serde(default)]
    pub ha1_sha256: Option<Secret>,
    /// The same in SHA-512/256.
    #[serde(default)]
    pub ha1_sha512_256: Option<Secret>,
    /// The numbers that are the user's: what he may say he is.
    #[serde(default)]
    pub identities: Vec<Msisdn>,
    /// Whether the user speaks for others, as a PBX does: then his peer's identity header is believed.
    #[serde(default)]
    pub asserts: bool,
}

impl User {
    /// Stored digests, by algorithm.
    fn stored(&self) -> [(&'static str, Algorithm, Option<&Secret>); 3] {
        [
            ("ha1_md5", Algorithm::Md5, self.ha1_md5.as_ref()),
            ("ha1_sha256", Algorithm::Sha256, self.ha1_sha256.as_ref()),
            ("ha1_sha512_256", Algorithm::Sha512Slash256, self.ha1_sha512_256.as_ref()),
        ]
    }

    fn secrets(&self, realm: &str) -> Vec<Ha1> {
        let stored = self.stored().into_iter().filter_map(|(_, algorithm, digest)| {
            let digest = HexDigest::parse(algorithm, digest?.expose().as_bytes())?;
            Some(Ha1::stored(algorithm, digest))
        });
        let of_password = self.password.iter().flat_map(|password| {
            [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512Slash256].map(|algorithm| {
                Ha1::new(algorithm, self.name.as_bytes(), realm.as_bytes(), password.expose().as_bytes())
            })
        });
        stored.chain(of_password).collect()
    }

    /// For the calls.
    pub fn identity(&self) -> call::User {
        call::User { name: self.name.clone(), identities: self.identities.clone(), asserts: self.asserts }
    }

    fn check(&self, key: &str, found: &mut Vec<Problem>) {
        let is_text = |text: &str| {
            !text.is_empty() && text.len() <= TEXT_MAX_OCTETS && !text.contains(char::is_control)
        };
        if !is_text(&self.name) {
            problem(
                found,
                &format!("{key}.name"),
                "empty, too long, or with control characters",
                "write the user name of the credentials",
            );
        }
        let has_digest = self.stored().iter().any(|(_, _, digest)| digest.is_some());
        match &self.password {
            Some(_) if has_digest => problem(
                found,
                key,
                "it has a password and a digest of one",
                "write `password`, or digests (`ha1_sha256` …)",
            ),
            None if !has_digest => {
                problem(found, key, "it has no secret", "write `password`, or digests (`ha1_sha256` …)");
            }
            Some(password) if !is_text(password.expose()) => problem(
                found,
                &format!("{key}.password"),
                "empty, too long, or with control characters",
                "write 1 to 256 octets of text",
            ),
            _ => {}
        }
        for (name, algorithm, digest) in self.stored() {
            if digest.is_some_and(|digest| HexDigest::parse(algorithm, digest.expose().as_bytes()).is_none())
            {
                problem(
                    found,
                    &format!("{key}.{name}"),
                    "not a digest",
                    &format!(
                        "write {} hexadecimal digits: {} of name:realm:password",
                        algorithm.hex_digits(),
                        algorithm.as_str()
                    ),
                );
            }
        }
        if self.identities.is_empty() != self.asserts {
            problem(
                found,
                &format!("{key}.identities"),
                "it must be said who the user is",
                "write the user's numbers, like [\"+355691234567\"]; or `asserts = true` for a PBX that speaks for others",
            );
        }
    }
}

impl Authentication {
    pub(super) fn check(&self, users: &[User], found: &mut Vec<Problem>) {
        let realm_safe = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
        };
        if !realm_safe(&self.realm) {
            problem(
                found,
                "authentication.realm",
                "empty, or with characters that a realm should not hold",
                "write printable ASCII without quotes",
            );
        }
        if self.algorithms.is_empty() {
            problem(
                found,
                "authentication.algorithms",
                "none, so nobody could authenticate",
                "write [\"SHA-256\", \"MD5\"]",
            );
        }
        within(found, "authentication.nonce_life_s", self.nonce_life_s, 5, 3600);
        within(found, "authentication.max_wrong_tries", self.max_wrong_tries, 1, 1_000_000);
        within(found, "authentication.lock_out_s", self.lock_out_s, 1, 86_400);
        let mut names = BTreeSet::new();
        for (index, user) in users.iter().enumerate() {
            let key = format!("users[{index}]");
            user.check(&key, found);
            if !names.insert(&user.name) {
                problem(
                    found,
                    &format!("{key}.name"),
                    &format!("`{}` stands twice", user.name.escape_debug()),
                    "give each user a name of his own",
                );
            }
        }
    }

    /// For the endpoint.
    pub fn settings(&self, users: &[User], policy: Arc<dyn Policy>) -> auth::Authentication {
        let user = |user: &User| auth::User { name: user.name.clone(), secrets: user.secrets(&self.realm) };
        auth::Authentication {
            realm: self.realm.clone(),
            algorithms: self.algorithms.iter().map(|name| name.0).collect(),
            nonce_life: Duration::from_secs(self.nonce_life_s),
            allow_unprotected: self.allow_no_qop,
            userhash: self.userhash,
            within_calls: self.within_calls,
            max_wrong_tries: self.max_wrong_tries,
            lock_out: Duration::from_secs(self.lock_out_s),
            users: users.iter().map(user).collect(),
            policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Settings;

    const DIGEST: &str = "23794b6b1f1a2f4a1f7b1e8b0d3b5b5a23794b6b1f1a2f4a1f7b1e8b0d3b5b5a";

    #[test]
    fn users_are_read_and_their_secrets_hidden() {
        let text = format!(
            r#"
            [[users]]
            name = "lider"
            password = "sekret"
            identities = ["0691234567"]
            [[users]]
            name = "pbx"
            ha1_sha256 = "{DIGEST}"
            asserts = true
            "#
        );
        let settings = Settings::parse(&text, "k.toml").unwrap();
        let shown = format!("{settings:?}");
        assert!(!shown.contains("sekret") && !shown.contains(DIGEST), "{shown}");
        let secrets: Vec<_> = settings.users.iter().map(|user| user.secrets("klikon").len()).collect();
        assert_eq!(secrets, [3, 1]);
        assert!(settings.users[1].identity().asserts);
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_mend() {
        for (text, wrong) in [
            ("[authentication]\nrealm = \"\"", "`authentication.realm`: empty"),
            ("[authentication]\nalgorithms = []", "`authentication.algorithms`: none"),
            ("[authentication]\nalgorithms = [\"SHA-1\"]", "`SHA-1` is no algorithm; write one of MD5"),
            ("[authentication]\nnonce_life_s = 1", "`authentication.nonce_life_s`: 1 is out of range"),
            ("[[users]]\nname = \"\"\npassword = \"x\"\nasserts = true", "`users[0].name`: empty"),
            ("[[users]]\nname = \"a\"\nasserts = true", "`users[0]`: it has no secret"),
            ("[[users]]\nname = \"a\"\npassword = \"x\"", "`users[0].identities`: it must be said"),
            (
                "[[users]]\nname = \"a\"\nha1_md5 = \"12\"\nasserts = true",
                "`users[0].ha1_md5`: not a digest; write 32 hexadecimal digits: MD5 of name:realm:password",
            ),
            (
                "[[users]]\nname = \"a\"\npassword = \"x\"\nidentities = [\"130\"]",
                "`130` is not a mobile number",
            ),
            (
                "[[peers]]\nname = \"a\"\naddresses = [\"0.0.0.0/0\"]\ndigest = true",
                "`peers[0].digest`: there are no users",
            ),
            ("[[peers]]\nname = \"a\"", "`peers[0].addresses`: no address range and no certificate"),
            (
                "[[peers]]\nname = \"a\"\ncertificates = [\"*.example\"]",
                "`peers[0].certificates`: `*.example` is not a host",
            ),
        ] {
            let error = Settings::parse(text, "k.toml").unwrap_err().to_string();
            assert!(error.contains(wrong), "{wrong}\n not in\n{error}");
        }
        let twice = "[[users]]\nname = \"a\"\npassword = \"x\"\nasserts = true\n".repeat(2);
        let error = Settings::parse(&twice, "k.toml").unwrap_err().to_string();
        assert!(error.contains("`users[1].name`: `a` stands twice"), "{error}");
    }
}
