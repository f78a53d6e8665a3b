//! Months and the clock, as an operator meets them: the commands themselves, on clocks of the test's own (`faketime`), and a
//! close that is killed.

mod service;

use jiff::{SignedDuration, Timestamp};
use klikon::klikon::{SmsAlphabet, Standing};
use klikon::ledger::BillItemKind;
use klikon::store::{
    Activation, ActivationOrder, ActivationState, BookFilter, HoldOutcome, Settings, Settlement, Store,
};
use klikon::units::{ActivationId, CallId, Month, Msisdn};
use serde_json::json;
use service::{FOR_EVER, Service, folder_with, text};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use tokio::runtime::Runtime;

const LEADER: &str = "0672003456";
/// Between two looks at a folder, which does not say that it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The service's own clocks of timers stay true: only the calendar's is the test's.
const SETTINGS: &str = "[calls]\nactivation_wait_ms = 0\n[delivery]\npoll_interval_ms = 20\n";

/// A wall clock that stands where the test puts it, for the service and for each command, UTC.
struct Calendar {
    file: PathBuf,
}

impl Calendar {
    fn at(folder: &Path, utc: &str) -> Self {
        let calendar = Self { file: folder.join("calendar") };
        calendar.set(utc);
        calendar
    }

    /// `2026-11-30 22:59:59`: forwards or backwards. In place of the old one, so that no half of it is read.
    fn set(&self, utc: &str) {
        let aside = self.file.with_extension("aside");
        std::fs::write(&aside, format!("{utc}\n")).unwrap();
        std::fs::rename(aside, &self.file).unwrap();
    }

    fn on(&self, command: &mut Command) {
        let library = std::fs::read_dir("/usr/lib")
            .unwrap()
            .flatten()
            .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists())
            .expect("install the Debian package faketime");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1")
            .env("TZ", "UTC");
    }
}

/// A folder with settings and a ledger, and the commands that are given there.
struct House {
    folder: PathBuf,
    calendar: Calendar,
}

impl House {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = service::klikon(&self.folder);
        self.calendar.on(&mut command);
        command.args(arguments).output().unwrap()
    }

    /// A command that must succeed; what it said.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// A command that must be refused; what it said.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        said
    }

    async fn store(&self) -> Store {
        Store::open(&Settings::for_file(self.folder.join("klikon.db"))).await.unwrap()
    }

    async fn activations(&self) -> Vec<Activation> {
        let store = self.store().await;
        let all = store.activations(BookFilter::default()).await.unwrap();
        store.close().await;
        all
    }

    /// Super 1100 for the member, confirmed at a moment and posted.
    async fn books(&self, at: Timestamp) {
        let store = self.store().await;
        let leader = Msisdn::parse(LEADER).unwrap();
        let Standing::Leader { group, .. } = store.standing(leader).await.unwrap() else { panic!() };
        let offer = store.offers(group, at).await.unwrap()[1];
        let order = ActivationOrder {
            id: ActivationId::new(at, [1; 10]),
            call: CallId::new(at, [1; 10]),
            caller: leader,
            member: leader,
            package: offer.package,
            quoted_net: offer.net,
            at,
        };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
        store.settle(order.id, &Settlement::Post, at, SmsAlphabet::Ucs2).await.unwrap();
        store.close().await;
    }
}

/// The service and its commands on one calendar.
struct Town {
    house: House,
    service: Service,
    /// Orders that were answered.
    answered: Vec<PathBuf>,
}

impl Town {
    fn new(utc: &str) -> Self {
        let folder = folder_with(SETTINGS);
        let calendar = Calendar::at(folder.path(), utc);
        service::put_a_group_in_by(folder.path(), |command| calendar.on(command));
        let place = folder.path().to_owned();
        let service = Service::start_on(folder, |command| calendar.on(command));
        Self { house: House { folder: place, calendar }, service, answered: Vec::new() }
    }

    /// The leader phones and buys Super 700 for the member, confirming at the moment where the calendar stands.
    fn buys(&self) -> Output {
        let mut caller = self.service.caller(&format!("sip:130@{}", self.service.address), &[]);
        self.house.calendar.on(&mut caller);
        // All that may be keyed ahead is keyed at the beginning; the confirmation may not.
        caller.args(["--identity", LEADER, "--barge-in-after-ms", "300", "--timeout-s", "60"]);
        for keys in ["welcome:0672123456#1", "for-number:1", "another-keys:2"] {
            caller.args(["--keys", keys]);
        }
        caller.output().unwrap()
    }

    fn bought(&self) {
        let output = self.buys();
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        self.service.line("\"accepted\"");
    }

