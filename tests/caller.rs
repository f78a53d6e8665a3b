//! The built-in caller against a service that runs.

mod service;

use service::{Service, text};

#[test]
fn an_interval_that_is_too_small_is_raised_and_the_call_answered() {
    let service = Service::start_with("calls.min_se_s = 1800");
    let arguments =
        ["--identity", "0672003456", "--keys", "9", "--expect", "goodbye", "--session-expires-s", "90"];
    let called = service.call("130", &arguments);
    let said = text(&called.stdout) + &text(&called.stderr);
    assert!(called.status.success() && said.contains("answered after"), "{said}");
    let log = service.stop();
    assert!(log.contains("refused_interval_too_small=1"), "{log}");
    assert!(log.contains("invites_received=2 ") && log.contains("sessions_confirmed=1 "), "{log}");
}
