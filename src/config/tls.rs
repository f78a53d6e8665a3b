//! `[tls]`: certificates, and `[streams]`: the limits of connections.

use super::problem::{Problem, problem, within};
use crate::net::{Origins, StreamSettings, TlsSettings};
use crate::sip::FramingLimits;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `[tls]`
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Our certificate with its chain, PEM; needed to listen for TLS.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// Whose certificates of peers that connect are believed, PEM; without it peers are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether a peer without such a certificate is turned away.
    pub client_certificate_required: bool,
    /// Whose certificates of servers we connect to are believed, PEM.
    pub server_ca: Option<PathBuf>,
    /// Between two looks at the files, s; a changed one is read while the service runs. 0 never looks.
    pub reload_s: u64,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            client_certificate_required: false,
            server_ca: None,
            reload_s: 60,
        }
    }
}

impl Tls {
    /// For the sockets.
    pub fn to_runtime(&self) -> TlsSettings {
        TlsSettings {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            client_certificate_required: self.client_certificate_required,
            server_ca: self.server_ca.clone(),
            reload_interval: (self.reload_s > 0).then(|| Duration::from_secs(self.reload_s)),
        }
    }

    /// Relative paths are relative to the settings' folder.
    pub(super) fn resolve_below(&mut self, folder: &Path) {
        let paths = [&mut self.certificate, &mut self.key, &mut self.client_ca, &mut self.server_ca];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
    }

    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        if self.certificate.is_some() != self.key.is_some() {
            problem(
                found,
                "tls",
                "a certificate without its key, or a key without its certificate",
                "set both `tls.certificate` and `tls.key`",
            );
        }
        if self.client_certificate_required && self.client_ca.is_none() {
            problem(
                found,
                "tls.client_certificate_required",
                "nobody's certificates are believed",
                "set `tls.client_ca`",
            );
        }
        within(found, "tls.reload_s", self.reload_s, 0, 86_400);
    }
}

/// `[streams]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Streams {
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_of_address: usize,
    /// How long a connection may bring nothing, s.
    pub idle_s: u64,
    /// How long a message may take from its first octet to its last, ms; a handshake as well.
    pub message_ms: u64,
    /// Web origins whose pages may open a WebSocket, like `https://phone.example`; `*` is every one.
    pub websocket_origins: Vec<String>,
}

impl Default for Streams {
    fn default() -> Self {
        let StreamSettings { framing, max_connections, max_connections_of_address, idle, .. } =
            StreamSettings::default();
        let message_ms = u64::try_from(framing.message_time.as_millis()).unwrap_or(u64::MAX);
        let websocket_origins = Vec::new();
        Self {
            max_connections,
            max_connections_of_address,
            idle_s: idle.as_secs(),
            message_ms,
            websocket_origins,
        }
    }
}

impl Streams {
    /// For the sockets.
    pub fn to_runtime(&self, max_body_octets: usize) -> StreamSettings {
        StreamSettings {
            framing: FramingLimits { max_body_octets, message_time: Duration::from_millis(self.message_ms) },
            max_connections: self.max_connections,
            max_connections_of_address: self.max_connections_of_address,
            idle: Duration::from_secs(self.idle_s),
            websocket_origins: Origins::new(&self.websocket_origins),
        }
    }

    pub(super) fn check(&self, found: &mut Vec<Problem>) {
        within(found, "streams.max_connections", self.max_connections, 1, 1_000_000);
        within(found, "streams.max_connections_of_address", self.max_connections_of_address, 1, 1_000_000);
        within(found, "streams.idle_s", self.idle_s, 1, 86_400);
        within(found, "streams.message_ms", self.message_ms, 100, 600_000);
        for origin in self.websocket_origins.iter().filter(|origin| !is_origin(origin)) {
            problem(
                found,
                "streams.websocket_origins",
                &format!("`{origin}` is no web origin"),
                "write scheme, host and a port that is not the scheme's own, like \"https://phone.example:8443\", or \"*\"",
            );
        }
    }
}

/// `scheme://host` or `scheme://host:port` and nothing else; `null`, which pages without an origin say; or `*`.
fn is_origin(text: &str) -> bool {
    let whole = |(scheme, host): (&str, &str)| {
        let is_scheme =
            !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        is_scheme
            && !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    text == "*" || text == "null" || text.split_once("://").is_some_and(whole)
}

#[cfg(test)]
mod tests {
    use super::is_origin;

    #[test]
    fn origins_are_scheme_host_and_port() {
        for good in
            ["*", "null", "https://phone.example", "http://127.0.0.1:8080", "https://[2001:db8::1]:8443"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "phone.example",
            "https://",
            "https://phone.example/",
            "https://*.example",
            "://x",
            "https://a b",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
