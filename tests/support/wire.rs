//! What the service itself says that it was spoken to by: it shows each message as it passes, with its transport, at the
//! socket of `klikon trace`.

use super::case::Transport;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A line of the trace socket.
#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum Line {
    Following,
    Message { transport: String, octets: String },
    Lost { messages: u64 },
    End,
}

/// A message that passed.
#[derive(Debug, Clone)]
struct Passed {
    transport: String,
    octets: String,
}

/// All messages that pass, from the server's start to its end.
pub struct Wire {
    passed: watch::Receiver<Vec<Passed>>,
    reader: JoinHandle<Result<()>>,
}

impl Wire {
    /// Follows what passes from now on.
    pub async fn follow(socket: &Path) -> Result<Self> {
        let mut stream = UnixStream::connect(socket).await.context("no trace socket")?;
        stream.write_all(b"{\"ask\":\"follow\"}\n").await?;
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next_line().await?.context("the trace socket closed")?;
        ensure!(matches!(serde_json::from_str(&first)?, Line::Following), "the trace socket said: {first}");
        let (sender, passed) = watch::channel(Vec::new());
        let reader = tokio::spawn(async move {
            while let Some(line) = lines.next_line().await? {
                match serde_json::from_str(&line)? {
                    Line::Following | Line::End => {}
                    Line::Message { transport, octets } => {
                        sender.send_modify(|all| all.push(Passed { transport, octets }));
                    }
                    Line::Lost { messages } => bail!("{messages} messages were not shown"),
                }
            }
            Ok(())
        });
        Ok(Self { passed, reader })
    }

    /// Waits until the service has received a message of this call.
    pub async fn shows(&self, call_id: &str) -> Result<()> {
        let mut passed = self.passed.clone();
        let shown = passed.wait_for(|all| all.iter().any(|one| one.octets.contains(call_id))).await;
        shown.with_context(|| format!("the service never showed a message of {call_id}"))?;
        Ok(())
    }

    /// When the server has ended: every message that passed, each way, went by this transport, and says so in its topmost
    /// Via.
    pub async fn was_all_by(self, transport: Transport) -> Result<()> {
        self.reader.await??;
        let via = format!("SIP/2.0/{}", transport.via());
        for one in self.passed.borrow().iter() {
            ensure!(one.transport == transport.via(), "by {}:\n{}", one.transport, one.octets);
            let topmost = one.octets.lines().find(|line| line.starts_with("Via:")).unwrap_or_default();
            ensure!(topmost.contains(&via), "its Via does not say {via}:\n{}", one.octets);
        }
        Ok(())
    }
}
