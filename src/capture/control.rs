//! The trace socket: answers `klikon trace` over a unix domain socket that only its owner can open.

use super::RecordOrder;
use super::lines::{Wanted, call_id, call_line, message_line};
use super::message::Captured;
use super::protocol::{MAX_REQUEST_OCTETS, Reply, Request};
use super::record::{Call, Record};
use bytes::Bytes;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Readers at once; one more is told to come again.
pub const MAX_READERS: usize = 8;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 8;
/// How long a request may take to come, and an answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls that a follower of one caller follows at once; over it the follower begins afresh.
const MAX_FOLLOWED: usize = 10_000;
/// After a connection could not be accepted, before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no trace socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A service that runs has it.
    #[error("another service answers at {}; give this one a socket of its own with `trace.socket`", .0.display())]
    Taken(PathBuf),
    /// Something else stands there.
    #[error("{} is there and is no socket; name another path with `trace.socket`", .0.display())]
    NoSocket(PathBuf),
    /// It cannot be made.
    #[error("cannot make the socket {}; name a shorter path, or one in a folder that can be written, with `trace.socket`", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What the socket shows.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) record: Option<Arc<Record>>,
    pub(super) live: broadcast::Sender<Arc<Captured>>,
    pub(super) hide_numbers: bool,
    pub(super) orders: mpsc::Sender<RecordOrder>,
}

/// The socket while it is open; its file goes with it.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    serving: JoinHandle<()>,
}

impl Control {
    /// Opens the socket and answers on it.
    pub(super) fn open(path: &Path, shown: Shown) -> Result<Self, ControlError> {
        let listener = listen(path)?;
        let serving = tokio::spawn(serve(listener, shown));
        Ok(Self { path: path.to_owned(), serving })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        // It may have been removed by hand.
        let _ = fs::remove_file(&self.path);
    }
}

/// A listening socket with mode 0600. Nobody can connect before the mode is set: until `listen` connections are refused.
fn listen(path: &Path) -> Result<UnixListener, ControlError> {
    remove_stale(path)?;
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        UnixListener::from_std(std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(socket)))
    };
    open().map_err(|source| ControlError::Io { path: path.to_owned(), source })
}

/// Removes the socket of a service that has ended without removing it.
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    use std::os::unix::fs::FileTypeExt;
    let Ok(there) = fs::symlink_metadata(path) else { return Ok(()) };
    if !there.file_type().is_socket() {
        return Err(ControlError::NoSocket(path.to_owned()));
    }
    if StdUnixStream::connect(path).is_ok() {
        return Err(ControlError::Taken(path.to_owned()));
    }
    fs::remove_file(path).map_err(|source| ControlError::Io { path: path.to_owned(), source })
}

