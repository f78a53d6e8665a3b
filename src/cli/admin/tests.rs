//! The commands as they are typed, on a real database.

use super::*;
use crate::cli::ledger::{self, LedgerArguments};
use crate::units::{Money, Msisdn};
use clap::Parser;
use tempfile::TempDir;

#[derive(Parser)]
#[command(no_binary_name = true)]
enum Line {
    Admin(AdminArguments),
    Ledger(LedgerArguments),
}

struct Bench {
    folder: TempDir,
}

fn now() -> Timestamp {
    "2026-11-22T10:00:00Z".parse().unwrap()
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn database(&self) -> store::Settings {
        store::Settings::for_file(self.folder.path().join("klikon.db"))
    }

    /// Runs a command; what it prints, or the error with its causes after what it printed.
    async fn run(&self, words: &[&str]) -> Result<String, String> {
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        let result = match line {
            Line::Admin(arguments) => run(arguments, &self.database(), now(), &mut out).await,
            Line::Ledger(arguments) => ledger::run(arguments, &self.database(), now(), &mut out).await,
        };
        let out = String::from_utf8(out).unwrap();
        result.map(|()| out.clone()).map_err(|error| format!("{out}{error:#}"))
    }

    async fn admin(&self, line: &str) -> Result<String, String> {
        let words: Vec<&str> = std::iter::once("admin").chain(line.split(' ')).collect();
        self.run(&words).await
    }

    async fn family(&self) {
        for line in [
            "seed",
            "group create 042250928",
            "member add 042250928 0672000123",
            "member add 042250928 067-212-3456",
            "leader grant 042250928 0672000123 --by Fiks --declaration D-17",
        ] {
            self.admin(line).await.unwrap();
        }
    }

    fn file(&self, content: &str) -> String {
        let path = self.folder.path().join("import.csv");
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }
}

#[tokio::test]
async fn a_group_from_the_first_command_to_the_list() {
    let bench = Bench::new();
    bench.family().await;
    let list = bench.admin("list").await.unwrap();
    let row = list.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(row, "1 042250928 active 0672000123 0672000123 0672123456 6 500 lekë");
    let history = bench.admin("leader history 042250928").await.unwrap();
    assert!(
        history.contains("shop, declaration D-17") && history.contains("2026-11-22 11:00:00"),
        "{history}"
    );
    let packages = bench.admin("package list").await.unwrap();
    assert!(packages.contains("no: 130 offers packages from 700"), "{packages}");
    assert_eq!(packages.lines().count(), 6);
    let json: serde_json::Value = serde_json::from_str(&bench.admin("list --json").await.unwrap()).unwrap();
    assert_eq!(json[0]["leader"], "0672000123");
    bench.admin("leader revoke 042250928 --reason order-17 --actor clerk").await.unwrap();
    bench.admin("group close 042250928 --reason order-17").await.unwrap();
    assert!(bench.admin("list").await.unwrap().contains("closed"));
    let trail = bench.admin("history --contract 042250928").await.unwrap();
    let lines: Vec<&str> = trail.lines().collect();
    assert_eq!(lines.len(), 1 + 4 + 2, "{trail}");
    let revoked = lines[5].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(revoked, "2026-11-22 11:00:00 clerk leader-revoked 042250928 0672000123 leader - order-17");
    assert!(bench.admin("history --since 2026-11-23").await.unwrap().contains("(none)"));
    assert!(bench.admin("history --last 2").await.unwrap().contains("--last shows more"));
    assert_eq!(bench.admin("seed").await.unwrap(), "nothing to do: there are packages and terms already\n");
}

#[tokio::test]
async fn errors_name_what_is_wrong_and_the_mend() {
    let bench = Bench::new();
    bench.family().await;
    for (line, expected) in [
        ("group create 042250928", "close it first"),
        ("group create 4225", "write it like 042250928"),
        ("member add 042250928 0671123456", "write it like 0672123456"),
        ("member add 042250999 0672123456", "klikon admin group create"),
        ("member remove 042250928 0691234567 --reason x", "klikon admin member add"),
        ("member remove 042250928 0672123456", "--reason is missing"),
        ("member remove 042250928 0672123456 --reason x --actor ", "--actor \"A. Clerk\""),
        ("group close 042250928", "--reason is missing"),
        ("leader revoke 042250928", "--reason is missing"),
        ("leader pin 042250928 --clear", "--reason is missing"),
        ("history --since yesterday", "2026-12-31"),
        ("history --last 0", "1..=100000"),
        ("leader grant 042250928 0672123456 --by Fiks", "--declaration"),
        ("leader grant 042250928 0691234567 --by Fiks --online", "klikon admin member add"),
        ("package retire Super1100 --reason x", "Super 1100"),
        ("package add Mega --price 1500", "Super 1100"),
        ("terms add --effective 2026-12-22 --limit 7000", "--reason is missing"),
        ("terms add --effective 2026-12-21 --limit 7000 --reason x", "2026-12-22 at the earliest"),
        ("terms add --effective tomorrow", "2026-12-31"),
        ("terms add --effective 2027-01-01 --limit 0.001", "whole number of qindarka"),
        ("import nowhere.csv", "cannot be read"),
    ] {
        let error = bench.admin(line).await.unwrap_err();
        assert!(error.contains(expected), "{line}\n  {error}");
    }
}

