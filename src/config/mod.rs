//! The settings: `klikon.toml`, every key with a default, checked when read. One file a section.
//!
//! A file that cannot be used is refused with the file, the key, the value and the mend; nothing is guessed.

mod authentication;
mod capture;
mod files;
mod log;
mod media;
mod overload;
mod problem;
mod recording;
mod sip;
mod tls;
mod trunks;

pub use authentication::{AlgorithmName, Authentication, User};
pub use files::Files;
pub use log::{Log, LogFormat};
pub use media::{CodecOrder, Media};
pub use overload::Overload;
pub use problem::Problem;
pub use sip::Sip;
pub use tls::{Streams, Tls};
pub use trunks::{PasswordError, Trunk};

use crate::call::{self, Peer};
use crate::capture::{HomerSettings, TraceSettings};
use crate::{delivery, recording as recordings, store};
use problem::{problem, within};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All settings. One section of the file is one field.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where calls arrive.
    pub sip: Sip,
    /// Certificates.
    pub tls: Tls,
    /// Limits of connections.
    pub streams: Streams,
    /// Called number → name of the flow that answers it.
    pub numbers: BTreeMap<String, String>,
    /// Whose caller identity is believed, first match wins. Nobody else's is.
    pub peers: Vec<Peer>,
    /// How callers prove who they are, where a peer must.
    pub authentication: Authentication,
    /// Who can.
    pub users: Vec<User>,
    /// How much is taken on, and from whom.
    pub overload: Overload,
    /// Where the service registers, and whom it watches.
    pub trunks: Vec<Trunk>,
    /// Limits and waits of calls.
    pub calls: call::Settings,
    /// RTP.
    pub media: Media,
    /// What callers heard and pressed.
    pub recording: recordings::Settings,
    /// Where flows and prompts are.
    pub files: Files,
    /// The billing ledger.
    pub database: store::Settings,
    /// Orders to the network and SMS.
    pub delivery: delivery::Settings,
    /// Each SIP message to a collector.
    pub capture: HomerSettings,
    /// The last calls' SIP in memory.
    pub trace: TraceSettings,
    /// Logging.
    pub log: Log,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sip: Sip::default(),
            tls: Tls::default(),
            streams: Streams::default(),
            numbers: BTreeMap::from([("130".to_owned(), "klik-on".to_owned())]),
            peers: vec![Peer::loopback()],
            authentication: Authentication::default(),
            users: Vec::new(),
            overload: Overload::default(),
            trunks: Vec::new(),
            calls: call::Settings::default(),
            media: Media::default(),
            recording: recordings::Settings::default(),
            files: Files::default(),
            database: store::Settings::default(),
            delivery: delivery::Settings::default(),
            capture: HomerSettings::default(),
            trace: TraceSettings::default(),
            log: Log::default(),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file is not there or cannot be read.
    #[error("{}: cannot be read; give another file with --config, or none to use the defaults", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of the wrong type. The text names line, column and key.
    #[error("{origin}: {message}")]
    Syntax {
        /// File name.
        origin: String,
        /// What and where.
        message: String,
    },
    /// Keys whose values cannot be used, all of them.
    #[error("{}", list(origin, problems))]
    Unusable {
        /// File name.
        origin: String,
        /// Each with key, value and mend.
        problems: Vec<Problem>,
    },
}

fn list(origin: &str, problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{origin}: {problem}")).collect::<Vec<_>>().join("\n")
}

/// What is wrong and where, with the line of the file unless a password may stand in it.
fn syntax_message(text: &str, error: &toml::de::Error) -> String {
    let place = error.span().and_then(|span| {
        let before = text.get(..span.start)?;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(start..)?.lines().next().unwrap_or_default();
        let secret = ["password", "postgres", "auth_key"].iter().any(|word| line.contains(word));
        secret.then(|| (before.matches('\n').count() + 1, before[start..].chars().count() + 1))
    });
    match place {
        Some((line, column)) => format!("line {line}, column {column}: {}", error.message()),
        None => error.to_string().trim_end().to_owned(),
    }
}

