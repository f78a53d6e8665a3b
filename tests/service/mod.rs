//! `klikon serve` as a command, for tests that look at it from outside.

// Each test binary uses a part of it.
#![allow(dead_code)]

#[path = "../tones/mod.rs"]
mod tones;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// A safety net: no test waits so long unless it has failed.
pub const FOR_EVER: Duration = Duration::from_secs(120);

/// The command, in its folder.
pub fn klikon(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// The project.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command said.
pub fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A service that runs as a command; killed when dropped.
pub struct Service {
    child: Child,
    /// Where it listens, by UDP.
    pub address: String,
    /// All that it listens on: `udp 127.0.0.1:40123`.
    pub listening: Vec<String>,
    lines: Receiver<String>,
    log: Receiver<String>,
    folder: TempDir,
}

/// A folder with settings, and prompts that are tones, so that neither start nor call takes long.
pub fn folder() -> TempDir {
    folder_with("")
}

/// The same, with these settings over those that all tests have.
pub fn folder_with(settings: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    tones::write_prompts(&folder.path().join("prompts/sq"));
    let mut all: toml::Table = toml::from_str(&format!(
        "numbers = {{ 130 = \"klik-on\", 131 = \"line-test\" }}\n\
         [sip]\nlisten = [\"127.0.0.1:0\"]\n[calls]\ndrain_s = 0\n[files]\ndialplans = {:?}\n",
        repository().join("dialplans")
    ))
    .unwrap();
    lay_over(&mut all, &toml::from_str(settings).unwrap());
    std::fs::write(folder.path().join("klikon.toml"), all.to_string()).unwrap();
    folder
}

/// Puts the catalogue and a group into the ledger of a folder: 067 200 3456 leads, and 067 212 3456 is a member.
pub fn put_a_group_in(folder: &Path) {
    put_a_group_in_by(folder, |_| {});
}

/// The same, by commands that something is done to before they run.
pub fn put_a_group_in_by(folder: &Path, prepare: impl Fn(&mut Command)) {
    std::fs::write(
        folder.join("groups.csv"),
        "contract,msisdn,role,granted_by,channel,declaration\n\
         042250928,0672003456,leader,Lideri Fiks,shop,D-1\n042250928,0672123456,member,,,\n",
    )
    .unwrap();
    for arguments in [&["seed"][..], &["import", "groups.csv"]] {
        let mut command = klikon(folder);
        prepare(&mut command);
        let done = command.arg("admin").args(arguments).output().unwrap();
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    }
}

/// Tables are merged key by key; anything else replaces.
fn lay_over(settings: &mut toml::Table, differing: &toml::Table) {
    for (key, value) in differing {
        match (settings.get_mut(key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(over)) => lay_over(below, over),
            _ => {
                settings.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What a thread reads line by line.
fn lines_of(source: impl std::io::Read + Send + 'static, shown: bool) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if shown {
                eprintln!("{line}");
            }
            let _ = sender.send(line);
        }
    });
    lines
}

impl Service {
    /// With an empty ledger.
    pub fn start() -> Self {
        Self::start_in(folder())
    }

    /// With these settings over the common ones, and a group in the ledger ([`put_a_group_in`]).
    pub fn start_with(settings: &str) -> Self {
        Self::start_prepared(settings, |_| {})
    }

    /// The same, with something done in its folder before it starts.
    pub fn start_prepared(settings: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = folder_with(settings);
        put_a_group_in(folder.path());
        prepare(folder.path());
        Self::start_in(folder)
    }

    /// In a folder of the test's own.
    pub fn start_in(folder: TempDir) -> Self {
        Self::start_on(folder, |_| {})
    }

    /// The same, by a command that something is done to before it runs.
    pub fn start_on(folder: TempDir, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = klikon(folder.path());
        prepare(&mut command);
        let mut child = command
            .args(["serve", "--events", "-"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(child.stdout.take().unwrap(), false);
        let log = lines_of(child.stderr.take().unwrap(), true);
        let first = lines.recv_timeout(FOR_EVER).expect("the service starts");
        let mut listening =
            vec![first.strip_prefix("listening on ").expect("the addresses come first").to_owned()];
        let settings: toml::Table =
            toml::from_str(&std::fs::read_to_string(folder.path().join("klikon.toml")).unwrap()).unwrap();
        let asked_for = settings["sip"]["listen"].as_array().map_or(1, Vec::len);
        for _ in 1..asked_for {
            let next = lines.recv_timeout(FOR_EVER).expect("every address is said");
            listening.push(next.strip_prefix("listening on ").expect("an address").to_owned());
        }
        let udp = listening.iter().find_map(|address| address.strip_prefix("udp ")).unwrap_or_default();
        Self { child, address: udp.to_owned(), listening, lines, log, folder }
    }

    /// Where its settings and its ledger are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Phones it.
    pub fn call(&self, called: &str, arguments: &[&str]) -> Output {
        let uri = format!("sip:{called}@{}", self.address);
        self.caller(&uri, arguments).output().unwrap()
    }

    /// The built-in caller, who knows this service's prompts.
    pub fn caller(&self, uri: &str, arguments: &[&str]) -> Command {
        let mut command = klikon(self.folder());
        command.args(["call", uri]).args(arguments);
        command
    }

    /// The next line that holds this.
    pub fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("`{part}` never came"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next line of the log that holds this.
    pub fn log_line(&self, part: &str) -> String {
        loop {
            let line =
                self.log.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("`{part}` was never logged"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `KILL`, `STOP`, `CONT`, `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM; the service must end by itself, and well. Gives its log.
    pub fn stop(self) -> String {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended by itself, and well. Gives the rest of its log.
    pub fn ended(mut self) -> String {
        // The lines end with the process.
        while self.lines.recv_timeout(FOR_EVER).is_ok() {}
        assert!(self.child.wait().unwrap().success());
        self.log.iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
