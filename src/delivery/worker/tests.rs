//! Passes over a real database and a real folder; time is an argument.

use super::*;
use crate::klikon::{self, SmsAlphabet};
use crate::store::{ActivationOrder, GrantChannel, HoldOutcome, Order, Settlement, Sms};
use crate::units::{ActivationId, CallId, FixedNumber, GroupId, Money, Month, Msisdn};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

struct Bench {
    folder: TempDir,
    store: Store,
    worker: Worker,
    group: GroupId,
}

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

fn id(n: u8) -> ActivationId {
    ActivationId::new(now(), [n; 10])
}

fn number(text: &str) -> Msisdn {
    Msisdn::parse(text).unwrap()
}

async fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store =
        Store::open(&crate::store::Settings::for_file(folder.path().join("klikon.db"))).await.unwrap();
    store.seed_catalogue(klikon::day_of(now())).await.unwrap();
    let contract = FixedNumber::parse("042250928").unwrap();
    let group = store.create_group(&contract, now()).await.unwrap().id;
    for number in [number("0672000123"), number("0672123456")] {
        store.add_member(&contract, number, now()).await.unwrap();
    }
    let leader = number("0672000123");
    store.grant_leader(&contract, leader, "Lider Fiks", &GrantChannel::Online, now()).await.unwrap();
    let worker = worker(&store, folder.path());
    Bench { folder, store, worker, group }
}

fn worker(store: &Store, folder: &Path) -> Worker {
    let settings =
        Settings { spool: folder.join("spool"), sms_alphabet: SmsAlphabet::Plain, ..Settings::default() };
    Worker::new(store.clone(), settings).unwrap()
}