impl Settings {
    /// Reads a file; relative paths in it are relative to its folder.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        let mut settings = Self::parse(&text, &path.display().to_string())?;
        if let Some(folder) = path.parent() {
            settings.resolve_below(folder);
        }
        Ok(settings)
    }

    /// Reads a text; `origin` stands in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|error| SettingsError::Syntax {
            origin: origin.to_owned(),
            message: syntax_message(text, &error),
        })?;
        let problems = settings.problems();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(SettingsError::Unusable { origin: origin.to_owned(), problems })
        }
    }

    fn resolve_below(&mut self, folder: &Path) {
        self.tls.resolve_below(folder);
        self.files.dialplans = folder.join(&self.files.dialplans);
        self.files.prompts = folder.join(&self.files.prompts);
        if !self.files.encoded.as_os_str().is_empty() {
            self.files.encoded = folder.join(&self.files.encoded);
        }
        self.recording.folder = folder.join(&self.recording.folder);
        self.recording.key_file = self.recording.key_file.take().map(|file| folder.join(file));
        self.delivery.spool = folder.join(&self.delivery.spool);
        self.database.url = self.database.url.below(folder);
        self.trunks.iter_mut().for_each(|trunk| trunk.resolve_below(folder));
        if !self.trace.socket.as_os_str().is_empty() {
            self.trace.socket = folder.join(&self.trace.socket);
        }
    }

    /// Every key whose value cannot be used.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.sip.check(&mut found);
        self.tls.check(&mut found);
        self.streams.check(&mut found);
        self.check_numbers(&mut found);
        self.check_peers(&mut found);
        self.authentication.check(&self.users, &mut found);
        self.overload.check(&mut found);
        trunks::check(&self.trunks, &self.peers, &mut found);
        check_calls(&self.calls, &mut found);
        self.media.check(self.tls.certificate.is_some(), &mut found);
        self::recording::check(&self.recording, &self.peers, &mut found);
        self::capture::check_capture(&self.capture, &mut found);
        self::capture::check_trace(&self.trace, &mut found);
        self.log.check(&mut found);
        found.extend(self.database.check().err().map(|error| Problem::in_section("database", &error)));
        found.extend(self.delivery.check().err().map(|error| Problem::in_section("delivery", &error)));
        found
    }

    fn check_numbers(&self, found: &mut Vec<Problem>) {
        if self.numbers.is_empty() {
            problem(found, "numbers", "no number, so no call would be answered", "write 130 = \"klik-on\"");
        }
        for (number, flow) in &self.numbers {
            if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b"+*#".contains(&b)) {
                problem(
                    found,
                    &format!("numbers.\"{number}\""),
                    "not a dialled number",
                    "write digits, like \"130\" = \"klik-on\"",
                );
            }
            if flow.is_empty() || flow.contains(['/', '\\', '.']) {
                problem(
                    found,
                    &format!("numbers.\"{number}\""),
                    &format!("`{flow}` is not the name of a flow"),
                    "write the name of a file in files.dialplans without `.toml`, like \"klik-on\"",
                );
            }
        }
    }

    fn check_peers(&self, found: &mut Vec<Problem>) {
        for (index, peer) in self.peers.iter().enumerate() {
            if peer.name.trim().is_empty() {
                problem(
                    found,
                    &format!("peers[{index}].name"),
                    "it is empty",
                    "name the peer, like \"pbx-1\"",
                );
            }
            self.check_source(index, peer, found);
        }
    }

    /// How a peer is known.
    fn check_source(&self, index: usize, peer: &Peer, found: &mut Vec<Problem>) {
        let key = |name: &str| format!("peers[{index}].{name}");
        if peer.addresses.is_empty() && peer.certificates.is_empty() {
            problem(
                found,
                &key("addresses"),
                "no address range and no certificate, so the peer would never match",
                "write ranges like [\"192.0.2.10/32\"]",
            );
        }
        let shares = [
            ("max_calls", peer.max_calls.map_or(1, |calls| calls)),
            ("max_calls_per_s", peer.max_calls_per_s.map_or(1, |calls| calls as usize)),
        ];
        for (name, calls) in shares {
            within(found, &key(name), calls, 1, 1_000_000);
        }
        let proven = peer.digest || !peer.certificates.is_empty();
        for range in peer.addresses.iter().filter(|range| range.prefix_len() == 0 && !proven) {
            problem(
                found,
                &key("addresses"),
                &format!("`{range}` trusts the whole internet to say who is calling"),
                "name the peer's own addresses",
            );
        }
        let is_host = |name: &str| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
        };
        for name in peer.certificates.iter().filter(|name| !is_host(name)) {
            problem(
                found,
                &key("certificates"),
                &format!("`{}` is not a host", name.escape_debug()),
                "write a name as it stands in the certificate; a wildcard stands for no peer",
            );
        }
        if peer.digest && self.users.is_empty() {
            problem(
                found,
                &key("digest"),
                "there are no users, so nobody could authenticate",
                "write [[users]]",
            );
        }
    }
}