#[tokio::test]
async fn packages_and_terms_change_with_notice() {
    let bench = Bench::new();
    bench.family().await;
    bench
        .run(&["admin", "package", "add", "Super 1500", "--price", "1500", "--reason", "new"])
        .await
        .unwrap();
    bench
        .run(&["admin", "package", "retire", "Super 1500", "--from", "2026-12-31", "--reason", "x"])
        .await
        .unwrap();
    bench
        .admin("terms add --effective 2026-12-22 --limit 7000 --reason board-4 --actor clerk")
        .await
        .unwrap();
    let terms = bench.admin("terms list").await.unwrap();
    assert_eq!(terms.lines().count(), 3);
    assert!(terms.contains("7\u{a0}000\u{a0}lekë") && terms.contains("200\u{a0}lekë"), "{terms}");
    assert!(terms.contains("clerk, 2026-11-22 11:00:00  board-4"), "{terms}");
    assert!(bench.admin("package list").await.unwrap().contains("2026-12-31"));
    let json: serde_json::Value =
        serde_json::from_str(&bench.admin("terms list --json").await.unwrap()).unwrap();
    assert_eq!(
        (&json[1]["entered"]["by"], &json[1]["terms"]["discount"]),
        (&json!("clerk"), &json!("200.00"))
    );
}

#[tokio::test]
async fn an_import_is_whole_or_nothing() {
    let bench = Bench::new();
    bench.family().await;
    let header = "contract,msisdn,role,granted_by,channel,declaration\n";
    let good = format!("{header}042250930,0692000001,leader,Fiks,online,\n042250930,0692000002,member,,,\n");
    let file = bench.file(&good);
    let dry = bench.run(&["admin", "import", &file, "--dry-run"]).await.unwrap();
    assert!(dry.contains("line 2: create the group of 042250930; add 0692000001"), "{dry}");
    assert!(!bench.admin("group list").await.unwrap().contains("042250930"));
    let file = bench.file(&format!("{good}042250930,0672123456,member,,,\n"));
    let error = bench.run(&["admin", "import", &file]).await.unwrap_err();
    assert!(error.contains("line 4, column msisdn, `0672123456`: 0672123456 is a member of"), "{error}");
    assert!(error.contains("1 error; nothing was imported"), "{error}");
    // All errors at once, by line: those of the file and those of the ledger.
    let file = bench.file(&format!(
        "{header}042250931,0672123456,member,,,\n042250931,0671,boss,,,\n042250930,0692000001,member,,,\n\
         042250930,0692000001,member,,,\n"
    ));
    let error = bench.run(&["admin", "import", &file, "--dry-run"]).await.unwrap_err();
    let places: Vec<&str> = error.lines().map(|line| line.split(": ").next().unwrap_or_default()).collect();
    let at = |place: &str| format!("{file}, {place}");
    let expected = [
        at("line 2, column msisdn, `0672123456`"),
        at("line 3, column msisdn, `0671`"),
        at("line 3, column role, `boss`"),
        at("line 5, column msisdn, `0692000001`"),
        file.clone(),
    ];
    assert_eq!(places, expected, "{error}");
    assert!(error.contains("stands in line 4 too") && error.contains("4 errors; nothing"), "{error}");
    assert!(!bench.admin("group list").await.unwrap().contains("042250930"));
    let file = bench.file(&good);
    assert!(bench.run(&["admin", "import", &file]).await.unwrap().contains("2 lines imported"));
    assert!(bench.admin("list").await.unwrap().contains("0692000001 0692000002"));
    let trail = bench.admin("history").await.unwrap();
    assert!(trail.contains("2 lines") && trail.contains("import of import.csv, SHA-256 "), "{trail}");
    let packages = "package,list_price,valid_from,valid_until,announced_on\nSuper 1500,1500,2026-12-01,,\n";
    let file = bench.file(packages);
    bench.run(&["admin", "import", &file]).await.unwrap();
    let error = bench.run(&["admin", "import", &file]).await.unwrap_err();
    assert!(
        error.contains("column valid_from, `2026-12-01`") && error.contains("retire that version"),
        "{error}"
    );
}

