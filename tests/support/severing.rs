//! A relay between a store and its PostgreSQL server that cuts the connection where a test says: it reads as much of the
//! protocol as it takes to know what is asked, and when the answer has come (PostgreSQL, "Frontend/Backend Protocol").

// Each test binary uses a part of it.
#![allow(dead_code)]

use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UnixStream, unix};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The largest message that is passed on, in octets: ours are all far smaller.
const MESSAGE_OCTETS_MAX: usize = 1 << 24;

/// What a store asks at a time, and waits for the answer to.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// To be let in.
    Connection,
    /// A statement, prepared or done.
    Statement {
        /// Its text.
        sql: &'a str,
        /// The texts of those that came before it in the same transaction.
        earlier: &'a [String],
    },
}

impl Asked<'_> {
    /// Whether it is the end of a transaction that has done a statement which begins so.
    pub fn commits(&self, beginning: &str) -> bool {
        match self {
            Self::Statement { sql: "COMMIT", earlier } => {
                earlier.iter().any(|sql| sql.starts_with(beginning))
            }
            _ => false,
        }
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is answered.
    Pass,
    /// The connection is cut before the server hears of it.
    CutBefore,
    /// The server has half of it when the connection is cut.
    CutMidway,
    /// The server has done it, and the connection is cut before the answer comes.
    CutAfter,
}

type Judge = Box<dyn FnMut(Asked<'_>) -> Verdict + Send>;

/// The relay; it ends when it is dropped.
pub struct Severing {
    address: SocketAddr,
    judge: Arc<Mutex<Judge>>,
    serving: AbortHandle,
}

impl Drop for Severing {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Severing {
    /// Listens beside the server, which is reached by its socket in this folder. Everything passes until [`Self::judge`].
    pub async fn start(folder: &Path) -> Result<Self> {
        let server = folder.join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let judge: Arc<Mutex<Judge>> = Arc::new(Mutex::new(Box::new(|_| Verdict::Pass)));
        let judges = Arc::clone(&judge);
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (server, judge) = (server.clone(), Arc::clone(&judges));
                // Each ends with an error when a side goes away, which is what they are here for.
                tokio::spawn(async move { drop(connection(client, server, judge).await) });
            }
        });
        Ok(Self { address, judge, serving: serving.abort_handle() })
    }

    /// Where a database is by way of the relay, for the superuser.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@{}/{name}?sslmode=disable", self.address)
    }

    /// From now on this says what is cut.
    pub fn judge(&self, judge: impl FnMut(Asked<'_>) -> Verdict + Send + 'static) {
        *locked(&self.judge) = Box::new(judge);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many answers the client may have. `None`: the connection is to be closed when the server has given the last.
type Allowed = Option<u64>;

async fn connection(client: TcpStream, server: PathBuf, judge: Arc<Mutex<Judge>>) -> Result<()> {
    client.set_nodelay(true)?;
    if (locked(&judge))(Asked::Connection) != Verdict::Pass {
        return Ok(());
    }
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = UnixStream::connect(server).await?.into_split();
    let (last, allowed) = watch::channel(None);
    let answers = tokio::spawn(answer(from_server, to_client, allowed));
    let closed = answers.abort_handle();
    let severed = ask(&mut from_client, &mut to_server, &judge, &last).await;
    if matches!(severed, Ok(Verdict::CutAfter)) {
        // Until the server has answered.
        let _ = answers.await;
    }
    closed.abort();
    severed.map(drop)
}

/// Passes on what the client asks, a round at a time: all messages up to one that the server answers as a whole.
async fn ask(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut unix::OwnedWriteHalf,
    judge: &Mutex<Judge>,
    last: &watch::Sender<Allowed>,
) -> Result<Verdict> {
    let length = from.read_u32().await?;
    let mut first = length.to_be_bytes().to_vec();
    first.extend(body(from, length).await?);
    to.write_all(&first).await?;
    // The answer to the first message is that the server is ready.
    let mut rounds = 1;
    let mut known = Statements::default();
    loop {
        let mut round = Vec::new();
        // Nothing, where the client only asks whether the server is there.
        known.sql.clear();
        let sql = loop {
            let message = message(from).await?;
            round.extend_from_slice(&message);
            let (kind, body) = (message[0], &message[5..]);
            known.note(kind, body)?;
            // A simple query, or the end of an extended one; anything else that is written at once waits for no answer.
            match kind {
                b'Q' | b'S' => break known.sql.clone(),
                b'X' => return Ok(Verdict::Pass),
                _ => {}
            }
        };
        let verdict = (locked(judge))(Asked::Statement { sql: &sql, earlier: &known.transaction });
        known.follow(&sql);
        rounds += 1;
        match verdict {
            Verdict::Pass => to.write_all(&round).await?,
            Verdict::CutBefore => return Ok(verdict),
            Verdict::CutMidway => {
                to.write_all(&round[..round.len() / 2]).await?;
                return Ok(verdict);
            }
            Verdict::CutAfter => {
                last.send_replace(Some(rounds));
                to.write_all(&round).await?;
                return Ok(verdict);
            }
        }
    }
}

/// Passes the server's answers on, but for that to the last round, after which it ends.
async fn answer(
    mut from: unix::OwnedReadHalf,
    mut to: OwnedWriteHalf,
    last: watch::Receiver<Allowed>,
) -> Result<()> {
    let mut rounds = 0;
    loop {
        let message = message(&mut from).await?;
        let is_last = last.borrow().is_some_and(|last| rounds + 1 >= last);
        rounds += u64::from(message[0] == b'Z');
        match (is_last, message[0]) {
            (true, b'Z') => return Ok(()),
            (true, _) => {}
            (false, _) => to.write_all(&message).await?,
        }
    }
}

/// What a connection has prepared, and done in its transaction.
#[derive(Debug, Default)]
struct Statements {
    prepared: HashMap<String, String>,
    /// Of the round.
    sql: String,
    transaction: Vec<String>,
}

impl Statements {
    /// Notes what a message of the client says of a statement's text.
    fn note(&mut self, kind: u8, body: &[u8]) -> Result<()> {
        let mut texts = body.split(|&octet| octet == 0).map(String::from_utf8_lossy);
        let mut text =
            || texts.next().map(|text| text.trim().to_owned()).context("a message without its text");
        match kind {
            b'Q' => self.sql = text()?,
            b'P' => {
                let (name, sql) = (text()?, text()?);
                self.sql.clone_from(&sql);
                self.prepared.insert(name, sql);
            }
            b'B' => {
                let (_, name) = (text()?, text()?);
                self.sql = self.prepared.get(&name).context("a statement that was never prepared")?.clone();
            }
            _ => {}
        }
        Ok(())
    }

    /// Follows the transaction.
    fn follow(&mut self, sql: &str) {
        if sql.starts_with("BEGIN") || sql == "COMMIT" || sql == "ROLLBACK" {
            self.transaction.clear();
        } else {
            self.transaction.push(sql.to_owned());
        }
    }
}

/// A message: its kind, its length, its body.
async fn message(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await?;
    let mut message = vec![kind];
    message.extend(length.to_be_bytes());
    message.extend(body(from, length).await?);
    Ok(message)
}

/// What follows a message's length, which counts itself.
async fn body(from: &mut (impl AsyncRead + Unpin), length: u32) -> Result<Vec<u8>> {
    let octets = usize::try_from(length)?.checked_sub(4).context("a message shorter than its length")?;
    if octets > MESSAGE_OCTETS_MAX {
        bail!("a message of {octets} octets");
    }
    let mut body = vec![0; octets];
    from.read_exact(&mut body).await?;
    Ok(body)
}
