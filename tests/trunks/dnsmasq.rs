//! A real DNS server for one test: dnsmasq, which knows only what its command line says.

use crate::kamailio::{TRIES, free_port};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// A running dnsmasq; it ends with this.
pub struct Dnsmasq {
    /// Where it is asked.
    pub address: SocketAddr,
    _process: Child,
}

impl Dnsmasq {
    /// Starts one with these records, as dnsmasq's own arguments: `--srv-host=…`, `--host-record=…`.
    pub async fn start(records: &[String]) -> Self {
        for _ in 0..TRIES {
            if let Some(running) = Self::try_start(records, free_port()).await {
                return running;
            }
        }
        panic!("dnsmasq does not start; `make tools` installs it (Debian's package is dnsmasq-base)");
    }

    async fn try_start(records: &[String], port: u16) -> Option<Self> {
        let mut command = Command::new("dnsmasq");
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.args(["--keep-in-foreground", "--log-facility=-", "--conf-file=/dev/null", "--pid-file="]);
        command.args(["--no-resolv", "--no-hosts", "--no-poll", "--bind-interfaces", "--user=", "--group="]);
        command.args(["--listen-address=127.0.0.1", "--local-ttl=60", "--local=/test/", "--log-queries"]);
        command.arg(format!("--port={port}")).args(records);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("dnsmasq is installed: `make tools`");
        let mut lines = BufReader::new(process.stderr.take()?).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("started, version") {
                // Whatever it logs later must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                return Some(Self { address, _process: process });
            }
            eprintln!("{line}");
        }
        None
    }
}
