//! `[[trunks]]`: the PBXs and registrars that this service registers at and watches.

use super::problem::{Problem, problem, within};
use crate::call::{Peer, TrunkSettings};
use crate::sip::message::{SipUri, Uri};
use crate::sip::registration::RegistrationSettings;
use crate::units::Secret;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Trunks at most.
const MAX_TRUNKS: usize = 64;
/// Longest password, octets.
const PASSWORD_MAX_OCTETS: usize = 256;

/// One of `[[trunks]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// For logs.
    pub name: String,
    /// The registrar or proxy: `sip:HOST`, with `:PORT` and `;transport=` where they differ from what the DNS says.
    pub uri: String,
    /// The user to register as; without one nothing is registered.
    #[serde(default)]
    pub user: Option<String>,
    /// User name in the answers to challenges; that of `user` when unset.
    #[serde(default)]
    pub auth_user: Option<String>,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Only challenges of this realm are answered.
    #[serde(default)]
    pub realm: Option<String>,
    /// User part of our Contact: the number that calls by the registration ask for.
    #[serde(default = "Trunk::default_contact_user")]
    pub contact_user: String,
    /// The life of the registration that is asked for, s.
    #[serde(default = "Trunk::default_expires_s")]
    pub expires_s: u32,
    /// Between two OPTIONS to the trunk, s; 0 sends none.
    #[serde(default = "Trunk::default_options_interval_s")]
    pub options_interval_s: u64,
    /// Between two pings by the connection (TCP, TLS, WebSocket) of the registration, s, at the longest; 0 sends none.
    #[serde(default = "Trunk::default_keep_alive_s")]
    pub keep_alive_s: u64,
    /// URI of a proxy that everything goes through.
    #[serde(default)]
    pub outbound_proxy: Option<String>,
    /// The name of the peer that its calls come from.
    #[serde(default)]
    pub peer: Option<String>,
}

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the password of trunk `{trunk}` cannot be read from {}; put it there, or change `password_file`", path.display())]
pub struct PasswordError {
    /// Of which trunk.
    pub trunk: String,
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

impl Trunk {
    fn default_contact_user() -> String {
        "130".to_owned()
    }

    const fn default_expires_s() -> u32 {
        3600
    }

    const fn default_options_interval_s() -> u64 {
        60
    }

    /// RFC 5626 §4.4.1: at most 120 s for connections.
    const fn default_keep_alive_s() -> u64 {
        120
    }

    pub(super) fn resolve_below(&mut self, folder: &Path) {
        if let Some(path) = &mut self.password_file {
            *path = folder.join(&path);
        }
    }

    /// What the trunk's tasks need.
    ///
    /// # Errors
    /// Where the password's file cannot be read.
    pub fn to_runtime(&self) -> Result<TrunkSettings, PasswordError> {
        let registration = match &self.user {
            Some(user) => Some(RegistrationSettings {
                registrar: self.uri.clone(),
                address_of_record: self.address_of_record(user),
                contact_user: self.contact_user.clone(),
                auth_user: self.auth_user.as_ref().unwrap_or(user).clone(),
                password: self.read_password()?,
                realm: self.realm.clone(),
                expires_s: self.expires_s,
                outbound_proxy: self.outbound_proxy.clone(),
            }),
            None => None,
        };
        Ok(TrunkSettings {
            name: self.name.clone(),
            peer: self.peer.clone(),
            uri: self.uri.clone(),
            registration,
            contact_user: self.contact_user.clone(),
            outbound_proxy: self.outbound_proxy.clone(),
            keep_alive: (self.keep_alive_s > 0).then(|| Duration::from_secs(self.keep_alive_s)),
            options_interval: (self.options_interval_s > 0)
                .then(|| Duration::from_secs(self.options_interval_s)),
        })
    }

    /// `sip:USER@HOST`, where HOST is the trunk's, without port and parameters.
    fn address_of_record(&self, user: &str) -> String {
        let scheme = if self.uri.starts_with("sips:") { "sips" } else { "sip" };
        let host = self.uri.split_once(':').map_or("", |(_, rest)| rest);
        let host = host.split([';', '?']).next().unwrap_or_default();
        let host = match (host.rfind(']'), host.rfind(':')) {
            (Some(end), _) => host.get(..=end).unwrap_or(host),
            (None, Some(colon)) => host.get(..colon).unwrap_or(host),
            (None, None) => host,
        };
        format!("{scheme}:{user}@{host}")
    }

