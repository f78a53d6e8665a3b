//! `klikon serve` as a process: its settings, its event lines, its stop.

use super::case::{Call, DatabasePlace, Transport};
use super::journal::{Journal, Step};
use anyhow::{Context, Result, ensure};
use klikon::store;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// How many addresses the runner's settings listen on.
const LISTENERS: usize = 6;
/// The service's certificate, in the case's folder: made for this run, so that none ages.
const CERTIFICATE: &str = "klikon.pem";
/// Its key.
const KEY: &str = "klikon.key";
/// The name in the certificate of a peer that shows one.
const PEER: &str = "core.klikon.example";
/// That certificate, which a case may name as `tls.client_ca`.
const PEER_CERTIFICATE: &str = "peer.pem";
/// Its key.
const PEER_KEY: &str = "peer.key";

/// What the log says of the counters, at the stop.
const STOPPED: &str = "the SIP side, until the stop";

/// The folder of one case's run: settings, database, spool, logs.
pub struct House {
    folder: PathBuf,
}

impl House {
    /// Writes the settings, with those of the case over the runner's.
    pub fn build(folder: &Path, differing: &toml::Table) -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = format!(
            r#"
            sip.listen = [
                "udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0",
                "udp:[::1]:0", "tcp:[::1]:0", "tls:[::1]:0",
            ]
            tls.certificate = {CERTIFICATE:?}
            tls.key = {KEY:?}
            database.url = "sqlite://klikon.db"
            delivery.spool = "spool"
            delivery.poll_interval_ms = 20
            database.probe_interval_ms = 50
            files.dialplans = {dialplans:?}
            files.prompts = {prompts:?}
            log.level = "info,klikon=debug"
            "#,
            dialplans = root.join("dialplans"),
            prompts = root.join("prompts"),
        );
        let mut settings: toml::Table = toml::from_str(&text)?;
        lay_over(&mut settings, differing);
        certify(&["127.0.0.1", "::1"], &folder.join(CERTIFICATE), &folder.join(KEY))?;
        certify(&[PEER], &folder.join(PEER_CERTIFICATE), &folder.join(PEER_KEY))?;
        std::fs::write(folder.join("klikon.toml"), settings.to_string())?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the settings stand.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("klikon.toml")
    }

    /// The service's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    /// The certificate and the key of a peer that shows one.
    pub fn peer_certificate(&self) -> (PathBuf, PathBuf) {
        (self.folder.join(PEER_CERTIFICATE), self.folder.join(PEER_KEY))
    }

    /// The socket where it shows what passes.
    pub fn trace_socket(&self) -> PathBuf {
        self.folder.join("klikon.sock")
    }

    /// The ledger's database.
    pub fn database(&self) -> store::Settings {
        store::Settings::for_file(self.folder.join("klikon.db"))
    }

    /// Where the operator's batch finds orders and SMS.
    pub fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// Runs `klikon admin …` to its end.
    pub async fn admin<S: AsRef<str>>(&self, arguments: &[S]) -> Result<()> {
        self.admin_told(arguments, "").await
    }

    /// Runs `klikon admin …` to its end, with this on its standard input.
    pub async fn admin_told<S: AsRef<str>>(&self, arguments: &[S], input: &str) -> Result<()> {
        let mut command = klikon();
        command.arg("--config").arg(self.settings()).arg("admin");
        command.args(arguments.iter().map(AsRef::as_ref)).current_dir(&self.folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut told = child.stdin.take().context("the command has no standard input")?;
        told.write_all(input.as_bytes()).await?;
        drop(told);
        let output = child.wait_with_output().await?;
        let words = arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        ensure!(
            output.status.success(),
            "`klikon admin {words}` failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// What the stopped server says that it counted; a counter that it does not name is at 0.
    pub fn counted(&self) -> Result<BTreeMap<String, u64>> {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains(STOPPED)).context("the log has no counters")?;
        let (_, counters) = line.split_once("counted=").context("the log has no counters")?;
        counters
            .split_whitespace()
            .map(|counter| {
                let (name, count) = counter.split_once('=').with_context(|| counter.to_owned())?;
                Ok((name.to_owned(), count.parse()?))
            })
            .collect()
    }

    /// Moves the database's file aside, or back.
    pub fn move_database(&self, place: DatabasePlace) -> Result<()> {
        let (there, aside) = (self.folder.join("klikon.db"), self.folder.join("klikon.db.away"));
        match place {
            DatabasePlace::Away => std::fs::rename(there, aside)?,
            DatabasePlace::Back => std::fs::rename(aside, there)?,
        }
        Ok(())
    }

    /// What the server logged.
    pub fn log(&self) -> String {
        let octets = std::fs::read(self.folder.join("server.log")).unwrap_or_default();
        format!("---- server's log\n{}", String::from_utf8_lossy(&octets))
    }
}

/// A certificate for these names, signed by its own key.
fn certify(names: &[&str], certificate: &Path, key: &Path) -> Result<()> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    std::fs::write(certificate, cert.pem())?;
    std::fs::write(key, signing_key.serialize_pem())?;
    Ok(())
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

fn klikon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A server that listens.
pub struct Server {
    child: Child,
    addresses: Vec<(String, SocketAddr)>,
    reader: JoinHandle<()>,
}

impl Server {
    /// Starts the server and waits until it listens; its steps go into the journal.
    pub async fn start(house: &House, journal: &Journal) -> Result<Self> {
        let mut command = klikon();
        command.arg("--config").arg(house.settings()).args(["serve", "--events", "-"]);
        let log = File::create(house.folder.join("server.log"))?;
        command.current_dir(&house.folder).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("the server has no standard output")?;
        let mut lines = BufReader::new(output).lines();
        let mut addresses = Vec::new();
        for _ in 0..LISTENERS {
            addresses.push(listening(&mut lines).await?);
        }
        let reader = tokio::spawn(read_steps(lines, journal.clone()));
        Ok(Self { child, addresses, reader })
    }

    /// Where it listens for the call.
    pub fn address(&self, call: &Call, transport: Transport) -> Result<SocketAddr> {
        let here = self
            .addresses
            .iter()
            .find(|(name, address)| name == transport.name() && address.is_ipv6() == call.ipv6);
        here.map(|(_, address)| *address).context("the server does not listen for that")
    }

    /// The number of its process.
    pub fn process(&self) -> Result<u32> {
        self.child.id().context("the server had ended by itself")
    }

    /// Waits for the server's end, which no case wants.
    pub async fn over(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.child.id().is_none()
    }

    /// Tells it to stop, as an operator does, unless it was told before, and waits until it has: with exit code 0 and all
    /// steps told.
    pub async fn stop(mut self, was_told: bool) -> Result<()> {
        if !was_told {
            signal(self.process()?, "TERM").await?;
        }
        let status = self.child.wait().await?;
        ensure!(status.success(), "the server stopped with {status}");
        self.reader.await?;
        Ok(())
    }
}

/// Sends a signal to a server's process.
pub async fn signal(process: u32, name: &str) -> Result<()> {
    let told = Command::new("sh").arg("-c").arg(format!("kill -{name} {process}")).status().await?;
    ensure!(told.success(), "cannot send SIG{name} to the server");
    Ok(())
}

/// A transport and an address, of a line like `listening on tcp 127.0.0.1:40123`.
async fn listening(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<(String, SocketAddr)> {
    let line = lines.next_line().await?.context("the server ended before it listened")?;
    let said = line.strip_prefix("listening on ").and_then(|rest| rest.split_once(' '));
    let (transport, address) = said.with_context(|| format!("the server said: {line}"))?;
    let address = address.parse().with_context(|| format!("the server said: {line}"))?;
    Ok((transport.to_owned(), address))
}

async fn read_steps(mut lines: Lines<BufReader<ChildStdout>>, journal: Journal) {
    while let Ok(Some(line)) = lines.next_line().await {
        let step = Step::from_line(&line);
        journal.add(step.unwrap_or_else(|| Step { source: "standard output".to_owned(), label: line }));
    }
}
