//! SIPp: its process, and the twin socket by which it is told when to go on.
//!
//! SIPp does not hear what is played, so it cannot know when to press a key. Its third-party call control mode
//! (`-3pcc`) gives the cue instead: SIPp connects over TCP to the runner, asks for a command with `sendCmd`, and waits
//! in `recvCmd`. Commands are header-like lines with the Call-ID, ended by the octet 0x1B. SIPp fails the call when a
//! command comes at any other step, so the runner answers each `Ready` with exactly one command.

use super::case::{Call, cases};
use super::script::Stage;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Ends a command on the twin socket.
const END_OF_COMMAND: u8 = 0x1b;
/// A command is a few lines.
const LONGEST_COMMAND_OCTETS: usize = 4096;
/// SIPp's files, in the call's folder.
const MESSAGES: &str = "messages.log";
const TABLE: &str = "table.log";
const ERRORS: &str = "errors.log";
const SCREEN: &str = "screen.log";

/// A running SIPp.
pub struct Sipp {
    child: Child,
    call_id: String,
    twin: Option<TcpListener>,
    line: Option<TcpStream>,
}

impl Sipp {
    /// Starts SIPp for a call. It chooses its own ports, on loopback.
    pub async fn start(stage: &Stage, call: &Call, server: SocketAddr) -> Result<Self> {
        let folder = stage.folder.join(&call.name);
        std::fs::create_dir_all(&folder)?;
        let scenario = match &call.scenario {
            Some(file) => cases().join(&stage.name).join(file),
            None => cases().join("shared/dialogue.xml"),
        };
        copy_recordings(&cases().join(&stage.name), &folder)?;
        let text = std::fs::read_to_string(&scenario).with_context(|| scenario.display().to_string())?;
        let call_id = stage.call_id(&call.name);
        let address = server.ip().to_string();
        let mut command = Command::new("sipp");
        command.arg(server.to_string()).arg("-sf").arg(&scenario);
        command.args(["-m", "1", "-l", "1", "-nostdin", "-bind_local", "-i", &address, "-mi", &address]);
        // SIPp's watchdog would end the call on a machine that is busy.
        command.args(["-watchdog_interval", "0"]);
        command.args(["-t", call.transport.mode()]);
        command.args(["-s", &call.number, "-cid_str", &call_id]).args(&call.sipp_arguments);
        for (key, value) in [("from", &call.from), ("identity", &call.identity), ("formats", &call.formats)] {
            command.args(["-key", key, value]);
        }
        command.args([
            "-trace_msg",
            "-message_file",
            MESSAGES,
            "-trace_shortmsg",
            "-shortmessage_file",
            TABLE,
        ]);
        command.args(["-trace_err", "-error_file", ERRORS]);
        let twin = match text.contains("<sendCmd") {
            true => Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?),
            false => None,
        };
        if let Some(twin) = &twin {
            command.arg("-3pcc").arg(twin.local_addr()?.to_string());
        }
        let screen = File::create(folder.join(SCREEN))?;
        command.current_dir(&folder).stdin(Stdio::null()).stderr(screen.try_clone()?).stdout(screen);
        let child = command
            .kill_on_drop(true)
            .spawn()
            .context("cannot start `sipp`: `make tools` installs it (Debian's package is sip-tester)")?;
        Ok(Self { child, call_id, twin, line: None })
    }

    /// Waits until SIPp asks for a command, then gives it.
    pub async fn command(&mut self, command: &str) -> Result<()> {
        if self.line.is_none() {
            let Some(twin) = self.twin.take() else {
                bail!("the scenario asks for no commands (no sendCmd), but a cue gives `{command}`");
            };
            self.line = Some(tokio::select! {
                accepted = twin.accept() => accepted?.0,
                status = self.child.wait() => bail!("SIPp ended ({}) before `{command}`", status?),
            });
        }
        let Some(line) = &mut self.line else { bail!("no line to SIPp") };
        let request =
            read_command(line).await.with_context(|| format!("SIPp did not ask for `{command}`"))?;
        let call_id = format!("Call-ID: {}", self.call_id);
        ensure!(request.lines().any(|line| line == call_id), "SIPp asked for another call:\n{request}");
        let mut octets = format!("{call_id}\r\n{command}\r\n\r\n").into_bytes();
        octets.push(END_OF_COMMAND);
        line.write_all(&octets).await?;
        Ok(())
    }

    /// Waits for SIPp's end.
    pub async fn over(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }
}

