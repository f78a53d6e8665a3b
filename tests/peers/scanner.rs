//! Real scanners from their packages against a service to which they are strangers, and a monitor that is a peer.

use crate::service::Service;
use std::process::{Command, Output, Stdio};

/// A tool's end, within a minute; what it says on both ways out.
fn run(tool: &str, arguments: &[&str]) -> (Output, String) {
    let output = Command::new("timeout")
        .args(["60", tool])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{tool} is installed; `make tools` does that: {error}"));
    assert_ne!(output.status.code(), Some(124), "{tool} did not end");
    let said = crate::service::text(&output.stdout) + &crate::service::text(&output.stderr);
    (output, said)
}

/// Peers are elsewhere: who calls from this machine is a stranger.
fn among_strangers() -> Service {
    Service::start_with("peers = [{ name = \"pbx\", addresses = [\"127.0.0.9/32\"] }]\n")
}

fn port(service: &Service) -> &str {
    service.address.rsplit(':').next().unwrap()
}

/// What the service counted under this name.
fn counted(log: &str, name: &str) -> u64 {
    let found = log.split([' ', '\n']).find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    found.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn sipvicious_finds_nothing_and_nothing_breaks() {
    let service = among_strangers();
    let (_, found) = run("svmap", &["-p", port(&service), "127.0.0.1"]);
    assert!(!found.contains("klikon") && !found.contains(&service.address), "svmap found it: {found}");
    let (_, found) = run("svwar", &["-p", port(&service), "-e", "129-131", "127.0.0.1"]);
    assert!(!found.contains("reqauth") && !found.contains("noauth"), "svwar found something: {found}");
    let arguments = ["-p", port(&service), "-u", "130", "-r", "100-110", "127.0.0.1"];
    let (_, found) = run("svcrack", &arguments);
    assert!(!found.contains("| Extension | Password |"), "svcrack found something: {found}");
    let log = service.stop();
    assert!(counted(&log, "dropped_scanner") + counted(&log, "dropped_banned") > 0, "{log}");
    assert_eq!(counted(&log, "messages_sent"), 0, "not one answer: {log}");
}

#[test]
fn sipsak_asks_whether_the_service_lives_and_its_rubbish_harms_nobody() {
    let service = Service::start();
    let uri = format!("sip:130@{}", service.address);
    let (output, said) = run("sipsak", &["-vv", "-s", &uri]);
    assert!(output.status.success() && said.contains("200 OK"), "{said}");
    // Its torture: a valid OPTIONS of which more and more octets are changed at random.
    run("sipsak", &["-R", "-t", "40", "-s", &uri]);
    let (output, said) = run("sipsak", &["-vv", "-s", &uri]);
    assert!(output.status.success() && said.contains("200 OK"), "{said}");
    service.stop();
}