    fn read_password(&self) -> Result<Option<Secret>, PasswordError> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let failed = |source| PasswordError { trunk: self.name.clone(), path: path.clone(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let password = text.trim_end_matches(['\r', '\n']);
        if password.is_empty() || password.len() > PASSWORD_MAX_OCTETS {
            let error =
                std::io::Error::new(std::io::ErrorKind::InvalidData, "empty, or longer than 256 octets");
            return Err(failed(error));
        }
        Ok(Some(Secret::new(password)))
    }

    fn check(&self, key: &str, peers: &[Peer], found: &mut Vec<Problem>) {
        let key = |name: &str| format!("{key}.{name}");
        if self.name.trim().is_empty() {
            problem(found, &key("name"), "it is empty", "name the trunk, like \"pbx-1\"");
        }
        if !is_server(&self.uri) {
            problem(
                found,
                &key("uri"),
                &format!("`{}` is no SIP URI of a server", self.uri),
                "write it without a user, like \"sip:pbx.example.com\" or \"sip:192.0.2.20:5060\"",
            );
        }
        if let Some(proxy) = self.outbound_proxy.as_ref().filter(|proxy| !is_server(proxy)) {
            problem(
                found,
                &key("outbound_proxy"),
                &format!("`{proxy}` is no SIP URI of a server"),
                "write it without a user, like \"sip:proxy.example.com\"",
            );
        }
        self.check_users(&key, found);
        if let Some(peer) = self.peer.as_ref().filter(|name| peers.iter().all(|peer| peer.name != **name)) {
            problem(
                found,
                &key("peer"),
                &format!("no peer is named `{peer}`"),
                "write the name of one of [[peers]]",
            );
        }
        within(found, &key("expires_s"), self.expires_s, 60, 86_400);
        if self.keep_alive_s != 0 {
            within(found, &key("keep_alive_s"), self.keep_alive_s, 1, 840);
        }
        if self.options_interval_s != 0 {
            within(found, &key("options_interval_s"), self.options_interval_s, 1, 3600);
        }
    }

    fn check_users(&self, key: &dyn Fn(&str) -> String, found: &mut Vec<Problem>) {
        let users = [("user", self.user.as_deref()), ("contact_user", Some(&*self.contact_user))];
        for (name, user) in users {
            if let Some(user) = user.filter(|user| !is_user(user)) {
                problem(
                    found,
                    &key(name),
                    &format!("`{user}` cannot stand in a SIP URI"),
                    "write letters and digits, and other characters as %HH",
                );
            }
        }
        let has_password = self.password.is_some() || self.password_file.is_some();
        if self.user.is_none() && (has_password || self.auth_user.is_some() || self.realm.is_some()) {
            problem(
                found,
                &key("user"),
                "unset, so that nothing is registered and no password is used",
                "name the user to register as, or leave password, auth_user and realm out",
            );
        }
        if self.password.is_some() && self.password_file.is_some() {
            problem(found, &key("password"), "set beside password_file", "leave one of them out");
        }
        if self.password.as_ref().is_some_and(|password| !is_password(password)) {
            problem(
                found,
                &key("password"),
                "empty, or longer than 256 octets",
                "write the trunk's password",
            );
        }
    }
}

/// Checks all trunks.
pub(super) fn check(trunks: &[Trunk], peers: &[Peer], found: &mut Vec<Problem>) {
    within(found, "trunks", trunks.len(), 0, MAX_TRUNKS);
    for (index, trunk) in trunks.iter().enumerate() {
        let key = format!("trunks[{index}]");
        trunk.check(&key, peers, found);
        if trunks.iter().take(index).any(|earlier| earlier.name == trunk.name) {
            problem(
                found,
                &format!("{key}.name"),
                &format!("`{}` stands twice", trunk.name),
                "give each trunk a name of its own",
            );
        }
    }
}

fn is_password(password: &Secret) -> bool {
    (1..=PASSWORD_MAX_OCTETS).contains(&password.expose().len())
}

fn is_server(text: &str) -> bool {
    matches!(Uri::parse(text.as_bytes()), Some(Uri::Sip(SipUri { user: None, headers: None, .. })))
}

fn is_user(user: &str) -> bool {
    let uri = format!("sip:{user}@a");
    matches!(
        Uri::parse(uri.as_bytes()),
        Some(Uri::Sip(SipUri { user: Some(read), password: None, .. })) if read == user.as_bytes()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn read(text: &str) -> Result<Vec<Trunk>, String> {
        Settings::parse(text, "t").map(|settings| settings.trunks).map_err(|error| error.to_string())
    }

    #[test]
    fn a_trunk_that_is_only_watched_and_one_that_registers() {
        let trunks = read(
            r#"
            [[trunks]]
            name = "sbc"
            uri = "sip:192.0.2.9"
            [[trunks]]
            name = "pbx"
            uri = "sip:[2001:db8::1]:5070;transport=udp"
            user = "klikon"
            password = "geheim"
            options_interval_s = 0
            peer = "loopback"
            "#,
        )
        .unwrap();
        let [sbc, pbx] = &trunks[..] else { panic!("two") };
        let (sbc, pbx) = (sbc.to_runtime().unwrap(), pbx.to_runtime().unwrap());
        assert!(sbc.registration.is_none());
        assert_eq!(sbc.options_interval, Some(Duration::from_secs(60)));
        assert_eq!(pbx.options_interval, None);
        let registration = pbx.registration.unwrap();
        assert_eq!(registration.address_of_record, "sip:klikon@[2001:db8::1]");
        assert_eq!(registration.auth_user, "klikon");
        assert_eq!(registration.password.unwrap().expose(), "geheim");
        assert!(!format!("{trunks:?}").contains("geheim"));
    }

    #[test]
    fn a_password_may_stand_in_a_file_beside_the_settings() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("klikon.toml");
        let text = "[[trunks]]\nname = \"a\"\nuri = \"sip:a.example:5060\"\nuser = \"u\"\npassword_file = \"a.password\"\n";
        std::fs::write(&settings, text).unwrap();
        let load = || Settings::load(&settings).unwrap().trunks[0].to_runtime();
        let error = load().unwrap_err().to_string();
        assert!(error.contains("a.password") && error.contains("trunk `a`"), "{error}");
        std::fs::write(folder.path().join("a.password"), "from a file\n").unwrap();
        let registration = load().unwrap().registration.unwrap();
        assert_eq!(registration.password.unwrap().expose(), "from a file");
        assert_eq!(registration.address_of_record, "sip:u@a.example");
        std::fs::write(folder.path().join("a.password"), "\n").unwrap();
        assert!(load().is_err());
    }

    #[test]
    fn every_unusable_key_is_named_with_its_mend() {
        let error = read(
            r#"
            [[trunks]]
            name = "a"
            uri = "sip:130@pbx.example"
            password = "geheim"
            [[trunks]]
            name = "a"
            uri = "tel:+355"
            user = "a b"
            password = "geheim"
            password_file = "x"
            expires_s = 1
            options_interval_s = 100000
            outbound_proxy = "proxy"
            peer = "nobody"
            "#,
        )
        .unwrap_err();
        for line in [
            "`trunks[0].uri`: `sip:130@pbx.example` is no SIP URI of a server",
            "`trunks[0].user`: unset, so that nothing is registered",
            "`trunks[1].name`: `a` stands twice",
            "`trunks[1].uri`: `tel:+355` is no SIP URI",
            "`trunks[1].user`: `a b` cannot stand in a SIP URI",
            "`trunks[1].password`: set beside password_file; leave one of them out",
            "`trunks[1].expires_s`: 1 is out of range",
            "`trunks[1].options_interval_s`: 100000 is out of range",
            "`trunks[1].outbound_proxy`: `proxy` is no SIP URI",
            "`trunks[1].peer`: no peer is named `nobody`",
        ] {
            assert!(error.contains(line), "{line}\n not in\n{error}");
        }
        assert!(!error.contains("geheim"));
    }
}