impl Bench {
    async fn hold(&self, n: u8) {
        let packages = self.store.packages().await.unwrap();
        let order = ActivationOrder {
            id: id(n),
            call: CallId::new(now(), [n; 10]),
            caller: number("0672000123"),
            member: number("0672123456"),
            package: packages.iter().find(|package| package.name.number() == 1100).unwrap().id,
            quoted_net: Money::from_lek(900),
            at: now(),
        };
        assert!(matches!(self.store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    }

    fn acknowledge(&self, n: u8, content: &str) {
        fs::write(self.worker.spool().acknowledgement_file(id(n)), content).unwrap();
    }

    /// The files of a folder of the spool.
    fn files(&self, folder: &str) -> BTreeSet<String> {
        fs::read_dir(self.folder.path().join("spool").join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    }

    async fn left(&self) -> Money {
        self.store.remaining(self.group, Month::of(now())).await.unwrap()
    }

    async fn state(&self, n: u8) -> &'static str {
        self.store.activation(id(n)).await.unwrap().unwrap().state.label()
    }

    /// When the files that were just written are `seconds` old.
    fn later(&self, seconds: i64) -> Timestamp {
        Clock::system().wall() + jiff::SignedDuration::from_secs(seconds)
    }
}

const ACTIVATED: &str = r#"{"result":"activated"}"#;
const REJECTED: &str = r#"{"result":"rejected","reason":"barred"}"#;

#[tokio::test]
async fn an_order_goes_out_and_its_acknowledgement_posts() {
    let bench = bench().await;
    let mut settlements = bench.worker.settlements().subscribe();
    bench.hold(1).await;
    assert_eq!(bench.worker.run_once(now()).await, Pass { orders: 1, ..Pass::default() });
    assert_eq!(bench.worker.run_once(now()).await, Pass::default(), "once");
    let content = fs::read(bench.worker.spool().order_file(id(1))).unwrap();
    let order: Order = serde_json::from_slice(&content).unwrap();
    assert_eq!((order.activation, order.msisdn.e164().as_str()), (id(1), "+355672123456"));
    let json: serde_json::Value = serde_json::from_slice(&content).unwrap();
    assert_eq!((&json["package"], &json["channel"]), (&"Super 1100".into(), &"130".into()));
    assert!(bench.files("sms").is_empty(), "no SMS before the settlement");

    bench.acknowledge(1, ACTIVATED);
    assert_eq!(bench.worker.run_once(now()).await, Pass { posted: 1, sms: 2, ..Pass::default() });
    assert_eq!(bench.state(1).await, "posted");
    assert_eq!(settlements.try_recv().unwrap().state, ActivationState::Posted);
    assert!(bench.files("acks").is_empty() && bench.files("orders").is_empty());
    let done = BTreeSet::from([format!("{}.json", id(1)), format!("{}.order.json", id(1))]);
    assert_eq!(bench.files("done"), done);
    for name in bench.files("sms") {
        let sms: Sms =
            serde_json::from_slice(&fs::read(bench.worker.spool().root().join("sms").join(name)).unwrap())
                .unwrap();
        assert!(sms.text.contains("Super 1100 u aktivizua"), "{}", sms.text);
    }
    bench.store.audit().await.unwrap();
}

#[tokio::test]
async fn a_rejection_voids_and_frees_the_limit() {
    let bench = bench().await;
    bench.hold(1).await;
    bench.worker.run_once(now()).await;
    assert_eq!(bench.left().await, Money::from_lek(5600));
    bench.acknowledge(1, REJECTED);
    assert_eq!(bench.worker.run_once(now()).await, Pass { voided: 1, sms: 2, ..Pass::default() });
    assert_eq!(bench.left().await, Money::from_lek(6500));
    let state = bench.store.activation(id(1)).await.unwrap().unwrap().state;
    assert_eq!(state, ActivationState::Voided { reason: "barred".to_owned() });
}

#[tokio::test]
async fn garbage_goes_to_bad_and_stops_nobody() {
    let bench = bench().await;
    for n in 1..=3 {
        bench.hold(n).await;
    }
    bench.worker.run_once(now()).await;
    let spool = bench.worker.spool().root().to_owned();
    let acks = spool.join("acks");
    bench.acknowledge(1, ACTIVATED);
    bench.acknowledge(2, r#"{"result":"perhaps"}"#);
    bench.acknowledge(9, ACTIVATED);
    let mismatch = format!(r#"{{"activation":"{}","result":"activated"}}"#, id(1));
    bench.acknowledge(3, &mismatch);
    fs::write(acks.join(format!("{}.json", id(8))), "x".repeat(20_000)).unwrap();
    fs::create_dir(acks.join("folder.json")).unwrap();
    fs::write(acks.join("notes.txt"), "to do").unwrap();
    let pass = bench.worker.run_once(bench.later(3_600)).await;
    assert_eq!(pass, Pass { posted: 1, bad: 6, sms: 2, ..Pass::default() });
    let bad = bench.files("bad");
    assert_eq!(bad.len(), 12, "each with its reason: {bad:?}");
    let reason = |name: String| fs::read_to_string(spool.join("bad").join(name + ".reason")).unwrap();
    assert!(reason(format!("{}.json", id(9))).contains("there is no activation"));
    assert!(reason(format!("{}.json", id(3))).contains("speaks of"));
    assert!(reason("folder.json".to_owned()).contains("no regular file"));
    assert_eq!((bench.state(2).await, bench.state(3).await), ("pending", "pending"));
    assert!(bench.files("acks").is_empty());
    // The mended file is taken, and one that contradicts it is not.
    bench.acknowledge(2, REJECTED);
    assert_eq!(bench.worker.run_once(now()).await.voided, 1);
    bench.acknowledge(2, ACTIVATED);
    assert_eq!(bench.worker.run_once(now()).await, Pass { bad: 1, ..Pass::default() });
    let again = format!("{}.json.1", id(2));
    assert!(reason(again).contains("voided already and cannot become posted"), "{:?}", bench.files("bad"));
    assert_eq!(bench.worker.counters().sums().bad, 7);
    bench.store.audit().await.unwrap();
}

#[tokio::test]
async fn a_half_written_file_is_waited_for() {
    let bench = bench().await;
    bench.hold(1).await;
    bench.hold(2).await;
    bench.worker.run_once(now()).await;
    bench.acknowledge(1, r#"{"result":"acti"#);
    bench.acknowledge(2, "");
    let fresh = bench.later(0);
    assert_eq!(bench.worker.run_once(fresh).await, Pass { half_written: 2, ..Pass::default() });
    bench.acknowledge(1, ACTIVATED);
    let pass = bench.worker.run_once(bench.later(0)).await;
    assert_eq!((pass.posted, pass.half_written), (1, 1));
    let pass = bench.worker.run_once(bench.later(60)).await;
    assert_eq!((pass.bad, bench.state(2).await), (1, "pending"));
}

#[tokio::test]
async fn a_crash_between_any_two_steps_is_made_good() {
    let bench = bench().await;
    bench.hold(1).await;
    // After the order was written, before it was marked: written again, the same.
    let row = bench.store.outbox_due(1).await.unwrap().remove(0);
    write(bench.worker.spool(), &row).unwrap();
    let first = fs::read(bench.worker.spool().order_file(id(1))).unwrap();
    let restarted = worker(&bench.store, bench.folder.path());
    assert_eq!(restarted.run_once(now()).await.orders, 1);
    assert_eq!(fs::read(bench.worker.spool().order_file(id(1))).unwrap(), first);
    assert_eq!(bench.files("orders").len(), 1);
    // After the settlement, before the acknowledgement was put away: booked once, and said again to who waits.
    bench.acknowledge(1, ACTIVATED);
    bench.store.settle(id(1), &Settlement::Post, now(), SmsAlphabet::Plain).await.unwrap();
    let mut settlements = restarted.settlements().subscribe();
    assert_eq!(restarted.run_once(now()).await, Pass { repeated: 1, sms: 2, ..Pass::default() });
    assert_eq!(settlements.try_recv().unwrap().id, id(1));
    assert!(bench.files("acks").is_empty());
    // In the middle of writing: what was left aside is swept, and no batch has seen it.
    let aside = bench.worker.spool().root().join("orders/.klikon-x.json");
    fs::write(&aside, "{").unwrap();
    worker(&bench.store, bench.folder.path());
    assert!(!aside.exists());
    let audited = bench.store.audit().await.unwrap();
    assert_eq!((audited.activations, audited.posted), (1, 1));
}

#[tokio::test]
async fn an_answer_before_the_order_was_marked_sends_no_second_order() {
    let bench = bench().await;
    bench.hold(1).await;
    bench.acknowledge(1, ACTIVATED);
    assert_eq!(bench.worker.run_once(now()).await, Pass { posted: 1, sms: 2, ..Pass::default() });
    assert!(bench.files("orders").is_empty());
}

#[tokio::test]
async fn a_disk_that_fails_loses_nothing() {
    let bench = bench().await;
    bench.hold(1).await;
    let orders = bench.worker.spool().root().join("orders");
    fs::remove_dir(&orders).unwrap();
    assert_eq!(bench.worker.run_once(now()).await, Pass { failures: 1, ..Pass::default() });
    fs::create_dir(&orders).unwrap();
    assert_eq!(bench.worker.run_once(now()).await, Pass { orders: 1, ..Pass::default() });
}

#[tokio::test]
async fn stops_when_it_is_told() {
    let bench = bench().await;
    bench.hold(1).await;
    bench.acknowledge(1, ACTIVATED);
    let (stop, stopped) = watch::channel(false);
    let mut settlements = bench.worker.settlements().subscribe();
    let counters = bench.worker.counters();
    let running = tokio::spawn(bench.worker.run(Clock::system(), stopped));
    assert_eq!(settlements.recv().await.unwrap().id, id(1));
    stop.send(true).unwrap();
    running.await.unwrap();
    assert_eq!(counters.sums().posted, 1);
}

#[tokio::test]
async fn a_pass_that_breaks_does_not_end_the_delivery() {
    let (stop, stopped) = watch::channel(false);
    let (passed, mut passes) = tokio::sync::mpsc::unbounded_channel();
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let running = tokio::spawn(repeat(Duration::from_millis(1), stopped, move || {
        let (count, passed) = (Arc::clone(&count), passed.clone());
        async move {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert_ne!(number, 0, "the first pass breaks");
            passed.send(number).unwrap();
        }
    }));
    assert_eq!(passes.recv().await, Some(1));
    stop.send(true).unwrap();
    running.await.unwrap();
}
