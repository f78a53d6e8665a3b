//! `klikon trace` against a service that runs: the list, the ladder, whole messages, and what passes as it passes.

mod service;

use service::{FOR_EVER, Service, klikon, text};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

const CALLER: &str = "+355672003456";

/// A call of the leader to the loop, to its end.
fn phone(service: &Service) {
    let called = service.call("131", &["--identity", CALLER, "--hang-up-after-s", "3"]);
    assert!(called.status.success(), "{}{}", text(&called.stdout), text(&called.stderr));
    service.line("\"event\":\"ended\"");
}

fn trace(service: &Service, arguments: &[&str]) -> Output {
    klikon(service.folder()).arg("trace").args(arguments).output().unwrap()
}

fn traced(service: &Service, arguments: &[&str]) -> String {
    let output = trace(service, arguments);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    let shown = text(&output.stdout);
    assert!(!shown.contains('\x1b'), "no colours where there is no terminal");
    shown
}

#[test]
fn a_call_is_listed_and_drawn_from_the_service_s_memory() {
    let service = Service::start();
    assert_eq!(traced(&service, &[]), "no call yet\n");
    phone(&service);
    let list = traced(&service, &[]);
    println!("{list}");
    let row = list.lines().nth(1).unwrap();
    assert!(
        row.contains("+35567•••3456") && row.contains("131") && row.contains("INVITE 200 line-test"),
        "{list}"
    );
    let short = row.split_whitespace().nth(1).unwrap().trim_end_matches('…');
    let ladder = traced(&service, &["last"]);
    println!("{ladder}");
    assert_eq!(traced(&service, &[short]), ladder, "by the beginning of its id as well");
    let rows: Vec<&str> = ladder.lines().filter(|line| line.contains(" s  ") && line.contains('│')).collect();
    let expected = [
        ("── INVITE ──", "▶", "1 INVITE  audio 127.0.0.1:"),
        ("── 100 Trying ──", "◀", "1 INVITE"),
        ("── 200 OK ──", "◀", "1 INVITE  audio 127.0.0.1:"),
        ("── ACK ──", "▶", "1 ACK"),
        ("── BYE ──", "▶", "2 BYE"),
        ("── 200 OK ──", "◀", "2 BYE"),
    ];
    assert_eq!(rows.len(), expected.len(), "{ladder}");
    for (row, (label, arrow, notes)) in rows.iter().zip(expected) {
        assert!(row.contains(label) && row.contains(arrow) && row.contains(notes), "{row}");
    }
    let whole = traced(&service, &["last", "--full"]);
    assert!(whole.contains("INVITE sip:131@127.0.0.1:") && whole.contains("\nv=0\n"), "{whole}");
    assert!(whole.contains("P-Asserted-Identity: <tel:+35567...3456>"), "{whole}");
    for shown in [list, ladder, whole] {
        assert!(!shown.contains("672003456"), "{shown}");
    }
    let unknown = trace(&service, &["nobody"]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("no such call is kept"));
    let mode = std::fs::metadata(service.folder().join("klikon.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_passes_is_followed_for_one_caller() {
    let service = Service::start();
    let mut following = klikon(service.folder())
        .args(["trace", "--live", "--caller", "0672003456"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let output = following.stdout.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    assert!(lines.recv_timeout(FOR_EVER).unwrap().contains("from now on"));
    let other = service.call("131", &["--identity", "+355683123456", "--hang-up-after-s", "3"]);
    assert!(other.status.success());
    phone(&service);
    let mut labels = Vec::new();
    while labels.last().is_none_or(|label| label != "BYE") {
        let line = lines.recv_timeout(FOR_EVER).unwrap();
        println!("{line}");
        let arrow = line.split('│').nth(1).unwrap();
        labels.push(arrow.trim_matches(['─', '▶', '◀', ' ']).to_owned());
    }
    assert_eq!(labels, ["INVITE", "100 Trying", "200 OK", "ACK", "BYE"], "none of the other caller's");
    let stopped = Command::new("kill").arg(following.id().to_string()).status().unwrap();
    assert!(stopped.success());
    following.wait().unwrap();
}

#[test]
fn without_a_service_the_mend_is_said() {
    let folder = service::folder();
    let output = klikon(folder.path()).args(["--config", "klikon.toml", "trace"]).output().unwrap();
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains("klikon.sock") && error.contains("start `klikon serve`"), "{error}");
}