    /// The network answers the next order, at the moment where the calendar stands; only once that is booked it goes on.
    fn network_answers(&mut self, runtime: &Runtime) {
        let order = runtime.block_on(look_for(async || self.unanswered()));
        let content: serde_json::Value = serde_json::from_slice(&std::fs::read(&order).unwrap()).unwrap();
        let answer = json!({ "activation": content["activation"], "result": "activated" });
        let spool = self.service.folder().join("spool");
        let (aside, name) = (spool.join("answer"), order.file_name().unwrap());
        std::fs::write(&aside, answer.to_string()).unwrap();
        std::fs::rename(&aside, spool.join("acks").join(name)).unwrap();
        self.answered.push(order.clone());
        let all = self.answered.len();
        runtime.block_on(look_for(async || (self.posted().await == all).then_some(())));
    }

    fn unanswered(&self) -> Option<PathBuf> {
        let orders = std::fs::read_dir(self.service.folder().join("spool/orders")).ok()?;
        let files = orders.flatten().map(|entry| entry.path());
        let whole = files.filter(|file| file.extension().is_some_and(|ending| ending == "json"));
        whole.filter(|file| !self.answered.contains(file)).min()
    }

    async fn posted(&self) -> usize {
        let all = self.house.activations().await;
        all.iter().filter(|activation| activation.state == ActivationState::Posted).count()
    }

    /// Each activation by its month and its hold, in the order of their holds.
    fn months(&self, runtime: &Runtime) -> Vec<(String, String)> {
        let all = runtime.block_on(self.house.activations());
        all.iter().map(|one| (one.month.to_string(), one.held_at.to_string())).collect()
    }
}

/// Looks until there is something; a safety net ends it.
async fn look_for<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let looking = async {
        loop {
            looks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(FOR_EVER, looking).await.expect("it never came")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The column of the bill's items, by its number, and by its line's kind.
fn items(csv: &str, column: usize) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[0] == "item");
    rows.map(|row| row[column].to_owned()).collect()
}

/// A month's end in Tirane: what is confirmed in its last second stays in it, however late the network answers.
fn a_month_ends(
    last_second: &str,
    next_month: &str,
    later: &str,
    too_early: &str,
    closing: &str,
    months: [&str; 2],
) {
    let runtime = runtime();
    let mut town = Town::new(last_second);
    town.bought();
    town.house.calendar.set(next_month);
    town.bought();
    // The network answers for both after midnight; the months are those of the confirmations.
    town.house.calendar.set(later);
    town.network_answers(&runtime);
    town.network_answers(&runtime);
    let instant = |utc: &str| utc.replace(' ', "T") + "Z";
    let expected =
        [(months[0].to_owned(), instant(last_second)), (months[1].to_owned(), instant(next_month))];
    assert_eq!(town.months(&runtime), expected);
    let close = ["bill", "close", months[0], "--by", "clerk"];
    town.house.calendar.set(too_early);
    let said = town.house.refused(&close);
    assert!(said.contains("can be closed from"), "{said}");
    town.house.calendar.set(closing);
    let said = town.house.done(&close);
    assert!(said.contains("run 1, 1 contracts, 1 activations") && said.contains("500"), "{said}");
    town.house.done(&["bill", "export", months[0]]);
    town.house.done(&["ledger", "verify"]);
    let said = town.house.refused(&["bill", "close", months[1], "--by", "clerk"]);
    assert!(said.contains("can be closed from"), "{said}");
}

#[test]
fn november_ends_at_23_utc() {
    let days = ["2026-11-30 22:59:59", "2026-11-30 23:00:00", "2026-11-30 23:05:00"];
    let months = ["2026-11", "2026-12"];
    a_month_ends(days[0], days[1], days[2], "2026-11-30 23:14:59", "2026-11-30 23:15:00", months);
}

#[test]
fn june_ends_at_22_utc() {
    let days = ["2026-06-30 21:59:59", "2026-06-30 22:00:00", "2026-06-30 22:05:00"];
    let months = ["2026-06", "2026-07"];
    a_month_ends(days[0], days[1], days[2], "2026-06-30 22:14:59", "2026-06-30 22:15:00", months);
}

/// Activations at these moments of one month, and what the bill says of when they were, in Tirane.
fn a_day_of_the_change(moments: &[&str], closing: &str, month: &str, in_tirane: &[&str]) {
    let runtime = runtime();
    let mut town = Town::new(moments[0]);
    for moment in moments {
        town.house.calendar.set(moment);
        town.bought();
        town.network_answers(&runtime);
    }
    town.house.calendar.set(closing);
    town.house.done(&["bill", "close", month, "--by", "clerk"]);
    let csv = town.service.folder().join(format!("bills/klikon-bill-000001-{month}.csv"));
    let csv = std::fs::read_to_string(csv).unwrap();
    assert_eq!(items(&csv, 7), in_tirane, "{csv}");
    town.house.done(&["ledger", "verify"]);
}