fn check_calls(calls: &call::Settings, found: &mut Vec<Problem>) {
    within(found, "calls.max", calls.max, 1, 1_000_000);
    within(found, "calls.max_duration_s", calls.max_duration_s, 10, 86_400);
    within(found, "calls.activation_wait_ms", calls.activation_wait_ms, 0, 60_000);
    within(found, "calls.store_timeout_ms", calls.store_timeout_ms, 100, 60_000);
    within(found, "calls.min_se_s", calls.min_se_s, 1, 3600);
    if calls.session_expires_s != 0 {
        within(found, "calls.session_expires_s", calls.session_expires_s, calls.min_se_s, 86_400);
    }
    within(found, "calls.pin_tries", calls.pin_tries, 1, 100);
    within(found, "calls.pin_lock_s", calls.pin_lock_s, 1, 86_400);
    within(found, "calls.drain_s", calls.drain_s, 0, 86_400);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../klikon.toml");

    /// The sample with its commented-out keys switched on.
    fn sample_with_every_key() -> String {
        SAMPLE.lines().map(|line| line.strip_prefix("#= ").unwrap_or(line)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_says_the_defaults() {
        let sample = Settings::parse(SAMPLE, "klikon.toml").unwrap();
        assert_eq!(format!("{sample:#?}"), format!("{:#?}", Settings::default()));
        Settings::parse(&sample_with_every_key(), "klikon.toml").unwrap();
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_trusts_loopback_only() {
        let settings = Settings::parse("", "empty").unwrap();
        assert_eq!(settings.numbers["130"], "klik-on");
        let trusted = |address: &str| settings.peers.iter().any(|peer| peer.holds(address.parse().unwrap()));
        assert!(trusted("127.0.0.1") && trusted("::1") && trusted("::ffff:127.1.2.3"));
        assert!(!trusted("10.0.0.1") && !trusted("::2"));
    }

    #[test]
    fn every_unusable_key_is_named_with_its_mend() {
        let text = r#"
            numbers = { "13o" = "klik-on", "131" = "../etc/passwd" }
            peers = [{ name = "all", addresses = ["0.0.0.0/0"] }]
            sip = { t1_ms = 0, advertise = "a b" }
            media = { rtp_ports = [30000, 20000] }
            log = { level = "x=y=z" }
        "#;
        let error = Settings::parse(text, "bad.toml").unwrap_err().to_string();
        for line in [
            "bad.toml: `sip.t1_ms`: 0 is out of range; write 1 to 10000",
            "`sip.advertise`: `a b` is not a host; write a name or address, like \"192.0.2.1\"",
            "`numbers.\"131\"`: `../etc/passwd` is not the name of a flow; write the name of a file in files.dialplans without `.toml`, like \"klik-on\"",
            "`numbers.\"13o\"`: not a dialled number; write digits, like \"130\" = \"klik-on\"",
            "`peers[0].addresses`: `0.0.0.0/0` trusts the whole internet to say who is calling; name the peer's own addresses",
            "`media.rtp_ports`: [30000, 20000] ends before it begins; write [20000, 30000]",
            "`log.level`: `x=y=z` is not understood",
        ] {
            assert!(error.contains(line), "{line}\n not in\n{error}");
        }
    }

    #[test]
    fn what_would_only_fail_at_the_first_call_is_refused_at_load() {
        for (text, mend) in [
            ("numbers = {}", "`numbers`: no number, so no call would be answered; write 130 = \"klik-on\""),
            ("[sip]\nlisten = []", "`sip.listen`: no address to listen on"),
            ("[sip]\nadvertise = \"2001:db8::1\"", "write \"[2001:db8::1]\""),
            ("[sip]\nserver_name = \"a\\r\\nb\"", "`sip.server_name`"),
            ("[media]\nrtp_ports = [20001, 20001]", "no even port"),
            ("[media]\nrtp_ports = [0, 20000]", "[0, 20000] has one port 0"),
            ("[media]\nrtp_ports = [80, 20000]", "privileged"),
            ("[media]\nadvertise = \"0.0.0.0\"", "`media.advertise`"),
            ("[media]\nwebrtc = true", "`media.webrtc`: no call can come over TLS"),
            ("[media]\ncodecs = []", "`media.codecs`: no codec, so no call would be answered"),
            (
                "[media]\ncodecs = [\"G729\"]",
                "`media.codecs`: `G729` is not known; choose among PCMA, PCMU, G722, AMR",
            ),
            ("[media]\ncodecs = [\"PCMA\", \"pcma\"]", "`media.codecs`: `pcma` is there twice"),
            (
                "[media]\namr_modes = [8]",
                "`media.amr_modes`: [8] are no modes of AMR; write one or more of 0 to 7",
            ),
            ("[media]\namr_wb_modes = []", "write one or more of 0 to 8"),
            ("[calls]\nmax = 0", "`calls.max`: 0 is out of range; write 1 to 1000000"),
            ("[calls]\nmax_duration_s = 9", "write 10 to 86400"),
            (
                "[delivery]\npoll_interval_ms = 1",
                "`delivery.poll_interval_ms`: 1 is out of range; write 10 to 60000",
            ),
            ("[overload]\ncall_burst = 0", "`overload.call_burst`: 0 is out of range; write 1 to 1000000"),
            (
                "[overload]\nban_s = 60\nban_max_s = 10",
                "`overload.ban_max_s`: 10 is out of range; write 60 to 604800",
            ),
            ("[overload]\nscanners = [\"a\"]", "write whole names, like \"friendly-scanner\""),
            (
                "[[peers]]\nname = \"a\"\naddresses = [\"192.0.2.1/32\"]\nmax_calls = 0",
                "`peers[0].max_calls`: 0 is out of range",
            ),
            ("[database]\nreaders = 0", "`database.readers`: 0 is out of range; write 1 to 64"),
            (
                "[[peers]]\nname = \" \"\naddresses = []",
                "`peers[0].addresses`: no address range and no certificate",
            ),
            (
                "[recording]\ncalls = \"all\"",
                "`recording.calls`: recordings would lie unencrypted on the disk; make a key",
            ),
            (
                "[recording]\nkey_file = \"k\"\nunencrypted = true",
                "`recording.unencrypted`: there is a key as well",
            ),
            ("[recording]\npeers = [\"pbx\"]", "`recording.peers`: `pbx` is no peer; write the names"),
            (
                "[recording]\nrate_hz = 44100",
                "`recording.rate_hz`: 44100 is no rate of recordings; write 8000 or 16000",
            ),
            ("[recording]\nkeep_days = 0", "`recording.keep_days`: 0 is out of range; write 1 to 3650"),
            ("[capture]\nhomer = \"192.0.2.9:9060\"", "write it like \"udp:192.0.2.9:9060\""),
            ("[capture]\nauth_key = \"\"", "`capture.auth_key`: it is empty or too long"),
            ("[trace]\nmax_octets = 5", "`trace.max_octets`: 5 is out of range; write 65536 to 4294967296"),
        ] {
            let error = Settings::parse(text, "k.toml").unwrap_err().to_string();
            assert!(error.starts_with("k.toml: ") && error.contains(mend), "{mend}\n not in\n{error}");
        }
    }

    #[test]
    fn a_file_is_read_with_its_paths_below_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("klikon.toml");
        std::fs::write(&file, "[delivery]\nspool = \"/var/spool/klikon\"\n").unwrap();
        let settings = Settings::load(&file).unwrap();
        assert_eq!(settings.files.dialplans, folder.path().join("dialplans"));
        assert_eq!(settings.database.url.file(), Some(folder.path().join("klikon.db").as_path()));
        assert_eq!(settings.delivery.spool, Path::new("/var/spool/klikon"));
        assert_eq!(settings.trace.socket, folder.path().join("klikon.sock"));
        assert_eq!(settings.recording.folder, folder.path().join("recordings"));
        std::fs::write(&file, "[trace]\nsocket = \"\"\n").unwrap();
        assert_eq!(Settings::load(&file).unwrap().trace.socket, Path::new(""), "none stays none");
        let error = Settings::load(&folder.path().join("none.toml")).unwrap_err();
        assert!(error.to_string().contains("none.toml: cannot be read; give another file with --config"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = Settings::parse("[sip]\nlissten = []\n", "k.toml").unwrap_err().to_string();
        assert!(error.contains("k.toml") && error.contains("line 2") && error.contains("lissten"), "{error}");
    }

    #[test]
    fn a_line_with_a_password_is_not_repeated_in_an_error() {
        for line in [
            "url = \"postgress://klikon:s3cr3t@db/klikon\"",
            "url = \"postgres://klikon:s3cr3t@db/klikon",
            "url = \"postgres://klikon:s3cr3t@db\"",
        ] {
            let error =
                Settings::parse(&format!("[database]\n{line}\n"), "klikon.toml").unwrap_err().to_string();
            assert!(error.starts_with("klikon.toml: line 2, column"), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
