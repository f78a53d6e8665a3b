//! The commands as they are typed, on a real database and in a real folder.

use super::*;
use crate::klikon::SmsAlphabet;
use crate::store::{ActivationOrder, GrantChannel, HoldOutcome, Settlement};
use crate::units::{ActivationId, CallId, Money, Msisdn};
use clap::Parser;
use tempfile::TempDir;

#[derive(Parser)]
#[command(no_binary_name = true)]
enum Line {
    Bill(BillArguments),
    Reconcile(ReconcileArguments),
}

const CLOSED: &str = "2026-11-02T09:00:00Z";

struct Bench {
    folder: TempDir,
    store: Store,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Bench {
    /// One group, with Super 1100 for a member in October.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&store::Settings::for_file(folder.path().join("klikon.db"))).await.unwrap();
        let opened = at("2026-01-01T00:00:00Z");
        store.seed_catalogue(crate::klikon::day_of(opened)).await.unwrap();
        let contract = FixedNumber::parse("042250928").unwrap();
        let group = store.create_group(&contract, opened).await.unwrap();
        let (leader, member) = (Msisdn::parse("0672000123").unwrap(), Msisdn::parse("0672123456").unwrap());
        store.add_member(&contract, leader, opened).await.unwrap();
        store.add_member(&contract, member, opened).await.unwrap();
        let shop = GrantChannel::Shop { declaration: "D-1".to_owned() };
        store.grant_leader(&contract, leader, "Lideri Fiks", &shop, opened).await.unwrap();
        let held_at = at("2026-10-31T22:59:59Z");
        let offers = store.offers(group.id, held_at).await.unwrap();
        let package = offers.iter().find(|offer| offer.net == Money::from_lek(900)).unwrap();
        let order = ActivationOrder {
            id: Self::activation(),
            call: CallId::new(held_at, [7; 10]),
            caller: leader,
            member,
            package: package.package,
            quoted_net: Money::from_lek(900),
            at: held_at,
        };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
        Self { folder, store }
    }

    fn activation() -> ActivationId {
        ActivationId::new(at("2026-10-31T22:59:59Z"), [1; 10])
    }