async fn serve(listener: UnixListener, shown: Shown) {
    let readers = Arc::new(Semaphore::new(MAX_READERS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (shown, place) = (shown.clone(), Arc::clone(&readers).try_acquire_owned());
                tokio::spawn(async move {
                    let mut reader = Reader::new(stream);
                    // Whatever breaks is the reader's: he may go at any time.
                    let _ = match place {
                        Ok(_place) => reader.answer(&shown).await,
                        Err(_) => {
                            reader.refuse(&format!("{MAX_READERS} others are reading; end one of them")).await
                        }
                    };
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the trace socket cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Who asks.
struct Reader {
    requests: BufReader<tokio::io::Take<OwnedReadHalf>>,
    replies: OwnedWriteHalf,
}

impl Reader {
    fn new(stream: UnixStream) -> Self {
        let (requests, replies) = stream.into_split();
        let limit = u64::try_from(MAX_REQUEST_OCTETS).unwrap_or(u64::MAX);
        Self { requests: BufReader::new(requests.take(limit)), replies }
    }

    async fn answer(&mut self, shown: &Shown) -> io::Result<()> {
        let mut line = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.requests.read_until(b'\n', &mut line)).await;
        match read {
            Ok(read) => drop(read?),
            Err(_) => return self.refuse("no request came").await,
        }
        if line.len() >= MAX_REQUEST_OCTETS {
            return self.refuse(&format!("a request has at most {MAX_REQUEST_OCTETS} octets")).await;
        }
        match serde_json::from_slice(&line) {
            Ok(Request::List {}) => self.list(shown).await,
            Ok(Request::Call { call }) => self.call(shown, &call).await,
            Ok(Request::Follow { caller }) => self.follow(shown, caller.as_deref()).await,
            Ok(Request::Record { call, begin }) => self.record(shown, call, begin).await,
            Err(error) => self.refuse(&format!("not understood: {error}")).await,
        }
    }

    async fn refuse(&mut self, why: &str) -> io::Result<()> {
        self.say(&Reply::Refused { why: why.to_owned() }).await
    }

    async fn say(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        tokio::time::timeout(PATIENCE, self.replies.write_all(&line)).await?
    }

    async fn list(&mut self, shown: &Shown) -> io::Result<()> {
        for call in calls(shown) {
            self.say(&Reply::Call(call_line(&call, shown.hide_numbers))).await?;
        }
        self.say(&Reply::End).await
    }

    async fn call(&mut self, shown: &Shown, wanted: &str) -> io::Result<()> {
        let call = match find(calls(shown), wanted) {
            Ok(call) => call,
            Err(why) => return self.refuse(&why).await,
        };
        self.say(&Reply::Call(call_line(&call, shown.hide_numbers))).await?;
        for message in &call.messages {
            self.say(&Reply::Message(message_line(message, shown.hide_numbers))).await?;
        }
        self.say(&Reply::End).await
    }

    /// Hands on an order, and says what came of it.
    async fn record(&mut self, shown: &Shown, call: String, begin: bool) -> io::Result<()> {
        let (answer, answered) = oneshot::channel();
        if shown.orders.try_send(RecordOrder { call, begin, answer }).is_err() {
            return self.refuse("the service takes no orders now").await;
        }
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(Ok(what))) => self.say(&Reply::Done { what }).await,
            Ok(Ok(Err(why))) => self.refuse(&why).await,
            Ok(Err(_)) => self.refuse("the call has ended").await,
            Err(_) => self.refuse("the service does not answer").await,
        }
    }

    /// Shows what passes until the reader goes.
    async fn follow(&mut self, shown: &Shown, caller: Option<&str>) -> io::Result<()> {
        let wanted = match caller.map(|caller| (caller, Wanted::parse(caller))) {
            None => None,
            Some((_, Some(wanted))) => Some(wanted),
            Some((caller, None)) => return self.refuse(&format!("`{caller}` is no telephone number")).await,
        };
        let mut followed: HashSet<Bytes> = HashSet::new();
        let mut live = shown.live.subscribe();
        self.say(&Reply::Following).await?;
        loop {
            let passed = tokio::select! {
                passed = live.recv() => passed,
                // Whatever he says further, or that he has gone.
                _ = self.requests.read_u8() => return Ok(()),
            };
            match passed {
                Ok(message) if is_followed(&mut followed, wanted.as_ref(), &message) => {
                    self.say(&Reply::Message(message_line(&message, shown.hide_numbers))).await?;
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(messages)) => {
                    self.say(&Reply::Lost { messages }).await?
                }
                Err(broadcast::error::RecvError::Closed) => return self.say(&Reply::End).await,
            }
        }
    }
}

/// Whether a message belongs to a call of the wanted caller; without one all do.
fn is_followed(followed: &mut HashSet<Bytes>, wanted: Option<&Wanted>, message: &Captured) -> bool {
    let (Some(wanted), Some(call_id)) = (wanted, &message.call_id) else { return wanted.is_none() };
    if followed.contains(call_id) {
        return true;
    }
    if !wanted.calls(&message.octets) {
        return false;
    }
    if followed.len() >= MAX_FOLLOWED {
        followed.clear();
    }
    followed.insert(Bytes::copy_from_slice(call_id))
}

fn calls(shown: &Shown) -> Vec<Call> {
    shown.record.as_ref().map_or_else(Vec::new, |record| record.all())
}

/// The one call that `wanted` names.
fn find(calls: Vec<Call>, wanted: &str) -> Result<Call, String> {
    if wanted.is_empty() || calls.is_empty() {
        return Err("no call is kept yet; `trace.calls` says how many are".to_owned());
    }
    let id = |call: &Call| call.named.as_ref().map(|named| named.id.clone()).unwrap_or_default();
    let last_call =
        || calls.iter().rev().find(|call| call_line(call, true).method == "INVITE").or(calls.last());
    let exact = |call: &&Call| id(call) == wanted || call_id(call) == wanted;
    if let Some(call) = calls.iter().find(exact).or_else(|| last_call().filter(|_| wanted == "last")) {
        return Ok(call.clone());
    }
    let begins = |call: &&Call| id(call).starts_with(wanted) || call_id(call).starts_with(wanted);
    let mut found = calls.iter().filter(begins);
    match (found.next(), found.count()) {
        (Some(call), 0) => Ok(call.clone()),
        (None, _) => Err("no such call is kept; `klikon trace` lists those that are".to_owned()),
        (Some(_), more) => Err(format!("{} calls begin so; write more of it", more + 1)),
    }
}

#[cfg(test)]
#[path = "control_tests.rs"]
mod tests;