/// At two in the morning it is three: the day has 23 hours, and the month ends at 22 UTC.
#[test]
fn clocks_go_forward_on_29_march() {
    a_day_of_the_change(
        &["2026-03-29 00:59:59", "2026-03-29 01:00:00"],
        "2026-03-31 22:15:00",
        "2026-03",
        &["2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00"],
    );
}

/// At three it is two again: the same half hour comes twice, in its order, and the month ends at 23 UTC.
#[test]
fn clocks_go_back_on_25_october() {
    a_day_of_the_change(
        &["2026-10-25 00:30:00", "2026-10-25 01:30:00"],
        "2026-10-31 23:15:00",
        "2026-10",
        &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"],
    );
}

/// A clock that is set back between two bookings, and between a hold and its settlement: both are booked, each in the
/// month that the clock showed at its confirmation, and none in a month that is closed.
#[test]
fn a_clock_that_steps_back_moves_no_month() {
    let runtime = runtime();
    let mut town = Town::new("2026-11-15 10:00:00");
    town.bought();
    town.network_answers(&runtime);
    town.house.calendar.set("2026-12-01 00:30:00");
    town.bought();
    // Back over the month's end: the settlement comes before the hold.
    town.house.calendar.set("2026-11-30 22:00:00");
    town.network_answers(&runtime);
    town.bought();
    town.network_answers(&runtime);
    let seen: Vec<String> = town.months(&runtime).into_iter().map(|(month, _)| month).collect();
    assert_eq!(seen, ["2026-11", "2026-11", "2026-12"]);
    town.house.done(&["ledger", "verify"]);
    town.house.calendar.set("2026-12-01 09:00:00");
    town.house.done(&["bill", "close", "2026-11", "--by", "clerk"]);
    // Back into the closed month: nothing is booked, and the caller is told so.
    town.house.calendar.set("2026-11-30 22:30:00");
    let output = town.buys();
    assert!(!output.status.success(), "{}", text(&output.stdout));
    town.service.line("\"unavailable\"");
    assert_eq!(town.months(&runtime).len(), 3);
    town.house.calendar.set("2026-12-01 10:00:00");
    town.house.done(&["bill", "export", "2026-11"]);
    town.house.done(&["ledger", "verify"]);
}

/// `klikon bill close` is killed when the month is closed and before a file of it, or after one or two of them, is written:
/// `klikon bill export` writes what was closed.
#[test]
fn a_close_that_is_killed_loses_no_file() {
    let runtime = runtime();
    let (folder, month) = (folder_with(""), "2026-11".parse::<Month>().unwrap());
    let calendar = Calendar::at(folder.path(), "2026-11-15 10:00:00");
    service::put_a_group_in_by(folder.path(), |command| calendar.on(command));
    let house = House { folder: folder.path().to_owned(), calendar };
    runtime.block_on(house.books(month.end() - SignedDuration::from_secs(1)));
    let mut closing = month;
    for (sequence, ending) in [(1, "csv"), (2, "json"), (3, "sha256")] {
        let stem = format!("klikon-bill-{sequence:06}-{closing}");
        let bills = folder.path().join("bills");
        std::fs::create_dir_all(&bills).unwrap();
        // Where the file would stand is a pipe, at which the command waits for somebody to write.
        let pipe = bills.join(format!("{stem}.{ending}"));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        house.calendar.set(&closing.next().next().start().strftime("%Y-%m-%d %H:%M:%S").to_string());
        let mut command = service::klikon(folder.path());
        house.calendar.on(&mut command);
        let closed = closing.to_string();
        let mut child = command.args(["bill", "close", &closed, "--by", "clerk"]).spawn().unwrap();
        // Opens only once the command stands at the other end.
        let opened = OpenOptions::new().write(true).open(&pipe).unwrap();
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        drop(opened);
        std::fs::remove_file(&pipe).unwrap();
        let said = house.refused(&["bill", "close", &closed, "--by", "clerk"]);
        assert!(said.contains("klikon bill export"), "{said}");
        house.done(&["bill", "export", &closed]);
        let read = |ending: &str| std::fs::read(bills.join(format!("{stem}.{ending}"))).unwrap();
        let files = runtime.block_on(async { house.store().await.bill_run(closing).await.unwrap().unwrap() });
        assert_eq!((read("csv"), read("json")), (files.csv, files.json));
        let mut check = Command::new("sha256sum");
        check.args(["--check", &format!("{stem}.sha256")]).current_dir(&bills);
        assert!(check.output().unwrap().status.success());
        let kinds: Vec<bool> = files
            .run
            .lines
            .iter()
            .flat_map(|line| &line.items)
            .map(|item| item.kind == BillItemKind::Activation)
            .collect();
        assert_eq!(kinds.len(), usize::from(closing == month), "the first month has the activation");
        closing = closing.next();
    }
    house.done(&["ledger", "verify"]);
}
