//! The load caller against a service that runs: what it counts, how it is stopped, how it judges.

mod service;

use service::{FOR_EVER, Service, text};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

#[test]
fn every_call_is_answered_and_ended_and_its_latencies_are_told() {
    let service = Service::start();
    let output = service
        .call("131", &["--rate", "100", "--calls", "40", "--hold", "0.2", "--identity", "+355672003456"]);
    let report = text(&output.stdout);
    println!("{report}{}", text(&output.stderr));
    assert!(output.status.success());
    assert!(report.contains("40 answered, 40 ended in good order, 0 failed"), "{report}");
    for row in ["INVITE to 100 ", "INVITE to ring or answer ", "INVITE to 200 ", "BYE to 200 "] {
        let cells = report.lines().find_map(|line| line.strip_prefix(row)).unwrap().split_whitespace();
        let numbers: Vec<f64> = cells.map(|cell| cell.parse().unwrap()).collect();
        assert_eq!((numbers.len(), numbers[0]), (5, 40.0), "{report}");
        assert!(numbers[1] <= numbers[2] && numbers[2] <= numbers[3] && numbers[3] <= numbers[4], "{report}");
    }
}

#[test]
fn refusals_are_counted_by_status_and_fail_the_run() {
    let service = Service::start();
    let output = service.call("999", &["--rate", "100", "--calls", "7"]);
    let report = text(&output.stdout);
    assert!(!output.status.success());
    assert!(
        report.contains("0 answered, 0 ended in good order, 7 failed\n  7 failed with 404\n"),
        "{report}"
    );
    assert!(text(&output.stderr).contains("7 of 7 calls were not answered"), "{}", text(&output.stderr));
}

#[test]
fn an_interrupt_ends_the_calls_under_way_and_prints_what_there_is() {
    let service = Service::start();
    let uri = format!("sip:131@{}", service.address);
    let mut calling = service
        .caller(&uri, &["--rate", "20", "--calls", "100000", "--hold", "600"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = channel();
    let told = calling.stderr.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(told).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let progress = lines.recv_timeout(FOR_EVER).unwrap();
    assert!(progress.contains(" started, ") && progress.contains(" under way"), "{progress}");
    service.line("\"event\":\"answered\"");
    let interrupted = Command::new("kill").args(["-INT", &calling.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let output = calling.wait_with_output().unwrap();
    let report = text(&output.stdout);
    assert!(!output.status.success());
    assert!(report.contains("ended in good order") && !report.contains("left under way"), "{report}");
    assert!(lines.iter().any(|line| line.contains("interrupted after ")));
    service.line("\"event\":\"ended\"");
}
