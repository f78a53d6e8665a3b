//! SQLite whose disk is full, or whose write lock another process holds, in the middle of a booking.

use super::caller::phone;
use super::house::{House, Service, Wanted, block_on, sqlite_template};
use super::invariants::{FAILURES, SUCCESSES, UNKNOWN};
use klikon::units::failpoint::{self, Failpoint};
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use sqlx::{Connection, Executor, SqliteConnection};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Nobody waits for long, for the lock or for the network.
const SETTINGS: &str = "calls.activation_wait_ms = 3000\ndatabase.busy_timeout_ms = 200";
/// Leaders who phone, one a case.
const GROUPS: usize = 4;

/// What a caller hears while it cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hears {
    NotBooked,
    /// That it goes on, or that it is not booked: SQLite may have failed in the COMMIT or before.
    NoPromise,
}

/// Where the trouble begins, and what may be heard then.
const CASES: [(Failpoint, Hears); 3] = [
    (failpoint::BEFORE_ATTEMPT, Hears::NotBooked),
    (failpoint::AFTER_ATTEMPT, Hears::NoPromise),
    (failpoint::HOLD_BEFORE_COMMIT, Hears::NoPromise),
];

/// A caller confirms, the service stands still at a point, the trouble begins, and lasts until the caller has hung up. Then
/// another caller is served, and everything comes to its end.
fn trouble<T>(
    build: impl Fn() -> House,
    serve: impl Fn(&House, &str) -> Service,
    begin: impl Fn(&mut House, &Service) -> T,
    end: impl Fn(&Service, T),
) {
    for (group, (point, hears)) in CASES.into_iter().enumerate() {
        let mut house = build();
        let service = serve(&house, &format!("stop@{}", point.name()));
        let caller = phone(service.address(), &Wanted::new(group, 1, 2));
        service.stopped();
        let trouble = begin(&mut house, &service);
        service.signal(Signal::CONT);
        let call = caller.finish();
        end(&service, trouble);
        let unknown = call.has_heard(&[UNKNOWN]);
        assert!(!call.has_heard(&SUCCESSES), "{}: {call:?}\n{}", point.name(), house.log());
        assert!(
            call.has_heard(&FAILURES) || (unknown && hears == Hears::NoPromise),
            "{}: {call:?}\n{}",
            point.name(),
            house.log()
        );
        house.remember(call);
        let next = phone(service.address(), &Wanted::new(GROUPS - 1, 2, 1)).finish();
        assert!(next.has_heard(&SUCCESSES), "{}: {next:?}\n{}", point.name(), house.log());
        house.remember(next);
        house.rest().unwrap_or_else(|error| panic!("{error}"));
        let history = house.judge(true).unwrap_or_else(|error| panic!("{}: {error}", point.name()));
        let of_it = history.rows.activations.iter().filter(|one| one.group == group as i64 + 1).count();
        assert_eq!(of_it, usize::from(unknown), "{}", point.name());
        eprintln!(
            "{}: {}",
            point.name(),
            if unknown { "nobody knew, and it was booked later" } else { "not booked" }
        );
        service.kill();
    }
}

/// Another process begins to write, and does not come to its end. A transaction that has begun is not disturbed by that, and so
/// the last case is none here: the lock cannot be had.
#[test]
fn another_process_holds_the_write_lock() {
    let template = sqlite_template(GROUPS);
    let mut house = House::on_sqlite(&template, SETTINGS);
    let file = house.path().join("klikon.db");
    let hold = || {
        block_on(async {
            let mut connection = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await?;
            connection.execute("BEGIN IMMEDIATE").await?;
            Ok::<_, sqlx::Error>(connection)
        })
    };
    for (group, point) in [failpoint::BEFORE_ATTEMPT, failpoint::AFTER_ATTEMPT].into_iter().enumerate() {
        let service = house.serve(Some(&format!("stop@{}", point.name())));
        let caller = phone(service.address(), &Wanted::new(group, 1, 2));
        service.stopped();
        let lock = hold().unwrap();
        service.signal(Signal::CONT);
        let call = caller.finish();
        assert!(call.has_heard(&FAILURES), "{}: {call:?}\n{}", point.name(), house.log());
        house.remember(call);
        block_on(lock.close()).unwrap();
        service.kill();
        house.judge(true).unwrap_or_else(|error| panic!("{}: {error}", point.name()));
    }
    let service = house.serve(None);
    let call = phone(service.address(), &Wanted::new(0, 1, 2)).finish();
    assert!(call.has_heard(&SUCCESSES), "{call:?}\n{}", house.log());
    house.remember(call);
    house.rest().unwrap_or_else(|error| panic!("{error}"));
    house.judge(true).unwrap_or_else(|error| panic!("{error}"));
    service.kill();
}

/// No file of the service may grow: its writes fail, though not as on a full disk (EFBIG).
#[test]
fn no_file_may_grow() {
    let template = sqlite_template(GROUPS);
    let serve = |house: &House, failpoint: &str| {
        // A process that goes over the limit would be killed.
        let mut command = Command::new("env");
        command.args(["--ignore-signal=XFSZ", env!("CARGO_BIN_EXE_klikon"), "serve"]);
        command.current_dir(house.path()).stdin(Stdio::null());
        house.serve_by(command, Some(failpoint))
    };
    let limit = |service: &Service, octets: Option<u64>| {
        let limit = Rlimit { current: octets, maximum: None };
        prlimit(Some(service.pid()), Resource::Fsize, limit).unwrap();
    };
    trouble(
        || House::on_sqlite(&template, SETTINGS),
        serve,
        |house, service| {
            let log = std::fs::metadata(house.path().join("klikon.db-wal")).map_or(0, |log| log.len());
            limit(service, Some(log));
        },
        |service, ()| limit(service, None),
    );
}

/// A disk of its own, which is full (ENOSPC). It takes a mount in a namespace of the service's.
#[test]
fn the_disk_is_full() {
    let namespace = ["unshare", "--mount", "--map-root-user"];
    let mut tried = Command::new(namespace[0]);
    tried.args(&namespace[1..]).args(["mount", "-t", "tmpfs", "x", "/mnt"]);
    if !tried.status().is_ok_and(|status| status.success()) {
        eprintln!("no file system can be mounted here: only `no_file_may_grow` shows what a full disk does");
        return;
    }
    let template = sqlite_template(GROUPS);
    let kept = template.path().join("klikon.db");
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("disk")).unwrap();
        House::build(folder, "sqlite://disk/klikon.db", String::new(), SETTINGS)
    };
    let serve = |house: &House, failpoint: &str| {
        let mut command = Command::new(namespace[0]);
        let script = "mount -t tmpfs -o size=4m disk disk && cp \"$1\" disk/klikon.db && exec \"$0\" serve";
        command.args(&namespace[1..]).args(["sh", "-c", script, env!("CARGO_BIN_EXE_klikon")]).arg(&kept);
        command.current_dir(house.path()).stdin(Stdio::null());
        house.serve_by(command, Some(failpoint))
    };
    trouble(
        build,
        serve,
        |house, service| {
            // The service's own view of its folder.
            let folder = house.path().display();
            let disk = PathBuf::from(format!("/proc/{}/root{folder}/disk", service.pid()));
            house.read_copies_of(disk.clone());
            let ballast = disk.join("ballast");
            let full = std::fs::write(&ballast, vec![0; 8 << 20]).unwrap_err();
            assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
            ballast
        },
        |_, ballast| std::fs::remove_file(ballast).unwrap(),
    );
}