    async fn post(&self) {
        let posted = self.store.settle(Self::activation(), &Settlement::Post, at(CLOSED), SmsAlphabet::Ucs2);
        posted.await.unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command; what it prints, or the error with its causes after what it printed.
    async fn run(&self, line: &str) -> Result<String, String> {
        let folder = self.folder.path().display().to_string();
        let words: Vec<String> = line.split(' ').map(|word| word.replace("FOLDER", &folder)).collect();
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let database = store::Settings::for_file(self.path("klikon.db"));
        let mut out = Vec::new();
        let result = match line {
            Line::Bill(arguments) => run(arguments, &database, at(CLOSED), &mut out).await,
            Line::Reconcile(arguments) => reconcile(&arguments, &database, at(CLOSED), &mut out).await,
        };
        let out = String::from_utf8(out).unwrap();
        result.map(|()| out.clone()).map_err(|error| format!("{out}{error:#}"))
    }
}

#[tokio::test]
async fn a_month_is_closed_exported_answered_and_reconciled() {
    let bench = Bench::new().await;
    let said = bench.run("bill close 2026-10 --by clerk --folder FOLDER/bills").await.unwrap_err();
    assert!(said.contains(&Bench::activation().to_string()) && said.contains("--wait-s"), "{said}");
    let said = bench.run("reconcile").await.unwrap_err();
    assert!(said.contains("no answer of the network") && said.contains("2 are unmatched"), "{said}");
    assert!(bench.run("reconcile --older-than-h 48").await.unwrap().contains("everything matches"));
    bench.post().await;
    let said = bench.run("bill close 2026-10 --by clerk --folder FOLDER/bills").await.unwrap();
    assert!(said.contains("run 1, 1 contracts, 1 activations") && said.contains("900"), "{said}");
    let stem = bench.path("bills").join("klikon-bill-000001-2026-10");
    let read = |ending| std::fs::read(stem.with_extension(ending)).unwrap();
    let before = [read("csv"), read("json"), read("sha256")];
    // As `sha256sum --check` reads it.
    let checked = std::process::Command::new("sha256sum")
        .args(["--check", "klikon-bill-000001-2026-10.sha256"])
        .current_dir(bench.path("bills"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let said = bench.run("bill close 2026-10 --by clerk --folder FOLDER/bills").await.unwrap_err();
    assert!(said.contains("by clerk, as run 1") && said.contains("klikon bill export 2026-10"), "{said}");
    bench.run("bill export 2026-10 --folder FOLDER/bills").await.unwrap();
    assert_eq!(before, [read("csv"), read("json"), read("sha256")]);
    std::fs::write(stem.with_extension("csv"), "other").unwrap();
    let said = bench.run("bill export 2026-10 --folder FOLDER/bills").await.unwrap_err();
    assert!(said.contains("is there with other content"), "{said}");
    let said = bench.run("bill list").await.unwrap();
    assert!(said.contains("2026-10") && said.contains("clerk"), "{said}");
    answered(&bench).await;
}

async fn answered(bench: &Bench) {
    let said = bench.run("reconcile").await.unwrap_err();
    assert!(said.contains("no answer to the line") && said.contains("042250928"), "{said}");
    let answer = |result: &str| {
        let file = format!("sequence,contract,result,reason\n1,042250928,{result}\n");
        std::fs::write(bench.path("answer.csv"), file).unwrap();
    };
    answer("rejected,no such account");
    let said = bench.run("bill acknowledge 2026-10 FOLDER/answer.csv").await.unwrap();
    assert!(said.contains("0 lines accepted, 1 rejected") && said.contains("no such account"), "{said}");
    let said = bench.run("reconcile --json").await.unwrap_err();
    assert!(said.contains("\"what\": \"rejected\""), "{said}");
    answer("accept,");
    let said = bench.run("bill acknowledge 2026-10 FOLDER/answer.csv").await.unwrap_err();
    assert!(said.contains("answer.csv: line 2: result `accept`"), "{said}");
    answer("accepted,");
    bench.run("bill acknowledge 2026-10 FOLDER/answer.csv").await.unwrap();
    assert_eq!(bench.run("reconcile").await.unwrap(), "everything matches\n");
}

#[tokio::test]
async fn what_cannot_be_done_says_why_and_how() {
    let bench = Bench::new().await;
    for (line, parts) in [
        ("bill close 2026-11 --by clerk", ["2026-11 can be closed from", "last second"]),
        ("bill close 2026-13 --by clerk", ["`2026-13` is not a month", "2026-11"]),
        ("bill close 2026-10", ["--by", "Usage"]),
        ("bill export 2026-10", ["2026-10 is not closed", "klikon bill close"]),
        ("bill acknowledge 2026-10 FOLDER/nothing.csv", ["cannot read", "nothing.csv"]),
    ] {
        let said = bench.run(line).await.unwrap_err();
        assert!(parts.iter().all(|part| said.contains(part)), "{line}: {said}");
    }
}

#[tokio::test]
async fn a_statement_is_written_before_and_after_the_close() {
    let bench = Bench::new().await;
    bench.post().await;
    let line = "bill statement 2026-10 --contract 042250928";
    let page = bench.run(line).await.unwrap();
    assert!(page.contains("Super 1100") && page.contains("nuk është mbyllur"), "{page}");
    bench.run("bill close 2026-10 --by clerk --folder FOLDER/bills").await.unwrap();
    let said = bench.run(&format!("{line} --output FOLDER/statement.html")).await.unwrap();
    assert!(said.contains("statement.html"));
    let page = std::fs::read_to_string(bench.path("statement.html")).unwrap();
    assert!(page.contains("Super 1100") && !page.contains("nuk është mbyllur"), "{page}");
}

#[tokio::test]
async fn after_the_close_a_correction_stands_on_the_next_bill_once() {
    let bench = Bench::new().await;
    let reverse = format!("bill reverse {} --reason mistake --by clerk", Bench::activation());
    let said = bench.run(&reverse).await.unwrap_err();
    assert!(said.contains("pending"), "{said}");
    bench.post().await;
    bench.run("bill close 2026-10 --by clerk --folder FOLDER/bills").await.unwrap();
    let said = bench.run(&reverse).await.unwrap();
    assert!(said.contains("Super 1100 of 2026-10") && said.contains("taken back"), "{said}");
    let said = bench.run(&reverse).await.unwrap();
    assert!(said.contains("nothing is changed"), "{said}");
    let page = bench.run("bill statement 2026-11 --contract 042250928").await.unwrap();
    assert_eq!(page.matches("kthim: mistake").count(), 1, "{page}");
    // What went out stays.
    bench.run("bill export 2026-10 --folder FOLDER/bills").await.unwrap();
    let said = bench.run("bill reverse nothing --reason x --by y").await.unwrap_err();
    assert!(said.contains("nothing"), "{said}");
}

/// Notes what is printed.
struct Printed(tokio::sync::mpsc::UnboundedSender<Vec<u8>>);

impl Write for Printed {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.send(octets.to_vec()).map_err(std::io::Error::other)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_close_waits_for_the_networks_answer() {
    let bench = Bench::new().await;
    let (sender, mut printed) = tokio::sync::mpsc::unbounded_channel();
    let mut out = Printed(sender);
    let month = "2026-10".parse().unwrap();
    let wait = Duration::from_secs(60);
    let answer = async {
        // Only once it waits.
        printed.recv().await.unwrap();
        bench.post().await;
    };
    let (files, ()) = tokio::join!(close(&bench.store, month, "clerk", at(CLOSED), wait, &mut out), answer);
    let files = files.unwrap();
    assert_eq!(files.run.lines.len(), 1);
    assert!(files.run.closed_at > at(CLOSED), "closed after the wait");
}
