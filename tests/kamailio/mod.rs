//! Kamailio from its package, for tests that put it before or behind the service, and ports for peers that take none from
//! the system.

use crate::service::FOR_EVER;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;

/// Such a peer is given a port that was just free; where another program was quicker, the next one is tried.
pub const TRIES: usize = 10;

/// A port that is free for UDP and TCP, and was given back.
pub fn free_port() -> u16 {
    for _ in 0..TRIES {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A Kamailio that runs; ended when dropped.
pub struct Kamailio {
    child: Child,
    log: Receiver<String>,
    _folder: TempDir,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Kamailio {
    /// Starts one with the `kamailio.cfg` that `prepare` writes into a folder, for a port.
    pub fn start(prepare: impl Fn(&Path, u16)) -> Self {
        let started = (0..TRIES).find_map(|_| Self::try_start(&prepare));
        started.unwrap_or_else(|| panic!("Kamailio found no free port {TRIES} times"))
    }

    fn try_start(prepare: &impl Fn(&Path, u16)) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        prepare(folder.path(), port);
        let mut child = Command::new("kamailio")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(folder.path())
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-f", "kamailio.cfg", "-Y"])
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
        let mut started = Self { child, log, _folder: folder, port };
        started.is_up().then_some(started)
    }

    /// Whether it has come up. `false` when it ended instead, since its port was taken.
    fn is_up(&mut self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (here, port) = (socket.local_addr().unwrap(), self.port);
        let options = format!(
            "OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK-up\r\nMax-Forwards: 70\r\n\
             From: <sip:test@{here}>;tag=1\r\nTo: <sip:127.0.0.1:{port}>\r\nCall-ID: up@{here}\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n"
        );
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
        let clock = klikon::units::clock::Clock::system();
        let give_up = clock.instant() + FOR_EVER;
        let mut buffer = [0; 2048];
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
