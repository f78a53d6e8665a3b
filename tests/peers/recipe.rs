//! Kamailio before nodes, with the recipe of `dialplans/pbx/kamailio/` as it stands there: only addresses, ports, the
//! interval of pings and the folder of its files are others.

use crate::authority::Authority;
use crate::kamailio::{Kamailio, free_port};
use crate::service::repository;
use std::cell::Cell;
use std::path::{Path, PathBuf};

/// Starts it before these nodes, which it reaches by UDP; who calls from `trusted` may say who he is.
pub fn start(nodes: &[String], trusted: &[&str]) -> Kamailio {
    Kamailio::start(|folder, port| {
        local(folder, port, &[]);
        lists(folder, nodes.iter().map(|node| format!("sip:{node}")), trusted);
    })
}

/// What a Kamailio that speaks TLS shows and believes.
pub struct Certificates<'a> {
    /// Its own certificate and key.
    pub own: &'a (PathBuf, PathBuf),
    /// Whose certificates of nodes it believes.
    pub nodes: &'a Authority,
}

/// Starts it before these nodes, which it reaches by TLS; callers from 127.0.0.1 may say who they are. Gives its port for
/// callers by TLS, too.
pub fn start_with_tls(nodes: &[String], certificates: &Certificates<'_>) -> (Kamailio, u16) {
    let tls_port = Cell::new(0);
    let proxy = Kamailio::start(|folder, port| {
        tls_port.set(free_port());
        let listen = format!("tls:127.0.0.1:{}", tls_port.get());
        local(
            folder,
            port,
            &[
                ("##!define WITH_TLS\n", "#!define WITH_TLS\n"),
                ("##!define LISTEN_TLS tls:0.0.0.0:5061", &format!("#!define LISTEN_TLS {listen}")),
            ],
        );
        let Certificates { own: (certificate, key), nodes: authority } = certificates;
        let shipped = recipe().join("tls.cfg");
        let files = [("kamailio.pem", certificate), ("kamailio.key", key), ("nodes.pem", &authority.file())];
        let files = files.map(|(name, file)| (format!("/etc/kamailio/{name}"), file.display().to_string()));
        let files: Vec<_> = files.iter().map(|(name, file)| (name.as_str(), file.as_str())).collect();
        copy(&shipped, &folder.join("tls.cfg"), &files);
        lists(folder, nodes.iter().map(|node| format!("sip:{node};transport=tls")), &["127.0.0.1"]);
    });
    (proxy, tls_port.get())
}

/// Where the recipe stands.
fn recipe() -> PathBuf {
    repository().join("dialplans/pbx/kamailio")
}

/// Copies a file of the recipe with some words replaced, each of which must be there.
fn copy(from: &Path, to: &Path, replaced: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(from).unwrap();
    for (shipped, here) in replaced {
        assert!(text.contains(shipped), "`{shipped}` is not in {} any more", from.display());
        text = text.replace(shipped, here);
    }
    std::fs::write(to, text).unwrap();
}

/// The settings and the program.
fn local(folder: &Path, port: u16, more: &[(&str, &str)]) {
    std::fs::copy(recipe().join("kamailio.cfg"), folder.join("kamailio.cfg")).unwrap();
    let (udp, tcp) = (format!("udp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{port}"));
    let lists = format!("!{}!", folder.display());
    let here = [
        ("udp:0.0.0.0:5060", udp.as_str()),
        ("tcp:0.0.0.0:5060", &tcp),
        ("!/etc/kamailio!", &lists),
        ("PING_INTERVAL 5", "PING_INTERVAL 1"),
    ];
    copy(&recipe().join("local.cfg"), &folder.join("local.cfg"), &[&here[..], more].concat());
}

/// The nodes, by their URIs, and the trusted callers' addresses.
fn lists(folder: &Path, nodes: impl Iterator<Item = String>, trusted: &[&str]) {
    let list: String = nodes.map(|uri| format!("1 {uri} 0 0\n")).collect();
    std::fs::write(folder.join("dispatcher.list"), list).unwrap();
    let list: String = trusted.iter().map(|address| format!("1 {address} 32\n")).collect();
    std::fs::write(folder.join("address.list"), list).unwrap();
}
