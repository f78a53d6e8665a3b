//! Kamailio from its package, with the recipe of `dialplans/pbx/kamailio/` as it stands there.

use crate::service::{FOR_EVER, repository};
use crate::{TRIES, free_port};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;

/// A Kamailio that runs; ended when dropped.
pub struct Kamailio {
    child: Child,
    log: Receiver<String>,
    _folder: TempDir,
    /// `127.0.0.1:PORT`, for UDP and TCP.
    pub address: String,
}

/// The recipe in a folder of its own, with these nodes and trusted callers' addresses.
fn recipe(folder: &Path, port: u16, nodes: &[String], trusted: &[&str]) {
    let from = repository().join("dialplans/pbx/kamailio");
    std::fs::copy(from.join("kamailio.cfg"), folder.join("kamailio.cfg")).unwrap();
    let mut local = std::fs::read_to_string(from.join("local.cfg")).unwrap();
    for (shipped, here) in [
        ("udp:0.0.0.0:5060", format!("udp:127.0.0.1:{port}")),
        ("tcp:0.0.0.0:5060", format!("tcp:127.0.0.1:{port}")),
        ("!/etc/kamailio!", format!("!{}!", folder.display())),
        ("PING_INTERVAL 5", "PING_INTERVAL 1".to_owned()),
        ("NODE_TIMEOUT 2000", "NODE_TIMEOUT 500".to_owned()),
    ] {
        assert!(local.contains(shipped), "`{shipped}` is not in the recipe any more");
        local = local.replace(shipped, &here);
    }
    std::fs::write(folder.join("local.cfg"), local).unwrap();
    let list = nodes.iter().fold(String::new(), |mut list, node| {
        let _ = writeln!(list, "1 sip:{node} 0 0");
        list
    });
    std::fs::write(folder.join("dispatcher.list"), list).unwrap();
    let list = trusted.iter().map(|address| format!("1 {address} 32\n")).collect::<String>();
    std::fs::write(folder.join("address.list"), list).unwrap();
}

impl Kamailio {
    /// Starts it before these nodes; who calls from `trusted` may say who he is.
    pub fn start(nodes: &[String], trusted: &[&str]) -> Self {
        for _ in 0..TRIES {
            if let Some(started) = Self::try_start(nodes, trusted) {
                return started;
            }
        }
        panic!("Kamailio found no free port {TRIES} times");
    }

    fn try_start(nodes: &[String], trusted: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        recipe(folder.path(), port, nodes, trusted);
        let mut child = Command::new("kamailio")
            .current_dir(folder.path())
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f"])
            .arg(folder.path().join("kamailio.cfg"))
            .arg("-Y")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kamailio is installed; `make tools` does that");
        let (sender, log) = channel();
        let stderr = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sender.send(line);
            }
        });
        let mut started = Self { child, log, _folder: folder, address: format!("127.0.0.1:{port}") };
        started.answers().then_some(started)
    }

    /// Whether it has come up: it answers an OPTIONS over UDP, which waits in its socket until then. `false` when it ended.
    fn answers(&mut self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let here = socket.local_addr().unwrap();
        let options = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-up\r\nMax-Forwards: 70\r\n\
             From: <sip:test@{here}>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: up@{here}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
            to = self.address,
        );
        socket.connect(&self.address).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let mut buffer = [0; 2048];
        let clock = klikon::units::clock::Clock::system();
        let give_up = clock.instant() + FOR_EVER;
        while clock.instant() < give_up {
            // Refused while nobody listens there yet: the read waits instead.
            let _ = socket.send(options.as_bytes());
            if socket.recv(&mut buffer).is_ok() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
        }
        panic!("Kamailio says nothing");
    }

    /// The next line of its log that holds this.
    pub fn log_line(&self, part: &str) -> String {
        loop {
            let line =
                self.log.recv_timeout(FOR_EVER).unwrap_or_else(|_| panic!("`{part}` was never logged"));
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // SIGTERM to the first process ends all of them.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