#[tokio::test]
async fn the_ledger_is_shown_billed_and_verified() {
    use crate::klikon::SmsAlphabet;
    use crate::store::{ActivationOrder, HoldOutcome, Settlement};
    use crate::units::{ActivationId, CallId};
    let bench = Bench::new();
    bench.family().await;
    let store = Store::open(&bench.database()).await.unwrap();
    let packages = store.packages().await.unwrap();
    for n in 1..=2u8 {
        let order = ActivationOrder {
            id: ActivationId::new(now(), [n; 10]),
            call: CallId::new(now(), [n; 10]),
            caller: Msisdn::parse("0672000123").unwrap(),
            member: Msisdn::parse("0672123456").unwrap(),
            package: packages.iter().find(|package| package.name.number() == 1300).unwrap().id,
            quoted_net: Money::from_lek(1100),
            at: now(),
        };
        assert!(matches!(store.hold(&order).await.unwrap(), HoldOutcome::Held(_)));
    }
    let first = ActivationId::new(now(), [1; 10]);
    store.settle(first, &Settlement::Post, now(), SmsAlphabet::Ucs2).await.unwrap();
    let show = bench.run(&["ledger", "show", "--group", "1", "--month", "2026-11"]).await.unwrap();
    assert!(
        show.contains("4\u{a0}300\u{a0}lekë left") && show.contains("1\u{a0}100\u{a0}lekë owed"),
        "{show}"
    );
    assert!(show.contains("limit of group 1 in 2026-11") && show.contains("post of 2"), "{show}");
    assert!(bench.run(&["ledger", "show", "--month", "2026-12"]).await.unwrap().contains("(none)"));
    let bill = bench.run(&["ledger", "bill", "--contract", "042250928"]).await.unwrap();
    assert!(bill.starts_with("Klik-ON 2026-11 on the bill of 042250928: 1\u{a0}100\u{a0}lekë\n"), "{bill}");
    assert!(
        bill.contains("without VAT 916,67\u{a0}lekë, VAT 20% 183,33\u{a0}lekë (rounding -0.0033 lekë)"),
        "{bill}"
    );
    assert_eq!(bench.run(&["ledger", "bill", "--group", "1"]).await.unwrap(), bill);
    assert!(bench.run(&["ledger", "bill", "--group", "9"]).await.unwrap_err().contains("no group 9"));
    let verify = bench.run(&["ledger", "verify"]).await.unwrap();
    assert!(
        verify.contains("2 activations, 1 posted, 0 voided, 1 pending, 0 reversed; 1\u{a0}300"),
        "{verify}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&bench.run(&["ledger", "verify", "--json"]).await.unwrap()).unwrap();
    assert_eq!(json["posted"], 1);
}

#[tokio::test]
async fn the_lideri_fiks_is_known_and_forgotten() {
    let bench = Bench::new();
    bench.family().await;
    let words =
        ["admin", "contact", "set", "042250928", "--name", "Emri Mbiemri", "--email", "emri@example.com"];
    bench.run(&words).await.unwrap();
    let shown = bench.admin("contact show 042250928").await.unwrap();
    assert!(shown.contains("Emri Mbiemri") && shown.contains("emri@example.com"), "{shown}");
    for (line, said) in [
        ("contact set 042250999 --name x", "never had a group"),
        ("contact set 042250928", "--name"),
        ("contact set 042250928 --email example.com", "name@example.com"),
        ("erase --contract 042250928", "--reason is missing"),
        ("erase --reason x", "--contract"),
        ("erase --contract 042250928 --number 0672123456 --reason x", "cannot be used with"),
    ] {
        let error = bench.admin(line).await.unwrap_err();
        assert!(error.contains(said), "{line}\n  {error}");
    }
    let said = bench.admin("erase --contract 042250928 --reason request-17 --actor clerk").await.unwrap();
    assert!(said.contains("1 contacts, who granted 1 leaderships"), "{said}");
    let said = bench.admin("erase --contract 042250928 --reason request-17").await.unwrap();
    assert!(said.contains("nothing of 042250928 names a person any more"), "{said}");
    let said = bench.admin("erase --number 0672000123 --reason request-17").await.unwrap();
    assert!(said.contains("nothing of 0672000123"), "{said}");
    assert!(bench.admin("contact show 042250928").await.unwrap().contains("(none)"));
    assert!(bench.admin("leader history 042250928").await.unwrap().contains("(erased)"));
    let trail = bench.admin("history").await.unwrap();
    assert_eq!(trail.matches("personal-data-erased").count(), 1, "{trail}");
    assert!(!trail.contains("Mbiemri") && !trail.contains("example.com"), "{trail}");
}
