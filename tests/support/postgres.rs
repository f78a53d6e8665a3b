//! A throw-away PostgreSQL cluster from Debian's package: in a folder of its own, reached by a socket in that folder, and
//! gone with the test, however that ends.

// Each test binary uses a part of it.
#![allow(dead_code)]

use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The user that servers run as where tests run as root, which `initdb` refuses.
const SERVER_USER: &str = "postgres";

/// The one role that must give a password.
pub const ROLE_WITH_PASSWORD: &str = "klikon_with_password";

/// What its log says when it can be used.
const READY: &str = "database system is ready to accept connections";
/// What the log of a standby says then.
const READY_TO_READ: &str = "database system is ready to accept read-only connections";

/// A running cluster. It is stopped when the value is dropped; and by the kernel when the thread that started it ends
/// before.
#[derive(Debug)]
pub struct Cluster {
    folder: tempfile::TempDir,
    server: Child,
    durable: bool,
}

impl Cluster {
    /// Makes a cluster and starts it. It keeps nothing safe from a power cut, which makes it fast.
    pub fn start() -> Result<Self> {
        Self::make(false)
    }

    /// The same, but each commit waits for the disk, as on a server of an operator.
    pub fn start_durable() -> Result<Self> {
        Self::make(true)
    }

    fn make(durable: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("klikon-postgres-").tempdir()?;
        if is_root() {
            chown(folder.path(), Some(id("-u")?), Some(id("-g")?))?;
        }
        let data = folder.path().join("data");
        let made = as_server_user(&program("initdb")?)
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(&data)
            .output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let access = format!(
            "local all {ROLE_WITH_PASSWORD} scram-sha-256\nlocal all all trust\nlocal replication all trust\n"
        );
        std::fs::write(data.join("pg_hba.conf"), access)?;
        let server = serve(folder.path(), READY, durable)?;
        Ok(Self { folder, server, durable })
    }

    /// A standby that follows this cluster, of its own in everything else; its replication has this name.
    pub fn standby(&self, name: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("klikon-postgres-").tempdir()?;
        if is_root() {
            chown(folder.path(), Some(id("-u")?), Some(id("-g")?))?;
        }
        let primary = format!("host={} user=postgres application_name={name}", self.folder.path().display());
        let copied = as_server_user(&program("pg_basebackup")?)
            .args(["--no-sync", "--checkpoint=fast", "--write-recovery-conf", "--dbname", &primary])
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .output()?;
        ensure!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        let server = serve(folder.path(), READY_TO_READ, self.durable)?;
        Ok(Self { folder, server, durable: self.durable })
    }

    /// Makes a standby take writes, and waits until it does.
    pub fn promote(&self) -> Result<()> {
        let promoted = as_server_user(&program("pg_ctl")?)
            .args(["promote", "--wait", "--pgdata"])
            .arg(self.folder.path().join("data"))
            .output()?;
        ensure!(promoted.status.success(), "pg_ctl promote: {}", String::from_utf8_lossy(&promoted.stderr));
        Ok(())
    }

    /// Stops the server in immediate mode: as a crash, with nothing said to anybody and nothing tidied up.
    pub fn stop_at_once(&mut self) -> Result<()> {
        // One that has ended has a number no more.
        if self.server.try_wait()?.is_some() {
            return Ok(());
        }
        let pid = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(pid, rustix::process::Signal::QUIT)?;
        self.server.wait()?;
        Ok(())
    }

    /// Starts the stopped server, which recovers from its log.
    pub fn start_again(&mut self) -> Result<()> {
        self.server = serve(self.folder.path(), READY, self.durable)?;
        Ok(())
    }

    /// Where its socket is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a database and says where it is.
    pub async fn database(&self, name: &str) -> Result<String> {
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
        Ok(self.url(name))
    }

    /// Makes a role that may log in, and owns nothing.
    pub async fn role(&self, role: &str) -> Result<()> {
        self.execute("postgres", &format!("CREATE ROLE {role} LOGIN")).await
    }

    /// Does what SQL says in a database, as the superuser.
    pub async fn execute(&self, database: &str, sql: &str) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url(database)).await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await?;
        Ok(connection.close().await?)
    }

    /// Where a database of the cluster is, for its superuser.
    pub fn url(&self, name: &str) -> String {
        self.url_for(name, "postgres")
    }

    /// Where a database of the cluster is, for a role.
    pub fn url_for(&self, name: &str, role: &str) -> String {
        format!("postgres:///{name}?host={}&user={role}", self.folder.path().display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.stop_at_once();
    }
}

/// Starts the server and waits until its log says that it can be used; the rest of the log is read and forgotten.
fn serve(folder: &Path, ready: &str, durable: bool) -> Result<Child> {
    let fsync = if durable { "fsync=on" } else { "fsync=off" };
    let full_page_writes = if durable { "full_page_writes=on" } else { "full_page_writes=off" };
    let mut server = as_server_user(&program("postgres")?)
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder)
        .args(["-c", "listen_addresses=", "-c", fsync, "-c", full_page_writes])
        .args(["-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "logging_collector=off"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut log = BufReader::new(server.stderr.take().context("the server's log")?);
    let mut said = String::new();
    while !said.lines().last().is_some_and(|line| line.contains(ready)) {
        if log.read_line(&mut said)? == 0 {
            bail!("the server ended: {said}");
        }
    }
    std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(drop));
    Ok(server)
}

/// A command that runs as one who may run a server, and ends with the thread that started it.
fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if is_root() {
        command
            .args([format!("--reuid={SERVER_USER}"), format!("--regid={SERVER_USER}")])
            .arg("--clear-groups");
    }
    command.args(["--pdeathsig", "QUIT", "--"]).arg(program).current_dir("/");
    command
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn id(which: &str) -> Result<u32> {
    let said = Command::new("id").args([which, SERVER_USER]).output()?;
    String::from_utf8(said.stdout)?
        .trim()
        .parse()
        .context("no user `postgres`; install the Debian package postgresql")
}

/// A program of the newest PostgreSQL that is installed.
fn program(name: &str) -> Result<PathBuf> {
    let versions =
        std::fs::read_dir("/usr/lib/postgresql").context("install the Debian package postgresql")?;
    let newest = versions.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    let newest = newest.context("no version of PostgreSQL in /usr/lib/postgresql")?;
    Ok(Path::new("/usr/lib/postgresql").join(newest.to_string()).join("bin").join(name))
}
