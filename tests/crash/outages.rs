//! PostgreSQL is stopped in immediate mode and started again, or a standby takes its place, while calls book; the service
//! goes on running.

use super::caller::{Caller, phone};
use super::cluster::Cluster;
use super::house::{House, Wanted, block_on, postgres_template};
use super::invariants::{SUCCESSES, UNKNOWN};
use super::logs::Call;
use super::waiting::{pass, until};
use klikon::units::failpoint;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use std::time::Duration;

/// The network activates, and callers wait for that.
const SETTINGS: &str = "calls.activation_wait_ms = 3000\ndatabase.probe_interval_ms = 50";
/// Leaders who phone.
const GROUPS: usize = 6;
/// Outages in the middle of calls.
const OUTAGES: u64 = 2;
/// From the first confirmation to the outage, at most.
const AFTER_CONFIRMATION_MS: u64 = 300;

/// The service stands still at a point while the server crashes and comes back: what it was doing fails, and it must find out
/// what became of it.
#[test]
fn postgresql_crashes_at_each_commit() {
    let mut cluster = Cluster::start().unwrap();
    postgres_template(&cluster, GROUPS);
    let mut house = House::on_postgres(&cluster, "klikon", SETTINGS);
    let points = [
        failpoint::ATTEMPT_BEFORE_COMMIT,
        failpoint::HOLD_BEFORE_COMMIT,
        failpoint::HOLD_AFTER_COMMIT,
        failpoint::MARK_SENT_BEFORE_COMMIT,
        failpoint::SETTLEMENT_BEFORE_COMMIT,
    ];
    for (group, point) in points.into_iter().enumerate() {
        let service = house.serve(Some(&format!("stop@{}", point.name())));
        let caller = phone(service.address(), &Wanted::new(group, 1, 2));
        service.stopped();
        cluster.stop_at_once().unwrap();
        cluster.start_again().unwrap();
        service.signal(Signal::CONT);
        let call = caller.finish();
        assert!(call.has_heard(&SUCCESSES), "{}: {call:?}\n{}", point.name(), house.log());
        house.remember(call);
        house.rest().unwrap_or_else(|error| panic!("{error}"));
        let history = house.judge(true).unwrap_or_else(|error| panic!("{}: {error}", point.name()));
        assert_eq!(history.rows.activations.len(), group + 1, "{}", point.name());
        service.kill();
    }
}

/// The server stays away for longer than a caller waits. Cut off in the COMMIT of the hold, nobody knows, and the service settles
/// it when the server is back; cut off before, the caller hears that nothing is booked.
#[test]
fn what_nobody_knew_is_settled_when_postgresql_is_back() {
    let mut cluster = Cluster::start().unwrap();
    postgres_template(&cluster, GROUPS);
    let settings = format!("{SETTINGS}\ndatabase.acquire_timeout_ms = 200");
    let mut house = House::on_postgres(&cluster, "klikon", &settings);
    for (group, point, heard, booked) in [
        (0, failpoint::AFTER_ATTEMPT, "service-unavailable", 0),
        (1, failpoint::HOLD_BEFORE_COMMIT, UNKNOWN, 1),
    ] {
        let service = house.serve(Some(&format!("stop@{}", point.name())));
        let caller = phone(service.address(), &Wanted::new(group, 1, 2));
        service.stopped();
        cluster.stop_at_once().unwrap();
        service.signal(Signal::CONT);
        let call = caller.finish();
        assert!(call.has_heard(&[heard]), "{}: {call:?}\n{}", point.name(), house.log());
        house.remember(call);
        cluster.start_again().unwrap();
        house.rest().unwrap_or_else(|error| panic!("{error}"));
        let history = house.judge(true).unwrap_or_else(|error| panic!("{}: {error}", point.name()));
        assert_eq!(history.rows.activations.len(), booked, "{}", point.name());
        service.kill();
    }
}

fn all_phone(house: &House, service: std::net::SocketAddr, key: usize) -> Vec<Caller> {
    let callers = (0..GROUPS).map(|group| phone(service, &Wanted::new(group, group % 3, key)));
    let callers: Vec<_> = callers.collect();
    let confirmed = until(|| callers.iter().any(Caller::has_confirmed));
    assert!(confirmed, "nobody confirmed\n{}", house.log());
    callers
}