/// SIPp looks for the recordings that it sends in the folder that it runs in.
fn copy_recordings(from: &Path, to: &Path) -> Result<()> {
    for file in std::fs::read_dir(from)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "alaw") {
            std::fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

async fn read_command(line: &mut TcpStream) -> Result<String> {
    let mut octets = Vec::new();
    loop {
        let octet = line.read_u8().await.context("SIPp has hung up the twin socket")?;
        if octet == END_OF_COMMAND {
            return Ok(String::from_utf8(octets)?);
        }
        ensure!(octets.len() < LONGEST_COMMAND_OCTETS, "SIPp's command has no end");
        octets.push(octet);
    }
}

/// The SIP messages as SIPp saw them, in order: `> INVITE`, `< 200 INVITE`. `100 Trying` is left out: whether it is
/// sent depends on how soon the answer is (RFC 3261 §17.2.1). A response that comes again must be the same, octet for
/// octet.
pub fn messages(folder: &Path, call: &Call) -> Result<Vec<String>> {
    let folder = folder.join(&call.name);
    let listed = listed(&read(&folder.join(TABLE)));
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for text in received(&read(&folder.join(MESSAGES))) {
        let Some(name) = response_name(&text) else { continue };
        if let Some(before) = first.insert(name, text.clone()) {
            ensure!(before == text, "a response came again, but not the same:\n{before}\n{text}");
        }
    }
    Ok(listed)
}

/// What SIPp wrote of a call, for a report.
pub fn trace(folder: &Path, call: &Call) -> String {
    [ERRORS, MESSAGES]
        .map(|name| {
            format!("---- SIPp, call `{}`, {name}\n{}", call.name, read(&folder.join(&call.name).join(name)))
        })
        .join("\n")
}

/// SIPp's table of messages: times, `S` or `R`, Call-ID, `CSeq:1 INVITE`, first line. Commands have no CSeq.
fn listed(table: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for row in table.lines() {
        let cells: Vec<&str> = row.split('\t').collect();
        let [.., direction, _call_id, cseq, first_line] = cells.as_slice() else { continue };
        let Some(method) = cseq.split(' ').nth(1) else { continue };
        let arrow = if *direction == "S" { '>' } else { '<' };
        match first_line.strip_prefix("SIP/2.0 ").and_then(|rest| rest.split(' ').next()) {
            Some("100") => {}
            Some(status) => seen.push(format!("{arrow} {status} {method}")),
            None => seen.push(format!("{arrow} {}", first_line.split(' ').next().unwrap_or_default())),
        }
    }
    seen
}

/// The messages received, from SIPp's message file: each after a line of dashes and a line that says how it came.
fn received(file: &str) -> Vec<String> {
    file.split("-----------------------------------------------")
        .filter_map(|entry| entry.split_once(" :\n\n").filter(|(head, _)| head.contains(" message received")))
        .map(|(_, text)| text.trim_end().to_owned())
        .collect()
}

/// Status, CSeq and branch of a response; `None` for a request.
fn response_name(text: &str) -> Option<String> {
    let status = text.strip_prefix("SIP/2.0 ")?.split(' ').next()?;
    let header = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    Some(format!("{status} {} {}", header("CSeq:"), header("Via:")))
}

fn read(path: &Path) -> String {
    std::fs::read(path).map(|octets| String::from_utf8_lossy(&octets).into_owned()).unwrap_or_default()
}
