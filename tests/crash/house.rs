//! A service as a process, with a database, a spool folder, the other sides of delivery, and groups whose leaders phone.

use super::cluster::Cluster;
use super::invariants::{History, UNKNOWN, violations};
use super::logs::Call;
use super::peer::Peer;
use super::rows::{Activation, Rows};
use super::tones;
use super::waiting::until;
use klikon::config::Files;
use klikon::klikon::day_of;
use klikon::store::{self, GrantChannel, Store};
use klikon::units::clock::Clock;
use klikon::units::{FixedNumber, Msisdn};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// Whom the service runs as on PostgreSQL.
const ROLE: &str = "klikon_service";
/// The packages by the keys of the menu, all being offered.
const PACKAGES: [&str; 4] = ["Super 700", "Super 1100", "Super 1300", "Super 1900"];

/// What a call is to buy.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub caller: Msisdn,
    pub member: Msisdn,
    pub package: &'static str,
    pub key: usize,
}

impl Wanted {
    /// For the `member`-th member of the `group`-th group, 0 being the leader himself; by the menu's key, from 1.
    pub fn new(group: usize, member: usize, key: usize) -> Self {
        Self { caller: number(group, 0), member: number(group, member), package: PACKAGES[key - 1], key }
    }
}

/// The leader's number, and those of the members.
fn number(group: usize, member: usize) -> Msisdn {
    let text = if member == 0 { format!("069{group:07}") } else { format!("0682{group:05}{member}") };
    Msisdn::parse(&text).unwrap()
}

/// Runs what the store does.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Flows and prompts: tones, made once for all services of this process.
pub fn files() -> &'static Files {
    static FILES: OnceLock<(TempDir, Files)> = OnceLock::new();
    let (_, files) = FILES.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        tones::write_prompts(&folder.path().join("sq"));
        let dialplans = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialplans");
        let prompts = folder.path().to_owned();
        (folder, Files { dialplans, prompts, encoded: PathBuf::new(), ..Files::default() })
    });
    files
}

/// Fills an empty database: the catalogue, and groups of a leader and two members.
async fn seed(url: &str, groups: usize) {
    let settings = store::Settings { url: url.to_owned().try_into().unwrap(), ..store::Settings::default() };
    let store = Store::open(&settings).await.unwrap();
    let now = Clock::system().wall();
    store.seed_catalogue(day_of(now)).await.unwrap();
    for group in 0..groups {
        let contract = FixedNumber::parse(&format!("042{group:06}")).unwrap();
        store.create_group(&contract, now).await.unwrap();
        for member in 0..3 {
            store.add_member(&contract, number(group, member), now).await.unwrap();
        }
        store
            .grant_leader(&contract, number(group, 0), "Lideri Fiks", &GrantChannel::Online, now)
            .await
            .unwrap();
    }
    store.close().await;
}

/// A filled SQLite file, to be copied.
pub fn sqlite_template(groups: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    block_on(seed(&format!("sqlite://{}", folder.path().join("klikon.db").display()), groups));
    folder
}

/// A filled database `seeded` on a cluster, with the rights of the service's role, to be copied.
pub fn postgres_template(cluster: &Cluster, groups: usize) {
    block_on(async {
        seed(&cluster.database("seeded").await.unwrap(), groups).await;
        cluster.role(ROLE).await.unwrap();
        cluster.execute("seeded", &store::grants(ROLE).unwrap()).await.unwrap();
    });
}

/// Whether a booking of which its caller heard that nobody knew is in the ledger by now.
fn is_known(call: &Call, rows: &Rows) -> bool {
    let is_it = |one: &&Activation| {
        one.caller == call.caller && call.confirmed_at_ms.is_some_and(|at| at <= one.held_at_ms)
    };
    !call.has_heard(&[UNKNOWN]) || rows.activations.iter().any(|one| is_it(&one))
}

/// Settings, database, spool folder, peer.
pub struct House {
    folder: TempDir,
    /// Where the checker reads.
    url: String,
    copied: Option<PathBuf>,
    pub peer: Peer,
    calls: Vec<Call>,
    earlier: Option<Rows>,
}

