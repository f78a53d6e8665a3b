//! SIPp: its process, and the twin socket by which it is told when to go on.
//!
//! SIPp does not hear what is played, so it cannot know when to press a key. Its third-party call control mode
//! (`-3pcc`) gives the cue instead: SIPp connects over TCP to the runner, asks for a command with `sendCmd`, and waits
//! in `recvCmd`. Commands are header-like lines with the Call-ID, ended by the octet 0x1B. SIPp fails the call when a
//! command comes at any other step, so the runner answers each `Ready` with exactly one command.

use super::case::{Call, Transport, cases};
use super::relay::Relay;
use super::script::Stage;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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
/// The scenario as SIPp is given it.
const SCENARIO: &str = "scenario.xml";

/// A running SIPp.
pub struct Sipp {
    child: Child,
    call_id: String,
    twin: Option<TcpListener>,
    line: Option<TcpStream>,
    /// What TLS goes through.
    _relay: Option<Relay>,
    /// Holds its port of TCP.
    _port: Option<TcpSocket>,
}

impl Sipp {
    /// Starts SIPp for a call. It chooses its own ports, on loopback.
    pub async fn start(stage: &Stage, call: &Call, server: SocketAddr) -> Result<Self> {
        let folder = stage.folder.join(&call.name);
        std::fs::create_dir_all(&folder)?;
        let relay = match stage.transport {
            Transport::Udp | Transport::Tcp => None,
            Transport::Tls => {
                let own = call.certificate.then(|| stage.house.peer_certificate());
                Some(Relay::start(server, &stage.house.certificate(), own).await?)
            }
        };
        let text = scenario(stage, call, server)?;
        std::fs::write(folder.join(SCENARIO), &text)?;
        copy_recordings(&cases().join(&stage.name), &folder)?;
        let call_id = stage.call_id(&call.name);
        let address = server.ip().to_string();
        let mut command = Command::new("sipp");
        let remote = relay.as_ref().map_or(server, Relay::address);
        command.arg(remote.to_string()).arg("-sf").arg(SCENARIO);
        command.args(["-m", "1", "-l", "1", "-nostdin", "-bind_local", "-i", &address, "-mi", &address]);
        // SIPp's watchdog would end the call on a machine that is busy.
        command.args(["-watchdog_interval", "0"]);
        command.args(["-t", stage.transport.mode()]);
        command.args(["-s", &call.number, "-cid_str", &call_id]).args(&call.sipp_arguments);
        let port = match stage.transport {
            Transport::Udp => None,
            Transport::Tcp | Transport::Tls => Some(port_of_its_own(server.ip())?),
        };
        if let Some(port) = &port {
            command.args(["-p", &port.local_addr()?.port().to_string()]);
        }
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
        Ok(Self { child, call_id, twin, line: None, _relay: relay, _port: port })
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

/// The scenario's text, made to speak of TLS where that is the transport: SIPp takes it for TCP, and the relay's port for
/// the service's.
fn scenario(stage: &Stage, call: &Call, server: SocketAddr) -> Result<String> {
    let path = match &call.scenario {
        Some(file) => cases().join(&stage.name).join(file),
        None => cases().join("shared/dialogue.xml"),
    };
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(match stage.transport {
        Transport::Udp | Transport::Tcp => text,
        Transport::Tls => text
            .replace("[transport]", Transport::Tls.via())
            .replace("[remote_port]", &server.port().to_string()),
    })
}

/// A port of TCP that nobody else is given while the socket lives, and that SIPp may listen on all the same, since both
/// allow the address to be used again. Two SIPps that look for a free one by themselves can take the same, and one fails.
fn port_of_its_own(address: IpAddr) -> Result<TcpSocket> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::new(address, 0))?;
    Ok(socket)
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
    [ERRORS, SCREEN, MESSAGES]
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
