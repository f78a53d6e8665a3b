//! Kamailio before nodes, with the recipe of `dialplans/pbx/kamailio/` as it stands there.

use crate::kamailio::Kamailio;
use crate::service::repository;
use std::fmt::Write;
use std::path::Path;

/// Starts it before these nodes; who calls from `trusted` may say who he is.
pub fn start(nodes: &[String], trusted: &[&str]) -> Kamailio {
    Kamailio::start(|folder, port| recipe(folder, port, nodes, trusted))
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