impl House {
    /// On a copy of a filled file.
    pub fn on_sqlite(template: &TempDir, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("klikon.db");
        std::fs::copy(template.path().join("klikon.db"), &file).unwrap();
        let url = format!("sqlite://{}", file.display());
        Self::build(folder, &url, url.clone(), settings)
    }

    /// On a copy of a filled database.
    pub fn on_postgres(cluster: &Cluster, name: &str, settings: &str) -> Self {
        let made = format!("CREATE DATABASE {name} TEMPLATE seeded");
        block_on(cluster.execute("postgres", &made)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self::build(folder, &cluster.url_for(name, ROLE), cluster.url(name), settings)
    }

    /// With the database at `service_url`; `url` is where the checker reads.
    pub fn build(folder: TempDir, service_url: &str, url: String, settings: &str) -> Self {
        let files = files();
        let mut all: toml::Table = toml::from_str(&format!(
            "sip.listen = [\"127.0.0.1:0\"]\n\
             database.url = {service_url:?}\n\
             delivery = {{ spool = \"spool\", poll_interval_ms = 20 }}\n\
             files = {{ dialplans = {:?}, prompts = {:?}, encoded = \"\" }}\n\
             media = {{ codecs = [\"PCMA\"], initial_silence_ms = 20, workers = 1 }}\n\
             trace = {{ calls = 0, socket = \"\" }}\n\
             calls = {{ drain_s = 0 }}\n",
            files.dialplans, files.prompts
        ))
        .unwrap();
        for (key, value) in toml::from_str::<toml::Table>(settings).unwrap() {
            match (all.get_mut(&key), value) {
                (Some(toml::Value::Table(below)), toml::Value::Table(over)) => below.extend(over),
                (_, value) => drop(all.insert(key, value)),
            }
        }
        std::fs::write(folder.path().join("klikon.toml"), all.to_string()).unwrap();
        let spool = folder.path().join("spool");
        std::fs::create_dir_all(spool.join("acks")).unwrap();
        let peer = Peer::start(spool, settings.is_empty());
        Self { folder, url, copied: None, peer, calls: Vec::new(), earlier: None }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The checker reads copies of the database in a folder that SQLite cannot be led to, another process's root.
    pub fn read_copies_of(&mut self, disk: PathBuf) {
        self.url = format!("sqlite://{}", self.path().join("klikon.db").display());
        self.copied = Some(disk);
    }

    fn read(&self) -> anyhow::Result<Rows> {
        if let Some(disk) = &self.copied {
            for name in ["klikon.db", "klikon.db-wal"] {
                std::fs::copy(disk.join(name), self.path().join(name))?;
            }
            // What was read of an earlier copy.
            let _ = std::fs::remove_file(self.path().join("klikon.db-shm"));
        }
        block_on(Rows::read(&self.url))
    }

    /// Changes the settings for the next start: the text `from` becomes `to`.
    pub fn change_settings(&self, from: &str, to: &str) {
        let path = self.path().join("klikon.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// The command, in the folder.
    pub fn klikon(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_klikon"));
        command.current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Starts the service, with a failpoint if one is named.
    pub fn serve(&self, failpoint: Option<&str>) -> Service {
        let mut command = self.klikon();
        command.arg("serve");
        self.serve_by(command, failpoint)
    }

    /// The same, by another command.
    pub fn serve_by(&self, mut command: Command, failpoint: Option<&str>) -> Service {
        let mut log =
            File::options().create(true).append(true).open(self.path().join("service.log")).unwrap();
        match failpoint {
            Some(failpoint) => command.env("KLIKON_FAILPOINT", failpoint),
            None => command.env_remove("KLIKON_FAILPOINT"),
        };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Through a pipe: what limits the service's files does not limit its log.
        let mut errors = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut errors, &mut log));
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        let address = said.trim().strip_prefix("listening on udp ").map(|address| address.parse().unwrap());
        Service { child, address }
    }

    /// Keeps what a caller remembers.
    pub fn remember(&mut self, call: Call) {
        self.calls.push(call);
    }

    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Waits until nothing is due, every activation is settled, and every outcome known.
    ///
    /// # Errors
    /// That never comes: what is due still, and the log.
    pub fn rest(&self) -> Result<(), String> {
        let rests = until(|| {
            let Ok(rows) = self.read() else { return false };
            rows.activations.iter().all(|one| rows.settlement(&one.id).is_some())
                && rows.outbox.iter().all(|row| row.state == "sent")
                && self.calls.iter().all(|call| is_known(call, &rows))
        });
        if rests {
            return Ok(());
        }
        let waiting = self.read().map(|rows| (rows.outbox, rows.settlements));
        Err(format!("delivery never ended\n{waiting:#?}\n{:#?}\n{}", self.calls, self.log()))
    }

    /// All there is to judge by. What was read before must be in it.
    pub fn history(&mut self, at_rest: bool) -> History {
        // Both of one moment: nothing was written while the other sides were asked.
        let (mut rows, mut told) = (Rows::default(), Vec::new());
        let quiet = until(|| {
            rows = self.read().unwrap();
            told = self.peer.log();
            let after = self.read().unwrap();
            (&rows.kept, &rows.outbox) == (&after.kept, &after.outbox)
        });
        assert!(quiet, "delivery goes on for ever\n{}", self.log());
        let earlier = self.earlier.replace(rows.clone());
        History { calls: self.calls.clone(), told, rows, earlier, at_rest }
    }

    /// The invariants hold; else what breaks them, with everything that is known.
    pub fn look(&mut self) -> Result<(), String> {
        let history = self.history(false);
        self.holds(&history)
    }

    fn holds(&self, history: &History) -> Result<(), String> {
        let broken = violations(history);
        if broken.is_empty() {
            return Ok(());
        }
        let all: Vec<_> = broken.iter().map(|(number, what)| format!("invariant {number}: {what}")).collect();
        Err(format!("{}\n{:#?}\n{:#?}\n{}", all.join("\n"), history.calls, history.told, self.log()))
    }

    /// The invariants hold, and the audit is clean.
    pub fn judge(&mut self, at_rest: bool) -> Result<History, String> {
        let history = self.history(at_rest);
        self.holds(&history)?;
        // From where the checker reads: the service's way there may be its own.
        std::fs::write(self.path().join("audit.toml"), format!("database.url = {:?}\n", self.url)).unwrap();
        let audited = self.klikon().args(["--config", "audit.toml", "ledger", "verify"]).output().unwrap();
        if !audited.status.success() {
            return Err(format!(
                "ledger verify: {}{}",
                String::from_utf8_lossy(&audited.stdout),
                String::from_utf8_lossy(&audited.stderr)
            ));
        }
        Ok(history)
    }

    /// What the services logged.
    pub fn log(&self) -> String {
        let octets = std::fs::read(self.path().join("service.log")).unwrap_or_default();
        String::from_utf8_lossy(&octets).into_owned()
    }
}

/// A service that runs, or one that died before it listened. Killed when dropped.
pub struct Service {
    child: Child,
    address: Option<SocketAddr>,
}

impl Service {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the service listens")
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has died by itself, but not for ever.
    pub fn died(&mut self) -> Option<ExitStatus> {
        let mut status = None;
        until(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status
    }

    /// Waits until it was killed with SIGKILL by itself.
    pub fn was_killed(&mut self) -> bool {
        self.died().is_some_and(|status| status.signal() == Some(Signal::KILL.as_raw()))
    }

    /// Waits until it stands still at its failpoint, by SIGSTOP.
    pub fn stopped(&self) {
        let stopped = until(|| {
            let seen = waitpid(Some(self.pid()), WaitOptions::UNTRACED | WaitOptions::NOHANG).unwrap();
            seen.is_some_and(|(_, status)| status.stopped())
        });
        assert!(stopped, "it never stopped");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does numbered work on so many threads, from 0 on, until `work` says that there is no more.
pub fn on_threads(threads: usize, work: impl Fn(usize) -> bool + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| while work(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {});
        }
    });
}
