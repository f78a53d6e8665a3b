//! The leader's PIN, asked of the callers of a peer that cannot vouch for their numbers: whole calls.

mod service;

use service::{Service, klikon, text};
use std::io::Write;
use std::process::Stdio;

const LEADER: &str = "0672003456";

fn start() -> Service {
    Service::start_with(
        "peers = [{ name = \"weak\", addresses = [\"127.0.0.0/8\"], pin = true }]\n[calls]\nactivation_wait_ms = 0\n",
    )
}

/// `klikon admin leader pin`, with this on its standard input. What it says, and whether it succeeded.
fn admin_pin(service: &Service, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = klikon(service.folder());
    command.args(["admin", "leader", "pin", "042250928"]).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), text(&output.stdout) + &text(&output.stderr))
}

fn call(service: &Service, arguments: &[&str]) {
    let all = [&["--identity", LEADER, "--barge-in-after-ms", "0"][..], arguments].concat();
    let output = service.call("130", &all);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_leader_with_his_pin_hears_the_packages_and_one_without_does_not() {
    let service = start();
    call(&service, &["--keys", "ask-pin:4729#", "--expect", "pin-unset", "--expect", "goodbye"]);
    let (set, said) = admin_pin(&service, &[], "1234\n");
    assert!(!set && said.contains("would be guessed first"), "{said}");
    let (set, said) = admin_pin(&service, &[], "4729\n");
    assert!(set && said.contains("is set") && !said.contains("4729"), "{said}");
    call(
        &service,
        &["--keys", "ask-pin:4729#", "--keys", "ask-member-number:0672123456#", "--keys", "choose-package:9"],
    );
    let query = service.line("\"name\":\"pin\",\"outcome\":\"right\"");
    assert!(!query.contains("4729"));
    // Wrong three times: locked, and a later call is told so at once, with the right one too.
    call(
        &service,
        &[
            "--keys",
            "ask-pin:0001#",
            "--keys",
            "pin-wrong:0002#",
            "--keys",
            "pin-wrong:0003#",
            "--expect",
            "pin-locked",
        ],
    );
    call(&service, &["--keys", "ask-pin:4729#", "--expect", "pin-locked"]);
    let (unlocked, said) = admin_pin(&service, &["--unlock", "--reason", "he forgot it"], "");
    assert!(unlocked, "{said}");
    call(
        &service,
        &["--keys", "ask-pin:4729#", "--keys", "ask-member-number:9", "--expect", "for-the-month"],
    );
    let (made, said) = admin_pin(&service, &["--generate"], "");
    assert!(made && said.contains("shown this once"), "{said}");
    let log = service.stop();
    assert!(!log.contains("4729") && !log.contains("0003"), "no PIN stands in the log: {log}");
}