/// Callers who phone after an outage are answered 503 until the service has noticed that it is over.
fn phone_until_answered(house: &mut House, service: std::net::SocketAddr) {
    let answered = until(|| {
        let call = phone(service, &Wanted::new(0, 1, 1)).finish();
        let answered = call.confirmed_at_ms.is_some();
        house.remember(call);
        answered
    });
    let last = house.calls().last().unwrap();
    assert!(answered && last.has_heard(&SUCCESSES), "{last:?}\n{}", house.log());
}

/// How often each thing was heard after a confirmation.
fn heard(calls: &[Call]) -> String {
    let of = |is_it: fn(&Call) -> bool| calls.iter().filter(|call| is_it(call)).count();
    format!(
        "{} calls, {} confirmed: {} heard that it is booked, {} that nobody knows",
        calls.len(),
        of(|call| call.confirmed_at_ms.is_some()),
        of(|call| call.has_heard(&SUCCESSES)),
        of(|call| call.has_heard(&[UNKNOWN]))
    )
}

/// Lets delivery come to its end, and judges.
fn judged(house: &mut House) {
    house.rest().unwrap_or_else(|error| panic!("{error}"));
    house.judge(true).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{}", heard(house.calls()));
}

#[test]
fn postgresql_crashes_while_calls_run() {
    let mut cluster = Cluster::start().unwrap();
    postgres_template(&cluster, GROUPS);
    let mut house = House::on_postgres(&cluster, "klikon", SETTINGS);
    let service = house.serve(None);
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..OUTAGES {
        let callers = all_phone(&house, service.address(), 1);
        pass(Duration::from_millis(random.random_range(0..AFTER_CONFIRMATION_MS)));
        cluster.stop_at_once().unwrap();
        cluster.start_again().unwrap();
        callers.into_iter().for_each(|caller| house.remember(caller.finish()));
        house.look().unwrap_or_else(|error| panic!("{error}"));
        phone_until_answered(&mut house, service.address());
    }
    judged(&mut house);
    service.kill();
}

/// The primary crashes and its standby takes over, at the same address. What was committed is there, since each commit had
/// waited for the standby.
#[test]
fn a_standby_takes_over_while_calls_run() {
    let mut primary = Cluster::start().unwrap();
    postgres_template(&primary, GROUPS);
    let folder = tempfile::tempdir().unwrap();
    // The address that follows the primary: a link to its socket's folder.
    let address = folder.path().join("primary");
    std::os::unix::fs::symlink(primary.folder(), &address).unwrap();
    let name = "failover";
    block_on(primary.execute("postgres", &format!("CREATE DATABASE {name} TEMPLATE seeded"))).unwrap();
    let url = |user: &str| format!("postgres:///{name}?host={}&user={user}", address.display());
    let standby = primary.standby("standby").unwrap();
    for statement in ["ALTER SYSTEM SET synchronous_standby_names = 'standby'", "SELECT pg_reload_conf()"] {
        block_on(primary.execute("postgres", statement)).unwrap();
    }
    let mut house =
        House::build(tempfile::tempdir().unwrap(), &url("klikon_service"), url("postgres"), SETTINGS);
    let service = house.serve(None);
    let callers = all_phone(&house, service.address(), 1);
    callers.into_iter().for_each(|caller| house.remember(caller.finish()));
    house.look().unwrap_or_else(|error| panic!("{error}"));
    let callers = all_phone(&house, service.address(), 2);
    pass(Duration::from_millis(StdRng::seed_from_u64(2).random_range(0..AFTER_CONFIRMATION_MS)));
    primary.stop_at_once().unwrap();
    standby.promote().unwrap();
    let aside = folder.path().join("next");
    std::os::unix::fs::symlink(standby.folder(), &aside).unwrap();
    std::fs::rename(&aside, &address).unwrap();
    callers.into_iter().for_each(|caller| house.remember(caller.finish()));
    house.look().unwrap_or_else(|error| panic!("{error}"));
    phone_until_answered(&mut house, service.address());
    judged(&mut house);
    service.kill();
}
